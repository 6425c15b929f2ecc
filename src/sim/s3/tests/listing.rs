//! Both listings.

use super::*;

/// Keys and prefixes of an answer.
fn names(got: &Got) -> (Vec<String>, Vec<String>) {
    let root = got.xml();
    assert_eq!(root.name, "ListBucketResult", "{}", got.text());
    let text = |element: &Element, name: &str| element.text_of(name).unwrap().to_owned();
    (
        root.all("Contents").map(|one| text(one, "Key")).collect(),
        root.all("CommonPrefixes")
            .map(|one| text(one, "Prefix"))
            .collect(),
    )
}

async fn list(s3: &Client, query: &[(&str, &str)]) -> Got {
    let ask = s3.ask("GET", "").q("list-type", "2");
    let ask = query
        .iter()
        .fold(ask, |ask, (name, value)| ask.q(name, value));
    ask.go().await.fine()
}

fn filled() -> Client {
    let s3 = Client::new();
    for path in ["/a", "/d/1", "/d/2", "/d/e/3", "/d!", "/z"] {
        s3.seed(path, path.as_bytes());
    }
    s3
}

#[tokio::test]
async fn keys_come_in_the_order_of_bytes() {
    let s3 = filled();
    let all = list(&s3, &[]).await;
    let (keys, prefixes) = names(&all);
    assert_eq!(keys, ["a", "d!", "d/1", "d/2", "d/e/3", "z"]);
    assert!(prefixes.is_empty());
    let root = all.xml();
    for (name, value) in [
        ("Name", s3.bucket.as_str()),
        ("Prefix", ""),
        ("MaxKeys", "1000"),
        ("KeyCount", "6"),
        ("IsTruncated", "false"),
    ] {
        assert_eq!(root.text_of(name), Some(value), "{name}");
    }
    let first = root.child("Contents").unwrap();
    assert_eq!(
        first.text_of("ETag"),
        Some(format!("\"{}\"", md5(b"/a")).as_str())
    );
    assert_eq!(first.text_of("Size"), Some("2"));
    assert!(first.text_of("LastModified").unwrap().ends_with(".000Z"));
    assert!(first.child("Owner").is_none());
    let owned = list(&s3, &[("fetch-owner", "true")]).await.xml();
    assert!(owned.child("Contents").unwrap().child("Owner").is_some());
    assert_eq!(
        names(&list(&s3, &[("prefix", "d/")]).await).0,
        ["d/1", "d/2", "d/e/3"]
    );
    assert_eq!(names(&list(&s3, &[("prefix", "d")]).await).0.len(), 4);
    assert_eq!(
        names(&list(&s3, &[("start-after", "d/1")]).await).0,
        ["d/2", "d/e/3", "z"]
    );
}

#[tokio::test]
async fn delimiters_roll_up() {
    let s3 = filled();
    let own = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    for (prefix, delimiter, keys, prefixes) in [
        ("", "/", own(&["a", "d!", "z"]), own(&["d/"])),
        ("d/", "/", own(&["d/1", "d/2"]), own(&["d/e/"])),
        ("d", "/", own(&["d!"]), own(&["d/"])),
        ("d/e/", "/", own(&["d/e/3"]), own(&[])),
        ("", "d", own(&["a", "z"]), own(&["d"])),
        (
            "",
            "/e",
            own(&["a", "d!", "d/1", "d/2", "z"]),
            own(&["d/e"]),
        ),
        ("no", "/", own(&[]), own(&[])),
    ] {
        let got = list(&s3, &[("prefix", prefix), ("delimiter", delimiter)]).await;
        assert_eq!(names(&got), (keys, prefixes), "{prefix} {delimiter}");
    }
    let got = list(&s3, &[("delimiter", "/"), ("start-after", "d/1")]).await;
    assert_eq!(names(&got), (own(&["z"]), own(&["d/"])));
}

