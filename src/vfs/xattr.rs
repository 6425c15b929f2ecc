//! Extended attributes under `user.pan.` (SPEC 0.4).
//!
//! Content fingerprints are listed; everything else is found by its exact name, so that `cp -a` and
//! `rsync -X` do not try to copy it. A fingerprint is never downloaded for implicitly.

use std::sync::Arc;

use serde_json::json;

use super::Vfs;
use super::error::{FsError, FsResult};
use super::inode::Inode;
use super::lookup::SetAttr;
use super::tree::CONTROL_BASE;
use crate::content::ContentRef;
use crate::drive::{Content, DriveError, ErrorKind};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin, fast_inputs, normalise};
use crate::guard::PolicyName;
use crate::transfer::plan;

/// Prefix of every name.
const PREFIX: &str = "user.pan.";

impl Vfs {
    /// The value of an attribute. Everything is answered from memory and the catalog.
    pub fn getxattr_now(&self, ino: u64, name: &str) -> Option<FsResult<Vec<u8>>> {
        Some(self.xattr(ino, name))
    }

    /// The same.
    ///
    /// # Errors
    /// ENODATA for an unknown name or value.
    pub async fn getxattr(&self, ino: u64, name: &str) -> FsResult<Vec<u8>> {
        self.xattr(ino, name)
    }

    /// The names of the known content fingerprints.
    ///
    /// # Errors
    /// ESTALE.
    pub fn listxattr(&self, ino: u64) -> FsResult<Vec<String>> {
        if ino >= CONTROL_BASE {
            return Ok(Vec::new());
        }
        let inode = self.tree().get(ino)?;
        let known = self.known_of(&inode);
        Ok(Kind::CONTENT
            .into_iter()
            .filter(|kind| known.get(*kind).is_some())
            .map(|kind| format!("{PREFIX}{}", kind.name()))
            .collect())
    }

