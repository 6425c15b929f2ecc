//! The push stream: what the server tells everybody who listens (clouddrive2.md section 4.3).

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::Status;

use super::super::account::Account;
use super::super::faults::FaultKind;
use super::CloudDrive2;
use super::gate::{Answers, Call};
use super::messages::{
    CloudDrivePushMessage, ExitedMessage, FileSystemChange, PushData, TransferTaskStatus,
    UploadFileInfo, change, push_type,
};

/// Who listens, by profile. Without listeners nothing is kept: there is no resume position.
#[derive(Default)]
pub(super) struct Listeners(HashMap<String, Vec<UnboundedSender<CloudDrivePushMessage>>>);

impl Listeners {
    fn tell(&mut self, profile: &str, message: &CloudDrivePushMessage) {
        if let Some(all) = self.0.get_mut(profile) {
            all.retain(|listener| listener.send(message.clone()).is_ok());
        }
    }

    fn add(&mut self, profile: &str) -> UnboundedReceiver<CloudDrivePushMessage> {
        let (sender, receiver) = unbounded_channel();
        self.0.entry(profile.to_owned()).or_default().push(sender);
        receiver
    }
}

impl CloudDrive2 {
    /// The server noticed a change of the tree.
    pub(super) fn noticed(
        &self,
        account: &Account,
        kind: i32,
        dir: bool,
        path: &str,
        new_path: Option<&str>,
    ) {
        let message = CloudDrivePushMessage {
            message_type: push_type::FILE_SYSTEM_CHANGE,
            data: Some(PushData::FileSystem(Box::new(FileSystemChange {
                change_type: kind,
                is_directory: dir,
                path: path.to_owned(),
                new_path: new_path.map(str::to_owned),
                the_file: None,
            }))),
        };
        self.state().listeners.tell(&account.profile, &message);
    }

    /// A test seeded something: the server sees it when the setting says so.
    pub(super) fn foreign_change(&self, account: &Account, id: &str) {
        if account.knobs.flag("notice_foreign") {
            let (path, dir) = {
                let tree = account.tree();
                let dir = tree.get(id).is_some_and(|node| node.is_dir());
                (super::paths::path_of(&tree, id), dir)
            };
            self.noticed(account, change::CREATE, dir, &path, None);
        }
    }

    /// An upload's status changed.
    pub(super) fn upload_moved(&self, profile: &str, running: u32, info: UploadFileInfo) {
        let message = CloudDrivePushMessage {
            message_type: push_type::UPLOADER_COUNT,
            data: Some(PushData::Transfer(TransferTaskStatus {
                upload_count: running,
                version: "1.0.0".to_owned(),
                upload_file_status_changes: vec![info],
                ..TransferTaskStatus::default()
            })),
        };
        self.state().listeners.tell(profile, &message);
    }

    /// Tells the listeners to go; reasons 1 to 3 end the logins as well.
    pub(super) fn force_exit(&self, account: &Account, reason: i32) {
        let message = CloudDrivePushMessage {
            message_type: push_type::FORCE_EXIT,
            data: Some(PushData::Exited(ExitedMessage {
                exit_reason: reason,
                message: "bye".to_owned(),
            })),
        };
        let mut state = self.state();
        state.listeners.tell(&account.profile, &message);
        // Without its sender a stream ends.
        state.listeners.0.remove(&account.profile);
        if (1..=3).contains(&reason) {
            state.tokens.end_jwts(&account.profile);
        }
    }
}

impl Call {
    /// The fault `cut` ends the stream after so many messages.
    pub(super) async fn push(self) -> Result<Answers<CloudDrivePushMessage>, Status> {
        let left = self.account.faults.take_number(self.op, FaultKind::Cut, 0);
        let receiver = self.sim.state().listeners.add(&self.account.profile);
        let messages = stream::unfold((receiver, left), |(mut receiver, left)| async move {
            if left == Some(0) {
                let lost = Status::unavailable("server is restarting");
                return Some((Err(lost), (receiver, Some(u64::MAX))));
            }
            let message = receiver.recv().await?;
            Some((Ok(message), (receiver, left.map(|left| left - 1))))
        });
        Ok(Box::pin(messages.boxed()))
    }
}
