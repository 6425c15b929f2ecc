//! Upload sessions: `precreate` with the fast upload, and `create` (baidu_netdisk.md sections
//! 6 and 7).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::entries::{category, fits, fs_id, shown_md5, space, used};
use super::errors::ApiError;
use super::slices::Plan;
use super::{Baidu, Ctx, paths, proof, uk};

/// Bytes under `slice-md5`.
const HEAD: u64 = 262_144;
/// What a client of the cookie API sends when it does not know the slices yet.
const DUMMY: [&str; 2] = [
    "5910a591dd8fc18c32a8f3df4fdc1761",
    "a5fc157d78e6ad1c7e114b056c92821e",
];

/// An upload that is not a file yet.
pub(super) struct Session {
    pub(super) account: Arc<Account>,
    path: String,
    times: (Option<i64>, Option<i64>),
    block_list: Vec<String>,
    pub(super) plan: Plan,
    /// MD5 as received, and the bytes.
    pub(super) slices: BTreeMap<u64, (String, Blob)>,
    started: i64,
    created: bool,
}

impl Session {
    /// Whether it still waits to become a file.
    pub(super) fn is_open(&self) -> bool {
        !self.created
    }
}

/// A place for a file.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) path: &'p str,
    pub(super) rtype: u64,
    /// `local_ctime`, `local_mtime`.
    pub(super) times: (Option<i64>, Option<i64>),
}

