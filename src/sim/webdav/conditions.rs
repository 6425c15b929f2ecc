//! Entity tags, and the headers that ask about them (RFC 9110, 8.8 and 13; sheet, 4.3 point 4).

use super::super::clock::parse_rfc1123;
use super::super::digest::HashKind;
use super::super::tree::Node;
use super::errors::DavError;
use super::gate::Ctx;
use super::rules;

/// The tag of an entry, in the two places it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tag {
    /// In headers.
    pub header: Option<String>,
    /// As the property `getetag`.
    pub property: Option<String>,
}

/// One tag of a list: weak, and the quoted text.
fn split(tag: &str) -> (bool, &str) {
    match tag.strip_prefix("W/") {
        Some(strong) => (true, strong),
        None => (false, tag),
    }
}

/// The tags of a list. Tags have no comma in this house.
fn listed(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|tag| !tag.is_empty())
}

/// Whether a list (or `*`) names the tag. `weakly`: a `W/` in front does not matter; else
/// weak tags equal nothing.
fn names(list: &str, tag: Option<&str>, weakly: bool) -> bool {
    if list.trim() == "*" {
        return true;
    }
    let Some((weak, text)) = tag.map(split) else {
        return false;
    };
    listed(list).any(|other| {
        let (other_weak, other) = split(other);
        other == text && (weakly || !(weak || other_weak))
    })
}

/// Seconds of a time in milliseconds, as headers show them.
fn seconds(ms: i64) -> i64 {
    ms.div_euclid(1000)
}

impl Ctx {
    /// The tag of an entry, as the rule `etag` says.
    pub(super) async fn tag(&self, node: &Node) -> Tag {
        let own = match node.text("tag") {
            "" => node.id.as_str(),
            tag => tag,
        };
        // Bytes that were changed behind the server's back are another version, too.
        let own = match &node.blob {
            Some(blob) if blob.size() <= 1 << 20 => {
                let digest = blob.digest(HashKind::Md5).await;
                format!("{own}{}", digest.get(..8).unwrap_or(&digest))
            }
            _ => own.to_owned(),
        };
        let both = |text: String| Tag {
            header: Some(text.clone()),
            property: Some(text),
        };
        match (rules::of(&self.account, "etag").as_str(), &node.blob) {
            ("weak", _) => both(format!("W/\"{own}\"")),
            ("md5", Some(blob)) => both(format!("\"{}\"", blob.digest(HashKind::Md5).await)),
            ("bare", _) => {
                let text = format!("{}-{}-{}", node.id, seconds(node.modified), node.size());
                Tag {
                    header: Some(format!("\"{text}\"")),
                    property: Some(text),
                }
            }
            ("head", _) => Tag {
                header: Some(format!("\"{}-{}\"", node.modified, node.size())),
                property: None,
            },
            ("none", _) => Tag::default(),
            _ => both(format!("\"{own}\"")),
        }
    }

    /// The conditions of a change of `node` (`None`: it does not exist), where the server heeds
    /// them.
    pub(super) async fn may_change(&self, node: Option<&Node>) -> Result<(), DavError> {
        if !self.yes("conditions") {
            return Ok(());
        }
        let tag = match node {
            Some(node) => self.tag(node).await.header,
            None => None,
        };
        let (wanted, unwanted) = (self.header("if-match"), self.header("if-none-match"));
        let late = parse_rfc1123(self.header("if-unmodified-since"))
            .is_some_and(|since| node.is_some_and(|node| seconds(node.modified) > seconds(since)));
        let fails = |name: &str| Err(DavError::new(412, &format!("{name} does not hold")));
        if !wanted.is_empty() && (node.is_none() || !names(wanted, tag.as_deref(), false)) {
            return fails("If-Match");
        }
        if !unwanted.is_empty() && node.is_some() && names(unwanted, tag.as_deref(), true) {
            return fails("If-None-Match");
        }
        if wanted.is_empty() && late {
            return fails("If-Unmodified-Since");
        }
        Ok(())
    }

    /// The conditions of a read: 304 or 412, or whether `Range` counts (`If-Range`).
    pub(super) fn may_read(&self, node: &Node, tag: Option<&str>) -> Result<bool, DavError> {
        let (wanted, unwanted) = (self.header("if-match"), self.header("if-none-match"));
        let date = |name: &str| parse_rfc1123(self.header(name)).map(seconds);
        let modified = seconds(node.modified);
        if !wanted.is_empty() && !names(wanted, tag, false) {
            return Err(DavError::new(412, "If-Match does not hold"));
        }
        if wanted.is_empty() && date("if-unmodified-since").is_some_and(|since| modified > since) {
            return Err(DavError::new(412, "If-Unmodified-Since does not hold"));
        }
        let known = match unwanted {
            "" => date("if-modified-since").is_some_and(|since| modified <= since),
            list => names(list, tag, true),
        };
        if known {
            return Err(DavError::new(304, ""));
        }
        Ok(match self.header("if-range") {
            "" => true,
            tagged if tagged.contains('"') => names(tagged, tag, false),
            _ => date("if-range") == Some(modified),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_as_the_standard_says() {
        // RFC 9110, 8.8.3.2.
        assert!(!names("W/\"1\"", Some("W/\"1\""), false));
        assert!(names("W/\"1\"", Some("W/\"1\""), true));
        assert!(!names("W/\"1\"", Some("W/\"2\""), true));
        assert!(names("W/\"1\"", Some("\"1\""), true));
        assert!(!names("W/\"1\"", Some("\"1\""), false));
        assert!(names("\"0\", \"1\"", Some("\"1\""), false));
        assert!(!names("1", Some("\"1\""), false));
        assert!(names("*", None, false));
        assert!(!names("\"1\"", None, true));
    }
}
