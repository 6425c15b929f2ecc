//! Archives have empty links (sheet section 4.3). The service gives one when the name ends with
//! three digits, so such a file carries another name for a moment: `a.zip` is `a.zip.001` until
//! its link is there. What is renamed is written down before, so that no name stays lost after a
//! crash; nobody on this side sees the other name; and the work goes on when its caller is gone.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::Api;
use super::names::RULES;
use super::read::{self, Link, PAUSES, link_of};
use super::write::patch_name;
use crate::drive::{DriveError, ErrorKind, NodeId, Result, decode};
use crate::net::{Secret, current_priority, with_priority};

/// A file that carries another name for a moment. Both names as the service spells them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lent {
    /// Its own.
    name: String,
    /// The other one.
    lent: String,
}

/// The field of the credentials that notes a lent name: `lent_name_` and the file's id.
const NOTE: &str = "lent_name_";

/// Types that are archives, where the service does not say it.
const EXTENSIONS: &[&str] = &["zip", "rar", "7z", "tar", "gz", "tgz", "bz2", "xz", "iso"];

/// Whether a file is an archive, so that an empty link is no accident.
pub fn is_archive(file: &Value) -> bool {
    if let Some(category) = decode::nonempty(&file["file_category"]) {
        return category == "ARCHIVE";
    }
    let name = decode::text(&file["name"]).to_ascii_lowercase();
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| EXTENSIONS.contains(&extension))
}

/// `name` with three digits behind it, within the longest name.
fn numbered(name: &str, number: u32) -> String {
    let room = RULES.max_chars.saturating_sub(4);
    let stem: String = name.chars().take(room).collect();
    format!("{stem}.{number:03}")
}

fn has_digits(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, end)| {
        !stem.is_empty() && end.len() == 3 && end.bytes().all(|b| b.is_ascii_digit())
    })
}

fn lent(api: &Api) -> MutexGuard<'_, HashMap<String, Lent>> {
    api.lent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives a file object its own name back, when it carries a lent one.
pub fn own_name(api: &Api, file: &mut Value) {
    let lent = lent(api);
    if lent.is_empty() {
        return;
    }
    if let Some(note) = lent.get(&decode::text(&file["id"]))
        && file["name"] == note.lent.as_str()
    {
        file["name"] = json!(note.name);
    }
}

/// The link of an archive.
pub async fn link(api: &Arc<Api>, id: &NodeId) -> Result<Link> {
    if !api.renames_archives {
        return Err(DriveError::new(
            ErrorKind::Provider,
            "the provider gives no download link for an archive under its own name, and the profile says archives = leave",
        ));
    }
    let (api, id) = (api.clone(), id.clone());
    let work = with_priority(current_priority(), async move { borrow(&api, &id).await });
    match tokio::spawn(work).await {
        Ok(link) => link,
        Err(_) => Err(DriveError::new(
            ErrorKind::Cancelled,
            "asking for the link of an archive was interrupted",
        )),
    }
}

/// One at a time, and no rename of ours meanwhile.
async fn borrow(api: &Api, id: &NodeId) -> Result<Link> {
    let _alone = api.names.write().await;
    if let Some(link) = read::kept(api, id) {
        return Ok(link);
    }
    // Its name by now; an earlier name that could not be given back first.
    let note = lent(api).get(id.as_str()).cloned();
    if let Some(note) = note {
        give_back(api, id, &note).await?;
    }
    let file = read::ask(api, id).await?;
    if let Some(link) = link_of(&file, api.now()) {
        return Ok(link);
    }
    let name = decode::text(&file["name"]);
    if name.is_empty() || has_digits(&name) {
        return Err(read::none());
    }
    let mut refusal = read::none();
    for number in 1..=9 {
        let note = Lent {
            name: name.clone(),
            lent: numbered(&name, number),
        };
        write_down(api, id, Some(&note)).await?;
        match patch_name(api, id, &note.lent).await {
            Ok(_) => {
                let link = wait(api, id).await;
                let back = give_back(api, id, &note).await;
                if let Err(error) = &back {
                    tracing::warn!(%id, %error, "an archive could not get its name back yet");
                }
                return link;
            }
            // Nothing was renamed.
            Err(error) if error.kind == ErrorKind::Exists => {
                write_down(api, id, None).await?;
                refusal = error;
            }
            Err(error) => {
                // It may have been done all the same.
                if let Err(error) = give_back(api, id, &note).await {
                    tracing::warn!(%id, %error, "an archive may not have its name back yet");
                }
                return Err(error);
            }
        }
    }
    Err(refusal)
}

