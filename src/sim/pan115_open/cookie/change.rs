//! mkdir, rename, move, copy and the trash of the web API (115_open.md sections 4.5 to 4.8).

use serde_json::{Map, Value, json};

use super::super::Ctx;
use super::super::errors::ApiError;
use super::super::files::{sha1_of, trash_entry};
use super::gate::granted;

/// Most entries of a trash page.
const TRASH_PAGE: u64 = 1150;

/// The order of an array's index: `fid[0]`, `fid[1]`, ...
fn index(key: &str, name: &str) -> Option<u64> {
    let inner = key.strip_prefix(name)?.strip_prefix('[')?;
    inner.strip_suffix(']')?.parse().ok()
}

impl Ctx<'_> {
    /// The members of an array `name[0]`, `name[1]` ..., or the one that stands for itself.
    fn array(&self, name: &str) -> Vec<String> {
        let mut members: Vec<(u64, &String)> = self
            .params
            .0
            .iter()
            .filter_map(|(key, value)| Some((index(key, name)?, value)))
            .collect();
        members.sort();
        let single = Some(self.text(name)).filter(|id| !id.is_empty());
        let members = members.into_iter().map(|(_, id)| id.clone());
        members.chain(single.map(str::to_owned)).collect()
    }

    /// `POST webapi/files/add`.
    pub(super) fn web_mkdir(&self) -> Result<Value, ApiError> {
        let name = self.text("cname");
        let id = self.make_folder(self.required("pid")?, name)?;
        Ok(granted(json!({
            "aid": 1, "cid": id, "cname": name, "file_id": id, "file_name": name,
        })))
    }

    /// `POST webapi/files/batch_rename` with `files_new_name[<id>]`. The answer has the names
    /// that became of it, an empty list when nothing changed.
    pub(super) fn web_rename(&self) -> Result<Value, ApiError> {
        let wanted: Vec<(&str, &str)> = self
            .params
            .0
            .iter()
            .filter_map(|(key, name)| {
                let id = key.strip_prefix("files_new_name[")?.strip_suffix(']')?;
                Some((id, name.as_str()))
            })
            .collect();
        if wanted.is_empty() {
            return Err(ApiError::parameter("files_new_name"));
        }
        let mut data = Map::new();
        for (id, name) in wanted {
            if name.is_empty() {
                return Err(ApiError::new(20_001, "名称不能为空"));
            }
            let before = self.account.tree().get(id).map(|node| node.name.clone());
            if let Some((after, _)) = self.renamed_to(id, name, "")?
                && before.as_ref() != Some(&after)
            {
                data.insert(id.to_owned(), json!(after));
            }
        }
        let data = match data.is_empty() {
            true => json!([]),
            false => Value::Object(data),
        };
        Ok(granted(json!({ "errno": 0, "data": data })))
    }

    /// `POST webapi/files/move`.
    pub(super) async fn web_move(&self) -> Result<Value, ApiError> {
        let ids = self.few("fid", self.array("fid"))?;
        self.moved(&ids, self.required("pid")?).await?;
        Ok(granted(json!({})))
    }

    /// `POST webapi/files/copy`.
    pub(super) async fn web_copy(&self) -> Result<Value, ApiError> {
        let ids = self.few("fid", self.array("fid"))?;
        self.copied(&ids, self.required("pid")?, false).await?;
        Ok(granted(json!({})))
    }

    /// `POST webapi/rb/delete`.
    pub(super) async fn web_trash(&self) -> Result<Value, ApiError> {
        let ids = self.few("fid", self.array("fid"))?;
        self.thrown_away(&ids).await?;
        Ok(granted(json!({})))
    }

    /// `GET webapi/rb`: the trash is area 7.
    pub(super) async fn web_trash_list(&self) -> Result<Value, ApiError> {
        if self.text("aid") != "7" {
            return Err(ApiError::parameter("aid"));
        }
        let limit = match self.params.number("limit", 32) {
            0 => 32,
            limit => limit.min(TRASH_PAGE),
        };
        let offset = self.params.number("offset", 0);
        let all = self.trashed();
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut data = Vec::new();
        for node in all.iter().skip(skip).take(limit as usize) {
            let parent = self.account.tree().get(&node.parent).cloned();
            let sha1 = sha1_of(node).await;
            data.push(trash_entry(
                node,
                parent.as_ref(),
                &sha1,
                self.account.number,
            ));
        }
        Ok(granted(json!({
            "data": data, "count": all.len().to_string(), "offset": offset, "page_size": limit,
            "rb_pass": u8::from(self.safety_key().is_some()),
        })))
    }

    /// `POST webapi/rb/revert`.
    pub(super) async fn web_restore(&self) -> Result<Value, ApiError> {
        let ids = self.batch(self.few("rid", self.array("rid"))?)?;
        let done = self.restored(ids).await?;
        if done.values().all(|one| one["state"] == false) {
            return Err(ApiError::new(231_011, "文件不存在或已删除"));
        }
        Ok(granted(json!({ "data": done })))
    }

    /// The key that a user may want asked for before the trash is purged.
    fn safety_key(&self) -> Option<String> {
        let key = self.account.knobs.text("safety_key");
        key.filter(|key| !key.is_empty())
    }

    fn check_safety_key(&self) -> Result<(), ApiError> {
        match self.safety_key() {
            Some(key) if key != self.text("password") => {
                Err(ApiError::new(320_001, "安全密钥不正确"))
            }
            _ => Ok(()),
        }
    }

    /// `POST webapi/rb/clean`. Only what is named: nothing named is an error.
    pub(super) async fn web_clean(&self) -> Result<Value, ApiError> {
        let ids = self.batch(self.few("rid", self.array("rid"))?)?;
        self.check_safety_key()?;
        self.purged(ids).await?;
        Ok(granted(json!({})))
    }

    /// `POST webapi/rb/secret_del`. Without `tid` the whole trash is emptied.
    pub(super) async fn web_secret_del(&self) -> Result<Value, ApiError> {
        let ids = self.batch(self.params.list("tid"))?;
        self.check_safety_key()?;
        self.purged(ids).await?;
        Ok(granted(json!({})))
    }
}
