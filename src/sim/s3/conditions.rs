//! `If-Match` and its kin (RFC 9110, 13; public S3 API reference, "Conditional requests").

use super::super::clock::parse_rfc1123;
use super::errors::S3Error;
use super::gate::Ctx;
use super::store::Object;

/// Whether a list (or `*`) names the tag. Quotes may be missing, and a weak tag equals the
/// strong one of its text, as on the real server.
fn names(list: &str, tag: &str) -> bool {
    list.split(',').any(|other| {
        let other = other.trim();
        let other = other.strip_prefix("W/").unwrap_or(other).trim_matches('"');
        other == "*" || other == tag
    })
}

/// Seconds of a time in milliseconds.
fn seconds(ms: i64) -> i64 {
    ms.div_euclid(1000)
}

/// The conditions of an upload.
#[derive(Clone, Debug, Default)]
pub(super) struct WriteConditions {
    /// `If-Match`, empty when there is none.
    wanted: String,
    /// `If-None-Match: *`.
    only_new: bool,
}

impl WriteConditions {
    /// Reads the headers of an upload, a commit, or (with the rule) a copy.
    pub fn read(ctx: &Ctx) -> Result<WriteConditions, S3Error> {
        let unwanted = ctx.header("if-none-match");
        // Another tag than `*` is not possible here.
        if !matches!(unwanted, "" | "*") {
            return Err(S3Error::not_implemented("If-None-Match"));
        }
        let wanted = ctx.header("if-match").to_owned();
        if !wanted.is_empty() && !unwanted.is_empty() {
            return Err(S3Error::not_implemented("If-Match, If-None-Match"));
        }
        Ok(WriteConditions {
            wanted,
            only_new: unwanted == "*" && !ctx.yes("ignore_if_none_match"),
        })
    }

    /// Compares them with what is there.
    pub async fn check(&self, ctx: &Ctx, key: &str, there: Option<&Object>) -> Result<(), S3Error> {
        if self.only_new && there.is_some() {
            return Err(S3Error::precondition("If-None-Match"));
        }
        match there {
            _ if self.wanted.is_empty() => Ok(()),
            None => Err(S3Error::no_such_key(key)),
            Some(object) => match names(&self.wanted, &object.etag(&ctx.account).await) {
                true => Ok(()),
                false => Err(S3Error::precondition("If-Match")),
            },
        }
    }
}

impl Ctx {
    /// The conditions of a read: 412, or 304.
    pub(super) fn may_read(&self, object: &Object, tag: &str) -> Result<(), S3Error> {
        let (wanted, unwanted) = (self.header("if-match"), self.header("if-none-match"));
        let date = |name: &str| parse_rfc1123(self.header(name)).map(seconds);
        let modified = object.modified_s();
        if !wanted.is_empty() && !names(wanted, tag) {
            return Err(S3Error::precondition("If-Match"));
        }
        if wanted.is_empty() && date("if-unmodified-since").is_some_and(|since| modified > since) {
            return Err(S3Error::precondition("If-Unmodified-Since"));
        }
        let known = match unwanted {
            "" => date("if-modified-since").is_some_and(|since| modified <= since),
            list => names(list, tag),
        };
        match known {
            true => Err(S3Error::new(304, "NotModified", "Not Modified")),
            false => Ok(()),
        }
    }

    /// The conditions on the source of a copy: 412.
    pub(super) fn may_copy(&self, object: &Object, tag: &str) -> Result<(), S3Error> {
        let header = |name: &str| self.header(&format!("x-amz-copy-source-{name}")).to_owned();
        let (wanted, unwanted) = (header("if-match"), header("if-none-match"));
        let date = |name: &str| parse_rfc1123(&header(name)).map(seconds);
        let modified = object.modified_s();
        let held = match wanted.as_str() {
            "" => date("if-unmodified-since").is_none_or(|since| modified <= since),
            list => names(list, tag),
        } && match unwanted.as_str() {
            "" => date("if-modified-since").is_none_or(|since| modified > since),
            list => !names(list, tag),
        };
        match held {
            true => Ok(()),
            false => Err(S3Error::precondition("x-amz-copy-source-If")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared() {
        assert!(names("\"a\", \"b\"", "b"));
        assert!(names("b", "b"));
        assert!(names("*", "b"));
        assert!(names("W/\"b\"", "b"));
        assert!(!names("\"a\"", "b"));
    }
}
