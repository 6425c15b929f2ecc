//! Operation tasks: moves, copies, deletes and restores run behind their call (sheet section 4.5).

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::api::{Api, Call};
use super::error::of_code;
use crate::drive::{DriveError, ErrorKind, Result, decode};
use crate::net::Retry;

/// A task is watched this long; then its result is unknown.
const LONGEST: Duration = Duration::from_secs(90);

/// Pauses between two looks.
const FIRST: Duration = Duration::from_millis(300);
const SLOWEST: Duration = Duration::from_secs(1);

/// So many looks in a row may fail.
const FAILURES: u32 = 3;

/// Waits for the task that the content of an answer names. Without one the operation is done.
///
/// # Errors
/// What made the task fail, by its code where it is a known one, else `Provider`; `Timeout` when
/// it still runs.
pub async fn finish(api: &Api, data: &Value) -> Result<()> {
    let Some(task) = decode::nonempty(&data["taskId"]) else {
        return Ok(());
    };
    let end = Instant::now() + LONGEST;
    let (mut pause, mut failures) = (FIRST, 0);
    loop {
        let body = json!({ "taskId": task });
        let look = Call::new("task", "/userres/v1/get_task_status", body).class("poll");
        match api.attempt(&look).await {
            Ok(reply) => {
                failures = 0;
                if let Some(outcome) = outcome(&reply.data) {
                    return outcome;
                }
            }
            // A task that the service forgot is done; the callers look at what became of it.
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                failures += 1;
                if error.retry == Retry::Never || failures > FAILURES {
                    return Err(error);
                }
            }
        }
        if Instant::now() + pause >= end {
            return Err(DriveError::new(
                ErrorKind::Timeout,
                format!(
                    "the provider has not finished the operation within {} s",
                    LONGEST.as_secs()
                ),
            ));
        }
        tokio::time::sleep(pause).await;
        pause = pause.mul_f64(1.5).min(SLOWEST);
    }
}

/// How a task ended; `None` while it runs.
fn outcome(data: &Value) -> Option<Result<()>> {
    let code = decode::integer(&data["detail"]["code"]).unwrap_or(0);
    let told = decode::text(&data["detail"]["msg"]);
    match decode::integer(&data["status"]) {
        Some(2) if code == 0 => Some(Ok(())),
        Some(2 | 3 | -1) => {
            let error = of_code("task", code, &told, None).unwrap_or_else(|| {
                let told: String = told.chars().take(120).collect();
                DriveError::new(
                    ErrorKind::Provider,
                    format!(
                        "the provider's task failed: {}",
                        crate::net::redact_text(&told)
                    ),
                )
                .code(code.to_string())
            });
            // The task has ended: no look at it changes that.
            Some(Err(error.retry(Retry::Never)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_is_done_only_without_a_code() {
        let of = |status: i64, code: i64| {
            let data = json!({"status":status,"detail":{"code":code,"msg":"m"}});
            outcome(&data).map(|outcome| outcome.map_err(|error| error.kind))
        };
        assert_eq!(of(0, 0), None);
        assert_eq!(of(1, 0), None);
        assert_eq!(of(2, 0), Some(Ok(())));
        assert_eq!(of(2, 160), Some(Err(ErrorKind::Exists)));
        assert_eq!(of(3, 0), Some(Err(ErrorKind::Provider)));
        assert_eq!(of(-1, 143), Some(Err(ErrorKind::NotFound)));
        assert_eq!(
            outcome(&json!({"status":"2"})).map(|o| o.is_ok()),
            Some(true)
        );
        assert!(outcome(&json!({})).is_none());
    }
}
