//! Quark Drive and UC Drive: one service under two names (sheets `quark` and `uc`), spoken as its
//! web and PC clients speak it.
//!
//! | file | what is in it |
//! |---|---|
//! | `brand` | what differs between the two |
//! | `auth` | the cookie and its rolling part |
//! | `api` | JSON calls, one renewal of a refused cookie, one more try at the gateway |
//! | `error` | what an answer means |
//! | `task` | tasks that run behind their call |
//! | `list` | listings, stat, decoding of entries, quota |
//! | `taken` | which names are taken |
//! | `read` | download links, MD5, ranged reads |
//! | `write` | mkdir, rename, move, copy, trash, restore |
//! | `fast` | fast upload by MD5 and SHA-1 |
//! | `upload` | streamed uploads: session and parts |
//! | `commit` | the end of an upload |
//! | `store` | the object store, every request signed by the service |
//! | `chain` | the SHA-1 state before each part |
//! | `ordered` | JSON in the order it came |
//! | `share` | a share as a drive |
//! | `save` | taking over what a share hands out |
//! | `names` | names this provider holds, and how listings escape them |

mod api;
mod auth;
mod brand;
mod chain;
mod commit;
mod error;
mod fast;
mod list;
mod names;
mod ordered;
mod read;
mod save;
mod share;
mod store;
mod taken;
mod task;
mod upload;
mod write;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::drive::{
    Attempt, AuthMode, ByteStream, Calls, Capabilities, Conversation, Cursor, Drive, DriveContext,
    EndpointInfo, FieldInfo, Gives, GivesWhen, HashesDue, Node, NodeId, Overwrite, Page,
    PartReceipt, ProviderInfo, Question, Quota, Result, Shared, Status, UploadRequest, UploadRules,
    UploadSession,
};
use crate::fingerprint::{Kind, Known, Origin};
use crate::net::ClassLimit;

use api::Api;
use brand::Brand;
use read::Owner;
use share::{Share, ShareDrive};

/// Quark's line in the registry.
pub static QUARK: ProviderInfo = ProviderInfo {
    key: "quark",
    display_name: "Quark Drive",
    auth_modes: MODES,
    endpoints: &[
        EndpointInfo {
            name: "api",
            url: "https://drive-pc.quark.cn",
        },
        OSS,
    ],
    status: Status::SimulatorVerified,
    login: None,
    open: |context| open(&brand::QUARK, &context),
};

/// UC's line in the registry.
pub static UC: ProviderInfo = ProviderInfo {
    key: "uc",
    display_name: "UC Drive",
    auth_modes: MODES,
    endpoints: &[
        EndpointInfo {
            name: "api",
            url: "https://pc-api.uc.cn",
        },
        OSS,
    ],
    status: Status::SimulatorVerified,
    login: None,
    open: |context| open(&brand::UC, &context),
};

/// The service names the object store with every upload.
const OSS: EndpointInfo = EndpointInfo {
    name: "oss",
    url: "",
};

const MODES: &[AuthMode] = &[
    AuthMode {
        name: "manual_cookie",
        kind: "account",
        fields: &[FieldInfo {
            name: "cookie",
            required: true,
            secret: true,
            default: None,
            help: "the whole Cookie header of the signed-in web site (browser, developer tools, network); it must hold __pus",
        }],
        capabilities: &CAPABILITIES,
    },
    AuthMode {
        name: "share",
        kind: "share",
        fields: &[
            FieldInfo {
                name: "pwd_id",
                required: true,
                secret: false,
                default: None,
                help: "the part of the share's link behind /s/, or the whole link",
            },
            FieldInfo {
                name: "passcode",
                required: false,
                secret: false,
                default: None,
                help: "the pass code of the share, when it has one",
            },
            FieldInfo {
                name: "cookie",
                required: false,
                secret: true,
                default: None,
                help: "the Cookie header of a signed-in web site; without it only files up to about 50 MB can be read",
            },
        ],
        capabilities: &SHARE,
    },
];

