//! Swaps: a node takes the name of another one, which goes to the trash (DESIGN 3.8). The journal
//! names every name and id that a step may leave before that step is done, so that a later
//! start, or a later attempt, finds both nodes and finishes, or gives the old one its name back.
//!
//! | step | at the provider | in the journal |
//! |---|---|---|
//! | 0 | old under its name, new under its own | the swap |
//! | 1 | old set aside | `put_aside` |
//! | 2 | new has the name | `named` |
//! | 3 | old in the trash, or parked | (the record goes) |
//!
//! Where a provider addresses by path a rename changes the id. What the journal does not know yet
//! is then found by its name: names in between are ours alone.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::destination::Place;
use super::engine::Engine;
use super::publish;
use super::record::{Replaced, Swap, TransferRecord};
use crate::content::{RemoteContent, Volume};
use crate::drive::{DriveError, ErrorKind, Node, NodeId, Result};

/// Where both nodes of a swap are.
struct Standing {
    /// The new one; `None` when somebody removed it.
    new: Option<Node>,
    /// Whether it has the name already.
    named: bool,
    /// The old one, under its name or set aside.
    old: Option<Node>,
    /// Whether anything stands under the name.
    taken: bool,
}

/// A node as the journal has it.
pub(super) fn replaced(node: &Node) -> Replaced {
    Replaced {
        id: node.id.clone(),
        version: node.version.clone(),
    }
}

impl Swap {
    /// A swap that gives `new` the place of `old`.
    pub(super) fn new(
        engine: &Engine,
        volume: &Volume,
        id: &str,
        new: &Node,
        old: Option<&Node>,
        place: &Place,
    ) -> Swap {
        let max = volume.capabilities().max_name_bytes.min(255);
        let name = |mark: &str| {
            let id = format!("{mark}{id}");
            publish::temporary_name(&place.name, engine.instance(), &id, max)
        };
        Swap {
            new: new.id.clone(),
            from: Some((new.parent.clone(), new.name.clone())),
            old: old.map(replaced),
            aside: name("old"),
            way: name("new"),
            put_aside: None,
            named: None,
        }
    }
}

/// A journaled swap at work.
pub(super) struct Swapping<'a> {
    pub engine: &'a Engine,
    pub volume: &'a Volume,
    pub record: &'a Mutex<TransferRecord>,
    /// What the swap's own transfer reads: it is verified and needs no bytes any more.
    pub own: &'a [Arc<RemoteContent>],
}

