//! The flow of Baidu against its simulator, with a person who does what a test says.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::super::profile::testing::context;
use super::*;
use crate::sim::{Fault, FaultKind, SimProfile, World, WorldOptions};

/// What the person does.
enum Does {
    /// Opens the page, agrees, and pastes what it shows with this around it.
    Pastes(&'static str, &'static str),
    /// Pastes this.
    Says(&'static str),
    /// Opens the page on another device, with this at the end of its address.
    Confirms(&'static str),
    /// Nothing.
    Waits,
    /// Gives up at once.
    GivesUp,
}

struct Tester {
    does: Does,
    said: Mutex<Vec<String>>,
}

impl Tester {
    fn new(does: Does) -> Tester {
        Tester {
            does,
            said: Mutex::default(),
        }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    async fn open(url: String) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    }
}

#[async_trait]
impl Person for Tester {
    fn say(&self, line: &str) {
        self.said.lock().unwrap().push(line.to_owned());
        let Does::Confirms(more) = self.does else {
            return;
        };
        if let Some(rest) = line.strip_prefix("Open ") {
            let (page, code) = rest
                .split_once(" on any device and enter the code ")
                .unwrap();
            let url = format!("{page}?user_code={code}{more}");
            tokio::spawn(Tester::open(url));
        }
    }

    async fn line(&self) -> Result<String, CliError> {
        match self.does {
            Does::Pastes(before, after) => {
                let said = self.said();
                let url = said
                    .lines()
                    .find(|line| line.starts_with("  http"))
                    .unwrap();
                let code = Tester::open(url.trim().to_owned()).await;
                Ok(format!("{before}{code}{after}"))
            }
            Does::Says(text) => Ok(text.to_owned()),
            _ => std::future::pending().await,
        }
    }

    async fn gives_up(&self) {
        if !matches!(self.does, Does::GivesUp) {
            std::future::pending::<()>().await;
        }
    }
}

fn world() -> Arc<World> {
    let world = crate::sim::start(&WorldOptions {
        only: vec!["baidu_netdisk".to_owned()],
        accounts: 2,
    })
    .unwrap();
    world.set("baidu", "device_interval", "1").unwrap();
    world
}

/// The document of a profile that has no tokens yet.
fn app(profile: &SimProfile) -> String {
    json!({
        "fields": profile.fields,
        "secrets": { "client_secret": profile.secrets["client_secret"] },
        "endpoints": profile.endpoints,
    })
    .to_string()
}

fn house(root: &Path) -> Context {
    Context {
        registry: crate::providers::REGISTRY,
        ..context(root)
    }
}

fn words(device: bool) -> LoginArgs {
    LoginArgs {
        name: "b".to_owned(),
        provider: Some("baidu_netdisk".to_owned()),
        device,
        ..LoginArgs::default()
    }
}

async fn run_as(context: &Context, args: &LoginArgs, document: &str, person: &Tester) -> CliResult {
    login(context, args, document, &|_| None, person).await
}

fn secret(context: &Context, name: &str) -> String {
    let stored = context.vault().unwrap().load("b").unwrap();
    let secret = stored.get(name).cloned().unwrap_or_default();
    secret.expose().to_owned()
}

/// Nothing that a person is told or that is printed holds a secret.
fn assert_discreet(context: &Context, told: &str) {
    for name in ["client_secret", "refresh_token", "access_token"] {
        let secret = secret(context, name);
        assert!(secret.is_empty() || !told.contains(&secret), "{name}");
    }
}

#[tokio::test]
async fn a_page_and_its_code_make_a_profile() {
    let (home, world) = (tempfile::tempdir().unwrap(), world());
    let context = house(home.path());
    let document = app(&world.profile("baidu").unwrap());
    let person = Tester::new(Does::Pastes("  ", "\n"));
    let reply = run_as(&context, &words(false), &document, &person)
        .await
        .unwrap();
    assert_eq!(reply.json["validation"]["status"], "verified");
    assert_eq!(reply.json["updated"], false);
    assert_eq!(reply.json["login"]["way"], "code");
    let url = person.said();
    assert!(url.contains("redirect_uri=oob") && url.contains("scope=basic"));
    assert_discreet(&context, &format!("{url} {} {}", reply.json, reply.text));
    let first = secret(&context, "refresh_token");
    assert!(first.starts_with("122."));
    assert!(!secret(&context, "access_expires_at").is_empty());
    // The token came with a life: none was spent on a refresh.
    assert_eq!(world.stat("baidu").unwrap().count("refresh"), 0);

    // Again, by name alone: the app's fields are kept, the pair is replaced.
    let again = LoginArgs {
        provider: None,
        ..words(false)
    };
    let person = Tester::new(Does::Pastes("https://cb.example/?state=x&code=", ""));
    let reply = run_as(&context, &again, "{}", &person).await.unwrap();
    assert_eq!(reply.json["updated"], true);
    assert_ne!(secret(&context, "refresh_token"), first);
    assert_eq!(reply.json["profile"]["fields"]["app_id"], "39140567");
    let list = context.profiles().unwrap();
    let (settings, _) = list.get("b").unwrap();
    assert_eq!(settings.endpoints.len(), 4);
}

#[tokio::test]
async fn another_device_makes_one_too() {
    let (home, world) = (tempfile::tempdir().unwrap(), world());
    let context = house(home.path());
    let document = app(&world.profile("baidu").unwrap());
    let person = Tester::new(Does::Confirms("&account=baidu-2"));
    // The first poll meets a gateway that is out of order.
    world
        .fault("baidu", Fault::once("login", FaultKind::Status, "502"))
        .unwrap();
    world
        .fault("baidu-2", Fault::once("login", FaultKind::Status, "502"))
        .unwrap();
    let reply = run_as(&context, &words(true), &document, &person)
        .await
        .unwrap();
    assert_eq!(reply.json["login"]["way"], "device");
    assert_eq!(reply.json["validation"]["status"], "verified");
    // The one that confirmed is the one that is logged in.
    assert_eq!(world.stat("baidu-2").unwrap().count("list"), 1);
    let said = person.said();
    assert!(
        said.contains("QR picture to scan: http") && said.contains("trying on"),
        "{said}"
    );
    assert_discreet(&context, &format!("{said} {}", reply.json));
}

#[tokio::test]
async fn what_fails_changes_nothing() {
    let (home, world) = (tempfile::tempdir().unwrap(), world());
    let context = house(home.path());
    let document = app(&world.profile("baidu").unwrap());
    world.set("baidu", "device_seconds", "2").unwrap();
    let scope = || Some(Fault::once("login", FaultKind::Errno, "invalid_scope"));
    for (device, does, fault, code) in [
        (true, Does::Confirms("&deny=1"), None, "login_denied"),
        (true, Does::Waits, None, "login_expired"),
        (true, Does::Waits, scope(), "auth"),
        (true, Does::GivesUp, None, "cancelled"),
        (false, Does::GivesUp, None, "cancelled"),
        (false, Does::Says("not a code"), None, "auth"),
        (false, Does::Says(" \n"), None, "no_code"),
        (
            false,
            Does::Says("https://x.example/?error=no"),
            None,
            "no_code",
        ),
    ] {
        if let Some(fault) = fault {
            world.fault("baidu", fault).unwrap();
        }
        let person = Tester::new(does);
        let error = run_as(&context, &words(device), &document, &person)
            .await
            .unwrap_err();
        assert_eq!(error.code, code, "{error:?}");
        assert!(error.hint.is_some(), "{error:?}");
        assert!(context.profiles().unwrap().get("b").is_none(), "{code}");
        assert_eq!(secret(&context, "client_secret"), "", "{code}");
    }
    // A profile that is there keeps what it has.
    let good = Tester::new(Does::Pastes("", ""));
    run_as(&context, &words(false), &document, &good)
        .await
        .unwrap();
    let kept = secret(&context, "refresh_token");
    let person = Tester::new(Does::Says("wrong"));
    run_as(&context, &words(false), "{}", &person)
        .await
        .unwrap_err();
    assert_eq!(secret(&context, "refresh_token"), kept);
}

#[tokio::test]
async fn wrong_use_is_told_before_anybody_is_asked() {
    let (home, world) = (tempfile::tempdir().unwrap(), world());
    let context = house(home.path());
    let person = Tester::new(Does::Waits);
    let document = app(&world.profile("baidu").unwrap());
    let with = |provider: Option<&str>| LoginArgs {
        provider: provider.map(str::to_owned),
        ..words(true)
    };
    let cookie = r#"{"auth_mode":"manual_cookie","secrets":{"cookie":"BDUSS=a; STOKEN=b"}}"#;
    for (provider, document, code) in [
        (None, document.as_str(), "profile_not_found"),
        (Some("local"), "{}", "no_login_flow"),
        (Some("baidu"), document.as_str(), "unknown_provider"),
        (Some("baidu_netdisk"), "{}", "missing_field"),
        (Some("baidu_netdisk"), cookie, "other_auth_mode"),
    ] {
        let error = run_as(&context, &with(provider), document, &person)
            .await
            .unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), (code, 2), "{error:?}");
        assert!(error.hint.is_some(), "{error:?}");
    }
    assert_eq!(person.said(), "");
    assert_eq!(world.stat("baidu").unwrap().count("device_code"), 0);
    let both = LoginArgs {
        input: Some("-".to_owned()),
        ..words(false)
    };
    let error = run(&context, Command::Login(both)).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.exit), ("usage", 2));
}

