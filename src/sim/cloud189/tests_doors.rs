//! Logins, the open door, shares and downloads over HTTP.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::super::faults::FaultKind;
use super::super::server::SeedSource;
use super::rsa::encrypt_field;
use super::share::SHARE_ID;
use super::sign::{TV_APP, hmac_hex, open_md5, tv_text};
use super::tests::{Client, JSON, REFERER, code, names, query, world};

const AUTH: &str = "https://open.e.189.cn";

async fn json_of(ask: RequestBuilder) -> Value {
    let answer = ask.header("Accept", JSON).send().await.unwrap();
    let text = answer.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap();
    rest.split_once(after).unwrap().0
}

/// A login page as it was read.
struct Page {
    captcha: String,
    lt: String,
    param: String,
    id: String,
}

impl Client {
    async fn unify(&self, cookie: &str) -> String {
        let pairs = query(&[
            ("appId", "8025431004"),
            ("clientType", "10020"),
            (
                "returnURL",
                "https://m.cloud.189.cn/zhuanti/2020/loginErrorPc/index.html",
            ),
            ("timeStamp", "1"),
        ]);
        let url = self.url(
            "web",
            &format!("/api/portal/unifyLoginForPC.action?{pairs}"),
        );
        let answer = self
            .http
            .get(url)
            .header("Cookie", cookie)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 302);
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    async fn scrape(&self) -> Page {
        let url = self.unify("").await;
        let html = self
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        Page {
            captcha: between(&html, "'captchaToken' value='", "'").to_owned(),
            lt: between(&html, "lt = \"", "\"").to_owned(),
            param: between(&html, "paramId = \"", "\"").to_owned(),
            id: between(&html, "reqId = \"", "\"").to_owned(),
        }
    }

    fn auth(&self, path: &str, page: &Page) -> RequestBuilder {
        let ask = self
            .http
            .post(self.url("auth", &format!("/api/logbox/{path}")));
        ask.header("REQID", &page.id)
            .header("lt", &page.lt)
            .header("Referer", AUTH)
    }

    async fn submit(&self, page: &Page, password: &str, captcha: &str) -> (Value, String) {
        let form = [
            ("appKey", "8025431004"),
            ("accountType", "02"),
            ("userName", &encrypt_field("18900001001")),
            ("password", &encrypt_field(password)),
            ("validateCode", captcha),
            ("captchaToken", &page.captcha),
            (
                "returnUrl",
                "https://m.cloud.189.cn/zhuanti/2020/loginErrorPc/index.html",
            ),
            ("dynamicCheck", "FALSE"),
            ("clientType", "10020"),
            ("cb_SaveName", "1"),
            ("isOauth2", "false"),
            ("state", ""),
            ("paramId", &page.param),
        ];
        let answer = self
            .auth("oauth2/loginSubmit.do", page)
            .form(&form)
            .send()
            .await
            .unwrap();
        let cookie = answer.headers().get("set-cookie");
        let cookie = cookie.map_or("", |cookie| cookie.to_str().unwrap());
        let cookie = cookie.split(';').next().unwrap().to_owned();
        (answer.json().await.unwrap(), cookie)
    }

    async fn session_for(&self, url: &str) -> Value {
        let pairs = query(&[("clientType", "TELEPC"), ("redirectURL", url)]);
        let url = self.url("api", &format!("/getSessionForPC.action?{pairs}"));
        json_of(self.http.post(url)).await
    }
}

