//! Streamed uploads: the session, its parts, and taking it up again (sheet quark, 4.13 and 7).
//! The hashes are due at the end; see `commit`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::{Api, Call};
use super::chain::{etag_of, tag};
use super::list;
use super::names::RULES;
use super::ordered::compact;
use super::store;
use super::write;
use crate::drive::{
    DriveError, ErrorKind, NodeId, PartReceipt, Result, UploadRequest, UploadSession, decode,
};

const MIB: u64 = 1 << 20;

/// The object store's limit.
const MOST_PARTS: u64 = 10_000;

/// A larger part is nothing a client is known to send (sheet uc, 7).
const LARGEST_PART: u64 = 256 * MIB;

/// SHA-1 works in blocks of 64 bytes: the state before a part has no place for a rest.
const BLOCK: u64 = 64;

/// What `upload/pre` handed out: everything an upload needs until its end. The right to sign is
/// worth nothing without the account's cookie.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ticket {
    pub task_id: String,
    pub upload_id: String,
    pub key: String,
    pub endpoint: String,
    pub bucket: String,
    /// The callback as the service spelled it, without blanks.
    pub callback: String,
    pub auth_info: String,
    /// Milliseconds since the epoch, 0 when unknown.
    pub auth_ends: i64,
    pub fid: Option<String>,
    /// Parts carry the SHA-1 state before them.
    pub chained: bool,
    /// MD5 and SHA-1 that the service was told and did not know.
    pub asked: Option<(String, String)>,
    /// Nothing is left to send: the service had the content.
    pub whole: bool,
}

impl Ticket {
    pub fn read(session: &UploadSession) -> Result<Ticket> {
        serde_json::from_value(session.state.clone()).map_err(|_| {
            DriveError::new(
                ErrorKind::Invalid,
                "the session was not opened by this drive",
            )
        })
    }

    pub fn node_id(&self) -> Option<NodeId> {
        self.fid.as_deref().map(NodeId::new)
    }

    /// Whether bytes can be sent. A hit leaves these fields out for some accounts (section 6).
    fn is_open(&self) -> bool {
        [
            &self.upload_id,
            &self.key,
            &self.endpoint,
            &self.bucket,
            &self.auth_info,
        ]
        .into_iter()
        .all(|field| !field.is_empty())
    }
}

/// An upload that was begun.
pub struct Begun {
    pub ticket: Ticket,
    part_size: u64,
    threads: usize,
}

/// Begins an upload. Nothing of it is visible, and the service drops it by itself.
pub async fn begin(api: &Api, request: &UploadRequest) -> Result<Begun> {
    let stored = RULES.encode(&request.name)?;
    api.taken
        .refuse(api, &request.parent, &stored, &request.name)
        .await?;
    let time = request.modified.unwrap_or_else(|| api.now());
    let mut body = json!({
        "ccp_hash_update": true,
        "pdir_fid": request.parent.as_str(),
        "dir_name": "",
        "file_name": stored,
        "size": request.size,
        "format_type": store::MIME,
        "l_created_at": time,
        "l_updated_at": time,
    });
    if api.brand.parallel {
        body["parallel_upload"] = json!(true);
    }
    let answer = api
        .answer(Call::post("pre", "/file/upload/pre", body))
        .await?;
    let data = &answer.value["data"];
    let told = &answer.value["metadata"];
    let ticket = Ticket {
        task_id: decode::text(&data["task_id"]),
        upload_id: decode::text(&data["upload_id"]),
        key: decode::text(&data["obj_key"]),
        endpoint: decode::text(&data["upload_url"]),
        bucket: decode::text(&data["bucket"]),
        callback: compact(&answer.bytes, &["data", "callback"]).unwrap_or_default(),
        auth_info: decode::text(&data["auth_info"]),
        // The service spells it so.
        auth_ends: decode::rfc3339_ms(&data["auth_info_expried"]).unwrap_or(0),
        fid: decode::nonempty(&data["fid"]),
        chained: api.brand.parallel,
        asked: None,
        whole: decode::flag(&data["finish"]),
    };
    if ticket.task_id.is_empty() && !(ticket.whole && ticket.fid.is_some()) {
        return Err(DriveError::bad_answer("pre", "no task_id"));
    }
    Ok(Begun {
        part_size: part_size(
            decode::unsigned(&told["part_size"]).unwrap_or(0),
            request.size,
            ticket.chained,
        )?,
        threads: decode::unsigned(&told["part_thread"])
            .and_then(|threads| usize::try_from(threads).ok())
            .unwrap_or(3)
            .clamp(1, 4),
        ticket,
    })
}

