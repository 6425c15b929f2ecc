//! `panfuse task`: running and finished transfers.

use serde_json::{Value, json};

use super::client::Client;
use super::size::human;
use super::{CliError, CliResult, Context, Paint, Reply, Table};

/// What to do with them. The beginning of an id is enough when only one begins so.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List them
    Ls {
        /// Also those that are done
        #[arg(long, short = 'a')]
        all: bool,
    },
    /// Everything about one
    Show {
        /// Its id
        id: String,
    },
    /// Try a failed one again now
    Retry {
        /// Its id
        id: String,
    },
    /// Stop one and clean up behind it: its file is not stored
    Cancel {
        /// Its id
        id: String,
    },
}

/// Runs it.
///
/// # Errors
/// `no_daemon`, `task_not_found`, `ambiguous_id`, `not_retried`, `task_over`.
pub async fn run(context: &Context, command: Command) -> CliResult {
    let client = Client::new(&context.paths)?;
    let (verb, id) = match command {
        Command::Ls { all } => return list(context, &client, all).await,
        Command::Show { id } => ("show", id),
        Command::Retry { id } => ("retry", id),
        Command::Cancel { id } => ("cancel", id),
    };
    let body = json!({ "id": id });
    let path = format!("/v1/task/{verb}");
    let task = client.call("POST", &path, Some(&body)).await?;
    let text = details(&task);
    Ok(Reply::new(task, text))
}

async fn list(context: &Context, client: &Client, all: bool) -> CliResult {
    let mut answer = client.call("GET", "/v1/tasks", None).await?;
    let tasks = match answer["tasks"].take() {
        Value::Array(tasks) => tasks,
        _ => Vec::new(),
    };
    let told = tasks.len();
    let tasks: Vec<Value> = tasks
        .into_iter()
        .filter(|task| all || !is_past(task))
        .collect();
    let text = shown(&tasks, context.paint);
    let hidden = told - tasks.len();
    let mut reply = Reply::new(json!({ "tasks": tasks }), text);
    if reply.text.is_empty() && !context.json {
        reply.notes.push(match hidden {
            0 => "there are no transfers".to_owned(),
            _ => format!("nothing is under way; {hidden} finished ones are shown with -a"),
        });
    }
    Ok(reply)
}

fn is_past(task: &Value) -> bool {
    matches!(task["state"].as_str(), Some("done" | "cancelled"))
}

fn shown(tasks: &[Value], paint: Paint) -> String {
    if tasks.is_empty() {
        return String::new();
    }
    let heading = ["ID", "STATE", "DONE", "SIZE", "PROFILE", "SOURCE", "ERROR"];
    let mut table = Table::new(paint, &heading);
    for task in tasks {
        let word = |key: &str| task[key].as_str().unwrap_or("").to_owned();
        let size = task["size"].as_u64().unwrap_or(0);
        let state = word("state");
        table.row([
            word("id").chars().take(8).collect(),
            match state.as_str() {
                "failed" => paint.bad(&state),
                "done" => paint.good(&state),
                _ => state.clone(),
            },
            share(&state, task["credit"].as_u64().unwrap_or(0), size),
            human(size),
            word("profile"),
            word("source"),
            word("error"),
        ]);
    }
    table.render()
}

/// How far it is, in whole percent.
fn share(state: &str, credit: u64, size: u64) -> String {
    match (state, size) {
        ("done", _) => "100%".to_owned(),
        (_, 0) => "0%".to_owned(),
        _ => format!("{}%", u128::from(credit) * 100 / u128::from(size)),
    }
}

fn details(task: &Value) -> String {
    let mut table = Table::plain();
    let result = task["result"].as_object().into_iter().flatten();
    let own = task.as_object().into_iter().flatten();
    let fact = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    for (name, value) in own.filter(|(name, _)| *name != "result") {
        if let Some(value) = fact(value) {
            table.row([name.clone(), value]);
        }
    }
    for (name, value) in result {
        // The task told this one already.
        if task.get(name).is_none()
            && let Some(value) = fact(value)
        {
            table.row([name.clone(), value]);
        }
    }
    table.render()
}

/// The one task whose id begins with `prefix`.
///
/// # Errors
/// `task_not_found`, `ambiguous_id` with the ids that begin so.
pub(super) fn only<'a>(
    mut ids: impl Iterator<Item = &'a str>,
    prefix: &str,
) -> Result<&'a str, CliError> {
    let mut found: Option<&str> = None;
    let mut others = Vec::new();
    for id in ids.by_ref().filter(|id| id.starts_with(prefix)) {
        if id == prefix {
            return Ok(id);
        }
        match found {
            None => found = Some(id),
            Some(_) => others.push(id),
        }
    }
    match found {
        Some(id) if others.is_empty() && !prefix.is_empty() => Ok(id),
        Some(id) if !prefix.is_empty() => {
            let shown: Vec<&str> = std::iter::once(id).chain(others).take(5).collect();
            Err(CliError::usage(
                "ambiguous_id",
                format!(
                    "several transfers begin with {prefix}: {}",
                    shown.join(", ")
                ),
            )
            .hint("give more of the id"))
        }
        _ => Err(
            CliError::failed("task_not_found", format!("there is no transfer {prefix:?}"))
                .hint("panfuse task ls -a lists them"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_beginning_names_a_task() {
        let ids = ["abc1", "abc2", "d", "de"];
        let find = |prefix| only(ids.iter().copied(), prefix).map_err(|error| error.code);
        assert_eq!(find("abc1"), Ok("abc1"));
        assert_eq!(find("de"), Ok("de"));
        assert_eq!(find("d"), Ok("d"));
        assert_eq!(find("ab"), Err("ambiguous_id".to_owned()));
        assert_eq!(find("x"), Err("task_not_found".to_owned()));
        assert_eq!(find(""), Err("task_not_found".to_owned()));
        let error = only(ids.iter().copied(), "ab").unwrap_err();
        assert!(error.message.contains("abc1, abc2"), "{}", error.message);
    }

    #[test]
    fn the_list_is_short_and_the_details_are_whole() {
        let task = json!({
            "id": "0123456789abcdef", "state": "running", "profile": "b", "source": "a:/x",
            "size": 2000, "credit": 500, "error": null,
            "result": {"phase": "P1", "source": "a:/x"},
        });
        assert_eq!(
            shown(std::slice::from_ref(&task), Paint::default()),
            "ID        STATE    DONE  SIZE     PROFILE  SOURCE  ERROR\n\
             01234567  running  25%   2.0 KiB  b        a:/x\n"
        );
        let text = details(&task);
        assert_eq!(text.matches("a:/x").count(), 1, "{text}");
        assert!(text.contains("phase") && text.contains("0123456789abcdef"));
        assert!(!text.contains("error"), "{text}");
        assert!(!is_past(&task));
        assert_eq!(share("queued", 0, 0), "0%");
        assert_eq!(share("done", 1, 2), "100%");
    }
}
