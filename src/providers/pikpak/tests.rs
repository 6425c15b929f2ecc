//! The driver against scripted answers on loopback: what it sends, and what it makes of it.

mod callback;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::*;
use crate::drive::{Content, Cost, DriveError, ErrorKind, OnConflict, ReadBudget};
use crate::fingerprint::{Fingerprints, Known};
use crate::net::{
    BreakerRecord, BreakerStore, Budget, CredentialStore, Credentials, Secret, StoreError,
    SystemClock,
};

const GCID: &str = "3FC0617C331816DA4EE9C19C6F532F2D6D4FD6CC";
const CID: &str = "ECDDF55803ED503C4DF219A5C9C847860A438CB8";

type Script = dyn Fn(&str, &Value, &HeaderMap) -> (u16, Value) + Send + Sync;

/// A server that answers by script and notes what it was asked: `METHOD /path`.
struct Stand {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stand {
    async fn start(
        script: impl Fn(&str, &Value, &HeaderMap) -> (u16, Value) + Send + Sync + 'static,
    ) -> Stand {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let log = asked.clone();
        let app = axum::Router::new().fallback(
            move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
                let call = format!("{method} {}", uri.path());
                log.lock().unwrap().push(call.clone());
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (status, answer) = script(&call, &body, &headers);
                // A text is a document of the object store.
                let text = match answer {
                    Value::String(text) => text,
                    answer => answer.to_string(),
                };
                async move {
                    (
                        StatusCode::from_u16(status).unwrap(),
                        [("etag", "\"E\"")],
                        text,
                    )
                }
            },
        );
        let app = app.layer(axum::extract::DefaultBodyLimit::disable());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Stand { base, asked }
    }

    fn drive(&self, fields: &[(&str, &str)], secrets: &[(&str, &str)]) -> Arc<dyn Drive> {
        let secrets = secrets.iter().copied();
        let secrets = secrets.map(|(k, v)| (k.to_owned(), Secret::new(v)));
        self.drive_over(fields, Arc::new(Store(Mutex::new(secrets.collect()))))
    }

    fn drive_over(&self, fields: &[(&str, &str)], store: Arc<Store>) -> Arc<dyn Drive> {
        let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs.iter().copied();
            pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        let base = self.base.as_str();
        open(DriveContext {
            profile: "p".to_owned(),
            auth_mode: "manual_token".to_owned(),
            fields: own(fields),
            endpoints: own(&[("api", base), ("user", base), ("oss", base)]),
            overridden: ["api", "user", "oss"].map(str::to_owned).to_vec(),
            root: None,
            credentials: store,
            clock: Arc::new(SystemClock),
            budget: Budget::new(&[]),
            breakers: Arc::new(NoBreakers),
            account: "a".to_owned(),
            state_dir: std::env::temp_dir(),
            instance: "i".to_owned(),
        })
        .unwrap()
    }

    fn signed_in(&self) -> Arc<dyn Drive> {
        self.drive(&[], &[("access_token", "at")])
    }

    fn count(&self, call: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| *asked == call).count()
    }
}

struct Store(Mutex<Credentials>);

#[async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> Result<Credentials, StoreError> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn save(&self, changed: Credentials) -> Result<(), StoreError> {
        let mut all = self.0.lock().unwrap();
        all.extend(changed);
        all.retain(|_, secret| !secret.is_empty());
        Ok(())
    }

    async fn lock(&self) -> Result<Box<dyn Send + Sync>, StoreError> {
        Ok(Box::new(()))
    }
}

struct NoBreakers;

impl BreakerStore for NoBreakers {
    fn load(&self, _account: &str) -> Option<BreakerRecord> {
        None
    }

    fn save(&self, _account: &str, _record: Option<&BreakerRecord>) {}
}

/// 600,000 bytes of which the CID is a matter of small ranges and the gcid is known or not.
struct Source(Option<Origin>);

#[async_trait]
impl Content for Source {
    fn size(&self) -> u64 {
        600_000
    }

    fn known(&self) -> Fingerprints {
        let known = self.0.map(|origin| Known {
            value: GCID.into(),
            origin,
            provider: "".into(),
            at: 0,
        });
        known.map(|known| (Kind::Gcid, known)).into_iter().collect()
    }

    async fn stream(&self, _range: Range<u64>) -> Result<ByteStream> {
        Err(DriveError::unsupported("reading"))
    }

    fn cost(&self, kind: Kind) -> Cost {
        match kind {
            Kind::Cid => Cost::SmallRanges(61_440),
            _ => Cost::FullRead(600_000),
        }
    }

