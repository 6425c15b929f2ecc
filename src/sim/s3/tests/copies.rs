//! Copies of objects.

use super::*;

#[tokio::test]
async fn copies_keep_or_replace_metadata() {
    let s3 = Client::new();
    let put = s3
        .ask("PUT", "d/a+b c")
        .h("x-amz-meta-a", "1")
        .body("bytes");
    let tag = put.go().await.fine().header("etag").to_owned();
    let copy = s3.copying("d/a+b c", "e/f").go().await.fine();
    assert_eq!(copy.xml().name, "CopyObjectResult");
    assert_eq!(copy.value("ETag"), tag);
    assert!(copy.value("LastModified").ends_with(".000Z"));
    let got = s3.get("e/f").await.fine();
    assert_eq!(
        (got.text().as_str(), got.header("x-amz-meta-a")),
        ("bytes", "1")
    );
    let ask = s3.copying("e/f", "e/f");
    ask.go().await.fails(400, "InvalidRequest");
    let ask = s3
        .copying("e/f", "e/f")
        .h("x-amz-metadata-directive", "REPLACE");
    ask.h("x-amz-meta-b", "2").go().await.fine();
    let got = s3.get("e/f").await.fine();
    assert_eq!(
        (got.header("x-amz-meta-a"), got.header("x-amz-meta-b")),
        ("", "2")
    );
    let ask = s3.copying("e/f", "g").h("x-amz-metadata-directive", "KEEP");
    ask.go().await.fails(400, "InvalidArgument");
    assert_eq!(s3.stat().count("copy"), 4);
    assert_eq!(s3.stat().bytes_up, 5);
}

#[tokio::test]
async fn sources_are_checked() {
    let s3 = Client::new();
    s3.seed("/a", b"1");
    s3.copying("none", "b").go().await.fails(404, "NoSuchKey");
    let from = |source: &str| s3.ask("PUT", "b").h("x-amz-copy-source", source).go();
    from("/panfuse-sim-2/a").await.fails(403, "AccessDenied");
    from("/nobodys-bucket/a").await.fails(404, "NoSuchBucket");
    from("nothing").await.fails(400, "InvalidArgument");
    from("panfuse-sim-1/a?versionId=3")
        .await
        .fails(400, "InvalidArgument");
    from("panfuse-sim-1/a?versionId=null").await.fine();
    let tag = md5(b"1");
    for (name, value, fine) in [
        ("if-match", tag.as_str(), true),
        ("if-match", "x", false),
        ("if-none-match", &tag, false),
        ("if-none-match", "x", true),
        (
            "if-unmodified-since",
            "Sun, 02 Jan 2000 00:00:00 GMT",
            false,
        ),
        ("if-modified-since", "Sun, 02 Jan 2000 00:00:00 GMT", true),
    ] {
        let ask = s3
            .copying("a", "b")
            .h(&format!("x-amz-copy-source-{name}"), value);
        let got = ask.go().await;
        match fine {
            true => drop(got.fine()),
            false => got.fails(412, "PreconditionFailed"),
        }
    }
    let source = SeedSource::Synthetic { seed: 7 };
    s3.world
        .seed("s3", "/large", (5 << 30) + 1, &source)
        .unwrap();
    s3.copying("large", "b")
        .go()
        .await
        .fails(400, "InvalidRequest");
}

#[tokio::test]
async fn targets_are_overwritten_unless_the_server_looks() {
    let s3 = Client::new();
    s3.seed("/a", b"1");
    s3.seed("/b", b"2");
    s3.copying("a", "b")
        .h("if-none-match", "*")
        .go()
        .await
        .fine();
    assert_eq!(s3.get("b").await.text(), "1");
    s3.set("copy_conditions", "yes");
    let ask = s3.copying("a", "b").h("if-none-match", "*");
    ask.go().await.fails(412, "PreconditionFailed");
    s3.copying("a", "c")
        .h("if-none-match", "*")
        .go()
        .await
        .fine();
}

#[tokio::test]
async fn copies_fail() {
    let s3 = Client::new();
    s3.seed("/a", b"1");
    s3.set("copy_error", "SlowDown");
    s3.copying("a", "b").go().await.fails(200, "SlowDown");
    s3.set("copy_error", "");
    s3.fault("copy", FaultKind::CommitFail, "");
    s3.copying("a", "b").go().await.fails(500, "InternalError");
    assert_eq!(s3.paths(), ["/a"]);
    s3.copying("a", "b").go().await.fine();
    assert_eq!(s3.paths(), ["/a", "/b"]);
}
