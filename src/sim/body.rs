//! Content in and out over HTTP: ranges, meters, and faults inside bodies.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use super::account::Account;
use super::content::Blob;
use super::faults::FaultKind;
use super::recorder::Recorder;

/// Bytes per step of a body.
const CHUNK: u64 = 128 << 10;

/// The faults that strike inside one body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BodyFaults {
    /// Bytes that pass before the connection breaks (`u64::MAX`: half).
    cut: Option<u64>,
    /// Bytes per second.
    slow: Option<u64>,
    /// Bytes that pass (`u64::MAX`: half), then so many milliseconds of silence.
    stall: Option<(u64, u64)>,
}

impl BodyFaults {
    pub(super) fn take(account: &Account, op: &str) -> BodyFaults {
        let stall = account.faults.take(op, FaultKind::StallBody).map(|arg| {
            let (bytes, ms) = arg.split_once(',').unwrap_or((arg.as_str(), ""));
            (
                bytes.trim().parse().unwrap_or(u64::MAX),
                ms.trim().parse().unwrap_or(3_600_000),
            )
        });
        BodyFaults {
            cut: account.faults.take_number(op, FaultKind::Cut, u64::MAX),
            slow: account.faults.take_number(op, FaultKind::Slow, 65_536),
            stall,
        }
    }

    fn any(&self) -> bool {
        self.cut.is_some() || self.slow.is_some() || self.stall.is_some()
    }

    /// Puts "half" into numbers for a body of `length` bytes.
    pub(super) fn for_length(mut self, length: u64) -> BodyFaults {
        let half = |at: u64| if at == u64::MAX { length / 2 } else { at };
        self.cut = self.cut.map(half);
        self.stall = self.stall.map(|(at, ms)| (half(at), ms));
        self
    }

    /// How many of the next `wanted` bytes pass at position `at`; sleeps as the faults say;
    /// `None` when the connection breaks here.
    pub(super) async fn pace(&mut self, at: u64, wanted: u64) -> Option<u64> {
        let mut length = wanted;
        if let Some(cut) = self.cut {
            if at >= cut {
                // What was written already should arrive before the connection ends.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return None;
            }
            length = length.min(cut - at);
        }
        if let Some((start, ms)) = self.stall {
            if at >= start {
                self.stall = None;
                tokio::time::sleep(Duration::from_millis(ms)).await;
            } else {
                length = length.min(start - at);
            }
        }
        if let Some(rate) = self.slow {
            length = length.min((rate / 10).max(1));
            tokio::time::sleep(Duration::from_secs_f64(length as f64 / rate.max(1) as f64)).await;
        }
        Some(length)
    }
}

fn broken() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "injected cut")
}

struct Flow<G> {
    account: Option<Arc<Account>>,
    blob: Blob,
    at: u64,
    end: u64,
    sent: u64,
    faults: BodyFaults,
    _guard: G,
}

fn flow<G: Send + 'static>(flow: Flow<G>) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    stream::unfold(Some(flow), |state| async {
        let mut flow = state?;
        if flow.at >= flow.end {
            return None;
        }
        let wanted = (flow.end - flow.at).min(CHUNK);
        let Some(length) = flow.faults.pace(flow.sent, wanted).await else {
            return Some((Err(broken()), None));
        };
        let bytes = flow.blob.read(flow.at, length);
        flow.at += length;
        flow.sent += length;
        if let Some(account) = &flow.account {
            account.meters.down(length);
        }
        Some((Ok(bytes), Some(flow)))
    })
}

/// The answer to a GET of a content: 200, 206 or 416 as the `Range` of `headers` says, body
/// faults of `op` applied, bytes counted as they leave. `guard` lives as long as the body
/// (a connection counter, say).
pub fn send<G: Send + 'static>(
    account: &Arc<Account>,
    op: &str,
    blob: &Blob,
    headers: &HeaderMap,
    guard: G,
) -> Response {
    let size = blob.size();
    let range = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let mut response = Response::new(Body::empty());
    response
        .headers_mut()
        .insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let (from, to) = match parse_range(range, size) {
        Range::Whole => (0, size),
        Range::Part(from, to) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let text = format!("bytes {from}-{}/{size}", to - 1);
            set(&mut response, "content-range", &text);
            (from, to)
        }
        Range::Unsatisfiable => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            set(&mut response, "content-range", &format!("bytes */{size}"));
            return response;
        }
    };
    set(&mut response, "content-length", &(to - from).to_string());
    set(&mut response, "content-type", "application/octet-stream");
    let blob = if account.faults.take(op, FaultKind::Corrupt).is_some() {
        Blob::join([
            &blob.slice(0, from),
            &blob.slice(from, to - from).corrupted(),
            &blob.slice(to, size),
        ])
    } else {
        blob.clone()
    };
    let faults = BodyFaults::take(account, op).for_length(to - from);
    let account = Some(account.clone());
    let flow = flow(Flow {
        account,
        blob,
        at: from,
        end: to,
        sent: 0,
        faults,
        _guard: guard,
    });
    *response.body_mut() = Body::from_stream(flow);
    response
}

/// Sets a header of a response; a value that is no header text is left out.
pub fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Range {
    /// No range, or one to be ignored: everything.
    Whole,
    /// From, to (exclusive).
    Part(u64, u64),
    /// 416.
    Unsatisfiable,
}

