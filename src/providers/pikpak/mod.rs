//! PikPak through the private API of its own clients (sheet `pikpak`).
//!
//! | file | what is in it |
//! |---|---|
//! | `platform` | the clients of the service and the signs they make |
//! | `auth` | device and user, refresh of the rotating token, sign-in with a password |
//! | `captcha` | captcha tokens, asked for when the service wants one |
//! | `api` | JSON calls, one refresh and one captcha each, tasks |
//! | `error` | what an answer means |
//! | `list` | listings, stat, decoding of file objects, quota |
//! | `read` | download links and ranged reads |
//! | `write` | mkdir, rename, move, copy, trash, restore |
//! | `create` | the create call: a whole file or a pending entry |
//! | `fast` | fast upload by gcid, or by the gcid the global index knows for a CID |
//! | `upload` | streamed uploads through the object store |
//! | `session` | the object store's session keys |
//! | `names` | names this provider holds |

mod api;
mod auth;
mod captcha;
mod create;
mod error;
mod fast;
mod list;
mod names;
mod platform;
mod read;
mod session;
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
    key: "pikpak",
    display_name: "PikPak",
    auth_modes: &[AuthMode {
        name: "manual_token",
        kind: "account",
        fields: &[
            FieldInfo {
                name: "username",
                required: false,
                secret: false,
                default: None,
                help: "e-mail, phone number or user name; needed with a password",
            },
            FieldInfo {
                name: "platform",
                required: false,
                secret: false,
                default: Some("web"),
                help: "the client to be: web, pc, android, android-1.47.1 or android-1.21.0; a refresh token works only with the client that got it",
            },
            FieldInfo {
                name: "device_id",
                required: false,
                secret: false,
                default: None,
                help: "32 hex digits; taken from the browser or app (X-Device-Id) it saves a captcha, else made once and kept",
            },
            FieldInfo {
                name: "refresh_token",
                required: false,
                secret: true,
                default: None,
                help: "refresh token of a signed-in client; it or a password is needed",
            },
            FieldInfo {
                name: "password",
                required: false,
                secret: true,
                default: None,
                help: "password of the account; used when there is no usable refresh token",
            },
            FieldInfo {
                name: "access_token",
                required: false,
                secret: true,
                default: None,
                help: "a still valid access token, to save the first refresh",
            },
            FieldInfo {
                name: "captcha_token",
                required: false,
                secret: true,
                default: None,
                help: "what a human verification in the browser gave, when the service asked for one",
            },
        ],
        capabilities: &CAPABILITIES,
    }],
    endpoints: &[
        EndpointInfo {
            name: "api",
            url: "https://api-drive.mypikpak.com",
        },
        EndpointInfo {
            name: "user",
            url: "https://user.mypikpak.com",
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

/// The service tells no limits: five calls a second is what a careful client keeps to, eight
/// connections per link and sixteen per account were measured (sections 8 and 10).
const LIMITS: &[ClassLimit] = &[
    ClassLimit {
        class: "other",
        per_second: 5.0,
        burst: 5,
        concurrency: 4,
    },
    ClassLimit {
        class: "download",
        per_second: 0.0,
        burst: 1,
        concurrency: 16,
    },
    ClassLimit {
        class: "upload",
        per_second: 0.0,
        burst: 1,
        concurrency: 8,
    },
];

static CAPABILITIES: Capabilities = Capabilities {
    gives: &[Gives {
        kind: Kind::Gcid,
        when: GivesWhen::AtList,
        origin: Origin::UploaderClaim,
    }],
    questions: &[
        Question {
            kinds: &[Kind::Gcid],
            range_bytes: 0,
            min_size: 0,
            max_size: None,
        },
        Question {
            kinds: &[Kind::Cid],
            range_bytes: 61_440,
            min_size: 0,
            max_size: None,
        },
    ],
    upload: UploadRules {
        hashes: &[Kind::Gcid],
        hashes_due: HashesDue::BeforeParts,
        resumable: true,
        visible_before_commit: true,
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
    // Files never, folders perhaps (section 9).
    duplicates: true,
    same_content_same_id: false,
    path_addressed: false,
    stores_mtime: false,
    case_insensitive: false,
    // Counted in characters: of one byte each in the worst case.
    max_name_bytes: names::RULES.max_chars,
    page_size: list::PAGE_SIZE,
    parallel_reads: 8,
    listing_lag_ms: 0,
    calls: Calls {
        link: 1,
        hit: 2,
        upload: 5,
        copy: 5,
    },
    limits: LIMITS,
    read_only: false,
    shared: false,
    saves_shared: false,
    finds: crate::drive::Finds::NOTHING,
};

fn open(context: DriveContext) -> Result<Arc<dyn Drive>> {
    let root = match context.root.as_deref() {
        None | Some("" | "/") => api::ROOT,
        Some(id) => id,
    };
    Ok(Arc::new(PikPak {
        root: NodeId::new(root),
        api: Api::new(&context)?,
        links: read::Links::new(),
    }))
}

/// One account.
struct PikPak {
    api: Api,
    root: NodeId,
    links: read::Links,
}

#[async_trait]
impl Drive for PikPak {
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
        upload::commit(&self.api, request, session).await
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        upload::abandon(&self.api, session).await
    }
}

#[cfg(test)]
mod tests;
