//! Uploads: in one piece, in one request of many parts, and in chunks.

use super::upload::{PART, SINGLE};
use super::*;

fn request(name: &str, bytes: &Bytes) -> UploadRequest {
    UploadRequest {
        parent: NodeId::new("d"),
        name: name.to_owned(),
        size: bytes.len() as u64,
        modified: Some(1_700_000_000_500),
        on_conflict: OnConflict::Refuse,
    }
}

fn slice(session: &UploadSession, bytes: &Bytes, number: u32) -> Bytes {
    let range = session.part_range(bytes.len() as u64, number);
    bytes.slice(range.start as usize..range.end as usize)
}

async fn open_one(drive: &dyn Drive, name: &str, source: &Source) -> Result<UploadSession> {
    let conversation = Conversation::new(source, ReadBudget::None);
    drive
        .open_upload(&request(name, &source.0), &conversation)
        .await
}

async fn send(drive: &dyn Drive, session: &mut UploadSession, bytes: &Bytes) -> Result<()> {
    for number in 1..=session.part_count(bytes.len() as u64) {
        let part = slice(session, bytes, number);
        let policy = crate::net::RetryPolicy::INTERACTIVE;
        let kept = &*session;
        let sent = crate::net::retry(policy, || drive.put_part(kept, number, part.clone()));
        let receipt = sent.await?;
        session.accepted.push(receipt);
    }
    Ok(())
}

async fn commit(
    drive: &dyn Drive,
    name: &str,
    session: &UploadSession,
    source: &Source,
) -> Result<Node> {
    let conversation = Conversation::new(source, ReadBudget::None);
    let request = request(name, &source.0);
    drive.commit_upload(&request, session, &conversation).await
}

async fn whole(stand: &Stand, drive: &dyn Drive, size: usize) -> Result<(UploadSession, Node)> {
    let source = Source(bytes(size), true);
    let mut session = open_one(drive, "f.bin", &source).await?;
    assert_eq!(stand.get("/dav/d/f.bin"), None);
    send(drive, &mut session, &source.0).await?;
    assert_eq!(stand.get("/dav/d/f.bin"), None, "visible before the commit");
    let names = drive.list(&NodeId::new("d"), None).await?.nodes;
    assert!(names.is_empty(), "{names:?}");
    let node = commit(drive, "f.bin", &session, &source).await?;
    assert!(stand.get("/dav/d/f.bin").unwrap() == source.0);
    assert_eq!((node.id.as_str(), node.size), ("d/f.bin", size as u64));
    Ok((session, node))
}

fn large() -> usize {
    SINGLE as usize + 12_345
}

#[tokio::test]
async fn small_files_are_one_request() {
    for size in [0, 1, 70_000] {
        let stand = Stand::plain().await;
        let drive = stand.drive();
        let (session, node) = whole(&stand, &*drive, size).await.unwrap();
        assert_eq!((session.parallel, session.accepted.len()), (1, 1));
        assert_eq!(stand.count("PUT"), 1);
        assert_eq!(stand.header("PUT", "x-oc-mtime").unwrap(), "1700000000");
        assert_eq!(stand.header("PUT", "content-range"), None);
        assert_eq!(stand.header("MOVE", "overwrite").unwrap(), "F");
        assert_eq!(stand.paths(), ["/dav/d/f.bin"]);
        // The process ended before the journal knew: another one commits again.
        let source = Source(bytes(size), false);
        let again = commit(&*stand.drive(), "f.bin", &session, &source).await;
        assert_eq!(again.unwrap().id, node.id);
    }
}

