//! A drive on its stage: the simulator of its provider, or a temporary directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use panfuse::drive::{Capabilities, Drive, DriveContext, Node, NodeId, ProviderInfo, Question};
use panfuse::net::{BreakerStore, Budget, ClassLimit, Clock, ManualClock, MemoryBreakerStore};
use panfuse::providers;
use panfuse::sim::{
    self, Account, Blob, Fault, FaultKind, SeedSource, SimProfile, Stat, World, WorldOptions,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::actions;
use crate::sample::Sample;
use crate::specs::{self, Ids, Spec};
use crate::vault::MemoryCredentials;

/// What ids that are paths keep as it is: the unreserved characters of RFC 3986.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Everything a case plays with.
pub struct Stage {
    /// The drive under test.
    pub drive: Arc<dyn Drive>,
    /// What it declares.
    pub caps: Capabilities,
    /// What the suite knows of its provider.
    pub spec: &'static Spec,
    /// The simulators; `None` for a directory of this machine.
    pub world: Option<Arc<World>>,
    /// Its credentials.
    pub credentials: Arc<MemoryCredentials>,
    info: &'static ProviderInfo,
    profile: SimProfile,
    clock: Arc<ManualClock>,
    breakers: Arc<MemoryBreakerStore>,
    home: tempfile::TempDir,
    /// Contents that "another account" of a directory of this machine was given.
    others: Mutex<u32>,
}

impl Stage {
    /// Opens the first drive of a provider, or its share, against a fresh world.
    pub fn open(key: &str) -> Stage {
        let spec = specs::of(key);
        let info = providers::find(spec.provider()).expect("a registered provider");
        let home = tempfile::tempdir().expect("a directory");
        let (world, profile) = match spec.short {
            "" => (None, directory(key, home.path())),
            short => {
                let options = WorldOptions {
                    only: vec![spec.provider().to_owned()],
                    accounts: 2,
                };
                let world = sim::start(&options).expect("a world");
                for (knob, value) in spec.knobs {
                    world.set(short, knob, value).expect("a setting");
                }
                let profile = world.profile(&spec.profile()).expect("a profile");
                (Some(world), profile)
            }
        };
        let account = world
            .as_ref()
            .map(|world| world.account(&spec.profile()).expect("an account"));
        let credentials = MemoryCredentials::new(profile.secrets.clone(), account);
        let clock = Arc::new(ManualClock::default());
        let breakers = Arc::new(MemoryBreakerStore::default());
        let context = context(info, &profile, &credentials, &clock, &breakers, home.path());
        let drive = (info.open)(context).expect("a drive");
        Stage {
            caps: drive.capabilities().clone(),
            drive,
            spec,
            world,
            credentials,
            info,
            profile,
            clock,
            breakers,
            home,
            others: Mutex::new(0),
        }
    }

    /// The drive as after a restart: nothing remembered but what was stored.
    pub fn reopened(&self) -> Arc<dyn Drive> {
        self.opened_at(self.profile.root.clone())
    }

    /// The same for a profile that names another directory as its root.
    pub fn opened_at(&self, root: Option<String>) -> Arc<dyn Drive> {
        let mut context = context(
            self.info,
            &self.profile,
            &self.credentials,
            &self.clock,
            &self.breakers,
            self.home.path(),
        );
        context.root = root;
        (self.info.open)(context).expect("a drive")
    }

    /// Changes a setting of the simulator.
    pub fn set(&self, knob: &str, value: &str) {
        let world = self.world.as_ref().expect("a simulator");
        world
            .set(&self.spec.profile(), knob, value)
            .expect("a setting");
    }

    /// Makes a server that asks by itself ask for what `question` has.
    pub fn want(&self, question: &Question) {
        if let Some(asks) = self.spec.asks {
            self.set(asks.0, asks.1(question));
        }
    }

    /// The simulated account, where there is one.
    pub fn account(&self) -> Option<Arc<Account>> {
        let world = self.world.as_ref()?;
        Some(world.account(&self.spec.profile()).expect("an account"))
    }

    /// What the account was asked.
    pub fn stat(&self) -> Stat {
        self.account().map(|a| a.meters.stat()).unwrap_or_default()
    }

    /// Meters at zero, no faults.
    pub fn reset(&self) {
        if let Some(world) = &self.world {
            world.reset(&self.spec.profile()).expect("a reset");
        }
    }

    /// The next request of `op` goes wrong.
    pub fn fault(&self, op: &str, kind: FaultKind, arg: &str) {
        self.add(Fault::once(op, kind, arg));
    }

    /// Every request of `op` goes wrong from now on.
    pub fn fault_always(&self, op: &str, kind: FaultKind, arg: &str) {
        self.add(Fault::always(op, kind, arg));
    }

    fn add(&self, fault: Fault) {
        let world = self.world.as_ref().expect("a simulator");
        world.fault(&self.spec.profile(), fault).expect("a fault");
    }

    /// Moves the drive's clock and the simulator's together.
    pub fn advance(&self, ms: i64) {
        self.clock.advance_ms(ms);
        if let Some(world) = &self.world {
            world.clock_advance(ms);
        }
    }

    /// Waits out the time in which a write may stay invisible.
    pub fn settle(&self) {
        self.advance(i64::try_from(self.caps.listing_lag_ms).expect("a lag"));
    }

    /// Time by the drive's clock.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn disk(&self, path: &str) -> PathBuf {
        self.home.path().join("drive").join(path.trim_matches('/'))
    }

    /// Makes a directory behind the drive's back.
    pub async fn dir(&self, path: &str) -> Node {
        let id = match &self.world {
            Some(world) => {
                let id = world.mkdir(&self.spec.profile(), path);
                self.id_of(path, id.expect("a directory"))
            }
            None => {
                std::fs::create_dir_all(self.disk(path)).expect("a directory");
                path.trim_matches('/').to_owned()
            }
        };
        self.node(&id).await
    }

    /// The drive's id of what the simulator calls `id`: its path, where drives go by paths.
    fn id_of(&self, path: &str, id: String) -> String {
        let path = path.trim_matches('/');
        match self.spec.ids {
            Ids::OfServer => id,
            Ids::EncodedPath => {
                let encoded = path
                    .split('/')
                    .map(|name| percent_encode(name.as_bytes(), UNRESERVED).to_string());
                encoded.collect::<Vec<_>>().join("/")
            }
            Ids::Path => match self.drive.root().as_str() {
                "" => path.to_owned(),
                root => format!("{root}/{path}"),
            },
        }
    }

    /// The simulator's id of a node of the drive.
    fn inner_id(&self, account: &Account, node: &Node) -> String {
        let id = node.id.as_str();
        let path = match self.spec.ids {
            Ids::OfServer => return id.to_owned(),
            Ids::EncodedPath => percent_decode_str(id).decode_utf8_lossy().into_owned(),
            Ids::Path => {
                let root = self.drive.root();
                id.strip_prefix(root.as_str())
                    .expect("below the root")
                    .to_owned()
            }
        };
        let tree = account.tree();
        let inner = tree.resolve(&path).expect("a node of the simulator");
        inner.id.clone()
    }

    /// Puts a file there behind the drive's back, and answers its id only.
    pub fn seed_only(&self, path: &str, bytes: &Bytes) -> NodeId {
        NodeId::new(match &self.world {
            Some(world) => {
                let source = SeedSource::Bytes(bytes.clone());
                let id = world.seed(&self.spec.profile(), path, 0, &source);
                self.id_of(path, id.expect("a file"))
            }
            None => {
                let at = self.disk(path);
                std::fs::create_dir_all(at.parent().expect("a parent")).expect("a directory");
                std::fs::write(at, bytes).expect("a file");
                path.trim_matches('/').to_owned()
            }
        })
    }

    /// Puts a file there behind the drive's back.
    pub async fn seed(&self, path: &str, bytes: &Bytes) -> Node {
        let id = self.seed_only(path, bytes);
        self.node(id.as_str()).await
    }

    async fn node(&self, id: &str) -> Node {
        let id = NodeId::new(id);
        self.drive.stat(&id).await.expect("a node that is there")
    }

    /// Changes the bytes of a file behind the drive's back.
    pub fn rewrite(&self, node: &Node, path: &str, bytes: &Bytes) {
        match self.account() {
            Some(account) => {
                let now = self.now_ms();
                let id = self.inner_id(&account, node);
                let changed = account.tree().update(&id, |node| {
                    node.blob = Some(Blob::bytes(bytes.clone()));
                    node.modified = now;
                });
                assert!(changed);
            }
            None => std::fs::write(self.disk(path), bytes).expect("a file"),
        }
    }

    /// Moves and renames a node of a simulator behind the drive's back.
    pub fn relocate(&self, node: &Node, parent: &Node, name: &str) {
        let account = self.account().expect("a simulator");
        let (id, parent) = (
            self.inner_id(&account, node),
            self.inner_id(&account, parent),
        );
        assert!(account.tree().relocate(&id, &parent, name));
    }

    /// Removes a file for good behind the drive's back.
    pub fn remove(&self, node: &Node, path: &str) {
        match self.account() {
            Some(account) => {
                let id = self.inner_id(&account, node);
                assert_eq!(account.tree().remove(&id), 1);
            }
            None => std::fs::remove_file(self.disk(path)).expect("a removal"),
        }
    }

    /// Removes an empty directory for good behind the drive's back.
    pub fn remove_dir(&self, node: &Node, path: &str) {
        match self.account() {
            Some(account) => {
                let id = self.inner_id(&account, node);
                assert_eq!(account.tree().remove(&id), 1);
            }
            None => std::fs::remove_dir(self.disk(path)).expect("a removal"),
        }
    }

    /// Flips a bit in what is stored for a file.
    pub fn corrupt(&self, path: &str) {
        match &self.world {
            Some(world) => world
                .corrupt(&self.spec.profile(), path)
                .expect("a bad bit"),
            None => {
                let mut bytes = std::fs::read(self.disk(path)).expect("a file");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x40;
                std::fs::write(self.disk(path), bytes).expect("a file");
            }
        }
    }

    /// Makes a content known to the provider through somebody else.
    pub async fn known_to_others(&self, sample: &Sample) {
        let number = {
            let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
            *others += 1;
            *others
        };
        match &self.world {
            Some(world) => {
                let source = SeedSource::Bytes(sample.bytes.clone());
                let other = format!("{}-2", self.spec.short);
                world
                    .seed(&other, &format!("/theirs/{number}.bin"), 0, &source)
                    .expect("a file");
            }
            None => {
                let dir = self.dir("elsewhere").await;
                let name = format!("{number}.bin");
                actions::put(self, &dir.id, &name, sample)
                    .await
                    .expect("an upload");
            }
        }
    }

    /// Nothing was left behind: all is as in `before`.
    pub fn assert_unchanged(&self, before: &BTreeSet<String>) {
        let now = self.snapshot();
        let left: Vec<&String> = now.difference(before).collect();
        let lost: Vec<&String> = before.difference(&now).collect();
        assert!(
            left.is_empty() && lost.is_empty(),
            "left behind: {left:?}, lost: {lost:?}"
        );
    }

    /// The same where the provider may have made a file by itself of what was stored: removed, it is
    /// in the trash.
    pub fn assert_in_trash_at_most(&self, before: &BTreeSet<String>) {
        let now = self.snapshot();
        let left = now.difference(before);
        let left: Vec<&String> = left
            .filter(|item| !item.contains("trashed=true pending=false"))
            .collect();
        let lost: Vec<&String> = before.difference(&now).collect();
        assert!(
            left.is_empty() && lost.is_empty(),
            "left behind: {left:?}, lost: {lost:?}"
        );
    }

    /// Everything there is, unfinished and trashed too: to see what an operation leaves behind.
    pub fn snapshot(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        match &self.world {
            Some(world) => {
                let tree = world.tree(&self.spec.profile()).expect("a tree");
                for item in tree["items"].as_array().expect("items") {
                    all.insert(format!(
                        "{} {} {} trashed={} pending={}",
                        item["path"], item["id"], item["size"], item["trashed"], item["pending"]
                    ));
                }
                let uploads = tree["uploads"].as_array().expect("uploads").iter();
                for upload in uploads.filter(|upload| !(self.spec.lasting)(upload)) {
                    all.insert(format!("upload {} {}", upload["id"], upload["name"]));
                }
            }
            None => walk(&self.disk(""), &mut all),
        }
        all
    }
}

