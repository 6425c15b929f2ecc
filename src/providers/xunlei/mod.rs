//! Xunlei Drive (迅雷云盘) and its international twin through the private API of their own clients
//! (sheet `xunlei`).
//!
//! | file | what is in it |
//! |---|---|
//! | `platform` | the clients of the service and the signs they make |
//! | `auth` | device and user, refresh of the rotating token |
//! | `captcha` | captcha tokens, which every call carries |
//! | `api` | JSON calls, one refresh and one captcha each, tasks |
//! | `error` | what an answer means |
//! | `list` | listings, stat, decoding of file objects, quota |
//! | `read` | download links and ranged reads |
//! | `archive` | links of archives, which the service gives under another name only |
//! | `write` | mkdir, rename, move, copy, trash, restore |
//! | `create` | the create call: a whole file or a pending entry |
//! | `fast` | fast upload by gcid |
//! | `upload` | streamed uploads through the object store |
//! | `s3`, `sigv4` | the object store's calls and their signature |
//! | `session` | the object store's session keys |
//! | `names` | names this provider holds |

mod api;
mod archive;
mod auth;
mod captcha;
mod create;
mod error;
mod fast;
mod list;
mod names;
mod platform;
mod read;
mod s3;
mod session;
mod sigv4;
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
    key: "xunlei",
    display_name: "Xunlei Drive",
    auth_modes: &[AuthMode {
        name: "manual_token",
        kind: "account",
        fields: &[
            FieldInfo {
                name: "platform",
                required: false,
                secret: false,
                default: Some("web"),
                help: "the client the tokens are of: web (pan.xunlei.com), app, browser (Android) or x (the international service)",
            },
            FieldInfo {
                name: "device_id",
                required: false,
                secret: false,
                default: None,
                help: "the browser's deviceid (wdi10. and 64 hex digits) or 32 hex digits; made once and kept when it is left out",
            },
            FieldInfo {
                name: "refresh_token",
                required: false,
                secret: true,
                default: None,
                help: "on pan.xunlei.com in the browser's local storage, the entry credentials_...; it or an access token is needed",
            },
            FieldInfo {
                name: "access_token",
                required: false,
                secret: true,
                default: None,
                help: "access token (or a whole Authorization header), good for about 12 hours; needed without a refresh token",
            },
            FieldInfo {
                name: "captcha_token",
                required: false,
                secret: true,
                default: None,
                help: "X-Captcha-Token of a signed-in client, or what a human verification gave; fetched when it is left out",
            },
            FieldInfo {
                name: "captcha_sign",
                required: false,
                secret: true,
                default: None,
                help: "a recorded sign (1.…) of a real client, for when the service refuses the built-in one; goes with captcha_timestamp",
            },
            FieldInfo {
                name: "captcha_timestamp",
                required: false,
                secret: false,
                default: None,
                help: "milliseconds: the time of the recorded captcha_sign; needs the device_id it was made for",
            },
            FieldInfo {
                name: "client_version",
                required: false,
                secret: false,
                default: None,
                help: "the client version of the recorded captcha_sign, when it is another than the built-in one",
            },
            FieldInfo {
                name: "archives",
                required: false,
                secret: false,
                default: Some("rename"),
                help: "rename: archives (zip, rar, 7z ...) carry another name for a second to be read, the service gives no link otherwise; leave: they cannot be read",
            },
        ],
        capabilities: &CAPABILITIES,
    }],
    endpoints: &[
        EndpointInfo {
            name: "api",
            url: "https://api-pan.xunlei.com",
        },
        EndpointInfo {
            name: "user",
            url: "https://xluser-ssl.xunlei.com",
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

/// The service tells no limits, and refuses parallel crawling (section 4.6): few calls at a time.
/// Eight ranges per file are recommended (section 8).
const LIMITS: &[ClassLimit] = &[
    ClassLimit {
        class: "other",
        per_second: 4.0,
        burst: 4,
        concurrency: 2,
    },
    ClassLimit {
        class: "download",
        per_second: 0.0,
        burst: 1,
        concurrency: 12,
    },
    ClassLimit {
        class: "upload",
        per_second: 0.0,
        burst: 1,
        concurrency: 5,
    },
];

static CAPABILITIES: Capabilities = Capabilities {
    gives: &[Gives {
        kind: Kind::Gcid,
        when: GivesWhen::AtList,
        origin: Origin::UploaderClaim,
    }],
    questions: &[Question {
        kinds: &[Kind::Gcid],
        range_bytes: 0,
        min_size: 0,
        max_size: None,
    }],
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
    // Not by what clients do, but nothing says that the service prevents it (section 9).
    duplicates: true,
    same_content_same_id: false,
    path_addressed: false,
    stores_mtime: false,
    case_insensitive: false,
    // Counted in characters: of one byte each in the worst case.
    max_name_bytes: names::RULES.max_chars,
    page_size: list::PAGE_SIZE,
    parallel_reads: 8,
    // "New folders may need ~1 s to be listable" (section 9).
    listing_lag_ms: 2_000,
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
    Ok(Arc::new(Xunlei {
        root: NodeId::new(root),
        api: Arc::new(Api::new(&context)?),
    }))
}

/// One account.
struct Xunlei {
    api: Arc<Api>,
    root: NodeId,
}

#[async_trait]
impl Drive for Xunlei {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    fn account_id(&self) -> Option<String> {
        let id = self.api.identity.user_id()?;
        // The international service counts its users for itself.
        Some(match self.api.identity.platform.is_international() {
            true => format!("x-{id}"),
            false => id,
        })
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
        read::read(&self.api, node, range).await
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
