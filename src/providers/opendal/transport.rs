//! Our wire as the HTTP transport of OpenDAL's services.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::Stream;
use opendal::raw::Operation;
use opendal::{Buffer, HttpBody, HttpTransport};

use super::failure::{self, into_opendal};
use super::wire::{Call, Wire};
use crate::drive::DriveError;
use crate::net::ByteStream;

/// The transport of a store, or of one of its listings.
pub(super) struct Transport {
    pub(super) wire: Wire,
    /// Ends a listing after a page.
    pub(super) gate: Option<Arc<Gate>>,
}

/// Lets requests through until it is closed.
#[derive(Default)]
pub(super) struct Gate(AtomicBool);

impl Gate {
    pub(super) fn close(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_closed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl HttpTransport for Transport {
    async fn fetch(
        &self,
        request: http::Request<Buffer>,
    ) -> opendal::Result<http::Response<HttpBody>> {
        if self.gate.as_ref().is_some_and(|gate| gate.is_closed()) {
            return Err(failure::page_end());
        }
        let (parts, body) = request.into_parts();
        let call = call_of(parts.extensions.get::<Operation>().copied());
        let (status, headers, body) = if call.op == Call::READ.op {
            let response = self.wire.open(call, &parts).await.map_err(into_opendal)?;
            let (status, headers) = (response.status, response.headers.clone());
            let stream = Pieces(Mutex::new(response.stream()));
            (status, headers, HttpBody::new(stream, None))
        } else {
            let body = body.to_bytes();
            let answer = self.wire.answer(call, &parts, &body).await;
            let answer = answer.map_err(into_opendal)?;
            let whole = [Ok(Buffer::from(answer.body))];
            let body = HttpBody::new(futures_util::stream::iter(whole), None);
            (answer.status, answer.headers, body)
        };
        let mut response = http::Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// What an operation is to us.
fn call_of(operation: Option<Operation>) -> Call {
    match operation {
        Some(Operation::List) => Call::LIST,
        Some(Operation::Read) => Call::READ,
        Some(Operation::Write) => Call::WRITE,
        Some(Operation::Copy) => Call::COPY,
        Some(Operation::Delete) => Call::DELETE,
        _ => Call::STAT,
    }
}

/// A body on its way to OpenDAL, which wants it shareable. Nobody shares it: the lock is never taken.
struct Pieces(Mutex<ByteStream>);

impl Stream for Pieces {
    type Item = opendal::Result<Buffer>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let stream = self.get_mut().0.get_mut();
        let stream = stream.unwrap_or_else(PoisonError::into_inner);
        stream.as_mut().poll_next(cx).map(|piece| {
            piece.map(|piece| {
                piece
                    .map(Buffer::from)
                    .map_err(|error| into_opendal(DriveError::from(error)))
            })
        })
    }
}
