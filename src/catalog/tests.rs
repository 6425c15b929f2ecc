use std::fs;

use super::schema::beside;
use super::*;
use crate::drive::{Node, NodeId, NodeKind, Quota};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin};
use crate::net::{BreakerRecord, BreakerStore};

fn known(value: &str, origin: Origin) -> Known {
    Known {
        value: value.into(),
        origin,
        provider: "p".into(),
        at: 1,
    }
}

fn node(id: &str, name: &str) -> Node {
    Node {
        id: NodeId::new(id),
        parent: NodeId::new("?"),
        name: name.into(),
        kind: NodeKind::File,
        size: 5,
        modified: 11,
        created: 7,
        version: "v1".into(),
        fingerprints: [(Kind::Md5, known("m", Origin::Provider))]
            .into_iter()
            .collect(),
        handle: Some("pick".into()),
        raw: Some("{\"a\":1}".into()),
    }
}

fn dir(id: &str, name: &str) -> Node {
    Node {
        kind: NodeKind::Dir,
        size: 0,
        fingerprints: Fingerprints::new(),
        ..node(id, name)
    }
}

fn id(text: &str) -> NodeId {
    NodeId::new(text)
}

fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|e| &*e.node.name).collect()
}

fn memory() -> (Catalog, NodeKey) {
    let catalog = Catalog::in_memory().unwrap();
    let root = catalog.root("p", &id("0"));
    (catalog, root)
}

/// Makes every read go to the tree and the file.
fn chill(catalog: &Catalog) {
    catalog.caches.end_epoch();
}

#[test]
fn a_root_is_made_once_and_anew_for_another_id() {
    let (catalog, root) = memory();
    assert_eq!(catalog.root("p", &id("0")), root);
    assert_ne!(catalog.root("q", &id("0")), root);
    let file = catalog.upsert(root, node("1", "a"), None).unwrap();
    let other = catalog.root("p", &id("9"));
    assert_ne!(other, root);
    assert_eq!(catalog.get(root), None);
    assert_eq!(catalog.get(file.key), None);
    assert_eq!(catalog.get(other).unwrap().node.id, id("9"));
}

#[test]
fn a_listing_is_reconciled_by_id() {
    let (catalog, root) = memory();
    assert_eq!(catalog.listing(root), None);
    let nodes = vec![node("2", "b"), node("1", "a"), dir("3", "sub")];
    let first = catalog.put_listing(root, nodes, 100).unwrap();
    assert_eq!(names(&first), ["b", "a", "sub"]);
    let below = catalog
        .put_listing(first[2].key, vec![node("4", "x")], 100)
        .unwrap();
    let deep = below[0].key;

    let nodes = vec![node("1", "renamed"), node("5", "new"), node("1", "renamed")];
    let second = catalog.put_listing(root, nodes, 200).unwrap();
    assert_eq!(names(&second), ["renamed", "new"]);
    assert_eq!(second[0].key, first[1].key, "the same id keeps its key");
    for gone in [first[0].key, first[2].key, deep] {
        assert_eq!(catalog.get(gone), None);
    }
    let read = |catalog: &Catalog| {
        let listing = catalog.listing(root).unwrap();
        assert_eq!((listing.fetched_at, listing.complete), (200, true));
        assert_eq!(names(&listing.entries), ["renamed", "new"]);
    };
    read(&catalog);
    chill(&catalog);
    read(&catalog);
    assert!(catalog.flush());
    chill(&catalog);
    read(&catalog);
    assert_eq!(catalog.get(deep), None);
    assert_eq!(catalog.stats().rows["nodes"], 3);
}

