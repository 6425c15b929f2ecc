//! Uploads in parts.

use super::*;

async fn begin(s3: &Client, key: &str) -> String {
    let got = s3.ask("POST", key).q("uploads", "").go().await.fine();
    assert_eq!(got.value("Key"), key);
    got.value("UploadId")
}

fn part<'a>(s3: &'a Client, key: &str, id: &str, number: &str) -> Ask<'a> {
    let ask = s3.ask("PUT", key).q("partNumber", number);
    ask.q("uploadId", id)
}

fn list_of(parts: &[(u32, &str)]) -> String {
    let parts: String = parts
        .iter()
        .map(|(number, tag)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{tag}\"</ETag></Part>")
        })
        .collect();
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}\
         </CompleteMultipartUpload>"
    )
}

fn complete<'a>(s3: &'a Client, key: &str, id: &str, parts: &[(u32, &str)]) -> Ask<'a> {
    s3.ask("POST", key).q("uploadId", id).body(list_of(parts))
}

#[tokio::test]
async fn parts_become_an_object() {
    let s3 = Client::with(&[("min_part", "4")]);
    let ask = s3
        .ask("POST", "d/k")
        .q("uploads", "")
        .h("x-amz-meta-a", "1");
    let id = ask
        .h("content-type", "text/x")
        .go()
        .await
        .fine()
        .value("UploadId");
    for (number, body) in [("1", "wrong"), ("3", "tail"), ("1", "head"), ("2", "belly")] {
        let got = part(&s3, "d/k", &id, number).body(body).go().await.fine();
        assert_eq!(got.header("etag"), format!("\"{}\"", md5(body.as_bytes())));
    }
    assert!(s3.paths().is_empty());
    let open = s3.world.tree("s3").unwrap();
    assert_eq!(open["uploads"][0]["name"], "d/k");
    assert_eq!(open["uploads"][0]["bytes"], 13);
    let tags = [md5(b"head"), md5(b"belly"), md5(b"tail")];
    let parts: Vec<(u32, &str)> = (1..).zip(tags.iter().map(String::as_str)).collect();
    let done = complete(&s3, "d/k", &id, &parts).go().await.fine();
    assert_eq!(done.xml().name, "CompleteMultipartUploadResult");
    let joined = tags
        .iter()
        .flat_map(|tag| super::super::checksums::unhex(tag));
    let tag = format!("\"{}-3\"", md5(&joined.collect::<Vec<u8>>()));
    assert_eq!(done.value("ETag"), tag);
    let got = s3.get("d/k").await.fine();
    assert_eq!(got.text(), "headbellytail");
    assert_eq!(
        (got.header("etag"), got.header("x-amz-meta-a")),
        (tag.as_str(), "1")
    );
    assert_eq!(got.header("content-type"), "text/x");
    complete(&s3, "d/k", &id, &parts)
        .go()
        .await
        .fails(404, "NoSuchUpload");
    let stat = s3.stat();
    assert_eq!(
        (
            stat.count("create"),
            stat.count("part"),
            stat.count("commit")
        ),
        (1, 4, 2)
    );
    assert_eq!(stat.bytes_up, 18);
    // A copy is one piece.
    let copy = s3.copying("d/k", "c").go().await.fine();
    assert_eq!(copy.value("ETag"), format!("\"{}\"", md5(b"headbellytail")));
}

