//! Sessions and tokens (189cloud.md sections 2.6, 2.7 and 3.3).
//!
//! A session is a pair of keys with their secrets, one for the person and one for the family.
//! It ends when nobody used it for a while, when a fault ends it, or never. An access token
//! makes sessions, a refresh token makes access tokens.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::clock::parse_rfc1123;
use super::super::faults::FaultKind;
use super::answer::ApiError;
use super::gate::header;
use super::sign::{hmac_hex, session_text};
use super::{Cloud189, is_off, login_name};

/// Which of an account's spaces a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The personal cloud.
    Personal,
    /// The family cloud.
    Family,
}

/// Whose session a key belongs to.
#[derive(Clone)]
pub(super) struct Known {
    /// The account.
    pub account: Arc<Account>,
    /// Which of the two keys it is.
    pub scope: Scope,
    /// The key as sent.
    pub key: String,
    /// Its secret.
    pub secret: String,
    /// The personal key, under which the session is kept.
    main: String,
}

struct Session {
    account: Arc<Account>,
    secret: String,
    family_secret: String,
    /// When it was used last.
    used: i64,
    ended: bool,
}

struct Token {
    account: Arc<Account>,
    expires: i64,
}

/// Everything that lets a client in.
#[derive(Default)]
pub(super) struct Tokens {
    sessions: HashMap<String, Session>,
    access: HashMap<String, Token>,
    refresh: HashMap<String, Token>,
    /// Tokens of the open door.
    open: HashMap<String, Token>,
}

impl Tokens {
    /// Ends all tokens of an account; `refresh` ends the refresh tokens too.
    fn end(&mut self, profile: &str, refresh: bool) {
        self.access
            .retain(|_, token| token.account.profile != profile);
        self.open
            .retain(|_, token| token.account.profile != profile);
        if refresh {
            self.refresh
                .retain(|_, token| token.account.profile != profile);
        }
    }
}

