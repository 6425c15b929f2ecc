//! Access tokens and links end; nobody notices.

use panfuse::drive::ErrorKind;
use panfuse::sim::FaultKind;

use crate::actions::{find, list, put, read, read_all, sample};
use crate::sample::Sample;
use crate::stage::Stage;
use crate::{Outcome, skip};

fn without_tokens() -> Outcome {
    skip("no tokens")
}

fn without_links() -> Outcome {
    skip("no links")
}

pub async fn an_expired_token_is_renewed_once(stage: Stage) -> Outcome {
    if stage.spec.token_ms == 0 {
        return without_tokens();
    }
    let dir = stage.dir("d").await;
    stage.reset();
    stage.advance(stage.spec.token_ms + 60_000);
    for _ in 0..3 {
        list(&*stage.drive, &dir.id).await.unwrap();
    }
    let stat = stage.stat();
    assert_eq!(stat.refreshes, 1);
    Ok(())
}

pub async fn a_refused_token_is_renewed_once(stage: Stage) -> Outcome {
    if stage.spec.token_ms == 0 {
        return without_tokens();
    }
    let dir = stage.dir("d").await;
    list(&*stage.drive, &dir.id).await.unwrap();
    stage.reset();
    stage.fault(stage.spec.list, FaultKind::ExpireToken, "");
    list(&*stage.drive, &dir.id).await.unwrap();
    list(&*stage.drive, &dir.id).await.unwrap();
    let stat = stage.stat();
    assert_eq!((stat.refreshes, stat.count(stage.spec.list)), (1, 3));
    Ok(())
}

pub async fn a_pair_is_saved_before_it_is_used(stage: Stage) -> Outcome {
    if stage.spec.token_ms == 0 {
        return without_tokens();
    }
    let dir = stage.dir("d").await;
    list(&*stage.drive, &dir.id).await.unwrap();
    let before = stage.credentials.saves_of(stage.spec.secret).len();
    let refresh = stage.credentials.field("refresh_token");
    stage.reset();
    stage.fault(stage.spec.list, FaultKind::ExpireToken, "");
    list(&*stage.drive, &dir.id).await.unwrap();
    let saves = stage.credentials.saves_of(stage.spec.secret);
    assert_eq!(saves.len(), before + 1);
    let save = saves.last().unwrap();
    // By then the refused call and the refresh were made, the call with the new token not.
    assert_eq!(
        (save.stat.count(stage.spec.list), save.stat.refreshes),
        (1, 1)
    );
    assert_eq!(stage.stat().count(stage.spec.list), 2);
    let rotated = stage.credentials.field("refresh_token") != refresh;
    assert_eq!(rotated, stage.spec.rotates);
    if rotated {
        assert!(save.changed.iter().any(|field| field == "refresh_token"));
    }
    Ok(())
}

pub async fn a_saved_pair_opens_the_drive_again(stage: Stage) -> Outcome {
    if stage.spec.token_ms == 0 {
        return without_tokens();
    }
    let dir = stage.dir("d").await;
    stage.advance(stage.spec.token_ms + 60_000);
    list(&*stage.drive, &dir.id).await.unwrap();
    stage.reset();
    // The access token lives: a restart asks for no other.
    let again = stage.reopened();
    list(&*again, &dir.id).await.unwrap();
    assert_eq!(stage.stat().refreshes, 0);
    // And when it does not, the stored refresh token is the good one.
    stage.advance(stage.spec.token_ms + 60_000);
    list(&*stage.reopened(), &dir.id).await.unwrap();
    assert_eq!(stage.stat().refreshes, 1);
    Ok(())
}

pub async fn tokens_that_are_always_refused_end(stage: Stage) -> Outcome {
    if stage.spec.token_ms == 0 {
        return without_tokens();
    }
    let dir = stage.dir("d").await;
    stage.reset();
    stage.fault_always(stage.spec.list, FaultKind::ExpireToken, "");
    let error = list(&*stage.drive, &dir.id).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    let stat = stage.stat();
    assert!(stat.refreshes <= 3, "{stat:?}");
    assert!(stat.count(stage.spec.list) <= 6, "{stat:?}");
    Ok(())
}

pub async fn many_callers_refresh_once(stage: Stage) -> Outcome {
    if stage.spec.token_ms == 0 {
        return without_tokens();
    }
    let dir = stage.dir("d").await;
    list(&*stage.drive, &dir.id).await.unwrap();
    stage.reset();
    stage.advance(stage.spec.token_ms + 60_000);
    let drive = &*stage.drive;
    let callers = (0..12).map(|_| list(drive, &dir.id));
    for listed in futures_util::future::join_all(callers).await {
        listed.unwrap();
    }
    assert_eq!(stage.stat().refreshes, 1);
    Ok(())
}

pub async fn an_expired_link_is_renewed(stage: Stage) -> Outcome {
    if stage.spec.link.is_empty() {
        return without_links();
    }
    let bytes = Sample::new(1, 90_000).bytes;
    let node = stage.seed("f.bin", &bytes).await;
    assert!(read(&*stage.drive, &node, 0..10).await.unwrap() == bytes.slice(0..10));
    stage.reset();
    stage.fault(stage.spec.download, FaultKind::ExpireLink, "");
    assert!(read_all(&*stage.drive, &node).await.unwrap() == bytes);
    let stat = stage.stat();
    assert_eq!(
        (stat.count(stage.spec.link), stat.count(stage.spec.download)),
        (1, 2)
    );
    Ok(())
}

pub async fn a_link_outlived_is_renewed(stage: Stage) -> Outcome {
    if stage.spec.link.is_empty() {
        return without_links();
    }
    let bytes = Sample::new(2, 90_000).bytes;
    let node = stage.seed("f.bin", &bytes).await;
    assert!(read_all(&*stage.drive, &node).await.unwrap() == bytes);
    stage.advance(25 * 3_600_000);
    assert!(read_all(&*stage.drive, &node).await.unwrap() == bytes);
    Ok(())
}

pub async fn links_are_kept(stage: Stage) -> Outcome {
    if stage.spec.link.is_empty() {
        return without_links();
    }
    let bytes = Sample::new(3, 90_000).bytes;
    let node = stage.seed("f.bin", &bytes).await;
    stage.reset();
    for at in 0..5 {
        let got = read(&*stage.drive, &node, at * 1000..at * 1000 + 500)
            .await
            .unwrap();
        assert!(got == bytes.slice(at as usize * 1000..at as usize * 1000 + 500));
    }
    let stat = stage.stat();
    assert_eq!(
        (stat.count(stage.spec.link), stat.count(stage.spec.download)),
        (1, 5)
    );
    Ok(())
}

pub async fn a_part_link_that_expired_is_renewed(stage: Stage) -> Outcome {
    if !stage.spec.part_links {
        return skip("parts have no links of their own");
    }
    let dir = stage.dir("d").await;
    let content = sample(&stage, 4, 50_000);
    stage.fault(stage.spec.part, FaultKind::ExpireLink, "");
    let made = put(&stage, &dir.id, "f.bin", &content).await.unwrap();
    let listed = find(&*stage.drive, &dir.id, "f.bin").await;
    assert_eq!(listed.id, made.id);
    assert!(read_all(&*stage.drive, &listed).await.unwrap() == content.bytes);
    Ok(())
}
