//! Download links, which also tell the MD5, and ranged reads (sheet quark, 4.3 and 8; sheet uc, 8).
//!
//! A link is bound to the account's cookie, the site as `Referer` and the User-Agent that asked
//! for it, and the answer that hands it out may set a cookie of its own (`__pugs`) for it.

use std::ops::Range;
use std::time::Duration;

use moka::sync::Cache;
use serde_json::{Value, json};

use super::api::{Answer, Api, Call};
use super::share::Share;
use super::task;
use crate::drive::{
    AccountEffect, ByteStream, DriveError, ErrorKind, Node, NodeId, Ranged, Result, decode,
    get_range,
};
use crate::fingerprint::{Kind, Known, Origin, md5_from_base64};
use crate::net::{Request, Response, Retry, Secret};

/// Links by file id.
pub struct Links {
    by_file: Cache<NodeId, Link>,
}

#[derive(Clone)]
struct Link {
    url: String,
    /// The cookie that came with it, as a header has it.
    cookie: Secret,
    /// Milliseconds since the epoch.
    expires: i64,
}

/// A link is asked for anew this long before its end.
const MARGIN_MS: i64 = 60_000;

/// Links live about six hours, the cookies they are bound to about three.
const LONGEST_MS: i64 = 150 * 60_000;

/// The pause before another link is asked for after too many connections.
const CROWDED: Duration = Duration::from_secs(2);

/// Names of cookies that belong to a link.
const LINK_COOKIE: &str = "__pugs";

/// Whose file it is.
#[derive(Clone, Copy)]
pub enum Owner<'a> {
    /// The account's.
    Account,
    /// A share's.
    Share(&'a Share),
}

impl Links {
    pub fn new() -> Self {
        Links {
            by_file: Cache::new(10_000),
        }
    }

    pub async fn read(
        &self,
        api: &Api,
        owner: Owner<'_>,
        node: &Node,
        range: Range<u64>,
    ) -> Result<ByteStream> {
        if node.size == 0 || range.is_empty() {
            return Ok(Box::pin(futures_util::stream::empty()));
        }
        let mut renewed = false;
        loop {
            let link = self.link(api, owner, node).await?;
            let account = api.jar.current().await?.header;
            let cookie = match (account.is_empty(), link.cookie.is_empty()) {
                (_, true) => account,
                (true, false) => link.cookie.clone(),
                (false, false) => {
                    Secret::new(format!("{}; {}", account.expose(), link.cookie.expose()))
                }
            };
            let mut request = Request::get("download", &link.url)
                .class("download")
                .header("referer", api.brand.site)
                .follow_redirects();
            if !cookie.is_empty() {
                request = request.header("cookie", cookie.expose());
            }
            let refused = match get_range(&api.client, request, &range).await? {
                Ranged::Body(stream) => return Ok(stream),
                Ranged::Refused(response) => response,
            };
            self.by_file.invalidate(&node.id);
            let status = refused.status.as_u16();
            let error = refusal(refused).await;
            if renewed || !matches!(status, 401 | 403 | 404 | 410 | 412) {
                return Err(error);
            }
            renewed = true;
            if status == 412 {
                tokio::time::sleep(CROWDED).await;
            }
        }
    }

    /// The MD5 of a file: no listing tells it, the answer with the link does.
    pub async fn md5(&self, api: &Api, node: &Node) -> Result<Option<Known>> {
        if node.is_dir() {
            return Ok(None);
        }
        let (entry, _) = self.ask(api, Owner::Account, node).await?;
        let md5 = md5_from_base64(&decode::text(&entry["md5"]));
        Ok(md5.map(|value| Known {
            value: value.into(),
            origin: Origin::Provider,
            provider: api.brand.key.into(),
            at: 0,
        }))
    }

    async fn link(&self, api: &Api, owner: Owner<'_>, node: &Node) -> Result<Link> {
        let now = api.now();
        let kept = self.by_file.get(&node.id);
        if let Some(link) = kept.filter(|link| link.expires.saturating_sub(MARGIN_MS) > now) {
            return Ok(link);
        }
        let (_, link) = self.ask(api, owner, node).await?;
        link.ok_or_else(|| {
            DriveError::new(
                ErrorKind::Provider,
                "the provider gives no download link for this file",
            )
        })
    }

    /// Asks for a link, keeps it, and returns what the answer says of the file.
    async fn ask(&self, api: &Api, owner: Owner<'_>, node: &Node) -> Result<(Value, Option<Link>)> {
        let answer = match owner {
            Owner::Account => {
                let body = json!({ "fids": [node.id.as_str()] });
                api.answer(Call::post("link", "/file/download", body))
                    .await?
            }
            Owner::Share(share) => share.link(api, node).await?,
        };
        let mut found = entry_of(&answer.value["data"], &node.id, 0).cloned();
        if found.is_none() && decode::nonempty(&answer.value["data"]["task_id"]).is_some() {
            // Large files: a task makes the link (section 4.3).
            let record = task::finish(api, &answer.value, true).await?;
            found = entry_of(&record, &node.id, 0).cloned();
        }
        let entry = found.ok_or_else(|| DriveError::not_found(format!("file {}", node.id)))?;
        let link = link_of(&entry, &answer, api.now());
        if let Some(link) = &link {
            self.by_file.insert(node.id.clone(), link.clone());
        }
        Ok((entry, link))
    }
}

