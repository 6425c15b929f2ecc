//! Directories, renames, moves, copies, trash (sheet quark, 4.4 to 4.8).
//!
//! mkdir and rename refuse a taken name. Everything else appends a number: names are looked up
//! before, the outcome is looked at behind, and a numbered one is taken back.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, Call, batch};
use super::error::may_be_done;
use super::list;
use super::names::{RULES, is_numbered};
use super::taken::exists;
use super::task;
use crate::drive::{DriveError, ErrorKind, Node, NodeId, NodeKind, Result, decode};

/// Listings show what was made within 20 s (section 9).
const PAUSES: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(6),
    Duration::from_secs(8),
];

/// Clocks may differ by this when an own entry is looked for.
const SKEW_MS: i64 = 60_000;

/// The trash has no more pages than this that are looked through.
const TRASH_PAGES: u32 = 200;

/// Entries per page of the trash (section 4.8).
const TRASH_PAGE: u32 = 50;

pub async fn mkdir(api: &Api, parent: &NodeId, name: &str) -> Result<Node> {
    let stored = RULES.encode(name)?;
    let since = api.now();
    let body = json!({
        "pdir_fid": parent.as_str(),
        "file_name": stored,
        "dir_path": "",
        "dir_init_lock": false,
    });
    let id = match api.call(Call::post("mkdir", "/file", body).once()).await {
        Ok(answer) => decode::nonempty(&answer["data"]["fid"])
            .ok_or_else(|| DriveError::bad_answer("mkdir", "no fid"))?,
        // The answer was lost: a directory of that name that is as young as the call is ours.
        Err(error) if may_be_done(&error) => {
            let entries = list::all(api, parent).await.map_err(|_| error.clone())?;
            let own = entries.iter().find(|entry| {
                list::is_dir(entry)
                    && list::stored_name(entry) == stored
                    && decode::integer(&entry["created_at"])
                        .is_some_and(|at| at >= since.saturating_sub(SKEW_MS))
            });
            decode::nonempty(own.map_or(&Value::Null, |entry| &entry["fid"])).ok_or(error)?
        }
        Err(error) => return Err(error),
    };
    let id = NodeId::new(id);
    api.fresh.insert(id.clone(), ());
    api.parents.insert(id.clone(), parent.clone());
    api.taken.made(parent, &stored, &id);
    let now = api.now();
    Ok(Node {
        version: id.to_string(),
        id,
        parent: parent.clone(),
        name: name.to_owned(),
        kind: NodeKind::Dir,
        modified: now,
        created: now,
        ..list::root()
    })
}

pub async fn rename(api: &Api, node: &Node, name: &str) -> Result<Node> {
    let stored = RULES.encode(name)?;
    if name == node.name {
        return list::stat(api, &node.id).await;
    }
    let body = json!({ "fid": node.id.as_str(), "file_name": stored });
    match api.call(Call::post("rename", "/file/rename", body)).await {
        Ok(_) => {}
        // Perhaps it is our own name, from a call whose answer was lost.
        Err(error) if error.kind == ErrorKind::Exists => {
            let now = list::stat(api, &node.id).await.map_err(|_| error.clone())?;
            if now.name != name {
                return Err(error);
            }
        }
        Err(error) => return Err(error),
    }
    relocated(api, node, &node.parent, &stored);
    Ok(Node {
        name: name.to_owned(),
        ..node.clone()
    })
}

/// Notes that a node has another place.
fn relocated(api: &Api, node: &Node, parent: &NodeId, stored: &str) {
    if let Ok(old) = RULES.encode(&node.name) {
        api.taken.freed(&node.parent, &old, &node.id);
    }
    api.taken.made(parent, stored, &node.id);
    api.parents.insert(node.id.clone(), parent.clone());
}

