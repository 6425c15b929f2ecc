//! Receives `multipart/form-data` as it streams in: short fields as texts, files through
//! the recorder, with the body faults of the operation.

use std::io::BufRead;

use axum::body::{Body, HttpBody};
use axum::http::HeaderMap;
use futures_util::StreamExt;

use super::account::Account;
use super::body::BodyFaults;
use super::content::Blob;
use super::recorder::Recorder;

/// A field longer than this is refused.
const FIELD: u64 = 64 << 10;
/// The head of a part longer than this is refused.
const HEAD: usize = 16 << 10;

/// A part in the order it came.
pub(super) struct Part {
    /// Field name.
    pub name: String,
    /// Whether it has a file name: that makes it a file.
    pub file: bool,
    /// Its content.
    pub blob: Blob,
}

impl Part {
    /// The content of a field.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.blob.read(0, FIELD)).into_owned()
    }
}

/// Why a form did not arrive.
#[derive(Debug)]
pub(super) enum FormError {
    /// The fault `cut`, or the client went away.
    Broken,
    /// A file above the limit.
    TooLong,
    /// Not a form.
    Malformed,
}

enum At {
    Preamble,
    Boundary,
    Head,
    Content,
    End,
}

struct Open {
    name: String,
    file: bool,
    recorder: Recorder,
}

struct Parser {
    /// CR LF, two dashes, the boundary.
    delimiter: Vec<u8>,
    buffer: Vec<u8>,
    at: At,
    open: Option<Open>,
    parts: Vec<Part>,
    limit: u64,
    /// File bytes seen.
    counted: u64,
}

/// Where `needle` (which starts with CR) is in `hay`.
fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let mut rest = hay.get(at..)?;
        let passed = rest.skip_until(b'\r').ok().filter(|n| *n > 0)?;
        let hit = at + passed - 1;
        if hay.get(hit..)?.starts_with(needle) {
            return Some(hit);
        }
        at = hit + 1;
    }
}

/// Reads `name="value"; other=value` parameters.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = if let Some(quoted) = after.strip_prefix('"') {
            let mut value = String::new();
            let mut chars = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((index, c)) = chars.next() {
                match c {
                    '\\' => value.extend(chars.next().map(|(_, c)| c)),
                    '"' => {
                        end = index + 1;
                        break;
                    }
                    c => value.push(c),
                }
            }
            (value, quoted.get(end..).unwrap_or(""))
        } else {
            let end = after.find(';').unwrap_or(after.len());
            let (value, next) = after.split_at(end);
            (value.trim().to_owned(), next)
        };
        if key.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next.trim_start().strip_prefix(';')?;
    }
}

