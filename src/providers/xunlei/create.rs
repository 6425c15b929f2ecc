//! The create call (sheet section 6): one question that ends as a file or as a pending upload.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::api::{Api, Call, FILES, wire};
use super::error::may_be_done;
use super::list::{self, Entries};
use super::names::{RULES, is_numbered};
use super::write::{delete, wrong_name};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result, UploadRequest, decode};
use crate::net::Retry;

/// The gcid of nothing (section 5).
pub const EMPTY_GCID: &str = "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709";

/// How long a finished upload may take to become a whole file.
pub const COMMIT: Duration = Duration::from_secs(180);

/// Clocks may differ by this when an own entry is looked for.
const SKEW_MS: i64 = 60_000;

/// What a create call made.
pub enum Created {
    /// The service had the content: the file is there.
    Whole(Box<Node>),
    /// A pending entry that waits for its bytes.
    Pending(Pending),
}

/// A pending entry.
pub struct Pending {
    pub file_id: String,
    pub task_id: Option<String>,
    /// `resumable.params`: where the bytes go, and the key for it.
    pub params: Value,
}

/// Creates the file. A name that comes out numbered is `Exists`, with nothing left behind.
///
/// `gcid` is of these very bytes as far as anybody knows: computed, or told by a provider. The
/// service links whatever it knows under it, so a wrong one makes somebody else's file.
pub async fn create(api: &Api, request: &UploadRequest, gcid: &str) -> Result<Created> {
    let encoded = RULES.encode(&request.name)?;
    let body = json!({
        "kind": "drive#file",
        "parent_id": wire(&request.parent),
        "name": encoded,
        "size": request.size,
        "hash": gcid,
        "upload_type": "UPLOAD_TYPE_RESUMABLE",
        "space": "",
    });
    let mut again = true;
    loop {
        let since = api.now();
        let call = || api.call(Call::post("create", FILES, body.clone()).once());
        let error = match api.in_folder(&request.parent, call).await {
            Ok(answer) if decode::nonempty(&answer["file"]["id"]).is_some() => {
                return settle(api, request, &encoded, gcid, answer).await;
            }
            Ok(_) => DriveError::bad_answer("create", "no file id"),
            Err(error) => error,
        };
        if !may_be_done(&error) {
            return Err(error);
        }
        // The answer was lost: perhaps the entry is there, and its session key is lost with it.
        let Some(file) = find_own(api, request, &encoded, gcid, since).await? else {
            return Err(error);
        };
        if list::is_complete(&file) {
            return settle(api, request, &encoded, gcid, json!({ "file": file })).await;
        }
        remove(api, &decode::text(&file["id"]), None).await?;
        if !again {
            return Err(error);
        }
        again = false;
    }
}

async fn settle(
    api: &Api,
    request: &UploadRequest,
    encoded: &str,
    gcid: &str,
    mut answer: Value,
) -> Result<Created> {
    let mut file = answer["file"].take();
    let file_id = decode::text(&file["id"]);
    let task_id = decode::nonempty(&answer["task"]["id"]);
    let got = decode::text(&file["name"]);
    if !got.is_empty() && got != encoded {
        remove(api, &file_id, task_id.as_deref()).await?;
        return Err(wrong_name(&got, encoded, &request.name));
    }
    // The absence of `resumable` tells a hit, whatever `upload_type` says (section 6).
    let params = answer["resumable"]["params"].take();
    if params.is_object() {
        return Ok(Created::Pending(Pending {
            file_id,
            task_id,
            params,
        }));
    }
    if !list::is_complete(&file) {
        // Neither whole nor waiting for bytes: the service is still at it.
        file = match wait_whole(api, &file_id, task_id.as_deref(), COMMIT).await {
            Ok(file) => file,
            Err(error) => {
                remove(api, &file_id, task_id.as_deref()).await?;
                return Err(error);
            }
        };
    }
    if !is_asked_for(&file, request.size, gcid) {
        remove(api, &file_id, task_id.as_deref()).await?;
        return Err(DriveError::new(
            ErrorKind::Verification,
            "the provider linked another content than the one asked for; it was taken back",
        ));
    }
    Ok(Created::Whole(Box::new(whole(api, request, &file)?)))
}

/// Whether a linked file is what was asked for, as far as the service says.
fn is_asked_for(file: &Value, size: u64, gcid: &str) -> bool {
    let hash = decode::text(&file["hash"]);
    decode::unsigned(&file["size"]).is_none_or(|got| got == size)
        && (hash.is_empty() || hash.eq_ignore_ascii_case(gcid))
}

/// The node of a file that was just made; what the answer leaves out is known from the request.
fn whole(api: &Api, request: &UploadRequest, file: &Value) -> Result<Node> {
    let mut file = file.clone();
    if decode::nonempty(&file["name"]).is_none() {
        file["name"] = json!(RULES.encode(&request.name)?);
    }
    let mut node = list::node(&file, Some(&request.parent))?;
    if file["size"].is_null() {
        node.size = request.size;
    }
    if node.created == 0 {
        let now = api.now();
        (node.modified, node.created) = (now, now);
    }
    Ok(node)
}

