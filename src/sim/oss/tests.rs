//! The published vectors, and the store driven over HTTP by an own little signer.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::account::Account;
use super::super::clock::{self, Clock};
use super::super::content::Blob;
use super::super::faults::{Fault, FaultKind};
use super::super::tree::Tree;
use super::multipart::MIN_PART;
use super::*;

/// `oss_v1` of the 115 vectors: method, query, headers, string to sign, authorization.
const TOKEN: (&str, &str) = ("x-oss-security-token", "CAISTOKEN+a/b==");
const DATE: (&str, &str) = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");
const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");
const KEY: &str = "abc0123456789def0123456789abcdef0123456789_0";
const UPLOAD: &str = "uploadId=0004B9895DBBB6EC98E36D5F1C3A2B7E";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn callback_headers() -> (String, String) {
    let callback = "{\"callbackUrl\":\"http://uplb.115.com/3.0/completeupload.php\",\"callbackBody\":\"bucket=${bucket}&object=${object}&size=${size}&sha1=${sha1}&pick_code=${x:pick_code}&user_id=${x:user_id}&behavior_type=${x:behavior_type}&source=${x:source}&target=${x:target}\"}";
    let var = "{\"x:pick_code\":\"ehbq9gd2cdphm3n4t\",\"x:user_id\":\"123456789\",\"x:behavior_type\":\"0\",\"x:source\":\"100\",\"x:target\":\"U_1_0\"}";
    (STANDARD.encode(callback), STANDARD.encode(var))
}

#[test]
fn published_header_vectors() {
    let (callback, var) = callback_headers();
    let part3 = format!("partNumber=3&{UPLOAD}");
    let list = format!("{UPLOAD}&max-parts=1000&part-number-marker=0");
    let with = |more: &[(&str, &str)]| headers(&[&[TOKEN, DATE], more].concat());
    let backs: &[(&str, &str)] = &[("x-oss-callback", &callback), ("x-oss-callback-var", &var)];
    let rows: Vec<(&str, &str, HeaderMap, &str)> = vec![
        (
            "POST",
            "sequential&uploads",
            with(&[]),
            "KZRfX6p1FabcTdFQxmKBCOVLqRY=",
        ),
        (
            "POST",
            "sequential=1&uploads=1",
            with(&[]),
            "vzHfAycnrveAj56agvvZaSefi3c=",
        ),
        (
            "POST",
            "sequential=&uploads=",
            with(&[OCTETS]),
            "gxxNge2ah7prm1ZfpUigLbjDGus=",
        ),
        (
            "PUT",
            &part3,
            with(&[OCTETS]),
            "6MWX+N2KywlDC/mN/ls9Poit5pU=",
        ),
        (
            "PUT",
            &part3,
            with(&[OCTETS, ("content-md5", "XrY7u+Ae7tCTyyK7j1rNww==")]),
            "6KLFN6XVsDsfkUXGAA1F3E2E0VQ=",
        ),
        (
            "POST",
            UPLOAD,
            with(&[&[("content-type", "text/xml")], backs].concat()),
            "KC4DNjFgd+6mdOlUYwkGLhkxmDg=",
        ),
        (
            "PUT",
            "",
            with(&[&[OCTETS], backs].concat()),
            "RXQb4hIGT8JmpYtZVJS55foZM8U=",
        ),
        ("GET", &list, with(&[]), "7oeytYPi65BHIAu3FX71PvFQx0Q="),
        ("DELETE", UPLOAD, with(&[]), "FeKkxk0OGUqqYnyGLAm/SeZGghQ="),
        (
            "POST",
            "sequential&uploads&x-oss-enable-sha1",
            with(&[]),
            "XhfXb9YzEmdKpQAfdaJbDKcbNds=",
        ),
    ];
    for (method, query, headers, expected) in rows {
        let query = sign::parse_query(query);
        let text = sign::string_to_sign(method, &headers, "fhnfile", KEY, &query);
        assert_eq!(
            sign::hmac_sha1("TestSecret0123456789", &text),
            expected,
            "{text}"
        );
    }
}

