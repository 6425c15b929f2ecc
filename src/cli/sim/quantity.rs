//! Sizes, spans of time and arguments of faults as people write them.

use super::FaultArgs;
use crate::cli::CliError;
use crate::config::nearest;
use crate::sim::{Fault, FaultKind};

/// A hundred years: beyond it no provider's way to write a time holds.
const SPAN_MAX_MS: i64 = 36_525 * 86_400_000;

/// Kinds of faults with what `--arg` means to each; `sim/faults.rs` is the source.
pub(super) const KINDS: &[(&str, &str)] = &[
    (
        "status",
        "STATUS[,SECONDS]: an HTTP status without the provider's form (500, no Retry-After)",
    ),
    ("errno", "an error of the provider: its code"),
    (
        "stall",
        "no answer for so many milliseconds (3600000), then the work",
    ),
    (
        "stall_body",
        "BYTES[,MS]: a body stops after them (half, one hour)",
    ),
    (
        "cut",
        "the connection breaks after so many bytes of a body (half)",
    ),
    ("slow", "bytes per second of a body (65536)"),
    ("truncated_page", "a listing page with fewer entries"),
    (
        "lag",
        "milliseconds a listing does not know new entries (20000)",
    ),
    ("expire_token", "the access token has expired"),
    ("expire_link", "the link has expired"),
    ("corrupt", "a bit flips in a download or in what is stored"),
    ("commit_fail", "the upload cannot be committed"),
    ("html", "a risk-control page as HTTP 200"),
    ("null_list", "null where a list should be"),
    (
        "drop_answer",
        "the work is done, the connection breaks before the answer",
    ),
];

/// The same for `--help`.
pub(super) const KINDS_HELP: &str = "\
Kinds, with what --arg says (and what holds without it):
  status          STATUS[,SECONDS]: an HTTP status without the provider's form (500, no Retry-After)
  errno           an error of the provider: its code
  stall           no answer for so many milliseconds (3600000), then the work
  stall_body      BYTES[,MS]: a body stops after them (half, one hour)
  cut             the connection breaks after so many bytes of a body (half)
  slow            bytes per second of a body (65536)
  truncated_page  a listing page with fewer entries
  lag             milliseconds a listing does not know new entries (20000)
  expire_token    the access token has expired
  expire_link     the link has expired
  corrupt         a bit flips in a download or in what is stored
  commit_fail     the upload cannot be committed
  html            a risk-control page as HTTP 200
  null_list       null where a list should be
  drop_answer     the work is done, the connection breaks before the answer";

/// A size in bytes: `4096`, `4K`, `2MiB`, powers of 1024.
///
/// # Errors
/// A text that says what is wrong with it.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let shift = match text
        .get(digits.len()..)
        .unwrap_or("?")
        .to_ascii_lowercase()
        .as_str()
    {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return Err("write bytes, or a number with K, M, G or T".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "write bytes, or a number with K, M, G or T".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "that is more than 16 EiB".to_owned())
}

/// Milliseconds of a span: `+1h`, `-5m`, `+1h30m`, `90s`, `+250ms`, `-2d`.
///
/// # Errors
/// `bad_span`, exit code 2.
pub(super) fn span(text: &str) -> Result<i64, CliError> {
    let wrong = || {
        CliError::usage("bad_span", format!("`{text}` is not a span of time"))
            .hint("write for example +1h, -5m, +90s, +1h30m or +250ms (units: ms, s, m, h, d; at most 36525d)")
    };
    let (sign, mut rest) = match text.as_bytes().first() {
        Some(b'+') => (1, &text[1..]),
        Some(b'-') => (-1, &text[1..]),
        _ => (1, text),
    };
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let end = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .ok_or_else(wrong)?;
        let (digits, after) = rest.split_at(end);
        let end = after
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: i64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let number: i64 = digits.parse().map_err(|_| wrong())?;
        sum = number
            .checked_mul(unit)
            .and_then(|ms| sum.checked_add(ms))
            .filter(|ms| *ms <= SPAN_MAX_MS)
            .ok_or_else(wrong)?;
        rest = after;
    }
    Ok(sign * sum)
}

/// The fault that the words describe.
///
/// # Errors
/// Exit code 2: `unknown_fault`, which lists the kinds, or `bad_fault_arg`.
pub(super) fn fault(args: &FaultArgs) -> Result<Fault, CliError> {
    let names = || KINDS.iter().map(|(name, _)| *name);
    let word = args.kind.replace('-', "_");
    let Some(kind) = FaultKind::parse(&word) else {
        let meant = nearest(&word, names())
            .map(|name| format!("did you mean `{name}`? "))
            .unwrap_or_default();
        let all: Vec<&str> = names().collect();
        return Err(CliError::usage(
            "unknown_fault",
            format!("`{}` is not a kind of fault", args.kind),
        )
        .hint(format!("{meant}kinds: {}", all.join(", "))));
    };
    if args.op.is_empty() {
        return Err(CliError::usage("usage", "the operation is empty")
            .hint("name one as `panfuse sim stat` does, or * for all"));
    }
    let arg = args.arg.clone().unwrap_or_default();
    if !fits(kind, &arg) {
        let means = KINDS
            .iter()
            .find(|(name, _)| *name == word)
            .map_or("", |(_, means)| means);
        return Err(CliError::usage(
            "bad_fault_arg",
            format!("`{arg}` is no argument for the fault {word}"),
        )
        .hint(format!("--arg of {word}: {means}")));
    }
    Ok(Fault {
        op: args.op.clone(),
        kind,
        count: args.count.unwrap_or(1),
        after: args.after.unwrap_or(0),
        arg,
    })
}

