//! Who may come in: signature V4 in a header and in a query (public S3 API reference,
//! "Authenticating requests"; sheet, section 5).

use axum::http::HeaderMap;

use super::super::clock::{parse_rfc1123, rfc3339};
use super::super::faults::FaultKind;
use super::errors::S3Error;
use super::gate::Ctx;
use super::sign::{self, ALGORITHM, Authorization, Credential, UNSIGNED};
use super::{REGION, S3};

/// Tolerated difference between a request's date and the server's.
const MAX_SKEW_MS: i64 = 15 * 60 * 1000;
/// A presigned URL lives so many seconds at most.
const MAX_EXPIRES: i64 = 7 * 24 * 3600;

/// What is known of a body before it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// Its SHA-256 in lower-case hex.
    Hash(String),
    /// Nothing.
    Unsigned,
}

/// A header's text, empty when it is missing or no text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or("")
}

/// A query parameter.
fn param<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = query.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

/// The access key id that a request names, however wrong the rest is.
pub(super) fn key_id(headers: &HeaderMap, query: &[(String, String)]) -> Option<String> {
    let header = text(headers, "authorization");
    let credential = match header.split_once("Credential=") {
        Some((_, rest)) => Some(rest),
        None => param(query, "X-Amz-Credential"),
    };
    let (id, _) = credential?.split_once('/')?;
    Some(id.to_owned())
}

/// A signature as the request brings it.
struct Proof {
    authorization: Authorization,
    /// Milliseconds since 1970.
    at: i64,
    /// As it is signed.
    amz_date: String,
    /// As it is signed.
    payload: String,
    /// Code of what is wrong with its form.
    malformed: &'static str,
}

/// What a signed payload may be called.
fn payload_of(named: &str) -> Result<Payload, S3Error> {
    let hex = named.len() == 64 && named.bytes().all(|byte| byte.is_ascii_hexdigit());
    match named {
        UNSIGNED => Ok(Payload::Unsigned),
        _ if hex => Ok(Payload::Hash(named.to_ascii_lowercase())),
        streamed if streamed.starts_with("STREAMING-") => {
            Err(S3Error::not_implemented("x-amz-content-sha256: STREAMING"))
        }
        other => {
            let text = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, \
                        STREAMING-AWS4-HMAC-SHA256-PAYLOAD or a valid sha256 value.";
            Err(S3Error::argument("x-amz-content-sha256", other, text))
        }
    }
}

impl Ctx {
    /// Lets a request in, and says what is known of its body.
    pub(super) fn admit(&self) -> Result<Payload, S3Error> {
        let header = self.header("authorization");
        let queried = self.q(sign::SIGNATURE).is_some() || self.q("X-Amz-Algorithm").is_some();
        let proof = match (header, queried) {
            ("", false) => return Err(S3Error::denied("Access Denied")),
            ("", true) => self.presigned()?,
            (_, true) => {
                let text = "Only one auth mechanism allowed; only the X-Amz-Algorithm query \
                            parameter, Signature query string parameter or the Authorization \
                            header should be specified";
                return Err(S3Error::argument("Authorization", header, text));
            }
            (header, false) => self.signed(header)?,
        };
        let payload = payload_of(&proof.payload)?;
        self.check_scope(&proof)?;
        self.check_covered(&proof)?;
        self.check_signature(&proof)?;
        if queried {
            self.check_life(proof.at)?;
        }
        let expired = self.account.faults.take(self.op, FaultKind::ExpireToken);
        if expired.is_some() {
            let text = "The provided token has expired.";
            return Err(S3Error::new(400, "ExpiredToken", text));
        }
        Ok(payload)
    }

