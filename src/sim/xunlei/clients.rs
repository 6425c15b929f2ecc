//! The public clients of Xunlei, and what each of them signs (xunlei.md sections 2.2 to 2.4).

use super::super::digest::{md5_hex, sha1_hex};

/// A client profile.
pub(super) struct Client {
    /// Client id.
    pub id: &'static str,
    /// Its secret; the web client has none.
    pub secret: &'static str,
    /// Version, as signed.
    pub version: &'static str,
    /// Package name, as signed.
    pub package: &'static str,
    /// Number of the app in its login; the web client has none.
    pub appid: &'static str,
    appkey: &'static str,
    /// Version of the SDK it logs in with.
    pub sdk: &'static str,
    /// The end of the user agent of its login; empty where there is no such login.
    pub login_agent: &'static str,
    /// Life of its access tokens in seconds (section 2.5).
    pub access_s: u64,
    salts: &'static [&'static str],
}

/// Client id of the Android app, which has one session per account (section 2.6).
pub(super) const APP_ID: &str = "Xp6vsxz_7IYVw2BB";
/// Client id of the Android browser.
pub(super) const BROWSER_ID: &str = "ZUBzD9J_XPXfn7f7";
/// Client id of the web client.
pub(super) const WEB_ID: &str = "Xqp0kJBXWhwaTpB6";
/// Client id of the international app.
pub(super) const X_ID: &str = "ZQL_zwA4qhHcoe_2";

/// Every client whose salts are known. An empty salt is a round of its own.
static CLIENTS: &[Client] = &[
    Client {
        id: APP_ID,
        secret: "Xp6vsy4tN9toTVdMSpomVdXpRmES",
        version: "8.31.0.9726",
        package: "com.xunlei.downloadprovider",
        appid: "40",
        appkey: "34a062aaa22f906fca4fefe9fb3a3021",
        sdk: "512000",
        login_agent: "5.0.12.512000",
        access_s: 86_400,
        salts: &[
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
        ],
    },
    Client {
        id: BROWSER_ID,
        secret: "yESVmHecEe6F0aou69vl-g",
        version: "1.40.0.7208",
        package: "com.xunlei.browser",
        appid: "22062",
        appkey: "a5d7416858147a4ab99573872ffccef8",
        sdk: "509300",
        login_agent: "5.0.9.509300",
        access_s: 86_400,
        salts: &[
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
        ],
    },
    Client {
        id: WEB_ID,
        secret: "",
        version: "1.92.91",
        package: "pan.xunlei.com",
        appid: "",
        appkey: "",
        sdk: "",
        login_agent: "",
        access_s: 43_200,
        salts: &[
            "tkPbM0TLWT+eMvAdV2FbXEEQ/Qx5QrfO895+47hmDDPdRZ98xm",
            "7EBc6XKuI6YGw19anZHmnE4d8W18zjrJU+F",
            "stEQvsO6eeP93DdrX7mfYA7G",
            "edXgGCdIaqdZJZH5k",
            "J9SB6D864S1B",
            "xlAs2Oo28sr",
            "21+f+kgyrbIcwUUo+xaPD4GYHkpRGv5i4wOnyHrkH4ehKti",
            "08kltU1bp6eV5bEdlgSEU0GpzjD7/j5X3FwbiiraEzar",
            "hX6tf7kBT/DS",
        ],
    },
    Client {
        id: X_ID,
        secret: "Og9Vr1L8Ee6bh0olFxFDRg",
        version: "1.06.0.2132",
        package: "com.thunder.downloader",
        appid: "1",
        appkey: "appkey",
        sdk: "2.0.3.203100",
        login_agent: "",
        access_s: 43_200,
        salts: &[
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
        ],
    },
];

/// The client of an id.
pub(super) fn by_id(id: &str) -> Option<&'static Client> {
    CLIENTS.iter().find(|client| client.id == id)
}

/// The client of an app number.
pub(super) fn by_appid(appid: &str) -> Option<&'static Client> {
    let mut all = CLIENTS.iter();
    all.find(|client| !appid.is_empty() && client.appid == appid)
}

/// The client that claims these three.
pub(super) fn find(id: &str, version: &str, package: &str) -> Option<&'static Client> {
    by_id(id).filter(|client| client.version == version && client.package == package)
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

    /// `devicesign` of a login from a device.
    pub(super) fn device_sign(&self, device: &str) -> String {
        let text = format!("{device}{}{}{}", self.package, self.appid, self.appkey);
        let inner = sha1_hex(text.as_bytes());
        format!("div101.{device}{}", md5_hex(inner.as_bytes()))
    }
}
