//! Typed reading of one table. Every reader removes its key; what is left at the end is unknown.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::error::{ConfigProblem, Origin};
use super::raw::{RawEntry, RawTable, RawValue};
use super::suggest::did_you_mean;

/// A table being read.
pub(super) struct Section<'a> {
    name: String,
    table: RawTable,
    known: Vec<&'static str>,
    problems: &'a mut Vec<ConfigProblem>,
}

impl<'a> Section<'a> {
    /// The table `name` (dotted, for messages) of `root`; empty when it is absent.
    pub(super) fn of(
        name: &str,
        entry: Option<RawEntry>,
        problems: &'a mut Vec<ConfigProblem>,
    ) -> Self {
        let table = match entry {
            None => RawTable::new(),
            Some(RawEntry {
                value: RawValue::Table(table),
                ..
            }) => table,
            Some(RawEntry { value, origin }) => {
                problems.push(ConfigProblem {
                    origin,
                    key: name.to_owned(),
                    message: format!("`{name}` is a table, not {}", value.shown()),
                });
                RawTable::new()
            }
        };
        Section {
            name: name.to_owned(),
            table,
            known: Vec::new(),
            problems,
        }
    }

    /// A whole number; `None` when the key is absent or an empty text.
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let entry = self.take(key)?;
        let number = match &entry.value {
            RawValue::Integer(number) => u64::try_from(*number).ok(),
            RawValue::Text(text) if from_environment(&entry) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                let wanted = format!("a number from {} to {}", range.start(), range.end());
                self.wrong(key, &entry, &wanted);
                None
            }
        }
    }

    /// A truth value.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let entry = self.take(key)?;
        let flag = match &entry.value {
            RawValue::Bool(value) => Some(*value),
            RawValue::Text(text) if from_environment(&entry) => {
                match text.trim().to_lowercase().as_str() {
                    "1" | "true" | "yes" | "on" => Some(true),
                    "0" | "false" | "no" | "off" => Some(false),
                    _ => None,
                }
            }
            _ => None,
        };
        if flag.is_none() {
            self.wrong(key, &entry, "true or false");
        }
        flag
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let entry = self.take(key)?;
        match entry.value {
            RawValue::Text(text) => Some(text),
            _ => {
                self.wrong(key, &entry, "a text in quotes");
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn required_text(&mut self, key: &'static str, origin: &Origin) -> String {
        let present = self.table.contains_key(key);
        match self.text(key) {
            Some(text) => text,
            None => {
                if !present {
                    self.problems.push(ConfigProblem {
                        origin: origin.clone(),
                        key: format!("{}.{key}", self.name),
                        message: format!("`{}` needs the key `{key}`", self.name),
                    });
                }
                String::new()
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let entry = self.take(key)?;
        let word = match &entry.value {
            RawValue::Text(text) => text.trim().to_owned(),
            other => other.shown(),
        };
        let found = choices.iter().find(|(name, _)| *name == word);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let wanted = format!("one of {}", names.join(", "));
            let nearest = super::suggest::nearest(&word, names.iter().copied())
                .map(|name| format!("; did you mean \"{name}\"?"))
                .unwrap_or_default();
            self.wrong_with(key, &entry, &wanted, &nearest);
        }
        found.map(|(_, value)| *value)
    }

    /// File permission bits: the text "022" or the number 0o022.
    pub(super) fn octal(&mut self, key: &'static str) -> Option<u32> {
        let entry = self.take(key)?;
        let bits = match &entry.value {
            RawValue::Integer(number) => u32::try_from(*number).ok(),
            RawValue::Text(text) => {
                let digits = text.trim();
                let digits = digits.strip_prefix("0o").unwrap_or(digits);
                u32::from_str_radix(digits, 8).ok()
            }
            _ => None,
        };
        match bits {
            Some(bits) if bits <= 0o777 => Some(bits),
            _ => {
                self.wrong(key, &entry, "permission bits such as \"022\"");
                None
            }
        }
    }

    /// A table of texts with free names.
    pub(super) fn texts(&mut self, key: &'static str) -> BTreeMap<String, String> {
        let Some(entry) = self.take(key) else {
            return BTreeMap::new();
        };
        let RawValue::Table(table) = entry.value else {
            self.wrong(key, &entry, "a table of texts");
            return BTreeMap::new();
        };
        let mut texts = BTreeMap::new();
        for (name, entry) in table {
            match entry.value {
                RawValue::Text(text) => {
                    texts.insert(name, text);
                }
                // Ids are often digits only; writing them without quotes is not a mistake.
                RawValue::Integer(number) => {
                    texts.insert(name, number.to_string());
                }
                RawValue::Bool(value) => {
                    texts.insert(name, value.to_string());
                }
                _ => {
                    let full = format!("{}.{key}.{name}", self.name);
                    self.problems.push(ConfigProblem {
                        message: format!(
                            "`{full}` is {}; it takes a text in quotes",
                            entry.value.shown()
                        ),
                        key: full,
                        origin: entry.origin,
                    });
                }
            }
        }
        texts
    }

    /// Reports every key nobody asked for.
    pub(super) fn finish(self) {
        for (key, entry) in self.table {
            let full = format!("{}.{key}", self.name);
            let hint = did_you_mean(&key, self.known.iter().copied());
            let what = match entry.value {
                RawValue::Table(_) => "table",
                _ => "key",
            };
            self.problems.push(ConfigProblem {
                origin: entry.origin,
                message: format!("unknown {what} `{full}`; {hint}"),
                key: full,
            });
        }
    }

    fn take(&mut self, key: &'static str) -> Option<RawEntry> {
        self.known.push(key);
        let entry = self.table.remove(key)?;
        // An empty variable takes a value back, as shells cannot unset one for a single command.
        if from_environment(&entry) && entry.value == RawValue::Text(String::new()) {
            return None;
        }
        Some(entry)
    }

    fn wrong(&mut self, key: &str, entry: &RawEntry, wanted: &str) {
        self.wrong_with(key, entry, wanted, "");
    }

    fn wrong_with(&mut self, key: &str, entry: &RawEntry, wanted: &str, more: &str) {
        let full = format!("{}.{key}", self.name);
        self.problems.push(ConfigProblem {
            origin: entry.origin.clone(),
            message: format!(
                "`{full}` is {}; it takes {wanted}{more}",
                entry.value.shown()
            ),
            key: full,
        });
    }
}

fn from_environment(entry: &RawEntry) -> bool {
    matches!(entry.origin, Origin::Environment(_))
}