async fn wait(api: &Api, id: &NodeId) -> Result<Link> {
    let mut pauses = PAUSES.into_iter();
    loop {
        if let Some(link) = link_of(&read::ask(api, id).await?, api.now()) {
            api.links.insert(id.clone(), link.clone());
            return Ok(link);
        }
        match pauses.next() {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(read::none()),
        }
    }
}

/// Renames a file back, when it still carries the lent name, and forgets the note.
async fn give_back(api: &Api, id: &NodeId, note: &Lent) -> Result<()> {
    let gone = |kind| kind == ErrorKind::NotFound;
    match read::ask(api, id).await {
        Ok(file) if file["name"] == note.lent.as_str() => {
            match patch_name(api, id, &note.name).await {
                Ok(_) => {}
                Err(error) if gone(error.kind) => {}
                Err(error) if error.kind == ErrorKind::Exists => {
                    // Its name was taken meanwhile: it is shown as what it is called now.
                    tracing::warn!(%id, name = note.name, now = note.lent, "the name of an archive was taken while it carried another one");
                }
                Err(error) => return Err(error),
            }
        }
        // Somebody gave it another name, or it was never renamed.
        Ok(_) => {}
        Err(error) if gone(error.kind) => {}
        Err(error) => return Err(error),
    }
    write_down(api, id, None).await
}

/// Notes a lent name durably, or forgets it.
async fn write_down(api: &Api, id: &NodeId, note: Option<&Lent>) -> Result<()> {
    let text = match note {
        Some(note) => serde_json::to_string(note)
            .map_err(|_| DriveError::new(ErrorKind::Invalid, "a name that cannot be noted"))?,
        None => String::new(),
    };
    if let Some(note) = note {
        lent(api).insert(id.to_string(), note.clone());
    }
    api.identity
        .save([(format!("{NOTE}{id}"), Secret::new(text))])
        .await?;
    if note.is_none() {
        lent(api).remove(id.as_str());
    }
    Ok(())
}

/// Once per process: gives back the names that an earlier one could not.
pub async fn settle(api: &Api) {
    let work = || async {
        let stored = api.identity.load().await?;
        let notes = stored.iter().filter_map(|(field, text)| {
            let id = field.strip_prefix(NOTE).filter(|_| !text.is_empty())?;
            Some((id.to_owned(), serde_json::from_str(text.expose()).ok()?))
        });
        let notes: HashMap<String, Lent> = notes.collect();
        if notes.is_empty() {
            return Ok::<_, DriveError>(());
        }
        let _alone = api.names.write().await;
        lent(api).extend(notes.clone());
        for (id, note) in notes {
            let id = NodeId::new(id);
            if let Err(error) = give_back(api, &id, &note).await {
                tracing::warn!(%id, %error, "an archive could not get its name back yet");
            }
        }
        Ok(())
    };
    if let Err(error) = api.settled.get_or_try_init(work).await {
        tracing::debug!(%error, "lent names were not looked for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_or_guessed() {
        assert!(is_archive(
            &json!({"file_category": "ARCHIVE", "name": "x"})
        ));
        assert!(!is_archive(
            &json!({"file_category": "OTHER", "name": "x.zip"})
        ));
        assert!(is_archive(&json!({"name": "x.RAR"})));
        assert!(is_archive(
            &json!({"file_category": "", "name": "x.tar.gz"})
        ));
        assert!(!is_archive(&json!({"name": "zip"})));
    }

    #[test]
    fn lent_names_end_with_three_digits_and_fit() {
        assert_eq!(numbered("a.zip", 1), "a.zip.001");
        let long = "\u{5b57}".repeat(255);
        assert_eq!(numbered(&long, 9).chars().count(), 255);
        assert!(has_digits("a.zip.001") && has_digits("b.999"));
        for name in ["a.zip", "a.0001", "a.01x", ".001", "001"] {
            assert!(!has_digits(name), "{name}");
        }
    }
}