#[test]
fn published_presigned_vectors() {
    let pairs = |query: &[(&str, &str)]| -> Vec<(String, String)> {
        query
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    };
    let access = ("AKIDEXAMPLE", "SecretExample123");
    let one = pairs(&[("partNumber", "1"), ("uploadId", "UPLOADID01")]);
    let url = sign::presign("PUT", "bj29-test", "obj/key 1", &one, access, 1_700_003_600);
    assert_eq!(
        url,
        "partNumber=1&uploadId=UPLOADID01&OSSAccessKeyId=AKIDEXAMPLE&Expires=1700003600\
         &Signature=%2BNuIXYNrGi9NPyNEFn8ifDX5VxQ%3D"
    );
    let two = pairs(&[
        ("partNumber", "2"),
        ("uploadId", "UPLOADID01"),
        ("security-token", "STSTOKEN+1/="),
    ]);
    let url = sign::presign("PUT", "bj29-test", "obj/key1", &two, access, 1_700_003_600);
    assert!(
        url.ends_with("&Signature=T9et%2FNL%2FBxQsVVKbvaw%2BfF5mlpM%3D"),
        "{url}"
    );
    assert!(url.contains("security-token=STSTOKEN%2B1%2F%3D"));

    let query = sign::parse_query(&url);
    let check = |method: &str, headers: &HeaderMap, now| {
        sign::check_presigned(
            method,
            headers,
            "bj29-test",
            "obj/key1",
            &query,
            access,
            now,
        )
    };
    let none = HeaderMap::new();
    assert_eq!(check("PUT", &none, 1_700_000_000), Ok(()));
    assert_eq!(
        check("PUT", &none, 1_700_003_600),
        Err(sign::Refused::Expired)
    );
    assert_eq!(
        check("GET", &none, 1_700_000_000),
        Err(sign::Refused::BadSignature)
    );
    let typed = headers(&[OCTETS]);
    assert_eq!(
        check("PUT", &typed, 1_700_000_000),
        Err(sign::Refused::BadSignature)
    );
}

struct Client {
    base: String,
    sts: Sts,
    http: reqwest::Client,
}

impl Client {
    async fn send(
        &self,
        method: &str,
        query: &str,
        body: impl Into<reqwest::Body>,
        extra: &[(&str, &str)],
    ) -> (u16, String, HeaderMap) {
        let date = clock::rfc1123(Clock::real_ms());
        let own = [
            ("date", date.as_str()),
            ("x-oss-security-token", &self.sts.security_token),
        ];
        let headers = headers(&[&own[..], extra].concat());
        let text = sign::string_to_sign(method, &headers, "b", "k/1", &sign::parse_query(query));
        let signature = sign::hmac_sha1(&self.sts.access_key_secret, &text);
        let answer = self
            .http
            .request(
                method.parse().unwrap(),
                format!("{}/oss/b/k/1?{query}", self.base),
            )
            .headers(headers)
            .header(
                "authorization",
                format!("OSS {}:{signature}", self.sts.access_key_id),
            )
            .body(body)
            .send()
            .await
            .unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, answer.text().await.unwrap(), headers)
    }

    async fn init(&self, query: &str) -> String {
        let (status, text, _) = self.send("POST", query, "", &[]).await;
        assert_eq!(status, 200, "{text}");
        let id = text
            .split("<UploadId>")
            .nth(1)
            .unwrap()
            .split('<')
            .next()
            .unwrap();
        id.to_owned()
    }
}

async fn client(clock: &Clock) -> (Client, Arc<Oss>) {
    let oss = Oss::new(
        clock.clone(),
        Box::new(|finished| {
            Box::pin(async move {
                match finished.callback_body().await {
                    Some(body) => Answer::Json(json!({ "got": body })),
                    None => Answer::Plain,
                }
            })
        }),
    );
    let account = Arc::new(Account::new("x".to_owned(), 1, Tree::new(&["root"])));
    let sts = oss.issue(&account, "b", None, 3_600_000);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().nest("/oss", oss.router());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (
        Client {
            base,
            sts,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        },
        oss,
    )
}

fn complete(parts: &[(u32, &str)]) -> String {
    let rows: String = parts
        .iter()
        .map(|(n, e)| {
            format!("<Part><ETag>&#34;{e}&#34;</ETag><PartNumber>{n}</PartNumber></Part>")
        })
        .collect();
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rows}</CompleteMultipartUpload>"
    )
}

