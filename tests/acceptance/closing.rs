//! Closes that fail, and writers that are killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::machine::{Machine, ok, run, sha1, until, write_random};

/// Files under `.panfuse/recovered/` whose name ends so.
fn recovered(m: &Machine, name: &str) -> Vec<PathBuf> {
    m.recovered()
        .into_iter()
        .filter(|path| path.display().to_string().ends_with(name))
        .collect()
}

fn spawn(program: &str, words: &[&str]) -> Child {
    Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

// S-053
#[test]
fn a_close_that_fails_leaves_the_name_as_it_was_and_the_bytes_in_recovered() {
    let Some(mut m) = Machine::start("aliyundrive_open") else {
        return;
    };
    m.tell("sim seed ali /old.bin 5000 --seed 1");
    m.mount_with(&[("PANFUSE_TRANSFER_CLOSE", "wait")]);
    let written = m.out("written.bin");
    write_random(&written, 300_000, 91);
    let before = sha1(&m.at("ali/old.bin"));
    m.tell("sim fault ali complete errno --arg 400:BadRequest --count 0");
    for name in ["old.bin", "new.bin"] {
        // `dd` writes; nothing here is copied by the kernel.
        let output = format!("of={}", m.at(&format!("ali/{name}")));
        let failed = run("dd", &[&format!("if={written}"), &output, "bs=64k"]);
        assert!(!failed.status.success(), "{failed:?}");
        let kept = recovered(&m, name);
        assert_eq!(kept.len(), 1, "{name}");
        ok("cmp", &[&written, kept[0].to_str().unwrap()]);
    }
    assert_eq!(m.names("ali"), ["old.bin"]);
    assert_eq!(sha1(&m.at("ali/old.bin")), before);
    // Also for the next daemon.
    m.unmount();
    m.tell("sim reset ali");
    m.mount();
    assert_eq!(recovered(&m, ".bin").len(), 2);
    assert_eq!(m.files("ali"), ["/old.bin"]);
    assert_eq!(m.uploads("ali"), 0);
}

// S-054
#[test]
fn a_killed_writer_publishes_nothing_and_its_bytes_are_in_recovered() {
    let Some(mut m) = Machine::start("aliyundrive_open") else {
        return;
    };
    m.tell("sim seed ali /old.bin 5000 --seed 1");
    m.mount();
    let before = sha1(&m.at("ali/old.bin"));
    for (name, signal) in [("new.bin", "KILL"), ("old.bin", "TERM")] {
        let path = m.at(&format!("ali/{name}"));
        let script = "import sys,time\nf=open(sys.argv[1],'wb',0)\nf.write(b'x'*100000)\n\
                      print('written',flush=True)\ntime.sleep(600)";
        let mut writer = spawn("python3", &["-c", script, &path]);
        until("it has written", || {
            std::fs::metadata(&path).is_ok_and(|meta| meta.len() == 100_000)
        });
        ok("kill", &["-s", signal, &writer.id().to_string()]);
        writer.wait().unwrap();
        until("its bytes are kept", || recovered(&m, name).len() == 1);
        assert_eq!(
            std::fs::read(&recovered(&m, name)[0]).unwrap(),
            vec![b'x'; 100_000]
        );
    }
    m.tell("sync");
    assert_eq!(m.names("ali"), ["old.bin"]);
    assert_eq!(sha1(&m.at("ali/old.bin")), before);
    assert_eq!(m.files("ali"), ["/old.bin"]);
}

// S-055
#[test]
fn a_program_killed_in_its_close_leaves_no_upload_and_its_bytes_in_recovered() {
    let Some(mut m) = Machine::start("aliyundrive_open") else {
        return;
    };
    m.mount();
    let written = m.out("written.bin");
    write_random(&written, 9_000_000, 95);
    m.tell("sim fault ali upload_part slow --arg 1000000 --count 0");
    let path = m.at("ali/a.bin");
    let mut writer = spawn(
        "dd",
        &[&format!("if={written}"), &format!("of={path}"), "bs=1M"],
    );
    until("its close waits for the upload", || {
        m.stat("ali")["requests"]["upload_part"].as_u64().is_some()
    });
    ok("kill", &["-9", &writer.id().to_string()]);
    writer.wait().unwrap();
    until("its bytes are kept", || recovered(&m, "a.bin").len() == 1);
    ok(
        "cmp",
        &[&written, recovered(&m, "a.bin")[0].to_str().unwrap()],
    );
    assert!(!Path::new(&path).exists());
    until("the upload is cancelled", || m.uploads("ali") == 0);
    m.tell("sim reset ali");
    m.tell("sync");
    assert_eq!(m.files("ali"), Vec::<String>::new());
    m.unmount();
    m.mount();
    assert_eq!(recovered(&m, "a.bin").len(), 1);
    assert_eq!(m.files("ali"), Vec::<String>::new());
}
