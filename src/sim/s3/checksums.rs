//! `x-amz-checksum-*` and `Content-MD5` (public S3 API reference, "Checking object integrity").

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::content::Blob;
use super::super::digest::{HashKind, hex};
use super::errors::S3Error;

/// What a checksum header may be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

const ALL: [Algorithm; 5] = [
    Algorithm::Crc32,
    Algorithm::Crc32c,
    Algorithm::Crc64Nvme,
    Algorithm::Sha1,
    Algorithm::Sha256,
];

const fn table(polynomial: u64) -> [u64; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u64;
        let mut bit = 0;
        while bit < 8 {
            value = match value & 1 {
                1 => (value >> 1) ^ polynomial,
                _ => value >> 1,
            };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

/// Reflected polynomials; all three start with ones and end inverted.
static CRC32: [u64; 256] = table(0xedb8_8320);
static CRC32C: [u64; 256] = table(0x82f6_3b78);
static CRC64NVME: [u64; 256] = table(0x9a6c_9329_ac4b_c9b5);

fn crc(table: &[u64; 256], ones: u64, blob: &Blob) -> u64 {
    let mut value = ones;
    let mut at = 0;
    while at < blob.size() {
        let bytes = blob.read(at, 1 << 20);
        at += bytes.len() as u64;
        for byte in &bytes {
            let index = (value ^ u64::from(*byte)) & 0xff;
            value = table[index as usize] ^ (value >> 8);
        }
    }
    value ^ ones
}

impl Algorithm {
    /// Name of its header.
    pub fn header(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Algorithm::Sha1 => "x-amz-checksum-sha1",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Name in messages and in `x-amz-checksum-algorithm`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    /// By its name in messages.
    pub fn named(name: &str) -> Option<Algorithm> {
        ALL.into_iter().find(|one| one.name() == name)
    }

    fn length(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    /// The checksum of a content, in base64 as headers have it.
    pub async fn of(self, blob: &Blob) -> String {
        let kind = match self {
            Algorithm::Sha1 => Some(HashKind::Sha1),
            Algorithm::Sha256 => Some(HashKind::Sha256),
            _ => None,
        };
        if let Some(kind) = kind {
            return STANDARD.encode(unhex(&blob.digest(kind).await));
        }
        let blob = blob.clone();
        let work = move || match self {
            Algorithm::Crc32 => (crc(&CRC32, 0xffff_ffff, &blob), 4),
            Algorithm::Crc32c => (crc(&CRC32C, 0xffff_ffff, &blob), 4),
            _ => (crc(&CRC64NVME, u64::MAX, &blob), 8),
        };
        let (value, length) = tokio::task::spawn_blocking(work).await.unwrap_or_default();
        let bytes = value.to_be_bytes();
        STANDARD.encode(bytes.get(8_usize.saturating_sub(length)..).unwrap_or(&[]))
    }
}

/// The bytes that hex digits stand for.
pub(super) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map_while(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// What a client says of a body.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    /// Hex, from `Content-MD5`.
    md5: Option<String>,
    /// The one `x-amz-checksum-*`, in base64.
    pub checksum: Option<(Algorithm, String)>,
}

impl Claims {
    /// Reads the headers.
    ///
    /// # Errors
    /// `InvalidDigest`, `InvalidRequest`, `NotImplemented`: a claim that is none.
    pub fn read(headers: &HeaderMap) -> Result<Claims, S3Error> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let mut claims = Claims::default();
        if let Some(value) = text("content-md5") {
            let bytes = STANDARD
                .decode(value)
                .ok()
                .filter(|bytes| bytes.len() == 16);
            let bytes = bytes.ok_or_else(|| {
                let text = "The Content-MD5 you specified was invalid.";
                S3Error::new(400, "InvalidDigest", text).detail("Content-MD5", value)
            })?;
            claims.md5 = Some(hex(&bytes));
        }
        if headers.contains_key("x-amz-trailer") {
            return Err(S3Error::not_implemented("x-amz-trailer"));
        }
        for algorithm in ALL {
            let Some(value) = text(algorithm.header()) else {
                continue;
            };
            let fits = STANDARD.decode(value).map(|bytes| bytes.len());
            if fits != Ok(algorithm.length()) {
                let text = format!("Value for {} header is invalid.", algorithm.header());
                return Err(S3Error::request(&text));
            }
            if claims.checksum.is_some() {
                let text = "Expecting a single x-amz-checksum- header. Multiple checksum Types \
                            are not allowed.";
                return Err(S3Error::request(text));
            }
            claims.checksum = Some((algorithm, value.to_owned()));
        }
        if let Some(named) = text("x-amz-sdk-checksum-algorithm") {
            let Some(named) = Algorithm::named(named) else {
                let text = "Checksum algorithm provided is unsupported.";
                return Err(S3Error::request(text));
            };
            let other = claims.checksum.as_ref().filter(|(own, _)| *own != named);
            if other.is_some() {
                let text = "Value for x-amz-sdk-checksum-algorithm header is invalid.";
                return Err(S3Error::request(text));
            }
        }
        Ok(claims)
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.md5.is_none() && self.checksum.is_none()
    }

    /// Compares with what arrived.
    ///
    /// # Errors
    /// `BadDigest`.
    pub async fn check(&self, blob: &Blob) -> Result<(), S3Error> {
        if let Some(md5) = &self.md5 {
            let own = blob.digest(HashKind::Md5).await;
            if own != *md5 {
                let text = "The Content-MD5 you specified did not match what we received.";
                return Err(S3Error::new(400, "BadDigest", text)
                    .detail("ExpectedDigest", &STANDARD.encode(unhex(md5)))
                    .detail("CalculatedDigest", &STANDARD.encode(unhex(&own))));
            }
        }
        if let Some((algorithm, value)) = &self.checksum
            && algorithm.of(blob).await != *value
        {
            let text = format!(
                "The {} you specified did not match the calculated checksum.",
                algorithm.name()
            );
            return Err(S3Error::new(400, "BadDigest", &text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn published_check_values() {
        // The checks of the catalogue of parametrised CRC algorithms, and of FIPS 180.
        let blob = Blob::bytes("123456789");
        for (algorithm, wanted) in [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ] {
            let seen = STANDARD.decode(algorithm.of(&blob).await).unwrap();
            assert_eq!(hex(&seen), wanted, "{}", algorithm.name());
        }
    }
}
