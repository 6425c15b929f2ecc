//! A multipart upload as OSS keeps it: parts, their order, their ETags.

use std::collections::BTreeMap;

use super::super::account::Account;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::OssError;

/// Parts smaller than this, but for the last, are refused when the upload is completed.
pub const MIN_PART: u64 = 100 << 10;
/// Parts larger than this are refused.
pub const MAX_PART: u64 = 5 << 30;
/// Part numbers are 1 to this.
pub const MAX_PART_NUMBER: u32 = 10_000;

/// A stored part.
#[derive(Clone)]
pub struct Part {
    /// Its bytes.
    pub blob: Blob,
    /// Upper-case MD5, without quotes.
    pub etag: String,
    /// When it came, milliseconds since 1970.
    pub modified: i64,
}

/// The parts of one upload.
#[derive(Clone, Default)]
pub struct Multipart {
    /// Parts must come in order, each once.
    pub sequential: bool,
    /// Parts by number.
    pub parts: BTreeMap<u32, Part>,
}

impl Multipart {
    /// An upload without parts.
    pub fn new(sequential: bool) -> Multipart {
        Multipart {
            sequential,
            parts: BTreeMap::new(),
        }
    }

    /// Whether part `number` may come now.
    ///
    /// # Errors
    /// `InvalidArgument`, and for sequential uploads `PartAlreadyExist`, `PartNotSequential`.
    pub fn admits(&self, number: u32) -> Result<(), OssError> {
        if number == 0 || number > MAX_PART_NUMBER {
            let text = "Part number must be an integer between 1 and 10000, inclusive.";
            return Err(OssError::new(400, "InvalidArgument", text));
        }
        if self.sequential {
            if self.parts.contains_key(&number) {
                let text = "For sequential multipart upload, you can't overwrite uploaded parts.";
                return Err(OssError::new(409, "PartAlreadyExist", text));
            }
            let next = self.parts.last_key_value().map_or(1, |(last, _)| last + 1);
            if number != next {
                let text = "For sequential multipart upload, parts must be uploaded in order.";
                return Err(OssError::new(400, "PartNotSequential", text));
            }
        }
        Ok(())
    }

    /// Stores a part; answers its ETag without quotes.
    ///
    /// # Errors
    /// As [`Multipart::admits`], and `EntityTooLarge`.
    pub fn put(&mut self, number: u32, blob: Blob, etag: String, now: i64) -> Result<(), OssError> {
        self.admits(number)?;
        if blob.size() > MAX_PART {
            let text = "Your proposed upload exceeds the maximum allowed object size.";
            return Err(OssError::new(400, "EntityTooLarge", text));
        }
        self.parts.insert(
            number,
            Part {
                blob,
                etag,
                modified: now,
            },
        );
        Ok(())
    }

    /// Joins the parts a client lists (all of them when it lists none).
    ///
    /// # Errors
    /// `InvalidPart`, `InvalidPartOrder`, `EntityTooSmall`, `MalformedXML`.
    pub fn join(&self, list: Option<&[(u32, String)]>) -> Result<Blob, OssError> {
        let mut chosen: Vec<&Part> = Vec::new();
        match list {
            None => chosen.extend(self.parts.values()),
            Some(list) => {
                let mut last = 0;
                for (number, etag) in list {
                    if *number <= last {
                        let text = "The list of parts was not in ascending order.";
                        return Err(OssError::new(400, "InvalidPartOrder", text));
                    }
                    last = *number;
                    let part = self
                        .parts
                        .get(number)
                        .filter(|part| part.etag.eq_ignore_ascii_case(etag.trim_matches('"')));
                    chosen.push(part.ok_or_else(|| {
                        let text = "One or more of the specified parts could not be found or \
                                    the specified entity tag might not have matched.";
                        OssError::new(400, "InvalidPart", text)
                    })?);
                }
            }
        }
        let Some((_, head)) = chosen.split_last() else {
            let text = "The XML you provided was not well-formed or did not validate.";
            return Err(OssError::new(400, "MalformedXML", text));
        };
        if head.iter().any(|part| part.blob.size() < MIN_PART) {
            let text = "Your proposed upload is smaller than the minimum allowed object size.";
            return Err(OssError::new(400, "EntityTooSmall", text));
        }
        Ok(Blob::join(chosen.iter().map(|part| &part.blob)))
    }
}

/// The ETag of a part or object: upper-case MD5.
pub async fn etag_of(blob: &Blob) -> String {
    blob.digest(HashKind::Md5).await.to_uppercase()
}

/// Whether `Content-MD5` (base64 of the binary MD5) fits the bytes; an empty one always does.
pub async fn content_md5_fits(blob: &Blob, header: &str) -> bool {
    use base64::Engine;
    if header.is_empty() {
        return true;
    }
    let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(header) else {
        return false;
    };
    super::super::digest::hex(&bytes) == blob.digest(HashKind::Md5).await
}

/// Who an open upload belongs to and where it goes.
pub(super) struct Session {
    pub account: std::sync::Arc<Account>,
    pub bucket: String,
    pub key: String,
    /// OSS computes the whole SHA-1 only for these: sequential, or asked for.
    pub with_sha1: bool,
    pub multipart: Multipart,
}
