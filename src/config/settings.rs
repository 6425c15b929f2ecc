//! The second stage: settings that cannot be invalid. `Default` is what holds without a file;
//! `config/panfuse.toml` says the same (a test compares them).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `[mount]`
    pub mount: MountSettings,
    /// `[cache]`
    pub cache: CacheSettings,
    /// `[transfer]`
    pub transfer: TransferSettings,
    /// `[conflict]`: what happens to a file that is in the way.
    pub conflict: ConflictPolicy,
    /// `[risk]`
    pub risk: RiskSettings,
    /// `[limits]`
    pub limits: LimitSettings,
    /// `[store]`
    pub store: StoreSettings,
    /// `[log]`
    pub log: LogSettings,
    /// `[provider.KEY]`
    pub providers: BTreeMap<String, ProviderSettings>,
    /// `[profile.NAME]`
    pub profiles: BTreeMap<String, ProfileSettings>,
}

/// `[mount]`: how the tree looks to the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MountSettings {
    /// Seconds a listing counts as fresh (a profile may say otherwise).
    pub ttl_s: u64,
    /// Seconds the kernel believes "no such file" without asking.
    pub negative_ttl_s: u64,
    /// Owner of every node; the mounting user when unset.
    pub uid: Option<u32>,
    /// Group of every node; the mounting user's when unset.
    pub gid: Option<u32>,
    /// Permission bits taken away from 0777 and 0666.
    pub umask: u32,
    /// Whether other users may look in.
    pub allow_other: bool,
    /// Whether nothing can be written.
    pub read_only: bool,
    /// Threads that take requests from the kernel.
    pub threads: usize,
}

impl Default for MountSettings {
    fn default() -> Self {
        MountSettings {
            ttl_s: 60,
            negative_ttl_s: 5,
            uid: None,
            gid: None,
            umask: 0o022,
            allow_other: false,
            read_only: false,
            threads: 4,
        }
    }
}

/// `[cache]`: local disk and memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheSettings {
    /// MiB of written data that may wait for its upload.
    pub stage_budget_mb: u64,
    /// MiB of the disk that the stage leaves free.
    pub stage_reserve_mb: u64,
    /// MiB all buffers together aim at.
    pub memory_target_mb: u64,
}

impl Default for CacheSettings {
    fn default() -> Self {
        CacheSettings {
            stage_budget_mb: 10_240,
            stage_reserve_mb: 1_024,
            memory_target_mb: 96,
        }
    }
}

/// When `close` answers (DESIGN 3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosePolicy {
    /// When the file is verified at the provider.
    Wait,
    /// Small files when they are durable here, others when they are verified.
    #[default]
    Auto,
    /// When they are durable here.
    Queue,
}

/// `[transfer]`: how bytes move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransferSettings {
    /// When `close` answers.
    pub close: ClosePolicy,
    /// MiB up to which a file is small for `close = "auto"`.
    pub small_file_mb: u64,
    /// Uploads at a time per account.
    pub parallel: usize,
    /// MiB above which a copy that must move bytes is refused (EFBIG) until it is approved.
    pub threshold_mb: Option<u64>,
    /// MiB above which nothing is streamed between drives (EFBIG); no approval lifts it.
    pub fallback_cap_mb: Option<u64>,
}

impl Default for TransferSettings {
    fn default() -> Self {
        TransferSettings {
            close: ClosePolicy::Auto,
            small_file_mb: 4,
            parallel: 4,
            threshold_mb: None,
            fallback_cap_mb: None,
        }
    }
}

/// `conflict.default`: what happens to a file that is in the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictPolicy {
    /// It is replaced, as every Unix user expects of `cp`.
    #[default]
    OverwriteExisting,
    /// The new one takes a free name.
    AutoRenameNew,
    /// The copy is refused (EEXIST).
    Fail,
}

impl ConflictPolicy {
    /// The words of the file, the xattr and the command line.
    pub const CHOICES: &'static [(&'static str, ConflictPolicy)] = &[
        ("overwrite_existing", ConflictPolicy::OverwriteExisting),
        ("auto_rename_new", ConflictPolicy::AutoRenameNew),
        ("fail", ConflictPolicy::Fail),
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        Self::CHOICES
            .iter()
            .find(|(_, policy)| *policy == self)
            .map_or("overwrite_existing", |(name, _)| name)
    }

    /// The policy with this name.
    pub fn parse(word: &str) -> Option<ConflictPolicy> {
        Self::CHOICES
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, policy)| *policy)
    }
}

/// `[risk]`: how careful requests are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RiskSettings {
    /// Share in percent of a provider's known safe rate that is used.
    pub rate_percent: u32,
}

impl Default for RiskSettings {
    fn default() -> Self {
        RiskSettings { rate_percent: 100 }
    }
}

/// `[limits]`: guards against accidents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitSettings {
    /// Deletes in a minute after which further ones are refused (EBUSY) until approved; 0 for
    /// no limit.
    pub deletes_per_minute: u64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        LimitSettings {
            deletes_per_minute: 1_000,
        }
    }
}

/// `[store]`: places of this configuration's own (else the XDG ones).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoreSettings {
    /// Catalog and vault.
    pub data_dir: Option<PathBuf>,
    /// Stage and journal.
    pub state_dir: Option<PathBuf>,
    /// Content cache.
    pub cache_dir: Option<PathBuf>,
    /// The daemon's socket.
    pub runtime_dir: Option<PathBuf>,
}

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// What may fail soon.
    Warn,
    /// What happens, once per user action.
    #[default]
    Info,
    /// Every request to a provider.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The words of the file.
    pub const CHOICES: &'static [(&'static str, LogLevel)] = &[
        ("off", LogLevel::Off),
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];

    /// The word of the file.
    pub fn name(self) -> &'static str {
        Self::CHOICES
            .iter()
            .find(|(_, level)| *level == self)
            .map_or("info", |(name, _)| name)
    }
}

/// `[log]`: diagnostics on standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogSettings {
    /// How much.
    pub level: LogLevel,
    /// One JSON object per line instead of text.
    pub json: bool,
}

/// `[provider.KEY]`: for every profile of one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProviderSettings {
    /// Base URLs by endpoint name; a profile's own win.
    pub endpoints: BTreeMap<String, String>,
    /// In place of `risk.rate_percent`.
    pub rate_percent: Option<u32>,
}

/// `[profile.NAME]`: the parts of a configured drive that are no secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProfileSettings {
    /// Provider key.
    pub provider: String,
    /// Way to log in; the provider's first of the kind when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_mode: Option<String>,
    /// `account` or `share`; `account` when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Id of the directory to mount; the provider's own root when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Whether nothing can be written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Seconds a listing counts as fresh; `mount.ttl_s` when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
    /// Name of the account: profiles of one provider with the same name share one request
    /// budget and one breaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Non-secret fields of the auth mode.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Base URLs by endpoint name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<String, String>,
}
