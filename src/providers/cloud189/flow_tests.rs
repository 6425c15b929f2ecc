//! The account against a scripted server: log-in, refresh, signatures, and what changes a tree.

use serde_json::json;

use super::bed::*;
use crate::drive::{ErrorKind, Node, NodeId, collect};

const SESSION: &str = "/getSessionForPC.action";
const REFRESH: &str = "/api/oauth2/refreshToken.do";
const PAGE: &str = "/api/portal/unifyLoginForPC.action";
const SUBMIT: &str = "/api/logbox/oauth2/loginSubmit.do";

fn session() -> Say {
    say(json!({"res_code":0,"sessionKey":KEY,"sessionSecret":SECRET,"loginName":"u@189.cn"}))
}

fn root() -> NodeId {
    NodeId::new("-11")
}

/// The node of a file or a folder in folder 5.
fn node(id: u64, name: &str, dir: bool) -> Node {
    let kind = if dir {
        crate::drive::NodeKind::Dir
    } else {
        crate::drive::NodeKind::File
    };
    super::list::node(&file(id, name, b"abc"), kind, Some(&NodeId::new("5"))).unwrap()
}

#[tokio::test]
async fn a_refresh_token_becomes_a_session_and_is_kept_before_it_is_used() {
    let bed = Bed::with("web_login_capture", &[], &[("refresh_token", "R1")]).await;
    bed.on(
        REFRESH,
        say(json!({"accessToken":"A2","refreshToken":"R2","expiresIn":604800})),
    )
    .on(SESSION, session())
    .on(LIST, listing(&[], &[]));
    bed.drive.list(&root(), None).await.unwrap();
    bed.drive.list(&root(), None).await.unwrap();
    assert_eq!(bed.paths(), [REFRESH, SESSION, LIST, LIST]);
    let refresh = bed.last(REFRESH);
    assert_eq!(refresh.value("refreshToken").as_deref(), Some("R1"));
    assert_eq!(refresh.value("clientId").as_deref(), Some("8025431004"));
    let asked = bed.last(SESSION);
    assert_eq!(asked.value("accessToken").as_deref(), Some("A2"));
    assert_eq!(asked.value("clientType").as_deref(), Some("TELEPC"));
    let list = bed.last(LIST);
    assert!(list.is_signed());
    assert_eq!(list.header("accept"), "application/json;charset=UTF-8");
    assert_eq!(list.value("version").as_deref(), Some("6.2"));
    // One request had been made when the new pair was saved, two when the session was.
    let saves = bed.store.saves.lock().unwrap().clone();
    let seen_at = |field: &str| {
        let save = saves
            .iter()
            .find(|(names, _)| names.iter().any(|name| name == field));
        save.map(|(_, seen)| *seen)
    };
    assert_eq!(
        (seen_at("refresh_token"), seen_at("access_token")),
        (Some(1), Some(2))
    );
    assert_eq!(bed.store.field("refresh_token"), "R2");
    assert_eq!(bed.drive.account_id().as_deref(), Some("u@189.cn"));
}

#[tokio::test]
async fn a_dead_session_is_renewed_once_and_the_call_goes_on() {
    let bed = Bed::account().await;
    bed.store.set("login_token", "A1");
    bed.on(
        LIST,
        status(400, r#"{"errorCode":"InvalidSessionKey","errorMsg":"x"}"#),
    )
    .on(LIST, listing(&[], &[file(7, "a", b"abc")]))
    .on(SESSION, session());
    let page = bed.drive.list(&root(), None).await.unwrap();
    assert_eq!(page.nodes.len(), 1);
    assert_eq!(bed.paths(), [LIST, SESSION, LIST]);
    // A server that refuses every session is not asked for ever.
    let bed = Bed::account().await;
    bed.store.set("login_token", "A1");
    bed.on(
        LIST,
        say(
            "<error><code>InvalidSessionKey</code><message>userSessionBO is null</message></error>",
        ),
    )
    .on(SESSION, session());
    let error = bed.drive.list(&root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(bed.paths().len() <= 4, "{:?}", bed.paths());
}

#[tokio::test]
async fn a_dead_log_in_token_leads_to_the_refresh_token_and_that_to_the_password() {
    let bed = Bed::with(
        "web_login_capture",
        &[],
        &[("login_token", "A1"), ("refresh_token", "R1")],
    )
    .await;
    bed.on(
        SESSION,
        status(
            400,
            r#"{"res_code":"UserInvalidOpenToken","res_message":"x"}"#,
        ),
    )
    .on(SESSION, session())
    .on(
        REFRESH,
        say(json!({"accessToken":"A2","refreshToken":"R1"})),
    )
    .on(LIST, listing(&[], &[]));
    bed.drive.list(&root(), None).await.unwrap();
    assert_eq!(bed.paths(), [SESSION, REFRESH, SESSION, LIST]);

    let bed = Bed::with("web_login_capture", &[], &[("refresh_token", "R1")]).await;
    bed.on(REFRESH, say(json!({"result":-117,"msg":"invalid"})));
    let error = bed.drive.list(&root(), None).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_deref()),
        (ErrorKind::Auth, Some("-117"))
    );
    let again = bed.drive.list(&root(), None).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::Auth);
    assert_eq!(bed.paths(), [REFRESH], "a spent token is not sent twice");
}

