//! Directories, renames, moves, copies, trash. Nothing of it ever replaces anything.

use bytes::Bytes;
use panfuse::drive::ErrorKind;

use crate::actions::{find, names, read_all};
use crate::sample::Sample;
use crate::stage::Stage;
use crate::{Outcome, skip};

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

pub async fn mkdir_makes_a_directory(stage: Stage) -> Outcome {
    let drive = &*stage.drive;
    let outer = drive.mkdir(&drive.root(), "outer").await.unwrap();
    let inner = drive.mkdir(&outer.id, "inner").await.unwrap();
    assert!(outer.is_dir() && inner.is_dir());
    assert_eq!(inner.parent, outer.id);
    stage.settle();
    let fresh = drive.stat(&inner.id).await.unwrap();
    assert_eq!(
        (fresh.name.as_str(), fresh.is_dir(), &fresh.parent),
        ("inner", true, &outer.id)
    );
    assert_eq!(find(drive, &drive.root(), "outer").await.id, outer.id);
    assert!(names(drive, &inner.id).await.is_empty());
    Ok(())
}

pub async fn mkdir_refuses_a_taken_name(stage: Stage) -> Outcome {
    let top = stage.dir("top").await;
    stage.dir("top/taken").await;
    stage.seed("top/file", &text("x")).await;
    stage.settle();
    let before = stage.snapshot();
    for name in ["taken", "file"] {
        match stage.drive.mkdir(&top.id, name).await {
            Err(error) => assert_eq!(error.kind, ErrorKind::Exists, "{name}: {error}"),
            // A provider may let a file and a directory share a name, where it says so.
            Ok(made) if name == "file" && stage.caps.duplicates => assert_eq!(made.name, "file"),
            Ok(made) => panic!("{name} was made: {made:?}"),
        }
        if name == "taken" {
            assert_eq!(stage.snapshot(), before);
        }
    }
    Ok(())
}

pub async fn rename_keeps_the_content(stage: Stage) -> Outcome {
    if !stage.caps.rename {
        return skip("renames are not declared");
    }
    let drive = &*stage.drive;
    let top = stage.dir("top").await;
    let bytes = Sample::new(1, 5000).bytes;
    let node = stage.seed("top/old.bin", &bytes).await;
    let renamed = drive.rename(&node, "new name.bin").await.unwrap();
    assert_eq!(renamed.name, "new name.bin");
    assert_eq!((renamed.size, &renamed.parent), (5000, &top.id));
    if !stage.caps.path_addressed {
        assert_eq!(renamed.id, node.id);
    }
    stage.settle();
    let fresh = drive.stat(&renamed.id).await.unwrap();
    assert_eq!(fresh.name, "new name.bin");
    assert_eq!(fresh.version, renamed.version);
    assert_eq!(names(drive, &top.id).await, ["new name.bin"]);
    assert!(read_all(drive, &fresh).await.unwrap() == bytes);

    let dir = stage.dir("top/dir").await;
    stage.seed("top/dir/inside", &text("x")).await;
    let renamed = drive.rename(&dir, "other.dir").await.unwrap();
    assert!(renamed.is_dir());
    stage.settle();
    assert_eq!(names(drive, &renamed.id).await, ["inside"]);
    // To its own name: nothing happens.
    let same = drive.rename(&renamed, "other.dir").await.unwrap();
    assert_eq!(same.id, renamed.id);
    Ok(())
}

pub async fn rename_refuses_a_taken_name(stage: Stage) -> Outcome {
    if !stage.caps.rename {
        return skip("renames are not declared");
    }
    stage.dir("top").await;
    let one = stage.seed("top/one.txt", &text("one")).await;
    stage.seed("top/two.txt", &text("two")).await;
    let dir = stage.dir("top/dir").await;
    stage.dir("top/other").await;
    stage.settle();
    let before = stage.snapshot();
    let error = stage.drive.rename(&one, "two.txt").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists, "{error}");
    let error = stage.drive.rename(&dir, "other").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists, "{error}");
    assert_eq!(stage.snapshot(), before);
    Ok(())
}

pub async fn rename_and_extensions(stage: Stage) -> Outcome {
    if !stage.caps.rename {
        return skip("renames are not declared");
    }
    let drive = &*stage.drive;
    let top = stage.dir("top").await;
    let node = stage.seed("top/a.txt", &text("x")).await;
    let before = stage.snapshot();
    if stage.caps.rename_extension {
        let other = drive.rename(&node, "a.jpeg").await.unwrap();
        assert_eq!(other.name, "a.jpeg");
        let none = drive.rename(&other, "plain").await.unwrap();
        assert_eq!(none.name, "plain");
        stage.settle();
        assert_eq!(names(drive, &top.id).await, ["plain"]);
    } else {
        for name in ["a.jpeg", "plain", "a.TXT", "a.txt.bak"] {
            let error = drive.rename(&node, name).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsupported, "{name}: {error}");
        }
        assert_eq!(stage.snapshot(), before);
        assert_eq!(drive.rename(&node, "b.txt").await.unwrap().name, "b.txt");
    }
    Ok(())
}

pub async fn move_keeps_the_name(stage: Stage) -> Outcome {
    if !stage.caps.move_nodes {
        return skip("moves are not declared");
    }
    let drive = &*stage.drive;
    let from = stage.dir("from").await;
    let to = stage.dir("to").await;
    let bytes = Sample::new(2, 4000).bytes;
    let node = stage.seed("from/f.bin", &bytes).await;
    let moved = drive.move_to(&node, &to.id).await.unwrap();
    assert_eq!((moved.name.as_str(), &moved.parent), ("f.bin", &to.id));
    stage.settle();
    assert!(names(drive, &from.id).await.is_empty());
    let listed = find(drive, &to.id, "f.bin").await;
    assert_eq!(listed.id, moved.id);
    let fresh = drive.stat(&moved.id).await.unwrap();
    assert_eq!(fresh.parent, to.id);
    assert!(read_all(drive, &fresh).await.unwrap() == bytes);
    // A directory with what is in it.
    let dir = stage.dir("from/dir").await;
    stage.seed("from/dir/inside", &text("x")).await;
    let moved = drive.move_to(&dir, &to.id).await.unwrap();
    stage.settle();
    assert_eq!(names(drive, &moved.id).await, ["inside"]);
    Ok(())
}

