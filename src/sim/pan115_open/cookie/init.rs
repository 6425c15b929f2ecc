//! The upload host: init inside ec115 with its signature and token, resume, the store's
//! token (115_open.md sections 6.2, 7.1, 7.5). It asks for no cookies: who calls says the
//! form, and the signature proves it.

use std::sync::Arc;

use axum::Json;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::super::account::Account;
use super::super::super::clock::Clock;
use super::super::super::digest::{md5_hex, sha1_hex};
use super::super::super::faults::FaultKind;
use super::super::errors::ApiError;
use super::super::upload::{BUCKET, Outcome, Task, Wanted};
use super::super::{Ctx, Pan115, Params, pickcode, user_id};
use super::ec115::{self, Channel};
use super::gate::{is_form, sealed, user_agent};
use super::web::user_key;
use super::{Host, blocked, browser_version, version_parts};

/// How far the time in a token may be off.
const MAX_SKEW_MS: i64 = 15 * 60 * 1000;
const TOKEN_SALT: &str = "Qclm8MGWUv59TnrR0XPg";
/// The oldest version that the server serves.
const OLDEST: &str = "27.0.5.7";

/// A refusal of this host.
struct Refusal {
    status: u8,
    code: i64,
    message: String,
}

impl Refusal {
    fn new(status: u8, code: i64, message: &str) -> Refusal {
        Refusal {
            status,
            code,
            message: message.to_owned(),
        }
    }

    fn signature() -> Refusal {
        Refusal::new(6, 700, "sig invalid")
    }

    fn token(what: &str) -> Refusal {
        Refusal::new(0, 400, &format!("token invalid: {what}"))
    }

    fn field(name: &str) -> Refusal {
        Refusal::new(0, 402, &format!("参数错误: {name}"))
    }

    fn old_app() -> Refusal {
        Refusal::new(4, 403, "请升级到最新版本")
    }

    fn injected(arg: &str) -> Refusal {
        let error = ApiError::from_fault(arg);
        match error.code() {
            700 => Refusal::signature(),
            403 => Refusal::old_app(),
            code => Refusal::new(0, code, error.message()),
        }
    }

    fn document(&self) -> Value {
        let version = if self.code == 403 { "3.0" } else { "4.0" };
        json!({
            "request": "upload", "status": self.status, "statuscode": self.code,
            "statusmsg": self.message, "pickcode": "", "target": "", "version": version,
            "sign_key": "", "sign_check": "",
        })
    }
}

/// What the room for a file was refused with, as this host says it.
impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        match error.code() {
            code @ 91_005 => Refusal::new(0, code, error.message()),
            _ => Refusal::new(0, 402, error.message()),
        }
    }
}

/// `sig`: proves the user's key.
pub(super) fn signature(user_key: &str, user: &str, file: &str, target: &str) -> String {
    let inner = sha1_hex(format!("{user}{file}{target}0").as_bytes());
    sha1_hex(format!("{user_key}{inner}000000").as_bytes()).to_uppercase()
}

/// `token`: over the fields as they were sent.
pub(super) fn token(params: &Params) -> String {
    let text = |key| params.text(key);
    let user = text("userid");
    md5_hex(
        [
            TOKEN_SALT,
            text("fileid"),
            text("filesize"),
            text("sign_key"),
            text("sign_val"),
            user,
            text("t"),
            &md5_hex(user.as_bytes()),
            text("appversion"),
        ]
        .concat()
        .as_bytes(),
    )
}

/// Whether `t`, seconds or milliseconds, is about now. Clients use the system's clock or
/// the world's: either is right.
fn timely(t: &str, world: i64) -> bool {
    let Ok(number) = t.parse::<i64>() else {
        return false;
    };
    let ms = match number > 100_000_000_000 {
        true => number,
        false => number.saturating_mul(1000),
    };
    let clocks = [Clock::real_ms(), world];
    clocks
        .iter()
        .any(|now| now.saturating_sub(ms).saturating_abs() <= MAX_SKEW_MS)
}

impl Pan115 {
    /// The account of a user id.
    fn user(&self, id: &str) -> Option<Arc<Account>> {
        let mut accounts = self.kit.accounts.iter();
        accounts
            .find(|account| user_id(account).to_string() == id)
            .cloned()
    }

    /// Whom a call of nobody counts for: whose cookies came along, else who began the latest
    /// upload of this mode, else the first account.
    fn nearest(&self, headers: &HeaderMap) -> Option<Arc<Account>> {
        if let Ok((account, _)) = self.session(headers) {
            return Some(account);
        }
        let latest = {
            let state = self.state();
            let tasks = state.tasks.values().filter(|task| task.uid.is_some());
            tasks
                .max_by_key(|task| (task.created, task.id.clone()))
                .map(|task| task.account.clone())
        };
        latest.or_else(|| self.kit.accounts.first().cloned())
    }

