//! Where a served world can be found: `sim.json` in the runtime directory, else in the state
//! directory; also in the runtime directory that the world's own settings name, so that
//! `panfuse --config DIR/config.toml sim ..` finds it too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::CliError;
use crate::config::{Paths, write_private};

const NAME: &str = "sim.json";

/// A served world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    /// Process id.
    pub(super) pid: u32,
    /// Base URL of its admin server.
    pub(super) admin: String,
    /// Where its settings are.
    pub(super) config_dir: PathBuf,
    /// Its profiles.
    pub(super) profiles: Vec<String>,
}

/// The files of a world that this process serves; taken away when dropped. Of two worlds the one
/// served last is the default.
pub(super) struct StateFiles {
    running: Running,
    files: Vec<PathBuf>,
}

impl StateFiles {
    /// Writes them: one into `own`, and one to the first of the user's places that can be
    /// written. Also tells why there is none, when there is none.
    ///
    /// # Errors
    /// The disk's, for `own`.
    pub(super) fn write(
        running: Running,
        own: &Path,
        paths: &Paths,
    ) -> Result<(StateFiles, Option<String>), CliError> {
        let bytes = serde_json::to_vec(&running).map_err(io::Error::other)?;
        let file = own.join(NAME);
        write_private(&file, &bytes)?;
        let mut state = StateFiles {
            running,
            files: vec![file],
        };
        let mut refused = Vec::new();
        for directory in [&paths.runtime, &paths.state] {
            let file = directory.join(NAME);
            match write_private(&file, &bytes) {
                Ok(()) => {
                    state.files.push(file);
                    return Ok((state, None));
                }
                Err(error) => refused.push(error.to_string()),
            }
        }
        let note = format!(
            "other commands need --admin {}: {}",
            state.running.admin,
            refused.join("; ")
        );
        Ok((state, Some(note)))
    }
}

impl Drop for StateFiles {
    fn drop(&mut self) {
        for file in &self.files {
            // A world that was started later has written its own by now.
            if read(file).is_ok_and(|found| found.as_ref() == Some(&self.running)) {
                let _ = fs::remove_file(file);
            }
        }
    }
}

/// The world served last, and the file that says so. `None` when no file is there.
///
/// # Errors
/// `sim_stale` when its process has ended; the disk's.
pub(super) fn find(paths: &Paths) -> Result<Option<(Running, PathBuf)>, CliError> {
    for directory in [&paths.runtime, &paths.state] {
        let file = directory.join(NAME);
        let Some(running) = read(&file)? else {
            continue;
        };
        if !Path::new("/proc").join(running.pid.to_string()).exists() {
            return Err(stale(&running, &file));
        }
        return Ok(Some((running, file)));
    }
    Ok(None)
}

/// The file is there but nobody serves.
pub(super) fn stale(running: &Running, file: &Path) -> CliError {
    CliError::failed(
        "sim_stale",
        format!(
            "the simulators of {} (process {}, {}) have ended without taking that file away",
            file.display(),
            running.pid,
            running.admin
        ),
    )
    .hint(format!(
        "start them again: panfuse sim serve; or remove the file: rm {}",
        file.display()
    ))
}

fn read(file: &Path) -> Result<Option<Running>, CliError> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(CliError::failed(
                "local_disk",
                format!("{}: {error}", file.display()),
            ));
        }
    };
    let running = serde_json::from_str(&text).map_err(|_| {
        CliError::failed(
            "sim_state",
            format!("{} does not name any simulators", file.display()),
        )
        .hint(format!(
            "remove it: rm {}; or use --admin URL",
            file.display()
        ))
    })?;
    Ok(Some(running))
}

#[cfg(test)]
mod tests {
    use super::super::super::profile::testing::context;
    use super::*;

    fn running(admin: &str) -> Running {
        Running {
            pid: std::process::id(),
            admin: admin.to_owned(),
            config_dir: "/c".into(),
            profiles: vec!["a".to_owned()],
        }
    }

    #[test]
    fn the_last_one_counts_and_takes_only_its_own_away() {
        let home = tempfile::tempdir().unwrap();
        let paths = context(home.path()).paths;
        let own = |name: &str| home.path().join(name);
        assert!(find(&paths).unwrap().is_none());
        let (first, note) = StateFiles::write(running("http://one"), &own("1"), &paths).unwrap();
        assert_eq!(note, None);
        let (second, _) = StateFiles::write(running("http://two"), &own("2"), &paths).unwrap();
        drop(first);
        assert!(!own("1/sim.json").exists());
        let (found, file) = find(&paths).unwrap().unwrap();
        assert_eq!(found, running("http://two"));
        assert_eq!(file, paths.runtime.join("sim.json"));
        drop(second);
        assert!(find(&paths).unwrap().is_none());
    }

    #[test]
    fn the_state_directory_is_the_second_place() {
        let home = tempfile::tempdir().unwrap();
        let paths = context(home.path()).paths;
        // A file where the directory should be.
        fs::write(&paths.runtime, "").unwrap();
        let own = home.path().join("own");
        let (state, note) = StateFiles::write(running("http://one"), &own, &paths).unwrap();
        assert_eq!(note, None);
        assert!(paths.state.join("sim.json").exists());
        fs::write(home.path().join("blocked"), "").unwrap();
        let nowhere = Paths {
            state: home.path().join("blocked"),
            ..paths.clone()
        };
        drop(state);
        let (_state, note) = StateFiles::write(running("http://two"), &own, &nowhere).unwrap();
        assert!(note.is_some_and(|note| note.contains("--admin http://two")));
    }

    #[test]
    fn a_file_whose_process_ended_is_stale_and_nonsense_is_named() {
        let home = tempfile::tempdir().unwrap();
        let paths = context(home.path()).paths;
        let gone = Running {
            // Process ids end below 2^22.
            pid: u32::MAX,
            ..running("http://one")
        };
        let bytes = serde_json::to_vec(&gone).unwrap();
        write_private(&paths.runtime.join("sim.json"), &bytes).unwrap();
        let error = find(&paths).unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("sim_stale", 1));
        assert!(error.hint.unwrap().contains("rm "));
        write_private(&paths.runtime.join("sim.json"), b"{}").unwrap();
        assert_eq!(find(&paths).unwrap_err().code, "sim_state");
    }
}
