//! The public clients of PikPak and the captcha signature each computes (pikpak.md sections
//! 2.2 and 2.4).

use super::super::digest::md5_hex;

/// A client profile.
pub(super) struct Client {
    /// Client id.
    pub id: &'static str,
    /// Its secret.
    pub secret: &'static str,
    /// Version, as signed.
    pub version: &'static str,
    /// Package name, as signed.
    pub package: &'static str,
    salts: &'static [&'static str],
}

/// Client id of the web client, which may leave its secret out.
pub(super) const WEB_ID: &str = "YUMx5nI8ZU8Ap8pm";

/// Every client and version whose salts are known. An empty salt is a round of its own.
static CLIENTS: &[Client] = &[
    Client {
        id: "YNxT9w7GMdWvEOKa",
        secret: "dbw2OtmVEeuUvIptb1Coyg",
        version: "1.53.2",
        package: "com.pikcloud.pikpak",
        salts: &[
            "SOP04dGzk0TNO7t7t9ekDbAmx+eq0OI1ovEx",
            "nVBjhYiND4hZ2NCGyV5beamIr7k6ifAsAbl",
            "Ddjpt5B/Cit6EDq2a6cXgxY9lkEIOw4yC1GDF28KrA",
            "VVCogcmSNIVvgV6U+AochorydiSymi68YVNGiz",
            "u5ujk5sM62gpJOsB/1Gu/zsfgfZO",
            "dXYIiBOAHZgzSruaQ2Nhrqc2im",
            "z5jUTBSIpBN9g4qSJGlidNAutX6",
            "KJE2oveZ34du/g1tiimm",
        ],
    },
    Client {
        id: "YNxT9w7GMdWvEOKa",
        secret: "dbw2OtmVEeuUvIptb1Coyg",
        version: "1.47.1",
        package: "com.pikcloud.pikpak",
        salts: &[
            "Gez0T9ijiI9WCeTsKSg3SMlx",
            "zQdbalsolyb1R/",
            "ftOjr52zt51JD68C3s",
            "yeOBMH0JkbQdEFNNwQ0RI9T3wU/v",
            "BRJrQZiTQ65WtMvwO",
            "je8fqxKPdQVJiy1DM6Bc9Nb1",
            "niV",
            "9hFCW2R1",
            "sHKHpe2i96",
            "p7c5E6AcXQ/IJUuAEC9W6",
            "",
            "aRv9hjc9P+Pbn+u3krN6",
            "BzStcgE8qVdqjEH16l4",
            "SqgeZvL5j9zoHP95xWHt",
            "zVof5yaJkPe3VFpadPof",
        ],
    },
    Client {
        id: "YNxT9w7GMdWvEOKa",
        secret: "dbw2OtmVEeuUvIptb1Coyg",
        version: "1.21.0",
        package: "com.pikcloud.pikpak",
        salts: &[
            "",
            "E32cSkYXC2bciKJGxRsE8ZgwmH/YwkvpD6/O9guSOa2irCwciH4xPHaH",
            "QtqgfMgHP2TFl",
            "zOKgHT56L7nIzFzDpUGhpWFrgP53m3G6ML",
            "S",
            "THxpsktzfFXizUv7DK1y/N7NZ1WhayViluBEvAJJ8bA1Wr6",
            "y9PXH3xGUhG/zQI8CaapRw2LhldCaFM9CRlKpZXJvj+pifu",
            "+RaaG7T8FRTI4cP019N5y9ofLyHE9ySFUr",
            "6Pf1l8UTeuzYldGtb/d",
        ],
    },
    Client {
        id: WEB_ID,
        secret: "dbw2OtmVEeuUvIptb1Coyg",
        version: "2.0.0",
        package: "mypikpak.com",
        salts: &[
            "C9qPpZLN8ucRTaTiUMWYS9cQvWOE",
            "+r6CQVxjzJV6LCV",
            "F",
            "pFJRC",
            "9WXYIDGrwTCz2OiVlgZa90qpECPD6olt",
            "/750aCr4lm/Sly/c",
            "RB+DT/gZCrbV",
            "",
            "CyLsf7hdkIRxRm215hl",
            "7xHvLi2tOYP0Y92b",
            "ZGTXXxu8E/MIWaEDB+Sm/",
            "1UI3",
            "E7fP5Pfijd+7K+t6Tg/NhuLq0eEUVChpJSkrKxpO",
            "ihtqpG6FMt65+Xk+tWUH2",
            "NhXXU9rg4XXdzo7u5o",
        ],
    },
    Client {
        id: "YvtoWO6GNHiuCl7x",
        secret: "1NIH5R1IEe2pAxZE3hv3uA",
        version: "undefined",
        package: "mypikpak.com",
        salts: &[
            "KHBJ07an7ROXDoK7Db",
            "G6n399rSWkl7WcQmw5rpQInurc1DkLmLJqE",
            "JZD1A3M4x+jBFN62hkr7VDhkkZxb9g3rWqRZqFAAb",
            "fQnw/AmSlbbI91Ik15gpddGgyU7U",
            "/Dv9JdPYSj3sHiWjouR95NTQff",
            "yGx2zuTjbWENZqecNI+edrQgqmZKP",
            "ljrbSzdHLwbqcRn",
            "lSHAsqCkGDGxQqqwrVu",
            "TsWXI81fD1",
            "vk7hBjawK/rOSrSWajtbMk95nfgf3",
        ],
    },
];

/// The secret of a client id.
pub(super) fn secret(id: &str) -> Option<&'static str> {
    let client = CLIENTS.iter().find(|client| client.id == id)?;
    Some(client.secret)
}

/// The client that claims these three.
pub(super) fn find(id: &str, version: &str, package: &str) -> Option<&'static Client> {
    let mut all = CLIENTS.iter();
    all.find(|client| client.id == id && client.version == version && client.package == package)
}

impl Client {
    /// `captcha_sign` for a device and a time in milliseconds, as text.
    pub(super) fn captcha_sign(&self, device: &str, timestamp: &str) -> String {
        let start = format!(
            "{}{}{}{device}{timestamp}",
            self.id, self.version, self.package
        );
        let signed = self.salts.iter().fold(start, |text, salt| {
            md5_hex(format!("{text}{salt}").as_bytes())
        });
        format!("1.{signed}")
    }
}