    /// `POST uplb/4.0/initupload.php`.
    pub(super) async fn sealed_init(&self, parts: &Parts, query: &Params, body: &[u8]) -> Response {
        let plain = |refusal: Refusal| Json(refusal.document()).into_response();
        let k_ec = query.text("k_ec");
        let channel = ec115::token(k_ec).and_then(|token| Channel::with(&token.public));
        let form = channel.and_then(|channel| Some((channel, channel.open(body)?)));
        let Some((channel, form)) = form else {
            // Whom it is from cannot be read; an answer that it could read neither.
            if let Some(account) = self.nearest(&parts.headers) {
                account.meters.request("init");
            }
            return plain(match k_ec {
                "" => Refusal::old_app(),
                _ => Refusal::new(0, 400, "k_ec invalid"),
            });
        };
        let free = self.free_bytes();
        let answer = |document: &Value| sealed(&channel, document, free);
        let params = Params::parse(&form);
        let Some(account) = self.user(params.text("userid")) else {
            return answer(&Refusal::field("userid").document());
        };
        let page = account.faults.take("init", FaultKind::Html);
        let gate = account.clone();
        let work = async {
            if let Some(arg) = page {
                return blocked(arg.trim().parse().unwrap_or(405));
            }
            if let Some(page) = self.front(&account, Some(Host::Upload)) {
                return page;
            }
            let ctx = Ctx {
                sim: self,
                account,
                op: "init",
                params,
                user_agent: user_agent(&parts.headers),
            };
            match ctx.sealed_init(&parts.headers).await {
                Ok(document) => answer(&document),
                Err(refusal) => answer(&refusal.document()),
            }
        };
        let injected = |arg: &str| answer(&Refusal::injected(arg).document());
        gate.serve("init", injected, work).await
    }

    /// The other calls of the host, none of them encrypted.
    pub(super) async fn upload_host(
        &self,
        op: &'static str,
        headers: &HeaderMap,
        params: Params,
    ) -> Response {
        let found = match op {
            "resume" => self.user(params.text("userid")),
            _ => self.nearest(headers),
        };
        let Some(account) = found else {
            return Json(Refusal::field("userid").document()).into_response();
        };
        let page = account.faults.take(op, FaultKind::Html);
        let gate = account.clone();
        let work = async {
            if let Some(arg) = page {
                return blocked(arg.trim().parse().unwrap_or(405));
            }
            if let Some(page) = self.front(&account, Some(Host::Upload)) {
                return page;
            }
            Json(match op {
                "resume" => {
                    let ctx = Ctx {
                        sim: self,
                        account,
                        op,
                        params,
                        user_agent: user_agent(headers),
                    };
                    ctx.resumed().unwrap_or_else(|refusal| refusal.document())
                }
                "upload_token" => {
                    let (sts, expiration) = self.store_key(&account);
                    json!({
                        "StatusCode": "200", "AccessKeyId": sts.access_key_id,
                        "AccessKeySecret": sts.access_key_secret,
                        "SecurityToken": sts.security_token, "Expiration": expiration,
                    })
                }
                _ => json!({
                    "endpoint": format!("{}/oss", self.kit.base),
                    "gettokenurl": format!("{}/uplb/3.0/gettoken.php", self.kit.base),
                }),
            })
            .into_response()
        };
        let injected = |arg: &str| match op {
            "resume" => Json(Refusal::injected(arg).document()).into_response(),
            _ => {
                let code = ApiError::from_fault(arg).code().to_string();
                Json(json!({ "StatusCode": code, "ErrorCode": code })).into_response()
            }
        };
        gate.serve(op, injected, work).await
    }
}

