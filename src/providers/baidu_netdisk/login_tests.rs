use super::super::stand_in::{Act, Shared, context, start};
use super::*;

const TOKENS: &str = r#"{"expires_in":2592000,"refresh_token":"122.new","access_token":"121.new",
    "session_secret":"","session_key":"","scope":"basic netdisk"}"#;

const DEVICE: &str = r#"{"device_code":"device-secret","user_code":"jvsd2u",
    "verification_url":"https://openapi.baidu.com/device",
    "qrcode_url":"https://openapi.baidu.com/device/qrcode/3c/jvsd2u","expires_in":300,"interval":5}"#;

async fn stage() -> (LoginContext, Shared) {
    let (_, server) = start("official_oauth").await;
    let context = LoginContext {
        drive: context("official_oauth", &server),
        secrets: [("client_secret".to_owned(), Secret::new("app-secret"))].into(),
    };
    (context, server)
}

fn say(server: &Shared, op: &'static str, status: u16, text: &'static str) {
    server.lock().unwrap().act(op, Act::Instead(status, text));
}

fn last(server: &Shared, key: &str) -> String {
    let server = server.lock().unwrap();
    let (_, query) = server.queries.last().unwrap();
    query.get(key).cloned().unwrap_or_default()
}

#[tokio::test]
async fn the_page_names_the_app_and_not_its_secret() {
    let (mut context, _server) = stage().await;
    let page = LOGIN.page(&context).unwrap();
    let url = Url::parse(&page.url).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(
        pairs,
        [
            ("response_type", "code"),
            ("client_id", "C"),
            ("redirect_uri", "oob"),
            ("scope", "basic,netdisk"),
            ("device_id", "77"),
        ]
    );
    assert_eq!(url.path(), "/oauth/2.0/authorize");
    context.drive.fields.remove("app_id");
    assert!(!LOGIN.page(&context).unwrap().url.contains("device_id"));
    context.secrets.clear();
    let error = LOGIN.page(&context).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("client_secret"), "{error}");
}

#[tokio::test]
async fn a_code_is_exchanged_once() {
    let (context, server) = stage().await;
    let page = LOGIN.page(&context).unwrap();
    let code = Secret::new("the-code");
    say(&server, "login", 200, TOKENS);
    let got = LOGIN.exchange(&context, &page, &code).await.unwrap();
    assert_eq!(got["refresh_token"].expose(), "122.new");
    assert_eq!(got["access_token"].expose(), "121.new");
    let until: i64 = got["access_expires_at"].expose().parse().unwrap();
    assert!(until > context.drive.clock.now_ms() + 2_500_000_000);
    for (key, value) in [
        ("grant_type", "authorization_code"),
        ("code", "the-code"),
        ("client_id", "C"),
        ("client_secret", "app-secret"),
        ("redirect_uri", "oob"),
    ] {
        assert_eq!(last(&server, key), value);
    }
    for (status, text, kind, said) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"Invalid authorization code"}"#,
            ErrorKind::Auth,
            "older than ten minutes",
        ),
        (
            400,
            r#"{"error":"invalid_client"}"#,
            ErrorKind::Auth,
            "SecretKey",
        ),
        (
            400,
            r#"{"error":"x","error_description":"Trigger security policy"}"#,
            ErrorKind::Auth,
            "risk control",
        ),
        (
            200,
            r#"{"access_token":"121.a"}"#,
            ErrorKind::BadAnswer,
            "refresh_token",
        ),
        (
            503,
            r#"{"error":"server_error"}"#,
            ErrorKind::Provider,
            "login",
        ),
    ] {
        let before = server.lock().unwrap().count("login");
        say(&server, "login", status, text);
        let error = LOGIN.exchange(&context, &page, &code).await.unwrap_err();
        assert_eq!((error.kind, error.retry), (kind, Retry::Never), "{text}");
        assert!(error.message.contains(said), "{error}");
        let shown = format!("{error:?}");
        assert!(!shown.contains("the-code") && !shown.contains("app-secret"));
        assert_eq!(server.lock().unwrap().count("login"), before + 1);
    }
}

#[tokio::test]
async fn a_device_is_polled_until_the_user_answers() {
    let (context, server) = stage().await;
    say(&server, "device_code", 200, DEVICE);
    let device = LOGIN.begin(&context).await.unwrap();
    assert_eq!(device.user_code.as_deref(), Some("jvsd2u"));
    let picture = "https://openapi.baidu.com/device/qrcode/3c/jvsd2u".to_owned();
    assert_eq!(device.qr, Some(Qr::Picture(picture)));
    assert_eq!(device.interval, Duration::from_secs(5));
    assert_eq!(device.expires_in, Duration::from_secs(300));
    assert_eq!(last(&server, "scope"), "basic,netdisk");
    assert_eq!(
        last(&server, "client_secret"),
        "",
        "not sent where it is not wanted"
    );
    let poll = async |status: u16, text: &'static str| {
        say(&server, "login", status, text);
        let poll = LOGIN.poll(&context, &device).await;
        assert_eq!(last(&server, "code"), "device-secret");
        assert_eq!(last(&server, "grant_type"), "device_token");
        poll
    };
    let pending = r#"{"error":"authorization_pending","error_description":"User has not yet"}"#;
    assert!(matches!(poll(400, pending).await, Ok(DevicePoll::Pending)));
    let slow = r#"{"error":"slow_down"}"#;
    assert!(matches!(poll(400, slow).await, Ok(DevicePoll::SlowDown)));
    let late = r#"{"error":"expired_token"}"#;
    assert!(matches!(poll(400, late).await, Ok(DevicePoll::Expired)));
    for no in [
        r#"{"error":"authorization_declined"}"#,
        r#"{"error":"access_denied"}"#,
    ] {
        assert!(matches!(poll(400, no).await, Ok(DevicePoll::Denied)));
    }
    let error = poll(400, r#"{"error":"invalid_scope"}"#).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    // A gateway's trouble is no answer of the user: it may be asked again.
    let error = poll(502, "bad gateway").await.unwrap_err();
    assert_ne!(error.kind, ErrorKind::Auth);
    assert!(!format!("{error:?}").contains("device-secret"));
    match poll(200, TOKENS).await.unwrap() {
        DevicePoll::Granted(got) => assert_eq!(got["refresh_token"].expose(), "122.new"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_device_answer_must_have_something_to_show() {
    let (context, server) = stage().await;
    for text in [
        r#"{"user_code":"a","verification_url":"https://x"}"#,
        r#"{"device_code":"d","user_code":"a"}"#,
        "[]",
    ] {
        say(&server, "device_code", 200, text);
        let error = LOGIN.begin(&context).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{text}");
    }
    say(&server, "device_code", 400, r#"{"error":"invalid_client"}"#);
    let error = LOGIN.begin(&context).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Auth);
    // Pauses and lives that make no sense are bounded.
    say(
        &server,
        "device_code",
        200,
        r#"{"device_code":"d","qrcode_url":"https://x","interval":0,"expires_in":99999999}"#,
    );
    let device = LOGIN.begin(&context).await.unwrap();
    assert_eq!(device.interval, Duration::from_secs(1));
    assert_eq!(device.expires_in, Duration::from_secs(3600));
}
