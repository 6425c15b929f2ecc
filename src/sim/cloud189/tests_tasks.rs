//! Batch tasks over HTTP, and the family cloud.

use std::time::Duration;

use serde_json::{Value, json};

use super::tests::{Client, code, names, world};

impl Client {
    async fn create(&self, kind: &str, infos: &Value, target: &str) -> Value {
        let infos = infos.to_string();
        let form = [
            ("type", kind),
            ("taskInfos", &infos),
            ("targetFolderId", target),
        ];
        self.form("/batch/createBatchTask.action", &form, false)
            .await
    }

    async fn check(&self, kind: &str, id: &str) -> Value {
        let form = [("type", kind), ("taskId", id)];
        self.form("/batch/checkBatchTask.action", &form, false)
            .await
    }

    /// Polls until a task has an end or a conflict; with it all states that were seen.
    async fn follow(&self, kind: &str, id: &str) -> (Value, Vec<i64>) {
        let mut seen = Vec::new();
        loop {
            let answer = self.check(kind, id).await;
            let status = answer["taskStatus"].as_i64().unwrap();
            seen.push(status);
            if !matches!(status, 1 | 3) {
                return (answer, seen);
            }
            assert!(seen.len() < 10, "{seen:?}");
        }
    }

    /// A task from its start to its end or conflict.
    async fn run(&self, kind: &str, infos: &Value, target: &str) -> (Value, String) {
        let made = self.create(kind, infos, target).await;
        let id = made["taskId"]
            .as_str()
            .unwrap_or_else(|| panic!("{made}"))
            .to_owned();
        (self.follow(kind, &id).await.0, id)
    }
}

fn info(id: &str, folder: u64) -> Value {
    json!({ "fileId": id, "fileName": "x", "isFolder": folder })
}

/// A client whose tasks end by polls only.
async fn slow() -> Client {
    let client = Client::new().await;
    client.set("task_ms", "3600000");
    client
}

#[tokio::test]
async fn tasks_go_through_their_states() {
    let client = slow().await;
    let file = client.seed("/a.txt", b"one");
    let dir = client.mkdir("/d");
    client.seed("/d/in/deep", b"deep");
    let inner = client.mkdir("/d/in");
    let made = client.create("COPY", &json!([info(&file, 0)]), &dir).await;
    let id = made["taskId"].as_str().unwrap();
    assert_eq!(client.names(&dir).await, ["in"], "nothing happened yet");
    let again = client.create("COPY", &json!([info(&file, 0)]), &dir).await;
    assert_eq!(
        (code(&again), &again["taskId"]),
        ("RequestResubmit", &json!(id))
    );
    let (done, seen) = client.follow("COPY", id).await;
    assert_eq!(seen, [1, 3, 4]);
    assert_eq!(
        (&done["successedCount"], &done["failedCount"]),
        (&json!(1), &json!(0))
    );
    let copy = done["successedFileIdList"][0].to_string();
    assert_ne!(copy, file);
    assert_eq!(client.world.resolve_id("/d/a.txt"), copy);
    // A folder with what is in it.
    let (done, _) = client.run("COPY", &json!([info(&inner, 1)]), "-11").await;
    assert_eq!(done["taskStatus"], 4);
    assert_eq!(client.names(&client.mkdir("/in")).await, ["deep"]);
    // A move keeps the id; to where it is already it does nothing.
    let (done, _) = client.run("MOVE", &json!([info(&copy, 0)]), &inner).await;
    assert_eq!(done["successedFileIdList"][0].to_string(), copy);
    let (done, _) = client.run("MOVE", &json!([info(&copy, 0)]), &inner).await;
    assert_eq!(
        (&done["taskStatus"], &done["failedCount"]),
        (&json!(4), &json!(0))
    );
    for (kind, target, refusal) in [
        ("MOVE", inner.as_str(), "MoveFileValidError"),
        ("COPY", &inner, "FileCopyToSubFolderError"),
        ("COPY", "5", "InvalidParentFolder"),
        ("COPY", &file, "ParentNotFolder"),
        ("WIGGLE", "-11", "InvalidArgument"),
    ] {
        let refused = client.create(kind, &json!([info(&dir, 1)]), target).await;
        assert_eq!(code(&refused), refusal, "{kind}");
    }
    for infos in [
        json!([]),
        json!([{ "fileId": file, "isFolder": 0 }]),
        json!([{ "fileId": file, "fileName": "x" }]),
        json!([{ "fileId": file, "fileName": "x", "isFolder": 0, "dealWay": 4 }]),
        json!("x"),
    ] {
        assert_eq!(
            code(&client.create("DELETE", &infos, "").await),
            "InvalidArgument",
            "{infos}"
        );
    }
    // The wrong kind, and what is gone: done, with failures.
    let wrong = json!([info(&file, 1), info("12345", 0)]);
    let (done, _) = client.run("DELETE", &wrong, "").await;
    assert_eq!(
        (&done["taskStatus"], &done["failedCount"]),
        (&json!(4), &json!(2))
    );
    assert_eq!(client.check("DELETE", "99").await["taskStatus"], -1);
    client.set("total_size", "20");
    let full = client.create("COPY", &json!([info(&dir, 1)]), "-11").await;
    assert_eq!(code(&full), "InsufficientStorageSpace");
}

