//! The share: its page, its links, taking it over.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::super::oss::sign::encode;
use super::super::super::server::SeedSource;
use super::{Client, world};

struct Share {
    /// Looks at it.
    client: Client,
    pwd_id: String,
    passcode: String,
}

impl Share {
    fn new(key: &str) -> Share {
        let client = Client::of(&world(key), &format!("{key}-share"));
        client.seed("/a & b.txt", b"hello");
        client.seed("/dir/inner.bin", b"inner");
        client.seed("/dir/deep/c.bin", b"deep");
        let field = |name: &str| client.profile.fields[name].clone();
        Share {
            pwd_id: field("pwd_id"),
            passcode: field("passcode"),
            client,
        }
    }

    fn enter(&self) -> Value {
        json!({ "pwd_id": self.pwd_id, "passcode": self.passcode })
    }

    async fn token(&self) -> String {
        let data = self
            .client
            .post("/share/sharepage/token", self.enter())
            .await;
        data["stoken"].as_str().unwrap().to_owned()
    }

    fn page(&self, stoken: &str, fid: &str) -> String {
        format!(
            "/share/sharepage/detail?pwd_id={}&stoken={}&pdir_fid={fid}&force=0&_page=1&_size=50\
             &_fetch_total=1",
            self.pwd_id,
            encode(stoken)
        )
    }

    fn account(&self) -> Client {
        let name = self.client.name().trim_end_matches("-share").to_owned();
        Client::of(&self.client.world, &name)
    }

    /// The body of a save of rows.
    fn saving(&self, stoken: &str, rows: &[&Value], to: &str) -> Value {
        let all = |key: &str| {
            rows.iter()
                .map(|row| row[key].clone())
                .collect::<Vec<Value>>()
        };
        json!({
            "fid_list": all("fid"), "fid_token_list": all("share_fid_token"), "to_pdir_fid": to,
            "pwd_id": self.pwd_id, "stoken": stoken, "pdir_fid": "0", "scene": "link",
        })
    }
}

#[tokio::test]
async fn the_page() {
    let share = Share::new("quark");
    let client = &share.client;
    let path = "/share/sharepage/token";
    for (id, code, wanted) in [
        (share.pwd_id.as_str(), "nope", (400, 41012)),
        (&share.pwd_id, "", (400, 41008)),
        ("other", &share.passcode, (400, 14001)),
    ] {
        let body = json!({ "pwd_id": id, "passcode": code });
        assert_eq!(client.refused(path, body).await, wanted);
    }
    let stoken = share.token().await;
    assert!(stoken.contains('+'));
    let answer = client.whole(&share.page(&stoken, "0"), Value::Null).await;
    assert_eq!(
        (&answer["data"]["is_owner"], &answer["metadata"]["_total"]),
        (&json!(0), &json!(2))
    );
    let rows = answer["data"]["list"].as_array().unwrap();
    assert_eq!(
        (&rows[0]["file_name"], &rows[0]["dir"]),
        (&json!("dir"), &json!(true))
    );
    assert_eq!(rows[1]["file_name"], "a &amp; b.txt");
    assert!(rows[1]["share_fid_token"].is_string() && rows[1].get("md5").is_none());
    let below = client
        .get(&share.page(&stoken, rows[0]["fid"].as_str().unwrap()))
        .await;
    assert_eq!(below["list"].as_array().unwrap().len(), 2);
    // `+` unencoded is a blank; ids and tokens that are none; too old.
    let raw = share
        .page("x", "0")
        .replace("stoken=x", &format!("stoken={stoken}"));
    assert_eq!(client.refused(&raw, Value::Null).await, (400, 41020));
    assert_eq!(
        client
            .refused(&share.page(&stoken, "none"), Value::Null)
            .await,
        (404, 41006)
    );
    client.world.clock_advance(7_200_000);
    assert_eq!(
        client.refused(&share.page(&stoken, "0"), Value::Null).await,
        (400, 41020)
    );
    for (state, wanted) in [
        ("gone", (404, 41006)),
        ("cancelled", (400, 41010)),
        ("violation", (400, 41013)),
        ("invalid", (400, 41014)),
    ] {
        client.set("share_state", state);
        assert_eq!(client.refused(path, share.enter()).await, wanted);
    }
    client.set("share_state", "open");
    client.set("passcode", "none");
    client.post(path, json!({ "pwd_id": share.pwd_id })).await;
    client.set("share_calls_per_second", "1");
    let mut refused = 0;
    for _ in 0..20 {
        refused += u32::from(client.refused(path, share.enter()).await == (429, 15000));
    }
    assert!(refused > 0);
    assert!(client.stat().count("share_token") > 20);
}

