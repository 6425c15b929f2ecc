//! Answers to hash requests (sheet section 7.5).

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::sleep;

use super::message::Empty;
use super::serve::{Serving, WINDOW};
use super::upload_message::{RemoteHashDataRequest, RemoteHashProgressUpload};
use super::wire::Call;
use crate::drive::{DriveError, ErrorKind, Result};
use crate::fingerprint::{Kind, Pipeline, PipelineError};

const REPORT: Call = Call::safe("upload_hash", "RemoteHashProgress").class("upload");

/// What a request asks for, with defaults and meaningless block sizes made equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    number: u32,
    pub kind: Kind,
    /// MD5 of every block, too.
    block: Option<u64>,
}

impl Wanted {
    /// # Errors
    /// `Unsupported` for a hash type that is not in the sheet.
    pub fn new(asked: &RemoteHashDataRequest) -> Result<Wanted> {
        let kind = super::list::HASHES
            .iter()
            .find(|(number, ..)| *number == asked.hash_type)
            .map(|(_, kind, _)| *kind)
            .ok_or_else(|| {
                DriveError::new(
                    ErrorKind::Unsupported,
                    format!("upload: CloudDrive2 asks for hash type {}", asked.hash_type),
                )
            })?;
        let block = asked
            .block_size
            .filter(|block| *block > 0 && kind == Kind::Md5)
            .map(u64::from);
        Ok(Wanted {
            number: asked.hash_type,
            kind,
            block,
        })
    }

    fn kinds(&self) -> Vec<Kind> {
        let blocks = self.block.map(|block| Kind::BlockListMd5 { block });
        std::iter::once(self.kind).chain(blocks).collect()
    }

    fn progress(&self, id: &str, done: u64, size: u64) -> RemoteHashProgressUpload {
        RemoteHashProgressUpload {
            upload_id: id.to_owned(),
            bytes_hashed: done,
            total_bytes: size,
            hash_type: i32::try_from(self.number).unwrap_or_default(),
            hash_value: None,
            block_hashes: Vec::new(),
        }
    }

    /// The last report. `values` are those of [`Wanted::kinds`], in their normal spelling, which is
    /// the API's: MD5 and SHA-1 in lower case, the segment hash in upper case.
    pub fn report(&self, id: &str, size: u64, values: &[String]) -> RemoteHashProgressUpload {
        let blocks = values.get(1).filter(|_| size > 0);
        RemoteHashProgressUpload {
            hash_value: values.first().cloned(),
            block_hashes: blocks
                .map(|list| list.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
            ..self.progress(id, size, size)
        }
    }
}

/// Computes (or knows) the hash and reports it. The report is returned to be sent again when it
/// is asked for again.
///
/// # Errors
/// `OverBudget` when that needs more reading than allowed; those of the source and of the call.
pub async fn answer(serving: &Serving<'_>, wanted: Wanted) -> Result<RemoteHashProgressUpload> {
    let values = match known(serving, wanted).await? {
        Some(values) => values,
        None => computed(serving, wanted).await?,
    };
    let report = wanted.report(serving.id, serving.size, &values);
    serving.tells(wanted.kind);
    send(serving, report.clone()).await?;
    Ok(report)
}

/// Sends a report.
///
/// # Errors
/// Those of the call.
pub async fn send(serving: &Serving<'_>, report: RemoteHashProgressUpload) -> Result<()> {
    serving
        .api
        .call::<_, Empty>(&REPORT, report)
        .await
        .map(drop)
}

/// The values when they can be had without reading everything.
async fn known(serving: &Serving<'_>, wanted: Wanted) -> Result<Option<Vec<String>>> {
    let mut values = Vec::new();
    for kind in wanted.kinds() {
        match serving.conversation.digest(kind).await {
            Ok(value) => values.push(value),
            Err(error) if matches!(error.kind, ErrorKind::OverBudget(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(values))
}

/// One pass over the content, with reports of its progress.
async fn computed(serving: &Serving<'_>, wanted: Wanted) -> Result<Vec<String>> {
    let done = AtomicU64::new(0);
    let size = serving.size;
    let work = async {
        let pipeline = Pipeline::start(&wanted.kinds(), size);
        let mut at = 0;
        while at < size {
            let end = at.saturating_add(WINDOW).min(size);
            let bytes = serving.read(at..end).await?;
            pipeline.push(bytes).await.map_err(broken)?;
            at = end;
            done.store(at, Ordering::Relaxed);
        }
        let values = pipeline.finish().await.map_err(broken)?;
        Ok::<_, DriveError>(values.into_iter().map(|(_, value)| value).collect())
    };
    let reports = async {
        loop {
            sleep(serving.pace.report).await;
            let progress = wanted.progress(serving.id, done.load(Ordering::Relaxed), size);
            // The last report counts; one of these may be lost.
            if let Err(error) = send(serving, progress).await {
                tracing::debug!(%error, "progress of a hash is not reported");
            }
        }
    };
    tokio::select! {
        values = work => values,
        _ = reports => Err(broken(PipelineError::Lost)),
    }
}

fn broken(error: PipelineError) -> DriveError {
    DriveError::new(ErrorKind::Changed, format!("upload: {error}"))
}
