//! PROPFIND (RFC 4918, 9.1; sheet, 4.3 points 2 and 3).

use axum::response::Response;

use super::super::body::set;
use super::super::faults::FaultKind;
use super::super::tree::{Node, Tree};
use super::address::HrefStyle;
use super::errors::{DavError, plain};
use super::gate::{Answer, Ctx};
use super::rules;
use super::values::{Key, Row};
use super::xml::{self, Writer};

/// What a client wants to know of each entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// All that is told unasked, and these.
    All(Vec<Key>),
    /// Only names.
    Names,
    /// These.
    Some(Vec<Key>),
}

impl Wish {
    /// Reads the body of a PROPFIND; without one it is all.
    pub fn read(document: &str) -> Result<Wish, DavError> {
        if document.trim().is_empty() {
            return Ok(Wish::All(Vec::new()));
        }
        let bad = || DavError::new(400, "The body is not a propfind document");
        let root = xml::parse(document).ok_or_else(bad)?;
        if !root.is("propfind") {
            return Err(bad());
        }
        let keys = |name: &str| -> Option<Vec<Key>> {
            let list = root.child(name)?;
            Some(list.children.iter().map(xml::Element::key).collect())
        };
        let kinds = ["prop", "allprop", "propname"].map(|name| root.child(name).is_some());
        match kinds {
            [true, false, false] => Ok(Wish::Some(keys("prop").unwrap_or_default())),
            [false, true, false] => Ok(Wish::All(keys("include").unwrap_or_default())),
            [false, false, true] => Ok(Wish::Names),
            _ => Err(bad()),
        }
    }
}

/// A 207 with a document.
pub(super) fn multistatus(text: String) -> Response {
    let mut response = plain(207, text);
    set(
        &mut response,
        "content-type",
        "application/xml; charset=utf-8",
    );
    response
}

/// Every entry below a directory, parents first.
fn below(tree: &Tree, node: &Node, path: &str, all: &mut Vec<Row>) {
    for child in tree.children(&node.id) {
        let path = format!("{}/{}", path.trim_end_matches('/'), child.name);
        all.push(Row {
            node: child.clone(),
            path: path.clone(),
        });
        if child.is_dir() {
            below(tree, child, &path, all);
        }
    }
}

impl Ctx {
    /// How hrefs look in this account.
    pub(super) fn hrefs(&self) -> HrefStyle {
        let words = self.account.knobs.text("href").unwrap_or_default();
        HrefStyle::read(&words, &self.sim.kit.base)
    }

    /// A document in the flavour's way.
    pub(super) fn writer(&self, root: &str) -> Writer {
        Writer::new(&rules::of(&self.account, "prefix"), root)
    }

    /// Refuses a body that says it is something else than XML.
    pub(super) fn check_xml(&self, document: &str) -> Result<(), DavError> {
        let kind = self.header("content-type").to_ascii_lowercase();
        let kind = kind.split(';').next().unwrap_or("").trim();
        match kind {
            "" | "application/xml" | "text/xml" => Ok(()),
            _ if document.is_empty() => Ok(()),
            _ => Err(DavError::new(415, "The body is not XML")),
        }
    }

    /// PROPFIND of the files.
    pub(super) async fn propfind(&self, document: &str) -> Answer {
        if self.account.knobs.text("propfind").as_deref() == Some("off") {
            return Err(self.not_allowed());
        }
        self.check_xml(document)?;
        let wish = Wish::read(document)?;
        let depth = self.header("depth").to_ascii_lowercase();
        let node = self.found()?;
        if node.is_dir()
            && !self.at.slash
            && let Some(answer) = self.bare("list_bare")
        {
            return answer;
        }
        let rows = match depth.as_str() {
            "0" => vec![self.row(node)],
            "1" => self.with_members(node),
            // No header means infinity (RFC 4918, 9.1).
            "infinity" | "" => match rules::of(&self.account, "infinity").as_str() {
                "207" => {
                    let tree = self.account.tree();
                    let mut rows = vec![self.row(node.clone())];
                    below(&tree, &node, &self.at.path(), &mut rows);
                    rows
                }
                "400" => return Err(DavError::new(400, "Depth: infinity is not supported")),
                _ => {
                    let error = DavError::new(403, "Depth: infinity is not allowed");
                    return Err(error.because("propfind-finite-depth"));
                }
            },
            _ => return Err(DavError::new(400, "Depth is 0, 1 or infinity")),
        };
        if self.struck(FaultKind::NullList) {
            let writer = self.writer("multistatus");
            return Ok(multistatus(writer.finish("multistatus")));
        }
        let mut text = self.answer(&rows, &wish).await;
        if self.struck(FaultKind::TruncatedPage) {
            // All of it is ASCII or UTF-8: cut between two characters.
            let mut half = text.len() / 2;
            while !text.is_char_boundary(half) {
                half += 1;
            }
            text.truncate(half);
        }
        Ok(multistatus(text))
    }

