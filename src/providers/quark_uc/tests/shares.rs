//! Shares, and taking over from them.

use super::*;
use crate::drive::{ErrorKind, Node, Shared as Handed, collect};
use crate::providers::quark_uc::{QUARK, UC};

const TOKEN: &str = "POST /share/sharepage/token";
const DETAIL: &str = "GET /share/sharepage/detail";
const SAVE: &str = "POST /share/sharepage/save";
const LINK: &str = "https://pan.quark.cn/s/abc123?pwd=x1y2#/list/share";

async fn share(info: &'static ProviderInfo, cookie: &str) -> Bed {
    let bed = Bed::open(info, "share", cookie, &[("pwd_id", LINK)]).await;
    let token = |stoken: &str| good(json!({"stoken":stoken,"title":"t"}));
    bed.on(TOKEN, [token("s 1/=="), token("s2")]);
    let mut entry = file("9", "a &amp; b", 12);
    entry["share_fid_token"] = json!("ticket9");
    let dir = json!({"fid":"d","file_name":"dir","dir":true,"share_fid_token":"ticketd"});
    bed.on(
        DETAIL,
        [page(
            json!({"is_owner":0,"list":[dir, entry]}),
            json!({"_total":2}),
        )],
    );
    bed
}

async fn first(bed: &Bed) -> Vec<Node> {
    bed.drive.list(&bed.drive.root(), None).await.unwrap().nodes
}

