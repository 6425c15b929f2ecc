//! Listing, reading, writing, copying, moving.

use super::harness::Rig;

const ALI: &[&str] = &["aliyundrive_open"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_content_is_copied_without_a_byte() {
    let rig = Rig::new(ALI).await;
    rig.seed("ali", "/films/a.mkv", 20_000_000, 7);
    rig.cp("ali/films/a.mkv", "ali-2/b.mkv").await.unwrap();
    let result = rig.transfer("ali-2/b.mkv").await;
    assert_eq!(format!("{:?}", result.phase), "P2");
    assert!(result.verify_ok);
    assert!(result.bytes_from_source <= 1 << 20);
    let stat = rig.stat("ali-2");
    assert_eq!((stat.bytes_up, stat.rapid_hits), (0, 1));
    assert_eq!(
        rig.world.read("ali-2", "/b.mkv", 0, 100).unwrap().len(),
        100
    );
    assert_eq!(rig.uploads("ali-2"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn written_bytes_are_read_back() {
    let rig = Rig::new(ALI).await;
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n * 31 % 251) as u8).collect();
    rig.mkdir("ali/docs").await.unwrap();
    rig.put("ali/docs/x.bin", &bytes).await.unwrap();
    assert_eq!(rig.get("ali/docs/x.bin").await.unwrap(), bytes);
    rig.settle().await;
    assert_eq!(rig.get("ali/docs/x.bin").await.unwrap(), bytes);
    let stored = rig.world.read("ali", "/docs/x.bin", 0, 4_000_000).unwrap();
    assert_eq!(&stored[..], &bytes[..]);
    assert_eq!(rig.names("ali/docs").await, ["x.bin"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_content_is_streamed_and_verified() {
    let rig = Rig::with(ALI, &["here"], Default::default()).await;
    let bytes: Vec<u8> = (0..40_000_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    std::fs::write(rig.dir.path().join("locals/here/big.bin"), &bytes).unwrap();
    rig.cp("here/big.bin", "ali/big.bin").await.unwrap();
    let result = rig.transfer("ali/big.bin").await;
    assert_eq!(format!("{:?}", result.phase), "P4");
    assert_eq!(result.bytes_to_target, bytes.len() as u64);
    let stored = rig
        .world
        .read("ali", "/big.bin", 0, bytes.len() as u64)
        .unwrap();
    assert!(stored[..] == bytes[..]);
    // The next copy of it needs no byte: its hash is known by now.
    rig.cp("here/big.bin", "ali-2/again.bin").await.unwrap();
    assert_eq!(rig.stat("ali-2").bytes_up, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_existing_file_is_replaced_and_the_old_one_is_in_the_trash() {
    let rig = Rig::new(ALI).await;
    rig.seed("ali", "/new.txt", 5000, 1);
    rig.seed("ali-2", "/doc.txt", 3000, 2);
    rig.cp("ali/new.txt", "ali-2/doc.txt").await.unwrap();
    assert_eq!(
        rig.transfer("ali-2/doc.txt").await.conflict_action,
        "overwrite_by_replace"
    );
    assert_eq!(rig.files("ali-2"), ["/doc.txt"]);
    assert_eq!(rig.get("ali-2/doc.txt").await.unwrap().len(), 5000);
    assert_eq!(rig.names("ali-2").await, ["doc.txt"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_can_be_changed_and_removed() {
    let rig = Rig::new(ALI).await;
    rig.seed("ali", "/a/one.txt", 10, 1);
    rig.seed("ali", "/a/two.txt", 10, 2);
    rig.mkdir("ali/b").await.unwrap();
    rig.rename("ali/a/one.txt", "ali/b/uno.md").await.unwrap();
    assert_eq!(rig.names("ali/b").await, ["uno.md"]);
    rig.rename("ali/a/two.txt", "ali/b/uno.md").await.unwrap();
    assert_eq!(rig.files("ali"), ["/b/uno.md"]);
    assert_eq!(rig.rmdir("ali/b").await.unwrap_err().errno, libc::ENOTEMPTY);
    rig.rm("ali/b/uno.md").await.unwrap();
    rig.rmdir("ali/b").await.unwrap();
    rig.rename("ali/a", "ali/c").await.unwrap();
    assert_eq!(rig.names("ali").await, ["c"]);
    rig.settle().await;
    assert_eq!(rig.files("ali"), Vec::<String>::new());
    assert_eq!(
        rig.rename("ali/c", "ali-2/c").await.unwrap_err().errno,
        libc::EXDEV
    );
}

/// The root of a `local` drive has an empty id, and its directories' ids are plain names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_removed_below_a_directory_of_a_local_drive_stays_away_after_a_restart() {
    let mut rig = Rig::with(&[], &["here"], Default::default()).await;
    rig.mkdir("here/d").await.unwrap();
    rig.put("here/d/c", b"gone soon").await.unwrap();
    rig.settle().await;
    rig.rm("here/d/c").await.unwrap();
    rig.settle().await;
    rig.restart().await;
    assert_eq!(rig.names("here/d").await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_file_is_made_when_it_is_closed() {
    let rig = Rig::new(ALI).await;
    let handle = rig.create("ali/empty").await.unwrap();
    rig.vfs.release(handle);
    rig.settle().await;
    assert_eq!(rig.files("ali"), ["/empty"]);
}

/// A directory that was listed a moment ago need not be listed again to know that a name is free,
/// also where the provider itself would not refuse a taken one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_on_115_costs_the_question_its_proof_and_a_look_at_the_new_file() {
    let rig = Rig::new(&["115_open"]).await;
    rig.seed("115", "/film.mkv", 20_000_000, 7);
    rig.names("115-2").await;
    let before = rig.stat("115-2").requests;
    rig.cp("115/film.mkv", "115-2/film.mkv").await.unwrap();
    let mut spent = rig.stat("115-2").requests;
    for (op, count) in before {
        if let Some(now) = spent.get_mut(&op) {
            *now -= count;
        }
    }
    spent.retain(|_, count| *count > 0);
    let calls: u64 = spent.values().sum();
    assert_eq!(calls, 3, "{spent:?}");
    assert!(!spent.contains_key("list"), "{spent:?}");
    assert_eq!(rig.stat("115-2").rapid_hits, 1);
    // The listing has it by now: the next copy replaces it, and no second one of that name is made.
    rig.cp("115/film.mkv", "115-2/film.mkv").await.unwrap();
    assert_eq!(rig.files("115-2"), ["/film.mkv"]);
}

/// 123 counts 254 characters: a longer name is refused when the file is made, not hours later when
/// it is uploaded, and a name of many bytes and few characters is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_too_long_is_refused_before_anything_is_sent() {
    let rig = Rig::new(&["123_open"]).await;
    rig.names("123").await;
    let before = rig.stat("123").requests;
    let ascii = "x".repeat(255);
    let error = rig.put(&format!("123/{ascii}"), b"a").await.unwrap_err();
    assert_eq!(error.errno, libc::ENAMETOOLONG);
    let error = rig.mkdir(&format!("123/{ascii}")).await.unwrap_err();
    assert_eq!(error.errno, libc::ENAMETOOLONG);
    assert_eq!(rig.stat("123").requests, before);
    let wide = "\u{4E2D}".repeat(85);
    rig.put(&format!("123/{wide}"), b"c").await.unwrap();
    rig.put(&format!("123/{}", &ascii[1..]), b"d")
        .await
        .unwrap();
    rig.settle().await;
    assert_eq!(
        rig.world.read("123", &format!("/{wide}"), 0, 9).unwrap(),
        b"c"[..]
    );
    let ino = rig.ino("123").await.unwrap();
    assert_eq!(rig.vfs.statfs(ino).unwrap().name_max, 254);
}

/// 115 asks for the hash of a range that it names: that range is read at the source, no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_of_115_reads_the_named_range_and_nothing_else() {
    let rig = Rig::new(&["115_open", "aliyundrive_open"]).await;
    rig.seed("ali", "/film.mkv", 20_000_000, 7);
    rig.seed("115-2", "/theirs.mkv", 20_000_000, 7);
    rig.cp("ali/film.mkv", "115/film.mkv").await.unwrap();
    let target = rig.stat("115");
    assert_eq!((target.challenges, target.rapid_hits), (1, 1));
    assert_eq!(target.bytes_up, 0);
    let read = rig.stat("ali").bytes_down;
    assert!(read > 0 && read <= 128 << 10, "{read}");
    assert_eq!(rig.files("115"), ["/film.mkv"]);
}

/// The copy of an object of parts has another ETag than the object.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_in_a_renamed_directory_on_s3_is_read_at_once() {
    let rig = Rig::new(&["s3"]).await;
    let bytes: Vec<u8> = (0..20_000_000u32).map(|n| (n * 31 % 251) as u8).collect();
    rig.mkdir("s3/old").await.unwrap();
    rig.mkdir("s3/old/deep").await.unwrap();
    rig.put("s3/old/deep/a.bin", &bytes).await.unwrap();
    rig.settle().await;
    assert!(rig.stat("s3").count("part") > 1);
    let before = rig.transfer("s3/old/deep/a.bin").await.id;
    let top = rig.ino("s3").await.unwrap();
    for (from, to) in [("old", "new"), ("new", "last")] {
        let moved = rig.vfs.rename((top, from), (top, to), 0).await;
        moved.unwrap();
        let path = format!("s3/{to}/deep/a.bin");
        assert!(rig.get(&path).await.unwrap() == bytes);
        // It is the same file, with what is known of it, also to a fresh listing.
        let dir = rig.ino(&format!("s3/{to}/deep")).await.unwrap();
        rig.vfs.refresh(dir, false).await.unwrap();
        assert_eq!(rig.transfer(&path).await.id, before);
    }
    // Not any more when somebody stores another one there.
    rig.seed("s3", "/last/deep/a.bin", 20_000_000, 8);
    let stored = rig.world.read("s3", "/last/deep/a.bin", 0, 20_000_000);
    let stored = stored.unwrap();
    rig.vfs
        .refresh(rig.ino("s3/last/deep").await.unwrap(), false)
        .await
        .unwrap();
    assert!(rig.get("s3/last/deep/a.bin").await.unwrap()[..] == stored[..]);
}
