//! Clients, devices and tokens: access for two hours, refresh single-use and bound to the client
//! that got it (sections 2.1, 2.2 and 2.5).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::digest::md5_hex;
use super::super::faults::FaultKind;
use super::Guangya;
use super::args::Args;
use super::errors::{ApiError, account_error, account_injected, plain};
use super::gate::{header, number};

/// A public client (section 2.2).
struct Client {
    id: &'static str,
    secret: Option<&'static str>,
    /// Device type of business calls.
    dt: &'static str,
}

/// The browser's client, and that of the program for Windows.
const WEB: Client = Client {
    id: "aMe-8VSlkrbQXpUR",
    secret: None,
    dt: "4",
};
const PC: Client = Client {
    id: "aMe_SVSlkrbQXpUT",
    secret: Some("FNAfp5IFEfCn5MYsIUTewg"),
    dt: "5",
};

struct Access {
    account: Arc<Account>,
    client: &'static str,
    device: String,
    expires: i64,
    /// A fault or a setting ended it.
    ended: Option<ApiError>,
}

struct Refresh {
    account: Arc<Account>,
    client: &'static str,
    device: String,
    spent: bool,
}

/// The tokens handed out.
#[derive(Default)]
pub(super) struct Tokens {
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
}

impl Tokens {
    /// All logins of an account end.
    pub(super) fn end_all(&mut self, account: &Account) {
        let own = |other: &Account| other.profile == account.profile;
        for access in self.access.values_mut() {
            if own(&access.account) {
                access.ended = Some(ApiError::bad_token());
            }
        }
        for refresh in self.refresh.values_mut() {
            refresh.spent |= own(&refresh.account);
        }
    }
}

/// The device id that the profiles carry.
fn device_id(account: &Account) -> String {
    md5_hex(format!("device of {}", account.profile).as_bytes())
}

fn user_id(account: &Account) -> String {
    format!("u{}", 194_000 + account.number)
}

/// Whether a text is a device id: 32 lower-case hex digits.
fn is_device(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 32 && text.bytes().all(digit)
}

impl Guangya {
    fn new_access(&self, account: &Arc<Account>, client: &'static str, device: &str) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let life = number(account, "access_seconds", 7200).saturating_mul(1000);
        let expires = self.kit.clock.now_ms().saturating_add(life);
        let claims = json!({
            "iss": "https://account.guangyapan.com", "sub": user_id(account), "aud": client,
            "exp": expires / 1000, "iat": self.kit.clock.now_s(), "scope": "user",
        });
        let head = part(json!({ "alg": "RS256" }));
        let token = format!("{head}.{}.{}", part(claims), self.kit.ids.hex(43));
        let access = Access {
            account: account.clone(),
            client,
            device: device.to_owned(),
            expires,
            ended: None,
        };
        self.state().tokens.access.insert(token.clone(), access);
        token
    }

    fn new_refresh(&self, account: &Arc<Account>, client: &'static str, device: &str) -> String {
        let token = format!("gy.{}", self.kit.ids.hex(48));
        let refresh = Refresh {
            account: account.clone(),
            client,
            device: device.to_owned(),
            spent: false,
        };
        self.state().tokens.refresh.insert(token.clone(), refresh);
        token
    }

