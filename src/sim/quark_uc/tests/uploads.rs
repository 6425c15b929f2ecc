//! Uploads: by hash, by parts in both modes, and what the store refuses.

use serde_json::{Value, json};

use super::super::super::content::Blob;
use super::super::super::faults::FaultKind;
use super::super::super::server::SeedSource;
use super::super::prefix::Prefix;
use super::{Client, pattern, told};

const PART: usize = 256 << 10;

/// The header of a part that `before` comes in front of.
fn context(before: &[u8]) -> String {
    Prefix::EMPTY
        .and(&Blob::bytes(before.to_vec()))
        .unwrap()
        .header()
}

#[tokio::test]
async fn known_content_needs_no_bytes() {
    for client in [Client::quark(), Client::uc()] {
        let bytes = pattern(300_000);
        let other = format!("{}-2", client.name());
        let source = SeedSource::Bytes(bytes.clone().into());
        client
            .world
            .seed(&other, "/theirs.bin", 0, &source)
            .unwrap();
        let pre = client.pre("0", "mine.mp4", bytes.len(), true).await;
        assert_eq!(pre["finish"], false);
        let hit = client.hash(&pre, &bytes).await;
        assert_eq!((&hit["finish"], &hit["fid"]), (&json!(true), &pre["fid"]));
        // Finishing it as well does no harm, nor does asking again.
        assert_eq!(client.finish(&pre).await["fid"], pre["fid"]);
        assert_eq!(client.hash(&pre, &bytes).await["finish"], true);
        assert_eq!(client.names("0").await, ["mine.mp4"]);
        let row = &client.list("0").await[0];
        assert_eq!(
            (&row["size"], &row["l_updated_at"]),
            (&json!(300_000), &json!(1_773_475_509_123_i64))
        );
        assert!(row["updated_at"].as_i64().unwrap() > 1_773_475_509_123);
        let stat = client.stat();
        assert_eq!(
            (stat.rapid_hits, stat.rapid_misses, stat.bytes_up),
            (1, 0, 0)
        );
        // A taken name.
        let pre = client.pre("0", "mine.mp4", bytes.len(), true).await;
        client.hash(&pre, &bytes).await;
        assert_eq!(client.names("0").await, ["mine(1).mp4", "mine.mp4"]);
        // One hash that differs, or the size, is a miss.
        let body = |md5: &str, sha1: &str, pre: &Value| json!({ "md5": md5, "sha1": sha1, "task_id": pre["task_id"] });
        let md5 = super::super::super::digest::md5_hex(&bytes);
        let sha1 = super::super::super::digest::sha1_hex(&bytes);
        let path = "/file/update/hash";
        let pre = client.pre("0", "x", bytes.len(), false).await;
        for (md5, sha1) in [(&*md5, &*"0".repeat(40)), (&*"0".repeat(32), &*sha1)] {
            assert_eq!(
                client.post(path, body(md5, sha1, &pre)).await["finish"],
                false
            );
        }
        let shorter = client.pre("0", "x", bytes.len() - 1, false).await;
        assert_eq!(
            client.post(path, body(&md5, &sha1, &shorter)).await["finish"],
            false
        );
        for (md5, sha1) in [
            (md5.to_uppercase(), sha1.clone()),
            (md5.clone(), "12".to_owned()),
        ] {
            assert_eq!(
                client.refused(path, body(&md5, &sha1, &pre)).await,
                (400, 14001)
            );
        }
        let nobody = json!({ "task_id": "none" });
        assert_eq!(
            client.refused(path, body(&md5, &sha1, &nobody)).await,
            (400, 14001)
        );
        assert_eq!(client.stat().rapid_misses, 3);
    }
}

