//! What a session of an upload keeps in the journal, and what its file is recognised by.

use serde::{Deserialize, Serialize};

use super::api::Api;
use super::chunks::Upload;
use super::write::found;
use super::xml::Entry;
use super::{address, list, names};
use crate::drive::{
    Conversation, DriveError, ErrorKind, PartReceipt, Result, UploadSession, patience,
};
use crate::fingerprint::Kind;
use crate::net::{Retry, retry};

/// How the bytes get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Single,
    Stream,
    Chunks,
}

/// What a session keeps in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub way: Way,
    /// Id of the directory.
    pub dir: String,
    /// The name of ours: of the file beside the place, or of the collection of chunks.
    pub temporary: String,
    /// Address of the collection of chunks.
    pub chunks: Option<String>,
    /// Id of the place, where the chunks were told it.
    pub place: String,
    pub size: u64,
    pub modified: Option<i64>,
    /// SHA-1 that was known and trusted when it was opened.
    pub sha1: Option<String>,
}

impl State {
    /// The one of a session.
    ///
    /// # Errors
    /// `Invalid` when another drive opened it.
    pub fn read(session: &UploadSession) -> Result<State> {
        let state: Option<State> = serde_json::from_value(session.state.clone()).ok();
        state
            .filter(|state| {
                // What is deleted by a session is ours by its name.
                let chunks = state.chunks.as_deref();
                names::is_temporary(&state.temporary)
                    && chunks.is_none_or(|url| url.ends_with(&format!("/{}/", state.temporary)))
            })
            .ok_or_else(|| {
                DriveError::new(
                    ErrorKind::Invalid,
                    "the session was not opened by this drive",
                )
            })
    }

    /// As the journal keeps it.
    pub fn keep(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self)
            .map_err(|error| DriveError::new(ErrorKind::Invalid, format!("session: {error}")))
    }

    /// Its chunks.
    pub fn chunked(&self, api: &Api) -> Result<Upload> {
        let url = self.chunks.clone().ok_or_else(|| {
            DriveError::new(ErrorKind::Invalid, "the session has no place for chunks")
        })?;
        Ok(Upload {
            url,
            destination: api.base.url(&self.place, false),
            size: self.size,
        })
    }

    /// Id of the unfinished file.
    pub fn temporary_id(&self) -> String {
        address::child(&self.dir, self.temporary.as_bytes())
    }

    /// Headers that say what the bytes are. Servers that do not know them pass over them; that a
    /// time was taken is seen when the file is looked at.
    pub fn described(&self, sha1: Option<&str>) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(modified) = self.modified {
            headers.push(("x-oc-mtime", modified.div_euclid(1000).to_string()));
        }
        if let Some(sha1) = sha1 {
            headers.push(("oc-checksum", format!("SHA1:{sha1}")));
        }
        headers
    }
}

/// The SHA-1 of a content when it was computed from bytes. A claim is not told on: ownCloud refuses
/// an upload whose checksum is another one.
pub fn trusted_sha1(conversation: &Conversation<'_>) -> Option<String> {
    let known = conversation.known();
    let sha1 = known.get(Kind::Sha1)?;
    sha1.origin.is_trusted().then(|| sha1.value.to_string())
}

/// The word for a part.
pub fn receipt(session: &UploadSession, size: u64, number: u32, tag: &str) -> PartReceipt {
    let range = session.part_range(size, number);
    PartReceipt {
        number,
        size: range.end.saturating_sub(range.start),
        tag: tag.to_owned(),
    }
}

/// What makes the stored file recognisable, when all of it is there.
pub async fn stored(api: &Api, state: &State) -> Result<Option<String>> {
    let id = state.temporary_id();
    let entry = retry(patience(), || found(api, &id)).await?;
    Ok(entry
        .filter(|entry| is_whole(entry, state))
        .map(|entry| list::identity(&entry.props)))
}

/// Whether it is what a receipt was given for: by the server's number of it, or by its version.
pub fn is_tagged(entry: &Entry, tag: &str) -> bool {
    list::identity(&entry.props) == tag || list::version(&entry.props) == tag
}

/// Whether it is a file of all bytes.
pub fn is_whole(entry: &Entry, state: &State) -> bool {
    !list::is_dir(entry) && list::size(&entry.props) == state.size
}

/// The server has the upload, and not all of it.
pub fn short(state: &State) -> DriveError {
    DriveError::new(
        ErrorKind::Verification,
        format!(
            "the server took an upload of {} bytes and shows another size",
            state.size
        ),
    )
    .retry(Retry::Backoff)
}

/// What the server's file was recognised by when its last byte was sent.
pub fn last_tag(session: &UploadSession) -> Option<String> {
    let last = session.accepted.iter().max_by_key(|part| part.number)?;
    Some(last.tag.clone()).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_somebody_else_is_refused() {
        let mut state = State {
            way: Way::Stream,
            dir: "a".to_owned(),
            temporary: names::temporary(),
            chunks: None,
            place: "a/b".to_owned(),
            size: 5,
            modified: Some(-1),
            sha1: None,
        };
        let session = |state: &State| UploadSession {
            state: state.keep().unwrap(),
            part_size: 5,
            parallel: 1,
            accepted: Vec::new(),
            node: None,
        };
        assert_eq!(State::read(&session(&state)).unwrap(), state);
        let headers = state.described(Some("ab"));
        let wanted = [
            ("x-oc-mtime", "-1".to_owned()),
            ("oc-checksum", "SHA1:ab".to_owned()),
        ];
        assert_eq!(headers, wanted);
        // A name that is not ours is never deleted.
        state.temporary = "letter.txt".to_owned();
        assert!(State::read(&session(&state)).is_err());
    }
}
