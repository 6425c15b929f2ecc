//! m115: how download links travel (115_open.md section 3.3), from the server's side. A
//! request is encrypted to the server's RSA key; the answer is made with its private key, so
//! that anybody who knows the modulus reads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::number::Modulus;
use super::unhex;

/// The modulus of the server's key. It is the published one of a simulator and guards
/// nothing.
pub(in super::super) const MODULUS: &str = "c4db811cc4a120e4a3de46a3126767c39e1da617698186f99ca11004f50baf09c7f3da92e182240673d7daa3\
499919ec5a2bdf950d896539f9918586ab5d3eee6380ab1e50656d73bfe441959e5604f166c4aac82ff9c29c\
5a6346a3eae2a79c4b5124d04a85056d2788ad6b4d777c1fde6bb36d7c81a56298828a55cc389bc7";
const PRIVATE_EXPONENT: &str = "9e6b16e813c4a737d8379418bf42bfda48700bad63967d0c7ae39284aabe904a0ac34eee4cd3f231cf1fb22f\
1d973ba95c975a021536b0638b577460ff9eb678aeb3e891965afdcf1a8ec0c836edacd19cb12dc2ec4a085f\
782d0aa67a18383ecdc084551e861b9c3e2049cabd52adec3d631eb3f906aba0e60bbfa1a48def61";

/// The seed table, twelve rows of twelve.
const SEEDS: &str = "f0e569aebfdcbf8a1a45e8be7da673b8de8fe7c445da86c49b648b146ab4f1aa3801359e26692c86006b4fa5\
363462a62a966818f24afdbd6b978f4d8f8913b76c8e93ed0e0d483ed72f88d8fefe7e8650954fd1eb832634\
db667b9c7e9d7a8132eab633de3aa95934663baaba816048b9d5819cf86c8477ff5478265fbee81e369f3480\
5c452c9b76d51b8fccc3b8f5";
/// The clients' constant key.
const CLIENT_KEY: &str = "7806ad4c33865d184c013f46";

/// Bytes of a block, and of the text in it.
const BLOCK: usize = 128;
const TEXT: usize = BLOCK - 11;
/// Bytes of a key that goes before the text.
const KEY: usize = 16;

/// The key of a request: its answer is hidden with it too.
pub(super) type RequestKey = [u8; KEY];

/// k[i] = (seed[i] + T[n i]) XOR T[n (n-1-i)].
fn derive(seed: &RequestKey, n: usize) -> Vec<u8> {
    let table = unhex(SEEDS).unwrap_or_default();
    let place = |at: usize| table.get(at).copied().unwrap_or(0);
    let bytes = seed.iter().take(n).enumerate();
    bytes
        .map(|(i, byte)| byte.wrapping_add(place(n * i)) ^ place(n * (n - 1 - i)))
        .collect()
}

/// XORs with a key: first the odd bytes in front, then the rest, each from the key's start.
fn xor(data: &[u8], key: &[u8]) -> Vec<u8> {
    let (front, rest) = data.split_at(data.len() % 4);
    let part = |part: &[u8]| -> Vec<u8> {
        let pairs = part.iter().zip(key.iter().cycle());
        pairs.map(|(byte, key)| byte ^ key).collect()
    };
    [part(front), part(rest)].concat()
}

/// The text in a block padded in this way (0, kind, padding, 0, text).
fn unpad(block: &[u8], kind: u8) -> Option<&[u8]> {
    let [0, found, rest @ ..] = block else {
        return None;
    };
    let end = rest.iter().position(|byte| *byte == 0)?;
    (*found == kind && end >= 8).then(|| rest.get(end + 1..))?
}

/// A block with padding that `filler` makes.
fn pad(text: &[u8], kind: u8, filler: u8) -> Vec<u8> {
    let padding = vec![filler; (BLOCK - 3).saturating_sub(text.len())];
    [&[0, kind][..], &padding, &[0], text].concat()
}

fn rsa(modulus: &Modulus<16>, block: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let number = modulus.enter(block)?;
    Some(modulus.leave(&modulus.pow(&number, exponent)))
}

fn modulus() -> Modulus<16> {
    Modulus::new(&unhex(MODULUS).unwrap_or_default())
}

/// Reads the field `data` of a request: its key and its text.
pub(super) fn open(data: &str) -> Option<(RequestKey, String)> {
    let cipher = STANDARD.decode(data).ok()?;
    if cipher.is_empty() || !cipher.len().is_multiple_of(BLOCK) {
        return None;
    }
    let (modulus, exponent) = (modulus(), unhex(PRIVATE_EXPONENT)?);
    let mut plain = Vec::new();
    for block in cipher.chunks(BLOCK) {
        let block = rsa(&modulus, block, &exponent)?;
        plain.extend_from_slice(unpad(&block, 2)?);
    }
    let (key, hidden) = plain.split_first_chunk::<KEY>()?;
    let mut text = xor(hidden, &unhex(CLIENT_KEY)?);
    text.reverse();
    let text = xor(&text, &derive(key, 4));
    Some((*key, String::from_utf8(text).ok()?))
}

/// The field `data` of an answer: `seed` is any 16 bytes.
pub(super) fn seal(text: &str, key: &RequestKey, seed: &RequestKey) -> Option<String> {
    let mut hidden = xor(text.as_bytes(), &derive(key, 4));
    hidden.reverse();
    let plain = [&seed[..], &xor(&hidden, &derive(seed, 12))].concat();
    let (modulus, exponent) = (modulus(), unhex(PRIVATE_EXPONENT)?);
    let mut cipher = Vec::new();
    for text in plain.chunks(TEXT) {
        cipher.extend(rsa(&modulus, &pad(text, 1, 0xff), &exponent)?);
    }
    Some(STANDARD.encode(cipher))
}

