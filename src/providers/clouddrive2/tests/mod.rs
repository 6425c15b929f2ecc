//! The driver against a small server of its own on loopback.
//!
//! | file | what is in it |
//! |---|---|
//! | `vectors` | published bytes and hashes |
//! | `stand_in`, `methods` | the server |
//! | `tree` | logins, listings, changes, reading |
//! | `uploads` | what the server asks, and what it gets |
//! | `troubles` | lost answers, lost channels, failures, cancelling |

mod methods;
mod stand_in;
mod tree;
mod troubles;
mod uploads;
mod vectors;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::channel::Pace;
use super::{CloudDrive2, names};
use crate::drive::{
    ByteStream, Content, Cost, DriveContext, DriveError, ErrorKind, OnConflict, Result,
    UploadRequest,
};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin, hash_all};
use crate::net::{
    Budget, CredentialStore, Credentials, MemoryBreakerStore, Retry, Secret, StoreError,
    SystemClock,
};

use stand_in::Stand;

/// Short pauses; nothing measures them.
const PACE: Pace = Pace {
    head: Duration::from_millis(300),
    early: Duration::from_secs(30),
    first: Duration::from_millis(20),
    longest: Duration::from_millis(100),
    give_up: Duration::from_secs(20),
    quiet: Duration::from_millis(150),
    report: Duration::from_millis(1),
    stalled: Duration::from_secs(20),
    queued: Duration::from_secs(20),
    shown: [Duration::from_millis(20); 5],
    sweep: Duration::from_secs(600),
};

#[derive(Default)]
struct Store(Mutex<Credentials>);

#[async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> std::result::Result<Credentials, StoreError> {
        Ok(self.0.lock().unwrap().clone())
    }
    async fn save(&self, changed: Credentials) -> std::result::Result<(), StoreError> {
        self.0.lock().unwrap().extend(changed);
        Ok(())
    }
    async fn lock(&self) -> std::result::Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(()))
    }
}

fn context(base: &str, secrets: &[(&str, &str)], state: &Path) -> DriveContext {
    let secret = |(name, value): &(&str, &str)| ((*name).to_owned(), Secret::new(*value));
    DriveContext {
        profile: "nas".to_owned(),
        auth_mode: "manual_token".to_owned(),
        fields: BTreeMap::from([("username".to_owned(), "alice".to_owned())]),
        endpoints: BTreeMap::from([("grpc".to_owned(), base.to_owned())]),
        overridden: vec!["grpc".to_owned()],
        root: Some("/115".to_owned()),
        credentials: Arc::new(Store(Mutex::new(secrets.iter().map(secret).collect()))),
        clock: Arc::new(SystemClock),
        budget: Budget::new(super::LIMITS),
        breakers: Arc::new(MemoryBreakerStore::default()),
        account: "nas".to_owned(),
        state_dir: state.to_owned(),
        instance: "test".to_owned(),
    }
}

/// A drive of the stand-in, with the place of its state.
struct Desk {
    drive: CloudDrive2,
    state: tempfile::TempDir,
    context: DriveContext,
}

impl Desk {
    fn new(stand: &Stand) -> Desk {
        let state = tempfile::tempdir().unwrap();
        let context = context(&stand.base, &[("api_token", stand_in::TOKEN)], state.path());
        Desk {
            drive: CloudDrive2::new(&context, PACE).unwrap(),
            state,
            context,
        }
    }

    /// The same profile in the next run of the program.
    fn again(self) -> Desk {
        self.again_with(PACE)
    }

    fn again_with(self, pace: Pace) -> Desk {
        let Desk {
            drive,
            state,
            context,
        } = self;
        drop(drive);
        Desk {
            drive: CloudDrive2::new(&context, pace).unwrap(),
            state,
            context,
        }
    }
}

/// A content in memory that counts what is read of it.
struct Sample {
    bytes: Bytes,
    known: Fingerprints,
    /// Reads that fail before one goes well.
    stumbles: AtomicU32,
    read: Mutex<Vec<Range<u64>>>,
}

impl Sample {
    fn new(size: usize) -> Sample {
        let bytes: Vec<u8> = (0..size)
            .map(|i| u8::try_from((i * 7 + i / 251) % 256).unwrap())
            .collect();
        Sample {
            bytes: bytes.into(),
            known: Fingerprints::new(),
            stumbles: AtomicU32::new(0),
            read: Mutex::default(),
        }
    }

    fn value(&self, kind: Kind) -> String {
        hash_all(&[kind], &self.bytes).remove(0).1
    }

    fn knowing(mut self, kind: Kind, origin: Origin) -> Sample {
        let value = self.value(kind);
        self.told(kind, &value, origin);
        self
    }

    fn told(&mut self, kind: Kind, value: &str, origin: Origin) {
        self.known.learn(
            kind,
            Known {
                value: value.into(),
                origin,
                provider: "".into(),
                at: 0,
            },
        );
    }

    fn stumbling(self, times: u32) -> Sample {
        self.stumbles.store(times, Ordering::SeqCst);
        self
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        self.read.lock().unwrap().clone()
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
        let left = self.stumbles.load(Ordering::SeqCst);
        if left > 0 {
            self.stumbles.store(left - 1, Ordering::SeqCst);
            return Err(DriveError::new(ErrorKind::Network, "stumbled").retry(Retry::Backoff));
        }
        self.read.lock().unwrap().push(range.clone());
        let [start, end] = [range.start, range.end].map(|n| usize::try_from(n).unwrap());
        let piece = self.bytes.slice(start..end);
        Ok(Box::pin(futures_util::stream::iter([Ok(piece)])))
    }

    fn cost(&self, kind: Kind) -> Cost {
        match self.known.get(kind) {
            Some(_) => Cost::Known,
            None => Cost::FullRead(self.size()),
        }
    }

    async fn learn(&self, _: Kind) -> Result<Option<String>> {
        Ok(None)
    }
}

fn request(name: &str, content: &Sample) -> UploadRequest {
    UploadRequest {
        parent: names::id("/115/d"),
        name: name.to_owned(),
        size: content.size(),
        modified: None,
        on_conflict: OnConflict::Refuse,
    }
}
