//! HTTP below gRPC: an answer that is no gRPC answer is told by its HTTP status.
//!
//! A proxy before the server, or the server's web part, answers 500, 502 or 429 with a page. The
//! codec would take the page for a broken message; what it means is in the status.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An answer with another status than 200, and without a gRPC message.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// How long it asks us to wait (`Retry-After` in seconds).
    pub wait: Option<Duration>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)
    }
}

impl std::error::Error for Refused {}

/// A connection whose answers are looked at before they are decoded.
#[derive(Clone, Debug)]
pub struct Checked<S>(pub S);

impl<S, In, Out> Service<Request<In>> for Checked<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Out>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Out>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(ready!(self.0.poll_ready(context)).map_err(Into::into))
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into)?;
            match refused(&answer) {
                Some(refused) => Err(refused.into()),
                None => Ok(answer),
            }
        })
    }
}

fn refused<B>(answer: &Response<B>) -> Option<Refused> {
    let text = |name| answer.headers().get(name)?.to_str().ok();
    let is_grpc =
        text(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/grpc"));
    if answer.status() == StatusCode::OK || is_grpc {
        return None;
    }
    let wait = text(header::RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok());
    Some(Refused {
        status: answer.status().as_u16(),
        wait: wait.map(Duration::from_secs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Response<()> {
        let builder = headers.iter().fold(
            Response::builder().status(status),
            |builder, (name, value)| builder.header(*name, *value),
        );
        builder.body(()).unwrap()
    }

    #[test]
    fn only_what_is_no_grpc_answer_is_refused() {
        let grpc = ("content-type", "application/grpc+proto");
        assert!(refused(&answer(200, &[grpc])).is_none());
        assert!(refused(&answer(503, &[grpc])).is_none());
        // A page with 200 is the codec's to notice.
        assert!(refused(&answer(200, &[("content-type", "text/html")])).is_none());
        let busy = refused(&answer(429, &[("retry-after", "7")])).unwrap();
        assert_eq!(
            (busy.status, busy.wait),
            (429, Some(Duration::from_secs(7)))
        );
        let odd = refused(&answer(502, &[("retry-after", "soon")])).unwrap();
        assert_eq!((odd.status, odd.wait), (502, None));
    }
}
