//! Reading: pieces of up to 1 MiB, the file's state checked before and with every piece.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;

use super::disk::{Disk, METADATA, PIECE, changed, version};
use super::error;
use super::sys::{self, Stat};
use crate::drive::{ByteStream, DriveError, ErrorKind, Node, Result};

/// The first piece is small, for readers that wait for it.
const FIRST: u64 = 256 << 10;
const LARGEST: u64 = 1 << 20;

struct Reader {
    disk: Arc<Disk>,
    node: Arc<Node>,
    file: Arc<File>,
    stat: Stat,
    left: Range<u64>,
    piece: u64,
}

/// The bytes of a range of a file at its version.
pub async fn stream(disk: &Arc<Disk>, node: &Node, range: Range<u64>) -> Result<ByteStream> {
    let node = Arc::new(node.clone());
    let wanted = node.clone();
    let (file, stat) = disk
        .run("read", METADATA, move |disk| {
            let id = wanted.id.as_str();
            let file = disk.open_file(&disk.place(id)?, libc::O_RDONLY)?;
            let stat = sys::stat_fd(&file).map_err(|error| error::of("read", id, &error))?;
            if version(&stat) != wanted.version {
                return Err(changed(&wanted));
            }
            Ok((file, stat))
        })
        .await?;
    if range.start > range.end || range.end > stat.size {
        return Err(DriveError::new(
            ErrorKind::Invalid,
            format!(
                "range {}..{} is outside of {} bytes",
                range.start, range.end, stat.size
            ),
        ));
    }
    let reader = Reader {
        disk: disk.clone(),
        node,
        file: Arc::new(file),
        stat,
        left: range,
        piece: FIRST,
    };
    Ok(Box::pin(stream::try_unfold(reader, |mut reader| async {
        Ok(reader.next().await?.map(|bytes| (bytes, reader)))
    })))
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let length = self.piece.min(self.left.end - self.left.start);
        if length == 0 {
            return Ok(None);
        }
        let (file, node, stat, at) = (
            self.file.clone(),
            self.node.clone(),
            self.stat,
            self.left.start,
        );
        let bytes = self
            .disk
            .run("read", PIECE, move |_| {
                let id = node.id.as_str();
                let mut buffer = vec![0; usize::try_from(length).unwrap_or(0)];
                match file.read_exact_at(&mut buffer, at) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                        return Err(changed(&node));
                    }
                    Err(error) => return Err(error::of("read", id, &error)),
                }
                let now = sys::stat_fd(&*file).map_err(|error| error::of("read", id, &error))?;
                if (now.size, now.mtime_ns) != (stat.size, stat.mtime_ns) {
                    return Err(changed(&node));
                }
                Ok(Bytes::from(buffer))
            })
            .await?;
        self.left.start = at.saturating_add(length);
        self.piece = LARGEST.min(self.piece.saturating_mul(2));
        Ok(Some(bytes))
    }
}
