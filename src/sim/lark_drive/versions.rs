//! Versions of files: history, revert, delete (sections 4 and 7). The history is the only
//! metadata call that tells a size.

use serde_json::{Value, json};

use super::super::content::Blob;
use super::super::tree::Node;
use super::auth::Who;
use super::entries::{has_bytes, owner, time};
use super::errors::ApiError;
use super::gate::Ctx;
use super::{LarkDrive, State};

/// What made an entry of the history; the number is how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Uploaded = 1,
    Renamed = 2,
    Deleted = 3,
    Reverted = 4,
}

/// An entry of a history.
#[derive(Clone)]
pub(super) struct Version {
    id: String,
    name: String,
    /// Seconds since 1970, later than the entry before: the cursor of pages.
    at_s: i64,
    blob: Blob,
    what: What,
    deleted: bool,
}

impl Version {
    /// Whether its bytes can be had.
    fn readable(&self) -> bool {
        !self.deleted && self.what != What::Deleted
    }
}

/// Seconds of a time as a client repeats it, of whatever precision.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    Some(match number.unsigned_abs() {
        over if over > 100_000_000_000_000 => number.div_euclid(1_000_000),
        over if over > 100_000_000_000 => number.div_euclid(1000),
        _ => number,
    })
}

impl LarkDrive {
    /// The history of a file, oldest first; it starts with what is there.
    fn versions<'s>(&self, state: &'s mut State, node: &Node) -> &'s mut Vec<Version> {
        state.versions.entry(node.id.clone()).or_insert_with(|| {
            let first = node.stored().map(|blob| Version {
                id: self.kit.ids.decimal(19),
                name: node.name.clone(),
                at_s: node.created.div_euclid(1000),
                blob: blob.clone(),
                what: What::Uploaded,
                deleted: false,
            });
            first.into_iter().collect()
        })
    }

    /// Adds an entry for a file as it is before the change, and answers its id.
    pub(super) fn remember(&self, node: &Node, now: i64, what: What, name: Option<&str>) -> String {
        let blob = node.stored().cloned().unwrap_or_else(|| Blob::bytes(""));
        self.remember_blob(node, now, what, name, blob)
    }

    /// The same with the bytes that the file has after the change.
    pub(super) fn remember_blob(
        &self,
        node: &Node,
        now: i64,
        what: What,
        name: Option<&str>,
        blob: Blob,
    ) -> String {
        let id = self.kit.ids.decimal(19);
        let mut state = self.state();
        let all = self.versions(&mut state, node);
        let last = all.last().map_or(i64::MIN, |version| version.at_s);
        all.push(Version {
            id: id.clone(),
            name: name.unwrap_or(&node.name).to_owned(),
            at_s: now.div_euclid(1000).max(last.saturating_add(1)),
            blob,
            what,
            deleted: false,
        });
        id
    }

    /// The bytes of a version.
    pub(super) fn version(&self, node: &Node, id: &str) -> Option<Blob> {
        let mut state = self.state();
        let mut all = self.versions(&mut state, node).iter();
        let found = all.find(|version| version.id == id && version.readable());
        found.map(|version| version.blob.clone())
    }
}

impl Ctx<'_> {
    /// A file: only those have versions.
    pub(super) fn file(&self) -> Result<Node, ApiError> {
        let node = self.node(&self.token)?;
        match has_bytes(&node) {
            true => Ok(node),
            false => Err(ApiError::new(1_061_003)),
        }
    }

    /// `history`: newest first; `last_edit_time` goes on behind an entry.
    pub(super) fn history(&self) -> Result<Value, ApiError> {
        let size = self.args.page_size(50)?;
        let tagged = self.args.query("only_tag") == "true";
        let before = match self.args.query("last_edit_time") {
            "" => i64::MAX,
            text => seconds(text).ok_or_else(|| ApiError::parameter("last_edit_time"))?,
        };
        let node = self.file()?;
        let all: Vec<Version> = {
            let mut state = self.sim.state();
            let all = self.sim.versions(&mut state, &node).iter().rev();
            // Nobody tags versions here.
            all.filter(|version| version.at_s < before && !tagged)
                .cloned()
                .collect()
        };
        let text = self.account.knobs.text("history_size").as_deref() == Some("text");
        let items: Vec<Value> = all
            .iter()
            .take(size)
            .map(|version| {
                let bytes = version.blob.size();
                json!({
                    "version": version.id, "name": version.name,
                    "edit_time": time(&self.account, &node.id, version.at_s.saturating_mul(1000)),
                    "edit_user_id": owner(&self.account, self.who == Who::Bot),
                    "size": if text { json!(bytes.to_string()) } else { json!(bytes) },
                    "type": version.what as i64, "tag": 0, "is_deleted": version.deleted,
                })
            })
            .collect();
        Ok(json!({ "items": items, "has_more": all.len() > size }))
    }

    /// `revert`: an old version's bytes become a new version.
    pub(super) fn revert(&self) -> Result<Value, ApiError> {
        let wanted = self.args.required("version")?;
        let node = self.file()?;
        let blob = self.sim.version(&node, wanted);
        let blob = blob.ok_or_else(|| ApiError::new(1_061_003))?;
        let now = self.now();
        self.sim
            .remember_blob(&node, now, What::Reverted, None, blob.clone());
        self.account.tree().update(&node.id, |node| {
            node.blob = Some(blob);
            node.stored = None;
            node.modified = now;
        });
        Ok(json!({}))
    }

    /// `version_del`: of any but the newest.
    pub(super) fn version_del(&self) -> Result<Value, ApiError> {
        let wanted = self.args.required("version")?;
        let node = self.file()?;
        {
            let mut state = self.sim.state();
            let all = self.sim.versions(&mut state, &node);
            let newest = all.iter().rposition(Version::readable);
            let place = all
                .iter()
                .position(|version| version.id == wanted && version.readable());
            let place = place.ok_or_else(|| ApiError::new(1_061_003))?;
            if newest == Some(place) {
                return Err(ApiError::parameter("version"));
            }
            if let Some(version) = all.get_mut(place) {
                version.deleted = true;
            }
        }
        self.sim.remember(&node, self.now(), What::Deleted, None);
        Ok(json!({}))
    }
}
