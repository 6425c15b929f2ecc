//! Tests of bodies that come while they are sent, against `test_server`.

use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::tests::{client, client_with};
use super::*;
use crate::net::test_server::{Act, Server, answer, hasty, slow_reader};
use crate::net::{ByteStream, ClassLimit, Pieces, Retry};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(300);

type Piece = Result<Bytes, NetError>;

/// These, none of them at once: what came before leaves for the server meanwhile.
fn pieces(all: Vec<Piece>) -> Pieces {
    let late = stream::iter(all).then(|piece| async {
        tokio::task::yield_now().await;
        piece
    });
    Pieces::new(Box::pin(late), LONG)
}

/// What comes through a channel.
fn channel(patience: Duration) -> (mpsc::Sender<Piece>, Pieces) {
    let (sender, queue) = mpsc::channel(1);
    let source: ByteStream = Box::pin(stream::unfold(queue, |mut queue| async {
        let piece = queue.recv().await?;
        Some((piece, queue))
    }));
    (sender, Pieces::new(source, patience))
}

fn put(url: String, length: u64, pieces: Pieces) -> Request {
    Request::put("upload", url)
        .stream(length, pieces)
        .deadlines(Deadlines::UPLOAD)
}

fn source_error(retry: Retry) -> NetError {
    NetError {
        kind: NetErrorKind::Timeout,
        retry,
        op: "read",
        message: "the source is gone".into(),
    }
}

/// Waits until a server has noticed what it must notice.
async fn until(what: impl Fn() -> bool) {
    let seen = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, seen).await.unwrap();
}

#[tokio::test]
async fn it_arrives_whole_with_its_length() {
    let server = Server::fixed(answer("201 Created", &[], b"ok")).await;
    let client = client();
    let body: Vec<u8> = (0..700_001_u32).map(|n| (n % 251) as u8).collect();
    let mut sum = 0;
    for sizes in [vec![700_001], vec![1, 0, 300_000, 65_536, 334_464], vec![0]] {
        let length: usize = sizes.iter().sum();
        let mut rest = Bytes::from(body[..length].to_vec());
        let cut = sizes.into_iter().map(|size| Ok(rest.split_to(size)));
        let request = put(server.url("/x"), length as u64, pieces(cut.collect()));
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status, StatusCode::CREATED);
        assert_eq!(response.bytes(10).await.unwrap(), "ok");
        let seen = server.seen().pop().unwrap();
        assert_eq!(seen.header("content-length"), Some(&*length.to_string()));
        assert_eq!(seen.header("transfer-encoding"), None);
        assert_eq!(seen.header("content-type"), None);
        assert!(seen.body == body[..length]);
        sum += length as u64;
    }
    let count = client.meter().snapshot()["upload"];
    assert_eq!(
        (count.requests, count.failures, count.bytes_up),
        (3, 0, sum)
    );
    // A kept connection might be dead, and the body would be gone with it.
    assert_eq!(server.connections.load(SeqCst), 3);
}

#[tokio::test]
async fn a_server_that_takes_no_more_is_given_up() {
    let limit = ClassLimit {
        class: "upload",
        per_second: 0.0,
        burst: 1,
        concurrency: 1,
    };
    let client = client_with(HeaderMap::new(), &[limit]);
    let stuck = slow_reader(Duration::ZERO, 1_000_000).await;
    let piece = Bytes::from(vec![1; 1 << 20]);
    let endless = stream::repeat_with(move || Ok(piece.clone()));
    let request = put(stuck, u64::MAX / 2, Pieces::new(Box::pin(endless), LONG))
        .class("upload")
        .deadlines(Deadlines {
            idle: Duration::from_millis(300),
            ..Deadlines::UPLOAD
        });
    let error = client.send(request).await.err().unwrap();
    assert_eq!(
        (error.kind, error.retry),
        (NetErrorKind::Timeout, Retry::Backoff)
    );
    assert!(error.message.contains("no progress"), "{error}");
    assert_eq!(client.budget().load()[0].in_flight, 0);
    let count = client.meter().snapshot()["upload"];
    assert_eq!((count.requests, count.failures), (1, 1));
    assert!(count.bytes_up >= 1_000_000, "{count:?}");
}

#[tokio::test]
async fn a_late_source_is_not_a_stuck_server_but_has_its_own_end() {
    let server = Server::fixed(answer("200 OK", &[], b"")).await;
    let idle = Duration::from_millis(1000);
    let deadlines = Deadlines {
        head: idle,
        idle,
        total: None,
    };
    let (sender, late) = channel(LONG);
    let bringing = async move {
        for _ in 0..2 {
            tokio::time::sleep(idle + idle / 2).await;
            let piece = Bytes::from_static(b"12345");
            sender.send(Ok(piece)).await.unwrap();
        }
    };
    let request = put(server.url("/"), 10, late).deadlines(deadlines);
    let client = client();
    let (response, ()) = tokio::join!(client.send(request), bringing);
    assert_eq!(response.unwrap().status, StatusCode::OK);
    assert_eq!(server.seen()[0].body, b"1234512345");

    let (sender, never) = channel(Duration::from_millis(100));
    let first = Bytes::from_static(b"12345");
    sender.send(Ok(first)).await.unwrap();
    let error = client.send(put(server.url("/"), 10, never)).await;
    let error = error.err().unwrap();
    assert_eq!(error.kind, NetErrorKind::Timeout);
    assert!(error.message.contains("nothing came"), "{error}");
    // Nobody wants the pieces any more, and the server sees that the body was cut.
    tokio::time::timeout(LONG, sender.closed()).await.unwrap();
    until(|| *server.cut.lock().unwrap() == [5]).await;
}

