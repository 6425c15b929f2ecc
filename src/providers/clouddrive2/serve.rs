//! Serving an upload: the server asks for ranges and hashes, in its order, and exactly those are
//! answered until it says how it ended (sheet sections 7.3 to 7.6).

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::api::Api;
use super::channel::{Event, Pace};
use super::error::{is_gone, of_text};
use super::hashing::{self, Wanted};
use super::list::look;
use super::message::Empty;
use super::queue::{self, Listed, control};
use super::ranges::{Reads, Sent, meant};
use super::upload_message::{
    Control, RemoteHashProgressUpload, RemoteReadDataReply, RemoteReadDataRequest,
    RemoteReadDataUpload, Stage,
};
use super::wire::Call;
use crate::drive::{Conversation, DriveError, ErrorKind, Result};
use crate::fingerprint::Kind;
use crate::net::{Priority, Retry, with_priority};

const DATA: Call = Call::safe("upload_data", "RemoteReadData")
    .class("upload")
    .deadline(Duration::from_secs(120));

/// Bytes of one answer (section 7.4).
pub const PIECE: u64 = 1 << 20;

/// Bytes that are read from the source at a time.
pub const WINDOW: u64 = 4 << 20;

/// A piece that the server did not take is sent this often.
const TRIES: u32 = 4;

/// A source that fails for a moment is read this often.
const READS: u32 = 5;

/// One upload.
pub struct Serving<'a> {
    pub api: &'a Api,
    pub id: &'a str,
    pub path: &'a str,
    pub size: u64,
    pub conversation: &'a Conversation<'a>,
    pub pace: &'a Pace,
    sent: Mutex<Sent>,
    /// Requests whose last piece is on its way.
    out: Mutex<HashSet<RemoteReadDataRequest>>,
    /// Hashes that were told, or are on their way: the end may come before the answer to that call.
    hashed: Mutex<Vec<Kind>>,
    /// Reads that wait for the source; the upload is paused at the server meanwhile.
    waiting: AtomicUsize,
}

/// How an upload ended.
#[derive(Debug)]
pub enum End {
    Finished,
    /// Something is there already, or the provider had the content: clients disagree.
    Skipped,
    /// The server's own words.
    Failed(Stage, String),
    /// The server does not know it any more.
    Gone,
}

/// What became of an upload.
pub struct Served {
    pub end: End,
    /// Whether the server has seen every byte.
    pub all_sent: bool,
    /// Hashes that it asked for and got.
    pub hashed: Vec<Kind>,
}

/// Work that is done.
enum Done {
    Read(RemoteReadDataRequest, Result<()>),
    Hash(Wanted, Result<RemoteHashProgressUpload>),
    Repeated(Result<()>),
    Looked(Result<Found>),
}

/// What the upload list says.
enum Found {
    Listed(Listed),
    /// Not in the list, and whether a file of its size is in its place.
    Absent(bool),
}

type Work<'a> = Pin<Box<dyn Future<Output = Done> + Send + 'a>>;

/// When an upload is looked up, and when it is given up.
struct Watch<'a> {
    pace: &'a Pace,
    stage: Option<Stage>,
    transferred: u64,
    /// The last sign of life, from either side.
    heard: Instant,
    next: Instant,
    looking: bool,
    /// How often in a row it was not in the list.
    absent: u32,
}

impl Watch<'_> {
    fn heard(&mut self) {
        self.heard = Instant::now();
        self.next = self.heard + self.pace.quiet;
    }

    fn patience(&self) -> Duration {
        match self.stage {
            Some(Stage::Waiting | Stage::Queued | Stage::Paused) => self.pace.queued,
            _ => self.pace.stalled,
        }
    }
}

