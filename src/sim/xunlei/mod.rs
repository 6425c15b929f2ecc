//! Simulator of Xunlei (迅雷云盘), from `xunlei.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | state, the front of the simulator |
//! | `gate` | routes and the checks every call passes |
//! | `clients` | the public clients, captcha and device signatures |
//! | `auth` | access and refresh tokens |
//! | `login` | password log-in of the apps |
//! | `captcha` | captcha tokens |
//! | `spaces` | spaces and the safe box |
//! | `files` | how entries look, stat, quota |
//! | `list` | listings and their filters |
//! | `change` | folders, names, rename |
//! | `batch` | move, copy, trash, restore, delete |
//! | `tasks` | their tasks and those of uploads |
//! | `upload` | fast upload and pending entries |
//! | `s3`, `v4` | the store's front door: AWS signature V4 |
//! | `index` | what contents are known under which claimed hash |
//! | `share`, `save` | shares, and taking files over from them |
//! | `download` | links and their bytes |
//! | `errors` | error answers |
//!
//! Operations in meters and faults: `signin`, `core_login`, `refresh`, `captcha`, `user_info`,
//! `safe_password`, `list`, `stat`, `download_link` (a stat that names `usage`, `_magic` or
//! `with`), `mkdir`, `create`, `rename`, `move`, `copy`, `trash`, `restore`, `delete`,
//! `empty_trash`, `task`, `task_list`, `task_delete`, `quota`, `settings`, `share_create`,
//! `share_info`, `share_list`, `share_file`, `share_restore`, `download` and those of the store
//! (`oss_put`, `oss_part`, ...). `false_claim` is no request: it counts uploads whose bytes do
//! not have the gcid that was claimed for them.
//!
//! Settings:
//!
//! | name | meaning, default |
//! |---|---|
//! | `captcha` | which calls need a token: `all` drive calls, or `none` |
//! | `captcha_per_action` | a token is good only for the action it was made for; off |
//! | `captcha_url` | captcha init asks for a human: `on`, or the one action it does so for; off |
//! | `captcha_life_s` | 300 |
//! | `device_review` | sign-in asks for a review of the device (4002); off |
//! | `review_key` | app log-in opens the review panel unless it brings this trust key, once; off |
//! | `token_life_s` | life of new access tokens; 43200, for the Android clients 86400 |
//! | `token_error` | code of an access token that is no good any more: 16, 4121, 4122 or 10; 16 |
//! | `space_token_life_s` | life of a safe box token, 1800 |
//! | `false_gcid:PATH` | the file at PATH lists this gcid (40 hex); a create with it gets the file's bytes, and the true gcid of a seeded file stays known too |
//! | `verify_gcid` | bytes that do not fit the claimed gcid are refused; off, as the real one |
//! | `hit_delay_ms` | a fast upload's file is pending for so long, 0 |
//! | `complete_delay_ms` | from stored to complete, 100 |
//! | `callback_xml` | the store answers XML when an object is complete, not the callback's JSON; off |
//! | `store_v1` | `off`: signature V1 is refused, V4 is the only one |
//! | `sts_life_s` | 43200 |
//! | `batch_delay_ms` | before batch calls take effect, 0 |
//! | `batch_sync` | batch calls take effect at once and name no task; off |
//! | `untrash_home` | what leaves the trash goes back to its folder, not to the root; off |
//! | `mkdir_lag_ms` | before a new folder is listed, 1000 |
//! | `rename_lock_ms` | after a move or copy rename is refused, 0 |
//! | `archive_settle_ms` | before an archive that was named `.NNN` has links, 300 |
//! | `link_delay_ms` | a new file has no link, 0 |
//! | `link_life_s` | 21600 |
//! | `url_streams`, `account_streams` | parallel downloads, 12 and 40 |
//! | `parallel_lists` | more listings at one time are refused with error 10; off |
//! | `quota_limit` | bytes, 2 TiB |
//! | `same_name_folders` | two folders of one name may exist; off |
//! | `default_folders` | makes 我的转存 and 云添加 in the root; off |
//! | `stray_root` | listings below the root carry a stray `DEFAULT_ROOT` entry, as the browser's do; off |
//! | `max_batch` | ids per batch call, 100 |
//! | `calls_per_second` | more are refused with error 10; off |
//!
//! Offline downloads (section 4.8) are not simulated.

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
mod login;
mod s3;
mod save;
mod share;
mod spaces;
mod tasks;
#[cfg(test)]
mod tests;
mod upload;
mod v4;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use anyhow::bail;
use axum::Router;
use serde_json::{Value, json};

use super::account::Account;
use super::digest::{HashKind, md5_hex};
use super::oss::{Oss, Sts};
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};
use index::Index;
use tasks::Task;

