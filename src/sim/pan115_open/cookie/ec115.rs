//! ec115: how an upload init travels (115_open.md section 3.4), from the server's side. A key
//! agreement on P-224 in the query, AES in the body, LZ4 in the answer.

use aes::Aes128;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{p224, unhex};

/// X and Y of the server's point. It is the published one of a simulator and guards nothing.
const SERVER_POINT: (&str, &str) = (
    "939eb3881ee8b94ac410f784bb5175e404284b29efbd4aee843ae570",
    "0d3a70a47c0f2422c3169f87e943513df46553bc656d3efaca604706",
);
const SERVER_SCALAR: &str = "fe8406530f29dc67f9a300baa9cb0b08cf0226e77eba9a134fd8118c";

/// A pair that some clients always use with the real server: they know what comes of it and
/// never compute it, so its key and start value are known here too.
const STATIC_PUBLIC: &str = "1d030e80a178dceececda377de128d8ed9ddcf55ae61ed46ea121a1cfc81";
const STATIC_KEY: &str = "fb1a19d652f5aaf7bc651d0f69bf422f";
const STATIC_IV: &str = "69bf422f49960550a0ad44ec3446cb4c";

const SALT: &[u8] = b"^j>WD3Kr?J2gLFjD4W2y@";
/// Bytes of a block of the answer before compression.
const CHUNK: usize = 8192;

/// The server's point for a profile: uncompressed, `04` and both coordinates.
pub(in super::super) fn server_point() -> String {
    let (x, y) = SERVER_POINT;
    format!("04{x}{y}")
}

/// CRC-32 (IEEE).
fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = u32::MAX;
    for byte in parts.iter().copied().flatten() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// Key and start value that both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    key: [u8; 16],
    iv: [u8; 16],
}

/// What `k_ec` carries.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// The client's point: 0x1d, the sign, X.
    pub public: [u8; 30],
    /// Seconds, or the low bits of milliseconds.
    pub time: u32,
}

/// Reads `k_ec`: form, constants and checksum.
pub(super) fn token(k_ec: &str) -> Option<Token> {
    let bytes: [u8; 48] = STANDARD.decode(k_ec).ok()?.try_into().ok()?;
    let crc = u32::from_le_bytes(*bytes.last_chunk()?);
    if crc32(&[SALT, &bytes[..44]]) != crc {
        return None;
    }
    let (r1, r2) = (bytes[15], bytes[39]);
    let plain = |from: usize, to: usize, r: u8| -> Vec<u8> {
        bytes[from..to].iter().map(|byte| byte ^ r).collect()
    };
    if plain(16, 20, r1) != [0x73, 0, 0, 0] || plain(40, 44, r2) != [1, 0, 0, 0] {
        return None;
    }
    let time = u32::from_le_bytes(plain(20, 24, r1).try_into().ok()?);
    let public = [plain(0, 15, r1), plain(24, 39, r2)].concat();
    Some(Token {
        public: public.try_into().ok()?,
        time,
    })
}

impl Channel {
    /// AES key and start value of a shared X; they overlap by four bytes.
    fn of(shared: &[u8; 28]) -> Option<Channel> {
        Some(Channel {
            key: *shared.first_chunk()?,
            iv: *shared.last_chunk()?,
        })
    }

    /// What the server and the owner of a public point agree on; `None` when that is no
    /// point of the curve.
    pub(super) fn with(public: &[u8; 30]) -> Option<Channel> {
        if public[..] == unhex(STATIC_PUBLIC)? {
            let part = |text| unhex(text)?.try_into().ok();
            return Some(Channel {
                key: part(STATIC_KEY)?,
                iv: part(STATIC_IV)?,
            });
        }
        Channel::agree(&unhex(SERVER_SCALAR)?, public)
    }

    fn agree(scalar: &[u8], public: &[u8; 30]) -> Option<Channel> {
        let [0x1d, sign @ (2 | 3), x @ ..] = public else {
            return None;
        };
        let (shared, _) = p224::multiply(scalar, x, *sign == 3)?;
        Channel::of(&shared)
    }

