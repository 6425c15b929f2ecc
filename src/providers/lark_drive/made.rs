//! Whether an upload whose answer was lost has made its file. There is no hash to tell it by
//! (sheet section 5): name, place, time and size must fit, and samples of the bytes must agree,
//! before a file counts as our own.

use std::ops::Range;

use super::answer::is_forbidden;
use super::api::Api;
use super::entry::Kind;
use super::upload::State;
use super::{facts, list, names, read, write};
use crate::drive::{Conversation, ErrorKind, Node, Result, UploadRequest, collect};

/// A clock of ours and one of the service may differ by this much.
const SKEW_MS: i64 = 120_000;
const WINDOW: u64 = 64 << 10;

/// The file that the upload made; `None` when there is none.
pub async fn look(
    api: &Api,
    request: &UploadRequest,
    state: &State,
    conversation: &Conversation<'_>,
) -> Result<Option<Node>> {
    let mut candidates = Vec::new();
    match &state.replaces {
        Some(token) => candidates.push(token.clone()),
        None => {
            let since = state.opened.saturating_sub(SKEW_MS);
            for entry in list::all(api, &request.parent).await? {
                let fits = entry.kind == Kind::File
                    && entry.created >= since
                    && names::means(&entry, &request.name, true);
                if fits {
                    candidates.push(entry.token);
                }
            }
        }
    }
    for token in candidates {
        let facts = match facts::fresh(api, &token).await {
            Ok(facts) => facts,
            Err(error) if error.kind == ErrorKind::NotFound || is_forbidden(&error) => continue,
            Err(error) => return Err(error),
        };
        let another = state.replaces.is_none() || facts.version != state.before;
        if another
            && facts.size == request.size
            && agrees(api, &token, request.size, state, conversation).await?
        {
            let node = write::made_file(api, &request.parent, &request.name, &token).await?;
            return Ok(Some(node));
        }
    }
    Ok(None)
}

/// Head, middle and tail.
fn windows(size: u64) -> Vec<Range<u64>> {
    if size <= 3 * WINDOW {
        return vec![0..size];
    }
    let middle = size / 2;
    vec![0..WINDOW, middle..middle + WINDOW, size - WINDOW..size]
}

async fn agrees(
    api: &Api,
    token: &str,
    size: u64,
    state: &State,
    conversation: &Conversation<'_>,
) -> Result<bool> {
    let parked = api.parked.get(&state.id);
    for range in windows(size) {
        let length = range.end.saturating_sub(range.start);
        let at_hand = parked.as_ref().and_then(|bytes| {
            let (start, end) = (range.start as usize, range.end as usize);
            (end <= bytes.len()).then(|| bytes.slice(start..end))
        });
        let meant = match at_hand {
            Some(bytes) => bytes,
            None => match conversation.read(range.clone()).await {
                Ok(bytes) => bytes,
                Err(error) if matches!(error.kind, ErrorKind::OverBudget(_)) => {
                    tracing::warn!(
                        "an upload's answer was lost, and its bytes may not be compared"
                    );
                    return Ok(false);
                }
                Err(error) => return Err(error),
            },
        };
        let made = read::bytes(api, token, range).await?;
        if collect(made, length).await? != meant {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_small_and_inside() {
        for size in [1, WINDOW, 3 * WINDOW, 3 * WINDOW + 1, 20 << 30] {
            let ranges = windows(size);
            assert!(ranges.iter().all(|r| r.start < r.end && r.end <= size));
            let sum: u64 = ranges.iter().map(|r| r.end - r.start).sum();
            assert!(sum <= 3 * WINDOW);
            assert_eq!(ranges[0].start, 0);
            assert_eq!(ranges.last().unwrap().end, size);
        }
    }
}
