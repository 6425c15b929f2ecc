//! Links, listings, moves, trash, restore.

use super::*;
use crate::drive::{ErrorKind, Node, collect};
use crate::providers::quark_uc::{QUARK, UC};

async fn node_of(bed: &Bed, entry: Value) -> Node {
    let fid = entry["fid"].as_str().unwrap().to_owned();
    bed.on(STAT, [good(entry)]);
    bed.drive.stat(&NodeId::new(fid)).await.unwrap()
}

#[tokio::test]
async fn a_directory_that_is_gone_is_not_an_empty_one() {
    let bed = Bed::new(&QUARK).await;
    bed.on(LIST, [listing(json!([]))])
        .on(STAT, [refusal(404, 41006)]);
    let error = bed.drive.list(&NodeId::new("d"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    let dir = json!({"fid":"d","file_name":"d","pdir_fid":"0","dir":true});
    bed.on(STAT, [good(dir)]);
    assert!(
        bed.drive
            .list(&NodeId::new("d"), None)
            .await
            .unwrap()
            .nodes
            .is_empty()
    );
}

#[tokio::test]
async fn stat_finds_its_way() {
    // By the second call, and from then on by it alone.
    let bed = Bed::new(&QUARK).await;
    bed.on("GET /file", [good(json!([file("9", "a &amp; b", 3)]))]);
    for _ in 0..2 {
        let node = bed.drive.stat(&NodeId::new("9")).await.unwrap();
        assert_eq!((node.name.as_str(), node.size), ("a & b", 3));
    }
    assert_eq!(bed.calls(), [STAT, "GET /file", "GET /file"]);
    // By the listing of the directory where it was seen.
    let bed = Bed::new(&UC).await;
    bed.on(LIST, [listing(json!([file("9", "a", 3)]))]);
    let page = bed.drive.list(&bed.drive.root(), None).await.unwrap();
    assert_eq!(bed.drive.stat(&page.nodes[0].id).await.unwrap().name, "a");
    bed.on(LIST, [listing(json!([]))]);
    let error = bed.drive.stat(&page.nodes[0].id).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    // A page in place of an answer decides nothing.
    bed.on(STAT, [raw(200, "<html>")]);
    let error = bed.drive.stat(&page.nodes[0].id).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer);
}

#[tokio::test]
async fn the_md5_comes_with_the_link() {
    let bed = Bed::new(&UC).await;
    let node = node_of(&bed, file("9", "hello", 5)).await;
    let told = json!([{"fid":"9","md5":"XUFAKrxLKna5cZ2REBfFkg==","download_url":"https://h/x"}]);
    bed.on(
        "POST /file/download",
        [good(told), good(json!([{"fid":"9","md5":""}]))],
    );
    let known = bed
        .drive
        .fingerprint(&node, Kind::Md5)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&*known.value, "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(known.origin, Origin::Provider);
    assert_eq!(bed.drive.fingerprint(&node, Kind::Md5).await.unwrap(), None);
    assert_eq!(
        bed.drive.fingerprint(&node, Kind::Sha1).await.unwrap(),
        None
    );
    assert_eq!(bed.all("POST /file/download").len(), 2);
}

#[tokio::test]
async fn a_read_carries_all_that_its_link_is_bound_to() {
    let bed = Bed::new(&QUARK).await;
    let node = node_of(&bed, file("9", "hello", 12)).await;
    let link = json!([{"fid":"9","download_url":format!("{}/cdn/hello", bed.base)}]);
    let link = good(link)
        .header("set-cookie", "__puus=two")
        .header("set-cookie", "__pugs=g1; Domain=.quark.cn");
    bed.on("POST /file/download", [link]);
    let piece = raw(206, "llo").header("content-range", "bytes 2-4/12");
    let expired = raw(403, "<Error><Code>AccessDenied</Code></Error>");
    bed.on("GET /cdn/hello", [piece.clone(), expired, piece]);
    for _ in 0..2 {
        let stream = bed.drive.read(&node, 2..5).await.unwrap();
        assert_eq!(&collect(stream, 3).await.unwrap()[..], b"llo");
    }
    let seen = bed.last("GET /cdn/hello");
    assert_eq!(seen.header("cookie"), "__pus=login; __puus=two; __pugs=g1");
    assert_eq!(seen.header("referer"), "https://pan.quark.cn");
    assert!(seen.header("user-agent").contains("quark-cloud-drive/"));
    // One link for the first read, one after it was refused.
    assert_eq!(bed.all("POST /file/download").len(), 2);
    assert_eq!(bed.all("GET /cdn/hello").len(), 3);
    assert_eq!(bed.cookie(), "__pus=login; __puus=two");
}

#[tokio::test]
async fn a_link_that_stays_refused_ends() {
    let bed = Bed::new(&QUARK).await;
    let node = node_of(&bed, file("9", "hello", 12)).await;
    let link = json!({"task_id":"t","task_sync":false,
        "task_resp":{"data":[{"fid":"9","download_url":format!("{}/cdn/x", bed.base)}]}});
    bed.on("POST /file/download", [good(link)]);
    bed.on("GET /cdn/x", [raw(403, "no")]);
    let error = bed.drive.read(&node, 0..1).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Provider);
    assert_eq!(bed.all("GET /cdn/x").len(), 2);
}

