//! A share: a link, perhaps with an access code, whose tree is listed without a log-in (sheet
//! section 4.8). An account of the service takes its nodes over; the bytes themselves are handed out
//! to log-ins only.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::answer::judge;
use super::api::{browser, head_of, plain_headers};
use super::list::{self, Listed, Place, node, read_page};
use super::read::{Links, address_in};
use crate::drive::{
    AccountEffect, Attempt, ByteStream, Capabilities, Conversation, Cursor, Drive, DriveContext,
    DriveError, ErrorKind, Gives, GivesWhen, Node, NodeId, NodeKind, Page, PartReceipt, Quota,
    Result, Shared, UploadRequest, UploadSession, decode, patience,
};
use crate::fingerprint::{Fingerprints, Kind, Origin};
use crate::net::{Client, Request, retry};

/// What a share can do.
pub static CAPABILITIES: Capabilities = Capabilities {
    gives: &[Gives {
        kind: Kind::Md5,
        when: GivesWhen::AtList,
        origin: Origin::Provider,
    }],
    page_size: list::PAGE_SIZE,
    limits: super::LIMITS,
    shared: true,
    ..Capabilities::NOTHING
};

/// The directory that shows what is shared: the shared folder itself, or the one shared file.
const TOP: &str = "share";

/// A share is asked again who it is after this time: it may end or be changed.
const FRESH_MS: i64 = 600_000;

/// Directories that are looked through for a node whose directory was not listed before.
const MOST_SEARCHED: usize = 500;

/// What an account needs to take a node over.
pub struct Ticket {
    pub share_id: String,
    pub file_id: String,
    /// As the service spells it.
    pub name: String,
}

impl Ticket {
    /// From what a share handed out.
    ///
    /// # Errors
    /// `Invalid` when it is no ticket of this provider.
    pub fn of(shared: &Shared) -> Result<Ticket> {
        let text = |key: &str| decode::nonempty(&shared.ticket[key]);
        (shared.provider == super::INFO.key)
            .then(|| {
                Some(Ticket {
                    share_id: text("share_id")?,
                    file_id: text("file_id")?,
                    name: text("name")?,
                })
            })
            .flatten()
            .ok_or_else(|| DriveError::new(ErrorKind::Invalid, "no ticket of this provider"))
    }
}

/// What the link leads to.
#[derive(Clone)]
struct Info {
    share_id: String,
    mode: String,
    file_id: String,
    is_dir: bool,
    /// The one shared file, as far as the answer tells.
    item: Value,
    asked_at: i64,
}

/// One share.
pub struct Share {
    client: Client,
    web: String,
    code: String,
    access_code: String,
    profile: String,
    root: NodeId,
    info: RwLock<Option<Info>>,
    /// The directory of each node that was listed.
    parents: moka::sync::Cache<NodeId, NodeId>,
    links: Links,
}

impl Share {
    /// # Errors
    /// `Invalid` when the link or the code is none.
    pub fn open(context: &DriveContext) -> Result<Share> {
        let (code, in_text) = read_link(context.field("share_code"));
        let code = code.ok_or_else(|| {
            DriveError::new(
                ErrorKind::Invalid,
                format!(
                    "profile {}: share_code is no share code and no link of a share",
                    context.profile
                ),
            )
        })?;
        let access_code = match context.field("access_code").trim() {
            "" => in_text.unwrap_or_default(),
            given => given.to_owned(),
        };
        Ok(Share {
            client: browser(context)?,
            web: context.endpoint("web")?.to_owned(),
            code,
            access_code,
            profile: context.profile.clone(),
            root: match context.root.as_deref() {
                None | Some("" | "/") => NodeId::new(TOP),
                Some(id) => NodeId::new(id),
            },
            info: RwLock::new(None),
            parents: moka::sync::Cache::new(100_000),
            links: Links::new(),
        })
    }

