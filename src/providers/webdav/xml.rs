//! `DAV:multistatus` documents, read as they come: a large folder is one answer (sheet
//! generic_backends, 4.3, items 2 and 3). Prefixes mean nothing, namespaces do; every `propstat`
//! counts by its own status; what is not known is passed over.

use std::io::BufRead;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

/// ownCloud's namespace, which Nextcloud and rclone use too.
const OWNCLOUD: &str = "http://owncloud.org/ns";

/// Deeper documents are no answer of a WebDAV server.
const MAX_DEPTH: usize = 32;

/// A longer text is no value of a property that we ask for.
const MAX_TEXT: usize = 64 << 10;

/// What an answer says of one resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Its address, as it stands there.
    pub href: String,
    /// The status of the whole resource, where one is given.
    pub status: Option<u16>,
    /// Whether any property came with success.
    pub found: bool,
    /// The properties that came with success.
    pub props: Props,
}

/// Properties. Texts are trimmed; empty ones count as missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Props {
    /// Whether it is a collection; `None` when that was not said.
    pub collection: Option<bool>,
    /// `getcontentlength`.
    pub length: Option<u64>,
    /// `getlastmodified`.
    pub modified: Option<String>,
    /// `creationdate`.
    pub created: Option<String>,
    /// `getetag`.
    pub etag: Option<String>,
    /// `quota-available-bytes`; negative numbers have meanings of their own.
    pub available: Option<i64>,
    /// `quota-used-bytes`.
    pub used: Option<i64>,
    /// `oc:checksums`, its elements joined by blanks.
    pub checksums: Option<String>,
    /// `oc:fileid`, or `oc:id` where that one is missing.
    pub file_id: Option<String>,
    /// `oc:permissions`.
    pub permissions: Option<String>,
    /// `oc:size`.
    pub size: Option<u64>,
}

impl Props {
    fn merge(&mut self, other: Props) {
        fn take<T>(into: &mut Option<T>, from: Option<T>) {
            if from.is_some() {
                *into = from;
            }
        }
        take(&mut self.collection, other.collection);
        take(&mut self.length, other.length);
        take(&mut self.modified, other.modified);
        take(&mut self.created, other.created);
        take(&mut self.etag, other.etag);
        take(&mut self.available, other.available);
        take(&mut self.used, other.used);
        take(&mut self.checksums, other.checksums);
        take(&mut self.file_id, other.file_id);
        take(&mut self.permissions, other.permissions);
        take(&mut self.size, other.size);
    }

    fn set(&mut self, field: Field, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let owned = || Some(text.to_owned());
        match field {
            // Said by its child.
            Field::ResourceType => {}
            Field::Length => self.length = text.parse().ok(),
            Field::Modified => self.modified = owned(),
            Field::Created => self.created = owned(),
            Field::Etag => self.etag = owned(),
            Field::Available => self.available = text.parse().ok(),
            Field::Used => self.used = text.parse().ok(),
            Field::Checksums => self.checksums = owned(),
            Field::FileId => self.file_id = owned(),
            Field::Id if self.file_id.is_none() => self.file_id = owned(),
            Field::Id => {}
            Field::Permissions => self.permissions = owned(),
            Field::Size => self.size = text.parse().ok(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    ResourceType,
    Length,
    Modified,
    Created,
    Etag,
    Available,
    Used,
    Checksums,
    FileId,
    Id,
    Permissions,
    Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Multistatus,
    Response,
    Href,
    Propstat,
    Prop,
    Status,
    Field(Field),
    Other,
}

/// Whose name it is. An element without a known namespace is read as the protocol's own: some
/// servers forget to declare it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Dav,
    OwnCloud,
    Else,
}

fn owner(namespace: &ResolveResult<'_>) -> Owner {
    match namespace {
        ResolveResult::Bound(Namespace(name)) => match name.trim() {
            "DAV:" => Owner::Dav,
            OWNCLOUD => Owner::OwnCloud,
            _ => Owner::Else,
        },
        ResolveResult::Unbound | ResolveResult::Unknown(_) => Owner::Dav,
    }
}

fn field(owner: Owner, name: &str) -> Option<Field> {
    Some(match (owner, name) {
        (Owner::Dav, "resourcetype") => Field::ResourceType,
        (Owner::Dav, "getcontentlength") => Field::Length,
        (Owner::Dav, "getlastmodified") => Field::Modified,
        (Owner::Dav, "creationdate") => Field::Created,
        (Owner::Dav, "getetag") => Field::Etag,
        (Owner::Dav, "quota-available-bytes") => Field::Available,
        (Owner::Dav, "quota-used-bytes") => Field::Used,
        (Owner::OwnCloud, "checksums") => Field::Checksums,
        (Owner::OwnCloud, "fileid") => Field::FileId,
        (Owner::OwnCloud, "id") => Field::Id,
        (Owner::OwnCloud, "permissions") => Field::Permissions,
        (Owner::OwnCloud, "size") => Field::Size,
        _ => return None,
    })
}

/// The number in `HTTP/1.1 200 OK`.
fn status(text: &str) -> Option<u16> {
    let number = text.split_whitespace().find_map(|word| word.parse().ok());
    number.filter(|status| (100..600).contains(status))
}

/// What is read of a document so far.
#[derive(Default)]
struct State {
    open: Vec<Tag>,
    text: String,
    entry: Entry,
    pending: Props,
    pending_status: Option<u16>,
    /// Nested elements of a value that are open.
    nested: usize,
    whole: bool,
}

impl State {
    fn tag(&self, owner: Owner, name: &str) -> Tag {
        let dav = owner == Owner::Dav;
        match (self.open.last(), name) {
            (None, "multistatus") if dav => Tag::Multistatus,
            (Some(Tag::Multistatus), "response") if dav => Tag::Response,
            (Some(Tag::Response), "href") if dav => Tag::Href,
            (Some(Tag::Response), "propstat") if dav => Tag::Propstat,
            (Some(Tag::Response | Tag::Propstat), "status") if dav => Tag::Status,
            (Some(Tag::Propstat), "prop") if dav => Tag::Prop,
            (Some(Tag::Prop), name) => field(owner, name).map_or(Tag::Other, Tag::Field),
            _ => Tag::Other,
        }
    }

    fn start(&mut self, owner: Owner, name: &str) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err("the answer is nested too deeply".to_owned());
        }
        let tag = self.tag(owner, name);
        match (self.open.last(), tag) {
            (None, Tag::Multistatus) if !self.whole => {}
            (None, _) => return Err(format!("<{name}> where <multistatus> was expected")),
            (Some(Tag::Field(Field::ResourceType)), _)
                if owner == Owner::Dav && name == "collection" =>
            {
                self.pending.collection = Some(true);
            }
            (Some(Tag::Field(_)), _) => self.text.push(' '),
            (_, Tag::Response) => self.entry = Entry::default(),
            (_, Tag::Propstat) => {
                self.pending = Props::default();
                self.pending_status = None;
            }
            (_, Tag::Field(field)) => {
                self.text.clear();
                if field == Field::ResourceType {
                    self.pending.collection = Some(false);
                }
            }
            (_, Tag::Href | Tag::Status) => self.text.clear(),
            _ => {}
        }
        // What stands inside a value belongs to it.
        if self.nested > 0 || matches!(self.open.last(), Some(Tag::Field(_))) {
            self.nested += 1;
        }
        self.open.push(tag);
        Ok(())
    }

