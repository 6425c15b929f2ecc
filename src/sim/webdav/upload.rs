//! PUT (sheet, 4.3 points 4, 6, 8, 9; 7.1) and the PATCH of dufs.

use std::sync::Arc;

use axum::body::Body;

use super::super::clock::parse_rfc1123;
use super::super::content::Blob;
use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::address::Address;
use super::checksums;
use super::errors::DavError;
use super::gate::{Answer, Ctx, done, no_space};
use super::landing::{Landed, receive};
use super::rules;

/// A PUT that was found in order before its first byte.
pub(super) struct Plan {
    /// What is there.
    known: Option<Node>,
    /// Bytes there is space for.
    limit: u64,
    /// Where the bytes go in the file that is there (`Content-Range`, applied).
    patch: Option<(u64, u64)>,
}

/// First and last byte of `Content-Range: bytes A-B/TOTAL`.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    let fits = total == "*" || last < total.parse::<u64>().ok()?;
    (fits && first <= last).then_some((first, last))
}

impl Ctx {
    /// The bytes that a request says it brings.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.header("content-length").parse().ok()
    }

    /// What the rule `put_range` makes of a `Content-Range`.
    fn put_range(&self, known: Option<&Node>) -> Result<Option<(u64, u64)>, DavError> {
        let range = self.header("content-range");
        if range.is_empty() {
            return Ok(None);
        }
        match rules::of(&self.account, "put_range").as_str() {
            // The fragment becomes the file, and nobody is told (sheet, 4.3 point 6).
            "replace" => Ok(None),
            "501" => Err(DavError::new(501, "Content-Range is not implemented")),
            "apply" => {
                let bad = || DavError::new(400, "Content-Range is not valid");
                let (first, last) = content_range(range).ok_or_else(bad)?;
                if self.content_length().is_some_and(|n| n != last - first + 1) {
                    return Err(bad());
                }
                let size = known.map_or(0, Node::size);
                match first > size {
                    true => Err(DavError::new(416, "The range starts behind the end")),
                    false => Ok(Some((first, last - first + 1))),
                }
            }
            _ => Err(DavError::new(400, "Content-Range is not allowed with PUT")),
        }
    }

    /// Whatever can be said of an upload before its bytes come.
    pub(super) async fn plan_put(&self) -> Result<Plan, DavError> {
        if self.at.names.is_empty() || self.at.slash {
            return Err(self.not_allowed());
        }
        self.check_name(self.at.name())?;
        let known = {
            let tree = self.account.tree();
            tree.resolve(&self.at.path()).cloned()
        };
        if known.as_ref().is_some_and(Node::is_dir) {
            return Err(self.not_allowed());
        }
        let patch = self.put_range(known.as_ref())?;
        let lengthless = self.content_length().is_none();
        if lengthless && self.account.knobs.text("chunked").as_deref() == Some("off") {
            return Err(DavError::new(411, "Content-Length is required"));
        }
        self.may_change(known.as_ref()).await?;
        self.check_mtime()?;
        let state = self.sim.state();
        let tree = self.account.tree();
        match &known {
            Some(node) => self.unlocked(&state, &tree, &[(&node.id, false)])?,
            None if self.yes("put_parents") => {}
            None => {
                let parent = self.parent_dir(&tree, &self.at)?;
                self.unlocked(&state, &tree, &[(&parent.id, false)])?;
            }
        }
        // What is replaced makes room.
        let old = known.as_ref().filter(|_| patch.is_none());
        let limit = self.free(&tree).saturating_add(old.map_or(0, Node::size));
        if self.content_length().is_some_and(|length| length > limit) {
            return Err(no_space());
        }
        Ok(Plan {
            known,
            limit,
            patch,
        })
    }

    /// PUT.
    pub(super) async fn put(self: Arc<Ctx>, plan: Plan, body: Body) -> Answer {
        let blob = match receive(&self.account, self.op, body, plan.limit).await {
            Landed::Whole(blob) => blob,
            Landed::TooLong => return Err(no_space()),
            Landed::Broken(fragment) => {
                if rules::of(&self.account, "partial") == "keep" && plan.patch.is_none() {
                    // Nobody hears of it, whether it worked or not.
                    let _ = self.keep_file(&self.at, fragment, None, "");
                }
                return Err(DavError::dropped());
            }
        };
        self.commit_fails()?;
        let blob = match (plan.patch, &plan.known) {
            (None, _) => blob,
            (Some((_, length)), _) if blob.size() != length => {
                return Err(DavError::new(400, "The body does not fill its range"));
            }
            (Some((first, length)), known) => {
                let old = known.as_ref().and_then(Node::stored).cloned();
                let old = old.unwrap_or_else(|| Blob::bytes(""));
                let tail = first.saturating_add(length);
                Blob::join([
                    &old.slice(0, first),
                    &blob,
                    &old.slice(tail, old.size().saturating_sub(tail)),
                ])
            }
        };
        self.settle(&self.at, blob).await
    }

    /// The fault `commit_fail`.
    pub(super) fn commit_fails(&self) -> Result<(), DavError> {
        match self.account.faults.take(self.op, FaultKind::CommitFail) {
            Some(status) => Err(DavError::injected(&status)),
            None => Ok(()),
        }
    }

    /// `X-OC-Mtime` has to be a time, where it counts.
    pub(super) fn check_mtime(&self) -> Result<(), DavError> {
        let counts = matches!(
            rules::of(&self.account, "oc_mtime").as_str(),
            "accepted" | "silent"
        );
        let text = self.header("x-oc-mtime");
        match counts && !text.is_empty() && text.parse::<i64>().is_err() {
            true => Err(DavError::new(400, "X-OC-Mtime must be an integer")),
            false => Ok(()),
        }
    }

    /// When the file was changed, as the client says and the server believes.
    fn wanted_mtime(&self, way: &str) -> Option<i64> {
        match way {
            "accepted" | "silent" => {
                let seconds = self.header("x-oc-mtime").parse::<i64>().ok()?;
                seconds.checked_mul(1000)
            }
            "date" => parse_rfc1123(self.header("date")),
            _ => None,
        }
    }

    /// Keeps a content that has come in whole, if it has the checksum that came with it.
    pub(super) async fn settle(&self, at: &Address, blob: Blob) -> Answer {
        let claim = self.header("oc-checksum");
        let claimed = match self.yes("oc_checksum") && !claim.is_empty() {
            true => checksums::check(&blob, claim).await?,
            false => String::new(),
        };
        let way = rules::of(&self.account, "oc_mtime");
        let modified = self.wanted_mtime(&way);
        let stored = self.keep_file(at, blob, modified, &claimed)?;
        let mut headers = Vec::new();
        let tag = self.tag(&stored.node).await.header;
        if let Some(tag) = tag.filter(|_| self.yes("put_etag")) {
            if rules::flavour(&self.account) == "nextcloud" {
                headers.push(("oc-etag", tag.clone()));
            }
            headers.push(("etag", tag));
        }
        if rules::flavour(&self.account) == "nextcloud" {
            let id = format!("{:0>8}ocpanfusesim", stored.node.id);
            headers.push(("oc-fileid", id));
        }
        if way == "accepted" && modified.is_some() {
            headers.push(("x-oc-mtime", "accepted".to_owned()));
        }
        let over = rules::of(&self.account, "put_over");
        let status = match stored.created {
            true => 201,
            false => over.parse().unwrap_or(204),
        };
        Ok(done(status, &headers))
    }

    /// Whatever can be said of a PATCH before its bytes come.
    pub(super) fn plan_patch(&self) -> Result<Node, DavError> {
        if !self.yes("patch") {
            return Err(self.not_allowed());
        }
        let node = self.found()?;
        if node.is_dir() {
            return Err(self.not_allowed());
        }
        if self.header("x-update-range") != "append" {
            return Err(DavError::new(400, "X-Update-Range: append"));
        }
        let state = self.sim.state();
        let tree = self.account.tree();
        self.unlocked(&state, &tree, &[(&node.id, false)])?;
        Ok(node)
    }

    /// PATCH `X-Update-Range: append` (sheet, 7.1, dufs).
    pub(super) async fn patch(self: Arc<Ctx>, node: Node, body: Body) -> Answer {
        let limit = {
            let tree = self.account.tree();
            self.free(&tree)
        };
        let more = match receive(&self.account, self.op, body, limit).await {
            Landed::Whole(blob) => blob,
            Landed::TooLong => return Err(no_space()),
            Landed::Broken(_) => return Err(DavError::dropped()),
        };
        let old = node.stored().cloned().unwrap_or_else(|| Blob::bytes(""));
        self.keep_file(&self.at, Blob::join([&old, &more]), None, "")?;
        Ok(done(204, &[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 0-4/10"), Some((0, 4)));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, 9)));
        for bad in [
            "",
            "bytes=0-4",
            "bytes 4-0/10",
            "bytes 0-10/10",
            "bytes */10",
        ] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
