//! The commands. Each parses its words, asks the rooms below, and answers with a [`Reply`] that
//! is rendered in one place, as a table or as one JSON document.
//!
//! | file | what is in it |
//! |---|---|
//! | `args` | the command line as clap knows it; `mount.fuse` calls |
//! | `reply` | [`Reply`], [`CliError`], exit codes, rendering |
//! | `table` | aligned tables; colour and `NO_COLOR` |
//! | `context` | [`Context`]: settings, places, registry of one run |
//! | `run` | [`main`]: parse, dispatch, print |
//! | `daemon` | what a mount is made of, and its answers to commands |
//! | `volumes` | its drives: opened at the start, taken in and let go while it runs |
//! | `service` | the daemon's door: HTTP on a Unix socket |
//! | `client` | the other side of that door |
//! | `lock` | [`lock::DaemonLock`]: one daemon per state directory |
//! | `provider`, `profile`, `profile_add` | providers and profiles |
//! | `mount`, `umount`, `status`, `sync` | the daemon |
//! | `matrix` | which way copies between drives take |
//! | `refresh`, `hash`, `cp`, `mv`, `plan`, `task`, `share` | files in a running mount |
//! | `search`, `media`, `found` | what providers find; the daemon's side of it |
//! | `token` | log-in flows |
//! | `copying`, `copy_file`, `copy_report`, `sys` | what `cp` and `mv` share: rules, one file, results, system calls |
//! | `approve` | a person says that what a guard refused was meant |
//! | `mounted` | the daemon's mount point; users' paths below it |
//! | `pending`, `size` | waiting for uploads; sizes for people |
//! | `sim`, `demo` | simulators |

pub mod approve;
mod args;
pub mod client;
mod context;
mod copy_file;
mod copy_report;
mod copying;
pub mod cp;
pub mod daemon;
pub mod demo;
mod found;
pub mod hash;
pub mod lock;
pub mod matrix;
pub mod media;
pub mod mount;
mod mounted;
pub mod mv;
mod pending;
pub mod plan;
pub mod profile;
pub mod profile_add;
pub mod provider;
pub mod refresh;
mod reply;
mod run;
pub mod search;
pub mod service;
pub mod share;
pub mod sim;
mod size;
pub mod status;
pub mod sync;
mod sys;
mod table;
pub mod task;
pub mod token;
pub mod umount;
mod volumes;

pub use args::{Cli, Command, Global};
pub use context::Context;
pub use copying::ConflictPolicy;
pub use reply::{CliError, CliResult, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, Reply};
pub use run::main;
pub use table::{Paint, Table};
