//! PUT, GET, HEAD of objects.

use super::*;

#[tokio::test]
async fn objects_come_back_as_they_were() {
    let s3 = Client::new();
    let put = s3
        .ask("PUT", "d/e/f.txt")
        .h("content-type", "text/plain")
        .h("cache-control", "no-cache")
        .h("x-amz-meta-mtime", "1706688000.25")
        .body("hello")
        .go()
        .await
        .fine();
    let tag = format!("\"{}\"", md5(b"hello"));
    assert_eq!(put.header("etag"), tag);
    let got = s3.get("d/e/f.txt").await.fine();
    assert_eq!(got.text(), "hello");
    for (name, value) in [
        ("etag", tag.as_str()),
        ("content-type", "text/plain"),
        ("cache-control", "no-cache"),
        ("x-amz-meta-mtime", "1706688000.25"),
        ("accept-ranges", "bytes"),
        ("content-length", "5"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    let head = s3.head("d/e/f.txt").await;
    assert_eq!((head.status, head.header("content-length")), (200, "5"));
    assert_eq!(head.header("last-modified"), got.header("last-modified"));
    assert!(head.body.is_empty());
    assert_eq!(s3.paths(), ["/d/", "/d/e/", "/d/e/f.txt"]);
    let stat = s3.stat();
    assert_eq!((stat.bytes_up, stat.bytes_down), (5, 5));
    assert_eq!(
        (
            stat.count("put"),
            stat.count("download"),
            stat.count("head")
        ),
        (1, 1, 1)
    );
    s3.put("empty", b"").await.fine();
    assert_eq!(
        s3.get("empty").await.fine().header("content-type"),
        "binary/octet-stream"
    );
    s3.get("none").await.fails(404, "NoSuchKey");
    let none = s3.head("none").await;
    assert_eq!((none.status, none.body.len()), (404, 0));
    // A prefix is no object.
    s3.get("d/").await.fails(404, "NoSuchKey");
    s3.get("d/e").await.fails(404, "NoSuchKey");
}

#[tokio::test]
async fn ranges() {
    let s3 = Client::new();
    s3.put("k", b"0123456789").await.fine();
    let ranged = |range: &'static str| s3.ask("GET", "k").h("range", range).go();
    let got = ranged("bytes=2-4").await;
    assert_eq!((got.status, got.text().as_str()), (206, "234"));
    assert_eq!(got.header("content-range"), "bytes 2-4/10");
    assert_eq!(ranged("bytes=-3").await.text(), "789");
    assert_eq!(ranged("bytes=8-99").await.text(), "89");
    assert_eq!(ranged("bytes=1-2,4-5").await.status, 200);
    let past = ranged("bytes=10-").await;
    past.fails(416, "InvalidRange");
    assert_eq!(past.header("content-range"), "bytes */10");
    assert_eq!(past.value("ActualObjectSize"), "10");
    let head = s3.ask("HEAD", "k").h("range", "bytes=2-4").go().await;
    assert_eq!((head.status, head.header("content-length")), (206, "3"));
    s3.put("empty", b"").await.fine();
    let got = s3.ask("GET", "empty").h("range", "bytes=0-").go().await;
    got.fails(416, "InvalidRange");
}

#[tokio::test]
async fn conditions_of_a_read() {
    let s3 = Client::new();
    let put = s3.put("k", b"1").await;
    let (tag, date) = (put.header("etag").to_owned(), {
        let head = s3.head("k").await;
        head.header("last-modified").to_owned()
    });
    let past = "Sun, 02 Jan 2000 00:00:00 GMT";
    for (name, value, status) in [
        ("if-match", tag.as_str(), 200),
        ("if-match", "\"other\"", 412),
        ("if-none-match", &tag, 304),
        ("if-none-match", "\"other\"", 200),
        ("if-modified-since", &date, 304),
        ("if-modified-since", past, 200),
        ("if-unmodified-since", &date, 200),
        ("if-unmodified-since", past, 412),
    ] {
        for method in ["GET", "HEAD"] {
            let got = s3.ask(method, "k").h(name, value).go().await;
            assert_eq!(got.status, status, "{method} {name}: {value}");
            if status == 304 {
                assert_eq!(got.header("etag"), tag);
            }
        }
    }
    s3.ask("GET", "k")
        .h("if-match", "\"x\"")
        .go()
        .await
        .fails(412, "PreconditionFailed");
}

#[tokio::test]
async fn conditions_of_an_upload() {
    let s3 = Client::new();
    let new = || s3.ask("PUT", "k").h("if-none-match", "*");
    new().body("1").go().await.fine();
    let again = new().body("2").go().await;
    again.fails(412, "PreconditionFailed");
    assert_eq!(again.value("Condition"), "If-None-Match");
    assert_eq!(s3.stat().bytes_up, 1, "refused before the bytes came");
    let tagged = s3.ask("PUT", "k").h("if-none-match", "\"a\"").body("2");
    tagged.go().await.fails(501, "NotImplemented");
    let wrong = s3.ask("PUT", "k").h("if-match", "\"a\"").body("2");
    wrong.go().await.fails(412, "PreconditionFailed");
    let right = format!("\"{}\"", md5(b"1"));
    s3.ask("PUT", "k")
        .h("if-match", &right)
        .body("3")
        .go()
        .await
        .fine();
    s3.ask("PUT", "none")
        .h("if-match", &right)
        .body("3")
        .go()
        .await
        .fails(404, "NoSuchKey");
    assert_eq!(s3.get("k").await.text(), "3");
    s3.set("ignore_if_none_match", "true");
    new().body("4").go().await.fine();
    assert_eq!(s3.get("k").await.text(), "4");
}

#[tokio::test]
async fn of_two_who_create_one_wins() {
    let s3 = Client::new();
    let put = |body: &'static str| {
        let s3 = s3.clone();
        tokio::spawn(async move {
            let ask = s3.ask("PUT", "k").h("if-none-match", "*").body(body);
            ask.go().await.status
        })
    };
    let all: Vec<_> = ["1", "2", "3", "4", "5"].into_iter().map(put).collect();
    let mut seen = Vec::new();
    for one in all {
        seen.push(one.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, [200, 412, 412, 412, 412]);
}

#[tokio::test]
async fn what_arrives_is_checked() {
    let s3 = Client::new();
    let with = |name: &'static str, value: String| {
        let ask = s3
            .ask("PUT", "k")
            .payload("UNSIGNED-PAYLOAD")
            .h(name, &value);
        ask.body("123456789").go()
    };
    with("content-md5", md5_base64(b"other"))
        .await
        .fails(400, "BadDigest");
    with("content-md5", "short".to_owned())
        .await
        .fails(400, "InvalidDigest");
    with("content-md5", md5_base64(b"123456789")).await.fine();
    for (name, hexed) in [
        ("x-amz-checksum-crc32", "cbf43926"),
        ("x-amz-checksum-crc32c", "e3069283"),
        ("x-amz-checksum-crc64nvme", "ae8b14860a799888"),
        (
            "x-amz-checksum-sha1",
            "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
        ),
        ("x-amz-checksum-sha256", sha256(b"123456789").as_str()),
    ] {
        let mut bytes = super::super::checksums::unhex(hexed);
        let value = STANDARD.encode(&bytes);
        let put = with(name, value.clone()).await.fine();
        assert_eq!(put.header(name), value);
        let got = s3
            .ask("GET", "k")
            .h("x-amz-checksum-mode", "ENABLED")
            .go()
            .await;
        assert_eq!(got.header(name), value);
        assert_eq!(s3.get("k").await.header(name), "");
        bytes[0] ^= 1;
        with(name, STANDARD.encode(&bytes))
            .await
            .fails(400, "BadDigest");
        with(name, "AAA=".to_owned())
            .await
            .fails(400, "InvalidRequest");
    }
    let two = s3
        .ask("PUT", "k")
        .h("x-amz-checksum-crc32", "AAAAAA==")
        .h("x-amz-checksum-crc32c", "AAAAAA==");
    two.body("x").go().await.fails(400, "InvalidRequest");
    let trailer = s3
        .ask("PUT", "k")
        .h("x-amz-trailer", "x-amz-checksum-crc32");
    trailer.body("x").go().await.fails(501, "NotImplemented");
    assert_eq!(s3.get("k").await.text(), "123456789");
}

#[tokio::test]
async fn what_a_put_must_not_be() {
    let s3 = Client::new();
    let chunks = [Ok::<_, std::io::Error>(Bytes::from_static(b"1"))];
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let asked = || s3.ask("PUT", "k").payload("UNSIGNED-PAYLOAD").body("1");
    let silent = asked().signed().body("");
    s3.send(silent).await.fails(411, "MissingContentLength");
    let ask = asked().signed();
    s3.send(ask.body(body))
        .await
        .fails(411, "MissingContentLength");
    let long = "k".repeat(1025);
    s3.put(&long, b"1").await.fails(400, "KeyTooLongError");
    s3.put(&long[1..], b"1").await.fine();
    let ask = s3
        .ask("PUT", "m")
        .h("x-amz-meta-a", &"x".repeat(2048))
        .body("1");
    ask.go().await.fails(400, "MetadataTooLarge");
    for (name, value) in [
        ("x-amz-tagging", "a=b"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-storage-class", "GLACIER"),
        ("content-encoding", "aws-chunked"),
    ] {
        let ask = s3.ask("PUT", "m").h(name, value).body("1");
        ask.go().await.fails(501, "NotImplemented");
    }
    let ask = s3
        .ask("PUT", "m")
        .h("x-amz-storage-class", "SHELF")
        .body("1");
    ask.go().await.fails(400, "InvalidStorageClass");
    s3.ask("GET", "k")
        .q("versionId", "7")
        .go()
        .await
        .fails(400, "InvalidArgument");
    assert_eq!(s3.paths().len(), 1);
}

#[tokio::test]
async fn space_ends() {
    let s3 = Client::with(&[("total_size", "10")]);
    s3.put("a", b"12345678").await.fine();
    s3.put("b", b"123").await.fails(403, "QuotaExceeded");
    assert_eq!(s3.stat().bytes_up, 8);
    s3.put("b", b"12").await.fine();
    s3.put("a", b"87654321").await.fine();
    s3.copying("b", "c").go().await.fails(403, "QuotaExceeded");
}

#[tokio::test]
async fn keys_are_texts_and_no_paths() {
    let s3 = Client::new();
    for key in ["a//b", "/c", "x/", "x", "x/y"] {
        s3.put(key, key.as_bytes()).await.fine();
    }
    for key in ["a//b", "/c", "x/", "x", "x/y"] {
        assert_eq!(s3.get(key).await.fine().text(), key);
    }
    s3.get("a/b").await.fails(404, "NoSuchKey");
    s3.get("c").await.fails(404, "NoSuchKey");
    for key in ["a//b", "/c", "x/", "x"] {
        assert_eq!(s3.ask("DELETE", key).go().await.status, 204);
    }
    assert_eq!(s3.paths(), ["/x/", "/x/y"]);
}
