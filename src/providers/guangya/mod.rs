//! Guangya (光鸭云盘) through the interface of its own web site and Windows program (sheet
//! `guangya`, family A).
//!
//! | file | what is in it |
//! |---|---|
//! | `platform` | the clients of the service, their headers, two spellings of the addresses |
//! | `auth` | device and user, refresh of the access token |
//! | `api` | JSON calls, one refresh each, the throttle |
//! | `error` | the envelope, and what a code means |
//! | `task` | operation tasks of moves, copies and deletes |
//! | `list` | listings, stat, decoding of entries, quota |
//! | `read` | download links and ranged reads |
//! | `write` | mkdir, rename, move, copy, trash, restore |
//! | `ticket` | upload tasks: asked for, waited for, removed |
//! | `grant` | keys to the object store |
//! | `fast` | fast upload by MD5, else by gcid and CID |
//! | `upload` | streamed uploads through the object store |
//! | `names` | names this provider holds |

mod api;
mod auth;
mod error;
mod fast;
mod grant;
mod list;
mod names;
mod platform;
mod read;
mod task;
mod ticket;
mod upload;
mod write;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::drive::{
    Attempt, AuthMode, ByteStream, Calls, Capabilities, Conversation, Cursor, Drive, DriveContext,
    DriveError, EndpointInfo, ErrorKind, FieldInfo, Gives, GivesWhen, HashesDue, Node, NodeId,
    Overwrite, Page, PartReceipt, ProviderInfo, Question, Quota, Result, Status, UploadRequest,
    UploadRules, UploadSession,
};
use crate::fingerprint::{Kind, Origin};
use crate::net::ClassLimit;

use api::Api;

/// The registry's line.
pub static INFO: ProviderInfo = ProviderInfo {
    key: "guangya",
    display_name: "Guangya",
    auth_modes: &[AuthMode {
        name: "manual_token",
        kind: "account",
        fields: &[
            FieldInfo {
                name: "did",
                required: false,
                secret: false,
                default: None,
                help: "device id, 32 hex digits: the did header of a signed-in browser; it goes with the tokens. Made once and kept when it is left out",
            },
            FieldInfo {
                name: "dt",
                required: false,
                secret: false,
                default: Some("4"),
                help: "the client that got the tokens: 4 web site, 5 program for Windows; tokens do not work with the other one",
            },
            FieldInfo {
                name: "parent_id",
                required: false,
                secret: false,
                default: None,
                help: "id of the directory to start at, when the profile names no root",
            },
            FieldInfo {
                name: "paths",
                required: false,
                secret: false,
                default: Some("current"),
                help: "spelling of the service's addresses: current or older; both answered when this was written",
            },
            FieldInfo {
                name: "refresh_token",
                required: false,
                secret: true,
                default: None,
                help: "refresh token of a signed-in client; it or an access token is needed",
            },
            FieldInfo {
                name: "access_token",
                required: false,
                secret: true,
                default: None,
                help: "a still valid access token (the authorization header of a signed-in browser); alone it lasts two hours",
            },
        ],
        capabilities: &CAPABILITIES,
    }],
    endpoints: &[
        EndpointInfo {
            name: "api",
            url: "https://api.guangyapan.com",
        },
        EndpointInfo {
            name: "account",
            url: "https://account.guangyapan.com",
        },
        EndpointInfo {
            name: "oss",
            url: "",
        },
    ],
    status: Status::SimulatorVerified,
    login: None,
    open,
};

/// A careful client keeps half a second between calls to one address (section 10): listings and
/// polls have classes of their own. Eight connections in all are what clients use for downloads
/// (section 8), three per upload (section 7).
const LIMITS: &[ClassLimit] = &[
    ClassLimit {
        class: "list",
        per_second: 2.0,
        burst: 4,
        concurrency: 3,
    },
    ClassLimit {
        class: "poll",
        per_second: 2.0,
        burst: 4,
        concurrency: 4,
    },
    ClassLimit {
        class: "other",
        per_second: 4.0,
        burst: 6,
        concurrency: 4,
    },
    ClassLimit {
        class: "download",
        per_second: 0.0,
        burst: 1,
        concurrency: 8,
    },
    ClassLimit {
        class: "upload",
        per_second: 0.0,
        burst: 1,
        concurrency: 6,
    },
];

