//! Upload tasks (sheet section 6.2): asking for one, waiting until it yields a file, removing it.
//!
//! A task is invisible. Neither "instant upload" nor a finished object store makes a file: only the
//! file id does that the task tells in the end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::api::{Api, Call, wire};
use super::error::{IMPORTING, INSTANT, is_internal, may_be_done};
use super::list;
use super::names::RULES;
use super::write::{SKEW_MS, trash, wrong_name};
use crate::drive::{DriveError, ErrorKind, Node, Result, UploadRequest, decode};
use crate::fingerprint::Kind;
use crate::net::Retry;

/// A task is waited for this long (step 3).
pub const LONGEST: Duration = Duration::from_secs(600);

/// Pauses between two looks. The sheet grows from a second to five; the first is shorter, since a
/// hit is often there at once, and 500 ms is what a careful client keeps between equal calls.
const FIRST: Duration = Duration::from_millis(500);
const SLOWEST: Duration = Duration::from_secs(5);

/// A done task without a file: "poll a few times, then fail".
const UNNAMED: u32 = 5;

/// A task that is said to be gone. One client takes this for the end, another waits on: so a few
/// looks more.
const GONE: u32 = 3;

/// Pause before a token call with a lost answer is repeated.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks in a row that may fail.
const FAILURES: u32 = 3;

/// How long a task whose bytes may all be there is given to make its file, so that the file can be
/// removed: a task that was removed first does not tell any more what it made (section 11, note 9).
pub const SETTLE: Duration = Duration::from_secs(20);

/// What the token call answered.
pub enum Asked {
    /// The service has the content; this task says when the file is there.
    Instant(String),
    /// An upload task, and where its bytes go.
    Open(Ticket),
    /// The answer was lost, and the file is there.
    Made(Box<Node>),
}

/// An upload task that waits for bytes.
pub struct Ticket {
    pub task: String,
    /// The content of the answer: place and key of the object store.
    pub data: Value,
}

/// Hashes of the content for the token call, in the service's spelling.
#[derive(Clone, Copy, Default)]
pub struct Hashes<'a> {
    pub md5: Option<&'a str>,
    pub gcid_cid: Option<(&'a str, &'a str)>,
}

impl Hashes<'_> {
    fn none(&self) -> bool {
        self.md5.is_none() && self.gcid_cid.is_none()
    }

    fn res(&self, size: u64) -> Value {
        let mut res = json!({ "fileSize": size });
        if let Some(md5) = self.md5 {
            res["md5"] = json!(md5);
        }
        if let Some((gcid, cid)) = self.gcid_cid {
            res["gcid"] = json!(gcid);
            res["cid"] = json!(cid);
        }
        res
    }
}

/// Asks for an upload task. A lost answer may have made the file, where hashes were sent: it is
/// looked for, and the call is repeated once.
pub async fn ask(api: &Api, request: &UploadRequest, hashes: Hashes<'_>) -> Result<Asked> {
    let stored = RULES.encode(&request.name)?;
    let body = json!({
        "capacity": 2,
        "name": stored,
        "parentId": wire(&request.parent),
        "res": hashes.res(request.size),
    });
    let since = api.now();
    let mut again = true;
    loop {
        let path = "/userres/v1/get_res_center_token";
        let call = Call::new("upload_token", path, body.clone()).accept(&[INSTANT]);
        // Without hashes nothing but an invisible task can come of it: it may be repeated.
        let call = if hashes.none() { call } else { call.once() };
        let error = match api.reply(call).await {
            Ok(reply) => {
                let task = decode::nonempty(&reply.data["taskId"])
                    .ok_or_else(|| DriveError::bad_answer("upload_token", "no taskId"))?;
                return Ok(match reply.code {
                    INSTANT => Asked::Instant(task),
                    _ => Asked::Open(Ticket {
                        task,
                        data: reply.data,
                    }),
                });
            }
            Err(error) => error,
        };
        let lost = may_be_done(&error);
        // A name that is taken after a lost answer may be taken by us.
        if !lost && (again || error.kind != ErrorKind::Exists) {
            return Err(error);
        }
        if hashes.none() {
            return Err(error);
        }
        if let Some(node) = find_own(api, request, hashes, since).await? {
            return Ok(Asked::Made(Box::new(node)));
        }
        if !lost {
            return Err(error);
        }
        if !again {
            // Nothing was made: whoever asked may do so again.
            return Err(error.retry(Retry::Backoff));
        }
        again = false;
        tokio::time::sleep(AGAIN).await;
    }
}

