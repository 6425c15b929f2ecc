//! What `-o` says.

use thiserror::Error;

use crate::config::did_you_mean;
use crate::vfs::{Close, Settings};

/// Options with a meaning of ours that take no value.
const FLAGS: [&str; 5] = [
    "ro",
    "rw",
    "allow_other",
    "default_permissions",
    "noexec",
];

/// Options that take a value.
const VALUES: [&str; 5] = ["uid", "gid", "umask", "profile", "close"];

/// Words that fstab, `mount` and file managers pass to every file system. Accepted, without an
/// effect of ours: set-user-id bits and device files are never honoured on this mount.
const IGNORED: [&str; 25] = [
    "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "nofail", "_netdev",
    "nosuid", "suid", "nodev", "dev", "exec", "atime", "noatime", "relatime", "norelatime",
    "strictatime", "nodiratime", "diratime", "async", "sync", "dirsync",
];

/// Options that take a value and are accepted without effect.
const IGNORED_VALUES: [&str; 4] = ["fsname", "subtype", "comment", "user"];

/// Options of a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Nothing can be written.
    pub read_only: bool,
    /// Other users may look in. Implies `default_permissions`: without the kernel's check of
    /// owner and mode everybody on the machine could delete.
    pub allow_other: bool,
    /// The kernel checks owner and mode.
    pub default_permissions: bool,
    /// Programs on it cannot be started.
    pub no_exec: bool,
    /// Owner of every node.
    pub uid: Option<u32>,
    /// Group of every node.
    pub gid: Option<u32>,
    /// Permission bits taken away.
    pub umask: Option<u32>,
    /// Only these profiles, in this order; all when `None`.
    pub profiles: Option<Vec<String>>,
    /// When `close` answers.
    pub close: Option<Close>,
    /// Threads that take requests from the kernel; 2 when `None` (facts/fuse.md 0).
    pub threads: Option<usize>,
}

/// A word after `-o` that is not understood. A usage error (exit code 2).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OptionError {
    /// No such option.
    #[error("mount option `{word}` is unknown; {hint}")]
    Unknown {
        /// The word.
        word: String,
        /// A near one, or all.
        hint: String,
    },
    /// The option needs a value.
    #[error("mount option `{0}` needs a value: {0}=...")]
    NeedsValue(String),
    /// The option takes no value.
    #[error("mount option `{0}` takes no value")]
    NoValue(String),
    /// The value is wrong.
    #[error("mount option `{option}`: `{value}` is not {expected}")]
    BadValue {
        /// The option.
        option: String,
        /// Its value.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
}

impl MountOptions {
    /// Options from the values of every `-o`, in order; a later word wins. The names after
    /// `profile=` are separated by commas like the options themselves: the list goes on until a
    /// word that is an option (`profile=a,b,ro` is two profiles, read-only).
    ///
    /// # Errors
    /// [`OptionError`], which names the word and the nearest known one.
    pub fn parse<S: AsRef<str>>(given: &[S]) -> Result<MountOptions, OptionError> {
        let mut options = MountOptions::default();
        for list in given {
            let mut in_profiles = false;
            for word in list.as_ref().split(',').map(str::trim) {
                if word.is_empty() {
                    continue;
                }
                if in_profiles && !is_option(word) {
                    options.profiles.get_or_insert_default().push(word.to_owned());
                    continue;
                }
                options.take(word)?;
                in_profiles = word.starts_with("profile=");
            }
        }
        options.default_permissions |= options.allow_other;
        Ok(options)
    }

    /// What the file system is told of them.
    pub fn apply(&self, settings: &mut Settings) {
        settings.read_only |= self.read_only;
        settings.uid = self.uid.unwrap_or(settings.uid);
        settings.gid = self.gid.unwrap_or(settings.gid);
        settings.umask = self.umask.unwrap_or(settings.umask);
        settings.close = self.close.unwrap_or(settings.close);
    }

