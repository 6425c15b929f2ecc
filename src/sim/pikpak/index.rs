//! What contents are known, and under which gcid (pikpak.md sections 5, 6.2 and 11). Contents
//! of the inventory are known by their true hashes; bytes that a client uploaded are known
//! by the gcid that it claimed, true or not.

use std::collections::HashMap;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::errors::ApiError;
use super::gate::Ctx;
use super::{PikPak, is_hex};

/// Length of one of the three windows a CID covers.
const WINDOW: u64 = 20_480;

/// What the inventory does not tell. Hashes are upper case and go with a size.
#[derive(Default)]
pub(super) struct Index {
    /// Contents by claimed gcid.
    claims: HashMap<(String, u64), Blob>,
    /// Claimed gcid by CID.
    cids: HashMap<(String, u64), String>,
    /// Answers of the oracle that go before all others.
    twins: HashMap<(String, u64), String>,
}

impl Index {
    /// An upload with a claimed gcid came in; the first claim of a gcid stays.
    pub(super) fn uploaded(&mut self, gcid: &str, cid: &str, blob: &Blob) {
        let size = blob.size();
        self.claims
            .entry((gcid.to_owned(), size))
            .or_insert_with(|| blob.clone());
        self.cids
            .entry((cid.to_owned(), size))
            .or_insert_with(|| gcid.to_owned());
    }
}

/// Another content with the CID of `blob`: its three windows, other bytes between them.
pub(super) fn cid_twin(blob: &Blob) -> Option<Blob> {
    let size = blob.size();
    let (middle, last) = (size / 3, size.checked_sub(WINDOW)?);
    let other = Blob::synthetic(0x0007_1116 ^ size, size);
    let between = |from: u64, to: u64| other.slice(from, to.saturating_sub(from));
    if size <= 3 * WINDOW {
        return None;
    }
    Some(Blob::join([
        &blob.slice(0, WINDOW),
        &between(WINDOW, middle),
        // With a size just above three windows the middle one overlaps a neighbour.
        &blob.slice(
            middle.max(WINDOW),
            (middle + WINDOW).min(last) - middle.max(WINDOW),
        ),
        &between(middle + WINDOW, last),
        &blob.slice(last, WINDOW),
    ]))
}

impl PikPak {
    /// The content behind a gcid, as the server believes.
    pub(super) async fn lookup(&self, gcid: &str, size: u64) -> Option<Blob> {
        let known = self.kit.inventory.find(HashKind::Gcid, gcid, size).await;
        if known.is_some() {
            return known;
        }
        let key = (gcid.to_uppercase(), size);
        self.state().index.claims.get(&key).cloned()
    }

    /// Setting `false_gcid:PATH`: the file lists a gcid that is not its own, as one that was
    /// uploaded with a false claim.
    pub(super) fn set_false_gcid(
        &self,
        account: &Account,
        path: &str,
        gcid: &str,
    ) -> anyhow::Result<()> {
        if !is_hex(gcid, 40) {
            bail!("a gcid is 40 hex digits");
        }
        let gcid = gcid.to_uppercase();
        let mut state = self.state();
        let mut tree = account.tree();
        let node = tree.resolve(path).context("no such file")?;
        let (id, blob) = (node.id.clone(), node.blob.clone().context("not a file")?);
        tree.update(&id, |node| {
            node.extra.insert("hash".to_owned(), json!(gcid));
        });
        let claims = &mut state.index.claims;
        claims.entry((gcid, blob.size())).or_insert(blob);
        Ok(())
    }

    /// Setting `cid_twin`: makes a content known that has the CID of another one.
    pub(super) fn set_cid_twin(&self, account: &Account, value: &str) -> anyhow::Result<()> {
        let blob = match value.strip_prefix('/') {
            Some(path) => account
                .tree()
                .resolve(path)
                .and_then(|node| node.blob.clone())
                .context("no such file")?,
            None => {
                let (seed, size) = value.split_once(',').context("SEED,SIZE or /PATH")?;
                Blob::synthetic(seed.trim().parse()?, size.trim().parse()?)
            }
        };
        let twin = cid_twin(&blob).context("a CID covers all of so short a content")?;
        let cid = twin.digest_now(HashKind::Cid).to_uppercase();
        let gcid = twin.digest_now(HashKind::Gcid).to_uppercase();
        self.kit.inventory.add(&twin);
        self.state().index.twins.insert((cid, twin.size()), gcid);
        Ok(())
    }
}

impl Ctx<'_> {
    /// `GET /drive/v1/resource/cid`.
    pub(super) async fn cid(&self) -> Result<Value, ApiError> {
        let cid = self.param("cid").to_uppercase();
        let size = self.param("file_size").parse::<u64>().unwrap_or(0);
        if !is_hex(&cid, 40) || size == 0 {
            return Err(ApiError::bad_request("cid or file_size"));
        }
        let key = (cid, size);
        let (twin, claimed) = {
            let state = self.sim.state();
            let index = &state.index;
            (
                index.twins.get(&key).cloned(),
                index.cids.get(&key).cloned(),
            )
        };
        let known = match twin {
            Some(gcid) => Some(gcid),
            None => match self
                .sim
                .kit
                .inventory
                .find(HashKind::Cid, &key.0, size)
                .await
            {
                Some(blob) => Some(blob.digest(HashKind::Gcid).await),
                None => claimed,
            },
        };
        if known.is_none() && self.account.knobs.flag("cid_miss_500") {
            let text = "rpc error: Post http://idx.shub.mypikpak.com: record not found";
            return Err(ApiError::new(500, 500, text, text));
        }
        Ok(json!({ "gcid": known.unwrap_or_default().to_lowercase() }))
    }
}
