//! The HTTP calls of the store.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::super::account::{Account, dropped};
use super::super::body::{ReceiveError, drain, receive, set};
use super::super::clock::{self, Clock};
use super::super::content::Blob;
use super::super::faults::FaultKind;
use super::multipart::{MAX_PART, Multipart, Session, content_md5_fits, etag_of};
use super::{Answer, Finished, Oss, OssError, Sts, decoded, escape, sign, xml};

/// Tolerated difference between a request's date and the server's.
const MAX_SKEW_MS: i64 = 15 * 60 * 1000;

struct Call {
    method: String,
    bucket: String,
    key: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
}

impl Call {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    fn has(&self, name: &str) -> bool {
        sign::value(&self.query, name).is_some()
    }

    fn part_number(&self) -> u32 {
        let number = sign::value(&self.query, "partNumber").and_then(|text| text.parse().ok());
        number.unwrap_or(0)
    }

    /// Name in the meters; `None` for what this store does not do.
    fn op(&self) -> Option<&'static str> {
        Some(match (self.method.as_str(), self.has("uploadId")) {
            ("POST", false) if self.has("uploads") => "oss_init",
            ("PUT", true) => "oss_part",
            ("PUT", false) => "oss_put",
            ("GET", true) => "oss_list_parts",
            ("POST", true) => "oss_complete",
            ("DELETE", true) => "oss_abort",
            _ => return None,
        })
    }
}

/// Bucket and key: the bucket is the first label of a host name, or with an IP address (or
/// `localhost`) the first segment of the path.
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

/// Every request comes here.
pub(super) async fn any(State(oss): State<Arc<Oss>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let (bucket, key) = place(host, parts.uri.path());
    let call = Call {
        method: parts.method.to_string(),
        bucket,
        key,
        query: sign::parse_query(parts.uri.query().unwrap_or("")),
        headers: parts.headers,
    };
    let Some(op) = call.op() else {
        drain(body).await;
        let text = "The specified method is not allowed against this resource.";
        return OssError::new(405, "MethodNotAllowed", text).into_response();
    };
    let sts = match oss.authorize(&call) {
        Ok(sts) => sts,
        Err(error) => {
            drain(body).await;
            return error.into_response();
        }
    };
    let account = sts.account.clone();
    let errno = |arg: &str| OssError::new(403, arg, "injected fault").into_response();
    let work = async {
        if account.faults.take(op, FaultKind::ExpireToken).is_some() {
            drain(body).await;
            return token_expired().into_response();
        }
        oss.perform(op, &call, &account, body)
            .await
            .unwrap_or_else(IntoResponse::into_response)
    };
    account.serve_transfer(op, errno, work).await
}

fn token_expired() -> OssError {
    OssError::new(
        403,
        "SecurityTokenExpired",
        "The security token you provided has expired.",
    )
}

fn no_such_upload() -> OssError {
    let text = "The specified upload does not exist. The upload ID may be invalid, or the \
                upload may have been aborted or completed.";
    OssError::new(404, "NoSuchUpload", text)
}

impl Oss {
    /// Checks key, token, expiry, date, scope and signature.
    fn authorize(&self, call: &Call) -> Result<Sts, OssError> {
        let denied = |text: &str| OssError::new(403, "AccessDenied", text);
        let authorization = call.header("authorization");
        let Some((id, signature)) = authorization
            .strip_prefix("OSS ")
            .and_then(|rest| rest.trim().split_once(':'))
        else {
            return Err(denied("Anonymous access is forbidden for this operation."));
        };
        let Some(sts) = self.state().keys.get(id).cloned() else {
            let text = "The OSS Access Key Id you provided does not exist in our records.";
            return Err(OssError::new(403, "InvalidAccessKeyId", text));
        };
        let text = sign::string_to_sign(
            &call.method,
            &call.headers,
            &call.bucket,
            &call.key,
            &call.query,
        );
        if sign::hmac_sha1(&sts.access_key_secret, &text) != signature {
            return Err(OssError::bad_signature(&text));
        }
        let date = match call.header("x-oss-date") {
            "" => call.header("date"),
            own => own,
        };
        let Some(at) = clock::parse_rfc1123(date) else {
            return Err(denied("OSS authentication requires a valid Date."));
        };
        // The client's clock may be the system's or the world's: either is right.
        let skew = [Clock::real_ms(), self.clock.now_ms()];
        if skew.iter().all(|now| (now - at).abs() > MAX_SKEW_MS) {
            let text = "The difference between the request time and the current time is too large.";
            return Err(OssError::new(403, "RequestTimeTooSkewed", text));
        }
        let token = match call.header("x-oss-security-token") {
            "" => sign::value(&call.query, "security-token").unwrap_or(""),
            token => token,
        };
        if token != sts.security_token {
            let text = "The security token you provided is invalid.";
            return Err(OssError::new(403, "InvalidSecurityToken", text));
        }
        if self.clock.now_ms() >= sts.expires {
            return Err(token_expired());
        }
        if call.bucket != sts.bucket || sts.key.as_ref().is_some_and(|key| *key != call.key) {
            return Err(denied("You have no right to access this object."));
        }
        if call.key.is_empty() {
            return Err(OssError::new(
                400,
                "InvalidObjectName",
                "The object name is not valid.",
            ));
        }
        Ok(sts)
    }