#[tokio::test]
async fn trouble_of_the_log_in_host_keeps_the_refresh_token() {
    let bed = Bed::with("web_login_capture", &[], &[("refresh_token", "R1")]).await;
    bed.on(REFRESH, say(json!({"result":-1,"msg":"busy"})));
    assert!(bed.drive.list(&root(), None).await.is_err());
    assert_eq!(bed.store.field("refresh_token"), "R1");
}

const LOGIN_PAGE: &str = "<input name='captchaToken' value='ct'/><script>var lt = \"LT\";\
    var paramId = \"P\"; var reqId = \"RQ\";</script>";

/// The throw-away key of the vectors.
fn public_key() -> String {
    let vectors: serde_json::Value = serde_json::from_str(include_str!(
        "../../../tests/fixtures/189cloud.vectors.json"
    ))
    .unwrap();
    let key = &vectors["vectors"]["login_rsa"][0]["pubKey_base64_spki"];
    key.as_str().unwrap().to_owned()
}

async fn password_bed() -> Bed {
    let bed = Bed::with(
        "web_login_capture",
        &[("username", "18900001234")],
        &[("password", "p@ss")],
    )
    .await;
    bed.on(
        PAGE,
        say(LOGIN_PAGE).with("set-cookie", "JSESSIONID=j; Path=/"),
    )
    .on(
        "/api/logbox/config/encryptConf.do",
        say(json!({"result":0,"data":{"pre":"{NRP}","pubKey":public_key()}})),
    )
    .on(SESSION, session())
    .on(LIST, listing(&[], &[]));
    bed
}

const CAPTCHA: &str = "/api/logbox/oauth2/needcaptcha.do";

#[tokio::test]
async fn a_password_logs_in() {
    let bed = password_bed().await;
    bed.on(CAPTCHA, say("0")).on(
        SUBMIT,
        say(json!({"result":0,"msg":"ok","toUrl":"https://m.cloud.189.cn/x?ticket=1"})),
    );
    bed.drive.list(&root(), None).await.unwrap();
    let submit = bed.last(SUBMIT);
    assert_eq!((submit.header("reqid"), submit.header("lt")), ("RQ", "LT"));
    assert_eq!(submit.header("cookie"), "JSESSIONID=j");
    let sealed = submit.value("password").unwrap();
    let digits = sealed.strip_prefix("{NRP}").unwrap();
    assert_eq!(digits.len(), 256);
    assert!(
        digits
            .bytes()
            .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    );
    assert_eq!(submit.value("paramId").as_deref(), Some("P"));
    let asked = bed.last(SESSION);
    assert_eq!(
        asked.value("redirectURL").as_deref(),
        Some("https://m.cloud.189.cn/x?ticket=1")
    );
    assert!(bed.last(LIST).is_signed());
}

