//! The same random operations on the mount and on an ordinary directory: both must say the same
//! and hold the same.

use std::fs;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::machine::{Machine, ok};

/// Operations of one run.
const OPERATIONS: usize = 150;

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

const FILES: [&str; 6] = ["a.txt", "b.bin", "d/a.txt", "d/c", "e/x.bin", "d/e/deep"];
const DIRS: [&str; 3] = ["d", "e", "d/e"];

/// One operation below `root`; a word for its outcome.
fn operate(root: &Path, kind: usize, one: usize, two: usize, size: usize, mark: u8) -> String {
    let file = root.join(FILES[one % FILES.len()]);
    let other = root.join(FILES[two % FILES.len()]);
    let dir = root.join(DIRS[one % DIRS.len()]);
    let bytes = vec![mark; size];
    let outcome: io::Result<u64> = match kind {
        0 | 1 => fs::write(&file, &bytes).map(|()| 0),
        2 => fs::OpenOptions::new()
            .write(true)
            .open(&file)
            .and_then(|mut open| {
                open.seek(SeekFrom::Start(size as u64 / 3))?;
                open.write_all(&bytes)?;
                Ok(0)
            }),
        3 => fs::OpenOptions::new()
            .append(true)
            .open(&file)
            .and_then(|mut open| {
                open.write_all(&bytes)?;
                Ok(0)
            }),
        4 => fs::OpenOptions::new()
            .write(true)
            .open(&file)
            .and_then(|open| open.set_len(size as u64 / 2))
            .map(|()| 0),
        5 => fs::rename(&file, &other).map(|()| 0),
        6 => fs::remove_file(&file).map(|()| 0),
        7 => fs::create_dir(&dir).map(|()| 0),
        8 => fs::remove_dir(&dir).map(|()| 0),
        9 if file != other => fs::copy(&file, &other),
        _ => fs::metadata(&file).map(|meta| meta.len()),
    };
    match outcome {
        Ok(number) => format!("ok {number}"),
        Err(error) => format!("errno {:?}", error.raw_os_error()),
    }
}

#[test]
fn random_operations_equal_an_ordinary_directory() {
    let Some(mut m) = Machine::start("aliyundrive_open") else {
        return;
    };
    m.mount();
    for seed in [3, 0x9E37_79B9] {
        let name = format!("run{seed}");
        let (mount, plain) = (m.at(&format!("ali/{name}")), m.out(&name));
        fs::create_dir(&mount).unwrap();
        fs::create_dir(&plain).unwrap();
        let mut random = Random(seed);
        for step in 0..OPERATIONS {
            let (kind, one, two) = (random.next(11), random.next(6), random.next(6));
            let (size, mark) = (random.next(60_000), random.next(250) as u8 + 1);
            let told =
                [&plain, &mount].map(|root| operate(Path::new(root), kind, one, two, size, mark));
            assert_eq!(
                told[0], told[1],
                "seed {seed} step {step}: {kind} {one} {two} {size}"
            );
        }
        ok("diff", &["-r", &plain, &mount]);
        m.tell("sync");
        ok("diff", &["-r", &plain, &mount]);
    }
    assert_eq!(m.uploads("ali"), 0);
    assert!(
        m.files("ali")
            .iter()
            .all(|file| !file.contains("panfuse-tmp"))
    );
}
