//! The server's own list of uploads, and what an upload can be told (sheet sections 4, 7.7).

use std::time::Duration;

use super::api::Api;
use super::error::is_gone;
use super::message::Empty;
use super::upload_message::{
    Control, GetUploadFileListRequest, GetUploadFileListResult, REMOTE_UPLOAD,
    RemoteUploadControlRequest, Stage, UploadFileInfo,
};
use super::wire::Call;
use crate::drive::{ErrorKind, Result};

const LIST: Call = Call::safe("upload_list", "GetUploadFileList");
const CONTROL: Call = Call::safe("upload_control", "RemoteUploadControl")
    .class("upload")
    .deadline(Duration::from_secs(10));

/// An upload as the list has it.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: String,
    pub path: String,
    pub size: u64,
    /// Bytes the provider behind the server has.
    pub transferred: u64,
    pub stage: Option<Stage>,
    pub message: String,
}

/// Every remote upload the server knows.
///
/// # Errors
/// Those of the call; `Auth` when the token may not see the list.
pub async fn uploads(api: &Api) -> Result<Vec<Listed>> {
    // Whether the first page is 0 or 1 is told in two ways; all at once has no pages.
    let request = GetUploadFileListRequest {
        get_all: true,
        items_per_page: 10_000,
        page_number: 1,
        filter: String::new(),
        operator_type_filter: Some(REMOTE_UPLOAD),
    };
    let answer: GetUploadFileListResult = api.call(&LIST, request).await?;
    Ok(answer.upload_files.into_iter().map(listed).collect())
}

fn listed(info: UploadFileInfo) -> Listed {
    Listed {
        stage: Stage::of_listed(info.status_enum, &info.status),
        id: info.key,
        path: info.dest_path,
        size: info.size,
        transferred: info.transfered_bytes,
        message: info.error_message,
    }
}

/// Pauses, resumes or cancels an upload. Its effect is seen as an event. One that the server does
/// not know any more is a success.
///
/// # Errors
/// Those of the call.
pub async fn control(api: &Api, id: &str, control: Control) -> Result<()> {
    let request = RemoteUploadControlRequest {
        upload_id: id.to_owned(),
        control: Some(control),
    };
    match api.call::<_, Empty>(&CONTROL, request).await {
        Err(error) if error.kind == ErrorKind::NotFound || is_gone(&error) => Ok(()),
        answer => answer.map(drop),
    }
}
