//! pre, hash, auth, finish (sheet quark, 4.13 and sections 6 and 7).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::clock::rfc3339;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::faults::FaultKind;
use super::super::oss::multipart::Multipart;
use super::super::oss::sign::hmac_sha1;
use super::super::tree::Node;
use super::errors::ApiError;
use super::files::kind_of;
use super::gate::Ctx;
use super::prefix::Prefix;

/// The store's key (sheet quark, section 12: the simulator's).
pub(super) const ACCESS_KEY: (&str, &str) = ("STS.testAccessKey", "testOssSecret");

/// Where an upload stands.
pub(super) enum Stage {
    /// Parts may come.
    Open,
    /// The object is complete.
    Stored(Blob),
    /// Its bytes are not those that were declared, or it was given up.
    Refused,
    /// The file exists.
    Done,
}

/// An upload task.
pub(super) struct Upload {
    pub account: Arc<Account>,
    pub stage: Stage,
    pub bucket: String,
    pub key: String,
    pub upload_id: String,
    pub callback: Value,
    pub size: u64,
    /// Parts come in any order, each with the hash of those before it.
    pub parallel: bool,
    pub parts: Multipart,
    /// `X-Oss-Hash-Ctx` of the parts.
    pub contexts: BTreeMap<u32, String>,
    /// SHA-1 after parts 1 to so many.
    pub prefixes: BTreeMap<u32, Prefix>,
    /// md5 and sha1 of the latest `hash`.
    pub declared: Option<(String, String)>,
    fid: String,
    parent: String,
    name: String,
    mime: String,
    local_times: (i64, i64),
    auth_info: String,
    auth_until: i64,
}

impl Upload {
    /// Whether a client could go on with it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Stored(_))
    }

    pub(super) fn describe(&self, id: &str) -> Value {
        let parts = &self.parts.parts;
        let bytes: u64 = parts.values().map(|part| part.blob.size()).sum();
        json!({
            "id": id, "name": self.name, "kind": "task", "size": self.size, "fid": self.fid,
            "parts": parts.len(), "bytes": bytes,
        })
    }

    fn answer(&self, id: &Value) -> Value {
        json!({
            "task_id": id, "fid": self.fid, "finish": true, "pdir_fid": self.parent,
            "thumbnail": "", "format_type": self.mime, "size": self.size, "obj_key": self.key,
        })
    }
}

/// The text to sign as the signing service reads it: names of `x-oss-` headers in lower case,
/// sorted (sheet quark, 7.1: two clients write them otherwise and report success).
pub(super) fn normalised(auth_meta: &str) -> String {
    let mut lines: Vec<String> = auth_meta.split('\n').map(str::to_owned).collect();
    let end = lines.len().saturating_sub(1);
    if let Some(own) = lines.get_mut(4..end) {
        for line in own.iter_mut() {
            if let Some((name, value)) = line.split_once(':') {
                *line = format!("{}:{value}", name.to_ascii_lowercase());
            }
        }
        own.sort_by(|a, b| {
            let name = |line: &str| line.split(':').next().unwrap_or("").to_owned();
            name(a).cmp(&name(b))
        });
    }
    lines.join("\n")
}

/// `auth_key` for a text to sign.
pub(super) fn auth_key(auth_meta: &str) -> String {
    let signature = hmac_sha1(ACCESS_KEY.1, &normalised(auth_meta));
    format!("OSS {}:{signature}", ACCESS_KEY.0)
}

fn is_lower_hex(text: &str, digits: usize) -> bool {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == digits && text.bytes().all(lower)
}

