//! Arguments of a call: query, form fields (baidu_netdisk.md section 3).

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::errors::ApiError;

/// Named texts, in the order they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Args(Vec<(String, String)>);

impl Args {
    /// Arguments of a query or of an `application/x-www-form-urlencoded` body.
    pub(super) fn pairs(text: &str) -> Args {
        let decode = |part: &str| {
            let part = part.replace('+', " ");
            percent_decode_str(&part).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        Args(pairs.map(pair).collect())
    }

    /// An argument that is there, be it empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(sent, _)| sent == name);
        found.map(|(_, value)| value.as_str())
    }

    /// An argument, empty when it is absent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// An argument that must be there and not be empty.
    pub(super) fn required(&self, name: &str) -> Result<&str, ApiError> {
        match self.text(name) {
            "" => Err(ApiError::parameter(name)),
            text => Ok(text),
        }
    }

    /// A whole number; `default` when it is absent or empty.
    pub(super) fn number(&self, name: &str, default: u64) -> Result<u64, ApiError> {
        match self.text(name) {
            "" => Ok(default),
            text => text.parse().map_err(|_| ApiError::parameter(name)),
        }
    }

    /// Seconds since 1970, when given.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.text(name) {
            "" => Ok(None),
            text => match text.parse() {
                Ok(seconds) if seconds >= 0 => Ok(Some(seconds)),
                _ => Err(ApiError::parameter(name)),
            },
        }
    }

    /// A flag written 0 or 1; off when absent. `web` alone (as one client sends it) is on.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(text) if text == name || (name == "web" && text != "0") => Ok(true),
            Some("") => Ok(false),
            Some(_) => Err(ApiError::parameter(name)),
        }
    }

    /// A JSON array.
    pub(super) fn array(&self, name: &str) -> Result<Vec<Value>, ApiError> {
        match serde_json::from_str(self.required(name)?) {
            Ok(Value::Array(values)) => Ok(values),
            _ => Err(ApiError::parameter(name)),
        }
    }
}