#[test]
fn unchanged_nodes_are_not_written() {
    let (catalog, root) = memory();
    let nodes = || {
        let list = (0..1000).map(|n| node(&format!("i{n}"), &format!("n{n}")));
        list.collect::<Vec<_>>()
    };
    catalog.put_listing(root, nodes(), 1).unwrap();
    assert!(catalog.flush());
    let before = catalog.stats().node_writes;
    assert_eq!(before, 1001);
    let mut again = nodes();
    for node in &mut again {
        // Links in the provider's record and the time of telling differ each time.
        node.raw = Some("{\"a\":2}".into());
        node.fingerprints = [(
            Kind::Md5,
            Known {
                at: 9,
                ..known("m", Origin::Provider)
            },
        )]
        .into_iter()
        .collect();
    }
    chill(&catalog);
    catalog.put_listing(root, again, 2).unwrap();
    assert!(catalog.flush());
    assert_eq!(catalog.stats().node_writes, before);
    assert_eq!(catalog.listing(root).unwrap().fetched_at, 2);
    let mut again = nodes();
    again[3].size = 6;
    catalog.put_listing(root, again, 3).unwrap();
    assert!(catalog.flush());
    assert_eq!(catalog.stats().node_writes, before + 1);
}

#[test]
fn pages_add_and_never_complete() {
    let (catalog, root) = memory();
    let one = catalog.put_page(root, vec![node("1", "a")], 5).unwrap();
    catalog.put_page(root, vec![node("2", "b")], 5).unwrap();
    assert_eq!(catalog.listing(root), None);
    assert_eq!(names(&catalog.children(root)), ["a", "b"]);
    let all = vec![node("1", "a"), node("2", "b")];
    let all = catalog.put_listing(root, all, 6).unwrap();
    assert_eq!(all[0].key, one[0].key);
    catalog.put_page(root, vec![node("3", "c")], 7).unwrap();
    chill(&catalog);
    let listing = catalog.listing(root).unwrap();
    assert_eq!((listing.fetched_at, listing.complete), (6, false));
    assert_eq!(listing.entries.len(), 3);
    catalog.put_listing(root, vec![node("3", "c")], 8).unwrap();
    catalog.expire(root);
    chill(&catalog);
    let listing = catalog.listing(root).unwrap();
    assert_eq!((listing.fetched_at, listing.complete), (0, true));
}

#[test]
fn a_path_that_becomes_a_directory_is_another_node() {
    let (catalog, root) = memory();
    let old = catalog.put_listing(root, vec![node("/a", "a")], 1).unwrap();
    let new = catalog.put_page(root, vec![dir("/a", "a")], 2).unwrap();
    assert_ne!(old[0].key, new[0].key);
    assert_eq!(catalog.get(old[0].key), None);
    assert_eq!(catalog.children(root).len(), 1);
}

#[test]
fn a_key_survives_replace_rename_and_move() {
    let (catalog, root) = memory();
    let a = catalog.upsert(root, dir("a", "a"), None).unwrap();
    let b = catalog.upsert(root, dir("b", "b"), None).unwrap();
    let file = catalog.upsert(a.key, node("1", "f"), None).unwrap();
    assert_eq!(
        catalog.upsert(a.key, node("1", "g"), None).unwrap().key,
        file.key
    );
    // A listing saw the new node before we wrote it through.
    let early = catalog.put_page(a.key, vec![node("2", "g")], 1).unwrap();
    let replaced = catalog.replace(file.key, node("2", "g")).unwrap();
    assert_eq!(replaced.key, file.key);
    assert_eq!(catalog.get(early[0].key), None);
    assert!(catalog.learn_node(file.key, "v1", Kind::Sha1, known("s", Origin::Computed)));
    assert!(!catalog.learn_node(file.key, "v0", Kind::Gcid, known("g", Origin::Computed)));
    let moved = catalog.moved(file.key, b.key, node("2", "h")).unwrap();
    assert_eq!((moved.key, moved.parent), (file.key, Some(b.key)));
    for flushed in [false, true] {
        if flushed {
            assert!(catalog.flush());
        }
        chill(&catalog);
        assert!(catalog.children(a.key).is_empty());
        assert_eq!(names(&catalog.children(b.key)), ["h"]);
        let now = catalog.get(file.key).unwrap();
        assert_eq!(now, moved);
        assert_eq!(now.node.parent, id("b"));
        assert!(now.node.fingerprints.get(Kind::Sha1).is_some());
    }
    // What was learned is about one version only.
    let newer = Node {
        version: "v2".into(),
        ..node("2", "h")
    };
    let newer = catalog.upsert(b.key, newer, None).unwrap();
    assert_eq!(newer.key, file.key);
    assert!(newer.node.fingerprints.get(Kind::Sha1).is_none());
    assert_eq!(catalog.moved(b.key, b.key, dir("b", "b")), None);
    catalog.remove(b.key);
    assert_eq!(catalog.get(file.key), None);
    assert_eq!(catalog.upsert(b.key, node("5", "z"), None), None);
    assert!(catalog.flush());
    assert_eq!(catalog.stats().rows["nodes"], 2);
}

