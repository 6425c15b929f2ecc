//! Cookies, the checks of every call, quota.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::super::faults::FaultKind;
use super::Client;

const CONFIG: &str = "/config";
const LIST: &str = "/file/sort?pdir_fid=0&_page=1&_size=100";
const LOGIN: (u16, i64) = (401, 31001);

#[tokio::test]
async fn every_call_is_checked() {
    let mut client = Client::quark();
    client.get(LIST).await;
    assert_eq!(client.refused("/nothing", Value::Null).await, (404, -1));
    assert_eq!(client.refused("/file/rename", Value::Null).await, (405, -1));
    assert_eq!(
        client
            .refused("/share/sharepage/v2/detail", json!({}))
            .await,
        (404, -1)
    );
    client.pr = "UCBrowser";
    assert_eq!(client.refused(LIST, Value::Null).await, (400, 14001));
    client.pr = "ucpro";
    // Neither `pr` nor `fr`.
    let url = format!("{}{LIST}", client.profile.endpoints["api"]);
    let bare = client.http.get(url).header("Cookie", client.cookie_line());
    let (status, answer) = client.send(bare).await;
    assert_eq!((status, &answer["code"]), (400, &json!(14001)));
    let form = client.ask(Method::POST, "/file").form(&[("pdir_fid", "0")]);
    assert_eq!(client.send(form).await.0, 400);
    let broken = client
        .ask(Method::POST, "/file")
        .header("content-type", "application/json");
    assert_eq!(client.send(broken.body("[1]")).await.0, 400);
    for page in ["_page=0", "_page=x", "_size=0", "_size=-1"] {
        let path = format!("/file/sort?pdir_fid=0&{page}");
        assert_eq!(
            client.refused(&path, Value::Null).await,
            (400, 14001),
            "{page}"
        );
    }
    client.set("error_status", "200");
    assert_eq!(
        client.refused("/file/sort?_page=1", Value::Null).await,
        (200, 14001)
    );
    client.set("error_status", "400");
    let preflight = client.ask(Method::OPTIONS, "/file/upload/auth");
    assert_eq!(client.send(preflight).await.0, 204);
    // The prefix of the API base may be there once more, or not at all.
    let root = client.profile.endpoints["api"]
        .trim_end_matches("/1/clouddrive")
        .to_owned();
    for path in ["/config", "/1/clouddrive/1/clouddrive/config"] {
        let url = format!("{root}{path}?pr=ucpro&fr=pc");
        let ask = client.http.get(url).header("Cookie", client.cookie_line());
        assert_eq!(client.send(ask).await.0, 200);
    }
    // The other brand.
    let uc = Client::uc();
    uc.get(LIST).await;
    let other = format!("{}{LIST}&pr=ucpro&fr=pc", uc.profile.endpoints["api"]);
    let other = uc.http.get(other).header("Cookie", uc.cookie_line());
    assert_eq!(uc.send(other).await.0, 400);
}

#[tokio::test]
async fn the_cookie_rolls() {
    let client = Client::quark();
    client.set("puus_calls", "3");
    let first = client.cookie("__puus");
    for _ in 0..2 {
        client.get(CONFIG).await;
        assert_eq!(client.cookie("__puus"), first);
    }
    client.get(CONFIG).await;
    let second = client.cookie("__puus");
    assert_ne!(second, first);
    // The previous one is good for a moment and brings the current one again.
    client.set_cookie("__puus", &first);
    client.get(LIST).await;
    assert_eq!(client.cookie("__puus"), second);
    client.set_cookie("__puus", &first);
    client.world.clock_advance(10_000);
    assert_eq!(client.refused(LIST, Value::Null).await, LOGIN);
    assert_eq!(client.cookie("__puus"), first);
    assert_eq!(client.stat().refreshes, 0);
    // The two calls that hand it out take a stale one for none.
    client.get(CONFIG).await;
    assert_eq!(
        (client.cookie("__puus"), client.stat().refreshes),
        (second.clone(), 1)
    );
    client.set_cookie("__puus", "made up");
    client.post("/transfer/upload/pdir", json!({})).await;
    assert_eq!(
        (client.cookie("__puus"), client.stat().refreshes),
        (second, 2)
    );
    client.set("puus_strict", "on");
    client.set_cookie("__puus", "made up");
    assert_eq!(client.refused(CONFIG, Value::Null).await, LOGIN);
    // Without one every call brings one.
    client.drop_cookie("__puus");
    client.get(LIST).await;
    assert!(!client.cookie("__puus").is_empty());
}

