//! Share links.

use serde_json::{Value, json};

use super::super::super::faults::FaultKind;
use super::{Client, json as answer, sent, world};

const SET: &str = "/apaas/1.0/share/set?product=netdisk";

async fn create(client: &Client, app: &str, form: &[(&str, &str)]) -> Value {
    let url = client.host("api", &format!("{SET}&appid={app}"));
    answer(client.ask("POST", &url).form(form)).await
}

#[tokio::test]
async fn links_are_made_and_end() {
    let client = Client::new().await;
    let file = client.seed("/d/a.bin", 5, 1);
    let dir = client.mkdir("/d/e");
    let app = client.profile.fields["app_id"].clone();
    let list = json!([file, dir]).to_string();
    let form = [
        ("fsid_list", list.as_str()),
        ("period", "7"),
        ("pwd", "a1b2"),
        ("remark", "for you"),
    ];
    let made = create(&client, &app, &form).await;
    assert_eq!(made["errno"], 0, "{made}");
    let data = &made["data"];
    assert_eq!((&data["period"], &data["pwd"]), (&json!(7), &json!("a1b2")));
    assert_eq!(data["remark"], "for you");
    let link = data["link"].as_str().unwrap();
    assert!(link.ends_with("?pwd=a1b2"), "{link}");
    let visit = async |link: &str| {
        let page = sent(client.http.get(link)).await;
        (page.status().as_u16(), page.text().await.unwrap())
    };
    assert_eq!(visit(link).await, (200, "/d/a.bin\n/d/e".to_owned()));
    assert_eq!(visit(&link.replace("a1b2", "0000")).await.0, 403);
    client.world.clock_advance(7 * 86_400_000);
    assert_eq!(visit(link).await.0, 404);
}

#[tokio::test]
async fn what_a_link_needs() {
    let client = Client::new().await;
    let file = client.seed("/a.bin", 5, 1);
    let app = client.profile.fields["app_id"].clone();
    let text = json!([file]).to_string();
    let number = format!("[{file}]");
    let with = async |list: &str, period: &str, pwd: &str| {
        let form = [("fsid_list", list), ("period", period), ("pwd", pwd)];
        create(&client, &app, &form).await["errno"].clone()
    };
    assert_eq!(with(&text, "365", "0000").await, 0);
    assert_eq!(with(&number, "7", "0000").await, 2, "texts, not numbers");
    assert_eq!(with("[]", "7", "0000").await, 2);
    assert_eq!(with("[\"17\"]", "7", "0000").await, -9);
    for period in ["0", "366", "x"] {
        assert_eq!(with(&text, period, "0000").await, -40001, "{period}");
    }
    for pwd in ["", "abc", "abcde", "ABCD", "ab-1", "äb1"] {
        assert_eq!(with(&text, "7", pwd).await, -40002, "{pwd}");
    }
    let form = [
        ("fsid_list", text.as_str()),
        ("period", "7"),
        ("pwd", "0000"),
    ];
    assert_eq!(create(&client, "1", &form).await["errno"], 2);
    let bare = client.host("api", &format!("/apaas/1.0/share/set?appid={app}"));
    let bare = answer(client.ask("POST", &bare).form(&form)).await;
    assert_eq!(bare["errno"], 2, "the product is missing");
    client.fault("share_create", FaultKind::Errno, "31034");
    assert_eq!(with(&text, "7", "0000").await, 31034);
    client.set("share_service", "missing");
    assert_eq!(with(&text, "7", "0000").await, 13998);
    let cookies = Client::of(&world(), "baidu-cookie").await;
    assert_eq!(create(&cookies, &app, &form).await["errno"], 100);
}
