//! The virtual tree: storage accounts below `/`, files below them (clouddrive2.md section 9).

use tonic::Status;

use super::super::account::Account;
use super::super::digest::HashKind;
use super::super::tree::{Node, Tree};
use super::gate::Call;
use super::messages::{CloudApi, hash_type};

/// A storage account of the server. Every user has each of them.
pub(super) struct Mount {
    /// First segment of its paths.
    pub name: &'static str,
    /// Id of its root in the tree.
    pub root: &'static str,
    /// The hash its listings carry and its instant upload needs, unless a setting says so.
    hash: u32,
    /// Whether the settings are about it.
    first: bool,
}

/// What a user sees in `/`. Paths of a test's world start at the first.
pub(super) static MOUNTS: [Mount; 2] = [
    Mount {
        name: "115open",
        root: "root-115open",
        hash: hash_type::SHA1,
        first: true,
    },
    Mount {
        name: "pikpak",
        root: "root-pikpak",
        hash: hash_type::PIKPAK_SHA1,
        first: false,
    },
];

impl Mount {
    fn of(tree: &Tree, id: &str) -> Option<&'static Mount> {
        let root = tree.root_of(id)?;
        MOUNTS.iter().find(|mount| mount.root == root)
    }

    fn numbers(&self, account: &Account, knob: &str) -> Vec<u32> {
        match account.knobs.text(knob) {
            Some(text) if self.first => text
                .split(',')
                .filter_map(|number| number.trim().parse().ok())
                .collect(),
            _ => vec![self.hash],
        }
    }

    /// Hash types in listings.
    pub(super) fn lists(&self, account: &Account) -> Vec<u32> {
        self.numbers(account, "lists")
    }

    /// Hash types its instant upload needs; none when it has no instant upload.
    pub(super) fn needs(&self, account: &Account) -> Vec<u32> {
        self.numbers(account, "needs")
    }

    /// How it is shown.
    pub(super) fn api(&self, account: &Account) -> CloudApi {
        CloudApi {
            name: self.name.to_owned(),
            user_name: format!("{}", 1_000_000 + account.number),
            nick_name: String::new(),
            path: Some(format!("/{}", self.name)),
        }
    }
}

/// The digest behind a number of HashType.
pub(super) fn kind_of(number: u32) -> Option<HashKind> {
    match number {
        hash_type::MD5 => Some(HashKind::Md5),
        hash_type::SHA1 => Some(HashKind::Sha1),
        hash_type::PIKPAK_SHA1 => Some(HashKind::Gcid),
        _ => None,
    }
}

/// A digest as uploads and listings write it: PikPakSha1 in upper case (section 5).
pub(super) fn written(number: u32, digest: String) -> String {
    match number {
        hash_type::PIKPAK_SHA1 => digest.to_uppercase(),
        _ => digest,
    }
}

/// What a path names.
pub(super) enum Place {
    /// `/`.
    Root,
    /// A storage account or something in it.
    Node(&'static Mount, Node),
}

/// Path of a node, or nothing for one that is nowhere.
pub(super) fn path_of(tree: &Tree, id: &str) -> String {
    let below = tree.path_of(id);
    let mount = Mount::of(tree, id).map_or("", |mount| mount.name);
    format!("/{mount}{}", below.trim_end_matches('/'))
}

/// The segments of an absolute path.
fn segments(path: &str) -> Result<Vec<&str>, Status> {
    if !path.starts_with('/') {
        return Err(Status::invalid_argument(format!(
            "path is not absolute: {path}"
        )));
    }
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match segments.iter().any(|part| matches!(*part, "." | "..")) {
        true => Err(Status::invalid_argument(format!("bad path: {path}"))),
        false => Ok(segments),
    }
}

/// A path without doubled and trailing slashes, and its last segment.
pub(super) fn split_last(path: &str) -> Result<(String, String), Status> {
    let segments = segments(path)?;
    let (name, parents) = segments
        .split_last()
        .ok_or_else(|| Status::invalid_argument("path has no name"))?;
    Ok((format!("/{}", parents.join("/")), (*name).to_owned()))
}

/// What is wrong with a name; the provider's rules are the settings `name_max` and `forbidden`.
pub(super) fn bad_name(account: &Account, name: &str) -> Option<&'static str> {
    let forbidden = account.knobs.text("forbidden").unwrap_or_default();
    let limit = account.knobs.number("name_max", 255);
    if name.is_empty() || name == "." || name == ".." {
        return Some("invalid file name");
    }
    if name.chars().any(|c| c == '/' || c == '\0') || name.chars().any(|c| forbidden.contains(c)) {
        return Some("file name has a forbidden character");
    }
    (name.chars().count() as u64 > limit).then_some("file name is too long")
}

impl Call {
    /// Refuses a path outside of the token's root folder (section 2.3; inferred).
    fn inside(&self, path: &str) -> Result<(), Status> {
        let root: Vec<&str> = segments(&self.access.root)?;
        match segments(path)?.starts_with(&root) {
            true => Ok(()),
            false => Err(Status::permission_denied(
                "path is outside of the token's root",
            )),
        }
    }

    /// What is at a path.
    pub(super) fn place(&self, path: &str) -> Result<Option<Place>, Status> {
        self.inside(path)?;
        let segments = segments(path)?;
        let Some((first, rest)) = segments.split_first() else {
            return Ok(Some(Place::Root));
        };
        let Some(mount) = MOUNTS.iter().find(|mount| mount.name == *first) else {
            return Ok(None);
        };
        let tree = self.account.tree();
        let node = tree.resolve_from(mount.root, &rest.join("/"));
        Ok(node.map(|node| Place::Node(mount, node.clone())))
    }

    /// The same, where something must be.
    pub(super) fn there(&self, path: &str) -> Result<Place, Status> {
        self.place(path)?
            .ok_or_else(|| Status::not_found(format!("{path} not found")))
    }

    /// A file or folder of a storage account that is to be changed. What is in the way is a text
    /// for `FileOperationResult`, without the word clients take for "exists".
    pub(super) fn target(
        &self,
        path: &str,
    ) -> Result<Result<(&'static Mount, Node), String>, Status> {
        Ok(match self.place(path)? {
            Some(Place::Node(_, node)) if node.parent.is_empty() => {
                Err("a storage account cannot be changed here".to_owned())
            }
            Some(Place::Node(mount, node)) => Ok((mount, node)),
            Some(Place::Root) => Err("the root cannot be changed".to_owned()),
            None if self.account.knobs.text("missing").as_deref() == Some("status") => {
                return Err(Status::not_found(format!("{path} not found")));
            }
            None => Err(format!("{path} not found")),
        })
    }

    /// A folder that something is put into.
    pub(super) fn folder(
        &self,
        path: &str,
    ) -> Result<Result<(&'static Mount, Node), String>, Status> {
        Ok(match self.place(path)? {
            Some(Place::Node(mount, node)) if node.is_dir() => Ok((mount, node)),
            Some(Place::Node(..)) => Err(format!("{path} is not a folder")),
            Some(Place::Root) => Err("the root takes no entries".to_owned()),
            None if self.account.knobs.text("missing").as_deref() == Some("status") => {
                return Err(Status::not_found(format!("{path} not found")));
            }
            None => Err(format!("folder {path} not found")),
        })
    }

    /// Now, in milliseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        self.sim.kit.clock.now_ms()
    }
}
