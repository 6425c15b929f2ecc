//! From a profile to a drive.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::check::{auth_mode, find_provider, is_loopback};
use super::readonly::ReadOnly;
use super::validation::Validations;
use crate::config::{Settings, make_private_dir};
use crate::drive::{Drive, DriveContext, DriveError, ErrorKind, LoginContext, ProviderInfo};
use crate::net::{BreakerRecord, BreakerStore, Budget, ClassLimit, Clock};
use crate::profile::ProfileSpec;
use crate::vault::Vault;

/// What every drive of a process shares.
pub struct OpenDeps {
    /// The providers there are.
    pub registry: &'static [&'static ProviderInfo],
    /// `[risk]` and `[provider.KEY]` of these.
    pub settings: Settings,
    /// The data directory ([`crate::config::Paths::data`]).
    pub data: PathBuf,
    /// Secrets.
    pub vault: Arc<Vault>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Breaker records.
    pub breakers: Arc<dyn BreakerStore>,
    /// Request budgets of the accounts.
    pub budgets: Budgets,
    /// [`crate::config::Paths::instance`].
    pub instance: String,
}

/// One budget per account, shared by every profile of it that is open.
#[derive(Default)]
pub struct Budgets {
    open: Mutex<HashMap<String, Weak<Budget>>>,
}

impl Budgets {
    /// The budget of `account`; made with `limits` when nobody has it open.
    pub fn of(&self, account: &str, limits: &[ClassLimit]) -> Arc<Budget> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = open.get(account).and_then(Weak::upgrade) {
            return budget;
        }
        open.retain(|_, budget| budget.strong_count() > 0);
        let budget = Budget::new(limits);
        open.insert(account.to_owned(), Arc::downgrade(&budget));
        budget
    }
}

/// Breaker records in memory, for a process that does not live long.
#[derive(Default)]
pub struct MemoryBreakers(Mutex<HashMap<String, BreakerRecord>>);

impl BreakerStore for MemoryBreakers {
    fn load(&self, account: &str) -> Option<BreakerRecord> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.get(account).cloned()
    }

    fn save(&self, account: &str, record: Option<&BreakerRecord>) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match record {
            Some(record) => records.insert(account.to_owned(), record.clone()),
            None => records.remove(account),
        };
    }
}

/// Opens the drive of a profile. No request is sent. The secrets come from the vault, not from
/// `spec`.
///
/// # Errors
/// `Invalid` for an unknown provider or auth mode, `LocalDisk` when the provider's own directory
/// cannot be made, and the driver's (a missing field or address).
pub fn open(spec: &ProfileSpec, deps: &OpenDeps) -> Result<Arc<dyn Drive>, DriveError> {
    let (info, context) = context_of(spec, deps)?;
    let drive = (info.open)(context)?;
    if spec.settings.read_only || deps.settings.mount.read_only {
        return Ok(Arc::new(ReadOnly::new(drive)));
    }
    Ok(drive)
}

/// What a log-in flow of the profile works with. Its secrets are those of `spec`: the profile need
/// not be stored yet.
///
/// # Errors
/// As [`open`].
pub fn login_context(spec: &ProfileSpec, deps: &OpenDeps) -> Result<LoginContext, DriveError> {
    let (_, drive) = context_of(spec, deps)?;
    Ok(LoginContext {
        drive,
        secrets: spec.secrets.clone(),
    })
}

fn context_of(
    spec: &ProfileSpec,
    deps: &OpenDeps,
) -> Result<(&'static ProviderInfo, DriveContext), DriveError> {
    let settings = &spec.settings;
    let invalid = |problem: super::Problem| {
        let message = format!("profile {}: {}", spec.name, problem.message);
        DriveError::new(ErrorKind::Invalid, message)
    };
    let info = find_provider(deps.registry, &settings.provider).map_err(invalid)?;
    let mode = auth_mode(spec, info).map_err(invalid)?;
    let of_provider = deps.settings.providers.get(info.key);

    let mut fields: BTreeMap<String, String> = mode
        .fields
        .iter()
        .filter(|field| !field.secret)
        .filter_map(|field| Some((field.name.to_owned(), field.default?.to_owned())))
        .collect();
    for (name, value) in &settings.fields {
        if !value.trim().is_empty() {
            fields.insert(name.clone(), value.clone());
        }
    }

    let mut endpoints: BTreeMap<String, String> = info
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.name.to_owned(), trimmed(endpoint.url)))
        .collect();
    let mut overridden = Vec::new();
    let given = of_provider
        .map(|provider| &provider.endpoints)
        .into_iter()
        .flatten()
        .chain(&settings.endpoints);
    for (name, url) in given {
        endpoints.insert(name.clone(), trimmed(url));
        if !overridden.contains(name) {
            overridden.push(name.clone());
        }
    }

    let percent = of_provider
        .and_then(|provider| provider.rate_percent)
        .unwrap_or(deps.settings.risk.rate_percent);
    let account = account_of(spec, deps);
    let mut limits = slowed(mode.capabilities.limits, percent);
    if !endpoints.is_empty() && endpoints.values().all(|url| is_loopback(url)) {
        // A stand-in on this machine has no account that could be banned.
        limits.iter_mut().for_each(|limit| limit.per_second = 0.0);
    }
    let budget = deps.budgets.of(&account, &limits);

    let state_dir = deps.data.join("providers").join(info.key);
    make_private_dir(&state_dir)
        .map_err(|error| DriveError::new(ErrorKind::LocalDisk, error.to_string()))?;

    let context = DriveContext {
        profile: spec.name.clone(),
        auth_mode: mode.name.to_owned(),
        fields,
        endpoints,
        overridden,
        root: settings.root.clone(),
        credentials: deps.vault.credentials(&spec.name),
        clock: Arc::clone(&deps.clock),
        budget,
        breakers: Arc::clone(&deps.breakers),
        account,
        state_dir,
        instance: deps.instance.clone(),
    };
    Ok((info, context))
}

