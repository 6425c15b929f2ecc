//! Paragraphs of docs/semantics.md, without a kernel: over two directories of this machine and the
//! simulated drives.

#[path = "../scenarios/harness.rs"]
#[allow(dead_code, reason = "shared with tests/scenarios")]
mod harness;

mod attributes;
mod closing;
mod controlled;
mod copy_range;
mod files;
mod guards;
mod listing;
mod names;
mod paths;
mod read_only;
mod reading;
mod shown_names;
mod sources;
mod swaps;
mod writing;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use harness::{Rig, RigOptions};
use panfuse::net::{Clock, SystemClock};

/// Two profiles, `here` and `there`, each a directory of this machine.
pub async fn two() -> Rig {
    Rig::with(
        &["aliyundrive_open"],
        &["here", "there"],
        RigOptions::default(),
    )
    .await
}

/// A file below a profile's directory, behind the file system's back.
pub fn outside(rig: &Rig, path: &str) -> std::path::PathBuf {
    rig.dir.path().join("locals").join(path)
}

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
pub struct StillClock(Arc<AtomicI64>);

impl StillClock {
    pub fn now() -> StillClock {
        StillClock(Arc::new(AtomicI64::new(SystemClock.now_ms())))
    }

    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Options with this clock.
    pub fn options(&self) -> RigOptions {
        RigOptions {
            clock: Arc::new(self.clone()),
            ..RigOptions::default()
        }
    }
}

impl Clock for StillClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Waits for something that is done behind; the limit is far beyond what it takes.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "it never comes: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The answer of something that must not wait for a provider that does not answer.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(Duration::from_secs(90), what).await;
    answer.expect("it waits for the provider")
}

/// Bytes that are different everywhere.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}