#[tokio::test]
async fn password_logins() {
    let world = world();
    let mut client = Client::stranger(&world, "189");
    let password = world.profile("189").unwrap().secrets["password"].clone();
    let page = client.scrape().await;
    let conf = client
        .auth("config/encryptConf.do", &page)
        .form(&[("appId", "8025431004")]);
    let conf = json_of(conf).await;
    assert_eq!(conf["data"]["pre"], "{NRP}");
    assert_eq!(conf["data"]["pubKey"], super::rsa::PUBLIC_KEY);
    let needs = || {
        let name = encrypt_field("18900001001");
        let form = [
            ("appKey", "8025431004"),
            ("accountType", "02"),
            ("userName", &name),
        ];
        let ask = client.auth("oauth2/needcaptcha.do", &page).form(&form);
        async { ask.send().await.unwrap().text().await.unwrap() }
    };
    assert_eq!(needs().await, "0");
    assert_eq!(
        client.submit(&page, "wrong", "").await.0["toUrl"],
        Value::Null
    );
    let stale = Page {
        lt: "x".to_owned(),
        ..client.scrape().await
    };
    assert_eq!(client.submit(&stale, &password, "").await.0["result"], -1);
    client.set("captcha", "x7k2");
    assert_eq!(needs().await, "1");
    for (token, least) in [(page.captcha.as_str(), 100), ("other", 0)] {
        let pairs = query(&[("token", token), ("REQID", &page.id), ("rnd", "1")]);
        let url = client.url("auth", &format!("/api/logbox/oauth2/picCaptcha.do?{pairs}"));
        let picture = client
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        assert!(if least > 0 {
            picture.len() > least
        } else {
            picture.is_empty()
        });
    }
    assert_eq!(
        client.submit(&page, &password, "").await.0["msg"],
        "验证码错误"
    );
    client.set("device_lock", "on");
    let locked = client.submit(&page, &password, "x7k2").await.0;
    assert!(locked["msg"].as_str().unwrap().contains("设备锁"));
    client.set("device_lock", "off");
    let (done, sson) = client.submit(&page, &password, "x7k2").await;
    assert_eq!(done["result"], 0, "{done}");
    let url = done["toUrl"].as_str().unwrap();
    let session = client.session_for(url).await;
    client.access = session["accessToken"].as_str().unwrap().to_owned();
    client.refresh = session["refreshToken"].as_str().unwrap().to_owned();
    client.session = session;
    assert!(client.names("-11").await.is_empty());
    assert_eq!(client.renew().await["expiresIn"], 604_800);
    assert_eq!(
        code(&client.session_for(url).await),
        "InvalidArgument",
        "once only"
    );
    // The cookie is a login of its own.
    let end = client.unify(&sson).await;
    assert_eq!(client.http.get(&end).send().await.unwrap().status(), 200);
    assert_eq!(
        client.session_for(&end).await["loginName"],
        "18900001001@189.cn"
    );
    assert!(client.unify("SSON=no").await.contains("reqId="));
    assert_eq!(client.world.stat("189").unwrap().refreshes, 0);
}

#[tokio::test]
async fn qr_and_tv_logins() {
    let client = Client::stranger(&world(), "189");
    let page = client.scrape().await;
    let made = json_of(
        client
            .auth("oauth2/getUUID.do", &page)
            .form(&[("appId", "8025431004")]),
    )
    .await;
    let (uuid, encrypted) = (
        made["uuid"].as_str().unwrap(),
        made["encryuuid"].as_str().unwrap(),
    );
    let poll = |encrypted: &str| {
        let form = [
            ("appId", "8025431004"),
            ("clientType", "10020"),
            ("paramId", &page.param),
            ("uuid", uuid),
            ("encryuuid", encrypted),
            ("date", "2026-03-1408:05:09.123"),
            ("timeStamp", "1"),
        ];
        json_of(client.auth("oauth2/qrcodeLoginState.do", &page).form(&form))
    };
    assert_eq!(poll("x").await["status"], -11001);
    assert_eq!(poll(encrypted).await["status"], -106);
    assert_eq!(poll(encrypted).await["status"], -11002);
    let done = poll(encrypted).await;
    assert_eq!(done["status"], 0);
    let session = client
        .session_for(done["redirectUrl"].as_str().unwrap())
        .await;
    assert!(session["refreshToken"].is_string());
    client.world.clock_advance(300_001);
    assert_eq!(poll(encrypted).await["status"], -11001);

    let tv = |path: &str, pairs: &str, secret: &str| {
        let time = client.now().to_string();
        let url = client.url("api", &format!("{path}?clientType=FAMILY_TV&{pairs}"));
        let sign = hmac_hex(secret, &tv_text(path, &time)).to_uppercase();
        let ask = client
            .http
            .get(url)
            .header("Timestamp", time)
            .header("AppKey", TV_APP.0);
        json_of(ask.header("AppSignature", sign))
    };
    let path = "/family/manage/getQrCodeUUID.action";
    assert_eq!(code(&tv(path, "", "no").await), "InvalidAppSignature");
    let uuid = tv(path, "", TV_APP.1).await;
    let uuid = format!("uuid={}", uuid["uuid"].as_str().unwrap());
    let path = "/family/manage/qrcodeLoginResult.action";
    assert_eq!(code(&tv(path, &uuid, TV_APP.1).await), "QrCodeNotScanned");
    let token = tv(path, &uuid, TV_APP.1).await;
    let token = format!("e189AccessToken={}", token["accessToken"].as_str().unwrap());
    let path = "/family/manage/loginFamilyMerge.action";
    assert!(tv(path, &token, TV_APP.1).await["familySessionKey"].is_string());
    assert_eq!(
        code(&tv(path, "e189AccessToken=x", TV_APP.1).await),
        "InvalidAccessToken"
    );
}

