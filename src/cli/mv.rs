//! `panfuse mv`: moves the way coreutils' `mv` does through a mount, with progress: a rename where
//! that is possible, else a copy, and the source goes only when all of it is stored.

use std::fs;
use std::io;
use std::path::Path;

use super::copy_file::Snapshot;
use super::copy_report::{Progress, Row, report};
use super::copying::{ConflictPolicy, Copying, destinations, free_name, is_within};
use super::{CliResult, Context, sys};

/// Its options.
#[derive(Debug, clap::Args)]
#[command(override_usage = "panfuse mv [OPTIONS] <SOURCE>... <TARGET>")]
pub struct Args {
    /// Sources, then the target; in a mount or outside
    #[arg(value_name = "PATH", required = true, num_args = 2..)]
    pub paths: Vec<std::path::PathBuf>,
    /// When a file is in the way
    #[arg(long, value_name = "POLICY", default_value = "overwrite_existing")]
    pub conflict_policy: ConflictPolicy,
}

/// Runs it.
///
/// # Errors
/// `target_not_directory`; `copy_failed` when any source could not be moved.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let pairs = destinations(&args.paths)?;
    let mut command = Copying {
        rows: Vec::new(),
        recursive: true,
        keep: true,
        policy: args.conflict_policy,
        progress: Progress::new(&pairs),
        files: Vec::new(),
        dirs: Vec::new(),
    };
    command.each(&pairs, |command, source, target| {
        move_one(command, source, target, rename);
    });
    report(context, command)
}

/// Moves one source. `rename` is the call; tests bring one that refuses.
fn move_one(
    command: &mut Copying,
    source: &Path,
    target: &Path,
    rename: fn(&Path, &Path, bool) -> io::Result<()>,
) {
    let told = |error: io::Error| format!("{}: {error}", source.display());
    let from = match fs::symlink_metadata(source) {
        Ok(found) => found,
        Err(error) => return command.failed(source, target, told(error)),
    };
    if let Ok(there) = fs::symlink_metadata(target)
        && Snapshot::of(&there).is_same_file(&Snapshot::of(&from))
    {
        let both = format!("{} and {}", source.display(), target.display());
        return command.failed(source, target, format!("{both} are the same file"));
    }
    if from.is_dir() && is_within(target, source) {
        let why = format!("{} cannot be moved into itself", source.display());
        return command.failed(source, target, why);
    }
    let mut target = target.to_owned();
    if command.policy == ConflictPolicy::Rename {
        match free_name(&target) {
            Some(free) => target = free,
            None => return command.failed(source, &target, "no other name is free"),
        }
    }
    let only_new = command.policy != ConflictPolicy::Overwrite;
    match rename(source, &target, only_new) {
        Ok(()) => command.rows.push(Row::renamed(source, &target)),
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) => {
            copy_and_remove(command, source, &target, from.is_dir());
        }
        Err(error) => {
            let why = format!("{} to {}: {error}", source.display(), target.display());
            command.failed(source, &target, why);
        }
    }
}

fn rename(source: &Path, target: &Path, only_new: bool) -> io::Result<()> {
    if !only_new {
        return fs::rename(source, target);
    }
    match sys::rename_new(source, target) {
        // A file system that cannot promise it: looked at first, as well as that goes.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
            match fs::symlink_metadata(target) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => fs::rename(source, target),
            }
        }
        other => other,
    }
}

/// Between two file systems, or two drives of one mount.
fn copy_and_remove(command: &mut Copying, source: &Path, target: &Path, is_dir: bool) {
    if is_dir {
        // What rename(2) would say: a directory takes only an empty one's place.
        let mut there = fs::read_dir(target).into_iter().flatten();
        if there.next().is_some() {
            let why = format!("{} is there and is not empty", target.display());
            return command.failed(source, target, why);
        }
    }
    let failures = command.failures();
    command.files.clear();
    command.dirs.clear();
    command.copy(source, target);
    if command.failures() > failures {
        // Every source is left whole: a part of a tree is no tree.
        return;
    }
    for (file, snapshot) in std::mem::take(&mut command.files) {
        if let Err(why) = remove_copied(&file, &snapshot) {
            let why = format!("{} is copied but not removed: {why}", file.display());
            command.failed(&file, target, why);
        }
    }
    // What was put into them meanwhile was not copied: rmdir refuses then, and that is right.
    for dir in std::mem::take(&mut command.dirs).iter().rev() {
        if let Err(error) = fs::remove_dir(dir) {
            let why = format!("{} is copied but not removed: {error}", dir.display());
            command.failed(dir, target, why);
        }
    }
}