#[tokio::test]
async fn the_cookie_ends() {
    let client = Client::quark();
    let first = client.cookie("__puus");
    client.world.clock_advance(10_800_000);
    assert_eq!(client.refused(LIST, Value::Null).await, LOGIN);
    client.drop_cookie("__puus");
    client.get(CONFIG).await;
    assert_ne!(client.cookie("__puus"), first);
    client.fault("list", FaultKind::ExpireToken, "");
    assert_eq!(client.refused(LIST, Value::Null).await, LOGIN);
    assert_eq!(client.refused("/member", Value::Null).await, LOGIN);
    client.drop_cookie("__puus");
    client.get(CONFIG).await;
    client.get(LIST).await;
    assert_eq!(client.stat().refreshes, 2);
    // By age, and with a new name of the login, the old one of which stays good.
    client.set("rotate_pus", "on");
    let pus = client.cookie("__pus");
    client.world.clock_advance(1_800_000);
    client.get(LIST).await;
    assert_ne!(client.cookie("__pus"), pus);
    client.get(LIST).await;
    client.set_cookie("__pus", &pus);
    client.get(LIST).await;
    // For good.
    client.fault("list", FaultKind::ExpireToken, "pus");
    for path in [LIST, CONFIG] {
        assert_eq!(client.refused(path, Value::Null).await, LOGIN);
    }
    let again = Client::of(&client.world, "quark");
    let info = again.call("/account/info?platform=pc", Value::Null).await;
    assert_eq!(
        (info.0, &info.1["data"]["nickname"]),
        (200, &json!("quark"))
    );
    again.set("logout", "1");
    assert_eq!(again.refused(CONFIG, Value::Null).await, LOGIN);
    let (status, info) = again.call("/account/info", Value::Null).await;
    assert_eq!((status, &info["data"]), (200, &json!({})));
    again.drop_cookie("__pus");
    assert_eq!(again.refused(LIST, Value::Null).await, LOGIN);
}

#[tokio::test]
async fn accounts_are_apart() {
    let one = Client::quark();
    let two = Client::of(&one.world, "quark-2");
    let same = Client::of(&one.world, "quark");
    assert_ne!(one.cookie("__pus"), same.cookie("__pus"));
    one.seed("/mine.txt", b"1");
    assert_eq!(same.names("0").await, ["mine.txt"]);
    assert!(two.names("0").await.is_empty());
    assert_eq!((one.stat().count("list"), two.stat().count("list")), (1, 1));
    // The share's onlooker has no drive.
    let share = Client::of(&one.world, "quark-share");
    assert_eq!(share.refused(LIST, Value::Null).await, (400, 14001));
    assert_eq!(share.get("/member").await["use_capacity"], 0);
}

#[tokio::test]
async fn space_and_rates() {
    let client = Client::quark();
    client.seed("/a.bin", &[7; 1000]);
    client.set("total_size", "1500");
    client.set("member_type", "Z_VIP");
    let quota = client.get("/member?fetch_subscribe=false").await;
    assert_eq!(quota["use_capacity"], 1000);
    assert_eq!(quota["total_capacity"], 1500);
    assert_eq!(quota["member_type"], "Z_VIP");
    let pre = |size: u64| json!({ "pdir_fid": "0", "file_name": "b", "size": size });
    assert_eq!(
        client.refused("/file/upload/pre", pre(501)).await,
        (400, 32003)
    );
    client.post("/file/upload/pre", pre(500)).await;
    client.set("calls_per_second", "1");
    let mut refused = 0;
    for _ in 0..20 {
        refused += u32::from(client.refused(CONFIG, Value::Null).await == (429, 15000));
    }
    assert!(refused > 0);
    client.set("calls_per_second", "0");
    for (arg, wanted) in [
        ("31001", LOGIN),
        ("200:23008", (200, 23008)),
        ("15000", (429, 15000)),
    ] {
        client.fault("config", FaultKind::Errno, arg);
        assert_eq!(client.refused(CONFIG, Value::Null).await, wanted);
    }
    client.fault("config", FaultKind::Status, "412");
    assert_eq!(client.refused(CONFIG, Value::Null).await, (412, -1));
}
