//! The messages of the tree, of logins and of reading, written from the tables of
//! `clouddrive2.proto` sections 4.1 to 4.4. Only fields that are used are named: readers skip the
//! others.

use std::collections::BTreeMap;
use std::fmt;

/// A request or an answer without fields.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Empty {}

/// `google.protobuf.Timestamp`, UTC.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Timestamp {
    /// Milliseconds since the epoch.
    pub fn ms(&self) -> i64 {
        self.seconds
            .saturating_mul(1000)
            .saturating_add(i64::from(self.nanos) / 1_000_000)
    }
}

/// How most changes answer, with the call itself being a success (section 3 of the sheet).
#[derive(Clone, PartialEq, prost::Message)]
pub struct FileOperationResult {
    #[prost(bool, tag = "1")]
    pub success: bool,
    #[prost(string, tag = "2")]
    pub error_message: String,
    /// New absolute paths of what was changed.
    #[prost(string, repeated, tag = "3")]
    pub result_file_paths: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct FileRequest {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(bool, optional, tag = "2")]
    pub force_refresh: Option<bool>,
}

/// A login. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct GetTokenRequest {
    #[prost(string, tag = "1")]
    pub user_name: String,
    #[prost(string, tag = "2")]
    pub password: String,
    #[prost(string, optional, tag = "3")]
    pub totp_code: Option<String>,
}

impl fmt::Debug for GetTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GetTokenRequest({:?})", self.user_name)
    }
}

/// A login's answer. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct JwtToken {
    #[prost(bool, tag = "1")]
    pub success: bool,
    #[prost(string, tag = "2")]
    pub error_message: String,
    #[prost(string, tag = "3")]
    pub token: String,
    #[prost(message, optional, tag = "4")]
    pub expiration: Option<Timestamp>,
}

impl fmt::Debug for JwtToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwtToken({}, {:?})", self.success, self.error_message)
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ListSubFileRequest {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(bool, tag = "2")]
    pub force_refresh: bool,
    #[prost(bool, optional, tag = "3")]
    pub check_expires: Option<bool>,
}

/// One batch of a listing; a listing has many.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubFilesReply {
    #[prost(message, repeated, tag = "1")]
    pub sub_files: Vec<CloudFile>,
}

/// `CloudAPI`: the storage account an entry belongs to.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CloudApi {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub user_name: String,
    #[prost(bool, tag = "12")]
    pub read_only: bool,
}

/// `CloudDriveFile`: an entry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CloudFile {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub full_path_name: String,
    #[prost(int64, tag = "4")]
    pub size: i64,
    /// 0 is a directory, and also what an empty message says: `is_directory` counts.
    #[prost(int32, tag = "5")]
    pub file_type: i32,
    #[prost(message, optional, tag = "6")]
    pub create_time: Option<Timestamp>,
    #[prost(message, optional, tag = "7")]
    pub write_time: Option<Timestamp>,
    #[prost(message, optional, tag = "9")]
    pub cloud_api: Option<CloudApi>,
    #[prost(bool, tag = "30")]
    pub is_directory: bool,
    #[prost(bool, tag = "31")]
    pub is_root: bool,
    #[prost(bool, tag = "32")]
    pub is_cloud_root: bool,
    #[prost(bool, tag = "33")]
    pub is_cloud_directory: bool,
    #[prost(bool, tag = "34")]
    pub is_cloud_file: bool,
    #[prost(bool, tag = "36")]
    pub is_forbidden: bool,
    /// Hash type to hex text (section 5 of the sheet).
    #[prost(btree_map = "uint32, string", tag = "70")]
    pub file_hashes: BTreeMap<u32, String>,
    #[prost(int32, tag = "71")]
    pub file_encryption_type: i32,
    #[prost(bool, tag = "80")]
    pub read_only: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct FindFileByPathRequest {
    #[prost(string, tag = "1")]
    pub parent_path: String,
    #[prost(string, tag = "2")]
    pub path: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CreateFolderRequest {
    #[prost(string, tag = "1")]
    pub parent_path: String,
    #[prost(string, tag = "2")]
    pub folder_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CreateFolderResult {
    #[prost(message, optional, tag = "1")]
    pub folder_created: Option<CloudFile>,
    #[prost(message, optional, tag = "2")]
    pub result: Option<FileOperationResult>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RenameFileRequest {
    #[prost(string, tag = "1")]
    pub the_file_path: String,
    #[prost(string, tag = "2")]
    pub new_name: String,
}

/// `ConflictPolicy` of moves and copies: what stands there already stays.
pub const SKIP: i32 = 2;

#[derive(Clone, PartialEq, prost::Message)]
pub struct MoveFileRequest {
    #[prost(string, repeated, tag = "1")]
    pub the_file_paths: Vec<String>,
    #[prost(string, tag = "2")]
    pub dest_path: String,
    #[prost(int32, optional, tag = "3")]
    pub conflict_policy: Option<i32>,
    #[prost(bool, optional, tag = "4")]
    pub move_across_clouds: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    pub handle_conflict_recursively: Option<bool>,
}

/// Number 4 is not used.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CopyFileRequest {
    #[prost(string, repeated, tag = "1")]
    pub the_file_paths: Vec<String>,
    #[prost(string, tag = "2")]
    pub dest_path: String,
    #[prost(int32, optional, tag = "3")]
    pub conflict_policy: Option<i32>,
    #[prost(bool, optional, tag = "5")]
    pub handle_conflict_recursively: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct SpaceInfo {
    #[prost(int64, tag = "1")]
    pub total_space: i64,
    #[prost(int64, tag = "2")]
    pub used_space: i64,
    #[prost(int64, tag = "3")]
    pub free_space: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GetDownloadUrlPathRequest {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(bool, tag = "2")]
    pub preview: bool,
    #[prost(bool, tag = "3")]
    pub lazy_read: bool,
    #[prost(bool, tag = "4")]
    pub get_direct_url: bool,
}

/// Where to read a file. The addresses are secrets for their life: its `Debug` shows none.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct DownloadUrlPathInfo {
    #[prost(string, tag = "1")]
    pub download_url_path: String,
    #[prost(uint64, optional, tag = "2")]
    pub expires_in: Option<u64>,
    #[prost(string, optional, tag = "3")]
    pub direct_url: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub user_agent: Option<String>,
    #[prost(btree_map = "string, string", tag = "5")]
    pub additional_headers: BTreeMap<String, String>,
}

impl fmt::Debug for DownloadUrlPathInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DownloadUrlPathInfo(expires_in {:?})", self.expires_in)
    }
}
