//! Log-in with a password: two stages for the Android clients, one for the international app
//! (xunlei.md sections 2.6 and 2.7).

use std::sync::Arc;

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::auth::{check_client, no_bearer};
use super::clients::{APP_ID, Client, X_ID};
use super::errors::ApiError;
use super::gate::header;
use super::{Xunlei, clients, is_device, login, text, user_id};

/// How a user agent of the first stage begins.
const AGENT: &str = "android-ok-http-client/xl-acc-sdk/version-";

/// What the first stage made.
pub(super) struct Session {
    account: Arc<Account>,
    client: &'static str,
    device: String,
}

/// A refusal of the first stage. The sheet has no numbers for it: 6 is any other than 0.
fn refused(error: &str, more: Value) -> Value {
    let mut answer = Map::from_iter([
        ("errorCode".to_owned(), json!("6")),
        ("error".to_owned(), json!(error)),
        ("errorDescription".to_owned(), json!(error)),
    ]);
    if let Value::Object(more) = more {
        answer.extend(more);
    }
    Value::Object(answer)
}

/// The client of a first stage, and the device that its `devicesign` was made for.
fn signed_by(headers: &HeaderMap, body: &Value) -> Option<(&'static Client, String)> {
    let all_texts = body
        .as_object()
        .is_some_and(|body| body.values().all(Value::is_string));
    let client = clients::by_appid(text(body, "appid"))?;
    let agent = header(headers, "user-agent").strip_prefix(AGENT)?;
    let app_name = format!("ANDROID-{}", client.package);
    let constants = [
        ("protocolVersion", "301"),
        ("platformVersion", "10"),
        ("isCompressed", "0"),
        ("isMd5Pwd", "0"),
        ("clientVersion", client.version),
        ("appName", &app_name),
        ("sdkVersion", client.sdk),
    ];
    let fits = constants
        .iter()
        .all(|(key, value)| text(body, key) == *value);
    let sent = text(body, "devicesign");
    let device = sent.strip_prefix("div101.")?.get(..32)?;
    let genuine = is_device(device) && client.device_sign(device) == sent;
    let known_agent = !client.login_agent.is_empty() && agent == client.login_agent;
    (all_texts && fits && genuine && known_agent).then(|| (client, device.to_owned()))
}

impl Xunlei {
    /// The account of a user name.
    pub(super) fn by_login(&self, name: &str) -> Option<Arc<Account>> {
        let mut all = self.kit.accounts.iter();
        all.find(|account| login(account).0 == name).cloned()
    }

    /// The account of a user name and its password.
    fn by_password(&self, name: &str, password: &str) -> Option<Arc<Account>> {
        self.by_login(name)
            .filter(|account| login(account).1 == password)
    }

    /// `POST /xluser.core.login/v3/login`. Its refusals are HTTP 200 with a code.
    pub(super) async fn core_login_call(&self, headers: &HeaderMap, body: &Value) -> Response {
        let work = async { Json(self.core_login(headers, body)).into_response() };
        match self.by_login(text(body, "userName")) {
            Some(account) => account.serve("core_login", ApiError::injected, work).await,
            None => work.await,
        }
    }

    fn core_login(&self, headers: &HeaderMap, body: &Value) -> Value {
        let Some((client, device)) = signed_by(headers, body) else {
            return refused("invalid_request", Value::Null);
        };
        let account = self.by_password(text(body, "userName"), text(body, "passWord"));
        let Some(account) = account else {
            return refused("account_or_password_error", Value::Null);
        };
        let sent = text(body, "creditkey");
        let mut state = self.state();
        if let Some(key) = account.knobs.text("review_key") {
            if sent != key || state.spent_keys.contains(sent) {
                let panel = json!({
                    "creditkey": format!("ck.{}", self.kit.ids.hex(32)), "verifyType": "SMS",
                    "reviewurl": "https://i.xunlei.com/xlcaptcha/android.html?action=review",
                });
                return refused("review_panel", panel);
            }
            state.spent_keys.insert(key);
        }
        let id = format!("cs001.{}", self.kit.ids.hex(32));
        let session = Session {
            account: account.clone(),
            client: client.id,
            device,
        };
        state.sessions.insert(id.clone(), session);
        json!({
            "errorCode": "0", "error": "success", "errorDescription": "", "sessionID": id,
            "userID": user_id(&account), "userName": login(&account).0, "nickName": "",
            "loginKey": self.kit.ids.hex(32), "secureKey": self.kit.ids.hex(32), "creditkey": "",
            "expires_in": 43_200, "keepAlivePeriod": 1_800,
        })
    }

    /// `POST /v1/auth/signin/token`: the second stage.
    pub(super) async fn session_call(&self, headers: &HeaderMap, body: &Value) -> Response {
        let id = text(body, "signin_token");
        let known = self.state().sessions.get(id).map(|s| s.account.clone());
        let Some(account) = known else {
            return ApiError::invalid_grant().into_response();
        };
        let work = async {
            self.session(&account, headers, body)
                .unwrap_or_else(IntoResponse::into_response)
        };
        account.serve("signin", ApiError::injected, work).await
    }

    fn session(
        &self,
        account: &Arc<Account>,
        headers: &HeaderMap,
        body: &Value,
    ) -> Result<Response, ApiError> {
        no_bearer(headers)?;
        let client = check_client(body, true)?;
        if text(body, "provider") != "access_end_point_token" {
            return Err(ApiError::bad_request("unknown provider"));
        }
        let captcha = match header(headers, "x-captcha-token") {
            "" => text(body, "captcha_token"),
            token => token,
        };
        let device = {
            let state = self.state();
            let session = state.sessions.get(text(body, "signin_token"));
            let session = session.filter(|session| session.client == client.id);
            let session = session.ok_or_else(ApiError::invalid_grant)?;
            session.device.clone()
        };
        self.check_login_captcha(captcha, &login(account).0, &device, client.id)?;
        self.signed_in(account, client)
    }

    /// `POST /v1/auth/signin`: the international app.
    pub(super) async fn signin_call(&self, headers: &HeaderMap, body: &Value) -> Response {
        let work = async {
            self.signin(headers, body)
                .unwrap_or_else(IntoResponse::into_response)
        };
        match self.by_login(text(body, "username")) {
            Some(account) => account.serve("signin", ApiError::injected, work).await,
            None => work.await,
        }
    }

    fn signin(&self, headers: &HeaderMap, body: &Value) -> Result<Response, ApiError> {
        no_bearer(headers)?;
        let client = check_client(body, true)?;
        if client.id != X_ID {
            return Err(ApiError::bad_request("this client logs in in two stages"));
        }
        let device = header(headers, "x-device-id");
        if !is_device(device) {
            return Err(ApiError::bad_request("x-device-id required"));
        }
        let (name, password) = (text(body, "username"), text(body, "password"));
        self.check_login_captcha(text(body, "captcha_token"), name, device, client.id)?;
        let Some(account) = self.by_password(name, password) else {
            let text = "Invalid account or password";
            return Err(ApiError::new(
                400,
                4022,
                "invalid_account_or_password",
                text,
            ));
        };
        self.signed_in(&account, client)
    }

    /// Tokens of a new session. The app has one per account: the one before ends.
    fn signed_in(
        &self,
        account: &Arc<Account>,
        client: &'static Client,
    ) -> Result<Response, ApiError> {
        if account.knobs.flag("device_review") {
            return Err(ApiError::review());
        }
        if client.id == APP_ID {
            self.state().tokens.end_session(account, client.id);
        }
        Ok(Json(self.issue(account, client)).into_response())
    }
}
