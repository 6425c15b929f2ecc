//! The catalog: everything about the drives that can be built anew, in one SQLite file.
//!
//! Nodes, listings with their freshness, negative entries, fingerprints, the knowledge base,
//! breaker records, quotas, counters and local attributes. What an acknowledgement rests on
//! (journal, vault) lives elsewhere: a lost or damaged catalog costs time, not data.
//!
//! Every method is synchronous and quick. A change is visible to everybody when the method
//! returns: it is applied in memory and saved behind by one writer thread, many in one
//! transaction. [`Catalog::flush`] waits for the file. When the file cannot be written the
//! catalog goes on in memory and saves everything once it can.
//!
//! | file | what is in it |
//! |---|---|
//! | `schema` | opening: PRAGMAs, migrations, a damaged file is set aside |
//! | `entry` | [`NodeKey`], [`Entry`], [`LocalAttrs`], and how a node is stored |
//! | `tree` | changes that are not in the file yet |
//! | `writer` | the one writing thread and its queue |
//! | `save` | the statements that save the tree's changes |
//! | `cache` | hot nodes and directories, and reading them from the file |
//! | `nodes` | root, get, find, and our own changes |
//! | `listings` | what a provider lists is reconciled with what is known; negative entries |
//! | `contents` | the knowledge base: which fingerprints belong to one content |
//! | `policies` | policies of directories, states of guards |
//! | `records` | quota, breakers, counters, transfer results, [`Stats`] |

mod cache;
mod contents;
mod entry;
mod listings;
mod nodes;
mod policies;
mod records;
mod save;
mod schema;
mod tree;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

pub use entry::{Entry, LocalAttrs, NodeKey, relative_to};
pub use listings::Listing;
pub use policies::Policy;
pub use records::Stats;
pub use schema::CatalogError;

use cache::{Caches, Readers};
use tree::{RESERVE, Slot, Tree};
use writer::{Shared, Writer};

/// Connections that read beside the writer.
const READERS: usize = 4;

/// Unsaved changes beyond which a change waits for the writer.
const UNSAVED: usize = 50_000;

/// The open catalog. Share it in an `Arc`; dropping it saves everything and closes the file.
pub struct Catalog {
    shared: Arc<Shared>,
    caches: Caches,
    readers: Readers,
    writer: Writer,
}

/// An opened catalog, and where a damaged one before it was put.
pub struct OpenOutcome {
    /// The catalog.
    pub catalog: Catalog,
    /// The damaged file, renamed, when there was one; the catalog is empty then.
    pub set_aside: Option<PathBuf>,
}

impl Catalog {
    /// Opens or makes the catalog file, with the directories above it.
    ///
    /// # Errors
    /// [`CatalogError`]: a file of a newer version, or one that can be neither read nor set aside.
    pub fn open(path: &Path) -> Result<OpenOutcome, CatalogError> {
        let (connection, set_aside) = schema::open_file(path)?;
        let readers = (0..READERS)
            .map(|_| schema::open_reader(path).map(|reader| Arc::new(Mutex::new(reader))))
            .collect::<Result<Vec<_>, _>>()?;
        let catalog = Catalog::build(connection, Some(path.to_owned()), Some(readers))?;
        Ok(OpenOutcome { catalog, set_aside })
    }

    /// A catalog without a file, for tests.
    ///
    /// # Errors
    /// When SQLite or the thread cannot be started.
    pub fn in_memory() -> Result<Catalog, CatalogError> {
        Catalog::build(schema::open_memory()?, None, None)
    }

    fn build(
        connection: Connection,
        path: Option<PathBuf>,
        readers: Option<Vec<Arc<Mutex<Connection>>>>,
    ) -> Result<Catalog, CatalogError> {
        let next = records::first_key(&connection)?;
        let mut tree = Tree::new(next, next + RESERVE);
        records::load(&connection, &mut tree)?;
        let shared = Shared::new(tree, path.clone());
        let connection = Arc::new(Mutex::new(connection));
        let readers = Readers::new(readers.unwrap_or_else(|| vec![connection.clone()]));
        let writer =
            Writer::start(connection, shared.clone()).map_err(|source| CatalogError::Io {
                path: path.unwrap_or_default(),
                source,
            })?;
        Ok(Catalog {
            shared,
            caches: Caches::new(),
            readers,
            writer,
        })
    }

    /// Waits until everything written before is in the file. `false` when the file cannot be
    /// written; it is tried again later.
    pub fn flush(&self) -> bool {
        self.writer.flush()
    }

    /// Called after every change, without the tree's lock.
    fn changed(&self) {
        self.writer.wake();
        // Memory stays bounded when changes come faster than the disk takes them.
        if self.shared.healthy.load(Ordering::SeqCst) && self.shared.tree().unsaved() > UNSAVED {
            self.writer.flush();
        }
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        // The writer's connection closes last: the last one folds the log into the file.
        self.readers.close();
        self.writer.stop();
    }
}
