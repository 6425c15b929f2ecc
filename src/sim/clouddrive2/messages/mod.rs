//! The messages of the schema that are served, written down from `clouddrive2.proto.md`.
//! Field names are our own, numbers and types are the schema's.

mod account;
mod files;

mod transfer;

pub(super) use account::*;
pub(super) use files::*;
pub(super) use transfer::*;

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Timestamp {
    /// A time in milliseconds since 1970.
    pub(super) fn of_ms(ms: i64) -> Timestamp {
        Timestamp {
            seconds: ms.div_euclid(1000),
            nanos: i32::try_from(ms.rem_euclid(1000)).unwrap_or(0) * 1_000_000,
        }
    }
}

/// The second layer of failure: most mutations answer status OK with this inside (section 3).
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FileOperationResult {
    #[prost(bool, tag = "1")]
    pub success: bool,
    #[prost(string, tag = "2")]
    pub error_message: String,
    #[prost(string, repeated, tag = "3")]
    pub result_file_paths: Vec<String>,
}

impl FileOperationResult {
    /// It worked; the new paths.
    pub(super) fn done(paths: Vec<String>) -> FileOperationResult {
        FileOperationResult {
            success: true,
            error_message: String::new(),
            result_file_paths: paths,
        }
    }

    /// It did not.
    pub(super) fn failed(why: &str) -> FileOperationResult {
        FileOperationResult {
            success: false,
            error_message: why.to_owned(),
            result_file_paths: Vec::new(),
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FileRequest {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(bool, optional, tag = "2")]
    pub force_refresh: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MultiFileRequest {
    #[prost(string, repeated, tag = "1")]
    pub path: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StringValue {
    #[prost(string, tag = "1")]
    pub value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StringResult {
    #[prost(string, tag = "1")]
    pub result: String,
}
