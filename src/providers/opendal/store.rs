//! What a driver does with objects. Keys are exactly what the service has, from its top, without a
//! slash at the begin.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use opendal::options::{CopyOptions, ListOptions, WriteOptions};
use opendal::raw::{OpCopy, OpDelete, OpList, OpRead, OpStat, OpWrite, Servicer, oio};
use opendal::{Buffer, BytesRange, HttpTransporter, Metadata, OperationContext, Operator};

use super::failure::{is_page_end, is_unsigned, out_of};
use super::transport::{Gate, Transport};
use super::wire::{Call, Wire};
use crate::drive::{ByteStream, DriveError, ErrorKind, Result};
use crate::net::Retry;

/// Entries of a page, where the caller does not want fewer.
const PAGE: usize = 1000;

/// Follows every key below a directory, in the order of listings.
const AFTER_ALL: char = '\u{10FFFF}';

/// A service of OpenDAL over our wire.
pub struct Store {
    service: Servicer,
    context: OperationContext,
    wire: Wire,
}

/// Which page of which listing.
#[derive(Clone, Debug, Default)]
pub struct Listing<'a> {
    /// The keys below it; empty for all.
    pub prefix: &'a str,
    /// Whether what is below directories is listed as well.
    pub recursive: bool,
    /// The most entries; `None` for a usual page.
    pub limit: Option<usize>,
    /// [`Listed::next`] of the page before.
    pub after: Option<String>,
}

/// One page.
#[derive(Debug, Default)]
pub struct Listed {
    /// Keys and what is known of them. Directories end with a slash.
    pub entries: Vec<(String, Metadata)>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

impl Store {
    /// The service of an operator over a wire.
    pub fn new(operator: &Operator, wire: Wire) -> Store {
        Store {
            service: operator.base_service().clone(),
            context: context(&wire, None),
            wire,
        }
    }

    /// What is known of an object.
    ///
    /// # Errors
    /// `NotFound`; those of the wire.
    pub async fn stat(&self, key: &str) -> Result<Metadata> {
        let op = Call::STAT.op;
        let stat = self.service.stat_dyn(&self.context, key, OpStat::default());
        Ok(stat.await.map_err(|e| self.failed(op, e))?.into_metadata())
    }

    /// The bytes of `range` (half-open, not empty), and what the answer tells of the object, its whole
    /// size among it. The stream ends with an error when it is shorter.
    ///
    /// # Errors
    /// Those of the wire.
    pub async fn read(&self, key: &str, range: Range<u64>) -> Result<(Metadata, ByteStream)> {
        let op = Call::READ.op;
        let length = range.end.saturating_sub(range.start);
        let reader = self
            .service
            .read_dyn(&self.context, key, OpRead::default())
            .map_err(|e| self.failed(op, e))?;
        let wanted = BytesRange::new(range.start, Some(length));
        let opened = reader
            .open_dyn(wanted)
            .await
            .map_err(|e| self.failed(op, e))?;
        let (told, stream) = opened;
        let told = told
            .into_metadata()
            .ok_or_else(|| DriveError::bad_answer(op, "nothing is said of the object"))?;
        Ok((told, exactly(stream, length)))
    }

    /// Stores a whole object in one request.
    ///
    /// # Errors
    /// `Exists` when `absent` is asked for and the key is taken, where the server looks at that at all.
    pub async fn put(&self, key: &str, bytes: Bytes, absent: bool) -> Result<Metadata> {
        let op = Call::WRITE.op;
        let options = WriteOptions {
            if_not_exists: absent,
            ..WriteOptions::default()
        };
        let capability = self.service.capability_dyn();
        let (args, _) =
            OpWrite::from_options(&capability, options).map_err(|e| self.failed(op, e))?;
        let mut writer = self
            .service
            .write_dyn(&self.context, key, args)
            .map_err(|e| self.failed(op, e))?;
        writer
            .write_dyn(Buffer::from(bytes))
            .await
            .map_err(|e| self.failed(op, e))?;
        writer.close_dyn().await.map_err(|e| self.failed(op, e))
    }

