//! Mounts of panfuse itself below a directory. A profile of one's home directory holds the
//! mount point; listing that would ask ourselves, without end.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Where panfuse is mounted at or below `root`. Empty when the kernel does not tell.
pub fn ours_below(root: &Path) -> Vec<PathBuf> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    parse(&table, root)
}

/// Reads proc_pid_mountinfo(5): mount point is field 5, type and source follow a lone `-`.
fn parse(table: &[u8], root: &Path) -> Vec<PathBuf> {
    table
        .split(|b| *b == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|b| *b == b' ');
            let point = fields.by_ref().nth(4)?;
            let mut tail = fields.skip_while(|field| *field != b"-").skip(1);
            let (kind, source) = (tail.next()?, tail.next().unwrap_or_default());
            let names_us = |field: &[u8]| field.windows(7).any(|part| part == b"panfuse");
            let ours = kind.starts_with(b"fuse") && (names_us(kind) || names_us(source));
            let point = PathBuf::from(OsString::from_vec(unescape(point)));
            (ours && point.starts_with(root)).then_some(point)
        })
        .collect()
}

/// Blanks and the like are written as `\` and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let code = (*first == b'\\')
            .then(|| tail.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                plain.push(code);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_mounts_below_the_root() {
        let table = b"36 35 98:0 / / rw - ext4 /dev/sda rw\n\
            40 36 0:50 / /home/u/my\\040cloud rw,nosuid shared:1 - fuse.panfuse panfuse rw\n\
            41 36 0:51 / /home/u/ssh rw - fuse.sshfs host: rw\n\
            42 36 0:52 / /home/u2/cloud rw - fuse panfuse rw\n\
            43 36 8:1 / /home/u/data rw - ext4 /dev/mapper/panfuse rw\n\
            broken\n";
        assert_eq!(
            parse(table, Path::new("/home/u")),
            [PathBuf::from("/home/u/my cloud")]
        );
        assert_eq!(parse(table, Path::new("/")).len(), 2);
        assert_eq!(unescape(b"a\\04"), b"a\\04");
    }
}
