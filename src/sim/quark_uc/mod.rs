//! Simulator of Quark and UC, one server with two sets of constants, from `quark.md` and
//! `uc.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | the two brands, state, the front of the simulator |
//! | `gate` | routes and the checks every call passes |
//! | `login` | cookies: `__pus`, the rolling `__puus`, `__pugs` of links |
//! | `args`, `errors` | arguments, envelope and error answers |
//! | `files` | how entries look, lists, stat, search, quota |
//! | `view` | writes that reads show late |
//! | `change` | mkdir, rename, move, copy |
//! | `trash` | delete, trash lists, restore, purge |
//! | `tasks` | what is done behind the answer and polled |
//! | `upload` | pre, hash (fast upload), auth (signatures), finish |
//! | `store` | the part store: parts, complete |
//! | `prefix` | SHA-1 mid-states of the parts |
//! | `download` | links and their bytes |
//! | `share`, `save` | the share: token, listings; taking it over |
//!
//! One port: the API at `/1/clouddrive` (as often as a client puts that in front, `/account/info`
//! beside it), the part store at `/oss/BUCKET/KEY`, links at `/cdn`. The account `SHORT-share`
//! is what a link shows; its profile's cookie is of an onlooker without a drive of his own.
//! Not here: QR login, the Open and TV interfaces, transcoded streams, making shares.
//!
//! Operations in meters and faults: `config`, `pdir`, `account`, `list`, `path_list`, `stat`
//! (both ways), `link`, `download`, `mkdir`, `rename`, `move`, `copy`, `trash` (file/delete),
//! `trash_list`, `deep_trash_list`, `restore`, `purge`, `task`, `search`, `quota`, `pre`,
//! `hash`, `auth`, `part`, `complete`, `finish`, `share_token`, `share_list`, `share_detail`
//! (UC), `share_save`. `refreshes` counts the `__puus` given to calls that had none that is
//! good; `rapid_hits` and `rapid_misses` count `hash` calls before the first part.
//!
//! Faults of the simulator's own: `expire_token` (any API call or `download`: `__puus` ends;
//! argument `pus`: the login for good), `expire_link` (`download`; `part` and `complete`: the
//! signature is too old), `commit_fail` (`complete`: 203, stored all the same; `finish`: 31003,
//! the upload is gone; `task`: the task fails, status 3), `truncated_page` (`list`, `share_list`:
//! half a page, the next page goes on where it ended), `null_list` (`list`, `trash_list`,
//! `share_list`), `lag` (`list`).
//!
//! | knob | default | meaning |
//! |---|---|---|
//! | `visible_after_ms` | 0 | reads (list, stat, path_list, search) show changes so late |
//! | `part_size` | 4194304 | smallest part size; doubled until 1000 parts are enough |
//! | `part_thread` | 3 | of `pre` |
//! | `zero_byte` | accept | `refuse`: no empty files; `at_once`: `pre` finishes them |
//! | `auth_info_seconds` | 43200 | life of an upload task's `auth_info` |
//! | `total_size` | 10 TiB | space |
//! | `member_type` | NORMAL | text of `member` |
//! | `md5_form` | brand's | `hex` (Quark), `base64` (UC), `mixed` (in turns), `none` |
//! | `link_seconds` | 21600 | life of a link |
//! | `link_task` | off | `inline`: the answer is a task with the link in it; `poll`: it is polled |
//! | `file_streams` | 4 | parallel downloads per link, more are 412 |
//! | `share_direct` | on | `off`: files of the share above 50 MiB have no link (23018) |
//! | `task_polls` | 1 | polls that find a task running; 0: done with the call itself |
//! | `task_ms` | 3000 | after so long (world clock) a task is done without polls |
//! | `tq_gap_ms` | 500 | pause between polls that is asked for |
//! | `collision` | rename | `refuse`: a move onto a name is 23008 instead of `name(1)` |
//! | `copy` | on | `off`: HTTP 404 |
//! | `stat_by_id` | both | `info`, `fids`, `none`: which of the two calls exists |
//! | `fids_form` | list | `object`: `GET file?fids=` answers `{"list":[..]}` |
//! | `missing_folder` | 41006 | list of an unknown folder; `empty`: no entries |
//! | `total` | exact | `_total` of listings: `zero`, `null`, `sometimes` (every second is 0) |
//! | `numbers_as_text` | false | sizes and times of entries as texts |
//! | `number_ids` | false | task and record ids are numbers |
//! | `null_list` | false | an empty listing has no list |
//! | `risky` | - | names with this text are `***` without `fetch_risk_file_name=1` |
//! | `name_max` | 255 | longest name in characters |
//! | `error_status` | 4xx | `200`: refusals come as HTTP 200 |
//! | `trash_days` | 10 | then it is gone |
//! | `deep_trash_ms` | 180000 | how old the deep trash list may be |
//! | `puus_seconds`, `puus_calls`, `puus_rotate_ms`, `puus_grace_ms` | 10800, 20, 1800000, 10000 | life of `__puus`; calls and time until it is replaced; how long the previous one is good |
//! | `puus_strict` | false | a stale `__puus` is refused by `config` and `pdir` too |
//! | `rotate_pus` | false | `__pus` is replaced as well |
//! | `logout` | - | any value ends all logins of the account |
//! | `calls_per_second`, `share_calls_per_second` | 0 | more are refused; 0: no limit |
//! | `share_state` (share) | open | `gone` 41006, `cancelled` 41010, `violation` 41013, `invalid` 41014 |
//! | `passcode` (share) | of the profile | another; `none`: the share asks for none |
//! | `stoken_seconds` (share) | 7200 | life of a share token |

