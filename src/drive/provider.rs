//! A provider as data, and what its driver is given to open a drive.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::{Capabilities, Drive, DriveError, Login};
use crate::net::{BreakerStore, Budget, Clock, CredentialStore};

/// A field of an auth mode.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FieldInfo {
    /// Name.
    pub name: &'static str,
    /// Whether a profile is not ready without it.
    pub required: bool,
    /// Whether it is a secret (sealed, never shown).
    pub secret: bool,
    /// The value when it is left out.
    pub default: Option<&'static str>,
    /// What it is and where to get it.
    pub help: &'static str,
}

/// A way to log in.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AuthMode {
    /// `official_oauth`, `manual_cookie`, `manual_token`, `web_login_capture`, `share`, `none`, ...
    pub name: &'static str,
    /// `account` or `share`.
    pub kind: &'static str,
    /// What a user fills in.
    pub fields: &'static [FieldInfo],
    /// What a drive opened this way can do.
    #[serde(skip)]
    pub capabilities: &'static Capabilities,
}

/// A base URL of the provider that a profile may override.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EndpointInfo {
    /// Name (`api`, `oss`, ...).
    pub name: &'static str,
    /// Default base URL, empty when it has none.
    pub url: &'static str,
}

/// How well a provider is proven (DESIGN 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not built yet.
    Planned,
    /// The conformance suite passes against the simulator.
    SimulatorVerified,
}

/// One line of the registry.
pub struct ProviderInfo {
    /// Key, as in a profile's `provider`.
    pub key: &'static str,
    /// Name for people.
    pub display_name: &'static str,
    /// Ways to log in.
    pub auth_modes: &'static [AuthMode],
    /// Base URLs.
    pub endpoints: &'static [EndpointInfo],
    /// How well it is proven.
    pub status: Status,
    /// Log-in flows, for a provider that has some.
    pub login: Option<&'static dyn Login>,
    /// Opens a drive. No request is sent.
    pub open: fn(DriveContext) -> Result<Arc<dyn Drive>, DriveError>,
}

impl ProviderInfo {
    /// What its drives can do when they are opened in the first auth mode, the usual one.
    pub fn capabilities(&self) -> &'static Capabilities {
        /// Of a provider that cannot be opened at all.
        static NOTHING: Capabilities = Capabilities::NOTHING;
        self.auth_modes
            .first()
            .map_or(&NOTHING, |mode| mode.capabilities)
    }
}

/// What a driver is given to open a drive.
#[derive(Clone)]
pub struct DriveContext {
    /// Name of the profile, for logs.
    pub profile: String,
    /// The chosen auth mode.
    pub auth_mode: String,
    /// Non-secret fields; defaults are filled in already.
    pub fields: BTreeMap<String, String>,
    /// Base URL per endpoint name, without a trailing slash; defaults are filled in already.
    pub endpoints: BTreeMap<String, String>,
    /// Endpoint names the profile overrides.
    pub overridden: Vec<String>,
    /// Id of the directory to mount, when the profile names one.
    pub root: Option<String>,
    /// Secrets.
    pub credentials: Arc<dyn CredentialStore>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// The account's budget.
    pub budget: Arc<Budget>,
    /// Breaker records.
    pub breakers: Arc<dyn BreakerStore>,
    /// Name of the account for the breaker and the budget (profiles of one account share it).
    pub account: String,
    /// A directory of the provider's own for small durable state (`local`: content index).
    pub state_dir: PathBuf,
    /// A short id of this panfuse instance, part of temporary names.
    pub instance: String,
}

impl DriveContext {
    /// A base URL by endpoint name.
    ///
    /// # Errors
    /// `Invalid` when the registry names no such endpoint.
    pub fn endpoint(&self, name: &str) -> Result<&str, DriveError> {
        self.endpoints
            .get(name)
            .map(String::as_str)
            .filter(|url| !url.is_empty())
            .ok_or_else(|| {
                DriveError::new(
                    super::ErrorKind::Invalid,
                    format!(
                        "profile {}: no address for endpoint {name}; set endpoints.{name}",
                        self.profile
                    ),
                )
            })
    }

    /// A field that may be empty.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}
