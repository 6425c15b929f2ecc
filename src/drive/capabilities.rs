//! What a drive can do, as data. The planner decides from it and from nothing else; the
//! conformance suite checks that what is declared is what is observed.

use serde::Serialize;

use super::{Cost, Finds};
use crate::fingerprint::{Kind, Origin};
use crate::net::ClassLimit;

/// When a drive tells a fingerprint of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GivesWhen {
    /// In listings.
    AtList,
    /// In listings, of files whose bytes have passed through this machine (`local`).
    OnceComputed,
    /// In listings of some files: whoever keeps them behind this provider decides.
    Sometimes,
    /// By one extra call per file.
    ExtraCall,
}

/// A fingerprint a drive gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gives {
    /// Which.
    pub kind: Kind,
    /// When.
    pub when: GivesWhen,
    /// Who computed it: [`Origin::Provider`] or [`Origin::UploaderClaim`].
    pub origin: Origin,
}

/// One way to ask for a fast upload: all of `kinds` together, and small ranges of the content.
/// A drive lists its ways in the order it tries them; any of them suffices.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Fingerprints that are sent.
    pub kinds: &'static [Kind],
    /// Most bytes of the content it may read for proofs (server-named ranges, token-dependent bytes).
    pub range_bytes: u64,
    /// Smallest content this way is open for.
    pub min_size: u64,
    /// Largest content this way is open for; `None` for any.
    pub max_size: Option<u64>,
}

impl Question {
    /// Whether a content of `size` bytes can be asked for this way.
    pub fn takes(&self, size: u64) -> bool {
        size >= self.min_size && self.max_size.is_none_or(|max| size <= max)
    }
}

/// When the hashes of a streamed upload are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HashesDue {
    /// Never: the provider computes its own.
    Never,
    /// Before the first byte.
    BeforeParts,
    /// At commit: one pass over the content suffices.
    AtCommit,
}

/// Rules of streamed uploads.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadRules {
    /// Hashes an upload must bring, with `hashes_due`.
    pub hashes: &'static [Kind],
    /// When they are due.
    pub hashes_due: HashesDue,
    /// Whether a session survives a restart ([`super::Drive::resume_upload`]).
    pub resumable: bool,
    /// Whether an upload that is not committed is visible in listings (PikPak: pending entry).
    pub visible_before_commit: bool,
    /// Whether the provider fetches what it wants of the content itself, while its question is open
    /// ([`super::Drive::fast_upload`] then ends with a hit or an error), and takes no parts.
    pub pulled: bool,
    /// Largest file in bytes; `None` when there is no known limit.
    pub max_size: Option<u64>,
    /// Whether the provider takes empty files.
    pub empty_files: bool,
}

/// How an existing file is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overwrite {
    /// The provider replaces atomically ([`super::OnConflict::Replace`]).
    Atomic,
    /// It does not: upload beside, verify, swap, trash the old one (DESIGN 3.8).
    ByReplace,
}

/// How many calls a drive needs of its service. Ranges of contents, parts of uploads and what goes to
/// an object store are not counted here, nor are log-ins, and a listing of the directory is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Calls {
    /// Before the first range of a file is read, while no link of it is kept.
    pub link: u32,
    /// A content it has, from the question to the verified node.
    pub hit: u32,
    /// A content it does not have, in one part, from the question to the verified node.
    pub upload: u32,
    /// A copy at the provider, to the verified node; or a shared node taken over.
    pub copy: u32,
}

impl Calls {
    /// A drive that needs none: a directory of this machine.
    pub const NONE: Calls = Calls {
        link: 0,
        hit: 0,
        upload: 0,
        copy: 0,
    };
}

/// What a drive can do.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// Fingerprints it gives of its files.
    pub gives: &'static [Gives],
    /// Ways to ask for a fast upload, in the order it tries them; empty when it has none.
    pub questions: &'static [Question],
    /// Streamed uploads.
    pub upload: UploadRules,
    /// How an existing file is replaced.
    pub overwrite: Overwrite,
    /// Whether files can be renamed, and to any extension.
    pub rename: bool,
    /// Whether a rename may change the extension of a file (115: no).
    pub rename_extension: bool,
    /// Whether nodes can be moved between directories.
    pub move_nodes: bool,
    /// Whether files can be copied at the provider.
    pub copy: bool,
    /// Whether such a copy can take a new name (else it keeps its own, and not in the same directory).
    pub copy_with_name: bool,
    /// Whether deletes go to a trash.
    pub trash: bool,
    /// Whether the API can bring trashed nodes back.
    pub restore: bool,
    /// Whether two siblings may have the same name.
    pub duplicates: bool,
    /// Whether the same content uploaded under the same name gives the existing id back (115).
    pub same_content_same_id: bool,
    /// Whether nodes are addressed by path (ids change with a rename of a parent).
    pub path_addressed: bool,
    /// Whether modification times are stored.
    pub stores_mtime: bool,
    /// Names are compared case-insensitively.
    pub case_insensitive: bool,
    /// A name of up to so many bytes of UTF-8 is not too long, whatever its characters. Where the
    /// provider counts characters a longer one may fit: [`super::Drive::check_name`] knows.
    pub max_name_bytes: usize,
    /// Entries per listing page; 0 where every listing comes whole.
    pub page_size: u32,
    /// Parallel range reads per file that the provider allows.
    pub parallel_reads: usize,
    /// How long a write may stay invisible in listings, milliseconds.
    pub listing_lag_ms: u64,
    /// Calls that copies need; predictions rest on them, and a test compares them.
    pub calls: Calls,
    /// Rate and concurrency per request class of one account.
    pub limits: &'static [ClassLimit],
    /// Whether nothing can be written (shares, read-only profiles).
    pub read_only: bool,
    /// Whether its nodes can be handed to an account of the same provider ([`super::Drive::shared`]).
    pub shared: bool,
    /// Whether it takes what such a share hands out ([`super::Drive::save_shared`]).
    pub saves_shared: bool,
    /// Searches, typed lists, links for others.
    pub finds: Finds,
}

