//! The life of an upload, from preprocessing to its end (clouddrive2.md sections 6, 7.6 and
//! 11, 4).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::super::super::account::Account;
use super::super::super::content::Blob;
use super::super::super::faults::FaultKind;
use super::super::super::tree::Node;
use super::super::gate::Call;
use super::super::messages::{ChannelEvent, Status, change};
use super::super::paths::{Mount, Place, bad_name, path_of};
use super::received::Received;
use super::script::{Piece, plan};
use super::{Ask, Upload, read_event};

/// Between looks at what no event tells.
const POLL: Duration = Duration::from_millis(10);

/// Why an upload goes no further.
pub(super) enum Stop {
    /// The server has forgotten it: nobody hears of it again.
    Forgotten,
    /// An end state and its text.
    End(Status, String),
}

pub(super) fn error(text: &str) -> Stop {
    Stop::End(Status::Error, text.to_owned())
}

/// What does not change while an upload runs.
pub(super) struct Facts {
    parent: String,
    name: String,
    mount: &'static Mount,
    pub size: u64,
    pub client_hashes: bool,
}

/// The task behind an upload.
pub(super) struct Run {
    pub call: Call,
    pub account: Arc<Account>,
    id: String,
    wake: Arc<Notify>,
    pub facts: Facts,
}

impl Run {
    /// Of an upload that was just noted.
    pub(super) fn of(call: &Call, id: &str) -> Run {
        let state = call.sim.state();
        let upload = state.uploads.get(id);
        Run {
            account: call.account.clone(),
            id: id.to_owned(),
            wake: upload.map(|upload| upload.wake.clone()).unwrap_or_default(),
            facts: Facts {
                parent: upload.map(|u| u.parent.clone()).unwrap_or_default(),
                name: upload.map(|u| u.name.clone()).unwrap_or_default(),
                mount: upload.map_or(&super::super::paths::MOUNTS[0], |u| u.mount),
                size: upload.map_or(0, |upload| upload.size),
                client_hashes: upload.is_some_and(|upload| upload.client_hashes),
            },
            call: call.clone(),
        }
    }

    /// Runs it to its end.
    pub(super) async fn go(self) {
        let (status, text) = match self.work().await {
            Ok(status) => (status, String::new()),
            Err(Stop::End(status, text)) => (status, text),
            Err(Stop::Forgotten) => return,
        };
        let _ = self.with(|upload| upload.received.release());
        self.status(status, &text);
    }

