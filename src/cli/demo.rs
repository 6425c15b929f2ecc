//! `panfuse demo`: the whole thing on this machine, without an account, a network or root.
//!
//! Simulators are started in the process, a small library is put into them, everything is
//! mounted, and a short tour is made with the real `cp`, `mv` and `cat`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::daemon::{Daemon, DaemonOptions};
use super::mount::default_mount_point;
use super::table::Table;
use super::{CliError, CliResult, Context, Global, Reply};
use crate::fuse::MountOptions;
use crate::sim::{SeedSource, World, WorldOptions};

/// Its options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory to mount on (else ~/cloud, or a temporary one when that is in use)
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: Option<PathBuf>,
    /// Leave after the tour; exit code 0 only if every step held
    #[arg(long)]
    pub once: bool,
}

/// What the table's words mean.
const PHASES: &str = "
phase     P1: a known hash was enough; P2: and a few small reads; P4: every byte went to the target
verified  what the finished file was checked by: its hash, or samples of both sides
read, sent  bytes of the content that came from the source and went to the target";

/// Longest a step of the tour may take.
const STEP: Duration = Duration::from_secs(120);

/// Runs it.
///
/// # Errors
/// Exit code 1 when it cannot be mounted or, with `--once`, when a step did not hold.
pub async fn run(context: &Context, args: Args) -> CliResult {
    let home = tempfile_dir()?;
    let world = tokio::task::spawn_blocking(|| {
        let world = crate::sim::start(&WorldOptions {
            only: Vec::new(),
            accounts: 2,
        })?;
        library(&world)?;
        Ok::<_, anyhow::Error>(world)
    })
    .await
    .map_err(|error| CliError::failed("sim", error.to_string()))?
    .map_err(|error| CliError::failed("sim", error.to_string()))?;
    let config = super::sim::prepare(&world, home.path())?;
    let own = Context::new(&Global {
        config: Some(config),
        state_dir: None,
        json: context.json,
    })?;
    let (mount_point, _keep) = mount_point(args.mountpoint, home.path())?;
    let options = DaemonOptions {
        mount_point,
        mount: MountOptions::default(),
    };
    let daemon = Daemon::open(&own, &options).await?;
    let mut steps = Vec::new();
    let once = args.once;
    let paint = context.paint;
    let quiet = context.json;
    let steps_of = &mut steps;
    let world_of = &world;
    daemon
        .serve(&own, &options, async |daemon, path| {
            if !quiet {
                println!("panfuse demo: simulated drives are mounted at {}\n", path.display());
            }
            *steps_of = tour(daemon, path, world_of).await;
            if !quiet {
                print!("{}", table(steps_of, paint));
                println!("{PHASES}");
                if !once {
                    println!(
                        "\nIt stays mounted: look around with ls, cp, getfattr -d, df. Ctrl-C ends it."
                    );
                }
            }
            if once {
                daemon.stop.cancel();
            }
        })
        .await?;
    drop(world);
    let failed = steps.iter().filter(|step| !step.held).count();
    let document = json!({
        "steps": steps.iter().map(Step::json).collect::<Vec<_>>(),
        "held": failed == 0,
    });
    if steps.is_empty() || failed > 0 {
        return Err(CliError::failed(
            "tour",
            format!("{failed} of {} steps did not hold", steps.len()),
        )
        .with("tour", document));
    }
    Ok(Reply::new(document, ""))
}

/// A directory of our own, removed at the end.
fn tempfile_dir() -> Result<OwnDir, CliError> {
    let path = std::env::temp_dir().join(format!("panfuse-demo-{}", uuid::Uuid::new_v4().simple()));
    crate::config::make_private_dir(&path)?;
    Ok(OwnDir(path))
}

struct OwnDir(PathBuf);

