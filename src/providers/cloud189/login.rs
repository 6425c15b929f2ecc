//! The log-in page (sheet sections 2.2, 2.3, 2.5): by password, or by the page's own long-lived
//! cookie. Both end with an address by which a session is asked.

use reqwest::Url;

use super::answer::{Head, judge_login};
use super::api::{head_of, plain_headers};
use super::auth::APP_ID;
use super::error::BLOCK_PAUSE;
use super::rsa::PublicKey;
use crate::drive::{AccountEffect, DriveError, ErrorKind, Result, decode};
use crate::fingerprint::hex_upper;
use crate::net::{Client, Request, Secret, redact_text};

/// Where the page returns to; never asked by us.
const RETURN_URL: &str = "https://m.cloud.189.cn/zhuanti/2020/loginErrorPc/index.html";
const CLIENT_TYPE: &str = "10020";
const ACCOUNT_TYPE: &str = "02";

/// Redirects of the page that are followed.
const MOST_HOPS: usize = 10;

/// Logs in.
pub struct Login {
    client: Client,
    web: String,
    auth: String,
}

/// Where the chain of redirects ended.
enum End {
    /// With a page.
    Page(String),
    /// On the way back to [`RETURN_URL`].
    Returned(String),
}

/// What a page carries for the following calls.
#[derive(Debug, PartialEq)]
struct Page {
    captcha_token: String,
    lt: String,
    param_id: String,
    req_id: String,
}

/// Cookies by the domain that may see them.
#[derive(Default)]
struct Jar(Vec<(String, String, String)>);

impl Jar {
    fn set(&mut self, domain: &str, name: &str, value: &str) {
        self.0.retain(|(d, n, _)| d != domain || n != name);
        if !value.is_empty() {
            self.0
                .push((domain.to_owned(), name.to_owned(), value.to_owned()));
        }
    }

    /// Takes over a `Set-Cookie` of `host`. A domain that is not the host's own is ignored.
    fn take(&mut self, host: &str, text: &str) {
        let mut parts = text.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let domain = parts
            .filter_map(|attribute| attribute.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("domain"))
            .map(|(_, domain)| domain.trim().trim_start_matches('.').to_ascii_lowercase())
            .filter(|domain| sees(domain, host));
        self.set(domain.as_deref().unwrap_or(host), name.trim(), value.trim());
    }

