//! The calls that make a file: `create` with an MD5 and `sha1_reuse` (sheet sections 6, 7.1).
//! `create` is question and opening in one: a miss comes with an upload session.

use serde_json::{Value, json};

use super::answer::may_have_happened;
use super::api::{Api, Repeat};
use super::list::{self, number};
use super::names;
use super::write::new_id;
use crate::drive::{
    DriveError, ErrorKind, Node, NodeId, NodeKind, OnConflict, Result, UploadRequest, decode,
};
use crate::fingerprint::{Fingerprints, Kind};
use crate::net::Retry;

/// 10 GB per file: 640 slices of 16 MiB (section 7.4).
pub const MAX_FILE: u64 = 10 << 30;

/// How far the service's clock may be behind ours when "made since" is judged.
const SKEW_MS: i64 = 120_000;

/// How a question ended.
pub enum Asked {
    /// The file exists now.
    Hit(Node),
    /// The content is not there; the answer's `data` with what opens an upload.
    Miss(Value),
}

/// Asks by MD5 (lower hex).
pub async fn by_md5(api: &Api, request: &UploadRequest, md5: &str) -> Result<Asked> {
    let mut body = target(request)?;
    body["etag"] = json!(md5);
    body["containDir"] = json!(false);
    let started = api.client.clock().now_ms();
    let call = api
        .post("create", "create", "/upload/v2/file/create")
        .json(&body);
    match api.call(Repeat::Unsafe, call).await {
        Ok(answer) => Ok(match hit(&answer) {
            Some(id) => Asked::Hit(fresh(api, request, id, Some(md5))),
            None => Asked::Miss(answer),
        }),
        Err(error) => {
            let found = own_success(api, request, Some(md5), started, error).await?;
            Ok(Asked::Hit(found))
        }
    }
}

/// Asks by SHA-1 (lower hex). A miss leaves nothing behind. A known MD5 helps to recognise the
/// file when the answer is lost.
pub async fn by_sha1(
    api: &Api,
    request: &UploadRequest,
    sha1: &str,
    known_md5: Option<&str>,
) -> Result<Option<Node>> {
    let mut body = target(request)?;
    body["sha1"] = json!(sha1);
    let started = api.client.clock().now_ms();
    let call = api
        .post("sha1_reuse", "create", "/upload/v2/file/sha1_reuse")
        .json(&body);
    match api.call(Repeat::Unsafe, call).await {
        Ok(answer) => match hit(&answer) {
            // The MD5 is the version, and only the service knows it here.
            Some(id) => Ok(Some(match list::stat(api, &id).await {
                Ok(node) => node,
                Err(_) => fresh(api, request, id, None),
            })),
            None => Ok(None),
        },
        // The name or the parent is refused: nothing else can help. Other refusals of this
        // particular call (it is young and its index partial) are no more than a miss.
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::Verification
            ) || (error.kind == ErrorKind::Provider && error.code.is_some()) =>
        {
            Ok(None)
        }
        Err(error) => own_success(api, request, known_md5, started, error)
            .await
            .map(Some),
    }
}

/// Refuses what neither call would take, before anything is read for it.
pub fn check(request: &UploadRequest) -> Result<()> {
    target(request).map(drop)
}

/// What both calls say about the wanted file. Without `duplicate` a taken name is an error; 2
/// replaces (7.1).
fn target(request: &UploadRequest) -> Result<Value> {
    if request.size > MAX_FILE {
        return Err(DriveError::new(
            ErrorKind::TooLarge,
            "this provider takes files of up to 10 GiB",
        ));
    }
    let mut body = json!({
        "parentFileID": number(&request.parent)?,
        "filename": names::encode(&request.name)?,
        "size": request.size,
    });
    if request.on_conflict == OnConflict::Replace {
        body["duplicate"] = json!(2);
    }
    Ok(body)
}

/// The new file of a hit. `reuse` without an id is none (section 6.1).
fn hit(answer: &Value) -> Option<NodeId> {
    if decode::flag(&answer["reuse"]) {
        new_id(&answer["fileID"])
    } else {
        None
    }
}

