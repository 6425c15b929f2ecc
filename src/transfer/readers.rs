//! Who still needs the bytes of a node: transfers that are not verified, and drafts that refer to
//! it. The removal of such a node is parked until they are done (DESIGN 3.4).

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::engine::Engine;
use super::task::{Task, TaskState};
use crate::content::{Draft, RemoteContent};
use crate::drive::NodeId;
use crate::net::{Priority, with_priority};

/// Drafts that refer to remote nodes, and the ids under which removals wait for them.
#[derive(Default)]
pub(super) struct OpenDrafts {
    all: Mutex<Vec<(String, Weak<Draft>)>>,
}

impl OpenDrafts {
    fn watch(&self, draft: &Arc<Draft>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, draft)| draft.strong_count() > 0);
        let weak = Arc::downgrade(draft);
        if !all.iter().any(|(_, known)| known.ptr_eq(&weak)) {
            all.push((format!("draft-{}", uuid::Uuid::new_v4().simple()), weak));
        }
    }

    fn forget(&self, draft: &Arc<Draft>) {
        let weak = Arc::downgrade(draft);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, known)| !known.ptr_eq(&weak));
    }

    fn alive(&self) -> Vec<(String, Arc<Draft>)> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = all
            .iter()
            .filter_map(|(id, draft)| Some((id.clone(), draft.upgrade()?)));
        alive.collect()
    }

    fn id_of(&self, draft: &Arc<Draft>) -> Option<String> {
        let weak = Arc::downgrade(draft);
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().find(|(_, known)| known.ptr_eq(&weak));
        found.map(|(id, _)| id.clone())
    }
}

fn reads(source: &RemoteContent, profile: &str, id: &NodeId) -> bool {
    *source.volume().name == *profile && source.node().id == *id
}

impl Engine {
    /// Transfers that are not verified yet and read this node, and drafts that refer to it.
    pub fn readers_of(&self, profile: &str, id: &NodeId) -> Vec<String> {
        self.other_readers_of(profile, id, &[])
    }

    /// As [`Engine::readers_of`], without those that read it through one of `own`.
    pub(super) fn other_readers_of(
        &self,
        profile: &str,
        id: &NodeId,
        own: &[Arc<RemoteContent>],
    ) -> Vec<String> {
        let counts = |source: &Arc<RemoteContent>| {
            reads(source, profile, id) && !own.iter().any(|own| Arc::ptr_eq(own, source))
        };
        let mut readers: Vec<String> = self
            .tasks()
            .iter()
            .filter(|task| {
                !task.cancel.is_cancelled()
                    && task.sources().iter().any(counts)
                    && self.is_pending(task)
            })
            .map(|task| task.id.clone())
            .collect();
        for (name, draft) in self.drafts().alive() {
            if draft.remotes().iter().any(counts) {
                readers.push(name);
            }
        }
        readers
    }

    /// Notes that a draft refers to remote nodes: their removal waits for it.
    pub fn watch_draft(&self, draft: &Arc<Draft>) {
        self.drafts().watch(draft);
    }

    /// The draft's own file was removed: what it refers to need not stay for it.
    pub fn forget_draft(&self, draft: &Arc<Draft>) {
        self.drafts().forget(draft);
    }

    /// A draft was handed over to a transfer: what waited for the one waits for the other.
    pub async fn draft_becomes(&self, draft: &Arc<Draft>, task: &Task) {
        if let Some(id) = self.drafts().id_of(draft) {
            self.repark(&id, &task.id).await;
        }
    }

    /// Lets removals go on that wait for drafts, once those are gone.
    pub(super) fn await_drafts(&self, readers: &[String]) {
        for (id, draft) in self.drafts().alive() {
            if !readers.contains(&id) {
                continue;
            }
            let (engine, gone) = (self.clone(), draft.gone());
            drop(draft);
            tokio::spawn(with_priority(Priority::Background, async move {
                // At the end of the program drafts go too, and nobody knows what becomes of them.
                tokio::select! {
                    biased;
                    () = engine.stopping().cancelled() => {}
                    () = gone.cancelled() => engine.release_parked(&id).await,
                }
            }));
        }
    }

    /// What became of a reader.
    pub(super) fn reader_state(&self, id: &str) -> Reader {
        if self.drafts().alive().iter().any(|(draft, _)| draft == id) {
            return Reader::Reading;
        }
        match self.tasks().iter().find(|task| task.id == id) {
            Some(task) if self.is_pending(task) => Reader::Reading,
            Some(task) if matches!(task.state(), TaskState::Done(_)) => Reader::Done,
            Some(_) => Reader::Failed,
            None => Reader::Done,
        }
    }
}

/// What became of somebody who read a node.
pub(super) enum Reader {
    /// It still needs the node.
    Reading,
    /// It does not need it any more.
    Done,
    /// It failed: its source is all there is.
    Failed,
}