    /// The signature of an `Authorization` header.
    fn signed(&self, header: &str) -> Result<Proof, S3Error> {
        if header.starts_with("AWS ") {
            let text = "The authorization mechanism you have provided is not supported. Please \
                        use AWS4-HMAC-SHA256.";
            return Err(S3Error::request(text));
        }
        if !header.starts_with(ALGORITHM) {
            let text = "Unsupported Authorization Type";
            return Err(S3Error::argument("Authorization", header, text));
        }
        let authorization = Authorization::parse(header).ok_or_else(|| {
            let text = "The authorization header is malformed.";
            S3Error::new(400, "AuthorizationHeaderMalformed", text)
        })?;
        let (own, date) = (self.header("x-amz-date"), self.header("date"));
        let at = match own {
            "" => parse_rfc1123(date),
            own => sign::parse_amz_date(own),
        };
        let at = at.ok_or_else(|| {
            S3Error::denied("AWS authentication requires a valid Date or x-amz-date header")
        })?;
        let now = self.now();
        if now.abs_diff(at) > MAX_SKEW_MS.unsigned_abs() {
            let text = "The difference between the request time and the current time is too large.";
            return Err(S3Error::new(403, "RequestTimeTooSkewed", text)
                .detail("RequestTime", if own.is_empty() { date } else { own })
                .detail("ServerTime", &rfc3339(now))
                .detail("MaxAllowedSkewMilliseconds", &MAX_SKEW_MS.to_string()));
        }
        let payload = self.header("x-amz-content-sha256");
        if payload.is_empty() {
            let text = "Missing required header for this request: x-amz-content-sha256";
            return Err(S3Error::request(text));
        }
        Ok(Proof {
            authorization,
            at,
            amz_date: sign::amz_date(at),
            payload: payload.to_owned(),
            malformed: "AuthorizationHeaderMalformed",
        })
    }

