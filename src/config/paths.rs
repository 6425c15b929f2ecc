//! Where things are.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::{ConfigError, Origin};
use super::settings::StoreSettings;

/// The longest path of a Unix socket: `sun_path` has 108 bytes with the closing zero.
const SOCKET_PATH_MAX: usize = 107;

/// The places of one panfuse. Two with different state directories never meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The settings file (it need not exist unless it was named).
    pub config_file: PathBuf,
    /// Catalog, vault, profiles.
    pub data: PathBuf,
    /// Stage, journal, lock of the daemon.
    pub state: PathBuf,
    /// Content cache.
    pub cache: PathBuf,
    /// Where the daemon's socket is.
    pub runtime: PathBuf,
}

/// Looks a variable up. A closure, so that tests need not change the process's environment.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Paths {
    /// `$XDG_CONFIG_HOME/panfuse/config.toml`.
    pub(super) fn default_config_file(env: Lookup<'_>) -> Result<PathBuf, ConfigError> {
        Ok(base(env, "XDG_CONFIG_HOME", ".config")?.join("config.toml"))
    }

    /// The places for a settings file and what it says; `state_dir` is the command line's.
    pub(super) fn resolve(
        env: Lookup<'_>,
        config_file: PathBuf,
        store: &StoreSettings,
        state_dir: Option<PathBuf>,
    ) -> Result<Paths, ConfigError> {
        let or_base = |given: &Option<PathBuf>, variable, below| match given {
            Some(path) => Ok(path.clone()),
            None => base(env, variable, below),
        };
        let own_state = state_dir.or_else(|| store.state_dir.clone());
        let state = match &own_state {
            Some(path) => path.clone(),
            None => base(env, "XDG_STATE_HOME", ".local/state")?,
        };
        // A state directory of its own means a daemon of its own, so the socket goes with it;
        // $XDG_RUNTIME_DIR is shared by all of the user's.
        let runtime = match (&store.runtime_dir, &own_state) {
            (Some(path), _) => path.clone(),
            (None, Some(_)) => state.clone(),
            (None, None) => match absolute(env("XDG_RUNTIME_DIR")) {
                Some(path) => path.join("panfuse"),
                None => state.clone(),
            },
        };
        Ok(Paths {
            data: or_base(&store.data_dir, "XDG_DATA_HOME", ".local/share")?,
            cache: or_base(&store.cache_dir, "XDG_CACHE_HOME", ".cache")?,
            config_file,
            state,
            runtime,
        })
    }

    /// The daemon's lock file.
    pub fn lock_file(&self) -> PathBuf {
        self.state.join("daemon.lock")
    }

    /// The daemon's socket (see [`socket_path`]). Makes nothing.
    ///
    /// # Errors
    /// When no private directory for a short path can be had.
    pub fn socket(&self) -> io::Result<PathBuf> {
        socket_path(&self.runtime, &self.state)
    }

    /// The daemon's socket, with its directory made.
    ///
    /// # Errors
    /// When the directory cannot be made or is somebody else's.
    pub fn create_socket_dir(&self) -> io::Result<PathBuf> {
        make_private_dir(self.socket()?.parent().unwrap_or(Path::new("/")))?;
        // Asked again: another user may have been faster below /tmp.
        self.socket()
    }

    /// Makes data, state and cache directories, private to the user.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn create(&self) -> io::Result<()> {
        for directory in [&self.data, &self.state, &self.cache] {
            make_private_dir(directory)?;
        }
        Ok(())
    }

    /// A short random id of this panfuse, made once and kept in the state directory; part of
    /// temporary names at providers, so that leftovers of another machine are told apart.
    ///
    /// # Errors
    /// When the state directory cannot be written.
    pub fn instance(&self) -> io::Result<String> {
        make_private_dir(&self.state)?;
        let file = self.state.join("instance");
        for _ in 0..3 {
            match fs::read_to_string(&file) {
                Ok(text) if is_instance(text.trim()) => return Ok(text.trim().to_owned()),
                Ok(_) => fs::remove_file(&file)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let mut bytes = [0_u8; 4];
            getrandom::fill(&mut bytes).map_err(io::Error::other)?;
            let id = u32::from_le_bytes(bytes);
            let fresh = self.state.join(format!("instance.{id:08x}"));
            write_new(&fresh, format!("{id:08x}\n").as_bytes())?;
            // A link never replaces: of two processes that start together one wins for both.
            let linked = fs::hard_link(&fresh, &file);
            fs::remove_file(&fresh)?;
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Err(io::Error::other(format!(
            "{} cannot be kept",
            file.display()
        )))
    }
}

fn is_instance(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn absolute(value: Option<OsString>) -> Option<PathBuf> {
    // The XDG rules: a relative path is invalid and ignored.
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

fn base(env: Lookup<'_>, variable: &'static str, below: &str) -> Result<PathBuf, ConfigError> {
    if let Some(path) = absolute(env(variable)) {
        return Ok(path.join("panfuse"));
    }
    match absolute(env("HOME")) {
        Some(home) => Ok(home.join(below).join("panfuse")),
        None => Err(ConfigError::one(
            Origin::Environment("HOME".to_owned()),
            "",
            format!("neither {variable} nor HOME names a directory; set one of them"),
        )),
    }
}

/// Makes a directory and its parents; the new ones with mode 0700.
///
/// # Errors
/// The operating system's, with the path in the message.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| named(path, error))
}

/// The id of the user this process runs as.
///
/// # Errors
/// When `/proc` is not there.
pub fn effective_uid() -> io::Result<u32> {
    // The owner of /proc/self is the effective user; asking the C library needs `unsafe`.
    Ok(fs::metadata("/proc/self")?.uid())
}

/// The socket's path: in `runtime`, else in `state`, else in a private directory below `/tmp`,
/// the first one that fits the 107 bytes a Unix socket path may have. Makes nothing.
///
/// # Errors
/// When the directory below `/tmp` is there but not a private one of ours.
pub fn socket_path(runtime: &Path, state: &Path) -> io::Result<PathBuf> {
    for directory in [runtime, state] {
        let path = directory.join("panfuse.sock");
        if path.as_os_str().len() <= SOCKET_PATH_MAX {
            return Ok(path);
        }
    }
    let uid = effective_uid()?;
    let digest = Sha256::digest(state.as_os_str().as_bytes());
    let mut name = format!("/tmp/panfuse-{uid}-");
    for byte in digest.iter().take(6) {
        name.push_str(&format!("{byte:02x}"));
    }
    let directory = PathBuf::from(name);
    // /tmp is everybody's: whoever made the directory first must have been us, or a stranger
    // would play the daemon.
    match fs::symlink_metadata(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(named(&directory, error)),
        Ok(found) => {
            if !found.is_dir() || found.uid() != uid || found.permissions().mode() & 0o077 != 0 {
                return Err(io::Error::other(format!(
                    "{} is not a private directory of yours; remove it or set store.runtime_dir",
                    directory.display()
                )));
            }
        }
    }
    Ok(directory.join("panfuse.sock"))
}

/// Writes a file of mode 0600 in one step: a reader sees the old bytes or the new ones, and the
/// new ones are on the disk when this returns.
///
/// # Errors
/// The operating system's, with the path in the message.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    make_private_dir(directory)?;
    let mut random = [0_u8; 6];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let suffix: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{suffix}"));
    let fresh = directory.join(name);
    let written = write_new(&fresh, bytes)
        .and_then(|()| fs::rename(&fresh, path))
        .and_then(|()| fs::File::open(directory)?.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written.map_err(|error| named(path, error))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        }
    }

    fn resolve(pairs: &[(&str, &str)], store: &StoreSettings, state: Option<&str>) -> Paths {
        let lookup = env(pairs);
        let file = Paths::default_config_file(&lookup).unwrap();
        Paths::resolve(&lookup, file, store, state.map(PathBuf::from)).unwrap()
    }

    #[test]
    fn xdg_first_then_home() {
        let paths = resolve(&[("HOME", "/h")], &StoreSettings::default(), None);
        assert_eq!(
            paths.config_file,
            Path::new("/h/.config/panfuse/config.toml")
        );
        assert_eq!(paths.data, Path::new("/h/.local/share/panfuse"));
        assert_eq!(paths.state, Path::new("/h/.local/state/panfuse"));
        assert_eq!(paths.cache, Path::new("/h/.cache/panfuse"));
        assert_eq!(paths.runtime, paths.state);
        let paths = resolve(
            &[
                ("HOME", "/h"),
                ("XDG_RUNTIME_DIR", "/run/user/7"),
                ("XDG_DATA_HOME", "/d"),
                ("XDG_CACHE_HOME", "relative"),
            ],
            &StoreSettings::default(),
            None,
        );
        assert_eq!(paths.runtime, Path::new("/run/user/7/panfuse"));
        assert_eq!(paths.data, Path::new("/d/panfuse"));
        assert_eq!(paths.cache, Path::new("/h/.cache/panfuse"));
    }

    #[test]
    fn a_state_directory_of_its_own_takes_the_socket_along() {
        let pairs = [("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        let paths = resolve(&pairs, &StoreSettings::default(), Some("/s"));
        assert_eq!(paths.runtime, Path::new("/s"));
        let store = StoreSettings {
            state_dir: Some("/file".into()),
            runtime_dir: Some("/r".into()),
            ..StoreSettings::default()
        };
        let paths = resolve(&pairs, &store, Some("/option"));
        assert_eq!(paths.state, Path::new("/option"));
        assert_eq!(paths.runtime, Path::new("/r"));
    }

    #[test]
    fn without_home_the_message_names_it() {
        let lookup = env(&[]);
        let error = Paths::default_config_file(&lookup).unwrap_err();
        assert!(error.to_string().contains("HOME"), "{error}");
    }

    #[test]
    fn long_state_directories_get_a_short_socket() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let state = home.path().join(name.repeat(120));
            let state = state.to_str().unwrap();
            resolve(&[("HOME", "/h")], &StoreSettings::default(), Some(state))
        };
        let paths = at("x");
        let path = paths.socket().unwrap();
        assert!(path.as_os_str().len() <= SOCKET_PATH_MAX);
        let directory = path.parent().unwrap();
        assert!(!directory.exists(), "asking makes nothing");
        assert_eq!(paths.create_socket_dir().unwrap(), path);
        let mode = fs::metadata(directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(paths.create_socket_dir().unwrap(), path);
        assert_ne!(at("y").socket().unwrap(), path);
        // Somebody else's door is refused.
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(paths.socket().is_err());
        fs::remove_dir(directory).unwrap();
        let short = home.path().join("s");
        assert_eq!(
            socket_path(&paths.state, &short).unwrap(),
            short.join("panfuse.sock")
        );
    }

    #[test]
    fn private_files_are_private_and_whole() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a/b");
        write_private(&file, b"one").unwrap();
        write_private(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(file.parent().unwrap()), 0o700);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn the_instance_is_made_once() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().to_str().unwrap();
        let paths = resolve(&[("HOME", "/h")], &StoreSettings::default(), Some(state));
        let id = paths.instance().unwrap();
        assert!(is_instance(&id));
        assert_eq!(paths.instance().unwrap(), id);
        fs::write(home.path().join("instance"), "").unwrap();
        assert!(is_instance(&paths.instance().unwrap()));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
