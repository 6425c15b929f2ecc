//! Objects and directory markers over the account's tree. The tree is the truth: an object is
//! where its node is, so that what a test does to the tree is done to the bucket.

use super::super::account::Account;
use super::super::content::Blob;
use super::super::digest::{HashKind, md5_hex};
use super::super::tree::{Node, Tree};
use super::checksums::{Algorithm, unhex};
use super::errors::S3Error;
use super::metadata::Kept;
use super::{S3, State, rules};

/// Seeded files beyond this cannot have come in one piece.
const LARGEST_PUT: u64 = 5 << 30;
/// Parts that they seem to have come in.
const SEEDED_PART: u64 = 8 << 20;

/// How the entity tag of a content is made.
#[derive(Clone, Debug, Default)]
pub(super) enum Etag {
    /// MD5 of the content.
    #[default]
    Md5,
    /// It is this one.
    Known(String),
    /// As if it had come in parts of so many bytes.
    Parts(u64),
}

/// What is kept beside a node.
#[derive(Clone)]
pub(super) struct Stored {
    /// The content all this is about: when the node has another one, nothing here counts.
    pub blob: Blob,
    pub etag: Etag,
    pub kept: Kept,
    pub checksum: Option<(Algorithm, String)>,
    /// Of a marker: milliseconds since 1970, as shown.
    modified: i64,
    /// Of a marker: when it came.
    created: i64,
}

/// What comes to be an object.
pub(super) struct New {
    pub blob: Blob,
    pub etag: Etag,
    pub kept: Kept,
    pub checksum: Option<(Algorithm, String)>,
    /// Milliseconds since 1970, as shown.
    pub modified: i64,
}

/// An object as it was found.
#[derive(Clone)]
pub(super) struct Object {
    pub key: String,
    /// Its node; of a marker the directory's.
    pub id: String,
    /// What the server believes it has.
    pub blob: Blob,
    /// What a download gives.
    pub stored: Blob,
    pub etag: Etag,
    pub kept: Kept,
    pub checksum: Option<(Algorithm, String)>,
    /// Milliseconds since 1970, as shown.
    pub modified: i64,
    /// When it came.
    pub created: i64,
}

impl Object {
    /// Its entity tag, without quotes.
    pub async fn etag(&self, account: &Account) -> String {
        if rules::of(account, "etag") == "opaque" {
            // Long contents are told apart by their time: to hash them would take too long.
            let size = self.blob.size();
            let md5 = match size <= 1 << 20 {
                true => self.blob.digest(HashKind::Md5).await,
                false => size.to_string(),
            };
            return md5_hex(format!("{}:{}:{md5}", self.id, self.modified).as_bytes());
        }
        match &self.etag {
            Etag::Known(tag) => tag.clone(),
            Etag::Md5 => self.blob.digest(HashKind::Md5).await,
            Etag::Parts(size) => {
                let all = self.blob.digest(HashKind::BlockMd5(*size)).await;
                etag_of_parts(all.split(','))
            }
        }
    }

    /// The same with quotes.
    pub async fn quoted(&self, account: &Account) -> String {
        format!("\"{}\"", self.etag(account).await)
    }

    /// Seconds since 1970, as headers show them.
    pub fn modified_s(&self) -> i64 {
        self.modified.div_euclid(1000)
    }

    /// Whether both are one version of one object.
    fn is(&self, other: &Object) -> bool {
        self.id == other.id && self.blob.is(&other.blob) && self.modified == other.modified
    }
}

/// The entity tag of an upload in parts, from theirs in hex.
pub(super) fn etag_of_parts<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut joined = Vec::new();
    let mut count = 0_usize;
    for part in parts {
        joined.extend(unhex(part));
        count += 1;
    }
    format!("{}-{count}", md5_hex(&joined))
}

/// Whether both mean the same version, or both nothing.
fn same(one: Option<&Object>, other: Option<&Object>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.is(other),
        _ => false,
    }
}

/// The directories of this path; none when there is none.
fn directories(tree: &Tree, path: Option<&str>) -> Vec<String> {
    let mut all = vec![tree.root().to_owned()];
    for name in path.into_iter().flat_map(|path| path.split('/')) {
        let below = all.iter().flat_map(|id| tree.find(id, name));
        all = below
            .filter(|node| node.is_dir())
            .map(|node| node.id.clone())
            .collect();
    }
    all
}

/// Directory (`None`: the root) and name of a key; the name of a marker is empty.
fn split(key: &str) -> (Option<&str>, &str) {
    match key.rsplit_once('/') {
        Some((above, name)) => (Some(above), name),
        None => (None, key),
    }
}

