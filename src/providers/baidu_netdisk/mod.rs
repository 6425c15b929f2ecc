//! Baidu Netdisk through its open platform, or with the cookies of a web session (sheet
//! `baidu_netdisk`).
//!
//! | file | what is in it |
//! |---|---|
//! | `auth` | refresh of the single-use refresh token; cookies |
//! | `api` | calls, waiting for other tasks of the account, upload servers |
//! | `answer` | four envelopes, one table of codes |
//! | `paths` | where directories are: writes address by path |
//! | `list` | listings, stat, decoding of entries, quota |
//! | `find` | search, lists by kind and their counts |
//! | `link` | share links |
//! | `login` | log-in flows: a page's code, a code on another device |
//! | `read` | download links, ranged reads, the MD5 that comes with them |
//! | `write` | mkdir, rename, move, copy, trash, and the tasks they may become |
//! | `restore` | back from the recycle bin |
//! | `create` | `precreate`: question and opening of an upload |
//! | `fast` | fast upload by MD5s |
//! | `upload` | streamed uploads in slices |
//! | `names` | names this provider holds |

mod answer;
mod api;
mod auth;
mod create;
mod fast;
mod find;
mod link;
mod list;
mod login;
mod names;
mod paths;
mod read;
mod restore;
mod upload;
mod write;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::drive::{
    Attempt, AuthMode, ByteStream, Calls, Capabilities, Conversation, Cursor, Drive, DriveContext,
    DriveError, EndpointInfo, ErrorKind, FieldInfo, Finds, FoundPage, Gives, GivesWhen, HashesDue,
    LinkWish, MediaCount, MediaKind, Node, NodeId, Overwrite, Page, PartReceipt, ProviderInfo,
    Question, Quota, Result, ShareLink, Status, UploadRequest, UploadRules, UploadSession,
};
use crate::fingerprint::{Kind, Known, Origin};
use crate::net::ClassLimit;

use api::Api;
use read::{Links, Source};

