//! Download links (sheet section 4.4): the question and the answer are masked, and the answer may
//! set cookies that the link wants.

use reqwest::header::{HeaderMap, SET_COOKIE};
use serde_json::{Value, json};

use super::api::Api;
use crate::drive::{DriveError, ErrorKind, NodeId, Result, decode, patience};
use crate::net::{Request, Retry, Secret};
use crate::providers::pan115_open::api::{Repeat, exchange};
use crate::providers::pan115_open::door::Address;
use crate::providers::pan115_open::errors::judge;
use crate::providers::pan115_open::read::link_of;

const OP: &str = "download_link";

pub async fn link(api: &Api, id: &NodeId, pick_code: &str) -> Result<Address> {
    let text = json!({ "pickcode": pick_code }).to_string();
    let text = text.as_bytes();
    api.ask(patience(), |cookie| async move {
        let (data, key) = api.m115.encode(text).ok_or_else(|| {
            DriveError::new(ErrorKind::Invalid, "the system gives no random numbers")
        })?;
        let url = format!("{}/app/chrome/downurl", api.app);
        let request = Request::post(OP, url)
            .query("t", &api.seconds().to_string())
            .class("link")
            .header("cookie", cookie.expose())
            .form(&[("data", &data)]);
        exchange(
            &api.client,
            request,
            Repeat::Safe,
            |status, headers, body| {
                let answer = judge(OP, status, headers, body)?;
                let entries = match &answer["data"] {
                    Value::String(data) if !data.is_empty() => api
                        .m115
                        .decode(data, &key)
                        .and_then(|text| serde_json::from_slice(&text).ok())
                        .ok_or_else(|| {
                            DriveError::bad_answer(OP, "data that our key does not read")
                                .retry(Retry::Backoff)
                        })?,
                    _ => Value::Null,
                };
                address(&entries, headers, id)
            },
        )
        .await
    })
    .await
}

/// The link of a file among the decoded entries; nothing, or a size below zero, stands for a file
/// that is not there.
fn address(entries: &Value, headers: &HeaderMap, id: &NodeId) -> Result<Address> {
    let gone = || DriveError::not_found(format!("the content of file {id}"));
    let size = decode::integer(&entries[id.as_str()]["file_size"]);
    if size.is_some_and(|size| size < 0) {
        return Err(gone());
    }
    Ok(Address {
        url: link_of(entries, id).ok_or_else(gone)?,
        cookies: set_cookies(headers),
    })
}

/// What an answer sets, as a `Cookie` header.
fn set_cookies(headers: &HeaderMap) -> Option<Secret> {
    let pairs: Vec<&str> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok()?.split(';').next())
        .map(str::trim)
        .filter(|pair| pair.contains('='))
        .collect();
    (!pairs.is_empty()).then(|| Secret::new(pairs.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_the_cookies_they_want() {
        let id = NodeId::new("7");
        let mut headers = HeaderMap::new();
        let entries = json!({"7":{"file_size":"12","url":{"url":"https://x/y?f=3","client":1}}});
        let plain = address(&entries, &headers, &id).unwrap();
        assert_eq!(plain.url, "https://x/y?f=3");
        assert!(plain.cookies.is_none());
        for line in [
            "acw_tc=ab=c; path=/; HttpOnly",
            "115_lang=zh; expires=x",
            "broken",
        ] {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }
        let with = address(&entries, &headers, &id).unwrap();
        assert_eq!(with.cookies.unwrap().expose(), "acw_tc=ab=c; 115_lang=zh");
    }

    #[test]
    fn files_that_are_not_there() {
        let (id, headers) = (NodeId::new("7"), HeaderMap::new());
        for entries in [
            Value::Null,
            json!([]),
            json!({"7":{"file_size":-1,"url":{"url":"https://x/y"}}}),
            json!({"7":{"file_size":"12","url":false}}),
        ] {
            let error = address(&entries, &headers, &id).map(|_| ()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound, "{entries}");
        }
    }
}
