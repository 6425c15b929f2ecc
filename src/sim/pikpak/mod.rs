//! Simulator of PikPak, from `pikpak.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | state, the front of the simulator |
//! | `gate` | routes and the checks every call passes |
//! | `clients` | the public clients and their captcha signatures |
//! | `auth` | sign-in, refresh, tokens |
//! | `captcha` | captcha tokens |
//! | `files` | how entries look, stat, quota |
//! | `list` | listings and their filters |
//! | `change` | folders, names, rename |
//! | `batch` | move, copy, trash, restore, delete |
//! | `tasks` | their tasks and those of uploads |
//! | `upload` | fast upload, the CID oracle, pending entries |
//! | `index` | what contents are known under which claimed hash |
//! | `download` | links and their bytes |
//! | `errors` | error answers |
//!
//! Operations in meters and faults: `signin`, `refresh`, `captcha`, `user_info`, `list`,
//! `stat`, `download_link` (a stat that names a `usage`), `mkdir`, `create`, `cid`, `rename`,
//! `move`, `copy`, `trash`, `restore`, `delete`, `empty_trash`, `star`, `unstar`, `task`,
//! `task_list`, `task_delete`, `quota`, `vip`, `allowance`, `download` and those of the store
//! (`oss_put`, `oss_part`, ...). `false_claim` is no request: it counts uploads whose bytes do
//! not have the gcid that was claimed for them.
//!
//! Settings:
//!
//! | name | meaning, default |
//! |---|---|
//! | `captcha` | which calls need a token: `detail` (stat and link), `all`, `none` |
//! | `captcha_wall` | after so many calls without a token all need one; off |
//! | `captcha_url` | captcha init asks for a human; off |
//! | `captcha_life_s` | 300 |
//! | `signin_without_device` | sign-in works without `X-Device-Id`; off |
//! | `false_gcid:PATH` | the file at PATH lists this gcid (40 hex); a create with it gets the file's bytes, and the true gcid of a seeded file stays known too |
//! | `cid_twin` | `SEED,SIZE` of a synthetic content, or `PATH`: makes another content of its CID known, and the oracle answers that one's gcid |
//! | `cid_miss_500` | the oracle's older answer to a miss; off |
//! | `verify_gcid` | bytes that do not fit the claimed gcid are refused; off, as the real one |
//! | `complete_delay_ms` | from stored to complete, 100 |
//! | `batch_delay_ms` | before batch calls take effect, 0 |
//! | `rename_lock_ms` | after a move or copy rename is refused, 200 |
//! | `delete_lag_ms` | a deleted name stays taken for rename, 0 |
//! | `link_delay_ms` | a new file has no link, 0 |
//! | `link_life_s` | 14400 |
//! | `url_streams`, `account_streams` | parallel downloads, 8 and 20 |
//! | `sts_life_s` | 43200 |
//! | `quota_limit` | bytes, 10 TiB |
//! | `same_name_folders` | two folders of one name may exist; off |
//! | `mangle_names` | forbidden characters are replaced instead of refused; off |
//! | `delete_one` | what `DELETE files/ID` does: `permanent`, or `trash` |
//! | `list_md5` | listings show `md5_checksum` of seeded files; off |
//! | `max_batch` | ids per batch call, 100 |
//! | `calls_per_second` | more are refused with error 10; off |

mod auth;
mod batch;
mod captcha;
mod change;
mod clients;
mod download;
mod errors;
mod files;
mod gate;
mod index;
mod list;
mod tasks;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_account;
#[cfg(test)]
mod tests_upload;
mod upload;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::Router;
use serde_json::{Value, json};

use super::account::Account;
use super::digest::{HashKind, md5_hex};
use super::oss::Oss;
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};
use index::Index;
use tasks::Task;

/// The line of the table.
pub const INFO: SimulatorInfo = SimulatorInfo {
    key: "pikpak",
    short: "pikpak",
    roots: |number| vec![root_id(number)],
    shares: false,
    start: |kit| PikPak::start(kit),
};

/// The bucket uploads go to.
const BUCKET: &str = "vip-lixian-07";

/// Id of an account's root inside the tree; the API writes it as an empty text.
fn root_id(number: usize) -> String {
    format!("root:{number}")
}

/// User id of an account.
fn user_id(account: &Account) -> String {
    format!("YSabc{:08}", 1_000 + account.number)
}

/// What an account signs in with: user name, password.
fn login(account: &Account) -> (String, String) {
    (
        format!("user{}@example.com", account.number),
        format!("hunter-{}-secret", account.number),
    )
}

/// The device id the profiles carry: MD5 of user name and password (section 2.3).
fn device_id(account: &Account) -> String {
    let (name, password) = login(account);
    md5_hex(format!("{name}{password}").as_bytes())
}

/// A text member; null and absent are the same.
fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or("")
}

