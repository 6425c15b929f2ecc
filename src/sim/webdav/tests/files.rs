//! Bytes out and in.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::super::clock::rfc1123;
use super::super::super::content::Blob;
use super::*;

#[tokio::test]
async fn reads_with_ranges_and_conditions() {
    let dav = Dav::new();
    dav.seed("/a", b"0123456789");
    let whole = dav.go("GET", "/a", &[]).await;
    assert_eq!((whole.status, &whole.body[..]), (200, &b"0123456789"[..]));
    let tag = whole.header("etag").to_owned();
    let since = whole.header("last-modified").to_owned();
    let part = dav.go("GET", "/a", &[("Range", "bytes=2-4")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &b"234"[..]));
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    assert_eq!(part.header("etag"), tag);
    let past = dav.go("GET", "/a", &[("Range", "bytes=10-")]).await;
    assert_eq!(
        (past.status, past.header("content-range")),
        (416, "bytes */10")
    );

    let ranged = |if_range: String| {
        let dav = &dav;
        async move {
            let headers = [("Range", "bytes=2-4"), ("If-Range", if_range.as_str())];
            dav.status("GET", "/a", &headers).await
        }
    };
    assert_eq!(ranged(tag.clone()).await, 206);
    assert_eq!(ranged("\"other\"".to_owned()).await, 200);
    assert_eq!(ranged(since.clone()).await, 206);
    assert_eq!(ranged(rfc1123(0)).await, 200);

    assert_eq!(
        dav.status("GET", "/a", &[("If-None-Match", &tag)]).await,
        304
    );
    assert_eq!(dav.status("GET", "/a", &[("If-Match", &tag)]).await, 200);
    assert_eq!(dav.status("GET", "/a", &[("If-Match", "\"x\"")]).await, 412);
    assert_eq!(
        dav.status("HEAD", "/a", &[("If-Modified-Since", &since)])
            .await,
        304
    );
    let head = dav.go("HEAD", "/a", &[]).await;
    assert_eq!((head.status, head.header("content-length")), (200, "10"));
    assert_eq!((head.header("etag"), head.body.len()), (tag.as_str(), 0));
    assert_eq!(dav.stat().bytes_down, 10 + 3 + 3 + 10 + 3 + 10 + 10);

    // A weak tag proves no byte of the file.
    dav.set("etag", "weak");
    let weak = dav.go("GET", "/a", &[]).await.header("etag").to_owned();
    assert!(weak.starts_with("W/\""));
    assert_eq!(ranged(weak).await, 200);
    dav.mkdir("/d");
    assert_eq!(dav.status("GET", "/d/", &[]).await, 405);
}

#[tokio::test]
async fn uploads_and_their_statuses() {
    let dav = Dav::new();
    let made = dav.put("/a", b"one", &[]).await;
    assert_eq!(made.status, 201);
    let tag = made.header("etag").to_owned();
    assert_eq!(tag, dav.prop("/a", "getetag").await);
    let over = dav.put("/a", b"two!", &[]).await;
    assert_eq!(over.status, 204);
    assert_ne!(over.header("etag"), tag);
    assert_eq!(dav.stored("/a").unwrap(), "two!");
    assert_eq!(dav.put("/none/a", b"x", &[]).await.status, 409);
    assert_eq!(dav.put("/a/b", b"x", &[]).await.status, 409);
    dav.mkdir("/d");
    assert_eq!(dav.put("/d", b"x", &[]).await.status, 405);
    assert_eq!(dav.put("/new/", b"x", &[]).await.status, 405);
    let long = format!("/{}", "n".repeat(256));
    assert_eq!(dav.put(&long, b"x", &[]).await.status, 400);
    assert_eq!(dav.put("/a%0Ab", b"x", &[]).await.status, 400);
    assert_eq!(dav.put("/empty", b"", &[]).await.status, 201);
    assert_eq!(dav.stored("/empty").unwrap().len(), 0);
    assert_eq!(dav.paths(), ["/a", "/d", "/empty"]);
    assert_eq!(dav.stat().bytes_up, 7);
}

