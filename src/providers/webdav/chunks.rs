//! Uploads in chunks, as Nextcloud offers them (sheet generic_backends, 4.3, item 10; the public
//! documentation of Nextcloud, "Chunked file upload", version 2; ownCloud takes the same calls).
//! Nothing is visible before the last call, chunks may come in any order, and the server tells
//! which ones it has. It forgets them after 24 hours.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::address::{self, Base};
use super::api::{Api, Call};
use super::error::Wanted;
use super::list;
use super::propfind::Ask;
use super::write;
use crate::drive::{DriveError, ErrorKind, PartReceipt, Result, UploadSession};
use crate::net::Deadlines;

/// Chunks of one upload at most.
pub const MOST: u64 = 10_000;

/// Putting chunks together is a copy at the server, of any size.
const ASSEMBLY: Deadlines = Deadlines {
    head: Duration::from_secs(1800),
    idle: Duration::from_secs(60),
    total: Some(Duration::from_secs(1860)),
};

/// Where chunks go.
pub struct Chunks {
    /// The collection of the user's uploads, as the address of the profile suggests it.
    candidate: Option<String>,
    offered: OnceCell<bool>,
}

impl Chunks {
    /// `wish` is the field `chunks` of the profile.
    pub fn new(base: &Base, user: &str, wish: &str) -> Chunks {
        let path = (wish != "never").then(|| uploads_path(base.path(), user));
        Chunks {
            candidate: path.flatten().map(|path| base.at_root(&path)),
            offered: OnceCell::new(),
        }
    }

    /// Whether the address of the profile is one of Nextcloud or ownCloud.
    pub fn is_likely(&self) -> bool {
        self.candidate.is_some()
    }

    /// The collection of uploads, when the server has one. Asked once.
    pub async fn place(&self, api: &Api) -> Result<Option<&str>> {
        let Some(candidate) = self.candidate.as_deref() else {
            return Ok(None);
        };
        let offered = self
            .offered
            .get_or_try_init(|| async {
                match list::look_at(api, "uploads", candidate, Ask::Node).await {
                    Ok(entry) => Ok(list::is_dir(&entry)),
                    Err(error)
                        if matches!(
                            error.kind,
                            ErrorKind::NotFound
                                | ErrorKind::Unsupported
                                | ErrorKind::Auth
                                | ErrorKind::Invalid
                                | ErrorKind::BadAnswer
                        ) =>
                    {
                        Ok(false)
                    }
                    Err(error) => Err::<bool, DriveError>(error),
                }
            })
            .await?;
        Ok(offered.then_some(candidate))
    }
}

/// `/remote.php/dav/uploads/USER/`, from `/remote.php/dav/files/USER/...` or `/remote.php/webdav`.
fn uploads_path(path: &[Vec<u8>], user: &str) -> Option<String> {
    let at = path.iter().position(|name| name == b"remote.php")?;
    let name = |n: usize| path.get(at + n).map(Vec::as_slice);
    let user = match (name(1), name(2), name(3)) {
        (Some(b"dav"), Some(b"files"), Some(user)) => user,
        (Some(b"webdav"), _, _) if !user.is_empty() => user.as_bytes(),
        _ => return None,
    };
    let front = path.get(..=at)?;
    let mut text = String::new();
    for name in front {
        text.push('/');
        text.push_str(&address::encode(name));
    }
    text.push_str(&format!("/dav/uploads/{}/", address::encode(user)));
    Some(text)
}

/// One upload in chunks.
pub struct Upload {
    /// Its collection.
    pub url: String,
    /// Where the file will be. Version 2 wants it with every request.
    pub destination: String,
    /// Bytes of all of it.
    pub size: u64,
}

impl Upload {
    fn call(&self, op: &'static str, wanted: Wanted, method: &'static str, name: &str) -> Call {
        Call::new(op, wanted, method, format!("{}{name}", self.url))
            .header("destination", &self.destination)
            .header("oc-total-length", &self.size.to_string())
    }

    pub async fn begin(&self, api: &Api) -> Result<()> {
        let call = self.call("chunks_open", Wanted::Directory, "MKCOL", "");
        match api.call(&call, &[201, 200, 204]).await {
            // The name is random: it is ours, from a try whose answer was lost.
            Err(error) if error.kind == ErrorKind::Exists => Ok(()),
            made => made.map(drop),
        }
    }

    pub async fn put(&self, api: &Api, number: u32, bytes: Bytes) -> Result<()> {
        let call = self
            .call("chunk", Wanted::Store, "PUT", &chunk_name(number))
            .class("upload")
            .deadlines(Deadlines::UPLOAD)
            .header("content-type", "application/octet-stream")
            .body(bytes);
        api.once(&call, &[201, 204, 200]).await.map(drop)
    }

    /// The chunks the server has; `None` when it does not know the upload any more.
    pub async fn stored(
        &self,
        api: &Api,
        session: &UploadSession,
    ) -> Result<Option<Vec<PartReceipt>>> {
        let Some(entries) = write::entries_at(api, &self.url).await? else {
            return Ok(None);
        };
        let mut parts: Vec<PartReceipt> = entries
            .iter()
            .filter(|entry| !list::is_dir(entry))
            .filter_map(|entry| {
                let (path, _) = address::href(&entry.href)?;
                let name = String::from_utf8(path.last()?.clone()).ok()?;
                let number: u32 = name.parse().ok()?;
                let range = session.part_range(self.size, number);
                let size = entry.props.length?;
                // A chunk of another size is sent again; the server replaces it.
                let fits = (1..=session.part_count(self.size)).contains(&number)
                    && size == range.end.saturating_sub(range.start);
                fits.then_some(PartReceipt {
                    number,
                    size,
                    tag: String::new(),
                })
            })
            .collect();
        parts.sort_by_key(|part| part.number);
        parts.dedup_by_key(|part| part.number);
        Ok(Some(parts))
    }

    /// Puts the chunks together, once.
    pub async fn join(&self, api: &Api, headers: &[(&'static str, String)]) -> Result<()> {
        let mut call = self
            .call("chunks_join", Wanted::Name, "MOVE", ".file")
            .header("overwrite", "F")
            .deadlines(ASSEMBLY);
        for (name, value) in headers {
            call = call.header(name, value);
        }
        api.once(&call, &[201, 204, 200]).await.map(drop)
    }
}

/// Names sort as numbers do, for servers that put chunks together by name.
fn chunk_name(number: u32) -> String {
    format!("{number:05}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(base: &str, user: &str) -> Option<String> {
        uploads_path(Base::new(base).unwrap().path(), user)
    }

    #[test]
    fn the_place_follows_from_the_address() {
        assert_eq!(
            path("https://h/remote.php/dav/files/m%20e/Photos", "x").as_deref(),
            Some("/remote.php/dav/uploads/m%20e/")
        );
        assert_eq!(
            path("https://h/cloud/remote.php/webdav/", "me@x").as_deref(),
            Some("/cloud/remote.php/dav/uploads/me%40x/")
        );
        assert_eq!(path("https://h/remote.php/webdav/", ""), None);
        assert_eq!(path("https://h/remote.php/dav/calendars/me", "me"), None);
        assert_eq!(path("https://h/dav/files/me", "me"), None);
        let base = Base::new("https://h/remote.php/dav/files/me").unwrap();
        assert!(Chunks::new(&base, "", "auto").is_likely());
        assert!(!Chunks::new(&base, "", "never").is_likely());
        assert_eq!(chunk_name(7), "00007");
    }
}
