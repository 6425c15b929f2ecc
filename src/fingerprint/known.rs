//! The known fingerprints of one content, each with its origin and time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Kind;

/// Where a value comes from, weakest first. A weaker one never overwrites a stronger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// Set by a user (`setfattr`, import). Kept to compare with, never starts an attempt.
    UserClaim,
    /// Repeated by a provider that did not compute it (PikPak's and Xunlei's gcid,
    /// WebDAV and S3 metadata). May start an attempt; the hit is compared by samples.
    UploaderClaim,
    /// Computed and listed by the provider (115, Aliyun, 123, 189).
    Provider,
    /// Listed by the provider and confirmed by reading the content back.
    Confirmed,
    /// Computed here from the bytes.
    Computed,
}

impl Origin {
    /// `computed`, `confirmed` or `claimed`, as the xattr `fp_source` has it.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Computed => "computed",
            Origin::Confirmed => "confirmed",
            _ => "claimed",
        }
    }

    /// Whether a hit decided by it needs no comparison of samples (DESIGN 3.7).
    pub fn is_trusted(self) -> bool {
        self >= Origin::Provider
    }

    /// The number stored in the catalog.
    pub fn code(self) -> u8 {
        match self {
            Origin::UserClaim => 0,
            Origin::UploaderClaim => 1,
            Origin::Provider => 2,
            Origin::Confirmed => 3,
            Origin::Computed => 4,
        }
    }

    /// The inverse of [`Origin::code`]; unknown numbers are the weakest origin.
    pub fn from_code(code: u8) -> Origin {
        match code {
            4 => Origin::Computed,
            3 => Origin::Confirmed,
            2 => Origin::Provider,
            1 => Origin::UploaderClaim,
            _ => Origin::UserClaim,
        }
    }
}

/// One known value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The value in the normal spelling of its kind.
    pub value: Arc<str>,
    /// How it was learned.
    pub origin: Origin,
    /// The provider that said it, empty when computed here.
    pub provider: Arc<str>,
    /// When it was learned, milliseconds since the Unix epoch.
    pub at: i64,
}

/// The known fingerprints of one content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints(BTreeMap<Kind, Known>);

impl Fingerprints {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The known value of `kind`.
    pub fn get(&self, kind: Kind) -> Option<&Known> {
        self.0.get(&kind)
    }

    /// The value of `kind` when it may start an attempt (anything but a user's claim).
    pub fn usable(&self, kind: Kind) -> Option<&Known> {
        self.get(kind).filter(|k| k.origin > Origin::UserClaim)
    }

    /// Remembers a value unless a stronger origin already said something about this kind.
    /// Returns whether anything changed.
    pub fn learn(&mut self, kind: Kind, known: Known) -> bool {
        match self.0.get(&kind) {
            Some(old) if old.origin > known.origin => false,
            Some(old) if old.origin == known.origin && old.value == known.value => false,
            _ => {
                self.0.insert(kind, known);
                true
            }
        }
    }

    /// Forgets a kind (a distrusted claim).
    pub fn forget(&mut self, kind: Kind) {
        self.0.remove(&kind);
    }

    /// Learns everything that `other` knows.
    pub fn merge(&mut self, other: &Fingerprints) {
        for (kind, known) in &other.0 {
            self.learn(*kind, known.clone());
        }
    }

    /// Whether a trusted value of any strong kind differs in both.
    pub fn contradicts(&self, other: &Fingerprints) -> bool {
        self.0.iter().any(|(kind, mine)| {
            mine.origin.is_trusted()
                && other
                    .get(*kind)
                    .is_some_and(|theirs| theirs.origin.is_trusted() && theirs.value != mine.value)
        })
    }

    /// Every known kind with its value, in the order of the kinds.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &Known)> {
        self.0.iter().map(|(kind, known)| (*kind, known))
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Kind, Known)> for Fingerprints {
    fn from_iter<T: IntoIterator<Item = (Kind, Known)>>(items: T) -> Self {
        let mut all = Fingerprints::new();
        for (kind, known) in items {
            all.learn(kind, known);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(value: &str, origin: Origin) -> Known {
        Known {
            value: value.into(),
            origin,
            provider: "".into(),
            at: 0,
        }
    }

    #[test]
    fn a_claim_never_overwrites_a_computed_value() {
        let mut all = Fingerprints::new();
        assert!(all.learn(Kind::Md5, known("a", Origin::UploaderClaim)));
        assert!(all.learn(Kind::Md5, known("b", Origin::Computed)));
        assert!(!all.learn(Kind::Md5, known("c", Origin::Provider)));
        assert_eq!(&*all.get(Kind::Md5).unwrap().value, "b");
    }

    #[test]
    fn a_user_claim_starts_no_attempt() {
        let mut all = Fingerprints::new();
        all.learn(Kind::Sha1, known("a", Origin::UserClaim));
        assert!(all.usable(Kind::Sha1).is_none());
    }
}
