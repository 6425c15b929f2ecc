//! The content index: what the files written through this driver hash to.
//!
//! A row belongs to an inode and counts only while its size, mtime and ctime are those the
//! row was made at, so a change by anybody else makes it worthless without being noticed.
//! The index is a cache: losing it costs hits, not data.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::sys::Stat;
use crate::drive::{DriveError, ErrorKind, Result};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin};

/// The kinds the index holds, in the order they are asked for.
pub const KINDS: [Kind; 3] = [Kind::Sha256, Kind::Sha1, Kind::Md5];

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS files (
        mount    TEXT NOT NULL,    -- empty for the root's file system, else its device number
        inode    TEXT NOT NULL,
        path     TEXT NOT NULL,    -- id of the last known place
        size     INTEGER NOT NULL,
        mtime_ns TEXT NOT NULL,
        ctime_ns TEXT NOT NULL,
        md5      TEXT NOT NULL,
        sha1     TEXT NOT NULL,
        sha256   TEXT NOT NULL,
        at_ms    INTEGER NOT NULL, -- when it was computed
        PRIMARY KEY (mount, inode)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS files_md5 ON files (md5);
    CREATE INDEX IF NOT EXISTS files_sha1 ON files (sha1);
    CREATE INDEX IF NOT EXISTS files_sha256 ON files (sha256);
    CREATE INDEX IF NOT EXISTS files_size ON files (size);
    CREATE INDEX IF NOT EXISTS files_path ON files (path);
";

/// What a content hashes to, and when that was computed (milliseconds since the epoch).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    pub md5: Arc<str>,
    pub sha1: Arc<str>,
    pub sha256: Arc<str>,
    pub at_ms: i64,
}

impl Digests {
    /// The value of one of [`KINDS`].
    pub fn get(&self, kind: Kind) -> Option<&Arc<str>> {
        match kind {
            Kind::Md5 => Some(&self.md5),
            Kind::Sha1 => Some(&self.sha1),
            Kind::Sha256 => Some(&self.sha256),
            _ => None,
        }
    }

    /// The value as a drive tells it.
    pub fn known(&self, kind: Kind) -> Option<Known> {
        self.get(kind).map(|value| Known {
            value: value.clone(),
            origin: Origin::Provider,
            provider: super::INFO.key.into(),
            at: self.at_ms,
        })
    }

    /// All of them.
    pub fn fingerprints(&self) -> Fingerprints {
        KINDS
            .into_iter()
            .filter_map(|kind| Some((kind, self.known(kind)?)))
            .collect()
    }
}

/// A row found by content.
#[derive(Clone, Debug)]
pub struct Found {
    pub path: String,
    pub digests: Digests,
}

/// The index of one root directory.
pub struct Index {
    connection: Mutex<Connection>,
    root_device: u64,
}

