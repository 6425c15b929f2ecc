//! The command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use super::{
    approve, cp, demo, hash, matrix, media, mount, mv, plan, profile, provider, refresh, search,
    share, sim, status, sync, task, token, umount,
};

const FIRST_STEPS: &str = "\
First steps:
  panfuse demo                    a tour with simulated drives; no account is needed
  panfuse provider ls             which drives there are
  panfuse provider show KEY       what one of them wants to know
  panfuse profile add NAME --provider KEY --json - < FILE
  panfuse mount                   every profile is a directory under ~/cloud";

/// Many cloud drives as one file system; a plain cp asks the target for the content before it
/// moves a byte.
#[derive(Debug, Parser)]
#[command(
    name = "panfuse",
    version,
    propagate_version = false,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = FIRST_STEPS
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Global {
    /// Settings file (else $XDG_CONFIG_HOME/panfuse/config.toml)
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub config: Option<PathBuf>,
    /// Directory of the stage, the journal and the daemon's lock
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub state_dir: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Mount every profile under one directory
    Mount(mount::Args),
    /// Wait for pending uploads and unmount
    #[command(alias = "unmount")]
    Umount(umount::Args),
    /// What the daemon is doing
    Status(status::Args),
    /// Wait until written files are at their providers
    Sync(sync::Args),
    /// The drives this panfuse can speak to
    #[command(subcommand)]
    Provider(provider::Command),
    /// Configured drives
    #[command(subcommand)]
    Profile(profile::Command),
    /// Log-in flows of providers that have one
    #[command(subcommand)]
    Token(token::Command),
    /// Copy through the daemon, with progress
    Cp(cp::Args),
    /// Move through the daemon, with progress
    Mv(mv::Args),
    /// What a copy would do, without doing it
    Plan(plan::Args),
    /// Which way copies between drives take, and why
    Matrix(matrix::Args),
    /// Find names at the provider, without listing every directory
    Search(search::Args),
    /// Count or list files by kind, wherever they are
    Media(media::Args),
    /// What others share by a link, and links of your own
    #[command(subcommand)]
    Share(share::Command),
    /// Running and finished transfers
    #[command(subcommand)]
    Task(task::Command),
    /// Fingerprints of files
    Hash(hash::Args),
    /// List directories afresh
    Refresh(refresh::Args),
    /// Say that refused deletes, or a large copy, were meant
    Approve(approve::Args),
    /// Simulators of the providers
    #[command(subcommand)]
    Sim(sim::Command),
    /// Try everything on this machine, without an account
    Demo(demo::Args),
}

/// Rewrites a call as `mount.fuse.panfuse SOURCE MOUNTPOINT [-sfnv] [-o OPTS]`, the way
/// mount(8) calls helpers for an fstab line, into `panfuse mount MOUNTPOINT -o OPTS`. Other
/// calls stay as they are.
pub(super) fn normalise(words: Vec<OsString>) -> Vec<OsString> {
    let helper = words
        .first()
        .map(Path::new)
        .and_then(Path::file_name)
        .is_some_and(|name| name == "mount.fuse.panfuse" || name == "mount.panfuse");
    if !helper {
        return words;
    }
    let mut rewritten: Vec<OsString> = vec!["panfuse".into(), "mount".into()];
    let mut rest = words.into_iter().skip(1);
    // The source of the fstab line names nothing: the profiles do.
    let _source = rest.next();
    if let Some(mountpoint) = rest.next() {
        rewritten.push(mountpoint);
    }
    while let Some(word) = rest.next() {
        match word.to_str() {
            Some("-o") => rewritten.extend(["-o".into()].into_iter().chain(rest.next())),
            Some("-t" | "-N") => {
                rest.next();
            }
            // -s sloppy, -f fake, -n no mtab, -v verbose: nothing for us to do.
            Some(flags) if flags.starts_with('-') && !flags.starts_with("-o") => {}
            _ => rewritten.push(word),
        }
    }
    rewritten
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_fstab_call_becomes_a_mount() {
        assert_eq!(
            normalise(words(
                "/sbin/mount.fuse.panfuse panfuse /home/u/cloud -sv -o ro,uid=5 -t fuse.panfuse"
            )),
            words("panfuse mount /home/u/cloud -o ro,uid=5")
        );
        let plain = words("panfuse mount /x -o ro");
        assert_eq!(normalise(plain.clone()), plain);
    }

    #[test]
    fn the_contract_lines_are_understood() {
        for line in [
            "panfuse mount /m -o ro,uid=1 -o profile=a,b --foreground",
            "panfuse mount",
            "panfuse --config /c/config.toml mount /m",
            "panfuse umount /m --now",
            "panfuse profile add NAME --provider s3 --json -",
            "panfuse profile add NAME --provider s3 --json - --no-validate",
            "panfuse provider show s3 --json",
            "panfuse sim serve --only s3,webdav --dir /d --accounts 2",
            "panfuse sim seed a /x 5 --seed 3 --like b:/y",
            "panfuse sim seed a /x 5 --known-only",
            "panfuse sim stat a --json",
            "panfuse sim fault a list stall --count 2 --after 1 --arg 5",
            "panfuse sim clock +1h",
            "panfuse sim clock -1h",
            "panfuse sim tree a --json --admin http://127.0.0.1:1",
            "panfuse sim reset a",
            "panfuse sync /m/a",
            "panfuse sync",
            "panfuse approve deletes --json",
            "panfuse approve /m/a/large.iso",
            "panfuse token login a --device --json",
            "panfuse token login a --provider baidu_netdisk --code - --field client_id=x",
            "panfuse token login a - --provider baidu_netdisk --device",
            "panfuse search a cat --in /m/a/d --limit 5 --json",
            "panfuse media a",
            "panfuse media a --kind video --in /m/a/d --limit 5",
            "panfuse share create /m/a/f --period 30 --pwd a1b2 --json",
        ] {
            if let Err(error) = Cli::try_parse_from(words(line)) {
                panic!("{line}: {error}");
            }
        }
        for line in [
            "panfuse",
            "panfuse profile add --provider s3",
            "panfuse sim seed a /x 5 --like b:/y --known-only",
            "panfuse mount /m --password x",
            "panfuse token login a --device --code x",
            "panfuse search a",
            "panfuse search a cat --limit 0",
            "panfuse share create /m/a/f --period 0",
        ] {
            let error = Cli::try_parse_from(words(line)).err();
            assert!(error.is_some_and(|error| error.exit_code() == 2), "{line}");
        }
    }
}
