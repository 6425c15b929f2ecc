//! Simulator of CloudDrive2, from `clouddrive2.md` and `clouddrive2.proto.md`: gRPC over
//! plaintext HTTP/2 and HTTP downloads on one port.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | state, the front of the simulator |
//! | `messages`, `codec` | the messages of the schema, and their way into gRPC frames |
//! | `methods` | which methods there are, their operations and permissions |
//! | `gate` | the port: transport checks, faults, one way to answer |
//! | `auth` | login, JWTs, API tokens |
//! | `paths` | storage accounts, paths, names |
//! | `files` | how entries look, list, stat, search, space |
//! | `change` | folders, names, move, copy, delete |
//! | `download` | addresses and their bytes |
//! | `events` | the push stream |
//! | `upload` | the remote upload protocol |
//!
//! Each account is a user of the server who sees two storage accounts: `/115open` (SHA-1), where
//! paths of a test's world start, and `/pikpak` (PikPakSha1). Not here: handle writing (`CreateFile`
//! and the like), offline downloads, share links, settings, mounts, backups, gRPC-Web; they answer
//! UNIMPLEMENTED.
//!
//! Operations in meters and faults: `system_info`, `login`, `token_info`, `token_create`,
//! `token_modify`, `token_remove`, `token_list`, `list`, `search`, `stat`, `details`, `metadata`,
//! `original_path`, `quota`, `memberships`, `expire_cache`, `mkdir`, `rename`, `move`, `copy`,
//! `copy_tasks`, `trash`, `delete` (permanently), `link`, `download`, `start`, `channel`,
//! `read_data`, `hash_data`, `control`, `upload_list`, `upload_count`, `upload_cancel`,
//! `upload_pause`, `upload_resume`, `push`, `accounts`, `machine_id`, `runtime`.
//! Noted beside them, for they are no requests: `list_forced` (with `forceRefresh`),
//! `channel_replaced` (a second channel of a device while the first lived), `unrequested` (bytes
//! or hashes nobody asked for), `bad_answer` (refused by its form), `lazy_not_echoed`,
//! `bad_last_chunk` (neither reading of section 7.4), `contradiction` (bytes or hashes that differ
//! from earlier ones), `false_hash`, `false_proof`. `refreshes` counts logins, `challenges` the
//! proofs, `bytes_asked` what read requests asked for.
//!
//! Faults: those of the kit. `errno` takes a gRPC status (`14` or `14,text`) or a text: the failure
//! inside the answer where it has room for one, else UNKNOWN. `drop_answer` and `cut` of
//! `read_data` drop the whole connection, its channel too; `cut` of `channel` and `push` lets so
//! many messages pass. `expire_token`: JWT or API token ends. `expire_link` (`download`).
//! `truncated_page` and `null_list` (`list`, `search`): small and empty messages in the stream.
//! `corrupt` (`read_data`: a received byte; `commit`: what is stored; `download`). `commit_fail`
//! (`commit`): status Error with the argument as text, or FatalError for `fatal:TEXT`.
//!
//! | knob | default | meaning |
//! |---|---|---|
//! | `profile_auth` | password | what profiles are given: `password`, `token`, `both` |
//! | `totp` | off | GetToken needs the code `246810`; profiles are given it |
//! | `jwt_life_s` | 86400 | life of a JWT |
//! | `token_root` | / | root folder of the profile's API token |
//! | `deny` | - | permission numbers that no token has |
//! | `log_out` | - | ends the JWTs of the account; `all`: its API tokens too |
//! | `starting` | off | GetSystemInfo is not ready |
//! | `batch` | 100 | entries per message of a listing |
//! | `lists`, `needs` | 2 | hash types in listings; that the instant upload needs (`1,2`; empty: none) |
//! | `block_size` | 0 | above 0: block MD5s of that size are asked along with MD5 |
//! | `list_case` | type's | `upper` or `lower` hex in listings |
//! | `hashless`, `blocked` | - | entries with this in their name have no hashes; are forbidden |
//! | `dir_cache_s` | 0 | life of the server's directory cache; foreign changes are seen later |
//! | `stat_missing` | status | `empty`: an empty message instead of NOT_FOUND |
//! | `missing` | result | `status`: changes of what is missing are NOT_FOUND |
//! | `conflict_default` | overwrite | without `conflictPolicy`: `overwrite`, `rename`, `skip` |
//! | `copy_task_ms` | 50 | time of a copy or move between storage accounts |
//! | `no_purge` | off | no permanent deletion |
//! | `name_max`, `forbidden` | 255, - | longest name in characters; characters no name may have |
//! | `total_size`, `space_unknown` | 10 TiB, off | space of a storage account; sizes are -1 |
//! | `link_life_s` | 3600 | life of an address; 0: without end |
//! | `direct` | off | addresses of the provider, bound to User-Agent and Referer, when asked |
//! | `signed_links` | off | `/static` needs `sign` |
//! | `redirect` | off | `/static` redirects |
//! | `notice_foreign` | off | seeds are pushed as changes |
//! | `force_exit` | - | pushes FORCE_EXIT of this reason; 1 to 3 end the JWTs |
//! | `channel_first` | refuse | a start before any channel of the user: refused, or `wait` |
//! | `cut_how` | drop | how a channel is cut: `drop` (the connection), `reset`, `status` (UNAVAILABLE), `end` |
//! | `channel_cut` | - | cut once per upload when this percentage of its bytes is there |
//! | `repeat_status` | off | a new channel hears the status of running uploads |
//! | `start_reply_ms` | 0 | the answer of a start waits; events do not |
//! | `preprocess_ms` | 0 | time in Preprocessing |
//! | `max_preprocess`, `max_transfers` | 4, 4 | uploads in Preprocessing, in Transfer |
//! | `hash_twice` | off | hash requests come twice |
//! | `hash_repeat_ms` | 60000 | silence after which a hash is asked again |
//! | `instant` | on | `off`: no content is ever known |
//! | `challenges` | 0 | random ranges read as a proof before a hit |
//! | `hit_status` | finish | `skipped` |
//! | `read_size`, `read_window` | 4194304, 4 | bytes per read request, requests at a time |
//! | `read_order` | shuffled | `forward`, `backward` |
//! | `odd` | - | of `overlap`, `zero`, `past_end`, `twice`, `again`, `whole`: odd read requests |
//! | `together` | 1 | reading starts when so many uploads are in Transfer |
//! | `silent` | - | `PERCENT[,MS]`: no events from there on, for so long |
//! | `end_status` | - | `STATUS[,PERCENT[,TEXT]]`: `error`, `fatal`, `skipped`, `cancelled`, `ignored` |
//! | `existing` | skip | the target exists: `skip`, `replace`, `rename` |
//! | `missing_parent` | refuse | `create` |
//! | `empty_files` | accept | `refuse` |
//! | `ignored_extensions` | - | uploads of these are Ignored |
//! | `first_page` | 1 | number of the first page of the upload list |
//! | `forget_uploads` | - | any value: running uploads are forgotten |

