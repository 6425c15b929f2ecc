//! What the suite must know of each provider beyond its capabilities: how its simulator names
//! the operations, and how to make its parts small.

use panfuse::drive::Question;
use panfuse::fingerprint::Kind;
use panfuse::sim::FaultKind;
use serde_json::Value;

/// One provider.
pub struct Spec {
    /// Registry key; with `/share` behind it for the share of a provider, with `/cookie` for an
    /// account by its cookies where that is the other way in.
    pub key: &'static str,
    /// Name of the simulator in its world; empty for a directory of this machine.
    pub short: &'static str,
    /// Whether the drive is what a share link shows, not an account.
    pub share: bool,
    /// Whether the bytes of files are handed out to it.
    pub reads: bool,
    /// Operation of a listing page.
    pub list: &'static str,
    /// Operation that names a download link.
    pub link: &'static str,
    /// Operation of a download.
    pub download: &'static str,
    /// Operation of a part of a streamed upload.
    pub part: &'static str,
    /// Operation that commits a streamed upload.
    pub commit: &'static str,
    /// The fault by which that operation is refused for good.
    pub refusal: (FaultKind, &'static str),
    /// Settings of the simulator.
    pub knobs: &'static [(&'static str, &'static str)],
    /// Part size of an upload of a few parts, with those settings.
    pub part_size: u64,
    /// Uploads up to this size go in one request, without parts.
    pub single: u64,
    /// The simulator's setting for the space of an account.
    pub space: &'static str,
    /// Whether the parts of a streamed upload travel in one request.
    pub piped: bool,
    /// The secret that a refresh brings anew.
    pub secret: &'static str,
    /// Whether a refresh brings another refresh token.
    pub rotates: bool,
    /// Life of an access token in milliseconds, 0 without tokens.
    pub token_ms: i64,
    /// Open uploads that no call can end, as the simulator tells them: the provider forgets them
    /// by itself, and nobody sees them meanwhile.
    pub lasting: fn(&Value) -> bool,
    /// Whether part addresses are links of their own that expire.
    pub part_links: bool,
    /// Whether the provider makes a file of what was stored without being told to.
    pub takes_in: bool,
    /// Whether requests are signed with the time of this machine, which no test can move.
    pub wall_clock: bool,
    /// Whether directories are there by what is in them.
    pub implied_dirs: bool,
    /// Whether a listing is a stream of messages, so that an empty one is not all of it.
    pub streamed: bool,
    /// What the drive's ids are.
    pub ids: Ids,
    /// The setting for what a server that asks by itself wants, and its value for a question.
    pub asks: Option<(&'static str, fn(&Question) -> &'static str)>,
}

/// What ids are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Names that the server gives.
    OfServer,
    /// The path below the root, its names percent-encoded.
    EncodedPath,
    /// The path from the server's top on.
    Path,
}

/// A spec that says as little as can be said: what is usual.
const PLAIN: Spec = Spec {
    key: "",
    short: "",
    share: false,
    reads: true,
    list: "",
    link: "",
    download: "",
    part: "",
    commit: "",
    refusal: (FaultKind::CommitFail, ""),
    knobs: &[],
    part_size: 8 << 20,
    single: 0,
    space: "",
    piped: false,
    secret: "access_token",
    rotates: false,
    token_ms: 0,
    lasting: |_| false,
    part_links: false,
    takes_in: false,
    wall_clock: false,
    implied_dirs: false,
    streamed: false,
    ids: Ids::OfServer,
    asks: None,
};

/// Small parts, and tasks that are polled without a pause worth the name.
const QUARK_KNOBS: &[(&str, &str)] = &[("part_size", "1048576"), ("tq_gap_ms", "10")];

/// Life of `__puus` (sheet quark, 2.1).
const QUARK_TOKEN_MS: i64 = 3 * 3_600_000;

/// Batch tasks that are done soon.
const CLOUD189_KNOBS: &[(&str, &str)] = &[("task_polls", "1"), ("task_ms", "10")];

/// Life of an access token (sheet 189cloud, 2.6).
const CLOUD189_TOKEN_MS: i64 = 7 * 86_400_000;

const QUARK: Spec = Spec {
    key: "quark",
    short: "quark",
    list: "list",
    link: "link",
    download: "download",
    part: "part",
    commit: "finish",
    // The upload is gone (31003).
    refusal: (FaultKind::CommitFail, ""),
    knobs: QUARK_KNOBS,
    part_size: 1 << 20,
    single: 0,
    space: "total_size",
    secret: "cookie",
    rotates: false,
    token_ms: QUARK_TOKEN_MS,
    // "Abort: none known" (sheet quark, 7).
    lasting: |_| true,
    ..PLAIN
};

