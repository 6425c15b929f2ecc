//! Baidu Netdisk: what its listed hash is worth, contents it knows, its refusals, its single-use
//! refresh token, paths instead of ids, and the second way into an account, by cookies.

use std::collections::BTreeMap;

use panfuse::drive::ErrorKind;
use panfuse::fingerprint::{Kind, Origin, decode_cloud_md5, hash_all};
use panfuse::sim::{Fault, FaultKind};
use panfuse::vfs::{Close, FsError};

use super::harness::{Rig, RigOptions};
use super::still::{breathe, hurry, still, until};

const ALONE: &[&str] = &["baidu_netdisk"];
const WITH_ALI: &[&str] = &["aliyundrive_open", "baidu_netdisk"];

/// One slice, and three of 4 MiB.
const SIZES: [u64; 2] = [3_000_003, 9_000_001];

fn md5_of(rig: &Rig, profile: &str, path: &str, size: u64) -> String {
    let bytes = rig.world.read(profile, path, 0, size).unwrap();
    assert_eq!(bytes.len() as u64, size);
    hash_all(&[Kind::Md5], &bytes).pop().unwrap().1
}

/// Requests since `before`, without those that there were none of.
fn spent(rig: &Rig, profile: &str, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut now = rig.stat(profile).requests;
    for (op, count) in &mut now {
        *count -= before.get(op).copied().unwrap_or(0);
    }
    now.retain(|_, count| *count > 0);
    now
}

async fn refresh(rig: &Rig, path: &str) -> Result<u64, FsError> {
    rig.vfs.refresh(rig.ino(path).await?, false).await
}

/// Paths of the files that are in the bin.
fn binned(rig: &Rig, profile: &str) -> Vec<String> {
    let tree = rig.world.tree(profile).unwrap();
    let items = tree["items"].as_array().unwrap().iter();
    items
        .filter(|item| item["dir"] == false && item["trashed"] == true)
        .map(|item| item["path"].as_str().unwrap().to_owned())
        .collect()
}

/// The `md5` of a listing is a hash of Baidu's own: of one slice it hides the content's, of several
/// it is none. Nobody sees it as an MD5; the real one comes with a download, or from the bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_listed_md5_is_never_shown_as_the_md5() {
    let rig = Rig::new(ALONE).await;
    for (seed, size) in (3..).zip(SIZES) {
        let (name, path) = (format!("f{seed}.bin"), format!("baidu/f{seed}.bin"));
        rig.seed("baidu", &format!("/{name}"), size, seed);
        refresh(&rig, "baidu").await.unwrap();
        let ino = rig.ino(&path).await.unwrap();
        assert_eq!(rig.vfs.listxattr(ino).unwrap(), Vec::<String>::new());
        let none = rig.xattr(&path, "user.pan.md5").await.unwrap_err();
        assert_eq!(none.errno, libc::ENODATA);
        assert_eq!(rig.xattr(&path, "user.pan.fp_source").await.unwrap(), "{}");
        // The record has what was listed, for whoever looks for it there.
        let raw = rig.xattr(&path, "user.pan.raw").await.unwrap();
        let raw: serde_json::Value = serde_json::from_str(&raw).unwrap();
        let listed = decode_cloud_md5(raw["md5"].as_str().unwrap()).unwrap();
        let real = md5_of(&rig, "baidu", &format!("/{name}"), size);
        assert_eq!(listed == real, size <= 4 << 20);
        assert_eq!(rig.stat("baidu").bytes_down, 0, "read for an attribute");

        let known = rig.vfs.compute(ino, &[Kind::Md5]).await.unwrap();
        let md5 = known.get(Kind::Md5).unwrap();
        assert_eq!((&*md5.value, md5.origin), (&*real, Origin::Computed));
        assert_eq!(rig.xattr(&path, "user.pan.md5").await.unwrap(), real);
        let source = rig.xattr(&path, "user.pan.fp_source").await.unwrap();
        let source: serde_json::Value = serde_json::from_str(&source).unwrap();
        assert_eq!(source["md5"]["origin"], "computed");
        assert_eq!(rig.stat("baidu").bytes_down, size);
        rig.world.reset("baidu").unwrap();
    }
}

