//! `panfuse sim serve`: a world of its own until SIGTERM or SIGINT.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::prepare::{ENTRIES, LOCAL_PROFILE, Prepared, RUN, prepare_all};
use super::state_file::{Running, StateFiles};
use crate::cli::{CliError, CliResult, Context, Reply};
use crate::config::nearest;
use crate::sim::{SIMULATORS, World, WorldOptions};

/// Options of `sim serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Only these providers
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Directory for the settings and the state (else a fresh one, removed at the end)
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Accounts per provider
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub accounts: u8,
}

pub(super) async fn run(context: &Context, args: ServeArgs) -> CliResult {
    // Before anything is made: a signal from now on lets everything be taken away again.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let world = start(&args)?;
    let home = match args.dir {
        Some(dir) => Home {
            path: std::path::absolute(dir)?,
            fresh: false,
        },
        None => Home::fresh()?,
    };
    let prepared = prepare_all(&world, &home.path)?;
    let running = Running {
        pid: std::process::id(),
        admin: world.admin().to_owned(),
        config_dir: home.path.clone(),
        profiles: prepared.profiles.iter().map(|p| p.name.clone()).collect(),
    };
    let (state, note) = StateFiles::write(running, &home.path.join(RUN), &context.paths)?;
    if let Some(note) = note {
        eprintln!("panfuse: {note}");
    }
    {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", ready(&world, &home.path, &prepared))?;
        out.flush()?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    drop(state);
    drop(world);
    drop(home);
    Ok(Reply::said())
}

fn start(args: &ServeArgs) -> Result<Arc<World>, CliError> {
    let options = |only: Vec<String>| WorldOptions {
        only,
        accounts: usize::from(args.accounts),
    };
    let keys = || SIMULATORS.iter().map(|info| info.key);
    let mut only: Vec<String> = args.only.iter().map(|key| key.trim().to_owned()).collect();
    for key in &only {
        if key != LOCAL_PROFILE && !keys().any(|known| known == key) {
            return Err(unknown_provider(key, &keys().collect::<Vec<_>>()));
        }
    }
    // A local directory needs no simulator; its profile is always there.
    only.retain(|key| key != LOCAL_PROFILE);
    let started = if only.is_empty() && !args.only.is_empty() {
        World::start(&[], &options(only))
    } else {
        crate::sim::start(&options(only))
    };
    started.map_err(|error| CliError::failed("sim_start", format!("{error:#}")))
}

fn unknown_provider(key: &str, known: &[&str]) -> CliError {
    let meant = nearest(key, known.iter().copied())
        .map(|name| format!("did you mean `{name}`? "))
        .unwrap_or_default();
    CliError::usage(
        "unknown_provider",
        format!("there is no simulator for `{key}`"),
    )
    .hint(format!("{meant}simulators: {}", known.join(", ")))
}

fn ready(world: &World, dir: &Path, prepared: &Prepared) -> Value {
    let profiles: Vec<Value> = prepared
        .profiles
        .iter()
        .map(|profile| {
            json!({
                "name": profile.name, "provider": profile.provider, "account": profile.account,
            })
        })
        .collect();
    json!({
        "admin": world.admin(),
        "config_dir": dir,
        "config": prepared.config,
        "profiles": profiles,
        "endpoints": world.endpoints(),
        "local": { "name": LOCAL_PROFILE, "path": prepared.local },
        "pid": std::process::id(),
    })
}

/// The directory of a served world.
struct Home {
    path: PathBuf,
    /// Made here, so taken away here.
    fresh: bool,
}

impl Home {
    fn fresh() -> Result<Home, CliError> {
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("panfuse-sim-{:016x}", u64::from_le_bytes(random));
        let path = std::path::absolute(std::env::temp_dir().join(name))?;
        // Not recursive: a directory that somebody else made there is refused.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| {
                CliError::failed("local_disk", format!("{}: {error}", path.display()))
                    .hint("name a directory: --dir DIR")
            })?;
        Ok(Home { path, fresh: true })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.fresh {
            return;
        }
        // Only what was put there. A mount point that the user made in it stays: going through
        // it would remove files at a provider.
        for entry in ENTRIES {
            let path = self.path.join(entry);
            let _ = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
                Ok(_) => fs::remove_file(&path),
                Err(_) => Ok(()),
            };
        }
        if let Err(error) = fs::remove_dir(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("panfuse: {} stays: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_directory_goes_but_what_others_put_there_stays() {
        let home = Home::fresh().unwrap();
        let path = home.path.clone();
        fs::create_dir_all(path.join("data/deep")).unwrap();
        fs::write(path.join("config.toml"), "").unwrap();
        drop(home);
        assert!(!path.exists());

        let home = Home::fresh().unwrap();
        let path = home.path.clone();
        fs::create_dir_all(path.join("mountpoint/inside")).unwrap();
        fs::create_dir_all(path.join("state")).unwrap();
        drop(home);
        assert!(path.join("mountpoint/inside").exists());
        assert!(!path.join("state").exists());
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn unknown_simulators_are_wrong_use() {
        let args = |only: &[&str]| ServeArgs {
            only: only.iter().map(|key| (*key).to_owned()).collect(),
            dir: None,
            accounts: 1,
        };
        let key = SIMULATORS[0].key;
        let mistyped = format!("{key}x");
        let error = start(&args(&[&mistyped])).err().unwrap();
        assert_eq!((error.code.as_str(), error.exit), ("unknown_provider", 2));
        assert!(
            error
                .hint
                .unwrap()
                .starts_with(&format!("did you mean `{key}`?"))
        );
        let world = start(&args(&[key, "local"])).unwrap();
        assert_eq!(world.endpoints().len(), 1);
        assert!(start(&args(&["local"])).unwrap().profiles().is_empty());
    }
}
