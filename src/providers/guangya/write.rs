//! Directories, renames, moves, copies, trash (sheet sections 4.4 to 4.6, 9).
//!
//! Whether a move or a copy onto a taken name is refused or renamed is inferred only: the target is
//! listed before, the outcome is looked at behind, and a numbered one is taken back.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, Call, wire};
use super::error::may_be_done;
use super::list;
use super::names::{RULES, is_numbered};
use super::task;
use crate::drive::{DriveError, ErrorKind, Node, NodeId, NodeKind, Result, decode};
use crate::fingerprint::Kind;

/// Looks at what a task made that is not listed at once.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Clocks may differ by this when an own entry is looked for; times are whole seconds.
pub const SKEW_MS: i64 = 60_000;

pub async fn mkdir(api: &Api, parent: &NodeId, name: &str) -> Result<Node> {
    let stored = RULES.encode(name)?;
    let since = api.now();
    let body = json!({ "parentId": wire(parent), "dirName": stored, "failIfNameExist": true });
    let call = Call::new("mkdir", "/userres/v1/file/create_dir", body).once();
    let made = match api.call(call).await {
        Ok(data) => made_dir(api, parent, name, &stored, data),
        // The answer was lost: a directory of that name that is as young as the call is ours.
        Err(error) if may_be_done(&error) => {
            let own = list::find(api, parent, |node| {
                node.is_dir() && node.name == name && node.created >= since.saturating_sub(SKEW_MS)
            });
            own.await.map_err(|_| error.clone())?.ok_or(error)
        }
        Err(error) => Err(error),
    }?;
    let got = RULES.encode(&made.name)?;
    if got != stored {
        trash(api, &made).await?;
        return Err(wrong_name(&got, &stored, name));
    }
    api.fresh.insert(made.id.clone(), ());
    Ok(made)
}

/// The directory of an answer; what it leaves out is known from the request.
fn made_dir(api: &Api, parent: &NodeId, name: &str, stored: &str, mut data: Value) -> Result<Node> {
    if decode::nonempty(&data["fileId"]).is_none() {
        return Err(DriveError::bad_answer(
            "mkdir",
            format!("no id for {name:?}"),
        ));
    }
    if decode::nonempty(&data["fileName"]).is_none() {
        data["fileName"] = json!(stored);
    }
    data["resType"] = json!(2);
    let mut node = list::node(&data, Some(parent))?;
    if node.created == 0 {
        let now = api.now();
        (node.modified, node.created) = (now, now);
    }
    Ok(node)
}

pub async fn rename(api: &Api, node: &Node, name: &str) -> Result<Node> {
    let stored = RULES.encode(name)?;
    if name == node.name {
        return list::stat(api, &node.id).await;
    }
    send_rename(api, &node.id, name, &stored).await?;
    let now = list::stat(api, &node.id).await?;
    if now.name == name {
        return Ok(now);
    }
    // Another name than asked for: back to the old one, as well as it goes.
    let got = RULES.encode(&now.name)?;
    if let Ok(old) = RULES.encode(&node.name)
        && old != got
        && let Err(error) = send_rename(api, &node.id, &node.name, &old).await
    {
        tracing::warn!(id = %node.id, %error, "a rename that went wrong was not taken back");
    }
    Err(wrong_name(&got, &stored, name))
}

async fn send_rename(api: &Api, id: &NodeId, name: &str, stored: &str) -> Result<()> {
    let body = json!({ "fileId": id.as_str(), "newName": stored });
    let call = Call::new("rename", "/userres/v1/file/rename", body);
    match api.call(call).await {
        Ok(_) => Ok(()),
        // Perhaps it has this name already, from a call whose answer was lost.
        Err(error) if error.kind == ErrorKind::Exists => match list::stat(api, id).await {
            Ok(now) if now.name == name => Ok(()),
            _ => Err(error),
        },
        Err(error) => Err(error),
    }
}

pub async fn move_to(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
    if *parent == node.parent {
        return list::stat(api, &node.id).await;
    }
    let taken = list::find(api, parent, |other| {
        other.name == node.name && other.id != node.id
    });
    if taken.await?.is_some() {
        return Err(exists(&node.name));
    }
    let lost = match relocate(api, &node.id, parent).await {
        Ok(()) => None,
        Err(error) if may_be_done(&error) => Some(error),
        Err(error) => return Err(error),
    };
    let moved = list::stat(api, &node.id).await?;
    if moved.parent != *parent {
        return Err(lost.unwrap_or_else(|| {
            DriveError::new(ErrorKind::Timeout, "the provider has not moved it yet")
        }));
    }
    if moved.name == node.name {
        return Ok(moved);
    }
    // It came out under another name: back to where it was, as it was.
    relocate(api, &node.id, &node.parent).await?;
    let got = RULES.encode(&moved.name)?;
    let stored = RULES.encode(&node.name)?;
    send_rename(api, &node.id, &node.name, &stored).await?;
    Err(wrong_name(&got, &stored, &node.name))
}

async fn relocate(api: &Api, id: &NodeId, parent: &NodeId) -> Result<()> {
    let body = json!({ "fileIds": [id.as_str()], "parentId": wire(parent) });
    // A second move onto itself may come out under another name.
    let call = Call::new("move", "/userres/v1/file/move_file", body).once();
    let data = api.call(call).await?;
    task::finish(api, &data).await
}