impl Swapping<'_> {
    /// Begins: the record holds the swap and is durable already.
    ///
    /// # Errors
    /// When the new node did not get the name; the old one then has it back, if the provider
    /// lets us, and else the record still says so.
    pub async fn begin(&self, new: Node, old: Option<&Node>) -> Result<Node> {
        let old = match old {
            Some(old) => find(self.volume, &old.id).await?,
            None => None,
        };
        let standing = Standing {
            new: Some(new),
            named: false,
            taken: old.is_some(),
            old,
        };
        let done = self.go_on(standing).await?;
        done.ok_or_else(|| DriveError::not_found("the new file"))
    }

    /// Goes on with a swap of an earlier attempt or an earlier start. `None` when the new node is
    /// gone: the old one has its name again then.
    ///
    /// # Errors
    /// As [`Swapping::begin`].
    pub async fn resume(&self) -> Result<Option<Node>> {
        let standing = self.look().await?;
        self.go_on(standing).await
    }

    /// Gives the old node its name back and the new one the name that it had, unless the new one
    /// has the name already: then only the old one is left to go. The record holds no swap after.
    ///
    /// # Errors
    /// Those of the drive; the record still holds the swap.
    pub async fn undo(&self) -> Result<()> {
        let standing = self.look().await?;
        if standing.named {
            self.go_on(standing).await?;
            let mut record = self.record.lock().await;
            // It is the file now, and no leftover.
            record.created = None;
            record.swap = None;
            return self.engine.journal_put(&record).await;
        }
        self.take_back(standing).await
    }

    async fn go_on(&self, standing: Standing) -> Result<Option<Node>> {
        let (swap, place) = self.journaled().await?;
        let (Some(mut new), mut old) = (standing.new.clone(), standing.old.clone()) else {
            self.take_back(standing).await?;
            return Ok(None);
        };
        if !standing.named {
            if let Some(there) = &old
                && there.id != new.id
                && there.parent == place.parent
                && there.name == place.name
            {
                let meant = swap.old.as_ref().map(|old| old.version.as_str());
                if meant != Some(there.version.as_str()) {
                    self.forget_swap().await?;
                    return Err(DriveError::new(
                        ErrorKind::Exists,
                        format!("{} was changed by somebody else meanwhile", place.name),
                    ));
                }
                let aside = self.rename(there, &swap.aside).await?;
                self.note(|swap| swap.put_aside = Some(replaced(&aside)))
                    .await?;
                old = Some(aside);
            }
            new = match self.name(&new, &place, &swap.way).await {
                Ok(named) => named,
                Err(error) => {
                    if let Err(back) = self.undo_now().await {
                        tracing::error!(
                            name = place.name, error = %back,
                            "the old file has the name {} until that works", swap.aside
                        );
                    }
                    return Err(error);
                }
            };
            let named = new.id.clone();
            {
                let mut record = self.record.lock().await;
                if record.created.is_some() {
                    record.created = Some(named.clone());
                }
            }
            self.note(|swap| swap.named = Some(named)).await?;
        }
        if let Some(old) = old
            && old.id != new.id
            && old.name == swap.aside
        {
            self.engine.retire(self.volume, &old, self.own).await?;
        }
        Ok(Some(new))
    }

    async fn undo_now(&self) -> Result<()> {
        let standing = self.look().await?;
        self.take_back(standing).await
    }

    /// The old node gets its name back, and the new one the one that it came from.
    async fn take_back(&self, standing: Standing) -> Result<()> {
        let (swap, place) = self.journaled().await?;
        if let Some(old) = &standing.old
            && old.name == swap.aside
        {
            if standing.taken {
                // Somebody else has the name by now: what was replaced goes where it was to go.
                self.engine.retire(self.volume, old, self.own).await?;
            } else {
                self.rename(old, &place.name).await?;
            }
        }
        if let (Some(new), Some((parent, name))) = (&standing.new, &swap.from)
            && !standing.named
            && (new.parent != *parent || new.name != *name)
        {
            let home = Place {
                parent: parent.clone(),
                name: name.clone(),
                replaces: None,
            };
            let back = self.name(new, &home, &swap.way).await?;
            let mut record = self.record.lock().await;
            if record.created.is_some() {
                record.created = Some(back.id);
            }
        }
        self.forget_swap().await
    }

    /// The new node on its way to a place. In between it has a name that the journal knows.
    async fn name(&self, new: &Node, place: &Place, way: &str) -> Result<Node> {
        let moving = self.engine.nodes().begin(&self.volume.name, new, false);
        let careful = self.volume.capabilities().path_addressed
            && new.parent != place.parent
            && new.name != place.name
            && new.name != way;
        let mut node = new.clone();
        if careful {
            // The name that it has may be taken there, or be anybody's.
            node = self.volume.drive.rename(&node, way).await?;
        }
        let settled = publish::settle(self.volume, node, place, Some(way)).await?;
        moving.done(&settled);
        self.engine.node_moved(self.volume, new, &settled).await;
        Ok(settled)
    }

    async fn rename(&self, node: &Node, name: &str) -> Result<Node> {
        let moving = self.engine.nodes().begin(&self.volume.name, node, false);
        let mut renamed = self.volume.drive.rename(node, name).await?;
        if renamed.version != node.version {
            // The answer of a rename may lack the hash that names the version.
            renamed = publish::fresh(self.volume, &renamed.id).await?;
        }
        moving.done(&renamed);
        self.engine.node_moved(self.volume, node, &renamed).await;
        Ok(renamed)
    }

    async fn journaled(&self) -> Result<(Swap, Place)> {
        let record = self.record.lock().await;
        let swap = record.swap.clone().ok_or_else(|| {
            DriveError::new(ErrorKind::Invalid, "the record holds no swap under way")
        })?;
        let place = Place {
            parent: record.parent.clone(),
            name: record.name.clone(),
            replaces: None,
        };
        Ok((swap, place))
    }

    async fn note(&self, change: impl FnOnce(&mut Swap)) -> Result<()> {
        let mut record = self.record.lock().await;
        if let Some(swap) = &mut record.swap {
            change(swap);
        }
        self.engine.journal_put(&record).await
    }

    async fn forget_swap(&self) -> Result<()> {
        let mut record = self.record.lock().await;
        record.swap = None;
        self.engine.journal_put(&record).await
    }

    /// Finds out how far it got.
    async fn look(&self) -> Result<Standing> {
        let (swap, place) = self.journaled().await?;
        let size = self.record.lock().await.size;
        if self.volume.capabilities().path_addressed {
            return self.look_by_name(&swap, &place, size).await;
        }
        let new = find(self.volume, &swap.new).await?;
        let old = match &swap.old {
            Some(old) if old.id != swap.new => find(self.volume, &old.id).await?,
            _ => None,
        };
        let at_place = |node: &Node| node.parent == place.parent && node.name == place.name;
        let named = new.as_ref().is_some_and(at_place);
        Ok(Standing {
            taken: named || old.as_ref().is_some_and(at_place),
            named,
            new,
            old,
        })
    }

    async fn look_by_name(&self, swap: &Swap, place: &Place, size: u64) -> Result<Standing> {
        let (from, came_as) = match &swap.from {
            Some((parent, name)) => (parent.clone(), name.clone()),
            // A record of an earlier version of this program: the upload was beside its place.
            None => {
                let record = self.record.lock().await;
                (place.parent.clone(), record.upload_name.clone())
            }
        };
        let here = entries_of(self.volume, &place.parent).await?;
        let there = if from == place.parent {
            Vec::new()
        } else {
            entries_of(self.volume, &from).await?
        };
        let by = |files: &[Node], name: &str| files.iter().find(|node| node.name == name).cloned();
        let aside = by(&here, &swap.aside);
        let standing = by(&here, &place.name);
        let is_old = |node: &Node| {
            let old = swap.old.as_ref();
            old.is_some_and(|old| old.version == node.version && old.id == node.id)
        };
        let at_start = if from == place.parent {
            by(&here, &came_as).filter(|_| came_as != place.name)
        } else {
            by(&there, &came_as)
        };
        let on_the_way = by(&here, &swap.way)
            .or_else(|| by(&there, &swap.way))
            .or_else(|| at_start.filter(|node| swap.named.is_none() && node.size == size));
        // Only our own node can stand there when the old one was set aside and the new one left
        // the place that it came from.
        let arrived = standing
            .clone()
            .filter(|node| on_the_way.is_none() && node.size == size && !is_old(node));
        let old = aside.or_else(|| {
            let still = standing.clone().filter(|_| arrived.is_none());
            still.filter(|_| swap.old.is_some() && swap.put_aside.is_none())
        });
        Ok(Standing {
            named: arrived.is_some(),
            taken: standing.is_some(),
            new: on_the_way.or(arrived),
            old,
        })
    }
}

/// A node by id; `None` when it is gone.
async fn find(volume: &Volume, id: &NodeId) -> Result<Option<Node>> {
    match volume.drive.stat(id).await {
        Ok(node) => Ok(Some(node)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is in a directory; nothing when it is gone.
async fn entries_of(volume: &Volume, dir: &NodeId) -> Result<Vec<Node>> {
    let mut entries = Vec::new();
    let mut cursor = None;
    loop {
        let page = match volume.drive.list(dir, cursor.clone()).await {
            Ok(page) => page,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(entries),
            Err(error) => return Err(error),
        };
        entries.extend(page.nodes);
        match page.next {
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => return Ok(entries),
        }
    }
}
