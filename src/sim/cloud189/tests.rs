//! A client that knows nothing but the sheet; sessions, signatures, envelopes.

use std::sync::Arc;

use serde_json::Value;

use super::super::clock::{parse_rfc1123, rfc1123};
use super::super::faults::{Fault, FaultKind};
use super::super::server::{SeedSource, World, WorldOptions};
use super::sign::{hmac_hex, session_text};

pub(super) const REFERER: &str = "https://cloud.189.cn";
pub(super) const JSON: &str = "application/json;charset=UTF-8";
const SUFFIX: &str =
    "clientType=TELEPC&version=6.2&channelId=web_cloud.189.cn&rand=4711_1234567890";

/// A client of one account.
pub(super) struct Client {
    pub world: Arc<World>,
    pub http: reqwest::Client,
    pub name: String,
    /// What `getSessionForPC.action` answered last.
    pub session: Value,
    pub access: String,
    pub refresh: String,
}

/// What a call changes about itself, to be refused.
#[derive(Clone, Default)]
pub(super) struct Twist {
    pub family: bool,
    pub date: Option<String>,
    pub signature: Option<String>,
    pub without: Vec<&'static str>,
    pub accept: Option<&'static str>,
    pub no_suffix: bool,
}

pub(super) fn world() -> Arc<World> {
    super::super::start(&WorldOptions {
        only: vec!["189cloud".to_owned()],
        accounts: 2,
    })
    .unwrap()
}

pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", super::super::oss::sign::encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

impl Client {
    pub(super) async fn new() -> Client {
        Client::of(&world(), "189").await
    }

    /// A client with a session.
    pub(super) async fn of(world: &Arc<World>, name: &str) -> Client {
        let mut client = Client::stranger(world, name);
        client.refresh = world.profile(name).unwrap().secrets["refresh_token"].clone();
        let tokens = client.renew().await;
        client.access = tokens["accessToken"].as_str().unwrap().to_owned();
        client.refresh = tokens["refreshToken"].as_str().unwrap().to_owned();
        client.open().await;
        client
    }

    /// A client without anything.
    pub(super) fn stranger(world: &Arc<World>, name: &str) -> Client {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("Mozilla/5.0 (Windows NT 10.0; Win64; x64)");
        Client {
            world: world.clone(),
            http: http.build().unwrap(),
            name: name.to_owned(),
            session: Value::Null,
            access: String::new(),
            refresh: String::new(),
        }
    }

    pub(super) fn url(&self, host: &str, path: &str) -> String {
        format!("{}{path}", self.world.endpoints()["189cloud"][host])
    }

    /// `refreshToken.do` with the refresh token at hand.
    pub(super) async fn renew(&self) -> Value {
        let form = [
            ("clientId", "8025431004"),
            ("refreshToken", &self.refresh),
            ("grantType", "refresh_token"),
            ("format", "json"),
        ];
        let ask = self
            .http
            .post(self.url("auth", "/api/oauth2/refreshToken.do"));
        ask.form(&form).send().await.unwrap().json().await.unwrap()
    }

    /// A session for the access token at hand.
    pub(super) async fn open(&mut self) -> Value {
        let token = query(&[("appId", "8025431004"), ("accessToken", &self.access)]);
        let url = self.url("api", &format!("/getSessionForPC.action?{SUFFIX}&{token}"));
        let ask = self.http.get(url).header("Accept", JSON);
        let answer: Value = ask.send().await.unwrap().json().await.unwrap();
        if answer["sessionKey"].is_string() {
            self.session = answer.clone();
        }
        answer
    }

    pub(super) fn now(&self) -> i64 {
        self.world.clock().now_ms()
    }

    fn pair(&self, family: bool) -> (&str, &str) {
        let text = |name: &str| self.session[name].as_str().unwrap();
        match family {
            true => (text("familySessionKey"), text("familySessionSecret")),
            false => (text("sessionKey"), text("sessionSecret")),
        }
    }

    pub(super) fn secret(&self, family: bool) -> &str {
        self.pair(family).1
    }

