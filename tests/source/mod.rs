//! Reads the project's own source text, for the tests that check the shape of the house.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The directory of Cargo.toml.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One Rust file.
pub struct Source {
    /// Path from the project's directory, with `/`.
    pub path: String,
    /// The text.
    pub text: String,
    /// The same with comments and the insides of strings as spaces; offsets agree.
    pub code: String,
    /// Byte ranges that are only compiled for tests.
    tests: Vec<Range<usize>>,
}

impl Source {
    fn read(file: &Path) -> Source {
        let text = fs::read_to_string(file).expect("a readable source file");
        let path = file
            .strip_prefix(project())
            .expect("a file of this project")
            .to_string_lossy()
            .replace('\\', "/");
        Source::from_text(&path, &text)
    }

    /// A file with this path and text.
    pub fn from_text(path: &str, text: &str) -> Source {
        let code = blanked(text);
        let tests = if is_test_file(path) {
            Vec::from([0..text.len()])
        } else {
            test_blocks(&code)
        };
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            tests,
        }
    }

    /// Whether the byte at `offset` is only compiled for tests.
    pub fn is_test(&self, offset: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&offset))
    }

    /// The room: the first directory below `src`, or the stem of a file right in it.
    pub fn room(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        let first = below.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    /// 1-based line of an offset.
    pub fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    /// Every path that starts with `crate::`: offset and the segments after it. A brace list gives
    /// one path per member.
    pub fn crate_paths(&self) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("crate::") {
            let before = self.code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            paths_from(&self.code[at + "crate::".len()..], &[], at, &mut found);
        }
        found
    }
}

fn paths_from(rest: &str, above: &[String], at: usize, found: &mut Vec<(usize, Vec<String>)>) {
    let rest = rest.trim_start();
    if let Some(list) = rest.strip_prefix('{') {
        let mut depth = 1usize;
        let mut start = 0;
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                if !list[start..i].trim().is_empty() {
                    paths_from(&list[start..i], above, at, found);
                }
                start = i + 1;
            }
            if depth == 0 {
                return;
            }
        }
        return;
    }
    let word: String = rest
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    let mut path = above.to_vec();
    let after = &rest[word.len()..];
    if !word.is_empty() {
        path.push(word);
    }
    match after.strip_prefix("::") {
        Some(deeper) if path.len() < 3 => paths_from(deeper, &path, at, found),
        _ => found.push((at, path)),
    }
}

/// Every Rust file below `src`, sorted.
pub fn library() -> Vec<Source> {
    below("src")
}

/// Every Rust file below `tests`, sorted.
pub fn tests() -> Vec<Source> {
    below("tests")
}

fn below(directory: &str) -> Vec<Source> {
    let mut files = Vec::new();
    walk(&project().join(directory), &mut files);
    files.sort();
    assert!(!files.is_empty(), "{directory} holds no Rust file");
    files.iter().map(|file| Source::read(file)).collect()
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

/// Blocks that follow `#[cfg(test)]`.
fn test_blocks(code: &str) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    for (at, _) in code.match_indices("#[cfg(test)]") {
        let end_of_statement = code[at..].find(';').map_or(code.len(), |i| at + i);
        let Some(open) = code[at..].find('{').map(|i| at + i) else {
            continue;
        };
        if end_of_statement < open {
            blocks.push(at..end_of_statement);
            continue;
        }
        let mut depth = 0usize;
        let mut end = code.len();
        for (i, c) in code[open..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                end = open + i + 1;
                break;
            }
        }
        blocks.push(at..end);
    }
    blocks
}

/// The text with comments and the insides of string and character literals as spaces.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let end = match bytes[i] {
            b'/' if bytes.get(i + 1) == Some(&b'/') => line_end(bytes, i),
            b'/' if bytes.get(i + 1) == Some(&b'*') => block_comment_end(bytes, i),
            b'"' => string_end(bytes, i),
            b'r' if starts_raw(bytes, i) => raw_end(bytes, i),
            b'\'' => character_end(bytes, i),
            _ => i,
        };
        if end == i {
            i += 1;
            continue;
        }
        for byte in &mut out[i..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        i = end;
    }
    String::from_utf8(out).expect("only whole literals are blanked")
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes[at..].iter().position(|b| *b == b'\n');
    rest.map_or(bytes.len(), |i| at + i)
}

fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0usize;
    let mut i = at;
    while i + 1 < bytes.len() {
        match &bytes[i..i + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                i += 1;
                continue;
            }
        }
        i += 2;
        if depth == 0 {
            return i;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

fn starts_raw(bytes: &[u8], at: usize) -> bool {
    let word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    let byte_string = at > 0 && bytes[at - 1] == b'b';
    let hashes = bytes[at + 1..].iter().take_while(|b| **b == b'#').count();
    (!word_before || byte_string) && bytes.get(at + 1 + hashes) == Some(&b'"')
}

fn raw_end(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at + 1..].iter().take_while(|b| **b == b'#').count();
    let mut i = at + 2 + hashes;
    while i < bytes.len() {
        let closed = bytes[i] == b'"'
            && bytes[i + 1..]
                .iter()
                .take(hashes)
                .filter(|b| **b == b'#')
                .count()
                == hashes;
        if closed {
            return i + 1 + hashes;
        }
        i += 1;
    }
    bytes.len()
}

/// The end of a character literal; `at` itself for a lifetime.
fn character_end(bytes: &[u8], at: usize) -> usize {
    let longest = bytes.len().min(at + 12);
    if bytes.get(at + 1) == Some(&b'\\') {
        let rest = bytes[(at + 3).min(longest)..longest]
            .iter()
            .position(|b| *b == b'\'');
        return rest.map_or(at, |i| at + 4 + i);
    }
    // One character of up to four bytes, then the quote.
    let text = std::str::from_utf8(&bytes[at + 1..]).unwrap_or_default();
    let length = text.chars().next().map_or(0, char::len_utf8);
    if length > 0 && bytes.get(at + 1 + length) == Some(&b'\'') {
        at + length + 2
    } else {
        at
    }
}