/// The line of the table.
pub const INFO: SimulatorInfo = SimulatorInfo {
    key: "xunlei",
    short: "xunlei",
    roots: spaces::roots,
    shares: false,
    start: |kit| Xunlei::start(kit),
};

/// The bucket uploads go to. The endpoint is handed out as `BUCKET.HOST`; taking the characters of
/// the bucket off it, and not the text, takes the first digit of 127.0.0.1 as well (section 7.1).
const BUCKET: &str = "xl-bucket-01";

/// User id of an account.
fn user_id(account: &Account) -> String {
    (654_320 + account.number).to_string()
}

/// What an account logs in with: user name, password.
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

/// Whether a text is a device id: 32 lower-case hex digits (section 2.1).
fn is_device(text: &str) -> bool {
    is_hex(text, 32) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// What changes. Its lock may be held while a tree's is taken, never the other way round.
#[derive(Default)]
struct State {
    tokens: auth::Tokens,
    /// Sessions of app log-ins by id.
    sessions: HashMap<String, login::Session>,
    /// Trust keys that were used: each is good once.
    spent_keys: HashSet<String>,
    captchas: HashMap<String, captcha::Captcha>,
    space_tokens: HashMap<String, spaces::SpaceToken>,
    /// Keys of the store by access key id.
    keys: HashMap<String, Sts>,
    tasks: HashMap<String, Task>,
    /// Ids of tasks that are not over.
    open: Vec<String>,
    /// Ids of pending entries; of deleted ones too.
    pending: HashSet<String>,
    index: Index,
    /// Signatures of links that a fault ended.
    dead_links: HashSet<String>,
    shares: HashMap<String, share::Share>,
    /// The setting `restore_path`: profile to folder id.
    restore_paths: HashMap<String, String>,
}

/// The server.
pub struct Xunlei {
    kit: Kit,
    oss: Arc<Oss>,
    state: Mutex<State>,
    streams: download::Streams,
    /// What links are signed with.
    secret: String,
}

impl Xunlei {
    fn start(kit: Kit) -> Arc<Xunlei> {
        Arc::new_cyclic(|weak: &Weak<Xunlei>| {
            let weak = weak.clone();
            let oss = Oss::new(
                kit.clock.clone(),
                Box::new(move |finished| {
                    let sim = weak.upgrade();
                    Box::pin(async move { upload::stored(sim, finished).await })
                }),
            );
            let secret = kit.ids.hex(32);
            Xunlei {
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
        format!("VN{}A1", self.kit.ids.hex(22))
    }
}

impl Simulator for Xunlei {
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
        let one = |account: &Arc<Account>| SimProfile {
            name: account.profile.clone(),
            provider: self.kit.provider.to_owned(),
            account: account.profile.clone(),
            auth_mode: "manual_token".to_owned(),
            kind: "account".to_owned(),
            fields: BTreeMap::from([
                ("device_id".to_owned(), device_id(account)),
                ("client_id".to_owned(), clients::WEB_ID.to_owned()),
                ("username".to_owned(), login(account).0),
            ]),
            secrets: BTreeMap::from([(
                "refresh_token".to_owned(),
                self.profile_token(account, clients::WEB_ID),
            )]),
            endpoints: self.endpoints(),
            root: None,
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
            "captcha_per_action",
            "captcha_url",
            "captcha_life_s",
            "device_review",
            "review_key",
            "token_life_s",
            "token_error",
            "space_token_life_s",
            "false_gcid:",
            "verify_gcid",
            "hit_delay_ms",
            "complete_delay_ms",
            "callback_xml",
            "store_v1",
            "sts_life_s",
            "batch_delay_ms",
            "batch_sync",
            "untrash_home",
            "mkdir_lag_ms",
            "rename_lock_ms",
            "archive_settle_ms",
            "link_delay_ms",
            "link_life_s",
            "url_streams",
            "account_streams",
            "parallel_lists",
            "quota_limit",
            "same_name_folders",
            "default_folders",
            "stray_root",
            "max_batch",
            "calls_per_second",
        ]
    }

    fn changed(&self, account: &Account, key: &str, value: &str) -> anyhow::Result<()> {
        if let Some(path) = key.strip_prefix("false_gcid:") {
            return self.set_false_gcid(account, path, value);
        }
        match key {
            "token_error" if !matches!(value, "10" | "16" | "4121" | "4122") => {
                bail!("token_error is 10, 16, 4121 or 4122")
            }
            "captcha" if !matches!(value, "all" | "none") => bail!("captcha is all or none"),
            "default_folders" if account.knobs.flag(key) => {
                self.make_default_folders(account);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
