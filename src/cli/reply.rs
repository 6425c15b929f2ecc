//! What a command answers, and how it is shown.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::config::ConfigError;
use crate::drive::DriveError;
use crate::profile::{Problem, ProfileError};
use crate::vault::VaultError;

/// Done.
pub const EXIT_DONE: u8 = 0;
/// Failed.
pub const EXIT_FAILED: u8 = 1;
/// Wrong use or wrong configuration.
pub const EXIT_USAGE: u8 = 2;

/// A good answer: the same facts as JSON and as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The document of `--json`.
    pub json: Value,
    /// The text for people; may be empty.
    pub text: String,
    /// Remarks for standard error.
    pub notes: Vec<String>,
    /// Everything was printed while the command ran; nothing is added at its end.
    pub said: bool,
}

impl Reply {
    /// An answer.
    pub fn new(json: Value, text: impl Into<String>) -> Self {
        Reply {
            json,
            text: text.into(),
            notes: Vec::new(),
            said: false,
        }
    }

    /// The end of a command that printed its answer while it ran.
    pub fn said() -> Self {
        Reply {
            said: true,
            ..Reply::default()
        }
    }
}

/// A bad answer. `--json` prints `{"error":{"code","message","hint", ..}}`.
#[derive(Clone, Debug, PartialEq)]
pub struct CliError {
    /// Stable snake_case code.
    pub code: String,
    /// What happened. Holds no secret.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// More members of the JSON error, when there is more to say.
    pub detail: serde_json::Map<String, Value>,
    /// The exit code.
    pub exit: u8,
}

/// How every command ends.
pub type CliResult = Result<Reply, CliError>;

impl CliError {
    /// Something failed: exit code 1.
    pub fn failed(code: impl Into<String>, message: impl Into<String>) -> Self {
        CliError {
            code: code.into(),
            message: message.into(),
            hint: None,
            detail: serde_json::Map::new(),
            exit: EXIT_FAILED,
        }
    }

    /// Wrong use or configuration: exit code 2.
    pub fn usage(code: impl Into<String>, message: impl Into<String>) -> Self {
        CliError {
            exit: EXIT_USAGE,
            ..Self::failed(code, message)
        }
    }

    /// The same with a way out; an empty one is none.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self
    }

    /// The same with one more member in the JSON error.
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.detail.insert(key.to_owned(), value);
        self
    }

    /// The command is declared but not part of this build.
    pub fn not_available(command: &str) -> Self {
        Self::failed(
            "not_available",
            format!("`panfuse {command}` is not available in this build"),
        )
    }

    /// Reads the document of `--json` again, of another process; `None` when it is no error.
    pub fn read(document: &Value) -> Option<CliError> {
        let mut error = document.get("error")?.as_object()?.clone();
        let mut text = |name: &str| match error.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (code, message, hint) = (text("code"), text("message"), text("hint"));
        let exit = error
            .remove("exit")
            .and_then(|exit| u8::try_from(exit.as_u64()?).ok());
        Some(CliError {
            code: code.unwrap_or_default(),
            message: message.unwrap_or_default(),
            hint,
            detail: error,
            exit: exit.unwrap_or(EXIT_FAILED),
        })
    }

    /// The document of `--json`.
    pub fn json(&self) -> Value {
        let mut error = self.detail.clone();
        error.insert("code".to_owned(), json!(self.code));
        error.insert("message".to_owned(), json!(self.message));
        error.insert("hint".to_owned(), json!(self.hint));
        json!({ "error": error })
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let problems: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
        CliError::usage("config", error.to_string()).with("problems", json!(problems))
    }
}

impl From<ProfileError> for CliError {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::Config(error) => error.into(),
            ProfileError::InConfigFile(..) => CliError::usage("in_config_file", error.to_string()),
            ProfileError::Io(_) => CliError::failed("local_disk", error.to_string()),
        }
    }
}

