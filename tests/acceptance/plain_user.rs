//! Everything as a user without rights: his own HOME, `fusermount3` mounts and unmounts.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `nobody`'s number on every Linux.
const NOBODY: u32 = 65_534;

/// What a user does. The directory is $1; it holds the program.
const STORY: &str = r#"
cd "$1"
export HOME="$1/home" XDG_RUNTIME_DIR="$1/run"
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME
wait_for() {
    n=0
    while ! grep -q "$1" "$2"; do
        n=$((n + 1))
        [ $n -lt 600 ] || { cat "$2" >&2; exit 1; }
        sleep 0.1
    done
}
: > run/sims > run/said
./panfuse sim serve --only aliyundrive_open --dir home/sim > run/sims &
sims=$!
trap 'kill $sims; fusermount3 -uz "$HOME/m" 2> /dev/null || true' EXIT
wait_for admin run/sims
panfuse="./panfuse --config home/sim/config.toml"
$panfuse sim seed ali /a.bin 5000000 --seed 1
mkdir home/m

$panfuse mount --foreground home/m 2> run/said &
daemon=$!
wait_for 'mounted at' run/said
grep " $HOME/m " /proc/self/mountinfo
ls -l home/m/ali
cp home/m/ali/a.bin home/m/ali-2/b.bin
cmp home/m/ali/a.bin home/m/ali-2/b.bin
echo text > home/m/ali-2/note
$panfuse sync
fusermount3 -u home/m
wait $daemon
! grep -q " $HOME/m " /proc/self/mountinfo

$panfuse mount home/m
cat home/m/ali-2/note
ls home/m/ali-2
$panfuse umount home/m
! grep -q " $HOME/m " /proc/self/mountinfo
echo "end of the story"
"#;

/// A command that runs as somebody without rights. `None`, said loudly, where that cannot be.
fn plain(dir: &Path) -> Option<Command> {
    let shell = |program: &str| {
        let mut command = Command::new(program);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("PANFUSE_LOG", "error");
        command
    };
    let own = std::fs::metadata("/proc/self").unwrap().uid();
    let command = if own == 0 {
        let mut command = shell("setpriv");
        let id = NOBODY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "sh"]);
        for place in ["home", "run"] {
            chown(dir.join(place), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command
    } else {
        shell("sh")
    };
    let mut look = Command::new(command.get_program());
    look.args(command.get_args());
    let usable = look
        .args([
            "-c",
            "command -v fusermount3 && : <> /dev/fuse && \"$1\"/panfuse --version",
            "look",
        ])
        .arg(dir)
        .stdin(Stdio::null())
        .output();
    match usable {
        Ok(output) if output.status.success() => Some(command),
        other => {
            eprintln!("SKIPPED, NOTHING TESTED: no plain user can mount here: {other:?}");
            None
        }
    }
}

#[test]
fn a_user_without_rights_mounts_copies_and_unmounts() {
    let dir = tempfile::tempdir().unwrap();
    let place = std::fs::canonicalize(dir.path()).unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&place, 0o755);
    let program = place.join("panfuse");
    std::fs::copy(env!("CARGO_BIN_EXE_panfuse"), &program).unwrap();
    mode(&program, 0o755);
    for name in ["home", "run"] {
        std::fs::create_dir(place.join(name)).unwrap();
        mode(&place.join(name), 0o700);
    }
    let Some(mut command) = plain(&place) else {
        return;
    };
    command.args(["-euc", STORY, "story"]).arg(&place);
    let output = limited(command);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        said.contains("a.bin") && said.contains("text\nb.bin\nnote\n"),
        "{said}"
    );
    assert!(said.ends_with("end of the story\n"), "{said}");
    let user = std::fs::metadata(place.join("home")).unwrap().uid();
    assert!(said.contains(&format!("user_id={user}")), "{said}");
}

/// Runs it in a process group of its own, which ends with it.
fn limited(command: Command) -> Output {
    let mut whole = Command::new("timeout");
    whole.args(["-k", "5", "100"]).arg(command.get_program());
    whole.args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            whole.env(name, value);
        }
    }
    whole.stdin(Stdio::null()).output().unwrap()
}
