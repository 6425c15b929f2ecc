//! The published proof vectors, and the server driven over HTTP.

mod calls;
mod transfers;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::upload::proof_code;
use super::*;
use crate::sim::SIMULATORS;
use crate::sim::content::Blob;
use crate::sim::digest::{HashKind, md5_hex};
use crate::sim::faults::{Fault, FaultKind};
use crate::sim::server::{SeedSource, World, WorldOptions};

/// `gen(n)` of the sheet, from an offset on.
fn generated(offset: u64, len: u64) -> Vec<u8> {
    (offset..offset + len)
        .map(|i| ((31 * i + 7 * (i / 256) + 11) % 256) as u8)
        .collect()
}

#[test]
fn published_proof_vectors() {
    let t1 = "eyJ0eXAiOiJKV1QifQ.test-access-token-0001.sig";
    let official = "Bearer eyJraWQiOiJLcU8iLCJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwZWJkMjUyY2EyNTg0MmY0OTBmYmJhYWJlZTkwOGE5YyIsImF1ZCI6IjQ2NWJjNzMzZmQ2MTQxNDJiZmQ1Y2MxNGYzZjk1NWFlIiwicyI6ImNkYSIsImQiOiIxMDE4NDAsMTAyOTM0MjAiLCJpc3MiOiJhbGlwYW4iLCJleHAiOjE3MTQwMzg0NDYsImwiOjIsImlhdCI6MTcxMTQ0NjQ0MywianRpIjoiODM2ZmVkZDExMjhkNDU2MTg0NjA4OTgwMzBlZGM5NTkifQ.yZJFeeUriWOcPhg-CHHO1XyotwuFR0v";
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        (official, b"Hello World!".to_vec(), "bG8gV29ybGQ="),
        (t1, b"abcde".to_vec(), "ZQ=="),
        ("token-B", b"Z".to_vec(), "Wg=="),
        (t1, Vec::new(), ""),
        (t1, generated(0, 4096), "tNPyETBPbo0="),
        ("token-B", generated(0, 4096), "Lk1si6rJ6Ac="),
        (t1, generated(0, 1_048_577), "CShHZoWkw+I="),
        ("tail-token-354", generated(0, 4096), "+Bc2VQ=="),
    ];
    for (token, content, expected) in rows {
        assert_eq!(
            proof_code(token, &Blob::bytes(content)),
            expected,
            "{token}"
        );
    }
    // The bytes that matter of the virtual 10 GiB row, patched into a synthetic content.
    let big =
        Blob::synthetic(1, 10 << 30).patched(879_884_399, Bytes::from(generated(879_884_399, 8)));
    assert_eq!(proof_code(t1, &big), "RGOCocDf/h0=");
}

struct Client {
    world: Arc<World>,
    http: reqwest::Client,
    base: String,
    token: String,
    drive: String,
}

impl Client {
    async fn new(profile: &str) -> Client {
        let options = WorldOptions {
            only: vec!["aliyundrive_open".to_owned()],
            accounts: 2,
        };
        Client::of(World::start(SIMULATORS, &options).unwrap(), profile).await
    }

    async fn of(world: Arc<World>, profile: &str) -> Client {
        let found = world.profile(profile).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = found.endpoints["api"].clone();
        let number = world.account(profile).unwrap().number;
        let mut client = Client {
            world,
            http,
            base,
            token: String::new(),
            drive: drives(number).0,
        };
        let (status, pair) = client.refresh(&found.secrets["refresh_token"]).await;
        assert_eq!((status, &pair["expires_in"]), (200, &json!(7200)));
        client.token = pair["access_token"].as_str().unwrap().to_owned();
        client
    }

    async fn refresh(&self, token: &str) -> (u16, Value) {
        let body = json!({
            "client_id": auth::CLIENT_ID, "client_secret": auth::CLIENT_SECRET,
            "grant_type": "refresh_token", "refresh_token": token,
        });
        let url = format!("{}/oauth/access_token", self.base);
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn call(&self, path: &str, mut body: Value) -> (u16, Value) {
        if body.get("drive_id").is_none() {
            body["drive_id"] = json!(self.drive);
        }
        let url = format!("{}/adrive/v1.0/{path}", self.base);
        let call = self.http.post(url).bearer_auth(&self.token).json(&body);
        let answer = call.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn good(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn refused(&self, path: &str, body: Value, status: u16, code: &str) {
        let (got, answer) = self.call(path, body).await;
        assert_eq!(
            (got, answer["code"].as_str()),
            (status, Some(code)),
            "{path}: {answer}"
        );
    }

    async fn put(&self, url: &str, bytes: Bytes) -> (u16, String) {
        let answer = self.http.put(url).body(bytes).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

fn create(name: &str) -> Value {
    json!({ "parent_file_id": "root", "name": name, "type": "file", "check_name_mode": "refuse" })
}

fn with_hash(name: &str, blob: &Blob, proof: &str) -> Value {
    let mut body = create(name);
    body["size"] = json!(blob.size());
    body["content_hash"] = json!(blob.digest_now(HashKind::Sha1));
    body["content_hash_name"] = json!("sha1");
    body["proof_version"] = json!("v1");
    body["proof_code"] = json!(proof);
    body
}

#[tokio::test]
async fn tokens_are_single_use_and_expire() {
    let client = Client::new("ali").await;
    let secret = client.world.profile("ali").unwrap().secrets["refresh_token"].clone();
    let (status, pair) = client.refresh(&secret).await;
    assert_eq!(status, 200);
    assert_eq!(pair["access_token"].as_str().unwrap().split('.').count(), 3);
    let (status, again) = client.refresh(&secret).await;
    assert_eq!(
        (status, again["code"].as_str()),
        (401, Some("RefreshTokenInvalid"))
    );
    let info = client.good("user/getDriveInfo", json!({})).await;
    assert_eq!(info["default_drive_id"], client.drive);
    client.world.clock_advance(7_200_001);
    client
        .refused("user/getDriveInfo", json!({}), 401, "AccessTokenExpired")
        .await;
    client.world.clock_advance(90 * 86_400_000);
    let (status, late) = client
        .refresh(pair["refresh_token"].as_str().unwrap())
        .await;
    assert_eq!(
        (status, late["code"].as_str()),
        (401, Some("RefreshTokenExpired"))
    );
    assert_eq!(client.world.stat("ali").unwrap().refreshes, 2);
}
