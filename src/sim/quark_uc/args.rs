//! Arguments of a call: its query and its JSON body.

use serde_json::{Map, Value};

use super::super::oss::sign::{parse_query, value};
use super::errors::ApiError;

/// Arguments as they came.
pub(super) struct Args {
    query: Vec<(String, String)>,
    body: Map<String, Value>,
}

impl Args {
    /// Reads them.
    ///
    /// # Errors
    /// A body that is no JSON object.
    pub(super) fn read(query: &str, body: &[u8]) -> Result<Args, ApiError> {
        let body = match body.is_empty() {
            true => Map::new(),
            false => serde_json::from_slice(body).map_err(|_| ApiError::parameter("body"))?,
        };
        Ok(Args {
            query: parse_query(query),
            body,
        })
    }

    /// A parameter of the query, empty when it is missing.
    pub(super) fn query(&self, name: &str) -> &str {
        value(&self.query, name).unwrap_or("")
    }

    /// A number of the query.
    ///
    /// # Errors
    /// It is there and no number.
    pub(super) fn query_number(&self, name: &str, default: i64) -> Result<i64, ApiError> {
        match self.query(name) {
            "" => Ok(default),
            text => text.parse().map_err(|_| ApiError::parameter(name)),
        }
    }

    /// Page (from 1) and size of the query; a size above `most` is cut.
    ///
    /// # Errors
    /// No page or size that makes sense.
    pub(super) fn page(&self, default: i64, most: i64) -> Result<(usize, usize), ApiError> {
        let page = self.query_number("_page", 1)?;
        let size = self.query_number("_size", default)?.min(most);
        match (usize::try_from(page), usize::try_from(size)) {
            (Ok(page), Ok(size)) if page > 0 && size > 0 => Ok((page, size)),
            _ => Err(ApiError::parameter("_page, _size")),
        }
    }

    /// A member of the body.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.body.get(name).filter(|value| !value.is_null())
    }

    /// A text of the body, empty when it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or("")
    }

    /// A number of the body, as a number or in digits.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        let value = self.get(name)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }

    /// Whether a member of the body is `true`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// An id of the body, as a text or a number.
    ///
    /// # Errors
    /// It is missing.
    pub(super) fn id(&self, name: &str) -> Result<String, ApiError> {
        let id = self.get(name).and_then(id_of);
        id.ok_or_else(|| ApiError::parameter(name))
    }

    /// Ids of the body: texts, numbers, or objects with a `fid` (sheet quark, 4.7); 1 to `most`.
    ///
    /// # Errors
    /// Anything else.
    pub(super) fn ids(&self, name: &str, most: usize) -> Result<Vec<String>, ApiError> {
        let list = self.get(name).and_then(Value::as_array);
        let ids: Option<Vec<String>> = list.map_or(Some(Vec::new()), |list| {
            let one = |value: &Value| id_of(value).or_else(|| id_of(value.get("fid")?));
            list.iter().map(one).collect()
        });
        ids.filter(|ids| (1..=most).contains(&ids.len()))
            .ok_or_else(|| ApiError::parameter(name))
    }
}

fn id_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
