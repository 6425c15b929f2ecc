//! CopyObject and UploadPartCopy (public S3 API reference).

use percent_encoding::percent_decode_str;

use super::super::clock::rfc3339;
use super::super::content::Blob;
use super::conditions::WriteConditions;
use super::errors::S3Error;
use super::gate::{Answer, Ctx};
use super::metadata::Kept;
use super::store::{Etag, New, Object};
use super::upload::LARGEST_PUT;
use super::xml::{document, result, tag};

/// Bucket, key and version of a copy source. A plus is a space, as in a form.
fn parse_source(text: &str) -> Option<(String, String, Option<String>)> {
    let (path, version) = match text.split_once("?versionId=") {
        Some((path, version)) => (path, Some(version.to_owned())),
        None => (text, None),
    };
    let path = path.replace('+', "%20");
    let path = percent_decode_str(&path).decode_utf8().ok()?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/')?;
    let named = !bucket.is_empty() && !key.is_empty();
    named.then(|| (bucket.to_owned(), key.to_owned(), version))
}

/// Reads `bytes=FROM-TO`, both of them, inside the source.
fn parse_copy_range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = (from.parse::<u64>().ok()?, to.parse::<u64>().ok()?);
    (from <= to && to < size).then(|| (from, to - from + 1))
}

impl Ctx {
    /// The object that is copied.
    async fn source(&self) -> Result<Object, S3Error> {
        let text = self.header("x-amz-copy-source");
        let (bucket, key, version) = parse_source(text).ok_or_else(|| {
            let message = "Copy Source must mention the source bucket and key: \
                           sourcebucket/sourcekey";
            S3Error::argument("x-amz-copy-source", text, message)
        })?;
        self.own_bucket(&bucket)?;
        self.check_key(&key)?;
        self.check_version(version.as_deref())?;
        let key = match self.yes("marker_is_file") {
            true => key.trim_end_matches('/').to_owned(),
            false => key,
        };
        let found = self.sim.object(&self.account, &key);
        let object = found.ok_or_else(|| S3Error::no_such_key(&key))?;
        // A tag may cost reading the whole source: only who asks pays.
        let asked = ["if-match", "if-none-match"];
        let asked = asked.map(|name| self.header(&format!("x-amz-copy-source-{name}")));
        let tag = match asked {
            ["", ""] => String::new(),
            _ => object.etag(&self.account).await,
        };
        self.may_copy(&object, &tag)?;
        Ok(object)
    }

    /// Answers 200 with an error inside, as a server does that began to answer too soon.
    pub(super) fn late_error(&self, knob: &str) -> Option<Answer> {
        let code = self.account.knobs.text(knob)?;
        let code = code.trim();
        (!code.is_empty()).then(|| Err(S3Error::injected(&format!("{code},200"))))
    }

    /// PUT with a source.
    pub(super) async fn copy(&self) -> Answer {
        let source = self.source().await?;
        let replace = match self.header("x-amz-metadata-directive") {
            "" | "COPY" => false,
            "REPLACE" => true,
            other => {
                let text = "Unknown metadata directive.";
                return Err(S3Error::argument("x-amz-metadata-directive", other, text));
            }
        };
        if source.key == self.key && !replace {
            let text = "This copy request is illegal because it is trying to copy an object to \
                        itself without changing the object's metadata, storage class, website \
                        redirect location or encryption attributes.";
            return Err(S3Error::request(text));
        }
        if source.blob.size() > LARGEST_PUT {
            let text = "The specified copy source is larger than the maximum allowable size for \
                        a copy source: 5368709120";
            return Err(S3Error::request(text));
        }
        let conditions = match self.yes("copy_conditions") {
            true => WriteConditions::read(self)?,
            false => WriteConditions::default(),
        };
        let kept = match replace {
            true => Kept::read(&self.headers)?,
            false => source.kept.clone(),
        };
        let there = self.sim.object(&self.account, &self.key);
        conditions.check(self, &self.key, there.as_ref()).await?;
        if let Some(answer) = self.late_error("copy_error") {
            return answer;
        }
        self.check_commit()?;
        let modified = self.now();
        // A copy is one piece, whatever its source came in.
        let object = self
            .keep(&conditions, None, || New {
                blob: source.stored.clone(),
                etag: Etag::Md5,
                kept: kept.clone(),
                checksum: source.checksum.clone(),
                modified,
            })
            .await?;
        let etag = tag("ETag", &object.quoted(&self.account).await);
        let date = tag("LastModified", &rfc3339(object.modified_s() * 1000));
        Ok(result("CopyObjectResult", &format!("{date}{etag}")))
    }

    /// PUT of a part with a source.
    pub(super) async fn part_copy(&self) -> Answer {
        let number = self.part_number()?;
        self.check_upload()?;
        let source = self.source().await?;
        let size = source.stored.size();
        let blob: Blob = match self.header("x-amz-copy-source-range") {
            "" => source.stored.clone(),
            range => {
                let (from, length) = parse_copy_range(range, size).ok_or_else(|| {
                    let text =
                        format!("Range specified is not valid for source object of size: {size}");
                    S3Error::argument("x-amz-copy-source-range", range, &text)
                })?;
                source.stored.slice(from, length)
            }
        };
        if blob.size() > LARGEST_PUT {
            let text = "The specified copy source is larger than the maximum allowable size for \
                        a copy source: 5368709120";
            return Err(S3Error::request(text));
        }
        let etag = self.keep_part(number, blob).await?;
        let etag = tag("ETag", &format!("\"{etag}\""));
        let now = self.now().div_euclid(1000) * 1000;
        let date = tag("LastModified", &rfc3339(now));
        // This one has no namespace on the real server either.
        Ok(document(
            200,
            &format!("<CopyPartResult>{date}{etag}</CopyPartResult>"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let read = |text: &str| parse_source(text).map(|(bucket, key, _)| (bucket, key));
        let pair = |bucket: &str, key: &str| Some((bucket.to_owned(), key.to_owned()));
        assert_eq!(read("/b/a%2Fc%2B+d"), pair("b", "a/c+ d"));
        assert_eq!(read("b//a"), pair("b", "/a"));
        assert_eq!(read("b%2Fa"), pair("b", "a"));
        assert_eq!(read("b"), None);
        assert_eq!(read("/b/"), None);
        assert_eq!(
            parse_source("b/a?versionId=x").unwrap().2.as_deref(),
            Some("x")
        );
        assert_eq!(parse_copy_range("bytes=1-3", 4), Some((1, 3)));
        for bad in ["bytes=1-4", "bytes=1-", "bytes=-1", "bytes=3-2", "1-2"] {
            assert_eq!(parse_copy_range(bad, 4), None, "{bad}");
        }
    }
}
