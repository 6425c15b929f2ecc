//! Simulator of Tianyi Cloud 189, from `189cloud.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | state, the front of the simulator |
//! | `routes`, `gate` | which path is which operation; the checks every call passes |
//! | `sign`, `rsa` | signatures and encryptions |
//! | `auth`, `login` | sessions and tokens; the ways to them |
//! | `doors` | the open and the web door |
//! | `entries`, `list` | how entries look, stat, quota; listings, search, trash |
//! | `change` | direct changes |
//! | `batch`, `tasks` | the calls about batch tasks; what those do |
//! | `share` | what a share link shows |
//! | `upload`, `parts` | the upload by parts, fast and streamed; its addresses and bytes |
//! | `resumable` | the older upload, fast by MD5 alone |
//! | `download` | links and their bytes |
//! | `answer` | envelopes and errors, JSON and XML |
//!
//! The hosts of the service are paths of one: `/api`, `/web`, `/auth`, `/upload`, `/m`; the
//! bytes are behind `/download` and `/store`. A signature may cover the path with or without
//! that first segment: the sheet says "path only", and a base address may carry a path.
//!
//! Operations in meters and faults: `login`, `refresh_token`, `session` (a session for an
//! access token or a login), `keep`, `list`, `search`, `trash_list`, `stat` (file),
//! `stat_dir`, `link`, `redirect` (the first hop of a download), `download`, `mkdir`, `rename`,
//! `copy`, `move`, `trash`, `restore`, `purge`, `empty_trash`, `save` (the direct calls and the
//! creation of batch tasks), `batch` (of an unknown type), `task`, `conflicts`, `manage`,
//! `cancel`, `quota`, `user`, `privileges`, `family_list`, `brief`, `open_token`, `rsa_key`,
//! `create`, `check`, `part_link`, `part`, `list_parts`, `complete`, and of the older upload
//! `create_old`, `part_old`, `status_old`, `complete_old`. Of the share: `share_info`,
//! `share_code`, `list`. `refreshes` counts sessions made for an access token: every recovery
//! ends with exactly one.
//!
//! The fault `expire_token` ends the session of a call; with the argument `access` the access
//! tokens too, with `all` the refresh tokens too. `errno` takes `CODE`, `STATUS:CODE` or
//! `STATUS:CODE:SHAPE` (a shape as in `error_shape`). `lag` and the setting `list_lag_ms` go by
//! the world's clock; without them a write is seen at once.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `ids` | sheet | `number`, `text`: all ids so; as in the sheet they are numbers in lists and texts in file info and commits |
//! | `times` | plain | `ampm`, `ampm_zone`, `nnbsp`, `nbsp`: the forms of section 3.7 |
//! | `quoted_numbers` | off | sizes and counts are texts |
//! | `xml` | - | operations that answer XML to everybody, comma separated, or `*` |
//! | `error_shape`, `error_status` | - | `res_code`, `code`, `errorCode`, `error`, `success`, `xml`; HTTP status of refusals |
//! | `session_error` | code | `null_bo`, `ip`: other ways to say that the session is over |
//! | `lenient_headers` | off | Referer and User-Agent do not matter |
//! | `date_tolerance_s` | 300 | how wrong a signed time may be |
//! | `session_idle_s` | 14400 | an unused session ends |
//! | `access_life_s`, `refresh_life_s`, `open_life_s` | 7, 30, 30 days | lives of tokens |
//! | `rotate_tokens` | on | a refresh token is spent by its use |
//! | `captcha` | - | a password login wants this text |
//! | `device_lock`, `sms` | off | a password login is refused for this |
//! | `qr` | - | `never`, `refused`: what becomes of a QR login |
//! | `page_max` | 1000 | a larger page size is taken for this |
//! | `null_empty` | off | an empty list is `null` |
//! | `list_lag_ms` | 0 | younger entries are not listed |
//! | `task_polls` | 2 | polls of a batch task until it is done |
//! | `task_ms` | 300 | real time until it is done without polls |
//! | `parallel_deletes` | 1 | deletions at a time; of more one silently does nothing |
//! | `hide_task_ids` | off | `successedFileIdList` stays empty |
//! | `save_limit` | 500 | entries one `SHARE_SAVE` may name |
//! | `total_size`, `family_size` | 2 TiB, 1 TiB | space |
//! | `max_file_size` | 1 TiB | a larger file is refused |
//! | `day_flow` | - | bytes of upload per day, fast ones too |
//! | `blacklist` | - | MD5s that are refused, comma separated |
//! | `banned_word` | - | a name that holds it is refused |
//! | `part_size_at` | create | `complete`: a wrong `sliceSize` is found out then |
//! | `slice_size` | table | bytes of a slice for files of every size |
//! | `empty_hits` | on | an empty file is a hit |
//! | `old_api_hits` | on | the older fast upload finds something |
//! | `upload_life_s` | 7 days | an unfinished upload is forgotten |
//! | `part_url_s` | 3600 | life of a part's address |
//! | `commit_again` | refuse | `answer`: a second commit gets the first one's answer |
//! | `overwrite` | trash | `gone`: `opertype` 3 leaves the old file nowhere |
//! | `link_life_s`, `store_life_s` | 14400, 3600 | lives of a link and of where it leads |
//! | `web_link_max` | 100 MiB | larger files have no link on the open door |
//! | `blocked` | - | path of a file whose download is refused |
//! | `calls_per_second` | - | more are refused |
//! | `access_code` | ab12 | of the share; empty: it needs none |
//! | `share_id_early` | off | the share's id is told before the code |
//! | `share_mode` | 1 | 5 is a subscription: listing is refused |
//! | `share_state` | ok | `expired`, `canceled`, `missing`, `waiting`, `rejected` |
//! | `share_single` | - | path of the one file that is shared |
//! | `code_tries` | 5 | wrong codes until no code is taken |
//!
//! What the sheet leaves open is decided so: a folder of a name that a folder has already is
//! that folder, of a file's name is refused; an overwritten file goes to the trash and the new
//! one has an id of its own; `opertype` 2 answers the file that is there; a restored entry
//! whose name is taken gets another; a batch task with a conflict does nothing before it is
//! managed.

