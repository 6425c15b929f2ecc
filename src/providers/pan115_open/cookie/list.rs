//! Listings, stat, quota, and the decoding of entries (sheet sections 4.2, 4.3, 4.10).

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::api::{Api, query};
use crate::drive::{
    Cursor, DriveError, ErrorKind, Node, NodeId, NodeKind, Page, Quota, Result, decode, patience,
};
use crate::net::Retry;
use crate::providers::pan115_open::api::{Repeat, exchange};
use crate::providers::pan115_open::errors::{code_of, is_empty, judge};
use crate::providers::pan115_open::list::{PAGE_SIZE, info, page_of};
use crate::providers::pan115_open::nodes::{Entry, build, is_hidden, same_dir, seconds};

/// Every directory knows it, and what is new comes last: a page is never shifted by an upload.
const ORDER: &str = "user_ptime";

/// Stands between an offset and the order that the directory wants.
const WANTED: char = '~';

/// "This order is not supported here"; the answer names the one that is.
const OTHER_ORDER: &str = "20130827";

pub async fn page(api: &Api, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
    let cursor = cursor.map_or_else(String::new, |cursor| cursor.0);
    let (offset, order) = cursor.split_once(WANTED).unwrap_or((&cursor, ORDER));
    let offset: u64 = offset.parse().unwrap_or(0);
    let (answer, order) = ordered(api, dir, offset, order, PAGE_SIZE).await?;
    let (mut nodes, mut next) = page_of(&answer, dir, offset, node)?;
    if next.is_some() && differs(&answer, &order) {
        // Pages of an order that is not ours are no pages of one listing. The directory remembers
        // an order: it is set, and the page asked for again (section 4.2).
        remember(api, dir, &order).await?;
        let (answer, _) = ordered(api, dir, offset, &order, PAGE_SIZE).await?;
        (nodes, next) = page_of(&answer, dir, offset, node)?;
    }
    Ok(Page {
        nodes,
        next: next.map(|next| match order.as_str() {
            ORDER => Cursor(next.to_string()),
            order => Cursor(format!("{next}{WANTED}{order}")),
        }),
    })
}

/// Fails with `NotFound` unless `dir` is a directory that exists.
pub async fn require_dir(api: &Api, dir: &NodeId) -> Result<()> {
    same_dir(&ordered(api, dir, 0, ORDER, 1).await?.0, dir)
}

/// A page in `order`, or in the order that the directory supports instead.
async fn ordered(
    api: &Api,
    dir: &NodeId,
    offset: u64,
    order: &str,
    limit: u32,
) -> Result<(Value, String)> {
    let answer = ask(api, dir, offset, order, limit).await?;
    if code_of(&answer) != OTHER_ORDER {
        return Ok((answer, order.to_owned()));
    }
    let wanted = decode::nonempty(&answer["order"]).unwrap_or_else(|| "file_name".to_owned());
    let answer = ask(api, dir, offset, &wanted, limit).await?;
    match code_of(&answer) == OTHER_ORDER {
        false => Ok((answer, wanted)),
        true => Err(
            DriveError::new(ErrorKind::Provider, "list: the directory takes no order")
                .code(OTHER_ORDER),
        ),
    }
}

async fn ask(api: &Api, dir: &NodeId, offset: u64, order: &str, limit: u32) -> Result<Value> {
    let (offset, limit) = (offset.to_string(), limit.to_string());
    let by_name = order == "file_name";
    let url = match by_name {
        true => format!("{}/natsort/files.php", api.names),
        false => format!("{}/files", api.web),
    };
    let pairs = [
        ("aid", "1"),
        ("cid", dir.as_str()),
        ("o", order),
        ("asc", "1"),
        ("offset", &offset),
        // Without it every file of the whole tree is listed.
        ("show_dir", "1"),
        ("limit", &limit),
        ("snap", "0"),
        ("natsort", if by_name { "1" } else { "0" }),
        ("record_open_time", "1"),
        ("format", "json"),
        ("fc_mix", "0"),
        ("custom_order", "1"),
    ];
    api.ask(patience(), |cookie| {
        let request = query("list", &url, &pairs).header("cookie", cookie.expose());
        exchange(
            &api.client,
            request,
            Repeat::Safe,
            |status, headers, body| {
                match serde_json::from_slice::<Value>(body) {
                    // Its verdict is a name in the answer, not an error.
                    Ok(answer) if code_of(&answer) == OTHER_ORDER => Ok(answer),
                    _ => judge("list", status, headers, body),
                }
            },
        )
    })
    .await
}

/// Whether the answer says that it is in another order than was asked for.
fn differs(answer: &Value, order: &str) -> bool {
    let told = decode::nonempty(&answer["order"]);
    let ascending = decode::integer(&answer["is_asc"]);
    told.is_some_and(|told| told != order) || ascending.is_some_and(|asc| asc != 1)
}

