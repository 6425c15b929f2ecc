//! The published vectors of what the simulator computes (those of the hash context stand
//! beside their code).

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::super::content::Blob;
use super::super::super::digest::{HashKind, hex};
use super::super::super::oss::parse_parts;
use super::super::super::oss::sign::string_to_sign;
use super::super::files::escaped;
use super::super::share::damaged;
use super::super::upload::{auth_key, normalised};
use super::pattern;

fn vectors(key: &str) -> Value {
    let text = match key {
        "uc" => include_str!("../../../../tests/fixtures/uc.vectors.json"),
        _ => include_str!("../../../../tests/fixtures/quark.vectors.json"),
    };
    serde_json::from_str::<Value>(text).unwrap()["vectors"].take()
}

fn each(key: &str, group: &str, wanted: usize, mut check: impl FnMut(&Value)) {
    let all = vectors(key)[group].take();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), wanted, "{key} {group}");
    all.iter().for_each(&mut check);
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        let value = HeaderValue::from_str(value).unwrap();
        (HeaderName::from_static(name), value)
    });
    pairs.collect()
}

#[test]
fn signatures_of_parts() {
    for key in ["quark", "uc"] {
        each(key, "auth_meta_put", 2, |vector| {
            let meta = text(vector, "auth_meta");
            assert_eq!(hex(&Sha256::digest(meta)), text(vector, "auth_meta_sha256"));
            assert_eq!(auth_key(meta), text(vector, "simulator_auth_key"));
            if let Some(variant) = vector["variant_seen_in_other_clients"].as_str() {
                assert_ne!(variant, meta);
                assert_eq!(normalised(variant), meta);
                assert_eq!(auth_key(variant), text(vector, "simulator_auth_key"));
            }
            // What the store makes of the headers is what was signed.
            let mut sent = headers(&[
                ("content-type", text(vector, "mime")),
                ("x-oss-date", text(vector, "date")),
                ("x-oss-user-agent", text(vector, "user_agent")),
            ]);
            if let Some(context) = vector["hash_ctx"].as_str() {
                sent.extend(headers(&[("x-oss-hash-ctx", context)]));
            }
            let query = [
                ("partNumber".to_owned(), vector["part_number"].to_string()),
                ("uploadId".to_owned(), text(vector, "upload_id").to_owned()),
            ];
            let (bucket, object) = (text(vector, "bucket"), text(vector, "obj_key"));
            assert_eq!(string_to_sign("PUT", &sent, bucket, object, &query), meta);
        });
    }
}

#[test]
fn completions() {
    for key in ["quark", "uc"] {
        each(key, "complete_multipart", 2, |vector| {
            let meta = text(vector, "auth_meta");
            assert_eq!(hex(&Sha256::digest(meta)), text(vector, "auth_meta_sha256"));
            assert_eq!(auth_key(meta), text(vector, "simulator_auth_key"));
            let (xml, callback) = (text(vector, "xml"), text(vector, "callback_b64"));
            assert_eq!(
                STANDARD.decode(callback).unwrap(),
                text(vector, "callback_json").as_bytes()
            );
            let md5 = Blob::bytes(xml.to_owned()).digest_now(HashKind::Md5);
            let sent = STANDARD.decode(text(vector, "content_md5")).unwrap();
            assert_eq!(md5, hex(&sent));
            let parts = parse_parts(xml).unwrap();
            let etags = vector["etags"].as_array().unwrap();
            assert_eq!(parts.len(), etags.len());
            for ((index, (number, etag)), wanted) in parts.iter().enumerate().zip(etags) {
                assert_eq!(*number as usize, index + 1);
                assert_eq!(format!("\"{etag}\""), wanted.as_str().unwrap());
            }
            let sent = headers(&[
                ("content-md5", text(vector, "content_md5")),
                ("content-type", "application/xml"),
                ("x-oss-callback", callback),
                ("x-oss-date", text(vector, "date")),
                ("x-oss-user-agent", super::SDK),
            ]);
            let resource = meta.rsplit('\n').next().unwrap();
            let (object, id) = resource.split_once("?uploadId=").unwrap();
            let (bucket, object) = object[1..].split_once('/').unwrap();
            let query = [("uploadId".to_owned(), id.to_owned())];
            assert_eq!(string_to_sign("POST", &sent, bucket, object, &query), meta);
        });
    }
}

#[test]
fn hashes_and_names() {
    for key in ["quark", "uc"] {
        each(key, "file_hashes", 3, |vector| {
            let blob = match text(vector, "content") {
                "ascii hello" => Blob::bytes("hello"),
                _ => Blob::bytes(pattern(vector["size"].as_u64().unwrap() as usize)),
            };
            let md5 = blob.digest_now(HashKind::Md5);
            assert_eq!(md5, text(vector, "md5"));
            assert_eq!(blob.digest_now(HashKind::Sha1), text(vector, "sha1"));
            let base64 = STANDARD.decode(text(vector, "md5_base64")).unwrap();
            assert_eq!(hex(&base64), md5);
        });
        each(key, "md5_field_decode", 4, |vector| {
            let (field, wanted) = (text(vector, "field_value"), text(vector, "md5_hex"));
            match field.ends_with("==") {
                true => assert_eq!(hex(&STANDARD.decode(field).unwrap()), wanted),
                false => assert_eq!(field, wanted),
            }
        });
    }
    each("quark", "file_name_unescape", 2, |vector| {
        assert_eq!(escaped(text(vector, "name")), text(vector, "field_value"));
    });
    // The damage is done as the repair undoes it.
    each("uc", "stoken_fixup", 2, |vector| {
        assert_eq!(damaged(text(vector, "used")), text(vector, "received"));
    });
}
