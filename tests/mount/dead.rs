//! A daemon that was killed leaves a mount that the next one heals; one that lives is left alone.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use panfuse::fuse::{MountError, MountOptions, MountPointError, Mounted, check, unmount};

use crate::cloud::{can_mount, run, vfs};

const HOME: &str = "PANFUSE_TEST_MOUNT_HOME";

/// Leaves no mount behind when the test fails.
struct Cleanup(std::path::PathBuf);

impl Drop for Cleanup {
    fn drop(&mut self) {
        while unmount(&self.0).is_ok() {}
    }
}

/// Not a test: the daemon that is killed. Without its variable it does nothing.
#[test]
fn serve_until_killed() {
    let Some(home) = std::env::var_os(HOME) else {
        return;
    };
    let home = std::path::PathBuf::from(home);
    run(async move {
        let runtime = tokio::runtime::Handle::current();
        let options = MountOptions::default();
        let _mounted = Mounted::start(vfs(&home), &home.join("mount"), &options, runtime)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(120)).await;
    });
}

fn daemon(home: &std::path::Path) -> Child {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "dead::serve_until_killed", "--test-threads=1"])
        .env(HOME, home)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !home.join("mount/a").exists() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "the daemon does not mount"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[test]
fn a_dead_mount_is_healed_and_a_living_one_is_not() {
    if !can_mount() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let place = fs::canonicalize(home.path()).unwrap();
    let mount = place.join("mount");
    fs::create_dir(&mount).unwrap();

    let _cleanup = Cleanup(mount.clone());
    let mut child = daemon(&place);
    let second = run({
        let (place, mount) = (place.clone(), mount.clone());
        async move {
            let runtime = tokio::runtime::Handle::current();
            fs::create_dir(place.join("other")).unwrap();
            Mounted::start(
                vfs(&place.join("other")),
                &mount,
                &MountOptions::default(),
                runtime,
            )
            .await
            .map(|_| ())
        }
    });
    child.kill().unwrap();
    child.wait().unwrap();
    match second {
        Err(MountError::MountPoint(MountPointError::Mounted { .. })) => {}
        other => panic!("{other:?}"),
    }
    // What the kernel remembers is still answered, names that it does not know are not.
    let dead = fs::metadata(mount.join("unknown")).unwrap_err();
    assert_eq!(dead.raw_os_error(), Some(libc::ENOTCONN));
    assert_eq!(check(&mount).unwrap(), mount);
    assert_eq!(fs::read_dir(&mount).unwrap().count(), 0);
}

#[test]
fn an_unmount_from_outside_ends_the_wait() {
    if !can_mount() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let place = fs::canonicalize(home.path()).unwrap();
    let mount = place.join("mount");
    fs::create_dir(&mount).unwrap();
    run(async move {
        let runtime = tokio::runtime::Handle::current();
        let mounted = Mounted::start(vfs(&place), &mount, &MountOptions::default(), runtime)
            .await
            .unwrap();
        let path = mount.clone();
        tokio::task::spawn_blocking(move || unmount(&path))
            .await
            .unwrap()
            .unwrap();
        tokio::time::timeout(Duration::from_secs(30), mounted.wait())
            .await
            .expect("the session goes on");
        // Somebody else's directory by now: stopping touches nothing.
        fs::write(mount.join("file"), b"x").unwrap();
        mounted.stop().await.unwrap();
        assert!(mount.join("file").exists());
    });
}
