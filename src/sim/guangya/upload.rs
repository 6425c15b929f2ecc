//! Upload tasks: token, flash check, resume and delete (sections 6.2 and 7).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::clock::rfc3339;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::BUCKET;
use super::change::{check_name, taken};
use super::claims::Claims;
use super::errors::ApiError;
use super::gate::{Ctx, number};
use super::import::{Import, space};

/// Below this only the md5 of the token call finds anything.
const SMALL: u64 = 1 << 20;

/// Where an upload task stands.
pub(super) enum Stage {
    /// Waits for bytes, or for a hit.
    New,
    /// Has a content; the file comes.
    Importing(Import),
    /// The file's id.
    Done(String),
    /// There will be no file: what its polls are told, 0 for no error and no file.
    Failed(i64),
}

/// An upload task.
pub(super) struct Upload {
    pub account: Arc<Account>,
    pub parent: String,
    pub name: String,
    pub size: u64,
    pub claims: Claims,
    /// Object key in the bucket.
    pub key: String,
    /// As it was told: a number or a text.
    provider: Value,
    created: i64,
    pub stage: Stage,
}

impl Upload {
    /// Whether it is of this account, and a client should still take care of it.
    pub(super) fn is_left_of(&self, account: &Account) -> bool {
        self.account.profile == account.profile && !matches!(self.stage, Stage::Done(_))
    }

    /// For tests that look for leftovers.
    pub(super) fn describe(&self, id: &str) -> Value {
        let stage = match self.stage {
            Stage::New => "new",
            Stage::Importing(_) => "importing",
            Stage::Done(_) => "done",
            Stage::Failed(_) => "failed",
        };
        json!({ "id": id, "name": self.name, "size": self.size, "kind": "task", "stage": stage })
    }

    /// 163 for one that waited too long.
    pub(super) fn check_age(&self, now: i64) -> Result<(), ApiError> {
        let life = number(&self.account, "upload_life_s", 86_400).saturating_mul(1000);
        let over = now >= self.created.saturating_add(life);
        match over && matches!(self.stage, Stage::New) {
            true => Err(ApiError::upload_expired()),
            false => Ok(()),
        }
    }
}