    /// The signature of a presigned URL.
    fn presigned(&self) -> Result<Proof, S3Error> {
        let bad = |text: &str| S3Error::new(400, "AuthorizationQueryParametersError", text);
        let wanted = |name: &str| {
            self.q(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| {
                    bad(
                        "Query-string authentication version 4 requires the X-Amz-Algorithm, \
                     X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
                     X-Amz-Expires parameters.",
                    )
                })
        };
        if wanted("X-Amz-Algorithm")? != ALGORITHM {
            return Err(bad("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
        }
        let credential = Credential::parse(wanted("X-Amz-Credential")?).ok_or_else(|| {
            bad(
                "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; \
                 expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
            )
        })?;
        let amz_date = wanted("X-Amz-Date")?;
        let at = sign::parse_amz_date(amz_date).ok_or_else(|| {
            bad("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
        })?;
        let expires = wanted("X-Amz-Expires")?.parse::<i64>();
        match expires {
            Ok(1..=MAX_EXPIRES) => {}
            Err(_) => return Err(bad("X-Amz-Expires should be a number")),
            Ok(..=0) => return Err(bad("X-Amz-Expires must be positive")),
            Ok(_) => {
                return Err(bad(
                    "X-Amz-Expires must be less than a week (in seconds); that is, the given \
                     X-Amz-Expires must be less than 604800 seconds",
                ));
            }
        }
        let signed_headers = wanted("X-Amz-SignedHeaders")?;
        if !sign::in_order(signed_headers) {
            return Err(bad("X-Amz-SignedHeaders is not a sorted list of names"));
        }
        let own = [
            self.q("X-Amz-Content-Sha256").unwrap_or(""),
            self.header("x-amz-content-sha256"),
        ];
        let payload = own.into_iter().find(|text| !text.is_empty());
        Ok(Proof {
            authorization: Authorization {
                credential,
                signed_headers: signed_headers.to_owned(),
                signature: wanted(sign::SIGNATURE)?.to_owned(),
            },
            at,
            amz_date: amz_date.to_owned(),
            payload: payload.unwrap_or(UNSIGNED).to_owned(),
            malformed: "AuthorizationQueryParametersError",
        })
    }

    /// The day, region and service that the signature is for.
    fn check_scope(&self, proof: &Proof) -> Result<(), S3Error> {
        let credential = &proof.authorization.credential;
        let bad = |text: &str| S3Error::new(400, proof.malformed, text);
        let day = proof.amz_date.get(..8).unwrap_or("");
        if credential.date != day {
            let text = format!(
                "Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \"{day}\".",
                credential.date
            );
            return Err(bad(&text));
        }
        if credential.service != "s3" {
            let text = format!(
                "incorrect service \"{}\". This endpoint belongs to \"s3\".",
                credential.service
            );
            return Err(bad(&text));
        }
        if credential.region != REGION {
            let text = format!(
                "the region '{}' is wrong; expecting '{REGION}'",
                credential.region
            );
            return Err(bad(&text).detail("Region", REGION));
        }
        Ok(())
    }

    /// `host` and every `x-amz-*` header must be signed, or somebody could change them.
    fn check_covered(&self, proof: &Proof) -> Result<(), S3Error> {
        let covered: Vec<&str> = proof.authorization.signed_headers.split(';').collect();
        let present = self.headers.keys().map(|name| name.as_str());
        let mut needed: Vec<&str> = present.filter(|name| name.starts_with("x-amz-")).collect();
        needed.push("host");
        needed.retain(|name| !covered.contains(name));
        if needed.is_empty() {
            return Ok(());
        }
        let text = "There were headers present in the request which were not signed";
        Err(S3Error::denied(text).detail("HeadersNotSigned", &needed.join(", ")))
    }

    fn check_signature(&self, proof: &Proof) -> Result<(), S3Error> {
        let authorization = &proof.authorization;
        let credential = &authorization.credential;
        let Some((_, secret)) = self.sim.owner_of_key(&credential.key_id) else {
            return Err(S3::unknown_key(&credential.key_id));
        };
        let token = self.q("X-Amz-Security-Token").unwrap_or("");
        if !token.is_empty() || !self.header("x-amz-security-token").is_empty() {
            let text = "The provided token is malformed or otherwise invalid.";
            return Err(S3Error::new(400, "InvalidToken", text));
        }
        let request = sign::canonical_request(
            &self.method,
            &self.path,
            &self.pairs,
            &self.headers,
            &authorization.signed_headers,
            &proof.payload,
        );
        let text = sign::string_to_sign(&proof.amz_date, &credential.scope, &request);
        if sign::signature(secret, &credential.scope, &text) == authorization.signature {
            return Ok(());
        }
        let message = "The request signature we calculated does not match the signature you \
                       provided. Check your key and signing method.";
        Err(S3Error::new(403, "SignatureDoesNotMatch", message)
            .detail("AWSAccessKeyId", &credential.key_id)
            .detail("StringToSign", &text)
            .detail("SignatureProvided", &authorization.signature)
            .detail("CanonicalRequest", &String::from_utf8_lossy(&request)))
    }

    /// Whether a presigned URL counts now.
    fn check_life(&self, at: i64) -> Result<(), S3Error> {
        let now = self.now();
        let seconds = self.q("X-Amz-Expires").and_then(|text| text.parse().ok());
        let seconds: i64 = seconds.unwrap_or(0);
        let end = at.saturating_add(seconds.saturating_mul(1000));
        let struck = self.account.faults.take(self.op, FaultKind::ExpireLink);
        if now > end || struck.is_some() {
            return Err(S3Error::denied("Request has expired")
                .detail("X-Amz-Expires", &seconds.to_string())
                .detail("Expires", &rfc3339(end))
                .detail("ServerTime", &rfc3339(now)));
        }
        if at > now.saturating_add(MAX_SKEW_MS) {
            return Err(
                S3Error::denied("Request is not yet valid").detail("ServerTime", &rfc3339(now))
            );
        }
        Ok(())
    }
}

impl S3 {
    /// 403 `InvalidAccessKeyId`.
    pub(super) fn unknown_key(id: &str) -> S3Error {
        let text = "The AWS Access Key Id you provided does not exist in our records.";
        S3Error::new(403, "InvalidAccessKeyId", text).detail("AWSAccessKeyId", id)
    }
}