    /// A signed request; `params` are the encrypted parameters of the upload host.
    pub(super) fn signed(
        &self,
        (host, method, path): (&str, &str, &str),
        text: &str,
        params: &str,
        twist: &Twist,
    ) -> reqwest::RequestBuilder {
        let (key, secret) = self.pair(twist.family);
        let date = twist.date.clone().unwrap_or_else(|| rfc1123(self.now()));
        let to_sign = session_text(key, method, path, &date, params);
        let signature = twist.signature.clone();
        let signature = signature.unwrap_or_else(|| hmac_hex(secret, &to_sign).to_uppercase());
        let mut all = vec![text.to_owned()];
        if !params.is_empty() {
            all.push(format!("params={params}"));
        }
        if !twist.no_suffix {
            all.push(SUFFIX.to_owned());
        }
        all.retain(|part| !part.is_empty());
        let url = self.url(host, &format!("{path}?{}", all.join("&")));
        let mut ask = self.http.request(method.parse().unwrap(), url);
        for (name, value) in [
            ("Date", date.as_str()),
            ("SessionKey", key),
            ("Signature", &signature),
            ("X-Request-ID", "8c8b1e5e-3a55-4b0e-9d8f-0a1b2c3d4e5f"),
            ("Referer", REFERER),
            ("Accept", twist.accept.unwrap_or(JSON)),
        ] {
            if !twist.without.contains(&name) {
                ask = ask.header(name, value);
            }
        }
        ask
    }

