//! Fast upload (sheet section 6). The older call needs the MD5 alone and so costs no reading; the
//! slice flow needs the MD5 over the slices, too, finds more, and a miss of it is the session that the
//! bytes go into.

use super::api::{Api, Call};
use super::commit::{Expected, KEEP_BOTH, commit, commit_old};
use super::upload::{Hashes, check, empty_hashes, init};
use crate::drive::{Attempt, Conversation, DriveError, Result, UploadRequest, decode};
use crate::fingerprint::{Kind, tianyi_slice_size};

pub async fn attempt(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<Attempt> {
    let slice_kind = Kind::SliceMd5 {
        slice: tianyi_slice_size(request.size),
    };
    let md5 = match request.size {
        0 => empty_hashes().md5,
        _ => conversation.digest(Kind::Md5).await?.to_ascii_lowercase(),
    };
    let name = check(api, request, conversation).await?;
    if let Some(slice_md5) = conversation.known_digest(slice_kind) {
        let hashes = Hashes { md5, slice_md5 };
        return by_slices(
            api,
            request,
            &name,
            hashes,
            conversation,
            &[Kind::Md5, slice_kind],
        )
        .await;
    }
    if let Some(node) = by_md5(api, request, &name, &md5).await? {
        return Ok(Attempt::Hit {
            node,
            decided_by: vec![Kind::Md5],
        });
    }
    // The older call knows less than the slice flow does (section 6.4): its miss is not the last
    // word. Up to one slice the MD5 is all that flow wants; beyond, the planner may have to read.
    if request.size > tianyi_slice_size(request.size) && slice_kind != super::SLICES {
        // Nobody computes the slices of so large a file beforehand.
        return Ok(Attempt::Miss(None));
    }
    let (slice_md5, decided_by) = if request.size <= tianyi_slice_size(request.size) {
        (md5.clone(), vec![Kind::Md5])
    } else {
        let slice_md5 = conversation.digest(slice_kind).await?;
        (slice_md5, vec![Kind::Md5, slice_kind])
    };
    let hashes = Hashes { md5, slice_md5 };
    by_slices(api, request, &name, hashes, conversation, &decided_by).await
}

/// Section 6.2: the session of a miss takes the bytes.
async fn by_slices(
    api: &Api,
    request: &UploadRequest,
    name: &str,
    hashes: Hashes,
    conversation: &Conversation<'_>,
    decided_by: &[Kind],
) -> Result<Attempt> {
    let opened = init(api, request, name, Some(&hashes)).await?;
    if !opened.exists {
        return Ok(Attempt::Miss(Some(opened.session)));
    }
    Ok(Attempt::Hit {
        node: commit(api, request, &opened.session, conversation).await?,
        decided_by: decided_by.to_vec(),
    })
}

/// Section 6.4. A miss leaves a record that nobody sees and that expires; it is not used.
async fn by_md5(
    api: &Api,
    request: &UploadRequest,
    name: &str,
    md5: &str,
) -> Result<Option<crate::drive::Node>> {
    let since = api.now();
    let call = Call::post("create", "/createUploadFile.action")
        .field("parentFolderId", request.parent.as_str())
        .field("fileName", name)
        .field("size", request.size.to_string())
        .field("md5", md5.to_ascii_uppercase())
        .field("opertype", KEEP_BOTH)
        .field("flag", "1")
        .field("resumePolicy", "1")
        .field("isLog", "0")
        .class("control");
    let answer = api.call(call).await?;
    if !decode::flag(&answer["fileDataExists"]) {
        return Ok(None);
    }
    let missing = |what| DriveError::bad_answer("create", what);
    let id = decode::nonempty(&answer["uploadFileId"]).ok_or_else(|| missing("no uploadFileId"))?;
    let address = decode::nonempty(&answer["fileCommitUrl"])
        .ok_or_else(|| missing("no fileCommitUrl"))?
        .replace("&amp;", "&");
    let expected = Expected {
        name: name.to_owned(),
        md5: md5.to_owned(),
        slice_md5: None,
        since,
    };
    commit_old(api, request, &expected, &id, address)
        .await
        .map(Some)
}
