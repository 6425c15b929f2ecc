//! What the clients of the service are, and the signs they make (sheet sections 2.2 to 2.4, 3).

use md5::{Digest, Md5};
use sha1::Sha1;

/// One client of the service: public constants that every copy of it carries.
pub struct Platform {
    /// The value of the profile's field `platform`.
    pub name: &'static str,
    pub client_id: &'static str,
    pub client_secret: &'static str,
    pub client_version: &'static str,
    pub package_name: &'static str,
    sdk_version: &'static str,
    agent: Agent,
    salts: &'static [&'static str],
}

/// How a client names itself in `User-Agent`.
enum Agent {
    Fixed(&'static str),
    /// The short text of the old Android clients.
    Short,
    /// The long list of the newer Android clients.
    Long,
}

const SECRET: &str = "dbw2OtmVEeuUvIptb1Coyg";
const ANDROID_PACKAGE: &str = "com.pikcloud.pikpak";
const ANDROID_ID: &str = "YNxT9w7GMdWvEOKa";

/// Every client of the table in section 2.2. Each version goes with its own salts only.
pub static PLATFORMS: &[Platform] = &[
    Platform {
        name: "web",
        client_id: "YUMx5nI8ZU8Ap8pm",
        client_secret: SECRET,
        client_version: "2.0.0",
        package_name: "mypikpak.com",
        sdk_version: "8.0.3",
        agent: Agent::Fixed(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:129.0) Gecko/20100101 Firefox/129.0",
        ),
        salts: WEB_2_0_0,
    },
    Platform {
        name: "pc",
        client_id: "YvtoWO6GNHiuCl7x",
        client_secret: "1NIH5R1IEe2pAxZE3hv3uA",
        client_version: "undefined",
        package_name: "mypikpak.com",
        sdk_version: "8.0.3",
        agent: Agent::Fixed(
            "MainWindow Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) PikPak/2.6.11.4955 Chrome/100.0.4896.160 Electron/18.3.15 Safari/537.36",
        ),
        salts: PC,
    },
    Platform {
        name: "android",
        client_id: ANDROID_ID,
        client_secret: SECRET,
        client_version: "1.53.2",
        package_name: ANDROID_PACKAGE,
        sdk_version: "2.0.6.206003",
        agent: Agent::Long,
        salts: ANDROID_1_53_2,
    },
    Platform {
        name: "android-1.47.1",
        client_id: ANDROID_ID,
        client_secret: SECRET,
        client_version: "1.47.1",
        package_name: ANDROID_PACKAGE,
        sdk_version: "2.0.4.204000",
        agent: Agent::Long,
        salts: ANDROID_1_47_1,
    },
    Platform {
        name: "android-1.21.0",
        client_id: ANDROID_ID,
        client_secret: SECRET,
        client_version: "1.21.0",
        package_name: ANDROID_PACKAGE,
        sdk_version: "",
        agent: Agent::Short,
        salts: ANDROID_1_21_0,
    },
];

const ANDROID_1_53_2: &[&str] = &[
    "SOP04dGzk0TNO7t7t9ekDbAmx+eq0OI1ovEx",
    "nVBjhYiND4hZ2NCGyV5beamIr7k6ifAsAbl",
    "Ddjpt5B/Cit6EDq2a6cXgxY9lkEIOw4yC1GDF28KrA",
    "VVCogcmSNIVvgV6U+AochorydiSymi68YVNGiz",
    "u5ujk5sM62gpJOsB/1Gu/zsfgfZO",
    "dXYIiBOAHZgzSruaQ2Nhrqc2im",
    "z5jUTBSIpBN9g4qSJGlidNAutX6",
    "KJE2oveZ34du/g1tiimm",
];

const ANDROID_1_47_1: &[&str] = &[
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
];

const ANDROID_1_21_0: &[&str] = &[
    "",
    "E32cSkYXC2bciKJGxRsE8ZgwmH/YwkvpD6/O9guSOa2irCwciH4xPHaH",
    "QtqgfMgHP2TFl",
    "zOKgHT56L7nIzFzDpUGhpWFrgP53m3G6ML",
    "S",
    "THxpsktzfFXizUv7DK1y/N7NZ1WhayViluBEvAJJ8bA1Wr6",
    "y9PXH3xGUhG/zQI8CaapRw2LhldCaFM9CRlKpZXJvj+pifu",
    "+RaaG7T8FRTI4cP019N5y9ofLyHE9ySFUr",
    "6Pf1l8UTeuzYldGtb/d",
];

const WEB_2_0_0: &[&str] = &[
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
];

const PC: &[&str] = &[
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
];

