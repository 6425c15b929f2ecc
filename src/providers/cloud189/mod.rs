//! Tianyi Cloud (cloud.189.cn) through the door of its PC client, and its shares (sheet `189cloud`).
//!
//! | file | what is in it |
//! |---|---|
//! | `auth` | the session pair and the ways to a new one |
//! | `login` | the log-in page: password, captured cookie |
//! | `rsa` | encryption of the log-in's fields |
//! | `sign` | signatures and encrypted parameters |
//! | `api` | signed calls, one new session and one new signature each |
//! | `answer` | the service's envelopes in JSON and XML |
//! | `error` | what its codes mean |
//! | `times` | its spellings of a time |
//! | `list` | listings, stat, decoding of entries, quota |
//! | `read` | download links and ranged reads |
//! | `task` | batch tasks and their conflicts |
//! | `write` | mkdir, rename, move, copy, trash, restore, taking over from a share |
//! | `fast` | fast upload by MD5, or by MD5 and slice MD5 |
//! | `upload` | streamed uploads in slices |
//! | `commit` | the end of an upload |
//! | `share` | a share as a drive of its own |
//! | `reader` | a share's bytes for somebody who is logged in |
//! | `link` | what a share's link leads to, asked without a log-in |
//! | `names` | names this provider holds |

mod answer;
mod api;
mod auth;
mod commit;
mod error;
mod fast;
mod link;
mod list;
mod login;
mod names;
mod read;
mod reader;
mod rsa;
mod share;
mod sign;
mod task;
mod times;
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
use crate::fingerprint::{Kind, Origin};
use crate::net::ClassLimit;

use api::Api;

/// The registry's line.
pub static INFO: ProviderInfo = ProviderInfo {
    key: "189cloud",
    display_name: "Tianyi Cloud 189",
    auth_modes: &[
        AuthMode {
            name: "web_login_capture",
            kind: "account",
            fields: &[
                FieldInfo {
                    name: "username",
                    required: false,
                    secret: false,
                    default: None,
                    help: "phone number or mail name; needed with a password",
                },
                FieldInfo {
                    name: "password",
                    required: false,
                    secret: true,
                    default: None,
                    help: "password of the account; its device lock must be off",
                },
                FieldInfo {
                    name: "refresh_token",
                    required: false,
                    secret: true,
                    default: None,
                    help: "refreshToken of a PC client's log-in; it, a session or a password is needed",
                },
                FieldInfo {
                    name: "session",
                    required: false,
                    secret: true,
                    default: None,
                    help: "the cookie SSON of open.e.189.cn from a logged-in browser, or the JSON that getSessionForPC answered",
                },
            ],
            capabilities: &CAPABILITIES,
        },
        AuthMode {
            name: "share",
            kind: "share",
            fields: &[
                FieldInfo {
                    name: "share_code",
                    required: true,
                    secret: false,
                    default: None,
                    help: "the link of the share, or the code at its end",
                },
                FieldInfo {
                    name: "access_code",
                    required: false,
                    secret: false,
                    default: None,
                    help: "the share's access code, when it has one",
                },
                FieldInfo {
                    name: "username",
                    required: false,
                    secret: false,
                    default: None,
                    help: "phone number or mail name; with a password, to read the share's files and not only list them",
                },
                FieldInfo {
                    name: "password",
                    required: false,
                    secret: true,
                    default: None,
                    help: "password of an account, to read the share's files and not only list them",
                },
                FieldInfo {
                    name: "refresh_token",
                    required: false,
                    secret: true,
                    default: None,
                    help: "refreshToken of a log-in that no other profile uses, to read the share's files",
                },
                FieldInfo {
                    name: "session",
                    required: false,
                    secret: true,
                    default: None,
                    help: "the cookie SSON of open.e.189.cn, to read the share's files",
                },
            ],
            capabilities: &share::CAPABILITIES,
        },
    ],
    endpoints: &[
        EndpointInfo {
            name: "api",
            url: "https://api.cloud.189.cn",
        },
        EndpointInfo {
            name: "web",
            url: "https://cloud.189.cn",
        },
        EndpointInfo {
            name: "auth",
            url: "https://open.e.189.cn",
        },
        EndpointInfo {
            name: "upload",
            url: "https://upload.cloud.189.cn",
        },
    ],
    status: Status::SimulatorVerified,
    login: None,
    open,
};

