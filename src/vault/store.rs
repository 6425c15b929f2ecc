//! The vault's database.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::key::KeySource;
use super::seal::{Label, Seal, Sealed};
use crate::config::{Paths, make_private_dir};
use crate::net::{CredentialStore, Credentials, Secret};

/// The label of a known text that tells a wrong key from a damaged row. No profile has an
/// empty name.
const CHECK: Label<'static> = Label {
    profile: "",
    field: "check",
    version: 0,
};

/// What can go wrong with the vault. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The master key is missing, too short, unsafe or not the one.
    #[error("vault: {0}")]
    Key(String),
    /// A stored secret does not open: changed by hand, or moved from another row.
    #[error(
        "vault: the secret `{1}` of profile `{0}` was damaged or tampered with; enter it again"
    )]
    Damaged(String, String),
    /// The database failed.
    #[error("vault: {0}")]
    Database(#[from] rusqlite::Error),
    /// The file system failed.
    #[error("vault: {0}")]
    Io(#[from] io::Error),
    /// A name that cannot be stored.
    #[error("vault: {0}")]
    Name(String),
}

/// Secrets of all profiles, sealed. Cheap to share in an [`Arc`]; calls block for the disk.
pub struct Vault {
    connection: Mutex<Connection>,
    seal: Seal,
    directory: PathBuf,
}

impl Vault {
    /// Opens the vault of these places, with the key of this process
    /// ([`KeySource::of_process`]); makes both on first use.
    ///
    /// # Errors
    /// A missing or wrong key (its source is named), a broken database.
    pub fn open(paths: &Paths) -> Result<Vault, VaultError> {
        Self::open_with(&paths.data, &KeySource::of_process(&paths.data))
    }

    /// Opens the vault in `directory` with a key from `source`.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn open_with(directory: &Path, source: &KeySource) -> Result<Vault, VaultError> {
        make_private_dir(directory)?;
        // One at a time: of two processes that start together on an empty directory only one
        // makes the key.
        let guard = lock_file(&directory.join("vault.lock"))?;
        guard.lock()?;
        let file = directory.join("vault.db");
        let existing = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&file)?;
        if existing.metadata()?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        }
        let connection = Connection::open(&file)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS secret (
                 profile TEXT NOT NULL, field TEXT NOT NULL, version INTEGER NOT NULL,
                 nonce BLOB NOT NULL, sealed BLOB NOT NULL,
                 PRIMARY KEY (profile, field)) STRICT;",
        )?;
        let check = read_row(&connection, CHECK.profile, CHECK.field)?;
        let seal = Seal::new(&source.key(check.is_none())?);
        match check {
            Some((_, sealed)) => {
                seal.open(CHECK, &sealed).map_err(|_| {
                    VaultError::Key(format!(
                        "the key from {source} is not the one {} was sealed with",
                        file.display()
                    ))
                })?;
            }
            None => {
                let sealed = seal.seal(CHECK, &Secret::new("panfuse"))?;
                write_row(&connection, CHECK, &sealed)?;
            }
        }
        Ok(Vault {
            connection: Mutex::new(connection),
            seal,
            directory: directory.to_owned(),
        })
    }

    /// Stores a secret durably; an empty one removes the field.
    ///
    /// # Errors
    /// The disk's.
    pub fn put(&self, profile: &str, field: &str, secret: &Secret) -> Result<(), VaultError> {
        let one = BTreeMap::from([(field.to_owned(), secret.clone())]);
        self.put_all(profile, &one)
    }

    /// Stores several secrets of a profile in one step: all or none. Empty ones are removed.
    ///
    /// # Errors
    /// The disk's.
    pub fn put_all(&self, profile: &str, secrets: &Credentials) -> Result<(), VaultError> {
        if profile.is_empty() || profile.contains(['/', '\0']) || profile == "." || profile == ".."
        {
            return Err(VaultError::Name(format!(
                "`{profile}` cannot name a profile"
            )));
        }
        let mut connection = self.database();
        // Immediate: the version read below must not change before the write.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (field, secret) in secrets {
            if secret.is_empty() {
                transaction.execute(
                    "DELETE FROM secret WHERE profile = ?1 AND field = ?2",
                    params![profile, field],
                )?;
                continue;
            }
            let last: Option<i64> = transaction
                .query_row(
                    "SELECT version FROM secret WHERE profile = ?1 AND field = ?2",
                    params![profile, field],
                    |row| row.get(0),
                )
                .optional()?;
            let label = Label {
                profile,
                field,
                version: last.unwrap_or(0).saturating_add(1),
            };
            let sealed = self.seal.seal(label, secret)?;
            write_row(&transaction, label, &sealed)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// A secret.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] when it does not open.
    pub fn get(&self, profile: &str, field: &str) -> Result<Option<Secret>, VaultError> {
        let row = read_row(&self.database(), profile, field)?;
        row.map(|(version, sealed)| {
            let label = Label {
                profile,
                field,
                version,
            };
            self.seal.open(label, &sealed)
        })
        .transpose()
    }

    /// Names of the stored fields of a profile, in order.
    ///
    /// # Errors
    /// The disk's.
    pub fn fields(&self, profile: &str) -> Result<Vec<String>, VaultError> {
        let connection = self.database();
        let mut statement = connection
            .prepare_cached("SELECT field FROM secret WHERE profile = ?1 ORDER BY field")?;
        let names = statement.query_map([profile], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// All secrets of a profile.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] when one does not open.
    pub fn load(&self, profile: &str) -> Result<Credentials, VaultError> {
        let mut all = Credentials::new();
        for field in self.fields(profile)? {
            if let Some(secret) = self.get(profile, &field)? {
                all.insert(field, secret);
            }
        }
        Ok(all)
    }

    /// Removes every secret of a profile and tells how many there were.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove_profile(&self, profile: &str) -> Result<usize, VaultError> {
        if profile.is_empty() {
            return Ok(0);
        }
        Ok(self
            .database()
            .execute("DELETE FROM secret WHERE profile = ?1", [profile])?)
    }

    /// The secrets of one profile as drivers want them.
    pub fn credentials(self: &Arc<Self>, profile: &str) -> Arc<dyn CredentialStore> {
        Arc::new(super::credentials::ProfileCredentials::new(
            Arc::clone(self),
            profile,
        ))
    }

    /// The file whose lock belongs to one profile's refresher.
    pub(super) fn profile_lock(&self, profile: &str) -> io::Result<File> {
        let directory = self.directory.join("locks");
        make_private_dir(&directory)?;
        lock_file(&directory.join(format!("{profile}.lock")))
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({})", self.directory.display())
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn read_row(
    connection: &Connection,
    profile: &str,
    field: &str,
) -> Result<Option<(i64, Sealed)>, VaultError> {
    let mut statement = connection.prepare_cached(
        "SELECT version, nonce, sealed FROM secret WHERE profile = ?1 AND field = ?2",
    )?;
    let row = statement.query_row([profile, field], |row| {
        let sealed = Sealed {
            nonce: row.get(1)?,
            bytes: row.get(2)?,
        };
        Ok((row.get(0)?, sealed))
    });
    Ok(row.optional()?)
}

fn write_row(connection: &Connection, label: Label<'_>, sealed: &Sealed) -> Result<(), VaultError> {
    connection.execute(
        "INSERT INTO secret (profile, field, version, nonce, sealed) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (profile, field) DO UPDATE
         SET version = excluded.version, nonce = excluded.nonce, sealed = excluded.sealed",
        params![
            label.profile,
            label.field,
            label.version,
            sealed.nonce,
            sealed.bytes
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct-horse-battery-staple-77";

    fn open(directory: &Path) -> Vault {
        Vault::open_with(directory, &KeySource::File(directory.join("vault.key"))).unwrap()
    }

    #[test]
    fn secrets_come_back_and_go() {
        let home = tempfile::tempdir().unwrap();
        let vault = open(home.path());
        vault.put("a", "cookie", &Secret::new("one")).unwrap();
        vault.put("a", "cookie", &Secret::new("two")).unwrap();
        vault.put("a", "token", &Secret::new("t")).unwrap();
        vault.put("b", "token", &Secret::new("other")).unwrap();
        drop(vault);
        let vault = open(home.path());
        assert_eq!(vault.get("a", "cookie").unwrap().unwrap().expose(), "two");
        assert_eq!(vault.fields("a").unwrap(), ["cookie", "token"]);
        vault.put("a", "token", &Secret::default()).unwrap();
        assert_eq!(vault.fields("a").unwrap(), ["cookie"]);
        assert_eq!(vault.remove_profile("a").unwrap(), 1);
        assert!(vault.load("a").unwrap().is_empty());
        assert_eq!(vault.load("b").unwrap().len(), 1);
        assert!(vault.put("../x", "f", &Secret::new("s")).is_err());
    }

    #[test]
    fn no_file_holds_a_secret_and_all_are_private() {
        let home = tempfile::tempdir().unwrap();
        let vault = open(home.path());
        vault.put("a", "cookie", &Secret::new(SECRET)).unwrap();
        let mut seen = 0;
        for entry in fs::read_dir(home.path()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let found = bytes
                .windows(SECRET.len())
                .any(|window| window == SECRET.as_bytes());
            assert!(!found, "{} holds the secret", path.display());
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
            seen += usize::from(path.to_string_lossy().contains("vault.db"));
        }
        assert!(seen >= 2, "database and its log");
    }

    #[test]
    fn a_wrong_key_is_named_by_its_source() {
        let home = tempfile::tempdir().unwrap();
        let source = KeySource::Environment(Secret::new("k".repeat(40)));
        drop(Vault::open_with(home.path(), &source).unwrap());
        let wrong = KeySource::Environment(Secret::new("w".repeat(40)));
        let message = Vault::open_with(home.path(), &wrong)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("PANFUSE_MASTER_KEY is not the one"),
            "{message}"
        );
        let none = KeySource::File(home.path().join("vault.key"));
        let message = Vault::open_with(home.path(), &none)
            .unwrap_err()
            .to_string();
        assert!(message.contains("is missing"), "{message}");
        assert!(!home.path().join("vault.key").exists());
        assert!(Vault::open_with(home.path(), &source).is_ok());
    }

    #[test]
    fn moved_and_rolled_back_rows_are_noticed() {
        let home = tempfile::tempdir().unwrap();
        let vault = open(home.path());
        for (profile, secret) in [("a", "for-a"), ("b", "for-b")] {
            vault.put(profile, "token", &Secret::new(secret)).unwrap();
        }
        vault.put("c", "token", &Secret::new("old")).unwrap();
        vault.put("c", "token", &Secret::new("new")).unwrap();
        let database = Connection::open(home.path().join("vault.db")).unwrap();
        database
            .execute_batch(
                "UPDATE secret SET nonce = (SELECT nonce FROM secret WHERE profile = 'b'),
                     sealed = (SELECT sealed FROM secret WHERE profile = 'b')
                 WHERE profile = 'a';
                 UPDATE secret SET version = 1 WHERE profile = 'c';",
            )
            .unwrap();
        for profile in ["a", "c"] {
            let error = vault.get(profile, "token").unwrap_err();
            assert!(matches!(error, VaultError::Damaged(..)), "{error}");
        }
        assert_eq!(vault.get("b", "token").unwrap().unwrap().expose(), "for-b");
    }
}
