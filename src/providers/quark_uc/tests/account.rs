//! Cookies, the gateway, odd answers.

use super::*;
use crate::drive::ErrorKind;
use crate::providers::quark_uc::{QUARK, UC};

#[tokio::test]
async fn every_call_is_dressed_as_its_product_wants() {
    for (info, pr, site, token) in [
        (
            &QUARK,
            "ucpro",
            "https://pan.quark.cn",
            "quark-cloud-drive/",
        ),
        (&UC, "UCBrowser", "https://drive.uc.cn", "uc-cloud-drive/"),
    ] {
        let bed = Bed::new(info).await;
        bed.on(LIST, [listing(json!([file("1", "a", 1)]))]);
        bed.drive.list(&bed.drive.root(), None).await.unwrap();
        let seen = bed.last(LIST);
        assert!(
            seen.query.contains(&format!("pr={pr}&fr=pc")),
            "{}",
            seen.query
        );
        for part in [
            "pdir_fid=0",
            "_page=1",
            "_size=100",
            "fetch_risk_file_name=1",
        ] {
            assert!(seen.query.contains(part), "{part}");
        }
        assert_eq!(
            (seen.header("referer"), seen.header("origin")),
            (site, site)
        );
        assert_eq!(seen.header("cookie"), COOKIE);
        assert!(seen.header("user-agent").contains(token));
    }
}

#[tokio::test]
async fn an_address_may_carry_the_path_of_the_sheet() {
    let mut bed = Bed::new(&QUARK).await;
    let api = format!("{}/1/clouddrive/", bed.base);
    bed.context.endpoints.insert("api".to_owned(), api);
    bed.on(LIST, [listing(json!([file("1", "a", 1)]))]);
    let drive = bed.reopened();
    assert_eq!(
        drive.list(&drive.root(), None).await.unwrap().nodes.len(),
        1
    );
}

#[tokio::test]
async fn the_rolling_cookie_is_stored_and_used_from_the_next_call_on() {
    let bed = Bed::new(&QUARK).await;
    let first = listing(json!([])).header("set-cookie", "__puus=two==; Path=/; HttpOnly");
    bed.on(
        LIST,
        [first.header("set-cookie", "isg=x"), listing(json!([]))],
    );
    for _ in 0..2 {
        bed.drive.list(&bed.drive.root(), None).await.unwrap();
    }
    let seen = bed.all(LIST);
    assert_eq!(seen[0].header("cookie"), COOKIE);
    assert_eq!(seen[1].header("cookie"), "__pus=login; __puus=two==");
    assert_eq!(bed.cookie(), "__pus=login; __puus=two==");
    // And after a restart.
    let drive = bed.reopened();
    drive.list(&drive.root(), None).await.unwrap();
    assert_eq!(bed.last(LIST).header("cookie"), "__pus=login; __puus=two==");
}

#[tokio::test]
async fn a_cookie_that_cannot_be_stored_is_not_used() {
    let bed = Bed::new(&QUARK).await;
    *bed.store.broken.lock().unwrap() = true;
    let first = listing(json!([])).header("set-cookie", "__puus=two");
    bed.on(LIST, [first, listing(json!([]))]);
    for _ in 0..2 {
        bed.drive.list(&bed.drive.root(), None).await.unwrap();
    }
    assert_eq!(bed.last(LIST).header("cookie"), COOKIE);
    // The disk has room again: it is stored before the next call.
    *bed.store.broken.lock().unwrap() = false;
    bed.drive.list(&bed.drive.root(), None).await.unwrap();
    assert_eq!(bed.last(LIST).header("cookie"), "__pus=login; __puus=two");
    assert_eq!(bed.cookie(), "__pus=login; __puus=two");
}

