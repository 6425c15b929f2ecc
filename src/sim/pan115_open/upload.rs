//! Upload init with fast upload and its ownership challenge, resume, and the store's token
//! (115_open.md sections 6.1, 7.1 and 7.5). What an init comes to is the same for those who
//! come by cookies.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::clock::rfc3339;
use super::super::content::Blob;
use super::super::digest::{HashKind, sha1_hex};
use super::super::oss::Sts;
use super::super::tree::Node;
use super::errors::{ApiError, granted};
use super::files::{is_vip, sha1_of};
use super::{Ctx, Pan115, ROOT, pickcode, user_id};

/// The one bucket.
pub(super) const BUCKET: &str = "fhnfile";
/// Life of the store's tokens, and of a challenge.
const TOKEN_MS: i64 = 3_600_000;
const CHALLENGE_MS: i64 = 60_000;
/// Bytes of a challenged range.
const CHALLENGE_BYTES: u64 = 128;
/// SHA-1 of nothing.
const EMPTY_SHA1: &str = "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709";
const DEFAULT_CHALLENGE_MIN: u64 = 1 << 20;
/// 115 GiB.
const VIP_MAX_SIZE: u64 = 123_480_309_760;
const MAX_SIZE: u64 = 5 << 30;

const CALLBACK_URL: &str = "http://uplb.115.com/3.0/completeupload.php";
const CALLBACK_BODY: &str = "bucket=${bucket}&object=${object}&size=${size}&sha1=${sha1}\
    &pick_code=${x:pick_code}&user_id=${x:user_id}&behavior_type=${x:behavior_type}\
    &source=${x:source}&target=${x:target}";

/// An upload that was told to send its bytes; known by its pick code.
#[derive(Clone)]
pub(super) struct Task {
    pub account: Arc<Account>,
    /// The id its pick code spells. The file gets another one.
    pub id: String,
    pub name: String,
    pub size: u64,
    /// Upper case.
    pub sha1: String,
    /// Id of the folder.
    pub parent: String,
    /// Key in the bucket.
    pub object: String,
    /// Milliseconds since 1970.
    pub created: i64,
    /// What the callback of a cookie client carries besides.
    pub uid: Option<String>,
}

impl Task {
    /// What the client hands back as `x:source`: who began the task.
    pub(super) fn source(&self) -> &'static str {
        match self.uid {
            Some(_) => "5",
            None => "100",
        }
    }
}

/// An open question: which bytes are there?
pub(super) struct Challenge {
    account: usize,
    sha1: String,
    size: u64,
    start: u64,
    /// Id that the file will get.
    id: String,
    expires: i64,
}

/// The checked fields of an init.
pub(super) struct Wanted {
    pub name: String,
    pub size: u64,
    /// Upper case.
    pub sha1: String,
    /// Id of the folder.
    pub parent: String,
    /// The task that the client goes on with, when it names one.
    pub continues: String,
    /// Whether the client came by cookies.
    pub cookie: bool,
}

/// What an init comes to.
pub(super) enum Outcome {
    /// The file is there.
    Hit(Node),
    /// Bytes are needed.
    Miss(String, Task),
    /// Which bytes are there?
    Asked(Question),
    /// The answer to a question was wrong or late.
    Refused,
}

/// A challenge as it is put to the client.
pub(super) struct Question {
    pub key: String,
    /// `start-end`, inclusive.
    pub check: String,
    pub pick_code: String,
    /// Asked anew after a wrong answer.
    pub again: bool,
}

/// Largest file of an account.
pub(super) fn size_limit(account: &Account) -> u64 {
    let usual = match is_vip(account) {
        true => VIP_MAX_SIZE,
        false => MAX_SIZE,
    };
    account.knobs.number("max_file_size", usual)
}

/// Folder id of a target `U_1_<cid>`.
fn folder_of(target: &str) -> Option<&str> {
    let cid = target.strip_prefix("U_1_")?;
    (!cid.is_empty() && cid.bytes().all(|byte| byte.is_ascii_digit())).then_some(cid)
}

/// The range that `"start-end"` names, inclusive; upper-case SHA-1 of it.
fn sign_value(blob: &Blob, start: u64, length: u64) -> String {
    sha1_hex(&blob.read(start, length)).to_uppercase()
}

