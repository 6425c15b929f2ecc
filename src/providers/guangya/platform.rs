//! The clients of the service, their headers, and the two spellings of its addresses (sheet
//! sections 2.2 and 3).

use md5::{Digest, Md5};

use crate::fingerprint::hex_lower;
use crate::net::Request;

/// One client of the service: public constants that every copy of it carries.
pub struct Platform {
    /// The device type, which is how a profile names the client.
    pub dt: &'static str,
    pub client_id: &'static str,
    /// Empty where the client has none.
    pub client_secret: &'static str,
    /// `User-Agent`.
    pub agent: &'static str,
    version: &'static str,
    /// Version number, sent by the program for Windows only.
    code: &'static str,
}

/// The table of section 2.2. The two ids look alike; tokens do not mix.
pub static PLATFORMS: &[Platform] = &[
    Platform {
        dt: "4",
        client_id: "aMe-8VSlkrbQXpUR",
        client_secret: "",
        agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Safari/537.36",
        version: "0.0.1",
        code: "",
    },
    Platform {
        dt: "5",
        client_id: "aMe_SVSlkrbQXpUT",
        client_secret: "FNAfp5IFEfCn5MYsIUTewg",
        agent: "GuangyapanPC/1.0.2",
        version: "1.0.2",
        code: "1002",
    },
];

const SITE: &str = "https://www.guangyapan.com";

impl Platform {
    /// The client with this device type; empty means the web site.
    pub fn find(dt: &str) -> Option<&'static Platform> {
        let dt = if dt.is_empty() { "4" } else { dt };
        PLATFORMS.iter().find(|platform| platform.dt == dt)
    }

    /// Whether it is the web site.
    pub fn is_web(&self) -> bool {
        self.code.is_empty()
    }

    /// The headers of a business call (section 3). The program sends its device id under the
    /// older name, too.
    pub fn dress(&self, request: Request, did: &str) -> Request {
        let request = request
            .header("accept", "application/json")
            .header("dt", self.dt)
            .header("did", did);
        let request = if self.is_web() {
            request
                .header("origin", SITE)
                .header("referer", "https://www.guangyapan.com/")
        } else {
            request
                .header("x-device-id", did)
                .header("x-client-id", self.client_id)
                .header("av", self.version)
                .header("vc", self.code)
        };
        request.header("traceparent", &trace())
    }

    /// The headers of a call to the account service (section 2.2). The tail of the device sign is
    /// not checked; it is derived, so that it stays the same for a device.
    pub fn dress_account(&self, request: Request, did: &str) -> Request {
        let request = request
            .header("accept", "application/json")
            .header("x-client-id", self.client_id)
            .header("x-device-id", did)
            .header("x-client-version", self.version)
            .header("x-sdk-version", "9.0.2")
            .header("x-protocol-version", "301");
        if !self.is_web() {
            return request.header("accept-language", "zh-CN");
        }
        let tail = hex_lower(&Md5::digest(did.as_bytes()));
        request
            .header("origin", SITE)
            .header("referer", "https://www.guangyapan.com/")
            .header("x-device-model", "chrome%2F147.0.0.0")
            .header("x-device-name", "PC-Chrome")
            .header("x-device-sign", &format!("wdi10.{did}{tail}"))
            .header("x-net-work-type", "NONE")
            .header("x-os-version", "Win32")
            .header("x-platform-version", "1")
            .header("x-provider-name", "NONE")
    }
}

/// A W3C trace header with random ids.
fn trace() -> String {
    let (trace, span) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let span = span.simple().to_string();
    let span = span.get(..16).unwrap_or_default();
    format!("00-{}-{span}-01", trace.simple())
}

/// Which of the two live spellings of the addresses is used (section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// `/userres/..`, `/assets/..`.
    Current,
    /// `/nd.bizuserres.s/..`, `/nd.bizassets.s/..`.
    Older,
}

/// Services by their current and their older name.
const SERVICES: &[(&str, &str)] = &[
    ("/userres/", "/nd.bizuserres.s/"),
    ("/assets/", "/nd.bizassets.s/"),
];

impl Paths {
    /// The spelling a profile names; empty means the current one.
    pub fn find(name: &str) -> Option<Paths> {
        match name {
            "" | "current" => Some(Paths::Current),
            "older" => Some(Paths::Older),
            _ => None,
        }
    }

    /// A path, given in its current spelling, as this one.
    pub fn spell(self, path: &str) -> String {
        let older = || {
            SERVICES.iter().find_map(|(now, before)| {
                path.strip_prefix(now).map(|rest| format!("{before}{rest}"))
            })
        };
        match self {
            Paths::Current => path.to_owned(),
            Paths::Older => older().unwrap_or_else(|| path.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'a>(request: &'a Request, name: &str) -> &'a str {
        let value = request.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn clients_are_named_by_their_device_type() {
        assert_eq!(Platform::find("").unwrap().client_id, "aMe-8VSlkrbQXpUR");
        assert_eq!(Platform::find("5").unwrap().client_id, "aMe_SVSlkrbQXpUT");
        assert!(Platform::find("6").is_none());
    }

    #[test]
    fn business_calls_carry_the_headers_of_their_client() {
        let did = "0123456789abcdef0123456789abcdef";
        let web = Platform::find("4").unwrap();
        let call = web.dress(Request::post("x", "https://h/x"), did);
        for (name, value) in [("dt", "4"), ("did", did), ("origin", SITE)] {
            assert_eq!(header(&call, name), value);
        }
        assert_eq!(header(&call, "x-device-id"), "");
        let pc = Platform::find("5").unwrap();
        let call = pc.dress(Request::post("x", "https://h/x"), did);
        for (name, value) in [
            ("dt", "5"),
            ("did", did),
            ("x-device-id", did),
            ("x-client-id", "aMe_SVSlkrbQXpUT"),
            ("av", "1.0.2"),
            ("vc", "1002"),
        ] {
            assert_eq!(header(&call, name), value);
        }
        assert_eq!(header(&call, "origin"), "");
        let trace = header(&call, "traceparent");
        assert_eq!((trace.len(), trace.split('-').count()), (55, 4), "{trace}");
    }

    #[test]
    fn a_device_sign_names_its_device() {
        let did = "0123456789abcdef0123456789abcdef";
        let web = Platform::find("4").unwrap();
        let call = web.dress_account(Request::post("x", "https://h/x"), did);
        let sign = header(&call, "x-device-sign");
        assert!(sign.starts_with(&format!("wdi10.{did}")), "{sign}");
        assert_eq!(sign.len(), 6 + 64);
        let again = web.dress_account(Request::post("x", "https://h/x"), did);
        assert_eq!(header(&again, "x-device-sign"), sign);
    }

    #[test]
    fn both_spellings_of_an_address() {
        let path = "/userres/v1/file/get_file_list";
        assert_eq!(Paths::Current.spell(path), path);
        assert_eq!(
            Paths::Older.spell(path),
            "/nd.bizuserres.s/v1/file/get_file_list"
        );
        assert_eq!(
            Paths::Older.spell("/assets/v1/get_assets"),
            "/nd.bizassets.s/v1/get_assets"
        );
        assert!(Paths::find("newer").is_none());
    }
}