#[tokio::test]
async fn a_refused_cookie_is_renewed_once_for_everybody() {
    let bed = Bed::new(&QUARK).await;
    bed.on(LIST, [listing(json!([file("1", "a", 1)]))]);
    bed.on(
        "GET /config",
        [good(json!({})).header("set-cookie", "__puus=fresh")],
    );
    bed.script.lock().unwrap().stale = Some("__puus=one".to_owned());
    let root = bed.drive.root();
    let callers = (0..12).map(|_| bed.drive.list(&root, None));
    for listed in futures_util::future::join_all(callers).await {
        assert_eq!(listed.unwrap().nodes.len(), 1);
    }
    let renewals = bed.all("GET /config");
    assert_eq!(renewals.len(), 1);
    assert_eq!(renewals[0].header("cookie"), "__pus=login");
    assert_eq!(bed.cookie(), "__pus=login; __puus=fresh");
}

#[tokio::test]
async fn a_dead_login_is_told_after_one_renewal() {
    let bed = Bed::new(&QUARK).await;
    bed.on(LIST, [refusal(200, 50051)]);
    bed.on("GET /config", [refusal(401, 31001)]);
    let error = bed.drive.list(&bed.drive.root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.message.contains("https://pan.quark.cn"), "{error}");
    assert!(!error.to_string().contains("login; __puus"));
    assert_eq!(bed.calls(), [LIST, "GET /config"]);
}

#[tokio::test]
async fn a_login_that_is_refused_in_spite_of_a_renewal_ends() {
    let bed = Bed::new(&QUARK).await;
    bed.on(LIST, [refusal(401, 31001)]);
    bed.on("GET /config", [good(json!({}))]);
    let error = bed.drive.list(&bed.drive.root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert_eq!(bed.calls(), [LIST, "GET /config", LIST]);
}

#[tokio::test]
async fn a_cookie_without_a_login_is_told_before_any_call() {
    let bed = Bed::open(&QUARK, "manual_cookie", "a=b", &[]).await;
    let error = bed.drive.quota().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.message.contains("__pus"), "{error}");
    assert!(bed.calls().is_empty());
}

#[tokio::test]
async fn the_gateway_is_tried_once_more_then_the_account_rests() {
    let bed = Bed::new(&QUARK).await;
    bed.on("GET /member", [raw(412, "")]);
    bed.on("GET /config", [good(json!({}))]);
    let error = bed.drive.quota().await.unwrap_err();
    assert_eq!((error.kind, error.errno()), (ErrorKind::Risk, libc::EBUSY));
    assert_eq!(bed.calls(), ["GET /member", "GET /member", "GET /config"]);
    // The breaker is open: nothing goes out.
    let error = bed.drive.quota().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Risk);
    assert_eq!(bed.calls().len(), 3);
}

#[tokio::test]
async fn a_block_page_opens_the_breaker_at_once() {
    let bed = Bed::new(&UC).await;
    bed.on("GET /member", [raw(403, "<html>denied</html>")]);
    for _ in 0..2 {
        let error = bed.drive.quota().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Risk);
        assert!(error.hint().is_some());
    }
    assert_eq!(bed.calls(), ["GET /member"]);
}

#[tokio::test]
async fn what_is_no_json_is_no_answer() {
    for body in ["<html>hi</html>", "<Error><Code>X</Code></Error>", "", "[]"] {
        let bed = Bed::new(&QUARK).await;
        bed.on(LIST, [raw(200, body)]);
        let error = bed.drive.list(&bed.drive.root(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{body}: {error}");
        assert_eq!(bed.calls(), [LIST]);
    }
}

#[tokio::test]
async fn failures_that_pass_are_tried_again() {
    let bed = Bed::new(&QUARK).await;
    let space = good(json!({"use_capacity":"5368709120","total_capacity":10737418240_u64}));
    bed.on(
        "GET /member",
        [raw(502, "<html>"), refusal(200, 15000), space],
    );
    let quota = bed.drive.quota().await.unwrap();
    assert_eq!((quota.used, quota.total), (5_368_709_120, 10_737_418_240));
    assert_eq!(bed.calls().len(), 3);
}
