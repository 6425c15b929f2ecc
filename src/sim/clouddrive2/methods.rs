//! The methods that are served: their operation in meters and faults, and the permission a token
//! needs (clouddrive2.proto.md section 2).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::response::Response;
use bytes::Bytes;
use tonic::Status;

use super::gate::{Call, refused, streamed, unary};
use super::messages::{
    FileRequest, MultiFileRequest, MultpleUploadFileKeyRequest, RenameFilesRequest,
};
use super::upload;

/// Where a method's answer has room for a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nowhere: a status.
    Plain,
    /// FileOperationResult.
    Operation,
    /// CreateFolderResult.
    Folder,
    /// JWTToken.
    Jwt,
    /// RemoteReadDataReply.
    ReadReply,
}

/// A method.
pub(super) struct Method {
    pub name: &'static str,
    /// Operation in meters and faults.
    pub op: &'static str,
    /// Number of the permission; 0 when the schema names none.
    pub permission: u32,
    pub shape: Shape,
    /// Whether it needs no token.
    pub free: bool,
}

const fn method(name: &'static str, op: &'static str, permission: u32, shape: Shape) -> Method {
    Method {
        name,
        op,
        permission,
        shape,
        free: false,
    }
}

const fn free(name: &'static str, op: &'static str, shape: Shape) -> Method {
    Method {
        name,
        op,
        permission: 0,
        shape,
        free: true,
    }
}

use Shape::{Folder, Jwt, Operation, Plain, ReadReply};

static METHODS: &[Method] = &[
    free("GetSystemInfo", "system_info", Plain),
    free("GetToken", "login", Jwt),
    free("GetApiTokenInfo", "token_info", Plain),
    method("CreateToken", "token_create", 37, Plain),
    method("ModifyToken", "token_modify", 37, Plain),
    method("RemoveToken", "token_remove", 37, Plain),
    method("ListTokens", "token_list", 37, Plain),
    method("GetSubFiles", "list", 1, Plain),
    method("GetSearchResults", "search", 2, Plain),
    method("FindFileByPath", "stat", 1, Plain),
    method("GetFileDetailProperties", "details", 20, Plain),
    method("GetMetaData", "metadata", 0, Plain),
    method("GetOriginalPath", "original_path", 0, Plain),
    method("GetSpaceInfo", "quota", 21, Plain),
    method("GetCloudMemberships", "memberships", 23, Plain),
    method("ForceExpireDirCache", "expire_cache", 32, Plain),
    method("CreateFolder", "mkdir", 4, Folder),
    method("RenameFile", "rename", 8, Operation),
    method("RenameFiles", "rename", 8, Operation),
    method("MoveFile", "move", 9, Operation),
    method("CopyFile", "copy", 10, Operation),
    method("GetCopyTasks", "copy_tasks", 27, Plain),
    method("DeleteFile", "trash", 11, Operation),
    method("DeleteFiles", "trash", 11, Operation),
    method("DeleteFilePermanently", "delete", 12, Operation),
    method("DeleteFilesPermanently", "delete", 12, Operation),
    method("GetDownloadUrlPath", "link", 7, Plain),
    method("StartRemoteUpload", "start", 6, Plain),
    method("RemoteUploadChannel", "channel", 6, Plain),
    method("RemoteReadData", "read_data", 6, ReadReply),
    method("RemoteHashProgress", "hash_data", 6, Plain),
    method("RemoteUploadControl", "control", 6, Plain),
    method("GetUploadFileList", "upload_list", 27, Plain),
    method("GetUploadFileCount", "upload_count", 27, Plain),
    method("CancelUploadFiles", "upload_cancel", 28, Plain),
    method("PauseUploadFiles", "upload_pause", 28, Plain),
    method("ResumeUploadFiles", "upload_resume", 28, Plain),
    method("CancelAllUploadFiles", "upload_cancel", 28, Plain),
    method("PauseAllUploadFiles", "upload_pause", 28, Plain),
    method("ResumeAllUploadFiles", "upload_resume", 28, Plain),
    method("PushMessage", "push", 41, Plain),
    method("GetAllCloudApis", "accounts", 29, Plain),
    method("GetMachineId", "machine_id", 0, Plain),
    method("GetRuntimeInfo", "runtime", 22, Plain),
];

