//! `multipart/form-data` of the two upload calls. Their part `file` needs neither a file name
//! nor a type (section 7.1, client check), so the kit's form, which knows files by their
//! names, does not do. A form has at most one block or small file: it is read as a whole.

use std::collections::BTreeMap;
use std::io::BufRead;

use axum::body::{Body, HttpBody};
use axum::http::HeaderMap;
use futures_util::StreamExt;

use super::super::account::Account;
use super::super::body::BodyFaults;
use super::super::content::Blob;
use super::super::recorder::Recorder;

/// What everything but the file may take.
const BESIDE: u64 = 256 << 10;

/// A received form.
#[derive(Default)]
pub(super) struct Form {
    /// Every part but the file.
    pub fields: BTreeMap<String, String>,
    /// The part `file`.
    pub file: Option<Blob>,
}

/// Why a form did not arrive.
#[derive(Debug, PartialEq)]
pub(super) enum FormError {
    /// The fault `cut`, or the client went away.
    Broken,
    /// More bytes than the limit.
    TooLong,
    /// Not a form, or a part twice.
    Malformed,
}

/// A part as it lies in the body.
struct Piece<'a> {
    name: String,
    content: &'a [u8],
}

/// Where `needle` (which starts with CR) is in `hay`.
fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let mut rest = hay.get(at..)?;
        let passed = rest.skip_until(b'\r').ok().filter(|count| *count > 0)?;
        let hit = at + passed - 1;
        if hay.get(hit..)?.starts_with(needle) {
            return Some(hit);
        }
        at = hit + 1;
    }
}

/// A parameter of a header: `kind; a=b; c="d"`.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let quoted = after.starts_with('"');
        let (mut value, mut end, mut escaped) = (String::new(), after.len(), false);
        for (at, letter) in after.char_indices().skip(usize::from(quoted)) {
            match letter {
                '\\' if quoted && !escaped => {
                    escaped = true;
                    continue;
                }
                '"' if quoted && !escaped => {
                    end = at + 1;
                    break;
                }
                ';' if !quoted => {
                    end = at;
                    break;
                }
                letter => value.push(letter),
            }
            escaped = false;
        }
        if key.trim().eq_ignore_ascii_case(wanted) {
            return Some(value.trim().to_owned());
        }
        rest = after.get(end..)?.trim_start().strip_prefix(';')?;
    }
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

/// Name of the part that a head announces.
fn name_of(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let right = name.trim().eq_ignore_ascii_case("content-disposition");
        right.then(|| value.trim())
    })?;
    let name = value.starts_with("form-data");
    parameter(value, "name").filter(|text| name && !text.is_empty())
}

/// The parts of a body, and whether it has come to its end; `None` when it is no form.
fn split<'a>(data: &'a [u8], boundary: &str) -> Option<(Vec<Piece<'a>>, bool)> {
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = delimiter.as_bytes();
    let mut pieces = Vec::new();
    // The first boundary has no line end before it, unless something stands there.
    let mut rest = match data.strip_prefix(delimiter.get(2..)?) {
        Some(rest) => rest,
        None => match find(data, delimiter) {
            Some(at) => data.get(at + delimiter.len()..)?,
            None => return Some((pieces, false)),
        },
    };
    loop {
        match rest.get(..2) {
            Some(b"\r\n") => {}
            Some(b"--") => return Some((pieces, true)),
            Some(_) => return None,
            None => return Some((pieces, false)),
        }
        // With the line end before it, so that a head of no lines is found as well.
        let Some(end) = find(rest, b"\r\n\r\n") else {
            return Some((pieces, false));
        };
        let name = name_of(rest.get(2..end).unwrap_or_default())?;
        let body = rest.get(end + 4..)?;
        match find(body, delimiter) {
            Some(at) => {
                let content = body.get(..at)?;
                pieces.push(Piece { name, content });
                rest = body.get(at + delimiter.len()..)?;
            }
            None => {
                pieces.push(Piece {
                    name,
                    content: body,
                });
                return Some((pieces, false));
            }
        }
    }
}