static CAPABILITIES: Capabilities = Capabilities {
    gives: &[Gives {
        kind: Kind::Gcid,
        when: GivesWhen::AtList,
        // The service's own hash of the content (section 5).
        origin: Origin::Provider,
    }],
    questions: &[
        Question {
            kinds: &[Kind::Md5],
            range_bytes: 0,
            min_size: 0,
            max_size: None,
        },
        // The three windows of the CID go along with the gcid.
        Question {
            kinds: &[Kind::Gcid],
            range_bytes: 61_440,
            // Smaller ones are asked for by their MD5 alone.
            min_size: 1 << 20,
            max_size: None,
        },
    ],
    upload: UploadRules {
        hashes: &[],
        hashes_due: HashesDue::Never,
        resumable: true,
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
    copy_with_name: false,
    trash: true,
    restore: true,
    duplicates: false,
    same_content_same_id: false,
    path_addressed: false,
    stores_mtime: false,
    case_insensitive: false,
    // Counted in characters: of one byte each in the worst case.
    max_name_bytes: names::RULES.max_chars,
    page_size: list::PAGE_SIZE,
    parallel_reads: 4,
    listing_lag_ms: 0,
    calls: Calls {
        link: 1,
        hit: 3,
        upload: 4,
        copy: 5,
    },
    limits: LIMITS,
    read_only: false,
    shared: false,
    saves_shared: false,
    finds: crate::drive::Finds::NOTHING,
};

fn open(context: DriveContext) -> Result<Arc<dyn Drive>> {
    let named = context.root.as_deref().unwrap_or("").trim();
    let named = match named {
        "" => context.field("parent_id").trim(),
        named => named,
    };
    let root = match named {
        "" | "/" => api::ROOT,
        // A flat view of everything (section 9).
        "*" => {
            return Err(DriveError::new(
                ErrorKind::Invalid,
                format!("profile {}: \"*\" is no directory", context.profile),
            ));
        }
        id => id,
    };
    Ok(Arc::new(Guangya {
        root: NodeId::new(root),
        api: Api::new(&context)?,
        links: read::Links::new(),
    }))
}

/// One account.
struct Guangya {
    api: Api,
    root: NodeId,
    links: read::Links,
}

#[async_trait]
impl Drive for Guangya {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    fn account_id(&self) -> Option<String> {
        self.api.identity.user_id()
    }

    fn check_name(&self, name: &str) -> Result<()> {
        names::RULES.encode(name).map(drop)
    }

    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        list::page(&self.api, dir, cursor).await
    }

    async fn stat(&self, id: &NodeId) -> Result<Node> {
        list::stat(&self.api, id).await
    }

    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        self.links.read(&self.api, node, range).await
    }

    async fn mkdir(&self, parent: &NodeId, name: &str) -> Result<Node> {
        write::mkdir(&self.api, parent, name).await
    }

    async fn rename(&self, node: &Node, name: &str) -> Result<Node> {
        write::rename(&self.api, node, name).await
    }

    async fn move_to(&self, node: &Node, parent: &NodeId) -> Result<Node> {
        write::move_to(&self.api, node, parent).await
    }

    async fn copy(&self, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
        write::copy(&self.api, node, parent, name).await
    }

    async fn trash(&self, node: &Node) -> Result<()> {
        write::trash(&self.api, node).await
    }

    async fn restore(&self, node: &Node) -> Result<Node> {
        write::restore(&self.api, node).await
    }

    async fn quota(&self) -> Result<Quota> {
        list::quota(&self.api).await
    }

    async fn fast_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<Attempt> {
        fast::attempt(&self.api, request, conversation).await
    }

    async fn open_upload(
        &self,
        request: &UploadRequest,
        _conversation: &Conversation<'_>,
    ) -> Result<UploadSession> {
        upload::open(&self.api, request).await
    }

    async fn resume_upload(
        &self,
        request: &UploadRequest,
        session: UploadSession,
    ) -> Result<Option<UploadSession>> {
        upload::resume(&self.api, request, session).await
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
        _conversation: &Conversation<'_>,
    ) -> Result<Node> {
        upload::commit(&self.api, request, session).await
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        upload::abandon(&self.api, session).await
    }
}

#[cfg(test)]
mod tests;
