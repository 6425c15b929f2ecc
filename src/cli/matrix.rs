//! `panfuse matrix`: which way a copy between two drives takes, and why. Nothing is asked of any
//! provider.

use serde_json::json;

use super::size::human;
use super::{CliError, CliResult, Context, Paint, Reply, Table};
use crate::profile::{ProfileSpec, auth_mode, find_provider};
use crate::transfer::{Cell, Class, Side, Way};

const LEGEND: &str = "\
C  the provider copies it itself
M  fingerprints that are known suffice: no byte is read
R  fingerprints and small ranges of the content
D  after one full read of the source
N  the target cannot be asked: the content is sent
S  the target decides what it fetches
What is remembered of a file, from an earlier copy or `panfuse hash --compute`, makes D an M or R.";

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Every provider and its shares, instead of the configured profiles
    #[arg(long)]
    pub all: bool,
}

/// Runs it.
///
/// # Errors
/// When the profiles cannot be read.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let mut notes = Vec::new();
    let ends = match args.all {
        true => providers(context),
        false => profiles(context, &mut notes)?,
    };
    if ends.is_empty() {
        notes.push("no profile is configured; --all shows what every provider could do".to_owned());
    }
    let cells: Vec<Vec<Cell>> = ends
        .iter()
        .map(|from| ends.iter().map(|to| Cell::new(from, to)).collect())
        .collect();
    let names: Vec<&str> = ends.iter().map(|end| end.name.as_str()).collect();
    let text = match ends.is_empty() {
        true => String::new(),
        false => shown(&names, &cells, context.paint),
    };
    let json = json!({
        "profiles": names,
        "cells": cells.iter().flatten().collect::<Vec<_>>(),
    });
    let mut reply = Reply::new(json, text);
    reply.notes = notes;
    Ok(reply)
}

/// Every provider's account, and its share where it has one.
fn providers(context: &Context) -> Vec<Side> {
    let mut ends: Vec<Side> = Vec::new();
    for info in context.registry {
        for mode in info.auth_modes {
            let name = match mode.kind {
                "share" => format!("{}/share", info.key),
                _ => info.key.to_owned(),
            };
            // Ways to log in to one account differ in what they are told, not in what a copy costs.
            if ends.iter().any(|known| known.name == name) {
                continue;
            }
            // Two accounts of a provider are meant: nothing is copied within one.
            ends.push(Side {
                name,
                is_profile: false,
                provider: info.key,
                capabilities: mode.capabilities,
                read_only: false,
            });
        }
    }
    ends
}

fn profiles(context: &Context, notes: &mut Vec<String>) -> Result<Vec<Side>, CliError> {
    let profiles = context.profiles()?;
    let mut ends = Vec::new();
    for (name, settings, _) in profiles.iter() {
        let spec = ProfileSpec {
            name: name.to_owned(),
            settings: settings.clone(),
            ..ProfileSpec::default()
        };
        let found = find_provider(context.registry, &settings.provider)
            .and_then(|info| Ok((info, auth_mode(&spec, info)?)));
        match found {
            Ok((info, mode)) => ends.push(Side {
                name: name.to_owned(),
                is_profile: true,
                provider: info.key,
                capabilities: mode.capabilities,
                read_only: settings.read_only,
            }),
            Err(problem) => notes.push(format!("{name} is left out: {}", problem.message)),
        }
    }
    Ok(ends)
}

