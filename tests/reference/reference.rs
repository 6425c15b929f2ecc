//! The model: what POSIX says about a tree of directories and byte vectors. Paths are
//! `profile/dir/name`; profiles cannot be changed.

use std::collections::{BTreeMap, HashMap};

/// A path or an errno.
pub type Outcome<T = ()> = Result<T, i32>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Dir,
    File(usize),
}

#[derive(Clone, Copy, Debug)]
pub struct Handle {
    pub file: usize,
    pub write: bool,
    pub append: bool,
}

/// The tree.
#[derive(Clone, Default)]
pub struct Model {
    pub entries: BTreeMap<String, Entry>,
    pub contents: Vec<Vec<u8>>,
    pub times: HashMap<usize, i64>,
}

impl Model {
    pub fn new(profiles: &[&str]) -> Model {
        let mut model = Model::default();
        for profile in profiles {
            model.entries.insert((*profile).to_owned(), Entry::Dir);
        }
        model
    }

    /// The entry of a path, with the errors of walking there.
    pub fn at(&self, path: &str) -> Outcome<Entry> {
        for (end, _) in path.match_indices('/') {
            match self.entries.get(&path[..end]) {
                Some(Entry::Dir) => {}
                Some(Entry::File(_)) => return Err(libc::ENOTDIR),
                None => return Err(libc::ENOENT),
            }
        }
        self.entries.get(path).copied().ok_or(libc::ENOENT)
    }

    pub fn file(&self, path: &str) -> Outcome<usize> {
        match self.at(path)? {
            Entry::File(file) => Ok(file),
            Entry::Dir => Err(libc::EISDIR),
        }
    }

    /// Opens for writing, making the file when it is missing.
    pub fn create(&mut self, path: &str, truncate: bool) -> Outcome<usize> {
        match self.file(path) {
            Ok(file) => {
                if truncate {
                    self.contents[file].clear();
                    self.times.remove(&file);
                }
                Ok(file)
            }
            Err(libc::ENOENT) => {
                self.parent(path)?;
                self.contents.push(Vec::new());
                let file = self.contents.len() - 1;
                self.entries.insert(path.to_owned(), Entry::File(file));
                Ok(file)
            }
            Err(error) => Err(error),
        }
    }

    fn parent(&self, path: &str) -> Outcome {
        let (parent, _) = path.rsplit_once('/').unwrap();
        match self.at(parent)? {
            Entry::Dir => Ok(()),
            Entry::File(_) => Err(libc::ENOTDIR),
        }
    }

    pub fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        let content = &mut self.contents[file];
        let end = offset + bytes.len();
        if !bytes.is_empty() {
            if content.len() < end {
                content.resize(end, 0);
            }
            content[offset..end].copy_from_slice(bytes);
            self.times.remove(&file);
        }
    }

    pub fn truncate(&mut self, file: usize, size: usize) {
        if self.contents[file].len() != size {
            self.contents[file].resize(size, 0);
            self.times.remove(&file);
        }
    }

    pub fn mkdir(&mut self, path: &str) -> Outcome {
        match self.at(path) {
            Ok(_) => Err(libc::EEXIST),
            Err(libc::ENOENT) => {
                self.parent(path)?;
                self.entries.insert(path.to_owned(), Entry::Dir);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    pub fn unlink(&mut self, path: &str) -> Outcome {
        self.file(path)?;
        self.entries.remove(path);
        Ok(())
    }

    pub fn rmdir(&mut self, path: &str) -> Outcome {
        match self.at(path)? {
            Entry::File(_) => return Err(libc::ENOTDIR),
            Entry::Dir => {}
        }
        if !self.names(path).is_empty() {
            return Err(libc::ENOTEMPTY);
        }
        self.entries.remove(path);
        Ok(())
    }

    pub fn rename(&mut self, from: &str, to: &str) -> Outcome {
        let moved = self.at(from)?;
        self.parent(to)?;
        if profile(from) != profile(to) {
            return Err(libc::EXDEV);
        }
        if moved == Entry::Dir && (to == from || to.starts_with(&format!("{from}/"))) {
            return if to == from {
                Ok(())
            } else {
                Err(libc::EINVAL)
            };
        }
        match (moved, self.at(to)) {
            (_, Ok(target)) if target == moved && from == to => return Ok(()),
            (Entry::Dir, Ok(Entry::File(_))) => return Err(libc::ENOTDIR),
            (Entry::File(_), Ok(Entry::Dir)) => return Err(libc::EISDIR),
            (Entry::Dir, Ok(Entry::Dir)) => {
                if !self.names(to).is_empty() {
                    return Err(libc::ENOTEMPTY);
                }
            }
            (_, Ok(_) | Err(libc::ENOENT)) => {}
            (_, Err(error)) => return Err(error),
        }
        self.entries.remove(from);
        self.entries.insert(to.to_owned(), moved);
        let below = format!("{from}/");
        let inside: Vec<String> = self
            .entries
            .keys()
            .filter(|path| path.starts_with(&below))
            .cloned()
            .collect();
        for path in inside {
            let entry = self.entries.remove(&path).unwrap();
            self.entries
                .insert(format!("{to}/{}", &path[below.len()..]), entry);
        }
        Ok(())
    }

    /// Names in a directory, sorted.
    pub fn names(&self, path: &str) -> Vec<String> {
        let below = format!("{path}/");
        self.entries
            .keys()
            .filter_map(|path| path.strip_prefix(&below))
            .filter(|rest| !rest.contains('/'))
            .map(str::to_owned)
            .collect()
    }

    pub fn dirs(&self) -> Vec<String> {
        let dirs = self
            .entries
            .iter()
            .filter(|(_, entry)| **entry == Entry::Dir);
        dirs.map(|(path, _)| path.clone()).collect()
    }

    pub fn files(&self) -> Vec<(String, usize)> {
        self.entries
            .iter()
            .filter_map(|(path, entry)| match entry {
                Entry::File(file) => Some((path.clone(), *file)),
                Entry::Dir => None,
            })
            .collect()
    }
}

pub fn profile(path: &str) -> &str {
    path.split('/').next().unwrap()
}
