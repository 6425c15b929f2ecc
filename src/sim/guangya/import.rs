//! From a hit or stored bytes to a file (sections 6.2 step 3 and 11): a task has no file until
//! its import is over, and its polls are told 147 so long.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::faults::FaultKind;
use super::super::oss::{Answer, Finished};
use super::super::tree::Node;
use super::change::taken;
use super::errors::ApiError;
use super::gate::{Ctx, number};
use super::upload::{Stage, Upload};
use super::{Guangya, State};

/// Bytes an account may hold.
pub(super) fn space(account: &Account) -> u64 {
    account.knobs.number("total_size", 10 << 40)
}

/// A content on its way to become a file.
pub(super) struct Import {
    blob: Blob,
    gcid: String,
    /// Nobody sent its bytes.
    flash: bool,
    polls_left: u64,
    due: i64,
}

impl Import {
    pub(super) fn start(
        account: &Account,
        blob: Blob,
        gcid: String,
        flash: bool,
        now: i64,
    ) -> Import {
        Import {
            blob,
            gcid,
            flash,
            polls_left: account.knobs.number("import_polls", 1),
            due: now.saturating_add(number(account, "import_ms", 3000)),
        }
    }

    /// Whether nobody sent its bytes.
    pub(super) fn is_flash(&self) -> bool {
        self.flash
    }
}

impl Guangya {
    /// Makes a file of a content, or says why there will be none.
    fn import(&self, upload: &Upload, import: &Import) -> Stage {
        let account = &upload.account;
        let now = self.kit.clock.now_ms();
        let mut tree = account.tree();
        if tree.live_dir(&upload.parent).is_none() {
            return Stage::Failed(143);
        }
        // Somebody may have taken the name or the space since the token call.
        if let Some((_, error)) = taken(&tree, &upload.parent, &upload.name) {
            return Stage::Failed(error.code());
        }
        if tree.used().saturating_add(import.blob.size()) > space(account) {
            return Stage::Failed(157);
        }
        let id = self.file_id();
        let blob = import.blob.clone();
        let mut node = Node::file(&id, &upload.parent, &upload.name, blob, now);
        node.extra.insert("gcid".to_owned(), json!(import.gcid));
        tree.insert(node);
        drop(tree);
        self.kit.inventory.add(&import.blob);
        if import.flash {
            account.meters.rapid(true);
        }
        Stage::Done(id)
    }

    /// Ends an import that is over.
    fn finish(&self, state: &mut State, id: &str) {
        let Some(upload) = state.uploads.get_mut(id) else {
            return;
        };
        let Stage::Importing(import) = std::mem::replace(&mut upload.stage, Stage::New) else {
            return;
        };
        upload.stage = self.import(upload, &import);
        if matches!(upload.stage, Stage::Done(_)) {
            let profile = upload.account.profile.clone();
            *state.imported.entry(profile).or_default() += import.blob.size();
        }
    }

    /// Ends the imports that nobody polled for.
    pub(super) fn settle_imports(&self) {
        let now = self.kit.clock.now_ms();
        let mut state = self.state();
        let uploads = state.uploads.iter();
        let due: Vec<String> = uploads
            .filter(|(_, upload)| match &upload.stage {
                Stage::Importing(import) => now >= import.due,
                _ => false,
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.finish(&mut state, &id);
        }
    }
}

impl Ctx<'_> {
    /// `get_info_by_task_id`.
    pub(super) fn upload_info(&self) -> Result<Value, ApiError> {
        let id = self.args.required("taskId")?;
        let failure = self.account.faults.take(self.op, FaultKind::CommitFail);
        let over = self.upload(id, |upload| {
            if let Some(arg) = failure
                && !matches!(upload.stage, Stage::Done(_))
            {
                upload.stage = Stage::Failed(arg.trim().parse().unwrap_or(0));
            }
            Ok(match &mut upload.stage {
                Stage::Importing(import) if import.polls_left > 0 => {
                    import.polls_left -= 1;
                    false
                }
                Stage::Importing(_) => true,
                _ => false,
            })
        })?;
        if over {
            self.sim.finish(&mut self.sim.state(), id);
        }
        let file = self.upload(id, |upload| match &upload.stage {
            Stage::New | Stage::Importing(_) => Err(ApiError::importing()),
            // No error and no file: there will never be one.
            Stage::Failed(0) => Ok(None),
            Stage::Failed(code) => Err(ApiError::new(*code, "导入失败")),
            Stage::Done(file) => Ok(Some(file.clone())),
        })?;
        let Some(file) = file else {
            return Ok(json!({ "taskId": id }));
        };
        let tree = self.account.tree();
        match tree.live(&file) {
            Some(node) => Ok(self.made(node)),
            None => Err(ApiError::new(146, "文件不存在")),
        }
    }
}

/// The store has an object. It takes everything; what does not fit its task fails there.
pub(super) async fn stored(sim: Option<Arc<Guangya>>, finished: Finished) -> Answer {
    let Some(sim) = sim else {
        return Answer::Failed("the server is gone".to_owned());
    };
    let waits = |upload: &Upload| {
        upload.account.profile == finished.account.profile
            && upload.key == finished.key
            && matches!(upload.stage, Stage::New)
    };
    let found = {
        let state = sim.state();
        let mut all = state.uploads.iter();
        let found = all.find(|(_, upload)| waits(upload));
        found.map(|(id, upload)| (id.clone(), upload.size, upload.claims.clone()))
    };
    let Some((id, size, claims)) = found else {
        return Answer::Plain;
    };
    let blob = finished.blob.clone();
    let honest = blob.size() == size && claims.fit(&blob).await;
    let gcid = blob.digest(HashKind::Gcid).await.to_uppercase();
    let now = sim.kit.clock.now_ms();
    let mut state = sim.state();
    if let Some(upload) = state.uploads.get_mut(&id).filter(|upload| waits(upload)) {
        upload.stage = match honest && upload.check_age(now).is_ok() {
            true => Stage::Importing(Import::start(&finished.account, blob, gcid, false, now)),
            // Internal error: the bytes are not what was announced (section 11, note 7).
            false => Stage::Failed(100),
        };
    }
    Answer::Plain
}
