//! The session pair and the ways to a new one (sheet sections 2.3 to 2.6): the access token of the
//! last log-in, the refresh token, a captured session, the password.
//!
//! Kept with the credentials: `access_token` is the session pair (JSON), `login_token` the access
//! token of the log-in (about 7 days) by which a new pair is got, `refresh_token` what renews that.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::answer::{judge, judge_login};
use super::api::{head_of, plain_headers, suffixed};
use super::login::Login;
use crate::drive::{AccountEffect, DriveContext, DriveError, ErrorKind, Result, decode};
use crate::net::{
    Client, CredentialStore, Credentials, FreshTokens, Refresher, Request, Retry, Secret,
    StoreError,
};

/// The application that the refresh token belongs to (section 2.1).
pub const APP_ID: &str = "8025431004";

/// Where the access token of the log-in is kept.
const LOGIN_TOKEN: &str = "login_token";

/// How the log-in host says that a refresh token is spent (section 2.6).
const SPENT: &str = "-117";

/// Whether the service has decided against a way in, as opposed to being in trouble.
fn is_refusal(error: &DriveError) -> bool {
    let decided = error.code.is_some() && error.retry == Retry::Never;
    error.kind == ErrorKind::Auth
        || decided
            && matches!(
                error.kind,
                ErrorKind::Provider | ErrorKind::Invalid | ErrorKind::NotFound
            )
}

/// A session pair.
pub struct Session {
    pub key: Secret,
    pub secret: Secret,
    pub login_name: Option<String>,
}

impl Session {
    /// From the text that is kept.
    ///
    /// # Errors
    /// `Auth`, to be refreshed, when it is none of ours.
    pub fn stored(text: &Secret) -> Result<Session> {
        serde_json::from_str::<Value>(text.expose())
            .ok()
            .and_then(|value| Session::of(&value))
            .ok_or_else(|| {
                DriveError::new(
                    ErrorKind::Auth,
                    "the stored session is unreadable; log in again",
                )
                .effect(AccountEffect::Refresh)
            })
    }

    fn of(value: &Value) -> Option<Session> {
        Some(Session {
            key: Secret::new(decode::nonempty(&value["sessionKey"])?),
            secret: Secret::new(decode::nonempty(&value["sessionSecret"])?),
            login_name: decode::nonempty(&value["loginName"]),
        })
    }

    fn to_stored(&self) -> Secret {
        Secret::new(
            json!({
                "sessionKey": self.key.expose(),
                "sessionSecret": self.secret.expose(),
                "loginName": self.login_name,
            })
            .to_string(),
        )
    }
}

/// What a user's field `session` holds.
enum Captured {
    /// A session pair, perhaps with tokens.
    Pair(Value),
    /// The cookie `SSON` of the log-in page.
    Sson(Secret),
}

/// Reads the field `session`: the JSON that `getSessionForPC` answers, `sessionKey=..` and
/// `sessionSecret=..` in a row, a cookie with `SSON=..`, or the value of that cookie alone.
fn captured(text: &str) -> Option<Captured> {
    let text = text.trim();
    if let Ok(value @ Value::Object(_)) = serde_json::from_str(text) {
        if Session::of(&value).is_some() {
            return Some(Captured::Pair(value));
        }
        let sson = ["SSON", "sson"]
            .iter()
            .find_map(|key| decode::nonempty(&value[*key]));
        return sson.map(|sson| Captured::Sson(Secret::new(sson)));
    }
    let pairs: serde_json::Map<String, Value> = text
        .split([';', '&', '\n', ','])
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), json!(value.trim())))
        .collect();
    if let Some(sson) = pairs.get("SSON").and_then(decode::nonempty) {
        return Some(Captured::Sson(Secret::new(sson)));
    }
    let pairs = Value::Object(pairs);
    if Session::of(&pairs).is_some() {
        return Some(Captured::Pair(pairs));
    }
    let bare = text.len() >= 16 && !text.contains(char::is_whitespace);
    bare.then(|| Captured::Sson(Secret::new(text)))
}

/// Gets sessions.
pub struct Refresh {
    client: Client,
    api: String,
    auth: String,
    login: Login,
    username: String,
    profile: String,
    store: Arc<dyn CredentialStore>,
    /// A password or captured session that the service refused is not sent twice.
    refused: Mutex<Vec<Secret>>,
}

/// One way to a session, and how it ended.
type Tried = Result<FreshTokens>;

