//! The published vectors, and the little client that the other tests drive the server with.

use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::oss::sign;
use super::super::server::{SeedSource, World, WorldOptions};
use super::clients;

const SIGNIN: &str = "POST:/v1/auth/signin";

pub(super) struct Client {
    pub world: Arc<World>,
    pub http: reqwest::Client,
    pub name: String,
    pub device: String,
    pub access: String,
    pub captcha: String,
}

impl Client {
    pub(super) async fn start() -> Client {
        let options = WorldOptions::default();
        let world = World::start(&[super::INFO], &options).unwrap();
        Client::of(world, "pikpak").await
    }

    /// A signed-in client of a profile, with a captcha token.
    pub(super) async fn of(world: Arc<World>, name: &str) -> Client {
        let profile = world.profile(name).unwrap();
        let mut client = Client {
            world,
            http: reqwest::Client::new(),
            name: name.to_owned(),
            device: profile.fields["device_id"].clone(),
            access: String::new(),
            captcha: String::new(),
        };
        let (status, tokens) = client.refresh(&profile.secrets["refresh_token"]).await;
        assert_eq!(status, 200, "{tokens}");
        client.access = tokens["access_token"].as_str().unwrap().to_owned();
        let (status, answer) = client.captcha(&client.signed()).await;
        assert_eq!(status, 200, "{answer}");
        client.captcha = answer["captcha_token"].as_str().unwrap().to_owned();
        client
    }

    pub(super) fn url(&self, endpoint: &str) -> String {
        self.world.endpoints()["pikpak"][endpoint].clone()
    }

    pub(super) async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> (u16, Value) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let request = self.http.request(method.parse().unwrap(), url);
        let request = request.headers(headers);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.unwrap();
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    pub(super) async fn user(&self, path: &str, device: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.url("user"));
        let headers = [("x-device-id", device)];
        let headers = if device.is_empty() { &[] } else { &headers[..] };
        self.send("POST", &url, headers, Some(body)).await
    }

    pub(super) async fn refresh(&self, token: &str) -> (u16, Value) {
        let body = json!({ "client_id": clients::WEB_ID, "grant_type": "refresh_token", "refresh_token": token });
        self.user("/v1/auth/token", "", body).await
    }

    pub(super) async fn captcha(&self, meta: &Value) -> (u16, Value) {
        let body = json!({
            "action": SIGNIN, "client_id": clients::WEB_ID, "device_id": self.device, "meta": meta,
        });
        let path = format!("/v1/shield/captcha/init?client_id={}", clients::WEB_ID);
        self.user(&path, &self.device, body).await
    }

    pub(super) fn signed(&self) -> Value {
        let client = clients::find(clients::WEB_ID, "2.0.0", "mypikpak.com").unwrap();
        json!({
            "captcha_sign": client.captcha_sign(&self.device, "1788888888123"),
            "client_version": "2.0.0", "package_name": "mypikpak.com", "user_id": null,
            "timestamp": "1788888888123",
        })
    }

    /// A call of the drive.
    pub(super) async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.url("api"));
        let bearer = format!("Bearer {}", self.access);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.push(("x-device-id", &self.device));
        if !self.captcha.is_empty() {
            headers.push(("x-captcha-token", &self.captcha));
        }
        let body = (!body.is_null()).then_some(body);
        self.send(method, &url, &headers, body).await
    }

    pub(super) async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// Status, `error_code` and `error` of a call that is refused.
    pub(super) async fn refused(
        &self,
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, i64, String) {
        let (status, answer) = self.call(method, path, body).await;
        let code = answer["error_code"].as_i64().unwrap_or(-1);
        (
            status,
            code,
            answer["error"].as_str().unwrap_or("").to_owned(),
        )
    }

    pub(super) async fn list(&self, parent: &str, filters: &str) -> Vec<Value> {
        let path = format!(
            "/drive/v1/files?parent_id={parent}&limit=500&filters={}",
            sign::encode(filters)
        );
        let answer = self.ok("GET", &path, Value::Null).await;
        answer["files"].as_array().unwrap().clone()
    }

    pub(super) fn seed(&self, path: &str, bytes: &[u8]) -> String {
        let source = SeedSource::Bytes(bytes.to_vec().into());
        self.world.seed(&self.name, path, 0, &source).unwrap()
    }
}

pub(super) fn names(files: &[Value]) -> Vec<&str> {
    files.iter().map(|f| f["name"].as_str().unwrap()).collect()
}

pub(super) fn error(status: u16, code: i64, name: &str) -> (u16, i64, String) {
    (status, code, name.to_owned())
}

/// Content "pat251" of the sheet without its memory.
fn pattern(size: u64) -> Blob {
    let stretch: Vec<u8> = (0..251 * 4096).map(|i| (i % 251) as u8).collect();
    let stretch = Blob::bytes(stretch);
    let count = size.div_ceil(stretch.size()) as usize;
    Blob::join(std::iter::repeat_n(&stretch, count)).slice(0, size)
}

