//! What the clients of the service are, and the signs they make (sheet sections 2.2 to 2.4).

use md5::{Digest, Md5};
use sha1::Sha1;

use crate::fingerprint::hex_lower;

/// One client of the service: public constants that every copy of it carries.
pub struct Platform {
    /// The value of the profile's field `platform`.
    pub name: &'static str,
    pub client_id: &'static str,
    /// The web client has none.
    pub client_secret: Option<&'static str>,
    pub client_version: &'static str,
    pub package_name: &'static str,
    /// Base address of drive calls.
    pub api: &'static str,
    /// Base address of login and captcha.
    pub user: &'static str,
    /// Where a captcha page leads back to; not checked by the service.
    pub redirect: Option<&'static str>,
    /// `User-Agent` of downloads, where the client has one of its own (section 2.2).
    pub download_agent: Option<&'static str>,
    agent: Agent,
    salts: &'static [&'static str],
}

/// How a client names itself in `User-Agent`.
enum Agent {
    Fixed(&'static str),
    /// The long list of the international Android client.
    Long {
        sdk_version: &'static str,
        app_id: &'static str,
        app_key: &'static str,
    },
}

const DRIVE: &str = "https://api-pan.xunlei.com";
const USER: &str = "https://xluser-ssl.xunlei.com";
const REDIRECT: Option<&str> = Some("xlaccsdk01://xunlei.com/callback?state=harbor");

/// Every client of the table in section 2.2. Each version goes with its own salts only.
pub static PLATFORMS: &[Platform] = &[
    Platform {
        name: "web",
        client_id: "Xqp0kJBXWhwaTpB6",
        client_secret: None,
        client_version: "1.92.91",
        package_name: "pan.xunlei.com",
        api: DRIVE,
        user: USER,
        redirect: None,
        download_agent: None,
        agent: Agent::Fixed(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
        ),
        salts: WEB_1_92_91,
    },
    Platform {
        name: "app",
        client_id: "Xp6vsxz_7IYVw2BB",
        client_secret: Some("Xp6vsy4tN9toTVdMSpomVdXpRmES"),
        client_version: "8.31.0.9726",
        package_name: "com.xunlei.downloadprovider",
        api: DRIVE,
        user: USER,
        redirect: REDIRECT,
        download_agent: Some(
            "Dalvik/2.1.0 (Linux; U; Android 12; M2004J7AC Build/SP1A.210812.016)",
        ),
        agent: Agent::Fixed(
            "ANDROID-com.xunlei.downloadprovider/8.31.0.9726 netWorkType/5G appid/40 deviceName/Xiaomi_M2004j7ac deviceModel/M2004J7AC OSVersion/12 protocolVersion/301 platformVersion/10 sdkVersion/512000 Oauth2Client/0.9 (Linux 4_14_186-perf-gddfs8vbb238b) (JAVA 0)",
        ),
        salts: APP_8_31_0,
    },
    Platform {
        name: "browser",
        client_id: "ZUBzD9J_XPXfn7f7",
        client_secret: Some("yESVmHecEe6F0aou69vl-g"),
        client_version: "1.40.0.7208",
        package_name: "com.xunlei.browser",
        api: "https://x-api-pan.xunlei.com",
        user: USER,
        redirect: REDIRECT,
        download_agent: Some(
            "AndroidDownloadManager/13 (Linux; U; Android 13; M2004J7AC Build/SP1A.210812.016)",
        ),
        agent: Agent::Fixed(
            "ANDROID-com.xunlei.browser/1.40.0.7208 networkType/WIFI appid/22062 deviceName/Xiaomi_M2004j7ac deviceModel/M2004J7AC OSVersion/13 protocolVersion/301 platformversion/10 sdkVersion/509300 Oauth2Client/0.9 (Linux 4_9_337-perf-sn-uotan-gd9d488809c3d) (JAVA 0)",
        ),
        salts: BROWSER_1_40_0,
    },
    Platform {
        name: "x",
        client_id: "ZQL_zwA4qhHcoe_2",
        client_secret: Some("Og9Vr1L8Ee6bh0olFxFDRg"),
        client_version: "1.06.0.2132",
        package_name: "com.thunder.downloader",
        api: "https://api-pan.xunleix.com",
        user: "https://xluser-ssl.xunleix.com",
        redirect: Some("xlaccsdk01://xbase.cloud/callback?state=harbor"),
        download_agent: Some(
            "Dalvik/2.1.0 (Linux; U; Android 13; M2004J7AC Build/SP1A.210812.016)",
        ),
        agent: Agent::Long {
            sdk_version: "2.0.3.203100",
            app_id: "1",
            app_key: "appkey",
        },
        salts: X_1_06_0,
    },
];

const APP_8_31_0: &[&str] = &[
    "9uJNVj/wLmdwKrJaVj/omlQ",
    "Oz64Lp0GigmChHMf/6TNfxx7O9PyopcczMsnf",
    "Eb+L7Ce+Ej48u",
    "jKY0",
    "ASr0zCl6v8W4aidjPK5KHd1Lq3t+vBFf41dqv5+fnOd",
    "wQlozdg6r1qxh0eRmt3QgNXOvSZO6q/GXK",
    "gmirk+ciAvIgA/cxUUCema47jr/YToixTT+Q6O",
    "5IiCoM9B1/788ntB",
    "P07JH0h6qoM6TSUAK2aL9T5s2QBVeY9JWvalf",
    "+oK0AN",
];

const BROWSER_1_40_0: &[&str] = &[
    "Cw4kArmKJ/aOiFTxnQ0ES+D4mbbrIUsFn",
    "HIGg0Qfbpm5ThZ/RJfjoao4YwgT9/M",
    "u/PUD",
    "OlAm8tPkOF1qO5bXxRN2iFttuDldrg",
    "FFIiM6sFhWhU7tIMVUKOF7CUv/KzgwwV8FE",
    "yN",
    "4m5mglrIHksI6wYdq",
    "LXEfS7",
    "T+p+C+F2yjgsUtiXWU/cMNYEtJI4pq7GofW",
    "14BrGIEMXkbvFvZ49nDUfVCRcHYFOJ1BP1Y",
    "kWIH3Row",
    "RAmRTKNCjucPWC",
];

const X_1_06_0: &[&str] = &[
    "kVy0WbPhiE4v6oxXZ88DvoA3Q",
    "lON/AUoZKj8/nBtcE85mVbkOaVdVa",
    "rLGffQrfBKH0BgwQ33yZofvO3Or",
    "FO6HWqw",
    "GbgvyA2",
    "L1NU9QvIQIH7DTRt",
    "y7llk4Y8WfYflt6",
    "iuDp1WPbV3HRZudZtoXChxH4HNVBX5ZALe",
    "8C28RTXmVcco0",
    "X5Xh",
    "7xe25YUgfGgD0xW3ezFS",
    "",
    "CKCR",
    "8EmDjBo6h3eLaK7U6vU2Qys0NsMx",
    "t2TeZBXKqbdP09Arh9C3",
];

const WEB_1_92_91: &[&str] = &[
    "tkPbM0TLWT+eMvAdV2FbXEEQ/Qx5QrfO895+47hmDDPdRZ98xm",
    "7EBc6XKuI6YGw19anZHmnE4d8W18zjrJU+F",
    "stEQvsO6eeP93DdrX7mfYA7G",
    "edXgGCdIaqdZJZH5k",
    "J9SB6D864S1B",
    "xlAs2Oo28sr",
    "21+f+kgyrbIcwUUo+xaPD4GYHkpRGv5i4wOnyHrkH4ehKti",
    "08kltU1bp6eV5bEdlgSEU0GpzjD7/j5X3FwbiiraEzar",
    "hX6tf7kBT/DS",
];

impl Platform {
    /// The client a profile names; empty means `web`.
    pub fn find(name: &str) -> Option<&'static Platform> {
        let name = if name.is_empty() { "web" } else { name };
        PLATFORMS.iter().find(|platform| platform.name == name)
    }

