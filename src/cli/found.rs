//! What drives find: the daemon's answers to `search`, `media` and `share create`, and how results
//! are shown.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::daemon::told;
use super::mounted::Mounted;
use super::size::human;
use super::{CliError, Context, Paint, Table};
use crate::drive::{ErrorKind, LinkWish, MediaKind};
use crate::vfs::{Findings, FoundAt, FsError, Look, Vfs};

/// Pages of a large account come one a second.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);

/// Results that are shown without `--limit`.
pub(super) const LIMIT: u32 = 200;

/// What is asked for.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    profile: String,
    #[serde(default)]
    dir: Option<String>,
    #[serde(default)]
    key: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    limit: usize,
    #[serde(default)]
    path: String,
    #[serde(default)]
    days: u32,
    #[serde(default)]
    code: Option<String>,
}

impl Body {
    fn look(&self) -> Look<'_> {
        Look {
            profile: &self.profile,
            dir: self.dir.as_deref(),
            limit: self.limit,
        }
    }
}

type Answer = Result<Json<Value>, CliError>;

/// The requests.
pub(super) fn routes(vfs: &Vfs) -> Router {
    Router::new()
        .route("/v1/search", post(search))
        .route("/v1/media", post(media))
        .route("/v1/share/create", post(share_create))
        .with_state(vfs.clone())
}

/// A kind by its word.
///
/// # Errors
/// `unknown_kind`, with the words there are.
pub(super) fn kind_of(word: &str) -> Result<MediaKind, CliError> {
    MediaKind::parse(word).ok_or_else(|| {
        let all: Vec<&str> = MediaKind::ALL.iter().map(|kind| kind.name()).collect();
        CliError::usage("unknown_kind", format!("{word:?} is no kind of files"))
            .hint(format!("known are: {}", all.join(", ")))
    })
}

/// An error, with a way out for what the provider does not do.
fn refused(place: &str, error: &FsError) -> CliError {
    let cause = error.cause.as_ref().map(|cause| cause.kind);
    let told = told(place, error);
    match cause {
        Some(ErrorKind::Unsupported) if told.hint.is_none() => told.hint(
            "panfuse provider show KEY --json says under `capabilities` what a provider does; \
             find and ls work in every directory of the mount",
        ),
        _ => told,
    }
}

/// A profile that is mounted.
fn mounted_profile(vfs: &Vfs, name: &str) -> Result<(), CliError> {
    let volumes = vfs.engine().volumes();
    if volumes.iter().any(|volume| &*volume.name == name) {
        return Ok(());
    }
    let names: Vec<&str> = volumes.iter().map(|volume| &*volume.name).collect();
    Err(
        CliError::usage("profile_not_found", format!("no profile {name} is mounted"))
            .hint(format!("mounted are: {}", names.join(", "))),
    )
}

async fn search(State(vfs): State<Vfs>, Json(body): Json<Body>) -> Answer {
    mounted_profile(&vfs, &body.profile)?;
    let found = vfs.search(body.look(), &body.key).await;
    let found = found.map_err(|error| refused(place(&body), &error))?;
    Ok(Json(document(&found)))
}

async fn media(State(vfs): State<Vfs>, Json(body): Json<Body>) -> Answer {
    mounted_profile(&vfs, &body.profile)?;
    let fail = |error: FsError| refused(place(&body), &error);
    if let Some(word) = &body.kind {
        let found = vfs.media(body.look(), kind_of(word)?).await.map_err(fail)?;
        return Ok(Json(document(&found)));
    }
    let counts = vfs.media_counts(&body.profile, body.dir.as_deref()).await;
    let counts: Vec<Value> = counts
        .map_err(fail)?
        .iter()
        .map(|count| json!({ "kind": count.kind, "count": count.count, "size": count.size }))
        .collect();
    Ok(Json(json!({ "counts": counts })))
}

