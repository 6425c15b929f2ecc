//! Fast uploads: what is asked in which order, and when a yes is one.

use super::*;
use crate::drive::{Attempt, Conversation, ErrorKind, Node, ReadBudget, UploadSession};

const COMPUTED: Origin = Origin::Computed;
const CLAIMED: Origin = Origin::UploaderClaim;

const MD5_KNOWN: &[(Kind, Origin)] = &[(Kind::Md5, COMPUTED)];
const GCID_KNOWN: &[(Kind, Origin)] = &[(Kind::Gcid, COMPUTED)];
const BOTH: &[(Kind, Origin)] = &[(Kind::Md5, COMPUTED), (Kind::Gcid, COMPUTED)];

async fn ask(bed: &Bed, sample: &Sample) -> Result<Attempt> {
    let conversation = Conversation::new(sample, ReadBudget::SMALL);
    bed.drive
        .fast_upload(&request(sample.size()), &conversation)
        .await
}

fn hit(attempt: Result<Attempt>) -> (Node, Vec<Kind>) {
    match attempt.unwrap() {
        Attempt::Hit { node, decided_by } => (node, decided_by),
        Attempt::Miss(session) => panic!("a miss: {session:?}"),
    }
}

fn miss(attempt: Result<Attempt>) -> Option<UploadSession> {
    match attempt.unwrap() {
        Attempt::Miss(session) => session,
        Attempt::Hit { node, .. } => panic!("a hit: {node:?}"),
    }
}

fn instant(task: &str) -> Reply {
    code(156, json!({ "taskId": task }))
}

fn importing() -> Reply {
    code(147, json!(null))
}

fn checked(yes: bool) -> Reply {
    good(json!({"taskId":"up-2","canFlashUpload":yes}))
}

#[tokio::test]
async fn the_md5_comes_first_and_the_file_id_is_the_hit() {
    let bed = Bed::new().await;
    bed.on(TOKEN, [instant("up-1")])
        .on(INFO, [importing(), yields("77", "a.bin", SIZE)]);
    let (node, by) = hit(ask(&bed, &Sample::new(SIZE, BOTH)).await);
    assert_eq!(
        (node.id.as_str(), node.size, by),
        ("77", SIZE, vec![Kind::Md5])
    );
    assert_eq!(node.parent.as_str(), "194000000000000001");
    assert_eq!(bed.calls(), [TOKEN, INFO, INFO]);
    assert_eq!(
        bed.last(TOKEN).json(),
        json!({"capacity":2,"name":"a.bin","parentId":"194000000000000001",
            "res":{"fileSize":SIZE,"md5":MD5}})
    );
    assert_eq!(bed.last(INFO).json(), json!({"taskId":"up-1"}));
}

#[tokio::test]
async fn gcid_and_cid_come_second() {
    let bed = Bed::new().await;
    bed.on(TOKEN, [ticket("up-1", "STS.1")])
        .on(CHECK, [checked(true)])
        .on(INFO, [yields("77", "a.bin", SIZE)])
        .on(DELETE_TASK, [good(json!({}))]);
    let (node, by) = hit(ask(&bed, &Sample::new(SIZE, BOTH)).await);
    assert_eq!((node.id.as_str(), by), ("77", vec![Kind::Gcid]));
    assert_eq!(
        bed.last(CHECK).json(),
        json!({"taskId":"up-1","gcid":GCID,"cid":CID})
    );
    // The answer's task takes the place of the first, which is removed.
    assert_eq!(bed.last(INFO).json()["taskId"], "up-2");
    assert_eq!(bed.last(DELETE_TASK).json(), json!({"taskIds":["up-1"]}));
}

#[tokio::test]
async fn without_an_md5_the_pair_is_told_at_once() {
    let bed = Bed::new().await;
    bed.on(TOKEN, [instant("up-1")])
        .on(INFO, [yields("77", "a.bin", SIZE)]);
    let (_, by) = hit(ask(&bed, &Sample::new(SIZE, GCID_KNOWN)).await);
    assert_eq!(by, [Kind::Gcid]);
    let res = bed.last(TOKEN).json()["res"].clone();
    assert_eq!(res, json!({"fileSize":SIZE,"gcid":GCID,"cid":CID}));
    // And with the check, which is how the service's own clients ask.
    bed.on(TOKEN, [ticket("up-2", "STS.1")])
        .on(CHECK, [checked(true)]);
    let (_, by) = hit(ask(&bed, &Sample::new(SIZE, GCID_KNOWN)).await);
    assert_eq!(by, [Kind::Gcid]);
}

