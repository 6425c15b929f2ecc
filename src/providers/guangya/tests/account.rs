//! Headers, tokens, the throttle, odd answers.

use super::*;
use crate::drive::ErrorKind;
use crate::net::Retry;

const ASSETS: &str = "get_assets";
const AUTH: &str = "token";

fn assets() -> Reply {
    good(json!({"totalSpaceSize":10,"usedSpaceSize":4}))
}

fn tokens(access: &str, refresh: Option<&str>) -> Reply {
    let mut body =
        json!({"token_type":"Bearer","access_token":access,"expires_in":7200,"sub":"u1"});
    if let Some(refresh) = refresh {
        body["refresh_token"] = json!(refresh);
    }
    (200, body.to_string())
}

#[tokio::test]
async fn calls_carry_token_device_and_type() {
    let bed = Bed::new().await;
    bed.on(ASSETS, [assets()]);
    let quota = bed.drive.quota().await.unwrap();
    assert_eq!((quota.total, quota.used), (10, 4));
    let seen = bed.last(ASSETS);
    assert_eq!(seen.path, "/assets/v1/get_assets");
    for (name, value) in [
        ("authorization", "Bearer at"),
        ("did", DID),
        ("dt", "4"),
        ("content-type", "application/json"),
        ("origin", "https://www.guangyapan.com"),
    ] {
        assert_eq!(seen.header(name), value);
    }
    assert_eq!(seen.json(), json!({}));
}

#[tokio::test]
async fn the_program_for_windows_and_older_addresses() {
    let fields = [("did", DID), ("dt", "5"), ("paths", "older")];
    let secrets = [("refresh_token", "rt")];
    let bed = Bed::open(&fields, &secrets).await;
    bed.on(AUTH, [tokens("fresh", None)]).on(ASSETS, [assets()]);
    bed.drive.quota().await.unwrap();
    let seen = bed.last(ASSETS);
    assert_eq!(seen.path, "/nd.bizassets.s/v1/get_assets");
    assert_eq!((seen.header("dt"), seen.header("av")), ("5", "1.0.2"));
    assert_eq!(seen.header("user-agent"), "GuangyapanPC/1.0.2");
    let body = bed.last(AUTH).json();
    assert_eq!(body["client_id"], "aMe_SVSlkrbQXpUT");
    assert_eq!(body["client_secret"], "FNAfp5IFEfCn5MYsIUTewg");
}

#[tokio::test]
async fn a_copied_header_is_taken_as_a_token() {
    // The sample token of section 2.5: its user is known with the first call.
    let token = "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1MSJ9.sig";
    let bed = Bed::open(&[], &[("access_token", token)]).await;
    bed.on(ASSETS, [assets()]);
    assert_eq!(bed.drive.account_id(), None);
    bed.drive.quota().await.unwrap();
    assert_eq!(bed.last(ASSETS).header("authorization"), token);
    assert_eq!(bed.drive.account_id().as_deref(), Some("u1"));
}

#[tokio::test]
async fn a_device_is_made_once_and_kept() {
    let bed = Bed::open(&[], &[("access_token", "at")]).await;
    bed.on(ASSETS, [assets()]);
    bed.drive.quota().await.unwrap();
    bed.reopened().quota().await.unwrap();
    let ids: Vec<String> = bed
        .all(ASSETS)
        .iter()
        .map(|seen| seen.header("did").to_owned())
        .collect();
    assert_eq!((ids.len(), ids[0].len()), (2, 32));
    assert_eq!(ids[0], ids[1]);
    assert_eq!(bed.stored("did"), ids[0]);
}

#[tokio::test]
async fn many_callers_refresh_once_and_the_pair_is_saved() {
    let bed = Bed::new().await;
    bed.refuse("at")
        .on(ASSETS, [assets()])
        .on(AUTH, [tokens("new", Some("rt2"))]);
    let callers = (0..6).map(|_| bed.drive.quota());
    for quota in futures_util::future::join_all(callers).await {
        quota.unwrap();
    }
    assert_eq!(bed.all(AUTH).len(), 1);
    assert_eq!(bed.stored("access_token"), "new");
    assert_eq!(bed.stored("refresh_token"), "rt2");
    let seen = bed.last(AUTH);
    assert_eq!(seen.path, "/v1/auth/token");
    assert_eq!(
        seen.json(),
        json!({"client_id":"aMe-8VSlkrbQXpUR","grant_type":"refresh_token","refresh_token":"rt"})
    );
    assert_eq!(seen.header("x-action"), "401");
    assert_eq!(seen.header("x-device-id"), DID);
    assert_eq!(seen.header("authorization"), "");
    assert_eq!(bed.last(ASSETS).header("authorization"), "Bearer new");
}

