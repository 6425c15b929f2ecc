//! P3: one pass over the bytes, every algorithm at once.

use std::sync::Arc;

use futures_util::StreamExt;

use super::task::Progress;
use crate::content::{ContentRef, Stage, StageFile, StageNote};
use crate::drive::{Content, DriveError, ErrorKind, Result};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin, Pipeline};

/// Reads `content` once, computes `kinds`, and keeps the bytes in `stage` when one is given.
///
/// # Errors
/// Those of the source, the disk, and `Network` when the content is shorter than its size.
pub async fn read_once(
    content: &ContentRef,
    kinds: &[Kind],
    stage: Option<&Arc<Stage>>,
    progress: &Progress,
    now: i64,
) -> Result<(Fingerprints, Option<Arc<StageFile>>)> {
    let size = content.size();
    let file = match stage {
        Some(stage) => Some(stage.create(&StageNote::default())?),
        None => None,
    };
    let pipeline = Pipeline::start(kinds, size);
    let mut stream = content.stream(0..size).await?;
    let mut at = 0;
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        if let Some(file) = &file {
            file.write(at, &piece).map_err(|error| match error {
                Ok(_) => DriveError::new(ErrorKind::LocalFull, "the stage is full"),
                Err(error) => error,
            })?;
        }
        at += piece.len() as u64;
        progress.read(piece.len() as u64);
        pipeline.push(piece).await.map_err(lost)?;
    }
    let computed = pipeline.finish().await.map_err(lost)?;
    Ok((computed_here(computed, now), file))
}

/// Values computed here, as fingerprints.
pub fn computed_here(values: Vec<(Kind, String)>, now: i64) -> Fingerprints {
    values
        .into_iter()
        .map(|(kind, value)| {
            let value = value.into();
            (
                kind,
                Known {
                    value,
                    origin: Origin::Computed,
                    provider: "".into(),
                    at: now,
                },
            )
        })
        .collect()
}

/// The pipeline saw another number of bytes than announced.
pub fn lost(error: crate::fingerprint::PipelineError) -> DriveError {
    DriveError::new(
        ErrorKind::Network,
        format!("the source ended early or late: {error}"),
    )
}