    /// Runs `work` on the upload the call names.
    fn session<T>(
        &self,
        call: &Call,
        work: impl FnOnce(&mut Session) -> Result<T, OssError>,
    ) -> Result<T, OssError> {
        let id = sign::value(&call.query, "uploadId").unwrap_or("");
        let mut state = self.state();
        let session = state.sessions.get_mut(id);
        let own = session.filter(|s| s.bucket == call.bucket && s.key == call.key);
        work(own.ok_or_else(no_such_upload)?)
    }

    async fn perform(
        &self,
        op: &str,
        call: &Call,
        account: &Arc<Account>,
        body: Body,
    ) -> Result<Response, OssError> {
        match op {
            "oss_init" => Ok(self.init(call, account)),
            "oss_part" => {
                let blob = match receive(account, op, body, MAX_PART).await {
                    Ok(blob) => blob,
                    Err(ReceiveError::Broken) => return Ok(dropped()),
                    Err(ReceiveError::TooLong) => {
                        return Err(OssError::new(
                            400,
                            "EntityTooLarge",
                            "The part is too large.",
                        ));
                    }
                };
                self.part(call, blob).await
            }
            "oss_put" => {
                let blob = match receive(account, op, body, MAX_PART).await {
                    Ok(blob) => blob,
                    Err(ReceiveError::Broken) => return Ok(dropped()),
                    Err(ReceiveError::TooLong) => {
                        return Err(OssError::new(
                            400,
                            "EntityTooLarge",
                            "The object is too large.",
                        ));
                    }
                };
                if !content_md5_fits(&blob, call.header("content-md5")).await {
                    return Err(invalid_digest());
                }
                self.store(op, call, account, blob, true).await
            }
            "oss_list_parts" => self.list_parts(call),
            "oss_complete" => {
                let bytes = to_bytes(body, 8 << 20).await.unwrap_or_default();
                let list = parse_parts(&String::from_utf8_lossy(&bytes))?;
                let (blob, with_sha1) = self.session(call, |session| {
                    Ok((session.multipart.join(Some(&list))?, session.with_sha1))
                })?;
                let answer = self.store(op, call, account, blob, with_sha1).await?;
                let id = sign::value(&call.query, "uploadId")
                    .unwrap_or("")
                    .to_owned();
                self.state().sessions.remove(&id);
                Ok(answer)
            }
            _ => {
                self.session(call, |_| Ok(()))?;
                let id = sign::value(&call.query, "uploadId")
                    .unwrap_or("")
                    .to_owned();
                self.state().sessions.remove(&id);
                let mut response = Response::new(Body::empty());
                *response.status_mut() = axum::http::StatusCode::NO_CONTENT;
                Ok(response)
            }
        }
    }

    fn init(&self, call: &Call, account: &Arc<Account>) -> Response {
        let id = self.ids.hex(32).to_uppercase();
        let sequential = call.has("sequential");
        let session = Session {
            account: account.clone(),
            bucket: call.bucket.clone(),
            key: call.key.clone(),
            with_sha1: sequential || call.has("x-oss-enable-sha1"),
            multipart: Multipart::new(sequential),
        };
        self.state().sessions.insert(id.clone(), session);
        let body = format!(
            "<InitiateMultipartUploadResult><Bucket>{}</Bucket><Key>{}</Key>\
             <UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
            escape(&call.bucket),
            escape(&call.key)
        );
        xml(200, body)
    }

    async fn part(&self, call: &Call, blob: Blob) -> Result<Response, OssError> {
        self.session(call, |session| session.multipart.admits(call.part_number()))?;
        if !content_md5_fits(&blob, call.header("content-md5")).await {
            return Err(invalid_digest());
        }
        let etag = etag_of(&blob).await;
        let crc = blob.crc64_decimal().await;
        let now = self.clock.now_ms();
        let number = call.part_number();
        self.session(call, |session| {
            session.multipart.put(number, blob, etag.clone(), now)
        })?;
        let mut response = Response::new(Body::empty());
        set(&mut response, "etag", &format!("\"{etag}\""));
        set(&mut response, "x-oss-hash-crc64ecma", &crc);
        Ok(response)
    }

