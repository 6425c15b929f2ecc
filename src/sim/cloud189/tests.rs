//! A client that knows nothing but the sheet; sessions, signatures, listings, direct changes.

use std::sync::Arc;

use serde_json::{Value, json};

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
async fn listings() {
    let client = Client::new().await;
    let dir = client.mkdir("/d");
    for n in 0..5 {
        client.seed(&format!("/d/f{n}.bin"), &vec![7; n + 1]);
    }
    client.mkdir("/d/sub");
    let page = client.page(&dir, "1", "4").await;
    assert_eq!(page["count"], 6);
    assert_eq!(names(&page), ["sub", "f0.bin", "f1.bin", "f2.bin"]);
    assert!(page["fileList"][0]["id"].as_u64().unwrap() > 1 << 53);
    assert_eq!(page["fileList"][1]["size"], 2);
    let md5 = page["fileList"][0]["md5"].as_str().unwrap();
    assert_eq!(md5, super::super::digest::md5_hex(&[7]).to_uppercase());
    assert_eq!(page["folderList"][0]["parentId"].to_string(), dir);
    assert_eq!(
        names(&client.page(&dir, "2", "4").await),
        ["f3.bin", "f4.bin"]
    );
    let past = client.page(&dir, "3", "4").await;
    assert_eq!((past["count"].as_u64(), names(&past).len()), (Some(0), 0));
    // A truncated page: what it lacks comes later.
    client.fault("list", FaultKind::TruncatedPage, "");
    let mut got = names(&client.page(&dir, "1", "4").await);
    assert_eq!(got.len(), 2);
    for page in ["2", "3"] {
        got.extend(names(&client.page(&dir, page, "4").await));
    }
    assert_eq!(
        got,
        ["sub", "f0.bin", "f1.bin", "f2.bin", "f3.bin", "f4.bin"]
    );
    assert_eq!(client.page(&dir, "1", "4").await["count"], 6);
    client.fault("list", FaultKind::NullList, "");
    assert!(client.page(&dir, "1", "4").await["fileList"].is_null());
    client.fault("list", FaultKind::Lag, "60000");
    assert!(names(&client.page(&dir, "1", "4").await).is_empty());
    let ask = |order: &'static str, descending: &'static str, kind: &'static str| {
        let pairs = [
            ("folderId", dir.as_str()),
            ("orderBy", order),
            ("descending", descending),
            ("fileType", kind),
            ("pageNum", "1"),
        ];
        let client = &client;
        async move { client.get("/listFiles.action", &pairs).await }
    };
    let sorted = ask("filesize", "true", "1").await;
    assert_eq!(names(&sorted["fileListAO"])[0], "f4.bin");
    assert_eq!(
        names(&ask("filename", "false", "2").await["fileListAO"]),
        ["sub"]
    );
    assert_eq!(code(&ask("colour", "false", "0").await), "InvalidArgument");
    for folder in ["999", "abc"] {
        let gone = client
            .get("/listFiles.action", &[("folderId", folder)])
            .await;
        assert_eq!(code(&gone), "FileNotFound");
    }
    let file = client.seed("/x", b"x");
    let file = client
        .get("/listFiles.action", &[("folderId", &file)])
        .await;
    assert_eq!(code(&file), "FileNotFolderErrorCode");
    for (knob, value) in [
        ("ids", "text"),
        ("quoted_numbers", "on"),
        ("times", "nnbsp"),
    ] {
        client.set(knob, value);
    }
    let entry = client.page(&dir, "1", "4").await["fileList"][0].clone();
    assert!(entry["id"].is_string() && entry["size"].is_string());
    assert!(
        entry["createDate"].as_str().unwrap().contains("\u{202f}"),
        "{entry}"
    );
    let found = [("folderId", "-11"), ("filename", "F3"), ("recursive", "1")];
    let found = client.get("/searchFiles.action", &found).await;
    assert_eq!(names(&found), ["f3.bin"]);
}

