//! Directories, renames, moves, copies, trash (sheet sections 4.5 to 4.8).
//!
//! The server hardly ever refuses a taken name: it numbers, or makes a second entry. So the
//! directory is listed first, and the result is looked at afterwards.

use std::time::Duration;

use serde_json::Value;

use super::api::may_have_happened;
use super::door::Door;
use super::errors::{code_of, message_of, refusal};
use super::names::{RULES, extension};
use super::nodes::{self, Entry};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, NodeKind, Result, decode};
use crate::fingerprint::Kind;

/// Moves and copies of big trees go on behind; their result is waited for this many seconds.
const ROUNDS: u32 = 10;

pub async fn mkdir(door: &dyn Door, parent: &NodeId, name: &str) -> Result<Node> {
    let encoded = RULES.encode(name)?;
    nodes::refuse_taken(door, parent, name, None).await?;
    let answer = match door.make_dir(parent, &encoded).await {
        Ok(answer) => answer,
        Err(error) if may_have_happened(&error) => {
            // The name was free before: what has it now is ours.
            let made = made_dir(door, parent, name).await?;
            return made.ok_or(error);
        }
        Err(error) => return Err(error),
    };
    let Some(id) = answer.id else {
        let made = made_dir(door, parent, name).await?;
        return made.ok_or_else(|| DriveError::bad_answer("mkdir", "no file_id"));
    };
    let stored = answer.name.unwrap_or_else(|| encoded.clone());
    // A spelling of the answer's own must not cost the directory: the node decides.
    if stored != encoded && nodes::stat(door, &NodeId::new(id.as_str())).await?.name != name {
        trash_id(door, &NodeId::new(id), parent).await?;
        return Err(nodes::taken_error(name));
    }
    let now = door.client().clock().now_ms();
    Ok(nodes::build(Entry {
        id,
        parent: parent.clone(),
        name: &encoded,
        kind: NodeKind::Dir,
        size: 0,
        modified: now,
        created: now,
        sha1: "",
        handle: None,
        raw: None,
    }))
}

async fn made_dir(door: &dyn Door, parent: &NodeId, name: &str) -> Result<Option<Node>> {
    for round in 0..3 {
        if round > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let found = nodes::select(door, parent, |node| node.is_dir() && node.name == name).await?;
        if let Some(node) = found.into_iter().next() {
            return Ok(Some(node));
        }
    }
    Ok(None)
}

pub async fn rename(door: &dyn Door, node: &Node, name: &str) -> Result<Node> {
    let encoded = RULES.encode(name)?;
    let old = RULES.encode(&node.name)?;
    if encoded == old {
        return nodes::stat(door, &node.id).await;
    }
    if !node.is_dir() && extension(&encoded) != extension(&old) {
        return Err(DriveError::unsupported("changing the extension of a file"));
    }
    nodes::refuse_taken(door, &node.parent, name, Some(&node.id)).await?;
    // A rename of something deleted reports success (section 4.6).
    let now = nodes::stat(door, &node.id).await?;
    let stored = door.set_name(&node.id, &encoded).await?;
    let stored = match stored {
        Some(stored) if stored == encoded => stored,
        // Missing, or perhaps only spelled in another way: the node decides.
        _ => RULES.encode(&nodes::stat(door, &node.id).await?.name)?,
    };
    if stored == encoded {
        return Ok(Node {
            name: name.to_owned(),
            ..now
        });
    }
    // A numbered name, or the extension was put back: neither is what was asked for.
    door.set_name(&node.id, &old).await?;
    if extension(&stored) == extension(&encoded) && stored != old {
        Err(nodes::taken_error(name))
    } else {
        Err(DriveError::new(
            ErrorKind::Unsupported,
            format!("the provider stored {stored:?} instead of {encoded:?}"),
        ))
    }
}

pub async fn move_to(door: &dyn Door, node: &Node, parent: &NodeId) -> Result<Node> {
    // Listing the target also proves that it exists: a move elsewhere loses the node.
    nodes::refuse_taken(door, parent, &node.name, Some(&node.id)).await?;
    let before = nodes::stat(door, &node.id).await?;
    if before.parent == *parent {
        return Ok(before);
    }
    door.send_move(&node.id, parent).await?;
    let after = settled(door, &node.id, parent).await?;
    if after.name == before.name {
        return Ok(after);
    }
    // Somebody took the name meanwhile and ours was numbered: back to where it was.
    door.require_dir(&before.parent).await?;
    door.send_move(&node.id, &before.parent).await?;
    door.set_name(&node.id, &RULES.encode(&before.name)?)
        .await?;
    Err(nodes::taken_error(&node.name))
}

