//! Is what was made what was meant? The strongest common evidence decides (DESIGN 3.4, 3.7).

use crate::content::{ContentRef, Volume};
use crate::drive::{Content, DriveError, ErrorKind, GivesWhen, Node, Result, collect};
use crate::fingerprint::{Fingerprints, Kind, Origin};

use super::VerifyMode;
use super::task::Progress;

/// Bytes of one sample; four of them are at most 256 KiB.
const SAMPLE: u64 = 64 << 10;

/// Compares the fresh node with what was meant.
///
/// # Errors
/// `Verification` when they differ; errors of reading either side.
pub async fn verify(
    volume: &Volume,
    node: &Node,
    content: &ContentRef,
    progress: &Progress,
) -> Result<VerifyMode> {
    let size = content.size();
    same_size(node, size)?;
    if size == 0 {
        return Ok(VerifyMode::Hash);
    }
    let meant = content.known();
    if let Some(mode) = listed(node, &meant)? {
        return Ok(mode);
    }
    for gives in volume.capabilities().gives {
        let useful = gives.when == GivesWhen::ExtraCall
            && gives.origin.is_trusted()
            && trusted(&meant, gives.kind).is_some();
        if !useful {
            continue;
        }
        progress.call();
        if let Some(known) = volume.drive.fingerprint(node, gives.kind).await? {
            let told = Fingerprints::from_iter([(gives.kind, known)]);
            if let Some(mode) = compare(node, &told, &meant)? {
                return Ok(mode);
            }
        }
    }
    samples(volume, node, content).await
}

/// Compares size and listed hashes, and reads nothing.
///
/// # Errors
/// `Verification` when they differ.
pub(super) fn verify_listed(node: &Node, size: u64, meant: &Fingerprints) -> Result<VerifyMode> {
    same_size(node, size)?;
    Ok(listed(node, meant)?.unwrap_or(VerifyMode::Size))
}

fn same_size(node: &Node, size: u64) -> Result<()> {
    if node.size == size {
        return Ok(());
    }
    Err(mismatch(
        node,
        format!("{} bytes instead of {size}", node.size),
    ))
}

/// Compares what the provider's listing says of the node; `None` when it says nothing that decides.
///
/// # Errors
/// `Verification` when they differ.
pub(super) fn listed(node: &Node, meant: &Fingerprints) -> Result<Option<VerifyMode>> {
    compare(node, &node.fingerprints, meant)
}

/// Compares head, tail and two random pieces of both sides.
///
/// # Errors
/// `Verification` when they differ.
pub async fn samples(volume: &Volume, node: &Node, content: &ContentRef) -> Result<VerifyMode> {
    let size = content.size();
    for range in windows(size, rand_u64) {
        let length = range.end - range.start;
        let meant = collect(content.stream(range.clone()).await?, length);
        let made = volume.drive.read(node, range.clone()).await?;
        let (meant, made) = tokio::try_join!(meant, collect(made, length))?;
        if meant != made {
            return Err(mismatch(
                node,
                format!("other bytes in {}..{}", range.start, range.end),
            ));
        }
    }
    Ok(VerifyMode::Samples)
}

/// Bytes that [`samples`] reads of each side.
pub(super) fn sampled(size: u64) -> u64 {
    size.min(4 * SAMPLE)
}

fn windows(size: u64, mut random: impl FnMut() -> u64) -> Vec<std::ops::Range<u64>> {
    if size <= 4 * SAMPLE {
        return vec![0..size];
    }
    let inner = size - 3 * SAMPLE;
    let mut ranges = vec![0..SAMPLE];
    for _ in 0..2 {
        let start = SAMPLE + random() % inner;
        ranges.push(start..start + SAMPLE);
    }
    ranges.push(size - SAMPLE..size);
    ranges
}

fn rand_u64() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the sample is still a sample, only a guessable one.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

fn trusted(known: &Fingerprints, kind: Kind) -> Option<&str> {
    known
        .get(kind)
        .filter(|known| known.origin >= Origin::Provider)
        .map(|known| &*known.value)
}

/// Compares trusted strong fingerprints. Reading the uploader's own claim back proves nothing.
fn compare(node: &Node, told: &Fingerprints, meant: &Fingerprints) -> Result<Option<VerifyMode>> {
    let mut equal = false;
    for (kind, told) in told.iter() {
        if !kind.is_strong() || !told.origin.is_trusted() {
            continue;
        }
        match trusted(meant, kind) {
            Some(meant) if meant == &*told.value => equal = true,
            Some(_) => return Err(mismatch(node, format!("another {kind}"))),
            None => {}
        }
    }
    Ok(equal.then_some(VerifyMode::Hash))
}

fn mismatch(node: &Node, what: String) -> DriveError {
    DriveError::new(
        ErrorKind::Verification,
        format!("{} at the target is not what was copied: {what}", node.name),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stay_small_and_inside() {
        for size in [1, SAMPLE, 4 * SAMPLE, 4 * SAMPLE + 1, 1 << 30] {
            for random in [0, 1, u64::MAX, u64::MAX / 3] {
                let ranges = windows(size, || random);
                let sum: u64 = ranges.iter().map(|r| r.end - r.start).sum();
                assert!(sum <= 256 << 10);
                assert!(ranges.iter().all(|r| r.start < r.end && r.end <= size));
                assert_eq!(ranges[0].start, 0);
                assert_eq!(ranges.last().unwrap().end, size);
            }
        }
    }
}