impl Ctx<'_> {
    fn wanted(&self) -> Result<Wanted, ApiError> {
        let size: u64 = self
            .required("file_size")?
            .parse()
            .map_err(|_| ApiError::parameter("file_size"))?;
        let sha1 = self.required("fileid")?.to_uppercase();
        if sha1.len() != 40 || !sha1.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ApiError::parameter("fileid"));
        }
        let topupload = self.text("topupload");
        if !matches!(topupload, "" | "-1" | "0" | "1" | "2") {
            return Err(ApiError::parameter("topupload"));
        }
        let name = self.required("file_name")?;
        let parent = self.room_for(name, size, self.required("target")?)?;
        Ok(Wanted {
            name: name.to_owned(),
            size,
            sha1,
            parent,
            continues: self.text("pick_code").to_owned(),
            cookie: false,
        })
    }

    /// Id of the target folder, when a file of this name and size may come into it.
    pub(super) fn room_for(&self, name: &str, size: u64, target: &str) -> Result<String, ApiError> {
        if name.chars().count() > 255 {
            return Err(ApiError::new(20_002, "文件名称过长"));
        }
        if name.contains('/') {
            return Err(ApiError::new(20_003, "文件名称不合法"));
        }
        let parent = folder_of(target).ok_or_else(|| ApiError::parameter("target"))?;
        if self.account.tree().live_dir(parent).is_none() {
            return Err(ApiError::new(20_009, "父目录不存在"));
        }
        if size > size_limit(&self.account) {
            return Err(ApiError::new(402, "文件大小超出限制"));
        }
        let (total, used) = self.space();
        if used.saturating_add(size) > total {
            return Err(ApiError::new(91_005, "空间不足"));
        }
        Ok(parent.to_owned())
    }

    /// `POST /open/upload/init`.
    pub(super) async fn init(&self) -> Result<Value, ApiError> {
        let wanted = self.wanted()?;
        let target = format!("U_1_{}", wanted.parent);
        Ok(granted(match self.decide(wanted).await? {
            Outcome::Hit(file) => json!({
                "pick_code": pickcode::encode(&file.id, false, self.account.number), "status": 2,
                "file_id": file.id, "target": target, "version": "4.0", "sign_key": "",
                "sign_check": "", "bucket": "", "object": "", "callback": [],
            }),
            Outcome::Miss(pick_code, task) => json!({
                "pick_code": pick_code, "status": 1, "file_id": "",
                "target": format!("U_1_{}", task.parent), "sign_key": "", "sign_check": "",
                "bucket": BUCKET, "object": task.object,
                "callback": self.callback_of(&pick_code, &task),
            }),
            Outcome::Asked(question) => {
                let (status, code, message) = match question.again {
                    true => (8, 702, "sign_val invalid"),
                    false => (7, 701, ""),
                };
                json!({
                    "pick_code": question.pick_code, "status": status, "code": code,
                    "message": message, "sign_key": question.key,
                    "sign_check": question.check, "file_id": "", "target": "", "bucket": "",
                    "object": "", "callback": [],
                })
            }
            // "sig invalid": no new question, start over.
            Outcome::Refused => json!({
                "pick_code": "", "status": 6, "code": 700, "message": "sig invalid",
                "sign_key": "", "sign_check": "", "file_id": "", "target": "", "bucket": "",
                "object": "", "callback": [],
            }),
        }))
    }

    /// Looks for the content, and asks the client about it.
    pub(super) async fn decide(&self, wanted: Wanted) -> Result<Outcome, ApiError> {
        let known = match wanted.size == 0 && wanted.sha1 == EMPTY_SHA1 {
            true => Some(Blob::bytes(Vec::new())),
            false => {
                let inventory = &self.sim.kit.inventory;
                inventory
                    .find(HashKind::Sha1, &wanted.sha1, wanted.size)
                    .await
            }
        };
        self.check_preid(known.as_ref()).await?;
        let knobs = &self.account.knobs;
        let long = wanted.size >= knobs.number("challenge_min", DEFAULT_CHALLENGE_MIN).max(1);
        let asked = !self.text("sign_key").is_empty();
        let Some(blob) = known else {
            if long && !asked && knobs.flag("challenge_unknown") {
                return Ok(Outcome::Asked(self.challenge(&wanted, false)));
            }
            return Ok(self.miss(wanted));
        };
        let id = match (long, asked) {
            (false, _) => self.sim.kit.ids.decimal(19),
            (true, false) => return Ok(Outcome::Asked(self.challenge(&wanted, false))),
            (true, true) => match self.answered(&wanted, &blob) {
                Some(id) => id,
                None if knobs.text("wrong_proof").as_deref() == Some("702") => {
                    return Ok(Outcome::Asked(self.challenge(&wanted, true)));
                }
                None => return Ok(Outcome::Refused),
            },
        };
        let file = self
            .sim
            .publish(
                &self.account,
                &wanted.parent,
                &wanted.name,
                &wanted.sha1,
                blob,
                id,
            )
            .await;
        self.account.meters.rapid(true);
        self.sim.state().tasks.retain(|_, task| {
            task.account.number != self.account.number
                || task.sha1 != wanted.sha1
                || task.parent != wanted.parent
                || task.name != wanted.name
        });
        Ok(Outcome::Hit(file))
    }

    /// The real server seems not to look at `preid`; knob `verify_preid` does.
    async fn check_preid(&self, known: Option<&Blob>) -> Result<(), ApiError> {
        let preid = self.text("preid");
        let (Some(blob), true) = (known, self.flag("verify_preid") && !preid.is_empty()) else {
            return Ok(());
        };
        let head = blob.digest(HashKind::HeadSha1(131_072)).await;
        match head.eq_ignore_ascii_case(preid) {
            true => Ok(()),
            false => Err(ApiError::parameter("preid")),
        }
    }

    /// Asks for a range, and remembers it.
    fn challenge(&self, wanted: &Wanted, again: bool) -> Question {
        let ids = &self.sim.kit.ids;
        let key = ids.hex(32).to_uppercase();
        let length = CHALLENGE_BYTES.min(wanted.size);
        let places = wanted.size - length + 1;
        let start = u64::from_str_radix(&ids.hex(16), 16).unwrap_or(0) % places.max(1);
        let id = ids.decimal(19);
        let pick_code = pickcode::encode(&id, false, self.account.number);
        let challenge = Challenge {
            account: self.account.number,
            sha1: wanted.sha1.clone(),
            size: wanted.size,
            start,
            id,
            expires: self.now().saturating_add(CHALLENGE_MS),
        };
        self.sim.state().challenges.insert(key.clone(), challenge);
        self.account.meters.challenge();
        let check = format!("{start}-{}", start + length.max(1) - 1);
        Question {
            key,
            check,
            pick_code,
            again,
        }
    }

    /// Id for the file when the challenge was answered rightly and in time. An answer is
    /// taken once.
    fn answered(&self, wanted: &Wanted, blob: &Blob) -> Option<String> {
        let now = self.now();
        let challenge = self.sim.state().challenges.remove(self.text("sign_key"))?;
        let fits = challenge.account == self.account.number
            && challenge.sha1 == wanted.sha1
            && challenge.size == wanted.size
            && now < challenge.expires;
        let right = sign_value(blob, challenge.start, CHALLENGE_BYTES.min(wanted.size));
        (fits && right == self.text("sign_val")).then_some(challenge.id)
    }

    /// The bytes are needed: a new task, or the one that `pick_code` continues.
    fn miss(&self, wanted: Wanted) -> Outcome {
        self.account.meters.rapid(false);
        let number = self.account.number;
        let mut state = self.sim.state();
        let continued = state.tasks.get(&wanted.continues).filter(|task| {
            task.account.number == number && task.sha1 == wanted.sha1 && task.size == wanted.size
        });
        let (pick_code, task) = match continued {
            Some(task) => (wanted.continues, task.clone()),
            None => {
                let ids = &self.sim.kit.ids;
                let id = ids.decimal(19);
                let task = Task {
                    account: self.account.clone(),
                    id: id.clone(),
                    name: wanted.name,
                    size: wanted.size,
                    sha1: wanted.sha1,
                    parent: wanted.parent,
                    object: ids.hex(40),
                    created: self.now(),
                    uid: wanted.cookie.then(|| ids.hex(32)),
                };
                let pick_code = pickcode::encode(&id, false, number);
                state.tasks.insert(pick_code.clone(), task.clone());
                (pick_code, task)
            }
        };
        Outcome::Miss(pick_code, task)
    }

    /// The two texts that the client hands to the store as they are.
    pub(super) fn callback_of(&self, pick_code: &str, task: &Task) -> Value {
        let mut body = CALLBACK_BODY.to_owned();
        let mut var = json!({
            "x:pick_code": pick_code, "x:user_id": user_id(&self.account).to_string(),
            "x:behavior_type": "0", "x:source": task.source(),
            "x:target": format!("U_1_{}", task.parent),
        });
        if let (Some(uid), Some(var)) = (&task.uid, var.as_object_mut()) {
            body.push_str("&task_uid=${x:task_uid}");
            var.insert("x:task_uid".to_owned(), json!(uid));
        }
        let callback = json!({ "callbackUrl": CALLBACK_URL, "callbackBody": body });
        let both = json!({ "callback": callback.to_string(), "callback_var": var.to_string() });
        match self.flag("callback_array") {
            true => json!([both]),
            false => both,
        }
    }

    /// `POST /open/upload/resume`. `fileid` and `file_size` are wanted, but not compared.
    pub(super) fn resume(&self) -> Result<Value, ApiError> {
        let pick_code = self.required("pick_code")?;
        for key in ["target", "fileid", "file_size"] {
            self.required(key)?;
        }
        let own = |task: &&Task| task.account.number == self.account.number;
        let task = self.sim.state().tasks.get(pick_code).filter(own).cloned();
        let task = task.ok_or_else(|| ApiError::new(50_003, "提取码不存在"))?;
        let target = format!("U_1_{}", task.parent);
        if self.text("target") != target {
            return Err(ApiError::parameter("target"));
        }
        Ok(granted(json!({
            "pick_code": pick_code, "target": target, "version": "4.0", "bucket": BUCKET,
            "object": task.object, "callback": self.callback_of(pick_code, &task),
        })))
    }

    /// `GET /open/upload/get_token`: good for every object of the bucket.
    pub(super) fn upload_token(&self) -> Result<Value, ApiError> {
        let (sts, expiration) = self.sim.store_key(&self.account);
        Ok(granted(json!({
            "endpoint": format!("{}/oss", self.sim.kit.base),
            "AccessKeyId": sts.access_key_id, "AccessKeySecret": sts.access_key_secret,
            "SecurityToken": sts.security_token, "expiration": expiration,
        })))
    }
}