impl Refresh {
    pub fn new(context: &DriveContext, client: Client) -> Result<Refresh> {
        let auth = context.endpoint("auth")?.to_owned();
        let web = context.endpoint("web")?.to_owned();
        Ok(Refresh {
            api: context.endpoint("api")?.to_owned(),
            login: Login::new(client.clone(), web, auth.clone()),
            auth,
            client,
            username: context.field("username").trim().to_owned(),
            profile: context.profile.clone(),
            store: context.credentials.clone(),
            refused: Mutex::default(),
        })
    }

    fn error(&self, kind: ErrorKind, what: &str) -> DriveError {
        DriveError::new(kind, format!("profile {}: {what}", self.profile))
    }

    fn is_refused(&self, secret: &Secret) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.contains(secret)
    }

    fn refuse(&self, secret: &Secret) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.push(secret.clone());
    }

    /// Section 2.6, first row: a new pair by the access token of the log-in.
    async fn by_login_token(&self, token: &Secret) -> Tried {
        let request = Request::get("session", format!("{}/getSessionForPC.action", self.api));
        let request = suffixed(request)
            .query("appId", APP_ID)
            .query("accessToken", token.expose());
        self.session(request).await
    }

    /// Section 2.6, the refresh call. The new tokens are on disk before they are used.
    async fn by_refresh_token(&self, token: &Secret) -> Tried {
        let url = format!("{}/api/oauth2/refreshToken.do", self.auth);
        let request = plain_headers(Request::post("refresh", url)).form(&[
            ("clientId", APP_ID),
            ("refreshToken", token.expose()),
            ("grantType", "refresh_token"),
            ("format", "json"),
        ]);
        let response = self.client.send(request).await?;
        let head = head_of(&response);
        let body = response.bytes(256 << 10).await?;
        let answer = judge_login("refresh", head, &body)?;
        let login_token = decode::nonempty(&answer["accessToken"])
            .map(Secret::new)
            .ok_or_else(|| DriveError::bad_answer("refresh", "no accessToken"))?;
        let renewed = decode::nonempty(&answer["refreshToken"]).map(Secret::new);
        self.keep(Some(&login_token), renewed.as_ref()).await?;
        let fresh = self.by_login_token(&login_token).await;
        let fresh = fresh.map_err(|error| DriveError {
            // The refresh token itself is good: this is no verdict on it.
            kind: match error.kind {
                ErrorKind::Auth => ErrorKind::Provider,
                kind => kind,
            },
            code: None,
            ..error
        })?;
        Ok(FreshTokens {
            refresh: fresh.refresh.or(renewed),
            ..fresh
        })
    }

    /// The pair that a log-in page redirected to (section 2.3, step 5).
    async fn by_redirect(&self, address: &str) -> Tried {
        let request = Request::post("session", format!("{}/getSessionForPC.action", self.api));
        let request = suffixed(request).query("redirectURL", address);
        self.session(request).await
    }

    async fn session(&self, request: Request) -> Tried {
        let response = self.client.send(plain_headers(request)).await?;
        let head = head_of(&response);
        let body = response.bytes(256 << 10).await?;
        let answer = self.watch(judge("session", head, &body))?;
        let session = Session::of(&answer)
            .ok_or_else(|| DriveError::bad_answer("session", "no session key"))?;
        self.fresh(&session, &answer).await
    }

    /// The pair to use, with the tokens that came along kept already.
    async fn fresh(&self, session: &Session, answer: &Value) -> Tried {
        let login_token = decode::nonempty(&answer["accessToken"]).map(Secret::new);
        let refresh = decode::nonempty(&answer["refreshToken"]).map(Secret::new);
        self.keep(login_token.as_ref(), refresh.as_ref()).await?;
        Ok(FreshTokens {
            access: session.to_stored(),
            refresh,
            // Not told; a session lives as long as it is used, so it is used until it is refused.
            expires_in: 0,
        })
    }

    async fn keep(&self, login_token: Option<&Secret>, refresh: Option<&Secret>) -> Result<()> {
        let named = [(LOGIN_TOKEN, login_token), ("refresh_token", refresh)];
        let changed: Credentials = named
            .into_iter()
            .filter_map(|(name, secret)| Some((name.to_owned(), secret?.clone())))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let saved = self.store.save(changed).await;
        saved.map_err(|error| self.store_error(error))
    }

    /// Opens the breaker where the answer asks for it.
    fn watch<T>(&self, answer: Result<T>) -> Result<T> {
        if let Err(error) = &answer
            && let AccountEffect::CoolDown(pause) = error.account
        {
            self.client.breaker().trip(pause, &error.to_string());
        }
        answer
    }

    async fn by_capture(&self, captured: Captured, stale: Option<&Session>) -> Tried {
        match captured {
            Captured::Pair(value) => {
                let session = Session::of(&value)
                    .filter(|session| stale.is_none_or(|stale| stale.key != session.key))
                    .ok_or_else(|| self.error(ErrorKind::Auth, "the captured session is over"))?;
                self.fresh(&session, &value).await
            }
            Captured::Sson(sson) => {
                let address = self.watch(self.login.by_cookie(&sson).await)?;
                self.by_redirect(&address).await
            }
        }
    }

    async fn by_password(&self, password: &Secret) -> Tried {
        let address = self.watch(self.login.by_password(&self.username, password).await)?;
        self.by_redirect(&address).await
    }
}