mod auth;
mod change;
mod codec;
mod download;
mod events;
mod files;
mod gate;
mod messages;
mod methods;
mod paths;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::routing::any;
use serde_json::Value;

use super::account::Account;
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};
use super::tree::Node;
use paths::{MOUNTS, kind_of};

/// The line of the table.
pub const INFO: SimulatorInfo = SimulatorInfo {
    key: "clouddrive2",
    short: "cd2",
    roots: |_| MOUNTS.iter().map(|mount| mount.root.to_owned()).collect(),
    shares: false,
    start: |kit| {
        Arc::new(CloudDrive2 {
            kit,
            state: Mutex::default(),
        })
    },
};

/// What changes. Its lock may be held while a tree's is taken, never the other way round.
#[derive(Default)]
struct State {
    tokens: auth::Tokens,
    links: HashMap<String, download::Link>,
    tasks: Vec<change::Task>,
    /// The directory cache: until when, by profile and folder.
    cache: HashMap<(String, String), (i64, Vec<Node>)>,
    listeners: events::Listeners,
    channels: upload::Channels,
    devices: upload::Devices,
    uploads: upload::Uploads,
}

/// The server.
pub struct CloudDrive2 {
    kit: Kit,
    state: Mutex<State>,
}

impl CloudDrive2 {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file_id(&self) -> String {
        self.kit.ids.decimal(19)
    }

