//! Fast upload, the store, downloads.

use super::*;

#[tokio::test]
async fn the_challenge_guards_known_contents() {
    let client = Client::new("115");
    let (seeded, blob) = client.seed("/a.bin", 1, (1 << 20) + 1);
    let asked = client.init("b.bin", &blob, &[]).await;
    let data = &asked["data"];
    assert_eq!((&data["status"], &data["code"]), (&json!(7), &json!(701)));
    assert_eq!((&data["callback"], text(data, "object")), (&json!([]), ""));
    let (start, end) = text(data, "sign_check").split_once('-').unwrap();
    let (start, end): (u64, u64) = (start.parse().unwrap(), end.parse().unwrap());
    assert!(end - start == 127 && end < blob.size());

    // Another content's bytes, an answer twice, lower case, a late answer: refused.
    let (key, value) = answer_to(&asked, &blob);
    let (_, other) = answer_to(&asked, &Blob::synthetic(2, blob.size()));
    for bad in [other.as_str(), &value] {
        let more = [("sign_key", key.as_str()), ("sign_val", bad)];
        let refused = client.init("b.bin", &blob, &more).await;
        assert_eq!(refused["data"]["status"], 6);
        assert_eq!(
            (
                &refused["data"]["code"],
                text(&refused["data"], "sign_check")
            ),
            (&json!(700), "")
        );
    }
    let asked = client.init("b.bin", &blob, &[]).await;
    let (key, value) = answer_to(&asked, &blob);
    let more = [
        ("sign_key", key.as_str()),
        ("sign_val", &value.to_lowercase()),
    ];
    assert_eq!(
        client.init("b.bin", &blob, &more).await["data"]["status"],
        6
    );
    let asked = client.init("b.bin", &blob, &[]).await;
    let (key, value) = answer_to(&asked, &blob);
    client.world.clock_advance(61_000);
    let more = [("sign_key", key.as_str()), ("sign_val", value.as_str())];
    assert_eq!(
        client.init("b.bin", &blob, &more).await["data"]["status"],
        6
    );
    client.set("wrong_proof", "702");
    let again = client
        .init("b.bin", &blob, &[("sign_key", "X"), ("sign_val", "Y")])
        .await;
    assert_eq!(
        (&again["data"]["status"], &again["data"]["code"]),
        (&json!(8), &json!(702))
    );
    let (key, value) = answer_to(&again, &blob);
    let more = [("sign_key", key.as_str()), ("sign_val", value.as_str())];
    let hit = client.init("b.bin", &blob, &more).await;
    assert_eq!(hit["data"]["status"], 2);
    let id = text(&hit["data"], "file_id").to_owned();
    assert_eq!(hit["data"]["pick_code"], again["data"]["pick_code"]);
    let list = client.list("0").await;
    let entry = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["fn"] == "b.bin")
        .unwrap();
    assert_eq!(
        (text(entry, "fid"), &entry["pc"]),
        (id.as_str(), &hit["data"]["pick_code"])
    );

    // The same content and name in the folder is the entry that is there; another name is
    // a new one; another content of the name a second.
    let same = client.proven("a.bin", &blob).await;
    assert_eq!(text(&same["data"], "file_id"), seeded);
    let small = Blob::synthetic(9, 10);
    let source = SeedSource::Synthetic { seed: 9 };
    client.world.seed_known_only("115", 10, &source).unwrap();
    let unchallenged = client.init("a.bin", &small, &[]).await;
    assert_eq!(unchallenged["data"]["status"], 2);
    assert_eq!(client.names("0").await, ["a.bin", "a.bin", "b.bin"]);
    let stat = client.world.stat("115").unwrap();
    assert_eq!(
        (stat.rapid_hits, stat.rapid_misses, stat.challenges),
        (3, 0, 5)
    );
}

