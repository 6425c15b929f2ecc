//! Reading ranges. A file that is another one by now must not give its bytes for the ones that are
//! meant.

use std::ops::Range;

use super::address;
use super::api::Api;
use super::versions;
use crate::drive::{ByteStream, DriveError, ErrorKind, Node, Result};

/// The bytes of `range`, which is inside the file and not empty.
pub async fn read(api: &Api, node: &Node, range: Range<u64>) -> Result<ByteStream> {
    let key = address::key(node.id.as_str());
    let (told, stream) = api.store.read(&key, range).await?;
    if !versions::is_same(api, node, &told) {
        return Err(DriveError::new(
            ErrorKind::Changed,
            format!(
                "{} changed while it was read",
                address::shown(node.id.as_str())
            ),
        ));
    }
    Ok(stream)
}
