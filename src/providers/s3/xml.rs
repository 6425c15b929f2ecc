//! The few documents that are read here: refusals, and the answers about uploads in parts. Listings
//! are OpenDAL's.

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

use crate::drive::{DriveError, PartReceipt, Result};

/// Deeper documents are not an object store's.
const DEEPEST: usize = 8;

/// The texts of a document by their path below its root (`Part/ETag`), in the order of their ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Document {
    pub root: String,
    texts: Vec<(String, String)>,
}

impl Document {
    /// Reads a document; `None` when it is broken.
    pub fn read(bytes: &[u8]) -> Option<Document> {
        let mut reader = Reader::from_str(std::str::from_utf8(bytes).ok()?);
        let mut open: Vec<(String, String)> = Vec::new();
        let mut document = None;
        let mut texts = Vec::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(_) if open.len() > DEEPEST => return None,
                Event::Start(start) => {
                    open.push((start.local_name().as_ref().to_owned(), String::new()));
                }
                Event::Empty(empty) => {
                    let name = empty.local_name().as_ref().to_owned();
                    match open.is_empty() {
                        true => document = Some(name),
                        false => texts.push((path(&open, &name), String::new())),
                    }
                }
                Event::End(_) => {
                    let (name, text) = open.pop()?;
                    match open.is_empty() {
                        true => document = Some(name),
                        false => texts.push((path(&open, &name), text.trim().to_owned())),
                    }
                }
                Event::Text(text) => {
                    if let Some((_, top)) = open.last_mut() {
                        top.push_str(&text.xml_content(XmlVersion::Implicit1_0));
                    }
                }
                Event::GeneralRef(reference) => {
                    if let Some((_, top)) = open.last_mut() {
                        match reference.resolve_char_ref().ok()? {
                            Some(c) => top.push(c),
                            None => top.push_str(resolve_predefined_entity(&reference)?),
                        }
                    }
                }
                Event::Eof => {
                    let root = document.filter(|_| open.is_empty())?;
                    return Some(Document { root, texts });
                }
                _ => {}
            }
        }
    }

    /// The first text with this path; empty when there is none.
    pub fn text(&self, path: &str) -> &str {
        let found = self.texts.iter().find(|(at, _)| at == path);
        found.map_or("", |(_, text)| text)
    }

    /// The parts of a `ListPartsResult`; `None` when one is broken.
    pub fn parts(&self) -> Option<Vec<PartReceipt>> {
        let mut parts = Vec::new();
        let (mut number, mut size, mut tag) = (None, None, String::new());
        for (path, text) in &self.texts {
            match path.as_str() {
                "Part/PartNumber" => number = Some(text.parse().ok()?),
                "Part/Size" => size = Some(text.parse().ok()?),
                "Part/ETag" => tag.clone_from(text),
                // Its end comes after what is in it.
                "Part" => parts.push(PartReceipt {
                    number: number.take()?,
                    size: size.take()?,
                    tag: std::mem::take(&mut tag),
                }),
                _ => {}
            }
        }
        Some(parts)
    }
}

fn path(open: &[(String, String)], name: &str) -> String {
    let above = open.iter().skip(1).map(|(name, _)| name.as_str());
    above.chain([name]).collect::<Vec<_>>().join("/")
}

/// The document that an answer has to be. Servers call it more or less what Amazon does:
/// `InitiateMultipartUpload` and `ListMultipartUploadPartsResult` were seen (rclone serve s3).
///
/// # Errors
/// `BadAnswer` when it is another one, or none.
pub fn expect(op: &str, root: &str, bytes: &[u8]) -> Result<Document> {
    Document::read(bytes)
        .filter(|document| is_called(&document.root, root))
        .ok_or_else(|| DriveError::bad_answer(op, format!("the answer is no <{root}>")))
}

fn is_called(root: &str, wanted: &str) -> bool {
    root == wanted
        || wanted.strip_suffix("Result") == Some(root)
        || (wanted, root) == ("ListPartsResult", "ListMultipartUploadPartsResult")
}

/// What joins parts: in ascending order, ETags in quotes.
pub fn joined(parts: &[PartReceipt]) -> String {
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by_key(|part| part.number);
    let mut body =
        String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for part in parts {
        let tag = quick_xml::escape::escape(part.tag.trim_matches('"'));
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
    fn parts_are_read_and_joined() {
        let text =
            br#"<?xml version="1.0"?><ListPartsResult xmlns="x"><IsTruncated>false</IsTruncated>
            <Owner/><Part><PartNumber>2</PartNumber><ETag>&quot;AB&#34;</ETag><Size>5</Size></Part>
            <Part><Size>6</Size><ETag>C</ETag><PartNumber>1</PartNumber></Part></ListPartsResult>"#;
        let document = expect("t", "ListPartsResult", text).unwrap();
        assert_eq!(document.text("IsTruncated"), "false");
        let parts = document.parts().unwrap();
        let seen: Vec<_> = parts
            .iter()
            .map(|part| (part.number, part.size, part.tag.as_str()))
            .collect();
        assert_eq!(seen, [(2, 5, "\"AB\""), (1, 6, "C")]);
        let body = joined(&parts);
        let one = body.find("<PartNumber>1</PartNumber><ETag>\"C\"</ETag>");
        let two = body.find("<PartNumber>2</PartNumber><ETag>\"AB\"</ETag>");
        assert!(one.unwrap() < two.unwrap(), "{body}");
        let broken = b"<ListPartsResult><Part><Size>6</Size></Part></ListPartsResult>";
        assert_eq!(Document::read(broken).unwrap().parts(), None);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for broken in ["", "{}", "<a><b></a>", "<a>", "<b/>", &"<a>".repeat(50)] {
            assert!(expect("t", "a", broken.as_bytes()).is_err(), "{broken}");
        }
        assert!(expect("t", "a", b"<a></a>").is_ok());
        assert!(expect("t", "aResult", b"<a></a>").is_ok());
        assert!(expect("t", "aResult", b"<html></html>").is_err());
    }
}
