//! XML in and out: a small tree of what clients send, and multistatus answers.

use quick_xml::NsReader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};

/// The namespace of WebDAV itself.
pub(super) const DAV: &str = "DAV:";
/// That of ownCloud and Nextcloud (sheet, 4.3).
pub(super) const OC: &str = "http://owncloud.org/ns";

/// Elements deeper than this are no WebDAV request.
const DEEPEST: usize = 32;

/// An element of a request's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Namespace, empty when there is none.
    pub ns: String,
    /// Local name.
    pub name: String,
    /// Text directly inside.
    pub text: String,
    /// Elements directly inside.
    pub children: Vec<Element>,
}

impl Element {
    /// Whether it is this element of the namespace `DAV:`.
    pub fn is(&self, name: &str) -> bool {
        self.ns == DAV && self.name == name
    }

    /// The first child of this name in `DAV:`.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is(name))
    }

    /// Namespace and name.
    pub fn key(&self) -> (String, String) {
        (self.ns.clone(), self.name.clone())
    }
}

/// Reads a document; `None` when it is not well-formed, uses an unknown prefix or brings a
/// document type.
pub(super) fn parse(text: &str) -> Option<Element> {
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let (bound, event) = reader.read_resolved_event().ok()?;
        let mut more = String::new();
        match event {
            Event::Start(tag) => {
                let ns = match bound {
                    ResolveResult::Bound(Namespace(ns)) => ns.to_owned(),
                    ResolveResult::Unbound => String::new(),
                    ResolveResult::Unknown(_) => return None,
                };
                if root.is_some() || open.len() >= DEEPEST {
                    return None;
                }
                open.push(Element {
                    ns,
                    name: tag.local_name().as_ref().to_owned(),
                    ..Element::default()
                });
            }
            Event::End(_) => {
                let done = open.pop()?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => root = Some(done),
                }
            }
            Event::Text(text) => more.push_str(&text.xml10_content()),
            Event::CData(text) => more.push_str(&text.xml10_content()),
            Event::GeneralRef(entity) => match entity.resolve_char_ref().ok()? {
                Some(character) => more.push(character),
                None => more.push_str(resolve_predefined_entity(&entity.xml10_content())?),
            },
            Event::DocType(_) => return None,
            Event::Eof => break,
            _ => {}
        }
        match open.last_mut() {
            Some(top) => top.text.push_str(&more),
            None if more.trim().is_empty() => {}
            None => return None,
        }
    }
    if open.is_empty() { root } else { None }
}

/// Text for an element or an attribute.
pub(super) fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

/// Writes a document with the prefix that the flavour likes.
pub(super) struct Writer {
    /// `D`, `d` or `default`.
    prefix: String,
    /// The document so far.
    pub text: String,
}

impl Writer {
    /// Starts a document with the root element `root`.
    pub fn new(prefix: &str, root: &str) -> Writer {
        let mut writer = Writer {
            prefix: prefix.to_owned(),
            text: "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n".to_owned(),
        };
        let xmlns = match prefix {
            "default" => "xmlns".to_owned(),
            prefix => format!("xmlns:{prefix}"),
        };
        let root = writer.dav(root);
        writer.text += &format!("<{root} {xmlns}=\"{DAV}\" xmlns:oc=\"{OC}\">");
        writer
    }

    /// Ends it.
    pub fn finish(mut self, root: &str) -> String {
        self.close(root);
        self.text
    }

    /// Qualified name of an element in `DAV:`.
    pub fn dav(&self, name: &str) -> String {
        match self.prefix.as_str() {
            "default" => name.to_owned(),
            prefix => format!("{prefix}:{name}"),
        }
    }

    /// Opens an element of `DAV:`.
    pub fn open(&mut self, name: &str) {
        let name = self.dav(name);
        self.text += &format!("<{name}>");
    }

    /// Closes it.
    pub fn close(&mut self, name: &str) {
        let name = self.dav(name);
        self.text += &format!("</{name}>");
    }

    /// An element of `DAV:` with a text.
    pub fn leaf(&mut self, name: &str, text: &str) {
        self.open(name);
        self.text += &escape(text);
        self.close(name);
    }

    /// Any element around markup that is ready; without markup an empty element.
    pub fn property(&mut self, (ns, name): &(String, String), inner: &str) {
        let name = escape(name);
        let (tag, xmlns) = match ns.as_str() {
            DAV => (self.dav(&name), String::new()),
            OC => (format!("oc:{name}"), String::new()),
            "" => (name, " xmlns=\"\"".to_owned()),
            other => (
                format!("x:{name}"),
                format!(" xmlns:x=\"{}\"", escape(other)),
            ),
        };
        self.text += &match inner {
            "" => format!("<{tag}{xmlns}/>"),
            inner => format!("<{tag}{xmlns}>{inner}</{tag}>"),
        };
    }

    /// The line of a propstat or response.
    pub fn status(&mut self, status: u16) {
        let reason = axum::http::StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Unknown");
        self.leaf("status", &format!("HTTP/1.1 {status} {reason}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_with_their_namespaces() {
        let text = "<?xml version=\"1.0\"?><propfind xmlns=\"DAV:\" xmlns:o=\"http://owncloud.org/ns\">\
                    <prop><getetag/><o:checksums></o:checksums></prop></propfind>";
        let root = parse(text).unwrap();
        assert!(root.is("propfind"));
        let prop = root.child("prop").unwrap();
        let keys: Vec<_> = prop.children.iter().map(Element::key).collect();
        let pair = |ns: &str, name: &str| (ns.to_owned(), name.to_owned());
        assert_eq!(keys, [pair(DAV, "getetag"), pair(OC, "checksums")]);
        let text = parse("<a>1 &lt; 2 &#x41;<![CDATA[<b>]]></a>").unwrap();
        assert_eq!((text.ns.as_str(), text.text.as_str()), ("", "1 < 2 A<b>"));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<D:a/>",
            "<a>&nbsp;</a>",
            "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for prefix in ["D", "d", "default"] {
            let mut writer = Writer::new(prefix, "multistatus");
            writer.leaf("href", "/a&b");
            writer.property(&(OC.to_owned(), "id".to_owned()), "7");
            writer.property(&("urn:x".to_owned(), "y".to_owned()), "");
            writer.property(&(String::new(), "bare".to_owned()), "");
            writer.status(507);
            let root = parse(&writer.finish("multistatus")).unwrap();
            assert!(root.is("multistatus"));
            assert_eq!(root.child("href").unwrap().text, "/a&b");
            assert_eq!(root.children[1].key(), (OC.to_owned(), "id".to_owned()));
            assert_eq!(root.children[2].ns, "urn:x");
            assert_eq!(root.children[3].ns, "");
            assert_eq!(
                root.child("status").unwrap().text,
                "HTTP/1.1 507 Insufficient Storage"
            );
        }
    }
}
