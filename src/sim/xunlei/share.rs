//! Shares: made by an account, read by anybody (xunlei.md sections 4.9 and 4.10).

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::oss::sign::value;
use super::super::tree::{Node, Tree};
use super::batch::ids;
use super::errors::ApiError;
use super::files::render;
use super::gate::{Ctx, check_client_headers};
use super::{Xunlei, list, text, user_id};

/// What an account shares.
pub(super) struct Share {
    /// Profile of the owner.
    pub owner: String,
    /// What is shared, with everything below it.
    pub ids: Vec<String>,
    title: String,
    pass_code: String,
    expires: i64,
    /// How often it may still be taken over.
    pub saves_left: u64,
    /// Tokens of readers that told the code.
    pub readers: HashSet<String>,
}

/// An answer that shows nothing; HTTP 200 all the same.
fn closed(status: &str) -> Value {
    json!({
        "share_status": status, "share_status_text": status, "file_num": "0", "files": [],
        "pass_code_token": "", "next_page_token": "", "title": "", "user_info": {},
    })
}

impl Share {
    /// Whether a node is what is shared, or lies below it.
    pub(super) fn shows(&self, tree: &Tree, id: &str) -> bool {
        tree.live(id).is_some() && self.ids.iter().any(|top| tree.is_below(id, top))
    }

    /// The status for a reader without permission, if there is one to tell.
    pub(super) fn closed(&self, tree: &Tree, now: i64) -> Option<&'static str> {
        if now >= self.expires {
            return Some("EXPIRED");
        }
        let gone = self.ids.iter().all(|id| tree.live(id).is_none());
        gone.then_some("DELETED")
    }
}

/// A call that reads a share.
struct Reading<'a> {
    sim: &'a Xunlei,
    owner: Arc<Account>,
    query: &'a [(String, String)],
}

impl Reading<'_> {
    fn param(&self, name: &str) -> &str {
        value(self.query, name).unwrap_or("")
    }

    /// An entry: its hash is there only for who does not want it checked (section 4.9).
    fn render(&self, node: &Node) -> Value {
        let mut file = render(&self.owner, node, false, "");
        if let (Some(file), true) = (file.as_object_mut(), self.param("with_audit") != "false") {
            file.insert("hash".to_owned(), json!(""));
        }
        file
    }

    fn answer(&self, op: &str) -> Result<Value, ApiError> {
        let now = self.sim.kit.clock.now_ms();
        let mut state = self.sim.state();
        let Some(share) = state.shares.get_mut(self.param("share_id")) else {
            return Ok(closed("NOT_FOUND"));
        };
        let tree = self.owner.tree();
        if let Some(status) = share.closed(&tree, now) {
            return Ok(closed(status));
        }
        let mut token = self.param("pass_code_token").to_owned();
        if !share.readers.contains(&token) {
            let code = self.param("pass_code");
            if op != "share_info" || code.is_empty() {
                return Ok(closed("PASS_CODE_EMPTY"));
            }
            if code != share.pass_code {
                return Ok(closed("PASS_CODE_ERROR"));
            }
            token = format!("pct.{}", self.sim.kit.ids.hex(32));
            share.readers.insert(token.clone());
        }
        if op == "share_file" {
            let id = self.param("file_id");
            let node = tree.get(id).filter(|_| share.shows(&tree, id));
            let node = node.ok_or_else(ApiError::not_found)?;
            let mut file = self.render(node);
            let links = self.sim.links(&self.owner, node, super::clients::WEB_ID);
            if let (Some(file), Some(links)) = (file.as_object_mut(), links) {
                file.extend(links);
            }
            return Ok(json!({ "share_status": "OK", "file_info": file }));
        }
        let nodes: Vec<(Node, bool)> = match self.param("parent_id") {
            "" => share
                .ids
                .iter()
                .filter_map(|id| tree.live(id))
                .map(|node| (node.clone(), false))
                .collect(),
            parent if share.shows(&tree, parent) => tree
                .children(parent)
                .map(|node| (node.clone(), false))
                .collect(),
            _ => return Err(ApiError::not_found()),
        };
        let limit = list::limit(self.param("limit"))?;
        let (page, next) = list::page(&nodes, self.param("page_token"), limit)?;
        let files: Vec<Value> = page.iter().map(|(node, _)| self.render(node)).collect();
        Ok(json!({
            "share_status": "OK", "share_status_text": "", "file_num": nodes.len().to_string(),
            "files": files, "pass_code_token": token, "next_page_token": next,
            "title": share.title,
            "user_info": { "user_id": user_id(&self.owner), "nickname": "", "avatar": "" },
        }))
    }
}

impl Xunlei {
    /// The calls that read a share. Nobody logs in for them, but the captcha is theirs too.
    pub(super) async fn share_call(
        &self,
        op: &'static str,
        action: &str,
        headers: &HeaderMap,
        query: &[(String, String)],
    ) -> Response {
        let owner = {
            let state = self.state();
            let share = state.shares.get(value(query, "share_id").unwrap_or(""));
            share.and_then(|share| self.account(&share.owner))
        };
        let Some(owner) = owner.or_else(|| self.kit.accounts.first().cloned()) else {
            return ApiError::not_found().into_response();
        };
        let gate = owner.clone();
        let work = async {
            let reading = Reading {
                sim: self,
                owner,
                query,
            };
            let answer = check_client_headers(headers)
                .and_then(|()| self.check_rate(&reading.owner))
                .and_then(|()| self.check_captcha(&reading.owner, headers, action, None))
                .and_then(|()| reading.answer(op));
            match answer {
                Ok(answer) => Json(answer).into_response(),
                Err(error) => error.into_response(),
            }
        };
        gate.serve(op, ApiError::injected, work).await
    }
}

/// A number from 1 to `most` as text, or -1 for no limit.
fn limited(body: &Value, key: &str, most: u64) -> Result<Option<u64>, ApiError> {
    match text(body, key) {
        "-1" => Ok(None),
        text => match text.parse::<u64>() {
            Ok(number) if (1..=most).contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::bad_request(key)),
        },
    }
}

impl Ctx<'_> {
    /// `POST /drive/v1/share`.
    pub(super) fn share_create(&self) -> Result<Value, ApiError> {
        let ids = ids(&self.body, "file_ids", self.max_batch())?;
        let saves = limited(&self.body, "restore_limit", 20)?;
        let days = limited(&self.body, "expiration_days", 7)?;
        let mut state = self.sim.state();
        {
            let tree = self.account.tree();
            for id in &ids {
                let (node, trashed) = self.entry(&tree, id)?;
                if trashed {
                    return Err(ApiError::in_trash());
                }
                if node.pending {
                    return Err(ApiError::uncompleted());
                }
            }
        }
        let life = days.map_or(i64::MAX, |days| {
            i64::try_from(days)
                .unwrap_or(i64::MAX)
                .saturating_mul(86_400_000)
        });
        let id = format!("VNs{}", self.sim.kit.ids.hex(23));
        let pass_code = self.sim.kit.ids.hex(4);
        let share = Share {
            owner: self.account.profile.clone(),
            ids,
            title: text(&self.body, "title").to_owned(),
            pass_code: pass_code.clone(),
            expires: self.now().saturating_add(life),
            saves_left: saves.unwrap_or(u64::MAX),
            readers: HashSet::new(),
        };
        state.shares.insert(id.clone(), share);
        let url = format!("https://pan.xunlei.com/s/{id}");
        Ok(json!({ "share_id": id, "share_url": url, "pass_code": pass_code }))
    }
}
