//! Slices, `create`, and the upload in one request.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::super::super::Blob;
use super::super::super::faults::FaultKind;
use super::{Client, json as asked, sent};

/// Slice size of most tests.
const SLICE: u64 = 1000;

pub(super) fn bytes_of(seed: u64, size: u64) -> Vec<u8> {
    Blob::synthetic(seed, size).read(0, size).to_vec()
}

pub(super) fn md5(bytes: &[u8]) -> String {
    super::super::super::md5_hex(bytes)
}

fn blocks(bytes: &[u8], slice: u64) -> String {
    let all: Vec<String> = bytes.chunks(slice as usize).map(md5).collect();
    json!(all).to_string()
}

/// The form of a `precreate`, with `more` instead of or beside what is usual.
pub(super) async fn precreate(
    client: &Client,
    path: &str,
    size: u64,
    list: &str,
    more: &[(&str, &str)],
) -> Value {
    let size = size.to_string();
    let mut form = vec![
        ("path", path),
        ("size", &size),
        ("isdir", "0"),
        ("autoinit", "1"),
        ("rtype", "3"),
        ("block_list", list),
    ];
    for pair in more {
        form.retain(|(key, _)| *key != pair.0);
        form.push(*pair);
    }
    client.file("precreate", &form).await
}

pub(super) async fn put_slice(client: &Client, id: &str, at: &str, bytes: &[u8]) -> (u16, Value) {
    let part = Part::bytes(bytes.to_vec()).file_name("f.bin");
    let url = client.host("pcs", "/rest/2.0/pcs/superfile2");
    let query = [
        ("method", "upload"),
        ("type", "tmpfile"),
        ("path", "/x"),
        ("uploadid", id),
        ("partseq", at),
    ];
    let ask = client
        .ask("POST", &url)
        .query(&query)
        .multipart(Form::new().part("file", part));
    let answer = sent(ask).await;
    (answer.status().as_u16(), answer.json().await.unwrap())
}

pub(super) async fn create(
    client: &Client,
    path: &str,
    size: u64,
    id: &str,
    list: &str,
    rtype: &str,
) -> Value {
    let size = size.to_string();
    let form = [
        ("path", path),
        ("size", size.as_str()),
        ("isdir", "0"),
        ("uploadid", id),
        ("block_list", list),
        ("rtype", rtype),
    ];
    client.file("create", &form).await
}

/// A whole upload by slices.
async fn upload(client: &Client, path: &str, bytes: &[u8], rtype: &str) -> Value {
    let list = blocks(bytes, SLICE);
    let opened = precreate(client, path, bytes.len() as u64, &list, &[]).await;
    let id = opened["uploadid"]
        .as_str()
        .unwrap_or_else(|| panic!("{opened}"));
    for (at, slice) in bytes.chunks(SLICE as usize).enumerate() {
        let (status, answer) = put_slice(client, id, &at.to_string(), slice).await;
        assert_eq!((status, &answer["md5"]), (200, &json!(md5(slice))));
    }
    create(client, path, bytes.len() as u64, id, &list, rtype).await
}

pub(super) async fn small() -> Client {
    let client = Client::new().await;
    client.set("slice_size", &SLICE.to_string());
    client.mkdir("/d");
    client
}

