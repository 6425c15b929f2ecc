//! Directories, copies, moves, renames, deletions, tasks, the bin.

use serde_json::{Value, json};

use super::super::super::digest::md5_hex;
use super::{Client, json as asked, sent, world};

/// Code of the whole and codes of the items.
fn codes(answer: &Value) -> (i64, Vec<i64>) {
    let items = answer["info"].as_array().cloned().unwrap_or_default();
    let items = items.iter().map(|item| item["errno"].as_i64().unwrap());
    (answer["errno"].as_i64().unwrap(), items.collect())
}

#[tokio::test]
async fn directories() {
    let client = Client::new().await;
    let make = async |path: &str, rtype: &str| {
        client
            .file(
                "create",
                &[("path", path), ("isdir", "1"), ("rtype", rtype)],
            )
            .await
    };
    let made = make("/a/b c/d", "0").await;
    assert_eq!(
        (&made["errno"], &made["path"]),
        (&json!(0), &json!("/a/b c/d"))
    );
    assert_eq!(client.item("/a/b c", "d").await["fs_id"], made["fs_id"]);
    for rtype in ["0", "2", "3"] {
        assert_eq!(make("/a/b c/d", rtype).await["errno"], -8);
    }
    let second = make("/a/b c/d", "1").await;
    assert!(second["path"].as_str().unwrap().starts_with("/a/b c/d_20"));
    client.seed("/a/file", 1, 1);
    assert_eq!(make("/a/file/below", "0").await["errno"], -8);
    assert_eq!(make("/a/file", "0").await["errno"], -8);
    let long = format!("/{}", "x".repeat(256));
    let longer = format!("/{}", ["y".repeat(200).as_str(); 5].join("/"));
    for bad in [
        "/", "a", "/a//b", "/a/.x", "/a/x.", "/a/ x", "/a/x ", "/a/\tx", "/a/x:y", "/a/x*",
        "/a/x?", "/a/x\\y", "/a/x|y", "/a/x\"", "/a/<x", "/a/x>", &long, &longer,
    ] {
        assert_eq!(make(bad, "0").await["errno"], -7, "{bad}");
    }
    assert_eq!(make("/a/x", "4").await["errno"], 31023);
    client.set("app_only", "demo");
    assert_eq!(make("/elsewhere", "0").await["errno"], -7);
    assert_eq!(make("/apps/demo/here", "0").await["errno"], 0);
    assert_eq!(client.world.stat("baidu").unwrap().count("mkdir"), 28);
}

#[tokio::test]
async fn moves_and_renames() {
    let client = Client::new().await;
    let id: u64 = client.seed("/d/a b.txt", 5, 1).parse().unwrap();
    client.mkdir("/e");
    let list = json!([{ "path": "/d/a b.txt", "dest": "/e", "newname": "c.txt" }]);
    let sync = [("async", "0"), ("ondup", "fail")];
    let done = client.manage("move", list.clone(), &sync).await;
    assert_eq!(codes(&done), (0, vec![0]));
    assert_eq!(done["taskid"], 0);
    assert_eq!(client.item("/e", "c.txt").await["fs_id"], id);
    assert_eq!(
        codes(&client.manage("move", list, &sync).await),
        (12, vec![-9])
    );
    let rename = async |path: &str, name: &str| {
        codes(
            &client
                .manage("rename", json!([{ "path": path, "newname": name }]), &sync)
                .await,
        )
    };
    assert_eq!(rename("/e/c.txt", "d.txt").await, (0, vec![0]));
    assert_eq!(client.item("/e", "d.txt").await["fs_id"], id);
    assert_eq!(
        rename("/e/d.txt", "d.txt").await,
        (0, vec![0]),
        "the name it has"
    );
    client.seed("/e/taken", 1, 1);
    assert_eq!(rename("/e/d.txt", "taken").await, (12, vec![-8]));
    assert_eq!(rename("/e/d.txt", "x/y").await, (12, vec![-7]));
    assert_eq!(rename("/e/no", "y").await, (12, vec![-9]));
    let into_itself = json!([{ "path": "/e", "dest": "/e", "newname": "f" }]);
    assert_eq!(
        codes(&client.manage("move", into_itself, &sync).await),
        (12, vec![-7])
    );
    let nowhere = json!([{ "path": "/e/d.txt", "dest": "/none", "newname": "f" }]);
    assert_eq!(
        codes(&client.manage("move", nowhere, &sync).await),
        (12, vec![-9])
    );
    let twice =
        json!([{ "path": "/e/d.txt", "newname": "1" }, { "path": "/e/d.txt", "newname": "2" }]);
    assert_eq!(
        codes(&client.manage("rename", twice, &sync).await),
        (12, vec![0, -9])
    );
    for bad in [
        json!([]),
        json!({}),
        json!([{ "newname": "x" }]),
        json!([{ "path": "/e" }]),
    ] {
        assert_eq!(client.manage("rename", bad, &sync).await["errno"], 31023);
    }
    let odd = [("async", "7")];
    assert_eq!(
        client.manage("delete", json!(["/e"]), &odd).await["errno"],
        31023
    );
}

