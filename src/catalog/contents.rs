//! The knowledge base: which fingerprints belong to one content.
//!
//! A content is a size and a set of facts. Facts of two sets belong together when a trusted
//! value of a strong kind is equal in both and nothing trusted differs. An equal MD5 (whole, of
//! slices or of blocks) is weaker, since collisions are made at will: there nothing at all may
//! differ, and where an MD5 fits several contents that differ from each other it says nothing.
//! CID, CRC-64 and heads are kept as facts but never link. User's claims are not learned. What
//! is found by an uploader's claim is handed out as a claim.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::Catalog;
use super::entry::{Entry, NodeKey, signed, unsigned};
use crate::fingerprint::{Fingerprints, Kind, Known, Origin};

/// Values longer than this are found by their SHA-256.
const LONGEST_DIGEST: usize = 64;

/// A stored content.
#[derive(Clone, Debug)]
struct Content {
    number: i64,
    facts: Fingerprints,
    /// Found by more than MD5s.
    surely: bool,
}

impl Catalog {
    /// Learns that these fingerprints belong to one content of `size` bytes. Queued; visible to
    /// [`Catalog::recall`] at once.
    pub fn learn(&self, size: u64, fingerprints: &Fingerprints) {
        let facts = self.worth_keeping(size, fingerprints);
        if size == 0 || !facts.iter().any(|(kind, known)| links(kind, known)) {
            return;
        }
        self.writer
            .run(Box::new(move |connection| learn(connection, size, &facts)));
    }

    /// Everything known about the content that has these fingerprints, them included. For a size
    /// of 0 that is the well-known values.
    pub fn recall(&self, size: u64, fingerprints: &Fingerprints) -> Fingerprints {
        let mut all = fingerprints.clone();
        if size == 0 {
            all.merge(&empty());
            return all;
        }
        self.writer.settle_jobs();
        let asked = self.worth_keeping(size, fingerprints);
        let found = self.read("contents", |connection| {
            let found = gather(connection, size, &asked, Origin::Provider)?;
            if !found.is_empty() {
                return Ok(union(&found));
            }
            let found = gather(connection, size, &asked, Origin::UploaderClaim)?;
            // The first link of this chain is a claim, so the last is no more than one.
            Ok(union(&found)
                .iter()
                .map(|(kind, known)| {
                    let origin = known.origin.min(Origin::UploaderClaim);
                    (
                        kind,
                        Known {
                            origin,
                            ..known.clone()
                        },
                    )
                })
                .collect())
        });
        all.merge(&found.unwrap_or_default());
        all
    }

    /// A claim was proven false: an uploader's claim of this value is forgotten everywhere, and
    /// not believed again.
    pub fn distrust(&self, size: u64, kind: Kind, value: &str) {
        let claim: (u64, Kind, Arc<str>) = (size, kind, value.into());
        let value = claim.2.clone();
        let mut keys: Vec<NodeKey> = self
            .read("distrust", |connection| {
                connection
                    .prepare_cached(
                        "SELECT key FROM nodes WHERE size = ?1 AND instr(fingerprints, ?2) > 0",
                    )?
                    .query_map(params![signed(size), value], |row| row.get(0))?
                    .collect::<rusqlite::Result<Vec<i64>>>()
            })
            .unwrap_or_default()
            .into_iter()
            .map(|key| NodeKey(unsigned(key)))
            .collect();
        {
            let mut tree = self.shared.tree();
            tree.distrusted.insert(claim);
            keys.extend(
                tree.all_rows()
                    .filter(|row| row.node.size == size)
                    .map(|row| row.key),
            );
        }
        for key in keys {
            self.update(key, |entry| {
                let known = entry.node.fingerprints.get(kind)?;
                let hit = known.origin == Origin::UploaderClaim && known.value == value;
                hit.then(|| {
                    let mut node = (*entry.node).clone();
                    node.fingerprints.forget(kind);
                    Entry {
                        node: Arc::new(node),
                        ..entry.clone()
                    }
                })
            });
        }
        self.writer.run(Box::new(move |connection| {
            let kind = kind.to_string();
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO distrusted (size, kind, value) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![signed(size), kind, value])?;
            connection
                .prepare_cached(
                    "DELETE FROM facts WHERE digest = ?1 AND kind = ?2 AND size = ?3
                     AND value = ?4 AND origin = ?5",
                )?
                .execute(params![
                    digest(&value),
                    kind,
                    signed(size),
                    value,
                    Origin::UploaderClaim.code()
                ])?;
            Ok(())
        }));
    }

    /// Without users' claims and claims proven false.
    fn worth_keeping(&self, size: u64, all: &Fingerprints) -> Fingerprints {
        let tree = self.shared.tree();
        all.iter()
            .filter(|(kind, known)| {
                known.origin > Origin::UserClaim
                    && !(known.origin == Origin::UploaderClaim
                        && tree
                            .distrusted
                            .contains(&(size, *kind, known.value.clone())))
            })
            .map(|(kind, known)| (kind, known.clone()))
            .collect()
    }
}

fn links(kind: Kind, known: &Known) -> bool {
    kind.is_strong() && known.origin.is_trusted()
}

fn is_md5(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Md5 | Kind::SliceMd5 { .. } | Kind::BlockListMd5 { .. }
    )
}

/// Whether no kind has different values in both.
fn agrees(one: &Fingerprints, other: &Fingerprints) -> bool {
    one.iter()
        .all(|(kind, known)| other.get(kind).is_none_or(|o| o.value == known.value))
}

fn fits(content: &Content, facts: &Fingerprints) -> bool {
    if content.surely {
        !content.facts.contradicts(facts)
    } else {
        agrees(&content.facts, facts)
    }
}

