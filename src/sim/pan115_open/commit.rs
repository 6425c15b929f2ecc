//! What 115 does when the store reports an object: check it against the task, make a file
//! of it (115_open.md sections 7.4 and 11.6).

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::faults::FaultKind;
use super::super::oss::{Answer, Finished};
use super::errors::ApiError;
use super::upload::Task;
use super::{Pan115, Params, pickcode, user_id};

/// Operation in meters and faults.
const OP: &str = "callback";

/// The store's question. Without callback headers nobody asks 115: the object is stored,
/// the store answers for itself and there is no file.
pub(super) async fn callback(sim: Option<Arc<Pan115>>, finished: Finished) -> Answer {
    if finished.callback.is_none() {
        return Answer::Plain;
    }
    let Some(sim) = sim else {
        return Answer::Failed("the server is going down".to_owned());
    };
    let account = finished.account.clone();
    account.meters.request(OP);
    if let Some(code) = account.faults.take(OP, FaultKind::Errno) {
        let code = code.trim().parse().unwrap_or(990_003);
        return Answer::Json(ApiError::new(code, "injected fault").document());
    }
    if account.faults.take(OP, FaultKind::CommitFail).is_some() {
        return Answer::Json(ApiError::new(990_003, "injected fault").document());
    }
    match sim.take_over(&finished).await {
        Ok(document) => Answer::Json(document),
        Err(error) => Answer::Json(error.document()),
    }
}

impl Pan115 {
    /// The task that a callback's body belongs to, when everything in it fits.
    async fn reported(&self, finished: &Finished) -> Result<(String, Task), ApiError> {
        let refused = |what: &str| ApiError::new(990_002, &format!("callback: {what}"));
        let body = finished.callback_body().await;
        let body = Params::parse(&body.ok_or_else(|| refused("callbackBody"))?);
        let pick_code = body.text("pick_code");
        let task = self.state().tasks.get(pick_code).cloned();
        let task = task.ok_or_else(|| refused("pick_code"))?;
        let user = user_id(&task.account).to_string();
        let size = finished.blob.size().to_string();
        let target = format!("U_1_{}", task.parent);
        for (field, right) in [
            ("user_id", user.as_str()),
            ("bucket", &finished.bucket),
            ("object", &task.object),
            ("target", &target),
            ("size", &size),
            ("source", task.source()),
            ("task_uid", task.uid.as_deref().unwrap_or("")),
        ] {
            if body.text(field) != right {
                return Err(refused(field));
            }
        }
        // The key of a cookie client may be handed out to nobody in particular.
        let own = task.account.number == finished.account.number || task.uid.is_some();
        if !own || task.object != finished.key {
            return Err(refused("object"));
        }
        // Without `sequential` (or x-oss-enable-sha1) the store does not know it.
        let claimed = body.text("sha1").to_uppercase();
        let real = finished
            .blob
            .digest(super::super::digest::HashKind::Sha1)
            .await
            .to_uppercase();
        if claimed != task.sha1 || real != task.sha1 || finished.blob.size() != task.size {
            return Err(ApiError::new(990_003, "文件校验失败: sha1"));
        }
        Ok((pick_code.to_owned(), task))
    }

    async fn take_over(&self, finished: &Finished) -> Result<Value, ApiError> {
        let (pick_code, task) = self.reported(finished).await?;
        let id = self.kit.ids.decimal(19);
        let blob = finished.blob.clone();
        let file = self
            .publish(
                &task.account,
                &task.parent,
                &task.name,
                &task.sha1,
                blob,
                id,
            )
            .await;
        self.state().tasks.remove(&pick_code);
        Ok(json!({
            "state": true, "code": 0, "message": "",
            "data": {
                "pick_code": pickcode::encode(&file.id, false, task.account.number),
                "file_name": file.name, "file_size": file.size(), "file_id": file.id,
                "thumb_url": "", "sha1": task.sha1, "aid": 1, "cid": file.parent,
                "is_video": 0, "file_ptime": file.created.div_euclid(1000),
            },
        }))
    }
}
