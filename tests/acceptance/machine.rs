//! A machine of its own: simulators in one process, the mounted daemon in another, both the real
//! program, and real `cp`, `mv`, `rsync` on the mount. Everything has a hard limit.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const PANFUSE: &str = env!("CARGO_BIN_EXE_panfuse");

/// Longest any command may take.
const LIMIT: Duration = Duration::from_secs(120);

pub struct Machine {
    dir: TempDir,
    sims: Child,
    daemon: Option<Child>,
}

impl Machine {
    /// `None`, said loudly, where nothing can be mounted.
    pub fn start(providers: &str) -> Option<Machine> {
        if std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .is_err()
        {
            eprintln!("SKIPPED: /dev/fuse cannot be opened here");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("m")).unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        let mut sims = Command::new(PANFUSE)
            .args(["sim", "serve", "--only", providers, "--dir"])
            .arg(dir.path().join("sim"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(sims.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        assert!(
            ready.contains("admin"),
            "the simulators did not start: {ready:?}"
        );
        Some(Machine {
            dir,
            sims,
            daemon: None,
        })
    }

    pub fn mount_point(&self) -> PathBuf {
        self.dir.path().join("m")
    }

    /// A path in the mount.
    pub fn at(&self, path: &str) -> String {
        self.mount_point().join(path).display().to_string()
    }

    /// A path beside the mount.
    pub fn out(&self, path: &str) -> String {
        self.dir.path().join("out").join(path).display().to_string()
    }

    /// Mounts and waits for the line that says so.
    pub fn mount(&mut self) {
        self.mount_with(&[]);
    }

    /// The same with settings as environment variables.
    pub fn mount_with(&mut self, settings: &[(&str, &str)]) {
        let mut daemon = self
            .panfuse()
            .args(["mount", "--foreground"])
            .arg(self.mount_point())
            .env("PANFUSE_LOG", "error")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(daemon.stderr.take().unwrap());
        while !said.contains("mounted at") {
            let before = said.len();
            lines.read_line(&mut said).unwrap();
            assert!(said.len() > before, "the mount ended: {said}");
        }
        // What it says later must not block it.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        self.daemon = Some(daemon);
    }

    /// Process id of the daemon.
    pub fn daemon_id(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// kill -9.
    pub fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    fn panfuse(&self) -> Command {
        let mut command = Command::new(PANFUSE);
        command
            .arg("--config")
            .arg(self.dir.path().join("sim/config.toml"));
        command
    }

    /// Runs `panfuse WORDS` and expects exit code 0.
    pub fn tell(&self, words: &str) -> String {
        let mut command = self.panfuse();
        command.args(words.split(' '));
        let output = finish(command);
        assert!(output.status.success(), "panfuse {words}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `panfuse WORDS` to its end, whatever it says.
    pub fn say(&self, words: &str) -> Output {
        let mut command = self.panfuse();
        command.args(words.split(' '));
        finish(command)
    }

    /// The same on a thread of its own.
    pub fn begin(&self, words: &str) -> std::thread::JoinHandle<Output> {
        let mut command = self.panfuse();
        command.args(words.split(' '));
        std::thread::spawn(move || finish(command))
    }

    /// Unmounts by the command, and waits for the daemon's end.
    pub fn unmount(&mut self) {
        self.tell(&format!("umount {}", self.mount_point().display()));
        let mut daemon = self.daemon.take().unwrap();
        daemon.wait().unwrap();
    }

    /// Where the daemon keeps its files.
    pub fn kept(&self, path: &str) -> PathBuf {
        self.dir.path().join("sim").join(path)
    }

    /// Files under `.panfuse/recovered/`.
    pub fn recovered(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.mount_point().join(".panfuse/recovered"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    /// Puts `count` small files into a directory, in one go.
    pub fn seed_many(&self, profile: &str, dir: &str, count: usize) {
        let info = std::fs::read_to_string(self.kept("run/sim.json")).unwrap();
        let info: Value = serde_json::from_str(&info).unwrap();
        let url = format!("{}/seed", info["admin"].as_str().unwrap());
        let client = reqwest::Client::new();
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            for n in 0..count {
                let body = serde_json::json!({
                    "profile": profile, "path": format!("{dir}/f{n:05}"), "size": 10, "seed": n,
                });
                let sent = client
                    .post(&url)
                    .body(body.to_string())
                    .header("content-type", "application/json")
                    .send()
                    .await
                    .unwrap();
                assert!(sent.status().is_success());
            }
        });
    }

    /// Entries of a directory of the mount.
    pub fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.at(path))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn stat(&self, profile: &str) -> Value {
        serde_json::from_str(&self.tell(&format!("sim stat {profile} --json"))).unwrap()
    }

    pub fn tree(&self, profile: &str) -> Value {
        serde_json::from_str(&self.tell(&format!("sim tree {profile} --json"))).unwrap()
    }

    /// Live files at the provider, by path.
    pub fn files(&self, profile: &str) -> Vec<String> {
        let tree = self.tree(profile);
        let items = tree["items"].as_array().unwrap();
        items
            .iter()
            .filter(|item| item["dir"] == false && item["trashed"] == false)
            .map(|item| item["path"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Open uploads at the provider.
    pub fn uploads(&self, profile: &str) -> usize {
        self.tree(profile)["uploads"].as_array().unwrap().len()
    }

    /// SHA-1 of the live files at the provider, by path; a name that two files have is there twice.
    pub fn hashes(&self, profile: &str) -> Vec<(String, String)> {
        self.sums(profile, false)
    }

    /// The same of what is in the provider's trash.
    pub fn trash(&self, profile: &str) -> Vec<(String, String)> {
        self.sums(profile, true)
    }

    fn sums(&self, profile: &str, trashed: bool) -> Vec<(String, String)> {
        let tree = self.tree(profile);
        let items = tree["items"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        items
            .iter()
            .filter(|item| item["dir"] == false && item["trashed"] == trashed)
            .map(|item| (text(&item["path"]), text(&item["sha1"])))
            .collect()
    }

    /// An extended attribute of a file.
    pub fn attribute(&self, path: &str, name: &str) -> String {
        ok("getfattr", &["--only-values", "-n", name, &self.at(path)])
    }

    /// The result of the transfer that made a file.
    pub fn transfer(&self, path: &str) -> Value {
        serde_json::from_str(&self.attribute(path, "user.pan.transfer")).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = Command::new("kill").arg(daemon.id().to_string()).status();
            let end = Instant::now() + Duration::from_secs(15);
            while daemon.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.mount_point())
            .stderr(Stdio::null())
            .status();
        let _ = self.sims.kill();
        let _ = self.sims.wait();
    }
}

/// Runs a program to its end.
pub fn run(program: &str, words: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(words);
    finish(command)
}

/// Runs a program that must succeed.
pub fn ok(program: &str, words: &[&str]) -> String {
    let output = run(program, words);
    assert!(output.status.success(), "{program} {words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn finish(mut command: Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let (done, waiting) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if waiting.recv_timeout(LIMIT).is_err() {
            let _ = Command::new("kill").args(["-9", &pid]).status();
        }
    });
    let output = child.wait_with_output().unwrap();
    let _ = done.send(());
    watchdog.join().unwrap();
    output
}

/// Pseudo-random bytes in a file.
pub fn write_random(path: &str, size: usize, seed: u64) {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    if let Some(parent) = Path::new(path).parent() {
        std::fs::create_dir_all(parent).unwrap();
    }
    std::fs::write(path, bytes).unwrap();
}

/// SHA-1 of a file.
pub fn sha1(path: &str) -> String {
    ok("sha1sum", &[path])[..40].to_owned()
}

/// Waits until it is so; not for ever.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
