//! Uploads: in one piece and in parts, and answers that nobody hears.

use std::sync::atomic::{AtomicBool, Ordering};

use super::upload::{PART, SINGLE};
use super::*;

fn request(name: &str, bytes: &Bytes, on_conflict: OnConflict) -> UploadRequest {
    UploadRequest {
        parent: NodeId::new("d"),
        name: name.to_owned(),
        size: bytes.len() as u64,
        modified: None,
        on_conflict,
    }
}

struct Upload<'a> {
    drive: &'a dyn Drive,
    request: UploadRequest,
    source: Source,
}

impl<'a> Upload<'a> {
    fn of(drive: &'a dyn Drive, name: &str, bytes: &Bytes) -> Upload<'a> {
        Upload {
            drive,
            request: request(name, bytes, OnConflict::Refuse),
            source: Source(bytes.clone()),
        }
    }

    fn replacing(mut self) -> Self {
        self.request.on_conflict = OnConflict::Replace;
        self
    }

    async fn open(&self, free: bool) -> Result<UploadSession> {
        let conversation = Conversation::new(&self.source, ReadBudget::None);
        let conversation = conversation.knowing_the_name_is_free(free);
        self.drive.open_upload(&self.request, &conversation).await
    }

    async fn send(&self, session: &mut UploadSession, number: u32) -> Result<()> {
        let range = session.part_range(self.request.size, number);
        let part = self
            .source
            .0
            .slice(range.start as usize..range.end as usize);
        let receipt = self.drive.put_part(session, number, part).await?;
        session.accepted.push(receipt);
        Ok(())
    }

    async fn send_all(&self, session: &mut UploadSession) -> Result<()> {
        for number in 1..=session.part_count(self.request.size) {
            self.send(session, number).await?;
        }
        Ok(())
    }

    async fn commit(&self, session: &UploadSession) -> Result<Node> {
        let conversation = Conversation::new(&self.source, ReadBudget::None);
        self.drive
            .commit_upload(&self.request, session, &conversation)
            .await
    }

    async fn whole(&self, free: bool) -> Result<(UploadSession, Node)> {
        let mut session = self.open(free).await?;
        self.send_all(&mut session).await?;
        let node = self.commit(&session).await?;
        Ok((session, node))
    }
}

fn large() -> Bytes {
    bytes((SINGLE + 12_345) as usize)
}

#[tokio::test]
async fn small_files_are_one_request_and_have_their_md5() {
    for size in [0, 1, 70_000] {
        let stand = Stand::plain().await;
        let drive = stand.drive();
        let content = bytes(size);
        let upload = Upload::of(&*drive, "f +.bin", &content);
        let mut session = upload.open(true).await.unwrap();
        upload.send_all(&mut session).await.unwrap();
        assert!(stand.keys().is_empty(), "visible before the commit");
        assert_eq!(stand.count(""), 0);
        let node = upload.commit(&session).await.unwrap();
        assert_eq!(stand.get("d/f +.bin").unwrap(), content);
        assert_eq!(
            (node.id.as_str(), node.size),
            ("d/f%20%2B.bin", size as u64)
        );
        let known = node.fingerprints.get(Kind::Md5).unwrap();
        assert_eq!(*known.value, md5(&content));
        assert_eq!(
            (stand.count("PUT"), stand.count("HEAD"), stand.count("")),
            (1, 1, 2)
        );
        assert_eq!(stand.header("PUT", "if-none-match").unwrap(), "*");
        assert!(stand.header("PUT", "content-md5").is_some());
    }
}

#[tokio::test]
async fn large_files_go_in_parts_and_appear_at_once() {
    let stand = Stand::plain().await;
    let drive = stand.drive();
    let content = large();
    let upload = Upload::of(&*drive, "f", &content);
    let mut session = upload.open(true).await.unwrap();
    assert_eq!((session.part_size, session.parallel), (PART, 4));
    upload.send_all(&mut session).await.unwrap();
    assert!(stand.keys().is_empty());
    let node = upload.commit(&session).await.unwrap();
    assert_eq!(stand.get("d/f").unwrap(), content);
    // Its ETag is no MD5.
    assert!(node.version.ends_with("-3"));
    assert!(node.fingerprints.get(Kind::Md5).is_none());
    assert_eq!(
        stand.header("POST d/f?uploadId", "if-none-match").unwrap(),
        "*"
    );
    // Nothing is left; a second commit is the first one.
    assert_eq!(stand.uploads(), 0);
    assert_eq!(upload.commit(&session).await.unwrap(), node);
    drive.abandon_upload(&session).await.unwrap();
    assert_eq!(stand.get("d/f").unwrap(), content);
}

#[tokio::test]
async fn a_taken_name_is_refused_or_replaced_at_once() {
    for size in [5, SINGLE as usize + 5] {
        for kind in [
            Manners::default(),
            Manners {
                careless: true,
                ..Manners::default()
            },
            Manners {
                strict: true,
                ..Manners::default()
            },
        ] {
            let stand = Stand::with(kind).await;
            let drive = stand.drive();
            let content = bytes(size);
            stand.put("d/f", b"old");
            let upload = Upload::of(&*drive, "f", &content);
            let error = upload.open(false).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Exists);
            // Somebody takes the name after the look.
            let late = Upload::of(&*drive, "g", &content);
            let mut session = late.open(false).await.unwrap();
            late.send_all(&mut session).await.unwrap();
            stand.put("d/g", b"theirs");
            let looks = !kind.careless && !kind.strict;
            if looks || size > SINGLE as usize {
                let error = late.commit(&session).await.unwrap_err();
                assert_eq!(error.kind, ErrorKind::Exists, "{size}");
                assert_eq!(stand.get("d/g").unwrap(), "theirs");
            }
            drive.abandon_upload(&session).await.unwrap();
            assert_eq!(stand.uploads(), 0);
            let upload = upload.replacing();
            let (_, node) = upload.whole(false).await.unwrap();
            assert_eq!(node.size, size as u64);
            assert_eq!(stand.get("d/f").unwrap(), content);
        }
    }
    let stand = Stand::plain().await;
    stand.put("d/f/x", b"");
    let drive = stand.drive();
    for upload in [
        Upload::of(&*drive, "f", &bytes(1)),
        Upload::of(&*drive, "f", &bytes(1)).replacing(),
    ] {
        let error = upload.open(false).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Exists);
    }
    let nowhere = UploadRequest {
        parent: NodeId::new("no"),
        ..request("f", &bytes(1), OnConflict::Refuse)
    };
    let source = Source(bytes(1));
    let conversation = Conversation::new(&source, ReadBudget::None);
    let error = drive
        .open_upload(&nowhere, &conversation)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn uploads_in_parts_survive_a_restart() {
    let kind = Manners {
        page: 1,
        ..Manners::default()
    };
    let stand = Stand::with(kind).await;
    let content = large();
    let session = {
        let drive = stand.drive();
        let upload = Upload::of(&*drive, "f", &content);
        let mut session = upload.open(true).await.unwrap();
        upload.send(&mut session, 1).await.unwrap();
        upload.send(&mut session, 3).await.unwrap();
        session.accepted.clear();
        session
    };
    let drive = stand.drive();
    let upload = Upload::of(&*drive, "f", &content);
    let resumed = drive.resume_upload(&upload.request, session.clone()).await;
    let mut resumed = resumed.unwrap().unwrap();
    let has: Vec<u32> = resumed.accepted.iter().map(|part| part.number).collect();
    assert_eq!(has, [1, 3]);
    upload.send(&mut resumed, 2).await.unwrap();
    upload.commit(&resumed).await.unwrap();
    assert_eq!(stand.get("d/f").unwrap(), content);
    // Taken up once more: it is through. Without its parts' tags it is not known any more.
    let through = drive.resume_upload(&upload.request, resumed.clone()).await;
    assert_eq!(through.unwrap(), Some(resumed));
    let unknown = drive.resume_upload(&upload.request, session).await;
    assert_eq!(unknown.unwrap(), None);
}