impl Parser {
    fn new(boundary: &str, limit: u64) -> Parser {
        Parser {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // The first boundary has no line end before it: give it one.
            buffer: b"\r\n".to_vec(),
            at: At::Preamble,
            open: None,
            parts: Vec::new(),
            limit,
            counted: 0,
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }

    fn feed(&mut self, data: &[u8]) -> Result<(), FormError> {
        self.buffer.extend_from_slice(data);
        while self.step()? {}
        Ok(())
    }

    /// One step; `false` when more bytes are needed.
    fn step(&mut self) -> Result<bool, FormError> {
        match self.at {
            At::Preamble => {
                let Some(hit) = find(&self.buffer, &self.delimiter) else {
                    return Ok(false);
                };
                self.take(hit + self.delimiter.len());
                self.at = At::Boundary;
            }
            At::Boundary => {
                if self.buffer.len() < 2 {
                    return Ok(false);
                }
                self.at = match self.take(2).as_slice() {
                    b"\r\n" => At::Head,
                    b"--" => At::End,
                    _ => return Err(FormError::Malformed),
                };
            }
            At::Head => {
                let Some(end) = find(&self.buffer, b"\r\n\r\n") else {
                    return match self.buffer.len() > HEAD {
                        true => Err(FormError::Malformed),
                        false => Ok(false),
                    };
                };
                let head = self.take(end + 4);
                self.open = Some(opened(&String::from_utf8_lossy(&head))?);
                self.at = At::Content;
            }
            At::Content => {
                let hit = find(&self.buffer, &self.delimiter);
                let kept = self.delimiter.len() - 1;
                let content = match hit {
                    Some(hit) => self.take(hit),
                    None => self.take(self.buffer.len().saturating_sub(kept)),
                };
                self.keep(&content)?;
                if hit.is_none() {
                    return Ok(false);
                }
                self.take(self.delimiter.len());
                if let Some(open) = self.open.take() {
                    self.parts.push(Part {
                        name: open.name,
                        file: open.file,
                        blob: open.recorder.finish(),
                    });
                }
                self.at = At::Boundary;
            }
            At::End => {
                self.buffer.clear();
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn keep(&mut self, content: &[u8]) -> Result<(), FormError> {
        let Some(open) = &mut self.open else {
            return Err(FormError::Malformed);
        };
        open.recorder.push(content);
        let limit = match open.file {
            true => self.limit,
            false => FIELD,
        };
        if open.recorder.size() > limit {
            return Err(FormError::TooLong);
        }
        if open.file {
            self.counted += content.len() as u64;
        }
        Ok(())
    }
}

fn opened(head: &str) -> Result<Open, FormError> {
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let right = name.trim().eq_ignore_ascii_case("content-disposition");
        right.then(|| value.trim().to_owned())
    });
    let disposition = disposition.filter(|text| text.starts_with("form-data"));
    let Some(disposition) = disposition else {
        return Err(FormError::Malformed);
    };
    let name = parameter(&disposition, "name").ok_or(FormError::Malformed)?;
    let file = parameter(&disposition, "filename").is_some()
        || parameter(&disposition, "filename*").is_some();
    Ok(Open {
        name,
        file,
        recorder: Recorder::new(),
    })
}

/// The boundary that the headers announce.
fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get("content-type")?.to_str().ok()?;
    let form = kind
        .trim()
        .to_ascii_lowercase()
        .starts_with("multipart/form-data");
    parameter(kind, "boundary").filter(|text| form && !text.is_empty())
}

/// Receives a form: counts file bytes as they come and applies the body faults of `op` to
/// the whole body (the fault `corrupt` is the caller's). A file above `limit` bytes is
/// refused. A refused body is read to its end, so that the client gets to read the answer.
///
/// # Errors
/// See [`FormError`].
pub(super) async fn receive_form(
    account: &Account,
    op: &str,
    headers: &HeaderMap,
    body: Body,
    limit: u64,
) -> Result<Vec<Part>, FormError> {
    let length = body.size_hint().exact().unwrap_or(0);
    let mut faults = BodyFaults::take(account, op).for_length(length);
    let boundary = boundary(headers);
    let mut refusal = match boundary {
        Some(_) => None,
        None => Some(FormError::Malformed),
    };
    let mut parser = Parser::new(&boundary.unwrap_or_default(), limit);
    let (mut seen, mut metered) = (0_u64, 0_u64);
    let mut data = body.into_data_stream();
    while let Some(step) = data.next().await {
        let Ok(mut rest) = step else {
            return Err(FormError::Broken);
        };
        while !rest.is_empty() {
            let Some(length) = faults.pace(seen, rest.len() as u64).await else {
                return Err(FormError::Broken);
            };
            let taken = rest.split_to(length as usize);
            seen += length;
            if refusal.is_none() {
                refusal = parser.feed(&taken).err();
            }
            account.meters.up(parser.counted - metered);
            metered = parser.counted;
        }
    }
    match (refusal, parser.at) {
        (Some(refusal), _) => Err(refusal),
        (None, At::End) => Ok(parser.parts),
        (None, _) => Err(FormError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(data: &[u8], chunk: usize) -> Result<Vec<Part>, FormError> {
        let mut parser = Parser::new("b", 1000);
        for piece in data.chunks(chunk) {
            parser.feed(piece)?;
        }
        match parser.at {
            At::End => Ok(parser.parts),
            _ => Err(FormError::Malformed),
        }
    }

    #[test]
    fn forms_in_chunks_of_any_size() {
        let data = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--b\r\n\
            Content-Disposition: form-data; filename=\"x; name=\\\"y\\\"\"; name=\"f\"\r\n\
            Content-Type: application/octet-stream\r\n\r\nbytes\r\n--\rb\r\r\n\r\n--b--\r\n";
        for chunk in [1, 2, 7, 1000] {
            let parts = parse(data, chunk).unwrap();
            assert_eq!(parts.len(), 2, "chunks of {chunk}");
            assert_eq!((parts[0].name.as_str(), parts[0].file), ("a", false));
            assert_eq!(parts[0].text(), "one");
            assert_eq!((parts[1].name.as_str(), parts[1].file), ("f", true));
            assert_eq!(&parts[1].blob.read(0, 100)[..], b"bytes\r\n--\rb\r\r\n");
        }
        assert!(parse(&data[..data.len() - 4], 9).is_err());
        assert!(parse(b"--b\r\nContent-Type: x\r\n\r\n1\r\n--b--", 9).is_err());
    }
}
