//! Size and version of a file. No listing tells them (sheet section 4): the history of the file
//! does, one call per file. Asked in parallel for a page, and kept until the listing shows another
//! time of modification.

use serde_json::Value;

use super::answer::is_forbidden;
use super::api::Api;
use super::entry::segment;
use super::times;
use crate::drive::{DriveError, ErrorKind, Result, decode};
use crate::net::{Retry, retry};

/// Size and version of a file at one time of modification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Bytes.
    pub size: u64,
    /// The service's version, changed by every upload and by no rename.
    pub version: String,
    /// When that version was made, milliseconds since the epoch; 0 when unknown.
    pub made: i64,
    /// The time of modification that it was asked for at.
    stamp: i64,
    /// Not believed after this: times are in seconds, so that a file may change twice in one.
    until: i64,
}

/// A file that was changed this recently may change again in the same second.
const RACY_MS: i64 = 10_000;
/// How long what was learned of such a file is believed.
const RACY_LIFE_MS: i64 = 2_000;
/// Entries of a history asked for; the newest comes first.
const PAGE: u32 = 50;
/// Pages of renames after which a history is not looked into further.
const PAGES: u32 = 5;

/// What is known of `token`, modified at `stamp`. `listed` is the size where the listing told one.
pub async fn of(api: &Api, token: &str, stamp: i64, listed: Option<u64>) -> Result<Facts> {
    let now = api.now_ms();
    if let Some(facts) = api.facts.get(token)
        && facts.stamp == stamp
        && now < facts.until
    {
        return Ok(facts);
    }
    let found = match newest(api, token).await {
        Ok(found) => found,
        Err(error) if is_forbidden(&error) => None,
        Err(error) => return Err(error),
    };
    let (size, version, made) = match (found, listed) {
        (Some(newest), _) => (newest.size, newest.version, newest.time),
        // Who may read a file need not see its history. The time stands in for the version.
        (None, Some(size)) => (size, format!("t{stamp}"), 0),
        (None, None) => (probe(api, token).await?, format!("t{stamp}"), 0),
    };
    Ok(keep(api, token, stamp, size, version, made))
}

/// What was just uploaded: the newest version, whatever was known.
///
/// # Errors
/// `NotFound` when the history tells no version.
pub async fn fresh(api: &Api, token: &str) -> Result<Facts> {
    api.facts.invalidate(token);
    let newest = newest(api, token)
        .await?
        .ok_or_else(|| DriveError::not_found(format!("a version of {token}")))?;
    let stamp = newest.time;
    Ok(keep(api, token, stamp, newest.size, newest.version, stamp))
}

fn keep(api: &Api, token: &str, stamp: i64, size: u64, version: String, made: i64) -> Facts {
    let now = api.now_ms();
    let racy = now.saturating_sub(stamp) < RACY_MS;
    let facts = Facts {
        size,
        version,
        made,
        stamp,
        until: match racy {
            true => now.saturating_add(RACY_LIFE_MS),
            false => i64::MAX,
        },
    };
    api.facts.insert(token.to_owned(), facts.clone());
    facts
}

/// The newest version in a history.
struct Newest {
    size: u64,
    version: String,
    time: i64,
}

async fn newest(api: &Api, token: &str) -> Result<Option<Newest>> {
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let path = format!("/drive/v1/files/{}/history", segment(token));
        let mut request = api
            .get("history", "history", &path)
            .query("page_size", &PAGE.to_string());
        if let Some(cursor) = &cursor {
            request = request.query("last_edit_time", cursor);
        }
        let answer = api.call_of_many(request).await?;
        let items = decode::list(&answer["items"]);
        if let Some(newest) = newest_of(items) {
            return Ok(Some(newest));
        }
        let last = items.last().map(|item| decode::text(&item["edit_time"]));
        match last.filter(|last| !last.is_empty() && Some(last) != cursor.as_ref()) {
            Some(last) if decode::flag(&answer["has_more"]) => cursor = Some(last),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Of the entries that brought content (1 an upload, 4 a revert; 2 is a rename, 3 the removal of
/// an old version) the latest; in one second the one with the largest version.
fn newest_of(items: &[Value]) -> Option<Newest> {
    let content = |item: &&Value| {
        matches!(decode::integer(&item["type"]), Some(1 | 4)) && !decode::flag(&item["is_deleted"])
    };
    let order = |item: &Value| {
        let version = decode::text(&item["version"]);
        (
            times::millis(&item["edit_time"]),
            version.parse::<u128>().unwrap_or(0),
        )
    };
    let mut best: Option<&Value> = None;
    for item in items.iter().filter(content) {
        if best.is_none_or(|best| order(item) > order(best)) {
            best = Some(item);
        }
    }
    let best = best?;
    Some(Newest {
        size: decode::unsigned(&best["size"])?,
        version: decode::nonempty(&best["version"])?,
        time: times::millis(&best["edit_time"]),
    })
}

/// The size by a download of one byte (section 5): it costs one of five downloads a second.
async fn probe(api: &Api, token: &str) -> Result<u64> {
    let range = 0..1;
    retry(crate::drive::patience(), || async {
        let response = super::read::ask(api, token, &range).await?;
        let total = response.header("content-range").and_then(|text| {
            let total = text.trim().rsplit_once('/')?.1;
            total.parse::<u64>().ok()
        });
        match (response.status.as_u16(), total, response.content_length()) {
            (206, Some(total), _) | (416, Some(total @ 0), _) => Ok(total),
            (200, _, Some(length)) => Ok(length),
            _ => Err(
                DriveError::new(ErrorKind::BadAnswer, "download: no size in the answer")
                    .retry(Retry::Never),
            ),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rename_makes_no_version() {
        let items = json!([
            {"version":"9","edit_time":"1700000300","type":2,"size":5,"is_deleted":false},
            {"version":"8","edit_time":"1700000200","type":1,"size":"7","is_deleted":false},
            {"version":"7","edit_time":"1700000100","type":1,"size":3,"is_deleted":false}
        ]);
        let newest = newest_of(items.as_array().unwrap()).unwrap();
        assert_eq!((newest.version.as_str(), newest.size), ("8", 7));
        assert_eq!(newest.time, 1_700_000_200_000);
    }

    #[test]
    fn two_uploads_of_one_second_are_told_apart() {
        let items = json!([
            {"version":"71","edit_time":"1700000200","type":1,"size":1},
            {"version":"112","edit_time":"1700000200","type":4,"size":2},
            {"version":"113","edit_time":"1700000200","type":1,"size":9,"is_deleted":true}
        ]);
        let newest = newest_of(items.as_array().unwrap()).unwrap();
        assert_eq!((newest.version.as_str(), newest.size), ("112", 2));
        assert!(newest_of(&[]).is_none());
        assert!(newest_of(&[json!(null), json!({"type":1,"size":-1})]).is_none());
    }
}
