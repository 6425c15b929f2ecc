//! The cases. Each is an async function from a fresh [`crate::stage::Stage`] to an outcome.
//!
//! | file | what is in it |
//! |---|---|
//! | `listing` | pages, their ends and their gaps |
//! | `names` | names that providers spell in their own way |
//! | `metadata` | stat, quota, fingerprints, the soundness of what is declared |
//! | `reading` | ranges, cuts, corrupt bytes |
//! | `changing` | mkdir, rename, move, copy, trash, restore |
//! | `fast` | fast uploads |
//! | `uploads` | streamed uploads, resumed and abandoned |
//! | `faults` | lost answers, refusals, nonsense |
//! | `tokens` | access tokens and links that end |

pub mod changing;
pub mod fast;
pub mod faults;
pub mod listing;
pub mod metadata;
pub mod names;
pub mod reading;
pub mod tokens;
pub mod uploads;
