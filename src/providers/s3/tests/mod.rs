//! The driver against a small object store on loopback that misbehaves as it is told.

mod directories;
mod files;
mod server;
mod signature;
mod uploads;

use std::collections::BTreeMap;

use super::*;
use crate::drive::{Content, Cost, DriveError, ErrorKind, OnConflict, ReadBudget, collect};
use crate::fingerprint::{Fingerprints, hash_all};
use crate::net::{
    Budget, CredentialStore, Credentials, MemoryBreakerStore, Secret, StoreError, SystemClock,
};

use server::{Act, Manners, Stand};

impl Stand {
    fn drive(&self) -> Arc<dyn Drive> {
        self.drive_with(&[])
    }

    fn drive_with(&self, fields: &[(&str, &str)]) -> Arc<dyn Drive> {
        self.drive_as(fields, server::SECRET, None)
    }

    fn drive_as(
        &self,
        fields: &[(&str, &str)],
        secret: &str,
        root: Option<&str>,
    ) -> Arc<dyn Drive> {
        let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs.iter().copied();
            pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        let mut all = own(&[
            ("access_key_id", server::KEY),
            ("region", "us-east-1"),
            ("bucket", server::BUCKET),
        ]);
        all.extend(own(fields));
        let secrets = [("secret_access_key".to_owned(), Secret::new(secret))];
        open(DriveContext {
            profile: "p".to_owned(),
            auth_mode: "access_key".to_owned(),
            fields: all,
            endpoints: own(&[("url", &self.base)]),
            overridden: vec!["url".to_owned()],
            root: root.map(str::to_owned),
            credentials: Arc::new(Store(Credentials::from_iter(secrets))),
            clock: Arc::new(SystemClock),
            budget: Budget::new(LIMITS),
            breakers: Arc::new(MemoryBreakerStore::default()),
            account: "a".to_owned(),
            state_dir: std::env::temp_dir(),
            instance: "i".to_owned(),
        })
        .unwrap()
    }
}

struct Store(Credentials);

#[async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> Result<Credentials, StoreError> {
        Ok(self.0.clone())
    }

    async fn save(&self, _changed: Credentials) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lock(&self) -> Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(()))
    }
}

/// A content of which nothing is known.
struct Source(Bytes);

#[async_trait]
impl Content for Source {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn known(&self) -> Fingerprints {
        Fingerprints::new()
    }

    async fn stream(&self, _range: Range<u64>) -> Result<ByteStream> {
        Err(DriveError::unsupported("reading"))
    }

    fn cost(&self, _kind: Kind) -> Cost {
        Cost::FullRead(self.size())
    }

    async fn learn(&self, _kind: Kind) -> Result<Option<String>> {
        Ok(None)
    }
}

fn bytes(size: usize) -> Bytes {
    let mut state = size as u32 | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..size).map(next).collect::<Vec<u8>>().into()
}

fn md5(bytes: &[u8]) -> String {
    hash_all(&[Kind::Md5], bytes).remove(0).1
}

async fn all(drive: &dyn Drive, dir: &str) -> Result<Vec<Node>> {
    let (mut nodes, mut cursor) = (Vec::new(), None);
    loop {
        let page = drive.list(&NodeId::new(dir), cursor).await?;
        nodes.extend(page.nodes);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(nodes),
        }
    }
}

async fn names(drive: &dyn Drive, dir: &str) -> Vec<String> {
    let nodes = all(drive, dir).await.unwrap();
    let mut names: Vec<String> = nodes
        .into_iter()
        .map(|node| {
            if node.is_dir() {
                node.name + "/"
            } else {
                node.name
            }
        })
        .collect();
    names.sort();
    names
}

async fn stat(drive: &dyn Drive, id: &str) -> Result<Node> {
    drive.stat(&NodeId::new(id)).await
}

async fn read(drive: &dyn Drive, node: &Node, range: Range<u64>) -> Result<Bytes> {
    let length = range.end - range.start;
    collect(drive.read(node, range).await?, length).await
}
