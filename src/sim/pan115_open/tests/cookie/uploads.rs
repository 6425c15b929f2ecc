//! Init inside ec115, the challenge, the store.

use super::*;

const MIB: u64 = 1 << 20;

impl Web {
    /// The store's token, asked without cookies.
    async fn token(&self) -> Value {
        let url = self.url("upload", "/3.0/gettoken.php");
        raw(self.http.get(url)).await.json()
    }

    /// Uploads the bytes of a miss in one PUT; answers status and body.
    async fn put(&self, miss: &Value, bytes: &[u8], with_callback: bool) -> (u16, String) {
        let token = self.token().await;
        assert_eq!(token["StatusCode"], "200");
        let url = self.url("upload", "/3.0/getuploadinfo.php");
        let store = raw(self.http.get(url)).await.json();
        assert_eq!(text(&store, "endpoint"), self.endpoints["oss"]);
        let object = text(miss, "object");
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: String| {
            headers.insert(name, HeaderValue::from_str(&value).unwrap());
        };
        add("date", rfc1123(Clock::real_ms()));
        add(
            "x-oss-security-token",
            text(&token, "SecurityToken").to_owned(),
        );
        if with_callback {
            for (name, value) in callbacks(miss) {
                add(name, value);
            }
        }
        let to_sign = sign::string_to_sign("PUT", &headers, "fhnfile", object, &[]);
        let signature = sign::hmac_sha1(text(&token, "AccessKeySecret"), &to_sign);
        let value = format!("OSS {}:{signature}", text(&token, "AccessKeyId"));
        headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
        let url = format!("{}/fhnfile/{object}", text(&store, "endpoint"));
        let got = raw(self.http.put(url).headers(headers).body(bytes.to_vec())).await;
        (got.status, String::from_utf8(got.body).unwrap())
    }
}

fn codes(answer: &Value) -> (i64, i64) {
    let number = |key: &str| answer[key].as_i64().unwrap_or_else(|| panic!("{answer}"));
    (number("status"), number("statuscode"))
}

#[tokio::test]
async fn a_known_content_needs_the_right_answer() {
    let web = Web::new();
    let blob = web.known(1, MIB + 1);
    let asked = web.init("b 名.bin", &blob, &[]).await;
    assert_eq!((codes(&asked), text(&asked, "pickcode")), ((7, 701), ""));
    assert_eq!(
        (text(&asked, "target"), text(&asked, "version")),
        ("U_1_0", "4.0")
    );
    let (start, end) = text(&asked, "sign_check").split_once('-').unwrap();
    let (start, end): (u64, u64) = (start.parse().unwrap(), end.parse().unwrap());
    assert!(end - start == 127 && end < blob.size());
    // Other bytes; then the right ones to a question that is used up.
    let (key, value) = answer(&asked, &blob);
    let (_, other) = answer(&asked, &Blob::synthetic(2, blob.size()));
    for bad in [other.as_str(), &value] {
        let refused = web
            .init("b 名.bin", &blob, &[("sign_key", &key), ("sign_val", bad)])
            .await;
        assert_eq!(
            (codes(&refused), text(&refused, "statusmsg")),
            ((6, 700), "sig invalid")
        );
        assert_eq!(
            (text(&refused, "sign_key"), text(&refused, "sign_check")),
            ("", "")
        );
    }
    // Too late.
    let asked = web.init("b 名.bin", &blob, &[]).await;
    let (key, value) = answer(&asked, &blob);
    web.world.clock_advance(61_000);
    let answered = [("sign_key", key.as_str()), ("sign_val", &value)];
    assert_eq!(
        codes(&web.init("b 名.bin", &blob, &answered).await),
        (6, 700)
    );
    let hit = web.proven("b 名.bin", &blob).await;
    assert_eq!(
        (codes(&hit), &hit["fileid"], text(&hit, "fileinfo")),
        ((2, 0), &json!(0), "")
    );
    // The code of the answer is the file's.
    let code = text(&hit, "pickcode");
    let info = web.get("/files/get_info", &[("pick_code", code)]).await;
    assert_eq!(text(&info["data"][0], "n"), "b 名.bin");
    assert_eq!(web.pick_code("b 名.bin").await, code);
    // The same again is the same entry, small ones are not asked about.
    assert_eq!(text(&web.proven("b 名.bin", &blob).await, "pickcode"), code);
    let small = web.known(3, 10);
    assert_eq!(codes(&web.init("small", &small, &[]).await), (2, 0));
    let nothing = Blob::bytes(Vec::new());
    assert_eq!(codes(&web.init("none", &nothing, &[]).await), (2, 0));
    assert_eq!(web.names("0").await, ["b 名.bin", "none", "small"]);
    web.set("wrong_proof", "702");
    let again = web
        .init("c", &blob, &[("sign_key", "X"), ("sign_val", "Y")])
        .await;
    assert_eq!(codes(&again), (8, 702));
    let (key, value) = answer(&again, &blob);
    let answered = [("sign_key", key.as_str()), ("sign_val", &value)];
    assert_eq!(codes(&web.init("c", &blob, &answered).await), (2, 0));
    web.set("text_numbers", "1");
    assert_eq!(web.init("small", &small, &[]).await["status"], "2");
    let stat = web.world.stat("115").unwrap();
    assert_eq!((stat.rapid_hits, stat.rapid_misses), (6, 0));
    assert_eq!(stat.challenges, 5);
}

