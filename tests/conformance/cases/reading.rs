//! Range reads: exact, cut, corrupt, changed.

use panfuse::drive::ErrorKind;
use panfuse::fingerprint::hash_all;
use panfuse::net::Retry;
use panfuse::sim::FaultKind;

use crate::actions::{find, put, read, read_all, read_until_error, sample};
use crate::sample::Sample;
use crate::stage::Stage;
use crate::{Outcome, skip};

pub async fn ranges(stage: Stage) -> Outcome {
    let size = 1_000_003;
    let bytes = Sample::new(7, size).bytes;
    let node = stage.seed("f.bin", &bytes).await;
    let drive = &*stage.drive;
    for range in [
        0..1,
        499_999..600_001,
        4095..4097,
        size - 1..size,
        size - 70_000..size,
        0..size,
    ] {
        stage.reset();
        let got = read(drive, &node, range.clone()).await.unwrap();
        let wanted = bytes.slice(range.start as usize..range.end as usize);
        assert!(got == wanted, "{range:?}");
        if stage.world.is_some() {
            assert_eq!(
                stage.stat().bytes_down,
                range.end - range.start,
                "{range:?}"
            );
        }
    }
    Ok(())
}

pub async fn parallel_ranges(stage: Stage) -> Outcome {
    let size = 600_000_u64;
    let bytes = Sample::new(8, size).bytes;
    let node = stage.seed("f.bin", &bytes).await;
    let drive = &*stage.drive;
    let step = size / stage.caps.parallel_reads as u64 + 1;
    let reads = (0..stage.caps.parallel_reads as u64).map(|n| {
        let range = n * step..((n + 1) * step).min(size);
        read(drive, &node, range)
    });
    let pieces = futures_util::future::join_all(reads).await;
    let mut got = Vec::new();
    for piece in pieces {
        got.extend_from_slice(&piece.expect("as many reads as are declared"));
    }
    assert!(bytes == got);
    Ok(())
}

pub async fn a_cut_is_told_and_taken_up(stage: Stage) -> Outcome {
    if stage.world.is_none() {
        return skip("no connection to cut");
    }
    let size = 900_001;
    let bytes = Sample::new(9, size).bytes;
    let node = stage.seed("f.bin", &bytes).await;
    let drive = &*stage.drive;
    let (mut at, mut cuts) = (0, 0);
    let mut got = Vec::new();
    for passed in ["0", "1", "300000", ""] {
        stage.fault(stage.spec.download, FaultKind::Cut, passed);
    }
    while at < size {
        let (piece, error) = read_until_error(drive, &node, at..size).await;
        got.extend_from_slice(&piece);
        at += piece.len() as u64;
        match error {
            Some(error) => {
                cuts += 1;
                assert_ne!(
                    error.retry,
                    Retry::Never,
                    "a cut may be tried again: {error}"
                );
                assert!(cuts <= 4, "{error}");
            }
            None => break,
        }
    }
    assert!(cuts >= 1, "no cut was told");
    assert!(bytes == got);
    Ok(())
}

pub async fn corrupt_bytes_are_noticed(stage: Stage) -> Outcome {
    let dir = stage.dir("d").await;
    let content = sample(&stage, 10, 200_000);
    let made = put(&stage, &dir.id, "f.bin", &content).await.unwrap();
    stage.corrupt("d/f.bin");
    stage.settle();
    let node = stage.drive.stat(&made.id).await.unwrap();
    let got = read_all(&*stage.drive, &node).await.unwrap();
    assert!(got != content.bytes, "the bad bit is not there");
    // Whatever is said about the content disagrees with the bytes, or is not said.
    let listed = find(&*stage.drive, &dir.id, "f.bin").await;
    for node in [&node, &listed] {
        for (kind, known) in node
            .fingerprints
            .iter()
            .filter(|(kind, _)| kind.is_strong())
        {
            let computed = hash_all(&[kind], &got);
            assert_ne!(*known.value, *computed[0].1, "{kind}");
        }
    }
    Ok(())
}

pub async fn a_changed_node_is_not_mixed(stage: Stage) -> Outcome {
    let old = Sample::new(11, 50_000).bytes;
    let node = stage.seed("f.bin", &old).await;
    let drive = &*stage.drive;
    assert!(read(drive, &node, 0..1000).await.unwrap() == old.slice(0..1000));
    stage.advance(5_000);
    stage.rewrite(&node, "f.bin", &Sample::new(12, 20_000).bytes);
    // What lies behind the new end must not come as if it were there.
    match read(drive, &node, 30_000..40_000).await {
        Ok(_) => panic!("10,000 bytes behind the end of the file"),
        Err(error) => assert!(
            matches!(
                error.kind,
                ErrorKind::Changed
                    | ErrorKind::NotFound
                    | ErrorKind::Network
                    | ErrorKind::Provider
                    | ErrorKind::BadAnswer
                    | ErrorKind::Invalid
            ),
            "{:?} {error}",
            error.kind
        ),
    }
    Ok(())
}
