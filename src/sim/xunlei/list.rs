//! Listings and their filters (xunlei.md sections 4.1 and 4.5).

use serde_json::{Map, Value, json};

use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::errors::ApiError;
use super::files::in_trash;
use super::gate::Ctx;
use super::{clients, spaces};

/// One condition of `filters`.
enum Condition {
    Trashed(bool),
    Phase(Vec<String>),
    Kind(Vec<String>),
}

impl Condition {
    fn holds(&self, node: &Node, trashed: bool) -> bool {
        let one_of = |all: &[String], value: &str| all.iter().any(|one| one == value);
        match self {
            Condition::Trashed(wanted) => trashed == *wanted,
            Condition::Phase(all) if node.pending => one_of(all, "PHASE_TYPE_PENDING"),
            Condition::Phase(all) => one_of(all, "PHASE_TYPE_COMPLETE"),
            Condition::Kind(all) if node.is_dir() => one_of(all, "drive#folder"),
            Condition::Kind(all) => one_of(all, "drive#file"),
        }
    }
}

/// Reads `filters`; none when it is empty.
fn conditions(filters: &str) -> Result<Vec<Condition>, ApiError> {
    if filters.is_empty() {
        return Ok(Vec::new());
    }
    let bad = |why: &str| ApiError::bad_request(&format!("filters: {why}"));
    let all: Map<String, Value> =
        serde_json::from_str(filters).map_err(|_| bad("not a JSON object"))?;
    let mut conditions = Vec::new();
    for (field, tests) in &all {
        let tests = tests.as_object().ok_or_else(|| bad("no operator"))?;
        for (operator, value) in tests {
            let text = value.as_str().unwrap_or("");
            let texts = || match operator.as_str() {
                "in" => text.split(',').map(|one| one.trim().to_owned()).collect(),
                _ => vec![text.to_owned()],
            };
            let flag = || {
                let written = text.parse().ok();
                value.as_bool().or(written).ok_or_else(|| bad("no boolean"))
            };
            conditions.push(match (field.as_str(), operator.as_str()) {
                ("trashed", "eq") => Condition::Trashed(flag()?),
                ("phase", "eq" | "in") => Condition::Phase(texts()),
                ("kind", "eq" | "in") => Condition::Kind(texts()),
                // There is no search (section 4.6).
                _ => return Err(bad("unknown field or operator")),
            });
        }
    }
    Ok(conditions)
}

/// A page token: where to go on, and after which entry that was.
fn token(at: usize, last: &str) -> String {
    format!("pt-{at:x}-{last}")
}

/// Where a page token goes on in `ids`.
fn start<'a>(token: &str, mut ids: impl ExactSizeIterator<Item = &'a str>) -> Option<usize> {
    if token.is_empty() {
        return Some(0);
    }
    let (at, last) = token.strip_prefix("pt-")?.split_once('-')?;
    let at = usize::from_str_radix(at, 16).ok()?;
    let length = ids.len();
    let found = ids.position(|id| id == last);
    Some(found.map_or(at, |index| index + 1).min(length))
}

/// A page of entries: those from the token on, at most `limit`, and the next token.
pub(super) fn page<'a>(
    entries: &'a [(Node, bool)],
    page_token: &str,
    limit: usize,
) -> Result<(&'a [(Node, bool)], String), ApiError> {
    let ids = entries.iter().map(|(node, _)| node.id.as_str());
    let from = start(page_token, ids).ok_or_else(|| ApiError::bad_request("page_token"))?;
    let to = entries.len().min(from.saturating_add(limit));
    let page = entries.get(from..to).unwrap_or_default();
    let next = match page.last() {
        _ if to >= entries.len() => String::new(),
        Some((last, _)) => token(to, &last.id),
        None => token(to, ""),
    };
    Ok((page, next))
}

/// The `limit` of a query; 100 when there is none, and never more than 500.
pub(super) fn limit(text: &str) -> Result<usize, ApiError> {
    match text {
        "" => Ok(100),
        text => match text.parse::<usize>() {
            Ok(limit @ 1..) => Ok(limit.min(500)),
            _ => Err(ApiError::bad_request("limit")),
        },
    }
}

