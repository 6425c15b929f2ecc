//! Deletions.

use super::*;

fn document(keys: &[&str], quiet: bool) -> String {
    let keys: String = keys
        .iter()
        .map(|key| format!("<Object>{}</Object>", xml::tag("Key", key)))
        .collect();
    format!("<Delete><Quiet>{quiet}</Quiet>{keys}</Delete>")
}

fn batch<'a>(s3: &'a Client, body: &str) -> Ask<'a> {
    let md5 = md5_base64(body.as_bytes());
    s3.ask("POST", "")
        .q("delete", "")
        .h("content-md5", &md5)
        .body(body)
}

#[tokio::test]
async fn one_by_one() {
    let s3 = Client::new();
    s3.seed("/d/a", b"1");
    s3.seed("/d/b", b"2");
    for key in ["d/a", "d/a", "never", "d/"] {
        let got = s3.ask("DELETE", key).go().await;
        assert_eq!((got.status, got.body.len()), (204, 0), "{key}");
    }
    assert_eq!(s3.paths(), ["/d/", "/d/b"]);
    let ask = s3.ask("DELETE", "d/b").h("if-match", "\"x\"");
    ask.go().await.fails(412, "PreconditionFailed");
    let tag = format!("\"{}\"", md5(b"2"));
    s3.ask("DELETE", "d/b")
        .h("if-match", &tag)
        .go()
        .await
        .fine();
    assert!(s3.paths().is_empty());
    assert_eq!(s3.stat().count("delete"), 6);
}

#[tokio::test]
async fn many_at_once() {
    let s3 = Client::new();
    for path in ["/d/a", "/d/b&c", "/x", "/y"] {
        s3.seed(path, b"1");
    }
    s3.set("stuck:x", "AccessDenied");
    let keys = ["d/a", "d/b&c", "x", "none"];
    let got = batch(&s3, &document(&keys, false)).go().await.fine();
    let root = got.xml();
    assert_eq!(root.name, "DeleteResult");
    let deleted: Vec<_> = root
        .all("Deleted")
        .map(|one| one.text_of("Key").unwrap())
        .collect();
    assert_eq!(deleted, ["d/a", "d/b&c", "none"]);
    let error = root.child("Error").unwrap();
    assert_eq!(error.text_of("Key"), Some("x"));
    assert_eq!(error.text_of("Code"), Some("AccessDenied"));
    assert_eq!(s3.paths(), ["/x", "/y"]);
    s3.ask("DELETE", "x").go().await.fails(403, "AccessDenied");
    s3.set("stuck:x", "");
    let got = batch(&s3, &document(&["x", "y"], true)).go().await.fine();
    assert!(got.xml().children.is_empty(), "{}", got.text());
    assert!(s3.paths().is_empty());
    assert_eq!(s3.stat().count("delete_batch"), 2);
}

#[tokio::test]
async fn what_a_batch_must_not_be() {
    let s3 = Client::new();
    s3.seed("/k", b"1");
    let body = document(&["k"], false);
    let ask = s3.ask("POST", "").q("delete", "").body(&body);
    ask.go().await.fails(400, "InvalidRequest");
    let ask = s3
        .ask("POST", "")
        .q("delete", "")
        .h("content-md5", &md5_base64(b"x"));
    ask.body(&body).go().await.fails(400, "BadDigest");
    let too_many: Vec<String> = (0..1001).map(|number| format!("k{number}")).collect();
    let too_many: Vec<&str> = too_many.iter().map(String::as_str).collect();
    for bad in [
        "<Delete>".to_owned(),
        "<Delete></Delete>".to_owned(),
        "<Erase><Object><Key>k</Key></Object></Erase>".to_owned(),
        "<Delete><Object/></Delete>".to_owned(),
        document(&too_many, true),
    ] {
        batch(&s3, &bad).go().await.fails(400, "MalformedXML");
    }
    batch(&s3, &document(&too_many[1..], true))
        .go()
        .await
        .fine();
    s3.set("delete_batch", "no");
    batch(&s3, &body).go().await.fails(501, "NotImplemented");
    s3.set("delete_batch", "yes");
    assert_eq!(s3.paths(), ["/k"]);
    let sha = STANDARD.encode(Sha256::digest(body.as_bytes()));
    let ask = s3
        .ask("POST", "")
        .q("delete", "")
        .h("x-amz-checksum-sha256", &sha);
    ask.body(&body).go().await.fine();
    assert!(s3.paths().is_empty());
}