    async fn learn(&self, kind: Kind) -> Result<Option<String>> {
        Ok((kind == Kind::Cid).then(|| CID.to_owned()))
    }
}

fn request() -> UploadRequest {
    UploadRequest {
        parent: NodeId::new("root"),
        name: "a.bin".to_owned(),
        size: 600_000,
        modified: None,
        on_conflict: OnConflict::Refuse,
    }
}

fn file(name: &str, phase: &str) -> Value {
    json!({"kind":"drive#file","id":"VOnew","parent_id":"","name":name,"size":"600000",
        "hash":GCID,"phase":phase})
}

fn hit(name: &str) -> Value {
    json!({"upload_type":"UPLOAD_TYPE_UNKNOWN","file":file(name, list::COMPLETE),"task":null})
}

fn miss() -> Value {
    json!({"resumable":{"params":{"access_key_id":"AK","access_key_secret":"SK",
            "security_token":"T","bucket":"b","endpoint":"mypikpak.com","key":"upload_tmp/X",
            "expiration":"2099-01-01T00:00:00.000+08:00"}},
        "file":file("a.bin", "PHASE_TYPE_PENDING"),"task":{"id":"VOtask"}})
}

fn refusal(code: i64, name: &str) -> (u16, Value) {
    (
        400,
        json!({"error":name,"error_code":code,"error_description":name}),
    )
}

#[tokio::test]
async fn a_captcha_is_solved_once_and_kept() {
    let stand = Stand::start(|call, body, headers| match call {
        "POST /v1/shield/captcha/init" => {
            assert_eq!(body["action"], "GET:/drive/v1/about");
            assert_eq!(body["device_id"], headers["x-device-id"].to_str().unwrap());
            let sign = body["meta"]["captcha_sign"].as_str().unwrap();
            assert!(sign.starts_with("1.") && sign.len() == 34);
            (200, json!({"captcha_token":"ck","expires_in":300}))
        }
        "GET /v1/user/me" => (200, json!({"sub":"YS1"})),
        _ if headers.get("x-captcha-token").is_none() => refusal(9, "captcha_invalid"),
        _ => (200, json!({"quota":{"limit":"10","usage":"4"}})),
    })
    .await;
    let drive = stand.signed_in();
    for _ in 0..2 {
        let quota = drive.quota().await.unwrap();
        assert_eq!((quota.total, quota.used), (10, 4));
    }
    assert_eq!(stand.count("POST /v1/shield/captcha/init"), 1);
    assert_eq!(stand.count("GET /drive/v1/about"), 3);
    assert_eq!(drive.account_id().as_deref(), Some("YS1"));
}

#[tokio::test]
async fn a_captcha_wall_ends_in_risk_after_one_renewal() {
    let stand = Stand::start(|call, _, _| match call {
        "POST /v1/shield/captcha/init" => (200, json!({"captcha_token":"ck","expires_in":300})),
        _ => refusal(9, "captcha_invalid"),
    })
    .await;
    let drive = stand.signed_in();
    assert_eq!(drive.quota().await.unwrap_err().kind, ErrorKind::Risk);
    assert_eq!(stand.count("GET /drive/v1/about"), 2);
    // The account rests now.
    assert_eq!(drive.quota().await.unwrap_err().kind, ErrorKind::Risk);
    assert_eq!(stand.count("GET /drive/v1/about"), 2);
}

#[tokio::test]
async fn a_human_verification_is_shown() {
    let stand = Stand::start(|call, _, _| match call {
        "POST /v1/shield/captcha/init" => (200, json!({"captcha_token":"","url":"https://c/x"})),
        _ => refusal(9, "captcha_required"),
    })
    .await;
    let error = stand.signed_in().quota().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Risk);
    assert!(error.message.contains("https://c/x"));
}

#[tokio::test]
async fn a_spent_refresh_token_gives_way_to_the_password() {
    let stand = Stand::start(|call, body, headers| match call {
        "POST /v1/auth/token" => refusal(4126, "invalid_grant"),
        "POST /v1/shield/captcha/init" => {
            assert_eq!(body["meta"], json!({"email":"user@example.com"}));
            assert_eq!(body["device_id"], "1207a03ba62f1d35eaed67784528c533");
            (200, json!({"captcha_token":"login","expires_in":300}))
        }
        "POST /v1/auth/signin" => {
            assert_eq!(body["captcha_token"], "login");
            let answer =
                json!({"access_token":"new","refresh_token":"r2","expires_in":7200,"sub":"YS2"});
            (200, answer)
        }
        _ if headers["authorization"] == "Bearer new" => (200, json!({"quota":{}})),
        _ => (401, json!({"error":"unauthenticated","error_code":16})),
    })
    .await;
    let secrets = [("refresh_token", "dead"), ("password", "hunter2")];
    let drive = stand.drive(&[("username", "user@example.com")], &secrets);
    drive.quota().await.unwrap();
    drive.quota().await.unwrap();
    assert_eq!(stand.count("POST /v1/auth/token"), 1);
    assert_eq!(stand.count("POST /v1/auth/signin"), 1);
    assert_eq!(drive.account_id().as_deref(), Some("YS2"));
}