    /// Fields and secrets of a profile: a login of its own at each call.
    pub(super) fn new_login(
        &self,
        account: &Arc<Account>,
    ) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let client = match account.knobs.text("client").as_deref() {
            Some("pc") => PC,
            _ => WEB,
        };
        let device = device_id(account);
        let which = account.knobs.text("secrets").unwrap_or_default();
        let mut secrets = BTreeMap::new();
        if which != "access" {
            let token = self.new_refresh(account, client.id, &device);
            secrets.insert("refresh_token".to_owned(), token);
        }
        if matches!(which.as_str(), "access" | "both") {
            let token = self.new_access(account, client.id, &device);
            secrets.insert("access_token".to_owned(), token);
        }
        let fields = BTreeMap::from([
            ("did".to_owned(), device),
            ("dt".to_owned(), client.dt.to_owned()),
        ]);
        (fields, secrets)
    }

    /// The account and token of a request, whether or not the token is still good.
    pub(super) fn bearer(&self, headers: &HeaderMap) -> Result<(Arc<Account>, String), ApiError> {
        let token = header(headers, "authorization").strip_prefix("Bearer ");
        let token = token.ok_or_else(ApiError::not_logged_in)?;
        let state = self.state();
        let access = state.tokens.access.get(token);
        let access = access.ok_or_else(ApiError::bad_token)?;
        Ok((access.account.clone(), token.to_owned()))
    }

    /// Whether the token is still good; the fault `expire_token` ends it for good.
    pub(super) fn check_token(
        &self,
        account: &Account,
        op: &str,
        token: &str,
    ) -> Result<(), ApiError> {
        let expire = account.faults.take(op, FaultKind::ExpireToken).is_some();
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let access = state.tokens.access.get_mut(token);
        let access = access.ok_or_else(ApiError::bad_token)?;
        if expire {
            access.ended = Some(ApiError::token_expired());
        }
        match &access.ended {
            Some(error) => Err(error.clone()),
            None if now >= access.expires => Err(ApiError::token_expired()),
            None => Ok(()),
        }
    }

    /// The headers of a business call: device type and device, and for the PC client its id
    /// (sections 2.2 and 11, note 1). The device is that of the login or refresh.
    pub(super) fn check_device(&self, token: &str, headers: &HeaderMap) -> Result<(), ApiError> {
        let dt = header(headers, "dt");
        if dt != WEB.dt && dt != PC.dt {
            return Err(ApiError::parameter("dt"));
        }
        let (did, device) = (header(headers, "did"), header(headers, "x-device-id"));
        let device = match (did, device) {
            (did, "") => did,
            ("", device) => device,
            (did, device) if did == device => device,
            _ => return Err(ApiError::parameter("did, x-device-id")),
        };
        if !is_device(device) {
            return Err(ApiError::parameter("did"));
        }
        let client = header(headers, "x-client-id");
        if client.is_empty() && dt == PC.dt {
            return Err(ApiError::parameter("x-client-id"));
        }
        let state = self.state();
        let access = state.tokens.access.get(token);
        let access = access.ok_or_else(ApiError::bad_token)?;
        let same_client = client.is_empty() || client == access.client;
        match same_client && device == access.device {
            true => Ok(()),
            false => Err(ApiError::bad_token()),
        }
    }

    /// Every call of the account service.
    pub(super) async fn account_service(
        Shared(sim): Shared<Arc<Guangya>>,
        request: Request,
    ) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(bytes) = to_bytes(body, 1 << 20).await else {
            return plain(413, "413 Request Entity Too Large");
        };
        match (parts.method.as_str(), parts.uri.path()) {
            ("GET" | "POST", "/v1/user/me") => sim.user_call(&parts.headers).await,
            ("POST", "/v1/auth/token") => sim.refresh_call(&parts.headers, &bytes).await,
            (_, "/v1/user/me" | "/v1/auth/token") => plain(405, "405 method not allowed"),
            _ => account_error(404, "not_found", 5, "no such resource"),
        }
    }

    async fn user_call(&self, headers: &HeaderMap) -> Response {
        let refused = || account_error(401, "unauthenticated", 16, "token is invalid or expired");
        let Ok((account, token)) = self.bearer(headers) else {
            return refused();
        };
        let gate = account.clone();
        let work = async {
            if self.check_token(&account, "user_info", &token).is_err() {
                return refused();
            }
            Json(json!({
                "sub": user_id(&account), "name": account.profile, "picture": "",
                "phone_number": format!("+86 138****{:04}", account.number),
                "created_at": "2026-01-01T00:00:00Z", "status": "ACTIVE",
            }))
            .into_response()
        };
        gate.serve("user_info", account_injected, work).await
    }

    /// `POST /v1/auth/token`.
    async fn refresh_call(&self, headers: &HeaderMap, body: &[u8]) -> Response {
        let invalid = |text: &str| account_error(400, "invalid_argument", 3, text);
        let Ok(args) = Args::read(header(headers, "content-type"), body) else {
            return invalid("the body is not a JSON object");
        };
        let token = args.text("refresh_token").unwrap_or("");
        let account = {
            let state = self.state();
            let known = state.tokens.refresh.get(token);
            known.map(|refresh| refresh.account.clone())
        };
        let work = async {
            match self.refresh(headers, &args) {
                Ok(answer) => Json(answer).into_response(),
                Err((error, code, text)) => account_error(400, error, code, text),
            }
        };
        match account {
            Some(account) => account.serve("refresh", account_injected, work).await,
            None => work.await,
        }
    }

    fn refresh(
        &self,
        headers: &HeaderMap,
        args: &Args,
    ) -> Result<Value, (&'static str, i64, &'static str)> {
        let text = |name: &str| args.text(name).unwrap_or("");
        let client = [WEB, PC].into_iter().find(|c| c.id == text("client_id"));
        let client = client.ok_or(("invalid_client", 3, "unknown client"))?;
        let sent = text("client_secret");
        if client.secret.is_some_and(|secret| secret != sent) {
            return Err(("invalid_client", 3, "wrong client secret"));
        }
        if header(headers, "x-client-id") != client.id {
            return Err(("invalid_client", 3, "x-client-id"));
        }
        let device = header(headers, "x-device-id");
        if !is_device(device) {
            return Err(("invalid_argument", 3, "x-device-id"));
        }
        if text("grant_type") != "refresh_token" {
            return Err(("unsupported_grant_type", 3, "grant_type"));
        }
        let (account, keeps) = {
            let mut state = self.state();
            let token = state.tokens.refresh.get_mut(text("refresh_token"));
            let token = token.filter(|token| {
                let bound = token.account.knobs.flag("bind_device");
                !token.spent && token.client == client.id && (!bound || token.device == device)
            });
            let token = token.ok_or((
                "invalid_grant",
                4126,
                "the refresh token is invalid or was used already",
            ))?;
            let keeps = token.account.knobs.text("rotate").as_deref() == Some("off");
            token.spent = !keeps;
            (token.account.clone(), keeps)
        };
        account.meters.refresh();
        let access = self.new_access(&account, client.id, device);
        let mut answer = Map::from_iter([
            ("token_type".to_owned(), json!("Bearer")),
            ("access_token".to_owned(), json!(access)),
            (
                "expires_in".to_owned(),
                json!(account.knobs.number("access_seconds", 7200)),
            ),
            ("sub".to_owned(), json!(user_id(&account))),
        ]);
        if !keeps {
            let next = self.new_refresh(&account, client.id, device);
            answer.insert("refresh_token".to_owned(), json!(next));
        }
        Ok(match account.knobs.text("token_form").as_deref() {
            Some("data") => json!({ "data": answer }),
            _ => Value::Object(answer),
        })
    }
}
