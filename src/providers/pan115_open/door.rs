//! The two doors to one account: the open platform and the web clients' calls know the same ids and
//! pick codes, and say the same things by other names (sheet section 1). What a change or an upload
//! takes is the same behind both, and written once over this trait.

use async_trait::async_trait;
use moka::sync::Cache;
use serde_json::Value;

use super::keys::StoreKeys;
use crate::drive::{Cursor, Node, NodeId, Page, Quota, Result};
use crate::net::{Client, Secret};

/// One mode's calls. Names are as the provider spells them.
#[async_trait]
pub trait Door: Send + Sync {
    fn client(&self) -> &Client;

    /// The session keys of the object store.
    fn keys(&self) -> &StoreKeys;

    /// What this process trashed: it may still be found by id (section 4.3).
    fn trashed(&self) -> &Cache<NodeId, ()>;

    fn account_id(&self) -> Option<String>;

    /// One page of a directory; `NotFound` when there is no such directory.
    async fn page(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page>;

    /// Fails with `NotFound` unless `dir` is a directory that exists. A move into another id would
    /// succeed and lose the node (section 4.7).
    async fn require_dir(&self, dir: &NodeId) -> Result<()>;

    /// A node by id, other than the root; a trashed one may be found as well.
    async fn info(&self, id: &NodeId) -> Result<Node>;

    /// A file that was made a moment ago, by pick code, where this works before listings show it.
    async fn info_by_code(&self, pick_code: &str) -> Result<Option<Node>>;

    async fn quota(&self) -> Result<Quota>;

    /// A link to the content of a file; `NotFound` when it has none.
    async fn link(&self, id: &NodeId, pick_code: &str) -> Result<Address>;

    /// Never sent again when the answer was lost.
    async fn make_dir(&self, parent: &NodeId, name: &str) -> Result<Made>;

    /// Gives a node a name; the name that is stored now, where the answer tells it.
    async fn set_name(&self, id: &NodeId, name: &str) -> Result<Option<String>>;

    async fn send_move(&self, id: &NodeId, parent: &NodeId) -> Result<()>;

    /// Never sent again when the answer was lost.
    async fn send_copy(&self, id: &NodeId, parent: &NodeId) -> Result<()>;

    async fn send_trash(&self, id: &NodeId, parent: &NodeId) -> Result<()>;

    /// Brings an entry of the trash back.
    async fn revert(&self, entry: &str) -> Result<()>;

    /// The trash from entry `offset` on.
    async fn bin(&self, offset: u64) -> Result<Bin>;

    /// The upload question; the fields of the answer as the open platform names them. Never sent
    /// again when the answer was lost.
    async fn init(&self, question: &Question<'_>) -> Result<Value>;

    /// Where an unfinished upload goes, and a fresh callback; fields as of [`Door::init`].
    async fn upload_task(&self, task: &Task<'_>) -> Result<Value>;

    /// A session key of the object store, with the store's address when it is wanted.
    async fn store_key(&self) -> Result<Value>;
}

/// A download link.
pub struct Address {
    pub url: String,
    /// What the answer set, for links that want it back (section 8).
    pub cookies: Option<Secret>,
}

/// What the answer to a new directory tells.
pub struct Made {
    pub id: Option<String>,
    pub name: Option<String>,
}

/// A piece of the trash.
#[derive(Default)]
pub struct Bin {
    /// Id of the entry, and pick code.
    pub entries: Vec<(String, Option<String>)>,
    /// Entries in all.
    pub count: u64,
}

/// What is asked before an upload (section 6).
pub struct Question<'a> {
    pub name: &'a str,
    pub size: &'a str,
    pub target: &'a str,
    /// Upper case.
    pub sha1: &'a str,
    /// Hash of the head, empty where it is not known.
    pub preid: &'a str,
    pub proof: Option<&'a Proof>,
}

/// The answer to a challenge.
pub struct Proof {
    pub key: String,
    pub value: String,
    pub pick_code: String,
}

/// An upload under way.
pub struct Task<'a> {
    pub pick_code: &'a str,
    pub target: &'a str,
    /// Upper case.
    pub sha1: &'a str,
    pub size: &'a str,
}
