//! A provider for tests: its drive lists what its fields say.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use crate::drive::{
    Attempt, AuthMode, ByteStream, Calls, Capabilities, Conversation, Cursor, Drive, DriveContext,
    DriveError, EndpointInfo, ErrorKind, FieldInfo, HashesDue, Node, NodeId, Overwrite, Page,
    PartReceipt, ProviderInfo, Quota, Result, Status, UploadRequest, UploadRules, UploadSession,
};
use crate::net::ClassLimit;

const fn field(name: &'static str, required: bool, secret: bool, help: &'static str) -> FieldInfo {
    FieldInfo {
        name,
        required,
        secret,
        default: None,
        help,
    }
}

static CAPABILITIES: Capabilities = Capabilities {
    gives: &[],
    questions: &[],
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
    trash: true,
    restore: true,
    duplicates: false,
    same_content_same_id: false,
    path_addressed: false,
    stores_mtime: false,
    case_insensitive: false,
    max_name_bytes: 255,
    page_size: 100,
    parallel_reads: 4,
    listing_lag_ms: 0,
    calls: Calls::NONE,
    limits: &[ClassLimit {
        class: "list",
        per_second: 4.0,
        burst: 2,
        concurrency: 2,
    }],
    read_only: false,
    shared: false,
    saves_shared: false,
    finds: crate::drive::Finds::NOTHING,
};

/// A provider with every kind of auth mode. Field `mood` = `angry` makes listings fail.
pub(crate) static FAKE: ProviderInfo = ProviderInfo {
    key: "fake",
    display_name: "Fake Drive",
    auth_modes: &[
        AuthMode {
            name: "official_oauth",
            kind: "account",
            fields: &[
                field("client_id", true, false, "the app's id, from its page"),
                FieldInfo {
                    default: Some("default"),
                    ..field("drive_type", false, false, "which drive")
                },
                field("mood", false, false, "angry makes listings fail"),
                field("refresh_token", true, true, "from the log-in"),
            ],
            capabilities: &CAPABILITIES,
        },
        AuthMode {
            name: "manual_cookie",
            kind: "account",
            fields: &[field("cookie", true, true, "from the browser")],
            capabilities: &CAPABILITIES,
        },
        AuthMode {
            name: "manual_token",
            kind: "account",
            fields: &[
                field("password", false, true, "the password"),
                field("session", false, true, "from the browser"),
            ],
            capabilities: &CAPABILITIES,
        },
        AuthMode {
            name: "share",
            kind: "share",
            fields: &[field("share_code", true, false, "from the link")],
            capabilities: &CAPABILITIES,
        },
    ],
    endpoints: &[
        EndpointInfo {
            name: "api",
            url: "https://api.fake.example",
        },
        EndpointInfo {
            name: "oss",
            url: "",
        },
    ],
    status: Status::SimulatorVerified,
    login: None,
    open: |context| Ok(Arc::new(FakeDrive(context))),
};

/// A registry with nothing else.
pub(crate) static REGISTRY: &[&ProviderInfo] = &[&FAKE];

struct FakeDrive(DriveContext);

fn no<T>() -> Result<T> {
    Err(DriveError::unsupported("this"))
}

#[async_trait]
impl Drive for FakeDrive {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }
    fn root(&self) -> NodeId {
        NodeId::new(self.0.root.clone().unwrap_or_else(|| "0".to_owned()))
    }
    fn account_id(&self) -> Option<String> {
        Some("user-77".to_owned())
    }
    async fn list(&self, _: &NodeId, _: Option<Cursor>) -> Result<Page> {
        if self.0.field("mood") == "angry" {
            return Err(DriveError::new(ErrorKind::Auth, "token expired"));
        }
        // What it was opened with, as the account and as names.
        Ok(Page::default())
    }
    async fn stat(&self, _: &NodeId) -> Result<Node> {
        // The context, so that tests see what the driver was given.
        Err(DriveError::new(
            ErrorKind::NotFound,
            format!(
                "{} {} {:?} {:?} {:?} {}",
                self.0.profile,
                self.0.auth_mode,
                self.0.fields,
                self.0.endpoints,
                self.0.overridden,
                self.0.account
            ),
        ))
    }
    async fn read(&self, _: &Node, _: Range<u64>) -> Result<ByteStream> {
        no()
    }
    async fn mkdir(&self, _: &NodeId, _: &str) -> Result<Node> {
        no()
    }
    async fn rename(&self, _: &Node, _: &str) -> Result<Node> {
        no()
    }
    async fn move_to(&self, _: &Node, _: &NodeId) -> Result<Node> {
        no()
    }
    async fn copy(&self, _: &Node, _: &NodeId, _: &str) -> Result<Node> {
        no()
    }
    async fn trash(&self, _: &Node) -> Result<()> {
        no()
    }
    async fn quota(&self) -> Result<Quota> {
        Ok(Quota { total: 10, used: 1 })
    }
    async fn fast_upload(&self, _: &UploadRequest, _: &Conversation<'_>) -> Result<Attempt> {
        no()
    }
    async fn open_upload(&self, _: &UploadRequest, _: &Conversation<'_>) -> Result<UploadSession> {
        no()
    }
    async fn resume_upload(
        &self,
        _: &UploadRequest,
        _: UploadSession,
    ) -> Result<Option<UploadSession>> {
        no()
    }
    async fn put_part(&self, _: &UploadSession, _: u32, _: bytes::Bytes) -> Result<PartReceipt> {
        no()
    }
    async fn commit_upload(
        &self,
        _: &UploadRequest,
        _: &UploadSession,
        _: &Conversation<'_>,
    ) -> Result<Node> {
        no()
    }
    async fn abandon_upload(&self, _: &UploadSession) -> Result<()> {
        no()
    }
}
