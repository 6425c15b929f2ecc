//! Keys to the object store (sheet section 7): short-lived, in memory only. The resume call gives
//! another one for the same task, so nothing of it needs to outlive a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, Call};
use super::error::{IMPORTING, INSTANT};
use crate::drive::{DriveError, Result, decode};
use crate::net::Secret;
use crate::providers::oss::{OssCredentials, OssUpload};

/// A key is not used in its last minute.
const MARGIN_MS: i64 = 60_000;

/// A key that was not used for so long is asked for anew.
const UNUSED_MS: i64 = Duration::from_secs(600).as_millis() as i64;

/// A key, and where it opens.
#[derive(Clone)]
pub struct Grant {
    pub credentials: OssCredentials,
    place: Place,
    /// Milliseconds since the epoch; `None` when the service does not tell.
    expires: Option<i64>,
    received: i64,
    used: Arc<AtomicBool>,
}

/// Where the bytes of an upload go.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub endpoint: String,
    pub bucket: String,
    pub object: String,
}

impl Place {
    /// The place in an answer; what it leaves out stays as in `known`.
    fn read(data: &Value, known: Option<&Place>) -> Result<Place> {
        let pick = |keys: &[&str], known: Option<&String>| {
            keys.iter()
                .find_map(|key| decode::nonempty(&data[*key]))
                .or_else(|| known.cloned())
                .ok_or_else(|| DriveError::bad_answer("upload_token", "no place for the bytes"))
        };
        let object = pick(&["objectPath"], known.map(|place| &place.object))?;
        Ok(Place {
            endpoint: pick(
                &["fullEndPoint", "endPoint"],
                known.map(|place| &place.endpoint),
            )?,
            bucket: pick(&["bucketName"], known.map(|place| &place.bucket))?,
            object: object.trim_start_matches('/').to_owned(),
        })
    }

    /// The place as the journal keeps it.
    fn stored(state: &Value) -> Option<Place> {
        Some(Place {
            endpoint: decode::nonempty(&state["endpoint"])?,
            bucket: decode::nonempty(&state["bucket"])?,
            object: decode::nonempty(&state["object"])?,
        })
    }

    /// Writes it into a session's state.
    pub fn store(&self, state: &mut Value) {
        state["endpoint"] = json!(self.endpoint);
        state["bucket"] = json!(self.bucket);
        state["object"] = json!(self.object);
    }
}

impl Grant {
    /// The key of an answer. The credentials are in `creds` or beside it (section 6.2).
    pub fn read(data: &Value, known: Option<&Place>, now: i64) -> Result<Grant> {
        let creds = match &data["creds"] {
            Value::Object(_) => &data["creds"],
            _ => data,
        };
        let secret = |keys: &[&str]| {
            keys.iter()
                .find_map(|key| decode::nonempty(&creds[*key]))
                .map(Secret::new)
                .ok_or_else(|| DriveError::bad_answer("upload_token", "no key for the bytes"))
        };
        Ok(Grant {
            credentials: OssCredentials {
                access_key_id: secret(&["accessKeyID", "accessKeyId"])?,
                access_key_secret: secret(&["secretAccessKey", "accessKeySecret"])?,
                token: secret(&["sessionToken", "securityToken"])?,
            },
            place: Place::read(data, known)?,
            expires: decode::rfc3339_ms(&creds["expiration"]),
            received: now,
            used: Arc::default(),
        })
    }

    /// Where it opens.
    pub fn place(&self) -> &Place {
        &self.place
    }

    fn lives(&self, now: i64) -> bool {
        let ended = self
            .expires
            .is_some_and(|at| at.saturating_sub(MARGIN_MS) <= now);
        let idle =
            !self.used.load(Ordering::Relaxed) && now.saturating_sub(self.received) > UNUSED_MS;
        !ended && !idle
    }

    fn is(&self, other: &Grant) -> bool {
        self.credentials.access_key_id == other.credentials.access_key_id
            && self.credentials.token == other.credentials.token
    }

