//! What each call needs to have been granted (sheet section 2.6): a refusal names it.

use serde_json::Value;

use crate::drive::decode;

/// The calls of one right, and the scopes of which any suffices, the narrowest first.
struct Right {
    what: &'static str,
    ops: &'static [&'static str],
    any_of: &'static [&'static str],
}

const RIGHTS: &[Right] = &[
    Right {
        what: "list and look up",
        ops: &[
            "list",
            "root_meta",
            "folder_meta",
            "metas",
            "history",
            "task",
        ],
        any_of: &[
            "drive:drive.metadata:readonly",
            "space:document:retrieve",
            "drive:drive:readonly",
            "drive:drive",
        ],
    },
    Right {
        what: "upload, overwrite and rename",
        ops: &[
            "upload_all",
            "upload_prepare",
            "upload_part",
            "upload_finish",
            "rename",
        ],
        any_of: &["drive:file:upload", "drive:file", "drive:drive"],
    },
    Right {
        what: "download",
        ops: &["download"],
        any_of: &["drive:file:download", "drive:drive:readonly", "drive:drive"],
    },
    Right {
        what: "make directories",
        ops: &["mkdir"],
        any_of: &["space:folder:create"],
    },
    Right {
        what: "move",
        ops: &["move"],
        any_of: &["space:document:move"],
    },
    Right {
        what: "copy",
        ops: &["copy"],
        any_of: &["docs:document:copy"],
    },
    Right {
        what: "delete",
        ops: &["trash"],
        any_of: &["space:document:delete"],
    },
    Right {
        what: "stay logged in",
        ops: &["refresh"],
        any_of: &["offline_access"],
    },
];

/// Scopes of which any lets `op` through.
pub fn needed(op: &str) -> &'static [&'static str] {
    right(op).map_or(&[], |right| right.any_of)
}

fn right(op: &str) -> Option<&'static Right> {
    RIGHTS.iter().find(|right| right.ops.contains(&op))
}

/// What to grant so that `op` goes through. `violations` is `error.permission_violations` of the
/// answer: the server's own word on what is missing, where it gives one.
pub fn advice(op: &str, violations: &Value, for_app: bool) -> String {
    let told: Vec<String> = decode::list(violations)
        .iter()
        .filter_map(|violation| decode::nonempty(&violation["subject"]))
        .take(8)
        .collect();
    let what = right(op).map_or(op, |right| right.what);
    let scopes = match (needed(op), told.is_empty()) {
        (known, true) => known.join(", "),
        (_, false) => told.join(", "),
    };
    let how = if for_app {
        "add it to the app in the developer console, publish the app version and log in again"
    } else {
        "add it to the app and authorize again with it"
    };
    match scopes.is_empty() {
        true => format!("a scope is missing to {what}; {how}"),
        false => format!("a scope is missing to {what}: grant any of {scopes}; {how}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_call_has_its_scopes() {
        for op in [
            "list",
            "root_meta",
            "folder_meta",
            "metas",
            "history",
            "task",
            "upload_all",
            "upload_prepare",
            "upload_part",
            "upload_finish",
            "rename",
            "download",
            "mkdir",
            "move",
            "copy",
            "trash",
            "refresh",
        ] {
            assert!(!needed(op).is_empty(), "{op}");
        }
        assert_eq!(needed("trash"), ["space:document:delete"]);
    }

    #[test]
    fn the_servers_word_goes_first() {
        let told = json!([{"type":"action_scope_required","subject":"drive:drive"}]);
        let advice_told = advice("trash", &told, true);
        assert!(advice_told.contains("drive:drive") && advice_told.contains("delete"));
        let ours = advice("mkdir", &Value::Null, false);
        assert!(ours.contains("space:folder:create"), "{ours}");
    }
}
