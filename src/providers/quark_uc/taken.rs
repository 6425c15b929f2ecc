//! Which names of a directory are taken. Uploads, moves, copies and saves onto a taken name come
//! out as `name(1)` (sheet quark, 9), so names are looked up before. Listings show writes up to
//! 20 s late: what we made and freed meanwhile is remembered beside them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use serde_json::Value;

use super::api::Api;
use super::list;
use super::names::RULES;
use crate::drive::{DriveError, ErrorKind, NodeId, Result, decode};

/// A listing is good this long for the next look. A name taken by others in between is seen
/// when the outcome is looked at.
const LISTED: Duration = Duration::from_secs(10);

/// The listing has caught up after this.
const LAG: Duration = Duration::from_secs(30);

/// Larger directories are not kept.
const MOST_NAMES: usize = 50_000;

type Names = Arc<HashMap<String, NodeId>>;

/// A name, as the service stores it, in a directory.
type Place = (NodeId, String);

/// What is known of names.
pub struct Taken {
    listed: Cache<NodeId, Names>,
    made: Cache<Place, NodeId>,
    freed: Cache<(Place, NodeId), ()>,
    /// One listing at a time.
    flight: tokio::sync::Mutex<()>,
}

impl Taken {
    pub fn new() -> Taken {
        Taken {
            listed: Cache::builder()
                .max_capacity(16)
                .time_to_live(LISTED)
                .build(),
            made: Cache::builder()
                .max_capacity(100_000)
                .time_to_live(LAG)
                .build(),
            freed: Cache::builder()
                .max_capacity(100_000)
                .time_to_live(LAG)
                .build(),
            flight: tokio::sync::Mutex::default(),
        }
    }

    /// Who has the name, except `own`.
    pub async fn holder(
        &self,
        api: &Api,
        dir: &NodeId,
        stored: &str,
        own: Option<&NodeId>,
    ) -> Result<Option<NodeId>> {
        let place = (dir.clone(), stored.to_owned());
        let made = self.made.get(&place);
        let listed = self.names(api, dir).await?.get(stored).cloned();
        let listed = listed.filter(|id| !self.freed.contains_key(&(place.clone(), id.clone())));
        for id in [made, listed].into_iter().flatten() {
            if Some(&id) == own {
                continue;
            }
            // What was remembered may have gone or moved since.
            match list::stat(api, &id).await {
                Ok(node) => {
                    let named = RULES.encode(&node.name).is_ok_and(|name| name == stored);
                    if named && node.parent == *dir {
                        return Ok(Some(id));
                    }
                }
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Refuses a name that is taken.
    pub async fn refuse(&self, api: &Api, dir: &NodeId, stored: &str, shown: &str) -> Result<()> {
        match self.holder(api, dir, stored, None).await? {
            Some(_) => Err(exists(shown)),
            None => Ok(()),
        }
    }

    /// We made it.
    pub fn made(&self, dir: &NodeId, stored: &str, id: &NodeId) {
        let place = (dir.clone(), stored.to_owned());
        self.freed.invalidate(&(place.clone(), id.clone()));
        self.made.insert(place, id.clone());
    }

    /// We freed it.
    pub fn freed(&self, dir: &NodeId, stored: &str, id: &NodeId) {
        let place = (dir.clone(), stored.to_owned());
        self.made.invalidate(&place);
        self.freed.insert((place, id.clone()), ());
    }

    async fn names(&self, api: &Api, dir: &NodeId) -> Result<Names> {
        if let Some(names) = self.listed.get(dir) {
            return Ok(names);
        }
        let _flight = self.flight.lock().await;
        if let Some(names) = self.listed.get(dir) {
            return Ok(names);
        }
        let entries = list::all(api, dir).await?;
        Ok(self.learn(api, dir, &entries))
    }

    /// Takes over a listing.
    pub fn learn(&self, api: &Api, dir: &NodeId, entries: &[Value]) -> Names {
        let names: HashMap<String, NodeId> = entries
            .iter()
            .filter_map(|entry| {
                let id = NodeId::new(decode::nonempty(&entry["fid"])?);
                api.parents.insert(id.clone(), dir.clone());
                Some((list::stored_name(entry), id))
            })
            .collect();
        let names = Arc::new(names);
        if names.len() <= MOST_NAMES {
            self.listed.insert(dir.clone(), names.clone());
        }
        names
    }
}

/// The error for a taken name.
pub fn exists(name: &str) -> DriveError {
    DriveError::new(ErrorKind::Exists, format!("{name:?} exists already"))
}