#[tokio::test]
async fn everything_in_the_form_is_checked() {
    let mut web = Web::new();
    let blob = Blob::synthetic(1, 5);
    let lower = upper_sha1(&blob).to_lowercase();
    let long = "x".repeat(256);
    for (key, value, code) in [
        ("t", "1700000000", (0, 400)),
        ("t", "soon", (0, 400)),
        ("userkey", "x", (0, 402)),
        ("appid", "7", (0, 402)),
        ("quickid", "x", (0, 402)),
        ("fileid", "12", (0, 402)),
        ("fileid", lower.as_str(), (0, 402)),
        ("filesize", "x", (0, 402)),
        ("filename", "", (0, 402)),
        ("filename", "a/b", (0, 402)),
        ("filename", &long, (0, 402)),
        ("target", "U_2_0", (0, 402)),
        ("target", "U_1_77", (0, 402)),
        ("userid", "7", (0, 402)),
        ("sign_key", "A1", (0, 402)),
        ("appversion", "26.1.0.0", (4, 403)),
        ("appversion", "new", (4, 403)),
        ("appversion", "36.2.28", (4, 403)),
    ] {
        let refused = web.init("a", &blob, &[(key, value)]).await;
        assert_eq!(codes(&refused), code, "{key} {value}: {refused}");
    }
    // What is hashed cannot be changed afterwards.
    let good = web.form("a", &blob, &[]).await;
    let small = web.known(7, 9);
    for (key, value, code) in [
        ("sig", "0", (6, 700)),
        ("target", "U_1_1", (6, 700)),
        ("fileid", &upper_sha1(&small), (6, 700)),
        ("token", "0", (0, 400)),
        ("filesize", "6", (0, 400)),
        ("t", "1", (0, 400)),
    ] {
        let mut form = good.clone();
        for (known, own) in &mut form {
            if known == key {
                *own = value.to_owned();
            }
        }
        assert_eq!(codes(&web.send_init(&form).await), code, "{key}");
    }
    let ms = Clock::real_ms().to_string();
    let fine = web
        .init("a", &blob, &[("t", &ms), ("quickid", &upper_sha1(&blob))])
        .await;
    assert_eq!(codes(&fine), (1, 0));
    web.set("total_size", "4");
    assert_eq!(codes(&web.init("a", &blob, &[]).await), (0, 91_005));
    // The browser shows the version that the form names.
    web.user_agent = "Mozilla/5.0 115Browser/36.2.28".to_owned();
    assert_eq!(codes(&web.init("a", &blob, &[]).await), (4, 403));
    web.set("total_size", "1000");
    assert_eq!(
        codes(&web.init("a", &blob, &[("appversion", "36.2.28")]).await),
        (1, 0)
    );

    // Not encrypted, a spoiled token, another key.
    let url = web.url("upload", "/4.0/initupload.php");
    let form = web.form("a", &blob, &[]).await;
    let plain = web.send(web.http.post(&url).form(&form)).await.json();
    assert_eq!((codes(&plain), text(&plain, "version")), ((4, 403), "3.0"));
    let token = web.peer.k_ec(7, 9, 1);
    let first = if token.starts_with('A') { "B" } else { "A" };
    let spoiled = format!("{first}{}", &token[1..]);
    let spoiled = web.send_sealed(&encoded(&form), &spoiled).await.json();
    assert_eq!(codes(&spoiled), (0, 400));
    let other = ec115::client::Peer::to_server(&[9; 20]);
    let other = web.send_sealed(&encoded(&form), &other.k_ec(0, 0, 0)).await;
    assert_eq!(codes(&other.json()), (0, 400));
    // 115's injected refusals come encrypted.
    for (fault, code) in [
        ("700", (6, 700)),
        ("403", (4, 403)),
        ("777:later", (0, 777)),
    ] {
        web.fault("init", FaultKind::Errno, fault);
        assert_eq!(codes(&web.init("a", &blob, &[]).await), code);
    }
    web.fault("init", FaultKind::Status, "401");
    let raw = web
        .send_sealed(&encoded(&form), &web.peer.k_ec(0, 0, 0))
        .await;
    assert_eq!(raw.status, 401);
}

