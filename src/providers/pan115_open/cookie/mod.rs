//! 115 with the cookies of a web session (sheet `115_open`, cookie mode). What a change, an upload
//! or a download takes is the open mode's; here are the calls.
//!
//! | file | what is in it |
//! |---|---|
//! | `auth` | the cookies |
//! | `api` | calls, spread over hosts, one mutation at a time; the upload identity |
//! | `list` | listings, stat, decoding of entries, quota |
//! | `link` | download links |
//! | `question` | the upload question, resuming, keys of the object store |
//! | `m115` | the mask of links: XOR streams and RSA |
//! | `ec115` | the seal of the upload question: P-224, AES, LZ4 |
//! | `token` | what the upload question is signed with |

mod api;
mod auth;
mod ec115;
mod link;
mod list;
mod m115;
mod question;
mod token;

use async_trait::async_trait;
use moka::sync::Cache;
use serde_json::Value;

use super::OFFICIAL;
use super::api::Repeat;
use super::door::{Address, Bin, Door, Made, Question, Task};
use super::keys::StoreKeys;
use super::write::reverted;
use crate::drive::{
    Calls, Capabilities, Cursor, DriveContext, Node, NodeId, Page, Quota, Result, decode,
};
use crate::net::{ClassLimit, Client};

use api::Api;

/// The web host is watched most closely: careful clients leave a second between its calls (sheet
/// section 10.4). The classes are the open mode's, because profiles of one account share a budget.
const LIMITS: &[ClassLimit] = &[
    ClassLimit {
        class: "api",
        per_second: 0.95,
        burst: 8,
        concurrency: 2,
    },
    ClassLimit {
        class: "link",
        per_second: 0.9,
        burst: 2,
        concurrency: 1,
    },
    ClassLimit {
        class: "mutate",
        per_second: 0.9,
        burst: 3,
        concurrency: 1,
    },
    ClassLimit {
        class: "download",
        per_second: 0.0,
        burst: 1,
        concurrency: 10,
    },
    ClassLimit {
        class: "upload",
        per_second: 0.0,
        burst: 1,
        concurrency: 4,
    },
];

/// What an account can do in this mode: the same as in the other, by other calls.
pub static CAPABILITIES: Capabilities = Capabilities {
    calls: Calls {
        link: 1,
        // The answer to a hit tells no id: the file is looked up by its pick code.
        hit: 4,
        upload: 3,
        copy: 4,
    },
    limits: LIMITS,
    ..OFFICIAL
};

/// The account's calls. No request is sent.
pub fn open(context: DriveContext) -> Result<impl Door + 'static> {
    Api::new(context)
}

#[async_trait]
impl Door for Api {
    fn client(&self) -> &Client {
        &self.client
    }

    fn keys(&self) -> &StoreKeys {
        &self.keys
    }

    fn trashed(&self) -> &Cache<NodeId, ()> {
        &self.trashed
    }

    fn account_id(&self) -> Option<String> {
        self.jar.user_id().cloned()
    }

    async fn page(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        list::page(self, dir, cursor).await
    }

    async fn require_dir(&self, dir: &NodeId) -> Result<()> {
        list::require_dir(self, dir).await
    }

    async fn info(&self, id: &NodeId) -> Result<Node> {
        list::by_id(self, id).await
    }

    async fn info_by_code(&self, pick_code: &str) -> Result<Option<Node>> {
        list::by_code(self, pick_code).await
    }

    async fn quota(&self) -> Result<Quota> {
        list::quota(self).await
    }

    async fn link(&self, id: &NodeId, pick_code: &str) -> Result<Address> {
        link::link(self, id, pick_code).await
    }

    async fn make_dir(&self, parent: &NodeId, name: &str) -> Result<Made> {
        let pairs = [("pid", parent.as_str()), ("cname", name)];
        let answer = self
            .post("mkdir", "/files/add", Repeat::Unsafe, &pairs)
            .await?;
        let either = |one: &str, other: &str| {
            decode::nonempty(&answer[one]).or_else(|| decode::nonempty(&answer[other]))
        };
        Ok(Made {
            id: either("file_id", "cid"),
            name: either("file_name", "cname"),
        })
    }

    async fn set_name(&self, id: &NodeId, name: &str) -> Result<Option<String>> {
        let key = format!("files_new_name[{id}]");
        let pairs = [(key.as_str(), name)];
        let answer = self
            .post("rename", "/files/batch_rename", Repeat::Safe, &pairs)
            .await?;
        // A list, and an empty one, when nothing changed.
        Ok(decode::nonempty(&answer["data"][id.as_str()]))
    }

    async fn send_move(&self, id: &NodeId, parent: &NodeId) -> Result<()> {
        let pairs = [("fid[0]", id.as_str()), ("pid", parent.as_str())];
        self.mutate("move", "/files/move", Repeat::Safe, &pairs)
            .await?;
        Ok(())
    }

    async fn send_copy(&self, id: &NodeId, parent: &NodeId) -> Result<()> {
        let pairs = [("fid[0]", id.as_str()), ("pid", parent.as_str())];
        self.mutate("copy", "/files/copy", Repeat::Unsafe, &pairs)
            .await?;
        Ok(())
    }

    async fn send_trash(&self, id: &NodeId, parent: &NodeId) -> Result<()> {
        let pairs = [
            ("fid[0]", id.as_str()),
            ("pid", parent.as_str()),
            ("ignore_warn", "1"),
        ];
        self.mutate("trash", "/rb/delete", Repeat::Safe, &pairs)
            .await?;
        Ok(())
    }

    async fn revert(&self, entry: &str) -> Result<()> {
        let pairs = [("rid[0]", entry)];
        let answer = self
            .mutate("restore", "/rb/revert", Repeat::Safe, &pairs)
            .await?;
        // The sheet does not show the answer: a verdict on the entry is read where one stands.
        reverted(&answer["data"], entry)?;
        reverted(&answer, entry)
    }

    async fn bin(&self, offset: u64) -> Result<Bin> {
        let offset = offset.to_string();
        let pairs = [
            ("aid", "7"),
            ("cid", "0"),
            ("limit", "200"),
            ("offset", offset.as_str()),
        ];
        let answer = self.get("trash_list", "/rb", &pairs).await?;
        let entries = decode::list(&answer["data"]).iter().filter_map(|entry| {
            let id = decode::nonempty(&entry["id"])?;
            Some((id, decode::nonempty(&entry["pick_code"])))
        });
        Ok(Bin {
            entries: entries.collect(),
            count: decode::unsigned(&answer["count"]).unwrap_or(0),
        })
    }

    async fn init(&self, question: &Question<'_>) -> Result<Value> {
        question::init(self, question).await
    }

    async fn upload_task(&self, task: &Task<'_>) -> Result<Value> {
        question::resume(self, task).await
    }

    async fn store_key(&self) -> Result<Value> {
        question::store_key(self).await
    }
}

#[cfg(test)]
mod bed;
#[cfg(test)]
mod flow_tests;
