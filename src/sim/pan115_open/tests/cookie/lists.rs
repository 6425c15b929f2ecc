//! Lists, lookups, space.

use super::*;

#[tokio::test]
async fn entries_as_the_sheet_writes_them() {
    let web = Web::new();
    let (id, blob) = web.seed("/docs/hello.mp4", 1, 12);
    let list = web.list("0", &[("count_folders", "1")]).await;
    assert_eq!(
        (&list["state"], &list["errNo"], &list["count"]),
        (&json!(true), &json!(0), &json!(1))
    );
    assert_eq!(
        (&list["file_count"], &list["folder_count"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(
        (text(&list, "cid"), text(&list, "order")),
        ("0", "user_ptime")
    );
    let docs = entry(&list, "docs");
    assert!(docs.get("fid").is_none() && docs["pid"] == "0");
    assert!(text(docs, "pc").starts_with('f'));
    let dir = text(docs, "cid");
    assert_eq!(
        text(docs, "t"),
        text(docs, "tu"),
        "a folder's time is a number"
    );
    let inner = web.list(dir, &[]).await;
    assert_eq!(
        inner["path"][1],
        json!({ "name": "docs", "aid": "1", "cid": dir, "pid": "0" })
    );
    let file = entry(&inner, "hello.mp4");
    assert_eq!(
        (
            text(file, "fid"),
            text(file, "cid"),
            &file["s"],
            &file["uid"]
        ),
        (id.as_str(), dir, &json!(12), &json!(123_456_789))
    );
    assert_eq!(text(file, "sha"), upper_sha1(&blob));
    assert_eq!(
        (&file["sta"], &file["iv"], text(file, "ico")),
        (&json!(1), &json!(1), "mp4")
    );
    assert_eq!(text(file, "t").len(), "2024-01-31 15:47".len());
    let seconds: i64 = text(file, "te").parse().unwrap();
    assert!((seconds - Clock::real_ms() / 1000).abs() < 100);
    // The same account by its tokens: same ids, same codes.
    let open = Client::of(web.world.clone(), "115").list(dir).await;
    assert_eq!(
        (text(&open["data"][0], "fid"), text(&open["data"][0], "pc")),
        (id.as_str(), text(file, "pc"))
    );
    // An unknown folder is the root; without show_dir come all files of the subtree.
    let lost = web.list("77", &[]).await;
    assert_eq!((text(&lost, "cid"), entries(&lost).len()), ("0", 1));
    let flat = web.list("0", &[("show_dir", "0")]).await;
    assert_eq!(entries(&flat)[0]["n"], "hello.mp4");
    web.set("text_numbers", "1");
    assert_eq!(entry(&web.list(dir, &[]).await, "hello.mp4")["s"], "12");
    web.fault("list", FaultKind::NullList, "");
    assert_eq!(web.list("0", &[]).await["data"], json!(null));
}

#[tokio::test]
async fn pages() {
    let web = Web::new();
    for number in 0..1160 {
        web.seed(&format!("/many/{number:04}"), 1, 1);
    }
    let list = web.list("0", &[]).await;
    let dir = text(entry(&list, "many"), "cid").to_owned();
    let first = web.list(&dir, &[("limit", "5000")]).await;
    assert_eq!(
        (&first["count"], &first["limit"], entries(&first).len()),
        (&json!(1160), &json!(1150), 1150)
    );
    let rest = web.list(&dir, &[("offset", "1150")]).await;
    assert_eq!((&rest["offset"], entries(&rest).len()), (&json!(1150), 10));
    let mut names: Vec<&str> = entries(&first)
        .iter()
        .chain(entries(&rest))
        .map(|entry| text(entry, "n"))
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 1160);
    web.fault("list", FaultKind::TruncatedPage, "");
    assert_eq!(entries(&web.list(&dir, &[("limit", "10")]).await).len(), 5);
    assert_eq!(
        entries(&web.get("/files", &[("cid", &dir), ("show_dir", "1")]).await).len(),
        32
    );
}

#[tokio::test]
async fn orders_are_remembered_and_names_have_their_own_host() {
    let web = Web::new();
    for (name, size) in [("/b", 3), ("/a", 2), ("/c", 1)] {
        web.seed(name, 1, size);
    }
    let names = |list: &Value| -> Vec<String> {
        let all = entries(list).iter();
        all.map(|entry| text(entry, "n").to_owned()).collect()
    };
    let by_size = web.list("0", &[("o", "file_size")]).await;
    assert_eq!(
        (names(&by_size), &by_size["is_asc"]),
        (vec!["c".into(), "a".into(), "b".into()], &json!(1))
    );
    // Without custom_order the folder's own order counts, and the answer says which.
    let own = web
        .list("0", &[("o", "file_size"), ("custom_order", "0")])
        .await;
    assert_eq!(
        (text(&own, "order"), &own["is_asc"]),
        ("user_ptime", &json!(0))
    );
    let form = [
        ("file_id", "0"),
        ("user_order", "file_size"),
        ("user_asc", "0"),
        ("fc_mix", "1"),
    ];
    assert_eq!(web.post("/files/order", &form).await["state"], true);
    let own = web.list("0", &[("custom_order", "0")]).await;
    assert_eq!(
        (text(&own, "order"), &own["fc_mix"]),
        ("file_size", &json!(1))
    );
    assert_eq!(names(&own), ["b", "a", "c"]);
    // By name: another host's business, and only that.
    let refused = web.list("0", &[("o", "file_name")]).await;
    assert_eq!(
        (
            &refused["state"],
            &refused["errNo"],
            text(&refused, "order")
        ),
        (&json!(false), &json!(20_130_827), "file_name")
    );
    let query = [
        ("cid", "0"),
        ("o", "file_name"),
        ("asc", "1"),
        ("show_dir", "1"),
        ("custom_order", "1"),
    ];
    let sorted = web.get("/natsort/files.php", &query).await;
    assert_eq!(names(&sorted), ["a", "b", "c"]);
    let refused = web.get("/natsort/files.php", &[("cid", "0")]).await;
    assert_eq!(
        (&refused["errNo"], text(&refused, "order")),
        (&json!(20_130_827), "file_size")
    );
    assert_eq!(web.list("0", &[("o", "colour")]).await["errNo"], 990_002);
    let form = [("file_id", "77"), ("user_order", "file_size")];
    assert_eq!(web.post("/files/order", &form).await["errno"], 20_018);
}

#[tokio::test]
async fn lookups() {
    let web = Web::new();
    let (id, blob) = web.seed("/docs/a.txt", 1, 12);
    let dir = text(entry(&web.list("0", &[]).await, "docs"), "cid").to_owned();
    let code = text(entry(&web.list(&dir, &[]).await, "a.txt"), "pc").to_owned();
    for query in [[("file_id", id.as_str())], [("pick_code", code.as_str())]] {
        let info = web.get("/files/get_info", &query).await;
        assert_eq!(
            (text(&info["data"][0], "fid"), &info["state"]),
            (id.as_str(), &json!(true))
        );
    }
    for (query, code) in [
        (("file_id", "77"), 20_018),
        (("file_id", "0"), 990_002),
        (("pick_code", "e2r37d689xrgazn67"), 50_003),
        (("x", "y"), 990_002),
    ] {
        let refused = web.get("/files/get_info", &[query]).await;
        assert_eq!(refused["errno"], code, "{query:?}");
    }
    let folder = web
        .get("/category/get", &[("cid", &dir), ("aid", "1")])
        .await;
    assert_eq!(
        (
            text(&folder, "count"),
            text(&folder, "file_category"),
            text(&folder, "size")
        ),
        ("1", "0", "12B")
    );
    assert!(folder.get("state").is_none());
    assert_eq!(web.get("/category/get", &[("cid", "77")]).await, json!([]));
    for (path, found) in [
        ("/docs", dir.as_str()),
        ("/docs/a.txt", "0"),
        ("/none", "0"),
        ("/", "0"),
    ] {
        let answer = web.get("/files/getid", &[("path", path)]).await;
        assert_eq!(
            (text(&answer, "id"), &answer["is_private"]),
            (found, &json!("0")),
            "{path}"
        );
    }
    let late = web.mkdir("0", "late").await;
    assert_eq!(
        web.get("/files/getid", &[("path", "/late")]).await["id"],
        "0"
    );
    web.world.clock_advance(2_000);
    assert_eq!(
        web.get("/files/getid", &[("path", "/late")]).await["id"],
        late.as_str()
    );

    let found = web
        .get("/files/search", &[("search_value", "a.t"), ("cid", "0")])
        .await;
    assert_eq!(
        (&found["count"], text(&found["data"][0], "fid")),
        (&json!(1), id.as_str())
    );
    let sha1 = upper_sha1(&blob);
    let one = web.get("/files/shasearch", &[("sha1", &sha1)]).await;
    assert_eq!(text(&one["data"], "fid"), id);
    assert_eq!(
        web.get("/files/shasearch", &[("sha1", &"0".repeat(40))])
            .await["errno"],
        20_018
    );
    // In the trash nothing finds it.
    let form = [("fid[0]", id.as_str()), ("pid", &dir), ("ignore_warn", "1")];
    assert_eq!(web.post("/rb/delete", &form).await["state"], true);
    assert_eq!(
        web.get("/files/get_info", &[("file_id", &id)]).await["errno"],
        20_018
    );
    assert_eq!(
        web.get("/files/shasearch", &[("sha1", &sha1)]).await["errno"],
        20_018
    );
}

#[tokio::test]
async fn space_and_upload_identity() {
    let web = Web::new();
    web.seed("/a", 1, 1000);
    web.set("total_size", "3000");
    let info = web.get("/files/index_info", &[]).await["data"]["space_info"].clone();
    assert_eq!(info["all_total"]["size"], 3000);
    assert_eq!(info["all_remain"]["size"].as_f64(), Some(2000.0));
    assert_eq!(info["all_use"]["size"], "1000");
    let (user, key) = web.user().await;
    assert_eq!((user.as_str(), key.len()), ("123456789", 40));
    let same = web.get("/files/uploadinfo", &[]).await;
    assert_eq!(
        (text(&same, "userkey"), &same["size_limit"]),
        (key.as_str(), &json!(123_480_309_760_u64))
    );
}
