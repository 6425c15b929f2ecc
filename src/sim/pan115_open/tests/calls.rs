//! List, stat, names, moves, copies, trash, user.

use super::*;

#[tokio::test]
async fn listing_and_its_traps() {
    let client = Client::new("115");
    let (file, blob) = client.seed("/docs/a.txt", 1, 1000);
    client.seed("/docs/deep/b.mp4", 2, 50);
    client.seed("/c.bin", 3, 7);
    let docs = client.world.mkdir("115", "/docs").unwrap();

    let list = client.list(&docs).await;
    assert_eq!((&list["count"], &list["limit"]), (&json!(2), &json!(1000)));
    assert_eq!(list["cid"].to_string(), docs);
    let path = list["path"].as_array().unwrap();
    assert_eq!(
        (&path[0]["cid"], &path[1]["cid"]),
        (&json!(0), &json!(docs))
    );
    let entry = &list["data"][1];
    for (key, value) in [
        ("fid", file.as_str()),
        ("fc", "1"),
        ("fn", "a.txt"),
        ("pid", &docs),
        ("sha1", &upper_sha1(&blob)),
        ("fta", "1"),
    ] {
        assert_eq!(text(entry, key), value);
    }
    assert_eq!(entry["fs"], 1000);
    assert_eq!(
        (&list["data"][0]["fc"], &list["data"][0]["fs"]),
        (&json!("0"), &json!(0))
    );

    // Unknown ids, and files, are the root.
    for cid in ["99", &file] {
        let other = client.list(cid).await;
        assert_eq!(
            (&other["cid"], &other["count"]),
            (&json!(0), &json!(2)),
            "{cid}"
        );
    }
    // Without show_dir: every file of the subtree; with cur only those of the folder.
    let all = client.get("/open/ufile/files", &[("cid", "0")]).await;
    assert_eq!((&all["count"], &all["limit"]), (&json!(3), &json!(20)));
    let here = client.get("/open/ufile/files", &[("cur", "1")]).await;
    assert_eq!(here["count"], 1);
    let videos = [("show_dir", "1"), ("type", "4")];
    let videos = client.get("/open/ufile/files", &videos).await;
    assert_eq!(
        (&videos["count"], &videos["data"][0]["isv"]),
        (&json!(1), &json!(1))
    );

    client.set("text_numbers", "1");
    let list = client.list(&docs).await;
    assert_eq!(
        (&list["count"], &list["data"][1]["fs"]),
        (&json!("2"), &json!("1000"))
    );
    client.fault("list", FaultKind::NullList, "");
    assert_eq!(client.list("0").await["data"], Value::Null);
    client.fault("list", FaultKind::Errno, "0");
    let empty = client.list("0").await;
    assert_eq!(
        (&empty["state"], &empty["code"], &empty["message"]),
        (&json!(false), &json!(0), &json!(""))
    );
    client.fault("list", FaultKind::Errno, "770004");
    assert_eq!(client.list("0").await["errno"], 770_004);
    client.fault("list", FaultKind::Lag, "20000");
    assert_eq!(client.list("0").await["count"], "0");
    assert_eq!(client.list("0").await["count"], "2");
    client.set("qps", "1");
    assert_eq!(client.list("0").await["code"], 0);
    assert_eq!(client.list("0").await["code"], 770_004);
}

