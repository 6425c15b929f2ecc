//! A world: the simulators a test or `panfuse sim serve` runs, each on a loopback port, and
//! everything that can be done to them from outside.

use std::collections::BTreeMap;
use std::net::TcpListener as StdListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::middleware::{self, Next};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::account::Account;
use super::clock::{Clock, rfc3339};
use super::content::Blob;
use super::digest::HashKind;
use super::faults::Fault;
use super::inventory::Inventory;
use super::meters::Stat;
use super::rate::Rates;
use super::simulator::{Ids, Kit, SimProfile, Simulator, SimulatorInfo};
use super::tree::{Node, Tree};
use super::wire::{Conn, DropConnection, Wires};

/// What to start.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Provider keys; empty means all.
    pub only: Vec<String>,
    /// Accounts per provider.
    pub accounts: usize,
}

impl Default for WorldOptions {
    fn default() -> WorldOptions {
        WorldOptions {
            only: Vec::new(),
            accounts: 2,
        }
    }
}

/// Where seeded bytes come from.
#[derive(Clone, Debug)]
pub enum SeedSource {
    /// Pseudo-random bytes of a seed.
    Synthetic {
        /// The seed.
        seed: u64,
    },
    /// The content of another file (size is taken from it).
    Like {
        /// Its profile.
        profile: String,
        /// Its path.
        path: String,
    },
    /// A local file (size is taken from it).
    File(PathBuf),
    /// These bytes (size is taken from them).
    Bytes(Bytes),
}

/// Running simulators. Everything stops when it is dropped.
pub struct World {
    clock: Clock,
    simulators: BTreeMap<&'static str, Arc<dyn Simulator>>,
    /// Simulator and account by profile name.
    names: BTreeMap<String, (Arc<dyn Simulator>, Arc<Account>)>,
    admin: String,
    runtime: Mutex<Option<Runtime>>,
}

