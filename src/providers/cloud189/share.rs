//! A share: a link, perhaps with an access code, whose tree is listed without a log-in (sheet
//! section 4.8). An account of the service takes its nodes over; the bytes themselves are handed out
//! to log-ins only, so a profile of a share may hold one.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use super::link::{Info, Link};
use super::list::{self, Listed, Place, node, read_page};
use super::read::Links;
use super::reader::Reader;
use crate::drive::{
    Attempt, ByteStream, Capabilities, Conversation, Cursor, Drive, DriveContext, DriveError,
    ErrorKind, Gives, GivesWhen, Node, NodeId, NodeKind, Page, PartReceipt, Quota, Result, Shared,
    UploadRequest, UploadSession,
};
use crate::fingerprint::{Fingerprints, Kind, Origin};

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

/// Directories that are looked through for a node whose directory was not listed before.
const MOST_SEARCHED: usize = 500;

/// One share.
pub struct Share {
    link: Link,
    root: NodeId,
    /// The directory of each node that was listed.
    parents: moka::sync::Cache<NodeId, NodeId>,
    links: Links,
    reader: Reader,
}

impl Share {
    /// # Errors
    /// `Invalid` when the field is no link and no code.
    pub fn open(context: &DriveContext) -> Result<Share> {
        Ok(Share {
            link: Link::new(context)?,
            root: match context.root.as_deref() {
                None | Some("" | "/") => NodeId::new(TOP),
                Some(id) => NodeId::new(id),
            },
            parents: moka::sync::Cache::new(100_000),
            links: Links::new(),
            reader: Reader::new(context)?,
        })
    }

    /// The one file of a share that is no folder.
    async fn only_file(&self, info: &Info, dir: &NodeId) -> Result<Node> {
        let told = node(&info.item, NodeKind::File, Some(dir)).ok();
        if let Some(told) = told.as_ref().filter(|told| !told.fingerprints.is_empty()) {
            return Ok(told.clone());
        }
        let place = Place::of(None)?;
        let answer = self.link.list_of(info, &info.file_id, false, place).await?;
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
        let info = self.link.info().await?;
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
                let answer = self.link.list_of(&info, id, true, place).await?;
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

    /// The address of a file's bytes, as the account of the profile or as nobody.
    async fn address(&self, node: &Node) -> Result<String> {
        if self.reader.is_logged_in().await? {
            let info = self.link.info().await?;
            return self.reader.address(node, &info.share_id).await;
        }
        self.link.address(node).await
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
            // It is gone, or its owner has moved it within the share.
            self.parents.invalidate(id);
        }
        let mut queue = VecDeque::from([NodeId::new(TOP)]);
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
        self.links.read(&self.link.client, node, range, ask).await
    }

    async fn shared(&self, node: &Node) -> Result<Shared> {
        if node.id.as_str() == TOP {
            return Err(DriveError::unsupported("taking over the top of a share"));
        }
        let info = self.link.info().await?;
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
        self.link.info().await?;
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
        Err(DriveError::unsupported("a copy within a share"))
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
///
/// # Errors
/// `Invalid` when the field is no link and no code.
pub fn open(context: &DriveContext) -> Result<Arc<dyn Drive>> {
    Ok(Arc::new(Share::open(context)?))
}