#[tokio::test]
async fn a_miss_is_uploaded_and_hears_of_its_file() {
    let web = Web::new();
    let blob = Blob::bytes(b"brand new bytes".to_vec());
    let miss = web.init("a.bin", &blob, &[]).await;
    assert_eq!((codes(&miss), text(&miss, "bucket")), ((1, 0), "fhnfile"));
    let var: Value = serde_json::from_str(text(&miss["callback"], "callback_var")).unwrap();
    assert_eq!(
        (text(&var, "x:source"), text(&var, "x:target")),
        ("5", "U_1_0")
    );
    assert_eq!(text(&var, "x:task_uid").len(), 32);
    // Stored, but nobody heard of it: no file.
    let (status, _) = web.put(&miss, b"brand new bytes", false).await;
    assert_eq!((status, web.names("0").await.len()), (200, 0));
    let mut forged = miss.clone();
    let other = text(&miss["callback"], "callback_var").replace("\"5\"", "\"100\"");
    forged["callback"]["callback_var"] = json!(other);
    let (_, answer) = web.put(&forged, b"brand new bytes", true).await;
    let refused: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        refused["state"], false,
        "passed through untouched or not at all"
    );
    // Resumed: the same task, a fresh callback.
    let (user, _) = web.user().await;
    let sha1 = upper_sha1(&blob);
    let mut form = vec![
        ("pickcode", text(&miss, "pickcode")),
        ("target", "U_1_0"),
        ("fileid", sha1.as_str()),
        ("filesize", "15"),
        ("userid", user.as_str()),
    ];
    let path = "/3.0/resumeupload.php";
    let resumed = web.post_raw("upload", path, &form).await.json();
    assert_eq!(
        (codes(&resumed), &resumed["object"]),
        ((1, 0), &miss["object"])
    );
    form[0].1 = "abc";
    assert_eq!(
        codes(&web.post_raw("upload", path, &form).await.json()),
        (0, 402)
    );
    let open = || {
        web.world.tree("115").unwrap()["uploads"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(open(), 1);
    let (status, answer) = web.put(&resumed, b"brand new bytes", true).await;
    assert_eq!(status, 200, "{answer}");
    let done: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (&done["state"], text(&done["data"], "sha1")),
        (&json!(true), sha1.as_str())
    );
    let list = web.list("0", &[]).await;
    assert_eq!(entry(&list, "a.bin")["fid"], done["data"]["file_id"]);
    assert_eq!(entry(&list, "a.bin")["pc"], done["data"]["pick_code"]);
    assert_eq!(open(), 0);
    // It is known now, to both modes.
    assert_eq!(codes(&web.init("b.bin", &blob, &[]).await), (2, 0));
    let open = Client::of(web.world.clone(), "115");
    let hit = open.init("c.bin", &blob, &[]).await;
    assert_eq!(hit["data"]["status"], 2);
    assert_eq!(web.names("0").await, ["a.bin", "b.bin", "c.bin"]);
    // Wrong bytes make no file.
    let promised = Blob::bytes(b"promised".to_vec());
    let miss = web.init("d.bin", &promised, &[]).await;
    let (_, answer) = web.put(&miss, b"other ones", true).await;
    let refused: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(refused["state"], false);
    let stat = web.world.stat("115").unwrap();
    assert_eq!((stat.count("resume"), stat.count("upload_host")), (2, 4));
    assert_eq!((stat.count("upload_token"), stat.count("callback")), (4, 3));
    web.fault("upload_token", FaultKind::Errno, "403");
    assert_eq!(web.token().await["StatusCode"], "403");
}
