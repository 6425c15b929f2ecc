//! A file being written: an extent map over contents by reference and staged bytes.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    ContentRef, ExtentMap, RemoteContent, SealedDraft, Source, Stage, StageError, StageFile,
    StageNote,
};
use crate::drive::{Content, DriveError, ErrorKind, Result, collect};
use crate::fingerprint::Fingerprints;

/// How long a writer waits for room without anything being freed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file being written.
pub struct Draft {
    stage: Arc<Stage>,
    note: Mutex<StageNote>,
    state: Mutex<State>,
    gone: CancellationToken,
    _alive: DropGuard,
}

struct State {
    size: u64,
    extents: ExtentMap,
    file: Option<Arc<StageFile>>,
    changed: bool,
}

impl Draft {
    /// An empty draft.
    pub fn empty(stage: Arc<Stage>, note: StageNote) -> Self {
        Draft::with(stage, note, 0, ExtentMap::default())
    }

    /// A draft that starts as `base`. Nothing is read.
    pub fn over(stage: Arc<Stage>, note: StageNote, base: ContentRef) -> Self {
        let size = base.size();
        Draft::with(stage, note, size, ExtentMap::of(base, size))
    }

    fn with(stage: Arc<Stage>, note: StageNote, size: u64, extents: ExtentMap) -> Self {
        let gone = CancellationToken::new();
        Draft {
            stage,
            note: Mutex::new(note),
            state: Mutex::new(State {
                size,
                extents,
                file: None,
                changed: false,
            }),
            _alive: gone.clone().drop_guard(),
            gone,
        }
    }

    /// Ends when the draft is dropped: committed or thrown away.
    pub fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }

    /// The remote nodes whose bytes it refers to.
    pub fn remotes(&self) -> Vec<Arc<RemoteContent>> {
        super::sealed::remotes_of(&self.state().extents)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.state().size
    }

    /// Whether anything was written, truncated or spliced.
    pub fn is_changed(&self) -> bool {
        self.state().changed
    }

    /// Marks it changed (an empty file that must be made).
    pub fn touch(&self) {
        self.state().changed = true;
    }

    /// Tells where it belongs now.
    pub fn renote(&self, note: StageNote) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = note;
    }

    /// Writes without waiting. `Ok(false)` when the stage is full now: use [`Draft::write`].
    ///
    /// # Errors
    /// `LocalFull` when the file cannot fit, `LocalDisk`.
    pub fn try_write(&self, offset: u64, bytes: &[u8]) -> Result<bool> {
        if bytes.is_empty() {
            return Ok(true);
        }
        let mut state = self.state();
        let file = match &state.file {
            Some(file) => file.clone(),
            None => {
                let note = self
                    .note
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                let file = self.stage.create(&note)?;
                file.protect();
                state.file.insert(file).clone()
            }
        };
        match file.write(offset, bytes) {
            Ok(()) => {}
            Err(Ok(StageError::FullNow)) => return Ok(false),
            Err(Ok(StageError::CannotFit)) => return Err(full()),
            Err(Err(error)) => return Err(error),
        }
        let end = offset + bytes.len() as u64;
        state.extents.insert(offset..end, Source::Stage);
        state.size = state.size.max(end);
        state.changed = true;
        Ok(true)
    }

    /// Writes, waiting for room while uploads free some.
    ///
    /// # Errors
    /// As [`Draft::try_write`], and `LocalFull` when nothing was freed for a minute.
    pub async fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        loop {
            // Listened for before the attempt: room that comes free right after it is noticed.
            let freed = self.stage.freed();
            if self.try_write(offset, bytes)? {
                return Ok(());
            }
            if tokio::time::timeout(PATIENCE, freed).await.is_err() {
                return Err(full());
            }
        }
    }

    /// Sets the size.
    pub fn truncate(&self, size: u64) {
        let mut state = self.state();
        if size < state.size {
            state.extents.truncate(size);
        }
        state.changed |= size != state.size;
        state.size = size;
    }

    /// Puts a part of another content at `offset`, by reference.
    pub fn splice(&self, offset: u64, content: ContentRef, range: Range<u64>) {
        let mut state = self.state();
        let end = offset + (range.end - range.start);
        state.extents.insert(
            offset..end,
            Source::Content {
                content,
                at: range.start,
            },
        );
        state.size = state.size.max(end);
        state.changed = true;
    }

    /// Reads a range, cut at the end of the draft.
    ///
    /// # Errors
    /// Those of the disk and of the contents it refers to.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let (pieces, file) = {
            let state = self.state();
            let range = range.start.min(state.size)..range.end.min(state.size);
            (state.extents.pieces(range), state.file.clone())
        };
        let mut all = BytesMut::new();
        for piece in pieces {
            let length = piece.range.end - piece.range.start;
            match (piece.source, &file) {
                (Source::Stage, Some(file)) => {
                    all.extend_from_slice(&file.read(piece.range).await?)
                }
                (Source::Content { content, at }, _) => {
                    let bytes = collect(content.stream(at..at + length).await?, length).await?;
                    all.extend_from_slice(&bytes);
                }
                _ => all.resize(all.len() + usize::try_from(length).unwrap_or(0), 0),
            }
        }
        Ok(all.freeze())
    }

    /// The content as it is now. The draft must not be written any more (a later writer starts
    /// a new draft over the sealed one).
    pub fn seal(&self) -> Arc<SealedDraft> {
        let state = self.state();
        Arc::new(SealedDraft::new(
            state.size,
            state.extents.clone(),
            state.file.clone(),
            Fingerprints::new(),
        ))
    }

    /// Whether all its bytes are on this machine.
    pub fn is_local(&self) -> bool {
        self.state().extents.is_local()
    }

    /// The content that is the only thing in it, from its first byte on.
    pub fn only_reference(&self) -> Option<ContentRef> {
        let state = self.state();
        let mut pieces = state.extents.pieces(0..state.size).into_iter();
        let first = pieces.next()?;
        let mut end = first.range.end;
        let Source::Content { content, at: 0 } = first.source else {
            return None;
        };
        for piece in pieces {
            match piece.source {
                Source::Content { content: next, at } if at == end && next.is(&content) => {
                    end = piece.range.end;
                }
                _ => return None,
            }
        }
        Some(content)
    }

    /// Makes the staged bytes durable.
    ///
    /// # Errors
    /// `LocalDisk`.
    pub async fn sync(&self) -> Result<()> {
        let Some(file) = self.state().file.clone() else {
            return Ok(());
        };
        match tokio::task::spawn_blocking(move || file.persist()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(DriveError::new(
                ErrorKind::LocalDisk,
                format!("stage: {error}"),
            )),
            Err(_) => Err(DriveError::new(ErrorKind::Cancelled, "fsync was cancelled")),
        }
    }

    /// Drops the staged bytes.
    pub fn discard(&self) {
        if let Some(file) = &self.state().file {
            file.discard();
        }
    }

    /// Keeps the staged bytes for the user (`.panfuse/recovered/`), whatever becomes of the draft.
    /// `None` when there are none.
    pub fn keep_for_recovery(&self) -> Option<Arc<StageFile>> {
        let file = self.state().file.clone()?;
        file.keep();
        Some(file)
    }
}

