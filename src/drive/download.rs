//! Ranged GETs, and what every driver does with a listed hash.

use std::ops::Range;

use futures_util::StreamExt;
use reqwest::header::HeaderMap;

use super::{ByteStream, DriveContext, DriveError, ErrorKind, Result};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin, normalise};
use crate::net::{
    Breaker, Client, ClientOptions, Deadlines, Priority, Request, Response, RetryPolicy,
    current_priority,
};

/// The answer to a ranged GET.
#[allow(
    clippy::large_enum_variant,
    reason = "one lives for the length of a call"
)]
pub enum Ranged {
    /// Exactly the bytes asked for.
    Body(ByteStream),
    /// Another status than 200 or 206; what it means is the driver's business.
    Refused(Response),
}

/// Asks for `range` (half-open, not empty) of what `request` addresses and makes sure that the
/// answer is that range: a server that ignores `Range` must not put the head of a file where
/// its middle belongs.
///
/// # Errors
/// Transport errors; `BadAnswer` for the wrong range.
pub async fn get_range(client: &Client, request: Request, range: &Range<u64>) -> Result<Ranged> {
    let request = request.deadlines(Deadlines::DATA).range(range);
    let response = client.send(request).await?;
    let length = range.end.saturating_sub(range.start);
    match response.status.as_u16() {
        206 => {
            let start = response
                .header("content-range")
                .and_then(|text| text.trim().strip_prefix("bytes "))
                .and_then(|text| text.split('-').next()?.trim().parse::<u64>().ok());
            if start.is_some_and(|start| start != range.start) {
                return Err(DriveError::bad_answer(
                    "download",
                    "another range than asked for",
                ));
            }
        }
        200 if range.start == 0 => {}
        200 => {
            return Err(DriveError::bad_answer(
                "download",
                "the server ignores ranges",
            ));
        }
        _ => return Ok(Ranged::Refused(response)),
    }
    let declared = response
        .header("content-length")
        .and_then(|n| n.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared < length) {
        return Err(DriveError::new(
            ErrorKind::Changed,
            format!("download: {declared:?} bytes where {length} were expected"),
        ));
    }
    let mut left = length;
    let stream = response.stream().map(move |piece| {
        let mut piece = piece?;
        if piece.len() as u64 > left {
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        left -= piece.len() as u64;
        Ok(piece)
    });
    Ok(Ranged::Body(Box::pin(stream)))
}

/// The HTTP client of a drive's account.
///
/// # Errors
/// When TLS cannot be set up.
pub fn open_client(context: &DriveContext, default_headers: HeaderMap) -> Result<Client> {
    Ok(Client::new(ClientOptions {
        default_headers,
        budget: context.budget.clone(),
        breaker: Breaker::new(
            &context.account,
            context.breakers.clone(),
            context.clock.clone(),
        ),
        clock: context.clock.clone(),
    })?)
}

/// How patient the running task is: short for somebody at a prompt, long for transfers.
pub fn patience() -> RetryPolicy {
    if current_priority() == Priority::Interactive {
        RetryPolicy::INTERACTIVE
    } else {
        RetryPolicy::TRANSFER
    }
}

/// Notes a hash that a provider listed, when it is one.
pub fn listed(
    into: &mut Fingerprints,
    kind: Kind,
    text: &str,
    origin: Origin,
    provider: &'static str,
) {
    if let Some(value) = normalise(kind, text) {
        into.learn(
            kind,
            Known {
                value: value.into(),
                origin,
                provider: provider.into(),
                at: 0,
            },
        );
    }
}
