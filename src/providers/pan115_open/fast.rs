//! Fast upload (sheet section 6): SHA-1, size, and a proof of ownership over a range that the
//! server names. The same call opens an upload when the content is unknown.

use std::ops::Range;
use std::time::Duration;

use serde_json::Value;
use sha1::{Digest, Sha1};

use super::api::may_have_happened;
use super::door::{Door, Proof, Question};
use super::names::RULES;
use super::nodes::{self, Entry};
use super::upload;
use crate::drive::{
    Attempt, Conversation, DriveError, ErrorKind, Node, NodeKind, OnConflict, Result,
    UploadRequest, decode,
};
use crate::fingerprint::Kind;

/// 115 GiB (section 4.10).
pub const MAX_SIZE: u64 = 123_480_309_760;

/// Larger files need a paid account (section 6).
const FREE_SIZE: u64 = 5 << 30;

/// Challenges are answered this often (section 6.1).
const CHALLENGES: u32 = 3;

/// Ranges of 100 to 200 bytes were seen; a larger one than this is not answered.
const LARGEST_RANGE: u64 = 64 << 10;

/// Most bytes that one attempt reads.
pub const RANGE_BYTES: u64 = 3 * LARGEST_RANGE;

/// The head that `preid` covers.
const HEAD: Kind = Kind::HeadSha1 { len: 128 << 10 };

