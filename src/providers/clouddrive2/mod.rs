//! CloudDrive2, a program that shows many cloud drives as one tree, through its gRPC API (sheet
//! `clouddrive2`).
//!
//! | file | what is in it |
//! |---|---|
//! | `message`, `upload_message` | the messages, field by field |
//! | `codec` | messages on the wire |
//! | `wire` | the connection: budget, breaker and deadline of a call |
//! | `auth` | API token, or a login with user name and password |
//! | `api` | calls with a token, repeated where they may be |
//! | `error` | what a status or a text means |
//! | `names` | paths, which are the ids |
//! | `list` | listings, stat, decoding of entries, quota |
//! | `read` | addresses and ranged reads by HTTP |
//! | `write` | mkdir, rename, move, copy, delete |
//! | `fast` | an upload, from the question to the file |
//! | `channel` | the event channel of all uploads |
//! | `start` | starting an upload, taking one up, cancelling |
//! | `serve` | answering what the server asks |
//! | `ranges` | requests that wait, and what was sent |
//! | `hashing` | answers to hash requests |
//! | `queue` | the server's list of uploads; pause, resume, cancel |
//! | `ledger` | uploads that an earlier run may have left |

mod api;
mod auth;
mod channel;
mod codec;
mod error;
mod fast;
mod hashing;
mod http;
mod ledger;
mod list;
mod message;
mod names;
mod queue;
mod ranges;
mod read;
mod serve;
mod start;
mod upload_message;
mod wire;
mod write;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::drive::{
    Attempt, AuthMode, ByteStream, Calls, Capabilities, Conversation, Cursor, Drive, DriveContext,
    EndpointInfo, FieldInfo, Finds, Gives, GivesWhen, HashesDue, Node, NodeId, Overwrite, Page,
    PartReceipt, ProviderInfo, Question, Quota, Result, Status, UploadRequest, UploadRules,
    UploadSession,
};
use crate::fingerprint::{Kind, Origin};
use crate::net::ClassLimit;

use api::Api;
use channel::Pace;
use start::Uploads;

/// The registry's line.
pub static INFO: ProviderInfo = ProviderInfo {
    key: "clouddrive2",
    display_name: "CloudDrive2",
    auth_modes: &[AuthMode {
        name: "manual_token",
        kind: "account",
        fields: &[
            FieldInfo {
                name: "api_token",
                required: false,
                secret: true,
                default: None,
                help: "an API token made in CloudDrive2's own pages; it or username and password are needed",
            },
            FieldInfo {
                name: "username",
                required: false,
                secret: false,
                default: None,
                help: "e-mail address of the CloudDrive2 account; needed with a password",
            },
            FieldInfo {
                name: "password",
                required: false,
                secret: true,
                default: None,
                help: "password of that account; used when there is no API token",
            },
            FieldInfo {
                name: "totp",
                required: false,
                secret: true,
                default: None,
                help: "six digits for the next login, where two-factor login is on; an API token needs none",
            },
            FieldInfo {
                name: "device_id",
                required: false,
                secret: false,
                default: None,
                help: "the name uploads of this machine have at the server; made once and kept when it is left out",
            },
            FieldInfo {
                name: "listings",
                required: false,
                secret: false,
                default: Some("fresh"),
                help: "fresh: listings ask the provider behind CloudDrive2; cached: its own cache may answer, which spares the provider",
            },
        ],
        capabilities: &CAPABILITIES,
    }],
    endpoints: &[EndpointInfo {
        name: "grpc",
        url: "http://127.0.0.1:19798",
    }],
    status: Status::SimulatorVerified,
    login: None,
    open,
};

/// The API has no limits of its own; those of the providers behind it are the server's business
/// (section 10). So only what is in flight is bounded.
const LIMITS: &[ClassLimit] = &[
    ClassLimit {
        class: "other",
        per_second: 0.0,
        burst: 1,
        concurrency: 8,
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
        concurrency: 16,
    },
];

const fn gives(kind: Kind, origin: Origin) -> Gives {
    Gives {
        kind,
        when: GivesWhen::Sometimes,
        origin,
    }
}

/// Which hash is wanted is the business of the provider behind the path. A challenge of it comes
/// as a request for a small range (section 6).
const fn asks(kinds: &'static [Kind]) -> Question {
    Question {
        kinds,
        range_bytes: 1 << 20,
        min_size: 0,
        max_size: None,
    }
}