/// Whether a text is so many hex digits.
fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What changes. Its lock may be held while a tree's is taken, never the other way round.
#[derive(Default)]
struct State {
    tokens: auth::Tokens,
    captchas: HashMap<String, captcha::Captcha>,
    /// Calls without a good captcha token, by profile.
    bare_calls: HashMap<String, u64>,
    tasks: HashMap<String, Task>,
    /// Ids of tasks that are not over.
    open: Vec<String>,
    /// Ids of pending entries; of deleted ones too.
    pending: HashSet<String>,
    index: Index,
    /// Deleted names that are still taken: profile, parent, name, until.
    ghosts: Vec<(String, String, String, i64)>,
    /// Signatures of links that a fault ended.
    dead_links: HashSet<String>,
    /// Bytes charged to the monthly upload allowance, by profile.
    charged: HashMap<String, u64>,
}

/// The server.
pub struct PikPak {
    kit: Kit,
    oss: Arc<Oss>,
    state: Mutex<State>,
    streams: download::Streams,
    /// What links are signed with.
    secret: String,
}

impl PikPak {
    fn start(kit: Kit) -> Arc<PikPak> {
        Arc::new_cyclic(|weak: &Weak<PikPak>| {
            let weak = weak.clone();
            let oss = Oss::new(
                kit.clock.clone(),
                Box::new(move |finished| {
                    let sim = weak.upgrade();
                    Box::pin(async move { upload::stored(sim, finished).await })
                }),
            );
            let secret = kit.ids.hex(32);
            PikPak {
                kit,
                oss,
                state: Mutex::default(),
                streams: download::Streams::default(),
                secret,
            }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(&self, profile: &str) -> Option<Arc<Account>> {
        let mut all = self.kit.accounts.iter();
        all.find(|account| account.profile == profile).cloned()
    }

    fn file_id(&self) -> String {
        format!("VOa{}", self.kit.ids.hex(23))
    }
}

impl Simulator for PikPak {
    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn router(self: Arc<Self>) -> Router {
        gate::router(self)
    }

    /// Each endpoint has a path of its own, so that a call to the wrong host is found out.
    fn endpoints(&self) -> BTreeMap<String, String> {
        ["api", "user", "oss"]
            .into_iter()
            .map(|name| (name.to_owned(), format!("{}/{name}", self.kit.base)))
            .collect()
    }

    fn profiles(&self) -> Vec<SimProfile> {
        let one = |account: &Arc<Account>| {
            let (username, password) = login(account);
            SimProfile {
                name: account.profile.clone(),
                provider: self.kit.provider.to_owned(),
                account: account.profile.clone(),
                auth_mode: "manual_token".to_owned(),
                kind: "account".to_owned(),
                fields: BTreeMap::from([
                    ("username".to_owned(), username),
                    ("platform".to_owned(), "web".to_owned()),
                    ("device_id".to_owned(), device_id(account)),
                ]),
                secrets: BTreeMap::from([
                    ("refresh_token".to_owned(), self.profile_token(account)),
                    ("password".to_owned(), password),
                ]),
                endpoints: self.endpoints(),
                root: None,
            }
        };
        self.kit.accounts.iter().map(one).collect()
    }

    fn new_id(&self, _account: &Account, _dir: bool) -> String {
        self.file_id()
    }

    /// Seeded contents are listed with their true gcid. It is computed now, not while a
    /// client waits for a listing.
    fn seeded(&self, account: &Account, id: &str) {
        let blob = account.tree().get(id).and_then(|node| node.blob.clone());
        if let Some(blob) = blob {
            let gcid = blob.digest_now(HashKind::Gcid).to_uppercase();
            account.tree().update(id, |node| {
                node.extra.insert("hash".to_owned(), json!(gcid));
                node.extra.insert("seeded".to_owned(), json!(true));
            });
        }
    }

    /// Upload tasks that are not complete, and open multipart uploads of the store.
    fn uploads(&self, account: &Account) -> Vec<Value> {
        self.settle();
        let state = self.state();
        let mut all: Vec<Value> = state
            .tasks
            .iter()
            .filter(|(_, task)| task.profile == account.profile && task.upload.is_some())
            .filter(|(_, task)| task.phase != tasks::COMPLETE)
            .map(|(id, task)| {
                json!({
                    "id": id, "name": task.file_name, "kind": "task", "phase": task.phase,
                    "file_id": task.file_id, "size": task.size,
                })
            })
            .collect();
        drop(state);
        all.sort_by_key(|upload| text(upload, "id").to_owned());
        all.extend(self.oss.uploads(account));
        all
    }

    fn knobs(&self) -> &'static [&'static str] {
        &[
            "captcha",
            "captcha_wall",
            "captcha_url",
            "captcha_life_s",
            "signin_without_device",
            "false_gcid:",
            "cid_twin",
            "cid_miss_500",
            "verify_gcid",
            "complete_delay_ms",
            "batch_delay_ms",
            "rename_lock_ms",
            "delete_lag_ms",
            "link_delay_ms",
            "link_life_s",
            "url_streams",
            "account_streams",
            "sts_life_s",
            "quota_limit",
            "same_name_folders",
            "mangle_names",
            "delete_one",
            "list_md5",
            "max_batch",
            "calls_per_second",
        ]
    }

    fn changed(&self, account: &Account, key: &str, value: &str) -> anyhow::Result<()> {
        match key.strip_prefix("false_gcid:") {
            Some(path) => self.set_false_gcid(account, path, value),
            None if key == "cid_twin" => self.set_cid_twin(account, value),
            None => Ok(()),
        }
    }
}