impl Drop for World {
    fn drop(&mut self) {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn bind() -> Result<(StdListener, String)> {
    let listener = StdListener::bind("127.0.0.1:0").context("no loopback port")?;
    listener.set_nonblocking(true)?;
    let base = format!("http://{}", listener.local_addr()?);
    Ok((listener, base))
}

/// Wraps a simulator's routes: path rewriting, and connections that are dropped.
fn dressed(simulator: &Arc<dyn Simulator>) -> Router {
    let inner = simulator.clone().router();
    Router::new()
        .fallback_service(inner)
        .layer(middleware::from_fn_with_state(simulator.clone(), around))
}

async fn around(
    State(simulator): State<Arc<dyn Simulator>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(path) = simulator.rewrite(request.uri().path()) {
        let query = request
            .uri()
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        if let Ok(uri) = format!("{path}{query}").parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    let conn = request.extensions().get::<ConnectInfo<Conn>>().cloned();
    let response = next.run(request).await;
    if let (Some(ConnectInfo(conn)), Some(_)) =
        (conn, response.extensions().get::<DropConnection>())
    {
        conn.kill();
    }
    response
}

impl World {
    /// Starts the simulators of `table` that the options name, each on its own loopback
    /// port and all on threads of this world. [`super::start`] does it with the table of all.
    ///
    /// # Errors
    /// An unknown provider key, or no port.
    pub fn start(table: &[SimulatorInfo], options: &WorldOptions) -> Result<Arc<World>> {
        if let Some(unknown) = options
            .only
            .iter()
            .find(|key| !table.iter().any(|info| info.key == key.as_str()))
        {
            bail!("no simulator for {unknown}");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("simulator")
            .enable_all()
            .build()?;
        let clock = Clock::default();
        let mut simulators = BTreeMap::new();
        for info in table {
            if !options.only.is_empty() && !options.only.iter().any(|key| key == info.key) {
                continue;
            }
            let (listener, base) = bind()?;
            let account = |number: usize, profile: String| {
                let roots = (info.roots)(number);
                let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
                Arc::new(Account::new(profile, number, Tree::new(&roots)))
            };
            let count = options.accounts.max(1);
            let accounts = (1..=count).map(|number| match number {
                1 => account(1, info.short.to_owned()),
                n => account(n, format!("{}-{n}", info.short)),
            });
            let share = info
                .shares
                .then(|| account(count + 1, format!("{}-share", info.short)));
            let simulator = (info.start)(Kit {
                provider: info.key,
                base,
                clock: clock.clone(),
                inventory: Inventory::default(),
                accounts: accounts.collect(),
                share,
                rates: Rates::default(),
                ids: Ids::new(info.key),
            });
            let app = dressed(&simulator);
            let _context = runtime.enter();
            let wires = Wires(tokio::net::TcpListener::from_std(listener)?);
            runtime.spawn(async move {
                let _ = axum::serve(wires, app.into_make_service_with_connect_info::<Conn>()).await;
            });
            simulators.insert(info.key, simulator);
        }
        let (listener, admin) = bind()?;
        let mut names = BTreeMap::new();
        for simulator in simulators.values() {
            let simulator: &Arc<dyn Simulator> = simulator;
            for profile in simulator.profiles() {
                let kit = simulator.kit();
                let mut accounts = kit.accounts.iter().chain(&kit.share);
                let account = accounts.find(|account| account.profile == profile.account);
                let account = account.context("profile without account")?.clone();
                names.insert(profile.name, (simulator.clone(), account));
            }
        }
        let world = Arc::new(World {
            clock,
            simulators,
            names,
            admin,
            runtime: Mutex::new(None),
        });
        let app = super::admin::router(Arc::downgrade(&world));
        {
            let _context = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            runtime.spawn(async move {
                let _ = axum::serve(listener, app).await;
            });
        }
        *world.runtime.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime);
        Ok(world)
    }

    /// Base URL of the admin server.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// The clock all simulators share.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Moves the clock.
    pub fn clock_advance(&self, ms: i64) {
        self.clock.advance(ms);
    }

    /// Every profile of every account, with secrets as fresh as the simulators make them
    /// (single-use refresh tokens are new at each call).
    pub fn profiles(&self) -> Vec<SimProfile> {
        self.simulators
            .values()
            .flat_map(|simulator| simulator.profiles())
            .collect()
    }

    /// Base URLs by provider key and endpoint name.
    pub fn endpoints(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let all = self.simulators.iter();
        all.map(|(key, simulator)| ((*key).to_owned(), simulator.endpoints()))
            .collect()
    }

    /// A profile by name.
    ///
    /// # Errors
    /// There is none.
    pub fn profile(&self, name: &str) -> Result<SimProfile> {
        let mut all = self.profiles().into_iter();
        all.find(|profile| profile.name == name)
            .ok_or_else(|| anyhow!("no simulated profile {name}"))
    }

    fn at(&self, profile: &str) -> Result<(&Arc<dyn Simulator>, Arc<Account>)> {
        let (simulator, account) = self
            .names
            .get(profile)
            .ok_or_else(|| anyhow!("no simulated profile {profile}"))?;
        Ok((simulator, account.clone()))
    }

    /// The account behind a profile: its tree, meters, faults and knobs, for tests in
    /// process.
    ///
    /// # Errors
    /// No such profile.
    pub fn account(&self, profile: &str) -> Result<Arc<Account>> {
        Ok(self.at(profile)?.1)
    }

    fn source(&self, size: u64, source: &SeedSource) -> Result<Blob> {
        Ok(match source {
            SeedSource::Synthetic { seed } => Blob::synthetic(*seed, size),
            SeedSource::Like { profile, path } => self.blob(profile, path)?,
            SeedSource::File(path) => Blob::bytes(
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
            ),
            SeedSource::Bytes(bytes) => Blob::bytes(bytes.clone()),
        })
    }

    fn blob(&self, profile: &str, path: &str) -> Result<Blob> {
        let (_, account) = self.at(profile)?;
        let tree = account.tree();
        let blob = tree.resolve(path).and_then(Node::stored).cloned();
        blob.with_context(|| format!("no file {path} in {profile}"))
    }

    /// Puts a file into an account, with its parents, and makes its content known to the
    /// provider. A file of that path is replaced. Answers the id. `size` counts for
    /// synthetic sources only.
    ///
    /// # Errors
    /// No such profile or source, or a file where a directory is needed.
    pub fn seed(
        &self,
        profile: &str,
        path: &str,
        size: u64,
        source: &SeedSource,
    ) -> Result<String> {
        let blob = self.source(size, source)?;
        let (simulator, account) = self.at(profile)?;
        simulator.kit().inventory.add(&blob);
        let (parents, name) = path
            .trim_end_matches('/')
            .rsplit_once('/')
            .unwrap_or(("", path));
        if name.is_empty() {
            bail!("a file needs a name");
        }
        let parent = self.dirs(profile, parents, |account, id| {
            simulator.implied(account, id);
        })?;
        let id = simulator.new_id(&account, false);
        {
            let mut tree = account.tree();
            let old: Vec<String> = tree
                .find(&parent, name)
                .iter()
                .map(|node| node.id.clone())
                .collect();
            for id in old {
                tree.remove(&id);
            }
            tree.insert(Node::file(&id, &parent, name, blob, self.clock.now_ms()));
        }
        simulator.seeded(&account, &id);
        Ok(id)
    }

    /// Makes a directory and its parents; answers its id.
    ///
    /// # Errors
    /// No such profile, or a file is in the way.
    pub fn mkdir(&self, profile: &str, path: &str) -> Result<String> {
        let (simulator, _) = self.at(profile)?;
        let parents = path.trim_end_matches('/').rsplit_once('/');
        self.dirs(
            profile,
            parents.map_or("", |(parents, _)| parents),
            |account, id| {
                simulator.implied(account, id);
            },
        )?;
        self.dirs(profile, path, |account, id| simulator.seeded(account, id))
    }

    fn dirs(&self, profile: &str, path: &str, made: impl Fn(&Account, &str)) -> Result<String> {
        let (simulator, account) = self.at(profile)?;
        let mut at = account.tree().root().to_owned();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let known = account
                .tree()
                .find(&at, name)
                .first()
                .map(|n| (n.id.clone(), n.is_dir()));
            at = match known {
                Some((id, true)) => id,
                Some((_, false)) => bail!("{name} in {path} is a file"),
                None => {
                    let id = simulator.new_id(&account, true);
                    account
                        .tree()
                        .insert(Node::dir(&id, &at, name, self.clock.now_ms()));
                    made(&account, &id);
                    id
                }
            };
        }
        Ok(at)
    }

    /// Makes a content known to a profile's provider without any file (some other user has
    /// it): a fast upload of it is a hit.
    ///
    /// # Errors
    /// No such profile or source.
    pub fn seed_known_only(&self, profile: &str, size: u64, source: &SeedSource) -> Result<()> {
        let blob = self.source(size, source)?;
        self.at(profile)?.0.kit().inventory.add(&blob);
        Ok(())
    }

    /// The meters.
    ///
    /// # Errors
    /// No such profile.
    pub fn stat(&self, profile: &str) -> Result<Stat> {
        Ok(self.at(profile)?.1.meters.stat())
    }

    /// Injects a fault.
    ///
    /// # Errors
    /// No such profile.
    pub fn fault(&self, profile: &str, fault: Fault) -> Result<()> {
        self.at(profile)?.1.faults.add(fault);
        Ok(())
    }

    /// Puts the meters to zero and takes the faults away.
    ///
    /// # Errors
    /// No such profile.
    pub fn reset(&self, profile: &str) -> Result<()> {
        let (_, account) = self.at(profile)?;
        account.meters.reset();
        account.faults.reset();
        Ok(())
    }

    /// When requests of `op` came since the last reset, oldest first.
    ///
    /// # Errors
    /// No such profile.
    pub fn arrivals(&self, profile: &str, op: &str) -> Result<Vec<std::time::Instant>> {
        Ok(self.at(profile)?.1.meters.arrivals_of(op))
    }

    /// Changes a setting of the simulator for one account.
    ///
    /// # Errors
    /// No such profile or setting.
    pub fn set(&self, profile: &str, key: &str, value: &str) -> Result<()> {
        let (simulator, account) = self.at(profile)?;
        let named =
            |known: &&str| *known == key || (known.ends_with(':') && key.starts_with(*known));
        if !simulator.knobs().iter().any(named) {
            bail!(
                "no setting {key}; there are: {}",
                simulator.knobs().join(", ")
            );
        }
        account.knobs.set(key, value);
        simulator.changed(&account, key, value)
    }

    /// Stored bytes of a file.
    ///
    /// # Errors
    /// No such profile or file.
    pub fn read(&self, profile: &str, path: &str, offset: u64, len: u64) -> Result<Bytes> {
        Ok(self.blob(profile, path)?.read(offset, len))
    }

    /// Flips a bit in the stored bytes of a file; what the provider lists stays.
    ///
    /// # Errors
    /// No such profile or file.
    pub fn corrupt(&self, profile: &str, path: &str) -> Result<()> {
        let bad = self.blob(profile, path)?.corrupted();
        let (_, account) = self.at(profile)?;
        let mut tree = account.tree();
        let id = tree
            .resolve(path)
            .map(|node| node.id.clone())
            .unwrap_or_default();
        tree.update(&id, |node| node.stored = Some(bad));
        Ok(())
    }

    /// Everything in an account: `{"items":[{"path","id","dir","size","sha1","md5",
    /// "trashed","pending","created","modified"}],"uploads":[..]}`, sorted by path. Hashes
    /// are of the stored bytes. `trashed` is true for everything below a trashed directory.
    ///
    /// # Errors
    /// No such profile.
    pub fn tree(&self, profile: &str) -> Result<Value> {
        let (simulator, account) = self.at(profile)?;
        let mut nodes: Vec<(String, bool, Node)> = {
            let tree = account.tree();
            let all = tree.walk().into_iter();
            all.map(|node| {
                let gone = !node.pending && tree.live(&node.id).is_none();
                (tree.path_of(&node.id), gone, node.clone())
            })
            .collect()
        };
        nodes.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.2.id.cmp(&b.2.id)));
        let items: Vec<Value> = nodes
            .into_iter()
            .map(|(path, trashed, node)| {
                let hash = |kind| node.stored().map(|blob| blob.digest_now(kind));
                json!({
                    "path": path, "id": node.id, "dir": node.is_dir(),
                    "size": node.stored().map_or(0, Blob::size),
                    "sha1": hash(HashKind::Sha1), "md5": hash(HashKind::Md5),
                    "trashed": trashed, "pending": node.pending,
                    "created": rfc3339(node.created), "modified": rfc3339(node.modified),
                })
            })
            .collect();
        Ok(json!({ "items": items, "uploads": simulator.uploads(&account) }))
    }
}