#[tokio::test]
async fn a_chunked_body_is_kept_unless_a_length_is_demanded() {
    let dav = Dav::new();
    let blob = Blob::synthetic(7, 3_000_000);
    let pieces: Vec<std::io::Result<Bytes>> = (0..3)
        .map(|n| Ok(blob.read(n * 1_000_000, 1_000_000)))
        .collect();
    let put = |path: &str| {
        let pieces: Vec<std::io::Result<Bytes>> = pieces
            .iter()
            .map(|piece| Ok(piece.as_ref().unwrap().clone()))
            .collect();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        dav.send(dav.ask("PUT", path).body(body))
    };
    assert_eq!(put("/a").await.status, 201);
    assert_eq!(dav.stored("/a").unwrap(), blob.read(0, u64::MAX));
    dav.set("chunked", "off");
    assert_eq!(put("/b").await.status, 411);
    assert_eq!(dav.put("/b", b"x", &[]).await.status, 201);
}

#[tokio::test]
async fn conditions_of_changes() {
    let dav = Dav::new();
    let none = [("If-None-Match", "*")];
    assert_eq!(dav.put("/a", b"1", &none).await.status, 201);
    assert_eq!(dav.put("/a", b"2", &none).await.status, 412);
    let tag = dav.prop("/a", "getetag").await;
    assert_eq!(
        dav.put("/a", b"2", &[("If-Match", "\"x\"")]).await.status,
        412
    );
    assert_eq!(dav.put("/b", b"2", &[("If-Match", "*")]).await.status, 412);
    assert_eq!(
        dav.status("DELETE", "/a", &[("If-Match", "\"x\"")]).await,
        412
    );
    let early = [("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")];
    assert_eq!(dav.put("/a", b"2", &early).await.status, 412);
    assert_eq!(dav.stored("/a").unwrap(), "1");
    assert_eq!(dav.put("/a", b"2", &[("If-Match", &tag)]).await.status, 204);
    assert_eq!(dav.put("/a", b"3", &[("If-Match", &tag)]).await.status, 412);
    // Half of the servers do not care (sheet, 7.1).
    dav.set("conditions", "no");
    assert_eq!(dav.put("/a", b"4", &none).await.status, 204);
    assert_eq!(
        dav.put("/a", b"5", &[("If-Match", "\"x\"")]).await.status,
        204
    );
    assert_eq!(dav.stored("/a").unwrap(), "5");
    // A weak tag matches nothing strongly.
    dav.set("conditions", "yes");
    dav.set("etag", "weak");
    let weak = dav.prop("/a", "getetag").await;
    assert_eq!(
        dav.put("/a", b"6", &[("If-Match", &weak)]).await.status,
        412
    );
}

/// Sends half of a PUT and hangs up.
async fn broken_put(dav: &Dav, path: &str, sent: &[u8]) {
    use base64::Engine;
    let (_, rest) = dav.url.split_once("://").unwrap();
    let (host, base) = rest.split_once('/').unwrap();
    let login = format!(
        "{}:{}",
        dav.profile.fields["username"], dav.profile.secrets["password"]
    );
    let login = base64::engine::general_purpose::STANDARD.encode(login);
    let mut wire = tokio::net::TcpStream::connect(host).await.unwrap();
    let head = format!(
        "PUT /{base}{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {login}\r\n\
         Content-Length: {}\r\n\r\n",
        sent.len() * 2
    );
    wire.write_all(head.as_bytes()).await.unwrap();
    wire.write_all(sent).await.unwrap();
    wire.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = wire.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "no good answer");
}

