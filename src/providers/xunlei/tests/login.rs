//! Tokens, captcha tokens, and what a person has to do.

use super::*;

fn quota() -> (u16, Value) {
    (200, json!({"quota":{"limit":"10","usage":"4"}}))
}

#[tokio::test]
async fn a_captcha_is_fetched_first_signed_and_kept() {
    let store = Store::of(&[("access_token", "Bearer x.eyJzdWIiOiI2NTQzMjEifQ.y")]);
    let seen = store.clone();
    let stand = Stand::start(move |asked| {
        assert_eq!(asked.header("x-client-id"), "Xqp0kJBXWhwaTpB6");
        assert_eq!(asked.header("x-client-version"), "1.92.91");
        assert_eq!(asked.header("x-device-id"), DEVICE);
        if asked.call == INIT {
            assert_eq!(asked.body["action"], "GET:/drive/v1/about");
            assert_eq!(asked.body["captcha_token"], "");
            assert_eq!(asked.body["device_id"], DEVICE);
            let meta = &asked.body["meta"];
            assert_eq!(meta["user_id"], "654321");
            assert_eq!(meta["package_name"], "pan.xunlei.com");
            let timestamp = meta["timestamp"].as_str().unwrap();
            let web = platform::Platform::find("web").unwrap();
            let sign = web.captcha_sign("1.92.91", DEVICE, timestamp);
            assert_eq!(meta["captcha_sign"], sign);
            return (200, json!({"captcha_token":"ck0.new","expires_in":300}));
        }
        assert_eq!(
            asked.header("authorization"),
            "Bearer x.eyJzdWIiOiI2NTQzMjEifQ.y"
        );
        assert_eq!(asked.header("x-captcha-token"), "ck0.new");
        assert!(asked.header("accept").starts_with("application/json"));
        // Sealed before it is used.
        assert_eq!(seen.get("captcha_token"), "ck0.new");
        quota()
    })
    .await;
    let fields = [("device_id", DEVICE)];
    let drive = stand.drive(&fields, &store);
    for _ in 0..2 {
        let quota = drive.quota().await.unwrap();
        assert_eq!((quota.total, quota.used), (10, 4));
    }
    assert_eq!(drive.account_id().as_deref(), Some("654321"));
    // A restart goes on with it.
    stand.drive(&fields, &store).quota().await.unwrap();
    assert_eq!((stand.count(INIT), stand.count(ABOUT)), (1, 3));
}

#[tokio::test]
async fn many_callers_fetch_one_captcha() {
    let stand = Stand::start(|asked| match asked.call {
        INIT => (200, json!({"captcha_token":"ck0.new","expires_in":300})),
        "GET /v1/user/me" => (200, json!({"sub":"7"})),
        _ => quota(),
    })
    .await;
    let drive = stand.drive(&[], &Store::of(&[("access_token", "at")]));
    let calls = (0..8).map(|_| drive.quota());
    for done in futures_util::future::join_all(calls).await {
        done.unwrap();
    }
    assert_eq!((stand.count(INIT), stand.count("GET /v1/user/me")), (1, 1));
    assert_eq!(drive.account_id().as_deref(), Some("7"));
}

#[tokio::test]
async fn a_refused_captcha_is_renewed_once() {
    let stand = Stand::start(|asked| match asked.call {
        INIT => {
            assert_eq!(asked.body["captcha_token"], "ck0.given");
            (200, json!({"captcha_token":"ck0.new","expires_in":300}))
        }
        "GET /v1/user/me" => refusal(16, "unauthenticated"),
        _ if asked.header("x-captcha-token") == "ck0.given" => refusal(9, "captcha_invalid"),
        _ => quota(),
    })
    .await;
    let drive = stand.signed_in();
    drive.quota().await.unwrap();
    drive.quota().await.unwrap();
    assert_eq!((stand.count(INIT), stand.count(ABOUT)), (1, 3));
}

#[tokio::test]
async fn a_captcha_wall_ends_in_risk_after_one_renewal() {
    let stand = Stand::start(|asked| match asked.call {
        INIT => (200, json!({"captcha_token":"ck0.new","expires_in":300})),
        _ => refusal(9, "captcha_invalid"),
    })
    .await;
    let drive = stand.signed_in();
    for _ in 0..2 {
        assert_eq!(drive.quota().await.unwrap_err().kind, ErrorKind::Risk);
        // The account rests then.
        assert_eq!((stand.count(INIT), stand.count(ABOUT)), (1, 2));
    }
}

#[tokio::test]
async fn what_a_person_must_do_is_said() {
    let answers = [
        (
            json!({"captcha_token":"","url":"https://c.example/slide"}),
            "https://c.example/slide",
        ),
        (
            json!({"error":"invalid_argument","error_code":3,"error_description":"invalid captcha_sign"}),
            "captcha_timestamp",
        ),
        (
            json!({"error":"captcha_invalid","error_code":4002,"error_description":"x"}),
            "does not know this device",
        ),
    ];
    for (answer, said) in answers {
        let stand = Stand::start(move |_| (200, answer.clone())).await;
        let drive = stand.drive(&[], &Store::of(&[("access_token", "at")]));
        let error = drive.quota().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Risk, "{error}");
        assert!(error.message.contains(said), "{error}");
        assert_eq!((stand.count(INIT), stand.count(ABOUT)), (1, 0));
    }
}

