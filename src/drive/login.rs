//! Log-in flows: how a user gets tokens without leaving the command line. A provider that has one
//! gives it in its line of the registry ([`super::ProviderInfo::login`]); nobody else knows how.

use std::time::Duration;

use async_trait::async_trait;

use super::{DriveContext, Result};
use crate::net::{Credentials, Secret};

/// What a flow works with: the profile as it will be opened, and its secrets so far.
pub struct LoginContext {
    /// Fields, addresses, budget. Its credential store is not written by a flow.
    pub drive: DriveContext,
    /// The secrets the user gave (`client_secret`).
    pub secrets: Credentials,
}

impl LoginContext {
    /// A secret that is there and not empty.
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name).filter(|secret| !secret.is_empty())
    }
}

/// The page of a browser log-in.
pub struct LoginPage {
    /// Where the user agrees; it shows a code then.
    pub url: String,
    /// What the exchange of that code needs (a verifier); may be empty.
    pub private: Secret,
}

/// A log-in that the user confirms on another device.
pub struct DeviceLogin {
    /// Page where the user types the code.
    pub page: Option<String>,
    /// The code to type there.
    pub user_code: Option<String>,
    /// A QR picture to scan.
    pub qr: Option<Qr>,
    /// How long it may take.
    pub expires_in: Duration,
    /// Pause between two polls.
    pub interval: Duration,
    /// What stands for it at the provider. Worth a log-in: never shown.
    pub private: Secret,
}

/// A QR picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Qr {
    /// Its address.
    Picture(String),
    /// The text to make one of.
    Text(String),
}

/// What a poll brought.
#[derive(Debug)]
pub enum DevicePoll {
    /// The user has not answered yet.
    Pending,
    /// The same, and the provider wants longer pauses.
    SlowDown,
    /// Done: the new secrets by field name.
    Granted(Credentials),
    /// The user refused.
    Denied,
    /// It took too long.
    Expired,
}

/// The flows of a provider.
///
/// Every method is one or two requests with deadlines; waiting is the caller's. Nothing is stored
/// here.
#[async_trait]
pub trait Login: Send + Sync {
    /// The auth mode whose profiles it fills.
    fn auth_mode(&self) -> &'static str;

    /// Fields it brings: a profile need not have them before.
    fn brings(&self) -> &'static [&'static str];

    /// Whether it has the flow with a browser on any machine and a code to paste.
    fn has_page(&self) -> bool;

    /// Whether it has the flow with a second device.
    fn has_device(&self) -> bool;

    /// The page to open. No request is sent.
    ///
    /// # Errors
    /// `Invalid` when the profile lacks something.
    fn page(&self, context: &LoginContext) -> Result<LoginPage>;

    /// Exchanges the code that the page showed. Codes are single-use: never repeated.
    ///
    /// # Errors
    /// `Auth` when the provider refuses the code or the app.
    async fn exchange(
        &self,
        context: &LoginContext,
        page: &LoginPage,
        code: &Secret,
    ) -> Result<Credentials>;

    /// Begins a log-in on another device.
    ///
    /// # Errors
    /// `Auth` when the provider refuses the app.
    async fn begin(&self, context: &LoginContext) -> Result<DeviceLogin>;

    /// Asks whether the user has answered.
    ///
    /// # Errors
    /// `Auth` when the provider wants no more polls; others may be tried again.
    async fn poll(&self, context: &LoginContext, device: &DeviceLogin) -> Result<DevicePoll>;
}
