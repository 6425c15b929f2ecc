//! Uploads: create, fast upload by MD5 and by SHA-1, complete (123_open.md sections 6, 7).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::args::Args;
use super::change::good_name;
use super::errors::ApiError;
use super::files::{number, space, used};
use super::{Ctx, Pan123};

/// Largest file, 10 GiB.
pub(super) const MOST: u64 = 10 << 30;
/// Bytes per slice.
const SLICE: u64 = 16 << 20;

/// How far an upload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Takes slices.
    Open,
    /// All there and correct; so many polls until it says so.
    Verifying(u64),
    /// A file: its id.
    Done(String),
    /// Wrong MD5, or a refused commit.
    Failed,
}

/// An upload session.
pub(super) struct Session {
    /// Account.
    pub profile: String,
    /// When it was opened, milliseconds.
    pub opened: i64,
    /// Of the old upload with presigned parts.
    pub v1: bool,
    /// What it will be.
    pub place: Place,
    /// MD5 as announced.
    pub etag: String,
    /// Bytes as announced.
    pub size: u64,
    /// Bytes per slice.
    pub slice_size: u64,
    /// Slices by number from 1.
    pub slices: BTreeMap<u64, Blob>,
    /// How far it is.
    pub stage: Stage,
}

impl Session {
    /// How many slices there will be.
    pub(super) fn count(&self) -> u64 {
        self.size.div_ceil(self.slice_size)
    }

    /// How long a slice must be; `None` when there is no such slice.
    pub(super) fn length_of(&self, number: u64) -> Option<u64> {
        if number == 0 || number > self.count() {
            return None;
        }
        let offset = (number - 1).saturating_mul(self.slice_size);
        Some(self.size.saturating_sub(offset).min(self.slice_size))
    }

    /// Whether it is a leftover: neither a file nor failed.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Verifying(_))
    }

    pub(super) fn describe(&self, id: &str) -> Value {
        let state = match self.stage {
            Stage::Open => "open",
            Stage::Verifying(_) => "verifying",
            Stage::Done(_) => "done",
            Stage::Failed => "failed",
        };
        json!({
            "id": id, "name": self.place.name, "parent": self.place.parent, "size": self.size,
            "parts": self.slices.len(), "state": state,
        })
    }
}

/// Where a file goes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Id of the directory.
    pub parent: String,
    /// Name as asked for.
    pub name: String,
    /// 0 error, 1 keep both, 2 overwrite.
    pub duplicate: i64,
}

/// A digest of so many lower-case hex digits.
fn digest_of(args: &Args, name: &str, digits: usize) -> Result<String, ApiError> {
    let text = args.text(name);
    let good = text.len() == digits
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match good {
        true => Ok(text.to_owned()),
        false => Err(ApiError::parameter(name)),
    }
}

/// The argument `size`.
fn size_of(account: &Account, args: &Args) -> Result<u64, ApiError> {
    let size = args.number("size")?.and_then(|n| u64::try_from(n).ok());
    let size = size.ok_or_else(|| ApiError::parameter("size"))?;
    if size == 0 && account.knobs.text("zero_byte").as_deref() == Some("refuse") {
        return Err(ApiError::parameter("size"));
    }
    match size <= MOST {
        true => Ok(size),
        false => Err(ApiError::general("单个文件大小不能超过10GB")),
    }
}

/// The announced MD5 and size of a file.
pub(super) fn announced(account: &Account, args: &Args) -> Result<(String, u64), ApiError> {
    Ok((digest_of(args, "etag", 32)?, size_of(account, args)?))
}

impl Pan123 {
    /// Remembers that a content came in while SHA-1 was not indexed.
    pub(super) fn note_index(&self, account: &Account, blob: &Blob) {
        if account.knobs.text("sha1_index").as_deref() == Some("false") {
            self.state().unindexed.push(blob.clone());
        }
    }

    async fn find_sha1(&self, account: &Account, sha1: &str, size: u64) -> Option<Blob> {
        if account.knobs.text("sha1_index").as_deref() == Some("false") {
            return None;
        }
        for blob in self.kit.inventory.of_size(size) {
            let unindexed = self.state().unindexed.iter().any(|other| other.is(&blob));
            if !unindexed && blob.digest(HashKind::Sha1).await == sha1 {
                return Some(blob);
            }
        }
        None
    }