#[async_trait]
impl Refresher<DriveError> for Refresh {
    async fn refresh(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<FreshTokens, DriveError>, DriveError> {
        let given = |key: &str| credentials.get(key).filter(|secret| !secret.is_empty());
        let stale = given("access_token").and_then(|text| Session::stored(text).ok());
        let mut verdict = None;
        // A refusal leads to the next way; anything else says nothing about this one.
        let mut passed = |tried: Tried| match tried {
            Err(error) if is_refusal(&error) => {
                // No session is involved: nothing to refresh.
                verdict = Some(error.effect(AccountEffect::None));
                None
            }
            other => Some(other),
        };
        if let Some(token) = given(LOGIN_TOKEN)
            && let Some(done) = passed(self.by_login_token(token).await)
        {
            return done.map(Ok);
        }
        if let Some(token) = given("refresh_token") {
            let tried = self.by_refresh_token(token).await;
            if let Err(error) = &tried
                && error.code.as_deref() != Some(SPENT)
                && given("session").is_none()
                && given("password").is_none()
            {
                // Not the words for a spent token, and no other way in: it is kept.
                return tried.map(Ok);
            }
            if let Some(done) = passed(tried) {
                return done.map(Ok);
            }
        }
        if let Some(text) = given("session").filter(|text| !self.is_refused(text)) {
            let tried = match captured(text.expose()) {
                Some(captured) => self.by_capture(captured, stale.as_ref()).await,
                None => Err(self.error(
                    ErrorKind::Auth,
                    "the field session holds neither a session pair nor the cookie SSON",
                )),
            };
            match passed(tried) {
                Some(done) => return done.map(Ok),
                None => self.refuse(text),
            }
        }
        if let Some(password) = given("password").filter(|_| !self.username.is_empty()) {
            if self.is_refused(password) {
                let what = "the service refused this password; enter it again";
                return Ok(Err(self.error(ErrorKind::Auth, what)));
            }
            match passed(self.by_password(password).await) {
                Some(done) => return done.map(Ok),
                None => self.refuse(password),
            }
        }
        Ok(Err(verdict.unwrap_or_else(|| {
            self.error(
                ErrorKind::Auth,
                "needs a refresh_token, a session, or username and password",
            )
        })))
    }

    fn store_error(&self, error: StoreError) -> DriveError {
        self.error(ErrorKind::Auth, &error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sson(text: &str) -> Option<String> {
        match captured(text)? {
            Captured::Sson(sson) => Some(sson.expose().to_owned()),
            Captured::Pair(_) => None,
        }
    }

    fn key(text: &str) -> Option<String> {
        match captured(text)? {
            Captured::Pair(value) => Some(Session::of(&value)?.key.expose().to_owned()),
            Captured::Sson(_) => None,
        }
    }

    #[test]
    fn a_captured_session_has_many_spellings() {
        assert_eq!(
            key(r#"{"sessionKey":"k","sessionSecret":"s"}"#).as_deref(),
            Some("k")
        );
        assert_eq!(key("sessionKey=k; sessionSecret=s").as_deref(), Some("k"));
        assert_eq!(sson("JSESSIONID=x; SSON=abc").as_deref(), Some("abc"));
        assert_eq!(sson(r#"{"SSON":"abc"}"#).as_deref(), Some("abc"));
        let bare = "0123456789abcdef0123";
        assert_eq!(sson(bare).as_deref(), Some(bare));
        assert!(captured("short").is_none());
        assert!(captured(r#"{"sessionKey":"k"}"#).is_none());
    }

    #[test]
    fn a_pair_is_kept_and_read_again() {
        let answer = json!({"sessionKey":"k","sessionSecret":"s","loginName":"u@189.cn"});
        let session = Session::stored(&Session::of(&answer).unwrap().to_stored()).unwrap();
        assert_eq!((session.key.expose(), session.secret.expose()), ("k", "s"));
        assert_eq!(session.login_name.as_deref(), Some("u@189.cn"));
        let none = Session::stored(&Secret::new("plain"));
        assert_eq!(none.err().map(|error| error.kind), Some(ErrorKind::Auth));
    }
}
