use super::*;
use crate::drive::OnConflict;

fn request(size: u64) -> UploadRequest {
    UploadRequest {
        parent: NodeId::new("0"),
        name: "a.bin".to_owned(),
        size,
        modified: None,
        on_conflict: OnConflict::Refuse,
    }
}

#[test]
fn the_largest_file_fits_into_the_stores_parts() {
    assert!(fast::MAX_SIZE.div_ceil(PART_SIZE) <= 10_000);
}

#[test]
fn a_miss_of_the_sheet_is_kept_byte_for_byte() {
    let callback = "{\"callbackUrl\":\"http://u\",\"callbackBody\":\"sha1=${sha1}\"}";
    let inner = json!({"callback": callback, "callback_var": "{\"x:target\":\"U_1_0\"}"});
    for spelled in [inner.clone(), json!([inner])] {
        let data = json!({"bucket":"fhnfile","object":"abc","callback":spelled});
        let mut state = State::default();
        state.adopt("t", &data).unwrap();
        assert_eq!(state.callback, callback);
        let again = State::of(&state.session()).unwrap();
        assert_eq!(again.callback, callback);
        assert_eq!(again.object, "abc");
    }
    let broken = json!({"bucket":"fhnfile","object":"abc","callback":[]});
    assert!(State::default().adopt("t", &broken).is_err());
}

#[test]
fn a_session_of_a_hit_has_nothing_left_to_send() {
    for size in [0, 1, PART_SIZE, PART_SIZE + 1] {
        let session = done_session(&request(size), "aa", "77");
        assert_eq!(
            session.accepted.len(),
            session.part_count(size) as usize,
            "{size}"
        );
        let sent: u64 = session.accepted.iter().map(|part| part.size).sum();
        assert_eq!(sent, size);
        assert_eq!(session.node, Some(NodeId::new("77")));
        assert_eq!(State::of(&session).unwrap().done.as_deref(), Some("77"));
    }
}
