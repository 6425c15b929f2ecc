//! Logins by cookie (sheet quark, 2.2): `__pus` names the login, `__puus` rolls.
//!
//! Every browser login (each call for the profiles is one) has its own pair. `__puus` is
//! replaced through `Set-Cookie` after a number of calls or some time; the previous one is
//! accepted for a short while and answered with the current one again. A call without `__puus`
//! gets one; one that is out of date is HTTP 401, except at the two calls that hand it out.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::{HeaderMap, header};

use super::super::account::Account;
use super::QuarkUc;
use super::errors::ApiError;

/// Calls that may still come with the previous `__puus`, its time left aside.
const LATE_CALLS: u32 = 64;
/// Life of `__pugs` in milliseconds (sheet quark, section 8).
const PUGS_MS: i64 = 3 * 3_600_000;

/// The cookies of a request.
pub(super) struct Cookies(HashMap<String, String>);

impl Cookies {
    /// Reads all `Cookie` headers. A value may hold `=`.
    pub(super) fn of(headers: &HeaderMap) -> Cookies {
        let lines = headers.get_all(header::COOKIE).into_iter();
        let pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Cookies(pairs.collect())
    }

    /// A cookie, when it is sent with a value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }
}

struct Rolling {
    value: String,
    issued: i64,
    expires: i64,
    calls: u64,
}

/// The `__puus` before the current one.
struct Previous {
    value: String,
    until: i64,
    calls_left: u32,
}

/// One browser login.
pub(super) struct Login {
    pub account: Arc<Account>,
    /// Somebody who only looks at the share.
    pub guest: bool,
    dead: bool,
    current: Option<Rolling>,
    previous: Option<Previous>,
    /// `__pugs` and its end.
    pugs: Option<(String, i64)>,
}

/// All logins, and which `__pus` names which.
#[derive(Default)]
pub(super) struct Logins {
    all: Vec<Login>,
    by_pus: HashMap<String, usize>,
}

impl Logins {
    /// The login that a cookie names.
    pub(super) fn find(&self, cookies: &Cookies) -> Option<(usize, &Login)> {
        let index = *self.by_pus.get(cookies.get("__pus")?)?;
        let login = self.all.get(index).filter(|login| !login.dead)?;
        Some((index, login))
    }

    /// Whether a login's `__puus` is good now.
    pub(super) fn fresh(&self, index: usize, cookies: &Cookies, now: i64) -> bool {
        let (Some(login), Some(sent)) = (self.all.get(index), cookies.get("__puus")) else {
            return false;
        };
        let current = login.current.as_ref();
        let previous = login.previous.as_ref();
        current.is_some_and(|puus| puus.value == sent && now < puus.expires)
            || previous.is_some_and(|puus| puus.value == sent && now < puus.until)
    }

    /// Whether a login's `__pugs` is good now.
    pub(super) fn pugs_fits(&self, index: usize, cookies: &Cookies, now: i64) -> bool {
        let pugs = self.all.get(index).and_then(|login| login.pugs.as_ref());
        pugs.is_some_and(|(value, until)| cookies.get("__pugs") == Some(value) && now < *until)
    }

    /// `__puus` of a login ends now.
    pub(super) fn expire(&mut self, index: usize) {
        if let Some(login) = self.all.get_mut(index) {
            login.current = None;
            login.previous = None;
        }
    }

    /// A login ends for good.
    pub(super) fn end(&mut self, index: usize) {
        if let Some(login) = self.all.get_mut(index) {
            login.dead = true;
        }
    }

    /// All logins of an account end for good.
    pub(super) fn end_all(&mut self, account: &Account) {
        let own = self.all.iter_mut();
        own.filter(|login| login.account.profile == account.profile)
            .for_each(|login| login.dead = true);
    }
}

impl QuarkUc {
    /// A value with the characters that break careless splitting.
    fn cookie_value(&self) -> String {
        format!("{}AAR+/{}==", self.kit.ids.hex(12), self.kit.ids.hex(24))
    }

    fn set_cookie(&self, name: &str, value: &str, seconds: i64) -> String {
        let domain = self.brand.cookie_domain;
        format!("{name}={value}; Domain={domain}; Path=/; Max-Age={seconds}; HttpOnly")
    }

