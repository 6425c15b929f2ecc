//! Fast and streamed uploads against a scripted server.

use bytes::Bytes;
use serde_json::json;

use super::bed::*;
use crate::drive::{Attempt, Conversation, ErrorKind, ReadBudget, UploadSession};
use crate::fingerprint::Kind;

const OLD: &str = "/createUploadFile.action";
const OLD_COMMIT: &str = "/commitUploadFile.action";
const INIT: &str = "/person/initMultiUpload";
const URLS: &str = "/person/getMultiUploadUrls";
const PARTS: &str = "/person/getUploadedPartsInfo";
const COMMIT: &str = "/person/commitMultiUploadFile";
const SLICES: Kind = Kind::SliceMd5 { slice: 10 << 20 };

fn opened(exists: u8) -> Say {
    say(
        json!({"code":"SUCCESS","data":{"uploadType":1,"uploadFileId":"11-6a7b","fileDataExists":exists}}),
    )
}

fn committed(name: &str, bytes: &[u8]) -> Say {
    say(
        json!({"code":"SUCCESS","file":{"userFileId":"7214","fileName":name,"fileSize":bytes.len(),
        "fileMd5":md5_of(bytes).to_uppercase(),"createDate":"Mar 14, 2026 4:05:09\u{202f}PM","rev":"1"}}),
    )
}

fn refused(code: &str) -> Say {
    status(400, json!({"code":code,"msg":"x"}))
}

/// Addresses for parts 1 and 2.
fn urls(bed: &Bed) -> Say {
    let part = |number: u32| {
        json!({"requestURL": format!("{}/store/part{number}", bed.base),
            "requestHeader": "Authorization=AWS AK:s=&Content-Type=application/octet-stream&x-amz-date=Sat, 14 Mar 2026 08:05:09 GMT"})
    };
    say(json!({"code":"SUCCESS","uploadUrls":{"partNumber_1":part(1),"partNumber_2":part(2)}}))
}

async fn bed() -> Bed {
    let bed = Bed::account().await;
    bed.on(LIST, listing(&[], &[]))
        .on(URLS, urls(&bed))
        .on("/store/part1", say(""))
        .on("/store/part2", say(""));
    bed
}

async fn send(bed: &Bed, session: &mut UploadSession, content: &Bytes) {
    let size = content.len() as u64;
    for number in 1..=session.part_count(size) {
        let range = session.part_range(size, number);
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        let part = bed
            .drive
            .put_part(session, number, content.slice(range))
            .await
            .unwrap();
        session.accepted.push(part);
    }
}

