//! Uploads and reads as a planner does them: parts in order, retries where the error allows.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use panfuse::drive::{
    Attempt, Conversation, Cursor, Drive, DriveError, ErrorKind, Node, NodeId, OnConflict,
    ReadBudget, Result, UploadRequest, UploadSession, collect,
};
use panfuse::fingerprint::Kind;
use panfuse::net::{RetryPolicy, retry};

use crate::sample::Sample;
use crate::stage::Stage;

/// A planner's patience, in test time.
pub const PATIENCE: RetryPolicy = RetryPolicy {
    attempts: 4,
    base: Duration::from_millis(20),
    longest: Duration::from_secs(4),
};

/// A request for `sample` under `name`.
pub fn request(parent: &NodeId, name: &str, sample: &Sample) -> UploadRequest {
    UploadRequest {
        parent: parent.clone(),
        name: name.to_owned(),
        size: sample.bytes.len() as u64,
        modified: None,
        on_conflict: OnConflict::Refuse,
    }
}

/// A content of which everything is known that a streamed upload must bring.
pub fn sample(stage: &Stage, seed: u64, size: u64) -> Sample {
    Sample::new(seed, size).knowing(&upload_kinds(stage))
}

/// The hashes a streamed upload must bring.
pub fn upload_kinds(stage: &Stage) -> Vec<Kind> {
    stage.caps.upload.hashes.to_vec()
}

/// A conversation in which everything may be read.
pub fn generous(sample: &Sample) -> Conversation<'_> {
    Conversation::new(sample, ReadBudget::All)
}

/// Opens a streamed upload.
pub async fn open(
    drive: &dyn Drive,
    request: &UploadRequest,
    sample: &Sample,
) -> Result<UploadSession> {
    drive.open_upload(request, &generous(sample)).await
}

/// Sends one part.
pub async fn send(
    drive: &dyn Drive,
    session: &mut UploadSession,
    sample: &Sample,
    number: u32,
) -> Result<()> {
    let size = sample.bytes.len() as u64;
    let range = session.part_range(size, number);
    let bytes = sample.bytes.slice(range.start as usize..range.end as usize);
    let sent = &*session;
    let receipt = retry(PATIENCE, || drive.put_part(sent, number, bytes.clone())).await?;
    assert_eq!(receipt.number, number);
    assert_eq!(receipt.size, range.end - range.start);
    if !session.accepted.iter().any(|known| known.number == number) {
        session.accepted.push(receipt);
    }
    Ok(())
}

/// Sends every part that is not accepted yet.
pub async fn send_rest(
    drive: &dyn Drive,
    session: &mut UploadSession,
    sample: &Sample,
) -> Result<()> {
    for number in 1..=session.part_count(sample.bytes.len() as u64) {
        if !session.accepted.iter().any(|known| known.number == number) {
            send(drive, session, sample, number).await?;
        }
    }
    Ok(())
}

/// Commits, and again where the error allows.
pub async fn commit(
    drive: &dyn Drive,
    request: &UploadRequest,
    session: &UploadSession,
    sample: &Sample,
) -> Result<Node> {
    let conversation = generous(sample);
    retry(PATIENCE, || {
        drive.commit_upload(request, session, &conversation)
    })
    .await
}

/// A whole upload: streamed, or fetched by the provider where that is its way.
pub async fn upload(stage: &Stage, request: &UploadRequest, sample: &Sample) -> Result<Node> {
    let drive = &*stage.drive;
    if stage.caps.upload.pulled {
        let conversation = generous(sample);
        return match retry(PATIENCE, || drive.fast_upload(request, &conversation)).await? {
            Attempt::Hit { node, .. } => Ok(node),
            Attempt::Miss(session) => panic!("a miss where the provider fetches: {session:?}"),
        };
    }
    let mut session = open(drive, request, sample).await?;
    let done = async {
        send_rest(drive, &mut session, sample).await?;
        commit(drive, request, &session, sample).await
    };
    let done = done.await;
    if done.is_err() {
        drive.abandon_upload(&session).await?;
    }
    done
}

/// A whole streamed upload of `sample` as `parent/name`.
pub async fn put(stage: &Stage, parent: &NodeId, name: &str, sample: &Sample) -> Result<Node> {
    upload(stage, &request(parent, name, sample), sample).await
}

/// A range of a node, as one stream.
pub async fn read(drive: &dyn Drive, node: &Node, range: Range<u64>) -> Result<Bytes> {
    let length = range.end - range.start;
    collect(drive.read(node, range).await?, length).await
}

/// All of a node.
pub async fn read_all(drive: &dyn Drive, node: &Node) -> Result<Bytes> {
    match node.size {
        0 => Ok(Bytes::new()),
        size => read(drive, node, 0..size).await,
    }
}

/// What a stream gives before it ends, and the error it ends with.
pub async fn read_until_error(
    drive: &dyn Drive,
    node: &Node,
    range: Range<u64>,
) -> (Bytes, Option<DriveError>) {
    let mut got = BytesMut::new();
    let mut stream = match drive.read(node, range.clone()).await {
        Ok(stream) => stream,
        Err(error) => return (Bytes::new(), Some(error)),
    };
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => got.extend_from_slice(&piece),
            Err(error) => return (got.freeze(), Some(error)),
        }
    }
    let short = (got.len() as u64) < range.end - range.start;
    let error = short.then(|| DriveError::new(ErrorKind::Network, "ended early, without an error"));
    (got.freeze(), error)
}

/// Every entry of a directory, and how many pages that took.
pub async fn list(drive: &dyn Drive, dir: &NodeId) -> Result<(Vec<Node>, u32)> {
    let (mut nodes, mut pages) = (Vec::new(), 0);
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = drive.list(dir, cursor.take()).await?;
        nodes.extend(page.nodes);
        pages += 1;
        assert!(pages < 1000, "a listing without end");
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok((nodes, pages)),
        }
    }
}

/// Names in a directory, sorted.
pub async fn names(drive: &dyn Drive, dir: &NodeId) -> Vec<String> {
    let (nodes, _) = list(drive, dir).await.expect("a listing");
    let mut names: Vec<String> = nodes.into_iter().map(|node| node.name).collect();
    names.sort();
    names
}

/// The one entry of this name.
pub async fn find(drive: &dyn Drive, dir: &NodeId, name: &str) -> Node {
    let (nodes, _) = list(drive, dir).await.expect("a listing");
    let mut same: Vec<Node> = nodes.into_iter().filter(|node| node.name == name).collect();
    assert_eq!(same.len(), 1, "entries named {name:?}: {same:?}");
    same.remove(0)
}