#[test]
fn times_have_many_forms() {
    let knobs = super::super::account::Knobs::default();
    let text = |style: &str, ms: i64| {
        knobs.set("times", style);
        super::entries::time_text(&knobs, ms)
    };
    // The published forms, written.
    assert_eq!(text("plain", 1_786_415_838_000), "2026-08-11 10:37:18");
    assert_eq!(text("ampm", 1_786_459_038_000), "Aug 11, 2026 10:37:18 PM");
    assert_eq!(
        text("ampm_zone", 1_786_459_038_000),
        "Aug 11, 2026, 10:37:18 PM +08"
    );
    assert_eq!(
        text("ampm_zone", 1_786_466_141_000),
        "Aug 12, 2026, 12:35:41 AM +08"
    );
    assert_eq!(
        text("nbsp", 1_786_466_141_000),
        "Aug 12, 2026, 12:35:41\u{a0}AM +08"
    );
}

#[tokio::test]
async fn stat_and_quota() {
    let client = Client::new().await;
    let file = client.seed("/我的视频/a.mkv", b"hello");
    let dir = client.mkdir("/我的视频");
    let by_path = [("filePath", "/我的视频/a.mkv"), ("pathList", "1")];
    let info = client.get("/getFileInfo.action", &by_path).await;
    assert_eq!(info["id"], file);
    assert_eq!(info["md5"], "5D41402ABC4B2A76B9719D911017C592");
    assert_eq!(info["parentId"].to_string(), dir);
    assert!(info["lastOpTime"].is_i64() && info["lastOpTimeStr"].is_string());
    assert_eq!(
        info["parentFolderListAO"]["parentFolderList"][0]["fid"],
        "-11"
    );
    let by_id = client
        .get("/getFileInfo.action", &[("fileId", &file)])
        .await;
    assert_eq!(by_id["name"], "a.mkv");
    for id in [dir.as_str(), "12", "-11"] {
        let gone = client.get("/getFileInfo.action", &[("fileId", id)]).await;
        assert_eq!(code(&gone), "FileNotFound");
    }
    let folder = client
        .get("/getFolderInfo.action", &[("folderId", &dir)])
        .await;
    assert_eq!(
        (&folder["fileId"], &folder["fileName"]),
        (&json!(dir), &json!("我的视频"))
    );
    let root = client
        .get("/getFolderInfo.action", &[("folderId", "-11")])
        .await;
    assert_eq!(root["fileId"], "-11");
    let quota = client.get("/portal/getUserSizeInfo.action", &[]).await;
    assert_eq!(quota["cloudCapacityInfo"]["usedSize"], 5);
    assert_eq!(
        quota["cloudCapacityInfo"]["totalSize"],
        2_199_023_255_552_u64
    );
    assert_eq!(
        client.get("/getUserInfo.action", &[]).await["available"],
        2_199_023_255_547_u64
    );
    let family = client.get("/family/manage/getFamilyList.action", &[]).await;
    assert_eq!(family["familyInfoResp"][0]["userRole"], 1);
    client.set("calls_per_second", "1");
    let mut last = Value::Null;
    for _ in 0..4 {
        last = client.get("/getUserInfo.action", &[]).await;
    }
    assert_eq!(code(&last), "AccessDenyOfHighFrequency");
}