/// Removes a source whose copy is closed, if it still is what was copied. In a mount the daemon
/// knows versions and keeps that rule itself; times may change there when an upload ends.
fn remove_copied(file: &Path, copied: &Snapshot) -> Result<(), String> {
    let found = fs::symlink_metadata(file).map_err(|error| error.to_string())?;
    let now = Snapshot::of(&found);
    let mounted = sys::attribute(file, "user.pan.profile").is_some();
    let same = if mounted {
        now.size == copied.size
    } else {
        now == *copied
    };
    if !same {
        return Err("it was changed meanwhile".to_owned());
    }
    fs::remove_file(file).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::copying::testing::{copying, read, write};
    use super::*;
    use std::path::PathBuf;

    fn far(_: &Path, _: &Path, _: bool) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EXDEV))
    }

    fn command() -> Copying {
        let mut command = copying();
        command.recursive = true;
        command.keep = true;
        command
    }

    fn pair(top: &Path, from: &str, to: &str) -> (PathBuf, PathBuf) {
        (top.join(from), top.join(to))
    }

    #[test]
    fn near_and_far_moves_end_the_same() {
        for rename in [rename as fn(&Path, &Path, bool) -> io::Result<()>, far] {
            let home = tempfile::tempdir().unwrap();
            let top = home.path();
            write(top, "a", "one");
            write(top, "b", "old");
            write(top, "d/e/x", "two");
            write(top, "d/y", "three");
            let then = fs::metadata(top.join("d/y")).unwrap().modified().unwrap();
            let mut command = command();
            for (from, to) in [pair(top, "a", "b"), pair(top, "d", "t")] {
                move_one(&mut command, &from, &to, rename);
            }
            assert_eq!(command.failures(), 0, "{:?}", command.rows);
            assert_eq!(read(top, "b"), "one");
            assert_eq!(read(top, "t/e/x"), "two");
            assert!(!top.join("a").exists() && !top.join("d").exists());
            let moved = fs::metadata(top.join("t/y")).unwrap();
            assert_eq!(moved.modified().unwrap(), then);
        }
    }

    #[test]
    fn a_tree_that_was_not_copied_whole_stays_whole() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path();
        write(top, "d/1", "one");
        write(top, "d/2", "two");
        std::os::unix::fs::symlink("1", top.join("d/link")).unwrap();
        let mut command = command();
        move_one(&mut command, &top.join("d"), &top.join("t"), far);
        assert_eq!(command.failures(), 1);
        assert_eq!(
            (read(top, "d/1"), read(top, "d/2")),
            ("one".into(), "two".into())
        );
        // A second attempt meets what the first one left.
        move_one(&mut command, &top.join("d"), &top.join("t"), far);
        let why = command.rows.last().unwrap().error.clone().unwrap();
        assert!(why.contains("not empty"), "{why}");
    }

    #[test]
    fn a_source_that_changed_meanwhile_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        write(home.path(), "a", "one");
        let before = Snapshot::of(&fs::metadata(&path).unwrap());
        write(home.path(), "a", "longer");
        assert!(
            remove_copied(&path, &before)
                .unwrap_err()
                .contains("changed")
        );
        let now = Snapshot::of(&fs::metadata(&path).unwrap());
        remove_copied(&path, &now).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn moves_that_cannot_be_leave_both_sides_alone() {
        let home = tempfile::tempdir().unwrap();
        let top = home.path();
        write(top, "a", "one");
        write(top, "d/x", "two");
        fs::hard_link(top.join("a"), top.join("hard")).unwrap();
        let mut command = command();
        let pairs = [
            pair(top, "a", "a"),
            pair(top, "a", "hard"),
            pair(top, "d", "d/sub"),
            pair(top, "none", "b"),
            pair(top, "a", "d"),
        ];
        for (from, to) in &pairs {
            move_one(&mut command, from, to, rename);
        }
        assert_eq!(command.failures(), pairs.len(), "{:?}", command.rows);
        command.policy = ConflictPolicy::Fail;
        write(top, "b", "kept");
        move_one(&mut command, &top.join("a"), &top.join("b"), rename);
        move_one(&mut command, &top.join("a"), &top.join("b"), far);
        assert_eq!(command.failures(), pairs.len() + 2);
        assert_eq!(
            (read(top, "a"), read(top, "b")),
            ("one".into(), "kept".into())
        );
        command.policy = ConflictPolicy::Rename;
        move_one(&mut command, &top.join("a"), &top.join("b"), rename);
        assert_eq!(
            (read(top, "b"), read(top, "b (1)")),
            ("kept".into(), "one".into())
        );
    }
}
