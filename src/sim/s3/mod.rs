//! Simulator of S3 servers, from Amazon's public S3 API reference and `generic_backends.md`
//! (sections 5, 7 and 7.2) for what other servers do differently.
//!
//! | file | what is in it |
//! |---|---|
//! | this one | state, the front of the simulator |
//! | `rules` | the behaviour matrix: what each flavour does |
//! | `gate` | where a request goes, and the checks every request passes |
//! | `route` | which operation a request is |
//! | `sign`, `auth` | signature V4: how it is computed; who may come in |
//! | `checksums` | `Content-MD5`, `x-amz-checksum-*` |
//! | `xml`, `errors` | XML in and out; refusals |
//! | `store` | objects and directory markers over the account's tree |
//! | `conditions` | `If-Match` and its kin |
//! | `metadata` | the headers that an object keeps |
//! | `buckets`, `list` | calls on buckets; both listings |
//! | `download` | GET, HEAD |
//! | `upload` | PUT, and how bodies arrive |
//! | `copy` | copies of objects and of parts |
//! | `delete` | one, and up to a thousand |
//! | `multipart`, `complete`, `sessions` | uploads in parts: begin, parts, abort; the end; what is open |
//!
//! Each account is a key pair and a bucket, `panfuse-sim-1`, `panfuse-sim-2` and so on. The
//! bucket is the first segment of the path; with a host like `BUCKET.localhost` it is that label.
//! The region is not Amazon's default, and a signature for another is refused.
//! The clock is the world's, also in the header `Date`: a client 15 minutes off is refused.
//!
//! A key is a path: its prefixes are the directories of the tree, a key that ends with a slash is
//! a directory with a marker. A directory goes with its last object unless it has a marker. A
//! directory that a test makes has a marker.
//!
//! Operations in meters and faults: `list`, `head`, `download`, `put`, `copy`, `delete`,
//! `delete_batch`, `create`, `part`, `part_copy`, `parts` (the parts of an upload), `commit`,
//! `abort`, `uploads`, `head_bucket`, `buckets`, `location`, `create_bucket`, `delete_bucket`,
//! `other`. Requests with an unknown key count for the bucket's account.
//!
//! Faults of the simulator's own: `expire_token` (400 `ExpiredToken`), `expire_link` (a presigned
//! URL has just expired), `commit_fail` (`put`, `copy`, `commit`: everything arrived and nothing
//! is kept; argument as for `errno`, `200` is the answer 200 with an error inside), `errno`
//! (argument: S3 code, or HTTP status, or `CODE,STATUS`), and of `list`: `truncated_page` (half
//! a page, and a token), `null_list` (no entries, whatever there is), `lag`.
//!
//! | knob | default | meaning |
//! |---|---|---|
//! | `flavour` | aws | `rclone`, `moto`, `s3s`: the defaults of the rules |
//! | `min_part` | 5 MiB | smallest part but the last |
//! | `page` | 1000 | most keys, parts or uploads of an answer |
//! | `total_size` | 10 TiB | space, open parts too; beyond it 403 `QuotaExceeded` |
//! | `seed_part_size` | 0 | seeded files larger than this look as if uploaded in such parts; 0: only those over 5 GiB, in parts of 8 MiB |
//! | `calls_per_second` | 0 | more are 503 `SlowDown`; 0: no limit |
//! | `commit_error`, `copy_error` | - | a code: the answer is 200 with this error inside, nothing is done; empty ends it |
//! | `stuck:KEY` | - | a code: the object cannot be deleted; empty ends it |
//!
//! Rules, each a knob as well (`rules` has the matrix):
//!
//! | knob | meaning |
//! |---|---|
//! | `etag_in_list` | `quoted`, `unquoted`, `absent` |
//! | `etag` | `md5`, or `opaque`: 32 hex digits that are no MD5, as with keys of a key store |
//! | `multipart_etag` | `parts`: MD5 of the MD5s and their number; `whole`: MD5 of the content |
//! | `ignore_if_none_match` | `If-None-Match: *` of an upload is not heeded |
//! | `copy_conditions` | `If-Match` and `If-None-Match` of a copy are heeded |
//! | `delete_conditions` | `If-Match` of a deletion is heeded |
//! | `marker_is_file` | `dir/` becomes a file `dir`, and nothing can be written below it |
//! | `delete_batch` | deletions of many keys are possible |
//! | `list_v2` | `list-type=2` is known; else it is answered as the first version |

mod auth;
mod buckets;
mod checksums;
mod complete;
mod conditions;
mod copy;
mod delete;
mod download;
mod errors;
mod gate;
mod list;
mod metadata;
mod multipart;
mod route;
mod rules;
mod sessions;
mod sign;
mod store;
#[cfg(test)]
mod tests;
mod upload;
mod xml;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::routing::any;
use serde_json::{Value, json};

