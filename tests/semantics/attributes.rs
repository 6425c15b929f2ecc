//! Attributes and extended attributes.

use panfuse::vfs::{Caller, SetAttr};

use super::{outside, two};

// S-012, S-013, S-014, S-015
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modes_and_times_that_were_set_are_shown() {
    let rig = two().await;
    std::fs::write(outside(&rig, "here/a"), b"a").unwrap();
    let ino = rig.ino("here/a").await.unwrap();
    let before = rig.vfs.getattr(ino).unwrap();
    assert_eq!((before.perm, before.atime_ns), (0o644, before.mtime_ns));
    let time = 1_500_000_000_000_000_000;
    let change = SetAttr {
        mode: Some(0o600),
        mtime_ns: Some(time),
        ..SetAttr::default()
    };
    let after = rig.vfs.setattr(ino, change).await.unwrap();
    assert_eq!(
        (after.perm, after.mtime_ns, after.atime_ns),
        (0o600, time, time)
    );
    let attr = rig.vfs.getattr(rig.ino("here").await.unwrap()).unwrap();
    assert_eq!(attr.perm, 0o755);
}

// S-120, S-121, S-122, S-126
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_known_fingerprints_are_listed_and_nothing_is_read_for_them() {
    let rig = two().await;
    rig.seed("ali", "/a.bin", 5000, 1);
    let ino = rig.ino("ali/a.bin").await.unwrap();
    let names = rig.vfs.listxattr(ino).unwrap();
    assert!(names.contains(&"user.pan.sha1".to_owned()), "{names:?}");
    assert!(
        !names.contains(&"user.pan.provider".to_owned()),
        "{names:?}"
    );
    assert_eq!(
        rig.xattr("ali/a.bin", "user.pan.provider").await.unwrap(),
        "aliyundrive_open"
    );
    assert_eq!(
        rig.xattr("ali/a.bin", "user.pan.remote_path")
            .await
            .unwrap(),
        "/a.bin"
    );
    let errno = |result: panfuse::vfs::FsResult<String>| result.unwrap_err().errno;
    assert_eq!(
        errno(rig.xattr("ali/a.bin", "user.pan.gcid").await),
        libc::ENODATA
    );
    assert_eq!(
        errno(rig.xattr("ali/a.bin", "user.other").await),
        libc::ENODATA
    );
    let set = rig.vfs.setxattr(ino, "user.other", b"x").await;
    assert_eq!(set.unwrap_err().errno, libc::EOPNOTSUPP);
    assert_eq!(rig.stat("ali").bytes_down, 0);
}

// S-123
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fingerprints_are_computed_on_demand() {
    let rig = two().await;
    std::fs::write(outside(&rig, "here/a"), b"abc").unwrap();
    let ino = rig.ino("here/a").await.unwrap();
    rig.vfs
        .setxattr(ino, "user.pan.compute", b"md5,sha1")
        .await
        .unwrap();
    let md5 = rig.xattr("here/a", "user.pan.md5").await.unwrap();
    assert_eq!(md5, "900150983cd24fb0d6963f7d28e17f72");
    let wrong = rig.vfs.setxattr(ino, "user.pan.compute", b"md6").await;
    assert_eq!(wrong.unwrap_err().errno, libc::EINVAL);
    let dir = rig.ino("here").await.unwrap();
    let wrong = rig.vfs.setxattr(dir, "user.pan.compute", b"md5").await;
    assert_eq!(wrong.unwrap_err().errno, libc::EISDIR);
}

// S-124, S-125
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_never_overrules_what_was_computed() {
    let rig = two().await;
    std::fs::write(outside(&rig, "here/a"), b"abc").unwrap();
    let ino = rig.ino("here/a").await.unwrap();
    rig.vfs
        .setxattr(ino, "user.pan.compute", b"md5")
        .await
        .unwrap();
    let set = async |value: &[u8]| rig.vfs.setxattr(ino, "user.pan.md5", value).await;
    set(b"900150983cd24fb0d6963f7d28e17f72").await.unwrap();
    let other = set(b"00000000000000000000000000000000").await;
    assert_eq!(other.unwrap_err().errno, libc::EPERM);
    assert_eq!(set(b"no hash").await.unwrap_err().errno, libc::EINVAL);
    rig.vfs.removexattr(ino, "user.pan.md5").unwrap();
    rig.xattr("here/a", "user.pan.md5").await.unwrap();
    let removed = rig.vfs.removexattr(ino, "user.pan.provider");
    assert_eq!(removed.unwrap_err().errno, libc::ENODATA);
}

// S-127
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_being_written_has_no_fingerprints() {
    let rig = two().await;
    rig.seed("ali", "/a.bin", 5000, 1);
    let ino = rig.ino("ali/a.bin").await.unwrap();
    let handle = rig
        .vfs
        .open(ino, libc::O_RDWR, &Caller::own())
        .unwrap()
        .handle;
    rig.vfs.write(handle, 0, b"x").await.unwrap();
    assert!(rig.vfs.listxattr(ino).unwrap().is_empty());
    rig.vfs.release(handle);
}

// S-088
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_does_not_replace_what_was_computed_here() {
    let rig = two().await;
    rig.seed("ali", "/a.bin", 5000, 1);
    let listed = rig.xattr("ali/a.bin", "user.pan.sha1").await.unwrap();
    // The provider has other bytes than those it speaks of.
    rig.world.corrupt("ali", "/a.bin").unwrap();
    let ino = rig.ino("ali/a.bin").await.unwrap();
    rig.vfs
        .setxattr(ino, "user.pan.compute", b"sha1")
        .await
        .unwrap();
    let tree = rig.world.tree("ali").unwrap();
    let stored = tree["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["path"] == "/a.bin")
        .and_then(|item| item["sha1"].as_str())
        .unwrap()
        .to_ascii_lowercase();
    assert_ne!(stored, listed);
    for _ in 0..2 {
        let sha1 = rig.xattr("ali/a.bin", "user.pan.sha1").await.unwrap();
        assert_eq!(sha1, stored);
        let source = rig.xattr("ali/a.bin", "user.pan.fp_source").await.unwrap();
        let source: serde_json::Value = serde_json::from_str(&source).unwrap();
        assert_eq!(source["sha1"]["origin"], "computed");
        let dir = rig.ino("ali").await.unwrap();
        rig.vfs.refresh(dir, false).await.unwrap();
    }
}
