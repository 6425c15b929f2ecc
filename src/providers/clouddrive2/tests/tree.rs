//! Logins, listings, changes, reading.

use futures_util::TryStreamExt;

use super::stand_in::{Fault, Stand, TOKEN};
use super::{Desk, PACE, context};
use crate::drive::{Drive, ErrorKind, Node, NodeId};
use crate::fingerprint::{Kind, Origin};
use crate::providers::clouddrive2::CloudDrive2;

fn id(path: &str) -> NodeId {
    NodeId::new(path)
}

async fn kind_of<T>(outcome: impl Future<Output = crate::drive::Result<T>>) -> ErrorKind {
    match outcome.await {
        Ok(_) => panic!("it went well"),
        Err(error) => error.kind,
    }
}

#[tokio::test]
async fn a_listing_has_many_batches() {
    let stand = Stand::quiet().await;
    for n in 0..7 {
        stand.put(&format!("/115/d/{n}.bin"), &[1, 2, 3]);
    }
    stand.put_dir("/115/d/sub");
    let desk = Desk::new(&stand);
    assert_eq!(desk.drive.root().as_str(), "/115");
    let page = desk.drive.list(&id("/115/d"), None).await.unwrap();
    assert!(page.next.is_none());
    assert_eq!(page.nodes.len(), 8);
    let file = &page.nodes[0];
    assert_eq!((file.id.as_str(), file.size), ("/115/d/0.bin", 3));
    assert_eq!(file.parent.as_str(), "/115/d");
    let sha1 = file.fingerprints.get(Kind::Sha1).unwrap();
    assert_eq!(&*sha1.value, "7037807198c22a7d2b0807371d763779a84fdfcf");
    assert_eq!(sha1.origin, Origin::Provider);
    assert!(page.nodes[7].is_dir());
    assert_eq!(stand.seen().forced, [true]);
    let at = id("/115/no");
    let missing = desk.drive.list(&at, None);
    assert_eq!(kind_of(missing).await, ErrorKind::NotFound);
}

#[tokio::test]
async fn stat_of_something_and_of_nothing() {
    let stand = Stand::quiet().await;
    stand.put("/115/d/a", b"abc");
    let desk = Desk::new(&stand);
    let node = desk.drive.stat(&id("/115/d/a")).await.unwrap();
    assert_eq!((node.size, node.modified), (3, 1_700_000_001_000));
    let listed = desk.drive.list(&id("/115/d"), None).await.unwrap();
    assert_eq!(listed.nodes[0].version, node.version);
    for path in ["/115/d/b", "/115/d/silent"] {
        let error = kind_of(desk.drive.stat(&id(path))).await;
        assert_eq!(error, ErrorKind::NotFound, "{path}");
    }
    assert!(desk.drive.stat(&id("/")).await.unwrap().is_dir());
    let quota = desk.drive.quota().await.unwrap();
    assert_eq!((quota.total, quota.used), (1000, 400));
}

#[tokio::test]
async fn directories_are_made_once() {
    let stand = Stand::quiet().await;
    let desk = Desk::new(&stand);
    let made = desk.drive.mkdir(&id("/115/d"), "new").await.unwrap();
    assert_eq!((made.id.as_str(), made.is_dir()), ("/115/d/new", true));
    let at = id("/115/d");
    let again = desk.drive.mkdir(&at, "new");
    assert_eq!(kind_of(again).await, ErrorKind::Exists);
    // The provider behind it makes a number of it: that is taken back.
    stand.put_dir("/115/d/numbered");
    let at = id("/115/d");
    let numbered = desk.drive.mkdir(&at, "numbered");
    assert_eq!(kind_of(numbered).await, ErrorKind::Exists);
    assert!(!stand.seen().tree.contains_key("/115/d/numbered(1)"));
    stand.fault("CreateFolder", Fault::Refuse("parent does not exist"));
    let at = id("/115/x");
    let orphan = desk.drive.mkdir(&at, "a");
    assert_eq!(kind_of(orphan).await, ErrorKind::NotFound);
}