fn shown(names: &[&str], cells: &[Vec<Cell>], paint: Paint) -> String {
    let refuses = |column: usize| {
        let mut ways = cells
            .iter()
            .filter_map(|row| row.get(column))
            .flat_map(|cell| &cell.ways);
        ways.all(|way| way.class == Class::Refused)
    };
    let (closed, open): (Vec<usize>, Vec<usize>) = (0..names.len()).partition(|at| refuses(*at));
    let mut heading = vec!["FROM \\ TO"];
    heading.extend(open.iter().filter_map(|at| names.get(*at)));
    let mut table = Table::new(paint, &heading);
    for (name, row) in names.iter().zip(cells) {
        let ways = open
            .iter()
            .filter_map(|at| row.get(*at))
            .map(|cell| letters(&cell.ways));
        table.row(std::iter::once((*name).to_owned()).chain(ways));
    }
    let mut text = table.render();
    text.push('\n');
    text.push_str(&paint.faint(LEGEND));
    text.push('\n');
    if !closed.is_empty() {
        let closed: Vec<&str> = closed
            .iter()
            .filter_map(|at| names.get(*at).copied())
            .collect();
        text.push_str(&format!("\nread-only: {}\n", closed.join(", ")));
    }
    for at in open {
        let Some(name) = names.get(at) else { continue };
        text.push_str(&format!("\nto {name}\n"));
        let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
        for (from, row) in names.iter().zip(cells) {
            let why = row.get(at).map_or_else(String::new, |cell| why(&cell.ways));
            match reasons.iter_mut().find(|(known, _)| *known == why) {
                Some((_, sources)) => sources.push(from),
                None => reasons.push((why, vec![from])),
            }
        }
        for (why, sources) in reasons {
            text.push_str(&format!("  from {}\n", sources.join(", ")));
            for line in why.lines() {
                text.push_str(&format!("    {line}\n"));
            }
        }
    }
    text
}

/// `M`, or `R D` where larger files take another way.
fn letters(ways: &[Way]) -> String {
    let letters: Vec<&str> = ways.iter().map(|way| way.class.letter()).collect();
    letters.join(" ")
}

fn why(ways: &[Way]) -> String {
    let lines = ways.iter().map(|way| {
        let most = match way.up_to {
            Some(most) if way.class != Class::Refused => format!(" up to {}", human(most)),
            _ => String::new(),
        };
        let samples = match way.samples {
            true => "; samples are compared",
            false => "",
        };
        format!("{}{most}  {}{samples}", way.class.letter(), way.reason)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::profile::testing::context;
    use super::*;
    use crate::providers;

    #[tokio::test]
    async fn every_provider_has_a_row_and_a_column_and_a_reason() {
        let home = tempfile::tempdir().unwrap();
        let context = Context {
            registry: providers::REGISTRY,
            ..context(home.path())
        };
        let reply = run(&context, Args { all: true }).await.unwrap();
        let names = reply.json["profiles"].as_array().unwrap();
        let cells = reply.json["cells"].as_array().unwrap();
        assert_eq!(cells.len(), names.len() * names.len());
        for cell in cells {
            for way in cell["ways"].as_array().unwrap() {
                assert!(!way["reason"].as_str().unwrap().is_empty(), "{cell}");
            }
        }
        let class = |from: &str, to: &str| {
            let at = |cell: &&serde_json::Value| cell["source"] == from && cell["target"] == to;
            let cell = cells.iter().find(at).unwrap();
            let ways = cell["ways"].as_array().unwrap().iter();
            ways.map(|way| way["class"].as_str().unwrap())
                .collect::<Vec<_>>()
        };
        // SPEC 3.13, a few of its cells.
        assert_eq!(class("115_open", "aliyundrive_open"), ["ranges"]);
        assert_eq!(class("115_open", "123_open"), ["metadata"]);
        assert_eq!(class("123_open", "115_open"), ["download"]);
        assert_eq!(class("pikpak", "pikpak"), ["metadata"]);
        assert_eq!(class("local", "pikpak"), ["ranges"]);
        assert_eq!(class("quark", "123_open"), ["metadata"]);
        assert_eq!(class("quark/share", "uc"), ["download"]);
        assert_eq!(class("quark/share", "quark"), ["copied"]);
        assert_eq!(class("quark", "uc/share"), ["refused"]);
        assert!(reply.text.contains("from 115_open"), "{}", reply.text);
    }

    #[tokio::test]
    async fn without_profiles_it_says_how_to_see_something() {
        let home = tempfile::tempdir().unwrap();
        let context = context(home.path());
        let reply = run(&context, Args { all: false }).await.unwrap();
        assert_eq!(reply.json["cells"], json!([]));
        assert!(reply.notes[0].contains("--all"));
    }
}