/// The world takes its default for a number it cannot read, which would hide a typing mistake.
fn fits(kind: FaultKind, arg: &str) -> bool {
    let number = |text: &str| text.trim().parse::<u64>().is_ok();
    if arg.is_empty() {
        return true;
    }
    match kind {
        FaultKind::Status => {
            let (status, pause) = arg.split_once(',').unwrap_or((arg, "0"));
            let status = status.trim().parse::<u16>();
            status.is_ok_and(|status| (100..1000).contains(&status)) && number(pause)
        }
        FaultKind::Stall | FaultKind::Cut | FaultKind::Slow | FaultKind::Lag => number(arg),
        FaultKind::StallBody => match arg.split_once(',') {
            Some((bytes, ms)) => number(bytes) && number(ms),
            None => number(arg),
        },
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(kind: &str, arg: Option<&str>) -> FaultArgs {
        FaultArgs {
            profile: "a".to_owned(),
            op: "list".to_owned(),
            kind: kind.to_owned(),
            count: None,
            after: Some(2),
            arg: arg.map(str::to_owned),
            admin: super::super::Admin::default(),
        }
    }

    #[test]
    fn spans_have_signs_and_units() {
        for (text, ms) in [
            ("+1h", 3_600_000),
            ("-5m", -300_000),
            ("+90s", 90_000),
            ("90s", 90_000),
            ("-1h30m", -5_400_000),
            ("+250ms", 250),
            ("+2d", 172_800_000),
        ] {
            assert_eq!(span(text).unwrap(), ms, "{text}");
        }
        for bad in [
            "",
            "+",
            "5",
            "+h",
            "+5y",
            "1h+2m",
            "+36526d",
            "+99999999999999d",
            "+99999999999999999999s",
            "+é",
            "１h",
        ] {
            let error = span(bad).unwrap_err();
            assert_eq!((error.code.as_str(), error.exit), ("bad_span", 2), "{bad}");
        }
    }

    #[test]
    fn sizes_have_powers_of_1024() {
        for (text, bytes) in [("0", 0), ("4096", 4096), ("4K", 4096), ("3MiB", 3 << 20)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "K", "-1", "1.5K", "9X", "99999999T", "1é"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_table_of_kinds_is_the_enums() {
        // A kind that is added there must be added here: this match would not compile.
        let text = |kind| match kind {
            FaultKind::Status
            | FaultKind::Errno
            | FaultKind::Stall
            | FaultKind::StallBody
            | FaultKind::Cut
            | FaultKind::Slow
            | FaultKind::TruncatedPage
            | FaultKind::Lag
            | FaultKind::ExpireToken
            | FaultKind::ExpireLink
            | FaultKind::Corrupt
            | FaultKind::CommitFail
            | FaultKind::Html
            | FaultKind::NullList
            | FaultKind::DropAnswer => serde_json::to_value(kind).unwrap(),
        };
        assert_eq!(KINDS.len(), 15);
        let mut help = KINDS_HELP.lines().skip(1);
        for (name, means) in KINDS {
            let kind = FaultKind::parse(name).unwrap();
            assert_eq!(text(kind), *name);
            assert_eq!(help.next(), Some(format!("  {name:<14}  {means}").as_str()));
        }
        assert_eq!(help.next(), None);
    }

    #[test]
    fn mistakes_in_faults_are_told_not_guessed() {
        let good = fault(&args("stall-body", Some("100,50"))).unwrap();
        assert_eq!(
            (good.kind, good.count, good.after),
            (FaultKind::StallBody, 1, 2)
        );
        let error = fault(&args("stal", None)).unwrap_err();
        assert_eq!((error.code.as_str(), error.exit), ("unknown_fault", 2));
        let hint = error.hint.unwrap();
        assert!(
            hint.starts_with("did you mean `stall`?") && hint.contains("drop_answer"),
            "{hint}"
        );
        for (kind, arg) in [
            ("status", "teapot"),
            ("status", "42"),
            ("status", "429,soon"),
            ("slow", "-1"),
            ("stall_body", "1,x"),
        ] {
            let error = fault(&args(kind, Some(arg))).unwrap_err();
            assert_eq!(
                (error.code.as_str(), error.exit),
                ("bad_fault_arg", 2),
                "{kind} {arg}"
            );
        }
        assert!(fault(&args("errno", Some("403:X"))).is_ok());
        assert!(fault(&args("status", Some("429,1"))).is_ok());
    }
}
