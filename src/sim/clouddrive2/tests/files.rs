//! The tree: list, stat, search, folders, names, moves, copies, deletes, space, events.

use tonic::Code;

use super::*;

fn moved(paths: &[&str], to: &str) -> MoveFileRequest {
    MoveFileRequest {
        the_file_paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        dest_path: to.to_owned(),
        ..MoveFileRequest::default()
    }
}

fn copied(paths: &[&str], to: &str, policy: Option<i32>) -> CopyFileRequest {
    CopyFileRequest {
        the_file_paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        dest_path: to.to_owned(),
        conflict_policy: policy,
        handle_conflict_recursively: None,
    }
}

fn file(path: &str) -> FileRequest {
    FileRequest {
        path: path.to_owned(),
        force_refresh: None,
    }
}

fn renamed(path: &str, name: &str) -> RenameFileRequest {
    RenameFileRequest {
        the_file_path: path.to_owned(),
        new_name: name.to_owned(),
    }
}

#[tokio::test]
async fn entries_as_the_sheet_shows_them() {
    let client = Client::new().await;
    let bytes = pattern(10_000);
    client.seed("/media/电影.mkv", &bytes);
    let top = client.list("/").await;
    let names: Vec<&str> = top.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["115open", "pikpak"]);
    assert!(
        top.iter()
            .all(|entry| entry.is_directory && entry.is_cloud_root)
    );
    let entry = client.find("/115open/media/电影.mkv").await.unwrap();
    assert_eq!((entry.size, entry.file_type), (10_000, 1));
    assert!(entry.is_cloud_file && !entry.is_directory);
    assert_eq!(entry.full_path_name, "/115open/media/电影.mkv");
    assert_eq!(entry.file_hashes, known(&[2], &bytes));
    assert_eq!(
        client.list("/115open/media/").await,
        std::slice::from_ref(&entry)
    );
    let both = FindFileByPathRequest {
        parent_path: "/115open/media".to_owned(),
        path: "电影.mkv".to_owned(),
    };
    let same: CloudDriveFile = client.ask("FindFileByPath", both).await.unwrap();
    assert_eq!(same, entry);
    let dir = client.find("/115open/media").await.unwrap();
    assert!(dir.is_directory && dir.is_cloud_directory && dir.file_type == 0);
    assert!(client.find("/").await.unwrap().is_root);
    assert_eq!(client.find("/115open/none").await, Err(Code::NotFound));
    assert_eq!(client.find("/nowhere").await, Err(Code::NotFound));
    client.set("stat_missing", "empty");
    let empty = client.find("/115open/none").await.unwrap();
    assert_eq!(empty, CloudDriveFile::default());
    let relative = ListSubFileRequest {
        path: "115open".to_owned(),
        ..ListSubFileRequest::default()
    };
    let (code, _) = client.refused("GetSubFiles", relative).await;
    assert_eq!(code, Code::InvalidArgument);
    client.set("lists", "1,3");
    let entry = client.find("/115open/media/电影.mkv").await.unwrap();
    assert_eq!(entry.file_hashes, known(&[1, 3], &bytes));
    client.set("hashless", ".mkv");
    let entry = client.find("/115open/media/电影.mkv").await.unwrap();
    assert!(entry.file_hashes.is_empty());
    let details: FileDetailProperties = client
        .ask("GetFileDetailProperties", file("/115open"))
        .await
        .unwrap();
    assert_eq!(
        (details.total_file_count, details.total_folder_count),
        (1, 1)
    );
    assert_eq!(details.total_size, 10_000);
}

