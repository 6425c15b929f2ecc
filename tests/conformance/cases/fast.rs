//! Fast uploads: every declared question, its misses, and what a refusal leaves behind.

use panfuse::drive::{
    Attempt, Conversation, ErrorKind, Node, OnConflict, Question, ReadBudget, UploadRequest,
};
use panfuse::fingerprint::Kind;

use crate::actions::{commit, find, generous, read_all, request, send_rest};
use crate::sample::Sample;
use crate::stage::Stage;
use crate::{Outcome, skip};

/// Large enough for every kind of proof.
const SIZE: u64 = (1 << 20) + 300_003;

/// What a planner that has only the inputs of `question` knows. A kind that small ranges
/// bring is left to them.
fn inputs(question: &Question) -> Vec<Kind> {
    let small = |kind: &Kind| question.range_bytes >= kind.bytes_needed(SIZE);
    question
        .kinds
        .iter()
        .copied()
        .filter(|kind| !small(kind))
        .collect()
}

fn all_kinds(stage: &Stage) -> Vec<Kind> {
    let questions = stage.caps.questions.iter();
    let mut kinds: Vec<Kind> = questions
        .flat_map(|question| question.kinds)
        .copied()
        .collect();
    kinds.extend(stage.caps.upload.hashes);
    kinds
}

fn hit(attempt: Attempt) -> (Node, Vec<Kind>) {
    match attempt {
        Attempt::Hit { node, decided_by } => (node, decided_by),
        Attempt::Miss(session) => panic!("a miss of known content: {session:?}"),
    }
}

pub async fn every_question_hits(stage: Stage) -> Outcome {
    if stage.caps.questions.is_empty() {
        return skip("no question is declared");
    }
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    for (seed, question) in (20..).zip(stage.caps.questions) {
        let theirs = Sample::new(seed, SIZE).knowing(&all_kinds(&stage));
        stage.known_to_others(&theirs).await;
        let mine = Sample::new(seed, SIZE).knowing(&inputs(question));
        let name = format!("by question {seed}.bin");
        let request = request(&dir.id, &name, &mine);
        let conversation = Conversation::new(&mine, ReadBudget::Ranges(question.range_bytes));
        stage.want(question);
        stage.reset();
        let attempt = drive.fast_upload(&request, &conversation).await.unwrap();
        let (node, decided_by) = hit(attempt);
        assert_eq!(decided_by, question.kinds);
        assert!(mine.read_so_far() <= question.range_bytes);
        assert!(conversation.spent() <= question.range_bytes);
        assert_eq!(
            (node.name.as_str(), node.size, &node.parent),
            (name.as_str(), SIZE, &dir.id)
        );
        if stage.world.is_some() {
            let stat = stage.stat();
            // What goes up is the proof, where the provider asks for its bytes and not for a hash.
            let proof = if stage.caps.upload.pulled {
                mine.read_so_far()
            } else {
                0
            };
            assert_eq!((stat.bytes_up, stat.rapid_hits), (proof, 1));
        }
        stage.settle();
        let listed = find(drive, &dir.id, &name).await;
        assert_eq!(listed.id, node.id);
        assert_eq!(
            listed.version, node.version,
            "a new version without a change"
        );
        assert!(read_all(drive, &listed).await.unwrap() == mine.bytes);
    }
    Ok(())
}

pub async fn an_empty_file_needs_no_bytes(stage: Stage) -> Outcome {
    if stage.caps.questions.is_empty() {
        return skip("no question is declared");
    }
    if !stage.caps.upload.empty_files {
        return skip("empty files are not declared");
    }
    let dir = stage.dir("d").await;
    let empty = Sample::new(1, 0).knowing(&all_kinds(&stage));
    let request = request(&dir.id, "empty", &empty);
    let drive = &*stage.drive;
    let node = match drive
        .fast_upload(&request, &generous(&empty))
        .await
        .unwrap()
    {
        Attempt::Hit { node, .. } => node,
        Attempt::Miss(Some(mut session)) => {
            send_rest(drive, &mut session, &empty).await.unwrap();
            commit(drive, &request, &session, &empty).await.unwrap()
        }
        Attempt::Miss(None) => return Ok(()),
    };
    stage.settle();
    let listed = find(drive, &dir.id, "empty").await;
    assert_eq!((listed.id, listed.size), (node.id, 0));
    Ok(())
}

pub async fn a_miss_leaves_a_session_or_nothing(stage: Stage) -> Outcome {
    if stage.caps.questions.is_empty() {
        return skip("no question is declared");
    }
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    let before = stage.snapshot();
    let fresh = Sample::new(31, SIZE).knowing(&all_kinds(&stage));
    let request = request(&dir.id, "unknown.bin", &fresh);
    stage.reset();
    match drive
        .fast_upload(&request, &generous(&fresh))
        .await
        .unwrap()
    {
        // The provider fetched it.
        Attempt::Hit { node, decided_by } if stage.caps.upload.pulled => {
            assert!(decided_by.is_empty(), "{decided_by:?}");
            assert_eq!(fresh.read_so_far(), SIZE);
            stage.settle();
            let listed = find(drive, &dir.id, "unknown.bin").await;
            assert_eq!(listed.id, node.id);
            assert!(read_all(drive, &listed).await.unwrap() == fresh.bytes);
        }
        Attempt::Hit { node, .. } => panic!("a hit of content nobody has: {node:?}"),
        Attempt::Miss(None) => assert_eq!(stage.snapshot(), before),
        Attempt::Miss(Some(mut session)) => {
            assert!(session.part_size >= 1 && session.parallel >= 1);
            send_rest(drive, &mut session, &fresh).await.unwrap();
            let node = commit(drive, &request, &session, &fresh).await.unwrap();
            assert_eq!((node.name.as_str(), node.size), ("unknown.bin", SIZE));
            stage.settle();
            let listed = find(drive, &dir.id, "unknown.bin").await;
            assert!(read_all(drive, &listed).await.unwrap() == fresh.bytes);
        }
    }
    Ok(())
}

