//! The daemon's door: HTTP on a Unix socket that only its user can open. Bodies are JSON; errors
//! are the document of `--json` ([`CliError::json`]).

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::UnixListener;

use super::lock::DaemonLock;
use super::{CliError, EXIT_USAGE};
use crate::config::Paths;

/// An open door. The socket file goes with it.
pub struct Door {
    listener: Option<UnixListener>,
    path: PathBuf,
}

impl Door {
    /// Opens the door. Whoever holds the lock is the only daemon, so a socket file that is there
    /// already is a dead one's.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(paths: &Paths, _lock: &DaemonLock) -> io::Result<Door> {
        let path = paths.create_socket_dir()?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Door {
            listener: Some(listener),
            path,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers until `stop` is done, then finishes the requests under way. Requests for routes
    /// that do not exist get a JSON error.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn serve<F>(mut self, routes: Router, stop: F) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(listener) = self.listener.take() else {
            return Ok(());
        };
        let routes = routes.fallback(|| async { no_such_route() });
        axum::serve(listener, routes)
            .with_graceful_shutdown(stop)
            .await
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn no_such_route() -> CliError {
    CliError::failed(
        "no_such_route",
        "the running daemon does not know this request",
    )
    .hint("it may be of another version: unmount and mount again")
}

impl IntoResponse for CliError {
    fn into_response(self) -> Response {
        let status = match (self.code.as_str(), self.exit) {
            ("no_such_route" | "not_found" | "profile_not_found", _) => StatusCode::NOT_FOUND,
            (_, EXIT_USAGE) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut document = self.json();
        // The other side ends with the exit code this side would have ended with.
        if let Some(error) = document.get_mut("error").and_then(Value::as_object_mut) {
            error.insert("exit".to_owned(), json!(self.exit));
        }
        (status, Json(document)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::{self, Client};
    use super::super::profile::testing::context;
    use super::*;
    use axum::routing::{get, post};
    use std::time::Duration;

    fn routes() -> Router {
        Router::new()
            .route(
                "/v1/echo",
                post(|Json(body): Json<Value>| async { Json(body) }),
            )
            .route(
                "/v1/bad",
                get(|| async {
                    CliError::usage("bad_name", "no")
                        .hint("yes")
                        .with("n", json!(1))
                }),
            )
            .route(
                "/v1/slow",
                get(|| async {
                    tokio::time::sleep(Duration::from_secs(600)).await;
                }),
            )
            .route("/v1/empty", get(|| async { StatusCode::NO_CONTENT }))
            .route(
                "/v1/stream",
                get(|| async {
                    let pieces = ["{\"a\":", "\"é", "\"}"].map(Ok::<_, io::Error>);
                    axum::body::Body::from_stream(futures_util::stream::iter(pieces))
                }),
            )
    }

    #[tokio::test]
    async fn the_door_answers_and_closes() {
        let home = tempfile::tempdir().unwrap();
        let paths = context(home.path()).paths;
        let lock = DaemonLock::acquire(&paths, Path::new("/m")).unwrap();
        // A dead daemon's socket is in the way.
        std::fs::create_dir_all(&paths.runtime).unwrap();
        drop(std::os::unix::net::UnixListener::bind(paths.runtime.join("panfuse.sock")).unwrap());
        let error = client::call(&paths, "GET", "/v1/bad", None)
            .await
            .unwrap_err();
        assert_eq!(error.code, "no_daemon");

        let door = Door::open(&paths, &lock).unwrap();
        let socket = door.path().to_owned();
        let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = tokio::spawn(door.serve(routes(), async {
            let _ = stopped.await;
        }));

        let big = json!({"text": "é\n".repeat(200_000), "n": [1, 2.5, null]});
        let echo = client::call(&paths, "POST", "/v1/echo", Some(&big))
            .await
            .unwrap();
        assert_eq!(echo, big);
        let error = client::call(&paths, "GET", "/v1/bad", None)
            .await
            .unwrap_err();
        assert_eq!(
            error,
            CliError::usage("bad_name", "no")
                .hint("yes")
                .with("n", json!(1))
        );
        let error = client::call(&paths, "GET", "/v1/none", None)
            .await
            .unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("no_such_route", 1));
        let empty = client::call(&paths, "GET", "/v1/empty", None)
            .await
            .unwrap();
        assert_eq!(empty, Value::Null);
        let streamed = client::call(&paths, "GET", "/v1/stream", None)
            .await
            .unwrap();
        assert_eq!(streamed, json!({"a": "é"}));
        let client = Client::new(&paths)
            .unwrap()
            .deadline(Duration::from_millis(50));
        let error = client.call("GET", "/v1/slow", None).await.unwrap_err();
        assert_eq!(error.code, "timeout");

        stop.send(()).unwrap();
        // The request that timed out hung up, so nothing is under way.
        served.await.unwrap().unwrap();
        assert!(!socket.exists());
        let error = client::call(&paths, "GET", "/v1/bad", None)
            .await
            .unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("no_daemon", 1));
        assert!(error.message.contains(paths.state.to_str().unwrap()));
    }
}