    /// The place the arguments name; with `containDir` missing directories are made.
    pub(super) fn place(&self, account: &Account, args: &Args) -> Result<Place, ApiError> {
        let duplicate = args.number("duplicate")?.unwrap_or(0);
        if !(0..=2).contains(&duplicate) {
            return Err(ApiError::parameter("duplicate"));
        }
        let mut parent = args.id("parentFileID")?;
        let filename = args.text("filename");
        let (dirs, name) = match args.flag("containDir")? {
            true => filename.rsplit_once('/').unwrap_or(("", filename)),
            false => ("", filename),
        };
        let dirs: Vec<&str> = dirs.split('/').filter(|dir| !dir.is_empty()).collect();
        if !dirs.iter().chain([&name]).all(|n| good_name(account, n)) {
            return Err(ApiError::bad_name());
        }
        let mut tree = account.tree();
        if tree.live_dir(&parent).is_none() {
            return Err(ApiError::no_parent());
        }
        for dir in dirs {
            let known = tree
                .find(&parent, dir)
                .into_iter()
                .find(|node| node.is_dir())
                .map(|node| node.id.clone());
            parent = match known {
                Some(id) => id,
                None => {
                    let id = self.kit.ids.decimal(8);
                    tree.insert(Node::dir(&id, &parent, dir, self.kit.clock.now_ms()));
                    id
                }
            };
        }
        if duplicate == 0 && !tree.find(&parent, name).is_empty() {
            return Err(ApiError::name_taken());
        }
        Ok(Place {
            parent,
            name: name.to_owned(),
            duplicate,
        })
    }

    /// Makes the file. `stored` is what really lies there, when it differs.
    pub(super) fn publish(
        &self,
        account: &Account,
        place: &Place,
        blob: Blob,
        stored: Option<Blob>,
    ) -> Result<String, ApiError> {
        let now = self.kit.clock.now_ms();
        let mut tree = account.tree();
        if tree.live_dir(&place.parent).is_none() {
            return Err(ApiError::no_parent());
        }
        if used(&tree).saturating_add(blob.size()) > space(account) {
            return Err(ApiError::general("空间不足"));
        }
        let same = tree.find(&place.parent, &place.name);
        let has_dir = same.iter().any(|node| node.is_dir());
        let old: Vec<String> = same.iter().map(|node| node.id.clone()).collect();
        let name = match place.duplicate {
            _ if old.is_empty() => place.name.clone(),
            1 => tree.free_name(&place.parent, &place.name),
            2 if !has_dir => place.name.clone(),
            _ => return Err(ApiError::name_taken()),
        };
        if place.duplicate == 2 {
            let gone = account.knobs.text("overwrite").as_deref() == Some("gone");
            for id in old {
                if gone {
                    tree.remove(&id);
                } else {
                    tree.update(&id, |node| node.trashed = Some(now));
                }
            }
        }
        let id = self.kit.ids.decimal(8);
        let mut node = Node::file(&id, &place.parent, &name, blob, now);
        node.stored = stored;
        tree.insert(node);
        Ok(id)
    }

    /// Takes received bytes into the inventory and makes the file. The fault `corrupt` of
    /// `op` spoils what is stored and is not noticed.
    pub(super) fn accept(
        &self,
        account: &Account,
        op: &str,
        place: &Place,
        blob: Blob,
    ) -> Result<String, ApiError> {
        let spoilt = account.faults.take(op, FaultKind::Corrupt).is_some();
        let stored = spoilt.then(|| blob.corrupted());
        let id = self.publish(account, place, blob.clone(), stored)?;
        self.note_index(account, &blob);
        self.kit.inventory.add(&blob);
        Ok(id)
    }
}