/// Bytes of the file among what has arrived.
fn file_bytes(data: &[u8], boundary: &str) -> u64 {
    let pieces = split(data, boundary).map_or(Vec::new(), |(pieces, _)| pieces);
    let files = pieces.iter().filter(|piece| piece.name == "file");
    files.map(|piece| piece.content.len() as u64).sum()
}

fn parse(data: &[u8], boundary: &str) -> Option<Form> {
    let (pieces, true) = split(data, boundary)? else {
        return None;
    };
    let mut form = Form::default();
    for piece in pieces {
        let again = if piece.name == "file" {
            let mut recorder = Recorder::new();
            recorder.push(piece.content);
            form.file.replace(recorder.finish()).is_some()
        } else {
            let text = String::from_utf8(piece.content.to_vec()).ok()?;
            form.fields.insert(piece.name, text).is_some()
        };
        if again {
            return None;
        }
    }
    Some(form)
}

/// Receives a form whose file has at most `limit` bytes: counts the file's bytes, also of a
/// form that breaks off, and applies the body faults of `op`. A refused body is read to its
/// end, so that the client gets to read the answer.
///
/// # Errors
/// See [`FormError`].
pub(super) async fn receive(
    account: &Account,
    op: &str,
    headers: &HeaderMap,
    body: Body,
    limit: u64,
) -> Result<Form, FormError> {
    let length = body.size_hint().exact().unwrap_or(0);
    let mut faults = BodyFaults::take(account, op).for_length(length);
    let boundary = boundary(headers).unwrap_or_default();
    let (mut data, mut seen) = (Vec::new(), 0_u64);
    let mut stream = body.into_data_stream();
    let mut whole = true;
    while let Some(step) = stream.next().await {
        let Ok(mut rest) = step else {
            whole = false;
            break;
        };
        while whole && !rest.is_empty() {
            let Some(length) = faults.pace(seen, rest.len() as u64).await else {
                whole = false;
                break;
            };
            let taken = rest.split_to(usize::try_from(length).unwrap_or(0).min(rest.len()));
            seen += length;
            if seen <= limit.saturating_add(BESIDE) {
                data.extend_from_slice(&taken);
            }
        }
        if !whole {
            break;
        }
    }
    account.meters.up(file_bytes(&data, &boundary));
    if !whole {
        return Err(FormError::Broken);
    }
    if boundary.is_empty() {
        return Err(FormError::Malformed);
    }
    if seen > limit.saturating_add(BESIDE) {
        return Err(FormError::TooLong);
    }
    let form = parse(&data, &boundary).ok_or(FormError::Malformed)?;
    match form.file.as_ref().is_some_and(|file| file.size() > limit) {
        true => Err(FormError::TooLong),
        false => Ok(form),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Reads a whole form.
    pub fn read(kind: &str, body: &[u8]) -> Option<Form> {
        let headers = HeaderMap::from_iter([(
            axum::http::header::CONTENT_TYPE,
            axum::http::HeaderValue::from_str(kind).unwrap(),
        )]);
        parse(body, &boundary(&headers)?)
    }

    #[test]
    fn files_without_a_name_and_what_is_no_form() {
        let kind = "Multipart/Form-Data; charset=x; boundary=\"b\"";
        let data = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\xc3\xa4\r\n--b\r\n\
            content-disposition: form-data; filename=\"x; name=\\\"y\\\"\"; name=\"file\"\r\n\r\n\
            one\r\n--\rb\r\r\n\r\n--b--\r\n";
        let form = read(kind, data).unwrap();
        assert_eq!(form.fields["a"], "\u{e4}");
        assert_eq!(&form.file.unwrap().read(0, 99)[..], b"one\r\n--\rb\r\r\n");
        for cut in [data.len() - 4, 60, 10, 0] {
            assert!(read(kind, &data[..cut]).is_none(), "{cut}");
        }
        assert_eq!(file_bytes(&data[..data.len() - 15], "b"), 6);
        assert!(read("multipart/form-data", data).is_none());
        assert!(read("text/plain; boundary=b", data).is_none());
        let twice = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\n\
            Content-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n";
        assert!(read(kind, twice).is_none());
        let nameless = b"--b\r\nContent-Type: text/plain\r\n\r\n1\r\n--b--\r\n";
        assert!(read(kind, nameless).is_none());
    }
}
