//! Listings by page number, search, and the trash (189cloud.md sections 4.1, 4.6, 4.7).

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::faults::FaultKind;
use super::super::tree::{Node, Tree};
use super::Cloud189;
use super::answer::{ApiError, ok};
use super::auth::Scope;
use super::entries::{list_entry, number_value, revision};
use super::gate::Ctx;

/// How a listing is asked for.
pub(super) struct Paging {
    /// From 1.
    pub page: usize,
    /// Entries per page.
    pub size: usize,
    /// What it is sorted by.
    order: Order,
    descending: bool,
    /// 0 all, 1 files, 2 folders.
    kinds: u64,
}

#[derive(Clone, Copy)]
enum Order {
    Name,
    Size,
    Changed,
    Created,
}

fn whole(text: &str, name: &str, default: usize) -> Result<usize, ApiError> {
    match text {
        "" => Ok(default),
        text => text.parse().map_err(|_| ApiError::argument(name)),
    }
}

impl Paging {
    /// Reads the parameters; `arg` gives one by name.
    pub(super) fn read<'a>(
        account: &Account,
        scope: Scope,
        arg: impl Fn(&str) -> &'a str,
    ) -> Result<Paging, ApiError> {
        let page = whole(arg("pageNum"), "pageNum", 1)?;
        let size = whole(arg("pageSize"), "pageSize", 60)?;
        if page == 0 || size == 0 {
            return Err(ApiError::argument("pageNum"));
        }
        let most = account.knobs.number("page_max", 1000);
        let order = match (arg("orderBy"), scope) {
            ("", _) | ("filename", Scope::Personal) | ("1", Scope::Family) => Order::Name,
            ("filesize", Scope::Personal) | ("2", Scope::Family) => Order::Size,
            ("lastOpTime", Scope::Personal) | ("3", Scope::Family) => Order::Changed,
            ("createDate", Scope::Personal) => Order::Created,
            _ => return Err(ApiError::argument("orderBy")),
        };
        let descending = match arg("descending") {
            "" | "false" => false,
            "true" => true,
            _ => return Err(ApiError::argument("descending")),
        };
        let kinds = match arg("fileType") {
            "" | "0" => 0,
            "1" => 1,
            "2" => 2,
            _ => return Err(ApiError::argument("fileType")),
        };
        Ok(Paging {
            page,
            size: size.min(usize::try_from(most).unwrap_or(usize::MAX)).max(1),
            order,
            descending,
            kinds,
        })
    }

    /// Folders first, each kind in its order.
    fn arrange(&self, mut nodes: Vec<Node>) -> Vec<Node> {
        nodes.retain(|node| match self.kinds {
            1 => !node.is_dir(),
            2 => node.is_dir(),
            _ => true,
        });
        nodes.sort_by(|a, b| b.is_dir().cmp(&a.is_dir()).then_with(|| self.compare(a, b)));
        nodes
    }

    fn compare(&self, a: &Node, b: &Node) -> Ordering {
        let order = match self.order {
            Order::Name => a.name.cmp(&b.name),
            Order::Size => a.size().cmp(&b.size()),
            Order::Changed => a.modified.cmp(&b.modified),
            Order::Created => a.created.cmp(&b.created),
        };
        let order = if self.descending {
            order.reverse()
        } else {
            order
        };
        order.then_with(|| a.id.cmp(&b.id))
    }
}

fn child_count(tree: &Tree, id: &str) -> u64 {
    tree.children(id).count() as u64
}

impl Cloud189 {
    /// `fileListAO` of some entries: `count` is all of them on pages that have any, 0 on
    /// the page behind the last. The fault `truncated_page` leaves half a page to the pages
    /// that follow; `null_list` writes `null` for both lists.
    pub(super) async fn file_list(
        &self,
        account: &Account,
        op: &str,
        folder: &str,
        nodes: Vec<Node>,
        paging: &Paging,
        parent: &str,
    ) -> Value {
        let knobs = &account.knobs;
        let nodes = paging.arrange(nodes);
        let key = (account.profile.clone(), folder.to_owned(), paging.size);
        let truncated = account.faults.take(op, FaultKind::TruncatedPage).is_some();
        let (from, to) = {
            let shifts = &mut self.state().shifts;
            if paging.page == 1 {
                shifts.remove(&key);
            }
            let shift = shifts.entry(key).or_default();
            let from = (paging.page - 1)
                .saturating_mul(paging.size)
                .saturating_sub(*shift);
            let mut to = from.saturating_add(paging.size).min(nodes.len());
            if truncated {
                let kept = to.saturating_sub(from).div_ceil(2);
                *shift += to.saturating_sub(from) - kept;
                to = from.saturating_add(kept);
            }
            (from, to)
        };
        let shown = nodes.get(from..to).unwrap_or(&[]);
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        for node in shown {
            let children = child_count(&account.tree(), &node.id);
            let entry = list_entry(knobs, node, parent, children).await;
            if node.is_dir() {
                &mut folders
            } else {
                &mut files
            }
            .push(entry);
        }
        let count = if shown.is_empty() { 0 } else { nodes.len() };
        let null = account.faults.take(op, FaultKind::NullList).is_some();
        let list = |all: Vec<Value>| match null || (all.is_empty() && knobs.flag("null_empty")) {
            true => Value::Null,
            false => json!(all),
        };
        json!({
            "count": number_value(knobs, count as u64), "fileListSize": files.len(),
            "folderList": list(folders), "fileList": list(files),
        })
    }