/// Where a copy wants the MD5, a byte is downloaded for the header that has it (sheet 5.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_md5_of_a_download_is_known_with_its_origin_after_a_hit() {
    let rig = Rig::new(ALONE).await;
    let size = SIZES[0];
    rig.seed("baidu", "/f.bin", size, 11);
    rig.cp("baidu/f.bin", "baidu-2/f.bin").await.unwrap();
    rig.settle().await;
    let stat = rig.stat("baidu-2");
    assert_eq!((stat.bytes_up, stat.rapid_hits), (0, 1));
    let read = rig.stat("baidu").bytes_down;
    assert!(read <= 600 << 10, "{read} bytes for one header and a head");
    let real = md5_of(&rig, "baidu", "/f.bin", size);
    let path = "baidu-2/f.bin";
    assert_eq!(rig.xattr(path, "user.pan.md5").await.unwrap(), real);
    let source = rig.xattr(path, "user.pan.fp_source").await.unwrap();
    let source: serde_json::Value = serde_json::from_str(&source).unwrap();
    assert_eq!(source["md5"]["provider"], "baidu_netdisk");
    assert_eq!(source["md5"]["origin"], "claimed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_content_comes_without_an_uploaded_byte_and_an_unknown_one_whole() {
    let rig = Rig::new(WITH_ALI).await;
    for (seed, size) in (20..).zip(SIZES) {
        let (file, new) = (format!("/{seed}.bin"), format!("/new{seed}.bin"));
        rig.seed("ali", &file, size, seed);
        rig.seed("ali", &new, size, seed + 10);
        rig.seed("baidu-2", &format!("/theirs{file}"), size, seed);
        refresh(&rig, "ali").await.unwrap();
        rig.world.reset("baidu").unwrap();
        rig.cp(&format!("ali{file}"), &format!("baidu{file}"))
            .await
            .unwrap();
        rig.settle().await;
        let stat = rig.stat("baidu");
        assert_eq!((stat.bytes_up, stat.rapid_hits), (0, 1), "{size}");
        assert_eq!(rig.uploads("baidu"), 0);
        let copied = md5_of(&rig, "baidu", &file, size);
        assert_eq!(copied, md5_of(&rig, "ali", &file, size));

        rig.cp(&format!("ali{new}"), &format!("baidu{new}"))
            .await
            .unwrap();
        rig.settle().await;
        assert_eq!(rig.stat("baidu").bytes_up, size);
        assert_eq!(rig.uploads("baidu"), 0);
        rig.cp(&format!("baidu{new}"), &format!("ali-2/{seed}.bin"))
            .await
            .unwrap();
        rig.settle().await;
        let out = md5_of(&rig, "ali-2", &format!("/{seed}.bin"), size);
        assert_eq!(out, md5_of(&rig, "ali", &new, size));
    }
}