#[tokio::test]
async fn pages_and_order() {
    let client = Client::new("115");
    for n in 0..5 {
        client.seed(&format!("/{n}.bin"), n, 10 - n);
    }
    let page = |more: Vec<(&'static str, &'static str)>| {
        let client = &client;
        async move {
            let mut query = vec![("show_dir", "1")];
            query.extend(more);
            let list = client.get("/open/ufile/files", &query).await;
            let names = list["data"].as_array().unwrap().iter();
            let names: Vec<String> = names.map(|e| text(e, "fn").replace(".bin", "")).collect();
            (names.join(""), list)
        }
    };
    let by_name = vec![("o", "file_name"), ("asc", "1"), ("custom_order", "1")];
    let (names, list) = page(by_name.clone()).await;
    assert_eq!(
        (names.as_str(), text(&list, "order")),
        ("01234", "file_name")
    );
    let mut second = by_name.clone();
    second.extend([("limit", "2"), ("offset", "2")]);
    assert_eq!(page(second.clone()).await.0, "23");
    let by_size = vec![("o", "file_size"), ("asc", "1"), ("custom_order", "2")];
    assert_eq!(page(by_size).await.0, "43210");
    // Not honoured without custom_order.
    let (names, list) = page(vec![("o", "file_name"), ("asc", "1")]).await;
    assert_eq!(
        (names.as_str(), text(&list, "order")),
        ("43210", "user_ptime")
    );
    client.set("max_limit", "3");
    let (names, list) = page(vec![("limit", "9999")]).await;
    assert_eq!(
        (names.len(), &list["limit"], &list["count"]),
        (3, &json!(3), &json!(5))
    );
    client.fault("list", FaultKind::TruncatedPage, "");
    let (names, list) = page(vec![("limit", "2")]).await;
    assert_eq!((names.len(), &list["count"]), (1, &json!(5)));
}

#[tokio::test]
async fn stat_by_id_and_path() {
    let client = Client::new("115");
    let (id, blob) = client.seed("/docs/a.txt", 1, 3000);
    let stat = client
        .get("/open/folder/get_info", &[("file_id", &id)])
        .await;
    let data = &stat["data"];
    assert_eq!(text(data, "sha1"), upper_sha1(&blob));
    assert_eq!(
        (&data["size_byte"], &data["size"]),
        (&json!(3000), &json!("2.93KB"))
    );
    assert_eq!(
        (&data["file_category"], &data["paths"][0]["file_id"]),
        (&json!("1"), &json!(0))
    );
    for path in ["/docs/a.txt", "docs>a.txt"] {
        let by_path = client
            .post("/open/folder/get_info", &[("path", path)])
            .await;
        assert_eq!(by_path["data"]["file_id"], json!(id), "{path}");
    }
    // What is new is not found by path at once.
    client
        .post("/open/folder/add", &[("pid", "0"), ("file_name", "new")])
        .await;
    let form = [("path", "/new")];
    assert_eq!(
        client.post("/open/folder/get_info", &form).await["data"],
        json!([])
    );
    client.world.clock_advance(2000);
    let found = client.post("/open/folder/get_info", &form).await;
    assert_eq!(found["data"]["file_category"], "0");

    let gone = [("file_id", "77")];
    assert_eq!(
        client.get("/open/folder/get_info", &gone).await["data"],
        json!([])
    );
    client.set("stat_missing_code", "1");
    assert_eq!(
        client.get("/open/folder/get_info", &gone).await["code"],
        430_004
    );
    client.set("stat_array", "1");
    let array = client
        .get("/open/folder/get_info", &[("file_id", &id)])
        .await;
    assert_eq!(array["data"][0]["file_id"], json!(id));

    let sha1 = upper_sha1(&blob);
    for value in ["A.T", &sha1] {
        let found = client
            .get("/open/ufile/search", &[("search_value", value)])
            .await;
        assert_eq!(
            (&found["count"], &found["data"][0]["file_id"]),
            (&json!(1), &json!(id))
        );
    }
    let far = [("search_value", "a"), ("offset", "9990")];
    assert_eq!(client.get("/open/ufile/search", &far).await["state"], false);
}

