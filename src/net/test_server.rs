//! A server written by hand for tests, so that it can misbehave.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server read: the head in lower-case names, and the body.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What the server does with a request.
#[derive(Clone)]
pub(super) enum Act {
    /// Sends these bytes and keeps the connection.
    Send(Vec<u8>),
    /// Sends these bytes and closes.
    Cut(Vec<u8>),
    /// Sends these bytes and then nothing.
    Stall(Vec<u8>),
}

pub(super) struct Server {
    pub(super) base: String,
    pub(super) seen: Arc<Mutex<Vec<Seen>>>,
    pub(super) connections: Arc<AtomicUsize>,
    /// Bytes of each body that ended before its `Content-Length`.
    pub(super) cut: Arc<Mutex<Vec<usize>>>,
}

impl Server {
    pub(super) async fn start(act: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let connections = Arc::new(AtomicUsize::new(0));
        let cut: Arc<Mutex<Vec<usize>>> = Arc::default();
        let (log, count, act) = (seen.clone(), connections.clone(), Arc::new(act));
        let short = cut.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, SeqCst);
                tokio::spawn(serve(stream, log.clone(), short.clone(), act.clone()));
            }
        });
        Server {
            base,
            seen,
            connections,
            cut,
        }
    }

    pub(super) async fn fixed(answer: Vec<u8>) -> Server {
        Server::start(move |_| Act::Send(answer.clone())).await
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

async fn serve(
    mut stream: TcpStream,
    log: Arc<Mutex<Vec<Seen>>>,
    cut: Arc<Mutex<Vec<usize>>>,
    act: Arc<impl Fn(&Seen) -> Act + Send + Sync + 'static>,
) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let mut seen = Seen {
            line: head.lines().next().unwrap_or_default().to_owned(),
            head,
            body: Vec::new(),
        };
        let length: usize = seen
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        while buffer.len() < end + length {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                cut.lock().unwrap().push(buffer.len() - end);
                return;
            }
        }
        seen.body = buffer[end..end + length].to_vec();
        buffer.drain(..end + length);
        log.lock().unwrap().push(seen.clone());
        match act(&seen) {
            Act::Send(bytes) => stream.write_all(&bytes).await.unwrap(),
            Act::Cut(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                return;
            }
            Act::Stall(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                std::future::pending::<()>().await;
            }
        }
    }
}

pub(super) fn answer(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Answers as soon as it has read a head, and reads on until the connection ends.
pub(super) async fn hasty(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    let reader = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = Vec::new();
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            assert_ne!(stream.read_buf(&mut buffer).await.unwrap(), 0);
        };
        stream.write_all(&answer).await.unwrap();
        while stream.read_buf(&mut buffer).await.unwrap_or(0) > 0 {}
        buffer.len() - end
    });
    (base, reader)
}

/// Reads the upload slowly or not at all.
pub(super) async fn slow_reader(pause: Duration, stop_after: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = 0;
        let mut buffer = vec![0; 256 * 1024];
        while read < stop_after {
            match tokio::time::timeout(Duration::from_millis(500), stream.read(&mut buffer)).await {
                Ok(Ok(n)) if n > 0 => read += n,
                _ => break,
            }
            tokio::time::sleep(pause).await;
        }
        if stop_after < usize::MAX {
            std::future::pending::<()>().await;
        }
        stream.write_all(&answer("200 OK", &[], b"")).await.unwrap();
        // Closing with unread bytes would reset the answer away.
        let _ = stream.read(&mut buffer).await;
    });
    base
}
