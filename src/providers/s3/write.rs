//! Rename, move, copy, delete. An object store has no rename: what is moved is copied there and deleted
//! here (sheet generic_backends, 5), and nothing is deleted before its copy was looked at. Conditions
//! of copies are ignored by servers (5), so names are looked at first, and a small race stays.

use super::address;
use super::api::Api;
use super::error::may_be_done;
use super::{list, marks, names, tree};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result};

pub async fn rename(api: &Api, node: &Node, name: &str) -> Result<Node> {
    let stored = names::encode(name)?;
    let (parent, _) = address::split(node.id.as_str());
    relocate(api, node, address::child(parent, &stored)).await
}

pub async fn move_to(api: &Api, node: &Node, parent: &NodeId) -> Result<Node> {
    list::need_dir(api, parent.as_str()).await?;
    // As the key spells it, also where we would have spelled it otherwise.
    let name = address::last(node.id.as_str());
    relocate(api, node, address::child(parent.as_str(), &name)).await
}

async fn relocate(api: &Api, node: &Node, to: String) -> Result<Node> {
    let from = node.id.as_str();
    if from == to {
        return list::stat(api, &node.id).await;
    }
    let itself = node.is_dir() && address::is_within(&to, from);
    if is_top(api, from) || itself {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!("{} cannot be moved into itself", address::shown(from)),
        ));
    }
    address::check_key(&to, node.is_dir())?;
    list::refuse_taken(api, &to).await?;
    let (parent, _) = address::split(from);
    if node.is_dir() {
        tree::relocate(api, from, &to).await?;
        marks::keep(api, parent).await?;
        return Ok(list::dir_node(&to));
    }
    let made = copied(api, from, &to).await?;
    if let Err(error) = api.delete(&[address::key(from)]).await {
        // A copy stays: the delete may still be carried out.
        if list::found(api, from).await?.is_some() {
            return Err(error);
        }
    }
    marks::keep(api, parent).await?;
    Ok(made)
}

/// Copies a file to an id that nothing has, and looks at the copy.
async fn copied(api: &Api, from: &str, to: &str) -> Result<Node> {
    let (source, target) = (address::key(from), address::key(to));
    let size = match api.store.copy(&source, &target).await {
        Ok(made) => made.content_length(),
        // The answer may be lost, not the copy.
        Err(error) if may_be_done(&error) => match list::found(api, from).await? {
            Some(source) => {
                let made = list::found(api, to).await?;
                let made = made.filter(|made| is_copy(&source, made));
                return made.ok_or(error);
            }
            None => return Err(error),
        },
        Err(error) => return Err(error),
    };
    let made = list::found(api, to).await?;
    let made = made.ok_or_else(|| DriveError::bad_answer("copy", "the copy is not there"))?;
    match made.size == size {
        true => Ok(made),
        false => Err(DriveError::new(
            ErrorKind::Verification,
            format!("copy: {} bytes instead of {size}", made.size),
        )),
    }
}

/// Whether two files have the same bytes, as far as sizes and MD5s tell.
fn is_copy(source: &Node, made: &Node) -> bool {
    let md5 = |node: &Node| {
        let known = node.fingerprints.get(crate::fingerprint::Kind::Md5);
        known.map(|known| known.value.clone())
    };
    let differ = matches!((md5(source), md5(made)), (Some(one), Some(other)) if one != other);
    source.size == made.size && !differ
}

pub async fn copy(api: &Api, node: &Node, parent: &NodeId, name: &str) -> Result<Node> {
    if node.is_dir() {
        return Err(DriveError::unsupported("copying a directory"));
    }
    let stored = names::encode(name)?;
    let to = address::child(parent.as_str(), &stored);
    address::check_key(&to, false)?;
    let free = list::refuse_taken(api, &to);
    let place = list::need_dir(api, parent.as_str());
    futures_util::future::try_join(free, place).await?;
    copied(api, node.id.as_str(), &to).await
}

/// Deletes: there is no trash. A bucket with versions keeps the old one.
pub async fn trash(api: &Api, node: &Node) -> Result<()> {
    let id = node.id.as_str();
    if is_top(api, id) {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            "the top of a profile cannot be deleted",
        ));
    }
    match node.is_dir() {
        true => tree::remove(api, id).await?,
        false => api.delete(&[address::key(id)]).await?,
    }
    marks::keep(api, address::split(id).0).await
}

fn is_top(api: &Api, id: &str) -> bool {
    id.is_empty() || id == api.root.as_str()
}
