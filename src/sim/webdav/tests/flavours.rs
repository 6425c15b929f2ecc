//! The behaviour matrix (sheet, 7.1), asked from outside.

use super::super::rules::FLAVOURS;
use super::*;

/// What the sheet's table says of a flavour, in the order of [`measure`].
fn expected(flavour: &str) -> [u16; 9] {
    match flavour {
        "apache" => [412, 412, 204, 412, 409, 301, 301, 207, 403],
        "rclone" => [201, 201, 201, 412, 409, 201, 204, 207, 207],
        "wsgidav" => [412, 412, 400, 412, 409, 201, 204, 207, 207],
        "dufs" => [201, 201, 201, 204, 201, 204, 204, 403, 400],
        "nginx" => [204, 204, 501, 412, 201, 400, 409, 405, 403],
        "lighttpd" => [412, 412, 400, 412, 409, 308, 204, 207, 403],
        _ => [412, 412, 400, 412, 409, 201, 204, 207, 403],
    }
}

async fn measure(dav: &Dav) -> [u16; 9] {
    dav.seed("/a", b"0123456789");
    dav.seed("/d/x", b"1");
    dav.mkdir("/e");
    let to = |path: &str| format!("{}{path}", dav.url);
    let none = dav
        .put("/a", b"0123456789", &[("If-None-Match", "*")])
        .await;
    let tagged = dav
        .put("/a", b"0123456789", &[("If-Match", "\"no\"")])
        .await;
    let range = [("Content-Range", "bytes 2-4/10")];
    let ranged = dav.put("/a", b"abc", &range).await;
    dav.seed("/b", b"other");
    let target = to("/b");
    let no = [("Destination", target.as_str()), ("Overwrite", "F")];
    let kept = dav.status("MOVE", "/a", &no).await;
    let orphan = dav.put("/no/parent", b"1", &[]).await;
    let target = to("/f");
    let moved = dav.status("MOVE", "/d", &[("Destination", &target)]).await;
    let deleted = dav.status("DELETE", "/e", &[]).await;
    let update = "<propertyupdate xmlns=\"DAV:\"><set><prop><x xmlns=\"urn:x\">1</x></prop></set>\
                  </propertyupdate>";
    let patched = dav.send(dav.ask("PROPPATCH", "/b").body(update)).await;
    let deep = dav.status("PROPFIND", "/", &[("Depth", "infinity")]).await;
    [
        none.status,
        tagged.status,
        ranged.status,
        kept,
        orphan.status,
        moved,
        deleted,
        patched.status,
        deep,
    ]
}

#[tokio::test]
async fn the_matrix_holds() {
    for flavour in FLAVOURS {
        let dav = Dav::with(&[("flavour", flavour)]);
        assert_eq!(measure(&dav).await, expected(flavour), "{flavour}");
    }
}

#[tokio::test]
async fn tags_checksums_and_quota_of_the_flavours() {
    let md5 = "900150983cd24fb0d6963f7d28e17f72";
    for (flavour, tag, sums, quota) in [
        ("generic", "\"", false, Some("3")),
        ("apache", "W/\"", false, None),
        (
            "rclone",
            "\"900150983cd24fb0d6963f7d28e17f72\"",
            true,
            Some(""),
        ),
        ("wsgidav", "1", false, Some("3")),
        ("dufs", "", false, None),
        ("nginx", "", false, None),
        ("lighttpd", "\"", false, None),
    ] {
        let dav = Dav::with(&[("flavour", flavour)]);
        dav.seed("/a", b"abc");
        let props = [
            "getetag",
            "oc:checksums",
            "quota-used-bytes",
            "getcontentlength",
        ];
        let rows = dav.list("/", &props).await;
        match tag {
            "" => assert_eq!(rows[1].status("getetag"), 404, "{flavour}"),
            "1" => assert!(!rows[1].text("getetag").contains('"'), "{flavour}"),
            tag => assert!(rows[1].text("getetag").starts_with(tag), "{flavour}"),
        }
        assert_eq!(rows[1].status("checksums") == 200, sums, "{flavour}");
        if sums {
            let text = &rows[1].props["checksums"].1.children[0].text;
            assert_eq!(text, &format!("MD5:{md5}"));
        }
        match quota {
            Some(used) => assert_eq!(rows[0].text("quota-used-bytes"), used, "{flavour}"),
            None => assert_eq!(rows[0].status("quota-used-bytes"), 404, "{flavour}"),
        }
        let length = rows[0].status("getcontentlength") == 200;
        assert_eq!(length, flavour == "lighttpd", "{flavour}");
    }
}

