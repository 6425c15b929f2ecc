//! Files that are one request and many parts: how the request begins, and what its end means.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;

use super::api::{Api, Call};
use super::auth::Grant;
use super::error::{self, Wanted, may_be_done};
use super::list;
use super::pipe::{self, Answer, Put};
use super::session::{State, short, stored};
use crate::drive::{DriveError, Result};
use crate::net::{Retry, current_priority};

/// A part of a request that is under way. The first part may begin it anew, as often as it takes;
/// after that a request that broke is the end of this upload.
pub async fn put_in_order(
    api: &Api,
    state: &State,
    number: u32,
    last: bool,
    bytes: &Bytes,
) -> Result<String> {
    let id = state.temporary.as_str();
    let mut challenged = false;
    loop {
        let (pipe, grant) = match api.pipes.get(id) {
            Some(pipe) => (pipe, None),
            None if number == 1 => {
                let (put, grant) = prepare(api, state).await?;
                (api.pipes.begin(&api.client, id, put)?, Some(grant))
            }
            None => return Err(pipe::lost()),
        };
        let budget = api.client.budget();
        let permit = budget.acquire("upload", current_priority()).await;
        let put = pipe.put(number, last, bytes).await;
        drop(permit);
        let error = match put {
            Ok(None) => return Ok(String::new()),
            Ok(Some(answer)) if last && answer.status.is_success() => {
                return stored(api, state).await?.ok_or_else(|| {
                    api.pipes.forget(id);
                    short(state).retry(Retry::Never)
                });
            }
            Ok(Some(answer)) => {
                let again = answer.status.as_u16() == 401
                    && number == 1
                    && !challenged
                    && grant.is_some_and(|grant| api.auth.learn(&answer.headers, &grant));
                api.pipes.forget(id);
                if again {
                    challenged = true;
                    continue;
                }
                refusal(&answer)
            }
            Err(error) => error,
        };
        if last
            && may_be_done(&error)
            && let Some(tag) = stored(api, state).await?
        {
            // Only the answer was lost.
            return Ok(tag);
        }
        api.pipes.forget(id);
        return Err(match number {
            1 => error,
            _ => DriveError {
                message: format!("{}; the upload starts anew", error.message),
                ..error.retry(Retry::Never)
            },
        });
    }
}

/// The error of an answer that came too early, or is a refusal.
fn refusal(answer: &Answer) -> DriveError {
    if answer.status.is_success() {
        return DriveError::bad_answer("upload", "an answer before the last byte");
    }
    let pause = answer
        .headers
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    error::from_parts("upload", Wanted::Store, answer.status, pause, &answer.body)
}

async fn prepare(api: &Api, state: &State) -> Result<(Put, Grant)> {
    if api.auth.is_cold() {
        // So that the body is not sent in vain: the server names its number now.
        list::look(api, &state.dir).await?;
    }
    let id = state.temporary_id();
    let url = Url::parse(&api.base.url(&id, false))
        .map_err(|_| DriveError::bad_answer("upload", "an address that is none"))?;
    let grant = api.auth.grant("PUT", &url).await?;
    let sha1 = state.sha1.as_deref().filter(|_| api.chunks.is_likely());
    let mut call = Call::new("upload", Wanted::Store, "PUT", String::new())
        .header("content-type", "application/octet-stream")
        .header("user-agent", concat!("panfuse/", env!("CARGO_PKG_VERSION")));
    for (name, value) in state.described(sha1) {
        call = call.header(name, &value);
    }
    if let Some(value) = &grant.value {
        call = call.header("authorization", value.expose());
        if let Some(value) = call.headers.get_mut("authorization") {
            value.set_sensitive(true);
        }
    }
    let put = Put {
        url,
        headers: call.headers,
        size: state.size,
    };
    Ok((put, grant))
}
