//! `panfuse token login`: the log-in flow of a provider, and its tokens into the vault.
//!
//! Nothing is stored before the tokens are there; then secrets and tokens of the profile are
//! replaced in one step. What a person is to do goes to standard error, the answer to standard
//! output. No secret is printed.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use async_trait::async_trait;
use clap::ValueHint;
use serde_json::json;
use tokio::time::Instant;

use super::profile_add::{AddArgs, from_words, keep, merge, read_input};
use super::{CliError, CliResult, Context};
use crate::config::ProfileSettings;
use crate::drive::{DevicePoll, DriveError, ErrorKind, Login, LoginContext, ProviderInfo, Qr};
use crate::net::{Credentials, Secret};
use crate::profile::{
    Problem, ProfileSpec, Source, auth_mode, check, check_name, find_provider, login_context,
};

/// What `slow_down` adds to the pause (RFC 8628).
const SLOWER: Duration = Duration::from_secs(5);

/// Its commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Log a profile in: on a page whose code you paste, or on another device
    Login(LoginArgs),
}

/// Options of `token login`.
#[derive(Debug, Default, clap::Args)]
pub struct LoginArgs {
    /// Name of the profile; made when it is not there
    pub name: String,
    /// Where the JSON document of a new profile is: `-` for standard input, or a file
    #[arg(value_name = "INPUT", value_hint = ValueHint::FilePath)]
    pub input: Option<String>,
    /// Provider key, for a new profile (panfuse provider ls)
    #[arg(long, value_name = "KEY")]
    pub provider: Option<String>,
    /// The code that the page showed; `-` reads it from standard input
    #[arg(long, value_name = "CODE", conflicts_with = "device")]
    pub code: Option<String>,
    /// Confirm on another device instead
    #[arg(long)]
    pub device: bool,
    /// A field that is no secret
    #[arg(long = "field", value_name = "NAME=VALUE")]
    pub fields: Vec<String>,
    /// A secret from an environment variable
    #[arg(long = "secret-env", value_name = "NAME=VARIABLE")]
    pub secret_env: Vec<String>,
    /// Do not ask the provider afterwards whether it works
    #[arg(long)]
    pub no_validate: bool,
}

/// The person at the other end.
#[async_trait]
trait Person: Sync {
    /// Tells a line.
    fn say(&self, line: &str);
    /// Reads the code; `ask` on a terminal.
    async fn line(&self) -> Result<String, CliError>;
    /// Ends when the person gives up.
    async fn gives_up(&self);
}

struct Terminal;

#[async_trait]
impl Person for Terminal {
    fn say(&self, line: &str) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    async fn line(&self) -> Result<String, CliError> {
        if std::io::stdin().is_terminal() {
            let _ = write!(std::io::stderr(), "code: ");
        }
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // A thread of its own: the end of the program does not wait for it.
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line).map(|_| line);
            let _ = sender.send(read);
        });
        match receiver.await {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(error)) => Err(CliError::usage("input", error.to_string())),
            Err(_) => Err(CliError::usage("input", "the code cannot be read")),
        }
    }

    async fn gives_up(&self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // No signals here: the person cannot give up this way.
            std::future::pending::<()>().await;
        }
    }
}

/// Runs it.
///
/// # Errors
/// 2 for a profile or provider that has no such flow; 1 when the provider or the person refuses.
pub async fn run(context: &Context, command: Command) -> CliResult {
    let Command::Login(args) = command;
    if args.input.as_deref() == Some("-") && !args.device {
        let from_stdin = args.code.as_deref().is_none_or(|code| code == "-");
        if from_stdin {
            return Err(CliError::usage(
                "usage",
                "standard input cannot give both the profile and the code",
            )
            .hint("put the profile into a file, or use --device"));
        }
    }
    let document = read_input(args.input.as_deref())?;
    let env = |name: &str| std::env::var(name).ok();
    login(context, &args, &document, &env, &Terminal).await
}

