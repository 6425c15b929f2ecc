//! An upload, from the question to the file (sheet sections 6 and 7).
//!
//! There is no call that only asks whether the provider has a content: the server finds out while
//! it prepares an upload, from the hashes it was told, by asking for hashes or for a few bytes,
//! and reads everything when the answer is no. So the question is the upload, and the reading
//! budget of the conversation decides how far it goes: what it does not allow ends the upload, and
//! nothing is left at the server.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::of_text;
use super::ledger::Entry;
use super::list::{HASHES, appeared, refuse_taken, stat};
use super::names::{self, RULES, TOP};
use super::serve::{End, Serving};
use super::start::Uploads;
use super::upload_message::Stage;
use crate::drive::{
    Attempt, Conversation, DriveError, ErrorKind, Node, OnConflict, Result, UploadRequest,
};
use crate::fingerprint::Kind;
use crate::net::Retry;

/// Uploads that the server forgot, or that failed with a hash that was only claimed, start again.
const ROUNDS: u32 = 3;

/// # Errors
/// `Exists` when the name is taken, the conversation's `OverBudget`, and the server's words when it
/// fails.
pub async fn attempt(
    uploads: &Arc<Uploads>,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<Attempt> {
    if request.on_conflict == OnConflict::Replace {
        return Err(DriveError::unsupported("replacing a file"));
    }
    let name = RULES.encode(&request.name)?;
    let path = names::join(request.parent.as_str(), &name);
    if request.size != conversation.size() {
        return Err(DriveError::new(
            ErrorKind::Changed,
            "upload: the content has another size than was announced",
        ));
    }
    look_first(uploads, request, &path, conversation.name_is_free()).await?;
    let mut claims = true;
    let mut left = ROUNDS;
    loop {
        left -= 1;
        let known = known_hashes(conversation, claims);
        let outcome = round(uploads, &path, conversation, &known).await?;
        match outcome {
            Ok(attempt) => return Ok(attempt),
            Err(again) if left == 0 => return Err(again.into_error()),
            Err(Again::Gone) => {
                tracing::debug!(path, "the server forgot the upload; it starts again");
                uploads.channel.open_anew().await?;
            }
            // A hash that somebody claimed may be wrong. Without it the server asks us.
            Err(Again::Failed(error)) if claims && known.has_claims => {
                tracing::debug!(%error, "tried again without claimed hashes");
                claims = false;
            }
            Err(again) => return Err(again.into_error()),
        }
    }
}

/// What the server is told about the content.
struct KnownHashes {
    /// By hash type, as it is sent.
    sent: BTreeMap<u32, String>,
    kinds: Vec<Kind>,
    /// Whether some of it is only claimed.
    has_claims: bool,
    /// What certainly names the content, for the ledger.
    trusted: BTreeMap<String, String>,
}

fn known_hashes(conversation: &Conversation<'_>, claims: bool) -> KnownHashes {
    let all = conversation.known();
    let mut known = KnownHashes {
        sent: BTreeMap::new(),
        kinds: Vec::new(),
        has_claims: false,
        trusted: BTreeMap::new(),
    };
    for (number, kind, _) in HASHES {
        let Some(value) = all.usable(kind) else {
            continue;
        };
        let trusted = value.origin.is_trusted();
        if trusted {
            known
                .trusted
                .insert(kind.to_string(), value.value.to_string());
        } else if !claims {
            continue;
        }
        known.has_claims |= !trusted;
        known.kinds.push(kind);
        known.sent.insert(number, value.value.to_string());
    }
    known
}

/// Why an upload may start again.
enum Again {
    Gone,
    Failed(DriveError),
}

impl Again {
    fn into_error(self) -> DriveError {
        match self {
            Again::Gone => DriveError::new(
                ErrorKind::Provider,
                "upload: CloudDrive2 does not know the upload any more",
            )
            .retry(Retry::Backoff),
            Again::Failed(error) => error,
        }
    }
}

/// One upload from its start to its end.
async fn round(
    uploads: &Arc<Uploads>,
    path: &str,
    conversation: &Conversation<'_>,
    known: &KnownHashes,
) -> Result<Result<Attempt, Again>> {
    let size = conversation.size();
    let entry = Entry {
        path: path.to_owned(),
        size,
        content: known.trusted.clone(),
    };
    let mut running = uploads.begin(entry, known.sent.clone()).await?;
    let id = running.id.clone();
    let serving = Serving::new(&uploads.api, &id, path, conversation, &uploads.pace);
    let served = match serving.serve(&mut running.events).await {
        Ok(served) => served,
        Err(error) => {
            // Nothing stays behind when we give up.
            running.cancel().await;
            return Err(error);
        }
    };
    let taken_up = running.taken_up;
    match &served.end {
        End::Gone => {
            running.over().await;
            return Ok(Err(Again::Gone));
        }
        End::Failed(stage, message) => {
            let error = failure(*stage, message);
            // The server may try an upload again by itself that ended with Error.
            running.cancel().await;
            let again = error.kind == ErrorKind::Provider
                && matches!(stage, Stage::Error | Stage::FatalError);
            return match again {
                true => Ok(Err(Again::Failed(error))),
                false => Err(error),
            };
        }
        End::Finished | End::Skipped => running.over().await,
    }
    let node = appeared(&uploads.api, path, &uploads.pace.shown).await;
    let node = node.map_err(|error| match error.kind {
        ErrorKind::NotFound => DriveError::new(
            ErrorKind::Provider,
            "upload: CloudDrive2 says it is finished, but shows no file",
        ),
        _ => error,
    })?;
    if matches!(served.end, End::Skipped) {
        check_skipped(&node, conversation)?;
    }
    let mut decided_by = Vec::new();
    if !served.all_sent && !taken_up {
        // The provider had it: by what it was told, or asked for.
        decided_by = known.kinds.clone();
        for kind in served.hashed {
            if !decided_by.contains(&kind) {
                decided_by.push(kind);
            }
        }
    }
    Ok(Ok(Attempt::Hit { node, decided_by }))
}

/// `Skipped` may mean that the file which stands there was kept (section 7.6). What an upload that
/// is finished made is verified by whoever asked for it.
fn check_skipped(node: &Node, conversation: &Conversation<'_>) -> Result<()> {
    let ours = !node.is_dir()
        && node.size == conversation.size()
        && !node.fingerprints.contradicts(&conversation.known());
    if ours {
        return Ok(());
    }
    Err(DriveError::new(
        ErrorKind::Exists,
        format!("{:?} exists already, and was kept", node.name),
    ))
}

/// What an upload does to a taken name is not known (section 7.7): so it is looked at first. The
/// directory must be there, too.
async fn look_first(
    uploads: &Uploads,
    request: &UploadRequest,
    path: &str,
    name_is_free: bool,
) -> Result<()> {
    if request.parent.as_str() == TOP {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            "the top of CloudDrive2 holds accounts, no files",
        ));
    }
    let parent = async {
        match stat(&uploads.api, &request.parent).await {
            Ok(node) if !node.is_dir() => Err(DriveError::new(
                ErrorKind::Invalid,
                format!("{} is no directory", request.parent),
            )),
            outcome => outcome.map(drop),
        }
    };
    let name = async {
        match name_is_free {
            true => Ok(()),
            false => refuse_taken(&uploads.api, path).await,
        }
    };
    let (parent, name) = tokio::join!(parent, name);
    parent.and(name)
}

