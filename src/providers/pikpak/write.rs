//! Directories, renames, moves, copies, trash (sheet sections 4.4, 4.5, 9).
//!
//! The service never refuses a taken name in a move, a copy or a restore: it appends a number.
//! So the outcome is looked at, and a numbered one is taken back.

use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, Call, FILES, file_path, wire};
use super::error::{is_named, may_be_done};
use super::list;
use super::names::{RULES, is_numbered};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, NodeKind, Result, decode};
use crate::fingerprint::Kind;

/// A name stays taken for a moment after a delete or a move (section 7).
const PAUSES: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

pub async fn mkdir(api: &Api, parent: &NodeId, name: &str) -> Result<Node> {
    let encoded = RULES.encode(name)?;
    // Whether two folders of one name may stand side by side is disputed (section 9): look first.
    if find_folder(api, parent, &encoded).await?.is_some() {
        return Err(exists(name));
    }
    let body = json!({ "kind": "drive#folder", "parent_id": wire(parent), "name": encoded });
    let folder = match api.call(Call::post("mkdir", FILES, body).once()).await {
        Ok(mut answer) => match answer["file"].take() {
            Value::Null => answer,
            file => file,
        },
        // It was not there before, so a folder of that name now is ours.
        Err(error) if may_be_done(&error) => {
            find_folder(api, parent, &encoded).await?.ok_or(error)?
        }
        Err(error) => return Err(error),
    };
    let mut node = list::node(&folder, Some(parent))?;
    node.kind = NodeKind::Dir;
    let got = decode::text(&folder["name"]);
    if got != encoded {
        delete(api, &node.id).await?;
        return Err(wrong_name(&got, &encoded, name));
    }
    if node.created == 0 {
        let now = api.now();
        (node.modified, node.created) = (now, now);
    }
    Ok(node)
}

async fn find_folder(api: &Api, parent: &NodeId, encoded: &str) -> Result<Option<Value>> {
    let filters = json!({ "kind": { "eq": "drive#folder" }, "trashed": { "eq": false } });
    let folders = list::all(api, parent, &filters).await?;
    Ok(folders
        .into_iter()
        .find(|folder| folder["kind"] == "drive#folder" && folder["name"] == encoded))
}

pub async fn rename(api: &Api, node: &Node, name: &str) -> Result<Node> {
    let encoded = RULES.encode(name)?;
    let ours = (node.parent.clone(), encoded.clone());
    let mut pauses = PAUSES.into_iter();
    loop {
        let body = json!({ "name": encoded });
        match api
            .call(Call::patch("rename", file_path(&node.id), body))
            .await
        {
            Ok(answer) => return renamed(api, node, name, &answer).await,
            // It has this name already, perhaps from an answer that was lost.
            Err(error) if is_named(&error, "file_rename_to_same_name") => {
                return renamed(api, node, name, &Value::Null).await;
            }
            Err(error) => {
                let passing = is_named(&error, "file_rename_uncompleted")
                    || (error.kind == ErrorKind::Exists && api.freed.contains_key(&ours));
                match pauses.next().filter(|_| passing) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error),
                }
            }
        }
    }
}

async fn renamed(api: &Api, node: &Node, name: &str, answer: &Value) -> Result<Node> {
    let now = match list::node(answer, Some(&node.parent)) {
        // An answer that leaves out half of the file must not make us forget it.
        Ok(now) if now.id == node.id && answer["hash"].is_string() => now,
        _ => list::stat(api, &node.id).await?,
    };
    if now.name == name {
        return Ok(now);
    }
    // Another name than asked for: back to the old one, as well as it goes.
    if let Ok(old) = RULES.encode(&node.name) {
        let body = json!({ "name": old });
        let _ = api
            .call(Call::patch("rename", file_path(&node.id), body))
            .await;
    }
    Err(wrong_name(&now.name, name, name))
}

pub async fn move_to(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
    if *parent == node.parent {
        return list::stat(api, &node.id).await;
    }
    let refusal = batch_move(api, &node.id, parent).await?;
    let moved = list::stat(api, &node.id).await?;
    if moved.parent != *parent {
        return Err(refusal.unwrap_or_else(|| {
            DriveError::new(ErrorKind::Timeout, "the provider has not moved it yet")
        }));
    }
    if !is_numbered(&moved.name, &node.name) {
        return Ok(moved);
    }
    batch_move(api, &node.id, &node.parent).await?;
    rename(api, &moved_back(&moved, node), &node.name).await?;
    Err(exists(&node.name))
}

fn moved_back(moved: &Node, node: &Node) -> Node {
    Node {
        parent: node.parent.clone(),
        ..moved.clone()
    }
}