mod answer;
mod auth;
mod batch;
mod change;
mod doors;
mod download;
mod entries;
mod gate;
mod list;
mod login;
mod parts;
mod resumable;
mod routes;
mod rsa;
mod share;
mod sign;
mod tasks;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_doors;
#[cfg(test)]
mod tests_entries;
#[cfg(test)]
mod tests_parts;
#[cfg(test)]
mod tests_share;
#[cfg(test)]
mod tests_tasks;
#[cfg(test)]
mod tests_upload;
mod upload;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::Router;
use axum::routing::any;
use serde_json::Value;

use super::account::Account;
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};

/// The line of the table.
pub const INFO: SimulatorInfo = SimulatorInfo {
    key: "189cloud",
    short: "189",
    roots: |number| vec![ROOT.to_owned(), family_root(number)],
    shares: true,
    start: |kit| Cloud189::start(kit),
};

/// Id of the personal root.
const ROOT: &str = "-11";
/// What shares are found by.
const SHARE_CODE: &str = "FVzMne7NriIf";

/// Id of a family's root inside the tree; the API writes it as an empty text.
fn family_root(number: usize) -> String {
    format!("family:{number}")
}

/// Id of an account's family.
fn family_id(account: &Account) -> u64 {
    123_456_000 + account.number as u64
}

/// User name and password.
fn login(account: &Account) -> (String, String) {
    (login_name(account), password(account))
}

fn login_name(account: &Account) -> String {
    (18_900_001_000 + account.number as u64).to_string()
}

fn password(account: &Account) -> String {
    format!("p@ss {} w0rd&=", account.number)
}

/// Whether a setting that is on by default was switched off.
fn is_off(account: &Account, knob: &str) -> bool {
    let text = account.knobs.text(knob);
    text.is_some_and(|text| matches!(text.as_str(), "false" | "0" | "off" | "no"))
}

/// What changes. Its lock may be held while a tree's is taken, never the other way round.
#[derive(Default)]
struct State {
    tokens: auth::Tokens,
    logins: login::Logins,
    tasks: BTreeMap<String, tasks::Task>,
    uploads: BTreeMap<String, upload::Upload>,
    old_uploads: BTreeMap<u64, resumable::OldUpload>,
    links: HashMap<String, download::Link>,
    /// Signatures of links that a fault ended.
    dead_links: HashSet<String>,
    /// How many entries of a truncated page moved to the following ones, by account, folder
    /// and page size.
    shifts: HashMap<(String, String, usize), usize>,
    /// Bytes uploaded on a day, by profile.
    flow: HashMap<String, (i64, u64)>,
    /// Wrong access codes of the share in a row.
    wrong_codes: u64,
}

