//! Paths: the rules for names, and what lies at a path (baidu_netdisk.md section 9).

use super::super::account::Account;
use super::super::clock::beijing;
use super::super::tree::{Node, Tree};
use super::errors::ApiError;

/// Longest path in characters.
const LONGEST: usize = 1000;

/// Whether a component may be a name.
pub(super) fn good_name(account: &Account, name: &str) -> bool {
    const BLANK: [char; 6] = [' ', '\t', '\r', '\n', '\0', '\u{b}'];
    let edge = |c: char| c == '.' || BLANK.contains(&c);
    let most = account.knobs.number("name_max", 255);
    !name.is_empty()
        && name.chars().count() as u64 <= most
        && !name.starts_with(edge)
        && !name.ends_with(edge)
        && !name.contains(['\\', '?', '|', '"', '>', '<', ':', '*', '/'])
}

/// The components of an absolute path that names a place to write at.
pub(super) fn components<'p>(account: &Account, path: &'p str) -> Result<Vec<&'p str>, ApiError> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(ApiError::bad_path());
    };
    let names: Vec<&str> = rest.split('/').collect();
    if path.chars().count() > LONGEST || !names.iter().all(|name| good_name(account, name)) {
        return Err(ApiError::bad_path());
    }
    Ok(names)
}

/// The same for an app that may write below its own folder only (knob `app_only`, whose
/// value is the folder's name).
pub(super) fn writable<'p>(account: &Account, path: &'p str) -> Result<Vec<&'p str>, ApiError> {
    let names = components(account, path)?;
    match account.knobs.text("app_only").filter(|app| !app.is_empty()) {
        Some(app) if names.len() < 3 || names.get(..2) != Some(&["apps", app.as_str()]) => {
            Err(ApiError::bad_path())
        }
        _ => Ok(names),
    }
}

/// The live node at an absolute path; a slash at the end changes nothing.
pub(super) fn at<'t>(tree: &'t Tree, path: &str) -> Option<&'t Node> {
    let node = path.starts_with('/').then(|| tree.resolve(path))??;
    tree.live(&node.id)
}

/// The live directory at an absolute path.
pub(super) fn dir_at<'t>(tree: &'t Tree, path: &str) -> Option<&'t Node> {
    at(tree, path).filter(|node| node.is_dir())
}

/// Id of the directory that `names` lead to; makes those that are missing, with ids from
/// `new_id`. `None` when a file is in the way.
pub(super) fn make_dirs(
    tree: &mut Tree,
    names: &[&str],
    now: i64,
    new_id: &mut dyn FnMut() -> String,
) -> Option<String> {
    let mut place = tree.root().to_owned();
    for name in names {
        let known = tree
            .find(&place, name)
            .first()
            .map(|n| (n.id.clone(), n.is_dir()));
        place = match known {
            Some((id, true)) => id,
            Some((_, false)) => return None,
            None => {
                let id = new_id();
                tree.insert(Node::dir(&id, &place, name, now));
                id
            }
        };
    }
    Some(place)
}

/// A free name for a file or directory that may not have `name`: `name_20210726_163824.ext`.
pub(super) fn renamed(tree: &Tree, parent: &str, name: &str, now: i64) -> String {
    let time = beijing(now).replace(['-', ':'], "").replace(' ', "_");
    let (stem, ext) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    tree.free_name(parent, &format!("{stem}_{time}{ext}"))
}