    fn profile(&self, account: &Account) -> SimProfile {
        let (username, password) = auth::login(account);
        let how = account.knobs.text("profile_auth");
        let how = how.as_deref().unwrap_or("password");
        let mut fields = BTreeMap::new();
        let mut secrets = BTreeMap::new();
        if how != "token" {
            fields.insert("username".to_owned(), username);
            secrets.insert("password".to_owned(), password);
            if account.knobs.flag("totp") {
                secrets.insert("totp".to_owned(), auth::TOTP.to_owned());
            }
        }
        if how != "password" {
            secrets.insert("api_token".to_owned(), self.profile_token(account));
        }
        SimProfile {
            name: account.profile.clone(),
            provider: self.kit.provider.to_owned(),
            account: account.profile.clone(),
            auth_mode: "manual_token".to_owned(),
            kind: "account".to_owned(),
            fields,
            secrets,
            endpoints: self.endpoints(),
            root: Some(format!("/{}", MOUNTS[0].name)),
        }
    }
}

impl Simulator for CloudDrive2 {
    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(any(gate::entry)).with_state(self)
    }

    fn endpoints(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("grpc".to_owned(), self.kit.base.clone())])
    }

    fn profiles(&self) -> Vec<SimProfile> {
        let all = self.kit.accounts.iter();
        all.map(|account| self.profile(account)).collect()
    }

    fn new_id(&self, _account: &Account, _dir: bool) -> String {
        self.file_id()
    }

    /// Hashes are computed now, not while a client waits for a listing.
    fn seeded(&self, account: &Account, id: &str) {
        let blob = account.tree().get(id).and_then(|node| node.blob.clone());
        if let Some(blob) = blob {
            for number in MOUNTS[0].lists(account) {
                if let Some(kind) = kind_of(number) {
                    blob.digest_now(kind);
                }
            }
        }
        self.foreign_change(account, id);
    }

    /// Uploads that have not ended.
    fn uploads(&self, account: &Account) -> Vec<Value> {
        let state = self.state();
        let own = state.uploads.iter();
        own.filter(|(_, upload)| upload.profile() == account.profile && upload.is_open())
            .map(|(id, upload)| upload.describe(id))
            .collect()
    }

    fn knobs(&self) -> &'static [&'static str] {
        &[
            "profile_auth",
            "totp",
            "jwt_life_s",
            "token_root",
            "deny",
            "log_out",
            "starting",
            "batch",
            "lists",
            "needs",
            "block_size",
            "list_case",
            "hashless",
            "blocked",
            "dir_cache_s",
            "stat_missing",
            "missing",
            "conflict_default",
            "copy_task_ms",
            "no_purge",
            "name_max",
            "forbidden",
            "total_size",
            "space_unknown",
            "link_life_s",
            "direct",
            "signed_links",
            "redirect",
            "notice_foreign",
            "force_exit",
            "channel_first",
            "cut_how",
            "channel_cut",
            "repeat_status",
            "start_reply_ms",
            "preprocess_ms",
            "max_preprocess",
            "max_transfers",
            "hash_twice",
            "hash_repeat_ms",
            "instant",
            "challenges",
            "hit_status",
            "read_size",
            "read_window",
            "read_order",
            "odd",
            "together",
            "silent",
            "end_status",
            "existing",
            "missing_parent",
            "empty_files",
            "ignored_extensions",
            "first_page",
            "forget_uploads",
        ]
    }

    fn changed(&self, account: &Account, key: &str, value: &str) -> anyhow::Result<()> {
        match key {
            "log_out" => self.log_out(account, value),
            "token_root" => self.limit_token(account, value),
            "forget_uploads" => self.forget_uploads(&account.profile),
            "force_exit" => {
                let reason = value.trim().parse().context("a reason from 0 to 5")?;
                self.force_exit(account, reason);
            }
            _ => {}
        }
        Ok(())
    }
}
