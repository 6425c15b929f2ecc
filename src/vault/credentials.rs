//! One profile's secrets as drivers want them.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{Vault, VaultError};
use crate::net::{CredentialStore, Credentials, StoreError};

/// How long a refresher waits for another process's. A refresh takes seconds; a process that
/// dies gives its lock back at once.
const LOCK_DEADLINE: Duration = Duration::from_secs(60);
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// The secrets of one profile.
pub(super) struct ProfileCredentials {
    vault: Arc<Vault>,
    profile: String,
    deadline: Duration,
}

impl ProfileCredentials {
    pub(super) fn new(vault: Arc<Vault>, profile: &str) -> Self {
        ProfileCredentials {
            vault,
            profile: profile.to_owned(),
            deadline: LOCK_DEADLINE,
        }
    }

    /// Disk work stays off the runtime's threads.
    async fn blocking<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Vault, &str) -> Result<T, VaultError> + Send + 'static,
    {
        let vault = Arc::clone(&self.vault);
        let profile = self.profile.clone();
        tokio::task::spawn_blocking(move || work(&vault, &profile))
            .await
            .map_err(|error| StoreError(error.to_string()))?
            .map_err(|error| StoreError(error.to_string()))
    }
}

#[async_trait]
impl CredentialStore for ProfileCredentials {
    async fn load(&self) -> Result<Credentials, StoreError> {
        self.blocking(|vault, profile| vault.load(profile)).await
    }

    async fn save(&self, changed: Credentials) -> Result<(), StoreError> {
        self.blocking(move |vault, profile| vault.put_all(profile, &changed))
            .await
    }

    async fn lock(&self) -> Result<Box<dyn Send + Sync>, StoreError> {
        let file = self
            .blocking(|vault, profile| Ok(vault.profile_lock(profile)?))
            .await?;
        let start = Instant::now();
        // Asking again and again instead of waiting inside the kernel: a waiter that is dropped
        // or out of time leaves no thread behind.
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Box::new(file)),
                Err(std::fs::TryLockError::WouldBlock) => {}
                Err(std::fs::TryLockError::Error(error))
                    if error.kind() == io::ErrorKind::Interrupted => {}
                Err(std::fs::TryLockError::Error(error)) => {
                    return Err(StoreError(format!("lock of {}: {error}", self.profile)));
                }
            }
            if start.elapsed() >= self.deadline {
                return Err(StoreError(format!(
                    "another panfuse has been renewing the login of {} for {} s",
                    self.profile,
                    self.deadline.as_secs()
                )));
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Secret;
    use crate::vault::KeySource;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn vault(directory: &std::path::Path) -> Arc<Vault> {
        let source = KeySource::Environment(Secret::new("k".repeat(32)));
        Arc::new(Vault::open_with(directory, &source).unwrap())
    }

    #[tokio::test]
    async fn saving_merges_and_an_empty_secret_removes() {
        let home = tempfile::tempdir().unwrap();
        let store = vault(home.path()).credentials("a");
        let pairs = |list: &[(&str, &str)]| -> Credentials {
            list.iter()
                .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
                .collect()
        };
        store.save(pairs(&[("x", "1"), ("y", "2")])).await.unwrap();
        store.save(pairs(&[("x", ""), ("z", "3")])).await.unwrap();
        assert_eq!(
            store.load().await.unwrap(),
            pairs(&[("y", "2"), ("z", "3")])
        );
        let elsewhere = vault(home.path()).credentials("a");
        assert_eq!(elsewhere.load().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn two_vaults_exclude_each_other_per_profile() {
        let home = tempfile::tempdir().unwrap();
        let first = vault(home.path()).credentials("a");
        let second = vault(home.path()).credentials("a");
        let other = vault(home.path()).credentials("b");
        let guard = first.lock().await.unwrap();
        drop(other.lock().await.unwrap());
        let released = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&released);
        let waiter = tokio::spawn(async move {
            let _guard = second.lock().await.unwrap();
            seen.load(Ordering::SeqCst)
        });
        tokio::time::sleep(Duration::from_millis(80)).await;
        assert!(!waiter.is_finished());
        released.store(true, Ordering::SeqCst);
        drop(guard);
        assert!(waiter.await.unwrap(), "locked only after the release");
    }

    #[tokio::test]
    async fn a_lock_that_is_never_given_back_is_reported() {
        let home = tempfile::tempdir().unwrap();
        let holder = vault(home.path()).credentials("a");
        let _guard = holder.lock().await.unwrap();
        let mut waiter = ProfileCredentials::new(vault(home.path()), "a");
        waiter.deadline = Duration::from_millis(60);
        let error = waiter.lock().await.err().unwrap();
        assert!(error.to_string().contains("renewing the login of a"));
    }
}
