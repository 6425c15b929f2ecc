//! Tests of the redaction.

use super::*;

const TOKEN: &str = "dG9rZW4x.MjM0NTY3ODkwYWJjZGVmZ2hpamtsbW5vcA9Xy7";

#[test]
fn url_secrets_are_masked_and_the_rest_stays() {
    let masked = [
        "access_token",
        "token",
        "sign",
        "signature",
        "Signature",
        "x-oss-signature",
        "X-Amz-Credential",
        "x-oss-security-token",
        "security-token",
        "auth_key",
        "k",
        "key",
        "code",
        "cookie",
        "OSSAccessKeyId",
        "AccessKeyId",
        "refreshToken",
        "passwd",
        "sessionKey",
        "access%5Ftoken",
    ];
    for key in masked {
        let url = format!("https://user:pw@h.example/a/b?limit=100&{key}=tell-nobody&dir=%2Fx");
        assert_eq!(
            redact_url(&url),
            format!("https://h.example/a/b?limit=100&{key}=***&dir=%2Fx"),
        );
    }
    let open = "https://h.example:8443/b/o?uploadId=0004B9894A22E5B1888A1E29F8236E2D&partNumber=3\
                &page_token=WyIyMDI0LTAxLTAxIl0abc123def456&fid=64f0a1b2c3d4e5f60718293a4b5c6d7e";
    assert_eq!(redact_url(open), open);
}

#[test]
fn url_random_values_of_unknown_keys_are_masked() {
    let url = format!("https://h.example/x?zz={TOKEN}&n=1#frag");
    let shown = redact_url(&url);
    assert_eq!(shown, "https://h.example/x?zz=dG9r***y7&n=1");
}

#[test]
fn json_values_by_key() {
    let text = format!(
        r#"{{"code":40140,"message":"bad request","access_token":"{TOKEN}","refresh_token": "short","expires_in":7200,"list":[{{"file_id":"64f0a1b2c3d4e5f60718293a","cookies":["a","b"]}}],"token":null}}"#
    );
    assert_eq!(
        redact_text(&text),
        r#"{"code":40140,"message":"bad request","access_token":"dG9r***y7","refresh_token": "***","expires_in":7200,"list":[{"file_id":"64f0a1b2c3d4e5f60718293a","cookies":***}],"token":null}"#
    );
}

#[test]
fn escaped_json_inside_json() {
    let text = r#"{"data":"{\"access_token\":\"abc\",\"n\":1}","password":"a\"b","z":2}"#;
    assert_eq!(
        redact_text(text),
        r#"{"data":"{\"access_token\":\"***\",\"n\":1}","password":"***","z":2}"#
    );
}

#[test]
fn cut_json_masks_to_the_end() {
    let text = r#"{"access_token":"abcdefgh"#;
    assert_eq!(redact_text(text), r#"{"access_token":"***"#);
}

#[test]
fn forms_and_headers() {
    assert_eq!(
        redact_text("grant_type=refresh_token&refresh_token=abc&client_id=app&code=XY12"),
        "grant_type=refresh_token&refresh_token=***&client_id=app&code=***"
    );
    assert_eq!(
        redact_text(
            "Host: a.example\r\nCookie: UID=1; CID=2\r\nAuthorization: Bearer abc\r\nRange: bytes=0-9"
        ),
        "Host: a.example\r\nCookie: ***\r\nAuthorization: ***\r\nRange: bytes=0-9"
    );
    assert_eq!(
        redact_text(&format!("sent Bearer {TOKEN} to it")),
        "sent Bearer dG9r***y7 to it"
    );
}

#[test]
fn prose_stays_readable() {
    let plain = "error sending request: connection refused (os error 111), op getUploadUrlForPart \
                 /adrive/v1.0/openFile/getDownloadUrl 2026-01-31T12:00:00Z token: invalid, 文件不存在";
    assert_eq!(redact_text(plain), plain);
}

#[test]
fn tokens_and_urls_in_prose_are_masked() {
    let text = format!("link https://h.example/f?sign=abc&n=1 and {TOKEN} failed");
    let shown = redact_text(&text);
    assert_eq!(
        shown,
        "link https://h.example/f?sign=***&n=1 and dG9r***y7 failed"
    );
    let hex = "value 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 here";
    assert_eq!(redact_text(hex), "value 9f86***08 here");
}

#[test]
fn secrets_inside_harmless_values_and_prose() {
    for (text, shown) in [
        (
            "login failed, password: hunter2 is wrong",
            "login failed, password: *** is wrong",
        ),
        ("bad token: expired, again", "bad token: expired, again"),
        ("name=token=abc", "name=token=***"),
        (r#"{"path":"/x?sign=abc"}"#, r#"{"path":"/x?sign=***"}"#),
        (
            r#"{"message":"refresh_token=abc is spent"}"#,
            r#"{"message":"refresh_token=*** is spent"}"#,
        ),
    ] {
        assert_eq!(redact_text(text), shown);
    }
}

#[test]
fn at_most_six_characters_survive() {
    for text in [
        format!("token={TOKEN}"),
        format!("\"password\":\"{TOKEN}\""),
        TOKEN.to_owned(),
        format!("<title>{TOKEN}</title>"),
        format!("Authorization: {TOKEN}"),
    ] {
        let shown = redact_text(&text);
        let longest = (5..TOKEN.len()).find(|n| {
            TOKEN
                .as_bytes()
                .windows(*n)
                .any(|part| shown.as_bytes().windows(*n).any(|other| other == part))
        });
        assert_eq!(longest, None, "{shown}");
    }
}

mod any_text {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_panics_and_keeps_no_keyed_secret(
            before in "[ -~\u{4e00}-\u{4e10}\\n]{0,40}",
            secret in "[a-zA-Z0-9]{8,40}",
        ) {
            let shown = redact_text(&format!("{before}\n{{\"access_token\":\"{secret}\"}}"));
            prop_assert!(!before.contains(&secret) && !shown.contains(&secret) || before.contains(&secret));
            let _ = redact_url(&before);
            let shown = redact_url(&format!("https://h/{}?sign={secret}", before.replace(['?', '#'], "")));
            prop_assert!(!shown.contains(&secret) || before.contains(&secret));
        }
    }
}