    fn list_parts(&self, call: &Call) -> Result<Response, OssError> {
        let number = |name: &str, default: u32| {
            sign::value(&call.query, name)
                .and_then(|text| text.parse().ok())
                .unwrap_or(default)
        };
        let (limit, after) = (
            number("max-parts", 1000).min(1000),
            number("part-number-marker", 0),
        );
        let parts: Vec<_> = self.session(call, |session| {
            let parts = session.multipart.parts.range(after.saturating_add(1)..);
            Ok(parts
                .map(|(number, part)| (*number, part.clone()))
                .collect())
        })?;
        let page = &parts[..parts.len().min(limit as usize)];
        let rows: String = page
            .iter()
            .map(|(number, part)| {
                format!(
                    "<Part><PartNumber>{number}</PartNumber><LastModified>{}</LastModified>\
                     <ETag>\"{}\"</ETag><HashCrc64ecma>{}</HashCrc64ecma><Size>{}</Size></Part>",
                    clock::rfc3339(part.modified),
                    part.etag,
                    u64::from_str_radix(&part.blob.digest_now(super::HashKind::Crc64), 16)
                        .unwrap_or_default(),
                    part.blob.size()
                )
            })
            .collect();
        let next = page.last().map_or(after, |(number, _)| *number);
        let body = format!(
            "<ListPartsResult><Bucket>{}</Bucket><Key>{}</Key><UploadId>{}</UploadId>\
             <PartNumberMarker>{after}</PartNumberMarker>\
             <NextPartNumberMarker>{next}</NextPartNumberMarker><MaxParts>{limit}</MaxParts>\
             <IsTruncated>{}</IsTruncated>{rows}</ListPartsResult>",
            escape(&call.bucket),
            escape(&call.key),
            escape(sign::value(&call.query, "uploadId").unwrap_or("")),
            parts.len() > page.len(),
        );
        Ok(xml(200, body))
    }

    /// Stores an object and asks the provider what to answer.
    async fn store(
        &self,
        op: &str,
        call: &Call,
        account: &Arc<Account>,
        blob: Blob,
        with_sha1: bool,
    ) -> Result<Response, OssError> {
        let callback = decoded(&call.headers, "x-oss-callback")?;
        let callback_var = decoded(&call.headers, "x-oss-callback-var")?;
        let etag = etag_of(&blob).await;
        let crc = blob.crc64_decimal().await;
        {
            let place = (call.bucket.clone(), call.key.clone());
            let mut state = self.state();
            if call.header("x-oss-forbid-overwrite") == "true" && state.objects.contains_key(&place)
            {
                let text = "The object you specified already exists and can not be overwritten.";
                return Err(OssError::new(409, "FileAlreadyExists", text));
            }
            state.objects.insert(place, blob.clone());
        }
        let answer = if account.faults.take(op, FaultKind::CommitFail).is_some() {
            Answer::Failed("injected fault".to_owned())
        } else {
            let finished = Finished {
                account: account.clone(),
                bucket: call.bucket.clone(),
                key: call.key.clone(),
                blob,
                with_sha1,
                callback,
                callback_var,
            };
            (self.callback)(finished).await
        };
        let mut response = match answer {
            Answer::Json(document) => axum::Json(document).into_response(),
            Answer::Failed(why) => OssError::new(203, "CallbackFailed", &why).into_response(),
            Answer::Plain if op == "oss_put" => Response::new(Body::empty()),
            Answer::Plain => {
                let body = format!(
                    "<CompleteMultipartUploadResult><Bucket>{}</Bucket><Key>{}</Key>\
                     <ETag>\"{etag}\"</ETag></CompleteMultipartUploadResult>",
                    escape(&call.bucket),
                    escape(&call.key)
                );
                xml(200, body)
            }
        };
        set(&mut response, "etag", &format!("\"{etag}\""));
        set(&mut response, "x-oss-hash-crc64ecma", &crc);
        Ok(response)
    }
}

fn invalid_digest() -> OssError {
    OssError::new(
        400,
        "InvalidDigest",
        "The Content-MD5 you specified is not valid.",
    )
}

/// The parts of a `CompleteMultipartUpload` document, in its order. Namespaces and the order
/// inside `Part` do not matter; ETags lose their quotes.
pub(in super::super) fn parse_parts(text: &str) -> Result<Vec<(u32, String)>, OssError> {
    let malformed = || {
        let text = "The XML you provided was not well-formed or did not validate.";
        OssError::new(400, "MalformedXML", text)
    };
    // ETags are hex: quotes written as entities carry nothing.
    let text = text
        .replace("&#34;", "")
        .replace("&#x22;", "")
        .replace("&quot;", "");
    let mut reader = Reader::from_str(&text);
    let (mut parts, mut number, mut etag) = (Vec::new(), None, None);
    let mut inside = Vec::new();
    loop {
        match reader.read_event().map_err(|_| malformed())? {
            Event::Start(tag) => inside.push(tag.local_name().as_ref().to_owned()),
            Event::End(tag) => {
                inside.pop();
                if tag.local_name().as_ref() == "Part" {
                    match (number.take(), etag.take()) {
                        (Some(number), Some(etag)) => parts.push((number, etag)),
                        _ => return Err(malformed()),
                    }
                }
            }
            Event::Text(value) => {
                let value = value.trim();
                match inside.last().map(String::as_str) {
                    Some("PartNumber") => {
                        number = Some(value.parse().map_err(|_| malformed())?);
                    }
                    Some("ETag") => etag = Some(value.trim_matches('"').to_owned()),
                    _ => {}
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if parts.is_empty() {
        Err(malformed())
    } else {
        Ok(parts)
    }
}
