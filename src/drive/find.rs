//! What a drive can look up beside listings, and links for people without an account.

use serde::Serialize;

use super::{Cursor, NodeId, NodeKind};

/// What a drive finds and hands out ([`super::Capabilities::finds`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finds {
    /// Whether it looks for names at the provider ([`super::Drive::search`]).
    pub search: bool,
    /// The kinds it lists across directories ([`super::Drive::media`]) and counts
    /// ([`super::Drive::media_counts`]); empty when it does neither.
    pub media: &'static [MediaKind],
    /// Whether it makes links that others can open ([`super::Drive::share_link`]).
    pub links: bool,
}

impl Finds {
    /// Nothing of it.
    pub const NOTHING: Finds = Finds {
        search: false,
        media: &[],
        links: false,
    };
}

/// A kind of file, as the provider sorts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// Films.
    Video,
    /// Music and speech.
    Audio,
    /// Pictures.
    Image,
    /// Texts, tables, slides, books.
    Document,
    /// Programs and packages.
    Application,
    /// Torrents.
    Bt,
    /// Everything else.
    Other,
}

impl MediaKind {
    /// All of them.
    pub const ALL: &[MediaKind] = &[
        MediaKind::Video,
        MediaKind::Audio,
        MediaKind::Image,
        MediaKind::Document,
        MediaKind::Application,
        MediaKind::Bt,
        MediaKind::Other,
    ];

    /// The word for it on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            MediaKind::Video => "video",
            MediaKind::Audio => "audio",
            MediaKind::Image => "image",
            MediaKind::Document => "document",
            MediaKind::Application => "application",
            MediaKind::Bt => "bt",
            MediaKind::Other => "other",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<MediaKind> {
        let mut all = MediaKind::ALL.iter();
        all.find(|kind| kind.name() == word).copied()
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Names from the mounted directory ([`super::Drive::root`]) down to it, as users see them.
    pub path: Vec<String>,
    /// Its id.
    pub id: NodeId,
    /// File or directory.
    pub kind: NodeKind,
    /// Bytes, 0 for a directory.
    pub size: u64,
    /// Milliseconds since the epoch, 0 when not told.
    pub modified: i64,
}

/// Some of what was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundPage {
    /// In the provider's order.
    pub items: Vec<Found>,
    /// Where the rest begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// How many files of a kind there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaCount {
    /// Which kind.
    pub kind: MediaKind,
    /// Files.
    pub count: u64,
    /// Their bytes, when the provider tells.
    pub size: Option<u64>,
}

/// What a link is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkWish {
    /// Days it lives.
    pub days: u32,
    /// The code that opens it; the driver draws one when it is `None`.
    pub code: Option<String>,
}

/// A link that others can open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShareLink {
    /// The provider's id of the share.
    pub id: String,
    /// Its address.
    pub link: String,
    /// The code that opens it.
    pub code: String,
    /// Days it lives.
    pub days: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_one_word_each() {
        for kind in MediaKind::ALL {
            assert_eq!(MediaKind::parse(kind.name()), Some(*kind));
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.name());
        }
        assert_eq!(MediaKind::parse("films"), None);
    }
}
