//! Directories, renames, moves, copies, deletes (sheet sections 4 and 9).
//!
//! What a rename does when the name is taken is the rule of the provider behind the account. So
//! this driver looks first, and takes a name that the server made up back.

use std::time::Duration;

use super::api::{Api, done};
use super::error::is_uncertain;
use super::list::{appeared, look, refuse_taken, stat};
use super::message::{
    CopyFileRequest, CreateFolderRequest, CreateFolderResult, FileOperationResult, FileRequest,
    MoveFileRequest, RenameFileRequest, SKIP,
};
use super::names::{self, RULES, TOP};
use super::wire::Call;
use crate::drive::{DriveError, ErrorKind, Node, NodeId, NodeKind, Result, patience};
use crate::net::{Retry, retry};

const MKDIR: Call = Call::once("mkdir", "CreateFolder");
const RENAME: Call = Call::once("rename", "RenameFile");
const MOVE: Call = Call::once("move", "MoveFile").deadline(LONG);
const COPY: Call = Call::once("copy", "CopyFile").deadline(LONG);
const DELETE: Call = Call::once("delete", "DeleteFile");

/// The provider works on whole trees.
const LONG: Duration = Duration::from_secs(300);

/// Own changes are visible at once (section 9); this is for servers that need a moment.
const MOMENT: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// Clocks of two machines are this far apart at most.
const SKEW_MS: i64 = 60_000;

fn exists(name: &str) -> DriveError {
    DriveError::new(ErrorKind::Exists, format!("{name:?} exists already"))
}

/// # Errors
/// `Exists` when the name is taken.
pub async fn mkdir(api: &Api, parent: &NodeId, name: &str) -> Result<Node> {
    let encoded = RULES.encode(name)?;
    let path = names::join(parent.as_str(), &encoded);
    let before = api.now().saturating_sub(SKEW_MS);
    let request = CreateFolderRequest {
        parent_path: parent.as_str().to_owned(),
        folder_name: encoded.clone(),
    };
    let made: CreateFolderResult = match api.call(&MKDIR, request).await {
        Ok(made) => made,
        Err(error) if is_uncertain(&error) => {
            // The answer is lost: a directory that is not older than the call is ours.
            return match look(api, &path).await? {
                Some(node) if node.is_dir() && node.created >= before => Ok(node),
                _ => Err(error),
            };
        }
        Err(error) => return Err(error),
    };
    done(MKDIR.op, made.result.unwrap_or_default())?;
    let made = made.folder_created.unwrap_or_default();
    if !made.name.is_empty() && made.name != encoded {
        // The provider numbered it: nothing is in it, and nobody knows of it.
        let numbered = names::join(parent.as_str(), &made.name);
        if let Some(node) = look(api, &numbered).await? {
            trash(api, &node).await?;
        }
        return Err(exists(name));
    }
    match super::list::node(&made, parent.as_str()) {
        Some(node) if node.is_dir() => Ok(node),
        _ => appeared(api, &path, &MOMENT).await,
    }
}

/// # Errors
/// `Exists` when the name is taken.
pub async fn rename(api: &Api, node: &Node, name: &str) -> Result<Node> {
    let encoded = RULES.encode(name)?;
    let from = node.id.as_str();
    let to = names::join(names::parent(from), &encoded);
    if to == from {
        return stat(api, &node.id).await;
    }
    if let Some(taken) = look(api, &to).await?
        // On a provider that ignores case the entry itself answers to its new spelling.
        && taken.id != node.id
    {
        return Err(exists(name));
    }
    let request = RenameFileRequest {
        the_file_path: from.to_owned(),
        new_name: encoded.clone(),
    };
    let result: FileOperationResult = match api.call(&RENAME, request).await {
        Ok(result) => result,
        Err(error) if is_uncertain(&error) => return arrived(api, node, &to, error).await,
        Err(error) => return Err(error),
    };
    let paths = done(RENAME.op, result)?;
    if let Some(other) = numbered(&paths, &to) {
        let back = RenameFileRequest {
            the_file_path: other.clone(),
            new_name: names::leaf(from).to_owned(),
        };
        let result: FileOperationResult = api.call(&RENAME, back).await?;
        done(RENAME.op, result)?;
        return Err(exists(name));
    }
    appeared(api, &to, &MOMENT).await
}

/// The path that the server made instead of the wanted one, in the same directory.
fn numbered<'a>(paths: &'a [String], wanted: &str) -> Option<&'a String> {
    let only = paths.first().filter(|_| paths.len() == 1)?;
    let beside = names::parent(only) == names::parent(wanted);
    (beside && only.to_lowercase() != wanted.to_lowercase()).then_some(only)
}

/// After a lost answer: whether what was to be moved is gone from its place and at the other.
async fn arrived(api: &Api, node: &Node, to: &str, error: DriveError) -> Result<Node> {
    if look(api, node.id.as_str()).await?.is_some() {
        return Err(error);
    }
    match look(api, to).await? {
        Some(there) if there.kind == node.kind && there.size == node.size => Ok(there),
        _ => Err(error),
    }
}

