//! Every test vector of the protocol sheets that is about fingerprints, checksums or proofs,
//! checked against `panfuse::fingerprint`. Vectors about signing requests belong to the drivers.

#[path = "fingerprint_vectors/content.rs"]
mod content;

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use panfuse::fingerprint::{
    Adler32, BlockMd5s, Hasher, Kind, Sha1State, adler32, baidu_proof_content, baidu_proof_range,
    block_list_text, cid_from_windows, cid_windows, crc64_from_decimal, decode_cloud_md5,
    encode_cloud_md5, gcid_block_size, hash_all, hex_lower, hex_upper, md5_from_base64, normalise,
    proof_code, proof_range, quark_open_seeds, sign_check_range, sign_val, slice_md5_text,
    tianyi_slice_size,
};
use serde_json::Value;

use content::Content;

fn fixture(name: &str) -> Value {
    let path = format!(
        "{}/tests/fixtures/{name}.vectors.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The list at a JSON pointer; an empty or missing one is a failure, not a pass.
fn list<'a>(fixture: &'a Value, pointer: &str) -> &'a [Value] {
    let list = fixture.pointer(pointer).and_then(Value::as_array);
    let list = list.unwrap_or_else(|| panic!("no list at {pointer}"));
    assert!(!list.is_empty(), "{pointer} is empty");
    list
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text {field} in {vector}"))
}

fn number(vector: &Value, field: &str) -> u64 {
    vector[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no number {field} in {vector}"))
}

fn texts<'a>(vector: &'a Value, field: &str) -> Vec<&'a str> {
    let list = vector[field].as_array();
    let list = list.unwrap_or_else(|| panic!("no list {field} in {vector}"));
    list.iter().map(|t| t.as_str().unwrap()).collect()
}

/// Compares in the normal spelling, as a driver would after reading the field.
fn same(kind: Kind, got: &HashMap<Kind, String>, expected: &str, vector: &Value) {
    let expected = normalise(kind, expected).unwrap_or_else(|| panic!("{kind}: {expected}"));
    assert_eq!(got[&kind], expected, "{kind} of {vector}");
}

/// 115's and Aliyun's hash vectors, and the CRC-64s both have.
#[test]
fn whole_hashes_and_heads_of_115_and_aliyun() {
    let mut checked = 0;
    let pre_id = Kind::HeadSha1 { len: 128 << 10 };
    for vector in list(&fixture("115_open"), "/hashes_and_sign_val") {
        let content = Content::parse(text(vector, "content"));
        assert_eq!(content.size(), number(vector, "size"));
        let values = content.hash(&[Kind::Sha1, pre_id]);
        same(Kind::Sha1, &values, text(vector, "sha1"), vector);
        same(pre_id, &values, text(vector, "preid_128KiB"), vector);
        checked += 2;
        if let Some(check) = vector["sign_check"].as_str() {
            let range = sign_check_range(check).unwrap();
            assert_eq!(sign_val(&content.range(range)), text(vector, "sign_val"));
            checked += 1;
        }
    }
    let pre_hash = Kind::HeadSha1 { len: 1 << 10 };
    for vector in list(&fixture("aliyundrive_open"), "/hashes") {
        let content = Content::parse(text(vector, "content"));
        assert_eq!(content.size(), number(vector, "size"));
        let values = content.hash(&[Kind::Sha1, pre_hash]);
        same(Kind::Sha1, &values, text(vector, "content_hash"), vector);
        same(pre_hash, &values, text(vector, "pre_hash"), vector);
        checked += 2;
    }
    assert_eq!(checked, 3 * 2 + 2 + 6 * 2);
}

#[test]
fn crc64_in_decimal_and_hex() {
    let mut checked = 0;
    for name in ["115_open", "aliyundrive_open"] {
        for vector in list(&fixture(name), "/crc64_xz") {
            let values = Content::parse(text(vector, "content")).hash(&[Kind::Crc64]);
            let decimal = text(vector, "crc64_decimal");
            same(Kind::Crc64, &values, decimal, vector);
            same(Kind::Crc64, &values, text(vector, "crc64_hex"), vector);
            assert_eq!(
                crc64_from_decimal(decimal).as_ref(),
                values.get(&Kind::Crc64)
            );
            checked += 1;
        }
    }
    assert_eq!(checked, 10);
}

