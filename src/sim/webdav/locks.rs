//! LOCK, UNLOCK and the `If` header (RFC 4918, 6, 7, 9.10, 9.11, 10.4; sheet, 4.3 point 12).
//! Exclusive write locks only.

use anyhow::Context;

use super::super::account::Account;
use super::super::body::set;
use super::super::content::Blob;
use super::super::tree::{Node, Tree};
use super::errors::{DavError, empty, plain};
use super::gate::{Answer, Ctx};
use super::xml::{self, Writer, escape};
use super::{State, WebDav};

/// A lock.
pub(super) struct Lock {
    profile: String,
    /// The entry it was taken on.
    id: String,
    token: String,
    owner: String,
    /// Whether everything below is locked as well.
    deep: bool,
    /// Milliseconds since 1970.
    until: i64,
}

impl Lock {
    /// Whether it has not timed out.
    pub fn lives(&self, now: i64) -> bool {
        now < self.until
    }

    /// Whether it was taken on this entry.
    pub fn is_on(&self, account: &Account, id: &str) -> bool {
        self.profile == account.profile && self.id == id
    }

    /// Whether it protects this entry.
    fn covers(&self, tree: &Tree, id: &str) -> bool {
        self.id == id || (self.deep && tree.is_below(id, &self.id))
    }
}

/// The markup of a lock in `lockdiscovery`.
pub(super) fn active(lock: &Lock, writer: &Writer, now: i64) -> String {
    let tag = |name: &str, inner: &str| {
        let name = writer.dav(name);
        format!("<{name}>{inner}</{name}>")
    };
    // A second that has begun counts.
    let left = lock.until.saturating_sub(now).max(0).saturating_add(999) / 1000;
    let inner = [
        tag("locktype", &format!("<{}/>", writer.dav("write"))),
        tag("lockscope", &format!("<{}/>", writer.dav("exclusive"))),
        tag("depth", if lock.deep { "infinity" } else { "0" }),
        tag("owner", &escape(&lock.owner)),
        tag("timeout", &format!("Second-{left}")),
        tag("locktoken", &tag("href", &lock.token)),
    ];
    tag("activelock", &inner.concat())
}

/// The tokens that an `If` header submits: what stands in angle brackets inside of lists.
fn submitted(header: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    for list in header.split('(').skip(1) {
        let list = list.split(')').next().unwrap_or("");
        for piece in list.split('<').skip(1) {
            if let Some((token, _)) = piece.split_once('>') {
                tokens.push(token);
            }
        }
    }
    tokens
}

impl WebDav {
    /// The setting `locked:PATH`.
    pub(super) fn lock_for_somebody(
        &self,
        account: &Account,
        path: &str,
        seconds: &str,
    ) -> anyhow::Result<()> {
        let seconds: i64 = seconds.trim().parse().context("seconds")?;
        let id = account
            .tree()
            .resolve(path)
            .map(|node| node.id.clone())
            .with_context(|| format!("no {path}"))?;
        let mut state = self.state();
        state.locks.retain(|lock| !lock.is_on(account, &id));
        state.locks.push(Lock {
            profile: account.profile.clone(),
            id,
            token: format!("opaquelocktoken:{}", self.kit.ids.hex(32)),
            owner: "somebody else".to_owned(),
            deep: true,
            until: self
                .kit
                .clock
                .now_ms()
                .saturating_add(seconds.saturating_mul(1000)),
        });
        Ok(())
    }
}

impl Ctx {
    /// Refuses a change of entries that are locked by tokens the client does not submit, and
    /// any change without a token where locks are demanded. Each entry comes with whether all
    /// below it changes as well; of a new or a vanishing one the directory changes too.
    pub(super) fn unlocked(
        &self,
        state: &State,
        tree: &Tree,
        changed: &[(&str, bool)],
    ) -> Result<(), DavError> {
        let tokens = submitted(self.header("if"));
        let now = self.now();
        let live = state
            .locks
            .iter()
            .filter(|lock| lock.profile == self.account.profile && lock.lives(now));
        let live: Vec<&Lock> = live.collect();
        let held = |lock: &Lock| tokens.contains(&lock.token.as_str());
        let stale = tokens
            .iter()
            .any(|token| !live.iter().any(|lock| lock.token == *token));
        if stale {
            return Err(DavError::new(412, "The lock of the If header is gone"));
        }
        let locked = |why: &str| DavError::new(423, why).because("lock-token-submitted");
        let mut covered = false;
        for (id, deep) in changed {
            for lock in &live {
                let touches = lock.covers(tree, id) || (*deep && tree.is_below(&lock.id, id));
                if touches && !held(lock) {
                    return Err(locked("The resource is locked"));
                }
                covered |= touches;
            }
        }
        match self.account.knobs.flag("require_lock") && !covered {
            true => Err(locked("The resource has to be locked first")),
            false => Ok(()),
        }
    }

    /// Forgets the locks on an entry that goes away, and below it.
    pub(super) fn release(&self, state: &mut State, tree: &Tree, id: &str) {
        let own = |lock: &Lock| lock.profile == self.account.profile;
        state
            .locks
            .retain(|lock| !(own(lock) && tree.is_below(&lock.id, id)));
    }

    fn lock_until(&self) -> i64 {
        let longest = self.account.knobs.number("lock_seconds", 600);
        let asked = self.header("timeout").split(',').find_map(|wish| {
            let wish = wish.trim();
            match wish.strip_prefix("Second-") {
                Some(seconds) => seconds.parse::<u64>().ok(),
                None => (wish == "Infinite").then_some(u64::MAX),
            }
        });
        let seconds = asked.unwrap_or(longest).min(longest);
        let ms = i64::try_from(seconds)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        self.now().saturating_add(ms)
    }

