//! Channels that are replaced and cut, uploads that fall silent, end early or are forgotten.

use super::*;
use Status::{Cancelled, Error, Finish};

/// Takes events until one is no status; answers it with the upload's id.
async fn request(events: &mut Streaming<RemoteUploadChannelReply>) -> (String, ChannelEvent) {
    loop {
        let reply = events.message().await.unwrap().unwrap();
        match reply.request.unwrap() {
            ChannelEvent::Status(_) => {}
            event => return (reply.upload_id, event),
        }
    }
}

#[tokio::test]
async fn a_second_channel_ends_the_first() {
    let client = Client::new().await;
    let mut first = client.channel("device-1").await;
    let bytes = pattern(1000);
    let going = client
        .start("/115open/a", &bytes, &[2], true)
        .await
        .unwrap();
    let (_, asked) = request(&mut first).await;
    let mut other = client.channel("device-2").await;
    let mut second = client.channel("device-1").await;
    assert!(first.message().await.unwrap().is_none());
    assert_eq!(client.stat().noted("channel_replaced"), 1);
    // The unanswered request is repeated, and to this device only.
    let (id, again) = request(&mut second).await;
    assert_eq!((id, &again), (going.course.id.clone(), &asked));
    let mut going = going;
    client.take(&mut going, asked).await;
    assert_eq!(client.serve(&mut second, going).await.end(), Finish);
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(50), other.message());
    assert!(nothing.await.is_err());
}

#[tokio::test]
async fn a_cut_channel_is_opened_again() {
    for how in ["drop", "reset", "status", "end"] {
        let client = Client::new().await;
        client.set("cut_how", how);
        client.set("channel_cut", "50");
        client.set("read_size", "1000");
        client.set("read_window", "3");
        let bytes = pattern(10_000);
        let mut events = client.channel("device-1").await;
        let mut going = client
            .start("/115open/a", &bytes, &[2], true)
            .await
            .unwrap();
        let mut cuts = 0;
        let mut ended = false;
        while !ended {
            match events.message().await {
                Ok(Some(reply)) => {
                    let id = reply.upload_id;
                    match reply.request.unwrap() {
                        // An answer may be lost with the connection.
                        ChannelEvent::Read(read) => {
                            let end = (read.offset + read.length) as usize;
                            let data = bytes.slice(read.offset as usize..end);
                            let request = RemoteReadDataUpload {
                                upload_id: id,
                                offset: read.offset,
                                length: read.length,
                                lazy_read: read.lazy_read,
                                data,
                                is_last_chunk: end == 10_000,
                            };
                            let _: Result<RemoteReadDataReply, _> =
                                client.ask("RemoteReadData", request).await;
                        }
                        event => ended = !client.take(&mut going, event).await,
                    }
                }
                Ok(None) | Err(_) => {
                    cuts += 1;
                    assert!(cuts < 5, "{how}");
                    events = client.reopen("device-1").await;
                }
            }
        }
        assert_eq!((cuts, going.course.end()), (1, Finish), "{how}");
        let stored = client.world.read("cd2", "/a", 0, u64::MAX).unwrap();
        assert_eq!(stored, bytes);
    }
}

#[tokio::test]
async fn statuses_nobody_heard_are_in_the_queue() {
    let client = Client::new().await;
    let bytes = pattern(1000);
    client.set("cut_how", "end");
    // After the first statuses the channel is cut; the rest is said to nobody.
    client.fault("channel", FaultKind::Cut, "2");
    client
        .world
        .seed_known_only("cd2", 0, &SeedSource::Bytes(bytes.clone()))
        .unwrap();
    let mut events = client.channel("device-1").await;
    let going = client
        .start("/115open/a", &bytes, &[2], true)
        .await
        .unwrap();
    let mut count = 0;
    while events.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 2);
    let list = GetUploadFileListRequest {
        get_all: true,
        ..GetUploadFileListRequest::default()
    };
    loop {
        let shown: GetUploadFileListResult =
            client.ask("GetUploadFileList", list.clone()).await.unwrap();
        let info = &shown.upload_files[0];
        assert_eq!(info.key, going.course.id);
        if info.status_enum == Finish as i32 {
            break;
        }
    }
    // A running one is told again only when the setting says so.
    client.set("repeat_status", "on");
    let mut events = client.channel("device-1").await;
    let going = client
        .start("/115open/b", &pattern(1001), &[2], true)
        .await
        .unwrap();
    request(&mut events).await;
    let mut again = client.channel("device-1").await;
    let reply = again.message().await.unwrap().unwrap();
    assert_eq!(reply.upload_id, going.course.id);
    assert!(matches!(reply.request, Some(ChannelEvent::Status(_))));
    assert_eq!(client.serve(&mut again, going).await.end(), Finish);
}

