//! What `panfuse cp` and `panfuse mv` share: where every source goes, walking trees, and going on
//! after a failure. All of it happens through ordinary paths, in a mount or outside.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::CliError;
use super::copy_file::{Manner, Snapshot, copy_file, times};
use super::copy_report::{Progress, Row};
use super::mounted::lexical;
use crate::guard::numbered_name;

/// How many other names are tried for a file whose name is taken.
const OTHER_NAMES: u32 = 10_000;

/// When a file is in the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ConflictPolicy {
    /// It is replaced
    #[default]
    #[value(name = "overwrite_existing")]
    Overwrite,
    /// The new one gets another name: `name (1).ext`
    #[value(name = "auto_rename_new")]
    Rename,
    /// The new one is refused
    #[value(name = "fail")]
    Fail,
}

/// A command under way.
pub(super) struct Copying {
    /// What happened so far.
    pub rows: Vec<Row>,
    /// Directories with everything in them.
    pub recursive: bool,
    /// Times and modes of the sources.
    pub keep: bool,
    /// When a file is in the way.
    pub policy: ConflictPolicy,
    /// What a terminal shows.
    pub progress: Progress,
    /// Files whose copies are closed, as they were when their copy began.
    pub files: Vec<(PathBuf, Snapshot)>,
    /// Source directories, parents before children.
    pub dirs: Vec<PathBuf>,
}

/// Every source with its target, by the rules of coreutils: into the target when that is a
/// directory, else under its name.
///
/// # Errors
/// Exit code 2 when several sources, or one file with a target ending in `/`, meet no directory.
pub(super) fn destinations(paths: &[PathBuf]) -> Result<Vec<(PathBuf, PathBuf)>, CliError> {
    let Some((target, sources)) = paths.split_last() else {
        return Err(CliError::usage("usage", "sources and a target are needed"));
    };
    let into = fs::metadata(target).is_ok_and(|found| found.is_dir());
    let slash = target.as_os_str().as_bytes().ends_with(b"/");
    let file = |source: &PathBuf| !fs::metadata(source).is_ok_and(|found| found.is_dir());
    if !into && (sources.len() > 1 || slash && sources.iter().any(file)) {
        return Err(CliError::usage(
            "target_not_directory",
            format!("{} is not a directory", target.display()),
        )
        .hint("make it first, or name one source and its new name"));
    }
    Ok(sources
        .iter()
        .map(|source| {
            let target = match name_of(source) {
                Some(name) if into => target.join(name),
                _ => target.clone(),
            };
            (source.clone(), target)
        })
        .collect())
}

/// The name a source gets in a directory; `None` for `.`, `x/.` and `..`: what is in them is meant.
fn name_of(source: &Path) -> Option<&std::ffi::OsStr> {
    let bytes = source.as_os_str().as_bytes();
    let last = bytes
        .split(|byte| *byte == b'/')
        .rfind(|part| !part.is_empty())?;
    (last != b"." && last != b"..").then(|| source.file_name())?
}

impl Copying {
    /// Goes through the sources with `one`; a target that two sources share is refused.
    pub fn each(
        &mut self,
        pairs: &[(PathBuf, PathBuf)],
        mut one: impl FnMut(&mut Copying, &Path, &Path),
    ) {
        let mut taken = HashSet::new();
        for (source, target) in pairs {
            if taken.insert(lexical(target)) || name_of(source).is_none() {
                one(self, source, target);
            } else {
                let why = format!("another source has just become {}", target.display());
                self.failed(source, target, why);
            }
        }
        self.progress.end();
    }

    /// Notes a failure.
    pub fn failed(&mut self, source: &Path, target: &Path, error: impl Into<String>) {
        self.rows.push(Row::failed(source, target, error.into()));
    }

    /// How many failed.
    pub fn failures(&self) -> usize {
        self.rows.iter().filter(|row| row.error.is_some()).count()
    }

    /// Copies whatever `source` is to the name `target`.
    pub fn copy(&mut self, source: &Path, target: &Path) {
        let found = match fs::symlink_metadata(source) {
            Ok(found) => found,
            Err(error) => {
                return self.failed(source, target, format!("{}: {error}", source.display()));
            }
        };
        let refuse = |why: &str| format!("{} {why}", source.display());
        if found.is_symlink() {
            let why = "is a symbolic link, and drives have none; name the file it leads to";
            self.failed(source, target, refuse(why));
        } else if found.is_file() {
            self.copy_one(source, target);
        } else if !found.is_dir() {
            let why = "is neither a file nor a directory";
            self.failed(source, target, refuse(why));
        } else if !self.recursive {
            let why = "is a directory; -r copies directories";
            self.failed(source, target, refuse(why));
        } else if is_within(target, source) {
            let why = format!("cannot be copied into itself, {}", target.display());
            self.failed(source, target, refuse(&why));
        } else {
            self.copy_dir(source, target, &found);
        }
    }

