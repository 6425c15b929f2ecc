//! Listings, the trash and search: numbered pages from 0 (sections 4.1, 4.6 and 4.7).

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::super::faults::FaultKind;
use super::super::tree::Node;
use super::errors::ApiError;
use super::files::{extension, kind_of};
use super::gate::Ctx;

/// Page number and size.
type Page = (usize, usize);

/// Two entries in the order of `orderBy`; 10 and 12 are when they were deleted.
fn compare(order: i64, a: &Node, b: &Node) -> Ordering {
    match order {
        1 => a.size().cmp(&b.size()),
        2 => a.created.cmp(&b.created),
        3 => a.modified.cmp(&b.modified),
        4 => extension(&a.name).cmp(extension(&b.name)),
        10 | 12 => a.trashed.cmp(&b.trashed),
        _ => a.name.cmp(&b.name),
    }
}

impl Ctx<'_> {
    fn page(&self) -> Result<Page, ApiError> {
        let member = |name: &str| {
            let number = self.args.number(name)?;
            let number = number.and_then(|number| usize::try_from(number).ok());
            number.ok_or_else(|| ApiError::parameter(name))
        };
        let (page, size) = (member("page")?, member("pageSize")?);
        let most = self.account.knobs.number("max_page", 1000);
        match size >= 1 && size as u64 <= most {
            true => Ok((page, size)),
            false => Err(ApiError::parameter("pageSize")),
        }
    }

    /// The entries a call is about, in no order yet.
    fn chosen(&self) -> Result<Vec<Node>, ApiError> {
        if self.op == "search" {
            let wanted = self.args.required("name")?.to_lowercase();
            let tree = self.account.tree();
            let all = tree.walk().into_iter();
            return Ok(all
                .filter(|node| node.name.to_lowercase().contains(&wanted))
                .filter(|node| tree.live(&node.id).is_some())
                .cloned()
                .collect());
        }
        let parent = self.args.text("parentId")?;
        if self.op == "trash_list" {
            if !parent.is_empty() {
                return Err(ApiError::parameter("parentId"));
            }
            // What was put into it, not what lies below.
            let tree = self.account.tree();
            let all = tree.walk().into_iter();
            return Ok(all.filter(|n| n.trashed.is_some()).cloned().collect());
        }
        if !matches!(self.args.number("dirType")?, None | Some(0)) {
            return Err(ApiError::parameter("dirType"));
        }
        if parent == "*" {
            let tree = self.account.tree();
            let all = tree.walk().into_iter();
            return Ok(all
                .filter(|node| tree.live(&node.id).is_some())
                .cloned()
                .collect());
        }
        let folder = self.folder(&self.account.tree(), parent)?;
        Ok(self.account.listed("list", &folder, self.now()))
    }

    fn sorted(&self, mut rows: Vec<Node>) -> Result<Vec<Node>, ApiError> {
        let trash = self.op == "trash_list";
        let order = self.args.number("orderBy")?.unwrap_or(0);
        match order {
            0..=4 => {}
            10 | 12 if trash => {}
            _ => return Err(ApiError::parameter("orderBy")),
        }
        match self.args.number("sortType")?.unwrap_or(0) {
            0 => rows.sort_by(|a, b| compare(order, a, b)),
            1 => rows.sort_by(|a, b| compare(order, b, a)),
            _ => return Err(ApiError::parameter("sortType")),
        }
        Ok(rows)
    }

    fn filtered(&self, mut rows: Vec<Node>) -> Result<Vec<Node>, ApiError> {
        match self.args.number("resType")? {
            None | Some(0) => {}
            Some(1) => rows.retain(|node| !node.is_dir()),
            Some(2) => rows.retain(Node::is_dir),
            Some(_) => return Err(ApiError::parameter("resType")),
        }
        let types = self.args.numbers("fileTypes")?;
        if !types.is_empty() {
            rows.retain(|node| types.contains(&kind_of(node).0));
        }
        Ok(rows)
    }

    /// The entries of a page. A page that a fault cuts moves the start of the next ones.
    fn cut(&self, rows: Vec<Node>, (page, size): Page) -> Vec<Node> {
        let parent = self.args.text("parentId").unwrap_or("");
        let listing = format!("{} {} {parent}", self.account.profile, self.op);
        let shift = {
            let mut state = self.sim.state();
            if page == 0 {
                state.shifts.remove(&listing);
            }
            state.shifts.get(&listing).copied().unwrap_or(0)
        };
        let start = page.saturating_mul(size).saturating_sub(shift);
        let mut shown: Vec<Node> = rows.into_iter().skip(start).take(size).collect();
        if self.struck(FaultKind::TruncatedPage) {
            let left = shown.len() / 2;
            shown.truncate(shown.len() - left);
            self.sim.state().shifts.insert(listing, shift + left);
        }
        shown
    }

    /// `get_file_list` and `search_files`.
    pub(super) fn list(&self) -> Result<Value, ApiError> {
        let page = self.page()?;
        let rows = self.chosen()?;
        let rows = match self.op {
            "search" => rows,
            _ => self.filtered(self.sorted(rows)?)?,
        };
        let total = rows.len();
        let shown = self.cut(rows, page);
        let mut data = Map::new();
        match (self.knob("total").as_str(), self.form(2, 3)) {
            ("zero", _) | ("mixed", 1) => {
                data.insert("total".to_owned(), json!(0));
            }
            ("absent", _) | ("mixed", 2) => {}
            _ => {
                data.insert("total".to_owned(), json!(total));
            }
        }
        let list: Vec<Value> = {
            let tree = self.account.tree();
            shown.iter().map(|node| self.row(&tree, node)).collect()
        };
        if self.struck(FaultKind::NullList) {
            data.insert("list".to_owned(), Value::Null);
        } else if list.is_empty() && self.form(3, 2) == 1 {
            // An empty folder may have neither list nor total.
            data.clear();
        } else {
            data.insert("list".to_owned(), Value::Array(list));
        }
        Ok(Value::Object(data))
    }
}
