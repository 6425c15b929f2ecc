//! What a user was promised, with the real program, the real kernel and the real coreutils; the
//! simulators' counters are the witnesses.

mod claims;
mod closing;
mod clouddrive2;
mod copies;
mod crashes;
mod faults;
mod hits;
mod lark;
mod machine;
mod memory;
mod plain_user;
mod random;
mod rivals;
mod shares;
mod tools;
mod trees;
