//! Directories, renames, moves, copies, trash, and taking over from a share (sheet sections 4.4 to
//! 4.6, 4.8). Nothing here ever replaces: a conflict is told by a code or by a waiting task.

use std::time::Duration;

use serde_json::Value;

use super::api::{Api, Call};
use super::error::may_be_done;
use super::link::Ticket;
use super::list::{self, exists};
use super::names::RULES;

use super::task::{self, Task};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, NodeKind, Result, decode};
use crate::fingerprint::Kind;

pub async fn mkdir(api: &Api, parent: &NodeId, name: &str) -> Result<Node> {
    let encoded = RULES.encode(name)?;
    // The call gives an existing folder back (section 4.4), so it is looked for first.
    list::refuse_taken(api, parent, name).await?;
    let call = Call::post("mkdir", "/createFolder.action")
        .query("parentFolderId", parent.as_str())
        .query("folderName", encoded.as_str())
        .query("relativePath", "")
        .once();
    let answer = match api.call(call).await {
        Ok(answer) => answer,
        Err(error) if may_be_done(&error) => {
            // It was not there before, so a folder of that name now is ours.
            let made = list::find(api, parent, |node| node.is_dir() && node.name == name).await;
            return match made {
                Ok(Some(node)) => Ok(node),
                _ => Err(error),
            };
        }
        Err(error) => return Err(error),
    };
    if answer.get("isNew").is_some_and(|new| !decode::flag(new)) {
        return Err(exists(name));
    }
    let mut node = list::node(&answer, NodeKind::Dir, Some(parent))?;
    if node.name != name {
        discard(api, &node).await;
        return Err(exists(name));
    }
    if node.created == 0 {
        let now = api.now();
        (node.modified, node.created) = (now, now);
    }
    api.dirs.insert(node.id.clone(), ());
    Ok(node)
}

pub async fn rename(api: &Api, node: &Node, name: &str) -> Result<Node> {
    let encoded = RULES.encode(name)?;
    if name == node.name {
        return list::stat(api, &node.id).await;
    }
    let call = if node.is_dir() {
        Call::post("rename", "/renameFolder.action")
            .query("folderId", node.id.as_str())
            .query("destFolderName", encoded)
    } else {
        Call::post("rename", "/renameFile.action")
            .query("fileId", node.id.as_str())
            .query("destFileName", encoded)
    };
    match api.call(call).await {
        Ok(answer) => renamed(api, node, name, &answer).await,
        // It may be its own name, from a call whose answer was lost.
        Err(error) if error.kind == ErrorKind::Exists => match list::stat(api, &node.id).await {
            Ok(now) if now.name == name => Ok(now),
            _ => Err(error),
        },
        Err(error) => Err(error),
    }
}

async fn renamed(api: &Api, node: &Node, name: &str, answer: &Value) -> Result<Node> {
    let told = list::node(answer, node.kind, Some(&node.parent)).ok();
    let whole = |now: &Node| {
        now.id == node.id
            && now.name == name
            && now.size == node.size
            && (now.is_dir() || now.version == node.version)
    };
    let now = match told {
        Some(now) if whole(&now) => now,
        // An answer that leaves out half of the node must not make us forget it.
        _ => list::stat(api, &node.id).await?,
    };
    if now.name == name {
        return Ok(now);
    }
    Err(DriveError::new(
        ErrorKind::Invalid,
        format!("the provider stored {:?} instead of {name:?}", now.name),
    ))
}

pub async fn move_to(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
    if *parent == node.parent {
        return list::stat(api, &node.id).await;
    }
    let encoded = RULES.encode(&node.name)?;
    let task = Task {
        target: Some(parent),
        ..Task::new("MOVE", "move", node, &encoded)
    };
    let made = match task::run(api, &task).await {
        Ok(made) => made,
        // It may be there already, from a task whose answer was lost.
        Err(error) if error.kind == ErrorKind::Exists || may_be_done(&error) => {
            return match list::stat(api, &node.id).await {
                Ok(now) if now.parent == *parent => Ok(now),
                _ => Err(error),
            };
        }
        Err(error) => return Err(error),
    };
    arrived(api, node, &made, parent, &node.name).await
}