pub async fn move_to(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
    if *parent == node.parent {
        return list::stat(api, &node.id).await;
    }
    let stored = RULES.encode(&node.name)?;
    let holder = api.taken.holder(api, parent, &stored, Some(&node.id));
    if holder.await?.is_some() {
        return Err(exists(&node.name));
    }
    let lost = match relocate(api, &node.id, parent).await {
        Ok(()) => None,
        Err(error) if may_be_done(&error) => Some(error),
        Err(error) => return Err(error),
    };
    match list::stat(api, &node.id).await {
        Ok(now) if now.parent == *parent => {
            let got = RULES.encode(&now.name)?;
            if is_numbered(&got, &stored) {
                relocate(api, &node.id, &node.parent).await?;
                let back = Node {
                    parent: node.parent.clone(),
                    ..now
                };
                rename(api, &back, &node.name).await?;
                return Err(exists(&node.name));
            }
            relocated(api, node, parent, &got);
            Ok(now)
        }
        // The service carried it out and shows it late.
        _ if lost.is_none() => {
            relocated(api, node, parent, &stored);
            Ok(Node {
                parent: parent.clone(),
                ..node.clone()
            })
        }
        other => Err(lost
            .or(other.err())
            .unwrap_or_else(|| DriveError::bad_answer("move", "it is where it was"))),
    }
}

async fn relocate(api: &Api, id: &NodeId, parent: &NodeId) -> Result<()> {
    let mut body = batch(1, id);
    body["to_pdir_fid"] = json!(parent.as_str());
    // Moved twice onto itself it would come out with a number.
    let answer = api
        .call(Call::post("move", "/file/move", body).once())
        .await?;
    task::finish(api, &answer, false).await?;
    Ok(())
}

pub async fn copy(api: &Api, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    if node.is_dir() || name != node.name || *parent == node.parent {
        return Err(DriveError::unsupported(
            "a server-side copy under another name or into the same directory",
        ));
    }
    let stored = RULES.encode(name)?;
    let before = Before::look(api, parent, &stored, name).await?;
    let mut body = batch(1, &node.id);
    body["to_pdir_fid"] = json!(parent.as_str());
    let call = Call::post("copy", "/file/copy", body).once();
    let done = match api.call(call).await {
        Ok(answer) => task::finish(api, &answer, true).await,
        Err(error) => Err(error),
    };
    let (record, lost) = match done {
        Ok(record) => (record, None),
        Err(error) if is_refused(&error) => {
            return Err(DriveError::unsupported("a server-side copy"));
        }
        Err(error) if may_be_done(&error) => (Value::Null, Some(error)),
        Err(error) => return Err(error),
    };
    let wanted = Wanted {
        stored: &stored,
        size: node.size,
        kind: NodeKind::File,
    };
    let made = match made_by(&record) {
        Some(id) => Some(id),
        None => before.appear(api, parent, &wanted).await?,
    };
    let id = match (made, lost) {
        (Some(id), _) => id,
        (None, Some(lost)) => return Err(lost),
        (None, None) => return Err(DriveError::bad_answer("copy", "the copy does not appear")),
    };
    let copy = Node {
        version: id.to_string(),
        id,
        parent: parent.clone(),
        raw: None,
        ..node.clone()
    };
    match outcome(api, copy).await? {
        Outcome::Named(copy) => {
            api.taken.made(parent, &stored, &copy.id);
            Ok(copy)
        }
        Outcome::Numbered(copy) => {
            trash(api, &copy).await?;
            Err(exists(name))
        }
    }
}

/// Whether the service does not offer the call (OpenList says so of copies, section 4.7).
fn is_refused(error: &DriveError) -> bool {
    let code = error.code.as_deref();
    (error.kind == ErrorKind::Invalid && code == Some("14001"))
        || (error.kind == ErrorKind::BadAnswer && matches!(code, Some("404" | "405")))
}

