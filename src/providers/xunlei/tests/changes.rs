//! Directories, moves, trash.

use super::*;

fn node() -> Node {
    list::node(&file("a.bin", list::COMPLETE), None).unwrap()
}

fn listing(files: Value) -> (u16, Value) {
    (200, json!({"files":files,"next_page_token":""}))
}

#[tokio::test]
async fn a_move_that_got_a_number_is_undone() {
    let moves = AtomicUsize::new(0);
    let stand = Stand::start(move |asked| match asked.call {
        "POST /drive/v1/files:batchMove" => {
            let target = ["VNdir", ""][moves.fetch_add(1, Ordering::SeqCst)];
            assert_eq!(asked.body["to"], json!({"parent_id":target,"space":""}));
            (200, json!({"task_id":"VNt"}))
        }
        "GET /drive/v1/tasks/VNt" => (200, json!({"phase":"PHASE_TYPE_COMPLETE"})),
        PATCH => {
            assert_eq!(*asked.body, json!({"name":"a.bin","space":""}));
            (200, file("a.bin", list::COMPLETE))
        }
        _ => {
            let mut moved = file("a(1).bin", list::COMPLETE);
            moved["parent_id"] = json!("VNdir");
            (200, moved)
        }
    })
    .await;
    let moved = stand
        .signed_in()
        .move_to(&node(), &NodeId::new("VNdir"))
        .await;
    assert_eq!(moved.unwrap_err().kind, ErrorKind::Exists);
    assert_eq!(stand.count("POST /drive/v1/files:batchMove"), 2);
    assert_eq!(stand.count(PATCH), 1);
}

#[tokio::test]
async fn what_comes_back_into_the_root_goes_where_it_was() {
    let moved = AtomicUsize::new(0);
    let stand = Stand::start(move |asked| match asked.call {
        "PATCH /drive/v1/files/VNnew/untrash" => (200, json!({})),
        "POST /drive/v1/files:batchMove" => {
            assert_eq!(asked.body["ids"], json!(["VNnew"]));
            moved.store(1, Ordering::SeqCst);
            (200, json!({}))
        }
        STAT => {
            let mut back = file("a.bin", list::COMPLETE);
            let parent = ["", "VNdir"][moved.load(Ordering::SeqCst)];
            back["parent_id"] = json!(parent);
            (200, back)
        }
        _ => (404, json!({"error":"unexpected"})),
    })
    .await;
    let trashed = Node {
        parent: NodeId::new("VNdir"),
        ..node()
    };
    let back = stand.signed_in().restore(&trashed).await.unwrap();
    assert_eq!(
        (back.parent.as_str(), back.name.as_str()),
        ("VNdir", "a.bin")
    );
    assert_eq!(stand.count("POST /drive/v1/files:batchMove"), 1);
}

#[tokio::test]
async fn trash_of_something_gone_is_a_success() {
    let stand = Stand::start(|asked| {
        assert_eq!(asked.call, "PATCH /drive/v1/files/VNnew/trash");
        refusal(9, "file_in_recycle_bin")
    })
    .await;
    stand.signed_in().trash(&node()).await.unwrap();
}

#[tokio::test]
async fn a_young_folder_is_waited_for() {
    let (made, asks) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stand = Stand::start(move |asked| match asked.call {
        CREATE => {
            made.store(1, Ordering::SeqCst);
            let folder = json!({"kind":"drive#folder","id":"VNdir","name":"d","parent_id":""});
            (200, json!({"file":folder}))
        }
        _ if asked.query.contains("parent_id=VNdir") => match asks.fetch_add(1, Ordering::SeqCst) {
            0 => refusal(5, "file_not_found"),
            _ => listing(json!([])),
        },
        _ if asked.query.contains("parent_id=VNother") => refusal(5, "file_not_found"),
        _ => listing(Value::Null),
    })
    .await;
    let drive = stand.signed_in();
    let folder = drive.mkdir(&NodeId::new("root"), "d").await.unwrap();
    assert!(folder.is_dir() && folder.created > 0);
    assert!(drive.list(&folder.id, None).await.unwrap().nodes.is_empty());
    // Others are not waited for.
    let before = stand.asked.lock().unwrap().len();
    let error = drive.list(&NodeId::new("VNother"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(stand.asked.lock().unwrap().len(), before + 1);
}

#[tokio::test]
async fn a_taken_name_makes_no_directory() {
    let stand = Stand::start(|asked| {
        assert_eq!(asked.call, "GET /drive/v1/files");
        listing(json!([file("d", list::COMPLETE)]))
    })
    .await;
    let made = stand.signed_in().mkdir(&NodeId::new("root"), "d").await;
    assert_eq!(made.unwrap_err().kind, ErrorKind::Exists);
}

#[tokio::test]
async fn a_directory_whose_answer_was_lost_is_recognised() {
    let asked_before = AtomicUsize::new(0);
    let stand = Stand::start(move |asked| match asked.call {
        CREATE => (502, json!("<html>gateway</html>")),
        _ if asked_before.fetch_add(1, Ordering::SeqCst) == 0 => listing(json!([])),
        _ => listing(json!([{"kind":"drive#folder","id":"VNdir","name":"d"}])),
    })
    .await;
    let made = stand.signed_in().mkdir(&NodeId::new("root"), "d").await;
    assert_eq!(made.unwrap().id.as_str(), "VNdir");
    assert_eq!(stand.count(CREATE), 1);
}
