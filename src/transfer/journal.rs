//! The write-ahead journal: a SQLite file with synchronous FULL. One thread writes; records that
//! arrive together are committed together, so that many small files share an fsync.

use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

/// The journal could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("journal: {0}")]
pub struct JournalError(pub String);

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        JournalError(error.to_string())
    }
}

enum Change {
    Put {
        kind: &'static str,
        id: String,
        body: String,
    },
    Remove {
        kind: &'static str,
        id: String,
    },
}

/// Changes that are made together.
#[derive(Default)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// Stores a record.
    ///
    /// # Errors
    /// When the record cannot be written as JSON.
    pub fn put<T: Serialize>(
        &mut self,
        kind: &'static str,
        id: &str,
        record: &T,
    ) -> Result<(), JournalError> {
        let body = serde_json::to_string(record).map_err(|e| JournalError(e.to_string()))?;
        self.changes.push(Change::Put {
            kind,
            id: id.to_owned(),
            body,
        });
        Ok(())
    }

    /// Removes a record.
    pub fn remove(&mut self, kind: &'static str, id: &str) {
        self.changes.push(Change::Remove {
            kind,
            id: id.to_owned(),
        });
    }
}

type Done = oneshot::Sender<Result<(), JournalError>>;

/// The journal. Dropping it waits for what is queued.
pub struct Journal {
    changes: Option<mpsc::Sender<(Vec<Change>, Done)>>,
    writer: Option<JoinHandle<()>>,
    reader: Mutex<Connection>,
}

impl Journal {
    /// Opens or makes the journal at `path`.
    ///
    /// # Errors
    /// When the file is damaged: it is never set aside silently, since acknowledged writes rest on it.
    pub fn open(path: &Path) -> Result<Arc<Journal>, JournalError> {
        let writer = connect(path)?;
        let reader = connect(path)?;
        let (changes, queue) = mpsc::channel::<(Vec<Change>, Done)>();
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_all(writer, &queue))
            .map_err(|error| JournalError(error.to_string()))?;
        Ok(Arc::new(Journal {
            changes: Some(changes),
            writer: Some(thread),
            reader: Mutex::new(reader),
        }))
    }

    /// Stores a record. Durable when it returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn put<T: Serialize>(
        &self,
        kind: &'static str,
        id: &str,
        record: &T,
    ) -> Result<(), JournalError> {
        let body = serde_json::to_string(record).map_err(|e| JournalError(e.to_string()))?;
        self.change(vec![Change::Put {
            kind,
            id: id.to_owned(),
            body,
        }])
        .await
    }

    /// Removes a record.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn remove(&self, kind: &'static str, id: &str) -> Result<(), JournalError> {
        self.change(vec![Change::Remove {
            kind,
            id: id.to_owned(),
        }])
        .await
    }

    /// Makes several changes at once: all of them are durable when it returns, or none.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn apply(&self, batch: Batch) -> Result<(), JournalError> {
        if batch.changes.is_empty() {
            return Ok(());
        }
        self.change(batch.changes).await
    }

    async fn change(&self, changes: Vec<Change>) -> Result<(), JournalError> {
        let (done, answer) = oneshot::channel();
        let gone = || JournalError("the writer stopped".to_owned());
        self.changes
            .as_ref()
            .ok_or_else(gone)?
            .send((changes, done))
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Every record of a kind, oldest first. Records of another program version that cannot be
    /// read are reported, not dropped.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn all<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, JournalError> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = reader.prepare("SELECT id, body FROM record WHERE kind = ? ORDER BY seq")?;
        let rows = rows.query_map([kind], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        let mut all = Vec::new();
        for row in rows {
            let (id, body) = row?;
            match serde_json::from_str(&body) {
                Ok(record) => all.push(record),
                Err(error) => tracing::error!(kind, id, %error, "journal record cannot be read"),
            }
        }
        Ok(all)
    }

    /// One record.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn get<T: DeserializeOwned>(
        &self,
        kind: &str,
        id: &str,
    ) -> Result<Option<T>, JournalError> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let body: Option<String> = reader
            .query_row(
                "SELECT body FROM record WHERE kind = ? AND id = ?",
                [kind, id],
                |row| row.get(0),
            )
            .optional()?;
        Ok(body.and_then(|body| serde_json::from_str(&body).ok()))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn connect(path: &Path) -> Result<Connection, JournalError> {
    let db = Connection::open(path)?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS record (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
            UNIQUE (kind, id));",
    )?;
    Ok(db)
}

fn write_all(mut db: Connection, queue: &mpsc::Receiver<(Vec<Change>, Done)>) {
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        while batch.len() < 256
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        let outcome = write(&mut db, &batch);
        for (_, done) in batch {
            let _ = done.send(outcome.clone());
        }
    }
}

fn write(db: &mut Connection, batch: &[(Vec<Change>, Done)]) -> Result<(), JournalError> {
    let transaction = db.transaction()?;
    for change in batch.iter().flat_map(|(changes, _)| changes) {
        match change {
            Change::Put { kind, id, body } => transaction
                .prepare_cached(
                    "INSERT INTO record (kind, id, body) VALUES (?, ?, ?)
                     ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                )?
                .execute(params![kind, id, body])?,
            Change::Remove { kind, id } => transaction
                .prepare_cached("DELETE FROM record WHERE kind = ? AND id = ?")?
                .execute(params![kind, id])?,
        };
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_survive_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let journal = Journal::open(&path).unwrap();
        journal.put("t", "1", &"one").await.unwrap();
        journal.put("t", "2", &"two").await.unwrap();
        journal.put("t", "1", &"uno").await.unwrap();
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.all::<String>("t").unwrap(), ["uno", "two"]);
        journal.remove("t", "1").await.unwrap();
        assert_eq!(journal.get::<String>("t", "1").unwrap(), None);
    }

    #[test]
    fn acknowledged_means_synchronous_full() {
        let dir = tempfile::tempdir().unwrap();
        let db = connect(&dir.path().join("journal.db")).unwrap();
        let level: i64 = db
            .pragma_query_value(None, "synchronous", |row| row.get(0))
            .unwrap();
        assert_eq!(level, 2);
    }

    #[test]
    fn a_damaged_journal_is_an_error_not_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        std::fs::write(&path, vec![7; 8192]).unwrap();
        assert!(Journal::open(&path).is_err());
    }
}
