//! Shares and downloads over HTTP.

use serde_json::{Value, json};

use super::super::faults::FaultKind;
use super::super::server::SeedSource;
use super::share::SHARE_ID;
use super::tests::{Client, REFERER, code, names, query, world};
use super::tests_doors::{json_of, web_cookie};

impl Client {
    async fn share(&self, call: &str, pairs: &[(&str, &str)]) -> Value {
        let path = format!("/api/open/share/{call}.action?{}", query(pairs));
        json_of(
            self.http
                .get(self.url("web", &path))
                .header("Sign-Type", "1"),
        )
        .await
    }

    async fn share_list(&self, folder: &str, code: &str) -> Value {
        let pairs = [
            ("pageNum", "1"),
            ("pageSize", "60"),
            ("fileId", folder),
            ("shareDirFileId", folder),
            ("isFolder", "true"),
            ("shareId", SHARE_ID),
            ("shareMode", "1"),
            ("orderBy", "lastOpTime"),
            ("descending", "true"),
            ("accessCode", code),
        ];
        self.share("listShareDir", &pairs).await
    }
}

#[tokio::test]
async fn shares_need_no_login_but_a_code() {
    let world = world();
    let client = Client::stranger(&world, "189-share");
    let profile = world.profile("189-share").unwrap();
    assert_eq!(
        (profile.kind.as_str(), profile.auth_mode.as_str()),
        ("share", "share")
    );
    let (share, pass) = (
        profile.fields["share_code"].as_str(),
        profile.fields["access_code"].as_str(),
    );
    let source = SeedSource::Bytes("hello".into());
    let file = world.seed("189-share", "/docs/a.txt", 0, &source).unwrap();
    let info = client
        .share("getShareInfoByCodeV2", &[("shareCode", share)])
        .await;
    assert_eq!(
        (&info["needAccessCode"], &info["isFolder"]),
        (&json!(1), &json!(true))
    );
    assert!(info["shareId"].is_null(), "told after the code");
    let folder = info["fileId"].as_str().unwrap();
    let none = client
        .share("getShareInfoByCodeV2", &[("shareCode", "x")])
        .await;
    assert_eq!(code(&none), "ShareInfoNotFound");
    let wrong = [("shareCode", share), ("accessCode", "zz99")];
    assert_eq!(
        code(&client.share("checkAccessCode", &wrong).await),
        "ShareAccessCodeNotMatch"
    );
    let right = [("shareCode", share), ("accessCode", pass)];
    assert_eq!(
        client.share("checkAccessCode", &right).await["shareId"].to_string(),
        SHARE_ID
    );
    assert_eq!(
        code(&client.share_list(folder, "").await),
        "ShareAccessCodeNotMatch"
    );
    let top = client.share_list(folder, pass).await;
    assert_eq!(names(&top["fileListAO"]), ["docs"]);
    let docs = top["fileListAO"]["folderList"][0]["id"].to_string();
    let inner = client.share_list(&docs, pass).await;
    let entry = &inner["fileListAO"]["fileList"][0];
    assert_eq!(entry["md5"], "5D41402ABC4B2A76B9719D911017C592");
    assert_eq!(
        code(&client.share_list("5", pass).await),
        "ShareNotFoundFlatDir"
    );
    assert_eq!(
        code(&client.share_list("-11", pass).await),
        "ShareNotFoundFlatDir"
    );
    assert_eq!(
        code(&client.share_list(&file, pass).await),
        "FileNotFolderErrorCode"
    );
    for _ in 0..5 {
        client.share("checkAccessCode", &wrong).await;
    }
    let over = client.share("checkAccessCode", &right).await;
    assert_eq!(code(&over), "ShareAccessCodeFaildCountOver");
    client.set("code_tries", "100");
    client.set("share_single", "/docs/a.txt");
    let info = client
        .share("getShareInfoByCodeV2", &[("shareCode", share)])
        .await;
    assert_eq!(
        (&info["fileId"], &info["isFolder"]),
        (&json!(file), &json!(false))
    );
    let one = [
        ("fileId", file.as_str()),
        ("isFolder", "false"),
        ("shareId", SHARE_ID),
        ("accessCode", pass),
    ];
    assert_eq!(
        names(&client.share("listShareDir", &one).await["fileListAO"]),
        ["a.txt"]
    );
    assert_eq!(code(&client.share_list(&docs, pass).await), "FileNotFound");
    client.set("share_single", "");
    client.set("access_code", "");
    let info = client
        .share("getShareInfoByCodeV2", &[("shareCode", share)])
        .await;
    assert_eq!(info["shareId"].to_string(), SHARE_ID);
    assert_eq!(
        names(&client.share_list(folder, "").await["fileListAO"]),
        ["docs"]
    );
    client.set("share_mode", "5");
    assert_eq!(
        code(&client.share_list(folder, "").await),
        "PermissionDenied"
    );
    for (state, refusal) in [
        ("expired", "ShareExpiredError"),
        ("canceled", "ShareCanceled"),
        ("missing", "ShareNotFound"),
        ("waiting", "ShareAuditWaiting"),
        ("rejected", "ShareAuditNotPass"),
    ] {
        client.set("share_state", state);
        assert_eq!(code(&client.share_list(folder, "").await), refusal);
    }
    let stat = world.stat("189-share").unwrap();
    assert_eq!((stat.count("share_info"), stat.count("share_code")), (3, 8));
    assert_eq!(world.stat("189").unwrap().total(), 0);
}

