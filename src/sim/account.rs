//! An account of a provider, and the gate every request of it passes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::body::{self, BodyFaults};
use super::faults::{FaultKind, Faults};
use super::meters::Meters;
use super::tree::{Node, Tree};
use super::wire::DropConnection;

/// Text settings that tests change (`vip`, part limits, ...).
#[derive(Default)]
pub struct Knobs(Mutex<BTreeMap<String, String>>);

impl Knobs {
    /// Sets one.
    pub fn set(&self, key: &str, value: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key.to_owned(), value.to_owned());
    }

    /// A text, when set.
    pub fn text(&self, key: &str) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Whether it is set to `true`, `1`, `on` or `yes`.
    pub fn flag(&self, key: &str) -> bool {
        self.text(key)
            .is_some_and(|text| matches!(text.as_str(), "true" | "1" | "on" | "yes"))
    }

    /// A number, or `default` when it is not set.
    pub fn number(&self, key: &str, default: u64) -> u64 {
        self.text(key)
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(default)
    }
}

/// One account: its tree, meters, faults and knobs.
pub struct Account {
    /// Profile name: the provider's short name, with `-2`, `-3` ... for further accounts.
    pub profile: String,
    /// Counts from 1.
    pub number: usize,
    /// What it was asked.
    pub meters: Meters,
    /// What goes wrong.
    pub faults: Faults,
    /// Settings.
    pub knobs: Knobs,
    tree: Mutex<Tree>,
}

impl Account {
    /// An account with a tree of its own.
    pub fn new(profile: String, number: usize, tree: Tree) -> Account {
        Account {
            profile,
            number,
            meters: Meters::default(),
            faults: Faults::default(),
            knobs: Knobs::default(),
            tree: Mutex::new(tree),
        }
    }

    /// The tree. Never hold it over an await.
    pub fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a listing of `parent` shows now, in order of insertion: live children, less
    /// those the fault `lag` hides (created within its milliseconds; asks it once).
    pub fn listed(&self, op: &str, parent: &str, now: i64) -> Vec<Node> {
        let hidden_since = self
            .faults
            .take_number(op, FaultKind::Lag, 20_000)
            .map_or(i64::MAX, |ms| {
                now.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX))
            });
        let tree = self.tree();
        tree.children(parent)
            .filter(|node| node.created < hidden_since)
            .cloned()
            .collect()
    }

    /// The gate of a call that answers a document: counts the request, applies the generic
    /// faults before and after `work`, also inside the answer's body. `errno` writes an
    /// error of the provider from a fault's argument.
    pub async fn serve(
        &self,
        op: &str,
        errno: impl FnOnce(&str) -> Response,
        work: impl Future<Output = Response>,
    ) -> Response {
        match self.before(op, errno).await {
            Some(refused) => refused,
            None => {
                let response = self.after(op, work.await);
                body::wrap(response, BodyFaults::take(self, op))
            }
        }
    }

    /// The gate of a call that moves content with [`super::send`] or [`super::receive`]:
    /// those apply the faults inside the body.
    pub async fn serve_transfer(
        &self,
        op: &str,
        errno: impl FnOnce(&str) -> Response,
        work: impl Future<Output = Response>,
    ) -> Response {
        match self.before(op, errno).await {
            Some(refused) => refused,
            None => self.after(op, work.await),
        }
    }

    async fn before(&self, op: &str, errno: impl FnOnce(&str) -> Response) -> Option<Response> {
        // Whoever sees the request counted may take the faults back: this one is taken already.
        let stall = self.faults.take_number(op, FaultKind::Stall, 3_600_000);
        self.meters.request(op);
        if let Some(ms) = stall {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        if let Some(arg) = self.faults.take(op, FaultKind::Status) {
            let (status, pause) = arg.split_once(',').unwrap_or((arg.as_str(), ""));
            let mut response = Response::new(Body::from("injected fault"));
            *response.status_mut() = StatusCode::from_bytes(status.trim().as_bytes())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if !pause.is_empty() {
                body::set(&mut response, "retry-after", pause.trim());
            }
            return Some(response);
        }
        if self.faults.take(op, FaultKind::Html).is_some() {
            let page = "<!DOCTYPE html><html><head><title>Access verification</title></head>\
                        <body>Please complete the verification to go on.</body></html>";
            let mut response = Response::new(Body::from(page));
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, html);
            return Some(response);
        }
        self.faults
            .take(op, FaultKind::Errno)
            .map(|arg| errno(&arg))
    }

    fn after(&self, op: &str, response: Response) -> Response {
        if self.faults.take(op, FaultKind::DropAnswer).is_some() {
            return dropped();
        }
        response
    }
}

/// The answer that is none: the server drops the connection.
pub fn dropped() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(DropConnection);
    response
}