#[tokio::test]
async fn slices_become_a_file() {
    let client = small().await;
    let bytes = bytes_of(1, 2500);
    let list = blocks(&bytes, SLICE);
    let more = [("local_mtime", "1735689601"), ("local_ctime", "1735689600")];
    let opened = precreate(&client, "/d/影片 1.bin", 2500, &list, &more).await;
    assert_eq!(
        (&opened["return_type"], &opened["block_list"]),
        (&json!(1), &json!([0, 1, 2]))
    );
    let id = opened["uploadid"].as_str().unwrap();
    let open = client.world.tree("baidu").unwrap()["uploads"].clone();
    assert_eq!(
        (&open[0]["id"], &open[0]["name"]),
        (&json!(id), &json!("影片 1.bin"))
    );
    for (at, from) in [(2, 2000), (0, 0), (1, 1000)] {
        let slice = &bytes[from..(from + 1000).min(2500)];
        let (status, answer) = put_slice(&client, id, &at.to_string(), slice).await;
        assert_eq!((status, &answer["uploadid"]), (200, &json!(id)));
    }
    let made = create(&client, "/d/影片 1.bin", 2500, id, &list, "3").await;
    assert_eq!(
        (&made["errno"], &made["path"], &made["size"]),
        (&json!(0), &json!("/d/影片 1.bin"), &json!(2500))
    );
    let item = client.item("/d", "影片 1.bin").await;
    assert_eq!(
        (&item["fs_id"], &item["md5"]),
        (&made["fs_id"], &made["md5"])
    );
    assert_eq!(
        (&item["local_mtime"], &item["local_ctime"]),
        (&json!(1_735_689_601), &json!(1_735_689_600))
    );
    assert_ne!(made["mtime"], item["local_mtime"], "the answer says now");
    assert_eq!(
        client
            .world
            .read("baidu", "/d/影片 1.bin", 0, 9999)
            .unwrap(),
        bytes
    );
    assert_eq!(client.world.stat("baidu").unwrap().bytes_up, 2500);
    assert!(
        client.world.tree("baidu").unwrap()["uploads"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    // A second commit finds no session.
    assert_eq!(
        create(&client, "/d/影片 1.bin", 2500, id, &list, "3").await["errno"],
        31190
    );
    // A file of one slice: nothing missing is named, the MD5 is that of the bytes.
    let one = bytes_of(2, 700);
    let opened = precreate(&client, "/d/one", 700, &blocks(&one, SLICE), &[]).await;
    assert_eq!(opened["block_list"], json!([]));
    let made = upload(&client, "/d/one", &one, "3").await;
    assert_eq!(made["md5"], super::super::cloud_md5::obfuscate(&md5(&one)));
}

#[tokio::test]
async fn precreate_refuses() {
    let client = small().await;
    let bytes = bytes_of(1, 2500);
    let good = blocks(&bytes, SLICE);
    let code = async |path: &str, size: u64, list: &str, more: &[(&str, &str)]| {
        precreate(&client, path, size, list, more).await["errno"]
            .as_i64()
            .unwrap()
    };
    assert_eq!(code("/d/f", 0, &good, &[]).await, 31023, "empty files");
    let upper = good.to_uppercase();
    for list in [
        "",
        "[]",
        "{}",
        "[1]",
        "[\"abc\"]",
        "not json",
        upper.as_str(),
    ] {
        assert_eq!(code("/d/f", 2500, list, &[]).await, 31023, "{list}");
    }
    assert_eq!(code("/d/f", 3001, &good, &[]).await, 31023, "four slices");
    assert_eq!(code("/d/f", 2000, &good, &[]).await, 31023, "two slices");
    for more in [
        ("isdir", "1"),
        ("autoinit", "0"),
        ("rtype", "9"),
        ("content-md5", "x"),
        ("size", "-1"),
    ] {
        assert_eq!(code("/d/f", 2500, &good, &[more]).await, 31023, "{more:?}");
    }
    for path in ["f", "/d/.f", "/d/f ", "/d//f", "/d/f?"] {
        assert_eq!(code(path, 2500, &good, &[]).await, -7, "{path}");
    }
    client.set("file_max", "2499");
    assert_eq!(code("/d/f", 2500, &good, &[]).await, 31365);
    client.set("file_max", "5000");
    client.set("total_size", "2499");
    assert_eq!(code("/d/f", 2500, &good, &[]).await, -10);
    client.set("total_size", "2500");
    client.set("slices_max", "2");
    assert_eq!(code("/d/f", 2500, &good, &[]).await, 31023);
    client.set("slices_max", "3");
    client.set("app_only", "demo");
    assert_eq!(code("/d/f", 2500, &good, &[]).await, -7);
    assert_eq!(code("/apps/demo/f", 2500, &good, &[]).await, 0);
}

#[tokio::test]
async fn slices_are_checked() {
    let client = small().await;
    let bytes = bytes_of(1, 2500);
    let list = blocks(&bytes, SLICE);
    let opened = precreate(&client, "/d/f", 2500, &list, &[]).await;
    let id = opened["uploadid"].as_str().unwrap();
    let code = async |id: &str, at: &str, length: usize| {
        let (status, answer) = put_slice(&client, id, at, &bytes[..length]).await;
        (status, answer["error_code"].as_i64().unwrap())
    };
    assert_eq!(code(id, "3", 1000).await, (400, 31023));
    assert_eq!(code(id, "x", 1000).await, (400, 31023));
    assert_eq!(code(id, "0", 999).await, (400, 31299));
    assert_eq!(code(id, "0", 1001).await, (400, 31364));
    assert_eq!(code(id, "2", 499).await, (400, 31081));
    assert_eq!(code("N1-none", "0", 1000).await, (403, 31355));
    let (_, gone) = put_slice(&client, "N1-none", "0", b"x").await;
    let text = gone["error_msg"].as_str().unwrap();
    assert!(text.contains("uploadid") && text.contains("expired"));
    let other = Client::of(&client.world, "baidu-2").await;
    assert_eq!(put_slice(&other, id, "0", &bytes[..1000]).await.0, 403);
    let url = client.host(
        "pcs",
        "/rest/2.0/pcs/superfile2?method=upload&path=/x&partseq=0",
    );
    let no_type = client
        .ask("POST", &format!("{url}&uploadid={id}"))
        .body("x");
    assert_eq!(asked(no_type).await["error_code"], 31023);
    let no_form = client
        .ask("POST", &format!("{url}&type=tmpfile&uploadid={id}"))
        .body("x");
    assert_eq!(asked(no_form).await["error_code"], 31208);
    let unnamed = Form::new().part("slice", Part::bytes(vec![1; 1000]).file_name("f"));
    let unnamed = client
        .ask("POST", &format!("{url}&type=tmpfile&uploadid={id}"))
        .multipart(unnamed);
    assert_eq!(asked(unnamed).await["error_code"], 31023);
    // Put works with the bytes alone, at the upload servers as well.
    let located = client.ask(
        "GET",
        &client.host("pcs", "/rest/2.0/pcs/file?method=locateupload&appid=250528"),
    );
    let located = asked(located).await;
    assert_eq!(located["error_code"], 0);
    let server = located["servers"][0]["server"].as_str().unwrap();
    let raw = format!(
        "{server}/rest/2.0/pcs/superfile2?method=upload&type=tmpfile&path=/x&partseq=0&uploadid={id}"
    );
    let raw = asked(client.ask("PUT", &raw).body(bytes[..1000].to_vec())).await;
    assert_eq!(raw["md5"], md5(&bytes[..1000]));
    // A bit that flips on the way shows in the answer.
    client.fault("upload_part", FaultKind::Corrupt, "");
    let (_, spoilt) = put_slice(&client, id, "1", &bytes[1000..2000]).await;
    assert_ne!(spoilt["md5"], md5(&bytes[1000..2000]));
    put_slice(&client, id, "2", &bytes[2000..]).await;
    assert_eq!(
        create(&client, "/d/f", 2500, id, &list, "0").await["errno"],
        10
    );
    put_slice(&client, id, "1", &bytes[1000..2000]).await;
    assert_eq!(
        create(&client, "/d/f", 2500, id, &list, "0").await["errno"],
        0
    );
    assert_eq!(
        put_slice(&client, id, "1", &bytes[1000..2000]).await.0,
        403,
        "it is a file now"
    );
}

#[tokio::test]
async fn create_refuses() {
    let client = small().await;
    let bytes = bytes_of(1, 1500);
    let list = blocks(&bytes, SLICE);
    let opened = precreate(&client, "/d/f", 1500, &list, &[]).await;
    let id = opened["uploadid"].as_str().unwrap();
    put_slice(&client, id, "0", &bytes[..1000]).await;
    let code = async |path: &str, size: u64, id: &str, list: &str| {
        create(&client, path, size, id, list, "3").await["errno"]
            .as_i64()
            .unwrap()
    };
    assert_eq!(
        code("/d/f", 1500, id, &list).await,
        31363,
        "a slice is missing"
    );
    put_slice(&client, id, "1", &bytes[1000..]).await;
    let whole = json!([md5(&bytes)]).to_string();
    let swapped = json!([md5(&bytes[1000..]), md5(&bytes[..1000])]).to_string();
    assert_eq!(code("/d/f", 1500, id, &whole).await, 10);
    assert_eq!(code("/d/f", 1500, id, &swapped).await, 10);
    assert_eq!(code("/d/f", 1499, id, &list).await, 10);
    assert_eq!(code("/d/g", 1500, id, &list).await, 10);
    assert_eq!(code("/d/f", 1500, "N1-none", &list).await, 31190);
    assert_eq!(
        code("/d/f", 1500, "", &whole).await,
        31500,
        "the closed way"
    );
    client.fault("create", FaultKind::CommitFail, "");
    assert_eq!(code("/d/f", 1500, id, &list).await, 10);
    client.world.set("baidu", "total_size", "1000").unwrap();
    assert_eq!(code("/d/f", 1500, id, &list).await, -10);
    client.world.set("baidu", "total_size", "100000").unwrap();
    client.manage("delete", json!(["/d"]), &[]).await;
    assert_eq!(code("/d/f", 1500, id, &list).await, 31063);
    client.set("missing_parent", "create");
    assert_eq!(code("/d/f", 1500, id, &list).await, 0);
    let opened = precreate(&client, "/d/late", 1500, &list, &[]).await;
    let id = opened["uploadid"].as_str().unwrap();
    client.world.clock_advance(2 * 86_400_000);
    assert_eq!(
        put_slice(&client, id, "0", &bytes[..1000]).await.1["error_code"],
        31355
    );
}

#[tokio::test]
async fn a_session_is_gone_on_with() {
    let client = small().await;
    let bytes = bytes_of(1, 2500);
    let list = blocks(&bytes, SLICE);
    let opened = precreate(&client, "/d/f", 2500, &list, &[]).await;
    let id = opened["uploadid"].as_str().unwrap();
    put_slice(&client, id, "1", &bytes[1000..2000]).await;
    let again = precreate(&client, "/d/f", 2500, &list, &[("uploadid", id)]).await;
    assert_eq!(
        (&again["uploadid"], &again["block_list"]),
        (&json!(id), &json!([0, 2]))
    );
    let elsewhere = precreate(&client, "/d/g", 2500, &list, &[("uploadid", id)]).await;
    assert_ne!(elsewhere["uploadid"], id);
    client.set("index_text", "true");
    let again = precreate(&client, "/d/f", 2500, &list, &[("uploadid", id)]).await;
    assert_eq!(again["block_list"], json!(["0", "2"]));
    client.set("resume", "never");
    let fresh = precreate(&client, "/d/f", 2500, &list, &[("uploadid", id)]).await;
    assert_ne!(fresh["uploadid"], id);
}

#[tokio::test]
async fn what_happens_to_a_taken_path() {
    let client = small().await;
    let (old, new) = (bytes_of(1, 1500), bytes_of(2, 1800));
    let first = upload(&client, "/d/f.txt", &old, "0").await;
    assert_eq!(first["errno"], 0);
    assert_eq!(upload(&client, "/d/f.txt", &new, "0").await["errno"], -8);
    let renamed = upload(&client, "/d/f.txt", &old, "1").await;
    let path = renamed["path"].as_str().unwrap();
    assert!(
        path.starts_with("/d/f_20") && path.ends_with(".txt"),
        "{path}"
    );
    let same = upload(&client, "/d/f.txt", &old, "2").await;
    assert_eq!(same["fs_id"], first["fs_id"]);
    let other = upload(&client, "/d/f.txt", &new, "2").await;
    assert_ne!(other["path"], "/d/f.txt");
    let over = upload(&client, "/d/f.txt", &new, "3").await;
    assert_eq!(over["path"], "/d/f.txt");
    assert_ne!(over["fs_id"], first["fs_id"]);
    assert_eq!(
        client.world.read("baidu", "/d/f.txt", 0, 9999).unwrap(),
        new
    );
    let trashed = |world: &Value| {
        world["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|i| i["trashed"] == true)
            .count()
    };
    assert_eq!(trashed(&client.world.tree("baidu").unwrap()), 0, "lost");
    client.set("overwrite", "trash");
    upload(&client, "/d/f.txt", &old, "3").await;
    assert_eq!(trashed(&client.world.tree("baidu").unwrap()), 1);
    client.seed("/d/dir/inner", 1, 1);
    assert_eq!(upload(&client, "/d/dir", &old, "3").await["errno"], -8);
    client.set("hazard", "true");
    assert_eq!(upload(&client, "/d/dir", &old, "3").await["errno"], 0);
    assert_eq!(client.item("/d", "dir").await["isdir"], 0);
}

#[tokio::test]
async fn members_send_larger_slices() {
    let client = small().await;
    let bytes = bytes_of(1, 9000);
    let list = blocks(&bytes, 4000);
    let refused = precreate(&client, "/d/f", 9000, &list, &[]).await;
    assert_eq!(
        refused["errno"], 31023,
        "three slices of the normal level are too few"
    );
    client.set("vip", "1");
    let opened = precreate(&client, "/d/f", 9000, &list, &[]).await;
    let id = opened["uploadid"].as_str().unwrap();
    assert_eq!(
        put_slice(&client, id, "0", &bytes[..4001]).await.1["error_code"],
        31364
    );
    assert_eq!(
        put_slice(&client, id, "0", &bytes[..999]).await.1["error_code"],
        31299
    );
    for at in 0..3 {
        let slice = &bytes[at * 4000..(at * 4000 + 4000).min(9000)];
        let (_, answer) = put_slice(&client, id, &at.to_string(), slice).await;
        assert_eq!(answer["md5"], md5(slice));
    }
    assert_eq!(
        put_slice(&client, id, "1", &bytes[..3500]).await.1["error_code"],
        31081
    );
    assert_eq!(
        create(&client, "/d/f", 9000, id, &list, "0").await["errno"],
        0
    );
}

#[tokio::test]
async fn one_request() {
    let client = small().await;
    let send = async |path: &str, ondup: &str, bytes: &[u8]| {
        let url = client.host("pcs", "/rest/2.0/pcs/file?method=upload");
        let form = Form::new().part("file", Part::bytes(bytes.to_vec()).file_name("f"));
        let ask = client
            .ask("POST", &url)
            .query(&[("path", path), ("ondup", ondup)]);
        asked(ask.multipart(form)).await
    };
    let bytes = bytes_of(1, 5000);
    let made = send("/d/f", "fail", &bytes).await;
    assert_eq!(
        (&made["path"], &made["size"]),
        (&json!("/d/f"), &json!(5000))
    );
    assert_eq!(
        made["md5"],
        super::super::cloud_md5::obfuscate(&md5(&bytes))
    );
    assert_eq!(send("/d/f", "fail", &bytes).await["error_code"], 31061);
    assert!(
        send("/d/f", "newcopy", &bytes).await["path"]
            .as_str()
            .unwrap()
            .starts_with("/d/f_20")
    );
    assert_eq!(send("/d/f", "overwrite", &bytes[..10]).await["size"], 10);
    assert_eq!(send("/d/.f", "fail", &bytes).await["error_code"], 31062);
    assert_eq!(send("/none/f", "fail", &bytes).await["error_code"], 31063);
    assert_eq!(send("/d/e", "fail", b"").await["error_code"], 31023);
    client.set("total_size", "12000");
    assert_eq!(
        send("/d/g", "fail", &bytes_of(3, 9000)).await["error_code"],
        31112
    );
    client.set("app_only", "demo");
    assert_eq!(send("/d/h", "fail", &bytes).await["error_code"], 31064);
    let put = format!(
        "{}&path=/apps/demo/h",
        client.host("pcs", "/rest/2.0/pcs/file?method=upload")
    );
    client.mkdir("/apps/demo");
    client.fault("single_upload", FaultKind::CommitFail, "");
    assert_eq!(
        asked(client.ask("PUT", &put).body("x")).await["error_code"],
        31024
    );
    assert_eq!(asked(client.ask("PUT", &put).body("x")).await["size"], 1);
}