#[tokio::test]
async fn init_checks_its_fields_and_limits() {
    let client = Client::new("115-2");
    let blob = Blob::synthetic(1, 5);
    for (key, value, code) in [
        ("file_size", "x", 990_002),
        ("fileid", "12", 990_002),
        ("target", "U_2_0", 990_002),
        ("target", "U_1_77", 20_009),
        ("file_name", "a/b", 20_003),
        ("file_size", "5368709121", 402),
    ] {
        let refused = client.init("a", &blob, &[(key, value)]).await;
        assert_eq!(refused["code"], code, "{key} {value}");
    }
    client.set("vip", "1");
    let large = client
        .init("a", &blob, &[("file_size", "5368709121")])
        .await;
    assert_eq!(large["data"]["status"], 1);
    client.set("total_size", "4");
    assert_eq!(client.init("a", &blob, &[]).await["code"], 91_005);
    let empty = client.init("none", &Blob::bytes(Vec::new()), &[]).await;
    assert_eq!(empty["data"]["status"], 2, "nothing is always known");

    let client = Client::new("115");
    client.set("challenge_unknown", "1");
    let unknown = Blob::synthetic(4, 2 << 20);
    let asked = client.init("u", &unknown, &[]).await;
    assert_eq!(asked["data"]["status"], 7);
    let (key, value) = answer_to(&asked, &unknown);
    let more = [("sign_key", key.as_str()), ("sign_val", value.as_str())];
    assert_eq!(client.init("u", &unknown, &more).await["data"]["status"], 1);
    client.set("verify_preid", "1");
    let (_, known) = client.seed("/k", 5, 100);
    let preid = client
        .init("k2", &known, &[("preid", &"0".repeat(40))])
        .await;
    assert_eq!(preid["code"], 990_002);
    let preid = client
        .init("k2", &known, &[("preid", &upper_sha1(&known))])
        .await;
    assert_eq!(preid["data"]["status"], 2);
}

#[tokio::test]
async fn an_upload_in_parts_becomes_a_file() {
    let client = Client::new("115");
    let blob = Blob::synthetic(7, 250_000);
    let bytes = blob.read(0, u64::MAX);
    let parts = [&bytes[..120_000], &bytes[120_000..]];
    let miss = client.init("up.bin", &blob, &[]).await;
    assert_eq!(text(&miss["data"], "bucket"), "fhnfile");
    let tree = client.world.tree("115").unwrap();
    assert_eq!(
        (&tree["uploads"][0]["kind"], &tree["uploads"][0]["name"]),
        (&json!("task"), &json!("up.bin"))
    );
    client.set("show_pending", "1");
    assert_eq!(client.list("0").await["data"][0]["fta"], "0");
    client.set("show_pending", "0");
    assert_eq!(client.list("0").await["count"], 0);

    // Not sequential: the store knows no SHA-1, 115 refuses.
    let (status, answer) = client.stream(&miss, &parts, false).await;
    let refused: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &refused["state"]), (200, &json!(false)));
    // A wrong byte: refused as well.
    let mut wrong = bytes.to_vec();
    wrong[5] ^= 1;
    let (_, answer) = client.stream(&miss, &[&wrong], true).await;
    let refused: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(refused["code"], 990_003);
    client.fault("callback", FaultKind::CommitFail, "");
    let (_, answer) = client.stream(&miss, &parts, true).await;
    assert!(answer.contains("\"state\":false"), "{answer}");
    client.fault("oss_complete", FaultKind::CommitFail, "");
    let (status, answer) = client.stream(&miss, &parts, true).await;
    assert!(
        status == 203 && answer.contains("CallbackFailed"),
        "{answer}"
    );
    assert_eq!(client.list("0").await["count"], 0);

    // A fresh callback by resume, then it goes through.
    let data = &miss["data"];
    let size = blob.size().to_string();
    let form = [
        ("pick_code", text(data, "pick_code")),
        ("target", "U_1_0"),
        ("fileid", "whatever"),
        ("file_size", size.as_str()),
    ];
    let resumed = client.post("/open/upload/resume", &form).await;
    assert_eq!(resumed["data"]["object"], data["object"]);
    assert_eq!(resumed["data"]["callback"], data["callback"]);
    let (status, answer) = client.stream(&miss, &parts, true).await;
    let made: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (status, &made["state"], &made["code"]),
        (200, &json!(true), &json!(0))
    );
    assert_eq!(text(&made["data"], "sha1"), upper_sha1(&blob));
    assert_ne!(
        made["data"]["pick_code"], data["pick_code"],
        "the task's code is not the file's"
    );
    let id = text(&made["data"], "file_id");
    let stat = client
        .get("/open/folder/get_info", &[("file_id", id)])
        .await;
    assert_eq!(stat["data"]["pick_code"], made["data"]["pick_code"]);
    assert_eq!(
        client.world.read("115", "/up.bin", 0, u64::MAX).unwrap(),
        bytes
    );
    let again = client.post("/open/upload/resume", &form).await;
    assert_eq!(again["code"], 50_003);
    let tree = client.world.tree("115").unwrap();
    let left = tree["uploads"].as_array().unwrap();
    assert!(left.iter().all(|up| up["kind"] == "oss"), "{left:?}");
    // The provider knows it now, for the other account too.
    let other = Client::of(client.world.clone(), "115-2");
    assert_eq!(other.init("x", &blob, &[]).await["data"]["status"], 2);
}

