//! The file: connections and their PRAGMAs, numbered migrations, and what happens to a damaged one.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::net::{Clock, SystemClock};

/// Migrations in order; the number applied last is the file's `user_version`.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_first.sql")];

/// How long another connection's lock is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// The most time a check after an unclean end may take: a mount must not wait for it. What it
/// does not reach shows up as a read error later and is checked in full at the next open.
const CHECK_TIME: Duration = Duration::from_millis(250);

/// Why a catalog cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file was written by a newer panfuse.
    #[error(
        "catalog {path} has schema version {found}, this panfuse knows {known}: use the newer panfuse, or move the file away (it can be built anew)"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The directory or the file cannot be made, read or moved.
    #[error("catalog {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite refuses for another reason than damage.
    #[error("catalog: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Opens `path` for the writer, migrated. A damaged file is set aside first; the second value
/// says where it is now.
pub(super) fn open_file(path: &Path) -> Result<(Connection, Option<PathBuf>), CatalogError> {
    let failed = |source| CatalogError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    // A log that is still there was not folded in by an orderly close.
    let unclean = fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    let suspect = beside(path, ".suspect").exists();
    create_private(path).map_err(failed)?;
    match open_checked(path, unclean, suspect) {
        Err(CatalogError::Sqlite(error)) if is_damage(&error) => {
            let aside = set_aside(path).map_err(failed)?;
            tracing::warn!(%error, aside = %aside.display(), "the catalog is damaged and is built anew");
            create_private(path).map_err(failed)?;
            let connection = open_checked(path, false, false)?;
            forget_suspicion(path);
            Ok((connection, Some(aside)))
        }
        Ok(connection) => {
            forget_suspicion(path);
            Ok((connection, None))
        }
        Err(error) => Err(error),
    }
}

fn open_checked(path: &Path, unclean: bool, suspect: bool) -> Result<Connection, CatalogError> {
    let mut connection = connect(path)?;
    if suspect {
        quick_check(&connection, None)?;
    } else if unclean {
        quick_check(&connection, Some(CHECK_TIME))?;
    }
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// A further connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, CatalogError> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// A catalog without a file.
pub(super) fn open_memory() -> Result<Connection, CatalogError> {
    let mut connection = Connection::open_in_memory()?;
    prepare(&connection)?;
    migrate(&mut connection, Path::new(":memory:"))?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    prepare(&connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // After a burst the log shrinks again instead of staying at its largest.
    connection.pragma_update(None, "journal_size_limit", 32 << 20)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), CatalogError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known || found < 0 {
        return Err(CatalogError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for (number, sql) in (1i64..).zip(MIGRATIONS) {
        if number > found {
            let step = connection.transaction()?;
            step.execute_batch(sql)?;
            step.pragma_update(None, "user_version", number)?;
            step.commit()?;
        }
    }
    Ok(())
}

/// Runs `PRAGMA quick_check`, at most for `limit`. Being cut short is no finding.
fn quick_check(connection: &Connection, limit: Option<Duration>) -> Result<(), rusqlite::Error> {
    let interrupt = connection.get_interrupt_handle();
    let (done, end) = mpsc::channel::<()>();
    let watch = limit.map(|limit| {
        std::thread::spawn(move || {
            if end.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        })
    });
    let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    drop(done);
    if let Some(watch) = watch {
        // Nothing is interrupted after this point.
        let _ = watch.join();
    }
    match found {
        Ok(text) if text == "ok" => Ok(()),
        Ok(text) => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(text),
        )),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether SQLite says that the file is not what it wrote.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Remembers that reading found damage, so that the next open checks the whole file.
pub(super) fn suspect(path: &Path) {
    if let Err(error) = fs::write(beside(path, ".suspect"), b"") {
        tracing::warn!(%error, "cannot mark the catalog as suspect");
    }
}

fn forget_suspicion(path: &Path) {
    let _ = fs::remove_file(beside(path, ".suspect"));
}

fn create_private(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// Renames the file with its log and index; returns the new name of the file.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let mut second = SystemClock.now_ms() / 1000;
    let mut aside = beside(path, &format!(".damaged-{second}"));
    while aside.exists() {
        second += 1;
        aside = beside(path, &format!(".damaged-{second}"));
    }
    // The log first: were it left beside a new file, SQLite might replay it into that one.
    for suffix in ["-wal", "-shm"] {
        match fs::rename(beside(path, suffix), beside(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// `path` with something appended to its file name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pragma(connection: &Connection, name: &str) -> String {
        connection
            .pragma_query_value(None, name, |row| {
                row.get::<_, rusqlite::types::Value>(0).map(|v| match v {
                    rusqlite::types::Value::Text(text) => text,
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    other => format!("{other:?}"),
                })
            })
            .unwrap()
    }

    #[test]
    fn pragmas_are_set_on_every_connection() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        let (writer, aside) = open_file(&path).unwrap();
        assert_eq!(aside, None);
        let reader = open_reader(&path).unwrap();
        for connection in [&writer, &reader] {
            assert_eq!(pragma(connection, "journal_mode"), "wal");
            assert_eq!(pragma(connection, "synchronous"), "1");
            assert_eq!(pragma(connection, "foreign_keys"), "1");
            assert_eq!(pragma(connection, "busy_timeout"), "5000");
            assert_eq!(pragma(connection, "user_version"), "1");
        }
        assert_eq!(pragma(&reader, "query_only"), "1");
        assert!(reader.execute("DELETE FROM nodes", []).is_err());
    }

    #[test]
    fn a_newer_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        let (writer, _) = open_file(&path).unwrap();
        writer.pragma_update(None, "user_version", 99).unwrap();
        drop(writer);
        let error = open_file(&path).unwrap_err();
        assert!(matches!(error, CatalogError::Newer { found: 99, .. }));
        assert!(error.to_string().contains("newer"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn text_instead_of_a_database_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        fs::write(&path, vec![b'x'; 9000]).unwrap();
        let (writer, aside) = open_file(&path).unwrap();
        let aside = aside.unwrap();
        let name = aside.file_name().unwrap().to_string_lossy().into_owned();
        let time = name.strip_prefix("catalog.db.damaged-").unwrap();
        assert!(time.parse::<i64>().unwrap() > 1_700_000_000);
        assert_eq!(fs::read(&aside).unwrap(), vec![b'x'; 9000]);
        assert_eq!(pragma(&writer, "user_version"), "1");
    }

    /// A file with many rows of which a page in the middle is overwritten.
    fn scribbled(path: &Path) {
        let (writer, _) = open_file(path).unwrap();
        for number in 0..3000 {
            writer
                .execute(
                    "INSERT INTO records VALUES ('counter', ?1, 1, ?2)",
                    (format!("name {number}"), "t".repeat(100)),
                )
                .unwrap();
        }
        drop(writer);
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0xa5);
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn damage_is_looked_for_only_after_an_unclean_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        scribbled(&path);
        let (connection, aside) = open_file(&path).unwrap();
        assert_eq!(aside, None, "an orderly close is trusted");
        drop(connection);
        fs::write(beside(&path, "-wal"), b"left behind").unwrap();
        let (_connection, aside) = open_file(&path).unwrap();
        let aside = aside.unwrap();
        assert!(aside.exists());
    }

    #[test]
    fn a_suspect_file_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        scribbled(&path);
        suspect(&path);
        assert!(open_file(&path).unwrap().1.is_some());
        assert!(open_file(&path).unwrap().1.is_none());
    }
}
