//! A WebDAV server as a drive: Nextcloud, ownCloud, Apache, nginx, rclone, wsgidav, dufs,
//! Jianguoyun (sheet `generic_backends`; RFC 4918).
//!
//! | file | what is in it |
//! |---|---|
//! | `address` | the address of a profile, ids, paths in answers |
//! | `auth` | who we are, and answers to challenges |
//! | `digest` | Digest access authentication |
//! | `api` | sending: credentials, redirects, retries |
//! | `error` | what a status means |
//! | `xml` | multistatus documents, read as they come |
//! | `propfind` | what is asked about resources |
//! | `list` | listings, stat, versions, quota |
//! | `read` | ranges |
//! | `write` | mkdir, rename, move, copy, delete |
//! | `upload` | sessions, parts, commit |
//! | `session` | what the journal keeps of an upload |
//! | `stream` | files of many parts and one request |
//! | `pipe` | parts that follow each other into one request |
//! | `chunks` | chunks of Nextcloud and ownCloud |
//! | `names` | names a server holds, and ours |
//! | `spelling` | names that one server loses |

mod address;
mod api;
mod auth;
mod chunks;
mod digest;
mod error;
mod list;
mod names;
mod pipe;
mod propfind;
mod read;
mod session;
mod spelling;
mod stream;
#[cfg(test)]
mod tests;
mod upload;
mod write;
mod xml;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::drive::{
    Attempt, AuthMode, ByteStream, Calls, Capabilities, Conversation, Cursor, Drive, DriveContext,
    EndpointInfo, FieldInfo, Gives, GivesWhen, HashesDue, Node, NodeId, Overwrite, Page,
    PartReceipt, ProviderInfo, Quota, Result, Status, UploadRequest, UploadRules, UploadSession,
};
use crate::fingerprint::{Kind, Origin};
use crate::net::ClassLimit;

use api::Api;

/// The registry's line.
pub static INFO: ProviderInfo = ProviderInfo {
    key: "webdav",
    display_name: "WebDAV",
    auth_modes: &[
        AuthMode {
            name: "basic",
            kind: "account",
            fields: &[USERNAME, PASSWORD, SERVER, CHUNKS],
            capabilities: &OTHER,
        },
        AuthMode {
            name: "digest",
            kind: "account",
            fields: &[USERNAME, PASSWORD, SERVER, CHUNKS],
            capabilities: &OTHER,
        },
        AuthMode {
            name: "bearer",
            kind: "account",
            fields: &[
                FieldInfo {
                    name: "token",
                    required: true,
                    secret: true,
                    default: None,
                    help: "the token that the server takes as Authorization: Bearer",
                },
                FieldInfo {
                    name: "username",
                    required: false,
                    secret: false,
                    default: None,
                    help: "whose token it is; Nextcloud needs it for uploads in chunks when the address ends in /remote.php/webdav",
                },
                SERVER,
                CHUNKS,
            ],
            capabilities: &OTHER,
        },
        AuthMode {
            name: "none",
            kind: "account",
            fields: &[SERVER],
            capabilities: &OTHER,
        },
    ],
    endpoints: &[EndpointInfo {
        name: "url",
        url: "",
    }],
    status: Status::SimulatorVerified,
    login: None,
    open,
};

const USERNAME: FieldInfo = FieldInfo {
    name: "username",
    required: true,
    secret: false,
    default: None,
    help: "user name at the server",
};

const PASSWORD: FieldInfo = FieldInfo {
    name: "password",
    required: true,
    secret: true,
    default: None,
    help: "its password; Nextcloud and Jianguoyun: an app password, made in the security settings of the web site",
};

const SERVER: FieldInfo = FieldInfo {
    name: "server",
    required: false,
    secret: false,
    default: Some("auto"),
    help: "auto (by the address), nextcloud, owncloud, rclone (served with --etag-hash MD5) or other: which checksums it lists",
};

const CHUNKS: FieldInfo = FieldInfo {
    name: "chunks",
    required: false,
    secret: false,
    default: Some("auto"),
    help: "auto: large files go in chunks where Nextcloud or ownCloud offers them; never: always in one request",
};

/// Four to eight requests at a time are good manners (sheet generic_backends, 4.3, item 15). How
/// many a second a server takes is its own matter: it says so by 429 or 503.
const LIMITS: &[ClassLimit] = &[
    class("list", 6),
    class("other", 6),
    class("download", 8),
    class("upload", 4),
    class(pipe::STREAM, 0),
];

const fn class(class: &'static str, concurrency: usize) -> ClassLimit {
    ClassLimit {
        class,
        per_second: 0.0,
        burst: 1,
        concurrency,
    }
}

const fn claimed(kind: Kind) -> Gives {
    Gives {
        kind,
        when: GivesWhen::AtList,
        origin: Origin::UploaderClaim,
    }
}

/// What every server can do. `MOVE` with `Overwrite: T` is a delete and a move by its definition
/// (RFC 4918, 9.9.3), so nothing is replaced atomically. Times have whole seconds, where they are
/// kept at all, so keeping them is not promised.
const PLAIN: Capabilities = Capabilities {
    upload: UploadRules {
        hashes: &[],
        hashes_due: HashesDue::Never,
        resumable: false,
        visible_before_commit: false,
        pulled: false,
        max_size: None,
        empty_files: true,
    },
    overwrite: Overwrite::ByReplace,
    rename: true,
    rename_extension: true,
    move_nodes: true,
    copy: true,
    copy_with_name: true,
    path_addressed: true,
    max_name_bytes: names::MAX_NAME,
    page_size: list::PAGE_SIZE,
    parallel_reads: 4,
    calls: Calls {
        // The directory, the place, MOVE, the file twice; and what was stored, where PUT does not say.
        upload: 6,
        copy: 4,
        ..Calls::NONE
    },
    limits: LIMITS,
    read_only: false,
    ..Capabilities::NOTHING
};

