//! The published vectors of the sheet, unchanged.

use serde_json::{Value, json};

use super::super::super::content::Blob;
use super::super::super::digest::{HashKind, md5_hex};
use super::super::v4::{self, Authorization};
use super::super::{clients, device_id, login};
use super::header_map;

fn fixture() -> Value {
    let text = include_str!("../../../../tests/fixtures/xunlei.vectors.json");
    serde_json::from_str(text).unwrap()
}

fn rows<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    let rows = value[key].as_array().unwrap();
    assert!(!rows.is_empty(), "{key}");
    rows
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

#[test]
fn captcha_signatures() {
    let fixture = fixture();
    let mut seen = 0;
    for row in rows(&fixture, "captcha_sign") {
        let (id, version) = (text(row, "client_id"), text(row, "client_version"));
        let client = clients::find(id, version, text(row, "package_name")).unwrap();
        for vector in rows(row, "vectors") {
            let sign = client.captcha_sign(text(vector, "device_id"), text(vector, "timestamp_ms"));
            assert_eq!(sign, text(vector, "captcha_sign"), "{row}");
            seen += 1;
        }
        assert!(clients::find(id, "0.0.1", text(row, "package_name")).is_none());
    }
    assert!(seen >= 8, "{seen}");
    // The sample that was published by a user of the web client (section 12).
    let web = clients::by_id(clients::WEB_ID).unwrap();
    assert_eq!(
        web.captcha_sign("adb1a76709f6584a13b58baaf6e1d871", "1787409379387"),
        "1.2546227cbfbcf07eeba5df575fac2085"
    );
}

#[test]
fn device_signatures() {
    let fixture = fixture();
    for row in rows(&fixture, "device_sign") {
        let client = clients::by_appid(text(row, "appid")).unwrap();
        assert_eq!(client.package, text(row, "package_name"));
        for vector in rows(row, "vectors") {
            let sign = client.device_sign(text(vector, "device_id"));
            assert_eq!(sign, text(vector, "device_sign"));
        }
    }
    for row in rows(&fixture, "default_device_id_md5_user_password") {
        let both = format!("{}{}", text(row, "username"), text(row, "password"));
        assert_eq!(md5_hex(both.as_bytes()), text(row, "device_id"));
    }
    for row in rows(&fixture, "safe_box_password_md5") {
        assert_eq!(md5_hex(text(row, "password").as_bytes()), text(row, "md5"));
    }
    let tree = super::super::super::tree::Tree::new(&["root:1"]);
    let account = super::super::Account::new("xunlei".to_owned(), 1, tree);
    let (name, password) = login(&account);
    assert_eq!(
        device_id(&account),
        md5_hex(format!("{name}{password}").as_bytes())
    );
}

/// Bytes that repeat a stretch, without their memory.
fn repeated(stretch: Vec<u8>, size: u64) -> Blob {
    let stretch = Blob::bytes(stretch);
    let count = usize::try_from(size.div_ceil(stretch.size())).unwrap();
    Blob::join(std::iter::repeat_n(&stretch, count)).slice(0, size)
}

fn content(row: &Value) -> Option<Blob> {
    let size = row["size"].as_u64().unwrap();
    let stretch = |period: u64, step: u64| -> Vec<u8> {
        (0..period * 4096)
            .map(|i| u8::try_from(i * step % period).unwrap())
            .collect()
    };
    Some(match text(row, "content") {
        "zero bytes" => Blob::bytes(""),
        "ASCII \"hello\"" => Blob::bytes("hello"),
        "byte i = i mod 256" => repeated(stretch(256, 1), size),
        "byte i = i mod 251" => repeated(stretch(251, 1), size),
        "byte i = (17*i) mod 251" => repeated(stretch(251, 17), size),
        "all bytes 0" => repeated(vec![0; 1 << 20], size),
        // Described in words of its own: one byte behind the others.
        _ if text(row, "name") == "pat256_256KiB_plus_FF" => Blob::join([
            &repeated(stretch(256, 1), size - 1),
            &Blob::bytes(vec![0xff]),
        ]),
        _ => return None,
    })
}

#[test]
fn gcids() {
    let fixture = fixture();
    let mut seen = 0;
    for row in rows(&fixture, "gcid_cid") {
        let Some(blob) = content(row) else {
            continue;
        };
        assert_eq!(blob.size(), row["size"].as_u64().unwrap());
        let gcid = blob.digest_now(HashKind::Gcid).to_uppercase();
        assert_eq!(gcid, text(row, "gcid"), "{row}");
        seen += 1;
    }
    assert!(seen >= 15, "{seen}");
}

#[test]
fn store_signatures() {
    let fixture = fixture();
    for row in rows(&fixture, "s3_sigv4") {
        let sent = text(row, "authorization");
        let authorization = Authorization::parse(sent).unwrap();
        assert_eq!(authorization.key_id, text(row, "access_key_id"));
        let headers = header_map(&[
            ("host", text(row, "host")),
            ("x-amz-content-sha256", text(row, "payload_sha256")),
            ("x-amz-date", text(row, "amz_date")),
            ("x-amz-security-token", text(row, "security_token")),
        ]);
        let query: Vec<(String, String)> = row["query"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let (method, path) = (text(row, "method"), text(row, "path"));
        let request =
            v4::canonical_request(method, path, &query, &headers, authorization.signed_headers);
        assert_eq!(request, text(row, "canonical_request"));
        let to_sign = v4::string_to_sign(text(row, "amz_date"), authorization.scope, &request);
        assert_eq!(to_sign, text(row, "string_to_sign"));
        let secret = text(row, "secret_access_key");
        let own = v4::signature(secret, authorization.scope, &to_sign);
        assert_eq!(own, authorization.signature);
    }
    assert_eq!(Authorization::parse("OSS a:b"), None);
    assert_eq!(
        Authorization::parse("AWS4-HMAC-SHA256 Credential=a/b"),
        None
    );
    assert_eq!(json!(v4::REGION), rows(&fixture, "s3_sigv4")[0]["region"]);
}