    /// What a folder shows now.
    pub(super) fn listed(&self, account: &Account, op: &str, folder: &str) -> Vec<Node> {
        let lag = i64::try_from(account.knobs.number("list_lag_ms", 0)).unwrap_or(i64::MAX);
        let since = self.now().saturating_sub(lag);
        let mut nodes = account.listed(op, folder, self.now());
        nodes.retain(|node| lag == 0 || node.created < since);
        nodes
    }
}

impl Ctx<'_> {
    /// `listFiles.action`.
    pub(super) async fn list(&self) -> Result<Value, ApiError> {
        let paging = Paging::read(&self.account, self.scope, |name| self.arg(name))?;
        let folder = self.folder(&self.account.tree(), self.arg("folderId"))?;
        let nodes = self.sim.listed(&self.account, self.op, &folder);
        let parent = self.api_id(&folder);
        let account = &self.account;
        let list = self
            .sim
            .file_list(account, self.op, &folder, nodes, &paging, parent);
        let list = list.await;
        Ok(ok(
            json!({ "lastRev": revision(self.now()).parse::<u64>().ok(), "fileListAO": list }),
        ))
    }

    /// `searchFiles.action`: whoever's name holds the text.
    pub(super) async fn search(&self) -> Result<Value, ApiError> {
        let paging = Paging::read(&self.account, self.scope, |name| self.arg(name))?;
        let wanted = self.need("filename")?.to_lowercase();
        let deep = self.arg("recursive") == "1";
        let (folder, nodes) = {
            let tree = self.account.tree();
            let folder = self.folder(&tree, self.arg("folderId"))?;
            let here = |node: &Node| match deep {
                true => tree.is_below(&node.id, &folder) && tree.live(&node.id).is_some(),
                false => node.parent == folder && tree.live(&node.id).is_some(),
            };
            let all = tree.walk().into_iter();
            let all = all.filter(|node| here(node) && node.name.to_lowercase().contains(&wanted));
            let all: Vec<Node> = all.cloned().collect();
            (folder, all)
        };
        let parent = self.api_id(&folder);
        let key = format!("search {wanted} in {folder}");
        let account = &self.account;
        let list = self
            .sim
            .file_list(account, self.op, &key, nodes, &paging, parent);
        Ok(ok(list.await))
    }

    /// `listRecycleBinFiles.action`: what was thrown away, not what went with it.
    pub(super) async fn trash_list(&self) -> Result<Value, ApiError> {
        let paging = Paging::read(&self.account, self.scope, |name| self.arg(name))?;
        let root = self.root();
        let nodes: Vec<Node> = {
            let tree = self.account.tree();
            let all = tree.walk().into_iter();
            all.filter(|node| node.trashed.is_some() && tree.root_of(&node.id) == Some(&root))
                .cloned()
                .collect()
        };
        let account = &self.account;
        let mut list = self
            .sim
            .file_list(account, self.op, "trash", nodes, &paging, "")
            .await;
        for kind in ["fileList", "folderList"] {
            for entry in list
                .get_mut(kind)
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                let id = match entry.get("id") {
                    Some(Value::String(id)) => id.clone(),
                    Some(id) => id.to_string(),
                    None => continue,
                };
                let path = {
                    let tree = account.tree();
                    let parent = tree.get(&id).map(|node| node.parent.clone());
                    parent.map_or(String::new(), |parent| tree.path_of(&parent))
                };
                if let Some(entry) = entry.as_object_mut() {
                    entry.insert("pathStr".to_owned(), json!(path));
                }
            }
        }
        Ok(ok(list))
    }
}