#[tokio::test]
async fn renames_never_replace() {
    let stand = Stand::quiet().await;
    stand.put("/115/d/a", b"abc");
    stand.put("/115/d/b", b"b");
    let desk = Desk::new(&stand);
    let a = desk.drive.stat(&id("/115/d/a")).await.unwrap();
    let taken = desk.drive.rename(&a, "b");
    assert_eq!(kind_of(taken).await, ErrorKind::Exists);
    assert_eq!(stand.count("RenameFile"), 0);
    let c = desk.drive.rename(&a, "c").await.unwrap();
    assert_eq!((c.id.as_str(), c.name.as_str()), ("/115/d/c", "c"));
    assert_eq!(c.version, a.version);
    // Somebody takes the name in between, and the provider makes a number of it.
    stand.seen().renamed_to = Some("e(1)".to_owned());
    assert_eq!(kind_of(desk.drive.rename(&c, "e")).await, ErrorKind::Exists);
    assert!(stand.seen().tree.contains_key("/115/d/c"));
    // The answer is lost, but it was done.
    stand.fault("RenameFile", Fault::After(tonic::Status::unavailable("x")));
    let f = desk.drive.rename(&c, "f").await.unwrap();
    assert_eq!(f.id.as_str(), "/115/d/f");
}

#[tokio::test]
async fn moves_and_copies_stay_within_an_account() {
    let stand = Stand::quiet().await;
    stand.put("/115/d/a", b"abc");
    let desk = Desk::new(&stand);
    let a = desk.drive.stat(&id("/115/d/a")).await.unwrap();
    for parent in ["/pikpak", "/"] {
        let moved = kind_of(desk.drive.move_to(&a, &id(parent))).await;
        assert_eq!(moved, ErrorKind::Unsupported);
        let copied = kind_of(desk.drive.copy(&a, &id(parent), "a")).await;
        assert_eq!(copied, ErrorKind::Unsupported);
    }
    let renamed = kind_of(desk.drive.copy(&a, &id("/115/e"), "b")).await;
    assert_eq!(renamed, ErrorKind::Unsupported);
    let copy = desk.drive.copy(&a, &id("/115/e"), "a").await.unwrap();
    assert_eq!((copy.id.as_str(), copy.size), ("/115/e/a", 3));
    for outcome in [
        desk.drive.move_to(&a, &id("/115/e")).await,
        desk.drive.copy(&a, &id("/115/e"), "a").await,
    ] {
        assert_eq!(outcome.unwrap_err().kind, ErrorKind::Exists);
    }
    let moved = desk.drive.move_to(&a, &id("/115")).await.unwrap();
    assert_eq!(moved.id.as_str(), "/115/a");
    let request = stand.seen().moves[0].clone();
    assert_eq!(request.conflict_policy, Some(2));
    assert_eq!(request.move_across_clouds, Some(false));
}

#[tokio::test]
async fn only_what_is_known_is_deleted() {
    let stand = Stand::quiet().await;
    stand.put("/115/d/a", b"abc");
    let desk = Desk::new(&stand);
    let a = desk.drive.stat(&id("/115/d/a")).await.unwrap();
    stand.put("/115/d/a", b"another");
    assert_eq!(kind_of(desk.drive.trash(&a)).await, ErrorKind::Changed);
    assert_eq!(stand.count("DeleteFile"), 0);
    let now = desk.drive.stat(&id("/115/d/a")).await.unwrap();
    // A version that is written otherwise by now is the same file.
    let old = Node {
        version: "7-1700000001.000000000".to_owned(),
        ..now
    };
    stand.fault(
        "DeleteFile",
        Fault::Instead(tonic::Status::unavailable("x")),
    );
    desk.drive.trash(&old).await.unwrap();
    assert!(!stand.seen().tree.contains_key("/115/d/a"));
    desk.drive.trash(&old).await.unwrap();
}

async fn bytes(drive: &CloudDrive2, node: &Node, range: std::ops::Range<u64>) -> Vec<u8> {
    let stream = drive.read(node, range).await.unwrap();
    let pieces: Vec<bytes::Bytes> = stream.try_collect().await.unwrap();
    pieces.concat()
}

#[tokio::test]
async fn ranges_come_from_the_server_by_http() {
    let stand = Stand::quiet().await;
    stand.put("/115/d/\u{7535} #1%.mkv", b"0123456789");
    let desk = Desk::new(&stand);
    let node = desk.drive.list(&id("/115/d"), None).await.unwrap().nodes;
    let node = &node[0];
    assert_eq!(node.size, 10);
    // The server's path is taken as it is, so a percent sign in a name must be the server's to
    // write; this name has one that stands alone and survives.
    assert_eq!(bytes(&desk.drive, node, 3..6).await, b"345");
    assert_eq!(bytes(&desk.drive, node, 9..10).await, b"9");
    assert_eq!(stand.count("GetDownloadUrlPath"), 1);
}

