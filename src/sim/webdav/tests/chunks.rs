//! Nextcloud's chunked upload.

use super::super::super::content::Blob;
use super::*;

const MIB: u64 = 1 << 20;

struct Upload {
    dav: Dav,
    /// URL of the upload.
    url: String,
    to: String,
}

impl Upload {
    async fn begin(knobs: &[(&str, &str)]) -> Upload {
        let mut all = vec![("flavour", "nextcloud")];
        all.extend(knobs);
        let dav = Dav::with(&all);
        let url = dav.url.replace("/files/", "/uploads/") + "/up-1";
        let to = format!("{}/big.bin", dav.url);
        let upload = Upload { dav, url, to };
        assert_eq!(upload.go("MKCOL", "", &[], b"").await.status, 201);
        upload
    }

    /// With the Destination of the upload.
    async fn go(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        let mut all = vec![("Destination", self.to.as_str())];
        all.extend(headers);
        self.send(method, path, &all, body).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut ask = self
            .dav
            .http
            .request(method, format!("{}{path}", self.url))
            .basic_auth("user1", self.dav.profile.secrets.get("password"))
            .body(Bytes::copy_from_slice(body));
        for (name, value) in headers {
            ask = ask.header(*name, *value);
        }
        self.dav.send(ask).await
    }

    async fn commit(&self, total: u64, headers: &[(&str, &str)]) -> Got {
        let total = total.to_string();
        let mut all = vec![("OC-Total-Length", total.as_str())];
        all.extend(headers);
        self.go("MOVE", "/.file", &all, b"").await
    }

    fn open(&self) -> usize {
        let tree = self.dav.world.tree("webdav").unwrap();
        tree["uploads"].as_array().unwrap().len()
    }
}

#[tokio::test]
async fn chunks_become_a_file() {
    let up = Upload::begin(&[]).await;
    let blob = Blob::synthetic(3, 10 * MIB + 7);
    // In any order; the numbers count, not the text.
    for (name, from, len) in [
        ("/00003", 10 * MIB, 7),
        ("/1", 0, 5 * MIB),
        ("/2", 5 * MIB, 5 * MIB),
    ] {
        let got = up.go("PUT", name, &[], &blob.read(from, len)).await;
        assert_eq!(got.status, 201, "{name}: {}", got.text());
    }
    let again = up.go("PUT", "/2", &[], &blob.read(5 * MIB, 5 * MIB)).await;
    assert_eq!(again.status, 204);
    let listed = up.send("PROPFIND", "", &[("Depth", "1")], b"").await.rows();
    let sizes: Vec<&str> = listed[1..]
        .iter()
        .map(|row| row.text("getcontentlength"))
        .collect();
    assert_eq!(sizes, ["5242880", "5242880", "7"]);
    assert!(listed[3].href.ends_with("/up-1/00003"));
    assert_eq!(up.dav.stored("/big.bin"), None);
    let sum = format!(
        "SHA1:{}",
        blob.digest_now(super::super::super::HashKind::Sha1)
    );
    let headers = [("OC-Checksum", sum.as_str()), ("X-OC-Mtime", "1700000000")];
    let made = up.commit(blob.size(), &headers).await;
    assert_eq!((made.status, made.header("x-oc-mtime")), (201, "accepted"));
    assert_eq!(
        made.header("etag"),
        up.dav.prop("/big.bin", "getetag").await
    );
    assert_eq!(up.dav.stored("/big.bin").unwrap(), blob.read(0, u64::MAX));
    assert_eq!(
        (up.open(), up.commit(blob.size(), &[]).await.status),
        (0, 404)
    );
    let stat = up.dav.stat();
    assert_eq!((stat.count("chunk"), stat.count("chunk_commit")), (4, 2));
}

#[tokio::test]
async fn what_is_wrong_with_chunks_is_told() {
    let up = Upload::begin(&[("chunk_min", "10"), ("chunk_max", "20")]).await;
    assert_eq!(up.go("MKCOL", "", &[], b"").await.status, 405);
    assert_eq!(up.send("MKCOL", "x", &[], b"").await.status, 400);
    let other = format!("{}x", up.to);
    let elsewhere = [("Destination", other.as_str())];
    assert_eq!(up.send("PUT", "/1", &[], b"1").await.status, 400);
    assert_eq!(up.send("PUT", "/1", &elsewhere, b"1").await.status, 400);
    for name in ["/0", "/10001", "/a"] {
        assert_eq!(up.go("PUT", name, &[], b"1").await.status, 400, "{name}");
    }
    assert_eq!(up.go("PUT", "/1", &[], &[1; 21]).await.status, 413);
    assert_eq!(up.go("PUT", "none/1", &[], b"1").await.status, 404);
    assert_eq!(up.go("PUT", "/1", &[], &[1; 9]).await.status, 201);
    assert_eq!(up.go("PUT", "/2", &[], &[2; 20]).await.status, 201);
    assert_eq!(up.go("GET", "/1", &[], b"").await.status, 405);
    assert_eq!(up.commit(29, &[]).await.status, 400);
    assert_eq!(up.go("PUT", "/1", &[], &[1; 10]).await.status, 204);
    assert_eq!(up.commit(29, &[]).await.status, 400);
    assert_eq!(up.go("MOVE", "/.file", &[], b"").await.status, 400);
    assert_eq!(
        up.commit(30, &[("OC-Checksum", "MD5:00")]).await.status,
        400
    );
    let total = [("OC-Total-Length", "30"), ("Destination", other.as_str())];
    assert_eq!(up.send("MOVE", "/.file", &total, b"").await.status, 400);
    assert_eq!(up.open(), 1);
    up.dav.fault("chunk_commit", FaultKind::CommitFail, "");
    assert_eq!(up.commit(30, &[]).await.status, 500);
    assert_eq!(up.dav.stored("/big.bin"), None);
    up.dav.seed("/big.bin", b"old");
    assert_eq!(up.commit(30, &[("Overwrite", "F")]).await.status, 412);
    assert_eq!(up.commit(30, &[("If-Match", "\"x\"")]).await.status, 412);
    assert_eq!(up.dav.stored("/big.bin").unwrap(), "old");
    assert_eq!(up.commit(30, &[]).await.status, 204);
    assert_eq!(up.dav.stored("/big.bin").unwrap().len(), 30);
}

#[tokio::test]
async fn uploads_are_given_up_forgotten_and_too_large() {
    let up = Upload::begin(&[("total_size", "100"), ("chunk_min", "1")]).await;
    let much = [("OC-Total-Length", "101")];
    assert_eq!(up.go("PUT", "/1", &much, b"1").await.status, 507);
    assert_eq!(up.go("PUT", "/1", &[], &[1; 60]).await.status, 201);
    assert_eq!(up.go("PUT", "/2", &[], &[1; 60]).await.status, 201);
    assert_eq!(up.commit(120, &[]).await.status, 507);
    assert_eq!(up.go("DELETE", "", &[], b"").await.status, 204);
    assert_eq!(up.go("DELETE", "", &[], b"").await.status, 404);
    assert_eq!(up.go("MKCOL", "", &[], b"").await.status, 201);
    up.dav.world.clock_advance(86_399_000);
    assert_eq!(up.go("PUT", "/1", &[], b"1").await.status, 201);
    up.dav.world.clock_advance(86_400_001);
    assert_eq!(up.go("PUT", "/2", &[], b"1").await.status, 404);
    assert_eq!(up.go("MKCOL", "", &[], b"").await.status, 201);
    // Not there without the flavour.
    up.dav.set("chunks", "no");
    assert_eq!(up.go("MKCOL", "x", &[], b"").await.status, 404);
}
