//! Tokens, lists and changes over HTTP.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use super::super::SimProfile;
use super::super::faults::{Fault, FaultKind};
use super::super::server::{SeedSource, World, WorldOptions};

/// A client of one account that knows nothing but the sheet.
pub(super) struct Client {
    pub world: Arc<World>,
    pub http: reqwest::Client,
    pub profile: SimProfile,
    pub token: String,
}

pub(super) fn world() -> Arc<World> {
    super::super::start(&WorldOptions {
        only: vec!["123_open".to_owned()],
        accounts: 2,
    })
    .unwrap()
}

/// Bytes of the sheet's generator (section 12).
pub(super) fn generated(size: u64, seed: u64) -> Vec<u8> {
    let byte = |i: u64| {
        let word = i
            .wrapping_mul(2_654_435_761)
            .wrapping_add(seed * 2_246_822_519);
        (word as u32 >> 24) as u8
    };
    (0..size).map(byte).collect()
}

impl Client {
    /// Account 1 or 2 of a world, with a token.
    pub async fn of(world: &Arc<World>, name: &str) -> Client {
        let mut client = Client {
            world: world.clone(),
            http: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            profile: world.profile(name).unwrap(),
            token: String::new(),
        };
        client.token = match client.profile.secrets.get("refresh_token").cloned() {
            Some(refresh) => client.refresh(&refresh).await["access_token"].clone(),
            None => client.developer_token().await["data"]["accessToken"].clone(),
        }
        .as_str()
        .unwrap()
        .to_owned();
        client
    }

    pub async fn new() -> Client {
        Client::of(&world(), "123").await
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.profile.endpoints["api"])
    }

    pub async fn developer_token(&self) -> Value {
        let body = json!({
            "clientID": self.profile.fields["client_id"],
            "clientSecret": self.profile.secrets["client_secret"],
        });
        self.token_with(body).await
    }

    async fn token_with(&self, body: Value) -> Value {
        let ask = self.http.post(self.url("/api/v1/access_token"));
        let ask = ask.header("Platform", "open_platform").json(&body);
        ask.send().await.unwrap().json().await.unwrap()
    }

    pub async fn refresh(&self, refresh: &str) -> Value {
        let query = [
            ("client_id", self.profile.fields["client_id"].as_str()),
            ("client_secret", &self.profile.secrets["client_secret"]),
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
        ];
        let ask = self.http.post(self.url("/api/v1/oauth2/access_token"));
        ask.query(&query)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    fn ask(&self, method: Method, url: &str) -> reqwest::RequestBuilder {
        let ask = self.http.request(method, url);
        ask.bearer_auth(&self.token)
            .header("Platform", "open_platform")
    }

    pub async fn get(&self, path: &str) -> Value {
        let ask = self.ask(Method::GET, &self.url(path));
        ask.send().await.unwrap().json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let ask = self.ask(Method::POST, &self.url(path)).json(&body);
        ask.send().await.unwrap().json().await.unwrap()
    }

    pub async fn put(&self, path: &str, body: Value) -> Value {
        let ask = self.ask(Method::PUT, &self.url(path)).json(&body);
        ask.send().await.unwrap().json().await.unwrap()
    }

    /// A POST of a form to the upload host.
    pub async fn form(&self, path: &str, form: reqwest::multipart::Form) -> reqwest::Response {
        let url = format!("{}{path}", self.profile.endpoints["upload"]);
        let ask = self.ask(Method::POST, &url).multipart(form);
        ask.send().await.unwrap()
    }

    /// Names of a listing in pages of `limit`, trashed ones with a star.
    pub async fn names(&self, parent: u64, limit: u64) -> Vec<String> {
        let (mut names, mut after) = (Vec::new(), 0);
        while after != -1 {
            let path =
                format!("/api/v2/file/list?parentFileId={parent}&limit={limit}&lastFileId={after}");
            let page = self.get(&path).await;
            assert_eq!(page["code"], 0, "{page}");
            for item in page["data"]["fileList"].as_array().unwrap() {
                let star = if item["trashed"] == 1 { "*" } else { "" };
                names.push(format!("{}{star}", item["filename"].as_str().unwrap()));
            }
            after = page["data"]["lastFileId"].as_i64().unwrap();
        }
        names
    }

    pub fn seed(&self, path: &str, size: u64, seed: u64) -> u64 {
        let source = SeedSource::Synthetic { seed };
        let id = self.world.seed(&self.profile.name, path, size, &source);
        id.unwrap().parse().unwrap()
    }

    pub fn mkdir(&self, path: &str) -> u64 {
        let id = self.world.mkdir(&self.profile.name, path);
        id.unwrap().parse().unwrap()
    }

    pub fn set(&self, knob: &str, value: &str) {
        self.world.set(&self.profile.name, knob, value).unwrap();
    }

    pub fn fault(&self, op: &str, kind: FaultKind, arg: &str) {
        let fault = Fault::once(op, kind, arg);
        self.world.fault(&self.profile.name, fault).unwrap();
    }

    pub async fn link(&self, id: u64) -> String {
        let path = format!("/api/v1/file/download_info?fileId={id}");
        let answer = self.get(&path).await;
        answer["data"]["downloadUrl"].as_str().unwrap().to_owned()
    }
}

