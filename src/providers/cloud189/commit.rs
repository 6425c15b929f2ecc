//! The end of an upload (sheet sections 6.2 to 6.4, 7): the commit, whether its answer arrives or
//! not, the name that came of it, and what is left of an upload that is given up.

use serde_json::Value;

use super::api::{Api, Call};
use super::error::{COMMIT, is_over, may_be_done};
use super::list::{self, exists};
use super::names::{RULES, is_numbered};
use super::upload::{slice_md5_of, text_of};
use super::write::{discard, rename};
use crate::drive::{
    Conversation, DriveError, ErrorKind, Node, NodeId, NodeKind, OnConflict, Result, UploadRequest,
    UploadSession, decode, listed,
};
use crate::fingerprint::{Kind, Origin, tianyi_slice_size};

/// Keeps both when the name is taken: the service appends a number, which is seen and taken back.
/// Nothing is overwritten (section 7, conflict policy).
pub const KEEP_BOTH: &str = "1";

/// Clocks may differ by this when an own file is looked for.
const SKEW_MS: i64 = 60_000;

/// What is known of the file that an upload makes.
pub struct Expected {
    /// As the service spells it.
    pub name: String,
    /// Lower hex.
    pub md5: String,
    pub slice_md5: Option<String>,
    /// When the upload was opened.
    pub since: i64,
}

pub async fn commit(
    api: &Api,
    request: &UploadRequest,
    session: &UploadSession,
    conversation: &Conversation<'_>,
) -> Result<Node> {
    let id = text_of(session, "upload_file_id")?;
    let state = &session.state;
    let (md5, slice_md5, lazy) = match decode::nonempty(&state["md5"]) {
        Some(md5) => (md5, decode::nonempty(&state["slice_md5"]), false),
        None => {
            let md5 = conversation.digest(Kind::Md5).await?.to_ascii_lowercase();
            (md5, Some(slice_md5_of(session, request.size)?), true)
        }
    };
    let expected = Expected {
        name: text_of(session, "name")?,
        md5,
        slice_md5,
        since: decode::integer(&state["opened_at"]).unwrap_or(0),
    };
    let (upper, upper_slice) = (
        expected.md5.to_ascii_uppercase(),
        expected
            .slice_md5
            .as_deref()
            .unwrap_or_default()
            .to_ascii_uppercase(),
    );
    let mut params = vec![("uploadFileId", id.as_str())];
    if lazy {
        params.extend([
            ("fileMd5", upper.as_str()),
            ("sliceMd5", &upper_slice),
            ("lazyCheck", "1"),
        ]);
    }
    params.extend([("isLog", "0"), ("opertype", KEEP_BOTH)]);
    let call = Call::upload(COMMIT, "/person/commitMultiUploadFile", &params);
    match api.call(call).await {
        Ok(answer) => settle(api, request, &expected, file_in(&answer)).await,
        Err(error) => {
            let node = earlier(api, request, &expected, &error).await;
            if node.is_err() && may_be_done(&error) {
                api.finishing.insert(id, expected.md5.clone());
            }
            node
        }
    }
}

/// The file in an answer of either door.
fn file_in(answer: &Value) -> &Value {
    [&answer["file"], &answer["data"]["file"], &answer["data"]]
        .into_iter()
        .find(|value| value.is_object())
        .unwrap_or(answer)
}

/// The commit of the old door (section 4.9), at the address that it named.
pub async fn commit_old(
    api: &Api,
    request: &UploadRequest,
    expected: &Expected,
    id: &str,
    address: String,
) -> Result<Node> {
    let call = Call::post_named(COMMIT, address)
        .field("opertype", KEEP_BOTH)
        .field("resumePolicy", "1")
        .field("uploadFileId", id)
        .field("isLog", "0");
    match api.call(call).await {
        Ok(answer) => settle(api, request, expected, file_in(&answer)).await,
        Err(error) => earlier(api, request, expected, &error).await,
    }
}

/// The file of a commit whose answer was lost, or the error when there is none. A file of the
/// upload's name (or a numbered one), size and MD5 that is not older than the upload is its own.
async fn earlier(
    api: &Api,
    request: &UploadRequest,
    expected: &Expected,
    error: &DriveError,
) -> Result<Node> {
    let telling = is_over(error)
        || may_be_done(error)
        || matches!(error.kind, ErrorKind::Exists | ErrorKind::NotFound);
    if telling && let Ok(Some(node)) = find_own(api, request, expected).await {
        return named(api, request, expected, node).await;
    }
    Err(error.clone())
}

