//! Listings, stat, search, quota.

use serde_json::{Value, json};

use super::super::super::faults::FaultKind;
use super::super::super::server::SeedSource;
use super::{Client, code, names, success};

const LIST: &str = "file/get_file_list";

fn ask(more: Value) -> Value {
    let mut body = json!({
        "parentId": "", "page": 0, "pageSize": 100, "orderBy": 0, "sortType": 0,
    });
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => {
                body.as_object_mut().unwrap().remove(name);
            }
            value => body[name] = value.clone(),
        }
    }
    body
}

async fn listed(client: &Client, more: Value) -> Vec<String> {
    let data = client.ok(LIST, ask(more)).await;
    names(data["list"].as_array().unwrap())
}

#[tokio::test]
async fn entries_as_the_sheet_shows_them() {
    let client = Client::plain().await;
    let pattern: Vec<u8> = (0..600_000).map(|i| (i % 251) as u8).collect();
    let file = client.seed("/a.bin", &pattern);
    let dir = client.mkdir("/Movies");
    client.mkdir("/Movies/inner");
    let deep = client.seed("/Movies/inner/x.MKV", b"12345");
    let rows = client.page("", 0, 100).await;
    assert_eq!(names(&rows), ["Movies", "a.bin"]);
    let (row, bin) = (&rows[0], &rows[1]);
    assert_eq!((&row["fileId"], &row["resType"]), (&json!(dir), &json!(2)));
    assert_eq!(row["subFolderCount"], 1);
    assert_eq!((&row["gcid"], &row["fileType"]), (&json!(""), &json!(0)));
    assert_eq!(bin["fileId"], file);
    assert_eq!(bin["gcid"], "3FC0617C331816DA4EE9C19C6F532F2D6D4FD6CC");
    assert_eq!(
        (&bin["fileSize"], &bin["ext"]),
        (&json!(600_000), &json!("bin"))
    );
    assert_eq!(bin["mineType"], "application/octet-stream");
    assert_eq!((&bin["depth"], &bin["parentId"]), (&json!(1), &json!("")));
    assert_eq!(file.len(), 18);

    let stat = client
        .ok("file/get_file_detail", json!({ "fileId": deep }))
        .await;
    assert_eq!(stat["fileInfo"]["fileName"], "x.MKV");
    assert_eq!(stat["sizeInfo"]["size"], 5);
    let stat = client
        .ok("file/get_file_detail", json!({ "fileId": dir }))
        .await;
    let totals = json!({ "size": 5, "subDirCount": 1, "subFileCount": 1 });
    assert_eq!(
        (&stat["sizeInfo"], &stat["fileInfo"]["gcid"]),
        (&totals, &json!(""))
    );
    let rows = client
        .ok(LIST, ask(json!({ "parentId": "*", "resType": 1 })))
        .await;
    assert_eq!(rows["total"], 2);
    let video = &rows["list"][1];
    assert_eq!(
        (&video["depth"], &video["fileType"]),
        (&json!(3), &json!(2))
    );

    for (id, wanted) in [
        (json!("1"), 143),
        (json!(""), 112),
        (json!(17), 112),
        (json!("root:1"), 143),
    ] {
        let body = json!({ "fileId": id });
        assert_eq!(
            client.refused("file/get_file_detail", body).await,
            wanted,
            "{id}"
        );
    }
}

#[tokio::test]
async fn pages_are_numbered_from_zero() {
    let client = Client::plain().await;
    for i in 0..5 {
        client.seed(&format!("/f{i}"), &[i; 3]);
    }
    assert_eq!(names(&client.page("", 0, 2).await), ["f0", "f1"]);
    assert_eq!(names(&client.page("", 2, 2).await), ["f4"]);
    assert!(client.page("", 3, 2).await.is_empty());
    for wrong in [
        json!({ "page": null }),
        json!({ "pageSize": null }),
        json!({ "page": -1 }),
        json!({ "page": "0" }),
        json!({ "pageSize": 0 }),
        json!({ "pageSize": 1001 }),
        json!({ "orderBy": 5 }),
        json!({ "orderBy": 12 }),
        json!({ "sortType": 2 }),
        json!({ "resType": 3 }),
        json!({ "parentId": 0 }),
        json!({ "dirType": 2 }),
        json!({ "dirType": 4, "parentId": "*" }),
    ] {
        assert_eq!(
            client.refused(LIST, ask(wrong.clone())).await,
            112,
            "{wrong}"
        );
    }
    assert_eq!(
        client.refused(LIST, ask(json!({ "parentId": "7" }))).await,
        143
    );
    assert_eq!(listed(&client, json!({ "pageSize": 1000 })).await.len(), 5);
    let id = client.seed("/f0", b"again");
    let refused = client.refused(LIST, ask(json!({ "parentId": id }))).await;
    assert_eq!(refused, 112, "a file is no folder");

    for (total, wanted) in [
        ("zero", json!(0)),
        ("absent", Value::Null),
        ("exact", json!(5)),
    ] {
        client.set("total", total);
        let data = client.ok(LIST, ask(json!({}))).await;
        assert_eq!(data["total"], wanted);
        assert_eq!(data["list"].as_array().unwrap().len(), 5);
    }
}

