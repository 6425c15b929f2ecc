use super::*;
use serde_json::Value;

const VECTORS: &str = include_str!("../../../tests/fixtures/115_open.vectors.json");

#[test]
fn addresses_by_kind_of_endpoint() {
    let url = |endpoint| object_url(endpoint, "b", "a/k+1").unwrap();
    assert_eq!(
        url("http://oss-cn-shenzhen.aliyuncs.com"),
        "http://b.oss-cn-shenzhen.aliyuncs.com/a/k%2B1"
    );
    assert_eq!(url("mypikpak.com"), "https://b.mypikpak.com/a/k%2B1");
    assert_eq!(url("b.mypikpak.com"), "https://b.mypikpak.com/a/k%2B1");
    assert_eq!(url("http://127.0.0.1:9/"), "http://127.0.0.1:9/b/a/k%2B1");
    assert_eq!(
        url("http://127.0.0.1:9/oss/"),
        "http://127.0.0.1:9/oss/b/a/k%2B1"
    );
    assert_eq!(url("http://127.0.0.1"), "http://127.0.0.1/b/a/k%2B1");
    assert_eq!(url("http://[::1]:9"), "http://[::1]:9/b/a/k%2B1");
    assert_eq!(url("http://localhost:9"), "http://localhost:9/b/a/k%2B1");
    for (endpoint, bucket, key) in [
        ("", "b", "k"),
        ("http://h", "", "k"),
        ("http://h", "b/../c", "k"),
        ("http://h", "b", ""),
        ("ftp://h", "b", "k"),
    ] {
        assert!(object_url(endpoint, bucket, key).is_err(), "{endpoint}");
    }
}

#[test]
fn callbacks_are_encoded_byte_for_byte() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let texts = &vectors["oss_callback"];
    for (plain, encoded) in [
        ("callback", "x_oss_callback"),
        ("callback_var", "x_oss_callback_var"),
    ] {
        let plain = texts[plain].as_str().unwrap();
        assert_eq!(STANDARD.encode(plain), texts[encoded].as_str().unwrap());
    }
}

#[test]
fn the_body_of_complete_is_in_order_and_quoted_once() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let part = |number, tag: &str| PartReceipt {
        number,
        size: 1,
        tag: tag.to_owned(),
    };
    let tag = "5EB63BBBE01EEED093CB22BB8F5ACDC3";
    for spelled in [tag.to_owned(), format!("\"{tag}\"")] {
        assert_eq!(
            complete_body(&[part(1, &spelled)]),
            vectors["oss_complete_body"].as_str().unwrap()
        );
    }
    let two = complete_body(&[part(10, "B"), part(9, "A")]);
    assert!(two.find('A').unwrap() < two.find('B').unwrap());
}

#[test]
fn queries_are_spelled_as_signed() {
    assert_eq!(
        with_query("http://h/k", &[("sequential", ""), ("uploadId", "A B")]),
        "http://h/k?sequential&uploadId=A%20B"
    );
}

#[test]
fn dates_are_gmt() {
    assert_eq!(
        http_date(1_700_000_000_000).unwrap(),
        "Tue, 14 Nov 2023 22:13:20 GMT"
    );
    assert!(http_date(i64::MAX).is_err());
}

#[test]
fn errors_of_the_store() {
    let of = |status, code: &str| {
        error_of(
            "t",
            status,
            format!("<Error><Code>{code}</Code><Message>m</Message></Error>").as_bytes(),
        )
    };
    let expired = of(403, "SecurityTokenExpired");
    assert_eq!(expired.account, AccountEffect::Refresh);
    assert_eq!(
        of(403, "InvalidAccessKeyId").account,
        AccountEffect::Refresh
    );
    assert_eq!(of(403, "AccessDenied").account, AccountEffect::None);
    assert_eq!(of(404, "NoSuchUpload").kind, ErrorKind::NotFound);
    assert_eq!(of(409, "PartAlreadyExist").kind, ErrorKind::Exists);
    assert_eq!(
        of(203, "CallbackFailed").code.as_deref(),
        Some("CallbackFailed")
    );
    assert_eq!(of(503, "ServiceUnavailable").retry, Retry::Backoff);
    assert_eq!(error_of("t", 404, b"<html>").kind, ErrorKind::BadAnswer);
}