    /// `captcha_sign` for this version, device and time (section 2.4): MD5 in rounds, one per
    /// salt. An empty salt is a round, too.
    pub fn captcha_sign(&self, version: &str, device_id: &str, timestamp_ms: &str) -> String {
        let mut sign = format!(
            "{}{version}{}{device_id}{timestamp_ms}",
            self.client_id, self.package_name
        );
        for salt in self.salts {
            sign.push_str(salt);
            sign = md5_hex(&sign);
        }
        format!("1.{sign}")
    }

    /// Whether it is the web client.
    pub fn is_web(&self) -> bool {
        self.name == "web"
    }

    /// Whether it is the Android browser, which words some calls in its own way (section 4).
    pub fn is_browser(&self) -> bool {
        self.name == "browser"
    }

    /// Whether it is the international service, whose accounts are others.
    pub fn is_international(&self) -> bool {
        self.name == "x"
    }

    /// The `User-Agent` that does not depend on device and user; for the object store.
    pub fn plain_agent(&self) -> String {
        match self.agent {
            Agent::Fixed(text) => text.to_owned(),
            Agent::Long { .. } => {
                format!("ANDROID-{}/{}", self.package_name, self.client_version)
            }
        }
    }

    /// The `User-Agent` of API calls (section 2.2; the long list is that of the sibling service).
    pub fn api_agent(&self, version: &str, device_id: &str, user_id: &str, now_ms: i64) -> String {
        let Agent::Long {
            sdk_version,
            app_id,
            app_key,
        } = self.agent
        else {
            return self.plain_agent();
        };
        let package = self.package_name;
        let sign = device_sign(device_id, package, app_id, app_key);
        format!(
            "ANDROID-{package}/{version} protocolVersion/200 accesstype/ clientid/{} \
             clientversion/{version} action_type/ networktype/WIFI sessionid/ deviceid/{device_id} \
             providername/NONE devicesign/{sign} refresh_token/ sdkversion/{sdk_version} \
             datetime/{now_ms} usrno/{user_id} appname/{package} session_origin/ grant_type/ appid/ \
             clientip/ devicename/Xiaomi_M2004j7ac osversion/13 platformversion/10 accessmode/ \
             devicemodel/M2004J7AC",
            self.client_id,
        )
    }
}