#[tokio::test]
async fn a_single_put_and_the_trap_without_callback() {
    let client = Client::new("115");
    let blob = Blob::bytes("hello, store");
    let miss = client.init("h.txt", &blob, &[]).await;
    let data = &miss["data"];
    let object = text(data, "object");
    let (status, answer, _) = client.oss("PUT", object, "", &[], "hello, store").await;
    assert_eq!((status, answer.as_str()), (200, ""));
    assert_eq!(client.list("0").await["count"], 0, "stored, but no file");
    let (_, answer, _) = client
        .oss("PUT", object, "", &callbacks(data), "hello, store")
        .await;
    let made: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(made["data"]["file_name"], "h.txt");

    // A callback of somebody else's task.
    let miss = client.init("i.txt", &Blob::bytes("other"), &[]).await;
    let other = Client::of(client.world.clone(), "115-2");
    let object = text(&miss["data"], "object");
    let (_, answer, _) = other
        .oss("PUT", object, "", &callbacks(&miss["data"]), "other")
        .await;
    assert!(answer.contains("\"state\":false"), "{answer}");
    client.set("callback_array", "1");
    let miss = client.init("j.txt", &Blob::bytes("third"), &[]).await;
    assert!(miss["data"]["callback"][0]["callback_var"].is_string());
}

#[tokio::test]
async fn links_are_bound() {
    let client = Client::new("115");
    let (id, blob) = client.seed("/docs/a.bin", 1, 300_000);
    let (_, _) = client.seed("/empty", 1, 0);
    let docs = client.world.mkdir("115", "/docs").unwrap();
    let entry = client.list(&docs).await["data"][0].clone();
    let code = text(&entry, "pc").to_owned();
    let ask = |code: String| {
        let client = &client;
        async move {
            client
                .post("/open/ufile/downurl", &[("pick_code", code.as_str())])
                .await
        }
    };
    let link = ask(code.clone()).await;
    let file = &link["data"][&id];
    assert_eq!(
        (&file["file_size"], text(file, "sha1")),
        (&json!(300_000), upper_sha1(&blob).as_str())
    );
    let url = text(&file["url"], "url").to_owned();
    assert!(url.contains("&f=1&") && url.contains("&c=2&"), "{url}");

    let get = |url: String, agent: &'static str, range: &'static str| {
        let http = &client.http;
        async move {
            let ask = http
                .get(url)
                .header("user-agent", agent)
                .header("range", range);
            let answer = ask.send().await.unwrap();
            (answer.status().as_u16(), answer.bytes().await.unwrap())
        }
    };
    let (status, part) = get(url.clone(), "my-fs/1.0", "bytes=1000-1999").await;
    assert_eq!((status, part), (206, blob.read(1000, 1000)));
    assert_eq!(get(url.clone(), "other/1.0", "bytes=0-9").await.0, 403);
    let forged = url.replace("&c=2&", "&c=0&");
    assert_eq!(get(forged, "my-fs/1.0", "bytes=0-9").await.0, 403);
    client.world.clock_advance(7_201_000);
    assert_eq!(get(url.clone(), "my-fs/1.0", "bytes=0-9").await.0, 403);
    client.world.clock_advance(-7_201_000);
    assert_eq!(get(url.clone(), "my-fs/1.0", "bytes=0-9").await.0, 206);
    // A third connection to the file is refused while two are open.
    client
        .world
        .fault("115", Fault::always("download", FaultKind::Slow, "1000"))
        .unwrap();
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(client.http.get(&url).send().await.unwrap());
    }
    assert_eq!(open[1].status(), 200);
    assert_eq!(get(url.clone(), "my-fs/1.0", "bytes=0-9").await.0, 403);
    drop(open);
    client.world.reset("115").unwrap();
    client.fault("download", FaultKind::ExpireLink, "");
    for _ in 0..2 {
        assert_eq!(get(url.clone(), "my-fs/1.0", "bytes=0-9").await.0, 403);
    }

    let list = client.list("0").await;
    let of = |name: &str| {
        let all = list["data"].as_array().unwrap();
        let found = all.iter().find(|e| e["fn"] == name).unwrap();
        (text(found, "fid").to_owned(), text(found, "pc").to_owned())
    };
    let (dir, dir_code) = of("docs");
    let (empty, empty_code) = of("empty");
    let both = ask(format!("{dir_code},{empty_code}")).await;
    assert_eq!(both["data"][&dir]["url"], false);
    assert_eq!(both["data"][&empty]["url"], json!([]));
    assert_eq!(ask(String::new()).await["code"], 50_001);
    assert_eq!(ask("a1234567".to_owned()).await["code"], 50_003);
    client
        .post("/open/ufile/delete", &[("file_ids", &dir)])
        .await;
    assert_eq!(ask(code).await["code"], 70_005);
}
