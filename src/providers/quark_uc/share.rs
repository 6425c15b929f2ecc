//! A share as a read-only drive (sheet quark, 4.11; sheet uc, 4.6): a link, a pass code, and a
//! token of the share that lives for hours.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use moka::sync::Cache;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::api::{Answer, Api, Call, ROOT};
use super::error::{is_code, is_stale_ticket};
use super::list::{self, At, Raw, cut};
use super::read::{Links, Owner};
use crate::drive::{
    Attempt, ByteStream, Capabilities, Conversation, Cursor, Drive, DriveContext, DriveError,
    ErrorKind, Node, NodeId, Page, PartReceipt, Quota, Result, Shared, UploadRequest,
    UploadSession, decode,
};

/// Entries per page (section 4.11).
pub const PAGE_SIZE: u32 = 50;

/// Directories that are looked through for a node of which only the id is known.
const MOST_DIRS: usize = 200;

/// The pause before a new token where the refusal may mean "too frequent".
const BUSY: Duration = Duration::from_secs(2);

/// A link and what opens it.
pub struct Share {
    pwd_id: String,
    passcode: String,
    token: Mutex<Option<String>>,
    /// Tickets of its nodes. A node is taken over or downloaded with it.
    tickets: Cache<NodeId, String>,
    /// Whether it is a share of the account itself.
    owner: AtomicBool,
}

impl Share {
    pub fn new(context: &DriveContext) -> Result<Share> {
        let (pwd_id, told) = read_link(context.field("pwd_id"));
        if pwd_id.is_empty() {
            return Err(DriveError::new(
                ErrorKind::Invalid,
                format!(
                    "profile {}: pwd_id is empty; it is the part of the link behind /s/",
                    context.profile
                ),
            ));
        }
        let passcode = match context.field("passcode").trim() {
            "" => told.unwrap_or_default(),
            code => code.to_owned(),
        };
        Ok(Share {
            pwd_id,
            passcode,
            token: Mutex::default(),
            tickets: Cache::new(200_000),
            owner: AtomicBool::new(false),
        })
    }

    /// The token, asked for anew when it is `stale`.
    async fn token(&self, api: &Api, stale: Option<&str>) -> Result<String> {
        let mut token = self.token.lock().await;
        if let Some(known) = token.as_ref().filter(|known| Some(known.as_str()) != stale) {
            return Ok(known.clone());
        }
        let fresh = token_of(api, &self.pwd_id, &self.passcode).await?;
        *token = Some(fresh.clone());
        Ok(fresh)
    }

    /// A call with the token, and once more with a fresh one.
    async fn ask(&self, api: &Api, call: impl Fn(&str) -> Call) -> Result<Answer> {
        let token = self.token(api, None).await?;
        match api.answer(call(&token)).await {
            Err(error) if is_stale_ticket(&error) => {
                if api.brand.busy_41020 && is_code(&error, "41020") {
                    tokio::time::sleep(BUSY).await;
                }
                let token = self.token(api, Some(&token)).await?;
                api.answer(call(&token)).await
            }
            other => other,
        }
    }

    async fn page(&self, api: &Api, dir: &NodeId, number: u32) -> Result<Raw> {
        let call = |token: &str| {
            Call::get("list", "/share/sharepage/detail")
                .class("list")
                .query("pwd_id", self.pwd_id.as_str())
                .query("stoken", token)
                .query("pdir_fid", dir.as_str())
                .query("force", "0")
                .query("_page", number.to_string())
                .query("_size", PAGE_SIZE.to_string())
                .query("_fetch_banner", "0")
                .query("_fetch_share", "1")
                .query("_fetch_total", "1")
                .query("_sort", "file_type:asc,updated_at:desc")
                .query("ver", "2")
                .query("fetch_share_full_path", "0")
        };
        let raw = cut("list", number, PAGE_SIZE, || async {
            let answer = self.ask(api, call).await?.value;
            if decode::flag(&answer["data"]["is_owner"]) {
                self.owner.store(true, Relaxed);
            }
            Ok(answer)
        })
        .await?;
        for entry in &raw.entries {
            if let Some(id) = decode::nonempty(&entry["fid"]).map(NodeId::new) {
                api.parents.insert(id.clone(), dir.clone());
                if let Some(ticket) = decode::nonempty(&entry["share_fid_token"]) {
                    self.tickets.insert(id, ticket);
                }
            }
        }
        Ok(raw)
    }

