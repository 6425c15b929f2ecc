//! What a share link shows, without any login (189cloud.md section 4.8). The share is the
//! whole tree of an account that nobody logs in to, or one file of it.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::oss::sign::{parse_query, value};
use super::super::tree::{Node, Tree};
use super::answer::{ApiError, ok, success};
use super::auth::Scope;
use super::doors::cookie;
use super::entries::{Place, id_value, number_value, revision, time_text};
use super::gate::{Args, Ctx, wants_xml};
use super::list::Paging;
use super::{Cloud189, ROOT, SHARE_CODE};

/// Id of the share.
pub(super) const SHARE_ID: &str = "12345678901";
/// Id of the shared folder: the tree's root as the link names it.
const FOLDER_ID: &str = "321450000000000017";

/// The code that opens the share; empty when it needs none.
pub(super) fn access_code(share: &Account) -> String {
    share
        .knobs
        .text("access_code")
        .unwrap_or_else(|| "ab12".to_owned())
}

/// The one file that is shared, by the setting `share_single`.
fn single(share: &Account, tree: &Tree) -> Option<Node> {
    let path = share
        .knobs
        .text("share_single")
        .filter(|path| !path.is_empty())?;
    tree.resolve(&path).filter(|node| !node.is_dir()).cloned()
}

/// Whether the link shows an entry.
pub(super) fn shows(share: &Account, tree: &Tree, id: &str) -> bool {
    single(share, tree).is_none_or(|node| node.id == id)
}

impl Cloud189 {
    /// The share, when it is open.
    pub(super) fn open_share(&self, share_id: &str) -> Result<&Arc<Account>, ApiError> {
        let share = self.kit.share.as_ref().filter(|_| share_id == SHARE_ID);
        let share = share.ok_or_else(|| ApiError::new("ShareInfoNotFound", "no such share"))?;
        check_state(share)?;
        Ok(share)
    }

    /// A call of the share: `API/open/share/..` or `WEB/api/open/share/..`.
    pub(super) async fn share_call(&self, parts: &Parts, path: &str) -> Response {
        let xml = wants_xml(&parts.headers);
        let query = parse_query(parts.uri.query().unwrap_or(""));
        let (op, by_code) = match path {
            "/open/share/getShareInfoByCodeV2.action" => ("share_info", true),
            "/open/share/checkAccessCode.action" => ("share_code", true),
            "/open/share/listShareDir.action" => ("list", false),
            _ => return super::answer::plain(404, "404 Not Found"),
        };
        let text = |name: &str| value(&query, name).unwrap_or("");
        let named = match by_code {
            true => text("shareCode") == SHARE_CODE,
            false => text("shareId") == SHARE_ID,
        };
        let Some(share) = self
            .kit
            .share
            .as_ref()
            .filter(|_| named && parts.method == "GET")
        else {
            let error = ApiError::new("ShareInfoNotFound", "no such share");
            return error.respond(false, xml, None);
        };
        let work = async {
            let answer = async {
                self.check_rate(share)?;
                check_state(share)?;
                match op {
                    "share_info" => Ok(self.share_info(share)),
                    "share_code" => self.check_code(share, text("accessCode")),
                    _ => self.list_share(share, parts, &query).await,
                }
            };
            match answer.await {
                Ok(body) => success(op, body, xml),
                Err(error) => error.respond(false, xml, Some(&share.knobs)),
            }
        };
        share
            .serve(op, |arg| ApiError::injected(arg, false), work)
            .await
    }

    fn share_info(&self, share: &Account) -> Value {
        let knobs = &share.knobs;
        let needs = !access_code(share).is_empty();
        let one = single(share, &share.tree());
        let (id, name, size, dir) = match &one {
            Some(node) => (node.id.as_str(), node.name.as_str(), node.size(), false),
            None => (FOLDER_ID, "pack", 0, true),
        };
        let time = one.as_ref().map_or(0, |node| node.modified);
        let mut info = ok(json!({
            "fileId": id_value(knobs, id, Place::Info), "fileName": name,
            "fileSize": number_value(knobs, size), "isFolder": dir,
            "needAccessCode": u64::from(needs), "shareMode": knobs.number("share_mode", 1),
            "shareType": 1, "expireTime": 6, "expireType": 1,
            "shareDate": 1_773_000_000_000_i64, "fileCreateDate": time_text(knobs, time),
            "fileLastOpTime": time_text(knobs, time), "reviewStatus": 1,
            "creator": { "nickName": "189****1234", "oper": false, "ownerAccount": "189" },
        }));
        let told = !needs || knobs.flag("share_id_early");
        if let Some(info) = info.as_object_mut().filter(|_| told) {
            info.insert("shareId".to_owned(), id_value(knobs, SHARE_ID, Place::List));
        }
        info
    }

    fn check_code(&self, share: &Account, code: &str) -> Result<Value, ApiError> {
        self.judge(share, code)?;
        let id = id_value(&share.knobs, SHARE_ID, Place::List);
        Ok(ok(json!({ "shareId": id })))
    }