#[tokio::test]
async fn a_miss_hands_its_task_on() {
    let bed = Bed::new().await;
    bed.on(TOKEN, [ticket("up-1", "STS.1")]);
    for no in [checked(false), code(112, json!(null))] {
        bed.on(CHECK, [no]);
        let session = miss(ask(&bed, &Sample::new(SIZE, BOTH)).await).unwrap();
        assert_eq!(session.state["task_id"], "up-1");
        assert!(!session.state.to_string().contains("SECRETKEY"));
        assert_eq!(session.part_count(SIZE), 1);
    }
    assert!(bed.all(DELETE_TASK).is_empty());
    // Of one that is not used nothing stays.
    bed.on(INFO, [importing()])
        .on(DELETE_TASK, [code(145, json!(null))]);
    let session = miss(ask(&bed, &Sample::new(SIZE, MD5_KNOWN)).await).unwrap();
    bed.drive.abandon_upload(&session).await.unwrap();
    assert_eq!(bed.last(DELETE_TASK).json(), json!({"taskIds":["up-1"]}));
}

#[tokio::test]
async fn a_task_that_was_told_a_claim_is_removed() {
    let claims: [&[(Kind, Origin)]; 3] = [
        &[(Kind::Md5, CLAIMED)],
        &[(Kind::Gcid, CLAIMED)],
        &[(Kind::Md5, COMPUTED), (Kind::Gcid, CLAIMED)],
    ];
    for known in claims {
        let bed = Bed::new().await;
        bed.on(TOKEN, [ticket("up-1", "STS.1")])
            .on(CHECK, [checked(false)])
            .on(DELETE_TASK, [good(json!({}))]);
        assert!(miss(ask(&bed, &Sample::new(SIZE, known)).await).is_none());
        assert_eq!(bed.last(DELETE_TASK).json(), json!({"taskIds":["up-1"]}));
    }
}

#[tokio::test]
async fn a_hit_without_a_file_is_a_miss() {
    let unfulfilled: [Vec<Reply>; 4] = [
        vec![code(145, json!(null))],
        vec![code(163, json!(null))],
        vec![good(json!({"fileId":""}))],
        vec![importing(), code(100, json!(null))],
    ];
    for answers in unfulfilled {
        let bed = Bed::new().await;
        bed.on(TOKEN, [instant("up-1")])
            .on(INFO, answers.clone())
            .on(DELETE_TASK, [good(json!({}))]);
        let missed = miss(ask(&bed, &Sample::new(SIZE, MD5_KNOWN)).await);
        assert!(missed.is_none(), "{answers:?}");
        assert!(bed.all(INFO).len() > 2, "one word is not believed");
        assert_eq!(bed.all(DELETE_TASK).len(), 1);
    }
}

#[tokio::test]
async fn a_late_file_id_is_waited_for() {
    // Tasks that one client takes for gone, and done tasks without a file, for a moment.
    let bed = Bed::new().await;
    bed.on(TOKEN, [instant("up-1")]).on(
        INFO,
        [
            code(145, json!(null)),
            good(json!({})),
            broken(),
            importing(),
            yields("77", "a.bin", SIZE),
        ],
    );
    let (node, _) = hit(ask(&bed, &Sample::new(SIZE, MD5_KNOWN)).await);
    assert_eq!(node.id.as_str(), "77");
    assert_eq!(bed.all(INFO).len(), 5);
}

#[tokio::test]
async fn small_files_are_asked_for_by_md5_only() {
    let bed = Bed::new().await;
    let small = Sample::new(600_000, GCID_KNOWN);
    let error = ask(&bed, &small).await.map(drop).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::OverBudget(_)), "{error}");
    assert!(bed.calls().is_empty());
    bed.on(TOKEN, [ticket("up-1", "STS.1")]);
    assert!(miss(ask(&bed, &Sample::new(600_000, BOTH)).await).is_some());
    assert_eq!(bed.calls(), [TOKEN], "no check below a MiB");
}

