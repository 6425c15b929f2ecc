//! Members of a body. Ids are texts (section 3): a number in their place is 112, and so is
//! everything else of the wrong type.

use serde_json::{Map, Value};

use super::errors::ApiError;

/// The members of a JSON object.
#[derive(Clone, Default)]
pub(super) struct Args(Map<String, Value>);

impl Args {
    /// Reads a body; none at all is as good as `{}` (section 7, client check: the trash is
    /// emptied without any).
    ///
    /// # Errors
    /// 112: not declared as JSON, or no object.
    pub(super) fn read(content_type: &str, body: &[u8]) -> Result<Args, ApiError> {
        if body.is_empty() {
            return Ok(Args::default());
        }
        if !content_type.starts_with("application/json") {
            return Err(ApiError::parameter("Content-Type"));
        }
        serde_json::from_slice(body)
            .map(Args)
            .map_err(|_| ApiError::parameter("body"))
    }

    /// A member that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text, empty when it is missing.
    ///
    /// # Errors
    /// 112: something else.
    pub(super) fn text(&self, name: &str) -> Result<&str, ApiError> {
        match self.get(name) {
            None => Ok(""),
            Some(value) => value.as_str().ok_or_else(|| ApiError::parameter(name)),
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// 112: missing, empty or something else.
    pub(super) fn required(&self, name: &str) -> Result<&str, ApiError> {
        match self.text(name)? {
            "" => Err(ApiError::parameter(name)),
            text => Ok(text),
        }
    }

    /// An integer.
    ///
    /// # Errors
    /// 112: something else, a number in quotes too.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => Err(ApiError::parameter(name)),
            },
        }
    }

    /// A size in bytes that must be there.
    ///
    /// # Errors
    /// 112: missing, negative or something else.
    pub(super) fn size(&self, name: &str) -> Result<u64, ApiError> {
        let size = self.number(name)?;
        let size = size.and_then(|size| u64::try_from(size).ok());
        size.ok_or_else(|| ApiError::parameter(name))
    }

    /// An object that must be there.
    ///
    /// # Errors
    /// 112: something else.
    pub(super) fn object(&self, name: &str) -> Result<Args, ApiError> {
        match self.get(name) {
            Some(Value::Object(object)) => Ok(Args(object.clone())),
            _ => Err(ApiError::parameter(name)),
        }
    }

    /// Integers; none when the member is missing.
    ///
    /// # Errors
    /// 112: something else.
    pub(super) fn numbers(&self, name: &str) -> Result<Vec<i64>, ApiError> {
        let bad = || ApiError::parameter(name);
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => list
                .iter()
                .map(|value| value.as_i64().ok_or_else(bad))
                .collect(),
            Some(_) => Err(bad()),
        }
    }

    /// Ids: 1 to `most` texts.
    ///
    /// # Errors
    /// 112: anything else.
    pub(super) fn ids(&self, name: &str, most: u64) -> Result<Vec<String>, ApiError> {
        let bad = || ApiError::parameter(name);
        let list = self.get(name).and_then(Value::as_array).ok_or_else(bad)?;
        let one = |value: &Value| match value.as_str() {
            None | Some("") => None,
            Some(id) => Some(id.to_owned()),
        };
        let ids: Option<Vec<String>> = list.iter().map(one).collect();
        ids.filter(|ids| !ids.is_empty() && ids.len() as u64 <= most)
            .ok_or_else(bad)
    }
}
