//! System, login, tokens, accounts, events (proto sections 4.2, 4.8, 4.11).

use super::{CloudApi, CloudDriveFile, Timestamp, UploadFileInfo};

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct CloudDriveSystemInfo {
    #[prost(bool, tag = "1")]
    pub is_login: bool,
    #[prost(string, tag = "2")]
    pub user_name: String,
    #[prost(bool, tag = "3")]
    pub system_ready: bool,
    #[prost(string, optional, tag = "4")]
    pub system_message: Option<String>,
    #[prost(bool, optional, tag = "5")]
    pub has_error: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct GetTokenRequest {
    #[prost(string, tag = "1")]
    pub user_name: String,
    #[prost(string, tag = "2")]
    pub password: String,
    #[prost(string, optional, tag = "3")]
    pub totp_code: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct JwtToken {
    #[prost(bool, tag = "1")]
    pub success: bool,
    #[prost(string, tag = "2")]
    pub error_message: String,
    #[prost(string, tag = "3")]
    pub token: String,
    #[prost(message, optional, tag = "4")]
    pub expiration: Option<Timestamp>,
}

/// 41 booleans, one per group of calls. Only those of served calls have a field; a client that
/// reads another gets it as it was given.
#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct TokenPermissions {
    #[prost(bool, tag = "1")]
    pub list: bool,
    #[prost(bool, tag = "2")]
    pub search: bool,
    #[prost(bool, tag = "4")]
    pub create_folder: bool,
    #[prost(bool, tag = "5")]
    pub create_file: bool,
    #[prost(bool, tag = "6")]
    pub write: bool,
    #[prost(bool, tag = "7")]
    pub read: bool,
    #[prost(bool, tag = "8")]
    pub rename: bool,
    #[prost(bool, tag = "9")]
    pub r#move: bool,
    #[prost(bool, tag = "10")]
    pub copy: bool,
    #[prost(bool, tag = "11")]
    pub delete: bool,
    #[prost(bool, tag = "12")]
    pub delete_permanently: bool,
    #[prost(bool, tag = "20")]
    pub view_properties: bool,
    #[prost(bool, tag = "21")]
    pub get_space_info: bool,
    #[prost(bool, tag = "22")]
    pub view_runtime_info: bool,
    #[prost(bool, tag = "23")]
    pub get_memberships: bool,
    #[prost(bool, tag = "27")]
    pub get_transfer_tasks: bool,
    #[prost(bool, tag = "28")]
    pub modify_transfer_tasks: bool,
    #[prost(bool, tag = "29")]
    pub get_cloud_apis: bool,
    #[prost(bool, tag = "32")]
    pub modify_system_settings: bool,
    #[prost(bool, tag = "37")]
    pub token_management: bool,
    #[prost(bool, tag = "41")]
    pub push_message: bool,
}

impl TokenPermissions {
    fn slot(&mut self, number: u32) -> Option<&mut bool> {
        Some(match number {
            1 => &mut self.list,
            2 => &mut self.search,
            4 => &mut self.create_folder,
            5 => &mut self.create_file,
            6 => &mut self.write,
            7 => &mut self.read,
            8 => &mut self.rename,
            9 => &mut self.r#move,
            10 => &mut self.copy,
            11 => &mut self.delete,
            12 => &mut self.delete_permanently,
            20 => &mut self.view_properties,
            21 => &mut self.get_space_info,
            22 => &mut self.view_runtime_info,
            23 => &mut self.get_memberships,
            27 => &mut self.get_transfer_tasks,
            28 => &mut self.modify_transfer_tasks,
            29 => &mut self.get_cloud_apis,
            32 => &mut self.modify_system_settings,
            37 => &mut self.token_management,
            41 => &mut self.push_message,
            _ => return None,
        })
    }

    /// All of them.
    pub(in super::super) fn all() -> TokenPermissions {
        let mut all = TokenPermissions::default();
        for number in 1..=41 {
            all.set(number, true);
        }
        all
    }

    /// Grants or takes one by its number.
    pub(in super::super) fn set(&mut self, number: u32, granted: bool) {
        if let Some(slot) = self.slot(number) {
            *slot = granted;
        }
    }

    /// Whether one is granted.
    pub(in super::super) fn allows(&self, number: u32) -> bool {
        self.clone().slot(number).is_some_and(|slot| *slot)
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct TokenInfo {
    #[prost(string, tag = "1")]
    pub token: String,
    #[prost(string, tag = "2")]
    pub root_dir: String,
    #[prost(message, optional, tag = "3")]
    pub permissions: Option<TokenPermissions>,
    #[prost(uint64, optional, tag = "4")]
    pub expires_in: Option<u64>,
    #[prost(string, tag = "5")]
    pub friendly_name: String,
    #[prost(bool, tag = "6")]
    pub enable_grpc_log: bool,
    #[prost(bool, tag = "7")]
    pub enable_stream_file_log: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct CreateTokenRequest {
    #[prost(string, tag = "1")]
    pub root_dir: String,
    #[prost(message, optional, tag = "2")]
    pub permissions: Option<TokenPermissions>,
    #[prost(string, tag = "3")]
    pub friendly_name: String,
    #[prost(uint64, optional, tag = "4")]
    pub expires_in: Option<u64>,
    #[prost(bool, optional, tag = "5")]
    pub enable_grpc_log: Option<bool>,
    #[prost(bool, optional, tag = "6")]
    pub enable_stream_file_log: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct ModifyTokenRequest {
    #[prost(string, tag = "1")]
    pub token: String,
    #[prost(string, optional, tag = "2")]
    pub root_dir: Option<String>,
    #[prost(message, optional, tag = "3")]
    pub permissions: Option<TokenPermissions>,
    #[prost(string, optional, tag = "4")]
    pub friendly_name: Option<String>,
    #[prost(uint64, optional, tag = "5")]
    pub expires_in: Option<u64>,
    #[prost(bool, optional, tag = "6")]
    pub enable_grpc_log: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub enable_stream_file_log: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct ListTokensResult {
    #[prost(message, repeated, tag = "1")]
    pub tokens: Vec<TokenInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct RuntimeInfo {
    #[prost(string, tag = "1")]
    pub product_name: String,
    #[prost(string, tag = "2")]
    pub product_version: String,
    #[prost(string, tag = "3")]
    pub cloud_api_version: String,
    #[prost(string, tag = "4")]
    pub os_info: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct CloudApiList {
    #[prost(message, repeated, tag = "1")]
    pub apis: Vec<CloudApi>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct CloudMemberships {
    #[prost(message, repeated, tag = "1")]
    pub memberships: Vec<CloudMembership>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct CloudMembership {
    #[prost(string, tag = "1")]
    pub identity: String,
    #[prost(message, optional, tag = "2")]
    pub expire_time: Option<Timestamp>,
    #[prost(string, optional, tag = "3")]
    pub level: Option<String>,
}

/// Kinds of push messages that are sent.
pub(in super::super) mod push_type {
    pub const UPLOADER_COUNT: i32 = 1;
    pub const FORCE_EXIT: i32 = 3;
    pub const FILE_SYSTEM_CHANGE: i32 = 4;
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct CloudDrivePushMessage {
    #[prost(int32, tag = "1")]
    pub message_type: i32,
    #[prost(oneof = "PushData", tags = "2, 4, 5")]
    pub data: Option<PushData>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(in super::super) enum PushData {
    #[prost(message, tag = "2")]
    Transfer(TransferTaskStatus),
    #[prost(message, tag = "4")]
    Exited(ExitedMessage),
    #[prost(message, tag = "5")]
    FileSystem(Box<FileSystemChange>),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct TransferTaskStatus {
    #[prost(uint32, tag = "1")]
    pub download_count: u32,
    #[prost(uint32, tag = "2")]
    pub upload_count: u32,
    #[prost(string, tag = "3")]
    pub version: String,
    #[prost(message, repeated, tag = "4")]
    pub upload_file_status_changes: Vec<UploadFileInfo>,
    #[prost(bool, tag = "5")]
    pub has_update: bool,
    #[prost(uint32, tag = "6")]
    pub copy_task_count: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct ExitedMessage {
    #[prost(int32, tag = "1")]
    pub exit_reason: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

/// Values of `FileSystemChange.ChangeType`.
pub(in super::super) mod change {
    pub const CREATE: i32 = 0;
    pub const DELETE: i32 = 1;
    pub const RENAME: i32 = 2;
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in super::super) struct FileSystemChange {
    #[prost(int32, tag = "1")]
    pub change_type: i32,
    #[prost(bool, tag = "2")]
    pub is_directory: bool,
    #[prost(string, tag = "3")]
    pub path: String,
    #[prost(string, optional, tag = "4")]
    pub new_path: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub the_file: Option<CloudDriveFile>,
}
