//! Addresses of objects.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::drive::{DriveError, Result};

/// Everything but RFC 3986 unreserved characters and the slashes of a key.
const KEEP: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The address of an object. An endpoint that is an IP address or carries a port is addressed in
/// path style (`http://host:port/bucket/key`); otherwise the bucket is part of the host, unless
/// the endpoint names it already. No scheme means https; a path of the endpoint is kept.
///
/// # Errors
/// `BadAnswer` for an endpoint, bucket or key that makes no address.
pub fn object_url(endpoint: &str, bucket: &str, key: &str) -> Result<String> {
    let broken = || {
        DriveError::bad_answer(
            "object store",
            format!("endpoint {endpoint:?} with bucket {bucket:?} is no address"),
        )
    };
    let endpoint_url = if endpoint.contains("://") {
        endpoint.to_owned()
    } else {
        format!("https://{endpoint}")
    };
    let url = reqwest::Url::parse(&endpoint_url).map_err(|_| broken())?;
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(broken)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if bucket.is_empty()
        || !bucket.chars().all(plain)
        || key.is_empty()
        || !matches!(url.scheme(), "http" | "https")
    {
        return Err(broken());
    }
    let scheme = url.scheme();
    let path = url.path().trim_end_matches('/');
    let key = utf8_percent_encode(key, KEEP);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let path_style = url.port().is_some() || bare.parse::<std::net::IpAddr>().is_ok();
    Ok(if path_style {
        let port = url
            .port()
            .map_or_else(String::new, |port| format!(":{port}"));
        format!("{scheme}://{host}{port}{path}/{bucket}/{key}")
    } else if host.starts_with(&format!("{}.", bucket.to_ascii_lowercase())) {
        format!("{scheme}://{host}{path}/{key}")
    } else {
        format!("{scheme}://{bucket}.{host}{path}/{key}")
    })
}

/// The address with its query, spelled as it is signed: an empty value is written bare.
pub(super) fn with_query(url: &str, query: &[(&str, &str)]) -> String {
    let mut url = url.to_owned();
    for (i, (name, value)) in query.iter().enumerate() {
        url.push(if i == 0 { '?' } else { '&' });
        url.push_str(name);
        if !value.is_empty() {
            url.push('=');
            url.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
    }
    url
}