impl State {
    /// The object that a file is.
    pub(super) fn of_file(&self, key: &str, node: &Node) -> Option<Object> {
        let blob = node.blob.clone()?;
        let own = self.stored.get(&node.id);
        let own = own.filter(|own| own.blob.is(&blob)).cloned();
        let stored = node.stored.clone().unwrap_or_else(|| blob.clone());
        let (etag, kept, checksum) =
            own.map_or_else(Default::default, |own| (own.etag, own.kept, own.checksum));
        Some(Object {
            key: key.to_owned(),
            id: node.id.clone(),
            blob,
            stored,
            etag,
            kept,
            checksum,
            modified: node.modified,
            created: node.created,
        })
    }

    /// The marker of a directory; `key` ends with a slash.
    pub(super) fn of_marker(&self, key: &str, id: &str) -> Option<Object> {
        let own = self.stored.get(id)?.clone();
        Some(Object {
            key: key.to_owned(),
            id: id.to_owned(),
            stored: own.blob.clone(),
            blob: own.blob,
            etag: own.etag,
            kept: own.kept,
            checksum: own.checksum,
            modified: own.modified,
            created: own.created,
        })
    }

    /// An object by key.
    pub(super) fn find(&self, tree: &Tree, key: &str) -> Option<Object> {
        let (above, name) = split(key);
        directories(tree, above).iter().find_map(|dir| match name {
            "" => self.of_marker(key, dir),
            name => {
                let mut files = tree.find(dir, name).into_iter();
                let file = files.find(|node| !node.is_dir())?;
                self.of_file(key, file)
            }
        })
    }

    /// Bytes that an account uses: objects, markers and open parts.
    fn used(&self, account: &Account, tree: &Tree) -> u64 {
        let parts = self.uploads.values();
        let parts = parts.filter(|upload| upload.profile == account.profile);
        let parts = parts.map(super::multipart::Upload::bytes);
        let markers = self.stored.iter().filter_map(|(id, stored)| {
            let node = tree.get(id)?;
            node.is_dir().then(|| stored.blob.size())
        });
        parts.chain(markers).fold(tree.used(), u64::saturating_add)
    }

    /// Refuses what does not fit: `more` bytes that take the place of `less`.
    pub(super) fn check_space(
        &self,
        account: &Account,
        tree: &Tree,
        more: u64,
        less: u64,
    ) -> Result<(), S3Error> {
        let total = account.knobs.number("total_size", 10 << 40);
        let used = self.used(account, tree).saturating_sub(less);
        match used.saturating_add(more) > total {
            true => Err(S3Error::no_space()),
            false => Ok(()),
        }
    }
}

impl S3 {
    /// An object of an account.
    pub(super) fn object(&self, account: &Account, key: &str) -> Option<Object> {
        let state = self.state();
        let tree = account.tree();
        state.find(&tree, key)
    }

    /// A new id for a node.
    fn node_id(&self) -> String {
        self.kit.ids.decimal(10)
    }

    /// With the rule `marker_is_file`: a key below a file, or in a directory's place, cannot be
    /// written (sheet, section 5).
    fn check_obstacles(account: &Account, tree: &Tree, key: &str) -> Result<(), S3Error> {
        if !rules::yes(account, "marker_is_file") {
            return Ok(());
        }
        let is_file = |path: &str| {
            let (above, name) = split(path);
            let dirs = directories(tree, above);
            let mut found = dirs.iter().flat_map(|dir| tree.find(dir, name));
            found.any(|node| !node.is_dir())
        };
        let mut above = key.match_indices('/').filter_map(|(at, _)| key.get(..at));
        match above.any(is_file) || !directories(tree, Some(key)).is_empty() {
            true => Err(S3Error::internal()),
            false => Ok(()),
        }
    }

    /// Puts a content at a key, in place of what is there.
    fn write(&self, state: &mut State, tree: &mut Tree, key: &str, new: New) {
        let now = self.kit.clock.now_ms();
        let (above, name) = split(key);
        let mut dir = tree.root().to_owned();
        for part in above.into_iter().flat_map(|path| path.split('/')) {
            let known = tree.find(&dir, part).into_iter().find(|node| node.is_dir());
            dir = match known.map(|node| node.id.clone()) {
                Some(id) => id,
                None => {
                    let id = self.node_id();
                    tree.insert(Node::dir(&id, &dir, part, now));
                    id
                }
            };
        }
        let id = match name {
            "" => dir,
            name => {
                let known = tree
                    .find(&dir, name)
                    .into_iter()
                    .find(|node| !node.is_dir());
                let id = match known.map(|node| node.id.clone()) {
                    Some(id) => id,
                    None => {
                        let id = self.node_id();
                        tree.insert(Node::file(&id, &dir, name, new.blob.clone(), now));
                        id
                    }
                };
                tree.update(&id, |node| {
                    node.blob = Some(new.blob.clone());
                    node.stored = None;
                    node.modified = new.modified;
                });
                id
            }
        };
        let stored = Stored {
            blob: new.blob,
            etag: new.etag,
            kept: new.kept,
            checksum: new.checksum,
            modified: new.modified,
            created: now,
        };
        state.stored.insert(id, stored);
    }

