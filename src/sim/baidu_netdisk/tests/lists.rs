//! Lists, search, metadata, quota.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::super::digest::md5_hex;
use super::super::super::faults::FaultKind;
use super::super::super::{Blob, HashKind};
use super::super::cloud_md5::obfuscate;
use super::{Client, MEDIA};

fn names(answer: &Value, key: &str) -> Vec<String> {
    let list = answer[key].as_array().unwrap().iter();
    let name = |item: &Value| item["path"].as_str().unwrap().to_owned();
    list.map(name).collect()
}

#[tokio::test]
async fn pages() {
    let client = Client::new().await;
    for n in 0..1001 {
        client.seed(&format!("/many/{n:04}"), 1, 1);
    }
    let page = async |start: &str, limit: &str| {
        client
            .list(&[("dir", "/many"), ("start", start), ("limit", limit)])
            .await
    };
    let first = page("0", "1000").await;
    assert_eq!(first["list"].as_array().unwrap().len(), 1000);
    assert!(first["has_more"].is_null(), "no mark of the last page");
    assert_eq!(
        page("1000", "1000").await["list"].as_array().unwrap().len(),
        1
    );
    assert!(
        page("1001", "1000").await["list"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert_eq!(page("0", "1001").await["errno"], 31023);
    assert_eq!(page("0", "0").await["errno"], 31023);
    assert_eq!(page("x", "1").await["errno"], 31023);
    client.fault("list", FaultKind::TruncatedPage, "");
    assert_eq!(
        page("0", "1000").await["list"].as_array().unwrap().len(),
        500
    );
    client.fault("list", FaultKind::NullList, "");
    assert!(page("0", "1000").await["list"].is_null());
    assert_eq!(client.list(&[("dir", "/none")]).await["errno"], -9);
    assert_eq!(client.list(&[("dir", "/many/0001")]).await["errno"], -9);
    client.mkdir("/empty");
    assert_eq!(client.list(&[("dir", "/empty/")]).await["list"], json!([]));
    client.set("empty_list", "null");
    assert!(client.list(&[("dir", "/empty")]).await["list"].is_null());
    assert_eq!(client.world.stat("baidu").unwrap().count("list"), 12);
}

#[tokio::test]
async fn order_and_fields() {
    let client = Client::new().await;
    client.seed("/d/b.mp4", 10, 1);
    client.world.clock_advance(5000);
    client.seed("/d/a.txt", 30, 2);
    client.world.clock_advance(5000);
    let dir = client.mkdir("/d/z");
    client.seed("/d/z/inner", 1, 1);
    assert_eq!(client.names("/d").await, ["z/", "a.txt", "b.mp4"]);
    let by = async |order: &str, desc: &str| {
        let answer = client
            .list(&[("dir", "/d"), ("order", order), ("desc", desc)])
            .await;
        names(&answer, "list")
    };
    assert_eq!(by("time", "0").await, ["/d/z", "/d/b.mp4", "/d/a.txt"]);
    assert_eq!(by("size", "1").await, ["/d/z", "/d/a.txt", "/d/b.mp4"]);
    let bad = client.list(&[("dir", "/d"), ("order", "colour")]).await;
    assert_eq!(bad["errno"], 31023);
    let only = client.list(&[("dir", "/d"), ("folder", "1")]).await;
    assert_eq!(only["list"], json!([{ "path": "/d/z" }]));
    let web = client.list(&[("dir", "/d"), ("web", "web")]).await;
    assert_eq!(web["list"][0]["dir_empty"], 0);
    let folder = &web["list"][0];
    assert_eq!(folder["fs_id"], dir.parse::<u64>().unwrap());
    assert!(folder["fs_id"].as_u64().unwrap() > 1 << 53);
    assert!(folder["md5"].is_null() && folder["size"] == 0);
    let file = client.item("/d", "b.mp4").await;
    assert_eq!((&file["category"], &file["isdir"]), (&json!(1), &json!(0)));
    assert_eq!(file["server_mtime"], file["local_mtime"]);
    client.set("ids", "text");
    assert!(client.item("/d", "z").await["fs_id"].is_string());
    client.fault("list", FaultKind::Lag, "20000");
    assert!(client.names("/d").await.is_empty());
    client.set("visibility_ms", "3000");
    assert_eq!(client.names("/d").await, ["a.txt", "b.mp4"]);
}

#[tokio::test]
async fn the_md5_of_listings() {
    let client = Client::new().await;
    client.seed("/d/one", 4 << 20, 3);
    client.seed("/d/two", (4 << 20) + 1, 3);
    client.seed("/e/two again", (4 << 20) + 1, 3);
    let one = Blob::synthetic(3, 4 << 20).digest(HashKind::Md5).await;
    let two = Blob::synthetic(3, (4 << 20) + 1);
    let plain = two.digest(HashKind::Md5).await;
    let blocks = two
        .digest(HashKind::BlockMd5(4 << 20))
        .await
        .replace(',', "");
    let shown = async |dir: &str, name: &str| client.item(dir, name).await["md5"].clone();
    assert_eq!(shown("/d", "one").await, obfuscate(&one));
    let of_two = shown("/d", "two").await;
    assert_eq!(of_two, obfuscate(&md5_hex(blocks.as_bytes())));
    assert_ne!(of_two, obfuscate(&plain));
    assert_eq!(
        shown("/e", "two again").await,
        of_two,
        "one content, one value"
    );
    let at_nine = of_two.as_str().unwrap().chars().nth(9).unwrap();
    assert!(('g'..='v').contains(&at_nine));
    client.set("cloud_md5", "plain");
    assert_eq!(shown("/d", "one").await, one);
    assert_ne!(shown("/d", "two").await, plain);
    client.set("cloud_md5", "none");
    assert!(shown("/d", "one").await.is_null());
}

#[tokio::test]
async fn subtrees() {
    let client = Client::new().await;
    client.seed("/t/a/x", 1, 1);
    client.seed("/t/b", 1, 1);
    let now = client.world.clock().now_s();
    let all = async |more: &[(&str, &str)]| {
        let mut query = vec![("method", "listall"), ("path", "/t")];
        query.extend(more);
        client.get(MEDIA, &query).await
    };
    assert_eq!(names(&all(&[]).await, "list"), ["/t/a", "/t/b"]);
    let mut seen = BTreeSet::new();
    let mut start = 0;
    loop {
        let page = all(&[
            ("recursion", "1"),
            ("limit", "2"),
            ("start", &start.to_string()),
        ])
        .await;
        seen.extend(names(&page, "list"));
        start = page["cursor"].as_u64().unwrap();
        if page["has_more"] == 0 {
            break;
        }
    }
    assert_eq!(Vec::from_iter(seen), ["/t/a", "/t/a/x", "/t/b"]);
    let later = (now + 100).to_string();
    assert!(names(&all(&[("mtime", &later)]).await, "list").is_empty());
    let missing = client
        .get(MEDIA, &[("method", "listall"), ("path", "/no")])
        .await;
    assert_eq!(missing["errno"], 31066);
    client.set("strict_rates", "true");
    for _ in 0..10 {
        assert_eq!(all(&[]).await["errno"], 0);
    }
    assert_eq!(all(&[]).await["errno"], 31034);
}

#[tokio::test]
async fn metadata() {
    let client = Client::new().await;
    let file: u64 = client.seed("/d/ä b.bin", 7, 1).parse().unwrap();
    let dir: u64 = client.mkdir("/d").parse().unwrap();
    let metas = async |ids: Value, link: &str| {
        let ids = ids.to_string();
        let query = [
            ("method", "filemetas"),
            ("fsids", ids.as_str()),
            ("dlink", link),
        ];
        client.get(MEDIA, &query).await
    };
    let both = metas(json!([file, 5, dir]), "1").await;
    let list = both["list"].as_array().unwrap();
    assert_eq!(list.len(), 2, "unknown ids are left out");
    assert_eq!(list[0]["filename"], "ä b.bin");
    assert!(list[0]["server_filename"].is_null());
    assert!(list[0]["dlink"].is_string() && list[1]["dlink"].is_null());
    assert_eq!(list[1]["path"], "/d");
    assert!(metas(json!([file]), "0").await["list"][0]["dlink"].is_null());
    let hundred: Vec<u64> = (0..100).collect();
    assert_eq!(metas(json!(hundred), "0").await["errno"], 0);
    let more: Vec<u64> = (0..101).collect();
    for bad in [json!(more), json!([]), json!(["1"]), json!({})] {
        assert_eq!(metas(bad, "0").await["errno"], 31023);
    }
    client.set("unknown_id", "42214");
    assert_eq!(metas(json!([5]), "0").await["errno"], 42214);
    let stat = client.world.stat("baidu").unwrap();
    assert_eq!((stat.count("link"), stat.count("stat")), (1, 7));
}

#[tokio::test]
async fn found_and_counted() {
    let client = Client::new().await;
    client.seed("/d/cat.jpg", 5, 1);
    client.seed("/d/e/cat.mp4", 6, 1);
    client.seed("/d/e/dog.pdf", 7, 1);
    client.seed("/d/e/x.torrent", 8, 1);
    let find = async |path: &str, query: &[(&str, &str)]| client.get(path, query).await;
    let file = super::FILE;
    let shallow = [("method", "search"), ("key", "cat"), ("dir", "/d")];
    assert_eq!(names(&find(file, &shallow).await, "list"), ["/d/cat.jpg"]);
    let deep = [
        ("method", "search"),
        ("key", "cat"),
        ("dir", "/d"),
        ("recursion", "1"),
        ("page", "1"),
    ];
    let deep = find(file, &deep).await;
    assert_eq!(names(&deep, "list"), ["/d/cat.jpg", "/d/e/cat.mp4"]);
    assert_eq!(deep["has_more"], 0);
    let long = "x".repeat(31);
    assert_eq!(
        find(file, &[("method", "search"), ("key", &long)]).await["errno"],
        31023
    );
    for (method, wanted) in [
        ("imagelist", "/d/cat.jpg"),
        ("videolist", "/d/e/cat.mp4"),
        ("doclist", "/d/e/dog.pdf"),
        ("btlist", "/d/e/x.torrent"),
    ] {
        let answer = find(file, &[("method", method), ("recursion", "1")]).await;
        assert_eq!(names(&answer, "info"), [wanted]);
    }
    let typed = [("method", "categorylist"), ("category", "3,4")];
    assert_eq!(
        names(&find(MEDIA, &typed).await, "list"),
        ["/d/cat.jpg", "/d/e/dog.pdf"]
    );
    assert_eq!(
        find(MEDIA, &[("method", "categorylist")]).await["errno"],
        31023
    );

    client.set("total_size", "1000");
    let quota = client
        .get("/api/quota", &[("checkfree", "1"), ("checkexpire", "1")])
        .await;
    assert_eq!(
        (&quota["total"], &quota["used"], &quota["free"]),
        (&json!(1000), &json!(26), &json!(974))
    );
    assert_eq!(quota["expire"], false);
    client.set("vip", "2");
    let user = client
        .get("/rest/2.0/xpan/nas", &[("method", "uinfo")])
        .await;
    assert_eq!(
        (&user["vip_type"], &user["uk"]),
        (&json!(2), &json!(987_654_321_001_u64))
    );
}

#[tokio::test]
async fn searches_and_typed_lists_are_strict() {
    let client = Client::new().await;
    client.seed("/d/cat.jpg", 5, 1);
    client.seed("/d/cat.mp4", 6, 1);
    client.mkdir("/d/cats");
    let find = async |query: &[(&str, &str)]| {
        let mut all = vec![("method", "search"), ("key", "cat"), ("dir", "/d")];
        all.extend(query);
        client.get(super::FILE, &all).await
    };
    let all = find(&[("num", "500")]).await;
    assert_eq!(
        names(&all, "list"),
        ["/d/cats", "/d/cat.jpg", "/d/cat.mp4"],
        "directories are found too"
    );
    assert_eq!(
        names(&find(&[("category", "3")]).await, "list"),
        ["/d/cat.jpg"]
    );
    for bad in [("num", "10"), ("category", "8"), ("page", "0")] {
        assert_eq!(find(&[bad]).await["errno"], 31023, "{bad:?}");
    }
    let none = [("method", "search"), ("key", "cat"), ("dir", "/none")];
    assert_eq!(client.get(super::FILE, &none).await["errno"], -9);
    for n in 0..501 {
        client.seed(&format!("/many/dog{n:04}.pdf"), 1, 1);
    }
    let page = async |page: &str| {
        let query = [
            ("method", "search"),
            ("key", "dog"),
            ("dir", "/"),
            ("recursion", "1"),
            ("page", page),
        ];
        let answer = client.get(super::FILE, &query).await;
        (
            answer["list"].as_array().unwrap().len(),
            answer["has_more"].as_u64().unwrap(),
        )
    };
    assert_eq!((page("1").await, page("2").await), ((500, 1), (1, 0)));
    let typed = async |num: &str| {
        let query = [("method", "doclist"), ("recursion", "1"), ("num", num)];
        client.get(super::FILE, &query).await["errno"].clone()
    };
    assert_eq!(
        (typed("1000").await, typed("1001").await),
        (json!(0), json!(31023))
    );
}

#[tokio::test]
async fn categories_are_counted() {
    let client = Client::new().await;
    client.seed("/d/cat.jpg", 5, 1);
    client.seed("/d/e/dog.png", 6, 1);
    client.seed("/d/e/dog.mp4", 7, 1);
    let count = async |query: &[(&str, &str)]| client.get("/api/categoryinfo", query).await;
    let all = count(&[("category", "3"), ("parent_path", "/"), ("recursion", "1")]).await;
    assert_eq!(
        all["info"],
        json!({ "3": { "count": 2, "size": 11, "total": 2 } })
    );
    let shallow = count(&[("category", "3"), ("parent_path", "/d")]).await;
    assert_eq!(shallow["info"]["3"]["count"], 1);
    for bad in ["0", "8", "3,4", "x", ""] {
        assert_eq!(count(&[("category", bad)]).await["errno"], 31023, "{bad}");
    }
    let none = count(&[("category", "1"), ("parent_path", "/no")]).await;
    assert_eq!(none["errno"], -9);
    client.set("category_info", "count");
    let other = count(&[("category", "1"), ("recursion", "1")]).await;
    assert_eq!(other["count"]["1"]["size"], 7);
    assert_eq!(
        client.world.stat("baidu").unwrap().count("category_info"),
        9
    );
}
