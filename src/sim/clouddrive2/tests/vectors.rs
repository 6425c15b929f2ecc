//! The published vectors: bytes of messages, gRPC frames, hashes, addresses.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use serde_json::Value;

use super::super::super::content::Blob;
use super::super::super::digest::{HashKind, hex};
use super::super::messages::*;
use super::{hash, pattern};

fn vectors() -> Value {
    let text = include_str!("../../../../tests/fixtures/clouddrive2.vectors.json");
    serde_json::from_str(text).unwrap()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap()
}

/// Every message vector by name. Each is taken once; the test fails when one is left.
struct Messages(BTreeMap<String, Value>);

impl Messages {
    fn load() -> Messages {
        let all = vectors()["messages"].take();
        let all = all.as_array().unwrap().iter();
        Messages(
            all.map(|vector| (text(vector, "name").to_owned(), vector.clone()))
                .collect(),
        )
    }

    /// The message is written as the vector, and read back from it.
    fn check<M: Message + Default + PartialEq + std::fmt::Debug>(
        &mut self,
        name: &str,
        message: M,
    ) {
        let vector = self.0.remove(name).expect(name);
        let bytes = message.encode_to_vec();
        assert_eq!(hex(&bytes), text(&vector, "hex"), "{name}");
        assert_eq!(bytes.len() as u64, vector["length"], "{name}");
        let frame = format!("00{:08x}{}", bytes.len(), hex(&bytes));
        assert_eq!(frame, text(&vector, "grpc_frame_hex"), "{name}");
        assert_eq!(M::decode(&bytes[..]).unwrap(), message, "{name}");
    }
}

fn s(text: &str) -> String {
    text.to_owned()
}

fn event(request: ChannelEvent) -> RemoteUploadChannelReply {
    RemoteUploadChannelReply {
        upload_id: s("u-1"),
        request: Some(request),
    }
}

fn file_entry() -> CloudDriveFile {
    let time = |seconds| Some(Timestamp { seconds, nanos: 0 });
    CloudDriveFile {
        id: s("2801"),
        name: s("a.mkv"),
        full_path_name: s("/115open/a.mkv"),
        size: 5_368_709_120,
        file_type: 1,
        create_time: time(1_700_000_000),
        write_time: time(1_700_000_001),
        cloud_api: Some(CloudApi {
            name: s("115open"),
            user_name: s("1001"),
            ..CloudApi::default()
        }),
        is_cloud_file: true,
        file_hashes: BTreeMap::from([(2, s("DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"))]),
        ..CloudDriveFile::default()
    }
}

#[test]
fn files_and_logins() {
    let mut all = Messages::load();
    all.check("empty", ());
    let login = |name: &str, password: &str, totp: Option<&str>| GetTokenRequest {
        user_name: s(name),
        password: s(password),
        totp_code: totp.map(s),
    };
    all.check("get_token", login("alice@example.com", "s3cret", None));
    all.check("get_token_totp", login("a", "b", Some("123456")));
    let end = Timestamp {
        seconds: 1_767_225_600,
        nanos: 500_000_000,
    };
    let expiration = Some(end);
    all.check(
        "jwt_token_ok",
        JwtToken {
            success: true,
            token: s("eyJhbGciOi.J9.sig"),
            expiration,
            ..JwtToken::default()
        },
    );
    assert_eq!(Timestamp::of_ms(1_767_225_600_500), end);
    all.check(
        "jwt_token_fail",
        JwtToken {
            error_message: s("invalid username or password"),
            ..JwtToken::default()
        },
    );
    all.check(
        "system_info",
        CloudDriveSystemInfo {
            is_login: true,
            user_name: s("ab***.com"),
            system_ready: true,
            ..CloudDriveSystemInfo::default()
        },
    );
    let list = |path: &str, force_refresh, check_expires| ListSubFileRequest {
        path: s(path),
        force_refresh,
        check_expires,
    };
    all.check("list_root", list("/", false, None));
    all.check("list_force", list("/115open/电影", true, Some(true)));
    all.check("file_entry", file_entry());
    let dir = CloudDriveFile {
        name: s("dir"),
        full_path_name: s("/115open/dir"),
        is_directory: true,
        ..CloudDriveFile::default()
    };
    let sub_files = vec![file_entry(), dir];
    all.check("sub_files_reply", SubFilesReply { sub_files });
    all.check(
        "find_by_path",
        FindFileByPathRequest {
            parent_path: String::new(),
            path: s("/115open/a.mkv"),
        },
    );
    all.check(
        "rename",
        RenameFileRequest {
            the_file_path: s("/115open/a.mkv"),
            new_name: s("b.mkv"),
        },
    );
    let moved = |paths: &[&str], policy, across| MoveFileRequest {
        the_file_paths: paths.iter().map(|path| s(path)).collect(),
        dest_path: s("/b"),
        conflict_policy: Some(policy),
        move_across_clouds: across,
        handle_conflict_recursively: None,
    };
    all.check("move_skip", moved(&["/a/1", "/a/2"], 2, Some(false)));
    all.check("move_overwrite_explicit", moved(&["/a/1"], 0, None));
    all.check("op_result_ok", FileOperationResult::done(vec![s("/b/1")]));
    all.check(
        "space",
        SpaceInfo {
            total_space: 1_099_511_627_776,
            used_space: 1,
            free_space: 1_099_511_627_775,
        },
    );
    all.check(
        "download_url",
        DownloadUrlPathInfo {
            download_url_path: s("/static/{SCHEME}/{HOST}/{PREVIEW}/115open/a.mkv?token=t"),
            expires_in: Some(3600),
            direct_url: Some(s("https://cdn.example/x")),
            user_agent: Some(s("UA/1")),
            additional_headers: BTreeMap::from([(s("Referer"), s("https://r.example/"))]),
        },
    );
    all.check(
        "push_rename",
        CloudDrivePushMessage {
            message_type: push_type::FILE_SYSTEM_CHANGE,
            data: Some(PushData::FileSystem(Box::new(FileSystemChange {
                change_type: change::RENAME,
                path: s("/115open/a"),
                new_path: Some(s("/115open/b")),
                ..FileSystemChange::default()
            }))),
        },
    );
    let mut permissions = TokenPermissions::default();
    for number in [1, 5, 6, 7] {
        assert!(!permissions.allows(number));
        permissions.set(number, true);
        assert!(permissions.allows(number));
    }
    all.check(
        "create_token",
        CreateTokenRequest {
            root_dir: s("/115open"),
            permissions: Some(permissions),
            friendly_name: s("fs"),
            expires_in: Some(0),
            ..CreateTokenRequest::default()
        },
    );
    // The rest is of uploads, but for handle writing, which is not served.
    let left: Vec<&str> = all.0.keys().map(String::as_str).collect();
    assert_eq!(left.len(), 32, "{left:?}");
    assert!(all.0.contains_key("create_file") && all.0.contains_key("write_chunk"));
}

