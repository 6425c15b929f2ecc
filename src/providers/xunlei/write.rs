//! Directories, renames, moves, copies, trash (sheet sections 4.4, 4.5, 9).
//!
//! Onto a taken name the service may refuse or append a number. So the outcome is looked at, and a
//! numbered one is taken back.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, Call, FILES, file_path, wire};
use super::error::{is_named, may_be_done};
use super::list::{self, Entries};
use super::names::{RULES, is_numbered};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, NodeKind, Result, decode};
use crate::fingerprint::Kind;

/// A name may stay taken for a moment after a delete, and a new entry be late.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

pub async fn mkdir(api: &Api, parent: &NodeId, name: &str) -> Result<Node> {
    let encoded = RULES.encode(name)?;
    // That a taken name is refused is only inferred (section 9): look first.
    if list::find(api, parent, &encoded).await?.is_some() {
        return Err(exists(name));
    }
    let body = json!({
        "kind": "drive#folder",
        "name": encoded,
        "parent_id": wire(parent),
        "space": "",
    });
    let call = || api.call(Call::post("mkdir", FILES, body.clone()).once());
    let folder = match api.in_folder(parent, call).await {
        Ok(mut answer) => match answer["file"].take() {
            Value::Null => answer,
            file => file,
        },
        // It was not there before, so a folder of that name now is ours.
        Err(error) if may_be_done(&error) => appeared(api, parent, &encoded).await?.ok_or(error)?,
        Err(error) => return Err(error),
    };
    let mut node = list::node(&folder, Some(parent))?;
    node.kind = NodeKind::Dir;
    (node.size, node.fingerprints) = (0, Default::default());
    let got = decode::text(&folder["name"]);
    if got != encoded {
        delete(api, &node.id).await?;
        return Err(wrong_name(&got, &encoded, name));
    }
    api.young.insert(node.id.clone(), ());
    if node.created == 0 {
        let now = api.now();
        (node.modified, node.created) = (now, now);
    }
    Ok(node)
}

/// The folder that a call with a lost answer made, when it shows up.
async fn appeared(api: &Api, parent: &NodeId, encoded: &str) -> Result<Option<Value>> {
    for pause in PAUSES.into_iter().take(3) {
        let found = list::find(api, parent, encoded).await?;
        if let Some(folder) = found.filter(|found| found["kind"] == "drive#folder") {
            return Ok(Some(folder));
        }
        tokio::time::sleep(pause).await;
    }
    Ok(None)
}

/// Sends a new name (as the service spells it).
pub async fn patch_name(api: &Api, id: &NodeId, encoded: &str) -> Result<Value> {
    let path = file_path(id);
    let call = if api.identity.platform.is_browser() {
        Call::patch("rename", path, json!({ "name": encoded })).query("space", "")
    } else {
        Call::patch("rename", path, json!({ "name": encoded, "space": "" }))
    };
    api.call(call).await
}

pub async fn rename(api: &Api, node: &Node, name: &str) -> Result<Node> {
    let encoded = RULES.encode(name)?;
    let _names = api.names.read().await;
    rename_now(api, node, name, &encoded).await
}

