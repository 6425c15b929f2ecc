//! A directory with everything panfuse needs to mount a world: settings, a filled vault, and
//! places of its own for all that a daemon writes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::CliError;
use crate::config::{ProfileSettings, StoreSettings, make_private_dir, write_private};
use crate::net::{Credentials, Secret};
use crate::sim::{SimProfile, World};
use crate::vault::{KeySource, Vault};

/// Name of the profile on a directory of this machine that stands beside the simulated ones.
pub const LOCAL_PROFILE: &str = "local";

/// The first line of a settings file that may be written over.
const MARK: &str = "# Written by panfuse for its simulators.";

/// Places below the directory.
const DATA: &str = "data";
const STATE: &str = "state";
const CACHE: &str = "cache";
pub(super) const RUN: &str = "run";
const CONFIG: &str = "config.toml";

/// All of them: what may be removed with the directory.
pub(super) const ENTRIES: &[&str] = &[CONFIG, DATA, STATE, CACHE, RUN, LOCAL_PROFILE];

/// What was written.
pub(super) struct Prepared {
    /// The settings file.
    pub(super) config: PathBuf,
    /// The world's profiles.
    pub(super) profiles: Vec<SimProfile>,
    /// The directory of the profile [`LOCAL_PROFILE`].
    pub(super) local: PathBuf,
}

#[derive(Serialize)]
struct ConfigFile {
    store: StoreSettings,
    profile: BTreeMap<String, ProfileSettings>,
}

/// Makes `dir` ready for `panfuse --config DIR/config.toml ..`: settings that name data, state,
/// cache and runtime directories below it, a profile for each of the world's (with its endpoints
/// overridden and its secrets in the vault) and the profile [`LOCAL_PROFILE`] on `DIR/local`.
/// Answers the settings file. A directory that was prepared before is prepared anew; what a
/// daemon stored in it stays. A profile of a provider that this build has no driver for is left
/// out.
///
/// # Errors
/// Exit code 2: `config_exists` when a settings file is there that was not written by this.
/// Otherwise the disk's and the vault's.
pub fn prepare(world: &World, dir: &Path) -> Result<PathBuf, CliError> {
    Ok(prepare_all(world, dir)?.config)
}

pub(super) fn prepare_all(world: &World, dir: &Path) -> Result<Prepared, CliError> {
    let dir = std::path::absolute(dir)?;
    let config = dir.join(CONFIG);
    refuse_foreign(&config)?;
    make_private_dir(&dir)?;
    let local = dir.join(LOCAL_PROFILE);
    make_private_dir(&local)?;
    let place = local.to_str().ok_or_else(|| {
        CliError::usage(
            "bad_path",
            format!("the path {} is not UTF-8", local.display()),
        )
        .hint("name another directory: --dir DIR")
    })?;

    let mut profiles = world.profiles();
    profiles.retain(|profile| {
        let known = crate::providers::find(&profile.provider).is_some();
        if !known {
            tracing::warn!(profile = %profile.name, provider = %profile.provider,
                "no driver for this simulator: left out of the settings");
        }
        known
    });
    let data = dir.join(DATA);
    let vault = Vault::open_with(&data, &KeySource::of_process(&data))?;
    let mut settings = BTreeMap::from([(
        LOCAL_PROFILE.to_owned(),
        ProfileSettings {
            provider: "local".to_owned(),
            fields: BTreeMap::from([("path".to_owned(), place.to_owned())]),
            ..ProfileSettings::default()
        },
    )]);
    for profile in &profiles {
        // What a driver derived from the secrets of an earlier world opens nothing in this one.
        vault.remove_profile(&profile.name)?;
        let secrets: Credentials = profile
            .secrets
            .iter()
            .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
            .collect();
        vault.put_all(&profile.name, &secrets)?;
        settings.insert(profile.name.clone(), settings_of(profile));
    }
    let file = ConfigFile {
        store: StoreSettings {
            data_dir: Some(DATA.into()),
            state_dir: Some(STATE.into()),
            cache_dir: Some(CACHE.into()),
            runtime_dir: Some(RUN.into()),
        },
        profile: settings,
    };
    let text = toml::to_string(&file).map_err(io::Error::other)?;
    write_private(&config, format!("{MARK}\n\n{text}").as_bytes())?;
    Ok(Prepared {
        config,
        profiles,
        local,
    })
}

