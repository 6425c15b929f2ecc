//! Directories, renames, moves, copies, trash (sheet sections 4.7, 4.8). All of them address by
//! path: the path is read by id right before, so that the entry is the one that is meant, and an
//! operation whose answer was lost finds itself done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::answer::{may_have_happened, refusal};
use super::api::Api;
use super::list::{self, Entry};
use super::names;
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result, decode, patience};
use crate::net::{Retry, retry};

/// How far the service's clock may be behind ours when "made since" is judged.
pub const SKEW_MS: i64 = 120_000;

/// Pause between two questions for a task.
const POLL: Duration = Duration::from_secs(1);

/// Questions for one task.
const POLLS: u32 = 300;

/// Whether a lost answer was a success: the same question may be asked again then.
pub fn again_if_lost(error: DriveError) -> DriveError {
    if may_have_happened(&error) {
        error.retry(Retry::Backoff)
    } else {
        error
    }
}

pub fn taken(name: &str) -> DriveError {
    DriveError::new(ErrorKind::Exists, format!("{name:?} exists already"))
}

pub async fn mkdir(api: &Api, parent: &NodeId, name: &str) -> Result<Node> {
    let encoded = names::encode(name)?;
    let started = api.now_ms();
    let lost = AtomicBool::new(false);
    retry(patience(), || async {
        // Missing parents would be made as well: this one must be there.
        let dir = list::fresh_dir_path(api, parent).await?;
        let path = names::join(&dir, &encoded)?;
        if lost.load(Ordering::Relaxed)
            && let (_, Some(entry)) = list::find(api, parent, &encoded).await?
        {
            let ours = entry.is_dir
                && entry.server_ctime.saturating_mul(1000) >= started.saturating_sub(SKEW_MS);
            return if ours {
                Ok(entry.node(parent.clone()))
            } else {
                Err(taken(name))
            };
        }
        let seconds = (started / 1000).to_string();
        let request = api
            .post("mkdir", "mutate", "/rest/2.0/xpan/file")
            .query("method", "create")
            .form(&[
                ("path", &path),
                ("size", "0"),
                ("isdir", "1"),
                ("rtype", "0"),
                ("local_ctime", &seconds),
                ("local_mtime", &seconds),
            ]);
        let answer = match api.attempt(request).await {
            Ok(answer) => answer,
            Err(error) => {
                lost.fetch_or(may_have_happened(&error), Ordering::Relaxed);
                return Err(again_if_lost(error));
            }
        };
        let mut item = answer;
        item["isdir"] = json!(1);
        let made = list::entry(&item, Some(&dir))?;
        if made.path != path {
            // `rtype` 0 never gives another name; were it ever different, it is not kept.
            delete(api, &made).await?;
            return Err(taken(name));
        }
        api.paths
            .learn(&NodeId::new(made.id.as_str()), &made.path, api.now_ms());
        let mut node = made.node(parent.clone());
        if node.modified == 0 {
            node.modified = started;
        }
        Ok(node)
    })
    .await
}

pub async fn rename(api: &Api, node: &Node, name: &str) -> Result<Node> {
    let wanted = names::encode(name)?;
    let entry = relocate(api, &node.id, None, &wanted).await?;
    Ok(entry.node(node.parent.clone()))
}

pub async fn move_to(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
    let name = names::encode(&node.name)?;
    let entry = relocate(api, &node.id, Some(parent), &name).await?;
    Ok(entry.node(parent.clone()))
}

/// Brings an entry into `parent` (`None`: where it is) under `name` (in the provider's
/// spelling). Never replaces.
pub async fn relocate(
    api: &Api,
    id: &NodeId,
    parent: Option<&NodeId>,
    name: &str,
) -> Result<Entry> {
    retry(patience(), || async {
        let entry = list::entry_of(api, id).await?;
        let here = names::parent_of(&entry.path).to_owned();
        let dir = match parent {
            None => here.clone(),
            Some(parent) => list::fresh_dir_path(api, parent).await?,
        };
        let path = names::join(&dir, name)?;
        if path == entry.path {
            return Ok(entry);
        }
        let done = if dir == here {
            let item = json!({ "path": entry.path, "newname": name });
            manage(api, "rename", &item, entry.is_dir).await
        } else {
            let item = json!({ "path": entry.path, "dest": dir, "newname": name });
            manage(api, "move", &item, entry.is_dir).await
        };
        done.map_err(again_if_lost)?;
        if entry.is_dir {
            api.paths.moved(&entry.path, Some(&path));
            api.paths.learn(id, &path, api.now_ms());
        }
        Ok(Entry { path, ..entry })
    })
    .await
}

