//! MKCOL, DELETE, MOVE, COPY, PROPPATCH.

use super::*;

#[tokio::test]
async fn directories_are_made() {
    let dav = Dav::new();
    assert_eq!(dav.status("MKCOL", "/d/", &[]).await, 201);
    assert_eq!(dav.status("MKCOL", "/d/", &[]).await, 405);
    assert_eq!(dav.status("MKCOL", "/d/e", &[]).await, 201);
    assert_eq!(dav.status("MKCOL", "/none/e/", &[]).await, 409);
    dav.seed("/f", b"1");
    assert_eq!(dav.status("MKCOL", "/f/", &[]).await, 405);
    assert_eq!(dav.status("MKCOL", "/f/e/", &[]).await, 409);
    let with_body = dav.ask("MKCOL", "/g/").body("<x/>");
    assert_eq!(dav.send(with_body).await.status, 415);
    assert_eq!(dav.status("MKCOL", "/", &[]).await, 405);
    dav.set("mkcol_bare", "301");
    let moved = dav.go("MKCOL", "/g", &[]).await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (301, format!("{}/g/", dav.url).as_str())
    );
    assert_eq!(dav.paths(), ["/d", "/d/e", "/f"]);
}

#[tokio::test]
async fn deletions() {
    let dav = Dav::new();
    for path in ["/d/a", "/d/e/b", "/d/e/c", "/f"] {
        dav.seed(path, b"1");
    }
    assert_eq!(dav.status("DELETE", "/none", &[]).await, 404);
    assert_eq!(dav.status("DELETE", "/", &[]).await, 403);
    assert_eq!(dav.status("DELETE", "/d/", &[("Depth", "0")]).await, 400);
    assert_eq!(dav.status("DELETE", "/f/", &[]).await, 404);
    assert_eq!(dav.status("DELETE", "/f", &[]).await, 204);
    dav.set("stuck:/d/e/b", "403");
    let partly = dav.go("DELETE", "/d/", &[]).await;
    assert_eq!(partly.status, 207);
    let rows = partly.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].href, "/dav/user1/d/e/b");
    assert_eq!(rows[0].status.as_deref(), Some("HTTP/1.1 403 Forbidden"));
    assert_eq!(dav.paths(), ["/d", "/d/e", "/d/e/b"]);
    assert_eq!(dav.status("DELETE", "/d/e/b", &[]).await, 403);
    dav.set("stuck:/d/e/b", "0");
    assert_eq!(dav.status("DELETE", "/d", &[]).await, 204);
    assert!(dav.paths().is_empty());
}

#[tokio::test]
async fn moves_and_copies() {
    let dav = Dav::new();
    let id = dav.seed("/d/a", b"one");
    dav.seed("/d/e/b", b"two");
    dav.seed("/x", b"three");
    let url = |path: &str| format!("{}{path}", dav.url);
    let go = |method: &'static str, from: &'static str, to: String, overwrite: &'static str| {
        let dav = &dav;
        async move {
            let headers = [("Destination", to.as_str()), ("Overwrite", overwrite)];
            dav.status(method, from, &headers).await
        }
    };
    assert_eq!(go("MOVE", "/d/a", url("/y%20z"), "F").await, 201);
    assert_eq!(dav.stored("/y z").unwrap(), "one");
    let items = dav.world.tree("webdav").unwrap();
    assert!(items.to_string().contains(&id), "a move keeps the id");
    assert_eq!(go("MOVE", "/y%20z", url("/x"), "F").await, 412);
    assert_eq!(go("MOVE", "/y%20z", url("/x"), "T").await, 204);
    assert_eq!(dav.stored("/x").unwrap(), "one");
    assert_eq!(go("COPY", "/x", url("/d/copy"), "F").await, 201);
    assert_eq!(go("COPY", "/d/", url("/c/"), "F").await, 201);
    assert_eq!(
        dav.paths(),
        [
            "/c", "/c/copy", "/c/e", "/c/e/b", "/d", "/d/copy", "/d/e", "/d/e/b", "/x"
        ]
    );
    assert_eq!(go("MOVE", "/c/", url("/d/e/"), "T").await, 204);
    assert_eq!(
        dav.paths(),
        [
            "/d",
            "/d/copy",
            "/d/e",
            "/d/e/copy",
            "/d/e/e",
            "/d/e/e/b",
            "/x"
        ]
    );
    assert_eq!(go("MOVE", "/none", url("/q"), "F").await, 404);
    assert_eq!(go("MOVE", "/x", url("/none/q"), "F").await, 409);
    assert_eq!(go("MOVE", "/x", url("/x"), "T").await, 403);
    assert_eq!(go("MOVE", "/d/", url("/d/e/in/"), "T").await, 403);
    assert_eq!(go("COPY", "/d/", url("/d/e/in/"), "T").await, 403);
    assert_eq!(go("MOVE", "/d/e/", url("/d/"), "T").await, 403);
    assert_eq!(go("MOVE", "/", url("/q/"), "F").await, 403);
    assert_eq!(go("MOVE", "/x", url("/"), "T").await, 403);
    assert_eq!(go("MOVE", "/x", url("/q/"), "F").await, 409);
    assert_eq!(go("MOVE", "/x", url("/q"), "maybe").await, 400);
    dav.set("overwrite", "no");
    assert_eq!(go("COPY", "/d/copy", url("/x"), "F").await, 204);
}