    fn status(&self, status: Status, text: &str) {
        self.call.sim.set_status(&self.id, status, text);
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Upload) -> T) -> Result<T, Stop> {
        let mut state = self.call.sim.state();
        let upload = state.uploads.get_mut(&self.id);
        upload.map(look).ok_or(Stop::Forgotten)
    }

    fn knob(&self, name: &str) -> Option<String> {
        self.account
            .knobs
            .text(name)
            .filter(|text| !text.is_empty())
    }

    async fn work(&self) -> Result<Status, Stop> {
        self.status(Status::WaitforPreprocessing, "");
        self.slot(Status::Preprocessing, "max_preprocess").await?;
        if let Some(end) = self.refused_at_once()? {
            return Ok(end);
        }
        let wait = self.account.knobs.number("preprocess_ms", 0);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let needs = self.facts.mount.needs(&self.account);
        for number in &needs {
            self.hash(*number).await?;
        }
        let instant = self.facts.size > 0
            && !needs.is_empty()
            && self.knob("instant").as_deref() != Some("off");
        if instant {
            let found = self.known(&needs).await?;
            if let Some(blob) = found {
                self.challenge(&blob).await?;
                self.verify(&blob).await?;
                self.account.meters.rapid(true);
                let end = self.store(blob).await?;
                return Ok(match self.knob("hit_status").as_deref() {
                    Some("skipped") => Status::Skipped,
                    _ => end,
                });
            }
            self.account.meters.rapid(false);
        }
        self.status(Status::Inqueue, "");
        self.slot(Status::Transfer, "max_transfers").await?;
        self.together().await;
        let blob = self.read_all().await?;
        self.verify(&blob).await?;
        if let Some(text) = self.account.faults.take("commit", FaultKind::CommitFail) {
            return Err(match text.strip_prefix("fatal:") {
                Some(text) => Stop::End(Status::FatalError, text.to_owned()),
                None if text.is_empty() => error("the provider refused the file"),
                None => error(&text),
            });
        }
        self.ordered_end(100)?;
        self.store(blob).await
    }

    /// What needs no look at the content.
    fn refused_at_once(&self) -> Result<Option<Status>, Stop> {
        let Facts {
            parent, name, size, ..
        } = &self.facts;
        if bad_name(&self.account, name).is_some() {
            let text = "file name not allowed".to_owned();
            return Err(Stop::End(Status::FatalError, text));
        }
        if *size == 0 && self.knob("empty_files").as_deref() == Some("refuse") {
            return Err(error("empty files are not supported"));
        }
        let ignored = self.knob("ignored_extensions").unwrap_or_default();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if !extension.is_empty() && ignored.split(',').any(|one| one.trim() == extension) {
            return Ok(Some(Status::Ignored));
        }
        let used = self.call.used(self.facts.mount.root);
        if used.saturating_add(*size) > self.call.total_space() {
            return Err(error("quota exceeded"));
        }
        let parent = self.parent(parent)?;
        let taken = !self.account.tree().find(&parent, name).is_empty();
        let keeps = self.knob("existing").is_none_or(|how| how == "skip");
        Ok((taken && keeps).then_some(Status::Skipped))
    }

    /// Waits for a turn, as many as the setting allows at a time, and takes the status.
    async fn slot(&self, status: Status, knob: &str) -> Result<(), Stop> {
        let limit = self.account.knobs.number(knob, 4).max(1);
        loop {
            self.checkpoint().await?;
            let free = {
                let state = self.call.sim.state();
                let busy = state.uploads.values();
                let busy = busy.filter(|upload| {
                    upload.profile() == self.account.profile && upload.status == status
                });
                (busy.count() as u64) < limit
            };
            if free {
                self.status(status, "");
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until as many uploads as the setting `together` says are about to read, so that
    /// their requests mix; not longer than a few seconds.
    async fn together(&self) {
        let wanted = self.account.knobs.number("together", 1);
        for _ in 0..500 {
            let ready = {
                let state = self.call.sim.state();
                let all = state.uploads.values();
                let own = all.filter(|upload| upload.profile() == self.account.profile);
                own.filter(|upload| upload.status == Status::Transfer)
                    .count() as u64
            };
            if ready >= wanted {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Looks whether something ends, pauses, cuts or silences the upload here.
    async fn checkpoint(&self) -> Result<(), Stop> {
        loop {
            let (share, paused, silence) = {
                let mut state = self.call.sim.state();
                let upload = state.uploads.get_mut(&self.id).ok_or(Stop::Forgotten)?;
                if upload.cancelled {
                    return Err(Stop::End(Status::Cancelled, String::new()));
                }
                if let Some(failure) = upload.failure.take() {
                    return Err(Stop::End(Status::Error, failure));
                }
                let share = upload.share();
                let at = |knob: &str| {
                    let text = self.knob(knob)?;
                    let percent = text.split(',').next()?.trim().parse::<u64>().ok()?;
                    (share >= percent).then_some(text)
                };
                let cut = !upload.cut && at("channel_cut").is_some();
                upload.cut |= cut;
                let silence = at("silent").filter(|_| !upload.quiet);
                if silence.is_some() {
                    upload.quiet = true;
                    upload.silent = true;
                }
                let paused = upload.paused;
                if cut {
                    state.cut_channel_of(&self.id);
                }
                (share, paused, silence)
            };
            if let Some(text) = silence {
                let ms = text
                    .split_once(',')
                    .and_then(|(_, ms)| ms.trim().parse().ok());
                self.fall_silent(ms).await?;
                continue;
            }
            self.ordered_end(share)?;
            if !paused {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Says nothing for so long, or until it is cancelled.
    async fn fall_silent(&self, ms: Option<u64>) -> Result<(), Stop> {
        let mut left = ms;
        while left != Some(0) {
            tokio::time::sleep(POLL).await;
            if self.with(|upload| upload.cancelled)? {
                break;
            }
            left = left.map(|left| left.saturating_sub(POLL.as_millis() as u64));
        }
        let mut state = self.call.sim.state();
        if let Some(upload) = state.uploads.get_mut(&self.id) {
            upload.silent = false;
        }
        state.repeat(&self.id);
        Ok(())
    }

    /// The setting `end_status`: `STATUS[,PERCENT[,TEXT]]`.
    fn ordered_end(&self, share: u64) -> Result<(), Stop> {
        let Some(text) = self.knob("end_status") else {
            return Ok(());
        };
        let mut parts = text.splitn(3, ',');
        let status = match parts.next().unwrap_or("").trim() {
            "error" => Status::Error,
            "fatal" => Status::FatalError,
            "skipped" => Status::Skipped,
            "cancelled" => Status::Cancelled,
            "ignored" => Status::Ignored,
            _ => return Ok(()),
        };
        let at = parts.next().and_then(|at| at.trim().parse().ok());
        let text = parts.next().unwrap_or("").to_owned();
        match share >= at.unwrap_or(100) {
            true => Err(Stop::End(status, text)),
            false => Ok(()),
        }
    }

    /// Waits until `look` finds something.
    pub(super) async fn until<T>(
        &self,
        mut look: impl FnMut(&mut Upload) -> Option<T>,
    ) -> Result<T, Stop> {
        loop {
            self.checkpoint().await?;
            if let Some(found) = self.with(&mut look)? {
                return Ok(found);
            }
            // Pauses and settings change without a word from the client.
            let _ = tokio::time::timeout(POLL * 20, self.wake.notified()).await;
        }
    }

    pub(super) fn emit(&self, event: ChannelEvent) {
        self.call.sim.state().emit(&self.id, event);
    }

    /// Sends a read request.
    pub(super) fn ask(&self, piece: Piece) -> Result<(), Stop> {
        let size = self.facts.size;
        let end = piece.offset.saturating_add(piece.length).min(size);
        self.account.meters.asked(end.saturating_sub(piece.offset));
        let mut state = self.call.sim.state();
        let upload = state.uploads.get_mut(&self.id).ok_or(Stop::Forgotten)?;
        upload.ask(piece);
        state.emit(&self.id, read_event(piece));
        Ok(())
    }

    /// Reads the whole file, several requests at a time.
    pub(super) async fn read_all(&self) -> Result<Blob, Stop> {
        let size = self.facts.size;
        let window = self.account.knobs.number("read_window", 4).max(1);
        let seed = self.call.sim.kit.ids.number();
        for piece in plan(size, &self.account.knobs, seed) {
            let room = |upload: &mut Upload| {
                let unanswered: &Vec<Ask> = &upload.asks;
                ((unanswered.len() as u64) < window).then_some(())
            };
            self.until(room).await?;
            self.ask(piece)?;
        }
        self.until(|upload| upload.asks.is_empty().then_some(()))
            .await?;
        let pieces = self.with(|upload| upload.received.pieces())?;
        let whole = Received::whole(pieces, size).await;
        whole.ok_or_else(|| error("not all bytes arrived"))
    }

    /// Id of the folder it goes to.
    fn parent(&self, path: &str) -> Result<String, Stop> {
        match self.call.place(path) {
            Ok(Some(Place::Node(_, node))) if node.is_dir() => Ok(node.id),
            _ => Err(error("destination folder not found")),
        }
    }

    /// Puts the content into the tree and makes it known.
    async fn store(&self, blob: Blob) -> Result<Status, Stop> {
        let sim = &self.call.sim;
        let Facts { parent, name, .. } = &self.facts;
        let parent = self.parent(parent)?;
        sim.kit.inventory.add(&blob);
        let corrupt = self.account.faults.take("commit", FaultKind::Corrupt);
        let (now, id) = (self.call.now(), sim.file_id());
        let how = self.knob("existing");
        let path = {
            let mut tree = self.account.tree();
            let taken = tree.find(&parent, name).first().map(|node| node.id.clone());
            let mut name = name.clone();
            match (taken, how.as_deref()) {
                (None, _) => {}
                (Some(old), Some("replace")) => {
                    tree.update(&old, |node| node.trashed = Some(now));
                }
                (Some(_), Some("rename")) => name = tree.free_name(&parent, &name),
                (Some(_), _) => return Ok(Status::Skipped),
            }
            let stored = corrupt.map(|_| blob.corrupted());
            let mut node = Node::file(&id, &parent, &name, blob, now);
            node.stored = stored;
            tree.insert(node);
            path_of(&tree, &id)
        };
        self.call.changed();
        sim.noticed(&self.account, change::CREATE, false, &path, None);
        Ok(Status::Finish)
    }
}
