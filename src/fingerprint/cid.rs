//! Xunlei's CID (sheet `pikpak` 5.2, `xunlei` 5, `guangya` 5): SHA-1 over three windows, or
//! over everything when the content is smaller than three windows.

use std::ops::Range;

use sha1::{Digest, Sha1};

use super::hex_upper;

/// Length of one window in bytes.
pub const CID_WINDOW: u64 = 20480;

/// The byte ranges a CID is computed from, in order and without overlap: one range with
/// everything below 61,440 bytes (none for an empty content), else three windows at 0,
/// `size / 3` and `size - 20480`.
pub fn cid_windows(size: u64) -> Vec<Range<u64>> {
    if size == 0 {
        Vec::new()
    } else if size < 3 * CID_WINDOW {
        std::iter::once(0..size).collect()
    } else {
        [0, size / 3, size - CID_WINDOW]
            .map(|start| start..start + CID_WINDOW)
            .into()
    }
}

/// The CID from the bytes of [`cid_windows`], in that order; 40 upper hex digits.
/// For who reads only the windows.
pub fn cid_from_windows<T: AsRef<[u8]>>(windows: impl IntoIterator<Item = T>) -> String {
    let mut sha1 = Sha1::new();
    for window in windows {
        sha1.update(window.as_ref());
    }
    hex_upper(&sha1.finalize())
}

/// Computes a CID in one pass over the whole content, picking its windows as they go by.
pub(super) struct Cid {
    windows: std::vec::IntoIter<Range<u64>>,
    current: Option<Range<u64>>,
    position: u64,
    sha1: Sha1,
}

impl Cid {
    /// `size` is the size of the whole content; it decides where the windows are.
    pub(super) fn new(size: u64) -> Self {
        let mut windows = cid_windows(size).into_iter();
        Cid {
            current: windows.next(),
            windows,
            position: 0,
            sha1: Sha1::new(),
        }
    }

    pub(super) fn update(&mut self, data: &[u8]) {
        let start = self.position;
        let end = start.saturating_add(data.len() as u64);
        self.position = end;
        while let Some(window) = &self.current {
            let from = window.start.max(start);
            let to = window.end.min(end);
            if from < to {
                // Both lie inside `data`, whose length is a usize.
                self.sha1
                    .update(&data[(from - start) as usize..(to - start) as usize]);
            }
            if window.end > end {
                return;
            }
            self.current = self.windows.next();
        }
    }

    pub(super) fn finish(self) -> String {
        hex_upper(&self.sha1.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_small_and_large_contents() {
        assert!(cid_windows(0).is_empty());
        assert_eq!(cid_windows(61439).first(), Some(&(0..61439)));
        assert_eq!(cid_windows(61439).len(), 1);
        assert_eq!(
            cid_windows(61440),
            [0..20480, 20480..40960, 40960..61440].to_vec()
        );
        assert_eq!(
            cid_windows(600_000),
            [0..20480, 200_000..220_480, 579_520..600_000].to_vec()
        );
        assert_eq!(cid_windows(u64::MAX).len(), 3);
    }

    #[test]
    fn one_pass_equals_the_windows() {
        for size in [0usize, 1, 61439, 61440, 61441, 200_003] {
            let content: Vec<u8> = (0..size).map(|i| (i % 241) as u8).collect();
            let direct = cid_from_windows(
                cid_windows(size as u64)
                    .into_iter()
                    .map(|w| &content[w.start as usize..w.end as usize]),
            );
            for step in [1013, 20480, 1 << 20] {
                let mut cid = Cid::new(size as u64);
                content.chunks(step).for_each(|piece| cid.update(piece));
                assert_eq!(cid.finish(), direct, "size {size}, step {step}");
            }
        }
    }
}