mod args;
mod change;
mod download;
mod errors;
mod files;
mod gate;
mod login;
mod prefix;
mod save;
mod share;
mod store;
mod tasks;
#[cfg(test)]
mod tests;
mod trash;
mod upload;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::routing::any;
use serde_json::{Value, json};

use super::account::Account;
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};

/// Quark's line of the table.
pub const QUARK: SimulatorInfo = SimulatorInfo {
    key: "quark",
    short: "quark",
    roots: |_| vec![ROOT.to_owned()],
    shares: true,
    start: |kit| Arc::new(QuarkUc::new(kit, &QUARK_BRAND)),
};

/// UC's line of the table.
pub const UC: SimulatorInfo = SimulatorInfo {
    key: "uc",
    short: "uc",
    roots: |_| vec![ROOT.to_owned()],
    shares: true,
    start: |kit| Arc::new(QuarkUc::new(kit, &UC_BRAND)),
};

/// Id of the root directory.
const ROOT: &str = "0";

/// What differs (sheet uc, 1.1).
pub(super) struct Brand {
    /// Query parameter `pr`.
    pr: &'static str,
    /// Referer of links.
    site: &'static str,
    /// What the User-Agent of the own client contains.
    client: &'static str,
    cookie_domain: &'static str,
    bucket: &'static str,
    /// `parallel_upload` is ignored.
    sequential: bool,
    /// `md5` is base64.
    base64_md5: bool,
    /// Links need `__pugs` even of own files.
    pugs: bool,
    /// `share/sharepage/v2/detail`, whose `stoken` has blanks for `+`.
    v2_detail: bool,
    /// Code of a bad share token or file token.
    token_code: i64,
}

static QUARK_BRAND: Brand = Brand {
    pr: "ucpro",
    site: "https://pan.quark.cn",
    client: "quark-cloud-drive/",
    cookie_domain: ".quark.cn",
    bucket: "ul-zb",
    sequential: false,
    base64_md5: false,
    pugs: false,
    v2_detail: false,
    token_code: 41020,
};

static UC_BRAND: Brand = Brand {
    pr: "UCBrowser",
    site: "https://drive.uc.cn",
    client: "uc-cloud-drive/",
    cookie_domain: ".uc.cn",
    bucket: "uc-ul-test",
    sequential: true,
    base64_md5: true,
    pugs: true,
    v2_detail: true,
    token_code: 14001,
};

/// What changes. Its lock may be held while a tree's is taken, never the other way round.
#[derive(Default)]
struct State {
    uploads: HashMap<String, upload::Upload>,
    tasks: BTreeMap<String, tasks::Task>,
    links: HashMap<String, download::Link>,
    tokens: HashMap<String, share::Token>,
    /// Entries that truncated pages left to the next, by listing.
    shifts: HashMap<String, usize>,
    /// Listings so far.
    listings: u64,
    /// Links so far.
    linked: u64,
    /// Deep trash lists by profile: when, rows.
    deep_trash: HashMap<String, (i64, Vec<Value>)>,
}

