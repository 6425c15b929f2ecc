//! Directories, renames, moves, copies, trash (sheet sections 4.7 to 4.9).

use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, Repeat};
use super::list;
use super::names::RULES;
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result, decode};

pub async fn mkdir(api: &Api, parent: &NodeId, name: &str) -> Result<Node> {
    let body = json!({
        "drive_id": api.drive_id().await?,
        "parent_file_id": parent.as_str(),
        "name": RULES.encode(name)?,
        "type": "folder",
        "check_name_mode": "refuse",
    });
    let path = "/adrive/v1.0/openFile/create";
    let answer = api
        .call("mkdir", path, "other", Repeat::Unsafe, &body)
        .await?;
    refuse_existing(&answer, name)?;
    let mut node = list::node(&answer, Some(parent))?;
    let now = api.client.clock().now_ms();
    (node.modified, node.created) = (now, now);
    Ok(node)
}

pub async fn rename(api: &Api, node: &Node, name: &str) -> Result<Node> {
    let body = json!({
        "drive_id": api.drive_id().await?,
        "file_id": node.id.as_str(),
        "name": RULES.encode(name)?,
        "check_name_mode": "refuse",
    });
    let answer = api
        .call(
            "rename",
            "/adrive/v1.0/openFile/update",
            "other",
            Repeat::Safe,
            &body,
        )
        .await?;
    refuse_existing(&answer, name)?;
    let renamed = list::node(&answer, Some(&node.parent))?;
    if renamed.name != name {
        return Err(DriveError::new(
            ErrorKind::Exists,
            format!("the provider stored {:?} instead of {name:?}", renamed.name),
        ));
    }
    Ok(renamed)
}

pub async fn move_to(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
    let body = json!({
        "drive_id": api.drive_id().await?,
        "file_id": node.id.as_str(),
        "to_parent_file_id": parent.as_str(),
        "check_name_mode": "refuse",
    });
    let answer = api
        .call(
            "move",
            "/adrive/v1.0/openFile/move",
            "other",
            Repeat::Safe,
            &body,
        )
        .await?;
    refuse_existing(&answer, &node.name)?;
    finish_task(api, &answer).await?;
    Ok(Node {
        parent: parent.clone(),
        ..node.clone()
    })
}

pub async fn copy(api: &Api, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    if node.is_dir() || name != node.name {
        return Err(DriveError::unsupported(
            "a server-side copy under another name",
        ));
    }
    // The call knows no conflict rule and makes a second entry of the name (section 4.8).
    list::refuse_taken(api, parent, name).await?;
    let body = json!({
        "drive_id": api.drive_id().await?,
        "file_id": node.id.as_str(),
        "to_parent_file_id": parent.as_str(),
        "auto_rename": false,
    });
    let answer = api
        .call(
            "copy",
            "/adrive/v1.0/openFile/copy",
            "other",
            Repeat::Unsafe,
            &body,
        )
        .await?;
    finish_task(api, &answer).await?;
    let id = decode::nonempty(&answer["file_id"])
        .ok_or_else(|| DriveError::bad_answer("copy", "no file_id"))?;
    Ok(Node {
        id: NodeId::new(id),
        parent: parent.clone(),
        ..node.clone()
    })
}

pub async fn trash(api: &Api, node: &Node) -> Result<()> {
    let body = json!({ "drive_id": api.drive_id().await?, "file_id": node.id.as_str() });
    let path = "/adrive/v1.0/openFile/recyclebin/trash";
    match api.call("trash", path, "other", Repeat::Safe, &body).await {
        Ok(answer) => finish_task(api, &answer).await,
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// With `refuse`, a taken name is told as `exist: true` in an HTTP 200 (section 7.6).
pub fn refuse_existing(answer: &Value, name: &str) -> Result<()> {
    if decode::flag(&answer["exist"]) {
        return Err(DriveError::new(
            ErrorKind::Exists,
            format!("{name:?} exists already"),
        ));
    }
    Ok(())
}

/// Waits for the task of an operation on a directory, at most 30 s; the entry itself moves at
/// once, so a longer task is not an error.
async fn finish_task(api: &Api, answer: &Value) -> Result<()> {
    let Some(task) = decode::nonempty(&answer["async_task_id"]) else {
        return Ok(());
    };
    for _ in 0..30 {
        let body = json!({ "async_task_id": task });
        let path = "/adrive/v1.0/openFile/async_task/get";
        let state = api.call("task", path, "other", Repeat::Safe, &body).await?;
        match state["state"].as_str() {
            Some("Running") => tokio::time::sleep(Duration::from_secs(1)).await,
            Some("Failed") => {
                return Err(DriveError::new(
                    ErrorKind::Provider,
                    "the provider's task failed",
                ));
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}
