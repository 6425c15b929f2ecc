//! Operations and their random sequences. Few names, so that they meet often.

use proptest::prelude::*;

/// Profiles of the tree: two accounts of one provider, and a directory of this machine.
pub const PROFILES: [&str; 3] = ["ali", "ali-2", "disk"];

/// How a file is written.
#[derive(Clone, Debug)]
pub struct Piece {
    pub offset: u32,
    pub length: u32,
    pub seed: u8,
}

impl Piece {
    pub fn bytes(&self) -> Vec<u8> {
        let mut state = u32::from(self.seed) * 2_654_435 + self.offset + 1;
        (0..self.length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }
}

/// One operation. Paths are strings, slots are open handles (modulo how many are open).
#[derive(Clone, Debug)]
pub enum Op {
    /// open(O_CREAT|O_TRUNC), writes, close.
    Put(String, Vec<Piece>),
    /// open(O_WRONLY), writes, close.
    Overwrite(String, Vec<Piece>),
    /// open(O_APPEND), writes, close.
    Append(String, Vec<Piece>),
    /// truncate(2).
    Truncate(String, u32),
    /// A whole file through copy_file_range, as `cp` does.
    Copy(String, String),
    /// The same, then the source is removed.
    Move(String, String),
    /// A part of a file into another one: (offset there, offset here, length).
    CopyRange(String, String, u32, u32, u32),
    Read(String, u32, u32),
    Rename(String, String),
    Unlink(String),
    /// unlink, then the same name again.
    Replace(String, Vec<Piece>),
    Mkdir(String),
    Rmdir(String),
    Utimens(String, u32),
    List(String),
    /// Opens and keeps the handle: create, truncate.
    Open(String, bool, bool),
    WriteHandle(u8, Piece),
    ReadHandle(u8, u32, u32),
    TruncateHandle(u8, u32),
    FsyncHandle(u8),
    /// close without a FLUSH first (a child's exit) when false.
    Close(u8, bool),
    Settle,
    Refresh(String),
    /// Handles are closed, everything settles, and another instance takes over.
    Restart,
}

impl Op {
    /// The same with `?number` replaced by what `existing` says.
    pub fn resolved(mut self, existing: impl Fn(usize) -> String) -> Op {
        let paths: Vec<&mut String> = match &mut self {
            Op::Put(path, _)
            | Op::Overwrite(path, _)
            | Op::Append(path, _)
            | Op::Replace(path, _)
            | Op::Truncate(path, _)
            | Op::Read(path, ..)
            | Op::Unlink(path)
            | Op::Mkdir(path)
            | Op::Rmdir(path)
            | Op::Utimens(path, _)
            | Op::List(path)
            | Op::Open(path, ..)
            | Op::Refresh(path) => vec![path],
            Op::Copy(from, to)
            | Op::Move(from, to)
            | Op::CopyRange(from, to, ..)
            | Op::Rename(from, to) => vec![from, to],
            Op::WriteHandle(..)
            | Op::ReadHandle(..)
            | Op::TruncateHandle(..)
            | Op::FsyncHandle(_)
            | Op::Close(..)
            | Op::Settle
            | Op::Restart => Vec::new(),
        };
        for path in paths {
            if let Some(number) = path.strip_prefix('?').and_then(|n| n.parse().ok()) {
                *path = existing(number);
            }
        }
        self
    }
}

const FILES: [&str; 4] = ["a.txt", "b.bin", "c", "d1"];
const DIRS: [&str; 4] = ["", "/d1", "/d2", "/d1/sub"];

fn dir() -> impl Strategy<Value = String> {
    (0..PROFILES.len(), 0..DIRS.len())
        .prop_map(|(profile, dir)| format!("{}{}", PROFILES[profile], DIRS[dir]))
}

fn subdir() -> impl Strategy<Value = String> {
    (0..PROFILES.len(), 1..DIRS.len())
        .prop_map(|(profile, dir)| format!("{}{}", PROFILES[profile], DIRS[dir]))
}

/// A file that is there when the operation runs, as `?number`, or any name.
fn file() -> impl Strategy<Value = String> {
    prop_oneof![1 => name(), 1 => (0..12usize).prop_map(|number| format!("?{number}"))]
}

fn name() -> impl Strategy<Value = String> {
    let dir = prop_oneof![
        4 => Just(0usize),
        3 => Just(1usize),
        2 => Just(2usize),
        1 => Just(3usize),
    ];
    (
        0..PROFILES.len(),
        dir,
        prop_oneof![30 => 0..3usize, 1 => Just(3usize)],
    )
        .prop_map(|(profile, dir, file)| {
            format!("{}{}/{}", PROFILES[profile], DIRS[dir], FILES[file])
        })
}

/// Two files, mostly of one profile.
fn pair() -> impl Strategy<Value = (String, String)> {
    (file(), file(), prop::bool::weighted(0.8)).prop_map(|(from, to, same)| {
        if !same || from.starts_with('?') || to.starts_with('?') {
            return (from, to);
        }
        let (profile, _) = from.split_once('/').unwrap();
        let (_, rest) = to.split_once('/').unwrap();
        let to = format!("{profile}/{rest}");
        (from, to)
    })
}

fn size() -> impl Strategy<Value = u32> {
    prop_oneof![2 => 0..40u32, 3 => 0..8_192u32, 2 => 0..300_000u32]
}

fn piece() -> impl Strategy<Value = Piece> {
    (size(), size(), any::<u8>()).prop_map(|(offset, length, seed)| Piece {
        offset,
        length,
        seed,
    })
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let first = (size(), any::<u8>()).prop_map(|(length, seed)| Piece {
        offset: 0,
        length,
        seed,
    });
    prop_oneof![
        6 => first.prop_map(|piece| vec![piece]),
        2 => prop::collection::vec(piece(), 1..4),
        1 => Just(Vec::new()),
    ]
}

pub fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (file(), pieces()).prop_map(|(f, p)| Op::Put(f, p)),
        5 => (file(), pieces()).prop_map(|(f, p)| Op::Overwrite(f, p)),
        3 => (file(), pieces()).prop_map(|(f, p)| Op::Append(f, p)),
        4 => (file(), size()).prop_map(|(f, s)| Op::Truncate(f, s)),
        8 => (file(), file()).prop_map(|(a, b)| Op::Copy(a, b)),
        3 => (file(), file()).prop_map(|(a, b)| Op::Move(a, b)),
        4 => (file(), file(), size(), size(), size())
            .prop_map(|(a, b, x, y, z)| Op::CopyRange(a, b, x, y, z)),
        4 => (file(), size(), size()).prop_map(|(f, o, l)| Op::Read(f, o, l)),
        9 => pair().prop_map(|(a, b)| Op::Rename(a, b)),
        4 => (subdir(), subdir()).prop_map(|(a, b)| Op::Rename(a, b)),
        5 => file().prop_map(Op::Unlink),
        3 => (file(), pieces()).prop_map(|(f, p)| Op::Replace(f, p)),
        8 => subdir().prop_map(Op::Mkdir),
        4 => subdir().prop_map(Op::Rmdir),
        2 => (file(), any::<u32>()).prop_map(|(f, t)| Op::Utimens(f, t)),
        3 => dir().prop_map(Op::List),
        6 => (file(), any::<bool>(), any::<bool>()).prop_map(|(f, c, t)| Op::Open(f, c, t)),
        7 => (any::<u8>(), piece()).prop_map(|(h, p)| Op::WriteHandle(h, p)),
        4 => (any::<u8>(), size(), size()).prop_map(|(h, o, l)| Op::ReadHandle(h, o, l)),
        2 => (any::<u8>(), size()).prop_map(|(h, s)| Op::TruncateHandle(h, s)),
        1 => any::<u8>().prop_map(Op::FsyncHandle),
        5 => (any::<u8>(), prop::bool::weighted(0.8)).prop_map(|(h, f)| Op::Close(h, f)),
        4 => Just(Op::Settle),
        3 => dir().prop_map(Op::Refresh),
        1 => Just(Op::Restart),
    ]
}

/// At most `length` operations.
pub fn sequence(length: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..=length)
}