impl OwnDir {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OwnDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The mount point, and what must be removed with it.
fn mount_point(asked: Option<PathBuf>, home: &Path) -> Result<(PathBuf, Option<OwnDir>), CliError> {
    if let Some(path) = asked {
        std::fs::create_dir_all(&path)?;
        return Ok((std::path::absolute(path)?, None));
    }
    let usual = default_mount_point()?;
    let usable = match std::fs::read_dir(&usual) {
        Ok(mut entries) => {
            entries.next().is_none()
                && std::fs::metadata(&usual).is_ok_and(|here| {
                    use std::os::unix::fs::MetadataExt;
                    let above = usual
                        .parent()
                        .and_then(|parent| std::fs::metadata(parent).ok());
                    above.is_some_and(|above| above.dev() == here.dev())
                })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(&usual).is_ok()
        }
        Err(_) => false,
    };
    if usable {
        return Ok((usual, None));
    }
    let other = home.with_extension("mnt");
    crate::config::make_private_dir(&other)?;
    eprintln!(
        "panfuse: {} is in use or not empty; the demo mounts on {}",
        usual.display(),
        other.display()
    );
    Ok((other.clone(), Some(OwnDir(other))))
}

/// A small believable library.
fn library(world: &World) -> anyhow::Result<()> {
    let text = |text: &str| SeedSource::Bytes(text.repeat(40).into_bytes().into());
    let made = |seed| SeedSource::Synthetic { seed };
    world.seed("115", "/films/harbour.mkv", 1_500_000_000, &made(11))?;
    world.seed("115", "/films/home-video.mp4", 24_000_000, &made(12))?;
    world.seed("115", "/photos/lake.jpg", 3_400_000, &made(13))?;
    world.seed(
        "ali",
        "/notes/readme.txt",
        0,
        &text("Notes of a simulated drive.\n"),
    )?;
    world.seed(
        "ali",
        "/notes/recipe.txt",
        0,
        &text("Water, flour, salt.\n"),
    )?;
    world.seed("ali", "/albums/song.flac", 31_000_000, &made(14))?;
    world.seed("123", "/backup/photos.zip", 12_000_000, &made(15))?;
    // Somebody else has these: their providers know them.
    let like = |profile: &str, path: &str| SeedSource::Like {
        profile: profile.to_owned(),
        path: path.to_owned(),
    };
    world.seed_known_only("ali", 0, &like("115", "/films/harbour.mkv"))?;
    world.seed_known_only("123", 0, &like("115", "/photos/lake.jpg"))?;
    world.seed_known_only("pikpak", 0, &like("ali", "/albums/song.flac"))?;
    Ok(())
}

/// A step of the tour and what came of it.
struct Step {
    what: String,
    phase: String,
    verified: String,
    down: u64,
    up: u64,
    held: bool,
    note: String,
}

impl Step {
    fn json(&self) -> Value {
        json!({
            "what": self.what, "phase": self.phase, "verified": self.verified,
            "bytesFromSource": self.down, "bytesToTarget": self.up,
            "held": self.held, "note": self.note,
        })
    }
}

async fn tour(daemon: &Daemon, mount: &Path, world: &World) -> Vec<Step> {
    let copies = [
        (
            "cp",
            "115/films/harbour.mkv",
            "ali/harbour.mkv",
            "P2",
            "known to the target: asked, not moved",
        ),
        (
            "cp",
            "115/photos/lake.jpg",
            "123/lake.jpg",
            "P1",
            "its hash is enough",
        ),
        (
            "cp",
            "ali/albums/song.flac",
            "pikpak/song.flac",
            "P2",
            "three windows of 20 KiB decide, samples confirm",
        ),
        (
            "cp",
            "115/films/home-video.mp4",
            "ali/home-video.mp4",
            "P4",
            "unknown: streamed and verified",
        ),
        (
            "cp",
            "115/films/home-video.mp4",
            "ali-2/home-video.mp4",
            "P2",
            "now it is known",
        ),
        (
            "mv",
            "123/backup/photos.zip",
            "115-2/photos.zip",
            "",
            "the source goes after verification",
        ),
        (
            "cp",
            "ali/notes/recipe.txt",
            "local/recipe.txt",
            "",
            "to a directory of this machine",
        ),
    ];
    let mut steps = Vec::new();
    for (program, from, to, phase, note) in copies {
        steps.push(copy(daemon, mount, world, program, from, to, phase, note).await);
    }
    steps.push(reading(mount).await);
    let failed = daemon.vfs.settle(None).await;
    let gone = !mount.join("123/backup/photos.zip").exists();
    steps.push(Step {
        what: "sync: everything is at its provider".to_owned(),
        phase: String::new(),
        verified: String::new(),
        down: 0,
        up: 0,
        held: failed == 0 && gone,
        note: if gone {
            "the moved source is gone".to_owned()
        } else {
            "the source is still there".to_owned()
        },
    });
    steps
}

#[allow(clippy::too_many_arguments)] // one row of the tour's table, and where it is made
async fn copy(
    daemon: &Daemon,
    mount: &Path,
    world: &World,
    program: &str,
    from: &str,
    to: &str,
    phase: &str,
    note: &str,
) -> Step {
    let meter = |profile: &str| {
        world
            .stat(profile)
            .map(|stat| (stat.bytes_down, stat.bytes_up))
            .unwrap_or_default()
    };
    let source_profile = from.split('/').next().unwrap_or("");
    let target_profile = to.split('/').next().unwrap_or("");
    let (down, up) = (meter(source_profile).0, meter(target_profile).1);
    let mut step = Step {
        what: format!("{program} {from} {to}"),
        phase: String::new(),
        verified: String::new(),
        down: 0,
        up: 0,
        held: false,
        note: note.to_owned(),
    };
    let done = tokio::process::Command::new(program)
        .arg(mount.join(from))
        .arg(mount.join(to))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(STEP, done).await {
        Ok(Ok(output)) if output.status.success() => {}
        Ok(Ok(output)) => {
            step.note = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return step;
        }
        Ok(Err(error)) => {
            step.note = format!("{program}: {error}");
            return step;
        }
        Err(_) => {
            step.note = "took longer than two minutes".to_owned();
            return step;
        }
    }
    // A small copy is answered when its bytes are safe here; its upload goes on behind.
    daemon.vfs.settle(Some(target_profile)).await;
    step.down = meter(source_profile).0 - down;
    step.up = meter(target_profile).1 - up;
    let told = xattr(&mount.join(to), "user.pan.transfer").await;
    let told: Value = told
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    step.phase = told["phase"].as_str().unwrap_or("").to_owned();
    step.verified = told["verifyMode"].as_str().unwrap_or("").to_owned();
    step.held = told["verifyOk"] == true && (phase.is_empty() || phase == step.phase);
    step
}

/// Reads a text and its fingerprints through the mount.
async fn reading(mount: &Path) -> Step {
    let path = mount.join("ali/notes/readme.txt");
    let text = tokio::fs::read_to_string(&path).await.unwrap_or_default();
    let sha1 = xattr(&path, "user.pan.sha1").await.unwrap_or_default();
    let expected = crate::sim::sha1_hex(text.as_bytes());
    Step {
        what: "cat ali/notes/readme.txt; getfattr -n user.pan.sha1".to_owned(),
        phase: String::new(),
        verified: String::new(),
        down: text.len() as u64,
        up: 0,
        held: !text.is_empty() && sha1 == expected,
        note: format!("sha1 {}...", sha1.get(..12).unwrap_or("")),
    }
}

/// An extended attribute as text.
async fn xattr(path: &Path, name: &'static str) -> Option<String> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || crate::fuse::xattr(&path, name).ok())
        .await
        .ok()?
        .and_then(|bytes| String::from_utf8(bytes).ok())
}

fn table(steps: &[Step], paint: super::Paint) -> String {
    let mut table = Table::new(
        paint,
        &["", "step", "phase", "verified", "read", "sent", "why"],
    );
    for step in steps {
        let mark = if step.held {
            paint.good("ok")
        } else {
            paint.bad("no")
        };
        table.row([
            mark,
            step.what.clone(),
            step.phase.clone(),
            step.verified.clone(),
            size(step.down),
            size(step.up),
            step.note.clone(),
        ]);
    }
    table.render()
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
