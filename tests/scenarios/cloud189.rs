//! Tianyi Cloud 189 among other drives: contents it knows and does not know, replacements, limits,
//! sessions that end, odd answers, and a share that is taken over but not read.

use panfuse::fingerprint::{Kind, hash_all};
use panfuse::sim::{Fault, FaultKind};
use panfuse::vfs::Close;

use super::harness::{Rig, RigOptions};

const WITH_ALI: &[&str] = &["aliyundrive_open", "189cloud"];

const SIZE: u64 = 3_000_003;

/// More than one slice: the MD5 over the slices is another one than the MD5.
const TWO_SLICES: u64 = (10 << 20) + 77;

/// What samples of both sides may read.
const SAMPLES: u64 = 256 << 10;

/// Both files hold the same bytes at their providers.
fn assert_same(rig: &Rig, one: (&str, &str), other: (&str, &str), size: u64) {
    let read = |(profile, path): (&str, &str)| rig.world.read(profile, path, 0, size).unwrap();
    let (one, other) = (read(one), read(other));
    assert_eq!(one.len() as u64, size);
    assert!(one == other, "other bytes");
}

/// The older call wants the MD5 alone, so that nothing is read of a file of any size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_content_comes_from_another_account_without_an_uploaded_byte() {
    let rig = Rig::new(&["189cloud"]).await;
    rig.seed("189", "/a.bin", TWO_SLICES, 7);
    rig.cp("189/a.bin", "189-2/known.bin").await.unwrap();
    rig.settle().await;
    let stat = rig.stat("189-2");
    assert_eq!((stat.bytes_up, stat.rapid_hits), (0, 1));
    let asked = ["create_old", "complete_old", "create", "part_link"].map(|op| stat.count(op));
    assert_eq!(asked, [1, 1, 0, 0]);
    assert_eq!(rig.stat("189").bytes_down, 0);
    let copied = ("189-2", "/known.bin");
    assert_same(&rig, ("189", "/a.bin"), copied, TWO_SLICES);
}

