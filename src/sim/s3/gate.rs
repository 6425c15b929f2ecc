//! Where a request goes, and the checks every request passes.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, header};
use axum::response::Response;

use super::super::account::Account;
use super::super::body::{Unread, drain, set};
use super::super::clock::rfc1123;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::auth::{self, Payload};
use super::checksums::Claims;
use super::errors::S3Error;
use super::route::{self, Place};
use super::sign;
use super::{S3, bucket_of, rules};

/// Bodies that are documents are not longer than this.
const LONGEST_DOCUMENT: usize = 4 << 20;
/// Bytes of a key at most.
const LONGEST_KEY: usize = 1024;

/// A request on its way.
pub(super) struct Ctx {
    pub sim: Arc<S3>,
    pub account: Arc<Account>,
    pub op: &'static str,
    pub method: String,
    /// As it was sent.
    pub path: String,
    pub bucket: String,
    pub key: String,
    /// The query as it is signed.
    pub pairs: Vec<sign::Pair>,
    /// The query as texts.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub request_id: String,
}

/// An answer or a refusal.
pub(super) type Answer = Result<Response, S3Error>;

/// What every answer has.
fn dress(sim: &S3, mut response: Response, request_id: &str) -> Response {
    set(&mut response, "date", &rfc1123(sim.kit.clock.now_ms()));
    set(&mut response, "x-amz-request-id", request_id);
    set(&mut response, "x-amz-id-2", "c2ltdWxhdGVkIGhvc3Q=");
    set(&mut response, "server", "AmazonS3");
    response
}

pub(super) async fn entry(Shared(sim): Shared<Arc<S3>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let request_id = sim.kit.ids.hex(16).to_uppercase();
    let path = parts.uri.path().to_owned();
    let head = parts.method == "HEAD";
    let host = parts.headers.get(header::HOST);
    let host = host.and_then(|value| value.to_str().ok()).unwrap_or("");
    let place = route::place(host, &path);
    let pairs = sign::parse_query(parts.uri.query().unwrap_or(""));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let query: Vec<(String, String)> = pairs
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect();
    let key_id = auth::key_id(&parts.headers, &query);
    let by_key = key_id.as_deref().and_then(|id| sim.owner_of_key(id));
    let by_bucket = place.as_ref().ok();
    let by_bucket = by_bucket.and_then(|place| sim.owner_of_bucket(&place.bucket));
    let account = by_key.map(|(account, _)| account).or(by_bucket).cloned();
    let Some(account) = account else {
        drain(body).await;
        let error = match key_id {
            Some(id) => S3::unknown_key(&id),
            None => S3Error::denied("Access Denied"),
        };
        return dress(&sim, error.respond(&path, &request_id, head), &request_id);
    };
    let place = match place {
        Ok(place) => place,
        Err(error) => {
            account.meters.request("other");
            drain(body).await;
            return dress(&sim, error.respond(&path, &request_id, head), &request_id);
        }
    };
    let method = parts.method.as_str();
    let op = route::operation(method, &place, &query, &parts.headers);
    let ctx = Arc::new(Ctx {
        op,
        method: method.to_owned(),
        path,
        key: kept_key(&account, &place),
        bucket: place.bucket,
        pairs,
        query,
        headers: parts.headers,
        request_id,
        sim,
        account,
    });
    let account = &ctx.account;
    let unread = Unread::new(body);
    let work = async {
        let answer = ctx.clone().run(&unread).await;
        answer.unwrap_or_else(|error| ctx.refusal(&error))
    };
    let errno = |arg: &str| ctx.refusal(&S3Error::injected(arg));
    let response = match op {
        "download" | "put" | "part" => account.serve_transfer(op, errno, work).await,
        _ => account.serve(op, errno, work).await,
    };
    // Who waits for "100 Continue" has not sent the body yet, and is told not to.
    if !ctx.headers.contains_key(header::EXPECT) {
        unread.drain().await;
    }
    dress(&ctx.sim, response, &ctx.request_id)
}

/// The key that is meant: a marker is a file to servers with the rule `marker_is_file`.
fn kept_key(account: &Account, place: &Place) -> String {
    let bare = place.key.trim_end_matches('/');
    match rules::yes(account, "marker_is_file") && !bare.is_empty() {
        true => bare.to_owned(),
        false => place.key.clone(),
    }
}

impl Ctx {
    async fn run(self: Arc<Ctx>, unread: &Unread) -> Answer {
        let calls = self.account.knobs.number("calls_per_second", 0);
        let rates = &self.sim.kit.rates;
        let (name, rate) = (&self.account.profile, calls as f64);
        if calls > 0 && rates.take(name, rate, rate).is_err() {
            let text = "Please reduce your request rate.";
            return Err(S3Error::new(503, "SlowDown", text));
        }
        let payload = self.admit()?;
        if self.op == "other" {
            return Err(route::unknown(&self.method, &self.query));
        }
        self.check_place()?;
        route::check_headers(&self.headers)?;
        match self.op {
            "put" => {
                let plan = self.plan_put(payload).await?;
                let body = unread.take();
                return apart(async move { self.put(plan, body).await }).await;
            }
            "part" => {
                let plan = self.plan_part(payload)?;
                let body = unread.take();
                return apart(async move { self.part(plan, body).await }).await;
            }
            _ => {}
        }
        let document = self.document(unread, &payload).await?;
        match self.op {
            "buckets" => Ok(self.list_buckets()),
            "head_bucket" => Ok(self.head_bucket()),
            "location" => Ok(self.location()),
            "create_bucket" => self.create_bucket(),
            "delete_bucket" => self.delete_bucket(),
            "list" => self.list().await,
            "head" | "download" => self.read().await,
            "copy" => self.copy().await,
            "delete" => self.delete().await,
            "delete_batch" => self.delete_batch(&document).await,
            "create" => self.create(),
            "part_copy" => self.part_copy().await,
            "parts" => self.list_parts(),
            "commit" => self.commit(&document).await,
            "abort" => self.abort(),
            "uploads" => self.list_uploads(),
            _ => Err(route::unknown(&self.method, &self.query)),
        }
    }

