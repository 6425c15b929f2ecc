//! The shape of the house (docs/architecture.md, "Layers"): who may import whom, how long a file
//! may be, what a file may not be named, and where `unsafe` may stand.

mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::Source;

/// The rows from the bottom to the top. A room imports rooms below its row, or rooms of its own row
/// where no cycle comes of it.
const ROWS: &[&[&str]] = &[
    &["net", "fingerprint"],
    &["drive"],
    &["providers"],
    &[
        "content", "catalog", "cache", "guard", "evidence", "vault", "profile",
    ],
    &["transfer"],
    &["vfs"],
    &["cli", "console", "fuse"],
];

/// Everybody may import these. They import nothing above the lowest row.
const OPEN: &[&str] = &["config", "observe"];

/// Pieces below `src/providers` that drivers share.
const SHARED_PIECES: &[&str] = &["oss", "opendal"];

/// File names that say nothing.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "manager", "misc",
];

/// Lines a file may have.
const LONGEST: usize = 600;

/// Files that are longer, and why.
const LONGER: &[(&str, &str)] = &[(
    "tests/reference/harness.rs",
    "one table of operations: each runs on the file system and on the model side by side",
)];

/// Files that may hold `unsafe`, and why.
const UNSAFE: &[(&str, &str)] = &[
    ("src/content/disk.rs", "statvfs: the free space of a disk"),
    (
        "src/cli/sys.rs",
        "copy_file_range, close with its error, lgetxattr and renameat2 for cp and mv",
    ),
    (
        "src/fuse/kernel.rs",
        "mount, umount and the descriptor that fusermount3 hands over",
    ),
    (
        "src/providers/local/sys.rs",
        "system calls relative to a directory: nothing is reached through a link",
    ),
];

fn row(room: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&room))
}

fn is_room(name: &str) -> bool {
    row(name).is_some() || OPEN.contains(&name) || name == "sim"
}

/// Imports of other rooms outside of tests: (from, to, where).
fn edges(sources: &[Source]) -> Vec<(String, String, String)> {
    let mut edges = Vec::new();
    for source in sources {
        let Some(room) = source.room().filter(|room| is_room(room)) else {
            continue;
        };
        for (at, path) in source.crate_paths() {
            let Some(to) = path.first().filter(|to| is_room(to)) else {
                continue;
            };
            if to != room && !source.is_test(at) {
                let place = format!("{}:{}", source.path, source.line(at));
                edges.push((room.to_owned(), to.clone(), place));
            }
        }
    }
    edges
}

#[test]
fn every_room_has_a_row() {
    for source in source::library() {
        let room = source.room().expect("below src");
        assert!(
            is_room(room) || matches!(room, "lib" | "main"),
            "{}: the room {room} is in no row of tests/layering.rs",
            source.path
        );
    }
}

#[test]
fn nobody_imports_upwards() {
    let edges = edges(&source::library());
    assert!(edges.len() > 100, "the imports are not seen any more");
    let mut wrong = Vec::new();
    for (from, to, place) in &edges {
        let allowed = match (row(from), row(to)) {
            _ if to == "sim" => from == "cli",
            _ if from == "sim" => false,
            _ if OPEN.contains(&to.as_str()) => true,
            (None, to) => to == Some(0),
            (Some(from), Some(to)) => to <= from,
            (Some(_), None) => false,
        };
        if !allowed {
            wrong.push(format!("{place}: {from} imports {to}"));
        }
    }
    assert!(wrong.is_empty(), "upward imports:\n{}", wrong.join("\n"));
}

#[test]
fn no_rooms_import_each_other_in_a_circle() {
    let mut below: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to, _) in edges(&source::library()) {
        below.entry(from).or_default().insert(to);
    }
    // Rooms that import nothing are taken away until nothing is left but circles.
    loop {
        let done: Vec<String> = below
            .values()
            .flatten()
            .filter(|room| !below.contains_key(*room))
            .cloned()
            .collect();
        if done.is_empty() {
            break;
        }
        for imports in below.values_mut() {
            imports.retain(|room| !done.contains(room));
        }
        below.retain(|_, imports| !imports.is_empty());
    }
    assert!(below.is_empty(), "a circle of imports: {below:?}");
}

