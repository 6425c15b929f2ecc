//! Fast uploads, and streamed ones through the object store.

use super::super::sigv4::{Signing, sha256_hex};
use super::*;
use crate::providers::oss::OssCredentials;

fn hit(name: &str) -> (u16, Value) {
    let answer =
        json!({"upload_type":"UPLOAD_TYPE_UNKNOWN","file":file(name, list::COMPLETE),"task":null});
    (200, answer)
}

/// The miss of section 6: its file tells no hash.
fn miss() -> (u16, Value) {
    let mut pending = file("a.bin", "PHASE_TYPE_PENDING");
    pending.as_object_mut().unwrap().remove("hash");
    let params = json!({"access_key_id":"AK","access_key_secret":"SK","security_token":"T",
        "bucket":"b","endpoint":"b.pan-upload.example","key":"upload_tmp/X",
        "expiration":"2099-01-01T00:00:00.000+08:00"});
    let answer = json!({"upload_type":"UPLOAD_TYPE_RESUMABLE","resumable":{"kind":"drive#resumable",
            "provider":"PROVIDER_ALIYUN","params":params},
        "file":pending,"task":{"id":"VNtask","phase":"PHASE_TYPE_RUNNING"}});
    (200, answer)
}

/// As strict as the store about a signature: it is computed anew from what arrived.
fn assert_signed(asked: &Asked) {
    let (method, path) = asked.call.split_once(' ').unwrap();
    let credentials = OssCredentials {
        access_key_id: Secret::new("AK"),
        access_key_secret: Secret::new("SK"),
        token: Secret::new("T"),
    };
    assert_eq!(asked.header("x-amz-security-token"), "T");
    let payload = sha256_hex(asked.bytes);
    assert_eq!(asked.header("x-amz-content-sha256"), payload);
    let signing = Signing {
        method,
        host: asked.header("host"),
        path,
        query: asked.query,
        payload: &payload,
        date: asked.header("x-amz-date"),
        credentials: &credentials,
    };
    assert_eq!(asked.header("authorization"), signing.authorization());
    for name in ["x-device-id", "x-client-id", "x-captcha-token"] {
        assert!(asked.header(name).is_empty(), "{name}");
    }
}

async fn ask(stand: &Stand, origin: Option<Origin>) -> Result<Attempt> {
    let source = Source(origin);
    let conversation = Conversation::new(&source, ReadBudget::SMALL);
    let drive = stand.signed_in();
    drive.fast_upload(&request(), &conversation).await
}

#[tokio::test]
async fn a_gcid_is_a_hit() {
    for origin in [Origin::Computed, Origin::UploaderClaim] {
        let stand = Stand::start(|asked| {
            assert_eq!(asked.call, CREATE);
            let body = json!({"kind":"drive#file","parent_id":"","name":"a.bin","size":600_000,
                "hash":GCID,"upload_type":"UPLOAD_TYPE_RESUMABLE","space":""});
            assert_eq!(*asked.body, body);
            hit("a.bin")
        })
        .await;
        match ask(&stand, Some(origin)).await.unwrap() {
            Attempt::Hit { node, decided_by } => {
                assert_eq!((node.name.as_str(), node.size), ("a.bin", 600_000));
                // The transfer room compares samples where the gcid was a claim.
                assert_eq!(decided_by, [Kind::Gcid]);
                let told = node.fingerprints.get(Kind::Gcid).unwrap();
                assert!(!told.origin.is_trusted());
            }
            Attempt::Miss(_) => panic!("a miss"),
        }
    }
}