impl Ctx<'_> {
    /// Whether the app may upload: its version is a new one, and the one it shows.
    fn check_app(&self) -> Result<(), Refusal> {
        let version = self.text("appversion");
        let oldest = self.account.knobs.text("min_appversion");
        let oldest = oldest.as_deref().unwrap_or(OLDEST);
        if version_parts(version).is_none() || version_parts(version) < version_parts(oldest) {
            return Err(Refusal::old_app());
        }
        let any = self.account.knobs.text("user_agent").as_deref() == Some("any");
        match any || browser_version(&self.user_agent) == Some(version) {
            true => Ok(()),
            false => Err(Refusal::old_app()),
        }
    }

    /// The form of an init, when signature, token and every field are right.
    fn proven(&self, headers: &HeaderMap) -> Result<Wanted, Refusal> {
        if !is_form(headers) {
            return Err(Refusal::field("Content-Type"));
        }
        self.check_app()?;
        let (user, file, target) = (
            self.text("userid"),
            self.text("fileid"),
            self.text("target"),
        );
        let key = user_key(&self.account);
        if self.text("sig") != signature(&key, user, file, target) {
            return Err(Refusal::signature());
        }
        if self.text("token") != token(&self.params) {
            return Err(Refusal::token("token"));
        }
        if !timely(self.text("t"), self.now()) {
            return Err(Refusal::token("t"));
        }
        let own =
            |field: &str, right: &str| matches!(self.text(field), "") || self.text(field) == right;
        if !own("userkey", &key) {
            return Err(Refusal::field("userkey"));
        }
        if !own("appid", "0") {
            return Err(Refusal::field("appid"));
        }
        if !own("quickid", file) {
            return Err(Refusal::field("quickid"));
        }
        let upper = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
        if file.len() != 40 || !file.bytes().all(upper) {
            return Err(Refusal::field("fileid"));
        }
        // Clients that leave out what is zero leave out the size of an empty file.
        let size = match self.text("filesize") {
            "" => "0",
            size => size,
        };
        let size: u64 = size.parse().map_err(|_| Refusal::field("filesize"))?;
        let name = self.text("filename");
        if name.is_empty() {
            return Err(Refusal::field("filename"));
        }
        if self.text("sign_key").is_empty() != self.text("sign_val").is_empty() {
            return Err(Refusal::field("sign_val"));
        }
        let parent = self.room_for(name, size, target)?;
        Ok(Wanted {
            name: name.to_owned(),
            size,
            sha1: file.to_owned(),
            parent,
            continues: self.text("pickcode").to_owned(),
            cookie: true,
        })
    }

    /// A status, a text when the numbers of this account are.
    fn status(&self, number: u8) -> Value {
        self.figure(number)
    }

    async fn sealed_init(&self, headers: &HeaderMap) -> Result<Value, Refusal> {
        let wanted = self.proven(headers)?;
        let target = self.text("target");
        Ok(match self.decide(wanted).await? {
            Outcome::Hit(file) => json!({
                "request": "upload", "status": self.status(2), "statuscode": 0, "statusmsg": "",
                "pickcode": pickcode::encode(&file.id, false, self.account.number),
                "target": target, "version": "4.0", "fileid": 0, "fileinfo": "",
            }),
            Outcome::Miss(pick_code, task) => self.needed(&pick_code, &task),
            Outcome::Asked(question) => {
                let (status, code, message) = match question.again {
                    true => (8, 702, "sign_val invalid"),
                    false => (7, 701, ""),
                };
                json!({
                    "request": "upload", "status": self.status(status), "statuscode": code,
                    "statusmsg": message, "pickcode": "", "target": target, "version": "4.0",
                    "sign_key": question.key, "sign_check": question.check,
                })
            }
            Outcome::Refused => Refusal::signature().document(),
        })
    }

    /// Where the bytes are wanted.
    fn needed(&self, pick_code: &str, task: &Task) -> Value {
        json!({
            "request": "upload", "status": self.status(1), "statuscode": 0, "statusmsg": "",
            "pickcode": pick_code, "target": format!("U_1_{}", task.parent), "version": "4.0",
            "bucket": BUCKET, "object": task.object,
            "callback": self.callback_of(pick_code, task),
        })
    }

    /// `POST uplb/3.0/resumeupload.php`. `fileid` and `filesize` are wanted, but not compared.
    fn resumed(&self) -> Result<Value, Refusal> {
        for key in ["pickcode", "target", "fileid", "filesize"] {
            if self.text(key).is_empty() {
                return Err(Refusal::field(key));
            }
        }
        let pick_code = self.text("pickcode");
        let own = |task: &&Task| task.account.number == self.account.number;
        let task = self.sim.state().tasks.get(pick_code).filter(own).cloned();
        let task = task.ok_or_else(|| Refusal::field("pickcode"))?;
        match self.text("target") == format!("U_1_{}", task.parent) {
            true => Ok(self.needed(pick_code, &task)),
            false => Err(Refusal::field("target")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors;
    use super::*;

    #[test]
    fn published_signatures_and_tokens() {
        let all = vectors()["cookie_sig_token"].clone();
        let all = all.as_array().unwrap();
        assert_eq!(all.len(), 4);
        for vector in all {
            let text = |key: &str| match &vector[key] {
                Value::String(text) => text.clone(),
                number => number.to_string(),
            };
            let fields = [
                "userid",
                "fileid",
                "filesize",
                "sign_key",
                "sign_val",
                "t",
                "appversion",
            ];
            let form: Vec<String> = fields
                .iter()
                .map(|key| format!("{key}={}", text(key)))
                .collect();
            let params = Params::parse(&form.join("&"));
            assert_eq!(token(&params), text("token"), "{}", text("name"));
            assert_eq!(
                signature(
                    &text("userkey"),
                    &text("userid"),
                    &text("fileid"),
                    &text("target")
                ),
                text("sig"),
                "{}",
                text("name")
            );
        }
    }

    #[test]
    fn times() {
        let now = Clock::real_ms();
        for good in [now, now / 1000, now - 800_000, now / 1000 + 800] {
            assert!(timely(&good.to_string(), 0), "{good}");
        }
        for bad in [now - 1_000_000, now / 1000 + 1_000, 0, -1] {
            assert!(!timely(&bad.to_string(), now), "{bad}");
        }
        let ahead = now + 86_400_000;
        assert!(
            timely(&(ahead / 1000).to_string(), ahead),
            "the world's clock"
        );
        assert!(!timely("soon", now));
    }
}