pub async fn a_miss_can_be_abandoned(stage: Stage) -> Outcome {
    if stage.caps.questions.is_empty() {
        return skip("no question is declared");
    }
    let dir = stage.dir("d").await;
    let drive = &*stage.drive;
    let before = stage.snapshot();
    let fresh = Sample::new(32, SIZE).knowing(&all_kinds(&stage));
    let request = request(&dir.id, "unknown.bin", &fresh);
    match drive
        .fast_upload(&request, &generous(&fresh))
        .await
        .unwrap()
    {
        Attempt::Hit { node, .. } => panic!("a hit of content nobody has: {node:?}"),
        Attempt::Miss(None) => {}
        Attempt::Miss(Some(session)) => drive.abandon_upload(&session).await.unwrap(),
    }
    stage.assert_unchanged(&before);
    Ok(())
}

async fn refused_over_budget(
    stage: &Stage,
    request: &UploadRequest,
    content: &Sample,
    budget: ReadBudget,
) {
    let before = stage.snapshot();
    let conversation = Conversation::new(content, budget);
    match stage.drive.fast_upload(request, &conversation).await {
        Err(error) => match error.kind {
            ErrorKind::OverBudget(bytes) => assert!(bytes > 0, "{error}"),
            other => panic!("{other:?} {error}"),
        },
        Ok(attempt) => panic!("{attempt:?}"),
    }
    assert_eq!(content.read_so_far(), 0);
    assert_eq!(stage.snapshot(), before);
}

pub async fn over_budget_leaves_nothing(stage: Stage) -> Outcome {
    if stage.caps.questions.is_empty() {
        return skip("no question is declared");
    }
    let dir = stage.dir("d").await;
    let theirs = Sample::new(33, SIZE).knowing(&all_kinds(&stage));
    stage.known_to_others(&theirs).await;
    let mine = Sample::new(33, SIZE);
    let request = request(&dir.id, "f.bin", &mine);
    refused_over_budget(&stage, &request, &mine, ReadBudget::None).await;
    Ok(())
}

pub async fn over_budget_in_the_proof_leaves_nothing(stage: Stage) -> Outcome {
    let mut asked = false;
    let dir = stage.dir("d").await;
    for (seed, question) in (34..).zip(stage.caps.questions) {
        let known = inputs(question);
        if question.range_bytes == 0 || known.is_empty() {
            continue;
        }
        asked = true;
        let theirs = Sample::new(seed, SIZE).knowing(&all_kinds(&stage));
        stage.known_to_others(&theirs).await;
        let mine = Sample::new(seed, SIZE).knowing(&known);
        let request = request(&dir.id, "f.bin", &mine);
        stage.want(question);
        refused_over_budget(&stage, &request, &mine, ReadBudget::None).await;
    }
    if !asked {
        return skip("no question asks for a proof");
    }
    Ok(())
}

pub async fn a_taken_name_is_refused(stage: Stage) -> Outcome {
    if stage.caps.questions.is_empty() {
        return skip("no question is declared");
    }
    let dir = stage.dir("d").await;
    let theirs = Sample::new(36, SIZE).knowing(&all_kinds(&stage));
    stage.known_to_others(&theirs).await;
    stage
        .seed("d/taken.bin", &Sample::new(37, 1000).bytes)
        .await;
    stage.settle();
    let before = stage.snapshot();
    // Known content and unknown content.
    for seed in [36, 38] {
        let mine = Sample::new(seed, SIZE).knowing(&all_kinds(&stage));
        let request = request(&dir.id, "taken.bin", &mine);
        assert_eq!(request.on_conflict, OnConflict::Refuse);
        match stage.drive.fast_upload(&request, &generous(&mine)).await {
            Err(error) => assert_eq!(error.kind, ErrorKind::Exists, "{error}"),
            Ok(Attempt::Miss(None)) => assert_eq!(seed, 38),
            Ok(other) => panic!("{other:?}"),
        }
        stage.assert_unchanged(&before);
    }
    Ok(())
}

pub async fn a_hit_teaches_the_next(stage: Stage) -> Outcome {
    let Some(question) = stage.caps.questions.first() else {
        return skip("no question is declared");
    };
    // What we uploaded ourselves is a hit from then on.
    let dir = stage.dir("d").await;
    let first = Sample::new(39, SIZE).knowing(&all_kinds(&stage));
    crate::actions::put(&stage, &dir.id, "first.bin", &first)
        .await
        .unwrap();
    stage.settle();
    let second = Sample::new(39, SIZE).knowing(question.kinds);
    let request = request(&dir.id, "second.bin", &second);
    let attempt = stage
        .drive
        .fast_upload(&request, &generous(&second))
        .await
        .unwrap();
    let (node, _) = hit(attempt);
    stage.settle();
    let listed = find(&*stage.drive, &dir.id, "second.bin").await;
    assert_eq!(listed.id, node.id);
    assert!(read_all(&*stage.drive, &listed).await.unwrap() == second.bytes);
    Ok(())
}
