use proptest::prelude::*;

use super::*;

fn known(value: &str, origin: Origin) -> Known {
    Known {
        value: value.into(),
        origin,
        provider: "p".into(),
        at: 1,
    }
}

fn facts(list: &[(Kind, &str, Origin)]) -> Fingerprints {
    list.iter().map(|(k, v, o)| (*k, known(v, *o))).collect()
}

fn value(all: &Fingerprints, kind: Kind) -> Option<&str> {
    all.get(kind).map(|known| &*known.value)
}

use Kind::{Cid, Crc64, Gcid, Md5, Sha1, Sha256};
use Origin::{Computed, Provider, UploaderClaim, UserClaim};

#[test]
fn kinds_of_one_content_are_linked() {
    let catalog = Catalog::in_memory().unwrap();
    catalog.learn(9, &facts(&[(Md5, "m", Computed), (Sha1, "s", Computed)]));
    catalog.learn(9, &facts(&[(Sha1, "s", Provider), (Gcid, "g", Computed)]));
    let all = catalog.recall(9, &facts(&[(Md5, "m", Provider)]));
    assert_eq!(value(&all, Gcid), Some("g"));
    assert_eq!(all.get(Sha1).unwrap().origin, Computed);
    let other_size = catalog.recall(10, &facts(&[(Md5, "m", Provider)]));
    assert_eq!(value(&other_size, Gcid), None);
}

#[test]
fn two_contents_become_one_when_a_strong_hash_joins_them() {
    let catalog = Catalog::in_memory().unwrap();
    catalog.learn(9, &facts(&[(Sha256, "t", Computed), (Md5, "m", Computed)]));
    catalog.learn(9, &facts(&[(Sha1, "s", Computed), (Gcid, "g", Computed)]));
    catalog.learn(9, &facts(&[(Sha256, "t", Computed), (Sha1, "s", Computed)]));
    assert!(catalog.flush());
    assert_eq!(catalog.stats().rows["contents"], 1);
    let all = catalog.recall(9, &facts(&[(Gcid, "g", Provider)]));
    assert_eq!(value(&all, Md5), Some("m"));
}

// S-088
#[test]
fn an_equal_md5_joins_nothing_that_differs() {
    let catalog = Catalog::in_memory().unwrap();
    catalog.learn(9, &facts(&[(Md5, "m", Computed), (Sha1, "a", Computed)]));
    catalog.learn(9, &facts(&[(Md5, "m", Computed), (Sha1, "b", Computed)]));
    let asked = facts(&[(Md5, "m", Provider)]);
    assert_eq!(catalog.recall(9, &asked), asked, "it says nothing");
    let asked = facts(&[(Sha1, "a", Provider)]);
    assert_eq!(value(&catalog.recall(9, &asked), Md5), Some("m"));
    // What fits both is stored once, however often it is learned, and joins neither.
    for _ in 0..3 {
        catalog.learn(9, &facts(&[(Md5, "m", Computed), (Crc64, "c", Computed)]));
    }
    assert!(catalog.flush());
    assert_eq!(catalog.stats().rows["contents"], 3);
    let all = catalog.recall(9, &facts(&[(Sha1, "a", Provider)]));
    assert_eq!(value(&all, Crc64), None);
}

// S-088
#[test]
fn claims_do_not_link_nor_overwrite() {
    let catalog = Catalog::in_memory().unwrap();
    catalog.learn(9, &facts(&[(Gcid, "g", Computed), (Md5, "m", Computed)]));
    catalog.learn(
        9,
        &facts(&[(Gcid, "g", UploaderClaim), (Sha1, "x", Provider)]),
    );
    catalog.learn(
        9,
        &facts(&[(Sha1, "m2", Computed), (Gcid, "y", UploaderClaim)]),
    );
    let all = catalog.recall(9, &facts(&[(Md5, "m", Provider)]));
    assert_eq!(value(&all, Gcid), Some("g"));
    assert_eq!(value(&all, Sha1), None);
    // With an MD5 alone even a claim that differs keeps contents apart, until it is proven false.
    let doubtful = facts(&[(Md5, "m", Provider), (Gcid, "z", UploaderClaim)]);
    catalog.learn(9, &doubtful);
    assert_eq!(catalog.recall(9, &doubtful), doubtful);
    catalog.distrust(9, Gcid, "z");
    let all = catalog.recall(9, &facts(&[(Md5, "m", Provider)]));
    assert_eq!(value(&all, Gcid), Some("g"));
    // A claim gives way to what was computed.
    let claim = facts(&[(Sha1, "m2", Computed), (Gcid, "true", Computed)]);
    catalog.learn(9, &claim);
    catalog.learn(
        9,
        &facts(&[(Sha1, "m2", Provider), (Gcid, "y", UploaderClaim)]),
    );
    let all = catalog.recall(9, &facts(&[(Sha1, "m2", Provider)]));
    assert_eq!(all.get(Gcid), claim.get(Gcid));
    // Found by a claim: no more than a claim.
    let all = catalog.recall(9, &facts(&[(Gcid, "g", UploaderClaim)]));
    assert_eq!(all.get(Md5).unwrap().origin, UploaderClaim);
    let all = catalog.recall(9, &facts(&[(Gcid, "g", UserClaim)]));
    assert_eq!(value(&all, Md5), None);
}

