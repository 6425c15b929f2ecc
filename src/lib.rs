//! panfuse: many cloud drives as one FUSE mount.
//!
//! Every configured account is a directory under one mount point. A copy from one
//! directory to another first asks the target drive whether it already has the
//! content and moves bytes only when it does not.
//!
//! The map of the house, top to bottom. A room imports rooms below it, never above
//! (`tests/layering.rs` fails otherwise); `config` and `observe` are open to everybody.
//!
//! | room | what it is |
//! |---|---|
//! | [`cli`] | the commands, their tables and JSON, the daemon's Unix socket |
//! | [`fuse`] | thin kernel adapter: translates requests, decides nothing |
//! | [`vfs`] | what files mean: inodes, handles, directories, xattrs, errno |
//! | [`transfer`] | what copies mean: sessions, planner, phases, verification, journal |
//! | [`content`] | immutable byte sequences, drafts, extents, the staging directory |
//! | [`catalog`] | SQLite: nodes, listings, freshness, the knowledge base |
//! | [`guard`] | size thresholds, delete breaker, conflict policies, approvals |
//! | [`vault`] | credentials sealed at rest |
//! | [`profile`] | configured drives and how one is opened |
//! | [`providers`] | the registry and one folder per provider |
//! | [`drive`] | the traits `Drive` and `Content`, their types and errors |
//! | [`net`] | HTTP client, deadlines, account budget, risk breaker, token refresh |
//! | [`fingerprint`] | hash kinds, normalisation, algorithms, the one-pass pipeline |
//! | [`config`] | settings: file, environment, paths |
//! | [`observe`] | logging and metrics |
//! | [`sim`] | simulators of the providers; apart from everything above |
#![deny(warnings, missing_docs, unsafe_code)]

pub mod catalog;
pub mod cli;
pub mod config;
pub mod content;
pub mod drive;
pub mod fingerprint;
pub mod fuse;
pub mod guard;
pub mod net;
pub mod observe;
pub mod profile;
pub mod providers;
pub mod sim;
pub mod transfer;
pub mod vault;
pub mod vfs;
