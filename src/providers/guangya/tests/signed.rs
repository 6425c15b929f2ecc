//! Requests to the object store, checked by a signer that is checked by the vectors of the sheet
//! (section 7, signature V1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::*;
use crate::drive::{Conversation, ReadBudget};

/// What the store signs, step by step as section 7 has it.
struct Signing {
    method: String,
    md5: String,
    kind: String,
    date: String,
    /// `x-oss-*` headers.
    oss: BTreeMap<String, String>,
    resource: String,
}

impl Signing {
    fn text(&self) -> String {
        let mut lines = vec![
            self.method.clone(),
            self.md5.clone(),
            self.kind.clone(),
            self.date.clone(),
        ];
        lines.extend(
            self.oss
                .iter()
                .map(|(name, value)| format!("{name}:{value}")),
        );
        lines.push(self.resource.clone());
        lines.join("\n")
    }

    fn authorization(&self, id: &str, secret: &str) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(self.text().as_bytes());
        format!("OSS {id}:{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The resource with its signed sub-resources, by name.
fn resource(path: &str, query: &BTreeMap<String, String>) -> String {
    let signed: Vec<String> = query
        .iter()
        .filter(|(name, _)| ["uploads", "uploadId", "partNumber"].contains(&name.as_str()))
        .map(|(name, value)| match value.as_str() {
            "" => name.clone(),
            value => format!("{name}={value}"),
        })
        .collect();
    match signed.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", signed.join("&")),
    }
}

#[test]
fn the_signer_here_is_the_one_of_the_vectors() {
    let vectors: Value = serde_json::from_str(include_str!(
        "../../../../tests/fixtures/guangya.vectors.json"
    ))
    .unwrap();
    let all = vectors["oss_v1"].as_array().unwrap();
    assert!(all.len() >= 3);
    for vector in all {
        let text = |key: &str| vector[key].as_str().unwrap().to_owned();
        let mut oss = BTreeMap::from([("x-oss-security-token".to_owned(), text("security_token"))]);
        if vector["sign_x_oss_date"] == true {
            oss.insert("x-oss-date".to_owned(), text("date"));
        }
        let query = vector["subresources"].as_object().unwrap();
        let query = query
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let path = format!("/{}/{}", text("bucket"), text("object_key"));
        let signing = Signing {
            method: text("method"),
            md5: text("content_md5"),
            kind: text("content_type"),
            date: text("date"),
            oss,
            resource: resource(&path, &query),
        };
        assert_eq!(signing.text(), text("string_to_sign"), "{}", vector["name"]);
        let made = signing.authorization(&text("access_key_id"), &text("access_key_secret"));
        assert_eq!(made, text("authorization"), "{}", vector["name"]);
    }
}

/// Signs again what the store was sent.
fn signed_again(seen: &Seen, method: &str) -> String {
    let query = seen.query.split('&').filter(|pair| !pair.is_empty());
    let query = query
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        })
        .collect();
    let oss = seen.headers.iter().filter_map(|(name, value)| {
        let name = name.as_str();
        let value = value.to_str().unwrap();
        name.starts_with("x-oss-")
            .then(|| (name.to_owned(), value.to_owned()))
    });
    Signing {
        method: method.to_owned(),
        md5: seen.header("content-md5").to_owned(),
        kind: seen.header("content-type").to_owned(),
        date: seen.header("date").to_owned(),
        oss: oss.collect(),
        resource: resource(&seen.path, &query),
    }
    .authorization("STS.1", "SECRETKEY")
}

#[tokio::test]
async fn every_request_of_an_upload_is_signed() {
    let bed = Bed::new().await;
    let initiated = "<InitiateMultipartUploadResult><UploadId>0004B9</UploadId></InitiateMultipartUploadResult>";
    bed.on(TOKEN, [ticket("up-1", "STS.1")])
        .on("POST uploads", [(200, initiated.to_owned())])
        .on("POST uploadId", [(200, "<R/>".to_owned())])
        .on("DELETE uploadId", [(204, String::new())])
        .on(INFO, [yields("77", "a.bin", 3)])
        .on(STAT, [code(146, json!(null))])
        .on(DELETE_TASK, [good(json!({}))]);
    for size in [3, SIZE + 1] {
        let sample = Sample::new(size, &[]);
        let frugal = Conversation::new(&sample, ReadBudget::None);
        let request = request(size);
        let mut session = bed.drive.open_upload(&request, &frugal).await.unwrap();
        for n in 1..=session.part_count(size) {
            let range = session.part_range(size, n);
            let bytes = sample.bytes.slice(range.start as usize..range.end as usize);
            let receipt = bed.drive.put_part(&session, n, bytes).await.unwrap();
            session.accepted.push(receipt);
        }
        bed.drive
            .commit_upload(&request, &session, &frugal)
            .await
            .unwrap();
        // A key is at hand as long as the upload runs.
        bed.on("get_res_center_resume_token", [ticket("up-1", "STS.1")]);
        bed.drive.abandon_upload(&session).await.unwrap();
    }
    let mut kinds = std::collections::BTreeSet::new();
    for seen in bed.seen() {
        if !seen.path.starts_with("/gy-bucket/") {
            continue;
        }
        let method = seen.call.split(' ').next().unwrap();
        assert_eq!(
            seen.header("authorization"),
            signed_again(&seen, method),
            "{}",
            seen.call
        );
        assert!(!seen.header("date").is_empty());
        kinds.insert(seen.call);
    }
    let wanted = [
        "DELETE uploadId",
        "POST uploadId",
        "POST uploads",
        "PUT",
        "PUT partNumber",
    ];
    assert!(kinds.iter().map(String::as_str).eq(wanted), "{kinds:?}");
}
