//! What a test puts into an account beside plain files: online documents, shortcuts, and
//! entries whose name is taken already.

use anyhow::{Context, Result, bail};
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::super::account::Account;
use super::super::content::Blob;
use super::super::tree::{Node, Tree};
use super::LarkDrive;
use super::entries::{kind, known_kind};

/// The folder of a path, which is made when it is not there, and the last name.
fn parent_of(sim: &LarkDrive, tree: &mut Tree, path: &str, now: i64) -> Result<(String, String)> {
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    // A title may have a slash: `a%2Fb`.
    let name = percent_decode_str(name).decode_utf8()?.into_owned();
    let mut at = tree.root().to_owned();
    for part in above.split('/').filter(|part| !part.is_empty()) {
        let known = tree.find(&at, part).into_iter().find(|node| node.is_dir());
        at = match known.map(|node| node.id.clone()) {
            Some(id) => id,
            None => {
                let token = sim.token("folder");
                tree.insert(Node::dir(&token, &at, part, now));
                token
            }
        };
    }
    Ok((at, name))
}

impl LarkDrive {
    /// An entry without bytes that is no folder.
    pub(super) fn document(&self, kind: &str, parent: &str, name: &str, now: i64) -> Node {
        let token = self.token(kind);
        let mut node = Node::file(&token, parent, name, Blob::bytes(""), now);
        node.extra.insert("type".to_owned(), json!(kind));
        node
    }

    /// The setting `add:PATH`: always another entry of that name. The value is a type;
    /// `file:SIZE` or `file:SIZE:SEED`; `shortcut:TARGET_PATH`.
    pub(super) fn add(&self, account: &Account, path: &str, value: &str) -> Result<()> {
        let now = self.kit.clock.now_ms();
        let (what, rest) = value.split_once(':').unwrap_or((value, ""));
        let what = known_kind(what).with_context(|| format!("no type {what}"))?;
        let mut tree = account.tree();
        let target = tree.resolve(rest).map(|node| (kind(node), node.id.clone()));
        let (parent, name) = parent_of(self, &mut tree, path, now)?;
        let node = match what {
            "folder" => Node::dir(&self.token("folder"), &parent, &name, now),
            "file" => {
                let (size, seed) = rest.split_once(':').unwrap_or((rest, "1"));
                let blob = Blob::synthetic(seed.parse()?, size.parse()?);
                Node::file(&self.token("file"), &parent, &name, blob, now)
            }
            "shortcut" => {
                let Some((kind, token)) = target.filter(|_| !rest.is_empty()) else {
                    bail!("there is no {rest} for a shortcut to lead to");
                };
                let mut node = self.document("shortcut", &parent, &name, now);
                node.extra.insert("target_type".to_owned(), json!(kind));
                node.extra.insert("target_token".to_owned(), json!(token));
                node
            }
            document => self.document(document, &parent, &name, now),
        };
        tree.insert(node);
        Ok(())
    }

    /// The setting `touch:PATH`: the time of the last change of the newest entry there, in
    /// milliseconds.
    pub(super) fn touch(&self, account: &Account, path: &str, value: &str) -> Result<()> {
        let modified = value.parse()?;
        let mut tree = account.tree();
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = tree.resolve(above).context("no such folder")?.id.clone();
        let found = tree.find(&parent, name).last().map(|node| node.id.clone());
        let token = found.context("no such entry")?;
        tree.update(&token, |node| node.modified = modified);
        Ok(())
    }
}
