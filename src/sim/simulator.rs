//! What a provider's simulator implements, and what the kit gives it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use serde::Serialize;
use serde_json::Value;

use super::account::Account;
use super::clock::Clock;
use super::content::mix;
use super::digest::hex;
use super::inventory::Inventory;
use super::rate::Rates;

/// A profile ready for `profile add`.
#[derive(Clone, Serialize)]
pub struct SimProfile {
    /// Directory name in the mount.
    pub name: String,
    /// Provider key.
    pub provider: String,
    /// Name of the account behind it ([`Account::profile`]).
    pub account: String,
    /// Auth mode.
    pub auth_mode: String,
    /// `account` or `share`.
    pub kind: String,
    /// Non-secret fields.
    pub fields: BTreeMap<String, String>,
    /// Secrets (worth nothing outside this world).
    pub secrets: BTreeMap<String, String>,
    /// Base URLs by endpoint name.
    pub endpoints: BTreeMap<String, String>,
    /// Directory of the account that is mounted; `None` for the whole.
    pub root: Option<String>,
}

/// Makes ids and secrets: different at each call, the same in each world.
pub struct Ids {
    salt: u64,
    next: AtomicU64,
}

impl Ids {
    /// Ids of a provider.
    pub fn new(provider: &str) -> Ids {
        let salt = provider
            .bytes()
            .fold(0x51d5, |sum, byte| mix(sum ^ u64::from(byte)));
        Ids {
            salt,
            next: AtomicU64::new(1),
        }
    }

    /// 1, 2, 3 ...
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// So many lower-case hex digits.
    pub fn hex(&self, digits: usize) -> String {
        let number = self.number();
        let words = digits.div_ceil(16) as u64;
        let mut text: String = (0..words)
            .map(|word| hex(&mix(self.salt ^ mix(number) ^ (word << 56)).to_be_bytes()))
            .collect();
        text.truncate(digits);
        text
    }

    /// A decimal id of so many digits (at most 19), growing with each call.
    pub fn decimal(&self, digits: u32) -> String {
        let top = 10_u64.saturating_pow(digits.clamp(2, 19) - 1);
        (top.saturating_mul(3) + self.number() * 1009 + self.salt % 1009).to_string()
    }
}

/// What the kit gives a simulator.
pub struct Kit {
    /// Provider key.
    pub provider: &'static str,
    /// Base URL of its listener, `http://127.0.0.1:PORT`.
    pub base: String,
    /// The world's clock.
    pub clock: Clock,
    /// What the provider already has.
    pub inventory: Inventory,
    /// Its accounts, `number` 1 first.
    pub accounts: Vec<Arc<Account>>,
    /// An account that nobody logs in to: everything in its tree is shared by a link. Its
    /// meters, faults and knobs are those of the share. `None` where there are no shares.
    pub share: Option<Arc<Account>>,
    /// Rate buckets.
    pub rates: Rates,
    /// Ids and secrets.
    pub ids: Ids,
}

/// A provider's server.
pub trait Simulator: Send + Sync + 'static {
    /// The kit it was started with.
    fn kit(&self) -> &Kit;

    /// Its routes.
    fn router(self: Arc<Self>) -> Router;

    /// Base URL per endpoint name of the contract; may carry paths.
    fn endpoints(&self) -> BTreeMap<String, String>;

    /// Profiles for its accounts.
    fn profiles(&self) -> Vec<SimProfile>;

    /// An id for a new node, in the provider's form.
    fn new_id(&self, account: &Account, dir: bool) -> String;

    /// Called for each node that a test seeded: the place to add what the provider keeps
    /// beside it (pick code, claimed hash).
    fn seeded(&self, _account: &Account, _id: &str) {}

    /// Called for each directory that only had to be there for what a test seeds below it.
    fn implied(&self, account: &Account, id: &str) {
        self.seeded(account, id);
    }

    /// Upload sessions that are still open, so that tests see leftovers. Each an object with
    /// at least `id` and `name`.
    fn uploads(&self, _account: &Account) -> Vec<Value> {
        Vec::new()
    }

    /// Names of the settings tests may change ([`Account::knobs`]). One that ends with a
    /// colon stands for all that start with it (`false_gcid:/some/path`).
    fn knobs(&self) -> &'static [&'static str] {
        &[]
    }

    /// Called for each setting that a test changed: the place to act on it at once.
    ///
    /// # Errors
    /// The value makes no sense.
    fn changed(&self, _account: &Account, _key: &str, _value: &str) -> anyhow::Result<()> {
        Ok(())
    }

    /// The path to route instead of the one asked for (a gateway that merges slashes).
    fn rewrite(&self, _path: &str) -> Option<String> {
        None
    }
}

/// A line of the table of simulators.
pub struct SimulatorInfo {
    /// Provider key.
    pub key: &'static str,
    /// Short name, the profile name of account 1.
    pub short: &'static str,
    /// Root ids of an account's tree (account number from 1); paths start at the first.
    pub roots: fn(usize) -> Vec<String>,
    /// Whether the provider has shares that can be mounted: an account `SHORT-share` is made
    /// ([`Kit::share`]), numbered after the others.
    pub shares: bool,
    /// Starts one.
    pub start: fn(Kit) -> Arc<dyn Simulator>,
}