    /// The bucket must be there and the account's own, the key not too long.
    fn check_place(&self) -> Result<(), S3Error> {
        if self.bucket.is_empty() || self.op == "create_bucket" {
            return Ok(());
        }
        self.own_bucket(&self.bucket)?;
        self.check_key(&self.key)
    }

    /// Refuses a bucket that is somebody else's or nobody's.
    pub(super) fn own_bucket(&self, bucket: &str) -> Result<(), S3Error> {
        match self.sim.owner_of_bucket(bucket) {
            Some(owner) if bucket_of(&self.account) == bucket_of(owner) => Ok(()),
            Some(_) => Err(S3Error::denied("Access Denied")),
            None => {
                let text = "The specified bucket does not exist";
                Err(S3Error::new(404, "NoSuchBucket", text).detail("BucketName", bucket))
            }
        }
    }

    /// Refuses keys that are too long.
    pub(super) fn check_key(&self, key: &str) -> Result<(), S3Error> {
        if key.len() > LONGEST_KEY {
            return Err(S3Error::new(400, "KeyTooLongError", "Your key is too long")
                .detail("Size", &key.len().to_string())
                .detail("MaxSizeAllowed", &LONGEST_KEY.to_string()));
        }
        Ok(())
    }

    /// A body that is a document, or nothing.
    async fn document(&self, unread: &Unread, payload: &Payload) -> Result<String, S3Error> {
        let bytes = to_bytes(unread.take(), LONGEST_DOCUMENT).await;
        let bytes = bytes.map_err(|_| {
            let text = "Your proposed upload exceeds the maximum allowed size";
            S3Error::new(400, "EntityTooLarge", text)
        })?;
        let blob = Blob::bytes(bytes.clone());
        self.check_payload(&blob, payload).await?;
        // Elsewhere these headers speak of an object.
        if self.op == "delete_batch" {
            let claims = Claims::read(&self.headers)?;
            if claims.is_empty() {
                let text = "Missing required header for this request: Content-MD5";
                return Err(S3Error::request(text));
            }
            claims.check(&blob).await?;
        }
        String::from_utf8(bytes.to_vec()).map_err(|_| S3Error::malformed_xml())
    }

    /// Compares a body with what was signed.
    pub(super) async fn check_payload(
        &self,
        blob: &Blob,
        payload: &Payload,
    ) -> Result<(), S3Error> {
        let Payload::Hash(signed) = payload else {
            return Ok(());
        };
        let own = blob.digest(HashKind::Sha256).await;
        if own == *signed {
            return Ok(());
        }
        let text = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        Err(S3Error::new(400, "XAmzContentSHA256Mismatch", text)
            .detail("ClientComputedContentSHA256", signed)
            .detail("S3ComputedContentSHA256", &own))
    }

    /// The answer that a refusal is.
    pub(super) fn refusal(&self, error: &S3Error) -> Response {
        error.respond(&self.path, &self.request_id, self.method == "HEAD")
    }

    /// Milliseconds since 1970 by the world's clock.
    pub(super) fn now(&self) -> i64 {
        self.sim.kit.clock.now_ms()
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or("").trim()
    }

    /// A query parameter.
    pub(super) fn q(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A rule is on.
    pub(super) fn yes(&self, rule: &str) -> bool {
        rules::yes(&self.account, rule)
    }

    /// A parameter that says how many (`max-keys` and its kin): 1000 at most, or the setting
    /// `page`.
    pub(super) fn limit(&self, name: &'static str) -> Result<usize, S3Error> {
        let most = self.account.knobs.number("page", 1000).clamp(1, 1000);
        let wanted = match self.q(name) {
            None | Some("") => most,
            Some(text) => match text.parse::<i64>() {
                Ok(number) if (0..=i64::from(i32::MAX)).contains(&number) => number.unsigned_abs(),
                Ok(_) => {
                    let message = "Argument must be an integer between 0 and 2147483647";
                    return Err(S3Error::argument(
                        name,
                        text,
                        &format!("{message} ({name})"),
                    ));
                }
                Err(_) => {
                    let message = "Provided value not an integer or not within integer range";
                    return Err(S3Error::argument(name, text, message));
                }
            },
        };
        Ok(usize::try_from(wanted.min(most)).unwrap_or(1000))
    }

    /// `encoding-type`.
    pub(super) fn names(&self) -> Result<super::xml::Names, S3Error> {
        match self.q("encoding-type") {
            None | Some("") => Ok(super::xml::Names { url: false }),
            Some("url") => Ok(super::xml::Names { url: true }),
            Some(other) => {
                let text = "Invalid Encoding Method specified in Request";
                Err(S3Error::argument("encoding-type", other, text))
            }
        }
    }
}

/// Runs the work on an upload to its end, though the client may go away meanwhile: what arrived
/// whole is kept.
async fn apart(work: impl Future<Output = Answer> + Send + 'static) -> Answer {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|_| Err(S3Error::internal()))
}
