//! `oc:checksums` and `OC-Checksum` (sheet, 4.3 point 9).

use super::super::account::Account;
use super::super::content::Blob;
use super::super::digest::HashKind;
use super::super::tree::Node;
use super::errors::DavError;
use super::rules;

/// Adler-32 of a content (RFC 1950), 8 hex digits.
pub(super) fn adler32(blob: &Blob) -> String {
    const MODULUS: u32 = 65_521;
    /// So many bytes fit before the sums would run over.
    const STEP: usize = 5_552;
    let (mut low, mut high) = (1_u32, 0_u32);
    let mut at = 0;
    while at < blob.size() {
        let bytes = blob.read(at, 1 << 20);
        for step in bytes.chunks(STEP) {
            for byte in step {
                low += u32::from(*byte);
                high += low;
            }
            low %= MODULUS;
            high %= MODULUS;
        }
        at += bytes.len() as u64;
    }
    format!("{:08x}", (high << 16) | low)
}

/// A checksum of a content by its name in the property; `None` for a name nobody knows.
async fn computed(blob: &Blob, name: &str) -> Option<String> {
    Some(match name {
        "MD5" => blob.digest(HashKind::Md5).await,
        "SHA1" => blob.digest(HashKind::Sha1).await,
        "SHA256" => blob.digest(HashKind::Sha256).await,
        "ADLER32" => {
            let blob = blob.clone();
            let work = tokio::task::spawn_blocking(move || adler32(&blob));
            work.await.unwrap_or_default()
        }
        _ => return None,
    })
}

/// The text of `oc:checksums`: `SHA1:.. MD5:..`. `None` when the server has no such property
/// or the file no checksum.
pub(super) async fn shown(account: &Account, path: &str, node: &Node) -> Option<String> {
    let names = rules::of(account, "checksums");
    let blob = node.blob.as_ref().filter(|_| !names.is_empty())?;
    if let Some(text) = account.knobs.text(&format!("false_checksum:{path}")) {
        return Some(text);
    }
    if names == "claimed" {
        let claimed = node.text("claimed");
        return (!claimed.is_empty()).then(|| claimed.to_owned());
    }
    let mut all = Vec::new();
    for name in names.split([' ', ',']).filter(|name| !name.is_empty()) {
        if let Some(value) = computed(blob, name).await {
            all.push(format!("{name}:{value}"));
        }
    }
    Some(all.join(" "))
}

/// Checks the `OC-Checksum` of an upload: `NAME:HEX`. Answers it as the property would show it.
pub(super) async fn check(blob: &Blob, header: &str) -> Result<String, DavError> {
    let bad = |why: &str| DavError::new(400, &format!("OC-Checksum: {why}"));
    let (name, value) = header
        .split_once(':')
        .ok_or_else(|| bad("not NAME:VALUE"))?;
    let name = name.trim().to_ascii_uppercase();
    let value = value.trim();
    let right = computed(blob, &name)
        .await
        .ok_or_else(|| bad("unknown algorithm"))?;
    match right.eq_ignore_ascii_case(value) {
        true => Ok(format!("{name}:{right}")),
        false => Err(bad("The computed checksum does not match the one received")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adler32_of_known_texts() {
        assert_eq!(adler32(&Blob::bytes("")), "00000001");
        assert_eq!(adler32(&Blob::bytes("Wikipedia")), "11e60398");
        // Sums that run over the modulus: bytes of 255, longer than a step.
        let high = adler32(&Blob::bytes(vec![255_u8; 3 << 20]));
        let (mut a, mut b) = (1_u64, 0_u64);
        for _ in 0..3 << 20 {
            a = (a + 255) % 65_521;
            b = (b + a) % 65_521;
        }
        assert_eq!(high, format!("{:08x}", (b << 16) | a));
    }

    #[tokio::test]
    async fn checksums_of_uploads() {
        let blob = Blob::bytes("abc");
        let sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let kept = check(&blob, &format!("sha1:{}", sha1.to_uppercase())).await;
        assert_eq!(kept.unwrap(), format!("SHA1:{sha1}"));
        assert!(check(&blob, "ADLER32:024d0127").await.is_ok());
        for bad in ["", "abc", "SHA1:00", "MD5:", "CRC:1"] {
            assert_eq!(check(&blob, bad).await.unwrap_err().status(), 400, "{bad}");
        }
    }
}
