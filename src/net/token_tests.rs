//! Tests of the token keeper.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use super::*;
use crate::net::ManualClock;
use tokio::sync::{Notify, OwnedMutexGuard};

#[derive(Clone, Debug, PartialEq)]
enum Fault {
    Spent,
    Offline,
    Store(String),
}

/// A store whose writes can be made to fail, with a lock like the real one.
#[derive(Default)]
struct Memory {
    fields: Mutex<Credentials>,
    lock: Arc<tokio::sync::Mutex<()>>,
    full: AtomicBool,
    saves: AtomicU32,
}

struct Guard(#[allow(dead_code)] OwnedMutexGuard<()>);

#[async_trait]
impl CredentialStore for Memory {
    async fn load(&self) -> Result<Credentials, StoreError> {
        Ok(self.fields.lock().unwrap().clone())
    }

    async fn save(&self, changed: Credentials) -> Result<(), StoreError> {
        if self.full.load(SeqCst) {
            return Err(StoreError("disk full".into()));
        }
        self.saves.fetch_add(1, SeqCst);
        let mut fields = self.fields.lock().unwrap();
        for (name, value) in changed {
            if value.is_empty() {
                fields.remove(&name);
            } else {
                fields.insert(name, value);
            }
        }
        Ok(())
    }

    async fn lock(&self) -> Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(Guard(self.lock.clone().lock_owned().await)))
    }
}

impl Memory {
    fn with(fields: &[(&str, &str)]) -> Arc<Self> {
        let store = Memory::default();
        store.put(fields);
        Arc::new(store)
    }

    fn put(&self, fields: &[(&str, &str)]) {
        let mut all = self.fields.lock().unwrap();
        for (name, value) in fields {
            all.insert((*name).to_owned(), Secret::new(*value));
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        let all = self.fields.lock().unwrap();
        all.get(name).map(|value| value.expose().to_owned())
    }
}

/// A provider with single-use refresh tokens `r0`, `r1`, ...: using one twice is a scandal.
struct Provider {
    calls: AtomicU32,
    current: AtomicU32,
    offline: AtomicBool,
    life: Mutex<u64>,
    /// When set, an exchange waits for it after the old token is spent.
    gate: Mutex<Option<Arc<Notify>>>,
    entered: Notify,
    reused: AtomicBool,
    seen: Mutex<Vec<Option<String>>>,
}

impl Provider {
    fn new(life: u64) -> Arc<Self> {
        Arc::new(Provider {
            calls: AtomicU32::new(0),
            current: AtomicU32::new(0),
            offline: AtomicBool::new(false),
            life: Mutex::new(life),
            gate: Mutex::default(),
            entered: Notify::new(),
            reused: AtomicBool::new(false),
            seen: Mutex::default(),
        })
    }

