//! What the daemon takes of this machine's memory.

use super::machine::{Machine, ok, run};

// S-075
#[test]
fn a_large_copy_needs_no_more_memory_than_it_was_given() {
    let Some(mut m) = Machine::start("115_open,aliyundrive_open") else {
        return;
    };
    // Larger than everything the daemon may hold at once; the target is slower than the source.
    m.tell("sim seed 115 /large.bin 320000000 --seed 61");
    m.tell("sim fault ali upload_part slow --arg 60000000 --count 0");
    m.mount_with(&[("PANFUSE_CACHE_MEMORY_TARGET_MB", "32")]);
    let peak = |m: &Machine| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", m.daemon_id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.unwrap().split_whitespace().next().unwrap().to_owned();
        kib.parse::<u64>().unwrap() >> 10
    };
    let before = peak(&m);
    let output = run("cp", &[&m.at("115/large.bin"), &m.at("ali/large.bin")]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(m.transfer("ali/large.bin")["phase"], "P4");
    let grown = peak(&m) - before;
    assert!(grown < 160, "{grown} MiB more for a copy of 305 MiB");
    ok("stat", &[&m.at("ali/large.bin")]);
}