pub async fn attempt(
    door: &dyn Door,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<Attempt> {
    let sha1 = conversation.digest(Kind::Sha1).await?;
    check(door, request, conversation).await?;
    Ok(match ask(door, request, conversation, &sha1).await? {
        Outcome::Hit(node) => Attempt::Hit {
            node,
            decided_by: vec![Kind::Sha1],
        },
        Outcome::Miss(data) => {
            Attempt::Miss(Some(upload::session_of(door, request, &sha1, &data).await?))
        }
        Outcome::Refused => Attempt::Miss(None),
    })
}

/// How an init ended.
pub enum Outcome {
    /// The file exists now.
    Hit(Node),
    /// Unknown content; the data of the answer opens an upload.
    Miss(Value),
    /// The proof was refused for good; nothing was opened.
    Refused,
}

/// What must hold before anything is asked: the server knows no conflict rule and adds a second
/// entry of the same name (section 7.7). Nothing is listed when the caller knows that the name is
/// free: between this look and the init somebody may take it all the same.
pub async fn check(
    door: &dyn Door,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
) -> Result<()> {
    if request.on_conflict == OnConflict::Replace {
        return Err(DriveError::unsupported("replacing a file in one step"));
    }
    if request.size > MAX_SIZE {
        return Err(DriveError::new(
            ErrorKind::TooLarge,
            "115 takes files up to 115 GiB",
        ));
    }
    RULES.encode(&request.name)?;
    if conversation.name_is_free() {
        return Ok(());
    }
    nodes::refuse_taken(door, &request.parent, &request.name, None).await
}

/// Asks with SHA-1 and size and answers challenges.
pub async fn ask(
    door: &dyn Door,
    request: &UploadRequest,
    conversation: &Conversation<'_>,
    sha1: &str,
) -> Result<Outcome> {
    let name = RULES.encode(&request.name)?;
    let size = request.size.to_string();
    let target = target_of(request);
    let fileid = sha1.to_ascii_uppercase();
    // Optional and said to be unchecked: never read for, but sent when it is known anyway.
    let preid = match conversation.known().usable(HEAD) {
        Some(head) => head.value.to_ascii_uppercase(),
        None if request.size <= 128 << 10 => fileid.clone(),
        None => String::new(),
    };
    let mut proof: Option<Proof> = None;
    let (mut challenges, mut restarts, mut lost) = (0, 0, 0);
    loop {
        let question = Question {
            name: &name,
            size: &size,
            target: &target,
            sha1: &fileid,
            preid: &preid,
            proof: proof.as_ref(),
        };
        let answer = door.init(&question).await;
        let answer = match answer {
            Ok(answer) => answer,
            // The file may exist already. Asking again is harmless: the same content under the
            // same name gives the same entry back (section 6.1).
            Err(error) if may_have_happened(&error) => {
                if let Some(node) = find_uploaded(door, request, sha1).await? {
                    return Ok(Outcome::Hit(node));
                }
                lost += 1;
                if lost >= 3 {
                    return Err(error);
                }
                continue;
            }
            Err(error) if error.kind == ErrorKind::Provider && request.size > FREE_SIZE => {
                return Err(DriveError {
                    kind: ErrorKind::TooLarge,
                    message: format!("{}; files over 5 GiB need a VIP account", error.message),
                    ..error
                });
            }
            Err(error) => return Err(error),
        };
        match Step::of(object(&answer))? {
            Step::Challenge {
                key,
                range,
                pick_code,
            } => {
                if challenges == CHALLENGES || range.end - range.start > LARGEST_RANGE {
                    return Ok(Outcome::Refused);
                }
                challenges += 1;
                let bytes = conversation.read(range).await?;
                proof = Some(Proof {
                    key,
                    value: hex_upper(&Sha1::digest(&bytes)),
                    pick_code,
                });
            }
            Step::Hit { file_id, pick_code } if !file_id.is_empty() => {
                let now = door.client().clock().now_ms();
                return Ok(Outcome::Hit(nodes::build(Entry {
                    id: file_id,
                    parent: request.parent.clone(),
                    name: &name,
                    kind: NodeKind::File,
                    size: request.size,
                    modified: now,
                    created: now,
                    sha1,
                    handle: Some(pick_code).filter(|code| !code.is_empty()),
                    raw: None,
                })));
            }
            Step::Hit { pick_code, .. } => {
                if !pick_code.is_empty()
                    && let Some(node) = door.info_by_code(&pick_code).await?
                {
                    return Ok(Outcome::Hit(node));
                }
                return match find_uploaded(door, request, sha1).await? {
                    Some(node) => Ok(Outcome::Hit(node)),
                    None => Err(DriveError::bad_answer(
                        "upload_init",
                        "a hit without file_id",
                    )),
                };
            }
            Step::Miss => return Ok(Outcome::Miss(object(&answer).clone())),
            // Start over once with fresh values (section 6.1).
            Step::Refused if restarts == 0 => {
                restarts += 1;
                proof = None;
            }
            Step::Refused => return Ok(Outcome::Refused),
        }
    }
}

/// What an init answer says.
#[derive(Debug, PartialEq)]
enum Step {
    Challenge {
        key: String,
        range: Range<u64>,
        pick_code: String,
    },
    Hit {
        file_id: String,
        pick_code: String,
    },
    Miss,
    Refused,
}

impl Step {
    /// It is a challenge exactly when `sign_check` is not empty; clients disagree about the
    /// numbers (section 6.1).
    fn of(data: &Value) -> Result<Step> {
        let text = |key: &str| decode::text(&data[key]);
        let check = text("sign_check");
        if !check.is_empty() {
            let range = range_of(&check)
                .ok_or_else(|| DriveError::bad_answer("upload_init", "a broken sign_check"))?;
            return Ok(Step::Challenge {
                key: text("sign_key"),
                range,
                pick_code: text("pick_code"),
            });
        }
        match decode::integer(&data["status"]) {
            Some(2) => Ok(Step::Hit {
                file_id: Some(text("file_id"))
                    .filter(|id| id != "0")
                    .unwrap_or_default(),
                pick_code: text("pick_code"),
            }),
            Some(1) => Ok(Step::Miss),
            Some(6..=8) => Ok(Step::Refused),
            _ => Err(DriveError::bad_answer(
                "upload_init",
                format!("unknown status {:?}", text("status")),
            )
            .code(text("status"))),
        }
    }
}

/// `"start-end"`, inclusive, as a half-open range.
fn range_of(check: &str) -> Option<Range<u64>> {
    let (start, end) = check.trim().split_once('-')?;
    let (start, end): (u64, u64) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    (start <= end).then_some(start..end.checked_add(1)?)
}

/// The file an earlier call with a lost answer made, by listing and hash. Listings may lag a
/// second or two, so it is looked for three times.
pub async fn find_uploaded(
    door: &dyn Door,
    request: &UploadRequest,
    sha1: &str,
) -> Result<Option<Node>> {
    for round in 0..3 {
        if round > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let mut found = nodes::select(door, &request.parent, |node| {
            node.name == request.name
                && node.size == request.size
                && node
                    .fingerprints
                    .get(Kind::Sha1)
                    .is_some_and(|listed| listed.value.eq_ignore_ascii_case(sha1))
        })
        .await?;
        if let Some(node) = found.pop() {
            return Ok(Some(node));
        }
    }
    Ok(None)
}

/// The target of an upload: area 1, then the directory.
pub fn target_of(request: &UploadRequest) -> String {
    format!("U_1_{}", request.parent)
}

/// An object, also when it comes as a list of one.
pub fn object(value: &Value) -> &Value {
    match value {
        Value::Array(list) => list.first().unwrap_or(&Value::Null),
        value => value,
    }
}

fn hex_upper(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_answers_of_the_sheet() {
        let challenge = json!({"pick_code":"e2r3","status":7,"code":701,
            "sign_key":"A1B2","sign_check":"524288-524415","file_id":"","callback":[]});
        assert_eq!(
            Step::of(&challenge).unwrap(),
            Step::Challenge {
                key: "A1B2".into(),
                range: 524_288..524_416,
                pick_code: "e2r3".into()
            }
        );
        let hit = json!({"pick_code":"e2r3","status":"2","file_id":2999000111222333444_u64,
            "sign_check":""});
        assert_eq!(
            Step::of(&hit).unwrap(),
            Step::Hit {
                file_id: "2999000111222333444".into(),
                pick_code: "e2r3".into()
            }
        );
        assert_eq!(Step::of(&json!({"status":1})).unwrap(), Step::Miss);
        assert_eq!(
            Step::of(&json!({"status":6,"code":700})).unwrap(),
            Step::Refused
        );
        // A refused answer with a new challenge is a challenge.
        assert!(matches!(
            Step::of(&json!({"status":8,"sign_check":"0-0","sign_key":"K"})).unwrap(),
            Step::Challenge { .. }
        ));
        assert!(Step::of(&json!([])).is_err());
    }

    #[test]
    fn broken_ranges_are_refused() {
        assert_eq!(range_of("0-0"), Some(0..1));
        for broken in ["", "5", "9-3", "a-b", "-1-2", "0-18446744073709551615"] {
            assert_eq!(range_of(broken), None, "{broken}");
        }
    }

    #[test]
    fn proofs_of_the_sheet() {
        let vectors: Value = serde_json::from_str(include_str!(
            "../../../tests/fixtures/115_open.vectors.json"
        ))
        .unwrap();
        // `gen` of the sheet: byte i = 31 i + 7 floor(i / 256) + 11.
        let byte = |i: u64| ((31 * i + 7 * (i / 256) + 11) % 256) as u8;
        let mut proofs = 0;
        for case in vectors["hashes_and_sign_val"].as_array().unwrap() {
            let Some(check) = case["sign_check"].as_str() else {
                continue;
            };
            let bytes: Vec<u8> = range_of(check).unwrap().map(byte).collect();
            assert_eq!(
                hex_upper(&Sha1::digest(&bytes)),
                case["sign_val"].as_str().unwrap()
            );
            proofs += 1;
        }
        assert!(proofs >= 2);
    }
}