/// The entry that a create call with a lost answer made: same directory, name (or a numbered
/// one), size and hash, and not older than the call.
async fn find_own(
    api: &Api,
    request: &UploadRequest,
    encoded: &str,
    gcid: &str,
    since: i64,
) -> Result<Option<Value>> {
    let files = list::all(api, &request.parent, Entries::All).await?;
    Ok(files
        .into_iter()
        .find(|file| is_own(file, request.size, encoded, gcid, since)))
}

fn is_own(file: &Value, size: u64, encoded: &str, gcid: &str, since: i64) -> bool {
    let name = decode::text(&file["name"]);
    let hash = decode::text(&file["hash"]);
    // A pending entry need not tell a hash.
    let same = hash.eq_ignore_ascii_case(gcid) || (hash.is_empty() && !list::is_complete(file));
    (name == encoded || is_numbered(&name, encoded))
        && same
        && decode::unsigned(&file["size"]) == Some(size)
        && decode::rfc3339_ms(&file["created_time"])
            .is_some_and(|created| created >= since.saturating_sub(SKEW_MS))
}

/// Waits until a file is whole, not longer than `limit`, and returns its object.
///
/// # Errors
/// `NotFound` when it is gone, `Provider` when its upload failed, `Timeout` in the end.
pub async fn wait_whole(
    api: &Api,
    file_id: &str,
    task: Option<&str>,
    limit: Duration,
) -> Result<Value> {
    let id = NodeId::new(file_id);
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(500);
    for round in 0_u32.. {
        let file = list::raw_stat(api, &id).await?;
        if decode::flag(&file["trashed"]) {
            return Err(DriveError::not_found(format!("file {id}")));
        }
        if list::is_complete(&file) {
            return Ok(file);
        }
        if file["phase"] == "PHASE_TYPE_ERROR" {
            return Err(DriveError::new(
                ErrorKind::Provider,
                "the provider could not finish the upload",
            ));
        }
        // The task tells of failures that the file does not.
        if let Some(task) = task.filter(|_| round % 4 == 2) {
            api.task_is_done(task).await?;
        }
        if Instant::now() + pause >= end {
            break;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(4));
    }
    Err(DriveError::new(
        ErrorKind::Timeout,
        format!(
            "the provider has not finished the upload within {} s",
            limit.as_secs()
        ),
    )
    .retry(Retry::Backoff))
}

/// Removes an entry that is not wanted, and its task (section 6). Something gone already is a
/// success.
pub async fn remove(api: &Api, file_id: &str, task: Option<&str>) -> Result<()> {
    delete(api, &NodeId::new(file_id)).await?;
    if let Some(task) = task {
        let call = Call::delete("delete_task", "/drive/v1/tasks")
            .query("task_ids", task)
            .query("delete_files", "true")
            .query("space", "");
        match api.call(call).await {
            // A task goes with its file or is done: nothing to remove.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid) => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    // On the sibling service the name is free a moment later only.
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_entry_is_new_and_the_same() {
        let file = json!({"name":"a(1).bin","size":"6","hash":EMPTY_GCID,
            "created_time":"1970-01-01T00:10:00Z"});
        let lower = EMPTY_GCID.to_lowercase();
        assert!(is_own(&file, 6, "a.bin", &lower, 600_000));
        assert!(is_own(&file, 6, "a.bin", EMPTY_GCID, 600_000 + SKEW_MS));
        assert!(!is_own(&file, 6, "a.bin", EMPTY_GCID, 600_001 + SKEW_MS));
        assert!(!is_own(&file, 7, "a.bin", EMPTY_GCID, 0));
        assert!(!is_own(&file, 6, "b.bin", EMPTY_GCID, 0));
        let mut quiet = file.clone();
        quiet["hash"] = json!("");
        assert!(!is_own(&quiet, 6, "a.bin", EMPTY_GCID, 0), "whole, unnamed");
        quiet["phase"] = json!("PHASE_TYPE_PENDING");
        assert!(is_own(&quiet, 6, "a.bin", EMPTY_GCID, 0));
        quiet["created_time"] = json!("");
        assert!(!is_own(&quiet, 6, "a.bin", EMPTY_GCID, 0));
    }

    #[test]
    fn another_content_is_noticed() {
        let of = |size: &str, hash: &str| {
            is_asked_for(&json!({"size": size, "hash": hash}), 6, EMPTY_GCID)
        };
        assert!(of("6", EMPTY_GCID) && of("6", &EMPTY_GCID.to_lowercase()));
        assert!(of("6", "") && is_asked_for(&json!({}), 6, EMPTY_GCID));
        assert!(!of("7", EMPTY_GCID) && !of("6", &"0".repeat(40)));
    }
}