#[tokio::test]
async fn conflicts_wait_for_a_decision() {
    let client = slow().await;
    let dir = client.mkdir("/d");
    let old = client.seed("/d/a.txt", b"old");
    let file = client.seed("/a.txt", b"new");
    let infos = json!([info(&file, 0)]);
    let manage = |id: String, deal: u64| {
        let (client, file, dir) = (&client, &file, &dir);
        async move {
            let infos = json!([{
                "fileId": file, "fileName": "a.txt", "isFolder": 0, "isConflict": 1,
                "dealWay": deal,
            }]);
            let form = [
                ("type", "COPY"),
                ("taskId", &id),
                ("targetFolderId", dir),
                ("taskInfos", &infos.to_string()),
            ];
            let answer = client
                .form("/batch/manageBatchTask.action", &form, false)
                .await;
            let done = client.follow("COPY", &id).await.0;
            (code(&answer).to_owned(), done)
        }
    };
    let (waiting, id) = client.run("COPY", &infos, &dir).await;
    assert_eq!(waiting["taskStatus"], 2);
    assert_eq!(client.names(&dir).await, ["a.txt"]);
    let form = [("type", "COPY"), ("taskId", id.as_str())];
    let conflict = client
        .form("/batch/getConflictTaskInfo.action", &form, false)
        .await;
    assert_eq!(conflict["taskInfos"][0]["fileId"], file);
    assert_eq!(conflict["taskInfos"][0]["isConflict"], 1);
    assert_eq!(manage(id.clone(), 7).await.0, "InvalidArgument");
    let (answer, done) = manage(id, 1).await;
    assert_eq!((answer.as_str(), &done["skipCount"]), ("", &json!(1)));
    let (_, id) = client.run("COPY", &infos, &dir).await;
    assert_eq!(manage(id, 2).await.1["successedCount"], 1);
    assert_eq!(client.names(&dir).await, ["a(1).txt", "a.txt"]);
    let (_, id) = client.run("COPY", &infos, &dir).await;
    assert_eq!(manage(id, 3).await.1["successedCount"], 1);
    assert_eq!(client.world.read("189", "/d/a.txt", 0, 9).unwrap(), "new");
    let gone = client.get("/getFileInfo.action", &[("fileId", &old)]).await;
    assert_eq!(code(&gone), "FileNotFound");
    // Decided from the start, or never.
    let ready = json!([{ "fileId": file, "fileName": "a", "isFolder": 0, "dealWay": 1 }]);
    let (done, _) = client.run("COPY", &ready, &dir).await;
    assert_eq!(
        (&done["taskStatus"], &done["skipCount"]),
        (&json!(4), &json!(1))
    );
    let (_, id) = client.run("COPY", &infos, &dir).await;
    let form = [("type", "COPY"), ("taskId", id.as_str())];
    client
        .form("/batch/cancelBatchTask.action", &form, false)
        .await;
    assert_eq!(client.check("COPY", &id).await["taskStatus"], 5);
    assert_eq!(client.names(&dir).await.len(), 2);
}

