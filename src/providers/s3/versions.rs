//! What changes when the bytes do. Ids alone do not tell: here they are names.
//!
//! A copy at the server may have another ETag than what it is a copy of: that of parts is not the one
//! of the whole (sheet generic_backends, 2.2); and where listings have no ETags, its time is another
//! one. When a directory is renamed, everything in it is copied, and is still what it was to whoever
//! reads it or knows its hashes. So what our own renames copied keeps its version while we run.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use opendal::Metadata;

use super::address;
use super::api::{Api, Recent, lock};
use crate::drive::Node;
use crate::providers::opendal::{bare_etag, seconds_ms};

/// Begins a version that is made of time and size.
const BY_TIME: char = '~';

/// Copies that are remembered.
const MOST: usize = 20_000;

/// Versions of copies: by their keys what the server says now, and what they are copies of.
pub struct Kept(Mutex<Recent<Copied>>);

struct Copied {
    now: String,
    before: String,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept(Mutex::new(Recent::new(MOST)))
    }
}

impl Kept {
    /// The object at `key`, which is `now` to the server, is what was `before`.
    pub fn keep(&self, key: &str, now: String, before: String) {
        lock(&self.0).insert(key.to_owned(), Copied { now, before });
    }

    fn before(&self, key: &str, now: &str) -> Option<String> {
        let mut kept = lock(&self.0);
        let copied = kept.get_mut(key).filter(|copied| copied.now == now);
        copied.map(|copied| copied.before.clone())
    }

    fn now(&self, key: &str, before: &str) -> Option<String> {
        let mut kept = lock(&self.0);
        let copied = kept.get_mut(key).filter(|copied| copied.before == before);
        copied.map(|copied| copied.now.clone())
    }
}

/// The version of the object at `key`: the ETag, else time and size. Where listings have no ETags
/// single objects are not asked for theirs, or every look would be another version.
pub fn of(api: &Api, key: &str, known: &Metadata) -> String {
    let now = said(api, known);
    api.kept.before(key, &now).unwrap_or(now)
}

/// As the server says it.
pub fn said(api: &Api, known: &Metadata) -> String {
    let tag = known.etag().map(bare_etag).filter(|tag| !tag.is_empty());
    match tag {
        Some(tag) if !api.bare_lists.load(Ordering::Relaxed) => tag,
        _ => format!("{BY_TIME}{}-{}", seconds_ms(known), known.content_length()),
    }
}

/// Whether an answer is about the bytes of a node, as far as it tells.
pub fn is_same(api: &Api, node: &Node, told: &Metadata) -> bool {
    if told.content_length() != node.size {
        return false;
    }
    let meant = api.kept.now(&address::key(node.id.as_str()), &node.version);
    if meant.as_ref().unwrap_or(&node.version).starts_with(BY_TIME) {
        let time = seconds_ms(told);
        // The time of a copy of ours was not there when the node was listed.
        let known = meant.as_deref().map_or(node.modified, time_in);
        return time == 0 || known == 0 || time == known;
    }
    let tag = told.etag().map(bare_etag).filter(|tag| !tag.is_empty());
    tag.is_none_or(|tag| tag == meant.unwrap_or_else(|| node.version.clone()))
}

/// The milliseconds in a version that is made of time and size; 0 when there are none.
fn time_in(version: &str) -> i64 {
    let time = version.strip_prefix(BY_TIME);
    let time = time.and_then(|rest| rest.split_once('-'));
    time.and_then(|(time, _)| time.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_what_it_was_until_it_is_another_one() {
        let kept = Kept::default();
        kept.keep("d/a", "new".into(), "old-2".into());
        assert_eq!(kept.before("d/a", "new").as_deref(), Some("old-2"));
        assert_eq!(kept.now("d/a", "old-2").as_deref(), Some("new"));
        // Somebody stored another one there, or it was never copied.
        assert_eq!(kept.before("d/a", "third"), None);
        assert_eq!(kept.now("d/a", "new"), None);
        assert_eq!(kept.before("d/b", "new"), None);
    }

    #[test]
    fn a_time_is_found_in_its_version() {
        assert_eq!(time_in("~1700000000000-12"), 1_700_000_000_000);
        assert_eq!(time_in("0cc175b9c0f1b6a831c399e269772661"), 0);
    }
}
