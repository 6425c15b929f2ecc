//! Where the daemon of this state directory mounts, and what users' paths are below it.

use std::path::{Component, Path, PathBuf};

use super::client::Client;
use super::lock::holder;
use super::{CliError, Context};

/// The mount of the running daemon.
#[derive(Clone, Debug)]
pub(super) struct Mounted {
    /// The mount point as the daemon was told.
    pub mountpoint: PathBuf,
    /// Spellings of the mount point: as told, and without symbolic links.
    roots: Vec<PathBuf>,
}

impl Mounted {
    /// The mount of the daemon that holds the state directory.
    ///
    /// # Errors
    /// `no_daemon`.
    pub fn find(context: &Context) -> Result<Mounted, CliError> {
        match holder(&context.paths)? {
            Some(holder) if !holder.mountpoint.as_os_str().is_empty() => {
                Ok(Mounted::at(&holder.mountpoint))
            }
            _ => Err(no_daemon(context)),
        }
    }

    /// A mount at `mountpoint`.
    pub fn at(mountpoint: &Path) -> Mounted {
        let told = lexical(mountpoint);
        let mut roots = vec![told.clone()];
        // Only the directory above is looked at: a mount that hangs must not hang us.
        if let (Some(above), Some(name)) = (told.parent(), told.file_name())
            && let Ok(real) = above.canonicalize()
        {
            roots.push(real.join(name));
        }
        roots.dedup();
        Mounted {
            mountpoint: mountpoint.to_owned(),
            roots,
        }
    }

    /// Whether `path` names the mount point itself.
    pub fn is_root(&self, path: &Path) -> bool {
        self.below(path).is_ok_and(|below| below == "/")
    }

    /// A user's path as the daemon names it: `/profile/directory/file`, `/` for the mount point.
    ///
    /// # Errors
    /// Exit code 2 for a path that is not in the mount, and for names that are not UTF-8.
    pub fn below(&self, path: &Path) -> Result<String, CliError> {
        let absolute = lexical(path);
        let found = self.strip(&absolute).or_else(|| {
            // The way there may lead over symbolic links.
            let real = absolute.parent()?.canonicalize().ok()?;
            self.strip(&real.join(absolute.file_name()?))
        });
        let Some(below) = found else {
            return Err(CliError::usage(
                "not_in_mount",
                format!(
                    "{} is not in the mount at {}",
                    path.display(),
                    self.mountpoint.display()
                ),
            )
            .hint(format!(
                "give a path below {}, or name the other daemon with --config or --state-dir",
                self.mountpoint.display()
            )));
        };
        match below.to_str() {
            Some(below) => Ok(format!("/{below}")),
            None => Err(CliError::usage(
                "bad_name",
                format!("{} is not UTF-8; no file in the mount is", path.display()),
            )),
        }
    }

    fn strip(&self, absolute: &Path) -> Option<PathBuf> {
        self.roots
            .iter()
            .find_map(|root| absolute.strip_prefix(root).ok())
            .map(Path::to_owned)
    }
}

/// A client of the daemon and its mount.
///
/// # Errors
/// `no_daemon`.
pub(super) fn connect(context: &Context) -> Result<(Client, Mounted), CliError> {
    Ok((Client::new(&context.paths)?, Mounted::find(context)?))
}

fn no_daemon(context: &Context) -> CliError {
    CliError::failed(
        "no_daemon",
        format!(
            "no daemon is running for the state directory {}",
            context.paths.state.display()
        ),
    )
    .hint("start it with: panfuse mount MOUNTPOINT")
}

/// The absolute path without `.` and `..`, worked out from the words alone.
pub(super) fn lexical(path: &Path) -> PathBuf {
    let mut whole = if path.is_absolute() {
        PathBuf::new()
    } else {
        std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
    };
    for part in path.components() {
        match part {
            Component::RootDir => whole.push("/"),
            Component::ParentDir => {
                whole.pop();
            }
            Component::Normal(name) => whole.push(name),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::super::lock::DaemonLock;
    use super::super::profile::testing::context;
    use super::*;

    #[test]
    fn paths_are_named_from_the_mount_point() {
        let mounted = Mounted::at(Path::new("/home/u/cloud/"));
        for (path, below) in [
            ("/home/u/cloud", "/"),
            ("/home/u/cloud/", "/"),
            ("/home/u/cloud/a/b c", "/a/b c"),
            ("/home/u/./cloud/x/../a//b/", "/a/b"),
            ("/home/u/other/../cloud/阿里", "/阿里"),
        ] {
            assert_eq!(mounted.below(Path::new(path)).unwrap(), below, "{path}");
        }
        assert!(mounted.is_root(Path::new("/home/u/cloud/a/..")));
        assert!(!mounted.is_root(Path::new("/home/u/cloud/a")));
        for path in ["/home/u", "/home/u/cloudy/a", "/home/u/cloud/../x", "/"] {
            let error = mounted.below(Path::new(path)).unwrap_err();
            assert_eq!((error.code.as_str(), error.exit), ("not_in_mount", 2));
            assert!(error.message.contains(path), "{}", error.message);
            assert!(error.message.contains("/home/u/cloud"));
        }
    }

    #[test]
    fn relative_paths_start_where_the_user_is() {
        let here = std::env::current_dir().unwrap();
        let mounted = Mounted::at(&here);
        assert_eq!(mounted.below(Path::new("a/./b")).unwrap(), "/a/b");
        assert_eq!(mounted.below(Path::new(".")).unwrap(), "/");
        assert!(mounted.below(Path::new("../x")).is_err());
    }

    #[test]
    fn symbolic_links_on_the_way_are_followed() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        std::fs::create_dir_all(home.join("real/cloud/a")).unwrap();
        std::os::unix::fs::symlink(home.join("real"), home.join("link")).unwrap();
        let told = Mounted::at(&home.join("link/cloud"));
        assert_eq!(told.below(&home.join("real/cloud/a/b")).unwrap(), "/a/b");
        let real = Mounted::at(&home.join("real/cloud"));
        assert_eq!(real.below(&home.join("link/cloud/a/b")).unwrap(), "/a/b");
    }

    #[test]
    fn the_mount_point_comes_from_the_lock() {
        let home = tempfile::tempdir().unwrap();
        let context = context(home.path());
        let error = Mounted::find(&context).unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("no_daemon", 1));
        let _lock = DaemonLock::acquire(&context.paths, Path::new("/m/cloud")).unwrap();
        let mounted = Mounted::find(&context).unwrap();
        assert_eq!(mounted.below(Path::new("/m/cloud/a")).unwrap(), "/a");
    }
}
