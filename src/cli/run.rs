//! Parse, dispatch, print.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use super::args::normalise;
use super::reply::print;
use super::{
    Cli, CliError, CliResult, Command, Context, EXIT_DONE, EXIT_USAGE, approve, cp, demo, hash,
    matrix, media, mount, mv, plan, profile, provider, refresh, search, share, sim, status, sync,
    task, token, umount,
};
use crate::config::LogLevel;
use crate::observe;

/// Runs the command line `words` (the first is the program) and tells the exit code.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words = normalise(words.into_iter().collect());
    let mut out = io::stdout().lock();
    let mut err = io::stderr();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(refuse(&error, &words, &mut out, &mut err)),
    };
    let json = cli.global.json;
    // Commands print while they run (`sim serve`): they lock standard output themselves.
    drop(out);
    let result = start(cli);
    ExitCode::from(print(&result, json, &mut io::stdout().lock(), &mut err))
}

fn start(cli: Cli) -> CliResult {
    let context = Context::new(&cli.global)?;
    let stays = matches!(
        cli.command,
        Command::Mount(_) | Command::Sim(_) | Command::Demo(_)
    );
    let mut log = context.settings.log.clone();
    if !stays || matches!(cli.command, Command::Demo(_)) {
        // A command's answer says what happened; its log is for what may go wrong.
        log.level = log.level.min(LogLevel::Warn);
    }
    observe::init(&log);
    let mut builder = if stays {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| CliError::failed("runtime", error.to_string()))?;
    runtime.block_on(dispatch(&context, cli.command))
}

async fn dispatch(context: &Context, command: Command) -> CliResult {
    match command {
        Command::Mount(args) => mount::run(context, args).await,
        Command::Umount(args) => umount::run(context, args).await,
        Command::Status(args) => status::run(context, args).await,
        Command::Sync(args) => sync::run(context, args).await,
        Command::Provider(command) => provider::run(context, command).await,
        Command::Profile(command) => profile::run(context, command).await,
        Command::Cp(args) => cp::run(context, args).await,
        Command::Mv(args) => mv::run(context, args).await,
        Command::Plan(args) => plan::run(context, args).await,
        Command::Matrix(args) => matrix::run(context, args).await,
        Command::Token(command) => token::run(context, command).await,
        Command::Search(args) => search::run(context, args).await,
        Command::Media(args) => media::run(context, args).await,
        Command::Share(command) => share::run(context, command).await,
        Command::Task(command) => task::run(context, command).await,
        Command::Hash(args) => hash::run(context, args).await,
        Command::Refresh(args) => refresh::run(context, args).await,
        Command::Approve(args) => approve::run(context, args).await,
        Command::Sim(command) => sim::run(context, command).await,
        Command::Demo(args) => demo::run(context, args).await,
    }
}

/// Help and version are answers; everything else clap says is wrong use.
fn refuse(error: &clap::Error, words: &[OsString], out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        let _ = write!(out, "{error}");
        return EXIT_DONE;
    }
    let text = error.to_string();
    if words.iter().any(|word| word == "--json") {
        let message = text
            .lines()
            .map(str::trim)
            .take_while(|line| !line.starts_with("Usage:"))
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        let failure = Err(CliError::usage("usage", message).hint("panfuse --help shows the use"));
        return print(&failure, true, out, err);
    }
    let _ = write!(err, "{text}");
    EXIT_USAGE
}
