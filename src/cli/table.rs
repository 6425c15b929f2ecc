//! Aligned tables and colour.

use std::io::IsTerminal;

/// Whether and how text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    colour: bool,
}

impl Paint {
    /// For standard output: only on a terminal, and never with `NO_COLOR`.
    pub fn of_stdout() -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint {
            colour: std::io::stdout().is_terminal() && !refused,
        }
    }

    /// Something that is well.
    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Something that is broken.
    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// A heading or something less important.
    pub fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Rows of columns, each as wide as its widest cell.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a heading.
    pub fn new(paint: Paint, heading: &[&str]) -> Table {
        Table {
            rows: vec![heading.iter().map(|text| paint.faint(text)).collect()],
        }
    }

    /// A table of names and values without a heading.
    pub fn plain() -> Table {
        Table::default()
    }

    /// Adds a row.
    pub fn row<I>(&mut self, cells: I)
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.rows
            .push(cells.into_iter().map(|cell| clean(&cell.into())).collect());
    }

    /// The text, one line per row.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(shown_width(cell));
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(row) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width - shown_width(cell) + 2));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Names come from providers: control characters must not reach a terminal. Only our own
/// colours pass.
fn clean(text: &str) -> String {
    let ours = |rest: &str| {
        ["\x1b[31m", "\x1b[32m", "\x1b[2m", "\x1b[0m"]
            .iter()
            .any(|code| rest.starts_with(code))
    };
    text.char_indices()
        .map(|(at, letter)| {
            if letter.is_control() && !ours(&text[at..]) {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

/// Columns on a terminal: colours take none, East Asian letters take two.
fn shown_width(text: &str) -> usize {
    let mut width = 0;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\x1b' {
            for next in letters.by_ref() {
                if next.is_ascii_alphabetic() {
                    break;
                }
            }
            continue;
        }
        width += match u32::from(letter) {
            0x1100..=0x115f
            | 0x2e80..=0x303e
            | 0x3041..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1faff
            | 0x20000..=0x3fffd => 2,
            _ => 1,
        };
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_is_in_them() {
        let paint = Paint { colour: true };
        let mut table = Table::new(Paint::default(), &["NAME", "STATUS"]);
        table.row(["阿里云".to_owned(), paint.good("ok")]);
        table.row(["a\nb", "x"]);
        assert_eq!(
            table.render(),
            "NAME    STATUS\n阿里云  \x1b[32mok\x1b[0m\na\u{fffd}b     x\n"
        );
        assert_eq!(Paint::default().bad("x"), "x");
        assert_eq!(clean("a\x1b[2Jb"), "a\u{fffd}[2Jb");
    }
}