#[tokio::test]
async fn an_upload_makes_the_calls_that_are_declared() {
    for (tags, saved) in [(false, 0), (true, 1)] {
        let manners = Manners {
            tags,
            ..Manners::default()
        };
        let stand = Stand::start(manners, |_| Act::Serve).await;
        let drive = stand.drive();
        let source = Source(bytes(70_000), false);
        let mut session = open_one(&*drive, "f.bin", &source).await.unwrap();
        send(&*drive, &mut session, &source.0).await.unwrap();
        let node = commit(&*drive, "f.bin", &session, &source).await.unwrap();
        // Whoever copied looks at what came of it.
        assert_eq!(drive.stat(&node.id).await.unwrap(), node);
        let calls = stand.count("PROPFIND") + stand.count("MOVE");
        let declared = drive.capabilities().calls.upload as usize;
        assert_eq!(calls + saved, declared);
        assert_eq!(stand.count("PUT"), 1);
        // By its tag alone the file is known again.
        let again = commit(&*stand.drive(), "f.bin", &session, &source).await;
        assert_eq!(again.unwrap().id, node.id);
        assert_eq!(stand.count("MOVE"), 1);
        let wanted = request("f.bin", &source.0);
        let resumed = drive.resume_upload(&wanted, session).await.unwrap();
        assert_eq!(resumed.unwrap().accepted.len(), 1);
    }
}

#[tokio::test]
async fn large_files_are_one_request_of_many_parts() {
    let stand = Stand::plain().await;
    let drive = stand.drive();
    let (session, _) = whole(&stand, &*drive, large()).await.unwrap();
    assert_eq!((session.part_size, session.parallel), (PART, 1));
    assert_eq!(session.accepted.len(), 3);
    assert_eq!(stand.count("PUT"), 1);
    let length = stand.header("PUT", "content-length").unwrap();
    assert_eq!(length, large().to_string());
    assert_eq!(stand.header("PUT", "transfer-encoding"), None);
    assert_eq!(stand.paths(), ["/dav/d/f.bin"]);
}

#[tokio::test]
async fn a_large_file_goes_by_digest_without_a_body_in_vain() {
    let manners = Manners {
        digest: true,
        ..Manners::default()
    };
    let stand = Stand::start(manners, |_| Act::Serve).await;
    let drive = stand.drive_as("digest", "/dav", &[]);
    whole(&stand, &*drive, large()).await.unwrap();
    assert_eq!(stand.count("PUT"), 1);
}

#[tokio::test]
async fn a_request_that_breaks_in_its_first_part_begins_anew() {
    let stand = Stand::start(Manners::default(), |line| {
        static STRUCK: Mutex<bool> = Mutex::new(false);
        let mut struck = STRUCK.lock().unwrap();
        match line.starts_with("PUT") && !std::mem::replace(&mut *struck, true) {
            true => Act::Cut(100_000),
            false => Act::Serve,
        }
    })
    .await;
    let drive = stand.drive();
    let source = Source(bytes(large()), false);
    let mut session = open_one(&*drive, "f.bin", &source).await.unwrap();
    send(&*drive, &mut session, &source.0).await.unwrap();
    commit(&*drive, "f.bin", &session, &source).await.unwrap();
    assert_eq!(stand.count("PUT"), 2);
    assert!(stand.get("/dav/d/f.bin").unwrap() == source.0);
}

#[tokio::test]
async fn a_request_that_breaks_later_ends_the_upload() {
    let stand = Stand::start(Manners::default(), |line| match line.starts_with("PUT") {
        true => Act::Cut(PART as usize + 3_000_000),
        false => Act::Serve,
    })
    .await;
    let drive = stand.drive();
    let source = Source(bytes(large()), false);
    let mut session = open_one(&*drive, "f.bin", &source).await.unwrap();
    let error = send(&*drive, &mut session, &source.0).await.unwrap_err();
    assert_eq!(error.retry, crate::net::Retry::Never);
    assert_eq!(stand.count("PUT"), 1);
    // The fragment is there, under a name of ours; taking it up again removes it.
    assert_eq!(stand.paths().len(), 1);
    let request = request("f.bin", &source.0);
    let resumed = drive.resume_upload(&request, session).await.unwrap();
    assert!(resumed.is_none());
    assert!(stand.paths().is_empty(), "{:?}", stand.paths());
}

