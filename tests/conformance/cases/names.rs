//! Names: what a user writes comes back, however the provider spells it.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use panfuse::drive::ErrorKind;

use crate::actions::{list, put, sample};
use crate::stage::Stage;
use crate::{Outcome, skip};

/// Names that break careless code: characters that providers refuse, their full-width twins,
/// blanks at the ends, what URLs and forms quote, and 255 bytes.
fn awkward() -> Vec<String> {
    let mut names: Vec<String> = [
        "with spaces in it.txt",
        " leading and trailing ",
        "\u{e9}t\u{e9} caf\u{e9}.txt",
        "\u{4e2d}\u{6587} \u{ff1a}\u{6587}\u{4ef6}.pdf",
        "\u{1f600}\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} emoji.jpg",
        ".hidden",
        "..two dots",
        "ends with a dot.",
        "a:b",
        "a`b",
        "what?.txt",
        "st*r",
        "\"quoted\"",
        "<angle>",
        "pi|pe",
        "back\\slash",
        "full\u{ff1a}width\u{ff1f}",
        "100% + & = # ; 'single'.txt",
        "%41%2F.txt",
        "tab\there",
        "no extension",
        "many.dots.tar.gz",
        "name(1).txt",
    ]
    .map(str::to_owned)
    .to_vec();
    // 255 bytes, the longest name of a local file system.
    names.push("\u{5b57}".repeat(85));
    names
}

pub async fn awkward_directories_come_back(stage: Stage) -> Outcome {
    let top = stage.dir("dirs").await;
    let wanted: BTreeSet<String> = awkward().into_iter().collect();
    for name in &wanted {
        let made = stage.drive.mkdir(&top.id, name).await;
        let made = made.unwrap_or_else(|error| panic!("mkdir {name:?}: {error}"));
        assert_eq!(&made.name, name);
        assert!(made.is_dir());
    }
    stage.settle();
    let (nodes, _) = list(&*stage.drive, &top.id).await.unwrap();
    let got: BTreeSet<String> = nodes.into_iter().map(|node| node.name).collect();
    assert_eq!(got, wanted);
    Ok(())
}

pub async fn awkward_files_come_back(stage: Stage) -> Outcome {
    let top = stage.dir("files").await;
    let wanted: BTreeSet<String> = awkward().into_iter().collect();
    let (stage, top) = (&stage, &top);
    let uploads = (100..).zip(&wanted).map(|(seed, name)| async move {
        let content = sample(stage, seed, 50 + seed);
        let made = put(stage, &top.id, name, &content).await;
        let made = made.unwrap_or_else(|error| panic!("upload {name:?}: {error}"));
        assert_eq!(&made.name, name);
        let fresh = stage.drive.stat(&made.id).await.unwrap();
        assert_eq!(&fresh.name, name);
        assert_eq!(fresh.parent, top.id);
    });
    futures_util::stream::iter(uploads)
        .buffer_unordered(4)
        .collect::<()>()
        .await;
    stage.settle();
    let (nodes, _) = list(&*stage.drive, &top.id).await.unwrap();
    let got: BTreeSet<String> = nodes.into_iter().map(|node| node.name).collect();
    assert_eq!(got, wanted);
    Ok(())
}

pub async fn names_that_differ_in_case(stage: Stage) -> Outcome {
    let top = stage.dir("case").await;
    let (one, other) = (sample(&stage, 1, 10), sample(&stage, 2, 20));
    put(&stage, &top.id, "Readme.TXT", &one).await.unwrap();
    let second = put(&stage, &top.id, "readme.txt", &other).await;
    if stage.caps.case_insensitive {
        assert_eq!(second.unwrap_err().kind, ErrorKind::Exists);
        return Ok(());
    }
    assert_eq!(second.unwrap().name, "readme.txt");
    stage.settle();
    let (nodes, _) = list(&*stage.drive, &top.id).await.unwrap();
    let mut got: Vec<(String, u64)> = nodes.into_iter().map(|n| (n.name, n.size)).collect();
    got.sort();
    let wanted = [("Readme.TXT".to_owned(), 10), ("readme.txt".to_owned(), 20)];
    assert_eq!(got, wanted);
    Ok(())
}

pub async fn a_name_that_is_too_long(stage: Stage) -> Outcome {
    if stage.caps.max_name_bytes == 0 {
        return skip("no limit is declared");
    }
    let top = stage.dir("long").await;
    let before = stage.snapshot();
    let name = "x".repeat(stage.caps.max_name_bytes + 1);
    let error = stage.drive.mkdir(&top.id, &name).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTooLong, "mkdir: {error}");
    let content = sample(&stage, 3, 30);
    let error = put(&stage, &top.id, &name, &content).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTooLong, "upload: {error}");
    let old = stage.dir("long/short").await;
    let error = stage.drive.rename(&old, &name).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTooLong, "rename: {error}");
    let mut after = stage.snapshot();
    after.retain(|line| !line.contains("short"));
    assert_eq!(after, before);
    Ok(())
}
