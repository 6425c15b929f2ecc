//! Names that a directory shows, and how a provider spells them.

use super::two;

/// What a duplicate of `name.txt` is called.
fn marked(id: &str) -> String {
    let letters: Vec<char> = id.chars().filter(char::is_ascii_alphanumeric).collect();
    let end: String = letters[letters.len().saturating_sub(8)..].iter().collect();
    format!("same~{end}.txt")
}

// S-005
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn siblings_of_one_name_are_all_visible_and_told_apart() {
    let rig = two().await;
    let account = rig.world.account("ali").unwrap();
    let root = account.tree().root().to_owned();
    let mut ids = Vec::new();
    for number in 1..=3u64 {
        rig.seed("ali", &format!("/{number}.txt"), number * 1000, number);
        let id = {
            let mut tree = account.tree();
            let id = tree.resolve(&format!("/{number}.txt")).unwrap().id.clone();
            assert!(tree.relocate(&id, &root, "same.txt"));
            id
        };
        ids.push(id);
        rig.world.clock_advance(10_000);
    }
    let mut expected = ["same.txt".to_owned(), marked(&ids[0]), marked(&ids[1])];
    expected.sort();
    assert_eq!(rig.names("ali").await, expected);
    // The newest is plain, and each name is the file with its id.
    for (name, size) in [
        ("same.txt", 3000),
        (&marked(&ids[0]), 1000),
        (&marked(&ids[1]), 2000),
    ] {
        let bytes = rig.get(&format!("ali/{name}")).await.unwrap();
        assert_eq!(bytes.len(), size, "{name}");
    }
    rig.rm(&format!("ali/{}", marked(&ids[0]))).await.unwrap();
    rig.rm("ali/same.txt").await.unwrap();
    rig.settle().await;
    let live = |id: &str| account.tree().live(id).is_some();
    assert_eq!(
        [&ids[0], &ids[1], &ids[2]].map(|id| live(id)),
        [false, true, false]
    );
    // One alone needs no mark.
    rig.vfs
        .refresh(rig.ino("ali").await.unwrap(), false)
        .await
        .unwrap();
    assert_eq!(rig.names("ali").await, ["same.txt"]);
    assert_eq!(rig.get("ali/same.txt").await.unwrap().len(), 2000);
}

// S-006
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_character_that_the_provider_refuses_comes_back_as_it_was() {
    let mut rig = two().await;
    let names = ["a:b?.txt", "real\u{ff1a}twin.txt"];
    for name in names {
        rig.put(&format!("ali/{name}"), name.as_bytes())
            .await
            .unwrap();
    }
    rig.mkdir("ali/\"quoted\"").await.unwrap();
    rig.settle().await;
    // The simulator refuses such characters, as the provider does.
    let held = rig.files("ali");
    assert!(
        held.contains(&"/a\u{ff1a}b\u{ff1f}.txt".to_owned()),
        "{held:?}"
    );
    assert!(held.iter().all(|path| !path.contains([':', '?', '"'])));
    rig.restart().await;
    rig.vfs
        .refresh(rig.ino("ali").await.unwrap(), false)
        .await
        .unwrap();
    assert_eq!(
        rig.names("ali").await,
        ["\"quoted\"", "a:b?.txt", "real\u{ff1a}twin.txt"]
    );
    for name in names {
        let bytes = rig.get(&format!("ali/{name}")).await.unwrap();
        assert_eq!(bytes, name.as_bytes());
    }
}

// S-008
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_under_way_are_not_shown_whoever_makes_them() {
    let rig = two().await;
    let hidden = [
        "panfuse-tmp-test-01234567-film.mkv",
        "panfuse-tmp-another-89abcdef-film.mkv",
    ];
    for (name, seed) in hidden
        .into_iter()
        .chain(["film.mkv", "panfuse-tmp-notes.txt"])
        .zip(1..)
    {
        rig.seed("ali", &format!("/{name}"), 1000, seed);
    }
    let shown = ["film.mkv", "panfuse-tmp-notes.txt"];
    assert_eq!(rig.names("ali").await, shown);
    for name in hidden {
        let found = rig.ino(&format!("ali/{name}")).await;
        assert_eq!(found.unwrap_err().errno, libc::ENOENT, "{name}");
    }
    // They are somebody's: nothing happens to them.
    rig.settle().await;
    assert_eq!(rig.files("ali").len(), 4);
}