#[tokio::test]
async fn silence_and_early_ends() {
    let client = Client::new().await;
    client.set("read_size", "1000");
    client.set("read_window", "1");
    client.set("silent", "30,50");
    let bytes = pattern(10_000);
    let course = client.upload("/115open/a", &bytes, &[2]).await;
    assert_eq!(course.end(), Finish);
    // Silent for good: only a cancel gets a word out of it.
    client.set("silent", "30");
    let mut events = client.channel("device-1").await;
    let mut going = client
        .start("/115open/b", &pattern(10_001), &[2], true)
        .await
        .unwrap();
    let id = going.course.id.clone();
    let wait = std::time::Duration::from_millis(150);
    while let Ok(reply) = tokio::time::timeout(wait, events.message()).await {
        let event = reply.unwrap().unwrap().request.unwrap();
        assert!(client.take(&mut going, event).await);
    }
    assert!(
        (3..=4).contains(&going.course.reads.len()),
        "{:?}",
        going.course
    );
    let cancel = RemoteUploadControlRequest {
        upload_id: id,
        control: Some(Control::Cancel(())),
    };
    let _: () = client.ask("RemoteUploadControl", cancel).await.unwrap();
    assert_eq!(client.serve(&mut events, going).await.end(), Cancelled);
    client.set("silent", "");
    client.set("end_status", "error,50,provider is full");
    let course = client.upload("/115open/c", &pattern(10_002), &[2]).await;
    assert_eq!((course.end(), &*course.text), (Error, "provider is full"));
    assert!((5..=6).contains(&course.reads.len()), "{course:?}");
    assert!(
        client
            .names("/115open")
            .await
            .iter()
            .all(|name| name != "c")
    );
    client.set("end_status", "skipped,0");
    let course = client.upload("/115open/d", &pattern(10_003), &[2]).await;
    assert_eq!((course.end(), course.reads.len()), (Status::Skipped, 0));
}

#[tokio::test]
async fn a_forgotten_upload_is_no_session() {
    let client = Client::new().await;
    let bytes = pattern(1000);
    let mut events = client.channel("device-1").await;
    let going = client
        .start("/115open/a", &bytes, &[2], true)
        .await
        .unwrap();
    let (id, event) = request(&mut events).await;
    let ChannelEvent::Read(read) = event else {
        panic!("{event:?}");
    };
    client.fault("read_data", FaultKind::Errno, "upload session not found");
    let reply = client
        .send(&id, 0, bytes.clone(), read.lazy_read, true)
        .await;
    assert_eq!(
        (reply.success, &*reply.error_message),
        (false, "upload session not found")
    );
    client.set("forget_uploads", "1");
    let reply = client
        .send(&id, 0, bytes.clone(), read.lazy_read, true)
        .await;
    assert_eq!(
        (reply.success, &*reply.error_message),
        (false, "upload session not found")
    );
    drop(going);
    assert!(client.find("/115open/a").await.is_err());
    // A login that ends does not end the channel, and the next token uses it.
    client.set("log_out", "jwts");
    client.login().await;
    let going = client
        .start("/115open/b", &bytes, &[2], true)
        .await
        .unwrap();
    assert_eq!(client.serve(&mut events, going).await.end(), Finish);
    assert_eq!(client.stat().count("channel"), 1);
}
