//! Create, fast upload, parts, complete (aliyundrive_open.md sections 6 and 7).

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::account::{Account, dropped};
use super::super::body::{ReceiveError, receive, set};
use super::super::clock::{parse_rfc3339, rfc3339};
use super::super::content::Blob;
use super::super::digest::{HashKind, md5_hex};
use super::super::faults::FaultKind;
use super::super::oss::multipart::{MAX_PART, MAX_PART_NUMBER, Multipart, etag_of};
use super::super::oss::{OssError, sign};
use super::super::tree::Node;
use super::errors::ApiError;
use super::files::{check_name, item, mode, with_local_times};
use super::{Aliyun, Ctx, root_id, text};

/// Unfinished uploads are forgotten after ten days.
const KEPT_MS: i64 = 10 * 86_400_000;
/// Life of an upload URL.
const URL_S: i64 = 3600;

/// An open upload.
pub(super) struct Upload {
    pub profile: String,
    pub file_id: String,
    pub name: String,
    pub multipart: Multipart,
    /// Size as declared by `create`.
    size: Option<u64>,
    /// The highest part number that URLs were asked for.
    declared: u32,
    created: i64,
}

/// Proof code v1 (section 6.1): eight bytes whose place the access token decides.
pub(super) fn proof_code(token: &str, blob: &Blob) -> String {
    if blob.size() == 0 {
        return String::new();
    }
    let digest = md5_hex(token.as_bytes());
    let number = digest
        .get(..16)
        .and_then(|text| u64::from_str_radix(text, 16).ok());
    STANDARD.encode(blob.read(number.unwrap_or(0) % blob.size(), 8))
}

/// Part numbers of a `part_info_list`.
fn part_numbers(body: &Value) -> Result<Vec<u32>, ApiError> {
    let bad = || ApiError::parameter("PartInfoList");
    let list = match body.get("part_info_list") {
        None | Some(Value::Null) => return Ok(vec![1]),
        Some(list) => list.as_array().ok_or_else(bad)?,
    };
    let number = |entry: &Value| {
        let number = entry.get("part_number").and_then(Value::as_u64);
        let number = number.and_then(|n| u32::try_from(n).ok());
        number
            .filter(|n| (1..=MAX_PART_NUMBER).contains(n))
            .ok_or_else(bad)
    };
    list.iter().map(number).collect()
}