/// Moves and waits. A move to where the node is, or into itself, is refused; whether it is where
/// it should be is for the caller to see, who gets the refusal.
async fn batch_move(api: &Api, id: &NodeId, parent: &NodeId) -> Result<Option<DriveError>> {
    let body = json!({ "ids": [id.as_str()], "to": { "parent_id": wire(parent) } });
    let call = Call::post("move", "/drive/v1/files:batchMove", body);
    match api.call(call).await {
        Ok(answer) => match api.finish_task(&answer).await {
            Err(error) if error.kind == ErrorKind::Timeout => Ok(Some(error)),
            Err(error) => Err(error),
            Ok(()) => Ok(None),
        },
        Err(error) if is_named(&error, "file_move_or_copy_to_cur") => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

pub async fn copy(api: &Api, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    if node.is_dir() || name != node.name || *parent == node.parent {
        return Err(DriveError::unsupported(
            "a server-side copy under another name or into the same directory",
        ));
    }
    let encoded = RULES.encode(name)?;
    let filters = json!({ "trashed": { "eq": false } });
    let before = list::all(api, parent, &filters).await?;
    if before.iter().any(|file| file["name"] == encoded) {
        return Err(exists(name));
    }
    let before: std::collections::HashSet<String> = before
        .iter()
        .map(|file| decode::text(&file["id"]))
        .collect();
    let body = json!({ "ids": [node.id.as_str()], "to": { "parent_id": wire(parent) } });
    let call = Call::post("copy", "/drive/v1/files:batchCopy", body).once();
    let lost = match api.call(call).await {
        Ok(answer) => api.finish_task(&answer).await.err(),
        Err(error) if may_be_done(&error) => Some(error),
        Err(error) if is_named(&error, "file_move_or_copy_to_cur") => {
            return Err(DriveError::unsupported("a copy into the same directory"));
        }
        Err(error) => return Err(error),
    };
    // The answer names no new id: the target is listed again, for a while where it lags.
    let mut pauses = PAUSES.into_iter();
    loop {
        let after = list::all(api, parent, &filters).await?;
        let mut copies = after.iter().filter(|file| {
            let got = decode::text(&file["name"]);
            !before.contains(&decode::text(&file["id"]))
                && (got == encoded || is_numbered(&got, &encoded))
                && same_content(file, node)
        });
        match (copies.next(), copies.next()) {
            (Some(file), None) if list::is_complete(file) => {
                let made = list::node(file, Some(parent))?;
                if file["name"] == encoded {
                    return Ok(made);
                }
                delete(api, &made.id).await?;
                return Err(exists(name));
            }
            (Some(_), Some(_)) => {
                return Err(DriveError::new(
                    ErrorKind::Provider,
                    "somebody else copied the same file there; which copy is ours is unknown",
                ));
            }
            _ => match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    return Err(lost.unwrap_or_else(|| {
                        DriveError::bad_answer("copy", "the copy does not appear")
                    }));
                }
            },
        }
    }
}

fn same_content(file: &Value, node: &Node) -> bool {
    let hash = decode::text(&file["hash"]);
    let gcid = node.fingerprints.get(Kind::Gcid);
    decode::unsigned(&file["size"]) == Some(node.size)
        && gcid.is_none_or(|gcid| hash.is_empty() || hash.eq_ignore_ascii_case(&gcid.value))
}

pub async fn trash(api: &Api, node: &Node) -> Result<()> {
    batch(api, "trash", "/drive/v1/files:batchTrash", &node.id).await?;
    if let Ok(encoded) = RULES.encode(&node.name) {
        api.freed.insert((node.parent.clone(), encoded), ());
    }
    Ok(())
}

/// Deletes for good something of our own that never was a user's.
pub async fn delete(api: &Api, id: &NodeId) -> Result<()> {
    batch(api, "delete", "/drive/v1/files:batchDelete", id).await
}

/// A batch call on one node that may be gone.
async fn batch(api: &Api, op: &'static str, path: &str, id: &NodeId) -> Result<()> {
    let body = json!({ "ids": [id.as_str()] });
    match api.call(Call::post(op, path, body)).await {
        Ok(answer) => api.finish_task(&answer).await,
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

pub async fn restore(api: &Api, node: &Node) -> Result<Node> {
    let body = json!({ "ids": [node.id.as_str()] });
    let call = Call::post("restore", "/drive/v1/files:batchUntrash", body);
    let answer = api.call(call).await?;
    api.finish_task(&answer).await?;
    let mut back = list::stat(api, &node.id).await?;
    // Where it comes back to is told in two ways (section 9).
    if back.parent != node.parent {
        back = move_to(api, &back, &node.parent).await?;
    }
    if !is_numbered(&back.name, &node.name) {
        return Ok(back);
    }
    match rename(api, &back, &node.name).await {
        // The name is taken by something else now: back into the trash.
        Err(error) if error.kind == ErrorKind::Exists => {
            trash(api, &back).await?;
            Err(error)
        }
        other => other,
    }
}

fn exists(name: &str) -> DriveError {
    DriveError::new(ErrorKind::Exists, format!("{name:?} exists already"))
}

/// The error for a name that came out differently.
pub fn wrong_name(got: &str, wanted: &str, shown: &str) -> DriveError {
    if is_numbered(got, wanted) {
        exists(shown)
    } else {
        DriveError::new(
            ErrorKind::Invalid,
            format!("the provider stored {got:?} instead of {shown:?}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_taken() {
        let of = |got| wrong_name(got, "a.bin", "a.bin").kind;
        assert_eq!(of("a(1).bin"), ErrorKind::Exists);
        assert_eq!(of("other.bin"), ErrorKind::Invalid);
    }

    #[test]
    fn a_copy_is_known_by_its_content() {
        let file = |size: &str, hash: &str| json!({"id":"V","name":"a","size":size,"hash":hash,"phase":list::COMPLETE});
        let gcid = "3FC0617C331816DA4EE9C19C6F532F2D6D4FD6CC";
        let node = list::node(&file("6", gcid), None).unwrap();
        assert!(same_content(&file("6", &gcid.to_lowercase()), &node));
        assert!(same_content(&file("6", ""), &node));
        assert!(!same_content(&file("7", gcid), &node));
        assert!(!same_content(&file("6", &"0".repeat(40)), &node));
    }
}