impl Platform {
    /// The client a profile names; empty means `web`.
    pub fn find(name: &str) -> Option<&'static Platform> {
        let name = if name.is_empty() { "web" } else { name };
        PLATFORMS.iter().find(|platform| platform.name == name)
    }

    /// `captcha_sign` for this device and time (section 2.4): MD5 in rounds, one per salt. An
    /// empty salt is a round, too.
    pub fn captcha_sign(&self, device_id: &str, timestamp_ms: &str) -> String {
        let mut sign = format!(
            "{}{}{}{device_id}{timestamp_ms}",
            self.client_id, self.client_version, self.package_name
        );
        for salt in self.salts {
            sign.push_str(salt);
            sign = md5_hex(&sign);
        }
        format!("1.{sign}")
    }

    /// Whether it is the web client, which sends a `Referer` (section 3).
    pub fn is_web(&self) -> bool {
        self.name == "web"
    }

    /// The `User-Agent` that does not depend on device and user; for object store and downloads.
    pub fn plain_agent(&self) -> String {
        match self.agent {
            Agent::Fixed(text) => text.to_owned(),
            Agent::Short | Agent::Long => {
                format!("ANDROID-{}/{}", self.package_name, self.client_version)
            }
        }
    }

    /// The `User-Agent` of API calls (section 3).
    pub fn api_agent(&self, device_id: &str, user_id: &str, now_ms: i64) -> String {
        if !matches!(self.agent, Agent::Long) {
            return self.plain_agent();
        }
        let (package, version) = (self.package_name, self.client_version);
        let sign = device_sign(device_id, package);
        format!(
            "ANDROID-{package}/{version} protocolVersion/200 accesstype/ clientid/{} \
             clientversion/{version} action_type/ networktype/WIFI sessionid/ deviceid/{device_id} \
             providername/NONE devicesign/{sign} refresh_token/ sdkversion/{} datetime/{now_ms} \
             usrno/{user_id} appname/android-{package} session_origin/ grant_type/ appid/ clientip/ \
             devicename/Generic_Android osversion/13 platformversion/10 accessmode/ \
             devicemodel/Generic",
            self.client_id, self.sdk_version,
        )
    }
}

/// The device sign of the Android clients (section 3).
fn device_sign(device_id: &str, package_name: &str) -> String {
    let inner = hex(&Sha1::digest(format!("{device_id}{package_name}1appkey")));
    format!("div101.{device_id}{}", md5_hex(&inner))
}

/// MD5 of a text as 32 lower hex digits.
pub fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Which key of the login meta an account goes under (section 2.4).
pub fn login_key(username: &str) -> &'static str {
    let digits = username.strip_prefix('+').unwrap_or(username);
    if username
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
    {
        "email"
    } else if (11..=18).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        "phone_number"
    } else {
        "username"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../tests/fixtures/pikpak.vectors.json")).unwrap()
    }

    #[test]
    fn captcha_signs_of_every_client() {
        let vectors = vectors();
        let mut checked = 0;
        for set in vectors["captcha_sign"].as_array().unwrap() {
            let platform = PLATFORMS
                .iter()
                .find(|p| {
                    p.client_id == set["client_id"] && p.client_version == set["client_version"]
                })
                .unwrap();
            assert_eq!(platform.package_name, set["package_name"]);
            for vector in set["vectors"].as_array().unwrap() {
                let sign = platform.captcha_sign(
                    vector["device_id"].as_str().unwrap(),
                    vector["timestamp_ms"].as_str().unwrap(),
                );
                assert_eq!(sign, vector["captcha_sign"], "{}", platform.name);
                checked += 1;
            }
        }
        assert_eq!(checked, 2 * PLATFORMS.len());
    }

    #[test]
    fn device_signs_and_default_devices() {
        let vectors = vectors();
        for vector in vectors["device_sign"][0]["vectors"].as_array().unwrap() {
            let device = vector["device_id"].as_str().unwrap();
            assert_eq!(device_sign(device, ANDROID_PACKAGE), vector["device_sign"]);
        }
        for vector in vectors["default_device_id_md5_user_password"]
            .as_array()
            .unwrap()
        {
            let text = |key: &str| vector[key].as_str().unwrap().to_owned();
            let joined = text("username") + &text("password");
            assert_eq!(md5_hex(&joined), vector["device_id"]);
        }
    }

    #[test]
    fn an_account_is_an_address_a_number_or_a_name() {
        assert_eq!(login_key("user@example.com"), "email");
        assert_eq!(login_key("13800138000"), "phone_number");
        assert_eq!(login_key("+8613800138000"), "phone_number");
        assert_eq!(login_key("somebody-long-name"), "username");
    }

    #[test]
    fn the_long_agent_keeps_empty_items() {
        let android = Platform::find("android").unwrap();
        let agent = android.api_agent("d", "u", 5);
        assert!(agent.starts_with("ANDROID-com.pikcloud.pikpak/1.53.2 protocolVersion/200 "));
        assert!(agent.contains(" accesstype/ clientid/YNxT9w7GMdWvEOKa clientversion/1.53.2 "));
        assert!(agent.contains(" datetime/5 usrno/u appname/android-com.pikcloud.pikpak "));
        assert!(Platform::find("").is_some_and(Platform::is_web));
        assert!(Platform::find("ios").is_none());
    }
}