    /// The node in a directory.
    async fn find(&self, api: &Api, dir: &NodeId, id: &NodeId) -> Result<Option<Node>> {
        for number in 1.. {
            let raw = self.page(api, dir, number).await?;
            let entry = raw
                .entries
                .iter()
                .find(|entry| decode::text(&entry["fid"]) == id.as_str());
            if let Some(entry) = entry {
                return Ok(Some(list::node(entry, Some(dir))?));
            }
            if !raw.more {
                break;
            }
        }
        Ok(None)
    }

    /// No call tells about a node of a share: it is looked for where it was seen, else in the tree.
    async fn stat(&self, api: &Api, id: &NodeId) -> Result<Node> {
        if id.as_str() == ROOT {
            return Ok(list::root());
        }
        if let Some(parent) = api.parents.get(id) {
            match self.find(api, &parent, id).await {
                Ok(Some(node)) => return Ok(node),
                Ok(None) => {}
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let mut dirs = VecDeque::from([NodeId::new(ROOT)]);
        let mut looked = 0;
        while let Some(dir) = dirs.pop_front().filter(|_| looked < MOST_DIRS) {
            looked += 1;
            for number in 1.. {
                let raw = self.page(api, &dir, number).await?;
                for entry in &raw.entries {
                    let Ok(node) = list::node(entry, Some(&dir)) else {
                        continue;
                    };
                    if node.id == *id {
                        return Ok(node);
                    }
                    if node.is_dir() {
                        dirs.push_back(node.id);
                    }
                }
                if !raw.more {
                    break;
                }
            }
        }
        Err(DriveError::not_found(format!("file {id} of the share")))
    }

    async fn ticket(&self, api: &Api, node: &Node) -> Result<String> {
        if let Some(ticket) = self.tickets.get(&node.id) {
            return Ok(ticket);
        }
        self.stat(api, &node.id).await?;
        self.tickets
            .get(&node.id)
            .ok_or_else(|| DriveError::bad_answer("list", "no share_fid_token"))
    }

    /// The answer with the link of a file. Tickets run out like the token.
    pub async fn link(&self, api: &Api, node: &Node) -> Result<Answer> {
        let mut ticket = self.ticket(api, node).await?;
        let mut again = true;
        loop {
            let asked = self
                .ask(api, |token| {
                    let body = json!({
                        "fids": [node.id.as_str()],
                        "fids_token": [ticket],
                        "pwd_id": self.pwd_id,
                        "stoken": token,
                    });
                    Call::post("link", "/file/download", body).query("entry", "ft")
                })
                .await;
            match asked {
                Err(error) if is_stale_ticket(&error) && again => {
                    again = false;
                    self.tickets.invalidate(&node.id);
                    ticket = self.ticket(api, node).await?;
                }
                Err(error) if error.kind == ErrorKind::TooLarge => {
                    return Err(DriveError {
                        message: "the service does not hand out a file of this size to this reader; give the profile of the share a cookie, or copy the file into an account of the same provider".to_owned(),
                        ..error
                    });
                }
                other => return other,
            }
        }
    }
}

/// Asks for the token of a share.
pub async fn token_of(api: &Api, pwd_id: &str, passcode: &str) -> Result<String> {
    let body = json!({ "pwd_id": pwd_id, "passcode": passcode });
    let call = Call::post("share_token", "/share/sharepage/token", body);
    let answer = api.call(call).await.map_err(|error| {
        if is_code(&error, "41012") || is_code(&error, "41008") {
            return DriveError {
                message: "the pass code of the share is wrong or missing".to_owned(),
                ..error
            };
        }
        // A bad parameter here is a link that is none.
        if is_code(&error, "14001") {
            return DriveError {
                kind: ErrorKind::NotFound,
                message: "there is no such share".to_owned(),
                ..error
            };
        }
        error
    })?;
    decode::nonempty(&answer["data"]["stoken"])
        .map(|token| repaired(&token))
        .ok_or_else(|| DriveError::bad_answer("share_token", "no stoken"))
}

/// Blanks in a token were plus signs (sheet uc, 4.6).
fn repaired(token: &str) -> String {
    token.replace(' ', "+")
}

/// The id and the pass code of a link, or the id alone.
fn read_link(text: &str) -> (String, Option<String>) {
    let text = text.trim();
    let rest = text.split_once("/s/").map_or(text, |(_, rest)| rest);
    let end = rest.find(['?', '#', '/']).unwrap_or(rest.len());
    let (id, rest) = rest.split_at(end);
    let query = rest.split('#').next().unwrap_or_default();
    let code = query
        .trim_start_matches('/')
        .trim_start_matches('?')
        .split('&')
        .find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            matches!(key, "pwd" | "password" | "passcode").then(|| value.to_owned())
        });
    (id.to_owned(), code)
}

/// The drive of a share.
pub struct ShareDrive {
    api: Api,
    share: Share,
    root: NodeId,
    links: Links,
    capabilities: &'static Capabilities,
}