    /// A call of the open door, without a log-in.
    async fn call(
        &self,
        op: &'static str,
        class: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Value> {
        let answer = retry(patience(), || async {
            let url = format!("{}/api/open{path}", self.web);
            let mut request = Request::get(op, url).class(class);
            for (key, value) in query {
                request = request.query(key, value);
            }
            let request = plain_headers(request).header("sign-type", "1");
            let response = self.client.send(request).await?;
            let head = head_of(&response);
            let body = response.bytes(16 << 20).await?;
            judge(op, head, &body)
        })
        .await;
        match answer {
            Ok(answer) => {
                self.client.breaker().heal();
                Ok(answer)
            }
            Err(error) => {
                if let AccountEffect::CoolDown(pause) = error.account {
                    self.client.breaker().trip(pause, &error.to_string());
                }
                if super::error::is_too_fast(&error) {
                    let pause = super::error::RATE_PAUSE;
                    self.client.breaker().trip(pause, &error.to_string());
                }
                // Nobody is logged in: there is nothing to refresh.
                Err(error.effect(AccountEffect::None))
            }
        }
    }

    /// Steps 1 and 2 of the sheet, asked again from time to time.
    async fn info(&self) -> Result<Info> {
        let now = self.client.clock().now_ms();
        let is_fresh = |info: &&Info| now.saturating_sub(info.asked_at) < FRESH_MS;
        if let Some(info) = self.info.read().await.as_ref().filter(is_fresh) {
            return Ok(info.clone());
        }
        let mut kept = self.info.write().await;
        if let Some(info) = kept.as_ref().filter(is_fresh) {
            return Ok(info.clone());
        }
        let query = [("shareCode", self.code.as_str())];
        let answer = self
            .call(
                "share_info",
                "other",
                "/share/getShareInfoByCodeV2.action",
                &query,
            )
            .await?;
        let mut share_id = decode::nonempty(&answer["shareId"]);
        if decode::flag(&answer["needAccessCode"]) || share_id.is_none() {
            if self.access_code.is_empty() {
                return Err(self.refused("this share wants an access code; give it in access_code"));
            }
            let query = [
                ("shareCode", self.code.as_str()),
                ("accessCode", self.access_code.as_str()),
            ];
            let checked = self
                .call(
                    "share_code",
                    "other",
                    "/share/checkAccessCode.action",
                    &query,
                )
                .await?;
            // A wrong code may be told by leaving the id out.
            share_id = decode::nonempty(&checked["shareId"]);
        }
        let share_id =
            share_id.ok_or_else(|| self.refused("the access code of this share is wrong"))?;
        let info = Info {
            share_id,
            mode: decode::text(&answer["shareMode"]),
            file_id: decode::nonempty(&answer["fileId"])
                .ok_or_else(|| DriveError::bad_answer("share_info", "no fileId"))?,
            is_dir: decode::flag(&answer["isFolder"]),
            item: json!({
                "id": answer["fileId"],
                "name": answer["fileName"],
                "size": answer["fileSize"],
                "md5": answer["md5"],
                "createDate": answer["fileCreateDate"],
                "lastOpTime": answer["fileLastOpTime"],
            }),
            asked_at: now,
        };
        *kept = Some(info.clone());
        Ok(info)
    }

    fn refused(&self, what: &str) -> DriveError {
        DriveError::new(ErrorKind::Auth, format!("profile {}: {what}", self.profile))
    }

    /// Step 3.
    async fn list_of(&self, info: &Info, id: &str, is_dir: bool, place: Place) -> Result<Value> {
        let (page, size) = (place.page.to_string(), list::PAGE_SIZE.to_string());
        let query = [
            ("pageNum", page.as_str()),
            ("pageSize", &size),
            ("fileId", id),
            ("shareDirFileId", id),
            ("isFolder", if is_dir { "true" } else { "false" }),
            ("shareId", &info.share_id),
            ("shareMode", &info.mode),
            ("iconOption", "0"),
            ("orderBy", "lastOpTime"),
            ("descending", "true"),
            ("accessCode", &self.access_code),
        ];
        self.call("list", "list", "/share/listShareDir.action", &query)
            .await
    }

    /// The one file of a share that is no folder.
    async fn only_file(&self, info: &Info, dir: &NodeId) -> Result<Node> {
        let told = node(&info.item, NodeKind::File, Some(dir)).ok();
        if let Some(told) = told.as_ref().filter(|told| !told.fingerprints.is_empty()) {
            return Ok(told.clone());
        }
        let place = Place::of(None)?;
        let answer = self.list_of(info, &info.file_id, false, place).await?;
        let (Listed::Page(page) | Listed::Short(page)) = read_page(&answer, dir, place)?;
        let found = page
            .nodes
            .into_iter()
            .find(|node| node.id.as_str() == info.file_id);
        found
            .or(told)
            .ok_or_else(|| DriveError::bad_answer("list", "the shared file is missing"))
    }

    async fn page(&self, dir: &NodeId, cursor: Option<&Cursor>) -> Result<Page> {
        let info = self.info().await?;
        let place = Place::of(cursor)?;
        let top = dir.as_str() == TOP;
        let page = if top && !info.is_dir {
            Page {
                nodes: vec![self.only_file(&info, dir).await?],
                next: None,
            }
        } else {
            let id = if top {
                info.file_id.as_str()
            } else {
                dir.as_str()
            };
            let mut again = true;
            loop {
                let answer = self.list_of(&info, id, true, place).await?;
                match read_page(&answer, dir, place)? {
                    Listed::Short(_) if again => again = false,
                    Listed::Page(page) | Listed::Short(page) => break page,
                }
            }
        };
        for node in &page.nodes {
            self.parents.insert(node.id.clone(), dir.clone());
        }
        Ok(page)
    }

    async fn entries(&self, dir: &NodeId) -> Result<Vec<Node>> {
        let (mut nodes, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.page(dir, cursor.as_ref()).await?;
            nodes.extend(page.nodes);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(nodes),
            }
        }
    }