impl Ctx<'_> {
    pub(super) async fn list(&self) -> Result<Value, ApiError> {
        let most = self.account.knobs.number("parallel_lists", u64::MAX);
        let lists = [(format!("lists {}", self.account.profile), most)];
        let _running = self.sim.streams.start(&lists);
        let _running = _running.ok_or_else(ApiError::too_frequent)?;
        // Others may come meanwhile: crawling in parallel is what the server notices (4.6).
        if most < u64::MAX {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let conditions = conditions(self.param("filters"))?;
        let mut limit = limit(self.param("limit"))?;
        let entries = self.entries(&conditions)?;
        if let Some(ids) = self.short_page(&entries)? {
            limit = limit.min(ids);
        }
        let (page, next) = page(&entries, self.param("page_token"), limit)?;
        let mut files = Vec::with_capacity(page.len() + 1);
        {
            let tree = self.account.tree();
            for (node, trashed) in page {
                files.push(self.render(&tree, node, *trashed));
            }
        }
        if self.has("with", "url") {
            for (file, (node, trashed)) in files.iter_mut().zip(page) {
                let links = self.sim.links(&self.account, node, &self.client);
                if let (Some(file), Some(links), false) = (file.as_object_mut(), links, trashed) {
                    file.extend(links);
                }
            }
        }
        let browser = self.client == clients::BROWSER_ID;
        let below = !matches!(self.param("parent_id"), "" | "*");
        if below && (browser || self.account.knobs.flag("stray_root")) {
            files.push(json!({
                "kind": "drive#folder", "id": "", "parent_id": "", "name": "", "size": "0",
                "folder_type": "DEFAULT_ROOT", "hash": "", "created_time": "",
                "modified_time": "", "phase": "PHASE_TYPE_COMPLETE", "trashed": false,
                "space": "",
            }));
        }
        let files = match self.account.faults.take("list", FaultKind::NullList) {
            Some(_) => Value::Null,
            None => Value::Array(files),
        };
        Ok(json!({
            "kind": "drive#fileList", "next_page_token": next, "version": "",
            "version_outdated": false, "files": files,
        }))
    }

    /// The fault `truncated_page`: half of what is left.
    fn short_page(&self, entries: &[(Node, bool)]) -> Result<Option<usize>, ApiError> {
        if self
            .account
            .faults
            .take("list", FaultKind::TruncatedPage)
            .is_none()
        {
            return Ok(None);
        }
        let (rest, _) = page(entries, self.param("page_token"), usize::MAX)?;
        Ok(Some(rest.len() / 2))
    }

    /// What the listing shows, and which of it is in the trash.
    fn entries(&self, conditions: &[Condition]) -> Result<Vec<(Node, bool)>, ApiError> {
        let wants_trash = conditions
            .iter()
            .any(|condition| matches!(condition, Condition::Trashed(true)));
        let now = self.now();
        let lag = self
            .account
            .faults
            .take_number("list", FaultKind::Lag, 20_000);
        let seen_until = lag.map_or(i64::MAX, |ms| {
            now.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX))
        });
        let root = self.root(self.space())?;
        let tree = self.account.tree();
        let nodes: Vec<&Node> = match self.param("parent_id") {
            // Anywhere goes with the trash only: what was put into it, from everywhere.
            "*" if wants_trash => {
                let all = tree.walk().into_iter();
                all.filter(|node| node.trashed.is_some())
                    .filter(|node| tree.root_of(&node.id) == Some(root.as_str()))
                    .collect()
            }
            "*" => return Err(ApiError::bad_request("parent_id")),
            "" => tree.all_children(&root).collect(),
            parent => {
                let (node, _) = self.entry(&tree, parent)?;
                if !node.is_dir() {
                    return Err(ApiError::not_found());
                }
                tree.all_children(parent).collect()
            }
        };
        let hidden = |node: &Node| {
            let until = node.extra.get("hidden_until").and_then(Value::as_i64);
            until.is_some_and(|until| now < until)
        };
        Ok(nodes
            .into_iter()
            .filter(|node| !spaces::is_root(&node.id))
            .filter(|node| node.created < seen_until && !hidden(node))
            .map(|node| (node, in_trash(&tree, &node.id)))
            .filter(|(node, trashed)| conditions.iter().all(|c| c.holds(node, *trashed)))
            .map(|(node, trashed)| (node.clone(), trashed))
            .collect())
    }
}
