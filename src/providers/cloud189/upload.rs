//! Streamed uploads (sheet sections 4.9, 6.1, 7): a session, and slices with their MD5, each sent to
//! an address asked for right before. Hashes of the whole are due at commit only.
//!
//! A receipt's tag is the slice's MD5: the commit wants the MD5 over all of them, and a resume in
//! another process has them from the journal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest, Md5};
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::api::{Api, Call};
use super::error::is_over;
use super::list;
use super::names::{RULES, upload_name};
use super::sign::component;
use crate::drive::{
    Conversation, DriveError, ErrorKind, PartReceipt, Result, UploadRequest, UploadSession, decode,
};
use crate::fingerprint::{hex_lower, slice_md5_text, tianyi_slice_size};
use crate::net::{Deadlines, Request, Retry};

/// Slices in flight: what a careful client keeps to (section 7).
const PARALLEL: usize = 3;

/// MD5 of nothing.
const EMPTY_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// Hashes of a content that an upload is opened with.
pub struct Hashes {
    /// Lower hex.
    pub md5: String,
    /// Lower hex; the MD5 itself up to one slice.
    pub slice_md5: String,
}

/// What an opened upload is known by.
pub struct Opened {
    pub session: UploadSession,
    /// The service has the content: only the commit is left.
    pub exists: bool,
}

