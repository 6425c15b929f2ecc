//! Tokens and scopes.

use super::*;
use crate::drive::ErrorKind;

fn tokens(access: &str, refresh: &str) -> String {
    json!({"code":0,"access_token":access,"expires_in":7200,"refresh_token":refresh,
        "refresh_token_expires_in":604800,"scope":"drive:drive.metadata:readonly","token_type":"Bearer"})
    .to_string()
}

#[tokio::test]
async fn an_expired_user_token_is_renewed_and_its_successor_kept() {
    let bed = Bed::user().await;
    bed.refuses(LIST, 99991677).lists(json!([]));
    bed.says_raw(REFRESH, 200, &tokens("u-2", "ur-2"));
    bed.drive.list(&NodeId::new("fldD"), None).await.unwrap();
    let sent = bed.seen(REFRESH)[0].json();
    assert_eq!(sent["grant_type"], "refresh_token");
    assert_eq!(
        (&sent["client_id"], &sent["client_secret"]),
        (&json!("cli_a"), &json!("s3cret"))
    );
    assert_eq!(sent["refresh_token"], "ur-1");
    assert_eq!(
        bed.store.0.lock().unwrap()["refresh_token"].expose(),
        "ur-2"
    );
    assert_eq!(bed.seen(LIST)[1].headers["authorization"], "Bearer u-2");
}

#[tokio::test]
async fn a_spent_refresh_token_is_not_sent_again() {
    for code in [20026, 20037, 20064, 20073] {
        let bed = Bed::new("user", &[("refresh_token", "ur-1")]).await;
        bed.says_raw(
            REFRESH,
            400,
            &json!({"code":code,"error":"invalid_grant","error_description":"no"}).to_string(),
        );
        for _ in 0..2 {
            let error = bed
                .drive
                .list(&NodeId::new("fldD"), None)
                .await
                .unwrap_err();
            assert_eq!(error.kind, ErrorKind::Auth, "{error}");
            assert!(error.message.contains("authorize"), "{error}");
        }
        assert_eq!(bed.seen(REFRESH).len(), 1, "{code}");
        assert!(bed.seen(LIST).is_empty());
    }
}

#[tokio::test]
async fn the_servers_own_fault_is_asked_once_more() {
    let bed = Bed::new("user", &[("refresh_token", "ur-1")]).await;
    bed.refuses(REFRESH, 20050);
    bed.says_raw(REFRESH, 200, &tokens("u-2", "ur-2"));
    bed.lists(json!([]));
    bed.drive.list(&NodeId::new("fldD"), None).await.unwrap();
    assert_eq!(bed.seen(REFRESH).len(), 2);
}

#[tokio::test]
async fn a_bot_asks_with_the_app_alone() {
    let bed = Bed::new("bot", &[]).await;
    let answer = json!({"code":0,"msg":"ok","tenant_access_token":"t-1","expire":7200});
    bed.says_raw(TENANT, 200, &answer.to_string());
    bed.lists(json!([]));
    bed.drive.list(&NodeId::new("fldD"), None).await.unwrap();
    assert_eq!(
        bed.seen(TENANT)[0].json(),
        json!({"app_id":"cli_a","app_secret":"s3cret"})
    );
    assert_eq!(bed.seen(LIST)[0].headers["authorization"], "Bearer t-1");
}

#[tokio::test]
async fn a_missing_scope_is_said_with_what_was_granted() {
    let bed = Bed::new("user", &[("refresh_token", "ur-1")]).await;
    bed.says_raw(REFRESH, 200, &tokens("u-2", "ur-2"));
    bed.lists(json!([])).refuses(MKDIR, 99991679);
    let error = bed
        .drive
        .mkdir(&NodeId::new("fldD"), "new")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.message.contains("space:folder:create"), "{error}");
    assert!(
        error
            .message
            .contains("granted now: drive:drive.metadata:readonly"),
        "{error}"
    );
    assert_eq!(bed.seen(MKDIR).len(), 1);
}

#[tokio::test]
async fn whose_drive_it_is_comes_with_the_space() {
    let bed = Bed::user().await;
    assert_eq!(bed.drive.account_id(), None);
    let quota = bed.drive.quota().await.unwrap();
    assert_eq!((quota.total, quota.used), (0, 0));
    assert_eq!(bed.drive.account_id().as_deref(), Some("77"));
}
