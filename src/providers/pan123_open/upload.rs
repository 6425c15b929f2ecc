//! Streamed uploads, version 2 (sheet section 7.1): sessions, and slices with their MD5.
//!
//! The single request of section 7.2 is not used: the question by MD5 has opened a session
//! already when the bytes are wanted, and the single request shows the file before its commit.

use bytes::Bytes;
use serde_json::{Value, json};

use super::api::{Api, Repeat};
use super::commit;
use super::create::{self, Asked};
use super::list;
use super::write::new_id;
use crate::drive::{
    Conversation, DriveError, ErrorKind, Node, NodeId, PartReceipt, Result, UploadRequest,
    UploadSession, decode,
};
use crate::fingerprint::{Kind, hash_all};
use crate::net::{Deadlines, FormPart, Request, Retry};

/// Slices in flight (section 7.4: what a client keeps to).
const PARALLEL: usize = 3;

/// The life of a session is not known; an older one is started anew.
const SESSION_LIFE_MS: i64 = 24 * 3_600_000;

/// The session a missed question opened; `None` when the answer opened none (a `reuse` without
/// an id, section 6.1).
pub fn session_of(
    api: &Api,
    request: &UploadRequest,
    md5: &str,
    answer: &Value,
) -> Result<Option<UploadSession>> {
    let hosts = api.upload_hosts(&answer["servers"]);
    session(answer, &hosts, request, md5, api.client.clock().now_ms())
}

fn session(
    answer: &Value,
    hosts: &[String],
    request: &UploadRequest,
    md5: &str,
    now: i64,
) -> Result<Option<UploadSession>> {
    let Some(id) = decode::nonempty(&answer["preuploadID"]) else {
        return Ok(None);
    };
    // The service chooses the size and it must be obeyed; a slice is held in memory.
    let part_size = decode::unsigned(&answer["sliceSize"])
        .filter(|size| (1..=1 << 30).contains(size))
        .ok_or_else(|| DriveError::bad_answer("create", "no usable sliceSize"))?;
    Ok(Some(UploadSession {
        state: json!({
            "preupload_id": id,
            "servers": hosts,
            "md5": md5,
            "size": request.size,
            "opened_at": now,
        }),
        part_size,
        parallel: PARALLEL,
        accepted: Vec::new(),
        node: None,
    }))
}

/// A session of an upload that turned out to be a hit: nothing is left to send.
fn finished_session(node: &Node) -> UploadSession {
    UploadSession {
        state: json!({ "file_id": node.id.as_str() }),
        part_size: 16 << 20,
        parallel: PARALLEL,
        accepted: Vec::new(),
        node: Some(node.id.clone()),
    }
}

/// The file of a session that turned out to be a hit.
pub fn finished(session: &UploadSession) -> Option<NodeId> {
    new_id(&session.state["file_id"])
}

