//! The remote upload protocol: the server asks for bytes and hashes, the client answers
//! (clouddrive2.md sections 6 and 7).
//!
//! | file | what is in it |
//! |---|---|
//! | this one | an upload, its start |
//! | `channel` | the event streams, cuts, what is said again |
//! | `answers` | bytes and hashes from the client |
//! | `run` | the life of an upload |
//! | `proof` | hash requests, known contents, proofs, the comparison at the end |
//! | `script` | what is read, and in which order |
//! | `queue` | the upload list, pause, resume, cancel |
//! | `ranges`, `received` | what came |

mod answers;
mod channel;
mod proof;
mod queue;
mod ranges;
mod received;
mod run;
mod script;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tonic::Status as Refusal;

pub(super) use channel::{Channels, resettable};

use super::super::account::Account;
use super::gate::Call;
use super::messages::{
    ChannelEvent, RemoteHashDataRequest, RemoteReadDataRequest, RemoteUploadStarted,
    RemoteUploadStatusChanged, StartRemoteUploadRequest, Status, UploadFileInfo, hash_type,
    operator,
};
use super::paths::{Mount, Place, split_last};
use ranges::Ranges;
use received::Received;
use script::Piece;

/// What the server says when it has no such upload (section 7.4).
const FORGOTTEN: &str = "upload session not found";

/// A read request that is not answered in full.
struct Ask {
    piece: Piece,
    got: Ranges,
}

/// A hash request.
struct HashAsk {
    request: RemoteHashDataRequest,
    /// Reports so far.
    reports: u64,
    /// The final report.
    value: Option<String>,
    blocks: Vec<String>,
}

/// An upload.
pub(super) struct Upload {
    account: Arc<Account>,
    /// Whose channel gets its events.
    device: String,
    path: String,
    parent: String,
    name: String,
    mount: &'static Mount,
    size: u64,
    known: BTreeMap<u32, String>,
    client_hashes: bool,
    status: Status,
    error: String,
    /// Status to go back to after a pause.
    resume_to: Status,
    paused: bool,
    cancelled: bool,
    /// Why it cannot go on, found while an answer was looked at.
    failure: Option<String>,
    /// Unanswered read requests.
    asks: Vec<Ask>,
    /// Everything that was ever asked: from, to, lazy.
    asked: Vec<(u64, u64, bool)>,
    asked_set: Ranges,
    /// Where requests were that an empty answer is right for.
    empty_asks: Vec<u64>,
    hashes: Vec<HashAsk>,
    received: Received,
    /// The settings `channel_cut` and `silent` have struck.
    cut: bool,
    quiet: bool,
    /// Events are not sent at the moment.
    silent: bool,
    wake: Arc<Notify>,
}

impl Upload {
    /// Share of the distinct bytes that came, in percent.
    fn share(&self) -> u64 {
        match self.size {
            0 => 0,
            size => self.received.total().saturating_mul(100) / size,
        }
    }

    /// Whether it still runs.
    pub(super) fn is_open(&self) -> bool {
        !self.status.is_end()
    }

    /// Whether it ended well.
    fn succeeded(&self) -> bool {
        matches!(self.status, Status::Finish | Status::Skipped)
    }

    /// As the queue shows it.
    fn info(&self, id: &str) -> UploadFileInfo {
        UploadFileInfo {
            key: id.to_owned(),
            dest_path: self.path.clone(),
            size: self.size,
            transfered_bytes: self.received.total(),
            status: format!("{:?}", self.status),
            error_message: self.error.clone(),
            operator_type: operator::REMOTE_UPLOAD,
            status_enum: self.status as i32,
        }
    }

    /// As tests see it.
    pub(super) fn describe(&self, id: &str) -> Value {
        json!({
            "id": id, "name": self.name, "kind": "remote_upload", "path": self.path,
            "size": self.size, "status": format!("{:?}", self.status), "device": self.device,
            "received": self.received.total(), "unanswered": self.asks.len(),
        })
    }

    /// Whose it is.
    pub(super) fn profile(&self) -> &str {
        &self.account.profile
    }

    /// Requests that are still to be answered, as events.
    fn open_requests(&self) -> Vec<ChannelEvent> {
        let hashes = self.hashes.iter().filter(|ask| ask.value.is_none());
        let hashes = hashes.map(|ask| ChannelEvent::Hash(ask.request));
        let reads = self.asks.iter().map(|ask| read_event(ask.piece));
        hashes.chain(reads).collect()
    }
}

fn read_event(piece: Piece) -> ChannelEvent {
    ChannelEvent::Read(RemoteReadDataRequest {
        offset: piece.offset,
        length: piece.length,
        lazy_read: piece.lazy,
    })
}

fn status_event(status: Status, error: &str) -> ChannelEvent {
    ChannelEvent::Status(RemoteUploadStatusChanged {
        status: status as i32,
        error_message: error.to_owned(),
    })
}

