//! The open and the web door: who may enter without a session signature, and the web variant
//! of the upload signature (189cloud.md sections 2.7, 3.5 and 3.6).

use std::sync::Arc;

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::oss::sign::value;
use super::answer::{ApiError, ok};
use super::auth::Known;
use super::gate::{Args, Ctx, header};
use super::sign::{hmac_hex, open_md5, session_text};
use super::{Cloud189, rsa};

/// Application keys of the open door (section 2.1).
const APPS: &[&str] = &["600100422", "601102120"];

/// Id of the RSA key.
const KEY_ID: &str = "b7d1d8a6c2f04e0e8f4f8e9b1a2c3d4e";

/// Who enters the open door.
pub(super) enum Visitor {
    /// With an open access token, and whether it is good.
    Token(Arc<Account>, String, bool),
    /// With a session key in the query.
    Session(Known),
    /// With a web cookie.
    Cookie(Arc<Account>),
}

impl Visitor {
    pub(super) fn account(&self) -> &Arc<Account> {
        match self {
            Visitor::Token(account, ..) | Visitor::Cookie(account) => account,
            Visitor::Session(known) => &known.account,
        }
    }
}

/// A cookie's value.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let mut all = headers.get_all("cookie").iter();
    let find = |text: &'a str| {
        let mut pairs = text
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    all.find_map(|value| find(value.to_str().ok()?))
        .unwrap_or("")
}

impl Cloud189 {
    /// The web cookie of an account (section 2.1).
    pub(super) fn web_cookie(&self, account: &Account) -> String {
        hmac_hex(&self.secret, &format!("web cookie of {}", account.profile)).to_uppercase()
    }

    /// Who a call of the open door comes from.
    pub(super) fn find_visitor(&self, headers: &HeaderMap, query: &Args) -> Option<Visitor> {
        let token = header(headers, "accesstoken");
        if !token.is_empty() {
            let (account, good) = self.find_open_token(token)?;
            return Some(Visitor::Token(account, token.to_owned(), good));
        }
        if let Some(key) = value(query, "sessionKey") {
            return self.find_session(key).map(Visitor::Session);
        }
        let cookie = cookie(headers, "COOKIE_LOGIN_USER");
        let mut all = self.kit.accounts.iter();
        let account = all.find(|account| self.web_cookie(account) == cookie)?;
        Some(Visitor::Cookie(account.clone()))
    }

    /// Whether that suffices. With a session key in the query the sheet does not know how
    /// strictly the signature is looked at: it is not.
    pub(super) fn check_visitor(
        &self,
        visitor: &Visitor,
        op: &str,
        headers: &HeaderMap,
        fields: &Args,
    ) -> Result<(), ApiError> {
        match visitor {
            Visitor::Cookie(_) => Ok(()),
            Visitor::Session(known) => self.check_session(known, op),
            Visitor::Token(_, _, false) => {
                Err(ApiError::new("InvalidAccessToken", "token is over"))
            }
            Visitor::Token(account, token, true) => {
                self.check_open(account, headers, fields, ("AccessToken", token))
            }
        }
    }

    /// The open MD5 signature.
    fn check_open(
        &self,
        account: &Account,
        headers: &HeaderMap,
        fields: &Args,
        who: (&str, &str),
    ) -> Result<(), ApiError> {
        let timestamp = header(headers, "timestamp");
        self.check_time(account, timestamp.parse().ok())?;
        if header(headers, "sign-type") != "1" {
            return Err(ApiError::argument("Sign-Type"));
        }
        let expected = open_md5(fields, who, timestamp);
        match header(headers, "signature") == expected {
            true => Ok(()),
            false => Err(ApiError::new("InvalidSignature", "signature is invalid")),
        }
    }

    /// A call on the application's level is signed with the application's key.
    pub(super) fn check_app(
        &self,
        account: &Account,
        headers: &HeaderMap,
        fields: &Args,
    ) -> Result<(), ApiError> {
        let app = header(headers, "appkey");
        if !APPS.contains(&app) {
            return Err(ApiError::argument("AppKey"));
        }
        self.check_open(account, headers, fields, ("AppKey", app))
    }

    /// The web variant of the upload signature: no secret of the session is needed, the
    /// client sends one of its own. Answers that one.
    pub(super) fn admit_web(
        &self,
        known: &Known,
        op: &str,
        headers: &HeaderMap,
        paths: [&str; 2],
        params: &str,
    ) -> Result<String, ApiError> {
        self.check_session(known, op)?;
        if header(headers, "pkid") != KEY_ID {
            return Err(ApiError::argument("PkId").status(403));
        }
        let secret = rsa::decrypt_text(header(headers, "encryptiontext"));
        // Section 3.6 says up to 31 characters, a published vector has 32.
        let secret = secret.filter(|secret| (16..=32).contains(&secret.len()));
        let Some(secret) = secret else {
            return Err(ApiError::argument("EncryptionText").status(403));
        };
        let date = header(headers, "x-request-date");
        self.check_time(&known.account, date.parse().ok())?;
        let given = header(headers, "signature");
        let good = paths.iter().any(|path| {
            let text = session_text(&known.key, "GET", path, date, params);
            hmac_hex(&secret, &text).eq_ignore_ascii_case(given)
        });
        if !good {
            return Err(ApiError::new("InvalidSignature", "signature is invalid"));
        }
        if header(headers, "x-request-id").is_empty() {
            return Err(ApiError::argument("X-Request-ID"));
        }
        self.check_rate(&known.account)?;
        Ok(secret)
    }
}

impl Ctx<'_> {
    /// `generateRsaKey.action`: for an hour, though the key never changes.
    pub(super) fn rsa_key(&self) -> Value {
        ok(json!({
            "expire": self.now().saturating_add(3_600_000), "pkId": KEY_ID,
            "pubKey": rsa::PUBLIC_KEY, "ver": "1",
        }))
    }

    /// `getUserBriefInfo.action`: a session key for the web variant.
    pub(super) fn brief(&self) -> Value {
        let session = self.sim.open_session(&self.account);
        ok(json!({
            "sessionKey": session.get("sessionKey"), "userAccount": session.get("loginName"),
        }))
    }
}