#[tokio::test]
async fn names_are_kept_numbered_or_refused() {
    let client = Client::new("115");
    let (a, _) = client.seed("/a.txt", 1, 10);
    client.seed("/b.txt", 2, 10);
    let mkdir = |name: &'static str| {
        let client = &client;
        async move {
            let form = [("pid", "0"), ("file_name", name)];
            client.post("/open/folder/add", &form).await
        }
    };
    let made = mkdir("docs").await;
    assert_eq!(
        (&made["state"], &made["data"]["file_name"]),
        (&json!(true), &json!("docs"))
    );
    assert_eq!(mkdir("docs").await["code"], 20_004);
    assert_eq!(
        mkdir("b.txt").await["code"],
        0,
        "a file and a folder may share a name"
    );
    assert_eq!(mkdir("a<b").await["code"], 20_003);
    let nowhere = [("pid", "5"), ("file_name", "x")];
    assert_eq!(
        client.post("/open/folder/add", &nowhere).await["code"],
        20_009
    );
    assert_eq!(mkdir("DOCS").await["code"], 0);
    client.set("fold_case", "1");
    assert_eq!(mkdir("Docs").await["code"], 20_004);

    let rename = |id: String, name: &'static str| {
        let client = &client;
        async move {
            let form = [("file_id", id.as_str()), ("file_name", name)];
            client.post("/open/ufile/update", &form).await
        }
    };
    let kept = rename(a.clone(), "c.md").await;
    assert_eq!(kept["data"], json!({ "file_name": "c.txt", "star": "0" }));
    let numbered = rename(a.clone(), "b.txt").await;
    assert_eq!(numbered["data"]["file_name"], "b(1).txt");
    assert_eq!(
        rename("123".to_owned(), "x.txt").await["state"],
        true,
        "deleted ids"
    );
    client.set("rename_refused", "1");
    assert_eq!(rename(a.clone(), "c.md").await["code"], 20_021);
    let star = [("file_id", a.as_str()), ("star", "1")];
    assert_eq!(
        client.post("/open/ufile/update", &star).await["data"]["star"],
        "1"
    );
    client.set("duplicates", "1");
    assert_eq!(rename(a, "b.txt").await["data"]["file_name"], "b.txt");
    assert_eq!(
        client.names("0").await,
        ["DOCS", "b.txt", "b.txt", "b.txt", "docs"]
    );
}

#[tokio::test]
async fn moves_and_copies() {
    let client = Client::new("115");
    let (a, _) = client.seed("/a.txt", 1, 10);
    client.seed("/docs/a.txt", 2, 10);
    let docs = client.world.mkdir("115", "/docs").unwrap();
    let sub = client.world.mkdir("115", "/docs/sub").unwrap();
    let moved = |ids: &str, to: &str| {
        let (ids, to) = (ids.to_owned(), to.to_owned());
        let client = &client;
        async move {
            let form = [("file_ids", ids.as_str()), ("to_cid", to.as_str())];
            client.post("/open/ufile/move", &form).await
        }
    };
    let copied = |ids: &str, to: &str| {
        let (ids, to) = (ids.to_owned(), to.to_owned());
        let client = &client;
        async move {
            let form = [
                ("file_id", ids.as_str()),
                ("pid", to.as_str()),
                ("nodupli", "0"),
            ];
            client.post("/open/ufile/copy", &form).await
        }
    };
    assert_eq!(moved(&a, &docs).await["data"], json!([]));
    assert_eq!(client.names(&docs).await, ["a(1).txt", "a.txt", "sub"]);
    assert_eq!(moved(&docs, &sub).await["code"], 800_006);
    assert_eq!(copied(&docs, &sub).await["code"], 91_002);
    assert_eq!(copied(&a, &docs).await["code"], 990_003);
    assert_eq!(moved("4711", &docs).await["code"], 231_011);
    assert_eq!(copied(&docs, "4711").await["code"], 20_009);
    assert_eq!(copied(&a, "0").await["data"], json!([]));
    assert_eq!(client.names("0").await, ["a(1).txt", "docs"]);

    // To a folder that does not exist: granted, and gone from sight.
    assert_eq!(moved(&a, "4711").await["state"], true);
    assert_eq!(client.names(&docs).await, ["a.txt", "sub"]);
    let stat = client
        .get("/open/folder/get_info", &[("file_id", &a)])
        .await;
    assert_eq!(stat["data"]["file_id"], json!(a));
    let tree = client.world.tree("115").unwrap();
    let items = tree["items"].as_array().unwrap();
    assert!(
        items.iter().any(|item| item["id"] == json!(a)),
        "tests see it"
    );
    assert_eq!(moved(&a, "0").await["state"], true);
    assert_eq!(client.names("0").await, ["a(1)(1).txt", "a(1).txt", "docs"]);

    // One at a time.
    client.set("op_ms", "300");
    let (first, second) = tokio::join!(moved(&a, &docs), copied(&docs, "0"));
    let codes = [&first["code"], &second["code"]];
    assert!(codes.contains(&&json!(990_009)), "{codes:?}");
    client.set("op_ms", "0");
    client.set("busy_ms", "60000");
    assert_eq!(moved(&a, &sub).await["code"], 0);
    assert_eq!(moved(&a, &docs).await["code"], 990_009);
    client.world.clock_advance(60_001);
    assert_eq!(moved(&a, &docs).await["code"], 0);
    client.world.clock_advance(60_001);
    client.set("busy", "1");
    assert_eq!(moved(&a, &sub).await["code"], 990_009);
}