/// All pages of the second version; names in the order they came.
async fn pages(s3: &Client, query: &[(&str, &str)]) -> (Vec<String>, usize) {
    let (mut all, mut count, mut token) = (Vec::new(), 0, String::new());
    loop {
        let mut query = query.to_vec();
        if !token.is_empty() {
            query.push(("continuation-token", &token));
        }
        let got = list(s3, &query).await;
        let (keys, prefixes) = names(&got);
        assert_eq!(
            got.value("KeyCount"),
            (keys.len() + prefixes.len()).to_string()
        );
        all.extend(keys);
        all.extend(prefixes);
        count += 1;
        if got.value("IsTruncated") == "false" {
            assert_eq!(got.value("NextContinuationToken"), "");
            return (all, count);
        }
        token = got.value("NextContinuationToken");
    }
}

#[tokio::test]
async fn pages_follow_each_other() {
    let s3 = filled();
    for size in ["1", "2", "3", "5"] {
        let (all, _) = pages(&s3, &[("max-keys", size)]).await;
        assert_eq!(
            all,
            ["a", "d!", "d/1", "d/2", "d/e/3", "z"],
            "pages of {size}"
        );
        let (all, _) = pages(&s3, &[("max-keys", size), ("delimiter", "/")]).await;
        let mut all = all;
        all.sort();
        assert_eq!(all, ["a", "d!", "d/", "z"], "pages of {size}");
    }
    s3.set("page", "2");
    assert_eq!(pages(&s3, &[("max-keys", "1000")]).await.1, 3);
    assert_eq!(
        list(&s3, &[("max-keys", "5000")]).await.value("MaxKeys"),
        "2"
    );
    let none = list(&s3, &[("max-keys", "0")]).await;
    assert_eq!(
        (none.value("KeyCount"), none.value("IsTruncated")),
        ("0".into(), "false".into())
    );
    for (name, value) in [
        ("max-keys", "many"),
        ("max-keys", "-1"),
        ("continuation-token", "a"),
        ("continuation-token", "YWJj"),
        ("encoding-type", "utf"),
    ] {
        let ask = s3.ask("GET", "").q("list-type", "2").q(name, value);
        ask.go().await.fails(400, "InvalidArgument");
    }
    s3.ask("GET", "")
        .q("list-type", "3")
        .go()
        .await
        .fails(400, "InvalidArgument");
}

#[tokio::test]
async fn the_first_version() {
    let s3 = filled();
    let ask = |query: &[(&str, &str)]| {
        let ask = s3.ask("GET", "");
        query
            .iter()
            .fold(ask, |ask, (name, value)| ask.q(name, value))
            .go()
    };
    let got = ask(&[("max-keys", "2")]).await.fine();
    assert_eq!(names(&got).0, ["a", "d!"]);
    assert_eq!(got.value("NextMarker"), "");
    assert!(got.xml().child("KeyCount").is_none());
    assert!(
        got.xml()
            .child("Contents")
            .unwrap()
            .child("Owner")
            .is_some()
    );
    let got = ask(&[("max-keys", "2"), ("marker", "d!")]).await.fine();
    assert_eq!(names(&got).0, ["d/1", "d/2"]);
    assert_eq!(got.value("Marker"), "d!");
    let got = ask(&[("max-keys", "3"), ("delimiter", "/")]).await.fine();
    assert_eq!(got.value("NextMarker"), "d/");
    let got = ask(&[("marker", "d/"), ("delimiter", "/")]).await.fine();
    assert_eq!(names(&got), (vec!["z".to_owned()], vec![]));
    s3.set("list_v2", "no");
    let got = list(&s3, &[]).await;
    assert!(got.xml().child("KeyCount").is_none());
}

