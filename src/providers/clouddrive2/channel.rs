//! The event channel: one stream per drive, opened before the first upload, with the events of all
//! uploads (sheet section 7.2).
//!
//! A task reads the stream and hands every event to the upload it names. Events of an upload that
//! nobody knows yet are kept for a while: they may come before the answer that tells its id. When
//! the stream breaks it is opened again after a growing pause, with the same device id: the server
//! then repeats what was not answered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::api::Api;
use super::error::{Repeat, of_status};
use super::upload_message::{
    Asked, RemoteHashDataRequest, RemoteReadDataRequest, RemoteUploadChannelReply,
    RemoteUploadChannelRequest, Stage,
};
use super::wire::Call;
use crate::drive::{AccountEffect, DriveError, ErrorKind, Result};
use crate::net::Retry;

/// A server may send the head of the stream only with the first event, so the call itself waits
/// for long. That the other side lives is seen by the pings of the connection.
const CHANNEL: Call = Call::safe("upload_channel", "RemoteUploadChannel")
    .class("upload")
    .deadline(Duration::from_secs(24 * 3600));

/// Events of one upload that wait to be served.
const WAITING: usize = 4096;

/// Events kept of uploads that nobody knows yet, all together.
const EARLY: usize = 1024;

/// Pauses and patience; tests have shorter ones.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A stream without a head counts as open after this.
    pub head: Duration,
    /// How long events of unknown uploads are kept.
    pub early: Duration,
    /// First pause before the channel is opened again; doubled up to `longest`.
    pub first: Duration,
    pub longest: Duration,
    /// Without a channel for this long the uploads fail.
    pub give_up: Duration,
    /// An upload without an event for this long is looked up in the upload list.
    pub quiet: Duration,
    /// Between two reports of a hash under way (section 7.5).
    pub report: Duration,
    /// No progress while the server works on it, and while it waits for its turn or is paused.
    pub stalled: Duration,
    pub queued: Duration,
    /// Pauses while a finished file is not shown yet (section 7.6: up to 20 s).
    pub shown: [Duration; 5],
    /// When what an earlier run of the program left is given up.
    pub sweep: Duration,
}

impl Pace {
    pub const NORMAL: Pace = Pace {
        head: Duration::from_secs(2),
        early: Duration::from_secs(30),
        first: Duration::from_millis(500),
        longest: Duration::from_secs(30),
        give_up: Duration::from_secs(300),
        quiet: Duration::from_secs(20),
        report: Duration::from_millis(250),
        stalled: Duration::from_secs(600),
        queued: Duration::from_secs(3600),
        shown: [
            Duration::from_millis(500),
            Duration::from_secs(1),
            Duration::from_secs(3),
            Duration::from_secs(6),
            Duration::from_secs(10),
        ],
        sweep: Duration::from_secs(600),
    };
}

/// What an upload is told.
#[derive(Clone, Debug)]
pub enum Event {
    Read(RemoteReadDataRequest),
    Hash(RemoteHashDataRequest),
    /// `None` for a stage that is not known here.
    Stage(Option<Stage>, String),
    /// The channel was lost and stands again: something may have been missed.
    Reopened,
    /// There is no channel any more.
    Lost(DriveError),
}

/// The channel of one drive. The task ends with it.
pub struct Channel {
    shared: Arc<Shared>,
    task: Mutex<Option<AbortHandle>>,
}

struct Shared {
    api: Arc<Api>,
    pace: Pace,
    /// The profile's own device id.
    fixed: Option<String>,
    device: OnceCell<String>,
    phase: watch::Sender<Phase>,
    /// Ends a pause before the next attempt.
    hurry: Notify,
    /// Opens the channel anew.
    anew: Notify,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
enum Phase {
    Opening,
    Open,
    Down(DriveError),
}

#[derive(Default)]
struct State {
    running: bool,
    /// Times it was open.
    opened: u64,
    uploads: HashMap<String, mpsc::Sender<Event>>,
    early: VecDeque<(Instant, String, Event)>,
}

/// Why the channel ended.
enum Ended {
    /// Asking again gives the same answer.
    Refused(DriveError),
    Broke(DriveError),
    /// We wanted that.
    Anew,
}

impl Channel {
    /// `device` is the profile's own device id, when it has one.
    pub fn new(api: Arc<Api>, device: &str, pace: Pace) -> Channel {
        let (phase, _) = watch::channel(Phase::Opening);
        Channel {
            shared: Arc::new(Shared {
                api,
                pace,
                fixed: Some(device.trim().to_owned()).filter(|id| !id.is_empty()),
                device: OnceCell::new(),
                phase,
                hurry: Notify::new(),
                anew: Notify::new(),
                state: Mutex::default(),
            }),
            task: Mutex::new(None),
        }
    }