    /// Copies an object at the provider. Where it takes several requests that can leave something
    /// behind, that is removed after a failure.
    ///
    /// # Errors
    /// `NotFound` when there is nothing to copy, `Changed` when it changed meanwhile.
    pub async fn copy(&self, from: &str, to: &str) -> Result<Metadata> {
        let op = Call::COPY.op;
        let capability = self.service.capability_dyn();
        let args = OpCopy::from_options(&capability, CopyOptions::default());
        let args = args.map_err(|e| self.failed(op, e))?;
        let copier = self.service.copy_dyn(&self.context, from, to, args);
        let mut copier = copier.map_err(|e| self.failed(op, e))?;
        match copier.close_dyn().await {
            Ok(made) => Ok(made),
            Err(error) => {
                if let Err(left) = copier.abort_dyn().await {
                    tracing::warn!(error = %self.failed(op, left), "a broken copy could not be cleaned");
                }
                Err(self.failed(op, error))
            }
        }
    }

    /// Deletes one object. Whether one that is gone is an error is the service's matter.
    ///
    /// # Errors
    /// Those of the wire.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.delete_all([key]).await
    }

    /// Deletes objects, together where the service can.
    ///
    /// # Errors
    /// The first one; others may be deleted or not.
    pub async fn delete_all<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let op = Call::DELETE.op;
        let deleter = self.service.delete_dyn(&self.context);
        let mut deleter = deleter.map_err(|e| self.failed(op, e))?;
        for key in keys {
            let deleted = deleter.delete_dyn(key, OpDelete::default()).await;
            deleted.map_err(|e| self.failed(op, e))?;
        }
        deleter.close_dyn().await.map_err(|e| self.failed(op, e))
    }

    /// One page of a listing: what one request brings. Where the service cannot start in the middle,
    /// all of it.
    ///
    /// # Errors
    /// Those of the wire.
    pub async fn page(&self, listing: &Listing<'_>) -> Result<Listed> {
        let op = Call::LIST.op;
        let gate = Arc::new(Gate::default());
        let in_pages = self.service.capability_dyn().list_with_start_after;
        let context = context(&self.wire, in_pages.then(|| gate.clone()));
        let args = OpList::from(ListOptions {
            limit: Some(listing.limit.unwrap_or(PAGE)),
            start_after: listing.after.clone(),
            recursive: listing.recursive,
            ..ListOptions::default()
        });
        let path = match listing.prefix {
            "" => "/",
            prefix => prefix,
        };
        let lister = self.service.list_dyn(&context, path, args);
        let mut lister = lister.map_err(|e| self.failed(op, e))?;
        let mut listed = Listed::default();
        loop {
            match lister.next_dyn().await {
                Ok(Some(entry)) => {
                    // A key that begins with a slash has no path in OpenDAL.
                    let fits = entry.path().starts_with(listing.prefix) && entry.path() != "/";
                    if fits {
                        listed.entries.push(entry.into_parts());
                        // What follows in this page is here already; the next request is refused.
                        gate.close();
                    }
                }
                Ok(None) => return Ok(listed),
                Err(end) if is_page_end(&end) => {
                    listed.next = after(listing, &listed.entries);
                    return Ok(listed);
                }
                Err(error) => return Err(self.failed(op, error)),
            }
        }
    }

    fn failed(&self, op: &'static str, error: opendal::Error) -> DriveError {
        match is_unsigned(&error) {
            true => self.wire.unsigned(op),
            false => out_of(op, error),
        }
    }
}

fn context(wire: &Wire, gate: Option<Arc<Gate>>) -> OperationContext {
    let wire = wire.clone();
    let transport = HttpTransporter::new(Transport { wire, gate });
    OperationContext::new().with_http_transport(transport)
}