/// The node that a task put into `parent`: by its own id, by the id the task told, else by name.
async fn arrived(
    api: &Api,
    node: &Node,
    made: &[NodeId],
    parent: &NodeId,
    name: &str,
) -> Result<Node> {
    let ids = std::iter::once(&node.id).chain(made);
    for id in ids {
        if node.is_dir() {
            api.dirs.insert(id.clone(), ());
        }
        match list::stat(api, id).await {
            Ok(now) if now.parent == *parent && now.name == name => return Ok(now),
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let found = list::find(api, parent, |now| now.name == name && now.kind == node.kind).await?;
    found.ok_or_else(|| DriveError::bad_answer("task", "what it made does not appear"))
}

pub async fn copy(api: &Api, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    if node.is_dir() {
        return Err(DriveError::unsupported("a copy of a directory"));
    }
    let encoded = RULES.encode(name)?;
    list::refuse_taken(api, parent, name).await?;
    let copied = if name == node.name && *parent != node.parent {
        let task = Task {
            target: Some(parent),
            ..Task::new("COPY", "copy", node, &encoded)
        };
        task::run(api, &task).await
    } else {
        // The task knows no new name, this call does (section 4.4).
        let call = Call::post("copy", "/copyFile.action")
            .query("fileId", node.id.as_str())
            .query("destFileName", encoded)
            .query("destParentFolderId", parent.as_str())
            .once();
        api.call(call).await.map(|answer| {
            let id = ["id", "fileId"]
                .iter()
                .find_map(|key| decode::nonempty(&answer[*key]));
            id.map(NodeId::new).into_iter().collect()
        })
    };
    let made = match copied {
        Ok(made) => made,
        // The name was free before: an entry of it with our content is the copy.
        Err(error) if may_be_done(&error) => {
            return appears(api, parent, name, node).await.ok_or(error);
        }
        Err(error) => return Err(error),
    };
    for id in made.iter().filter(|id| **id != node.id) {
        match list::stat(api, id).await {
            Ok(now) if now.parent == *parent && now.name == name => return Ok(now),
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    list::find(api, parent, |now| now.name == name && same(now, node))
        .await?
        .ok_or_else(|| DriveError::bad_answer("copy", "the copy does not appear"))
}

/// What a task made whose answer was lost; it may still be running.
async fn appears(api: &Api, parent: &NodeId, name: &str, of: &Node) -> Option<Node> {
    for pause in [0, 500, 1000, 2000] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let found = list::find(api, parent, |now| now.name == name && same(now, of)).await;
        if let Ok(Some(node)) = found {
            return Some(node);
        }
    }
    None
}

fn same(one: &Node, other: &Node) -> bool {
    let md5 = |node: &Node| {
        node.fingerprints
            .get(Kind::Md5)
            .map(|md5| md5.value.clone())
    };
    one.id != other.id
        && one.kind == other.kind
        && one.size == other.size
        && (md5(one).is_none() || md5(other).is_none() || md5(one) == md5(other))
}

pub async fn trash(api: &Api, node: &Node) -> Result<()> {
    let encoded = RULES.encode(&node.name).unwrap_or_default();
    match task::run(api, &Task::new("DELETE", "trash", node, &encoded)).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        // A task over a node that is gone fails without saying why.
        Err(error) if may_be_done(&error) => match list::stat(api, &node.id).await {
            Err(gone) if gone.kind == ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Removes for good something of our own that never was a user's. What cannot be purged stays in
/// the trash, what cannot be trashed is told by the log.
pub async fn discard(api: &Api, node: &Node) {
    if let Err(error) = trash(api, node).await {
        tracing::warn!(%error, id = %node.id, "an own leftover stays at the provider");
        return;
    }
    let encoded = RULES.encode(&node.name).unwrap_or_default();
    let purge = Task::new("CLEAR_RECYCLE", "purge", node, &encoded);
    if let Err(error) = task::run(api, &purge).await {
        tracing::debug!(%error, id = %node.id, "an own leftover stays in the trash");
    }
}

pub async fn restore(api: &Api, node: &Node) -> Result<Node> {
    let encoded = RULES.encode(&node.name)?;
    let task = Task {
        parent: Some(&node.parent),
        ..Task::new("RESTORE", "restore", node, &encoded)
    };
    match task::run(api, &task).await {
        Ok(made) => arrived(api, node, &made, &node.parent, &node.name).await,
        Err(error) if may_be_done(&error) => match list::stat(api, &node.id).await {
            Ok(now) => Ok(now),
            Err(_) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Takes a share's node over (section 4.8). The task keeps the share's name; another one is given
/// afterwards, by id.
pub async fn save_shared(
    api: &Api,
    shared: &Node,
    ticket: &Ticket,
    parent: &NodeId,
    name: &str,
) -> Result<Node> {
    RULES.encode(name)?;
    let theirs = RULES.decode(&ticket.name);
    list::refuse_taken(api, parent, name).await?;
    if theirs != name
        && list::find(api, parent, |node| node.name == theirs)
            .await?
            .is_some()
    {
        return Err(DriveError::unsupported(
            "taking a share's file over beside one of its name",
        ));
    }
    let task = Task {
        kind: "SHARE_SAVE",
        op: "save",
        id: &ticket.file_id,
        name: &ticket.name,
        is_dir: shared.is_dir(),
        parent: None,
        target: Some(parent),
        share_id: Some(&ticket.share_id),
    };
    let saved = match task::run(api, &task).await {
        Ok(made) => {
            let mine = |node: &Node| node.name == theirs && node.kind == shared.kind;
            let by_id = match made.first() {
                Some(id) => list::stat(api, id)
                    .await
                    .ok()
                    .filter(|node| node.parent == *parent && mine(node)),
                None => None,
            };
            match by_id {
                Some(node) => node,
                // The ids are left out sometimes, and may be those of what is inside.
                None => list::find(api, parent, mine)
                    .await?
                    .ok_or_else(|| DriveError::bad_answer("save", "the copy does not appear"))?,
            }
        }
        // The name was free before: what has it now is what was saved.
        Err(error) if may_be_done(&error) => {
            appears(api, parent, &theirs, shared).await.ok_or(error)?
        }
        // Neither a limit on takings-over nor a door that does not know them is a verdict on the
        // file, whose MD5 is known: a fast upload does without the task.
        Err(error)
            if !shared.is_dir()
                && matches!(error.kind, ErrorKind::DailyLimit | ErrorKind::Invalid) =>
        {
            return Err(DriveError {
                kind: ErrorKind::Unsupported,
                ..error
            });
        }
        Err(error) => return Err(error),
    };
    if theirs == name {
        return Ok(saved);
    }
    match rename(api, &saved, name).await {
        Ok(node) => Ok(node),
        Err(error) => {
            discard(api, &saved).await;
            Err(error)
        }
    }
}
