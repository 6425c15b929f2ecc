//! Streamed uploads (sheet section 7): parts strictly in order, one in flight per file.

use std::ops::RangeInclusive;

use bytes::Bytes;
use serde_json::{Value, json};

use super::api::{Api, Repeat};
use super::list;
use super::names::RULES;
use super::write::refuse_existing;
use crate::drive::{
    DriveError, ErrorKind, Node, NodeId, PartReceipt, Result, UploadRequest, UploadSession, decode,
};
use crate::net::{Deadlines, Request, Retry};

/// 16 MiB, larger only where 10,000 parts would not suffice.
fn part_size(size: u64) -> u64 {
    const MIB: u64 = 1 << 20;
    (16 * MIB).max(size.div_ceil(10_000).div_ceil(MIB) * MIB)
}

/// Parts of a file; an empty one has one empty part.
fn part_count(size: u64) -> u32 {
    u32::try_from(size.div_ceil(part_size(size)).max(1)).unwrap_or(u32::MAX)
}

/// Part addresses are fetched in windows of this many (about 1 KB of answer each).
const WINDOW: u32 = 16;

/// The body of `create` without any hash.
pub async fn create_body(api: &Api, request: &UploadRequest) -> Result<Value> {
    let parts = part_count(request.size).min(WINDOW);
    let mut body = json!({
        "drive_id": api.drive_id().await?,
        "parent_file_id": request.parent.as_str(),
        "name": RULES.encode(&request.name)?,
        "type": "file",
        "check_name_mode": "refuse",
        "size": request.size,
        "part_info_list": (1..=parts).map(|n| json!({ "part_number": n })).collect::<Vec<_>>(),
    });
    if let Some(time) = request
        .modified
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
    {
        body["local_modified_at"] = json!(format!("{time:.3}"));
    }
    Ok(body)
}

/// The session a `create` answer opened.
pub fn session_of(api: &Api, request: &UploadRequest, answer: &Value) -> Result<UploadSession> {
    let file_id = decode::nonempty(&answer["file_id"])
        .ok_or_else(|| DriveError::bad_answer("create", "no file_id"))?;
    let upload_id = decode::nonempty(&answer["upload_id"])
        .ok_or_else(|| DriveError::bad_answer("create", "no upload_id"))?;
    remember_urls(api, &upload_id, &answer["part_info_list"]);
    Ok(UploadSession {
        state: json!({
            "file_id": file_id,
            "upload_id": upload_id,
            "parts": part_count(request.size),
        }),
        part_size: part_size(request.size),
        parallel: 1,
        accepted: Vec::new(),
        node: Some(NodeId::new(file_id)),
    })
}

pub async fn open(api: &Api, request: &UploadRequest) -> Result<UploadSession> {
    let body = create_body(api, request).await?;
    let path = "/adrive/v1.0/openFile/create";
    let answer = api
        .call("create", path, "other", Repeat::Unsafe, &body)
        .await?;
    refuse_existing(&answer, &request.name)?;
    session_of(api, request, &answer)
}

