//! The SHA-1 state before each part of a parallel upload (sheet quark, 7.2). Parts are sent side
//! by side, the states follow each other: who sends a part tells the next one the state behind
//! it before its bytes are on the way. A part's receipt carries that state, so that another
//! process can go on behind it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::watch;

use crate::drive::{DriveError, ErrorKind, Result, UploadSession};
use crate::fingerprint::Sha1State;
use crate::net::Retry;

/// The part before is waited for this long. Its state is there as soon as its bytes are.
const PATIENCE: Duration = Duration::from_secs(60);

/// The states of the uploads under way.
pub struct Chains {
    by_upload: Cache<String, Arc<Chain>>,
}

/// States by the number of the part that begins there.
pub struct Chain {
    states: watch::Sender<BTreeMap<u32, Sha1State>>,
}

impl Chains {
    pub fn new() -> Chains {
        Chains {
            by_upload: Cache::builder()
                .max_capacity(1024)
                .time_to_idle(Duration::from_secs(12 * 3600))
                .build(),
        }
    }

    /// The chain of an upload.
    pub fn of(&self, upload_id: &str) -> Arc<Chain> {
        self.by_upload.get_with(upload_id.to_owned(), || {
            Arc::new(Chain {
                states: watch::Sender::new(BTreeMap::new()),
            })
        })
    }

    /// Forgets an upload that is over.
    pub fn forget(&self, upload_id: &str) {
        self.by_upload.invalidate(upload_id);
    }
}

impl Chain {
    /// The state before part `number`: of the first one, of a part sent by us, of a receipt, or
    /// of one that is about to be sent.
    pub async fn before(&self, session: &UploadSession, number: u32) -> Result<Sha1State> {
        if number <= 1 {
            return Ok(Sha1State::new());
        }
        if let Some(state) = told(session, number) {
            return Ok(state);
        }
        let mut seen = self.states.subscribe();
        let waiting = seen.wait_for(|states| states.contains_key(&number));
        let found = match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Ok(states)) => states.get(&number).cloned(),
            _ => None,
        };
        found.ok_or_else(|| {
            DriveError::new(
                ErrorKind::Timeout,
                format!("part {number}: the part before it was not sent"),
            )
            .retry(Retry::Backoff)
        })
    }

    /// Tells the state behind part `number`.
    pub fn tell(&self, number: u32, state: Sha1State) {
        self.states.send_modify(|states| {
            states.insert(number.saturating_add(1), state);
        });
    }
}

/// The state that the receipt of the part before carries.
fn told(session: &UploadSession, number: u32) -> Option<Sha1State> {
    let before = number.checked_sub(1)?;
    let receipt = session.accepted.iter().find(|part| part.number == before)?;
    let state = Sha1State::from_header(state_of(&receipt.tag)?)?;
    (Some(state.length()) == session.part_size.checked_mul(u64::from(before))).then_some(state)
}

/// A receipt's tag: the ETag, and the state behind the part where the next one needs it.
pub fn tag(etag: &str, state: Option<&str>) -> String {
    match state {
        Some(state) => format!("{etag} {state}"),
        None => etag.to_owned(),
    }
}

/// The ETag of a receipt.
pub fn etag_of(tag: &str) -> &str {
    tag.split(' ').next().unwrap_or_default()
}

fn state_of(tag: &str) -> Option<&str> {
    tag.split_once(' ').map(|(_, state)| state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::PartReceipt;
    use serde_json::Value;

    const VECTORS: &str = include_str!("../../../tests/fixtures/quark.vectors.json");

    fn session(accepted: Vec<PartReceipt>) -> UploadSession {
        UploadSession {
            state: Value::Null,
            part_size: 4 << 20,
            parallel: 3,
            accepted,
            node: None,
        }
    }

    #[tokio::test]
    async fn states_come_from_receipts_with_the_right_length_only() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let vector = &vectors["vectors"]["oss_hash_ctx"][0];
        let header = vector["header_value"].as_str().unwrap();
        let receipt = |number| PartReceipt {
            number,
            size: 4 << 20,
            tag: tag("\"AB\"", Some(header)),
        };
        assert_eq!(etag_of(&receipt(1).tag), "\"AB\"");
        assert_eq!(etag_of("\"AB\""), "\"AB\"");
        let chain = Chains::new().of("u");
        let state = chain.before(&session(vec![receipt(1)]), 2).await.unwrap();
        assert_eq!(state.header().as_deref(), Some(header));
        // 4 MiB is not what two parts are.
        assert!(told(&session(vec![receipt(2)]), 3).is_none());
        assert_eq!(
            chain.before(&session(vec![]), 1).await.unwrap(),
            Sha1State::new()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_waits_for_the_one_before_but_not_for_ever() {
        let chains = Chains::new();
        let chain = chains.of("u");
        let session = session(vec![]);
        let waiting = chain.before(&session, 2);
        let telling = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let mut state = Sha1State::new();
            state.update(&[7; 128]);
            chains.of("u").tell(1, state);
        };
        let (state, ()) = tokio::join!(waiting, telling);
        assert_eq!(state.unwrap().length(), 128);
        let error = chain.before(&session, 9).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout);
        assert!(error.message.contains("part 9"));
    }
}
