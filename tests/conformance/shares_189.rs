//! A share of Tianyi Cloud 189 gives its bytes to somebody who is logged in (sheet 189cloud, 4.8). The
//! suite visits it as nobody; here its profile holds an account's log-in.

use panfuse::drive::{ErrorKind, Node};
use panfuse::net::{CredentialStore, Secret};
use panfuse::sim::{Fault, FaultKind};

use crate::actions::{read_all, sample};
use crate::stage::Stage;
use crate::{Outcome, run};

const KEY: &str = "189cloud/share";

/// The account whose log-in the share's profile is given.
const ACCOUNT: &str = "189";

async fn log_in(stage: &Stage) {
    let world = stage.world.as_ref().expect("a simulator");
    let account = world.profile(ACCOUNT).expect("an account");
    let token = Secret::new(account.secrets["refresh_token"].clone());
    let given = [("refresh_token".to_owned(), token)].into();
    stage.credentials.save(given).await.expect("a save");
}

/// How often the account was asked these.
fn asked<const N: usize>(stage: &Stage, ops: [&str; N]) -> [u64; N] {
    let world = stage.world.as_ref().expect("a simulator");
    let stat = world.stat(ACCOUNT).expect("meters");
    ops.map(|op| stat.count(op))
}

fn fault(stage: &Stage, fault: Fault) {
    let world = stage.world.as_ref().expect("a simulator");
    world.fault(ACCOUNT, fault).expect("a fault");
}

/// A file of the share that nothing is known about, and whether it reads as it is.
async fn assert_reads(stage: &Stage, seed: u64) -> Node {
    let content = sample(stage, seed, 300_000);
    let node = stage.seed(&format!("/d/{seed}.bin"), &content.bytes).await;
    let read = read_all(&*stage.drive, &node).await.expect("the bytes");
    assert!(read == content.bytes, "other bytes");
    node
}

async fn as_nobody_and_as_an_account(stage: Stage) -> Outcome {
    let content = sample(&stage, 1, 300_000);
    let node = stage.seed("/d/f.bin", &content.bytes).await;
    let error = read_all(&*stage.drive, &node).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(error.message.contains("log-in"), "{error}");
    log_in(&stage).await;
    let read = read_all(&*stage.drive, &node).await.expect("the bytes");
    assert!(read == content.bytes, "other bytes");
    // A link is kept, and so is the token that it was asked with.
    read_all(&*stage.drive, &node).await.expect("the bytes");
    assert_eq!(asked(&stage, ["open_token", "link"]), [1, 1]);
    assert_reads(&stage, 2).await;
    assert_eq!(asked(&stage, ["open_token", "link"]), [1, 2]);
    let refused = stage.drive.mkdir(&stage.drive.root(), "x").await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::ReadOnly);
    Ok(())
}

async fn what_ends_is_renewed(stage: Stage) -> Outcome {
    log_in(&stage).await;
    assert_reads(&stage, 1).await;
    // The token of the open door is refused: another one, of the same session.
    fault(
        &stage,
        Fault::once("link", FaultKind::Errno, "InvalidAccessToken"),
    );
    assert_reads(&stage, 2).await;
    assert_eq!(asked(&stage, ["open_token", "session"]), [2, 1]);
    // The session has ended when the token is asked for: a new session first.
    fault(
        &stage,
        Fault::once("link", FaultKind::Errno, "InvalidAccessToken"),
    );
    fault(
        &stage,
        Fault::once("open_token", FaultKind::ExpireToken, ""),
    );
    assert_reads(&stage, 3).await;
    assert_eq!(asked(&stage, ["session"]), [2]);
    // A token that is always refused ends with an error.
    fault(
        &stage,
        Fault::always("link", FaultKind::Errno, "InvalidAccessToken"),
    );
    let content = sample(&stage, 4, 1_000);
    let node = stage.seed("/d/4.bin", &content.bytes).await;
    let error = read_all(&*stage.drive, &node).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    Ok(())
}

async fn too_large_for_the_door(stage: Stage) -> Outcome {
    log_in(&stage).await;
    let world = stage.world.as_ref().expect("a simulator");
    world.set(ACCOUNT, "web_link_max", "1000").expect("a knob");
    let content = sample(&stage, 1, 1_001);
    let node = stage.seed("/d/f.bin", &content.bytes).await;
    let error = read_all(&*stage.drive, &node).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    assert!(error.message.contains("panfuse share save"), "{error}");
    Ok(())
}

#[test]
fn a_share_is_read_by_who_is_logged_in() {
    run(KEY, "shares_189::log_in", as_nobody_and_as_an_account);
}

#[test]
fn what_a_reader_of_a_share_was_given_is_renewed_when_it_ends() {
    run(KEY, "shares_189::renewed", what_ends_is_renewed);
}

#[test]
fn a_file_that_a_share_does_not_hand_out_names_the_way_round() {
    run(KEY, "shares_189::too_large", too_large_for_the_door);
}