impl Cloud189 {
    fn life_ms(&self, account: &Account, knob: &str, default_s: u64) -> i64 {
        let seconds = account.knobs.number(knob, default_s);
        i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX)
    }

    fn token(&self, account: &Arc<Account>, knob: &str, default_s: u64) -> Token {
        let life = self.life_ms(account, knob, default_s);
        Token {
            account: account.clone(),
            expires: self.now().saturating_add(life),
        }
    }

    /// A new access and refresh token.
    pub(super) fn issue(&self, account: &Arc<Account>) -> (String, String) {
        let (access, refresh) = (self.kit.ids.hex(32), self.kit.ids.hex(32));
        let access_token = self.token(account, "access_life_s", 7 * 86_400);
        let refresh_token = self.token(account, "refresh_life_s", 30 * 86_400);
        let mut state = self.state();
        state.tokens.access.insert(access.clone(), access_token);
        state.tokens.refresh.insert(refresh.clone(), refresh_token);
        (access, refresh)
    }

    /// A new session, as `getSessionForPC.action` answers it.
    pub(super) fn open_session(&self, account: &Arc<Account>) -> Value {
        let ids = &self.kit.ids;
        let raw = ids.hex(32);
        let part = |from: usize, to: usize| raw.get(from..to).unwrap_or("").to_owned();
        let key = format!(
            "{}-{}-{}-{}-{}",
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32)
        );
        let (secret, family_secret) = (ids.hex(32).to_uppercase(), ids.hex(32).to_uppercase());
        let session = Session {
            account: account.clone(),
            secret: secret.clone(),
            family_secret: family_secret.clone(),
            used: self.now(),
            ended: false,
        };
        self.state().tokens.sessions.insert(key.clone(), session);
        json!({
            "res_code": 0, "res_message": "成功",
            "loginName": format!("{}@189.cn", login_name(account)), "keepAlive": 300,
            "getFileDiffSpan": 30, "getUserInfoSpan": 300, "sessionKey": key,
            "sessionSecret": secret, "familySessionKey": format!("{key}_family"),
            "familySessionSecret": family_secret, "isSaveName": "true",
        })
    }

    /// The account of an access token, good or not, and whether it is good.
    pub(super) fn access_token(&self, token: &str) -> Option<(Arc<Account>, bool)> {
        let state = self.state();
        let token = state.tokens.access.get(token)?;
        Some((token.account.clone(), self.now() < token.expires))
    }

    /// The account of a refresh token, and whether it is good.
    pub(super) fn refresh_token(&self, token: &str) -> Option<(Arc<Account>, bool)> {
        let state = self.state();
        let token = state.tokens.refresh.get(token)?;
        Some((token.account.clone(), self.now() < token.expires))
    }

    /// New tokens for a refresh token: with the setting `rotate_tokens` (on) the old one is
    /// spent.
    pub(super) fn rotate(&self, account: &Arc<Account>, old: &str) -> (String, String) {
        let (access, refresh) = self.issue(account);
        let mut state = self.state();
        if is_off(account, "rotate_tokens") {
            state.tokens.refresh.remove(&refresh);
            return (access, old.to_owned());
        }
        state.tokens.refresh.remove(old);
        (access, refresh)
    }

    /// A token of the open door: `expiresIn` is a time, not a span (section 2.7).
    pub(super) fn open_token(&self, account: &Arc<Account>) -> Value {
        let token = self.kit.ids.hex(32);
        let entry = self.token(account, "open_life_s", 30 * 86_400);
        let expires = entry.expires;
        self.state().tokens.open.insert(token.clone(), entry);
        json!({ "accessToken": token, "expiresIn": expires })
    }

    /// The account of an open token, and whether it is good.
    pub(super) fn find_open_token(&self, token: &str) -> Option<(Arc<Account>, bool)> {
        let state = self.state();
        let token = state.tokens.open.get(token)?;
        Some((token.account.clone(), self.now() < token.expires))
    }

    /// The session of a key, over or not.
    pub(super) fn find_session(&self, key: &str) -> Option<Known> {
        let (main, scope) = match key.strip_suffix("_family") {
            Some(main) => (main, Scope::Family),
            None => (key, Scope::Personal),
        };
        let state = self.state();
        let session = state.tokens.sessions.get(main)?;
        let secret = match scope {
            Scope::Personal => &session.secret,
            Scope::Family => &session.family_secret,
        };
        Some(Known {
            account: session.account.clone(),
            scope,
            key: key.to_owned(),
            secret: secret.clone(),
            main: main.to_owned(),
        })
    }

    /// Whether a session lives, which keeps it alive. The fault `expire_token` of `op` ends
    /// it for good; with the argument `access` the access tokens too, with `all` the refresh
    /// tokens too.
    pub(super) fn check_session(&self, known: &Known, op: &str) -> Result<(), ApiError> {
        let account = &known.account;
        let struck = account.faults.take(op, FaultKind::ExpireToken);
        let idle = self.life_ms(account, "session_idle_s", 14_400);
        let now = self.now();
        let mut state = self.state();
        if let Some(arg) = &struck {
            match arg.as_str() {
                "access" => state.tokens.end(&account.profile, false),
                "all" => state.tokens.end(&account.profile, true),
                _ => {}
            }
        }
        let session = state.tokens.sessions.get_mut(&known.main);
        let good = session.is_some_and(|session| {
            session.ended |= struck.is_some() || now >= session.used.saturating_add(idle);
            if !session.ended {
                session.used = session.used.max(now);
            }
            !session.ended
        });
        match good {
            true => Ok(()),
            false => Err(ApiError::session(Some(&account.knobs))),
        }
    }

    /// Whether a time in milliseconds is close enough to the server's.
    pub(super) fn check_time(&self, account: &Account, time: Option<i64>) -> Result<(), ApiError> {
        let tolerance = self.life_ms(account, "date_tolerance_s", 300);
        let good = time.is_some_and(|time| {
            let off = self.now().saturating_sub(time);
            off.saturating_abs() <= tolerance
        });
        match good {
            true => Ok(()),
            false => Err(ApiError::new("TimestampExpired", "timestamp is expired")),
        }
    }

    /// The session signature of a request (section 3.3). A base address may carry a path:
    /// `paths` are the request's path as the service knows it and as it was asked for.
    pub(super) fn check_signature(
        &self,
        known: &Known,
        method: &str,
        paths: [&str; 2],
        headers: &HeaderMap,
        params: &str,
    ) -> Result<(), ApiError> {
        let date = header(headers, "date");
        self.check_time(&known.account, parse_rfc1123(date))?;
        let given = header(headers, "signature");
        let good = paths.iter().any(|path| {
            let text = session_text(&known.key, method, path, date, params);
            hmac_hex(&known.secret, &text).eq_ignore_ascii_case(given)
        });
        match good {
            true => Ok(()),
            false => Err(ApiError::new("InvalidSignature", "signature is invalid")),
        }
    }
}