async fn login(
    context: &Context,
    args: &LoginArgs,
    document: &str,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
    person: &dyn Person,
) -> CliResult {
    check_name(&args.name)?;
    let profiles = context.profiles()?;
    let known = profiles
        .get(&args.name)
        .map(|(settings, source)| (settings.clone(), source));
    let key = provider_key(args, known.as_ref())?;
    let info = find_provider(context.registry, &key)?;
    let flows = info.login.ok_or_else(|| no_flow(context, info))?;

    let words = AddArgs {
        name: args.name.clone(),
        provider: key,
        fields: args.fields.clone(),
        secret_env: args.secret_env.clone(),
        ..AddArgs::default()
    };
    let mut given = from_words(&words, document, env, info)?;
    // What the flow brings need not be there, and what a template says there does not matter.
    for name in flows.brings() {
        given.secrets.remove(*name);
    }
    let vault = context.vault()?;
    let stored = vault.load(&args.name)?;
    let mut spec = merge(&given, known.as_ref(), &stored, info, context)?;
    let mode = auth_mode(&spec, info)?;
    if mode.name != flows.auth_mode() {
        return Err(CliError::usage(
            "other_auth_mode",
            format!(
                "profile {} logs in by {}; this flow gives the tokens of {}",
                args.name,
                mode.name,
                flows.auth_mode()
            ),
        )
        .hint("take another name for the profile"));
    }
    let (blocking, remarks) = problems(&spec, info, flows);
    if !blocking.is_empty() {
        return Err(blocking.into());
    }

    let fresh = {
        let deps = context.open_deps(vault.clone())?;
        let flow = login_context(&spec, &deps)?;
        tokio::select! {
            biased;
            () = person.gives_up() => Err(given_up(&args.name)),
            fresh = flow_of(args, flows, &flow, person) => fresh,
        }?
    };
    given.secrets.extend(fresh.clone());
    spec.secrets.extend(fresh);
    let mut reply = keep(
        context,
        vault,
        known,
        &spec,
        &given,
        remarks,
        !args.no_validate,
    )
    .await?;
    let way = if args.device { "device" } else { "code" };
    reply.json["login"] = json!({ "way": way, "auth_mode": flows.auth_mode() });
    reply.text = format!("logged in; {}", reply.text);
    Ok(reply)
}

fn provider_key(
    args: &LoginArgs,
    known: Option<&(ProfileSettings, Source)>,
) -> Result<String, CliError> {
    match (&args.provider, known) {
        (Some(key), _) => Ok(key.clone()),
        (None, Some((settings, _))) => Ok(settings.provider.clone()),
        (None, None) => Err(CliError::usage(
            "profile_not_found",
            format!("no profile is called `{}`", args.name),
        )
        .hint("a new one needs --provider KEY, and the fields of your app: --field, --secret-env or a document")),
    }
}

fn no_flow(context: &Context, info: &ProviderInfo) -> CliError {
    let with: Vec<&str> = context
        .registry
        .iter()
        .filter(|info| info.login.is_some())
        .map(|info| info.key)
        .collect();
    let error = CliError::usage(
        "no_login_flow",
        format!("panfuse has no log-in flow for {}", info.display_name),
    );
    error.hint(format!(
        "panfuse provider show {} says what profile add wants; a flow have: {}",
        info.key,
        with.join(", ")
    ))
}

fn given_up(name: &str) -> CliError {
    CliError::failed("cancelled", "the log-in was given up; nothing was changed")
        .hint(format!("begin again: panfuse token login {name}"))
}

/// What stands in the way, and what is only worth telling.
fn problems(
    spec: &ProfileSpec,
    info: &'static ProviderInfo,
    flows: &dyn Login,
) -> (Vec<Problem>, Vec<Problem>) {
    check(spec, info)
        .into_iter()
        .filter(|problem| !flows.brings().contains(&problem.field.as_str()))
        .partition(|problem| problem.blocking)
}

