//! `panfuse task`: running and finished transfers.

use super::{CliError, CliResult, Context};

/// What to do with them.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List them
    Ls {
        /// Also those that are done
        #[arg(long, short = 'a')]
        all: bool,
    },
    /// Everything about one
    Show {
        /// Its id
        id: String,
    },
    /// Try a failed one again
    Retry {
        /// Its id
        id: String,
    },
    /// Stop one and clean up behind it
    Cancel {
        /// Its id
        id: String,
    },
    /// Let one go on that a guard has stopped
    Approve {
        /// Its id
        id: String,
    },
}

/// Runs it.
///
/// # Errors
/// Exit code 1: this build has no daemon.
pub async fn run(_context: &Context, _command: Command) -> CliResult {
    Err(CliError::not_available("task"))
}
