//! Share links of apps (baidu_netdisk.md section 4.9): a service that an app has to buy, so only
//! tokens open it. Which of the two refusals -40001 and -40002 means which argument is not in the
//! sheet: here the first is the period and the second the password.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Value, json};

use super::super::account::Account;
use super::errors::{ApiError, plain};
use super::{Args, Baidu, Ctx};

/// Longest life in days.
const DAYS_MAX: u64 = 365;
const DAY_MS: i64 = 86_400_000;

/// A link.
pub(super) struct Share {
    account: Arc<Account>,
    ids: Vec<String>,
    pwd: String,
    expires: i64,
}

impl Ctx<'_> {
    /// `POST /apaas/1.0/share/set`.
    pub(super) fn share_create(&self) -> Result<Value, ApiError> {
        if self.cookie {
            return Err(ApiError::new(100, "access_token missing"));
        }
        if self.query.text("product") != "netdisk" {
            return Err(ApiError::new(2, "param error: product"));
        }
        if self.query.text("appid") != super::auth::APP_ID {
            return Err(ApiError::new(2, "param error: appid"));
        }
        if self.account.knobs.text("share_service").as_deref() == Some("missing") {
            return Err(ApiError::new(13998, "share service not bought"));
        }
        let period = match self.form.required("period")?.parse::<u64>() {
            Ok(days) if (1..=DAYS_MAX).contains(&days) => days,
            _ => return Err(ApiError::new(-40001, "period is wrong")),
        };
        let pwd = self.form.text("pwd");
        let good = |c: u8| c.is_ascii_digit() || c.is_ascii_lowercase();
        if pwd.len() != 4 || !pwd.bytes().all(good) {
            return Err(ApiError::new(-40002, "pwd is wrong"));
        }
        let ids = self.shared_ids()?;
        let number = self.sim.kit.ids.decimal(11);
        let short = format!("1{}", self.sim.kit.ids.hex(22));
        let days = i64::try_from(period).unwrap_or(0);
        let share = Share {
            account: self.account.clone(),
            ids,
            pwd: pwd.to_owned(),
            expires: self.now().saturating_add(days * DAY_MS),
        };
        self.sim.state().shares.insert(short.clone(), share);
        let link = format!("{}/s/{short}?pwd={pwd}", self.sim.kit.base);
        Ok(json!({ "show_msg": "", "data": {
            "share_id": number.parse::<u64>().unwrap_or(0), "short_url": short, "link": link,
            "period": period, "pwd": pwd, "remark": self.form.text("remark"),
        } }))
    }

    /// `fsid_list`: texts, not numbers, of nodes that are there.
    fn shared_ids(&self) -> Result<Vec<String>, ApiError> {
        let list = self.form.array("fsid_list")?;
        if list.is_empty() {
            return Err(ApiError::new(2, "param error: fsid_list"));
        }
        let tree = self.account.tree();
        let mut ids = Vec::with_capacity(list.len());
        for id in &list {
            let id = id.as_str().filter(|id| id.parse::<u64>().is_ok());
            let id = id.ok_or_else(|| ApiError::new(2, "param error: fsid_list"))?;
            let live = tree.live(id).filter(|node| !node.parent.is_empty());
            live.ok_or_else(ApiError::not_found)?;
            ids.push(id.to_owned());
        }
        Ok(ids)
    }
}

impl Baidu {
    /// What a visitor of a link sees: the paths of what is shared, a line each.
    pub(super) fn visit(&self, short: &str, query: &Args) -> Response {
        let (account, ids) = {
            let state = self.state();
            let share = state.shares.get(short);
            let Some(share) = share.filter(|share| self.kit.clock.now_ms() < share.expires) else {
                return plain(404, "the share is not there, or not any more");
            };
            if query.text("pwd") != share.pwd {
                return plain(403, "wrong password");
            }
            (share.account.clone(), share.ids.clone())
        };
        let tree = account.tree();
        let live = ids.iter().filter(|id| tree.live(id).is_some());
        let paths: Vec<String> = live.map(|id| tree.path_of(id)).collect();
        plain(200, &paths.join("\n"))
    }
}