#[test]
fn drivers_do_not_know_each_other() {
    let mut wrong = Vec::new();
    for source in source::library() {
        let Some(below) = source.path.strip_prefix("src/providers/") else {
            continue;
        };
        let own = below.split(['/', '.']).next().unwrap_or_default();
        for (at, path) in source.crate_paths() {
            let [room, driver, ..] = path.as_slice() else {
                continue;
            };
            let known = room != "providers" || driver == own;
            if !known && !SHARED_PIECES.contains(&driver.as_str()) && own != "mod" {
                wrong.push(format!("{}:{}: {driver}", source.path, source.line(at)));
            }
        }
    }
    assert!(wrong.is_empty(), "a driver imports another:\n{wrong:#?}");
}

#[test]
fn simulators_check_the_drivers_and_share_nothing_with_them() {
    let mut wrong = Vec::new();
    for source in source::library() {
        if source.room() != Some("sim") {
            continue;
        }
        for (at, path) in source.crate_paths() {
            let room = path.first().map_or("", String::as_str);
            if ["fingerprint", "net", "drive", "providers"].contains(&room) {
                wrong.push(format!("{}:{}: {room}", source.path, source.line(at)));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a simulator imports what it checks:\n{wrong:#?}"
    );
}

#[test]
fn files_have_names_that_say_something() {
    for source in source::library().iter().chain(&source::tests()) {
        for part in source.path.trim_end_matches(".rs").split('/') {
            assert!(
                !EMPTY_NAMES.contains(&part),
                "{}: name it by what is in it",
                source.path
            );
        }
    }
}

#[test]
fn files_stay_short() {
    let mut wrong = Vec::new();
    let mut long = BTreeSet::new();
    for source in source::library().iter().chain(&source::tests()) {
        let lines = source.text.lines().count();
        if lines <= LONGEST {
            continue;
        }
        long.insert(source.path.clone());
        if !LONGER.iter().any(|(path, _)| *path == source.path) {
            wrong.push(format!("{} has {lines} lines", source.path));
        }
    }
    for (path, reason) in LONGER {
        assert!(!reason.is_empty(), "{path}: say why");
        if !long.contains(*path) {
            wrong.push(format!(
                "{path} is short enough by now: take it off the list"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_stands_only_where_it_is_listed() {
    let mut wrong = Vec::new();
    let mut found = BTreeSet::new();
    for source in source::library() {
        let allows = source.code.contains("#![allow(unsafe_code)]");
        let spaced: String = source
            .code
            .chars()
            .map(|c| {
                if c.is_alphanumeric() || c == '_' {
                    c
                } else {
                    ' '
                }
            })
            .collect();
        let uses = spaced.split(' ').any(|word| word == "unsafe");
        if allows {
            found.insert(source.path.clone());
        }
        let listed = UNSAFE.iter().any(|(path, _)| *path == source.path);
        if (allows || uses) && !listed {
            wrong.push(format!("{}: unsafe, and not on the list", source.path));
        }
        if uses && !allows {
            wrong.push(format!("{}: allow it for the whole file", source.path));
        }
    }
    for (path, reason) in UNSAFE {
        assert!(!reason.is_empty(), "{path}: say why");
        if !found.contains(*path) {
            wrong.push(format!("{path} is on the list without need"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_lints_hold_for_the_whole_library() {
    let library = source::library();
    let lib = library.iter().find(|source| source.path == "src/lib.rs");
    let code = &lib.expect("src/lib.rs").code;
    let denied: String = code
        .split("#![deny(")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect::<Vec<_>>()
        .join(",");
    for lint in ["warnings", "missing_docs", "unsafe_code"] {
        assert!(
            denied.split(',').any(|denied| denied.trim() == lint),
            "src/lib.rs does not deny {lint}"
        );
    }
}

#[test]
fn the_reader_of_imports_can_see() {
    let text = r##"
        use crate::{net::{Client, Url}, drive::Drive};
        // use crate::fuse::No;
        const A: &str = "crate::vfs::No \" crate::cli";
        const B: char = '"';
        const C: &str = r#"crate::vfs "quoted" "#;
        fn a<'x>(y: &'x crate::config::Paths) {}
        #[cfg(test)]
        mod tests { use crate::sim::World; }
        fn b() { crate::observe::metrics(); }
    "##;
    let source = Source::from_text("src/net/example.rs", text);
    let mut seen: Vec<(String, bool)> = source
        .crate_paths()
        .into_iter()
        .map(|(at, path)| (path[0].clone(), source.is_test(at)))
        .collect();
    seen.dedup();
    let expected = [
        ("net", false),
        ("drive", false),
        ("config", false),
        ("sim", true),
        ("observe", false),
    ];
    let expected: Vec<(String, bool)> = expected.map(|(room, test)| (room.to_owned(), test)).into();
    assert_eq!(seen, expected);
}