/// The node of an answer that tells nothing but its id.
pub fn fresh(api: &Api, request: &UploadRequest, id: NodeId, md5: Option<&str>) -> Node {
    let now = api.client.clock().now_ms();
    Node {
        id,
        parent: request.parent.clone(),
        name: request.name.clone(),
        kind: NodeKind::File,
        size: request.size,
        modified: now,
        created: now,
        version: md5.unwrap_or_default().to_owned(),
        fingerprints: Fingerprints::new(),
        handle: None,
        raw: None,
    }
}

/// Whether a node was made since `started`, as far as two clocks can tell.
pub fn is_newer(node: &Node, started: i64) -> bool {
    node.created.max(node.modified) >= started.saturating_sub(SKEW_MS)
}

/// The file that this request made, when only the answer was lost: same name, size and content,
/// made since `started`.
pub async fn find_own(
    api: &Api,
    request: &UploadRequest,
    md5: Option<&str>,
    started: i64,
) -> Result<Option<Node>> {
    list::find(api, &request.parent, |node| {
        is_own(node, request, md5, started)
    })
    .await
}

fn is_own(node: &Node, request: &UploadRequest, md5: Option<&str>, started: i64) -> bool {
    let same_content = match (md5, node.fingerprints.get(Kind::Md5)) {
        (Some(wanted), Some(known)) => *known.value == *wanted,
        (None, _) => true,
        (Some(_), None) => false,
    };
    !node.is_dir()
        && node.name == request.name
        && node.size == request.size
        && same_content
        && is_newer(node, started)
}

/// Turns a lost answer into the hit it was, or gives the error back. When the file is not
/// there the same question may be asked again: at worst an unfinished session is left, which
/// the service drops by itself.
async fn own_success(
    api: &Api,
    request: &UploadRequest,
    md5: Option<&str>,
    started: i64,
    error: DriveError,
) -> Result<Node> {
    if !may_have_happened(&error) {
        return Err(error);
    }
    match find_own(api, request, md5, started).await {
        Ok(Some(node)) => Ok(node),
        Ok(None) => Err(error.retry(Retry::Backoff)),
        Err(_) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::{Known, Origin};

    fn request() -> UploadRequest {
        UploadRequest {
            parent: NodeId::new("0"),
            name: "a:b.bin".to_owned(),
            size: 100,
            modified: None,
            on_conflict: OnConflict::Refuse,
        }
    }

    #[test]
    fn a_hit_has_an_id() {
        assert_eq!(
            hit(&json!({"fileID":11522660,"reuse":true}))
                .unwrap()
                .as_str(),
            "11522660"
        );
        assert_eq!(hit(&json!({"fileID":0,"reuse":true})), None);
        assert_eq!(
            hit(&json!({"fileID":0,"reuse":false,"preuploadID":"W"})),
            None
        );
        assert_eq!(hit(&Value::Null), None);
    }

    #[test]
    fn refusing_says_nothing_about_duplicates() {
        let body = target(&request()).unwrap();
        assert!(body.get("duplicate").is_none());
        assert_eq!(body["parentFileID"], 0);
        assert_eq!(body["filename"], "a\u{FF1A}b.bin");
        let replace = UploadRequest {
            on_conflict: OnConflict::Replace,
            ..request()
        };
        assert_eq!(target(&replace).unwrap()["duplicate"], 2);
        let large = UploadRequest {
            size: MAX_FILE + 1,
            ..request()
        };
        assert_eq!(target(&large).unwrap_err().kind, ErrorKind::TooLarge);
    }

    #[test]
    fn only_a_new_file_with_our_content_is_ours() {
        let started = 1_000_000_000;
        let mut node = Node {
            id: NodeId::new("7"),
            parent: NodeId::new("0"),
            name: "a:b.bin".to_owned(),
            kind: NodeKind::File,
            size: 100,
            modified: started,
            created: started,
            version: String::new(),
            fingerprints: Fingerprints::new(),
            handle: None,
            raw: None,
        };
        assert!(!is_own(&node, &request(), Some("aa"), started));
        assert!(is_own(&node, &request(), None, started));
        let known = Known {
            value: "aa".into(),
            origin: Origin::Provider,
            provider: "123_open".into(),
            at: 0,
        };
        node.fingerprints.learn(Kind::Md5, known);
        assert!(is_own(&node, &request(), Some("aa"), started));
        assert!(!is_own(&node, &request(), Some("bb"), started));
        node.created = started - 3_600_000;
        node.modified = node.created;
        assert!(!is_own(&node, &request(), Some("aa"), started));
    }
}
