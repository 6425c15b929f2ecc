//! The cookies of a session (sheet section 2.2). Nothing renews them: they live until a logout, a
//! log-in on a device of the same kind, or a change of the password. Only the user brings new ones.

use std::sync::{Arc, OnceLock};

use tokio::sync::Mutex;

use crate::drive::{AccountEffect, DriveError, ErrorKind, Result};
use crate::net::{CredentialStore, Retry, Secret};

/// What a session is made of; the last one is missing on old ones.
const PARTS: [&str; 4] = ["UID", "CID", "SEID", "KID"];

/// The cookies of one profile.
pub struct CookieJar {
    store: Arc<dyn CredentialStore>,
    profile: String,
    kept: Mutex<Option<Secret>>,
    user_id: OnceLock<String>,
}

impl CookieJar {
    pub fn new(store: Arc<dyn CredentialStore>, profile: String) -> CookieJar {
        CookieJar {
            store,
            profile,
            kept: Mutex::new(None),
            user_id: OnceLock::new(),
        }
    }

    /// The user that the cookies name, once they were read.
    pub fn user_id(&self) -> Option<&String> {
        self.user_id.get()
    }

    /// The header of the next request.
    pub async fn current(&self) -> Result<Secret> {
        let mut kept = self.kept.lock().await;
        if let Some(cookie) = &*kept {
            return Ok(cookie.clone());
        }
        let cookie = self.load().await?;
        *kept = Some(cookie.clone());
        Ok(cookie)
    }

    /// The stored cookies when they are others than the `stale` ones, which were refused.
    pub async fn renewed(&self, stale: &Secret, refusal: DriveError) -> Result<Secret> {
        let mut kept = self.kept.lock().await;
        let cookie = self.load().await?;
        if cookie == *stale {
            *kept = None;
            return Err(self.ended(refusal));
        }
        *kept = Some(cookie.clone());
        Ok(cookie)
    }

    /// What a refusal of the session means for the user.
    pub fn ended(&self, refusal: DriveError) -> DriveError {
        DriveError {
            message: format!(
                "profile {}: 115 does not accept the cookie any more; log in again and store the new one ({})",
                self.profile, refusal.message
            ),
            ..refusal
        }
        .retry(Retry::Never)
        .effect(AccountEffect::None)
    }

    async fn load(&self) -> Result<Secret> {
        let broken = |message: &str| {
            DriveError::new(
                ErrorKind::Auth,
                format!("profile {}: {message}", self.profile),
            )
        };
        let stored = self.store.load().await;
        let stored = stored.map_err(|error| broken(&error.to_string()))?;
        let found = stored.get("cookie").and_then(|text| session(text.expose()));
        let (header, user) =
            found.ok_or_else(|| broken("the cookie is missing or has no UID, CID and SEID"))?;
        let _ = self.user_id.set(user);
        Ok(header)
    }
}

/// The header with the cookies of a session, and the user they name. Other cookies of a copied
/// header are left out.
fn session(text: &str) -> Option<(Secret, String)> {
    let value = |wanted: &str| {
        text.trim_start_matches("Cookie:")
            .split(';')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .find(|(name, value)| *name == wanted && !value.is_empty())
            .map(|(_, value)| value)
    };
    let (user, _) = value("UID")?.split_once('_')?;
    if user.is_empty() || !user.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut pairs = Vec::new();
    for name in PARTS {
        match value(name) {
            Some(value) => pairs.push(format!("{name}={value}")),
            None if name == "KID" => {}
            None => return None,
        }
    }
    Some((Secret::new(pairs.join("; ")), user.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_cookies_are_picked_out_of_a_copied_header() {
        let (header, user) = session(
            "Cookie: acw_tc=1; UID=123456789_A1_1706687100;CID=aa ; SEID=b=b; KID=cc; x=y;",
        )
        .unwrap();
        assert_eq!(
            header.expose(),
            "UID=123456789_A1_1706687100; CID=aa; SEID=b=b; KID=cc"
        );
        assert_eq!(user, "123456789");
        let (old, _) = session("UID=1_D1_2; CID=a; SEID=b").unwrap();
        assert_eq!(old.expose(), "UID=1_D1_2; CID=a; SEID=b");
    }

    #[test]
    fn what_is_no_session_is_refused() {
        for text in [
            "",
            "UID=1_A1_2; CID=a",
            "UID=1_A1_2; CID=a; SEID=",
            "UID=x_A1_2; CID=a; SEID=b",
            "UID=12; CID=a; SEID=b",
            "CID=a; SEID=b",
        ] {
            assert!(session(text).is_none(), "{text}");
        }
    }
}
