//! Locks.

use super::*;

const INFO: &str = "<d:lockinfo xmlns:d=\"DAV:\"><d:lockscope><d:exclusive/></d:lockscope>\
                    <d:locktype><d:write/></d:locktype><d:owner>me</d:owner></d:lockinfo>";

async fn lock(dav: &Dav, path: &str, headers: &[(&str, &str)]) -> Got {
    let mut ask = dav.ask("LOCK", path).body(INFO);
    for (name, value) in headers {
        ask = ask.header(*name, *value);
    }
    dav.send(ask).await
}

#[tokio::test]
async fn a_lock_keeps_others_out() {
    let dav = Dav::new();
    dav.seed("/d/a", b"1");
    let got = lock(&dav, "/d/a", &[("Timeout", "Second-100")]).await;
    assert_eq!(got.status, 200);
    let token = got.header("lock-token").to_owned();
    assert!(token.starts_with("<opaquelocktoken:"));
    assert!(got.text().contains("Second-100"));
    assert!(
        dav.find("/d/a", "0", &["lockdiscovery"])
            .await
            .text()
            .contains("activelock")
    );
    assert_eq!(lock(&dav, "/d/a", &[]).await.status, 423);
    let held = format!("({token})");
    let mine = [("If", held.as_str())];
    let refused = dav.put("/d/a", b"2", &[]).await;
    assert_eq!(refused.status, 423);
    assert!(refused.text().contains("lock-token-submitted"));
    assert_eq!(dav.status("DELETE", "/d/", &[]).await, 423);
    assert_eq!(dav.put("/d/b", b"free", &[]).await.status, 201);
    assert_eq!(dav.put("/d/a", b"2", &mine).await.status, 204);
    let stale = [("If", "(<opaquelocktoken:0>)")];
    assert_eq!(dav.put("/d/a", b"3", &stale).await.status, 412);
    // A refresh counts from now on.
    dav.world.clock_advance(90_000);
    let refreshed = dav.go("LOCK", "/d/a", &mine).await;
    assert_eq!(
        (refreshed.status, refreshed.header("lock-token")),
        (200, "")
    );
    dav.world.clock_advance(90_000);
    assert_eq!(dav.put("/d/a", b"3", &[]).await.status, 423);
    let unlock = [("Lock-Token", token.as_str())];
    assert_eq!(dav.status("UNLOCK", "/d/b", &unlock).await, 409);
    assert_eq!(dav.status("UNLOCK", "/d/a", &unlock).await, 204);
    assert_eq!(dav.put("/d/a", b"3", &[]).await.status, 204);
}

#[tokio::test]
async fn locks_end_and_reach_down() {
    let dav = Dav::new();
    dav.seed("/d/a", b"1");
    let got = lock(
        &dav,
        "/d/",
        &[("Depth", "infinity"), ("Timeout", "Infinite")],
    )
    .await;
    let held = format!("({})", got.header("lock-token"));
    assert_eq!(dav.put("/d/new", b"2", &[]).await.status, 423);
    assert_eq!(dav.put("/d/new", b"2", &[("If", &held)]).await.status, 201);
    dav.world.clock_advance(600_001);
    assert_eq!(dav.put("/d/a", b"2", &[]).await.status, 204);
    // A name that is free becomes an empty file.
    let got = lock(&dav, "/d/fresh", &[]).await;
    assert_eq!(
        (got.status, dav.stored("/d/fresh").unwrap().len()),
        (201, 0)
    );
    // A lock goes with its file.
    let held = format!("({})", got.header("lock-token"));
    let to = format!("{}/moved", dav.url);
    let headers = [("If", held.as_str()), ("Destination", to.as_str())];
    assert_eq!(dav.status("MOVE", "/d/fresh", &headers).await, 201);
    assert_eq!(dav.put("/moved", b"2", &[]).await.status, 204);
    dav.set("locks", "no");
    assert_eq!(lock(&dav, "/d/a", &[]).await.status, 405);
}

#[tokio::test]
async fn somebody_else_holds_a_lock_and_locks_can_be_demanded() {
    let dav = Dav::new();
    dav.seed("/a", b"1");
    dav.set("locked:/a", "30");
    assert_eq!(dav.put("/a", b"2", &[]).await.status, 423);
    dav.world.clock_advance(30_001);
    assert_eq!(dav.put("/a", b"2", &[]).await.status, 204);
    dav.set("require_lock", "on");
    assert_eq!(dav.put("/a", b"3", &[]).await.status, 423);
    assert_eq!(dav.status("DELETE", "/a", &[]).await, 423);
    let got = lock(&dav, "/a", &[]).await;
    let held = format!("({})", got.header("lock-token"));
    assert_eq!(dav.put("/a", b"3", &[("If", &held)]).await.status, 204);
    let got = lock(&dav, "/b", &[]).await;
    let held = format!("({})", got.header("lock-token"));
    assert_eq!(dav.put("/b", b"1", &[("If", &held)]).await.status, 204);
    assert_eq!(dav.status("DELETE", "/b", &[("If", &held)]).await, 204);
}