impl<'a> Serving<'a> {
    pub fn new(
        api: &'a Api,
        id: &'a str,
        path: &'a str,
        conversation: &'a Conversation<'a>,
        pace: &'a Pace,
    ) -> Serving<'a> {
        Serving {
            api,
            id,
            path,
            size: conversation.size(),
            conversation,
            pace,
            sent: Mutex::default(),
            out: Mutex::default(),
            hashed: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Answers until the upload ends.
    ///
    /// # Errors
    /// Those of the source and of calls that do not get through; `OverBudget` of the
    /// conversation. The upload lives on at the server then: the caller cancels it.
    pub async fn serve(self, events: &mut mpsc::Receiver<Event>) -> Result<Served> {
        let mut hashes: HashMap<Wanted, Option<RemoteHashProgressUpload>> = HashMap::new();
        let end = self.until_the_end(events, &mut hashes).await?;
        let all_sent = {
            let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.is_all(self.size)
        };
        let hashed = self.hashed.into_inner();
        Ok(Served {
            end,
            all_sent,
            hashed: hashed.unwrap_or_else(PoisonError::into_inner),
        })
    }

    async fn until_the_end(
        &self,
        events: &mut mpsc::Receiver<Event>,
        hashes: &mut HashMap<Wanted, Option<RemoteHashProgressUpload>>,
    ) -> Result<End> {
        let mut work: FuturesUnordered<Work<'_>> = FuturesUnordered::new();
        let mut reads = Reads::default();
        let now = Instant::now();
        let mut watch = Watch {
            pace: self.pace,
            stage: Some(Stage::Waiting),
            transferred: 0,
            heard: now,
            next: now + self.pace.quiet,
            looking: false,
            absent: 0,
        };
        loop {
            while let Some(asked) = reads.next() {
                work.push(Box::pin(async move {
                    Done::Read(asked, self.answer(asked).await)
                }));
            }
            tokio::select! {
                event = events.recv() => {
                    watch.heard();
                    match event {
                        Some(Event::Read(asked)) => reads.push(asked, self.out().contains(&asked)),
                        Some(Event::Hash(asked)) => {
                            let wanted = Wanted::new(&asked)?;
                            match hashes.get(&wanted) {
                                // Running: the repeat is ignored. Done: the report is sent again.
                                Some(None) => {}
                                Some(Some(report)) => {
                                    let report = report.clone();
                                    work.push(Box::pin(async move {
                                        Done::Repeated(hashing::send(self, report).await)
                                    }));
                                }
                                None => {
                                    hashes.insert(wanted, None);
                                    work.push(Box::pin(async move {
                                        Done::Hash(wanted, hashing::answer(self, wanted).await)
                                    }));
                                }
                            }
                        }
                        Some(Event::Stage(stage, message)) => {
                            tracing::debug!(id = self.id, ?stage, "upload");
                            watch.stage = stage.or(watch.stage);
                            if let Some(end) = end_of(stage, message) {
                                return Ok(end);
                            }
                        }
                        // The end may have been told while nobody listened.
                        Some(Event::Reopened) => watch.next = Instant::now(),
                        Some(Event::Lost(error)) => return Err(error),
                        None => return Err(DriveError::bad_answer(
                            "upload",
                            "the server asks for more than can be kept",
                        )),
                    }
                }
                Some(done) = work.next(), if !work.is_empty() => {
                    if !matches!(done, Done::Looked(_)) {
                        watch.heard();
                    }
                    if let Some(end) = self.done(done, &mut reads, hashes, &mut watch)? {
                        return Ok(end);
                    }
                }
                () = sleep_until(watch.next), if !watch.looking => {
                    // What is being read or hashed here is progress enough.
                    if !work.is_empty() {
                        watch.heard();
                    } else if watch.heard.elapsed() > watch.patience() {
                        return Err(DriveError::new(
                            ErrorKind::Timeout,
                            format!("upload: the server makes no progress ({:?})", watch.stage),
                        ));
                    }
                    watch.looking = true;
                    work.push(Box::pin(async move { Done::Looked(self.look_up().await) }));
                }
            }
        }
    }

    fn done(
        &self,
        done: Done,
        reads: &mut Reads,
        hashes: &mut HashMap<Wanted, Option<RemoteHashProgressUpload>>,
        watch: &mut Watch<'_>,
    ) -> Result<Option<End>> {
        let outcome = match done {
            Done::Read(asked, outcome) => {
                self.out().remove(&asked);
                reads.done(&asked);
                outcome
            }
            Done::Hash(wanted, outcome) => outcome.map(|report| {
                hashes.insert(wanted, Some(report));
            }),
            Done::Repeated(outcome) => outcome,
            Done::Looked(found) => {
                watch.looking = false;
                watch.next = Instant::now() + self.pace.quiet;
                return Ok(found.map_or_else(
                    |error| {
                        tracing::debug!(%error, "the upload list is not available");
                        None
                    },
                    |found| seen(found, watch),
                ));
            }
        };
        match outcome {
            Ok(()) => Ok(None),
            Err(error) if is_gone(&error) => Ok(Some(End::Gone)),
            Err(error) => Err(error),
        }
    }

    /// The server is about to hear this hash.
    pub fn tells(&self, kind: Kind) {
        self.hashed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(kind);
    }

    fn out(&self) -> MutexGuard<'_, HashSet<RemoteReadDataRequest>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the bytes that one request means.
    async fn answer(&self, asked: RemoteReadDataRequest) -> Result<()> {
        let work = self.send_range(&asked);
        match asked.lazy_read {
            // Read ahead by the server: whoever waits for something goes first.
            true => with_priority(Priority::Scan, work).await,
            false => work.await,
        }
    }

    async fn send_range(&self, asked: &RemoteReadDataRequest) -> Result<()> {
        let range = meant(asked, self.size);
        if range.is_empty() {
            self.out().insert(*asked);
            return self
                .send(asked.offset, Bytes::new(), asked.lazy_read, true)
                .await;
        }
        let split = range.end - range.start > PIECE;
        let mut at = range.start;
        while at < range.end {
            let end = at.saturating_add(WINDOW).min(range.end);
            let mut window = self.read(at..end).await?;
            while !window.is_empty() {
                let length = window
                    .len()
                    .min(usize::try_from(PIECE).unwrap_or(usize::MAX));
                let piece = window.split_to(length);
                let next = at.saturating_add(piece.len() as u64);
                // Two readings of it are about; this one suits both (section 7.4).
                let last = next >= self.size || (split && next >= range.end);
                if next >= range.end {
                    self.out().insert(*asked);
                }
                self.send(at, piece, asked.lazy_read, last).await?;
                at = next;
            }
        }
        Ok(())
    }

    async fn send(&self, offset: u64, data: Bytes, lazy_read: bool, last: bool) -> Result<()> {
        let length = data.len() as u64;
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(offset..offset.saturating_add(length));
        let upload = RemoteReadDataUpload {
            upload_id: self.id.to_owned(),
            offset,
            length,
            lazy_read,
            data,
            is_last_chunk: last,
        };
        let mut pause = self.pace.first;
        let mut left = TRIES;
        loop {
            // The end of the upload may be told before this answer is.
            self.conversation.sent(length);
            let reply: RemoteReadDataReply = self.api.call(&DATA, upload.clone()).await?;
            if reply.success {
                return Ok(());
            }
            left -= 1;
            let error = of_text(DATA.op, &reply.error_message);
            if left == 0 || is_gone(&error) {
                return Err(error);
            }
            tracing::debug!(%error, offset, "a piece is sent again");
            sleep(pause).await;
            pause = (pause * 2).min(self.pace.longest);
        }
    }

    /// Reads the source. While it fails for a moment the upload is paused at the server, so that it
    /// neither runs into a deadline there nor keeps a slot from others.
    ///
    /// # Errors
    /// Those of the source, and `OverBudget`.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let mut left = READS;
        let mut pause = self.pace.first;
        let mut held = None;
        loop {
            let read = self.conversation.read(range.clone()).await;
            left -= 1;
            match read {
                Err(error) if left > 0 && passes(&error) => {
                    tracing::debug!(%error, "the source is read again");
                    if held.is_none() {
                        held = Some(Held::new(self).await);
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(self.pace.longest);
                }
                outcome => {
                    if let (Some(held), Ok(_)) = (held, &outcome) {
                        held.resume().await?;
                    }
                    return outcome;
                }
            }
        }
    }

    /// Looks the upload up in the server's list: what the channel told may have been lost.
    async fn look_up(&self) -> Result<Found> {
        let all = queue::uploads(self.api).await?;
        if let Some(listed) = all.into_iter().find(|upload| upload.id == self.id) {
            return Ok(Found::Listed(listed));
        }
        let there = look(self.api, self.path).await?;
        Ok(Found::Absent(there.is_some_and(|node| {
            !node.is_dir() && node.size == self.size
        })))
    }
}

/// A read that waits for its source.
struct Held<'s, 'a>(&'s Serving<'a>);

impl<'s, 'a> Held<'s, 'a> {
    async fn new(serving: &'s Serving<'a>) -> Self {
        let held = Held(serving);
        if serving.waiting.fetch_add(1, Ordering::Relaxed) == 0
            && let Err(error) = control(serving.api, serving.id, Control::Pause(Empty {})).await
        {
            tracing::debug!(%error, "the upload is not paused");
        }
        held
    }