impl Ctx<'_> {
    /// Runs `work` on an upload task of the account that is not removed nor too old.
    pub(super) fn upload<T>(
        &self,
        id: &str,
        work: impl FnOnce(&mut Upload) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let now = self.now();
        let mut state = self.sim.state();
        if state.removed.contains(id) {
            return Err(ApiError::upload_removed());
        }
        let upload = state.uploads.get_mut(id);
        let upload = upload.filter(|upload| upload.account.profile == self.account.profile);
        let upload = upload.ok_or_else(ApiError::no_upload)?;
        upload.check_age(now)?;
        work(upload)
    }

    fn upload_id(&self) -> String {
        format!("up-{}", self.sim.kit.ids.decimal(19))
    }

    /// `capacity` is 1 or 2 (section 6.2); nobody knows what it means.
    fn capacity(&self) -> Result<(), ApiError> {
        match self.args.number("capacity")? {
            Some(1 | 2) => Ok(()),
            _ => Err(ApiError::parameter("capacity")),
        }
    }

    /// The limits of the account (section 10).
    fn check_limits(&self, size: u64) -> Result<(), ApiError> {
        let most = self.account.knobs.number("max_file_size", 0);
        if most > 0 && size > most {
            return Err(ApiError::new(90_000, "文件大小超出限制"));
        }
        let month = self.account.knobs.number("month_bytes", 0);
        let imported = {
            let state = self.sim.state();
            state.imported.get(&self.account.profile).copied()
        };
        if month > 0 && imported.unwrap_or(0).saturating_add(size) > month {
            return Err(ApiError::new(172, "本月上传流量已用完"));
        }
        match self.account.tree().used().saturating_add(size) > space(&self.account) {
            true => Err(ApiError::no_space()),
            false => Ok(()),
        }
    }

    /// `get_res_center_token`.
    pub(super) async fn upload_token(&self) -> Result<Value, ApiError> {
        self.capacity()?;
        let name = self.args.required("name")?;
        check_name(name)?;
        let res = self.args.object("res")?;
        let size = res.size("fileSize")?;
        let claims = Claims::read(&res)?;
        let parent = {
            let tree = self.account.tree();
            let parent = self.folder(&tree, self.args.text("parentId")?)?;
            match taken(&tree, &parent, name) {
                Some((_, error)) => return Err(error),
                None => parent,
            }
        };
        self.check_limits(size)?;
        let hit = self.known_at_once(&claims, size).await;
        let id = self.upload_id();
        let key = format!("upload/2026/{}", self.sim.kit.ids.hex(32));
        let provider = match self.form(2, 2) {
            1 => json!("1"),
            _ => json!(1),
        };
        let mut upload = Upload {
            account: self.account.clone(),
            parent,
            name: name.to_owned(),
            size,
            claims,
            key: key.clone(),
            provider: provider.clone(),
            created: self.now(),
            stage: Stage::New,
        };
        if let Some(blob) = hit {
            upload.stage = self.flash(blob).await;
            self.sim.state().uploads.insert(id.clone(), upload);
            return Err(ApiError::instant(&id));
        }
        self.sim.state().uploads.insert(id.clone(), upload);
        let mut data = self.credentials(&key);
        let own = json!({
            "taskId": id, "gcid": "", "provider": provider, "objectPath": key,
            "callback": json!({
                "callbackUrl": "https://api.guangyapan.com/oss/callback",
                "callbackBody": "bucket=${bucket}&object=${object}&size=${size}&task=${x:task}",
            })
            .to_string(),
            "callbackVar": json!({ "x:task": id }).to_string(),
        });
        data.extend(own.as_object().cloned().unwrap_or_default());
        Ok(Value::Object(data))
    }

    /// The content that the token call finds. A small file is found by md5 only.
    async fn known_at_once(&self, claims: &Claims, size: u64) -> Option<Blob> {
        let small = size < SMALL;
        let md5 = small || self.knob("md5_large") != "off";
        let usable = Claims {
            md5: claims.md5.clone().filter(|_| md5),
            ..claims.clone()
        };
        let pair = !small && usable.gcid.is_some() && usable.cid.is_some();
        if usable.md5.is_none() && !pair {
            return None;
        }
        let found = self.sim.lookup(&usable, size, false).await;
        if found.is_none() {
            self.account.meters.rapid(false);
        }
        found
    }

    /// The stage of a task that needs no bytes.
    async fn flash(&self, blob: Blob) -> Stage {
        let gcid = blob.digest(HashKind::Gcid).await.to_uppercase();
        Stage::Importing(Import::start(&self.account, blob, gcid, true, self.now()))
    }

    /// Credentials for one object, and where it goes; in one of their forms.
    fn credentials(&self, key: &str) -> Map<String, Value> {
        let life = self.number("sts_life_s", 3600).saturating_mul(1000);
        let sts = self.sim.oss.issue(&self.account, BUCKET, Some(key), life);
        let host = self.sim.kit.base.trim_start_matches("http://");
        let mut data = Map::new();
        let mut put = |name: &str, value: Value| data.insert(name.to_owned(), value);
        put("region", json!("cn-hangzhou"));
        put("bucketName", json!(BUCKET));
        put(
            "endPoint",
            match self.form(3, 2) {
                1 => json!(format!("{BUCKET}.{host}")),
                _ => json!(host),
            },
        );
        if self.form(4, 3) != 2 {
            let full = format!("{}/oss/{BUCKET}", self.sim.kit.base);
            put("fullEndPoint", json!(full));
        }
        let creds = json!({
            "accessKeyID": sts.access_key_id, "secretAccessKey": sts.access_key_secret,
            "sessionToken": sts.security_token, "expiration": rfc3339(sts.expires),
        });
        match self.form(5, 4) {
            3 => data.extend(creds.as_object().cloned().unwrap_or_default()),
            _ => {
                put("creds", creds);
            }
        }
        data
    }

    /// `check_can_flash_upload`.
    pub(super) async fn flash_check(&self) -> Result<Value, ApiError> {
        let id = self.args.required("taskId")?;
        let sent = Claims::read(&self.args)?;
        let size = self.upload(id, |upload| match &upload.stage {
            Stage::New => Ok(Some(upload.size)),
            Stage::Importing(import) if import.is_flash() => Ok(None),
            _ => Err(ApiError::parameter("taskId")),
        })?;
        let Some(size) = size else {
            // Asked again: the first answer may have been lost.
            return Ok(json!({ "taskId": id, "canFlashUpload": true }));
        };
        if size < SMALL {
            return Err(ApiError::parameter("fileSize"));
        }
        let alone = self.knob("gcid_alone");
        let usable = Claims {
            md5: sent.md5.clone().filter(|_| self.knob("md5_large") != "off"),
            ..sent.clone()
        };
        match (&usable.md5, &usable.gcid, &usable.cid) {
            (Some(_), _, _) | (None, Some(_), Some(_)) => {}
            (None, Some(_), None) if matches!(alone.as_str(), "accept" | "false") => {}
            _ => return Err(ApiError::parameter("md5, gcid, cid")),
        }
        let found = self.sim.lookup(&usable, size, alone == "accept").await;
        let hit = match found {
            None => None,
            Some(blob) => Some(self.flash(blob).await),
        };
        let miss = hit.is_none();
        // The claims are kept: bytes that come must have these hashes.
        self.upload(id, |upload| {
            if !matches!(upload.stage, Stage::New) {
                return Err(ApiError::parameter("taskId"));
            }
            upload.claims = sent.or(std::mem::take(&mut upload.claims));
            if let Some(stage) = hit {
                upload.stage = stage;
            }
            Ok(())
        })?;
        if miss {
            self.account.meters.rapid(false);
            return Ok(json!({ "taskId": id, "canFlashUpload": false }));
        }
        let mut told = id.to_owned();
        if self.form(2, 2) == 1 {
            told = self.upload_id();
            let mut state = self.sim.state();
            if let Some(upload) = state.uploads.remove(id) {
                state.uploads.insert(told.clone(), upload);
            }
            state.removed.insert(id.to_owned());
        }
        Ok(json!({ "taskId": told, "canFlashUpload": true }))
    }

    /// `delete_upload_task`: those that are there go, with their parts. What became a file
    /// stays.
    pub(super) fn upload_delete(&self) -> Result<Value, ApiError> {
        let most = self.account.knobs.number("max_batch", 1000);
        let ids = self.args.ids("taskIds", most)?;
        let mut keys = Vec::new();
        {
            let mut state = self.sim.state();
            for id in ids {
                let own = state.uploads.get(&id);
                if own.is_none_or(|upload| upload.account.profile != self.account.profile) {
                    continue;
                }
                if let Some(upload) = state.uploads.remove(&id) {
                    keys.push(upload.key);
                }
                state.removed.insert(id);
            }
        }
        if keys.is_empty() {
            return Err(ApiError::no_upload());
        }
        for key in keys {
            self.sim.oss.forget(BUCKET, &key);
        }
        Ok(json!({}))
    }

    /// `get_res_center_resume_token`: new credentials for the same object.
    pub(super) fn resume_token(&self) -> Result<Value, ApiError> {
        self.capacity()?;
        let id = self.args.required("taskId")?;
        let size = self.args.object("res")?.size("fileSize")?;
        let object = self.args.object("object")?;
        let path = object.required("objectPath")?;
        let provider = object.get("provider");
        let key = self.upload(id, |upload| {
            if upload.size != size {
                return Err(ApiError::parameter("fileSize"));
            }
            // The provider comes back as it was told, a text as a text.
            if upload.key != path || provider != Some(&upload.provider) {
                return Err(ApiError::parameter("object"));
            }
            match upload.stage {
                Stage::New => Ok(upload.key.clone()),
                _ => Err(ApiError::instant(id)),
            }
        })?;
        let mut data = self.credentials(&key);
        if self.form(6, 2) == 1 {
            // Where it goes did not change, so it may be left out.
            for known in ["region", "bucketName", "endPoint", "fullEndPoint"] {
                data.remove(known);
            }
        }
        data.insert("taskId".to_owned(), json!(id));
        Ok(Value::Object(data))
    }
}
