//! Conversations that make files: questions, slices, lost answers, the app's folder.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use super::create::{SLICE, md5_of};
use super::fast::{HEAD, ONE_SLICE, PROOF, WITH_BLOCKS};
use super::stand_in::{Act, again, start};
use crate::drive::{
    Attempt, ByteStream, Content, Conversation, Cost, Drive, ErrorKind, Node, NodeId, OnConflict,
    ReadBudget, Result, UploadRequest, UploadSession,
};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin, hash_all};

const OAUTH: &str = "official_oauth";

/// The bytes of every test: no two slices are the same.
pub fn content(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i / 257 + i * 31) as u8).collect()
}

/// A content of which some kinds are known.
struct Sample {
    bytes: Bytes,
    known: Fingerprints,
}

impl Sample {
    fn new(size: u64, kinds: &[Kind]) -> Sample {
        let bytes = Bytes::from(content(size as usize));
        let known = hash_all(kinds, &bytes).into_iter().map(|(kind, value)| {
            let known = Known {
                value: value.into(),
                origin: Origin::Computed,
                provider: "".into(),
                at: 0,
            };
            (kind, known)
        });
        Sample {
            known: known.collect(),
            bytes,
        }
    }

    fn part(&self, session: &UploadSession, number: u32) -> Bytes {
        let range = session.part_range(self.size(), number);
        self.bytes.slice(range.start as usize..range.end as usize)
    }
}

#[async_trait]
impl Content for Sample {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn known(&self) -> Fingerprints {
        self.known.clone()
    }
    async fn stream(&self, range: Range<u64>) -> Result<ByteStream> {
        let piece = self.bytes.slice(range.start as usize..range.end as usize);
        Ok(Box::pin(futures_util::stream::iter([Ok(piece)])))
    }
    fn cost(&self, kind: Kind) -> Cost {
        match kind {
            Kind::HeadMd5 { len } if len < self.size() => Cost::SmallRanges(len),
            _ => Cost::FullRead(self.size()),
        }
    }
    async fn learn(&self, kind: Kind) -> Result<Option<String>> {
        Ok(hash_all(&[kind], &self.bytes).pop().map(|(_, value)| value))
    }
}

fn request(name: &str, size: u64) -> UploadRequest {
    UploadRequest {
        parent: NodeId::new("/"),
        name: name.to_owned(),
        size,
        modified: Some(1_500_000_000_123),
        on_conflict: OnConflict::Refuse,
    }
}

async fn send_all(drive: &dyn Drive, session: &mut UploadSession, sample: &Sample) {
    for number in 1..=session.part_count(sample.size()) {
        if session.accepted.iter().any(|part| part.number == number) {
            continue;
        }
        let sent = drive.put_part(session, number, sample.part(session, number));
        let receipt = sent.await.unwrap();
        session.accepted.push(receipt);
    }
}

async fn upload(drive: &dyn Drive, request: &UploadRequest, sample: &Sample) -> Result<Node> {
    let conversation = Conversation::new(sample, ReadBudget::All);
    let mut session = drive.open_upload(request, &conversation).await?;
    send_all(drive, &mut session, sample).await;
    drive.commit_upload(request, &session, &conversation).await
}

#[tokio::test]
async fn a_known_md5_and_the_head_make_a_hit() {
    let (drive, server) = start(OAUTH).await;
    server.lock().unwrap().known = true;
    let sample = Sample::new(300_000, &[Kind::Md5]);
    let conversation = Conversation::new(&sample, ReadBudget::SMALL);
    let request = request("a b.bin", sample.size());
    // The answer is lost, the file is there: recognised, not made twice.
    server.lock().unwrap().act("precreate", Act::Lost(502, ""));
    let attempt = drive.fast_upload(&request, &conversation).await.unwrap();
    let Attempt::Hit { node, decided_by } = attempt else {
        panic!("a miss");
    };
    assert_eq!(decided_by, ONE_SLICE);
    assert_eq!(conversation.spent(), HEAD);
    assert_eq!((node.name.as_str(), node.size), ("a b.bin", 300_000));
    assert_eq!(node.version, md5_of(&sample.bytes));
    let listed = drive.list(&drive.root(), None).await.unwrap();
    assert_eq!(listed.nodes[0].version, node.version);
    assert_eq!(server.lock().unwrap().count("precreate"), 1);
}

#[tokio::test]
async fn a_question_over_the_budget_asks_nothing() {
    let (drive, server) = start(OAUTH).await;
    for (size, kinds, budget) in [
        (300_000, &[][..], ReadBudget::SMALL),
        (300_000, &[Kind::Md5][..], ReadBudget::None),
        (SLICE + 1, &[Kind::Md5][..], ReadBudget::SMALL),
    ] {
        let sample = Sample::new(size, kinds);
        let conversation = Conversation::new(&sample, budget);
        let asked = drive.fast_upload(&request("f", size), &conversation).await;
        assert!(matches!(asked.unwrap_err().kind, ErrorKind::OverBudget(_)));
    }
    assert!(server.lock().unwrap().seen.is_empty());
}