/// The server.
pub struct QuarkUc {
    kit: Kit,
    brand: &'static Brand,
    state: Mutex<State>,
    /// Locks of their own, held for a moment and never with another one taken inside.
    logins: Mutex<login::Logins>,
    changes: Mutex<view::Changes>,
    streams: download::Streams,
    /// Id and passcode of the share.
    link: (String, String),
    /// What links and file tokens are signed with.
    secret: String,
}

impl QuarkUc {
    fn new(kit: Kit, brand: &'static Brand) -> QuarkUc {
        QuarkUc {
            link: (kit.ids.hex(12), kit.ids.hex(4)),
            secret: kit.ids.hex(32),
            kit,
            brand,
            state: Mutex::default(),
            logins: Mutex::default(),
            changes: Mutex::default(),
            streams: download::Streams::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn logins(&self) -> MutexGuard<'_, login::Logins> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, view::Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulator for QuarkUc {
    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(any(gate::entry)).with_state(self)
    }

    fn endpoints(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("api".to_owned(), format!("{}/1/clouddrive", self.kit.base)),
            ("oss".to_owned(), format!("{}/oss", self.kit.base)),
        ])
    }

    /// Each with a browser login of its own.
    fn profiles(&self) -> Vec<SimProfile> {
        let one = |account: &Arc<Account>, kind: &str, mode: &str| SimProfile {
            name: account.profile.clone(),
            provider: self.kit.provider.to_owned(),
            account: account.profile.clone(),
            auth_mode: mode.to_owned(),
            kind: kind.to_owned(),
            fields: BTreeMap::new(),
            secrets: BTreeMap::from([(
                "cookie".to_owned(),
                self.new_login(account, kind == "share"),
            )]),
            endpoints: self.endpoints(),
            root: None,
        };
        let accounts = self.kit.accounts.iter();
        let mut all: Vec<SimProfile> = accounts
            .map(|account| one(account, "account", "manual_cookie"))
            .collect();
        if let Some(share) = &self.kit.share {
            let (id, passcode) = self.link.clone();
            let fields = [("pwd_id".to_owned(), id), ("passcode".to_owned(), passcode)];
            all.push(SimProfile {
                fields: BTreeMap::from(fields),
                ..one(share, "share", "share")
            });
        }
        all
    }

    fn new_id(&self, _account: &Account, _dir: bool) -> String {
        self.kit.ids.hex(32)
    }

    /// Upload tasks that are neither finished nor given up. There is no call to end one.
    fn uploads(&self, account: &Account) -> Vec<Value> {
        let state = self.state();
        let own = state.uploads.iter();
        let mut all: Vec<Value> = own
            .filter(|(_, upload)| upload.account.profile == account.profile && upload.is_open())
            .map(|(id, upload)| upload.describe(id))
            .collect();
        all.sort_by_key(|upload| json!([upload["name"], upload["id"]]).to_string());
        all
    }

    fn knobs(&self) -> &'static [&'static str] {
        &[
            "visible_after_ms",
            "part_size",
            "part_thread",
            "zero_byte",
            "auth_info_seconds",
            "total_size",
            "member_type",
            "md5_form",
            "link_seconds",
            "link_task",
            "file_streams",
            "share_direct",
            "task_polls",
            "task_ms",
            "tq_gap_ms",
            "collision",
            "copy",
            "stat_by_id",
            "fids_form",
            "missing_folder",
            "total",
            "numbers_as_text",
            "number_ids",
            "null_list",
            "risky",
            "name_max",
            "error_status",
            "trash_days",
            "deep_trash_ms",
            "puus_seconds",
            "puus_calls",
            "puus_rotate_ms",
            "puus_grace_ms",
            "puus_strict",
            "rotate_pus",
            "logout",
            "calls_per_second",
            "share_calls_per_second",
            "share_state",
            "passcode",
            "stoken_seconds",
        ]
    }

    fn changed(&self, account: &Account, key: &str, _value: &str) -> anyhow::Result<()> {
        if key == "logout" {
            self.logins().end_all(account);
        }
        Ok(())
    }
}
