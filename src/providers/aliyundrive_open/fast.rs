//! Fast upload (sheet section 6.3): SHA-1, size, and up to 8 bytes of the content at an offset
//! that depends on the access token. The pre-hash step is left out: it saves nothing when the
//! whole hash is known.

use base64::Engine as _;
use serde_json::json;

use super::api::{Api, Repeat};
use super::list;
use super::upload::{create_body, session_of};
use super::write::refuse_existing;
use crate::drive::{
    AccountEffect, Attempt, Conversation, ErrorKind, Result, UploadRequest, decode, listed,
    patience,
};
use crate::fingerprint::{Kind, Origin, proof_range};
use crate::net::{Secret, retry};

pub async fn attempt(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<Attempt> {
    let sha1 = conversation.digest(Kind::Sha1).await?;
    retry(patience(), || async {
        let token = api.token().await?;
        match ask(api, &token, request, conversation, &sha1).await {
            // The proof belongs to the token: a new token wants a new proof.
            Err(error) if error.account == AccountEffect::Refresh => {
                let token = api.renew(&token).await?;
                ask(api, &token, request, conversation, &sha1).await
            }
            other => other,
        }
    })
    .await
}

async fn ask(
    api: &Api,
    token: &Secret,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
    sha1: &str,
) -> Result<Attempt> {
    let proof = conversation
        .read(proof_range(token.expose(), request.size))
        .await?;
    let mut body = create_body(api, request).await?;
    body["content_hash_name"] = json!("sha1");
    body["content_hash"] = json!(sha1.to_ascii_uppercase());
    body["proof_version"] = json!("v1");
    body["proof_code"] = json!(base64::engine::general_purpose::STANDARD.encode(&proof));
    let path = "/adrive/v1.0/openFile/create";
    let answer = match api
        .call_with(token, "create", path, "other", Repeat::Unsafe, &body)
        .await
    {
        Ok(answer) => answer,
        // The hash belongs to other bytes than ours: no fast upload, nothing was created.
        Err(error)
            if error.kind == ErrorKind::Invalid
                && error.code.as_deref() == Some("InvalidRapidProof") =>
        {
            return Ok(Attempt::Miss(None));
        }
        Err(error) => return Err(error),
    };
    refuse_existing(&answer, &request.name)?;
    if !decode::flag(&answer["rapid_upload"]) {
        return Ok(Attempt::Miss(Some(session_of(api, request, &answer)?)));
    }
    let mut node = list::node(&answer, Some(&request.parent))?;
    let now = api.client.clock().now_ms();
    // The answer leaves out size and hash; the server has just compared both, so they are what
    // every later listing says, and the version is the one that it will give.
    node.size = request.size;
    listed(
        &mut node.fingerprints,
        Kind::Sha1,
        sha1,
        Origin::Provider,
        super::INFO.key,
    );
    node.version = sha1.to_ascii_lowercase();
    (node.modified, node.created) = (request.modified.unwrap_or(now), now);
    Ok(Attempt::Hit {
        node,
        decided_by: vec![Kind::Sha1],
    })
}