    fn encrypted(&self, mut data: Vec<u8>) -> Option<Vec<u8>> {
        let mut mode = cbc::Encryptor::<Aes128>::new(&self.key.into(), &self.iv.into());
        for block in data.chunks_exact_mut(16) {
            mode.encrypt_block(block.try_into().ok()?);
        }
        Some(data)
    }

    fn decrypted(&self, mut data: Vec<u8>) -> Option<Vec<u8>> {
        let mut mode = cbc::Decryptor::<Aes128>::new(&self.key.into(), &self.iv.into());
        for block in data.chunks_exact_mut(16) {
            mode.decrypt_block(block.try_into().ok()?);
        }
        Some(data)
    }

    /// The form in a request's body. The padding may be PKCS#7, zeros or none.
    pub(super) fn open(&self, body: &[u8]) -> Option<String> {
        if body.is_empty() || !body.len().is_multiple_of(16) {
            return None;
        }
        let mut plain = self.decrypted(body.to_vec())?;
        if let Some(last) = plain.last().copied().filter(|last| (1..=16).contains(last)) {
            let start = plain.len() - usize::from(last);
            if plain[start..].iter().all(|byte| *byte == last) {
                plain.truncate(start);
            }
        }
        while plain.last() == Some(&0) {
            plain.pop();
        }
        // A url-encoded form is printable: anything else was made with another key.
        let text = String::from_utf8(plain).ok()?;
        text.bytes()
            .all(|byte| byte.is_ascii_graphic())
            .then_some(text)
    }

    /// An answer's body: blocks, compressed and encrypted, and the tail. `free` are the
    /// arbitrary bytes of the tail.
    pub(super) fn seal(&self, text: &[u8], free: [u8; 4]) -> Option<Vec<u8>> {
        let mut framed = Vec::new();
        for chunk in text.chunks(CHUNK) {
            let block = lz4_flex::block::compress(chunk);
            let length = u16::try_from(block.len()).ok()?;
            framed.extend(length.to_le_bytes());
            framed.extend(block);
        }
        let mut body = self.encased(framed)?;
        body.extend(tail(u32::try_from(text.len()).ok()?, free));
        Some(body)
    }

    /// Padded with zeros and encrypted.
    fn encased(&self, mut framed: Vec<u8>) -> Option<Vec<u8>> {
        framed.resize(framed.len().next_multiple_of(16), 0);
        self.encrypted(framed)
    }
}

/// The twelve bytes behind an answer.
fn tail(length: u32, free: [u8; 4]) -> [u8; 12] {
    let mut tail = [0; 12];
    for (place, byte) in tail.iter_mut().zip(length.to_le_bytes()) {
        *place = byte ^ free[3];
    }
    tail[4..8].copy_from_slice(&free);
    let crc = crc32(&[SALT, &tail[..8]]);
    tail[8..].copy_from_slice(&crc.to_le_bytes());
    tail
}

/// The other side, for tests.
#[cfg(test)]
pub(in super::super) mod client {
    use super::*;

    /// A client with its key pair and what it agreed on.
    pub(in super::super::super) struct Peer {
        public: [u8; 30],
        channel: Channel,
    }

    impl Peer {
        /// With a scalar, towards the owner of a point (X, whether Y is odd).
        pub(in super::super::super) fn new(scalar: &[u8], server: &[u8; 28], odd: bool) -> Peer {
            let (x, odd_y) = p224::GENERATOR;
            let (x, y) = p224::multiply(scalar, &x, odd_y).unwrap();
            let (shared, _) = p224::multiply(scalar, server, odd).unwrap();
            let sign = [0x1d, 2 + (y[27] & 1)];
            Peer {
                public: [&sign[..], &x].concat().try_into().unwrap(),
                channel: Channel::of(&shared).unwrap(),
            }
        }

        /// With a scalar, towards the server here.
        pub(in super::super::super) fn to_server(scalar: &[u8]) -> Peer {
            let (x, y) = SERVER_POINT;
            let odd = unhex(y).unwrap()[27] & 1 == 1;
            Peer::new(scalar, &unhex(x).unwrap().try_into().unwrap(), odd)
        }

