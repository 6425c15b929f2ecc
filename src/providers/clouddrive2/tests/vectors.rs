//! The published vectors: bytes of messages, hashes, block lists.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use serde_json::Value;

use super::super::hashing::Wanted;
use super::super::message::*;
use super::super::upload_message::*;
use crate::fingerprint::{Kind, gcid_block_size, hash_all};

fn vectors() -> Value {
    serde_json::from_str(include_str!(
        "../../../../tests/fixtures/clouddrive2.vectors.json"
    ))
    .unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] * 16 + pair[1])
        .collect()
}

/// Writes `message` as the vector has it, and reads the vector as `message`.
fn both_ways<M: Message + Default + PartialEq>(all: &Value, name: &str, message: &M) {
    let vector = all["messages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|vector| vector["name"] == name)
        .unwrap_or_else(|| panic!("no vector {name}"));
    let bytes = unhex(vector["hex"].as_str().unwrap());
    assert_eq!(
        message.encode_to_vec(),
        bytes,
        "{name} is written otherwise"
    );
    assert!(
        M::decode(bytes.as_slice()).unwrap() == *message,
        "{name} is read otherwise"
    );
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

fn file() -> CloudFile {
    CloudFile {
        id: "2801".to_owned(),
        name: "a.mkv".to_owned(),
        full_path_name: "/115open/a.mkv".to_owned(),
        size: 5_368_709_120,
        file_type: 1,
        create_time: at(1_700_000_000),
        write_time: at(1_700_000_001),
        cloud_api: Some(CloudApi {
            name: "115open".to_owned(),
            user_name: "1001".to_owned(),
            read_only: false,
        }),
        is_cloud_file: true,
        file_hashes: BTreeMap::from([(2, "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709".to_owned())]),
        ..CloudFile::default()
    }
}

#[test]
fn messages_of_the_tree() {
    let all = vectors();
    both_ways(&all, "empty", &Empty {});
    let login = GetTokenRequest {
        user_name: "a".to_owned(),
        password: "b".to_owned(),
        totp_code: Some("123456".to_owned()),
    };
    both_ways(&all, "get_token_totp", &login);
    assert!(!format!("{login:?}").contains("123456"));
    let token = JwtToken {
        success: true,
        error_message: String::new(),
        token: "eyJhbGciOi.J9.sig".to_owned(),
        expiration: Some(Timestamp {
            seconds: 1_767_225_600,
            nanos: 500_000_000,
        }),
    };
    both_ways(&all, "jwt_token_ok", &token);
    assert!(!format!("{token:?}").contains("eyJ"));
    assert_eq!(token.expiration.unwrap().ms(), 1_767_225_600_500);
    both_ways(
        &all,
        "jwt_token_fail",
        &JwtToken {
            error_message: "invalid username or password".to_owned(),
            ..JwtToken::default()
        },
    );
    both_ways(
        &all,
        "list_force",
        &ListSubFileRequest {
            path: "/115open/\u{7535}\u{5f71}".to_owned(),
            force_refresh: true,
            check_expires: Some(true),
        },
    );
    both_ways(&all, "file_entry", &file());
    let dir = CloudFile {
        name: "dir".to_owned(),
        full_path_name: "/115open/dir".to_owned(),
        is_directory: true,
        ..CloudFile::default()
    };
    let batch = SubFilesReply {
        sub_files: vec![file(), dir],
    };
    both_ways(&all, "sub_files_reply", &batch);
    both_ways(
        &all,
        "find_by_path",
        &FindFileByPathRequest {
            parent_path: String::new(),
            path: "/115open/a.mkv".to_owned(),
        },
    );
    both_ways(
        &all,
        "rename",
        &RenameFileRequest {
            the_file_path: "/115open/a.mkv".to_owned(),
            new_name: "b.mkv".to_owned(),
        },
    );
    both_ways(
        &all,
        "move_skip",
        &MoveFileRequest {
            the_file_paths: vec!["/a/1".to_owned(), "/a/2".to_owned()],
            dest_path: "/b".to_owned(),
            conflict_policy: Some(SKIP),
            move_across_clouds: Some(false),
            handle_conflict_recursively: None,
        },
    );
    both_ways(
        &all,
        "op_result_ok",
        &FileOperationResult {
            success: true,
            error_message: String::new(),
            result_file_paths: vec!["/b/1".to_owned()],
        },
    );
    both_ways(
        &all,
        "space",
        &SpaceInfo {
            total_space: 1 << 40,
            used_space: 1,
            free_space: (1 << 40) - 1,
        },
    );
    both_ways(
        &all,
        "download_url",
        &DownloadUrlPathInfo {
            download_url_path: "/static/{SCHEME}/{HOST}/{PREVIEW}/115open/a.mkv?token=t".to_owned(),
            expires_in: Some(3600),
            direct_url: Some("https://cdn.example/x".to_owned()),
            user_agent: Some("UA/1".to_owned()),
            additional_headers: BTreeMap::from([(
                "Referer".to_owned(),
                "https://r.example/".to_owned(),
            )]),
        },
    );
}

fn event(asked: Asked) -> RemoteUploadChannelReply {
    RemoteUploadChannelReply {
        upload_id: "u-1".to_owned(),
        request: Some(asked),
    }
}

#[test]
fn messages_of_uploads() {
    let all = vectors();
    let plain = StartRemoteUploadRequest {
        file_path: "/115open/a.bin".to_owned(),
        file_size: 300_000,
        ..StartRemoteUploadRequest::default()
    };
    both_ways(&all, "start_plain", &plain);
    let known = StartRemoteUploadRequest {
        file_path: "/115open/hello.txt".to_owned(),
        file_size: 5,
        known_hashes: BTreeMap::from([
            (1, "5d41402abc4b2a76b9719d911017c592".to_owned()),
            (2, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d".to_owned()),
        ]),
        client_can_calculate_hashes: true,
    };
    both_ways(&all, "start_known", &known);
    both_ways(
        &all,
        "started",
        &RemoteUploadStarted {
            upload_id: "u-1".to_owned(),
        },
    );
    both_ways(
        &all,
        "channel_open",
        &RemoteUploadChannelRequest {
            device_id: "dev-0001".to_owned(),
        },
    );
    let read = RemoteReadDataRequest {
        offset: 0,
        length: 262_144,
        lazy_read: true,
    };
    both_ways(&all, "ch_read_first", &event(Asked::Read(read)));
    let everything = RemoteReadDataRequest::default();
    both_ways(&all, "ch_read_all_default", &event(Asked::Read(everything)));
    let sha1 = RemoteHashDataRequest {
        hash_type: 2,
        block_size: None,
    };
    both_ways(&all, "ch_hash_sha1", &event(Asked::Hash(sha1)));
    let blocks = RemoteHashDataRequest {
        hash_type: 1,
        block_size: Some(4 << 20),
    };
    let of_another = RemoteUploadChannelReply {
        upload_id: "u-2".to_owned(),
        ..event(Asked::Hash(blocks))
    };
    both_ways(&all, "ch_hash_md5_blocks", &of_another);
    both_ways(
        &all,
        "read_upload",
        &RemoteReadDataUpload {
            upload_id: "u-1".to_owned(),
            offset: 262_144,
            length: 4,
            lazy_read: false,
            data: Bytes::from_static(&[0, 1, 2, 255]),
            is_last_chunk: true,
        },
    );
    both_ways(
        &all,
        "read_upload_lazy_echo",
        &RemoteReadDataUpload {
            upload_id: "u-1".to_owned(),
            length: 2,
            lazy_read: true,
            data: Bytes::from_static(b"hi"),
            ..RemoteReadDataUpload::default()
        },
    );
    both_ways(
        &all,
        "read_reply",
        &RemoteReadDataReply {
            success: true,
            error_message: String::new(),
            bytes_received: 4,
            is_last_chunk: true,
        },
    );
    for (name, control) in [
        ("control_cancel", Control::Cancel(Empty {})),
        ("control_pause", Control::Pause(Empty {})),
        ("control_resume", Control::Resume(Empty {})),
    ] {
        let request = RemoteUploadControlRequest {
            upload_id: "u-1".to_owned(),
            control: Some(control),
        };
        both_ways(&all, name, &request);
    }
    both_ways(
        &all,
        "upload_info",
        &UploadFileInfo {
            key: "u-1".to_owned(),
            dest_path: "/115open/a.bin".to_owned(),
            size: 300_000,
            transfered_bytes: 1000,
            status: "Transfer".to_owned(),
            error_message: String::new(),
            operator_type: REMOTE_UPLOAD,
            status_enum: 3,
        },
    );
}

#[test]
fn stages_are_read_by_number() {
    let all = vectors();
    for (name, stage, message) in [
        ("ch_status_WaitforPreprocessing", Stage::Waiting, ""),
        ("ch_status_Preprocessing", Stage::Preprocessing, ""),
        ("ch_status_Inqueue", Stage::Queued, ""),
        ("ch_status_Transfer", Stage::Transfer, ""),
        ("ch_status_Pause", Stage::Paused, ""),
        ("ch_status_Finish", Stage::Finished, ""),
        ("ch_status_Skipped", Stage::Skipped, ""),
        ("ch_status_Cancelled", Stage::Cancelled, ""),
        ("ch_status_Error", Stage::Error, "quota exceeded"),
        (
            "ch_status_FatalError",
            Stage::FatalError,
            "file name not allowed",
        ),
    ] {
        let found = all["messages"].as_array().unwrap().iter();
        let vector = found.clone().find(|vector| vector["name"] == name).unwrap();
        let bytes = unhex(vector["hex"].as_str().unwrap());
        let reply = RemoteUploadChannelReply::decode(bytes.as_slice()).unwrap();
        let Some(Asked::Status(changed)) = reply.request else {
            panic!("{name} is no status");
        };
        assert_eq!(Stage::of(changed.status), Some(stage), "{name}");
        assert_eq!(changed.error_message, message);
    }
    assert_eq!(Stage::of(11), None);
    assert_eq!(Stage::of_listed(0, "Finish"), Some(Stage::Finished));
    assert_eq!(
        Stage::of_listed(3, "\u{4e0a}\u{4f20}"),
        Some(Stage::Transfer)
    );
    assert_eq!(Stage::of_listed(0, ""), Some(Stage::Waiting));
}

fn counted(n: usize) -> Vec<u8> {
    (0..=255u8).cycle().take(n).collect()
}

#[test]
fn hashes_and_segments() {
    let all = vectors();
    let mut checked = 0;
    for case in all["hashes"].as_array().unwrap() {
        let n = case["n"].as_u64().unwrap();
        assert_eq!(
            gcid_block_size(n),
            case["segment_size"].as_u64().unwrap(),
            "{n}"
        );
        if n > 2 << 20 {
            continue;
        }
        checked += 1;
        let bytes = match case["input"].as_str().unwrap() {
            "ascii hello" => b"hello".to_vec(),
            _ => counted(usize::try_from(n).unwrap()),
        };
        let values = hash_all(&[Kind::Md5, Kind::Sha1, Kind::Gcid], &bytes);
        for ((_, value), key) in values.iter().zip(["md5", "sha1", "pikpak_sha1"]) {
            assert_eq!(value, case[key].as_str().unwrap(), "{key} of {n}");
        }
    }
    assert_eq!(checked, 8);
    for rule in all["pikpak_segment_rule"].as_array().unwrap() {
        let size = rule["max_size_inclusive"].as_u64().unwrap_or(1 << 40);
        assert_eq!(gcid_block_size(size), rule["segment"].as_u64().unwrap());
    }
}

#[test]
fn reports_of_hashes() {
    let all = vectors();
    let asked = |hash_type, block_size| {
        Wanted::new(&RemoteHashDataRequest {
            hash_type,
            block_size,
        })
        .unwrap()
    };
    let sha1 = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d".to_owned();
    let report = asked(2, None).report("u-1", 5, &[sha1]);
    both_ways(&all, "hash_final_sha1", &report);
    for case in all["md5_blocks"].as_array().unwrap() {
        let bytes = counted(usize::try_from(case["n"].as_u64().unwrap()).unwrap());
        let block = case["block_size"].as_u64().unwrap();
        let wanted = asked(1, Some(u32::try_from(block).unwrap()));
        let kinds = [Kind::Md5, Kind::BlockListMd5 { block }];
        let values: Vec<String> = hash_all(&kinds, &bytes)
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        let report = wanted.report("u-2", bytes.len() as u64, &values);
        assert_eq!(report.hash_value.as_deref(), case["file_md5"].as_str());
        let blocks: Vec<&str> = case["block_hashes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hash| hash.as_str().unwrap())
            .collect();
        assert_eq!(report.block_hashes, blocks);
        if bytes.len() == 10_240 {
            both_ways(&all, "hash_final_md5_blocks", &report);
        }
    }
    // A block size says nothing where there are no blocks, and type 4 is not known.
    assert_eq!(asked(2, Some(4096)), asked(2, None));
    assert_eq!(asked(1, Some(0)), asked(1, None));
    let unknown = RemoteHashDataRequest {
        hash_type: 4,
        block_size: None,
    };
    assert!(Wanted::new(&unknown).is_err());
}
