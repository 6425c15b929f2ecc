//! Small files wait in memory between their one part and the commit: the call that sends the
//! bytes also publishes the file, so it must be the last one. Memory is bounded: whoever finds no
//! room waits until another one is committed or abandoned.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::drive::{DriveError, ErrorKind, Result};
use crate::net::Retry;

const UNIT: usize = 1 << 20;
/// Three of the largest.
const UNITS: usize = 60;
/// What nobody committed in this time was given up.
const IDLE: Duration = Duration::from_secs(900);
/// The longest wait for room.
const WAIT: Duration = Duration::from_secs(120);

struct Held {
    bytes: Bytes,
    since: Instant,
    _room: OwnedSemaphorePermit,
}

/// The files that wait. A plain map: what is removed gives its room back at once.
pub struct Parked {
    room: Arc<Semaphore>,
    held: Mutex<HashMap<String, Held>>,
}

impl Parked {
    pub fn new() -> Self {
        Parked {
            room: Arc::new(Semaphore::new(UNITS)),
            held: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the bytes of an upload.
    ///
    /// # Errors
    /// `Busy` when there is no room for two minutes.
    pub async fn put(&self, id: &str, bytes: Bytes) -> Result<()> {
        {
            let now = Instant::now();
            let mut held = self.held();
            held.remove(id);
            held.retain(|_, one| now.saturating_duration_since(one.since) < IDLE);
        }
        let units = bytes.len().div_ceil(UNIT).clamp(1, UNITS);
        let units = u32::try_from(units).unwrap_or(1);
        let room = self.room.clone().acquire_many_owned(units);
        let room = match tokio::time::timeout(WAIT, room).await {
            Ok(Ok(room)) => room,
            _ => {
                let message = "too many small uploads wait for their turn";
                return Err(DriveError::new(ErrorKind::Busy, message).retry(Retry::Backoff));
            }
        };
        let held = Held {
            bytes,
            since: Instant::now(),
            _room: room,
        };
        self.held().insert(id.to_owned(), held);
        Ok(())
    }

    /// The bytes of an upload, when they are here.
    pub fn get(&self, id: &str) -> Option<Bytes> {
        self.held().get(id).map(|held| held.bytes.clone())
    }

    /// Forgets an upload.
    pub fn remove(&self, id: &str) {
        self.held().remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn room_is_given_back() {
        let parked = Parked::new();
        let large = Bytes::from(vec![0; 20 * UNIT]);
        for id in ["a", "b", "c", "a"] {
            parked.put(id, large.clone()).await.unwrap();
        }
        let full = parked.put("d", large.clone()).await.unwrap_err();
        assert_eq!(full.kind, ErrorKind::Busy);
        parked.remove("b");
        parked.put("d", large).await.unwrap();
        assert!(parked.get("b").is_none() && parked.get("d").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_given_up_makes_room() {
        let parked = Parked::new();
        let large = Bytes::from(vec![0; 20 * UNIT]);
        for id in ["a", "b", "c"] {
            parked.put(id, large.clone()).await.unwrap();
        }
        tokio::time::advance(IDLE).await;
        parked.put("d", large).await.unwrap();
        assert!(parked.get("a").is_none());
    }
}
