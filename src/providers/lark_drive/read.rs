//! Ranged reads (sheet section 8). There are no links: the call itself answers with the bytes.

use std::ops::Range;

use futures_util::stream;

use super::answer::{Head, Repeat, answer_of, foreign};
use super::api::Api;
use super::entry::{TARGET, link_bytes, link_type, segment};
use crate::drive::{
    AccountEffect, ByteStream, DriveError, ErrorKind, Node, Ranged, Result, get_range,
};
use crate::net::{Deadlines, Request, Response, Secret};

/// The most of a refusal that is read.
const REFUSAL: usize = 64 << 10;

pub async fn read(api: &Api, node: &Node, range: Range<u64>) -> Result<ByteStream> {
    if link_type(&node.id).is_none() {
        return bytes(api, node.id.as_str(), range).await;
    }
    let handle = node.handle.as_deref().unwrap_or("");
    if let Some(token) = handle.strip_prefix(TARGET) {
        return bytes(api, token, range).await;
    }
    let all = link_bytes(handle);
    let part = usize::try_from(range.start)
        .ok()
        .zip(usize::try_from(range.end).ok())
        .filter(|(start, end)| start <= end && *end <= all.len())
        .map(|(start, end)| all.slice(start..end));
    let part = part.ok_or_else(|| DriveError::new(ErrorKind::Changed, "the link is shorter"))?;
    Ok(Box::pin(stream::iter([Ok(part)])))
}

/// A range of the file `token`.
pub async fn bytes(api: &Api, token: &str, range: Range<u64>) -> Result<ByteStream> {
    let access = api.token().await?;
    match once(api, &access, token, &range).await {
        Err(error) if error.account == AccountEffect::Refresh => {
            let access = api.renew(&access).await?;
            once(api, &access, token, &range).await
        }
        other => other,
    }
}

async fn once(api: &Api, access: &Secret, token: &str, range: &Range<u64>) -> Result<ByteStream> {
    match get_range(&api.client, request(api, access, token), range).await? {
        Ranged::Body(stream) => Ok(stream),
        Ranged::Refused(response) => Err(refused(api, response).await),
    }
}

/// Asks for a range and hands on the head of the answer, also of one that is outside of the file.
pub async fn ask(api: &Api, token: &str, range: &Range<u64>) -> Result<Response> {
    let access = api.token().await?;
    match ask_once(api, &access, token, range).await {
        Err(error) if error.account == AccountEffect::Refresh => {
            let access = api.renew(&access).await?;
            ask_once(api, &access, token, range).await
        }
        other => other,
    }
}

async fn ask_once(api: &Api, access: &Secret, token: &str, range: &Range<u64>) -> Result<Response> {
    let request = request(api, access, token)
        .deadlines(Deadlines::DATA)
        .range(range);
    let response = api.client.send(request).await?;
    match response.status.as_u16() {
        200 | 206 | 416 => Ok(response),
        _ => Err(refused(api, response).await),
    }
}

fn request(api: &Api, access: &Secret, token: &str) -> Request {
    let path = format!("/drive/v1/files/{}/download", segment(token));
    // On another host the token is dropped (section 8, inferred); the client does that.
    api.get("download", "download", &path)
        .bearer(access)
        .follow_redirects()
}

/// A refusal is an envelope or a bare status.
async fn refused(api: &Api, response: Response) -> DriveError {
    let head = Head::of(&response);
    if head.status == 416 {
        let message = "download: the file is shorter than it was";
        return DriveError::new(ErrorKind::Changed, message);
    }
    let error = match response.bytes(REFUSAL).await {
        Ok(body) => answer_of("download", &head, &body).err(),
        Err(_) => None,
    };
    let error = error.unwrap_or_else(|| foreign("download", &head));
    api.judged(error, Repeat::Safe, "download")
}