#[test]
fn uploads() {
    let mut all = Messages::load();
    let start = |path: &str, size, known_hashes, can_hash| StartRemoteUploadRequest {
        file_path: s(path),
        file_size: size,
        known_hashes,
        client_can_calculate_hashes: can_hash,
    };
    let none = BTreeMap::new();
    all.check("start_plain", start("/115open/a.bin", 300_000, none, false));
    let hello = Bytes::from_static(b"hello");
    let both = super::known(&[1, 2], &hello);
    all.check("start_known", start("/115open/hello.txt", 5, both, true));
    let upload_id = s("u-1");
    all.check("started", RemoteUploadStarted { upload_id });
    let device_id = s("dev-0001");
    all.check("channel_open", RemoteUploadChannelRequest { device_id });
    let read = |offset, length, lazy_read| {
        event(ChannelEvent::Read(RemoteReadDataRequest {
            offset,
            length,
            lazy_read,
        }))
    };
    all.check("ch_read_first", read(0, 262_144, true));
    all.check("ch_read_all_default", read(0, 0, false));
    let wanted = |hash_type, block_size| {
        event(ChannelEvent::Hash(RemoteHashDataRequest {
            hash_type,
            block_size,
        }))
    };
    all.check("ch_hash_sha1", wanted(hash_type::SHA1, None));
    let blocks = RemoteUploadChannelReply {
        upload_id: s("u-2"),
        ..wanted(hash_type::MD5, Some(4 << 20))
    };
    all.check("ch_hash_md5_blocks", blocks);
    for status in [
        Status::WaitforPreprocessing,
        Status::Preprocessing,
        Status::Inqueue,
        Status::Transfer,
        Status::Pause,
        Status::Finish,
        Status::Skipped,
        Status::Cancelled,
        Status::Error,
        Status::FatalError,
    ] {
        let text = match status {
            Status::Error => "quota exceeded",
            Status::FatalError => "file name not allowed",
            _ => "",
        };
        let message = event(ChannelEvent::Status(RemoteUploadStatusChanged {
            status: status as i32,
            error_message: s(text),
        }));
        all.check(&format!("ch_status_{status:?}"), message);
    }
    let answer = |offset, data: &'static [u8], lazy_read, is_last_chunk| RemoteReadDataUpload {
        upload_id: s("u-1"),
        offset,
        length: data.len() as u64,
        lazy_read,
        data: Bytes::from_static(data),
        is_last_chunk,
    };
    all.check("read_upload", answer(262_144, &[0, 1, 2, 255], false, true));
    all.check("read_upload_lazy_echo", answer(0, b"hi", true, false));
    all.check(
        "read_reply",
        RemoteReadDataReply {
            success: true,
            error_message: String::new(),
            bytes_received: 4,
            is_last_chunk: true,
        },
    );
    let report = |hashed, total, number: u32, value: Option<&str>| RemoteHashProgressUpload {
        upload_id: s("u-1"),
        bytes_hashed: hashed,
        total_bytes: total,
        hash_type: number as i32,
        hash_value: value.map(s),
        block_hashes: Vec::new(),
    };
    all.check("hash_progress", report(1_048_576, 5_000_000, 2, None));
    let empty = report(1_048_576, 5_000_000, 2, Some(""));
    all.check("hash_progress_empty_value", empty);
    let sha1 = hash(2, &hello);
    all.check("hash_final_sha1", report(5, 5, 2, Some(&sha1)));
    let file = pattern(10_240);
    let blocks: Vec<String> = file
        .chunks(4096)
        .map(|part| hash(1, &Bytes::copy_from_slice(part)))
        .collect();
    let value = hash(1, &file);
    all.check(
        "hash_final_md5_blocks",
        RemoteHashProgressUpload {
            upload_id: s("u-2"),
            block_hashes: blocks,
            ..report(10_240, 10_240, 1, Some(&value))
        },
    );
    for (name, control) in [
        ("control_cancel", Control::Cancel(())),
        ("control_pause", Control::Pause(())),
        ("control_resume", Control::Resume(())),
    ] {
        let message = RemoteUploadControlRequest {
            upload_id: s("u-1"),
            control: Some(control),
        };
        all.check(name, message);
    }
    let info = UploadFileInfo {
        key: s("u-1"),
        dest_path: s("/115open/a.bin"),
        size: 300_000,
        transfered_bytes: 1000,
        status: format!("{:?}", Status::Transfer),
        error_message: String::new(),
        operator_type: operator::REMOTE_UPLOAD,
        status_enum: Status::Transfer as i32,
    };
    all.check("upload_info", info.clone());
    all.check(
        "upload_list",
        GetUploadFileListResult {
            total_count: 1,
            upload_files: vec![info],
            global_bytes_per_second: 1024.5,
            total_bytes: 300_000,
            finished_bytes: 1000,
            total_count_filtered: 0,
        },
    );
    assert_eq!(all.0.len(), 51 - 30);
}