/// Without the lock on names.
async fn rename_now(api: &Api, node: &Node, name: &str, encoded: &str) -> Result<Node> {
    let ours = (node.parent.clone(), encoded.to_owned());
    let mut pauses = PAUSES.into_iter();
    loop {
        match patch_name(api, &node.id, encoded).await {
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
                    // The first of two tries may have done it, and a name is its own rival.
                    None if error.kind == ErrorKind::Exists => {
                        let now = list::stat(api, &node.id).await?;
                        return if now.name == name {
                            Ok(now)
                        } else {
                            Err(error)
                        };
                    }
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
    if let Ok(old) = RULES.encode(&node.name)
        && let Err(error) = patch_name(api, &node.id, &old).await
    {
        tracing::warn!(id = %node.id, %error, "a rename that went wrong was not taken back");
    }
    Err(wrong_name(&now.name, name, name))
}

pub async fn move_to(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
    let _names = api.names.read().await;
    move_now(api, node, parent).await
}

async fn move_now(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
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
    let back = Node {
        parent: node.parent.clone(),
        ..moved
    };
    let encoded = RULES.encode(&node.name)?;
    rename_now(api, &back, &node.name, &encoded).await?;
    Err(exists(&node.name))
}

/// Where a batch call puts things.
fn batch_body(id: &NodeId, parent: &NodeId) -> Value {
    json!({
        "ids": [id.as_str()],
        "to": { "parent_id": wire(parent), "space": "" },
        "space": "",
    })
}

fn batch_call(api: &Api, op: &'static str, verb: &str, body: Value) -> Call {
    let call = Call::post(op, format!("{FILES}:{verb}"), body);
    if api.identity.platform.is_browser() {
        call.query("_from", "")
    } else {
        call
    }
}

/// Moves and waits. A move to where the node is, or into itself, is refused; whether it is where
/// it should be is for the caller to see, who gets the refusal.
async fn batch_move(api: &Api, id: &NodeId, parent: &NodeId) -> Result<Option<DriveError>> {
    let call = || api.call(batch_call(api, "move", "batchMove", batch_body(id, parent)));
    match api.in_folder(parent, call).await {
        Ok(answer) => match api.finish_task(&answer).await {
            Err(error) if error.kind == ErrorKind::Timeout => Ok(Some(error)),
            Err(error) => Err(error),
            Ok(()) => Ok(None),
        },
        // Refused, or the first of two tries did it.
        Err(error)
            if is_named(&error, "file_move_or_copy_to_cur") || error.kind == ErrorKind::Exists =>
        {
            Ok(Some(error))
        }
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
    let _names = api.names.read().await;
    let before = list::all(api, parent, Entries::All).await?;
    if before.iter().any(|file| file["name"] == encoded) {
        return Err(exists(name));
    }
    let before: HashSet<String> = before
        .iter()
        .map(|file| decode::text(&file["id"]))
        .collect();
    let body = batch_body(&node.id, parent);
    let call = || api.call(batch_call(api, "copy", "batchCopy", body.clone()).once());
    let lost = match api.in_folder(parent, call).await {
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
        let after = list::all(api, parent, Entries::All).await?;
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
    let _names = api.names.read().await;
    trash_now(api, node).await
}

async fn trash_now(api: &Api, node: &Node) -> Result<()> {
    let path = format!("{}/trash", file_path(&node.id));
    let call = Call::patch("trash", path, json!({})).query("space", "");
    finish(api, call).await?;
    if let Ok(encoded) = RULES.encode(&node.name) {
        api.freed.insert((node.parent.clone(), encoded), ());
    }
    Ok(())
}

/// Deletes for good something of our own that never was a user's.
pub async fn delete(api: &Api, id: &NodeId) -> Result<()> {
    let body = json!({ "ids": [id.as_str()], "space": "" });
    finish(
        api,
        Call::post("delete", format!("{FILES}:batchDelete"), body),
    )
    .await
}

/// A call on one node that may be gone.
async fn finish(api: &Api, call: Call) -> Result<()> {
    match api.call(call).await {
        Ok(answer) => api.finish_task(&answer).await,
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

pub async fn restore(api: &Api, node: &Node) -> Result<Node> {
    let _names = api.names.read().await;
    let path = format!("{}/untrash", file_path(&node.id));
    let answer = api.call(Call::patch("restore", path, json!({}))).await?;
    api.finish_task(&answer).await?;
    let mut back = list::stat(api, &node.id).await?;
    // It comes back into the root, as one client tells (section 4.5).
    if back.parent != node.parent {
        back = match move_now(api, &back, &node.parent).await {
            // The name, or the number that the root gave it, is taken there.
            Err(error) if error.kind == ErrorKind::Exists => {
                trash_now(api, &back).await?;
                return Err(error);
            }
            other => other?,
        };
    }
    if !is_numbered(&back.name, &node.name) {
        return Ok(back);
    }
    let encoded = RULES.encode(&node.name)?;
    match rename_now(api, &back, &node.name, &encoded).await {
        // The name is taken by something else now: back into the trash.
        Err(error) if error.kind == ErrorKind::Exists => {
            trash_now(api, &back).await?;
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