#[tokio::test]
async fn taken_places() {
    let client = Client::new().await;
    let seed = || {
        client.seed("/s/f.txt", 5, 1);
        client.seed("/t/f.txt", 9, 2);
    };
    let item = |ondup: &str| json!([{ "path": "/s/f.txt", "dest": "/t", "newname": "f.txt", "ondup": ondup }]);
    seed();
    for (opera, ondup) in [("move", "fail"), ("copy", "fail"), ("move", "overwrite")] {
        let answer = client.manage(opera, item(ondup), &[("async", "0")]).await;
        assert_eq!(codes(&answer), (12, vec![-8]), "{opera} {ondup}");
    }
    assert_eq!(
        client.manage("move", item("burn"), &[]).await["errno"],
        31023
    );
    let skip = client.manage("copy", item("skip"), &[("async", "0")]).await;
    assert_eq!(codes(&skip), (0, vec![0]));
    assert_eq!(client.item("/t", "f.txt").await["size"], 9);
    let copy = client
        .manage("copy", item("newcopy"), &[("async", "0")])
        .await;
    assert_eq!(codes(&copy), (0, vec![0]));
    let names = client.names("/t").await;
    assert_eq!(names.len(), 2);
    assert!(
        names[1].starts_with("f_20") && names[1].ends_with(".txt"),
        "{names:?}"
    );
    // Asynchronously the target is overwritten.
    let answer = client
        .manage("move", item("overwrite"), &[("async", "2")])
        .await;
    let task = answer["taskid"].as_u64().unwrap().to_string();
    let state = client.get("/share/taskquery", &[("taskid", &task)]).await;
    assert_eq!(
        (&state["status"], &state["progress"]),
        (&json!("success"), &json!(100))
    );
    assert_eq!(state["list"][0]["to"], "/t/f.txt");
    assert_eq!(client.item("/t", "f.txt").await["size"], 5);
    assert!(client.names("/s").await.is_empty());
}

#[tokio::test]
async fn tasks_take_their_time() {
    let client = Client::new().await;
    client.seed("/s/f", 5, 1);
    client.seed("/s/g", 5, 2);
    client.set("task_ms", "10000");
    let started = client
        .manage("delete", json!(["/s/f", "/s/none"]), &[("async", "2")])
        .await;
    assert_eq!(started["errno"], 0);
    let task = started["taskid"].as_u64().unwrap().to_string();
    let state = async || client.get("/share/taskquery", &[("taskid", &task)]).await;
    client.world.clock_advance(4000);
    let running = state().await;
    assert_eq!(
        (&running["status"], &running["total"]),
        (&json!("running"), &json!(2))
    );
    assert_eq!(client.names("/s").await, ["f", "g"]);
    let busy = client
        .manage("delete", json!(["/s/g"]), &[("async", "0")])
        .await;
    assert_eq!(busy["errno"], 111, "another task is running");
    client.world.clock_advance(6000);
    let done = state().await;
    assert_eq!(
        (&done["status"], &done["task_errno"]),
        (&json!("failed"), &json!(-9))
    );
    assert_eq!(done["list"][0]["error_code"], 0);
    assert_eq!(client.names("/s").await, ["g"]);
    let after = client
        .manage("delete", json!(["/s/g"]), &[("async", "0")])
        .await;
    assert_eq!(after["errno"], 0);
    assert_eq!(
        client.get("/share/taskquery", &[("taskid", "5")]).await["errno"],
        114
    );
    client.set("adaptive_sync", "0");
    client.seed("/s/h", 5, 1);
    let adaptive = client
        .manage("delete", json!(["/s/h"]), &[("async", "1")])
        .await;
    assert_ne!(adaptive["taskid"], 0);
}