#[tokio::test]
async fn a_small_file_is_its_own_head() {
    let (drive, server) = start(OAUTH).await;
    server.lock().unwrap().known = true;
    let sample = Sample::new(1000, &[Kind::Md5, Kind::BAIDU_BLOCKS]);
    let conversation = Conversation::new(&sample, ReadBudget::None);
    let attempt = drive.fast_upload(&request("f", 1000), &conversation).await;
    let Attempt::Hit { decided_by, .. } = attempt.unwrap() else {
        panic!("a miss");
    };
    assert_eq!(decided_by, WITH_BLOCKS);
}

#[tokio::test]
async fn a_web_session_proves_that_it_has_the_content() {
    let (drive, server) = start("manual_cookie").await;
    server.lock().unwrap().known = true;
    let sample = Sample::new(300_000, &[Kind::Md5]);
    let conversation = Conversation::new(&sample, ReadBudget::SMALL);
    let attempt = drive
        .fast_upload(&request("f", 300_000), &conversation)
        .await;
    assert!(matches!(attempt.unwrap(), Attempt::Hit { .. }));
    assert_eq!(conversation.spent(), HEAD + PROOF);
    let form = server.lock().unwrap().last_form.clone();
    let number = |field: &str| form[field].parse::<u64>().unwrap();
    let range = crate::fingerprint::baidu_proof_range(
        987_654_321_012,
        &md5_of(&sample.bytes),
        number("data_time"),
        300_000,
    );
    assert_eq!(
        (number("data_offset"), number("data_length")),
        (range.start, PROOF)
    );
    let bytes = &sample.bytes[range.start as usize..range.end as usize];
    assert_eq!(
        form["data_content"],
        crate::fingerprint::baidu_proof_content(bytes)
    );
    assert_eq!(form["target_path"], "/");
}

#[tokio::test]
async fn a_miss_goes_on_in_slices_whatever_is_lost_on_the_way() {
    let (drive, server) = start(OAUTH).await;
    let size = 2 * SLICE + 12_345;
    let sample = Sample::new(size, WITH_BLOCKS);
    let conversation = Conversation::new(&sample, ReadBudget::None);
    let request = request("three.bin", size);
    let attempt = drive.fast_upload(&request, &conversation).await.unwrap();
    let Attempt::Miss(Some(mut session)) = attempt else {
        panic!("no session");
    };
    assert_eq!((session.part_count(size), session.accepted.len()), (3, 0));
    {
        let mut server = server.lock().unwrap();
        // Other bytes arrived, an answer was lost, and so was the commit's.
        server.act(
            "superfile2",
            Act::Lost(200, r#"{"md5":"00000000000000000000000000000000"}"#),
        );
        server.act("superfile2", Act::Lost(502, ""));
        server.act("create", Act::Lost(502, "<html>"));
    }
    send_all(&*drive, &mut session, &sample).await;
    let node = drive
        .commit_upload(&request, &session, &conversation)
        .await
        .unwrap();
    assert_eq!(node.size, size);
    assert_eq!(node.modified, 1_500_000_000_000);
    let again = again(OAUTH, &server);
    let second = again.commit_upload(&request, &session, &conversation).await;
    assert_eq!(
        second.unwrap().id,
        node.id,
        "a second commit finds the first"
    );
    let server = server.lock().unwrap();
    assert_eq!(server.count("superfile2"), 5);
    assert_eq!(server.tree["/three.bin"].bytes, sample.bytes);
    assert_eq!(server.tree["/three.bin"].local.1, 1_500_000_000);
}

#[tokio::test]
async fn a_session_is_taken_up_where_it_was() {
    let (drive, server) = start(OAUTH).await;
    let size = 2 * SLICE + 5;
    let sample = Sample::new(size, WITH_BLOCKS);
    let conversation = Conversation::new(&sample, ReadBudget::All);
    let request = request("f.bin", size);
    let mut session = drive.open_upload(&request, &conversation).await.unwrap();
    let first = drive.put_part(&session, 1, sample.part(&session, 1)).await;
    session.accepted.push(first.unwrap());
    let text = serde_json::to_string(&session).unwrap();
    let kept: UploadSession = serde_json::from_str(&text).unwrap();
    let again = again(OAUTH, &server);
    let resumed = again.resume_upload(&request, kept.clone()).await.unwrap();
    let mut session = resumed.expect("a session that lives");
    let numbers: Vec<u32> = session.accepted.iter().map(|part| part.number).collect();
    assert_eq!(numbers, [1]);
    send_all(&*again, &mut session, &sample).await;
    again
        .commit_upload(&request, &session, &conversation)
        .await
        .unwrap();
    assert_eq!(server.lock().unwrap().count("superfile2"), 3);
    // One that the service called dead starts anew.
    let dead = r#"{"error_code":31355,"error_msg":"uploadid expired"}"#;
    server
        .lock()
        .unwrap()
        .act("superfile2", Act::Instead(403, dead));
    let error = again.put_part(&kept, 2, sample.part(&kept, 2)).await;
    assert_eq!(error.unwrap_err().code.as_deref(), Some("31355"));
    assert_eq!(again.resume_upload(&request, kept).await.unwrap(), None);
}

#[tokio::test]
async fn a_name_that_is_taken_is_never_written_to() {
    let (drive, server) = start(OAUTH).await;
    let sample = Sample::new(1000, WITH_BLOCKS);
    let conversation = Conversation::new(&sample, ReadBudget::All);
    server.lock().unwrap().put("/dir", true, b"");
    let error = upload(&*drive, &request("dir", 1000), &sample).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Exists);
    assert_eq!(server.lock().unwrap().count("precreate"), 0);
    // Taken meanwhile, by other bytes of the same size.
    let request = request("raced", 1000);
    let mut session = drive.open_upload(&request, &conversation).await.unwrap();
    send_all(&*drive, &mut session, &sample).await;
    server.lock().unwrap().put("/raced", false, &[7; 1000]);
    let error = drive.commit_upload(&request, &session, &conversation).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Exists);
    drive.abandon_upload(&session).await.unwrap();
    drive.abandon_upload(&session).await.unwrap();
    assert_eq!(server.lock().unwrap().tree["/raced"].bytes, [7; 1000]);
}