#[tokio::test]
async fn an_abandoned_upload_leaves_nothing() {
    let stand = Stand::plain().await;
    let content = large();
    let session = {
        let drive = stand.drive();
        let upload = Upload::of(&*drive, "f", &content);
        let mut session = upload.open(true).await.unwrap();
        upload.send(&mut session, 1).await.unwrap();
        session
    };
    assert_eq!(stand.uploads(), 1);
    let drive = stand.drive();
    drive.abandon_upload(&session).await.unwrap();
    drive.abandon_upload(&session).await.unwrap();
    assert_eq!((stand.uploads(), stand.keys().len()), (0, 0));
    // Under another path it cannot go on.
    let upload = Upload::of(&*drive, "f", &content);
    let session = upload.open(true).await.unwrap();
    let elsewhere = Upload::of(&*drive, "g", &content);
    let resumed = drive.resume_upload(&elsewhere.request, session).await;
    assert_eq!((resumed.unwrap(), stand.uploads()), (None, 0));
}

#[tokio::test]
async fn a_lost_answer_is_found_out() {
    for (size, begin) in [
        (70_000, "PUT d/f"),
        (SINGLE as usize + 9, "POST d/f?uploadId"),
    ] {
        let once = AtomicBool::new(true);
        let script = move |line: &str| {
            let first = line == begin && once.swap(false, Ordering::SeqCst);
            if first { Act::DropAnswer } else { Act::Serve }
        };
        let stand = Stand::start(Manners::default(), script).await;
        let drive = stand.drive();
        let content = bytes(size);
        let (_, node) = Upload::of(&*drive, "f", &content)
            .whole(true)
            .await
            .unwrap();
        assert_eq!((node.size, stand.count(begin)), (size as u64, 1));
        assert_eq!(stand.get("d/f").unwrap(), content);
    }
}