pub async fn move_refuses_a_taken_name(stage: Stage) -> Outcome {
    if !stage.caps.move_nodes {
        return skip("moves are not declared");
    }
    stage.dir("from").await;
    let to = stage.dir("to").await;
    let node = stage.seed("from/f.bin", &text("mine")).await;
    stage.seed("to/f.bin", &text("theirs")).await;
    stage.settle();
    let before = stage.snapshot();
    let error = stage.drive.move_to(&node, &to.id).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists, "{error}");
    assert_eq!(stage.snapshot(), before);
    Ok(())
}

pub async fn copy_makes_another(stage: Stage) -> Outcome {
    let drive = &*stage.drive;
    let from = stage.dir("from").await;
    let to = stage.dir("to").await;
    let bytes = Sample::new(3, 6000).bytes;
    let node = stage.seed("from/f.bin", &bytes).await;
    if !stage.caps.copy {
        let error = drive.copy(&node, &to.id, "f.bin").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
        return Ok(());
    }
    stage.reset();
    let copy = drive.copy(&node, &to.id, "f.bin").await.unwrap();
    assert_ne!(copy.id, node.id);
    assert_eq!(
        (copy.name.as_str(), copy.size, &copy.parent),
        ("f.bin", 6000, &to.id)
    );
    let stat = stage.stat();
    assert_eq!((stat.bytes_up, stat.bytes_down), (0, 0));
    stage.settle();
    assert_eq!(find(drive, &to.id, "f.bin").await.id, copy.id);
    assert_eq!(find(drive, &from.id, "f.bin").await.id, node.id);
    let fresh = drive.stat(&copy.id).await.unwrap();
    assert!(read_all(drive, &fresh).await.unwrap() == bytes);
    let renamed = drive.copy(&node, &from.id, "g.bin").await;
    if stage.caps.copy_with_name {
        let renamed = renamed.unwrap();
        assert_eq!(renamed.name, "g.bin");
        stage.settle();
        let fresh = find(drive, &from.id, "g.bin").await;
        assert_eq!(fresh.id, renamed.id);
        assert!(read_all(drive, &fresh).await.unwrap() == bytes);
    } else {
        let error = renamed.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
        stage.settle();
        assert_eq!(names(drive, &from.id).await, ["f.bin"]);
    }
    Ok(())
}

pub async fn copy_refuses_a_taken_name(stage: Stage) -> Outcome {
    if !stage.caps.copy {
        return skip("copies are not declared");
    }
    stage.dir("from").await;
    let to = stage.dir("to").await;
    let node = stage.seed("from/f.bin", &text("mine")).await;
    stage.seed("to/f.bin", &text("theirs")).await;
    stage.settle();
    let before = stage.snapshot();
    let error = stage.drive.copy(&node, &to.id, "f.bin").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists, "{error}");
    assert_eq!(stage.snapshot(), before);
    Ok(())
}

pub async fn trash_takes_away(stage: Stage) -> Outcome {
    let drive = &*stage.drive;
    let top = stage.dir("top").await;
    let node = stage.seed("top/f.bin", &text("x")).await;
    stage.seed("top/stays", &text("y")).await;
    drive.trash(&node).await.unwrap();
    stage.settle();
    assert_eq!(names(drive, &top.id).await, ["stays"]);
    let error = drive.stat(&node.id).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    // Gone is a success, by our hand and by another's.
    drive.trash(&node).await.unwrap();
    let other = stage.seed("top/other", &text("z")).await;
    stage.remove(&other, "top/other");
    drive.trash(&other).await.unwrap();
    assert_eq!(names(drive, &top.id).await, ["stays"]);
    if stage.caps.trash && stage.world.is_some() {
        let kept = stage
            .snapshot()
            .iter()
            .any(|line| line.contains("f.bin") && line.contains("trashed=true"));
        assert!(kept, "a declared trash keeps what is deleted");
    }
    Ok(())
}

pub async fn trash_of_a_directory(stage: Stage) -> Outcome {
    let drive = &*stage.drive;
    let top = stage.dir("top").await;
    let dir = stage.dir("top/dir").await;
    drive.trash(&dir).await.unwrap();
    stage.settle();
    assert!(names(drive, &top.id).await.is_empty());
    // The name is free again.
    drive.mkdir(&top.id, "dir").await.unwrap();
    Ok(())
}

pub async fn restore_brings_back(stage: Stage) -> Outcome {
    let drive = &*stage.drive;
    let top = stage.dir("top").await;
    let bytes = Sample::new(4, 3000).bytes;
    let node = stage.seed("top/f.bin", &bytes).await;
    drive.trash(&node).await.unwrap();
    if !stage.caps.restore {
        let error = drive.restore(&node).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
        return Ok(());
    }
    let back = drive.restore(&node).await.unwrap();
    assert_eq!(
        (back.name.as_str(), back.size, &back.parent),
        ("f.bin", 3000, &top.id)
    );
    stage.settle();
    let listed = find(drive, &top.id, "f.bin").await;
    assert_eq!(listed.id, back.id);
    assert!(read_all(drive, &listed).await.unwrap() == bytes);
    Ok(())
}
