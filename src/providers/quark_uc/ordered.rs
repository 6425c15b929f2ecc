//! JSON whose members keep their order: the object store is told the callback as the service
//! spelled it (sheet quark, 7.3), and `serde_json::Value` sorts.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Number, Value};

/// A JSON value.
#[derive(Debug)]
pub enum Ordered {
    Plain(Value),
    List(Vec<Ordered>),
    Map(Vec<(String, Ordered)>),
}

impl Ordered {
    fn member(self, name: &str) -> Option<Ordered> {
        match self {
            Ordered::Map(members) => members
                .into_iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

/// What is at `path` of a JSON document, without blanks and in its order. A text is taken as it
/// is. `None` when nothing is there.
pub fn compact(document: &[u8], path: &[&str]) -> Option<String> {
    let mut value: Ordered = serde_json::from_slice(document).ok()?;
    for name in path {
        value = value.member(name)?;
    }
    match value {
        Ordered::Plain(Value::Null) => None,
        Ordered::Plain(Value::String(text)) => Some(text),
        value => serde_json::to_string(&value).ok(),
    }
}

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Ordered::Plain(value) => value.serialize(serializer),
            Ordered::List(items) => items.serialize(serializer),
            Ordered::Map(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Ordered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Ordered, E> {
        Ok(Ordered::Plain(Value::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Ordered, E> {
        Ok(Ordered::Plain(Value::Bool(flag)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Ordered, E> {
        Ok(Ordered::Plain(Value::Number(number.into())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Ordered, E> {
        Ok(Ordered::Plain(Value::Number(number.into())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Ordered, E> {
        let number = Number::from_f64(number).map_or(Value::Null, Value::Number);
        Ok(Ordered::Plain(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Ordered, E> {
        Ok(Ordered::Plain(Value::String(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Ordered, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Ordered::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Ordered, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = members.next_entry()? {
            all.push(member);
        }
        Ok(Ordered::Map(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order() {
        let document = br#"{"data": {"z": {"b": "x\"${size}&", "a": [1, -2, 1.5, null, true, {"d":1,"c":2}]}}}"#;
        assert_eq!(
            compact(document, &["data", "z"]).unwrap(),
            r#"{"b":"x\"${size}&","a":[1,-2,1.5,null,true,{"d":1,"c":2}]}"#
        );
        assert_eq!(
            compact(br#"{"data":{"z":"{c}"}}"#, &["data", "z"]).unwrap(),
            "{c}"
        );
        assert_eq!(compact(br#"{"data":{"z":null}}"#, &["data", "z"]), None);
        assert_eq!(compact(br#"{"data":[]}"#, &["data", "z"]), None);
        assert_eq!(compact(b"<html>", &[]), None);
    }
}