impl Ctx<'_> {
    fn part_urls(&self, file: &str, upload: &str, numbers: &[u32]) -> Value {
        let expires = self.sim.kit.clock.now_s() + URL_S;
        let one = |number: &u32| {
            let text = number.to_string();
            let query = [("partNumber", text.as_str()), ("uploadId", upload)];
            let url = self
                .sim
                .presigned("PUT", &self.account, file, &query, expires);
            json!({ "part_number": number, "upload_url": url, "part_size": 0, "content_type": "" })
        };
        numbers.iter().map(one).collect()
    }

    pub(super) async fn create(&self) -> Result<Value, ApiError> {
        let drive = self.drive(&self.body)?;
        let parent = self.dir(&self.body, "parent_file_id")?;
        let mut name = self.text("name").trim_end_matches('/').to_owned();
        check_name(&name)?;
        let kind = self.text("type");
        if !["file", "folder"].contains(&kind) {
            return Err(ApiError::parameter("Type"));
        }
        let shown = self.text("parent_file_id").to_owned();
        let mode = mode(&self.body, "ignore")?;
        {
            let tree = self.account.tree();
            let taken = tree
                .find(&parent.id, &name)
                .first()
                .map(|node| node.id.clone());
            match (taken, mode) {
                (Some(id), "refuse") => {
                    return Ok(json!({
                        "drive_id": drive, "file_id": id, "parent_file_id": shown,
                        "file_name": name, "type": kind, "exist": true,
                        "domain_id": "bj29", "encrypt_mode": "none",
                    }));
                }
                (Some(_), "auto_rename") => name = tree.free_name(&parent.id, &name),
                _ => {}
            }
        }
        let id = self.sim.kit.ids.hex(40);
        let now = self.now();
        if kind == "folder" {
            self.account
                .tree()
                .insert(Node::dir(&id, &parent.id, &name, now));
            return Ok(json!({
                "drive_id": drive, "file_id": id, "parent_file_id": shown, "file_name": name,
                "type": "folder", "exist": false, "domain_id": "bj29", "encrypt_mode": "none",
            }));
        }
        let numbers = part_numbers(&self.body)?;
        if numbers.is_empty()
            || numbers
                .iter()
                .zip(1..)
                .any(|(number, wanted)| *number != wanted)
        {
            return Err(ApiError::parameter("PartInfoList"));
        }
        let size = self.declared_size()?;
        let hit = self.known(size, &name).await?;
        let mut node = Node::file(&id, &parent.id, &name, Blob::bytes(""), now);
        for key in ["local_created_at", "local_modified_at"] {
            match self.text(key) {
                "" => {}
                time if parse_rfc3339(time).is_some() => {
                    node.extra.insert(key.to_owned(), json!(time));
                }
                _ => return Err(ApiError::parameter(key)),
            }
        }
        let upload_id = self.sim.kit.ids.hex(32).to_uppercase();
        let mut answer = json!({
            "drive_id": drive, "parent_file_id": shown, "file_id": id, "file_name": name,
            "type": "file", "upload_id": upload_id, "exist": false, "revision_id": id,
            "domain_id": "bj29", "encrypt_mode": "none", "location": "cn-beijing",
        });
        if let Some(blob) = hit {
            node.blob = Some(blob);
            self.account.tree().insert(node);
            self.sim.state().hits.insert(upload_id, id);
            answer["rapid_upload"] = json!(true);
            answer["available"] = json!(true);
            answer["status"] = json!("available");
            return Ok(answer);
        }
        node.pending = true;
        self.account.tree().insert(node);
        let upload = Upload {
            profile: self.account.profile.clone(),
            file_id: id.clone(),
            name,
            multipart: Multipart::new(true),
            size,
            declared: numbers.last().copied().unwrap_or(1),
            created: now,
        };
        self.sim.state().uploads.insert(upload_id.clone(), upload);
        answer["rapid_upload"] = json!(false);
        answer["available"] = json!(false);
        answer["status"] = json!("");
        answer["part_info_list"] = self.part_urls(&id, &upload_id, &numbers);
        Ok(answer)
    }

    fn declared_size(&self) -> Result<Option<u64>, ApiError> {
        let size = match self.body.get("size") {
            None | Some(Value::Null) => return Ok(None),
            Some(size) => size.as_u64().ok_or_else(|| ApiError::parameter("Size"))?,
        };
        if size > self.account.knobs.number("max_file_size", 100_000_000_000) {
            return Err(ApiError::new(
                400,
                "InvalidParameter.Size",
                "file size is exceed",
            ));
        }
        let total = self.account.knobs.number("total_size", 8 << 40);
        if self.account.tree().used().saturating_add(size) > total {
            let text = "The drive has no space left.";
            return Err(ApiError::new(403, "QuotaExhausted.Drive", text));
        }
        Ok(Some(size))
    }

    /// The content a fast upload names, when the provider has it and the proof is right.
    async fn known(&self, size: Option<u64>, name: &str) -> Result<Option<Blob>, ApiError> {
        let inventory = &self.sim.kit.inventory;
        let (pre_hash, hash) = (self.text("pre_hash"), self.text("content_hash"));
        if hash.is_empty() {
            if pre_hash.is_empty() {
                return Ok(None);
            }
            let size = size.ok_or_else(|| ApiError::parameter("Size"))?;
            if inventory
                .find(HashKind::HeadSha1(1024), pre_hash, size)
                .await
                .is_some()
            {
                let error = ApiError::new(409, "PreHashMatched", "Pre hash matched.");
                return Err(error.with("pre_hash", pre_hash).with("file_name", name));
            }
            self.account.meters.rapid(false);
            return Ok(None);
        }
        if !self.text("content_hash_name").eq_ignore_ascii_case("sha1") {
            return Err(ApiError::parameter("ContentHashName"));
        }
        if hash.len() != 40 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ApiError::parameter("ContentHash"));
        }
        let size = size.ok_or_else(|| ApiError::parameter("Size"))?;
        if self.text("proof_version") != "v1" {
            return Ok(None);
        }
        let found = inventory.find(HashKind::Sha1, hash, size).await;
        if let Some(blob) = &found
            && proof_code(&self.token, blob) != self.text("proof_code")
        {
            let text = "The input parameter proof_code is not valid.";
            return Err(ApiError::new(400, "InvalidRapidProof", text));
        }
        self.account.meters.rapid(found.is_some());
        Ok(found)
    }

    /// Runs `work` on the open upload that the body names.
    fn upload<T>(
        &self,
        work: impl FnOnce(&str, &mut Upload) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.drive(&self.body)?;
        let (id, file) = (self.text("upload_id"), self.text("file_id"));
        let now = self.now();
        let mut state = self.sim.state();
        if state.hits.get(id).is_some_and(|known| known == file) {
            let text = "The upload is complete already.";
            return Err(ApiError::new(409, "AlreadyExist.File", text));
        }
        let own = state.uploads.get_mut(id).filter(|upload| {
            upload.profile == self.account.profile
                && upload.file_id == file
                && now - upload.created < KEPT_MS
        });
        work(id, own.ok_or_else(ApiError::no_upload)?)
    }

    pub(super) fn upload_url(&self) -> Result<Value, ApiError> {
        let numbers = part_numbers(&self.body)?;
        let (id, created) = self.upload(|id, upload| {
            let last = numbers.iter().copied().max().unwrap_or(0);
            upload.declared = upload.declared.max(last);
            Ok((id.to_owned(), upload.created))
        })?;
        let file = self.text("file_id");
        Ok(json!({
            "drive_id": self.text("drive_id"), "file_id": file, "upload_id": id,
            "created_at": rfc3339(created), "part_info_list": self.part_urls(file, &id, &numbers),
        }))
    }

    pub(super) fn list_parts(&self) -> Result<Value, ApiError> {
        let after: u32 = self.text("part_number_marker").parse().unwrap_or(0);
        self.upload(|id, upload| {
            let all = upload.multipart.parts.range(after.saturating_add(1)..);
            let page: Vec<_> = all.take(1000).collect();
            let last = page.last().map_or(0, |(number, _)| **number);
            let more = upload
                .multipart
                .parts
                .range(last.saturating_add(1)..)
                .next()
                .is_some();
            let next = if more && last > 0 {
                last.to_string()
            } else {
                String::new()
            };
            let parts: Vec<Value> = page
                .iter()
                .map(|(number, part)| {
                    let etag = format!("\"{}\"", part.etag);
                    json!({ "part_number": number, "part_size": part.blob.size(), "etag": etag })
                })
                .collect();
            Ok(json!({
                "drive_id": self.text("drive_id"), "file_id": upload.file_id, "upload_id": id,
                "parallelUpload": false, "uploaded_parts": parts,
                "next_part_number_marker": next,
            }))
        })
    }

    pub(super) async fn complete(&self) -> Result<Value, ApiError> {
        let (id, file) = (
            self.text("upload_id").to_owned(),
            self.text("file_id").to_owned(),
        );
        let hit = self
            .sim
            .state()
            .hits
            .get(&id)
            .is_some_and(|known| *known == file);
        if hit {
            return self.get();
        }
        let blob = self.upload(|_, upload| {
            let parts = &upload.multipart.parts;
            if (1..=upload.declared).any(|number| !parts.contains_key(&number)) {
                return Err(ApiError::parameter("PartInfoList"));
            }
            let joined = upload.multipart.join(None);
            let blob = joined.map_err(|error| {
                ApiError::new(400, error.code(), "The uploaded parts do not make a file.")
            })?;
            if upload.size.is_some_and(|size| size != blob.size()) {
                return Err(ApiError::parameter("Size"));
            }
            Ok(blob)
        })?;
        if self
            .account
            .faults
            .take(self.op, FaultKind::CommitFail)
            .is_some()
        {
            let text = "The request has been failed due to some unknown error.";
            return Err(ApiError::new(500, "InternalError", text));
        }
        // The server's own hash, before anybody sees the file.
        blob.digest(HashKind::Sha1).await;
        if self.sim.state().uploads.remove(&id).is_none() {
            return Err(ApiError::no_upload());
        }
        self.sim.kit.inventory.add(&blob);
        let now = self.now();
        let drive = self.drive(&self.body)?;
        let mut tree = self.account.tree();
        if tree.root_of(&file) != Some(root_id(drive).as_str()) {
            return Err(ApiError::no_file());
        }
        tree.update(&file, |node| {
            node.blob = Some(blob);
            node.pending = false;
            node.modified = now;
        });
        let node = tree.get(&file).ok_or_else(ApiError::no_file)?;
        let mut answer = with_local_times(item(drive, node), node);
        answer["upload_id"] = json!(text(&self.body, "upload_id"));
        Ok(answer)
    }
}

