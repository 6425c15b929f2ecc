//! Names (sheet section 9): up to 1024 UTF-8 bytes without `/`; the official clients also
//! refuse `\ : * ? " < > |`, and what the server does with them is not documented, so they
//! are mapped.

use crate::drive::NameRules;

pub const RULES: NameRules = NameRules {
    illegal: "\\:*?\"<>|",
    no_controls: true,
    no_outer_blanks: false,
    max_bytes: 1024,
    max_chars: usize::MAX,
};
