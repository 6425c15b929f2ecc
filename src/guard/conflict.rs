//! A file is in the way of a new one (SPEC S0-90 to S0-95, C-1).

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::Guard;
use crate::catalog::NodeKey;
use crate::config::ConflictPolicy;
use crate::drive::{Capabilities, Overwrite};

/// `conflictAction` of a new file that took a free name.
pub const AUTO_RENAME_NEW: &str = "auto_rename_new";

/// What happens to a new file whose name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExisting {
    /// It takes the place of the old one.
    Replace,
    /// It takes a free name beside the old one.
    Rename,
    /// It is refused.
    Refuse,
}

impl Guard {
    /// What happens in a directory. A drive that can neither replace nor rename cannot bring the
    /// new file under the taken name: it is refused before anything is sent (C-1).
    pub fn on_existing(&self, dir: Option<NodeKey>, drive: &Capabilities) -> OnExisting {
        match self.policies_at(dir).conflict.unwrap_or_default() {
            ConflictPolicy::AutoRenameNew => OnExisting::Rename,
            ConflictPolicy::Fail => OnExisting::Refuse,
            ConflictPolicy::OverwriteExisting
                if drive.overwrite == Overwrite::ByReplace && !drive.rename =>
            {
                OnExisting::Refuse
            }
            ConflictPolicy::OverwriteExisting => OnExisting::Replace,
        }
    }
}

/// `name (1).ext` and so on: only the last suffix is split off (SPEC S0-94).
pub fn numbered_name(name: &OsStr, number: u32) -> OsString {
    let path = Path::new(name);
    let mut numbered = path.file_stem().unwrap_or(name).to_owned();
    numbered.push(format!(" ({number})"));
    if let Some(extension) = path.extension() {
        numbered.push(".");
        numbered.push(extension);
    }
    numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    // S-166
    #[test]
    fn only_the_last_suffix_is_split() {
        for (name, expected) in [
            ("a.txt", "a (3).txt"),
            ("a.tar.gz", "a.tar (3).gz"),
            ("README", "README (3)"),
            (".bashrc", ".bashrc (3)"),
            ("a (1).txt", "a (1) (3).txt"),
            ("片.mkv", "片 (3).mkv"),
        ] {
            assert_eq!(numbered_name(OsStr::new(name), 3), expected);
        }
    }
}
