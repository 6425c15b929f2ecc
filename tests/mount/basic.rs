//! What programs do every day.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::cloud::mounted;

fn errno<T>(result: std::io::Result<T>) -> i32 {
    result
        .err()
        .and_then(|error| error.raw_os_error())
        .unwrap_or(0)
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Bytes that are different everywhere.
fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

// S-010
#[test]
fn files_are_written_read_renamed_and_removed() {
    mounted("", |cloud| {
        assert_eq!(names(&cloud.mount), ["a", "b"]);
        let bytes = pattern(3_000_001);
        let file = cloud.at("a/one.bin");
        fs::write(&file, &bytes).unwrap();
        assert_eq!(fs::read(cloud.behind("a/one.bin")).unwrap(), bytes);
        assert_eq!(fs::read(&file).unwrap(), bytes);
        let meta = fs::metadata(&file).unwrap();
        assert_eq!((meta.len(), meta.nlink()), (3_000_001, 1));
        assert_eq!(meta.blocks(), 3_000_001_u64.div_ceil(512));

        // A hole looks as full as the rest: `cp` copies sparse files by another way.
        let hole = fs::File::create(cloud.at("a/hole")).unwrap();
        hole.set_len(1_000_001).unwrap();
        assert_eq!(hole.metadata().unwrap().blocks(), 1954);
        drop(hole);
        assert_eq!(fs::metadata(cloud.at("a/hole")).unwrap().blocks(), 1954);
        fs::remove_file(cloud.at("a/hole")).unwrap();

        let mut opened = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&file)
            .unwrap();
        opened.seek(SeekFrom::Start(1_000_000)).unwrap();
        opened.write_all(b"changed").unwrap();
        drop(opened);
        let mut changed = bytes.clone();
        changed[1_000_000..1_000_007].copy_from_slice(b"changed");
        assert_eq!(fs::read(&file).unwrap(), changed);
        assert_eq!(fs::read(cloud.behind("a/one.bin")).unwrap(), changed);
        let mut opened = fs::File::open(&file).unwrap();
        opened.seek(SeekFrom::Start(999_990)).unwrap();
        let mut piece = [0; 30];
        opened.read_exact(&mut piece).unwrap();
        assert_eq!(piece, changed[999_990..1_000_020]);

        fs::create_dir(cloud.at("a/dir")).unwrap();
        fs::rename(&file, cloud.at("a/dir/two.bin")).unwrap();
        assert_eq!(names(&cloud.at("a")), ["dir"]);
        assert_eq!(fs::read(cloud.at("a/dir/two.bin")).unwrap(), changed);
        assert!(!file.exists());
        assert_eq!(errno(fs::remove_dir(cloud.at("a/dir"))), libc::ENOTEMPTY);
        fs::remove_file(cloud.at("a/dir/two.bin")).unwrap();
        fs::remove_dir(cloud.at("a/dir")).unwrap();
        assert!(names(&cloud.at("a")).is_empty());
    });
}

#[test]
fn cp_between_profiles_brings_the_content() {
    mounted("", |cloud| {
        let bytes = pattern(5 << 20);
        fs::write(cloud.behind("a/film.mkv"), &bytes).unwrap();
        cloud.sh("cp a/film.mkv b/film.mkv && cmp a/film.mkv b/film.mkv");
        assert_eq!(fs::read(cloud.behind("b/film.mkv")).unwrap(), bytes);
        assert_eq!(
            errno(fs::rename(cloud.at("a/film.mkv"), cloud.at("b/x.mkv"))),
            libc::EXDEV
        );
        cloud.sh("mv a/film.mkv b/moved.mkv");
        assert_eq!(names(&cloud.at("a")), Vec::<String>::new());
        assert_eq!(names(&cloud.at("b")), ["film.mkv", "moved.mkv"]);
        assert_eq!(fs::read(cloud.at("b/moved.mkv")).unwrap(), bytes);
        // An empty file has no copy_file_range; it reaches the drive after its close.
        cloud.sh(": > a/empty && cp a/empty b/empty && test -f b/empty");
        let began = std::time::Instant::now();
        while !cloud.behind("b/empty").exists() {
            assert!(
                began.elapsed() < std::time::Duration::from_secs(60),
                "it never comes"
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(fs::read(cloud.at("b/empty")).unwrap(), b"");
    });
}

#[test]
fn listings_have_dots_and_all_names() {
    mounted("", |cloud| {
        fs::create_dir(cloud.behind("a/many")).unwrap();
        for number in 0..1500 {
            fs::write(cloud.behind(&format!("a/many/file-{number:04}")), b"x").unwrap();
        }
        let all = cloud.sh("ls -la a/many");
        assert!(
            all.lines()
                .any(|line| line.starts_with('d') && line.ends_with(" .")),
            "{all}"
        );
        assert!(all.lines().any(|line| line.ends_with(" ..")));
        assert_eq!(
            all.lines().filter(|line| line.contains("file-")).count(),
            1500
        );
        assert!(
            all.lines()
                .filter(|line| line.contains("file-"))
                .all(|line| line.starts_with("-rw-"))
        );
        assert_eq!(cloud.sh("find a/many -type f | wc -l").trim(), "1500");
        // Again, now from what the kernel remembers; and after a change.
        fs::write(cloud.at("a/many/new"), b"y").unwrap();
        fs::remove_file(cloud.at("a/many/file-0007")).unwrap();
        let now = names(&cloud.at("a/many"));
        assert_eq!(now.len(), 1500);
        assert!(now.contains(&"new".to_owned()) && !now.contains(&"file-0007".to_owned()));
    });
}

#[test]
fn attributes_are_kept() {
    mounted("", |cloud| {
        let file = cloud.at("a/file");
        fs::write(&file, b"0123456789").unwrap();
        cloud.sh("touch -d '1969-12-31 23:59:58.25 UTC' a/file && chmod 600 a/file");
        let meta = fs::metadata(&file).unwrap();
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (-2, 250_000_000));
        assert_eq!(meta.permissions().mode() & 0o7777, 0o600);
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(4)
            .unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"0123");
        cloud.sh("mkdir -m 700 a/private && truncate -s 6 a/file");
        assert_eq!(
            fs::metadata(cloud.at("a/private")).unwrap().mode() & 0o7777,
            0o700
        );
        assert_eq!(fs::read(&file).unwrap(), b"0123\0\0");
        // Owners are the mount's: setting one is neither an effect nor an error.
        cloud.sh("chown 12345 a/file");
        assert_eq!(fs::metadata(&file).unwrap().uid(), 0);
        let space = cloud.sh("stat -f -c '%S %b %f' a");
        assert!(
            space.starts_with("4096 ") && !space.contains(" 0 "),
            "{space}"
        );
    });
}