#[tokio::test]
async fn a_pair_that_cannot_be_saved_is_not_used() {
    let bed = Bed::new().await;
    bed.refuse("at")
        .on(ASSETS, [assets()])
        .on(AUTH, [tokens("new", Some("rt2"))]);
    *bed.store.broken.lock().unwrap() = true;
    assert_eq!(bed.drive.quota().await.unwrap_err().kind, ErrorKind::Auth);
    let used = |bed: &Bed| {
        let all = bed.all(ASSETS);
        all.iter()
            .filter(|seen| seen.header("authorization") == "Bearer new")
            .count()
    };
    assert_eq!(used(&bed), 0);
    // The pair is not lost: once it is on disk it is used, and nobody is asked again.
    *bed.store.broken.lock().unwrap() = false;
    bed.drive.quota().await.unwrap();
    assert_eq!((used(&bed), bed.all(AUTH).len()), (1, 1));
    assert_eq!(bed.stored("refresh_token"), "rt2");
}

#[tokio::test]
async fn without_a_new_refresh_token_the_old_one_stays() {
    let bed = Bed::open(&[("did", DID)], &[("refresh_token", "rt")]).await;
    let wrapped = json!({"code":0,"data":{"access_token":"new","expires_in":7200}});
    bed.on(AUTH, [(200, wrapped.to_string())])
        .on(ASSETS, [assets()]);
    bed.drive.quota().await.unwrap();
    assert_eq!(bed.stored("refresh_token"), "rt");
    assert_eq!(bed.stored("access_token"), "new");
}

#[tokio::test]
async fn a_dead_login_is_asked_once() {
    for status in [400, 401, 403] {
        let bed = Bed::new().await;
        let dead = json!({"error":"invalid_grant","error_description":"dead"});
        bed.refuse("at").on(AUTH, [(status, dead.to_string())]);
        for _ in 0..2 {
            assert_eq!(bed.drive.quota().await.unwrap_err().kind, ErrorKind::Auth);
        }
        assert_eq!(bed.all(AUTH).len(), 1, "{status}");
        assert_eq!(bed.stored("refresh_token"), "");
    }
}

#[tokio::test]
async fn an_access_token_alone_ends_with_words() {
    let bed = Bed::open(&[("did", DID)], &[("access_token", "at")]).await;
    bed.refuse("at");
    let error = bed.drive.quota().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.message.contains("refresh"), "{error}");
    assert!(bed.all(AUTH).is_empty());
}

#[tokio::test]
async fn the_throttle_is_waited_out_and_ends() {
    let bed = Bed::new().await;
    let slow = code(120, json!(null));
    bed.on(ASSETS, [slow.clone(), slow.clone(), assets()]);
    bed.drive.quota().await.unwrap();
    assert_eq!(bed.all(ASSETS).len(), 3);
}

#[tokio::test]
async fn odd_answers_are_success_or_not() {
    let bed = Bed::new().await;
    let without_code = json!({"msg":"success","data":{"totalSpaceSize":"10"}});
    bed.on(ASSETS, [(200, without_code.to_string())]);
    assert_eq!(bed.drive.quota().await.unwrap().total, 10);
    let unhappy = json!({"code":0,"msg":"later","data":{}});
    bed.on(ASSETS, [(200, unhappy.to_string())]);
    assert_eq!(
        bed.drive.quota().await.unwrap_err().kind,
        ErrorKind::Provider
    );
    bed.on(ASSETS, [(200, "<html>".to_owned())]);
    assert_eq!(
        bed.drive.quota().await.unwrap_err().kind,
        ErrorKind::BadAnswer
    );
}

#[tokio::test]
async fn a_block_page_rests_the_account() {
    let bed = Bed::new().await;
    bed.on(ASSETS, [(403, "<html>blocked</html>".to_owned()), assets()]);
    for _ in 0..2 {
        let error = bed.drive.quota().await.unwrap_err();
        assert_eq!((error.kind, error.retry), (ErrorKind::Risk, Retry::Never));
    }
    assert_eq!(bed.all(ASSETS).len(), 1);
    assert!(bed.all(AUTH).is_empty());
}

#[tokio::test]
async fn profiles_that_cannot_work_are_refused() {
    let bed = Bed::new().await;
    for (field, value) in [
        ("did", "short"),
        ("dt", "9"),
        ("paths", "newest"),
        ("parent_id", "*"),
    ] {
        let mut context = bed.context.clone();
        context.fields.insert(field.to_owned(), value.to_owned());
        let error = super::super::open(context).map(drop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{field}");
    }
    let mut context = bed.context.clone();
    context
        .fields
        .insert("parent_id".to_owned(), "77".to_owned());
    let below = super::super::open(context.clone()).unwrap();
    assert_eq!(below.root().as_str(), "77");
    context.root = Some("88".to_owned());
    let named = super::super::open(context).unwrap();
    assert_eq!(named.root().as_str(), "88");
    assert_eq!(bed.drive.root().as_str(), "root");
}