#[test]
fn what_moved_out_of_a_removed_directory_stays() {
    let (catalog, root) = memory();
    let a = catalog.upsert(root, dir("a", "a"), None).unwrap();
    let file = catalog.upsert(a.key, node("1", "f"), None).unwrap();
    assert!(catalog.flush());
    let late = catalog.upsert(root, dir("z", "z"), None).unwrap();
    catalog.moved(file.key, late.key, node("1", "f")).unwrap();
    catalog.remove(a.key);
    assert!(catalog.flush());
    chill(&catalog);
    assert_eq!(catalog.get(file.key).unwrap().parent, Some(late.key));
    assert_eq!(catalog.get(a.key), None);
}

#[test]
fn renaming_a_directory_of_paths_touches_one_row() {
    let (catalog, root) = {
        let catalog = Catalog::in_memory().unwrap();
        let root = catalog.root("p", &id("/"));
        (catalog, root)
    };
    let a = catalog.upsert(root, dir("/a", "a"), None).unwrap();
    let b = catalog.upsert(a.key, dir("/a/b", "b"), None).unwrap();
    let file = catalog.upsert(b.key, node("/a/b/f", "f"), None).unwrap();
    assert_eq!(catalog.find("p", &id("/a/b/f")), vec![file.clone()]);
    assert!(catalog.flush());
    let before = catalog.stats().node_writes;
    catalog.moved(a.key, root, dir("/new", "new")).unwrap();
    let now = catalog.get(file.key).unwrap();
    assert_eq!(now.node.id, id("/new/b/f"));
    assert_eq!(now.node.parent, id("/new/b"));
    assert_eq!(catalog.find("p", &id("/new/b/f")), vec![now]);
    assert!(catalog.find("p", &id("/a/b/f")).is_empty());
    assert!(catalog.flush());
    assert_eq!(catalog.stats().node_writes, before + 1);
    let listed = catalog
        .put_listing(b.key, vec![node("/new/b/f", "f")], 1)
        .unwrap();
    assert_eq!(listed[0].key, file.key);
}

#[test]
fn find_sees_one_profile_and_every_place() {
    let (catalog, root) = memory();
    let other = catalog.root("q", &id("0"));
    let a = catalog.upsert(root, dir("a", "a"), None).unwrap();
    let one = catalog.upsert(root, node("1", "f"), None).unwrap();
    let two = catalog.upsert(a.key, node("1", "f"), None).unwrap();
    catalog.upsert(other, node("1", "f"), None).unwrap();
    for _ in 0..2 {
        assert_eq!(catalog.find("p", &id("1")), [one.clone(), two.clone()]);
        assert!(catalog.flush());
        chill(&catalog);
    }
    assert_eq!(catalog.named(root, "f"), [one]);
}

#[test]
fn a_negative_entry_ends_with_the_name() {
    let (catalog, root) = memory();
    catalog.put_negative(root, "a", 50);
    catalog.put_negative(root, "b", 51);
    assert!(catalog.flush());
    assert_eq!(catalog.negative(root, "a"), Some(50));
    assert_eq!(catalog.negative(root, "c"), None);
    catalog.upsert(root, node("1", "a"), None).unwrap();
    assert_eq!(catalog.negative(root, "a"), None);
    assert_eq!(catalog.negative(root, "b"), Some(51));
    catalog.put_listing(root, vec![node("1", "a")], 60).unwrap();
    assert_eq!(catalog.negative(root, "b"), None);
    assert!(catalog.flush());
    assert_eq!(catalog.stats().rows["node_records"], 0);
}

