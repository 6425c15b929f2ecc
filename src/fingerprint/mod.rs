//! Fingerprints: what kinds there are, how their texts are written, and the algorithms.
//!
//! | file | what is in it |
//! |---|---|
//! | `kind` | [`Kind`] with its parameters |
//! | `known` | [`Known`], [`Origin`] and the map [`Fingerprints`] of one content |
//! | `normalise` | one spelling per kind (SPEC S0-18 to S0-25, C-4 to C-6) |
//! | `hex` | [`hex_lower`] and [`hex_upper`] |
//! | `blocks` | one digest per consecutive block |
//! | `gcid`, `cid` | Xunlei's gcid and CID, also PikPak's and Guangya's |
//! | `slices` | block lists (Baidu, 123, CloudDrive2) and Tianyi's slice MD5 |
//! | `proof` | proofs of possession: Aliyun, Quark Open, 115, Baidu |
//! | `sha1_state` | [`Sha1State`]: SHA-1 that can tell its state (Quark, UC) |
//! | `cloud_md5` | Baidu's obfuscated cloud MD5 |
//! | `adler32` | [`adler32`], the checksum of Feishu and Lark |
//! | `hasher` | one incremental [`Hasher`] per kind behind one interface; [`hash_all`] |
//! | `pipeline` | [`Pipeline`]: one pass over the bytes, one thread per algorithm |

mod adler32;
mod blocks;
mod cid;
mod cloud_md5;
mod gcid;
mod hasher;
mod hex;
mod kind;
mod known;
mod normalise;
mod pipeline;
mod proof;
mod sha1_state;
mod slices;

pub use adler32::{Adler32, adler32};
pub use cid::{CID_WINDOW, cid_from_windows, cid_windows};
pub use cloud_md5::{decode_cloud_md5, encode_cloud_md5};
pub use gcid::gcid_block_size;
pub use hasher::{Hasher, hash_all};
pub use hex::{hex_lower, hex_upper};
pub use kind::Kind;
pub use known::{Fingerprints, Known, Origin};
pub use normalise::{
    crc64_from_decimal, fast_inputs, from_payload, md5_from_base64, md5_from_etag, normalise,
    normalise_etag, normalise_pickcode, raw_aliases,
};
pub use pipeline::{Pipeline, PipelineError};
pub use proof::{
    baidu_proof_content, baidu_proof_range, proof_code, proof_range, quark_open_seeds,
    sign_check_range, sign_val,
};
pub use sha1_state::Sha1State;
pub use slices::{BlockMd5s, block_list_text, slice_md5_text, tianyi_slice_size};
