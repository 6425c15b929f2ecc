//! What one profile needs to talk: the store, signed requests that OpenDAL has no operation for, and
//! what was learned of the server on the way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use opendal::Operator;
use opendal::raw::percent_encode_path;
use opendal::services::S3;
use reqsign_aws_v4::Credential;
use reqsign_core::{ProvideCredentialChain, Signer};
use reqwest::Method;
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};

use super::address::Place;
use super::error::{S3Dialect, is_unknown_to_it};
use super::keys::Keys;
use super::marks::Marks;
use super::upload::Held;
use super::versions::Kept;
use crate::drive::{DriveContext, DriveError, ErrorKind, NodeId, Result, open_client};
use crate::net::Clock;
use crate::providers::opendal::{Answer, Call, Dialect as _, Store, Wire};

/// A request that is signed here.
pub struct Ask<'a> {
    pub call: Call,
    pub method: Method,
    pub key: &'a str,
    /// Unencoded pairs; a pair without a value is a name alone.
    pub query: &'a [(&'a str, &'a str)],
    pub headers: &'a [(&'static str, &'a str)],
    pub body: Bytes,
}

/// The account's calls.
pub struct Api {
    pub store: Store,
    pub dialect: Arc<S3Dialect>,
    pub root: NodeId,
    pub marks: Marks,
    pub held: Held,
    pub kept: Kept,
    /// Whether MD5s are read from ETags at all.
    pub etags_are_md5: bool,
    /// Whether listings of this server have no ETags (sheet generic_backends, 7.2: s3s-fs).
    pub bare_lists: AtomicBool,
    /// Whether one object was asked for its encryption because of a listing.
    pub asked_seals: AtomicBool,
    /// Whether the server knows `If-None-Match` of a PUT.
    conditions: AtomicBool,
    /// Whether the server deletes many objects with one request.
    batches: AtomicBool,
    pub clock: Arc<dyn Clock>,
    place: Place,
    wire: Wire,
    signer: Signer<Credential>,
}

impl Api {
    pub fn new(context: &DriveContext) -> Result<Api> {
        let region = match context.field("region").trim() {
            "" => "us-east-1",
            region => region,
        };
        let url = context.endpoints.get("url").map_or("", String::as_str);
        let (bucket, style) = (context.field("bucket"), context.field("path_style"));
        let place = Place::new(url, bucket, region, style)?;
        let dialect = Arc::new(S3Dialect::default());
        let keys = Keys::new(context, dialect.clone());
        let agent = HeaderValue::from_static(concat!("panfuse/", env!("CARGO_PKG_VERSION")));
        let headers = HeaderMap::from_iter([(reqwest::header::USER_AGENT, agent)]);
        let wire = Wire::new(open_client(context, headers)?, dialect.clone());
        let mut service = S3::default()
            .root("/")
            .bucket(bucket)
            .endpoint(&place.endpoint)
            .region(region)
            .disable_config_load()
            .disable_ec2_metadata()
            // The server compares what arrives with what was sent.
            .checksum_algorithm("md5")
            .credential_provider_chain(ProvideCredentialChain::new().push(keys.clone()));
        if !place.path_style {
            service = service.enable_virtual_host_style();
        }
        let operator = Operator::new(service).map_err(|error| {
            let message = format!("profile {}: {}", context.profile, error.message());
            DriveError::new(ErrorKind::Invalid, message)
        })?;
        Ok(Api {
            store: Store::new(&operator, wire.clone()),
            root: super::address::root(context.root.as_deref().unwrap_or_default())?,
            marks: Marks::new(context.field("directory_markers")),
            held: Held::default(),
            kept: Kept::default(),
            etags_are_md5: context.field("etag_md5") != "no",
            bare_lists: AtomicBool::new(false),
            asked_seals: AtomicBool::new(false),
            conditions: AtomicBool::new(true),
            batches: AtomicBool::new(true),
            clock: context.clock.clone(),
            signer: keys.signer(region),
            dialect,
            place,
            wire,
        })
    }