/// 32 lower-case hex digits.
fn is_md5(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Base slice size of an account, that of the normal level.
pub(super) fn unit(account: &Account) -> u64 {
    account.knobs.number("slice_size", 4 << 20).max(1)
}

impl Ctx<'_> {
    /// `vip_type`: 0 normal, 1 VIP, 2 SVIP.
    pub(super) fn level(&self) -> u64 {
        self.account.knobs.number("vip", 0).min(2)
    }

    /// Smallest and largest slice (section 7.2); the cookie API's are given by the size.
    fn slice_range(&self, size: u64) -> (u64, u64) {
        let unit = unit(&self.account);
        if self.web {
            let exact = match size {
                0..0x2_0000_0000 => unit,
                0x2_0000_0000..0x8_0000_0000 => unit * 4,
                _ => unit * 16,
            };
            return (exact, exact);
        }
        match self.level() {
            0 => (unit, unit),
            1 => (unit, unit * 4),
            _ => (unit, unit * 8),
        }
    }

    fn largest(&self) -> u64 {
        let level = match self.level() {
            0 => 4 << 30,
            1 => 10 << 30,
            _ => 20 << 30,
        };
        self.account.knobs.number("file_max", level)
    }

    /// `rtype`, one of 0 to 3.
    pub(super) fn rtype(&self, default: u64) -> Result<u64, ApiError> {
        match self.form.number("rtype", default)? {
            rtype @ 0..=3 => Ok(rtype),
            _ => Err(ApiError::parameter("rtype")),
        }
    }

    /// The MD5s of `block_list`.
    fn block_list(&self) -> Result<Vec<String>, ApiError> {
        let list = self.form.array("block_list")?;
        let texts = list
            .iter()
            .map(|value| value.as_str().filter(|text| is_md5(text)));
        let texts: Option<Vec<String>> = texts.map(|text| text.map(str::to_owned)).collect();
        texts
            .filter(|texts| !texts.is_empty())
            .ok_or_else(|| ApiError::parameter("block_list"))
    }

    /// A digest argument: absent, or 32 lower-case hex digits.
    fn digest(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.form.text(name) {
            "" => Ok(None),
            text if is_md5(text) => Ok(Some(text)),
            _ => Err(ApiError::parameter(name)),
        }
    }

    fn times(&self) -> Result<(Option<i64>, Option<i64>), ApiError> {
        Ok((
            self.form.seconds("local_ctime")?,
            self.form.seconds("local_mtime")?,
        ))
    }

    /// The known content that the digests of a `precreate` name.
    async fn known(
        &self,
        size: u64,
        blocks: &[String],
        content_md5: &str,
        head_md5: &str,
    ) -> Result<Option<Blob>, ApiError> {
        let knobs = &self.account.knobs;
        let never = knobs.text("fast").as_deref() == Some("never");
        if never || size < knobs.number("fast_min", 0) {
            return Ok(None);
        }
        let inventory = &self.sim.kit.inventory;
        let Some(blob) = inventory.find(HashKind::Md5, content_md5, size).await else {
            return Ok(None);
        };
        if blob.digest(HashKind::HeadMd5(HEAD)).await != head_md5 {
            return Ok(None);
        }
        if self.web {
            let (now, user) = (self.now().div_euclid(1000), uk(&self.account));
            let window = i64::try_from(knobs.number("proof_seconds", 3600)).unwrap_or(3600);
            let proven = proof::holds(&self.form, user, content_md5, &blob, now, window)?;
            return Ok(proven.then_some(blob));
        }
        let gamble = knobs.text("gamble").as_deref() == Some("hit");
        if let [only] = blocks
            && only == content_md5
            && (gamble || size <= self.slice_range(size).1)
        {
            return Ok(Some(blob));
        }
        let (least, most) = self.slice_range(size);
        let mut slice = least;
        while slice <= most {
            if size.div_ceil(slice) == blocks.len() as u64 {
                let real = blob.digest(HashKind::BlockMd5(slice)).await;
                if real.split(',').eq(blocks.iter().map(String::as_str)) {
                    return Ok(Some(blob));
                }
            }
            slice = slice.saturating_mul(2);
        }
        Ok(None)
    }

    /// Whether so many slices can make up `size` bytes.
    fn count_fits(&self, size: u64, count: u64) -> bool {
        let (least, most) = self.slice_range(size);
        let most_slices = self.account.knobs.number("slices_max", 2048);
        (size.div_ceil(most)..=size.div_ceil(least)).contains(&count) && count <= most_slices
    }

    /// `POST xpan/file?method=precreate`, or `/api/precreate` of the cookie API.
    pub(super) async fn precreate(&self) -> Result<Value, ApiError> {
        let path = self.form.required("path")?;
        let size = self.form.number("size", 0)?;
        if size == 0 || self.form.text("isdir") != "0" || self.form.text("autoinit") != "1" {
            return Err(ApiError::parameter("size, isdir or autoinit"));
        }
        paths::writable(&self.account, path)?;
        let blocks = self.block_list()?;
        let (content_md5, head_md5) = (self.digest("content-md5")?, self.digest("slice-md5")?);
        let place = Place {
            path,
            rtype: match self.form.text("is_revision") {
                "1" => 3,
                _ => self.rtype(0)?,
            },
            times: self.times()?,
        };
        if size > self.largest() {
            return Err(ApiError::new(31365, "file too large for the level"));
        }
        if !fits(&self.account, &self.account.tree(), size) {
            return Err(ApiError::no_space());
        }
        let count = blocks.len() as u64;
        let dummy = self.web && blocks.iter().zip(DUMMY).all(|(sent, dummy)| sent == dummy);
        let dummy = dummy && blocks.len() <= DUMMY.len();
        let gamble = blocks.len() == 1 && content_md5 == blocks.first().map(String::as_str);
        if !dummy && !gamble && !self.count_fits(size, count) {
            return Err(ApiError::parameter("block_list: number of slices"));
        }
        if let (Some(content_md5), Some(head_md5)) = (content_md5, head_md5) {
            let hit = self.known(size, &blocks, content_md5, head_md5).await?;
            self.account.meters.rapid(hit.is_some());
            if let Some(blob) = hit {
                let slices = if dummy {
                    size.div_ceil(self.slice_range(size).0)
                } else {
                    count
                };
                let id = self.sim.place(&self.account, &place, &blob, slices)?;
                return Ok(json!({ "return_type": 2, "info": self.made(&id, true).await }));
            }
        }
        let (range, slice) = match self.slice_range(size) {
            (least, most) if least == most => ((least, most), Some(least)),
            range => (range, None),
        };
        let count = match dummy {
            true => size.div_ceil(range.0),
            false => count,
        };
        let plan = Plan {
            size,
            count,
            slice,
            range,
        };
        let (id, missing) = self.open(&place, blocks, plan);
        let missing = match (count, self.account.knobs.text("index_text").as_deref()) {
            // `[]` means `[0]` (section 7.1).
            (1, _) => json!([]),
            (_, Some("true" | "1")) => {
                json!(missing.iter().map(u64::to_string).collect::<Vec<_>>())
            }
            _ => json!(missing),
        };
        Ok(json!({ "path": path, "uploadid": id, "return_type": 1, "block_list": missing }))
    }

    /// A new session, or the one that is gone on with; its id and missing slices.
    fn open(&self, place: &Place<'_>, block_list: Vec<String>, plan: Plan) -> (String, Vec<u64>) {
        let sent = self.form.text("uploadid");
        let resumes = self.account.knobs.text("resume").as_deref() != Some("never");
        let mut state = self.sim.state();
        let known = state.sessions.get(sent).filter(|session| {
            self.sim.lives(session)
                && !session.created
                && session.account.profile == self.account.profile
                && (session.path.as_str(), session.plan.size) == (place.path, plan.size)
                && session.block_list == block_list
        });
        if let Some(session) = known.filter(|_| resumes) {
            let missing = (0..session.plan.count).filter(|n| !session.slices.contains_key(n));
            return (sent.to_owned(), missing.collect());
        }
        let id = format!("N1-{}", self.sim.kit.ids.hex(40));
        let session = Session {
            account: self.account.clone(),
            path: place.path.to_owned(),
            times: place.times,
            block_list,
            plan,
            slices: BTreeMap::new(),
            started: self.now(),
            created: false,
        };
        let missing = (0..session.plan.count).collect();
        state.sessions.insert(id.clone(), session);
        (id, missing)
    }

    /// What the answer to a finished upload says of a file.
    async fn made(&self, id: &str, fast: bool) -> Value {
        let (node, path) = {
            let tree = self.account.tree();
            (tree.get(id).cloned(), tree.path_of(id))
        };
        let Some(node) = node else {
            return Value::Null;
        };
        let now = self.now().div_euclid(1000);
        let mut info = json!({
            "fs_id": fs_id(&self.account, id), "path": path, "size": node.size(),
            "category": category(&node), "isdir": 0, "md5": shown_md5(&self.account, &node).await,
            "ctime": now, "mtime": now,
        });
        if let Some(object) = info.as_object_mut() {
            if fast {
                object.insert("request_id".to_owned(), json!(2.730_042_612_134_5e17));
            } else {
                object.insert("name".to_owned(), json!(path));
                object.insert("server_filename".to_owned(), json!(node.name));
                object.insert("from_type".to_owned(), json!(1));
            }
        }
        info
    }

    /// `create` with `isdir=0`.
    pub(super) async fn create(&self) -> Result<Value, ApiError> {
        let path = self.form.required("path")?;
        let size = self.form.number("size", 0)?;
        if size == 0 || !matches!(self.form.text("isdir"), "" | "0") {
            return Err(ApiError::parameter("size or isdir"));
        }
        paths::writable(&self.account, path)?;
        let blocks = self.block_list()?;
        let uploadid = self.form.text("uploadid");
        if uploadid.is_empty() {
            // Section 6.3: this way is closed.
            return Err(ApiError::new(31500, "please contact the platform"));
        }
        let rtype = match self.form.text("is_revision") {
            "1" => 3,
            _ => self.rtype(0)?,
        };
        let times = self.times()?;
        if self
            .account
            .faults
            .take(self.op, FaultKind::CommitFail)
            .is_some()
        {
            return Err(ApiError::create_failed("injected fault"));
        }
        let (blob, times) = {
            let state = self.sim.state();
            let session = state.sessions.get(uploadid).filter(|session| {
                self.sim.lives(session)
                    && !session.created
                    && session.account.profile == self.account.profile
            });
            let session = session.ok_or_else(|| ApiError::new(31190, "file is not found"))?;
            if session.path != path || session.plan.size != size {
                return Err(ApiError::create_failed("path or size"));
            }
            if session.slices.len() as u64 != session.plan.count {
                return Err(ApiError::new(31363, "block miss in superfile2"));
            }
            let received = session.slices.values().map(|(md5, _)| md5.as_str());
            if !received.eq(blocks.iter().map(String::as_str)) {
                return Err(ApiError::create_failed("block_list"));
            }
            let blob = Blob::join(session.slices.values().map(|(_, blob)| blob));
            if blob.size() != size {
                return Err(ApiError::create_failed("size"));
            }
            (
                blob,
                (times.0.or(session.times.0), times.1.or(session.times.1)),
            )
        };
        let place = Place { path, rtype, times };
        let id = self
            .sim
            .place(&self.account, &place, &blob, blocks.len() as u64)?;
        self.sim.kit.inventory.add(&blob);
        if let Some(session) = self.sim.state().sessions.get_mut(uploadid) {
            session.created = true;
            session.slices.clear();
        }
        Ok(self.made(&id, false).await)
    }
}