const BAIDU: Spec = Spec {
    key: "baidu_netdisk",
    short: "baidu",
    list: "list",
    link: "link",
    download: "download",
    part: "upload_part",
    commit: "create",
    // The slices do not make a file (10).
    refusal: (FaultKind::CommitFail, ""),
    knobs: &[],
    part_size: 4 << 20,
    single: 0,
    space: "total_size",
    secret: "access_token",
    rotates: true,
    token_ms: 30 * 86_400_000,
    // "Abort: none; unfinished sessions expire" (sheet baidu_netdisk, 7.3).
    lasting: |_| true,
    ..PLAIN
};

const CLOUD_189: Spec = Spec {
    key: "189cloud",
    short: "189",
    list: "list",
    link: "link",
    download: "download",
    part: "part",
    commit: "complete",
    // The assembled file is not what was declared.
    refusal: (FaultKind::CommitFail, ""),
    knobs: CLOUD189_KNOBS,
    // The driver's table of slices is the provider's (sheet 189cloud, 6.1).
    part_size: 10 << 20,
    single: 0,
    space: "total_size",
    secret: "access_token",
    // A session is made for the access token; the refresh token is for when that ends.
    rotates: false,
    token_ms: CLOUD189_TOKEN_MS,
    // No call ends an upload: what is left is forgotten (sheet 189cloud, 7).
    lasting: |_| true,
    part_links: true,
    ..PLAIN
};

const PAN115: Spec = Spec {
    key: "115_open",
    short: "115",
    list: "list",
    link: "download_link",
    download: "download",
    part: "oss_part",
    commit: "oss_complete",
    refusal: (FaultKind::CommitFail, ""),
    knobs: &[],
    part_size: 16 << 20,
    single: 0,
    space: "total_size",
    secret: "access_token",
    rotates: true,
    token_ms: 30 * 86_400_000,
    // An upload task of the store's pick code; there is no call to cancel one (section 6).
    lasting: |upload| upload["kind"] == "task",
    ..PLAIN
};