impl Client {
    async fn link(&self, id: &str) -> String {
        let answer = self
            .get("/getFileDownloadUrl.action", &[("fileId", id), ("dt", "3")])
            .await;
        let url = answer["fileDownloadUrl"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"));
        assert!(url.starts_with("http://") && url.contains("&amp;"));
        url.replace("&amp;", "&")
    }

    async fn follow_link(&self, url: &str) -> Option<String> {
        let answer = self.http.get(url).send().await.unwrap();
        let location = answer.headers().get("location")?;
        assert_eq!(answer.status(), 302);
        Some(location.to_str().unwrap().to_owned())
    }

    async fn bytes(&self, url: &str, headers: &[(&str, &str)]) -> (u16, Vec<u8>) {
        let mut ask = self.http.get(url);
        for (name, value) in headers {
            ask = ask.header(*name, *value);
        }
        let answer = ask.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.bytes().await.unwrap().to_vec(),
        )
    }
}

#[tokio::test]
async fn downloads() {
    let client = Client::new().await;
    let id = client.seed("/a.txt", b"hello world");
    let url = client.link(&id).await;
    let last = client.follow_link(&url).await.unwrap();
    assert!(last.contains("Expires="));
    assert_eq!(
        client.bytes(&last, &[]).await,
        (200, b"hello world".to_vec())
    );
    assert_eq!(
        client.bytes(&last, &[("Range", "bytes=6-8")]).await,
        (206, b"wor".to_vec())
    );
    for leak in ["SessionKey", "Cookie", "Authorization"] {
        assert_eq!(client.bytes(&last, &[(leak, "x")]).await.0, 400, "{leak}");
    }
    // Signed, for a while.
    assert_eq!(
        client
            .follow_link(&url.replace("expired=", "expired=9"))
            .await,
        None
    );
    assert_eq!(
        client
            .bytes(&last.replace("Expires=", "Expires=9"), &[])
            .await
            .0,
        403
    );
    client.fault("download", FaultKind::ExpireLink, "");
    assert_eq!(client.bytes(&last, &[]).await.0, 403);
    assert_eq!(client.bytes(&last, &[]).await.0, 403, "it stays dead");
    let other = client.follow_link(&client.link(&id).await).await.unwrap();
    assert_eq!(client.bytes(&other, &[]).await.0, 200);
    client.world.clock_advance(3_600_000);
    assert_eq!(client.bytes(&other, &[]).await.0, 403);
    assert!(client.follow_link(&url).await.is_some());
    client.world.clock_advance(4 * 3_600_000);
    assert_eq!(client.follow_link(&url).await, None);
    let mut client = client;
    client.open().await;
    client.set("blocked", "/a.txt");
    let blocked = client
        .get("/getFileDownloadUrl.action", &[("fileId", &id)])
        .await;
    assert_eq!(code(&blocked), "DownloadFileMD5ErrorCode");
    let stat = client.world.stat("189").unwrap();
    assert_eq!((stat.count("link"), stat.bytes_down), (3, 11 + 3 + 11));
    // From a share without saving, on the web's door: small files only.
    let source = SeedSource::Synthetic { seed: 2 };
    let small = client.world.seed("189-share", "/s", 100, &source).unwrap();
    let large = client
        .world
        .seed("189-share", "/l", 200 << 20, &source)
        .unwrap();
    let cookie = web_cookie(&client).await;
    for (id, refusal) in [
        (small, ""),
        (large, "FileTooLarge"),
        ("5".to_owned(), "FileNotFound"),
    ] {
        let pairs = query(&[("fileId", &id), ("dt", "1"), ("shareId", SHARE_ID)]);
        let path = format!("/api/open/file/getFileDownloadUrl.action?{pairs}");
        let ask = client.http.get(client.url("web", &path));
        let ask = ask.header("Cookie", &cookie).header("Referer", REFERER);
        let answer = json_of(ask).await;
        assert_eq!(code(&answer), refusal);
        if let Some(url) = answer["fileDownloadUrl"].as_str() {
            let last = client
                .follow_link(&url.replace("&amp;", "&"))
                .await
                .unwrap();
            assert_eq!(client.bytes(&last, &[]).await.1.len(), 100);
        }
    }
}