/// # Errors
/// `Exists` when the name is taken there, `Unsupported` between two accounts: the server makes
/// a task of that which reads and writes all bytes (section 4).
pub async fn move_to(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
    let from = node.id.as_str();
    let to = names::join(parent.as_str(), names::leaf(from));
    if to == from {
        return stat(api, &node.id).await;
    }
    one_account(from, parent, "a move between two accounts")?;
    refuse_taken(api, &to).await?;
    let request = MoveFileRequest {
        the_file_paths: vec![from.to_owned()],
        dest_path: parent.as_str().to_owned(),
        conflict_policy: Some(SKIP),
        move_across_clouds: Some(false),
        handle_conflict_recursively: None,
    };
    let result: FileOperationResult = match api.call(&MOVE, request).await {
        Ok(result) => result,
        Err(error) if is_uncertain(&error) => return arrived(api, node, &to, error).await,
        Err(error) => return Err(error),
    };
    let paths = done(MOVE.op, result)?;
    if !paths.contains(&to) && look(api, from).await?.is_some() {
        // Somebody took the name since we looked: it was skipped.
        return Err(exists(&node.name));
    }
    appeared(api, &to, &MOMENT).await
}

fn one_account(from: &str, to: &NodeId, what: &str) -> Result<()> {
    if names::account(from) == names::account(to.as_str()) && to.as_str() != TOP {
        Ok(())
    } else {
        Err(DriveError::unsupported(what))
    }
}

/// # Errors
/// `Exists` when the name is taken, `Unsupported` for another name or account.
pub async fn copy(api: &Api, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    let from = node.id.as_str();
    let encoded = RULES.encode(name)?;
    if encoded != names::leaf(from) || names::parent(from) == parent.as_str() {
        return Err(DriveError::unsupported("a copy under another name"));
    }
    one_account(from, parent, "a copy between two accounts")?;
    let to = names::join(parent.as_str(), &encoded);
    refuse_taken(api, &to).await?;
    let request = CopyFileRequest {
        the_file_paths: vec![from.to_owned()],
        dest_path: parent.as_str().to_owned(),
        conflict_policy: Some(SKIP),
        handle_conflict_recursively: None,
    };
    match api.call::<_, FileOperationResult>(&COPY, request).await {
        Ok(result) => {
            done(COPY.op, result)?;
        }
        Err(error) if is_uncertain(&error) => {
            return match look(api, &to).await? {
                Some(there) if there.kind == node.kind && there.size == node.size => Ok(there),
                _ => Err(error),
            };
        }
        Err(error) => return Err(error),
    }
    let copy = appeared(api, &to, &MOMENT).await?;
    if copy.kind == NodeKind::File && copy.size != node.size {
        return Err(DriveError::new(
            ErrorKind::Verification,
            format!(
                "copy: {} bytes where {} were expected",
                copy.size, node.size
            ),
        ));
    }
    Ok(copy)
}

/// A hash that the server learned since changes the version, but neither size nor time.
fn is_same(there: &Node, known: &Node) -> bool {
    there.kind == known.kind
        && (known.is_dir()
            || there.version == known.version
            || ((there.size, there.modified) == (known.size, known.modified)
                && !there.fingerprints.contradicts(&known.fingerprints)))
}

/// Deletes what `node` is, and nothing else: by now another file may have its path.
///
/// # Errors
/// `Changed` when another content, or another kind of entry, is there.
pub async fn trash(api: &Api, node: &Node) -> Result<()> {
    retry(patience(), || async {
        let Some(there) = look(api, node.id.as_str()).await? else {
            return Ok(());
        };
        if !is_same(&there, node) {
            return Err(DriveError::new(
                ErrorKind::Changed,
                format!("{:?} is another file by now; it is not deleted", node.name),
            ));
        }
        let request = FileRequest {
            path: node.id.as_str().to_owned(),
            force_refresh: None,
        };
        match api.once::<_, FileOperationResult>(&DELETE, request).await {
            Ok(result) => match done(DELETE.op, result) {
                Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
                outcome => outcome.map(drop),
            },
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            // Looked at again before it is sent again.
            Err(error) if is_uncertain(&error) => Err(error.retry(Retry::Backoff)),
            Err(error) => Err(error),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_name_is_seen() {
        let paths = |text: &str| vec![text.to_owned()];
        assert_eq!(
            numbered(&paths("/a/x(1)"), "/a/x").map(String::as_str),
            Some("/a/x(1)")
        );
        assert_eq!(numbered(&paths("/a/x"), "/a/x"), None);
        // Another directory is an alias of the path, not another name.
        assert_eq!(numbered(&paths("/real/x"), "/a/x"), None);
        assert_eq!(numbered(&[], "/a/x"), None);
    }

    #[test]
    fn accounts_are_told_apart_by_their_mount_name() {
        assert!(one_account("/115/a", &NodeId::new("/115/b"), "x").is_ok());
        assert!(one_account("/115/a", &NodeId::new("/pikpak"), "x").is_err());
        assert!(one_account("/115/a", &NodeId::new("/"), "x").is_err());
    }
}
