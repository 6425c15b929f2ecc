//! Directories, renames, moves, copies, trash (sheet sections 4 and 9).
//!
//! The service has no rule for taken names: it makes a second entry. So this driver looks first,
//! and its own changes come one after the other, as the service wants them anyway.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::answer::{Repeat, may_have_happened};
use super::api::{Api, ROOT};
use super::entry::{Entry, Kind, refuse_link, segment};
use super::names::{self, RULES};
use super::{facts, list};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, NodeKind, Result, decode};
use crate::fingerprint::Fingerprints;

/// A clock of ours and one of the service may differ by this much.
const SKEW_MS: i64 = 120_000;
/// The service's own tool looks this often at a task (section 4).
const POLLS: u32 = 30;
const POLL_FIRST: Duration = Duration::from_millis(200);
const POLL: Duration = Duration::from_secs(2);
/// An early "fail" can pass (section 4).
const PATIENT_POLLS: u32 = 4;

pub async fn mkdir(api: &Api, parent: &NodeId, name: &str) -> Result<Node> {
    let spelled = names::encode_folder(name)?;
    let _turn = api.changing.lock().await;
    list::refuse_taken(api, parent, name, None).await?;
    let began = api.now_ms();
    let folder = if parent.as_str() == ROOT {
        ""
    } else {
        parent.as_str()
    };
    let request = api.post("mkdir", "change", "/drive/v1/files/create_folder");
    let request = Api::json(request, &json!({ "name": spelled, "folder_token": folder }));
    let token = match api.call(Repeat::Unsafe, request).await {
        Ok(answer) => token_of("mkdir", &answer["token"])?,
        Err(error) => {
            let ours = |entry: &Entry| entry.kind == Kind::Folder;
            match made_since(api, &error, parent, name, began, ours).await {
                Some(entry) => entry.token,
                None => return Err(error),
            }
        }
    };
    let now = api.now_ms();
    let node = Node {
        id: NodeId::new(token),
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
    };
    api.places.insert(node.id.clone(), parent.clone());
    Ok(node)
}

/// After a call whose answer was lost: the entry that it made. The name was free right before it.
async fn made_since(
    api: &Api,
    error: &DriveError,
    dir: &NodeId,
    name: &str,
    began: i64,
    ours: impl Fn(&Entry) -> bool,
) -> Option<Entry> {
    if !may_have_happened(error) {
        return None;
    }
    let entries = list::all(api, dir).await.ok()?;
    let mut made = entries.into_iter().filter(|entry| {
        names::means(entry, name, true)
            && entry.created >= began.saturating_sub(SKEW_MS)
            && ours(entry)
    });
    // Two of them: which is ours cannot be told.
    made.next().filter(|_| made.next().is_none())
}

/// The token in an answer that made something.
pub fn token_of(op: &str, value: &Value) -> Result<String> {
    decode::nonempty(value).ok_or_else(|| DriveError::bad_answer(op, "no token"))
}

/// The type that calls on a node want to be told.
fn kind_of(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Dir => "folder",
        NodeKind::File => "file",
    }
}

fn file_path(node: &Node, rest: &str) -> String {
    format!("/drive/v1/files/{}{rest}", segment(node.id.as_str()))
}

pub async fn rename(api: &Api, node: &Node, name: &str) -> Result<Node> {
    refuse_link(&node.id, "rename")?;
    let spelled = if node.is_dir() {
        names::encode_folder(name)?
    } else {
        RULES.encode(name)?
    };
    if node.name == name {
        return Ok(node.clone());
    }
    let _turn = api.changing.lock().await;
    list::refuse_taken(api, &node.parent, name, Some(&node.id)).await?;
    let request = api
        .request("rename", Method::PATCH, "change", &file_path(node, ""))
        .query("type", kind_of(node));
    let request = Api::json(request, &json!({ "new_title": spelled }));
    api.call(Repeat::Safe, request).await?;
    Ok(Node {
        name: name.to_owned(),
        ..node.clone()
    })
}

