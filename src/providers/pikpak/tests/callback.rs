//! The store has the bytes, and its callback to the service fails (HTTP 203).

use super::*;

fn store_answer(all: &[u16], n: usize, whole: &AtomicUsize) -> (u16, Value) {
    match all[n.min(all.len() - 1)] {
        203 => {
            let text = "<Error><Code>CallbackFailed</Code><Message>no answer</Message></Error>";
            (203, json!(text))
        }
        404 => (404, json!("<Error><Code>NoSuchUpload</Code></Error>")),
        status => {
            whole.store(1, Ordering::SeqCst);
            (status, json!({"callback":"done"}))
        }
    }
}

/// A stand whose object store answers `puts` in turn to whole objects (the last one stays) and
/// `joins` to the joining of parts. The file is whole once an answer was 200.
async fn stand(puts: &'static [u16], joins: &'static [u16]) -> Stand {
    let [put, post, gone, whole] = [0; 4].map(AtomicUsize::new);
    Stand::start(move |call, _, _| match call {
        "POST /drive/v1/files" => (200, miss()),
        "PUT /b/upload_tmp/X" if puts.is_empty() => (200, json!("")),
        "PUT /b/upload_tmp/X" => {
            store_answer(puts, put.fetch_add(1, Ordering::SeqCst), &whole)
        }
        "POST /b/upload_tmp/X" => match post.fetch_add(1, Ordering::SeqCst) {
            0 => {
                let text = "<InitiateMultipartUploadResult><UploadId>U</UploadId></InitiateMultipartUploadResult>";
                (200, json!(text))
            }
            n => store_answer(joins, n - 1, &whole),
        },
        "POST /drive/v1/files:batchDelete" => {
            gone.store(1, Ordering::SeqCst);
            (200, json!({}))
        }
        "GET /drive/v1/files/VOnew" if gone.load(Ordering::SeqCst) == 1 => {
            refusal(5, "file_not_found")
        }
        "GET /drive/v1/files/VOnew" => {
            let phase = if whole.load(Ordering::SeqCst) == 1 { list::COMPLETE } else { "PHASE_TYPE_PENDING" };
            (200, file("a.bin", phase))
        }
        "GET /drive/v1/tasks/VOtask" => (200, json!({"phase":"PHASE_TYPE_RUNNING"})),
        _ => (200, json!({})),
    })
    .await
}

/// Sends every part and commits.
async fn upload(drive: &Arc<dyn Drive>, size: u64) -> (UploadRequest, UploadSession, Result<Node>) {
    let request = UploadRequest { size, ..request() };
    let source = Source(Some(Origin::Computed));
    let conversation = Conversation::new(&source, ReadBudget::None);
    let mut session = drive.open_upload(&request, &conversation).await.unwrap();
    for number in 1..=session.part_count(size) {
        let range = session.part_range(size, number);
        let bytes = Bytes::from(vec![1; (range.end - range.start) as usize]);
        match drive.put_part(&session, number, bytes).await {
            Ok(part) => session.accepted.push(part),
            Err(error) => return (request, session, Err(error)),
        }
    }
    let made = drive.commit_upload(&request, &session, &conversation).await;
    (request, session, made)
}

#[tokio::test]
async fn a_callback_that_failed_once_is_tried_once_more() {
    let stand = stand(&[203, 200], &[]).await;
    let (_, _, made) = upload(&stand.signed_in(), 600_000).await;
    assert_eq!(made.unwrap().id.as_str(), "VOnew");
    assert_eq!(stand.count("PUT /b/upload_tmp/X"), 2);
    assert_eq!(stand.count("POST /drive/v1/files:batchDelete"), 0);
}

#[tokio::test]
async fn parts_are_joined_once_more_after_a_failed_callback() {
    let stand = stand(&[], &[203, 200]).await;
    let (_, _, made) = upload(&stand.signed_in(), 20 << 20).await;
    assert_eq!(made.unwrap().id.as_str(), "VOnew");
    assert_eq!(
        stand.count("POST /b/upload_tmp/X"),
        3,
        "opened, joined twice"
    );
}

#[tokio::test]
async fn a_callback_that_keeps_failing_is_told_and_leaves_nothing() {
    for (puts, joins, size) in [
        (&[203][..], &[][..], 600_000),
        (&[], &[203], 20 << 20),
        // The store forgets an upload when it is joined.
        (&[], &[203, 404], 20 << 20),
    ] {
        let stand = stand(puts, joins).await;
        let drive = stand.signed_in();
        let (request, session, made) = upload(&drive, size).await;
        let error = made.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Provider);
        assert_eq!(error.code.as_deref(), Some("CallbackFailed"));
        assert!(error.message.contains("starts anew"), "{error}");
        assert_eq!(stand.count("POST /drive/v1/files:batchDelete"), 1);
        // The next attempt does not wait for it any more.
        let resumed = drive.resume_upload(&request, session).await.unwrap();
        assert_eq!(resumed, None);
        let calls = if joins.is_empty() {
            stand.count("PUT /b/upload_tmp/X")
        } else {
            stand.count("POST /b/upload_tmp/X") - 1
        };
        assert_eq!(calls, 2, "one more try and no third");
    }
}