/// The file that a token call with a lost answer made: same name and size, no other gcid, not
/// older than the call.
async fn find_own(
    api: &Api,
    request: &UploadRequest,
    hashes: Hashes<'_>,
    since: i64,
) -> Result<Option<Node>> {
    list::find(api, &request.parent, |node| {
        let gcid = node.fingerprints.get(Kind::Gcid);
        let other = match (gcid, hashes.gcid_cid) {
            (Some(theirs), Some((ours, _))) => *theirs.value != *ours,
            _ => false,
        };
        !node.is_dir()
            && node.name == request.name
            && node.size == request.size
            && node.created >= since.saturating_sub(SKEW_MS)
            && !other
    })
    .await
}

/// How a task stands.
pub enum State {
    /// It yielded this file.
    Done(Value),
    /// Waiting for bytes, or taking them in.
    Importing,
    /// No failure, and no file.
    Unnamed,
    /// Not known, expired, removed.
    Gone(DriveError),
}

/// Looks at a task, once.
pub async fn look(api: &Api, task: &str) -> Result<State> {
    let path = "/userres/v1/file/get_info_by_task_id";
    let call = Call::new("upload_info", path, json!({ "taskId": task }));
    let call = call.class("poll").accept(&[IMPORTING]);
    match api.attempt(&call).await {
        Ok(reply) if reply.code == IMPORTING => Ok(State::Importing),
        Ok(reply) if decode::nonempty(&reply.data["fileId"]).is_some() => {
            Ok(State::Done(reply.data))
        }
        Ok(_) => Ok(State::Unnamed),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(State::Gone(error)),
        Err(error) => Err(error),
    }
}

/// Waits until a task yields its file, not longer than `limit`.
///
/// # Errors
/// `NotFound` when the task is gone, `Provider` when the content was not taken in, `Timeout` in the
/// end; `Exists` for a file that came out under a number, which is trashed again.
pub async fn confirm(
    api: &Api,
    request: &UploadRequest,
    task: &str,
    limit: Duration,
) -> Result<Node> {
    let end = Instant::now() + limit;
    let mut pause = FIRST;
    let (mut unnamed, mut gone, mut failures) = (0, 0, 0);
    loop {
        let mut wait = pause;
        match look(api, task).await {
            Ok(State::Done(data)) => return made(api, request, data).await,
            Ok(State::Importing) => (unnamed, gone, failures) = (0, 0, 0),
            Ok(State::Unnamed) => {
                unnamed += 1;
                if unnamed >= UNNAMED {
                    return Err(DriveError::new(
                        ErrorKind::Provider,
                        "the provider took the upload in without making a file",
                    ));
                }
            }
            Ok(State::Gone(error)) => {
                gone += 1;
                if gone >= GONE {
                    return Err(error);
                }
            }
            Err(error) => {
                failures += 1;
                if error.retry == Retry::Never {
                    return Err(error);
                }
                if failures > FAILURES {
                    return Err(match is_internal(&error) {
                        // The content was refused: the task says nothing else any more.
                        true => error.retry(Retry::Never),
                        false => error,
                    });
                }
                if let Retry::After(asked) = error.retry {
                    wait = wait.max(asked);
                }
            }
        }
        if Instant::now() + wait >= end {
            return Err(DriveError::new(
                ErrorKind::Timeout,
                format!(
                    "the provider has not taken the upload in within {} s",
                    limit.as_secs()
                ),
            )
            .retry(Retry::Backoff));
        }
        tokio::time::sleep(wait).await;
        pause = pause.mul_f64(1.5).min(SLOWEST);
    }
}

