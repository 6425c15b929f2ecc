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
//! | `engine` | [`Engine`]: starts, queues, retries and recovers transfers |
//! | `volumes` | the mounted drives by name; they come and go |
//! | `work` | one transfer from P0 to P4 |
//! | `stream` | P4: parts from a content to an upload session |
//! | `hashing` | P3: one pass over the bytes |
//! | `verify` | is what was made what was meant |
//! | `publish` | names: temporary ones, swaps, clean-up |
//! | `parked` | unlinks that wait for the copy of their content |
//! | `replace` | renames that take more than one step |
//! | `recovery` | what a crash left: resumed, finished or cleaned |
//! | `session` | [`CopySession`]: sliced answers to a copying program |
//! | `plan` | [`plan`]: what a copy would do, without doing it |

mod destination;
mod engine;
mod hashing;
mod journal;
mod parked;
mod plan;
mod publish;
mod record;
mod recovery;
mod replace;
mod result;
mod session;
mod stream;
mod task;
mod verify;
mod volumes;
mod work;

pub use destination::{Destination, FixedDestination, Place};
pub use engine::{Engine, EngineParts, EngineSettings, TransferSpec};
pub use journal::{Journal, JournalError};
pub use parked::ParkedEvents;
pub use plan::{Plan, Strategy, plan};
pub use publish::is_temporary_name;
pub use record::{ParkedUnlink, Replaced, Stored, Swap, TransferRecord};
pub use result::{Phase, TransferResult, VerifyMode};
pub use session::{CopySession, Slice};
pub use task::{Progress, Task, TaskState};
