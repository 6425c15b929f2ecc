//! PROPFIND: what is asked, and reading the answer while it comes.

use std::io::{BufReader, Read};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::api::{Api, Call};
use super::error::Wanted;
use super::xml::{self, Entry};
use crate::drive::{DriveError, ErrorKind, Result, patience};
use crate::net::{ByteStream, Deadlines, Response, Retry, retry};

/// Answers up to this size are read without a thread of their own.
const SMALL: usize = 256 << 10;

/// A larger answer is no listing.
const LARGEST: u64 = 1 << 30;

/// Pieces on their way to the reader.
const QUEUE: usize = 16;

/// A large folder takes its time: to the first byte on servers that collect it first, and in all.
const LISTING: Deadlines = Deadlines {
    head: std::time::Duration::from_secs(90),
    idle: std::time::Duration::from_secs(60),
    total: Some(std::time::Duration::from_secs(900)),
};

/// Which properties are asked for. Without a list servers leave out what costs them something
/// (sheet generic_backends, 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What a node is made of.
    Node,
    /// The space of the account.
    Quota,
}

impl Ask {
    fn body(self) -> Bytes {
        Bytes::from_static(match self {
            Ask::Node => concat!(
                r#"<?xml version="1.0" encoding="utf-8"?>"#,
                r#"<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:prop>"#,
                "<d:resourcetype/><d:getcontentlength/><d:getlastmodified/><d:getetag/>",
                "<d:creationdate/><oc:checksums/><oc:fileid/><oc:id/><oc:permissions/><oc:size/>",
                "</d:prop></d:propfind>"
            )
            .as_bytes(),
            Ask::Quota => concat!(
                r#"<?xml version="1.0" encoding="utf-8"?>"#,
                r#"<d:propfind xmlns:d="DAV:"><d:prop><d:resourcetype/>"#,
                "<d:quota-available-bytes/><d:quota-used-bytes/></d:prop></d:propfind>"
            )
            .as_bytes(),
        })
    }
}

/// An answer that was read.
pub struct Answer {
    pub entries: Vec<Entry>,
    /// Where more of the same folder is. Jianguoyun lists 750 entries at a time and names the next
    /// ones in `Link`; no other server is known to do so.
    pub next: Option<String>,
}

/// Asks about `url`. `deep` also asks about what is directly in it; deeper is never asked: half of
/// the servers refuse that (7.1).
pub async fn ask(api: &Api, op: &'static str, url: &str, ask: Ask, deep: bool) -> Result<Answer> {
    let call = Call::new(op, Wanted::Properties, "PROPFIND", url.to_owned())
        .class("list")
        .header("depth", if deep { "1" } else { "0" })
        .header("content-type", "application/xml; charset=utf-8")
        .header("accept", "application/xml, text/xml")
        .deadlines(if deep { LISTING } else { Deadlines::CALL })
        .body(ask.body());
    retry(patience(), || async {
        // Some servers answer 200 to a PROPFIND; what counts is the document.
        let response = match api.once(&call, &[207, 200]).await {
            Err(error) if error.kind == ErrorKind::Unsupported => {
                return Err(DriveError {
                    message: format!(
                        "{}: the server does not speak WebDAV at this address",
                        error.message
                    ),
                    ..error
                });
            }
            response => response?,
        };
        let next = next_of(api, &response);
        let entries = read(op, response).await?;
        Ok(Answer { entries, next })
    })
    .await
}

/// The address in `Link: <...>; rel="next"`, when it is the same server's.
fn next_of(api: &Api, response: &Response) -> Option<String> {
    let links = response.headers.get_all("link").iter();
    let links: Vec<&str> = links.filter_map(|value| value.to_str().ok()).collect();
    let target = links
        .iter()
        .flat_map(|one| one.split(','))
        .find_map(|one| {
            let (target, rest) = one.trim().strip_prefix('<')?.split_once('>')?;
            let next = rest.split(';').any(|parameter| {
                let bare: String = parameter.chars().filter(|c| !" \"".contains(*c)).collect();
                bare.eq_ignore_ascii_case("rel=next")
            });
            next.then_some(target)
        })?;
    let here = reqwest::Url::parse(response.url()).ok()?;
    let url = here.join(target).ok()?;
    api.base.is_same_origin(&url).then(|| url.to_string())
}