#[tokio::test]
async fn mkdir_whose_answer_is_lost_finds_its_own() {
    let bed = Bed::new(&QUARK).await;
    bed.on(
        "POST /file",
        [good(json!({"fid":"d1","finish":true})), refusal(400, 23008)],
    );
    let made = bed.drive.mkdir(&bed.drive.root(), "a:b").await.unwrap();
    assert_eq!(
        (made.id.as_str(), made.name.as_str(), made.is_dir()),
        ("d1", "a:b", true)
    );
    let body = bed.last("POST /file").json();
    assert_eq!(body["file_name"], "a\u{ff1a}b");
    assert_eq!(
        (&body["pdir_fid"], &body["dir_init_lock"]),
        (&json!("0"), &json!(false))
    );
    let error = bed.drive.mkdir(&bed.drive.root(), "a:b").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    // Lost on its way back: ours is there, and young.
    bed.on("POST /file", [raw(504, "<html>")]);
    let dir = |at: i64| json!([{"fid":"d2","file_name":"new","dir":true,"created_at":at}]);
    bed.on(LIST, [listing(dir(32_503_680_000_000))]);
    let made = bed.drive.mkdir(&bed.drive.root(), "new").await.unwrap();
    assert_eq!(made.id.as_str(), "d2");
    bed.on(LIST, [listing(dir(1_500_000_000_000))]);
    let error = bed.drive.mkdir(&bed.drive.root(), "new").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Provider);
    assert_eq!(bed.all("POST /file").len(), 4, "sent once each");
}

