//! The headers that an object keeps (public S3 API reference, PutObject; sheet, section 5).

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;

use super::errors::S3Error;

/// Bytes of all `x-amz-meta-*`, names without the prefix, at most.
const LARGEST: usize = 2048;
/// How the names of a user's own metadata begin.
const OWN: &str = "x-amz-meta-";
/// What else is kept.
const SYSTEM: &[&str] = &[
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
];

/// The headers of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept(Vec<(HeaderName, HeaderValue)>);

impl Kept {
    /// From the headers of an upload.
    ///
    /// # Errors
    /// `MetadataTooLarge`.
    pub fn read(headers: &HeaderMap) -> Result<Kept, S3Error> {
        let mut kept: Vec<(HeaderName, HeaderValue)> = Vec::new();
        let mut size = 0;
        for name in headers.keys() {
            let own = name.as_str().strip_prefix(OWN);
            if own.is_none() && !SYSTEM.contains(&name.as_str()) {
                continue;
            }
            // Several values of one name become one, as in the signature.
            let values = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
            let joined = values.collect::<Vec<_>>().join(&b',');
            if let Some(own) = own {
                size += own.len() + joined.len();
            }
            if let Ok(value) = HeaderValue::from_bytes(&joined) {
                kept.push((name.clone(), value));
            }
        }
        if size > LARGEST {
            let text = "Your metadata headers exceed the maximum allowed metadata size";
            return Err(S3Error::new(400, "MetadataTooLarge", text)
                .detail("Size", &size.to_string())
                .detail("MaxSizeAllowed", &LARGEST.to_string()));
        }
        Ok(Kept(kept))
    }

    /// Puts them into an answer.
    pub fn show(&self, response: &mut Response) {
        let default = HeaderValue::from_static("binary/octet-stream");
        let headers = response.headers_mut();
        headers.insert("content-type", default);
        for (name, value) in &self.0 {
            headers.insert(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_much_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-meta-a", HeaderValue::from_static("1"));
        headers.append("x-amz-meta-a", HeaderValue::from_static("2"));
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        headers.insert("user-agent", HeaderValue::from_static("me"));
        let mut response = Response::default();
        Kept::read(&headers).unwrap().show(&mut response);
        assert_eq!(response.headers()["x-amz-meta-a"], "1,2");
        assert_eq!(response.headers()["content-type"], "text/plain");
        assert_eq!(response.headers().len(), 2);
        let large = HeaderValue::from_str(&"x".repeat(LARGEST)).unwrap();
        headers.insert("x-amz-meta-b", large);
        assert_eq!(Kept::read(&headers).unwrap_err().code(), "MetadataTooLarge");
    }
}
