//! Query and body of a call. Everything of the wrong type is 99992402, as a gateway says it.

use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use serde_json::{Map, Value};

use super::super::oss::sign::{parse_query, value};
use super::errors::ApiError;

/// Most bytes of a body that is a document.
const MOST: usize = 1 << 20;

/// The query's parameters and the body's members.
#[derive(Default)]
pub(super) struct Args {
    query: Vec<(String, String)>,
    body: Map<String, Value>,
}

/// Reads a body that must be a JSON object and say so; none at all is as good as `{}`.
///
/// # Errors
/// 99992402.
pub(super) async fn read_object(
    headers: &HeaderMap,
    body: Body,
) -> Result<Map<String, Value>, ApiError> {
    let bytes = to_bytes(body, MOST).await;
    let bytes = bytes.map_err(|_| ApiError::field("body"))?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    let kind = headers.get("content-type");
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("");
    if !kind.to_ascii_lowercase().starts_with("application/json") {
        return Err(ApiError::field("Content-Type"));
    }
    serde_json::from_slice(&bytes).map_err(|_| ApiError::field("body"))
}

impl Args {
    /// Of a call.
    pub(super) fn new(query: &str, body: Map<String, Value>) -> Args {
        Args {
            query: parse_query(query),
            body,
        }
    }

    /// A parameter of the query, empty when it is missing.
    pub(super) fn query(&self, name: &str) -> &str {
        value(&self.query, name).unwrap_or("")
    }

    /// A member of the body that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.body.get(name).filter(|value| !value.is_null())
    }

    /// A text of the body, empty when it is missing.
    pub(super) fn text(&self, name: &str) -> Result<&str, ApiError> {
        match self.get(name) {
            None => Ok(""),
            Some(value) => value.as_str().ok_or_else(|| ApiError::field(name)),
        }
    }

    /// A text of the body that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, ApiError> {
        match self.text(name)? {
            "" => Err(ApiError::field(name)),
            text => Ok(text),
        }
    }

    /// A whole number of the body that must be there; one in quotes is refused.
    pub(super) fn number(&self, name: &str) -> Result<u64, ApiError> {
        let value = self.get(name).and_then(Value::as_u64);
        value.ok_or_else(|| ApiError::field(name))
    }

    /// `page_size` of the query.
    ///
    /// # Errors
    /// 1064001: not between 1 and 200.
    pub(super) fn page_size(&self, default: usize) -> Result<usize, ApiError> {
        match self.query("page_size") {
            "" => Ok(default),
            text => {
                let size = text.parse().ok().filter(|size| (1..=200).contains(size));
                size.ok_or_else(|| ApiError::new(1_064_001))
            }
        }
    }
}
