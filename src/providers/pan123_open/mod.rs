//! 123 Yunpan through its open platform (sheet `123_open`).
//!
//! | file | what is in it |
//! |---|---|
//! | `auth` | access tokens: developer and third-party |
//! | `api` | JSON calls |
//! | `answer` | the envelope and its error codes |
//! | `list` | listings, stat, decoding of entries, quota |
//! | `read` | download links and ranged reads |
//! | `write` | mkdir, rename, move, copy, trash, restore |
//! | `create` | the two questions: by MD5, by SHA-1 |
//! | `fast` | fast upload: which question when |
//! | `upload` | streamed uploads: sessions and slices |
//! | `commit` | their end |
//! | `names` | names this provider holds |

mod answer;
mod api;
mod auth;
mod commit;
mod create;
mod fast;
mod list;
mod names;
mod read;
#[cfg(test)]
mod tests;
mod upload;
mod write;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::drive::{
    Attempt, AuthMode, ByteStream, Calls, Capabilities, Conversation, Cursor, Drive, DriveContext,
    EndpointInfo, FieldInfo, Gives, GivesWhen, HashesDue, Node, NodeId, Overwrite, Page,
    PartReceipt, ProviderInfo, Question, Quota, Result, Status, UploadRequest, UploadRules,
    UploadSession,
};
use crate::fingerprint::{Kind, Origin};
use crate::net::ClassLimit;

use api::Api;

/// The registry's line.
pub static INFO: ProviderInfo = ProviderInfo {
    key: "123_open",
    display_name: "123 Yunpan (open platform)",
    auth_modes: &[AuthMode {
        name: "official_oauth",
        kind: "account",
        fields: &[
            FieldInfo {
                name: "client_id",
                required: true,
                secret: false,
                default: None,
                help: "client id from https://www.123pan.com/developer (arrives by mail)",
            },
            FieldInfo {
                name: "client_secret",
                required: true,
                secret: true,
                default: None,
                help: "client secret that came with the client id",
            },
            FieldInfo {
                name: "refresh_token",
                required: false,
                secret: true,
                default: None,
                help: "only for third-party apps: refresh token of the user's authorization; without it the app owner's own drive is opened",
            },
        ],
        capabilities: &CAPABILITIES,
    }],
    endpoints: &[
        EndpointInfo {
            name: "api",
            url: "https://open-api.123pan.com",
        },
        EndpointInfo {
            name: "upload",
            url: "https://openapi-upload.123pan.com",
        },
    ],
    status: Status::SimulatorVerified,
    login: None,
    open,
};

const fn limit(class: &'static str, per_second: f64, burst: u32, concurrency: usize) -> ClassLimit {
    ClassLimit {
        class,
        per_second,
        burst,
        concurrency,
    }
}

/// Rate classes, a little below sheet section 10: the smaller number of free developer and
/// third-party accounts; where none is published, what a known client keeps to.
const LIMITS: &[ClassLimit] = &[
    limit("list", 4.5, 2, 3),
    limit("stat", 9.0, 2, 4),
    limit("account", 8.0, 1, 1),
    limit("link", 4.5, 2, 2),
    limit("mkdir", 4.5, 1, 2),
    limit("rename", 1.8, 1, 1),
    limit("move", 2.7, 1, 1),
    limit("trash", 1.9, 1, 1),
    limit("create", 4.5, 1, 2),
    limit("complete", 18.0, 4, 8),
    limit("token", 1.0, 1, 1),
    // 4 to 8 connections are a cautious choice (section 8.1).
    limit("download", 0.0, 1, 8),
    limit("upload", 0.0, 1, 4),
    limit("other", 2.0, 1, 2),
];

static CAPABILITIES: Capabilities = Capabilities {
    gives: &[Gives {
        kind: Kind::Md5,
        when: GivesWhen::AtList,
        origin: Origin::Provider,
    }],
    questions: &[
        Question {
            kinds: &[Kind::Sha1],
            range_bytes: 0,
            min_size: 0,
            max_size: Some(create::MAX_FILE),
        },
        Question {
            kinds: &[Kind::Md5],
            range_bytes: 0,
            min_size: 0,
            max_size: Some(create::MAX_FILE),
        },
    ],
    upload: UploadRules {
        hashes: &[Kind::Md5],
        hashes_due: HashesDue::BeforeParts,
        resumable: true,
        visible_before_commit: false,
        pulled: false,
        max_size: Some(create::MAX_FILE),
        empty_files: true,
    },
    // `duplicate=2` replaces, but a hit does so at once, for slices the moment is not documented,
    // and nobody says whether the old file reaches the bin: a copy that fails its verification
    // could not be taken back.
    overwrite: Overwrite::ByReplace,
    rename: true,
    rename_extension: true,
    move_nodes: true,
    copy: true,
    copy_with_name: true,
    trash: true,
    restore: true,
    duplicates: true,
    same_content_same_id: false,
    path_addressed: false,
    stores_mtime: false,
    case_insensitive: false,
    // Counted in characters: of one byte each in the worst case.
    max_name_bytes: names::MAX_CHARS,
    page_size: list::PAGE_SIZE,
    parallel_reads: 4,
    listing_lag_ms: 0,
    calls: Calls {
        link: 1,
        hit: 3,
        upload: 5,
        copy: 2,
    },
    limits: LIMITS,
    read_only: false,
    shared: false,
    saves_shared: false,
    finds: crate::drive::Finds::NOTHING,
};

fn open(context: DriveContext) -> Result<Arc<dyn Drive>> {
    let root = context.root.clone().filter(|root| !root.is_empty());
    let root = NodeId::new(root.unwrap_or_else(|| list::ROOT.to_owned()));
    Ok(Arc::new(Pan123Drive {
        api: Api::new(context)?,
        root,
        links: read::Links::new(),
    }))
}

/// One account.
struct Pan123Drive {
    api: Api,
    root: NodeId,
    links: read::Links,
}

#[async_trait]
impl Drive for Pan123Drive {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    fn account_id(&self) -> Option<String> {
        self.api.account_id()
    }

    fn check_name(&self, name: &str) -> Result<()> {
        names::encode(name).map(drop)
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
        conversation: &Conversation<'_>,
    ) -> Result<UploadSession> {
        upload::open(&self.api, request, conversation).await
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
        commit::commit(&self.api, request, session).await
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        commit::abandon(&self.api, session).await
    }
}
