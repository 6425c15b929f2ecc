//! Signatures: vectors, and what the server refuses.

use axum::http::HeaderMap;
use axum::http::{HeaderName, HeaderValue};

use super::super::sign::{self, Authorization};
use super::*;

const HOST: &str = "examplebucket.s3.amazonaws.com";
const STAMP: &str = "20130524T000000Z";

/// A published example: method, path, query, headers, payload, signature.
type Example = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

/// Amazon's public S3 API reference, "Signature Calculations for the Authorization Header" and
/// "Authenticating Requests: Using Query Parameters".
const EXAMPLES: &[Example] = &[
    (
        "GET",
        "/test.txt",
        "",
        &[("range", "bytes=0-9")],
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    (
        "PUT",
        "/test%24file.text",
        "",
        &[
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ],
        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    (
        "GET",
        "/",
        "lifecycle",
        &[],
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    (
        "GET",
        "/",
        "max-keys=2&prefix=J",
        &[],
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
];

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const SCOPE: &str = "20130524/us-east-1/s3/aws4_request";

fn header_map(headers: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    map
}

#[test]
fn published_examples_by_both_sides() {
    let signer = Signer {
        id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret: SECRET.to_owned(),
        region: "us-east-1".to_owned(),
    };
    for (method, path, query, more, payload, wanted) in EXAMPLES {
        let mut headers: Vec<(String, String)> = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        for (name, value) in [
            ("host", HOST),
            ("x-amz-date", STAMP),
            ("x-amz-content-sha256", *payload),
        ] {
            headers.push((name.to_owned(), value.to_owned()));
        }
        let pairs = sign::parse_query(query);
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        let decoded: Vec<_> = pairs.iter().map(|(n, v)| (text(n), text(v))).collect();
        let (names, ours) = signer.sign(STAMP, method, path, &decoded, &headers, payload);
        assert_eq!(ours, *wanted, "{method} {path} {query}, the client");
        let map = header_map(&headers);
        let request = sign::canonical_request(method, path, &pairs, &map, &names, payload);
        let to_sign = sign::string_to_sign(STAMP, SCOPE, &request);
        assert_eq!(
            sign::signature(SECRET, SCOPE, &to_sign),
            *wanted,
            "{method} {path} {query}, the server"
        );
    }
}

#[test]
fn the_published_presigned_example() {
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524\
                 %2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400\
                 &X-Amz-SignedHeaders=host&X-Amz-Signature=whatever";
    let headers = header_map(&[("host".to_owned(), HOST.to_owned())]);
    let pairs = sign::parse_query(query);
    let request = sign::canonical_request(
        "GET",
        "/test.txt",
        &pairs,
        &headers,
        "host",
        "UNSIGNED-PAYLOAD",
    );
    let to_sign = sign::string_to_sign(STAMP, SCOPE, &request);
    assert_eq!(
        sign::signature(SECRET, SCOPE, &to_sign),
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    );
}

#[test]
fn authorizations_are_taken_apart() {
    let good = "AWS4-HMAC-SHA256 Credential=A/20130524/us-east-1/s3/aws4_request,\
                SignedHeaders=host;x-amz-date,Signature=00";
    let parsed = Authorization::parse(good).unwrap();
    assert_eq!(parsed.credential.key_id, "A");
    assert_eq!(parsed.credential.scope, SCOPE);
    for bad in [
        good.replace("aws4_request", "aws5_request"),
        good.replace("host;x-amz-date", "x-amz-date;host"),
        good.replace("host;", "Host;"),
        good.replace("Signature", "Sig"),
        good.replace(",Signature=00", ""),
        good.replace("SHA256 ", "SHA256"),
    ] {
        assert_eq!(Authorization::parse(&bad), None, "{bad}");
    }
    assert_eq!(
        sign::parse_amz_date("20130524T000000Z"),
        Some(1_369_353_600_000)
    );
    assert_eq!(sign::amz_date(1_369_353_600_999), STAMP);
    assert_eq!(sign::parse_amz_date("20130524T000000"), None);
    assert_eq!(sign::parse_amz_date("2013-05-24T00:00"), None);
}

#[tokio::test]
async fn requests_with_a_signature_come_in() {
    let s3 = Client::new();
    assert_eq!(s3.profile.auth_mode, "access_key");
    assert_eq!(s3.profile.fields["path_style"], "true");
    let key = "a b/\u{e9}\u{1f600}+=&?#%~!*'();:@$,[x].txt";
    s3.put(key, b"1").await.fine();
    let got = s3.get(key).await.fine();
    assert_eq!(got.text(), "1");
    assert_eq!(got.header("server"), "AmazonS3");
    assert!(!got.header("x-amz-request-id").is_empty());
    assert_eq!(s3.paths(), ["/a b/", &format!("/{key}")]);
    let spaced = s3.ask("PUT", "k").h("x-amz-meta-a", "one  two").body("x");
    // Spaces are joined before they are signed: this client does not.
    spaced.go().await.fails(403, "SignatureDoesNotMatch");
    let asked = s3.ask("PUT", "k").payload("UNSIGNED-PAYLOAD").body("y");
    asked.go().await.fine();
    assert_eq!(
        s3.at("GET", "/").go().await.fine().xml().name,
        "ListAllMyBucketsResult"
    );
    assert_eq!(s3.stat().count("put"), 3);
}

#[tokio::test]
async fn who_is_refused() {
    let s3 = Client::new();
    s3.seed("/k", b"1");
    let bare = s3.send(s3.ask("GET", "k").raw()).await;
    bare.fails(403, "AccessDenied");
    let mut ask = s3.ask("GET", "k");
    ask.signer.id = "AKIA0000000000000000".to_owned();
    ask.go().await.fails(403, "InvalidAccessKeyId");
    let mut ask = s3.at("GET", "/nobodys-bucket/k");
    ask.signer.id = "AKIA0000000000000000".to_owned();
    ask.go().await.fails(403, "InvalidAccessKeyId");
    let mut ask = s3.ask("GET", "k");
    ask.signer.secret.push('x');
    let wrong = ask.go().await;
    wrong.fails(403, "SignatureDoesNotMatch");
    assert!(
        wrong
            .value("StringToSign")
            .starts_with("AWS4-HMAC-SHA256\n")
    );
    assert!(
        wrong
            .value("CanonicalRequest")
            .starts_with("GET\n/panfuse-sim-1/k\n")
    );
    let mut ask = s3.ask("GET", "k");
    ask.signer.region = "us-east-1".to_owned();
    let elsewhere = ask.go().await;
    elsewhere.fails(400, "AuthorizationHeaderMalformed");
    assert_eq!(elsewhere.value("Region"), s3.signer.region);
    s3.ask("GET", "k")
        .h("x-amz-security-token", "t")
        .go()
        .await
        .fails(400, "InvalidToken");
    let unsigned = s3.ask("PUT", "k").unsigned("x-amz-meta-a", "1").body("2");
    let got = unsigned.go().await;
    got.fails(403, "AccessDenied");
    assert_eq!(got.value("HeadersNotSigned"), "x-amz-meta-a");
    for (header, status, code) in [
        ("AWS id:signature", 400, "InvalidRequest"),
        ("Basic eDp5", 400, "InvalidArgument"),
        (
            "AWS4-HMAC-SHA256 nonsense",
            400,
            "AuthorizationHeaderMalformed",
        ),
    ] {
        let ask = s3.ask("GET", "k").unsigned("authorization", header);
        s3.send(ask.raw()).await.fails(status, code);
    }
    // Another bucket, and none.
    let second = Client::of(s3.world.clone(), "s3-2");
    s3.at("GET", &format!("/{}/k", second.bucket))
        .go()
        .await
        .fails(403, "AccessDenied");
    s3.at("GET", "/nobodys-bucket/k")
        .go()
        .await
        .fails(404, "NoSuchBucket");
    assert_eq!(second.get("k").await.error().1, "NoSuchKey");
    assert_eq!(s3.world.stat("s3-2").unwrap().total(), 1);
    s3.ask("PATCH", "k")
        .go()
        .await
        .fails(405, "MethodNotAllowed");
    s3.ask("GET", "k")
        .q("acl", "")
        .go()
        .await
        .fails(501, "NotImplemented");
    s3.at("GET", &format!("/{}/%ff", s3.bucket))
        .go()
        .await
        .fails(400, "InvalidURI");
    assert_eq!(s3.paths(), ["/k"]);
    assert_eq!(s3.get("k").await.text(), "1");
}

#[tokio::test]
async fn the_clock_counts() {
    let s3 = Client::new();
    s3.seed("/k", b"1");
    for (minutes, fine) in [(-14, true), (14, true), (-16, false), (16, false)] {
        let mut ask = s3.ask("GET", "k");
        ask.at += minutes * 60_000;
        let got = ask.go().await;
        match fine {
            true => drop(got.fine()),
            false => got.fails(403, "RequestTimeTooSkewed"),
        }
    }
    let before = s3.world.clock().now_ms();
    s3.world.clock_advance(3_600_000);
    let mut late = s3.ask("GET", "k");
    late.at = before;
    let got = late.go().await;
    got.fails(403, "RequestTimeTooSkewed");
    // The header says what the time is here.
    let told = super::super::super::clock::parse_rfc1123(got.header("date")).unwrap();
    assert!(told >= before + 3_590_000, "{told} {before}");
    let mut right = s3.ask("GET", "k");
    right.at = told;
    right.go().await.fine();
}

#[tokio::test]
async fn payloads_are_what_was_signed() {
    let s3 = Client::new();
    let ask = s3.ask("PUT", "k").payload(&sha256(b"other")).body("this");
    ask.go().await.fails(400, "XAmzContentSHA256Mismatch");
    let ask = s3.ask("PUT", "k").payload("nothing").body("this");
    ask.go().await.fails(400, "InvalidArgument");
    for streamed in [
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    ] {
        let ask = s3
            .ask("PUT", "k")
            .payload(streamed)
            .body("4\r\nthis\r\n0\r\n\r\n");
        ask.go().await.fails(501, "NotImplemented");
    }
    let ask = s3.ask("GET", "").payload(&sha256(b"other"));
    ask.go().await.fails(400, "XAmzContentSHA256Mismatch");
    assert!(s3.paths().is_empty());
}

#[tokio::test]
async fn presigned_urls() {
    let s3 = Client::new();
    s3.seed("/a b", b"12345");
    let get = |seconds: i64| s3.ask("GET", "a b").presigned(seconds);
    let url = get(60);
    let got = s3
        .send(s3.http.get(&url).header("range", "bytes=1-2"))
        .await;
    assert_eq!((got.status, got.text().as_str()), (206, "23"));
    let other = url.replace("a%20b", "a%20c");
    s3.send(s3.http.get(other))
        .await
        .fails(403, "SignatureDoesNotMatch");
    s3.send(s3.http.put(&url).body("x"))
        .await
        .fails(403, "SignatureDoesNotMatch");
    let with_header = s3.http.get(&url).header("x-amz-meta-a", "1");
    s3.send(with_header).await.fails(403, "AccessDenied");
    let both = s3
        .http
        .get(&url)
        .header("authorization", "AWS4-HMAC-SHA256 x");
    s3.send(both).await.fails(400, "InvalidArgument");
    for seconds in [0, 604_801] {
        s3.send(s3.http.get(get(seconds)))
            .await
            .fails(400, "AuthorizationQueryParametersError");
    }
    let week = get(604_800);
    s3.fault("download", FaultKind::ExpireLink, "");
    s3.send(s3.http.get(&week)).await.fails(403, "AccessDenied");
    s3.send(s3.http.get(&week)).await.fine();
    s3.world.clock_advance(61_000);
    let got = s3.send(s3.http.get(&url)).await;
    got.fails(403, "AccessDenied");
    assert_eq!(got.value("Message"), "Request has expired");
    let mut early = s3.ask("GET", "a b");
    early.at += 3_600_000;
    let url = early.presigned(60);
    s3.send(s3.http.get(&url)).await.fails(403, "AccessDenied");
    // An upload, with what it has to be.
    let put = s3
        .ask("PUT", "up")
        .h("content-type", "text/x")
        .presigned(60);
    let ask = s3
        .http
        .put(&put)
        .header("content-type", "text/x")
        .body("body");
    s3.send(ask).await.fine();
    assert_eq!(s3.get("up").await.header("content-type"), "text/x");
    let ask = s3
        .http
        .put(&put)
        .header("content-type", "text/y")
        .body("body");
    s3.send(ask).await.fails(403, "SignatureDoesNotMatch");
    let disposition = s3
        .ask("GET", "up")
        .q("response-content-disposition", "attachment; x=\"y\"");
    let got = s3.send(s3.http.get(disposition.presigned(9))).await.fine();
    assert_eq!(got.header("content-disposition"), "attachment; x=\"y\"");
}

#[tokio::test]
async fn a_bucket_may_be_a_host() {
    let s3 = Client::new();
    s3.seed("/d/k", b"1");
    let port = s3.base.rsplit(':').next().unwrap().to_owned();
    let mut other = s3.clone();
    other.http = reqwest::Client::builder()
        .no_proxy()
        .resolve(
            &format!("{}.localhost", s3.bucket),
            format!("127.0.0.1:{port}").parse().unwrap(),
        )
        .build()
        .unwrap();
    other.base = format!("http://{}.localhost:{port}", s3.bucket);
    assert_eq!(other.at("GET", "/d/k").go().await.fine().text(), "1");
    let list = other.at("GET", "/").q("list-type", "2").go().await.fine();
    assert_eq!(list.value("KeyCount"), "1");
}