#[tokio::test]
async fn trash_and_back() {
    let client = slow().await;
    let dir = client.mkdir("/d");
    let file = client.seed("/d/a.txt", b"one");
    let (done, _) = client.run("DELETE", &json!([info(&file, 0)]), "").await;
    assert_eq!(done["successedCount"], 1);
    assert!(client.names(&dir).await.is_empty());
    let (done, _) = client.run("DELETE", &json!([info(&file, 0)]), "").await;
    assert_eq!(done["failedCount"], 1, "gone already");
    client.seed("/d/a.txt", b"two");
    let restore = json!([{ "fileId": file, "fileName": "a", "isFolder": 0, "srcParentId": dir }]);
    let (done, _) = client.run("RESTORE", &restore, "").await;
    assert_eq!(done["successedFileIdList"][0].to_string(), file);
    assert_eq!(client.names(&dir).await, ["a(1).txt", "a.txt"]);
    let (done, _) = client.run("RESTORE", &restore, "").await;
    assert_eq!(done["failedCount"], 1);
    let (done, _) = client
        .run("CLEAR_RECYCLE", &json!([info(&file, 0)]), "")
        .await;
    assert_eq!(done["failedCount"], 1, "not in the trash");
    client.run("DELETE", &json!([info(&file, 0)]), "").await;
    let (done, _) = client
        .run("CLEAR_RECYCLE", &json!([info(&file, 0)]), "")
        .await;
    assert_eq!(done["successedCount"], 1);
    client.run("DELETE", &json!([info(&dir, 1)]), "").await;
    client.run("EMPTY_RECYCLE", &json!([]), "").await;
    let quota = client.get("/portal/getUserSizeInfo.action", &[]).await;
    assert_eq!(quota["cloudCapacityInfo"]["usedSize"], 0);
    let stat = client.world.stat("189").unwrap();
    assert_eq!(
        (
            stat.count("trash"),
            stat.count("restore"),
            stat.count("purge")
        ),
        (4, 2, 2)
    );
}

