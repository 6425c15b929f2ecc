//! Which path is which operation (189cloud.md section 4). The second name of a line is the
//! one in meters and faults.

/// A call.
pub(super) struct Call {
    method: &'static str,
    path: &'static str,
    op: &'static str,
    /// What is done.
    pub action: &'static str,
    /// Whether the arguments come as a form; otherwise they are in the query.
    pub form: bool,
}

impl Call {
    /// Name in meters and faults; a batch task is named after its `type`.
    pub(super) fn op(&self, kind: &str) -> &'static str {
        if self.action != "create_task" {
            return self.op;
        }
        match kind {
            "COPY" => "copy",
            "MOVE" => "move",
            "DELETE" => "trash",
            "RESTORE" => "restore",
            "CLEAR_RECYCLE" => "purge",
            "EMPTY_RECYCLE" => "empty_trash",
            "SHARE_SAVE" => "save",
            _ => self.op,
        }
    }
}

const fn get(path: &'static str, op: &'static str, action: &'static str) -> Call {
    Call {
        method: "GET",
        path,
        op,
        action,
        form: false,
    }
}

const fn post(path: &'static str, op: &'static str, action: &'static str) -> Call {
    Call {
        method: "POST",
        ..get(path, op, action)
    }
}

const fn form(path: &'static str, op: &'static str, action: &'static str) -> Call {
    Call {
        form: true,
        ..post(path, op, action)
    }
}

/// The PC door, also those parts of it that the upload host serves.
const PC: &[Call] = &[
    get("/keepUserSession.action", "keep", "keep"),
    get("/listFiles.action", "list", "list"),
    get("/searchFiles.action", "search", "search"),
    get("/listRecycleBinFiles.action", "trash_list", "trash_list"),
    get("/getFileInfo.action", "stat", "stat"),
    get("/getFolderInfo.action", "stat_dir", "stat_dir"),
    get("/getFileDownloadUrl.action", "link", "link"),
    post("/createFolder.action", "mkdir", "mkdir"),
    post("/renameFile.action", "rename", "rename"),
    post("/renameFolder.action", "rename", "rename_dir"),
    post("/copyFile.action", "copy", "copy_file"),
    post("/moveFile.action", "move", "move_file"),
    post("/moveFolder.action", "move", "move_dir"),
    post("/deleteFile.action", "trash", "trash_file"),
    post("/deleteFolder.action", "trash", "trash_dir"),
    post("/batchDeleteFile.action", "trash", "trash_files"),
    form("/batch/createBatchTask.action", "batch", "create_task"),
    form("/batch/checkBatchTask.action", "task", "task"),
    form(
        "/batch/getConflictTaskInfo.action",
        "conflicts",
        "conflicts",
    ),
    form("/batch/manageBatchTask.action", "manage", "manage"),
    form("/batch/cancelBatchTask.action", "cancel", "cancel"),
    get("/portal/getUserSizeInfo.action", "quota", "quota"),
    get("/getUserInfo.action", "user", "user"),
    form("/createUploadFile.action", "create_old", "create_old"),
    get("/getUploadFileStatus.action", "status_old", "status_old"),
    form("/commitUploadFile.action", "complete_old", "complete_old"),
    get(
        "/family/manage/getFamilyList.action",
        "family_list",
        "family_list",
    ),
    get("/family/file/listFiles.action", "list", "list"),
    get("/family/file/getFileDownloadUrl.action", "link", "link"),
    post("/family/file/createFolder.action", "mkdir", "mkdir"),
    get("/family/file/renameFile.action", "rename", "rename"),
    get("/family/file/renameFolder.action", "rename", "rename_dir"),
    get("/family/file/saveFileToMember.action", "copy", "to_member"),
];

/// The open door and the web door. Trash, batch tasks and privileges take the session
/// signature as well.
const OPEN: &[Call] = &[
    get(
        "/open/oauth2/getAccessTokenBySsKey.action",
        "open_token",
        "open_token",
    ),
    get("/open/file/listFiles.action", "list", "list"),
    get(
        "/open/file/listRecycleBinFiles.action",
        "trash_list",
        "trash_list",
    ),
    get(
        "/open/file/listRecycleBinFilesV3.action",
        "trash_list",
        "trash_list",
    ),
    get(
        "/portal/v2/listRecycleBinFiles.action",
        "trash_list",
        "trash_list",
    ),
    get("/open/file/getFileDownloadUrl.action", "link", "open_link"),
    form("/open/batch/createBatchTask.action", "batch", "create_task"),
    form("/open/batch/checkBatchTask.action", "task", "task"),
    form(
        "/open/batch/getConflictTaskInfo.action",
        "conflicts",
        "conflicts",
    ),
    form("/open/batch/manageBatchTask.action", "manage", "manage"),
    form("/open/batch/cancelBatchTask.action", "cancel", "cancel"),
    get(
        "/open/user/getUserPrivileges.action",
        "privileges",
        "privileges",
    ),
    get(
        "/open/user/getUserPrivilegesV2.action",
        "privileges",
        "privileges",
    ),
    get("/getUserPrivileges.action", "privileges", "privileges"),
    get("/portal/getUserSizeInfo.action", "quota", "quota"),
    get("/portal/v2/getUserBriefInfo.action", "brief", "brief"),
    get("/security/generateRsaKey.action", "rsa_key", "rsa_key"),
    get("/open/security/generateRsaKey.action", "rsa_key", "rsa_key"),
];

/// The upload host; all calls are GET with encrypted parameters.
const UPLOAD: &[(&str, &str)] = &[
    ("initMultiUpload", "create"),
    ("checkTransSecond", "check"),
    ("getMultiUploadUrls", "part_link"),
    ("getUploadedPartsInfo", "list_parts"),
    ("commitMultiUploadFile", "complete"),
];

fn find(table: &'static [Call], method: &str, path: &str) -> Option<&'static Call> {
    let mut all = table.iter();
    all.find(|call| call.method == method && call.path == path)
}

/// A call of the PC door.
pub(super) fn pc(method: &str, path: &str) -> Option<&'static Call> {
    find(PC, method, path)
}

/// A call of the open or web door.
pub(super) fn open(method: &str, path: &str) -> Option<&'static Call> {
    find(OPEN, method, path)
}

/// Operation of a call of the upload host.
pub(super) fn upload(method: &str, call: &str) -> Option<&'static str> {
    let mut all = UPLOAD.iter();
    let (_, op) = all.find(|(name, _)| *name == call && method == "GET")?;
    Some(op)
}
