//! Odd requests, several uploads at once, and answers that are refused.

use std::collections::{HashMap, HashSet};

use tonic::Code;

use super::*;
use Status::{Error, Finish};

#[tokio::test]
async fn every_odd_request_can_be_answered() {
    let client = Client::new().await;
    client.set("read_size", "100000");
    for (number, odd) in [
        "overlap",
        "twice",
        "again",
        "zero",
        "past_end",
        "whole",
        "overlap,twice,again,zero,past_end",
    ]
    .into_iter()
    .enumerate()
    {
        client.set("odd", odd);
        let bytes = pattern(1_234_567 + number);
        let course = client
            .upload(&format!("/115open/{number}"), &bytes, &[2])
            .await;
        assert_eq!(course.end(), Finish, "{odd}");
        let stored = client.world.read("cd2", &format!("/{number}"), 0, u64::MAX);
        assert_eq!(stored.unwrap(), bytes, "{odd}");
    }
    let stat = client.stat();
    for wrong in [
        "lazy_not_echoed",
        "bad_last_chunk",
        "contradiction",
        "bad_answer",
    ] {
        assert_eq!(stat.noted(wrong), 0, "{wrong}");
    }
    // What is asked twice is counted twice.
    assert!(stat.bytes_asked > 9_000_000, "{}", stat.bytes_asked);
}

#[tokio::test]
async fn events_come_before_the_answer_of_the_start() {
    let client = Client::new().await;
    client.set("start_reply_ms", "200");
    let bytes = pattern(1000);
    let mut events = client.channel("device-1").await;
    let start = client.start("/115open/a", &bytes, &[2], true);
    let early = async {
        let mut all = Vec::new();
        loop {
            let reply = events.message().await.unwrap().unwrap();
            let is_read = matches!(reply.request, Some(ChannelEvent::Read(_)));
            all.push(reply);
            if is_read {
                return all;
            }
        }
    };
    // This start is given up; its upload is answered all the same.
    let early = tokio::select! {
        biased;
        _ = start => panic!("the answer came first"),
        early = early => early,
    };
    let mut going = Going {
        bytes: bytes.clone(),
        course: Course {
            id: early[0].upload_id.clone(),
            statuses: Vec::new(),
            text: String::new(),
            reads: Vec::new(),
            hashes: Vec::new(),
        },
    };
    for reply in early {
        assert!(client.take(&mut going, reply.request.unwrap()).await);
    }
    assert_eq!(client.serve(&mut events, going).await.end(), Finish);
}

#[tokio::test]
async fn several_uploads_share_a_channel() {
    let client = Client::new().await;
    client.set("together", "3");
    client.set("read_size", "50000");
    client.set("read_window", "1");
    let mut events = client.channel("device-1").await;
    let mut all = HashMap::new();
    for number in 0..3_usize {
        let path = format!("/115open/{number}");
        let bytes = pattern(300_000 + number);
        let going = client.start(&path, &bytes, &[2], true).await.unwrap();
        all.insert(going.course.id.clone(), going);
    }
    let (mut order, mut open) = (Vec::new(), 3);
    let mut in_transfer = HashSet::new();
    while open > 0 {
        let reply = events.message().await.unwrap().unwrap();
        let going = all.get_mut(&reply.upload_id).unwrap();
        let event = reply.request.unwrap();
        match &event {
            ChannelEvent::Status(changed) if changed.status == Status::Transfer as i32 => {
                in_transfer.insert(reply.upload_id);
            }
            ChannelEvent::Read(_) => {
                // None is read before all are ready for it.
                assert_eq!(in_transfer.len(), 3);
                order.push(reply.upload_id);
            }
            _ => {}
        }
        open -= usize::from(!client.take(going, event).await);
    }
    assert!(all.values().all(|going| going.course.end() == Finish));
    assert_eq!(order.iter().collect::<HashSet<_>>().len(), 3, "{order:?}");
    assert_eq!(client.stat().count("channel"), 1);
}

