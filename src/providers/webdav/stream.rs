//! Files that are one request and many parts: how the request begins, and what its end means.

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderValue};

use super::api::Api;
use super::auth::Grant;
use super::error::{self, Wanted, may_be_done};
use super::list;
use super::pipe::{self, Answer};
use super::session::{State, short, stored};
use crate::drive::{DriveError, ErrorKind, Result};
use crate::net::{Request, Retry, current_priority};

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
                (
                    api.pipes.begin(&api.client, id, put, state.size),
                    Some(grant),
                )
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
                if matches!(answer.status.as_u16(), 429 | 503)
                    && let Some(pause) = answer.pause
                {
                    // Parts of other files wait as well.
                    budget.hold("upload", pause);
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
    error::from_parts(
        "upload",
        Wanted::Store,
        answer.status,
        answer.pause,
        &answer.body,
    )
}

async fn prepare(api: &Api, state: &State) -> Result<(Request, Grant)> {
    if api.auth.is_cold() {
        // So that the body is not sent in vain: the server names its number now.
        list::look(api, &state.dir).await?;
    }
    let id = state.temporary_id();
    let url = Url::parse(&api.base.url(&id, false))
        .map_err(|_| DriveError::bad_answer("upload", "an address that is none"))?;
    let grant = api.auth.grant("PUT", &url).await?;
    let sha1 = state.sha1.as_deref().filter(|_| api.chunks.is_likely());
    let mut put = Request::put("upload", url).header("content-type", "application/octet-stream");
    for (name, value) in state.described(sha1) {
        put = put.header(name, &value);
    }
    if let Some(value) = &grant.value {
        let mut value = HeaderValue::from_str(value.expose())
            .map_err(|_| DriveError::new(ErrorKind::Auth, "the secret cannot stand in a header"))?;
        value.set_sensitive(true);
        put.headers.insert(AUTHORIZATION, value);
    }
    Ok((put, grant))
}
