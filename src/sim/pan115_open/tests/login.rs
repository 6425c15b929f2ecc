//! Logins, tokens, refreshes.

use super::*;
use crate::sim::pan115_open::auth;

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let mut client = Client::new("115");
    let spent = client.refresh.clone();
    let answer = client
        .passport("/open/refreshToken", &[("refresh_token", &spent)])
        .await;
    assert_eq!(
        (
            &answer["state"],
            &answer["code"],
            &answer["data"]["expires_in"]
        ),
        (&json!(1), &json!(0), &json!(7200))
    );
    // The old access token lives on, the new one works, profiles show the new pair.
    assert_eq!(client.list("0").await["state"], true);
    client.access = text(&answer["data"], "access_token").to_owned();
    assert_eq!(client.list("0").await["state"], true);
    let now = client.world.profile("115").unwrap();
    assert_eq!(now.secrets["access_token"], client.access);

    let again = client
        .passport("/open/refreshToken", &[("refresh_token", &spent)])
        .await;
    assert_eq!(
        (
            &again["state"],
            &again["code"],
            &again["errno"],
            &again["data"]
        ),
        (
            &json!(0),
            &json!(40_140_116),
            &json!(40_140_116),
            &json!([])
        )
    );
    for (token, code) in [("nonsense", 40_140_114), ("", 40_140_114)] {
        let answer = client
            .passport("/open/refreshToken", &[("refresh_token", token)])
            .await;
        assert_eq!(answer["code"], code, "{token}");
    }
    let stat = client.world.stat("115").unwrap();
    assert_eq!((stat.refreshes, stat.count("refresh")), (1, 2));

    client.set("refresh_gap_s", "60");
    let fresh = now.secrets["refresh_token"].clone();
    let form = [("refresh_token", fresh.as_str())];
    let soon = client.passport("/open/refreshToken", &form).await;
    assert_eq!(soon["code"], 40_140_117);
    client.world.clock_advance(61_000);
    let later = client.passport("/open/refreshToken", &form).await;
    assert_eq!(later["code"], 0, "refused as too frequent, but not used up");
    let next = text(&later["data"], "refresh_token").to_owned();
    // The year counts from the login.
    client.world.clock_advance(365 * 86_400_000);
    let form = [("refresh_token", next.as_str())];
    let old = client.passport("/open/refreshToken", &form).await;
    assert_eq!(old["code"], 40_140_119);
}

#[tokio::test]
async fn access_tokens_expire_and_are_checked() {
    let mut client = Client::new("115");
    client.world.clock_advance(7_200_001);
    let expired = client.list("0").await;
    assert_eq!(
        (&expired["state"], &expired["code"], &expired["errno"]),
        (&json!(false), &json!(40_140_125), &json!(40_140_125))
    );
    client.world.clock_advance(-7_200_001);
    assert_eq!(client.list("0").await["state"], true);
    client.fault("list", FaultKind::ExpireToken, "");
    assert_eq!(client.list("0").await["code"], 40_140_125);
    assert_eq!(
        client.list("0").await["code"],
        40_140_125,
        "it stays expired"
    );
    client.access = "nonsense".to_owned();
    assert_eq!(client.list("0").await["code"], 40_140_123);
    let url = format!("{}/open/user/info", client.base);
    let bare: Value = client
        .http
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(bare["code"], 99);
    assert_eq!(client.get("/open/none", &[]).await["code"], 980_006);
    assert_eq!(client.get("/open/folder/add", &[]).await["code"], 980_006);
}

/// Device code login; answers the token call.
async fn log_in(client: &Client, verifier: &str, challenge: &str, polls: u32) -> Value {
    let start = [
        ("client_id", auth::CLIENT_ID),
        ("code_challenge", challenge),
        ("code_challenge_method", "md5"),
    ];
    let code = client.passport("/open/authDeviceCode", &start).await["data"].clone();
    let time = code["time"].to_string();
    let query = [
        ("uid", text(&code, "uid")),
        ("time", &time),
        ("sign", text(&code, "sign")),
    ];
    for expected in 0..polls {
        let url = format!("{}/get/status/", client.base);
        let asked = client.http.get(url).query(&query).send().await.unwrap();
        let status: Value = asked.json().await.unwrap();
        assert_eq!(status["state"], 1);
        assert_eq!(
            status["data"]["status"].as_u64().unwrap_or(0),
            u64::from(expected)
        );
    }
    let end = [("uid", text(&code, "uid")), ("code_verifier", verifier)];
    client.passport("/open/deviceCodeToToken", &end).await
}

#[tokio::test]
async fn device_code_login_and_the_fourth_that_kicks_the_first() {
    let client = Client::new("115");
    let verifier = "0123456789abcdef".repeat(4);
    // Url-safe without padding is accepted as well.
    let challenge = "_jof9Z87ibKtPTPwiYSHSw";
    let short = log_in(&client, "short", challenge, 3).await;
    assert_eq!(short["code"], 40_140_112);
    let wrong = log_in(&client, &"x".repeat(43), challenge, 3).await;
    assert_eq!(wrong["code"], 40_140_113);
    let early = log_in(&client, &verifier, challenge, 2).await;
    assert_eq!(
        (&early["state"], &early["code"]),
        (&json!(0), &json!(40_110_000))
    );
    for (field, code) in [
        ("code_challenge", 40_140_101),
        ("code_challenge_method", 40_140_102),
    ] {
        let mut form = vec![
            ("client_id", "1"),
            ("code_challenge", "x"),
            ("code_challenge_method", "md5"),
        ];
        form.retain(|(key, _)| *key != field);
        assert_eq!(
            client.passport("/open/authDeviceCode", &form).await["code"],
            code
        );
    }
    let forged = [("uid", "1"), ("time", "1"), ("sign", "1")];
    let url = format!("{}/get/status/", client.base);
    let gone = client.http.get(url).query(&forged).send().await.unwrap();
    assert_eq!(gone.json::<Value>().await.unwrap()["state"], 0);

    for _ in 0..2 {
        assert_eq!(log_in(&client, &verifier, challenge, 3).await["code"], 0);
        assert_eq!(client.list("0").await["state"], true);
    }
    let fourth = log_in(&client, &verifier, challenge, 3).await;
    assert_eq!(client.list("0").await["code"], 40_140_125, "kicked");
    let form = [("refresh_token", client.refresh.as_str())];
    let kicked = client.passport("/open/refreshToken", &form).await;
    assert_eq!(kicked["code"], 40_140_116);
    let mut newest = Client::of(client.world.clone(), "115");
    newest.access = text(&fourth["data"], "access_token").to_owned();
    assert_eq!(newest.list("0").await["state"], true);
    // Another account is not touched by any of this.
    let other = Client::of(client.world.clone(), "115-2");
    assert_eq!(other.list("0").await["state"], true);
}
