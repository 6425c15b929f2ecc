//! Batch tasks (sheet section 4.5): made, followed to their end, and given up at a conflict.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::api::{Api, Call};
use super::error::may_be_done;
use super::list::exists;
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result, decode};
use crate::net::Retry;

/// A task that takes longer than this is told as a timeout.
const LONGEST: Duration = Duration::from_secs(120);

/// One task over one node.
pub struct Task<'a> {
    /// `COPY`, `MOVE`, `DELETE`, `RESTORE`, `CLEAR_RECYCLE` or `SHARE_SAVE`.
    pub kind: &'static str,
    /// Label of its calls.
    pub op: &'static str,
    pub id: &'a str,
    /// As the service spells it.
    pub name: &'a str,
    pub is_dir: bool,
    /// Where it comes from, for `RESTORE`.
    pub parent: Option<&'a NodeId>,
    /// Where it goes.
    pub target: Option<&'a NodeId>,
    /// For `SHARE_SAVE`.
    pub share_id: Option<&'a str>,
}

impl<'a> Task<'a> {
    pub fn new(kind: &'static str, op: &'static str, node: &'a Node, name: &'a str) -> Task<'a> {
        Task {
            kind,
            op,
            id: node.id.as_str(),
            name,
            is_dir: node.is_dir(),
            parent: None,
            target: None,
            share_id: None,
        }
    }

    fn infos(&self) -> String {
        let mut info = json!({
            "fileId": self.id,
            // Any text that is not empty will do.
            "fileName": if self.name.is_empty() { "node" } else { self.name },
            "isFolder": i32::from(self.is_dir),
        });
        if let Some(parent) = self.parent {
            info["srcParentId"] = json!(parent.as_str());
        }
        json!([info]).to_string()
    }

    fn call(&self) -> Call {
        let target = self.target.map_or("", NodeId::as_str);
        let call = Call::post(self.op, "/batch/createBatchTask.action")
            .field("type", self.kind)
            .field("taskInfos", self.infos())
            .field("targetFolderId", target);
        let call = match self.share_id {
            Some(share) => call.field("shareId", share),
            None => call,
        };
        // A second copy would be in conflict with the first.
        match self.kind {
            "COPY" | "SHARE_SAVE" => call.once(),
            _ => call,
        }
    }
}

/// Runs a task to its end and returns the ids it made, where the service tells them.
///
/// # Errors
/// `Exists` at a conflict, with the task given up and nothing changed; `NotFound` when the node is
/// gone; `Provider` when it failed; `Timeout` when it is still running.
pub async fn run(api: &Api, task: &Task<'_>) -> Result<Vec<NodeId>> {
    let _turn = api.tasks.lock().await;
    let id = match api.call(task.call()).await {
        Ok(answer) => decode::nonempty(&answer["taskId"])
            .ok_or_else(|| DriveError::bad_answer(task.op, "no taskId"))?,
        // The same task is running already, from a call whose answer was lost.
        Err(error) if error.kind == ErrorKind::Busy => match running(&error) {
            Some(id) => id,
            None => return Err(error),
        },
        Err(error) => return Err(error),
    };
    follow(api, task, &id).await
}

/// The id in the message of a task that is running already.
fn running(error: &DriveError) -> Option<String> {
    error
        .message
        .split(|c: char| !c.is_ascii_digit())
        .find(|digits| digits.len() >= 8)
        .map(str::to_owned)
}