async fn wait_for(mut there: impl FnMut() -> bool) {
    for _ in 0..600 {
        if there() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it did not happen");
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_a_fragment() {
    let dav = Dav::new();
    dav.seed("/old", b"the old bytes");
    broken_put(&dav, "/new", b"half of").await;
    wait_for(|| dav.stored("/new").is_some()).await;
    assert_eq!(dav.stored("/new").unwrap(), "half of");
    broken_put(&dav, "/old", b"frag").await;
    wait_for(|| dav.stored("/old").unwrap() == "frag").await;
    // The same by the fault.
    let put = dav.ask("PUT", "/cut").body(vec![7_u8; 100_000]);
    dav.fault("put", FaultKind::Cut, "1000");
    assert!(put.send().await.is_err());
    wait_for(|| dav.stored("/cut").is_some()).await;
    assert_eq!(dav.stored("/cut").unwrap().len(), 1000);
    assert_eq!(dav.prop("/cut", "getcontentlength").await, "1000");

    dav.set("partial", "drop");
    dav.fault("put", FaultKind::Cut, "5");
    let put = dav.ask("PUT", "/old").body("never here");
    assert!(put.send().await.is_err());
    let up = dav.stat().bytes_up;
    broken_put(&dav, "/other", b"half of").await;
    wait_for(|| dav.stat().bytes_up == up + 7).await;
    assert_eq!(dav.stored("/old").unwrap(), "frag");
    // What came after shows that the break was dealt with.
    assert_eq!(dav.put("/last", b"1", &[]).await.status, 201);
    assert_eq!(dav.stored("/other"), None);
}

#[tokio::test]
async fn uploads_that_fail() {
    let dav = Dav::new();
    dav.fault("put", FaultKind::CommitFail, "");
    assert_eq!(dav.put("/a", b"1", &[]).await.status, 500);
    dav.fault("put", FaultKind::CommitFail, "403");
    assert_eq!(dav.put("/a", b"1", &[]).await.status, 403);
    assert_eq!(dav.stored("/a"), None);
    dav.fault("put", FaultKind::DropAnswer, "");
    let put = dav.ask("PUT", "/a").body("kept");
    assert!(put.send().await.is_err());
    assert_eq!(dav.stored("/a").unwrap(), "kept");
    dav.fault("put", FaultKind::Status, "429,3");
    let got = dav.put("/a", b"1", &[]).await;
    assert_eq!((got.status, got.header("retry-after")), (429, "3"));
    dav.fault("put", FaultKind::Corrupt, "");
    assert_eq!(dav.put("/a", b"good", &[]).await.status, 204);
    let bad = dav.stored("/a").unwrap();
    assert!(bad.len() == 4 && bad != "good");
    dav.fault("put", FaultKind::Errno, "423");
    assert_eq!(dav.put("/a", b"1", &[]).await.status, 423);
}

#[tokio::test]
async fn space_ends() {
    let dav = Dav::with(&[("total_size", "10")]);
    assert_eq!(dav.put("/a", b"12345678", &[]).await.status, 201);
    assert_eq!(dav.prop("/", "quota-available-bytes").await, "2");
    let full = dav.put("/b", b"123", &[]).await;
    assert_eq!(full.status, 507);
    assert!(full.text().contains("quota-not-exceeded"));
    // What is replaced makes room.
    assert_eq!(dav.put("/a", b"1234567890", &[]).await.status, 204);
    let piece: std::io::Result<Bytes> = Ok(Bytes::from_static(b"12345678901"));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter([piece]));
    assert_eq!(dav.send(dav.ask("PUT", "/a").body(body)).await.status, 507);
    assert_eq!(dav.stored("/a").unwrap(), "1234567890");
    let to = format!("{}/c", dav.url);
    assert_eq!(dav.status("COPY", "/a", &[("Destination", &to)]).await, 507);
    // The other account has a space of its own.
    let other = Dav::of(dav.world.clone(), "webdav-2");
    assert_eq!(other.put("/b", b"12345678901", &[]).await.status, 201);
}

#[tokio::test]
async fn a_content_range_is_dealt_with_in_the_servers_way() {
    let dav = Dav::new();
    dav.seed("/a", b"0123456789");
    let range = [("Content-Range", "bytes 2-4/10")];
    assert_eq!(dav.put("/a", b"abc", &range).await.status, 400);
    dav.set("put_range", "501");
    assert_eq!(dav.put("/a", b"abc", &range).await.status, 501);
    dav.set("put_range", "apply");
    assert_eq!(dav.put("/a", b"abc", &range).await.status, 204);
    assert_eq!(dav.stored("/a").unwrap(), "01abc56789");
    assert_eq!(dav.put("/a", b"ab", &range).await.status, 400);
    let tail = [("Content-Range", "bytes 8-11/*")];
    assert_eq!(dav.put("/a", b"wxyz", &tail).await.status, 204);
    assert_eq!(dav.stored("/a").unwrap(), "01abc567wxyz");
    let hole = [("Content-Range", "bytes 20-20/*")];
    assert_eq!(dav.put("/a", b"x", &hole).await.status, 416);
    dav.set("put_range", "replace");
    assert_eq!(dav.put("/a", b"abc", &range).await.status, 204);
    assert_eq!(dav.stored("/a").unwrap(), "abc");
}

#[tokio::test]
async fn checksums_and_times_of_uploads() {
    let dav = Dav::with(&[("flavour", "nextcloud")]);
    let good = [
        (
            "OC-Checksum",
            "SHA1:a9993e364706816aba3e25717850c26c9cd0d89d",
        ),
        ("X-OC-Mtime", "1700000000"),
    ];
    let made = dav.put("/a", b"abc", &good).await;
    assert_eq!((made.status, made.header("x-oc-mtime")), (201, "accepted"));
    assert_eq!(made.header("oc-etag"), made.header("etag"));
    assert!(made.header("oc-fileid").ends_with("ocpanfusesim"));
    assert_eq!(
        dav.prop("/a", "getlastmodified").await,
        "Tue, 14 Nov 2023 22:13:20 GMT"
    );
    let wrong = dav.put("/a", b"abd", &good).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("Sabre\\DAV\\Exception\\BadRequest"));
    assert_eq!(dav.stored("/a").unwrap(), "abc");
    // A bit that flips on the way is noticed.
    dav.fault("put", FaultKind::Corrupt, "");
    assert_eq!(dav.put("/a", b"abc", &good).await.status, 400);
    assert_eq!(
        dav.put("/a", b"x", &[("X-OC-Mtime", "soon")]).await.status,
        400
    );
    dav.set("checksums", "claimed");
    let rows = dav.list("/", &["oc:checksums"]).await;
    let sums = &rows[1].props["checksums"].1;
    assert_eq!(sums.children[0].text, good[0].1);
    // Who does not know the headers ignores them.
    let plain = Dav::new();
    let made = plain.put("/a", b"other", &good).await;
    assert_eq!((made.status, made.header("x-oc-mtime")), (201, ""));
    assert_ne!(
        plain.prop("/a", "getlastmodified").await,
        "Tue, 14 Nov 2023 22:13:20 GMT"
    );
}

#[tokio::test]
async fn corrupt_downloads_and_disks() {
    let dav = Dav::new();
    dav.seed("/a", &[0_u8; 1000]);
    dav.fault("download", FaultKind::Corrupt, "");
    assert_ne!(dav.go("GET", "/a", &[]).await.body, vec![0_u8; 1000]);
    assert_eq!(dav.go("GET", "/a", &[]).await.body, vec![0_u8; 1000]);
    dav.fault("download", FaultKind::Cut, "10");
    let cut = dav.ask("GET", "/a").send().await.unwrap();
    assert!(cut.bytes().await.is_err());
    let tag = dav.prop("/a", "getetag").await;
    dav.world.corrupt("webdav", "/a").unwrap();
    assert_ne!(dav.go("GET", "/a", &[]).await.body, vec![0_u8; 1000]);
    assert_eq!(dav.prop("/a", "getetag").await, tag);
}
