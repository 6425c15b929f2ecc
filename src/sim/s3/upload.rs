//! PUT of objects, and how bodies arrive (public S3 API reference, PutObject).

use axum::body::Body;
use axum::response::Response;

use super::super::body::{ReceiveError, receive, set};
use super::super::content::Blob;
use super::super::faults::FaultKind;
use super::auth::Payload;
use super::checksums::Claims;
use super::conditions::WriteConditions;
use super::errors::S3Error;
use super::gate::{Answer, Ctx};
use super::metadata::Kept;
use super::store::{Etag, New, Object};

/// Bytes of one PUT, and of one part, at most.
pub(super) const LARGEST_PUT: u64 = 5 << 30;

/// What is known of an upload before its body comes.
pub(super) struct Plan {
    payload: Payload,
    claims: Claims,
    conditions: WriteConditions,
    kept: Kept,
    length: u64,
}

impl Ctx {
    /// Length of the body that is coming: it must be said.
    pub(super) fn length(&self) -> Result<u64, S3Error> {
        let length = self.headers.get("content-length");
        let length = length.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        let chunked = self.headers.contains_key("transfer-encoding");
        let length = length.filter(|_| !chunked).ok_or_else(|| {
            let text = "You must provide the Content-Length HTTP header.";
            S3Error::new(411, "MissingContentLength", text)
        })?;
        if length > LARGEST_PUT {
            let text = "Your proposed upload exceeds the maximum allowed size";
            return Err(S3Error::new(400, "EntityTooLarge", text)
                .detail("ProposedSize", &length.to_string())
                .detail("MaxSizeAllowed", &LARGEST_PUT.to_string()));
        }
        Ok(length)
    }

    /// What can be said of a PUT before its body comes.
    pub(super) async fn plan_put(&self, payload: Payload) -> Result<Plan, S3Error> {
        let plan = Plan {
            payload,
            length: self.length()?,
            claims: Claims::read(&self.headers)?,
            conditions: WriteConditions::read(self)?,
            kept: Kept::read(&self.headers)?,
        };
        let there = self.sim.object(&self.account, &self.key);
        plan.conditions
            .check(self, &self.key, there.as_ref())
            .await?;
        self.sim.may_write(&self.account, &self.key, plan.length)?;
        Ok(plan)
    }

    /// Takes a body in and compares it with what was said of it.
    pub(super) async fn take_in(
        &self,
        body: Body,
        length: u64,
        payload: &Payload,
        claims: &Claims,
    ) -> Result<Blob, S3Error> {
        let blob = match receive(&self.account, self.op, body, length).await {
            Ok(blob) if blob.size() == length => blob,
            Ok(_) => {
                let text = "You did not provide the number of bytes specified by the \
                            Content-Length HTTP header";
                return Err(S3Error::new(400, "IncompleteBody", text));
            }
            Err(ReceiveError::Broken | ReceiveError::TooLong) => return Err(S3Error::dropped()),
        };
        self.check_payload(&blob, payload).await?;
        claims.check(&blob).await?;
        Ok(blob)
    }

    /// Keeps an object once its conditions hold, however others write meanwhile. `upload` is the
    /// upload that ends with it.
    pub(super) async fn keep(
        &self,
        conditions: &WriteConditions,
        upload: Option<&str>,
        new: impl Fn() -> New,
    ) -> Result<Object, S3Error> {
        loop {
            let there = self.sim.object(&self.account, &self.key);
            conditions.check(self, &self.key, there.as_ref()).await?;
            let kept =
                self.sim
                    .try_write(&self.account, &self.key, there.as_ref(), upload, new())?;
            if let Some(object) = kept {
                return Ok(object);
            }
        }
    }

    /// The fault `commit_fail`: everything arrived and nothing is kept.
    pub(super) fn check_commit(&self) -> Result<(), S3Error> {
        match self.account.faults.take(self.op, FaultKind::CommitFail) {
            Some(arg) => Err(S3Error::injected(&arg)),
            None => Ok(()),
        }
    }

    /// PUT.
    pub(super) async fn put(&self, plan: Plan, body: Body) -> Answer {
        let taken = self.take_in(body, plan.length, &plan.payload, &plan.claims);
        let blob = taken.await?;
        self.check_commit()?;
        let modified = self.now();
        let object = self
            .keep(&plan.conditions, None, || New {
                blob: blob.clone(),
                etag: Etag::Md5,
                kept: plan.kept.clone(),
                checksum: plan.claims.checksum.clone(),
                modified,
            })
            .await?;
        let mut response = Response::default();
        set(&mut response, "etag", &object.quoted(&self.account).await);
        if let Some((algorithm, value)) = &object.checksum {
            set(&mut response, algorithm.header(), value);
            set(&mut response, "x-amz-checksum-type", "FULL_OBJECT");
        }
        Ok(response)
    }
}
