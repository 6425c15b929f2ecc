//! The mounted drives by name. They come and go while transfers run.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::content::Volume;

/// The drives.
pub(super) struct Volumes(RwLock<HashMap<Arc<str>, Volume>>);

impl Volumes {
    pub fn new(all: &[Volume]) -> Volumes {
        let named = all.iter().map(|v| (v.name.clone(), v.clone()));
        Volumes(RwLock::new(named.collect()))
    }

    /// A drive by the name of its profile.
    pub fn get(&self, profile: &str) -> Option<Volume> {
        let volumes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        volumes.get(profile).cloned()
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Volume> {
        let volumes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Volume> = volumes.values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Takes a drive in, in the place of one of the same name.
    pub fn put(&self, volume: Volume) {
        let mut volumes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        volumes.insert(volume.name.clone(), volume);
    }

    /// Lets a drive go. Who holds it may use it to the end.
    pub fn take(&self, profile: &str) -> Option<Volume> {
        let mut volumes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        volumes.remove(profile)
    }
}
