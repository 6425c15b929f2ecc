//! Signatures and encrypted parameters, computed here from the words of 189cloud.md
//! sections 3.3 to 3.6 with the bare primitives.

use aes::Aes128;
use aes::cipher::BlockCipherDecrypt;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::super::digest::{hex, md5_hex};

/// Application key and secret of the TV application (section 2.1).
pub(super) const TV_APP: (&str, &str) = ("600100885", "fe5734c74c2f96a38157f420b32dc995");

/// Lower-case hex HMAC-SHA1.
pub(super) fn hmac_hex(secret: &str, text: &str) -> String {
    // A key of any length is accepted; the error case does not exist for HMAC.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// What the session signature covers (section 3.3); without encrypted parameters `params` is
/// empty. For the web variant (3.6) `date` is the number of milliseconds.
pub(super) fn session_text(
    key: &str,
    method: &str,
    path: &str,
    date: &str,
    params: &str,
) -> String {
    let mut text = format!("SessionKey={key}&Operate={method}&RequestURI={path}&Date={date}");
    if !params.is_empty() {
        text.push_str("&params=");
        text.push_str(params);
    }
    text
}

/// What the TV application signs (section 3.5).
pub(super) fn tv_text(path: &str, timestamp: &str) -> String {
    let key = TV_APP.0;
    format!("AppKey={key}&Operate=GET&RequestURI={path}&Timestamp={timestamp}")
}

/// The open MD5 signature over fields, token or application key, and time (section 3.5).
pub(super) fn open_md5(fields: &[(String, String)], who: (&str, &str), timestamp: &str) -> String {
    let mut all: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    all.push(format!("{}={}", who.0, who.1));
    all.push(format!("Timestamp={timestamp}"));
    all.sort();
    md5_hex(all.join("&").as_bytes())
}

/// Bytes of a hex text in any case.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

fn cipher(secret: &str) -> Option<Aes128> {
    Aes128::new_from_slice(secret.as_bytes().get(..16)?).ok()
}

/// Encrypted parameters in the clear: AES-128-ECB with PKCS#7 under the first 16 characters
/// of the secret (section 3.4). `None` when hex, length or padding is wrong.
pub(super) fn decrypt_params(params: &str, secret: &str) -> Option<String> {
    let mut bytes = unhex(params)?;
    if bytes.is_empty() || bytes.len() % 16 != 0 {
        return None;
    }
    let cipher = cipher(secret)?;
    for chunk in bytes.chunks_mut(16) {
        let mut block = aes::Block::try_from(&*chunk).ok()?;
        cipher.decrypt_block(&mut block);
        chunk.copy_from_slice(&block);
    }
    let padding = usize::from(*bytes.last()?);
    let length = bytes.len().checked_sub(padding)?;
    let good = (1..=16).contains(&padding)
        && bytes
            .get(length..)?
            .iter()
            .all(|byte| usize::from(*byte) == padding);
    if !good {
        return None;
    }
    bytes.truncate(length);
    String::from_utf8(bytes).ok()
}

/// What a client does: upper-case hex.
#[cfg(test)]
pub(super) fn encrypt_params(plain: &str, secret: &str) -> String {
    use aes::cipher::BlockCipherEncrypt;
    let mut bytes = plain.as_bytes().to_vec();
    let padding = 16 - bytes.len() % 16;
    bytes.extend(std::iter::repeat_n(padding as u8, padding));
    let cipher = cipher(secret).unwrap();
    for chunk in bytes.chunks_mut(16) {
        let mut block = aes::Block::try_from(&*chunk).unwrap();
        cipher.encrypt_block(&mut block);
        chunk.copy_from_slice(&block);
    }
    hex(&bytes).to_uppercase()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vectors(name: &str) -> Vec<Value> {
        let text = include_str!("../../../tests/fixtures/189cloud.vectors.json");
        let all: Value = serde_json::from_str(text).unwrap();
        all["vectors"][name].as_array().unwrap().clone()
    }

    fn text<'a>(value: &'a Value, name: &str) -> &'a str {
        value[name].as_str().unwrap_or_else(|| panic!("{name}"))
    }

    #[test]
    fn published_session_signatures() {
        let all = vectors("session_hmac");
        assert_eq!(all.len(), 6);
        for case in &all {
            let signed = session_text(
                text(case, "sessionKey"),
                text(case, "operate"),
                text(case, "requestURI"),
                text(case, "date"),
                text(case, "params"),
            );
            assert_eq!(signed, text(case, "string_to_sign"));
            let signature = hmac_hex(text(case, "sessionSecret"), &signed);
            assert_eq!(signature.to_uppercase(), text(case, "signature_upper"));
        }
    }

    #[test]
    fn published_parameters() {
        let all = vectors("params_aes_ecb");
        assert_eq!(all.len(), 4);
        for case in &all {
            let (secret, plain) = (text(case, "session_secret_or_l"), text(case, "plaintext"));
            let cipher = text(case, "ciphertext_hex_upper");
            assert_eq!(encrypt_params(plain, secret), cipher);
            assert_eq!(decrypt_params(cipher, secret).as_deref(), Some(plain));
            let lower = cipher.to_lowercase();
            assert_eq!(decrypt_params(&lower, secret).as_deref(), Some(plain));
        }
        let secret = "0F1E2D3C4B5A69788796A5B4C3D2E1F0";
        let good = encrypt_params("uploadFileId=ABC", secret);
        for bad in ["", "zz", "00", &good[..32], &good[2..]] {
            assert_eq!(decrypt_params(bad, secret), None, "{bad}");
        }
        assert_eq!(decrypt_params(&good, "FFFFFFFFFFFFFFFF"), None);
    }

    #[test]
    fn published_open_and_tv_signatures() {
        for case in &vectors("open_md5_signature") {
            let mut fields = Vec::new();
            let (mut who, mut timestamp) = (("", String::new()), String::new());
            for (name, value) in case["fields"].as_object().unwrap() {
                let value = value.as_str().unwrap().to_owned();
                match name.as_str() {
                    "AppKey" => who = ("AppKey", value),
                    "AccessToken" => who = ("AccessToken", value),
                    "Timestamp" => timestamp = value,
                    _ => fields.push((name.clone(), value)),
                }
            }
            let signature = open_md5(&fields, (who.0, &who.1), &timestamp);
            assert_eq!(signature, text(case, "signature_lower"));
        }
        for case in &vectors("tv_app_signature") {
            let signed = text(case, "string_to_sign");
            let path = signed.split("RequestURI=").nth(1).unwrap();
            let (path, timestamp) = path.split_once("&Timestamp=").unwrap();
            assert_eq!(tv_text(path, timestamp), signed);
            assert_eq!(text(case, "secret"), TV_APP.1);
            let signature = hmac_hex(TV_APP.1, signed).to_uppercase();
            assert_eq!(signature, text(case, "app_signature_upper"));
        }
    }

    #[test]
    fn published_web_signatures() {
        let all = vectors("web_upload_signature");
        assert_eq!(all.len(), 2);
        for case in &all {
            let (l, params) = (text(case, "l"), text(case, "params_hex_lower"));
            assert_eq!(
                encrypt_params(text(case, "plaintext"), l).to_lowercase(),
                params
            );
            let signed = session_text(
                text(case, "sessionKey"),
                "GET",
                text(case, "uri"),
                text(case, "x_request_date_ms"),
                params,
            );
            assert_eq!(signed, text(case, "string_to_sign"));
            assert_eq!(hmac_hex(l, &signed), text(case, "signature_lower"));
        }
    }
}
