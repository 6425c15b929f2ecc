//! Fast upload, pending entries and what becomes of stored bytes (xunlei.md sections 6 and 7).

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::clock::rfc3339_beijing;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::oss::{Answer, Finished};
use super::super::tree::Node;
use super::change::free_name;
use super::errors::ApiError;
use super::gate::Ctx;
use super::tasks::{self, Task};
use super::{BUCKET, State, Xunlei, is_hex, text, user_id};

/// Gcid of nothing.
const EMPTY_GCID: &str = "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709";

/// An upload that waits for bytes.
pub(super) struct Upload {
    /// The claimed gcid, upper case.
    pub gcid: String,
    /// Object key in the bucket.
    pub key: String,
}

/// What a create call asks for.
struct Wanted {
    name: String,
    size: u64,
    gcid: String,
}

impl Ctx<'_> {
    fn wanted(&self) -> Result<Wanted, ApiError> {
        let bad = |what: &str| Err(ApiError::bad_request(what));
        if text(&self.body, "kind") != "drive#file" {
            return bad("kind");
        }
        if text(&self.body, "upload_type") != "UPLOAD_TYPE_RESUMABLE" {
            return bad("upload_type is not one this server does");
        }
        let size = match self.body.get("size") {
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        let gcid = text(&self.body, "hash").to_uppercase();
        match size {
            _ if !is_hex(&gcid, 40) => bad("hash must be 40 hex digits"),
            None => bad("size"),
            Some(0) if gcid != EMPTY_GCID => bad("hash is not that of an empty file"),
            Some(size) => Ok(Wanted {
                name: self.name()?,
                size,
                gcid,
            }),
        }
    }

    /// `POST /drive/v1/files` with a gcid.
    pub(super) async fn create(&self) -> Result<Value, ApiError> {
        let wanted = self.wanted()?;
        let known = match wanted.size {
            0 => Some(Blob::bytes("")),
            size => self.sim.lookup(&wanted.gcid, size).await,
        };
        let mut state = self.sim.state();
        let mut tree = self.account.tree();
        let parent = self.folder(&tree, text(&self.body, "parent_id"), self.space())?;
        if tree.used().saturating_add(wanted.size) > self.limit() {
            return Err(ApiError::no_space());
        }
        if wanted.size > 0 {
            self.account.meters.rapid(known.is_some());
        }
        let name = free_name(&state, &tree, &parent, &wanted.name);
        let id = self.sim.file_id();
        let hit = known.is_some();
        let delay = self.knob_ms("hit_delay_ms", 0);
        let blob = known.unwrap_or_else(|| Blob::bytes(""));
        let mut node = Node::file(&id, &parent, &name, blob, self.now());
        node.pending = !hit || delay > 0;
        node.extra
            .insert("hash".to_owned(), json!(wanted.gcid.clone()));
        node.extra.insert("size".to_owned(), json!(wanted.size));
        tree.insert(node.clone());
        let file = self.render(&tree, &node, false);
        drop(tree);
        if node.pending {
            state.pending.insert(id.clone());
        }
        if !hit {
            return Ok(self.missed(&mut state, file, &name, wanted));
        }
        if node.pending {
            let due = self.now().saturating_add(delay);
            let task = Task {
                file_id: id,
                file_name: name,
                size: wanted.size,
                due: Some(due),
                ..Task::new(&self.account.profile, "upload", self.now())
            };
            self.sim.add_task_to(&mut state, task);
        }
        Ok(json!({ "upload_type": "UPLOAD_TYPE_UNKNOWN", "file": file, "task": null }))
    }

    /// The task and the credentials of a pending entry.
    fn missed(&self, state: &mut State, file: Value, name: &str, wanted: Wanted) -> Value {
        let key = format!("upload_tmp/{}", wanted.gcid);
        let life = self.knob_ms("sts_life_s", 43_200).saturating_mul(1000);
        let sts = self.sim.oss.issue(&self.account, BUCKET, Some(&key), life);
        state.keys.insert(sts.access_key_id.clone(), sts.clone());
        let host = self.sim.kit.base.trim_start_matches("http://");
        let task = Task {
            file_id: text(&file, "id").to_owned(),
            file_name: name.to_owned(),
            size: wanted.size,
            upload: Some(Upload {
                gcid: wanted.gcid,
                key: key.clone(),
            }),
            ..Task::new(&self.account.profile, "upload", self.now())
        };
        let id = self.sim.add_task_to(state, task);
        let user = user_id(&self.account);
        let shown = state
            .tasks
            .get(&id)
            .map(|task| self.sim.render_task(&id, task, &user));
        json!({
            "upload_type": "UPLOAD_TYPE_RESUMABLE",
            "resumable": {
                "kind": "drive#resumable", "provider": "PROVIDER_ALIYUN",
                "params": {
                    "access_key_id": sts.access_key_id, "access_key_secret": sts.access_key_secret,
                    "security_token": sts.security_token, "bucket": BUCKET,
                    "endpoint": format!("{BUCKET}.{host}"), "key": key,
                    "expiration": rfc3339_beijing(sts.expires),
                },
            },
            "file": file, "task": shown,
        })
    }
}

/// The store has an object: the pending entry gets its bytes. Of several uploads to one key
/// the newest takes them first.
pub(super) async fn stored(sim: Option<Arc<Xunlei>>, finished: Finished) -> Answer {
    let Some(sim) = sim else {
        return Answer::Failed("the server is gone".to_owned());
    };
    let account = &finished.account;
    let found = {
        let state = sim.state();
        let mut open = state.open.iter().rev();
        open.find_map(|id| {
            let task = state.tasks.get(id)?;
            let upload = task.upload.as_ref()?;
            let fits =
                task.profile == account.profile && task.due.is_none() && upload.key == finished.key;
            fits.then(|| (id.clone(), task.size, upload.gcid.clone()))
        })
    };
    let Some((id, size, gcid)) = found else {
        return Answer::Failed("no upload task waits for this object".to_owned());
    };
    let blob = &finished.blob;
    if blob.size() != size {
        return Answer::Failed(format!("{} bytes instead of {size}", blob.size()));
    }
    let honest = blob.digest(HashKind::Gcid).await.to_uppercase() == gcid;
    if !honest {
        account.meters.request("false_claim");
    }
    let refused = !honest && account.knobs.flag("verify_gcid");
    let delay = account.knobs.number("complete_delay_ms", 100);
    let delay = i64::try_from(delay).unwrap_or(i64::MAX);
    let mut guard = sim.state();
    let state = &mut *guard;
    let Some(task) = state.tasks.get_mut(&id) else {
        return Answer::Failed("the upload task was deleted".to_owned());
    };
    if refused {
        task.phase = tasks::ERROR;
        state.open.retain(|open| *open != id);
        return Answer::Failed("the content does not have the claimed hash".to_owned());
    }
    task.due = Some(sim.kit.clock.now_ms().saturating_add(delay));
    let (file_id, name) = (task.file_id.clone(), task.file_name.clone());
    state.index.claim(&gcid, blob);
    account.tree().update(&file_id, |node| {
        node.blob = Some(blob.clone());
    });
    drop(guard);
    sim.settle();
    match account.knobs.flag("callback_xml") {
        true => Answer::Plain,
        false => Answer::Json(json!({
            "bucket": finished.bucket, "object": finished.key, "size": size.to_string(),
            "file_id": file_id, "filename": name,
        })),
    }
}