/// The device sign of the Android clients (section 2.3).
fn device_sign(device_id: &str, package_name: &str, app_id: &str, app_key: &str) -> String {
    let inner = hex_lower(&Sha1::digest(format!(
        "{device_id}{package_name}{app_id}{app_key}"
    )));
    format!("div101.{device_id}{}", md5_hex(&inner))
}

/// MD5 of a text as 32 lower hex digits.
pub fn md5_hex(text: &str) -> String {
    hex_lower(&Md5::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../tests/fixtures/xunlei.vectors.json")).unwrap()
    }

    #[test]
    fn captcha_signs_of_every_client() {
        let vectors = vectors();
        let mut checked = 0;
        for set in vectors["captcha_sign"].as_array().unwrap() {
            let platform = PLATFORMS
                .iter()
                .find(|p| p.client_id == set["client_id"])
                .unwrap();
            assert_eq!(platform.client_version, set["client_version"]);
            assert_eq!(platform.package_name, set["package_name"]);
            let salts: Vec<&str> = set["salts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|salt| salt.as_str().unwrap())
                .collect();
            assert_eq!(platform.salts, salts);
            for vector in set["vectors"].as_array().unwrap() {
                let sign = platform.captcha_sign(
                    platform.client_version,
                    vector["device_id"].as_str().unwrap(),
                    vector["timestamp_ms"].as_str().unwrap(),
                );
                assert_eq!(sign, vector["captcha_sign"], "{}", platform.name);
                checked += 1;
            }
        }
        assert_eq!(checked, 9);
    }

    #[test]
    fn device_signs() {
        let vectors = vectors();
        for set in vectors["device_sign"].as_array().unwrap() {
            let text = |key: &str| set[key].as_str().unwrap();
            for vector in set["vectors"].as_array().unwrap() {
                let device = vector["device_id"].as_str().unwrap();
                let sign = device_sign(device, text("package_name"), text("appid"), text("appkey"));
                assert_eq!(sign, vector["device_sign"], "{}", text("profile"));
            }
        }
    }

    #[test]
    fn every_client_can_name_itself() {
        for platform in PLATFORMS {
            assert!(std::ptr::eq(
                Platform::find(platform.name).unwrap(),
                platform
            ));
            let agent = platform.api_agent(platform.client_version, "d", "u", 5);
            let header = reqwest::header::HeaderValue::from_str(&agent).unwrap();
            assert_eq!(header.to_str().unwrap().trim(), agent);
        }
        let long = Platform::find("x").unwrap().api_agent("1.2", "d", "u", 5);
        assert!(
            long.starts_with("ANDROID-com.thunder.downloader/1.2 protocolVersion/200 accesstype/ ")
        );
        assert!(long.contains(" datetime/5 usrno/u appname/com.thunder.downloader "));
        assert!(Platform::find("").is_some_and(Platform::is_web));
        assert!(Platform::find("ios").is_none());
    }
}
