//! Listings and metadata (section 4).

use super::*;

fn file_names(data: &Value) -> Vec<&str> {
    let files = data["files"].as_array().unwrap().iter();
    files.map(|file| file["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_are_bound_to_their_folder() {
    let client = Client::new().await;
    for n in 0..7 {
        client.seed(&format!("/docs/f{n}"), b"x");
        client.set(
            &format!("touch:/docs/f{n}"),
            &(1_700_000_000_000_i64 + n).to_string(),
        );
    }
    let docs = client.mkdir("/docs");
    let ask = format!("drive/v1/files?folder_token={docs}&direction=ASC");
    let first = client.get(&format!("{ask}&page_size=3")).await.data();
    assert_eq!(file_names(&first), ["f0", "f1", "f2"]);
    assert_eq!(first["has_more"], true);
    let token = first["next_page_token"].as_str().unwrap();
    let second = format!("{ask}&page_size=3&page_token={token}");
    let second = client.get(&second).await.data();
    assert_eq!(file_names(&second), ["f3", "f4", "f5"]);
    let token = second["next_page_token"].as_str().unwrap();
    let rest = format!("{ask}&page_size=200&page_token={token}");
    let rest = client.get(&rest).await.data();
    assert_eq!(file_names(&rest), ["f6"]);
    assert_eq!(
        (&rest["has_more"], &rest["next_page_token"]),
        (&json!(false), &Value::Null)
    );
    let newest = client.names(&format!("folder_token={docs}")).await;
    assert_eq!(newest.first().map(String::as_str), Some("f6"));
    let root = format!(
        "drive/v1/files?folder_token={}&page_token={token}",
        client.root
    );
    assert_eq!(client.get(&root).await.code(), 1_061_002);
    for (query, code) in [
        ("page_size=201", 1_064_001),
        ("page_size=0", 1_064_001),
        ("page_size=x", 1_064_001),
        ("page_token=junk", 1_061_002),
        ("order_by=Name", 1_061_002),
        ("direction=UP", 1_061_002),
        ("user_id_type=x", 99_992_402),
    ] {
        let got = client
            .get(&format!("{ask}&{query}").replace("&direction=ASC&direction", "&direction"))
            .await;
        assert_eq!(got.code(), code, "{query}");
    }
    // The root without its token comes as a whole.
    for n in 0..5 {
        client.seed(&format!("/r{n}"), b"x");
    }
    let whole = client.get("drive/v1/files?page_size=2").await.data();
    assert_eq!(
        (whole["files"].as_array().unwrap().len(), &whole["has_more"]),
        (6, &json!(false))
    );
    let paged = format!("drive/v1/files?folder_token={}&page_size=2", client.root);
    assert_eq!(client.get(&paged).await.data()["has_more"], true);
    client.fault("list", FaultKind::TruncatedPage, "1");
    let cut = client.get(&ask).await.data();
    assert_eq!(
        (file_names(&cut), &cut["has_more"]),
        (vec!["f0"], &json!(true))
    );
    client.fault("list", FaultKind::NullList, "");
    assert_eq!(client.get(&ask).await.data()["files"], Value::Null);
}

#[tokio::test]
async fn entries_have_no_size_and_their_times() {
    let client = Client::new().await;
    client.seed("/d/a.bin", b"12345");
    client.set("add:/d/report", "docx");
    client.set("add:/d/a%2Fb", "sheet");
    client.set("add:/d/link", "shortcut:/d/report");
    client.set("touch:/d/a.bin", "1700000000123");
    let folder = client.mkdir("/d");
    let ask = format!("drive/v1/files?folder_token={folder}");
    let find = |data: &Value, name: &str| {
        let files = data["files"].as_array().unwrap().iter();
        files
            .clone()
            .find(|file| file["name"] == name)
            .cloned()
            .unwrap()
    };
    let data = client.get(&ask).await.data();
    let file = find(&data, "a.bin");
    assert_eq!(
        (&file["type"], &file["size"]),
        (&json!("file"), &Value::Null)
    );
    assert_eq!(file["modified_time"], "1700000000");
    assert_eq!(file["parent_token"], folder.as_str());
    assert!(file["owner_id"].as_str().unwrap().starts_with("ou_"));
    let doc = find(&data, "report");
    assert_eq!(doc["type"], "docx");
    assert_eq!(find(&data, "a/b")["type"], "sheet");
    let link = find(&data, "link");
    assert_eq!(
        link["shortcut_info"],
        json!({ "target_type": "docx", "target_token": doc["token"] })
    );
    client.set("times", "milliseconds");
    client.set("list_sizes", "text");
    let data = client.get(&ask).await.data();
    let file = find(&data, "a.bin");
    assert_eq!(
        (&file["modified_time"], &file["size"]),
        (&json!("1700000000123"), &json!("5"))
    );
    assert_eq!(find(&data, "report")["size"], Value::Null);
    client.set("times", "microseconds");
    client.set("list_sizes", "number");
    let file = find(&client.get(&ask).await.data(), "a.bin");
    assert_eq!(
        (&file["modified_time"], &file["size"]),
        (&json!("1700000000123000"), &json!(5))
    );
    let meta = format!("drive/explorer/v2/folder/{folder}/meta");
    let meta = client.get(&meta).await.data();
    assert_eq!(
        (&meta["name"], &meta["token"]),
        (&json!("d"), &json!(folder))
    );
    let token = file["token"].as_str().unwrap();
    let meta = format!("drive/explorer/v2/folder/{token}/meta");
    assert_eq!(client.get(&meta).await.code(), 1_061_003);
    let listing = format!("drive/v1/files?folder_token={token}");
    assert_eq!(client.get(&listing).await.code(), 1_061_003);
    assert!(client.world.set("lark", "add:/d/x", "wiki").is_err());
    assert!(
        client
            .world
            .set("lark", "add:/d/x", "shortcut:/nowhere")
            .is_err()
    );
}

#[tokio::test]
async fn new_entries_show_late() {
    let client = Client::new().await;
    client.set("list_lag_ms", "600000");
    client.upload("new.txt", b"1").await;
    assert!(client.names("").await.is_empty());
    client.world.clock_advance(600_001);
    assert_eq!(client.names("").await, ["new.txt"]);
    client.set("list_lag_ms", "0");
    client.upload("newer.txt", b"1").await;
    client.fault("list", FaultKind::Lag, "300000");
    assert_eq!(client.names("").await, ["new.txt"]);
    assert_eq!(client.names("").await.len(), 2);
}

#[tokio::test]
async fn metadata_by_token() {
    let client = Client::new().await;
    let file = client.seed("/a.bin", b"12345");
    let folder = client.mkdir("/d");
    let gone = client.seed("/gone", b"1");
    client.delete(&gone, "file", "").await.data();
    let other = Client::of(&client.world, "lark-2").await;
    let foreign = other.seed("/foreign", b"1");
    let doc = |token: &str, kind: &str| json!({ "doc_token": token, "doc_type": kind });
    let docs = vec![
        doc(&file, "file"),
        doc(&folder, "folder"),
        doc(&file, "docx"),
        doc("none", "file"),
        doc(&gone, "file"),
        doc(&foreign, "file"),
        doc(&file, "paper"),
    ];
    let ask = json!({ "request_docs": docs, "with_url": true });
    let call = "drive/v1/metas/batch_query";
    let data = client.post(call, ask).await.data();
    let metas = data["metas"].as_array().unwrap();
    assert_eq!(metas.len(), 2);
    assert_eq!(
        (&metas[0]["title"], &metas[0]["doc_type"]),
        (&json!("a.bin"), &json!("file"))
    );
    assert_eq!(metas[0]["size"], Value::Null);
    assert!(metas[1]["url"].as_str().unwrap().contains("/drive/folder/"));
    let failed = data["failed_list"].as_array().unwrap();
    let codes: Vec<i64> = failed
        .iter()
        .map(|one| one["code"].as_i64().unwrap())
        .collect();
    assert_eq!(codes, [970_005, 970_005, 970_005, 970_003, 970_002]);
    for count in [0, 201] {
        let docs = vec![doc(&file, "file"); count];
        let got = client.post(call, json!({ "request_docs": docs })).await;
        assert_eq!(got.code(), 99_992_402, "{count}");
    }
    let docs = vec![doc(&file, "file"); 200];
    let data = client
        .post(call, json!({ "request_docs": docs }))
        .await
        .data();
    assert_eq!(data["metas"].as_array().unwrap().len(), 200);
}