#[test]
fn hashes() {
    let all = vectors()["hashes"].take();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 12);
    for vector in all {
        let n = vector["n"].as_u64().unwrap();
        // The long ones have a test of their own.
        if n > 16 << 20 {
            continue;
        }
        let bytes = match text(vector, "input") {
            "ascii hello" => Bytes::from_static(b"hello"),
            _ => pattern(n as usize),
        };
        for (number, key) in [(1, "md5"), (2, "sha1"), (3, "pikpak_sha1")] {
            assert_eq!(hash(number, &bytes), text(vector, key), "{n} {key}");
        }
    }
    let blocks = vectors()["md5_blocks"].take();
    let blocks = blocks.as_array().unwrap();
    assert_eq!(blocks.len(), 5);
    for vector in blocks {
        let bytes = pattern(vector["n"].as_u64().unwrap() as usize);
        let size = vector["block_size"].as_u64().unwrap();
        let list = vector["block_hashes"].as_array().unwrap();
        let list: Vec<&str> = list.iter().map(|hash| hash.as_str().unwrap()).collect();
        assert_eq!(hash(1, &bytes), text(vector, "file_md5"));
        assert_eq!(bytes.len().div_ceil(size as usize), list.len());
        if !list.is_empty() {
            let computed = Blob::bytes(bytes).digest_now(HashKind::BlockMd5(size));
            assert_eq!(computed, list.join(","));
        }
    }
}

/// The borders of the segment rule.
#[test]
fn long_hashes() {
    let tile = pattern(1 << 20);
    let all = vectors()["hashes"].take();
    let long = all.as_array().unwrap().iter();
    let long: Vec<&Value> = long
        .filter(|vector| vector["n"].as_u64().unwrap() > 16 << 20)
        .collect();
    assert_eq!(long.len(), 4);
    for vector in long {
        let n = vector["n"].as_u64().unwrap();
        let whole = Blob::bytes(tile.clone());
        let full = (n >> 20) as usize;
        let rest = whole.slice(0, n % (1 << 20));
        let parts = std::iter::repeat_n(&whole, full).chain([&rest]);
        let blob = Blob::join(parts);
        assert_eq!(blob.size(), n);
        let gcid = blob.digest_now(HashKind::Gcid).to_uppercase();
        assert_eq!(gcid, text(vector, "pikpak_sha1"), "{n}");
    }
}

#[test]
fn addresses() {
    let all = vectors()["download_url_templates"].take();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 2);
    for vector in all {
        let url = super::links::filled(
            text(vector, "template"),
            text(vector, "scheme"),
            text(vector, "host"),
            text(vector, "preview"),
        );
        assert_eq!(url, text(vector, "url"));
    }
}