#[tokio::test]
async fn destinations_are_checked() {
    let dav = Dav::new();
    dav.seed("/x", b"1");
    assert_eq!(dav.status("MOVE", "/x", &[]).await, 400);
    let other = dav.url.replace("127.0.0.1", "example.org");
    let port = dav.url.replace("/dav/user1", "/elsewhere");
    let theirs = dav.url.replace("user1", "user2");
    for (to, status) in [
        (format!("{other}/y"), 502),
        (format!("{port}/y"), 502),
        (format!("{theirs}/y"), 403),
        ("/dav/user1/y".to_owned(), 400),
        (format!("{}/a b", dav.url), 400),
        (format!("{}/%zz", dav.url), 400),
        (format!("{}/y?z", dav.url), 400),
    ] {
        let got = dav.status("MOVE", "/x", &[("Destination", &to)]).await;
        assert_eq!(got, status, "{to}");
    }
    dav.set("destination", "any");
    let path = [("Destination", "/dav/user1/y")];
    assert_eq!(dav.status("MOVE", "/x", &path).await, 201);
    assert_eq!(dav.paths(), ["/y"]);
}

#[tokio::test]
async fn depths_of_moves_and_copies() {
    let dav = Dav::new();
    dav.seed("/d/a", b"1");
    let to = format!("{}/e/", dav.url);
    let go = |method: &'static str, depth: &'static str| {
        let headers = [("Destination", to.as_str()), ("Depth", depth)];
        let dav = &dav;
        async move { dav.status(method, "/d/", &headers).await }
    };
    assert_eq!(go("MOVE", "0").await, 400);
    assert_eq!(go("COPY", "1").await, 400);
    assert_eq!(go("COPY", "0").await, 201);
    assert_eq!(dav.paths(), ["/d", "/d/a", "/e"]);
    assert_eq!(go("COPY", "infinity").await, 204);
    assert_eq!(dav.paths(), ["/d", "/d/a", "/e", "/e/a"]);
    dav.set("stuck:/d/a", "423");
    let partly = dav.go("MOVE", "/d/", &[("Destination", &to)]).await;
    assert_eq!(partly.status, 207);
    assert_eq!(
        partly.rows()[0].status.as_deref(),
        Some("HTTP/1.1 423 Locked")
    );
    assert_eq!(dav.paths(), ["/d", "/d/a", "/e", "/e/a"]);
}

async fn proppatch(dav: &Dav, inner: &str) -> Got {
    let body =
        format!("<d:propertyupdate xmlns:d=\"DAV:\" xmlns:x=\"urn:x\">{inner}</d:propertyupdate>");
    dav.send(dav.ask("PROPPATCH", "/a").body(body)).await
}

#[tokio::test]
async fn properties_are_set_in_the_servers_way() {
    let dav = Dav::new();
    dav.seed("/a", b"1");
    let colour = "<d:set><d:prop><x:colour>r&amp;d</x:colour></d:prop></d:set>";
    let got = proppatch(&dav, colour).await;
    assert_eq!((got.status, got.rows()[0].status("colour")), (207, 200));
    let all = dav.go("PROPFIND", "/a", &[("Depth", "0")]).await.rows();
    assert_eq!(all[0].text("colour"), "r&d");
    // It goes along, and it goes away.
    let to = format!("{}/b", dav.url);
    dav.status("COPY", "/a", &[("Destination", &to)]).await;
    let all = dav.go("PROPFIND", "/b", &[("Depth", "0")]).await.rows();
    assert_eq!(all[0].text("colour"), "r&d");
    proppatch(&dav, "<d:remove><d:prop><x:colour/></d:prop></d:remove>").await;
    let all = dav.go("PROPFIND", "/a", &[("Depth", "0")]).await.rows();
    assert!(!all[0].props.contains_key("colour"));
    // All or nothing.
    let mixed = "<d:set><d:prop><x:size>9</x:size><d:getetag>x</d:getetag></d:prop></d:set>";
    let rows = proppatch(&dav, mixed).await.rows();
    assert_eq!(
        (rows[0].status("getetag"), rows[0].status("size")),
        (403, 424)
    );
    assert_eq!(proppatch(&dav, "").await.status, 400);

    let time = "<d:set><d:prop><d:lastmodified>1700000000</d:lastmodified></d:prop></d:set>";
    let date = "Tue, 14 Nov 2023 22:13:20 GMT";
    proppatch(&dav, time).await;
    assert_ne!(dav.prop("/a", "getlastmodified").await, date);
    dav.set("proppatch", "accept");
    assert_eq!(
        proppatch(&dav, time).await.rows()[0].status("lastmodified"),
        200
    );
    assert_ne!(dav.prop("/a", "getlastmodified").await, date);
    dav.set("proppatch", "mtime");
    assert_eq!(
        proppatch(&dav, time).await.rows()[0].status("lastmodified"),
        200
    );
    assert_eq!(dav.prop("/a", "getlastmodified").await, date);
    assert_eq!(
        proppatch(&dav, colour).await.rows()[0].status("colour"),
        200
    );
    let all = dav.go("PROPFIND", "/a", &[("Depth", "0")]).await.rows();
    assert!(!all[0].props.contains_key("colour"));
    dav.set("proppatch", "403");
    assert_eq!(proppatch(&dav, time).await.status, 403);
    dav.set("proppatch", "405");
    assert_eq!(proppatch(&dav, time).await.status, 405);
}
