//! The object store's XML documents as small trees, names without namespace.

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

use crate::drive::{DriveError, PartReceipt, Result};

/// Deeper documents are not the store's.
const MAX_DEPTH: usize = 16;

/// An element.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub name: String,
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// The trimmed text of the first child of that name, empty when there is none.
    pub(super) fn child(&self, name: &str) -> &str {
        self.children
            .iter()
            .find(|child| child.name == name)
            .map_or("", |child| child.text.trim())
    }

    /// Every child of that name.
    pub(super) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// Parses a document whose root element is `root`.
pub(super) fn parse(op: &str, root: &str, bytes: &[u8]) -> Result<Element> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| DriveError::bad_answer(op, "the answer is not UTF-8"))?;
    match tree(text) {
        Some(element) if element.name == root => Ok(element),
        Some(element) => Err(DriveError::bad_answer(
            op,
            format!("<{}> where <{root}> was expected", element.name),
        )),
        None => Err(DriveError::bad_answer(op, "the answer is no XML document")),
    }
}

/// The root element; `None` when the text is broken.
fn tree(text: &str) -> Option<Element> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let closed = match reader.read_event().ok()? {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return None;
                }
                open.push(Element {
                    name: start.local_name().as_ref().to_owned(),
                    ..Element::default()
                });
                continue;
            }
            Event::Empty(empty) => Element {
                name: empty.local_name().as_ref().to_owned(),
                ..Element::default()
            },
            Event::End(_) => open.pop()?,
            Event::Text(text) => {
                if let Some(top) = open.last_mut() {
                    top.text
                        .push_str(&text.xml_content(XmlVersion::Implicit1_0));
                }
                continue;
            }
            Event::CData(data) => {
                if let Some(top) = open.last_mut() {
                    top.text
                        .push_str(&data.xml_content(XmlVersion::Implicit1_0));
                }
                continue;
            }
            Event::GeneralRef(reference) => {
                if let Some(top) = open.last_mut() {
                    match reference.resolve_char_ref().ok()? {
                        Some(c) => top.text.push(c),
                        None => top.text.push_str(resolve_predefined_entity(&reference)?),
                    }
                }
                continue;
            }
            Event::Eof => return if open.is_empty() { root } else { None },
            _ => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => root = Some(closed),
        }
    }
}

/// The body of `complete`: parts in ascending order, ETags as the store spelled them.
pub(super) fn complete_body(parts: &[PartReceipt]) -> String {
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by_key(|part| part.number);
    let mut body = String::from("<CompleteMultipartUpload>");
    for part in parts {
        let tag = part.tag.trim_matches('"');
        let tag = quick_xml::escape::escape(tag);
        body.push_str(&format!(
            "<Part><PartNumber>{}</PartNumber><ETag>\"{tag}\"</ETag></Part>",
            part.number
        ));
    }
    body.push_str("</CompleteMultipartUpload>");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_namespaces_and_repeated_children() {
        let document = br#"<?xml version="1.0" encoding="UTF-8"?>
<a:List xmlns:a="x"><Part><ETag>&quot;AB&#34;</ETag></Part><Part><ETag>"C"</ETag></Part><None/></a:List>"#;
        let list = parse("t", "List", document).unwrap();
        let tags: Vec<&str> = list
            .children("Part")
            .map(|part| part.child("ETag"))
            .collect();
        assert_eq!(tags, ["\"AB\"", "\"C\""]);
        assert_eq!(list.child("None"), "");
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for broken in ["", "{}", "<a><b></a>", "<a>", "<html>", &"<a>".repeat(50)] {
            assert!(parse("t", "a", broken.as_bytes()).is_err(), "{broken}");
        }
        assert!(parse("t", "a", b"<b/>").is_err());
    }
}
