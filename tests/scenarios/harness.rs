//! A file system over simulated drives, in process and without a kernel.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use panfuse::catalog::Catalog;
use panfuse::content::{Stage, Volume};
use panfuse::drive::{DriveContext, DriveError};
use panfuse::guard::GuardSettings;
use panfuse::net::{
    Budget, ClassLimit, Clock, CredentialStore, Credentials, Secret, StoreError, SystemClock,
};
use panfuse::sim::{SeedSource, SimProfile, World, WorldOptions};
use panfuse::transfer::{Engine, EngineParts, EngineSettings, Journal, TransferResult};
use panfuse::vfs::{Caller, Close, FsError, FsResult, Settings, Vfs};
use tempfile::TempDir;

/// Credentials of one profile in memory; survives a "restart" of the rig.
#[derive(Clone, Default)]
pub struct Credential(Arc<Mutex<Credentials>>);

#[async_trait]
impl CredentialStore for Credential {
    async fn load(&self) -> Result<Credentials, StoreError> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn save(&self, changed: Credentials) -> Result<(), StoreError> {
        self.0.lock().unwrap().extend(changed);
        Ok(())
    }

    async fn lock(&self) -> Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(()))
    }
}

/// Simulators, directories, and the file system over them.
pub struct Rig {
    pub world: Arc<World>,
    pub dir: TempDir,
    credentials: Mutex<BTreeMap<String, Credential>>,
    locals: Vec<String>,
    pub vfs: Vfs,
    pub options: RigOptions,
}

#[derive(Clone)]
pub struct RigOptions {
    pub close: Close,
    pub threshold: Option<u64>,
    pub stage_budget: u64,
    /// Changes every volume before it is mounted.
    pub volume: fn(Volume) -> Volume,
    /// Changes the settings of the file system.
    pub settings: fn(Settings) -> Settings,
    /// The engine's clock; the drivers have the machine's.
    pub clock: Arc<dyn Clock>,
    /// Further profiles of simulated accounts: the name, and the profile that has the account.
    pub twins: &'static [(&'static str, &'static str)],
    /// The rest of the guards; `threshold` stands apart.
    pub guards: GuardSettings,
    /// Accounts keep to their declared rates, so many times faster; 0 for no rates.
    pub pace: f64,
}

impl Default for RigOptions {
    fn default() -> Self {
        RigOptions {
            close: Close::Auto,
            threshold: None,
            stage_budget: 1 << 32,
            volume: |volume| volume,
            settings: |settings| settings,
            clock: Arc::new(SystemClock),
            twins: &[],
            guards: GuardSettings::default(),
            pace: 0.0,
        }
    }
}

impl Rig {
    pub async fn new(providers: &[&str]) -> Rig {
        Rig::with(providers, &[], RigOptions::default()).await
    }

    pub async fn with(providers: &[&str], locals: &[&str], options: RigOptions) -> Rig {
        let world = panfuse::sim::start(&WorldOptions {
            only: providers.iter().map(|key| (*key).to_owned()).collect(),
            accounts: 2,
        })
        .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let credentials = Mutex::default();
        let locals: Vec<String> = locals.iter().map(|name| (*name).to_owned()).collect();
        let vfs = build(&world, dir.path(), &credentials, &locals, &options).await;
        Rig {
            world,
            dir,
            credentials,
            locals,
            vfs,
            options,
        }
    }

    /// Another file system over the same directories, as after a crash: nothing of the old one's
    /// memory is used.
    pub async fn restart(&mut self) {
        self.vfs.engine().stop();
        // A daemon that ends does so; after a crash the catalog would only be older.
        self.vfs.engine().catalog().flush();
        self.vfs = build(
            &self.world,
            self.dir.path(),
            &self.credentials,
            &self.locals,
            &self.options,
        )
        .await;
    }

    pub fn seed(&self, profile: &str, path: &str, size: u64, seed: u64) {
        self.world
            .seed(profile, path, size, &SeedSource::Synthetic { seed })
            .unwrap();
    }

    pub fn stat(&self, profile: &str) -> panfuse::sim::Stat {
        self.world.stat(profile).unwrap()
    }

    pub async fn ino(&self, path: &str) -> FsResult<u64> {
        self.vfs.resolve(path).await
    }

    pub async fn names(&self, path: &str) -> Vec<String> {
        let ino = self.ino(path).await.unwrap();
        let handle = self.vfs.opendir(ino).await.unwrap();
        let mut names = Vec::new();
        self.vfs
            .readdir(handle, 0, |_, entry| {
                names.push(entry.name.clone());
                true
            })
            .unwrap();
        self.vfs.releasedir(handle);
        names
    }