#[tokio::test]
async fn times_of_the_flavours() {
    let date = "Tue, 14 Nov 2023 22:13:20 GMT";
    for (flavour, header, kept, told) in [
        ("generic", ("X-OC-Mtime", "1700000000"), false, ""),
        ("rclone", ("X-OC-Mtime", "1700000000"), true, ""),
        ("nextcloud", ("X-OC-Mtime", "1700000000"), true, "accepted"),
        ("nginx", ("X-OC-Mtime", "1700000000"), false, ""),
        ("nginx", ("Date", date), true, ""),
    ] {
        let dav = Dav::with(&[("flavour", flavour)]);
        let got = dav.put("/a", b"1", &[header]).await;
        assert_eq!(got.header("x-oc-mtime"), told, "{flavour}");
        let modified = dav.prop("/a", "getlastmodified").await;
        assert_eq!(modified == date, kept, "{flavour} {header:?}");
    }
}

#[tokio::test]
async fn redirects_lead_to_the_same_files() {
    let dav = Dav::with(&[("flavour", "apache")]);
    dav.seed("/d/a b", b"abc");
    let got = dav.find("/d", "1", &["getetag"]).await;
    assert_eq!(got.status, 301);
    assert_eq!(got.header("location"), format!("{}/d/", dav.url));
    dav.set("redirect", "307");
    let got = dav.go("GET", "/d/a%20b", &[]).await;
    assert_eq!(got.status, 307);
    let there = got.header("location").to_owned();
    assert_eq!(there, dav.url.replace("/dav/", "/moved/") + "/d/a%20b");
    let ask = dav
        .http
        .get(there)
        .basic_auth("user1", dav.profile.secrets.get("password"));
    assert_eq!(dav.send(ask).await.body, "abc");
    assert_eq!(dav.put("/d/c", b"1", &[]).await.status, 201);
}

#[tokio::test]
async fn what_only_dufs_does() {
    let dav = Dav::with(&[("flavour", "dufs")]);
    dav.seed("/汉", b"ab");
    let name = "/%E6%B1%89";
    let got = dav.go("GET", name, &[]).await;
    let raw = got.headers["content-disposition"].as_bytes();
    assert!(got.headers["content-disposition"].to_str().is_err());
    assert_eq!(raw, "inline; filename=\"汉\"".as_bytes());
    let patch = dav.ask("PATCH", name).header("X-Update-Range", "append");
    assert_eq!(dav.send(patch.body("c")).await.status, 204);
    assert_eq!(dav.stored("/汉").unwrap(), "abc");
    let hash = dav.go("GET", &format!("{name}?hash"), &[]).await;
    assert_eq!(
        hash.text(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(dav.stat().count("hash"), 1);
    assert!(
        dav.go("HEAD", name, &[])
            .await
            .header("etag")
            .ends_with("-3\"")
    );
    let plain = Dav::new();
    plain.seed("/a", b"1");
    assert_eq!(plain.go("GET", "/a?hash", &[]).await.text(), "1");
    assert_eq!(plain.status("PATCH", "/a", &[]).await, 405);
}

#[tokio::test]
async fn names_in_form_c() {
    let dav = Dav::with(&[("nfc", "on")]);
    assert_eq!(dav.put("/e%CC%81", b"1", &[]).await.status, 201);
    assert_eq!(dav.paths(), ["/\u{e9}"]);
    dav.set("nfc", "off");
    assert_eq!(dav.put("/e%CC%81", b"1", &[]).await.status, 201);
    assert_eq!(dav.paths().len(), 2);
}