#[tokio::test]
async fn a_gcid_that_is_not_known_or_only_a_users_word_is_not_sent() {
    let stand = Stand::start(|_| (500, json!({}))).await;
    for origin in [None, Some(Origin::UserClaim)] {
        let error = ask(&stand, origin).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::OverBudget(_)), "{error}");
    }
    assert!(stand.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_gcid_that_is_only_claimed_never_gets_bytes() {
    let stand = Stand::start(|asked| match asked.call {
        CREATE => miss(),
        DELETE => {
            assert_eq!(*asked.body, json!({"ids":["VNnew"],"space":""}));
            (200, json!({"task_id":""}))
        }
        "DELETE /drive/v1/tasks" => {
            assert!(asked.query.contains("task_ids=VNtask&delete_files=true"));
            (200, json!({}))
        }
        _ => (404, json!({"error":"unexpected"})),
    })
    .await;
    let attempt = ask(&stand, Some(Origin::UploaderClaim)).await.unwrap();
    assert!(matches!(attempt, Attempt::Miss(None)));
    assert_eq!(stand.count(DELETE), 1);
    assert_eq!(stand.count("DELETE /drive/v1/tasks"), 1);
    let source = Source(Some(Origin::UploaderClaim));
    let conversation = Conversation::new(&source, ReadBudget::SMALL);
    let drive = stand.signed_in();
    let refused = drive.open_upload(&request(), &conversation).await;
    assert!(matches!(
        refused.unwrap_err().kind,
        ErrorKind::OverBudget(_)
    ));
    assert_eq!(stand.count(CREATE), 1);
}

#[tokio::test]
async fn somebody_elses_file_is_taken_back() {
    for (key, value) in [("hash", "0".repeat(40)), ("size", "600001".to_owned())] {
        let stand = Stand::start(move |asked| match asked.call {
            CREATE => {
                let mut answer = hit("a.bin").1;
                answer["file"][key] = json!(value);
                (200, answer)
            }
            _ => (200, json!({})),
        })
        .await;
        let error = ask(&stand, Some(Origin::Computed)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Verification);
        assert_eq!(stand.count(DELETE), 1, "{key}");
    }
}

#[tokio::test]
async fn a_numbered_name_is_taken_back() {
    let stand = Stand::start(|asked| match asked.call {
        CREATE => hit("a(1).bin"),
        _ => (200, json!({})),
    })
    .await;
    let error = ask(&stand, Some(Origin::Computed)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(stand.count(DELETE), 1);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_recognised() {
    let stand = Stand::start(|asked| match asked.call {
        CREATE => (502, json!("<html>gateway</html>")),
        _ => {
            let mut made = file("a.bin", list::COMPLETE);
            made["created_time"] = json!("2099-01-01T00:00:00.000+08:00");
            (200, json!({"files":[made],"next_page_token":""}))
        }
    })
    .await;
    let attempt = ask(&stand, Some(Origin::Computed)).await.unwrap();
    assert!(matches!(attempt, Attempt::Hit { .. }));
    assert_eq!(stand.count(CREATE), 1);
}

#[tokio::test]
async fn a_miss_is_streamed_signed_and_waited_for() {
    let polls = AtomicUsize::new(0);
    let stand = Stand::start(move |asked| match asked.call {
        CREATE => miss(),
        "PUT /b/upload_tmp/X" => {
            assert_signed(asked);
            assert_eq!(asked.bytes.len(), 600_000);
            (200, json!({"callback":"done"}))
        }
        STAT => {
            let phase = match polls.fetch_add(1, Ordering::SeqCst) {
                0 => "PHASE_TYPE_PENDING",
                _ => list::COMPLETE,
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
    let kept = session.state.to_string();
    assert!(!kept.contains("SK") && !kept.contains("\"T\""), "{kept}");
    assert_eq!(session.part_count(600_000), 1);
    let bytes = Bytes::from(vec![7; 600_000]);
    session.accepted = vec![drive.put_part(&session, 1, bytes).await.unwrap()];
    let node = drive
        .commit_upload(&request(), &session, &conversation)
        .await
        .unwrap();
    assert_eq!((node.id.as_str(), node.size), ("VNnew", 600_000));
    assert_eq!(stand.count(STAT), 2);
}

#[tokio::test]
async fn an_upload_in_parts_goes_on_after_a_restart() {
    let done = AtomicUsize::new(0);
    let object = |method: &str| format!("{method} {OBJECT}");
    let [post, put, get] = ["POST", "PUT", "GET"].map(object);
    let stand = Stand::start(move |asked| {
        if asked.call.ends_with(OBJECT) {
            assert_signed(asked);
        }
        match asked.call {
            CREATE => miss(),
            call if call == post && asked.query == "uploads=" => {
                let text = "<InitiateMultipartUploadResult><UploadId>U</UploadId></InitiateMultipartUploadResult>";
                (200, json!(text))
            }
            call if call == post => {
                // Joined, and the answer says "gone" as that of a second try does.
                let body = String::from_utf8(asked.bytes.to_vec()).unwrap();
                let numbers = body.matches("<PartNumber>").count();
                assert_eq!((asked.query, numbers), ("uploadId=U", 3));
                done.store(1, Ordering::SeqCst);
                (404, json!("<Error><Code>NoSuchUpload</Code></Error>"))
            }
            call if call == put => (200, json!("")),
            call if call == get => {
                let text = "<ListPartsResult><IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber>\
                    <ETag>\"E\"</ETag><Size>8388608</Size></Part><Part><PartNumber>2</PartNumber>\
                    <ETag>\"F\"</ETag><Size>5</Size></Part></ListPartsResult>";
                (200, json!(text))
            }
            STAT => {
                let whole = done.load(Ordering::SeqCst) == 1;
                let phase = if whole { list::COMPLETE } else { "PHASE_TYPE_PENDING" };
                (200, file("a.bin", phase))
            }
            _ => (404, json!({"error":"unexpected"})),
        }
    })
    .await;
    let store = signed_in();
    let request = UploadRequest {
        size: 20 << 20,
        ..request()
    };
    let source = Source(Some(Origin::Computed));
    let conversation = Conversation::new(&source, ReadBudget::None);
    let drive = stand.drive(&[], &store);
    let session = drive.open_upload(&request, &conversation).await.unwrap();
    assert_eq!((session.part_size, session.parallel), (8 << 20, 4));
    drop(drive);

    let drive = stand.drive(&[], &store);
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
    assert_eq!(node.id.as_str(), "VNnew");
    assert_eq!(store.starting("upload_key_"), 0);
}

#[tokio::test]
async fn a_session_without_its_key_is_removed() {
    let stand = Stand::start(|asked| match asked.call {
        STAT => (200, file("a.bin", "PHASE_TYPE_PENDING")),
        _ => (200, json!({})),
    })
    .await;
    let session = UploadSession {
        state: json!({"file_id":"VNnew","task_id":"VNtask","upload_id":"U"}),
        part_size: 8 << 20,
        parallel: 4,
        accepted: Vec::new(),
        node: None,
    };
    let resumed = stand.signed_in().resume_upload(&request(), session).await;
    assert_eq!(resumed.unwrap(), None);
    assert_eq!(stand.count(DELETE), 1);
    assert_eq!(stand.count("DELETE /drive/v1/tasks"), 1);
}

#[tokio::test]
async fn an_upload_that_the_service_does_not_take_leaves_nothing() {
    let gone = AtomicUsize::new(0);
    let stand = Stand::start(move |asked| match asked.call {
        CREATE => miss(),
        "PUT /b/upload_tmp/X" => (203, json!("<Error><Code>CallbackFailed</Code></Error>")),
        DELETE => {
            gone.store(1, Ordering::SeqCst);
            (200, json!({}))
        }
        STAT if gone.load(Ordering::SeqCst) == 1 => refusal(5, "file_not_found"),
        STAT => (200, file("a.bin", "PHASE_TYPE_PENDING")),
        _ => (200, json!({})),
    })
    .await;
    let drive = stand.signed_in();
    let source = Source(Some(Origin::Computed));
    let conversation = Conversation::new(&source, ReadBudget::None);
    let session = drive.open_upload(&request(), &conversation).await.unwrap();
    let bytes = Bytes::from(vec![7; 600_000]);
    let error = drive.put_part(&session, 1, bytes).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Provider);
    assert!(error.message.contains("starts anew"), "{error}");
    assert_eq!(
        stand.count("PUT /b/upload_tmp/X"),
        2,
        "one more try and no third"
    );
    assert_eq!(stand.count(DELETE), 1);
    // The next attempt does not wait for it any more.
    let resumed = drive.resume_upload(&request(), session).await;
    assert_eq!(resumed.unwrap(), None);
}