    /// What `cp` does: open, create, copy_file_range until done, flush, release.
    pub async fn cp(&self, from: &str, to: &str) -> FsResult<()> {
        let caller = Caller::own();
        let source = self.ino(from).await?;
        let size = self.vfs.getattr(source)?.size;
        let opened = self.vfs.open(source, libc::O_RDONLY, &caller)?;
        let target = self.create(to).await?;
        let outcome = self.copy_all(opened.handle, target, size, &caller).await;
        let flushed = self.vfs.flush(target, &caller).await;
        self.vfs.release(target);
        self.vfs.release(opened.handle);
        outcome.and(flushed)
    }

    async fn copy_all(&self, from: u64, to: u64, size: u64, caller: &Caller) -> FsResult<()> {
        let mut at = 0;
        while at < size {
            let length = (size - at).min(4_294_963_200);
            match self
                .vfs
                .copy_range((from, at), (to, at), length, caller)
                .await?
            {
                0 => return Err(FsError::new(libc::EIO)),
                bytes => at += bytes,
            }
        }
        Ok(())
    }

    /// Creates or truncates a file as `cp` does; returns its handle.
    pub async fn create(&self, path: &str) -> FsResult<u64> {
        let (dir, name) = path.rsplit_once('/').unwrap();
        let caller = Caller::own();
        match self.ino(path).await {
            Ok(ino) => Ok(self
                .vfs
                .open(ino, libc::O_WRONLY | libc::O_TRUNC, &caller)?
                .handle),
            Err(_) => {
                let dir = self.ino(dir).await?;
                let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
                Ok(self
                    .vfs
                    .create(dir, name, 0o644, flags, &caller)
                    .await?
                    .1
                    .handle)
            }
        }
    }

    /// Writes a whole file.
    pub async fn put(&self, path: &str, bytes: &[u8]) -> FsResult<()> {
        let caller = Caller::own();
        let handle = self.create(path).await?;
        let mut outcome = Ok(());
        for (number, piece) in bytes.chunks(128 << 10).enumerate() {
            let offset = number as u64 * (128 << 10);
            outcome = self.vfs.write(handle, offset, piece).await.map(|_| ());
            if outcome.is_err() {
                break;
            }
        }
        let flushed = self.vfs.flush(handle, &caller).await;
        self.vfs.release(handle);
        outcome.and(flushed)
    }

    pub async fn get(&self, path: &str) -> FsResult<Vec<u8>> {
        let ino = self.ino(path).await?;
        let handle = self.vfs.open(ino, libc::O_RDONLY, &Caller::own())?.handle;
        let mut all = Vec::new();
        loop {
            let piece = self.vfs.read(handle, all.len() as u64, 256 << 10).await?;
            if piece.is_empty() {
                break;
            }
            all.extend_from_slice(&piece);
        }
        self.vfs.release(handle);
        Ok(all)
    }

    pub async fn rm(&self, path: &str) -> FsResult<()> {
        let (dir, name) = path.rsplit_once('/').unwrap();
        self.vfs.unlink(self.ino(dir).await?, name).await
    }

    pub async fn rmdir(&self, path: &str) -> FsResult<()> {
        let (dir, name) = path.rsplit_once('/').unwrap();
        self.vfs.rmdir(self.ino(dir).await?, name).await
    }

    pub async fn mkdir(&self, path: &str) -> FsResult<()> {
        let (dir, name) = path.rsplit_once('/').unwrap();
        self.vfs.mkdir(self.ino(dir).await?, name).await.map(|_| ())
    }

    pub async fn rename(&self, from: &str, to: &str) -> FsResult<()> {
        let (from_dir, from_name) = from.rsplit_once('/').unwrap();
        let (to_dir, to_name) = to.rsplit_once('/').unwrap();
        let from_dir = self.ino(from_dir).await?;
        let to_dir = self.ino(to_dir).await?;
        self.vfs
            .rename((from_dir, from_name), (to_dir, to_name), 0)
            .await
    }

    pub async fn xattr(&self, path: &str, name: &str) -> FsResult<String> {
        let ino = self.ino(path).await?;
        Ok(String::from_utf8(self.vfs.getxattr(ino, name).await?).unwrap())
    }

    pub async fn transfer(&self, path: &str) -> TransferResult {
        serde_json::from_str(&self.xattr(path, "user.pan.transfer").await.unwrap()).unwrap()
    }

    /// Waits until nothing is on its way and nothing is held back.
    pub async fn settle(&self) {
        self.vfs.settle(None).await;
    }