    fn calls(&self) -> u32 {
        self.calls.load(SeqCst)
    }
}

#[async_trait]
impl Refresher<Fault> for Provider {
    async fn refresh(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<FreshTokens, Fault>, Fault> {
        self.calls.fetch_add(1, SeqCst);
        let sent = credentials.get(REFRESH).map(|t| t.expose().to_owned());
        {
            let mut seen = self.seen.lock().unwrap();
            if seen.contains(&sent) && !self.offline.load(SeqCst) {
                self.reused.store(true, SeqCst);
            }
            if !self.offline.load(SeqCst) {
                seen.push(sent.clone());
            }
        }
        if self.offline.load(SeqCst) {
            return Err(Fault::Offline);
        }
        let current = self.current.load(SeqCst);
        let by_password = sent.is_none() && credentials.contains_key("password");
        if sent != Some(format!("r{current}")) && !by_password {
            return Ok(Err(Fault::Spent));
        }
        self.current.store(current + 1, SeqCst);
        let gate = self.gate.lock().unwrap().clone();
        self.entered.notify_one();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        Ok(Ok(FreshTokens {
            access: Secret::new(format!("a{}", current + 1)),
            refresh: Some(Secret::new(format!("r{}", current + 1))),
            expires_in: *self.life.lock().unwrap(),
        }))
    }

    fn store_error(&self, error: StoreError) -> Fault {
        Fault::Store(error.0)
    }
}

fn keeper(store: &Arc<Memory>, provider: &Arc<Provider>) -> (TokenKeeper<Fault>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let keeper = TokenKeeper::new(store.clone(), clock.clone(), provider.clone());
    (keeper, clock)
}

async fn access(keeper: &TokenKeeper<Fault>) -> Result<String, Fault> {
    keeper.access().await.map(|token| token.expose().to_owned())
}

async fn renew(keeper: &TokenKeeper<Fault>, stale: &str) -> Result<String, Fault> {
    let token = keeper.renew(&Secret::new(stale)).await;
    token.map(|token| token.expose().to_owned())
}

#[tokio::test]
async fn many_callers_one_refresh() {
    let store = Memory::with(&[(REFRESH, "r0")]);
    let provider = Provider::new(7200);
    let (keeper, _) = keeper(&store, &provider);
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let keeper = keeper.clone();
            tokio::spawn(async move { access(&keeper).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), "a1");
    }
    assert_eq!(provider.calls(), 1);
    assert_eq!(store.get(ACCESS).unwrap(), "a1");
    assert_eq!(store.get(REFRESH).unwrap(), "r1");
    assert!(store.get(EXPIRES).unwrap().parse::<i64>().unwrap() > 0);
}

#[tokio::test]
async fn a_stored_token_is_used_without_asking() {
    let store = Memory::with(&[(REFRESH, "r0"), (ACCESS, "a0")]);
    let provider = Provider::new(7200);
    let (keeper, clock) = keeper(&store, &provider);
    assert_eq!(access(&keeper).await.unwrap(), "a0");
    // No expiry is known: used until it is refused, however long.
    clock.advance_ms(1_000_000_000);
    assert_eq!(access(&keeper).await.unwrap(), "a0");
    assert_eq!(provider.calls(), 0);
    assert_eq!(renew(&keeper, "a0").await.unwrap(), "a1");
    assert_eq!(renew(&keeper, "a0").await.unwrap(), "a1");
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn refreshed_a_minute_ahead_or_at_half_life() {
    for (life, before, after) in [(7200, 7_100_000, 50_000), (40, 15_000, 10_000)] {
        let store = Memory::with(&[(REFRESH, "r0")]);
        let provider = Provider::new(life);
        let (keeper, clock) = keeper(&store, &provider);
        assert_eq!(access(&keeper).await.unwrap(), "a1");
        clock.advance_ms(before);
        assert_eq!(access(&keeper).await.unwrap(), "a1");
        clock.advance_ms(after);
        assert_eq!(access(&keeper).await.unwrap(), "a2");
    }
}

#[tokio::test]
async fn a_failed_refresh_leaves_the_old_token_while_it_lives() {
    let store = Memory::with(&[(REFRESH, "r0")]);
    let provider = Provider::new(7200);
    let (keeper, clock) = keeper(&store, &provider);
    assert_eq!(access(&keeper).await.unwrap(), "a1");
    provider.offline.store(true, SeqCst);
    clock.advance_ms(7_150_000);
    for _ in 0..5 {
        assert_eq!(access(&keeper).await.unwrap(), "a1");
    }
    assert_eq!(provider.calls(), 2, "one try, then a pause");
    // The refused token is not handed out again as an answer to its refusal.
    assert_eq!(renew(&keeper, "a1").await, Err(Fault::Offline));
    clock.advance_ms(60_000);
    assert_eq!(access(&keeper).await, Err(Fault::Offline));
    provider.offline.store(false, SeqCst);
    assert_eq!(access(&keeper).await.unwrap(), "a2");
    assert!(!provider.reused.load(SeqCst));
}

#[tokio::test]
async fn a_spent_token_is_dropped_and_never_sent_again() {
    let store = Memory::with(&[(REFRESH, "r0")]);
    let provider = Provider::new(7200);
    let (keeper, clock) = keeper(&store, &provider);
    assert_eq!(access(&keeper).await.unwrap(), "a1");
    provider.current.store(77, SeqCst); // r1 was used by somebody else
    clock.advance_ms(7_150_000);
    assert_eq!(access(&keeper).await.unwrap(), "a1");
    assert_eq!(provider.calls(), 2);
    assert_eq!(store.get(REFRESH), None);
    assert_eq!(store.get(ACCESS).unwrap(), "a1");
    clock.advance_ms(15_000);
    assert_eq!(access(&keeper).await.unwrap(), "a1");
    clock.advance_ms(60_000);
    assert_eq!(access(&keeper).await, Err(Fault::Spent));
    assert_eq!(renew(&keeper, "a1").await, Err(Fault::Spent));
    // It comes back from a backup: still known.
    store.put(&[(REFRESH, "r1")]);
    assert_eq!(access(&keeper).await, Err(Fault::Spent));
    assert_eq!(provider.calls(), 2);
    // The user logs in again.
    store.put(&[(REFRESH, "r77")]);
    assert_eq!(access(&keeper).await.unwrap(), "a78");
    assert!(!provider.reused.load(SeqCst));
}

#[tokio::test]
async fn a_spent_token_that_cannot_be_removed_is_not_sent_again() {
    let store = Memory::with(&[(REFRESH, "old"), ("password", "p")]);
    let provider = Provider::new(7200);
    let (keeper, _) = keeper(&store, &provider);
    store.full.store(true, SeqCst);
    assert_eq!(access(&keeper).await, Err(Fault::Spent));
    assert_eq!(store.get(REFRESH).unwrap(), "old");
    store.full.store(false, SeqCst);
    // The password is another way in; the spent token does not go along.
    assert_eq!(access(&keeper).await.unwrap(), "a1");
    assert!(!provider.reused.load(SeqCst));
    assert_eq!(store.get(REFRESH).unwrap(), "r1");
}

#[tokio::test]
async fn a_refused_password_is_not_tried_again() {
    let store = Memory::with(&[("username", "u")]);
    let provider = Provider::new(7200);
    let (keeper, _) = keeper(&store, &provider);
    for _ in 0..3 {
        assert_eq!(access(&keeper).await, Err(Fault::Spent));
    }
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn nothing_stored_is_told_without_asking() {
    let store = Memory::with(&[]);
    let provider = Provider::new(7200);
    let (keeper, _) = keeper(&store, &provider);
    assert!(matches!(access(&keeper).await, Err(Fault::Store(_))));
    assert_eq!(provider.calls(), 0);
}

#[tokio::test]
async fn saved_before_it_is_used() {
    let store = Memory::with(&[(REFRESH, "r0")]);
    let provider = Provider::new(7200);
    let (keeper, _) = keeper(&store, &provider);
    store.full.store(true, SeqCst);
    assert_eq!(access(&keeper).await, Err(Fault::Store("disk full".into())));
    assert_eq!(access(&keeper).await, Err(Fault::Store("disk full".into())));
    assert_eq!(provider.calls(), 1, "the pair waits in memory");
    store.full.store(false, SeqCst);
    assert_eq!(access(&keeper).await.unwrap(), "a1");
    assert_eq!(store.get(REFRESH).unwrap(), "r1");
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_loses_nothing() {
    let store = Memory::with(&[(REFRESH, "r0")]);
    let provider = Provider::new(7200);
    let gate = Arc::new(Notify::new());
    *provider.gate.lock().unwrap() = Some(gate.clone());
    let (keeper, _) = keeper(&store, &provider);
    let caller = tokio::spawn({
        let keeper = keeper.clone();
        async move { access(&keeper).await }
    });
    provider.entered.notified().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(store.get(REFRESH).unwrap(), "r0");
    gate.notify_one();
    keeper.settle().await;
    assert_eq!(store.get(REFRESH).unwrap(), "r1");
    assert_eq!(access(&keeper).await.unwrap(), "a1");
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn another_process_was_faster() {
    let store = Memory::with(&[(REFRESH, "r0")]);
    let provider = Provider::new(7200);
    let (first, _) = keeper(&store, &provider);
    let (second, _) = keeper(&store, &provider);
    let (one, two) = tokio::join!(access(&first), access(&second));
    assert_eq!((one.unwrap(), two.unwrap()), ("a1".into(), "a1".into()));
    assert_eq!(provider.calls(), 1);
    // Both are told that it is refused; the one that comes second takes the other's.
    let (one, two) = tokio::join!(renew(&first, "a1"), renew(&second, "a1"));
    assert_eq!((one.unwrap(), two.unwrap()), ("a2".into(), "a2".into()));
    assert_eq!(provider.calls(), 2);
    assert!(!provider.reused.load(SeqCst));
}

#[tokio::test]
async fn waiters_share_a_failure() {
    let store = Memory::with(&[(REFRESH, "r0")]);
    let provider = Provider::new(7200);
    provider.offline.store(true, SeqCst);
    let (keeper, _) = keeper(&store, &provider);
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let keeper = keeper.clone();
            tokio::spawn(async move { access(&keeper).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Err(Fault::Offline));
    }
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn a_provider_that_refuses_every_new_token_is_left_alone() {
    let store = Memory::with(&[(REFRESH, "r0")]);
    let provider = Provider::new(7200);
    let (keeper, clock) = keeper(&store, &provider);
    let mut token = access(&keeper).await.unwrap();
    let mut refused = None;
    for _ in 0..RENEWALS + 5 {
        match renew(&keeper, &token).await {
            Ok(next) => token = next,
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert!(matches!(refused, Some(Fault::Store(_))), "{refused:?}");
    clock.advance_ms(RENEWALS_MS + 1);
    assert!(renew(&keeper, &token).await.is_ok());
}
