//! The upload by parts: opening with hashes or without, the question whether the content is
//! known, and the commit (189cloud.md sections 4.9, 6.1 to 6.3 and 7).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::faults::FaultKind;
use super::super::oss::sign::parse_query;
use super::super::tree::{Node, Tree};
use super::Cloud189;
use super::answer::ApiError;
use super::auth::Scope;
use super::change::has_emoji;
use super::entries::{Place, china_ampm, id_value, max_file, space, time_text, used};
use super::gate::Ctx;

/// Slices are a multiple of this.
const UNIT: u64 = 10 << 20;
const DAY_MS: i64 = 86_400_000;

/// How long the slices of a file are (section 6.1).
pub(super) fn slice_size(size: u64) -> u64 {
    match size {
        size if size <= 999 * UNIT => UNIT,
        size if size <= 1998 * UNIT => 2 * UNIT,
        size => size.div_ceil(1999 * UNIT).max(5) * UNIT,
    }
}

/// How far an upload is.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Open,
    /// A commit is under way.
    Committing,
    /// A file: what the commit answered.
    Done(Value),
    /// Its content was not what was declared.
    Failed,
}

/// The MD5 of the whole and that of the slices, lower case.
type Hashes = (String, String);

/// An upload by parts.
pub(super) struct Upload {
    /// Account.
    pub profile: String,
    scope: Scope,
    parent: String,
    name: String,
    size: u64,
    /// Bytes per slice as declared.
    pub slice: u64,
    /// Without hashes at its opening: they are due at the commit.
    lazy: bool,
    declared: Option<Hashes>,
    hit: Option<Blob>,
    /// Received parts by number from 1.
    pub parts: BTreeMap<u64, Blob>,
    stage: Stage,
    expires: i64,
}

impl Upload {
    /// Number of parts; an empty file has one.
    pub(super) fn count(&self) -> u64 {
        self.size.div_ceil(self.slice.max(1)).max(1)
    }

    /// Whether it takes parts.
    pub(super) fn takes_parts(&self, now: i64) -> bool {
        self.stage == Stage::Open && now < self.expires
    }

    /// Whether it is a leftover of an account.
    pub(super) fn is_open(&self, profile: &str, now: i64) -> bool {
        let over = matches!(self.stage, Stage::Done(_) | Stage::Failed);
        self.profile == profile && !over && now < self.expires
    }

    pub(super) fn describe(&self, id: &str) -> Value {
        json!({
            "id": id, "name": self.name, "kind": "parts", "parent": self.parent,
            "size": self.size, "parts": self.parts.len(),
        })
    }

    /// The parts in order, when they are what was declared.
    fn joined(&self) -> Result<Blob, ApiError> {
        let missing = || ApiError::new("InvalidUploadFileStatus", "parts are missing");
        let count = self.count();
        let mut all = Vec::new();
        for number in 1..=count {
            let part = self.parts.get(&number).ok_or_else(missing)?;
            if number < count && part.size() != self.slice {
                return Err(ApiError::new("InvalidPartSize", "invalid part Size"));
            }
            all.push(part);
        }
        let blob = Blob::join(all);
        match blob.size() == self.size {
            true => Ok(blob),
            false => Err(ApiError::new(
                "FileLengthVerifyFailed",
                "file length differs",
            )),
        }
    }
}

/// An MD5 in hex of either case.
pub(super) fn md5_arg(text: &str, name: &str) -> Result<String, ApiError> {
    match text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_lowercase()),
        false => Err(ApiError::argument(name)),
    }
}

fn failed_md5() -> ApiError {
    ApiError::new(
        "FileMD5VerifyFailed",
        "the content is not what was declared",
    )
}

impl Cloud189 {
    /// Refuses what does not fit into a space.
    pub(super) fn room(
        &self,
        account: &Account,
        scope: Scope,
        tree: &Tree,
        bytes: u64,
    ) -> Result<(), ApiError> {
        let root = match scope {
            Scope::Personal => super::ROOT.to_owned(),
            Scope::Family => super::family_root(account.number),
        };
        let full = bytes > 0 && used(tree, &root).saturating_add(bytes) > space(account, scope);
        match full {
            true => Err(ApiError::new("InsufficientStorageSpace", "no space left")),
            false => Ok(()),
        }
    }

    /// Today in China, and the bytes uploaded on it.
    fn flow(&self, account: &Account) -> (i64, u64) {
        let today = self.now().saturating_add(8 * 3_600_000).div_euclid(DAY_MS);
        let state = self.state();
        match state.flow.get(&account.profile) {
            Some((day, bytes)) if *day == today => (today, *bytes),
            _ => (today, 0),
        }
    }

