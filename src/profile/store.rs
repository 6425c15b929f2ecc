//! Both places of profiles: the user's settings file and `profiles.toml` in the data directory.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::spec::check_name;
use crate::config::{
    ConfigError, ConfigProblem, Origin, Paths, ProfileSettings, Settings, make_private_dir,
    profiles_from_str, write_private,
};

/// Where a profile is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The user's settings file; panfuse does not change it.
    ConfigFile,
    /// `profiles.toml`, written by `panfuse profile add`.
    Added,
}

/// What can go wrong with the list of profiles.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A file says something that cannot be.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The file system failed.
    #[error("profiles: {0}")]
    Io(#[from] io::Error),
    /// The profile is in the settings file, which only its owner changes.
    #[error("profile {0} is written in {1}; change it there")]
    InConfigFile(String, PathBuf),
}

/// Every configured profile.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    all: BTreeMap<String, (ProfileSettings, Source)>,
}

/// The file of one added profile set.
#[derive(Serialize)]
struct AddedFile<'a> {
    profile: BTreeMap<&'a str, &'a ProfileSettings>,
}

impl Profiles {
    /// Reads both places.
    ///
    /// # Errors
    /// Every mistake: of form, of names, and names that are in both files.
    pub fn load(settings: &Settings, paths: &Paths) -> Result<Profiles, ProfileError> {
        let file = added_file(paths);
        let added = read_added(&file)?;
        let mut problems = Vec::new();
        let mut all = BTreeMap::new();
        let sources = [
            (&settings.profiles, Source::ConfigFile, &paths.config_file),
            (&added, Source::Added, &file),
        ];
        for (profiles, source, path) in sources {
            for (name, profile) in profiles {
                let mut complain = |message: String| {
                    problems.push(ConfigProblem {
                        origin: Origin::File {
                            file: path.clone(),
                            line: 0,
                        },
                        key: format!("profile.{name}"),
                        message,
                    });
                };
                if let Err(problem) = check_name(name) {
                    complain(format!("[profile.{name}]: {}", problem.message));
                }
                if all
                    .insert(name.clone(), (profile.clone(), source))
                    .is_some()
                {
                    complain(format!(
                        "profile {name} is also in {}; remove one of the two",
                        paths.config_file.display()
                    ));
                }
            }
        }
        if problems.is_empty() {
            Ok(Profiles { all })
        } else {
            Err(ConfigError { problems }.into())
        }
    }

    /// A profile by name.
    pub fn get(&self, name: &str) -> Option<(&ProfileSettings, Source)> {
        self.all
            .get(name)
            .map(|(settings, source)| (settings, *source))
    }

    /// All of them by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ProfileSettings, Source)> {
        self.all
            .iter()
            .map(|(name, (settings, source))| (name.as_str(), settings, *source))
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.all.keys().map(String::as_str)
    }

    /// Writes a profile into `profiles.toml`, in place of one with the same name. Durable when
    /// it returns; several processes may do it at once.
    ///
    /// # Errors
    /// `InConfigFile`, or the disk's.
    pub fn put(
        &mut self,
        paths: &Paths,
        name: &str,
        settings: &ProfileSettings,
    ) -> Result<(), ProfileError> {
        self.change(paths, name, Some(settings))
    }

    /// Removes a profile from `profiles.toml`. One that is not there is a success.
    ///
    /// # Errors
    /// `InConfigFile`, or the disk's.
    pub fn remove(&mut self, paths: &Paths, name: &str) -> Result<(), ProfileError> {
        self.change(paths, name, None)
    }

    fn change(
        &mut self,
        paths: &Paths,
        name: &str,
        settings: Option<&ProfileSettings>,
    ) -> Result<(), ProfileError> {
        if let Some((_, Source::ConfigFile)) = self.get(name) {
            return Err(ProfileError::InConfigFile(
                name.to_owned(),
                paths.config_file.clone(),
            ));
        }
        let file = added_file(paths);
        let _guard = lock(paths)?;
        let mut added = read_added(&file)?;
        match settings {
            Some(settings) => {
                added.insert(name.to_owned(), settings.clone());
                self.all
                    .insert(name.to_owned(), (settings.clone(), Source::Added));
            }
            None => {
                added.remove(name);
                self.all.remove(name);
            }
        }
        let document = AddedFile {
            profile: added
                .iter()
                .map(|(name, settings)| (name.as_str(), settings))
                .collect(),
        };
        let body = toml::to_string(&document).map_err(io::Error::other)?;
        let text = format!(
            "# Written by `panfuse profile add` and `rm`. Secrets are in the vault.\n\n{body}"
        );
        write_private(&file, text.as_bytes())?;
        Ok(())
    }
}