async fn follow(api: &Api, task: &Task<'_>, id: &str) -> Result<Vec<NodeId>> {
    let end = Instant::now() + LONGEST;
    let mut pause = Duration::from_millis(200);
    loop {
        let call = Call::post("task", "/batch/checkBatchTask.action")
            .field("type", task.kind)
            .field("taskId", id)
            .class("task");
        let answer = api.call(call).await?;
        match decode::integer(&answer["taskStatus"]) {
            Some(4) => return finished(task, &answer),
            Some(2) => {
                cancel(api, task, id).await?;
                return Err(exists(task.name));
            }
            Some(1 | 3) => {}
            Some(status @ (-1 | 5)) => {
                return Err(DriveError::new(
                    ErrorKind::Provider,
                    format!(
                        "{}: the provider gave the task up (status {status})",
                        task.op
                    ),
                ));
            }
            other => {
                let what = format!("task status {other:?}");
                return Err(DriveError::bad_answer(task.op, what));
            }
        }
        if Instant::now() + pause >= end {
            return Err(DriveError::new(
                ErrorKind::Timeout,
                format!(
                    "{}: the provider has not finished the task within {} s",
                    task.op,
                    LONGEST.as_secs()
                ),
            ));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

fn finished(task: &Task<'_>, answer: &Value) -> Result<Vec<NodeId>> {
    let number = |key: &str| decode::unsigned(&answer[key]).unwrap_or(0);
    if number("failedCount") > 0 {
        return Err(DriveError::new(
            ErrorKind::Provider,
            format!("{}: the provider's task failed", task.op),
        ));
    }
    if number("skipCount") > 0 {
        return Err(exists(task.name));
    }
    let made = decode::list(&answer["successedFileIdList"]);
    Ok(made
        .iter()
        .filter_map(decode::nonempty)
        .map(NodeId::new)
        .collect())
}

/// A task that waits for a decision holds its nodes; nothing of it was done.
async fn cancel(api: &Api, task: &Task<'_>, id: &str) -> Result<()> {
    let call = Call::post("task_cancel", "/batch/cancelBatchTask.action")
        .field("type", task.kind)
        .field("taskId", id)
        .class("task");
    match api.call(call).await {
        Err(error) if may_be_done(&error) && error.retry != Retry::Never => Err(error),
        // It may have ended by itself.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task<'a>() -> Task<'a> {
        Task {
            kind: "DELETE",
            op: "trash",
            id: "721451222222222222",
            name: "a b.txt",
            is_dir: false,
            parent: None,
            target: None,
            share_id: None,
        }
    }

    #[test]
    fn infos_are_a_list_in_a_text() {
        let infos: Value = serde_json::from_str(&task().infos()).unwrap();
        assert_eq!(
            infos,
            json!([{"fileId":"721451222222222222","fileName":"a b.txt","isFolder":0}])
        );
        let parent = NodeId::new("-11");
        let restored = Task {
            parent: Some(&parent),
            name: "",
            ..task()
        };
        let infos: Value = serde_json::from_str(&restored.infos()).unwrap();
        assert_eq!(
            (&infos[0]["srcParentId"], &infos[0]["fileName"]),
            (&json!("-11"), &json!("node"))
        );
    }

    #[test]
    fn finished_is_not_yet_well_done() {
        let of = |answer| finished(&task(), &answer);
        let ids = of(json!({"taskStatus":4,"failedCount":0,
            "successedFileIdList":[721451333333333333_u64,"8"]}));
        let ids = ids.unwrap();
        let ids: Vec<&str> = ids.iter().map(NodeId::as_str).collect();
        assert_eq!(ids, ["721451333333333333", "8"]);
        assert!(of(json!({"successedFileIdList":null})).unwrap().is_empty());
        assert_eq!(
            of(json!({"failedCount":"1"})).unwrap_err().kind,
            ErrorKind::Provider
        );
        assert_eq!(
            of(json!({"skipCount":1})).unwrap_err().kind,
            ErrorKind::Exists
        );
    }

    #[test]
    fn a_running_task_is_named() {
        let busy = DriveError::new(ErrorKind::Busy, "copy: running: 2603140805000001");
        assert_eq!(running(&busy).as_deref(), Some("2603140805000001"));
        assert_eq!(
            running(&DriveError::new(ErrorKind::Busy, "copy: busy")),
            None
        );
    }
}
