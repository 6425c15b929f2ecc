//! Tests of the client against `test_server`.

use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::net::TcpListener;

use super::*;
use crate::net::test_server::{Act, Server, answer, slow_reader};
use crate::net::{ClassLimit, FormPart, ManualClock, MemoryBreakerStore, Retry};

pub(super) fn client_with(defaults: HeaderMap, limits: &[ClassLimit]) -> Client {
    let clock = Arc::new(ManualClock::default());
    let store = Arc::new(MemoryBreakerStore::default());
    Client::new(ClientOptions {
        default_headers: defaults,
        budget: Budget::new(limits),
        breaker: Breaker::new("account", store, clock.clone()),
        clock,
    })
    .unwrap()
}

pub(super) fn client() -> Client {
    client_with(HeaderMap::new(), &[])
}

/// Deadlines with one tiny part.
fn impatient() -> Deadlines {
    Deadlines {
        idle: Duration::from_millis(80),
        ..Deadlines::DATA
    }
}

#[tokio::test]
async fn json_headers_defaults_and_kept_connections() {
    let server = Server::fixed(answer("200 OK", &[], b"\xef\xbb\xbf{\"n\":1}")).await;
    let mut defaults = HeaderMap::new();
    defaults.insert("user-agent", HeaderValue::from_static("default"));
    defaults.insert("x-device", HeaderValue::from_static("d"));
    let client = client_with(defaults, &[]);
    for _ in 0..3 {
        let request = Request::post("test", server.url("/x"))
            .query("q", "a b&")
            .header("user-agent", "own");
        let value = client.send(request).await.unwrap().json().await.unwrap();
        assert_eq!(value["n"], 1);
    }
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /x?q=a%20b%26 HTTP/1.1");
    assert_eq!(seen[0].header("user-agent"), Some("own"));
    assert_eq!(seen[0].header("x-device"), Some("d"));
    assert_eq!(seen[0].header("content-length"), Some("0"));
    assert_eq!(seen[0].header("accept-encoding"), Some("gzip"));
    assert_eq!(server.connections.load(SeqCst), 1);
    let count = client.meter().snapshot()["test"];
    assert_eq!(
        (count.requests, count.failures, count.bytes_down),
        (3, 0, 30)
    );
}

#[tokio::test]
async fn any_status_is_an_answer_and_the_meter_counts_failures() {
    let server = Server::fixed(answer("404 Not Found", &[], b"gone")).await;
    let client = client();
    let response = client
        .send(Request::get("stat", server.url("/")))
        .await
        .unwrap();
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert_eq!(response.bytes(10).await.unwrap(), "gone");
    assert_eq!(client.meter().total().failures, 1);
}

#[tokio::test]
async fn redirects_are_followed_and_credentials_stay_behind() {
    let other = Server::fixed(answer("200 OK", &[], b"there")).await;
    let target = other.url("/end");
    let server = Server::start(move |seen| {
        let to = match seen.line.split(' ').nth(1) {
            Some("/start") => "Location: /next".to_owned(),
            _ => format!("Location: {target}"),
        };
        Act::Send(answer("302 Found", &[&to], b""))
    })
    .await;
    let mut defaults = HeaderMap::new();
    defaults.insert("cookie", HeaderValue::from_static("c=1"));
    defaults.insert("user-agent", HeaderValue::from_static("agent"));
    let client = client_with(defaults, &[]);
    let request = Request::post("link", server.url("/start"))
        .bearer(&crate::net::Secret::new("abc"))
        .json(&serde_json::json!({"a": 1}));
    let refused = client.send(request.clone()).await.unwrap();
    assert_eq!(refused.status, StatusCode::FOUND);
    let response = client.send(request.follow_redirects()).await.unwrap();
    assert_eq!(response.url(), other.url("/end"));
    assert_eq!(response.bytes(10).await.unwrap(), "there");
    let first = server.seen();
    assert_eq!(first[1].header("authorization"), Some("Bearer abc"));
    assert_eq!(first[1].body, b"{\"a\":1}");
    assert_eq!(first[2].line, "GET /next HTTP/1.1");
    assert_eq!(first[2].header("authorization"), Some("Bearer abc"));
    assert_eq!(first[2].header("cookie"), Some("c=1"));
    assert_eq!(first[2].header("content-type"), None);
    let last = &other.seen()[0];
    assert_eq!(last.header("authorization"), None);
    assert_eq!(last.header("cookie"), None);
    assert_eq!(last.header("user-agent"), Some("agent"));
    assert!(last.body.is_empty());
}