    fn copy_dir(&mut self, source: &Path, target: &Path, found: &fs::Metadata) {
        // Listed before the target is made: what this copy makes is no source of it.
        let mut names = match read_names(source) {
            Ok(names) => names,
            Err(error) => {
                return self.failed(source, target, format!("{}: {error}", source.display()));
            }
        };
        names.sort();
        if let Err(error) = fs::create_dir(target) {
            let there = error.kind() == io::ErrorKind::AlreadyExists
                && fs::metadata(target).is_ok_and(|found| found.is_dir());
            if !there {
                return self.failed(source, target, format!("{}: {error}", target.display()));
            }
        }
        self.dirs.push(source.to_owned());
        for name in names {
            self.copy(&source.join(&name), &target.join(&name));
        }
        if self.keep {
            let kept = fs::File::open(target).and_then(|dir| {
                dir.set_times(times(found))?;
                dir.set_permissions(found.permissions())
            });
            if let Err(error) = kept {
                let target = target.display();
                self.progress
                    .remark(format!("{target}: times and mode were not kept: {error}"));
            }
        }
    }

    fn copy_one(&mut self, source: &Path, target: &Path) {
        let mut target = target.to_owned();
        if self.policy == ConflictPolicy::Rename {
            match free_name(&target) {
                Some(free) => target = free,
                None => return self.failed(source, &target, "no other name is free"),
            }
        }
        let manner = Manner {
            keep: self.keep,
            only_new: self.policy != ConflictPolicy::Overwrite,
        };
        self.progress.begin(source);
        let progress = &self.progress;
        match copy_file(source, &target, manner, &mut |bytes| progress.add(bytes)) {
            Ok(copied) => {
                for remark in copied.remarks {
                    self.progress.remark(remark);
                }
                self.rows.push(Row::copied(source, &target, copied.bytes));
                self.files.push((source.to_owned(), copied.source));
            }
            Err(error) => self.failed(source, &target, error),
        }
    }
}

fn read_names(dir: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    fs::read_dir(dir)?
        .map(|entry| Ok(entry?.file_name()))
        .collect()
}

/// Whether `path`, which need not exist, is `dir` or below it.
pub(super) fn is_within(path: &Path, dir: &Path) -> bool {
    let Ok(dir) = dir.canonicalize() else {
        return false;
    };
    lexical(path)
        .ancestors()
        .find_map(|above| above.canonicalize().ok())
        .is_some_and(|above| above.starts_with(&dir))
}

/// `target`, or `name (1).ext` and so on when that is taken.
pub(super) fn free_name(target: &Path) -> Option<PathBuf> {
    let is_free = |path: &Path| fs::symlink_metadata(path).is_err();
    if is_free(target) {
        return Some(target.to_owned());
    }
    let name = target.file_name()?;
    (1..OTHER_NAMES)
        .map(|number| target.with_file_name(numbered_name(name, number)))
        .find(|path| is_free(path))
}

#[cfg(test)]
pub(super) mod testing {
    //! A command without a terminal.

    use super::*;

    pub(crate) fn copying() -> Copying {
        Copying {
            rows: Vec::new(),
            recursive: false,
            keep: false,
            policy: ConflictPolicy::Overwrite,
            progress: Progress::hidden(),
            files: Vec::new(),
            dirs: Vec::new(),
        }
    }