    /// Whether a fault of the simulator's own kinds strikes this listing.
    fn struck(&self, kind: FaultKind) -> bool {
        self.op == "list" && self.account.faults.take(self.op, kind).is_some()
    }

    fn row(&self, node: Node) -> Row {
        Row {
            node,
            path: self.at.path(),
        }
    }

    /// A directory and its members, no more than `list_limit`.
    fn with_members(&self, node: Node) -> Vec<Row> {
        if !node.is_dir() {
            return vec![self.row(node)];
        }
        let limit = match self.account.knobs.number("list_limit", 0) {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let members = self.account.listed(self.op, &node.id, self.now());
        let path = self.at.path();
        let mut rows = vec![self.row(node)];
        rows.extend(members.into_iter().take(limit).map(|member| Row {
            path: format!("{}/{}", path.trim_end_matches('/'), member.name),
            node: member,
        }));
        rows
    }

    /// The whole document: a response per entry, a propstat per status.
    pub(super) async fn answer(&self, rows: &[Row], wish: &Wish) -> String {
        let hrefs = self.hrefs();
        let mut writer = self.writer("multistatus");
        for row in rows {
            writer.open("response");
            let href = hrefs.href(&self.at.base, &row.path, row.node.is_dir());
            writer.leaf("href", &href);
            let keys = match wish {
                Wish::Some(keys) => keys.clone(),
                Wish::Names => self.plain_names(&row.node),
                Wish::All(more) => {
                    let mut keys = self.plain_names(&row.node);
                    keys.extend(more.iter().cloned());
                    keys
                }
            };
            let (mut known, mut unknown) = (Vec::new(), Vec::new());
            for key in keys {
                match self.value(row, &key, &writer).await {
                    Some(value) => known.push((key, value)),
                    None => unknown.push(key),
                }
            }
            if !known.is_empty() || !matches!(wish, Wish::Some(_)) {
                writer.open("propstat");
                writer.open("prop");
                for (key, value) in &known {
                    let shown = if *wish == Wish::Names { "" } else { value };
                    writer.property(key, shown);
                }
                writer.close("prop");
                writer.status(200);
                writer.close("propstat");
            }
            // Nobody asked for what is missing from "all".
            if !unknown.is_empty() && matches!(wish, Wish::Some(_)) {
                writer.open("propstat");
                writer.open("prop");
                for key in &unknown {
                    writer.property(key, "");
                }
                writer.close("prop");
                writer.status(404);
                writer.close("propstat");
            }
            writer.close("response");
        }
        writer.finish("multistatus")
    }
}

#[cfg(test)]
mod tests {
    use super::super::xml::DAV;
    use super::*;

    #[test]
    fn wishes() {
        let key = |name: &str| (DAV.to_owned(), name.to_owned());
        let read =
            |inner: &str| Wish::read(&format!("<propfind xmlns=\"DAV:\">{inner}</propfind>")).ok();
        assert_eq!(Wish::read("").unwrap(), Wish::All(Vec::new()));
        assert_eq!(read("<propname/>"), Some(Wish::Names));
        assert_eq!(
            read("<prop><getetag/></prop>"),
            Some(Wish::Some(vec![key("getetag")]))
        );
        assert_eq!(
            read("<allprop/><include><quota-used-bytes/></include>"),
            Some(Wish::All(vec![key("quota-used-bytes")]))
        );
        assert_eq!(read(""), None);
        assert_eq!(read("<prop/><propname/>"), None);
        assert!(Wish::read("<propfind/>").is_err());
        assert!(Wish::read("not xml").is_err());
    }
}