async fn find_own(api: &Api, request: &UploadRequest, expected: &Expected) -> Result<Option<Node>> {
    let given = RULES.decode(&expected.name);
    let is_name = |name: &str| name == given || name == request.name || is_numbered(name, &given);
    list::find(api, &request.parent, |node| {
        let md5 = node.fingerprints.get(Kind::Md5);
        !node.is_dir()
            && is_name(&node.name)
            && node.size == request.size
            && md5.is_some_and(|md5| *md5.value == *expected.md5)
            && node.created >= expected.since.saturating_sub(SKEW_MS)
    })
    .await
}

/// The node of an answer; what it leaves out is known from the request.
async fn settle(
    api: &Api,
    request: &UploadRequest,
    expected: &Expected,
    file: &Value,
) -> Result<Node> {
    let Ok(mut node) = list::node(file, NodeKind::File, Some(&request.parent)) else {
        let error = DriveError::bad_answer(COMMIT, "no file");
        return earlier(api, request, expected, &error).await;
    };
    if file["size"].is_null() && file["fileSize"].is_null() {
        node.size = request.size;
    }
    if node.created == 0 {
        let now = api.now();
        (node.modified, node.created) = (now, now);
    }
    if node.fingerprints.get(Kind::Md5).is_none() {
        // The service has just compared it, and every later listing says it.
        learn(&mut node, Kind::Md5, &expected.md5);
        node.version.clone_from(&expected.md5);
    }
    named(api, request, expected, node).await
}

fn learn(node: &mut Node, kind: Kind, value: &str) {
    listed(
        &mut node.fingerprints,
        kind,
        value,
        Origin::Provider,
        super::INFO.key,
    );
}

/// Sees to it that the file has the name that was asked for. A numbered one, or one whose name was
/// taken meanwhile, is taken back.
async fn named(
    api: &Api,
    request: &UploadRequest,
    expected: &Expected,
    mut node: Node,
) -> Result<Node> {
    if let Some(slice_md5) = &expected.slice_md5 {
        // No call ever lists it; here it is known and was compared by the service.
        let slice = tianyi_slice_size(request.size);
        learn(&mut node, Kind::SliceMd5 { slice }, slice_md5);
    }
    if node.name == request.name {
        return Ok(node);
    }
    if RULES.encode(&node.name).ok().as_deref() == Some(expected.name.as_str()) {
        // Uploaded under a plain name of ours.
        let renamed = rename(api, &node, &request.name).await;
        return match renamed {
            Ok(now) => Ok(Node {
                name: now.name,
                modified: now.modified,
                ..node
            }),
            Err(error) => {
                discard(api, &node).await;
                Err(error)
            }
        };
    }
    discard(api, &node).await;
    if is_numbered(&node.name, &RULES.decode(&expected.name)) {
        return Err(exists(&request.name));
    }
    Err(DriveError::new(
        ErrorKind::Invalid,
        format!(
            "the provider stored {:?} instead of {:?}",
            node.name, request.name
        ),
    ))
}

/// There is no call to end an upload; an unfinished one is invisible and expires (section 7). What
/// may have become a file by a commit without an answer is looked for by all that is known of it.
pub async fn abandon(api: &Api, session: &UploadSession) -> Result<()> {
    let id = text_of(session, "upload_file_id")?;
    let Some(md5) = api.finishing.get(&id) else {
        return Ok(());
    };
    let request = UploadRequest {
        parent: NodeId::new(text_of(session, "parent")?),
        name: text_of(session, "wanted")?,
        size: decode::unsigned(&session.state["size"]).unwrap_or(0),
        modified: None,
        on_conflict: OnConflict::Refuse,
    };
    let expected = Expected {
        name: text_of(session, "name")?,
        md5,
        slice_md5: None,
        since: decode::integer(&session.state["opened_at"]).unwrap_or(0),
    };
    let found = match find_own(api, &request, &expected).await {
        Err(error) if error.kind == ErrorKind::NotFound => None,
        found => found?,
    };
    if let Some(node) = found {
        discard(api, &node).await;
    }
    api.finishing.invalidate(&id);
    Ok(())
}