    /// A share has no stat: the node's directory is listed, and where that is not known, the tree
    /// is looked through from the top.
    async fn look_up(&self, id: &NodeId) -> Result<Node> {
        if id.as_str() == TOP {
            return Ok(Node {
                id: id.clone(),
                parent: id.clone(),
                name: "share".to_owned(),
                kind: NodeKind::Dir,
                size: 0,
                modified: 0,
                created: 0,
                version: String::new(),
                fingerprints: Fingerprints::new(),
                handle: None,
                raw: None,
            });
        }
        if let Some(parent) = self.parents.get(id) {
            let nodes = self.entries(&parent).await?;
            if let Some(node) = nodes.into_iter().find(|node| node.id == *id) {
                return Ok(node);
            }
            self.parents.invalidate(id);
            return Err(DriveError::not_found(format!("node {id}")));
        }
        let mut queue = std::collections::VecDeque::from([NodeId::new(TOP)]);
        for _ in 0..MOST_SEARCHED {
            let Some(dir) = queue.pop_front() else { break };
            for node in self.entries(&dir).await? {
                if node.id == *id {
                    return Ok(node);
                }
                if node.is_dir() {
                    queue.push_back(node.id);
                }
            }
        }
        Err(DriveError::not_found(format!("node {id}")))
    }

    /// The address of a shared file. The sheet wants a log-in for it; whatever the service says to
    /// nobody is made plain.
    async fn address(&self, node: &Node) -> Result<String> {
        let info = self.info().await?;
        let query = [
            ("fileId", node.id.as_str()),
            ("dt", "1"),
            ("shareId", &info.share_id),
        ];
        let path = "/file/getFileDownloadUrl.action";
        match self.call("download_link", "link", path, &query).await {
            Ok(answer) => address_in(&answer),
            Err(error) if matches!(error.kind, ErrorKind::Auth | ErrorKind::TooLarge) => {
                Err(DriveError {
                    kind: ErrorKind::Auth,
                    ..self.refused(
                        "a share can be listed without a log-in, not read; copy the file to a drive of an account of 189cloud, which takes it over without a download",
                    )
                })
            }
            Err(error) => Err(error),
        }
    }
}

/// The share code in a link or a text around it, and the access code in that text.
fn read_link(text: &str) -> (Option<String>, Option<String>) {
    let is_code = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let run = |text: &str| -> String { text.chars().take_while(|c| is_code(*c)).collect() };
    let after = |mark: &str| {
        text.find(mark)
            .and_then(|at| text.get(at + mark.len()..))
            .map(run)
            .filter(|code| !code.is_empty())
    };
    let bare = text.trim();
    let code = ["/t/", "shareCode=", "code="]
        .into_iter()
        .find_map(after)
        .or_else(|| {
            let is_bare = !bare.is_empty() && bare.chars().all(is_code);
            is_bare.then(|| bare.to_owned())
        });
    // "access code" in the words of the service, with either colon.
    let access = [
        "\u{8bbf}\u{95ee}\u{7801}\u{ff1a}",
        "\u{8bbf}\u{95ee}\u{7801}:",
    ]
    .into_iter()
    .find_map(|mark| {
        let at = text.find(mark)?;
        Some(run(text.get(at + mark.len()..)?.trim_start()))
    })
    .filter(|code| !code.is_empty());
    (code, access)
}

