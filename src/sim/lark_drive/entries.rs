//! Kinds of entries, their tokens, and how entries look in answers (sections 3, 4 and 9).

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::digest::md5_hex;
use super::super::tree::Node;
use super::LarkDrive;

/// Type, prefix of its tokens, path of its page.
const KINDS: &[(&str, &str, &str)] = &[
    ("file", "boxcn", "file"),
    ("folder", "fldcn", "drive/folder"),
    ("docx", "doxcn", "docx"),
    ("doc", "doccn", "docs"),
    ("sheet", "shtcn", "sheets"),
    ("bitable", "bascn", "base"),
    ("mindnote", "bmncn", "mindnotes"),
    ("slides", "sldcn", "slides"),
    ("shortcut", "shtB", "drive/shortcut"),
];

fn row(kind: &str) -> Option<(&'static str, &'static str, &'static str)> {
    KINDS.iter().find(|row| row.0 == kind).copied()
}

/// The type of this name, if there is one.
pub(super) fn known_kind(name: &str) -> Option<&'static str> {
    row(name).map(|row| row.0)
}

/// Type of an entry. What is neither a file nor a folder says so itself.
pub(super) fn kind(node: &Node) -> &'static str {
    let plain = if node.is_dir() { "folder" } else { "file" };
    known_kind(node.text("type")).unwrap_or(plain)
}

/// Whether an entry has bytes (section 1: only `file`).
pub(super) fn has_bytes(node: &Node) -> bool {
    kind(node) == "file"
}

/// Root folders of an account: the user's, and the app's own, which is another one
/// (section 2.1).
pub(super) fn roots(number: usize) -> Vec<String> {
    ["user", "bot"]
        .iter()
        .map(|who| {
            let hash = md5_hex(format!("lark root {who} {number}").as_bytes());
            format!("fldcn{}", hash.get(..22).unwrap_or(&hash))
        })
        .collect()
}

/// `ou_...` of an account's user or of its app.
pub(super) fn owner(account: &Account, bot: bool) -> String {
    format!(
        "ou_{}",
        md5_hex(format!("lark owner {bot} {}", account.number).as_bytes())
    )
}

/// A number as the older calls have for users and folders.
pub(super) fn old_id(account: &Account, what: &str) -> String {
    let hash = md5_hex(format!("lark {what} {}", account.number).as_bytes());
    let number = u64::from_str_radix(hash.get(..15).unwrap_or("1"), 16).unwrap_or(1);
    (6_900_000_000_000_000_000 + number % 90_000_000_000_000_000).to_string()
}

/// A time as the setting `times` says: `seconds`, `milliseconds`, `microseconds`, or `mixed`,
/// by lot of the token (section 4: other precisions occur).
pub(super) fn time(account: &Account, token: &str, ms: i64) -> String {
    let form = account.knobs.text("times").unwrap_or_default();
    let lot = token.bytes().map(u32::from).sum::<u32>() % 3;
    match (form.as_str(), lot) {
        ("milliseconds", _) | ("mixed", 1) => ms.to_string(),
        ("microseconds", _) | ("mixed", 2) => ms.saturating_mul(1000).to_string(),
        _ => ms.div_euclid(1000).to_string(),
    }
}

/// The page of an entry.
pub(super) fn url(account: &Account, node: &Node) -> String {
    let page = row(kind(node)).map_or("file", |row| row.2);
    format!("https://sim{}.feishu.cn/{page}/{}", account.number, node.id)
}

/// An entry as a listing shows it: no hash, and no size unless the setting `list_sizes` says so.
pub(super) fn entry(account: &Account, node: &Node) -> Value {
    let mut entry = json!({
        "token": node.id, "name": node.name, "type": kind(node), "parent_token": node.parent,
        "url": url(account, node), "owner_id": owner_of(account, node),
        "created_time": time(account, &node.id, node.created),
        "modified_time": time(account, &node.id, node.modified),
    });
    if kind(node) == "shortcut" {
        entry["shortcut_info"] = json!({
            "target_type": node.text("target_type"), "target_token": node.text("target_token"),
        });
    }
    if has_bytes(node) {
        match account.knobs.text("list_sizes").as_deref() {
            Some("number") => entry["size"] = json!(node.size()),
            Some("text") => entry["size"] = json!(node.size().to_string()),
            _ => {}
        }
    }
    entry
}

/// Who owns an entry.
pub(super) fn owner_of(account: &Account, node: &Node) -> String {
    owner(account, node.text("owner") == "bot")
}

impl LarkDrive {
    /// A new token. Prefixes are not reliable (section 3), so every third has none; capital
    /// and small letters differ.
    pub(super) fn token(&self, kind: &str) -> String {
        const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let prefix = match self.kit.ids.number() % 3 {
            0 => "",
            _ => row(kind).map_or("", |row| row.1),
        };
        let mut number = u128::from_str_radix(&self.kit.ids.hex(32), 16).unwrap_or(1);
        let mut token = prefix.to_owned();
        for _ in prefix.len()..27 {
            let digit = usize::try_from(number % 62).unwrap_or(0);
            token.push(DIGITS.get(digit).copied().map_or('0', char::from));
            // What is used up is filled from above, so that all 27 places differ.
            number = number / 62 + ((number % 62) << 120);
        }
        token
    }
}