    async fn resume(self) -> Result<()> {
        let serving = self.0;
        let last = serving.waiting.load(Ordering::Relaxed) == 1;
        drop(self);
        match last {
            true => control(serving.api, serving.id, Control::Resume(Empty {})).await,
            false => Ok(()),
        }
    }
}

impl Drop for Held<'_, '_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn passes(error: &DriveError) -> bool {
    error.retry != Retry::Never
}

/// The end that a stage means; `None` while it goes on.
fn end_of(stage: Option<Stage>, message: String) -> Option<End> {
    match stage? {
        Stage::Finished => Some(End::Finished),
        Stage::Skipped => Some(End::Skipped),
        stage if stage.is_end() => Some(End::Failed(stage, message)),
        _ => None,
    }
}

/// What the upload list tells.
fn seen(found: Found, watch: &mut Watch<'_>) -> Option<End> {
    match found {
        Found::Listed(listed) => {
            watch.absent = 0;
            if listed.transferred != watch.transferred || listed.stage != watch.stage {
                watch.transferred = listed.transferred;
                watch.stage = listed.stage.or(watch.stage);
                watch.heard = Instant::now();
            }
            end_of(listed.stage, listed.message)
        }
        Found::Absent(there) => {
            // A list may lag behind a start: absent counts from the second time on.
            watch.absent += 1;
            (watch.absent > 1).then_some(match there {
                true => End::Finished,
                false => End::Gone,
            })
        }
    }
}
