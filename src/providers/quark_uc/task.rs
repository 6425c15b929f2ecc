//! Tasks: moves, copies, deletes and saves run behind their call (sheet quark, 4.9).

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::api::{Api, Call};
use crate::drive::{DriveError, ErrorKind, Result, decode};
use crate::net::redact_text;

/// A task is watched this long.
const LONGEST: Duration = Duration::from_secs(90);

/// The pause between two looks when the service tells none.
const GAP_MS: u64 = 500;

/// Waits for the task that an answer names, and returns what the task made. An answer without a
/// task, or with a finished one, is taken at its word unless `wanted` says that the task's own
/// record is needed.
///
/// # Errors
/// `Provider` when the task failed, `Timeout` when it still runs.
pub async fn finish(api: &Api, answer: &Value, wanted: bool) -> Result<Value> {
    let data = &answer["data"];
    let Some(task) = decode::nonempty(&data["task_id"]) else {
        return Ok(data.clone());
    };
    if data["task_resp"].is_object() {
        return Ok(data.clone());
    }
    if decode::flag(&data["finish"]) && !wanted {
        return Ok(data.clone());
    }
    let end = Instant::now() + LONGEST;
    for index in 0_u32.. {
        let call = Call::get("task", "/task")
            .query("task_id", task.as_str())
            .query("retry_index", index.to_string());
        let answer = api.call(call).await?;
        let record = &answer["data"];
        match decode::integer(&record["status"]) {
            Some(2) => return Ok(record.clone()),
            Some(0 | 1) | None => {}
            Some(_) => {
                let told = decode::text(&record["message"]);
                let told = redact_text(&told.chars().take(120).collect::<String>());
                return Err(DriveError::new(
                    ErrorKind::Provider,
                    format!("the provider's task failed: {told}"),
                ));
            }
        }
        let gap = decode::unsigned(&answer["metadata"]["tq_gap"]).unwrap_or(GAP_MS);
        let gap = Duration::from_millis(gap.clamp(100, 5000));
        if Instant::now() + gap >= end {
            break;
        }
        tokio::time::sleep(gap).await;
    }
    Err(DriveError::new(
        ErrorKind::Timeout,
        format!(
            "the provider has not finished the operation within {} s",
            LONGEST.as_secs()
        ),
    ))
}
