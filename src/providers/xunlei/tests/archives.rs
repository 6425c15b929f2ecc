//! Links of archives: another name for a moment, and the own one back whatever happens.

use super::*;

/// A server with one archive. `name` is what it is called there.
async fn stand(name: &Arc<Mutex<String>>, broken: bool) -> Stand {
    let base = Arc::new(Mutex::new(String::new()));
    let (name, own) = (name.clone(), base.clone());
    let stand = Stand::start(move |asked| match asked.call {
        STAT | "GET /drive/v1/files" => {
            let called = name.lock().unwrap().clone();
            let mut archive = file(&called, list::COMPLETE);
            archive["file_category"] = json!("ARCHIVE");
            archive["web_content_link"] = json!("");
            if called.ends_with(".001") && !broken {
                let url = format!("{}/dl?e=4102444800", own.lock().unwrap());
                archive["web_content_link"] = json!(url);
            }
            match asked.call {
                STAT => (200, archive),
                _ => (200, json!({"files":[archive],"next_page_token":""})),
            }
        }
        PATCH => {
            *name.lock().unwrap() = asked.body["name"].as_str().unwrap().to_owned();
            (
                200,
                file(asked.body["name"].as_str().unwrap(), list::COMPLETE),
            )
        }
        "GET /dl" => (200, json!("0123456789")),
        _ => (404, json!({"error":"unexpected"})),
    })
    .await;
    base.lock().unwrap().clone_from(&stand.base);
    stand
}

fn called(name: &str) -> Arc<Mutex<String>> {
    Arc::new(Mutex::new(name.to_owned()))
}

fn node() -> Node {
    list::node(&file("a.zip", list::COMPLETE), None).unwrap()
}

#[tokio::test]
async fn an_archive_is_read_and_keeps_its_name() {
    let name = called("a.zip");
    let stand = stand(&name, false).await;
    let store = signed_in();
    let drive = stand.drive(&[], &store);
    // Two readers at once: one link.
    let node = node();
    let (one, two) = tokio::join!(read(&drive, &node, 0..4), read(&drive, &node, 0..4));
    assert_eq!(
        (one.unwrap(), two.unwrap()),
        (b"0123".to_vec(), b"0123".to_vec())
    );
    assert_eq!(*name.lock().unwrap(), "a.zip");
    assert_eq!(stand.count(PATCH), 2);
    assert_eq!(store.starting("lent_name_"), 0);
    // The link is kept.
    assert_eq!(read(&drive, &node, 0..2).await.unwrap(), b"01");
    assert_eq!(stand.count(PATCH), 2);
}

#[tokio::test]
async fn an_archive_without_any_link_has_its_name_back() {
    let name = called("a.zip");
    let stand = stand(&name, true).await;
    let store = signed_in();
    let drive = stand.drive(&[], &store);
    assert!(read(&drive, &node(), 0..4).await.is_err());
    assert_eq!(*name.lock().unwrap(), "a.zip");
    assert_eq!(store.starting("lent_name_"), 0);
}

#[tokio::test]
async fn an_archive_is_left_alone_where_the_profile_says_so() {
    let name = called("a.zip");
    let stand = stand(&name, false).await;
    let drive = stand.drive(&[("archives", "leave")], &signed_in());
    let error = read(&drive, &node(), 0..4).await.unwrap_err();
    assert!(error.message.contains("archives = leave"), "{error}");
    assert_eq!(stand.count(PATCH), 0);
}

#[tokio::test]
async fn a_name_that_was_lent_before_a_crash_comes_back() {
    // The process ended between the two renames.
    let name = called("a.zip.001");
    let stand = stand(&name, false).await;
    let store = Store::of(&[
        ("access_token", "at"),
        ("captcha_token", "ck0.given"),
        ("lent_name_VNnew", r#"{"name":"a.zip","lent":"a.zip.001"}"#),
    ]);
    let drive = stand.drive(&[], &store);
    let page = drive.list(&NodeId::new("root"), None).await.unwrap();
    assert_eq!(page.nodes[0].name, "a.zip");
    assert_eq!(*name.lock().unwrap(), "a.zip");
    assert_eq!(store.starting("lent_name_"), 0);
}

#[tokio::test]
async fn a_name_that_somebody_gave_meanwhile_stays() {
    let name = called("theirs.zip");
    let stand = stand(&name, false).await;
    let store = Store::of(&[
        ("access_token", "at"),
        ("captcha_token", "ck0.given"),
        ("lent_name_VNnew", r#"{"name":"a.zip","lent":"a.zip.001"}"#),
    ]);
    let drive = stand.drive(&[], &store);
    let page = drive.list(&NodeId::new("root"), None).await.unwrap();
    assert_eq!(page.nodes[0].name, "theirs.zip");
    assert_eq!((stand.count(PATCH), store.starting("lent_name_")), (0, 0));
}

#[tokio::test]
async fn nobody_here_sees_the_lent_name() {
    let stand = Stand::start(|asked| match asked.call {
        // The name cannot be given back now.
        PATCH => refusal(9, "something_else"),
        STAT => (200, file("a.zip.001", list::COMPLETE)),
        _ => (
            200,
            json!({"files":[file("a.zip.001", list::COMPLETE)],"next_page_token":""}),
        ),
    })
    .await;
    let store = Store::of(&[
        ("access_token", "at"),
        ("captcha_token", "ck0.given"),
        ("lent_name_VNnew", r#"{"name":"a.zip","lent":"a.zip.001"}"#),
    ]);
    let drive = stand.drive(&[], &store);
    let page = drive.list(&NodeId::new("root"), None).await.unwrap();
    assert_eq!(page.nodes[0].name, "a.zip");
    let fresh = drive.stat(&NodeId::new("VNnew")).await.unwrap();
    assert_eq!(fresh.name, "a.zip");
    // The note is kept for the next start.
    assert_eq!(store.starting("lent_name_"), 1);
}
