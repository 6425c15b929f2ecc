//! Simulator of WebDAV servers, from `generic_backends.md` (sections 4 and 7), RFC 4918 where
//! the sheet says nothing, and Nextcloud's public pages on chunked upload.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | state, the front of the simulator |
//! | `rules` | the behaviour matrix: what each flavour does |
//! | `gate` | where a request goes, and the checks every request passes |
//! | `auth` | Basic, Digest, Bearer |
//! | `address` | paths, percent-encoding, `Destination` |
//! | `xml` | XML in and out |
//! | `listing` | PROPFIND |
//! | `values` | the properties of an entry |
//! | `checksums` | `oc:checksums`, `OC-Checksum` |
//! | `proppatch` | PROPPATCH |
//! | `conditions` | entity tags, `If-Match` and its kin |
//! | `download` | GET, HEAD |
//! | `upload` | PUT, PATCH |
//! | `landing` | how bytes arrive, and where they are kept |
//! | `change` | MKCOL, DELETE |
//! | `transfer` | MOVE, COPY |
//! | `chunks` | Nextcloud's chunked upload, version 2 |
//! | `locks` | LOCK, UNLOCK, `If` |
//! | `errors` | error answers |
//!
//! Each account has a URL: `/dav/USER`, with `flavour=nextcloud` `/remote.php/dav/files/USER`
//! (then both work). Profiles hand out the endpoint `url`, the field `username`, the secrets
//! `password` or `token`, and the auth modes `basic`, `digest`, `bearer`, `none` as the setting
//! `auth` says when they are asked for.
//!
//! Operations in meters and faults: `options`, `list` (PROPFIND below the entry itself), `stat`
//! (PROPFIND with depth 0), `proppatch`, `download` (GET), `head`, `hash` (GET `?hash`), `put`,
//! `patch`, `mkdir`, `move`, `copy`, `delete`, `lock`, `unlock`, `chunk_begin`, `chunk`,
//! `chunk_list`, `chunk_commit`, `chunk_abort`, `other`. `unauthorized` is no request of its own:
//! it counts answers 401.
//!
//! Faults of the simulator's own: `expire_token` (this request is 401: the nonce is stale, or
//! the login is not accepted this once), `commit_fail` (`put`, `chunk_commit`: the bytes arrived
//! and are not kept; argument: status, 500), `truncated_page` (`list`: the document ends in its
//! middle), `null_list` (`list`: a multistatus without a response), `lag` (`list`), `cut`
//! (`put`: see `partial`), `errno` (argument: HTTP status). Statuses with `Retry-After` are the
//! kit's `status`, as `429,2` or `503,2`.
//!
//! | knob | default | meaning |
//! |---|---|---|
//! | `flavour` | generic | `nextcloud`, `apache`, `rclone`, `wsgidav`, `dufs`, `nginx`, `lighttpd`: the defaults of the rules |
//! | `total_size` | 10 TiB | space |
//! | `href` | - | words: `absolute`, `lower`, `loose`, `double_slash`, `no_slash` |
//! | `list_limit` | 0 | a listing shows so many members and says nothing of more; 0: all |
//! | `name_max` | 255 | longest name in bytes |
//! | `propfind` | on | `off`: 405, and not offered (a stock nginx) |
//! | `chunked` | on | `off`: a PUT without `Content-Length` is 411 |
//! | `redirect` | - | 301, 302, 307 or 308: GET, HEAD and PROPFIND go on at `/moved/USER` |
//! | `nfc` | off | names are kept in Unicode form C |
//! | `destination` | absolute | `any`: `Destination` may be a path |
//! | `false_checksum:PATH` | - | `oc:checksums` of the file, whatever its bytes are |
//! | `stuck:PATH` | - | a status: the entry cannot be deleted, moved or copied |
//! | `locked:PATH` | - | so many seconds somebody else holds a lock on it; 0 ends it |
//! | `require_lock` | off | changes without the token of a lock are 423 |
//! | `lock_seconds` | 600 | longest lock |
//! | `digest_algorithm` | MD5 | `SHA-256` |
//! | `nonce_seconds`, `nonce_uses` | 300, 0 | life of a nonce; 0 uses: no limit |
//! | `calls_per_second` | 0 | more are 429; 0: no limit |
//! | `chunk_min`, `chunk_max` | 5 MiB, 5 GiB | sizes of chunks; the last may be smaller |
//! | `chunk_seconds` | 86400 | life of an upload without news |
//! | `total_length` | required | `optional`: the assembling MOVE needs no `OC-Total-Length` |
//!
//! Rules, each a knob as well (`rules` has the matrix):
//!
//! | knob | meaning |
//! |---|---|
//! | `auth` | `basic`, `digest`, `digest+basic`, `bearer`, `none` |
//! | `etag` | `strong`, `weak`, `md5` (of the content), `bare` (unquoted property), `head` (only in headers), `none` |
//! | `put_etag` | whether the answer to PUT has the new tag |
//! | `checksums` | what `oc:checksums` shows: `SHA1 MD5 ADLER32 SHA256`, or `claimed` (what the uploader sent); empty: no such property |
//! | `oc_checksum` | whether `OC-Checksum` of an upload is checked (400) |
//! | `oc_mtime` | `X-OC-Mtime`: `accepted` (and said so), `silent`, `no`; `date`: the request's `Date` is taken instead |
//! | `quota` | quota properties: `yes`, `empty` elements, `unlimited` (-3), `no` |
//! | `infinity` | PROPFIND with depth infinity: `207`, `400`, `403` |
//! | `conditions` | whether PUT, DELETE, MOVE, COPY heed `If-Match`, `If-None-Match`, `If-Unmodified-Since` |
//! | `put_over` | status of a PUT over a file |
//! | `put_range` | PUT with `Content-Range`: `400`, `501`, `replace` (the fragment becomes the file), `apply` |
//! | `put_parents` | whether PUT makes missing parents |
//! | `partial` | a PUT that breaks off: `keep` the fragment in the file's place, `drop` it |
//! | `overwrite` | whether `Overwrite: F` is heeded |
//! | `move_status` | of MOVE and COPY to a free name |
//! | `move_bare`, `delete_bare`, `list_bare`, `mkcol_bare` | directory without a slash at its end: `ok`, a redirect to the one with, 400, 409 |
//! | `proppatch` | `dead` properties are kept, `mtime` (`DAV:lastmodified` only, others are forgotten), `all` (both), `accept` (and forget), `403`, `405` |
//! | `locks` | LOCK and UNLOCK exist |
//! | `chunks` | chunked upload exists |
//! | `disposition` | GET has a `Content-Disposition` with a raw UTF-8 name |
//! | `patch` | PATCH with `X-Update-Range: append`, GET `?hash` |
//! | `dir_length` | directories have a content length |
//! | `prefix` | of the namespace `DAV:` in answers: `D`, `d`, `default` |