/// The record of an account that rests after a block, under the name it has by now or the one it
/// had before the provider told its id.
pub fn resting(spec: &ProfileSpec, deps: &OpenDeps) -> Option<BreakerRecord> {
    let unknown = format!("{}/profile:{}", spec.settings.provider, spec.name);
    [account_of(spec, deps), unknown]
        .iter()
        .filter_map(|account| deps.breakers.load(account))
        .filter(|record| deps.clock.now_ms() < record.until_ms)
        .max_by_key(|record| record.until_ms)
}

/// The account a profile belongs to: what the user calls it, else the id that the last
/// validation learned from the provider, else a name of the profile's own.
fn account_of(spec: &ProfileSpec, deps: &OpenDeps) -> String {
    let settings = &spec.settings;
    let learned = || {
        Validations::new(&deps.data)
            .latest(&spec.name)
            .filter(|record| record.provider == settings.provider)
            .and_then(|record| record.account)
    };
    let account = settings.account.clone().or_else(learned);
    match account {
        Some(account) => format!("{}/{account}", settings.provider),
        None => format!("{}/profile:{}", settings.provider, spec.name),
    }
}

fn slowed(limits: &[ClassLimit], percent: u32) -> Vec<ClassLimit> {
    limits
        .iter()
        .map(|limit| ClassLimit {
            per_second: limit.per_second * f64::from(percent) / 100.0,
            ..*limit
        })
        .collect()
}

fn trimmed(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::fake::REGISTRY;
    use super::*;
    use crate::config::ProviderSettings;
    use crate::drive::NodeId;
    use crate::net::{Secret, SystemClock};
    use crate::vault::KeySource;

    fn deps(data: &std::path::Path) -> OpenDeps {
        let source = KeySource::Environment(Secret::new("k".repeat(32)));
        OpenDeps {
            registry: REGISTRY,
            settings: Settings::default(),
            data: data.to_owned(),
            vault: Arc::new(Vault::open_with(data, &source).unwrap()),
            clock: Arc::new(SystemClock),
            breakers: Arc::new(MemoryBreakers::default()),
            budgets: Budgets::default(),
            instance: "01234567".to_owned(),
        }
    }

    fn spec(json: &str) -> ProfileSpec {
        ProfileSpec::from_json("a", "fake", json).unwrap()
    }

    /// The fake's `stat` tells what it was opened with.
    async fn told(drive: &Arc<dyn Drive>) -> String {
        drive.stat(&NodeId::new("x")).await.unwrap_err().message
    }

    #[tokio::test]
    async fn defaults_are_filled_in() {
        let home = tempfile::tempdir().unwrap();
        let mut deps = deps(home.path());
        deps.settings.providers.insert(
            "fake".to_owned(),
            ProviderSettings {
                endpoints: BTreeMap::from([
                    ("oss".to_owned(), "http://127.0.0.1:2/".to_owned()),
                    ("api".to_owned(), "http://127.0.0.1:3".to_owned()),
                ]),
                rate_percent: None,
            },
        );
        let drive = open(
            &spec(r#"{"fields":{"client_id":"c"},"endpoints":{"api":"http://127.0.0.1:1/v1/"},"account":"me"}"#),
            &deps,
        )
        .unwrap();
        assert_eq!(
            told(&drive).await,
            r#"a official_oauth {"client_id": "c", "drive_type": "default"} {"api": "http://127.0.0.1:1/v1", "oss": "http://127.0.0.1:2"} ["api", "oss"] fake/me"#
        );
        assert!(home.path().join("providers/fake").is_dir());
    }

    #[tokio::test]
    async fn a_read_only_profile_refuses_before_the_provider() {
        let home = tempfile::tempdir().unwrap();
        let deps = deps(home.path());
        let drive = open(&spec(r#"{"read_only":true,"root":"r9"}"#), &deps).unwrap();
        assert!(drive.capabilities().read_only);
        assert_eq!(drive.root(), NodeId::new("r9"));
        let error = drive.mkdir(&drive.root(), "x").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ReadOnly);
        assert!(drive.list(&drive.root(), None).await.is_ok());
        assert!(!open(&spec("{}"), &deps).unwrap().capabilities().read_only);
    }

    #[test]
    fn unknown_words_are_invalid() {
        let home = tempfile::tempdir().unwrap();
        let deps = deps(home.path());
        let mut unknown = spec("{}");
        unknown.settings.provider = "fkae".to_owned();
        assert_eq!(
            open(&unknown, &deps).err().unwrap().kind,
            ErrorKind::Invalid
        );
        let mode = spec(r#"{"auth_mode":"magic"}"#);
        assert_eq!(open(&mode, &deps).err().unwrap().kind, ErrorKind::Invalid);
    }

    #[test]
    fn profiles_of_one_account_share_a_budget() {
        let budgets = Budgets::default();
        let first = budgets.of("p/one", &[]);
        assert!(Arc::ptr_eq(&first, &budgets.of("p/one", &[])));
        assert!(!Arc::ptr_eq(&first, &budgets.of("p/two", &[])));
    }

    #[test]
    fn careful_settings_slow_the_rate_only() {
        let limits = [ClassLimit {
            class: "list",
            per_second: 4.0,
            burst: 2,
            concurrency: 3,
        }];
        let slow = slowed(&limits, 25);
        assert_eq!(slow[0].per_second, 1.0);
        assert_eq!((slow[0].burst, slow[0].concurrency), (2, 3));
    }
}
