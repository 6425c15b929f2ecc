//! Simulator of Guangya, from `guangya.md`: the consumer API (the sheet's family A).
//!
//! | file | what is in it |
//! |---|---|
//! | this one | state, the front of the simulator |
//! | `gate` | routes and the checks every call passes |
//! | `auth` | clients, devices, tokens, the account service |
//! | `args`, `errors` | members of a body; the envelope and its many forms |
//! | `files` | how entries look, stat, quota |
//! | `list` | listings, trash, search |
//! | `change` | names, folders, rename |
//! | `tasks` | move, copy, trash, purge, restore, and the polls for them |
//! | `claims` | hashes that a client claims, and who has such a content |
//! | `upload` | upload tasks: token, flash check, resume, delete |
//! | `import` | from a hit or stored bytes to a file; the polls for it |
//! | `download` | links and their bytes |
//!
//! One port: the API at `/api` (both prefixes of its paths), the account service at `/account`,
//! the store at `/oss`, links at `/obj`. Not here: log in by SMS or QR code, zip packages, the
//! list of recent actions, shares, direct links, offline downloads, and the families B and C.
//!
//! Operations in meters and faults: `refresh`, `user_info`, `list`, `trash_list`, `search`,
//! `stat`, `link`, `vod_link`, `download`, `mkdir`, `rename`, `move`, `copy`, `trash`, `purge`
//! (the same call, with ids in the trash), `restore`, `empty_trash`, `task`, `upload_token`,
//! `flash_check`, `upload_info`, `upload_delete`, `resume_token`, `quota` and those of the store
//! (`oss_put`, `oss_init`, `oss_part`, ...). `rapid_hits` counts files that came to be without
//! bytes, when they are there; `rapid_misses` counts calls with usable hashes that found
//! nothing (token and check are two calls).
//!
//! Faults of the simulator's own: `errno` (`CODE` or `HTTP:CODE`; `120` is the throttle),
//! `expire_token` (118), `expire_link` (`download`: 403, for good), `truncated_page` (`list`,
//! `trash_list`, `search`: half a page, the next goes on where it ended), `null_list` (the same),
//! `lag` (`list`), `commit_fail` (`task`: status 3; argument `-1`: status -1; another number:
//! status 2 with that code in its detail; `upload_info`: no file id for good; with a number:
//! that code).
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `forms` | mixed | `plain`: every answer in its first documented form. Mixed, by lot: `code` is missing, a text, or `msg` is `ok` or empty; an empty listing has no `list`; `provider` is a number or a text; credentials lie in `creds` or beside it; `endPoint` with the bucket or without; `fullEndPoint` missing; 143 or 146; a flash check brings a new task id |
//! | `total` | exact | of listings: `zero`, `absent`, `mixed` |
//! | `prefixes` | both | `current` or `old`: the other prefix is HTTP 404 |
//! | `error_status` | 200 | HTTP status of refusals that are not of the login |
//! | `calls_per_second` | 0 | more are throttled; 0: no limit |
//! | `throttle` | 120 | `429`: HTTP 429 with `Retry-After` instead |
//! | `client` | web | `pc`: profiles carry a login of the PC client |
//! | `secrets` | refresh | of profiles: `access`, `both` |
//! | `access_seconds` | 7200 | life of an access token |
//! | `rotate` | on | `off`: a refresh brings no new refresh token, the old one stays good |
//! | `token_form` | plain | `data`: token answers are wrapped |
//! | `bind_device` | off | a refresh needs the device of the login |
//! | `logout` | - | any value ends all logins of the account |
//! | `total_size` | 10 TiB | space (157) |
//! | `month_bytes` | 0 | bytes imported until 172; 0: no limit |
//! | `max_file_size` | 0 | larger ones are 90000; 0: no limit |
//! | `vip_status` | 1 | of `get_assets` |
//! | `max_page` | 1000 | larger `pageSize` is 112 |
//! | `max_batch` | 1000 | ids per call |
//! | `fresh_gcid_ms` | 0 | so long a new file shows no gcid |
//! | `task` | async | `sync`: no `taskId`, done with the call; `mixed`: by lot |
//! | `task_polls`, `task_ms` | 1, 3000 | polls that find a task running; after so long it is done without |
//! | `move_collision` | fail | a taken name ends the task with 159 or 160 in its detail; `rename`: `name(1)` |
//! | `import_polls`, `import_ms` | 1, 3000 | polls answered 147; after so long the file is there without |
//! | `md5_large` | on | `off`: md5 finds only files below 1 MiB |
//! | `gcid_alone` | 112 | flash check with gcid and no cid: `false` (a miss), `accept` |
//! | `upload_life_s` | 86400 | life of an upload task without bytes (163) |
//! | `sts_life_s` | 3600 | life of the store's credentials |
//! | `link_seconds` | 21600 | life of a link |
//! | `link_field` | signedURL | or `signedUrl`, `downloadUrl`, `downloadURL` |
//! | `expired_status` | 403 | of a link that ended; or 410 |
//! | `file_streams` | 0 | parallel downloads per link, more are 503; 0: no limit |

mod args;
mod auth;
mod change;
mod claims;
mod download;
mod errors;
mod files;
mod gate;
mod import;
mod list;
mod tasks;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::Router;
use serde_json::{Value, json};

use super::account::Account;
use super::content::mix;
use super::digest::HashKind;
use super::oss::Oss;
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};