    /// LOCK: a new one with a body, a refresh without.
    pub(super) fn lock(&self, document: &str) -> Answer {
        if !self.yes("locks") {
            return Err(self.not_allowed());
        }
        let until = self.lock_until();
        if document.trim().is_empty() {
            let tokens = submitted(self.header("if"));
            let node = self.found()?;
            let mut state = self.sim.state();
            let tree = self.account.tree();
            let now = self.now();
            let own = state.locks.iter_mut().find(|lock| {
                lock.lives(now)
                    && lock.profile == self.account.profile
                    && lock.covers(&tree, &node.id)
                    && tokens.contains(&lock.token.as_str())
            });
            let lock = own.ok_or_else(|| DavError::new(412, "There is no such lock"))?;
            lock.until = until;
            return Ok(self.discovered(200, lock));
        }
        self.check_xml(document)?;
        let bad = || DavError::new(400, "The body is not a lockinfo document");
        let root = xml::parse(document).filter(|root| root.is("lockinfo"));
        let root = root.ok_or_else(bad)?;
        let inside = |outer: &str, inner: &str| root.child(outer).and_then(|e| e.child(inner));
        if inside("locktype", "write").is_none() {
            return Err(bad());
        }
        if inside("lockscope", "exclusive").is_none() {
            return Err(DavError::new(403, "Only exclusive locks are supported"));
        }
        let deep = match self.header("depth").to_ascii_lowercase().as_str() {
            "0" => false,
            "infinity" | "" => true,
            _ => return Err(DavError::new(400, "Depth is 0 or infinity")),
        };
        let owner = root.child("owner").map(|owner| {
            let href = owner.child("href").map_or("", |href| href.text.trim());
            format!("{}{href}", owner.text.trim())
        });
        let mut state = self.sim.state();
        let mut tree = self.account.tree();
        let (id, new) = match self.node(&tree, &self.at) {
            Some(node) => (node.id, false),
            None => (self.lock_unmapped(&state, &mut tree)?, true),
        };
        let now = self.now();
        let taken = state.locks.iter().any(|lock| {
            lock.profile == self.account.profile
                && lock.lives(now)
                && (lock.covers(&tree, &id) || (deep && tree.is_below(&lock.id, &id)))
        });
        if taken {
            return Err(DavError::new(423, "It is locked").because("no-conflicting-lock"));
        }
        let lock = Lock {
            profile: self.account.profile.clone(),
            id,
            token: format!("opaquelocktoken:{}", self.sim.kit.ids.hex(32)),
            owner: owner.unwrap_or_default(),
            deep,
            until,
        };
        let mut response = self.discovered(if new { 201 } else { 200 }, &lock);
        set(&mut response, "lock-token", &format!("<{}>", lock.token));
        state.locks.push(lock);
        Ok(response)
    }

    /// A lock on a name that is free makes an empty file (RFC 4918, 7.3).
    fn lock_unmapped(&self, state: &State, tree: &mut Tree) -> Result<String, DavError> {
        if self.at.slash {
            return Err(DavError::new(409, "There is no such collection"));
        }
        self.check_name(self.at.name())?;
        let parent = self.parent_dir(tree, &self.at)?;
        // A lock is what this call is for: it need not have one yet.
        if !self.account.knobs.flag("require_lock") {
            self.unlocked(state, tree, &[(&parent.id, false)])?;
        }
        let id = self.sim.kit.ids.decimal(8);
        let empty = Blob::bytes("");
        tree.insert(Node::file(
            &id,
            &parent.id,
            self.at.name(),
            empty,
            self.now(),
        ));
        self.sim.stamp(tree, &id);
        Ok(id)
    }

    fn discovered(&self, status: u16, lock: &Lock) -> axum::response::Response {
        let mut writer = self.writer("prop");
        let inner = active(lock, &writer, self.now());
        writer.open("lockdiscovery");
        writer.text += &inner;
        writer.close("lockdiscovery");
        let mut response = plain(status, writer.finish("prop"));
        let kind = "application/xml; charset=utf-8";
        set(&mut response, "content-type", kind);
        response
    }

    /// UNLOCK.
    pub(super) fn unlock(&self) -> Answer {
        if !self.yes("locks") {
            return Err(self.not_allowed());
        }
        let token = self.header("lock-token");
        let token = token
            .strip_prefix('<')
            .and_then(|token| token.strip_suffix('>'))
            .ok_or_else(|| DavError::new(400, "Lock-Token is <token>"))?;
        let node = self.found()?;
        let mut state = self.sim.state();
        let tree = self.account.tree();
        let now = self.now();
        let at = state.locks.iter().position(|lock| {
            lock.token == token
                && lock.lives(now)
                && lock.profile == self.account.profile
                && lock.covers(&tree, &node.id)
        });
        let Some(at) = at else {
            let error = DavError::new(409, "There is no such lock here");
            return Err(error.because("lock-token-matches-request-uri"));
        };
        state.locks.remove(at);
        Ok(empty(204))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_the_if_header() {
        assert_eq!(submitted("(<a:1>)"), ["a:1"]);
        assert_eq!(
            submitted("<http://h/x> (<a:1> [\"tag\"]) (Not <b:2>)"),
            ["a:1", "b:2"]
        );
        assert!(submitted("([\"tag\"])").is_empty());
        assert!(submitted("<http://h/x>").is_empty());
    }
}
