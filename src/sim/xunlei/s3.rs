//! The front door of the store. Requests signed with AWS signature V4 are checked here, and go on
//! to the shared store under its own signature V1, which the sheet expects to work from outside
//! as well (xunlei.md section 7.2).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::super::body::drain;
use super::super::clock;
use super::super::digest::hex;
use super::super::oss::{OssError, Sts, sign};
use super::gate::{foreign_headers, header};
use super::v4::{self, Authorization, REGION, UNSIGNED};
use super::{Xunlei, is_hex};

/// Where the override of the store's address points to.
const MOUNT: &str = "/oss";

/// Every request that is for no other host comes here.
pub(super) async fn front(
    Shared(sim): Shared<Arc<Xunlei>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Some(status) = foreign_headers(&parts.headers) {
        drain(body).await;
        return status.into_response();
    }
    let sent = parts.uri.path().to_owned();
    let below = sent.strip_prefix(MOUNT);
    let inner = below.filter(|rest| rest.starts_with('/')).unwrap_or(&sent);
    let checked = match header(&parts.headers, "authorization").starts_with(v4::ALGORITHM) {
        true => sim.admit_v4(&mut parts, &sent, inner),
        false => sim.admit_v1(&mut parts, inner),
    };
    let payload = match checked {
        Ok(payload) => payload,
        Err(error) => {
            drain(body).await;
            return error.into_response();
        }
    };
    let wrong = Arc::new(AtomicBool::new(false));
    let body = match payload {
        Some(expected) => hashed(body, expected, wrong.clone()),
        None => body,
    };
    let response = next.run(Request::from_parts(parts, body)).await;
    if wrong.load(Ordering::SeqCst) {
        let text = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return OssError::new(400, "XAmzContentSHA256Mismatch", text).into_response();
    }
    response
}

/// A body that ends in an error when its SHA-256 is another than the client signed, so that
/// nobody keeps it. Its length is not known behind this: a fault that strikes at the half of a
/// body strikes at its start.
fn hashed(body: Body, expected: String, wrong: Arc<AtomicBool>) -> Body {
    let start = Some((body.into_data_stream(), Sha256::new()));
    Body::from_stream(stream::unfold(start, move |state| {
        let (expected, wrong) = (expected.clone(), wrong.clone());
        async move {
            let (mut data, mut hasher) = state?;
            match data.next().await {
                Some(Ok(bytes)) => {
                    hasher.update(&bytes);
                    Some((Ok(bytes), Some((data, hasher))))
                }
                Some(Err(error)) => Some((Err(std::io::Error::other(error)), None)),
                None if hex(&hasher.finalize()) == expected => None,
                None => {
                    wrong.store(true, Ordering::SeqCst);
                    Some((Err(std::io::Error::other("another payload")), None))
                }
            }
        }
    }))
}

/// Bucket and key of a request: the bucket is the first label of a host name, or with an IP
/// address the first segment of the path.
fn place(host: &str, path: &str) -> (String, String) {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_address = host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[');
    let path = path.trim_start_matches('/');
    match host.split_once('.').filter(|_| !is_address) {
        Some((bucket, _)) => (bucket.to_owned(), decode(path)),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (decode(bucket), decode(key))
        }
    }
}

/// Puts another path into an address.
fn set_path(parts: &mut Parts, path: &str) {
    let query = parts.uri.query().map(|query| format!("?{query}"));
    if let Ok(uri) = format!("{path}{}", query.unwrap_or_default()).parse::<Uri>() {
        parts.uri = uri;
    }
}

fn denied(text: &str) -> OssError {
    OssError::new(403, "AccessDenied", text)
}

fn malformed(text: &str) -> OssError {
    OssError::new(400, "AuthorizationHeaderMalformed", text)
}