/// Reads a `Range` header for a content of `size` bytes. Several ranges and other units are
/// ignored, as RFC 9110 allows.
pub fn parse_range(header: Option<&str>, size: u64) -> Range {
    let Some(spec) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Range::Whole;
    };
    let Some((first, last)) = spec.split_once('-').filter(|_| !spec.contains(',')) else {
        return Range::Whole;
    };
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(from), Ok(to)) if from > to => Range::Whole,
        (Ok(from), _) if from >= size => Range::Unsatisfiable,
        (Ok(from), Ok(to)) => Range::Part(from, to.saturating_add(1).min(size)),
        (Ok(from), Err(_)) if last.trim().is_empty() => Range::Part(from, size),
        (Err(_), Ok(0)) if first.trim().is_empty() => Range::Unsatisfiable,
        (Err(_), Ok(_)) if first.trim().is_empty() && size == 0 => Range::Unsatisfiable,
        (Err(_), Ok(tail)) if first.trim().is_empty() => {
            Range::Part(size.saturating_sub(tail), size)
        }
        _ => Range::Whole,
    }
}

/// Applies body faults to a finished response.
pub(super) fn wrap(response: Response, faults: BodyFaults) -> Response {
    if !faults.any() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let length = body.size_hint().exact().unwrap_or(0);
    let mut faults = faults.for_length(length);
    let data = body.into_data_stream();
    // Documents are short: one buffer, then the same flow as a content.
    let stream = stream::once(async move {
        let mut all = Vec::new();
        let mut data = data;
        while let Some(Ok(bytes)) = data.next().await {
            all.extend_from_slice(&bytes);
        }
        if length == 0 {
            faults = faults.for_length(all.len() as u64);
        }
        let blob = Blob::bytes(all);
        let end = blob.size();
        flow(Flow {
            account: None,
            blob,
            at: 0,
            end,
            sent: 0,
            faults,
            _guard: (),
        })
    })
    .flatten();
    let mut response = Response::from_parts(parts, Body::from_stream(stream));
    if length > 0 {
        set(&mut response, "content-length", &length.to_string());
    }
    response
}

/// Why a body did not arrive.
#[derive(Debug)]
pub enum ReceiveError {
    /// The fault `cut`, or the client went away: answer [`super::dropped`].
    Broken,
    /// More bytes than the limit.
    TooLong,
}

/// Receives a request's body: counts bytes as they come, applies the body faults of `op`,
/// and the fault `corrupt` to what is kept. Longer than `limit` bytes is refused.
///
/// # Errors
/// See [`ReceiveError`].
pub async fn receive(
    account: &Account,
    op: &str,
    body: Body,
    limit: u64,
) -> Result<Blob, ReceiveError> {
    let length = body.size_hint().exact().unwrap_or(0);
    let mut faults = BodyFaults::take(account, op).for_length(length);
    let corrupt = account.faults.take(op, FaultKind::Corrupt).is_some();
    let mut data = body.into_data_stream();
    let mut recorder = Recorder::new();
    while let Some(step) = data.next().await {
        let Ok(bytes) = step else {
            return Err(ReceiveError::Broken);
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let wanted = rest.len() as u64;
            let Some(length) = faults.pace(recorder.size(), wanted).await else {
                return Err(ReceiveError::Broken);
            };
            let taken = rest.split_to(length as usize);
            account.meters.up(length);
            recorder.push(&taken);
        }
        if recorder.size() > limit {
            return Err(ReceiveError::TooLong);
        }
    }
    let blob = recorder.finish();
    Ok(if corrupt { blob.corrupted() } else { blob })
}

/// Reads a body to its end and forgets it, so that a refused client gets to read the answer.
pub(super) async fn drain(body: Body) {
    let mut data = body.into_data_stream();
    while let Some(Ok(_)) = data.next().await {}
}

/// A request's body that a fault may leave unread: it is read then all the same, so that
/// the client gets to read the answer.
pub(super) struct Unread(Mutex<Option<Body>>);

impl Unread {
    /// Not read yet.
    pub(super) fn new(body: Body) -> Unread {
        Unread(Mutex::new(Some(body)))
    }

    /// The body, the first time.
    pub(super) fn take(&self) -> Body {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take().unwrap_or_else(Body::empty)
    }

    /// Reads what nobody took.
    pub(super) async fn drain(&self) {
        drain(self.take()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(parse_range(None, 10), Range::Whole);
        assert_eq!(parse_range(Some("bytes=2-4"), 10), Range::Part(2, 5));
        assert_eq!(parse_range(Some("bytes=2-"), 10), Range::Part(2, 10));
        assert_eq!(parse_range(Some("bytes=-3"), 10), Range::Part(7, 10));
        assert_eq!(parse_range(Some("bytes=-30"), 10), Range::Part(0, 10));
        assert_eq!(parse_range(Some("bytes=8-99"), 10), Range::Part(8, 10));
        assert_eq!(parse_range(Some("bytes=10-"), 10), Range::Unsatisfiable);
        assert_eq!(parse_range(Some("bytes=0-"), 0), Range::Unsatisfiable);
        assert_eq!(parse_range(Some("bytes=-0"), 10), Range::Unsatisfiable);
        assert_eq!(parse_range(Some("bytes=5-2"), 10), Range::Whole);
        assert_eq!(parse_range(Some("bytes=0-1,3-4"), 10), Range::Whole);
        assert_eq!(parse_range(Some("lines=0-1"), 10), Range::Whole);
    }
}
