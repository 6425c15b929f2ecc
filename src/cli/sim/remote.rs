//! The admin HTTP API of a running world, as a client.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::prepare::LOCAL_PROFILE;
use super::state_file::{self, Running};
use crate::cli::CliError;
use crate::config::{Paths, nearest};

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Hashing a tree of large files takes a while.
const DEADLINE: Duration = Duration::from_secs(600);

/// A running world.
pub(super) struct Remote {
    client: reqwest::Client,
    admin: String,
    /// Its state file, unless its address was given.
    found: Option<(Running, PathBuf)>,
}

impl Remote {
    /// The world at `admin`, else the one served last.
    ///
    /// # Errors
    /// `no_simulators` and `sim_stale` (exit code 1), `bad_admin` (exit code 2).
    pub(super) fn find(paths: &Paths, admin: Option<&str>) -> Result<Remote, CliError> {
        let (admin, found) = match admin {
            Some(url) => (checked(url)?, None),
            None => match state_file::find(paths)? {
                Some((running, file)) => (running.admin.clone(), Some((running, file))),
                None => {
                    return Err(CliError::failed(
                        "no_simulators",
                        format!("no simulators are running (looked in {})", places(paths)),
                    )
                    .hint("start them: panfuse sim serve; or name running ones: --admin URL"));
                }
            },
        };
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(DEADLINE)
            .build()
            .map_err(|error| CliError::failed("runtime", error.to_string()))?;
        Ok(Remote {
            client,
            admin,
            found,
        })
    }

    /// Asks for a document. `profiles` are the names in the question: they are looked up when it
    /// is refused.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        profiles: &[&str],
    ) -> Result<Value, CliError> {
        let request = self.client.get(self.url(path)).query(query);
        let answer = self.answer(request, profiles).await?;
        self.document(answer).await
    }

    /// Asks for bytes.
    pub(super) async fn bytes(
        &self,
        path: &str,
        query: &[(&str, &str)],
        profiles: &[&str],
    ) -> Result<Bytes, CliError> {
        let request = self.client.get(self.url(path)).query(query);
        let answer = self.answer(request, profiles).await?;
        answer.bytes().await.map_err(|error| self.broken(&error))
    }

    /// Has something done.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &Value,
        profiles: &[&str],
    ) -> Result<Value, CliError> {
        let request = self.client.post(self.url(path)).json(body);
        let answer = self.answer(request, profiles).await?;
        self.document(answer).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.admin)
    }

    async fn answer(
        &self,
        request: reqwest::RequestBuilder,
        profiles: &[&str],
    ) -> Result<Response, CliError> {
        let answer = request.send().await.map_err(|error| self.broken(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.unwrap_or_default();
        let document: Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = document["error"]["message"].as_str();
        let (Some(message), StatusCode::BAD_REQUEST) = (message, status) else {
            return Err(self.stranger(&format!("HTTP {status}")));
        };
        if !profiles.is_empty() {
            let known = self.profiles().await?;
            if let Some(unknown) = profiles
                .iter()
                .find(|name| !known.contains(&(**name).into()))
            {
                return Err(self.unknown_profile(unknown, &known));
            }
        }
        Err(CliError::failed("sim_refused", message))
    }

    async fn document(&self, answer: Response) -> Result<Value, CliError> {
        let body = answer.bytes().await.map_err(|error| self.broken(&error))?;
        serde_json::from_slice(&body).map_err(|_| self.stranger("not JSON"))
    }

    async fn profiles(&self) -> Result<Vec<String>, CliError> {
        if let Some((running, _)) = &self.found {
            return Ok(running.profiles.clone());
        }
        let answer = self.client.get(self.url("/info")).send().await;
        let info = self
            .document(answer.map_err(|error| self.broken(&error))?)
            .await?;
        let names = info["profiles"].as_array().into_iter().flatten();
        Ok(names
            .filter_map(|profile| profile["name"].as_str().map(str::to_owned))
            .collect())
    }

    fn unknown_profile(&self, name: &str, known: &[String]) -> CliError {
        let error = CliError::usage(
            "profile_not_found",
            format!("no simulated profile is called `{name}`"),
        );
        if name == LOCAL_PROFILE {
            return error
                .hint("it is a plain directory: look into `local` in the config directory");
        }
        let meant = nearest(name, known.iter().map(String::as_str))
            .map(|name| format!("did you mean `{name}`? "))
            .unwrap_or_default();
        error.hint(format!("{meant}profiles: {}", known.join(", ")))
    }

    fn broken(&self, error: &reqwest::Error) -> CliError {
        if error.is_timeout() {
            return CliError::failed(
                "timeout",
                format!("the simulators at {} did not answer in time", self.admin),
            );
        }
        match &self.found {
            Some((running, file)) if error.is_connect() => state_file::stale(running, file),
            None if error.is_connect() => CliError::failed(
                "no_simulators",
                format!("no simulators answer at {}", self.admin),
            )
            .hint("--admin takes the `admin` of the line that panfuse sim serve printed"),
            _ => CliError::failed(
                "sim_answer",
                format!("the answer of the simulators at {} broke off", self.admin),
            ),
        }
    }

    fn stranger(&self, what: &str) -> CliError {
        CliError::failed(
            "sim_answer",
            format!("{} does not answer as simulators do ({what})", self.admin),
        )
        .hint("--admin takes the `admin` of the line that panfuse sim serve printed")
    }
}

fn checked(url: &str) -> Result<String, CliError> {
    let plain = url.trim_end_matches('/');
    match reqwest::Url::parse(plain) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(plain.to_owned()),
        _ => Err(CliError::usage(
            "bad_admin",
            format!("--admin takes an address, not `{url}`"),
        )
        .hint("write for example --admin http://127.0.0.1:40123")),
    }
}

fn places(paths: &Paths) -> String {
    let mut places = vec![paths.runtime.display().to_string()];
    if paths.state != paths.runtime {
        places.push(paths.state.display().to_string());
    }
    places.join(" and ")
}
