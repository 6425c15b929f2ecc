//! What can be done to an account of a running world, and how it is told.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::remote::Remote;
use super::{FaultArgs, ReadArgs, SeedArgs};
use crate::cli::{CliError, CliResult, Paint, Reply, Table};
use crate::sim::{Fault, clock::rfc3339};

/// Bytes asked for at once.
const PIECE: u64 = 4 << 20;
/// Most bytes in a JSON answer.
const JSON_MAX: u64 = 16 << 20;

pub(super) async fn seed(remote: &Remote, args: &SeedArgs) -> CliResult {
    let mut names = vec![args.profile.as_str()];
    if let Some(like) = &args.like {
        let (profile, _) = like.split_once(':').ok_or_else(|| {
            CliError::usage(
                "bad_like",
                format!("--like takes PROFILE:PATH, not `{like}`"),
            )
            .hint("write for example --like ali:/a/file.bin")
        })?;
        names.push(profile);
    }
    let file = args.file.as_deref().map(local_file).transpose()?;
    let body = json!({
        "profile": args.profile, "path": args.path, "size": args.size.unwrap_or(0),
        "seed": args.seed, "like": args.like, "file": file, "known_only": args.known_only,
    });
    let answer = remote.post("/seed", &body, &names).await?;
    let text = if args.known_only {
        format!("the provider of {} knows the content", args.profile)
    } else {
        let id = answer["id"].as_str().unwrap_or_default();
        format!("{}:{} has the id {id}", args.profile, args.path)
    };
    let document = json!({
        "profile": args.profile, "id": answer["id"], "known_only": args.known_only,
        "path": (!args.known_only).then_some(&args.path),
    });
    Ok(Reply::new(document, text))
}

/// The simulators read the file themselves: they need its whole path.
fn local_file(path: &Path) -> Result<String, CliError> {
    let wrong = |what: String| CliError::usage("bad_file", format!("{}: {what}", path.display()));
    // Opened once here, so that a mistake is told as one of this command line.
    let opened = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let found = opened
        .metadata()
        .map_err(|error| wrong(error.to_string()))?;
    if !found.is_file() {
        return Err(wrong("not a file".to_owned()));
    }
    let whole = std::path::absolute(path)?;
    let text = whole.to_str().map(str::to_owned);
    text.ok_or_else(|| wrong("the path is not UTF-8".to_owned()))
}

pub(super) async fn mkdir(remote: &Remote, profile: &str, path: &str) -> CliResult {
    let body = json!({ "profile": profile, "path": path });
    let answer = remote.post("/mkdir", &body, &[profile]).await?;
    let id = answer["id"].as_str().unwrap_or_default();
    Ok(Reply::new(
        json!({ "profile": profile, "path": path, "id": id }),
        format!("{profile}:{path} has the id {id}"),
    ))
}

pub(super) async fn stat(remote: &Remote, profile: &str) -> CliResult {
    let stat = remote
        .get("/stat", &[("profile", profile)], &[profile])
        .await?;
    let mut table = Table::plain();
    for (op, count) in stat["requests"].as_object().into_iter().flatten() {
        table.row([format!("requests {op}"), count.to_string()]);
    }
    for (name, value) in stat.as_object().into_iter().flatten() {
        if !value.is_object() {
            table.row([name.replace('_', " "), value.to_string()]);
        }
    }
    let text = table.render();
    Ok(Reply::new(stat, text))
}

pub(super) async fn fault(remote: &Remote, args: &FaultArgs, fault: &Fault) -> CliResult {
    let mut body = json!(fault);
    body["profile"] = json!(args.profile);
    remote.post("/fault", &body, &[&args.profile]).await?;
    let often = match fault.count {
        0 => "every request until the reset".to_owned(),
        1 => "one request".to_owned(),
        count => format!("{count} requests"),
    };
    let after = match fault.after {
        0 => String::new(),
        after => format!(" after {after} that pass"),
    };
    let kind = body["kind"].as_str().unwrap_or_default();
    let text = format!(
        "{}: {kind} for {often} of {}{after}",
        args.profile, fault.op
    );
    Ok(Reply::new(body, text))
}

pub(super) async fn clock(remote: &Remote, by: &str, ms: i64) -> CliResult {
    let answer = remote
        .post("/clock", &json!({ "advance_ms": ms }), &[])
        .await?;
    let now = answer["now_ms"].as_i64().unwrap_or_default();
    Ok(Reply::new(
        json!({ "advanced_ms": ms, "now_ms": now, "now": rfc3339(now) }),
        format!("moved by {by}: it is {} now", rfc3339(now)),
    ))
}

