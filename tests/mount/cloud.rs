//! Two local drives under one mount.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use panfuse::catalog::Catalog;
use panfuse::content::{Stage, Volume};
use panfuse::drive::DriveContext;
use panfuse::fuse::{MountOptions, Mounted};
use panfuse::net::{Budget, CredentialStore, Credentials, StoreError, SystemClock};
use panfuse::profile::MemoryBreakers;
use panfuse::transfer::{Engine, EngineParts, EngineSettings, Journal};
use panfuse::vfs::{Close, Settings, Vfs};

/// No test may take longer: a mount that hangs would hang the whole run.
const LIMIT: Duration = Duration::from_secs(120);

/// A local drive has no secrets.
struct NoSecrets;

#[async_trait]
impl CredentialStore for NoSecrets {
    async fn load(&self) -> Result<Credentials, StoreError> {
        Ok(Credentials::new())
    }

    async fn save(&self, _changed: Credentials) -> Result<(), StoreError> {
        Err(StoreError("a local drive has no secrets".to_owned()))
    }

    async fn lock(&self) -> Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(()))
    }
}

/// Whether real mounts can be tested here. Says so when not.
pub fn can_mount() -> bool {
    let device = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse");
    if let Err(error) = device {
        eprintln!("SKIPPED, NOTHING TESTED: /dev/fuse: {error}");
        return false;
    }
    true
}

fn volume(home: &Path, name: &str) -> Volume {
    let root = home.join("drives").join(name);
    let state_dir = home.join("state").join(name);
    std::fs::create_dir_all(&root).unwrap();
    std::fs::create_dir_all(&state_dir).unwrap();
    let info = panfuse::providers::find("local").unwrap();
    let drive = (info.open)(DriveContext {
        profile: name.to_owned(),
        auth_mode: info.auth_modes[0].name.to_owned(),
        fields: BTreeMap::from([("path".to_owned(), root.display().to_string())]),
        endpoints: BTreeMap::new(),
        overridden: Vec::new(),
        root: None,
        credentials: Arc::new(NoSecrets),
        clock: Arc::new(SystemClock),
        budget: Budget::new(info.capabilities().limits),
        breakers: Arc::new(MemoryBreakers::default()),
        account: format!("local/{name}"),
        state_dir,
        instance: "01234567".to_owned(),
    })
    .unwrap();
    Volume {
        name: name.into(),
        provider: info.key,
        drive,
        read_only: false,
        ttl_ms: 60_000,
    }
}

/// A file system over the drives `a` and `b` in `home`. Closing a file waits for its drive, so
/// that a test can look at the drive behind.
pub fn vfs(home: &Path) -> Vfs {
    let engine = Engine::new(EngineParts {
        volumes: vec![volume(home, "a"), volume(home, "b")],
        catalog: Arc::new(Catalog::in_memory().unwrap()),
        journal: Journal::open(&home.join("journal.db")).unwrap(),
        stage: Stage::open(&home.join("stage"), 1 << 30, 0).unwrap(),
        clock: Arc::new(SystemClock),
        settings: EngineSettings {
            parallel: 4,
            threshold: None,
            buffer_bytes: 32 << 20,
            instance: "01234567".to_owned(),
        },
    });
    Vfs::new(
        engine,
        Settings {
            close: Close::Wait,
            ..Settings::default()
        },
    )
}

/// A mounted pair of drives.
pub struct Cloud {
    pub home: PathBuf,
    pub mount: PathBuf,
}

impl Cloud {
    /// A path below the mount point.
    pub fn at(&self, path: &str) -> PathBuf {
        self.mount.join(path)
    }

    /// A path below the drives' own directories.
    pub fn behind(&self, path: &str) -> PathBuf {
        self.home.join("drives").join(path)
    }

    /// Runs a shell command in the mount point; returns what it printed. It must succeed.
    pub fn sh(&self, command: &str) -> String {
        let output = Command::new("timeout")
            .args(["-k", "5", "60", "sh", "-ec", command])
            .current_dir(&self.mount)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{command}: {}\n{said}",
            output.status
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Mounts, runs `test` on a thread of its own, unmounts whatever came of it.
pub fn mounted(options: &str, test: impl FnOnce(&Cloud) + Send + 'static) {
    if !can_mount() {
        return;
    }
    let options = MountOptions::parse(&[options]).unwrap();
    let home = tempfile::tempdir().unwrap();
    let place = std::fs::canonicalize(home.path()).unwrap();
    let cloud = Cloud {
        mount: place.join("mount"),
        home: place,
    };
    std::fs::create_dir(&cloud.mount).unwrap();
    run(async move {
        let vfs = vfs(&cloud.home);
        let runtime = tokio::runtime::Handle::current();
        let mounted = Mounted::start(vfs, &cloud.mount, &options, runtime)
            .await
            .unwrap();
        let mount = cloud.mount.clone();
        let tested =
            tokio::time::timeout(LIMIT, tokio::task::spawn_blocking(move || test(&cloud))).await;
        mounted.stop().await.unwrap();
        assert_eq!(
            std::fs::read_dir(&mount).unwrap().count(),
            0,
            "it is still mounted"
        );
        tested.expect("the test hangs").unwrap();
    });
    drop(home);
}

/// Runs a test on a runtime that does not wait for what hangs.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(test);
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}
