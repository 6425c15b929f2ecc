//! Sends requests of one account.

use std::sync::Arc;

use reqwest::header::HeaderMap;

use super::{Breaker, Budget, Clock, NetError, Request, Response};

/// What a client is made of.
#[derive(Clone)]
pub struct ClientOptions {
    /// Sent with every request unless the request sets the same header.
    pub default_headers: HeaderMap,
    /// The account's budget.
    pub budget: Arc<Budget>,
    /// The account's breaker.
    pub breaker: Arc<Breaker>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
}

/// The HTTP client of one account. Cheap to clone.
#[derive(Clone)]
pub struct Client {}

impl Client {
    /// Builds a client.
    ///
    /// # Errors
    /// When the TLS set-up of this machine is broken.
    pub fn new(_options: ClientOptions) -> Result<Client, NetError> {
        todo!()
    }

    /// The account's breaker.
    pub fn breaker(&self) -> &Arc<Breaker> {
        todo!()
    }

    /// Wall time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        todo!()
    }

    /// Sends one request once (no retry) and returns any HTTP answer, whatever its status.
    ///
    /// `http://` goes to loopback addresses only; other `http://` addresses are asked by https.
    ///
    /// # Errors
    /// Only transport errors, deadlines, and `BreakerOpen`.
    pub async fn send(&self, _request: Request) -> Result<Response, NetError> {
        todo!()
    }
}
