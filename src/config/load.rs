//! Settings and places in one call.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::check::check;
use super::error::{ConfigError, Origin};
use super::paths::Paths;
use super::raw::{self, RawTable};
use super::settings::Settings;

/// The command line's part.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// `--config FILE` (else `PANFUSE_CONFIG`, else the XDG place).
    pub config: Option<PathBuf>,
    /// `--state-dir DIR`.
    pub state_dir: Option<PathBuf>,
}

/// What [`load`] brings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The settings.
    pub settings: Settings,
    /// The places. Nothing is created yet.
    pub paths: Paths,
}

/// Reads the settings file, lays this process's environment over it and checks the whole.
///
/// # Errors
/// Every mistake with its place. A file that was named must exist.
pub fn load(options: &LoadOptions) -> Result<Config, ConfigError> {
    let variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    load_with(options, &variables)
}

fn load_with(
    options: &LoadOptions,
    variables: &[(OsString, OsString)],
) -> Result<Config, ConfigError> {
    let env = |name: &str| {
        variables
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    };
    let named = options
        .config
        .clone()
        .or_else(|| env("PANFUSE_CONFIG").map(PathBuf::from));
    let required = named.is_some();
    let file = match named {
        Some(file) => from_here(file)?,
        None => Paths::default_config_file(&env)?,
    };
    let mut table = read(&file, required)?;
    raw::overlay(
        &mut table,
        variables.iter().filter_map(|(key, value)| {
            Some((
                key.to_str()?.to_owned(),
                value.to_string_lossy().into_owned(),
            ))
        }),
    );
    let base = file.parent().unwrap_or(Path::new("/")).to_owned();
    let settings = check(table, &base)?;
    let state_dir = match &options.state_dir {
        Some(directory) => Some(from_here(directory.clone())?),
        None => None,
    };
    let paths = Paths::resolve(&env, file, &settings.store, state_dir)?;
    Ok(Config { settings, paths })
}

fn read(file: &Path, required: bool) -> Result<RawTable, ConfigError> {
    let origin = Origin::File {
        file: file.to_owned(),
        line: 0,
    };
    match std::fs::read_to_string(file) {
        Ok(text) => raw::parse(&text, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => Ok(RawTable::new()),
        Err(error) => Err(ConfigError::one(
            origin,
            "",
            format!("cannot be read: {error}"),
        )),
    }
}

fn from_here(path: PathBuf) -> Result<PathBuf, ConfigError> {
    std::path::absolute(&path).map_err(|error| {
        ConfigError::one(
            Origin::File {
                file: path.clone(),
                line: 0,
            },
            "",
            format!("cannot be resolved: {error}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        list.iter().map(|(k, v)| (k.into(), v.into())).collect()
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("c.toml");
        std::fs::write(
            &file,
            "[mount]\nttl_s = 5\nthreads = 2\n[transfer]\nthreshold_mb = 9\n",
        )
        .unwrap();
        let options = LoadOptions {
            config: Some(file),
            state_dir: None,
        };
        let config = load_with(
            &options,
            &pairs(&[
                ("HOME", "/h"),
                ("PANFUSE_MOUNT_TTL_S", "7"),
                ("PANFUSE_MOUNT_ALLOW_OTHER", "yes"),
                ("PANFUSE_TRANSFER_THRESHOLD_MB", ""),
                ("PANFUSE_STORE_DATA_DIR", "/d"),
            ]),
        )
        .unwrap();
        assert_eq!(config.settings.mount.ttl_s, 7);
        assert_eq!(config.settings.mount.threads, 2);
        assert!(config.settings.mount.allow_other);
        assert_eq!(config.settings.transfer.threshold_mb, None);
        assert_eq!(config.paths.data, Path::new("/d"));
    }

    #[test]
    fn a_bad_variable_is_named() {
        let error = load_with(
            &LoadOptions::default(),
            &pairs(&[("HOME", "/h"), ("PANFUSE_MOUNT_TLL_S", "7")]),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable PANFUSE_MOUNT_TLL_S: unknown key `mount.tll_s`; \
             did you mean `ttl_s`?"
        );
    }

    #[test]
    fn a_missing_file_matters_only_when_it_was_named() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().to_str().unwrap();
        let variables = pairs(&[("HOME", root)]);
        let config = load_with(&LoadOptions::default(), &variables).unwrap();
        assert_eq!(config.settings, Settings::default());
        let options = LoadOptions {
            config: Some(home.path().join("none.toml")),
            state_dir: None,
        };
        let error = load_with(&options, &variables).unwrap_err();
        assert!(error.to_string().contains("none.toml: cannot be read"));
    }
}
