//! What copies mean: bringing a content into a drive directory under a name, from the first
//! question to the verified node.
//!
//! | file | what is in it |
//! |---|---|
//! | `journal` | [`Journal`]: write-ahead records in a file of their own, durable when acknowledged |
//! | `record` | [`TransferRecord`], [`ParkedUnlink`]: what the journal holds |
//! | `result` | [`TransferResult`]: the JSON of `user.pan.transfer` |
//! | `destination` | [`Destination`], [`Place`]: where a transfer ends up, asked when it matters |
//! | `task` | [`Task`]: a running transfer; progress, waiting, cancelling |
//! | `engine` | [`Engine`]: starts transfers and knows those under way |
//! | `volumes` | the mounted drives by name; they come and go |
//! | `attempts` | when an attempt begins, what follows its end, when it is tried again |
//! | `work` | one transfer: its guards, and which phase comes next |
//! | `asking` | P0 to P2: a copy at the provider, and the question |
//! | `reading` | P3: everything is read once, staged, promised, and asked again |
//! | `hashing` | P3: one pass over the bytes |
//! | `upload` | P4: a session is opened, filled and committed |
//! | `stream` | P4: parts from a content to an upload session |
//! | `arrival` | what was made is journaled, verified and given its name |
//! | `verify` | is what was made what was meant |
//! | `publish` | names: temporary ones, the way to the last one, clean-up |
//! | `swap` | a node takes the name of another one, step by step |
//! | `replace` | renames that take more than one step |
//! | `follow` | what a rename takes along where ids are paths |
//! | `gates` | who works in which directory while it might be renamed |
//! | `parked` | unlinks that wait for the copy of their content |
//! | `readers` | who still needs the bytes of a node |
//! | `removal` | unlinks that are due |
//! | `recovery` | what a crash left: resumed, finished or cleaned |
//! | `session` | [`CopySession`]: sliced answers to a copying program |
//! | `plan` | [`plan`]: what a copy would do, without doing it |
//! | `matrix` | [`Cell`]: which way copies between two drives take |

mod arrival;
mod asking;
mod attempts;
mod destination;
mod engine;
mod follow;
mod gates;
mod hashing;
mod journal;
mod matrix;
mod parked;
mod plan;
mod publish;
mod readers;
mod reading;
mod record;
mod recovery;
mod removal;
mod replace;
mod result;
mod session;
mod stream;
mod swap;
mod task;
mod upload;
mod verify;
mod volumes;
mod work;

pub use destination::{Destination, FixedDestination, Place};
pub use engine::{Engine, EngineParts, EngineSettings, TransferSpec};
pub use journal::{Journal, JournalError};
pub use matrix::{Cell, Class, Expected, Side, Way};
pub use parked::ParkedEvents;
pub use plan::{Plan, Strategy, plan};
pub use publish::is_temporary_name;
pub use record::{ParkedUnlink, Replaced, Stored, Swap, TransferRecord};
pub use replace::Renamed;
pub use result::{Phase, TransferResult, VerifyMode};
pub use session::{CopySession, Slice};
pub use task::{Progress, Task, TaskState};
