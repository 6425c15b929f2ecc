//! How entries look; list, stat, search, space and the small questions (clouddrive2.md
//! sections 4 and 5).

use std::collections::BTreeMap;

use futures_util::stream;
use tonic::Status;

use super::super::clock::rfc3339;
use super::super::content::Blob;
use super::super::faults::FaultKind;
use super::super::tree::{Node, Tree};
use super::gate::{Answers, Call};
use super::messages::{
    CloudApiList, CloudDriveFile, CloudMembership, CloudMemberships, FileDetailProperties,
    FileMetaData, FileRequest, FindFileByPathRequest, ListSubFileRequest, RuntimeInfo,
    SearchRequest, SpaceInfo, StringResult, SubFilesReply, Timestamp,
};
use super::paths::{MOUNTS, Mount, Place, kind_of, path_of, written};

/// Entries per message of a listing (section 11, 3).
const BATCH: usize = 100;

/// A number of bytes as int64.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Files, folders and bytes below a folder.
fn totals(tree: &Tree, id: &str) -> (i64, i64, u64) {
    let mut sum = (0, 0, 0_u64);
    for child in tree.children(id) {
        if child.is_dir() {
            let below = totals(tree, &child.id);
            sum = (sum.0 + below.0, sum.1 + below.1 + 1, sum.2 + below.2);
        } else {
            sum = (sum.0 + 1, sum.1, sum.2 + child.size());
        }
    }
    sum
}

impl Call {
    /// The entry of `/` itself.
    fn root_entry(&self) -> CloudDriveFile {
        CloudDriveFile {
            name: "/".to_owned(),
            full_path_name: "/".to_owned(),
            is_directory: true,
            is_root: true,
            ..CloudDriveFile::default()
        }
    }

    /// An entry as listings and stat show it.
    pub(super) async fn entry(&self, mount: &'static Mount, node: &Node) -> CloudDriveFile {
        let knobs = &self.account.knobs;
        let path = path_of(&self.account.tree(), &node.id);
        let (dir, top) = (node.is_dir(), node.parent.is_empty());
        let mut file_hashes = BTreeMap::new();
        let hashless = knobs.text("hashless").filter(|part| !part.is_empty());
        if let Some(blob) = &node.blob
            && !hashless.is_some_and(|part| node.name.contains(&part))
        {
            for number in mount.lists(&self.account) {
                if let Some(kind) = kind_of(number) {
                    let mut text = written(number, blob.digest(kind).await);
                    match knobs.text("list_case").as_deref() {
                        Some("upper") => text.make_ascii_uppercase(),
                        Some("lower") => text.make_ascii_lowercase(),
                        _ => {}
                    }
                    file_hashes.insert(number, text);
                }
            }
        }
        let name = if top { mount.name } else { &node.name };
        CloudDriveFile {
            id: if top { String::new() } else { node.id.clone() },
            name: name.to_owned(),
            full_path_name: path,
            size: signed(node.size()),
            file_type: i32::from(!dir),
            create_time: Some(Timestamp::of_ms(node.created)),
            write_time: Some(Timestamp::of_ms(node.modified)),
            access_time: None,
            cloud_api: Some(mount.api(&self.account)),
            is_directory: dir,
            is_root: false,
            is_cloud_root: top,
            is_cloud_directory: dir,
            is_cloud_file: !dir,
            is_search_result: self.op == "search",
            is_forbidden: knobs
                .text("blocked")
                .is_some_and(|part| !part.is_empty() && node.name.contains(&part)),
            can_search: dir,
            has_detail_properties: true,
            dir_cache_time_to_live_secs: dir.then(|| knobs.number("dir_cache_s", 0)),
            can_delete_permanently: !knobs.flag("no_purge"),
            file_hashes,
            read_only: false,
        }
    }

