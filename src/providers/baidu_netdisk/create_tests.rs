use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use super::*;
use crate::drive::{ByteStream, Content, Cost, ReadBudget};
use crate::fingerprint::Fingerprints;
use crate::net::{Body, Request};

fn vectors() -> Value {
    let text = include_str!("../../../tests/fixtures/baidu_netdisk.vectors.json");
    serde_json::from_str::<Value>(text).unwrap()["vectors"].take()
}

/// The generator of the vectors; of its bytes nothing is known.
struct Gen {
    size: u64,
    seed: u64,
}

#[async_trait]
impl Content for Gen {
    fn size(&self) -> u64 {
        self.size
    }
    fn known(&self) -> Fingerprints {
        Fingerprints::new()
    }
    async fn stream(&self, range: Range<u64>) -> Result<ByteStream> {
        let seed = self.seed.wrapping_mul(2_246_822_519);
        let bytes: Bytes = range
            .map(|i| {
                let product = i.wrapping_mul(2_654_435_761).wrapping_add(seed);
                ((product & 0xffff_ffff) >> 24) as u8
            })
            .collect();
        Ok(Box::pin(futures_util::stream::iter([Ok(bytes)])))
    }
    fn cost(&self, _kind: Kind) -> Cost {
        Cost::FullRead(self.size)
    }
    async fn learn(&self, _kind: Kind) -> Result<Option<String>> {
        Ok(None)
    }
}

#[tokio::test]
async fn block_lists_of_the_vectors() {
    let vectors = vectors();
    let cases = vectors["upload_fingerprints"]["cases"].as_array().unwrap();
    assert!(cases.len() >= 10);
    let mut lists = 0;
    for case in cases {
        let size = case["size"].as_u64().unwrap();
        let seed = case["seed"].as_u64().unwrap();
        let content = Gen { size, seed };
        for slice in [4_u64, 16, 32] {
            let Some(wanted) = case.get(format!("block_list_{slice}MiB")) else {
                continue;
            };
            let conversation = Conversation::new(&content, ReadBudget::All);
            let list = read_blocks(&conversation, slice * MIB).await.unwrap();
            assert_eq!(json!(list), *wanted, "{size} {slice}");
            lists += 1;
        }
        let head = content.stream(0..size.min(crate::providers::baidu_netdisk::fast::HEAD));
        let head = crate::drive::collect(head.await.unwrap(), size.min(262_144));
        assert_eq!(md5_of(&head.await.unwrap()), case["slice_md5_first_262144"]);
    }
    assert!(lists >= 12);
}

#[test]
fn slice_plans_of_the_vectors() {
    let vectors = vectors();
    let cases = vectors["slice_plan"]["cases"].as_array().unwrap();
    assert!(cases.len() >= 8);
    for case in cases {
        let number = |field: &str| case[field].as_u64().unwrap();
        let (size, parts) = (number("size"), number("parts"));
        let session = UploadSession {
            state: json!({}),
            part_size: number("slice"),
            parallel: 1,
            accepted: Vec::new(),
            node: None,
        };
        assert_eq!(u64::from(session.part_count(size)), parts);
        let last = session.part_range(size, u32::try_from(parts).unwrap());
        assert_eq!(last.end - last.start, number("last"));
    }
}

#[test]
fn slices_are_as_small_as_the_level_allows() {
    for level in 0..=2 {
        assert_eq!(slice_size(1, level).unwrap(), SLICE);
        assert_eq!(slice_size(MAX_SMALL, level).unwrap(), SLICE);
    }
    let more = MAX_SMALL + 1;
    assert_eq!(slice_size(more, 0).unwrap_err().kind, ErrorKind::TooLarge);
    assert_eq!(slice_size(more, 1).unwrap(), 16 * MIB);
    assert_eq!(slice_size(10 << 30, 1).unwrap(), 16 * MIB);
    assert!(slice_size((10 << 30) + 1, 1).is_err());
    assert_eq!(slice_size(16 << 30, 2).unwrap(), 16 * MIB);
    assert_eq!(slice_size(MAX_FILE, 2).unwrap(), 32 * MIB);
    assert!(slice_size(MAX_FILE + 1, 2).is_err());
    for size in [1, more, MAX_FILE] {
        assert!(size.div_ceil(slice_size(size, 2).unwrap()) <= MOST_SLICES);
    }
}

#[test]
fn forms_of_the_vectors() {
    let vectors = vectors();
    for name in ["precreate", "filemanager_move"] {
        let case = &vectors["form_bodies"][name];
        let fields = case["fields"].as_array().unwrap();
        let pairs: Vec<(&str, &str)> = fields
            .iter()
            .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
            .collect();
        let Body::Bytes(body) = Request::post("t", "https://h/").form(&pairs).body else {
            panic!("no body");
        };
        // Both spellings of a blank are accepted (section 3).
        let wanted = case["body"].as_str().unwrap().replace('+', "%20");
        assert_eq!(std::str::from_utf8(&body).unwrap(), wanted);
    }
}

fn three() -> (UploadSession, Vec<String>) {
    let blocks: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
    let session = UploadSession {
        state: json!({}),
        part_size: SLICE,
        parallel: 1,
        accepted: Vec::new(),
        node: None,
    };
    (session, blocks)
}

#[test]
fn what_is_not_asked_for_is_there() {
    let (session, blocks) = three();
    let size = 2 * SLICE + 5;
    let numbers = |missing: Value| -> Vec<u32> {
        let present = present(&session, size, &blocks, &missing);
        present.iter().map(|part| part.number).collect()
    };
    assert!(numbers(json!([0, 1, 2])).is_empty());
    assert_eq!(numbers(json!(["1", 2])), [1]);
    assert_eq!(numbers(json!([])), [1, 2, 3]);
    assert!(numbers(Value::Null).is_empty());
    let last = present(&session, size, &blocks, &json!([0, 1]));
    assert_eq!((last[0].size, last[0].tag.as_str()), (5, "c"));
    // For one slice the empty list means that slice.
    assert!(present(&session, 7, &blocks[..1], &json!([])).is_empty());
}

#[test]
fn only_a_file_with_our_content_or_times_is_ours() {
    let own = Own {
        size: 100,
        slice: SLICE,
        md5: "690f0d5c7e40be562b29b276eb6bb105".to_owned(),
        local_mtime: 50,
        local_ctime: 60,
        since: 1_000_000_000,
    };
    let item = json!({"fs_id":7,"path":"/a","isdir":0,"size":100,"local_mtime":1,"local_ctime":2,
        "server_ctime":1_000_000,"md5":"7f63fb31ega4c0b3ea48f462a2827f99"});
    let entry = |change: Value| {
        let mut item = item.clone();
        for (field, value) in change.as_object().unwrap() {
            item[field] = value.clone();
        }
        list::entry(&item, None).unwrap()
    };
    assert!(own.is(&entry(json!({}))));
    assert!(!own.is(&entry(json!({"size": 101}))));
    assert!(!own.is(&entry(json!({"isdir": 1}))));
    assert!(!own.is(&entry(json!({"server_ctime": 900_000}))));
    let other = "e13dabb7dn1df6548e7988a41a60ef54";
    let times = json!({"md5": other, "local_mtime": 50, "local_ctime": 60});
    assert!(!own.is(&entry(times)), "other bytes of one slice");
    let large = Own {
        size: SLICE + 1,
        ..own
    };
    let times = json!({"size": SLICE + 1, "md5": other, "local_mtime": 50, "local_ctime": 60});
    assert!(large.is(&entry(times)));
    assert!(!large.is(&entry(json!({"size": SLICE + 1, "md5": other}))));
}
