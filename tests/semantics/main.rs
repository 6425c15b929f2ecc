//! Paragraphs of docs/semantics.md, without a kernel: over two directories of this machine and the
//! simulated drives.

#[path = "../scenarios/harness.rs"]
#[allow(dead_code, reason = "shared with tests/scenarios")]
mod harness;

mod attributes;
mod controlled;
mod files;
mod names;
mod paths;
mod sources;
mod swaps;

use harness::{Rig, RigOptions};

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
