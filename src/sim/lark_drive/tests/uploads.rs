//! Uploads and versions (section 7).

use super::*;

/// A field changed, or taken away.
fn with(
    fields: &[(&'static str, String)],
    name: &str,
    value: Option<&str>,
) -> Vec<(&'static str, String)> {
    let all = fields
        .iter()
        .filter(|(key, _)| *key != name || value.is_some());
    all.map(|(key, old)| match *key == name {
        true => (*key, value.unwrap().to_owned()),
        false => (*key, old.clone()),
    })
    .collect()
}

#[tokio::test]
async fn one_call_checks_everything() {
    let client = Client::new().await;
    let bytes = b"hello world";
    let good = client.fields("a.txt", bytes);
    for (name, value, code) in [
        ("file_name", None, 99_992_402),
        ("file_name", Some(""), 99_992_402),
        ("file_name", Some("a/b"), 1_061_109),
        ("parent_type", Some("wiki"), 1_061_002),
        ("parent_node", None, 99_992_402),
        ("parent_node", Some(""), 99_992_402),
        ("parent_node", Some("none"), 1_061_044),
        ("size", None, 99_992_402),
        ("size", Some("x"), 1_061_002),
        ("size", Some("0"), 1_061_002),
        ("size", Some("10"), 1_062_009),
        ("size", Some("20971521"), 1_061_043),
        ("checksum", Some("436929628"), 1_062_008),
        ("checksum", Some("1a0b045d"), 1_062_008),
        ("checksum", Some(""), 1_062_008),
    ] {
        let got = client
            .form("upload_all", &with(&good, name, value), bytes)
            .await;
        assert_eq!(got.code(), code, "{name} {value:?}: {}", got.body);
    }
    let long = "\u{4e2d}".repeat(251);
    let long = with(&good, "file_name", Some(&long));
    let got = client.form("upload_all", &long, bytes).await;
    assert_eq!(got.code(), 1_061_002);
    let empty = client.fields("empty", b"");
    assert_eq!(
        client.form("upload_all", &empty, b"").await.code(),
        1_061_002
    );
    let mut twice = good.clone();
    twice.push(("size", "11".to_owned()));
    assert_eq!(
        client.form("upload_all", &twice, bytes).await.code(),
        99_992_402
    );
    let json = client.post("drive/v1/files/upload_all", json!({})).await;
    assert_eq!(json.code(), 99_992_402);
    assert!(client.paths().is_empty());
    // The checksum is optional, and the order of fields is free.
    let mut plain = with(&good, "checksum", None);
    plain.reverse();
    let name = "\u{4e2d}".repeat(250);
    let plain = with(&plain, "file_name", Some(&name));
    let data = client.form("upload_all", &plain, bytes).await.data();
    assert_eq!(data["version"], Value::Null);
    let path = format!("/{name}");
    assert_eq!(&client.world.read("lark", &path, 0, 99).unwrap()[..], bytes);
    client.world.reset("lark").unwrap();
    client.upload("b", bytes).await;
    assert_eq!(client.stat().bytes_up, bytes.len() as u64);
    client.fault("upload_all", FaultKind::CommitFail, "1061045");
    assert_eq!(
        client.form("upload_all", &good, bytes).await.code(),
        1_061_045
    );
}

#[tokio::test]
async fn one_call_takes_20_mib() {
    let client = Client::new().await;
    let most = vec![7_u8; 20_971_520];
    client.upload("most", &most).await;
    let more = vec![7_u8; 20_971_521];
    let fields = client.fields("more", &more);
    let got = client.form("upload_all", &fields, &more).await;
    assert_eq!(got.code(), 1_061_043);
    assert_eq!(client.paths(), ["/most"]);
}

#[tokio::test]
async fn overwriting_keeps_the_token_and_adds_a_version() {
    let client = Client::new().await;
    let token = client.upload("a", b"one").await;
    let over = |name: &str, token: &str, bytes: &[u8]| {
        let mut fields = client.fields(name, bytes);
        fields.push(("file_token", token.to_owned()));
        fields
    };
    let got = client
        .form("upload_all", &over("a", &token, b"three"), b"three")
        .await;
    let data = got.data();
    assert_eq!(data["file_token"], token.as_str());
    assert!(data["version"].as_str().unwrap().len() > 10);
    assert_eq!(client.paths(), ["/a"]);
    assert_eq!(
        &client.world.read("lark", "/a", 0, 9).unwrap()[..],
        b"three"
    );
    client.set("version_field", "data_version");
    let got = client
        .form("upload_all", &over("a", &token, b"2"), b"2")
        .await
        .data();
    assert_eq!(got["version"], Value::Null);
    assert!(got["data_version"].is_string());
    client.set("version_field", "absent");
    let got = client
        .form("upload_all", &over("b", &token, b"22"), b"22")
        .await
        .data();
    assert_eq!(got, json!({ "file_token": token }));
    assert_eq!(client.paths(), ["/b"]);
    let folder = client.mkdir("/d");
    for (wrong, code) in [("none", 1_061_003), (folder.as_str(), 1_061_003)] {
        let got = client
            .form("upload_all", &over("a", wrong, b"2"), b"2")
            .await;
        assert_eq!(got.code(), code);
    }

    let path = format!("drive/v1/files/{token}/history");
    let all = client.get(&path).await.data();
    let items = all["items"].as_array().unwrap();
    let sizes: Vec<u64> = items
        .iter()
        .map(|item| item["size"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes, [2, 1, 5, 3]);
    assert_eq!(all["has_more"], false);
    let first = client.get(&format!("{path}?page_size=3")).await.data();
    assert_eq!(first["has_more"], true);
    let cursor = first["items"][2]["edit_time"].as_str().unwrap();
    let next = client
        .get(&format!("{path}?page_size=3&last_edit_time={cursor}"))
        .await
        .data();
    assert_eq!(
        (
            next["items"].as_array().unwrap().len(),
            &next["items"][0]["size"]
        ),
        (1, &json!(3))
    );
    assert_eq!(
        client.get(&format!("{path}?page_size=201")).await.code(),
        1_064_001
    );
    // An old version can be read, and comes back.
    let old = items[2]["version"].as_str().unwrap();
    let read = format!("drive/v1/files/{token}/download?version={old}");
    let bytes = client
        .ask(Method::GET, &read)
        .send()
        .await
        .unwrap()
        .bytes()
        .await;
    assert_eq!(&bytes.unwrap()[..], b"three");
    client
        .good(&format!("{token}/revert"), json!({ "version": old }))
        .await;
    assert_eq!(
        &client.world.read("lark", "/b", 0, 9).unwrap()[..],
        b"three"
    );
    client.rename(&token, "file", "c").await.data();
    client
        .good(&format!("{token}/version_del"), json!({ "version": old }))
        .await;
    assert_eq!(client.get(&read).await.code(), 1_061_003);
    client.set("history_size", "text");
    let all = client.get(&path).await.data();
    let items = all["items"].as_array().unwrap();
    let kinds: Vec<i64> = items
        .iter()
        .map(|item| item["type"].as_i64().unwrap())
        .collect();
    assert_eq!(kinds, [3, 2, 4, 1, 1, 1, 1]);
    assert_eq!(
        (&items[1]["name"], &items[2]["size"]),
        (&json!("c"), &json!("5"))
    );
    let newest = json!({ "version": items[1]["version"] });
    client
        .bad(&format!("{token}/version_del"), newest, 1_061_002)
        .await;
    let none = format!("drive/v1/files/{folder}/history");
    assert_eq!(client.get(&none).await.code(), 1_061_003);
}

#[tokio::test]
async fn three_steps() {
    let client = Client::new().await;
    client.set("part_size", "4096");
    let bytes: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
    let plan = client
        .good("upload_prepare", client.prepare("big", 10_000))
        .await;
    assert_eq!(
        (&plan["block_size"], &plan["block_num"]),
        (&json!(4096), &json!(3))
    );
    let id = &plan["upload_id"];
    let finish = |count: u64| json!({ "upload_id": id, "block_num": count });
    let blocks: Vec<&[u8]> = bytes.chunks(4096).collect();
    client.part(id, 2, blocks[2]).await.data();
    client.part(id, 0, blocks[0]).await.data();
    // Again is harmless.
    client.part(id, 0, blocks[0]).await.data();
    client.bad("upload_finish", finish(3), 1_062_010).await;
    client.bad("upload_finish", finish(2), 1_062_011).await;
    assert_eq!(client.part(id, 3, b"x").await.code(), 1_062_011);
    assert_eq!(client.part(id, 1, &blocks[1][1..]).await.code(), 1_061_002);
    let fields = |size: &str, sum: String| {
        [
            ("upload_id", id.as_str().unwrap().to_owned()),
            ("seq", "1".to_owned()),
            ("size", size.to_owned()),
            ("checksum", sum),
        ]
    };
    let wrong = fields("4096", sum(blocks[0]));
    assert_eq!(
        client.form("upload_part", &wrong, blocks[1]).await.code(),
        1_062_008
    );
    let short = fields("4096", sum(&blocks[1][1..]));
    let got = client.form("upload_part", &short, &blocks[1][1..]).await;
    assert_eq!(got.code(), 1_062_009);
    let other = Client::of(&client.world, "lark-2").await;
    assert_eq!(other.part(id, 1, blocks[1]).await.code(), 1_062_007);
    assert_eq!(client.world.tree("lark").unwrap()["uploads"][0]["parts"], 2);
    client.part(id, 1, blocks[1]).await.data();
    client.fault("upload_finish", FaultKind::CommitFail, "");
    client.bad("upload_finish", finish(3), 1_061_001).await;
    let done = client.good("upload_finish", finish(3)).await;
    assert_eq!(done.as_object().unwrap().len(), 1);
    assert_eq!(
        &client.world.read("lark", "/big", 0, 99_999).unwrap()[..],
        &bytes[..]
    );
    client.bad("upload_finish", finish(3), 1_061_021).await;
    assert_eq!(client.part(id, 0, blocks[0]).await.code(), 1_061_021);
    assert_eq!(client.world.tree("lark").unwrap()["uploads"], json!([]));

    // Over an old file.
    let token = done["file_token"].as_str().unwrap();
    let mut ask = client.prepare("big", 3);
    ask["file_token"] = json!(token);
    client.set("finish_fields", "on");
    let plan = client.good("upload_prepare", ask).await;
    client.part(&plan["upload_id"], 0, b"new").await.data();
    let body = json!({ "upload_id": plan["upload_id"], "block_num": 1 });
    let done = client.good("upload_finish", body).await;
    assert_eq!(done["file_token"], token);
    assert!(done["version"].is_string() && done["url"].is_string());
    assert_eq!(client.paths(), ["/big"]);
    assert_eq!(
        &client.world.read("lark", "/big", 0, 9).unwrap()[..],
        b"new"
    );
}

#[tokio::test]
async fn what_prepare_refuses_and_what_ends() {
    let client = Client::new().await;
    let mut text = client.prepare("a", 1);
    text["size"] = json!("1");
    client.bad("upload_prepare", text, 99_992_402).await;
    let plan = client
        .good("upload_prepare", client.prepare("empty", 0))
        .await;
    assert_eq!(
        (&plan["block_num"], &plan["block_size"]),
        (&json!(0), &json!(4_194_304))
    );
    let finish = json!({ "upload_id": plan["upload_id"], "block_num": 0 });
    client.bad("upload_finish", finish, 1_061_002).await;
    client.set("max_file_size", "100");
    client
        .bad("upload_prepare", client.prepare("a", 101), 1_061_043)
        .await;
    client.set("total_size", "50");
    client
        .bad("upload_prepare", client.prepare("a", 51), 1_061_061)
        .await;
    client.set("tenant_size", "40");
    client
        .bad("upload_prepare", client.prepare("a", 41), 1_061_101)
        .await;
    let plan = client.good("upload_prepare", client.prepare("a", 3)).await;
    client.part(&plan["upload_id"], 0, b"abc").await.data();
    client.world.clock_advance(86_400_001);
    let client = Client::of(&client.world, "lark").await;
    assert_eq!(
        client.part(&plan["upload_id"], 0, b"abc").await.code(),
        1_061_021
    );
    let folder = client.mkdir("/d");
    let mut ask = client.prepare("a", 3);
    ask["parent_node"] = json!(folder);
    let plan = client.good("upload_prepare", ask).await;
    client.part(&plan["upload_id"], 0, b"abc").await.data();
    client.set("task", "sync");
    client.delete(&folder, "folder", "").await.data();
    let finish = json!({ "upload_id": plan["upload_id"], "block_num": 1 });
    client.bad("upload_finish", finish, 1_061_041).await;
    let plan = client.good("upload_prepare", client.prepare("a", 3)).await;
    client.fault("upload_part", FaultKind::ExpireLink, "");
    for _ in 0..2 {
        assert_eq!(
            client.part(&plan["upload_id"], 0, b"abc").await.code(),
            1_061_021
        );
    }
}

#[tokio::test]
async fn uploads_do_not_overlap() {
    let client = Client::new().await;
    client.fault("upload_all", FaultKind::Slow, "200");
    let bytes = [1_u8; 100];
    let fields = client.fields("slow", &bytes);
    let slow = client.form("upload_all", &fields, &bytes);
    let body = client.prepare("b", 1);
    let meanwhile = async {
        while client.stat().count("upload_all") == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let busy = client
            .post("drive/v1/files/upload_prepare", body)
            .await
            .code();
        // Other calls go on.
        let other = client.post("drive/v1/files/create_folder", json!({ "name": "d" }));
        (busy, other.await.code())
    };
    let (slow, meanwhile) = tokio::join!(slow, meanwhile);
    slow.data();
    assert_eq!(meanwhile, (1_061_045, 0));
    client.good("upload_prepare", client.prepare("b", 1)).await;
    client.set("concurrent", "on");
    client.fault("upload_all", FaultKind::Slow, "200");
    let (one, two) = tokio::join!(
        client.form("upload_all", &fields, &bytes),
        client.post("drive/v1/files/upload_prepare", client.prepare("b", 1)),
    );
    assert_eq!((one.code(), two.code()), (0, 0));
}

#[tokio::test]
async fn broken_and_spoilt_uploads() {
    let client = Client::new().await;
    let bytes = vec![3_u8; 50_000];
    let fields = client.fields("a", &bytes);
    client.fault("upload_all", FaultKind::Cut, "20000");
    let form = fields.iter().fold(Form::new(), |form, (name, value)| {
        form.text(*name, value.clone())
    });
    let form = form.part("file", Part::bytes(bytes.clone()));
    let ask = client.ask(Method::POST, "drive/v1/files/upload_all");
    assert!(ask.multipart(form).send().await.is_err());
    let up = client.stat().bytes_up;
    assert!((10_000..20_000).contains(&up), "{up}");
    assert!(client.paths().is_empty());
    client.fault("upload_all", FaultKind::Corrupt, "");
    client.upload("a", &bytes).await;
    assert_ne!(
        &client.world.read("lark", "/a", 0, 50_000).unwrap()[..],
        &bytes[..]
    );
    client.fault("upload_all", FaultKind::DropAnswer, "");
    let form = Form::new().part("file", Part::bytes(b"1".to_vec()));
    let form = client
        .fields("b", b"1")
        .into_iter()
        .fold(form, |form, (name, value)| form.text(name, value));
    let ask = client.ask(Method::POST, "drive/v1/files/upload_all");
    assert!(ask.multipart(form).send().await.is_err());
    assert_eq!(client.paths(), ["/a", "/b"]);
}