impl ShareDrive {
    pub fn new(
        api: Api,
        share: Share,
        root: NodeId,
        capabilities: &'static Capabilities,
    ) -> ShareDrive {
        ShareDrive {
            api,
            share,
            root,
            links: Links::new(),
            capabilities,
        }
    }
}

fn refused<T>() -> Result<T> {
    Err(DriveError::unsupported("writing into a share"))
}

#[async_trait]
impl Drive for ShareDrive {
    fn capabilities(&self) -> &Capabilities {
        self.capabilities
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    fn account_id(&self) -> Option<String> {
        None
    }

    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        let at = At::read(cursor)?;
        let raw = self.share.page(&self.api, dir, at.number).await?;
        let nodes = raw
            .entries
            .iter()
            .filter_map(|entry| list::node(entry, Some(dir)).ok())
            .collect();
        Ok(at.page(raw, nodes))
    }

    async fn stat(&self, id: &NodeId) -> Result<Node> {
        self.share.stat(&self.api, id).await
    }

    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        let owner = Owner::Share(&self.share);
        self.links.read(&self.api, owner, node, range).await
    }

    async fn shared(&self, node: &Node) -> Result<Shared> {
        let ticket = self.share.ticket(&self.api, node).await?;
        let stoken = self.share.token(&self.api, None).await?;
        let ticket: Value = json!({
            "pwd_id": self.share.pwd_id,
            "passcode": self.share.passcode,
            "stoken": stoken,
            "share_fid_token": ticket,
            "is_owner": self.share.owner.load(Relaxed),
        });
        Ok(Shared {
            provider: self.api.brand.key,
            node: node.clone(),
            ticket,
        })
    }

    async fn mkdir(&self, _parent: &NodeId, _name: &str) -> Result<Node> {
        refused()
    }

    async fn rename(&self, _node: &Node, _name: &str) -> Result<Node> {
        refused()
    }

    async fn move_to(&self, _node: &Node, _parent: &NodeId) -> Result<Node> {
        refused()
    }

    async fn copy(&self, _node: &Node, _parent: &NodeId, _name: &str) -> Result<Node> {
        refused()
    }

    async fn trash(&self, _node: &Node) -> Result<()> {
        refused()
    }

    /// A share has no space of its own: nothing is told.
    async fn quota(&self) -> Result<Quota> {
        Ok(Quota::default())
    }

    async fn fast_upload(
        &self,
        _request: &UploadRequest,
        _conversation: &Conversation<'_>,
    ) -> Result<Attempt> {
        refused()
    }

    async fn open_upload(
        &self,
        _request: &UploadRequest,
        _conversation: &Conversation<'_>,
    ) -> Result<UploadSession> {
        refused()
    }

    async fn resume_upload(
        &self,
        _request: &UploadRequest,
        _session: UploadSession,
    ) -> Result<Option<UploadSession>> {
        refused()
    }

    async fn put_part(
        &self,
        _session: &UploadSession,
        _number: u32,
        _bytes: Bytes,
    ) -> Result<PartReceipt> {
        refused()
    }

    async fn commit_upload(
        &self,
        _request: &UploadRequest,
        _session: &UploadSession,
        _conversation: &Conversation<'_>,
    ) -> Result<Node> {
        refused()
    }

    async fn abandon_upload(&self, _session: &UploadSession) -> Result<()> {
        refused()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_as_people_paste_them() {
        let of = |text| {
            let (id, code) = read_link(text);
            (id, code.unwrap_or_default())
        };
        let pair = |id: &str, code: &str| (id.to_owned(), code.to_owned());
        assert_eq!(of("abc123"), pair("abc123", ""));
        assert_eq!(
            of(" https://pan.quark.cn/s/abc123?pwd=x1y2#/list/share/f-n "),
            pair("abc123", "x1y2")
        );
        assert_eq!(
            of("https://drive.uc.cn/s/abc?public=1&password=p"),
            pair("abc", "p")
        );
        assert_eq!(of("https://fast.uc.cn/s/abc#/list"), pair("abc", ""));
        assert_eq!(of(""), pair("", ""));
    }

    #[test]
    fn the_vectors_of_tokens() {
        let text = include_str!("../../../tests/fixtures/uc.vectors.json");
        let vectors: Value = serde_json::from_str(text).unwrap();
        let all = vectors["vectors"]["stoken_fixup"].as_array().unwrap();
        assert_eq!(all.len(), 2);
        for vector in all {
            let received = vector["received"].as_str().unwrap();
            assert_eq!(repaired(received), vector["used"].as_str().unwrap());
        }
    }
}
