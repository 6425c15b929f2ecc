//! Shares, and what an account takes over from them, against a scripted server.

use serde_json::json;

use super::bed::*;
use crate::drive::{ErrorKind, NodeId};

const INFO: &str = "/api/open/share/getShareInfoByCodeV2.action";
const CODE: &str = "/api/open/share/checkAccessCode.action";
const DIR: &str = "/api/open/share/listShareDir.action";
const LINK: &str = "/api/open/file/getFileDownloadUrl.action";

async fn bed(access_code: &str) -> Bed {
    let fields = [
        ("share_code", "https://cloud.189.cn/t/Ab12Cd34"),
        ("access_code", access_code),
    ];
    Bed::with("share", &fields, &[]).await
}

fn info() -> Say {
    say(
        json!({"res_code":0,"shareId":1_234_567,"fileId":"721","fileName":"pack","isFolder":true,
        "needAccessCode":1,"shareMode":1}),
    )
}

#[tokio::test]
async fn a_share_with_a_code_is_listed_without_a_log_in() {
    let bed = bed("ab12").await;
    bed.on(INFO, info())
        .on(CODE, say(json!({"res_code":0,"shareId":1_234_567})))
        .on(
            DIR,
            listing(&[json!({"id":8,"name":"sub"})], &[file(9, "f", b"abc")]),
        )
        .on(DIR, listing(&[], &[file(10, "inner", b"x")]));
    let drive = &bed.drive;
    let page = drive.list(&drive.root(), None).await.unwrap();
    assert_eq!(page.nodes.len(), 2);
    assert!(page.nodes.iter().all(|node| node.parent == drive.root()));
    let asked = bed.last(DIR);
    for (key, value) in [
        ("fileId", "721"),
        ("shareDirFileId", "721"),
        ("shareId", "1234567"),
        ("shareMode", "1"),
        ("accessCode", "ab12"),
        ("isFolder", "true"),
        ("pageNum", "1"),
    ] {
        assert_eq!(asked.value(key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(
        (asked.header("sign-type"), asked.header("sessionkey")),
        ("1", "")
    );
    assert_eq!(
        bed.last(CODE).value("shareCode").as_deref(),
        Some("Ab12Cd34")
    );
    let inner = drive.list(&NodeId::new("8"), None).await.unwrap();
    assert_eq!(inner.nodes[0].parent.as_str(), "8");
    assert_eq!(bed.last(DIR).value("fileId").as_deref(), Some("8"));
    // Who the share is was asked once; a node is looked for where it was listed.
    let inner = drive.stat(&NodeId::new("10")).await.unwrap();
    assert_eq!(inner.name, "inner");
    assert_eq!(bed.paths(), [INFO, CODE, DIR, DIR, DIR]);
    assert!(drive.stat(&drive.root()).await.unwrap().is_dir());
    let error = drive.mkdir(&drive.root(), "x").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ReadOnly);
    assert!(drive.capabilities().read_only && drive.capabilities().shared);
}

#[tokio::test]
async fn codes_that_are_missing_or_wrong() {
    let bed = bed("").await;
    bed.on(INFO, info());
    let error = bed.drive.list(&bed.drive.root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert_eq!(bed.paths(), [INFO]);
    for answer in [
        say(json!({"res_code":0})),
        status(400, r#"{"res_code":"ShareAccessCodeNotMatch"}"#),
    ] {
        let bed = self::bed("bad1").await;
        bed.on(INFO, info()).on(CODE, answer);
        let error = bed.drive.list(&bed.drive.root(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    }
    let bed = self::bed("ab12").await;
    bed.on(INFO, status(400, r#"{"res_code":"ShareExpiredError"}"#));
    let error = bed.drive.list(&bed.drive.root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_share_of_one_file_is_a_directory_with_it() {
    let bed = bed("").await;
    bed.on(
        INFO,
        say(
            json!({"res_code":0,"shareId":7,"fileId":9,"fileName":"f","fileSize":3,
            "isFolder":false,"needAccessCode":0,"shareMode":3}),
        ),
    )
    .on(DIR, listing(&[], &[file(9, "f", b"abc")]));
    let page = bed.drive.list(&bed.drive.root(), None).await.unwrap();
    let [only] = page.nodes.as_slice() else {
        panic!("{page:?}");
    };
    assert_eq!(
        (only.id.as_str(), only.name.as_str(), only.size),
        ("9", "f", 3)
    );
    assert!(!only.fingerprints.is_empty());
    assert_eq!(bed.last(DIR).value("isFolder").as_deref(), Some("false"));
}

#[tokio::test]
async fn a_node_whose_directory_is_not_known_is_looked_for_from_the_top() {
    let bed = bed("").await;
    bed.on(
        INFO,
        say(json!({"res_code":0,"shareId":7,"fileId":1,"isFolder":"true","shareMode":2})),
    )
    .on(DIR, listing(&[json!({"id":8,"name":"sub"})], &[]))
    .on(DIR, listing(&[], &[file(10, "inner", b"x")]));
    let found = bed.drive.stat(&NodeId::new("10")).await.unwrap();
    assert_eq!((found.name.as_str(), found.parent.as_str()), ("inner", "8"));
    let error = bed.drive.stat(&NodeId::new("99")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn bytes_want_a_log_in_and_say_so() {
    let bed = bed("ab12").await;
    bed.on(INFO, info())
        .on(CODE, say(json!({"shareId":7})))
        .on(DIR, listing(&[], &[file(9, "f", b"abc")]))
        .on(LINK, status(400, r#"{"errorCode":"InvalidSessionKey"}"#));
    let page = bed.drive.list(&bed.drive.root(), None).await.unwrap();
    let error = bed.drive.read(&page.nodes[0], 0..3).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(
        error.message.contains("copy the file to a drive"),
        "{error}"
    );
}

#[tokio::test]
async fn an_account_takes_a_shared_file_over() {
    let share = bed("ab12").await;
    share
        .on(INFO, info())
        .on(CODE, say(json!({"shareId":1_234_567})))
        .on(DIR, listing(&[], &[file(9, "f", b"abc")]));
    let page = share.drive.list(&share.drive.root(), None).await.unwrap();
    let ticket = share.drive.shared(&page.nodes[0]).await.unwrap();
    assert!(!format!("{ticket:?}").contains("1234567"));
    let parent = NodeId::new("5");

    let bed = Bed::account().await;
    bed.on(LIST, listing(&[], &[]))
        .on(LIST, listing(&[], &[file(77, "f", b"abc")]))
        .on(TASK, say(json!({"res_code":0,"taskId":"1"})))
        .on(CHECK, say(json!({"taskStatus":3})))
        .on(CHECK, say(json!({"taskStatus":4,"successedFileIdList":[]})));
    let node = bed.drive.save_shared(&ticket, &parent, "f").await.unwrap();
    assert_eq!((node.id.as_str(), node.parent.as_str()), ("77", "5"));
    let task = bed.last(TASK);
    for (key, value) in [
        ("type", "SHARE_SAVE"),
        ("shareId", "1234567"),
        ("targetFolderId", "5"),
    ] {
        assert_eq!(task.value(key).as_deref(), Some(value));
    }
    assert!(task.value("taskInfos").unwrap().contains(r#""fileId":"9""#));

    // Under another name: renamed by id.
    let bed = Bed::account().await;
    bed.on(LIST, listing(&[], &[]))
        .on(TASK, say(json!({"res_code":0,"taskId":"1"})))
        .on(
            CHECK,
            say(json!({"taskStatus":4,"successedFileIdList":[77]})),
        )
        .on("/getFileInfo.action", say(file(77, "f", b"abc")))
        .on("/renameFile.action", say(file(77, "g", b"abc")));
    let node = bed.drive.save_shared(&ticket, &parent, "g").await.unwrap();
    assert_eq!((node.id.as_str(), node.name.as_str()), ("77", "g"));

    // A taken name, and a race for it.
    let bed = Bed::account().await;
    bed.on(LIST, listing(&[], &[file(1, "f", b"theirs")]));
    let error = bed
        .drive
        .save_shared(&ticket, &parent, "f")
        .await
        .unwrap_err();
    assert_eq!((error.kind, bed.paths().len()), (ErrorKind::Exists, 1));
    let bed = Bed::account().await;
    bed.on(LIST, listing(&[], &[]))
        .on(TASK, say(json!({"res_code":0,"taskId":"1"})))
        .on(CHECK, say(json!({"taskStatus":2})))
        .on("/batch/cancelBatchTask.action", say(json!({"res_code":0})));
    let error = bed
        .drive
        .save_shared(&ticket, &parent, "f")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
}