#[tokio::test]
async fn a_lost_answer_of_the_last_part_is_looked_for() {
    for size in [70_000, large()] {
        let stand = Stand::start(Manners::default(), |line| match line.starts_with("PUT") {
            true => Act::DropAnswer,
            false => Act::Serve,
        })
        .await;
        let drive = stand.drive();
        whole(&stand, &*drive, size).await.unwrap();
        assert_eq!(stand.count("PUT"), 1);
    }
}

#[tokio::test]
async fn a_refusal_on_the_way_is_told() {
    let stand = Stand::start(Manners::default(), |line| match line.starts_with("PUT") {
        true => Act::Status(507),
        false => Act::Serve,
    })
    .await;
    let drive = stand.drive();
    for size in [70_000, large()] {
        let source = Source(bytes(size), false);
        let mut session = open_one(&*drive, "f.bin", &source).await.unwrap();
        let error = send(&*drive, &mut session, &source.0).await.unwrap_err();
        // A connection that was closed under a body may hide the answer.
        assert!(
            matches!(error.kind, ErrorKind::QuotaFull | ErrorKind::Network),
            "{error}"
        );
        drive.abandon_upload(&session).await.unwrap();
        drive.abandon_upload(&session).await.unwrap();
    }
    assert!(stand.paths().is_empty());
}

#[tokio::test]
async fn parts_are_wanted_in_order_and_taken_twice() {
    let stand = Stand::plain().await;
    let drive = stand.drive();
    let source = Source(bytes(large()), false);
    let mut session = open_one(&*drive, "f.bin", &source).await.unwrap();
    let part = |number| slice(&session, &source.0, number);
    let early = drive.put_part(&session, 2, part(2)).await.unwrap_err();
    assert_eq!(early.kind, ErrorKind::NotFound);
    let wrong = drive.put_part(&session, 1, part(3)).await.unwrap_err();
    assert_eq!(wrong.kind, ErrorKind::Invalid);
    let mut receipts = Vec::new();
    for number in [1, 1, 2, 2, 3, 3] {
        receipts.push(
            drive
                .put_part(&session, number, part(number))
                .await
                .unwrap(),
        );
    }
    assert_eq!(receipts[4], receipts[5]);
    assert!(!receipts[5].tag.is_empty());
    session.accepted = vec![receipts.remove(5)];
    commit(&*drive, "f.bin", &session, &source).await.unwrap();
    assert!(stand.get("/dav/d/f.bin").unwrap() == source.0);
}

#[tokio::test]
async fn an_abandoned_upload_leaves_nothing() {
    for parts in 0..3 {
        let stand = Stand::plain().await;
        let drive = stand.drive();
        let source = Source(bytes(large()), false);
        let session = open_one(&*drive, "f.bin", &source).await.unwrap();
        for number in 1..=parts {
            let part = slice(&session, &source.0, number);
            drive.put_part(&session, number, part).await.unwrap();
        }
        drive.abandon_upload(&session).await.unwrap();
        assert!(stand.paths().is_empty(), "{:?}", stand.paths());
    }
}