    /// A call of the PC door with its parameters in the query.
    pub(super) async fn twisted(
        &self,
        method: &str,
        path: &str,
        pairs: &[(&str, &str)],
        twist: &Twist,
    ) -> (u16, String) {
        let ask = self.signed(("api", method, path), &query(pairs), "", twist);
        let answer = ask.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(super) async fn call(&self, method: &str, path: &str, pairs: &[(&str, &str)]) -> Value {
        let family = path.starts_with("/family/");
        let twist = Twist {
            family,
            ..Twist::default()
        };
        let (_, text) = self.twisted(method, path, pairs, &twist).await;
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {path}: {text}"))
    }

    pub(super) async fn get(&self, path: &str, pairs: &[(&str, &str)]) -> Value {
        self.call("GET", path, pairs).await
    }

    pub(super) async fn post(&self, path: &str, pairs: &[(&str, &str)]) -> Value {
        self.call("POST", path, pairs).await
    }

    /// A call of the PC door with a form.
    pub(super) async fn form(&self, path: &str, pairs: &[(&str, &str)], family: bool) -> Value {
        let twist = Twist {
            family,
            ..Twist::default()
        };
        let ask = self
            .signed(("api", "POST", path), "", "", &twist)
            .form(pairs);
        ask.send().await.unwrap().json().await.unwrap()
    }

    /// A page of a listing.
    pub(super) async fn page(&self, folder: &str, page: &str, size: &str) -> Value {
        let pairs = [("folderId", folder), ("pageNum", page), ("pageSize", size)];
        let answer = self.get("/listFiles.action", &pairs).await;
        answer["fileListAO"].clone()
    }

    /// Names in a folder, folders first.
    pub(super) async fn names(&self, folder: &str) -> Vec<String> {
        names(&self.page(folder, "1", "1000").await)
    }

    pub(super) fn seed(&self, path: &str, bytes: &[u8]) -> String {
        let source = SeedSource::Bytes(bytes.to_vec().into());
        self.world.seed(&self.name, path, 0, &source).unwrap()
    }

    pub(super) fn mkdir(&self, path: &str) -> String {
        self.world.mkdir(&self.name, path).unwrap()
    }

    pub(super) fn set(&self, knob: &str, value: &str) {
        self.world.set(&self.name, knob, value).unwrap();
    }

    pub(super) fn fault(&self, op: &str, kind: FaultKind, arg: &str) {
        self.world
            .fault(&self.name, Fault::once(op, kind, arg))
            .unwrap();
    }
}

pub(super) fn names(list: &Value) -> Vec<String> {
    let part = |name: &str| list[name].as_array().cloned().unwrap_or_default();
    let all = part("folderList").into_iter().chain(part("fileList"));
    all.map(|entry| entry["name"].as_str().unwrap().to_owned())
        .collect()
}

/// The code of a refusal, in whatever envelope.
pub(super) fn code(answer: &Value) -> &str {
    let names = ["res_code", "code", "errorCode", "error"];
    let mut codes = names.iter().filter_map(|name| answer[*name].as_str());
    codes.next().unwrap_or("")
}

#[tokio::test]
async fn sessions_end_and_are_renewed() {
    let mut client = Client::new().await;
    let key = client.session["sessionKey"].clone();
    assert_eq!(
        client.session["familySessionKey"],
        format!("{}_family", key.as_str().unwrap())
    );
    assert_eq!(client.session["sessionSecret"].as_str().unwrap().len(), 32);
    assert!(client.names("-11").await.is_empty());
    // Used again and again it lives; left alone it ends.
    for _ in 0..3 {
        client.world.clock_advance(3 * 3_600_000);
        assert_eq!(
            client.get("/keepUserSession.action", &[]).await["res_code"],
            0
        );
    }
    client.world.clock_advance(4 * 3_600_000 + 1);
    let ended = client
        .get("/listFiles.action", &[("folderId", "-11")])
        .await;
    assert_eq!(code(&ended), "InvalidSessionKey");
    client.open().await;
    assert_ne!(client.session["sessionKey"], key);
    assert!(client.names("-11").await.is_empty());
    // The ways a fault ends things.
    client.fault("list", FaultKind::ExpireToken, "");
    for style in ["", "null_bo", "ip"] {
        client.set("session_error", style);
        let ended = client
            .get("/listFiles.action", &[("folderId", "-11")])
            .await;
        let text = ended.to_string();
        assert!(
            [
                "InvalidSessionKey",
                "userSessionBO is null",
                "check ip error"
            ]
            .iter()
            .any(|known| text.contains(known)),
            "{text}"
        );
    }
    assert_eq!(client.open().await["res_code"], 0);
    client.fault("list", FaultKind::ExpireToken, "access");
    client
        .get("/listFiles.action", &[("folderId", "-11")])
        .await;
    assert_eq!(code(&client.open().await), "UserInvalidOpenToken");
    // The refresh token was spent by its use.
    let spent = client.world.profile("189").unwrap().secrets["refresh_token"].clone();
    let old = std::mem::replace(&mut client.refresh, spent.clone());
    assert_eq!(client.renew().await["expiresIn"], 604_800);
    assert_eq!(client.renew().await["result"], -117);
    client.refresh = old;
    client.set("rotate_tokens", "off");
    let tokens = client.renew().await;
    assert_eq!(tokens["refreshToken"], client.refresh);
    client.access = tokens["accessToken"].as_str().unwrap().to_owned();
    client.open().await;
    assert!(client.names("-11").await.is_empty());
    client.world.clock_advance(7 * 86_400_000);
    assert_eq!(code(&client.open().await), "UserInvalidOpenToken");
    client.world.clock_advance(24 * 86_400_000);
    assert_eq!(client.renew().await["result"], -117);
    // From the tokens at the start, after two of the three faults, after the second renewal.
    assert_eq!(client.world.stat("189").unwrap().refreshes, 4);
}

#[tokio::test]
async fn signatures_are_checked() {
    let client = Client::new().await;
    let good = Twist::default();
    let list = [("folderId", "-11")];
    let path = "/listFiles.action";
    assert_eq!(client.twisted("GET", path, &list, &good).await.0, 200);
    let date = |off: i64| Some(rfc1123(client.now() + off));
    let refused = |answer: (u16, String)| {
        let body: Value = serde_json::from_str(&answer.1).unwrap();
        (answer.0, code(&body).to_owned())
    };
    let twist = |change: fn(&mut Twist)| {
        let mut twist = Twist::default();
        change(&mut twist);
        twist
    };
    for (twist, status, code) in [
        (
            twist(|t| t.signature = Some("0".repeat(40))),
            400,
            "InvalidSignature",
        ),
        (
            twist(|t| t.without = vec!["Signature"]),
            400,
            "InvalidSignature",
        ),
        (twist(|t| t.without = vec!["Date"]), 400, "TimestampExpired"),
        (
            twist(|t| t.without = vec!["X-Request-ID"]),
            400,
            "InvalidArgument",
        ),
        (
            twist(|t| t.without = vec!["Referer"]),
            403,
            "InvalidArgument",
        ),
        (twist(|t| t.no_suffix = true), 400, "InvalidArgument"),
        // A personal path signed with the family's pair.
        (twist(|t| t.family = true), 400, "InvalidSessionKey"),
        (
            Twist {
                date: date(301_000),
                ..Twist::default()
            },
            400,
            "TimestampExpired",
        ),
        (
            Twist {
                date: date(-301_000),
                ..Twist::default()
            },
            400,
            "TimestampExpired",
        ),
    ] {
        let answer = client.twisted("GET", path, &list, &twist).await;
        assert_eq!(refused(answer), (status, code.to_owned()));
    }
    let near = Twist {
        date: date(200_000),
        ..Twist::default()
    };
    assert_eq!(client.twisted("GET", path, &list, &near).await.0, 200);
    // Hex in lower case, and a path with what the base address adds.
    let (key, secret) = client.pair(false);
    for path in ["/listFiles.action", "/api/listFiles.action"] {
        let date = rfc1123(client.now());
        let text = session_text(key, "GET", path, &date, "");
        let signature = Some(hmac_hex(secret, &text));
        let lower = Twist {
            date: Some(date),
            signature,
            ..Twist::default()
        };
        let answer = client
            .twisted("GET", "/listFiles.action", &list, &lower)
            .await;
        assert_eq!(answer.0, 200, "{}", answer.1);
    }
    // The server's clock is in every answer.
    client.world.clock_advance(86_400_000);
    let late = client
        .signed(("api", "GET", path), "folderId=-11", "", &good)
        .send()
        .await
        .unwrap();
    let told = parse_rfc1123(late.headers()["date"].to_str().unwrap()).unwrap();
    assert!((told - client.now()).abs() < 60_000);
    // Without JSON in Accept the API answers XML.
    let mut client = client;
    client.open().await;
    client.seed("/a & b.txt", b"x");
    let xml = Twist {
        accept: Some("*/*"),
        ..Twist::default()
    };
    let (_, text) = client.twisted("GET", path, &list, &xml).await;
    assert!(
        text.contains("<listFiles>") && text.contains("<name>a &amp; b.txt</name>"),
        "{text}"
    );
    let (_, text) = client
        .twisted("GET", path, &[("folderId", "5")], &xml)
        .await;
    assert!(text.contains("<error><code>FileNotFound</code>"), "{text}");
    for (shape, sign) in [
        ("code", "\"code\":\"FileNotFound\""),
        ("error", "\"error\":\"FileNotFound\""),
        ("success", "\"success\":\"false\""),
        ("xml", "<error>"),
    ] {
        client.set("error_shape", shape);
        let (_, text) = client
            .twisted("GET", path, &[("folderId", "5")], &good)
            .await;
        assert!(text.contains(sign), "{text}");
    }
}

#[tokio::test]
async fn injected_errors() {
    let client = Client::new().await;
    for (arg, status, code_) in [
        ("SystemBusy", 400, "SystemBusy"),
        ("200:FileNotFound", 200, "FileNotFound"),
        ("403:PermissionDenied:errorCode", 403, "PermissionDenied"),
    ] {
        client.fault("list", FaultKind::Errno, arg);
        let list = [("folderId", "-11")];
        let answer = client
            .twisted("GET", "/listFiles.action", &list, &Twist::default())
            .await;
        let body: Value = serde_json::from_str(&answer.1).unwrap();
        assert_eq!((answer.0, code(&body)), (status, code_), "{body}");
    }
    client.fault("list", FaultKind::Html, "");
    let list = [("folderId", "-11")];
    let (_, text) = client
        .twisted("GET", "/listFiles.action", &list, &Twist::default())
        .await;
    assert!(text.starts_with("<!DOCTYPE html>"));
}