    /// The children of a folder, as the server's directory cache has them: foreign changes are
    /// seen after its life, or at once with `force`.
    fn children(&self, parent: &str, force: bool) -> Vec<Node> {
        let now = self.now();
        let life = self.account.knobs.number("dir_cache_s", 0);
        let life = signed(life.saturating_mul(1000));
        let key = (self.account.profile.clone(), parent.to_owned());
        if life > 0
            && !force
            && let Some((until, nodes)) = self.sim.state().cache.get(&key)
            && now < *until
        {
            return nodes.clone();
        }
        let nodes = self.account.listed("list", parent, now);
        if life > 0 {
            let entry = (now.saturating_add(life), nodes.clone());
            self.sim.state().cache.insert(key, entry);
        }
        nodes
    }

    /// Entries in messages of a batch each.
    fn batches(&self, entries: Vec<CloudDriveFile>) -> Answers<SubFilesReply> {
        let faults = &self.account.faults;
        let mut batch = self.account.knobs.number("batch", BATCH as u64) as usize;
        if faults.take(self.op, FaultKind::TruncatedPage).is_some() {
            batch = (entries.len() / 2).clamp(1, batch.max(1));
        }
        let mut replies = Vec::new();
        // A message without entries is not the end.
        if faults.take(self.op, FaultKind::NullList).is_some() {
            replies.push(Ok(SubFilesReply::default()));
        }
        for batch in entries.chunks(batch.max(1)) {
            replies.push(Ok(SubFilesReply {
                sub_files: batch.to_vec(),
            }));
        }
        Box::pin(stream::iter(replies))
    }

    pub(super) async fn list(
        self,
        request: ListSubFileRequest,
    ) -> Result<Answers<SubFilesReply>, Status> {
        if request.force_refresh {
            self.account.meters.note("list_forced");
        }
        let mut entries = Vec::new();
        match self.there(&request.path)? {
            Place::Root => {
                for mount in &MOUNTS {
                    let node = self.account.tree().get(mount.root).cloned();
                    if let Some(node) = node {
                        entries.push(self.entry(mount, &node).await);
                    }
                }
            }
            Place::Node(_, node) if !node.is_dir() => {
                return Err(Status::invalid_argument("not a folder"));
            }
            Place::Node(mount, node) => {
                for child in self.children(&node.id, request.force_refresh) {
                    entries.push(self.entry(mount, &child).await);
                }
            }
        }
        Ok(self.batches(entries))
    }

    pub(super) async fn search(
        self,
        request: SearchRequest,
    ) -> Result<Answers<SubFilesReply>, Status> {
        let Place::Node(mount, top) = self.there(&request.path)? else {
            return Err(Status::invalid_argument("the root cannot be searched"));
        };
        let wanted = request.search_for.to_lowercase();
        let found: Vec<Node> = {
            let tree = self.account.tree();
            let below = |node: &&Node| {
                tree.live(&node.id).is_some()
                    && node.id != top.id
                    && tree.is_below(&node.id, &top.id)
            };
            let all = tree.walk().into_iter().filter(below);
            all.filter(|node| node.name.to_lowercase().contains(&wanted))
                .cloned()
                .collect()
        };
        let mut entries = Vec::new();
        for node in &found {
            entries.push(self.entry(mount, node).await);
        }
        Ok(self.batches(entries))
    }

    /// Both `("", "/a/b")` and `("/a", "b")` work (section 4).
    pub(super) async fn stat(
        self,
        request: FindFileByPathRequest,
    ) -> Result<CloudDriveFile, Status> {
        let path = match request.path.starts_with('/') {
            true => request.path,
            false => format!("{}/{}", request.parent_path, request.path),
        };
        match self.place(&path)? {
            Some(Place::Root) => Ok(self.root_entry()),
            Some(Place::Node(mount, node)) => Ok(self.entry(mount, &node).await),
            // Some versions answer an empty message.
            None if self.account.knobs.text("stat_missing").as_deref() == Some("empty") => {
                Ok(CloudDriveFile::default())
            }
            None => Err(Status::not_found(format!("{path} not found"))),
        }
    }

