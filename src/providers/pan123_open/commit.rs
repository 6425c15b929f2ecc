//! The end of an upload (sheet section 7.1): a call that is repeated until the service has checked
//! the whole, and what is left of an upload that is given up.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::api::{Api, Repeat};
use super::create::{self, MAX_FILE};
use super::list;
use super::upload::{finished, md5_of, note_end, send_slice, text_of};
use super::write::{new_id, trash_id};
use crate::drive::{
    DriveError, ErrorKind, Node, NodeId, Result, UploadRequest, UploadSession, decode,
};
use crate::net::Retry;

/// Pause between two questions whether the file is checked (section 7.1).
const POLL: Duration = Duration::from_secs(1);

/// How long the check of a file may take: a minute, and a second for each 64 MiB.
fn patience_for(size: u64) -> Duration {
    Duration::from_secs(60 + size.min(MAX_FILE) / (64 << 20))
}

pub async fn commit(api: &Api, request: &UploadRequest, session: &UploadSession) -> Result<Node> {
    if let Some(id) = finished(session) {
        return list::stat(api, &id).await;
    }
    let md5 = text_of(session, "md5")?;
    let id = match finish(api, session, request.size).await {
        Ok(id) => id,
        Err(error) => {
            if let Some(node) = earlier_commit(api, request, session, &md5, &error).await {
                return Ok(node);
            }
            if request.size > 0 || error.kind == ErrorKind::Exists {
                note_end(api, &text_of(session, "preupload_id")?, &error);
                return Err(error);
            }
            // Empty files are not documented: some services want the one empty slice.
            send_slice(api, session, 1, &md5_of(&[]), Bytes::new()).await?;
            finish(api, session, 0).await?
        }
    };
    match list::stat(api, &id).await {
        Ok(node) if node.name == request.name => Ok(node),
        Ok(node) => {
            trash_id(api, &id).await?;
            Err(DriveError::new(
                ErrorKind::Exists,
                format!(
                    "the provider stored {:?} instead of {:?}",
                    node.name, request.name
                ),
            ))
        }
        // The service said it is done; that it cannot show it yet takes nothing back.
        Err(_) => Ok(create::fresh(api, request, id, Some(&md5))),
    }
}

/// Asks for the end of the upload until it has one: "not finished" is told as a flag or as a
/// code (section 7.1).
async fn finish(api: &Api, session: &UploadSession, size: u64) -> Result<NodeId> {
    let preupload_id = text_of(session, "preupload_id")?;
    api.finishing.insert(preupload_id.clone(), ());
    let give_up = Instant::now() + patience_for(size);
    loop {
        match ask_finished(api, &preupload_id).await {
            Ok(Some(id)) => return Ok(id),
            Ok(None) => {}
            Err(error) if error.kind == ErrorKind::Busy => {}
            Err(error) => return Err(error),
        }
        if Instant::now() >= give_up {
            return Err(DriveError::new(
                ErrorKind::Timeout,
                "the provider is still checking the upload",
            )
            .retry(Retry::Backoff));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn ask_finished(api: &Api, preupload_id: &str) -> Result<Option<NodeId>> {
    let call = api
        .post("complete", "complete", "/upload/v2/file/upload_complete")
        .json(&json!({ "preuploadID": preupload_id }));
    Ok(completed(&api.call(Repeat::Safe, call).await?))
}

/// Done only with the flag and an id.
fn completed(answer: &Value) -> Option<NodeId> {
    if decode::flag(&answer["completed"]) {
        new_id(&answer["fileID"])
    } else {
        None
    }
}

/// The file of a commit whose answer was lost: the service may not know the session any more.
async fn earlier_commit(
    api: &Api,
    request: &UploadRequest,
    session: &UploadSession,
    md5: &str,
    error: &DriveError,
) -> Option<Node> {
    let telling = matches!(
        error.kind,
        ErrorKind::NotFound | ErrorKind::Exists | ErrorKind::Invalid | ErrorKind::Provider
    );
    let opened = decode::integer(&session.state["opened_at"])?;
    if !telling {
        return None;
    }
    create::find_own(api, request, Some(md5), opened)
        .await
        .ok()
        .flatten()
}

/// There is no call to end a session; an unfinished one is invisible and dropped by the service
/// (section 6.3). What may have become a file is looked up by its session and trashed by its id.
pub async fn abandon(api: &Api, session: &UploadSession) -> Result<()> {
    if let Some(id) = finished(session) {
        return trash_id(api, &id).await;
    }
    let preupload_id = text_of(session, "preupload_id")?;
    if !api.finishing.contains_key(&preupload_id) {
        return Ok(());
    }
    match ask_finished(api, &preupload_id).await {
        Ok(Some(id)) => trash_id(api, &id).await,
        // Still being checked: it may become a file, so this is not done.
        Ok(None) => Err(DriveError::new(
            ErrorKind::Busy,
            "the provider is still checking the upload",
        )
        .retry(Retry::Backoff)),
        Err(error) if error.code.is_some() && error.kind != ErrorKind::Busy => {
            api.finishing.invalidate(&preupload_id);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn done_means_the_flag_and_an_id() {
        let done = json!({"completed":true,"fileID":11522654});
        assert_eq!(completed(&done).unwrap().as_str(), "11522654");
        assert_eq!(completed(&json!({"completed":true,"fileID":0})), None);
        assert_eq!(completed(&json!({"completed":false,"fileID":7})), None);
        assert_eq!(completed(&Value::Null), None);
    }

    #[test]
    fn large_files_may_be_checked_longer() {
        assert_eq!(patience_for(0).as_secs(), 60);
        assert_eq!(patience_for(10 << 30).as_secs(), 220);
        assert_eq!(patience_for(u64::MAX), patience_for(MAX_FILE));
    }
}