/// Limits are not published. Careful clients stay below five calls a second, 0.3 s between pages
/// and three connections for downloads (sheet quark, 8 and 10).
const LIMITS: &[ClassLimit] = &[
    ClassLimit {
        class: "list",
        per_second: 3.0,
        burst: 3,
        concurrency: 2,
    },
    ClassLimit {
        class: "sign",
        per_second: 4.0,
        burst: 4,
        concurrency: 4,
    },
    ClassLimit {
        class: "other",
        per_second: 3.0,
        burst: 5,
        concurrency: 4,
    },
    ClassLimit {
        class: "download",
        per_second: 0.0,
        burst: 1,
        concurrency: 3,
    },
    ClassLimit {
        class: "upload",
        per_second: 0.0,
        burst: 1,
        concurrency: 4,
    },
];

static CAPABILITIES: Capabilities = Capabilities {
    gives: &[Gives {
        kind: Kind::Md5,
        when: GivesWhen::ExtraCall,
        origin: Origin::Provider,
    }],
    questions: &[Question {
        kinds: &[Kind::Md5, Kind::Sha1],
        range_bytes: 0,
        min_size: 0,
        max_size: None,
    }],
    upload: UploadRules {
        hashes: &[Kind::Md5, Kind::Sha1],
        hashes_due: HashesDue::AtCommit,
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
    max_name_bytes: 1020,
    page_size: list::PAGE_SIZE,
    parallel_reads: 3,
    listing_lag_ms: 20_000,
    calls: Calls {
        link: 1,
        hit: 4,
        upload: 10,
        copy: 7,
    },
    limits: LIMITS,
    read_only: false,
    shared: false,
    saves_shared: true,
    finds: crate::drive::Finds::NOTHING,
};

static SHARE: Capabilities = Capabilities {
    max_name_bytes: 1020,
    page_size: share::PAGE_SIZE,
    parallel_reads: 3,
    calls: Calls {
        link: 1,
        ..Calls::NONE
    },
    limits: LIMITS,
    shared: true,
    ..Capabilities::NOTHING
};

fn open(brand: &'static Brand, context: &DriveContext) -> Result<Arc<dyn Drive>> {
    let root = match context.root.as_deref() {
        None | Some("" | "/") => api::ROOT,
        Some(id) => id,
    };
    let root = NodeId::new(root);
    if context.auth_mode == "share" {
        let share = Share::new(context)?;
        let api = Api::new(brand, context, false)?;
        return Ok(Arc::new(ShareDrive::new(api, share, root, &SHARE)));
    }
    Ok(Arc::new(Account {
        api: Api::new(brand, context, true)?,
        root,
        links: read::Links::new(),
    }))
}

/// One account.
struct Account {
    api: Api,
    root: NodeId,
    links: read::Links,
}

#[async_trait]
impl Drive for Account {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    /// No call of the drive hosts tells who the account is.
    fn account_id(&self) -> Option<String> {
        None
    }

    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        list::page(&self.api, dir, cursor).await
    }

    async fn stat(&self, id: &NodeId) -> Result<Node> {
        list::stat(&self.api, id).await
    }

    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        self.links
            .read(&self.api, Owner::Account, node, range)
            .await
    }

    async fn fingerprint(&self, node: &Node, kind: Kind) -> Result<Option<Known>> {
        if !read::is_given(kind) {
            return Ok(None);
        }
        self.links.md5(&self.api, node).await
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

    async fn save_shared(&self, shared: &Shared, parent: &NodeId, name: &str) -> Result<Node> {
        save::save(&self.api, shared, parent, name).await
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
        conversation: &Conversation<'_>,
    ) -> Result<Node> {
        commit::commit(&self.api, request, session, conversation).await
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        upload::abandon(&self.api, session).await
    }
}

#[cfg(test)]
mod tests;