#[tokio::test]
async fn saving() {
    let share = Share::new("quark");
    let stoken = share.token().await;
    let list = share.client.get(&share.page(&stoken, "0")).await["list"].take();
    let (dir, file) = (&list[0], &list[1]);
    let account = share.account();
    account.seed("/a & b.txt", b"mine");
    let path = "/share/sharepage/save";
    let done = account
        .task(path, share.saving(&stoken, &[dir, file], "0"))
        .await;
    let save_as = &done["save_as"];
    assert_eq!(save_as["to_pdir_name"], "全部文件");
    let fids: Vec<&str> = save_as["save_as_top_fids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fid| fid.as_str().unwrap())
        .collect();
    assert_eq!(
        account.names("0").await,
        ["a &amp; b(1).txt", "a &amp; b.txt", "dir"]
    );
    assert_eq!(account.names(fids[0]).await, ["deep", "inner.bin"]);
    let link = account.link(fids[1]).await;
    assert_eq!(
        account
            .download(link["download_url"].as_str().unwrap())
            .await,
        b"hello"
    );
    assert_eq!(account.stat().count("share_save"), 1);
    // All of a folder but one.
    let all = json!({
        "pwd_id": share.pwd_id, "stoken": stoken, "pdir_fid": dir["fid"], "to_pdir_fid": fids[0],
        "pdir_save_all": true, "exclude_fids": [], "scene": "link",
    });
    account.task(path, all).await;
    assert_eq!(
        account.names(fids[0]).await,
        ["deep", "deep(1)", "inner(1).bin", "inner.bin"]
    );

    let mut forged = file.clone();
    forged["share_fid_token"] = dir["share_fid_token"].clone();
    let many = vec![file; 101];
    for (body, wanted) in [
        (share.saving(&stoken, &[&forged], "0"), (400, 41020)),
        (share.saving("other", &[file], "0"), (400, 41020)),
        (share.saving(&stoken, &[file], "none"), (400, 41010)),
        (share.saving(&stoken, &[], "0"), (400, 41026)),
        (share.saving(&stoken, &many, "0"), (400, 14001)),
    ] {
        assert_eq!(account.refused(path, body).await, wanted);
    }
    assert_eq!(
        share
            .client
            .refused(path, share.saving(&stoken, &[file], "0"))
            .await,
        (400, 14001)
    );
    // No space, told by the task.
    account.set("total_size", "1");
    let started = account
        .post(path, share.saving(&stoken, &[file], "0"))
        .await;
    let poll = format!("/task?task_id={}", started["task_id"].as_str().unwrap());
    account.get(&poll).await;
    assert_eq!(account.refused(&poll, Value::Null).await, (400, 32003));
}

#[tokio::test]
async fn links_of_the_share() {
    let share = Share::new("quark");
    let client = &share.client;
    let source = SeedSource::Synthetic { seed: 2 };
    client
        .world
        .seed("quark-share", "/large.bin", (50 << 20) + 1, &source)
        .unwrap();
    let stoken = share.token().await;
    let list = client.get(&share.page(&stoken, "0")).await["list"].take();
    let asking = |row: &Value| {
        json!({
            "fids": [row["fid"]], "fids_token": [row["share_fid_token"]],
            "pwd_id": share.pwd_id, "stoken": stoken,
        })
    };
    let path = "/file/download?entry=ft";
    let link = client.post(path, asking(&list[1])).await[0].take();
    assert!(!client.cookie("__pugs").is_empty());
    let url = link["download_url"].as_str().unwrap();
    assert_eq!(client.download(url).await, b"hello");
    client.drop_cookie("__pugs");
    assert_eq!(
        client.fetch(url).send().await.unwrap().status().as_u16(),
        403
    );
    client.post(path, asking(&list[2])).await;
    client.set("share_direct", "off");
    assert_eq!(client.refused(path, asking(&list[2])).await, (400, 23018));
    let mut forged = list[1].clone();
    forged["share_fid_token"] = json!("0");
    assert_eq!(client.refused(path, asking(&forged)).await, (400, 41020));
    assert_eq!(
        client
            .refused(path, json!({ "fids": [list[1]["fid"]] }))
            .await,
        (400, 14001)
    );
    // Nobody logged in: the page, and small files.
    client.set("share_direct", "on");
    for name in ["__pus", "__puus"] {
        client.drop_cookie(name);
    }
    share.token().await;
    let link = client.post(path, asking(&list[1])).await[0].take();
    let ask = client.http.get(link["download_url"].as_str().unwrap());
    let ask = ask
        .header("User-Agent", &client.agent)
        .header("Referer", client.site);
    assert_eq!(ask.send().await.unwrap().bytes().await.unwrap(), "hello");
    assert_eq!(client.refused(path, asking(&list[2])).await, (400, 23018));
    assert_eq!(
        client.refused("/share/sharepage/save", share.enter()).await,
        (401, 31001)
    );
    assert_eq!(client.stat().bytes_down, 10);
}

#[tokio::test]
async fn uc_tells_both_at_once() {
    let share = Share::new("uc");
    let client = &share.client;
    let path = "/share/sharepage/v2/detail";
    let both = client.post(path, share.enter()).await;
    let damaged = both["token_info"]["stoken"].as_str().unwrap().to_owned();
    assert!(damaged.contains(' ') && !damaged.contains('+'));
    assert_eq!(both["detail_info"]["list"].as_array().unwrap().len(), 2);
    let dead = (400, 14001);
    assert_eq!(
        client
            .refused(&share.page(&damaged.replace(' ', "-"), "0"), Value::Null)
            .await,
        dead
    );
    let stoken = damaged.replace(' ', "+");
    client.get(&share.page(&stoken, "0")).await;
    // The classic call gives it whole.
    assert!(share.token().await.contains('+'));
    let account = share.account();
    let mut forged = both["detail_info"]["list"][1].clone();
    forged["share_fid_token"] = json!("0");
    let saving = share.saving(&stoken, &[&forged], "");
    assert_eq!(account.refused("/share/sharepage/save", saving).await, dead);
    let good = both["detail_info"]["list"][1].clone();
    account
        .task("/share/sharepage/save", share.saving(&stoken, &[&good], ""))
        .await;
    assert_eq!(account.names("0").await, ["a &amp; b.txt"]);
    client.set("share_calls_per_second", "1");
    let mut refused = 0;
    for _ in 0..20 {
        let ask = client.ask(Method::POST, path).json(&share.enter());
        let (status, answer) = client.send(ask).await;
        refused += u32::from(status == 400 && answer["code"] == 41020);
    }
    assert!(refused > 0);
}