    fn new_puus(&self, account: &Account, now: i64) -> Rolling {
        let life = account.knobs.number("puus_seconds", 10_800);
        let life = i64::try_from(life).unwrap_or(10_800).saturating_mul(1000);
        Rolling {
            value: self.cookie_value(),
            issued: now,
            expires: now.saturating_add(life),
            calls: 0,
        }
    }

    /// A new browser login; answers its cookie.
    pub(super) fn new_login(&self, account: &Arc<Account>, guest: bool) -> String {
        let now = self.kit.clock.now_ms();
        let (pus, puus) = (self.cookie_value(), self.new_puus(account, now));
        let cookie = format!(
            "b-user-id={}; __uid=AAQ{}; __kp={}; __pus={pus}; __puus={}; isg=B{}",
            self.kit.ids.hex(32),
            self.kit.ids.hex(8),
            self.kit.ids.hex(16),
            puus.value,
            self.kit.ids.hex(12),
        );
        let mut logins = self.logins();
        let index = logins.all.len();
        logins.by_pus.insert(pus, index);
        logins.all.push(Login {
            account: account.clone(),
            guest,
            dead: false,
            current: Some(puus),
            previous: None,
            pugs: None,
        });
        cookie
    }

    /// Takes the `__puus` of a call; answers the `Set-Cookie` lines of its answer.
    pub(super) fn take_puus(
        &self,
        index: usize,
        op: &str,
        cookies: &Cookies,
    ) -> Result<Vec<String>, ApiError> {
        let now = self.kit.clock.now_ms();
        let mut logins = self.logins();
        let Logins { all, by_pus } = &mut *logins;
        let Some(login) = all.get_mut(index).filter(|login| !login.dead) else {
            return Err(ApiError::login());
        };
        let account = login.account.clone();
        let knob = |name: &str, default: u64| {
            i64::try_from(account.knobs.number(name, default)).unwrap_or(i64::MAX)
        };
        if login.current.as_ref().is_some_and(|it| now >= it.expires) {
            login.current = None;
            login.previous = None;
        }
        let life = knob("puus_seconds", 10_800);
        let say = |puus: &Rolling| vec![self.set_cookie("__puus", &puus.value, life)];
        let sent = cookies.get("__puus");
        if let Some(current) = &mut login.current {
            if sent == Some(current.value.as_str()) {
                current.calls += 1;
                let due = i64::try_from(current.calls).unwrap_or(i64::MAX)
                    >= knob("puus_calls", 20)
                    || now - current.issued >= knob("puus_rotate_ms", 1_800_000);
                if !due {
                    return Ok(Vec::new());
                }
                let next = self.new_puus(&account, now);
                let mut lines = say(&next);
                login.previous = Some(Previous {
                    value: std::mem::replace(current, next).value,
                    until: now.saturating_add(knob("puus_grace_ms", 10_000)),
                    calls_left: LATE_CALLS,
                });
                if account.knobs.flag("rotate_pus") {
                    // The old name of the login stays good: only `__puus` is told to end.
                    let pus = self.cookie_value();
                    lines.push(self.set_cookie("__pus", &pus, 30 * 86_400));
                    by_pus.insert(pus, index);
                }
                return Ok(lines);
            }
            let late = login.previous.as_mut().filter(|previous| {
                sent == Some(previous.value.as_str())
                    && now < previous.until
                    && previous.calls_left > 0
            });
            if let Some(previous) = late {
                previous.calls_left -= 1;
                return Ok(say(current));
            }
        }
        // A stale one is as good as none at the calls that hand it out.
        let hands_out = matches!(op, "config" | "pdir") && !account.knobs.flag("puus_strict");
        if sent.is_some() && !hands_out {
            return Err(ApiError::login());
        }
        account.meters.refresh();
        let current = login
            .current
            .get_or_insert_with(|| self.new_puus(&account, now));
        Ok(say(current))
    }

    /// The `Set-Cookie` line of a link that needs `__pugs`: a new value when the old one is
    /// half used up.
    pub(super) fn give_pugs(&self, index: usize) -> Option<String> {
        let now = self.kit.clock.now_ms();
        let value = self.cookie_value();
        let mut logins = self.logins();
        let login = logins.all.get_mut(index)?;
        let keep = login
            .pugs
            .take()
            .filter(|(_, until)| until - now > PUGS_MS / 2);
        let pugs = keep.unwrap_or((value, now.saturating_add(PUGS_MS)));
        let line = self.set_cookie("__pugs", &pugs.0, PUGS_MS / 1000);
        login.pugs = Some(pugs);
        Some(line)
    }
}