pub async fn open(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<UploadSession> {
    create::check(request)?;
    let md5 = conversation.digest(Kind::Md5).await?;
    match create::by_md5(api, request, &md5).await? {
        Asked::Hit(node) => Ok(finished_session(&node)),
        Asked::Miss(answer) => session_of(api, request, &md5, &answer)?
            .ok_or_else(|| DriveError::bad_answer("create", "no preuploadID")),
    }
}

/// Version 2 documents no list of slices, version 1 does. It is asked: its list counts; without
/// one the journal's receipts do (the service checks the MD5 of the whole at the end); a refusal
/// of the session means to start anew.
pub async fn resume(
    api: &Api,
    request: &UploadRequest,
    mut session: UploadSession,
) -> Result<Option<UploadSession>> {
    if let Some(id) = finished(&session) {
        return match list::stat(api, &id).await {
            Ok(_) => Ok(Some(session)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
    }
    let id = text_of(&session, "preupload_id")?;
    let opened = decode::integer(&session.state["opened_at"]).unwrap_or(0);
    let age = api.client.clock().now_ms().saturating_sub(opened);
    let over = age > SESSION_LIFE_MS || api.ended.contains_key(&id);
    if over || decode::unsigned(&session.state["size"]) != Some(request.size) {
        commit::abandon(api, &session).await?;
        return Ok(None);
    }
    let call = api
        .post(
            "list_parts",
            "complete",
            "/upload/v1/file/list_upload_parts",
        )
        .json(&json!({ "preuploadID": id }));
    match api.call(Repeat::Safe, call).await {
        Ok(answer) => {
            Ok(take_list(&mut session, request.size, &answer["parts"]).then_some(session))
        }
        // The call is described for sessions of version 1; those of version 2 have no list
        // (section 7.4). So a refusal says nothing about the session: the journal's receipts
        // stand, and one that is gone after all is told by the next slice or by the commit
        // ([`note_end`]); the attempt after that starts anew.
        Err(error)
            if error.kind == ErrorKind::BadAnswer
                || (error.code.is_some()
                    && matches!(
                        error.kind,
                        ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Provider
                    )) =>
        {
            Ok(Some(session))
        }
        Err(error) => Err(error),
    }
}

/// Takes over the service's list of slices; false when it belongs to another layout.
fn take_list(session: &mut UploadSession, size: u64, parts: &Value) -> bool {
    let parts = decode::list(parts);
    if parts.is_empty() {
        return true;
    }
    let mut accepted = Vec::with_capacity(parts.len());
    for part in parts {
        let number = decode::unsigned(&part["partNumber"]).and_then(|n| u32::try_from(n).ok());
        let (Some(number), Some(length)) = (number, decode::unsigned(&part["size"])) else {
            continue;
        };
        let range = session.part_range(size, number);
        if number == 0 || range.end - range.start != length {
            return false;
        }
        accepted.push(PartReceipt {
            number,
            size: length,
            tag: decode::text(&part["etag"]).to_lowercase(),
        });
    }
    session.accepted = accepted;
    true
}

pub async fn put_part(
    api: &Api,
    session: &UploadSession,
    number: u32,
    bytes: Bytes,
) -> Result<PartReceipt> {
    let md5 = md5_of(&bytes);
    let receipt = PartReceipt {
        number,
        size: bytes.len() as u64,
        tag: md5.clone(),
    };
    // An empty file has no slices (vectors, 12.1).
    if finished(session).is_none() && !bytes.is_empty() {
        send_slice(api, session, number, &md5, bytes).await?;
    }
    Ok(receipt)
}

/// Sends a slice to one of the session's hosts, the next one when a host is in trouble. A
/// repeated slice overwrites itself.
pub async fn send_slice(
    api: &Api,
    session: &UploadSession,
    number: u32,
    md5: &str,
    bytes: Bytes,
) -> Result<()> {
    let id = text_of(session, "preupload_id")?;
    let mut last = None;
    for host in api.upload_hosts(&session.state["servers"]) {
        let request = Request::post("put_part", format!("{host}/upload/v2/file/slice"))
            .class("upload")
            .deadlines(Deadlines::UPLOAD)
            .multipart(slice_form(&id, number, md5, bytes.clone()));
        match api.attempt(Repeat::Safe, request).await {
            Ok(_) => return Ok(()),
            Err(error) if note_end(api, &id, &error) => return Err(error),
            Err(error)
                if error.retry == Retry::Backoff
                    && matches!(
                        error.kind,
                        ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Provider
                    ) =>
            {
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| DriveError::bad_answer("put_part", "no upload host")))
}

/// Remembers a session that this answer of the service ended: it is not known any more, or what
/// it holds is not the file. Going on with it would fail for ever.
pub fn note_end(api: &Api, id: &str, error: &DriveError) -> bool {
    let over =
        error.code.is_some() && matches!(error.kind, ErrorKind::NotFound | ErrorKind::Verification);
    if over {
        api.ended.insert(id.to_owned(), ());
    }
    over
}

/// The fields in the documented order.
fn slice_form(id: &str, number: u32, md5: &str, bytes: Bytes) -> Vec<FormPart> {
    let field = |name: &str, value: String| FormPart {
        name: name.to_owned(),
        file_name: None,
        bytes: Bytes::from(value),
    };
    vec![
        field("preuploadID", id.to_owned()),
        field("sliceNo", number.to_string()),
        field("sliceMD5", md5.to_owned()),
        FormPart {
            name: "slice".to_owned(),
            file_name: Some(format!("part{number}")),
            bytes,
        },
    ]
}

/// MD5 in lower hex.
pub fn md5_of(bytes: &[u8]) -> String {
    hash_all(&[Kind::Md5], bytes)
        .pop()
        .map_or_else(String::new, |(_, md5)| md5)
}

/// A text of the driver's own state.
pub fn text_of(session: &UploadSession, key: &str) -> Result<String> {
    decode::nonempty(&session.state[key])
        .ok_or_else(|| DriveError::new(ErrorKind::Invalid, format!("the session has no {key}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::OnConflict;

    fn request(size: u64) -> UploadRequest {
        UploadRequest {
            parent: NodeId::new("0"),
            name: "movie.mp4".to_owned(),
            size,
            modified: None,
            on_conflict: OnConflict::Refuse,
        }
    }

    fn opened(size: u64, slice: u64) -> UploadSession {
        let answer = json!({"fileID":0,"reuse":false,"preuploadID":"Wvj","sliceSize":slice});
        let hosts = ["http://openapi-upload.123242.com".to_owned()];
        session(&answer, &hosts, &request(size), "d40d", 5)
            .unwrap()
            .unwrap()
    }

    /// The content generator of the vectors.
    fn content(size: u64, seed: u64) -> Vec<u8> {
        let step = |i: u64| {
            let product = (i * 2_654_435_761).wrapping_add(seed * 2_246_822_519);
            u8::try_from((product & 0xffff_ffff) >> 24).unwrap()
        };
        (0..size).map(step).collect()
    }

    #[test]
    fn slices_of_the_vectors() {
        let vectors: Value = serde_json::from_str(include_str!(
            "../../../tests/fixtures/123_open.vectors.json"
        ))
        .unwrap();
        let fingerprints = &vectors["vectors"]["upload_fingerprints"];
        let cases = fingerprints["cases"].as_array().unwrap();
        assert!(cases.len() >= 8);
        for case in cases {
            let size = case["size"].as_u64().unwrap();
            let session = opened(size, case["sliceSize"].as_u64().unwrap());
            let slices = case["slices"].as_array().unwrap();
            assert_eq!(session.part_count(size) as usize, slices.len().max(1));
            let bytes = content(size, case["seed"].as_u64().unwrap());
            assert_eq!(md5_of(&bytes), case["etag_md5"].as_str().unwrap());
            for slice in slices {
                let number = u32::try_from(slice["sliceNo"].as_u64().unwrap()).unwrap();
                let range = session.part_range(size, number);
                assert_eq!(range.start, slice["offset"].as_u64().unwrap());
                assert_eq!(range.end - range.start, slice["length"].as_u64().unwrap());
                let range = range.start as usize..range.end as usize;
                assert_eq!(md5_of(&bytes[range]), slice["sliceMD5"].as_str().unwrap());
            }
        }
    }

    #[test]
    fn the_form_keeps_the_documented_order() {
        let form = slice_form("Wvj", 1, "910f", Bytes::from_static(b"x"));
        let names: Vec<&str> = form.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["preuploadID", "sliceNo", "sliceMD5", "slice"]);
        assert_eq!(&form[1].bytes[..], b"1");
        assert!(form[3].file_name.is_some() && form[0].file_name.is_none());
    }

    #[test]
    fn an_answer_without_a_session_opens_none() {
        let none = session(&json!({"reuse":true,"fileID":0}), &[], &request(1), "m", 0);
        assert_eq!(none.unwrap(), None);
        for size in [json!(null), json!(0), json!(u64::MAX)] {
            let answer = json!({"preuploadID":"W","sliceSize":size});
            assert!(session(&answer, &[], &request(1), "m", 0).is_err());
        }
    }

    #[test]
    fn a_list_of_slices_replaces_the_journal() {
        let mut session = opened(1000, 256);
        session.accepted.push(PartReceipt {
            number: 2,
            size: 256,
            tag: String::new(),
        });
        assert!(take_list(&mut session, 1000, &json!([])));
        assert_eq!(session.accepted.len(), 1);
        let parts = json!([{"partNumber":"4","size":232,"etag":"AB"},{"partNumber":1,"size":256}]);
        assert!(take_list(&mut session, 1000, &parts));
        let numbers: Vec<u32> = session.accepted.iter().map(|part| part.number).collect();
        assert_eq!(numbers, [4, 1]);
        assert_eq!(session.accepted[0].tag, "ab");
        let other = json!([{"partNumber":1,"size":100}]);
        assert!(!take_list(&mut session, 1000, &other));
    }
}
