//! Feishu Drive and Lark Drive through the open platform (sheet `lark_drive`).
//!
//! | file | what is in it |
//! |---|---|
//! | `auth` | tokens of a user (single-use refresh token) or of the app |
//! | `api` | JSON calls, the account, what is remembered between calls |
//! | `answer` | the envelope, error codes |
//! | `scopes` | what each call needs to have been granted |
//! | `entry` | entries, and the link files by which online documents are shown |
//! | `times` | times in seconds, milliseconds or microseconds |
//! | `list` | listings, stat, where nodes are |
//! | `facts` | sizes and versions, which no listing tells |
//! | `read` | ranged reads |
//! | `write` | mkdir, rename, move, copy, trash |
//! | `upload` | streamed uploads, overwriting in place |
//! | `parked` | small files between their part and their one call |
//! | `made` | whether an upload whose answer was lost has made its file |
//! | `names` | names this provider holds |

mod answer;
mod api;
mod auth;
mod entry;
mod facts;
mod list;
mod made;
mod names;
mod parked;
mod read;
mod scopes;
#[cfg(test)]
mod tests;
mod times;
mod upload;
mod write;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::drive::{
    Attempt, AuthMode, ByteStream, Calls, Capabilities, Conversation, Cursor, Drive, DriveContext,
    EndpointInfo, FieldInfo, Finds, HashesDue, Node, NodeId, Overwrite, Page, PartReceipt,
    ProviderInfo, Quota, Result, Status, UploadRequest, UploadRules, UploadSession,
};
use crate::net::ClassLimit;

use api::Api;

/// The registry's line.
pub static INFO: ProviderInfo = ProviderInfo {
    key: "lark_drive",
    display_name: "Feishu Drive / Lark Drive (open platform)",
    auth_modes: &[AuthMode {
        name: "official_oauth",
        kind: "account",
        fields: &[
            FieldInfo {
                name: "app_id",
                required: true,
                secret: false,
                default: None,
                help: "App ID (cli_...) of your app in the developer console of Feishu or Lark",
            },
            FieldInfo {
                name: "identity",
                required: false,
                secret: false,
                default: Some("user"),
                help: "whose drive it is: user (who authorized the app) or bot (the app itself; share a folder with it and name that as root)",
            },
            FieldInfo {
                name: "app_secret",
                required: true,
                secret: true,
                default: None,
                help: "App Secret of the app",
            },
            FieldInfo {
                name: "refresh_token",
                required: false,
                secret: true,
                default: None,
                help: "for identity user: refresh token of the user's authorization (scope offline_access and those of the page of this provider); single-use, do not share it with another program",
            },
            FieldInfo {
                name: "access_token",
                required: false,
                secret: true,
                default: None,
                help: "a still valid user access token, to save the first refresh",
            },
        ],
        capabilities: &CAPABILITIES,
    }],
    endpoints: &[EndpointInfo {
        name: "api",
        // Lark: https://open.larksuite.com
        url: "https://open.feishu.cn",
    }],
    status: Status::SimulatorVerified,
    login: None,
    open,
};

/// A little below the rates of section 10: listings 20 a second, metadata 1000 a minute, changes
/// and uploads 5 a second and one at a time, downloads 5 a second. Nothing is said of histories.
const LIMITS: &[ClassLimit] = &[
    ClassLimit {
        class: "list",
        per_second: 18.0,
        burst: 4,
        concurrency: 4,
    },
    ClassLimit {
        class: "meta",
        per_second: 15.0,
        burst: 4,
        concurrency: 4,
    },
    ClassLimit {
        class: "history",
        per_second: 15.0,
        burst: 8,
        concurrency: 8,
    },
    ClassLimit {
        class: "change",
        per_second: 4.5,
        burst: 1,
        concurrency: 1,
    },
    ClassLimit {
        class: "upload",
        per_second: 4.5,
        burst: 1,
        concurrency: 1,
    },
    // The last free one of three is kept for somebody who waits.
    ClassLimit {
        class: "download",
        per_second: 4.5,
        burst: 1,
        concurrency: 3,
    },
    ClassLimit {
        class: "other",
        per_second: 2.0,
        burst: 2,
        concurrency: 2,
    },
];

static CAPABILITIES: Capabilities = Capabilities {
    // No hash anywhere (section 5).
    gives: &[],
    questions: &[],
    upload: UploadRules {
        hashes: &[],
        hashes_due: HashesDue::Never,
        resumable: true,
        visible_before_commit: false,
        pulled: false,
        max_size: None,
        empty_files: false,
    },
    // The file keeps its id and gets a new version (section 7.1).
    overwrite: Overwrite::Atomic,
    rename: true,
    rename_extension: true,
    move_nodes: true,
    copy: true,
    copy_with_name: true,
    trash: true,
    restore: false,
    duplicates: true,
    same_content_same_id: false,
    path_addressed: false,
    stores_mtime: false,
    case_insensitive: false,
    // Characters, so that longer names of other alphabets fit too.
    max_name_bytes: 250,
    page_size: list::PAGE_SIZE,
    parallel_reads: 1,
    listing_lag_ms: 0,
    calls: Calls {
        link: 0,
        hit: 0,
        // A look whether the name is free, the upload, its history, and where it is.
        upload: 4,
        copy: 4,
    },
    limits: LIMITS,
    read_only: false,
    shared: false,
    saves_shared: false,
    finds: Finds::NOTHING,
};

fn open(context: DriveContext) -> Result<Arc<dyn Drive>> {
    Ok(Arc::new(LarkDrive {
        api: Api::new(context)?,
    }))
}

/// One identity of one tenant.
struct LarkDrive {
    api: Api,
}

#[async_trait]
impl Drive for LarkDrive {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn root(&self) -> NodeId {
        self.api.root.clone()
    }

    fn account_id(&self) -> Option<String> {
        self.api.account_id()
    }

    fn check_name(&self, name: &str) -> Result<()> {
        names::RULES.encode(name).map(|_| ())
    }

    fn check_change(&self, node: &Node) -> Result<()> {
        entry::refuse_link(&node.id, &node.name)
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

    /// No call tells the space (section 4). Whose drive it is, is asked all the same: profiles of
    /// one account share what they know of it.
    async fn quota(&self) -> Result<Quota> {
        self.api.root_meta().await?;
        Ok(Quota::default())
    }

    /// There is nothing to ask by (section 6).
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
        upload::open(&self.api, request, conversation).await
    }

    async fn resume_upload(
        &self,
        _request: &UploadRequest,
        session: UploadSession,
    ) -> Result<Option<UploadSession>> {
        upload::resume(&self.api, session).await
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
        upload::commit(&self.api, request, session, conversation).await
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        upload::abandon(&self.api, session)
    }
}
