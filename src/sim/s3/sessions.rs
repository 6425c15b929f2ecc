//! What is open: the parts of an upload, and the uploads (public S3 API reference, ListParts and
//! ListMultipartUploads).

use super::super::clock::rfc3339;
use super::buckets::owner;
use super::errors::S3Error;
use super::gate::{Answer, Ctx};
use super::multipart::Upload;
use super::xml::{result, tag};

/// `true` or `false`.
fn flag(name: &str, value: bool) -> String {
    tag(name, if value { "true" } else { "false" })
}

/// A time as documents have it.
fn date(ms: i64) -> String {
    rfc3339(ms.div_euclid(1000).saturating_mul(1000))
}

/// A line of the list of uploads.
enum Row {
    Upload(String, Upload),
    Prefix(String),
}

impl Ctx {
    /// GET of an upload.
    pub(super) fn list_parts(&self) -> Answer {
        let upload = self.upload()?;
        let (names, limit) = (self.names()?, self.limit("max-parts")?);
        let marker = self.q("part-number-marker").unwrap_or("0");
        let after: u32 = marker.parse().map_err(|_| {
            let text = "Provided part-number-marker not an integer or not within integer range";
            S3Error::argument("part-number-marker", marker, text)
        })?;
        let mut all = upload.parts.range(after.saturating_add(1)..);
        let page: Vec<_> = all.by_ref().take(limit).collect();
        let truncated = limit > 0 && all.next().is_some();
        let next = page.last().map_or(0, |(number, _)| **number);
        let mut inner = tag("Bucket", &self.bucket)
            + &names.announced()
            + &names.tag("Key", &self.key)
            + &tag("UploadId", self.upload_id())
            + &owner(self, "Initiator")
            + &owner(self, "Owner")
            + &tag("StorageClass", "STANDARD")
            + &tag("PartNumberMarker", &after.to_string())
            + &tag("NextPartNumberMarker", &next.to_string())
            + &tag("MaxParts", &limit.to_string())
            + &flag("IsTruncated", truncated);
        for (number, part) in page {
            inner += &format!(
                "<Part>{}{}{}{}</Part>",
                tag("PartNumber", &number.to_string()),
                tag("LastModified", &date(part.modified)),
                tag("ETag", &format!("\"{}\"", part.etag)),
                tag("Size", &part.blob.size().to_string()),
            );
        }
        Ok(result("ListPartsResult", &inner))
    }

    /// GET `?uploads`.
    pub(super) fn list_uploads(&self) -> Answer {
        let text = |name: &str| self.q(name).unwrap_or("").to_owned();
        let (names, limit) = (self.names()?, self.limit("max-uploads")?);
        let (prefix, delimiter) = (text("prefix"), text("delimiter"));
        let key_marker = text("key-marker");
        // Without a key the id means nothing.
        let id_marker = match key_marker.is_empty() {
            true => String::new(),
            false => text("upload-id-marker"),
        };
        let mut open: Vec<(String, Upload)> = {
            let state = self.sim.state();
            let all = state.uploads.iter();
            all.filter(|(_, upload)| upload.profile == self.account.profile)
                .map(|(id, upload)| (id.clone(), upload.clone()))
                .collect()
        };
        // Ids grow: within a key this is the order of their beginning.
        open.sort_by(|a, b| (&a.1.key, &a.0).cmp(&(&b.1.key, &b.0)));
        let mut rows: Vec<Row> = Vec::new();
        let mut truncated = false;
        for (id, upload) in open {
            let Some(rest) = upload.key.strip_prefix(&prefix) else {
                continue;
            };
            let behind = match upload.key.cmp(&key_marker) {
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Equal => !id_marker.is_empty() && id > id_marker,
                std::cmp::Ordering::Less => false,
            };
            let cut = match delimiter.is_empty() {
                true => None,
                false => rest.find(&delimiter).map(|at| at + delimiter.len()),
            };
            let rolled = cut.and_then(|cut| upload.key.get(..prefix.len() + cut));
            let known = match (rolled, rows.last()) {
                (Some(rolled), _) if rolled == key_marker => true,
                (Some(rolled), Some(Row::Prefix(last))) => rolled == last,
                _ => false,
            };
            if !behind || known {
                continue;
            }
            if rows.len() >= limit {
                truncated = limit > 0;
                break;
            }
            rows.push(match rolled.map(str::to_owned) {
                Some(prefix) => Row::Prefix(prefix),
                None => Row::Upload(id, upload),
            });
        }
        let mut inner = tag("Bucket", &self.bucket)
            + &names.tag("KeyMarker", &key_marker)
            + &tag("UploadIdMarker", &id_marker);
        if truncated {
            let (key, id) = match rows.last() {
                Some(Row::Upload(id, upload)) => (upload.key.as_str(), id.as_str()),
                Some(Row::Prefix(prefix)) => (prefix.as_str(), ""),
                None => ("", ""),
            };
            inner += &names.tag("NextKeyMarker", key);
            inner += &tag("NextUploadIdMarker", id);
        }
        if !delimiter.is_empty() {
            inner += &names.tag("Delimiter", &delimiter);
        }
        inner += &names.tag("Prefix", &prefix);
        inner += &names.announced();
        inner += &tag("MaxUploads", &limit.to_string());
        inner += &flag("IsTruncated", truncated);
        let mut prefixes = String::new();
        for row in &rows {
            match row {
                Row::Upload(id, upload) => {
                    inner += &format!(
                        "<Upload>{}{}{}{}{}{}</Upload>",
                        names.tag("Key", &upload.key),
                        tag("UploadId", id),
                        owner(self, "Initiator"),
                        owner(self, "Owner"),
                        tag("StorageClass", "STANDARD"),
                        tag("Initiated", &date(upload.initiated)),
                    );
                }
                Row::Prefix(prefix) => {
                    let prefix = names.tag("Prefix", prefix);
                    prefixes += &format!("<CommonPrefixes>{prefix}</CommonPrefixes>");
                }
            }
        }
        Ok(result("ListMultipartUploadsResult", &(inner + &prefixes)))
    }
}