#[test]
fn attrs_and_notes_belong_to_a_version() {
    let (catalog, root) = memory();
    let file = catalog.upsert(root, node("1", "a"), None).unwrap();
    let attrs = LocalAttrs {
        mtime_ns: Some(1_234_567_891),
        atime_ns: None,
        mode: Some(0o640),
    };
    catalog.set_attrs(file.key, "v1", attrs);
    catalog.set_transfer(file.key, "v1", "{}");
    catalog.set_error(file.key, "v1", "no space");
    assert!(catalog.flush());
    chill(&catalog);
    assert_eq!(catalog.attrs(file.key, "v1"), Some(attrs));
    assert_eq!(catalog.attrs(file.key, "v2"), None);
    assert_eq!(catalog.transfer(file.key).as_deref(), Some("{}"));
    assert_eq!(catalog.raw(file.key).as_deref(), Some("{\"a\":1}"));
    catalog.set_error(file.key, "v1", "");
    assert_eq!(catalog.error(file.key), None);
    catalog.put_listing(root, vec![node("1", "b")], 1).unwrap();
    assert_eq!(
        catalog.attrs(file.key, "v1"),
        Some(attrs),
        "a rename keeps them"
    );
    let newer = Node {
        version: "v2".into(),
        ..node("1", "b")
    };
    catalog.put_listing(root, vec![newer], 2).unwrap();
    assert_eq!(catalog.attrs(file.key, "v1"), None);
    assert_eq!(catalog.transfer(file.key), None);
}

#[test]
fn a_distrusted_claim_leaves_the_nodes() {
    let (catalog, root) = memory();
    let claimed = |name: &str, origin| Node {
        fingerprints: [(Kind::Gcid, known("G", origin))].into_iter().collect(),
        ..node(name, name)
    };
    let nodes = || {
        vec![
            claimed("c", Origin::UploaderClaim),
            claimed("t", Origin::Provider),
        ]
    };
    for flushed in [true, false] {
        let all = catalog.put_listing(root, nodes(), 1).unwrap();
        if flushed {
            assert!(catalog.flush());
        }
        catalog.distrust(5, Kind::Gcid, "G");
        let gcid = |n: usize| {
            let entry = catalog.get(all[n].key).unwrap();
            entry.node.fingerprints.get(Kind::Gcid).is_some()
        };
        assert_eq!((gcid(0), gcid(1)), (false, true));
    }
}

/// What a killed process leaves: the files as they are, taken while the catalog is open.
fn killed(path: &Path) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("catalog.db");
    for suffix in ["", "-wal"] {
        fs::copy(beside(path, suffix), beside(&copy, suffix)).unwrap();
    }
    (dir, copy)
}

#[test]
fn everything_flushed_outlives_a_kill_and_a_close() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("deep/catalog.db");
    let opened = Catalog::open(&path).unwrap();
    assert_eq!(opened.set_aside, None);
    let catalog = opened.catalog;
    let root = catalog.root("p", &id("0"));
    let nodes = vec![node("1", "a"), dir("2", "sub")];
    let entries = catalog.put_listing(root, nodes, 77).unwrap();
    catalog.put_negative(root, "none", i64::MAX);
    let quota = Quota { total: 9, used: 4 };
    catalog.put_quota("acc", quota, 3);
    let breaker = BreakerRecord {
        until_ms: 5,
        strikes: 2,
        reason: "risk".into(),
    };
    catalog.save("acc", Some(&breaker));
    catalog.save("other", Some(&breaker));
    catalog.save("other", None);
    catalog.bump("hits", 2);
    catalog.bump("hits", 3);
    assert!(catalog.flush());
    let check = |path: &Path| {
        let opened = Catalog::open(path).unwrap();
        assert_eq!(opened.set_aside, None);
        let catalog = opened.catalog;
        assert_eq!(catalog.root("p", &id("0")), root);
        assert_eq!(catalog.listing(root).unwrap().entries, entries);
        assert_eq!(catalog.listing(root).unwrap().fetched_at, 77);
        assert_eq!(catalog.negative(root, "none"), Some(i64::MAX));
        assert_eq!(catalog.quota("acc"), Some((quota, 3)));
        assert_eq!(catalog.load("acc"), Some(breaker.clone()));
        assert_eq!(catalog.load("other"), None);
        assert_eq!(catalog.counter("hits"), 5);
        let new = catalog.upsert(root, node("9", "z"), None).unwrap();
        assert!(entries.iter().all(|old| old.key < new.key));
    };
    let (_dir, copy) = killed(&path);
    check(&copy);
    drop(catalog);
    assert!(
        !beside(&path, "-wal").exists(),
        "an orderly close folds the log in"
    );
    check(&path);
}

