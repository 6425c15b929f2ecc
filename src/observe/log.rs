//! The log: standard error, text or one JSON object per line.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogLevel, LogSettings};

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    directives: String,
}

impl LogFilter {
    /// `PANFUSE_LOG` (a level, or directives such as `info,panfuse::net=debug`) when it is set and
    /// can be read, else the level of the settings. Libraries below panfuse are told at `warn`
    /// and above only: they know nothing of secrets.
    pub fn new(variable: Option<&str>, level: LogLevel) -> LogFilter {
        let given = variable
            .map(str::trim)
            .filter(|text| !text.is_empty() && EnvFilter::builder().parse(text).is_ok());
        let directives = match given {
            Some(text) => match LogLevel::CHOICES.iter().find(|(name, _)| *name == text) {
                Some((_, level)) => for_level(*level),
                None => text.to_owned(),
            },
            None => for_level(level),
        };
        LogFilter { directives }
    }
}

fn for_level(level: LogLevel) -> String {
    let others = level.min(LogLevel::Warn).name();
    format!("{others},panfuse={}", level.name())
}

/// Starts the log of this process. A second call changes nothing (tests share a process).
pub fn init(settings: &LogSettings) {
    let variable = std::env::var("PANFUSE_LOG").ok();
    let filter = LogFilter::new(variable.as_deref(), settings.level);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter.directives))
        .with_writer(std::io::stderr);
    let _ = if settings.json {
        builder.json().flatten_event(true).try_init()
    } else {
        let colour = std::io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        builder.with_ansi(colour).try_init()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_when_it_makes_sense() {
        let of = |variable| LogFilter::new(variable, LogLevel::Info).directives;
        assert_eq!(of(None), "warn,panfuse=info");
        assert_eq!(of(Some("")), "warn,panfuse=info");
        assert_eq!(of(Some("trace")), "warn,panfuse=trace");
        assert_eq!(of(Some("off")), "off,panfuse=off");
        assert_eq!(of(Some("panfuse::net=debug")), "panfuse::net=debug");
        assert_eq!(of(Some("a=b=c=nonsense")), "warn,panfuse=info");
    }
}