#[tokio::test]
async fn a_body_that_breaks_ends_the_request() {
    let server = Server::fixed(answer("200 OK", &[], b"")).await;
    let client = client();
    let good = || Ok(Bytes::from(vec![7; 100_000]));
    for (number, (last, retry, what)) in [
        (
            Some(Err(source_error(Retry::Backoff))),
            Retry::Backoff,
            "the body broke after 100000 bytes: read: the source is gone",
        ),
        (
            Some(Err(source_error(Retry::Never))),
            Retry::Never,
            "the source is gone",
        ),
        (None, Retry::Never, "ended after 100000 of 150000 bytes"),
        // The server never has 150000 bytes of it.
        (Some(good()), Retry::Never, "more than the 150000 bytes"),
    ]
    .into_iter()
    .enumerate()
    {
        let all = std::iter::once(good()).chain(last).collect();
        let error = client
            .send(put(server.url("/"), 150_000, pieces(all)))
            .await;
        let error = error.err().unwrap();
        assert_eq!((error.kind, error.retry), (NetErrorKind::Body, retry));
        assert!(error.message.contains(what), "{error}");
        until(|| server.cut.lock().unwrap().len() == number + 1).await;
    }
    // All bytes were there, and one too many comes in a piece of its own.
    let all = vec![good(), Ok(Bytes::from_static(b"x"))];
    let error = client
        .send(put(server.url("/"), 100_000, pieces(all)))
        .await;
    assert_eq!(error.err().unwrap().kind, NetErrorKind::Body);
    until(|| server.cut.lock().unwrap().len() == 5).await;
    assert!(server.cut.lock().unwrap()[4] < 100_000);
    assert!(server.seen().is_empty());
    assert_eq!(client.meter().snapshot()["upload"].failures, 5);
}

#[tokio::test]
async fn it_is_sent_once() {
    let server = Server::start(|seen| match seen.line.contains("/cut") {
        true => Act::Cut(Vec::new()),
        false => Act::Send(answer("307 Moved", &["Location: /next"], b"")),
    })
    .await;
    let client = client();
    let body = || pieces(vec![Ok(Bytes::from(vec![7; 100_000]))]);
    let request = put(server.url("/cut"), 100_000, body());
    let error = client.send(request.clone()).await.err().unwrap();
    assert_eq!(
        (error.kind, error.retry),
        (NetErrorKind::Connect, Retry::Backoff)
    );
    assert_eq!(server.connections.load(SeqCst), 1);
    let error = client.send(request).await.err().unwrap();
    assert_eq!(
        (error.kind, error.retry),
        (NetErrorKind::Refused, Retry::Never)
    );
    assert_eq!(server.connections.load(SeqCst), 1, "nothing was sent");
    // A redirect is handed over, or it is an error; the body does not go on without its bytes.
    let request = put(server.url("/"), 100_000, body());
    let response = client.send(request).await.unwrap();
    assert_eq!(response.status, StatusCode::TEMPORARY_REDIRECT);
    let request = put(server.url("/"), 100_000, body()).follow_redirects();
    let error = client.send(request).await.err().unwrap();
    assert_eq!(
        (error.kind, error.retry),
        (NetErrorKind::Refused, Retry::Never)
    );
    assert!(error.message.contains("cannot be sent twice"), "{error}");
    let lines: Vec<String> = server.seen().into_iter().map(|seen| seen.line).collect();
    assert!(!lines.iter().any(|line| line.contains("next")), "{lines:?}");
}

#[tokio::test]
async fn an_answer_before_the_body_is_an_answer_and_ends_it() {
    let refusal = answer("401 Unauthorized", &["WWW-Authenticate: Digest"], b"who?");
    let (base, reader) = hasty(refusal).await;
    let (sender, body) = channel(LONG);
    let first = Bytes::from_static(b"12345");
    sender.send(Ok(first)).await.unwrap();
    let client = client();
    let response = client.send(put(base, 1_000_000, body)).await.unwrap();
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(response.header("www-authenticate"), Some("Digest"));
    assert_eq!(response.bytes(10).await.unwrap(), "who?");
    // Nothing runs on behind it.
    tokio::time::timeout(LONG, sender.closed()).await.unwrap();
    let read = tokio::time::timeout(LONG, reader).await.unwrap().unwrap();
    assert!(read <= 5, "{read}");
    let count = client.meter().snapshot()["upload"];
    assert_eq!((count.requests, count.failures), (1, 1));
}

#[tokio::test]
async fn what_is_dropped_or_refused_takes_nothing_more() {
    let server = Server::fixed(answer("200 OK", &[], b"")).await;
    let client = client();
    let (sender, body) = channel(LONG);
    let mut sending = Box::pin(client.send(put(server.url("/"), 10, body)));
    let first = Bytes::from_static(b"12345");
    let taken = async {
        sender.send(Ok(first)).await.unwrap();
        // The channel has room for one: it is free when the first was taken.
        drop(sender.reserve().await.unwrap());
    };
    tokio::select! {
        _ = &mut sending => panic!("half a body is no request"),
        () = taken => {}
    }
    drop(sending);
    tokio::time::timeout(LONG, sender.closed()).await.unwrap();
    assert!(server.seen().is_empty());

    client.breaker().trip(Duration::from_secs(60), "captcha");
    let (sender, body) = channel(LONG);
    let error = client.send(put(server.url("/"), 10, body)).await;
    assert_eq!(error.err().unwrap().kind, NetErrorKind::BreakerOpen);
    tokio::time::timeout(LONG, sender.closed()).await.unwrap();
}