#[tokio::test]
async fn listings_come_in_messages() {
    let client = Client::new().await;
    for number in 0..25 {
        client.seed(&format!("/d/{number:02}"), &pattern(1));
    }
    client.set("batch", "10");
    let request = ListSubFileRequest {
        path: "/115open/d".to_owned(),
        force_refresh: true,
        check_expires: None,
    };
    client.fault("list", FaultKind::NullList, "");
    let mut replies: Streaming<SubFilesReply> =
        client.stream("GetSubFiles", request.clone()).await.unwrap();
    let mut sizes = Vec::new();
    while let Some(reply) = replies.message().await.unwrap() {
        sizes.push(reply.sub_files.len());
    }
    assert_eq!(sizes, [0, 10, 10, 5]);
    assert_eq!(client.stat().noted("list_forced"), 1);
    // A listing that breaks off is an error, not an end.
    client.fault("list", FaultKind::Cut, "100");
    let replies: Result<Streaming<SubFilesReply>, Refusal> =
        client.stream("GetSubFiles", request).await;
    // It may break off before its head is read.
    if let Ok(mut replies) = replies {
        let end = loop {
            match replies.message().await {
                Ok(Some(_)) => {}
                other => break other,
            }
        };
        assert!(end.is_err());
    }
    let bad = ListSubFileRequest {
        path: "/115open/d/01".to_owned(),
        ..ListSubFileRequest::default()
    };
    assert_eq!(
        client.refused("GetSubFiles", bad).await.0,
        Code::InvalidArgument
    );
    let search = SearchRequest {
        path: "/115open".to_owned(),
        search_for: "1".to_owned(),
        ..SearchRequest::default()
    };
    let mut replies: Streaming<SubFilesReply> =
        client.stream("GetSearchResults", search).await.unwrap();
    let mut found = 0;
    while let Some(reply) = replies.message().await.unwrap() {
        assert!(reply.sub_files.iter().all(|entry| entry.is_search_result));
        found += reply.sub_files.len();
    }
    assert_eq!(found, 12);
}

#[tokio::test]
async fn a_directory_cache_shows_foreign_changes_late() {
    let client = Client::new().await;
    client.set("dir_cache_s", "60");
    client.seed("/d/a", &pattern(1));
    assert_eq!(client.names("/115open/d").await, ["a"]);
    client.seed("/d/b", &pattern(1));
    assert_eq!(client.names("/115open/d").await, ["a"]);
    let force = ListSubFileRequest {
        path: "/115open/d".to_owned(),
        force_refresh: true,
        check_expires: None,
    };
    let mut replies: Streaming<SubFilesReply> = client.stream("GetSubFiles", force).await.unwrap();
    assert_eq!(replies.message().await.unwrap().unwrap().sub_files.len(), 2);
    client.seed("/d/c", &pattern(1));
    client.mkdir("/115open/d", "own").await;
    assert_eq!(client.names("/115open/d").await, ["a", "b", "c", "own"]);
    client.seed("/d/e", &pattern(1));
    assert_eq!(client.names("/115open/d").await.len(), 4);
    let _: () = client
        .ask("ForceExpireDirCache", file("/115open/d"))
        .await
        .unwrap();
    assert_eq!(client.names("/115open/d").await.len(), 5);
    client.seed("/d/f", &pattern(1));
    client.world.clock_advance(61_000);
    assert_eq!(client.names("/115open/d").await.len(), 6);
}

#[tokio::test]
async fn folders_and_names() {
    let client = Client::new().await;
    let made = client.mkdir("/115open", "d").await;
    assert!(made.result.unwrap().success);
    assert_eq!(made.folder_created.unwrap().full_path_name, "/115open/d");
    let again = client.mkdir("/115open", "d").await;
    let result = again.result.unwrap();
    assert!(again.folder_created.is_none() && !result.success);
    assert!(result.error_message.contains("exist"));
    let orphan = client.mkdir("/115open/x", "d").await.result.unwrap();
    // The word that clients take for "exists" is not in it.
    assert!(orphan.error_message.contains("not found"));
    assert!(!orphan.error_message.contains("exist"));
    for (parent, name) in [("/115open", ""), ("/115open", "a/b"), ("/", "new")] {
        assert!(!client.mkdir(parent, name).await.result.unwrap().success);
    }
    client.seed("/d/a", &pattern(1));
    client.seed("/d/b", &pattern(1));
    let paths = client
        .change("RenameFile", renamed("/115open/d/a", "c"))
        .await;
    assert_eq!(paths, Ok(vec!["/115open/d/c".to_owned()]));
    let taken = client
        .change("RenameFile", renamed("/115open/d/c", "b"))
        .await;
    assert!(taken.unwrap_err().contains("exist"));
    let gone = client
        .change("RenameFile", renamed("/115open/d/a", "z"))
        .await;
    assert!(gone.unwrap_err().contains("not found"));
    let mount = client.change("RenameFile", renamed("/115open", "z")).await;
    assert!(mount.is_err());
    let many = RenameFilesRequest {
        rename_files: vec![renamed("/115open/d/b", "1"), renamed("/115open/d/c", "2")],
    };
    assert_eq!(client.change("RenameFiles", many).await.unwrap().len(), 2);
    assert_eq!(client.names("/115open/d").await, ["1", "2"]);
    client.set("missing", "status");
    let refused = client
        .refused("RenameFile", renamed("/115open/d/a", "z"))
        .await;
    assert_eq!(refused.0, Code::NotFound);
    client.set("forbidden", ":*");
    let bad = client
        .change("RenameFile", renamed("/115open/d/1", "a:b"))
        .await;
    assert!(bad.is_err());
}

