//! Listings, stat, quota and direct changes over HTTP.

use serde_json::{Value, json};

use super::super::faults::FaultKind;
use super::tests::{Client, Twist, code, names};

#[tokio::test]
async fn listings() {
    let client = Client::new().await;
    let dir = client.mkdir("/d");
    for n in 0..5 {
        client.seed(&format!("/d/f{n}.bin"), &vec![7; n + 1]);
    }
    client.mkdir("/d/sub");
    let page = client.page(&dir, "1", "4").await;
    assert_eq!(page["count"], 6);
    assert_eq!(names(&page), ["sub", "f0.bin", "f1.bin", "f2.bin"]);
    assert!(page["fileList"][0]["id"].as_u64().unwrap() > 1 << 53);
    assert_eq!(page["fileList"][1]["size"], 2);
    let md5 = page["fileList"][0]["md5"].as_str().unwrap();
    assert_eq!(md5, super::super::digest::md5_hex(&[7]).to_uppercase());
    assert_eq!(page["folderList"][0]["parentId"].to_string(), dir);
    assert_eq!(
        names(&client.page(&dir, "2", "4").await),
        ["f3.bin", "f4.bin"]
    );
    let past = client.page(&dir, "3", "4").await;
    assert_eq!((past["count"].as_u64(), names(&past).len()), (Some(0), 0));
    // A truncated page: what it lacks comes later.
    client.fault("list", FaultKind::TruncatedPage, "");
    let mut got = names(&client.page(&dir, "1", "4").await);
    assert_eq!(got.len(), 2);
    for page in ["2", "3"] {
        got.extend(names(&client.page(&dir, page, "4").await));
    }
    assert_eq!(
        got,
        ["sub", "f0.bin", "f1.bin", "f2.bin", "f3.bin", "f4.bin"]
    );
    assert_eq!(client.page(&dir, "1", "4").await["count"], 6);
    client.fault("list", FaultKind::NullList, "");
    assert!(client.page(&dir, "1", "4").await["fileList"].is_null());
    client.fault("list", FaultKind::Lag, "60000");
    assert!(names(&client.page(&dir, "1", "4").await).is_empty());
    let ask = |order: &'static str, descending: &'static str, kind: &'static str| {
        let pairs = [
            ("folderId", dir.as_str()),
            ("orderBy", order),
            ("descending", descending),
            ("fileType", kind),
            ("pageNum", "1"),
        ];
        let client = &client;
        async move { client.get("/listFiles.action", &pairs).await }
    };
    let sorted = ask("filesize", "true", "1").await;
    assert_eq!(names(&sorted["fileListAO"])[0], "f4.bin");
    assert_eq!(
        names(&ask("filename", "false", "2").await["fileListAO"]),
        ["sub"]
    );
    assert_eq!(code(&ask("colour", "false", "0").await), "InvalidArgument");
    for folder in ["999", "abc"] {
        let gone = client
            .get("/listFiles.action", &[("folderId", folder)])
            .await;
        assert_eq!(code(&gone), "FileNotFound");
    }
    let file = client.seed("/x", b"x");
    let file = client
        .get("/listFiles.action", &[("folderId", &file)])
        .await;
    assert_eq!(code(&file), "FileNotFolderErrorCode");
    for (knob, value) in [
        ("ids", "text"),
        ("quoted_numbers", "on"),
        ("times", "nnbsp"),
    ] {
        client.set(knob, value);
    }
    let entry = client.page(&dir, "1", "4").await["fileList"][0].clone();
    assert!(entry["id"].is_string() && entry["size"].is_string());
    assert!(
        entry["createDate"].as_str().unwrap().contains("\u{202f}"),
        "{entry}"
    );
    let found = [("folderId", "-11"), ("filename", "F3"), ("recursive", "1")];
    let found = client.get("/searchFiles.action", &found).await;
    assert_eq!(names(&found), ["f3.bin"]);
}

#[test]
fn times_have_many_forms() {
    let knobs = super::super::account::Knobs::default();
    let text = |style: &str, ms: i64| {
        knobs.set("times", style);
        super::entries::time_text(&knobs, ms)
    };
    // The published forms, written.
    assert_eq!(text("plain", 1_786_415_838_000), "2026-08-11 10:37:18");
    assert_eq!(text("ampm", 1_786_459_038_000), "Aug 11, 2026 10:37:18 PM");
    assert_eq!(
        text("ampm_zone", 1_786_459_038_000),
        "Aug 11, 2026, 10:37:18 PM +08"
    );
    assert_eq!(
        text("ampm_zone", 1_786_466_141_000),
        "Aug 12, 2026, 12:35:41 AM +08"
    );
    assert_eq!(
        text("nbsp", 1_786_466_141_000),
        "Aug 12, 2026, 12:35:41\u{a0}AM +08"
    );
}

