//! The first stage: values as they were written, each with its place.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Origin};

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum RawValue {
    /// A text. Values of the environment are always texts.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A truth value.
    Bool(bool),
    /// A list.
    List(Vec<RawValue>),
    /// A table.
    Table(RawTable),
    /// Something no key takes (floats, dates), as text for the message.
    Other(String),
}

impl RawValue {
    /// The value for an error message.
    pub fn shown(&self) -> String {
        match self {
            RawValue::Text(text) => format!("\"{text}\""),
            RawValue::Integer(number) => number.to_string(),
            RawValue::Bool(value) => value.to_string(),
            RawValue::List(_) => "a list".to_owned(),
            RawValue::Table(_) => "a table".to_owned(),
            RawValue::Other(text) => text.clone(),
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct RawEntry {
    /// The value.
    pub value: RawValue,
    /// Its place (of the key).
    pub origin: Origin,
}

/// A table.
pub type RawTable = BTreeMap<String, RawEntry>;

/// Tables that [`overlay`] takes values for. `provider` and `profile` have names of the user's
/// in them and are left to the file.
pub const OVERLAY_TABLES: &[&str] = &[
    "mount", "cache", "transfer", "conflict", "risk", "limits", "store", "log",
];

/// Reads a file's text.
///
/// # Errors
/// When it is not TOML: line and reason.
pub fn parse(text: &str, file: &Path) -> Result<RawTable, ConfigError> {
    let at = |offset: usize| Origin::File {
        file: file.to_owned(),
        line: line_of(text, offset),
    };
    match DeTable::parse(text) {
        Ok(table) => Ok(convert_table(table.get_ref(), &at)),
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            let reason = error.message().replace('\n', ", ");
            Err(ConfigError::one(
                at(offset),
                "",
                format!("not valid TOML: {reason}"),
            ))
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset.min(text.len()))
        .filter(|byte| *byte == b'\n')
        .count()
}

fn convert_table(table: &DeTable<'_>, at: &dyn Fn(usize) -> Origin) -> RawTable {
    table
        .iter()
        .map(|(key, value)| {
            let entry = RawEntry {
                value: convert(value.get_ref(), at),
                origin: at(key.span().start),
            };
            (key.get_ref().to_string(), entry)
        })
        .collect()
}

fn convert(value: &DeValue<'_>, at: &dyn Fn(usize) -> Origin) -> RawValue {
    match value {
        DeValue::String(text) => RawValue::Text(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            match i64::from_str_radix(&digits, number.radix()) {
                Ok(number) => RawValue::Integer(number),
                Err(_) => RawValue::Other(number.to_string()),
            }
        }
        DeValue::Boolean(value) => RawValue::Bool(*value),
        DeValue::Float(number) => RawValue::Other(number.to_string()),
        DeValue::Datetime(time) => RawValue::Other(time.to_string()),
        DeValue::Array(list) => RawValue::List(
            list.iter()
                .map(|value| convert(value.get_ref(), at))
                .collect(),
        ),
        DeValue::Table(table) => RawValue::Table(convert_table(table, at)),
    }
}

/// Lays `PANFUSE_<SECTION>_<KEY>` over the file. A variable of an unknown section is left alone:
/// it may belong to somebody else.
pub fn overlay<I>(table: &mut RawTable, variables: I)
where
    I: IntoIterator<Item = (String, String)>,
{
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix("PANFUSE_") else {
            continue;
        };
        let Some((section, key)) = rest.split_once('_') else {
            continue;
        };
        let section = section.to_lowercase();
        if !OVERLAY_TABLES.contains(&section.as_str()) || key.is_empty() {
            continue;
        }
        let origin = Origin::Environment(name.clone());
        let entry = table.entry(section).or_insert_with(|| RawEntry {
            value: RawValue::Table(RawTable::new()),
            origin: origin.clone(),
        });
        if let RawValue::Table(inner) = &mut entry.value {
            inner.insert(
                key.to_lowercase(),
                RawEntry {
                    value: RawValue::Text(value),
                    origin,
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_line() {
        let text = "# head\n[mount]\n\nttl_s = 5\numask = 0o022\n[profile.a.fields]\nx = \"y\"\n";
        let table = parse(text, Path::new("c.toml")).unwrap();
        let RawValue::Table(mount) = &table["mount"].value else {
            panic!("mount is a table")
        };
        assert_eq!(mount["ttl_s"].value, RawValue::Integer(5));
        assert_eq!(mount["umask"].value, RawValue::Integer(0o22));
        assert_eq!(mount["ttl_s"].origin.to_string(), "c.toml:4");
    }

    #[test]
    fn broken_toml_names_the_line() {
        let error = parse("[mount]\nttl_s = = 3\n", Path::new("c.toml")).unwrap_err();
        assert!(error.to_string().starts_with("c.toml:2: not valid TOML"));
    }

    #[test]
    fn the_environment_wins_and_strangers_are_left_alone() {
        let mut table = parse("[mount]\nttl_s = 5\n", Path::new("c")).unwrap();
        overlay(
            &mut table,
            [
                ("PANFUSE_MOUNT_TTL_S".to_owned(), "9".to_owned()),
                ("PANFUSE_BENCH_ROUNDS".to_owned(), "1".to_owned()),
                ("PANFUSE_MASTER_KEY".to_owned(), "k".to_owned()),
                ("HOME".to_owned(), "/".to_owned()),
            ],
        );
        assert_eq!(table.len(), 1);
        let RawValue::Table(mount) = &table["mount"].value else {
            panic!("mount is a table")
        };
        assert_eq!(mount["ttl_s"].value, RawValue::Text("9".to_owned()));
    }
}