/// The first node a task says it made.
pub fn made_by(record: &Value) -> Option<NodeId> {
    let ids = [
        &record["save_as"]["save_as_top_fids"],
        &record["task_resp"]["data"]["save_as"]["save_as_top_fids"],
        &record["task_resp"]["save_as"]["save_as_top_fids"],
    ];
    let mut ids = ids.into_iter().flat_map(decode::list);
    ids.find_map(decode::nonempty).map(NodeId::new)
}

/// What an operation made, looked at by its id.
pub enum Outcome {
    /// Under the name it should have, or not visible yet.
    Named(Node),
    /// Under a name with a number.
    Numbered(Node),
}

/// Looks at what was made. `node` is what it should be.
pub async fn outcome(api: &Api, node: Node) -> Result<Outcome> {
    let stored = RULES.encode(&node.name)?;
    for pause in [Duration::ZERO, Duration::from_secs(1)] {
        tokio::time::sleep(pause).await;
        match list::stat(api, &node.id).await {
            Ok(now) => {
                let got = RULES.encode(&now.name)?;
                return Ok(if is_numbered(&got, &stored) {
                    Outcome::Numbered(now)
                } else {
                    // The directory is where we put it, whatever a late answer says.
                    Outcome::Named(Node {
                        parent: node.parent,
                        ..now
                    })
                });
            }
            Err(error) if error.kind == ErrorKind::NotFound => {}
            // It is made: that it cannot be looked at now is no failure.
            Err(_) => break,
        }
    }
    Ok(Outcome::Named(node))
}

/// A directory before something is put into it.
pub struct Before {
    ids: HashSet<String>,
}

/// What should appear.
pub struct Wanted<'a> {
    /// Its name, as the service stores it.
    pub stored: &'a str,
    /// Bytes; of no meaning for a directory.
    pub size: u64,
    pub kind: NodeKind,
}

impl Before {
    /// Lists the directory, and refuses a name that is taken in it.
    pub async fn look(api: &Api, dir: &NodeId, stored: &str, shown: &str) -> Result<Before> {
        let entries = list::all(api, dir).await?;
        api.taken.learn(api, dir, &entries);
        api.taken.refuse(api, dir, stored, shown).await?;
        Ok(Before {
            ids: entries
                .iter()
                .map(|entry| decode::text(&entry["fid"]))
                .collect(),
        })
    }

    /// The one new entry that is as wanted, once it is shown.
    pub async fn appear(
        &self,
        api: &Api,
        dir: &NodeId,
        wanted: &Wanted<'_>,
    ) -> Result<Option<NodeId>> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let entries = list::all(api, dir).await?;
            let mut new = entries.iter().filter(|entry| self.is_new(entry, wanted));
            match (new.next(), new.next()) {
                (Some(entry), None) => {
                    return Ok(decode::nonempty(&entry["fid"]).map(NodeId::new));
                }
                (Some(_), Some(_)) => {
                    return Err(DriveError::new(
                        ErrorKind::Provider,
                        "somebody else put the same there; which one is ours is unknown",
                    ));
                }
                _ => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Ok(None),
                },
            }
        }
    }

    fn is_new(&self, entry: &Value, wanted: &Wanted<'_>) -> bool {
        let got = list::stored_name(entry);
        let is_dir = wanted.kind == NodeKind::Dir;
        !self.ids.contains(&decode::text(&entry["fid"]))
            && (got == wanted.stored || is_numbered(&got, wanted.stored))
            && list::is_dir(entry) == is_dir
            && (is_dir || decode::unsigned(&entry["size"]) == Some(wanted.size))
    }
}

pub async fn trash(api: &Api, node: &Node) -> Result<()> {
    let call = Call::post("trash", "/file/delete", batch(2, &node.id));
    let done = match api.call(call).await {
        Ok(answer) => task::finish(api, &answer, false).await.map(|_| ()),
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        let unclear = matches!(
            error.kind,
            ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Provider | ErrorKind::Timeout
        );
        if !unclear {
            return Err(error);
        }
        // What is gone already is a success, however the service says so.
        match list::stat(api, &node.id).await {
            Err(gone) if gone.kind == ErrorKind::NotFound => {}
            _ => return Err(error),
        }
    }
    if let Ok(stored) = RULES.encode(&node.name) {
        api.taken.freed(&node.parent, &stored, &node.id);
    }
    Ok(())
}

