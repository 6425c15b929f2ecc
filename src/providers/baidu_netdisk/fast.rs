//! Fast upload (sheet section 6): MD5 of everything, of the first 256 KiB and of every slice.
//! With the cookies of a web session 4 KiB of the content prove that somebody has it (6.4).

use super::api::Api;
use super::create::{self, Ask, Opened, PRECREATE, SLICE};
use crate::drive::{Attempt, Conversation, DriveError, ErrorKind, Result, UploadRequest};
use crate::fingerprint::{Kind, baidu_proof_content, baidu_proof_range};

/// Length of the head whose MD5 is asked for.
pub const HEAD: u64 = 256 << 10;

/// Most bytes of the proof of a web session.
pub const PROOF: u64 = 4096;

const HEAD_MD5: Kind = Kind::HeadMd5 { len: HEAD };

/// What is asked with a list of slices.
pub const WITH_BLOCKS: &[Kind] = &[Kind::Md5, HEAD_MD5, Kind::BAIDU_BLOCKS];

/// What is asked for a file of one slice: its MD5 is the list.
pub const ONE_SLICE: &[Kind] = &[Kind::Md5, HEAD_MD5];

/// The call that takes a proof.
const WEB_PRECREATE: &str = "/api/precreate";

pub async fn attempt(
    api: &Api,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<Attempt> {
    let slice = create::plan(api, request).await?;
    let md5 = conversation.digest(Kind::Md5).await?;
    let (blocks, decided_by) = match create::known_blocks(conversation, slice) {
        Some(list) => (list, WITH_BLOCKS),
        None if request.size <= slice => (vec![md5.clone()], ONE_SLICE),
        // Above 4 GiB the lists are of larger blocks, which nobody computes in advance; reading
        // everything for a question that seldom hits is worse than not asking.
        None if slice != SLICE => return Ok(Attempt::Miss(None)),
        None => (create::blocks(conversation, slice).await?, WITH_BLOCKS),
    };
    let head = if request.size <= HEAD {
        md5.clone()
    } else {
        conversation.digest(HEAD_MD5).await?
    };
    let mut question = vec![("content-md5", md5.clone()), ("slice-md5", head)];
    let mut call = PRECREATE;
    if api.access.is_cookie() {
        question.extend(proof(api, &md5, conversation).await?);
        call = WEB_PRECREATE;
    }
    let ask = Ask {
        slice,
        blocks,
        md5: Some(md5),
        question,
        call,
    };
    match create::precreate(api, request, &ask).await {
        Ok(Opened::Made(node)) => Ok(Attempt::Hit {
            node,
            decided_by: decided_by.to_vec(),
        }),
        Ok(Opened::Session(session)) => Ok(Attempt::Miss(Some(session))),
        Err(error) if is_miss(&error) => Ok(Attempt::Miss(None)),
        Err(error) => Err(error),
    }
}

/// The service's ways to say that the question is not answered (sections 6.3, 10).
fn is_miss(error: &DriveError) -> bool {
    matches!(error.code.as_deref(), Some("404" | "31079" | "31500"))
        || (error.kind == ErrorKind::Invalid && error.code.as_deref() == Some("2"))
}

/// The fields of the proof (section 6.4).
async fn proof(
    api: &Api,
    md5: &str,
    conversation: &Conversation<'_>,
) -> Result<Vec<(&'static str, String)>> {
    let uk = api.user().await?.uk;
    let time = u64::try_from(api.now_ms() / 1000).unwrap_or(0);
    let range = baidu_proof_range(uk, md5, time, conversation.size());
    let bytes = conversation.read(range.clone()).await?;
    Ok(vec![
        ("data_time", time.to_string()),
        ("data_offset", range.start.to_string()),
        ("data_length", bytes.len().to_string()),
        ("data_content", baidu_proof_content(&bytes)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_questions_are_misses() {
        let of = |kind, code: &str| DriveError::new(kind, "x").code(code);
        assert!(is_miss(&of(ErrorKind::Unsupported, "31500")));
        assert!(is_miss(&of(ErrorKind::Provider, "31079")));
        assert!(is_miss(&of(ErrorKind::Invalid, "2")));
        assert!(!is_miss(&of(ErrorKind::Exists, "-8")));
        assert!(!is_miss(&DriveError::new(ErrorKind::Provider, "x")));
    }
}
