//! The object store's session key of an upload under way. It lives for hours, so it is no part
//! of a session's journalled state: it stays in memory and, for uploads in parts, sealed with the
//! profile's credentials, so that a restart can go on.

use serde_json::{Value, json};

use super::api::Api;
use crate::drive::{DriveError, Result, decode};
use crate::net::Secret;
use crate::providers::oss::OssCredentials;

/// A session key.
#[derive(Clone)]
pub struct Key {
    pub credentials: OssCredentials,
    /// Milliseconds since the epoch.
    expires: i64,
}

/// The life of a key that does not tell it ("hours", section 7): a cautious one.
const LIFE_MS: i64 = 3600 * 1000;

/// A key is not used in its last minute.
const MARGIN_MS: i64 = 60_000;

impl Key {
    /// The key in `resumable.params`.
    pub fn read(params: &Value, now: i64) -> Result<Key> {
        let secret = |key: &str| {
            decode::nonempty(&params[key])
                .map(Secret::new)
                .ok_or_else(|| DriveError::bad_answer("create", format!("no {key}")))
        };
        Ok(Key {
            credentials: OssCredentials {
                access_key_id: secret("access_key_id")?,
                access_key_secret: secret("access_key_secret")?,
                token: secret("security_token")?,
            },
            expires: decode::rfc3339_ms(&params["expiration"])
                .or_else(|| decode::integer(&params["expires_ms"]))
                .unwrap_or_else(|| now.saturating_add(LIFE_MS)),
        })
    }

    fn lives(&self, now: i64) -> bool {
        self.expires.saturating_sub(MARGIN_MS) > now
    }

    fn seal(&self) -> Secret {
        let text = json!({
            "access_key_id": self.credentials.access_key_id.expose(),
            "access_key_secret": self.credentials.access_key_secret.expose(),
            "security_token": self.credentials.token.expose(),
            "expires_ms": self.expires,
        });
        Secret::new(text.to_string())
    }
}

fn field(file_id: &str) -> String {
    format!("upload_key_{file_id}")
}

/// Remembers a key; with `durable` beyond a restart.
pub async fn keep(api: &Api, file_id: &str, key: Key, durable: bool) -> Result<()> {
    if durable {
        save(api, file_id, key.seal()).await?;
    }
    api.keys.insert(file_id.to_owned(), key);
    Ok(())
}

/// The key of a file, while it lives.
pub async fn find(api: &Api, file_id: &str) -> Result<Option<Key>> {
    let now = api.now();
    if let Some(key) = api.keys.get(file_id) {
        return Ok(Some(key).filter(|key| key.lives(now)));
    }
    let stored = api.identity.load().await?.remove(&field(file_id));
    let Some(stored) = stored else {
        return Ok(None);
    };
    let params: Value = serde_json::from_str(stored.expose()).unwrap_or(Value::Null);
    let key = Key::read(&params, now).ok().filter(|key| key.lives(now));
    if let Some(key) = &key {
        api.keys.insert(file_id.to_owned(), key.clone());
    }
    Ok(key)
}

/// Forgets a key.
pub async fn forget(api: &Api, file_id: &str, durable: bool) -> Result<()> {
    api.keys.invalidate(file_id);
    if durable {
        save(api, file_id, Secret::default()).await?;
    }
    Ok(())
}

async fn save(api: &Api, file_id: &str, secret: Secret) -> Result<()> {
    api.identity.save([(field(file_id), secret)]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_the_store_and_ends() {
        let params = json!({"access_key_id":"STS.NTabc","access_key_secret":"secret",
            "security_token":"CAIS","expiration":"1970-01-01T01:00:00.000Z"});
        let key = Key::read(&params, 0).unwrap();
        let sealed: Value = serde_json::from_str(key.seal().expose()).unwrap();
        let again = Key::read(&sealed, 0).unwrap();
        assert_eq!(again.expires, 3_600_000);
        assert_eq!(again.credentials.token.expose(), "CAIS");
        assert!(again.lives(3_600_000 - MARGIN_MS - 1));
        assert!(!again.lives(3_600_000 - MARGIN_MS));
        assert!(Key::read(&json!({"access_key_id":"x"}), 0).is_err());
    }
}