pub(super) async fn tree(remote: &Remote, paint: Paint, profile: &str) -> CliResult {
    let tree = remote
        .get("/tree", &[("profile", profile)], &[profile])
        .await?;
    let mut table = Table::new(paint, &["PATH", "SIZE", "SHA1", "STATE"]);
    let items = tree["items"].as_array().into_iter().flatten();
    for item in items {
        let path = plain(&item["path"]);
        let state = match (item["trashed"] == true, item["pending"] == true) {
            (true, _) => "trashed",
            (_, true) => "pending",
            _ => "",
        };
        if item["dir"] == true {
            table.row([format!("{path}/"), "-".into(), "-".into(), state.into()]);
        } else {
            let sha1 = plain(&item["sha1"]);
            table.row([path, plain(&item["size"]), sha1, state.into()]);
        }
    }
    let mut text = table.render();
    let uploads = tree["uploads"].as_array().into_iter().flatten();
    for upload in uploads {
        let (id, name) = (plain(&upload["id"]), plain(&upload["name"]));
        let mut line = Table::plain();
        line.row([format!("open upload {id}"), name]);
        text.push_str(&line.render());
    }
    Ok(Reply::new(tree, text))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

pub(super) async fn set(remote: &Remote, profile: &str, key: &str, value: &str) -> CliResult {
    let body = json!({ "profile": profile, "key": key, "value": value });
    remote.post("/set", &body, &[profile]).await?;
    Ok(Reply::new(body, format!("{profile}: {key} is {value}")))
}

pub(super) async fn corrupt(remote: &Remote, profile: &str, path: &str) -> CliResult {
    let body = json!({ "profile": profile, "path": path });
    remote
        .post("/corrupt", &body, &[profile])
        .await
        .map_err(|error| with_tree(error, profile))?;
    Ok(Reply::new(
        body,
        format!("{profile}:{path} has a flipped bit"),
    ))
}

pub(super) async fn reset(remote: &Remote, profile: &str) -> CliResult {
    let body = json!({ "profile": profile });
    remote.post("/reset", &body, &[profile]).await?;
    Ok(Reply::new(
        body,
        format!("{profile}: meters at zero, no faults"),
    ))
}

/// Where to look when a path is not there.
fn with_tree(error: CliError, profile: &str) -> CliError {
    match error.code.as_str() {
        "sim_refused" => error.hint(format!("what is there: panfuse sim tree {profile}")),
        _ => error,
    }
}

pub(super) async fn read(remote: &Remote, args: &ReadArgs, as_json: bool) -> CliResult {
    let place = format!("{}:{}", args.profile, args.path);
    if let Some(out) = &args.out {
        let failed = |error: io::Error| {
            CliError::failed("local_disk", format!("{}: {error}", out.display()))
        };
        // Asked before the file is made: a mistake must not empty an old one.
        piece(remote, args, args.offset, 0).await?;
        let mut file = File::create(out).map_err(failed)?;
        let count = copy(remote, args, &mut |bytes| {
            file.write_all(bytes).map_err(failed)
        })
        .await?;
        file.sync_all().map_err(failed)?;
        return Ok(Reply::new(
            json!({ "profile": args.profile, "path": args.path, "bytes": count, "out": out }),
            format!("{count} bytes of {place} are in {}", out.display()),
        ));
    }
    if as_json {
        let mut all = Vec::new();
        copy(remote, args, &mut |bytes| {
            all.extend_from_slice(bytes);
            if all.len() as u64 > JSON_MAX {
                let message = format!("{place} is too large for a JSON answer of 16 MiB");
                return Err(CliError::usage("too_large", message)
                    .hint("take less with --len, or write a file with --out"));
            }
            Ok(())
        })
        .await?;
        let document = json!({
            "profile": args.profile, "path": args.path, "offset": args.offset,
            "bytes": all.len(), "base64": STANDARD.encode(&all),
        });
        return Ok(Reply::new(document, ""));
    }
    let mut out = io::stdout();
    // A reader that has seen enough is no failure.
    let mut left = false;
    let written = copy(remote, args, &mut |bytes| {
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|error| {
                left = error.kind() == io::ErrorKind::BrokenPipe;
                error.into()
            })
    })
    .await;
    match written {
        Err(error) if !left => Err(error),
        _ => Ok(Reply::said()),
    }
}

async fn piece(
    remote: &Remote,
    args: &ReadArgs,
    offset: u64,
    len: u64,
) -> Result<bytes::Bytes, CliError> {
    let (offset, len) = (offset.to_string(), len.to_string());
    let query = [
        ("profile", args.profile.as_str()),
        ("path", &args.path),
        ("offset", &offset),
        ("len", &len),
    ];
    remote
        .bytes("/read", &query, &[&args.profile])
        .await
        .map_err(|error| with_tree(error, &args.profile))
}

/// Hands the bytes on piece by piece and tells how many there were.
async fn copy(
    remote: &Remote,
    args: &ReadArgs,
    take: &mut dyn FnMut(&[u8]) -> Result<(), CliError>,
) -> Result<u64, CliError> {
    let mut count: u64 = 0;
    let wanted = args.len.unwrap_or(u64::MAX);
    while count < wanted {
        let ask = PIECE.min(wanted - count);
        let bytes = piece(remote, args, args.offset.saturating_add(count), ask).await?;
        take(&bytes)?;
        count += bytes.len() as u64;
        if (bytes.len() as u64) < ask {
            break;
        }
    }
    Ok(count)
}
