//! Cookies, their end, logins, and what stands in front of the hosts.

use super::*;

/// The value of one part of a cookie.
fn part(cookie: &str, name: &str) -> String {
    let mut parts = cookie.split("; ").filter_map(|part| part.split_once('='));
    parts.find(|(key, _)| *key == name).unwrap().1.to_owned()
}

/// Logs in with the QR code; answers the cookie.
async fn log_in(web: &Web, app: &str) -> String {
    let code = web
        .get_raw("passport", "/api/1.0/web/1.0/token/", &[])
        .await
        .json()["data"]
        .clone();
    let (uid, time) = (text(&code, "uid").to_owned(), code["time"].to_string());
    let path = format!("/app/1.0/{app}/1.0/login/qrcode/");
    let form = [("account", uid.as_str()), ("app", app)];
    let early = web.post_raw("passport", &path, &form).await.json();
    assert_eq!((&early["state"], &early["data"]), (&json!(0), &json!([])));
    let query = [
        ("uid", uid.as_str()),
        ("time", &time),
        ("sign", text(&code, "sign")),
    ];
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = web.get_raw("passport", "/get/status/", &query).await.json();
        seen.push(answer["data"]["status"].as_i64().unwrap_or(0));
    }
    assert_eq!(seen, [0, 1, 2]);
    let done = web.post_raw("passport", &path, &form).await.json();
    assert_eq!(done["state"], 1, "{done}");
    let again = web.post_raw("passport", &path, &form).await.json();
    assert_eq!(again["state"], 0, "a code is good once");
    let cookie = &done["data"]["cookie"];
    let parts = ["UID", "CID", "SEID", "KID"].iter();
    let parts = parts.filter_map(|name| Some(format!("{name}={}", cookie[*name].as_str()?)));
    parts.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn every_part_of_the_cookie_counts() {
    let mut web = Web::new();
    assert_eq!(web.list("0", &[]).await["state"], true);
    let good = web.cookie.clone();
    assert!(part(&good, "UID").starts_with("123456789_R2_"));
    let mut bad = vec![
        String::new(),
        format!("{good};"),
        good.replace("; KID", "; KIT"),
    ];
    for name in ["UID", "CID", "SEID", "KID"] {
        let own = part(&good, name);
        let other = format!("{}0", &own[..own.len() - 1]);
        bad.push(good.replace(&own, if other == own { "1" } else { &other }));
    }
    for cookie in bad {
        web.cookie.clone_from(&cookie);
        let refused = web.list("0", &[]).await;
        assert_eq!(
            (&refused["state"], &refused["errno"]),
            (&json!(false), &json!(990_001)),
            "{cookie}"
        );
    }
    // Order and other cookies mean nothing.
    let mut parts: Vec<&str> = good.split("; ").collect();
    parts.reverse();
    web.cookie = format!("x=y; {}", parts.join(";"));
    assert_eq!(web.list("0", &[]).await["state"], true);
    // Open mode does not know cookies.
    let open = web.get_raw("api", "/open/user/info", &[]).await.json();
    assert_eq!(open["code"], 99);
}

#[tokio::test]
async fn a_login_replaces_the_cookies_of_its_tag() {
    let mut web = Web::new();
    let old = web.cookie.clone();
    let other_tag = log_in(&web, "tv").await;
    assert!(part(&other_tag, "UID").contains("_I1_"));
    assert_eq!(web.list("0", &[]).await["state"], true, "another tag");
    let new = log_in(&web, "alipaymini").await;
    assert_eq!(web.list("0", &[]).await["errno"], 990_001);
    assert_eq!(
        web.get_raw("api", "/app/uploadinfo", &[]).await.json()["errno"],
        990_001
    );
    web.set("web_keeps_old", "1");
    assert_eq!(web.list("0", &[]).await["state"], true);
    assert_eq!(
        web.get_raw("api", "/app/uploadinfo", &[]).await.json()["errno"],
        990_001
    );
    assert_eq!(
        web.world.profile("115-cookie").unwrap().secrets["cookie"],
        new,
        "the profile has the newest"
    );
    // The parts of two sessions do not mix.
    web.set("web_keeps_old", "0");
    web.cookie = new.replace(&part(&new, "CID"), &part(&old, "CID"));
    assert_eq!(web.list("0", &[]).await["errno"], 990_001);
    for cookie in [new, other_tag] {
        web.cookie = cookie;
        assert_eq!(web.list("0", &[]).await["state"], true);
    }
    // Account 2 scans: another user's tree. Old logins have no KID.
    web.set("qr_account", "2");
    web.world.set("115-2", "kid", "off").unwrap();
    web.cookie = log_in(&web, "web").await;
    assert!(!web.cookie.contains("KID") && web.cookie.starts_with("UID=123456790_A1_"));
    assert_eq!(web.user().await.0, "123456790");
    let refused = web
        .post_raw(
            "passport",
            "/app/1.0/tv/1.0/login/qrcode/",
            &[("account", "x"), ("app", "web")],
        )
        .await;
    assert_eq!(refused.json()["code"], 990_002);
}

