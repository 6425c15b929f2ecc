//! mkdir, rename, move, copy, delete. Nothing is replaced: servers that ignore `Overwrite: F` are
//! looked at first (sheet generic_backends, 4.3, item 7), and a small race stays.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::api::{Api, Call};
use super::error::{Wanted, may_be_done};
use super::list;
use super::xml::{self, Entry};
use super::{address, names, propfind};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result, patience};
use crate::net::{Deadlines, Response, Retry, retry};

/// A tree, or a large file on a server that copies to move, takes its time.
pub const LONG: Deadlines = Deadlines {
    head: Duration::from_secs(600),
    idle: Duration::from_secs(60),
    total: Some(Duration::from_secs(900)),
};

/// The most that is read of an answer about single resources.
const PARTIAL: usize = 1 << 20;

pub async fn mkdir(api: &Api, parent: &NodeId, name: &str) -> Result<Node> {
    let stored = names::encode(name)?;
    let id = NodeId::new(address::child(parent.as_str(), stored.as_bytes()));
    let call = Call::new(
        "mkdir",
        Wanted::Directory,
        "MKCOL",
        api.base.url(id.as_str(), true),
    );
    let lost = AtomicBool::new(false);
    retry(patience(), || async {
        match make(api, &call, &id, &lost).await {
            // rclone was seen to miss a directory for a moment while something arrived in it.
            Err(error) if error.kind == ErrorKind::NotFound => {
                match list::stat(api, parent).await {
                    Ok(dir) if dir.is_dir() => Err(error.retry(Retry::Backoff)),
                    _ => Err(error),
                }
            }
            made => made,
        }
    })
    .await?;
    // And what it has just made.
    let shown = || async {
        let shown = list::stat(api, &id).await;
        shown.map_err(|error| match error.kind {
            ErrorKind::NotFound => error.retry(Retry::Backoff),
            _ => error,
        })
    };
    retry(patience(), shown).await
}

/// One try. `lost`: the answer of an earlier one was lost, and it may have been carried out; a
/// directory that is there and empty is ours then.
async fn make(api: &Api, call: &Call, id: &NodeId, lost: &AtomicBool) -> Result<()> {
    let Err(error) = api.once(call, &[201, 200, 204]).await else {
        return Ok(());
    };
    if error.kind == ErrorKind::Exists && lost.load(Ordering::Relaxed) {
        let page = list::page(api, id, None).await;
        if page.is_ok_and(|page| page.nodes.is_empty()) {
            return Ok(());
        }
    }
    if may_be_done(&error) {
        lost.store(true, Ordering::Relaxed);
    }
    Err(error)
}

pub async fn rename(api: &Api, node: &Node, name: &str) -> Result<Node> {
    let stored = names::encode(name)?;
    let (parent, _) = address::split(node.id.as_str());
    relocate(api, node, address::child(parent, stored.as_bytes())).await
}

pub async fn move_to(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
    // As the server spells it, also where we would have spelled it otherwise.
    let name = address::last(node.id.as_str());
    relocate(api, node, address::child(parent.as_str(), &name)).await
}

async fn relocate(api: &Api, node: &Node, to: String) -> Result<Node> {
    let from = node.id.as_str();
    if from == to {
        return list::stat(api, &node.id).await;
    }
    if from.is_empty() || (node.is_dir() && address::is_within(&to, from)) {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!("{} cannot be moved into itself", list::shown(&node.id)),
        ));
    }
    let target = Target {
        id: &to,
        dir: node.is_dir(),
        size: node.size,
    };
    rename_to(api, "move", from, &target, &[]).await?;
    list::stat(api, &NodeId::new(to.as_str())).await
}

/// Where something gets its new name.
pub struct Target<'a> {
    pub id: &'a str,
    pub dir: bool,
    /// Bytes of a file, by which it is recognised.
    pub size: u64,
}