impl Pan115 {
    /// A key of the store, and when it expires as the answers write it.
    pub(super) fn store_key(&self, account: &Arc<Account>) -> (Sts, String) {
        let sts = self.oss.issue(account, BUCKET, None, TOKEN_MS);
        let expiration = rfc3339(sts.expires.div_euclid(1000) * 1000).replace(".000Z", "Z");
        (sts, expiration)
    }

    /// Makes a file of a content that is there. The same content under the same name in
    /// the same folder is the entry that exists already (section 6.1); another content of
    /// the name is a second entry (7.7). A folder that went away meanwhile is the root.
    pub(super) async fn publish(
        &self,
        account: &Arc<Account>,
        parent: &str,
        name: &str,
        sha1: &str,
        blob: Blob,
        id: String,
    ) -> Node {
        let namesakes: Vec<Node> = {
            let tree = account.tree();
            tree.find(parent, name).into_iter().cloned().collect()
        };
        let mut existing = None;
        for node in namesakes.into_iter().filter(|node| !node.is_dir()) {
            if sha1_of(&node).await == sha1 {
                existing = Some(node.id);
                break;
            }
        }
        self.kit.inventory.add(&blob);
        let now = self.kit.clock.now_ms();
        let mut tree = account.tree();
        if let Some(id) = existing
            && tree.update(&id, |node| node.modified = now)
            && let Some(node) = tree.get(&id)
        {
            return node.clone();
        }
        let parent = match tree.live_dir(parent) {
            Some(_) => parent,
            None => ROOT,
        };
        let node = Node::file(&id, parent, name, blob, now);
        tree.insert(node.clone());
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `gen(n)` of the vectors.
    fn generated(n: u64) -> Blob {
        let byte = |i: u64| ((31 * i + 7 * (i / 256) + 11) % 256) as u8;
        Blob::bytes((0..n).map(byte).collect::<Vec<u8>>())
    }

    #[test]
    fn published_sign_values() {
        let long = generated(1_048_577);
        let sha1 = "7C185107EA601E73DA9617E6767CBD7BC919BEB3";
        assert_eq!(sign_value(&long, 524_288, 128), sha1);
        assert_eq!(
            long.digest_now(HashKind::Sha1).to_uppercase(),
            "58DFCCB4D6714697ADC5A71820A4A5C07C3443C3"
        );
        assert_eq!(
            long.digest_now(HashKind::HeadSha1(131_072)).to_uppercase(),
            "7BD9BD1E93536AC9B62094E914A49FFE62D916B6"
        );
        let sha1 = "067D5096F219C64B53BB1C7D5E3754285B565A47";
        assert_eq!(sign_value(&generated(200_000), 0, 1), sha1);
        assert_eq!(
            Blob::bytes(Vec::new())
                .digest_now(HashKind::Sha1)
                .to_uppercase(),
            EMPTY_SHA1
        );
    }

    #[test]
    fn targets() {
        assert_eq!(folder_of("U_1_0"), Some("0"));
        assert_eq!(
            folder_of("U_1_2998877665544332211"),
            Some("2998877665544332211")
        );
        for bad in ["", "0", "U_1_", "U_2_0", "S_5_0", "U_1_x"] {
            assert_eq!(folder_of(bad), None, "{bad}");
        }
    }
}
