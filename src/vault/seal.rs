//! One secret, sealed and opened.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};

use super::VaultError;
use super::key::MasterKey;
use crate::net::Secret;

/// A sealed secret as it is stored.
pub(super) struct Sealed {
    /// 12 random bytes.
    pub(super) nonce: Vec<u8>,
    /// Ciphertext and tag.
    pub(super) bytes: Vec<u8>,
}

/// What a sealed secret belongs to; authenticated with it.
#[derive(Clone, Copy)]
pub(super) struct Label<'a> {
    pub(super) profile: &'a str,
    pub(super) field: &'a str,
    pub(super) version: i64,
}

impl Label<'_> {
    /// Lengths come first, so that no two labels have the same bytes.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"panfuse vault 1".to_vec();
        for text in [self.profile, self.field] {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes
    }
}

/// The cipher under one master key.
pub(super) struct Seal(Aes256Gcm);

impl Seal {
    pub(super) fn new(key: &MasterKey) -> Seal {
        Seal(Aes256Gcm::new(&key.0.into()))
    }

    pub(super) fn seal(&self, label: Label<'_>, secret: &Secret) -> Result<Sealed, VaultError> {
        let mut nonce = [0_u8; 12];
        getrandom::fill(&mut nonce)
            .map_err(|error| VaultError::Key(format!("no random numbers: {error}")))?;
        let payload = Payload {
            msg: secret.expose().as_bytes(),
            aad: &label.bytes(),
        };
        let bytes = self
            .0
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| VaultError::Damaged(label.profile.into(), label.field.into()))?;
        Ok(Sealed {
            nonce: nonce.to_vec(),
            bytes,
        })
    }

    pub(super) fn open(&self, label: Label<'_>, sealed: &Sealed) -> Result<Secret, VaultError> {
        let damaged = || VaultError::Damaged(label.profile.into(), label.field.into());
        let nonce: [u8; 12] = sealed.nonce.as_slice().try_into().map_err(|_| damaged())?;
        let payload = Payload {
            msg: &sealed.bytes,
            aad: &label.bytes(),
        };
        let bytes = self
            .0
            .decrypt(&Nonce::from(nonce), payload)
            .map_err(|_| damaged())?;
        String::from_utf8(bytes)
            .map(Secret::new)
            .map_err(|_| damaged())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_label_opens_it() {
        let seal = Seal::new(&MasterKey([7; 32]));
        let label = Label {
            profile: "a",
            field: "token",
            version: 3,
        };
        let mut sealed = seal.seal(label, &Secret::new("hush")).unwrap();
        assert_eq!(seal.open(label, &sealed).unwrap().expose(), "hush");
        for other in [
            Label {
                profile: "b",
                ..label
            },
            Label {
                field: "cookie",
                ..label
            },
            Label {
                version: 2,
                ..label
            },
            Label {
                profile: "at",
                field: "oken",
                ..label
            },
        ] {
            assert!(seal.open(other, &sealed).is_err());
        }
        assert!(Seal::new(&MasterKey([8; 32])).open(label, &sealed).is_err());
        sealed.bytes[0] ^= 1;
        assert!(seal.open(label, &sealed).is_err());
    }

    #[test]
    fn equal_secrets_look_different() {
        let seal = Seal::new(&MasterKey([7; 32]));
        let label = Label {
            profile: "a",
            field: "token",
            version: 1,
        };
        let one = seal.seal(label, &Secret::new("hush")).unwrap();
        let two = seal.seal(label, &Secret::new("hush")).unwrap();
        assert_ne!(one.bytes, two.bytes);
    }
}