#[tokio::test]
async fn the_md5_alone_is_asked_by_the_old_door() {
    let bed = bed().await;
    let content = Sample::new(&b"hello"[..], &[Kind::Md5]);
    let commit_at = format!("{}{OLD_COMMIT}", bed.base);
    bed.on(OLD, say(json!({"uploadFileId":29_909_576,"fileCommitUrl":commit_at,"fileDataExists":1})))
        .on(OLD_COMMIT, say("<file><id>721451444444444444</id><name>a.mkv</name><size>5</size>\
            <md5>5D41402ABC4B2A76B9719D911017C592</md5><createDate>2026-03-14 16:05:09</createDate></file>"));
    let conversation = Conversation::new(&content, ReadBudget::None);
    let attempt = bed
        .drive
        .fast_upload(&request("a.mkv", 5), &conversation)
        .await
        .unwrap();
    let Attempt::Hit { node, decided_by } = attempt else {
        panic!("{attempt:?}");
    };
    assert_eq!(decided_by, [Kind::Md5]);
    assert_eq!(
        (node.id.as_str(), node.name.as_str(), node.size),
        ("721451444444444444", "a.mkv", 5)
    );
    assert_eq!(node.version, "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(bed.paths(), [LIST, OLD, OLD_COMMIT]);
    let asked = bed.last(OLD);
    assert_eq!(
        asked.value("md5").as_deref(),
        Some("5D41402ABC4B2A76B9719D911017C592")
    );
    assert!(asked.is_signed() && bed.last(OLD_COMMIT).is_signed());
    assert_eq!(
        bed.last(OLD_COMMIT).value("uploadFileId").as_deref(),
        Some("29909576")
    );
    // Whoever knows that the name is free spares the listing.
    bed.forget();
    let knowing = Conversation::new(&content, ReadBudget::None).knowing_the_name_is_free(true);
    let again = request("a.mkv", 5);
    let attempt = bed.drive.fast_upload(&again, &knowing).await.unwrap();
    assert!(matches!(attempt, Attempt::Hit { .. }));
    bed.on(INIT, opened(0));
    bed.drive.open_upload(&again, &knowing).await.unwrap();
    assert_eq!(bed.paths(), [OLD, OLD_COMMIT, INIT]);
}

#[tokio::test]
async fn a_miss_of_the_old_door_is_asked_by_slices_and_its_session_takes_the_bytes() {
    let bed = bed().await;
    let content = Sample::new(&b"hello"[..], &[Kind::Md5]);
    bed.on(OLD, say(json!({"uploadFileId":1,"fileDataExists":0})))
        .on(INIT, opened(0))
        .on(COMMIT, committed("a.mkv", b"hello"));
    let conversation = Conversation::new(&content, ReadBudget::None);
    let attempt = bed
        .drive
        .fast_upload(&request("a.mkv", 5), &conversation)
        .await
        .unwrap();
    let Attempt::Miss(Some(mut session)) = attempt else {
        panic!("{attempt:?}");
    };
    let params = bed.last(INIT).params();
    let md5 = "5D41402ABC4B2A76B9719D911017C592";
    for wanted in [
        format!("fileMd5={md5}"),
        format!("sliceMd5={md5}"),
        "sliceSize=10485760".to_owned(),
    ] {
        assert!(params.contains(&wanted), "{params}");
    }
    assert!(bed.last(INIT).is_signed());
    send(&bed, &mut session, &content.bytes).await;
    assert_eq!(
        bed.last(URLS).params(),
        "partInfo=1-XUFAKrxLKna5cZ2REBfFkg==&uploadFileId=11-6a7b"
    );
    let put = bed.last("/store/part1");
    assert_eq!(
        (&put.body[..], put.header("authorization")),
        (&b"hello"[..], "AWS AK:s=")
    );
    assert_eq!(put.header("x-amz-date"), "Sat, 14 Mar 2026 08:05:09 GMT");
    assert_eq!(
        (put.header("sessionkey"), put.header("content-length")),
        ("", "5")
    );
    let node = bed
        .drive
        .commit_upload(&request("a.mkv", 5), &session, &conversation)
        .await
        .unwrap();
    assert_eq!((node.id.as_str(), node.size), ("7214", 5));
    assert_eq!(
        &*node.fingerprints.get(SLICES).unwrap().value,
        "5d41402abc4b2a76b9719d911017c592"
    );
    // An eager session brings no hashes again.
    assert_eq!(
        bed.last(COMMIT).params(),
        "uploadFileId=11-6a7b&isLog=0&opertype=1"
    );
}

#[tokio::test]
async fn beyond_one_slice_the_old_doors_miss_asks_for_reading() {
    let bed = bed().await;
    let content = Sample::new(vec![7; (10 << 20) + 1], &[Kind::Md5]);
    let request = request("big", content.bytes.len() as u64);
    bed.on(OLD, say(json!({"uploadFileId":1,"fileDataExists":"0"})))
        .on(INIT, opened(1))
        .on(COMMIT, committed("big", &content.bytes));
    let conversation = Conversation::new(&content, ReadBudget::SMALL);
    let error = bed
        .drive
        .fast_upload(&request, &conversation)
        .await
        .unwrap_err();
    assert!(matches!(error.kind, ErrorKind::OverBudget(_)), "{error}");
    assert_eq!(bed.paths(), [LIST, OLD]);
    // Read once, both are known: the slices decide, the old door is not asked.
    bed.forget();
    let content = Sample::new(content.bytes, &[Kind::Md5, SLICES]);
    let conversation = Conversation::new(&content, ReadBudget::All);
    let attempt = bed
        .drive
        .fast_upload(&request, &conversation)
        .await
        .unwrap();
    assert!(
        matches!(attempt, Attempt::Hit { decided_by, .. } if decided_by == [Kind::Md5, SLICES])
    );
    assert_eq!(bed.paths(), [LIST, INIT, COMMIT]);
    // Nothing known: nothing is left behind.
    bed.forget();
    let nothing = Sample::new(&b"x"[..], &[]);
    let conversation = Conversation::new(&nothing, ReadBudget::None);
    let error = bed
        .drive
        .fast_upload(&request, &conversation)
        .await
        .unwrap_err();
    assert!(matches!(error.kind, ErrorKind::OverBudget(_)));
    assert!(bed.paths().is_empty());
}

#[tokio::test]
async fn a_stream_brings_its_hashes_at_the_end_also_after_a_restart() {
    let bed = bed().await;
    let bytes: Vec<u8> = (0..(10 << 20) + 1)
        .map(|i| u8::try_from(i % 251).unwrap())
        .collect();
    let content = Sample::new(bytes, &[Kind::Md5]);
    let request = request("p 1+.bin", content.bytes.len() as u64);
    bed.on(INIT, opened(0))
        .on(COMMIT, committed("p 1+.bin", &content.bytes));
    let ignorant = Sample::new(content.bytes.clone(), &[]);
    let frugal = Conversation::new(&ignorant, ReadBudget::None);
    let session = bed.drive.open_upload(&request, &frugal).await.unwrap();
    let params = bed.last(INIT).params();
    assert!(
        params.contains("lazyCheck=1") && !params.contains("Md5"),
        "{params}"
    );
    assert!(params.contains("fileName=p%201%2B.bin"), "{params}");
    let first = bed
        .drive
        .put_part(&session, 1, content.bytes.slice(..10 << 20))
        .await
        .unwrap();
    let mut kept: UploadSession =
        serde_json::from_value(serde_json::to_value(&session).unwrap()).unwrap();
    kept.accepted.push(first);
    // The service has both parts, the journal knows of one: the other is sent again.
    bed.on(
        PARTS,
        say(json!({"code":"SUCCESS","data":{"uploadedPartList":"1,2"}})),
    );
    let mut session = bed
        .drive
        .resume_upload(&request, kept)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.accepted.len(), 1);
    let part = bed
        .drive
        .put_part(&session, 2, content.bytes.slice(10 << 20..))
        .await
        .unwrap();
    session.accepted.push(part);
    let conversation = Conversation::new(&content, ReadBudget::None);
    bed.drive
        .commit_upload(&request, &session, &conversation)
        .await
        .unwrap();
    // The values of the published vector.
    assert_eq!(
        bed.last(COMMIT).params(),
        "uploadFileId=11-6a7b&fileMd5=1E0FB16DF5F29260C9C9A7A8D5FFCD08&\
         sliceMd5=867F71D1670E9AF3360E54EDAFC64FEE&lazyCheck=1&isLog=0&opertype=1"
    );
    bed.on(PARTS, refused("UploadFileNotFound"));
    bed.drive
        .resume_upload(&request, session.clone())
        .await
        .unwrap();
    assert_eq!(
        bed.drive.resume_upload(&request, session).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn an_expired_address_is_asked_anew_and_a_damaged_part_may_be_sent_again() {
    let bed = bed().await;
    bed.on(INIT, opened(0));
    let content = Sample::new(&b"hello"[..], &[]);
    let conversation = Conversation::new(&content, ReadBudget::None);
    let session = bed
        .drive
        .open_upload(&request("a", 5), &conversation)
        .await
        .unwrap();
    bed.on(
        "/store/part2",
        status(403, "<Error><Code>AccessDenied</Code></Error>"),
    )
    .on("/store/part2", say(""));
    bed.drive
        .put_part(&session, 2, content.bytes.clone())
        .await
        .unwrap();
    bed.forget();
    bed.drive
        .put_part(&session, 2, content.bytes.clone())
        .await
        .unwrap();
    assert_eq!(bed.paths(), [URLS, "/store/part2", URLS, "/store/part2"]);
    bed.on(
        "/store/part1",
        status(400, "<Error><Code>BadDigest</Code></Error>"),
    );
    bed.drive
        .put_part(&session, 1, content.bytes.clone())
        .await
        .unwrap();
    let error = bed
        .drive
        .put_part(&session, 1, content.bytes.clone())
        .await
        .unwrap_err();
    assert_eq!(error.retry, crate::net::Retry::Backoff);
}

async fn lazy_session(bed: &Bed, name: &str) -> (UploadSession, Sample) {
    bed.on(INIT, opened(0));
    let content = Sample::new(&b"hello"[..], &[Kind::Md5]);
    let conversation = Conversation::new(&content, ReadBudget::None);
    let mut session = bed
        .drive
        .open_upload(&request(name, 5), &conversation)
        .await
        .unwrap();
    send(bed, &mut session, &content.bytes).await;
    (session, content)
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_recognised() {
    let bed = bed().await;
    let (session, content) = lazy_session(&bed, "a").await;
    bed.on(COMMIT, status(502, ""))
        .on(COMMIT, refused("UploadFileCompeletedError"));
    // The first listing was before the upload; this is the file of the lost answer.
    bed.on(
        LIST,
        listing(&[], &[file(4, "a", b"other"), file(7214, "a", b"hello")]),
    );
    bed.drive
        .list(&crate::drive::NodeId::new("5"), None)
        .await
        .unwrap();
    let conversation = Conversation::new(&content, ReadBudget::None);
    let node = bed
        .drive
        .commit_upload(&request("a", 5), &session, &conversation)
        .await
        .unwrap();
    assert_eq!(node.id.as_str(), "7214");
    // Wrong bytes are an error, and nothing is taken for ours.
    let bed = self::bed().await;
    let (session, content) = lazy_session(&bed, "a").await;
    bed.on(COMMIT, refused("FileMD5VerifyFailed"));
    let conversation = Conversation::new(&content, ReadBudget::None);
    let error = bed
        .drive
        .commit_upload(&request("a", 5), &session, &conversation)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Verification);
    bed.drive.abandon_upload(&session).await.unwrap();
    bed.drive.abandon_upload(&session).await.unwrap();
}

#[tokio::test]
async fn a_numbered_file_is_taken_back() {
    let bed = bed().await;
    let (session, content) = lazy_session(&bed, "a.txt").await;
    bed.on(COMMIT, committed("a(1).txt", b"hello"))
        .on(TASK, say(json!({"res_code":0,"taskId":"1"})))
        .on(CHECK, say(json!({"taskStatus":4})));
    let conversation = Conversation::new(&content, ReadBudget::None);
    let error = bed
        .drive
        .commit_upload(&request("a.txt", 5), &session, &conversation)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    let tasks: Vec<String> = bed
        .seen()
        .iter()
        .filter(|seen| seen.path == TASK)
        .map(|seen| seen.value("type").unwrap())
        .collect();
    assert_eq!(tasks, ["DELETE", "CLEAR_RECYCLE"]);
    assert!(bed.last(TASK).value("taskInfos").unwrap().contains("7214"));
}

#[tokio::test]
async fn emoji_are_given_by_a_rename() {
    let bed = bed().await;
    let name = "\u{1f600}.jpg";
    let (session, content) = lazy_session(&bed, name).await;
    let plain = session.state["name"].as_str().unwrap().to_owned();
    assert!(plain.is_ascii() && bed.last(INIT).params().contains(&plain));
    bed.on(COMMIT, committed(&plain, b"hello"))
        .on("/renameFile.action", say(file(7214, name, b"hello")));
    let conversation = Conversation::new(&content, ReadBudget::None);
    let node = bed
        .drive
        .commit_upload(&request(name, 5), &session, &conversation)
        .await
        .unwrap();
    assert_eq!((node.id.as_str(), node.name.as_str()), ("7214", name));
    assert_eq!(
        bed.last("/renameFile.action")
            .value("destFileName")
            .as_deref(),
        Some(name)
    );
}

#[tokio::test]
async fn an_empty_file_is_opened_with_its_hashes() {
    let bed = bed().await;
    let empty = Sample::new(&b""[..], &[Kind::Md5]);
    bed.on(INIT, opened(1)).on(COMMIT, committed("e", b""));
    let conversation = Conversation::new(&empty, ReadBudget::None);
    let mut session = bed
        .drive
        .open_upload(&request("e", 0), &conversation)
        .await
        .unwrap();
    assert!(
        bed.last(INIT)
            .params()
            .contains("fileMd5=D41D8CD98F00B204E9800998ECF8427E")
    );
    send(&bed, &mut session, &empty.bytes).await;
    bed.drive
        .commit_upload(&request("e", 0), &session, &conversation)
        .await
        .unwrap();
    assert_eq!(bed.paths(), [LIST, INIT, COMMIT]);
}

#[tokio::test]
async fn used_up_and_banned_are_told_apart() {
    let bed = bed().await;
    bed.on(INIT, refused("InfoSecurityErrorCode"))
        .on(INIT, refused("UserDayFlowOverLimited"));
    let content = Sample::new(&b"hello"[..], &[Kind::Md5, SLICES]);
    let conversation = Conversation::new(&content, ReadBudget::None);
    let request = request("a", 5);
    let kind = |error: crate::drive::DriveError| error.kind;
    assert_eq!(
        bed.drive
            .fast_upload(&request, &conversation)
            .await
            .map(|_| ())
            .map_err(kind),
        Err(ErrorKind::Invalid)
    );
    assert_eq!(
        bed.drive
            .fast_upload(&request, &conversation)
            .await
            .map(|_| ())
            .map_err(kind),
        Err(ErrorKind::DailyLimit)
    );
    // Until the next day nothing is asked.
    bed.forget();
    let error = bed
        .drive
        .open_upload(&request, &conversation)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::DailyLimit);
    assert!(bed.paths().is_empty());
    assert!(bed.drive.list(&request.parent, None).await.is_ok());
}

#[tokio::test]
async fn a_taken_name_is_refused_before_anything_is_opened() {
    let bed = Bed::account().await;
    bed.on(LIST, listing(&[], &[file(4, "a", b"theirs")]));
    let content = Sample::new(&b"hello"[..], &[Kind::Md5, SLICES]);
    let conversation = Conversation::new(&content, ReadBudget::None);
    let error = bed
        .drive
        .fast_upload(&request("a", 5), &conversation)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    let error = bed
        .drive
        .open_upload(&request("a", 5), &conversation)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert!(bed.paths().iter().all(|path| path == LIST));
    let long = bed
        .drive
        .open_upload(&request(&"x".repeat(256), 5), &conversation)
        .await
        .unwrap_err();
    assert_eq!(long.kind, ErrorKind::NameTooLong);
}
