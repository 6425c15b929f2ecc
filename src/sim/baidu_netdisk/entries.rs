//! Entries as listings show them (baidu_netdisk.md sections 3.2 and 4.2).

use serde_json::{Map, Value, json};

use super::super::account::Account;
use super::super::tree::{Node, Tree};
use super::cloud_md5::{cloud_md5, obfuscate};
use super::uk;

/// Id as the number it is, or as text (knob `ids`).
pub(super) fn fs_id(account: &Account, id: &str) -> Value {
    match account.knobs.text("ids").as_deref() {
        Some("text") => json!(id),
        _ => json!(id.parse::<u64>().unwrap_or(0)),
    }
}

/// How many slices a file was stored as. A seeded one counts as uploaded with slices of the
/// normal level.
pub(super) fn slices_of(node: &Node) -> u64 {
    let kept = node.extra.get("slices").and_then(Value::as_u64);
    kept.unwrap_or_else(|| node.size().div_ceil(4 << 20).max(1))
}

/// 1 video, 2 audio, 3 image, 4 document, 5 application, 6 other, 7 torrent.
pub(super) fn category(node: &Node) -> u64 {
    let ext = node.name.rsplit_once('.').map_or("", |(_, ext)| ext);
    match ext.to_ascii_lowercase().as_str() {
        _ if node.is_dir() => 6,
        "mp4" | "mkv" | "avi" | "mov" | "ts" => 1,
        "mp3" | "flac" | "wav" | "m4a" => 2,
        "jpg" | "jpeg" | "png" | "gif" | "webp" => 3,
        "txt" | "pdf" | "doc" | "docx" | "xls" | "xlsx" | "ppt" | "pptx" | "epub" => 4,
        "exe" | "apk" | "dmg" => 5,
        "torrent" => 7,
        _ => 6,
    }
}

/// The `md5` of a file as the knob `cloud_md5` shows it; `None` for a directory.
pub(super) async fn shown_md5(account: &Account, node: &Node) -> Option<String> {
    let blob = node.blob.as_ref()?;
    let plain = cloud_md5(blob, slices_of(node)).await;
    match account.knobs.text("cloud_md5").as_deref() {
        Some("none") => None,
        Some("plain") => Some(plain),
        _ => Some(obfuscate(&plain)),
    }
}

/// `local_ctime` and `local_mtime` of a node in seconds: what the client supplied, else when
/// it was made.
pub(super) fn local_times(node: &Node) -> (i64, i64) {
    let kept = |key| node.extra.get(key).and_then(Value::as_i64);
    let made = node.created.div_euclid(1000);
    let ctime = kept("local_ctime").unwrap_or(made);
    (ctime, kept("local_mtime").unwrap_or(made))
}

/// What an entry of a listing has in every call, less the name.
pub(super) async fn entry(account: &Account, node: &Node, path: &str) -> Map<String, Value> {
    let (local_ctime, local_mtime) = local_times(node);
    let (server_ctime, server_mtime) = (
        node.created.div_euclid(1000),
        node.modified.div_euclid(1000),
    );
    let mut entry = Map::new();
    let fields = [
        ("fs_id", fs_id(account, &node.id)),
        ("path", json!(path)),
        ("isdir", json!(u8::from(node.is_dir()))),
        ("size", json!(node.size())),
        ("category", json!(category(node))),
        ("server_ctime", json!(server_ctime)),
        ("server_mtime", json!(server_mtime)),
        ("local_ctime", json!(local_ctime)),
        ("local_mtime", json!(local_mtime)),
        ("oper_id", json!(uk(account))),
    ];
    entry.extend(fields.map(|(key, value)| (key.to_owned(), value)));
    if let Some(md5) = shown_md5(account, node).await {
        entry.insert("md5".to_owned(), json!(md5));
    }
    entry
}

/// The same with `server_filename` and the numbers nobody needs.
pub(super) async fn listed(account: &Account, node: &Node, path: &str) -> Map<String, Value> {
    let mut entry = entry(account, node, path).await;
    entry.insert("server_filename".to_owned(), json!(node.name));
    for key in [
        "owner_id",
        "owner_type",
        "share",
        "unlist",
        "wpfile",
        "pl",
        "tkbind_id",
    ] {
        entry.insert(key.to_owned(), json!(0));
    }
    entry.insert("real_category".to_owned(), json!(""));
    entry
}

/// Bytes of the files that are not in the bin.
pub(super) fn used(tree: &Tree) -> u64 {
    let files = tree.walk().into_iter().filter(|node| !node.is_dir());
    files
        .filter(|node| tree.live(&node.id).is_some())
        .map(Node::size)
        .sum()
}

/// Space of an account.
pub(super) fn space(account: &Account) -> u64 {
    account.knobs.number("total_size", 2 << 40)
}

/// Whether so many more bytes have a place.
pub(super) fn fits(account: &Account, tree: &Tree, more: u64) -> bool {
    used(tree).saturating_add(more) <= space(account)
}
