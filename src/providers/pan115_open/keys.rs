//! The session keys of the object store (sheet section 7.1), whoever asks for them.

use serde_json::Value;
use tokio::sync::Mutex;

use super::door::Door;
use crate::drive::{DriveContext, DriveError, Result, decode};
use crate::net::Secret;
use crate::providers::oss::OssCredentials;

/// A session key lives one hour and is not used in its last ten minutes (section 7.1).
const KEY_LIFE_MS: i64 = 50 * 60 * 1000;

/// A session key of the object store and the store's address.
#[derive(Clone)]
pub struct Store {
    pub credentials: OssCredentials,
    pub endpoint: String,
}

/// The key in use.
pub struct StoreKeys {
    /// The store's base URL when the profile overrides it.
    fixed: Option<String>,
    default: String,
    kept: Mutex<Option<(Store, i64)>>,
}

impl StoreKeys {
    pub fn new(context: &DriveContext) -> Result<StoreKeys> {
        let default = context.endpoint("oss")?.to_owned();
        let fixed = context.overridden.iter().any(|name| name == "oss");
        Ok(StoreKeys {
            fixed: fixed.then(|| default.clone()),
            default,
            kept: Mutex::new(None),
        })
    }

    /// Whether the store's address has to be asked for.
    pub fn wants_endpoint(&self) -> bool {
        self.fixed.is_none()
    }

    /// The session key, fetched once in 50 minutes.
    pub async fn current(&self, door: &dyn Door) -> Result<Store> {
        let now = door.client().clock().now_ms();
        let mut kept = self.kept.lock().await;
        if let Some((store, _)) = kept.as_ref().filter(|(_, until)| now < *until) {
            return Ok(store.clone());
        }
        let answer = door.store_key().await?;
        let data = match &answer {
            Value::Array(list) => list.first().unwrap_or(&Value::Null),
            data => data,
        };
        let part = |key: &str| {
            decode::nonempty(&data[key])
                .map(Secret::new)
                .ok_or_else(|| DriveError::bad_answer("upload_key", format!("no {key}")))
        };
        let store = Store {
            credentials: OssCredentials {
                access_key_id: part("AccessKeyId")?,
                access_key_secret: part("AccessKeySecret")?,
                token: part("SecurityToken")?,
            },
            endpoint: self
                .fixed
                .clone()
                .or_else(|| decode::nonempty(&data["endpoint"]))
                .unwrap_or_else(|| self.default.clone()),
        };
        let minute = 60_000;
        let until = decode::rfc3339_ms(&data["expiration"])
            .or_else(|| decode::rfc3339_ms(&data["Expiration"]))
            .map(|end| end.saturating_sub(minute))
            // A clock that differs from the store's must not make every key look spent.
            .filter(|end| *end > now.saturating_add(minute))
            .unwrap_or(i64::MAX)
            .min(now.saturating_add(KEY_LIFE_MS));
        *kept = Some((store.clone(), until));
        Ok(store)
    }

    /// Forgets a session key that the store refused.
    pub async fn forget(&self, refused: &Store) {
        let mut kept = self.kept.lock().await;
        let same = kept.as_ref().is_some_and(|(store, _)| {
            store.credentials.access_key_id == refused.credentials.access_key_id
                && store.credentials.token == refused.credentials.token
        });
        if same {
            *kept = None;
        }
    }
}
