//! Programs that start others, or become others, while they have files open. execve(2) closes files on
//! its way and holds locks of the process until that is answered.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command};

use crate::cloud::mounted;

/// Ends everything that hangs in the mount after a minute. It runs before anything is opened: a child
/// that is started later inherits what hangs.
struct Guard(Child);

impl Guard {
    fn of(mount: &Path) -> Guard {
        let script = "sleep 60; umount -f -l \"$0\"";
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(mount);
        Guard(command.spawn().unwrap())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// S-050
#[test]
fn a_program_that_becomes_another_one_publishes_what_it_wrote() {
    mounted("", |cloud| {
        let _guard = Guard::of(&cloud.mount);
        let path = cloud.mount.join("a/x");
        // Perl's files are closed by exec.
        let script =
            r#"open(F, ">", $ARGV[0]) or die; syswrite(F, "written") or die; exec("true")"#;
        let mut perl = Command::new("perl");
        let ended = perl.arg("-e").arg(script).arg(&path).status().unwrap();
        assert!(ended.success());
        assert_eq!(fs::read(&path).unwrap(), b"written");
    });
}

// S-058
#[test]
fn a_copy_goes_on_while_another_program_is_started() {
    mounted("", |cloud| {
        let _guard = Guard::of(&cloud.mount);
        let bytes: Vec<u8> = (0..9_000_000u32).map(|n| (n / 7 % 251) as u8).collect();
        let (from, to) = (cloud.mount.join("a/from"), cloud.mount.join("b/to"));
        fs::write(&from, &bytes).unwrap();
        let mut source = File::open(&from).unwrap();
        let mut target = File::create(&to).unwrap();
        for _ in 0..3 {
            std::io::copy(&mut source.by_ref().take(3_000_000), &mut target).unwrap();
            // It has the files open until it runs.
            assert!(Command::new("true").status().unwrap().success());
        }
        drop(target);
        assert!(fs::read(&to).unwrap() == bytes);
    });
}