impl Index {
    /// Opens or makes the index in `file`. A file that is no database is replaced.
    ///
    /// # Errors
    /// `LocalDisk` when it can be neither opened nor made.
    pub fn open(file: &Path, root_device: u64) -> Result<Index> {
        let failed = |error: &dyn std::fmt::Display| {
            DriveError::new(
                ErrorKind::LocalDisk,
                format!("content index {}: {error}", file.display()),
            )
        };
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir).map_err(|error| failed(&error))?;
        }
        let connection = match connect(file) {
            Err(error)
                if matches!(
                    error.sqlite_error_code(),
                    Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt)
                ) =>
            {
                tracing::warn!(file = %file.display(), "the content index is damaged and made anew");
                for end in ["", "-wal", "-shm"] {
                    let mut name = file.as_os_str().to_owned();
                    name.push(end);
                    let _ = std::fs::remove_file(name);
                }
                connect(file)
            }
            other => other,
        };
        Ok(Index {
            connection: Mutex::new(connection.map_err(|error| failed(&error))?),
            root_device,
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Device numbers change with every boot and plug; the root's own is left out.
    fn mount(&self, stat: &Stat) -> String {
        if stat.dev == self.root_device {
            String::new()
        } else {
            stat.dev.to_string()
        }
    }

    /// What the file at `path` hashes to, when that is known of its present state. Learns where
    /// the file is now.
    pub fn get(&self, path: &str, stat: &Stat) -> Option<Digests> {
        self.get_all([(path, stat)]).pop().flatten()
    }

    /// [`Index::get`] for many files at once, in their order.
    pub fn get_all<'a>(
        &self,
        files: impl IntoIterator<Item = (&'a str, &'a Stat)>,
    ) -> Vec<Option<Digests>> {
        let connection = self.connection();
        files
            .into_iter()
            .map(|(path, stat)| quiet(self.get_one(&connection, path, stat)).flatten())
            .collect()
    }

    fn get_one(
        &self,
        connection: &Connection,
        path: &str,
        stat: &Stat,
    ) -> rusqlite::Result<Option<Digests>> {
        let Ok(size) = i64::try_from(stat.size) else {
            return Ok(None);
        };
        let (mount, inode) = (self.mount(stat), stat.ino.to_string());
        let row = connection
            .prepare_cached(
                "SELECT path, md5, sha1, sha256, at_ms FROM files WHERE mount = ?1 AND inode = ?2
                 AND size = ?3 AND mtime_ns = ?4 AND ctime_ns = ?5",
            )?
            .query_row(
                params![
                    mount,
                    inode,
                    size,
                    stat.mtime_ns.to_string(),
                    stat.ctime_ns.to_string()
                ],
                found,
            )
            .optional()?;
        let Some(row) = row else {
            return Ok(None);
        };
        // Somebody renamed a directory above it. With several hard links every path is right.
        if row.path != path && stat.links == 1 {
            connection
                .prepare_cached("UPDATE files SET path = ?3 WHERE mount = ?1 AND inode = ?2")?
                .execute(params![mount, inode, path])?;
        }
        Ok(Some(row.digests))
    }

    /// Remembers what a file in this state hashes to.
    pub fn put(&self, path: &str, stat: &Stat, digests: &Digests) {
        let Ok(size) = i64::try_from(stat.size) else {
            return;
        };
        let connection = self.connection();
        quiet(
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO files
                     (mount, inode, path, size, mtime_ns, ctime_ns, md5, sha1, sha256, at_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        self.mount(stat),
                        stat.ino.to_string(),
                        path,
                        size,
                        stat.mtime_ns.to_string(),
                        stat.ctime_ns.to_string(),
                        digests.md5,
                        digests.sha1,
                        digests.sha256,
                        digests.at_ms
                    ])
                }),
        );
    }

    /// Everything below the directory `from` is below `to` now.
    pub fn move_dir(&self, from: &str, to: &str) {
        let connection = self.connection();
        // '0' is the character after '/'.
        quiet(connection.execute(
            "UPDATE files SET path = ?2 || substr(path, length(?1) + 1)
             WHERE path > ?1 || '/' AND path < ?1 || '0'",
            params![from, to],
        ));
    }

    /// Forgets that this content was said to be at `path`.
    pub fn forget(&self, found: &Found) {
        let connection = self.connection();
        quiet(connection.execute(
            "DELETE FROM files WHERE path = ?1 AND sha256 = ?2",
            params![found.path, found.digests.sha256],
        ));
    }

    /// Whether any file of this size is known.
    pub fn has_size(&self, size: u64) -> bool {
        let Ok(size) = i64::try_from(size) else {
            return false;
        };
        let connection = self.connection();
        let row = connection
            .prepare_cached("SELECT 1 FROM files WHERE size = ?1 LIMIT 1")
            .and_then(|mut statement| statement.exists(params![size]));
        quiet(row).unwrap_or(false)
    }

    /// Files of this content, as far as the index knows; each is to be checked.
    pub fn find(&self, kind: Kind, value: &str, size: u64) -> Vec<Found> {
        let column = match kind {
            Kind::Md5 => "md5",
            Kind::Sha1 => "sha1",
            Kind::Sha256 => "sha256",
            _ => return Vec::new(),
        };
        let Ok(size) = i64::try_from(size) else {
            return Vec::new();
        };
        let query = format!(
            "SELECT path, md5, sha1, sha256, at_ms FROM files
             WHERE {column} = ?1 AND size = ?2 LIMIT 64"
        );
        let connection = self.connection();
        let rows = connection.prepare_cached(&query).and_then(|mut statement| {
            statement
                .query_map(params![value, size], found)?
                .collect::<rusqlite::Result<Vec<_>>>()
        });
        quiet(rows).unwrap_or_default()
    }
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

