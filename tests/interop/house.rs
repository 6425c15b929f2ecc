//! The real program in a HOME of its own, mounted over servers. Everything has a hard limit.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::peers::skipped;
use crate::servers::{Kind, Server, stop};
use crate::wire::Wire;

const PANFUSE: &str = env!("CARGO_BIN_EXE_panfuse");

/// Seconds that any command may take.
const LIMIT: &str = "120";

/// Longest until the mount answers.
const MOUNT: Duration = Duration::from_secs(60);

/// Servers, each with a wire to it and a profile of its name.
pub struct House {
    home: TempDir,
    /// Things beside the mount; they outlive the home.
    beside: TempDir,
    daemon: Option<Child>,
    drives: Vec<(Server, Wire)>,
}

impl House {
    /// Starts servers and mounts them. `None`, said loudly, where something is missing.
    pub fn over(kinds: &[Kind]) -> Option<House> {
        let device = fs::File::options().read(true).write(true).open("/dev/fuse");
        if let Err(error) = device {
            skipped(&format!("/dev/fuse: {error}"));
            return None;
        }
        for kind in kinds {
            let provider = kind.provider();
            let shown = Command::new(PANFUSE)
                .args(["provider", "show", provider])
                .output();
            if !shown.unwrap().status.success() {
                skipped(&format!("this panfuse has no provider {provider}"));
                return None;
            }
        }
        let mut drives = Vec::new();
        for kind in kinds {
            let server = Server::start(*kind)?;
            let wire = Wire::to(server.port());
            drives.push((server, wire));
        }
        let mut house = House {
            home: home(),
            beside: tempfile::tempdir().unwrap(),
            daemon: None,
            drives,
        };
        house.add_profiles();
        house.mount();
        Some(house)
    }

    /// A path in the mount.
    pub fn at(&self, path: &str) -> PathBuf {
        self.home.path().join("m").join(path)
    }

    /// A path beside the mount.
    pub fn beside(&self, path: &str) -> PathBuf {
        self.beside.path().join(path)
    }

    pub fn server(&self, kind: Kind) -> &Server {
        &self.drive(kind).0
    }

    /// Bytes that were sent to a server so far.
    pub fn sent(&self, kind: Kind) -> u64 {
        self.drive(kind).1.sent()
    }

    fn drive(&self, kind: Kind) -> &(Server, Wire) {
        let mut drives = self.drives.iter();
        drives.find(|(server, _)| server.kind == kind).unwrap()
    }

    pub fn mount(&mut self) {
        let point = self.at("");
        let log = self.log();
        let mut daemon = self
            .own(Command::new(PANFUSE))
            .args(["mount", "--foreground"])
            .arg(&point)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let end = Instant::now() + MOUNT;
        loop {
            let said = fs::read_to_string(&log).unwrap();
            if said.contains("panfuse: mounted at") {
                break;
            }
            let ended = daemon.try_wait().unwrap().is_some();
            if ended || Instant::now() > end {
                let _ = daemon.kill();
                panic!("it does not mount: {said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.daemon = Some(daemon);
    }

    /// Unmounts by the command, and waits for the daemon's end.
    pub fn unmount(&mut self) {
        let point = self.at("");
        let said = succeed(self.panfuse(&["umount"]).arg(point));
        let mut daemon = self.daemon.take().unwrap();
        let status = daemon.wait().unwrap();
        assert!(status.success(), "{status}: {said}");
    }

    /// Mounts again.
    pub fn remount(&mut self) {
        self.unmount();
        self.mount();
    }

    /// Mounts as somebody who has never seen these servers.
    pub fn forget(&mut self) {
        self.unmount();
        self.home = home();
        self.add_profiles();
        self.mount();
    }

    /// Waits until everything is at its server. Exit code 0 says that it is.
    pub fn sync(&self) {
        succeed(&mut self.panfuse(&["sync"]));
    }

    /// Runs a shell command in the mount. It must succeed; what it printed.
    pub fn sh(&self, script: &str) -> String {
        self.sh_in(&self.at(""), script)
    }

    /// The same in another directory. `$OUT` is the place beside the mount.
    pub fn sh_in(&self, dir: &Path, script: &str) -> String {
        let mut command = limited("sh");
        command
            .args(["-ec", script])
            .env("OUT", self.beside.path())
            .env("LC_ALL", "C.UTF-8")
            .current_dir(dir);
        succeed(&mut command)
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("log")
    }

    /// `panfuse WORDS`, with a limit.
    fn panfuse(&self, words: &[&str]) -> Command {
        let mut command = self.own(limited(PANFUSE));
        command.args(words);
        command
    }

    /// With nothing of this machine's in its environment.
    fn own(&self, mut command: Command) -> Command {
        let home = self.home.path();
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home.join("run"))
            .env("PANFUSE_LOG", log_level())
            .current_dir(home);
        command
    }

    fn add_profiles(&self) {
        for (server, wire) in &self.drives {
            let kind = server.kind;
            let words = ["profile", "add", kind.name(), "--provider", kind.provider()];
            let mut child = self
                .panfuse(&words)
                .args(["--json", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let profile = kind.profile(&wire.url()).to_string();
            let mut input = child.stdin.take().unwrap();
            input.write_all(profile.as_bytes()).unwrap();
            drop(input);
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{kind:?}: {output:?}");
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            stop(&mut daemon);
        }
        for (program, option) in [("fusermount3", "-uz"), ("umount", "-l")] {
            let mut command = Command::new(program);
            command.arg(option).arg(self.at("")).stderr(Stdio::null());
            if command.status().is_ok_and(|status| status.success()) {
                break;
            }
        }
        if std::thread::panicking() {
            let said = fs::read_to_string(self.log()).unwrap_or_default();
            eprintln!("-- words of the daemon:\n{said}");
        }
    }
}

/// What the daemon says of itself; a failed test shows it. `PANFUSE_LOG=debug` has more of it.
fn log_level() -> String {
    std::env::var("PANFUSE_LOG").unwrap_or_else(|_| "warn".to_owned())
}

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    for name in ["m", "run"] {
        fs::create_dir(home.path().join(name)).unwrap();
    }
    home
}

/// A program that ends, one way or the other.
fn limited(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", LIMIT, program]);
    command
}

/// Runs a command that must succeed; what it printed.
fn succeed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    said
}
