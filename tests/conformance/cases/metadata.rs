//! Stat, quota, fingerprints, and whether what is declared makes sense.

use bytes::Bytes;
use panfuse::drive::{ErrorKind, GivesWhen, HashesDue, Node, NodeKind, Quota};
use panfuse::fingerprint::{Origin, hash_all};

use crate::actions::{find, names, put, sample};
use crate::sample::Sample;
use crate::stage::Stage;
use crate::{Outcome, skip};

pub async fn stat_is_fresh(stage: Stage) -> Outcome {
    let first = Sample::new(1, 100).bytes;
    let dir = stage.dir("d").await;
    let node = stage.seed("d/f.txt", &first).await;
    assert_eq!((node.name.as_str(), node.size), ("f.txt", 100));
    assert_eq!((node.kind, &node.parent), (NodeKind::File, &dir.id));
    assert!(node.modified > 0);
    let root = stage.drive.stat(&stage.drive.root()).await.unwrap();
    assert!(root.is_dir());
    // The clock moves on, so that a version of times alone differs too.
    stage.advance(5_000);
    if stage.caps.path_addressed {
        stage.rewrite(&node, "d/f.txt", &Sample::new(2, 200).bytes);
        let fresh = stage.drive.stat(&node.id).await.unwrap();
        assert_eq!(fresh.size, 200);
        assert_ne!(fresh.version, node.version, "other bytes, the same version");
    } else {
        // An id keeps its bytes; name and place are what others change.
        let top = stage.dir("e").await;
        stage.relocate(&node, &top, "g.txt");
        let fresh = stage.drive.stat(&node.id).await.unwrap();
        assert_eq!((fresh.name.as_str(), &fresh.parent), ("g.txt", &top.id));
        assert_eq!(
            fresh.version, node.version,
            "the same bytes, another version"
        );
    }
    Ok(())
}

pub async fn stat_of_nothing(stage: Stage) -> Outcome {
    let node = stage.seed("f.txt", &Bytes::from_static(b"soon gone")).await;
    stage.remove(&node, "f.txt");
    let error = stage.drive.stat(&node.id).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    Ok(())
}

pub async fn quota_counts(stage: Stage) -> Outcome {
    let before = stage.drive.quota().await.unwrap();
    if stage.caps.shared {
        assert_eq!((before.total, before.used), (0, 0));
        return skip("a share has no space of its own");
    }
    if before == Quota::default() {
        return skip("no figure of the space is told");
    }
    assert!(before.total > 0);
    assert!(before.used <= before.total);
    if stage.world.is_some() {
        stage.seed_only("big.bin", &Sample::new(5, 1 << 20).bytes);
        let after = stage.drive.quota().await.unwrap();
        assert_eq!(after.total, before.total);
        assert_eq!(after.used, before.used + (1 << 20));
    }
    Ok(())
}

/// What a node says about its content is declared, right, and of the declared origin.
async fn check(stage: &Stage, node: &Node, bytes: &Bytes) {
    assert!(
        node.fingerprints.iter().next().is_some()
            || stage
                .caps
                .gives
                .iter()
                .all(|gives| gives.when == GivesWhen::ExtraCall),
        "nothing is given"
    );
    for (kind, known) in node.fingerprints.iter() {
        let gives = stage.caps.gives.iter().find(|gives| gives.kind == kind);
        let gives = gives.unwrap_or_else(|| panic!("{kind} is given, not declared"));
        assert_eq!(known.origin, gives.origin, "{kind}");
    }
    for gives in stage.caps.gives {
        let known = match gives.when {
            GivesWhen::AtList | GivesWhen::OnceComputed | GivesWhen::Sometimes => {
                node.fingerprints.get(gives.kind).cloned()
            }
            GivesWhen::ExtraCall => {
                let asked = stage.drive.fingerprint(node, gives.kind).await;
                asked.unwrap_or_else(|error| panic!("{}: {error}", gives.kind))
            }
        };
        if known.is_none() && gives.when == GivesWhen::Sometimes {
            continue;
        }
        let known = known.unwrap_or_else(|| panic!("{} is declared, not given", gives.kind));
        let computed = hash_all(&[gives.kind], bytes);
        assert_eq!(*known.value, *computed[0].1, "{}", gives.kind);
        assert!(matches!(
            gives.origin,
            Origin::Provider | Origin::UploaderClaim
        ));
    }
}

pub async fn fingerprints_are_given(stage: Stage) -> Outcome {
    if stage.caps.gives.is_empty() {
        return skip("no fingerprint is declared");
    }
    let dir = stage.dir("d").await;
    for (seed, size) in [(1, 1), (2, 4000), (3, 700_001)] {
        // What a share shows was put there by somebody else.
        if !stage.caps.read_only {
            let content = sample(&stage, seed, size);
            let name = format!("{size}.bin");
            let made = put(&stage, &dir.id, &name, &content).await.unwrap();
            stage.settle();
            let fresh = stage.drive.stat(&made.id).await.unwrap();
            check(&stage, &fresh, &content.bytes).await;
            let listed = find(&*stage.drive, &dir.id, &name).await;
            check(&stage, &listed, &content.bytes).await;
        }
        if stage.world.is_some() {
            let seeded = Sample::new(seed + 50, size);
            let name = format!("seeded {size}.bin");
            stage.seed_only(&format!("d/{name}"), &seeded.bytes);
            let listed = find(&*stage.drive, &dir.id, &name).await;
            check(&stage, &listed, &seeded.bytes).await;
        }
    }
    Ok(())
}

pub async fn a_profile_can_start_below(stage: Stage) -> Outcome {
    let top = stage.dir("top").await;
    stage
        .seed("top/inside.txt", &Bytes::from_static(b"x"))
        .await;
    stage.seed("outside.txt", &Bytes::from_static(b"y")).await;
    let below = stage.opened_at(Some(top.id.to_string()));
    assert_eq!(below.root(), top.id);
    assert_eq!(names(&*below, &below.root()).await, ["inside.txt"]);
    let made = below.mkdir(&below.root(), "new").await.unwrap();
    assert_eq!(made.parent, top.id);
    Ok(())
}

pub async fn capabilities_are_sound(stage: Stage) -> Outcome {
    let caps = &stage.caps;
    assert!(caps.parallel_reads > 0 && caps.max_name_bytes >= 250);
    assert!(!caps.copy_with_name || caps.copy);
    assert!(!caps.restore || caps.trash);
    assert!(!caps.rename_extension || caps.rename);
    assert!(
        caps.questions
            .iter()
            .all(|question| !question.kinds.is_empty())
    );
    match caps.upload.hashes_due {
        HashesDue::Never => assert!(caps.upload.hashes.is_empty()),
        _ => assert!(!caps.upload.hashes.is_empty()),
    }
    for gives in caps.gives {
        assert!(matches!(
            gives.origin,
            Origin::Provider | Origin::UploaderClaim
        ));
        assert_eq!(caps.origin_of(gives.kind), Some(gives.origin));
    }
    // Asked of every drive, told by those that know users.
    stage.drive.quota().await.unwrap();
    stage.drive.list(&stage.drive.root(), None).await.unwrap();
    if stage.world.is_some() {
        let id = stage.drive.account_id();
        assert_eq!(id, stage.drive.account_id());
        assert_ne!(id.as_deref(), Some(""));
    }
    Ok(())
}