fn found(row: &rusqlite::Row<'_>) -> rusqlite::Result<Found> {
    let text = |column| row.get::<_, String>(column).map(Arc::from);
    Ok(Found {
        path: row.get(0)?,
        digests: Digests {
            md5: text(1)?,
            sha1: text(2)?,
            sha256: text(3)?,
            at_ms: row.get(4)?,
        },
    })
}

/// An index that fails knows nothing: the files are there all the same.
fn quiet<T>(result: rusqlite::Result<T>) -> Option<T> {
    result
        .map_err(|error| tracing::warn!(%error, "content index"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(ino: u64) -> Stat {
        Stat {
            dev: 7,
            ino,
            mode: libc::S_IFREG | 0o644,
            links: 1,
            size: 3,
            mtime_ns: 1_700_000_000_123_456_789,
            ctime_ns: 1_700_000_000_123_456_790,
            created_ms: 0,
        }
    }

    fn digests(text: &str) -> Digests {
        Digests {
            md5: format!("m{text}").into(),
            sha1: format!("s{text}").into(),
            sha256: format!("t{text}").into(),
            at_ms: 5,
        }
    }

    #[test]
    fn a_row_counts_only_for_the_very_state() {
        let temp = tempfile::tempdir().unwrap();
        let index = Index::open(&temp.path().join("x/index.sqlite"), 7).unwrap();
        let file = stat(u64::MAX);
        index.put("a", &file, &digests("1"));
        assert_eq!(index.get("a", &file), Some(digests("1")));
        for other in [
            Stat { ino: 1, ..file },
            Stat { size: 4, ..file },
            Stat { dev: 8, ..file },
            Stat {
                mtime_ns: file.mtime_ns + 1,
                ..file
            },
            Stat {
                ctime_ns: file.ctime_ns + 1,
                ..file
            },
        ] {
            assert_eq!(index.get("a", &other), None, "{other:?}");
        }
        assert!(index.has_size(3) && !index.has_size(4));
    }

    #[test]
    fn rows_follow_their_files() {
        let temp = tempfile::tempdir().unwrap();
        let index = Index::open(&temp.path().join("index.sqlite"), 7).unwrap();
        for (ino, path) in [(1, "d/ä/a"), (2, "d-2/a"), (3, "d")] {
            index.put(path, &stat(ino), &digests(&ino.to_string()));
        }
        index.move_dir("d", "new/é");
        let path = |n: &str| index.find(Kind::Md5, n, 3)[0].path.clone();
        assert_eq!(path("m1"), "new/é/ä/a");
        assert_eq!((path("m2"), path("m3")), ("d-2/a".into(), "d".into()));
        // A move behind our back is learned when the file is seen.
        assert!(index.get("elsewhere", &stat(1)).is_some());
        assert_eq!(path("m1"), "elsewhere");
        index.forget(&Found {
            path: "elsewhere".to_owned(),
            digests: digests("other"),
        });
        assert_eq!(path("m1"), "elsewhere");
        index.forget(&index.find(Kind::Md5, "m1", 3)[0]);
        assert!(index.find(Kind::Sha256, "t1", 3).is_empty());
        assert!(index.find(Kind::Sha1, "s2", 4).is_empty(), "another size");
        assert!(index.find(Kind::Gcid, "m2", 3).is_empty());
    }

    #[test]
    fn a_damaged_index_is_made_anew() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("index.sqlite");
        std::fs::write(&file, vec![b'x'; 8192]).unwrap();
        let index = Index::open(&file, 7).unwrap();
        index.put("a", &stat(1), &digests("1"));
        assert!(index.get("a", &stat(1)).is_some());
    }
}