const SPECS: &[Spec] = &[
    PAN115,
    Spec {
        key: "115_open/cookie",
        secret: "cookie",
        rotates: false,
        // Nothing renews cookies (sheet 115_open, 2.2).
        token_ms: 0,
        ..PAN115
    },
    Spec {
        key: "aliyundrive_open",
        short: "ali",
        list: "list",
        link: "link",
        download: "download",
        part: "upload_part",
        commit: "complete",
        refusal: (FaultKind::CommitFail, ""),
        knobs: &[],
        part_size: 16 << 20,
        single: 0,
        space: "total_size",
        secret: "access_token",
        rotates: true,
        token_ms: 7_200_000,
        part_links: true,
        ..PLAIN
    },
    Spec {
        key: "123_open",
        short: "123",
        list: "list",
        link: "link",
        download: "download",
        part: "upload_part",
        commit: "complete",
        refusal: (FaultKind::CommitFail, ""),
        knobs: &[("slice_size", "1048576")],
        part_size: 1 << 20,
        single: 0,
        space: "total_size",
        secret: "access_token",
        rotates: false,
        token_ms: 30 * 86_400_000,
        // "Abort: no call" (section 7.4).
        lasting: |_| true,
        ..PLAIN
    },
    Spec {
        key: "pikpak",
        short: "pikpak",
        list: "list",
        link: "download_link",
        download: "download",
        part: "oss_part",
        commit: "oss_complete",
        // The callback fails (203): the bytes are stored, and the service does not take them.
        refusal: (FaultKind::CommitFail, ""),
        knobs: &[],
        part_size: 8 << 20,
        single: 16 << 20,
        space: "quota_limit",
        secret: "access_token",
        rotates: true,
        token_ms: 7_200_000,
        ..PLAIN
    },
    CLOUD_189,
    Spec {
        key: "189cloud/share",
        share: true,
        // "Download from a share without saving: logged in" (sheet 189cloud, 4.8).
        reads: false,
        token_ms: 0,
        part_links: false,
        ..CLOUD_189
    },
    QUARK,
    Spec {
        key: "quark/share",
        share: true,
        list: "share_list",
        ..QUARK
    },
    Spec {
        key: "uc",
        short: "uc",
        ..QUARK
    },
    Spec {
        key: "uc/share",
        short: "uc",
        share: true,
        list: "share_list",
        ..QUARK
    },
    BAIDU,
    Spec {
        key: "baidu_netdisk/cookie",
        knobs: &[("web_params", "required")],
        secret: "cookie",
        rotates: false,
        // Cookies are not renewed (sheet baidu_netdisk, 2.5).
        token_ms: 0,
        ..BAIDU
    },
    Spec {
        key: "guangya",
        short: "guangya",
        list: "list",
        link: "link",
        download: "download",
        part: "oss_part",
        commit: "oss_complete",
        // The service does not take what is stored (203).
        refusal: (FaultKind::CommitFail, ""),
        knobs: &[("task_ms", "10"), ("import_ms", "10")],
        part_size: 1 << 20,
        single: 1 << 20,
        space: "total_size",
        secret: "access_token",
        rotates: true,
        token_ms: 7_200_000,
        takes_in: true,
        ..PLAIN
    },
    Spec {
        key: "xunlei",
        short: "xunlei",
        list: "list",
        link: "download_link",
        download: "download",
        part: "oss_part",
        commit: "oss_complete",
        refusal: (FaultKind::CommitFail, ""),
        knobs: &[],
        part_size: 8 << 20,
        single: 16 << 20,
        space: "quota_limit",
        secret: "access_token",
        rotates: true,
        token_ms: 43_200_000,
        ..PLAIN
    },
    Spec {
        key: "clouddrive2",
        short: "cd2",
        list: "list",
        link: "link",
        download: "download",
        // The server fetches: what it asks for comes in these.
        part: "read_data",
        commit: "commit",
        refusal: (FaultKind::CommitFail, "fatal:file name not allowed"),
        // No piece is so small that a cut comes after it.
        knobs: &[("read_size", "600000"), ("challenges", "1")],
        part_size: 1 << 20,
        single: 0,
        space: "total_size",
        secret: "access_token",
        rotates: false,
        token_ms: 86_400_000,
        streamed: true,
        ids: Ids::Path,
        // By the numbers of the hash types (sheet clouddrive2, 5).
        asks: Some(("needs", |question| match question.kinds {
            [Kind::Md5] => "1",
            [Kind::Sha1] => "2",
            _ => "3",
        })),
        ..PLAIN
    },
    Spec {
        key: "lark_drive",
        short: "lark",
        list: "list",
        // There are no links: files are read at their address.
        link: "",
        download: "download",
        part: "upload_part",
        commit: "upload_finish",
        refusal: (FaultKind::CommitFail, ""),
        // More than half of what goes by one call, so that three parts are not one.
        knobs: &[("part_size", "11534336"), ("task_polls", "0")],
        part_size: 11 << 20,
        single: 20 << 20,
        space: "total_size",
        secret: "access_token",
        rotates: true,
        token_ms: 7_200_000,
        // "Abort: none; let it expire" (sheet lark_drive, 7.2).
        lasting: |_| true,
        ..PLAIN
    },
    Spec {
        key: "s3",
        short: "s3",
        list: "list",
        link: "",
        download: "download",
        part: "part",
        commit: "commit",
        refusal: (FaultKind::CommitFail, ""),
        knobs: &[],
        part_size: 8 << 20,
        single: 16 << 20,
        space: "total_size",
        secret: "secret_access_key",
        rotates: false,
        token_ms: 0,
        wall_clock: true,
        implied_dirs: true,
        ids: Ids::EncodedPath,
        ..PLAIN
    },
    Spec {
        key: "webdav",
        short: "webdav",
        list: "list",
        // There are no links: files are read at their address.
        link: "",
        download: "download",
        part: "put",
        commit: "move",
        refusal: (FaultKind::Errno, "400"),
        knobs: &[],
        part_size: 8 << 20,
        single: 16 << 20,
        space: "total_size",
        piped: true,
        secret: "password",
        rotates: false,
        token_ms: 0,
        ids: Ids::EncodedPath,
        ..PLAIN
    },
    Spec {
        key: "local",
        short: "",
        list: "",
        link: "",
        download: "",
        part: "",
        commit: "",
        refusal: (FaultKind::CommitFail, ""),
        knobs: &[],
        part_size: 8 << 20,
        single: 0,
        space: "",
        secret: "access_token",
        rotates: false,
        token_ms: 0,
        ..PLAIN
    },
];

impl Spec {
    /// Registry key of the provider.
    pub fn provider(&self) -> &'static str {
        self.key.split_once('/').map_or(self.key, |(key, _)| key)
    }

    /// Profile name of the simulator's first account, of its share, or with its cookies.
    pub fn profile(&self) -> String {
        match self.key.split_once('/') {
            Some((_, way)) => format!("{}-{way}", self.short),
            None => self.short.to_owned(),
        }
    }
}

/// The line of a provider.
pub fn of(key: &str) -> &'static Spec {
    SPECS
        .iter()
        .find(|spec| spec.key == key)
        .unwrap_or_else(|| panic!("the conformance suite does not know {key}"))
}
