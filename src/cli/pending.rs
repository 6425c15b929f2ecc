//! Waiting for uploads: requests that may take hours, and what is shown meanwhile.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::CliError;
use super::client::Client;

/// Uploads of a large stage over a slow line take long; a daemon that dies ends the wait at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How often the daemon is asked how many uploads are left.
const LOOK: Duration = Duration::from_secs(1);

/// Posts a request that may wait for uploads. On a terminal standard error shows how many are
/// left.
///
/// # Errors
/// The daemon's.
pub(super) async fn post_and_wait(
    client: &Client,
    path: &str,
    body: &Value,
) -> Result<Value, CliError> {
    let patient = client.clone().deadline(PATIENCE);
    let request = patient.call("POST", path, Some(body));
    if !std::io::stderr().is_terminal() {
        return request.await;
    }
    let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        line.set_style(style);
    }
    tokio::pin!(request);
    let answer = loop {
        tokio::select! {
            answer = &mut request => break answer,
            () = tokio::time::sleep(LOOK) => {
                line.tick();
                tokio::select! {
                    answer = &mut request => break answer,
                    status = client.call("GET", "/v1/status", None) => {
                        if let Ok(status) = status {
                            let left = status["pendingTransfers"].as_u64().unwrap_or(0);
                            line.set_message(format!("waiting for {left} upload(s)"));
                        }
                    }
                }
            }
        }
    };
    line.finish_and_clear();
    answer
}