    /// The object it opens. With an overridden store its address takes the place of the endpoint
    /// the service named.
    pub fn object(&self, api: &Api) -> Result<OssUpload> {
        self.used.store(true, Ordering::Relaxed);
        let endpoint = api.oss.as_deref().unwrap_or(&self.place.endpoint);
        OssUpload::new(
            api.client.clone(),
            endpoint,
            &self.place.bucket,
            &self.place.object,
        )
    }
}

/// What a session may do.
pub enum Access {
    /// Send bytes.
    Open(Grant),
    /// Nothing: the service has the content by now.
    Whole,
}

/// A key for a session's task: the one at hand, else another one. `refused` is not used again.
///
/// # Errors
/// `NotFound` when the task is gone.
pub async fn access(api: &Api, state: &Value, refused: Option<&Grant>) -> Result<Access> {
    let task = decode::text(&state["task_id"]);
    let at_hand = || {
        api.grants
            .get(&task)
            .filter(|grant| grant.lives(api.now()) && refused.is_none_or(|old| !grant.is(old)))
    };
    if let Some(grant) = at_hand() {
        return Ok(Access::Open(grant));
    }
    let _one_at_a_time = api.renewing.lock().await;
    if let Some(grant) = at_hand() {
        return Ok(Access::Open(grant));
    }
    let body = json!({
        "capacity": 2,
        "res": { "fileSize": state["size"] },
        "taskId": task,
        "object": { "objectPath": state["object"], "provider": state["provider"] },
    });
    let path = "/userres/v1/get_res_center_resume_token";
    let call = Call::new("resume_token", path, body).accept(&[INSTANT, IMPORTING]);
    let reply = api.reply(call).await?;
    if reply.code != 0 {
        return Ok(Access::Whole);
    }
    let known = Place::stored(state);
    let grant = Grant::read(&reply.data, known.as_ref(), api.now())?;
    api.grants.insert(task, grant.clone());
    Ok(Access::Open(grant))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Value {
        json!({"taskId":"up-1002","provider":1,"bucketName":"gy-bucket",
            "endPoint":"oss-cn-hangzhou.aliyuncs.com",
            "fullEndPoint":"https://gy-bucket.oss-cn-hangzhou.aliyuncs.com",
            "objectPath":"/upload/2026/obj",
            "creds":{"accessKeyID":"STS.NTabc","secretAccessKey":"secret",
                "sessionToken":"CAIS","expiration":"1970-01-01T01:00:00Z"}})
    }

    #[test]
    fn a_key_is_read_from_either_place() {
        let nested = Grant::read(&answer(), None, 0).unwrap();
        assert_eq!(nested.place.object, "upload/2026/obj");
        assert!(nested.place.endpoint.starts_with("https://gy-bucket."));
        let mut flat = answer();
        let creds = flat["creds"].take();
        for (key, value) in creds.as_object().unwrap() {
            flat[key] = value.clone();
        }
        flat["fullEndPoint"] = json!("");
        let flat = Grant::read(&flat, None, 0).unwrap();
        assert!(flat.is(&nested));
        assert_eq!(flat.place.endpoint, "oss-cn-hangzhou.aliyuncs.com");
        assert!(Grant::read(&json!({"creds":{"accessKeyID":"x"}}), None, 0).is_err());
    }

    #[test]
    fn a_resumed_key_keeps_the_old_place() {
        let creds = json!({"creds": answer()["creds"]});
        assert!(Grant::read(&creds, None, 0).is_err());
        let mut state = json!({});
        let old = Grant::read(&answer(), None, 0).unwrap();
        old.place().store(&mut state);
        let known = Place::stored(&state).unwrap();
        let grant = Grant::read(&creds, Some(&known), 0).unwrap();
        assert_eq!(grant.place(), old.place());
        assert_eq!(Place::stored(&json!({})), None);
    }

    #[test]
    fn a_key_ends_and_grows_stale() {
        let grant = Grant::read(&answer(), None, 0).unwrap();
        assert!(grant.lives(UNUSED_MS));
        assert!(!grant.lives(UNUSED_MS + 1), "never used");
        grant.used.store(true, Ordering::Relaxed);
        assert!(grant.lives(3_600_000 - MARGIN_MS - 1));
        assert!(!grant.lives(3_600_000 - MARGIN_MS));
    }
}
