//! Credentials in memory. Each save notes what the simulator had been asked by then.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use panfuse::net::{CredentialStore, Credentials, Secret, StoreError};
use panfuse::sim::{Account, Stat};

/// A save, and the moment of it.
#[derive(Clone)]
pub struct Saved {
    /// The fields that were changed.
    pub changed: Vec<String>,
    /// What the account had been asked.
    pub stat: Stat,
}

/// The credentials of one profile.
pub struct MemoryCredentials {
    stored: Mutex<Credentials>,
    saves: Mutex<Vec<Saved>>,
    lock: Arc<tokio::sync::Mutex<()>>,
    account: Option<Arc<Account>>,
}

impl MemoryCredentials {
    /// A store that holds `secrets`.
    pub fn new(
        secrets: impl IntoIterator<Item = (String, String)>,
        account: Option<Arc<Account>>,
    ) -> Arc<MemoryCredentials> {
        let secrets = secrets.into_iter();
        Arc::new(MemoryCredentials {
            stored: Mutex::new(secrets.map(|(k, v)| (k, Secret::new(v))).collect()),
            saves: Mutex::default(),
            lock: Arc::default(),
            account,
        })
    }

    /// A stored field.
    pub fn field(&self, name: &str) -> Option<String> {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.get(name).map(|secret| secret.expose().to_owned())
    }

    /// Every save that named `field`, oldest first.
    pub fn saves_of(&self, field: &str) -> Vec<Saved> {
        let saves = self.saves.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = saves.iter();
        mine.filter(|save| save.changed.iter().any(|name| name == field))
            .cloned()
            .collect()
    }
}

#[async_trait]
impl CredentialStore for MemoryCredentials {
    async fn load(&self) -> Result<Credentials, StoreError> {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(stored.clone())
    }

    async fn save(&self, changed: Credentials) -> Result<(), StoreError> {
        let stat = self.account.as_ref().map(|account| account.meters.stat());
        let mut saves = self.saves.lock().unwrap_or_else(PoisonError::into_inner);
        saves.push(Saved {
            changed: changed.keys().cloned().collect(),
            stat: stat.unwrap_or_default(),
        });
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, secret) in changed {
            if secret.is_empty() {
                stored.remove(&name);
            } else {
                stored.insert(name, secret);
            }
        }
        Ok(())
    }

    async fn lock(&self) -> Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(self.lock.clone().lock_owned().await))
    }
}