#[tokio::test]
async fn orders_and_filters() {
    let client = Client::plain().await;
    client.seed("/b.txt", b"1");
    client.world.clock_advance(1000);
    client.seed("/a.mp4", b"333");
    client.world.clock_advance(1000);
    client.seed("/c.zip", b"22");
    client.mkdir("/d");
    let order = |order: u8, down: u8| json!({ "orderBy": order, "sortType": down, "resType": 1 });
    let all = async |more| listed(&client, more).await;
    assert_eq!(all(order(0, 1)).await, ["c.zip", "b.txt", "a.mp4"]);
    assert_eq!(all(order(1, 0)).await, ["b.txt", "c.zip", "a.mp4"]);
    assert_eq!(all(order(2, 1)).await, ["c.zip", "a.mp4", "b.txt"]);
    assert_eq!(all(order(4, 0)).await, ["a.mp4", "b.txt", "c.zip"]);
    assert_eq!(all(json!({ "resType": 2 })).await, ["d"]);
    assert_eq!(
        all(json!({ "fileTypes": [2, 5] })).await,
        ["a.mp4", "c.zip"]
    );
    let body = json!({ "name": "A.M", "page": 0, "pageSize": 10 });
    let data = client.ok("file/search_files", body).await;
    assert_eq!(names(data["list"].as_array().unwrap()), ["a.mp4"]);
    let body = json!({ "name": "", "page": 0, "pageSize": 10 });
    assert_eq!(client.refused("file/search_files", body).await, 112);
}

#[tokio::test]
async fn listings_under_faults() {
    let client = Client::plain().await;
    for i in 0..6 {
        client.seed(&format!("/f{i}"), &[i; 3]);
    }
    client.fault("list", FaultKind::TruncatedPage, "");
    assert_eq!(names(&client.page("", 0, 4).await), ["f0", "f1"]);
    assert_eq!(
        names(&client.page("", 1, 4).await),
        ["f2", "f3", "f4", "f5"]
    );
    assert_eq!(names(&client.page("", 0, 4).await).len(), 4);
    client.fault("list", FaultKind::NullList, "");
    let data = client.ok(LIST, ask(json!({}))).await;
    assert!(data["list"].is_null() && data["total"] == 6);

    client.world.clock_advance(60_000);
    client.seed("/new", b"x");
    client.fault("list", FaultKind::Lag, "");
    assert_eq!(client.names("").await.len(), 6);
    assert_eq!(client.names("").await.len(), 7);
    client.fault("list", FaultKind::Html, "");
    let (status, answer) = client.call(LIST, ask(json!({}))).await;
    assert!(status == 200 && answer.is_string());
    assert_eq!(client.stat().count("list"), 7);
}

#[tokio::test]
async fn an_empty_listing_may_have_nothing() {
    let client = Client::mixed().await;
    let (mut bare, mut full) = (0, 0);
    for _ in 0..20 {
        let (status, answer) = client.call(LIST, ask(json!({}))).await;
        let data = success(status, &answer).unwrap();
        match data.get("list") {
            Some(list) => full += u32::from(list.as_array().unwrap().is_empty()),
            None => bare += 1,
        }
    }
    assert!(bare > 0 && full > 0);
    // What is not there has two codes.
    let mut codes = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let (_, answer) = client.call(LIST, ask(json!({ "parentId": "7" }))).await;
        codes.insert(code(&answer));
    }
    assert!(codes.into_iter().eq([143, 146]));
}

#[tokio::test]
async fn new_files_may_show_no_gcid() {
    let client = Client::plain().await;
    client.set("fresh_gcid_ms", "600000");
    client.seed("/seeded", b"x");
    client.uploaded("sent", b"some bytes", json!({})).await;
    let gcids = async || {
        let rows = client.page("", 0, 10).await;
        let one = |row: &Value| row["gcid"].as_str().unwrap().len();
        rows.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(gcids().await, [40, 0]);
    client.world.clock_advance(600_000);
    assert_eq!(gcids().await, [40, 40]);
}

#[tokio::test]
async fn what_an_account_has() {
    let client = Client::plain().await;
    client.seed("/a", &[1; 1000]);
    let pairs = [("did", client.did()), ("dt", "4")];
    client.set("total_size", "5000");
    client.set("vip_status", "2");
    let (status, answer) = client
        .with("/assets/v1/get_assets", &pairs, json!({}))
        .await;
    let data = success(status, &answer).unwrap();
    assert_eq!(
        (&data["totalSpaceSize"], &data["usedSpaceSize"]),
        (&json!(5000), &json!(1000))
    );
    assert_eq!(data["vipStatus"], 2);
    assert!(data["vipExpireTime"].as_i64() > data["systemTime"].as_i64());
    // A seeded content is listed with its gcid, whatever its size.
    let source = SeedSource::Synthetic { seed: 1 };
    client
        .world
        .seed("guangya", "/big", 3 << 20, &source)
        .unwrap();
    assert_eq!(
        client.page("", 0, 10).await[1]["gcid"]
            .as_str()
            .unwrap()
            .len(),
        40
    );
    assert_eq!(client.stat().count("quota"), 1);
}