#[tokio::test]
async fn a_join_that_fails_behind_its_success_is_tried_again() {
    let once = AtomicBool::new(true);
    let script = move |line: &str| {
        let first = line == "POST d/f?uploadId" && once.swap(false, Ordering::SeqCst);
        if first {
            Act::Hidden("InternalError")
        } else {
            Act::Serve
        }
    };
    let stand = Stand::start(Manners::default(), script).await;
    let drive = stand.drive();
    let content = large();
    Upload::of(&*drive, "f", &content)
        .whole(true)
        .await
        .unwrap();
    assert_eq!(stand.count("POST d/f?uploadId"), 2);
    assert_eq!(stand.get("d/f").unwrap(), content);
}

#[tokio::test]
async fn what_is_not_here_any_more_is_uploaded_anew() {
    let stand = Stand::plain().await;
    let content = bytes(1000);
    let session = {
        let drive = stand.drive();
        let upload = Upload::of(&*drive, "f", &content);
        let mut session = upload.open(true).await.unwrap();
        upload.send_all(&mut session).await.unwrap();
        session
    };
    let drive = stand.drive();
    let upload = Upload::of(&*drive, "f", &content);
    let gone = drive.resume_upload(&upload.request, session.clone()).await;
    assert_eq!(gone.unwrap(), None);
    assert!(upload.commit(&session).await.is_err());
    // Stored before the end of the program: the session knows its MD5.
    stand.put("d/f", &content);
    let kept = drive.resume_upload(&upload.request, session.clone()).await;
    assert!(kept.unwrap().is_some());
    assert_eq!(upload.commit(&session).await.unwrap().size, 1000);
}

#[tokio::test]
async fn parts_and_paths_have_limits() {
    let stand = Stand::plain().await;
    let drive = stand.drive();
    let content = bytes(10);
    let upload = Upload::of(&*drive, "f", &content);
    let session = upload.open(true).await.unwrap();
    for (number, length) in [(0, 10), (2, 10), (1, 9)] {
        let part = content.slice(..length);
        let error = drive.put_part(&session, number, part).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
    let mut deep = Upload::of(&*drive, &"x".repeat(200), &content);
    deep.request.parent = NodeId::new(vec!["y".repeat(200); 5].join("/"));
    let error = deep.open(true).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTooLong);
    let error = drive.check_name(&"x".repeat(256)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTooLong);
    let mut huge = Upload::of(&*drive, "f", &content);
    huge.request.size = upload::MOST + 1;
    let error = huge.open(true).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert_eq!(stand.count(""), 0);
}