impl Ctx<'_> {
    /// `POST /upload/v2/file/create` and the old one.
    pub(super) async fn create(&self) -> Result<Value, ApiError> {
        let sim = self.sim;
        let (etag, size) = announced(&self.account, &self.args)?;
        let place = sim.place(&self.account, &self.args)?;
        let mode = self.account.knobs.text("reuse").unwrap_or_default();
        let known = match mode.as_str() {
            "never" | "sha1_only" => None,
            _ if size == 0 && etag == super::super::digest::md5_hex(b"") => Some(Blob::bytes("")),
            _ => {
                let all = &sim.kit.inventory;
                all.find(HashKind::Md5, &etag, size).await
            }
        };
        let zero_id = known.is_some() && mode == "zero_id";
        if let Some(blob) = known.filter(|_| !zero_id) {
            let id = sim.publish(&self.account, &place, blob, None)?;
            self.account.meters.rapid(true);
            return Ok(json!({ "fileID": number(&id), "reuse": true, "preuploadID": "" }));
        }
        self.account.meters.rapid(false);
        if used(&self.account.tree()).saturating_add(size) > space(&self.account) {
            return Err(ApiError::general("空间不足"));
        }
        let id = sim.kit.ids.hex(40);
        let slice_size = self.account.knobs.number("slice_size", SLICE).max(1);
        let session = Session {
            profile: self.account.profile.clone(),
            opened: sim.kit.clock.now_ms(),
            v1: self.v1,
            place,
            etag,
            size,
            slice_size,
            slices: BTreeMap::new(),
            stage: Stage::Open,
        };
        sim.state().sessions.insert(id.clone(), session);
        let mut data = json!({
            "fileID": 0, "reuse": zero_id, "preuploadID": id, "sliceSize": slice_size,
        });
        if let Some(object) = data.as_object_mut().filter(|_| !self.v1) {
            object.insert("servers".to_owned(), json!([sim.upload_base()]));
        }
        Ok(data)
    }

    /// `POST /upload/v2/file/sha1_reuse`.
    pub(super) async fn sha1_reuse(&self) -> Result<Value, ApiError> {
        let sim = self.sim;
        let sha1 = digest_of(&self.args, "sha1", 40)?;
        let size = size_of(&self.account, &self.args)?;
        let place = sim.place(&self.account, &self.args)?;
        let never = self.account.knobs.text("reuse").as_deref() == Some("never");
        let known = match never {
            true => None,
            false => sim.find_sha1(&self.account, &sha1, size).await,
        };
        let Some(blob) = known else {
            self.account.meters.rapid(false);
            return Ok(json!({ "fileID": 0, "reuse": false }));
        };
        let id = sim.publish(&self.account, &place, blob, None)?;
        self.account.meters.rapid(true);
        Ok(json!({ "fileID": number(&id), "reuse": true }))
    }

    /// Runs `work` on the session that `preuploadID` names, when it is this account's and
    /// of this call's generation.
    pub(super) fn session<T>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let id = self.args.text("preuploadID");
        let mut state = self.sim.state();
        let session = state.sessions.get_mut(id);
        let own = session
            .filter(|s| s.profile == self.account.profile && s.v1 == self.v1 && self.sim.lives(s));
        match own {
            Some(session) => work(session),
            None => Err(ApiError::general("preuploadID不存在")),
        }
    }

    fn set_stage(&self, stage: Stage) -> Result<(), ApiError> {
        self.session(|session| {
            session.stage = stage;
            Ok(())
        })
    }

    /// `POST /upload/v2/file/upload_complete` and the old one. Asking again after the end
    /// gives the same answer.
    pub(super) async fn complete(&self) -> Result<Value, ApiError> {
        if self
            .account
            .faults
            .take(self.op, FaultKind::CommitFail)
            .is_some()
        {
            self.set_stage(Stage::Failed)?;
            return Err(ApiError::upload_failed());
        }
        let open = self.session(|session| Ok(session.stage == Stage::Open))?;
        if open {
            self.verify().await?;
        }
        self.progress()
    }

    /// Puts the slices together and checks size and MD5 of what is stored.
    async fn verify(&self) -> Result<(), ApiError> {
        let (blob, etag, size) = self.session(|session| {
            let all = 1..=session.count();
            if !all
                .clone()
                .all(|number| session.slices.contains_key(&number))
            {
                return Err(ApiError::general("分片未上传完成"));
            }
            let blob = Blob::join(all.filter_map(|number| session.slices.get(&number)));
            Ok((blob, session.etag.clone(), session.size))
        })?;
        if blob.size() != size || blob.digest(HashKind::Md5).await != etag {
            self.set_stage(Stage::Failed)?;
            return Err(ApiError::upload_failed());
        }
        let polls = self.account.knobs.number("verify_polls", 0);
        self.session(|session| {
            if session.stage == Stage::Open {
                session.slices = BTreeMap::from([(1, blob)]);
                session.slice_size = size.max(1);
                session.stage = Stage::Verifying(polls);
            }
            Ok(())
        })
    }

    /// What a session that is no longer open answers.
    fn progress(&self) -> Result<Value, ApiError> {
        enum Next {
            Wait,
            Publish(Place, Option<Blob>),
            Done(String),
        }
        let next = self.session(|session| match &mut session.stage {
            Stage::Verifying(0) => {
                let blob = session.slices.get(&1).cloned();
                Ok(Next::Publish(session.place.clone(), blob))
            }
            Stage::Verifying(polls) => {
                *polls -= 1;
                Ok(Next::Wait)
            }
            Stage::Done(id) => Ok(Next::Done(id.clone())),
            Stage::Open => Err(ApiError::general("分片未上传完成")),
            Stage::Failed => Err(ApiError::upload_failed()),
        })?;
        let id = match next {
            Next::Wait => {
                let by_code = self.account.knobs.text("verify_answer").as_deref() == Some("20103");
                return match by_code {
                    true => Err(ApiError::verifying()),
                    false => Ok(self.answer(false, 0)),
                };
            }
            Next::Done(id) => id,
            Next::Publish(place, blob) => {
                let blob = blob.unwrap_or_else(|| Blob::bytes(""));
                // Claimed before the file is made, so that two callers make one.
                self.set_stage(Stage::Failed)?;
                let id = self.sim.accept(&self.account, self.op, &place, blob)?;
                self.session(|session| {
                    session.slices.clear();
                    session.stage = Stage::Done(id.clone());
                    Ok(())
                })?;
                id
            }
        };
        Ok(self.answer(true, number(&id)))
    }

    fn answer(&self, completed: bool, id: u64) -> Value {
        match (self.v1, self.op) {
            (true, "complete") => {
                json!({ "async": !completed, "completed": completed, "fileID": id })
            }
            _ => json!({ "completed": completed, "fileID": id }),
        }
    }

    /// `POST /upload/v1/file/upload_async_result`.
    pub(super) async fn async_result(&self) -> Result<Value, ApiError> {
        self.progress()
    }
}

