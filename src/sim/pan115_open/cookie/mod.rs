//! The same accounts by cookies: the API of 115's web and app clients, from `115_open.md`
//! (2.2, 3.2 to 3.4, the cookie columns of 4, 6.2, 7).
//!
//! | file | what is in it |
//! |---|---|
//! | this one | hosts, the table of calls, what the front server blocks |
//! | `sessions` | cookies, their end, the login by QR code |
//! | `gate` | the way of a call: who asks, may he, in which envelope is the answer |
//! | `web` | list, stat, search, space, upload info |
//! | `change` | mkdir, rename, move, copy, delete, trash |
//! | `download` | links inside m115, and the plain one |
//! | `init` | the upload init inside ec115; resume, the store's token |
//! | `m115`, `ec115` | the two ciphers, from the server's side |
//! | `p224`, `number` | the arithmetic of both |
//!
//! A call that cookies open needs a `User-Agent` of the 115 browser. Without a host's prefix
//! (see [`HOSTS`]) a path is found on whatever host it belongs to; with one it must be that
//! host's.

mod change;
mod download;
pub(super) mod ec115;
mod gate;
mod init;
pub(super) mod m115;
mod number;
mod p224;
mod sessions;
mod web;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

pub(super) use sessions::{Sessions, cookies};
pub(super) use web::Order;

/// A host of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// `proapi.115.com`.
    Proapi,
    /// `passportapi.115.com` and `qrcodeapi.115.com`.
    Passport,
    /// `webapi.115.com` and `aps.115.com`.
    Web,
    /// `uplb.115.com`.
    Upload,
}

/// Prefix of the path and name of the endpoint. `my.115.com` and `appversion.115.com` are
/// behind each.
pub(super) const HOSTS: [(&str, &str, Host); 4] = [
    ("/proapi", "api", Host::Proapi),
    ("/passport", "passport", Host::Passport),
    ("/webapi", "web", Host::Web),
    ("/uplb", "upload", Host::Upload),
];

/// Host and path on it. Without a prefix it is any host.
pub(super) fn place(path: &str) -> (Option<Host>, &str) {
    for (prefix, _, host) in HOSTS {
        match path.strip_prefix(prefix) {
            Some("") => return (Some(host), "/"),
            Some(inner) if inner.starts_with('/') => return (Some(host), inner),
            _ => {}
        }
    }
    (None, path)
}

/// How a call writes its errors (section 3.2: they differ).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `error`, `errno`.
    Web,
    /// `error`, `errNo`.
    List,
    /// `msg`, `errno`.
    App,
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// Anybody: logins and the like.
    Anybody,
    /// Whom the form names: the upload host asks for no cookies.
    Named,
    /// Who has cookies.
    Cookies(Style),
}

/// A call.
pub(super) struct Call {
    host: Option<Host>,
    method: &'static str,
    /// A `*` is any one segment.
    path: &'static str,
    /// Operation in meters and faults.
    op: &'static str,
    door: Door,
}

const fn call(
    host: Option<Host>,
    method: &'static str,
    path: &'static str,
    op: &'static str,
    door: Door,
) -> Call {
    Call {
        host,
        method,
        path,
        op,
        door,
    }
}

const fn web(method: &'static str, path: &'static str, op: &'static str) -> Call {
    call(Some(Host::Web), method, path, op, Door::Cookies(Style::Web))
}

const fn list(path: &'static str) -> Call {
    call(
        Some(Host::Web),
        "GET",
        path,
        "list",
        Door::Cookies(Style::List),
    )
}

const fn app(method: &'static str, path: &'static str, op: &'static str) -> Call {
    call(
        Some(Host::Proapi),
        method,
        path,
        op,
        Door::Cookies(Style::App),
    )
}

const fn passport(method: &'static str, path: &'static str, op: &'static str) -> Call {
    call(Some(Host::Passport), method, path, op, Door::Anybody)
}

const fn upload(method: &'static str, path: &'static str, op: &'static str) -> Call {
    call(Some(Host::Upload), method, path, op, Door::Named)
}