    /// Refuses what is over the day's flow.
    fn check_flow(&self, account: &Account, bytes: u64) -> Result<(), ApiError> {
        let most = account.knobs.number("day_flow", u64::MAX);
        match self.flow(account).1.saturating_add(bytes) > most {
            true => Err(ApiError::new("UserDayFlowOverLimited", "data flow is out")),
            false => Ok(()),
        }
    }

    /// Refuses banned contents.
    fn check_content(&self, account: &Account, md5: &str) -> Result<(), ApiError> {
        let list = account.knobs.text("blacklist").unwrap_or_default();
        match list
            .split(',')
            .any(|one| one.trim().eq_ignore_ascii_case(md5))
        {
            true => Err(ApiError::new(
                "InfoSecurityErrorCode",
                "the file is in the black list",
            )),
            false => Ok(()),
        }
    }

    /// What every new upload is checked for.
    pub(super) fn check_upload(
        &self,
        ctx: &Ctx<'_>,
        name: &str,
        size: u64,
        md5: Option<&str>,
    ) -> Result<(), ApiError> {
        let account = &ctx.account;
        ctx.audit_name(name)?;
        if has_emoji(name) {
            return Err(ApiError::argument("fileName"));
        }
        if size > max_file(account) {
            return Err(ApiError::new("FileTooLarge", "the file is too large"));
        }
        if let Some(md5) = md5 {
            self.check_content(account, md5)?;
        }
        self.check_flow(account, size)?;
        self.room(account, ctx.scope, &account.tree(), size)
    }

    /// Makes the file: 1 keeps both, 2 leaves what is there, 3 and 5 replace. Answers its id.
    /// The fault `corrupt` of `op` spoils what is stored and is not noticed.
    pub(super) fn publish(
        &self,
        account: &Account,
        op: &str,
        place: (&str, &str),
        blob: Blob,
        opertype: u64,
    ) -> Result<String, ApiError> {
        let (parent, name) = place;
        let spoilt = account.faults.take(op, FaultKind::Corrupt).is_some();
        let (today, bytes) = self.flow(account);
        let spent = (today, bytes.saturating_add(blob.size()));
        let now = self.now();
        let id = {
            let mut tree = account.tree();
            if tree.live_dir(parent).is_none() {
                return Err(ApiError::new(
                    "InvalidParentFolder",
                    "parent folder is invalid",
                ));
            }
            let scope = match tree.root_of(parent) {
                Some(root) if root.starts_with("family:") => Scope::Family,
                _ => Scope::Personal,
            };
            self.room(account, scope, &tree, blob.size())?;
            let same = tree.find(parent, name);
            let has_dir = same.iter().any(|node| node.is_dir());
            let old: Vec<String> = same.iter().map(|node| node.id.clone()).collect();
            let name = match (opertype, old.first()) {
                (_, None) => name.to_owned(),
                (2, Some(first)) => return Ok(first.clone()),
                (3 | 5, Some(_)) if !has_dir => name.to_owned(),
                _ => tree.free_name(parent, name),
            };
            if matches!(opertype, 3 | 5) && !has_dir {
                let gone = account.knobs.text("overwrite").as_deref() == Some("gone");
                for id in old {
                    if gone {
                        tree.remove(&id);
                    } else {
                        tree.update(&id, |node| node.trashed = Some(now));
                    }
                }
            }
            let id = self.node_id(false);
            let mut node = Node::file(&id, parent, &name, blob.clone(), now);
            node.stored = spoilt.then(|| blob.corrupted());
            tree.insert(node);
            id
        };
        self.state().flow.insert(account.profile.clone(), spent);
        self.kit.inventory.add(&blob);
        Ok(id)
    }
}