#[tokio::test]
async fn what_a_commit_must_not_be() {
    let s3 = Client::new();
    let id = begin(&s3, "k").await;
    for (number, body) in [("1", "12345"), ("2", "67890")] {
        part(&s3, "k", &id, number).body(body).go().await.fine();
    }
    let (one, two) = (md5(b"12345"), md5(b"67890"));
    let small = complete(&s3, "k", &id, &[(1, &one), (2, &two)]).go().await;
    small.fails(400, "EntityTooSmall");
    assert_eq!(small.value("MinSizeAllowed"), "5242880");
    assert_eq!(small.value("PartNumber"), "1");
    s3.set("min_part", "5");
    let swapped = complete(&s3, "k", &id, &[(2, &two), (1, &one)]).go().await;
    swapped.fails(400, "InvalidPartOrder");
    complete(&s3, "k", &id, &[(1, &one), (1, &one)])
        .go()
        .await
        .fails(400, "InvalidPartOrder");
    complete(&s3, "k", &id, &[(1, &two)])
        .go()
        .await
        .fails(400, "InvalidPart");
    complete(&s3, "k", &id, &[(3, &one)])
        .go()
        .await
        .fails(400, "InvalidPart");
    complete(&s3, "k", &id, &[])
        .go()
        .await
        .fails(400, "MalformedXML");
    complete(&s3, "k", &id, &[(0, &one)])
        .go()
        .await
        .fails(400, "MalformedXML");
    let ask = s3.ask("POST", "k").q("uploadId", &id).body("<x>");
    ask.go().await.fails(400, "MalformedXML");
    complete(&s3, "other", &id, &[(1, &one)])
        .go()
        .await
        .fails(404, "NoSuchUpload");
    let told = complete(&s3, "k", &id, &[(1, &one)]).h("x-amz-mp-object-size", "6");
    told.go().await.fails(400, "InvalidRequest");
    s3.seed("/k", b"there");
    let new = complete(&s3, "k", &id, &[(1, &one)]).h("if-none-match", "*");
    new.go().await.fails(412, "PreconditionFailed");
    s3.set("commit_error", "InternalError");
    let late = complete(&s3, "k", &id, &[(1, &one)]).go().await;
    late.fails(200, "InternalError");
    assert_eq!(s3.get("k").await.text(), "there");
    s3.set("commit_error", "");
    s3.fault("commit", FaultKind::CommitFail, "503");
    complete(&s3, "k", &id, &[(1, &one)])
        .go()
        .await
        .fails(503, "SlowDown");
    // Parts that are not named are forgotten.
    complete(&s3, "k", &id, &[(2, &two)]).go().await.fine();
    assert_eq!(s3.get("k").await.text(), "67890");
}