/// "Frequency limit" and captcha (sheet 10): asked once, then the account rests, over a restart too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_risk_pauses_this_account_and_no_other() {
    let mut rig = Rig::new(WITH_ALI).await;
    let walls = [("baidu", "31034"), ("baidu-2", "-19")];
    for (profile, _) in walls {
        rig.seed(profile, "/d/a", 10, 1);
        rig.names(profile).await;
    }
    rig.seed("ali", "/d/b", 10, 2);
    for (profile, code) in walls {
        rig.world.reset(profile).unwrap();
        let wall = Fault::always("list", FaultKind::Errno, code);
        rig.world.fault(profile, wall).unwrap();
        for _ in 0..3 {
            let dir = rig.ino(&format!("{profile}/d")).await.unwrap();
            let error = rig.vfs.opendir(dir).await.unwrap_err();
            assert_eq!(error.errno, libc::EBUSY, "{code}");
            let cause = error.cause.unwrap();
            assert_eq!(cause.kind, ErrorKind::Risk, "{cause}");
            assert!(cause.hint().unwrap().contains("pauses this account"));
            assert_eq!(rig.stat(profile).count("list"), 1, "{code}: asked again");
        }
        let refused = rig.get(&format!("{profile}/d/a")).await.unwrap_err();
        assert_eq!(refused.errno, libc::EBUSY);
        if profile == "baidu" {
            assert_eq!(rig.names("baidu-2").await, ["d"]);
            rig.mkdir("baidu-2/more").await.unwrap();
        }
        assert_eq!(rig.names("ali/d").await, ["b"]);
    }
    for (profile, _) in walls {
        rig.world.reset(profile).unwrap();
    }
    rig.restart().await;
    for (profile, code) in walls {
        let dir = rig.ino(&format!("{profile}/d")).await.unwrap();
        let error = rig.vfs.opendir(dir).await.unwrap_err();
        assert_eq!(error.errno, libc::EBUSY, "{code}: forgotten by a restart");
        assert_eq!(rig.stat(profile).total(), 0, "{code}");
    }
    assert_eq!(rig.get("ali/d/b").await.unwrap().len(), 10);
}

/// A refresh token is good once, and one that was asked with and failed is dead (sheet 2.4).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_is_used_once_stored_before_use_and_never_asked_with_blindly() {
    let mut rig = Rig::new(ALONE).await;
    rig.seed("baidu", "/d/a", 10, 1);
    assert_eq!(rig.names("baidu").await, ["d"]);
    assert_eq!(rig.stat("baidu").refreshes, 1);
    let expired = || Fault::once("list", FaultKind::ExpireToken, "");
    // After each restart only what was stored is known. A token used twice would end everything.
    for round in 2..=4 {
        rig.restart().await;
        rig.world.fault("baidu", expired()).unwrap();
        refresh(&rig, "baidu").await.unwrap();
        assert_eq!(rig.stat("baidu").refreshes, round);
    }
    // The pair was handed out, but the answer is lost: one question, and no second on the spot.
    rig.world.reset("baidu").unwrap();
    rig.world.fault("baidu", expired()).unwrap();
    let lost = Fault::once("refresh", FaultKind::DropAnswer, "");
    rig.world.fault("baidu", lost).unwrap();
    refresh(&rig, "baidu").await.unwrap_err();
    assert_eq!(rig.stat("baidu").count("refresh"), 1);
    // The next call tells that it is spent; from then on nobody is asked any more.
    for _ in 0..3 {
        let error = refresh(&rig, "baidu").await.unwrap_err();
        assert_eq!(error.errno, libc::EACCES);
        let cause = error.cause.unwrap();
        assert!(cause.to_string().contains("authorize"), "{cause}");
        assert!(cause.hint().unwrap().contains("log in again"));
        assert_eq!(rig.stat("baidu").count("refresh"), 2);
    }
    // What was listed is still shown, and the other account goes on.
    assert_eq!(rig.names("baidu").await, ["d"]);
    refresh(&rig, "baidu-2").await.unwrap();
}

/// `ondup=overwrite` fails for a target that exists (sheet 4.7): it is set aside first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_over_a_file_never_loses_both() {
    let rig = Rig::new(ALONE).await;
    rig.seed("baidu", "/d/new.txt", 5000, 1);
    rig.seed("baidu", "/d/old.txt", 3000, 2);
    rig.names("baidu/d").await;
    let both = ["/d/new.txt", "/d/old.txt"];
    // The new file does not get the name: the old one has it again.
    let refused = Fault {
        after: 1,
        ..Fault::once("rename", FaultKind::Errno, "-7")
    };
    rig.world.fault("baidu", refused).unwrap();
    rig.rename("baidu/d/new.txt", "baidu/d/old.txt")
        .await
        .unwrap_err();
    rig.settle().await;
    assert_eq!(rig.files("baidu"), both);
    assert_eq!(
        rig.world.read("baidu", both[1], 0, 9999).unwrap().len(),
        3000
    );
    assert_eq!(rig.stat("baidu").count("trash"), 0);
    assert_eq!(rig.stat("baidu").count("rename"), 3, "aside, refused, back");

    rig.rename("baidu/d/new.txt", "baidu/d/old.txt")
        .await
        .unwrap();
    rig.settle().await;
    assert_eq!(rig.files("baidu"), ["/d/old.txt"]);
    assert_eq!(rig.get("baidu/d/old.txt").await.unwrap().len(), 5000);
    assert_eq!(
        binned(&rig, "baidu").len(),
        1,
        "the old one can be restored"
    );
}

