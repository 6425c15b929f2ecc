//! The share's page: token and listings (sheet quark, 4.11; sheet uc, 4.6).

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::digest::md5_hex;
use super::super::tree::Node;
use super::errors::ApiError;
use super::gate::Ctx;
use super::{QuarkUc, ROOT};

/// Entries per page at most.
const LIST_MOST: i64 = 200;

/// A share token that was given out.
pub(super) struct Token {
    expires: i64,
}

/// A token as `v2/detail` writes it.
pub(super) fn damaged(stoken: &str) -> String {
    stoken.replace('+', " ")
}

impl QuarkUc {
    /// What must come with a shared entry to take it over or ask for its link.
    pub(super) fn fid_token(&self, fid: &str) -> String {
        md5_hex(format!("{}|{}|{fid}", self.secret, self.link.0).as_bytes())
    }

    /// The share of an id, when it is open.
    fn open_share(&self, pwd_id: &str) -> Result<Arc<Account>, ApiError> {
        let share = self.kit.share.as_ref().filter(|_| pwd_id == self.link.0);
        let Some(share) = share else {
            return Err(ApiError::parameter("pwd_id"));
        };
        match share.knobs.text("share_state").as_deref() {
            Some("gone") => Err(ApiError::new(404, 41006, "分享不存在")),
            Some("cancelled") => Err(ApiError::new(400, 41010, "分享已取消")),
            Some("violation") => Err(ApiError::new(400, 41013, "文件涉及违规内容")),
            Some("invalid") => Err(ApiError::new(400, 41014, "分享已失效")),
            _ => Ok(share.clone()),
        }
    }

    /// A bad share or file token.
    pub(super) fn bad_token(&self) -> ApiError {
        ApiError::new(400, self.brand.token_code, "token invalid")
    }
}

impl Ctx<'_> {
    /// The open share that `pwd_id` and a live `stoken` name.
    pub(super) fn share(&self, pwd_id: &str, stoken: &str) -> Result<Arc<Account>, ApiError> {
        let share = self.sim.open_share(pwd_id)?;
        let state = self.sim.state();
        let token = state.tokens.get(stoken);
        match token.is_some_and(|token| self.now() < token.expires) {
            true => Ok(share),
            false => Err(self.sim.bad_token()),
        }
    }

    /// Checks id and passcode of the body; answers the share and a new token.
    fn enter(&self) -> Result<(Arc<Account>, String), ApiError> {
        let share = self.sim.open_share(self.args.text("pwd_id"))?;
        let wanted = share.knobs.text("passcode");
        let wanted = wanted.unwrap_or_else(|| self.sim.link.1.clone());
        match self.args.text("passcode") {
            _ if wanted == "none" => {}
            "" => return Err(ApiError::new(400, 41008, "需要提取码")),
            given if given == wanted => {}
            _ => return Err(ApiError::new(400, 41012, "提取码错误")),
        }
        // With the characters that break careless encoding.
        let ids = &self.sim.kit.ids;
        let stoken = format!("{}+{}/{}=", ids.hex(10), ids.hex(8), ids.hex(20));
        let life = share.knobs.number("stoken_seconds", 7200);
        let life = i64::try_from(life).unwrap_or(7200).saturating_mul(1000);
        let expires = self.now().saturating_add(life);
        let token = Token { expires };
        self.sim.state().tokens.insert(stoken.clone(), token);
        Ok((share, stoken))
    }

    fn token_info(&self, stoken: &str) -> Value {
        json!({
            "stoken": stoken, "title": "panfuse share", "expired_type": 1, "share_type": 0,
            "subscribed": false, "author": { "member_type": "NORMAL", "nick_name": "sharer" },
        })
    }

    /// `POST share/sharepage/token`.
    pub(super) fn share_token(&self) -> Result<Value, ApiError> {
        let (_, stoken) = self.enter()?;
        Ok(self.token_info(&stoken))
    }

    fn share_rows(
        &self,
        share: &Account,
        parent: &str,
        page: (usize, usize),
    ) -> Result<(Value, Value), ApiError> {
        let mut rows: Vec<Node> = {
            let tree = share.tree();
            if tree.live_dir(parent).is_none() {
                return Err(ApiError::gone());
            }
            tree.children(parent).cloned().collect()
        };
        rows.sort_by(|a, b| (!a.is_dir(), &a.name).cmp(&(!b.is_dir(), &b.name)));
        let listing = format!("{} share {parent}", self.account.profile);
        let (rows, metadata) = self.paged(&listing, rows, page);
        let one = |node: &Node| {
            let mut row = self.row(share, node);
            if let Some(row) = row.as_object_mut() {
                let token = json!(self.sim.fid_token(&node.id));
                row.insert("share_fid_token".to_owned(), token);
            }
            row
        };
        let list = self.list_value(rows.iter().map(one).collect());
        let share = json!({
            "title": "panfuse share", "share_id": md5_hex(self.sim.link.0.as_bytes()),
            "status": 1, "share_type": 0, "pwd_id": self.sim.link.0,
        });
        let data = json!({ "is_owner": 0, "share": share, "list": list });
        Ok((data, metadata))
    }

    /// `GET share/sharepage/detail`.
    pub(super) fn share_list(&self) -> Result<(Value, Value), ApiError> {
        let share = self.share(self.args.query("pwd_id"), self.args.query("stoken"))?;
        let page = self.args.page(50, LIST_MOST)?;
        let parent = match self.args.query("pdir_fid") {
            "" => ROOT,
            fid => fid,
        };
        self.share_rows(&share, parent, page)
    }

    /// `POST share/sharepage/v2/detail`: token and first page; the token's `+` arrives as a
    /// blank (sheet uc, section 11).
    pub(super) fn share_detail(&self) -> Result<(Value, Value), ApiError> {
        let (share, stoken) = self.enter()?;
        let number = |name: &str, default: i64| {
            let number = self.args.number(name).unwrap_or(default);
            usize::try_from(number.clamp(1, LIST_MOST)).unwrap_or(1)
        };
        let page = (number("page", 1), number("size", 50));
        let (detail, metadata) = self.share_rows(&share, ROOT, page)?;
        let token = self.token_info(&damaged(&stoken));
        let data = json!({ "token_info": token, "detail_info": detail });
        Ok((data, metadata))
    }
}
