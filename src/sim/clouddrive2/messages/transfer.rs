//! Remote upload and transfer queues (proto sections 4.6 and 4.7).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Timestamp;

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct StartRemoteUploadRequest {
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
pub(in super::super) struct RemoteUploadStarted {
    #[prost(string, tag = "1")]
    pub upload_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct RemoteUploadChannelRequest {
    #[prost(string, tag = "1")]
    pub device_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct RemoteUploadChannelReply {
    #[prost(string, tag = "1")]
    pub upload_id: String,
    #[prost(oneof = "ChannelEvent", tags = "2, 3, 4")]
    pub request: Option<ChannelEvent>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(in super::super) enum ChannelEvent {
    #[prost(message, tag = "2")]
    Read(RemoteReadDataRequest),
    #[prost(message, tag = "3")]
    Hash(RemoteHashDataRequest),
    #[prost(message, tag = "4")]
    Status(RemoteUploadStatusChanged),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in super::super) struct RemoteReadDataRequest {
    #[prost(uint64, tag = "1")]
    pub offset: u64,
    #[prost(uint64, tag = "2")]
    pub length: u64,
    #[prost(bool, tag = "3")]
    pub lazy_read: bool,
}

/// Number 1 is not used.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in super::super) struct RemoteHashDataRequest {
    #[prost(uint32, tag = "2")]
    pub hash_type: u32,
    #[prost(uint32, optional, tag = "3")]
    pub block_size: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct RemoteUploadStatusChanged {
    #[prost(enumeration = "Status", tag = "1")]
    pub status: i32,
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// Number 2 is not used.
#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct RemoteReadDataUpload {
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
pub(in super::super) struct RemoteReadDataReply {
    #[prost(bool, tag = "1")]
    pub success: bool,
    #[prost(string, tag = "2")]
    pub error_message: String,
    #[prost(uint64, tag = "3")]
    pub bytes_received: u64,
    #[prost(bool, tag = "4")]
    pub is_last_chunk: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct RemoteHashProgressUpload {
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
pub(in super::super) struct RemoteUploadControlRequest {
    #[prost(string, tag = "1")]
    pub upload_id: String,
    #[prost(oneof = "Control", tags = "2, 3, 4")]
    pub control: Option<Control>,
}

/// The members are messages without fields.
#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(in super::super) enum Control {
    #[prost(message, tag = "2")]
    Cancel(()),
    #[prost(message, tag = "3")]
    Pause(()),
    #[prost(message, tag = "4")]
    Resume(()),
}

/// `UploadFileInfo.Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(in super::super) enum Status {
    WaitforPreprocessing = 0,
    Preprocessing = 1,
    Cancelled = 2,
    Transfer = 3,
    Pause = 4,
    Finish = 5,
    Skipped = 6,
    Inqueue = 7,
    Ignored = 8,
    Error = 9,
    FatalError = 10,
}

impl Status {
    /// Whether nothing follows.
    pub(in super::super) fn is_end(self) -> bool {
        matches!(
            self,
            Status::Cancelled
                | Status::Finish
                | Status::Skipped
                | Status::Ignored
                | Status::Error
                | Status::FatalError
        )
    }
}

/// Values of `UploadFileInfo.OperatorType`.
pub(in super::super) mod operator {
    pub const REMOTE_UPLOAD: i32 = 3;
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct UploadFileInfo {
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
    #[prost(enumeration = "Status", tag = "8")]
    pub status_enum: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct GetUploadFileListRequest {
    #[prost(bool, tag = "1")]
    pub get_all: bool,
    #[prost(uint32, tag = "2")]
    pub items_per_page: u32,
    #[prost(uint32, tag = "3")]
    pub page_number: u32,
    #[prost(string, tag = "4")]
    pub filter: String,
    #[prost(enumeration = "Status", optional, tag = "5")]
    pub status_filter: Option<i32>,
    #[prost(int32, optional, tag = "6")]
    pub operator_type_filter: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct GetUploadFileListResult {
    #[prost(uint32, tag = "1")]
    pub total_count: u32,
    #[prost(message, repeated, tag = "2")]
    pub upload_files: Vec<UploadFileInfo>,
    #[prost(double, tag = "3")]
    pub global_bytes_per_second: f64,
    #[prost(uint64, tag = "4")]
    pub total_bytes: u64,
    #[prost(uint64, tag = "5")]
    pub finished_bytes: u64,
    #[prost(uint32, tag = "6")]
    pub total_count_filtered: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct GetUploadFileCountResult {
    #[prost(uint32, tag = "1")]
    pub file_count: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct MultpleUploadFileKeyRequest {
    #[prost(string, repeated, tag = "1")]
    pub keys: Vec<String>,
}

/// Values of `CopyTask.TaskStatus`.
pub(in super::super) mod task_status {
    pub const PENDING: i32 = 0;
    pub const COMPLETED: i32 = 3;
    pub const FAILED: i32 = 4;
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct GetCopyTaskResult {
    #[prost(message, repeated, tag = "1")]
    pub copy_tasks: Vec<CopyTask>,
}

/// Number 1 is not used.
#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct CopyTask {
    #[prost(int32, tag = "2")]
    pub task_mode: i32,
    #[prost(string, tag = "3")]
    pub source_path: String,
    #[prost(string, tag = "4")]
    pub dest_path: String,
    #[prost(int32, tag = "5")]
    pub status: i32,
    #[prost(uint64, tag = "12")]
    pub total_bytes: u64,
    #[prost(uint64, tag = "13")]
    pub uploaded_bytes: u64,
    #[prost(message, repeated, tag = "15")]
    pub errors: Vec<TaskError>,
    #[prost(message, optional, tag = "17")]
    pub start_time: Option<Timestamp>,
    #[prost(message, optional, tag = "18")]
    pub end_time: Option<Timestamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct TaskError {
    #[prost(message, optional, tag = "1")]
    pub time: Option<Timestamp>,
    #[prost(string, tag = "2")]
    pub message: String,
}
