//! The mode of cookies.

mod changes;
mod links;
mod lists;
mod sessions;
mod uploads;

use std::collections::BTreeMap;

use super::*;
use crate::sim::digest::md5_hex;
use crate::sim::pan115_open::cookie::{ec115, m115};

const USER_AGENT: &str = "Mozilla/5.0 115Browser/27.0.5.7";
const VERSION: &str = "27.0.5.7";

/// A client with cookies.
struct Web {
    world: Arc<World>,
    http: reqwest::Client,
    endpoints: BTreeMap<String, String>,
    cookie: String,
    user_agent: String,
    peer: ec115::client::Peer,
}

/// Status, cookies that were set, body.
struct Raw {
    status: u16,
    set: Vec<String>,
    body: Vec<u8>,
}

impl Raw {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    /// Names and values of what was set, as a request sends them.
    fn cookies(&self) -> String {
        let pairs = self.set.iter().map(|line| line.split(';').next().unwrap());
        pairs.collect::<Vec<_>>().join("; ")
    }
}

impl Web {
    fn new() -> Web {
        let options = WorldOptions {
            only: vec!["115_open".to_owned()],
            accounts: 2,
        };
        Web::of(World::start(SIMULATORS, &options).unwrap())
    }

    fn of(world: Arc<World>) -> Web {
        let profile = world.profile("115-cookie").unwrap();
        assert_eq!(
            (profile.account.as_str(), profile.auth_mode.as_str()),
            ("115", "manual_cookie")
        );
        assert_eq!(profile.fields["download_key"], m115::MODULUS);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Web {
            world,
            http,
            endpoints: profile.endpoints,
            cookie: profile.secrets["cookie"].clone(),
            user_agent: USER_AGENT.to_owned(),
            peer: ec115::client::Peer::to_server(&[0x5a; 27]),
        }
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("{}{path}", self.endpoints[host])
    }

    async fn send(&self, ask: reqwest::RequestBuilder) -> Raw {
        let mut ask = ask.header("user-agent", &self.user_agent);
        if !self.cookie.is_empty() {
            ask = ask.header("cookie", &self.cookie);
        }
        raw(ask).await
    }

    async fn get_raw(&self, host: &str, path: &str, query: &[(&str, &str)]) -> Raw {
        self.send(self.http.get(self.url(host, path)).query(query))
            .await
    }

    async fn post_raw(&self, host: &str, path: &str, form: &[(&str, &str)]) -> Raw {
        self.send(self.http.post(self.url(host, path)).form(form))
            .await
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        self.get_raw("web", path, query).await.json()
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        self.post_raw("web", path, form).await.json()
    }

    async fn list(&self, cid: &str, more: &[(&str, &str)]) -> Value {
        let mut query = vec![
            ("aid", "1"),
            ("cid", cid),
            ("o", "user_ptime"),
            ("asc", "1"),
            ("offset", "0"),
            ("limit", "1150"),
            ("show_dir", "1"),
            ("custom_order", "1"),
            ("format", "json"),
        ];
        for (key, value) in more {
            query.retain(|(known, _)| known != key);
            query.push((key, value));
        }
        self.get("/files", &query).await
    }

    /// Names in a folder, sorted.
    async fn names(&self, cid: &str) -> Vec<String> {
        let list = self.list(cid, &[]).await;
        let mut names: Vec<String> = entries(&list)
            .iter()
            .map(|entry| text(entry, "n").to_owned())
            .collect();
        names.sort();
        names
    }

    fn seed(&self, path: &str, seed: u64, size: u64) -> (String, Blob) {
        let source = SeedSource::Synthetic { seed };
        let id = self.world.seed("115", path, size, &source).unwrap();
        (id, Blob::synthetic(seed, size))
    }

    fn known(&self, seed: u64, size: u64) -> Blob {
        let source = SeedSource::Synthetic { seed };
        self.world.seed_known_only("115", size, &source).unwrap();
        Blob::synthetic(seed, size)
    }

    fn set(&self, key: &str, value: &str) {
        self.world.set("115-cookie", key, value).unwrap();
    }

    fn fault(&self, op: &str, kind: FaultKind, arg: &str) {
        let fault = Fault::once(op, kind, arg);
        self.world.fault("115-cookie", fault).unwrap();
    }