pub async fn copy(api: &Api, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    if node.is_dir() || name != node.name || *parent == node.parent {
        return Err(DriveError::unsupported(
            "a server-side copy under another name or into the same directory",
        ));
    }
    let stored = RULES.encode(name)?;
    let before = list::all(api, parent).await?;
    if before.iter().any(|other| other.name == name) {
        return Err(exists(name));
    }
    let before: HashSet<NodeId> = before.into_iter().map(|other| other.id).collect();
    let body = json!({ "fileIds": [node.id.as_str()], "parentId": wire(parent) });
    let call = Call::new("copy", "/userres/v1/file/copy_file", body).once();
    let done = match api.call(call).await {
        Ok(data) => task::finish(api, &data).await,
        Err(error) => Err(error),
    };
    let lost = match done {
        Ok(()) => None,
        Err(error) if may_be_done(&error) => Some(error),
        Err(error) => return Err(error),
    };
    // The answer names no new id: the target is listed again.
    let mut pauses = PAUSES.into_iter();
    loop {
        let after = list::all(api, parent).await?;
        let mut copies = after.into_iter().filter(|other| {
            let named = RULES
                .encode(&other.name)
                .is_ok_and(|got| got == stored || is_numbered(&got, &stored));
            named && !before.contains(&other.id) && same_content(other, node)
        });
        match (copies.next(), copies.next()) {
            (Some(copy), None) if copy.name == name => return Ok(copy),
            (Some(copy), None) => {
                trash(api, &copy).await?;
                return Err(exists(name));
            }
            (Some(_), Some(_)) => {
                return Err(DriveError::new(
                    ErrorKind::Provider,
                    "somebody else copied the same file there; which copy is ours is unknown",
                ));
            }
            (None, _) => match pauses.next() {
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

/// Whether a file may be a copy of another: a fresh one has no gcid yet.
fn same_content(copy: &Node, of: &Node) -> bool {
    let gcid = |node: &Node| {
        let known = node.fingerprints.get(Kind::Gcid);
        known.map(|known| known.value.clone())
    };
    let differ = match (gcid(copy), gcid(of)) {
        (Some(copy), Some(of)) => copy != of,
        _ => false,
    };
    copy.kind == NodeKind::File && copy.size == of.size && !differ
}

/// Moves a node to the trash. The same call on something in the trash removes it for good
/// (section 4.4), so it is looked at before, and a lost answer is never followed by a second call.
pub async fn trash(api: &Api, node: &Node) -> Result<()> {
    let there = match list::stat(api, &node.id).await {
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
        there => there?,
    };
    let body = json!({ "fileIds": [node.id.as_str()] });
    let call = Call::new("trash", "/userres/v1/file/delete_file", body).once();
    let done = match api.call(call).await {
        Ok(data) => task::finish(api, &data).await,
        Err(error) => Err(error),
    };
    match done {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        // What is in its directory no more is gone, whatever became of the answer.
        Err(error) if may_be_done(&error) => {
            match list::find(api, &there.parent, |other| other.id == node.id).await {
                Ok(None) => Ok(()),
                Err(gone) if gone.kind == ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }
        }
        other => other,
    }
}

pub async fn restore(api: &Api, node: &Node) -> Result<Node> {
    let body = json!({ "fileIds": [node.id.as_str()] });
    let call = Call::new("restore", "/userres/v1/file/recycle_file", body).once();
    let done = match api.call(call).await {
        Ok(data) => task::finish(api, &data).await,
        Err(error) => Err(error),
    };
    match done {
        Err(error) if !may_be_done(&error) => return Err(error),
        _ => {}
    }
    let mut back = match (list::stat(api, &node.id).await, done) {
        (Err(_), Err(error)) => return Err(error),
        (back, _) => back?,
    };
    // Where it comes back to is not documented.
    if back.parent != node.parent {
        back = match move_to(api, &back, &node.parent).await {
            Ok(back) => back,
            Err(error) => return put_back(api, &back, error).await,
        };
    }
    if back.name == node.name {
        return Ok(back);
    }
    match rename(api, &back, &node.name).await {
        Ok(back) => Ok(back),
        Err(error) => put_back(api, &back, error).await,
    }
}

/// The place or the name is taken by something else now: back into the trash.
async fn put_back(api: &Api, node: &Node, error: DriveError) -> Result<Node> {
    if error.kind == ErrorKind::Exists {
        trash(api, node).await?;
    }
    Err(error)
}

/// The error for a taken name.
pub fn exists(name: &str) -> DriveError {
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
        let file = |size: u64, gcid: &str| {
            let entry =
                json!({"fileId":"1","fileName":"a","fileSize":size,"resType":1,"gcid":gcid});
            list::node(&entry, None).unwrap()
        };
        let gcid = "3FC0617C331816DA4EE9C19C6F532F2D6D4FD6CC";
        let of = file(6, gcid);
        assert!(same_content(&file(6, &gcid.to_lowercase()), &of));
        assert!(same_content(&file(6, ""), &of));
        assert!(!same_content(&file(7, gcid), &of));
        assert!(!same_content(&file(6, &"0".repeat(40)), &of));
    }
}
