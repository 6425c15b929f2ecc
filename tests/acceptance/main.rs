//! What a user was promised, with the real program, the real kernel and the real coreutils; the
//! simulators' counters are the witnesses.

mod copies;
mod crashes;
mod machine;
mod random;
mod tools;