fn added_file(paths: &Paths) -> PathBuf {
    paths.data.join("profiles.toml")
}

fn read_added(file: &Path) -> Result<BTreeMap<String, ProfileSettings>, ProfileError> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(profiles_from_str(&text, file)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => {
            Err(io::Error::new(error.kind(), format!("{}: {error}", file.display())).into())
        }
    }
}

fn lock(paths: &Paths) -> io::Result<File> {
    make_private_dir(&paths.data)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(paths.data.join("profiles.lock"))?;
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(root: &Path) -> Paths {
        Paths {
            config_file: root.join("config.toml"),
            data: root.join("data"),
            state: root.join("state"),
            cache: root.join("cache"),
            runtime: root.join("run"),
        }
    }

    fn profile(provider: &str) -> ProfileSettings {
        ProfileSettings {
            provider: provider.to_owned(),
            ..ProfileSettings::default()
        }
    }

    #[test]
    fn added_profiles_come_back_as_they_were() {
        let home = tempfile::tempdir().unwrap();
        let paths = places(home.path());
        let mut whole = profile("s3");
        whole.auth_mode = Some("access_key".to_owned());
        whole.root = Some("pre\"fix\\é".to_owned());
        whole.read_only = true;
        whole.ttl_s = Some(5);
        whole.account = Some("me".to_owned());
        whole.fields.insert("bucket".to_owned(), "b".to_owned());
        whole
            .endpoints
            .insert("url".to_owned(), "http://127.0.0.1:1".to_owned());
        let settings = Settings::default();
        let mut profiles = Profiles::load(&settings, &paths).unwrap();
        profiles.put(&paths, "box.1", &whole).unwrap();
        profiles.put(&paths, "阿里", &profile("local")).unwrap();
        let again = Profiles::load(&settings, &paths).unwrap();
        assert_eq!(again.get("box.1"), Some((&whole, Source::Added)));
        assert_eq!(again.names().collect::<Vec<_>>(), ["box.1", "阿里"]);
        profiles.remove(&paths, "box.1").unwrap();
        let again = Profiles::load(&settings, &paths).unwrap();
        assert_eq!(again.names().collect::<Vec<_>>(), ["阿里"]);
    }

    #[test]
    fn the_users_file_is_never_changed() {
        let home = tempfile::tempdir().unwrap();
        let paths = places(home.path());
        let mut settings = Settings::default();
        settings.profiles.insert("mine".to_owned(), profile("s3"));
        let mut profiles = Profiles::load(&settings, &paths).unwrap();
        for result in [
            profiles.put(&paths, "mine", &profile("local")),
            profiles.remove(&paths, "mine"),
        ] {
            assert!(matches!(result, Err(ProfileError::InConfigFile(..))));
        }
        assert!(!paths.config_file.exists());
        // The same name in both is a mistake that is told, not a choice made silently.
        let mut other = Profiles::default();
        other.put(&paths, "mine", &profile("local")).unwrap();
        let error = Profiles::load(&settings, &paths).unwrap_err().to_string();
        assert!(error.contains("profile mine is also in"), "{error}");
    }

    #[test]
    fn two_writers_lose_nothing() {
        let home = tempfile::tempdir().unwrap();
        let paths = places(home.path());
        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d", "e", "f"] {
                let paths = &paths;
                scope.spawn(move || {
                    Profiles::default()
                        .put(paths, name, &profile("local"))
                        .unwrap();
                });
            }
        });
        let profiles = Profiles::load(&Settings::default(), &paths).unwrap();
        assert_eq!(profiles.names().count(), 6);
    }

    #[test]
    fn bad_names_of_the_file_are_told() {
        let home = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.profiles.insert("a/b".to_owned(), profile("s3"));
        let error = Profiles::load(&settings, &places(home.path())).unwrap_err();
        assert!(error.to_string().contains("[profile.a/b]"), "{error}");
    }
}