/// No limits are published. Three calls at a time, tasks one after the other and 200 to 500 ms
/// between the control calls of an upload are what careful clients keep to (section 10).
const LIMITS: &[ClassLimit] = &[
    ClassLimit {
        class: "list",
        per_second: 4.0,
        burst: 4,
        concurrency: 3,
    },
    ClassLimit {
        class: "link",
        per_second: 4.0,
        burst: 4,
        concurrency: 3,
    },
    ClassLimit {
        class: "control",
        per_second: 4.0,
        burst: 6,
        concurrency: 3,
    },
    ClassLimit {
        class: "task",
        per_second: 4.0,
        burst: 2,
        concurrency: 1,
    },
    ClassLimit {
        class: "other",
        per_second: 4.0,
        burst: 4,
        concurrency: 3,
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

/// Slices of files up to 999 x 10 MiB; larger files have larger slices (section 6.1).
const SLICES: Kind = Kind::SliceMd5 { slice: 10 << 20 };

static CAPABILITIES: Capabilities = Capabilities {
    gives: &[Gives {
        kind: Kind::Md5,
        when: GivesWhen::AtList,
        origin: Origin::Provider,
    }],
    questions: &[
        Question {
            kinds: &[Kind::Md5],
            range_bytes: 0,
            min_size: 0,
            max_size: None,
        },
        Question {
            kinds: &[Kind::Md5, SLICES],
            range_bytes: 0,
            min_size: 0,
            max_size: Some(999 * (10 << 20)),
        },
    ],
    upload: UploadRules {
        // The MD5 over the slices comes from the parts' receipts.
        hashes: &[Kind::Md5],
        hashes_due: HashesDue::AtCommit,
        resumable: true,
        visible_before_commit: false,
        pulled: false,
        max_size: None,
        empty_files: true,
    },
    // A commit can replace, but whether readers never see neither file is not known.
    overwrite: Overwrite::ByReplace,
    rename: true,
    rename_extension: true,
    move_nodes: true,
    copy: true,
    copy_with_name: true,
    trash: true,
    restore: true,
    duplicates: false,
    same_content_same_id: false,
    path_addressed: false,
    stores_mtime: false,
    case_insensitive: false,
    max_name_bytes: 255,
    page_size: list::PAGE_SIZE,
    parallel_reads: 4,
    listing_lag_ms: 0,
    calls: Calls {
        link: 2,
        hit: 3,
        upload: 5,
        copy: 7,
    },
    limits: LIMITS,
    read_only: false,
    shared: false,
    saves_shared: true,
    finds: crate::drive::Finds::NOTHING,
};

fn open(context: DriveContext) -> Result<Arc<dyn Drive>> {
    if context.auth_mode == "share" {
        return share::open(&context);
    }
    let root = match context.root.as_deref() {
        None | Some("" | "/") => api::ROOT,
        Some(id) => id,
    };
    Ok(Arc::new(Cloud189 {
        root: NodeId::new(root),
        api: Api::new(&context)?,
        links: read::Links::new(),
    }))
}

/// One account, its personal cloud.
struct Cloud189 {
    api: Api,
    root: NodeId,
    links: read::Links,
}

#[async_trait]
impl Drive for Cloud189 {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    fn account_id(&self) -> Option<String> {
        self.api.account_id()
    }

    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        list::page(&self.api, dir, cursor).await
    }

    async fn stat(&self, id: &NodeId) -> Result<Node> {
        list::stat(&self.api, id).await
    }

    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        let ask = || read::address(&self.api, node);
        self.links.read(&self.api.client, node, range, ask).await
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
        let ticket = link::Ticket::of(shared)?;
        write::save_shared(&self.api, &shared.node, &ticket, parent, name).await
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
        conversation: &Conversation<'_>,
    ) -> Result<Node> {
        commit::commit(&self.api, request, session, conversation).await
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        commit::abandon(&self.api, session).await
    }
}

#[cfg(test)]
mod bed;
#[cfg(test)]
mod flow_tests;
#[cfg(test)]
mod share_tests;
#[cfg(test)]
mod upload_tests;