/// A method by name.
pub(super) fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

impl Call {
    pub(super) async fn dispatch(self, name: &str, body: Bytes) -> Response {
        match name {
            "GetSystemInfo" => unary(body, |()| self.system_info()).await,
            "GetToken" => unary(body, |m| self.get_token(m)).await,
            "GetApiTokenInfo" => unary(body, |m| self.token_info(m)).await,
            "CreateToken" => unary(body, |m| self.create_token(m)).await,
            "ModifyToken" => unary(body, |m| self.modify_token(m)).await,
            "RemoveToken" => unary(body, |m| self.remove_token(m)).await,
            "ListTokens" => unary(body, |()| self.list_tokens()).await,
            "GetSubFiles" => streamed(body, |m| self.list(m)).await,
            "GetSearchResults" => streamed(body, |m| self.search(m)).await,
            "FindFileByPath" => unary(body, |m| self.stat(m)).await,
            "GetFileDetailProperties" => unary(body, |m| self.details(m)).await,
            "GetMetaData" => unary(body, |m| self.metadata(m)).await,
            "GetOriginalPath" => unary(body, |m| self.original_path(m)).await,
            "GetSpaceInfo" => unary(body, |m| self.space(m)).await,
            "GetCloudMemberships" => unary(body, |m| self.memberships(m)).await,
            "ForceExpireDirCache" => unary(body, |m| self.expire_cache(m)).await,
            "CreateFolder" => unary(body, |m| self.mkdir(m)).await,
            "RenameFile" => unary(body, |m| self.rename(vec![m])).await,
            "RenameFiles" => unary(body, |m: RenameFilesRequest| self.rename(m.rename_files)).await,
            "MoveFile" => unary(body, |m| self.move_files(m)).await,
            "CopyFile" => unary(body, |m| self.copy_files(m)).await,
            "GetCopyTasks" => unary(body, |()| self.copy_tasks()).await,
            "DeleteFile" | "DeleteFilePermanently" => {
                let delete = |m: FileRequest| self.delete(vec![m.path]);
                unary(body, delete).await
            }
            "DeleteFiles" | "DeleteFilesPermanently" => {
                let delete = |m: MultiFileRequest| self.delete(m.path);
                unary(body, delete).await
            }
            "GetDownloadUrlPath" => unary(body, |m| self.link(m)).await,
            "StartRemoteUpload" => unary(body, |m| self.start_upload(m)).await,
            "RemoteUploadChannel" => {
                let reset = Arc::new(AtomicBool::new(false));
                let alone = self.account.knobs.text("cut_how").as_deref() == Some("reset");
                let flag = reset.clone();
                let answer = streamed(body, |m| self.open_channel(m, flag)).await;
                match alone {
                    true => upload::resettable(answer, reset),
                    false => answer,
                }
            }
            "RemoteReadData" => unary(body, |m| self.read_data(m)).await,
            "RemoteHashProgress" => unary(body, |m| self.hash_progress(m)).await,
            "RemoteUploadControl" => unary(body, |m| self.control(m)).await,
            "GetUploadFileList" => unary(body, |m| self.upload_list(m)).await,
            "GetUploadFileCount" => unary(body, |()| self.upload_count()).await,
            "CancelUploadFiles" | "PauseUploadFiles" | "ResumeUploadFiles" => {
                let change = |m: MultpleUploadFileKeyRequest| self.change_uploads(Some(m.keys));
                unary(body, change).await
            }
            "CancelAllUploadFiles" | "PauseAllUploadFiles" | "ResumeAllUploadFiles" => {
                unary(body, |()| self.change_uploads(None)).await
            }
            "PushMessage" => streamed(body, |()| self.push()).await,
            "GetAllCloudApis" => unary(body, |()| self.cloud_apis()).await,
            "GetMachineId" => unary(body, |()| self.machine_id()).await,
            "GetRuntimeInfo" => unary(body, |()| self.runtime_info()).await,
            _ => refused(Status::unimplemented(format!("no method {name}"))),
        }
    }
}
