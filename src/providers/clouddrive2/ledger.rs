//! The uploads of this drive that may live at the server, in a file, so that the next start of the
//! program knows them: an upload that was cut off goes on with the same content, and any other
//! one is cancelled (sheet section 7.7, "resume after client restart").

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// What an upload was started with. No secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub path: String,
    pub size: u64,
    /// Trusted fingerprints by name: they say whether a content is the same.
    pub content: BTreeMap<String, String>,
}

impl Entry {
    /// Whether both certainly name the same bytes at the same place.
    pub fn is_same(&self, other: &Entry) -> bool {
        let mut common = self
            .content
            .iter()
            .filter_map(|(kind, value)| Some(other.content.get(kind)? == value))
            .peekable();
        self.path == other.path
            && self.size == other.size
            && common.peek().is_some()
            && common.all(|equal| equal)
    }
}

/// The file.
pub struct Ledger {
    file: PathBuf,
    entries: Mutex<Option<BTreeMap<String, Entry>>>,
}

impl Ledger {
    /// The ledger of a profile. Nothing is read yet.
    pub fn new(state_dir: &Path, profile: &str) -> Ledger {
        let name: String = profile
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        Ledger {
            file: state_dir.join(format!("uploads-{name}.json")),
            entries: Mutex::new(None),
        }
    }

    /// All entries by upload id.
    pub async fn all(&self) -> BTreeMap<String, Entry> {
        let mut entries = self.entries.lock().await;
        self.loaded(&mut entries).await.clone()
    }

    pub async fn insert(&self, id: &str, entry: Entry) {
        let mut entries = self.entries.lock().await;
        let all = self.loaded(&mut entries).await;
        all.insert(id.to_owned(), entry);
        self.save(all.clone()).await;
    }

    pub async fn remove(&self, id: &str) {
        let mut entries = self.entries.lock().await;
        let all = self.loaded(&mut entries).await;
        if all.remove(id).is_some() {
            self.save(all.clone()).await;
        }
    }

    async fn loaded<'a>(
        &self,
        entries: &'a mut Option<BTreeMap<String, Entry>>,
    ) -> &'a mut BTreeMap<String, Entry> {
        if entries.is_none() {
            let file = self.file.clone();
            let read = tokio::task::spawn_blocking(move || std::fs::read(file)).await;
            // A ledger that is not there or not readable costs a second upload, no data.
            let stored = read
                .ok()
                .and_then(Result::ok)
                .and_then(|bytes| serde_json::from_slice(&bytes).ok());
            *entries = Some(stored.unwrap_or_default());
        }
        entries.get_or_insert_default()
    }

    async fn save(&self, all: BTreeMap<String, Entry>) {
        let file = self.file.clone();
        let saved = tokio::task::spawn_blocking(move || write(&file, &all)).await;
        if !matches!(saved, Ok(Ok(()))) {
            tracing::warn!(file = %self.file.display(), "the list of open uploads is not saved");
        }
    }
}

/// Beside it first: a crash leaves the old one or the new one.
fn write(file: &Path, all: &BTreeMap<String, Entry>) -> std::io::Result<()> {
    let beside = file.with_extension("json.new");
    let mut new = std::fs::File::create(&beside)?;
    new.write_all(&serde_json::to_vec(all)?)?;
    new.sync_all()?;
    std::fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, size: u64, content: &[(&str, &str)]) -> Entry {
        let pair = |(kind, value): &(&str, &str)| ((*kind).to_owned(), (*value).to_owned());
        Entry {
            path: path.to_owned(),
            size,
            content: content.iter().map(pair).collect(),
        }
    }

    #[tokio::test]
    async fn entries_outlive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(dir.path(), "my/nas");
        ledger
            .insert("u-1", entry("/a/x", 5, &[("sha1", "aa")]))
            .await;
        ledger.insert("u-2", entry("/a/y", 6, &[])).await;
        ledger.remove("u-2").await;
        let again = Ledger::new(dir.path(), "my/nas");
        let all = again.all().await;
        assert_eq!(all.len(), 1);
        assert_eq!(all["u-1"], entry("/a/x", 5, &[("sha1", "aa")]));
        std::fs::write(dir.path().join("uploads-my_nas.json"), "not json").unwrap();
        assert!(Ledger::new(dir.path(), "my/nas").all().await.is_empty());
    }

    #[test]
    fn the_same_content_is_told_by_a_common_hash() {
        let one = entry("/a", 5, &[("sha1", "aa"), ("md5", "bb")]);
        assert!(one.is_same(&entry("/a", 5, &[("md5", "bb")])));
        assert!(!one.is_same(&entry("/a", 5, &[("md5", "bb"), ("sha1", "cc")])));
        assert!(!one.is_same(&entry("/a", 5, &[("gcid", "dd")])));
        assert!(!one.is_same(&entry("/a", 6, &[("md5", "bb")])));
        assert!(!one.is_same(&entry("/b", 5, &[("md5", "bb")])));
    }
}
