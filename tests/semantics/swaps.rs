//! A replacement is cut between every two of its steps, on a drive that addresses by id and on one
//! that addresses by path.

use std::time::Duration;

use panfuse::vfs::Close;

use super::controlled::{control_of, controlled};
use super::harness::{Rig, RigOptions};
use super::outside;

const OLD: &[u8] = b"what stood there before";
const NEW: &[u8] = b"what is to stand there, and is longer";

/// What is done to the drive.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    /// `cp` over an existing file.
    Copy,
    /// A rename over an existing file beside it.
    Rename,
    /// A rename over a file elsewhere, under another name, where the old name is taken too.
    RenameElsewhere,
}

impl Deed {
    /// The file that is renamed.
    fn source(self) -> &'static str {
        match self {
            Deed::Copy => "from.txt",
            Deed::Rename => "d/from.txt",
            Deed::RenameElsewhere => "e/from.txt",
        }
    }
}

/// A drive with two contents. `there` is a directory of this machine, `ali` a cloud.
async fn prepared(profile: &str, deed: Deed) -> Rig {
    let options = RigOptions {
        close: Close::Wait,
        ..controlled()
    };
    let rig = Rig::with(&["aliyundrive_open"], &["here", "there"], options).await;
    let source = match deed {
        // Nothing is known of its content: it goes up beside the old file.
        Deed::Copy => "here/from.txt".to_owned(),
        _ => format!("{profile}/{}", deed.source()),
    };
    for dir in ["d", "e"] {
        rig.mkdir(&format!("{profile}/{dir}")).await.unwrap();
    }
    rig.put(&format!("{profile}/d/file.txt"), OLD)
        .await
        .unwrap();
    if deed == Deed::Copy {
        std::fs::write(outside(&rig, &source), NEW).unwrap();
    } else {
        rig.put(&source, NEW).await.unwrap();
    }
    if deed == Deed::RenameElsewhere {
        let other = format!("{profile}/d/from.txt");
        rig.put(&other, b"nobody's business").await.unwrap();
    }
    rig.settle().await;
    rig
}

/// The live files below `d` and `e` with their contents, as the provider has them.
fn stored(rig: &Rig, profile: &str) -> Vec<(String, Vec<u8>)> {
    if profile == "ali" {
        // A file may go between the list and the look.
        let read = |path: &String| rig.world.read("ali", path, 0, 1000).unwrap_or_default();
        let files = rig.files("ali").into_iter();
        return files
            .map(|path| {
                (
                    path.trim_start_matches('/').to_owned(),
                    read(&path).to_vec(),
                )
            })
            .collect();
    }
    let mut all = Vec::new();
    for dir in ["d", "e"] {
        for entry in std::fs::read_dir(outside(rig, &format!("{profile}/{dir}"))).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            all.push((
                format!("{dir}/{name}"),
                std::fs::read(entry.path()).unwrap_or_default(),
            ));
        }
    }
    all.sort();
    all
}

/// What may be there in the end: all done, or as it was.
fn outcomes(deed: Deed) -> Vec<Vec<(String, Vec<u8>)>> {
    let file = |path: &str, bytes: &[u8]| (path.to_owned(), bytes.to_vec());
    let mut done = vec![file("d/file.txt", NEW)];
    let mut undone = vec![file("d/file.txt", OLD)];
    if deed != Deed::Copy {
        undone.push(file(deed.source(), NEW));
    }
    if deed == Deed::RenameElsewhere {
        let other = file("d/from.txt", b"nobody's business");
        done.push(other.clone());
        undone.push(other);
    }
    undone.sort();
    done.sort();
    vec![done, undone]
}

/// Runs the deed and kills it around the `nth` change of a name; false when it was over before.
async fn cut(profile: &str, deed: Deed, nth: usize, after: bool) -> bool {
    let mut rig = prepared(profile, deed).await;
    let control = control_of(&rig, profile);
    control.stand_still(nth, after);
    let (source, target) = (
        format!("{profile}/{}", deed.source()),
        format!("{profile}/d/file.txt"),
    );
    let work = async {
        match deed {
            Deed::Copy => rig.cp("here/from.txt", &target).await,
            _ => rig.rename(&source, &target).await,
        }
    };
    let cut = tokio::select! {
        () = control.stood_still.notified() => true,
        done = work => {
            done.unwrap();
            false
        }
    };
    if cut {
        rig.restart().await;
    }
    let expected = outcomes(deed);
    let mut found = Vec::new();
    for _ in 0..1000 {
        found = stored(&rig, profile);
        if expected.contains(&found) && rig.vfs.engine().journaled().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let place = format!("{deed:?} on {profile}, change {nth}, after it: {after}, cut: {cut}");
    assert!(expected.contains(&found), "{place}: {found:?}");
    let left = rig.vfs.engine().journaled().unwrap();
    assert!(left.is_empty(), "{place}: {left:?}");
    if !cut {
        assert_eq!(found, expected[0], "{place}");
    }
    // The tree comes to show the same.
    let bytes = found.iter().find(|(path, _)| path == "d/file.txt");
    let meant = &bytes.unwrap().1;
    let mut read = Vec::new();
    for _ in 0..1000 {
        read = rig
            .get(&target)
            .await
            .unwrap_or_else(|error| error.to_string().into_bytes());
        if read == *meant {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        read == *meant,
        "{place}: the tree shows {}",
        String::from_utf8_lossy(&read)
    );
    cut
}

async fn cut_everywhere(profile: &str, deed: Deed, least: usize) {
    for after in [false, true] {
        let mut cuts = 0;
        while cut(profile, deed, cuts, after).await {
            cuts += 1;
            assert!(cuts < 20, "it never ends");
        }
        assert!(cuts >= least, "{deed:?} on {profile} has {cuts} steps only");
    }
}

// S-091, S-144
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_over_a_file_is_whole_wherever_it_is_cut_with_ids() {
    cut_everywhere("ali", Deed::Copy, 3).await;
}

// S-091, S-144
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_over_a_file_is_whole_wherever_it_is_cut_with_paths() {
    cut_everywhere("there", Deed::Copy, 3).await;
}

// S-102, S-144
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_over_a_file_is_whole_wherever_it_is_cut_with_ids() {
    cut_everywhere("ali", Deed::Rename, 3).await;
}

// S-102, S-144
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_over_a_file_is_whole_wherever_it_is_cut_with_paths() {
    cut_everywhere("there", Deed::Rename, 3).await;
}

// S-102, S-144
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_into_another_directory_is_whole_wherever_it_is_cut_with_ids() {
    cut_everywhere("ali", Deed::RenameElsewhere, 3).await;
}

// S-102, S-144
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_into_another_directory_is_whole_wherever_it_is_cut_with_paths() {
    cut_everywhere("there", Deed::RenameElsewhere, 4).await;
}
