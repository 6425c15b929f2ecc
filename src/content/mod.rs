//! Contents and drafts: immutable byte sequences, files being written, and the stage.
//!
//! | file | what is in it |
//! |---|---|
//! | `volume` | [`Volume`]: a mounted drive with the name of its profile |
//! | `remote` | [`RemoteContent`]: a node at one version; reads go on after a cut |
//! | `moves` | [`NodesInUse`]: contents follow when their node is renamed |
//! | `extents` | [`ExtentMap`]: which bytes come from where |
//! | `draft` | [`Draft`]: a file being written |
//! | `sealed` | [`SealedDraft`]: a draft that will not change any more |
//! | `reference` | [`ContentRef`], and [`ContentRecord`], its form in the journal |
//! | `stage` | [`Stage`]: the directory of staged bytes, its budget, what a crash left |
//! | `disk` | free space of a file system |

mod disk;
mod draft;
mod extents;
mod moves;
mod reference;
mod remote;
mod sealed;
mod stage;
mod volume;

pub use disk::{Space, space_of};
pub use draft::Draft;
pub use extents::{ExtentMap, Piece, Source};
pub use moves::{Move, NodesInUse, moved_id};
pub use reference::{ContentRecord, ContentRef, PieceRecord};
pub use remote::RemoteContent;
pub use sealed::SealedDraft;
pub use stage::{LeftOver, Stage, StageError, StageFile, StageNote};
pub use volume::Volume;
