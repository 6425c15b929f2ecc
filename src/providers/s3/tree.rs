//! Directories with everything in them, which is many objects: each is copied, or deleted, for itself.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use opendal::Metadata;

use super::api::Api;
use super::names::MAX_KEY;
use super::{address, list, versions};
use crate::drive::{DriveError, ErrorKind, Result};
use crate::providers::opendal::Listing;

/// Objects that a rename takes along. With more the copy of a tree, which can be stopped and goes on
/// after a restart, is the better way.
pub const MOST: usize = 1000;

/// Copies at a time. One where directories cannot be marked: such a server keeps real ones, and with
/// several copies into a new one at a time rclone did not take it for empty any more afterwards.
const PARALLEL: usize = 4;

/// Everything below a prefix, as long as it is not too much.
async fn all_below(api: &Api, prefix: &str) -> Result<Vec<(String, Metadata)>> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let listing = Listing {
            prefix,
            recursive: true,
            limit: None,
            after,
        };
        let listed = api.store.page(&listing).await?;
        all.extend(listed.entries);
        if all.len() > MOST {
            return Err(DriveError::unsupported(&format!(
                "renaming a directory with more than {MOST} objects"
            )));
        }
        match listed.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}

/// Moves a directory to an id that nothing has. Sources are deleted when every copy is there.
///
/// # Errors
/// `Unsupported` when there is too much in it, or what no path leads to. Then, and when a copy fails,
/// nothing was moved.
pub async fn relocate(api: &Api, from: &str, to: &str) -> Result<()> {
    let (source, target) = (address::prefix(from), address::prefix(to));
    let all = all_below(api, &source).await?;
    if all.is_empty() && !api.marks.is_remembered(&source) {
        return Err(DriveError::not_found(address::shown(from)));
    }
    let mut pairs = Vec::with_capacity(all.len());
    for (key, known) in &all {
        let rest = key.strip_prefix(&source).unwrap_or_default();
        if address::id(key).is_none() {
            return Err(DriveError::unsupported(
                "renaming a directory that holds objects that no path leads to",
            ));
        }
        let there = format!("{target}{rest}");
        if there.len() > MAX_KEY {
            return Err(DriveError::new(
                ErrorKind::NameTooLong,
                format!("something in it would have a path of {} bytes", there.len()),
            ));
        }
        pairs.push((key.as_str(), known, there));
    }
    let (mut made, mut failure) = (Vec::new(), None);
    let width = if api.marks.are_made() { PARALLEL } else { 1 };
    for some in pairs.chunks(width) {
        let copies = some
            .iter()
            .map(|(key, known, there)| copy(api, key, known, there));
        for (copied, (.., there)) in join_all(copies).await.into_iter().zip(some) {
            // One that failed may be there all the same.
            made.push(there.clone());
            if let Err(error) = copied {
                failure = Some(error);
            }
        }
        if failure.is_some() {
            break;
        }
    }
    if let Some(error) = failure {
        if let Err(left) = delete(api, &made).await {
            tracing::warn!(error = %left, "copies of a broken rename could not be removed");
        }
        return Err(error);
    }
    api.marks.moved(&source, &target);
    let sources: Vec<String> = all.into_iter().map(|(key, _)| key).collect();
    delete(api, &sources).await
}

/// Copies one object and makes sure that the copy is one: by its MD5, else by a look at it. The copy
/// keeps the version when nobody stored another one meanwhile.
async fn copy(api: &Api, from: &str, known: &Metadata, to: &str) -> Result<()> {
    let made = api.store.copy(from, to).await?;
    let meant = list::md5_of(api, known.etag());
    let got = list::md5_of(api, made.etag());
    let timed = api.bare_lists.load(Ordering::Relaxed);
    let (fits, now) = match (meant, got) {
        (Some(meant), Some(got)) if !timed => (meant == got, versions::said(api, &made)),
        (meant, got) => {
            let there = api.store.stat(to).await?;
            let equal = meant.is_none() || got.is_none() || meant == got;
            let whole = there.content_length() == made.content_length();
            // What the copy was told to be, not what somebody may have stored there since.
            let told = made.etag().is_some() && !timed;
            let now = versions::said(api, if told { &made } else { &there });
            (whole && equal, now)
        }
    };
    if !fits {
        return Err(DriveError::new(
            ErrorKind::Verification,
            format!("the copy of {from} is another one"),
        ));
    }
    let before = versions::of(api, from, known);
    if now != before {
        let source = api.store.stat(from).await?;
        if versions::of(api, from, &source) == before {
            api.kept.keep(to, now, before);
        }
    }
    Ok(())
}

async fn delete(api: &Api, keys: &[String]) -> Result<()> {
    for some in keys.chunks(MOST) {
        api.delete(some).await?;
    }
    Ok(())
}

/// Deletes a directory with everything in it, its marker last: what is broken off is still seen.
///
/// # Errors
/// `NotEmpty` when it holds objects that no listing shows: nobody can have meant those.
pub async fn remove(api: &Api, id: &str) -> Result<()> {
    let prefix = address::prefix(id);
    let mut after = None;
    loop {
        let listing = Listing {
            prefix: &prefix,
            recursive: true,
            limit: None,
            after,
        };
        let listed = api.store.page(&listing).await?;
        let hidden = |key: &str| address::id(key).is_none();
        if listed.entries.iter().any(|(key, _)| hidden(key)) {
            return Err(DriveError::new(
                ErrorKind::NotEmpty,
                format!("{} holds objects that no path leads to", address::shown(id)),
            ));
        }
        let keys = listed.entries.into_iter().map(|(key, _)| key);
        let keys: Vec<String> = keys.filter(|key| *key != prefix).collect();
        api.delete(&keys).await?;
        match listed.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    api.delete(std::slice::from_ref(&prefix)).await?;
    api.marks.forget(&prefix);
    Ok(())
}