const CALLS: &[Call] = &[
    list("/files"),
    list("/natsort/files.php"),
    web("POST", "/files/order", "order"),
    web("GET", "/files/get_info", "stat"),
    web("GET", "/category/get", "stat"),
    web("GET", "/files/getid", "stat"),
    web("GET", "/files/search", "search"),
    web("GET", "/files/shasearch", "search"),
    web("GET", "/files/index_info", "quota"),
    web("GET", "/files/uploadinfo", "upload_info"),
    app("GET", "/app/uploadinfo", "upload_info"),
    web("POST", "/files/add", "mkdir"),
    web("POST", "/files/batch_rename", "rename"),
    web("POST", "/files/move", "move"),
    web("POST", "/files/copy", "copy"),
    web("POST", "/rb/delete", "trash"),
    web("GET", "/rb", "trash_list"),
    web("POST", "/rb/revert", "restore"),
    web("POST", "/rb/clean", "purge"),
    web("POST", "/rb/secret_del", "purge"),
    web("GET", "/files/download", "download_link"),
    app("POST", "/app/chrome/downurl", "download_link"),
    app("POST", "/android/2.0/ufile/download", "download_link"),
    app("POST", "/os_windows/2.0/ufile/downurl", "download_link"),
    upload("POST", "/4.0/initupload.php", "init"),
    upload("POST", "/3.0/resumeupload.php", "resume"),
    upload("GET", "/3.0/gettoken.php", "upload_token"),
    upload("GET", "/3.0/getuploadinfo.php", "upload_host"),
    passport("GET", "/api/1.0/web/1.0/token/", "device_code"),
    passport("POST", "/app/1.0/*/1.0/login/qrcode/", "device_token"),
    call(
        Some(Host::Passport),
        "GET",
        "/app/1.0/*/1.0/check/sso",
        "check",
        Door::Anybody,
    ),
    call(None, "GET", "/", "check", Door::Anybody),
    call(
        None,
        "GET",
        "/1/web/1.0/api/chrome",
        "app_version",
        Door::Anybody,
    ),
];

fn fits(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some("*"), Some(segment)) if !segment.is_empty() => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => return false,
        }
    }
}

/// The call at a path of a host.
pub(super) fn find(host: Option<Host>, method: &str, path: &str) -> Option<&'static Call> {
    CALLS.iter().find(|call| {
        call.method == method
            && fits(call.path, path)
            && (host.is_none() || call.host.is_none() || call.host == host)
    })
}

/// The page of the front server (section 10.1): HTML, and no word for programs.
fn blocked(status: u16) -> Response {
    let page = "<!doctypehtml><html lang=\"zh-cn\"><head><meta charset=\"utf-8\">\
                <title>405</title></head><body><div>很抱歉，由于您访问的URL有可能对网站造成\
                安全威胁，您的访问被阻断。</div></body></html>";
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::METHOD_NOT_ALLOWED);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

/// The version in the `User-Agent` of the 115 browser.
fn browser_version(user_agent: &str) -> Option<&str> {
    let (_, rest) = user_agent.split_once("115Browser/")?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'));
    let version = &rest[..end.unwrap_or(rest.len())];
    version_parts(version).map(|_| version)
}

/// The parts of a version such as `27.0.5.7` or `36.2.28`.
fn version_parts(version: &str) -> Option<Vec<u32>> {
    let parts: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    parts.filter(|parts| (3..=4).contains(&parts.len()))
}

/// Bytes of hex.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// The published vectors.
#[cfg(test)]
pub(super) fn vectors() -> serde_json::Value {
    let text = include_str!("../../../../tests/fixtures/115_open.vectors.json");
    serde_json::from_str(text).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(host: Option<Host>, method: &str, path: &str) -> Option<&'static str> {
        find(host, method, path).map(|call| call.op)
    }

    #[test]
    fn calls_are_found_on_their_hosts() {
        assert_eq!(place("/webapi/files"), (Some(Host::Web), "/files"));
        assert_eq!(place("/webapi"), (Some(Host::Web), "/"));
        assert_eq!(place("/webapis/x"), (None, "/webapis/x"));
        assert_eq!(op(None, "GET", "/files"), Some("list"));
        assert_eq!(op(Some(Host::Web), "GET", "/files"), Some("list"));
        assert_eq!(op(Some(Host::Proapi), "GET", "/files"), None);
        assert_eq!(op(None, "POST", "/files"), None);
        let login = "/app/1.0/alipaymini/1.0/login/qrcode/";
        assert_eq!(
            op(Some(Host::Passport), "POST", login),
            Some("device_token")
        );
        assert_eq!(op(None, "POST", "/app/1.0//1.0/login/qrcode/"), None);
        assert_eq!(op(Some(Host::Upload), "GET", "/"), Some("check"));
    }

    #[test]
    fn versions() {
        let version = |text| browser_version(text);
        assert_eq!(version("Mozilla/5.0 115Browser/27.0.5.7"), Some("27.0.5.7"));
        assert_eq!(version("Mozilla/5.0 115Browser/36.2.28 x"), Some("36.2.28"));
        assert_eq!(version("Mozilla/5.0 115Browser/"), None);
        assert_eq!(version("curl/8"), None);
        assert!(version_parts("27.0.5.7") < version_parts("36.2.28"));
        assert_eq!(version_parts("1.x.3"), None);
    }
}
