//! Starting an upload, taking one up that was cut off, and the promise that one that is not
//! finished is cancelled at the server (sheet sections 7.1, 7.2, 7.7).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::channel::{Channel, Event, Pace};
use super::error::is_uncertain;
use super::ledger::{Entry, Ledger};
use super::message::Empty;
use super::queue::{self, Listed, control};
use super::upload_message::{Control, RemoteUploadStarted, Stage, StartRemoteUploadRequest};
use super::wire::Call;
use crate::drive::{DriveContext, DriveError, ErrorKind, Result, patience};
use crate::net::{current_priority, retry, with_priority};

const START: Call = Call::once("start_upload", "StartRemoteUpload");

/// A start whose answer was lost is tried this often.
const STARTS: u32 = 3;

/// What uploads share.
pub struct Uploads {
    pub api: Arc<Api>,
    pub channel: Channel,
    pub pace: Pace,
    ledger: Ledger,
    swept: AtomicBool,
}

/// An upload that lives at the server. Dropped before [`Running::over`] it is cancelled there.
pub struct Running {
    uploads: Arc<Uploads>,
    pub id: String,
    pub events: mpsc::Receiver<Event>,
    /// Taken over from an earlier run: the server has seen some bytes then.
    pub taken_up: bool,
    armed: bool,
}

impl Running {
    /// It has ended at the server.
    pub async fn over(mut self) {
        self.armed = false;
        self.uploads.ledger.remove(&self.id).await;
    }

    /// Cancels it at the server. When that fails the ledger still has it; when this is dropped
    /// midway it is done behind.
    pub async fn cancel(mut self) {
        self.uploads.channel.forget(&self.id);
        self.uploads.clone().withdraw(self.id.clone()).await;
        self.armed = false;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.uploads.channel.forget(&self.id);
        if !self.armed {
            return;
        }
        // Without a runtime the program is ending: the next start finds it in the ledger.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(self.uploads.clone().withdraw(self.id.clone()));
        }
    }
}

impl Uploads {
    pub fn new(api: Arc<Api>, context: &DriveContext, pace: Pace) -> Uploads {
        Uploads {
            channel: Channel::new(api.clone(), context.field("device_id"), pace),
            ledger: Ledger::new(&context.state_dir, &context.profile),
            api,
            pace,
            swept: AtomicBool::new(false),
        }
    }

    /// Starts the upload of `entry`, or goes on with the one that an earlier run left. `hashes`
    /// are what the server is told at the start, by hash type.
    ///
    /// # Errors
    /// Those of the channel and of the call.
    pub async fn begin(
        self: &Arc<Self>,
        entry: Entry,
        hashes: BTreeMap<u32, String>,
    ) -> Result<Running> {
        // The channel stands before the first start: no event is missed.
        retry(patience(), || self.channel.open()).await?;
        self.sweep_later();
        if let Some(running) = self.take_up(&entry).await? {
            return Ok(running);
        }
        let request = StartRemoteUploadRequest {
            file_path: entry.path.clone(),
            file_size: entry.size,
            known_hashes: hashes,
            client_can_calculate_hashes: true,
        };
        // In a task of its own: when we are dropped before the answer, the upload that it tells of
        // must be cancelled all the same.
        let (sender, receiver) = oneshot::channel();
        let uploads = self.clone();
        let work = async move {
            // What nobody receives is dropped, and so cancelled.
            let _ = sender.send(uploads.start(request, entry).await);
        };
        tokio::spawn(with_priority(current_priority(), work));
        receiver.await.unwrap_or_else(|_| {
            Err(DriveError::new(
                ErrorKind::Cancelled,
                "the program is ending",
            ))
        })
    }

    async fn start(
        self: Arc<Self>,
        request: StartRemoteUploadRequest,
        entry: Entry,
    ) -> Result<Running> {
        let mut left = STARTS;
        let id = loop {
            left -= 1;
            match self.api.call(&START, request.clone()).await {
                Ok(RemoteUploadStarted { upload_id }) if upload_id.is_empty() => {
                    return Err(DriveError::bad_answer(START.op, "no upload_id"));
                }
                Ok(RemoteUploadStarted { upload_id }) => break upload_id,
                Err(error) if is_uncertain(&error) => match self.find_lost(&request).await {
                    Some(id) => break id,
                    None if left == 0 => return Err(error),
                    None => tracing::debug!(%error, "started again"),
                },
                Err(error) => return Err(error),
            }
        };
        let running = self.hold(id, false);
        self.ledger.insert(&running.id, entry).await;
        Ok(running)
    }

