//! The messages of remote uploads and of the upload list, written from the tables of
//! `clouddrive2.proto` sections 4.6 and 4.7. The numbers there have gaps: two third-party texts
//! have other, wrong ones (its section 6).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::message::Empty;

/// `UploadFileInfo.Status` and the numbers of section 7.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Waiting,
    Preprocessing,
    Cancelled,
    Transfer,
    Paused,
    Finished,
    Skipped,
    Queued,
    Ignored,
    Error,
    FatalError,
}

impl Stage {
    const ALL: [(Stage, &'static str); 11] = [
        (Stage::Waiting, "WaitforPreprocessing"),
        (Stage::Preprocessing, "Preprocessing"),
        (Stage::Cancelled, "Cancelled"),
        (Stage::Transfer, "Transfer"),
        (Stage::Paused, "Pause"),
        (Stage::Finished, "Finish"),
        (Stage::Skipped, "Skipped"),
        (Stage::Queued, "Inqueue"),
        (Stage::Ignored, "Ignored"),
        (Stage::Error, "Error"),
        (Stage::FatalError, "FatalError"),
    ];

    /// The stage of a number; `None` for one that a newer server made up: that is no end.
    pub fn of(number: i32) -> Option<Stage> {
        let index = usize::try_from(number).ok()?;
        Stage::ALL.get(index).map(|(stage, _)| *stage)
    }

    /// Number 0 is also what a message without the field says: then the text counts (section 7.6).
    pub fn of_listed(number: i32, text: &str) -> Option<Stage> {
        let named = || Stage::ALL.iter().find(|(_, name)| *name == text.trim());
        match (number, named()) {
            (0, Some((stage, _))) => Some(*stage),
            // A text that is none of the names is in the user's language.
            _ => Stage::of(number),
        }
    }

    /// Whether nothing comes after it.
    pub fn is_end(self) -> bool {
        matches!(
            self,
            Stage::Cancelled
                | Stage::Finished
                | Stage::Skipped
                | Stage::Ignored
                | Stage::Error
                | Stage::FatalError
        )
    }
}

/// `OperatorType`: uploads started by `StartRemoteUpload`.
pub const REMOTE_UPLOAD: i32 = 3;

#[derive(Clone, PartialEq, prost::Message)]
pub struct StartRemoteUploadRequest {
    #[prost(string, tag = "1")]
    pub file_path: String,
    #[prost(uint64, tag = "2")]
    pub file_size: u64,
    #[prost(btree_map = "uint32, string", tag = "3")]
    pub known_hashes: BTreeMap<u32, String>,
    #[prost(bool, tag = "4")]
    pub client_can_calculate_hashes: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RemoteUploadStarted {
    #[prost(string, tag = "1")]
    pub upload_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RemoteUploadChannelRequest {
    #[prost(string, tag = "1")]
    pub device_id: String,
}

/// One event, of one upload.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RemoteUploadChannelReply {
    #[prost(string, tag = "1")]
    pub upload_id: String,
    #[prost(oneof = "Asked", tags = "2, 3, 4")]
    pub request: Option<Asked>,
}

/// What an event says.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Asked {
    #[prost(message, tag = "2")]
    Read(RemoteReadDataRequest),
    #[prost(message, tag = "3")]
    Hash(RemoteHashDataRequest),
    #[prost(message, tag = "4")]
    Status(RemoteUploadStatusChanged),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct RemoteReadDataRequest {
    #[prost(uint64, tag = "1")]
    pub offset: u64,
    #[prost(uint64, tag = "2")]
    pub length: u64,
    #[prost(bool, tag = "3")]
    pub lazy_read: bool,
}

/// Number 1 is not used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct RemoteHashDataRequest {
    #[prost(uint32, tag = "2")]
    pub hash_type: u32,
    #[prost(uint32, optional, tag = "3")]
    pub block_size: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RemoteUploadStatusChanged {
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// Number 2 is not used.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RemoteReadDataUpload {
    #[prost(string, tag = "1")]
    pub upload_id: String,
    #[prost(uint64, tag = "3")]
    pub offset: u64,
    #[prost(uint64, tag = "4")]
    pub length: u64,
    #[prost(bool, tag = "5")]
    pub lazy_read: bool,
    #[prost(bytes = "bytes", tag = "6")]
    pub data: Bytes,
    #[prost(bool, tag = "7")]
    pub is_last_chunk: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RemoteReadDataReply {
    #[prost(bool, tag = "1")]
    pub success: bool,
    #[prost(string, tag = "2")]
    pub error_message: String,
    #[prost(uint64, tag = "3")]
    pub bytes_received: u64,
    #[prost(bool, tag = "4")]
    pub is_last_chunk: bool,
}

/// Without a value it tells progress, with one it is the final report.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RemoteHashProgressUpload {
    #[prost(string, tag = "1")]
    pub upload_id: String,
    #[prost(uint64, tag = "2")]
    pub bytes_hashed: u64,
    #[prost(uint64, tag = "3")]
    pub total_bytes: u64,
    #[prost(int32, tag = "4")]
    pub hash_type: i32,
    #[prost(string, optional, tag = "5")]
    pub hash_value: Option<String>,
    #[prost(string, repeated, tag = "6")]
    pub block_hashes: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RemoteUploadControlRequest {
    #[prost(string, tag = "1")]
    pub upload_id: String,
    #[prost(oneof = "Control", tags = "2, 3, 4")]
    pub control: Option<Control>,
}

/// What an upload is told. The members are empty messages, and are written all the same.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Control {
    #[prost(message, tag = "2")]
    Cancel(Empty),
    #[prost(message, tag = "3")]
    Pause(Empty),
    #[prost(message, tag = "4")]
    Resume(Empty),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GetUploadFileListRequest {
    #[prost(bool, tag = "1")]
    pub get_all: bool,
    #[prost(uint32, tag = "2")]
    pub items_per_page: u32,
    #[prost(uint32, tag = "3")]
    pub page_number: u32,
    #[prost(string, tag = "4")]
    pub filter: String,
    #[prost(int32, optional, tag = "6")]
    pub operator_type_filter: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GetUploadFileListResult {
    #[prost(uint32, tag = "1")]
    pub total_count: u32,
    #[prost(message, repeated, tag = "2")]
    pub upload_files: Vec<UploadFileInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct UploadFileInfo {
    /// The upload id, for remote uploads.
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub dest_path: String,
    #[prost(uint64, tag = "3")]
    pub size: u64,
    #[prost(uint64, tag = "4")]
    pub transfered_bytes: u64,
    #[prost(string, tag = "5")]
    pub status: String,
    #[prost(string, tag = "6")]
    pub error_message: String,
    #[prost(int32, tag = "7")]
    pub operator_type: i32,
    #[prost(int32, tag = "8")]
    pub status_enum: i32,
}
