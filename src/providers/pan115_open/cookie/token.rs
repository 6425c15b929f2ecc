//! What the upload question is signed with (sheet section 6.2).

use md5::Md5;
use sha1::{Digest, Sha1};

use crate::fingerprint::{hex_lower, hex_upper};

/// Stands before what the token covers.
const SALT: &str = "Qclm8MGWUv59TnrR0XPg";

/// Everything that is signed. Each spelled as in the form.
pub struct Signed<'a> {
    pub user_id: &'a str,
    pub user_key: &'a str,
    pub fileid: &'a str,
    pub filesize: &'a str,
    pub target: &'a str,
    /// Empty while no proof is given.
    pub sign_key: &'a str,
    /// Empty while no proof is given.
    pub sign_val: &'a str,
    pub time: &'a str,
    pub version: &'a str,
}

impl Signed<'_> {
    /// The field `sig`.
    pub fn sig(&self) -> String {
        let inner = [self.user_id, self.fileid, self.target, "0"].concat();
        let inner = hex_lower(&Sha1::digest(inner));
        hex_upper(&Sha1::digest([self.user_key, &inner, "000000"].concat()))
    }

    /// The field `token`.
    pub fn token(&self) -> String {
        let user = hex_lower(&Md5::digest(self.user_id));
        let covered = [
            SALT,
            self.fileid,
            self.filesize,
            self.sign_key,
            self.sign_val,
            self.user_id,
            self.time,
            &user,
            self.version,
        ];
        hex_lower(&Md5::digest(covered.concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn signatures_of_the_vectors() {
        let vectors: Value = serde_json::from_str(include_str!(
            "../../../../tests/fixtures/115_open.vectors.json"
        ))
        .unwrap();
        let cases = vectors["cookie_sig_token"].as_array().unwrap();
        assert!(cases.len() >= 4);
        for case in cases {
            let of = |key: &str| crate::drive::decode::text(&case[key]);
            let values = [
                "userid",
                "userkey",
                "fileid",
                "filesize",
                "target",
                "sign_key",
                "sign_val",
                "t",
                "appversion",
            ]
            .map(of);
            let [
                user_id,
                user_key,
                fileid,
                filesize,
                target,
                sign_key,
                sign_val,
                time,
                version,
            ] = values.each_ref().map(String::as_str);
            let signed = Signed {
                user_id,
                user_key,
                fileid,
                filesize,
                target,
                sign_key,
                sign_val,
                time,
                version,
            };
            assert_eq!(signed.sig(), of("sig"), "{}", of("name"));
            assert_eq!(signed.token(), of("token"), "{}", of("name"));
        }
    }
}
