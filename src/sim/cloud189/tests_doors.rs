//! Logins and the open door over HTTP.

use reqwest::RequestBuilder;
use serde_json::Value;

use super::rsa::encrypt_field;
use super::sign::{TV_APP, hmac_hex, open_md5, tv_text};
use super::tests::{Client, JSON, REFERER, code, names, query, world};

const AUTH: &str = "https://open.e.189.cn";

pub(super) async fn json_of(ask: RequestBuilder) -> Value {
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