pub async fn move_to(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
    refuse_link(&node.id, "move")?;
    let _turn = api.changing.lock().await;
    list::refuse_taken(api, parent, &node.name, Some(&node.id)).await?;
    let folder = api.folder_token(parent).await?;
    let request = api.post("move", "change", &file_path(node, "/move"));
    let body = json!({ "type": kind_of(node), "folder_token": folder });
    let answer = api.call(Repeat::Safe, Api::json(request, &body)).await?;
    finish_task(api, "move", &answer).await?;
    api.places.insert(node.id.clone(), parent.clone());
    Ok(Node {
        parent: parent.clone(),
        ..node.clone()
    })
}

pub async fn copy(api: &Api, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    if node.is_dir() || refuse_link(&node.id, "copy").is_err() {
        return Err(DriveError::unsupported(
            "a server-side copy of anything but a file",
        ));
    }
    let spelled = RULES.encode(name)?;
    let _turn = api.changing.lock().await;
    list::refuse_taken(api, parent, name, None).await?;
    let began = api.now_ms();
    let folder = api.folder_token(parent).await?;
    let request = api.post("copy", "change", &file_path(node, "/copy"));
    let body = json!({ "name": spelled, "type": "file", "folder_token": folder });
    let token = match api.call(Repeat::Unsafe, Api::json(request, &body)).await {
        Ok(answer) => token_of("copy", &answer["file"]["token"])?,
        Err(error) => {
            let ours = |entry: &Entry| entry.kind == Kind::File;
            let made = made_since(api, &error, parent, name, began, ours).await;
            let Some(entry) = made else {
                return Err(error);
            };
            if facts::fresh(api, &entry.token).await?.size != node.size {
                return Err(error);
            }
            entry.token
        }
    };
    made_file(api, parent, name, &token).await
}

/// A file that was just made or replaced, as its history tells it.
pub async fn made_file(api: &Api, parent: &NodeId, name: &str, token: &str) -> Result<Node> {
    let id = NodeId::new(token);
    api.places.insert(id.clone(), parent.clone());
    let facts = match facts::fresh(api, token).await {
        Ok(facts) => facts,
        // Who may write need not see the history.
        Err(error) if matches!(error.kind, ErrorKind::Auth | ErrorKind::NotFound) => {
            return list::stat(api, &id).await;
        }
        Err(error) => return Err(error),
    };
    Ok(Node {
        id,
        parent: parent.clone(),
        name: name.to_owned(),
        kind: NodeKind::File,
        size: facts.size,
        modified: facts.made,
        created: facts.made,
        version: facts.version,
        fingerprints: Fingerprints::new(),
        handle: None,
        raw: None,
    })
}

pub async fn trash(api: &Api, node: &Node) -> Result<()> {
    refuse_link(&node.id, "remove")?;
    trash_token(api, node.id.as_str(), kind_of(node)).await
}

/// Moves what has this token to the trash. Gone already is a success.
pub async fn trash_token(api: &Api, token: &str, kind: &str) -> Result<()> {
    let _turn = api.changing.lock().await;
    let path = format!("/drive/v1/files/{}", segment(token));
    let request = api
        .request("trash", Method::DELETE, "change", &path)
        .query("type", kind);
    match api.call(Repeat::Safe, request).await {
        Ok(answer) => finish_task(api, "trash", &answer).await?,
        Err(error) if error.kind == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    api.places.invalidate(&NodeId::new(token));
    api.facts.invalidate(token);
    Ok(())
}

/// Waits for the task of an operation on a directory. No task means that it is done.
async fn finish_task(api: &Api, op: &str, answer: &Value) -> Result<()> {
    let Some(task) = decode::nonempty(&answer["task_id"]) else {
        return Ok(());
    };
    let mut pause = POLL_FIRST;
    for poll in 0..POLLS {
        let request = api
            .get("task", "meta", "/drive/v1/files/task_check")
            .query("task_id", &task);
        let state = api.call_of_many(request).await?;
        match decode::text(&state["status"]).as_str() {
            "success" => return Ok(()),
            "fail" | "failed" if poll >= PATIENT_POLLS => {
                return Err(DriveError::new(
                    ErrorKind::Provider,
                    format!("{op}: the provider's task failed"),
                ));
            }
            _ => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(POLL);
    }
    Err(DriveError::new(
        ErrorKind::Timeout,
        format!("{op}: the provider's task does not end"),
    ))
}