    fn hold(self: &Arc<Self>, id: String, taken_up: bool) -> Running {
        Running {
            events: self.channel.register(&id),
            uploads: self.clone(),
            id,
            taken_up,
            armed: true,
        }
    }

    /// The upload of a start whose answer was lost: it is in the list, for this file, and the
    /// channel has told something about it, which only happens to our own.
    async fn find_lost(&self, request: &StartRemoteUploadRequest) -> Option<String> {
        let until = Instant::now() + self.pace.first * 10;
        loop {
            let listed = queue::uploads(&self.api).await.ok()?;
            let found = listed.into_iter().find(|upload| {
                upload.path == request.file_path
                    && upload.size == request.file_size
                    && !upload.stage.is_some_and(Stage::is_end)
                    && self.channel.has_early(&upload.id)
            });
            if let Some(found) = found {
                return Some(found.id);
            }
            if Instant::now() >= until {
                return None;
            }
            sleep(self.pace.first).await;
        }
    }

    /// Goes on with what an earlier run left for this path. What is of another content, or of one
    /// that cannot be told, is cancelled.
    async fn take_up(self: &Arc<Self>, entry: &Entry) -> Result<Option<Running>> {
        let left: Vec<(String, Entry)> = self
            .ledger
            .all()
            .await
            .into_iter()
            .filter(|(id, old)| old.path == entry.path && !self.channel.is_registered(id))
            .collect();
        if left.is_empty() {
            return Ok(None);
        }
        let listed = match queue::uploads(&self.api).await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::debug!(%error, "what is left of earlier uploads cannot be looked up");
                Vec::new()
            }
        };
        let mut taken = None;
        for (id, old) in left {
            let lives = listed.iter().find(|upload| {
                upload.id == id
                    && (upload.path.as_str(), upload.size) == (&*entry.path, entry.size)
                    && !upload.stage.is_some_and(Stage::is_end)
            });
            match lives {
                Some(upload) if taken.is_none() && old.is_same(entry) => {
                    taken = Some(self.go_on(upload).await?);
                }
                _ => self.clone().withdraw(id).await,
            }
        }
        Ok(taken)
    }

    async fn go_on(self: &Arc<Self>, upload: &Listed) -> Result<Running> {
        tracing::info!(path = %upload.path, "an interrupted upload goes on");
        if !self.channel.has_early(&upload.id) {
            // What it asked has been told before we listened; it is told again to a new channel.
            self.channel.open_anew().await?;
        }
        let running = self.hold(upload.id.clone(), true);
        if upload.stage == Some(Stage::Paused) {
            control(&self.api, &upload.id, Control::Resume(Empty {})).await?;
        }
        Ok(running)
    }

    /// Cancels an upload at the server, and forgets it when that is done.
    pub async fn withdraw(self: Arc<Self>, id: String) {
        match control(&self.api, &id, Control::Cancel(Empty {})).await {
            Ok(()) => self.ledger.remove(&id).await,
            Err(error) => tracing::warn!(%error, "an upload is not cancelled at the server"),
        }
    }

    /// What an earlier run left and nobody wants any more is cancelled, once, after a while.
    fn sweep_later(self: &Arc<Self>) {
        if self.swept.swap(true, Ordering::Relaxed) {
            return;
        }
        let (uploads, pause) = (Arc::downgrade(self), self.pace.sweep);
        let work = async move {
            let Some(before) = uploads.upgrade() else {
                return;
            };
            let old: Vec<String> = before.ledger.all().await.into_keys().collect();
            drop(before);
            if old.is_empty() {
                return;
            }
            sleep(pause).await;
            for id in old {
                let Some(uploads) = uploads.upgrade() else {
                    return;
                };
                let still = uploads.ledger.all().await.contains_key(&id);
                if still && !uploads.channel.is_registered(&id) {
                    uploads.withdraw(id).await;
                }
            }
        };
        tokio::spawn(with_priority(crate::net::Priority::Background, work));
    }
}

#[cfg(test)]
impl Uploads {
    /// Whether nothing of ours is thought to live at the server.
    pub async fn ledger_is_empty(&self) -> bool {
        self.ledger.all().await.is_empty()
    }
}
