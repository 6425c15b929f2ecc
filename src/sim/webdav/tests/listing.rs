//! PROPFIND.

use super::super::super::clock::parse_rfc1123;
use super::*;

const ALL: &[&str] = &[
    "resourcetype",
    "getcontentlength",
    "getlastmodified",
    "getetag",
    "creationdate",
    "quota-available-bytes",
    "quota-used-bytes",
    "oc:checksums",
    "oc:id",
    "oc:fileid",
    "oc:permissions",
    "oc:size",
];

#[tokio::test]
async fn a_listing_tells_each_property_with_its_status() {
    let dav = Dav::new();
    dav.seed("/docs/a.txt", b"hello");
    dav.mkdir("/docs/sub");
    let rows = dav.list("/docs/", ALL).await;
    let hrefs: Vec<&str> = rows.iter().map(|row| row.href.as_str()).collect();
    assert_eq!(
        hrefs,
        [
            "/dav/user1/docs/",
            "/dav/user1/docs/a.txt",
            "/dav/user1/docs/sub/"
        ]
    );
    let [dir, file, sub] = rows.as_slice() else {
        panic!("three rows");
    };
    assert!(dir.is_dir() && sub.is_dir() && !file.is_dir());
    assert_eq!(file.text("getcontentlength"), "5");
    assert!(parse_rfc1123(file.text("getlastmodified")).is_some());
    assert!(file.text("getetag").starts_with('"'));
    assert_eq!(dir.status("getcontentlength"), 404);
    assert_eq!(dir.text("quota-used-bytes"), "5");
    let free: u64 = dir.text("quota-available-bytes").parse().unwrap();
    assert_eq!(free, (10 << 40) - 5);
    assert_eq!(file.status("quota-used-bytes"), 404);
    for name in ["checksums", "id", "fileid", "permissions", "size"] {
        assert_eq!(file.status(name), 404, "{name}");
    }
    let stat = dav.stat();
    assert_eq!((stat.count("list"), stat.count("stat")), (1, 0));
}

#[tokio::test]
async fn all_and_names() {
    let dav = Dav::new();
    dav.seed("/a", b"1");
    let all = dav.go("PROPFIND", "/a", &[("Depth", "0")]).await;
    let rows = all.rows();
    assert_eq!(rows[0].text("getcontentlength"), "1");
    assert!(!rows[0].props.contains_key("quota-used-bytes"));
    let body = "<propfind xmlns=\"DAV:\"><propname/></propfind>";
    let ask = dav.ask("PROPFIND", "/a").header("Depth", "0").body(body);
    let rows = dav.send(ask).await.rows();
    assert_eq!(rows[0].text("getcontentlength"), "");
    assert_eq!(dav.stat().count("stat"), 2);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused() {
    let dav = Dav::new();
    dav.seed("/a", b"1");
    assert_eq!(
        dav.status("PROPFIND", "/none", &[("Depth", "0")]).await,
        404
    );
    assert_eq!(dav.status("PROPFIND", "/a/", &[("Depth", "0")]).await, 404);
    assert_eq!(dav.status("PROPFIND", "/", &[("Depth", "2")]).await, 400);
    for headers in [vec![("Depth", "infinity")], vec![]] {
        let got = dav.go("PROPFIND", "/", &headers).await;
        assert_eq!(got.status, 403);
        assert!(got.text().contains("propfind-finite-depth"));
    }
    let ask = |kind: &str, body: &'static str| {
        let ask = dav.ask("PROPFIND", "/").header("Depth", "1");
        dav.send(ask.header("Content-Type", kind.to_owned()).body(body))
    };
    assert_eq!(ask("application/xml", "<propfind").await.status, 400);
    assert_eq!(
        ask("application/xml", "<a xmlns=\"DAV:\"/>").await.status,
        400
    );
    let good = "<propfind xmlns=\"DAV:\"><allprop/></propfind>";
    assert_eq!(ask("application/json", good).await.status, 415);
    assert_eq!(ask("text/xml; charset=utf-8", good).await.status, 207);
    assert_eq!(dav.status("PROPFIND", "/%zz", &[("Depth", "0")]).await, 400);
}

#[tokio::test]
async fn names_and_hrefs_in_every_way() {
    let dav = Dav::new();
    let name = "a+b & 100% <汉>.txt";
    dav.seed(&format!("/d/{name}"), b"1");
    let encoded = "a%2Bb%20%26%20100%25%20%3C%E6%B1%89%3E.txt";
    let href = |words: &'static str| {
        let dav = &dav;
        async move {
            dav.set("href", words);
            let rows = dav.list("/d/", &["getetag"]).await;
            (rows[0].href.clone(), rows[1].href.clone())
        }
    };
    assert_eq!(
        href("").await,
        (
            "/dav/user1/d/".to_owned(),
            format!("/dav/user1/d/{encoded}")
        )
    );
    assert_eq!(
        href("absolute").await,
        (
            format!("{}/d/", dav.url),
            format!("{}/d/{encoded}", dav.url)
        )
    );
    let (dir, file) = href("lower,loose,no_slash,double_slash").await;
    assert_eq!(dir, "//dav/user1/d");
    assert_eq!(file, "//dav/user1/d/a+b%20&%20100%25%20%3c%e6%b1%89%3e.txt");
    // Every one of them leads back to the file.
    assert_eq!(dav.status("GET", &format!("/d/{encoded}"), &[]).await, 200);
    let loose = "/d/a+b%20&%20100%25%20%3c%e6%b1%89%3e.txt";
    assert_eq!(dav.status("GET", loose, &[]).await, 200);
    for prefix in ["d", "default"] {
        dav.set("prefix", prefix);
        assert_eq!(dav.list("/d/", &["resourcetype"]).await.len(), 2);
    }
}

