//! `panfuse sim`: simulators of the providers (CONTRACT, "Simulators").

use std::path::PathBuf;

use super::{CliError, CliResult, Context};

/// What to do with them.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Serve until SIGTERM; prints one JSON line when ready
    Serve {
        /// Only these providers
        #[arg(long, value_name = "KEY", value_delimiter = ',')]
        only: Vec<String>,
        /// Directory for the settings and the state
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Accounts per provider
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
        accounts: u8,
    },
    /// Put a file into an account
    Seed {
        /// Profile
        profile: String,
        /// Path in it
        path: String,
        /// Bytes
        size: u64,
        /// Number that the content is made from
        #[arg(long)]
        seed: Option<u64>,
        /// Same content as this file of another profile
        #[arg(long, value_name = "PROFILE:PATH", conflicts_with_all = ["file", "known_only"])]
        like: Option<String>,
        /// Content of a local file
        #[arg(long, value_name = "LOCAL", conflicts_with = "known_only")]
        file: Option<PathBuf>,
        /// The provider knows the content but the account has no file of it
        #[arg(long)]
        known_only: bool,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
    /// Meters of an account
    Stat {
        /// Profile
        profile: String,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
    /// Make requests fail
    Fault {
        /// Profile
        profile: String,
        /// Operation (list, read, ...)
        op: String,
        /// Kind of fault (status, stall, cut, ...)
        kind: String,
        /// How many requests
        #[arg(long)]
        count: Option<u32>,
        /// Requests that pass before
        #[arg(long)]
        after: Option<u32>,
        /// A value for the kind (a status, seconds)
        #[arg(long, value_name = "V")]
        arg: Option<String>,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
    /// Move the clock, for example +1h
    Clock {
        /// How far
        #[arg(allow_hyphen_values = true)]
        by: String,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
    /// Every file of an account
    Tree {
        /// Profile
        profile: String,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
    /// Empty an account, its meters and faults
    Reset {
        /// Profile
        profile: String,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
}

/// Which running simulators.
#[derive(Debug, clap::Args)]
pub struct Admin {
    /// Their admin address (else from the default state file)
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
}

/// Runs it.
///
/// # Errors
/// Exit code 1: this build has no simulators.
pub async fn run(_context: &Context, _command: Command) -> CliResult {
    Err(CliError::not_available("sim"))
}