/// Writing onto the path of a directory may replace the directory (sheet 1, rule 5; 7.4).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_somebody_made_meanwhile_is_not_replaced_by_a_file() {
    let options = RigOptions {
        close: Close::Wait,
        ..RigOptions::default()
    };
    let rig = Rig::with(ALONE, &[], options).await;
    rig.world.set("baidu", "hazard", "true").unwrap();
    rig.seed("baidu", "/other", 1, 1);
    rig.names("baidu").await;
    rig.seed("baidu", "/album/inner", 100, 2);
    rig.put("baidu/album", &[7; 5000]).await.unwrap_err();
    let files = rig.files("baidu");
    assert!(files.contains(&"/album/inner".to_owned()), "{files:?}");
    assert_eq!(rig.stat("baidu").count("create"), 0);
}

/// 111 of a file operation: another task of the account is running (sheet 1, rule 7).
#[test]
fn another_task_of_the_account_is_waited_for_without_a_refresh() {
    still(async {
        let rig = Rig::new(ALONE).await;
        rig.seed("baidu", "/big/inner", 10, 1);
        rig.seed("baidu", "/f.txt", 20, 2);
        hurry("the roots", async {
            (rig.names("baidu").await, rig.names("baidu-cookie").await)
        })
        .await;
        rig.world.set("baidu", "adaptive_sync", "0").unwrap();
        rig.world.set("baidu", "task_ms", "3600000").unwrap();
        rig.world.reset("baidu").unwrap();
        // The same account by its other way in: a directory, so that it becomes a task.
        let task = rig.rename("baidu-cookie/big", "baidu-cookie/huge");
        let other = rig.rename("baidu/f.txt", "baidu/g.txt");
        tokio::pin!(task, other);
        tokio::select! {
            biased;
            done = &mut task => panic!("it is no task: {done:?}"),
            () = until("it is asked for", || rig.stat("baidu").count("task") == 1) => {}
        }
        let refused = async {
            until("it is refused", || rig.stat("baidu").count("rename") == 2).await;
            breathe().await;
        };
        tokio::select! {
            biased;
            done = &mut other => panic!("it was not refused: {done:?}"),
            () = refused => {}
        }
        rig.world.clock_advance(3_600_001);
        let (task, other) = hurry("both", async { tokio::join!(task, other) }).await;
        task.unwrap();
        other.unwrap();
        let stat = rig.stat("baidu");
        assert_eq!((stat.count("rename"), stat.count("refresh")), (3, 0));
        assert_eq!(rig.files("baidu"), ["/g.txt", "/huge/inner"]);
    });
}

/// 111 everywhere: the token has expired.
#[test]
fn an_expired_token_is_renewed_at_once_and_in_a_file_operation_after_a_wait() {
    still(async {
        let rig = Rig::new(ALONE).await;
        rig.seed("baidu", "/f.txt", 20, 2);
        hurry("the root", rig.names("baidu")).await;
        rig.world.reset("baidu").unwrap();
        let expired = |op| Fault::once(op, FaultKind::ExpireToken, "");
        rig.world.fault("baidu", expired("list")).unwrap();
        let before = tokio::time::Instant::now();
        hurry("a listing", refresh(&rig, "baidu")).await.unwrap();
        let stat = rig.stat("baidu");
        assert_eq!((stat.count("list"), stat.refreshes), (2, 1));
        assert!(before.elapsed().as_secs() < 5, "it is not waited for");

        rig.world.fault("baidu", expired("rename")).unwrap();
        hurry("a rename", rig.rename("baidu/f.txt", "baidu/g.txt"))
            .await
            .unwrap();
        let stat = rig.stat("baidu");
        assert_eq!((stat.count("rename"), stat.refreshes), (3, 2));
        assert_eq!(rig.files("baidu"), ["/g.txt"]);
    });
}