pub async fn resume(
    api: &Api,
    request: &UploadRequest,
    mut session: UploadSession,
) -> Result<Option<UploadSession>> {
    session.accepted.clear();
    let mut marker = String::new();
    loop {
        let mut body = ids(api, &session).await?;
        body["part_number_marker"] = json!(marker);
        let path = "/adrive/v1.0/openFile/listUploadedParts";
        let answer = match api
            .call("list_parts", path, "other", Repeat::Safe, &body)
            .await
        {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        for part in decode::list(&answer["uploaded_parts"]) {
            let number = decode::unsigned(&part["part_number"]).and_then(|n| u32::try_from(n).ok());
            let (Some(number), Some(size)) = (number, decode::unsigned(&part["part_size"])) else {
                continue;
            };
            let range = session.part_range(request.size, number);
            if size != range.end - range.start {
                // Parts of another size belong to another layout: start anew.
                return Ok(None);
            }
            session.accepted.push(PartReceipt {
                number,
                size,
                tag: String::new(),
            });
        }
        match decode::nonempty(&answer["next_part_number_marker"]) {
            Some(next) if next != marker && next != "0" => marker = next,
            _ => return Ok(Some(session)),
        }
    }
}

pub async fn put_part(
    api: &Api,
    session: &UploadSession,
    number: u32,
    bytes: Bytes,
) -> Result<PartReceipt> {
    let size = bytes.len() as u64;
    let receipt = PartReceipt {
        number,
        size,
        tag: String::new(),
    };
    let mut renewed = false;
    loop {
        let url = part_url(api, session, number).await?;
        // No Content-Type and no Authorization: both would break the signed address (7.2).
        let request = Request::put("put_part", url)
            .class("upload")
            .deadlines(Deadlines::UPLOAD)
            .bytes(bytes.clone());
        let response = api.client.send(request).await?;
        let status = response.status.as_u16();
        if response.status.is_success() {
            return Ok(receipt);
        }
        let text = response.bytes(16 << 10).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        if status == 409 || text.contains("PartAlreadyExist") {
            return Ok(receipt);
        }
        if status == 403 && !renewed {
            renewed = true;
            api.part_urls
                .invalidate(&(text_of(session, "upload_id")?, number));
            continue;
        }
        let kind = match status {
            404 => ErrorKind::NotFound,
            413 => ErrorKind::TooLarge,
            400..=499 => ErrorKind::Invalid,
            _ => ErrorKind::Provider,
        };
        let again = if status >= 500 {
            Retry::Backoff
        } else {
            Retry::Never
        };
        let message = format!("part {number}: HTTP {status} {}", xml_code(&text));
        return Err(DriveError::new(kind, message).retry(again));
    }
}

pub async fn commit(api: &Api, request: &UploadRequest, session: &UploadSession) -> Result<Node> {
    let body = ids(api, session).await?;
    let path = "/adrive/v1.0/openFile/complete";
    match api
        .call("complete", path, "other", Repeat::Safe, &body)
        .await
    {
        Ok(answer) => list::node(&answer, Some(&request.parent)),
        // The answer to an earlier complete was lost (7.5): the file itself decides.
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Exists) => {
            let id = NodeId::new(text_of(session, "file_id")?);
            match list::stat(api, &id).await {
                Ok(node) if node.size == request.size => Ok(node),
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// There is no abort call; deleting the file id removes what is pending where the server honours
/// it, and an unfinished upload is invisible and dropped by the server after days (7.5).
pub async fn abandon(api: &Api, session: &UploadSession) -> Result<()> {
    let body = json!({
        "drive_id": api.drive_id().await?,
        "file_id": text_of(session, "file_id")?,
    });
    let path = "/adrive/v1.0/openFile/delete";
    match api
        .call("abandon", path, "other", Repeat::Safe, &body)
        .await
    {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn part_url(api: &Api, session: &UploadSession, number: u32) -> Result<String> {
    let upload_id = text_of(session, "upload_id")?;
    let key = (upload_id.clone(), number);
    if let Some(url) = api.part_urls.get(&key) {
        return Ok(url);
    }
    let mut body = ids(api, session).await?;
    body["part_info_list"] = window(session, number)
        .map(|n| json!({ "part_number": n }))
        .collect::<Vec<_>>()
        .into();
    let path = "/adrive/v1.0/openFile/getUploadUrl";
    let answer = api
        .call("part_url", path, "other", Repeat::Safe, &body)
        .await?;
    remember_urls(api, &upload_id, &answer["part_info_list"]);
    api.part_urls
        .get(&key)
        .ok_or_else(|| DriveError::bad_answer("part_url", format!("no address for part {number}")))
}

/// The numbers whose addresses are asked for together with that of `number`. Only parts that the
/// file has: the server waits for every number it was asked about (section 11, check 7).
fn window(session: &UploadSession, number: u32) -> RangeInclusive<u32> {
    let parts = decode::unsigned(&session.state["parts"]);
    // A session of an older journal does not tell: then one at a time.
    let last = parts.and_then(|parts| u32::try_from(parts).ok());
    let full = number.saturating_add(WINDOW - 1);
    number..=full.min(last.unwrap_or(number)).max(number)
}

fn remember_urls(api: &Api, upload_id: &str, parts: &Value) {
    for part in decode::list(parts) {
        let number = decode::unsigned(&part["part_number"]).and_then(|n| u32::try_from(n).ok());
        if let (Some(number), Some(url)) = (number, decode::nonempty(&part["upload_url"])) {
            api.part_urls.insert((upload_id.to_owned(), number), url);
        }
    }
}

async fn ids(api: &Api, session: &UploadSession) -> Result<Value> {
    Ok(json!({
        "drive_id": api.drive_id().await?,
        "file_id": text_of(session, "file_id")?,
        "upload_id": text_of(session, "upload_id")?,
    }))
}

fn text_of(session: &UploadSession, key: &str) -> Result<String> {
    decode::nonempty(&session.state[key])
        .ok_or_else(|| DriveError::new(ErrorKind::Invalid, format!("the session has no {key}")))
}

/// The `Code` of an OSS error document.
fn xml_code(text: &str) -> &str {
    text.split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map_or("", |(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_never_exceed_ten_thousand() {
        for size in [0_u64, 1, 16 << 20, 100 << 30, 2 << 40] {
            assert!(size.div_ceil(part_size(size)) <= 10_000);
        }
        assert_eq!(part_size(1), 16 << 20);
    }

    #[test]
    fn addresses_are_asked_for_parts_that_exist_only() {
        let of = |state| UploadSession {
            state,
            part_size: 16 << 20,
            parallel: 1,
            accepted: Vec::new(),
            node: None,
        };
        let three = of(json!({ "parts": 3 }));
        assert_eq!(window(&three, 1), 1..=3);
        assert_eq!(window(&three, 3), 3..=3);
        assert_eq!(window(&of(json!({ "parts": 100 })), 20), 20..=35);
        assert_eq!(window(&of(json!({})), 7), 7..=7);
        assert_eq!((part_count(0), part_count((32 << 20) + 1)), (1, 3));
    }

    #[test]
    fn an_oss_error_names_its_code() {
        assert_eq!(
            xml_code("<Error><Code>EntityTooSmall</Code></Error>"),
            "EntityTooSmall"
        );
        assert_eq!(xml_code("nonsense"), "");
    }
}
