//! Uploads in parts: begin, parts, abort (public S3 API reference, "Multipart upload").

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;

use super::super::account::Account;
use super::super::body::set;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::State;
use super::auth::Payload;
use super::checksums::{Algorithm, Claims};
use super::delete::nothing;
use super::errors::S3Error;
use super::gate::{Answer, Ctx};
use super::metadata::Kept;
use super::xml::{result, tag};

/// Part numbers are 1 to this.
pub(super) const MOST_PARTS: u32 = 10_000;

/// A part that came.
#[derive(Clone)]
pub(super) struct Part {
    pub blob: Blob,
    /// MD5 in hex.
    pub etag: String,
    /// When it came, milliseconds since 1970.
    pub modified: i64,
}

/// An upload that was begun.
#[derive(Clone)]
pub(super) struct Upload {
    /// Whose it is.
    pub profile: String,
    pub key: String,
    pub kept: Kept,
    /// When it was begun, milliseconds since 1970.
    pub initiated: i64,
    /// By number.
    pub parts: BTreeMap<u32, Part>,
}

impl Upload {
    /// Bytes of all parts.
    pub fn bytes(&self) -> u64 {
        let sizes = self.parts.values().map(|part| part.blob.size());
        sizes.fold(0, u64::saturating_add)
    }
}

/// What is known of a part before its body comes.
pub(super) struct PartPlan {
    number: u32,
    payload: Payload,
    claims: Claims,
    length: u64,
}

/// The upload of an account that a request names.
fn named<'a>(
    state: &'a mut State,
    account: &Account,
    key: &str,
    id: &str,
) -> Result<&'a mut Upload, S3Error> {
    let upload = state.uploads.get_mut(id);
    let own = upload.filter(|upload| upload.profile == account.profile && upload.key == key);
    own.ok_or_else(|| S3Error::no_such_upload(id))
}

impl Ctx {
    /// The upload's id, as the request has it.
    pub(super) fn upload_id(&self) -> &str {
        self.q("uploadId").unwrap_or("")
    }

    /// The upload that the request names.
    pub(super) fn upload(&self) -> Result<Upload, S3Error> {
        let mut state = self.sim.state();
        named(&mut state, &self.account, &self.key, self.upload_id()).cloned()
    }

    /// Refuses an upload that is not there.
    pub(super) fn check_upload(&self) -> Result<(), S3Error> {
        self.upload().map(|_| ())
    }

    /// 1 to 10 000.
    pub(super) fn part_number(&self) -> Result<u32, S3Error> {
        let text = self.q("partNumber").unwrap_or("");
        let number = text.parse().ok();
        let number = number.filter(|number| (1..=MOST_PARTS).contains(number));
        number.ok_or_else(|| {
            let message = "Part number must be an integer between 1 and 10000, inclusive";
            S3Error::argument("partNumber", text, message)
        })
    }

    /// POST `?uploads`.
    pub(super) fn create(&self) -> Answer {
        if let Some(algorithm) = self.headers.get("x-amz-checksum-algorithm") {
            let known = algorithm.to_str().ok().and_then(Algorithm::named);
            known.ok_or_else(|| S3Error::request("Checksum algorithm provided is unsupported."))?;
        }
        let upload = Upload {
            profile: self.account.profile.clone(),
            key: self.key.clone(),
            kept: Kept::read(&self.headers)?,
            initiated: self.now(),
            parts: BTreeMap::new(),
        };
        let ids = &self.sim.kit.ids;
        // In the order of their beginning: listings go by it.
        let id = format!("{}.{}_{}-", ids.decimal(12), ids.hex(40), ids.hex(30));
        self.sim.state().uploads.insert(id.clone(), upload);
        let inner = tag("Bucket", &self.bucket) + &tag("Key", &self.key) + &tag("UploadId", &id);
        Ok(result("InitiateMultipartUploadResult", &inner))
    }

    /// What can be said of a part before its body comes.
    pub(super) fn plan_part(&self, payload: Payload) -> Result<PartPlan, S3Error> {
        let plan = PartPlan {
            number: self.part_number()?,
            payload,
            claims: Claims::read(&self.headers)?,
            length: self.length()?,
        };
        self.check_upload()?;
        self.check_part_space(plan.number, plan.length)?;
        Ok(plan)
    }

    fn check_part_space(&self, number: u32, length: u64) -> Result<(), S3Error> {
        let mut state = self.sim.state();
        let upload = named(&mut state, &self.account, &self.key, self.upload_id())?;
        let old = upload.parts.get(&number).map_or(0, |part| part.blob.size());
        state.check_space(&self.account, &self.account.tree(), length, old)
    }

    /// Keeps a part, in place of one of its number; answers its tag without quotes.
    pub(super) async fn keep_part(&self, number: u32, blob: Blob) -> Result<String, S3Error> {
        let etag = blob.digest(HashKind::Md5).await;
        self.check_part_space(number, blob.size())?;
        let part = Part {
            blob,
            etag: etag.clone(),
            modified: self.now(),
        };
        let mut state = self.sim.state();
        let upload = named(&mut state, &self.account, &self.key, self.upload_id())?;
        upload.parts.insert(number, part);
        Ok(etag)
    }

    /// PUT of a part.
    pub(super) async fn part(&self, plan: PartPlan, body: Body) -> Answer {
        let taken = self.take_in(body, plan.length, &plan.payload, &plan.claims);
        let blob = taken.await?;
        let etag = self.keep_part(plan.number, blob).await?;
        let mut response = Response::default();
        set(&mut response, "etag", &format!("\"{etag}\""));
        if let Some((algorithm, value)) = &plan.claims.checksum {
            set(&mut response, algorithm.header(), value);
        }
        Ok(response)
    }

    /// DELETE of an upload: its parts are gone.
    pub(super) fn abort(&self) -> Answer {
        let mut state = self.sim.state();
        named(&mut state, &self.account, &self.key, self.upload_id())?;
        state.uploads.remove(self.upload_id());
        Ok(nothing())
    }
}