/// Moves `from` to a name that nobody has. A lost answer is looked for.
///
/// # Errors
/// `Exists` when somebody has the name, `NotFound` when there is nothing to move.
pub async fn rename_to(
    api: &Api,
    op: &'static str,
    from: &str,
    target: &Target<'_>,
    headers: &[(&'static str, String)],
) -> Result<()> {
    refuse_taken(api, target.id).await?;
    api.spelling.refuse_lost(target.id)?;
    let mut call = Call::new(op, Wanted::Name, "MOVE", api.base.url(from, target.dir))
        .header("destination", &api.base.url(target.id, target.dir))
        .header("overwrite", "F")
        .deadlines(LONG);
    for (name, value) in headers {
        call = call.header(name, value);
    }
    let lost = AtomicBool::new(false);
    retry(patience(), || async {
        let Err(error) = whole(api, &call, &[201, 204, 200]).await else {
            return Ok(());
        };
        if may_be_done(&error) {
            lost.store(true, Ordering::Relaxed);
        }
        // It may be done, now or by an earlier try: then nothing is left there, and all is here.
        if lost.load(Ordering::Relaxed)
            && found(api, from).await?.is_none()
            && let Some(entry) = found(api, target.id).await?
            && fits(&entry, target)
        {
            return Ok(());
        }
        Err(error)
    })
    .await
}

fn fits(entry: &Entry, target: &Target<'_>) -> bool {
    let dir = list::is_dir(entry);
    dir == target.dir && (dir || list::size(&entry.props) == target.size)
}

/// What has an id; `None` when nothing does.
pub async fn found(api: &Api, id: &str) -> Result<Option<Entry>> {
    match list::look(api, id).await {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// # Errors
/// `Exists` when somebody has the name.
pub async fn refuse_taken(api: &Api, id: &str) -> Result<()> {
    if list::is_free(api, id).await? {
        return Ok(());
    }
    let id = NodeId::new(id);
    Err(DriveError::new(
        ErrorKind::Exists,
        format!("{} exists already", list::shown(&id)),
    ))
}

pub async fn copy(api: &Api, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    if node.is_dir() {
        return Err(DriveError::unsupported("copying a directory"));
    }
    let stored = names::encode(name)?;
    let to = address::child(parent.as_str(), stored.as_bytes());
    refuse_taken(api, &to).await?;
    api.spelling.refuse_lost(&to)?;
    let call = Call::new(
        "copy",
        Wanted::Name,
        "COPY",
        api.base.url(node.id.as_str(), false),
    )
    .header("destination", &api.base.url(&to, false))
    .header("overwrite", "F")
    .deadlines(LONG);
    let target = Target {
        id: &to,
        dir: false,
        size: node.size,
    };
    if let Err(error) = whole(api, &call, &[201, 204, 200]).await {
        // Nobody had the name a moment ago: a whole copy under it is ours.
        let done = may_be_done(&error)
            && found(api, &to)
                .await?
                .is_some_and(|entry| fits(&entry, &target));
        if !done {
            return Err(error);
        }
    }
    list::stat(api, &NodeId::new(to.as_str())).await
}

/// Deletes: the protocol has no trash.
pub async fn delete(api: &Api, node: &Node) -> Result<()> {
    if node.id.as_str().is_empty() {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            "the top of a profile cannot be deleted",
        ));
    }
    remove(api, &api.base.url(node.id.as_str(), node.is_dir())).await
}

/// Deletes what is at an address. What is gone already is a success.
pub async fn remove(api: &Api, url: &str) -> Result<()> {
    let call = Call::new("delete", Wanted::Gone, "DELETE", url.to_owned()).deadlines(LONG);
    let removed = retry(patience(), || whole(api, &call, &[204, 200, 202])).await;
    match removed {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Sends once. An answer about single resources (207) means that a part failed (4.3, item 14).
async fn whole(api: &Api, call: &Call, good: &[u16]) -> Result<()> {
    let mut accepted = good.to_vec();
    accepted.push(207);
    let response = api.once(call, &accepted).await?;
    if response.status.as_u16() != 207 {
        return Ok(());
    }
    match partial(call, response).await? {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

async fn partial(call: &Call, response: Response) -> Result<Option<DriveError>> {
    let body = response.bytes(PARTIAL).await?;
    let mut worst = None;
    xml::read(&body[..], |entry| {
        let failed = entry.status.filter(|status| !(200..300).contains(status));
        // 424: it failed because another one did. That one says why.
        if let Some(status) = failed
            && (worst.is_none() || worst.as_ref().is_some_and(|(_, s)| *s == 424))
        {
            worst = Some((entry.href, status));
        }
    })
    .map_err(|what| DriveError::bad_answer(call.op, what))?;
    Ok(worst.map(|(href, status)| {
        let status = reqwest::StatusCode::from_u16(status).unwrap_or_default();
        let mut error = super::error::from_parts(call.op, call.wanted, status, None, b"");
        error.message = format!("{} ({href})", error.message);
        error
    }))
}

/// What is directly in a directory of the server that is no part of the profile.
pub async fn entries_at(api: &Api, url: &str) -> Result<Option<Vec<Entry>>> {
    match propfind::ask(api, "parts", url, propfind::Ask::Node, true).await {
        Ok(answer) => Ok(Some(answer.entries)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
