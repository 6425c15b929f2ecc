//! The upload list and what can be done to uploads (clouddrive2.md sections 4, 7.7).

use tonic::Status as Refusal;

use super::super::CloudDrive2;
use super::super::gate::Call;
use super::super::messages::{
    Control, GetUploadFileCountResult, GetUploadFileListRequest, GetUploadFileListResult,
    RemoteUploadControlRequest, Status, UploadFileInfo,
};
use super::FORGOTTEN;

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl CloudDrive2 {
    /// Cancels, pauses or resumes an upload. Answers whether there is one; one that has ended
    /// stays as it is. The effect is seen as a status only.
    fn change_upload(&self, profile: &str, id: &str, change: Control) -> bool {
        let news = {
            let mut state = self.state();
            let upload = state.uploads.get_mut(id);
            let Some(upload) = upload.filter(|upload| upload.profile() == profile) else {
                return false;
            };
            if !upload.is_open() {
                return true;
            }
            let shown = match change {
                Control::Cancel(()) => {
                    upload.cancelled = true;
                    None
                }
                Control::Pause(()) if !upload.paused => {
                    upload.paused = true;
                    upload.resume_to = upload.status;
                    Some(Status::Pause)
                }
                Control::Resume(()) if upload.paused => {
                    upload.paused = false;
                    Some(upload.resume_to)
                }
                _ => None,
            };
            upload.wake.notify_one();
            let news = shown.and_then(|status| state.set_status(id, status, ""));
            if change == Control::Resume(()) {
                state.repeat(id);
            }
            news
        };
        self.spread(news);
        true
    }

    /// All running uploads of an account are forgotten, as by a server that lost its state.
    pub(in super::super) fn forget_uploads(&self, profile: &str) {
        let mut state = self.state();
        state
            .uploads
            .retain(|_, upload| upload.profile() != profile || !upload.is_open());
    }
}

impl Call {
    pub(in super::super) async fn control(
        self,
        request: RemoteUploadControlRequest,
    ) -> Result<(), Refusal> {
        let control = request
            .control
            .ok_or_else(|| Refusal::invalid_argument("control is missing"))?;
        let profile = &self.account.profile;
        match self.sim.change_upload(profile, &request.upload_id, control) {
            true => Ok(()),
            false => Err(Refusal::not_found(FORGOTTEN)),
        }
    }

    /// The same by keys, or for all.
    pub(in super::super) async fn change_uploads(
        self,
        keys: Option<Vec<String>>,
    ) -> Result<(), Refusal> {
        let change = match self.op {
            "upload_pause" => Control::Pause(()),
            "upload_resume" => Control::Resume(()),
            _ => Control::Cancel(()),
        };
        let keys = keys.unwrap_or_else(|| {
            let state = self.sim.state();
            let all = state.uploads.iter();
            all.filter(|(_, upload)| upload.profile() == self.account.profile)
                .map(|(id, _)| id.clone())
                .collect()
        });
        for key in keys {
            if !self.sim.change_upload(&self.account.profile, &key, change) {
                return Err(Refusal::not_found(format!("key {key} not found")));
            }
        }
        Ok(())
    }

    /// Uploads in the order of their start. The first page is number 1; 0 is taken for it too,
    /// unless the setting `first_page` says that 0 is the first.
    pub(in super::super) async fn upload_list(
        self,
        request: GetUploadFileListRequest,
    ) -> Result<GetUploadFileListResult, Refusal> {
        let all: Vec<UploadFileInfo> = {
            let state = self.sim.state();
            let own = state.uploads.iter();
            own.filter(|(_, upload)| upload.profile() == self.account.profile)
                .map(|(id, upload)| upload.info(id))
                .collect()
        };
        let total_count = count(all.len());
        let (total_bytes, finished_bytes) = all.iter().fold((0_u64, 0_u64), |sum, info| {
            let done = info.transfered_bytes;
            (sum.0.saturating_add(info.size), sum.1.saturating_add(done))
        });
        let filtered: Vec<UploadFileInfo> = all
            .into_iter()
            .filter(|info| info.dest_path.contains(&request.filter))
            .filter(|info| request.status_filter.is_none_or(|s| s == info.status_enum))
            .filter(|info| {
                let wanted = request.operator_type_filter;
                wanted.is_none_or(|wanted| wanted == info.operator_type)
            })
            .collect();
        let total_count_filtered = count(filtered.len());
        let upload_files = match (request.get_all, request.items_per_page as usize) {
            (true, _) => filtered,
            (false, 0) => return Err(Refusal::invalid_argument("itemsPerPage")),
            (false, items) => {
                let first = self.account.knobs.number("first_page", 1);
                let page = u64::from(request.page_number).saturating_sub(first);
                let skip = usize::try_from(page).unwrap_or(usize::MAX);
                let skip = skip.saturating_mul(items);
                filtered.into_iter().skip(skip).take(items).collect()
            }
        };
        Ok(GetUploadFileListResult {
            total_count,
            upload_files,
            global_bytes_per_second: 0.0,
            total_bytes,
            finished_bytes,
            total_count_filtered,
        })
    }

    pub(in super::super) async fn upload_count(self) -> Result<GetUploadFileCountResult, Refusal> {
        let state = self.sim.state();
        let own = state.uploads.values();
        let open =
            own.filter(|upload| upload.profile() == self.account.profile && upload.is_open());
        Ok(GetUploadFileCountResult {
            file_count: count(open.count()),
        })
    }
}