fn full() -> DriveError {
    DriveError::new(ErrorKind::LocalFull, "the stage is full")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Write(u64, Vec<u8>),
        Truncate(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0u64..200, prop::collection::vec(any::<u8>(), 0..50))
                .prop_map(|(o, b)| Op::Write(o, b)),
            (0u64..250).prop_map(Op::Truncate),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_draft_reads_like_a_byte_array(ops in prop::collection::vec(op(), 1..30)) {
            let dir = tempfile::tempdir().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let stage = Stage::open(dir.path(), 1 << 20, 0).unwrap();
            let draft = Draft::empty(stage, StageNote::default());
            let mut model: Vec<u8> = Vec::new();
            for op in ops {
                match op {
                    Op::Write(offset, bytes) => {
                        prop_assert!(draft.try_write(offset, &bytes).unwrap());
                        let end = offset as usize + bytes.len();
                        if !bytes.is_empty() {
                            if model.len() < end { model.resize(end, 0); }
                            model[offset as usize..end].copy_from_slice(&bytes);
                        }
                    }
                    Op::Truncate(size) => { draft.truncate(size); model.resize(size as usize, 0); }
                }
                let read = runtime.block_on(draft.read(0..1000)).unwrap();
                prop_assert_eq!(&read[..], &model[..]);
                prop_assert_eq!(draft.size(), model.len() as u64);
            }
            let sealed = draft.seal();
            let stream = runtime.block_on(sealed.stream(0..sealed.size())).unwrap();
            let all = runtime.block_on(collect(stream, sealed.size())).unwrap();
            prop_assert_eq!(&all[..], &model[..]);
            draft.discard();
        }
    }
}