static OTHER: Capabilities = PLAIN;

/// With the MD5 that rclone computes (4.3, item 9).
static RCLONE: Capabilities = Capabilities {
    gives: &[claimed(Kind::Md5)],
    ..PLAIN
};

/// Nextcloud and ownCloud: the SHA-1 that an uploader said, and uploads that can be taken up again
/// (larger ones, in chunks).
static CLOUD: Capabilities = Capabilities {
    gives: &[claimed(Kind::Sha1)],
    upload: UploadRules {
        resumable: true,
        ..PLAIN.upload
    },
    ..PLAIN
};

fn open(context: DriveContext) -> Result<Arc<dyn Drive>> {
    let api = Api::new(&context)?;
    let capabilities = match context.field("server") {
        "nextcloud" | "owncloud" => &CLOUD,
        "rclone" => &RCLONE,
        "other" => &OTHER,
        _ if api.chunks.is_likely() => &CLOUD,
        _ => &OTHER,
    };
    let place = api.base.place();
    Ok(Arc::new(WebDav {
        root: address::root(context.root.as_deref().unwrap_or_default())?,
        account: match api.auth.user() {
            "" => place,
            user => format!("{user}@{place}"),
        },
        api,
        capabilities,
    }))
}

/// One account.
struct WebDav {
    api: Api,
    root: NodeId,
    account: String,
    capabilities: &'static Capabilities,
}

impl WebDav {
    /// The name to tell the server, which is asked first who it is where that matters.
    async fn told<'a>(&self, name: &'a str) -> Result<Cow<'a, str>> {
        if self.api.spelling.is_open(name) {
            list::look(&self.api, self.root.as_str()).await?;
        }
        self.api.spelling.encode(name)
    }

    async fn told_in<'a>(&self, request: &'a UploadRequest) -> Result<Cow<'a, UploadRequest>> {
        let name = self.told(&request.name).await?;
        if name == request.name {
            return Ok(Cow::Borrowed(request));
        }
        Ok(Cow::Owned(UploadRequest {
            name: name.into_owned(),
            ..request.clone()
        }))
    }

    fn shown(&self, node: Node) -> Node {
        self.api.spelling.decode(node)
    }
}

#[async_trait]
impl Drive for WebDav {
    fn capabilities(&self) -> &Capabilities {
        self.capabilities
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    /// User, server and path: ids are relative to all of it.
    fn account_id(&self) -> Option<String> {
        Some(self.account.clone())
    }

    fn check_name(&self, name: &str) -> Result<()> {
        names::encode(&self.api.spelling.encode(name)?).map(drop)
    }

    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        let page = list::page(&self.api, dir, cursor).await?;
        let nodes = page
            .nodes
            .into_iter()
            .map(|node| self.shown(node))
            .collect();
        Ok(Page { nodes, ..page })
    }

    async fn stat(&self, id: &NodeId) -> Result<Node> {
        let node = list::stat(&self.api, id).await?;
        Ok(self.shown(node))
    }

    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        read::read(&self.api, node, range).await
    }

    async fn mkdir(&self, parent: &NodeId, name: &str) -> Result<Node> {
        let name = self.told(name).await?;
        let node = write::mkdir(&self.api, parent, &name).await?;
        Ok(self.shown(node))
    }

    async fn rename(&self, node: &Node, name: &str) -> Result<Node> {
        let name = self.told(name).await?;
        let node = write::rename(&self.api, node, &name).await?;
        Ok(self.shown(node))
    }

    async fn move_to(&self, node: &Node, parent: &NodeId) -> Result<Node> {
        let node = write::move_to(&self.api, node, parent).await?;
        Ok(self.shown(node))
    }

    async fn copy(&self, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
        let name = self.told(name).await?;
        let node = write::copy(&self.api, node, parent, &name).await?;
        Ok(self.shown(node))
    }

    async fn trash(&self, node: &Node) -> Result<()> {
        write::delete(&self.api, node).await
    }

    async fn quota(&self) -> Result<Quota> {
        list::quota(&self.api, &self.root).await
    }

    /// No server has such a question.
    async fn fast_upload(
        &self,
        _request: &UploadRequest,
        _conversation: &Conversation<'_>,
    ) -> Result<Attempt> {
        Ok(Attempt::Miss(None))
    }

    async fn open_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<UploadSession> {
        let request = self.told_in(request).await?;
        upload::open(&self.api, &request, conversation).await
    }

    async fn resume_upload(
        &self,
        request: &UploadRequest,
        session: UploadSession,
    ) -> Result<Option<UploadSession>> {
        let request = self.told_in(request).await?;
        upload::resume(&self.api, &request, session).await
    }

    async fn put_part(
        &self,
        session: &UploadSession,
        number: u32,
        bytes: Bytes,
    ) -> Result<PartReceipt> {
        upload::put_part(&self.api, session, number, bytes).await
    }

    async fn commit_upload(
        &self,
        request: &UploadRequest,
        session: &UploadSession,
        conversation: &Conversation<'_>,
    ) -> Result<Node> {
        let request = self.told_in(request).await?;
        let node = upload::commit(&self.api, &request, session, conversation).await?;
        Ok(self.shown(node))
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        upload::abandon(&self.api, session).await
    }
}
