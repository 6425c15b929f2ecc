//! Uploads: instant, by hash requests, by bytes; and what is refused.

use tonic::Code;

use super::*;
use Status::{Error, FatalError, Finish, Inqueue, Preprocessing, Skipped, Transfer};

#[tokio::test]
async fn known_content_needs_no_bytes() {
    let client = Client::new().await;
    let bytes = pattern(300_000);
    let source = SeedSource::Bytes(bytes.clone());
    client.world.seed_known_only("cd2", 0, &source).unwrap();
    let course = client.upload("/115open/a.bin", &bytes, &[2]).await;
    assert_eq!(
        course.statuses,
        [Status::WaitforPreprocessing, Preprocessing, Finish]
    );
    assert!(course.reads.is_empty() && course.hashes.is_empty());
    let stat = client.stat();
    assert_eq!((stat.rapid_hits, stat.rapid_misses), (1, 0));
    assert_eq!((stat.bytes_asked, stat.bytes_up), (0, 0));
    let entry = client.find("/115open/a.bin").await.unwrap();
    assert_eq!(
        (entry.size, entry.file_hashes),
        (300_000, known(&[2], &bytes))
    );
    // Without the hash the provider wants it is asked for; still no bytes.
    let course = client.upload("/115open/b.bin", &bytes, &[1]).await;
    assert_eq!(course.hashes.len(), 1);
    assert_eq!(
        (course.hashes[0].hash_type, course.hashes[0].block_size),
        (2, None)
    );
    assert_eq!((course.end(), client.stat().bytes_up), (Finish, 0));
    // A proof, when the provider wants one.
    client.set("challenges", "2");
    let course = client.upload("/115open/c.bin", &bytes, &[2]).await;
    assert_eq!((course.end(), course.reads.len()), (Finish, 2));
    let stat = client.stat();
    assert_eq!((stat.challenges, stat.rapid_hits), (2, 3));
    assert_eq!((stat.bytes_asked, stat.bytes_up > 0), (stat.bytes_up, true));
    client.set("challenges", "0");
    client.set("hit_status", "skipped");
    let course = client.upload("/115open/d.bin", &bytes, &[2]).await;
    assert_eq!(course.end(), Skipped);
    assert!(client.find("/115open/d.bin").await.is_ok());
    client.set("instant", "off");
    let course = client.upload("/115open/e.bin", &bytes, &[2]).await;
    assert!(course.statuses.contains(&Transfer));
    // The other storage account wants another hash.
    client.set("instant", "on");
    let course = client.upload("/pikpak/a.bin", &bytes, &[2, 3]).await;
    assert_eq!((course.end(), course.reads.len()), (Skipped, 0));
}

#[tokio::test]
async fn new_content_is_read() {
    let client = Client::new().await;
    let bytes = pattern(5_000_000);
    client.set("read_size", "1500000");
    let course = client.upload("/115open/new.bin", &bytes, &[2]).await;
    assert_eq!(
        course.statuses,
        [
            Status::WaitforPreprocessing,
            Preprocessing,
            Inqueue,
            Transfer,
            Finish
        ]
    );
    assert_eq!(course.reads.len(), 4);
    assert!(course.reads.iter().any(|read| read.lazy_read));
    let stat = client.stat();
    assert_eq!((stat.bytes_asked, stat.bytes_up), (5_000_000, 5_000_000));
    assert_eq!((stat.rapid_hits, stat.rapid_misses), (0, 1));
    for wrong in [
        "lazy_not_echoed",
        "bad_last_chunk",
        "unrequested",
        "bad_answer",
    ] {
        assert_eq!(stat.noted(wrong), 0, "{wrong}");
    }
    let stored = client.world.read("cd2", "/new.bin", 0, u64::MAX).unwrap();
    assert_eq!(stored, bytes);
    // Now it is known, to every user.
    let other = Client::of(&client.world, "cd2-2").await;
    let course = other.upload("/115open/again.bin", &bytes, &[2]).await;
    assert!(course.reads.is_empty());
    // An empty file has nothing to ask for.
    let course = client.upload("/115open/empty", &Bytes::new(), &[2]).await;
    assert_eq!((course.end(), course.reads.len()), (Finish, 0));
    assert_eq!(client.find("/115open/empty").await.unwrap().size, 0);
}

