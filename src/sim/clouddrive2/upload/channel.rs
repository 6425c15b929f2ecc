//! The event streams of devices: one per device, replaced by the next, cut by settings and
//! faults, and what is said again on a new one (clouddrive2.md section 7.2).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tonic::Status as Refusal;

use super::super::super::faults::FaultKind;
use super::super::super::wire::Conn;
use super::super::CloudDrive2;
use super::super::State;
use super::super::gate::{Answers, Call, broken};
use super::super::messages::{
    ChannelEvent, RemoteUploadChannelReply, RemoteUploadChannelRequest, Status, UploadFileInfo,
};
use super::status_event;

/// An open event stream.
pub(in super::super) struct Channel {
    sender: UnboundedSender<Result<RemoteUploadChannelReply, Refusal>>,
    /// Events that still pass before a fault cuts it.
    left: Option<u64>,
    conn: Option<Conn>,
    /// Set before it ends: it ends with a reset.
    reset: Arc<AtomicBool>,
}

impl Channel {
    /// Ends it as the setting `cut_how` says.
    fn cut(self, how: Option<&str>) {
        match how {
            Some("end") => {}
            Some("status") => {
                let lost = Refusal::unavailable("server is restarting");
                let _ = self.sender.send(Err(lost));
            }
            Some("reset") => self.reset.store(true, Ordering::SeqCst),
            _ => {
                if let Some(conn) = &self.conn {
                    conn.kill();
                }
            }
        }
    }
}

/// Event streams by profile and device.
pub(in super::super) type Channels = HashMap<(String, String), Channel>;

/// Makes a stream of events end with a reset instead of its trailers when `reset` is set by
/// then.
pub(in super::super) fn resettable(answer: Response, reset: Arc<AtomicBool>) -> Response {
    let (parts, body) = answer.into_parts();
    let data = Box::pin(body.into_data_stream());
    let steps = stream::unfold(Some((data, reset)), |state| async {
        let (mut data, reset) = state?;
        match data.next().await {
            Some(Ok(bytes)) => Some((Ok(bytes), Some((data, reset)))),
            _ if reset.load(Ordering::SeqCst) => Some((Err(broken()), None)),
            _ => None,
        }
    });
    Response::from_parts(parts, Body::from_stream(steps))
}

impl State {
    /// Sends an event of an upload, if anybody listens. What nobody hears is lost, but for
    /// requests: those are said again on the next channel.
    pub(super) fn emit(&mut self, id: &str, event: ChannelEvent) {
        let Some(upload) = self.uploads.get(id).filter(|upload| !upload.silent) else {
            return;
        };
        let account = upload.account.clone();
        let key = (account.profile.clone(), upload.device.clone());
        let Some(channel) = self.channels.get_mut(&key) else {
            return;
        };
        if channel.left == Some(0) {
            self.cut_channel(&key, account.knobs.text("cut_how").as_deref());
            return;
        }
        channel.left = channel.left.map(|left| left - 1);
        let reply = RemoteUploadChannelReply {
            upload_id: id.to_owned(),
            request: Some(event),
        };
        if channel.sender.send(Ok(reply)).is_err() {
            self.channels.remove(&key);
        }
    }

    /// Cuts the channel that an upload's events go to.
    pub(super) fn cut_channel_of(&mut self, id: &str) {
        if let Some(upload) = self.uploads.get(id) {
            let key = (upload.account.profile.clone(), upload.device.clone());
            let how = upload.account.knobs.text("cut_how");
            self.cut_channel(&key, how.as_deref());
        }
    }

    fn cut_channel(&mut self, key: &(String, String), how: Option<&str>) {
        if let Some(channel) = self.channels.remove(key) {
            channel.cut(how);
        }
    }

    /// Says the unanswered requests of an upload again.
    pub(super) fn repeat(&mut self, id: &str) {
        let events = self.uploads.get(id).map(|upload| upload.open_requests());
        for event in events.unwrap_or_default() {
            self.emit(id, event);
        }
    }
}

/// What listeners of the push stream are told: whose, how many run, which.
pub(super) type News = (String, u32, UploadFileInfo);

impl State {
    /// Changes an upload's status. A paused one takes it when it is resumed.
    pub(super) fn set_status(&mut self, id: &str, status: Status, error: &str) -> Option<News> {
        let upload = self.uploads.get_mut(id)?;
        if upload.paused && status != Status::Pause && !status.is_end() {
            upload.resume_to = status;
            return None;
        }
        upload.status = status;
        upload.error = error.to_owned();
        let info = upload.info(id);
        let profile = upload.account.profile.clone();
        self.emit(id, status_event(status, error));
        let own = self.uploads.values();
        let running = own
            .filter(|upload| upload.profile() == profile && upload.is_open())
            .count();
        Some((profile, u32::try_from(running).unwrap_or(u32::MAX), info))
    }
}

impl CloudDrive2 {
    /// Changes an upload's status and tells everybody.
    pub(super) fn set_status(&self, id: &str, status: Status, error: &str) {
        let news = self.state().set_status(id, status, error);
        self.spread(news);
    }

    /// Tells the listeners of the push stream.
    pub(super) fn spread(&self, news: Option<News>) {
        if let Some((profile, running, info)) = news {
            self.upload_moved(&profile, running, info);
        }
    }
}

impl Call {
    /// A second channel of a device ends the first. Requests without an answer are repeated,
    /// status changes that nobody heard are not.
    pub(in super::super) async fn open_channel(
        self,
        request: RemoteUploadChannelRequest,
        reset: Arc<AtomicBool>,
    ) -> Result<Answers<RemoteUploadChannelReply>, Refusal> {
        let device = request.device_id;
        if device.is_empty() {
            return Err(Refusal::invalid_argument("device_id is empty"));
        }
        let left = self.account.faults.take_number(self.op, FaultKind::Cut, 3);
        let profile = self.account.profile.clone();
        let (sender, receiver) = unbounded_channel();
        let key = (profile.clone(), device.clone());
        let channel = Channel {
            sender,
            left,
            conn: self.conn.clone(),
            reset,
        };
        let mut state = self.sim.state();
        if let Some(old) = state.channels.insert(key, channel)
            && !old.sender.is_closed()
        {
            self.account.meters.note("channel_replaced");
        }
        let token = self.access.token.clone();
        state.devices.by_token.insert(token, device.clone());
        state
            .devices
            .by_profile
            .insert(profile.clone(), device.clone());
        let mut own = Vec::new();
        for (id, upload) in &mut state.uploads {
            if upload.profile() != profile || !upload.is_open() {
                continue;
            }
            if upload.device.is_empty() {
                upload.device.clone_from(&device);
                own.push((id.clone(), true));
            } else if upload.device == device {
                own.push((id.clone(), false));
            }
        }
        let repeat_status = self.account.knobs.flag("repeat_status");
        for (id, first) in own {
            let upload = state.uploads.get(&id);
            let status = upload.map(|upload| status_event(upload.status, &upload.error));
            if let Some(status) = status.filter(|_| first || repeat_status) {
                state.emit(&id, status);
            }
            state.repeat(&id);
        }
        drop(state);
        let events = stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|event| (event, receiver))
        });
        Ok(Box::pin(events))
    }
}