/// Which account a session belongs to, with a copy of what slices are checked against.
pub(super) struct Expected {
    /// Bytes of this slice.
    pub length: u64,
    /// Account.
    pub profile: String,
}

impl Pan123 {
    /// What slice `number` of an open session must be.
    pub(super) fn expected(&self, id: &str, v1: bool, number: u64) -> Result<Expected, ApiError> {
        let state = self.state();
        let session = state.sessions.get(id);
        let session = session.filter(|session| session.v1 == v1 && self.lives(session));
        let session = session.ok_or_else(|| ApiError::general("preuploadID不存在"))?;
        if session.stage != Stage::Open {
            return Err(ApiError::general("上传已结束"));
        }
        let length = session.length_of(number);
        Ok(Expected {
            length: length.ok_or_else(|| ApiError::parameter("sliceNo"))?,
            profile: session.profile.clone(),
        })
    }

    /// Whether a session is still known (knob `session_seconds`; the real life is not documented).
    pub(super) fn lives(&self, session: &Session) -> bool {
        let life = self
            .account_of(&session.profile)
            .map_or(0, |account| account.knobs.number("session_seconds", 0));
        let age = self.kit.clock.now_s() - session.opened.div_euclid(1000);
        life == 0 || u64::try_from(age).unwrap_or(0) < life
    }

    /// Keeps a slice; one of that number is replaced.
    pub(super) fn keep_slice(&self, id: &str, number: u64, blob: Blob) {
        let mut state = self.state();
        if let Some(session) = state.sessions.get_mut(id)
            && session.stage == Stage::Open
        {
            session.slices.insert(number, blob);
        }
    }

    /// The account of a profile name.
    pub(super) fn account_of(&self, profile: &str) -> Option<Arc<Account>> {
        let mut all = self.kit.accounts.iter();
        all.find(|account| account.profile == profile).cloned()
    }
}