    /// Makes sure that the channel is open.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub async fn open(&self) -> Result<()> {
        let mut phase = self.shared.phase.subscribe();
        let start = {
            let mut state = self.shared.state();
            !std::mem::replace(&mut state.running, true)
        };
        if start {
            self.shared.phase.send_replace(Phase::Opening);
            let task = tokio::spawn(run(self.shared.clone())).abort_handle();
            *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        } else {
            // It is waiting to try again: somebody wants it now.
            let waiting = self.shared.phase.send_if_modified(|phase| {
                let down = matches!(phase, Phase::Down(_));
                if down {
                    *phase = Phase::Opening;
                }
                down
            });
            if waiting {
                self.shared.hurry.notify_one();
            }
        }
        wait_open(&mut phase).await
    }

    /// Opens it anew, so that the server repeats what was not answered.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub async fn open_anew(&self) -> Result<()> {
        if !self.shared.state().running {
            return self.open().await;
        }
        let mut phase = self.shared.phase.subscribe();
        self.shared.phase.send_replace(Phase::Opening);
        self.shared.anew.notify_one();
        self.shared.hurry.notify_one();
        wait_open(&mut phase).await
    }

    /// The events of an upload from now on, with those that came before its id was known.
    pub fn register(&self, id: &str) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut state = self.shared.state();
        let (mine, others) = std::mem::take(&mut state.early)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, of, _)| of == id);
        state.early = others;
        for (_, _, event) in mine {
            // EARLY is less than WAITING: there is room.
            let _ = sender.try_send(event);
        }
        state.uploads.insert(id.to_owned(), sender);
        receiver
    }

    /// The upload is over for us.
    pub fn forget(&self, id: &str) {
        let mut state = self.shared.state();
        state.uploads.remove(id);
        state.early.retain(|(_, of, _)| of != id);
    }

    /// Whether an event named an upload that nobody has registered.
    pub fn has_early(&self, id: &str) -> bool {
        let state = self.shared.state();
        state.early.iter().any(|(_, of, _)| of == id)
    }

    /// Whether somebody here serves this upload.
    pub fn is_registered(&self, id: &str) -> bool {
        self.shared.state().uploads.contains_key(id)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

async fn wait_open(phase: &mut watch::Receiver<Phase>) -> Result<()> {
    let decided = phase.wait_for(|phase| !matches!(phase, Phase::Opening));
    match timeout(super::wire::CALL, decided).await {
        Ok(Ok(phase)) => match &*phase {
            Phase::Down(error) => Err(error.clone()),
            _ => Ok(()),
        },
        _ => Err(broke("it does not open")),
    }
}

fn broke(what: &str) -> DriveError {
    DriveError::new(ErrorKind::Network, format!("{}: {what}", CHANNEL.op)).retry(Retry::Backoff)
}

/// Keeps the channel open while somebody uploads.
async fn run(shared: Arc<Shared>) {
    let mut pause = shared.pace.first;
    let mut down_since: Option<Instant> = None;
    loop {
        let opened = shared.state().opened;
        let error = match shared.listen().await {
            Ended::Anew => {
                shared.phase.send_replace(Phase::Opening);
                continue;
            }
            Ended::Refused(error) => {
                shared.end(error, true);
                return;
            }
            Ended::Broke(error) => error,
        };
        tracing::debug!(%error, "the upload channel is down");
        if shared.state().opened > opened {
            pause = shared.pace.first;
            down_since = None;
        }
        let since = *down_since.get_or_insert_with(Instant::now);
        let over = since.elapsed() > shared.pace.give_up;
        if shared.end(error.clone(), over) {
            return;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = shared.hurry.notified() => {}
        }
        shared.phase.send_replace(Phase::Opening);
        pause = (pause * 2).min(shared.pace.longest);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One life of the stream.
    async fn listen(&self) -> Ended {
        let device_id = match self.device().await {
            Ok(device) => device.to_owned(),
            Err(error) => return Ended::Refused(error),
        };
        let request = RemoteUploadChannelRequest { device_id };
        let opening = self
            .api
            .stream::<_, RemoteUploadChannelReply>(&CHANNEL, request);
        tokio::pin!(opening);
        let mut told = false;
        let answer = loop {
            tokio::select! {
                answer = &mut opening => break answer,
                () = self.anew.notified() => return Ended::Anew,
                () = sleep(self.pace.head), if !told => {
                    told = true;
                    self.stands();
                }
            }
        };
        let mut stream = match answer {
            // The permit is for the asking; an idle stream burdens nobody.
            Ok((stream, _permit)) => stream,
            Err(error) => return ended(error),
        };
        if !told {
            self.stands();
        }
        loop {
            // No deadline here: the stream is silent while nobody uploads.
            let message = tokio::select! {
                message = stream.message() => message,
                () = self.anew.notified() => return Ended::Anew,
            };
            match message {
                Ok(Some(reply)) => self.route(reply),
                Ok(None) => return Ended::Broke(broke("the server ended it")),
                Err(status) => return ended(of_status(CHANNEL.op, &status, Repeat::Safe)),
            }
        }
    }

    /// The device id, the same for ever: the profile's, else one made once and kept with the
    /// credentials.
    async fn device(&self) -> Result<&str> {
        if let Some(device) = &self.fixed {
            return Ok(device);
        }
        let device = self
            .device
            .get_or_try_init(|| async {
                let stored = self.api.bearer.load().await?;
                let kept = stored.get("device_id").map(|id| id.expose().to_owned());
                if let Some(kept) = kept.filter(|id| !id.is_empty()) {
                    return Ok(kept);
                }
                let made = format!("panfuse-{}", uuid::Uuid::new_v4().simple());
                self.api.bearer.keep("device_id", &made).await?;
                Ok::<_, DriveError>(made)
            })
            .await?;
        Ok(device)
    }

    /// The request has reached the server.
    fn stands(&self) {
        let mut state = self.state();
        state.opened = state.opened.saturating_add(1);
        if state.opened > 1 {
            for sender in state.uploads.values() {
                let _ = sender.try_send(Event::Reopened);
            }
        }
        drop(state);
        self.phase.send_replace(Phase::Open);
    }

    /// After a break: whether the task ends. It does when nobody waits for events, or when `over`.
    fn end(&self, error: DriveError, over: bool) -> bool {
        let mut state = self.state();
        if over {
            for (_, sender) in state.uploads.drain() {
                let _ = sender.try_send(Event::Lost(error.clone()));
            }
        }
        let ends = over || state.uploads.is_empty();
        if ends {
            state.running = false;
        }
        // Within the lock: whoever opens it next says so after this.
        self.phase.send_replace(Phase::Down(error));
        ends
    }

    fn route(&self, reply: RemoteUploadChannelReply) {
        let event = match reply.request {
            Some(Asked::Read(asked)) => Event::Read(asked),
            Some(Asked::Hash(asked)) => Event::Hash(asked),
            Some(Asked::Status(changed)) => {
                Event::Stage(Stage::of(changed.status), changed.error_message)
            }
            // Something that a newer server has to say.
            None => return,
        };
        let mut state = self.state();
        match state.uploads.get(&reply.upload_id) {
            // A queue that is full closes: its upload ends with an error. One that is closed
            // belongs to an upload that just ended.
            Some(sender) => {
                if sender.try_send(event).is_err() {
                    state.uploads.remove(&reply.upload_id);
                }
            }
            None => {
                let now = Instant::now();
                let early = &mut state.early;
                while early.len() >= EARLY
                    || early
                        .front()
                        .is_some_and(|(at, ..)| now.duration_since(*at) > self.pace.early)
                {
                    early.pop_front();
                }
                early.push_back((now, reply.upload_id, event));
            }
        }
    }
}

fn ended(error: DriveError) -> Ended {
    let for_good = matches!(
        error.kind,
        ErrorKind::Auth
            | ErrorKind::Unsupported
            | ErrorKind::Invalid
            | ErrorKind::BadAnswer
            | ErrorKind::Risk
    );
    // A stream that ends because its token has expired is opened with another one.
    if for_good && error.account != AccountEffect::Refresh {
        Ended::Refused(error)
    } else {
        Ended::Broke(error)
    }
}
