//! `token login`, `search`, `media` and `share create` against the simulator of Baidu Netdisk. What
//! needs a mount needs `/dev/fuse`; without it those tests say so and pass.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::Arc;

use panfuse::sim::{SeedSource, SimProfile, World, WorldOptions};
use serde_json::{Value, json};

use crate::house::{House, Ran};
use crate::running::{Mount, can_mount};

fn world() -> Arc<World> {
    let world = panfuse::sim::start(&WorldOptions {
        only: vec!["baidu_netdisk".to_owned()],
        accounts: 1,
    });
    let world = world.unwrap();
    world.set("baidu", "device_interval", "1").unwrap();
    world
}

/// What a browser does with an address.
fn browse(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// The document of a profile, with these secrets of it.
fn document(profile: &SimProfile, secrets: &[&str]) -> String {
    let secrets: Value = secrets
        .iter()
        .map(|name| ((*name).to_owned(), json!(profile.secrets[*name])))
        .collect::<serde_json::Map<_, _>>()
        .into();
    json!({
        "auth_mode": profile.auth_mode, "fields": profile.fields, "secrets": secrets,
        "endpoints": profile.endpoints,
    })
    .to_string()
}

fn add(house: &House, name: &str, document: &str) {
    let key = "baidu_netdisk";
    let words = ["profile", "add", name, "--provider", key, "--json", "-"];
    let ran = house.run_with(house.command(&words), document);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_code_from_standard_input_logs_in() {
    let (house, world) = (House::new(), world());
    let profile = world.profile("baidu").unwrap();
    std::fs::write(
        house.path("app.json"),
        document(&profile, &["client_secret"]),
    )
    .unwrap();
    let page = format!(
        "{}/oauth/2.0/authorize?response_type=code&client_id={}&redirect_uri=oob&scope=basic,netdisk",
        profile.endpoints["auth"], profile.fields["client_id"]
    );
    let login = |code: &str| {
        let words = [
            "token",
            "login",
            "b",
            "app.json",
            "--provider",
            "baidu_netdisk",
            "--code",
            "-",
            "--json",
        ];
        house.run_with(house.command(&words), code)
    };
    let wrong = login("nonsense\n");
    assert_eq!(wrong.error(), (1, "auth".to_owned()), "{wrong:?}");
    assert_eq!(
        house.run(&["profile", "show", "b"]).code,
        2,
        "nothing stored"
    );
    let right = login(&format!("{}\n", browse(&page)));
    assert_eq!(right.code, 0, "{right:?}");
    let answer = right.json();
    assert_eq!(answer["profile"]["status"], "verified");
    assert_eq!(
        answer["login"],
        json!({"way":"code","auth_mode":"official_oauth"})
    );
    assert!(right.err.contains("/oauth/2.0/authorize?"), "{right:?}");
    let secret = &profile.secrets["client_secret"];
    assert!(!right.out.contains(secret) && !right.err.contains(secret));
    let refresh = answer["profile"]["secrets"]["refresh_token"].as_str();
    assert!(refresh.unwrap().contains("***"), "{answer}");
}

#[test]
fn another_device_logs_in_and_ctrl_c_gives_up() {
    let (house, world) = (House::new(), world());
    let profile = world.profile("baidu").unwrap();
    std::fs::write(
        house.path("app.json"),
        document(&profile, &["client_secret"]),
    )
    .unwrap();
    let words = [
        "token",
        "login",
        "b",
        "app.json",
        "--provider",
        "baidu_netdisk",
        "--device",
        "--json",
    ];
    for confirmed in [false, true] {
        let mut child = house
            .command(&words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("Ctrl-C gives up") {
            let before = said.len();
            err.read_line(&mut said).unwrap();
            assert!(said.len() > before, "it ended: {said}");
        }
        let rest = said.split_once("Open ").unwrap().1;
        let (page, rest) = rest
            .split_once(" on any device and enter the code ")
            .unwrap();
        let code = rest.lines().next().unwrap();
        if confirmed {
            browse(&format!("{page}?user_code={code}"));
        } else {
            let pid = child.id().to_string();
            let mut kill = std::process::Command::new("kill");
            assert!(kill.args(["-INT", &pid]).status().unwrap().success());
        }
        let mut out = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        err.read_to_string(&mut said).unwrap();
        let ran = Ran {
            code: child.wait().unwrap().code().unwrap_or(-1),
            out,
            err: said,
        };
        if confirmed {
            assert_eq!(ran.code, 0, "{ran:?}");
            assert_eq!(ran.json()["profile"]["status"], "verified");
        } else {
            assert_eq!(ran.error(), (1, "cancelled".to_owned()), "{ran:?}");
            assert_eq!(house.run(&["profile", "show", "b"]).code, 2);
        }
    }
}

#[test]
fn without_a_daemon_or_a_flow_it_is_said() {
    let house = House::new();
    for words in [
        &["search", "b", "cat", "--json"][..],
        &["media", "b", "--json"],
        &["media", "b", "--kind", "video", "--json"],
        &["share", "create", "/nowhere/b/f", "--json"],
    ] {
        let ran = house.run(words);
        assert_eq!(ran.error(), (1, "no_daemon".to_owned()), "{ran:?}");
    }
    let ran = house.run(&["media", "b", "--kind", "films", "--json"]);
    assert_eq!(ran.error(), (2, "unknown_kind".to_owned()), "{ran:?}");
    let words = ["token", "login", "x", "--provider", "local", "--json"];
    let ran = house.run(&words);
    assert_eq!(ran.error(), (2, "no_login_flow".to_owned()), "{ran:?}");
    assert!(ran.out.contains("baidu_netdisk"), "{ran:?}");
    let shown = house.run(&["provider", "show", "baidu_netdisk", "--json"]);
    let shown = shown.json();
    assert_eq!(shown["capabilities"]["search"], true);
    assert_eq!(shown["capabilities"]["share_links"], true);
    assert_eq!(shown["login"]["device"], true);
    let shown = house.run(&["provider", "show", "local", "--json"]).json();
    assert_eq!(shown["capabilities"]["search"], false);
    assert!(shown["login"].is_null());
}

#[test]
fn a_mount_finds_counts_and_shares() {
    if !can_mount() {
        return;
    }
    let (house, world) = (House::new(), world());
    let source = SeedSource::Synthetic { seed: 1 };
    for (path, size) in [("/d/cat.jpg", 2048), ("/d/e/cat.mp4", 10), ("/x.pdf", 20)] {
        world.seed("baidu", path, size, &source).unwrap();
    }
    let profile = world.profile("baidu").unwrap();
    let both = ["client_secret", "refresh_token"];
    add(&house, "b", &document(&profile, &both));
    let cookie = world.profile("baidu-cookie").unwrap();
    add(&house, "c", &document(&cookie, &["cookie"]));
    let mount = Mount::start(&house, &[]);

    let found = house.run(&["search", "b", "cat", "--json"]).json();
    let first = &found["items"][0];
    assert_eq!(
        (&first["path"], &first["name"]),
        (&json!("/b/d/cat.jpg"), &json!("cat.jpg"))
    );
    assert_eq!(
        (&first["size"], &first["dir"]),
        (&json!(2048), &json!(false))
    );
    assert!(first["modified"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        (found["items"].as_array().unwrap().len(), &found["more"]),
        (2, &json!(false))
    );
    let dir = mount.at("c/d/e");
    let words = ["search", "c", "cat", "--in", dir.to_str().unwrap()];
    let text = house.run(&words);
    assert!(text.out.contains("/c/d/e/cat.mp4"), "{text:?}");
    assert!(!text.out.contains("cat.jpg"), "{text:?}");
    let few = house.run(&["search", "b", "cat", "--limit", "1"]);
    assert!(few.err.contains("--limit N"), "{few:?}");
    let none = house.run(&["search", "b", "dog"]);
    assert_eq!((none.code, none.out.as_str()), (0, ""), "{none:?}");
    assert!(none.err.contains("nothing was found"), "{none:?}");

    let counts = house.run(&["media", "b", "--json"]).json();
    assert_eq!(
        counts["counts"][0],
        json!({"kind":"video","count":1,"size":10})
    );
    let text = house.run(&["media", "b"]);
    assert!(text.out.contains("document"), "{text:?}");
    let films = house
        .run(&["media", "b", "--kind", "video", "--json"])
        .json();
    assert_eq!(films["items"][0]["path"], "/b/d/e/cat.mp4");

    let file = mount.at("b/x.pdf");
    let file = file.to_str().unwrap();
    let made = house.run(&["share", "create", file, "--pwd", "a1b2", "--json"]);
    let made = made.json();
    assert_eq!((&made["code"], &made["days"]), (&json!("a1b2"), &json!(7)));
    assert_eq!(browse(made["link"].as_str().unwrap()), "/x.pdf");
    let text = house.run(&["share", "create", file, "--period", "30"]);
    assert!(text.out.contains(", for 30 days"), "{text:?}");

    let other = mount.at("c/x.pdf");
    let ran = house.run(&["share", "create", other.to_str().unwrap(), "--json"]);
    assert_eq!(ran.error(), (1, "unsupported_op".to_owned()), "{ran:?}");
    assert!(ran.json()["error"]["hint"].is_string(), "{ran:?}");
    let bad = house.run(&["share", "create", file, "--pwd", "ABCD", "--json"]);
    assert_eq!(bad.error(), (1, "input".to_owned()), "{bad:?}");
    let nobody = house.run(&["search", "nobody", "x", "--json"]);
    assert_eq!(
        nobody.error(),
        (2, "profile_not_found".to_owned()),
        "{nobody:?}"
    );
}
