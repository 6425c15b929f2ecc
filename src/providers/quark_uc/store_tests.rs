//! The texts to sign, against the vectors of both sheets.

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha1::Sha1;
use sha2::Sha256;

use super::super::ordered::compact;
use super::*;
use crate::fingerprint::{Sha1State, hex_lower};

fn vectors() -> [Value; 2] {
    [
        include_str!("../../../tests/fixtures/quark.vectors.json"),
        include_str!("../../../tests/fixtures/uc.vectors.json"),
    ]
    .map(|text| serde_json::from_str::<Value>(text).unwrap()["vectors"].take())
}

fn list<'a>(vectors: &'a Value, name: &str, least: usize) -> &'a [Value] {
    let all = vectors[name].as_array().unwrap();
    assert!(all.len() >= least, "{name}");
    all
}

/// What an honest stand-in for the service answers to a text.
fn signature(text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(b"testOssSecret").unwrap();
    mac.update(text.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    format!("OSS STS.testAccessKey:{signature}")
}

fn check(vector: &Value, text: &str) {
    let name = vector["name"].as_str().unwrap();
    assert_eq!(text, vector["auth_meta"].as_str().unwrap(), "{name}");
    let sha256 = hex_lower(&Sha256::digest(text));
    assert_eq!(sha256, vector["auth_meta_sha256"].as_str().unwrap());
    assert_eq!(
        signature(text),
        vector["simulator_auth_key"].as_str().unwrap()
    );
}

#[test]
fn the_text_of_a_part() {
    for vectors in vectors() {
        for vector in list(&vectors, "auth_meta_put", 2) {
            let text = |key: &str| vector[key].as_str().unwrap();
            assert_eq!(text("user_agent"), AGENT);
            let place = Place {
                bucket: text("bucket"),
                key: text("obj_key"),
                upload_id: text("upload_id"),
            };
            let number = u32::try_from(vector["part_number"].as_u64().unwrap()).unwrap();
            let state = vector["hash_ctx"].as_str();
            check(
                vector,
                &place.part_text(text("mime"), text("date"), number, state),
            );
        }
    }
}

#[test]
fn the_text_and_the_body_of_the_end() {
    let parts = list(&vectors()[0], "auth_meta_put", 2).to_vec();
    let parts = [parts, list(&vectors()[1], "auth_meta_put", 2).to_vec()];
    for (vectors, parts) in vectors().into_iter().zip(parts) {
        let place = Place {
            bucket: parts[0]["bucket"].as_str().unwrap(),
            key: parts[0]["obj_key"].as_str().unwrap(),
            upload_id: parts[0]["upload_id"].as_str().unwrap(),
        };
        for vector in list(&vectors, "complete_multipart", 2) {
            let text = |key: &str| vector[key].as_str().unwrap();
            let etags = vector["etags"].as_array().unwrap().iter();
            let etags = (1..).zip(etags.map(|etag| etag.as_str().unwrap()));
            let body = complete_body(etags);
            assert_eq!(body, text("xml"));
            let md5 = STANDARD.encode(Md5::digest(&body));
            assert_eq!(md5, text("content_md5"));
            let answer = format!(r#"{{"data":{{"callback":{}}}}}"#, text("callback_json"));
            let callback = compact(answer.as_bytes(), &["data", "callback"]).unwrap();
            assert_eq!(callback, text("callback_json"));
            let callback = STANDARD.encode(callback);
            assert_eq!(callback, text("callback_b64"));
            check(vector, &place.complete_text(&md5, text("date"), &callback));
        }
    }
}

#[test]
fn the_state_before_a_part() {
    for vectors in vectors() {
        for vector in list(&vectors, "oss_hash_ctx", 3) {
            let name = vector["name"].as_str().unwrap();
            let header = vector["header_value"].as_str().unwrap();
            let state = Sha1State::from_header(header).unwrap();
            assert_eq!(
                Some(state.length()),
                vector["prefix_bytes"].as_u64(),
                "{name}"
            );
            assert_eq!(state.json().as_deref(), vector["json"].as_str(), "{name}");
            assert_eq!(state.header().as_deref(), Some(header), "{name}");
            let words: Vec<u64> = state.words().map(u64::from).to_vec();
            assert_eq!(serde_json::json!(words), vector["h"], "{name}");
            assert_eq!(
                state.finish(),
                vector["prefix_sha1"].as_str().unwrap(),
                "{name}"
            );
        }
    }
    // From the bytes.
    let bytes: Vec<u8> = (0..4_u32 << 20).map(|i| (i % 251) as u8).collect();
    let mut state = Sha1State::new();
    state.update(&bytes);
    let first = &vectors()[0]["oss_hash_ctx"][0];
    assert_eq!(state.header().as_deref(), first["header_value"].as_str());
}

#[test]
fn refusals_of_the_store() {
    let of = |status, code: &str| {
        refusal(
            "part",
            status,
            format!("<Error><Code>{code}</Code></Error>").as_bytes(),
        )
    };
    assert_eq!(of(403, "SignatureDoesNotMatch").retry, Retry::Backoff);
    assert_eq!(
        of(400, "ContextCompareFailed").kind,
        ErrorKind::Verification
    );
    assert_eq!(of(400, "InvalidPart").kind, ErrorKind::Verification);
    assert_eq!(of(400, "PartNotSequential").kind, ErrorKind::Invalid);
    assert_eq!(of(404, "NoSuchUpload").kind, ErrorKind::NotFound);
    assert_eq!(of(409, "PartAlreadyExist").kind, ErrorKind::Exists);
    let body = b"<Error><Code>PartAlreadyExist</Code><PartEtag>\"AB\"</PartEtag></Error>";
    assert_eq!(oss::element(body, "PartEtag").as_deref(), Some("\"AB\""));
    assert_eq!(oss::element(b"<html>", "PartEtag"), None);
}