#[tokio::test]
async fn hashes_are_asked_computed_and_compared() {
    let client = Client::new().await;
    let bytes = pattern(100_000);
    client.set("needs", "1,3");
    client.set("block_size", "40000");
    let course = client.upload("/115open/a.bin", &bytes, &[]).await;
    let asked: Vec<(u32, Option<u32>)> = course
        .hashes
        .iter()
        .map(|ask| (ask.hash_type, ask.block_size))
        .collect();
    assert_eq!(asked, [(1, Some(40_000)), (3, None)]);
    assert_eq!(course.end(), Finish);
    // A client that cannot hash is read from, twice when it is a miss.
    client.set("needs", "2");
    let fresh = pattern(100_001);
    let mut events = client.channel("device-1").await;
    let going = client
        .start("/115open/b.bin", &fresh, &[], false)
        .await
        .unwrap();
    let course = client.serve(&mut events, going).await;
    assert_eq!((course.hashes.len(), course.reads.len()), (0, 2));
    let going = client
        .start("/115open/c.bin", &fresh, &[], false)
        .await
        .unwrap();
    let course = client.serve(&mut events, going).await;
    assert_eq!((course.end(), course.reads.len()), (Finish, 1));
    // Another file's hash is found out when the bytes are there.
    let request = StartRemoteUploadRequest {
        file_path: "/115open/false.bin".to_owned(),
        file_size: 50_000,
        known_hashes: known(&[2], &bytes),
        client_can_calculate_hashes: true,
    };
    let started: RemoteUploadStarted = client.ask("StartRemoteUpload", request).await.unwrap();
    let mut going = client
        .start("/115open/x.bin", &bytes, &[2], true)
        .await
        .unwrap();
    let other = going.course.id.clone();
    going.course.id = started.upload_id;
    going.bytes = pattern(50_000);
    let (mut mine, mut theirs) = (None, None);
    while mine.is_none() || theirs.is_none() {
        let reply = events.message().await.unwrap().unwrap();
        let event = reply.request.unwrap();
        if reply.upload_id == other {
            if let ChannelEvent::Status(changed) = event {
                let status = Status::try_from(changed.status).unwrap();
                theirs = status.is_end().then_some(status);
            }
        } else if !client.take(&mut going, event).await {
            mine = Some((going.course.end(), going.course.text.clone()));
        }
    }
    assert_eq!(mine, Some((Error, "hash mismatch".to_owned())));
    assert_eq!(
        (theirs, client.stat().noted("false_hash")),
        (Some(Finish), 1)
    );
    assert_eq!(client.find("/115open/false.bin").await, Err(Code::NotFound));
    // One true and one false hash do not make a hit.
    let mut hashes = known(&[1, 2], &bytes);
    hashes.insert(1, hash(1, &fresh));
    let request = StartRemoteUploadRequest {
        file_path: "/115open/half.bin".to_owned(),
        file_size: 100_000,
        known_hashes: hashes,
        client_can_calculate_hashes: true,
    };
    let started: RemoteUploadStarted = client.ask("StartRemoteUpload", request).await.unwrap();
    going.course.id = started.upload_id;
    let course = client.serve(&mut events, going).await;
    assert_eq!(course.end(), Error);
}

#[tokio::test]
async fn starts_that_are_refused() {
    let client = Client::new().await;
    let bytes = pattern(1000);
    let refusal = |start: Result<Going, Refusal>| start.map(|_| ()).unwrap_err().code();
    let early = client.start("/115open/a", &bytes, &[2], true).await;
    assert_eq!(refusal(early), Code::FailedPrecondition);
    client.set("channel_first", "wait");
    let going = client
        .start("/115open/a", &bytes, &[2], true)
        .await
        .unwrap();
    let mut events = client.channel("device-1").await;
    let course = client.serve(&mut events, going).await;
    assert_eq!(course.end(), Finish);
    let orphan = client.start("/115open/none/a", &bytes, &[2], true).await;
    assert_eq!(refusal(orphan), Code::NotFound);
    let mount = client.start("/115open", &bytes, &[2], true).await;
    assert_eq!(refusal(mount), Code::NotFound);
    client.set("missing_parent", "create");
    let going = client
        .start("/115open/n/m/a", &bytes, &[2], true)
        .await
        .unwrap();
    assert_eq!(client.serve(&mut events, going).await.end(), Finish);
    assert_eq!(client.names("/115open/n/m").await, ["a"]);
    for (number, value) in [
        (2, "AF".repeat(20)),
        (1, "ab".repeat(20)),
        (7, "00".repeat(16)),
    ] {
        let request = StartRemoteUploadRequest {
            file_path: "/115open/b".to_owned(),
            file_size: 1,
            known_hashes: BTreeMap::from([(number, value)]),
            client_can_calculate_hashes: true,
        };
        let (code, _) = client.refused("StartRemoteUpload", request).await;
        assert_eq!(code, Code::InvalidArgument);
    }
    // What the provider does not take ends the upload.
    client.set("forbidden", ":");
    let course = client.upload("/115open/a:b", &bytes, &[2]).await;
    assert_eq!(
        (course.end(), &*course.text),
        (FatalError, "file name not allowed")
    );
    client.set("total_size", "3000");
    let course = client.upload("/115open/big", &pattern(2000), &[2]).await;
    assert_eq!((course.end(), &*course.text), (Error, "quota exceeded"));
    client.set("ignored_extensions", "tmp, part");
    let course = client.upload("/115open/x.tmp", &bytes, &[2]).await;
    assert_eq!(course.end(), Status::Ignored);
    let request = RemoteUploadChannelRequest::default();
    let (code, _) = client.refused("RemoteUploadChannel", request).await;
    assert_eq!(code, Code::InvalidArgument);
}