impl Ctx<'_> {
    fn part_size(&self, size: u64) -> u64 {
        let mut part = self.account.knobs.number("part_size", 4 << 20).max(1);
        while size.div_ceil(part) > 1000 {
            part = part.saturating_mul(2);
        }
        part
    }

    /// `POST file/upload/pre`.
    pub(super) fn pre(&self) -> Result<(Value, Value), ApiError> {
        let parent = self.target("pdir_fid")?;
        let name = self.args.text("file_name");
        self.check_name(name)?;
        let size = self.args.number("size").and_then(|n| u64::try_from(n).ok());
        let size = size.ok_or_else(|| ApiError::parameter("size"))?;
        let zero = self.knob("zero_byte");
        if size == 0 && zero == "refuse" {
            return Err(ApiError::parameter("size"));
        }
        if size > self.free_space() {
            return Err(ApiError::capacity());
        }
        let mime = match self.args.text("format_type") {
            "" => kind_of(name).0.to_owned(),
            mime => mime.to_owned(),
        };
        let ids = &self.sim.kit.ids;
        let now = self.now();
        let life = self
            .number("auth_info_seconds", 43_200)
            .saturating_mul(1000);
        let id = self.new_record();
        let sim = self.sim;
        let callback = json!({
            "callbackUrl": format!("http://example.invalid/{}/cb", sim.kit.provider),
            "callbackBody": "{\"host\":${x:host},\"size\":${size},\"etag\":${etag}}",
        });
        let upload = Upload {
            account: self.account.clone(),
            stage: Stage::Open,
            bucket: sim.brand.bucket.to_owned(),
            key: format!("v3/{}/{}", ids.hex(8), ids.hex(12)),
            upload_id: ids.hex(32).to_uppercase(),
            callback,
            size,
            parallel: self.args.flag("parallel_upload") && !sim.brand.sequential,
            parts: Multipart::new(false),
            contexts: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            declared: None,
            fid: ids.hex(32),
            parent,
            name: name.to_owned(),
            mime,
            local_times: (
                self.args.number("l_created_at").unwrap_or(now),
                self.args.number("l_updated_at").unwrap_or(now),
            ),
            auth_info: format!("eyJ0Ijoi{}+/{}==", ids.hex(40), ids.hex(40)),
            auth_until: now.saturating_add(life),
        };
        let metadata = json!({
            "part_thread": self.number("part_thread", 3), "acc2": "1", "acc1": "1",
            "part_size": self.part_size(size),
        });
        if size == 0 && zero == "at_once" {
            let answer = upload.answer(&self.id_value(&id));
            let mut upload = upload;
            self.publish(&upload, Blob::bytes(""))?;
            upload.stage = Stage::Done;
            sim.state().uploads.insert(id, upload);
            return Ok((answer, metadata));
        }
        let data = json!({
            "task_id": self.id_value(&id), "finish": false, "upload_id": upload.upload_id,
            "obj_key": upload.key, "upload_url": format!("{}/oss", sim.kit.base),
            "fid": upload.fid, "bucket": upload.bucket, "callback": upload.callback,
            "format_type": upload.mime, "size": size, "auth_info": upload.auth_info,
            "auth_info_expried": rfc3339(upload.auth_until),
        });
        sim.state().uploads.insert(id, upload);
        Ok((data, metadata))
    }

    /// Runs `work` on the account's upload task that the body names.
    fn with_upload<T>(
        &self,
        work: impl FnOnce(&mut Upload) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let id = self.args.id("task_id")?;
        let mut state = self.sim.state();
        let upload = state.uploads.get_mut(&id);
        let own = upload.filter(|upload| upload.account.profile == self.account.profile);
        work(own.ok_or_else(|| ApiError::parameter("task_id"))?)
    }

    /// Makes the file of an upload, under a free name.
    fn publish(&self, upload: &Upload, blob: Blob) -> Result<(), ApiError> {
        let now = self.now();
        self.sim.kit.inventory.add(&blob);
        {
            let mut tree = self.account.tree();
            if tree.live_dir(&upload.parent).is_none() {
                return Err(ApiError::no_target());
            }
            let name = tree.free_name(&upload.parent, &upload.name);
            let mut node = Node::file(&upload.fid, &upload.parent, &name, blob, now);
            let (created, updated) = upload.local_times;
            node.extra = BTreeMap::from([
                ("l_created_at".to_owned(), json!(created)),
                ("l_updated_at".to_owned(), json!(updated)),
                ("format_type".to_owned(), json!(upload.mime)),
            ]);
            tree.insert(node);
        }
        self.sim.note(&self.account, &upload.fid, None);
        Ok(())
    }

    /// A content the provider has with this size and both hashes.
    async fn known(&self, size: u64, md5: &str, sha1: &str) -> Option<Blob> {
        for blob in self.sim.kit.inventory.of_size(size) {
            if blob.digest(HashKind::Md5).await == md5 && blob.digest(HashKind::Sha1).await == sha1
            {
                return Some(blob);
            }
        }
        None
    }

    /// `POST file/update/hash`: a hit ends the upload. May come before the parts, which makes
    /// it a fast upload, or after them.
    pub(super) async fn hash(&self) -> Result<Value, ApiError> {
        let (md5, sha1) = (self.args.text("md5"), self.args.text("sha1"));
        if !is_lower_hex(md5, 32) || !is_lower_hex(sha1, 40) {
            return Err(ApiError::parameter("md5, sha1"));
        }
        let (size, fid, mime, first, done) = self.with_upload(|upload| {
            if matches!(upload.stage, Stage::Refused) {
                return Err(ApiError::hash_conflict());
            }
            upload.declared = Some((md5.to_owned(), sha1.to_owned()));
            Ok((
                upload.size,
                upload.fid.clone(),
                upload.mime.clone(),
                upload.parts.parts.is_empty(),
                matches!(upload.stage, Stage::Done),
            ))
        })?;
        let answer = |finish: bool| json!({ "finish": finish, "fid": fid, "thumbnail": "", "format_type": mime });
        if done {
            return Ok(answer(true));
        }
        let known = self.known(size, md5, sha1).await;
        if first {
            self.account.meters.rapid(known.is_some());
        }
        match known {
            None => Ok(answer(false)),
            Some(blob) => {
                self.with_upload(|upload| {
                    if !matches!(upload.stage, Stage::Done) {
                        self.publish(upload, blob)?;
                        upload.stage = Stage::Done;
                    }
                    Ok(())
                })?;
                Ok(answer(true))
            }
        }
    }

    /// `POST file/upload/auth`: signs one request to the store.
    pub(super) fn auth(&self) -> Result<Value, ApiError> {
        let now = self.now();
        let auth_info = self.args.text("auth_info");
        let meta = self.args.text("auth_meta");
        self.with_upload(|upload| {
            if auth_info != upload.auth_info || now >= upload.auth_until {
                return Err(ApiError::parameter("auth_info"));
            }
            let object = format!("/{}/{}?", upload.bucket, upload.key);
            let last = meta.rsplit('\n').next().unwrap_or("");
            // A signature for somebody else's object would be a hole.
            if !last.starts_with(&object) || !last.ends_with(&upload.upload_id) {
                return Err(ApiError::parameter("auth_meta"));
            }
            Ok(())
        })?;
        Ok(json!({ "auth_key": auth_key(meta), "speed": 0, "headers": [] }))
    }

    /// `POST file/upload/finish`: of a file that exists already, again the same answer.
    pub(super) fn finish(&self) -> Result<Value, ApiError> {
        let id = self.id_value(&self.args.id("task_id")?);
        let key = self.args.text("obj_key");
        let failed = self.struck(FaultKind::CommitFail);
        self.with_upload(|upload| {
            let blob = match &upload.stage {
                Stage::Done => return Ok(upload.answer(&id)),
                _ if key != upload.key => return Err(ApiError::parameter("obj_key")),
                Stage::Open => return Err(ApiError::parameter("upload is not complete")),
                Stage::Refused => return Err(ApiError::hash_conflict()),
                Stage::Stored(blob) => blob.clone(),
            };
            if failed {
                upload.stage = Stage::Refused;
                return Err(ApiError::hash_conflict());
            }
            self.publish(upload, blob)?;
            upload.stage = Stage::Done;
            Ok(upload.answer(&id))
        })
    }
}
