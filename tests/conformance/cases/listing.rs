//! Listings: empty, in pages, with pages that are odd.

use std::collections::BTreeSet;

use bytes::Bytes;
use panfuse::drive::{ErrorKind, NodeId, NodeKind};
use panfuse::sim::FaultKind;

use crate::actions::{find, list, put, sample};
use crate::stage::Stage;
use crate::{Outcome, skip};

pub async fn an_empty_directory_has_one_page(stage: Stage) -> Outcome {
    let dir = stage.dir("empty").await;
    stage.reset();
    let (nodes, pages) = list(&*stage.drive, &dir.id).await.unwrap();
    assert!(nodes.is_empty());
    assert_eq!(pages, 1);
    if stage.world.is_some() {
        assert_eq!(stage.stat().count(stage.spec.list), 1);
    }
    Ok(())
}

pub async fn pages_follow_each_other(stage: Stage) -> Outcome {
    let dir = stage.dir("many").await;
    // A listing that comes whole has no other page, however long it is.
    let (count, wanted_pages) = match u64::from(stage.caps.page_size) {
        0 => (2003, 1),
        page => (page * 2 + 3, 3),
    };
    let wanted: BTreeSet<String> = (0..count).map(|n| format!("entry {n:05}.bin")).collect();
    for name in &wanted {
        stage.seed_only(&format!("many/{name}"), &Bytes::from_static(b"x"));
    }
    stage.reset();
    let (nodes, pages) = list(&*stage.drive, &dir.id).await.unwrap();
    assert_eq!(nodes.len() as u64, count);
    let got: BTreeSet<String> = nodes.iter().map(|node| node.name.clone()).collect();
    assert_eq!(got, wanted);
    let ids: BTreeSet<&NodeId> = nodes.iter().map(|node| &node.id).collect();
    assert_eq!(ids.len() as u64, count);
    assert!(
        nodes
            .iter()
            .all(|node| { node.parent == dir.id && node.kind == NodeKind::File && node.size == 1 })
    );
    assert_eq!(pages, wanted_pages);
    if stage.world.is_some() {
        assert_eq!(stage.stat().count(stage.spec.list), pages as u64);
    }
    Ok(())
}

pub async fn a_truncated_page_loses_nothing(stage: Stage) -> Outcome {
    if stage.world.is_none() {
        return skip("no server that truncates");
    }
    let dir = stage.dir("cut").await;
    let count = u64::from(stage.caps.page_size.max(100)) + 5;
    for n in 0..count {
        stage.seed_only(&format!("cut/{n:05}"), &Bytes::from_static(b"x"));
    }
    stage.fault(stage.spec.list, FaultKind::TruncatedPage, "");
    let (nodes, _) = list(&*stage.drive, &dir.id).await.unwrap();
    let names: BTreeSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names.len() as u64, count);
    assert_eq!(nodes.len() as u64, count, "entries twice");
    Ok(())
}

pub async fn a_null_list_is_empty(stage: Stage) -> Outcome {
    if stage.world.is_none() {
        return skip("no server that answers null");
    }
    if stage.spec.implied_dirs {
        return skip("a directory of which nothing is told is not there");
    }
    let dir = stage.dir("null").await;
    stage.fault(stage.spec.list, FaultKind::NullList, "");
    let page = stage.drive.list(&dir.id, None).await.unwrap();
    assert!(page.nodes.is_empty());
    assert!(page.next.is_none());
    // Where entries are, null may pass for an empty page or be refused as nonsense.
    stage.seed("null/f.bin", &Bytes::from_static(b"x")).await;
    stage.fault(stage.spec.list, FaultKind::NullList, "");
    match stage.drive.list(&dir.id, None).await {
        // Of a stream of messages only one was empty.
        Ok(page) if stage.spec.streamed => assert_eq!(page.nodes.len(), 1),
        Ok(page) => assert!(page.nodes.is_empty()),
        Err(error) => assert_eq!(error.kind, ErrorKind::BadAnswer, "{error}"),
    }
    Ok(())
}

pub async fn a_new_file_is_listed(stage: Stage) -> Outcome {
    let dir = stage.dir("new").await;
    let content = sample(&stage, 11, 3000);
    let made = put(&stage, &dir.id, "fresh.bin", &content).await.unwrap();
    stage.settle();
    let listed = find(&*stage.drive, &dir.id, "fresh.bin").await;
    assert_eq!(listed.id, made.id);
    assert_eq!((listed.size, listed.kind), (3000, NodeKind::File));
    assert_eq!(
        listed.version, made.version,
        "a new version without a change"
    );
    Ok(())
}

pub async fn a_missing_directory_is_not_found(stage: Stage) -> Outcome {
    let dir = stage.dir("gone").await;
    stage.remove_dir(&dir, "gone");
    match list(&*stage.drive, &dir.id).await {
        Err(error) => assert_eq!(error.kind, ErrorKind::NotFound, "{error}"),
        Ok((nodes, _)) => panic!("a listing of a directory that is gone: {nodes:?}"),
    }
    Ok(())
}

pub async fn names_that_are_there_twice(stage: Stage) -> Outcome {
    if !stage.caps.duplicates {
        return skip("names are there once");
    }
    let dir = stage.dir("twice").await;
    let one = stage.seed("twice/a.bin", &Bytes::from_static(b"1")).await;
    let two = stage.seed("twice/b.bin", &Bytes::from_static(b"22")).await;
    stage.relocate(&two, &dir, "a.bin");
    let (nodes, _) = list(&*stage.drive, &dir.id).await.unwrap();
    let mut got: Vec<(&str, u64)> = nodes.iter().map(|n| (n.name.as_str(), n.size)).collect();
    got.sort_unstable();
    assert_eq!(got, [("a.bin", 1), ("a.bin", 2)]);
    // Each is what its id says, also when one of them goes.
    stage.drive.trash(&one).await.unwrap();
    stage.settle();
    let left = find(&*stage.drive, &dir.id, "a.bin").await;
    assert_eq!((left.id, left.size), (two.id, 2));
    Ok(())
}