mod address;
mod auth;
mod change;
mod checksums;
mod chunks;
mod conditions;
mod download;
mod errors;
mod gate;
mod landing;
mod listing;
mod locks;
mod proppatch;
mod rules;
#[cfg(test)]
mod tests;
mod transfer;
mod upload;
mod values;
mod xml;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::routing::any;
use serde_json::{Value, json};

use super::account::Account;
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};
use super::tree::Tree;

/// The line of the table.
pub const INFO: SimulatorInfo = SimulatorInfo {
    key: "webdav",
    short: "webdav",
    roots: |_| vec!["1".to_owned()],
    shares: false,
    start: |kit| Arc::new(WebDav::new(kit)),
};

/// User name of an account.
fn username(account: &Account) -> String {
    format!("user{}", account.number)
}

/// Its password: with a colon and beyond ASCII, as passwords are.
fn password(account: &Account) -> String {
    format!("hunter:{}-gehe\u{ef}m", account.number)
}

/// What changes. Its lock may be held while a tree's is taken, never the other way round.
#[derive(Default)]
struct State {
    nonces: auth::Nonces,
    /// By profile and name of the upload.
    uploads: BTreeMap<(String, String), chunks::Upload>,
    locks: Vec<locks::Lock>,
}

/// The server.
pub struct WebDav {
    kit: Kit,
    state: Mutex<State>,
    /// Bearer tokens, account 1 first.
    tokens: Vec<String>,
    /// What Digest challenges carry to and fro.
    opaque: String,
}

