//! Uploads: in one call, and in three steps (section 7).

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::super::account::{Account, dropped};
use super::super::content::Blob;
use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::adler::fits;
use super::auth::Who;
use super::change::check_name;
use super::entries::url;
use super::errors::{ApiError, ok};
use super::form::{Form, FormError, receive};
use super::gate::{Ctx, number};
use super::versions::What;

/// Most bytes of a single call, 20 MiB.
const SINGLE: u64 = 20_971_520;
/// Bytes of a block, 4 MiB.
const BLOCK: u64 = 4_194_304;
/// Life of an upload id, 24 hours.
const LIFE_MS: u64 = 86_400_000;

/// Where an upload goes.
#[derive(Clone)]
struct Target {
    parent: String,
    name: String,
    /// The file that gets a new version.
    over: Option<String>,
}

/// An upload in three steps.
pub(super) struct Upload {
    profile: String,
    who: Who,
    target: Target,
    size: u64,
    block: u64,
    blocks: BTreeMap<u64, Blob>,
    expires: i64,
}

impl Upload {
    fn count(&self) -> u64 {
        self.size.div_ceil(self.block)
    }

    /// Size of a block.
    fn expected(&self, seq: u64) -> u64 {
        let start = seq.saturating_mul(self.block);
        self.size.saturating_sub(start).min(self.block)
    }

    /// For tests that look for leftovers.
    pub(super) fn describe(&self, id: &str, account: &Account) -> Option<Value> {
        let own = self.profile == account.profile;
        own.then(|| json!({ "id": id, "name": self.target.name, "parts": self.blocks.len() }))
    }
}

/// A field of a form.
fn field<'f>(form: &'f Form, name: &str) -> Result<&'f str, ApiError> {
    let value = form.fields.get(name).map(String::as_str);
    value
        .filter(|text| !text.is_empty())
        .ok_or_else(|| ApiError::field(name))
}

/// A field of a form that is a number, decimal.
fn numeric(form: &Form, name: &str) -> Result<u64, ApiError> {
    let text = field(form, name)?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| ApiError::parameter(name))
}

/// The file of a form: as many bytes as announced, with the checksum, when there is one.
async fn checked(form: &Form, size: u64) -> Result<Blob, ApiError> {
    let file = form.file.clone().ok_or_else(|| ApiError::field("file"))?;
    if file.size() != size {
        return Err(ApiError::new(1_062_009));
    }
    if let Some(sum) = form.fields.get("checksum").cloned() {
        let blob = file.clone();
        let right = tokio::task::spawn_blocking(move || fits(&blob, &sum)).await;
        if !right.unwrap_or(false) {
            return Err(ApiError::new(1_062_008));
        }
    }
    Ok(file)
}

/// Blocks of an upload: size of each but the last, and how many.
pub(super) fn plan(size: u64, block: u64) -> (u64, u64) {
    let block = block.max(1);
    (block, size.div_ceil(block))
}