        pub(in super::super::super) fn public(&self) -> [u8; 30] {
            self.public
        }

        pub(in super::super::super) fn key_and_iv(&self) -> ([u8; 16], [u8; 16]) {
            (self.channel.key, self.channel.iv)
        }

        /// The query's `k_ec`.
        pub(in super::super::super) fn k_ec(&self, r1: u8, r2: u8, time: u32) -> String {
            k_ec(&self.public, r1, r2, time)
        }

        /// A body with the padding of PKCS#7.
        pub(in super::super::super) fn seal(&self, form: &str) -> Vec<u8> {
            let mut plain = form.as_bytes().to_vec();
            let more = 16 - plain.len() % 16;
            plain.resize(plain.len() + more, more as u8);
            self.channel.encrypted(plain).unwrap()
        }

        /// The text of an answer, its tail checked.
        pub(in super::super::super) fn open(&self, body: &[u8]) -> String {
            String::from_utf8(opened(&self.channel, body)).unwrap()
        }
    }

    /// `k_ec` of any public key.
    pub(in super::super::super) fn k_ec(public: &[u8; 30], r1: u8, r2: u8, time: u32) -> String {
        let mut bytes = Vec::new();
        bytes.extend(public[..15].iter().map(|byte| byte ^ r1));
        bytes.extend([r1, 0x73 ^ r1, r1, r1, r1]);
        bytes.extend(time.to_le_bytes().map(|byte| byte ^ r1));
        bytes.extend(public[15..].iter().map(|byte| byte ^ r2));
        bytes.extend([r2, 1 ^ r2, r2, r2, r2]);
        bytes.extend(crc32(&[SALT, &bytes]).to_le_bytes());
        STANDARD.encode(bytes)
    }

    /// Decodes an answer as the sheet says.
    pub(super) fn opened(channel: &Channel, body: &[u8]) -> Vec<u8> {
        let (cipher, end) = body.split_at(body.len() - 12);
        let free: [u8; 4] = end[4..8].try_into().unwrap();
        let length = u32::from_le_bytes([
            end[0] ^ free[3],
            end[1] ^ free[3],
            end[2] ^ free[3],
            end[3] ^ free[3],
        ]);
        assert_eq!(end, tail(length, free), "the checksum of the tail");
        let framed = channel.decrypted(cipher.to_vec()).unwrap();
        let (mut rest, mut text) = (&framed[..], Vec::new());
        while text.len() < length as usize {
            let (head, more) = rest.split_first_chunk::<2>().unwrap();
            let (block, more) = more.split_at(usize::from(u16::from_le_bytes(*head)));
            text.extend(lz4_flex::block::decompress(block, CHUNK).unwrap());
            rest = more;
        }
        assert!(rest.len() < 16 && rest.iter().all(|byte| *byte == 0));
        assert_eq!(text.len(), length as usize);
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::client::{Peer, k_ec, opened};
    use super::*;
    use crate::sim::digest::{hex, sha1_hex};
    use crate::sim::pan115_open::cookie::vectors;

    fn bytes<const N: usize>(vector: &Value, key: &str) -> [u8; N] {
        let bytes = unhex(vector[key].as_str().unwrap()).unwrap();
        bytes.try_into().unwrap()
    }

    fn channel(vector: &Value) -> Channel {
        Channel {
            key: bytes(vector, "aes_key_hex"),
            iv: bytes(vector, "aes_iv_hex"),
        }
    }

    #[test]
    fn published_tokens_and_agreements() {
        let all = vectors()["p224_ecdh_and_k_ec"].clone();
        let all = all.as_array().unwrap();
        assert_eq!(all.len(), 7);
        for vector in all {
            let name = &vector["name"];
            let public: [u8; 30] = bytes(vector, "client_pub_wire_hex");
            let time = u32::try_from(vector["timestamp_u32"].as_u64().unwrap()).unwrap();
            let text = vector["k_ec"].as_str().unwrap();
            assert_eq!(token(text), Some(Token { public, time }), "{name}");
            let r = |key: &str| vector[key].as_u64().unwrap() as u8;
            assert_eq!(k_ec(&public, r("r1"), r("r2"), time), text, "{name}");
            if vector.get("client_scalar_hex").is_none() {
                assert_eq!(Channel::with(&public), Some(channel(vector)), "{name}");
                continue;
            }
            let y: [u8; 28] = bytes(vector, "server_pub_y");
            let x: [u8; 28] = bytes(vector, "server_pub_x");
            let scalar: [u8; 28] = bytes(vector, "client_scalar_hex");
            let peer = Peer::new(&scalar, &x, y[27] & 1 == 1);
            assert_eq!(peer.public(), public, "{name}");
            let (key, iv) = peer.key_and_iv();
            assert_eq!(Channel { key, iv }, channel(vector), "{name}");
            if let Some(own) = vector.get("server_scalar_hex") {
                assert_eq!(own, SERVER_SCALAR);
                assert_eq!((hex(&x).as_str(), hex(&y).as_str()), SERVER_POINT);
                assert_eq!(Channel::with(&public), Some(channel(vector)), "{name}");
                let (gx, odd) = p224::GENERATOR;
                assert_eq!(
                    p224::multiply(&unhex(SERVER_SCALAR).unwrap(), &gx, odd),
                    Some((x, y)),
                    "scalar and point belong together"
                );
            }
        }
    }

    #[test]
    fn tokens_that_are_none() {
        let public = Peer::to_server(&[7]).public();
        let good = STANDARD.decode(k_ec(&public, 0x5a, 0xc3, 5)).unwrap();
        assert!(token(&STANDARD.encode(&good)).is_some());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(token(&STANDARD.encode(&bad)), None, "byte {at}");
            if at < 44 && (16..20).contains(&at) {
                let crc = crc32(&[SALT, &bad[..44]]);
                bad[44..].copy_from_slice(&crc.to_le_bytes());
                assert_eq!(token(&STANDARD.encode(&bad)), None, "constant {at}");
            }
        }
        assert_eq!(token(&STANDARD.encode(&good[..47])), None);
        assert_eq!(token("no base64!"), None);
        let mut unknown = public;
        unknown[1] = 4;
        assert_eq!(Channel::with(&unknown), None);
    }