#[tokio::test]
async fn moves_copies_and_deletes() {
    let client = Client::new().await;
    client.seed("/a/x", &pattern(10));
    client.seed("/a/sub/y", &pattern(20));
    client.seed("/b/x", &pattern(30));
    // Skip leaves it, and says so by the paths.
    let mut request = moved(&["/115open/a/x"], "/115open/b");
    request.conflict_policy = Some(2);
    assert_eq!(
        client.change("MoveFile", request.clone()).await,
        Ok(Vec::new())
    );
    request.conflict_policy = Some(1);
    let paths = client.change("MoveFile", request.clone()).await.unwrap();
    assert_eq!(paths, ["/115open/b/x(1)"]);
    request.conflict_policy = Some(9);
    assert_eq!(
        client.refused("MoveFile", request).await.0,
        Code::InvalidArgument
    );
    let copy = copied(&["/115open/a/sub"], "/115open/b", None);
    assert_eq!(
        client.change("CopyFile", copy.clone()).await.unwrap().len(),
        1
    );
    assert_eq!(client.names("/115open/b/sub").await, ["y"]);
    // A folder onto a folder only merges when told to.
    assert!(
        client
            .change("CopyFile", copy.clone())
            .await
            .unwrap_err()
            .contains("exist")
    );
    client.seed("/a/sub/z", &pattern(1));
    let merge = CopyFileRequest {
        handle_conflict_recursively: Some(true),
        ..copy
    };
    client.change("CopyFile", merge).await.unwrap();
    assert_eq!(client.names("/115open/b/sub").await, ["y", "z"]);
    let inside = moved(&["/115open/b"], "/115open/b/sub");
    assert!(client.change("MoveFile", inside).await.is_err());
    // The default overwrites.
    client.seed("/c/x", &pattern(5));
    client
        .change("MoveFile", moved(&["/115open/c/x"], "/115open/b"))
        .await
        .unwrap();
    assert_eq!(client.find("/115open/b/x").await.unwrap().size, 5);
    client
        .change("DeleteFile", file("/115open/b/x"))
        .await
        .unwrap();
    assert_eq!(client.find("/115open/b/x").await, Err(Code::NotFound));
    let many = MultiFileRequest {
        path: vec!["/115open/b/sub".to_owned(), "/115open/b/x(1)".to_owned()],
    };
    client.change("DeleteFilesPermanently", many).await.unwrap();
    assert!(client.names("/115open/b").await.is_empty());
    assert!(client.change("DeleteFile", file("/115open")).await.is_err());
    let tree = client.world.tree("cd2").unwrap();
    let items = tree["items"].as_array().unwrap();
    let trashed = items.iter().filter(|item| item["trashed"] == true).count();
    assert_eq!(trashed, 2);
    client.set("no_purge", "on");
    assert!(
        !client
            .find("/115open/a")
            .await
            .unwrap()
            .can_delete_permanently
    );
    assert!(
        client
            .change("DeleteFilePermanently", file("/115open/a"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn between_accounts_it_takes_a_task() {
    let client = Client::new().await;
    let bytes = pattern(300_000);
    client.seed("/a/x", &bytes);
    let request = moved(&["/115open/a/x"], "/pikpak");
    assert!(client.change("MoveFile", request.clone()).await.is_err());
    client.set("copy_task_ms", "100");
    let across = MoveFileRequest {
        move_across_clouds: Some(true),
        ..request
    };
    assert_eq!(client.change("MoveFile", across).await, Ok(Vec::new()));
    let tasks: GetCopyTaskResult = client.ask("GetCopyTasks", ()).await.unwrap();
    assert_eq!(tasks.copy_tasks[0].status, task_status::PENDING);
    assert_eq!(tasks.copy_tasks[0].task_mode, 1);
    while client.find("/pikpak/x").await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let entry = client.find("/pikpak/x").await.unwrap();
    assert_eq!(entry.file_hashes, known(&[3], &bytes));
    assert_eq!(client.find("/115open/a/x").await, Err(Code::NotFound));
}

#[tokio::test]
async fn space_and_accounts() {
    let client = Client::new().await;
    client.seed("/x", &pattern(1000));
    client.set("total_size", "5000");
    let space: SpaceInfo = client
        .ask("GetSpaceInfo", file("/115open/x"))
        .await
        .unwrap();
    assert_eq!(
        (space.total_space, space.used_space, space.free_space),
        (5000, 1000, 4000)
    );
    let space: SpaceInfo = client.ask("GetSpaceInfo", file("/pikpak")).await.unwrap();
    assert_eq!(space.used_space, 0);
    client.set("space_unknown", "on");
    let space: SpaceInfo = client.ask("GetSpaceInfo", file("/115open")).await.unwrap();
    assert_eq!((space.total_space, space.free_space), (-1, -1));
    assert_eq!(
        client.refused("GetSpaceInfo", file("/")).await.0,
        Code::InvalidArgument
    );
    let apis: CloudApiList = client.ask("GetAllCloudApis", ()).await.unwrap();
    assert_eq!(apis.apis[1].path.as_deref(), Some("/pikpak"));
}

#[tokio::test]
async fn changes_are_pushed() {
    let client = Client::new().await;
    let mut push: Streaming<CloudDrivePushMessage> =
        client.stream("PushMessage", ()).await.unwrap();
    client.mkdir("/115open", "d").await;
    let message = push.message().await.unwrap().unwrap();
    assert_eq!(message.message_type, push_type::FILE_SYSTEM_CHANGE);
    let Some(PushData::FileSystem(seen)) = message.data else {
        panic!("no change");
    };
    assert_eq!(
        (seen.change_type, &*seen.path),
        (change::CREATE, "/115open/d")
    );
    client
        .change("RenameFile", renamed("/115open/d", "e"))
        .await
        .unwrap();
    let Some(PushData::FileSystem(seen)) = push.message().await.unwrap().unwrap().data else {
        panic!("no change");
    };
    assert_eq!(seen.new_path.as_deref(), Some("/115open/e"));
    client.seed("/quiet", &pattern(1));
    client.set("notice_foreign", "on");
    client.seed("/loud", &pattern(1));
    let Some(PushData::FileSystem(seen)) = push.message().await.unwrap().unwrap().data else {
        panic!("no change");
    };
    assert_eq!(seen.path, "/115open/loud");
    client.set("force_exit", "3");
    let message = push.message().await.unwrap().unwrap();
    assert_eq!(message.message_type, push_type::FORCE_EXIT);
    assert!(push.message().await.unwrap().is_none());
    assert_eq!(
        client.refused("GetMachineId", ()).await.0,
        Code::Unauthenticated
    );
    client.login().await;
    client.fault("push", FaultKind::Cut, "0");
    let mut push: Streaming<CloudDrivePushMessage> =
        client.stream("PushMessage", ()).await.unwrap();
    assert_eq!(push.message().await.unwrap_err().code(), Code::Unavailable);
}
