//! Simulator of Feishu / Lark Drive, from `lark_drive.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | state, the front of the simulator |
//! | `gate` | routes, and the checks every call passes |
//! | `auth`, `scopes` | apps, tokens of users and apps; who may do what |
//! | `limits` | rates, days, calls that stand alone |
//! | `args`, `errors`, `form` | queries and bodies; the envelope; multipart bodies |
//! | `entries` | types, tokens, how entries look |
//! | `list` | folders, listings, metadata by token |
//! | `change`, `tasks` | folders, renames, moves, copies, deletes, shortcuts; what takes a while |
//! | `upload`, `adler` | uploads in one call and in three steps; their checksum |
//! | `versions` | history, revert, delete of a version |
//! | `download` | bytes |
//! | `seeding` | documents, shortcuts and twins for tests |
//!
//! Not here: log in by a browser or a device code, comments, exports, search, wikis.
//!
//! Operations in meters and faults: `refresh`, `tenant_token`, `root`, `folder_meta`, `list`,
//! `metas`, `history`, `revert`, `version_del`, `mkdir`, `rename`, `move`, `copy`, `delete`,
//! `task`, `shortcut`, `upload_all`, `upload_prepare`, `upload_part`, `upload_finish`,
//! `download`, `stream` (behind a redirect).
//!
//! Faults of the simulator's own: `errno` (`CODE` or `HTTP:CODE`), `expire_token` (the token is
//! dead for good), `truncated_page` and `null_list` (`list`; `null_list` also `metas`), `lag`
//! (`list`), `expire_link` (`upload_part`, `upload_finish`: 1061021, for good; `stream`: 403),
//! `commit_fail` (`upload_all`, `upload_finish`: a code, 1061001; `task`: the word for a
//! failure, `fail`), `corrupt` (`download`, `stream`, `upload_all`, `upload_part`).
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `token_ms`, `refresh_ms` | 2 h, 7 days | lives of access and refresh tokens from now on |
//! | `refresh_life` | - | `absent`: answers do not tell the life of the refresh token |
//! | `secrets` | refresh | of profiles: `both` |
//! | `identity` | user | `bot`: profiles of the app itself |
//! | `shared_with_app` | - | path of what the app sees of the user's; `/` is everything |
//! | `scopes` | the narrow ones | what the user granted |
//! | `withhold` | - | scopes that the user's grant lacks (99991679) |
//! | `withhold_app` | - | scopes that the app lacks (99991672) |
//! | `app` | - | `disabled` (99991662), `unavailable` (99991673) |
//! | `revoke` | - | any value: the user takes the grant back |
//! | `strict_rates` | off | calls per second as documented, and 10,000 a day |
//! | `day_limit` | 0 | calls per class and day; 0: no limit |
//! | `concurrent` | off | on: uploads, `mkdir`, `move`, `copy` may overlap, else 1061045 |
//! | `error_status`, `rate_status` | by code, 429 | HTTP status of refusals |
//! | `times` | seconds | or `milliseconds`, `microseconds`, `mixed` by entry |
//! | `list_sizes` | - | `number` or `text`: listings carry sizes of files |
//! | `history_size` | number | `text` |
//! | `list_lag_ms` | 0 | so long a new entry is in no listing |
//! | `max_siblings`, `max_depth` | 1500, 0 | entries of a folder (1062507), folders below each other (1061042; 0: no limit) |
//! | `part_size` | 4 MiB | of uploads in three steps |
//! | `upload_ms` | 24 h | life of an upload id |
//! | `max_file_size` | - | 1061043 |
//! | `total_size`, `tenant_size` | 8 TiB, - | space: 1061061, 1061101 |
//! | `version_field` | version | of an overwritten file: `data_version`, `absent` |
//! | `finish_fields` | off | on: `upload_finish` tells version and address |
//! | `task` | async | `sync`: folders are moved and deleted with the call |
//! | `task_polls`, `task_ms` | 2, 3000 | polls that find a task running; after so long it is done without |
//! | `early_fail` | off | on: the first poll says `fail`, and the task goes on |
//! | `deny_download` | off | on: 1061004; `bare`: HTTP 403 without a body |
//! | `redirect` | off | on: downloads lead to another host |
//! | `add:PATH` | | adds another entry: a type, `file:SIZE:SEED`, `shortcut:TARGET_PATH` |
//! | `touch:PATH` | | milliseconds: when the newest entry of that path was changed |

