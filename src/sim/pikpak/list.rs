//! Listings and their filters (pikpak.md sections 4.1 and 4.5).

use serde_json::{Map, Value, json};

use super::super::clock::{parse_rfc3339, rfc3339_beijing};
use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::errors::ApiError;
use super::files::in_trash;
use super::gate::Ctx;

/// One condition of `filters`.
enum Condition {
    Trashed(bool),
    Phase(Vec<String>),
    Kind(Vec<String>),
    Starred(bool),
    After(i64),
    Before(i64),
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
            Condition::Starred(wanted) => node.extra.contains_key("starred") == *wanted,
            Condition::After(time) => node.modified > *time,
            Condition::Before(time) => node.modified < *time,
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
            let time = || parse_rfc3339(text).ok_or_else(|| bad("no time"));
            conditions.push(match (field.as_str(), operator.as_str()) {
                ("trashed", "eq") => Condition::Trashed(flag()?),
                ("starred", "eq") => Condition::Starred(flag()?),
                ("phase", "eq" | "in") => Condition::Phase(texts()),
                ("kind", "eq" | "in") => Condition::Kind(texts()),
                ("modified_time", "gt") => Condition::After(time()?),
                ("modified_time", "lt") => Condition::Before(time()?),
                ("system_tag", "in") if text == "STAR" => Condition::Starred(true),
                ("name", _) => return Err(ApiError::not_found()),
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

impl Ctx<'_> {
    pub(super) async fn list(&self) -> Result<Value, ApiError> {
        let filters = self.param("filters");
        let conditions = conditions(filters)?;
        let limit = match self.param("limit") {
            "" => 100,
            text => match text.parse::<usize>() {
                Ok(limit @ 1..) => limit.min(500),
                _ => return Err(ApiError::bad_request("limit")),
            },
        };
        let wants_trash = conditions
            .iter()
            .any(|condition| matches!(condition, Condition::Trashed(true)));
        let lag = self
            .account
            .faults
            .take_number("list", FaultKind::Lag, 20_000);
        let seen_until = match lag {
            Some(ms) => self
                .now()
                .saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX)),
            None => i64::MAX,
        };
        let entries: Vec<(Node, bool)> = {
            let tree = self.account.tree();
            let nodes: Vec<&Node> = match self.param("parent_id") {
                // Without a parent the trash shows what was put into it, from everywhere.
                "" if wants_trash => {
                    let all = tree.walk().into_iter();
                    all.filter(|node| node.trashed.is_some()).collect()
                }
                "*" if filters.contains("system_tag") => tree.walk(),
                "*" => return Err(ApiError::bad_request("parent_id")),
                parent => {
                    let id = match parent {
                        "" => tree.root().to_owned(),
                        id => {
                            let (node, _) = self.entry(&tree, id)?;
                            if !node.is_dir() {
                                return Err(ApiError::not_found());
                            }
                            node.id
                        }
                    };
                    tree.all_children(&id).collect()
                }
            };
            nodes
                .into_iter()
                .filter(|node| node.created < seen_until)
                .map(|node| (node, in_trash(&tree, &node.id)))
                .filter(|(node, trashed)| conditions.iter().all(|c| c.holds(node, *trashed)))
                .map(|(node, trashed)| (node.clone(), trashed))
                .collect()
        };
        let from = match self.param("page_token") {
            "" => 0,
            token => {
                let mut parts = token.splitn(3, '-');
                let at = match (parts.next(), parts.next(), parts.next()) {
                    (Some("pt"), Some(at), Some(last)) => {
                        usize::from_str_radix(at, 16).ok().map(|at| (at, last))
                    }
                    _ => None,
                };
                let (at, last) = at.ok_or_else(|| ApiError::bad_request("page_token"))?;
                let found = entries.iter().position(|(node, _)| node.id == last);
                found.map_or(at, |index| index + 1).min(entries.len())
            }
        };
        let short = self.account.faults.take("list", FaultKind::TruncatedPage);
        let size = match short {
            Some(_) => limit.min((entries.len() - from) / 2),
            None => limit,
        };
        let to = entries.len().min(from.saturating_add(size));
        let page = entries.get(from..to).unwrap_or_default();
        let next = match page.last() {
            Some((last, _)) if to < entries.len() => token(to, &last.id),
            None if to < entries.len() => token(to, ""),
            _ => String::new(),
        };
        let mut files = Vec::with_capacity(page.len());
        for (node, trashed) in page {
            files.push(self.render_md5(node, *trashed).await);
        }
        let files = match self.account.faults.take("list", FaultKind::NullList) {
            Some(_) => Value::Null,
            None => Value::Array(files),
        };
        Ok(json!({
            "kind": "drive#fileList", "next_page_token": next, "version": "3",
            "version_outdated": false, "sync_time": rfc3339_beijing(self.now()), "files": files,
        }))
    }
}