    fn take(&mut self, word: &str) -> Result<(), OptionError> {
        if word.starts_with("x-") || word.starts_with("X-") {
            return Ok(());
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        if IGNORED.contains(&name) && value.is_none() {
            return Ok(());
        }
        if IGNORED_VALUES.contains(&name) {
            return Ok(());
        }
        if FLAGS.contains(&name) {
            if value.is_some() {
                return Err(OptionError::NoValue(name.to_owned()));
            }
            return self.take_flag(name);
        }
        if !VALUES.contains(&name) {
            return Err(unknown(name));
        }
        match value.map(str::trim).filter(|value| !value.is_empty()) {
            Some(value) => self.take_value(name, value),
            None => Err(OptionError::NeedsValue(name.to_owned())),
        }
    }

    fn take_flag(&mut self, name: &str) -> Result<(), OptionError> {
        match name {
            "ro" => self.read_only = true,
            "rw" => self.read_only = false,
            "allow_other" => self.allow_other = true,
            "default_permissions" => self.default_permissions = true,
            "noexec" => self.no_exec = true,
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    fn take_value(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        let bad = |expected| OptionError::BadValue {
            option: name.to_owned(),
            value: value.to_owned(),
            expected,
        };
        match name {
            "uid" => self.uid = Some(value.parse().map_err(|_| bad("a user number"))?),
            "gid" => self.gid = Some(value.parse().map_err(|_| bad("a group number"))?),
            "umask" => {
                let umask = u32::from_str_radix(value, 8).ok().filter(|mask| *mask <= 0o777);
                self.umask = Some(umask.ok_or(bad("an octal number up to 777, as in umask=022"))?);
            }
            "close" => {
                self.close = Some(match value {
                    "wait" => Close::Wait,
                    "auto" => Close::Auto,
                    "queue" => Close::Queue,
                    _ => return Err(bad("wait, auto or queue")),
                });
            }
            "profile" => self.profiles = Some(vec![value.to_owned()]),
            _ => return Err(unknown(name)),
        }
        Ok(())
    }
}

/// Whether a word inside a list of profiles is an option again.
fn is_option(word: &str) -> bool {
    word.contains('=')
        || FLAGS.contains(&word)
        || VALUES.contains(&word)
        || IGNORED.contains(&word)
        || word.starts_with("x-")
        || word.starts_with("X-")
}

fn unknown(word: &str) -> OptionError {
    let known = VALUES.into_iter().chain(FLAGS);
    OptionError::Unknown {
        word: word.to_owned(),
        hint: did_you_mean(word, known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<MountOptions, OptionError> {
        MountOptions::parse(&[words])
    }

    #[test]
    fn every_option_is_taken() {
        let options =
            parse("ro,uid=7,gid=8,umask=077,close=queue,allow_other,noexec,profile=a,b,x-gvfs-show")
                .unwrap();
        assert_eq!(
            options,
            MountOptions {
                read_only: true,
                allow_other: true,
                default_permissions: true,
                no_exec: true,
                uid: Some(7),
                gid: Some(8),
                umask: Some(0o077),
                profiles: Some(vec!["a".to_owned(), "b".to_owned()]),
                close: Some(Close::Queue),
                threads: None,
            }
        );
        let mut settings = Settings::default();
        options.apply(&mut settings);
        assert!(settings.read_only);
        assert_eq!((settings.uid, settings.gid, settings.umask), (7, 8, 0o077));
        assert_eq!(settings.close, Close::Queue);
    }

    #[test]
    fn a_list_of_profiles_ends_at_an_option() {
        let options = parse("profile=a,b,ro,noatime").unwrap();
        assert_eq!(options.profiles.unwrap(), ["a", "b"]);
        assert!(options.read_only);
        let later = MountOptions::parse(&["profile=a,b", "profile=c"]).unwrap();
        assert_eq!(later.profiles.unwrap(), ["c"]);
        // The list does not reach into the next -o.
        assert!(MountOptions::parse(&["profile=a", "b"]).is_err());
    }

    #[test]
    fn the_words_of_fstab_are_accepted() {
        let options = parse("rw,dev,suid,_netdev,noauto,user,nofail,fsname=x,subtype=y,").unwrap();
        assert_eq!(options, MountOptions::default());
        assert!(!parse("ro,rw").unwrap().read_only);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            parse("alow_other").unwrap_err().to_string(),
            "mount option `alow_other` is unknown; did you mean `allow_other`?"
        );
        assert_eq!(parse("uid").unwrap_err(), OptionError::NeedsValue("uid".to_owned()));
        assert_eq!(parse("umask=").unwrap_err(), OptionError::NeedsValue("umask".to_owned()));
        assert_eq!(parse("ro=1").unwrap_err(), OptionError::NoValue("ro".to_owned()));
        for wrong in ["uid=me", "umask=9", "umask=7777", "close=never", "gid=-1"] {
            let error = parse(wrong).unwrap_err();
            assert!(matches!(error, OptionError::BadValue { .. }), "{wrong}: {error}");
        }
    }
}