const ROOT: &str = "/api/v2/file/list?parentFileId=0&limit=100";

#[tokio::test]
async fn developer_tokens() {
    let mut client = Client::new().await;
    let id = client.profile.fields["client_id"].clone();
    let wrong = json!({ "clientID": id, "clientSecret": "no" });
    assert_eq!(client.token_with(wrong).await["code"], 401);
    let unknown = json!({ "clientID": "no", "clientSecret": "no" });
    assert_eq!(client.token_with(unknown).await["code"], 401);
    let fresh = client.developer_token().await;
    let until = fresh["data"]["expiredAt"].as_str().unwrap();
    let until = super::super::clock::parse_rfc3339(until).unwrap();
    let days = (until - client.world.clock().now_ms()) / 86_400_000;
    assert!((29..=30).contains(&days), "{days}");

    assert_eq!(client.get(ROOT).await["code"], 0);
    let bare = client.http.get(client.url(ROOT)).bearer_auth(&client.token);
    let bare: Value = bare.send().await.unwrap().json().await.unwrap();
    assert_eq!(bare["code"], 400, "no Platform");
    // Two tokens are out; the fourth logs the first one out.
    client.developer_token().await;
    assert_eq!(client.get(ROOT).await["code"], 0);
    let newest = client.developer_token().await;
    assert_eq!(client.get(ROOT).await["code"], 401);
    client.token = newest["data"]["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(client.get(ROOT).await["code"], 0);
    client.fault("list", FaultKind::ExpireToken, "");
    assert_eq!(client.get(ROOT).await["code"], 401);
    assert_eq!(client.get(ROOT).await["code"], 401, "expired for good");
    client.token = fresh["data"]["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(client.get(ROOT).await["code"], 0);
    client.world.clock_advance(31 * 86_400_000);
    assert_eq!(client.get(ROOT).await["code"], 401);
    client.token = "nonsense".to_owned();
    assert_eq!(client.get(ROOT).await["code"], 401);
}

#[tokio::test]
async fn oauth_pairs_rotate() {
    let world = world();
    let mut client = Client::of(&world, "123-2").await;
    let first = world.profile("123-2").unwrap().secrets["refresh_token"].clone();
    let pair = client.refresh(&first).await;
    assert_eq!(pair["expires_in"], 7200);
    client.token = pair["access_token"].as_str().unwrap().to_owned();
    assert_eq!(client.get(ROOT).await["code"], 0);
    assert_eq!(client.refresh(&first).await["code"], 401, "single use");
    assert_eq!(client.get(ROOT).await["code"], 0);
    let second = pair["refresh_token"].as_str().unwrap();
    let next = client.refresh(second).await;
    assert_eq!(client.get(ROOT).await["code"], 401, "dies with the refresh");
    client.set("oauth_errors", "rfc");
    assert_eq!(client.refresh(second).await["error"], "invalid_grant");
    client.token = next["access_token"].as_str().unwrap().to_owned();
    world.clock_advance(7_200_000);
    assert_eq!(client.get(ROOT).await["code"], 401);
    let stat = world.stat("123-2").unwrap();
    assert_eq!(stat.refreshes, 3);
    assert_eq!(stat.count("refresh"), 5);
    // The third-party app is no developer's app.
    assert_eq!(client.developer_token().await["code"], 401);
}

#[tokio::test]
async fn authorization_code() {
    let client = Client::of(&world(), "123-2").await;
    let id = client.profile.fields["client_id"].clone();
    let page = format!("/auth?client_id={id}&redirect_uri=http%3A%2F%2Fx%2Fcb&state=s1");
    let page = client.http.get(client.url(&page)).send().await.unwrap();
    let target = page.headers()["location"].to_str().unwrap().to_owned();
    let code = target.strip_prefix("http://x/cb?code=").unwrap();
    let code = code.strip_suffix("&state=s1").unwrap();
    let query = [
        ("client_id", id.as_str()),
        ("client_secret", &client.profile.secrets["client_secret"]),
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", "http://x/cb"),
    ];
    for expected in [true, false] {
        let ask = client.http.post(client.url("/api/v1/oauth2/access_token"));
        let answer: Value = ask
            .query(&query)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(answer["refresh_token"].is_string(), expected, "{answer}");
    }
}

#[tokio::test]
async fn pages_of_a_long_directory() {
    let client = Client::new().await;
    let dir = client.mkdir("/long");
    let ids: Vec<u64> = (0..250)
        .map(|n| client.seed(&format!("/long/f{n:03}"), 10, n))
        .collect();
    let gone: Vec<u64> = ids.iter().copied().step_by(50).collect();
    let trash = client
        .post("/api/v1/file/trash", json!({ "fileIDs": gone }))
        .await;
    assert_eq!(trash["code"], 0);
    let names = client.names(dir, 100).await;
    assert_eq!(names.len(), 250);
    assert_eq!((names[0].as_str(), names[1].as_str()), ("f000*", "f001"));
    assert_eq!(names.iter().filter(|name| name.ends_with('*')).count(), 5);
    assert_eq!(client.world.stat("123").unwrap().count("list"), 3);
    // 250 is a multiple: the last full page says that it is the last.
    assert_eq!(client.names(dir, 50).await.len(), 250);
    assert_eq!(client.world.stat("123").unwrap().count("list"), 8);

    let page = |limit: u64| format!("/api/v2/file/list?parentFileId={dir}&limit={limit}");
    assert_eq!(client.get(&page(101)).await["code"], 1);
    assert_eq!(client.get(&page(0)).await["code"], 1);
    client.fault("list", FaultKind::TruncatedPage, "");
    let short = client.get(&page(100)).await;
    assert_eq!(short["data"]["fileList"].as_array().unwrap().len(), 50);
    assert_eq!(short["data"]["lastFileId"], ids[49]);
    client.fault("list", FaultKind::NullList, "");
    assert!(client.get(&page(100)).await["data"]["fileList"].is_null());
    client.fault("list", FaultKind::Lag, "60000");
    assert_eq!(client.get(&page(100)).await["data"]["fileList"], json!([]));
    client.fault("list", FaultKind::Errno, "429");
    assert_eq!(client.get(&page(100)).await["code"], 429);
    let missing = "/api/v2/file/list?parentFileId=77&limit=10";
    assert_eq!(client.get(missing).await["code"], 5066);
    // Search is global, exact or not, and late.
    let search = "/api/v2/file/list?parentFileId=77&limit=100&searchMode=1&searchData=f007";
    assert_eq!(client.get(search).await["data"]["fileList"], json!([]));
    client.world.clock_advance(60_000);
    let found = client.get(search).await;
    assert_eq!(found["data"]["fileList"][0]["fileId"], ids[7]);
}

#[tokio::test]
async fn metadata() {
    let client = Client::new().await;
    let bytes = generated(100, 2);
    let source = SeedSource::Bytes(bytes.into());
    let id = client.world.seed("123", "/d/a.mp4", 0, &source).unwrap();
    let id: u64 = id.parse().unwrap();
    client.seed("/d/b", 1000, 3);
    let dir = client.mkdir("/d");
    let infos = json!({ "fileIds": [id, 99] });
    let infos = client.post("/api/v1/file/infos", infos).await;
    assert_eq!(infos["data"]["list"].as_array().unwrap().len(), 1);
    let item = &infos["data"]["list"][0];
    assert_eq!(item["etag"], "690f0d5c7e40be562b29b276eb6bb105");
    assert_eq!((&item["category"], &item["size"]), (&json!(2), &json!(100)));
    assert_eq!(item["createAt"].as_str().unwrap().len(), 19);
    let detail = client
        .get(&format!("/api/v1/file/detail?fileID={dir}"))
        .await;
    assert_eq!(detail["data"]["size"], 1100);
    let detail = client.get("/api/v1/file/detail?fileID=99").await;
    assert_eq!(detail["code"], 5066);
    let user = client.get("/api/v1/user/info").await;
    assert_eq!(user["data"]["spaceUsed"], 1100);
    client
        .post("/api/v1/file/trash", json!({ "fileIDs": [dir] }))
        .await;
    let user = client.get("/api/v1/user/info").await;
    assert_eq!(user["data"]["spaceUsed"], 0);
    let bin = "/api/v1/file/list?parentFileId=0&page=1&limit=100&trashed=true";
    let bin = client.get(bin).await;
    assert_eq!(bin["data"]["total"], 1);
    let entry = &bin["data"]["fileList"][0];
    assert_eq!(entry["fileID"], dir);
    assert!(entry["updateAt"].as_str().unwrap().ends_with(" +0800 CST"));
}

#[tokio::test]
async fn names_of_the_vectors() {
    let client = Client::new().await;
    let mkdir = |name: String| {
        client.post(
            "/upload/v1/file/mkdir",
            json!({ "name": name, "parentID": "0" }),
        )
    };
    let long = |n: usize| "x".repeat(n);
    let accepted = [
        "a.txt",
        "影片 第01集.mp4",
        " a",
        "a ",
        "...",
        "a%b#c&d+e=f;g,h'i~j",
    ];
    for name in accepted
        .map(str::to_owned)
        .into_iter()
        .chain([long(254), long(255)])
    {
        assert_eq!(mkdir(name.clone()).await["code"], 0, "{name}");
    }
    let refused = [
        "", "   ", "a/b", "a\\b", "a:b", "a*b", "a?b", "a|b", "a>b", "a<b", "a\"b",
    ];
    for name in refused.map(str::to_owned).into_iter().chain([long(256)]) {
        let answer = mkdir(name.clone()).await;
        assert_eq!(answer["code"], 1, "{name}");
        assert!(
            answer["message"]
                .as_str()
                .unwrap()
                .contains("小于256个字符")
        );
    }
    let again = mkdir("a.txt".to_owned()).await;
    assert_eq!(again["code"], 1);
    assert_eq!(again["message"], "该目录下已经有同名文件夹,无法进行创建");
    assert_eq!(mkdir("A.txt".to_owned()).await["code"], 0, "case matters");
}

#[tokio::test]
async fn changes_of_the_tree() {
    let client = Client::new().await;
    let (a, b) = (client.seed("/d/a", 10, 1), client.seed("/d/b", 10, 2));
    let (d, e) = (client.mkdir("/d"), client.mkdir("/e"));
    let rename = |id: u64, name: &str| json!({ "fileId": id, "fileName": name });
    assert_eq!(
        client.put("/api/v1/file/name", rename(a, "b")).await["code"],
        1
    );
    assert_eq!(
        client.put("/api/v1/file/name", rename(a, "c")).await["code"],
        0
    );
    assert_eq!(
        client.put("/api/v1/file/name", rename(9, "c")).await["code"],
        5066
    );
    let many = json!({ "renameList": [format!("{a}|a"), "9|x"] });
    let many = client.post("/api/v1/file/rename", many).await;
    assert_eq!(many["data"]["successList"][0]["fileID"], a);
    assert_eq!(many["data"]["failList"][0]["fileID"], 9);
    let into = |ids: &[u64], to: u64| json!({ "fileIDs": ids, "toParentFileID": to });
    assert_eq!(
        client.post("/api/v1/file/move", into(&[a, d], e)).await["code"],
        0
    );
    let mut names = client.names(e, 100).await;
    names.sort();
    assert_eq!(names, ["a", "d"]);
    assert_eq!(
        client.post("/api/v1/file/move", into(&[e], d)).await["code"],
        1
    );
    let copy = client
        .post(
            "/api/v1/file/copy",
            json!({ "fileId": a, "targetDirId": e }),
        )
        .await;
    assert_ne!(copy["data"]["targetFileId"], a);
    let mut names = client.names(e, 100).await;
    names.sort();
    assert_eq!(names, ["a", "a(1)", "d"]);
    let task = client
        .post(
            "/api/v1/file/async/copy",
            json!({ "fileIDs": [b], "targetDirId": 0 }),
        )
        .await;
    let poll = format!(
        "/api/v1/file/async/copy/process?taskId={}",
        task["data"]["taskId"]
    );
    assert_eq!(client.get(&poll).await["data"]["status"], 1);
    assert_eq!(client.get(&poll).await["data"]["status"], 2);

    let ids = |ids: &[u64]| json!({ "fileIDs": ids });
    assert_eq!(
        client.post("/api/v1/file/delete", ids(&[a])).await["code"],
        1,
        "not in the bin"
    );
    assert_eq!(
        client.post("/api/v1/file/trash", ids(&[a, b])).await["code"],
        0
    );
    assert_eq!(
        client.post("/api/v1/file/trash", ids(&[d])).await["code"],
        0
    );
    let restored = client.post("/api/v1/file/recover", ids(&[a, b])).await;
    assert_eq!(restored["data"]["abnormalFileIDs"], json!([b]));
    let to = json!({ "fileIDs": [b], "parentFileID": e });
    assert_eq!(
        client.post("/api/v1/file/recover/by_path", to).await["code"],
        0
    );
    let tree = client.world.tree("123").unwrap();
    let at = |path: &str| {
        let items = tree["items"].as_array().unwrap();
        items
            .iter()
            .find(|item| item["path"] == path)
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(at("/e/b")["trashed"], false);
    assert_eq!(at("/e/d")["trashed"], true);
    assert_eq!(
        client.post("/api/v1/file/delete", ids(&[d])).await["code"],
        0
    );
    assert!(
        client
            .names(e, 100)
            .await
            .iter()
            .all(|name| !name.ends_with('*'))
    );
    let too_many: Vec<u64> = (1..=101).collect();
    assert_eq!(
        client.post("/api/v1/file/trash", ids(&too_many)).await["code"],
        400
    );
}

#[tokio::test]
async fn rates_only_when_asked() {
    let client = Client::new().await;
    let burst = async || {
        let mut codes = Vec::new();
        for _ in 0..20 {
            codes.push(client.get(ROOT).await["code"].clone());
        }
        codes.iter().filter(|code| **code == 429).count()
    };
    assert_eq!(burst().await, 0);
    client.set("strict_rates", "free");
    assert!(burst().await > 0);
}

#[tokio::test]
async fn spellings_and_methods() {
    let client = Client::new().await;
    let lower = "/api/v2/file/list?parentfileid=0&limit=5";
    assert_eq!(client.get(lower).await["code"], 400);
    client.set("any_case", "true");
    assert_eq!(client.get(lower).await["code"], 0);
    let other = "/api/v2/file/list?parentFileID=0&limit=5";
    assert_eq!(client.get(other).await["code"], 0);
    let wrong = client
        .ask(Method::POST, &client.url(ROOT))
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 405);
    let nowhere = client.ask(Method::GET, &client.url("/api/v1/nothing"));
    assert_eq!(nowhere.send().await.unwrap().status(), 404);
    let text = client.ask(Method::POST, &client.url("/api/v1/file/trash"));
    let text: Value = text
        .body("{\"fileIDs\":[1]}")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(text["code"], 400, "no Content-Type");
}