/// The server.
pub struct Cloud189 {
    kit: Kit,
    state: Mutex<State>,
    /// What links and cookies are signed with.
    secret: String,
    me: Weak<Cloud189>,
}

impl Cloud189 {
    fn start(kit: Kit) -> Arc<Cloud189> {
        let secret = kit.ids.hex(32);
        Arc::new_cyclic(|me| Cloud189 {
            kit,
            state: Mutex::default(),
            secret,
            me: me.clone(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> i64 {
        self.kit.clock.now_ms()
    }

    fn account_of(&self, profile: &str) -> Option<Arc<Account>> {
        let mut all = self.kit.accounts.iter();
        all.find(|account| account.profile == profile).cloned()
    }

    /// An id of 18 digits: too long for a double, so that whoever reads ids as such is found
    /// out.
    fn node_id(&self, dir: bool) -> String {
        let kind = if dir { "32" } else { "72" };
        format!("{kind}{}", self.kit.ids.decimal(16))
    }
}

impl Simulator for Cloud189 {
    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(any(gate::entry)).with_state(self)
    }

    /// Each endpoint has a path of its own, so that a call to the wrong host is found out.
    fn endpoints(&self) -> BTreeMap<String, String> {
        ["api", "web", "auth", "upload"]
            .into_iter()
            .map(|name| (name.to_owned(), format!("{}/{name}", self.kit.base)))
            .collect()
    }

    fn profiles(&self) -> Vec<SimProfile> {
        let pairs = |all: &[(&str, String)]| {
            let all = all.iter().filter(|(_, value)| !value.is_empty());
            all.map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect()
        };
        let profile = |account: &Arc<Account>, share: bool| SimProfile {
            name: account.profile.clone(),
            provider: self.kit.provider.to_owned(),
            account: account.profile.clone(),
            auth_mode: if share { "share" } else { "web_login_capture" }.to_owned(),
            kind: if share { "share" } else { "account" }.to_owned(),
            fields: match share {
                true => pairs(&[
                    ("share_code", SHARE_CODE.to_owned()),
                    ("access_code", share::access_code(account)),
                ]),
                false => pairs(&[("username", login_name(account))]),
            },
            secrets: match share {
                true => BTreeMap::new(),
                false => pairs(&[
                    ("password", password(account)),
                    ("refresh_token", self.issue(account).1),
                ]),
            },
            endpoints: self.endpoints(),
            root: None,
        };
        let accounts = self
            .kit
            .accounts
            .iter()
            .map(|account| profile(account, false));
        let shares = self.kit.share.iter().map(|share| profile(share, true));
        accounts.chain(shares).collect()
    }

    fn new_id(&self, _account: &Account, dir: bool) -> String {
        self.node_id(dir)
    }

    /// Uploads that are not files yet, of both generations.
    fn uploads(&self, account: &Account) -> Vec<Value> {
        let state = self.state();
        let new = state.uploads.iter();
        let new = new.filter(|(_, upload)| upload.is_open(&account.profile, self.now()));
        let old = state.old_uploads.iter();
        let old = old.filter(|(_, upload)| upload.is_open(&account.profile));
        new.map(|(id, upload)| upload.describe(id))
            .chain(old.map(|(id, upload)| upload.describe(*id)))
            .collect()
    }

    fn knobs(&self) -> &'static [&'static str] {
        KNOBS
    }
}

const KNOBS: &[&str] = &[
    "ids",
    "times",
    "quoted_numbers",
    "xml",
    "error_shape",
    "error_status",
    "session_error",
    "lenient_headers",
    "date_tolerance_s",
    "session_idle_s",
    "access_life_s",
    "refresh_life_s",
    "open_life_s",
    "rotate_tokens",
    "captcha",
    "device_lock",
    "sms",
    "qr",
    "page_max",
    "null_empty",
    "list_lag_ms",
    "task_polls",
    "task_ms",
    "parallel_deletes",
    "hide_task_ids",
    "save_limit",
    "total_size",
    "family_size",
    "max_file_size",
    "day_flow",
    "blacklist",
    "banned_word",
    "part_size_at",
    "slice_size",
    "empty_hits",
    "old_api_hits",
    "upload_life_s",
    "part_url_s",
    "commit_again",
    "overwrite",
    "link_life_s",
    "store_life_s",
    "web_link_max",
    "blocked",
    "calls_per_second",
    "access_code",
    "share_id_early",
    "share_mode",
    "share_state",
    "share_single",
    "code_tries",
];
