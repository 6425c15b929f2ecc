//! Lists, stat, paths, search, late visibility.

use serde_json::{Value, json};

use super::super::super::faults::FaultKind;
use super::Client;

fn page(fid: &str, page: u32, size: u32) -> String {
    format!(
        "/file/sort?pdir_fid={fid}&_page={page}&_size={size}&_fetch_total=1&_fetch_sub_dirs=0\
         &_sort=file_type:asc,file_name:asc&fetch_all_file=1"
    )
}

fn names(answer: &Value) -> Vec<&str> {
    let list = answer["data"]["list"].as_array().unwrap();
    list.iter()
        .map(|row| row["file_name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn entries() {
    let client = Client::quark();
    let file = client.seed("/Tom & Jerry <1> 'x' \"y\".mkv", &[1; 10]);
    client.seed("/Movies/a.txt", b"abc");
    let answer = client.whole(&page("0", 1, 100), Value::Null).await;
    let [dir, row] = &answer["data"]["list"].as_array().unwrap()[..] else {
        panic!("{answer}");
    };
    assert_eq!(dir["file_name"], "Movies");
    assert_eq!(
        (&dir["dir"], &dir["file"], &dir["include_items"]),
        (&json!(true), &json!(false), &json!(1))
    );
    assert_eq!(
        row["file_name"],
        "Tom &amp; Jerry &lt;1&gt; &#39;x&#39; &quot;y&quot;.mkv"
    );
    assert_eq!(
        (&row["fid"], &row["pdir_fid"], &row["size"]),
        (&json!(file), &json!("0"), &json!(10))
    );
    assert_eq!(
        (&row["format_type"], &row["category"]),
        (&json!("video/x-matroska"), &json!(1))
    );
    assert!(row["updated_at"].as_i64().unwrap() > 1_700_000_000_000 && row.get("md5").is_none());
    assert_eq!(
        answer["metadata"],
        json!({ "_size": 100, "_page": 1, "_count": 2, "_total": 2, "way": "normal" })
    );
    client.set("numbers_as_text", "on");
    let row = client.get(&page("0", 1, 100)).await["list"][1].take();
    assert_eq!(row["size"], "10");
    client.set("risky", "Tom");
    let row = client.get(&page("0", 1, 100)).await["list"][1].take();
    assert_eq!(row["file_name"], "***");
    let asked = format!("{}&fetch_risk_file_name=1", page("0", 1, 100));
    assert!(names(&client.whole(&asked, Value::Null).await)[1].starts_with("Tom"));

    assert_eq!(
        client.refused(&page("none", 1, 10), Value::Null).await,
        (404, 41006)
    );
    assert_eq!(
        client.refused(&page(&file, 1, 10), Value::Null).await,
        (404, 41006)
    );
    client.set("missing_folder", "empty");
    assert!(client.list("none").await.is_empty());
    client.set("null_list", "on");
    assert_eq!(client.get(&page("none", 1, 10)).await["list"], Value::Null);
    client.fault("list", FaultKind::NullList, "");
    assert_eq!(client.get(&page("0", 1, 10)).await["list"], Value::Null);
}

#[tokio::test]
async fn pages() {
    let client = Client::quark();
    for n in 0..105 {
        client.seed(&format!("/d/{n:03}"), b"x");
    }
    let dir = client.list("0").await[0]["fid"]
        .as_str()
        .unwrap()
        .to_owned();
    // More than 100 are not given.
    let first = client.whole(&page(&dir, 1, 500), Value::Null).await;
    assert_eq!(
        (names(&first).len(), &first["metadata"]["_size"]),
        (100, &json!(100))
    );
    let second = client.whole(&page(&dir, 2, 100), Value::Null).await;
    assert_eq!(names(&second), ["100", "101", "102", "103", "104"]);
    assert_eq!(second["metadata"]["_total"], 105);
    assert!(names(&client.whole(&page(&dir, 3, 100), Value::Null).await).is_empty());
    // A cut page: the next one goes on where it ended.
    client.fault("list", FaultKind::TruncatedPage, "");
    let cut = client.whole(&page(&dir, 1, 100), Value::Null).await;
    let rest = client.whole(&page(&dir, 2, 100), Value::Null).await;
    assert_eq!(
        (names(&cut).len(), &cut["metadata"]["_total"]),
        (50, &json!(105))
    );
    assert_eq!((names(&rest)[0], names(&rest).len()), ("050", 55));
    assert_eq!(
        names(&client.whole(&page(&dir, 1, 100), Value::Null).await).len(),
        100
    );
    let down = page(&dir, 1, 3).replace("file_name:asc", "file_name:desc");
    assert_eq!(
        names(&client.whole(&down, Value::Null).await),
        ["104", "103", "102"]
    );
    for (knob, wanted) in [
        ("zero", json!(0)),
        ("null", Value::Null),
        ("exact", json!(105)),
    ] {
        client.set("total", knob);
        let answer = client.whole(&page(&dir, 1, 10), Value::Null).await;
        assert_eq!(answer["metadata"]["_total"], wanted);
    }
    client.set("total", "sometimes");
    let mut totals = Vec::new();
    for _ in 0..2 {
        let answer = client.whole(&page(&dir, 1, 10), Value::Null).await;
        totals.push(answer["metadata"]["_total"].as_i64().unwrap());
    }
    totals.sort_unstable();
    assert_eq!(totals, [0, 105]);
    client.set("total", "exact");
    let unasked = page(&dir, 1, 10).replace("_fetch_total=1", "_fetch_total=0");
    assert_eq!(
        client.whole(&unasked, Value::Null).await["metadata"]["_total"],
        0
    );
    client.fault("list", FaultKind::Lag, "");
    assert!(client.list(&dir).await.is_empty());
}

#[tokio::test]
async fn stat_and_paths() {
    let client = Client::quark();
    let file = client.seed("/a/b & c.txt", b"abc");
    let info = client.get(&format!("/file/info?fid={file}")).await;
    assert_eq!(
        (&info["file_name"], &info["size"]),
        (&json!("b &amp; c.txt"), &json!(3))
    );
    let dir = info["pdir_fid"].as_str().unwrap().to_owned();
    let many = format!("/file?fids={file},{dir},none");
    assert_eq!(client.get(&many).await.as_array().unwrap().len(), 2);
    client.set("fids_form", "object");
    assert_eq!(client.get(&many).await["list"][1]["fid"], dir);
    assert_eq!(
        client.refused("/file/info?fid=none", Value::Null).await,
        (404, 41006)
    );
    assert_eq!(
        client.refused("/file/info", Value::Null).await,
        (400, 14001)
    );
    assert_eq!(client.get("/file/info?fid=0").await["dir"], true);
    for (knob, by_info, by_fids) in [("none", 404, 404), ("info", 200, 404), ("fids", 404, 200)] {
        client.set("stat_by_id", knob);
        assert_eq!(
            client
                .call(&format!("/file/info?fid={file}"), Value::Null)
                .await
                .0,
            by_info
        );
        assert_eq!(client.call(&many, Value::Null).await.0, by_fids);
    }
    let paths = json!({ "file_path": ["/a", "/a/b & c.txt", "/a/none"], "namespace": "0" });
    let found = client.post("/file/info/path_list", paths).await;
    assert_eq!(
        found,
        json!([{ "file_path": "/a", "fid": dir }, { "file_path": "/a/b & c.txt", "fid": file }])
    );
    let many: Vec<String> = (0..51).map(|n| format!("/{n}")).collect();
    let refused = client
        .refused("/file/info/path_list", json!({ "file_path": many }))
        .await;
    assert_eq!(refused, (400, 14001));
}

#[tokio::test]
async fn search_finds_names() {
    let client = Client::quark();
    client.seed("/x/one & two.txt", b"1");
    client.seed("/x/three.txt", b"3");
    let found = client
        .whole("/file/search?q=one&_page=1&_size=50", Value::Null)
        .await;
    assert_eq!(names(&found), ["one &amp; two.txt"]);
    let marked = client
        .whole("/file/search?q=one&_is_hl=1", Value::Null)
        .await;
    assert_eq!(names(&marked), ["<em>one</em> &amp; two.txt"]);
    assert_eq!(
        client.refused("/file/search?q=", Value::Null).await,
        (400, 14001)
    );
    let nowhere = client
        .whole("/file/search?q=one&pdir_fid=none", Value::Null)
        .await;
    assert!(names(&nowhere).is_empty());
}

#[tokio::test]
async fn writes_show_late() {
    let client = Client::quark();
    client.set("task_polls", "0");
    let old = client.seed("/old.txt", b"old");
    let kept = client.seed("/kept.txt", b"kept");
    let moved = client.seed("/from/m.txt", b"m");
    let from = client.get(&format!("/file/info?fid={moved}")).await["pdir_fid"].clone();
    let from = from.as_str().unwrap();
    client.set("visible_after_ms", "60000");
    let made = client
        .post("/file", json!({ "pdir_fid": "0", "file_name": "new" }))
        .await;
    let dir = made["fid"].as_str().unwrap().to_owned();
    let up = client.upload("0", "up.bin", b"uploaded bytes").await;
    let rename = json!({ "fid": kept, "file_name": "renamed.txt" });
    client.post("/file/rename", rename).await;
    let body = json!({ "action_type": 2, "filelist": [old], "exclude_fids": [] });
    client.task("/file/delete", body).await;
    let body = json!({ "action_type": 1, "filelist": [moved], "to_pdir_fid": dir });
    client.task("/file/move", body).await;
    // Everything is as it was before, by listing, by id, by path, by search.
    assert_eq!(client.names("0").await, ["from", "kept.txt", "old.txt"]);
    assert_eq!(
        (client.names(from).await, client.names(&dir).await),
        (vec!["m.txt".to_owned()], vec![])
    );
    for fid in [&dir, &up] {
        let path = format!("/file/info?fid={fid}");
        assert_eq!(client.refused(&path, Value::Null).await, (404, 41006));
    }
    assert_eq!(
        client.get(&format!("/file/info?fid={old}")).await["file_name"],
        "old.txt"
    );
    assert_eq!(
        client.get(&format!("/file/info?fid={moved}")).await["pdir_fid"],
        from
    );
    let paths = json!({ "file_path": ["/new", "/kept.txt"], "namespace": "0" });
    let found = client.post("/file/info/path_list", paths).await;
    assert_eq!(found, json!([{ "file_path": "/kept.txt", "fid": kept }]));
    let found = client.whole("/file/search?q=txt", Value::Null).await;
    assert_eq!(found["data"]["list"].as_array().unwrap().len(), 3);
    // Writes know better.
    let taken = json!({ "pdir_fid": "0", "file_name": "new" });
    assert_eq!(client.refused("/file", taken).await, (400, 23008));
    assert_eq!(client.link(&up).await["size"], 14);
    client.world.clock_advance(60_000);
    assert_eq!(
        client.names("0").await,
        ["from", "new", "renamed.txt", "up.bin"]
    );
    assert_eq!(
        (client.names(from).await, client.names(&dir).await),
        (vec![], vec!["m.txt".to_owned()])
    );
    assert_eq!(
        client.get(&format!("/file/info?fid={up}")).await["size"],
        14
    );
    assert_eq!(
        client
            .refused(&format!("/file/info?fid={old}"), Value::Null)
            .await,
        (404, 41006)
    );
}
