//! The virtual tree `.panfuse/` under the mount point: found by name, not listed in the root, and
//! no read of it waits for the network (DESIGN 8).
//!
//! | path | what is in it |
//! |---|---|
//! | `health` | `ok` |
//! | `status.json` | profiles, transfers, stage, parked removals, guards |
//! | `metrics` | Prometheus text |
//! | `providers/KEY.json` | the registry's line of a provider |
//! | `profiles/NAME/profile.json` | a mounted profile and its capabilities |
//! | `tasks/ID/task.json` | a transfer |
//! | `recovered/` | bytes of files that were never closed (a crash, a killed writer) |

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};

use super::Vfs;
use super::attr::{Attr, FileKind};
use super::error::{FsError, FsResult};
use super::handles::DirEntry;
use super::tree::CONTROL_BASE;
use crate::content::LeftOver;
use crate::transfer::{Task, TaskState};

/// Name of the tree.
pub(super) const NAME: &str = ".panfuse";

/// Paths that have been looked up, and what a crash left.
#[derive(Default)]
pub(super) struct Control {
    paths: Mutex<Paths>,
    recovered: Mutex<Vec<LeftOver>>,
    last: AtomicU64,
}

#[derive(Default)]
struct Paths {
    by_ino: HashMap<u64, String>,
    by_path: HashMap<String, u64>,
}

impl Control {
    pub fn add_recovered(&self, left: LeftOver) {
        self.recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(left);
    }

    fn ino_of(&self, path: &str) -> u64 {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ino) = paths.by_path.get(path) {
            return *ino;
        }
        let ino = CONTROL_BASE + self.last.fetch_add(1, Ordering::Relaxed);
        paths.by_path.insert(path.to_owned(), ino);
        paths.by_ino.insert(ino, path.to_owned());
        ino
    }

    fn path_of(&self, ino: u64) -> FsResult<String> {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths
            .by_ino
            .get(&ino)
            .cloned()
            .ok_or(FsError::new(libc::ESTALE))
    }
}

/// What stands at a path of the tree.
enum Place {
    Dir(Vec<(String, FileKind)>),
    Text(String),
    Disk(LeftOver),
}

impl Vfs {
    /// What a crash left, to be shown under `recovered/`.
    pub fn add_recovered(&self, left: Vec<LeftOver>) {
        for left in left {
            self.core.control.add_recovered(left);
        }
    }

    pub(super) fn control_lookup(&self, parent: u64, name: &str) -> FsResult<Attr> {
        let path = if parent < CONTROL_BASE {
            String::new()
        } else {
            let above = self.core.control.path_of(parent)?;
            if above.is_empty() {
                name.to_owned()
            } else {
                format!("{above}/{name}")
            }
        };
        self.control_place(&path)?;
        self.control_attr(self.core.control.ino_of(&path))
    }

    pub(super) fn control_attr(&self, ino: u64) -> FsResult<Attr> {
        let path = self.core.control.path_of(ino)?;
        let (kind, size) = match self.control_place(&path)? {
            Place::Dir(_) => (FileKind::Dir, 0),
            Place::Text(text) => (FileKind::File, text.len() as u64),
            Place::Disk(left) => (FileKind::File, left.size),
        };
        let now = self.now_ns();
        Ok(Attr {
            ino,
            generation: 0,
            kind,
            size,
            perm: if kind == FileKind::Dir { 0o500 } else { 0o400 },
            mtime_ns: now,
            atime_ns: now,
            ctime_ns: now,
            stable: false,
        })
    }

