//! Folders, names, moves, copies, deletes (clouddrive2.md sections 4 and 9).

use std::sync::Arc;
use std::time::Duration;

use tonic::Status;

use super::super::account::Account;
use super::super::tree::{Node, Tree};
use super::CloudDrive2;
use super::gate::Call;
use super::messages::{
    CopyFileRequest, CopyTask, CreateFolderRequest, CreateFolderResult, FileOperationResult,
    GetCopyTaskResult, MoveFileRequest, RenameFileRequest, TaskError, Timestamp, change,
    task_status,
};
use super::paths::{bad_name, path_of};

/// What is done where a name is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Overwrite,
    Rename,
    Skip,
}

impl Policy {
    /// Of a request; without one the server's default is unknown, here the setting
    /// `conflict_default`, else the first value.
    fn of(account: &Account, number: Option<i32>) -> Result<Policy, Status> {
        match (number, account.knobs.text("conflict_default").as_deref()) {
            (Some(0), _) => Ok(Policy::Overwrite),
            (Some(1), _) | (None, Some("rename")) => Ok(Policy::Rename),
            (Some(2), _) | (None, Some("skip")) => Ok(Policy::Skip),
            (None, _) => Ok(Policy::Overwrite),
            (Some(_), _) => Err(Status::invalid_argument("conflictPolicy")),
        }
    }
}

/// A move or copy into a folder.
#[derive(Clone, Copy)]
struct Transfer {
    copy: bool,
    policy: Policy,
    recursive: bool,
    now: i64,
}

impl Transfer {
    /// Puts one entry into a folder. Answers its id there, nothing when it was skipped.
    fn one(
        self,
        tree: &mut Tree,
        id: &str,
        dest: &str,
        new_id: &mut dyn FnMut(bool) -> String,
    ) -> Result<Option<String>, String> {
        let gone = || "source not found".to_owned();
        let node = tree.live(id).cloned().ok_or_else(gone)?;
        if tree.is_below(dest, id) {
            return Err("a folder cannot be put into itself".to_owned());
        }
        if !self.copy && node.parent == dest {
            return Ok(Some(node.id));
        }
        let taken = tree.find(dest, &node.name).first().map(|n| (*n).clone());
        let mut name = node.name.clone();
        match (taken, self.policy) {
            (None, _) => {}
            (Some(_), Policy::Skip) => return Ok(None),
            (Some(_), Policy::Rename) => name = tree.free_name(dest, &node.name),
            (Some(old), Policy::Overwrite) if old.is_dir() && node.is_dir() => {
                if !self.recursive {
                    return Err(format!("folder {name} already exists"));
                }
                let children: Vec<String> =
                    tree.children(id).map(|child| child.id.clone()).collect();
                for child in children {
                    self.one(tree, &child, &old.id, new_id)?;
                }
                if !self.copy {
                    tree.remove(id);
                }
                return Ok(Some(old.id));
            }
            (Some(old), Policy::Overwrite) if old.is_dir() != node.is_dir() => {
                return Err(format!("{name} already exists and is of another kind"));
            }
            (Some(old), Policy::Overwrite) if old.id == node.id => {
                return Err(format!("{name} already exists"));
            }
            (Some(old), Policy::Overwrite) => {
                tree.update(&old.id, |old| old.trashed = Some(self.now));
            }
        }
        if self.copy {
            return Ok(tree.copy(id, dest, &name, self.now, new_id));
        }
        match tree.relocate(id, dest, &name) {
            true => Ok(Some(id.to_owned())),
            false => Err(gone()),
        }
    }
}

/// A copy or move between storage accounts.
pub(super) struct Task {
    profile: String,
    view: CopyTask,
}

/// What a transfer is about: sources by id and path, the folder.
struct Order {
    sources: Vec<(Node, String)>,
    dest: Node,
    dest_path: String,
}

impl Call {
    /// The server's own changes are seen at once.
    pub(super) fn changed(&self) {
        let mut state = self.sim.state();
        state
            .cache
            .retain(|(profile, _), _| *profile != self.account.profile);
    }