impl Ctx<'_> {
    async fn form(&self, headers: &HeaderMap, body: Body, most: u64) -> Result<Form, FormError> {
        receive(&self.account, self.op, headers, body, most).await
    }

    /// Checks everything but the bytes.
    fn target(
        &self,
        name: &str,
        parent_type: &str,
        parent: &str,
        over: Option<&str>,
    ) -> Result<Target, ApiError> {
        if parent_type != "explorer" {
            return Err(ApiError::parameter("parent_type"));
        }
        check_name(name, "file")?;
        let parent = match over {
            None => self.parent(parent)?,
            Some(token) => {
                self.typed(token, "file")?;
                self.place(parent)?
            }
        };
        Ok(Target {
            parent: parent.id,
            name: name.to_owned(),
            over: over.map(str::to_owned),
        })
    }

    /// Whether so many bytes may come, in place of those of `over`.
    ///
    /// # Errors
    /// 1061043: too large for the plan; 1061061: the user's space; 1061101: the tenant's.
    pub(super) fn room(&self, size: u64, over: Option<&str>) -> Result<(), ApiError> {
        let knobs = &self.account.knobs;
        if size > knobs.number("max_file_size", u64::MAX) {
            return Err(ApiError::new(1_061_043));
        }
        let used = {
            let tree = self.account.tree();
            let old = over.and_then(|token| tree.get(token));
            tree.used().saturating_sub(old.map_or(0, Node::size))
        };
        let after = used.saturating_add(size);
        if after > knobs.number("total_size", 8 << 40) {
            return Err(ApiError::new(1_061_061));
        }
        if after > knobs.number("tenant_size", u64::MAX) {
            return Err(ApiError::new(1_061_101));
        }
        Ok(())
    }

    /// The fault `commit_fail`.
    fn commit_fault(&self) -> Result<(), ApiError> {
        match self.account.faults.take(self.op, FaultKind::CommitFail) {
            Some(arg) => Err(ApiError::new(arg.trim().parse().unwrap_or(1_061_001))),
            None => Ok(()),
        }
    }

    /// Makes the file, or a new version of one. Answers its token and, of an overwritten one,
    /// the version.
    fn store(
        &self,
        target: &Target,
        blob: Blob,
        stored: Option<Blob>,
    ) -> Result<(String, Option<String>), ApiError> {
        let now = self.now();
        let Some(token) = &target.over else {
            let token = self.sim.token("file");
            let mut node = Node::file(&token, &target.parent, &target.name, blob, now);
            node.stored = stored;
            self.owned(&mut node);
            self.account.tree().insert(node);
            return Ok((token, None));
        };
        let old = self.typed(token, "file")?;
        let bytes = stored.clone().unwrap_or_else(|| blob.clone());
        let name = Some(target.name.as_str());
        let version = self
            .sim
            .remember_blob(&old, now, What::Uploaded, name, bytes);
        let mut tree = self.account.tree();
        if old.name != target.name {
            tree.relocate(token, &old.parent, &target.name);
        }
        tree.update(token, |node| {
            node.blob = Some(blob);
            node.stored = stored;
            node.modified = now;
        });
        Ok((token.clone(), Some(version)))
    }

    /// `upload_all`.
    pub(super) async fn upload_all(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, ApiError> {
        let form = match self.form(headers, body, SINGLE).await {
            Ok(form) => form,
            Err(FormError::Broken) => return Ok(dropped()),
            Err(FormError::TooLong) => return Err(ApiError::new(1_061_043)),
            Err(FormError::Malformed) => return Err(ApiError::field("form")),
        };
        let over = form.fields.get("file_token").map(String::as_str);
        let over = over.filter(|token| !token.is_empty());
        let size = numeric(&form, "size")?;
        match size {
            0 => return Err(ApiError::parameter("size")),
            size if size > SINGLE => return Err(ApiError::new(1_061_043)),
            _ => {}
        }
        let target = self.target(
            field(&form, "file_name")?,
            field(&form, "parent_type")?,
            field(&form, "parent_node")?,
            over,
        )?;
        let blob = checked(&form, size).await?;
        self.room(size, over)?;
        self.commit_fault()?;
        let bad = self.struck(FaultKind::Corrupt).then(|| blob.corrupted());
        let (token, version) = self.store(&target, blob, bad)?;
        let mut answer = Map::from_iter([("file_token".to_owned(), json!(token))]);
        if let Some(version) = version {
            match self.account.knobs.text("version_field").as_deref() {
                Some("absent") => {}
                Some("data_version") => {
                    answer.insert("data_version".to_owned(), json!(version));
                }
                _ => {
                    answer.insert("version".to_owned(), json!(version));
                }
            }
        }
        Ok(ok(Value::Object(answer)))
    }

    /// `upload_prepare`.
    pub(super) fn upload_prepare(&self) -> Result<Value, ApiError> {
        let over = Some(self.args.text("file_token")?).filter(|token| !token.is_empty());
        let size = self.args.number("size")?;
        let target = self.target(
            self.args.required("file_name")?,
            self.args.required("parent_type")?,
            self.args.required("parent_node")?,
            over,
        )?;
        self.room(size, over)?;
        let (block, count) = plan(size, self.account.knobs.number("part_size", BLOCK));
        let life = number(&self.account, "upload_ms", LIFE_MS);
        let upload = Upload {
            profile: self.account.profile.clone(),
            who: self.who,
            target,
            size,
            block,
            blocks: BTreeMap::new(),
            expires: self.now().saturating_add(life),
        };
        let id = self.sim.kit.ids.decimal(19);
        self.sim.state().uploads.insert(id.clone(), upload);
        Ok(json!({ "upload_id": id, "block_size": block, "block_num": count }))
    }

    /// Does something with an open upload.
    ///
    /// # Errors
    /// 1061021: there is none of this id any more; 1062007: it is somebody else's.
    fn with_upload<T>(
        &self,
        id: &str,
        work: impl FnOnce(&mut Upload) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let late = self.struck(FaultKind::ExpireLink);
        let now = self.now();
        let mut state = self.sim.state();
        let upload = state.uploads.get_mut(id);
        let upload = upload.ok_or_else(|| ApiError::new(1_061_021))?;
        if upload.profile != self.account.profile || upload.who != self.who {
            return Err(ApiError::new(1_062_007));
        }
        if late || now >= upload.expires {
            state.uploads.remove(id);
            return Err(ApiError::new(1_061_021));
        }
        work(upload)
    }

    /// `upload_part`: of any block, also again.
    pub(super) async fn upload_part(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, ApiError> {
        let most = self.account.knobs.number("part_size", BLOCK).max(BLOCK);
        let form = match self.form(headers, body, most).await {
            Ok(form) => form,
            Err(FormError::Broken) => return Ok(dropped()),
            Err(FormError::TooLong) => return Err(ApiError::parameter("size")),
            Err(FormError::Malformed) => return Err(ApiError::field("form")),
        };
        let id = field(&form, "upload_id")?;
        let (seq, size) = (numeric(&form, "seq")?, numeric(&form, "size")?);
        self.with_upload(id, |upload| match upload {
            upload if seq >= upload.count() => Err(ApiError::new(1_062_011)),
            upload if size != upload.expected(seq) => Err(ApiError::parameter("size")),
            _ => Ok(()),
        })?;
        let blob = checked(&form, size).await?;
        let kept = match self.struck(FaultKind::Corrupt) {
            true => blob.corrupted(),
            false => blob,
        };
        // It may have ended while the bytes were looked at.
        let mut state = self.sim.state();
        let upload = state.uploads.get_mut(id);
        let upload = upload.ok_or_else(|| ApiError::new(1_061_021))?;
        upload.blocks.insert(seq, kept);
        drop(state);
        Ok(ok(json!({})))
    }

    /// `upload_finish`. The id is used up with it.
    pub(super) fn upload_finish(&self) -> Result<Value, ApiError> {
        let id = self.args.required("upload_id")?;
        let told = self.args.number("block_num")?;
        let (target, blob) = self.with_upload(id, |upload| {
            let count = upload.count();
            if told != count {
                return Err(ApiError::new(1_062_011));
            }
            if count == 0 {
                // The sheet calls an empty file unknown; no entry comes of it here.
                return Err(ApiError::parameter("size"));
            }
            if upload.blocks.len() as u64 != count {
                return Err(ApiError::new(1_062_010));
            }
            Ok((upload.target.clone(), Blob::join(upload.blocks.values())))
        })?;
        let over = target.over.as_deref();
        let checked = self.target(&target.name, "explorer", &target.parent, over)?;
        self.room(blob.size(), over)?;
        self.commit_fault()?;
        let (token, version) = self.store(&checked, blob, None)?;
        self.sim.state().uploads.remove(id);
        let mut answer = json!({ "file_token": token });
        if self.account.knobs.flag("finish_fields") {
            // Newer models of the answer list these.
            answer["version"] = json!(version.unwrap_or_default());
            let node = self.account.tree().get(&token).cloned();
            answer["url"] = json!(node.map(|node| url(&self.account, &node)));
        }
        Ok(answer)
    }
}