    #[test]
    fn published_requests() {
        for vector in vectors()["initupload_request_aes"].as_array().unwrap() {
            let channel = channel(vector);
            let plain = vector["plaintext"].as_str().unwrap();
            for key in ["cipher_pkcs7_hex", "cipher_zero_pad_hex"] {
                let body = unhex(vector[key].as_str().unwrap()).unwrap();
                assert_eq!(channel.open(&body).as_deref(), Some(plain), "{key}");
                assert_eq!(channel.open(&body[1..]), None);
            }
            let other = Channel {
                key: [1; 16],
                iv: [2; 16],
            };
            let body = unhex(vector["cipher_pkcs7_hex"].as_str().unwrap()).unwrap();
            assert_eq!(other.open(&body), None, "the wrong key");
        }
    }

    #[test]
    fn published_answers() {
        let all = vectors()["initupload_response"].clone();
        let all = all.as_array().unwrap();
        assert_eq!(all.len(), 3);
        for vector in all {
            let channel = channel(vector);
            let end: [u8; 12] = bytes(vector, "tail_hex");
            let length = u32::try_from(vector["plaintext_len"].as_u64().unwrap()).unwrap();
            assert_eq!(tail(length, end[4..8].try_into().unwrap()), end);
            let body = unhex(vector["body_hex"].as_str().unwrap()).unwrap();
            let framed = unhex(vector["framed_lz4_hex"].as_str().unwrap()).unwrap();
            assert_eq!(
                [&channel.encased(framed).unwrap()[..], &end].concat(),
                body,
                "{}",
                vector["name"]
            );
            let text = opened(&channel, &body);
            assert_eq!(sha1_hex(&text), vector["plaintext_sha1"].as_str().unwrap());
            // Another compressor packs otherwise; what comes out is the same.
            let own = channel.seal(&text, [1, 2, 3, 0x5c]).unwrap();
            assert_eq!(opened(&channel, &own), text);
        }
    }
}