    fn xattr(&self, ino: u64, name: &str) -> FsResult<Vec<u8>> {
        let nothing = FsError::new(libc::ENODATA);
        let Some(name) = name.strip_prefix(PREFIX) else {
            return Err(nothing);
        };
        if ino >= CONTROL_BASE {
            return Err(nothing);
        }
        let inode = self.tree().get(ino)?;
        if let Some(policy) = PolicyName::parse(name) {
            return Ok(self.policy_of(&inode, policy));
        }
        let volume = inode.volume.clone().ok_or(nothing.clone())?;
        if let Some(kind) = content_kind(name) {
            let known = self.known_of(&inode);
            return known
                .get(kind)
                .map(|known| known.value.as_bytes().to_vec())
                .ok_or(nothing);
        }
        if let Some(target) = name.strip_prefix("plan.") {
            return self.plan_json(&inode, target);
        }
        if let Some(target) = name.strip_prefix("missing.") {
            let plan: serde_json::Value =
                serde_json::from_slice(&self.plan_json(&inode, target)?).unwrap_or_default();
            let missing = plan["missingFastInputs"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let names: Vec<&str> = missing.iter().filter_map(|name| name.as_str()).collect();
            return Ok(names.join(" ").into_bytes());
        }
        let path = self.tree().path(&inode);
        let state = inode.state();
        let node = state.node.clone();
        let text = match name {
            "provider" => volume.provider.to_owned(),
            "profile" => volume.name.to_string(),
            "remote_path" => format!("/{}", path.split_once('/').map_or("", |(_, path)| path)),
            "file_id" => node.ok_or(nothing)?.id.to_string(),
            "parent_id" => node.ok_or(nothing)?.parent.to_string(),
            "version" => node.ok_or(nothing)?.version.clone(),
            "etag" => {
                let raw = state.key.and_then(|key| self.engine().catalog().raw(key));
                raw.and_then(|raw| {
                    let raw: serde_json::Value = serde_json::from_str(&raw).ok()?;
                    Some(raw["etag"].as_str()?.trim_matches('"').to_ascii_lowercase())
                })
                .ok_or(nothing)?
            }
            "pickcode" => node.and_then(|node| node.handle.clone()).ok_or(nothing)?,
            "raw" => {
                let raw = state.key.and_then(|key| self.engine().catalog().raw(key));
                raw.ok_or(nothing)?.to_string()
            }
            "state" => if state.error.is_some() && state.pending.is_some() {
                "failed"
            } else if state.copying().is_some() {
                "uploading"
            } else if let Some(pending) = &state.pending {
                match pending.task.state() {
                    crate::transfer::TaskState::Running => "uploading",
                    crate::transfer::TaskState::Failed(_) => "failed",
                    _ => "staged",
                }
            } else if state.draft.is_some() || state.sealing.is_some() {
                "staged"
            } else {
                "clean"
            }
            .to_owned(),
            "transfer" => match &state.pending {
                Some(pending) if !pending.task.state().is_over() => {
                    let row = crate::transfer::TransferResult::under_way(&pending.task);
                    serde_json::to_string(&row).map_err(|_| FsError::new(libc::EIO))?
                }
                _ => {
                    let stored = state
                        .key
                        .and_then(|key| self.engine().catalog().transfer(key));
                    state.result.clone().or(stored).ok_or(nothing)?
                }
            },
            "error" => state.error.clone().ok_or(nothing)?,
            "risk_hint" => state.error.clone().ok_or(nothing)?,
            "fp_source" | "fast_inputs" => {
                drop(state);
                let known = self.known_of(&inode);
                if name == "fast_inputs" {
                    let size = node.map_or(0, |node| node.size);
                    fast_inputs(size, &path, &known).join(" ")
                } else {
                    sources(&known)
                }
            }
            _ => return Err(nothing),
        };
        Ok(text.into_bytes())
    }

    /// Sets an attribute: a command, or a claim about a content (SPEC 0.4).
    ///
    /// # Errors
    /// EOPNOTSUPP for names that are not ours, EINVAL for values that make no sense, ENOTDIR for
    /// a policy of a file, EPERM for a policy of the mount point and for a claim that contradicts what was computed, and the drive's.
    pub async fn setxattr(&self, ino: u64, name: &str, value: &[u8]) -> FsResult<()> {
        let Some(name) = name.strip_prefix(PREFIX) else {
            return Err(FsError::new(libc::EOPNOTSUPP));
        };
        if ino >= CONTROL_BASE {
            return Err(FsError::new(libc::EPERM));
        }
        let inode = self.tree().get(ino)?;
        let text = std::str::from_utf8(value)
            .map_err(|_| FsError::new(libc::EINVAL))?
            .trim();
        if let Some(kind) = content_kind(name) {
            return self.claim(&self.meant(&inode, &SetAttr::default()), kind, text);
        }
        if let Some(policy) = PolicyName::parse(name) {
            return self.set_policy(&inode, policy, text);
        }
        match name {
            "refresh" => self.refresh(ino, text == "deep").await.map(|_| ()),
            "compute" => {
                let kinds = parse_kinds(text)?;
                self.compute(ino, &kinds).await.map(|_| ())
            }
            "approve" => self.approve(&inode, text).map(|_| ()),
            "retry" => {
                let pending = inode.state().pending.clone();
                match pending {
                    Some(pending) if self.engine().retry(&pending.task) => Ok(()),
                    _ => Err(FsError::new(libc::ENODATA)),
                }
            }
            _ => Err(FsError::new(libc::EOPNOTSUPP)),
        }
    }

    /// Removes a policy of a directory. Removing a fingerprint succeeds without effect
    /// (`rsync -X`).
    ///
    /// # Errors
    /// ENODATA for other names, and for a policy that the directory has not of its own.
    pub fn removexattr(&self, ino: u64, name: &str) -> FsResult<()> {
        let name = name.strip_prefix(PREFIX).unwrap_or("");
        match (content_kind(name), PolicyName::parse(name)) {
            (Some(_), _) => Ok(()),
            (None, Some(policy)) if ino < CONTROL_BASE => {
                self.remove_policy(&*self.tree().get(ino)?, policy)
            }
            _ => Err(FsError::new(libc::ENODATA)),
        }
    }

    fn claim(&self, inode: &Inode, kind: Kind, text: &str) -> FsResult<()> {
        let value = normalise(kind, text).ok_or(FsError::new(libc::EINVAL))?;
        let known = self.known_of(inode);
        match known.get(kind) {
            Some(known) if *known.value == *value => Ok(()),
            Some(known) if known.origin >= Origin::Confirmed => Err(FsError::new(libc::EPERM)),
            _ => {
                let state = inode.state();
                if let (Some(key), Some(node), None) = (state.key, &state.node, &state.draft) {
                    let at = self.engine().now_ms();
                    let claim = Known {
                        value: value.into(),
                        origin: Origin::UserClaim,
                        provider: "".into(),
                        at,
                    };
                    self.engine()
                        .catalog()
                        .learn_node(key, &node.version, kind, claim);
                }
                Ok(())
            }
        }
    }

    /// Everything known about a file's content.
    fn known_of(&self, inode: &Inode) -> Fingerprints {
        let (node, pending) = {
            let state = inode.state();
            if state.draft.is_some() {
                return Fingerprints::new();
            }
            (state.node.clone(), state.settled_content())
        };
        if let Some(pending) = pending {
            return pending.known();
        }
        let Some(node) = node.filter(|node| !node.is_dir()) else {
            return Fingerprints::new();
        };
        let mut known = node.fingerprints.clone();
        known.merge(&self.engine().catalog().recall(node.size, &known));
        known
    }

    /// Reads a file once and computes `kinds`; what is computed already is not read for.
    ///
    /// # Errors
    /// EISDIR, EBUSY while it is being written, and the drive's.
    pub async fn compute(&self, ino: u64, kinds: &[Kind]) -> FsResult<Fingerprints> {
        let inode = self.tree().get(ino)?;
        if inode.is_dir() {
            return Err(FsError::new(libc::EISDIR));
        }
        let content = self.content_of(&inode).ok_or(FsError::new(libc::EBUSY))?;
        let lacking: Vec<Kind> = kinds
            .iter()
            .copied()
            .filter(|kind| {
                content
                    .known()
                    .get(*kind)
                    .is_none_or(|known| known.origin < Origin::Computed)
            })
            .collect();
        if !lacking.is_empty() {
            let computed = self.engine().compute(&content, &lacking).await?;
            content.teach(&computed);
            self.remember(&inode, &content, &computed);
        }
        Ok(content.known())
    }

    fn remember(&self, inode: &Arc<Inode>, content: &ContentRef, computed: &Fingerprints) {
        let ContentRef::Remote(remote) = content else {
            return;
        };
        let key = inode.state().key;
        let Some(key) = key else { return };
        let catalog = self.engine().catalog();
        for (kind, known) in computed.iter() {
            catalog.learn_node(key, &remote.node().version, kind, known.clone());
        }
        if let Some(entry) = catalog.get(key) {
            inode.state().node = Some(entry.node);
        }
    }

    /// Everything known about a file, for commands.
    ///
    /// # Errors
    /// ESTALE.
    pub fn fingerprints(&self, ino: u64) -> FsResult<Fingerprints> {
        Ok(self.known_of(&*self.tree().get(ino)?))
    }

    fn plan_json(&self, inode: &Inode, target: &str) -> FsResult<Vec<u8>> {
        let volume = self
            .engine()
            .volume(target)
            .map_err(|_| FsError::new(libc::ENODATA))?;
        let content = self.content_of(inode).ok_or(FsError::new(libc::ENODATA))?;
        let name = inode.state().name.clone();
        let limit = self.stream_limit(target, &name);
        let plan = plan(&content, &volume, &name, false, limit);
        serde_json::to_vec(&plan).map_err(|_| FsError::new(libc::EIO))
    }

    /// The plan for copying a file to a directory, `profile/directory`.
    ///
    /// # Errors
    /// EBUSY while it is being written, ENOENT for an unknown profile.
    pub fn plan_copy(&self, ino: u64, target: &str) -> FsResult<crate::transfer::Plan> {
        let inode = self.tree().get(ino)?;
        let profile = target.split('/').find(|name| !name.is_empty());
        let volume = self.engine().volume(profile.unwrap_or(""))?;
        let content = self.content_of(&inode).ok_or(FsError::new(libc::EBUSY))?;
        let name = inode.state().name.clone();
        let limit = self.stream_limit(target, &name);
        Ok(plan(&content, &volume, &name, false, limit))
    }
}

fn content_kind(name: &str) -> Option<Kind> {
    Kind::CONTENT.into_iter().find(|kind| kind.name() == name)
}

/// `md5,sha1` and so on.
///
/// # Errors
/// EINVAL with the unknown name in its cause.
pub(super) fn parse_kinds(text: &str) -> FsResult<Vec<Kind>> {
    text.split([',', ' '])
        .filter(|name| !name.is_empty())
        .map(|name| {
            Kind::parse(name).ok_or_else(|| {
                let message = format!("{name:?} is no fingerprint; known are md5, sha1, sha256, crc64, gcid, block_list_md5");
                FsError::from(DriveError::new(ErrorKind::Invalid, message))
            })
        })
        .collect()
}

fn sources(known: &Fingerprints) -> String {
    let map: serde_json::Map<String, serde_json::Value> = known
        .iter()
        .map(|(kind, known)| {
            let at = jiff::Timestamp::from_millisecond(known.at)
                .ok()
                .filter(|_| known.at > 0)
                .map(|at| at.to_string());
            let source =
                json!({ "origin": known.origin.name(), "provider": &*known.provider, "at": at });
            (kind.name().to_owned(), source)
        })
        .collect();
    serde_json::Value::Object(map).to_string()
}
