//! The other side of the daemon's door: one request per connection, HTTP/1.1 by hand. The peer is
//! our own daemon, so only what it sends is understood: a length, chunks, or the end of the
//! connection.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::CliError;
use crate::config::Paths;

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(30);
const ANSWER_MAX: u64 = 64 << 20;

/// A client of the daemon of one state directory.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    state: PathBuf,
    deadline: Duration,
}

/// One request with the usual deadline.
///
/// # Errors
/// `no_daemon`, `timeout`, and whatever the daemon answers.
pub async fn call(
    paths: &Paths,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, CliError> {
    Client::new(paths)?.call(method, path, body).await
}

impl Client {
    /// A client with a deadline of 30 s for the whole answer.
    ///
    /// # Errors
    /// When the socket's directory cannot be used.
    pub fn new(paths: &Paths) -> Result<Client, CliError> {
        Ok(Client {
            socket: paths.socket()?,
            state: paths.state.clone(),
            deadline: DEADLINE,
        })
    }

    /// The same with another deadline, for requests that wait for uploads.
    pub fn deadline(mut self, deadline: Duration) -> Client {
        self.deadline = deadline;
        self
    }

    /// Sends a request (`path` with its query, already encoded) and returns the JSON of the
    /// answer; `Null` for an empty one.
    ///
    /// # Errors
    /// `no_daemon` when nobody answers at the socket, `timeout`, and the daemon's own errors with
    /// the exit code it means.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, CliError> {
        let connecting = UnixStream::connect(&self.socket);
        let stream = match tokio::time::timeout(CONNECT_DEADLINE, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(&error)),
            Err(_) => return Err(self.late(CONNECT_DEADLINE)),
        };
        let answer = tokio::time::timeout(self.deadline, exchange(stream, method, path, body))
            .await
            .map_err(|_| self.late(self.deadline))?
            .map_err(|error| {
                CliError::failed("daemon_answer", format!("the daemon hung up: {error}"))
            })?;
        understand(&answer)
    }

    fn unreachable(&self, error: &io::Error) -> CliError {
        match error.kind() {
            // No socket, or the socket of a daemon that died.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => CliError::failed(
                "no_daemon",
                format!(
                    "no daemon is running for the state directory {}",
                    self.state.display()
                ),
            )
            .hint("start it with: panfuse mount MOUNTPOINT"),
            _ => CliError::failed("daemon", format!("{}: {error}", self.socket.display())),
        }
    }

    fn late(&self, deadline: Duration) -> CliError {
        CliError::failed(
            "timeout",
            format!("the daemon did not answer within {} s", deadline.as_secs()),
        )
    }
}

async fn exchange(
    mut stream: UnixStream,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> io::Result<Vec<u8>> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: panfuse\r\nConnection: close\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX + 1).read_to_end(&mut answer).await?;
    if answer.len() as u64 > ANSWER_MAX {
        return Err(io::Error::other("the answer is too large"));
    }
    Ok(answer)
}

/// Status and body of a whole answer; `None` when it is not one or was cut.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let body = answer.get(end + 4..)?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut length = None;
    let mut chunked = false;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.trim().parse::<usize>().ok()?),
            "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    let body = match length {
        _ if chunked => joined_chunks(body)?,
        Some(length) => body.get(..length)?.to_vec(),
        None => body.to_vec(),
    };
    Some((status, body))
}

fn joined_chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = line.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        let start = end + 2;
        if size == 0 {
            return Some(all);
        }
        let stop = start.checked_add(size)?;
        all.extend_from_slice(rest.get(start..stop)?);
        rest = rest.get(stop..)?.strip_prefix(b"\r\n")?;
    }
}

fn understand(answer: &[u8]) -> Result<Value, CliError> {
    let broken = || CliError::failed("daemon_answer", "the daemon's answer makes no sense");
    let (status, body) = parse(answer).ok_or_else(broken)?;
    let document = if body.is_empty() {
        Value::Null
    } else {
        match serde_json::from_slice(&body) {
            Ok(document) => document,
            // What the HTTP layer refuses by itself comes as text.
            Err(_) if status >= 400 => {
                let text = String::from_utf8_lossy(&body);
                let line = text.lines().next().unwrap_or("");
                let message = format!("the daemon refused (HTTP {status}): {line}");
                return Err(CliError::failed("daemon_refused", message));
            }
            Err(_) => return Err(broken()),
        }
    };
    if (200..300).contains(&status) {
        return Ok(document);
    }
    Err(CliError::read(&document).unwrap_or_else(|| {
        CliError::failed(
            "daemon_refused",
            format!("the daemon refused (HTTP {status})"),
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_answers_are_not_taken_for_whole_ones() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(whole), Some((200, b"{}".to_vec())));
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), None, "{end}");
        }
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n";
        assert_eq!(parse(chunked), Some((200, b"{}".to_vec())));
        for end in 0..chunked.len() - 4 {
            assert_eq!(parse(&chunked[..end]), None, "{end}");
        }
        assert_eq!(
            parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx"),
            None
        );
    }

    #[test]
    fn answers_without_json_are_told_as_they_are() {
        let error = understand(b"HTTP/1.1 415 X\r\n\r\nExpected JSON\nmore").unwrap_err();
        assert!(error.message.contains("HTTP 415"), "{}", error.message);
        assert!(understand(b"HTTP/1.1 200 OK\r\n\r\n<html>").is_err());
    }
}