#[tokio::test]
async fn parts_in_order() {
    // UC takes them in order whatever is asked for.
    for (client, parallel) in [(Client::quark(), false), (Client::uc(), true)] {
        client.set("part_size", &PART.to_string());
        let bytes = pattern(2 * PART + 1000);
        let pre = client.pre("0", "a.mp4", bytes.len(), parallel).await;
        let parts: Vec<&[u8]> = bytes.chunks(PART).collect();
        let (status, text) = client.part(&pre, 2, parts[1], None).await;
        assert_eq!(status, 400, "{text}");
        assert!(text.contains("PartNotSequential"));
        let mut etags = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let (status, etag) = client.part(&pre, index + 1, part, None).await;
            assert_eq!(status, 200, "{etag}");
            let md5 = super::super::super::digest::md5_hex(part).to_uppercase();
            assert_eq!(etag, format!("\"{md5}\""));
            etags.push(etag);
        }
        // Once more: told what is there.
        let (status, text) = client.part(&pre, 1, parts[0], None).await;
        assert_eq!(status, 409);
        let inner = etags[0].trim_matches('"');
        assert!(text.contains("PartAlreadyExist"), "{text}");
        assert!(
            text.contains(&format!("<PartEtag>&quot;{inner}&quot;</PartEtag>")),
            "{text}"
        );
        assert_eq!(
            client.world.tree(client.name()).unwrap()["uploads"][0]["parts"],
            3
        );
        // The hashes come before the completion, or the store knows nothing of it.
        let (status, text) = client.complete(&pre, &etags).await;
        assert_eq!(
            (status, text.contains("NoSuchUpload")),
            (404, true),
            "{text}"
        );
        assert_eq!(client.hash(&pre, &bytes).await["finish"], false);
        assert_eq!(
            client
                .refused("/file/upload/finish", Client::finish_body(&pre))
                .await,
            (400, 14001)
        );
        assert_eq!(client.complete(&pre, &etags).await.0, 200);
        assert_eq!(client.complete(&pre, &etags).await.0, 404);
        let done = client.finish(&pre).await;
        assert_eq!((&done["fid"], &done["finish"]), (&pre["fid"], &json!(true)));
        assert_eq!(client.finish(&pre).await, done);
        let tree = client.world.tree(client.name()).unwrap();
        assert_eq!(
            (&tree["items"][0]["path"], &tree["uploads"]),
            (&json!("/a.mp4"), &json!([]))
        );
        assert_eq!(
            client
                .world
                .read(client.name(), "/a.mp4", 0, u64::MAX)
                .unwrap(),
            bytes
        );
        let stat = client.stat();
        assert_eq!((stat.bytes_up, stat.rapid_misses), (bytes.len() as u64, 0));
        // Now others have it too.
        let other = Client::of(&client.world, &format!("{}-2", client.name()));
        let pre = other.pre("0", "b", bytes.len(), false).await;
        assert_eq!(other.hash(&pre, &bytes).await["finish"], true);
    }
}

#[tokio::test]
async fn parts_in_parallel() {
    let client = Client::quark();
    client.set("part_size", &PART.to_string());
    let bytes = pattern(3 * PART + 7);
    let parts: Vec<&[u8]> = bytes.chunks(PART).collect();
    let before = |number: usize| context(&bytes[..(number - 1) * PART]);
    let pre = client.pre("0", "p.mp4", bytes.len(), true).await;
    let answer = client
        .whole(
            "/file/upload/pre",
            json!({ "file_name": "y", "size": 5 << 30 }),
        )
        .await;
    assert_eq!(answer["metadata"]["part_thread"], 3);
    assert!(answer["metadata"]["part_size"].as_u64().unwrap() > PART as u64);
    client.hash(&pre, &bytes).await;
    // Any order; those whose predecessors are there are compared at once.
    let mut etags = vec![String::new(); 4];
    for number in [4, 1] {
        let wanted = (number > 1).then(|| before(number));
        let (status, etag) = client
            .part(&pre, number, parts[number - 1], wanted.as_deref())
            .await;
        assert_eq!(status, 200, "{etag}");
        etags[number - 1] = etag;
    }
    for wrong in [None, Some(before(3)), Some("e30=".to_owned())] {
        let (status, text) = client.part(&pre, 2, parts[1], wrong.as_deref()).await;
        assert_eq!(
            (status, text.contains("ContextCompareFailed")),
            (400, true),
            "{text}"
        );
    }
    for number in [3, 2] {
        let (_, etag) = client
            .part(&pre, number, parts[number - 1], Some(&before(number)))
            .await;
        etags[number - 1] = etag;
    }
    assert_eq!(client.complete(&pre, &etags).await.0, 200);
    client.finish(&pre).await;
    assert_eq!(
        client.world.read("quark", "/p.mp4", 0, u64::MAX).unwrap(),
        bytes
    );

    // A wrong one that could not be compared at once fails the completion.
    let bytes = [bytes, vec![1]].concat();
    let pre = client.pre("0", "q.mp4", bytes.len(), true).await;
    client.hash(&pre, &bytes).await;
    let halves = [&bytes[..2 * PART], &bytes[2 * PART..]];
    let (_, second) = client
        .part(&pre, 2, halves[1], Some(&context(&bytes[..PART])))
        .await;
    let (_, first) = client.part(&pre, 1, halves[0], None).await;
    let (status, text) = client.complete(&pre, &[first, second]).await;
    assert_eq!(
        (status, text.contains("ContextCompareFailed")),
        (400, true),
        "{text}"
    );
}