/// The cookie header of the web door, as a login leaves it.
pub(super) async fn web_cookie(client: &Client) -> String {
    let password = client.world.profile("189").unwrap().secrets["password"].clone();
    let page = client.scrape().await;
    let (done, _) = client.submit(&page, &password, "").await;
    let landed = client
        .http
        .get(done["toUrl"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    let cookie = landed.headers()["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_open_door() {
    let client = Client::new().await;
    client.seed("/a.txt", b"hello");
    let key = client.session["sessionKey"].as_str().unwrap();
    let app = "600100422";
    let token = |app_key: &'static str, off: i64, wrong: bool| {
        let client = &client;
        async move {
            let time = (client.now() + off).to_string();
            let fields = [("sessionKey".to_owned(), key.to_owned())];
            let sign = open_md5(&fields, ("AppKey", app_key), &time);
            let path = "/api/open/oauth2/getAccessTokenBySsKey.action";
            let ask = client
                .http
                .get(client.url("web", &format!("{path}?sessionKey={key}")));
            let ask = ask.header("AppKey", app_key).header("Timestamp", time);
            let ask = ask.header("Sign-Type", "1").header("Referer", REFERER);
            let sign = if wrong { "0".repeat(32) } else { sign };
            json_of(ask.header("Signature", sign)).await
        }
    };
    assert_eq!(code(&token(app, 0, true).await), "InvalidSignature");
    assert_eq!(code(&token("1", 0, false).await), "InvalidArgument");
    assert_eq!(code(&token(app, -400_000, false).await), "TimestampExpired");
    let answer = token(app, 0, false).await;
    let access = answer["accessToken"].as_str().unwrap().to_owned();
    assert!(answer["expiresIn"].as_i64().unwrap() > client.now());
    let open =
        |host: &'static str, path: &'static str, pairs: &'static [(&str, &str)], wrong: bool| {
            let (client, access) = (&client, &access);
            async move {
                let time = client.now().to_string();
                let fields: Vec<(String, String)> = pairs
                    .iter()
                    .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                    .collect();
                let mut sign = open_md5(&fields, ("AccessToken", access), &time);
                if wrong {
                    sign = sign.to_uppercase();
                }
                let form = path.contains("/batch/");
                let url = match form {
                    true => client.url(host, path),
                    false => client.url(host, &format!("{path}?{}", query(pairs))),
                };
                let ask = match form {
                    true => client.http.post(url).form(pairs),
                    false => client.http.get(url),
                };
                let ask = ask.header("AccessToken", access).header("Timestamp", time);
                let ask = ask.header("Sign-Type", "1").header("Referer", REFERER);
                json_of(ask.header("Signature", sign)).await
            }
        };
    const LIST: &[(&str, &str)] = &[("folderId", "-11"), ("pageNum", "1"), ("pageSize", "60")];
    let listed = open("api", "/open/file/listFiles.action", LIST, false).await;
    assert_eq!(names(&listed["fileListAO"]), ["a.txt"]);
    let refused = open("api", "/open/file/listFiles.action", LIST, true).await;
    assert_eq!(code(&refused), "InvalidSignature");
    const EMPTY: &[(&str, &str)] = &[
        ("type", "EMPTY_RECYCLE"),
        ("taskInfos", "[]"),
        ("targetFolderId", ""),
    ];
    let task = open(
        "web",
        "/api/open/batch/createBatchTask.action",
        EMPTY,
        false,
    )
    .await;
    assert!(task["taskId"].is_string(), "{task}");
    client.world.clock_advance(31 * 86_400_000);
    let over = open("api", "/open/file/listFiles.action", LIST, false).await;
    assert_eq!(code(&over), "InvalidAccessToken");
    // By cookie; by nothing.
    let cookie = web_cookie(&client).await;
    let url = client.url(
        "web",
        "/api/open/file/listRecycleBinFiles.action?pageNum=1&pageSize=30",
    );
    let ask = client
        .http
        .get(&url)
        .header("Cookie", cookie)
        .header("Referer", REFERER);
    assert_eq!(json_of(ask).await["count"], 0);
    let bare = client.http.get(&url).header("Referer", REFERER);
    assert_eq!(code(&json_of(bare).await), "InvalidSessionKey");
}

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