fn union(contents: &[Content]) -> Fingerprints {
    let mut all = Fingerprints::new();
    for content in contents {
        all.merge(&content.facts);
    }
    all
}

/// The stored contents that are the one with these facts. `weakest` is the least origin of a
/// fact that may be looked up by.
fn gather(
    connection: &Connection,
    size: u64,
    facts: &Fingerprints,
    weakest: Origin,
) -> rusqlite::Result<Vec<Content>> {
    let mut candidates: BTreeMap<i64, bool> = BTreeMap::new();
    for (kind, known) in facts.iter() {
        if !kind.is_strong() || known.origin < weakest {
            continue;
        }
        let numbers = connection
            .prepare_cached(
                "SELECT content FROM facts
                 WHERE digest = ?1 AND kind = ?2 AND size = ?3 AND value = ?4 AND origin >= ?5",
            )?
            .query_map(
                params![
                    digest(&known.value),
                    kind.to_string(),
                    signed(size),
                    &*known.value,
                    Origin::Provider.code()
                ],
                |row| row.get(0),
            )?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        for number in numbers {
            *candidates.entry(number).or_default() |= !is_md5(kind);
        }
    }
    let (mut sure, mut maybe) = (Vec::new(), Vec::new());
    for (number, surely) in candidates {
        let content = Content {
            number,
            facts: read_facts(connection, number)?,
            surely,
        };
        if surely { &mut sure } else { &mut maybe }.push(content);
    }
    let mut all = facts.clone();
    let mut group: Vec<Content> = Vec::new();
    for mut found in [sure, maybe] {
        found.retain(|content| fits(content, &all));
        // Several that differ from each other: there is no telling which one is meant.
        let one = found.iter().enumerate().all(|(n, content)| {
            let mut others = found.iter().skip(n + 1);
            others.all(|other| fits(content, &other.facts))
        });
        if one {
            all.merge(&union(&found));
            group.extend(found);
        }
    }
    Ok(group)
}

/// Stores `facts`, joined with the contents they belong to.
fn learn(connection: &Connection, size: u64, facts: &Fingerprints) -> rusqlite::Result<()> {
    let group = gather(connection, size, facts, Origin::Provider)?;
    // Claims look nothing up when they are learned, only trusted values link.
    let mut all = union(&group);
    all.merge(facts);
    let number = match group.first() {
        Some(first) => first.number,
        None if is_stored(connection, size, facts)? => return Ok(()),
        None => {
            connection
                .prepare_cached("INSERT INTO contents (size) VALUES (?1)")?
                .execute([signed(size)])?;
            connection.last_insert_rowid()
        }
    };
    for other in group.iter().skip(1) {
        connection
            .prepare_cached("DELETE FROM contents WHERE content = ?1")?
            .execute([other.number])?;
    }
    let stored = group.first().map(|first| &first.facts);
    for (kind, known) in all.iter() {
        if stored.and_then(|stored| stored.get(kind)) == Some(known) {
            continue;
        }
        connection
            .prepare_cached(
                "INSERT INTO facts (content, kind, size, digest, value, origin, provider, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (content, kind) DO UPDATE
                 SET digest = ?4, value = ?5, origin = ?6, provider = ?7, at = ?8",
            )?
            .execute(params![
                number,
                kind.to_string(),
                signed(size),
                digest(&known.value),
                &*known.value,
                known.origin.code(),
                &*known.provider,
                known.at
            ])?;
    }
    Ok(())
}

/// Whether one content has all of these values already. An MD5 that fits several contents joins
/// none of them, and without this it would be stored anew each time.
fn is_stored(connection: &Connection, size: u64, facts: &Fingerprints) -> rusqlite::Result<bool> {
    let Some((kind, known)) = facts.iter().find(|(kind, known)| links(*kind, known)) else {
        return Ok(false);
    };
    let numbers = connection
        .prepare_cached("SELECT content FROM facts WHERE digest = ?1 AND kind = ?2 AND size = ?3")?
        .query_map(
            params![digest(&known.value), kind.to_string(), signed(size)],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    for number in numbers {
        let stored = read_facts(connection, number)?;
        if facts.iter().all(|(kind, known)| {
            stored
                .get(kind)
                .is_some_and(|s| s.value == known.value && s.origin >= known.origin)
        }) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read_facts(connection: &Connection, content: i64) -> rusqlite::Result<Fingerprints> {
    let facts = connection
        .prepare_cached("SELECT kind, value, origin, provider, at FROM facts WHERE content = ?1")?
        .query_map([content], |row| {
            let kind: String = row.get(0)?;
            let known = Known {
                value: Arc::from(row.get::<_, String>(1)?),
                origin: Origin::from_code(row.get(2)?),
                provider: Arc::from(row.get::<_, String>(3)?),
                at: row.get(4)?,
            };
            Ok(Kind::parse(&kind).map(|kind| (kind, known)))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(facts.into_iter().flatten().collect())
}

/// What a value is found by.
fn digest(value: &str) -> String {
    if value.len() <= LONGEST_DIGEST {
        return value.to_owned();
    }
    let hash = Sha256::digest(value.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fingerprints of no bytes.
fn empty() -> Fingerprints {
    [
        (Kind::Md5, "d41d8cd98f00b204e9800998ecf8427e"),
        (Kind::Sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        (
            Kind::Sha256,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (Kind::Crc64, "0000000000000000"),
    ]
    .into_iter()
    .map(|(kind, value)| {
        let known = Known {
            value: value.into(),
            origin: Origin::Computed,
            provider: "".into(),
            at: 0,
        };
        (kind, known)
    })
    .collect()
}

#[cfg(test)]
#[path = "contents_tests.rs"]
mod tests;
