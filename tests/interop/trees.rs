//! What is copied, and how it is compared.

use std::path::{Path, PathBuf};

/// Names that clients, servers and what is between them stumble over.
const NAMES: &[&str] = &[
    "a b",
    "#hash",
    "50%",
    "a+b",
    "a&b",
    "what?",
    "all#%+&?",
    "it's",
    "q\"uote",
    "semi;colon",
    "eq=al",
    "at@home",
    "com,ma",
    "[brackets]",
    "{braces}",
    "ex!claim",
    "dol$ar",
    "~tilde",
    "%41",
    "%2F",
    "%zz",
    "back`tick",
    "pi|pe",
    "st*r",
    "co:lon",
    "<less>",
    "^hat",
    " lead",
    "trail ",
    "dots...",
    ".hidden",
    "-dash",
    "name.ext.gz",
    "\u{4f60}\u{597d}.txt",
    "\u{fc}n\u{ef}",
    "u\u{308}nfolded",
    "\u{307b}\u{3052}",
    "\u{1f600}",
    "\u{ff1f}wide\u{ff1b}",
];

/// More than small files may have: panfuse closes them when they are at the server.
pub const LARGE: usize = (9 << 20) + 1;

/// A WebDAV server gets it as a request of many parts.
const HUGE: usize = (17 << 20) + 77;

/// Makes the tree: about 70 files, an empty one, large ones, odd names, empty directories.
pub fn plant(top: &Path, empty_directories: bool) {
    let file = |path: &str, size: usize| {
        let path = top.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes(size, path.as_os_str().len() as u64)).unwrap();
    };
    file("empty", 0);
    file("one", 1);
    file("nine.bin", LARGE);
    file("huge.bin", HUGE);
    for (n, name) in NAMES.iter().enumerate() {
        file(name, n * 37 + 1);
        if n % 8 == 0 {
            file(&format!("in {name}/deeper/{name}"), n + 5);
        }
    }
    file("why?/again?/a;b?c", 11);
    for n in 1..=18 {
        file(&format!("d/e/e/p/f{n:02}.bin"), n * 10_139);
    }
    file("times/old", 100);
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_007);
    let old = std::fs::File::options()
        .append(true)
        .open(top.join("times/old"));
    old.unwrap().set_modified(time).unwrap();
    if empty_directories {
        for path in ["nothing", "d/nothing", "\u{7a7a} #?/nothing"] {
            std::fs::create_dir_all(top.join(path)).unwrap();
        }
    }
}

/// Bytes that are different everywhere.
pub fn bytes(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Fails when two directories are not the same: names and contents of files; directories too, when
/// `with_directories`. In `there` a name has the full-width twin of each character in `loses`.
pub fn same(here: &Path, there: &Path, loses: &str, with_directories: bool) {
    let mut wanted = all(here, here);
    for (name, _) in &mut wanted {
        *name = spelled(name, loses);
    }
    wanted.sort();
    let mut found = all(there, there);
    found.sort();
    for list in [&mut wanted, &mut found] {
        list.retain(|(_, file)| with_directories || file.is_some());
    }
    let names = |list: &[(String, Option<PathBuf>)]| -> Vec<String> {
        list.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&found), names(&wanted), "in {there:?}");
    for ((name, one), (_, other)) in wanted.iter().zip(&found) {
        assert_eq!(
            one.is_some(),
            other.is_some(),
            "{name}: a file, and a directory"
        );
        if let (Some(one), Some(other)) = (one, other) {
            let (one, other) = (std::fs::read(one).unwrap(), std::fs::read(other).unwrap());
            assert!(one == other, "{name} is another content in {there:?}");
        }
    }
}

/// A name as such a server has it. A twin that is itself has two dots before it: one says so, and
/// the dot is quoted in its turn, as it is with every WebDAV server.
fn spelled(name: &str, loses: &str) -> String {
    let twin = |c: char| char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c);
    let mut spelled = String::new();
    for c in name.chars() {
        if loses.contains(c) {
            spelled.push(twin(c));
        } else if loses.chars().any(|lost| twin(lost) == c) {
            spelled.extend(['\u{2024}', '\u{2024}', c]);
        } else {
            spelled.push(c);
        }
    }
    spelled
}

/// Paths of everything in a directory, and where the files are.
fn all(top: &Path, dir: &Path) -> Vec<(String, Option<PathBuf>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.push((name, None));
            found.extend(all(top, &path));
        } else {
            found.push((name, Some(path)));
        }
    }
    found
}
