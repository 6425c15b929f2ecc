//! Nextcloud's chunked upload, version 2 (sheet, 4.3 point 10, and Nextcloud's public pages): a
//! directory below `uploads`, numbered chunks, and a MOVE of `.file` that puts them together.
//! Every request names the file in `Destination`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use serde_json::{Value, json};

use super::super::account::Account;
use super::super::content::Blob;
use super::super::tree::Node;
use super::address::Address;
use super::errors::DavError;
use super::gate::{Answer, Ctx, done, no_space};
use super::landing::{Landed, receive};
use super::listing::{Wish, multistatus};
use super::values::Row;

/// The highest number of a chunk.
const LAST_NUMBER: u32 = 10_000;

/// A chunk.
struct Chunk {
    /// Its name as sent: zeros in front do not count.
    name: String,
    blob: Blob,
}

/// An upload that is not put together yet.
pub(super) struct Upload {
    /// Path of the file it becomes.
    to: String,
    chunks: BTreeMap<u32, Chunk>,
    /// When it was last heard of.
    touched: i64,
}

impl Upload {
    /// What a test sees of it.
    pub fn describe(&self, id: &str) -> Value {
        let name = self.to.rsplit('/').next().unwrap_or("");
        json!({
            "id": id, "name": name, "kind": "chunks", "path": self.to,
            "chunks": self.chunks.len(), "size": self.size(),
        })
    }

    fn size(&self) -> u64 {
        let sizes = self.chunks.values().map(|chunk| chunk.blob.size());
        sizes.fold(0, u64::saturating_add)
    }
}

/// The number of a chunk: 1 to 10000.
fn number(name: &str) -> Option<u32> {
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let number = name.parse::<u32>().ok().filter(|_| digits)?;
    (1..=LAST_NUMBER).contains(&number).then_some(number)
}

fn limit(account: &Account, knob: &str, default: u64) -> u64 {
    account.knobs.number(knob, default)
}

fn unknown() -> DavError {
    DavError::new(404, "There is no such upload")
}

impl Ctx {
    /// Works on the upload that the path names; what nobody asked for in a day is gone.
    fn upload<T>(&self, work: impl FnOnce(&mut Upload) -> T) -> Result<T, DavError> {
        let id = self.at.names.first().cloned().unwrap_or_default();
        let mut state = self.sim.state();
        self.forget_old(&mut state.uploads);
        let upload = state
            .uploads
            .get_mut(&(self.account.profile.clone(), id))
            .ok_or_else(unknown)?;
        upload.touched = self.now();
        Ok(work(upload))
    }

    fn forget_old(&self, uploads: &mut BTreeMap<(String, String), Upload>) {
        let life = limit(&self.account, "chunk_seconds", 86_400);
        let life = i64::try_from(life).unwrap_or(i64::MAX).saturating_mul(1000);
        let now = self.now();
        uploads.retain(|(profile, _), upload| {
            *profile != self.account.profile || now.saturating_sub(upload.touched) < life
        });
    }

    /// `Destination`, which has to be that of the upload.
    fn same_destination(&self) -> Result<Address, DavError> {
        let to = self.destination()?;
        let same = self.upload(|upload| upload.to == to.path())?;
        match same {
            true => Ok(to),
            false => Err(DavError::new(400, "Destination is not that of the upload")),
        }
    }

    /// `OC-Total-Length`, when there is one. There has to be space for it.
    fn total_length(&self) -> Result<Option<u64>, DavError> {
        let text = self.header("oc-total-length");
        if text.is_empty() {
            return Ok(None);
        }
        let total: u64 = text
            .parse()
            .map_err(|_| DavError::new(400, "OC-Total-Length is not a number"))?;
        match total > self.free(&self.account.tree()) {
            true => Err(no_space()),
            false => Ok(Some(total)),
        }
    }

    /// MKCOL of the upload.
    pub(super) fn chunk_begin(&self, body: &str) -> Answer {
        if !body.is_empty() {
            return Err(DavError::new(415, "MKCOL takes no body"));
        }
        let to = self.destination()?;
        self.check_name(to.name())?;
        self.total_length()?;
        let id = self.at.name().to_owned();
        let mut state = self.sim.state();
        self.forget_old(&mut state.uploads);
        let key = (self.account.profile.clone(), id);
        if state.uploads.contains_key(&key) {
            return Err(DavError::new(405, "The resource exists already"));
        }
        let upload = Upload {
            to: to.path(),
            chunks: BTreeMap::new(),
            touched: self.now(),
        };
        state.uploads.insert(key, upload);
        Ok(done(201, &[]))
    }

    /// Whatever can be said of a chunk before its bytes come: its number.
    pub(super) fn plan_chunk(&self) -> Result<u32, DavError> {
        self.same_destination()?;
        let number = number(self.at.name())
            .ok_or_else(|| DavError::new(400, "Chunks are named 1 to 10000"))?;
        let longest = limit(&self.account, "chunk_max", 5 << 30);
        if self.content_length().is_some_and(|length| length > longest) {
            return Err(DavError::new(413, "The chunk is too large"));
        }
        self.total_length()?;
        Ok(number)
    }

