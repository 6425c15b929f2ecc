//! What a run of a command works with.

use std::path::PathBuf;
use std::sync::Arc;

use super::table::Paint;
use super::{CliError, Global};
use crate::catalog::StoredBreakers;
use crate::config::{
    Config, ConfigError, ConfigProblem, LoadOptions, Origin, Paths, Settings, load,
};
use crate::drive::ProviderInfo;
use crate::net::SystemClock;
use crate::profile::{Budgets, OpenDeps, Profiles, check_addresses, find_provider};
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
        let registry = crate::providers::REGISTRY;
        check_provider_tables(&settings, &paths, registry)?;
        Ok(Context {
            settings,
            paths,
            registry,
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

    /// Where the catalog is.
    pub fn catalog_file(&self) -> PathBuf {
        self.paths.data.join("catalog.db")
    }

    /// What opening drives in this short-lived process takes. Accounts that rest after a block do
    /// so here, too: the records are those of the daemon.
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
            breakers: Arc::new(StoredBreakers::new(&self.catalog_file())),
            budgets: Budgets::default(),
            instance: self.paths.instance()?,
        })
    }
}

/// The settings know no providers; here the `[provider.KEY]` tables meet the registry.
fn check_provider_tables(
    settings: &Settings,
    paths: &Paths,
    registry: &[&'static ProviderInfo],
) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    for (key, table) in &settings.providers {
        let mut found = Vec::new();
        match find_provider(registry, key) {
            Ok(info) => check_addresses(&table.endpoints, info, &mut found),
            Err(problem) => found.push(problem),
        }
        problems.extend(found.into_iter().map(|problem| ConfigProblem {
            origin: Origin::File {
                file: paths.config_file.clone(),
                line: 0,
            },
            key: format!("provider.{key}"),
            message: format!("[provider.{key}]: {}; {}", problem.message, problem.hint),
        }));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigError { problems })
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::testing::context;
    use super::*;
    use crate::config::ProviderSettings;

    #[test]
    fn provider_tables_are_checked_against_the_registry() {
        let home = tempfile::tempdir().unwrap();
        let mut context = context(home.path());
        let told = |context: &Context| {
            check_provider_tables(&context.settings, &context.paths, context.registry)
                .map_err(|error| error.to_string())
        };
        let mut table = ProviderSettings::default();
        table
            .endpoints
            .insert("api".into(), "http://127.0.0.1:1".into());
        context
            .settings
            .providers
            .insert("fake".into(), table.clone());
        assert_eq!(told(&context), Ok(()));
        table
            .endpoints
            .insert("apl".into(), "http://elsewhere".into());
        context
            .settings
            .providers
            .insert("fake".into(), table.clone());
        context.settings.providers.insert("fakee".into(), table);
        let error = told(&context).unwrap_err();
        assert_eq!(error.lines().count(), 3, "{error}");
        assert!(error.contains("[provider.fakee]: unknown provider `fakee`; did you mean `fake`?"));
    }
}