pub async fn restore(api: &Api, node: &Node) -> Result<Node> {
    let stored = RULES.encode(&node.name)?;
    let holder = api
        .taken
        .holder(api, &node.parent, &stored, Some(&node.id))
        .await?;
    if holder.is_some() {
        return Err(exists(&node.name));
    }
    let record = trash_record(api, &node.id).await?;
    let body = json!({ "select_mode": 1, "record_list": [record] });
    let answer = api
        .call(Call::post("restore", "/file/recycle/recover", body))
        .await?;
    task::finish(api, &answer, false).await?;
    api.taken.made(&node.parent, &stored, &node.id);
    match outcome(api, node.clone()).await? {
        Outcome::Named(_) => {
            // Where it comes back to is not documented.
            match list::stat(api, &node.id).await {
                Ok(now) if now.parent != node.parent => move_to(api, &now, &node.parent).await,
                Ok(now) => Ok(now),
                Err(_) => Ok(node.clone()),
            }
        }
        Outcome::Numbered(back) => match rename(api, &back, &node.name).await {
            Err(error) if error.kind == ErrorKind::Exists => {
                trash(api, &back).await?;
                Err(error)
            }
            other => other,
        },
    }
}

/// The trash has ids of its own.
async fn trash_record(api: &Api, id: &NodeId) -> Result<Value> {
    for number in 1..=TRASH_PAGES {
        let call = Call::get("trash_list", "/file/recycle/list")
            .class("list")
            .query("_page", number.to_string())
            .query("_size", TRASH_PAGE.to_string());
        let answer = api.call(call).await?;
        let entries = decode::list(&answer["data"]["list"]);
        let record = entries
            .iter()
            .find(|entry| decode::text(&entry["fid"]) == id.as_str())
            .map(|entry| entry["record_id"].clone());
        if let Some(record) = record.filter(|record| decode::nonempty(record).is_some()) {
            return Ok(record);
        }
        if entries.len() < TRASH_PAGE as usize {
            break;
        }
    }
    Err(DriveError::not_found(format!("file {id} in the trash")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_tell_what_they_made() {
        let record = json!({"status":2,"save_as":{"save_as_top_fids":["aa11",7]}});
        assert_eq!(made_by(&record).unwrap().as_str(), "aa11");
        let record = json!({"save_as":{"save_as_top_fids":[9_007_199_254_740_993_u64]}});
        assert_eq!(made_by(&record).unwrap().as_str(), "9007199254740993");
        for record in [
            json!(null),
            json!({"save_as":null}),
            json!({"save_as":{"save_as_top_fids":null}}),
        ] {
            assert_eq!(made_by(&record), None);
        }
    }

    #[test]
    fn what_is_new_is_known_by_name_size_and_id() {
        let before = Before {
            ids: HashSet::from(["old".to_owned()]),
        };
        let wanted = Wanted {
            stored: "a.bin",
            size: 6,
            kind: NodeKind::File,
        };
        let entry = |fid: &str, name: &str, size: u64| json!({"fid":fid,"file_name":name,"size":size,"dir":false});
        assert!(before.is_new(&entry("new", "a.bin", 6), &wanted));
        assert!(before.is_new(&entry("new", "a(1).bin", 6), &wanted));
        assert!(!before.is_new(&entry("old", "a.bin", 6), &wanted));
        assert!(!before.is_new(&entry("new", "a.bin", 7), &wanted));
        assert!(!before.is_new(&entry("new", "b.bin", 6), &wanted));
    }
}
