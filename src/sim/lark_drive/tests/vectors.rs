//! The published vectors of what the simulator computes.

use serde_json::Value;

use super::super::super::content::Blob;
use super::super::adler::{adler32, fits};
use super::super::form;
use super::super::upload::plan;
use super::super::versions::seconds;

fn vectors(group: &str) -> Value {
    let text = include_str!("../../../../tests/fixtures/lark_drive.vectors.json");
    serde_json::from_str::<Value>(text).unwrap()[group].take()
}

fn rows(group: &str, wanted: usize) -> Vec<Value> {
    let rows = vectors(group).as_array().unwrap().clone();
    assert_eq!(rows.len(), wanted, "{group}");
    rows
}

fn counting(length: u64) -> Blob {
    let bytes: Vec<u8> = (0..length).map(|i| (i % 256) as u8).collect();
    Blob::bytes(bytes)
}

#[test]
fn checksums() {
    for row in rows("adler32", 9) {
        let length = row["length"].as_u64().unwrap();
        let blob = match row["input"].as_str().unwrap() {
            "empty" => Blob::bytes(""),
            "one zero byte" => Blob::bytes(vec![0_u8]),
            "1000000 bytes of ff" => Blob::bytes(vec![0xff_u8; 1_000_000]),
            text => match text.strip_prefix("ascii ") {
                Some(text) => Blob::bytes(text.to_owned()),
                None => counting(length),
            },
        };
        assert_eq!(blob.size(), length);
        let sum = adler32(&blob);
        assert_eq!(format!("{sum:08x}"), row["hex"], "{}", row["input"]);
        let decimal = row["checksum_field"].as_str().unwrap();
        assert!(fits(&blob, decimal));
        assert!(!fits(&blob, row["hex"].as_str().unwrap()) || length == 0);
        assert!(!fits(&blob, &format!("+{decimal}")) && !fits(&blob, ""));
    }
}

#[test]
fn blocks() {
    let last = |size: u64, block: u64, count: u64| size - block * (count - 1);
    for row in rows("block_plan", 7) {
        let number = |key: &str| row[key].as_u64().unwrap();
        let (block, count) = plan(number("size"), 4_194_304);
        assert_eq!((block, count), (number("block_size"), number("block_num")));
        assert_eq!(last(number("size"), block, count), number("last_block"));
    }
    let small = vectors("small_block_plan");
    let (blob, block) = (counting(10_000), small["block_size"].as_u64().unwrap());
    assert_eq!(
        plan(10_000, block),
        (block, small["block_num"].as_u64().unwrap())
    );
    for part in small["parts"].as_array().unwrap() {
        let part_blob = blob.slice(part["seq"].as_u64().unwrap() * block, block);
        assert_eq!(part_blob.size(), part["size"].as_u64().unwrap());
        assert!(fits(&part_blob, part["checksum"].as_str().unwrap()));
    }
    assert!(fits(&blob, small["whole_file_checksum"].as_str().unwrap()));
}

#[test]
fn the_form_of_a_small_upload() {
    let vector = vectors("upload_all_multipart");
    let body = vector["body"].as_str().unwrap().as_bytes();
    assert_eq!(
        body.len() as u64,
        vector["content_length"].as_u64().unwrap()
    );
    let kind = vector["content_type"].as_str().unwrap();
    let form = form::tests::read(kind, body).unwrap();
    let fields: Vec<(&str, &str)> = form
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let wanted = [
        ("checksum", "103547413"),
        ("file_name", "demo.txt"),
        ("parent_node", "fldcnEXAMPLE"),
        ("parent_type", "explorer"),
        ("size", "5"),
    ];
    assert_eq!(fields, wanted);
    let file = form.file.unwrap();
    assert_eq!(&file.read(0, 99)[..], b"hello");
    assert!(fits(&file, "103547413"));
}

#[test]
fn times_of_any_precision() {
    for row in rows("timestamp_parse", 12) {
        let nanos = row["unix_nanos"].as_str();
        let wanted = nanos.map(|text| text.parse::<i128>().unwrap().div_euclid(1_000_000_000));
        let read = seconds(row["raw"].as_str().unwrap()).map(i128::from);
        assert_eq!(read, wanted, "{}", row["raw"]);
    }
}