#[test]
fn proof_codes_of_aliyun() {
    let mut checked = 0;
    for vector in list(&fixture("aliyundrive_open"), "/proof_code_v1") {
        let content = Content::parse(text(vector, "content"));
        let size = number(vector, "size");
        assert_eq!(content.size(), size, "{vector}");
        let range = proof_range(text(vector, "access_token"), size);
        assert_eq!(
            range,
            number(vector, "offset")..number(vector, "end_exclusive")
        );
        let bytes = content.range(range);
        assert_eq!(hex_lower(&bytes), text(vector, "bytes_hex"));
        assert_eq!(proof_code(&bytes), text(vector, "proof_code"), "{vector}");
        checked += 1;
    }
    assert_eq!(checked, 10);
}

#[test]
fn proof_codes_of_quark_open() {
    let mut checked = 0;
    for vector in list(&fixture("quark"), "/vectors/open_upload_proof") {
        let content = Content::parse(text(vector, "content"));
        let size = number(vector, "size");
        assert_eq!(content.size(), size);
        let seeds = quark_open_seeds(text(vector, "user_id"), text(vector, "x_pan_token"), size);
        for (index, seed) in ["1", "2"].into_iter().zip(&seeds) {
            assert_eq!(seed, text(vector, &format!("proof_seed{index}")));
            let range = proof_range(seed, size);
            if let Some(offset) = vector[format!("offset_{index}")].as_u64() {
                assert_eq!(range.start, offset, "{vector}");
            }
            let code = text(vector, &format!("proof_code{index}"));
            assert_eq!(proof_code(&content.range(range)), code, "{vector}");
            checked += 1;
        }
    }
    assert_eq!(checked, 8);
}