    /// A code; after too many wrong ones no code is taken.
    fn judge(&self, share: &Account, code: &str) -> Result<(), ApiError> {
        let wanted = access_code(share);
        let mut state = self.state();
        if state.wrong_codes >= share.knobs.number("code_tries", 5) {
            let text = "too many wrong access codes";
            return Err(ApiError::new("ShareAccessCodeFaildCountOver", text));
        }
        if wanted.is_empty() || code == wanted {
            state.wrong_codes = 0;
            return Ok(());
        }
        state.wrong_codes += 1;
        Err(ApiError::new(
            "ShareAccessCodeNotMatch",
            "access code does not match",
        ))
    }

    /// `listShareDir.action`.
    async fn list_share(
        &self,
        share: &Arc<Account>,
        parts: &Parts,
        query: &Args,
    ) -> Result<Value, ApiError> {
        let text = |name: &str| value(query, name).unwrap_or("");
        let code = match text("accessCode") {
            "" => cookie(&parts.headers, &format!("share_{SHARE_ID}")),
            code => code,
        };
        self.judge(share, code)?;
        let mode = share.knobs.number("share_mode", 1);
        if mode == 5 {
            return Err(ApiError::new("PermissionDenied", "follow the owner first"));
        }
        if !matches!(text("shareMode"), "") && text("shareMode") != mode.to_string() {
            return Err(ApiError::argument("shareMode"));
        }
        let paging = Paging::read(share, Scope::Personal, text)?;
        let id = text("fileId");
        let dir = match text("isFolder") {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return Err(ApiError::argument("isFolder")),
        };
        let within = text("shareDirFileId");
        if dir && !within.is_empty() && within != id {
            return Err(ApiError::argument("shareDirFileId"));
        }
        let one = single(share, &share.tree());
        let (folder, nodes) = match (one, dir) {
            (Some(node), false) if node.id == id => (id.to_owned(), vec![node]),
            (None, false) => {
                let node = share.tree().live(id).filter(|node| !node.is_dir()).cloned();
                (id.to_owned(), vec![node.ok_or_else(ApiError::not_found)?])
            }
            (None, true) => {
                let folder = self.share_folder(share, id)?;
                let nodes = self.listed(share, "list", &folder);
                (folder, nodes)
            }
            _ => return Err(ApiError::not_found()),
        };
        let parent = if folder == ROOT {
            FOLDER_ID
        } else {
            folder.as_str()
        };
        let list = self
            .file_list(share, "list", &folder, nodes, &paging, parent)
            .await;
        Ok(ok(json!({
            "lastRev": revision(self.now()).parse::<u64>().ok(), "expireTime": 6,
            "expireType": 1, "fileListAO": list,
        })))
    }
}

impl Cloud189 {
    /// A folder inside the share; its top has an id of its own there.
    fn share_folder(&self, share: &Account, id: &str) -> Result<String, ApiError> {
        if id == FOLDER_ID {
            return Ok(ROOT.to_owned());
        }
        let tree = share.tree();
        let inside = tree.live(id).filter(|node| !node.parent.is_empty());
        match inside {
            Some(node) if node.is_dir() => Ok(node.id.clone()),
            Some(_) => Err(ApiError::new("FileNotFolderErrorCode", "not a folder")),
            None => Err(ApiError::new("ShareNotFoundFlatDir", "no such folder")),
        }
    }
}

fn check_state(share: &Account) -> Result<(), ApiError> {
    let (code, text) = match share.knobs.text("share_state").as_deref() {
        Some("expired") => ("ShareExpiredError", "the share is over"),
        Some("canceled") => ("ShareCanceled", "the share was cancelled"),
        Some("missing") => ("ShareNotFound", "no such share"),
        Some("waiting") => ("ShareAuditWaiting", "the share is under review"),
        Some("rejected") => ("ShareAuditNotPass", "the share was rejected"),
        _ => return Ok(()),
    };
    Err(ApiError::new(code, text))
}

impl Ctx<'_> {
    /// `getFileDownloadUrl.action` of the open door: own files, and with `shareId` those of a
    /// share; not for large ones.
    pub(super) fn open_link(&self) -> Result<Value, ApiError> {
        let id = self.need("fileId")?;
        let (owner, node) = match self.arg("shareId") {
            "" => {
                let node = self.node(&self.account.tree(), id).cloned();
                (self.account.clone(), node)
            }
            share_id => {
                let share = self.sim.open_share(share_id)?.clone();
                let node = {
                    let tree = share.tree();
                    tree.live(id).filter(|_| shows(&share, &tree, id)).cloned()
                };
                (share, node)
            }
        };
        let node = node
            .filter(|node| !node.is_dir())
            .ok_or_else(ApiError::not_found)?;
        if node.size() > self.account.knobs.number("web_link_max", 100 << 20) {
            return Err(ApiError::new(
                "FileTooLarge",
                "the file is too large for this door",
            ));
        }
        Ok(self.sim.link_answer(&self.account, &owner, &node))
    }
}