#[tokio::test]
async fn what_the_store_refuses() {
    let client = Client::quark();
    let bytes = pattern(200_000);
    let pre = client.pre("0", "a.mp4", bytes.len(), false).await;
    let ask = async || client.part_request(&pre, 1, &bytes, None).await;
    let refused = async |ask: reqwest::RequestBuilder| {
        let (status, text) = told(ask.send().await.unwrap()).await;
        let code = text
            .split("<Code>")
            .nth(1)
            .and_then(|rest| rest.split('<').next());
        (status, code.unwrap_or("").to_owned())
    };
    let code = |status: u16, code: &str| (status, code.to_owned());
    let changed = ask().await.header("x-oss-meta", "1");
    assert_eq!(refused(changed).await, code(403, "SignatureDoesNotMatch"));
    let leaking = ask().await.header("Cookie", client.cookie_line());
    assert_eq!(refused(leaking).await, code(400, "InvalidArgument"));
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes.clone())]);
    let chunked = ask().await.body(reqwest::Body::wrap_stream(stream));
    assert_eq!(refused(chunked).await, code(411, "MissingContentLength"));
    client.fault("part", FaultKind::ExpireLink, "");
    assert_eq!(
        refused(ask().await).await,
        code(403, "RequestTimeTooSkewed")
    );
    client.fault("part", FaultKind::Errno, "AccessDenied");
    assert_eq!(refused(ask().await).await, code(403, "AccessDenied"));
    let mut nowhere = pre.clone();
    nowhere["upload_id"] = json!("00");
    let url = format!(
        "{}/ul-zb/{}?partNumber=1&uploadId=00",
        client.profile.endpoints["oss"], "v3/x"
    );
    assert_eq!(
        refused(client.http.put(url).body("x")).await,
        code(404, "NoSuchUpload")
    );
    let url = format!(
        "{}/{}/{}?partNumber=1&uploadId={}",
        client.profile.endpoints["oss"],
        pre["bucket"].as_str().unwrap(),
        pre["obj_key"].as_str().unwrap(),
        pre["upload_id"].as_str().unwrap()
    );
    assert_eq!(
        refused(client.http.put(&url).body("x")).await,
        code(403, "AccessDenied")
    );
    assert_eq!(
        refused(client.http.get(&url)).await,
        code(405, "MethodNotAllowed")
    );

    // Signatures are for the own object only.
    let sign = |info: &Value, meta: &str| json!({ "auth_info": info, "auth_meta": meta, "task_id": pre["task_id"] });
    for body in [
        sign(
            &pre["auth_info"],
            "PUT\n\nx\nd\n/ul-zb/v3/other?partNumber=1&uploadId=00",
        ),
        sign(&json!("other"), "x"),
    ] {
        assert_eq!(
            client.refused("/file/upload/auth", body).await,
            (400, 14001)
        );
    }

    let (_, etag) = told(ask().await.send().await.unwrap()).await;
    client.hash(&pre, &bytes).await;
    let wrong = "\"00000000000000000000000000000000\"".to_owned();
    for etags in [vec![wrong], vec![etag.clone(), etag.clone()]] {
        let (status, text) = client.complete(&pre, &etags).await;
        assert_eq!(
            (status, text.contains("InvalidPart")),
            (400, true),
            "{text}"
        );
    }
    let other_md5 = client
        .complete_request(&pre, std::slice::from_ref(&etag))
        .await
        .body("<x/>");
    assert_eq!(refused(other_md5).await, code(400, "InvalidDigest"));
    let mut other = pre.clone();
    other["callback"] = json!({ "callbackUrl": "http://example.invalid/elsewhere" });
    let (status, text) = client.complete(&other, std::slice::from_ref(&etag)).await;
    assert_eq!(
        (status, text.contains("InvalidArgument")),
        (400, true),
        "{text}"
    );
    // The callback fails: stored all the same.
    client.fault("complete", FaultKind::CommitFail, "");
    let (status, text) = client.complete(&pre, &[etag]).await;
    assert_eq!(
        (status, text.contains("CallbackFailed")),
        (203, true),
        "{text}"
    );
    let wrong = json!({ "obj_key": "v3/other", "task_id": pre["task_id"] });
    assert_eq!(
        client.refused("/file/upload/finish", wrong).await,
        (400, 14001)
    );
    client.finish(&pre).await;
    assert_eq!(client.names("0").await, ["a.mp4"]);
}