/// Reads the document of an answer.
async fn read(op: &'static str, response: Response) -> Result<Vec<Entry>> {
    let mut stream = response.stream();
    let mut head = BytesMut::new();
    loop {
        match stream.next().await {
            Some(piece) => head.extend_from_slice(&piece?),
            None => return parse(op, &head[..]),
        }
        if head.len() > SMALL {
            return read_large(op, head.freeze(), stream).await;
        }
    }
}

fn parse<R: std::io::BufRead>(op: &str, input: R) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    xml::read(input, |entry| entries.push(entry)).map_err(|what| {
        // Cut off in the middle it may be whole next time.
        let retry = match entries.is_empty() {
            true => Retry::Never,
            false => Retry::Backoff,
        };
        DriveError::bad_answer(op, what).retry(retry)
    })?;
    Ok(entries)
}

/// A thread reads while the pieces come, so that the document is never in memory as a whole.
async fn read_large(op: &'static str, head: Bytes, mut stream: ByteStream) -> Result<Vec<Entry>> {
    let (pieces, queue) = mpsc::channel::<Bytes>(QUEUE);
    let reading = tokio::task::spawn_blocking(move || {
        parse(op, BufReader::new(Pieces { front: head, queue }))
    });
    let mut received: u64 = 0;
    let mut broken = None;
    while let Some(piece) = stream.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                broken = Some(error);
                break;
            }
        };
        received = received.saturating_add(piece.len() as u64);
        if received > LARGEST {
            return Err(DriveError::bad_answer(op, "the listing does not end"));
        }
        if pieces.send(piece).await.is_err() {
            // The reader has given up; its reason follows.
            break;
        }
    }
    drop(pieces);
    let entries = reading
        .await
        .map_err(|error| DriveError::bad_answer(op, error))?;
    match broken {
        Some(error) => Err(error.into()),
        None => entries,
    }
}

/// Pieces as a reader of bytes. Its end is the end of the queue.
struct Pieces {
    front: Bytes,
    queue: mpsc::Receiver<Bytes>,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.front.is_empty() {
            match self.queue.blocking_recv() {
                Some(piece) => self.front = piece,
                None => return Ok(0),
            }
        }
        let length = self.front.len().min(into.len());
        let piece = self.front.split_to(length);
        if let Some(into) = into.get_mut(..length) {
            into.copy_from_slice(&piece);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_large_answer_is_read_in_pieces() {
        let mut text = String::from(r#"<multistatus xmlns="DAV:">"#);
        for n in 0..5000 {
            text.push_str(&format!(
                "<response><href>/a/{n:05}</href><propstat><prop><getcontentlength>{n}\
                 </getcontentlength></prop><status>HTTP/1.1 200 OK</status></propstat></response>"
            ));
        }
        text.push_str("</multistatus>");
        assert!(text.len() > SMALL);
        let whole = Bytes::from(text);
        let pieces = |whole: &Bytes| -> Vec<std::result::Result<Bytes, crate::net::NetError>> {
            (0..whole.len())
                .step_by(777)
                .map(|at| Ok(whole.slice(at..whole.len().min(at + 777))))
                .collect()
        };
        let stream = futures_util::stream::iter(pieces(&whole));
        let entries = read_large("list", Bytes::new(), Box::pin(stream)).await;
        let entries = entries.unwrap();
        assert_eq!(entries.len(), 5000);
        assert_eq!(entries[4999].props.length, Some(4999));
        // Cut off.
        let cut = whole.slice(..whole.len() - 100);
        let stream = futures_util::stream::iter(pieces(&cut));
        let error = read_large("list", Bytes::new(), Box::pin(stream)).await;
        let error = error.unwrap_err();
        assert_eq!(
            (error.kind, error.retry),
            (ErrorKind::BadAnswer, Retry::Backoff)
        );
    }
}