/// All uploads, ended ones too: the queue shows them.
pub(super) type Uploads = BTreeMap<String, Upload>;

/// Devices by profile and by token, as far as channels were opened.
#[derive(Default)]
pub(super) struct Devices {
    by_profile: HashMap<String, String>,
    by_token: HashMap<String, String>,
}

/// Whether a hash has the form of its type: 32 or 40 digits, PikPakSha1 in upper case, the
/// others in lower case (section 5).
fn well_formed(number: u32, text: &str) -> bool {
    let digits = |wanted: usize, letters: std::ops::RangeInclusive<u8>| {
        text.len() == wanted
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || letters.contains(&byte))
    };
    match number {
        hash_type::MD5 => digits(32, b'a'..=b'f'),
        hash_type::SHA1 => digits(40, b'a'..=b'f'),
        hash_type::PIKPAK_SHA1 => digits(40, b'A'..=b'F'),
        _ => false,
    }
}

impl Call {
    pub(super) async fn start_upload(
        self,
        request: StartRemoteUploadRequest,
    ) -> Result<RemoteUploadStarted, Refusal> {
        let (parent, name) = split_last(&request.file_path)?;
        self.place(&request.file_path)?;
        let knobs = &self.account.knobs;
        for (number, value) in &request.known_hashes {
            if !well_formed(*number, value) {
                let why = format!("known_hashes: no hash of type {number}: {value}");
                return Err(Refusal::invalid_argument(why));
            }
        }
        let mount = match self.folder(&parent)? {
            Ok((mount, _)) => mount,
            Err(_) if knobs.text("missing_parent").as_deref() == Some("create") => {
                self.make_folders(&parent)?
            }
            Err(why) => return Err(Refusal::not_found(why)),
        };
        let ids = &self.sim.kit.ids;
        // In the order of their start.
        let id = format!("ru-{:08}-{}", ids.number(), ids.hex(12));
        {
            let mut state = self.sim.state();
            let profile = &self.account.profile;
            let devices = &state.devices;
            let device = devices.by_token.get(&self.access.token);
            let device = device.or_else(|| devices.by_profile.get(profile)).cloned();
            // Section 7.2: the channel is opened before the first start.
            if device.is_none() && knobs.text("channel_first").as_deref() != Some("wait") {
                return Err(Refusal::failed_precondition(
                    "no remote upload channel is open",
                ));
            }
            let upload = Upload {
                account: self.account.clone(),
                device: device.unwrap_or_default(),
                path: format!("{}/{name}", parent.trim_end_matches('/')),
                parent,
                name,
                mount,
                size: request.file_size,
                known: request.known_hashes,
                client_hashes: request.client_can_calculate_hashes,
                status: Status::WaitforPreprocessing,
                error: String::new(),
                resume_to: Status::WaitforPreprocessing,
                paused: false,
                cancelled: false,
                failure: None,
                asks: Vec::new(),
                asked: Vec::new(),
                asked_set: Ranges::default(),
                empty_asks: Vec::new(),
                hashes: Vec::new(),
                received: Received::default(),
                cut: false,
                quiet: false,
                silent: false,
                wake: Arc::new(Notify::new()),
            };
            state.uploads.insert(id.clone(), upload);
        }
        tokio::spawn(run::Run::of(&self, &id).go());
        // Events may be there before this answer is (section 7.2).
        let wait = knobs.number("start_reply_ms", 0);
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        Ok(RemoteUploadStarted { upload_id: id })
    }

    /// Makes the folders of a path in a storage account.
    fn make_folders(&self, path: &str) -> Result<&'static Mount, Refusal> {
        let (above, name) = split_last(path)?;
        let (mount, parent) = match self.place(&above)? {
            Some(Place::Node(mount, node)) if node.is_dir() => (mount, node.id),
            None => {
                let mount = self.make_folders(&above)?;
                match self.place(&above)? {
                    Some(Place::Node(_, node)) => (mount, node.id),
                    _ => return Err(Refusal::not_found("folder not found")),
                }
            }
            _ => return Err(Refusal::not_found("folder not found")),
        };
        let id = self.sim.file_id();
        let node = super::super::tree::Node::dir(&id, &parent, &name, self.now());
        self.account.tree().insert(node);
        self.changed();
        Ok(mount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_hashes() {
        let (lower, upper) = ("ab".repeat(20), "AB".repeat(20));
        assert!(well_formed(1, &"ab".repeat(16)) && !well_formed(1, &lower));
        assert!(well_formed(2, &lower) && !well_formed(2, &upper));
        assert!(well_formed(3, &upper) && !well_formed(3, &lower));
        assert!(!well_formed(0, &lower) && !well_formed(4, &lower) && !well_formed(2, ""));
    }
}
