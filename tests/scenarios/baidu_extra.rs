//! What Baidu finds and hands out: searches, files by kind, counts, and share links, by an app's
//! token and by cookies.

use panfuse::drive::{ErrorKind, LinkWish, MediaKind};
use panfuse::sim::{Fault, FaultKind};
use panfuse::vfs::{Findings, FsError, Look};

use super::harness::Rig;

const ALONE: &[&str] = &["baidu_netdisk"];

/// The same account, by token and by cookies.
const BOTH: [&str; 2] = ["baidu", "baidu-cookie"];

fn look<'a>(profile: &'a str, dir: Option<&'a str>, limit: usize) -> Look<'a> {
    Look {
        profile,
        dir,
        limit,
    }
}

fn paths(found: &Findings) -> Vec<&str> {
    found.items.iter().map(|item| item.path.as_str()).collect()
}

fn kind(error: &FsError) -> ErrorKind {
    error.cause.as_ref().unwrap().kind
}

/// What a visitor of a link sees.
async fn visit(link: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = client.get(link).send().await.unwrap();
    (page.status().as_u16(), page.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_found_below_a_directory_and_shown_where_they_are() {
    let rig = Rig::new(ALONE).await;
    rig.seed("baidu", "/a/cat one.jpg", 5, 1);
    rig.seed("baidu", "/a/b/cat.mp4", 6, 2);
    rig.seed("baidu", "/z/cat.txt", 7, 3);
    rig.world.mkdir("baidu", "/a/cats").unwrap();
    rig.world.set("baidu", "ids", "text").unwrap();
    for profile in BOTH {
        let found = rig
            .vfs
            .search(look(profile, None, 10), "cat")
            .await
            .unwrap();
        let at = |path: &str| format!("/{profile}{path}");
        let mut seen = paths(&found);
        seen.sort_unstable();
        assert_eq!(
            seen,
            [
                at("/a/b/cat.mp4"),
                at("/a/cat one.jpg"),
                at("/a/cats"),
                at("/z/cat.txt")
            ]
        );
        assert!(!found.more);
        let film = found.items.iter().find(|item| item.path.ends_with("mp4"));
        let film = film.unwrap();
        assert_eq!((film.size, film.dir), (6, false));
        assert!(film.modified > 0);
        assert!(found.items.iter().any(|item| item.dir));
        // Every path that is told is a path of the mount.
        for item in &found.items {
            rig.ino(&item.path).await.unwrap();
        }
        let dir = at("/a");
        let below = rig
            .vfs
            .search(look(profile, Some(&dir), 10), "cat")
            .await
            .unwrap();
        assert_eq!(below.items.len(), 3);
        let few = rig.vfs.search(look(profile, None, 2), "cat").await.unwrap();
        assert_eq!((few.items.len(), few.more), (2, true));
        let none = rig.vfs.search(look(profile, None, 9), "dog").await.unwrap();
        assert_eq!(none, Findings::default());
        let long = "x".repeat(31);
        let error = rig.vfs.search(look(profile, None, 9), &long).await;
        assert_eq!(kind(&error.unwrap_err()), ErrorKind::Invalid);
        let elsewhere = rig.vfs.search(look(profile, Some("baidu-2"), 9), "x").await;
        assert_eq!(kind(&elsewhere.unwrap_err()), ErrorKind::Invalid);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hits_of_all_pages_are_told() {
    let rig = Rig::new(ALONE).await;
    for n in 0..1001 {
        rig.seed("baidu", &format!("/many/dog{n:04}.pdf"), 1, 1);
    }
    let found = rig
        .vfs
        .search(look("baidu", None, 5000), "dog")
        .await
        .unwrap();
    assert_eq!((found.items.len(), found.more), (1001, false));
    assert_eq!(rig.stat("baidu").count("search"), 3);
    let docs = rig
        .vfs
        .media(look("baidu", None, 5000), MediaKind::Document)
        .await
        .unwrap();
    assert_eq!((docs.items.len(), docs.more), (1001, false));
    // One page is enough for a few.
    rig.world.reset("baidu").unwrap();
    let few = rig
        .vfs
        .search(look("baidu", None, 10), "dog")
        .await
        .unwrap();
    assert_eq!((few.items.len(), few.more), (10, true));
    assert_eq!(rig.stat("baidu").count("search"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_listed_and_counted_by_kind() {
    let rig = Rig::new(ALONE).await;
    for (path, size) in [
        ("/p/a.jpg", 10),
        ("/p/q/b.png", 20),
        ("/v.mp4", 30),
        ("/m/s.mp3", 40),
        ("/m/t.flac", 50),
        ("/d/x.pdf", 60),
        ("/s/y.apk", 70),
        ("/t/z.torrent", 80),
        ("/o/raw.bin", 90),
    ] {
        rig.seed("baidu", path, size, 1);
    }
    for profile in BOTH {
        for (what, files) in [
            (MediaKind::Image, vec!["/p/a.jpg", "/p/q/b.png"]),
            (MediaKind::Video, vec!["/v.mp4"]),
            (MediaKind::Audio, vec!["/m/s.mp3", "/m/t.flac"]),
            (MediaKind::Document, vec!["/d/x.pdf"]),
            (MediaKind::Application, vec!["/s/y.apk"]),
            (MediaKind::Bt, vec!["/t/z.torrent"]),
            (MediaKind::Other, vec!["/o/raw.bin"]),
        ] {
            let found = rig.vfs.media(look(profile, None, 50), what).await.unwrap();
            let mut seen = paths(&found);
            seen.sort_unstable();
            let files: Vec<String> = files.iter().map(|f| format!("/{profile}{f}")).collect();
            assert_eq!(seen, files, "{what:?}");
        }
        let dir = format!("{profile}/p/q");
        let below = rig
            .vfs
            .media(look(profile, Some(&dir), 50), MediaKind::Image)
            .await
            .unwrap();
        assert_eq!(paths(&below), [format!("/{profile}/p/q/b.png")]);
        for key in ["info", "count"] {
            rig.world.set("baidu", "category_info", key).unwrap();
            let counts = rig.vfs.media_counts(profile, None).await.unwrap();
            let told: Vec<(&str, u64, Option<u64>)> = counts
                .iter()
                .map(|c| (c.kind.name(), c.count, c.size))
                .collect();
            assert_eq!(
                told,
                [
                    ("video", 1, Some(30)),
                    ("audio", 2, Some(90)),
                    ("image", 2, Some(30)),
                    ("document", 1, Some(60)),
                    ("application", 1, Some(70)),
                    ("bt", 1, Some(80)),
                    ("other", 1, Some(90)),
                ]
            );
        }
        let dir = format!("{profile}/m");
        let counts = rig.vfs.media_counts(profile, Some(&dir)).await.unwrap();
        let files: u64 = counts.iter().map(|count| count.count).sum();
        assert_eq!(files, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_and_odd_answers_do_not_stop_a_search() {
    let rig = Rig::new(ALONE).await;
    rig.seed("baidu", "/cat.jpg", 5, 1);
    let found = async || rig.vfs.search(look("baidu", None, 9), "cat").await;
    for (kind, arg) in [
        (FaultKind::ExpireToken, ""),
        (FaultKind::Status, "502"),
        (FaultKind::Errno, "42905"),
    ] {
        rig.world
            .fault("baidu", Fault::once("search", kind, arg))
            .unwrap();
        assert_eq!(found().await.unwrap().items.len(), 1, "{kind:?}");
    }
    rig.world
        .fault("baidu", Fault::once("search", FaultKind::NullList, ""))
        .unwrap();
    assert_eq!(found().await.unwrap(), Findings::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_opens_what_was_shared_with_its_code() {
    let rig = Rig::new(ALONE).await;
    rig.seed("baidu", "/d/a.bin", 5, 1);
    let file = rig.ino("baidu/d/a.bin").await.unwrap();
    let dir = rig.ino("baidu/d").await.unwrap();
    let wish = |days, code: Option<&str>| LinkWish {
        days,
        code: code.map(str::to_owned),
    };
    let made = rig.vfs.share_link(file, &wish(7, Some("a1b2"))).await;
    let made = made.unwrap();
    assert_eq!((made.code.as_str(), made.days), ("a1b2", 7));
    assert_eq!(visit(&made.link).await, (200, "/d/a.bin".to_owned()));
    let made = rig.vfs.share_link(dir, &wish(30, None)).await.unwrap();
    assert_eq!(visit(&made.link).await, (200, "/d".to_owned()));
    assert!(made.link.ends_with(&format!("pwd={}", made.code)));
    let guess = made.link.replace(&made.code, "!!!!");
    assert_eq!(visit(&guess).await.0, 403);
    rig.world.clock_advance(31 * 86_400_000);
    assert_eq!(visit(&made.link).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_there_is_no_link() {
    let rig = Rig::with(ALONE, &["here"], Default::default()).await;
    rig.seed("baidu", "/a.bin", 5, 1);
    std::fs::write(rig.dir.path().join("locals/here/f"), "x").unwrap();
    let wish = LinkWish {
        days: 7,
        code: None,
    };
    let asked = async |path: &str| {
        let ino = rig.ino(path).await.unwrap();
        rig.vfs.share_link(ino, &wish).await.unwrap_err()
    };
    // Neither a directory of this machine nor cookies make links; nothing is asked.
    for path in ["here/f", "baidu-cookie/a.bin"] {
        let error = asked(path).await;
        assert_eq!(kind(&error), ErrorKind::Unsupported);
        let message = error.cause.unwrap().message;
        assert!(
            message.contains("not supported by this provider"),
            "{message}"
        );
    }
    assert_eq!(kind(&asked("baidu").await), ErrorKind::Invalid);
    assert_eq!(rig.stat("baidu").count("share_create"), 0);
    rig.world.set("baidu", "share_service", "missing").unwrap();
    let error = asked("baidu/a.bin").await;
    assert_eq!(kind(&error), ErrorKind::Unsupported);
    assert!(error.cause.unwrap().message.contains("paid service"));
    rig.world.set("baidu", "share_service", "bought").unwrap();
    rig.world
        .fault(
            "baidu",
            Fault::once("share_create", FaultKind::DropAnswer, ""),
        )
        .unwrap();
    assert_eq!(kind(&asked("baidu/a.bin").await), ErrorKind::Network);
    assert_eq!(rig.stat("baidu").count("share_create"), 2, "not repeated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_providers_say_that_they_do_not_search() {
    let rig = Rig::with(ALONE, &["here"], Default::default()).await;
    let here = look("here", None, 9);
    for error in [
        rig.vfs.search(here, "x").await.unwrap_err(),
        rig.vfs.media(here, MediaKind::Video).await.unwrap_err(),
        rig.vfs.media_counts("here", None).await.unwrap_err(),
    ] {
        assert_eq!(kind(&error), ErrorKind::Unsupported);
        assert_eq!(error.errno, libc::EOPNOTSUPP);
    }
    let error = rig.vfs.search(look("nobody", None, 9), "x").await;
    assert_eq!(kind(&error.unwrap_err()), ErrorKind::NotFound);
}
