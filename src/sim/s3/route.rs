//! Which operation a request is: method, whether there is a key, and sub-resources.

use axum::http::HeaderMap;
use percent_encoding::percent_decode_str;

use super::errors::S3Error;

/// Sub-resources that are not done here. Other unknown parameters mean nothing, as on the real
/// server.
const NOT_HERE: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
    "versioning",
    "versions",
    "website",
];

/// Headers that ask for what is not done here.
const HEADERS_NOT_HERE: &[&str] = &[
    "x-amz-tagging",
    "x-amz-write-offset-bytes",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-object-lock-mode",
    "x-amz-website-redirect-location",
    "x-amz-mfa",
];

/// Where a request points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Empty when no bucket is named.
    pub bucket: String,
    /// Empty when the bucket itself is meant.
    pub key: String,
}

/// Decodes a piece of a path. Strict: half escapes and what is not UTF-8 are refused.
fn decode(raw: &str) -> Result<String, S3Error> {
    let bad = || S3Error::new(400, "InvalidURI", "Couldn't parse the specified URI.");
    for (at, _) in raw.match_indices('%') {
        let digits = raw.as_bytes().get(at + 1..at + 3).ok_or_else(bad)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(bad());
        }
    }
    let text = percent_decode_str(raw).decode_utf8().map_err(|_| bad())?;
    Ok(text.into_owned())
}

/// Bucket and key of a request.
pub(super) fn place(host: &str, path: &str) -> Result<Place, S3Error> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if let Some(bucket) = name.strip_suffix(".localhost") {
        return Ok(Place {
            bucket: bucket.to_owned(),
            key: decode(path)?,
        });
    }
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    Ok(Place {
        bucket: decode(bucket)?,
        key: decode(key)?,
    })
}

/// Name of the operation in meters and faults.
pub(super) fn operation(
    method: &str,
    place: &Place,
    query: &[(String, String)],
    headers: &HeaderMap,
) -> &'static str {
    let has = |name: &str| query.iter().any(|(key, _)| key == name);
    let copies = headers.contains_key("x-amz-copy-source");
    if query
        .iter()
        .any(|(name, _)| NOT_HERE.contains(&name.as_str()))
    {
        return "other";
    }
    if place.bucket.is_empty() {
        return match method {
            "GET" => "buckets",
            _ => "other",
        };
    }
    if place.key.is_empty() {
        return match method {
            "HEAD" => "head_bucket",
            "GET" if has("uploads") => "uploads",
            "GET" if has("location") => "location",
            "GET" => "list",
            "POST" if has("delete") => "delete_batch",
            "PUT" => "create_bucket",
            "DELETE" => "delete_bucket",
            _ => "other",
        };
    }
    match method {
        "HEAD" => "head",
        "GET" if has("uploadId") => "parts",
        "GET" => "download",
        "PUT" if (has("uploadId") || has("partNumber")) && copies => "part_copy",
        "PUT" if has("uploadId") || has("partNumber") => "part",
        "PUT" if copies => "copy",
        "PUT" => "put",
        "POST" if has("uploads") => "create",
        "POST" if has("uploadId") => "commit",
        "DELETE" if has("uploadId") => "abort",
        "DELETE" => "delete",
        _ => "other",
    }
}

/// What is said to a call that is none of the known ones.
pub(super) fn unknown(method: &str, query: &[(String, String)]) -> S3Error {
    let named = query
        .iter()
        .find(|(name, _)| NOT_HERE.contains(&name.as_str()));
    match (method, named) {
        ("GET" | "HEAD" | "PUT" | "POST" | "DELETE", Some((name, _))) => {
            S3Error::not_implemented(name)
        }
        _ => {
            let text = "The specified method is not allowed against this resource.";
            S3Error::new(405, "MethodNotAllowed", text)
                .detail("Method", method)
                .with("allow", "GET, HEAD, PUT, POST, DELETE")
        }
    }
}

/// Refuses what the headers ask for and nobody does here: to ignore it would be a lie.
pub(super) fn check_headers(headers: &HeaderMap) -> Result<(), S3Error> {
    if let Some(name) = HEADERS_NOT_HERE
        .iter()
        .find(|name| headers.contains_key(**name))
    {
        return Err(S3Error::not_implemented(name));
    }
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or("").to_owned()
    };
    match text("x-amz-server-side-encryption").as_str() {
        "" | "AES256" => {}
        _ => return Err(S3Error::not_implemented("x-amz-server-side-encryption")),
    }
    match text("x-amz-storage-class").as_str() {
        "" | "STANDARD" => {}
        "REDUCED_REDUNDANCY"
        | "STANDARD_IA"
        | "ONEZONE_IA"
        | "INTELLIGENT_TIERING"
        | "GLACIER"
        | "DEEP_ARCHIVE"
        | "GLACIER_IR" => {
            return Err(S3Error::not_implemented("x-amz-storage-class"));
        }
        other => {
            let text = "The storage class you specified is not valid";
            return Err(S3Error::new(400, "InvalidStorageClass", text)
                .detail("StorageClassRequested", other));
        }
    }
    if text("content-encoding")
        .split(',')
        .any(|one| one.trim() == "aws-chunked")
    {
        return Err(S3Error::not_implemented("Content-Encoding: aws-chunked"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let at = |host: &str, path: &str| {
            let place = place(host, path).unwrap();
            (place.bucket, place.key)
        };
        let pair = |bucket: &str, key: &str| (bucket.to_owned(), key.to_owned());
        assert_eq!(at("127.0.0.1:1", "/"), pair("", ""));
        assert_eq!(at("127.0.0.1:1", "/b"), pair("b", ""));
        assert_eq!(at("127.0.0.1:1", "/b/"), pair("b", ""));
        assert_eq!(at("127.0.0.1:1", "/b//x%2Fy+z/"), pair("b", "/x/y+z/"));
        assert_eq!(at("b.localhost:1", "/x/y"), pair("b", "x/y"));
        assert!(place("h", "/b/%fF").is_err());
        assert!(place("h", "/b/%4").is_err());
    }

    #[test]
    fn operations() {
        let headers = HeaderMap::new();
        let op = |method: &str, key: &str, query: &str| {
            let place = Place {
                bucket: "b".to_owned(),
                key: key.to_owned(),
            };
            let pair = |name: &str| (name.to_owned(), String::new());
            let query: Vec<_> = query.split('&').map(pair).collect();
            operation(method, &place, &query, &headers)
        };
        assert_eq!(op("GET", "", "list-type"), "list");
        assert_eq!(op("GET", "", "uploads"), "uploads");
        assert_eq!(op("GET", "k", "x-id"), "download");
        assert_eq!(op("GET", "k", "acl"), "other");
        assert_eq!(op("PUT", "k", "partNumber&uploadId"), "part");
        assert_eq!(op("POST", "k", "uploads"), "create");
        assert_eq!(op("POST", "k", ""), "other");
        assert_eq!(op("PATCH", "k", ""), "other");
        assert_eq!(op("DELETE", "k", "uploadId"), "abort");
    }
}
