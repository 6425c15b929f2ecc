//! The program that asks. fuser does not hand on FUSE_INTERRUPT, so a long request looks into
//! `/proc` whether its caller is being killed (facts/fuse.md B5).

use std::fs;

/// `PF_EXITING` and `PF_SIGNALED` of the kernel's task flags.
const EXITING: u64 = 0x4;
const SIGNALED: u64 = 0x400;

/// A caller, by the thread id of the request. 0 when it cannot be seen (another pid namespace).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Thread id.
    pub pid: u32,
    /// User.
    pub uid: u32,
}

impl Caller {
    /// A caller inside this process (tests, the control socket).
    pub fn own() -> Self {
        Caller {
            pid: std::process::id(),
            uid: 0,
        }
    }

    /// The process of the thread; the thread id itself when it is gone already.
    pub fn process(&self) -> u32 {
        let Ok(status) = fs::read_to_string(format!("/proc/{}/status", self.pid)) else {
            return self.pid;
        };
        status
            .lines()
            .find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
            .unwrap_or(self.pid)
    }

    /// Whether it is exiting because of a signal: what it flushes now is not a close.
    ///
    /// Only of a process that is exiting `stat` is read. The kernel holds it back while a process is
    /// in execve(2), which closes files on its way and waits for our answer to that: both would wait
    /// for ever, and no signal would end it.
    pub fn was_killed(&self) -> bool {
        if self.pid == 0 {
            return false;
        }
        let of = |name| fs::read_to_string(format!("/proc/{}/{name}", self.pid));
        if !of("status").is_ok_and(|status| exits(&status)) {
            return false;
        }
        of("stat").is_ok_and(|stat| killed(&stat))
    }

    /// Whether a fatal signal waits for it: it hangs on our answer only.
    pub fn is_dying(&self) -> bool {
        if self.pid == 0 {
            return false;
        }
        match fs::read_to_string(format!("/proc/{}/status", self.pid)) {
            Ok(status) => dying(&status),
            // Gone while its request is open: nobody waits for the answer any more.
            Err(_) => true,
        }
    }
}

/// Whether its memory is gone, which an exiting thread gives back before its files.
fn exits(status: &str) -> bool {
    !status.lines().any(|line| line.starts_with("VmSize:"))
}

fn killed(stat: &str) -> bool {
    // The name in parentheses may hold anything: the fields start after the last one.
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return false;
    };
    let flags = rest
        .split_whitespace()
        .nth(6)
        .and_then(|field| field.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & EXITING != 0 && flags & SIGNALED != 0)
}

fn dying(status: &str) -> bool {
    let mask = |key: &str| {
        status
            .lines()
            .find_map(|line| u64::from_str_radix(line.strip_prefix(key)?.trim(), 16).ok())
            .unwrap_or(0)
    };
    let bit = |signal: i32| 1u64 << (signal - 1);
    // A fatal signal is turned into a pending SIGKILL for every thread.
    if mask("SigPnd:") & bit(libc::SIGKILL) != 0 || mask("ShdPnd:") & bit(libc::SIGKILL) != 0 {
        return true;
    }
    let fatal = bit(libc::SIGINT) | bit(libc::SIGTERM) | bit(libc::SIGHUP) | bit(libc::SIGQUIT);
    let pending = (mask("SigPnd:") | mask("ShdPnd:")) & fatal;
    pending & !mask("SigBlk:") & !mask("SigIgn:") & !mask("SigCgt:") != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_process_is_told_from_one_that_ends() {
        let line = |flags: u64| format!("42 (a) b) S 1 42 42 0 -1 {flags} 0 0");
        assert!(killed(&line(0x404)));
        assert!(!killed(&line(0x4)));
        assert!(!killed("nonsense"));
    }

    #[test]
    fn who_has_memory_does_not_exit() {
        assert!(exits("Name:\tcp\nState:\tR (running)\nThreads:\t1\n"));
        assert!(!exits("Name:\tcp\nVmPeak:\t9 kB\nVmSize:\t8 kB\n"));
        let own = fs::read_to_string("/proc/self/status").unwrap();
        assert!(!exits(&own) && !Caller::own().was_killed());
    }

    #[test]
    fn a_fatal_signal_is_seen_and_a_stop_is_not() {
        let status = |pending: &str, shared: &str, caught: &str| {
            format!(
                "SigPnd:\t{pending}\nShdPnd:\t{shared}\nSigBlk:\t0\nSigIgn:\t0\nSigCgt:\t{caught}\n"
            )
        };
        assert!(dying(&status("100", "2", "0")));
        assert!(dying(&status("0", "2", "0")));
        assert!(!dying(&status("0", "2", "2")));
        assert!(!dying(&status("40000", "0", "0")));
        assert!(!Caller::own().is_dying());
        assert!(!Caller { pid: 0, uid: 0 }.is_dying());
    }
}