/// The three sheets have the same vectors; each content is hashed once for all of them.
#[test]
fn gcid_and_cid_of_pikpak_xunlei_and_guangya() {
    let kinds = [Kind::Gcid, Kind::Cid, Kind::Sha1, Kind::Md5];
    let mut known: HashMap<Content, HashMap<Kind, String>> = HashMap::new();
    let mut checked = 0;
    for name in ["pikpak", "xunlei", "guangya"] {
        let fixture = fixture(name);
        for vector in list(&fixture, "/gcid_block_ladder") {
            let block = gcid_block_size(number(vector, "size"));
            assert_eq!(block, number(vector, "block_size"), "{vector}");
            checked += 1;
        }
        for vector in list(&fixture, "/gcid_cid") {
            let size = number(vector, "size");
            let content = match text(vector, "content") {
                "zero bytes" | "all zero bytes" => Content::zeros(size),
                "ASCII \"hello\"" => Content::Literal(b"hello".to_vec()),
                "byte i = i mod 256" => Content::counting(size),
                "byte i = i mod 251" => Content::p(size),
                "byte i = (17*i) mod 251" => Content::pattern(251, size, |i| 17 * i % 251),
                "byte i = i mod 256 for the first 262144 bytes, then one byte 0xFF" => {
                    Content::PeriodicThen {
                        period: (0..=255).collect(),
                        size: 262_144,
                        last: 0xff,
                    }
                }
                other => panic!("unknown content {other}"),
            };
            assert_eq!(content.size(), size);
            assert_eq!(gcid_block_size(size), number(vector, "block_size"));
            // The windows alone give the CID too.
            let windows = cid_windows(size).into_iter().map(|w| content.range(w));
            assert_eq!(cid_from_windows(windows), text(vector, "cid"), "{vector}");
            let values = known
                .entry(content)
                .or_insert_with_key(|content| content.hash(&kinds));
            for kind in kinds {
                same(kind, values, text(vector, kind.name()), vector);
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 3 * (13 + 17));
}

#[test]
fn hashes_of_clouddrive2() {
    let mut checked = 0;
    let fixture = fixture("clouddrive2");
    for vector in list(&fixture, "/pikpak_segment_rule") {
        let segment = number(vector, "segment");
        let size = vector["max_size_inclusive"].as_u64().unwrap_or(1 << 40);
        assert_eq!(gcid_block_size(size), segment);
        checked += 1;
    }
    for vector in list(&fixture, "/hashes") {
        let n = number(vector, "n");
        let content = match text(vector, "input") {
            "ascii hello" => Content::Literal(b"hello".to_vec()),
            "first N bytes of the byte sequence 00 01 .. ff repeated" => Content::counting(n),
            other => panic!("unknown input {other}"),
        };
        assert_eq!(content.size(), n);
        let segment = gcid_block_size(n);
        assert_eq!(segment, number(vector, "segment_size"));
        assert_eq!(n.div_ceil(segment), number(vector, "segments"));
        let values = content.hash(&[Kind::Md5, Kind::Sha1, Kind::Gcid]);
        same(Kind::Md5, &values, text(vector, "md5"), vector);
        same(Kind::Sha1, &values, text(vector, "sha1"), vector);
        same(Kind::Gcid, &values, text(vector, "pikpak_sha1"), vector);
        checked += 1;
    }
    for vector in list(&fixture, "/md5_blocks") {
        let content = Content::counting(number(vector, "n"));
        let mut md5s = BlockMd5s::new(number(vector, "block_size"));
        content.for_each_piece(|piece| md5s.update(piece));
        let blocks: Vec<String> = md5s.finish().iter().map(|b| hex_lower(b)).collect();
        assert_eq!(blocks, texts(vector, "block_hashes"), "{vector}");
        let values = content.hash(&[Kind::Md5]);
        same(Kind::Md5, &values, text(vector, "file_md5"), vector);
        checked += 1;
    }
    assert_eq!(checked, 4 + 12 + 5);
}

#[test]
fn slice_md5_of_189() {
    let mut checked = 0;
    let fixture = fixture("189cloud");
    for vector in list(&fixture, "/vectors/part_size") {
        let size = number(vector, "size");
        let slice = tianyi_slice_size(size);
        assert_eq!(slice, number(vector, "slice_size"), "{vector}");
        assert_eq!(size.div_ceil(slice).max(1), number(vector, "parts"));
        checked += 1;
    }
    for vector in list(&fixture, "/vectors/slice_md5") {
        let content = Content::parse(text(vector, "content"));
        let size = number(vector, "size");
        assert_eq!(content.size(), size);
        let slice = number(vector, "slice_size");
        assert_eq!(slice, tianyi_slice_size(size));
        let kind = Kind::SliceMd5 { slice };
        let blocks = Kind::BlockListMd5 { block: slice };
        let values = content.hash(&[Kind::Md5, kind, blocks]);
        same(Kind::Md5, &values, text(vector, "file_md5"), vector);
        same(kind, &values, text(vector, "slice_md5"), vector);
        let slices = texts(vector, "slice_md5_list");
        same(blocks, &values, &slices.join(","), vector);
        if let Some(wrong) = vector["wrong_if_slices_joined_in_lower_case"].as_str() {
            assert_ne!(Some(&values[&kind]), normalise(kind, wrong).as_ref());
        }
        // The part info has the same MD5s in base64.
        let mut md5s = BlockMd5s::new(slice);
        content.for_each_piece(|piece| md5s.update(piece));
        let md5s = md5s.finish();
        assert_eq!(slice_md5_text(&md5s), values[&kind]);
        for (index, part) in texts(vector, "part_info").iter().enumerate() {
            let (part_number, base64) = part.split_once('-').unwrap();
            assert_eq!(part_number, (index + 1).to_string());
            assert_eq!(
                md5_from_base64(base64).unwrap(),
                slices[index].to_lowercase()
            );
            if let Some(md5) = md5s.get(index) {
                assert_eq!(hex_upper(md5), slices[index]);
            }
        }
        checked += 1;
    }
    assert_eq!(checked, 15 + 6);
}

#[test]
fn upload_fingerprints_of_baidu() {
    let mut checked = 0;
    let head = Kind::HeadMd5 { len: 256 << 10 };
    let lists = [
        ("block_list_4MiB", 4),
        ("block_list_16MiB", 16),
        ("block_list_32MiB", 32),
    ];
    for vector in list(
        &fixture("baidu_netdisk"),
        "/vectors/upload_fingerprints/cases",
    ) {
        let content = Content::Seeded {
            seed: number(vector, "seed") as u32,
            size: number(vector, "size"),
        };
        let mut kinds = vec![Kind::Md5, head];
        kinds.extend(lists.map(|(_, mib)| Kind::BlockListMd5 { block: mib << 20 }));
        let values = content.hash(&kinds);
        same(Kind::Md5, &values, text(vector, "content_md5"), vector);
        same(
            head,
            &values,
            text(vector, "slice_md5_first_262144"),
            vector,
        );
        for (field, mib) in lists {
            if vector.get(field).is_some() {
                let kind = Kind::BlockListMd5 { block: mib << 20 };
                same(kind, &values, &texts(vector, field).join(","), vector);
                checked += 1;
            }
        }
        checked += 2;
    }
    assert_eq!(checked, 10 * 3 + 2);
}

#[test]
fn cloud_md5_of_baidu() {
    let mut checked = 0;
    let fixture = fixture("baidu_netdisk");
    let base = "/vectors/list_md5_obfuscation";
    for field in [
        "encode_and_decode",
        "decode_of_strings_seen_in_public_reports",
    ] {
        for vector in list(&fixture, &format!("{base}/{field}")) {
            let (plain, secret) = (text(vector, "plain"), text(vector, "obfuscated"));
            assert_eq!(decode_cloud_md5(secret).as_deref(), Some(plain), "{vector}");
            assert_eq!(encode_cloud_md5(plain).as_deref(), Some(secret), "{vector}");
            checked += 1;
        }
    }
    for vector in list(&fixture, &format!("{base}/not_obfuscated_passthrough")) {
        let input = text(vector, "input");
        assert_eq!(
            decode_cloud_md5(input).unwrap_or_else(|| input.to_owned()),
            text(vector, "output")
        );
        checked += 1;
    }
    assert_eq!(checked, 7 + 2 + 2);
}

#[test]
fn cookie_proof_of_baidu() {
    let mut checked = 0;
    for vector in list(
        &fixture("baidu_netdisk"),
        "/vectors/cookie_precreate_proof/cases",
    ) {
        let size = number(vector, "size");
        let range = baidu_proof_range(
            number(vector, "uk"),
            text(vector, "content_md5"),
            number(vector, "data_time"),
            size,
        );
        assert_eq!(range.start, number(vector, "data_offset"), "{vector}");
        if vector.get("data_content_md5").is_some() {
            let seed = number(vector, "seed") as u32;
            let bytes = Content::Seeded { seed, size }.range(range);
            assert_eq!(bytes.len() as u64, number(vector, "data_length"));
            let data = baidu_proof_content(&bytes);
            assert_eq!(data.len() as u64, number(vector, "data_content_len"));
            assert!(data.starts_with(text(vector, "data_content_first32")));
            assert!(data.ends_with(text(vector, "data_content_last16")));
            let md5 = hash_all(&[Kind::Md5], data.as_bytes()).remove(0).1;
            assert_eq!(md5, text(vector, "data_content_md5"));
        }
        checked += 1;
    }
    assert_eq!(checked, 8);
}

#[test]
fn upload_fingerprints_of_123() {
    let mut checked = 0;
    for vector in list(&fixture("123_open"), "/vectors/upload_fingerprints/cases") {
        let content = Content::Seeded {
            seed: number(vector, "seed") as u32,
            size: number(vector, "size"),
        };
        let values = content.hash(&[Kind::Md5, Kind::Sha1]);
        same(Kind::Md5, &values, text(vector, "etag_md5"), vector);
        same(Kind::Sha1, &values, text(vector, "sha1"), vector);
        let mut md5s = BlockMd5s::new(number(vector, "sliceSize"));
        content.for_each_piece(|piece| md5s.update(piece));
        let got: Vec<String> = md5s.finish().iter().map(|b| hex_lower(b)).collect();
        let slices = vector["slices"].as_array().unwrap();
        let expected: Vec<&str> = slices.iter().map(|s| text(s, "sliceMD5")).collect();
        assert_eq!(got, expected, "{vector}");
        checked += 1;
    }
    assert_eq!(checked, 8);
}

fn five_words(vector: &Value) -> [u32; 5] {
    let words = vector["h"].as_array().unwrap();
    let words: Vec<u32> = words.iter().map(|h| h.as_u64().unwrap() as u32).collect();
    words.try_into().unwrap()
}

#[test]
fn sha1_states_of_quark_and_uc() {
    let mut known: HashMap<Content, Sha1State> = HashMap::new();
    let mut checked = 0;
    for name in ["quark", "uc"] {
        for vector in list(&fixture(name), "/vectors/oss_hash_ctx") {
            let length = number(vector, "prefix_bytes");
            let told = Sha1State::resume(five_words(vector), length).unwrap();
            assert_eq!(told.json().as_deref(), Some(text(vector, "json")));
            let header = text(vector, "header_value");
            assert_eq!(told.header().as_deref(), Some(header));
            assert_eq!(STANDARD.encode(text(vector, "json")), header);
            assert_eq!(Sha1State::from_header(header).as_ref(), Some(&told));
            // Contents of real clients are unknown: there only the end can be checked.
            if text(vector, "prefix").contains('(') {
                let content = Content::parse(text(vector, "prefix"));
                assert_eq!(content.size(), length);
                let state = known.entry(content).or_insert_with_key(|content| {
                    let mut state = Sha1State::new();
                    content.for_each_piece(|piece| state.update(piece));
                    state
                });
                assert_eq!(state.words(), told.words(), "{vector}");
                assert_eq!(state.length(), told.length());
            }
            assert_eq!(told.finish(), text(vector, "prefix_sha1"), "{vector}");
            checked += 1;
        }
        // The context a signature was made with is that of the part before.
        for vector in list(&fixture(name), "/vectors/auth_meta_put") {
            if let Some(header) = vector["hash_ctx"].as_str() {
                let state = Sha1State::from_header(header).unwrap();
                assert_eq!(state.header().as_deref(), Some(header));
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 10 + 3 + 2);
}

#[test]
fn whole_hashes_and_md5_spellings() {
    let mut checked = 0;
    for name in ["quark", "uc"] {
        let fixture = fixture(name);
        for vector in list(&fixture, "/vectors/file_hashes") {
            let content = Content::parse(text(vector, "content"));
            assert_eq!(content.size(), number(vector, "size"));
            let values = content.hash(&[Kind::Md5, Kind::Sha1]);
            same(Kind::Md5, &values, text(vector, "md5"), vector);
            same(Kind::Sha1, &values, text(vector, "sha1"), vector);
            let base64 = text(vector, "md5_base64");
            assert_eq!(md5_from_base64(base64).as_ref(), values.get(&Kind::Md5));
            checked += 1;
        }
        for vector in list(&fixture, "/vectors/md5_field_decode") {
            assert_eq!(
                md5_from_base64(text(vector, "field_value")).as_deref(),
                Some(text(vector, "md5_hex"))
            );
            checked += 1;
        }
    }
    for vector in list(&fixture("guangya"), "/md5_encodings") {
        let values = hash_all(&[Kind::Md5], text(vector, "content").as_bytes());
        let hex = text(vector, "hex");
        assert_eq!(values, [(Kind::Md5, hex.to_owned())]);
        assert_eq!(
            md5_from_base64(text(vector, "base64")).as_deref(),
            Some(hex)
        );
        checked += 1;
    }
    assert_eq!(checked, 2 * (3 + 4) + 2);
}

#[test]
fn checksums_of_lark() {
    let mut checked = 0;
    let fixture = fixture("lark_drive");
    for vector in list(&fixture, "/adler32") {
        let length = number(vector, "length");
        let input = text(vector, "input");
        let content = if input.ends_with("bytes 00..ff repeated") {
            Content::counting(length)
        } else if input.ends_with("bytes of ff") {
            Content::pattern(1, length, |_| 255)
        } else {
            match input {
                "empty" => Content::Literal(Vec::new()),
                "one zero byte" => Content::zeros(1),
                other => Content::parse(other),
            }
        };
        assert_eq!(content.size(), length, "{vector}");
        let mut sum = Adler32::new();
        content.for_each_piece(|piece| sum.update(piece));
        assert_eq!(sum.finish().to_string(), text(vector, "checksum_field"));
        assert_eq!(format!("{:08x}", sum.finish()), text(vector, "hex"));
        checked += 1;
    }
    let plan = &fixture["small_block_plan"];
    let content = Content::counting(10_000).all();
    let parts = list(plan, "/parts");
    for (part, bytes) in parts
        .iter()
        .zip(content.chunks(number(plan, "block_size") as usize))
    {
        assert_eq!(bytes.len() as u64, number(part, "size"));
        assert_eq!(adler32(bytes).to_string(), text(part, "checksum"));
        checked += 1;
    }
    assert_eq!(
        adler32(&content).to_string(),
        text(plan, "whole_file_checksum")
    );
    assert_eq!(checked, 9 + 3);
}

/// The generators of this file against the bytes the sheets print.
#[test]
fn generators_are_those_of_the_sheets() {
    for name in ["baidu_netdisk", "123_open"] {
        for (seed, bytes) in [(1, "seed=1"), (9, "seed=9")] {
            let expected = &fixture(name)["content_generator"]["first16_hex"][bytes];
            let content = Content::Seeded { seed, size: 100 };
            assert_eq!(
                Some(hex_lower(&content.range(0..16)).as_str()),
                expected.as_str()
            );
            assert_eq!(content.range(40..100), content.all()[40..]);
        }
    }
    let content = Content::gen_rule(200_000);
    for start in [0, 255, 65_535, 65_536, 199_990] {
        let expected: Vec<u8> = (start..start + 10)
            .map(|i| ((31 * i + 7 * (i / 256) + 11) % 256) as u8)
            .collect();
        assert_eq!(content.range(start..start + 10), expected);
    }
    let mut hasher = Hasher::new(Kind::BAIDU_BLOCKS, 0);
    hasher.update(b"");
    assert_eq!(hasher.finish(), block_list_text(&[]));
}