pub async fn copy(api: &Api, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    if node.is_dir() {
        return Err(DriveError::unsupported(
            "a copy of a whole directory at the provider",
        ));
    }
    let encoded = names::encode(name)?;
    let started = api.now_ms();
    let lost = AtomicBool::new(false);
    retry(patience(), || async {
        let source = list::entry_of(api, &node.id).await?;
        let dir = list::fresh_dir_path(api, parent).await?;
        names::join(&dir, &encoded)?;
        let item = json!({ "path": source.path, "dest": dir, "newname": encoded });
        let before = lost.load(Ordering::Relaxed);
        match manage(api, "copy", &item, false).await {
            Ok(()) => {}
            // Ours, when an earlier answer was lost; the entry itself decides below.
            Err(error) if before && error.kind == ErrorKind::Exists => {}
            Err(error) => {
                lost.fetch_or(may_have_happened(&error), Ordering::Relaxed);
                return Err(again_if_lost(error));
            }
        }
        // The answer does not tell the new id.
        let (_, made) = list::find(api, parent, &encoded).await?;
        let made = made.ok_or_else(|| {
            DriveError::bad_answer("copy", "the copy is not listed").retry(Retry::Backoff)
        })?;
        let ours = !made.is_dir
            && made.size == source.size
            && made.cloud_md5 == source.cloud_md5
            && made.id != source.id;
        let fresh = made.server_ctime.saturating_mul(1000) >= started.saturating_sub(SKEW_MS);
        if !ours || (before && !fresh) {
            return Err(taken(name));
        }
        Ok(made.node(parent.clone()))
    })
    .await
}

pub async fn trash(api: &Api, node: &Node) -> Result<()> {
    trash_id(api, &node.id).await
}

/// Moves what this id names now, wherever it is, to the trash.
pub async fn trash_id(api: &Api, id: &NodeId) -> Result<()> {
    retry(patience(), || async {
        let entry = match list::entry_of(api, id).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        delete(api, &entry).await.map_err(again_if_lost)
    })
    .await
}

/// Moves an entry that was read just now to the trash.
async fn delete(api: &Api, entry: &Entry) -> Result<()> {
    match manage(api, "delete", &json!(entry.path), entry.is_dir).await {
        Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if entry.is_dir {
        api.paths.moved(&entry.path, None);
    }
    Ok(())
}

/// One operation on one entry. Directories may take long: there the service decides whether it
/// becomes a task (section 4.7, `async` 1).
async fn manage(api: &Api, opera: &'static str, item: &Value, is_dir: bool) -> Result<()> {
    let list = json!([item]).to_string();
    let mut form = vec![
        ("async", if is_dir { "1" } else { "0" }),
        ("filelist", list.as_str()),
    ];
    if opera != "delete" {
        form.push(("ondup", "fail"));
    }
    let request = api
        .post("filemanager", "mutate", "/rest/2.0/xpan/file")
        .query("method", "filemanager")
        .query("opera", opera)
        .form(&form);
    let _one_at_a_time = api.mutations.lock().await;
    let answer = api.manage(request).await?;
    match decode::nonempty(&answer["taskid"]).filter(|task| task != "0") {
        Some(task) => finish_task(api, &task).await,
        None => Ok(()),
    }
}

/// Waits for the end of a task.
async fn finish_task(api: &Api, task: &str) -> Result<()> {
    for _ in 0..POLLS {
        let request = api
            .get("task", "other", "/share/taskquery")
            .query("taskid", task);
        let state = api.call(request).await?;
        if let Some(end) = task_end(&state) {
            return end;
        }
        tokio::time::sleep(POLL).await;
    }
    Err(DriveError::new(
        ErrorKind::Busy,
        "the provider's task is still running; look again later",
    ))
}

/// How a task ended, `None` while it runs.
fn task_end(state: &Value) -> Option<Result<()>> {
    let failed = || {
        let code = std::iter::once(&state["task_errno"])
            .chain(
                decode::list(&state["list"])
                    .iter()
                    .map(|item| &item["error_code"]),
            )
            .filter_map(decode::integer)
            .find(|code| *code != 0);
        match code {
            Some(code) => refusal("task", 200, &code.to_string(), "", &HeaderMap::new()),
            None => DriveError::new(ErrorKind::Provider, "the provider's task failed"),
        }
    };
    match decode::text(&state["status"]).as_str() {
        "success" => Some(Ok(())),
        "failed" => Some(Err(failed())),
        "pending" | "running" => None,
        _ => Some(Err(DriveError::bad_answer("task", "no status"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_ends_with_the_code_of_its_item() {
        assert!(task_end(&json!({"status":"running","progress":40})).is_none());
        assert!(task_end(&json!({"status":"pending","list":null})).is_none());
        assert!(
            task_end(&json!({"status":"success","task_errno":0}))
                .unwrap()
                .is_ok()
        );
        let failed = json!({"status":"failed","task_errno":0,"list":[{"error_code":"-8"}]});
        assert_eq!(
            task_end(&failed).unwrap().unwrap_err().kind,
            ErrorKind::Exists
        );
        let bare = json!({"status":"failed","task_errno":null,"list":null});
        assert_eq!(
            task_end(&bare).unwrap().unwrap_err().kind,
            ErrorKind::Provider
        );
        let none = task_end(&json!({})).unwrap().unwrap_err();
        assert_eq!(none.kind, ErrorKind::BadAnswer);
    }
}