    fn end(&mut self) -> Option<Entry> {
        let tag = self.open.pop()?;
        if self.nested > 0 {
            self.nested -= 1;
            return None;
        }
        match tag {
            Tag::Href if self.entry.href.is_empty() => {
                self.entry.href = self.text.trim().to_owned();
            }
            Tag::Status => {
                let number = status(&self.text);
                match self.open.last() {
                    Some(Tag::Propstat) => self.pending_status = number,
                    _ => self.entry.status = number,
                }
            }
            Tag::Field(field) => {
                let text = std::mem::take(&mut self.text);
                self.pending.set(field, &text);
            }
            Tag::Propstat => {
                let props = std::mem::take(&mut self.pending);
                if self.pending_status.is_none_or(|s| (200..300).contains(&s)) {
                    self.entry.found = true;
                    self.entry.props.merge(props);
                }
            }
            Tag::Response => return Some(std::mem::take(&mut self.entry)),
            Tag::Multistatus => self.whole = true,
            _ => {}
        }
        None
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        let wanted = self.nested > 0
            || matches!(
                self.open.last(),
                Some(Tag::Href | Tag::Status | Tag::Field(_))
            );
        if !wanted {
            return Ok(());
        }
        if self.text.len().saturating_add(text.len()) > MAX_TEXT {
            return Err("a value of the answer is too long".to_owned());
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// Reads a document and hands on every resource as soon as it is whole.
///
/// # Errors
/// What is wrong with it; resources before that were handed on.
pub fn read<R: BufRead>(input: R, mut each: impl FnMut(Entry)) -> Result<(), String> {
    let mut reader = NsReader::from_reader(input);
    let mut state = State::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let (namespace, event) = reader
            .read_resolved_event_into(&mut buffer)
            .map_err(|error| format!("no XML: {error}"))?;
        match event {
            Event::Start(start) => {
                let owner = owner(&namespace);
                state.start(owner, name(&start).as_str())?;
            }
            Event::Empty(empty) => {
                let owner = owner(&namespace);
                state.start(owner, name(&empty).as_str())?;
                if let Some(entry) = state.end() {
                    each(entry);
                }
            }
            Event::End(_) => {
                if let Some(entry) = state.end() {
                    each(entry);
                }
            }
            Event::Text(text) => state.text(&text.xml_content(XmlVersion::Implicit1_0))?,
            Event::CData(data) => state.text(&data.xml_content(XmlVersion::Implicit1_0))?,
            Event::GeneralRef(reference) => {
                let resolved = reference.resolve_char_ref().map_err(|e| e.to_string())?;
                match resolved {
                    Some(c) => state.text(c.encode_utf8(&mut [0; 4]))?,
                    None => match resolve_predefined_entity(&reference) {
                        Some(text) => state.text(text)?,
                        None => return Err("an entity that is not declared".to_owned()),
                    },
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if state.whole && state.open.is_empty() {
        Ok(())
    } else {
        Err("the answer is not whole".to_owned())
    }
}

fn name(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

/// The name and the message of an error document (`exception` and `message` of the servers that are
/// made with Sabre, and of Jianguoyun, which writes the same).
pub fn error(text: &str) -> (Option<String>, Option<String>) {
    let mut reader = quick_xml::Reader::from_str(text);
    let (mut exception, mut message) = (None, None);
    let mut open = String::new();
    for _ in 0..200 {
        match reader.read_event() {
            Ok(Event::Start(start)) => open = name(&start),
            Ok(Event::End(_)) => open.clear(),
            Ok(Event::Text(text)) => {
                let text = text.xml_content(XmlVersion::Implicit1_0);
                let text = text.trim();
                let into = match open.as_str() {
                    "exception" => &mut exception,
                    "message" => &mut message,
                    _ => continue,
                };
                if !text.is_empty() && into.is_none() {
                    *into = Some(text.chars().take(200).collect());
                }
            }
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    (exception, message)
}

#[cfg(test)]
#[path = "tests/xml.rs"]
mod tests;
