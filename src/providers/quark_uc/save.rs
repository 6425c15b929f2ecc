//! Taking over what a share hands out (sheet quark, 4.11): at the service, without bytes.

use serde_json::{Value, json};

use super::api::{Api, Call};
use super::error::{is_stale_ticket, may_be_done};
use super::names::RULES;
use super::share::token_of;
use super::task;
use super::write::{self, Before, Outcome, Wanted, made_by};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result, Shared, decode};

pub async fn save(api: &Api, shared: &Shared, parent: &NodeId, name: &str) -> Result<Node> {
    if shared.provider != api.brand.key {
        return Err(DriveError::unsupported(
            "saving from the share of another provider",
        ));
    }
    if decode::flag(&shared.ticket["is_owner"]) {
        return Err(DriveError::unsupported("saving from a share of one's own"));
    }
    let wanted = RULES.encode(name)?;
    // It arrives under the name it has in the share, and is renamed then.
    let own = RULES.encode(&shared.node.name)?;
    let before = Before::look(api, parent, &wanted, name).await?;
    let done = match request(api, shared, parent).await {
        Ok(answer) => task::finish(api, &answer, true).await,
        Err(error) => Err(error),
    };
    let (record, lost) = match done {
        Ok(record) => (record, None),
        Err(error) if may_be_done(&error) && error.code.is_none() => (Value::Null, Some(error)),
        Err(error) => return Err(error),
    };
    let id = match made_by(&record) {
        Some(id) => Some(id),
        None => {
            let wanted = Wanted {
                stored: &own,
                size: shared.node.size,
                kind: shared.node.kind,
            };
            before.appear(api, parent, &wanted).await?
        }
    };
    let id = match (id, lost) {
        (Some(id), _) => id,
        (None, Some(lost)) => return Err(lost),
        (None, None) => {
            return Err(DriveError::bad_answer(
                "save",
                "what was saved does not appear",
            ));
        }
    };
    let now = api.now();
    let arrived = Node {
        version: id.to_string(),
        id,
        parent: parent.clone(),
        modified: now,
        created: now,
        handle: None,
        raw: None,
        ..shared.node.clone()
    };
    if arrived.is_dir() {
        api.fresh.insert(arrived.id.clone(), ());
    }
    api.parents.insert(arrived.id.clone(), parent.clone());
    let arrived = match write::outcome(api, arrived).await? {
        Outcome::Named(node) | Outcome::Numbered(node) => node,
    };
    api.taken
        .made(parent, &RULES.encode(&arrived.name)?, &arrived.id);
    if arrived.name == name {
        return Ok(arrived);
    }
    match write::rename(api, &arrived, name).await {
        Ok(node) => Ok(node),
        Err(error) => {
            // Under another name it is not what was asked for.
            write::trash(api, &arrived).await?;
            Err(error)
        }
    }
}

/// The save call, with a fresh token of the share when the one handed out has run out.
async fn request(api: &Api, shared: &Shared, parent: &NodeId) -> Result<Value> {
    let field = |name: &str| {
        decode::nonempty(&shared.ticket[name])
            .ok_or_else(|| DriveError::new(ErrorKind::Invalid, format!("the share gave no {name}")))
    };
    let pwd_id = field("pwd_id")?;
    let mut stoken = field("stoken")?;
    let ticket = field("share_fid_token")?;
    let mut renewed = false;
    loop {
        let body = json!({
            "fid_list": [shared.node.id.as_str()],
            "fid_token_list": [ticket],
            "to_pdir_fid": parent.as_str(),
            "pwd_id": pwd_id,
            "stoken": stoken,
            "pdir_fid": "0",
            "scene": "link",
        });
        let call = Call::post("save", "/share/sharepage/save", body).once();
        match api.call(call).await {
            Err(error) if is_stale_ticket(&error) && !renewed => {
                renewed = true;
                let passcode = decode::text(&shared.ticket["passcode"]);
                stoken = token_of(api, &pwd_id, &passcode).await?;
            }
            other => return other,
        }
    }
}
