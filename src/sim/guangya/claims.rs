//! Hashes that a client claims, and who has such a content (sections 5 and 6.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::content::Blob;
use super::super::digest::{HashKind, hex};
use super::Guangya;
use super::args::Args;
use super::errors::ApiError;

/// What a client says of a content; lower-case hex.
#[derive(Clone, Default)]
pub(super) struct Claims {
    pub md5: Option<String>,
    pub gcid: Option<String>,
    pub cid: Option<String>,
}

/// So many hex digits, in lower case.
fn digits(text: &str, count: usize) -> Option<String> {
    let good = text.len() == count && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then(|| text.to_ascii_lowercase())
}

/// An md5 as clients write it: 32 hex digits, or base64 of the 16 bytes (section 6.1).
pub(super) fn md5_of(text: &str) -> Option<String> {
    digits(text, 32).or_else(|| {
        let bytes = STANDARD.decode(text).ok()?;
        (bytes.len() == 16).then(|| hex(&bytes))
    })
}

impl Claims {
    /// Reads `md5`, `gcid` and `cid`; empty ones count as missing.
    ///
    /// # Errors
    /// 112: one that is no hash.
    pub(super) fn read(args: &Args) -> Result<Claims, ApiError> {
        let member = |name: &str, parse: &dyn Fn(&str) -> Option<String>| match args.text(name)? {
            "" => Ok(None),
            text => match parse(text) {
                Some(hash) => Ok(Some(hash)),
                None => Err(ApiError::parameter(name)),
            },
        };
        Ok(Claims {
            md5: member("md5", &md5_of)?,
            gcid: member("gcid", &|text| digits(text, 40))?,
            cid: member("cid", &|text| digits(text, 40))?,
        })
    }

    /// These and, where there is none, those of before.
    pub(super) fn or(self, before: Claims) -> Claims {
        Claims {
            md5: self.md5.or(before.md5),
            gcid: self.gcid.or(before.gcid),
            cid: self.cid.or(before.cid),
        }
    }

    /// Whether every claim is true of a content: each is computed.
    pub(super) async fn fit(&self, blob: &Blob) -> bool {
        let all = [
            (HashKind::Md5, &self.md5),
            (HashKind::Gcid, &self.gcid),
            (HashKind::Cid, &self.cid),
        ];
        for (kind, claim) in all {
            if let Some(claim) = claim
                && blob.digest(kind).await != *claim
            {
                return false;
            }
        }
        true
    }
}

impl Guangya {
    /// The known content of a size that fits the claims: by md5, or by gcid and cid (with
    /// `gcid_alone` by gcid). What else was claimed must be true of it too.
    pub(super) async fn lookup(
        &self,
        claims: &Claims,
        size: u64,
        gcid_alone: bool,
    ) -> Option<Blob> {
        let (kind, hash) = match claims {
            Claims { md5: Some(md5), .. } => (HashKind::Md5, md5),
            Claims {
                gcid: Some(gcid),
                cid,
                ..
            } if cid.is_some() || gcid_alone => (HashKind::Gcid, gcid),
            _ => return None,
        };
        for blob in self.kit.inventory.of_size(size) {
            if blob.digest(kind).await == *hash && claims.fit(&blob).await {
                return Some(blob);
            }
        }
        None
    }
}