impl Aliyun {
    /// PUT of a part on its pre-signed URL.
    pub(super) async fn part(
        &self,
        account: &Arc<Account>,
        file: &str,
        query: &[(String, String)],
        body: Body,
    ) -> Response {
        let blob = match receive(account, "upload_part", body, MAX_PART).await {
            Ok(blob) => blob,
            Err(ReceiveError::Broken) => return dropped(),
            Err(ReceiveError::TooLong) => {
                return OssError::new(400, "EntityTooLarge", "The part is too large.")
                    .into_response();
            }
        };
        let number = sign::value(query, "partNumber").and_then(|text| text.parse().ok());
        let id = sign::value(query, "uploadId").unwrap_or("");
        let etag = etag_of(&blob).await;
        let crc = blob.crc64_decimal().await;
        let stored = {
            let now = self.kit.clock.now_ms();
            let mut state = self.state();
            match state
                .uploads
                .get_mut(id)
                .filter(|upload| upload.file_id == file)
            {
                Some(upload) => upload
                    .multipart
                    .put(number.unwrap_or(0), blob, etag.clone(), now),
                None => {
                    let text = "The specified upload does not exist.";
                    Err(OssError::new(404, "NoSuchUpload", text))
                }
            }
        };
        if let Err(error) = stored {
            return error.into_response();
        }
        let mut response = Response::new(Body::empty());
        set(&mut response, "etag", &format!("\"{etag}\""));
        set(&mut response, "x-oss-hash-crc64ecma", &crc);
        response
    }
}
