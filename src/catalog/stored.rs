//! Breaker records in a catalog's file, for a command beside the daemon: opening the whole catalog
//! would bring a second writer with a memory of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::records::BREAKER;
use crate::net::{BreakerRecord, BreakerStore, MemoryBreakerStore};

/// How long the daemon's writer is waited for.
const BUSY: Duration = Duration::from_secs(2);

/// The records of a catalog file. Without a file they live as long as the process.
pub struct StoredBreakers {
    path: PathBuf,
    memory: MemoryBreakerStore,
}

impl StoredBreakers {
    /// The records in the catalog at `path`. Nothing is opened or made yet.
    pub fn new(path: &Path) -> StoredBreakers {
        StoredBreakers {
            path: path.to_owned(),
            memory: MemoryBreakerStore::default(),
        }
    }

    /// `None` without a file, and for one that cannot be read: the daemon says what is wrong with it.
    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Option<T> {
        if !self.path.exists() {
            return None;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let done = Connection::open_with_flags(&self.path, flags).and_then(|connection| {
            connection.busy_timeout(BUSY)?;
            work(&connection)
        });
        match done {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!(%error, catalog = %self.path.display(), "no breaker records");
                None
            }
        }
    }
}

impl BreakerStore for StoredBreakers {
    fn load(&self, account: &str) -> Option<BreakerRecord> {
        let text = self.with(|connection| {
            connection
                .query_row(
                    "SELECT text FROM records WHERE kind = ?1 AND name = ?2",
                    params![BREAKER, account],
                    |row| row.get::<_, String>(0),
                )
                .optional()
        });
        match text {
            Some(text) => serde_json::from_str(&text?).ok(),
            None => self.memory.load(account),
        }
    }

    fn save(&self, account: &str, record: Option<&BreakerRecord>) {
        let text = record.and_then(|record| serde_json::to_string(record).ok());
        let saved = self.with(|connection| match &text {
            Some(text) => connection.execute(
                "INSERT INTO records (kind, name, number, text) VALUES (?1, ?2, 0, ?3)
                 ON CONFLICT (kind, name) DO UPDATE SET number = 0, text = excluded.text",
                params![BREAKER, account, text],
            ),
            None => connection.execute(
                "DELETE FROM records WHERE kind = ?1 AND name = ?2",
                params![BREAKER, account],
            ),
        });
        if saved.is_none() {
            self.memory.save(account, record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;

    fn record(strikes: u32) -> BreakerRecord {
        BreakerRecord {
            until_ms: 7,
            strikes,
            reason: "captcha".to_owned(),
        }
    }

    #[test]
    fn a_command_and_a_daemon_see_each_others_records() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("catalog.db");
        let stored = StoredBreakers::new(&path);
        // Before there is a catalog nothing is made.
        stored.save("p/a", Some(&record(9)));
        assert_eq!(stored.load("p/a"), Some(record(9)));
        assert!(!path.exists());

        let catalog = Catalog::open(&path).unwrap().catalog;
        assert_eq!(stored.load("p/b"), None);
        catalog.save("p/b", Some(&record(1)));
        catalog.flush();
        assert_eq!(stored.load("p/b"), Some(record(1)));
        stored.save("p/c", Some(&record(2)));
        assert_eq!(catalog.load("p/c"), Some(record(2)));
        stored.save("p/c", None);
        assert_eq!(stored.load("p/c"), None);
    }
}