fn failure(stage: Stage, message: &str) -> DriveError {
    let said = of_text("upload", message);
    match stage {
        Stage::Cancelled => DriveError::new(
            ErrorKind::Provider,
            "upload: it was cancelled in CloudDrive2",
        ),
        Stage::Ignored => DriveError::new(
            ErrorKind::Invalid,
            "upload: CloudDrive2 is set to ignore files of this name",
        ),
        // The next attempt may go well (section 10).
        Stage::Error if said.kind == ErrorKind::Provider => said.retry(Retry::Backoff),
        _ => said,
    }
    .code(format!("{stage:?}"))
}

/// What is in the place of an upload that is not resumable by parts.
///
/// # Errors
/// Always `Unsupported`.
pub fn no_parts<T>() -> Result<T> {
    Err(DriveError::unsupported("an upload by parts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_keep_the_servers_words() {
        let error = failure(Stage::Error, "the cloud went away");
        assert_eq!(
            (error.kind, error.retry),
            (ErrorKind::Provider, Retry::Backoff)
        );
        assert!(error.message.contains("the cloud went away"));
        let error = failure(Stage::FatalError, "file name not allowed");
        assert_eq!(
            (error.kind, error.retry),
            (ErrorKind::Provider, Retry::Never)
        );
        assert_eq!(
            failure(Stage::Error, "quota exceeded").kind,
            ErrorKind::QuotaFull
        );
        assert_eq!(failure(Stage::Ignored, "").kind, ErrorKind::Invalid);
    }
}