#[test]
fn weak_kinds_never_link_and_users_are_not_believed() {
    let catalog = Catalog::in_memory().unwrap();
    let head = Kind::HeadMd5 { len: 262_144 };
    for weak in [Cid, Crc64, head] {
        catalog.learn(9, &facts(&[(weak, "w", Computed), (Sha1, "s", Computed)]));
        let all = catalog.recall(9, &facts(&[(weak, "w", Computed)]));
        assert_eq!(value(&all, Sha1), None, "{weak}");
    }
    catalog.learn(
        9,
        &facts(&[(Sha1, "s", Computed), (Sha256, "u", UserClaim)]),
    );
    let all = catalog.recall(9, &facts(&[(Sha1, "s", Computed)]));
    assert_eq!(value(&all, Cid), Some("w"));
    assert_eq!(value(&all, Sha256), None);
}

#[test]
fn nothing_is_learned_about_no_bytes() {
    let catalog = Catalog::in_memory().unwrap();
    let md5 = "d41d8cd98f00b204e9800998ecf8427e";
    catalog.learn(0, &facts(&[(Md5, md5, Computed), (Gcid, "g", Computed)]));
    let all = catalog.recall(0, &facts(&[(Md5, md5, Computed)]));
    assert_eq!(value(&all, Gcid), None);
    assert_eq!(
        value(&all, Sha1),
        Some("da39a3ee5e6b4b0d3255bfef95601890afd80709")
    );
}

#[test]
fn long_block_lists_link_by_their_whole_value() {
    let catalog = Catalog::in_memory().unwrap();
    let list = vec!["d41d8cd98f00b204e9800998ecf8427e"; 100].join(",");
    let blocks = Kind::BAIDU_BLOCKS;
    catalog.learn(
        9,
        &facts(&[(blocks, &list, Computed), (Sha1, "s", Computed)]),
    );
    let all = catalog.recall(9, &facts(&[(blocks, &list, Provider)]));
    assert_eq!(value(&all, Sha1), Some("s"));
}

#[test]
fn a_false_claim_is_forgotten_and_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    {
        let catalog = Catalog::open(&path).unwrap().catalog;
        catalog.learn(
            9,
            &facts(&[(Sha1, "s", Computed), (Gcid, "g", UploaderClaim)]),
        );
        catalog.learn(9, &facts(&[(Sha256, "t", Computed), (Gcid, "g", Computed)]));
        catalog.distrust(9, Gcid, "g");
        let all = catalog.recall(9, &facts(&[(Sha1, "s", Provider)]));
        assert_eq!(value(&all, Gcid), None);
        let all = catalog.recall(9, &facts(&[(Sha256, "t", Provider)]));
        assert_eq!(value(&all, Gcid), Some("g"), "computed, not claimed");
    }
    let catalog = Catalog::open(&path).unwrap().catalog;
    catalog.learn(
        9,
        &facts(&[(Sha1, "s", Computed), (Gcid, "g", UploaderClaim)]),
    );
    let all = catalog.recall(9, &facts(&[(Sha1, "s", Provider)]));
    assert_eq!(value(&all, Gcid), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Truth: content `n` has md5 `n % 2` (collisions), sha1 and sha256 of its own. Whatever
    /// parts of the truth are learned in whatever order, nothing recalled by a sha1 is another
    /// content's, and no stored content mixes two.
    #[test]
    fn colliding_md5s_never_mix_contents(
        parts in prop::collection::vec((0u8..4, 1u8..8), 1..30)
    ) {
        let catalog = Catalog::in_memory().unwrap();
        for (n, mask) in &parts {
            let (md5, sha1, sha256) = (format!("m{}", n % 2), format!("s{n}"), format!("t{n}"));
            let mut learned = Fingerprints::new();
            for (bit, kind, text) in [(1, Md5, md5), (2, Sha1, sha1), (4, Sha256, sha256)] {
                if mask & bit != 0 {
                    learned.learn(kind, known(&text, Computed));
                }
            }
            // With every MD5 comes what tells the contents apart.
            if mask & 1 != 0 {
                learned.learn(Sha1, known(&format!("s{n}"), Computed));
            }
            catalog.learn(7, &learned);
        }
        for n in 0..4 {
            let all = catalog.recall(7, &facts(&[(Sha1, &format!("s{n}"), Provider)]));
            prop_assert_eq!(value(&all, Sha1), Some(&*format!("s{n}")));
            let together = |bits| parts.iter().any(|(part, mask)| *part == n && mask & bits == bits);
            // A part with an MD5 always has the SHA-1, too.
            let md5 = format!("m{}", n % 2);
            prop_assert_eq!(value(&all, Md5), together(1).then_some(&*md5));
            let sha256 = format!("t{n}");
            let linked = together(6) || together(5);
            prop_assert_eq!(value(&all, Sha256), linked.then_some(&*sha256));
            let contradictory = catalog.recall(
                7,
                &facts(&[(Md5, &format!("m{}", n % 2), Provider), (Sha1, "other", Provider)]),
            );
            prop_assert_eq!(value(&contradictory, Sha1), Some("other"));
            prop_assert_eq!(value(&contradictory, Sha256), None);
        }
    }
}
