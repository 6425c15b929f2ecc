//! Names: temporary ones, the way to the last one, and the clean-up of what a transfer left. Ids, never names, are
//! deleted, and only ids that our own journal names.

use super::destination::Place;
use super::record::Replaced;
use crate::content::Volume;
use crate::drive::{ErrorKind, Node, NodeId, Result, UploadSession};

const PREFIX: &str = "panfuse-tmp-";

/// A temporary name with the same extension, this instance's id and a part of the transfer's id.
/// It has no leading dot: for some providers everything after the last dot is the extension.
pub fn temporary_name(name: &str, instance: &str, id: &str, max_bytes: usize) -> String {
    let id: String = id.chars().take(8).collect();
    let prefix = format!("{PREFIX}{instance}-{id}-");
    let room = max_bytes.saturating_sub(prefix.len()).max(16);
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if name.len() - dot < room => name.split_at(dot),
        _ => (name, ""),
    };
    let mut keep = stem.len().min(room - extension.len());
    while !stem.is_char_boundary(keep) {
        keep -= 1;
    }
    format!("{prefix}{}{extension}", &stem[..keep])
}

/// Whether a name is one of ours (of any instance) for uploads and swaps under way.
pub fn is_temporary_name(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.split('-').count() >= 3)
}

/// The fresh node, waiting for it as long as the drive declares that writes may be invisible, and a
/// quarter longer: the lag counts from the moment of the write there, not from its answer here.
///
/// # Errors
/// `NotFound` when it stays invisible.
pub async fn fresh(volume: &Volume, id: &NodeId) -> Result<Node> {
    let lag = volume.capabilities().listing_lag_ms;
    let lag = lag.saturating_add(lag / 4);
    let mut waited = 0;
    loop {
        match volume.drive.stat(id).await {
            Err(error) if error.kind == ErrorKind::NotFound && waited < lag => {
                let pause = 500.min(lag - waited).max(50);
                waited += pause;
                tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            }
            other => return other,
        }
    }
}

/// Brings a verified node to its place when it is not there (the destination was renamed or moved).
/// `aside` is a name that the journal knows, for the way into a directory that has its old name.
///
/// # Errors
/// `Exists` when somebody else holds the name by now.
pub async fn settle(
    volume: &Volume,
    mut node: Node,
    place: &Place,
    aside: Option<&str>,
) -> Result<Node> {
    let drive = &volume.drive;
    if node.parent != place.parent {
        node = match (drive.move_to(&node, &place.parent).await, aside) {
            (Err(error), Some(aside))
                if error.kind == ErrorKind::Exists && node.name != place.name =>
            {
                // The directory has another file with the name that it has now.
                let moving = drive.rename(&node, aside).await?;
                match drive.move_to(&moving, &place.parent).await {
                    Ok(moved) => moved,
                    Err(error) => {
                        drive.rename(&moving, &node.name).await?;
                        return Err(error);
                    }
                }
            }
            (moved, _) => moved?,
        };
    }
    if node.name != place.name {
        let version = node.version.clone();
        node = drive.rename(&node, &place.name).await?;
        if node.version != version {
            // The answer of a rename may lack the hash that names the version.
            node = fresh(volume, &node.id).await?;
        }
    }
    Ok(node)
}

/// Trashes a node if it still has this version. A directory's version may change with what is in
/// it: for one, whoever asks has seen that it is empty.
///
/// # Errors
/// Those of the drive; another version is left alone without an error.
pub async fn trash_exactly(volume: &Volume, node: &Replaced) -> Result<()> {
    match volume.drive.stat(&node.id).await {
        Ok(now) if now.is_dir() || now.version == node.version => volume.drive.trash(&now).await,
        Ok(_) => {
            tracing::warn!(id = %node.id, "not trashed: it has another version by now");
            Ok(())
        }
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes what a transfer left at the provider.
///
/// # Errors
/// When something could not be removed; the journal keeps it for the next start.
pub async fn clean(
    volume: &Volume,
    session: Option<&UploadSession>,
    created: Option<&NodeId>,
) -> Result<()> {
    if let Some(session) = session {
        volume.drive.abandon_upload(session).await?;
    }
    if let Some(id) = created {
        match volume.drive.stat(id).await {
            Ok(node) => volume.drive.trash(&node).await?,
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_name_keeps_the_extension() {
        let name = temporary_name("film (1).mkv", "ab12", "0123456789abcdef", 255);
        assert_eq!(name, "panfuse-tmp-ab12-01234567-film (1).mkv");
        assert!(is_temporary_name(&name));
        assert!(!is_temporary_name("panfuse-tmp-notes.txt"));
        let bare = temporary_name("README", "i", "x", 255);
        assert!(!bare.contains('.'));
        let long = temporary_name(&format!("{}.txt", "长".repeat(100)), "i", "x", 255);
        assert!(long.len() <= 255 && long.ends_with(".txt"));
    }
}
