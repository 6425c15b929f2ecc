//! `panfuse provider`: the drives this panfuse can speak to.

use serde_json::{Map, Value, json};

use super::{CliResult, Context, Reply, Table};
use crate::drive::{FieldInfo, ProviderInfo};
use crate::profile::find_provider;

/// What to show.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List them
    Ls,
    /// How to log in, addresses and capabilities of one
    Show {
        /// Key, as in `provider ls`
        #[arg(value_name = "KEY")]
        key: String,
    },
}

/// Runs it.
///
/// # Errors
/// Exit code 2 for an unknown key.
pub async fn run(context: &Context, command: Command) -> CliResult {
    match command {
        Command::Ls => Ok(list(context)),
        Command::Show { key } => Ok(show(find_provider(context.registry, &key)?, context)),
    }
}

fn list(context: &Context) -> Reply {
    let mut table = Table::new(context.paint, &["KEY", "NAME", "LOG IN WITH", "STATUS"]);
    let mut items = Vec::new();
    for info in context.registry {
        let modes: Vec<&str> = info.auth_modes.iter().map(|mode| mode.name).collect();
        table.row([
            info.key,
            info.display_name,
            &modes.join(", "),
            &word(info.status),
        ]);
        items.push(json!({
            "key": info.key,
            "display_name": info.display_name,
            "auth_modes": modes,
            "status": info.status,
        }));
    }
    Reply::new(Value::Array(items), table.render())
}

/// The document of CONTRACT, "Profiles".
fn document(info: &ProviderInfo) -> Value {
    let endpoints: Map<String, Value> = info
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.name.to_owned(), json!(endpoint.url)))
        .collect();
    json!({
        "key": info.key,
        "display_name": info.display_name,
        "auth_modes": info.auth_modes,
        "endpoints": endpoints,
        "capabilities": info.capabilities(),
        "login": info.login.map(|login| json!({
            "auth_mode": login.auth_mode(),
            "page": login.has_page(),
            "device": login.has_device(),
        })),
        "status": info.status,
    })
}

fn show(info: &ProviderInfo, context: &Context) -> Reply {
    let paint = context.paint;
    let mut text = format!(
        "{}  {}  {}\n",
        info.key,
        info.display_name,
        word(info.status)
    );
    for mode in info.auth_modes {
        text.push_str(&format!("\n{} ({})\n", mode.name, mode.kind));
        let mut table = Table::plain();
        for field in mode.fields {
            table.row([
                format!("  {}", field.name),
                need(field),
                paint.faint(field.help),
            ]);
        }
        text.push_str(&table.render());
    }
    if !info.endpoints.is_empty() {
        text.push_str("\nendpoints\n");
        let mut table = Table::plain();
        for endpoint in info.endpoints {
            let url = if endpoint.url.is_empty() {
                "-"
            } else {
                endpoint.url
            };
            table.row([format!("  {}", endpoint.name), url.to_owned()]);
        }
        text.push_str(&table.render());
    }
    let capabilities = info.capabilities();
    let kinds = |list: Vec<String>| {
        if list.is_empty() {
            "-".to_owned()
        } else {
            list.join(", ")
        }
    };
    text.push_str("\ncapabilities\n");
    let mut table = Table::plain();
    table.row([
        "  lists".to_owned(),
        kinds(
            capabilities
                .gives
                .iter()
                .map(|gives| gives.kind.to_string())
                .collect(),
        ),
    ]);
    table.row([
        "  fast upload by".to_owned(),
        kinds(
            capabilities
                .questions
                .iter()
                .map(|question| {
                    let all: Vec<String> = question.kinds.iter().map(ToString::to_string).collect();
                    all.join("+")
                })
                .collect(),
        ),
    ]);
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    table.row(["  provider-side copy".to_owned(), yes(capabilities.copy)]);
    table.row(["  trash".to_owned(), yes(capabilities.trash)]);
    table.row(["  writable".to_owned(), yes(!capabilities.read_only)]);
    let finds = &capabilities.finds;
    table.row(["  search".to_owned(), yes(finds.search)]);
    let media = finds.media.iter().map(|kind| kind.name().to_owned());
    table.row(["  lists by kind".to_owned(), kinds(media.collect())]);
    table.row(["  share links".to_owned(), yes(finds.links)]);
    if info.login.is_some() {
        let how = "panfuse token login NAME".to_owned();
        table.row(["  log-in flow".to_owned(), how]);
    }
    text.push_str(&table.render());
    Reply::new(document(info), text)
}

fn need(field: &FieldInfo) -> String {
    let mut words = Vec::new();
    if field.secret {
        words.push("secret".to_owned());
    }
    match field.default {
        Some(default) => words.push(format!("default {default}")),
        None if field.required => words.push("required".to_owned()),
        None => words.push("optional".to_owned()),
    }
    words.join(", ")
}

fn word(status: crate::drive::Status) -> String {
    match serde_json::to_value(status) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::testing::context;
    use super::*;

    #[tokio::test]
    async fn the_document_has_the_names_of_the_contract() {
        let home = tempfile::tempdir().unwrap();
        let context = context(home.path());
        let key = "fake".to_owned();
        let reply = run(&context, Command::Show { key }).await.unwrap();
        for name in [
            "key",
            "display_name",
            "auth_modes",
            "endpoints",
            "capabilities",
            "status",
        ] {
            assert!(reply.json.get(name).is_some(), "{name}");
        }
        assert_eq!(reply.json["endpoints"]["api"], "https://api.fake.example");
        assert_eq!(reply.json["status"], "simulator_verified");
        let field = &reply.json["auth_modes"][0]["fields"][1];
        assert_eq!(
            *field,
            json!({"name":"drive_type","required":false,"secret":false,"default":"default","help":"which drive"})
        );
        assert_eq!(reply.json["auth_modes"][3]["kind"], "share");
        assert!(
            reply.text.contains("refresh_token  secret, required"),
            "{}",
            reply.text
        );
        let list = run(&context, Command::Ls).await.unwrap();
        assert_eq!(list.json[0]["key"], "fake");
        let key = "fakee".to_owned();
        let error = run(&context, Command::Show { key }).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("unknown_provider", 2));
    }
}