/// The part size the service told, made usable.
fn part_size(told: u64, size: u64, chained: bool) -> Result<u64> {
    let told = match told {
        0 => 4 * MIB,
        told if told > LARGEST_PART => {
            return Err(DriveError::bad_answer(
                "pre",
                format!("parts of {told} bytes are too large to send"),
            ));
        }
        told => told,
    };
    let least = size.div_ceil(MOST_PARTS);
    let part = if told >= least {
        told
    } else {
        least.div_ceil(MIB) * MIB
    };
    if chained && part < size {
        return Ok((part / BLOCK * BLOCK).max(BLOCK));
    }
    Ok(part)
}

/// The session of an upload that was begun.
pub fn session_of(request: &UploadRequest, begun: Begun) -> Result<UploadSession> {
    let ticket = begun.ticket;
    if !ticket.whole && !ticket.is_open() {
        return Err(DriveError::bad_answer("pre", "no place for the bytes"));
    }
    let mut session = UploadSession {
        state: Value::Null,
        part_size: begun.part_size,
        parallel: if ticket.chained { begun.threads } else { 1 },
        accepted: Vec::new(),
        node: ticket.node_id(),
    };
    if session.part_count(request.size) == 1 {
        session.parallel = 1;
    }
    finish_state(request, &mut session, &ticket)?;
    Ok(session)
}

fn finish_state(
    request: &UploadRequest,
    session: &mut UploadSession,
    ticket: &Ticket,
) -> Result<()> {
    session.state = serde_json::to_value(ticket)
        .map_err(|error| DriveError::new(ErrorKind::Invalid, format!("session: {error}")))?;
    if ticket.whole {
        session.accepted = (1..=session.part_count(request.size))
            .map(|number| {
                let range = session.part_range(request.size, number);
                PartReceipt {
                    number,
                    size: range.end - range.start,
                    tag: String::new(),
                }
            })
            .collect();
    }
    Ok(())
}

pub async fn open(api: &Api, request: &UploadRequest) -> Result<UploadSession> {
    let begun = begin(api, request).await?;
    session_of(request, begun)
}

