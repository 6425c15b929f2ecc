//! Namespace and reading (proto sections 4.3 and 4.4).

use std::collections::BTreeMap;

use super::{FileOperationResult, Timestamp};

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct ListSubFileRequest {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(bool, tag = "2")]
    pub force_refresh: bool,
    #[prost(bool, optional, tag = "3")]
    pub check_expires: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct SubFilesReply {
    #[prost(message, repeated, tag = "1")]
    pub sub_files: Vec<CloudDriveFile>,
}

/// Numbers of `CloudDriveFile.HashType`.
pub(in super::super) mod hash_type {
    pub const MD5: u32 = 1;
    pub const SHA1: u32 = 2;
    pub const PIKPAK_SHA1: u32 = 3;
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct CloudDriveFile {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub full_path_name: String,
    #[prost(int64, tag = "4")]
    pub size: i64,
    #[prost(int32, tag = "5")]
    pub file_type: i32,
    #[prost(message, optional, tag = "6")]
    pub create_time: Option<Timestamp>,
    #[prost(message, optional, tag = "7")]
    pub write_time: Option<Timestamp>,
    #[prost(message, optional, tag = "8")]
    pub access_time: Option<Timestamp>,
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
    #[prost(bool, tag = "35")]
    pub is_search_result: bool,
    #[prost(bool, tag = "36")]
    pub is_forbidden: bool,
    #[prost(bool, tag = "63")]
    pub can_search: bool,
    #[prost(bool, tag = "64")]
    pub has_detail_properties: bool,
    #[prost(uint64, optional, tag = "68")]
    pub dir_cache_time_to_live_secs: Option<u64>,
    #[prost(bool, tag = "69")]
    pub can_delete_permanently: bool,
    #[prost(btree_map = "uint32, string", tag = "70")]
    pub file_hashes: BTreeMap<u32, String>,
    #[prost(bool, tag = "80")]
    pub read_only: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct CloudApi {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub user_name: String,
    #[prost(string, tag = "3")]
    pub nick_name: String,
    #[prost(string, optional, tag = "10")]
    pub path: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct FileDetailProperties {
    #[prost(int64, tag = "1")]
    pub total_file_count: i64,
    #[prost(int64, tag = "2")]
    pub total_folder_count: i64,
    #[prost(int64, tag = "3")]
    pub total_size: i64,
    #[prost(bool, tag = "4")]
    pub is_faved: bool,
    #[prost(bool, tag = "5")]
    pub is_shared: bool,
    #[prost(string, tag = "6")]
    pub original_path: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct FileMetaData {
    #[prost(btree_map = "string, string", tag = "1")]
    pub metadata: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct SearchRequest {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(string, tag = "2")]
    pub search_for: String,
    #[prost(bool, tag = "3")]
    pub force_refresh: bool,
    #[prost(bool, tag = "4")]
    pub fuzzy_match: bool,
    #[prost(bool, optional, tag = "6")]
    pub content_search: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct FindFileByPathRequest {
    #[prost(string, tag = "1")]
    pub parent_path: String,
    #[prost(string, tag = "2")]
    pub path: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct CreateFolderRequest {
    #[prost(string, tag = "1")]
    pub parent_path: String,
    #[prost(string, tag = "2")]
    pub folder_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct CreateFolderResult {
    #[prost(message, optional, tag = "1")]
    pub folder_created: Option<CloudDriveFile>,
    #[prost(message, optional, tag = "2")]
    pub result: Option<FileOperationResult>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct RenameFileRequest {
    #[prost(string, tag = "1")]
    pub the_file_path: String,
    #[prost(string, tag = "2")]
    pub new_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct RenameFilesRequest {
    #[prost(message, repeated, tag = "1")]
    pub rename_files: Vec<RenameFileRequest>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct MoveFileRequest {
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

/// Like a move, but number 4 is not used.
#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct CopyFileRequest {
    #[prost(string, repeated, tag = "1")]
    pub the_file_paths: Vec<String>,
    #[prost(string, tag = "2")]
    pub dest_path: String,
    #[prost(int32, optional, tag = "3")]
    pub conflict_policy: Option<i32>,
    #[prost(bool, optional, tag = "5")]
    pub handle_conflict_recursively: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct SpaceInfo {
    #[prost(int64, tag = "1")]
    pub total_space: i64,
    #[prost(int64, tag = "2")]
    pub used_space: i64,
    #[prost(int64, tag = "3")]
    pub free_space: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct GetDownloadUrlPathRequest {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(bool, tag = "2")]
    pub preview: bool,
    #[prost(bool, tag = "3")]
    pub lazy_read: bool,
    #[prost(bool, tag = "4")]
    pub get_direct_url: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct DownloadUrlPathInfo {
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
