//! 115 through its open platform, or with the cookies of a web session (sheet `115_open`).
//!
//! | file | what is in it |
//! |---|---|
//! | `door` | what the two modes say differently |
//! | `auth` | open mode: refresh of the single-use refresh token |
//! | `login` | open mode: log-in by scanning a QR picture with the app |
//! | `api` | how a call is sent; open mode: calls with one mutation at a time |
//! | `official` | open mode: its names for what both do |
//! | `list` | open mode: listings, stat, decoding of entries, quota |
//! | `cookie` | cookie mode: its calls and their encodings |
//! | `errors` | envelopes, block signals, codes |
//! | `nodes` | what an entry becomes, look-ups in directories |
//! | `keys` | session keys of the object store |
//! | `read` | download links and ranged reads |
//! | `write` | mkdir, rename, move, copy, trash, restore |
//! | `fast` | fast upload by SHA-1 with a proof of ownership |
//! | `upload` | streamed uploads into the object store |
//! | `names` | names this provider holds |

mod api;
mod auth;
mod cookie;
mod door;
mod errors;
mod fast;
mod keys;
mod list;
mod login;
mod names;
mod nodes;
mod official;
mod read;
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
use door::Door;

/// The registry's line.
pub static INFO: ProviderInfo = ProviderInfo {
    key: "115_open",
    display_name: "115",
    auth_modes: &[
        AuthMode {
            name: "official_oauth",
            kind: "account",
            fields: &[
                FieldInfo {
                    name: "client_id",
                    required: false,
                    secret: false,
                    default: None,
                    help: "app id the tokens are made with; panfuse token login needs it, no other call does",
                },
                FieldInfo {
                    name: "refresh_token",
                    required: true,
                    secret: true,
                    default: None,
                    help: "refresh token from the authorization of an app at the 115 open platform; single-use, do not share it with another program; panfuse token login NAME --device gets one",
                },
                FieldInfo {
                    name: "access_token",
                    required: false,
                    secret: true,
                    default: None,
                    help: "a still valid access token, to save the first refresh",
                },
            ],
            capabilities: &CAPABILITIES,
        },
        AuthMode {
            name: "manual_cookie",
            kind: "account",
            fields: &[
                FieldInfo {
                    name: "download_key",
                    required: false,
                    secret: false,
                    default: None,
                    help: "only for a stand-in server: its 1024-bit RSA modulus in hex, in place of 115's own",
                },
                FieldInfo {
                    name: "upload_key",
                    required: false,
                    secret: false,
                    default: None,
                    help: "only for a stand-in server: its public point on P-224 in hex (X and Y), in place of 115's own",
                },
                FieldInfo {
                    name: "cookie",
                    required: true,
                    secret: true,
                    default: None,
                    help: "cookies of a signed-in 115 client: UID=...; CID=...; SEID=...; KID=...; best of a device kind that you do not use otherwise",
                },
            ],
            capabilities: &cookie::CAPABILITIES,
        },
    ],
    endpoints: &[
        EndpointInfo {
            name: "api",
            url: "https://proapi.115.com",
        },
        EndpointInfo {
            name: "passport",
            url: "https://passportapi.115.com",
        },
        // Where a log-in asks whether its QR picture was scanned.
        EndpointInfo {
            name: "qr",
            url: "https://qrcodeapi.115.com",
        },
        EndpointInfo {
            name: "web",
            url: "https://webapi.115.com",
        },
        EndpointInfo {
            name: "upload",
            url: "https://uplb.115.com",
        },
        EndpointInfo {
            name: "oss",
            url: "https://oss-cn-shenzhen.aliyuncs.com",
        },
    ],
    status: Status::SimulatorVerified,
    login: Some(&login::LOGIN),
    open,
};

/// No official numbers (sheet section 10.4): practice is one to two calls a second per account,
/// a second between link calls, and mutations one at a time.
const LIMITS: &[ClassLimit] = &[
    ClassLimit {
        class: "api",
        per_second: 1.5,
        burst: 10,
        concurrency: 3,
    },
    ClassLimit {
        class: "link",
        per_second: 0.9,
        burst: 2,
        concurrency: 1,
    },
    ClassLimit {
        class: "mutate",
        per_second: 1.0,
        burst: 4,
        concurrency: 1,
    },
    ClassLimit {
        class: "download",
        per_second: 0.0,
        burst: 1,
        concurrency: 10,
    },
    ClassLimit {
        class: "upload",
        per_second: 0.0,
        burst: 1,
        concurrency: 4,
    },
];