#[test]
fn a_key_handed_out_but_lost_is_not_used_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    let catalog = Catalog::open(&path).unwrap().catalog;
    let root = catalog.root("p", &id("0"));
    assert!(catalog.flush());
    let (_dir, copy) = killed(&path);
    let lost = catalog.upsert(root, node("1", "a"), None).unwrap();
    let again = Catalog::open(&copy).unwrap().catalog;
    assert!(again.upsert(root, node("2", "b"), None).unwrap().key > lost.key);
}

#[test]
fn a_damaged_catalog_begins_anew() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog.db");
    fs::write(
        &path,
        "this is no database, it only looks long enough".repeat(100),
    )
    .unwrap();
    let opened = Catalog::open(&path).unwrap();
    assert!(opened.set_aside.unwrap().exists());
    let root = opened.catalog.root("p", &id("0"));
    opened.catalog.upsert(root, node("1", "a"), None).unwrap();
    assert!(opened.catalog.flush());
}

#[test]
fn a_full_disk_is_survived_in_memory() {
    let (catalog, root) = memory();
    assert!(catalog.flush());
    let limit = |pages: u32| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        catalog
            .readers
            .with(|connection| connection.query_row(&sql, [], |row| row.get::<_, i64>(0)))
            .unwrap()
    };
    limit(1);
    let list = (0..2000).map(|n| node(&format!("i{n}"), &format!("n{n}")));
    let entries = catalog.put_listing(root, list.collect(), 4).unwrap();
    catalog.bump("c", 1);
    assert!(!catalog.flush());
    let stats = catalog.stats();
    assert!(stats.write_failures > 0 && !stats.writable && stats.unsaved > 2000);
    chill(&catalog);
    assert_eq!(catalog.listing(root).unwrap().entries, entries);
    catalog.remove(entries[0].key);
    chill(&catalog);
    assert_eq!(catalog.listing(root).unwrap().entries.len(), 1999);
    limit(1_000_000);
    assert!(catalog.flush());
    assert_eq!(catalog.stats().unsaved, 0);
    chill(&catalog);
    assert_eq!(catalog.listing(root).unwrap().entries, entries[1..]);
    assert_eq!(catalog.stats().rows["nodes"], 2000);
}

#[test]
fn readers_and_writers_agree_under_load() {
    let home = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&home.path().join("catalog.db"))
        .unwrap()
        .catalog;
    let root = catalog.root("p", &id("0"));
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let catalog = &catalog;
            scope.spawn(move || {
                let own = dir(&format!("d{worker}"), &format!("d{worker}"));
                let own = catalog.upsert(root, own, None).unwrap().key;
                for n in 0..100 {
                    let name = format!("w{worker}-{n}");
                    let entry = catalog.upsert(own, node(&name, &name), None).unwrap();
                    if n % 10 == 0 {
                        chill(catalog);
                    }
                    assert_eq!(catalog.get(entry.key).as_ref(), Some(&entry));
                    assert_eq!(catalog.children(own).len(), n + 1);
                }
            });
        }
    });
    assert!(catalog.flush());
    chill(&catalog);
    assert_eq!(catalog.children(root).len(), 4);
    assert_eq!(catalog.stats().rows["nodes"], 405);
}