#[tokio::test]
async fn deletions_do_not_go_side_by_side() {
    let client = slow().await;
    let (a, b) = (client.seed("/a", b"a"), client.seed("/b", b"b"));
    let first = client.create("DELETE", &json!([info(&a, 0)]), "").await;
    let (second, _) = client.run("DELETE", &json!([info(&b, 0)]), "").await;
    assert_eq!(
        (&second["taskStatus"], &second["successedCount"]),
        (&json!(4), &json!(1))
    );
    client
        .follow("DELETE", first["taskId"].as_str().unwrap())
        .await;
    assert_eq!(client.names("-11").await, ["b"], "the second did nothing");
    // A task ends by itself.
    client.set("task_ms", "1");
    client.create("DELETE", &json!([info(&b, 0)]), "").await;
    for _ in 0..2000 {
        if client.names("-11").await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the task never ended");
}

#[tokio::test]
async fn a_family_has_a_space_of_its_own() {
    let client = slow().await;
    let list = client.get("/family/manage/getFamilyList.action", &[]).await;
    let family = list["familyInfoResp"][0]["familyId"].to_string();
    let family = family.as_str();
    let folder = [
        ("familyId", family),
        ("parentId", ""),
        ("folderName", "ours"),
    ];
    let made = client
        .post("/family/file/createFolder.action", &folder)
        .await;
    let id = made["id"].to_string();
    let page = [("familyId", family), ("folderId", ""), ("orderBy", "1")];
    let page = client.get("/family/file/listFiles.action", &page).await;
    assert_eq!(names(&page["fileListAO"]), ["ours"]);
    assert!(client.names("-11").await.is_empty());
    let other = [("familyId", "1"), ("folderId", "")];
    let other = client.get("/family/file/listFiles.action", &other).await;
    assert_eq!(code(&other), "FamilyAccessPermissionDenied");
    let renamed = [
        ("familyId", family),
        ("folderId", &id),
        ("destFolderName", "theirs"),
    ];
    let renamed = client
        .get("/family/file/renameFolder.action", &renamed)
        .await;
    assert_eq!(renamed["name"], "theirs");
    // To the personal cloud: by a task signed with the family's pair.
    let infos = json!([info(&id, 1)]).to_string();
    let form = [
        ("type", "COPY"),
        ("taskInfos", &infos),
        ("targetFolderId", "-11"),
        ("familyId", family),
        ("groupId", "null"),
        ("copyType", "2"),
        ("shareId", "null"),
    ];
    let made = client
        .form("/batch/createBatchTask.action", &form, true)
        .await;
    let task = made["taskId"].as_str().unwrap_or_else(|| panic!("{made}"));
    assert_eq!(client.follow("COPY", task).await.0["taskStatus"], 4);
    assert_eq!(client.names("-11").await, ["theirs"]);
    let wrong = client
        .form("/batch/createBatchTask.action", &form, false)
        .await;
    assert_eq!(code(&wrong), "InvalidSessionKey");
    let again = [
        ("familyId", family),
        ("destParentId", "-11"),
        ("fileIdList", id.as_str()),
    ];
    let again = client
        .get("/family/file/saveFileToMember.action", &again)
        .await;
    assert_eq!(code(&again), "FileAlreadyExists");
}

#[tokio::test]
async fn a_share_is_saved() {
    let world = world();
    let client = Client::of(&world, "189").await;
    client.set("task_ms", "3600000");
    let source = super::super::SeedSource::Synthetic { seed: 3 };
    let file = world
        .seed("189-share", "/pack/a.bin", 5000, &source)
        .unwrap();
    let pack = world.mkdir("189-share", "/pack").unwrap();
    let save = |share: &'static str, infos: Value| {
        let client = &client;
        async move {
            let infos = infos.to_string();
            let form = [
                ("type", "SHARE_SAVE"),
                ("shareId", share),
                ("targetFolderId", "-11"),
                ("taskInfos", &infos),
            ];
            let made = client
                .form("/batch/createBatchTask.action", &form, false)
                .await;
            let Some(id) = made["taskId"].as_str().filter(|_| code(&made).is_empty()) else {
                return (code(&made).to_owned(), Value::Null);
            };
            (String::new(), client.follow("SHARE_SAVE", id).await.0)
        }
    };
    let (_, done) = save(super::share::SHARE_ID, json!([info(&pack, 1)])).await;
    assert_eq!(
        (&done["taskStatus"], &done["successedCount"]),
        (&json!(4), &json!(1))
    );
    let blob = super::super::Blob::synthetic(3, 5000);
    assert_eq!(
        world.read("189", "/pack/a.bin", 0, u64::MAX).unwrap(),
        blob.read(0, 5000)
    );
    assert_ne!(client.world.resolve_id("/pack/a.bin"), file);
    let (_, done) = save(super::share::SHARE_ID, json!([info(&pack, 1)])).await;
    assert_eq!(done["taskStatus"], 2, "the name is taken");
    assert_eq!(
        save("5", json!([info(&file, 0)])).await.0,
        "ShareInfoNotFound"
    );
    client.set("save_limit", "1");
    let two = json!([info(&file, 0), info(&pack, 1)]);
    assert_eq!(
        save(super::share::SHARE_ID, two).await.0,
        "ShareDumpFileOverload"
    );
    world.set("189-share", "share_state", "expired").unwrap();
    let over = save(super::share::SHARE_ID, json!([info(&file, 0)])).await;
    assert_eq!(over.0, "ShareExpiredError");
    assert_eq!(world.stat("189").unwrap().bytes_up, 0);
}

impl super::super::World {
    fn resolve_id(&self, path: &str) -> String {
        let account = self.account("189").unwrap();
        let tree = account.tree();
        tree.resolve(path)
            .map(|node| node.id.clone())
            .unwrap_or_default()
    }
}