const OFFICIAL: Capabilities = Capabilities {
    gives: &[Gives {
        kind: Kind::Sha1,
        when: GivesWhen::AtList,
        origin: Origin::Provider,
    }],
    questions: &[Question {
        kinds: &[Kind::Sha1],
        range_bytes: fast::RANGE_BYTES,
        min_size: 0,
        max_size: Some(fast::MAX_SIZE),
    }],
    upload: UploadRules {
        hashes: &[Kind::Sha1],
        hashes_due: HashesDue::BeforeParts,
        resumable: true,
        visible_before_commit: false,
        pulled: false,
        max_size: Some(fast::MAX_SIZE),
        empty_files: true,
    },
    overwrite: Overwrite::ByReplace,
    rename: true,
    rename_extension: false,
    move_nodes: true,
    copy: true,
    copy_with_name: false,
    trash: true,
    restore: true,
    duplicates: true,
    same_content_same_id: true,
    path_addressed: false,
    stores_mtime: false,
    case_insensitive: false,
    max_name_bytes: 255,
    page_size: list::PAGE_SIZE,
    parallel_reads: 2,
    listing_lag_ms: 2000,
    calls: Calls {
        link: 1,
        hit: 3,
        upload: 3,
        copy: 4,
    },
    limits: LIMITS,
    read_only: false,
    shared: false,
    saves_shared: false,
    finds: crate::drive::Finds::NOTHING,
};

static CAPABILITIES: Capabilities = OFFICIAL;

fn open(context: DriveContext) -> Result<Arc<dyn Drive>> {
    let mode = INFO
        .auth_modes
        .iter()
        .find(|mode| mode.name == context.auth_mode)
        .ok_or_else(|| {
            DriveError::new(
                ErrorKind::Invalid,
                format!(
                    "profile {}: auth_mode {:?} is not offered; use official_oauth or manual_cookie",
                    context.profile, context.auth_mode
                ),
            )
        })?;
    // Profiles written for several providers say `root`.
    let root = match context.root.as_deref() {
        None | Some("root") => nodes::ROOT.to_owned(),
        Some(root) => root.to_owned(),
    };
    let door: Box<dyn Door> = match mode.name {
        "manual_cookie" => Box::new(cookie::open(context)?),
        _ => Box::new(Api::new(context)?),
    };
    Ok(Arc::new(Pan115 {
        capabilities: mode.capabilities,
        door,
        root: NodeId::new(root),
        links: read::Links::new(),
    }))
}

/// One account.
struct Pan115 {
    capabilities: &'static Capabilities,
    door: Box<dyn Door>,
    root: NodeId,
    links: read::Links,
}

impl Pan115 {
    fn door(&self) -> &dyn Door {
        self.door.as_ref()
    }
}

#[async_trait]
impl Drive for Pan115 {
    fn capabilities(&self) -> &Capabilities {
        self.capabilities
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    fn account_id(&self) -> Option<String> {
        self.door.account_id()
    }

    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        self.door.page(dir, cursor).await
    }

    async fn stat(&self, id: &NodeId) -> Result<Node> {
        nodes::stat(self.door(), id).await
    }

    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        self.links.read(self.door(), node, range).await
    }

    async fn mkdir(&self, parent: &NodeId, name: &str) -> Result<Node> {
        write::mkdir(self.door(), parent, name).await
    }

    async fn rename(&self, node: &Node, name: &str) -> Result<Node> {
        write::rename(self.door(), node, name).await
    }

    async fn move_to(&self, node: &Node, parent: &NodeId) -> Result<Node> {
        write::move_to(self.door(), node, parent).await
    }

    async fn copy(&self, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
        write::copy(self.door(), node, parent, name).await
    }

    async fn trash(&self, node: &Node) -> Result<()> {
        write::trash(self.door(), node).await
    }

    async fn restore(&self, node: &Node) -> Result<Node> {
        write::restore(self.door(), node).await
    }

    async fn quota(&self) -> Result<Quota> {
        self.door.quota().await
    }

    async fn fast_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<Attempt> {
        fast::attempt(self.door(), request, conversation).await
    }

    async fn open_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<UploadSession> {
        upload::open(self.door(), request, conversation).await
    }

    async fn resume_upload(
        &self,
        request: &UploadRequest,
        session: UploadSession,
    ) -> Result<Option<UploadSession>> {
        upload::resume(self.door(), request, session).await
    }

    async fn put_part(
        &self,
        session: &UploadSession,
        number: u32,
        bytes: Bytes,
    ) -> Result<PartReceipt> {
        upload::put_part(self.door(), session, number, bytes).await
    }

    async fn commit_upload(
        &self,
        request: &UploadRequest,
        session: &UploadSession,
        conversation: &Conversation<'_>,
    ) -> Result<Node> {
        upload::commit(self.door(), request, session, conversation).await
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        upload::abandon(self.door(), session).await
    }
}

#[cfg(test)]
mod flow_tests;
