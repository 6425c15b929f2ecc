//! Directories, renames, moves, copies, trash (sheet section 4.6).
//!
//! What rename and move do when the name is taken is not documented. So this driver looks
//! first, and reads the node back afterwards: the name and the place that count are those the
//! service tells.

use serde_json::{Value, json};

use super::answer::may_have_happened;
use super::api::{Api, Repeat};
use super::create::{self, Asked};
use super::list::{self, number};
use super::names;
use crate::drive::{
    DriveError, ErrorKind, Node, NodeId, NodeKind, OnConflict, Result, UploadRequest, decode,
};
use crate::fingerprint::{Fingerprints, Kind};

pub async fn mkdir(api: &Api, parent: &NodeId, name: &str) -> Result<Node> {
    let started = api.client.clock().now_ms();
    let request = api
        .post("mkdir", "mkdir", "/upload/v1/file/mkdir")
        .json(&json!({ "name": names::encode(name)?, "parentID": number(parent)? }));
    let answer = match api.call(Repeat::Unsafe, request).await {
        Ok(answer) => answer,
        Err(error) if may_have_happened(&error) => {
            let ours = list::find(api, parent, |node| {
                node.is_dir() && node.name == name && create::is_newer(node, started)
            });
            return match ours.await {
                Ok(Some(node)) => Ok(node),
                _ => Err(error),
            };
        }
        Err(error) => return Err(error),
    };
    let id = new_id(&answer["dirID"]).ok_or_else(|| DriveError::bad_answer("mkdir", "no dirID"))?;
    let now = api.client.clock().now_ms();
    Ok(Node {
        id,
        parent: parent.clone(),
        name: name.to_owned(),
        kind: NodeKind::Dir,
        size: 0,
        modified: now,
        created: now,
        version: String::new(),
        fingerprints: Fingerprints::new(),
        handle: None,
        raw: None,
    })
}

pub async fn rename(api: &Api, node: &Node, name: &str) -> Result<Node> {
    let spelled = names::encode(name)?;
    list::refuse_taken(api, &node.parent, name, Some(&node.id)).await?;
    let renamed = put_name(api, &node.id, &spelled, name).await?;
    if renamed.name == name {
        return Ok(renamed);
    }
    // Somebody took the name meanwhile and the service chose another one: undo it.
    if let Ok(old) = names::encode(&node.name) {
        let _ = put_name(api, &node.id, &old, &node.name).await;
    }
    Err(DriveError::new(
        ErrorKind::Exists,
        format!("the provider stored {:?} instead of {name:?}", renamed.name),
    ))
}

/// Renames and reads the node back, also after a failure that may have been a success.
async fn put_name(api: &Api, id: &NodeId, spelled: &str, name: &str) -> Result<Node> {
    let request = api
        .put("rename", "rename", "/api/v1/file/name")
        .json(&json!({ "fileId": number(id)?, "fileName": spelled }));
    let outcome = api.call(Repeat::Safe, request).await;
    read_back(api, id, outcome, |node| node.name == name).await
}

pub async fn move_to(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
    if node.parent == *parent {
        return list::stat(api, &node.id).await;
    }
    list::refuse_taken(api, parent, &node.name, Some(&node.id)).await?;
    let moved = put_parent(api, &node.id, parent).await?;
    if moved.name == node.name && moved.parent == *parent {
        return Ok(moved);
    }
    if moved.parent == *parent {
        // A name that the service changed on the way: bring it back as it was.
        let _ = put_parent(api, &node.id, &node.parent).await;
        if let Ok(old) = names::encode(&node.name) {
            let _ = put_name(api, &node.id, &old, &node.name).await;
        }
    }
    Err(DriveError::new(
        ErrorKind::Exists,
        format!("{:?} could not be moved under its name", node.name),
    ))
}

async fn put_parent(api: &Api, id: &NodeId, parent: &NodeId) -> Result<Node> {
    let request = api
        .post("move", "move", "/api/v1/file/move")
        .json(&json!({ "fileIDs": [number(id)?], "toParentFileID": number(parent)? }));
    let outcome = api.call(Repeat::Safe, request).await;
    read_back(api, id, outcome, |node| node.parent == *parent).await
}