async fn flow_of(
    args: &LoginArgs,
    flows: &dyn Login,
    context: &LoginContext,
    person: &dyn Person,
) -> Result<Credentials, CliError> {
    let lacks = |what: &str, instead: &str| {
        CliError::usage(
            "no_login_flow",
            format!("this provider has no log-in {what}"),
        )
        .hint(instead)
    };
    if args.device {
        if !flows.has_device() {
            return Err(lacks("on another device", "leave --device out"));
        }
        return on_device(&args.name, flows, context, person).await;
    }
    if !flows.has_page() {
        return Err(lacks("by a page and its code", "use --device"));
    }
    let page = flows.page(context)?;
    let line = match args.code.as_deref() {
        Some(code) if code != "-" => code.to_owned(),
        _ => {
            person.say("Open this page in a browser and agree:");
            person.say(&format!("  {}", page.url));
            person.say("Then paste the code that it shows.");
            person.line().await?
        }
    };
    let code = code_in(&line).ok_or_else(|| {
        CliError::usage("no_code", "no code was given; nothing was changed")
            .hint(format!("begin again: panfuse token login {}", args.name))
    })?;
    Ok(flows.exchange(context, &page, &code).await?)
}

/// The code of what was pasted: itself, or the `code` of the address where the browser landed.
fn code_in(line: &str) -> Option<Secret> {
    let line = line.trim();
    let pasted = match reqwest::Url::parse(line) {
        Ok(url) if url.has_host() => {
            let mut pairs = url.query_pairs();
            pairs.find(|(key, _)| key == "code")?.1.into_owned()
        }
        _ => line.to_owned(),
    };
    Some(Secret::new(pasted)).filter(|code| !code.is_empty())
}

async fn on_device(
    name: &str,
    flows: &dyn Login,
    context: &LoginContext,
    person: &dyn Person,
) -> Result<Credentials, CliError> {
    let again = || format!("begin again: panfuse token login {name} --device");
    let device = flows.begin(context).await?;
    if let (Some(page), Some(code)) = (&device.page, &device.user_code) {
        person.say(&format!(
            "Open {page} on any device and enter the code {code}"
        ));
    }
    match &device.qr {
        Some(Qr::Picture(url)) => person.say(&format!("QR picture to scan: {url}")),
        Some(Qr::Text(text)) => person.say(&format!(
            "Scan a QR picture of {text} (qrencode -t ansiutf8 '{text}' shows one)"
        )),
        None => {}
    }
    let seconds = device.expires_in.as_secs();
    person.say(&format!("Waiting up to {seconds} s; Ctrl-C gives up."));
    let end = Instant::now() + device.expires_in;
    let mut pause = device.interval;
    let mut trouble: Option<DriveError> = None;
    while Instant::now() < end {
        tokio::time::sleep(pause).await;
        match flows.poll(context, &device).await {
            Ok(DevicePoll::Granted(fresh)) => return Ok(fresh),
            Ok(DevicePoll::Pending) => trouble = None,
            Ok(DevicePoll::SlowDown) => {
                trouble = None;
                pause = pause.saturating_add(SLOWER);
            }
            Ok(DevicePoll::Denied) => {
                return Err(CliError::failed(
                    "login_denied",
                    "the log-in was refused on the other device; nothing was changed",
                )
                .hint(again()));
            }
            Ok(DevicePoll::Expired) => break,
            Err(error) if passes(&error) => {
                if trouble.is_none() {
                    person.say(&format!("{error}; trying on"));
                }
                trouble = Some(error);
            }
            Err(error) => return Err(CliError::from(error).hint(again())),
        }
    }
    match trouble {
        Some(error) => Err(CliError::from(error)),
        None => Err(CliError::failed(
            "login_expired",
            format!("nobody confirmed within {seconds} s; nothing was changed"),
        )
        .hint(again())),
    }
}

/// Trouble of a moment: the user may be confirming meanwhile.
fn passes(error: &DriveError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Provider | ErrorKind::RateLimited
    )
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