/// No call of the service tells the MD5 over the slices; what an upload computed is remembered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_streamed_upload_learned_answers_the_next_question_unread() {
    let options = RigOptions {
        stage_budget: 1 << 20,
        ..RigOptions::default()
    };
    let rig = Rig::with(WITH_ALI, &[], options).await;
    for profile in ["189", "189-2"] {
        rig.world.set(profile, "old_api_hits", "off").unwrap();
    }
    rig.seed("ali", "/a.bin", TWO_SLICES, 50);
    rig.cp("ali/a.bin", "189/a.bin").await.unwrap();
    rig.settle().await;
    assert_eq!(rig.stat("189").bytes_up, TWO_SLICES);
    let read = rig.stat("ali").bytes_down;
    assert!(
        (TWO_SLICES..=TWO_SLICES + SAMPLES).contains(&read),
        "{read} bytes"
    );
    for (from, to) in [("ali/a.bin", "b.bin"), ("189/a.bin", "c.bin")] {
        rig.world.reset("189-2").unwrap();
        rig.cp(from, &format!("189-2/{to}")).await.unwrap();
        rig.settle().await;
        let stat = rig.stat("189-2");
        assert_eq!((stat.bytes_up, stat.rapid_hits), (0, 1), "{from}");
        let asked = ["create_old", "create", "complete"].map(|op| stat.count(op));
        assert_eq!(asked, [0, 1, 1], "{from}");
        let path = format!("/{to}");
        assert_same(&rig, ("ali", "/a.bin"), ("189-2", &path), TWO_SLICES);
    }
    assert_eq!(rig.stat("ali").bytes_down, read);
    assert_eq!(rig.stat("189").bytes_down, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_in_the_middle_of_a_copy_is_renewed_once() {
    // The session alone; the access token behind it, too.
    for (what, tokens) in [("", 0), ("access", 1)] {
        let options = RigOptions {
            stage_budget: 1 << 20,
            ..RigOptions::default()
        };
        let rig = Rig::with(WITH_ALI, &[], options).await;
        rig.seed("ali", "/a.bin", TWO_SLICES, 60);
        assert_eq!(rig.names("189").await, Vec::<String>::new());
        rig.world.reset("189").unwrap();
        let over = Fault::once("part_link", FaultKind::ExpireToken, what);
        rig.world.fault("189", over).unwrap();
        rig.cp("ali/a.bin", "189/a.bin").await.unwrap();
        rig.settle().await;
        let stat = rig.stat("189");
        assert_eq!(stat.refreshes, 1, "{what}");
        assert_eq!(stat.count("refresh_token"), tokens, "{what}");
        assert_eq!(stat.bytes_up, TWO_SLICES, "{what}");
        assert_eq!(rig.uploads("189"), 0, "{what}");
        assert_same(&rig, ("ali", "/a.bin"), ("189", "/a.bin"), TWO_SLICES);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banned_content_and_a_day_that_is_used_up_are_two_things() {
    let options = RigOptions {
        close: Close::Wait,
        ..RigOptions::default()
    };
    let rig = Rig::with(&["189cloud"], &["here"], options).await;
    let write = |name: &str, salt: u8| {
        let bytes: Vec<u8> = (0..40_000_u32).map(|n| (n % 251) as u8 ^ salt).collect();
        std::fs::write(rig.dir.path().join("locals/here").join(name), &bytes).unwrap();
        hash_all(&[Kind::Md5], &bytes).remove(0).1
    };
    let banned = write("banned.bin", 1);
    write("good.bin", 2);
    write("late.bin", 3);
    rig.world.set("189", "blacklist", &banned).unwrap();
    let error = rig.cp("here/banned.bin", "189/x.bin").await.unwrap_err();
    assert!(error.to_string().contains("bans this content"), "{error}");
    // What `cp` is told where EINVAL would make it read and write instead.
    assert_eq!(error.errno, libc::EIO);
    // Either fast upload asks; both hashes of a file of this machine are known.
    let asked = || ["create_old", "create"].map(|op| rig.stat("189").count(op));
    assert_eq!((rig.stat("189").bytes_up, asked()), (0, [0, 1]));
    // That is about the content, not about the account.
    rig.cp("here/good.bin", "189/good.bin").await.unwrap();
    assert_eq!(rig.files("189"), ["/good.bin"]);

    rig.world.set("189", "day_flow", "50000").unwrap();
    rig.world.reset("189").unwrap();
    for _ in 0..2 {
        let error = rig.cp("here/late.bin", "189/late.bin").await.unwrap_err();
        assert_eq!(error.errno, libc::EDQUOT, "{error}");
    }
    // It was asked once; the day is over for this account until it ends.
    assert_eq!(asked(), [0, 1]);
    assert_eq!(rig.get("189/good.bin").await.unwrap().len(), 40_000);
    rig.cp("here/late.bin", "189-2/late.bin").await.unwrap();
    assert_eq!(rig.files("189-2"), ["/late.bin"]);
    assert_eq!(rig.files("189"), ["/good.bin"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_too_fast_rests_over_a_restart_and_the_others_go_on() {
    let mut rig = Rig::new(&["189cloud"]).await;
    rig.seed("189", "/a.bin", 10, 70);
    rig.seed("189-2", "/a.bin", 10, 71);
    let slow_down = Fault::always("list", FaultKind::Errno, "RequestTooFast");
    rig.world.fault("189", slow_down).unwrap();
    let error = rig.ino("189/a.bin").await.unwrap_err();
    assert_eq!(error.errno, libc::EBUSY, "{error}");
    let asked = rig.stat("189").count("list");
    assert!((2..=6).contains(&asked), "{asked} calls");
    // The service would answer again, but it is not asked before the pause is over.
    rig.world.reset("189").unwrap();
    for restart in [false, true] {
        if restart {
            rig.restart().await;
        }
        let error = rig.ino("189/a.bin").await.unwrap_err();
        assert_eq!(error.errno, libc::EBUSY, "{error}");
        assert_eq!(rig.stat("189").total(), 0, "after a restart: {restart}");
        rig.ino("189-2/a.bin").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_answers_show_the_same_files() {
    let dresses: [&[(&str, &str)]; 4] = [
        &[("xml", "*")],
        &[
            ("ids", "number"),
            ("quoted_numbers", "on"),
            ("times", "nnbsp"),
        ],
        &[
            ("ids", "text"),
            ("times", "ampm_zone"),
            ("error_shape", "xml"),
        ],
        &[
            ("null_empty", "on"),
            ("times", "nbsp"),
            ("hide_task_ids", "on"),
        ],
    ];
    for dress in dresses {
        let rig = Rig::new(WITH_ALI).await;
        for (knob, value) in dress {
            rig.world.set("189", knob, value).unwrap();
        }
        rig.seed("189", "/d/a & b.bin", SIZE, 80);
        rig.seed("189", "/d/sub/c.bin", 5, 81);
        rig.seed("ali", "/new.bin", 70_000, 82);
        assert_eq!(rig.names("189/d").await, ["a & b.bin", "sub"], "{dress:?}");
        let ino = rig.ino("189/d/a & b.bin").await.unwrap();
        let attr = rig.vfs.getattr(ino).unwrap();
        assert_eq!(attr.size, SIZE, "{dress:?}");
        // Ids of 18 digits survive whatever they are written as: the bytes come by them.
        let bytes = rig.get("189/d/a & b.bin").await.unwrap();
        let stored = rig.world.read("189", "/d/a & b.bin", 0, SIZE).unwrap();
        assert!(bytes[..] == stored[..], "{dress:?}");
        rig.cp("ali/new.bin", "189/d/new.bin").await.unwrap();
        rig.settle().await;
        rig.mkdir("189/e").await.unwrap();
        rig.rename("189/d/new.bin", "189/e/moved.bin")
            .await
            .unwrap();
        rig.rm("189/d/sub/c.bin").await.unwrap();
        rig.rmdir("189/d/sub").await.unwrap();
        rig.settle().await;
        let left = ["/d/a & b.bin", "/e/moved.bin"];
        assert_eq!(rig.files("189"), left, "{dress:?}");
        assert_same(&rig, ("ali", "/new.bin"), ("189", left[1]), 70_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_directory_costs_a_call_per_thousand_entries_and_none_the_second_time() {
    const COUNT: usize = 10_000;
    let rig = Rig::new(&["189cloud"]).await;
    for number in 0..COUNT {
        rig.seed("189", &format!("/many/{number:05}.bin"), 3, number as u64);
    }
    let ino = rig.ino("189/many").await.unwrap();
    let before = rig.stat("189").count("list");
    let names = rig.names("189/many").await;
    assert_eq!(names.len(), COUNT);
    assert!((0..COUNT).all(|number| names[number] == format!("{number:05}.bin")));
    assert_eq!(rig.stat("189").count("list") - before, 10);
    let asked = rig.stat("189").total();
    assert_eq!(rig.names("189/many").await.len(), COUNT);
    for name in ["00000.bin", "09999.bin", "absent.bin"] {
        let found = rig.ino(&format!("189/many/{name}")).await;
        assert_eq!(found.is_ok(), name != "absent.bin", "{name}");
    }
    assert_eq!(rig.vfs.resolve("189/many").await.unwrap(), ino);
    assert_eq!(rig.stat("189").total(), asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_content_is_uploaded_and_can_be_copied_out_again() {
    let rig = Rig::new(WITH_ALI).await;
    rig.seed("ali", "/a.bin", SIZE, 20);
    rig.cp("ali/a.bin", "189/new.bin").await.unwrap();
    rig.settle().await;
    assert_eq!(rig.stat("189").bytes_up, SIZE);
    assert_same(&rig, ("ali", "/a.bin"), ("189", "/new.bin"), SIZE);
    rig.cp("189/new.bin", "ali-2/a.bin").await.unwrap();
    rig.settle().await;
    assert_same(&rig, ("ali", "/a.bin"), ("ali-2", "/a.bin"), SIZE);
}

/// What `mv` does between file systems: copy, then unlink the source.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_moved_across_and_replaces_the_one_that_is_there() {
    let rig = Rig::new(WITH_ALI).await;
    rig.seed("189", "/a.txt", 70_000, 30);
    rig.cp("189/a.txt", "ali/a.txt").await.unwrap();
    rig.rm("189/a.txt").await.unwrap();
    rig.settle().await;
    assert_eq!(rig.files("189"), Vec::<String>::new());
    // And back, onto another file of that name.
    rig.seed("189-2", "/a.txt", 500, 80);
    rig.cp("ali/a.txt", "189-2/a.txt").await.unwrap();
    rig.rm("ali/a.txt").await.unwrap();
    rig.settle().await;
    let done = rig.transfer("189-2/a.txt").await;
    assert_eq!(done.conflict_action, "overwrite_by_replace");
    assert_eq!(rig.files("189-2"), ["/a.txt"]);
    assert_eq!(rig.get("189-2/a.txt").await.unwrap().len(), 70_000);
    assert_eq!(rig.files("ali"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_is_taken_over_but_neither_read_nor_written_to() {
    let rig = Rig::new(WITH_ALI).await;
    rig.seed("189-share", "/films/a.mkv", SIZE, 40);
    let from = "189-share/films/a.mkv";
    // Into an account of the same provider no byte moves.
    rig.cp(from, "189/a.mkv").await.unwrap();
    rig.settle().await;
    let done = rig.transfer("189/a.mkv").await;
    assert_eq!(format!("{:?}", done.phase), "P0");
    assert_eq!(rig.stat("189-share").bytes_down, 0);
    assert_eq!(rig.stat("189").bytes_up, 0);
    assert_same(&rig, ("189-share", "/films/a.mkv"), ("189", "/a.mkv"), SIZE);
    // The service hands the bytes out to log-ins only.
    let refused = rig.get(from).await.unwrap_err();
    assert_eq!(refused.errno, libc::EACCES);

    let refused = rig.put("189-share/x", b"x").await.unwrap_err();
    assert_eq!(refused.errno, libc::EROFS);
    let refused = rig.mkdir("189-share/d").await.unwrap_err();
    assert_eq!(refused.errno, libc::EROFS);
    let refused = rig.rm(from).await.unwrap_err();
    assert_eq!(refused.errno, libc::EROFS);
    assert_eq!(rig.files("189-share"), ["/films/a.mkv"]);
}

/// A limit on takings-over, or a door that does not know them: the listed MD5 does as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_a_share_that_is_not_taken_over_is_still_not_moved() {
    for refusal in ["ShareDumpFileOverload", "InvalidArgument"] {
        let rig = Rig::new(&["189cloud"]).await;
        rig.seed("189-share", "/a.mkv", TWO_SLICES, 95);
        let refused = Fault::always("save", FaultKind::Errno, refusal);
        rig.world.fault("189", refused).unwrap();
        rig.cp("189-share/a.mkv", "189/a.mkv").await.unwrap();
        rig.settle().await;
        let stat = rig.stat("189");
        let done = (stat.bytes_up, stat.rapid_hits, stat.count("save"));
        assert_eq!(done, (0, 1, 1), "{refusal}");
        assert_eq!(rig.stat("189-share").bytes_down, 0, "{refusal}");
        let (from, to) = (("189-share", "/a.mkv"), ("189", "/a.mkv"));
        assert_same(&rig, from, to, TWO_SLICES);
    }
}

/// `panfuse share save`: a directory of a share with all below it, by one task of the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_a_share_is_saved_without_moving_a_byte() {
    let rig = Rig::new(WITH_ALI).await;
    rig.seed("189-share", "/season/one.mkv", SIZE, 90);
    rig.seed("189-share", "/season/two.mkv", SIZE, 91);
    let link = rig.ino("189-share/season").await.unwrap();
    let account = rig.ino("189").await.unwrap();
    let saved = rig.vfs.save_shared(link, account).await.unwrap();
    assert_eq!(saved.name, "season");
    let names = rig.names("189/season").await;
    assert_eq!(names, ["one.mkv", "two.mkv"]);
    for profile in ["189-share", "189"] {
        let stat = rig.stat(profile);
        assert_eq!((stat.bytes_down, stat.bytes_up), (0, 0), "{profile}");
    }
    assert_eq!(rig.stat("189").count("save"), 1);
    let path = "/season/one.mkv";
    assert_same(&rig, ("189-share", path), ("189", path), SIZE);
    // Again: the name is taken.
    let again = rig.vfs.save_shared(link, account).await.unwrap_err();
    assert_eq!(again.errno, libc::EEXIST);
}
