//! Raw values to checked settings.

use std::path::{Path, PathBuf};

use super::error::{ConfigError, ConfigProblem, Origin};
use super::raw::{self, RawEntry, RawTable, RawValue};
use super::section::Section;
use super::settings::{
    CacheSettings, ClosePolicy, ConflictPolicy, LimitSettings, LogLevel, LogSettings,
    MountSettings, ProfileSettings, ProviderSettings, RiskSettings, Settings, StoreSettings,
    TransferSettings,
};
use super::suggest::did_you_mean;

const TABLES: &[&str] = &[
    "mount", "cache", "transfer", "conflict", "risk", "limits", "store", "log", "provider",
    "profile",
];

const DAY_S: u64 = 86_400;
/// 1 PiB in MiB: more is a mistake of units.
const HUGE_MB: u64 = 1 << 30;

/// Checks everything. `base` is the directory of the file: relative places start there.
///
/// # Errors
/// All mistakes at once.
pub fn check(mut root: RawTable, base: &Path) -> Result<Settings, ConfigError> {
    let mut problems = Vec::new();
    let settings = Settings {
        mount: mount(root.remove("mount"), &mut problems),
        cache: cache(root.remove("cache"), &mut problems),
        transfer: transfer(root.remove("transfer"), &mut problems),
        conflict: conflict(root.remove("conflict"), &mut problems),
        risk: risk(root.remove("risk"), &mut problems),
        limits: limits(root.remove("limits"), &mut problems),
        store: store(root.remove("store"), base, &mut problems),
        log: log(root.remove("log"), &mut problems),
        providers: named("provider", root.remove("provider"), &mut problems, provider),
        profiles: named("profile", root.remove("profile"), &mut problems, profile),
    };
    for (key, entry) in root {
        let what = match entry.value {
            RawValue::Table(_) => "table",
            _ => "key",
        };
        problems.push(ConfigProblem {
            message: format!(
                "unknown {what} `{key}`; {}",
                did_you_mean(&key, TABLES.iter().copied())
            ),
            origin: entry.origin,
            key,
        });
    }
    if problems.is_empty() {
        return Ok(settings);
    }
    problems.sort_by_key(|problem| match &problem.origin {
        Origin::File { line, .. } => *line,
        _ => usize::MAX,
    });
    Err(ConfigError { problems })
}

/// Profiles of a file that holds nothing but `[profile.NAME]` tables.
///
/// # Errors
/// All mistakes at once.
pub fn profiles_from_str(
    text: &str,
    file: &Path,
) -> Result<std::collections::BTreeMap<String, ProfileSettings>, ConfigError> {
    let base = file.parent().unwrap_or(Path::new("."));
    Ok(check(raw::parse(text, file)?, base)?.profiles)
}

fn mount(entry: Option<RawEntry>, problems: &mut Vec<ConfigProblem>) -> MountSettings {
    let default = MountSettings::default();
    let mut section = Section::of("mount", entry, problems);
    let settings = MountSettings {
        ttl_s: section
            .number("ttl_s", 0..=30 * DAY_S)
            .unwrap_or(default.ttl_s),
        negative_ttl_s: section
            .number("negative_ttl_s", 0..=DAY_S)
            .unwrap_or(default.negative_ttl_s),
        uid: id(section.number("uid", 0..=u64::from(u32::MAX - 1))),
        gid: id(section.number("gid", 0..=u64::from(u32::MAX - 1))),
        umask: section.octal("umask").unwrap_or(default.umask),
        allow_other: section.flag("allow_other").unwrap_or(default.allow_other),
        read_only: section.flag("read_only").unwrap_or(default.read_only),
        threads: small(section.number("threads", 1..=64), default.threads),
    };
    section.finish();
    settings
}

fn cache(entry: Option<RawEntry>, problems: &mut Vec<ConfigProblem>) -> CacheSettings {
    let default = CacheSettings::default();
    let mut section = Section::of("cache", entry, problems);
    let settings = CacheSettings {
        stage_budget_mb: section
            .number("stage_budget_mb", 16..=HUGE_MB)
            .unwrap_or(default.stage_budget_mb),
        stage_reserve_mb: section
            .number("stage_reserve_mb", 0..=HUGE_MB)
            .unwrap_or(default.stage_reserve_mb),
        memory_target_mb: section
            .number("memory_target_mb", 32..=1 << 20)
            .unwrap_or(default.memory_target_mb),
    };
    section.finish();
    settings
}