#[tokio::test]
async fn copies() {
    let client = Client::new().await;
    let id: u64 = client.seed("/s/d/f", 600, 1).parse().unwrap();
    let item = json!([{ "path": "/s/d", "dest": "/", "newname": "copy" }]);
    let done = client.manage("copy", item.clone(), &[("async", "0")]).await;
    assert_eq!(codes(&done), (0, vec![0]));
    let copied = client.item("/copy", "f").await;
    assert_ne!(copied["fs_id"], id);
    assert_eq!(copied["md5"], client.item("/s/d", "f").await["md5"]);
    client.set("total_size", "1500");
    let more = json!([{ "path": "/s/d", "dest": "/", "newname": "third" }]);
    assert_eq!(
        codes(&client.manage("copy", more, &[("async", "0")]).await),
        (12, vec![-10])
    );
    // What is in the bin takes no space.
    client
        .manage("delete", json!([{ "path": "/copy" }]), &[])
        .await;
    assert_eq!(
        codes(&client.manage("copy", item, &[("async", "0")]).await),
        (0, vec![0])
    );
}

#[tokio::test]
async fn the_bin() {
    let world = world();
    let client = Client::of(&world, "baidu").await;
    let cookies = Client::of(&world, "baidu-cookie").await;
    let ids: Vec<u64> = (0..4)
        .map(|n| client.seed(&format!("/d/{n}"), 5, n).parse().unwrap())
        .collect();
    let gone = json!(["/d/0", "/d/1", "/d/2", "/d/none"]);
    let gone = client.manage("delete", gone, &[("async", "0")]).await;
    assert_eq!(codes(&gone), (12, vec![0, 0, 0, -9]));
    assert_eq!(client.names("/d").await, ["3"]);
    let list = async || {
        cookies
            .get("/api/recycle/list", &[("num", "100"), ("page", "1")])
            .await
    };
    assert_eq!(list().await["list"].as_array().unwrap().len(), 3);
    assert_eq!(list().await["list"][0]["leftTime"], 10);
    assert_eq!(
        client.get("/api/recycle/list", &[]).await["errno"],
        3,
        "not for apps"
    );
    let restore = async |who: &Client, id: u64| {
        let param = json!({ "list": [{ "fs_id": id }] }).to_string();
        let form = reqwest::multipart::Form::new().text("param", param);
        let url = who.host("pcs", "/rest/2.0/pcs/file?method=restore");
        asked(who.ask("POST", &url).multipart(form)).await
    };
    assert_eq!(restore(&client, ids[0]).await["error_code"], 31064);
    assert_eq!(
        restore(&cookies, ids[0]).await["extra"]["list"][0]["fs_id"],
        ids[0]
    );
    assert_eq!(restore(&cookies, ids[0]).await["error_code"], 31066);
    assert_eq!(client.names("/d").await, ["0", "3"]);
    let purge = json!([ids[1]]).to_string();
    assert_eq!(
        cookies
            .post("/api/recycle/delete", &[("fidlist", &purge)])
            .await["errno"],
        0
    );
    assert_eq!(
        cookies
            .post("/api/recycle/delete", &[("fidlist", &purge)])
            .await["errno"],
        -9
    );
    let empty = cookies.host("pcs", "/rest/2.0/pcs/file?method=delete&type=recycle");
    assert_eq!(
        asked(cookies.ask("GET", &empty)).await["extra"]["succNum"],
        1
    );
    client.manage("delete", json!(["/d/3"]), &[]).await;
    world.clock_advance(10 * 86_400_000);
    assert!(list().await["list"].as_array().unwrap().is_empty());
    // The root cannot go.
    let root = Client::of(&world, "baidu")
        .await
        .manage("delete", json!(["/"]), &[])
        .await;
    assert_eq!(codes(&root), (12, vec![-7]));
}

#[tokio::test]
async fn a_download_address_for_cookies() {
    let world = world();
    let client = Client::of(&world, "baidu-cookie").await;
    client.seed("/d/f", 5, 1);
    let cookie = client.profile.secrets["cookie"].clone();
    let bduss = cookie
        .split(';')
        .next()
        .unwrap()
        .strip_prefix("BDUSS=")
        .unwrap()
        .to_owned();
    let devuid = format!("{}|0", md5_hex(bduss.as_bytes()).to_uppercase());
    let rand = super::super::download::rand(&bduss, 987_654_321_001, "1735689600", &devuid);
    let ask = |rand: &str| {
        let url = client.host(
            "pcs",
            "/rest/2.0/pcs/file?method=locatedownload&app_id=250528&path=/d/f",
        );
        let more = [
            ("time", "1735689600"),
            ("rand", rand),
            ("devuid", devuid.as_str()),
        ];
        client.ask("POST", &url).query(&more)
    };
    assert_eq!(asked(ask("wrong")).await["error_code"], 31362);
    let found = asked(ask(&rand)).await;
    let link = found["urls"][0]["url"].as_str().unwrap().to_owned();
    let hop = sent(client.http.get(link)).await;
    assert_eq!(hop.status(), 302);
}