impl WebDav {
    fn new(kit: Kit) -> WebDav {
        WebDav {
            tokens: kit.accounts.iter().map(|_| kit.ids.hex(40)).collect(),
            opaque: kit.ids.hex(16),
            kit,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bearer token of an account.
    fn token(&self, account: &Account) -> &str {
        let index = account.number.saturating_sub(1);
        self.tokens.get(index).map_or("", String::as_str)
    }

    /// URL path of an account.
    fn home(account: &Account) -> String {
        match rules::flavour(account) {
            "nextcloud" => format!("/remote.php/dav/files/{}", username(account)),
            _ => format!("/dav/{}", username(account)),
        }
    }

    /// Gives an entry a new tag, and the directories above it as well.
    fn stamp(&self, tree: &mut Tree, id: &str) {
        let mut at = id.to_owned();
        loop {
            let tag = self.kit.ids.hex(16);
            let known = tree.update(&at, |node| {
                node.extra.insert("tag".to_owned(), json!(tag));
            });
            let parent = tree.get(&at).map(|node| node.parent.clone());
            match parent {
                Some(parent) if known && !parent.is_empty() => at = parent,
                _ => return,
            }
        }
    }
}

impl Simulator for WebDav {
    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(any(gate::entry)).with_state(self)
    }

    /// Of the first account: each has its own.
    fn endpoints(&self) -> BTreeMap<String, String> {
        let home = self.kit.accounts.first().map(|account| Self::home(account));
        let url = format!("{}{}", self.kit.base, home.unwrap_or_default());
        BTreeMap::from([("url".to_owned(), url)])
    }

    fn profiles(&self) -> Vec<SimProfile> {
        let one = |account: &Arc<Account>| {
            let mode = match rules::of(account, "auth").as_str() {
                "digest" => "digest",
                "bearer" => "bearer",
                "none" => "none",
                _ => "basic",
            };
            let login = matches!(mode, "basic" | "digest");
            let pair = |name: &str, value: String| BTreeMap::from([(name.to_owned(), value)]);
            SimProfile {
                name: account.profile.clone(),
                provider: self.kit.provider.to_owned(),
                account: account.profile.clone(),
                auth_mode: mode.to_owned(),
                kind: "account".to_owned(),
                fields: match login {
                    true => pair("username", username(account)),
                    false => BTreeMap::new(),
                },
                secrets: match mode {
                    "bearer" => pair("token", self.token(account).to_owned()),
                    _ if login => pair("password", password(account)),
                    _ => BTreeMap::new(),
                },
                endpoints: pair("url", format!("{}{}", self.kit.base, Self::home(account))),
                root: None,
            }
        };
        self.kit.accounts.iter().map(one).collect()
    }

    /// The number that `oc:fileid` shows.
    fn new_id(&self, _account: &Account, _dir: bool) -> String {
        self.kit.ids.decimal(8)
    }

    fn seeded(&self, account: &Account, id: &str) {
        self.stamp(&mut account.tree(), id);
    }

    /// Chunked uploads that were neither assembled nor given up.
    fn uploads(&self, account: &Account) -> Vec<Value> {
        let state = self.state();
        let own = state.uploads.iter();
        own.filter(|((profile, _), _)| *profile == account.profile)
            .map(|((_, id), upload)| upload.describe(id))
            .collect()
    }

    fn knobs(&self) -> &'static [&'static str] {
        &[
            "flavour",
            "total_size",
            "href",
            "list_limit",
            "name_max",
            "propfind",
            "chunked",
            "redirect",
            "nfc",
            "destination",
            "false_checksum:",
            "stuck:",
            "locked:",
            "require_lock",
            "lock_seconds",
            "digest_algorithm",
            "nonce_seconds",
            "nonce_uses",
            "calls_per_second",
            "chunk_min",
            "chunk_max",
            "chunk_seconds",
            "total_length",
            "auth",
            "etag",
            "put_etag",
            "checksums",
            "oc_checksum",
            "oc_mtime",
            "quota",
            "infinity",
            "conditions",
            "put_over",
            "put_range",
            "put_parents",
            "partial",
            "overwrite",
            "move_status",
            "move_bare",
            "delete_bare",
            "list_bare",
            "mkcol_bare",
            "proppatch",
            "locks",
            "chunks",
            "disposition",
            "patch",
            "dir_length",
            "prefix",
        ]
    }

    fn changed(&self, account: &Account, key: &str, value: &str) -> anyhow::Result<()> {
        match key.strip_prefix("locked:") {
            Some(path) => self.lock_for_somebody(account, path, value),
            None => rules::check(key, value),
        }
    }
}