/// Checks what can be checked without a call, and that the name is free.
///
/// # Errors
/// `NameTooLong`, `Invalid`, `DailyLimit`, `Exists`, `NotFound` for the directory.
pub async fn check(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<String> {
    let encoded = RULES.encode(&request.name)?;
    api.may_upload()?;
    // A commit keeps both (section 7), so the name is looked for first, where nobody has yet: that
    // is a call per thousand entries.
    if !conversation.name_is_free() {
        list::refuse_taken(api, &request.parent, &request.name).await?;
    }
    Ok(upload_name(&encoded))
}

/// Opens an upload under `name`, with the hashes (the service is asked for the content) or without
/// them (sections 6.2, 6.3).
pub async fn init(
    api: &Api,
    request: &UploadRequest,
    name: &str,
    hashes: Option<&Hashes>,
) -> Result<Opened> {
    let slice = tianyi_slice_size(request.size);
    let (size, slice_text) = (request.size.to_string(), slice.to_string());
    let name_text = component(name);
    let mut params = vec![
        ("fileName", name_text.as_str()),
        ("fileSize", &size),
        ("parentFolderId", request.parent.as_str()),
        ("sliceSize", &slice_text),
    ];
    let upper = hashes.map(|hashes| {
        (
            hashes.md5.to_ascii_uppercase(),
            hashes.slice_md5.to_ascii_uppercase(),
        )
    });
    match &upper {
        Some((md5, slice_md5)) => {
            params.push(("fileMd5", md5));
            params.push(("sliceMd5", slice_md5));
        }
        None => params.push(("lazyCheck", "1")),
    }
    let opened_at = api.now();
    // Not a safe repeat, but all that a second record leaves is one that expires unseen.
    let answer = api
        .call(Call::upload("create", "/person/initMultiUpload", &params))
        .await?;
    let data = &answer["data"];
    let id = decode::nonempty(&data["uploadFileId"])
        .ok_or_else(|| DriveError::bad_answer("create", "no uploadFileId"))?;
    let exists = decode::flag(&data["fileDataExists"]);
    let session = UploadSession {
        state: json!({
            "upload_file_id": id,
            "name": name,
            "wanted": request.name,
            "parent": request.parent.as_str(),
            "size": request.size,
            "md5": hashes.map(|hashes| hashes.md5.as_str()),
            "slice_md5": hashes.map(|hashes| hashes.slice_md5.as_str()),
            "exists": exists,
            "opened_at": opened_at,
        }),
        part_size: slice,
        parallel: PARALLEL,
        accepted: Vec::new(),
        node: None,
    };
    Ok(Opened { session, exists })
}

/// Hashes of an empty file are known to everybody; lazy streaming does not take it (section 7).
pub fn empty_hashes() -> Hashes {
    Hashes {
        md5: EMPTY_MD5.to_owned(),
        slice_md5: EMPTY_MD5.to_owned(),
    }
}

pub async fn open(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<UploadSession> {
    let name = check(api, request, conversation).await?;
    let empty = (request.size == 0).then(empty_hashes);
    Ok(init(api, request, &name, empty.as_ref()).await?.session)
}

/// The service tells the numbers of the slices it has; the journal has their MD5s, which the
/// commit needs. A slice that only one of them knows is sent again.
pub async fn resume(
    api: &Api,
    request: &UploadRequest,
    mut session: UploadSession,
) -> Result<Option<UploadSession>> {
    let same = decode::unsigned(&session.state["size"]) == Some(request.size)
        && session.part_size == tianyi_slice_size(request.size);
    if !same {
        return Ok(None);
    }
    if decode::flag(&session.state["exists"]) {
        return Ok(Some(session));
    }
    let id = text_of(&session, "upload_file_id")?;
    let call = Call::upload(
        "list_parts",
        "/person/getUploadedPartsInfo",
        &[("uploadFileId", &id)],
    );
    let answer = match api.call(call).await {
        Ok(answer) => answer,
        Err(error) if is_over(&error) || error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let there = part_numbers(&answer["data"]["uploadedPartList"]);
    session
        .accepted
        .retain(|part| there.contains(&part.number) && is_md5(&part.tag));
    Ok(Some(session))
}

/// `1,2` as a text, or a list of numbers or texts.
fn part_numbers(value: &Value) -> Vec<u32> {
    match value {
        Value::Array(items) => items
            .iter()
            .filter_map(|item| match item {
                Value::Object(_) => decode::unsigned(&item["partNumber"]),
                item => decode::unsigned(item),
            })
            .filter_map(|number| u32::try_from(number).ok())
            .collect(),
        value => decode::text(value)
            .split(',')
            .filter_map(|number| number.trim().parse().ok())
            .collect(),
    }
}

fn is_md5(tag: &str) -> bool {
    tag.len() == 32 && tag.bytes().all(|b| b.is_ascii_hexdigit())
}

pub async fn put_part(
    api: &Api,
    session: &UploadSession,
    number: u32,
    bytes: Bytes,
) -> Result<PartReceipt> {
    let md5: [u8; 16] = Md5::digest(&bytes).into();
    let receipt = PartReceipt {
        number,
        size: bytes.len() as u64,
        tag: hex_lower(&md5),
    };
    if decode::flag(&session.state["exists"]) {
        return Ok(receipt);
    }
    let id = text_of(session, "upload_file_id")?;
    let mut renewed = false;
    loop {
        let request = part_request(api, &id, number, &md5)
            .await?
            .bytes(bytes.clone());
        let response = api.client.send(request).await?;
        let status = response.status.as_u16();
        if response.status.is_success() {
            return Ok(receipt);
        }
        let text = response.bytes(16 << 10).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        // How long an address lives is not known (section 7): one new one.
        if matches!(status, 401 | 403) && !renewed {
            renewed = true;
            continue;
        }
        return Err(refused_part(number, status, &text));
    }
}

/// The PUT of a slice, to the address and with the headers that the service gives.
async fn part_request(api: &Api, id: &str, number: u32, md5: &[u8; 16]) -> Result<Request> {
    let info = format!("{number}-{}", STANDARD.encode(md5));
    let params = [("partInfo", info.as_str()), ("uploadFileId", id)];
    let answer = api
        .call(Call::upload(
            "part_url",
            "/person/getMultiUploadUrls",
            &params,
        ))
        .await?;
    let part = &answer["uploadUrls"][format!("partNumber_{number}")];
    let url = decode::nonempty(&part["requestURL"]).ok_or_else(|| {
        DriveError::bad_answer("part_url", format!("no address for part {number}"))
    })?;
    let mut request = Request::put("put_part", url.replace("&amp;", "&"))
        .class("upload")
        .deadlines(Deadlines::UPLOAD);
    for (name, value) in part_headers(&decode::text(&part["requestHeader"])) {
        request.headers.insert(name, value);
    }
    Ok(request)
}

/// Headers joined by `&`, each split at its first `=`; some servers escape the whole text.
fn part_headers(text: &str) -> Vec<(HeaderName, HeaderValue)> {
    let text = match text.contains('=') {
        true => text.to_owned(),
        false => percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned(),
    };
    text.replace("&amp;", "&")
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            // The length is that of the body, and the connection is ours.
            if matches!(name.as_str(), "content-length" | "host" | "connection") {
                return None;
            }
            let value = percent_encoding::percent_decode_str(value.trim())
                .decode_utf8()
                .ok()?;
            let mut value = HeaderValue::from_str(&value).ok()?;
            value.set_sensitive(name == "authorization");
            Some((name, value))
        })
        .collect()
}

/// What the object store's refusal means.
fn refused_part(number: u32, status: u16, text: &str) -> DriveError {
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map_or("", |(code, _)| code);
    let (kind, again) = match (status, code) {
        // The bytes changed on their way: sent again.
        (_, "BadDigest" | "InvalidDigest" | "ContentMD5NotMatch" | "IncompleteBody") => {
            (ErrorKind::Network, Retry::Backoff)
        }
        (404, _) => (ErrorKind::NotFound, Retry::Never),
        (413, _) => (ErrorKind::TooLarge, Retry::Never),
        (408 | 429, _) => (ErrorKind::RateLimited, Retry::Backoff),
        (400..=499, _) => (ErrorKind::Invalid, Retry::Never),
        _ => (ErrorKind::Provider, Retry::Backoff),
    };
    DriveError::new(kind, format!("part {number}: HTTP {status} {code}")).retry(again)
}

/// The MD5 over the slices' MD5s, from the receipts of all parts.
///
/// # Errors
/// `Invalid` when a part is missing: then it was not sent.
pub fn slice_md5_of(session: &UploadSession, size: u64) -> Result<String> {
    let mut slices = Vec::new();
    for number in 1..=session.part_count(size) {
        let tag = session
            .accepted
            .iter()
            .find(|part| part.number == number && is_md5(&part.tag))
            .map(|part| part.tag.as_str());
        let bytes = tag.and_then(md5_bytes).ok_or_else(|| {
            DriveError::new(ErrorKind::Invalid, format!("part {number} was not sent"))
        })?;
        slices.push(bytes);
    }
    Ok(slice_md5_text(&slices))
}

fn md5_bytes(hex: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(hex, 16).ok().map(u128::to_be_bytes)
}

/// A text of the driver's own state.
pub fn text_of(session: &UploadSession, key: &str) -> Result<String> {
    decode::nonempty(&session.state[key])
        .ok_or_else(|| DriveError::new(ErrorKind::Invalid, format!("the session has no {key}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_split_at_the_first_equals_sign() {
        let text = "Authorization=AWS AK:si+g=&Content-Type=application/octet-stream&\
            Content-MD5=2ab79ubb3+ZDZfIYxi281w==&x-amz-date=Sat, 14 Mar 2026 08:05:09 GMT&Content-Length=3";
        let headers = part_headers(text);
        let shown: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(
            shown,
            [
                ("authorization", "AWS AK:si+g="),
                ("content-type", "application/octet-stream"),
                ("content-md5", "2ab79ubb3+ZDZfIYxi281w=="),
                ("x-amz-date", "Sat, 14 Mar 2026 08:05:09 GMT"),
            ]
        );
        assert!(headers[0].1.is_sensitive());
        let escaped = component("x-amz-date=a&Content-MD5=b==");
        assert_eq!(part_headers(&escaped).len(), 2);
        assert!(part_headers("").is_empty());
    }

    #[test]
    fn part_numbers_come_as_a_text_or_a_list() {
        assert_eq!(part_numbers(&json!("1,2, 4")), [1, 2, 4]);
        assert_eq!(part_numbers(&json!([1, "3", {"partNumber": 5}])), [1, 3, 5]);
        assert_eq!(part_numbers(&json!(7)), [7]);
        assert!(part_numbers(&json!(null)).is_empty() && part_numbers(&json!("")).is_empty());
    }

    #[test]
    fn the_receipts_make_the_slice_md5() {
        let vectors: Value = serde_json::from_str(include_str!(
            "../../../tests/fixtures/189cloud.vectors.json"
        ))
        .unwrap();
        let cases = vectors["vectors"]["slice_md5"].as_array().unwrap();
        assert_eq!(cases.len(), 6);
        for case in cases {
            let slices = case["slice_md5_list"].as_array().unwrap();
            let infos = case["part_info"].as_array().unwrap();
            let accepted = (1..).zip(slices).map(|(number, md5)| PartReceipt {
                number,
                size: 0,
                tag: md5.as_str().unwrap().to_lowercase(),
            });
            let mut session = UploadSession {
                state: json!({}),
                part_size: case["slice_size"].as_u64().unwrap(),
                parallel: 1,
                accepted: accepted.collect(),
                node: None,
            };
            for (part, info) in session.accepted.iter().zip(infos) {
                let md5 = md5_bytes(&part.tag).unwrap();
                assert_eq!(*info, format!("{}-{}", part.number, STANDARD.encode(md5)));
            }
            session.accepted.reverse();
            let size = case["size"].as_u64().unwrap();
            let value = slice_md5_of(&session, size).unwrap().to_uppercase();
            assert_eq!(Some(value.as_str()), case["slice_md5"].as_str());
            session.accepted.pop();
            assert_eq!(
                slice_md5_of(&session, size).unwrap_err().kind,
                ErrorKind::Invalid
            );
        }
    }

    #[test]
    fn a_part_that_was_damaged_is_sent_again() {
        let error = refused_part(1, 400, "<Error><Code>BadDigest</Code></Error>");
        assert_eq!(error.retry, Retry::Backoff);
        assert_eq!(refused_part(1, 400, "").retry, Retry::Never);
        assert_eq!(refused_part(1, 503, "").retry, Retry::Backoff);
    }
}