#[tokio::test]
async fn a_wrong_password_is_sent_once() {
    let stand = Stand::start(|call, _, _| match call {
        "POST /v1/shield/captcha/init" => (200, json!({"captcha_token":"c","expires_in":300})),
        _ => refusal(0, "invalid_account_or_password"),
    })
    .await;
    let drive = stand.drive(&[("username", "u")], &[("password", "x")]);
    for _ in 0..2 {
        assert_eq!(drive.quota().await.unwrap_err().kind, ErrorKind::Auth);
    }
    assert_eq!(stand.count("POST /v1/auth/signin"), 1);
}

#[tokio::test]
async fn the_index_turns_a_cid_into_a_hit() {
    let stand = Stand::start(|call, body, _| match call {
        "GET /drive/v1/resource/cid" => (200, json!({"gcid":GCID.to_lowercase()})),
        _ => {
            assert_eq!(body["hash"], GCID);
            (200, hit("a.bin"))
        }
    })
    .await;
    let drive = stand.signed_in();
    let source = Source(None);
    let closed = Conversation::new(&source, ReadBudget::None);
    let error = drive.fast_upload(&request(), &closed).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::OverBudget(_)));
    assert!(stand.asked.lock().unwrap().is_empty());
    let small = Conversation::new(&source, ReadBudget::SMALL);
    match drive.fast_upload(&request(), &small).await.unwrap() {
        Attempt::Hit { node, decided_by } => {
            assert_eq!((node.name.as_str(), node.size), ("a.bin", 600_000));
            assert_eq!(decided_by, [Kind::Cid]);
        }
        Attempt::Miss(_) => panic!("a miss"),
    }
}

#[tokio::test]
async fn a_gcid_that_is_not_ours_never_gets_bytes() {
    for origin in [None, Some(Origin::UploaderClaim)] {
        let stand = Stand::start(|call, body, _| match call {
            "GET /drive/v1/resource/cid" => (200, json!({"gcid":GCID})),
            "POST /drive/v1/files" => (200, miss()),
            "POST /drive/v1/files:batchDelete" => {
                assert_eq!(body["ids"], json!(["VOnew"]));
                (200, json!({"task_id":""}))
            }
            _ => (200, json!({})),
        })
        .await;
        let drive = stand.signed_in();
        let source = Source(origin);
        let conversation = Conversation::new(&source, ReadBudget::SMALL);
        let attempt = drive.fast_upload(&request(), &conversation).await.unwrap();
        assert!(matches!(attempt, Attempt::Miss(None)));
        assert_eq!(stand.count("POST /drive/v1/files:batchDelete"), 1);
        assert_eq!(stand.count("DELETE /drive/v1/tasks"), 1);
        let refused = drive.open_upload(&request(), &conversation).await;
        assert!(matches!(
            refused.unwrap_err().kind,
            ErrorKind::OverBudget(_)
        ));
        assert_eq!(stand.count("POST /drive/v1/files"), 1);
    }
}

#[tokio::test]
async fn a_numbered_name_is_taken_back() {
    let stand = Stand::start(|call, _, _| match call {
        "POST /drive/v1/files" => (200, hit("a(1).bin")),
        _ => (200, json!({})),
    })
    .await;
    let source = Source(Some(Origin::Computed));
    let conversation = Conversation::new(&source, ReadBudget::None);
    let attempt = stand
        .signed_in()
        .fast_upload(&request(), &conversation)
        .await;
    assert_eq!(attempt.unwrap_err().kind, ErrorKind::Exists);
    assert_eq!(stand.count("POST /drive/v1/files:batchDelete"), 1);
}