    pub(super) async fn details(
        self,
        request: FileRequest,
    ) -> Result<FileDetailProperties, Status> {
        let Place::Node(_, node) = self.there(&request.path)? else {
            return Err(Status::invalid_argument("the root has no properties"));
        };
        let tree = self.account.tree();
        let (files, folders, size) = match node.is_dir() {
            true => totals(&tree, &node.id),
            false => (1, 0, node.size()),
        };
        Ok(FileDetailProperties {
            total_file_count: files,
            total_folder_count: folders,
            total_size: signed(size),
            is_faved: false,
            is_shared: false,
            original_path: path_of(&tree, &node.id),
        })
    }

    /// Keys depend on the provider.
    pub(super) async fn metadata(self, request: FileRequest) -> Result<FileMetaData, Status> {
        let metadata = match self.there(&request.path)? {
            Place::Root => BTreeMap::new(),
            Place::Node(mount, node) => BTreeMap::from([
                ("cloud".to_owned(), mount.name.to_owned()),
                ("modified".to_owned(), rfc3339(node.modified)),
            ]),
        };
        Ok(FileMetaData { metadata })
    }

    pub(super) async fn original_path(self, request: FileRequest) -> Result<StringResult, Status> {
        let result = match self.there(&request.path)? {
            Place::Root => "/".to_owned(),
            Place::Node(_, node) => path_of(&self.account.tree(), &node.id),
        };
        Ok(StringResult { result })
    }

    /// Bytes used in the storage account of a root, what is in its trash too.
    pub(super) fn used(&self, root: &str) -> u64 {
        let tree = self.account.tree();
        let all = tree.walk().into_iter();
        all.filter(|node| tree.root_of(&node.id) == Some(root))
            .filter_map(|node| node.blob.as_ref().map(Blob::size))
            .sum()
    }

    /// Space of each storage account.
    pub(super) fn total_space(&self) -> u64 {
        self.account.knobs.number("total_size", 10 << 40)
    }

    pub(super) async fn space(self, request: FileRequest) -> Result<SpaceInfo, Status> {
        let Place::Node(mount, _) = self.there(&request.path)? else {
            return Err(Status::invalid_argument("the root has no space of its own"));
        };
        let used = self.used(mount.root);
        if self.account.knobs.flag("space_unknown") {
            return Ok(SpaceInfo {
                total_space: -1,
                used_space: signed(used),
                free_space: -1,
            });
        }
        let total = self.total_space();
        Ok(SpaceInfo {
            total_space: signed(total),
            used_space: signed(used),
            free_space: signed(total.saturating_sub(used)),
        })
    }

    pub(super) async fn memberships(
        self,
        request: FileRequest,
    ) -> Result<CloudMemberships, Status> {
        self.there(&request.path)?;
        Ok(CloudMemberships {
            memberships: vec![CloudMembership {
                identity: "vip".to_owned(),
                expire_time: None,
                level: None,
            }],
        })
    }

    pub(super) async fn expire_cache(self, request: FileRequest) -> Result<(), Status> {
        if let Place::Node(_, node) = self.there(&request.path)? {
            let key = (self.account.profile.clone(), node.id);
            self.sim.state().cache.remove(&key);
        }
        Ok(())
    }

    pub(super) async fn cloud_apis(self) -> Result<CloudApiList, Status> {
        let apis = MOUNTS.iter().map(|mount| mount.api(&self.account));
        Ok(CloudApiList {
            apis: apis.collect(),
        })
    }

    pub(super) async fn machine_id(self) -> Result<StringResult, Status> {
        Ok(StringResult {
            result: "8f3a1c5d9b7e4f20a6c8d1e2b3f40516".to_owned(),
        })
    }

    pub(super) async fn runtime_info(self) -> Result<RuntimeInfo, Status> {
        Ok(RuntimeInfo {
            product_name: "CloudDrive2".to_owned(),
            product_version: "1.0.0".to_owned(),
            cloud_api_version: "1.0.0".to_owned(),
            os_info: "simulated".to_owned(),
        })
    }
}