#[tokio::test]
async fn direct_changes() {
    let client = Client::new().await;
    let a = client.seed("/a.txt", b"one");
    client.seed("/b.txt", b"two");
    let made = [
        ("parentFolderId", "-11"),
        ("folderName", "d"),
        ("relativePath", "x/y"),
    ];
    let made = client.post("/createFolder.action", &made).await;
    let d = made["id"].to_string();
    assert_eq!(client.world.mkdir("189", "/x/y/d").unwrap(), d);
    let again = [("parentFolderId", "-11"), ("folderName", "x")];
    let again = client.post("/createFolder.action", &again).await;
    assert_eq!(again["id"].to_string(), client.mkdir("/x"));
    for (parent, name, refusal) in [
        ("-11", "a.txt", "FileAlreadyExists"),
        ("-11", "a:b", "InvalidArgument"),
        ("77", "n", "InvalidParentFolder"),
        (a.as_str(), "n", "ParentNotFolder"),
    ] {
        let pairs = [("parentFolderId", parent), ("folderName", name)];
        assert_eq!(
            code(&client.post("/createFolder.action", &pairs).await),
            refusal
        );
    }
    let rename = |name: &'static str| {
        let pairs = [("fileId", a.clone()), ("destFileName", name.to_owned())];
        let client = &client;
        async move {
            let pairs = pairs
                .each_ref()
                .map(|(name, value)| (*name, value.as_str()));
            client.post("/renameFile.action", &pairs).await
        }
    };
    assert_eq!(code(&rename("b.txt").await), "FileAlreadyExists");
    assert_eq!(code(&rename("x").await), "FileAlreadyExists");
    client.set("banned_word", "evil");
    assert_eq!(code(&rename("evil.txt").await), "AuditErrorCode");
    let renamed = rename("😀.txt").await;
    assert_eq!(
        (&renamed["name"], &renamed["id"]),
        (&json!("😀.txt"), &json!(a))
    );
    let folder = [("folderId", d.as_str()), ("destFolderName", "e")];
    assert_eq!(
        client.post("/renameFolder.action", &folder).await["name"],
        "e"
    );
    let copy = [
        ("fileId", a.as_str()),
        ("destFileName", "c.txt"),
        ("destParentFolderId", &d),
    ];
    let copied = client.post("/copyFile.action", &copy).await;
    assert_ne!(copied["id"], a);
    assert_eq!(
        code(&client.post("/copyFile.action", &copy).await),
        "FileAlreadyExists"
    );
    let moved = [
        ("fileId", a.as_str()),
        ("destFileName", "m.txt"),
        ("destParentFolderId", &d),
    ];
    assert_eq!(client.post("/moveFile.action", &moved).await["id"], a);
    assert_eq!(client.names(&d).await, ["c.txt", "m.txt"]);
    let x = client.mkdir("/x");
    let into_itself = [("folderId", x.as_str()), ("destParentFolderId", &d)];
    let refused = client.post("/moveFolder.action", &into_itself).await;
    assert_eq!(code(&refused), "MoveFileValidError");
    let folder = client.post("/deleteFile.action", &[("fileId", &x)]).await;
    assert_eq!(code(&folder), "FileNotFound");
    client
        .post("/deleteFolder.action", &[("folderId", &x)])
        .await;
    assert_eq!(client.names("-11").await, ["b.txt"]);
    assert_eq!(
        code(&client.get("/getFileInfo.action", &[("fileId", &a)]).await),
        "FileNotFound"
    );
    let bin = client
        .get("/listRecycleBinFiles.action", &[("pageNum", "1")])
        .await;
    assert_eq!(names(&bin), ["x"]);
    // Trash counts.
    let quota = client.get("/portal/getUserSizeInfo.action", &[]).await;
    assert_eq!(quota["cloudCapacityInfo"]["usedSize"], 9);
    // A body where none belongs.
    let ask = client.signed(
        ("api", "POST", "/createFolder.action"),
        "",
        "",
        &Twist::default(),
    );
    let ask = ask.form(&[("parentFolderId", "-11"), ("folderName", "q")]);
    let refused: Value = ask.send().await.unwrap().json().await.unwrap();
    assert_eq!(code(&refused), "InvalidArgument");
    let stat = client.world.stat("189").unwrap();
    assert_eq!(
        (stat.count("rename"), stat.count("copy"), stat.count("move")),
        (5, 2, 2)
    );
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