#[tokio::test]
async fn five_redirects_not_six() {
    let server = Server::start(|seen| {
        let path = seen.line.split(' ').nth(1).unwrap_or_default();
        let left: u32 = path.trim_start_matches('/').parse().unwrap();
        Act::Send(match left {
            0 => answer("200 OK", &[], b"end"),
            _ => answer("307 Moved", &[&format!("Location: /{}", left - 1)], b""),
        })
    })
    .await;
    let client = client();
    let put = |start: &str| {
        Request::put("put", server.url(start))
            .bytes(Bytes::from_static(b"body"))
            .follow_redirects()
    };
    let response = client.send(put("/5")).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert!(server.seen().iter().all(|seen| seen.body == b"body"));
    let error = client.send(put("/6")).await.err().unwrap();
    assert_eq!(
        (error.kind, error.retry),
        (NetErrorKind::Refused, Retry::Never)
    );
}

#[tokio::test]
async fn a_cut_body_is_an_error() {
    let mut cut = answer("200 OK", &[], &[7; 1000]);
    cut.truncate(cut.len() - 400);
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo".to_vec();
    for wire in [cut, chunked] {
        let server = Server::start(move |_| Act::Cut(wire.clone())).await;
        let client = client();
        for range in [false, true] {
            let mut request = Request::get("read", server.url("/"));
            if range {
                request = request.range(&(0..1000));
            }
            let response = client.send(request).await.unwrap();
            let error = response.bytes(10_000).await.unwrap_err();
            assert_eq!(error.kind, NetErrorKind::Body, "{error}");
            assert_eq!(error.retry, Retry::Backoff);
        }
        assert_eq!(client.meter().total().failures, 2);
    }
}

#[tokio::test]
async fn a_stall_ends_with_a_timeout_wherever_it_is() {
    let body = answer("200 OK", &[], &[7; 1000]);
    let part = body[..body.len() - 1].to_vec();
    let server = Server::start(move |seen| {
        Act::Stall(if seen.line.contains("/body") {
            part.clone()
        } else {
            Vec::new()
        })
    })
    .await;
    let client = client();
    let request = Request::get("read", server.url("/body")).deadlines(impatient());
    let mut stream = client.send(request).await.unwrap().stream();
    let mut read = 0;
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(piece) => read += piece.len(),
            Err(error) => break error,
        }
    };
    assert_eq!((read, error.kind), (999, NetErrorKind::Timeout), "{error}");
    assert_eq!(error.retry, Retry::Backoff);
    assert!(stream.next().await.is_none());

    let head = Deadlines {
        head: Duration::from_millis(80),
        ..Deadlines::CALL
    };
    let total = Deadlines {
        total: Some(Duration::from_millis(80)),
        ..Deadlines::CALL
    };
    for deadlines in [head, total] {
        let request = Request::get("list", server.url("/head")).deadlines(deadlines);
        let error = client.send(request).await.err().unwrap();
        assert_eq!(error.kind, NetErrorKind::Timeout, "{error}");
    }
    let request = Request::get("list", server.url("/body")).deadlines(total);
    let error = client
        .send(request)
        .await
        .unwrap()
        .bytes(9999)
        .await
        .unwrap_err();
    assert_eq!(error.kind, NetErrorKind::Timeout, "{error}");
}

#[tokio::test]
async fn no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/?access_token=tell-nobody");
    let error = client()
        .send(Request::get("list", url))
        .await
        .err()
        .unwrap();
    assert_eq!(
        (error.kind, error.retry),
        (NetErrorKind::Connect, Retry::Backoff)
    );
    assert!(
        error.message.starts_with("127.0.0.1: no connection"),
        "{error}"
    );
    assert!(!error.to_string().contains("tell-nobody"));
}

