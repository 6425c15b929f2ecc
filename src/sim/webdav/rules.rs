//! What servers do differently: the behaviour matrix (sheet, 7.1 and 4.3), one column per
//! flavour. Each row is also a setting, so that a test can mix.

use anyhow::bail;

use super::super::account::Account;

/// The setting `flavour`, in the order of the columns.
pub(super) const FLAVOURS: [&str; 8] = [
    "generic",
    "nextcloud",
    "apache",
    "rclone",
    "wsgidav",
    "dufs",
    "nginx",
    "lighttpd",
];

/// One behaviour.
struct Rule {
    name: &'static str,
    /// Words it may be; empty means any text.
    words: &'static [&'static str],
    /// What each flavour does.
    columns: [&'static str; 8],
}

const fn rule(
    name: &'static str,
    words: &'static [&'static str],
    columns: [&'static str; 8],
) -> Rule {
    Rule {
        name,
        words,
        columns,
    }
}

const YES_NO: &[&str] = &["yes", "no"];
const BARE: &[&str] = &["ok", "301", "302", "307", "308", "400", "409"];

#[rustfmt::skip]
const RULES: &[Rule] = &[
    //                            generic  nextcloud  apache   rclone   wsgidav  dufs     nginx    lighttpd
    rule("auth", &["basic", "digest", "digest+basic", "bearer", "none"],
        ["basic", "basic", "basic", "basic", "digest+basic", "digest+basic", "basic", "basic"]),
    rule("etag", &["strong", "weak", "md5", "bare", "head", "none"],
        ["strong", "strong", "weak", "md5", "bare", "head", "none", "strong"]),
    rule("put_etag", YES_NO,
        ["yes", "yes", "no", "no", "no", "no", "no", "no"]),
    rule("checksums", &[],
        ["", "SHA1 MD5 ADLER32", "", "MD5", "", "", "", ""]),
    rule("oc_checksum", YES_NO,
        ["no", "yes", "no", "no", "no", "no", "no", "no"]),
    rule("oc_mtime", &["accepted", "silent", "date", "no"],
        ["no", "accepted", "no", "silent", "no", "no", "date", "no"]),
    rule("quota", &["yes", "empty", "unlimited", "no"],
        ["yes", "yes", "no", "empty", "yes", "no", "no", "no"]),
    rule("infinity", &["207", "400", "403"],
        ["403", "403", "403", "207", "207", "400", "403", "403"]),
    rule("conditions", YES_NO,
        ["yes", "yes", "yes", "no", "yes", "no", "no", "yes"]),
    rule("put_over", &["201", "204"],
        ["204", "204", "204", "201", "204", "201", "204", "204"]),
    rule("put_range", &["400", "501", "replace", "apply"],
        ["400", "400", "apply", "replace", "400", "replace", "501", "400"]),
    rule("put_parents", YES_NO,
        ["no", "no", "no", "no", "no", "yes", "yes", "no"]),
    rule("partial", &["keep", "drop"],
        ["keep", "drop", "keep", "keep", "keep", "keep", "keep", "keep"]),
    rule("overwrite", YES_NO,
        ["yes", "yes", "yes", "yes", "yes", "no", "yes", "yes"]),
    rule("move_status", &["201", "204"],
        ["201", "201", "201", "201", "201", "204", "201", "201"]),
    rule("move_bare", BARE,
        ["ok", "ok", "301", "ok", "ok", "ok", "400", "308"]),
    rule("delete_bare", BARE,
        ["ok", "ok", "301", "ok", "ok", "ok", "409", "ok"]),
    rule("list_bare", BARE,
        ["ok", "ok", "301", "ok", "ok", "ok", "ok", "ok"]),
    rule("mkcol_bare", BARE,
        ["ok", "ok", "ok", "ok", "ok", "ok", "409", "ok"]),
    rule("proppatch", &["all", "dead", "mtime", "accept", "403", "405"],
        ["dead", "all", "dead", "mtime", "dead", "403", "405", "accept"]),
    rule("locks", YES_NO,
        ["yes", "no", "yes", "yes", "yes", "no", "yes", "yes"]),
    rule("chunks", YES_NO,
        ["no", "yes", "no", "no", "no", "no", "no", "no"]),
    rule("disposition", YES_NO,
        ["no", "no", "no", "no", "no", "yes", "no", "no"]),
    rule("patch", YES_NO,
        ["no", "no", "no", "no", "no", "yes", "no", "no"]),
    rule("dir_length", YES_NO,
        ["no", "no", "no", "no", "no", "no", "no", "yes"]),
    rule("prefix", &["D", "d", "default"],
        ["D", "d", "D", "D", "D", "D", "D", "D"]),
];

/// Column of an account's flavour.
fn column(account: &Account) -> usize {
    let flavour = account.knobs.text("flavour").unwrap_or_default();
    let found = FLAVOURS.iter().position(|name| *name == flavour);
    found.unwrap_or(0)
}

/// The flavour of an account.
pub(super) fn flavour(account: &Account) -> &'static str {
    FLAVOURS[column(account)]
}

/// What an account's server does: the setting, else the flavour's way.
pub(super) fn of(account: &Account, name: &str) -> String {
    let way = RULES.iter().find(|rule| rule.name == name);
    let way = way.map_or("", |rule| rule.columns[column(account)]);
    account.knobs.text(name).unwrap_or_else(|| way.to_owned())
}

/// Whether a rule is `yes`.
pub(super) fn yes(account: &Account, name: &str) -> bool {
    of(account, name) == "yes"
}

/// Refuses a value that a rule does not know: a slip in a test would change nothing silently.
pub(super) fn check(name: &str, value: &str) -> anyhow::Result<()> {
    let words = match RULES.iter().find(|rule| rule.name == name) {
        _ if name == "flavour" => &FLAVOURS,
        Some(rule) => rule.words,
        None => return Ok(()),
    };
    if !words.is_empty() && !words.contains(&value) {
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
        assert!(check("flavour", "jigsaw").is_err());
        assert!(check("etag", "yes").is_err());
        assert!(check("checksums", "MD5").is_ok());
    }

    #[test]
    fn a_setting_goes_before_the_flavour() {
        let account = Account::new("a".to_owned(), 1, Tree::new(&["root"]));
        assert_eq!(of(&account, "etag"), "strong");
        account.knobs.set("flavour", "rclone");
        assert_eq!(
            (flavour(&account), of(&account, "etag")),
            ("rclone", "md5".to_owned())
        );
        assert!(!yes(&account, "conditions"));
        account.knobs.set("conditions", "yes");
        assert!(yes(&account, "conditions"));
    }
}