#[tokio::test]
async fn a_recorded_pair_is_sent_as_it_is() {
    let stand = Stand::start(|asked| match asked.call {
        INIT => {
            let meta = &asked.body["meta"];
            assert_eq!(meta["captcha_sign"], "1.2546227cbfbcf07eeba5df575fac2085");
            assert_eq!(meta["timestamp"], "1787409379387");
            assert_eq!(meta["client_version"], "1.99.0");
            assert_eq!(meta["user_id"], "0");
            (200, json!({"captcha_token":"ck0.new","expires_in":300}))
        }
        ABOUT => quota(),
        _ => (404, json!({"error":"not_found"})),
    })
    .await;
    let fields = [
        ("device_id", DEVICE),
        ("captcha_timestamp", "1787409379387"),
        ("client_version", "1.99.0"),
    ];
    let secrets = [
        ("access_token", "at"),
        ("captcha_sign", "1.2546227cbfbcf07eeba5df575fac2085"),
    ];
    let store = Store::of(&secrets);
    stand.drive(&fields, &store).quota().await.unwrap();
    // Such a pair is of one device.
    let lonely = open(stand.context(&fields[1..], &store));
    assert_eq!(lonely.err().unwrap().kind, ErrorKind::Invalid);
}

#[tokio::test]
async fn a_refresh_token_is_used_once_and_saved_first() {
    for (platform, secret) in [
        ("web", Value::Null),
        ("app", json!("Xp6vsy4tN9toTVdMSpomVdXpRmES")),
    ] {
        let store = Store::of(&[("refresh_token", "a1.old"), ("captcha_token", "ck0.given")]);
        let seen = store.clone();
        let stand = Stand::start(move |asked| match asked.call {
            "POST /v1/auth/token" => {
                assert_eq!(asked.body["grant_type"], "refresh_token");
                assert_eq!(asked.body["refresh_token"], "a1.old");
                assert_eq!(asked.body["client_secret"], secret);
                let answer = json!({"token_type":"Bearer","access_token":"new",
                    "refresh_token":"a1.new","expires_in":43200,"user_id":"654321"});
                (200, answer)
            }
            _ => {
                assert_eq!(asked.header("authorization"), "Bearer new");
                assert_eq!(seen.get("refresh_token"), "a1.new");
                quota()
            }
        })
        .await;
        let drive = stand.drive(&[("platform", platform)], &store);
        let calls = (0..6).map(|_| drive.quota());
        for done in futures_util::future::join_all(calls).await {
            done.unwrap();
        }
        assert_eq!(stand.count("POST /v1/auth/token"), 1);
        assert_eq!(drive.account_id().as_deref(), Some("654321"));
    }
}

#[tokio::test]
async fn dead_tokens_end_in_auth() {
    let stand = Stand::start(|asked| match asked.call {
        "POST /v1/auth/token" => refusal(4126, "invalid_grant"),
        _ => (401, json!({"error":"unauthenticated","error_code":16})),
    })
    .await;
    let store = Store::of(&[
        ("access_token", "at"),
        ("refresh_token", "a1.dead"),
        ("captcha_token", "ck0.given"),
    ]);
    for store in [signed_in(), store] {
        let drive = stand.drive(&[], &store);
        for _ in 0..2 {
            assert_eq!(drive.quota().await.unwrap_err().kind, ErrorKind::Auth);
        }
    }
    assert_eq!(stand.count("POST /v1/auth/token"), 1);
}

#[tokio::test]
async fn too_frequent_is_waited_out_then_a_token_then_a_rest() {
    let stand = Stand::start(|asked| match asked.call {
        "POST /v1/auth/token" => (
            200,
            json!({"access_token":"new","refresh_token":"a1.new","expires_in":43200}),
        ),
        _ => refusal(10, "operation_too_frequent"),
    })
    .await;
    let store = Store::of(&[
        ("access_token", "at"),
        ("refresh_token", "a1.old"),
        ("captcha_token", "ck0.given"),
    ]);
    let drive = stand.drive(&[], &store);
    let error = drive.quota().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert_eq!(stand.count("POST /v1/auth/token"), 1);
    assert_eq!(stand.count(ABOUT), 3);
    // The account rests.
    assert!(drive.quota().await.is_err());
    assert_eq!(stand.count(ABOUT), 3);
}

#[tokio::test]
async fn a_device_is_made_once() {
    let stand = Stand::start(|asked| {
        assert_eq!(asked.header("x-device-id").len(), 32);
        quota()
    })
    .await;
    let store = signed_in();
    stand.drive(&[], &store).quota().await.unwrap();
    let device = store.get("device_id");
    assert_eq!(device.len(), 32);
    stand.drive(&[], &store).quota().await.unwrap();
    assert_eq!(store.get("device_id"), device);
    for (field, value) in [("platform", "ios"), ("device_id", "x"), ("archives", "no")] {
        let error = open(stand.context(&[(field, value)], &store))
            .err()
            .unwrap();
        assert!(error.message.contains(field), "{error}");
    }
}