#[tokio::test]
async fn stat_and_quota() {
    let client = Client::new().await;
    let file = client.seed("/我的视频/a.mkv", b"hello");
    let dir = client.mkdir("/我的视频");
    let by_path = [("filePath", "/我的视频/a.mkv"), ("pathList", "1")];
    let info = client.get("/getFileInfo.action", &by_path).await;
    assert_eq!(info["id"], file);
    assert_eq!(info["md5"], "5D41402ABC4B2A76B9719D911017C592");
    assert_eq!(info["parentId"].to_string(), dir);
    assert!(info["lastOpTime"].is_i64() && info["lastOpTimeStr"].is_string());
    assert_eq!(
        info["parentFolderListAO"]["parentFolderList"][0]["fid"],
        "-11"
    );
    let by_id = client
        .get("/getFileInfo.action", &[("fileId", &file)])
        .await;
    assert_eq!(by_id["name"], "a.mkv");
    for id in [dir.as_str(), "12", "-11"] {
        let gone = client.get("/getFileInfo.action", &[("fileId", id)]).await;
        assert_eq!(code(&gone), "FileNotFound");
    }
    let folder = client
        .get("/getFolderInfo.action", &[("folderId", &dir)])
        .await;
    assert_eq!(
        (&folder["fileId"], &folder["fileName"]),
        (&json!(dir), &json!("我的视频"))
    );
    let root = client
        .get("/getFolderInfo.action", &[("folderId", "-11")])
        .await;
    assert_eq!(root["fileId"], "-11");
    let quota = client.get("/portal/getUserSizeInfo.action", &[]).await;
    assert_eq!(quota["cloudCapacityInfo"]["usedSize"], 5);
    assert_eq!(
        quota["cloudCapacityInfo"]["totalSize"],
        2_199_023_255_552_u64
    );
    assert_eq!(
        client.get("/getUserInfo.action", &[]).await["available"],
        2_199_023_255_547_u64
    );
    let family = client.get("/family/manage/getFamilyList.action", &[]).await;
    assert_eq!(family["familyInfoResp"][0]["userRole"], 1);
    client.set("calls_per_second", "1");
    let mut last = Value::Null;
    for _ in 0..4 {
        last = client.get("/getUserInfo.action", &[]).await;
    }
    assert_eq!(code(&last), "AccessDenyOfHighFrequency");
}

#[tokio::test]
async fn direct_changes() {
    let client = Client::new().await;
    let a = client.seed("/a.txt", b"one");
    client.seed("/b.txt", b"two");
    let made = [
        ("parentFolderId", "-11"),
        ("folderName", "d"),
        ("relativePath", "x/y"),
    ];
    let made = client.post("/createFolder.action", &made).await;
    let d = made["id"].to_string();
    assert_eq!(client.world.mkdir("189", "/x/y/d").unwrap(), d);
    let again = [("parentFolderId", "-11"), ("folderName", "x")];
    let again = client.post("/createFolder.action", &again).await;
    assert_eq!(again["id"].to_string(), client.mkdir("/x"));
    for (parent, name, refusal) in [
        ("-11", "a.txt", "FileAlreadyExists"),
        ("-11", "a:b", "InvalidArgument"),
        ("77", "n", "InvalidParentFolder"),
        (a.as_str(), "n", "ParentNotFolder"),
    ] {
        let pairs = [("parentFolderId", parent), ("folderName", name)];
        assert_eq!(
            code(&client.post("/createFolder.action", &pairs).await),
            refusal
        );
    }
    let rename = |name: &'static str| {
        let pairs = [("fileId", a.clone()), ("destFileName", name.to_owned())];
        let client = &client;
        async move {
            let pairs = pairs
                .each_ref()
                .map(|(name, value)| (*name, value.as_str()));
            client.post("/renameFile.action", &pairs).await
        }
    };
    assert_eq!(code(&rename("b.txt").await), "FileAlreadyExists");
    assert_eq!(code(&rename("x").await), "FileAlreadyExists");
    client.set("banned_word", "evil");
    assert_eq!(code(&rename("evil.txt").await), "AuditErrorCode");
    let renamed = rename("😀.txt").await;
    assert_eq!(
        (&renamed["name"], &renamed["id"]),
        (&json!("😀.txt"), &json!(a))
    );
    let folder = [("folderId", d.as_str()), ("destFolderName", "e")];
    assert_eq!(
        client.post("/renameFolder.action", &folder).await["name"],
        "e"
    );
    let copy = [
        ("fileId", a.as_str()),
        ("destFileName", "c.txt"),
        ("destParentFolderId", &d),
    ];
    let copied = client.post("/copyFile.action", &copy).await;
    assert_ne!(copied["id"], a);
    assert_eq!(
        code(&client.post("/copyFile.action", &copy).await),
        "FileAlreadyExists"
    );
    let moved = [
        ("fileId", a.as_str()),
        ("destFileName", "m.txt"),
        ("destParentFolderId", &d),
    ];
    assert_eq!(client.post("/moveFile.action", &moved).await["id"], a);
    assert_eq!(client.names(&d).await, ["c.txt", "m.txt"]);
    let x = client.mkdir("/x");
    let into_itself = [("folderId", x.as_str()), ("destParentFolderId", &d)];
    let refused = client.post("/moveFolder.action", &into_itself).await;
    assert_eq!(code(&refused), "MoveFileValidError");
    let folder = client.post("/deleteFile.action", &[("fileId", &x)]).await;
    assert_eq!(code(&folder), "FileNotFound");
    client
        .post("/deleteFolder.action", &[("folderId", &x)])
        .await;
    assert_eq!(client.names("-11").await, ["b.txt"]);
    assert_eq!(
        code(&client.get("/getFileInfo.action", &[("fileId", &a)]).await),
        "FileNotFound"
    );
    let bin = client
        .get("/listRecycleBinFiles.action", &[("pageNum", "1")])
        .await;
    assert_eq!(names(&bin), ["x"]);
    // Trash counts.
    let quota = client.get("/portal/getUserSizeInfo.action", &[]).await;
    assert_eq!(quota["cloudCapacityInfo"]["usedSize"], 9);
    // A body where none belongs.
    let ask = client.signed(
        ("api", "POST", "/createFolder.action"),
        "",
        "",
        &Twist::default(),
    );
    let ask = ask.form(&[("parentFolderId", "-11"), ("folderName", "q")]);
    let refused: Value = ask.send().await.unwrap().json().await.unwrap();
    assert_eq!(code(&refused), "InvalidArgument");
    let stat = client.world.stat("189").unwrap();
    assert_eq!(
        (stat.count("rename"), stat.count("copy"), stat.count("move")),
        (5, 2, 2)
    );
}