fn walk(dir: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("metadata");
        let size = if metadata.is_dir() { 0 } else { metadata.len() };
        into.insert(format!("{} {size}", entry.path().display()));
        if metadata.is_dir() {
            walk(&entry.path(), into);
        }
    }
}

/// The profile of a directory of this machine.
fn directory(key: &str, home: &Path) -> SimProfile {
    let path = home.join("drive");
    std::fs::create_dir_all(&path).expect("a directory");
    SimProfile {
        name: key.to_owned(),
        provider: key.to_owned(),
        account: key.to_owned(),
        auth_mode: "none".to_owned(),
        kind: "account".to_owned(),
        fields: BTreeMap::from([("path".to_owned(), path.display().to_string())]),
        secrets: BTreeMap::new(),
        endpoints: BTreeMap::new(),
        root: None,
    }
}

/// What `profile::open` gives a driver, without a limit on the rate.
fn context(
    info: &ProviderInfo,
    profile: &SimProfile,
    credentials: &Arc<MemoryCredentials>,
    clock: &Arc<ManualClock>,
    breakers: &Arc<MemoryBreakerStore>,
    home: &Path,
) -> DriveContext {
    let mode = info
        .auth_modes
        .iter()
        .find(|mode| mode.name == profile.auth_mode)
        .expect("a known auth mode");
    for secret in profile.secrets.keys() {
        let declared = mode.fields.iter().any(|f| f.secret && f.name == secret);
        assert!(
            declared,
            "the simulator's secret {secret} is no field of {}",
            mode.name
        );
    }
    let mut fields: BTreeMap<String, String> = mode
        .fields
        .iter()
        .filter(|field| !field.secret)
        .filter_map(|field| Some((field.name.to_owned(), field.default?.to_owned())))
        .collect();
    fields.extend(profile.fields.clone());
    let mut endpoints: BTreeMap<String, String> = info
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.name.to_owned(), endpoint.url.to_owned()))
        .collect();
    for (name, url) in &profile.endpoints {
        assert!(
            endpoints.contains_key(name),
            "{} has no endpoint {name}",
            info.key
        );
        endpoints.insert(name.clone(), url.trim_end_matches('/').to_owned());
    }
    let limits: Vec<ClassLimit> = mode
        .capabilities
        .limits
        .iter()
        .map(|limit| ClassLimit {
            per_second: 0.0,
            ..*limit
        })
        .collect();
    let state_dir = home.join("state");
    std::fs::create_dir_all(&state_dir).expect("a directory");
    let breakers: Arc<dyn BreakerStore> = breakers.clone();
    DriveContext {
        profile: profile.name.clone(),
        auth_mode: profile.auth_mode.clone(),
        fields,
        overridden: profile.endpoints.keys().cloned().collect(),
        endpoints,
        root: profile.root.clone(),
        credentials: credentials.clone(),
        clock: clock.clone(),
        budget: Budget::new(&limits),
        breakers,
        account: format!("{}/conformance", info.key),
        state_dir,
        instance: "c0f0a11e".to_owned(),
    }
}