impl Baidu {
    /// Whether a session is still known (knob `session_seconds`).
    pub(super) fn lives(&self, session: &Session) -> bool {
        let life = session.account.knobs.number("session_seconds", 172_800);
        let age = self
            .kit
            .clock
            .now_ms()
            .saturating_sub(session.started)
            .div_euclid(1000);
        u64::try_from(age).unwrap_or(0) < life
    }

    /// Open sessions of an account, for tests to see.
    pub(super) fn open_sessions(&self, account: &Account) -> Vec<Value> {
        let state = self.state();
        let own = state.sessions.iter().filter(|(_, session)| {
            session.account.profile == account.profile && !session.created && self.lives(session)
        });
        own.map(|(id, session)| {
            let name = session.path.rsplit('/').next().unwrap_or("");
            let got: Vec<u64> = session.slices.keys().copied().collect();
            json!({ "id": id, "name": name, "path": session.path, "size": session.plan.size,
                    "slices": session.plan.count, "received": got })
        })
        .collect()
    }

    /// Makes a file at a path as `rtype` says (section 7.4); its id.
    pub(super) fn place(
        &self,
        account: &Account,
        place: &Place<'_>,
        blob: &Blob,
        slices: u64,
    ) -> Result<String, ApiError> {
        let names = paths::writable(account, place.path)?;
        let now = self.kit.clock.now_ms();
        let Some((name, parents)) = names.split_last() else {
            return Err(ApiError::bad_path());
        };
        let mut tree = account.tree();
        let makes = account.knobs.text("missing_parent").as_deref() == Some("create");
        let dir = format!("/{}", parents.join("/"));
        let parent = match paths::dir_at(&tree, &dir).map(|node| node.id.clone()) {
            Some(id) => id,
            None if makes => {
                let new_id = &mut || self.kit.ids.decimal(18);
                let made = paths::make_dirs(&mut tree, parents, now, new_id);
                made.ok_or_else(ApiError::exists)?
            }
            None => return Err(ApiError::new(31063, "parent path does not exist")),
        };
        let old = tree.find(&parent, name).first().map(|node| (*node).clone());
        let mut name = (*name).to_owned();
        let mut freed = 0;
        if let Some(old) = old {
            let same = old.blob.as_ref().is_some_and(|known| {
                known.size() == blob.size()
                    && known.digest_now(HashKind::Md5) == blob.digest_now(HashKind::Md5)
            });
            match place.rtype {
                1 => name = paths::renamed(&tree, &parent, &name, now),
                2 if same => return Ok(old.id),
                2 => name = paths::renamed(&tree, &parent, &name, now),
                3 if !old.is_dir() || account.knobs.flag("hazard") => {
                    freed = old.size();
                    let kept = account.knobs.text("overwrite").as_deref() == Some("trash");
                    if space(account) < used(&tree) - freed + blob.size() {
                        return Err(ApiError::no_space());
                    }
                    match kept {
                        true => {
                            tree.update(&old.id, |node| node.trashed = Some(now));
                        }
                        false => {
                            tree.remove(&old.id);
                        }
                    }
                }
                _ => return Err(ApiError::exists()),
            }
        }
        if freed == 0 && !fits(account, &tree, blob.size()) {
            return Err(ApiError::no_space());
        }
        let id = self.kit.ids.decimal(18);
        let mut node = Node::file(&id, &parent, &name, blob.clone(), now);
        node.extra.insert("slices".to_owned(), json!(slices));
        let times = [
            ("local_ctime", place.times.0),
            ("local_mtime", place.times.1),
        ];
        for (key, value) in times {
            node.extra
                .insert(key.to_owned(), json!(value.unwrap_or(now.div_euclid(1000))));
        }
        tree.insert(node);
        Ok(id)
    }
}