mod adler;
mod args;
mod auth;
mod change;
mod download;
mod entries;
mod errors;
mod form;
mod gate;
mod limits;
mod list;
mod scopes;
mod seeding;
mod tasks;
#[cfg(test)]
mod tests;
mod upload;
mod versions;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use serde_json::Value;

use super::account::Account;
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};

/// The line of the table.
pub const INFO: SimulatorInfo = SimulatorInfo {
    key: "lark_drive",
    short: "lark",
    roots: entries::roots,
    shares: false,
    start: |kit| Arc::new(LarkDrive::new(kit)),
};

/// Locked before an account's tree, never inside of it.
#[derive(Default)]
struct State {
    tokens: auth::Tokens,
    usage: limits::Usage,
    tasks: HashMap<String, tasks::Task>,
    uploads: BTreeMap<String, upload::Upload>,
    versions: HashMap<String, Vec<versions::Version>>,
    streams: HashMap<String, download::Stream>,
}

/// The server.
pub struct LarkDrive {
    kit: Kit,
    state: Mutex<State>,
}

impl LarkDrive {
    fn new(kit: Kit) -> LarkDrive {
        LarkDrive {
            kit,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulator for LarkDrive {
    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn router(self: Arc<Self>) -> Router {
        gate::router(self)
    }

    fn endpoints(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("api".to_owned(), self.kit.base.clone())])
    }

    fn profiles(&self) -> Vec<SimProfile> {
        let one = |account: &Arc<Account>| {
            let bot = account.knobs.text("identity").as_deref() == Some("bot");
            let both = account.knobs.text("secrets").as_deref() == Some("both");
            let mut secrets =
                BTreeMap::from([("app_secret".to_owned(), auth::app_secret(account))]);
            if !bot {
                let (access, refresh) = self.issue(account);
                secrets.insert("refresh_token".to_owned(), refresh);
                if both {
                    secrets.insert("access_token".to_owned(), access);
                }
            }
            let identity = if bot { "bot" } else { "user" };
            SimProfile {
                name: account.profile.clone(),
                provider: self.kit.provider.to_owned(),
                account: account.profile.clone(),
                auth_mode: "official_oauth".to_owned(),
                kind: "account".to_owned(),
                fields: BTreeMap::from([
                    ("app_id".to_owned(), auth::app_id(account)),
                    ("identity".to_owned(), identity.to_owned()),
                ]),
                secrets,
                endpoints: self.endpoints(),
                root: None,
            }
        };
        self.kit.accounts.iter().map(one).collect()
    }

    fn new_id(&self, _account: &Account, dir: bool) -> String {
        self.token(if dir { "folder" } else { "file" })
    }

    fn uploads(&self, account: &Account) -> Vec<Value> {
        let state = self.state();
        let all = state.uploads.iter();
        all.filter_map(|(id, upload)| upload.describe(id, account))
            .collect()
    }

    fn knobs(&self) -> &'static [&'static str] {
        &[
            "token_ms",
            "refresh_ms",
            "refresh_life",
            "secrets",
            "identity",
            "shared_with_app",
            "scopes",
            "withhold",
            "withhold_app",
            "app",
            "revoke",
            "strict_rates",
            "day_limit",
            "concurrent",
            "error_status",
            "rate_status",
            "times",
            "list_sizes",
            "history_size",
            "list_lag_ms",
            "max_siblings",
            "max_depth",
            "part_size",
            "upload_ms",
            "max_file_size",
            "total_size",
            "tenant_size",
            "version_field",
            "finish_fields",
            "task",
            "task_polls",
            "task_ms",
            "early_fail",
            "deny_download",
            "redirect",
            "add:",
            "touch:",
        ]
    }

    fn changed(&self, account: &Account, key: &str, value: &str) -> anyhow::Result<()> {
        if key == "revoke" {
            self.state().tokens.revoke(account);
        }
        if let Some(path) = key.strip_prefix("add:") {
            self.add(account, path, value)?;
        }
        if let Some(path) = key.strip_prefix("touch:") {
            self.touch(account, path, value)?;
        }
        Ok(())
    }
}