#[tokio::test]
async fn sessions_end() {
    let mut web = Web::new();
    let status = [("ct", "guide"), ("ac", "status")];
    for host in ["web", "passport", "api"] {
        let here = web.get_raw(host, "/", &status).await.json();
        assert_eq!(here, json!({ "state": true }));
    }
    assert_eq!(web.get_raw("web", "/", &[]).await.json()["code"], 980_006);
    web.set("logged_out", "1");
    assert_eq!(web.list("0", &[]).await["errno"], 990_001);
    assert_eq!(
        web.get_raw("web", "/", &status).await.json(),
        json!({ "state": false })
    );
    web.set("logged_out", "0");
    web.set("cookie_life_s", "3600");
    assert_eq!(web.list("0", &[]).await["state"], true);
    web.world.clock_advance(3_601_000);
    assert_eq!(web.list("0", &[]).await["errno"], 990_001);
    web.set("cookie_life_s", "0");
    web.fault("list", FaultKind::ExpireToken, "");
    assert_eq!(web.list("0", &[]).await["errno"], 990_001);
    assert_eq!(web.list("0", &[]).await["errno"], 990_001, "for good");
    web.cookie = log_in(&web, "alipaymini").await;
    assert_eq!(web.list("0", &[]).await["state"], true);

    // The check of passport ends the tag's other sessions a minute later.
    let sso = "/app/1.0/web/1.0/check/sso";
    web.set("web_keeps_old", "1");
    let old = web.cookie.clone();
    web.cookie = log_in(&web, "alipaymini").await;
    let checked = web.get_raw("passport", sso, &[]).await.json();
    assert_eq!(
        (&checked["state"], &checked["data"]["user_id"]),
        (&json!(0), &json!(123_456_789))
    );
    let new = std::mem::replace(&mut web.cookie, old);
    assert_eq!(web.list("0", &[]).await["state"], true);
    web.world.clock_advance(61_000);
    assert_eq!(web.list("0", &[]).await["errno"], 990_001);
    assert_eq!(web.get_raw("passport", sso, &[]).await.json()["state"], 1);
    web.cookie = new;
    assert_eq!(web.list("0", &[]).await["state"], true);
}

#[tokio::test]
async fn the_front_blocks() {
    let mut web = Web::new();
    let blocked = |raw: Raw| {
        let page = String::from_utf8(raw.body).unwrap();
        assert!(page.contains("访问被阻断"), "{page}");
        raw.status
    };
    // Not the browser of 115.
    web.user_agent = "curl/8.0".to_owned();
    assert_eq!(blocked(web.get_raw("web", "/files", &[]).await), 405);
    web.set("user_agent", "any");
    assert_eq!(web.list("0", &[]).await["state"], true);
    web.set("user_agent", "");
    web.user_agent = USER_AGENT.to_owned();
    // Faults: 405 or what they name; of a call, of the init too.
    web.fault("list", FaultKind::Html, "");
    assert_eq!(blocked(web.get_raw("web", "/files", &[]).await), 405);
    web.fault("list", FaultKind::Html, "418");
    assert_eq!(blocked(web.get_raw("web", "/files", &[]).await), 418);
    let blob = Blob::synthetic(1, 5);
    let form = web.form("a", &blob, &[]).await;
    web.fault("init", FaultKind::Html, "");
    let init = web
        .send_sealed(&encoded(&form), &web.peer.k_ec(0, 0, 0))
        .await;
    assert_eq!(blocked(init), 405);
    // One host, as long as it lasts.
    web.set("blocked", "web");
    for _ in 0..2 {
        assert_eq!(blocked(web.get_raw("web", "/files", &[]).await), 405);
    }
    assert_eq!(web.get_raw("api", "/app/uploadinfo", &[]).await.status, 200);
    web.set("blocked", "api, upload");
    assert_eq!(
        blocked(web.get_raw("api", "/app/uploadinfo", &[]).await),
        405
    );
    assert_eq!(
        blocked(web.get_raw("upload", "/3.0/gettoken.php", &[]).await),
        405
    );
    assert_eq!(web.list("0", &[]).await["state"], true);
    web.set("blocked", "");
    web.set("cookie_qps", "1");
    let mut seen = Vec::new();
    for _ in 0..12 {
        seen.push(web.get_raw("web", "/files", &[]).await.status);
    }
    assert!(seen.contains(&405) && seen[0] == 200, "{seen:?}");
    web.set("cookie_qps", "0");

    // A call must come to its own host; open mode's too.
    let lost = web.get_raw("api", "/files", &[]).await.json();
    assert_eq!(lost["code"], 980_006);
    let lost = web.get_raw("web", "/open/user/info", &[]).await.json();
    assert_eq!(lost["code"], 980_006);
    let version = web
        .get_raw("web", "/1/web/1.0/api/chrome", &[])
        .await
        .json();
    assert_eq!(version["data"]["win"]["version_code"], "36.2.28");
}

#[tokio::test]
async fn errors_come_in_their_envelopes() {
    let web = Web::new();
    web.fault("list", FaultKind::Errno, "911:验证账号");
    let refused = web.list("0", &[]).await;
    assert_eq!(
        (
            &refused["state"],
            &refused["errNo"],
            text(&refused, "error")
        ),
        (&json!(false), &json!(911), "验证账号")
    );
    web.set("errno_text", "1");
    web.fault("mkdir", FaultKind::Errno, "990003");
    let refused = web
        .post("/files/add", &[("pid", "0"), ("cname", "a")])
        .await;
    assert_eq!(
        (&refused["state"], &refused["errno"]),
        (&json!(false), &json!("990003"))
    );
    web.fault("upload_info", FaultKind::Errno, "911");
    let refused = web.get_raw("api", "/app/uploadinfo", &[]).await.json();
    assert_eq!(
        (&refused["errno"], &refused["msg"]),
        (&json!("911"), &json!("injected fault"))
    );
    web.fault("stat", FaultKind::Status, "429,3");
    let limited = web
        .get_raw("web", "/files/get_info", &[("file_id", "1")])
        .await;
    assert_eq!(limited.status, 429);
    let stat = web.world.stat("115-cookie").unwrap();
    assert_eq!(
        (stat.count("list"), stat.count("mkdir"), stat.count("stat")),
        (1, 1, 1)
    );
}