#[tokio::test]
async fn an_existing_target() {
    let client = Client::new().await;
    client.seed("/a", &pattern(10));
    let course = client.upload("/115open/a", &pattern(999), &[2]).await;
    assert_eq!((course.end(), course.reads.len()), (Skipped, 0));
    assert_eq!(client.find("/115open/a").await.unwrap().size, 10);
    client.set("existing", "rename");
    client.upload("/115open/a", &pattern(999), &[2]).await;
    assert_eq!(client.names("/115open").await, ["a", "a(1)"]);
    client.set("existing", "replace");
    client.upload("/115open/a", &pattern(999), &[2]).await;
    assert_eq!(client.find("/115open/a").await.unwrap().size, 999);
    // A commit that fails, and one whose disk is bad.
    client.fault("commit", FaultKind::CommitFail, "fatal:no");
    let course = client.upload("/115open/b", &pattern(998), &[2]).await;
    assert_eq!((course.end(), &*course.text), (FatalError, "no"));
    client.fault("commit", FaultKind::Corrupt, "");
    let course = client.upload("/115open/c", &pattern(997), &[2]).await;
    assert_eq!(course.end(), Finish);
    let entry = client.find("/115open/c").await.unwrap();
    assert_eq!(entry.file_hashes, known(&[2], &pattern(997)));
    let stored = client.world.read("cd2", "/c", 0, u64::MAX).unwrap();
    assert_ne!(stored, pattern(997));
    client.fault("read_data", FaultKind::Corrupt, "");
    let course = client.upload("/115open/d", &pattern(996), &[2]).await;
    assert_eq!((course.end(), &*course.text), (Error, "hash mismatch"));
}

#[tokio::test]
async fn the_queue_and_control() {
    let client = Client::new().await;
    let bytes = pattern(1000);
    let mut events = client.channel("device-1").await;
    let mut going = client
        .start("/115open/a", &bytes, &[2], true)
        .await
        .unwrap();
    let id = going.course.id.clone();
    let list = |filter: Option<i32>| GetUploadFileListRequest {
        items_per_page: 10,
        page_number: 1,
        operator_type_filter: filter,
        ..GetUploadFileListRequest::default()
    };
    let control = |control| RemoteUploadControlRequest {
        upload_id: id.clone(),
        control: Some(control),
    };
    // Wait for the read request and let it lie.
    let read = loop {
        match events.message().await.unwrap().unwrap().request.unwrap() {
            ChannelEvent::Read(read) => break read,
            event => assert!(client.take(&mut going, event).await),
        }
    };
    let shown: GetUploadFileListResult = client
        .ask("GetUploadFileList", list(Some(operator::REMOTE_UPLOAD)))
        .await
        .unwrap();
    let info = &shown.upload_files[0];
    assert_eq!((&info.key, &*info.dest_path), (&id, "/115open/a"));
    assert_eq!((info.status_enum, &*info.status), (3, "Transfer"));
    let none: GetUploadFileListResult = client
        .ask("GetUploadFileList", list(Some(0)))
        .await
        .unwrap();
    assert_eq!((none.total_count, none.total_count_filtered), (1, 0));
    let _: () = client
        .ask("RemoteUploadControl", control(Control::Pause(())))
        .await
        .unwrap();
    let event = events.message().await.unwrap().unwrap().request.unwrap();
    client.take(&mut going, event).await;
    assert_eq!(going.course.end(), Status::Pause);
    // Bytes are taken, but the upload waits.
    client.answer_read(&id, &bytes, read).await;
    let keys = MultpleUploadFileKeyRequest {
        keys: vec![id.clone()],
    };
    let _: () = client.ask("ResumeUploadFiles", keys).await.unwrap();
    let course = client.serve(&mut events, going).await;
    let tail = &course.statuses[course.statuses.len() - 3..];
    assert_eq!(tail, [Status::Pause, Transfer, Finish]);
    let count: GetUploadFileCountResult = client.ask("GetUploadFileCount", ()).await.unwrap();
    assert_eq!(count.file_count, 0);
    // Cancelled before its bytes came; then there is no such session.
    let going = client
        .start("/115open/b", &pattern(1001), &[2], true)
        .await
        .unwrap();
    let id = going.course.id.clone();
    assert_eq!(client.world.tree("cd2").unwrap()["uploads"][0]["id"], id);
    let _: () = client.ask("CancelAllUploadFiles", ()).await.unwrap();
    let course = loop {
        let event = events.message().await.unwrap().unwrap().request.unwrap();
        if let ChannelEvent::Status(changed) = event
            && Status::try_from(changed.status).unwrap().is_end()
        {
            break changed.status;
        }
    };
    assert_eq!(course, Status::Cancelled as i32);
    let late = client.send(&id, 0, pattern(1001), true, true).await;
    assert_eq!(
        (late.success, &*late.error_message),
        (false, "upload session not found")
    );
    let request = RemoteUploadControlRequest {
        upload_id: "ru-none".to_owned(),
        control: Some(Control::Cancel(())),
    };
    assert_eq!(
        client.refused("RemoteUploadControl", request).await.0,
        Code::NotFound
    );
}