    /// Live file paths at the provider.
    pub fn files(&self, profile: &str) -> Vec<String> {
        let tree = self.world.tree(profile).unwrap();
        let mut paths: Vec<String> = tree["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|item| item["dir"] == false && item["trashed"] == false)
            .map(|item| item["path"].as_str().unwrap_or("").to_owned())
            .collect();
        paths.sort();
        paths
    }

    /// Open upload sessions at the provider.
    pub fn uploads(&self, profile: &str) -> usize {
        let tree = self.world.tree(profile).unwrap();
        tree["uploads"].as_array().map_or(0, Vec::len)
    }
}

async fn build(
    world: &World,
    dir: &Path,
    credentials: &Mutex<BTreeMap<String, Credential>>,
    locals: &[String],
    options: &RigOptions,
) -> Vfs {
    let mut volumes = Vec::new();
    let catalog = Arc::new(Catalog::open(&dir.join("catalog.db")).unwrap().catalog);
    let profiles = world.profiles();
    let own = profiles.iter().map(|profile| (&*profile.name, profile));
    let twins = options.twins.iter().filter_map(|(name, of)| {
        let profile = profiles.iter().find(|profile| profile.name == *of)?;
        Some((*name, profile))
    });
    for (name, profile) in own.chain(twins) {
        let credential = {
            let mut all = credentials.lock().unwrap();
            // Profiles of one account share its credentials.
            all.entry(profile.name.clone())
                .or_insert_with(|| {
                    let secrets = profile
                        .secrets
                        .iter()
                        .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
                        .collect();
                    Credential(Arc::new(Mutex::new(secrets)))
                })
                .clone()
        };
        let context = DriveContext {
            profile: name.to_owned(),
            auth_mode: profile.auth_mode.clone(),
            fields: profile.fields.clone(),
            overridden: profile.endpoints.keys().cloned().collect(),
            endpoints: profile.endpoints.clone(),
            root: profile.root.clone(),
            credentials: Arc::new(credential),
            account: format!("{}/{}", profile.provider, profile.account),
            budget: paced(profile, options.pace),
            ..context(dir, &catalog)
        };
        volumes.push((options.volume)(
            open(&profile.provider, name, context).unwrap(),
        ));
    }
    for name in locals {
        let path = dir.join("locals").join(name);
        std::fs::create_dir_all(&path).unwrap();
        let fields = [("path".to_owned(), path.display().to_string())].into();
        let context = DriveContext {
            profile: name.clone(),
            auth_mode: "none".to_owned(),
            fields,
            account: format!("local/{name}"),
            ..context(dir, &catalog)
        };
        volumes.push((options.volume)(open("local", name, context).unwrap()));
    }
    let engine = Engine::new(EngineParts {
        volumes,
        catalog,
        journal: Journal::open(&dir.join("journal.db")).unwrap(),
        stage: Stage::open(&dir.join("stage"), options.stage_budget, 0).unwrap(),
        clock: options.clock.clone(),
        settings: EngineSettings {
            parallel: 4,
            guards: GuardSettings {
                threshold: options.threshold,
                ..options.guards
            },
            buffer_bytes: 64 << 20,
            instance: "test".to_owned(),
        },
    });
    let settings = Settings {
        close: options.close,
        ..Settings::default()
    };
    let vfs = Vfs::new(engine.clone(), (options.settings)(settings));
    let revived = vfs.clone();
    let left = engine
        .recover(move |record, content| revived.revive(record, content))
        .await
        .unwrap();
    vfs.add_recovered(left);
    vfs
}

/// The declared rates of an account, `pace` times faster.
fn paced(profile: &SimProfile, pace: f64) -> Arc<Budget> {
    let info = panfuse::providers::find(&profile.provider).unwrap();
    let mut modes = info.auth_modes.iter();
    let mode = modes.find(|mode| mode.name == profile.auth_mode).unwrap();
    let limits: Vec<ClassLimit> = match pace {
        0.0 => Vec::new(),
        _ => mode
            .capabilities
            .limits
            .iter()
            .map(|limit| ClassLimit {
                per_second: limit.per_second * pace,
                ..*limit
            })
            .collect(),
    };
    Budget::new(&limits)
}

fn context(dir: &Path, catalog: &Arc<Catalog>) -> DriveContext {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let state_dir = dir.join("providers");
    std::fs::create_dir_all(&state_dir).unwrap();
    DriveContext {
        profile: String::new(),
        auth_mode: String::new(),
        fields: BTreeMap::new(),
        endpoints: BTreeMap::new(),
        overridden: Vec::new(),
        root: None,
        credentials: Arc::new(Credential::default()),
        clock,
        budget: Budget::new(&[]),
        breakers: catalog.clone(),
        account: String::new(),
        state_dir,
        instance: "test".to_owned(),
    }
}

fn open(provider: &str, name: &str, mut context: DriveContext) -> Result<Volume, DriveError> {
    let info = panfuse::providers::find(provider).unwrap();
    for mode in info
        .auth_modes
        .iter()
        .filter(|mode| mode.name == context.auth_mode)
    {
        for field in mode.fields {
            if let Some(default) = field.default {
                context
                    .fields
                    .entry(field.name.to_owned())
                    .or_insert(default.to_owned());
            }
        }
    }
    Ok(Volume {
        name: name.into(),
        provider: info.key,
        drive: (info.open)(context)?,
        read_only: false,
        ttl_ms: 60_000,
    })
}