fn read_only() -> DriveError {
    DriveError::new(ErrorKind::ReadOnly, "a share cannot be written")
}

#[async_trait]
impl Drive for Share {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    fn account_id(&self) -> Option<String> {
        None
    }

    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        self.page(dir, cursor.as_ref()).await
    }

    async fn stat(&self, id: &NodeId) -> Result<Node> {
        self.look_up(id).await
    }

    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        let ask = || self.address(node);
        self.links.read(&self.client, node, range, ask).await
    }

    async fn shared(&self, node: &Node) -> Result<Shared> {
        if node.id.as_str() == TOP {
            return Err(DriveError::unsupported("taking over the top of a share"));
        }
        let info = self.info().await?;
        let name = super::names::RULES.encode(&node.name)?;
        Ok(Shared {
            provider: super::INFO.key,
            node: node.clone(),
            ticket: json!({
                "share_id": info.share_id,
                "file_id": node.id.as_str(),
                "name": name,
            }),
        })
    }

    async fn quota(&self) -> Result<Quota> {
        self.info().await?;
        Ok(Quota::default())
    }

    async fn mkdir(&self, _parent: &NodeId, _name: &str) -> Result<Node> {
        Err(read_only())
    }

    async fn rename(&self, _node: &Node, _name: &str) -> Result<Node> {
        Err(read_only())
    }

    async fn move_to(&self, _node: &Node, _parent: &NodeId) -> Result<Node> {
        Err(read_only())
    }

    async fn copy(&self, _node: &Node, _parent: &NodeId, _name: &str) -> Result<Node> {
        Err(read_only())
    }

    async fn trash(&self, _node: &Node) -> Result<()> {
        Err(read_only())
    }

    async fn fast_upload(&self, _: &UploadRequest, _: &Conversation<'_>) -> Result<Attempt> {
        Err(read_only())
    }

    async fn open_upload(&self, _: &UploadRequest, _: &Conversation<'_>) -> Result<UploadSession> {
        Err(read_only())
    }

    async fn resume_upload(
        &self,
        _: &UploadRequest,
        _: UploadSession,
    ) -> Result<Option<UploadSession>> {
        Err(read_only())
    }

    async fn put_part(&self, _: &UploadSession, _: u32, _: Bytes) -> Result<PartReceipt> {
        Err(read_only())
    }

    async fn commit_upload(
        &self,
        _: &UploadRequest,
        _: &UploadSession,
        _: &Conversation<'_>,
    ) -> Result<Node> {
        Err(read_only())
    }

    async fn abandon_upload(&self, _: &UploadSession) -> Result<()> {
        Err(read_only())
    }
}

/// Opens a share as a drive.
pub fn open(context: &DriveContext) -> Result<Arc<dyn Drive>> {
    Ok(Arc::new(Share::open(context)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_links_and_texts() {
        for text in [
            "https://cloud.189.cn/t/Ab12Cd34",
            "https://cloud.189.cn/web/share?code=Ab12Cd34",
            "https://h5.cloud.189.cn/share.html#/t/Ab12Cd34",
            "https://content.21cn.com/h5/x?a=1&shareCode=Ab12Cd34&b=2",
            " Ab12Cd34 ",
        ] {
            assert_eq!(
                read_link(text),
                (Some("Ab12Cd34".to_owned()), None),
                "{text}"
            );
        }
        let text =
            "https://cloud.189.cn/t/Ab12Cd34\u{ff08}\u{8bbf}\u{95ee}\u{7801}\u{ff1a}ab12\u{ff09}";
        assert_eq!(
            read_link(text),
            (Some("Ab12Cd34".to_owned()), Some("ab12".to_owned()))
        );
        for text in ["", "  ", "https://example.org/", "two words"] {
            assert_eq!(read_link(text).0, None, "{text}");
        }
    }
}