    /// PUT of a chunk. A second one of its number replaces it.
    pub(super) async fn chunk(self: Arc<Ctx>, number: u32, body: Body) -> Answer {
        let longest = limit(&self.account, "chunk_max", 5 << 30);
        let blob = match receive(&self.account, self.op, body, longest).await {
            Landed::Whole(blob) => blob,
            Landed::TooLong => return Err(DavError::new(413, "The chunk is too large")),
            Landed::Broken(_) => return Err(DavError::dropped()),
        };
        let name = self.at.name().to_owned();
        let chunk = Chunk { name, blob };
        let old = self.upload(|upload| upload.chunks.insert(number, chunk))?;
        Ok(done(if old.is_some() { 204 } else { 201 }, &[]))
    }

    /// PROPFIND of the upload: which chunks are there.
    pub(super) fn chunk_rows(&self) -> Result<Vec<Row>, DavError> {
        let depth = self.header("depth").to_owned();
        if depth != "0" && depth != "1" {
            return Err(DavError::new(403, "Depth is 0 or 1 here").because("propfind-finite-depth"));
        }
        let path = self.at.path();
        self.upload(|upload| {
            let row = |node: Node, path: String| Row { node, path };
            let dir = Node::dir("uploads", "", self.at.name(), upload.touched);
            let mut rows = vec![row(dir, path.clone())];
            if depth == "1" {
                rows.extend(upload.chunks.iter().map(|(number, chunk)| {
                    let id = format!("chunk{number}");
                    let blob = chunk.blob.clone();
                    let node = Node::file(&id, "uploads", &chunk.name, blob, upload.touched);
                    row(node, format!("{path}/{}", chunk.name))
                }));
            }
            rows
        })
    }

    /// The answer to that.
    pub(super) async fn chunk_list(&self, document: &str) -> Answer {
        self.check_xml(document)?;
        let wish = Wish::read(document)?;
        let rows = self.chunk_rows()?;
        Ok(multistatus(self.answer(&rows, &wish).await))
    }

    /// The content that the chunks make, if their sizes are right.
    fn assembled(&self) -> Result<Blob, DavError> {
        let bad = |why: &str| Err(DavError::new(400, why));
        let total = self.total_length()?;
        let optional = self.account.knobs.text("total_length").as_deref() == Some("optional");
        if total.is_none() && !optional {
            return bad("OC-Total-Length is missing");
        }
        let smallest = limit(&self.account, "chunk_min", 5 << 20);
        let (blob, small) = self.upload(|upload| {
            let mut sizes = upload.chunks.values().map(|chunk| chunk.blob.size());
            // The last one may be as small as it likes.
            let _ = sizes.next_back();
            let small = sizes.any(|size| size < smallest);
            let chunks = upload.chunks.values().map(|chunk| &chunk.blob);
            (Blob::join(chunks), small)
        })?;
        if small {
            return bad("A chunk is too small");
        }
        match total {
            Some(total) if total != blob.size() => {
                let sum = blob.size();
                bad(&format!(
                    "Chunks on server do not sum up to {total} but to {sum} bytes"
                ))
            }
            _ => Ok(blob),
        }
    }

    /// MOVE of `.file`: the file is there with all its bytes, or as it was.
    pub(super) async fn chunk_commit(&self) -> Answer {
        if self.at.name() != ".file" {
            return Err(DavError::new(403, "Only .file can be moved from here"));
        }
        let to = self.same_destination()?;
        if to.slash {
            return Err(DavError::new(409, "Destination of a file has no slash"));
        }
        let overwrite = self.overwrites()?;
        let blob = self.assembled()?;
        self.check_mtime()?;
        let known = self.account.tree().resolve(&to.path()).cloned();
        match &known {
            Some(node) if node.is_dir() => return Err(self.not_allowed()),
            Some(_) if !overwrite => return Err(DavError::new(412, "Destination exists")),
            _ => {}
        }
        self.may_change(known.as_ref()).await?;
        {
            let state = self.sim.state();
            let tree = self.account.tree();
            let parent = self.parent_dir(&tree, &to)?;
            let target = known.as_ref().unwrap_or(&parent);
            self.unlocked(&state, &tree, &[(&target.id, false)])?;
            let old = known.as_ref().map_or(0, Node::size);
            if blob.size() > self.free(&tree).saturating_add(old) {
                return Err(no_space());
            }
        }
        self.commit_fails()?;
        let answer = self.settle(&to, blob).await?;
        self.forget();
        Ok(answer)
    }

    fn forget(&self) {
        let id = self.at.names.first().cloned().unwrap_or_default();
        let key = (self.account.profile.clone(), id);
        self.sim.state().uploads.remove(&key);
    }

    /// DELETE of the upload.
    pub(super) fn chunk_abort(&self) -> Answer {
        self.upload(|_| ())?;
        self.forget();
        Ok(done(204, &[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_chunks() {
        assert_eq!(number("1"), Some(1));
        assert_eq!(number("00042"), Some(42));
        assert_eq!(number("10000"), Some(10_000));
        for bad in ["", "0", "10001", "-1", "+1", "1.part", "a", "99999999999"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