    async fn mkdir(&self, pid: &str, name: &str) -> String {
        let made = self
            .post("/files/add", &[("pid", pid), ("cname", name)])
            .await;
        assert_eq!(made["state"], true, "{made}");
        text(&made, "cid").to_owned()
    }

    /// The pick code of an entry of the root.
    async fn pick_code(&self, name: &str) -> String {
        let list = self.list("0", &[]).await;
        text(entry(&list, name), "pc").to_owned()
    }

    async fn user(&self) -> (String, String) {
        let info = self.get_raw("api", "/app/uploadinfo", &[]).await.json();
        (
            info["user_id"].to_string(),
            text(&info, "userkey").to_owned(),
        )
    }

    /// The fields of an init with right signatures; `more` replaces some before signing.
    async fn form(&self, name: &str, blob: &Blob, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let (user, key) = self.user().await;
        let mut form: BTreeMap<&str, String> = BTreeMap::from([
            ("appid", "0".to_owned()),
            ("appversion", VERSION.to_owned()),
            ("userid", user),
            ("filename", name.to_owned()),
            ("filesize", blob.size().to_string()),
            ("fileid", upper_sha1(blob)),
            ("target", "U_1_0".to_owned()),
            ("t", (Clock::real_ms() / 1000).to_string()),
            ("topupload", "true".to_owned()),
        ]);
        for (key, value) in more {
            form.insert(key, (*value).to_owned());
        }
        let of = |key: &str| form.get(key).cloned().unwrap_or_default();
        let inner = format!("{}{}{}0", of("userid"), of("fileid"), of("target"));
        let sig = format!("{key}{}000000", sha1_hex(inner.as_bytes()));
        let user = of("userid");
        let token = [
            "Qclm8MGWUv59TnrR0XPg",
            &of("fileid"),
            &of("filesize"),
            &of("sign_key"),
            &of("sign_val"),
            &user,
            &of("t"),
            &md5_hex(user.as_bytes()),
            &of("appversion"),
        ]
        .concat();
        form.insert("sig", sha1_hex(sig.as_bytes()).to_uppercase());
        form.insert("token", md5_hex(token.as_bytes()));
        form.into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// Sends an init as it is, without cookies: this host asks for none.
    async fn send_init(&self, form: &[(String, String)]) -> Value {
        let raw = self
            .send_sealed(&encoded(form), &self.peer.k_ec(7, 9, 1))
            .await;
        assert_eq!(raw.status, 200);
        serde_json::from_str(&self.peer.open(&raw.body)).unwrap()
    }

    async fn send_sealed(&self, form: &str, k_ec: &str) -> Raw {
        let ask = self
            .http
            .post(self.url("upload", "/4.0/initupload.php"))
            .query(&[("k_ec", k_ec)])
            .header("content-type", "application/x-www-form-urlencoded")
            .header("user-agent", &self.user_agent)
            .body(self.peer.seal(form));
        raw(ask).await
    }

    async fn init(&self, name: &str, blob: &Blob, more: &[(&str, &str)]) -> Value {
        let form = self.form(name, blob, more).await;
        self.send_init(&form).await
    }

    /// Init with the answer to its challenge.
    async fn proven(&self, name: &str, blob: &Blob) -> Value {
        let asked = self.init(name, blob, &[]).await;
        let (key, value) = answer(&asked, blob);
        self.init(name, blob, &[("sign_key", &key), ("sign_val", &value)])
            .await
    }
}

async fn raw(ask: reqwest::RequestBuilder) -> Raw {
    let answer = ask.send().await.unwrap();
    let set = answer.headers().get_all("set-cookie").iter();
    Raw {
        status: answer.status().as_u16(),
        set: set.map(|line| line.to_str().unwrap().to_owned()).collect(),
        body: answer.bytes().await.unwrap().to_vec(),
    }
}

fn entries(list: &Value) -> &Vec<Value> {
    list["data"].as_array().unwrap_or_else(|| panic!("{list}"))
}

fn entry<'l>(list: &'l Value, name: &str) -> &'l Value {
    let found = entries(list).iter().find(|entry| entry["n"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list}"))
}

/// A form as it stands in a body.
fn encoded(form: &[(String, String)]) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let one = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs = form
        .iter()
        .map(|(key, value)| format!("{}={}", one(key).replace("%5F", "_"), one(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// `sign_key` and `sign_val` for a challenge.
fn answer(challenge: &Value, blob: &Blob) -> (String, String) {
    answer_to(&json!({ "data": challenge }), blob)
}