#[test]
fn published_hashes() {
    let check = |blob: Blob, gcid: &str, cid: &str| {
        let size = blob.size();
        assert_eq!(
            blob.digest_now(HashKind::Gcid).to_uppercase(),
            gcid,
            "{size}"
        );
        assert_eq!(blob.digest_now(HashKind::Cid).to_uppercase(), cid, "{size}");
    };
    let empty = "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709";
    check(Blob::bytes(""), empty, empty);
    let hello = "6B4F89A54E2D27ECD7E8DA05B4AB8FD9D1D8B119";
    check(
        Blob::bytes("hello"),
        hello,
        "AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D",
    );
    for (size, gcid, cid) in [
        (
            61_439,
            "1951765AC3275297B9285CCE458A0F3A9FF2C812",
            "31DD7519BFC0405D7A5BE21C51E4A24087437F7A",
        ),
        (
            61_440,
            "EDEFE33ABE602AEB357C188EC375E9BEA115C948",
            "A97217016EE754926A348EABBE522346E6992150",
        ),
        (
            61_441,
            "D48D304FA97F2090B5800890FF7C2F45C5968C92",
            "01C826DCA4B556F1AD09AE847423360941DD287F",
        ),
        (
            600_000,
            "3FC0617C331816DA4EE9C19C6F532F2D6D4FD6CC",
            "ECDDF55803ED503C4DF219A5C9C847860A438CB8",
        ),
        (
            134_217_728,
            "9B84D1F47CD29D705A00D68ADF0F91930B35E33D",
            "78E964C4C27025D0840E61A25CDC5EB72A8ED399",
        ),
        (
            134_217_729,
            "6F88A56B3716096BD032A0A8D04604687205EBDE",
            "7D67F7E46E63C4DA331406F5DFFFFDCA7E8EFF5D",
        ),
        (
            268_435_457,
            "73F2B6F402CDF07434F4595F0E302D3DE37289CA",
            "C546759018992AB33FC0A908E8D937FDEAE1A06F",
        ),
        (
            536_870_913,
            "880117068F9ACF1BA983111D40D1419D7A292477",
            "B363734C6BDD6CB8BAE58383B4A6EF144AC9A385",
        ),
    ] {
        check(pattern(size), gcid, cid);
    }
}

#[test]
fn published_captcha_signatures() {
    const ANDROID: &str = "YNxT9w7GMdWvEOKa";
    let first = ("0123456789abcdef0123456789abcdef", "1700000000000");
    let second = ("5f4dcc3b5aa765d61d8327deb882cf99", "1788888888123");
    for (id, version, package, one, two) in [
        (
            ANDROID,
            "1.53.2",
            "com.pikcloud.pikpak",
            "aa511a2a9d7fc2f10c3f0e694b44a288",
            "fdc1b43825b67e4fda22521e0d24bc83",
        ),
        (
            ANDROID,
            "1.47.1",
            "com.pikcloud.pikpak",
            "315f371b61bf65a8d808a3e238bfb555",
            "9fb079517a58ee58bc73d4a042b086c6",
        ),
        (
            ANDROID,
            "1.21.0",
            "com.pikcloud.pikpak",
            "b2ffc08c2c9ca50ed3a575b0bca30796",
            "1.23fc196b1c11456144e5a3210a994a76",
        ),
        (
            clients::WEB_ID,
            "2.0.0",
            "mypikpak.com",
            "81abef7a2a707b5e3bcb06b976d800c3",
            "6be2ce2c6f9965899254fc3fd6f27829",
        ),
        (
            "YvtoWO6GNHiuCl7x",
            "undefined",
            "mypikpak.com",
            "c37b7ca100c521a39e84607794debba2",
            "bc65c2441e70b03f2d11b498d5b36b73",
        ),
    ] {
        let client = clients::find(id, version, package).unwrap();
        for ((device, time), expected) in [(first, one), (second, two)] {
            let expected = expected.strip_prefix("1.").unwrap_or(expected);
            assert_eq!(
                client.captcha_sign(device, time),
                format!("1.{expected}"),
                "{version}"
            );
        }
    }
    assert!(clients::find(clients::WEB_ID, "1.53.2", "mypikpak.com").is_none());
}

#[test]
fn published_store_signatures() {
    let case = |token: &str, method: &str, bucket: &str, key: &str, query: &str, secret: &str| {
        let pairs = [
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("content-type", "application/octet-stream"),
            ("x-oss-security-token", token),
        ];
        let headers: HeaderMap = pairs
            .iter()
            .map(|(n, v)| {
                (
                    HeaderName::from_static(n),
                    HeaderValue::from_str(v).unwrap(),
                )
            })
            .collect();
        let query = sign::parse_query(query);
        let text = sign::string_to_sign(method, &headers, bucket, key, &query);
        sign::hmac_sha1(secret, &text)
    };
    let part = case("STS", "PUT", "b", "k", "partNumber=1&uploadId=U", "SK");
    assert_eq!(part, "to+ASfP2gyOWpAKuCl5dUrrP3V8=");
    let key = "upload_tmp/ABC";
    let init = case(
        "TOKEN",
        "POST",
        "vip-lixian-07",
        key,
        "uploads",
        "SECRETKEY",
    );
    assert_eq!(init, "4W2vpDbWoKnFx3zOZ1E27oQ54vI=");
}
