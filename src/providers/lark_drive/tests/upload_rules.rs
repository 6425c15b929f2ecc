//! The rules of uploads against the published vectors.

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!(
        "../../../../tests/fixtures/lark_drive.vectors.json"
    ))
    .unwrap()
}

/// A form as it goes over the wire, with this boundary (RFC 7578).
fn rendered(form: &[FormPart], boundary: &str) -> String {
    let mut text = String::new();
    for part in form {
        let file = part.file_name.as_ref().map_or(String::new(), |name| {
            format!("; filename=\"{name}\"\r\nContent-Type: application/octet-stream")
        });
        let value = String::from_utf8(part.bytes.to_vec()).unwrap();
        let name = &part.name;
        text.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n"
        ));
    }
    format!("{text}--{boundary}--\r\n")
}

#[test]
fn the_form_of_the_vectors() {
    let vector = &vectors()["upload_all_multipart"];
    let boundary = vector["content_type"]
        .as_str()
        .and_then(|text| text.split_once("boundary="))
        .unwrap()
        .1;
    let bytes = Bytes::from_static(b"hello");
    let form = form_of_all("demo.txt", "fldcnEXAMPLE".to_owned(), None, bytes.clone());
    let body = rendered(&form, boundary);
    assert_eq!(body, vector["body"].as_str().unwrap());
    assert_eq!(
        body.len() as u64,
        vector["content_length"].as_u64().unwrap()
    );
    let over = form_of_all("demo.txt", "f".to_owned(), Some("boxcn1"), bytes);
    assert!(
        over.iter()
            .any(|part| part.name == "file_token" && part.bytes == "boxcn1")
    );
}

#[test]
fn the_blocks_of_the_vectors() {
    for vector in vectors()["block_plan"].as_array().unwrap() {
        let number = |key: &str| vector[key].as_u64().unwrap();
        let size = number("size");
        assert_eq!(size <= SMALL, vector["uses_upload_all"].as_bool().unwrap());
        let session = UploadSession {
            state: Value::Null,
            part_size: number("block_size"),
            parallel: 1,
            accepted: Vec::new(),
            node: None,
        };
        let count = session.part_count(size);
        assert_eq!(u64::from(count), number("block_num"), "{size}");
        let last = session.part_range(size, count);
        assert_eq!(last.end - last.start, number("last_block"), "{size}");
    }
}

#[test]
fn the_checksums_of_the_small_plan() {
    let vector = &vectors()["small_block_plan"];
    let content: Vec<u8> = (0..10_000_u32).map(|n| (n % 256) as u8).collect();
    let blocks = content.chunks(vector["block_size"].as_u64().unwrap() as usize);
    let parts = vector["parts"].as_array().unwrap();
    assert_eq!(parts.len(), blocks.len());
    for (part, block) in parts.iter().zip(blocks) {
        assert_eq!(part["checksum"], adler32(block).to_string());
    }
    assert_eq!(vector["whole_file_checksum"], adler32(&content).to_string());
}

#[test]
fn odd_names_stay_out_of_headers() {
    let form = form_of_all(
        "a\";b\\.txt",
        "p".to_owned(),
        None,
        Bytes::from_static(b"x"),
    );
    let file = form.last().unwrap();
    assert_eq!(file.file_name.as_deref(), Some("file"));
    assert_eq!(form[0].bytes, "a\";b\\.txt");
}

#[test]
fn of_several_the_one_that_is_shown_is_replaced() {
    let entries: Vec<Entry> = [
        ("boxcn000000b1", "a.bin", "1700000100"),
        ("boxcn000000a1", "a.bin", "1700000100"),
        ("boxcn000000c1", "a.bin", "1700000000"),
        ("boxcn000000d1", "b.bin", "1700000900"),
    ]
    .iter()
    .filter_map(|(token, name, time)| {
        Entry::decode(&json!({"token":token,"name":name,"type":"file","modified_time":time}))
    })
    .collect();
    assert_eq!(choose(&entries, "a.bin").unwrap().token, "boxcn000000a1");
    let other = choose(&entries, "a~000000c1.bin").unwrap();
    assert_eq!(other.token, "boxcn000000c1");
    assert!(choose(&entries, "c.bin").is_none());
}