#[tokio::test]
async fn nextcloud_tells_more() {
    let dav = Dav::with(&[("flavour", "nextcloud")]);
    assert!(dav.url.ends_with("/remote.php/dav/files/user1"));
    let id = dav.seed("/d/a", b"abc");
    let rows = dav.list("/d/", ALL).await;
    let file = &rows[1];
    assert_eq!(file.text("fileid"), id);
    assert!(file.text("id").ends_with("ocpanfusesim"));
    assert_eq!(file.text("size"), "3");
    assert_eq!(rows[0].text("size"), "3");
    assert_eq!(rows[0].text("permissions"), "RGDNVCK");
    let (status, sums) = &file.props["checksums"];
    assert_eq!(*status, 200);
    assert_eq!(
        sums.children[0].text,
        "SHA1:a9993e364706816aba3e25717850c26c9cd0d89d \
         MD5:900150983cd24fb0d6963f7d28e17f72 ADLER32:024d0127"
    );
    dav.set("false_checksum:/d/a", "SHA1:00");
    let rows = dav.list("/d/", ALL).await;
    assert_eq!(rows[1].props["checksums"].1.children[0].text, "SHA1:00");
    dav.set("quota", "unlimited");
    assert_eq!(dav.prop("/", "quota-available-bytes").await, "-3");
}

#[tokio::test]
async fn tags_of_directories_change_with_what_is_in_them() {
    let dav = Dav::new();
    dav.seed("/a/b/c", b"1");
    let before = (
        dav.prop("/", "getetag").await,
        dav.prop("/a/", "getetag").await,
    );
    dav.put("/a/b/c", b"2", &[]).await;
    let after = (
        dav.prop("/", "getetag").await,
        dav.prop("/a/", "getetag").await,
    );
    assert!(before.0 != after.0 && before.1 != after.1);
}

#[tokio::test]
async fn listings_go_wrong() {
    let dav = Dav::new();
    for n in 0..10 {
        dav.seed(&format!("/f{n}"), b"1");
    }
    dav.set("list_limit", "4");
    assert_eq!(dav.list("/", &["getetag"]).await.len(), 5);
    dav.set("list_limit", "0");
    assert_eq!(dav.list("/", &["getetag"]).await.len(), 11);
    dav.fault("list", FaultKind::NullList, "");
    assert_eq!(dav.list("/", &["getetag"]).await.len(), 0);
    dav.fault("list", FaultKind::TruncatedPage, "");
    let got = dav.find("/", "1", &["getetag"]).await;
    assert_eq!((got.status, xml::parse(&got.text())), (207, None));
    dav.fault("list", FaultKind::Lag, "60000");
    assert_eq!(dav.list("/", &["getetag"]).await.len(), 1);
    dav.fault("list", FaultKind::Status, "503,7");
    let got = dav.find("/", "1", &["getetag"]).await;
    assert_eq!((got.status, got.header("retry-after")), (503, "7"));
    dav.fault("list", FaultKind::Errno, "507");
    assert_eq!(dav.find("/", "1", &["getetag"]).await.status, 507);
    dav.set("calls_per_second", "1");
    let first = dav.find("/", "1", &["getetag"]).await.status;
    let second = dav.find("/", "1", &["getetag"]).await;
    assert_eq!((first, second.status), (207, 429));
    assert_eq!(second.header("retry-after"), "1");
    dav.set("calls_per_second", "0");
    dav.set("propfind", "off");
    let got = dav.find("/", "1", &["getetag"]).await;
    assert_eq!(got.status, 405);
    assert!(!got.header("allow").contains("PROPFIND"));
}

#[tokio::test]
async fn options_name_classes_and_methods() {
    let dav = Dav::new();
    let got = dav.go("OPTIONS", "/", &[]).await;
    assert_eq!((got.status, got.header("dav")), (200, "1, 2, 3"));
    assert!(got.header("allow").contains("PROPFIND"));
    assert!(got.header("allow").contains("LOCK"));
    dav.set("locks", "no");
    let got = dav.go("OPTIONS", "/", &[]).await;
    assert_eq!(got.header("dav"), "1, 3");
    assert!(!got.header("allow").contains("LOCK"));
    assert_eq!(dav.status("POST", "/", &[]).await, 405);
    let root = dav.url.replace("/dav/user1", "/");
    assert_eq!(dav.send(dav.http.get(root)).await.status, 404);
}