#[tokio::test]
async fn a_miss_is_streamed_and_waited_for() {
    let polls = AtomicUsize::new(0);
    let stand = Stand::start(move |call, _, headers| match call {
        "POST /drive/v1/files" => (200, miss()),
        "PUT /b/upload_tmp/X" => {
            assert!(
                headers["authorization"]
                    .to_str()
                    .unwrap()
                    .starts_with("OSS AK:")
            );
            assert_eq!(headers["x-oss-security-token"], "T");
            assert!(headers.get("x-device-id").is_none());
            (200, json!({"callback":"done"}))
        }
        "GET /drive/v1/files/VOnew" => {
            let pending = polls.fetch_add(1, Ordering::SeqCst) == 0;
            let phase = if pending {
                "PHASE_TYPE_PENDING"
            } else {
                list::COMPLETE
            };
            (200, file("a.bin", phase))
        }
        _ => (404, json!({"error":"unexpected"})),
    })
    .await;
    let drive = stand.signed_in();
    let source = Source(Some(Origin::Computed));
    let conversation = Conversation::new(&source, ReadBudget::None);
    let attempt = drive.fast_upload(&request(), &conversation).await.unwrap();
    let Attempt::Miss(Some(mut session)) = attempt else {
        panic!("no session");
    };
    assert!(!session.state.to_string().contains("SK"));
    assert_eq!(session.part_count(600_000), 1);
    let bytes = Bytes::from(vec![7; 600_000]);
    session.accepted = vec![drive.put_part(&session, 1, bytes).await.unwrap()];
    let node = drive
        .commit_upload(&request(), &session, &conversation)
        .await
        .unwrap();
    assert_eq!((node.id.as_str(), node.size), ("VOnew", 600_000));
    assert_eq!(stand.count("GET /drive/v1/files/VOnew"), 2);
}

#[tokio::test]
async fn a_move_that_got_a_number_is_undone() {
    let moves = AtomicUsize::new(0);
    let stand = Stand::start(move |call, body, _| match call {
        "POST /drive/v1/files:batchMove" => {
            let target = ["VOdir", ""][moves.fetch_add(1, Ordering::SeqCst)];
            assert_eq!(body["to"]["parent_id"], target);
            (200, json!({"task_id":"VOt"}))
        }
        "GET /drive/v1/tasks/VOt" => (200, json!({"phase":"PHASE_TYPE_COMPLETE"})),
        "PATCH /drive/v1/files/VOnew" => {
            assert_eq!(body["name"], "a.bin");
            (200, file("a.bin", list::COMPLETE))
        }
        _ => {
            let mut moved = file("a(1).bin", list::COMPLETE);
            moved["parent_id"] = json!("VOdir");
            (200, moved)
        }
    })
    .await;
    let node = list::node(&file("a.bin", list::COMPLETE), None).unwrap();
    let moved = stand
        .signed_in()
        .move_to(&node, &NodeId::new("VOdir"))
        .await;
    assert_eq!(moved.unwrap_err().kind, ErrorKind::Exists);
    assert_eq!(stand.count("POST /drive/v1/files:batchMove"), 2);
    assert_eq!(stand.count("PATCH /drive/v1/files/VOnew"), 1);
}

#[tokio::test]
async fn trash_of_something_gone_is_a_success() {
    let stand = Stand::start(|_, _, _| refusal(9, "file_in_recycle_bin")).await;
    let node = list::node(&file("a.bin", list::COMPLETE), None).unwrap();
    stand.signed_in().trash(&node).await.unwrap();
}

