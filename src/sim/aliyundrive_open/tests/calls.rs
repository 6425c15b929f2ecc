//! Listings, changes, rates and injected answers.

use super::*;

#[tokio::test]
async fn listing_pages_search_and_paths() {
    let client = Client::new("ali").await;
    for n in 0..7 {
        let source = SeedSource::Synthetic { seed: n };
        client
            .world
            .seed("ali", &format!("/docs/f{n}.txt"), 10 + n, &source)
            .unwrap();
    }
    let docs = client
        .good("openFile/get_by_path", json!({ "file_path": "/docs" }))
        .await;
    let ask = |marker: &str| {
        json!({ "parent_file_id": docs["file_id"], "limit": 3, "marker": marker,
                "order_by": "name", "order_direction": "ASC" })
    };
    let (mut names, mut marker) = (Vec::new(), String::new());
    loop {
        let page = client.good("openFile/list", ask(&marker)).await;
        let items = page["items"].as_array().unwrap();
        names.extend(
            items
                .iter()
                .map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        marker = page["next_marker"].as_str().unwrap().to_owned();
        if marker.is_empty() {
            break;
        }
    }
    assert_eq!(
        names,
        [
            "f0.txt", "f1.txt", "f2.txt", "f3.txt", "f4.txt", "f5.txt", "f6.txt"
        ]
    );
    client
        .refused(
            "openFile/list",
            ask("bogus"),
            400,
            "InvalidParameter.Marker",
        )
        .await;
    let mut too_many = ask("");
    too_many["limit"] = json!(201);
    client
        .refused("openFile/list", too_many, 400, "InvalidParameter.Limit")
        .await;
    let query = json!({ "query": "type = 'file' and name match 'F3'" });
    let found = client.good("openFile/search", query).await;
    assert_eq!(found["items"][0]["name"], "f3.txt");
    let lost = json!({ "file_path": "/docs/none" });
    client
        .refused("openFile/get_by_path", lost, 404, "NotFound.FileId")
        .await;
    let foreign = json!({ "parent_file_id": "root", "drive_id": "1" });
    client
        .refused("openFile/list", foreign, 403, "UserNotAllowedAccessDrive")
        .await;
    let fault = Fault::once("list", FaultKind::TruncatedPage, "1");
    client.world.fault("ali", fault).unwrap();
    let page = client.good("openFile/list", ask("")).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_ne!(page["next_marker"], "");
    assert_eq!(client.world.stat("ali").unwrap().count("list"), 7);
}

#[tokio::test]
async fn changes_and_tasks() {
    let client = Client::new("ali").await;
    let seeded = |path: &str| {
        client
            .world
            .seed("ali", path, 10, &SeedSource::Synthetic { seed: 1 })
            .unwrap()
    };
    let (a, b) = (seeded("/d/a"), seeded("/d/b"));
    let dir = client.world.mkdir("ali", "/d").unwrap();
    let to = client.world.mkdir("ali", "/e").unwrap();
    let rename = json!({ "file_id": a, "name": "b", "check_name_mode": "refuse" });
    client
        .refused("openFile/update", rename, 409, "AlreadyExist.File")
        .await;
    let renamed = client
        .good("openFile/update", json!({ "file_id": a, "name": "c.x" }))
        .await;
    assert_eq!(
        (&renamed["name"], &renamed["file_id"]),
        (&json!("c.x"), &json!(a))
    );
    client
        .good(
            "openFile/move",
            json!({ "file_id": a, "to_parent_file_id": to }),
        )
        .await;
    let under = json!({ "file_id": dir, "to_parent_file_id": dir });
    client
        .refused(
            "openFile/move",
            under,
            400,
            "InvalidParameter.ToParentFileId",
        )
        .await;
    let copied = client
        .good(
            "openFile/copy",
            json!({ "file_id": dir, "to_parent_file_id": to }),
        )
        .await;
    let task = json!({ "async_task_id": copied["async_task_id"] });
    assert_eq!(
        client.good("openFile/async_task/get", task.clone()).await["state"],
        "Running"
    );
    assert_eq!(
        client.good("openFile/async_task/get", task).await["state"],
        "Succeed"
    );
    client
        .good("openFile/recyclebin/trash", json!({ "file_id": b }))
        .await;
    client
        .refused(
            "openFile/get",
            json!({ "file_id": b }),
            404,
            "NotFound.FileId",
        )
        .await;
    client
        .good("openFile/delete", json!({ "file_id": b }))
        .await;
    let tree = client.world.tree("ali").unwrap();
    let paths: Vec<&str> = tree["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["/d", "/e", "/e/c.x", "/e/d", "/e/d/b"]);
}

#[tokio::test]
async fn rates_gateway_and_injected_answers() {
    let client = Client::new("ali").await;
    client.world.set("ali", "strict_rates", "true").unwrap();
    assert!(client.world.set("ali", "nonsense", "1").is_err());
    let root = json!({ "parent_file_id": "root" });
    let mut last = None;
    for _ in 0..50 {
        let url = format!("{}//adrive/v1.0/openFile/list", client.base);
        let body = json!({ "drive_id": client.drive, "parent_file_id": "root", "marker": null });
        let call = client.http.post(url).bearer_auth(&client.token).json(&body);
        let answer = call.send().await.unwrap();
        if answer.status() == 429 {
            last = Some(answer);
            break;
        }
        assert_eq!(answer.status(), 200);
    }
    let wait: u64 = last.unwrap().headers()["x-retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=250).contains(&wait), "{wait}");
    client.world.set("ali", "strict_rates", "false").unwrap();
    client
        .world
        .fault(
            "ali",
            Fault::once("list", FaultKind::Errno, "403:PermissionDenied"),
        )
        .unwrap();
    client
        .refused("openFile/list", root.clone(), 403, "PermissionDenied")
        .await;
    client
        .world
        .fault("ali", Fault::once("list", FaultKind::NullList, ""))
        .unwrap();
    assert_eq!(
        client.good("openFile/list", root.clone()).await["items"],
        Value::Null
    );
    client
        .world
        .fault("ali", Fault::once("list", FaultKind::ExpireToken, ""))
        .unwrap();
    client
        .refused("openFile/list", root.clone(), 401, "AccessTokenExpired")
        .await;
    client
        .refused("openFile/list", root, 401, "AccessTokenExpired")
        .await;
    let lost = client
        .http
        .post(format!("{}/adrive/v1.0/x", client.base))
        .send()
        .await
        .unwrap();
    assert_eq!(lost.status(), 404);
    // The admin server says the same as the world.
    let admin = client.world.admin().to_owned();
    let stat = client
        .http
        .get(format!("{admin}/stat?profile=ali"))
        .send()
        .await
        .unwrap();
    let stat: Value = stat.json().await.unwrap();
    assert_eq!(
        stat["requests"]["list"],
        client.world.stat("ali").unwrap().count("list")
    );
    let fault = json!({ "profile": "ali", "op": "list", "kind": "wrong" });
    let bad = client
        .http
        .post(format!("{admin}/fault"))
        .json(&fault)
        .send()
        .await
        .unwrap();
    assert!(bad.status().is_client_error());
}
