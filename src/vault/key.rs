//! Where the master key comes from.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::VaultError;
use crate::config::write_private;
use crate::net::Secret;

/// Fewest characters of a key that is given as a text.
pub const MIN_PASSPHRASE: usize = 32;

/// The environment variable with the key.
const VARIABLE: &str = "PANFUSE_MASTER_KEY";
/// The name of the systemd credential with the key (`LoadCredential=panfuse-master-key:...`).
const CREDENTIAL: &str = "panfuse-master-key";

/// The master key.
#[derive(Clone)]
pub(super) struct MasterKey(pub(super) [u8; 32]);

/// Where the master key comes from, in the order of preference.
#[derive(Clone)]
pub enum KeySource {
    /// `PANFUSE_MASTER_KEY`, a text.
    Environment(Secret),
    /// A file of systemd's credentials directory, a text.
    Credential(PathBuf),
    /// A file of mode 0600 that is made on first use: 64 hex digits.
    File(PathBuf),
}

impl KeySource {
    /// The source of this process: the variable, else the systemd credential, else
    /// `vault.key` in the data directory.
    pub fn of_process(data: &Path) -> KeySource {
        if let Some(value) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
            return KeySource::Environment(Secret::new(value.to_string_lossy()));
        }
        if let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") {
            let file = PathBuf::from(directory).join(CREDENTIAL);
            if file.exists() {
                return KeySource::Credential(file);
            }
        }
        KeySource::File(data.join("vault.key"))
    }

    /// The key. `may_create` allows making the key file: only for a vault with nothing in it.
    pub(super) fn key(&self, may_create: bool) -> Result<MasterKey, VaultError> {
        match self {
            KeySource::Environment(value) => from_text(value.expose(), self),
            KeySource::Credential(file) => {
                let text = fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
                from_text(text.trim_end_matches(['\n', '\r']), self)
            }
            KeySource::File(file) => from_file(file, may_create),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::Environment(_) => f.write_str(VARIABLE),
            KeySource::Credential(file) => write!(f, "systemd credential {}", file.display()),
            KeySource::File(file) => write!(f, "key file {}", file.display()),
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn from_text(text: &str, source: &KeySource) -> Result<MasterKey, VaultError> {
    let length = text.chars().count();
    if length < MIN_PASSPHRASE {
        return Err(VaultError::Key(format!(
            "{source} has {length} characters; it needs at least {MIN_PASSPHRASE}, for example \
             from `openssl rand -hex 32`"
        )));
    }
    Ok(MasterKey(Sha256::digest(text.as_bytes()).into()))
}

fn from_file(file: &Path, may_create: bool) -> Result<MasterKey, VaultError> {
    match fs::read_to_string(file) {
        Ok(text) => {
            let mode = fs::metadata(file)
                .map_err(|error| unreadable(file, &error))?
                .permissions()
                .mode();
            if mode & 0o077 != 0 {
                return Err(VaultError::Key(format!(
                    "key file {} can be read by others (mode {:04o}); run: chmod 600 {}",
                    file.display(),
                    mode & 0o7777,
                    file.display()
                )));
            }
            decode(text.trim()).ok_or_else(|| {
                VaultError::Key(format!(
                    "key file {} is damaged: it should hold 64 hex digits; restore it from a \
                     backup",
                    file.display()
                ))
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => {
            let mut key = [0_u8; 32];
            getrandom::fill(&mut key)
                .map_err(|error| VaultError::Key(format!("no random numbers: {error}")))?;
            let mut text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            text.push('\n');
            write_private(file, text.as_bytes())
                .map_err(|error| VaultError::Key(format!("key file cannot be written: {error}")))?;
            Ok(MasterKey(key))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(VaultError::Key(format!(
            "key file {} is missing, and the vault beside it was sealed with it or with \
             {VARIABLE}; restore the file, set the variable, or remove vault.db and add the \
             profiles again",
            file.display()
        ))),
        Err(error) => Err(unreadable(file, &error)),
    }
}

fn unreadable(file: &Path, error: &io::Error) -> VaultError {
    VaultError::Key(format!("{} cannot be read: {error}", file.display()))
}

fn decode(text: &str) -> Option<MasterKey> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut key = [0_u8; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        // from_str_radix alone would take "+f".
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(MasterKey(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_are_refused_with_their_length() {
        let source = KeySource::Environment(Secret::new("short-and-secret"));
        let message = source.key(true).err().unwrap().to_string();
        assert!(message.contains("has 16 characters"), "{message}");
        assert!(!message.contains("short-and-secret"));
        let long = KeySource::Environment(Secret::new("k".repeat(32)));
        assert!(long.key(false).is_ok());
    }

    #[test]
    fn the_key_file_is_private_and_kept() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("vault.key");
        let source = KeySource::File(file.clone());
        assert!(source.key(false).is_err());
        let first = source.key(true).unwrap();
        assert_eq!(source.key(false).unwrap().0, first.0);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let message = source.key(true).err().unwrap().to_string();
        assert!(message.contains("chmod 600"), "{message}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "abc").unwrap();
        assert!(
            source
                .key(true)
                .err()
                .unwrap()
                .to_string()
                .contains("damaged")
        );
    }
}