    /// Puts a content at a key if the object there is still `seen`; `None` when it is not.
    /// `upload` is the upload that ends with it.
    pub(super) fn try_write(
        &self,
        account: &Account,
        key: &str,
        seen: Option<&Object>,
        upload: Option<&str>,
        new: New,
    ) -> Result<Option<Object>, S3Error> {
        let mut state = self.state();
        let mut tree = account.tree();
        let there = state.find(&tree, key);
        if !same(seen, there.as_ref()) {
            return Ok(None);
        }
        Self::check_obstacles(account, &tree, key)?;
        let old = there.map_or(0, |object| object.blob.size());
        match upload {
            Some(id) => {
                let gone = state.uploads.remove(id);
                gone.ok_or_else(|| S3Error::no_such_upload(id))?;
            }
            None => state.check_space(account, &tree, new.blob.size(), old)?,
        }
        self.write(&mut state, &mut tree, key, new);
        Ok(state.find(&tree, key))
    }

    /// Whether something could be written at a key now: asked before a body is taken in.
    pub(super) fn may_write(&self, account: &Account, key: &str, size: u64) -> Result<(), S3Error> {
        let state = self.state();
        let tree = account.tree();
        Self::check_obstacles(account, &tree, key)?;
        let old = state
            .find(&tree, key)
            .map_or(0, |object| object.blob.size());
        state.check_space(account, &tree, size, old)
    }

    /// Deletes an object if it is still `seen`, and the directories that nothing keeps; `false`
    /// when it is another by now.
    pub(super) fn try_delete(&self, account: &Account, key: &str, seen: &Object) -> bool {
        let mut state = self.state();
        let mut tree = account.tree();
        let there = state.find(&tree, key);
        if !same(Some(seen), there.as_ref()) {
            return false;
        }
        state.stored.remove(&seen.id);
        let file = tree.get(&seen.id).filter(|node| !node.is_dir());
        let mut at = match file.map(|node| node.parent.clone()) {
            Some(parent) => {
                tree.remove(&seen.id);
                parent
            }
            None => seen.id.clone(),
        };
        while at != tree.root()
            && !state.stored.contains_key(&at)
            && tree.all_children(&at).next().is_none()
            && let Some(parent) = tree.get(&at).map(|node| node.parent.clone())
        {
            tree.remove(&at);
            at = parent;
        }
        true
    }

    /// Takes a node that a test seeded into the bucket. A directory gets a marker; directories above
    /// it that came with it have none.
    pub(super) fn adopt(&self, account: &Account, id: &str) {
        let mut state = self.state();
        let tree = account.tree();
        let Some(node) = tree.get(id) else {
            return;
        };
        let part = account.knobs.number("seed_part_size", 0);
        let (etag, blob) = match &node.blob {
            Some(blob) if part > 0 && blob.size() > part => (Etag::Parts(part), blob.clone()),
            Some(blob) if blob.size() > LARGEST_PUT => (Etag::Parts(SEEDED_PART), blob.clone()),
            Some(blob) => (Etag::Md5, blob.clone()),
            None => (Etag::Md5, Blob::bytes("")),
        };
        let stored = Stored {
            blob,
            etag,
            kept: Kept::default(),
            checksum: None,
            modified: node.modified,
            created: node.created,
        };
        state.stored.insert(id.to_owned(), stored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_parts() {
        // MD5 of the two MD5s of "a" and "b", computed with other tools.
        let parts = [md5_hex(b"a"), md5_hex(b"b")];
        let tag = etag_of_parts(parts.iter().map(String::as_str));
        assert_eq!(tag, "96e024ba2074fe77e8e965ba43a704be-2");
        assert_eq!(split("a/b/c"), (Some("a/b"), "c"));
        assert_eq!(split("a/"), (Some("a"), ""));
        assert_eq!(split("a"), (None, "a"));
        assert_eq!(split("/"), (Some(""), ""));
    }
}
