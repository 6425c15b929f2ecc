//! The registry: one line per provider, one folder per driver, all with the same file names.

pub mod aliyundrive_open;
pub mod local;

use crate::drive::ProviderInfo;

/// Every provider, in the order people see them.
pub static REGISTRY: &[&ProviderInfo] = &[&aliyundrive_open::INFO, &local::INFO];

/// The provider with this key.
pub fn find(key: &str) -> Option<&'static ProviderInfo> {
    REGISTRY.iter().copied().find(|info| info.key == key)
}
