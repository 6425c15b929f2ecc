//! Fast uploads: by MD5s, and with the proof of the cookie API.

use serde_json::json;

use super::super::super::server::SeedSource;
use super::super::super::{Blob, HashKind};
use super::super::proof;
use super::uploads::{bytes_of, create, md5, precreate, put_slice, small};
use super::{Client, world};

#[tokio::test]
async fn fast_uploads() {
    let client = small().await;
    client.set("slice_size", "4194304");
    let size = (4 << 20) + 5000;
    let blob = Blob::synthetic(9, size);
    let content = blob.digest(HashKind::Md5).await;
    let head = blob.digest(HashKind::HeadMd5(262_144)).await;
    let list: Vec<String> = blob
        .digest(HashKind::BlockMd5(4 << 20))
        .await
        .split(',')
        .map(str::to_owned)
        .collect();
    let list = json!(list).to_string();
    let fast = async |list: &str, content: &str, head: &str, rtype: &str| {
        let more = [
            ("content-md5", content),
            ("slice-md5", head),
            ("rtype", rtype),
        ];
        precreate(&client, "/d/fast.bin", size, list, &more).await
    };
    assert_eq!(
        fast(&list, &content, &head, "3").await["return_type"],
        1,
        "nobody has it"
    );
    client
        .world
        .seed(
            "baidu-2",
            "/theirs",
            size,
            &SeedSource::Synthetic { seed: 9 },
        )
        .unwrap();
    let zeros = "0".repeat(32);
    let wrong = json!([zeros, zeros]).to_string();
    let gamble = json!([content]).to_string();
    for (list, content, head) in [
        (list.as_str(), zeros.as_str(), head.as_str()),
        (&list, &content, &zeros),
        (&wrong, &content, &head),
        (&gamble, &content, &head),
    ] {
        let answer = fast(list, content, head, "3").await;
        assert_eq!(
            (&answer["errno"], &answer["return_type"]),
            (&json!(0), &json!(1))
        );
    }
    // The session of a gamble that was lost takes no slices.
    let lost = fast(&gamble, &content, &head, "3").await;
    let id = lost["uploadid"].as_str().unwrap();
    assert_eq!(
        put_slice(&client, id, "0", &bytes_of(9, size)).await.1["error_code"],
        31364
    );
    assert_eq!(
        fast(&list, &content, "", "3").await["return_type"],
        1,
        "slice-md5 is needed"
    );
    client.set("fast", "never");
    assert_eq!(fast(&list, &content, &head, "3").await["return_type"], 1);
    client.set("fast", "normal");
    let before = client.world.stat("baidu").unwrap();
    assert_eq!((before.rapid_hits, before.rapid_misses), (0, 7));
    let hit = fast(&list, &content, &head, "3").await;
    assert_eq!(
        (&hit["return_type"], &hit["info"]["path"]),
        (&json!(2), &json!("/d/fast.bin"))
    );
    assert!(hit["info"]["request_id"].is_f64() && hit["uploadid"].is_null());
    assert_eq!(
        client.item("/d", "fast.bin").await["fs_id"],
        hit["info"]["fs_id"]
    );
    assert_eq!(fast(&list, &content, &head, "0").await["errno"], -8);
    let renamed = fast(&list, &content, &head, "1").await;
    assert!(
        renamed["info"]["path"]
            .as_str()
            .unwrap()
            .starts_with("/d/fast_20")
    );
    client.set("gamble", "hit");
    assert_eq!(fast(&gamble, &content, &head, "3").await["return_type"], 2);
    client.set("fast_min", &(size + 1).to_string());
    assert_eq!(fast(&list, &content, &head, "3").await["return_type"], 1);
    // Larger slices are for members.
    client.set("fast_min", "0");
    client.set("gamble", "miss");
    let one = json!([content]).to_string();
    client.set("vip", "1");
    assert_eq!(fast(&one, &content, &head, "3").await["return_type"], 2);
    assert_eq!(client.world.stat("baidu").unwrap().rapid_hits, 4 + 1);
}

#[tokio::test]
async fn the_proof_of_the_cookie_api() {
    let world = world();
    let client = Client::of(&world, "baidu-cookie").await;
    client.mkdir("/d");
    let blob = Blob::synthetic(5, 300_000);
    let content = blob.digest(HashKind::Md5).await;
    let head = blob.digest(HashKind::HeadMd5(262_144)).await;
    world
        .seed(
            "baidu-2",
            "/theirs",
            300_000,
            &SeedSource::Synthetic { seed: 5 },
        )
        .unwrap();
    let now = world.clock().now_s();
    let ask = async |time: i64, shift: u64, name: &str| {
        let offset = proof::offset(987_654_321_001, &content, time, 300_000) + shift;
        let (length, text) = proof::content(&blob, offset - shift);
        let (path, time) = (format!("/d/{name}"), time.to_string());
        let (offset, length) = (offset.to_string(), length.to_string());
        let form = [
            ("path", path.as_str()),
            ("target_path", "/d/"),
            ("size", "300000"),
            ("isdir", "0"),
            ("rtype", "0"),
            ("checkexist", "0"),
            ("autoinit", "1"),
            ("mode", "1"),
            ("content-md5", content.as_str()),
            ("slice-md5", head.as_str()),
            ("block_list", "[\"5910a591dd8fc18c32a8f3df4fdc1761\"]"),
            ("data_time", time.as_str()),
            ("data_offset", offset.as_str()),
            ("data_length", length.as_str()),
            ("data_content", text.as_str()),
        ];
        client.post("/api/precreate", &form).await["return_type"].clone()
    };
    assert_eq!(ask(now, 1, "a").await, 1, "another place");
    assert_eq!(ask(now - 4000, 0, "a").await, 1, "long ago");
    assert_eq!(ask(now, 0, "a").await, 2);
    assert_eq!(client.item("/d", "a").await["size"], 300_000);
    // Not proven to an app: there the digests decide.
    let form = [
        ("path", "/d/b"),
        ("size", "300000"),
        ("isdir", "0"),
        ("autoinit", "1"),
        ("content-md5", content.as_str()),
        ("slice-md5", head.as_str()),
        ("block_list", "[\"5910a591dd8fc18c32a8f3df4fdc1761\"]"),
    ];
    assert_eq!(
        client.post("/api/precreate", &form).await["return_type"],
        1,
        "no proof"
    );
    assert_eq!(
        client.file("precreate", &form).await["return_type"],
        1,
        "no block list"
    );
    // With slices and the dummy list: the real list comes with `create`.
    let bytes = bytes_of(6, 300_000);
    let opened = client.post("/api/precreate", &form).await;
    let id = opened["uploadid"].as_str().unwrap();
    assert_eq!(put_slice(&client, id, "0", &bytes).await.0, 200);
    let list = json!([md5(&bytes)]).to_string();
    assert_eq!(
        create(&client, "/d/b", 300_000, id, &list, "0").await["errno"],
        0
    );
}
