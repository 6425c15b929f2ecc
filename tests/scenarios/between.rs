//! Copies between drives whose cheapest way depends on the size.

use super::harness::Rig;

const NINE: &[&str] = &["189cloud", "baidu_netdisk"];

/// 189 lists the MD5; Baidu wants it and the head of a file of one slice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_mebibytes_go_from_189_to_baidu_by_their_head() {
    let rig = Rig::new(NINE).await;
    let size = 3 << 20;
    rig.seed("189", "/small.bin", size, 1);
    rig.seed("baidu-2", "/theirs.bin", size, 1);
    rig.cp("189/small.bin", "baidu/small.bin").await.unwrap();
    rig.settle().await;
    let done = rig.transfer("baidu/small.bin").await;
    assert_eq!(done.phase.to_string(), "P2");
    let (from, to) = (rig.stat("189"), rig.stat("baidu"));
    assert_eq!((from.bytes_down, from.count("download")), (256 << 10, 1));
    assert_eq!((to.bytes_up, to.rapid_hits), (0, 1));
}

/// Of larger files Baidu wants the MD5 of every slice: they are read once, and then asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_mebibytes_go_from_189_to_baidu_by_one_full_reading() {
    let rig = Rig::new(NINE).await;
    let size = 300 << 20;
    rig.seed("189", "/known.bin", size, 2);
    rig.seed("baidu-2", "/theirs.bin", size, 2);
    rig.cp("189/known.bin", "baidu/known.bin").await.unwrap();
    rig.settle().await;
    let done = rig.transfer("baidu/known.bin").await;
    assert_eq!(done.phase.to_string(), "P3");
    assert_eq!(rig.stat("189").bytes_down, size);
    let to = rig.stat("baidu");
    assert_eq!((to.bytes_up, to.rapid_hits), (0, 1));
    // The same content again: its slices are remembered.
    rig.world.reset("189").unwrap();
    rig.cp("189/known.bin", "baidu/again.bin").await.unwrap();
    rig.settle().await;
    assert!(rig.stat("189").bytes_down <= 256 << 10);
    assert_eq!(rig.stat("baidu").bytes_up, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_baidu_does_not_have_is_read_once_and_sent_once() {
    let rig = Rig::new(NINE).await;
    let size = 50 << 20;
    rig.seed("189", "/new.bin", size, 3);
    rig.cp("189/new.bin", "baidu/new.bin").await.unwrap();
    rig.settle().await;
    let done = rig.transfer("baidu/new.bin").await;
    assert_eq!(done.phase.to_string(), "P4");
    assert!(done.verify_ok);
    assert_eq!(rig.stat("189").bytes_down, size);
    assert_eq!(rig.stat("baidu").bytes_up, size);
}