    pub(super) fn control_entries(&self, ino: u64) -> FsResult<Vec<DirEntry>> {
        let path = self.core.control.path_of(ino)?;
        let Place::Dir(names) = self.control_place(&path)? else {
            return Err(FsError::new(libc::ENOTDIR));
        };
        Ok(names
            .into_iter()
            .map(|(name, kind)| {
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}/{name}")
                };
                DirEntry {
                    ino: self.core.control.ino_of(&below),
                    kind,
                    name,
                }
            })
            .collect())
    }

    pub(super) fn control_open(&self, ino: u64) -> FsResult<super::handles::Handle> {
        let path = self.core.control.path_of(ino)?;
        match self.control_place(&path)? {
            Place::Dir(_) => Err(FsError::new(libc::EISDIR)),
            Place::Text(text) => Ok(super::handles::Handle::Text(Bytes::from(text))),
            Place::Disk(left) => match File::open(&left.data) {
                Ok(file) => Ok(super::handles::Handle::Disk(file.into())),
                Err(_) => Err(FsError::new(libc::ENOENT)),
            },
        }
    }

    fn control_place(&self, path: &str) -> FsResult<Place> {
        use FileKind::{Dir, File};
        let missing = FsError::new(libc::ENOENT);
        let dir = |names: &[(&str, FileKind)]| {
            Place::Dir(
                names
                    .iter()
                    .map(|(name, kind)| ((*name).to_owned(), *kind))
                    .collect(),
            )
        };
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let place = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => dir(&[
                ("health", File),
                ("metrics", File),
                ("profiles", Dir),
                ("providers", Dir),
                ("recovered", Dir),
                ("status.json", File),
                ("tasks", Dir),
            ]),
            (Some("health"), None, _) => Place::Text("ok\n".to_owned()),
            (Some("metrics"), None, _) => Place::Text(self.metrics()),
            (Some("status.json"), None, _) => Place::Text(pretty(&self.status())),
            (Some("providers"), None, _) => Place::Dir(
                crate::providers::REGISTRY
                    .iter()
                    .map(|info| (format!("{}.json", info.key), File))
                    .collect(),
            ),
            (Some("providers"), Some(file), None) => {
                let key = file.strip_suffix(".json").unwrap_or(file);
                let info = crate::providers::find(key).ok_or(missing)?;
                Place::Text(pretty(&json!({
                    "key": info.key,
                    "displayName": info.display_name,
                    "status": info.status,
                    "capabilities": info.capabilities(),
                })))
            }
            (Some("profiles"), None, _) => Place::Dir(
                self.engine()
                    .volumes()
                    .iter()
                    .map(|v| (v.name.to_string(), Dir))
                    .collect(),
            ),
            (Some("profiles"), Some(name), None) => {
                self.engine().volume(name).map_err(|_| missing)?;
                dir(&[("profile.json", File)])
            }
            (Some("profiles"), Some(name), Some("profile.json")) => {
                let volume = self.engine().volume(name).map_err(|_| missing)?;
                Place::Text(pretty(&json!({
                    "name": &*volume.name,
                    "provider": volume.provider,
                    "readOnly": volume.is_read_only(),
                    "account": volume.drive.account_id(),
                    "capabilities": volume.capabilities(),
                })))
            }
            (Some("tasks"), None, _) => Place::Dir(
                self.engine()
                    .tasks()
                    .iter()
                    .map(|task| (task.id.clone(), Dir))
                    .collect(),
            ),
            (Some("tasks"), Some(id), file) => {
                let tasks = self.engine().tasks();
                let task = tasks.iter().find(|task| task.id == id).ok_or(missing)?;
                match file {
                    None => dir(&[("task.json", File)]),
                    Some("task.json") => Place::Text(pretty(&task_json(task))),
                    Some(_) => return Err(FsError::new(libc::ENOENT)),
                }
            }
            (Some("recovered"), None, _) => Place::Dir(
                self.recovered()
                    .into_iter()
                    .map(|(name, _)| (name, File))
                    .collect(),
            ),
            (Some("recovered"), Some(name), None) => {
                let found = self
                    .recovered()
                    .into_iter()
                    .find(|(known, _)| known == name);
                Place::Disk(found.ok_or(missing)?.1)
            }
            _ => return Err(missing),
        };
        Ok(place)
    }

    /// Recovered files by the name they are shown under.
    fn recovered(&self) -> Vec<(String, LeftOver)> {
        let left = self
            .core
            .control
            .recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        left.iter()
            .filter(|left| left.data.exists())
            .map(|left| {
                let id: String = left.id.chars().take(8).collect();
                let base = left.note.path.rsplit('/').next().unwrap_or("");
                (format!("{id}-{base}"), left.clone())
            })
            .collect()
    }

    /// The state of everything, for `status` and `status.json`.
    pub fn status(&self) -> Value {
        let engine = self.engine();
        let tasks = engine.tasks();
        let profiles: Vec<Value> = engine
            .volumes()
            .iter()
            .map(|volume| {
                let quota = engine.catalog().quota(&volume.name).map(|(quota, _)| quota);
                let pending = tasks
                    .iter()
                    .filter(|task| task.profile == *volume.name && engine.is_pending(task))
                    .count();
                json!({
                    "name": &*volume.name,
                    "provider": volume.provider,
                    "readOnly": volume.is_read_only(),
                    "quota": quota,
                    "pendingTransfers": pending,
                })
            })
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "mountPoint": self.settings().mount_point,
            "pid": std::process::id(),
            "profiles": profiles,
            "pendingTransfers": engine.pending(),
            "parkedRemovals": engine.parked(),
            "guards": engine.guard().status(),
            "stage": { "usedBytes": engine.stage().used(), "budgetBytes": engine.stage().budget() },
            "recoveredFiles": self.recovered().len(),
            "inodes": self.tree().len(),
            "openHandles": self.core.handles.len(),
        })
    }

    /// Transfers, oldest first, as JSON.
    pub fn tasks(&self) -> Vec<Value> {
        self.engine()
            .tasks()
            .iter()
            .map(|task| task_json(task))
            .collect()
    }

    /// A transfer as JSON.
    pub fn task(&self, task: &Task) -> Value {
        task_json(task)
    }

    fn metrics(&self) -> String {
        let metrics = crate::observe::metrics();
        let engine = self.engine();
        let guards = engine.guard().status();
        let gauges = [
            (
                "panfuse_pending_transfers",
                "Transfers that are under way or tried again",
                engine.pending() as u64,
            ),
            (
                "panfuse_parked_removals",
                "Removals that wait for a copy",
                engine.parked() as u64,
            ),
            (
                "panfuse_delete_breaker_open",
                "Whether deletes are refused until they are approved",
                u64::from(guards.deletes.open),
            ),
            (
                "panfuse_deletes_refused",
                "Deletes refused since the breaker opened",
                guards.deletes.refused,
            ),
            (
                "panfuse_stage_bytes",
                "Bytes in the stage",
                engine.stage().used(),
            ),
            (
                "panfuse_inodes",
                "Inodes in memory",
                self.tree().len() as u64,
            ),
            (
                "panfuse_open_handles",
                "Open files and directories",
                self.core.handles.len() as u64,
            ),
        ];
        for (name, help, value) in gauges {
            metrics
                .gauge(name, help, &[])
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        metrics.render()
    }
}

/// A transfer as JSON.
pub(super) fn task_json(task: &Task) -> Value {
    let (state, error, result) = match task.state() {
        TaskState::Queued => ("queued", None, None),
        TaskState::Running => ("running", None, None),
        TaskState::Promised => ("staged", None, None),
        TaskState::Done(result) => ("done", None, serde_json::to_value(&*result).ok()),
        TaskState::Failed(error) => ("failed", Some(error.to_string()), None),
        TaskState::Cancelled => ("cancelled", None, None),
    };
    json!({
        "id": task.id,
        "state": state,
        "profile": task.profile,
        "source": task.source_label,
        "size": task.size,
        "credit": task.progress.credit(task.size),
        "bytesToTarget": task.progress.bytes_sent(),
        "targetCalls": task.progress.calls(),
        "error": error,
        "result": result,
    })
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