/// There is no list of parts: the journal's receipts are what is known. A part whose receipt was
/// lost is sent again, and the store tells that it has it.
pub async fn resume(
    api: &Api,
    request: &UploadRequest,
    mut session: UploadSession,
) -> Result<Option<UploadSession>> {
    let mut ticket = Ticket::read(&session)?;
    if let Some(id) = ticket.node_id() {
        match list::stat(api, &id).await {
            Ok(node) if !node.is_dir() && node.size == request.size => {
                ticket.whole = true;
                finish_state(request, &mut session, &ticket)?;
                return Ok(Some(session));
            }
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let ended = ticket.auth_ends > 0 && ticket.auth_ends <= api.now();
    if ticket.whole || ended || !ticket.is_open() || session.part_size == 0 {
        return Ok(None);
    }
    let mut accepted = std::mem::take(&mut session.accepted);
    accepted.sort_by_key(|part| part.number);
    accepted.dedup_by_key(|part| part.number);
    let count = session.part_count(request.size);
    accepted.retain(|part| {
        let range = session.part_range(request.size, part.number);
        (1..=count).contains(&part.number)
            && part.size == range.end - range.start
            && (!etag_of(&part.tag).is_empty() || request.size == 0)
    });
    if !ticket.chained {
        // In order: nothing counts behind a gap.
        let whole = accepted
            .iter()
            .zip(1_u32..)
            .take_while(|(part, number)| part.number == *number)
            .count();
        accepted.truncate(whole);
    }
    session.accepted = accepted;
    Ok(Some(session))
}

pub async fn put_part(
    api: &Api,
    session: &UploadSession,
    number: u32,
    bytes: Bytes,
) -> Result<PartReceipt> {
    let ticket = Ticket::read(session)?;
    let size = bytes.len() as u64;
    let receipt = |tag| PartReceipt { number, size, tag };
    if ticket.whole || size == 0 {
        // An empty file is known to everybody; if not, its part is sent with the commit.
        return Ok(receipt(String::new()));
    }
    if !ticket.chained {
        let etag = store::put_part(api, &ticket, number, None, bytes).await?;
        return Ok(receipt(tag(&etag, None)));
    }
    let chain = api.chains.of(&ticket.upload_id);
    let before = chain.before(session, number).await?;
    let mut state = before.clone();
    state.update(&bytes);
    let behind = state.header();
    chain.tell(number, state);
    let before = before.header().filter(|_| number > 1);
    let etag = store::put_part(api, &ticket, number, before.as_deref(), bytes).await?;
    Ok(receipt(tag(&etag, behind.as_deref())))
}

/// No call ends an upload, and nobody sees one that is not finished. What an earlier commit made
/// all the same is trashed.
pub async fn abandon(api: &Api, session: &UploadSession) -> Result<()> {
    let ticket = Ticket::read(session)?;
    api.chains.forget(&ticket.upload_id);
    let Some(id) = ticket.node_id() else {
        return Ok(());
    };
    match list::stat(api, &id).await {
        Ok(node) => write::trash(api, &node).await,
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::OnConflict;

    #[test]
    fn parts_are_as_told_and_few_enough() {
        let of = |told, size, chained| part_size(told, size, chained).unwrap();
        assert_eq!(of(0, 10 * MIB, true), 4 * MIB);
        assert_eq!(of(5 * MIB + 7, 20 * MIB, true), 5 * MIB);
        assert_eq!(of(5 * MIB + 7, 20 * MIB, false), 5 * MIB + 7);
        assert_eq!(of(10, 3, true), 10);
        assert_eq!(of(10, 100, true), 64);
        for size in [100 << 30, 1 << 40_u64] {
            let part = of(4 * MIB, size, true);
            assert!(size.div_ceil(part) <= MOST_PARTS && part.is_multiple_of(BLOCK));
        }
        assert!(part_size(LARGEST_PART + 1, 1, false).is_err());
    }

    #[test]
    fn a_session_survives_the_journal() {
        let request = UploadRequest {
            parent: NodeId::new("0"),
            name: "a".to_owned(),
            size: 9 * MIB,
            modified: None,
            on_conflict: OnConflict::Refuse,
        };
        let ticket = Ticket {
            task_id: "t".to_owned(),
            upload_id: "u".to_owned(),
            key: "k".to_owned(),
            endpoint: "http://pds.quark.cn".to_owned(),
            bucket: "b".to_owned(),
            auth_info: "a".to_owned(),
            fid: Some("f".to_owned()),
            chained: true,
            ..Ticket::default()
        };
        let begun = |ticket| Begun {
            ticket,
            part_size: 4 * MIB,
            threads: 3,
        };
        let session = session_of(&request, begun(ticket.clone())).unwrap();
        assert_eq!((session.parallel, session.accepted.len()), (3, 0));
        assert_eq!(Ticket::read(&session).unwrap(), ticket);
        let whole = Ticket {
            whole: true,
            ..ticket.clone()
        };
        let session = session_of(&request, begun(whole)).unwrap();
        let sizes: Vec<u64> = session.accepted.iter().map(|part| part.size).collect();
        assert_eq!(sizes, [4 * MIB, 4 * MIB, MIB]);
        let closed = Ticket {
            auth_info: String::new(),
            ..ticket
        };
        assert!(session_of(&request, begun(closed)).is_err());
    }
}
