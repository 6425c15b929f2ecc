//! The arguments of a call: query, form or JSON object, with the spellings the server takes
//! (123_open.md section 3).

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::errors::ApiError;

/// Named arguments.
#[derive(Clone, Debug, Default)]
pub(super) struct Args {
    values: Vec<(String, Value)>,
    /// From a query or form: numbers and flags come as text.
    textual: bool,
    /// The knob `any_case`: names in whatever case.
    any_case: bool,
}

/// `parentFileID` and `parentFileId`, `fileIDs` and `fileIds` are one name each.
fn folded(name: &str) -> String {
    if let Some(stem) = name.strip_suffix("ID") {
        return format!("{stem}Id");
    }
    match name.strip_suffix("IDs") {
        Some(stem) => format!("{stem}Ids"),
        None => name.to_owned(),
    }
}

impl Args {
    /// Arguments of a query or a form body.
    pub(super) fn pairs(text: &str) -> Args {
        let decode = |part: &str| {
            let part = part.replace('+', " ");
            percent_decode_str(&part).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let values = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), Value::String(decode(value)))
        });
        Args {
            values: values.collect(),
            textual: true,
            any_case: false,
        }
    }

    /// Arguments of a JSON body; an empty body has none.
    pub(super) fn json(bytes: &[u8]) -> Result<Args, ApiError> {
        let object = if bytes.is_empty() {
            Map::new()
        } else {
            match serde_json::from_slice(bytes) {
                Ok(Value::Object(object)) => object,
                _ => return Err(ApiError::parameter("body")),
            }
        };
        Ok(Args {
            values: object.into_iter().collect(),
            textual: false,
            any_case: false,
        })
    }

    /// Arguments of multipart fields.
    pub(super) fn fields(fields: Vec<(String, String)>) -> Args {
        let values = fields.into_iter();
        Args {
            values: values.map(|(name, v)| (name, Value::String(v))).collect(),
            textual: true,
            any_case: false,
        }
    }

    /// Names in any case from now on.
    pub(super) fn any_case(mut self, yes: bool) -> Args {
        self.any_case = yes;
        self
    }

    /// An argument; `null` is the same as absent.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let wanted = folded(name);
        let same = |sent: &str| {
            folded(sent) == wanted || (self.any_case && sent.eq_ignore_ascii_case(&wanted))
        };
        let found = self.values.iter().find(|(sent, _)| same(sent));
        found.map(|(_, value)| value).filter(|v| !v.is_null())
    }

    /// A text, empty when it is absent or no text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or("")
    }

    /// A whole number. In JSON it must be a number.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.read_number(name, self.textual)
    }

    /// An id: a number or a decimal text, wherever it comes from.
    pub(super) fn id(&self, name: &str) -> Result<String, ApiError> {
        match self.read_number(name, true)? {
            Some(id) if id >= 0 => Ok(id.to_string()),
            _ => Err(ApiError::parameter(name)),
        }
    }

    fn read_number(&self, name: &str, text_too: bool) -> Result<Option<i64>, ApiError> {
        let value = match self.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) if self.textual && text.is_empty() => return Ok(None),
            Some(Value::String(text)) if text_too => text.trim().parse().ok(),
            Some(value) => value.as_i64(),
        };
        value.map(Some).ok_or_else(|| ApiError::parameter(name))
    }

    /// A list of ids, at least one and at most `most`.
    pub(super) fn ids(&self, name: &str, most: usize) -> Result<Vec<String>, ApiError> {
        let list = self.get(name).and_then(Value::as_array);
        let ids: Option<Vec<String>> = list.and_then(|list| {
            let one = |id: &Value| match id {
                Value::String(text) => text.parse::<u64>().ok(),
                other => other.as_u64(),
            };
            list.iter().map(|id| Some(one(id)?.to_string())).collect()
        });
        ids.filter(|ids| !ids.is_empty() && ids.len() <= most)
            .ok_or_else(|| ApiError::parameter(name))
    }

    /// A flag, off when absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if self.textual => Ok(text == "true" || text == "1"),
            Some(_) => Err(ApiError::parameter(name)),
        }
    }
}
