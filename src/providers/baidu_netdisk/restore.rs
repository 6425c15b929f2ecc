//! Back from the recycle bin (sheet section 4.12): for the cookies of a web session only, the
//! open platform has no call for it.

use bytes::Bytes;
use serde_json::json;

use super::api::Api;
use super::list;
use super::names;
use super::write::again_if_lost;
use crate::drive::{DriveError, ErrorKind, Node, Result, patience};
use crate::net::{FormPart, retry};

pub async fn restore(api: &Api, node: &Node) -> Result<Node> {
    let fs_id: u64 =
        node.id.as_str().parse().map_err(|_| {
            DriveError::new(ErrorKind::Invalid, format!("{} is no file id", node.id))
        })?;
    let param = json!({ "list": [{ "fs_id": fs_id }] }).to_string();
    retry(patience(), || async {
        let request = api
            .post_recycle("restore", "/rest/2.0/pcs/file")
            .query("method", "restore")
            .multipart(vec![FormPart {
                name: "param".to_owned(),
                file_name: None,
                bytes: Bytes::from(param.clone()),
            }]);
        // Restored already, when an earlier answer was lost: the entry itself decides.
        let told = api.attempt(request).await.map_err(again_if_lost);
        let back = match list::entry_of(api, &node.id).await {
            Ok(entry) => Some(entry),
            Err(error) if error.kind == ErrorKind::NotFound => {
                // Should it come back as another entry: by the name it had.
                let name = names::encode(&node.name)?;
                let (_, found) = list::find(api, &node.parent, &name).await?;
                found.filter(|entry| entry.size == node.size)
            }
            Err(error) => return Err(error),
        };
        match (back, told) {
            (Some(entry), _) => Ok(entry.node(node.parent.clone())),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Err(DriveError::not_found(format!(
                "the restored {:?}",
                node.name
            ))),
        }
    })
    .await
}