#[test]
fn the_code_is_found_in_what_was_pasted() {
    let of = |line: &str| code_in(line).map(|code| code.expose().to_owned());
    assert_eq!(of(" abc\r\n").as_deref(), Some("abc"));
    assert_eq!(
        of("http://127.0.0.1:1/cb?code=a%2Bb&state=1").as_deref(),
        Some("a+b")
    );
    for nothing in ["", "  ", "https://x.example/?error=access_denied"] {
        assert_eq!(of(nothing), None);
    }
}

/// The other flow: a QR picture that an app scans. The simulated one is scanned by the second
/// question and confirmed by the third.
#[tokio::test]
async fn a_scanned_picture_logs_in_at_115() {
    let home = tempfile::tempdir().unwrap();
    let world = crate::sim::start(&WorldOptions {
        only: vec!["115_open".to_owned()],
        accounts: 1,
    })
    .unwrap();
    let context = house(home.path());
    let profile = world.profile("115").unwrap();
    let document = json!({
        "fields": { "client_id": "100195125" }, "endpoints": profile.endpoints,
    });
    let args = LoginArgs {
        provider: Some("115_open".to_owned()),
        ..words(true)
    };
    let person = Tester::new(Does::Waits);
    for (status, code) in [("-1", "login_expired"), ("-2", "login_denied")] {
        world.set("115", "qr_status", status).unwrap();
        let error = run_as(&context, &args, &document.to_string(), &person)
            .await
            .unwrap_err();
        assert_eq!(error.code, code, "{error:?}");
    }
    world.set("115", "qr_status", "").unwrap();
    let reply = run_as(&context, &args, &document.to_string(), &person)
        .await
        .unwrap();
    assert_eq!(reply.json["validation"]["status"], "verified");
    assert!(person.said().contains("https://115.com/scan/dg-"));
    assert_discreet(&context, &format!("{} {}", person.said(), reply.json));
    // The page's flow is not offered.
    let error = run_as(
        &context,
        &LoginArgs {
            device: false,
            ..args
        },
        "{}",
        &person,
    )
    .await
    .unwrap_err();
    assert_eq!((error.code.as_str(), error.exit), ("no_login_flow", 2));
}
