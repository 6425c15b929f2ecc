//! Fingerprints: what kinds there are, how their texts are written, and the algorithms.
//!
//! | file | what is in it |
//! |---|---|
//! | `kind` | [`Kind`] with its parameters |
//! | `known` | [`Known`], [`Origin`] and the map [`Fingerprints`] of one content |
//! | `normalise` | one spelling per kind (SPEC S0-18 to S0-25, C-4 to C-6) |
//! | `gcid`, `cid`, `slices`, `proof` | algorithms no library has |
//! | `hasher` | one incremental hasher per kind behind one interface |
//! | `pipeline` | one pass over the bytes, one thread per algorithm |

mod kind;
mod known;

pub use kind::Kind;
pub use known::{Fingerprints, Known, Origin};