// S-011
#[test]
fn everything_belongs_to_the_user_of_the_mount() {
    mounted("uid=1234,gid=4321", |cloud| {
        fs::create_dir_all(cloud.behind("a/dir")).unwrap();
        fs::write(cloud.behind("a/dir/file"), b"x").unwrap();
        fs::write(cloud.at("a/made"), b"x").unwrap();
        cloud.sh("chown 5:6 a/made && chown -R 7 a && chgrp 8 a/dir/file");
        for path in ["", "a", "a/dir", "a/dir/file", "a/made"] {
            let meta = fs::metadata(cloud.at(path)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (1234, 4321), "{path}");
        }
    });
}

// S-007
#[test]
fn links_pipes_sockets_and_devices_cannot_be_made() {
    mounted("", |cloud| {
        fs::write(cloud.at("a/file"), b"x").unwrap();
        let hard = fs::hard_link(cloud.at("a/file"), cloud.at("a/link"));
        assert_eq!(errno(hard), libc::EPERM);
        let symbolic = std::os::unix::fs::symlink("file", cloud.at("a/symbolic"));
        assert_eq!(errno(symbolic), libc::EPERM);
        let script = "import os, socket, stat
makers = [lambda kind=kind: os.mknod('a/x', kind | 0o644, os.makedev(1, 3))
          for kind in (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)]
makers.append(lambda: socket.socket(socket.AF_UNIX).bind('a/x'))
for make in makers:
    try:
        make()
        print('made')
    except OSError as error:
        print(error.errno)";
        let said = cloud.sh(&format!("python3 -c \"{script}\""));
        assert_eq!(said, format!("{}\n", libc::EPERM).repeat(5));
        assert_eq!(names(&cloud.at("a")), ["file"]);
    });
}

#[test]
fn what_cannot_be_is_refused_plainly() {
    mounted("", |cloud| {
        fs::write(cloud.at("a/file"), b"x").unwrap();
        assert_eq!(errno(fs::write(cloud.at("loose"), b"x")), libc::EPERM);
        let long = format!("a/{}", "n".repeat(256));
        assert_eq!(errno(fs::write(cloud.at(&long), b"x")), libc::ENAMETOOLONG);
        assert_eq!(errno(fs::metadata(cloud.at(&long))), libc::ENAMETOOLONG);
        let latin: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9");
        assert_eq!(errno(fs::metadata(cloud.at("a").join(latin))), libc::ENOENT);
        assert_eq!(
            errno(fs::write(cloud.at("a").join(latin), b"x")),
            libc::EINVAL
        );
        assert_eq!(errno(fs::metadata(cloud.at("a/none"))), libc::ENOENT);
        assert_eq!(errno(fs::create_dir(cloud.at("a/file"))), libc::EEXIST);
        cloud.sh("! mkfifo a/fifo && python3 -c 'import os; os.mknod(\"a/node\", 0o100644)'");
        assert_eq!(fs::metadata(cloud.at("a/node")).unwrap().len(), 0);
    });
}

#[test]
fn fingerprints_are_xattrs() {
    mounted("", |cloud| {
        fs::write(cloud.at("a/hello"), b"hello").unwrap();
        let get = |name: &str| {
            cloud.sh(&format!(
                "python3 -c 'import os,sys\ntry: sys.stdout.write(os.getxattr(\"a/hello\", \"{name}\").decode())\nexcept OSError as e: sys.stdout.write(str(e.errno))'"
            ))
        };
        assert_eq!(get("user.pan.md5"), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(get("user.other"), libc::ENODATA.to_string());
        assert_eq!(get("security.capability"), libc::ENODATA.to_string());
        let listed = cloud.sh("python3 -c 'import os; print(os.listxattr(\"a/hello\"))'");
        assert!(listed.contains("user.pan.md5"), "{listed}");
        let set = cloud.sh(
            "python3 -c 'import os\ntry: os.setxattr(\"a/hello\", \"user.other\", b\"x\")\nexcept OSError as e: print(e.errno)'",
        );
        assert_eq!(set.trim(), libc::EOPNOTSUPP.to_string());
    });
}

#[test]
fn a_read_only_mount_takes_nothing() {
    mounted("ro", |cloud| {
        fs::write(cloud.behind("a/file"), b"x").unwrap();
        assert_eq!(fs::read(cloud.at("a/file")).unwrap(), b"x");
        assert_eq!(errno(fs::write(cloud.at("a/new"), b"x")), libc::EROFS);
        assert_eq!(errno(fs::remove_file(cloud.at("a/file"))), libc::EROFS);
    });
}
