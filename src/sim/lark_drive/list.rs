//! Folders, listings, metadata by token (section 4).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::super::digest::md5_hex;
use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::auth::Who;
use super::entries::{entry, kind, old_id, owner, owner_of, time, url};
use super::errors::ApiError;
use super::gate::{Ctx, number};

/// Most tokens of one query for metadata.
const METAS: usize = 200;

impl Ctx<'_> {
    /// `root_folder/meta`.
    pub(super) fn root_meta(&self) -> Result<Value, ApiError> {
        let what = if self.who == Who::Bot { "bot" } else { "user" };
        Ok(json!({
            "token": self.root(), "id": old_id(&self.account, &format!("{what} root")),
            "user_id": old_id(&self.account, what),
        }))
    }

    /// `folder/{token}/meta`.
    pub(super) fn folder_meta(&self) -> Result<Value, ApiError> {
        let node = self.folder(&self.token)?;
        let user = old_id(&self.account, "user");
        Ok(json!({
            "id": old_id(&self.account, &node.id), "name": node.name, "token": node.id,
            "parentId": match node.parent.as_str() {
                "" => "0".to_owned(),
                parent => old_id(&self.account, parent),
            },
            "ownUid": user, "createUid": user, "editUid": user,
        }))
    }

    /// `user_id_type` says what ids of users look like; only the default is here.
    fn check_user_id_type(&self) -> Result<(), ApiError> {
        match self.args.query("user_id_type") {
            "" | "open_id" | "union_id" | "user_id" => Ok(()),
            _ => Err(ApiError::field("user_id_type")),
        }
    }

    /// The entries of a folder as a listing knows them now, sorted.
    fn sorted(&self, folder: &str) -> Result<Vec<Node>, ApiError> {
        let created = match self.args.query("order_by") {
            "" | "EditedTime" => false,
            "CreatedTime" => true,
            _ => return Err(ApiError::parameter("order_by")),
        };
        let up = match self.args.query("direction") {
            "" | "DESC" => false,
            "ASC" => true,
            _ => return Err(ApiError::parameter("direction")),
        };
        let now = self.now();
        let mut nodes = self.account.listed(self.op, folder, now);
        let lag = number(&self.account, "list_lag_ms", 0);
        if lag > 0 {
            nodes.retain(|node| node.created < now.saturating_sub(lag));
        }
        nodes.sort_by(|a, b| {
            let order = match created {
                true => a.created.cmp(&b.created),
                false => a.modified.cmp(&b.modified),
            };
            let order = order.then_with(|| a.id.cmp(&b.id));
            if up { order } else { order.reverse() }
        });
        Ok(nodes)
    }

    /// One level of a folder. Without a token the root is listed, everything at once.
    pub(super) fn list(&self) -> Result<Value, ApiError> {
        self.check_user_id_type()?;
        let mut size = self.args.page_size(100)?;
        let told = self.args.query("folder_token");
        let folder = self.folder(told)?;
        let nodes = self.sorted(&folder.id)?;
        let bound = md5_hex(
            format!(
                "{} {} {} {}",
                self.account.profile,
                folder.id,
                self.args.query("order_by"),
                self.args.query("direction")
            )
            .as_bytes(),
        );
        let start = match self.args.query("page_token") {
            "" => 0,
            _ if told.is_empty() => return Err(ApiError::parameter("page_token")),
            token => page_start(token, &bound).ok_or_else(|| ApiError::parameter("page_token"))?,
        };
        if told.is_empty() {
            size = nodes.len();
        } else if let Some(cut) =
            self.account
                .faults
                .take_number(self.op, FaultKind::TruncatedPage, size as u64 / 2)
        {
            size = usize::try_from(cut).unwrap_or(size).clamp(1, size);
        }
        let page = nodes.iter().skip(start).take(size);
        let files: Vec<Value> = page.map(|node| entry(&self.account, node)).collect();
        let end = start.saturating_add(files.len());
        let more = end < nodes.len();
        let files = match self.struck(FaultKind::NullList) {
            true => Value::Null,
            false => json!(files),
        };
        let mut answer = Map::from_iter([
            ("files".to_owned(), files),
            ("has_more".to_owned(), json!(more)),
        ]);
        if more {
            let token = URL_SAFE_NO_PAD.encode(format!("{bound}@{end}"));
            answer.insert("next_page_token".to_owned(), json!(token));
        }
        Ok(Value::Object(answer))
    }

    /// Metadata of up to 200 tokens: neither a size nor a hash (section 4).
    pub(super) fn metas(&self) -> Result<Value, ApiError> {
        self.check_user_id_type()?;
        let docs = self.args.get("request_docs").and_then(Value::as_array);
        let docs = docs.filter(|docs| (1..=METAS).contains(&docs.len()));
        let docs = docs.ok_or_else(|| ApiError::field("request_docs"))?;
        let with_url = self.args.get("with_url") == Some(&json!(true));
        let (mut metas, mut failed) = (Vec::new(), Vec::new());
        for doc in docs {
            let text = |key: &str| doc.get(key).and_then(Value::as_str);
            let (Some(token), Some(told)) = (text("doc_token"), text("doc_type")) else {
                return Err(ApiError::field("request_docs"));
            };
            match self.meta(token, told, with_url) {
                Ok(meta) => metas.push(meta),
                Err(code) => failed.push(json!({ "token": token, "code": code })),
            }
        }
        let mut answer = json!({ "metas": metas });
        if !failed.is_empty() {
            answer["failed_list"] = json!(failed);
        }
        if self.struck(FaultKind::NullList) {
            answer["metas"] = Value::Null;
        }
        Ok(answer)
    }

    /// Metadata of one token, or the code of its failure. The sheet names no codes: these are
    /// of the sharing family, which this call belongs to.
    fn meta(&self, token: &str, told: &str, with_url: bool) -> Result<Value, i64> {
        if told == "shortcut" {
            return Err(970_002);
        }
        let node = self
            .typed(token, told)
            .map_err(|error| match error.code() {
                1_061_002 => 970_002,
                1_061_004 => 970_003,
                _ => 970_005,
            })?;
        let account = &self.account;
        let mut meta = json!({
            "doc_token": node.id, "doc_type": kind(&node), "title": node.name,
            "owner_id": owner_of(account, &node),
            "create_time": time(account, &node.id, node.created),
            "latest_modify_user": owner(account, self.who == Who::Bot),
            "latest_modify_time": time(account, &node.id, node.modified),
            "request_doc_info": { "doc_token": token, "doc_type": told },
        });
        if with_url {
            meta["url"] = json!(url(account, &node));
        }
        Ok(meta)
    }
}

/// Where a page starts, when its token is of this listing.
fn page_start(token: &str, bound: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.strip_prefix(bound)?.strip_prefix('@')?.parse().ok()
}