#[tokio::test]
async fn taken_names_and_missing_directories_are_refused() {
    let stand = Stand::plain().await;
    stand.put("/dav/d/f.bin", b"theirs");
    let drive = stand.drive();
    let source = Source(bytes(10), false);
    // What is large is not sent in vain; what is small is refused with its one look, at the end.
    let bulky = Source(bytes(large()), false);
    let error = open_one(&*drive, "f.bin", &bulky).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(stand.count("PUT"), 0);
    let mut session = open_one(&*drive, "f.bin", &source).await.unwrap();
    send(&*drive, &mut session, &source.0).await.unwrap();
    let error = commit(&*drive, "f.bin", &session, &source).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Exists);
    assert_eq!(stand.count("MOVE"), 0);
    assert_eq!(stand.get("/dav/d/f.bin").unwrap(), "theirs");
    drive.abandon_upload(&session).await.unwrap();
    // Taken meanwhile.
    let mut session = open_one(&*drive, "g.bin", &source).await.unwrap();
    send(&*drive, &mut session, &source.0).await.unwrap();
    stand.put("/dav/d/g.bin", b"theirs");
    let error = commit(&*drive, "g.bin", &session, &source).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Exists);
    assert_eq!(stand.get("/dav/d/g.bin").unwrap(), "theirs");
    drive.abandon_upload(&session).await.unwrap();
    assert_eq!(stand.paths(), ["/dav/d/f.bin", "/dav/d/g.bin"]);
    let mut orphan = request("h.bin", &source.0);
    orphan.parent = NodeId::new("gone");
    let conversation = Conversation::new(&source, ReadBudget::None);
    let error = drive.open_upload(&orphan, &conversation).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    let mut replacing = request("h.bin", &source.0);
    replacing.on_conflict = OnConflict::Replace;
    let error = drive.open_upload(&replacing, &conversation).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Unsupported);
}

const CLOUD_PATH: &str = "/remote.php/dav/files/me";

async fn nextcloud(script: impl Fn(&str) -> Act + Send + Sync + 'static) -> Stand {
    let stand = Stand::start(Manners::default(), script).await;
    for dir in ["/files/me", "/files/me/d", "/uploads/me"] {
        stand.make_dir(&format!("/remote.php/dav{dir}"));
    }
    stand
}

#[tokio::test]
async fn chunks_go_in_any_order_and_are_taken_up_again() {
    let stand = nextcloud(|_| Act::Serve).await;
    let drive = stand.drive_as("basic", CLOUD_PATH, &[]);
    assert!(drive.capabilities().upload.resumable);
    let source = Source(bytes(large()), true);
    let session = open_one(&*drive, "f.bin", &source).await.unwrap();
    assert!(session.parallel > 1);
    for number in [3, 1] {
        let part = slice(&session, &source.0, number);
        drive.put_part(&session, number, part).await.unwrap();
    }
    let again = stand.drive_as("basic", CLOUD_PATH, &[]);
    let wanted = request("f.bin", &source.0);
    let session = again
        .resume_upload(&wanted, session)
        .await
        .unwrap()
        .unwrap();
    let known: Vec<u32> = session.accepted.iter().map(|part| part.number).collect();
    assert_eq!(known, [1, 3]);
    let part = slice(&session, &source.0, 2);
    again.put_part(&session, 2, part).await.unwrap();
    let node = commit(&*again, "f.bin", &session, &source).await.unwrap();
    assert_eq!(node.size, source.0.len() as u64);
    let stored = stand.get("/remote.php/dav/files/me/d/f.bin");
    assert!(stored.unwrap() == source.0);
    let sum = hash_all(&[Kind::Sha1], &source.0).remove(0).1;
    assert_eq!(
        stand.header("MOVE", "oc-checksum").unwrap(),
        format!("SHA1:{sum}")
    );
    let told = stand.header("PUT", "destination").unwrap();
    assert!(told.ends_with("/remote.php/dav/files/me/d/f.bin"), "{told}");
    // Committed twice.
    let mut session = session;
    session.accepted.push(session.accepted[0].clone());
    let second = commit(&*drive, "f.bin", &session, &source).await.unwrap();
    assert_eq!(second.id, node.id);
}

#[tokio::test]
async fn a_lost_answer_of_the_assembly_is_looked_for() {
    let stand = nextcloud(|line| match line.starts_with("MOVE") {
        true => Act::DropAnswer,
        false => Act::Serve,
    })
    .await;
    let drive = stand.drive_as("basic", CLOUD_PATH, &[]);
    let source = Source(bytes(large()), false);
    let mut session = open_one(&*drive, "f.bin", &source).await.unwrap();
    send(&*drive, &mut session, &source.0).await.unwrap();
    commit(&*drive, "f.bin", &session, &source).await.unwrap();
    assert_eq!(stand.count("MOVE"), 1);
}