fn transfer(entry: Option<RawEntry>, problems: &mut Vec<ConfigProblem>) -> TransferSettings {
    let default = TransferSettings::default();
    let mut section = Section::of("transfer", entry, problems);
    let close = section.choice(
        "close",
        &[
            ("wait", ClosePolicy::Wait),
            ("auto", ClosePolicy::Auto),
            ("queue", ClosePolicy::Queue),
        ],
    );
    let settings = TransferSettings {
        close: close.unwrap_or(default.close),
        small_file_mb: section
            .number("small_file_mb", 0..=1_024)
            .unwrap_or(default.small_file_mb),
        parallel: small(section.number("parallel", 1..=64), default.parallel),
        threshold_mb: section.number("threshold_mb", 0..=HUGE_MB),
        fallback_cap_mb: section.number("fallback_cap_mb", 0..=HUGE_MB),
    };
    section.finish();
    settings
}

fn conflict(entry: Option<RawEntry>, problems: &mut Vec<ConfigProblem>) -> ConflictPolicy {
    let mut section = Section::of("conflict", entry, problems);
    let policy = section.choice("default", ConflictPolicy::CHOICES);
    section.finish();
    policy.unwrap_or_default()
}

fn risk(entry: Option<RawEntry>, problems: &mut Vec<ConfigProblem>) -> RiskSettings {
    let mut section = Section::of("risk", entry, problems);
    let percent = section.number("rate_percent", 1..=100);
    section.finish();
    RiskSettings {
        rate_percent: percent
            .and_then(|percent| u32::try_from(percent).ok())
            .unwrap_or(RiskSettings::default().rate_percent),
    }
}

fn limits(entry: Option<RawEntry>, problems: &mut Vec<ConfigProblem>) -> LimitSettings {
    let default = LimitSettings::default();
    let mut section = Section::of("limits", entry, problems);
    let settings = LimitSettings {
        deletes_per_minute: section
            .number("deletes_per_minute", 0..=1_000_000)
            .unwrap_or(default.deletes_per_minute),
    };
    section.finish();
    settings
}

fn store(entry: Option<RawEntry>, base: &Path, problems: &mut Vec<ConfigProblem>) -> StoreSettings {
    let mut section = Section::of("store", entry, problems);
    let mut place = |key| section.text(key).map(|text| resolve(base, &text));
    let settings = StoreSettings {
        data_dir: place("data_dir"),
        state_dir: place("state_dir"),
        cache_dir: place("cache_dir"),
        runtime_dir: place("runtime_dir"),
    };
    section.finish();
    settings
}

fn log(entry: Option<RawEntry>, problems: &mut Vec<ConfigProblem>) -> LogSettings {
    let mut section = Section::of("log", entry, problems);
    let settings = LogSettings {
        level: section
            .choice("level", LogLevel::CHOICES)
            .unwrap_or_default(),
        json: section.flag("json").unwrap_or_default(),
    };
    section.finish();
    settings
}

fn provider(name: &str, entry: RawEntry, problems: &mut Vec<ConfigProblem>) -> ProviderSettings {
    let mut section = Section::of(name, Some(entry), problems);
    let settings = ProviderSettings {
        endpoints: section.texts("endpoints"),
        rate_percent: id(section.number("rate_percent", 1..=100)),
    };
    section.finish();
    settings
}

fn profile(name: &str, entry: RawEntry, problems: &mut Vec<ConfigProblem>) -> ProfileSettings {
    let origin = entry.origin.clone();
    let mut section = Section::of(name, Some(entry), problems);
    let settings = ProfileSettings {
        provider: section.required_text("provider", &origin),
        auth_mode: section.text("auth_mode"),
        kind: section.text("kind"),
        root: section.text("root"),
        read_only: section.flag("read_only").unwrap_or(false),
        ttl_s: section.number("ttl_s", 0..=30 * DAY_S),
        account: section.text("account"),
        fields: section.texts("fields"),
        endpoints: section.texts("endpoints"),
    };
    section.finish();
    settings
}

fn named<T>(
    table: &str,
    entry: Option<RawEntry>,
    problems: &mut Vec<ConfigProblem>,
    read: fn(&str, RawEntry, &mut Vec<ConfigProblem>) -> T,
) -> std::collections::BTreeMap<String, T> {
    match entry {
        None => Default::default(),
        Some(RawEntry {
            value: RawValue::Table(inner),
            ..
        }) => inner
            .into_iter()
            .map(|(name, entry)| {
                let value = read(&format!("{table}.{name}"), entry, problems);
                (name, value)
            })
            .collect(),
        Some(RawEntry { value, origin }) => {
            problems.push(ConfigProblem {
                origin,
                key: table.to_owned(),
                message: format!(
                    "`{table}` is {}; write [{table}.NAME] tables",
                    value.shown()
                ),
            });
            Default::default()
        }
    }
}