fn settings_of(profile: &SimProfile) -> ProfileSettings {
    ProfileSettings {
        provider: profile.provider.clone(),
        auth_mode: Some(profile.auth_mode.clone()),
        kind: Some(profile.kind.clone()),
        account: Some(profile.account.clone()),
        fields: profile.fields.clone(),
        endpoints: profile.endpoints.clone(),
        root: profile.root.clone(),
        ..ProfileSettings::default()
    }
}

/// A user's own settings are never written over.
fn refuse_foreign(config: &Path) -> Result<(), CliError> {
    match fs::read(config) {
        Ok(bytes) if bytes.starts_with(MARK.as_bytes()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(CliError::usage(
            "config_exists",
            format!(
                "{} is there and was not written by simulators",
                config.display()
            ),
        )
        .hint("name another directory: --dir DIR")),
        Err(error) => Err(CliError::failed(
            "local_disk",
            format!("{}: {error}", config.display()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, load};
    use crate::sim::{WorldOptions, start};

    #[test]
    fn the_directory_holds_settings_secrets_and_places_of_its_own() {
        let home = tempfile::tempdir().unwrap();
        let world = start(&WorldOptions::default()).unwrap();
        let dir = home.path().join("box");
        let file = prepare(&world, &dir).unwrap();
        assert_eq!(file, dir.join("config.toml"));
        let config = load(&LoadOptions {
            config: Some(file.clone()),
            state_dir: None,
        })
        .unwrap();
        for place in [
            &config.paths.data,
            &config.paths.state,
            &config.paths.cache,
            &config.paths.runtime,
        ] {
            assert!(place.starts_with(&dir), "{}", place.display());
        }
        let text = fs::read_to_string(&file).unwrap();
        let vault = Vault::open(&config.paths).unwrap();
        let mut count = 1;
        for profile in world.profiles() {
            count += 1;
            let settings = &config.settings.profiles[&profile.name];
            assert_eq!(settings.provider, profile.provider);
            assert_eq!(settings.endpoints, profile.endpoints);
            assert_eq!(settings.fields, profile.fields);
            let stored = vault.load(&profile.name).unwrap();
            assert!(stored.keys().eq(profile.secrets.keys()));
            for secret in stored.values() {
                assert!(!text.contains(secret.expose()), "{}", profile.name);
            }
        }
        assert_eq!(config.settings.profiles.len(), count);
        let local = &config.settings.profiles[LOCAL_PROFILE];
        assert!(Path::new(&local.fields["path"]).is_dir());
    }

    #[test]
    fn again_forgets_old_tokens_and_foreign_settings_stay() {
        let home = tempfile::tempdir().unwrap();
        let world = start(&WorldOptions::default()).unwrap();
        let file = prepare(&world, home.path()).unwrap();
        let data = home.path().join("data");
        let open = || Vault::open_with(&data, &KeySource::of_process(&data)).unwrap();
        let name = world.profiles().remove(0).name;
        open()
            .put(&name, "derived", &Secret::new("of an earlier world"))
            .unwrap();
        prepare(&world, home.path()).unwrap();
        assert_eq!(open().get(&name, "derived").unwrap(), None);
        assert!(!open().load(&name).unwrap().is_empty());

        fs::write(&file, "[mount]\n").unwrap();
        let error = prepare(&world, home.path()).unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("config_exists", 2));
        assert_eq!(fs::read_to_string(&file).unwrap(), "[mount]\n");
    }
}