#[tokio::test]
async fn a_guest_lists_a_share_with_one_token() {
    let bed = share(&QUARK, "").await;
    for _ in 0..2 {
        let nodes = first(&bed).await;
        assert_eq!((nodes[0].is_dir(), nodes[1].name.as_str()), (true, "a & b"));
        assert!(!nodes[1].raw.as_ref().unwrap().contains("ticket9"));
        assert_eq!(nodes[1].handle, None);
    }
    assert_eq!(bed.calls(), [TOKEN, DETAIL, DETAIL]);
    assert_eq!(
        bed.last(TOKEN).json(),
        json!({"pwd_id":"abc123","passcode":"x1y2"})
    );
    let seen = bed.last(DETAIL);
    assert!(
        seen.query.contains("stoken=s%2B1%2F%3D%3D"),
        "{}",
        seen.query
    );
    assert!(seen.query.contains("pwd_id=abc123") && seen.query.contains("pdir_fid=0"));
    assert_eq!(seen.header("cookie"), "");
    let caps = bed.drive.capabilities();
    assert!(caps.read_only && caps.shared && !caps.saves_shared && !caps.trash);
    assert!(caps.questions.is_empty());
    let error = bed.drive.mkdir(&bed.drive.root(), "x").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_token_that_ran_out_is_renewed_once() {
    for (info, code) in [(&QUARK, 41020), (&QUARK, 14001), (&UC, 14001)] {
        let bed = share(info, COOKIE).await;
        let rest = bed.script.lock().unwrap().answers[DETAIL][0].clone();
        bed.on(DETAIL, [refusal(400, code), rest]);
        assert_eq!(first(&bed).await.len(), 2);
        assert_eq!(bed.calls(), [TOKEN, DETAIL, TOKEN, DETAIL]);
        assert!(bed.last(DETAIL).query.contains("stoken=s2"));
        assert_eq!(bed.last(DETAIL).header("cookie"), COOKIE);
        bed.on(DETAIL, [refusal(400, code)]);
        let error = bed.drive.list(&bed.drive.root(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn wrong_codes_and_dead_links_are_told_apart() {
    for (code, kind) in [
        (41012, ErrorKind::Auth),
        (41008, ErrorKind::Auth),
        (41006, ErrorKind::NotFound),
        (41014, ErrorKind::NotFound),
        (14001, ErrorKind::NotFound),
    ] {
        let bed = share(&QUARK, "").await;
        bed.on(TOKEN, [refusal(404, code)]);
        let error = bed.drive.list(&bed.drive.root(), None).await.unwrap_err();
        assert_eq!(error.kind, kind, "{code}");
        assert!(!error.to_string().contains("x1y2"));
        assert_eq!(bed.calls(), [TOKEN]);
    }
}

#[tokio::test]
async fn a_file_of_a_share_is_read_with_its_ticket() {
    let bed = share(&QUARK, "").await;
    let link = json!([{"fid":"9","download_url":format!("{}/cdn/x", bed.base)}]);
    bed.on(
        "POST /file/download",
        [
            good(link).header("set-cookie", "__pugs=g1"),
            refusal(200, 23018),
        ],
    );
    let piece = raw(206, "llo").header("content-range", "bytes 2-4/12");
    bed.on("GET /cdn/x", [piece]);
    // As after a restart: only the node is known.
    let node = first(&bed).await.remove(1);
    let drive = bed.reopened();
    let stream = drive.read(&node, 2..5).await.unwrap();
    assert_eq!(&collect(stream, 3).await.unwrap()[..], b"llo");
    let asked = bed.last("POST /file/download");
    assert!(asked.query.contains("entry=ft"));
    assert_eq!(
        asked.json(),
        json!({"fids":["9"],"fids_token":["ticket9"],"pwd_id":"abc123","stoken":"s2"})
    );
    assert_eq!(bed.last("GET /cdn/x").header("cookie"), "__pugs=g1");
    let drive = bed.reopened();
    let error = drive.read(&node, 2..5).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert!(error.message.contains("cookie"), "{error}");
}

#[tokio::test]
async fn a_node_is_found_by_its_id_alone() {
    let bed = share(&QUARK, "").await;
    let top = bed.script.lock().unwrap().answers[DETAIL][0].clone();
    let inner = page(json!({"list":[file("77", "deep", 1)]}), json!({"_total":1}));
    bed.on(DETAIL, [top, inner, listing(json!([]))]);
    let node = bed.drive.stat(&NodeId::new("77")).await.unwrap();
    assert_eq!((node.name.as_str(), node.parent.as_str()), ("deep", "d"));
    let error = bed.drive.stat(&NodeId::new("none")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

/// What a share hands out of its file.
async fn handed(info: &'static ProviderInfo) -> Handed {
    let bed = share(info, "").await;
    let node = first(&bed).await.remove(1);
    let shared = bed.drive.shared(&node).await.unwrap();
    assert_eq!(shared.provider, info.key);
    assert!(!format!("{shared:?}").contains("ticket9"));
    shared
}

async fn account() -> Bed {
    let bed = Bed::new(&QUARK).await;
    bed.on(LIST, [listing(json!([file("5", "else", 1)]))]);
    bed.on(SAVE, [good(json!({"task_id":"t"}))]);
    let saved = json!({"status":2,"save_as":{"save_as_top_fids":["n1"]}});
    bed.on(TASK, [good(saved)]);
    bed.on(STAT, [good(file("n1", "a &amp; b", 12))]);
    bed.on("POST /file/rename", [good(json!({}))]);
    bed
}

#[tokio::test]
async fn an_account_takes_over_and_renames() {
    let shared = handed(&QUARK).await;
    let bed = account().await;
    let root = bed.drive.root();
    let node = bed.drive.save_shared(&shared, &root, "mine").await.unwrap();
    assert_eq!(
        (node.id.as_str(), node.name.as_str(), node.size),
        ("n1", "mine", 12)
    );
    assert_eq!(
        bed.last(SAVE).json(),
        json!({"fid_list":["9"],"fid_token_list":["ticket9"],"to_pdir_fid":"0",
            "pwd_id":"abc123","stoken":"s+1/==","pdir_fid":"0","scene":"link"})
    );
    assert_eq!(bed.last("POST /file/rename").json()["file_name"], "mine");
    // Under its own name nothing is renamed, and a token that ran out is renewed.
    let bed = account().await;
    bed.on(SAVE, [refusal(400, 41020), good(json!({"task_id":"t"}))]);
    bed.on(TOKEN, [good(json!({"stoken":"s3"}))]);
    let node = bed
        .drive
        .save_shared(&shared, &root, "a & b")
        .await
        .unwrap();
    assert_eq!(node.name, "a & b");
    assert_eq!(bed.last(SAVE).json()["stoken"], "s3");
    assert_eq!(bed.last(TOKEN).json()["passcode"], "x1y2");
    assert!(bed.all("POST /file/rename").is_empty());
}

#[tokio::test]
async fn nothing_is_left_of_a_save_that_cannot_have_its_name() {
    let shared = handed(&QUARK).await;
    let bed = account().await;
    let root = bed.drive.root();
    bed.on("POST /file/rename", [refusal(400, 23008)]);
    bed.on("POST /file/delete", [good(json!({"finish":true}))]);
    let error = bed
        .drive
        .save_shared(&shared, &root, "mine")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(
        bed.last("POST /file/delete").json()["filelist"],
        json!(["n1"])
    );
    // A name that is taken is not tried.
    let bed = account().await;
    bed.on(LIST, [listing(json!([file("7", "mine", 1)]))]);
    bed.on(STAT, [good(file("7", "mine", 1))]);
    let error = bed
        .drive
        .save_shared(&shared, &root, "mine")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert!(bed.all(SAVE).is_empty());
}

#[tokio::test]
async fn saves_that_are_none() {
    let mut shared = handed(&UC).await;
    let bed = account().await;
    let root = bed.drive.root();
    let error = bed
        .drive
        .save_shared(&shared, &root, "x")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    shared = handed(&QUARK).await;
    bed.on(TASK, [refusal(400, 32003)]);
    let error = bed
        .drive
        .save_shared(&shared, &root, "x")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::QuotaFull);
    shared.ticket["is_owner"] = json!(true);
    let error = bed
        .drive
        .save_shared(&shared, &root, "x")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
}
