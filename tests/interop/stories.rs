//! What is done with each server. The server is only believed where it is looked at from outside:
//! its own directory, its own list of keys, what went over the wire, somebody who mounts it anew.

use crate::house::House;
use crate::servers::Kind;
use crate::trees::{LARGE, bytes, plant, same};

/// What requests without payload may have: a few headers for each.
const WORDS: u64 = 512 << 10;

/// `cp -r` of a tree in, and out again.
pub fn tree(kind: Kind) {
    let Some(mut house) = House::over(&[kind]) else {
        return;
    };
    let drive = kind.name();
    let source = house.beside("src");
    plant(&source, kind.has_empty_directories());
    house.sh(&format!(
        "cp -r --preserve=timestamps \"$OUT/src\" {drive}/tree"
    ));
    house.sync();
    house.sh(&format!("diff -r \"$OUT/src\" {drive}/tree"));
    at_server(&house, kind, "src", "tree");

    house.remount();
    house.sh(&format!("diff -r \"$OUT/src\" {drive}/tree"));
    house.forget();
    // From the middle, before anything else was read.
    house.sh(&format!(
        "tail -c +5000001 {drive}/tree/nine.bin | head -c 70000 > \"$OUT/middle\"
         tail -c +5000001 \"$OUT/src/nine.bin\" | head -c 70000 | cmp - \"$OUT/middle\"
         diff -r \"$OUT/src\" {drive}/tree
         cp -r {drive}/tree \"$OUT/back\"
         diff -r \"$OUT/src\" \"$OUT/back\""
    ));
    if kind.keeps_times() {
        // Times of directories are nobody's.
        let said = house.sh(&format!("rsync -ani \"$OUT/src/\" {drive}/tree/"));
        assert!(!said.contains(">f"), "{said}");
        let time = house.sh(&format!("stat -c %Y {drive}/tree/times/old"));
        assert_eq!(time.trim(), "1000000007");
    }
    if kind == Kind::Rclone {
        house.sh(&format!(
            "for name in empty one nine.bin 'all#%+&?'; do
               md5=$(getfattr --only-values -n user.pan.md5 \"{drive}/tree/$name\")
               test \"$md5\" = \"$(md5sum < \"$OUT/src/$name\" | cut -c 1-32)\"
             done"
        ));
    }
    no_strays(&house, kind);
}

/// Names and contents that change, the same here and there.
pub fn changes(kind: Kind) {
    let Some(mut house) = House::over(&[kind]) else {
        return;
    };
    let top = format!("{}/work", kind.name());
    std::fs::create_dir(house.at(&top)).unwrap();
    std::fs::create_dir(house.beside("work")).unwrap();
    std::fs::write(house.beside("payload"), bytes(LARGE, 77)).unwrap();
    for script in [
        // What everything starts from.
        "mkdir -p 'dir #1/sub/deep' gone other
         for n in 1 2 3 4 5 6; do echo \"text $n\" > \"dir #1/sub/f $n\"; done
         echo deep > 'dir #1/sub/deep/x%y'
         echo one > one; echo two > two; echo three > three; : > nil
         echo a > gone/a; echo b > gone/b; cp \"$OUT/payload\" big.bin",
        // Files and directories get other names, within a directory and beyond it.
        "mv one 'eins #%+&? ü'
         mv big.bin other/'big #2.bin'
         mv 'dir #1' 'dir 100%'
         mv 'dir 100%/sub' other/sub
         rmdir 'dir 100%'",
        // Contents are replaced: longer, shorter, empty, as an editor does it, by a rename.
        "echo a much longer content than before > two
         echo 3 > three
         echo more >> 'other/sub/f 1'
         : > 'other/sub/f 2'
         echo filled > nil
         echo saved > .two.swp; mv .two.swp two
         mv -f 'other/sub/f 3' 'other/sub/f 4'
         printf XY | dd of='other/big #2.bin' bs=1 seek=4000000 conv=notrunc status=none",
        // Things go, and come again under the same name.
        "rm 'other/sub/f 5'; rm -r gone
         mkdir gone; echo new > gone/a
         rm three; echo again > three",
    ] {
        house.sh_in(&house.at(&top), script);
        house.sh_in(&house.beside("work"), script);
        house.sh(&format!("diff -r \"$OUT/work\" {top}"));
        house.sync();
        house.sh(&format!("diff -r \"$OUT/work\" {top}"));
    }
    at_server(&house, kind, "work", "work");

    // The server copies and renames by itself.
    let before = house.sent(kind);
    let script = "cp 'other/big #2.bin' copied.bin
                  cp 'other/big #2.bin' 'other/sub/all#%+&? copied.bin'
                  mv copied.bin moved.bin";
    house.sh_in(&house.at(&top), script);
    house.sync();
    let sent = house.sent(kind) - before;
    assert!(sent < WORDS, "{sent} bytes were sent");
    house.sh_in(&house.beside("work"), script);
    at_server(&house, kind, "work", "work");
    house.forget();
    house.sh(&format!("diff -r \"$OUT/work\" {top}"));
    no_strays(&house, kind);
}

/// `rsync -a`, and again.
pub fn rsync(kind: Kind) {
    let Some(mut house) = House::over(&[kind]) else {
        return;
    };
    let drive = kind.name();
    plant(&house.beside("src"), kind.has_empty_directories());
    let rsync = format!("rsync -ai \"$OUT/src/\" {drive}/mirror/");
    house.sh(&rsync);
    house.sync();
    let before = house.sent(kind);
    assert_eq!(house.sh(&rsync), "");
    house.sync();
    let sent = house.sent(kind) - before;
    assert!(sent < WORDS, "{sent} bytes were sent");
    at_server(&house, kind, "src", "mirror");

    // One file is another one: it alone is sent.
    std::fs::write(house.beside("src/d/e/e/p/f03.bin"), bytes(5000, 3)).unwrap();
    let said = house.sh(&rsync);
    let files = |said: &str| said.lines().filter(|line| line.starts_with(">f")).count();
    assert_eq!(files(&said), 1, "{said}");
    house.sync();
    at_server(&house, kind, "src", "mirror");
    house.forget();
    house.sh(&format!("diff -r \"$OUT/src\" {drive}/mirror"));
    no_strays(&house, kind);
}

/// The server has in its own directory what is beside the mount. Who keeps all in memory is looked
/// at by mounting it anew ([`House::forget`]).
pub fn at_server(house: &House, kind: Kind, here: &str, there: &str) {
    if let Some(served) = house.server(kind).served() {
        let (here, there) = (house.beside(here), served.join(there));
        same(&here, &there, kind.loses(), kind.has_empty_directories());
    }
}

/// No unfinished file of ours is left at the server.
pub fn no_strays(house: &House, kind: Kind) {
    let entries = house.server(kind).entries();
    assert!(!entries.is_empty());
    let strays: Vec<_> = entries
        .iter()
        .filter(|path| path.contains("panfuse"))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
}