/// The other side of both, for tests.
#[cfg(test)]
pub(in super::super) mod client {
    use super::*;

    /// Every client uses 65537.
    const PUBLIC_EXPONENT: [u8; 3] = [1, 0, 1];

    fn public(n: &str, block: &[u8]) -> Vec<u8> {
        let modulus = Modulus::<16>::new(&unhex(n).unwrap());
        rsa(&modulus, block, &PUBLIC_EXPONENT).unwrap()
    }

    /// A request's text before RSA.
    pub(in super::super::super) fn hidden(text: &str, key: &RequestKey) -> Vec<u8> {
        let mut hidden = xor(text.as_bytes(), &derive(key, 4));
        hidden.reverse();
        [&key[..], &xor(&hidden, &unhex(CLIENT_KEY).unwrap())].concat()
    }

    /// The field `data` of a request to the owner of modulus `n`.
    pub(in super::super::super) fn seal(n: &str, text: &str, key: &RequestKey) -> String {
        let hidden = hidden(text, key);
        let blocks = hidden.chunks(TEXT).map(|text| public(n, &pad(text, 2, 2)));
        STANDARD.encode(blocks.collect::<Vec<_>>().concat())
    }

    /// The text of an answer.
    pub(in super::super::super) fn open(n: &str, data: &str, key: &RequestKey) -> String {
        let cipher = STANDARD.decode(data).unwrap();
        let mut plain = Vec::new();
        for block in cipher.chunks(BLOCK) {
            let block = public(n, block);
            plain.extend_from_slice(unpad(&block, 1).unwrap());
        }
        let (seed, hidden) = plain.split_first_chunk::<KEY>().unwrap();
        let mut text = xor(hidden, &derive(seed, 12));
        text.reverse();
        String::from_utf8(xor(&text, &derive(key, 4))).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sim::digest::hex;
    use crate::sim::pan115_open::cookie::vectors;

    fn bytes(vector: &Value, key: &str) -> Vec<u8> {
        unhex(vector[key].as_str().unwrap()).unwrap()
    }

    fn key(vector: &Value, name: &str) -> RequestKey {
        bytes(vector, name).try_into().unwrap()
    }

    #[test]
    fn published_constants_and_pieces() {
        let vectors = vectors()["m115"].clone();
        assert_eq!(vectors["seed_table_hex"], SEEDS);
        assert_eq!(vectors["client_key12_hex"], CLIENT_KEY);
        assert_eq!(vectors["simulator_rsa_key"]["n_hex"], MODULUS);
        assert_eq!(vectors["simulator_rsa_key"]["d_hex"], PRIVATE_EXPONENT);
        for vector in vectors["derive_key"].as_array().unwrap() {
            let n = vector["n"].as_u64().unwrap() as usize;
            assert_eq!(
                derive(&key(vector, "seed_hex"), n),
                bytes(vector, "key_hex")
            );
        }
        for vector in vectors["xor"].as_array().unwrap() {
            let done = xor(&bytes(vector, "data_hex"), &bytes(vector, "key_hex"));
            assert_eq!(done, bytes(vector, "result_hex"));
        }
    }

    #[test]
    fn published_requests() {
        let vectors = vectors()["m115"].clone();
        let modulus = vectors["modulus_hex"].as_str().unwrap();
        for vector in vectors["encode_real_modulus"].as_array().unwrap() {
            let text = vector["plaintext"].as_str().unwrap();
            let key = key(vector, "key16_hex");
            assert_eq!(
                hex(&client::hidden(text, &key)),
                vector["pre_rsa_hex"].as_str().unwrap()
            );
            assert_eq!(client::seal(modulus, text, &key), vector["data_b64"]);
        }
    }

    #[test]
    fn published_round_trips() {
        let vectors = vectors()["m115"].clone();
        let all = vectors["simulator_roundtrip"].as_array().unwrap();
        assert_eq!(all.len(), 2);
        for vector in all {
            let text = |name: &str| vector[name].as_str().unwrap();
            let own = key(vector, "client_key16_hex");
            let (found, asked) = open(text("request_data_b64")).unwrap();
            assert_eq!((found, asked.as_str()), (own, text("request_plaintext")));
            assert_eq!(
                client::seal(MODULUS, text("request_plaintext"), &own),
                text("request_data_b64")
            );
            let seed = key(vector, "server_seed16_hex");
            let answer = seal(text("response_plaintext"), &own, &seed).unwrap();
            assert_eq!(answer, text("response_data_b64"));
            assert_eq!(
                client::open(MODULUS, &answer, &own),
                text("response_plaintext")
            );
        }
    }

    #[test]
    fn requests_that_are_none() {
        assert_eq!(open(""), None);
        assert_eq!(open("no base64!"), None);
        assert_eq!(open(&STANDARD.encode([1; 127])), None);
        assert_eq!(
            open(&STANDARD.encode([0xff; 128])),
            None,
            "not below the modulus"
        );
        // Padded as an answer is.
        let modulus = modulus();
        let block = rsa(&modulus, &pad(&[7; 40], 1, 0xff), &[1, 0, 1]).unwrap();
        assert_eq!(open(&STANDARD.encode(block)), None);
        // Of the real server's key.
        let vector = vectors()["m115"]["encode_real_modulus"][0].clone();
        assert_eq!(open(vector["data_b64"].as_str().unwrap()), None);
    }
}
