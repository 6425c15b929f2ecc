//! What a run of a command works with.

use std::sync::Arc;

use super::table::Paint;
use super::{CliError, Global};
use crate::config::{Config, LoadOptions, Paths, Settings, load};
use crate::drive::ProviderInfo;
use crate::net::SystemClock;
use crate::profile::{Budgets, MemoryBreakers, OpenDeps, Profiles};
use crate::vault::Vault;

/// Settings, places and registry of one run.
#[derive(Clone)]
pub struct Context {
    /// Checked settings.
    pub settings: Settings,
    /// Places; nothing is created yet.
    pub paths: Paths,
    /// The providers there are.
    pub registry: &'static [&'static ProviderInfo],
    /// Whether the answer is printed as JSON.
    pub json: bool,
    /// Colours for standard output.
    pub paint: Paint,
}

impl Context {
    /// Reads the settings.
    ///
    /// # Errors
    /// Exit code 2 with every mistake of the settings.
    pub fn new(global: &Global) -> Result<Context, CliError> {
        let Config { settings, paths } = load(&LoadOptions {
            config: global.config.clone(),
            state_dir: global.state_dir.clone(),
        })?;
        Ok(Context {
            settings,
            paths,
            registry: crate::providers::REGISTRY,
            json: global.json,
            paint: Paint::of_stdout(),
        })
    }

    /// The configured drives.
    ///
    /// # Errors
    /// Exit code 2 when a file says something that cannot be.
    pub fn profiles(&self) -> Result<Profiles, CliError> {
        Ok(Profiles::load(&self.settings, &self.paths)?)
    }

    /// The vault; made on first use.
    ///
    /// # Errors
    /// Exit code 2 for a key that cannot be used.
    pub fn vault(&self) -> Result<Arc<Vault>, CliError> {
        Ok(Arc::new(Vault::open(&self.paths)?))
    }

    /// What opening drives in this short-lived process takes. (A daemon brings a breaker store
    /// that lives on.)
    ///
    /// # Errors
    /// When the state directory cannot be written.
    pub fn open_deps(&self, vault: Arc<Vault>) -> Result<OpenDeps, CliError> {
        Ok(OpenDeps {
            registry: self.registry,
            settings: self.settings.clone(),
            data: self.paths.data.clone(),
            vault,
            clock: Arc::new(SystemClock),
            breakers: Arc::new(MemoryBreakers::default()),
            budgets: Budgets::default(),
            instance: self.paths.instance()?,
        })
    }
}
