//! Calls of an account: the token, one renewal of it, repeating what may be repeated.

use std::sync::Arc;

use prost::Message;
use tonic::Streaming;

use super::auth::Bearer;
use super::error::of_text;
use super::message::FileOperationResult;
use super::wire::{Call, Wire};
use crate::drive::{AccountEffect, DriveContext, DriveError, Result, patience};
use crate::net::{Permit, Secret, retry};

/// The account's calls.
pub struct Api {
    pub wire: Arc<Wire>,
    pub bearer: Bearer,
}

impl Api {
    /// # Errors
    /// `Invalid` for an address that cannot be used.
    pub fn new(context: &DriveContext) -> Result<Api> {
        let wire = Arc::new(Wire::new(context)?);
        let bearer = Bearer::new(context, wire.clone());
        Ok(Api { wire, bearer })
    }

    /// One call, repeated where its outcome allows it.
    ///
    /// # Errors
    /// The last one.
    pub async fn call<Q, A>(&self, call: &Call, message: Q) -> Result<A>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        retry(patience(), || self.once(call, message.clone())).await
    }

    /// One call, sent once (twice when the first token was refused).
    ///
    /// # Errors
    /// What the status means.
    pub async fn once<Q, A>(&self, call: &Call, message: Q) -> Result<A>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let token = self.bearer.token().await?;
        match self.wire.unary(call, Some(&token), message.clone()).await {
            Err(error) if error.account == AccountEffect::Refresh => {
                let token = self.renewed(&token, error).await?;
                self.wire.unary(call, Some(&token), message).await
            }
            answer => answer,
        }
    }

    /// Opens a stream of messages.
    ///
    /// # Errors
    /// What the status means.
    pub async fn stream<Q, A>(&self, call: &Call, message: Q) -> Result<(Streaming<A>, Permit)>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let token = self.bearer.token().await?;
        match self.wire.stream(call, Some(&token), message.clone()).await {
            Err(error) if error.account == AccountEffect::Refresh => {
                let token = self.renewed(&token, error).await?;
                self.wire.stream(call, Some(&token), message).await
            }
            answer => answer,
        }
    }

    async fn renewed(&self, stale: &Secret, refused: DriveError) -> Result<Secret> {
        tracing::debug!(error = %refused, "the token is refused");
        self.bearer.renew(stale).await
    }

    /// Wall time, milliseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.wire.client.clock().now_ms()
    }
}

/// The paths of a change that went well.
///
/// # Errors
/// What the text of a refusal means: the call itself was a success then (sheet section 3).
pub fn done(op: &str, result: FileOperationResult) -> Result<Vec<String>> {
    if result.success {
        Ok(result.result_file_paths)
    } else {
        Err(of_text(op, &result.error_message))
    }
}