#[tokio::test]
async fn trash_and_quota() {
    let client = Client::new("115-2");
    let (a, blob) = client.seed("/docs/a.txt", 1, 1000);
    let docs = client.world.mkdir("115-2", "/docs").unwrap();
    let (b, _) = client.seed("/docs/b.txt", 2, 10);
    let delete = |id: String| {
        let client = &client;
        async move {
            client
                .post("/open/ufile/delete", &[("file_ids", id.as_str())])
                .await
        }
    };
    assert_eq!(delete(a.clone()).await["data"], json!([a]));
    assert_eq!(delete(a.clone()).await["code"], 231_011);
    let listed = client.get("/open/rb/list", &[]).await;
    let data = &listed["data"];
    assert_eq!((&data["count"], &data["rb_pass"]), (&json!("1"), &json!(0)));
    let entry = &data[&a];
    assert_eq!(
        (text(entry, "cid"), text(entry, "parent_name")),
        (docs.as_str(), "docs")
    );
    assert_eq!(
        (text(entry, "type"), text(entry, "sha1")),
        ("1", upper_sha1(&blob).as_str())
    );

    let info = client.get("/open/user/info", &[]).await;
    let space = &info["data"]["rt_space_info"];
    assert_eq!(space["all_total"]["size"], 16_u64 << 40);
    assert!(space["all_remain"]["size"].is_f64());
    assert_eq!(space["all_use"]["size"], "1010", "trash counts");
    assert_eq!(info["data"]["user_id"], 123_456_790);
    assert_eq!(info["data"]["vip_info"]["expire"], 0);

    let stat = [("file_id", a.as_str())];
    assert_eq!(
        client.get("/open/folder/get_info", &stat).await["data"],
        json!([])
    );
    client.set("stat_trashed", "1");
    assert_eq!(
        client.get("/open/folder/get_info", &stat).await["data"]["file_id"],
        json!(a)
    );

    let restored = client
        .post("/open/rb/revert", &[("tid", &format!("{a},5"))])
        .await;
    assert_eq!(restored["data"][&a]["state"], true);
    assert_eq!(restored["data"]["5"]["state"], false);
    assert_eq!(client.names(&docs).await, ["a.txt", "b.txt"]);
    // Its folder gone, an entry comes back in the root.
    delete(b.clone()).await;
    delete(docs).await;
    client.post("/open/rb/revert", &[("tid", &b)]).await;
    assert_eq!(client.names("0").await, ["b.txt"]);
    // Without ids everything goes.
    let purged = client.post("/open/rb/del", &[]).await;
    assert_eq!(purged["data"].as_array().unwrap().len(), 1);
    let tree = client.world.tree("115-2").unwrap();
    assert_eq!(tree["items"].as_array().unwrap().len(), 1);
}