#[tokio::test]
async fn what_a_part_must_not_be() {
    let s3 = Client::with(&[("total_size", "10")]);
    let id = begin(&s3, "k").await;
    for number in ["0", "10001", "x", ""] {
        let got = part(&s3, "k", &id, number).body("1").go().await;
        got.fails(400, "InvalidArgument");
    }
    part(&s3, "k", &id, "10000").body("12345").go().await.fine();
    part(&s3, "k", "nothing", "1")
        .body("1")
        .go()
        .await
        .fails(404, "NoSuchUpload");
    part(&s3, "other", &id, "1")
        .body("1")
        .go()
        .await
        .fails(404, "NoSuchUpload");
    let bad = part(&s3, "k", &id, "1")
        .h("content-md5", &md5_base64(b"2"))
        .body("1");
    bad.go().await.fails(400, "BadDigest");
    part(&s3, "k", &id, "2")
        .body("123456")
        .go()
        .await
        .fails(403, "QuotaExceeded");
    s3.put("o", b"123456").await.fails(403, "QuotaExceeded");
    assert_eq!(
        s3.ask("DELETE", "k").q("uploadId", &id).go().await.status,
        204
    );
    s3.ask("DELETE", "k")
        .q("uploadId", &id)
        .go()
        .await
        .fails(404, "NoSuchUpload");
    s3.put("o", b"123456").await.fine();
    assert_eq!(
        s3.world.tree("s3").unwrap()["uploads"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test]
async fn parts_are_listed() {
    let s3 = Client::new();
    let id = begin(&s3, "k").await;
    for number in ["7", "2", "5"] {
        part(&s3, "k", &id, number).body(number).go().await.fine();
    }
    let ask = |query: &[(&str, &str)]| {
        let ask = s3.ask("GET", "k").q("uploadId", &id);
        query
            .iter()
            .fold(ask, |ask, (name, value)| ask.q(name, value))
            .go()
    };
    let numbers = |got: &Got| -> Vec<String> {
        let root = got.xml();
        let parts = root.all("Part");
        parts
            .map(|part| part.text_of("PartNumber").unwrap().to_owned())
            .collect()
    };
    let got = ask(&[]).await.fine();
    assert_eq!(numbers(&got), ["2", "5", "7"]);
    let first = got.xml();
    let first = first.child("Part").unwrap();
    assert_eq!(
        first.text_of("ETag"),
        Some(format!("\"{}\"", md5(b"2")).as_str())
    );
    assert_eq!(first.text_of("Size"), Some("1"));
    let got = ask(&[("max-parts", "2")]).await.fine();
    assert_eq!(
        (numbers(&got).len(), got.value("IsTruncated")),
        (2, "true".to_owned())
    );
    assert_eq!(got.value("NextPartNumberMarker"), "5");
    let got = ask(&[("max-parts", "2"), ("part-number-marker", "5")])
        .await
        .fine();
    assert_eq!(
        (numbers(&got), got.value("IsTruncated")),
        (vec!["7".into()], "false".to_owned())
    );
    s3.ask("GET", "k")
        .q("uploadId", "x")
        .go()
        .await
        .fails(404, "NoSuchUpload");
    assert_eq!(s3.stat().count("parts"), 4);
}

#[tokio::test]
async fn uploads_are_listed() {
    let s3 = Client::new();
    let mut ids = Vec::new();
    for key in ["b", "a", "d/1", "b", "d/2"] {
        ids.push(begin(&s3, key).await);
    }
    let ask = |query: &[(&str, &str)]| {
        let ask = s3.ask("GET", "").q("uploads", "");
        query
            .iter()
            .fold(ask, |ask, (name, value)| ask.q(name, value))
            .go()
    };
    let rows = |got: &Got| -> Vec<(String, String)> {
        let root = got.xml();
        assert_eq!(root.name, "ListMultipartUploadsResult");
        let text = |one: &Element, name: &str| one.text_of(name).unwrap().to_owned();
        let all = root.all("Upload");
        all.map(|one| (text(one, "Key"), text(one, "UploadId")))
            .collect()
    };
    let pair = |key: &str, id: usize| (key.to_owned(), ids[id].clone());
    let all = [
        pair("a", 1),
        pair("b", 0),
        pair("b", 3),
        pair("d/1", 2),
        pair("d/2", 4),
    ];
    assert_eq!(rows(&ask(&[]).await.fine()), all);
    assert_eq!(rows(&ask(&[("prefix", "d/")]).await.fine()), all[3..]);
    assert_eq!(rows(&ask(&[("key-marker", "b")]).await.fine()), all[3..]);
    let mut seen = Vec::new();
    let (mut key, mut id) = (String::new(), String::new());
    loop {
        let query = [
            ("max-uploads", "2"),
            ("key-marker", key.as_str()),
            ("upload-id-marker", id.as_str()),
        ];
        let got = ask(&query).await.fine();
        seen.extend(rows(&got));
        (key, id) = (got.value("NextKeyMarker"), got.value("NextUploadIdMarker"));
        if got.value("IsTruncated") == "false" {
            break;
        }
    }
    assert_eq!(seen, all);
    let got = ask(&[("delimiter", "/")]).await.fine();
    assert_eq!(rows(&got).len(), 3);
    let root = got.xml();
    let prefix = root.child("CommonPrefixes").unwrap();
    assert_eq!(prefix.text_of("Prefix"), Some("d/"));
    let other = Client::of(s3.world.clone(), "s3-2");
    let got = other.ask("GET", "").q("uploads", "").go().await.fine();
    assert!(rows(&got).is_empty());
}

#[tokio::test]
async fn parts_are_copied() {
    let s3 = Client::with(&[("min_part", "1")]);
    s3.seed("/s p", b"0123456789");
    let id = begin(&s3, "k").await;
    let source = format!("/{}/s%20p", s3.bucket);
    let copy = |number: &'static str, range: &'static str| {
        let ask = part(&s3, "k", &id, number).h("x-amz-copy-source", &source);
        match range {
            "" => ask.go(),
            range => ask.h("x-amz-copy-source-range", range).go(),
        }
    };
    let got = copy("1", "bytes=2-4").await.fine();
    assert_eq!(got.xml().name, "CopyPartResult");
    assert_eq!(got.value("ETag"), format!("\"{}\"", md5(b"234")));
    copy("2", "").await.fine();
    for range in ["bytes=5-10", "bytes=5-", "5-6"] {
        copy("3", range).await.fails(400, "InvalidArgument");
    }
    let tags = [md5(b"234"), md5(b"0123456789")];
    complete(&s3, "k", &id, &[(1, &tags[0]), (2, &tags[1])])
        .go()
        .await
        .fine();
    assert_eq!(s3.get("k").await.text(), "2340123456789");
    assert_eq!(s3.stat().count("part_copy"), 5);
    assert_eq!(s3.stat().bytes_up, 0);
}
