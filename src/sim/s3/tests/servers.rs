//! Buckets, what servers do differently, and faults on the way.

use super::*;

#[tokio::test]
async fn buckets() {
    let s3 = Client::new();
    let head = s3.ask("HEAD", "").go().await;
    assert_eq!(
        (head.status, head.header("x-amz-bucket-region")),
        (200, "eu-north-1")
    );
    let head = |bucket: &str| s3.at("HEAD", &format!("/{bucket}")).go();
    assert_eq!(head("panfuse-sim-2").await.status, 403);
    assert_eq!(head("nobodys-bucket").await.status, 404);
    let location = s3.ask("GET", "").q("location", "").go().await.fine();
    assert_eq!(location.xml().text, "eu-north-1");
    let all = s3.at("GET", "/").go().await.fine().xml();
    let bucket = all.child("Buckets").unwrap().child("Bucket").unwrap();
    assert_eq!(bucket.text_of("Name"), Some("panfuse-sim-1"));
    s3.ask("PUT", "")
        .go()
        .await
        .fails(409, "BucketAlreadyOwnedByYou");
    s3.at("PUT", "/panfuse-sim-2")
        .go()
        .await
        .fails(409, "BucketAlreadyExists");
    s3.at("PUT", "/a-new-one")
        .go()
        .await
        .fails(403, "AccessDenied");
    s3.seed("/k", b"1");
    s3.ask("DELETE", "").go().await.fails(409, "BucketNotEmpty");
    assert_eq!(s3.stat().count("head_bucket"), 3);
}

#[tokio::test]
async fn tags_in_listings() {
    let s3 = Client::new();
    s3.seed("/k", b"1");
    let tag = || async {
        let got = s3
            .ask("GET", "")
            .q("list-type", "2")
            .go()
            .await
            .fine()
            .xml();
        let first = got.child("Contents").unwrap();
        first.text_of("ETag").map(str::to_owned)
    };
    assert_eq!(tag().await, Some(format!("\"{}\"", md5(b"1"))));
    s3.set("etag_in_list", "unquoted");
    assert_eq!(tag().await, Some(md5(b"1")));
    s3.set("etag_in_list", "absent");
    assert_eq!(tag().await, None);
    s3.set("flavour", "rclone");
    s3.set("etag_in_list", "quoted");
    s3.set("etag", "opaque");
    let head = s3.head("k").await.header("etag").to_owned();
    assert_ne!(head, format!("\"{}\"", md5(b"1")));
    assert_eq!(head.len(), 34);
    assert_eq!(tag().await, Some(head));
    assert!(s3.world.set("s3", "etag_in_list", "maybe").is_err());
    assert!(s3.world.set("s3", "no_such_knob", "1").is_err());
}

#[tokio::test]
async fn a_marker_that_becomes_a_file() {
    let s3 = Client::with(&[("marker_is_file", "true")]);
    s3.put("dir/", b"").await.fine();
    assert_eq!(s3.paths(), ["/dir"]);
    s3.put("dir/f", b"1").await.fails(500, "InternalError");
    s3.put("dir/e/f", b"1").await.fails(500, "InternalError");
    s3.put("other/f", b"1").await.fine();
    s3.put("other/", b"").await.fails(500, "InternalError");
    assert_eq!(s3.ask("DELETE", "dir/").go().await.status, 204);
    s3.put("dir/f", b"1").await.fine();
    assert_eq!(s3.paths(), ["/dir/", "/dir/f", "/other/", "/other/f"]);
}

#[tokio::test]
async fn seeded_files_may_look_as_if_they_came_in_parts() {
    let s3 = Client::with(&[("seed_part_size", "4")]);
    s3.seed("/k", b"headtail!");
    let joined = [&b"head"[..], b"tail", b"!"].map(|part| Md5::digest(part).to_vec());
    let tag = format!("\"{}-3\"", md5(&joined.concat()));
    assert_eq!(s3.head("k").await.header("etag"), tag);
    s3.seed("/small", b"1234");
    assert_eq!(
        s3.head("small").await.header("etag"),
        format!("\"{}\"", md5(b"1234"))
    );
    s3.set("multipart_etag", "whole");
    s3.set("min_part", "1");
    let id = s3
        .ask("POST", "w")
        .q("uploads", "")
        .go()
        .await
        .value("UploadId");
    let ask = s3
        .ask("PUT", "w")
        .q("partNumber", "1")
        .q("uploadId", &id)
        .body("x");
    ask.go().await.fine();
    let list = format!(
        "<CompleteMultipartUpload><Part><ETag>{}</ETag><PartNumber>1</PartNumber></Part>\
         </CompleteMultipartUpload>",
        md5(b"x")
    );
    s3.ask("POST", "w")
        .q("uploadId", &id)
        .body(list)
        .go()
        .await
        .fine();
    assert_eq!(
        s3.head("w").await.header("etag"),
        format!("\"{}\"", md5(b"x"))
    );
}

#[tokio::test]
async fn faults_of_bodies() {
    let s3 = Client::new();
    s3.seed("/k", &[b'x'; 4000]);
    s3.fault("download", FaultKind::Cut, "1000");
    let answer = s3.ask("GET", "k").signed().send().await.unwrap();
    assert!(answer.bytes().await.is_err());
    assert_eq!(s3.stat().bytes_down, 1000);
    s3.fault("download", FaultKind::Corrupt, "");
    let got = s3.get("k").await.fine();
    assert_ne!(got.body, [b'x'; 4000].as_slice());
    // What breaks off leaves nothing behind.
    s3.fault("put", FaultKind::Cut, "10");
    assert!(
        s3.ask("PUT", "n")
            .body([1; 4000])
            .signed()
            .send()
            .await
            .is_err()
    );
    s3.get("n").await.fails(404, "NoSuchKey");
    // A bit that flips on the way is seen when the payload is signed, else the tag tells.
    s3.fault("put", FaultKind::Corrupt, "");
    s3.put("n", b"12345")
        .await
        .fails(400, "XAmzContentSHA256Mismatch");
    s3.fault("put", FaultKind::Corrupt, "");
    let ask = s3.ask("PUT", "n").payload("UNSIGNED-PAYLOAD").body("12345");
    assert_ne!(
        ask.go().await.fine().header("etag"),
        format!("\"{}\"", md5(b"12345"))
    );
    s3.fault("put", FaultKind::DropAnswer, "");
    assert!(s3.ask("PUT", "o").body("1").signed().send().await.is_err());
    assert_eq!(s3.get("o").await.text(), "1");
    s3.fault("put", FaultKind::CommitFail, "");
    s3.put("p", b"1").await.fails(500, "InternalError");
    s3.get("p").await.fails(404, "NoSuchKey");
    s3.fault("head", FaultKind::ExpireToken, "");
    assert_eq!(s3.head("o").await.status, 400);
    assert_eq!(s3.head("o").await.status, 200);
    s3.world.corrupt("s3", "/k").unwrap();
    let got = s3.get("k").await.fine();
    assert_eq!(got.header("etag"), format!("\"{}\"", md5(&[b'x'; 4000])));
    assert_ne!(md5(&got.body), md5(&[b'x'; 4000]));
}

#[tokio::test]
async fn too_many_calls() {
    let s3 = Client::with(&[("calls_per_second", "1")]);
    s3.seed("/k", b"1");
    let mut seen = Vec::new();
    for _ in 0..10 {
        seen.push(s3.head("k").await.status);
    }
    assert_eq!(seen[0], 200);
    assert!(seen.contains(&503), "{seen:?}");
}
