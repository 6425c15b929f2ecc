//! Servers that are started on a free port, asked until they answer, and stopped by their process
//! id (start commands: sheet generic_backends, 7).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers::{find, skipped};

/// Longest that a server may take to answer, or to end.
const LIMIT: Duration = Duration::from_secs(60);

/// Times that a port is tried: somebody may take it before the server does.
const TRIES: usize = 3;

const USER: &str = "some one";
const PASSWORD: &str = "p\u{e4}ss: w\u{f6}rd";
const KEY: &str = "AKIDEXAMPLE00000";
const SECRET: &str = "SECRETEXAMPLE0000";
const BUCKET: &str = "trees";

/// Debian's place for the modules of Apache.
const MODULES: &str = "/usr/lib/apache2/modules";

/// A server and the way panfuse logs in to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rclone,
    WsgidavBasic,
    WsgidavDigest,
    Apache,
    RcloneS3,
    Moto,
}

impl Kind {
    /// Name of its profile.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Rclone => "rclone",
            Kind::WsgidavBasic => "wsgidav",
            Kind::WsgidavDigest => "digest",
            Kind::Apache => "apache",
            Kind::RcloneS3 => "rclone-s3",
            Kind::Moto => "moto",
        }
    }

    pub fn provider(self) -> &'static str {
        match self {
            Kind::RcloneS3 | Kind::Moto => "s3",
            _ => "webdav",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Kind::Rclone | Kind::RcloneS3 => "rclone",
            Kind::WsgidavBasic | Kind::WsgidavDigest => "wsgidav",
            Kind::Apache => "apache2",
            Kind::Moto => "moto_server",
        }
    }

    /// Characters that it loses from the names in a `Destination`. panfuse writes their full-width
    /// twins there.
    pub fn loses(self) -> &'static str {
        match self {
            Kind::WsgidavBasic | Kind::WsgidavDigest => "?;",
            _ => "",
        }
    }

    /// Whether a directory may be empty there. rclone makes a file of the object that stands for a
    /// directory (sheet generic_backends, 5).
    pub fn has_empty_directories(self) -> bool {
        self != Kind::RcloneS3
    }

    /// Whether it keeps the time of a file that is uploaded, for who has never seen the file.
    pub fn keeps_times(self) -> bool {
        self == Kind::Rclone
    }

    /// What `panfuse profile add --json -` reads.
    pub fn profile(self, url: &str) -> Value {
        let endpoints = json!({ "url": url });
        let user = json!({ "username": USER });
        let password = json!({ "password": PASSWORD });
        match self {
            Kind::Rclone => json!({
                "auth_mode": "basic", "fields": { "username": USER, "server": "rclone" },
                "secrets": password, "endpoints": endpoints,
            }),
            Kind::WsgidavBasic => json!({
                "auth_mode": "basic", "fields": user, "secrets": password, "endpoints": endpoints,
            }),
            Kind::WsgidavDigest => json!({
                "auth_mode": "digest", "fields": user, "secrets": password, "endpoints": endpoints,
            }),
            Kind::Apache => json!({ "auth_mode": "none", "endpoints": endpoints }),
            Kind::RcloneS3 | Kind::Moto => json!({
                "auth_mode": "access_key",
                "fields": {
                    "access_key_id": KEY, "region": "us-east-1", "bucket": BUCKET,
                    "path_style": "true",
                },
                "secrets": { "secret_access_key": SECRET }, "endpoints": endpoints,
            }),
        }
    }
}

/// One that runs.
pub struct Server {
    pub kind: Kind,
    port: u16,
    child: Child,
    dir: TempDir,
}

impl Server {
    /// `None`, said loudly, where it is not installed.
    pub fn start(kind: Kind) -> Option<Server> {
        let program = find(kind.program())?;
        if kind == Kind::Apache && !Path::new(MODULES).join("mod_dav.so").exists() {
            skipped("Apache has no mod_dav here");
            return None;
        }
        let dir = place(kind);
        std::fs::create_dir_all(served(dir.path(), kind)).unwrap();
        std::fs::create_dir(dir.path().join("locks")).unwrap();
        let mut said = String::new();
        for _ in 0..TRIES {
            let port = free_port();
            let mut child = spawn(&command(kind, &program, dir.path(), port), dir.path());
            if answers(&mut child, port) {
                let server = Server {
                    kind,
                    port,
                    child,
                    dir,
                };
                server.prepare();
                return Some(server);
            }
            stop(&mut child);
            said = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        }
        panic!("{kind:?} does not start:\n{said}");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory that it serves; `None` for one that keeps all in memory.
    pub fn served(&self) -> Option<PathBuf> {
        (self.kind != Kind::Moto).then(|| served(self.dir.path(), self.kind))
    }

    /// Paths of all that it has: directories, files, objects, our own unfinished ones too.
    pub fn entries(&self) -> Vec<String> {
        match self.served() {
            Some(top) => walk(&top, &top, self.kind.has_empty_directories()),
            None => self.keys(),
        }
    }

    /// Apache works as a user without rights when it is started by root.
    fn prepare(&self) {
        if self.kind == Kind::Apache {
            let open = std::fs::Permissions::from_mode(0o777);
            for name in ["served", "locks"] {
                let dir = self.dir.path().join(name);
                std::fs::set_permissions(dir, open.clone()).unwrap();
            }
        }
        if self.kind == Kind::Moto {
            let answer = ask(self.port, "PUT", &format!("/{BUCKET}")).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }

    /// What is in the bucket, by the server's own word. It checks no signature.
    fn keys(&self) -> Vec<String> {
        let answer = ask(self.port, "GET", &format!("/{BUCKET}?list-type=2")).unwrap();
        assert!(answer.contains("<IsTruncated>false</"), "{answer}");
        answer
            .split("<Key>")
            .skip(1)
            .filter_map(|rest| rest.split_once("</Key>"))
            .map(|(key, _)| key.to_owned())
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.child);
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(20)..];
            eprintln!("-- last words of {:?}:\n{}", self.kind, last.join("\n"));
        }
    }
}

