//! What is in a directory, told from answers of many spellings.

use super::*;

fn entry(href: &str) -> Entry {
    Entry {
        href: href.to_owned(),
        found: true,
        ..Entry::default()
    }
}

fn asked(path: &str) -> Segments {
    address::href(path).unwrap().0
}

fn names(listing: &Listing) -> Vec<String> {
    let names = listing.children.iter();
    names.map(|(name, _)| address::shown(name)).collect()
}

#[test]
fn the_directory_itself_is_no_child() {
    // In any place, in any spelling.
    let listing = arrange(
        asked("/dav/a b"),
        vec![
            entry("/dav/a%20b/x"),
            entry("http://h:80//dav/a%20b/"),
            entry("https://h/dav/a b/%E4%BD%A0/"),
            entry("/dav/a%20b/x/deeper"),
            entry("/elsewhere"),
            entry("/dav/a%20b/../../etc"),
        ],
    );
    assert_eq!(
        listing.own.as_ref().unwrap().href,
        "http://h:80//dav/a%20b/"
    );
    assert_eq!(names(&listing), ["x", "\u{4f60}"]);
}

#[test]
fn a_proxy_may_have_changed_the_path() {
    let listing = arrange(
        asked("/public/dav/a"),
        vec![
            entry("/inner/a/"),
            entry("/inner/a/x"),
            entry("/inner/a/y/"),
        ],
    );
    assert_eq!(names(&listing), ["x", "y"]);
    let empty = arrange(asked("/public/dav/a"), vec![entry("/inner/a/")]);
    assert!(empty.own.is_some() && empty.children.is_empty());
    // Without the directory itself, as some servers answer.
    let bare = arrange(asked("/dav/a"), vec![entry("/dav/a/x")]);
    assert_eq!(names(&bare), ["x"]);
}

#[test]
fn entries_become_nodes() {
    let mut file = entry("/dav/f%2e");
    file.props = Props {
        collection: Some(false),
        length: Some(11),
        modified: Some("Tue, 14 Nov 2023 22:13:20 GMT".to_owned()),
        created: Some("2023-11-14T22:13:20Z".to_owned()),
        etag: Some("W/\"5-60a2\"".to_owned()),
        checksums: Some(
            "SHA1:2AAE6C35C94FCFB415DBE95F408B9CE91EE846ED MD5:nonsense ADLER32:1a0b045d"
                .to_owned(),
        ),
        ..Props::default()
    };
    let node = node_of("a%20b", b"f.", &file).unwrap();
    assert_eq!(
        (node.id.as_str(), node.parent.as_str()),
        ("a%20b/f.", "a%20b")
    );
    assert_eq!((node.size, node.kind), (11, NodeKind::File));
    assert_eq!(node.modified, 1_700_000_000_000);
    assert_eq!(node.created, 1_700_000_000_000);
    assert_eq!(node.version, "5-60a2");
    let sha1 = node.fingerprints.get(Kind::Sha1).unwrap();
    assert_eq!(&*sha1.value, "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed");
    assert_eq!(sha1.origin, Origin::UploaderClaim);
    assert!(node.fingerprints.get(Kind::Md5).is_none());
    // lighttpd: directories carry a length.
    let mut dir = entry("/dav/d/");
    dir.props.length = Some(4096);
    let node = node_of("", b"d", &dir).unwrap();
    assert_eq!((node.size, node.kind), (0, NodeKind::Dir));
    // What cannot be looked at, and unfinished uploads, are not there.
    let mut refused = entry("/dav/x");
    refused.status = Some(403);
    assert!(node_of("", b"x", &refused).is_none());
    let ours = crate::providers::webdav::names::temporary();
    assert!(node_of("", ours.as_bytes(), &entry("/dav/y")).is_none());
}

#[test]
fn versions_change_with_the_bytes() {
    let with = |etag: Option<&str>, modified: &str, length| {
        version(&Props {
            etag: etag.map(str::to_owned),
            modified: Some(modified.to_owned()),
            length: Some(length),
            ..Props::default()
        })
    };
    let (early, late) = (
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "Tue, 14 Nov 2023 22:13:21 GMT",
    );
    assert_eq!(
        with(Some("W/\"a\""), early, 1),
        with(Some("\"a\""), late, 1)
    );
    assert_eq!(with(Some("a"), early, 1), "a");
    assert_ne!(with(None, early, 1), with(None, late, 1));
    assert_ne!(with(None, early, 1), with(None, early, 2));
    assert_ne!(with(Some("\"\""), early, 1), "");
    let numbered = Props {
        file_id: Some("7".to_owned()),
        ..Props::default()
    };
    assert_eq!(identity(&numbered), "id 7");
}

#[test]
fn times_in_every_dress() {
    for text in [
        "Tue, 14 Nov 2023 22:13:20 GMT",
        " Tue, 14 Nov 2023 22:13:20 +0000",
        "2023-11-14T22:13:20Z",
        "2023-11-15T06:13:20+08:00",
    ] {
        assert_eq!(time_ms(text), Some(1_700_000_000_000), "{text}");
    }
    assert_eq!(time_ms("yesterday"), None);
}
