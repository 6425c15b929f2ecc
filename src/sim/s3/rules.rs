//! What servers do differently: the behaviour matrix (sheet, 7.2 and 2.6), one column per
//! flavour. Each row is also a setting, so that a test can mix.

use anyhow::{Context, bail};

use super::super::account::Account;

/// The setting `flavour`, in the order of the columns.
pub(super) const FLAVOURS: [&str; 4] = ["aws", "rclone", "moto", "s3s"];

/// One behaviour.
struct Rule {
    name: &'static str,
    /// Words it may be.
    words: &'static [&'static str],
    /// What each flavour does.
    columns: [&'static str; 4],
}

const fn rule(
    name: &'static str,
    words: &'static [&'static str],
    columns: [&'static str; 4],
) -> Rule {
    Rule {
        name,
        words,
        columns,
    }
}

const FLAG: &[&str] = &["yes", "no", "true", "false", "1", "0", "on", "off"];

#[rustfmt::skip]
const RULES: &[Rule] = &[
    //                                                       aws       rclone      moto      s3s
    rule("etag_in_list", &["quoted", "unquoted", "absent"], ["quoted", "unquoted", "quoted", "absent"]),
    rule("etag", &["md5", "opaque"],                        ["md5",    "md5",      "md5",    "md5"]),
    rule("multipart_etag", &["parts", "whole"],             ["parts",  "whole",    "parts",  "parts"]),
    rule("ignore_if_none_match", FLAG,                      ["no",     "yes",      "no",     "no"]),
    rule("copy_conditions", FLAG,                           ["no",     "no",       "no",     "no"]),
    rule("delete_conditions", FLAG,                         ["yes",    "no",       "no",     "no"]),
    rule("marker_is_file", FLAG,                            ["no",     "yes",      "no",     "no"]),
    rule("delete_batch", FLAG,                              ["yes",    "yes",      "yes",    "yes"]),
    rule("list_v2", FLAG,                                   ["yes",    "yes",      "yes",    "yes"]),
];

/// Settings that are numbers.
const NUMBERS: &[&str] = &[
    "min_part",
    "page",
    "total_size",
    "seed_part_size",
    "calls_per_second",
];

/// Column of an account's flavour.
fn column(account: &Account) -> usize {
    let flavour = account.knobs.text("flavour").unwrap_or_default();
    let found = FLAVOURS.iter().position(|name| *name == flavour);
    found.unwrap_or(0)
}

/// What an account's server does: the setting, else the flavour's way.
pub(super) fn of(account: &Account, name: &str) -> String {
    let way = RULES.iter().find(|rule| rule.name == name);
    let way = way.and_then(|rule| rule.columns.get(column(account)));
    let set = account.knobs.text(name);
    set.unwrap_or_else(|| way.copied().unwrap_or_default().to_owned())
}

/// Whether a rule is on.
pub(super) fn yes(account: &Account, name: &str) -> bool {
    matches!(of(account, name).as_str(), "yes" | "true" | "1" | "on")
}

/// Refuses a value that a rule does not know: a slip in a test would change nothing silently.
pub(super) fn check(name: &str, value: &str) -> anyhow::Result<()> {
    if NUMBERS.contains(&name) {
        let number = value.trim().parse::<u64>();
        return number
            .map(|_| ())
            .with_context(|| format!("{name} is a number"));
    }
    let words = match RULES.iter().find(|rule| rule.name == name) {
        _ if name == "flavour" => &FLAVOURS,
        Some(rule) => rule.words,
        None => return Ok(()),
    };
    if !words.contains(&value) {
        bail!("{name} is one of: {}", words.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::tree::Tree;
    use super::*;

    #[test]
    fn every_column_is_a_word_of_its_rule() {
        for rule in RULES {
            for word in rule.columns {
                assert!(check(rule.name, word).is_ok(), "{}: {word}", rule.name);
            }
        }
        assert!(check("flavour", "floppy").is_err());
        assert!(check("etag_in_list", "yes").is_err());
        assert!(check("min_part", "much").is_err());
        assert!(check("min_part", "1024").is_ok());
    }

    #[test]
    fn a_setting_goes_before_the_flavour() {
        let account = Account::new("a".to_owned(), 1, Tree::new(&["root"]));
        assert_eq!(of(&account, "etag_in_list"), "quoted");
        account.knobs.set("flavour", "rclone");
        assert_eq!(of(&account, "etag_in_list"), "unquoted");
        assert!(yes(&account, "marker_is_file"));
        account.knobs.set("marker_is_file", "off");
        assert!(!yes(&account, "marker_is_file"));
    }
}
