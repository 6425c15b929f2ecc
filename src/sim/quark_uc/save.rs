//! Taking a share over (sheet quark, 4.11, "save").

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::tree::{Node, Tree};
use super::QuarkUc;
use super::change::MANY;
use super::errors::ApiError;
use super::gate::Ctx;
use super::tasks::Work;

/// A shared entry with everything below it.
pub(super) struct Branch {
    node: Node,
    below: Vec<Branch>,
}

impl Branch {
    fn of(tree: &Tree, fid: &str) -> Option<Branch> {
        let node = tree.live(fid)?.clone();
        let below = tree.children(fid);
        let below = below.filter_map(|child| Branch::of(tree, &child.id));
        Some(Branch {
            below: below.collect(),
            node,
        })
    }

    fn bytes(&self) -> u64 {
        self.node.size() + self.below.iter().map(Branch::bytes).sum::<u64>()
    }
}

impl Ctx<'_> {
    /// `POST share/sharepage/save`.
    pub(super) fn share_save(&self) -> Result<(Value, Value), ApiError> {
        let share = self.share(self.args.text("pwd_id"), self.args.text("stoken"))?;
        let to = self.target("to_pdir_fid")?;
        let fids = match self.args.flag("pdir_save_all") {
            true => self.all_of(&share),
            false => self.chosen()?,
        };
        if fids.is_empty() {
            return Err(ApiError::new(400, 41026, "nothing to save"));
        }
        let tree = share.tree();
        let branches: Option<Vec<Branch>> = fids.iter().map(|fid| Branch::of(&tree, fid)).collect();
        drop(tree);
        let branches = branches.ok_or_else(ApiError::gone)?;
        self.submit("分享-转存", Work::Save { branches, to })
    }

    /// Everything in the folder `pdir_fid` of the share, less `exclude_fids`.
    fn all_of(&self, share: &Account) -> Vec<String> {
        let parent = match self.args.text("pdir_fid") {
            "" => super::ROOT,
            fid => fid,
        };
        let left_out = self.args.get("exclude_fids").and_then(Value::as_array);
        let left_out: HashSet<&str> = left_out
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let tree = share.tree();
        let children = tree.children(parent);
        children
            .map(|node| node.id.clone())
            .filter(|fid| !left_out.contains(fid.as_str()))
            .collect()
    }

    /// The entries of `fid_list`, each with its token.
    fn chosen(&self) -> Result<Vec<String>, ApiError> {
        let count = self.args.get("fid_list").and_then(Value::as_array);
        if count.is_some_and(|list| list.len() > MANY) {
            let text = "单次转存文件个数超出用户等级限制";
            return Err(ApiError::new(400, 14001, text));
        }
        if count.is_none_or(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let fids = self.args.ids("fid_list", MANY)?;
        let tokens = self.args.ids("fid_token_list", MANY)?;
        self.check_tokens(&fids, &tokens)?;
        Ok(fids)
    }

    /// Each shared entry needs its own token.
    pub(super) fn check_tokens(&self, fids: &[String], tokens: &[String]) -> Result<(), ApiError> {
        let mut pairs = fids.iter().zip(tokens);
        let good = fids.len() == tokens.len()
            && pairs.all(|(fid, token)| self.sim.fid_token(fid) == *token);
        match good {
            true => Ok(()),
            false => Err(self.sim.bad_token()),
        }
    }
}

impl QuarkUc {
    fn plant(&self, tree: &mut Tree, branch: &Branch, parent: &str, name: &str) -> String {
        let now = self.kit.clock.now_ms();
        let fid = self.kit.ids.hex(32);
        tree.insert(Node {
            id: fid.clone(),
            parent: parent.to_owned(),
            name: name.to_owned(),
            created: now,
            modified: now,
            ..branch.node.clone()
        });
        for child in &branch.below {
            self.plant(tree, child, &fid, &child.node.name);
        }
        fid
    }

    /// The work of a save: new entries under free names, all or none.
    pub(super) fn run_save(
        &self,
        account: &Arc<Account>,
        branches: &[Branch],
        to: &str,
    ) -> Result<Value, ApiError> {
        let bytes: u64 = branches.iter().map(Branch::bytes).sum();
        if bytes > self.free_space(account) {
            return Err(ApiError::capacity());
        }
        let (fids, to_name) = {
            let mut tree = account.tree();
            let dir = tree.live_dir(to).ok_or_else(ApiError::no_folder)?;
            let to_name = match dir.name.as_str() {
                "" => "全部文件".to_owned(),
                name => name.to_owned(),
            };
            let plant = |branch: &Branch| {
                let name = tree.free_name(to, &branch.node.name);
                self.plant(&mut tree, branch, to, &name)
            };
            let fids: Vec<String> = branches.iter().map(plant).collect();
            (fids, to_name)
        };
        for fid in &fids {
            self.note(account, fid, None);
        }
        let told: Vec<&String> = fids.iter().take(MANY).collect();
        Ok(json!({ "save_as": {
            "to_pdir_fid": to, "to_pdir_name": to_name, "save_as_top_fids": told,
            "min_save_file_size": 1, "search_exit": false,
        }}))
    }
}