use super::account::Account;
use super::simulator::{Kit, SimProfile, Simulator, SimulatorInfo};

/// The line of the table.
pub const INFO: SimulatorInfo = SimulatorInfo {
    key: "s3",
    short: "s3",
    roots: |_| vec!["bucket".to_owned()],
    shares: false,
    start: |kit| Arc::new(S3::new(kit)),
};

/// The region of every bucket here: not the one that careless clients assume.
const REGION: &str = "eu-north-1";

/// The bucket of an account.
fn bucket_of(account: &Account) -> String {
    format!("panfuse-sim-{}", account.number)
}

/// A key pair.
struct Pair {
    id: String,
    secret: String,
}

/// What changes. Its lock may be held while a tree's is taken, never the other way round.
#[derive(Default)]
struct State {
    /// What is kept beside the nodes of the trees, by their id.
    stored: BTreeMap<String, store::Stored>,
    /// By id.
    uploads: BTreeMap<String, multipart::Upload>,
}

/// The server.
pub struct S3 {
    kit: Kit,
    state: Mutex<State>,
    /// Account 1 first.
    pairs: Vec<Pair>,
}

impl S3 {
    fn new(kit: Kit) -> S3 {
        let pair = |_: &Arc<Account>| Pair {
            id: format!("AKIA{}", kit.ids.hex(16).to_uppercase()),
            // With the characters that break careless encoding.
            secret: format!("{}/{}+", kit.ids.hex(20), kit.ids.hex(18)),
        };
        S3 {
            pairs: kit.accounts.iter().map(pair).collect(),
            state: Mutex::default(),
            kit,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Account and secret of an access key id.
    fn owner_of_key(&self, id: &str) -> Option<(&Arc<Account>, &str)> {
        let mut all = self.kit.accounts.iter().zip(&self.pairs);
        let (account, pair) = all.find(|(_, pair)| pair.id == id)?;
        Some((account, &pair.secret))
    }

    /// Account of a bucket.
    fn owner_of_bucket(&self, bucket: &str) -> Option<&Arc<Account>> {
        let mut all = self.kit.accounts.iter();
        all.find(|account| bucket_of(account) == bucket)
    }
}

impl Simulator for S3 {
    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(any(gate::entry)).with_state(self)
    }

    fn endpoints(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("url".to_owned(), self.kit.base.clone())])
    }

    fn profiles(&self) -> Vec<SimProfile> {
        let texts = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let accounts = self.kit.accounts.iter().zip(&self.pairs);
        accounts
            .map(|(account, pair)| SimProfile {
                name: account.profile.clone(),
                provider: self.kit.provider.to_owned(),
                account: account.profile.clone(),
                auth_mode: "access_key".to_owned(),
                kind: "account".to_owned(),
                fields: texts(&[
                    ("access_key_id", &pair.id),
                    ("region", REGION),
                    ("bucket", &bucket_of(account)),
                    ("path_style", "true"),
                ]),
                secrets: texts(&[("secret_access_key", &pair.secret)]),
                endpoints: self.endpoints(),
                root: None,
            })
            .collect()
    }

    fn new_id(&self, _account: &Account, _dir: bool) -> String {
        self.kit.ids.decimal(10)
    }

    fn seeded(&self, account: &Account, id: &str) {
        self.adopt(account, id);
    }

    /// A prefix of a key and no more.
    fn implied(&self, _account: &Account, _id: &str) {}

    fn uploads(&self, account: &Account) -> Vec<Value> {
        let state = self.state();
        let own = state.uploads.iter();
        own.filter(|(_, upload)| upload.profile == account.profile)
            .map(|(id, upload)| {
                json!({
                    "id": id, "name": upload.key, "bucket": bucket_of(account), "kind": "s3",
                    "parts": upload.parts.len(), "bytes": upload.bytes(),
                })
            })
            .collect()
    }

    fn knobs(&self) -> &'static [&'static str] {
        &[
            "flavour",
            "min_part",
            "page",
            "total_size",
            "seed_part_size",
            "calls_per_second",
            "commit_error",
            "copy_error",
            "stuck:",
            "etag_in_list",
            "etag",
            "multipart_etag",
            "ignore_if_none_match",
            "copy_conditions",
            "delete_conditions",
            "marker_is_file",
            "delete_batch",
            "list_v2",
        ]
    }

    fn changed(&self, _account: &Account, key: &str, value: &str) -> anyhow::Result<()> {
        rules::check(key, value)
    }
}