    /// `key@host/bucket`, for the name of the account.
    pub fn account(&self, access_key: &str) -> String {
        format!("{access_key}@{}", self.place.name())
    }

    /// Signs and sends a request.
    ///
    /// # Errors
    /// Those of the wire.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Answer> {
        let op = ask.call.op;
        let mut url = format!("{}/{}", self.place.bucket, percent_encode_path(ask.key));
        for (at, (name, value)) in ask.query.iter().enumerate() {
            url.push(if at == 0 { '?' } else { '&' });
            url.push_str(name);
            if !value.is_empty() {
                url.push('=');
                url.push_str(&super::address::encode(value));
            }
        }
        let request = http::Request::builder().method(ask.method).uri(url);
        let request = request
            .body(())
            .map_err(|error| DriveError::new(ErrorKind::Invalid, format!("{op}: {error}")))?;
        let (mut parts, ()) = request.into_parts();
        for (name, value) in ask.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                parts.headers.insert(HeaderName::from_static(name), value);
            }
        }
        let signed = self.signer.sign(&mut parts, None).await;
        signed.map_err(|_| self.dialect.unsigned(op))?;
        // The client knows it.
        parts.headers.remove(HOST);
        self.wire.answer(ask.call, &parts, &ask.body).await
    }

    /// Stores a whole object. `absent`: only where there is none, as far as the server looks at that
    /// (sheet generic_backends, 7.2: rclone does not).
    ///
    /// # Errors
    /// `Exists` when there is one.
    pub async fn put(&self, key: &str, bytes: Bytes, absent: bool) -> Result<opendal::Metadata> {
        if absent && self.conditions() {
            match self.store.put(key, bytes.clone(), true).await {
                Err(error) if is_unknown_to_it(&error) => self.without_conditions(),
                stored => return stored,
            }
        }
        self.store.put(key, bytes, false).await
    }

    /// Whether `If-None-Match` is worth sending.
    pub fn conditions(&self) -> bool {
        self.conditions.load(Ordering::Relaxed)
    }

    /// From now on `If-None-Match` is not sent.
    pub fn without_conditions(&self) {
        self.conditions.store(false, Ordering::Relaxed);
    }

    /// Deletes objects. One that is gone is a success.
    ///
    /// # Errors
    /// The first one; others may be deleted or not.
    pub async fn delete(&self, keys: &[String]) -> Result<()> {
        if keys.len() > 1 && self.batches.load(Ordering::Relaxed) {
            let together = self.store.delete_all(keys.iter().map(String::as_str)).await;
            match together {
                Err(error) if is_unknown_to_it(&error) => {
                    self.batches.store(false, Ordering::Relaxed);
                }
                done => return done,
            }
        }
        for key in keys {
            match self.store.delete(key).await {
                Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A lock that a panic elsewhere does not close.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Small maps that forget the oldest entry when they are full.
pub struct Recent<T> {
    all: HashMap<String, (u64, T)>,
    next: u64,
    most: usize,
}

impl<T> Recent<T> {
    pub fn new(most: usize) -> Recent<T> {
        Recent {
            all: HashMap::new(),
            next: 0,
            most,
        }
    }

    pub fn insert(&mut self, key: String, value: T) {
        self.next = self.next.wrapping_add(1);
        self.all.insert(key, (self.next, value));
        if self.all.len() > self.most {
            let oldest = self.all.iter().min_by_key(|(_, (at, _))| *at);
            let oldest = oldest.map(|(key, _)| key.clone());
            if let Some(key) = oldest {
                self.all.remove(&key);
            }
        }
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        self.all.get_mut(key).map(|(_, value)| value)
    }

    pub fn remove(&mut self, key: &str) -> Option<T> {
        self.all.remove(key).map(|(_, value)| value)
    }

    pub fn contains(&self, key: &str) -> bool {
        self.all.contains_key(key)
    }

    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.all.retain(|key, _| keep(key));
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut recent = Recent::new(2);
        for key in ["a", "b", "a", "c"] {
            recent.insert(key.to_owned(), ());
        }
        assert!(recent.contains("a") && recent.contains("c") && !recent.contains("b"));
    }
}
