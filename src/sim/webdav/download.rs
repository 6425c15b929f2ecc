//! GET and HEAD.

use axum::http::HeaderValue;
use axum::response::Response;

use super::super::body::{send, set};
use super::super::clock::rfc1123;
use super::super::digest::HashKind;
use super::super::tree::Node;
use super::errors::{empty, plain};
use super::gate::{Answer, Ctx};

impl Ctx {
    /// The file that is read.
    fn file(&self) -> Result<Node, super::errors::DavError> {
        let node = self.found()?;
        match node.is_dir() {
            false => Ok(node),
            // Servers show a page of their own here, or nothing. No client of files needs it.
            true => Err(self.not_allowed()),
        }
    }

    /// Headers that tell one state of a file from another.
    fn describe(&self, response: &mut Response, node: &Node, tag: Option<&str>) {
        if let Some(tag) = tag {
            set(response, "etag", tag);
        }
        set(response, "last-modified", &rfc1123(node.modified));
        if self.yes("disposition") {
            // Raw UTF-8, as the sheet saw it (4.2): a client that wants text cannot read it.
            let text = format!("inline; filename=\"{}\"", node.name.replace('"', "'"));
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                response.headers_mut().insert("content-disposition", value);
            }
        }
    }

    /// GET: 200, 206 or 416.
    pub(super) async fn get(&self) -> Answer {
        let node = self.file()?;
        let tag = self.tag(&node).await.header;
        let ranged = match self.may_read(&node, tag.as_deref()) {
            Err(error) if error.status() == 304 => {
                let mut response = empty(304);
                self.describe(&mut response, &node, tag.as_deref());
                return Ok(response);
            }
            other => other?,
        };
        let mut headers = self.headers.clone();
        if !ranged {
            headers.remove("range");
        }
        let Some(blob) = node.stored() else {
            return Err(self.not_allowed());
        };
        let mut response = send(&self.account, self.op, blob, &headers, ());
        if response.status() != 416 {
            self.describe(&mut response, &node, tag.as_deref());
        }
        Ok(response)
    }

    /// HEAD: what GET would say, without the bytes.
    pub(super) async fn head(&self) -> Answer {
        let node = self.file()?;
        let tag = self.tag(&node).await.header;
        let mut response = match self.may_read(&node, tag.as_deref()) {
            Err(error) if error.status() == 304 => empty(304),
            other => {
                other?;
                let mut response = empty(200);
                set(&mut response, "content-length", &node.size().to_string());
                set(&mut response, "content-type", "application/octet-stream");
                set(&mut response, "accept-ranges", "bytes");
                response
            }
        };
        self.describe(&mut response, &node, tag.as_deref());
        Ok(response)
    }

    /// GET `?hash`: SHA-256 of the file (sheet, 7.1, dufs).
    pub(super) async fn hash(&self) -> Answer {
        let node = self.file()?;
        match node.stored() {
            Some(blob) => Ok(plain(200, blob.digest(HashKind::Sha256).await)),
            None => Err(self.not_allowed()),
        }
    }
}