/// The registry's line.
pub static INFO: ProviderInfo = ProviderInfo {
    key: "baidu_netdisk",
    display_name: "Baidu Netdisk",
    auth_modes: &[
        AuthMode {
            name: "official_oauth",
            kind: "account",
            fields: &[
                FieldInfo {
                    name: "client_id",
                    required: true,
                    secret: false,
                    default: None,
                    help: "AppKey of your app at the Baidu Netdisk open platform",
                },
                FieldInfo {
                    name: "app_name",
                    required: false,
                    secret: false,
                    default: None,
                    help: "folder of your app below /apps; for apps that may write nowhere else",
                },
                FieldInfo {
                    name: "app_id",
                    required: false,
                    secret: false,
                    default: None,
                    help: "AppID of the app; share links need it",
                },
                FieldInfo {
                    name: "client_secret",
                    required: true,
                    secret: true,
                    default: None,
                    help: "SecretKey of the app",
                },
                FieldInfo {
                    name: "refresh_token",
                    required: true,
                    secret: true,
                    default: None,
                    help: "refresh token from the authorization of your app (scope basic,netdisk); single-use, do not share it with another program; panfuse token login NAME gets one",
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
            fields: &[FieldInfo {
                name: "cookie",
                required: true,
                secret: true,
                default: None,
                help: "cookies of a signed-in pan.baidu.com: BDUSS=...; STOKEN=...",
            }],
            capabilities: &WITH_COOKIE,
        },
    ],
    endpoints: &[
        EndpointInfo {
            name: "api",
            url: "https://pan.baidu.com",
        },
        EndpointInfo {
            name: "auth",
            url: "https://openapi.baidu.com",
        },
        EndpointInfo {
            name: "pcs",
            url: "https://d.pcs.baidu.com",
        },
        // Another host than that of uploads (sheet section 4.12).
        EndpointInfo {
            name: "recycle",
            url: "https://pcs.baidu.com",
        },
    ],
    status: Status::SimulatorVerified,
    login: Some(&login::LOGIN),
    open,
};

/// The sheet's practical budget (section 10): a listing and a `filemetas` a second; operations on
/// files one at a time; three slices (7.3); few downloads without membership (8).
const LIMITS: &[ClassLimit] = &[
    ClassLimit {
        class: "list",
        per_second: 1.0,
        burst: 3,
        concurrency: 2,
    },
    ClassLimit {
        class: "meta",
        per_second: 1.0,
        burst: 3,
        concurrency: 2,
    },
    ClassLimit {
        class: "mutate",
        per_second: 1.0,
        burst: 3,
        concurrency: 1,
    },
    ClassLimit {
        class: "upload_call",
        per_second: 2.0,
        burst: 4,
        concurrency: 2,
    },
    ClassLimit {
        class: "other",
        per_second: 2.0,
        burst: 4,
        concurrency: 2,
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
        concurrency: 3,
    },
];

const OFFICIAL: Capabilities = Capabilities {
    gives: &[Gives {
        kind: Kind::Md5,
        when: GivesWhen::ExtraCall,
        origin: Origin::Provider,
    }],
    questions: &[
        Question {
            kinds: fast::WITH_BLOCKS,
            range_bytes: fast::HEAD,
            min_size: 0,
            max_size: Some(create::MAX_SMALL),
        },
        Question {
            kinds: fast::ONE_SLICE,
            range_bytes: fast::HEAD,
            min_size: 0,
            max_size: Some(create::SLICE),
        },
    ],
    upload: UploadRules {
        hashes: &[Kind::Md5, Kind::BAIDU_BLOCKS],
        hashes_due: HashesDue::BeforeParts,
        resumable: true,
        visible_before_commit: false,
        pulled: false,
        max_size: Some(create::MAX_FILE),
        empty_files: false,
    },
    overwrite: Overwrite::ByReplace,
    rename: true,
    rename_extension: true,
    move_nodes: true,
    copy: true,
    copy_with_name: true,
    trash: true,
    restore: false,
    duplicates: false,
    same_content_same_id: false,
    path_addressed: false,
    // Whole seconds only, and at upload only.
    stores_mtime: false,
    case_insensitive: false,
    max_name_bytes: 255,
    page_size: list::PAGE_SIZE,
    parallel_reads: 1,
    listing_lag_ms: 0,
    calls: Calls {
        link: 1,
        hit: 3,
        upload: 6,
        copy: 5,
    },
    limits: LIMITS,
    read_only: false,
    shared: false,
    saves_shared: false,
    finds: Finds {
        search: true,
        media: find::KINDS,
        links: true,
    },
};

static CAPABILITIES: Capabilities = OFFICIAL;

/// With the cookies of a web session a question takes a proof, and trashed files come back.
static WITH_COOKIE: Capabilities = Capabilities {
    questions: &[
        Question {
            kinds: fast::WITH_BLOCKS,
            range_bytes: fast::HEAD + fast::PROOF,
            min_size: 0,
            max_size: Some(create::MAX_SMALL),
        },
        Question {
            kinds: fast::ONE_SLICE,
            range_bytes: fast::HEAD + fast::PROOF,
            min_size: 0,
            max_size: Some(create::SLICE),
        },
    ],
    restore: true,
    // Links are a service of apps.
    finds: Finds {
        links: false,
        ..OFFICIAL.finds
    },
    ..OFFICIAL
};

fn open(context: DriveContext) -> Result<Arc<dyn Drive>> {
    let capabilities = INFO
        .auth_modes
        .iter()
        .find(|mode| mode.name == context.auth_mode)
        .map(|mode| mode.capabilities)
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
        None | Some("root" | "") => list::ROOT.to_owned(),
        Some(root) => root.to_owned(),
    };
    Ok(Arc::new(BaiduNetdisk {
        capabilities,
        root: NodeId::new(root),
        source: Arc::new(Source {
            api: Api::new(context)?,
            links: Links::new(),
        }),
    }))
}

/// One account.
struct BaiduNetdisk {
    capabilities: &'static Capabilities,
    root: NodeId,
    source: Arc<Source>,
}

impl BaiduNetdisk {
    fn api(&self) -> &Api {
        &self.source.api
    }
}

#[async_trait]
impl Drive for BaiduNetdisk {
    fn capabilities(&self) -> &Capabilities {
        self.capabilities
    }

    fn root(&self) -> NodeId {
        self.root.clone()
    }

    fn account_id(&self) -> Option<String> {
        self.api().account_id()
    }

    async fn list(&self, dir: &NodeId, cursor: Option<Cursor>) -> Result<Page> {
        list::page(self.api(), dir, cursor).await
    }

    async fn stat(&self, id: &NodeId) -> Result<Node> {
        list::stat(self.api(), id, &self.root).await
    }

    async fn read(&self, node: &Node, range: Range<u64>) -> Result<ByteStream> {
        read::read(&self.source, node, range).await
    }

    async fn fingerprint(&self, node: &Node, kind: Kind) -> Result<Option<Known>> {
        match kind {
            Kind::Md5 => self.source.links.md5(self.api(), node).await,
            _ => Ok(None),
        }
    }

    async fn mkdir(&self, parent: &NodeId, name: &str) -> Result<Node> {
        write::mkdir(self.api(), parent, name).await
    }

    async fn rename(&self, node: &Node, name: &str) -> Result<Node> {
        write::rename(self.api(), node, name).await
    }

    async fn move_to(&self, node: &Node, parent: &NodeId) -> Result<Node> {
        write::move_to(self.api(), node, parent).await
    }

    async fn copy(&self, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
        write::copy(self.api(), node, parent, name).await
    }

    async fn trash(&self, node: &Node) -> Result<()> {
        write::trash(self.api(), node).await
    }

    async fn restore(&self, node: &Node) -> Result<Node> {
        if !self.capabilities.restore {
            return Err(DriveError::unsupported("restore"));
        }
        restore::restore(self.api(), node).await
    }

    async fn search(&self, dir: &NodeId, key: &str, cursor: Option<Cursor>) -> Result<FoundPage> {
        find::search(self.api(), &self.root, dir, key, cursor).await
    }

    async fn media(
        &self,
        dir: &NodeId,
        kind: MediaKind,
        cursor: Option<Cursor>,
    ) -> Result<FoundPage> {
        find::media(self.api(), &self.root, dir, kind, cursor).await
    }

    async fn media_counts(&self, dir: &NodeId) -> Result<Vec<MediaCount>> {
        find::counts(self.api(), &self.root, dir).await
    }

    async fn share_link(&self, node: &Node, wish: &LinkWish) -> Result<ShareLink> {
        if !self.capabilities.finds.links {
            return Err(DriveError::unsupported("making a share link with cookies"));
        }
        link::create(self.api(), node, wish).await
    }

    async fn quota(&self) -> Result<Quota> {
        list::quota(self.api()).await
    }

    async fn fast_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<Attempt> {
        fast::attempt(self.api(), request, conversation).await
    }

    async fn open_upload(
        &self,
        request: &UploadRequest,
        conversation: &Conversation<'_>,
    ) -> Result<UploadSession> {
        upload::open(self.api(), request, conversation).await
    }

    async fn resume_upload(
        &self,
        request: &UploadRequest,
        session: UploadSession,
    ) -> Result<Option<UploadSession>> {
        upload::resume(self.api(), request, session).await
    }

    async fn put_part(
        &self,
        session: &UploadSession,
        number: u32,
        bytes: Bytes,
    ) -> Result<PartReceipt> {
        upload::put_part(self.api(), session, number, bytes).await
    }

    async fn commit_upload(
        &self,
        request: &UploadRequest,
        session: &UploadSession,
        _conversation: &Conversation<'_>,
    ) -> Result<Node> {
        upload::commit(self.api(), request, session).await
    }

    async fn abandon_upload(&self, session: &UploadSession) -> Result<()> {
        upload::abandon(self.api(), session).await
    }
}

#[cfg(test)]
mod flow_tests;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod upload_tests;