#[tokio::test]
async fn a_captcha_rests_the_account_and_a_wrong_password_is_not_sent_twice() {
    let bed = password_bed().await;
    bed.on(CAPTCHA, say("1"));
    let error = bed.drive.list(&root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Risk);
    assert!(error.hint().is_some());
    let asked = bed.paths().len();
    let error = bed.drive.list(&root(), None).await.unwrap_err();
    assert_eq!((error.kind, bed.paths().len()), (ErrorKind::Risk, asked));

    let bed = password_bed().await;
    bed.on(CAPTCHA, say("0"))
        .on(SUBMIT, say(json!({"result":-51002,"msg":"wrong password"})));
    let error = bed.drive.list(&root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(!error.to_string().contains("p@ss"), "{error}");
    let asked = bed.paths().len();
    assert!(bed.drive.list(&root(), None).await.is_err());
    assert_eq!(bed.paths().len(), asked);
}

#[tokio::test]
async fn a_captured_cookie_follows_the_redirects() {
    let bed = Bed::with(
        "web_login_capture",
        &[],
        &[("session", "SSON=cookie-of-the-page")],
    )
    .await;
    let back = "https://m.cloud.189.cn/zhuanti/2020/loginErrorPc/index.html?ticket=9";
    bed.on(
        PAGE,
        status(302, "").with("location", "/api/logbox/oauth2/unifyAccountLogin.do?a=1"),
    )
    .on(
        "/api/logbox/oauth2/unifyAccountLogin.do",
        status(302, "").with("location", back),
    )
    .on(SESSION, session())
    .on(LIST, listing(&[], &[]));
    bed.drive.list(&root(), None).await.unwrap();
    let hop = bed.last("/api/logbox/oauth2/unifyAccountLogin.do");
    assert_eq!(hop.header("cookie"), "SSON=cookie-of-the-page");
    assert_eq!(
        bed.last(SESSION).value("redirectURL").as_deref(),
        Some(back)
    );
    // A page instead of the way back: the cookie is over.
    let bed = Bed::with(
        "web_login_capture",
        &[],
        &[("session", "SSON=cookie-of-the-page")],
    )
    .await;
    bed.on(PAGE, say(LOGIN_PAGE));
    assert_eq!(
        bed.drive.list(&root(), None).await.unwrap_err().kind,
        ErrorKind::Auth
    );
}

#[tokio::test]
async fn a_wrong_clock_is_set_by_the_servers() {
    let bed = Bed::account().await;
    let date = "Sat, 14 Mar 2026 08:05:09 GMT";
    bed.on(
        LIST,
        status(400, r#"{"errorCode":"TimestampExpired"}"#).with("date", date),
    )
    .on(LIST, listing(&[], &[]));
    bed.drive.list(&root(), None).await.unwrap();
    let last = bed.last(LIST);
    assert!(
        last.header("date").starts_with("Sat, 14 Mar 2026 08:0"),
        "{}",
        last.header("date")
    );
    assert!(last.is_signed());
    assert_eq!(bed.paths(), [LIST, LIST]);
}

#[tokio::test]
async fn pages_follow_each_other_to_the_total() {
    let bed = Bed::account().await;
    let entries: Vec<_> = (0..1003)
        .map(|n| file(n + 1, &format!("{n}"), b"x"))
        .collect();
    let page = |part: &[serde_json::Value]| {
        say(json!({"res_code":0,"fileListAO":{"count":1003,"fileList":part,"folderList":null}}))
    };
    // The first page comes short once.
    bed.on(LIST, page(&entries[..400]))
        .on(LIST, page(&entries[..1000]))
        .on(LIST, page(&entries[1000..]));
    let first = bed.drive.list(&root(), None).await.unwrap();
    let second = bed.drive.list(&root(), first.next.clone()).await.unwrap();
    assert_eq!(
        (first.nodes.len(), second.nodes.len(), second.next),
        (1000, 3, None)
    );
    assert_eq!(bed.last(LIST).value("pageNum").as_deref(), Some("2"));
}

#[tokio::test]
async fn a_folder_is_asked_as_one_once_it_is_known() {
    let bed = Bed::account().await;
    bed.on(
        "/getFileInfo.action",
        status(400, r#"{"res_code":"FileNotFound"}"#),
    )
    .on(
        "/getFolderInfo.action",
        say(json!({"res_code":0,"fileId":"77","fileName":"d","parentId":-11})),
    );
    let id = NodeId::new("77");
    let dir = bed.drive.stat(&id).await.unwrap();
    assert!(dir.is_dir() && dir.parent == root());
    bed.drive.stat(&id).await.unwrap();
    assert_eq!(
        bed.paths(),
        [
            "/getFileInfo.action",
            "/getFolderInfo.action",
            "/getFolderInfo.action"
        ]
    );
    assert_eq!(
        bed.drive.stat(&NodeId::new("78")).await.unwrap_err().kind,
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_link_is_resolved_once_and_kept() {
    let bed = Bed::account().await;
    let named = format!("{}/down?a=1&amp;b=2", bed.base);
    let store = format!("{}/store/o?Expires=4000000000", bed.base);
    bed.on(
        "/getFileDownloadUrl.action",
        say(json!({"res_code":0,"fileDownloadUrl":named})),
    )
    .on("/down", status(302, "").with("location", store))
    .on(
        "/store/o",
        status(206, "bc").with("content-range", "bytes 1-2/3"),
    );
    for _ in 0..2 {
        let stream = bed.drive.read(&node(9, "f", false), 1..3).await.unwrap();
        assert_eq!(&collect(stream, 2).await.unwrap()[..], b"bc");
    }
    assert_eq!(
        bed.paths(),
        [
            "/getFileDownloadUrl.action",
            "/down",
            "/store/o",
            "/store/o"
        ]
    );
    assert_eq!(bed.last("/down").query, "a=1&b=2");
    let read = bed.last("/store/o");
    assert_eq!((read.header("sessionkey"), read.header("cookie")), ("", ""));
    // A refused link is asked anew, once.
    bed.on("/store/o", status(403, "expired"));
    bed.forget();
    assert!(bed.drive.read(&node(9, "f", false), 1..3).await.is_ok());
    let error = bed
        .drive
        .read(&node(9, "f", false), 1..3)
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::Provider);
}

#[tokio::test]
async fn mkdir_looks_before_it_makes() {
    let bed = Bed::account().await;
    let taken = json!({"id":8,"name":"taken"});
    let made = json!({"id":9,"name":"new"});
    bed.on(LIST, listing(&[taken], &[])).on(
        "/createFolder.action",
        say(json!({"res_code":0,"id":9,"parentId":5,"name":"new"})),
    );
    let parent = NodeId::new("5");
    assert_eq!(
        bed.drive.mkdir(&parent, "taken").await.unwrap_err().kind,
        ErrorKind::Exists
    );
    assert_eq!(bed.paths(), [LIST]);
    let dir = bed.drive.mkdir(&parent, "new").await.unwrap();
    assert_eq!((dir.id.as_str(), dir.is_dir()), ("9", true));
    // An answer that is lost in a gateway: the folder is looked for, not made twice.
    let bed = Bed::account().await;
    bed.on(LIST, listing(&[], &[]))
        .on(LIST, listing(&[made], &[]))
        .on("/createFolder.action", status(502, ""));
    assert_eq!(
        bed.drive.mkdir(&parent, "new").await.unwrap().id.as_str(),
        "9"
    );
    assert_eq!(bed.paths(), [LIST, "/createFolder.action", LIST]);
}

#[tokio::test]
async fn a_conflict_gives_the_task_up() {
    let bed = Bed::account().await;
    let there = json!({"res_code":0,"id":9,"name":"f","size":3,"parentId":5});
    bed.on(TASK, say(json!({"res_code":0,"taskId":"2603140805000001"})))
        .on(
            CHECK,
            say(json!({"taskId":"2603140805000001","taskStatus":1})),
        )
        .on(CHECK, say(json!({"taskStatus":2})))
        .on("/batch/cancelBatchTask.action", say(json!({"res_code":0})))
        .on("/getFileInfo.action", say(there));
    let error = bed
        .drive
        .move_to(&node(9, "f", false), &NodeId::new("6"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    let cancel = bed.last("/batch/cancelBatchTask.action");
    assert_eq!(cancel.value("taskId").as_deref(), Some("2603140805000001"));
    let task = bed.last(TASK);
    assert_eq!(task.value("type").as_deref(), Some("MOVE"));
    assert_eq!(task.value("targetFolderId").as_deref(), Some("6"));
    assert!(task.is_signed());
}

#[tokio::test]
async fn what_is_gone_is_trashed_already() {
    let bed = Bed::account().await;
    bed.on(TASK, say(json!({"res_code":0,"taskId":1_234_567_890_u64})))
        .on(CHECK, say(json!({"taskStatus":4,"failedCount":1})))
        .on(
            "/getFileInfo.action",
            status(400, r#"{"res_code":"FileNotFound"}"#),
        )
        .on(
            "/getFolderInfo.action",
            status(400, r#"{"res_code":"FileNotFound"}"#),
        );
    bed.drive.trash(&node(9, "f", false)).await.unwrap();
    // One that is still there was not deleted.
    let bed = Bed::account().await;
    bed.on(TASK, say(json!({"res_code":0,"taskId":"1"})))
        .on(CHECK, say(json!({"taskStatus":4,"failedCount":1})))
        .on(
            "/getFileInfo.action",
            say(json!({"res_code":0,"id":9,"name":"f","parentId":5})),
        );
    let error = bed.drive.trash(&node(9, "f", false)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Provider);
}

#[tokio::test]
async fn a_copy_under_another_name_is_one_call() {
    let bed = Bed::account().await;
    bed.on(LIST, listing(&[], &[]))
        .on(
            "/copyFile.action",
            say(json!({"res_code":0,"id":10,"name":"g"})),
        )
        .on("/getFileInfo.action", say(file(10, "g", b"abc")));
    let parent = NodeId::new("5");
    let copy = bed
        .drive
        .copy(&node(9, "f", false), &parent, "g")
        .await
        .unwrap();
    assert_eq!(
        (copy.id.as_str(), copy.name.as_str(), copy.size),
        ("10", "g", 3)
    );
    assert_eq!(
        bed.last("/copyFile.action")
            .value("destFileName")
            .as_deref(),
        Some("g")
    );
    let dir = bed
        .drive
        .copy(&node(9, "d", true), &parent, "e")
        .await
        .unwrap_err();
    assert_eq!(dir.kind, ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_rename_whose_answer_was_lost_is_done() {
    let bed = Bed::account().await;
    bed.on("/renameFile.action", status(500, ""))
        .on(
            "/renameFile.action",
            status(400, r#"{"res_code":"FileAlreadyExists"}"#),
        )
        .on("/getFileInfo.action", say(file(9, "g", b"abc")));
    assert_eq!(
        bed.drive
            .rename(&node(9, "f", false), "g")
            .await
            .unwrap()
            .name,
        "g"
    );
    // Somebody else has the name.
    let error = bed
        .drive
        .rename(&node(9, "f", false), "h")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
}

#[tokio::test]
async fn restore_names_the_directory_it_was_in() {
    let bed = Bed::account().await;
    bed.on(TASK, say(json!({"res_code":0,"taskId":"1"})))
        .on(
            CHECK,
            say(json!({"taskStatus":4,"failedCount":0,"successedFileIdList":null})),
        )
        .on("/getFileInfo.action", say(file(9, "f", b"abc")));
    assert_eq!(
        bed.drive
            .restore(&node(9, "f", false))
            .await
            .unwrap()
            .id
            .as_str(),
        "9"
    );
    let infos = bed.last(TASK).value("taskInfos").unwrap();
    assert!(infos.contains(r#""srcParentId":"5""#), "{infos}");
}

#[tokio::test]
async fn quota_in_texts_and_pages_in_place_of_answers() {
    let bed = Bed::account().await;
    let info = json!({"totalSize":"2199023255552","usedSize":"5368709120"});
    bed.on(
        "/portal/getUserSizeInfo.action",
        say(json!({"res_code":0,"cloudCapacityInfo":info})),
    )
    .on(LIST, say("<html><body>log in</body></html>"));
    let quota = bed.drive.quota().await.unwrap();
    assert_eq!(
        (quota.total, quota.used),
        (2_199_023_255_552, 5_368_709_120)
    );
    assert_eq!(
        bed.drive.list(&root(), None).await.unwrap_err().kind,
        ErrorKind::BadAnswer
    );
    // A block page opens the breaker: nothing more is asked.
    bed.on(LIST, status(403, "<html>blocked</html>"));
    bed.forget();
    for _ in 0..3 {
        let error = bed.drive.list(&root(), None).await.unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::Risk | ErrorKind::BadAnswer),
            "{error}"
        );
    }
    assert!(bed.paths().len() <= 2, "{:?}", bed.paths());
}