/// Where the page after these entries starts. OpenDAL tells directories before files, so the last one
/// is not the greatest.
fn after(listing: &Listing<'_>, entries: &[(String, Metadata)]) -> Option<String> {
    let greatest = entries.iter().map(|(key, _)| key.as_str()).max()?;
    let mut after = greatest.to_owned();
    if !listing.recursive && greatest.ends_with('/') && greatest != listing.prefix {
        after.push(AFTER_ALL);
    }
    // A server that does not know where to start tells the first page again.
    match &listing.after {
        Some(before) if after <= *before => None,
        _ => Some(after),
    }
}

/// The first `length` bytes of a body; an error when there are fewer.
fn exactly(stream: Box<dyn oio::ReadStreamDyn>, length: u64) -> ByteStream {
    let op = Call::READ.op;
    let pieces =
        futures_util::stream::unfold((stream, length), move |(mut stream, left)| async move {
            if left == 0 {
                return None;
            }
            match stream.read_dyn().await {
                Ok(piece) if piece.is_empty() => {
                    let error = DriveError::new(
                        ErrorKind::Network,
                        format!("{op}: the answer ended {left} bytes early"),
                    );
                    Some((Err(error.retry(Retry::Backoff)), (stream, 0)))
                }
                Ok(piece) => {
                    let mut piece = piece.to_bytes();
                    piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left.saturating_sub(piece.len() as u64);
                    Some((Ok(piece), (stream, left)))
                }
                // Nothing follows an error.
                Err(error) => Some((Err(out_of(op, error)), (stream, 0))),
            }
        });
    pieces.boxed()
}

/// An ETag without `W/` and quotes, in lower case: servers spell it in several ways.
pub fn bare_etag(tag: &str) -> String {
    let tag = tag.trim();
    let tag = tag
        .strip_prefix("W/")
        .or_else(|| tag.strip_prefix("w/"))
        .unwrap_or(tag);
    tag.trim_matches('"').to_ascii_lowercase()
}

/// When an object changed, in milliseconds, whole seconds: some services know more in listings than
/// they tell of single objects, and both must be one time.
pub fn seconds_ms(known: &Metadata) -> i64 {
    known
        .last_modified()
        .map_or(0, |time| time.into_inner().as_second().saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use opendal::MetadataBuilder;

    use super::*;

    fn entries(keys: &[&str]) -> Vec<(String, Metadata)> {
        let known = || MetadataBuilder::unknown().build();
        keys.iter()
            .map(|key| ((*key).to_owned(), known()))
            .collect()
    }

    #[test]
    fn the_next_page_starts_after_the_greatest() {
        let listing = Listing {
            prefix: "d/",
            ..Listing::default()
        };
        let next = |keys: &[&str]| after(&listing, &entries(keys));
        assert_eq!(next(&["d/x/", "d/a", "d/z"]).as_deref(), Some("d/z"));
        let below = next(&["d/x/", "d/a"]).unwrap();
        // Everything in it comes before, the next file after.
        assert!(below.as_str() > "d/x/\u{FFFF}" && below.as_str() < "d/x0");
        assert_eq!(next(&["d/"]).as_deref(), Some("d/"));
        assert_eq!(next(&[]), None);
        let again = Listing {
            after: Some("d/z".to_owned()),
            ..listing.clone()
        };
        assert_eq!(after(&again, &entries(&["d/a"])), None);
        let deep = Listing {
            recursive: true,
            ..listing
        };
        assert_eq!(after(&deep, &entries(&["d/x/"])).as_deref(), Some("d/x/"));
    }

    #[test]
    fn one_tag_has_one_spelling() {
        for spelling in ["\"Ab-2\"", "W/\"ab-2\"", " ab-2 ", "w/\"AB-2\""] {
            assert_eq!(bare_etag(spelling), "ab-2");
        }
    }
}