    pub(super) async fn mkdir(
        self,
        request: CreateFolderRequest,
    ) -> Result<CreateFolderResult, Status> {
        let failed = |why: &str| {
            Ok(CreateFolderResult {
                folder_created: None,
                result: Some(FileOperationResult::failed(why)),
            })
        };
        let (mount, parent) = match self.folder(&request.parent_path)? {
            Ok(found) => found,
            Err(why) => return failed(&why),
        };
        let name = &request.folder_name;
        if let Some(why) = bad_name(&self.account, name) {
            return failed(why);
        }
        let node = {
            let mut tree = self.account.tree();
            if !tree.find(&parent.id, name).is_empty() {
                return failed("folder already exists");
            }
            let id = self.sim.file_id();
            let node = Node::dir(&id, &parent.id, name, self.now());
            tree.insert(node.clone());
            node
        };
        self.changed();
        let entry = self.entry(mount, &node).await;
        let path = entry.full_path_name.clone();
        self.sim
            .noticed(&self.account, change::CREATE, true, &path, None);
        Ok(CreateFolderResult {
            folder_created: Some(entry),
            result: Some(FileOperationResult::done(vec![path])),
        })
    }

    /// New leaf names. What was renamed before one fails stays so.
    pub(super) async fn rename(
        self,
        requests: Vec<RenameFileRequest>,
    ) -> Result<FileOperationResult, Status> {
        let mut paths = Vec::new();
        for request in requests {
            let (_, node) = match self.target(&request.the_file_path)? {
                Ok(found) => found,
                Err(why) => return Ok(FileOperationResult::failed(&why)),
            };
            let name = &request.new_name;
            if let Some(why) = bad_name(&self.account, name) {
                return Ok(FileOperationResult::failed(why));
            }
            let (old, new) = {
                let mut tree = self.account.tree();
                let taken = tree
                    .find(&node.parent, name)
                    .iter()
                    .any(|n| n.id != node.id);
                if taken {
                    let why = format!("{name} already exists");
                    return Ok(FileOperationResult::failed(&why));
                }
                let old = path_of(&tree, &node.id);
                tree.relocate(&node.id, &node.parent, name);
                (old, path_of(&tree, &node.id))
            };
            self.changed();
            let dir = node.is_dir();
            self.sim
                .noticed(&self.account, change::RENAME, dir, &old, Some(&new));
            paths.push(new);
        }
        Ok(FileOperationResult::done(paths))
    }

    /// To the trash, or for good when the operation says so.
    pub(super) async fn delete(self, paths: Vec<String>) -> Result<FileOperationResult, Status> {
        if self.op == "delete" && self.account.knobs.flag("no_purge") {
            return Ok(FileOperationResult::failed(
                "deleting permanently is not supported",
            ));
        }
        let mut nodes = Vec::new();
        for path in &paths {
            match self.target(path)? {
                Ok((_, node)) => nodes.push(node),
                Err(why) => return Ok(FileOperationResult::failed(&why)),
            }
        }
        for node in &nodes {
            let path = {
                let mut tree = self.account.tree();
                let path = path_of(&tree, &node.id);
                if self.op == "delete" {
                    tree.remove(&node.id);
                } else {
                    let now = self.now();
                    tree.update(&node.id, |node| node.trashed = Some(now));
                }
                path
            };
            let dir = node.is_dir();
            self.sim
                .noticed(&self.account, change::DELETE, dir, &path, None);
        }
        self.changed();
        Ok(FileOperationResult::done(paths))
    }

    pub(super) async fn move_files(
        self,
        request: MoveFileRequest,
    ) -> Result<FileOperationResult, Status> {
        let transfer = Transfer {
            copy: false,
            policy: Policy::of(&self.account, request.conflict_policy)?,
            recursive: request.handle_conflict_recursively.unwrap_or(false),
            now: self.now(),
        };
        let across = request.move_across_clouds.unwrap_or(false);
        self.transfer(
            transfer,
            &request.the_file_paths,
            &request.dest_path,
            across,
        )
        .await
    }

    pub(super) async fn copy_files(
        self,
        request: CopyFileRequest,
    ) -> Result<FileOperationResult, Status> {
        let transfer = Transfer {
            copy: true,
            policy: Policy::of(&self.account, request.conflict_policy)?,
            recursive: request.handle_conflict_recursively.unwrap_or(false),
            now: self.now(),
        };
        self.transfer(transfer, &request.the_file_paths, &request.dest_path, true)
            .await
    }