/// Sets the order that a directory remembers.
async fn remember(api: &Api, dir: &NodeId, order: &str) -> Result<()> {
    let pairs = [
        ("file_id", dir.as_str()),
        ("user_order", order),
        ("user_asc", "1"),
        ("fc_mix", "0"),
    ];
    api.post("list_order", "/files/order", Repeat::Safe, &pairs)
        .await?;
    Ok(())
}

/// A node by id. Files have a record of their own. Of a directory it may be missing, then the
/// directory's statistics tell who it is.
pub async fn by_id(api: &Api, id: &NodeId) -> Result<Node> {
    match record(api, "file_id", id.as_str()).await {
        Ok(Some(node)) if node.id == *id => return Ok(node),
        Ok(_) => {}
        Err(error) if unknown(&error) => {}
        Err(error) => return Err(error),
    }
    directory(api, id).await
}

/// A file by pick code. This knows a file that was made a moment ago, listings do not yet.
pub async fn by_code(api: &Api, pick_code: &str) -> Result<Option<Node>> {
    match record(api, "pick_code", pick_code).await {
        // The listing is looked at then.
        Err(error) if unknown(&error) => Ok(None),
        other => other,
    }
}

/// Whether a record was refused because there is none of that id.
fn unknown(error: &DriveError) -> bool {
    matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid)
}

async fn record(api: &Api, key: &str, value: &str) -> Result<Option<Node>> {
    let answer = api.get("stat", "/files/get_info", &[(key, value)]).await?;
    let entry = match &answer["data"] {
        Value::Array(list) => list.first().unwrap_or(&Value::Null),
        entry => entry,
    };
    if is_empty(entry) || is_hidden(entry) {
        return Ok(None);
    }
    let parent = decode::nonempty(&entry["pid"]).unwrap_or_default();
    node(entry, &NodeId::new(parent)).map(Some)
}

/// A directory by its statistics: an answer without a state, and without anything when there is
/// no such directory. A file that only they know is a trashed one.
async fn directory(api: &Api, id: &NodeId) -> Result<Node> {
    let url = format!("{}/category/get", api.web);
    let pairs = [("cid", id.as_str()), ("aid", "1")];
    let answer = api
        .ask(patience(), |cookie| {
            let request = query("stat_dir", &url, &pairs).header("cookie", cookie.expose());
            exchange(&api.client, request, Repeat::Safe, statistics)
        })
        .await?;
    if decode::text(&answer["file_category"]) == "1" {
        return Err(DriveError::not_found(format!("node {id}")));
    }
    info(&json!({ "data": answer }), id)
}

fn statistics(status: u16, headers: &HeaderMap, body: &bytes::Bytes) -> Result<Value> {
    let nothing = match serde_json::from_slice::<Value>(body) {
        Ok(answer) => answer.is_null() || answer.as_array().is_some_and(Vec::is_empty),
        Err(_) => body.iter().all(u8::is_ascii_whitespace),
    };
    if (200..300).contains(&status) && nothing {
        return Ok(Value::Null);
    }
    judge("stat_dir", status, headers, body)
}

/// The node of an entry (section 4.2). A file has a `fid` and `cid` is its directory; a directory
/// has none and `cid` is itself.
fn node(entry: &Value, dir: &NodeId) -> Result<Node> {
    let broken = |what: &str| DriveError::bad_answer("list", what).retry(Retry::Backoff);
    let name = decode::nonempty(&entry["n"]).ok_or_else(|| broken("an entry without a name"))?;
    let own = decode::nonempty(&entry["cid"]);
    let file = decode::nonempty(&entry["fid"]);
    let kind = match file {
        Some(_) => NodeKind::File,
        None => NodeKind::Dir,
    };
    let (id, parent) = match file {
        Some(id) => (Some(id), own),
        None => (own, decode::nonempty(&entry["pid"])),
    };
    let size = match kind {
        NodeKind::Dir => 0,
        NodeKind::File => {
            decode::unsigned(&entry["s"]).ok_or_else(|| broken("a file without a size"))?
        }
    };
    // `t` is a local time of minutes on files, seconds on directories.
    let modified = ["te", "tu", "t"]
        .into_iter()
        .map(|key| seconds(&entry[key]))
        .find(|time| *time > 0);
    Ok(build(Entry {
        id: id.ok_or_else(|| broken("an entry without an id"))?,
        parent: parent.map_or_else(|| dir.clone(), NodeId::new),
        name: &name,
        kind,
        size,
        modified: modified.unwrap_or(0),
        created: seconds(&entry["tp"]),
        sha1: &decode::text(&entry["sha"]),
        handle: decode::nonempty(&entry["pc"]),
        raw: Some(entry),
    }))
}

pub async fn quota(api: &Api) -> Result<Quota> {
    let answer = api.get("quota", "/files/index_info", &[]).await?;
    let space = &answer["data"]["space_info"];
    Ok(Quota {
        total: decode::unsigned(&space["all_total"]["size"]).unwrap_or(0),
        used: decode::unsigned(&space["all_use"]["size"]).unwrap_or(0),
    })
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
