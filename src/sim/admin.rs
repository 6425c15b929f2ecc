//! The admin server of a world: what [`World`] can do, as JSON over HTTP.
//!
//! | call | body or query | answer |
//! |---|---|---|
//! | `GET /info` | | `{"admin","profiles":[..],"endpoints":{..},"now_ms"}` |
//! | `POST /seed` | `{"profile","path","size","seed"?,"like"?:"PROFILE:PATH","file"?,"known_only"?}` | `{"id"}` |
//! | `POST /mkdir` | `{"profile","path"}` | `{"id"}` |
//! | `GET /stat?profile=` | | the meters |
//! | `POST /fault` | `{"profile","op","kind","count"?,"after"?,"arg"?}` | `{}` |
//! | `POST /clock` | `{"advance_ms"}` | `{"now_ms"}` |
//! | `GET /tree?profile=` | | `{"items":[..],"uploads":[..]}` |
//! | `POST /reset` | `{"profile"}` | `{}` |
//! | `GET /read?profile=&path=&offset=&len=` | | the bytes |
//! | `POST /set` | `{"profile","key","value"}` | `{}` |
//! | `POST /corrupt` | `{"profile","path"}` | `{}` |
//!
//! What cannot be done is 400 with `{"error":{"code":"sim_refused","message":".."}}`.

use std::sync::{Arc, Weak};

use anyhow::{Context, Result};
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::Fault;
use super::server::{SeedSource, World};

type Worldly = State<Weak<World>>;

/// Runs blocking work on a world (hashing a tree takes a while) and renders it.
async fn run<T: IntoResponse + Send + 'static>(
    world: Weak<World>,
    work: impl FnOnce(&World) -> Result<T> + Send + 'static,
) -> Response {
    let done = tokio::task::spawn_blocking(move || {
        let world: Arc<World> = world.upgrade().context("the world has ended")?;
        work(&world)
    })
    .await;
    match done {
        Ok(Ok(answer)) => answer.into_response(),
        Ok(Err(error)) => refused(&format!("{error:#}")),
        Err(_) => refused("the work was cancelled"),
    }
}

fn refused(message: &str) -> Response {
    let body = json!({ "error": { "code": "sim_refused", "message": message } });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

#[derive(Deserialize)]
struct Seed {
    profile: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    size: u64,
    seed: Option<u64>,
    like: Option<String>,
    file: Option<String>,
    #[serde(default)]
    known_only: bool,
}

fn seed(world: &World, ask: Seed) -> Result<Json<Value>> {
    let source = match (&ask.like, &ask.file) {
        (Some(like), _) => {
            let (profile, path) = like.split_once(':').context("like is PROFILE:PATH")?;
            SeedSource::Like {
                profile: profile.to_owned(),
                path: path.to_owned(),
            }
        }
        (None, Some(file)) => SeedSource::File(file.into()),
        (None, None) => SeedSource::Synthetic {
            seed: ask.seed.unwrap_or(1),
        },
    };
    if ask.known_only {
        world.seed_known_only(&ask.profile, ask.size, &source)?;
        return Ok(Json(json!({ "id": null })));
    }
    let id = world.seed(&ask.profile, &ask.path, ask.size, &source)?;
    Ok(Json(json!({ "id": id })))
}

#[derive(Deserialize)]
struct At {
    profile: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    offset: u64,
    len: Option<u64>,
}

#[derive(Deserialize)]
struct Inject {
    profile: String,
    #[serde(flatten)]
    fault: Fault,
}

#[derive(Deserialize)]
struct Advance {
    advance_ms: i64,
}

#[derive(Deserialize)]
struct Setting {
    profile: String,
    key: String,
    value: String,
}

fn done() -> Json<Value> {
    Json(json!({}))
}

/// The routes. Once the world is gone every call is refused.
pub(super) fn router(world: Weak<World>) -> Router {
    Router::new()
        .route(
            "/info",
            get(|State(w): Worldly| {
                run(w, |world| {
                    Ok(Json(json!({
                        "admin": world.admin(), "profiles": world.profiles(),
                        "endpoints": world.endpoints(), "now_ms": world.clock().now_ms(),
                    })))
                })
            }),
        )
        .route(
            "/seed",
            post(|State(w): Worldly, Json(ask): Json<Seed>| run(w, move |world| seed(world, ask))),
        )
        .route(
            "/mkdir",
            post(|State(w): Worldly, Json(at): Json<At>| {
                run(w, move |world| {
                    Ok(Json(json!({ "id": world.mkdir(&at.profile, &at.path)? })))
                })
            }),
        )
        .route(
            "/stat",
            get(|State(w): Worldly, Query(at): Query<At>| {
                run(w, move |world| Ok(Json(world.stat(&at.profile)?)))
            }),
        )
        .route(
            "/fault",
            post(|State(w): Worldly, Json(ask): Json<Inject>| {
                run(w, move |world| {
                    world.fault(&ask.profile, ask.fault)?;
                    Ok(done())
                })
            }),
        )
        .route(
            "/clock",
            post(|State(w): Worldly, Json(ask): Json<Advance>| {
                run(w, move |world| {
                    world.clock_advance(ask.advance_ms);
                    Ok(Json(json!({ "now_ms": world.clock().now_ms() })))
                })
            }),
        )
        .route(
            "/tree",
            get(|State(w): Worldly, Query(at): Query<At>| {
                run(w, move |world| Ok(Json(world.tree(&at.profile)?)))
            }),
        )
        .route(
            "/reset",
            post(|State(w): Worldly, Json(at): Json<At>| {
                run(w, move |world| {
                    world.reset(&at.profile)?;
                    Ok(done())
                })
            }),
        )
        .route(
            "/read",
            get(|State(w): Worldly, Query(at): Query<At>| {
                run(w, move |world| {
                    let bytes =
                        world.read(&at.profile, &at.path, at.offset, at.len.unwrap_or(u64::MAX))?;
                    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
                    Ok((kind, Body::from(bytes)))
                })
            }),
        )
        .route(
            "/set",
            post(|State(w): Worldly, Json(ask): Json<Setting>| {
                run(w, move |world| {
                    world.set(&ask.profile, &ask.key, &ask.value)?;
                    Ok(done())
                })
            }),
        )
        .route(
            "/corrupt",
            post(|State(w): Worldly, Json(at): Json<At>| {
                run(w, move |world| {
                    world.corrupt(&at.profile, &at.path)?;
                    Ok(done())
                })
            }),
        )
        .with_state(world)
}