/// What a refusal of the content host means.
async fn refusal(response: Response) -> DriveError {
    let status = response.status.as_u16();
    let pause = response.retry_after();
    let wait = pause.map_or(Retry::Backoff, Retry::After);
    let body = response.bytes(16 << 10).await.unwrap_or_default();
    let told = String::from_utf8_lossy(&body).to_lowercase();
    let (kind, again, what) = match status {
        401 => (ErrorKind::Auth, Retry::Never, "the login is refused"),
        403 if told.contains("login") || told.contains("auth expired") => {
            (ErrorKind::Auth, Retry::Never, "the login is refused")
        }
        403 => (ErrorKind::Provider, Retry::Backoff, "the link is refused"),
        404 | 410 => (ErrorKind::NotFound, Retry::Never, "the content is gone"),
        412 | 429 => (ErrorKind::RateLimited, wait, "too many connections"),
        416 => (ErrorKind::Changed, Retry::Never, "the file is shorter now"),
        500..=599 => (ErrorKind::Provider, wait, "the server failed"),
        _ => (ErrorKind::Provider, Retry::Never, "refused"),
    };
    DriveError::new(kind, format!("download: HTTP {status}, {what}"))
        .retry(again)
        .effect(AccountEffect::None)
}

/// What is said of a file, wherever in the answer it is: a list, or a task's answer around one.
fn entry_of<'a>(data: &'a Value, id: &NodeId, depth: u32) -> Option<&'a Value> {
    if depth > 6 {
        return None;
    }
    match data {
        Value::Array(items) => items.iter().find_map(|item| entry_of(item, id, depth + 1)),
        Value::Object(fields) => {
            let told = decode::text(&data["fid"]);
            let is_file = fields.contains_key("download_url") || fields.contains_key("md5");
            if is_file && (told.is_empty() || told == id.as_str()) {
                return Some(data);
            }
            fields
                .values()
                .filter(|value| value.is_array() || value.is_object())
                .find_map(|value| entry_of(value, id, depth + 1))
        }
        _ => None,
    }
}

fn link_of(entry: &Value, answer: &Answer, now: i64) -> Option<Link> {
    let url = decode::nonempty(&entry["download_url"]).filter(|url| url.starts_with("http"))?;
    let told = reqwest::Url::parse(&url).ok().and_then(|url| {
        let mut pairs = url.query_pairs();
        let (_, seconds) = pairs.find(|(key, _)| key.eq_ignore_ascii_case("expires"))?;
        seconds.parse::<i64>().ok()?.checked_mul(1000)
    });
    let longest = now.saturating_add(LONGEST_MS);
    let cookie = answer
        .cookies
        .iter()
        .filter(|(name, _)| name == LINK_COOKIE)
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("; ");
    Some(Link {
        url,
        cookie: Secret::new(cookie),
        expires: told.map_or(longest, |told| told.min(longest)),
    })
}

/// The one fingerprint there is.
pub fn is_given(kind: Kind) -> bool {
    kind == Kind::Md5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cookies: &[(&str, &str)]) -> Answer {
        Answer {
            value: Value::Null,
            bytes: bytes::Bytes::new(),
            cookies: cookies
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn the_link_in_a_list_and_in_a_task() {
        let id = NodeId::new("a");
        let entry = json!({"fid":"a","download_url":"https://h/x?Expires=100","md5":""});
        for data in [
            json!([{"fid":"b","download_url":"https://h/b"}, entry]),
            json!({"task_id":"t","task_sync":false,"task_resp":{"data":[entry]}}),
            json!({"status":2,"data":{"list":[entry]}}),
            json!({"download_url":"https://h/x?Expires=100","md5":"","fid":"a"}),
        ] {
            assert_eq!(entry_of(&data, &id, 0), Some(&entry), "{data}");
        }
        for data in [
            json!(null),
            json!([]),
            json!({"task_id":"t"}),
            json!([null]),
        ] {
            assert_eq!(entry_of(&data, &id, 0), None, "{data}");
        }
    }

    #[test]
    fn a_link_ends_with_its_query_or_with_the_cookie() {
        let link = |url: &str| {
            let answer = answer(&[("__puus", "p"), ("__pugs", "g")]);
            link_of(&json!({ "download_url": url }), &answer, 1_000)
        };
        let soon = link("https://h/x?Expires=100&auth_key=1").unwrap();
        assert_eq!((soon.expires, soon.cookie.expose()), (100_000, "__pugs=g"));
        let never = link("https://h/x").unwrap();
        assert_eq!(never.expires, 1_000 + LONGEST_MS);
        assert!(link("").is_none() && link("ftp://h").is_none());
    }

    #[test]
    fn the_md5_field_of_both_sheets() {
        for text in [
            include_str!("../../../tests/fixtures/quark.vectors.json"),
            include_str!("../../../tests/fixtures/uc.vectors.json"),
        ] {
            let vectors: Value = serde_json::from_str(text).unwrap();
            let all = vectors["vectors"]["md5_field_decode"].as_array().unwrap();
            assert_eq!(all.len(), 4);
            for vector in all {
                let field = vector["field_value"].as_str().unwrap();
                assert_eq!(
                    md5_from_base64(field).as_deref(),
                    vector["md5_hex"].as_str()
                );
            }
        }
        assert_eq!(md5_from_base64(""), None);
    }
}