#[tokio::test]
async fn names_that_xml_cannot_hold() {
    let s3 = Client::new();
    let key = "a b/\u{1}+\u{e9}<&>*(~)";
    s3.put(key, b"1").await.fine();
    let got = list(
        &s3,
        &[
            ("encoding-type", "url"),
            ("prefix", "a "),
            ("start-after", " "),
        ],
    )
    .await;
    assert_eq!(names(&got).0, ["a+b/%01%2B%C3%A9%3C%26%3E*%28~%29"]);
    assert_eq!(
        (got.value("Prefix"), got.value("StartAfter")),
        ("a+".into(), "+".into())
    );
    assert_eq!(got.value("EncodingType"), "url");
    let plain = list(&s3, &[]).await.text();
    assert!(
        plain.contains("<Key>a b/&#x1;+\u{e9}&lt;&amp;&gt;*(~)</Key>"),
        "{plain}"
    );
}

#[tokio::test]
async fn markers_and_directories() {
    let s3 = Client::new();
    s3.world.mkdir("s3", "/made/in").unwrap();
    s3.put("put/", b"").await.fine();
    s3.seed("/d/f", b"1");
    assert_eq!(names(&list(&s3, &[]).await).0, ["d/f", "made/in/", "put/"]);
    assert_eq!(s3.head("made/in/").await.status, 200);
    assert_eq!(s3.head("made/").await.status, 404);
    let got = list(&s3, &[("prefix", "put/"), ("delimiter", "/")]).await;
    assert_eq!(names(&got), (vec!["put/".to_owned()], vec![]));
    // A marker stays beside what is in its directory.
    s3.seed("/made/in/g", b"1");
    assert_eq!(
        names(&list(&s3, &[]).await).0,
        ["d/f", "made/in/", "made/in/g", "put/"]
    );
    // A directory goes with its last object, one with a marker stays.
    s3.put("put/x", b"1").await.fine();
    for key in ["d/f", "made/in/g", "made/in/", "put/x"] {
        s3.ask("DELETE", key).go().await.fine();
    }
    assert_eq!(s3.paths(), ["/put/"]);
    s3.ask("DELETE", "put/").go().await.fine();
    assert!(s3.paths().is_empty());
    // What a test does to the tree is done to the bucket.
    let id = s3.seed("/m/f", b"1");
    let account = s3.world.account("s3").unwrap();
    let root = account.tree().root().to_owned();
    assert!(account.tree().relocate(&id, &root, "g"));
    assert_eq!(names(&list(&s3, &[]).await).0, ["g"]);
    assert_eq!(account.tree().remove(&id), 1);
    s3.get("g").await.fails(404, "NoSuchKey");
}

#[tokio::test]
async fn faults_of_listings() {
    let s3 = filled();
    s3.fault("list", FaultKind::TruncatedPage, "");
    let got = list(&s3, &[("max-keys", "4")]).await;
    assert_eq!(names(&got).0, ["a", "d!"]);
    assert_eq!(got.value("IsTruncated"), "true");
    let token = got.value("NextContinuationToken");
    let got = list(&s3, &[("continuation-token", &token)]).await;
    assert_eq!(names(&got).0.len(), 4);
    s3.fault("list", FaultKind::NullList, "");
    let got = list(&s3, &[]).await.xml();
    assert!(got.child("Contents").is_none());
    s3.world.clock_advance(60_000);
    s3.seed("/new", b"1");
    s3.fault("list", FaultKind::Lag, "30000");
    assert_eq!(names(&list(&s3, &[]).await).0.len(), 6);
    assert_eq!(names(&list(&s3, &[]).await).0.len(), 7);
    s3.fault("list", FaultKind::Errno, "SlowDown");
    let ask = s3.ask("GET", "").q("list-type", "2");
    ask.go().await.fails(503, "SlowDown");
    s3.fault("list", FaultKind::Status, "503,2");
    let ask = s3.ask("GET", "").q("list-type", "2");
    assert_eq!(ask.go().await.header("retry-after"), "2");
    assert_eq!(s3.stat().count("list"), 7);
}
