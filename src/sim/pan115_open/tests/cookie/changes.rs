//! mkdir, rename, move, copy, trash.

use super::*;

#[tokio::test]
async fn folders_and_names() {
    let web = Web::new();
    let made = web
        .post("/files/add", &[("pid", "0"), ("cname", "docs")])
        .await;
    assert_eq!(
        (
            &made["state"],
            &made["aid"],
            text(&made, "cname"),
            text(&made, "file_name")
        ),
        (&json!(true), &json!(1), "docs", "docs")
    );
    let dir = text(&made, "cid").to_owned();
    assert_eq!(made["file_id"], dir.as_str());
    for (pid, name, code) in [
        ("0", "docs", 20_004),
        ("0", "a<b", 20_003),
        ("0", "", 20_001),
        ("77", "x", 20_009),
        ("", "x", 990_002),
    ] {
        let refused = web
            .post("/files/add", &[("pid", pid), ("cname", name)])
            .await;
        assert_eq!(refused["errno"], code, "{name}");
    }

    let (a, _) = web.seed("/a.txt", 1, 5);
    let (plain, _) = web.seed("/plain", 2, 5);
    let key = |id: &str| format!("files_new_name[{id}]");
    let (ka, kp, kd) = (key(&a), key(&plain), key(&dir));
    let form = [(ka.as_str(), "b.md"), (&kp, "c.md"), (&kd, "d.x")];
    let answer = web.post("/files/batch_rename", &form).await;
    assert_eq!(
        (&answer["state"], &answer["errno"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(
        answer["data"],
        json!({ &a: "b.txt", &plain: "plain.", &dir: "d.x" })
    );
    let same = web
        .post("/files/batch_rename", &[(ka.as_str(), "b.txt")])
        .await;
    assert_eq!((&same["state"], &same["data"]), (&json!(true), &json!([])));
    let gone = key("77");
    let gone = web
        .post("/files/batch_rename", &[(gone.as_str(), "x.txt")])
        .await;
    assert_eq!((&gone["state"], &gone["data"]), (&json!(true), &json!([])));
    web.seed("/taken.txt", 3, 5);
    let taken = web
        .post("/files/batch_rename", &[(ka.as_str(), "taken.txt")])
        .await;
    assert_eq!(taken["data"][&a], "taken(1).txt");
    web.set("rename_refused", "1");
    let refused = web
        .post("/files/batch_rename", &[(ka.as_str(), "b.md")])
        .await;
    assert_eq!(refused["errno"], 20_021);
    assert_eq!(web.post("/files/batch_rename", &[]).await["errno"], 990_002);
    assert_eq!(
        web.names("0").await,
        ["d.x", "plain.", "taken(1).txt", "taken.txt"]
    );
    // Only forms are read.
    let ask = web
        .http
        .post(web.url("web", "/files/add"))
        .body("pid=0&cname=z");
    assert_eq!(web.send(ask).await.json()["errno"], 990_002);
}

#[tokio::test]
async fn moves_and_copies() {
    let web = Web::new();
    let (a, _) = web.seed("/a.txt", 1, 5);
    let (b, _) = web.seed("/b.txt", 2, 5);
    let dir = web.mkdir("0", "dir").await;
    let code = web.pick_code("a.txt").await;
    let form = [
        ("fid[0]", a.as_str()),
        ("fid[1]", &b),
        ("pid", &dir),
        ("move_proid", "1"),
    ];
    assert_eq!(web.post("/files/move", &form).await["state"], true);
    assert_eq!(
        (web.names("0").await, web.names(&dir).await),
        (vec!["dir".to_owned()], vec!["a.txt".into(), "b.txt".into()])
    );
    assert_eq!(
        entry(&web.list(&dir, &[]).await, "a.txt")["pc"],
        code.as_str()
    );
    // Copies have new ids; an entry alone needs no index.
    let form = [("fid", a.as_str()), ("pid", "0")];
    assert_eq!(web.post("/files/copy", &form).await["state"], true);
    let copy = text(entry(&web.list("0", &[]).await, "a.txt"), "fid").to_owned();
    assert_ne!(copy, a);
    assert_eq!(web.post("/files/copy", &form).await["state"], true);
    assert_eq!(web.names("0").await, ["a(1).txt", "a.txt", "dir"]);
    for (path, id, pid, code) in [
        ("/files/copy", a.as_str(), dir.as_str(), 990_003),
        ("/files/copy", &dir, &dir, 91_002),
        ("/files/move", &dir, &dir, 800_006),
        ("/files/move", "77", "0", 231_011),
        ("/files/move", &a, "", 990_002),
        ("/files/move", "", "0", 990_002),
    ] {
        let refused = web.post(path, &[("fid", id), ("pid", pid)]).await;
        assert_eq!(refused["errno"], code, "{path} {id} {pid}");
    }
    // To nowhere: a success, and nobody sees it any more.
    assert_eq!(
        web.post("/files/move", &[("fid", &copy), ("pid", "77")])
            .await["state"],
        true
    );
    assert_eq!(web.names("0").await, ["a(1).txt", "dir"]);
}

#[tokio::test]
async fn one_change_at_a_time_in_both_modes() {
    let web = Web::new();
    let open = Client::of(web.world.clone(), "115");
    let (a, _) = web.seed("/a", 1, 5);
    let (b, _) = web.seed("/b", 2, 5);
    let (c, _) = web.seed("/c", 3, 5);
    let dir = web.mkdir("0", "dir").await;
    web.set("op_ms", "1500");
    let first = [("fid[0]", a.as_str()), ("pid", &dir)];
    let second = [("fid[0]", b.as_str()), ("pid", "0")];
    let third = [("file_ids", c.as_str()), ("to_cid", &dir)];
    let (first, second, third) = tokio::join!(
        web.post("/files/move", &first),
        web.post("/rb/delete", &second),
        open.post("/open/ufile/move", &third)
    );
    let codes = [&first["errno"], &second["errno"], &third["code"]];
    let busy = codes
        .iter()
        .filter(|code| ***code == json!(990_009))
        .count();
    assert_eq!(busy, 2, "{codes:?}");
    web.set("op_ms", "0");
    web.set("busy_ms", "60000");
    web.post("/rb/delete", &[("fid", &b)]).await;
    assert_eq!(
        web.post("/rb/delete", &[("fid", &c)]).await["errno"],
        990_009
    );
    web.world.clock_advance(61_000);
    web.set("busy_ms", "0");
    let gone = web.post("/rb/delete", &[("fid", &dir)]).await;
    assert_eq!(gone["state"], true, "{gone}");
}

#[tokio::test]
async fn trash() {
    let web = Web::new();
    let ids: Vec<String> = (0..4).map(|n| web.seed(&format!("/{n}"), n, 5).0).collect();
    let dir = web.mkdir("0", "dir").await;
    let form: Vec<(String, &str)> = ids
        .iter()
        .chain([&dir])
        .enumerate()
        .map(|(at, id)| (format!("fid[{at}]"), id.as_str()))
        .collect();
    let mut form: Vec<(&str, &str)> = form.iter().map(|(key, id)| (key.as_str(), *id)).collect();
    form.push(("pid", "0"));
    form.push(("ignore_warn", "1"));
    assert_eq!(web.post("/rb/delete", &form).await["state"], true);
    assert!(web.names("0").await.is_empty());
    assert_eq!(web.get("/rb", &[("limit", "2")]).await["errno"], 990_002);
    let query = [("aid", "7"), ("cid", "0"), ("limit", "2"), ("offset", "0")];
    let list = web.get("/rb", &query).await;
    assert_eq!((&list["count"], entries(&list).len()), (&json!("5"), 2));
    let all = web.get("/rb", &[("aid", "7"), ("cid", "0")]).await;
    let folder = entries(&all)
        .iter()
        .find(|entry| entry["id"] == dir.as_str())
        .unwrap();
    assert_eq!(
        (text(folder, "type"), text(folder, "parent_name")),
        ("2", "根目录")
    );
    let back = web
        .post("/rb/revert", &[("rid[0]", &ids[0]), ("rid[1]", "77")])
        .await;
    assert_eq!(
        (&back["state"], &back["data"]["77"]["state"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(web.names("0").await, ["0"]);
    assert_eq!(
        web.post("/rb/revert", &[("rid[0]", "77")]).await["errno"],
        231_011
    );

    web.set("safety_key", "123456");
    let wrong = [("rid[0]", ids[1].as_str()), ("password", "000000")];
    assert_eq!(web.post("/rb/clean", &wrong).await["errno"], 320_001);
    let right = [("rid[0]", ids[1].as_str()), ("password", "123456")];
    assert_eq!(web.post("/rb/clean", &right).await["state"], true);
    web.set("safety_key", "");
    assert_eq!(
        web.post("/rb/clean", &[("password", "000000")]).await["errno"],
        990_002
    );
    let some = [("tid", ids[2].as_str()), ("password", "000000")];
    assert_eq!(web.post("/rb/secret_del", &some).await["state"], true);
    let left = web.get("/rb", &[("aid", "7")]).await;
    assert_eq!(left["count"], "2");
    assert_eq!(
        web.post("/rb/secret_del", &[("password", "000000")]).await["state"],
        true
    );
    assert_eq!(web.get("/rb", &[("aid", "7")]).await["count"], "0");
}