/// A directory of its own. The temporary one of the tests may be closed to others, and Apache does
/// not serve as root.
fn place(kind: Kind) -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("panfuse-peer-");
    if kind == Kind::Apache && is_root() {
        builder.permissions(std::fs::Permissions::from_mode(0o755));
        return builder.tempdir_in("/tmp").unwrap();
    }
    builder.tempdir().unwrap()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn served(dir: &Path, kind: Kind) -> PathBuf {
    match kind {
        Kind::RcloneS3 => dir.join("served").join(BUCKET),
        _ => dir.join("served"),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn command(kind: Kind, program: &Path, dir: &Path, port: u16) -> Vec<String> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let address = format!("127.0.0.1:{port}");
    let mut words = vec![text(program)];
    let mut add = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
    let (top, none) = (text(&dir.join("served")), "/dev/null");
    match kind {
        Kind::Rclone => {
            add(&["serve", "webdav", &top, "--addr", &address]);
            add(&["--user", USER, "--pass", PASSWORD]);
            add(&["--etag-hash", "MD5", "--config", none]);
        }
        Kind::RcloneS3 => {
            add(&["serve", "s3", &top, "--addr", &address]);
            add(&["--auth-key", &format!("{KEY},{SECRET}")]);
            add(&["--etag-hash", "MD5", "--config", none]);
        }
        Kind::Moto => add(&["-H", "127.0.0.1", "-p", &port.to_string()]),
        Kind::WsgidavBasic | Kind::WsgidavDigest => {
            let file = dir.join("wsgidav.json");
            let digest = kind == Kind::WsgidavDigest;
            let config = json!({
                "host": "127.0.0.1",
                "port": port,
                "provider_mapping": { "/": top },
                "simple_dc": { "user_mapping": { "*": { USER: { "password": PASSWORD } } } },
                "http_authenticator": {
                    "accept_basic": !digest, "accept_digest": digest, "default_to_digest": digest,
                },
                "property_manager": true,
                "lock_storage": true,
            });
            std::fs::write(&file, config.to_string()).unwrap();
            add(&["--config", &text(&file)]);
        }
        Kind::Apache => {
            let file = dir.join("httpd.conf");
            std::fs::write(&file, apache(dir, port)).unwrap();
            add(&["-f", &text(&file), "-DFOREGROUND"]);
        }
    }
    words
}

fn apache(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    let mut lines = vec![
        "ServerName localhost".to_owned(),
        format!("ServerRoot {dir}"),
        format!("Listen 127.0.0.1:{port}"),
        format!("PidFile {dir}/pid"),
        format!("ErrorLog {dir}/log"),
        format!("Mutex file:{dir} default"),
        "TypesConfig /dev/null".to_owned(),
        "StartServers 1".to_owned(),
    ];
    if is_root() {
        lines.push("User nobody\nGroup nogroup".to_owned());
    }
    for module in [
        "mpm_event",
        "authn_core",
        "authz_core",
        "dav",
        "dav_fs",
        "dir",
        "mime",
    ] {
        lines.push(format!(
            "LoadModule {module}_module {MODULES}/mod_{module}.so"
        ));
    }
    lines.push(format!(
        "DavLockDB {dir}/locks/db\nDocumentRoot {dir}/served\n<Directory {dir}/served>\n\
         Dav On\nDavDepthInfinity On\nRequire all granted\nDirectoryIndex disabled\n</Directory>\n"
    ));
    lines.join("\n")
}

/// Starts it so that it ends with this thread, whatever happens to the test.
fn spawn(words: &[String], dir: &Path) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .unwrap();
    Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "--"])
        .args(words)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("LC_ALL", "C.UTF-8")
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn answers(child: &mut Child, port: u16) -> bool {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if ask(port, "OPTIONS", "/").is_some_and(|answer| answer.starts_with("HTTP/")) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

/// Sends a request without a body; all of the answer.
fn ask(port: u16, method: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// Ends a process by its id: asks it first, so that it can end its own children.
pub fn stop(child: &mut Child) {
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    let end = Instant::now() + LIMIT / 4;
    while child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn walk(top: &Path, dir: &Path, with_directories: bool) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let is_dir = path.is_dir();
        if with_directories || !is_dir {
            let name = path.strip_prefix(top).unwrap();
            paths.push(name.to_str().unwrap().to_owned());
        }
        if is_dir {
            paths.extend(walk(top, &path, with_directories));
        }
    }
    paths
}