#[tokio::test]
async fn the_providers_own_address_is_tried_first() {
    let stand = Stand::quiet().await;
    stand.put("/115/d/a", b"0123456789");
    let host = stand.base.trim_start_matches("http://").to_owned();
    let good = format!("{}/static/http/{host}/false/115/d/a?token=t", stand.base);
    stand.seen().direct = Some(good.clone());
    let desk = Desk::new(&stand);
    let node = desk.drive.stat(&id("/115/d/a")).await.unwrap();
    assert_eq!(bytes(&desk.drive, &node, 0..2).await, b"01");
    assert_eq!(stand.seen().agents, ["UA/1"]);
    // It refuses, and refuses again after a new link: the server reads for us.
    stand.seen().direct = Some(good.replace("token=t", "token=old"));
    let desk = Desk::new(&stand);
    assert_eq!(bytes(&desk.drive, &node, 2..4).await, b"23");
    let agents = stand.seen().agents.clone();
    assert_eq!(agents.len(), 4);
    assert_eq!(agents[1..3], ["UA/1", "UA/1"]);
    assert_ne!(agents[3], "UA/1");
}

#[tokio::test]
async fn a_login_gets_a_token_and_another_one_when_it_is_refused() {
    let stand = Stand::quiet().await;
    let state = tempfile::tempdir().unwrap();
    let context = context(&stand.base, &[("password", "s3cret")], state.path());
    let drive = CloudDrive2::new(&context, PACE).unwrap();
    drive.quota().await.unwrap();
    drive.quota().await.unwrap();
    assert_eq!(stand.seen().logins, 1);
    stand.seen().token = "better".to_owned();
    drive.quota().await.unwrap();
    assert_eq!(stand.seen().logins, 2);
}

#[tokio::test]
async fn a_wrong_password_is_sent_once() {
    let stand = Stand::quiet().await;
    let state = tempfile::tempdir().unwrap();
    let context = context(&stand.base, &[("password", "wrong")], state.path());
    let drive = CloudDrive2::new(&context, PACE).unwrap();
    for _ in 0..3 {
        let error = drive.quota().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Auth);
        assert!(error.message.contains("invalid username"), "{error}");
    }
    assert_eq!(stand.seen().logins, 1);
}

#[tokio::test]
async fn an_api_token_that_is_refused_is_the_users_business() {
    let stand = Stand::quiet().await;
    stand.seen().token = "other".to_owned();
    let desk = Desk::new(&stand);
    let error = desk.drive.quota().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(!error.to_string().contains(TOKEN), "{error}");
    assert_eq!(stand.count("GetSpaceInfo"), 1);
}

#[tokio::test]
async fn odd_answers_are_told_apart() {
    let stand = Stand::quiet().await;
    let desk = Desk::new(&stand);
    stand.fault("GetSpaceInfo", Fault::WebPage);
    assert_eq!(kind_of(desk.drive.quota()).await, ErrorKind::BadAnswer);
    let denied = tonic::Status::permission_denied("allow_get_space_info");
    stand.fault("GetSpaceInfo", Fault::Instead(denied));
    assert_eq!(kind_of(desk.drive.quota()).await, ErrorKind::Auth);
    // Down for a moment.
    let down = tonic::Status::unavailable("starting");
    stand.fault("GetSpaceInfo", Fault::Instead(down));
    desk.drive.quota().await.unwrap();
}

#[tokio::test]
async fn a_paused_account_is_not_asked() {
    let stand = Stand::quiet().await;
    let desk = Desk::new(&stand);
    let record = crate::net::BreakerRecord {
        until_ms: i64::MAX,
        strikes: 1,
        reason: "resting".to_owned(),
    };
    desk.context.breakers.save("nas", Some(&record));
    let desk = desk.again();
    assert_eq!(kind_of(desk.drive.quota()).await, ErrorKind::Risk);
    assert_eq!(stand.seen().calls.len(), 0);
}

#[tokio::test]
async fn secrets_do_not_leave_this_machine_in_the_clear() {
    let state = tempfile::tempdir().unwrap();
    for (base, wanted) in [
        ("http://192.168.1.2:19798", false),
        ("ftp://127.0.0.1", false),
        ("nonsense", false),
        ("https://nas.example:19799", true),
        ("http://127.0.0.1:19798", true),
    ] {
        let context = context(base, &[], state.path());
        let opened = CloudDrive2::new(&context, PACE);
        assert_eq!(opened.is_ok(), wanted, "{base}");
        if let Err(error) = opened {
            assert_eq!(error.kind, ErrorKind::Invalid);
        }
    }
}
