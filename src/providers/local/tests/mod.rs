//! The drive as a whole, on real directories: what every test starts from.
//!
//! | file | what is tested |
//! |---|---|
//! | `tree` | paths, listings, reading, directories, renames, copies, trash |
//! | `uploads` | streamed uploads, their end and their resumption |
//! | `known` | the index and fast uploads |

mod known;
mod tree;
mod uploads;

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream;
use tempfile::TempDir;

use super::*;
use crate::drive::{Attempt, ByteStream, Content, Cost, OnConflict, ReadBudget, collect};
use crate::fingerprint::{Fingerprints, hash_all};
use crate::net::SystemClock;

/// A directory as a drive, beside it a place that is none of its business.
struct Home {
    temp: TempDir,
    drive: LocalDrive,
}

impl Home {
    fn new() -> Home {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("root")).unwrap();
        fs::create_dir(temp.path().join("outside")).unwrap();
        fs::write(temp.path().join("outside/secret"), "secret").unwrap();
        let drive = reopen(&temp);
        Home { temp, drive }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.temp.path().join("root").join(path)
    }

    /// The same drive after a restart.
    fn restart(&mut self) {
        self.drive = reopen(&self.temp);
    }

    async fn stat(&self, id: &str) -> Result<Node> {
        self.drive.stat(&NodeId::new(id)).await
    }

    async fn names(&self, id: &str) -> Vec<String> {
        let mut names: Vec<String> = list_all(&self.drive, id)
            .await
            .into_iter()
            .map(|node| node.name)
            .collect();
        names.sort();
        names
    }

    async fn upload(&self, request: &UploadRequest, bytes: &[u8]) -> Result<Node> {
        let bytes = Bytes::copy_from_slice(bytes);
        let content = Bare::new(&bytes);
        let conversation = Conversation::new(&content, ReadBudget::None);
        let session = self.drive.open_upload(request, &conversation).await?;
        for number in 1..=session.part_count(request.size) {
            let piece = part(&session, &bytes, number);
            self.drive.put_part(&session, number, piece).await?;
        }
        self.drive
            .commit_upload(request, &session, &conversation)
            .await
    }

    async fn ask(&self, name: &str, content: &Bare, budget: ReadBudget) -> Result<Attempt> {
        let request = request("", name, content.size());
        self.drive
            .fast_upload(&request, &Conversation::new(content, budget))
            .await
    }
}

fn reopen(temp: &TempDir) -> LocalDrive {
    let root = temp.path().join("root");
    let state = temp.path().join("state");
    LocalDrive::open(root.to_str().unwrap(), "", &state, Arc::new(SystemClock)).unwrap()
}

fn part(session: &UploadSession, bytes: &Bytes, number: u32) -> Bytes {
    let range = session.part_range(bytes.len() as u64, number);
    bytes.slice(range.start as usize..range.end as usize)
}

async fn list_all(drive: &LocalDrive, id: &str) -> Vec<Node> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = drive.list(&NodeId::new(id), cursor).await.unwrap();
        all.extend(page.nodes);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

fn request(parent: &str, name: &str, size: u64) -> UploadRequest {
    UploadRequest {
        parent: NodeId::new(parent),
        name: name.to_owned(),
        size,
        modified: Some(1_600_000_000_123),
        on_conflict: OnConflict::Refuse,
    }
}

fn bytes(size: usize, seed: usize) -> Vec<u8> {
    (0..size)
        .map(|i| ((i * 7 + i / 251 + seed) % 256) as u8)
        .collect()
}

/// A content that knows what it is told to know.
struct Bare {
    bytes: Vec<u8>,
    known: Fingerprints,
    one_call: Option<Kind>,
    learned: AtomicUsize,
}

impl Bare {
    fn new(bytes: &[u8]) -> Bare {
        Bare {
            bytes: bytes.to_vec(),
            known: Fingerprints::new(),
            one_call: None,
            learned: AtomicUsize::new(0),
        }
    }

    fn knowing(mut self, kind: Kind, value: &str, origin: Origin) -> Bare {
        let known = Known {
            value: value.into(),
            origin,
            provider: "".into(),
            at: 0,
        };
        self.known.learn(kind, known);
        self
    }

    fn value(&self, kind: Kind) -> String {
        hash_all(&[kind], &self.bytes).remove(0).1
    }

    fn with(self, kind: Kind) -> Bare {
        let value = self.value(kind);
        self.knowing(kind, &value, Origin::Computed)
    }
}

#[async_trait]
impl Content for Bare {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn known(&self) -> Fingerprints {
        self.known.clone()
    }

    async fn stream(&self, range: Range<u64>) -> Result<ByteStream> {
        let piece = self.bytes[range.start as usize..range.end as usize].to_vec();
        Ok(Box::pin(stream::iter([Ok(Bytes::from(piece))])))
    }

    fn cost(&self, kind: Kind) -> Cost {
        if self.one_call == Some(kind) {
            Cost::OneCall
        } else {
            Cost::FullRead(self.size())
        }
    }

    async fn learn(&self, kind: Kind) -> Result<Option<String>> {
        self.learned.fetch_add(1, Ordering::SeqCst);
        Ok(Some(self.value(kind)))
    }
}

fn kind_of<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind
}

async fn read_all(drive: &LocalDrive, node: &Node, range: Range<u64>) -> Result<Bytes> {
    let length = range.end - range.start;
    collect(drive.read(node, range).await?, length).await
}
