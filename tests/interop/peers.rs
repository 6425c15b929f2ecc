//! Where the programs of the servers are.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory that `.ci/run` installed the servers into.
const PEERS: &str = "PANFUSE_PEERS";

/// Where administrators' programs are, which the PATH of a user may lack.
const ADMIN: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// `rclone serve s3` is there since this version.
const RCLONE: (u32, u32) = (1, 65);

/// Says why nothing is tested. Not by `eprintln!`: the harness keeps that for tests that fail.
pub fn skipped(why: &str) {
    let test = std::thread::current();
    let test = test.name().unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// A server's program; `None`, said loudly, where it is not installed. Where it was promised it
/// must be there.
pub fn find(program: &str) -> Option<PathBuf> {
    if let Some(promised) = std::env::var_os(PEERS).filter(|dir| !dir.is_empty()) {
        let path = Path::new(&promised).join(program);
        assert!(path.exists(), "{PEERS} is {promised:?}: no {program} there");
        return Some(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(ADMIN.iter().map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|path| path.exists());
    match found {
        None => skipped(&format!("{program} is not installed (.ci/run does it)")),
        Some(path) if program == "rclone" && !is_new(&path) => {
            skipped(&format!("{} is too old", path.display()));
            return None;
        }
        Some(_) => {}
    }
    found
}

fn is_new(rclone: &Path) -> bool {
    let Ok(output) = Command::new(rclone).arg("version").output() else {
        return false;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said.split_once("rclone v").map_or("", |(_, rest)| rest);
    let mut numbers = version.split(['.', '-', '\n']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= RCLONE,
        _ => false,
    }
}
