//! Names and paths (sheet section 9).
//!
//! A node is addressed by its path in the server's tree, `/mount name/directory/file`, and that
//! path is its id. The API normalises no name: what a name may be is the rule of the provider
//! behind the mount name, so nothing is mapped here.

use crate::drive::{NameRules, NodeId};

/// The top of the server's tree. Its children are the accounts.
pub const TOP: &str = "/";

/// What is refused here is what no path can hold.
pub const RULES: NameRules = NameRules {
    illegal: "",
    no_controls: false,
    no_outer_blanks: false,
    max_bytes: 255,
    max_chars: usize::MAX,
};

/// A path in its one spelling: from the top on, no slash at its end, none twice.
pub fn normal(path: &str) -> String {
    let mut normal = String::with_capacity(path.len() + 1);
    for part in path.split('/').filter(|part| !part.is_empty()) {
        normal.push('/');
        normal.push_str(part);
    }
    if normal.is_empty() {
        normal.push_str(TOP);
    }
    normal
}

/// The path of an entry.
pub fn join(dir: &str, name: &str) -> String {
    format!("{}/{name}", dir.trim_end_matches('/'))
}

/// The directory of an entry; the top is in itself.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => TOP,
        Some(at) => path.get(..at).unwrap_or(TOP),
    }
}

/// The last name of a path, empty for the top.
pub fn leaf(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The mount name, which names the account; empty for the top.
pub fn account(path: &str) -> &str {
    path.split('/')
        .find(|part| !part.is_empty())
        .unwrap_or_default()
}

/// The id of a path.
pub fn id(path: &str) -> NodeId {
    NodeId::new(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for (given, wanted) in [
            ("", "/"),
            ("/", "/"),
            ("115open/media/", "/115open/media"),
            ("//115open//media", "/115open/media"),
            ("/115open/a b ", "/115open/a b "),
        ] {
            assert_eq!(normal(given), wanted, "{given:?}");
        }
    }

    #[test]
    fn paths_come_apart_and_together() {
        for path in ["/115open", "/115open/\u{7535}\u{5f71}/a.mkv"] {
            assert_eq!(join(parent(path), leaf(path)), path);
            assert_eq!(account(path), "115open");
        }
        assert_eq!((parent("/115open"), parent("/")), ("/", "/"));
        assert_eq!((leaf("/"), account("/")), ("", ""));
    }

    #[test]
    fn names_are_taken_as_they_are() {
        for name in ["a:b?", " x ", "tab\there"] {
            assert_eq!(RULES.encode(name).unwrap(), name);
            assert_eq!(RULES.decode(name), name);
        }
        assert!(RULES.encode("a/b").is_err());
    }
}