#[tokio::test]
async fn other_bytes_than_declared() {
    let client = Client::quark();
    let bytes = pattern(5000);
    // A bit that flips on the way, a length that is not the declared one.
    for size in [5000, 5001] {
        let pre = client.pre("0", "a.mp4", size, false).await;
        client.hash(&pre, &bytes).await;
        if size == 5000 {
            client.fault("part", FaultKind::Corrupt, "");
        }
        let (_, etag) = client.part(&pre, 1, &bytes, None).await;
        let md5 = super::super::super::digest::md5_hex(&bytes).to_uppercase();
        assert_eq!(etag == format!("\"{md5}\""), size == 5001);
        assert_eq!(client.complete(&pre, &[etag]).await.0, 203);
        let finish = client
            .refused("/file/upload/finish", Client::finish_body(&pre))
            .await;
        assert_eq!(finish, (400, 31003));
    }
    let pre = client.pre("0", "a.mp4", 5000, false).await;
    client.hash(&pre, &bytes).await;
    let (_, etag) = client.part(&pre, 1, &bytes, None).await;
    client.complete(&pre, &[etag]).await;
    client.fault("finish", FaultKind::CommitFail, "");
    let finish = client
        .refused("/file/upload/finish", Client::finish_body(&pre))
        .await;
    assert_eq!(finish, (400, 31003));
    assert!(client.names("0").await.is_empty());
    assert_eq!(client.world.tree("quark").unwrap()["uploads"], json!([]));
}

#[tokio::test]
async fn preparing() {
    let client = Client::quark();
    let pre = |parent: &str, name: &str, size: Value| json!({ "pdir_fid": parent, "file_name": name, "size": size });
    let path = "/file/upload/pre";
    for (body, wanted) in [
        (pre("none", "a", json!(1)), (400, 41010)),
        (pre("0", "a/b", json!(1)), (400, 14001)),
        (pre("0", "a", json!(-1)), (400, 14001)),
        (pre("0", "a", Value::Null), (400, 14001)),
    ] {
        assert_eq!(client.refused(path, body).await, wanted);
    }
    // Empty files: like any other, at once, or not at all.
    client.upload("0", "empty.bin", b"").await;
    client.set("zero_byte", "at_once");
    let done = client.post(path, pre("0", "second", json!(0))).await;
    assert_eq!((&done["finish"], &done["size"]), (&json!(true), &json!(0)));
    client.set("zero_byte", "refuse");
    assert_eq!(
        client.refused(path, pre("0", "third", json!(0))).await,
        (400, 14001)
    );
    assert_eq!(client.names("0").await, ["empty.bin", "second"]);
    // The permission to ask for signatures ends.
    let late = client.pre("0", "late", 10, false).await;
    assert!(late["auth_info_expried"].as_str().unwrap().ends_with('Z'));
    client.world.clock_advance(43_200_000);
    client.drop_cookie("__puus");
    let body =
        json!({ "auth_info": late["auth_info"], "auth_meta": "x", "task_id": late["task_id"] });
    assert_eq!(
        client.refused("/file/upload/auth", body).await,
        (400, 14001)
    );
}
