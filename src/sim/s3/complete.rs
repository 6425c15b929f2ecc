//! CompleteMultipartUpload (public S3 API reference).

use super::super::content::Blob;
use super::super::digest::HashKind;
use super::checksums::Claims;
use super::conditions::WriteConditions;
use super::errors::S3Error;
use super::gate::{Answer, Ctx};
use super::multipart::{MOST_PARTS, Part, Upload};
use super::rules;
use super::store::{Etag, New, etag_of_parts};
use super::xml::{parse, result, tag};

/// Parts smaller than this, but for the last, are refused.
const SMALLEST_PART: u64 = 5 << 20;
/// Bytes of an object at most.
const LARGEST: u64 = 5 << 40;

/// Numbers and tags (without quotes) of a document, in its order.
fn parse_list(document: &str) -> Result<Vec<(u32, String)>, S3Error> {
    let root = parse(document).filter(|root| root.name == "CompleteMultipartUpload");
    let root = root.ok_or_else(S3Error::malformed_xml)?;
    let mut list = Vec::new();
    for part in root.all("Part") {
        let number = part.text_of("PartNumber");
        let number = number.and_then(|text| text.trim().parse().ok());
        let number = number.filter(|number| (1..=MOST_PARTS).contains(number));
        match (number, part.text_of("ETag")) {
            (Some(number), Some(tag)) => {
                list.push((number, tag.trim().trim_matches('"').to_owned()));
            }
            _ => return Err(S3Error::malformed_xml()),
        }
    }
    match list.len() {
        1..=10_000 => Ok(list),
        _ => Err(S3Error::malformed_xml()),
    }
}

/// The parts that a list names.
fn choose(upload: &Upload, list: &[(u32, String)], smallest: u64) -> Result<Vec<Part>, S3Error> {
    let numbers = list.iter().map(|(number, _)| number);
    if numbers
        .clone()
        .zip(numbers.skip(1))
        .any(|(one, next)| one >= next)
    {
        let text = "The list of parts was not in ascending order. Parts must be ordered by part \
                    number.";
        return Err(S3Error::new(400, "InvalidPartOrder", text));
    }
    let mut chosen = Vec::new();
    for (number, tag) in list {
        let part = upload.parts.get(number).filter(|part| part.etag == *tag);
        let part = part.ok_or_else(|| {
            let text = "One or more of the specified parts could not be found. The part may not \
                        have been uploaded, or the specified entity tag may not match the part's \
                        entity tag.";
            S3Error::new(400, "InvalidPart", text)
                .detail("PartNumber", &number.to_string())
                .detail("ETag", tag)
        })?;
        chosen.push(part.clone());
    }
    let all_but_last = list.len().saturating_sub(1);
    for ((number, tag), part) in list.iter().zip(&chosen).take(all_but_last) {
        if part.blob.size() < smallest {
            let text = "Your proposed upload is smaller than the minimum allowed size";
            return Err(S3Error::new(400, "EntityTooSmall", text)
                .detail("ProposedSize", &part.blob.size().to_string())
                .detail("MinSizeAllowed", &smallest.to_string())
                .detail("PartNumber", &number.to_string())
                .detail("ETag", tag));
        }
    }
    Ok(chosen)
}

impl Ctx {
    /// POST of the list of parts.
    pub(super) async fn commit(&self, document: &str) -> Answer {
        let upload = self.upload()?;
        let list = parse_list(document)?;
        let smallest = self.account.knobs.number("min_part", SMALLEST_PART);
        let parts = choose(&upload, &list, smallest)?;
        let blob = Blob::join(parts.iter().map(|part| &part.blob));
        if blob.size() > LARGEST {
            let text = "Your proposed upload exceeds the maximum allowed object size.";
            return Err(S3Error::new(400, "EntityTooLarge", text));
        }
        let told = self.header("x-amz-mp-object-size");
        if !told.is_empty() && told != blob.size().to_string() {
            let text = "The provided 'x-amz-mp-object-size' header does not match what was \
                        computed";
            return Err(S3Error::request(text));
        }
        let claims = match self.header("x-amz-checksum-type") {
            "FULL_OBJECT" => Claims::read(&self.headers)?,
            _ => Claims::default(),
        };
        claims.check(&blob).await?;
        let conditions = WriteConditions::read(self)?;
        let there = self.sim.object(&self.account, &self.key);
        conditions.check(self, &self.key, there.as_ref()).await?;
        if let Some(answer) = self.late_error("commit_error") {
            return answer;
        }
        self.check_commit()?;
        let etag = match rules::of(&self.account, "multipart_etag").as_str() {
            "whole" => blob.digest(HashKind::Md5).await,
            _ => etag_of_parts(parts.iter().map(|part| part.etag.as_str())),
        };
        // The date of an object in parts is that of their beginning.
        let object = self
            .keep(&conditions, Some(self.upload_id()), || New {
                blob: blob.clone(),
                etag: Etag::Known(etag.clone()),
                kept: upload.kept.clone(),
                checksum: claims.checksum.clone(),
                modified: upload.initiated,
            })
            .await?;
        let location = format!("{}{}", self.sim.kit.base, self.path);
        let inner = tag("Location", &location)
            + &tag("Bucket", &self.bucket)
            + &tag("Key", &self.key)
            + &tag("ETag", &object.quoted(&self.account).await);
        Ok(result("CompleteMultipartUploadResult", &inner))
    }
}