#[tokio::test]
async fn a_sequential_upload_with_callback() {
    let (client, oss) = client(&Clock::default()).await;
    let id = client.init("sequential&uploads").await;
    let content = Blob::synthetic(5, MIN_PART + 10);
    let part = |n: u32| format!("partNumber={n}&uploadId={id}");

    let (status, text, _) = client.send("PUT", &part(2), "early", &[]).await;
    assert!(
        status == 400 && text.contains("PartNotSequential"),
        "{status} {text}"
    );
    let first = content.read(0, MIN_PART).to_vec();
    let wrong = [("content-md5", "XrY7u+Ae7tCTyyK7j1rNww==")];
    let (status, text, _) = client.send("PUT", &part(1), first.clone(), &wrong).await;
    assert!(
        status == 400 && text.contains("InvalidDigest"),
        "{status} {text}"
    );
    let (status, _, answer) = client.send("PUT", &part(1), first.clone(), &[]).await;
    assert_eq!(status, 200);
    let etag = answer["etag"]
        .to_str()
        .unwrap()
        .trim_matches('"')
        .to_owned();
    assert_eq!(
        etag,
        Blob::bytes(first.clone())
            .digest_now(HashKind::Md5)
            .to_uppercase()
    );
    let crc = Blob::bytes(first.clone()).crc64_decimal().await;
    assert_eq!(answer["x-oss-hash-crc64ecma"].to_str().unwrap(), crc);
    let (status, text, _) = client.send("PUT", &part(1), first, &[]).await;
    assert!(
        status == 409 && text.contains("PartAlreadyExist"),
        "{status} {text}"
    );
    let (status, _, answer) = client
        .send("PUT", &part(2), content.read(MIN_PART, 10), &[])
        .await;
    assert_eq!(status, 200);
    let etag2 = answer["etag"]
        .to_str()
        .unwrap()
        .trim_matches('"')
        .to_owned();

    let (status, text, _) = client
        .send("GET", &format!("uploadId={id}&max-parts=1"), "", &[])
        .await;
    assert_eq!(status, 200);
    assert!(
        text.contains("<IsTruncated>true</IsTruncated>") && text.contains(&etag),
        "{text}"
    );
    assert!(!text.contains(&etag2));

    let upload = format!("uploadId={id}");
    let bad = complete(&[(1, &etag2), (2, &etag2)]);
    let (status, text, _) = client.send("POST", &upload, bad, &[]).await;
    assert!(
        status == 400 && text.contains("InvalidPart"),
        "{status} {text}"
    );
    let (callback, var) = callback_headers();
    let extra = [
        ("x-oss-callback", callback.as_str()),
        ("x-oss-callback-var", var.as_str()),
    ];
    let good = complete(&[(1, &etag), (2, &etag2)]);
    assert_eq!(oss.uploads(&client.sts.account).len(), 1);
    let (status, text, _) = client.send("POST", &upload, good.clone(), &extra).await;
    assert_eq!(status, 200);
    let sha1 = content.digest_now(HashKind::Sha1).to_uppercase();
    let body = format!(
        "bucket=b&object=k/1&size={}&sha1={sha1}&pick_code=ehbq9gd2cdphm3n4t&user_id=123456789&behavior_type=0&source=100&target=U_1_0",
        MIN_PART + 10
    );
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["got"], body);
    let stored = oss.object("b", "k/1").unwrap();
    assert_eq!(stored.digest_now(HashKind::Sha1).to_uppercase(), sha1);
    let (status, text, _) = client.send("POST", &upload, good, &[]).await;
    assert!(
        status == 404 && text.contains("NoSuchUpload"),
        "{status} {text}"
    );
    assert!(oss.uploads(&client.sts.account).is_empty());
    assert_eq!(client.sts.account.meters.stat().count("oss_part"), 5);
}

#[tokio::test]
async fn refusals() {
    let clock = Clock::default();
    let (mut client, _oss) = client(&clock).await;
    let id = client.init("uploads").await;
    for (n, bytes) in [(2, "late is fine here"), (1, "small")] {
        let query = format!("partNumber={n}&uploadId={id}");
        assert_eq!(client.send("PUT", &query, bytes, &[]).await.0, 200);
    }
    let etag = |text: &str| super::super::digest::md5_hex(text.as_bytes()).to_uppercase();
    let parts = complete(&[(1, &etag("small")), (2, &etag("late is fine here"))]);
    let upload = format!("uploadId={id}");
    let (status, text, _) = client.send("POST", &upload, parts, &[]).await;
    assert!(
        status == 400 && text.contains("EntityTooSmall"),
        "{status} {text}"
    );
    assert_eq!(client.send("DELETE", &upload, "", &[]).await.0, 204);
    assert_eq!(client.send("DELETE", &upload, "", &[]).await.0, 404);

    let account = client.sts.account.clone();
    account
        .faults
        .add(Fault::once("oss_put", FaultKind::CommitFail, ""));
    let (status, text, _) = client.send("PUT", "", "body", &[]).await;
    assert!(
        status == 203 && text.contains("CallbackFailed"),
        "{status} {text}"
    );
    let (status, text, _) = client
        .send("PUT", "", "body", &[("x-oss-forbid-overwrite", "true")])
        .await;
    assert!(
        status == 409 && text.contains("FileAlreadyExists"),
        "{status} {text}"
    );
    account
        .faults
        .add(Fault::once("oss_put", FaultKind::ExpireToken, ""));
    let (status, text, _) = client.send("PUT", "", "body", &[]).await;
    assert!(
        status == 403 && text.contains("SecurityTokenExpired"),
        "{status} {text}"
    );

    clock.advance(3_700_000);
    let (status, text, _) = client.send("PUT", "", "body", &[]).await;
    assert!(
        status == 403 && text.contains("SecurityTokenExpired"),
        "{status} {text}"
    );
    clock.advance(-3_700_000);
    client.sts.security_token = "other".to_owned();
    let (status, text, _) = client.send("PUT", "", "body", &[]).await;
    assert!(
        status == 403 && text.contains("InvalidSecurityToken"),
        "{status} {text}"
    );
    client.sts.access_key_secret = "wrong".to_owned();
    let (status, text, _) = client.send("PUT", "", "body", &[]).await;
    assert!(
        status == 403 && text.contains("SignatureDoesNotMatch"),
        "{status} {text}"
    );
}