#[tokio::test]
async fn answers_are_looked_at() {
    let client = Client::new().await;
    client.set("read_size", "1000");
    client.set("read_order", "forward");
    client.set("read_window", "1");
    let bytes = pattern(3000);
    let mut events = client.channel("device-1").await;
    let mut going = client
        .start("/115open/a", &bytes, &[2], true)
        .await
        .unwrap();
    let id = going.course.id.clone();
    let read = loop {
        match events.message().await.unwrap().unwrap().request.unwrap() {
            ChannelEvent::Read(read) => break read,
            event => assert!(client.take(&mut going, event).await),
        }
    };
    assert_eq!((read.offset, read.length, read.lazy_read), (0, 1000, true));
    let data = bytes.slice(0..1000);
    // Not asked for yet, outside of the file, empty, of a wrong length, of another upload.
    for (offset, data) in [
        (1000, data.clone()),
        (500, data.clone()),
        (2500, data.clone()),
        (u64::MAX, data.clone()),
        (0, Bytes::new()),
    ] {
        let reply = client.send(&id, offset, data, true, false).await;
        assert!(!reply.success, "{offset}");
    }
    let request = RemoteReadDataUpload {
        upload_id: id.clone(),
        length: 999,
        data: data.clone(),
        ..RemoteReadDataUpload::default()
    };
    let reply: RemoteReadDataReply = client.ask("RemoteReadData", request).await.unwrap();
    assert!(!reply.success);
    let reply = client.send("ru-none", 0, data.clone(), true, false).await;
    assert_eq!(reply.error_message, "upload session not found");
    let report = RemoteHashProgressUpload {
        upload_id: id.clone(),
        bytes_hashed: 3000,
        total_bytes: 3000,
        hash_type: 2,
        hash_value: Some(hash(2, &bytes)),
        block_hashes: Vec::new(),
    };
    let (code, _) = client.refused("RemoteHashProgress", report).await;
    assert_eq!(code, Code::InvalidArgument);
    let stat = client.stat();
    assert_eq!(stat.noted("unrequested"), 4);
    assert_eq!(stat.noted("bad_answer"), 4);
    assert_eq!(
        (stat.noted("lazy_not_echoed"), stat.noted("bad_last_chunk")),
        (0, 0)
    );
    // Taken, but counted: another lazy_read, an end that is none.
    let reply = client.send(&id, 0, bytes.slice(0..500), false, true).await;
    assert!(reply.success && reply.bytes_received == 500);
    let stat = client.stat();
    assert_eq!(
        (stat.noted("lazy_not_echoed"), stat.noted("bad_last_chunk")),
        (1, 1)
    );
    // The same again is fine, other bytes are the end of it.
    assert!(
        client
            .send(&id, 0, bytes.slice(0..500), true, false)
            .await
            .success
    );
    client.send(&id, 0, bytes.slice(1..501), true, false).await;
    let end = loop {
        match events.message().await.unwrap().unwrap().request.unwrap() {
            ChannelEvent::Status(changed) => break changed,
            _ => continue,
        }
    };
    assert_eq!(end.status, Error as i32);
    assert_eq!(client.stat().noted("contradiction"), 1);
}

#[tokio::test]
async fn hash_reports_are_looked_at() {
    let client = Client::new().await;
    client.set("needs", "1");
    client.set("block_size", "1000");
    client.set("hash_twice", "on");
    client.set("hash_repeat_ms", "30");
    let bytes = pattern(2500);
    let mut events = client.channel("device-1").await;
    let mut going = client.start("/115open/a", &bytes, &[], true).await.unwrap();
    let id = going.course.id.clone();
    let mut asks = Vec::new();
    // Twice at once, and once more after the silence.
    while asks.len() < 3 {
        match events.message().await.unwrap().unwrap().request.unwrap() {
            ChannelEvent::Hash(ask) => asks.push(ask),
            event => assert!(client.take(&mut going, event).await),
        }
    }
    assert!(asks.iter().all(|ask| *ask == asks[0]));
    let blocks: Vec<String> = bytes
        .chunks(1000)
        .map(|part| hash(1, &Bytes::copy_from_slice(part)))
        .collect();
    let good = RemoteHashProgressUpload {
        upload_id: id.clone(),
        bytes_hashed: 2500,
        total_bytes: 2500,
        hash_type: 1,
        hash_value: Some(hash(1, &bytes)),
        block_hashes: blocks.clone(),
    };
    let with = |change: fn(&mut RemoteHashProgressUpload)| {
        let mut report = good.clone();
        change(&mut report);
        report
    };
    for bad in [
        with(|report| report.total_bytes = 2501),
        with(|report| report.bytes_hashed = 2400),
        with(|report| report.hash_type = 2),
        with(|report| report.hash_value = Some("AB".repeat(16))),
        with(|report| report.hash_value = Some("ab".repeat(20))),
        with(|report| report.block_hashes.truncate(2)),
        with(|report| report.block_hashes = vec![String::new(); 3]),
        with(|report| report.hash_value = None),
    ] {
        let (code, _) = client.refused("RemoteHashProgress", bad).await;
        assert_eq!(code, Code::InvalidArgument);
    }
    let _: () = client
        .ask("RemoteHashProgress", good.clone())
        .await
        .unwrap();
    // A wrong block hash is found when the bytes are there.
    let course = client.serve(&mut events, going).await;
    assert_eq!(course.end(), Finish);
    let bytes = pattern(2501);
    let going = client.start("/115open/b", &bytes, &[], true).await.unwrap();
    let mut report = good;
    report.upload_id = going.course.id.clone();
    report.bytes_hashed = 2501;
    report.total_bytes = 2501;
    report.hash_value = Some(hash(1, &bytes));
    loop {
        let event = events.message().await.unwrap().unwrap().request.unwrap();
        if matches!(event, ChannelEvent::Hash(_)) {
            break;
        }
    }
    let _: () = client.ask("RemoteHashProgress", report).await.unwrap();
    let mut going = going;
    let end = loop {
        let event = events.message().await.unwrap().unwrap().request.unwrap();
        // Asked twice: nothing is due to the repeat.
        if !matches!(event, ChannelEvent::Hash(_)) && !client.take(&mut going, event).await {
            break going.course.end();
        }
    };
    assert_eq!(end, Error);
    assert_eq!(client.stat().noted("false_hash"), 1);
}