    fn header(&self, host: &str) -> String {
        let pairs: Vec<String> = self
            .0
            .iter()
            .filter(|(domain, ..)| sees(domain, host))
            .map(|(_, name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }
}

fn sees(domain: &str, host: &str) -> bool {
    host == domain
        || host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.'))
}

impl Login {
    pub fn new(client: Client, web: String, auth: String) -> Login {
        Login { client, web, auth }
    }

    /// Section 2.5: the cookie alone leads to the address.
    pub async fn by_cookie(&self, sson: &Secret) -> Result<String> {
        let mut jar = Jar::default();
        jar.set("e.189.cn", "SSON", sson.expose());
        if let Some(host) = host_of(&self.auth) {
            jar.set(&host, "SSON", sson.expose());
        }
        match self.open_page(&mut jar).await? {
            End::Returned(address) => Ok(address),
            End::Page(_) => Err(DriveError::new(
                ErrorKind::Auth,
                "log-in: the captured cookie SSON is not accepted any more; capture it again",
            )),
        }
    }

    /// Section 2.3.
    pub async fn by_password(&self, username: &str, password: &Secret) -> Result<String> {
        let mut jar = Jar::default();
        let text = match self.open_page(&mut jar).await? {
            End::Page(text) => text,
            End::Returned(address) => return Ok(address),
        };
        let page = scrape(&text)
            .ok_or_else(|| DriveError::bad_answer("log-in", "the page has another form"))?;
        let conf = self
            .post(
                &mut jar,
                "login_key",
                "/api/logbox/config/encryptConf.do",
                None,
                &[("appId", APP_ID)],
            )
            .await?;
        let data = &judge_login("login_key", conf.0, conf.1.as_bytes())?["data"];
        let key = PublicKey::from_spki(&decode::text(&data["pubKey"]))
            .ok_or_else(|| DriveError::bad_answer("login_key", "no usable public key"))?;
        let pre = decode::text(&data["pre"]);
        let sealed = |text: &str| {
            key.encrypt(text.as_bytes())
                .map(|bytes| format!("{pre}{}", hex_upper(&bytes)))
                .ok_or_else(|| DriveError::new(ErrorKind::Invalid, "log-in: the text is too long"))
        };
        let user = sealed(username)?;
        let wanted = self
            .post(
                &mut jar,
                "login_captcha",
                "/api/logbox/oauth2/needcaptcha.do",
                Some(&page),
                &[
                    ("appKey", APP_ID),
                    ("accountType", ACCOUNT_TYPE),
                    ("userName", &user),
                ],
            )
            .await?;
        match (wanted.0.status, wanted.1.trim()) {
            (200, "0" | "") => {}
            (200, text) if text.len() <= 20 => return Err(captcha()),
            (status, _) => {
                return Err(DriveError::bad_answer(
                    "login_captcha",
                    format!("HTTP {status}"),
                ));
            }
        }
        let fields = [
            ("appKey", APP_ID),
            ("accountType", ACCOUNT_TYPE),
            ("userName", &user),
            ("password", &sealed(password.expose())?),
            ("validateCode", ""),
            ("captchaToken", &page.captcha_token),
            ("returnUrl", RETURN_URL),
            ("dynamicCheck", "FALSE"),
            ("clientType", CLIENT_TYPE),
            ("cb_SaveName", "1"),
            ("isOauth2", "false"),
            ("state", ""),
            ("paramId", &page.param_id),
        ];
        let path = "/api/logbox/oauth2/loginSubmit.do";
        let (head, body) = self
            .post(&mut jar, "login", path, Some(&page), &fields)
            .await?;
        match judge_login("login", head, body.as_bytes()) {
            Ok(answer) => decode::nonempty(&answer["toUrl"])
                .ok_or_else(|| refused(&decode::text(&answer["msg"]))),
            Err(error) if error.kind == ErrorKind::Auth => Err(refused(&error.message)),
            Err(error) => Err(error),
        }
    }

    /// Opens the page and follows its redirects (section 2.2).
    async fn open_page(&self, jar: &mut Jar) -> Result<End> {
        let now = self.client.clock().now_ms().to_string();
        let first = Request::get(
            "login_page",
            format!("{}/api/portal/unifyLoginForPC.action", self.web),
        )
        .query("appId", APP_ID)
        .query("clientType", CLIENT_TYPE)
        .query("returnURL", RETURN_URL)
        .query("timeStamp", &now);
        let mut url = Url::parse(&first.url)
            .map_err(|_| DriveError::new(ErrorKind::Invalid, "endpoints.web is no address"))?;
        for _ in 0..MOST_HOPS {
            let host = url.host_str().unwrap_or_default().to_owned();
            let mut request =
                Request::get("login_page", url.as_str()).header("accept", "text/html,*/*");
            let cookies = jar.header(&host);
            if !cookies.is_empty() {
                request = request.header("cookie", &cookies);
            }
            let response = self.client.send(request).await?;
            for text in response.headers.get_all("set-cookie") {
                jar.take(&host, text.to_str().unwrap_or_default());
            }
            let status = response.status;
            if status.is_redirection() {
                let to = response.header("location").unwrap_or_default();
                url = url
                    .join(to)
                    .map_err(|_| DriveError::bad_answer("login_page", "a redirect to nowhere"))?;
                if is_return(&url) {
                    return Ok(End::Returned(url.into()));
                }
                continue;
            }
            let head = head_of(&response);
            let body = response.bytes(1 << 20).await?;
            if !status.is_success() {
                return Err(super::error::no_envelope("login_page", head, &body));
            }
            return Ok(End::Page(String::from_utf8_lossy(&body).into_owned()));
        }
        Err(DriveError::bad_answer(
            "login_page",
            "redirects without end",
        ))
    }

    async fn post(
        &self,
        jar: &mut Jar,
        op: &'static str,
        path: &str,
        page: Option<&Page>,
        fields: &[(&str, &str)],
    ) -> Result<(Head, String)> {
        let host = host_of(&self.auth).unwrap_or_default();
        let request = plain_headers(Request::post(op, format!("{}{path}", self.auth)));
        let mut request = request.form(fields).header("referer", &self.auth);
        if let Some(page) = page {
            request = request.header("reqid", &page.req_id).header("lt", &page.lt);
        }
        let cookies = jar.header(&host);
        if !cookies.is_empty() {
            request = request.header("cookie", &cookies);
        }
        let response = self.client.send(request).await?;
        for text in response.headers.get_all("set-cookie") {
            jar.take(&host, text.to_str().unwrap_or_default());
        }
        let head = head_of(&response);
        let body = response.bytes(256 << 10).await?;
        if head.status >= 500 || head.status == 429 {
            return Err(super::error::no_envelope(op, head, &body));
        }
        Ok((head, String::from_utf8_lossy(&body).into_owned()))
    }
}

fn host_of(base: &str) -> Option<String> {
    Some(Url::parse(base).ok()?.host_str()?.to_ascii_lowercase())
}

/// Whether a redirect leads to the address that the log-in returns to.
fn is_return(url: &Url) -> bool {
    Url::parse(RETURN_URL)
        .is_ok_and(|wanted| url.host_str() == wanted.host_str() || url.path() == wanted.path())
}

fn captcha() -> DriveError {
    DriveError::new(
        ErrorKind::Risk,
        "log-in: the provider wants a captcha; log in once in a browser, or give a refresh_token or a session instead of the password",
    )
    .effect(AccountEffect::CoolDown(BLOCK_PAUSE))
}

/// What the page says when it refuses (section 2.3, step 4).
fn refused(message: &str) -> DriveError {
    let message: String = message.chars().take(120).collect();
    if message.contains("\u{9a8c}\u{8bc1}\u{7801}") || message.to_lowercase().contains("captcha") {
        return captcha();
    }
    let hint = if message.contains("\u{8bbe}\u{5907}\u{9501}") {
        "; switch the device lock off at https://e.dlife.cn/user/index.do"
    } else {
        ""
    };
    let message = if message.is_empty() {
        "refused without a reason"
    } else {
        &message
    };
    DriveError::new(
        ErrorKind::Auth,
        format!("log-in: {}{hint}", redact_text(message)),
    )
}

fn scrape(text: &str) -> Option<Page> {
    Some(Page {
        captcha_token: quoted_after(text, "captchaToken").unwrap_or_default(),
        lt: quoted_after(text, "lt")?,
        param_id: quoted_after(text, "paramId")?,
        req_id: quoted_after(text, "reqId")?,
    })
}

/// The quoted text after `key =`, `"key": ` or `'key' value=`.
fn quoted_after(text: &str, key: &str) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for (at, _) in text.match_indices(key) {
        let rest = text.get(at + key.len()..)?;
        let whole = !text.get(..at)?.ends_with(is_word) && !rest.starts_with(is_word);
        if !whole {
            continue;
        }
        let rest = rest.trim_start_matches(['"', '\'']).trim_start();
        let rest = rest.strip_prefix("value").unwrap_or(rest).trim_start();
        let Some(rest) = rest.strip_prefix(['=', ':']) else {
            continue;
        };
        let rest = rest.trim_start();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            continue;
        };
        let mut parts = rest.splitn(3, quote);
        let value = parts.nth(1)?;
        if parts.next().is_some() && value.len() <= 4096 {
            return Some(value.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_the_sheet() {
        let text = "<input type='hidden' name='captchaToken' value='ct-1'/>\n\
            <script> var result = 1; var alt = \"no\"; var lt = \"LT\"; var paramId = \"P\";\n\
            var reqId = \"R\"; var returnUrl = '';</script>";
        let page = scrape(text).unwrap();
        assert_eq!(
            (
                page.captcha_token.as_str(),
                page.lt.as_str(),
                page.param_id.as_str(),
                page.req_id.as_str()
            ),
            ("ct-1", "LT", "P", "R")
        );
        assert_eq!(scrape("<html>maintenance</html>"), None);
        assert_eq!(quoted_after("lt = \"open", "lt"), None);
    }

    #[test]
    fn cookies_stay_in_their_domain() {
        let mut jar = Jar::default();
        jar.take(
            "open.e.189.cn",
            "SSON=abc; Domain=.e.189.cn; Path=/; HttpOnly",
        );
        jar.take("open.e.189.cn", "own=1; Path=/");
        jar.take("evil.example", "SSON=bad; Domain=e.189.cn");
        assert_eq!(jar.header("open.e.189.cn"), "SSON=abc; own=1");
        assert_eq!(jar.header("x.e.189.cn"), "SSON=abc");
        assert_eq!(jar.header("fake.189.cn"), "");
        assert_eq!(jar.header("none.189.cn"), "");
        assert_eq!(jar.header("evil.example"), "SSON=bad");
        jar.take("open.e.189.cn", "own=; Path=/");
        assert_eq!(jar.header("open.e.189.cn"), "SSON=abc");
    }

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(
            refused("\u{8bf7}\u{8f93}\u{5165}\u{9a8c}\u{8bc1}\u{7801}").kind,
            ErrorKind::Risk
        );
        let locked = refused("\u{8bf7}\u{5173}\u{95ed}\u{8bbe}\u{5907}\u{9501}");
        assert_eq!(locked.kind, ErrorKind::Auth);
        assert!(locked.message.contains("e.dlife.cn"));
        assert_eq!(refused("wrong password").kind, ErrorKind::Auth);
    }

    #[test]
    fn the_way_back_is_recognised() {
        assert!(is_return(&Url::parse(RETURN_URL).unwrap()));
        let with = format!("{RETURN_URL}?ticket=1");
        assert!(is_return(&Url::parse(&with).unwrap()));
        assert!(!is_return(
            &Url::parse("https://open.e.189.cn/api/logbox").unwrap()
        ));
    }
}