#[tokio::test]
async fn what_a_lost_commit_made_is_taken_back_when_it_is_abandoned() {
    let (drive, server) = start(OAUTH).await;
    let sample = Sample::new(1000, WITH_BLOCKS);
    let conversation = Conversation::new(&sample, ReadBudget::All);
    let request = request("f", 1000);
    let mut session = drive.open_upload(&request, &conversation).await.unwrap();
    send_all(&*drive, &mut session, &sample).await;
    {
        let mut server = server.lock().unwrap();
        server.act("create", Act::Lost(502, ""));
        server.act("list", Act::Instead(200, r#"{"errno":2}"#));
        server.act("create", Act::Instead(200, r#"{"errno":31365}"#));
    }
    let error = drive.commit_upload(&request, &session, &conversation).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::TooLarge);
    assert!(server.lock().unwrap().tree.contains_key("/f"));
    drive.abandon_upload(&session).await.unwrap();
    assert!(!server.lock().unwrap().tree.contains_key("/f"));
}

#[tokio::test]
async fn an_app_that_is_confined_uploads_in_its_folder_and_moves() {
    let (drive, server) = start(OAUTH).await;
    {
        let mut server = server.lock().unwrap();
        server.put("/apps", true, b"");
        server.put("/apps/demo", true, b"");
        server.only_in_app = true;
    }
    let sample = Sample::new(1000, WITH_BLOCKS);
    let made = upload(&*drive, &request("f.bin", 1000), &sample)
        .await
        .unwrap();
    assert_eq!((made.name.as_str(), made.parent.as_str()), ("f.bin", "/"));
    server.lock().unwrap().known = true;
    let conversation = Conversation::new(&sample, ReadBudget::All);
    let attempt = drive
        .fast_upload(&request("g.bin", 1000), &conversation)
        .await;
    assert!(matches!(attempt.unwrap(), Attempt::Hit { node, .. } if node.name == "g.bin"));
    let server = server.lock().unwrap();
    let files: Vec<_> = server.tree.iter().filter(|(_, item)| !item.dir).collect();
    assert_eq!(files.len(), 2);
    assert!(server.tree.contains_key("/f.bin") && server.tree.contains_key("/g.bin"));
    // The first was refused at its place; the second did not try.
    assert_eq!(server.count("precreate"), 3);
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_before_anything_is_asked() {
    let (drive, server) = start(OAUTH).await;
    let empty = Sample::new(0, WITH_BLOCKS);
    let error = upload(&*drive, &request("f", 0), &empty).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    let sample = Sample::new(10, WITH_BLOCKS);
    let huge = request("f", super::create::MAX_FILE + 1);
    let error = upload(&*drive, &huge, &sample).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert!(server.lock().unwrap().seen.is_empty());
    // A VIP of 10 GiB at most.
    let error = upload(&*drive, &request("f", 11 << 30), &sample).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::TooLarge);
    assert_eq!(server.lock().unwrap().seen, ["uinfo"]);
}

#[tokio::test]
async fn a_source_that_changed_is_noticed_at_its_slice() {
    let (drive, _server) = start(OAUTH).await;
    let sample = Sample::new(1000, WITH_BLOCKS);
    let conversation = Conversation::new(&sample, ReadBudget::All);
    let opened = drive.open_upload(&request("f", 1000), &conversation).await;
    let session = opened.unwrap();
    let sent = drive.put_part(&session, 1, Bytes::from(vec![0; 1000]));
    assert_eq!(sent.await.unwrap_err().kind, ErrorKind::Changed);
}