static CAPABILITIES: Capabilities = Capabilities {
    gives: &[
        gives(Kind::Sha1, Origin::Provider),
        gives(Kind::Md5, Origin::Provider),
        gives(Kind::Gcid, Origin::UploaderClaim),
    ],
    questions: &[asks(&[Kind::Sha1]), asks(&[Kind::Md5]), asks(&[Kind::Gcid])],
    upload: UploadRules {
        hashes: &[],
        hashes_due: HashesDue::Never,
        resumable: false,
        visible_before_commit: false,
        pulled: true,
        max_size: None,
        empty_files: true,
    },
    overwrite: Overwrite::ByReplace,
    rename: true,
    rename_extension: true,
    move_nodes: true,
    copy: true,
    copy_with_name: false,
    // Only where the provider behind the path has one, and the API does not tell which has.
    trash: false,
    restore: false,
    duplicates: false,
    same_content_same_id: false,
    path_addressed: true,
    stores_mtime: false,
    case_insensitive: false,
    max_name_bytes: names::RULES.max_bytes,
    // A listing is one stream, however long.
    page_size: 0,
    parallel_reads: 4,
    listing_lag_ms: 0,
    calls: Calls {
        link: 1,
        // A look whether the name is free, the start, and the new file twice: until it is shown, and
        // as it is.
        hit: 4,
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
    Ok(Arc::new(CloudDrive2::new(&context, Pace::NORMAL)?))
}

/// A tree of one server.
struct CloudDrive2 {
    api: Arc<Api>,
    root: NodeId,
    links: read::Links,
    uploads: Arc<Uploads>,
    /// Whether listings go past the server's cache.
    fresh: bool,
}

impl CloudDrive2 {
    fn new(context: &DriveContext, pace: Pace) -> Result<CloudDrive2> {
        let fresh = match context.field("listings").trim() {
            "" | "fresh" => true,
            "cached" => false,
            other => {
                return Err(crate::drive::DriveError::new(
                    crate::drive::ErrorKind::Invalid,
                    format!(
                        "profile {}: listings is {other:?}; use fresh or cached",
                        context.profile
                    ),
                ));
            }
        };
        let api = Arc::new(Api::new(context)?);
        Ok(CloudDrive2 {
            root: names::id(&names::normal(context.root.as_deref().unwrap_or_default())),
            links: read::Links::new(),
            uploads: Arc::new(Uploads::new(api.clone(), context, pace)),
            api,
            fresh,
        })
    }
}

#[async_trait]
impl Drive for CloudDrive2 {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    /// Every profile of one server shows the same tree, by the same paths.
    fn account_id(&self) -> Option<String> {
        Some(self.api.wire.authority.clone())
    }

    fn check_name(&self, name: &str) -> Result<()> {
        names::RULES.encode(name).map(drop)
    }

    async fn list(&self, dir: &NodeId, _cursor: Option<Cursor>) -> Result<Page> {
        list::page(&self.api, dir, self.fresh).await
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

    async fn quota(&self) -> Result<Quota> {
        list::quota(&self.api, self.root.as_str()).await
    }

    /// The whole upload: the server decides how much of it is needed.
    async fn fast_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<Attempt> {
        fast::attempt(&self.uploads, request, conversation).await
    }

    async fn open_upload(
        &self,
        _request: &UploadRequest,
        _conversation: &Conversation<'_>,
    ) -> Result<UploadSession> {
        fast::no_parts()
    }

    async fn resume_upload(
        &self,
        _request: &UploadRequest,
        _session: UploadSession,
    ) -> Result<Option<UploadSession>> {
        Ok(None)
    }

    async fn put_part(
        &self,
        _session: &UploadSession,
        _number: u32,
        _bytes: Bytes,
    ) -> Result<PartReceipt> {
        fast::no_parts()
    }

    async fn commit_upload(
        &self,
        _request: &UploadRequest,
        _session: &UploadSession,
        _conversation: &Conversation<'_>,
    ) -> Result<Node> {
        fast::no_parts()
    }

    /// No session of this drive is ever handed out.
    async fn abandon_upload(&self, _session: &UploadSession) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
