//! XML in and out: a small tree of what clients send, and the pieces of answers.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// The namespace of all answers but errors.
pub(super) const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Elements deeper than this are no S3 request.
const DEEPEST: usize = 16;

/// An element of a request's body. Namespaces do not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Local name.
    pub name: String,
    /// Text directly inside.
    pub text: String,
    /// Elements directly inside.
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Text of the first child of this name.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
}

/// Reads a document; `None` when it is not well-formed or brings a document type.
pub(super) fn parse(text: &str) -> Option<Element> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let mut more = String::new();
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                if root.is_some() || open.len() >= DEEPEST {
                    return None;
                }
                open.push(Element {
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

/// Text for an element. Control characters become references, as the real server writes them
/// though XML 1.0 has no word for most: that is what `encoding-type=url` is for.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c < ' ' || c == '\u{7f}' => out += &format!("&#x{:X};", u32::from(c)),
            c => out.push(c),
        }
    }
    out
}

/// An element with a text.
pub(super) fn tag(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// A name for `encoding-type=url`: a slash stays, a space is a plus.
pub(super) fn url_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'-' | b'_' | b'.' | b'~' | b'*' | b'/' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}

/// Names as an answer shows them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    /// The client asked for `encoding-type=url`.
    pub url: bool,
}

impl Names {
    /// An element whose text is a key or a piece of one.
    pub fn tag(self, name: &str, text: &str) -> String {
        match self.url {
            true => tag(name, &url_encoded(text)),
            false => tag(name, text),
        }
    }

    /// The element that says so.
    pub fn announced(self) -> String {
        match self.url {
            true => tag("EncodingType", "url"),
            false => String::new(),
        }
    }
}

/// A document as an answer.
pub(super) fn document(status: u16, inner: &str) -> Response {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{inner}");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let kind = HeaderValue::from_static("application/xml");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A document whose root is in the namespace.
pub(super) fn result(root: &str, inner: &str) -> Response {
    document(
        200,
        &format!("<{root} xmlns=\"{NAMESPACE}\">{inner}</{root}>"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_with_and_without_namespace() {
        let text = "<?xml version=\"1.0\"?><s:Delete xmlns:s=\"http://x\"><s:Object>\
                    <s:Key> a&amp;b&#x20ac; </s:Key></s:Object><s:Quiet>true</s:Quiet></s:Delete>";
        let root = parse(text).unwrap();
        assert_eq!(root.name, "Delete");
        let object = root.all("Object").next().unwrap();
        assert_eq!(object.text_of("Key"), Some(" a&b\u{20ac} "));
        assert_eq!(root.text_of("Quiet"), Some("true"));
        for bad in [
            "",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<!DOCTYPE a><a/>",
            "<a>&x;</a>",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_written() {
        assert_eq!(
            tag("K", "a<b>&\"\u{1}"),
            "<K>a&lt;b&gt;&amp;&quot;&#x1;</K>"
        );
        assert_eq!(url_encoded("a/b c+d\u{e9}~(*)"), "a/b+c%2Bd%C3%A9~%28*%29");
    }
}
