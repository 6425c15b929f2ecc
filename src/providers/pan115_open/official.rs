//! The open platform's names for what both modes do (sheet section 4, column of the open mode).

use async_trait::async_trait;
use moka::sync::Cache;
use serde_json::Value;

use super::api::{Api, Repeat};
use super::door::{Address, Bin, Door, Made, Question, Task};
use super::keys::StoreKeys;
use super::list;
use super::read::link_of;
use super::write::reverted;
use crate::drive::{Cursor, DriveError, Node, NodeId, Page, Quota, Result, decode};
use crate::net::Client;

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
        Api::account_id(self)
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

    /// A hit tells the id here.
    async fn info_by_code(&self, _pick_code: &str) -> Result<Option<Node>> {
        Ok(None)
    }

    async fn quota(&self) -> Result<Quota> {
        list::quota(self).await
    }

    async fn link(&self, id: &NodeId, pick_code: &str) -> Result<Address> {
        let (path, pairs) = ("/open/ufile/downurl", [("pick_code", pick_code)]);
        let answer = self
            .post("download_link", path, "link", Repeat::Safe, &pairs)
            .await?;
        let url = link_of(&answer["data"], id)
            .ok_or_else(|| DriveError::not_found(format!("the content of file {id}")))?;
        Ok(Address { url, cookies: None })
    }

    async fn make_dir(&self, parent: &NodeId, name: &str) -> Result<Made> {
        let pairs = [("pid", parent.as_str()), ("file_name", name)];
        let path = "/open/folder/add";
        let answer = self
            .post("mkdir", path, "api", Repeat::Unsafe, &pairs)
            .await?;
        let data = &answer["data"];
        Ok(Made {
            id: decode::nonempty(&data["file_id"]).or_else(|| decode::nonempty(&data["cid"])),
            name: decode::nonempty(&data["file_name"]),
        })
    }

    async fn set_name(&self, id: &NodeId, name: &str) -> Result<Option<String>> {
        let pairs = [("file_id", id.as_str()), ("file_name", name)];
        let path = "/open/ufile/update";
        let answer = self
            .post("rename", path, "api", Repeat::Safe, &pairs)
            .await?;
        Ok(decode::nonempty(&answer["data"]["file_name"]))
    }

    async fn send_move(&self, id: &NodeId, parent: &NodeId) -> Result<()> {
        let pairs = [("file_ids", id.as_str()), ("to_cid", parent.as_str())];
        self.mutate("move", "/open/ufile/move", Repeat::Safe, &pairs)
            .await?;
        Ok(())
    }

    async fn send_copy(&self, id: &NodeId, parent: &NodeId) -> Result<()> {
        let pairs = [
            ("pid", parent.as_str()),
            ("file_id", id.as_str()),
            // Which of the two spellings counts is not known (section 4.7); 1 refuses duplicates.
            ("nodupli", "1"),
            ("no_dupli", "1"),
        ];
        self.mutate("copy", "/open/ufile/copy", Repeat::Unsafe, &pairs)
            .await?;
        Ok(())
    }

    async fn send_trash(&self, id: &NodeId, parent: &NodeId) -> Result<()> {
        let pairs = [("file_ids", id.as_str()), ("parent_id", parent.as_str())];
        self.mutate("trash", "/open/ufile/delete", Repeat::Safe, &pairs)
            .await?;
        Ok(())
    }

    async fn revert(&self, entry: &str) -> Result<()> {
        let pairs = [("tid", entry)];
        let answer = self
            .mutate("restore", "/open/rb/revert", Repeat::Safe, &pairs)
            .await?;
        reverted(&answer["data"], entry)
    }

    async fn bin(&self, offset: u64) -> Result<Bin> {
        let offset = offset.to_string();
        let pairs = [("limit", "200"), ("offset", offset.as_str())];
        let answer = self.get("trash_list", "/open/rb/list", &pairs).await?;
        let Some(fields) = answer["data"].as_object() else {
            return Ok(Bin::default());
        };
        // Entries stand beside `offset`, `limit`, `count` and `rb_pass`.
        let entries = fields.iter().filter(|(_, entry)| entry.is_object());
        let entries = entries.map(|(key, entry)| {
            let id = decode::nonempty(&entry["id"]).unwrap_or_else(|| key.clone());
            (id, decode::nonempty(&entry["pick_code"]))
        });
        Ok(Bin {
            entries: entries.collect(),
            count: fields.get("count").and_then(decode::unsigned).unwrap_or(0),
        })
    }

    async fn init(&self, question: &Question<'_>) -> Result<Value> {
        let mut pairs = vec![
            ("file_name", question.name),
            ("file_size", question.size),
            ("target", question.target),
            ("fileid", question.sha1),
            ("topupload", "0"),
        ];
        if !question.preid.is_empty() {
            pairs.push(("preid", question.preid));
        }
        if let Some(proof) = question.proof {
            pairs.push(("sign_key", &proof.key));
            pairs.push(("sign_val", &proof.value));
            if !proof.pick_code.is_empty() {
                pairs.push(("pick_code", &proof.pick_code));
            }
        }
        let path = "/open/upload/init";
        let mut answer = self
            .post("upload_init", path, "api", Repeat::Unsafe, &pairs)
            .await?;
        Ok(answer["data"].take())
    }

    async fn upload_task(&self, task: &Task<'_>) -> Result<Value> {
        let pairs = [
            ("pick_code", task.pick_code),
            ("target", task.target),
            ("fileid", task.sha1),
            ("file_size", task.size),
        ];
        let path = "/open/upload/resume";
        let mut answer = self
            .post("upload_resume", path, "api", Repeat::Safe, &pairs)
            .await?;
        Ok(answer["data"].take())
    }

    async fn store_key(&self) -> Result<Value> {
        let path = "/open/upload/get_token";
        let mut answer = self.get("upload_key", path, &[]).await?;
        Ok(answer["data"].take())
    }
}