impl From<VaultError> for CliError {
    fn from(error: VaultError) -> Self {
        let message = error.to_string();
        match error {
            VaultError::Key(_) => CliError::usage("vault_key", message),
            VaultError::Damaged(..) => CliError::failed("vault_damaged", message),
            VaultError::Name(_) => CliError::usage("bad_name", message),
            VaultError::Database(_) | VaultError::Io(_) => CliError::failed("local_disk", message),
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        CliError::failed("local_disk", error.to_string())
    }
}

impl From<DriveError> for CliError {
    fn from(error: DriveError) -> Self {
        CliError::failed(error.code_name(), error.to_string()).hint(error.hint().unwrap_or(""))
    }
}

impl From<Vec<Problem>> for CliError {
    fn from(problems: Vec<Problem>) -> Self {
        let Some(first) = problems.first() else {
            return CliError::usage("usage", "wrong use");
        };
        let message: Vec<&str> = problems.iter().map(|p| p.message.as_str()).collect();
        let hints: Vec<&str> = problems
            .iter()
            .map(|problem| problem.hint.as_str())
            .filter(|hint| !hint.is_empty())
            .collect();
        CliError::usage(first.code, message.join("; "))
            .hint(hints.join("; "))
            .with("problems", json!(problems))
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        vec![problem].into()
    }
}

/// Prints the end of a command and tells its exit code. A reader that went away (`| head`) is
/// no failure of ours.
pub(super) fn print(
    result: &CliResult,
    as_json: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let (written, exit) = match result {
        Ok(reply) => {
            for note in &reply.notes {
                let _ = writeln!(err, "panfuse: {note}");
            }
            let written = if reply.said {
                Ok(())
            } else if as_json {
                writeln!(out, "{}", reply.json)
            } else if reply.text.is_empty() {
                Ok(())
            } else {
                writeln!(out, "{}", reply.text.trim_end_matches('\n'))
            };
            (written, EXIT_DONE)
        }
        Err(error) if as_json => (writeln!(out, "{}", error.json()), error.exit),
        Err(error) => {
            let _ = writeln!(err, "panfuse: {}", error.message);
            if let Some(hint) = &error.hint {
                let _ = writeln!(err, "  {hint}");
            }
            (Ok(()), error.exit)
        }
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(err, "panfuse: standard output: {error}");
            exit.max(EXIT_FAILED)
        }
        _ => exit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(result: &CliResult, json: bool) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = print(result, json, &mut out, &mut err);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (code, text(out), text(err))
    }

    #[test]
    fn good_and_bad_answers_have_their_streams() {
        let mut reply = Reply::new(json!({"a": 1}), "one\ntwo");
        reply.notes.push("mind".to_owned());
        let good = Ok(reply);
        assert_eq!(
            shown(&good, false),
            (0, "one\ntwo\n".into(), "panfuse: mind\n".into())
        );
        assert_eq!(
            shown(&good, true),
            (0, "{\"a\":1}\n".into(), "panfuse: mind\n".into())
        );
        let bad = Err(CliError::usage("bad_name", "no")
            .hint("yes")
            .with("n", json!(3)));
        assert_eq!(
            shown(&bad, false),
            (2, String::new(), "panfuse: no\n  yes\n".into())
        );
        let (code, out, err) = shown(&bad, true);
        assert_eq!((code, err.as_str()), (2, ""));
        assert_eq!(
            serde_json::from_str::<Value>(&out).unwrap(),
            json!({"error":{"code":"bad_name","message":"no","hint":"yes","n":3}})
        );
    }

    #[test]
    fn what_was_said_is_not_said_again() {
        for as_json in [false, true] {
            let ended = shown(&Ok(Reply::said()), as_json);
            assert_eq!(ended, (0, String::new(), String::new()));
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure_but_a_full_disk_is() {
        let good = Ok(Reply::new(json!(1), "x"));
        let print_to = |kind| print(&good, false, &mut Broken(kind), &mut Vec::new());
        assert_eq!(print_to(io::ErrorKind::BrokenPipe), 0);
        assert_eq!(print_to(io::ErrorKind::StorageFull), 1);
    }
}