/// The node as it is now. A failed call counts as done when the node says so: an answer to an
/// earlier attempt may have been lost.
async fn read_back(
    api: &Api,
    id: &NodeId,
    outcome: Result<Value>,
    done: impl Fn(&Node) -> bool + Send,
) -> Result<Node> {
    match outcome {
        Ok(_) => list::stat(api, id).await,
        Err(error) if error.kind == ErrorKind::Auth => Err(error),
        Err(error) => match list::stat(api, id).await {
            Ok(node) if done(&node) => Ok(node),
            _ => Err(error),
        },
    }
}

/// A copy is a `create` with the content's own MD5: it takes any name and refuses a taken one,
/// which the copy call does not promise. That call is the way for a content the service does
/// not recognise.
pub async fn copy(api: &Api, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    if node.is_dir() {
        return Err(DriveError::unsupported("a server-side copy of a directory"));
    }
    let request = UploadRequest {
        parent: parent.clone(),
        name: name.to_owned(),
        size: node.size,
        modified: None,
        on_conflict: OnConflict::Refuse,
    };
    if let Some(md5) = node.fingerprints.usable(Kind::Md5)
        && let Asked::Hit(copied) = create::by_md5(api, &request, &md5.value).await?
    {
        return Ok(copied);
    }
    if name != node.name || *parent == node.parent {
        return Err(DriveError::unsupported(
            "a server-side copy under another name",
        ));
    }
    list::refuse_taken(api, parent, name, None).await?;
    let call = api
        .post("copy", "move", "/api/v1/file/copy")
        .json(&json!({ "fileId": number(&node.id)?, "targetDirId": number(parent)? }));
    let answer = api.call(Repeat::Unsafe, call).await?;
    let id = new_id(&answer["targetFileId"])
        .ok_or_else(|| DriveError::bad_answer("copy", "no targetFileId"))?;
    let copied = list::stat(api, &id).await?;
    if copied.name == name && copied.parent == *parent && copied.id != node.id {
        return Ok(copied);
    }
    if copied.id != node.id {
        let _ = trash(api, &copied).await;
    }
    Err(DriveError::new(
        ErrorKind::Exists,
        format!("the provider stored {:?} instead of {name:?}", copied.name),
    ))
}

pub async fn trash(api: &Api, node: &Node) -> Result<()> {
    trash_id(api, &node.id).await
}

/// Moves a node to the bin; one that is there or gone already is a success, by whatever error
/// the service says so.
pub async fn trash_id(api: &Api, id: &NodeId) -> Result<()> {
    let request = api
        .post("trash", "trash", "/api/v1/file/trash")
        .json(&json!({ "fileIDs": [number(id)?] }));
    match api.call(Repeat::Safe, request).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind == ErrorKind::Auth => Err(error),
        Err(error) => match list::stat(api, id).await {
            Err(gone) if gone.kind == ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        },
    }
}

pub async fn restore(api: &Api, node: &Node) -> Result<Node> {
    let id = number(&node.id)?;
    let request = api
        .post("restore", "trash", "/api/v1/file/recover")
        .json(&json!({ "fileIDs": [id] }));
    let outcome = api.call(Repeat::Safe, request).await;
    if let Ok(answer) = &outcome
        && decode::list(&answer["abnormalFileIDs"])
            .iter()
            .any(|abnormal| decode::integer(abnormal) == Some(id))
    {
        return Err(DriveError::not_found(format!(
            "the directory that {:?} was in",
            node.name
        )));
    }
    // `stat` refuses trashed nodes, so one that it shows is back.
    read_back(api, &node.id, outcome, |_| true).await
}

/// An id in an answer; 0 means none.
pub fn new_id(value: &Value) -> Option<NodeId> {
    decode::integer(value)
        .filter(|id| *id > 0)
        .map(|id| NodeId::new(id.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_id() {
        assert_eq!(new_id(&json!(0)), None);
        assert_eq!(new_id(&json!(null)), None);
        assert_eq!(new_id(&json!("14663228")).unwrap().as_str(), "14663228");
    }
}
