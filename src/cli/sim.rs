//! `panfuse sim`: simulators of the providers (CONTRACT, "Simulators").
//!
//! | file | what is in it |
//! |---|---|
//! | `serve` | a world of its own until SIGTERM |
//! | [`prepare`](prepare()) | settings and a filled vault for a world |
//! | `state_file` | where a served world can be found |
//! | `remote` | the admin HTTP API of a running world |
//! | `account` | what can be done to an account of it |
//! | `quantity` | sizes, spans of time, arguments of faults |

mod account;
mod prepare;
mod quantity;
mod remote;
mod serve;
mod state_file;

use std::path::PathBuf;

use super::{CliResult, Context};
use remote::Remote;

pub use prepare::{LOCAL_PROFILE, prepare};
pub use serve::ServeArgs;

/// What to do with them.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Serve until SIGTERM or SIGINT; prints one JSON line when ready
    Serve(ServeArgs),
    /// Put a file into an account, with the directories above it
    Seed(SeedArgs),
    /// Make a directory, with those above it
    Mkdir {
        /// Profile
        profile: String,
        /// Path in it
        path: String,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
    /// Meters of an account: requests by operation, bytes, fast uploads
    Stat {
        /// Profile
        profile: String,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
    /// Make requests fail
    #[command(after_help = quantity::KINDS_HELP)]
    Fault(FaultArgs),
    /// Move the clock, for example +1h, -5m or +90s
    Clock {
        /// How far: numbers with ms, s, m, h or d
        #[arg(allow_hyphen_values = true)]
        by: String,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
    /// Every file of an account with its hashes, and its open uploads
    Tree {
        /// Profile
        profile: String,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
    /// Bytes of a file, as the provider has stored them
    Read(ReadArgs),
    /// Change a setting of the simulator for one account
    Set {
        /// Profile
        profile: String,
        /// Setting (a wrong one lists them)
        key: String,
        /// Value
        #[arg(allow_hyphen_values = true)]
        value: String,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
    /// Flip a bit in the stored bytes of a file; listings stay as they are
    Corrupt {
        /// Profile
        profile: String,
        /// Path in it
        path: String,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
    /// Put the meters of an account to zero and take its faults away; files stay
    Reset {
        /// Profile
        profile: String,
        /// The running simulators
        #[command(flatten)]
        admin: Admin,
    },
}

/// Which running simulators.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Admin {
    /// Their admin address (else the ones served last)
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
}

/// Options of `sim seed`.
#[derive(Debug, clap::Args)]
pub struct SeedArgs {
    /// Profile
    pub profile: String,
    /// Path in it
    pub path: String,
    /// Bytes, or with K, M, G, T for powers of 1024; --like and --file know it themselves
    #[arg(required_unless_present_any = ["like", "file"], value_parser = quantity::size)]
    pub size: Option<u64>,
    /// Number that the content is made from (1): same number and size, same bytes
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Same content as this file of another profile
    #[arg(long, value_name = "PROFILE:PATH", conflicts_with_all = ["file", "known_only"])]
    pub like: Option<String>,
    /// Content of a local file
    #[arg(long, value_name = "LOCAL", conflicts_with = "known_only")]
    pub file: Option<PathBuf>,
    /// The provider knows the content but the account has no file of it
    #[arg(long)]
    pub known_only: bool,
    /// The running simulators
    #[command(flatten)]
    pub admin: Admin,
}

/// Options of `sim fault`.
#[derive(Debug, clap::Args)]
pub struct FaultArgs {
    /// Profile
    pub profile: String,
    /// Operation as `sim stat` names it (list, download, ...); `*` for all
    pub op: String,
    /// Kind of fault (status, stall, cut, ...)
    pub kind: String,
    /// How many requests (1); 0 means until the reset
    #[arg(long, value_name = "N")]
    pub count: Option<u32>,
    /// Requests that pass before (0)
    #[arg(long, value_name = "N")]
    pub after: Option<u32>,
    /// A value for the kind (see below)
    #[arg(long, value_name = "V", allow_hyphen_values = true)]
    pub arg: Option<String>,
    /// The running simulators
    #[command(flatten)]
    pub admin: Admin,
}

/// Options of `sim read`.
#[derive(Debug, clap::Args)]
pub struct ReadArgs {
    /// Profile
    pub profile: String,
    /// Path in it
    pub path: String,
    /// First byte (0)
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub offset: u64,
    /// Most bytes (to the end)
    #[arg(long, value_name = "N", value_parser = quantity::size)]
    pub len: Option<u64>,
    /// Write them to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The running simulators
    #[command(flatten)]
    pub admin: Admin,
}

/// Runs it.
///
/// # Errors
/// Exit code 2 for wrong words (unknown profile, kind, provider, span), 1 when no simulators are
/// running or they refuse.
pub async fn run(context: &Context, command: Command) -> CliResult {
    let remote = |admin: &Admin| Remote::find(&context.paths, admin.admin.as_deref());
    match command {
        Command::Serve(args) => serve::run(context, args).await,
        Command::Seed(args) => account::seed(&remote(&args.admin)?, &args).await,
        Command::Mkdir {
            profile,
            path,
            admin,
        } => account::mkdir(&remote(&admin)?, &profile, &path).await,
        Command::Stat { profile, admin } => account::stat(&remote(&admin)?, &profile).await,
        Command::Fault(args) => {
            let fault = quantity::fault(&args)?;
            account::fault(&remote(&args.admin)?, &args, &fault).await
        }
        Command::Clock { by, admin } => {
            let ms = quantity::span(&by)?;
            account::clock(&remote(&admin)?, &by, ms).await
        }
        Command::Tree { profile, admin } => {
            account::tree(&remote(&admin)?, context.paint, &profile).await
        }
        Command::Read(args) => account::read(&remote(&args.admin)?, &args, context.json).await,
        Command::Set {
            profile,
            key,
            value,
            admin,
        } => account::set(&remote(&admin)?, &profile, &key, &value).await,
        Command::Corrupt {
            profile,
            path,
            admin,
        } => account::corrupt(&remote(&admin)?, &profile, &path).await,
        Command::Reset { profile, admin } => account::reset(&remote(&admin)?, &profile).await,
    }
}
