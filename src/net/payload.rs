//! A request body on its way: cut into pieces whose hand-over is watched.
//!
//! The connection asks for the next piece when it has room, so the time of the last hand-over is
//! the time of the last progress. A slow upload that moves is never ended, a stuck one is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::pieces::{Feed, Pieces};
use super::progress::Progress;
use super::{Body, FormPart, NetError, NetErrorKind};

/// Size of a piece.
pub(super) const PIECE: usize = 64 * 1024;

/// A body ready to be sent: more than once when a redirect says so, unless it comes in pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Payload {
    segments: Vec<Bytes>,
    /// Where the bytes come from instead.
    pieces: Option<Pieces>,
    length: u64,
    /// `Content-Type` that the body itself brings (multipart).
    pub(super) content_type: Option<String>,
}

impl Payload {
    /// Lays a body out.
    pub(super) fn new(body: Body) -> Self {
        let (segments, content_type) = match body {
            Body::Empty => (Vec::new(), None),
            Body::Bytes(bytes) => (vec![bytes], None),
            Body::Stream { length, pieces } => {
                return Payload {
                    length,
                    pieces: Some(pieces),
                    ..Payload::default()
                };
            }
            Body::Multipart(parts) => {
                let boundary = format!("panfuse-{}", uuid::Uuid::new_v4().simple());
                let segments = multipart(parts, &boundary);
                let kind = format!("multipart/form-data; boundary={boundary}");
                (segments, Some(kind))
            }
        };
        Payload {
            length: segments.iter().map(|part| part.len() as u64).sum(),
            segments,
            content_type,
            pieces: None,
        }
    }

    /// Bytes in all.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether it goes out in more than one piece.
    pub(super) fn is_large(&self) -> bool {
        self.is_once() || self.length > PIECE as u64
    }

    /// Whether it can be sent only once.
    pub(super) fn is_once(&self) -> bool {
        self.pieces.is_some()
    }

    /// The body for one sending and the view of its progress. `Content-Length` is the caller's
    /// to set: a body of pieces does not know its length.
    ///
    /// # Errors
    /// `Refused` when its pieces went out already.
    pub(super) fn start(
        &self,
        op: &'static str,
    ) -> Result<(Option<reqwest::Body>, Arc<Progress>), NetError> {
        let patience = self
            .pieces
            .as_ref()
            .map_or(Duration::ZERO, Pieces::patience);
        let progress = Arc::new(Progress::new(self.length, patience));
        if let Some(pieces) = &self.pieces {
            let source = pieces.take().ok_or_else(|| {
                let message = "the body was sent already, and it is gone";
                NetError::never(NetErrorKind::Refused, op, message)
            })?;
            let feed = Feed::new(op, source, self.length, progress.clone());
            return Ok((Some(reqwest::Body::wrap_stream(feed)), progress));
        }
        if self.length == 0 {
            return Ok((None, progress));
        }
        if !self.is_large() {
            // One piece that the pool may send again when a kept connection turns out dead.
            let mut whole = BytesMut::with_capacity(self.segments.iter().map(Bytes::len).sum());
            for segment in &self.segments {
                whole.extend_from_slice(segment);
            }
            progress.advance(whole.len());
            return Ok((Some(reqwest::Body::from(whole.freeze())), progress));
        }
        let queue: VecDeque<Bytes> = self.segments.iter().cloned().collect();
        let watch = progress.clone();
        let pieces = futures_util::stream::unfold((queue, watch), |(mut queue, watch)| async {
            let piece = next_piece(&mut queue)?;
            watch.advance(piece.len());
            Some((Ok::<Bytes, std::convert::Infallible>(piece), (queue, watch)))
        });
        Ok((Some(reqwest::Body::wrap_stream(pieces)), progress))
    }
}

/// Takes at most [`PIECE`] bytes off the front, without copying.
fn next_piece(queue: &mut VecDeque<Bytes>) -> Option<Bytes> {
    loop {
        let mut front = queue.pop_front()?;
        if front.is_empty() {
            continue;
        }
        let piece = front.split_to(front.len().min(PIECE));
        if !front.is_empty() {
            queue.push_front(front);
        }
        return Some(piece);
    }
}

/// `multipart/form-data` by RFC 7578, fields in the given order (object stores want the file
/// last). The fields' bytes are not copied.
fn multipart(parts: Vec<FormPart>, boundary: &str) -> Vec<Bytes> {
    let mut segments = Vec::with_capacity(parts.len() * 2 + 1);
    let mut separator = "";
    for part in parts {
        let mut head = format!(
            "{separator}--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
            field_name(&part.name)
        );
        if let Some(file) = &part.file_name {
            head.push_str(&format!(
                "; filename=\"{}\"\r\nContent-Type: application/octet-stream",
                field_name(file)
            ));
        }
        head.push_str("\r\n\r\n");
        segments.push(Bytes::from(head));
        segments.push(part.bytes);
        separator = "\r\n";
    }
    segments.push(Bytes::from(format!("{separator}--{boundary}--\r\n")));
    segments
}

/// Escapes a name as browsers do (WHATWG HTML, multipart/form-data encoding algorithm).
fn field_name(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_small_and_complete() {
        let all: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        let mut queue: VecDeque<Bytes> = [
            Bytes::from(all[..10].to_vec()),
            Bytes::new(),
            Bytes::from(all[10..].to_vec()),
        ]
        .into();
        let mut seen = Vec::new();
        while let Some(piece) = next_piece(&mut queue) {
            assert!(!piece.is_empty() && piece.len() <= PIECE);
            seen.extend_from_slice(&piece);
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn multipart_layout() {
        let payload = Payload::new(Body::Multipart(vec![
            FormPart {
                name: "key\"\r\n".into(),
                file_name: None,
                bytes: Bytes::from_static(b"v"),
            },
            FormPart {
                name: "file".into(),
                file_name: Some("a.bin".into()),
                bytes: Bytes::from_static(b"\x00\r\n--"),
            },
        ]));
        let kind = payload.content_type.clone().unwrap();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let text: Vec<u8> = payload.segments.concat();
        let wanted = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"key%22%0D%0A\"\r\n\r\nv\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n\0\r\n--\r\n--{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(text).unwrap(), wanted);
        assert_eq!(payload.length(), wanted.len() as u64);
    }
}