#[tokio::test]
async fn nothing_is_left_behind_by_a_question_that_needs_more_reading() {
    let bed = Bed::new().await;
    for known in [&[][..], GCID_KNOWN] {
        let sample = Sample::new(SIZE, known);
        let conversation = Conversation::new(&sample, ReadBudget::None);
        let asked = bed.drive.fast_upload(&request(SIZE), &conversation).await;
        let error = asked.map(drop).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::OverBudget(_)), "{error}");
    }
    assert!(bed.calls().is_empty());
    // With an MD5 the question is put all the same; the CID is left out.
    bed.on(TOKEN, [ticket("up-1", "STS.1")]);
    let sample = Sample::new(SIZE, BOTH);
    let conversation = Conversation::new(&sample, ReadBudget::None);
    let asked = bed.drive.fast_upload(&request(SIZE), &conversation).await;
    assert!(miss(asked).is_some());
    assert_eq!(bed.calls(), [TOKEN]);
}

#[tokio::test]
async fn a_taken_name_ends_the_question() {
    let bed = Bed::new().await;
    let sample = Sample::new(SIZE, BOTH);
    for taken in [159, 160] {
        bed.on(TOKEN, [code(taken, json!(null))]);
        let error = ask(&bed, &sample).await.map(drop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Exists);
    }
    // Renamed instead of refused: the file that came out is trashed.
    bed.on(TOKEN, [instant("up-1")])
        .on(INFO, [yields("77", "a(1).bin", SIZE)])
        .on(STAT, [detail(file("77", "a(1).bin", SIZE))])
        .on(TRASH, [good(json!({}))])
        .on(DELETE_TASK, [good(json!({}))]);
    let error = ask(&bed, &sample).await.map(drop).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(bed.all(TRASH)[0].json(), json!({"fileIds":["77"]}));
}

#[tokio::test]
async fn a_service_that_takes_no_hashes_is_a_miss() {
    let bed = Bed::new().await;
    bed.on(TOKEN, [code(112, json!(null))]);
    assert!(miss(ask(&bed, &Sample::new(SIZE, BOTH)).await).is_none());
}

#[tokio::test]
async fn a_lost_answer_may_have_made_the_file() {
    let bed = Bed::new().await;
    let sample = Sample::new(SIZE, BOTH);
    bed.on(TOKEN, [broken()])
        .on(LIST, [listing(json!([file("77", "a.bin", SIZE)]))]);
    let (node, by) = hit(ask(&bed, &sample).await);
    assert_eq!(node.id.as_str(), "77");
    assert!(by.is_empty(), "found by its name: verified as any new file");
    assert_eq!(bed.all(TOKEN).len(), 1);
    // Another file of that name, or an old one, is not ours; then the call is made once more.
    let mut old = file("78", "a.bin", SIZE);
    old["ctime"] = json!(1);
    bed.on(LIST, [listing(json!([old, file("79", "a.bin", 3)]))])
        .on(TOKEN, [broken(), code(160, json!(null))]);
    let error = ask(&bed, &sample).await.map(drop).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
    assert_eq!(bed.all(TOKEN).len(), 3);
}

#[tokio::test]
async fn an_empty_file_has_a_known_md5() {
    let bed = Bed::new().await;
    bed.on(TOKEN, [instant("up-1")])
        .on(INFO, [yields("77", "a.bin", 0)]);
    let (node, by) = hit(ask(&bed, &Sample::new(0, &[])).await);
    assert_eq!((node.size, by), (0, vec![Kind::Md5]));
    let res = bed.last(TOKEN).json()["res"].clone();
    assert_eq!(res["md5"], "d41d8cd98f00b204e9800998ecf8427e");
}

/// The table of the sheet, through the question that is asked.
#[tokio::test]
async fn hashes_are_spelled_as_the_vectors_have_them() {
    let vectors: Value = serde_json::from_str(include_str!(
        "../../../../tests/fixtures/guangya.vectors.json"
    ))
    .unwrap();
    let rows = vectors["gcid_cid"].as_array().unwrap();
    let mut asked = 0;
    for row in rows
        .iter()
        .filter(|row| row["content"] == "byte i = i mod 251")
    {
        let size = row["size"].as_u64().unwrap();
        if size > 4 << 20 {
            continue;
        }
        asked += 1;
        let bed = Bed::new().await;
        bed.on(TOKEN, [ticket("up-1", "STS.1")])
            .on(CHECK, [checked(false)]);
        miss(ask(&bed, &Sample::new(size, BOTH)).await).unwrap();
        assert_eq!(bed.last(TOKEN).json()["res"]["md5"], row["md5"]);
        if size >= SIZE {
            let check = bed.last(CHECK).json();
            assert_eq!((&check["gcid"], &check["cid"]), (&row["gcid"], &row["cid"]));
        }
    }
    assert!(asked >= 5, "{asked} rows");
}