#[tokio::test]
async fn abandoned_chunks_go_and_chunks_may_be_refused() {
    let stand = nextcloud(|_| Act::Serve).await;
    let drive = stand.drive_as("basic", CLOUD_PATH, &[]);
    let before = stand.paths();
    let source = Source(bytes(large()), false);
    let session = open_one(&*drive, "f.bin", &source).await.unwrap();
    let part = slice(&session, &source.0, 1);
    drive.put_part(&session, 1, part).await.unwrap();
    assert!(stand.paths().len() > before.len());
    drive.abandon_upload(&session).await.unwrap();
    assert_eq!(stand.paths(), before);
    let wanted = request("f.bin", &source.0);
    let gone = drive.resume_upload(&wanted, session).await.unwrap();
    assert!(gone.is_none());
    // By wish, or where the server has none.
    let plain = stand.drive_as("basic", CLOUD_PATH, &[("chunks", "never")]);
    let session = open_one(&*plain, "f.bin", &source).await.unwrap();
    assert_eq!(session.parallel, 1);
    stand
        .files
        .lock()
        .unwrap()
        .all
        .remove("/remote.php/dav/uploads/me");
    let drive = stand.drive_as("basic", CLOUD_PATH, &[]);
    let session = open_one(&*drive, "f.bin", &source).await.unwrap();
    assert_eq!(session.parallel, 1);
}

#[tokio::test]
async fn small_files_carry_their_checksum_to_a_cloud() {
    let stand = nextcloud(|_| Act::Serve).await;
    let drive = stand.drive_as("basic", CLOUD_PATH, &[]);
    let source = Source(bytes(1000), false);
    let mut session = open_one(&*drive, "f.bin", &source).await.unwrap();
    send(&*drive, &mut session, &source.0).await.unwrap();
    let sum = hash_all(&[Kind::Sha1], &source.0).remove(0).1;
    assert_eq!(
        stand.header("PUT", "oc-checksum").unwrap(),
        format!("SHA1:{sum}")
    );
    drive.abandon_upload(&session).await.unwrap();
}

#[tokio::test]
async fn what_a_server_would_lose_of_a_name_has_a_twin_there() {
    let manners = Manners {
        loses: true,
        ..Manners::default()
    };
    let stand = Stand::start(manners, |_| Act::Serve).await;
    let drive = stand.drive();
    let source = Source(bytes(300), true);
    // Its first request of all: who the server is decides about the name.
    let mut session = open_one(&*drive, "a;b?c", &source).await.unwrap();
    send(&*drive, &mut session, &source.0).await.unwrap();
    let file = commit(&*drive, "a;b?c", &session, &source).await.unwrap();
    assert_eq!(file.name, "a;b?c");
    let spelled = "/dav/d/a\u{ff1b}b\u{ff1f}c";
    assert_eq!(stand.paths(), [spelled]);
    let dir = drive.mkdir(&file.parent, "why?").await.unwrap();
    let copy = drive.copy(&file, &dir.id, "again?").await.unwrap();
    let renamed = drive.rename(&copy, "once;more").await.unwrap();
    assert_eq!((&*dir.name, &*copy.name), ("why?", "again?"));
    assert_eq!(drive.stat(&renamed.id).await.unwrap().name, "once;more");
    let listed = drive.list(&file.parent, None).await.unwrap().nodes;
    let names: Vec<&str> = listed.iter().map(|node| &*node.name).collect();
    assert_eq!(names, ["a;b?c", "why?"]);
    // Names that somebody else gave are read, and never moved to where they would not be found.
    stand.put("/dav/d/real?", b"x");
    let real = drive.stat(&NodeId::new("d/real%3F")).await.unwrap();
    let moved = drive.move_to(&real, &dir.id).await.unwrap_err();
    assert_eq!(moved.kind, ErrorKind::Invalid);
    assert_eq!(stand.get("/dav/d/real?").unwrap(), "x");
}