/// The line of the table.
pub const INFO: SimulatorInfo = SimulatorInfo {
    key: "guangya",
    short: "guangya",
    roots: |number| vec![root_id(number)],
    shares: false,
    start: |kit| Guangya::start(kit),
};

/// The bucket uploads go to (section 6.2).
const BUCKET: &str = "gy-bucket";

/// Id of an account's root inside the tree; the API writes it as an empty text.
fn root_id(number: usize) -> String {
    format!("root:{number}")
}

/// What changes. Its lock may be held while a tree's is taken, never the other way round.
#[derive(Default)]
struct State {
    tokens: auth::Tokens,
    tasks: HashMap<String, tasks::Task>,
    uploads: BTreeMap<String, upload::Upload>,
    /// Ids of upload tasks that a client removed, or that another id replaced.
    removed: HashSet<String>,
    links: HashMap<String, download::Link>,
    /// Entries that truncated pages left to the next, by listing.
    shifts: HashMap<String, usize>,
    /// Bytes imported, by profile.
    imported: HashMap<String, u64>,
}

/// The server.
pub struct Guangya {
    kit: Kit,
    oss: Arc<Oss>,
    state: Mutex<State>,
    streams: download::Streams,
    /// Counts answers.
    turns: AtomicU64,
    /// What links are signed with.
    secret: String,
}

impl Guangya {
    fn start(kit: Kit) -> Arc<Guangya> {
        Arc::new_cyclic(|weak: &Weak<Guangya>| {
            let weak = weak.clone();
            let oss = Oss::new(
                kit.clock.clone(),
                Box::new(move |finished| {
                    let sim = weak.upgrade();
                    Box::pin(async move { import::stored(sim, finished).await })
                }),
            );
            Guangya {
                secret: kit.ids.hex(32),
                kit,
                oss,
                state: Mutex::default(),
                streams: download::Streams::default(),
                turns: AtomicU64::new(0),
            }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What draws the forms of this answer: the same in each world, but no rhythm that a client
    /// could fall into step with. Always 0 with the setting `forms` at `plain`.
    fn turn(&self, account: &Account) -> u64 {
        match account.knobs.text("forms").as_deref() {
            Some("plain") => 0,
            _ => mix(self.turns.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// An id of an entry: 18 digits, a text all the same (section 9).
    fn file_id(&self) -> String {
        self.kit.ids.decimal(18)
    }

    /// Lets everything that is due happen.
    fn settle(&self) {
        self.settle_tasks();
        self.settle_imports();
    }
}

impl Simulator for Guangya {
    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn router(self: Arc<Self>) -> Router {
        gate::router(self)
    }

    /// Each endpoint has a path of its own, so that a call to the wrong host is found out.
    fn endpoints(&self) -> BTreeMap<String, String> {
        ["api", "account", "oss"]
            .into_iter()
            .map(|name| (name.to_owned(), format!("{}/{name}", self.kit.base)))
            .collect()
    }

    fn profiles(&self) -> Vec<SimProfile> {
        let one = |account: &Arc<Account>| {
            let (fields, secrets) = self.new_login(account);
            SimProfile {
                name: account.profile.clone(),
                provider: self.kit.provider.to_owned(),
                account: account.profile.clone(),
                auth_mode: "manual_token".to_owned(),
                kind: "account".to_owned(),
                fields,
                secrets,
                endpoints: self.endpoints(),
                root: None,
            }
        };
        self.kit.accounts.iter().map(one).collect()
    }

    fn new_id(&self, _account: &Account, _dir: bool) -> String {
        self.file_id()
    }

    /// The gcid is computed now, not while a client waits for a listing.
    fn seeded(&self, account: &Account, id: &str) {
        let blob = account.tree().get(id).and_then(|node| node.blob.clone());
        if let Some(blob) = blob {
            let gcid = blob.digest_now(HashKind::Gcid).to_uppercase();
            account.tree().update(id, |node| {
                node.extra.insert("gcid".to_owned(), json!(gcid));
                node.extra.insert("seeded".to_owned(), json!(true));
            });
        }
    }

    /// Upload tasks that made no file and were not deleted, and open multipart uploads of the
    /// store.
    fn uploads(&self, account: &Account) -> Vec<Value> {
        self.settle();
        let mut all: Vec<Value> = {
            let state = self.state();
            let own = state.uploads.iter();
            own.filter(|(_, upload)| upload.is_left_of(account))
                .map(|(id, upload)| upload.describe(id))
                .collect()
        };
        all.extend(self.oss.uploads(account));
        all
    }

    fn knobs(&self) -> &'static [&'static str] {
        &[
            "forms",
            "total",
            "prefixes",
            "error_status",
            "calls_per_second",
            "throttle",
            "client",
            "secrets",
            "access_seconds",
            "rotate",
            "token_form",
            "bind_device",
            "logout",
            "total_size",
            "month_bytes",
            "max_file_size",
            "vip_status",
            "max_page",
            "max_batch",
            "fresh_gcid_ms",
            "task",
            "task_polls",
            "task_ms",
            "move_collision",
            "import_polls",
            "import_ms",
            "md5_large",
            "gcid_alone",
            "upload_life_s",
            "sts_life_s",
            "link_seconds",
            "link_field",
            "expired_status",
            "file_streams",
        ]
    }

    fn changed(&self, account: &Account, key: &str, _value: &str) -> anyhow::Result<()> {
        if key == "logout" {
            self.state().tokens.end_all(account);
        }
        Ok(())
    }
}