#[tokio::test]
async fn a_move_onto_a_taken_name_is_not_made() {
    let bed = Bed::new(&QUARK).await;
    let mut entry = file("9", "f.bin", 5);
    entry["pdir_fid"] = json!("from");
    let node = node_of(&bed, entry).await;
    let mut other = file("7", "f.bin", 6);
    other["pdir_fid"] = json!("to");
    bed.on(LIST, [listing(json!([other]))])
        .on(STAT, [good(other)]);
    let error = bed
        .drive
        .move_to(&node, &NodeId::new("to"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert!(bed.all("POST /file/move").is_empty());
}

#[tokio::test]
async fn a_move_that_came_out_numbered_is_taken_back() {
    let bed = Bed::new(&QUARK).await;
    let mut entry = file("9", "f.bin", 5);
    entry["pdir_fid"] = json!("from");
    let node = node_of(&bed, entry).await;
    let mut now = file("9", "f(1).bin", 5);
    now["pdir_fid"] = json!("to");
    // The directory holds something else, so that nothing is asked about it.
    bed.on(LIST, [listing(json!([file("5", "else", 1)]))]);
    bed.on(STAT, [good(now)]);
    bed.on(
        "POST /file/move",
        [good(json!({"task_id":"t","finish":false}))],
    );
    let state = |status: i64| page(json!({ "status": status }), json!({"tq_gap":100}));
    bed.on(TASK, [state(0), state(1), state(2)]);
    bed.on("POST /file/rename", [good(json!({}))]);
    let error = bed
        .drive
        .move_to(&node, &NodeId::new("to"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    let moves: Vec<Value> = bed
        .all("POST /file/move")
        .iter()
        .map(|seen| seen.json()["to_pdir_fid"].clone())
        .collect();
    assert_eq!(moves, ["to", "from"]);
    assert_eq!(bed.last("POST /file/rename").json()["file_name"], "f.bin");
    let polls = bed.all(TASK);
    assert!(
        polls[1].query.contains("retry_index=1"),
        "{}",
        polls[1].query
    );
}

#[tokio::test]
async fn a_copy_is_found_by_what_is_new() {
    let bed = Bed::new(&QUARK).await;
    let node = node_of(&bed, file("9", "f.bin", 5)).await;
    let old = file("5", "else", 1);
    let mut new = file("10", "f.bin", 5);
    new["pdir_fid"] = json!("to");
    bed.on(LIST, [listing(json!([old])), listing(json!([old, new]))]);
    bed.on(STAT, [good(new)]);
    bed.on(
        "POST /file/copy",
        [good(json!({"task_id":"t","finish":false}))],
    );
    bed.on(TASK, [good(json!({"status":2}))]);
    let copy = bed
        .drive
        .copy(&node, &NodeId::new("to"), "f.bin")
        .await
        .unwrap();
    assert_eq!((copy.id.as_str(), copy.parent.as_str()), ("10", "to"));
    let error = bed
        .drive
        .copy(&node, &NodeId::new("to"), "g.bin")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    // OpenList says that the call is not there.
    let bed = Bed::new(&UC).await;
    bed.on(LIST, [listing(json!([file("5", "else", 1)]))]);
    let error = bed
        .drive
        .copy(&node, &NodeId::new("to"), "f.bin")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
}

#[tokio::test]
async fn rename_recognises_its_own_name() {
    let bed = Bed::new(&QUARK).await;
    let node = node_of(&bed, file("9", "old", 5)).await;
    bed.on("POST /file/rename", [good(json!({})), refusal(400, 23008)]);
    assert_eq!(bed.drive.rename(&node, "new").await.unwrap().name, "new");
    let error = bed.drive.rename(&node, "new").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    bed.on(STAT, [good(file("9", "new", 5))]);
    assert_eq!(bed.drive.rename(&node, "new").await.unwrap().name, "new");
}

#[tokio::test]
async fn trash_waits_for_its_task_and_gone_is_a_success() {
    let bed = Bed::new(&QUARK).await;
    let node = node_of(&bed, file("9", "f", 5)).await;
    bed.on(
        "POST /file/delete",
        [good(json!({"task_id":"t","finish":false}))],
    );
    bed.on(
        TASK,
        [
            page(json!({"status":0}), json!({"tq_gap":100})),
            good(json!({"status":2})),
        ],
    );
    bed.drive.trash(&node).await.unwrap();
    let body = bed.last("POST /file/delete").json();
    assert_eq!(
        body,
        json!({"action_type":2,"filelist":["9"],"exclude_fids":[]})
    );
    assert_eq!(bed.all(TASK).len(), 2);
    // A task that failed, of a node that is there, and of one that is not.
    bed.on(TASK, [good(json!({"status":3}))]);
    let error = bed.drive.trash(&node).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Provider);
    bed.on(STAT, [refusal(404, 41006)]);
    bed.drive.trash(&node).await.unwrap();
    bed.on("POST /file/delete", [refusal(400, 14001)]);
    bed.drive.trash(&node).await.unwrap();
}

#[tokio::test]
async fn restore_goes_by_the_record_of_the_trash() {
    let bed = Bed::new(&QUARK).await;
    let node = node_of(&bed, file("9", "f", 5)).await;
    bed.on(LIST, [listing(json!([file("5", "else", 1)]))]);
    let full: Vec<Value> = (100..150).map(|n| json!({"fid":n,"record_id":n})).collect();
    let second = json!([{"fid":"9","record_id":9_007_199_254_740_993_u64}]);
    bed.on(
        "GET /file/recycle/list",
        [
            good(json!({ "list": full })),
            good(json!({ "list": second })),
        ],
    );
    bed.on(
        "POST /file/recycle/recover",
        [good(json!({"task_id":"t","finish":true}))],
    );
    let back = bed.drive.restore(&node).await.unwrap();
    assert_eq!((back.id.as_str(), back.name.as_str()), ("9", "f"));
    let body = bed.last("POST /file/recycle/recover").json();
    assert_eq!(
        body,
        json!({"select_mode":1,"record_list":[9_007_199_254_740_993_u64]})
    );
    bed.on("GET /file/recycle/list", [good(json!({ "list": null }))]);
    let error = bed.drive.restore(&node).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}
