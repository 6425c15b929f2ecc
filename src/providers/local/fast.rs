//! Fast upload: a file of this directory that is known to have the content is shared or
//! copied instead of taking the bytes again.

use std::sync::Arc;

use super::disk::{Disk, METADATA};
use super::index::{Found, KINDS};
use super::sys;
use super::unfinished::{Source, copy_to};
use super::write::refuse_taken;
use super::{error, names};
use crate::drive::{
    Attempt, Conversation, DriveError, ErrorKind, OnConflict, Result, UploadRequest,
};
use crate::fingerprint::{Fingerprints, Kind};

pub async fn attempt(
    disk: &Arc<Disk>,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<Attempt> {
    names::to_disk(&request.name)?;
    let wanted = request.clone();
    let possible = disk
        .run("fast_upload", METADATA, move |disk| {
            let place = disk.new_place(wanted.parent.as_str(), &wanted.name)?;
            if wanted.on_conflict == OnConflict::Refuse {
                refuse_taken(&place)?;
            }
            Ok(disk.index.has_size(wanted.size))
        })
        .await?;
    if !possible || conversation.size() != request.size {
        return Ok(Attempt::Miss(None));
    }
    let mut asked = false;
    for kind in KINDS {
        if let Some(value) = conversation.known_digest(kind) {
            asked = true;
            if let Some(hit) = ask(disk, request, &conversation.known(), kind, value).await? {
                return Ok(hit);
            }
        }
    }
    if asked {
        return Ok(Attempt::Miss(None));
    }
    // Nothing is known: one hash decides, whichever the source tells within the budget.
    let mut over: Option<DriveError> = None;
    for kind in KINDS {
        match conversation.digest(kind).await {
            Ok(value) => {
                let hit = ask(disk, request, &conversation.known(), kind, value).await?;
                return Ok(hit.unwrap_or(Attempt::Miss(None)));
            }
            Err(error) if matches!(error.kind, ErrorKind::OverBudget(_)) => {
                over.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(over.unwrap_or_else(|| DriveError::unsupported("a question without a hash")))
}

async fn ask(
    disk: &Arc<Disk>,
    request: &UploadRequest,
    known: &Fingerprints,
    kind: Kind,
    value: String,
) -> Result<Option<Attempt>> {
    let size = request.size;
    let found = disk
        .run("fast_upload", METADATA, move |disk| {
            Ok(disk.index.find(kind, &value, size))
        })
        .await?;
    for candidate in found {
        // Equal in one hash and different in another is another content (DESIGN 3.7).
        let contradicts = known.iter().any(|(kind, known)| {
            known.origin.is_trusted()
                && candidate
                    .digests
                    .get(kind)
                    .is_some_and(|value| **value != *known.value)
        });
        if contradicts {
            continue;
        }
        let wanted = request.clone();
        let opened = disk
            .run("fast_upload", METADATA, move |disk| {
                let place = disk.new_place(wanted.parent.as_str(), &wanted.name)?;
                Ok(source(disk, &candidate, wanted.size).map(|source| (source, place)))
            })
            .await?;
        let Some((source, place)) = opened else {
            continue;
        };
        match copy_to(disk, source, place, request.modified, request.on_conflict).await {
            Ok(node) => {
                return Ok(Some(Attempt::Hit {
                    node,
                    decided_by: vec![kind],
                }));
            }
            // Written to while it was copied: another one may do.
            Err(error) if error.kind == ErrorKind::Changed => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// A candidate, open, when it still is what the index says; else it is forgotten.
fn source(disk: &Disk, candidate: &Found, size: u64) -> Option<Source> {
    let open = || {
        let place = disk.indexed_place(&candidate.path)?;
        let file = disk.open_file(&place, libc::O_RDONLY)?;
        let stat = sys::stat_fd(&file)
            .map_err(|error| error::of("fast_upload", &candidate.path, &error))?;
        Ok::<_, DriveError>((file, stat))
    };
    let opened = open();
    let valid = match &opened {
        Ok((_, stat)) => disk
            .index
            .get(&candidate.path, stat)
            .filter(|digests| *digests == candidate.digests && stat.size == size),
        // A disk that does not answer says nothing about the file.
        Err(error) if error.kind != ErrorKind::NotFound => return None,
        Err(_) => None,
    };
    let Some(digests) = valid else {
        disk.index.forget(candidate);
        return None;
    };
    let (file, stat) = opened.ok()?;
    Some(Source {
        file,
        stat,
        digests: Some(digests),
        exact: true,
    })
}
