//! What contents are known, and under which gcid (xunlei.md sections 5 and 6). Contents of the
//! inventory are known by their true hashes; bytes that a client uploaded are known by the gcid
//! that it claimed, true or not.

use std::collections::HashMap;

use anyhow::{Context, bail};
use serde_json::json;

use super::super::account::Account;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::{Xunlei, is_hex};

/// What the inventory does not tell: contents by claimed gcid (upper case) and size.
#[derive(Default)]
pub(super) struct Index(HashMap<(String, u64), Blob>);

impl Index {
    /// Content came in under a gcid; the first claim of a gcid stays.
    pub(super) fn claim(&mut self, gcid: &str, blob: &Blob) {
        self.0
            .entry((gcid.to_uppercase(), blob.size()))
            .or_insert_with(|| blob.clone());
    }
}

impl Xunlei {
    /// The content behind a gcid, as the server believes. Whoever sends a gcid that is not that
    /// of his content gets somebody else's file (section 6).
    pub(super) async fn lookup(&self, gcid: &str, size: u64) -> Option<Blob> {
        let known = self.kit.inventory.find(HashKind::Gcid, gcid, size).await;
        if known.is_some() {
            return known;
        }
        let key = (gcid.to_uppercase(), size);
        self.state().index.0.get(&key).cloned()
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
        state.index.claim(&gcid, &blob);
        Ok(())
    }
}