/// The node of a task's file; what the answer leaves out is known from the request.
async fn made(api: &Api, request: &UploadRequest, mut data: Value) -> Result<Node> {
    let stored = RULES.encode(&request.name)?;
    if decode::nonempty(&data["fileName"]).is_none() {
        data["fileName"] = json!(stored);
    }
    if data["fileSize"].is_null() {
        data["fileSize"] = json!(request.size);
    }
    data["resType"] = json!(1);
    let mut node = list::node(&data, Some(&request.parent))?;
    if node.created == 0 {
        let now = api.now();
        (node.modified, node.created) = (now, now);
    }
    let got = decode::text(&data["fileName"]);
    if got != stored {
        trash(api, &node).await?;
        return Err(wrong_name(&got, &stored, &request.name));
    }
    Ok(node)
}

/// Removes an upload task. One that is gone is a success.
pub async fn discard(api: &Api, task: &str) -> Result<()> {
    api.grants.invalidate(task);
    let path = "/userres/v1/delete_upload_task";
    let call = Call::new("delete_task", path, json!({ "taskIds": [task] }));
    match api.call(call).await {
        Err(error) if error.kind != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a task that is not wanted any more, and the file that it may have made: the one whose id
/// the task tells, and no other. `patience`: how long a file may still come of it ([`SETTLE`]), zero
/// where it has no bytes.
///
/// # Errors
/// With the task left as it is, when it cannot be known whether it makes a file.
pub async fn undo(api: &Api, task: &str, patience: Duration) -> Result<()> {
    let end = Instant::now() + patience;
    let mut pause = FIRST;
    let (mut unnamed, mut failures) = (0, 0);
    let settled = loop {
        let over = Instant::now() + pause >= end;
        match look(api, task).await {
            Ok(State::Done(data)) => {
                remove(api, &data).await?;
                break true;
            }
            Ok(State::Gone(_)) => break true,
            Ok(State::Importing) => (unnamed, failures) = (0, 0),
            Ok(State::Unnamed) => unnamed += 1,
            Err(error) => {
                failures += 1;
                let refused = error.retry == Retry::Never;
                let last = over || failures > FAILURES;
                if refused || patience.is_zero() || (last && is_internal(&error)) {
                    // No file comes of it. Its removal will tell whether the service can be reached.
                    tracing::debug!(task, %error, "an upload task could not be looked at");
                    break false;
                }
                if last {
                    return Err(error);
                }
            }
        }
        if over || unnamed >= UNNAMED {
            break false;
        }
        tokio::time::sleep(pause).await;
        pause = pause.mul_f64(1.5).min(SLOWEST);
    };
    discard(api, task).await?;
    // It may have been taken in between the last look and the removal.
    if !settled && let Ok(State::Done(data)) = look(api, task).await {
        remove(api, &data).await?;
    }
    Ok(())
}

/// Moves the file that a task made to the trash.
async fn remove(api: &Api, data: &Value) -> Result<()> {
    let mut data = data.clone();
    if decode::nonempty(&data["fileName"]).is_none() {
        // Its id is enough.
        data["fileName"] = json!("file");
    }
    trash(api, &list::node(&data, None)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_sent() {
        let none = Hashes::default();
        assert!(none.none());
        assert_eq!(none.res(7), json!({"fileSize":7}));
        let md5 = Hashes {
            md5: Some("aa"),
            gcid_cid: None,
        };
        assert_eq!(md5.res(7), json!({"fileSize":7,"md5":"aa"}));
        let pair = Hashes {
            md5: None,
            gcid_cid: Some(("G", "C")),
        };
        assert!(!pair.none());
        assert_eq!(pair.res(7), json!({"fileSize":7,"gcid":"G","cid":"C"}));
    }
}