    async fn transfer(
        self,
        transfer: Transfer,
        paths: &[String],
        dest: &str,
        across: bool,
    ) -> Result<FileOperationResult, Status> {
        let (to, dest_node) = match self.folder(dest)? {
            Ok(found) => found,
            Err(why) => return Ok(FileOperationResult::failed(&why)),
        };
        let mut order = Order {
            sources: Vec::new(),
            dest: dest_node,
            dest_path: dest.to_owned(),
        };
        let mut foreign = false;
        for path in paths {
            match self.target(path)? {
                Ok((mount, node)) => {
                    foreign |= mount.root != to.root;
                    order.sources.push((node, path.clone()));
                }
                Err(why) => return Ok(FileOperationResult::failed(&why)),
            }
        }
        if !foreign {
            let done = self.sim.carry_out(&self.account, transfer, &order);
            self.changed();
            return Ok(match done {
                Ok(paths) => FileOperationResult::done(paths),
                Err(why) => FileOperationResult::failed(&why),
            });
        }
        if !across {
            return Ok(FileOperationResult::failed(
                "source and destination are different clouds",
            ));
        }
        self.begin_task(transfer, order);
        Ok(FileOperationResult::done(Vec::new()))
    }

    /// Between accounts it goes on behind the answer.
    fn begin_task(self, transfer: Transfer, order: Order) {
        let total = order.sources.iter().map(|(node, _)| node.size()).sum();
        let names: Vec<&str> = order
            .sources
            .iter()
            .map(|(_, path)| path.as_str())
            .collect();
        let view = CopyTask {
            task_mode: i32::from(!transfer.copy),
            source_path: names.join(","),
            dest_path: order.dest_path.clone(),
            status: task_status::PENDING,
            total_bytes: total,
            start_time: Some(Timestamp::of_ms(transfer.now)),
            ..CopyTask::default()
        };
        let at = {
            let mut state = self.sim.state();
            state.tasks.push(Task {
                profile: self.account.profile.clone(),
                view,
            });
            state.tasks.len() - 1
        };
        let wait = self.account.knobs.number("copy_task_ms", 50);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let done = self.sim.carry_out(&self.account, transfer, &order);
            self.changed();
            let now = Timestamp::of_ms(self.now());
            let mut state = self.sim.state();
            if let Some(task) = state.tasks.get_mut(at) {
                task.view.end_time = Some(now);
                match done {
                    Ok(_) => {
                        task.view.status = task_status::COMPLETED;
                        task.view.uploaded_bytes = task.view.total_bytes;
                    }
                    Err(message) => {
                        task.view.status = task_status::FAILED;
                        let time = Some(now);
                        task.view.errors.push(TaskError { time, message });
                    }
                }
            }
        });
    }

    pub(super) async fn copy_tasks(self) -> Result<GetCopyTaskResult, Status> {
        let state = self.sim.state();
        let own = state.tasks.iter();
        let own = own.filter(|task| task.profile == self.account.profile);
        Ok(GetCopyTaskResult {
            copy_tasks: own.map(|task| task.view.clone()).collect(),
        })
    }
}

impl CloudDrive2 {
    /// Does a transfer; answers the new paths. What was done before one fails stays so.
    fn carry_out(
        &self,
        account: &Arc<Account>,
        transfer: Transfer,
        order: &Order,
    ) -> Result<Vec<String>, String> {
        let mut paths = Vec::new();
        for (node, path) in &order.sources {
            let new = {
                let mut tree = account.tree();
                let mut new_id = |_: bool| self.file_id();
                let id = transfer.one(&mut tree, &node.id, &order.dest.id, &mut new_id)?;
                id.map(|id| path_of(&tree, &id))
            };
            let Some(new) = new else {
                continue;
            };
            let dir = node.is_dir();
            match transfer.copy {
                true => self.noticed(account, change::CREATE, dir, &new, None),
                false => self.noticed(account, change::RENAME, dir, path, Some(&new)),
            }
            paths.push(new);
        }
        Ok(paths)
    }
}