/// There is no mark of the last page (sheet 4.2): a page that is full is followed by another one,
/// which of 10000 entries is empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_entries_take_a_call_for_each_page_and_none_the_second_time() {
    let rig = Rig::new(ALONE).await;
    for (profile, entries, calls) in [("baidu", 10_000, 11), ("baidu-2", 2_400, 3)] {
        for n in 0..entries {
            rig.seed(profile, &format!("/many/f{n:05}"), 1 + n % 7, n % 7);
        }
        rig.names(profile).await;
        rig.world.reset(profile).unwrap();
        let dir = format!("{profile}/many");
        let names = rig.names(&dir).await;
        assert_eq!(names.len() as u64, entries);
        assert!(names.is_sorted());
        let none = BTreeMap::new();
        let listed = BTreeMap::from([("list".to_owned(), calls)]);
        assert_eq!(spent(&rig, profile, &none), listed);
        assert_eq!(rig.names(&dir).await.len() as u64, entries);
        assert_eq!(spent(&rig, profile, &none), listed, "listed a second time");
    }
}

/// The second way into an account: the cookies of a web session (sheet 2.5, 6.4).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_open_the_same_account_until_their_session_ends() {
    let rig = Rig::new(WITH_ALI).await;
    rig.world.set("baidu", "web_params", "required").unwrap();
    for (seed, size) in (60..).zip(SIZES) {
        let file = format!("/{seed}.bin");
        rig.seed("ali", &file, size, seed);
        rig.seed("baidu-2", &format!("/theirs{file}"), size, seed);
        refresh(&rig, "ali").await.unwrap();
        rig.world.reset("baidu").unwrap();
        // The question is answered for those who prove that they have the content.
        rig.cp(&format!("ali{file}"), &format!("baidu-cookie{file}"))
            .await
            .unwrap();
        rig.settle().await;
        let stat = rig.stat("baidu");
        assert_eq!((stat.bytes_up, stat.rapid_hits), (0, 1), "{size}");
        assert_eq!(stat.count("refresh"), 0, "cookies are not renewed");
        let copied = md5_of(&rig, "baidu", &file, size);
        assert_eq!(copied, md5_of(&rig, "ali", &file, size));
    }
    let bytes: Vec<u8> = (0..5_000_000u32).map(|n| (n * 31 % 251) as u8).collect();
    rig.put("baidu-cookie/own.bin", &bytes).await.unwrap();
    rig.settle().await;
    assert_eq!(rig.stat("baidu").bytes_up, bytes.len() as u64);
    assert!(rig.get("baidu-cookie/own.bin").await.unwrap() == bytes);
    rig.rm("baidu-cookie/60.bin").await.unwrap();
    rig.settle().await;
    assert_eq!(rig.files("baidu"), ["/61.bin", "/own.bin"]);
    assert_eq!(binned(&rig, "baidu"), ["/60.bin"]);
    // The token of the same account does not care when the session ends.
    rig.world.reset("baidu").unwrap();
    let ended = Fault::once("list", FaultKind::ExpireToken, "");
    rig.world.fault("baidu", ended).unwrap();
    for calls in 1..=2 {
        let error = refresh(&rig, "baidu-cookie").await.unwrap_err();
        assert_eq!(error.errno, libc::EACCES);
        let cause = error.cause.unwrap().to_string();
        assert!(cause.contains("web session has ended"), "{cause}");
        assert!(!cause.contains("BDUSS="), "{cause}");
        assert_eq!(rig.stat("baidu").count("list"), calls);
    }
    refresh(&rig, "baidu").await.unwrap();
    assert_eq!(rig.names("baidu").await, ["61.bin", "own.bin"]);
}
