//! A plain tree in memory against the file system: random sequences of operations, and whatever
//! they found as fixed ones.
//!
//! | file | what is in it |
//! |---|---|
//! | `reference` | the model: directories, byte vectors, open handles |
//! | `generators` | operations and their random sequences |
//! | `harness` | runs a sequence against both and compares |
//! | `random` | the random runs |
//! | `regressions` | fixed sequences that once went wrong |

mod generators;
mod harness;
mod random;
mod reference;
mod regressions;
#[allow(dead_code)]
#[path = "../scenarios/harness.rs"]
mod rig;