    pub(crate) fn write(top: &Path, name: &str, text: &str) {
        let path = top.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(top: &Path, name: &str) -> String {
        fs::read_to_string(top.join(name)).unwrap_or_else(|error| error.kind().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{copying, read, write};
    use super::*;

    #[test]
    fn sources_go_where_coreutils_puts_them() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path();
        write(top, "a.txt", "");
        write(top, "d/e/x", "");
        let go = |words: &[&str]| {
            let paths: Vec<PathBuf> = words.iter().map(|word| top.join(word)).collect();
            destinations(&paths)
                .map(|pairs| {
                    pairs
                        .iter()
                        .map(|(_, to)| to.strip_prefix(top).unwrap().display().to_string())
                        .collect::<Vec<_>>()
                })
                .map_err(|error| (error.code, error.exit))
        };
        let refused = Err(("target_not_directory".to_owned(), 2));
        assert_eq!(go(&["a.txt", "b"]), Ok(vec!["b".to_owned()]));
        assert_eq!(go(&["a.txt", "d"]), Ok(vec!["d/a.txt".to_owned()]));
        assert_eq!(
            go(&["a.txt", "d/e/", "d"]),
            Ok(vec!["d/a.txt".to_owned(), "d/e".to_owned()])
        );
        assert_eq!(go(&["d/e/.", "d"]), Ok(vec!["d".to_owned()]));
        assert_eq!(go(&["d", "new/"]), Ok(vec!["new".to_owned()]));
        assert_eq!(go(&["a.txt", "new/"]), refused);
        assert_eq!(go(&["a.txt", "d", "new"]), refused);
        assert_eq!(go(&["d", "d/e", "a.txt"]), refused);
    }

    #[test]
    fn trees_are_merged_and_the_rest_goes_on_after_a_failure() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path();
        write(top, "s/1", "one");
        write(top, "s/sub/2", "two");
        write(top, "s/sub/3", "three");
        write(top, "t/1", "old");
        write(top, "t/own", "own");
        write(top, "t/sub/2/in-the-way", "kept");
        std::os::unix::fs::symlink("1", top.join("s/link")).unwrap();
        let mut command = copying();
        command.copy(&top.join("s"), &top.join("t"));
        assert_eq!(command.failures(), 1);
        let why = command.rows.pop().unwrap().error.unwrap();
        assert!(why.contains("-r"), "{why}");

        command.recursive = true;
        command.copy(&top.join("s"), &top.join("t"));
        assert_eq!(command.failures(), 2, "{:?}", command.rows);
        assert_eq!(command.files.len(), 2);
        assert_eq!(read(top, "t/1"), "one");
        assert_eq!(read(top, "t/own"), "own");
        assert_eq!(read(top, "t/sub/3"), "three");
        assert_eq!(read(top, "t/sub/2/in-the-way"), "kept");
        let errors: Vec<_> = command
            .rows
            .iter()
            .filter_map(|row| row.error.clone())
            .collect();
        assert!(errors[0].contains("symbolic link"), "{errors:?}");
        assert!(errors[1].contains("directory"), "{errors:?}");
        // The sources are as they were.
        assert_eq!(read(top, "s/sub/2"), "two");
    }

    #[test]
    fn a_tree_is_not_copied_into_itself() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path();
        write(top, "s/1", "one");
        std::os::unix::fs::symlink(top.join("s"), top.join("link")).unwrap();
        let mut command = copying();
        command.recursive = true;
        for target in ["s", "s/new", "s/a/../b", "link/new"] {
            command.copy(&top.join("s"), &top.join(target));
        }
        assert_eq!(command.failures(), 4);
        command.copy(&top.join("s"), &top.join("s2"));
        assert_eq!(command.failures(), 4);
        assert_eq!(read(top, "s2/1"), "one");
        assert_eq!(fs::read_dir(top.join("s")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_in_the_way_meets_the_policy() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path();
        write(top, "s.txt", "new");
        write(top, "t.txt", "old");
        write(top, "t (1).txt", "older");
        let mut command = copying();
        command.policy = ConflictPolicy::Fail;
        command.copy(&top.join("s.txt"), &top.join("t.txt"));
        assert_eq!((command.failures(), read(top, "t.txt")), (1, "old".into()));
        command.policy = ConflictPolicy::Rename;
        command.copy(&top.join("s.txt"), &top.join("t.txt"));
        assert_eq!(read(top, "t (2).txt"), "new");
        assert_eq!(read(top, "t.txt"), "old");
        command.policy = ConflictPolicy::Overwrite;
        command.copy(&top.join("s.txt"), &top.join("t.txt"));
        assert_eq!((command.failures(), read(top, "t.txt")), (1, "new".into()));
    }

    #[test]
    fn two_sources_do_not_become_one_file() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path();
        write(top, "a/x", "first");
        write(top, "b/x", "second");
        write(top, "t/y", "");
        let pairs = destinations(&["a/x", "none", "b/x", "t"].map(|name| top.join(name))).unwrap();
        let mut command = copying();
        command.each(&pairs, Copying::copy);
        assert_eq!(command.failures(), 2);
        assert_eq!(read(top, "t/x"), "first");
        assert_eq!(read(top, "b/x"), "second");
        let errors: Vec<_> = command
            .rows
            .iter()
            .filter_map(|row| row.error.clone())
            .collect();
        assert!(errors[0].contains("none"), "{errors:?}");
    }
}