impl Capabilities {
    /// The least a drive can do: nothing but being listed. A share starts from it.
    pub const NOTHING: Capabilities = Capabilities {
        gives: &[],
        questions: &[],
        upload: UploadRules {
            hashes: &[],
            hashes_due: HashesDue::Never,
            resumable: false,
            visible_before_commit: false,
            pulled: false,
            max_size: None,
            empty_files: false,
        },
        overwrite: Overwrite::ByReplace,
        rename: false,
        rename_extension: false,
        move_nodes: false,
        copy: false,
        copy_with_name: false,
        trash: false,
        restore: false,
        duplicates: false,
        same_content_same_id: false,
        path_addressed: false,
        stores_mtime: false,
        case_insensitive: false,
        max_name_bytes: 255,
        page_size: 100,
        parallel_reads: 1,
        listing_lag_ms: 0,
        calls: Calls::NONE,
        limits: &[],
        read_only: true,
        shared: false,
        saves_shared: false,
        finds: Finds::NOTHING,
    };

    /// Whether a new node may stay invisible so long that a program is not kept waiting for it:
    /// the commit's answer ends the wait and verification goes on behind (DESIGN 3.4).
    pub fn shows_late(&self) -> bool {
        self.listing_lag_ms >= 5_000
    }

    /// What learning `kind` of a file of `size` bytes costs where neither a listing nor the knowledge
    /// base tells it.
    pub fn cost(&self, kind: Kind, size: u64) -> Cost {
        let by_call = |gives: &&Gives| gives.kind == kind && gives.when == GivesWhen::ExtraCall;
        if self.gives.iter().any(|gives| by_call(&gives)) {
            return Cost::OneCall;
        }
        match kind {
            Kind::Cid | Kind::HeadMd5 { .. } | Kind::HeadSha1 { .. } => {
                Cost::SmallRanges(kind.bytes_needed(size))
            }
            _ => Cost::FullRead(size),
        }
    }

    /// The origin of a fingerprint of this kind listed by this drive.
    pub fn origin_of(&self, kind: Kind) -> Option<Origin> {
        self.gives
            .iter()
            .find(|gives| gives.kind == kind)
            .map(|gives| gives.origin)
    }
}

impl Serialize for Capabilities {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde_json::json;
        let value = json!({
            "gives": self.gives.iter().map(|g| json!({
                "kind": g.kind.to_string(), "when": g.when, "trusted": g.origin.is_trusted(),
            })).collect::<Vec<_>>(),
            "asks": self.questions.iter().map(|q| json!({
                "kinds": q.kinds.iter().map(|k| k.to_string()).collect::<Vec<_>>(),
                "range_bytes": q.range_bytes, "min_size": q.min_size, "max_size": q.max_size,
            })).collect::<Vec<_>>(),
            "upload": {
                "hashes": self.upload.hashes.iter().map(|k| k.to_string()).collect::<Vec<_>>(),
                "hashes_due": self.upload.hashes_due,
                "resumable": self.upload.resumable,
                "pulled": self.upload.pulled,
                "max_size": self.upload.max_size,
                "empty_files": self.upload.empty_files,
            },
            "overwrite": self.overwrite,
            "rename": self.rename,
            "rename_extension": self.rename_extension,
            "move": self.move_nodes,
            "copy": self.copy,
            "trash": self.trash,
            "restore": self.restore,
            "duplicates": self.duplicates,
            "stores_mtime": self.stores_mtime,
            "max_name_bytes": self.max_name_bytes,
            "page_size": self.page_size,
            "parallel_reads": self.parallel_reads,
            "listing_lag_ms": self.listing_lag_ms,
            "calls": self.calls,
            "read_only": self.read_only,
            "shared": self.shared,
            "saves_shared": self.saves_shared,
            "search": self.finds.search,
            "media": self.finds.media,
            "share_links": self.finds.links,
        });
        value.serialize(serializer)
    }
}