async fn share_create(State(vfs): State<Vfs>, Json(body): Json<Body>) -> Answer {
    let ino = vfs.resolve(&body.path).await;
    let ino = ino.map_err(|error| told(&body.path, &error))?;
    let wish = LinkWish {
        days: body.days,
        code: body.code.clone(),
    };
    let made = vfs.share_link(ino, &wish).await;
    let made = made.map_err(|error| refused(&body.path, &error))?;
    let mut answer = json!(made);
    answer["path"] = json!(body.path);
    Ok(Json(answer))
}

fn place(body: &Body) -> &str {
    body.dir.as_deref().unwrap_or(&body.profile)
}

fn document(found: &Findings) -> Value {
    let items: Vec<Value> = found.items.iter().map(item).collect();
    json!({ "items": items, "more": found.more })
}

fn item(found: &FoundAt) -> Value {
    let time = jiff::Timestamp::from_millisecond(found.modified).ok();
    let time = time.filter(|_| found.modified > 0);
    json!({
        "path": found.path,
        "name": found.path.rsplit('/').next().unwrap_or(""),
        "dir": found.dir,
        "size": found.size,
        "modified": time.map(|time| format!("{time:.0}")),
        "id": found.id,
    })
}

/// Asks the daemon. `place` is the directory that the user named.
///
/// # Errors
/// `no_daemon`, `not_in_mount`, and the daemon's.
pub(super) async fn ask(
    (client, mounted): (Client, Mounted),
    route: &str,
    mut body: Value,
    place: Option<&std::path::Path>,
) -> Result<Value, CliError> {
    if let Some(place) = place {
        body["dir"] = json!(mounted.below(place)?);
    }
    let client = client.deadline(PATIENCE);
    client.call("POST", route, Some(&body)).await
}

/// A table of what was found, and a remark when it is not all.
pub(super) fn shown(answer: &Value, context: &Context) -> (String, Vec<String>) {
    let items = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
    let text = if items.is_empty() {
        String::new()
    } else {
        table(items, context.paint)
    };
    let mut notes = Vec::new();
    if items.is_empty() {
        notes.push("nothing was found".to_owned());
    }
    if answer["more"] == true {
        notes.push("there is more; --limit N shows more".to_owned());
    }
    (text, notes)
}

fn table(items: &[Value], paint: Paint) -> String {
    let mut table = Table::new(paint, &["SIZE", "MODIFIED", "PATH"]);
    for item in items {
        let dir = item["dir"] == true;
        let size = match dir {
            true => "-".to_owned(),
            false => human(item["size"].as_u64().unwrap_or(0)),
        };
        let slash = if dir { "/" } else { "" };
        table.row([
            size,
            item["modified"].as_str().unwrap_or("-").to_owned(),
            format!("{}{slash}", item["path"].as_str().unwrap_or("")),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_told_with_place_size_and_time() {
        let found = Findings {
            items: vec![
                FoundAt {
                    path: "/p/d/cat.jpg".to_owned(),
                    dir: false,
                    size: 2048,
                    modified: 1_735_689_600_000,
                    id: "7".to_owned(),
                },
                FoundAt {
                    path: "/p/cats".to_owned(),
                    dir: true,
                    size: 0,
                    modified: 0,
                    id: "8".to_owned(),
                },
            ],
            more: true,
        };
        let document = document(&found);
        assert_eq!(
            document["items"][0],
            json!({"path":"/p/d/cat.jpg","name":"cat.jpg","dir":false,"size":2048,
                "modified":"2025-01-01T00:00:00Z","id":"7"})
        );
        assert!(document["items"][1]["modified"].is_null());
        let items = document["items"].as_array().unwrap();
        let text = table(items, Paint::default());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("2.0 KiB") && lines[1].ends_with("/p/d/cat.jpg"));
        assert!(lines[2].ends_with("/p/cats/"), "{text}");
    }

    #[test]
    fn an_unknown_kind_is_told_with_those_there_are() {
        assert_eq!(kind_of("bt").unwrap(), MediaKind::Bt);
        let error = kind_of("films").unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("unknown_kind", 2));
        assert!(error.hint.unwrap().contains("video, audio"));
    }
}