#[tokio::test]
async fn an_upload_in_parts_goes_on_after_a_restart() {
    let done = AtomicUsize::new(0);
    let stand = Stand::start(move |call, _, _| match call {
        "POST /drive/v1/files" => (200, miss()),
        // Initiate first, complete later: they differ in the query only.
        "POST /b/upload_tmp/X" if done.fetch_add(1, Ordering::SeqCst) == 0 => {
            let text = "<InitiateMultipartUploadResult><UploadId>U</UploadId></InitiateMultipartUploadResult>";
            (200, json!(text))
        }
        "POST /b/upload_tmp/X" => (404, json!("<Error><Code>NoSuchUpload</Code></Error>")),
        "PUT /b/upload_tmp/X" => (200, json!("")),
        "GET /b/upload_tmp/X" => {
            let text = "<ListPartsResult><IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber>\
                <ETag>\"E\"</ETag><Size>8388608</Size></Part><Part><PartNumber>2</PartNumber>\
                <ETag>\"F\"</ETag><Size>5</Size></Part></ListPartsResult>";
            (200, json!(text))
        }
        "GET /drive/v1/files/VOnew" => {
            // Whole as soon as complete was asked for, though its answer said "gone".
            let phase = if done.load(Ordering::SeqCst) < 2 { "PHASE_TYPE_PENDING" } else { list::COMPLETE };
            (200, file("a.bin", phase))
        }
        _ => (404, json!({"error":"unexpected"})),
    })
    .await;
    let secrets = [("access_token".to_owned(), Secret::new("at"))];
    let store = Arc::new(Store(Mutex::new(secrets.into_iter().collect())));
    let request = UploadRequest {
        size: 20 << 20,
        ..request()
    };
    let source = Source(Some(Origin::Computed));
    let conversation = Conversation::new(&source, ReadBudget::None);
    let drive = stand.drive_over(&[], store.clone());
    let session = drive.open_upload(&request, &conversation).await.unwrap();
    assert_eq!((session.part_size, session.parallel), (8 << 20, 4));
    drop(drive);

    let drive = stand.drive_over(&[], store.clone());
    let session = drive.resume_upload(&request, session).await.unwrap();
    let mut session = session.unwrap();
    // The second part is shorter than it should be: it is sent again.
    let numbers: Vec<u32> = session.accepted.iter().map(|part| part.number).collect();
    assert_eq!(numbers, [1]);
    for number in 2..=3 {
        let range = session.part_range(request.size, number);
        let bytes = Bytes::from(vec![1; (range.end - range.start) as usize]);
        let part = drive.put_part(&session, number, bytes).await.unwrap();
        session.accepted.push(part);
    }
    let node = drive
        .commit_upload(&request, &session, &conversation)
        .await
        .unwrap();
    assert_eq!(node.id.as_str(), "VOnew");
    let left = store.0.lock().unwrap();
    assert!(left.keys().all(|key| !key.starts_with("upload_key")));
}

#[tokio::test]
async fn a_session_without_its_key_is_removed() {
    let stand = Stand::start(|call, _, _| match call {
        "GET /drive/v1/files/VOnew" => (200, file("a.bin", "PHASE_TYPE_PENDING")),
        _ => (200, json!({})),
    })
    .await;
    let session = UploadSession {
        state: json!({"file_id":"VOnew","task_id":"VOtask","upload_id":"U"}),
        part_size: 8 << 20,
        parallel: 4,
        accepted: Vec::new(),
        node: None,
    };
    let resumed = stand.signed_in().resume_upload(&request(), session).await;
    assert_eq!(resumed.unwrap(), None);
    assert_eq!(stand.count("POST /drive/v1/files:batchDelete"), 1);
    assert_eq!(stand.count("DELETE /drive/v1/tasks"), 1);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_recognised() {
    let stand = Stand::start(|call, _, _| match call {
        "POST /drive/v1/files" => (502, json!("<html>gateway</html>")),
        _ => {
            let mut made = file("a.bin", list::COMPLETE);
            made["created_time"] = json!("2099-01-01T00:00:00.000+08:00");
            (200, json!({"files":[made],"next_page_token":""}))
        }
    })
    .await;
    let source = Source(Some(Origin::Computed));
    let conversation = Conversation::new(&source, ReadBudget::None);
    let attempt = stand
        .signed_in()
        .fast_upload(&request(), &conversation)
        .await;
    assert!(matches!(attempt.unwrap(), Attempt::Hit { .. }));
    assert_eq!(stand.count("POST /drive/v1/files"), 1);
}

#[tokio::test]
async fn a_refused_link_is_renewed_once() {
    use futures_util::StreamExt;
    let base = Arc::new(Mutex::new(String::new()));
    let (links, own) = (AtomicUsize::new(0), base.clone());
    let stand = Stand::start(move |call, _, headers| match call {
        "GET /drive/v1/files/VOnew" => {
            let n = links.fetch_add(1, Ordering::SeqCst);
            let url = format!("{}/dl{n}?expire=4102444800", own.lock().unwrap());
            (
                200,
                json!({"id":"VOnew","name":"a.bin","web_content_link":url}),
            )
        }
        "GET /dl1" => {
            assert!(headers.get("authorization").is_none());
            assert!(headers.get("x-device-id").is_none());
            (200, json!("0123456789"))
        }
        _ => (403, json!("")),
    })
    .await;
    base.lock().unwrap().clone_from(&stand.base);
    let node = list::node(&file("a.bin", list::COMPLETE), None).unwrap();
    let drive = stand.signed_in();
    for _ in 0..2 {
        let mut stream = drive.read(&node, 0..4).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(bytes, b"0123");
    }
    assert_eq!(stand.count("GET /drive/v1/files/VOnew"), 2);
}
