//! What a provider already has: one inventory of contents per provider, shared by all its
//! accounts. That is what makes a fast upload of an account a hit when another account
//! (or nobody in sight: "known only") has the bytes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::content::Blob;
use super::digest::HashKind;

/// The contents a provider knows.
#[derive(Default)]
pub struct Inventory {
    by_size: Mutex<HashMap<u64, Vec<Blob>>>,
}

impl Inventory {
    /// Makes a content known. Adding one twice changes nothing.
    pub fn add(&self, blob: &Blob) {
        let mut all = self.by_size.lock().unwrap_or_else(PoisonError::into_inner);
        let same_size = all.entry(blob.size()).or_default();
        if !same_size.iter().any(|known| known.is(blob)) {
            same_size.push(blob.clone());
        }
    }

    /// The known contents of a size.
    pub fn of_size(&self, size: u64) -> Vec<Blob> {
        let all = self.by_size.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&size).cloned().unwrap_or_default()
    }

    /// The known content of this size whose digest of `kind` is `value` (any case of hex).
    pub async fn find(&self, kind: HashKind, value: &str, size: u64) -> Option<Blob> {
        for blob in self.of_size(size) {
            if blob.digest(kind).await.eq_ignore_ascii_case(value) {
                return Some(blob);
            }
        }
        None
    }

    /// The same when the provider is not told a size. Hashes everything it knows: slow with
    /// large contents.
    pub async fn find_any_size(&self, kind: HashKind, value: &str) -> Option<Blob> {
        let sizes: Vec<u64> = {
            let all = self.by_size.lock().unwrap_or_else(PoisonError::into_inner);
            all.keys().copied().collect()
        };
        for size in sizes {
            if let Some(blob) = self.find(kind, value, size).await {
                return Some(blob);
            }
        }
        None
    }
}