/// Reads `20260101T000000Z` (milliseconds).
fn parse_amz_date(text: &str) -> Option<i64> {
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let zoned = civil.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

impl Xunlei {
    fn store_key(&self, id: &str) -> Option<Sts> {
        self.state().keys.get(id).cloned()
    }

    /// A request with signature V1 goes on as it is.
    fn admit_v1(&self, parts: &mut Parts, inner: &str) -> Result<Option<String>, OssError> {
        let id = header(&parts.headers, "authorization").strip_prefix("OSS ");
        let id = id.and_then(|rest| rest.trim().split_once(':'));
        let key = id.and_then(|(id, _)| self.store_key(id));
        let mode = key.and_then(|key| key.account.knobs.text("store_v1"));
        if mode.is_some_and(|mode| matches!(mode.as_str(), "off" | "false" | "0" | "no")) {
            return Err(denied("This signature version is not supported."));
        }
        set_path(parts, inner);
        Ok(None)
    }

    /// Checks scope, date, payload and signature of a request, and signs it anew for the store,
    /// which checks key, token, expiry and the time itself. Answers the hash that the payload must
    /// have, if any.
    fn admit_v4(
        &self,
        parts: &mut Parts,
        sent: &str,
        inner: &str,
    ) -> Result<Option<String>, OssError> {
        let headers = &parts.headers;
        let authorization = Authorization::parse(header(headers, "authorization"))
            .ok_or_else(|| malformed("The authorization header is malformed."))?;
        let Some(sts) = self.store_key(authorization.key_id) else {
            let text = "The OSS Access Key Id you provided does not exist in our records.";
            return Err(OssError::new(403, "InvalidAccessKeyId", text));
        };
        let amz_date = header(headers, "x-amz-date");
        let at = parse_amz_date(amz_date);
        let at = at.ok_or_else(|| denied("AWS authentication requires a valid x-amz-date."))?;
        let day = amz_date.get(..8).unwrap_or("");
        match authorization.scope.split('/').collect::<Vec<_>>()[..] {
            [date, _, _, _] if date != day => {
                return Err(malformed("The date of the credential is not x-amz-date's."));
            }
            [_, REGION, "s3", "aws4_request"] => {}
            [_, region, "s3", "aws4_request"] => {
                let text = format!("the region '{region}' is wrong; expecting '{REGION}'");
                return Err(malformed(&text));
            }
            _ => return Err(malformed("The credential is malformed.")),
        }
        let payload = header(headers, "x-amz-content-sha256").to_owned();
        if payload.is_empty() {
            let text = "Missing required header for this request: x-amz-content-sha256";
            return Err(OssError::new(400, "InvalidRequest", text));
        }
        if payload != UNSIGNED && !is_hex(&payload, 64) {
            let text = "This kind of payload is not implemented.";
            return Err(OssError::new(501, "NotImplemented", text));
        }
        let mut own = headers.keys().map(HeaderName::as_str);
        let unsigned = own.find(|name| name.starts_with("x-amz-") && !authorization.covers(name));
        if unsigned.is_some() || !authorization.covers("host") {
            return Err(denied("There were headers present which were not signed."));
        }
        let query = sign::parse_query(parts.uri.query().unwrap_or(""));
        let method = parts.method.as_str();
        // The path is signed as it was sent, or as the store behind the mount sees it.
        let texts = [sent, inner].map(|path| {
            let names = authorization.signed_headers;
            let request = v4::canonical_request(method, path, &query, headers, names);
            v4::string_to_sign(amz_date, authorization.scope, &request)
        });
        let genuine = texts.iter().any(|text| {
            let own = v4::signature(&sts.access_key_secret, authorization.scope, text);
            own == authorization.signature
        });
        if !genuine {
            let [first, _] = &texts;
            return Err(OssError::bad_signature(first));
        }
        self.resign(parts, inner, &sts, at)?;
        Ok((payload != UNSIGNED).then(|| payload.to_ascii_lowercase()))
    }

    /// Puts signature V1 in the place of V4.
    fn resign(&self, parts: &mut Parts, inner: &str, sts: &Sts, at: i64) -> Result<(), OssError> {
        let (bucket, key) = place(header(&parts.headers, "host"), inner);
        let token = header(&parts.headers, "x-amz-security-token").to_owned();
        let foreign: Vec<HeaderName> = parts
            .headers
            .keys()
            .filter(|name| name.as_str().starts_with("x-amz-"))
            .cloned()
            .collect();
        for name in foreign {
            parts.headers.remove(name);
        }
        let put = |parts: &mut Parts, name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).map_err(|_| denied("An invalid header."))?;
            parts.headers.insert(name, value);
            Ok::<(), OssError>(())
        };
        put(parts, "host", "127.0.0.1")?;
        put(parts, "date", &clock::rfc1123(at))?;
        put(parts, "x-oss-security-token", &token)?;
        let query = sign::parse_query(parts.uri.query().unwrap_or(""));
        let method = parts.method.as_str();
        let text = sign::string_to_sign(method, &parts.headers, &bucket, &key, &query);
        let signature = sign::hmac_sha1(&sts.access_key_secret, &text);
        let authorization = format!("OSS {}:{signature}", sts.access_key_id);
        put(parts, "authorization", &authorization)?;
        let segments: Vec<String> = key.split('/').map(sign::encode).collect();
        let path = format!("/{}/{}", sign::encode(&bucket), segments.join("/"));
        set_path(parts, &path);
        Ok(())
    }
}