/// gzip of `{"zipped":true}` as one stored block (RFC 1951, RFC 1952).
fn gzipped() -> Vec<u8> {
    let plain = b"{\"zipped\":true}";
    let mut crc = u32::MAX;
    for byte in plain {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let length = plain.len() as u16;
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(plain);
    out.extend_from_slice(&(!crc).to_le_bytes());
    out.extend_from_slice(&u32::from(length).to_le_bytes());
    out
}

#[tokio::test]
async fn gzip_for_calls_and_untouched_bytes_for_content() {
    let server = Server::fixed(answer("200 OK", &["Content-Encoding: gzip"], &gzipped())).await;
    let client = client();
    let value = client
        .send(Request::get("list", server.url("/")))
        .await
        .unwrap();
    assert_eq!(value.json().await.unwrap()["zipped"], true);
    let request = Request::get("read", server.url("/")).range(&(10..20));
    let raw = client
        .send(request)
        .await
        .unwrap()
        .bytes(1000)
        .await
        .unwrap();
    assert_eq!(raw, gzipped());
    let seen = server.seen();
    assert_eq!(seen[1].header("range"), Some("bytes=10-19"));
    assert_eq!(seen[1].header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn uploads_of_any_size_arrive_whole() {
    let server = Server::fixed(answer("200 OK", &[], b"")).await;
    let client = client();
    for size in [0, 1, 64 * 1024, 64 * 1024 + 1, 3_000_000] {
        let body: Vec<u8> = (0..size).map(|n: usize| (n % 251) as u8).collect();
        let request = Request::put("upload", server.url("/"))
            .bytes(Bytes::from(body.clone()))
            .deadlines(Deadlines::UPLOAD);
        client.send(request).await.unwrap().bytes(0).await.unwrap();
        let seen = server.seen().pop().unwrap();
        assert_eq!(seen.header("content-length"), Some(&*size.to_string()));
        assert_eq!(seen.header("transfer-encoding"), None);
        assert_eq!(seen.header("content-type"), None);
        assert!(seen.body == body);
    }
    assert_eq!(client.meter().total().bytes_up, 3_000_000 + 2 * 65_536 + 2);
}

#[tokio::test]
async fn a_slow_upload_lives_and_a_stuck_one_ends() {
    let body = Bytes::from(vec![1; 24 * 1024 * 1024]);
    let deadlines = Deadlines {
        head: Duration::from_millis(600),
        idle: Duration::from_secs(2),
        total: None,
    };
    let request = |url| {
        Request::put("upload", url)
            .bytes(body.clone())
            .deadlines(deadlines)
    };
    // About 100 reads of 20 ms: three times the head deadline, never without progress.
    let slow = slow_reader(Duration::from_millis(20), usize::MAX).await;
    let response = client().send(request(slow)).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    let stuck = slow_reader(Duration::ZERO, 1_000_000).await;
    let request = request(stuck).deadlines(Deadlines {
        idle: Duration::from_millis(300),
        ..deadlines
    });
    let error = client().send(request).await.err().unwrap();
    assert_eq!(error.kind, NetErrorKind::Timeout);
    assert!(error.message.contains("no progress"), "{error}");
}

#[tokio::test]
async fn multipart_brings_its_type() {
    let server = Server::fixed(answer("200 OK", &[], b"")).await;
    let part = FormPart {
        name: "file".into(),
        file_name: Some("a b.txt".into()),
        bytes: Bytes::from(vec![b'x'; 100_000]),
    };
    let request = Request::post("upload", server.url("/")).multipart(vec![part]);
    client().send(request).await.unwrap();
    let seen = server.seen().pop().unwrap();
    let kind = seen.header("content-type").unwrap().to_owned();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let text = String::from_utf8(seen.body).unwrap();
    assert!(text.starts_with(&format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.txt\"\r\n"
    )));
    assert!(text.ends_with(&format!("\r\n--{boundary}--\r\n")));
    assert!(text.len() > 100_000);
}

#[tokio::test]
async fn the_permit_is_held_as_long_as_the_body() {
    let limit = ClassLimit {
        class: "data",
        per_second: 0.0,
        burst: 1,
        concurrency: 1,
    };
    let server = Server::start(|seen| {
        let whole = answer("200 OK", &[], &[1; 50_000]);
        if seen.line.contains("/stall") {
            Act::Stall(whole[..30_000].to_vec())
        } else {
            Act::Send(whole)
        }
    })
    .await;
    let client = client_with(HeaderMap::new(), &[limit]);
    let busy = || client.budget().load()[0].in_flight;
    let get = |path: &str| Request::get("read", server.url(path)).class("data");
    // Dropped unread, dropped midway, read to the end.
    let response = client.send(get("/stall")).await.unwrap();
    assert_eq!(busy(), 1);
    drop(response);
    assert_eq!(busy(), 0);
    let mut stream = client.send(get("/stall")).await.unwrap().stream();
    stream.next().await.unwrap().unwrap();
    assert_eq!(busy(), 1);
    drop(stream);
    assert_eq!(busy(), 0);
    let mut stream = client.send(get("/")).await.unwrap().stream();
    while let Some(piece) = stream.next().await {
        piece.unwrap();
    }
    assert_eq!(busy(), 0, "given back at the end, not only when dropped");
    drop(stream);
    // A request that fails or is given up returns it too.
    let waiting = client.send(get("/stall"));
    let response = waiting.await.unwrap();
    let second = tokio::time::timeout(Duration::from_millis(50), client.send(get("/")));
    assert!(second.await.is_err());
    drop(response);
    assert_eq!(busy(), 0);
    client.send(get("/")).await.unwrap();
}

#[tokio::test]
async fn an_open_breaker_sends_nothing() {
    let server = Server::fixed(answer("200 OK", &[], b"{}")).await;
    let client = client();
    client
        .breaker()
        .trip(Duration::from_secs(60), "captcha asked");
    let error = client
        .send(Request::get("list", server.url("/")))
        .await
        .err()
        .unwrap();
    assert_eq!(
        (error.kind, error.retry),
        (NetErrorKind::BreakerOpen, Retry::Never)
    );
    assert!(error.message.contains("captcha asked"), "{error}");
    assert!(server.seen().is_empty());
    client.breaker().reset();
    assert!(
        client
            .send(Request::get("list", server.url("/")))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn limits_and_pages_that_are_no_json() {
    let page = b"<html><body>Log in with token=abcdefghijklmnopqrstuvwxyz</body></html>";
    let server = Server::start(|seen| {
        let status = if seen.line.contains("/bad") {
            "502 Bad Gateway"
        } else {
            "200 OK"
        };
        Act::Send(answer(status, &["Retry-After: 2"], page))
    })
    .await;
    let client = client();
    let get = |path: &str| Request::get("list", server.url(path));
    let error = client
        .send(get("/"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.retry),
        (NetErrorKind::Decode, Retry::Never)
    );
    let text = error.to_string();
    assert!(text.starts_with("list: status 200"), "{text}");
    assert!(
        text.contains("<html><body>Log in with") && !text.contains("efghijklm"),
        "{text}"
    );
    let response = client.send(get("/bad")).await.unwrap();
    assert_eq!(response.retry_after(), Some(Duration::from_secs(2)));
    assert_eq!(response.json().await.unwrap_err().retry, Retry::Backoff);
    let error = client
        .send(get("/"))
        .await
        .unwrap()
        .bytes(10)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.retry),
        (NetErrorKind::TooLarge, Retry::Never)
    );
}

#[tokio::test]
async fn a_head_answer_has_a_length_but_no_body() {
    let mut wire = answer("200 OK", &[], &[0; 5000]);
    wire.truncate(wire.len() - 5000);
    let server = Server::fixed(wire).await;
    let request = Request::new("stat", Method::HEAD, server.url("/"));
    let response = client().send(request).await.unwrap();
    assert_eq!(response.header("content-length"), Some("5000"));
    assert!(response.bytes(0).await.unwrap().is_empty());
}

/// A log writer into memory.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn one_log_line_per_request_without_secrets() {
    let body = b"{\"access_token\":\"tell-nobody\"}";
    let server = Server::fixed(answer("200 OK", &[], body)).await;
    // A line is asked once, by whoever comes first, whether anybody wants it: before there is a
    // subscriber it is this request, so that no other test answers for us.
    client()
        .send(Request::get("first", server.url("/")))
        .await
        .unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let request = Request::post("login", server.url("/x?n=1&sign=tell-nobody"))
        .header("cookie", "tell-nobody")
        .form(&[("password", "tell-nobody")]);
    client().send(request).await.unwrap().json().await.unwrap();
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let ours: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("panfuse::net"))
        .collect();
    assert_eq!(ours.len(), 1, "{text}");
    for part in ["op=\"login\"", "method=POST", "n=1&sign=***", "status=200"] {
        assert!(ours[0].contains(part), "{part}: {}", ours[0]);
    }
    assert!(!ours[0].contains("tell-nobody"), "{}", ours[0]);
}