fn id(number: Option<u64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

fn small(number: Option<u64>, default: usize) -> usize {
    number
        .and_then(|number| usize::try_from(number).ok())
        .unwrap_or(default)
}

/// A place of the file: `~/` is the home directory, a relative one starts at the file.
fn resolve(base: &Path, text: &str) -> PathBuf {
    if let Some(rest) = text.strip_prefix("~/")
        && let Some(home) = std::env::var_os("HOME")
    {
        return PathBuf::from(home).join(rest);
    }
    base.join(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, String> {
        let file = Path::new("/etc/p/config.toml");
        raw::parse(text, file)
            .and_then(|table| check(table, Path::new("/etc/p")))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_nearest() {
        assert_eq!(
            settings("\n[mount]\ntll_s = 3\n").unwrap_err(),
            "/etc/p/config.toml:3: unknown key `mount.tll_s`; did you mean `ttl_s`?"
        );
        assert_eq!(
            settings("[muont]\nttl_s = 3\n").unwrap_err(),
            "/etc/p/config.toml:1: unknown table `muont`; did you mean `mount`?"
        );
    }

    #[test]
    fn a_bad_value_is_shown_with_what_the_key_takes() {
        assert_eq!(
            settings("[transfer]\nclose = \"quque\"\n").unwrap_err(),
            "/etc/p/config.toml:2: `transfer.close` is \"quque\"; it takes one of wait, auto, \
             queue; did you mean \"queue\"?"
        );
        assert_eq!(
            settings("[mount]\nthreads = 0\nttl_s = -1\numask = \"999\"\n").unwrap_err(),
            "/etc/p/config.toml:2: `mount.threads` is 0; it takes a number from 1 to 64\n\
             /etc/p/config.toml:3: `mount.ttl_s` is -1; it takes a number from 0 to 2592000\n\
             /etc/p/config.toml:4: `mount.umask` is \"999\"; it takes permission bits such as \"022\""
        );
        assert!(
            settings("mount = 3\n")
                .unwrap_err()
                .contains("is a table, not 3")
        );
        assert!(
            settings("[profile]\nx = 1\n")
                .unwrap_err()
                .contains("profile.x")
        );
    }

    #[test]
    fn profiles_and_providers_are_read() {
        let read = settings(
            "[provider.s3]\nrate_percent = 50\n[profile.box]\nprovider = \"s3\"\nread_only = true\n\
             [profile.box.fields]\nbucket = \"b\"\nid = 42\n[profile.box.endpoints]\nurl = \"http://127.0.0.1:1\"\n",
        )
        .unwrap();
        assert_eq!(read.providers["s3"].rate_percent, Some(50));
        let profile = &read.profiles["box"];
        assert_eq!(profile.fields["id"], "42");
        assert!(profile.read_only);
        assert_eq!(
            settings("[profile.x]\nroot = \"r\"\n").unwrap_err(),
            "/etc/p/config.toml:1: `profile.x` needs the key `provider`"
        );
    }

    #[test]
    fn places_start_at_the_file() {
        let read = settings("[store]\ndata_dir = \"data\"\nstate_dir = \"/s\"\n").unwrap();
        assert_eq!(read.store.data_dir, Some(PathBuf::from("/etc/p/data")));
        assert_eq!(read.store.state_dir, Some(PathBuf::from("/s")));
    }

    #[test]
    fn the_example_file_says_the_defaults() {
        let text = include_str!("../../config/panfuse.toml");
        assert_eq!(settings(text).unwrap(), Settings::default());
        // The same with every commented key active: each must be one we know.
        let active: String = text
            .lines()
            .map(|line| match line.strip_prefix("#: ") {
                Some(key) => format!("{key}\n"),
                None => format!("{line}\n"),
            })
            .collect();
        settings(&active).unwrap();
        for key in [
            "threshold_mb",
            "data_dir",
            "uid",
            "rate_percent",
            "deletes_per_minute",
        ] {
            assert!(
                active.contains(&format!("\n{key} = ")),
                "{key} is not shown"
            );
        }
    }
}
