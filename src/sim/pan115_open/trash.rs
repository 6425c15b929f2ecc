//! Delete, and the trash (115_open.md sections 4.7 and 4.8).

use serde_json::{Map, Value, json};

use super::super::tree::Node;
use super::errors::{ApiError, granted};
use super::files::{sha1_of, trash_entry};
use super::{Ctx, ROOT};

/// Ids of one restore or purge.
const MAX_TRASH_BATCH: usize = 1150;

impl Ctx<'_> {
    /// `POST /open/ufile/delete`.
    pub(super) async fn trash(&self) -> Result<Value, ApiError> {
        let gone = self.thrown_away(&self.ids("file_ids")?).await?;
        Ok(granted(json!(gone)))
    }

    /// Puts entries into the trash; answers which.
    pub(super) async fn thrown_away(&self, ids: &[String]) -> Result<Vec<String>, ApiError> {
        let _turn = self.turn().await?;
        let nodes = self.known(ids)?;
        let now = self.now();
        let mut tree = self.account.tree();
        for node in &nodes {
            tree.update(&node.id, |node| node.trashed = Some(now));
        }
        Ok(nodes.into_iter().map(|node| node.id).collect())
    }

    /// What lies in the trash by itself, the newest first.
    pub(super) fn trashed(&self) -> Vec<Node> {
        let tree = self.account.tree();
        let mut all: Vec<Node> = tree
            .walk()
            .into_iter()
            .filter(|node| node.trashed.is_some())
            .cloned()
            .collect();
        all.sort_by(|a, b| b.trashed.cmp(&a.trashed).then_with(|| b.id.cmp(&a.id)));
        all
    }

    /// `GET /open/rb/list`: entries are members of `data`, beside the paging.
    pub(super) async fn trash_list(&self) -> Result<Value, ApiError> {
        let limit = match self.params.number("limit", 30) {
            0 => 30,
            limit => limit.min(200),
        };
        let offset = self.params.number("offset", 0);
        let all = self.trashed();
        let mut data = Map::new();
        data.insert("offset".to_owned(), json!(offset));
        data.insert("limit".to_owned(), json!(limit));
        data.insert("count".to_owned(), json!(all.len().to_string()));
        data.insert("rb_pass".to_owned(), json!(0));
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for node in all.iter().skip(skip).take(limit as usize) {
            let parent = self.account.tree().get(&node.parent).cloned();
            let sha1 = sha1_of(node).await;
            let entry = trash_entry(node, parent.as_ref(), &sha1, self.account.number);
            data.insert(node.id.clone(), entry);
        }
        Ok(granted(Value::Object(data)))
    }

    /// Ids of one restore or purge, not too many.
    pub(super) fn batch(&self, ids: Vec<String>) -> Result<Vec<String>, ApiError> {
        match ids.len() > MAX_TRASH_BATCH {
            true => Err(ApiError::new(990_023, "操作的文件（夹）数量超过上限")),
            false => Ok(ids),
        }
    }

    /// `POST /open/rb/revert`. An entry whose folder is gone comes back in the root.
    pub(super) async fn restore(&self) -> Result<Value, ApiError> {
        let ids = self.batch(self.params.list("tid"))?;
        if ids.is_empty() {
            return Err(ApiError::parameter("tid"));
        }
        Ok(granted(Value::Object(self.restored(ids).await?)))
    }

    /// Restores entries; answers what became of each.
    pub(super) async fn restored(&self, ids: Vec<String>) -> Result<Map<String, Value>, ApiError> {
        let _turn = self.turn().await?;
        let mut tree = self.account.tree();
        let mut data = Map::new();
        for id in ids {
            let found = tree.get(&id).filter(|node| node.trashed.is_some()).cloned();
            let answer = match found {
                None => json!({ "state": false, "error": "文件不存在", "errno": 231_011 }),
                Some(node) => {
                    let parent = match tree.live_dir(&node.parent) {
                        Some(parent) => parent.id.clone(),
                        None => ROOT.to_owned(),
                    };
                    let name = self.arriving(&tree, &parent, &node, &id);
                    tree.update(&id, |node| node.trashed = None);
                    tree.relocate(&id, &parent, &name);
                    json!({ "state": true, "error": "", "errno": 0 })
                }
            };
            data.insert(id, answer);
        }
        Ok(data)
    }

    /// `POST /open/rb/del`. Without `tid` the whole trash is emptied.
    pub(super) async fn purge(&self) -> Result<Value, ApiError> {
        let ids = self.batch(self.params.list("tid"))?;
        Ok(granted(json!(self.purged(ids).await?)))
    }

    /// Purges entries of the trash, all of them when none is named; answers which.
    pub(super) async fn purged(&self, mut ids: Vec<String>) -> Result<Vec<String>, ApiError> {
        let _turn = self.turn().await?;
        let trashed = self.trashed();
        if ids.is_empty() {
            ids = trashed.iter().map(|node| node.id.clone()).collect();
        } else {
            ids.retain(|id| trashed.iter().any(|node| node.id == *id));
        }
        let mut tree = self.account.tree();
        for id in &ids {
            tree.remove(id);
        }
        Ok(ids)
    }
}
