//! Fast upload (sheet section 6): the MD5 with the token call, then gcid and CID with the check.
//! Either may say "yes"; the content is there only when the task has yielded a file.

use std::time::Duration;

use serde_json::json;

use super::api::{Api, Call};
use super::error::{BAD_PARAMETER, IMPORTING, INSTANT};
use super::ticket::{self, Asked, Hashes, LONGEST, SETTLE, Ticket, ask, confirm, discard, undo};
use super::upload;
use crate::drive::{
    Attempt, Conversation, DriveError, ErrorKind, Node, Result, UploadRequest, decode,
};
use crate::fingerprint::Kind;

/// The MD5 of nothing.
const EMPTY_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// Smaller files are asked for by MD5 only (section 6.3).
const CHECKED: u64 = 1 << 20;

pub async fn attempt(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<Attempt> {
    let md5 = match request.size {
        0 => Ok(EMPTY_MD5.to_owned()),
        _ => conversation.digest(Kind::Md5).await,
    };
    match md5 {
        Ok(md5) => by_md5(api, request, conversation, &md5).await,
        Err(error) if !is_over(&error) || request.size < CHECKED => Err(error),
        Err(_) => by_gcid(api, request, conversation).await,
    }
}

fn is_over(error: &DriveError) -> bool {
    matches!(error.kind, ErrorKind::OverBudget(_))
}

async fn by_md5(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
    md5: &str,
) -> Result<Attempt> {
    let hashes = Hashes {
        md5: Some(md5),
        gcid_cid: None,
    };
    let ticket = match first(api, request, hashes, Kind::Md5).await? {
        Answer::Ended(attempt) => return Ok(attempt),
        Answer::Open(ticket) => ticket,
    };
    let mut trusted = request.size == 0 || is_trusted(conversation, Kind::Md5, md5);
    if request.size >= CHECKED {
        // Reading happens between two calls here: when it fails, nothing may stay behind.
        let pair = match pair_of(conversation).await {
            Ok(pair) => pair,
            Err(error) => return Err(after(api, &ticket.task, error, Duration::ZERO).await),
        };
        if let Some((gcid, cid)) = pair {
            trusted &= is_trusted(conversation, Kind::Gcid, &gcid);
            match check(api, request, &ticket, &gcid, &cid).await? {
                Checked::Hit(node) => return Ok(hit(*node, Kind::Gcid)),
                Checked::Miss => {}
                Checked::Over => return Ok(Attempt::Miss(None)),
            }
        }
    }
    missed(api, request, ticket, trusted).await
}

async fn by_gcid(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<Attempt> {
    // Everything that may be over budget comes before the first call.
    let gcid = conversation.digest(Kind::Gcid).await?;
    let cid = conversation.digest(Kind::Cid).await?;
    let hashes = Hashes {
        md5: None,
        gcid_cid: Some((&gcid, &cid)),
    };
    let ticket = match first(api, request, hashes, Kind::Gcid).await? {
        Answer::Ended(attempt) => return Ok(attempt),
        Answer::Open(ticket) => ticket,
    };
    // The clients of the service ask with the check; that the token call answers, too, is
    // documented but was not seen of them.
    match check(api, request, &ticket, &gcid, &cid).await? {
        Checked::Hit(node) => return Ok(hit(*node, Kind::Gcid)),
        Checked::Miss => {}
        Checked::Over => return Ok(Attempt::Miss(None)),
    }
    let trusted = is_trusted(conversation, Kind::Gcid, &gcid);
    missed(api, request, ticket, trusted).await
}

/// Gcid and CID where the gcid is known and the CID may be read.
async fn pair_of(conversation: &Conversation<'_>) -> Result<Option<(String, String)>> {
    let optional = |digest: Result<String>| match digest {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_over(&error) => Ok(None),
        Err(error) => Err(error),
    };
    let Some(gcid) = optional(conversation.digest(Kind::Gcid).await)? else {
        return Ok(None);
    };
    let cid = optional(conversation.digest(Kind::Cid).await)?;
    Ok(cid.map(|cid| (gcid, cid)))
}

fn hit(node: Node, by: Kind) -> Attempt {
    Attempt::Hit {
        node,
        decided_by: vec![by],
    }
}

/// What the token call with hashes led to.
enum Answer {
    Ended(Attempt),
    Open(Ticket),
}

async fn first(api: &Api, request: &UploadRequest, hashes: Hashes<'_>, by: Kind) -> Result<Answer> {
    let asked = match ask(api, request, hashes).await {
        // It does not take the hashes, or not the rest either: then the upload will be told.
        Err(error) if error.code.as_deref() == Some("112") => {
            return Ok(Answer::Ended(Attempt::Miss(None)));
        }
        asked => asked?,
    };
    Ok(match asked {
        Asked::Open(ticket) => Answer::Open(ticket),
        // Found by name and size: no hash of ours decided that, so it is compared as any new file.
        Asked::Made(node) => Answer::Ended(Attempt::Hit {
            node: *node,
            decided_by: Vec::new(),
        }),
        Asked::Instant(task) => Answer::Ended(match yielded(api, request, &task).await? {
            Some(node) => hit(node, by),
            None => Attempt::Miss(None),
        }),
    })
}

/// The file that a hit yields; `None` when it does not, with the task removed: a hit without a
/// file is a miss.
async fn yielded(api: &Api, request: &UploadRequest, task: &str) -> Result<Option<Node>> {
    match confirm(api, request, task, LONGEST).await {
        Ok(node) => Ok(Some(node)),
        Err(error) => {
            let unfulfilled = matches!(
                error.kind,
                ErrorKind::NotFound | ErrorKind::Provider | ErrorKind::Timeout
            );
            if !unfulfilled {
                return Err(after(api, task, error, SETTLE).await);
            }
            tracing::info!(%error, "the provider had the content and did not make the file");
            // It was waited for.
            undo(api, task, Duration::ZERO).await?;
            Ok(None)
        }
    }
}

/// Removes the task, as well as it goes, before `error` is told.
async fn after(api: &Api, task: &str, error: DriveError, patience: Duration) -> DriveError {
    if let Err(left) = undo(api, task, patience).await {
        tracing::warn!(task, error = %left, "an upload task is left at the provider");
    }
    error
}

/// What the check said.
enum Checked {
    Hit(Box<Node>),
    /// The task waits for bytes.
    Miss,
    /// A miss, and the task is no more.
    Over,
}

async fn check(
    api: &Api,
    request: &UploadRequest,
    ticket: &Ticket,
    gcid: &str,
    cid: &str,
) -> Result<Checked> {
    let body = json!({ "taskId": ticket.task, "gcid": gcid, "cid": cid });
    let path = "/userres/v1/check_can_flash_upload";
    let call = Call::new("flash_check", path, body);
    let call = call.accept(&[BAD_PARAMETER, IMPORTING, INSTANT]);
    let reply = match api.reply(call).await {
        Ok(reply) => reply,
        // The task ended, perhaps by an earlier check whose answer was lost.
        Err(error) if error.kind == ErrorKind::NotFound => {
            return Ok(match yielded(api, request, &ticket.task).await? {
                Some(node) => Checked::Hit(Box::new(node)),
                None => Checked::Over,
            });
        }
        Err(error) => return Err(after(api, &ticket.task, error, Duration::ZERO).await),
    };
    let yes = match reply.code {
        0 => decode::flag(&reply.data["canFlashUpload"]),
        BAD_PARAMETER => false,
        _ => true,
    };
    if !yes {
        return Ok(Checked::Miss);
    }
    // The answer may name another task, which takes the place of ours.
    let named = decode::nonempty(&reply.data["taskId"]);
    let task = named.unwrap_or_else(|| ticket.task.clone());
    let node = yielded(api, request, &task).await;
    if task != ticket.task
        && let Err(error) = ticket::discard(api, &ticket.task).await
    {
        tracing::warn!(task = ticket.task, %error, "an upload task is left at the provider");
    }
    Ok(match node? {
        Some(node) => Checked::Hit(Box::new(node)),
        None => Checked::Over,
    })
}

/// A task that nobody had the content for. It goes on as the upload, unless it was told a hash
/// that is only claimed: bytes are compared with what a task was told (section 11).
async fn missed(
    api: &Api,
    request: &UploadRequest,
    ticket: Ticket,
    trusted: bool,
) -> Result<Attempt> {
    if !trusted {
        discard(api, &ticket.task).await?;
        return Ok(Attempt::Miss(None));
    }
    let session = upload::session_of(api, request, ticket).await?;
    Ok(Attempt::Miss(Some(session)))
}

/// Whether this value was computed, here or by somebody who had the bytes.
fn is_trusted(conversation: &Conversation<'_>, kind: Kind, value: &str) -> bool {
    let known = conversation.known();
    match known.usable(kind) {
        Some(known) if *known.value == *value => known.origin.is_trusted(),
        // A value that is not among the known ones came from some call: whose word it is is unknown.
        _ => false,
    }
}