/// The node once it is seen in `parent`.
async fn settled(door: &dyn Door, id: &NodeId, parent: &NodeId) -> Result<Node> {
    for _ in 0..ROUNDS {
        let node = nodes::stat(door, id).await?;
        if node.parent == *parent {
            return Ok(node);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(DriveError::new(
        ErrorKind::Provider,
        "move: the provider accepted it but does not show the node in its new place",
    ))
}

pub async fn copy(door: &dyn Door, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    if node.is_dir() || name != node.name || *parent == node.parent {
        return Err(DriveError::unsupported(
            "a server-side copy under another name or in the same directory",
        ));
    }
    // The answer names no id: what is there before is needed to tell the copy apart.
    let same = |entry: &Node| {
        entry.name == name
            || (!entry.is_dir()
                && entry.size == node.size
                && entry.fingerprints.get(Kind::Sha1).map(|known| &known.value)
                    == node.fingerprints.get(Kind::Sha1).map(|known| &known.value))
    };
    let before = nodes::select(door, parent, same).await?;
    if before.iter().any(|entry| entry.name == name) {
        return Err(nodes::taken_error(name));
    }
    let sent = door.send_copy(&node.id, parent).await;
    let lost = match sent {
        Ok(_) => None,
        Err(error) if may_have_happened(&error) => Some(error),
        Err(error) => return Err(error),
    };
    let rounds = if lost.is_some() { 3 } else { ROUNDS };
    for round in 0..rounds {
        if round > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let now = nodes::select(door, parent, same).await?;
        let mut new = now
            .into_iter()
            .filter(|entry| before.iter().all(|old| old.id != entry.id));
        match new.next() {
            Some(copied) if copied.name == name => return Ok(copied),
            Some(numbered) if is_numbered(&numbered.name, name) => {
                trash_id(door, &numbered.id, parent).await?;
                return Err(nodes::taken_error(name));
            }
            _ => {}
        }
    }
    Err(lost.unwrap_or_else(|| {
        DriveError::new(
            ErrorKind::Provider,
            "copy: the provider accepted it but does not show the copy",
        )
    }))
}

/// Whether `name` is `wanted` with a number before the extension, as `foo(1).txt`.
fn is_numbered(name: &str, wanted: &str) -> bool {
    let (stem, end) = match wanted.rsplit_once('.') {
        Some((stem, end)) => (stem, format!(".{end}")),
        None => (wanted, String::new()),
    };
    name.strip_prefix(stem)
        .and_then(|rest| rest.strip_suffix(end.as_str()))
        .and_then(|rest| rest.trim().strip_prefix('(')?.strip_suffix(')'))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

pub async fn trash(door: &dyn Door, node: &Node) -> Result<()> {
    trash_id(door, &node.id, &node.parent).await
}

/// Trashes by id; what is gone already is a success.
pub async fn trash_id(door: &dyn Door, id: &NodeId, parent: &NodeId) -> Result<()> {
    let sent = door.send_trash(id, parent).await;
    match sent {
        Ok(_) => {}
        Err(error) if error.kind == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    door.trashed().insert(id.clone(), ());
    Ok(())
}

/// Brings a node back. Trash entries carry the node's id in the sheet's sample; where a server
/// numbers them by itself the entry is found by its pick code.
pub async fn restore(door: &dyn Door, node: &Node) -> Result<Node> {
    if let Err(error) = door.revert(node.id.as_str()).await {
        match entry_of(door, node).await? {
            Some(entry) if entry != node.id.as_str() => door.revert(&entry).await?,
            Some(_) => return Err(error),
            // Not in the trash: perhaps an earlier call brought it back.
            None => {}
        }
    }
    for round in 0..3 {
        if round > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let mut back = nodes::select(door, &node.parent, |entry| {
            entry.id == node.id || (entry.handle.is_some() && entry.handle == node.handle)
        })
        .await?;
        if let Some(back) = back.pop() {
            door.trashed().invalidate(&node.id);
            return Ok(back);
        }
    }
    Err(DriveError::not_found(format!("trashed node {}", node.id)))
}

/// The verdict on one entry of a restore; an answer without one counts as done and is checked
/// by looking for the node.
pub fn reverted(data: &Value, entry: &str) -> Result<()> {
    let told = &data[entry];
    if told.is_object() && !decode::flag(&told["state"]) {
        return Err(refusal("restore", &code_of(told), &message_of(told)));
    }
    Ok(())
}

/// The id of the trash entry that holds `node`.
async fn entry_of(door: &dyn Door, node: &Node) -> Result<Option<String>> {
    let mut offset = 0_u64;
    loop {
        let bin = door.bin(offset).await?;
        for (id, code) in &bin.entries {
            if id == node.id.as_str() || (code.is_some() && *code == node.handle) {
                return Ok(Some(id.clone()));
            }
        }
        offset = offset.saturating_add(bin.entries.len() as u64);
        if bin.entries.is_empty() || offset >= bin.count {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbered_names_are_known() {
        assert!(is_numbered("foo(1).txt", "foo.txt"));
        assert!(is_numbered("foo (12).txt", "foo.txt"));
        assert!(is_numbered("foo(3)", "foo"));
        for other in [
            "foo.txt",
            "foo(a).txt",
            "foo().txt",
            "bar(1).txt",
            "foo(1).md",
        ] {
            assert!(!is_numbered(other, "foo.txt"), "{other}");
        }
    }

    #[test]
    fn the_verdict_on_one_restored_entry() {
        let told = json!({"7":{"state":true,"error":"","errno":0},
            "8":{"state":false,"error":"gone","errno":231011}});
        assert!(reverted(&told, "7").is_ok());
        assert_eq!(reverted(&told, "8").unwrap_err().kind, ErrorKind::NotFound);
        assert!(reverted(&json!([]), "7").is_ok());
    }
}