impl Ctx<'_> {
    /// Bytes uploaded today.
    pub(super) fn spent_flow(&self) -> u64 {
        self.sim.flow(&self.account).1
    }

    /// A call of the upload host.
    pub(super) async fn run_upload(&self) -> Result<Value, ApiError> {
        match self.op {
            "create" => {
                self.check_family()?;
                self.create().await
            }
            "check" => self.check().await,
            "part_link" => self.part_links(),
            "list_parts" => self.list_parts(),
            _ => self.complete().await,
        }
    }

    /// Runs `work` on this account's upload of the named id.
    pub(super) fn upload<T>(
        &self,
        work: impl FnOnce(&str, &mut Upload) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let id = self.need("uploadFileId")?;
        let now = self.now();
        let mut state = self.sim.state();
        let own = state.uploads.get_mut(id).filter(|upload| {
            let here = upload.profile == self.account.profile && upload.scope == self.scope;
            here && now < upload.expires
        });
        let own = own.ok_or_else(|| ApiError::new("UploadFileNotFound", "no such upload"))?;
        work(id, own)
    }

    fn hashes(&self) -> Result<Hashes, ApiError> {
        Ok((
            md5_arg(self.arg("fileMd5"), "fileMd5")?,
            md5_arg(self.arg("sliceMd5"), "sliceMd5")?,
        ))
    }

    /// A content that somebody has: MD5, size and slice MD5 are the same.
    async fn known(&self, hashes: &Hashes, size: u64, slice: u64) -> Option<Blob> {
        let empty = Blob::bytes("");
        let blob = match size {
            0 if super::is_off(&self.account, "empty_hits") => None,
            0 => Some(empty).filter(|blob| blob.digest_now(HashKind::Md5) == hashes.0),
            _ => {
                let all = &self.sim.kit.inventory;
                all.find(HashKind::Md5, &hashes.0, size).await
            }
        }?;
        let found = blob.digest(HashKind::SliceMd5(slice)).await;
        found.eq_ignore_ascii_case(&hashes.1).then_some(blob)
    }

    fn data(id: &str, hit: bool) -> Value {
        json!({ "code": "SUCCESS", "data": {
            "uploadType": 1, "uploadHost": "hb-upload.cloud.189.cn", "uploadFileId": id,
            "fileDataExists": u64::from(hit),
        }})
    }

    /// `initMultiUpload`.
    async fn create(&self) -> Result<Value, ApiError> {
        let parent = match self.scope {
            Scope::Personal => self.need("parentFolderId")?,
            Scope::Family => self.arg("parentFolderId"),
        };
        let parent = self.target(&self.account.tree(), parent)?;
        // Encoded once before all was encrypted (section 3.4).
        let raw = self.need("fileName")?;
        if !raw.is_ascii() || raw.contains(' ') {
            return Err(ApiError::argument("fileName: not encoded"));
        }
        let name = parse_query(&format!("n={raw}")).pop();
        let name = name.map(|(_, name)| name).unwrap_or_default();
        let size: u64 = self
            .need("fileSize")?
            .parse()
            .map_err(|_| ApiError::argument("fileSize"))?;
        let slice = self.number("sliceSize", 0)?;
        let knobs = &self.account.knobs;
        let due = knobs.number("slice_size", slice_size(size));
        let late = knobs.text("part_size_at").as_deref() == Some("complete");
        if slice == 0 || (slice != due && !late) {
            return Err(ApiError::new("InvalidPartSize", "invalid part Size"));
        }
        let lazy = self.arg("lazyCheck") == "1";
        let declared = match lazy {
            true => None,
            false => Some(self.hashes()?),
        };
        let md5 = declared.as_ref().map(|hashes| hashes.0.as_str());
        self.sim.check_upload(self, &name, size, md5)?;
        let hit = match &declared {
            Some(hashes) => self.known(hashes, size, slice).await,
            None => None,
        };
        if !lazy {
            self.account.meters.rapid(hit.is_some());
        }
        let id = format!("11-{}-2603", self.sim.kit.ids.hex(12));
        let life = knobs
            .number("upload_life_s", 7 * 86_400)
            .saturating_mul(1000);
        let answer = Ctx::data(&id, hit.is_some());
        let upload = Upload {
            profile: self.account.profile.clone(),
            scope: self.scope,
            parent,
            name,
            size,
            slice,
            lazy,
            declared,
            hit,
            parts: BTreeMap::new(),
            stage: Stage::Open,
            expires: self
                .now()
                .saturating_add(i64::try_from(life).unwrap_or(i64::MAX)),
        };
        self.sim.state().uploads.insert(id, upload);
        Ok(answer)
    }

    /// `checkTransSecond`.
    async fn check(&self) -> Result<Value, ApiError> {
        let hashes = self.hashes()?;
        let (id, size, slice) =
            self.upload(|id, upload| Ok((id.to_owned(), upload.size, upload.slice)))?;
        self.sim.check_content(&self.account, &hashes.0)?;
        let hit = self.known(&hashes, size, slice).await;
        self.account.meters.rapid(hit.is_some());
        let exists = hit.is_some();
        self.upload(|_, upload| {
            if upload.stage != Stage::Open {
                return Err(ApiError::new(
                    "InvalidUploadFileStatus",
                    "the upload is over",
                ));
            }
            upload.declared = Some(hashes);
            upload.hit = hit;
            Ok(())
        })?;
        Ok(Ctx::data(&id, exists))
    }

    /// `commitMultiUploadFile`.
    async fn complete(&self) -> Result<Value, ApiError> {
        let opertype = self.number("opertype", 0)?;
        if !(1..=3).contains(&opertype) {
            return Err(ApiError::argument("opertype"));
        }
        if self
            .account
            .faults
            .take(self.op, FaultKind::CommitFail)
            .is_some()
        {
            return Err(failed_md5());
        }
        let again = self.account.knobs.text("commit_again").as_deref() == Some("answer");
        let claimed = self.upload(|_, upload| match &upload.stage {
            Stage::Open => {
                upload.stage = Stage::Committing;
                Ok(None)
            }
            Stage::Done(answer) if again => Ok(Some(answer.clone())),
            Stage::Done(_) => Err(ApiError::new("UploadFileCompeletedError", "already a file")),
            Stage::Committing => Err(ApiError::new(
                "UploadFileAccessViolation",
                "a commit is under way",
            )),
            Stage::Failed => Err(ApiError::new(
                "UploadFileStatusVerifyFailed",
                "the upload has failed",
            )),
        })?;
        if let Some(answer) = claimed {
            return Ok(answer);
        }
        let done = self.commit(opertype).await;
        self.upload(|_, upload| {
            upload.stage = match &done {
                Ok(answer) => Stage::Done(answer.clone()),
                Err((_, true)) => Stage::Failed,
                Err((_, false)) => Stage::Open,
            };
            if matches!(upload.stage, Stage::Done(_) | Stage::Failed) {
                upload.parts.clear();
            }
            Ok(())
        })?;
        done.map_err(|(error, _)| error)
    }

    /// The commit itself; a refusal with whether the upload is lost by it.
    async fn commit(&self, opertype: u64) -> Result<Value, (ApiError, bool)> {
        let keep = |error: ApiError| (error, false);
        let sent = match self.arg("fileMd5").is_empty() && self.arg("sliceMd5").is_empty() {
            true => None,
            false => Some(self.hashes().map_err(keep)?),
        };
        let (blob, hashes, slice, due, place) = self
            .upload(|_, upload| {
                if upload.lazy && (sent.is_none() || self.arg("lazyCheck") != "1") {
                    return Err(ApiError::new(
                        "GetParametersFailed",
                        "fileMd5, sliceMd5, lazyCheck",
                    ));
                }
                let declared = upload.declared.clone().or_else(|| sent.clone());
                let declared = declared.ok_or_else(|| ApiError::argument("fileMd5"))?;
                if sent.as_ref().is_some_and(|sent| *sent != declared) {
                    return Err(failed_md5());
                }
                let blob = match &upload.hit {
                    Some(blob) => blob.clone(),
                    None => upload.joined()?,
                };
                let place = (upload.parent.clone(), upload.name.clone());
                let due = slice_size(upload.size);
                Ok((blob, declared, upload.slice, due, place))
            })
            .map_err(keep)?;
        if slice != self.account.knobs.number("slice_size", due) {
            return Err(keep(ApiError::new("InvalidPartSize", "invalid part Size")));
        }
        let whole = blob.digest(HashKind::Md5).await;
        let slices = blob.digest(HashKind::SliceMd5(slice)).await;
        if (&whole, &slices) != (&hashes.0, &hashes.1) {
            return Err((failed_md5(), true));
        }
        self.sim
            .check_content(&self.account, &whole)
            .map_err(keep)?;
        let sim = self.sim;
        let id = sim
            .publish(&self.account, self.op, (&place.0, &place.1), blob, opertype)
            .map_err(keep)?;
        let node = self.account.tree().get(&id).cloned();
        let node = node.ok_or_else(|| keep(ApiError::not_found()))?;
        let knobs = &self.account.knobs;
        let created = match knobs.text("times") {
            Some(_) => time_text(knobs, node.created),
            None => china_ampm(node.created),
        };
        Ok(json!({ "code": "SUCCESS", "file": {
            "userFileId": id_value(knobs, &id, Place::Info), "fileName": node.name,
            "fileSize": node.size(), "fileMd5": super::entries::md5_of(&node).await,
            "createDate": created, "rev": "1", "userId": "300000123456789",
        }}))
    }
}
