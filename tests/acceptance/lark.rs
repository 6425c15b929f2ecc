//! What is different at Feishu / Lark, with the tools people use: files that keep their id when they
//! are overwritten, documents that are only shown, names that are there twice.

use super::machine::{Machine, ok, run, sha1, write_random};

#[test]
fn an_overwritten_file_keeps_its_id_and_gets_a_version() {
    let Some(mut m) = Machine::start("lark_drive,aliyundrive_open") else {
        return;
    };
    for seed in [1, 2] {
        write_random(&m.out(&format!("{seed}.bin")), 300_000, 900 + seed);
    }
    m.mount();
    let target = m.at("lark/f.bin");
    ok("cp", &[&m.out("1.bin"), &target]);
    m.tell("sync");
    let id = m.attribute("lark/f.bin", "user.pan.file_id");
    let version = m.attribute("lark/f.bin", "user.pan.version");
    assert!(!version.is_empty());
    ok("cp", &[&m.out("2.bin"), &target]);
    m.tell("sync");
    assert_eq!(m.attribute("lark/f.bin", "user.pan.file_id"), id);
    assert_ne!(m.attribute("lark/f.bin", "user.pan.version"), version);
    assert_eq!(sha1(&target), sha1(&m.out("2.bin")));
    // One entry, not two.
    assert_eq!(m.files("lark"), ["/f.bin"]);
}

#[test]
fn an_online_document_is_shown_and_cannot_be_changed() {
    let Some(mut m) = Machine::start("lark_drive") else {
        return;
    };
    m.tell("sim set lark add:/plan docx");
    m.tell("sim set lark add:/other.bin file:5000:7");
    m.mount();
    assert_eq!(m.names("lark"), ["other.bin", "plan.docx.url"]);
    let document = m.at("lark/plan.docx.url");
    let shown = std::fs::read_to_string(&document).unwrap();
    assert!(shown.contains("URL=http"), "{shown}");
    let refused = |program: &str, words: &[&str]| {
        let output = run(program, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{program} {words:?}");
        assert!(
            said.contains("Operation not permitted"),
            "{program}: {said}"
        );
    };
    refused("rm", &["-f", &document]);
    refused("mv", &[&document, &m.at("lark/renamed.url")]);
    refused("truncate", &["-s", "0", &document]);
    refused("sh", &["-c", &format!("echo x >> '{document}'")]);
    // Nor is it replaced.
    refused("mv", &[&m.at("lark/other.bin"), &document]);
    refused("cp", &[&m.at("lark/other.bin"), &document]);
    assert_eq!(std::fs::read_to_string(&document).unwrap(), shown);
    assert_eq!(m.names("lark"), ["other.bin", "plan.docx.url"]);
    for op in ["delete", "rename", "move", "upload_all"] {
        assert!(m.stat("lark")["requests"][op].is_null(), "{op}");
    }
}

#[test]
fn two_entries_of_one_name_can_both_be_read() {
    let Some(mut m) = Machine::start("lark_drive") else {
        return;
    };
    m.tell("sim set lark add:/twin.bin file:5000:1");
    m.tell("sim set lark add:/twin.bin file:7000:2");
    m.mount();
    let names = m.names("lark");
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains(&"twin.bin".to_owned()), "{names:?}");
    let mut read: Vec<(u64, String)> = names
        .iter()
        .map(|name| {
            let path = m.at(&format!("lark/{name}"));
            (std::fs::metadata(&path).unwrap().len(), sha1(&path))
        })
        .collect();
    read.sort();
    assert_eq!([read[0].0, read[1].0], [5000, 7000]);
    let mut there: Vec<String> = m
        .hashes("lark")
        .into_iter()
        .map(|(_, sha1)| sha1.to_lowercase())
        .collect();
    there.sort();
    let mut hashes: Vec<String> = read.into_iter().map(|(_, hash)| hash).collect();
    hashes.sort();
    assert_eq!(hashes, there);
}
