//! Uploads in parts. OpenDAL's writer keeps the number of such an upload to itself; here it goes into
//! the journal, so that an upload goes on after a restart, or is removed by its number. The requests
//! are signed by OpenDAL's signer.

use bytes::Bytes;
use md5::{Digest as _, Md5};
use reqwest::Method;

use super::api::{Api, Ask};
use super::xml;
use crate::drive::{DriveError, ErrorKind, PartReceipt, Result};
use crate::fingerprint::{hex_lower, md5_from_etag};
use crate::providers::opendal::{Call, bare_etag};

/// Parts of one upload.
pub const MOST_PARTS: u64 = 10_000;

/// Times an upload is removed: parts that are under way may arrive after the first one.
const ABORTS: usize = 3;

/// Opens an upload and returns its number.
pub async fn begin(api: &Api, key: &str) -> Result<String> {
    let call = Call::STAT.named("begin");
    let answer = api
        .ask(ask(call, Method::POST, key, &[("uploads", "")]))
        .await?;
    let document = xml::expect("begin", "InitiateMultipartUploadResult", &answer.body)?;
    match document.text("UploadId") {
        "" => Err(DriveError::bad_answer("begin", "no number of the upload")),
        number => Ok(number.to_owned()),
    }
}

/// A part on its way.
pub struct Part {
    pub number: u32,
    /// In base64.
    pub md5: String,
    pub bytes: Bytes,
}

/// Stores a part; its ETag. The server compares the MD5.
pub async fn put(api: &Api, key: &str, upload: &str, part: Part) -> Result<String> {
    let number = part.number.to_string();
    let query = [("partNumber", number.as_str()), ("uploadId", upload)];
    let mut ask = ask(Call::WRITE.named("part"), Method::PUT, key, &query);
    let headers = [("content-md5", part.md5.as_str())];
    ask.headers = &headers;
    ask.body = part.bytes;
    let answer = api.ask(ask).await?;
    let tag = answer
        .header("etag")
        .map(bare_etag)
        .filter(|tag| !tag.is_empty());
    tag.ok_or_else(|| DriveError::bad_answer("part", "no ETag of the part"))
}

/// The parts that the server has; `None` when it does not know the upload.
pub async fn stored(api: &Api, key: &str, upload: &str) -> Result<Option<Vec<PartReceipt>>> {
    let mut parts: Vec<PartReceipt> = Vec::new();
    loop {
        let after = parts.last().map_or(0, |part| part.number).to_string();
        let query = [
            ("max-parts", "1000"),
            ("part-number-marker", after.as_str()),
            ("uploadId", upload),
        ];
        let asked = api
            .ask(ask(Call::LIST.named("parts"), Method::GET, key, &query))
            .await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let document = xml::expect("parts", "ListPartsResult", &answer.body)?;
        let broken = || DriveError::bad_answer("parts", "a part without number or size");
        let page = document.parts().ok_or_else(broken)?;
        let last = parts.last().map_or(0, |part| part.number);
        let grows = page.last().is_some_and(|part| part.number > last);
        parts.extend(page.into_iter().filter(|part| part.number > last));
        if document.text("IsTruncated") != "true" || !grows {
            return Ok(Some(parts));
        }
    }
}

/// Joins the parts. `absent`: only where there is no object yet, as far as the server looks at that.
pub async fn join(
    api: &Api,
    key: &str,
    upload: &str,
    parts: &[PartReceipt],
    absent: bool,
) -> Result<()> {
    let query = [("uploadId", upload)];
    let headers = [("content-type", "application/xml"), ("if-none-match", "*")];
    let mut ask = ask(Call::JOIN, Method::POST, key, &query);
    ask.headers = if absent { &headers } else { &headers[..1] };
    ask.body = Bytes::from(xml::joined(parts));
    let answer = api.ask(ask).await?;
    xml::expect("commit", "CompleteMultipartUploadResult", &answer.body).map(drop)
}

/// Removes an upload and its parts. One that is gone is a success.
pub async fn abort(api: &Api, key: &str, upload: &str) -> Result<()> {
    let query = [("uploadId", upload)];
    for _ in 0..ABORTS {
        let gone = api
            .ask(ask(
                Call::DELETE.named("abort"),
                Method::DELETE,
                key,
                &query,
            ))
            .await;
        match gone {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        if stored(api, key, upload).await?.is_none() {
            return Ok(());
        }
    }
    Err(DriveError::new(
        ErrorKind::Busy,
        "abort: parts of the upload still arrive",
    ))
}

/// The ETag of an object that these parts make: the MD5 of their MD5s, and their number. `None` where
/// the tags of parts are none.
pub fn expected_tag(parts: &[PartReceipt]) -> Option<String> {
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by_key(|part| part.number);
    let mut all = Md5::new();
    for part in &parts {
        let md5 = md5_from_etag(&part.tag)?;
        for at in (0..md5.len()).step_by(2) {
            let byte = md5.get(at..at.saturating_add(2))?;
            all.update([u8::from_str_radix(byte, 16).ok()?]);
        }
    }
    Some(format!("{}-{}", hex_lower(&all.finalize()), parts.len()))
}

fn ask<'a>(call: Call, method: Method, key: &'a str, query: &'a [(&'a str, &'a str)]) -> Ask<'a> {
    Ask {
        call,
        method,
        key,
        query,
        headers: &[],
        body: Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_parts_is_known() {
        let part = |number, text: &str| PartReceipt {
            number,
            size: 1,
            tag: hex_lower(&Md5::digest(text)),
        };
        let mut both = Md5::digest("a").to_vec();
        both.extend_from_slice(&Md5::digest("b"));
        let wanted = format!("{}-2", hex_lower(&Md5::digest(both)));
        let parts = [part(2, "b"), part(1, "a")];
        assert_eq!(expected_tag(&parts), Some(wanted));
        let odd = PartReceipt {
            tag: "x".to_owned(),
            ..part(1, "a")
        };
        assert_eq!(expected_tag(&[odd]), None);
    }
}
