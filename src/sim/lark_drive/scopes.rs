//! Which scope an operation needs (section 2.6), and who has which.

use super::super::account::Account;

/// What a user grants by default: the narrow ones, since many enterprises forbid the broad.
const GRANTED: &[&str] = &[
    "offline_access",
    "drive:drive.metadata:readonly",
    "drive:file:upload",
    "drive:file:download",
    "space:folder:create",
    "space:document:move",
    "docs:document:copy",
    "space:document:delete",
];

/// The scopes of which an operation needs any. `drive:drive` is good for everything.
pub(super) fn wanted(op: &str) -> &'static [&'static str] {
    match op {
        "root" | "folder_meta" | "list" | "metas" | "history" => &[
            "drive:drive.metadata:readonly",
            "space:document:retrieve",
            "drive:drive:readonly",
            "drive:drive",
        ],
        "download" => &["drive:file:download", "drive:drive:readonly", "drive:drive"],
        "mkdir" => &["space:folder:create", "drive:drive"],
        "move" => &["space:document:move", "drive:drive"],
        "copy" => &["docs:document:copy", "drive:drive"],
        "delete" => &["space:document:delete", "drive:drive"],
        // What starts a task may ask for it.
        "task" => &[
            "space:document:move",
            "space:document:delete",
            "drive:drive.metadata:readonly",
            "drive:drive",
        ],
        // Uploads, overwriting, renames; also versions and shortcuts, of which the sheet says
        // nothing.
        _ => &["drive:file:upload", "drive:file", "drive:drive"],
    }
}

fn listed(text: &str) -> Vec<String> {
    let names = text.split([',', ' ']).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// The scopes that the user has granted by now: those of the setting `scopes`, less those of
/// `withhold`.
pub(super) fn granted(account: &Account) -> Vec<String> {
    let mut all = match account.knobs.text("scopes") {
        Some(text) => listed(&text),
        None => GRANTED.iter().map(|name| (*name).to_owned()).collect(),
    };
    let gone = listed(&account.knobs.text("withhold").unwrap_or_default());
    all.retain(|name| !gone.contains(name));
    all
}

/// Whether any of `wanted` is in `have`.
pub(super) fn any(wanted: &[&str], have: &[String]) -> bool {
    wanted.iter().any(|name| have.iter().any(|own| own == name))
}

/// Whether the app lacks everything an operation could do with: the setting `withhold_app`
/// takes scopes from it, `drive:drive` it does not have.
pub(super) fn app_lacks(account: &Account, wanted: &[&str]) -> bool {
    let gone = listed(&account.knobs.text("withhold_app").unwrap_or_default());
    if gone.is_empty() {
        return false;
    }
    let mut left = wanted.iter().filter(|name| GRANTED.contains(name));
    !left.any(|name| !gone.iter().any(|other| other == name))
}
