//! Faults a test injects, per account and operation.
//!
//! | kind | arg | who applies it |
//! |---|---|---|
//! | `status` | `status[,seconds]`: 500, no `Retry-After` | the kit |
//! | `html` | - | the kit: a risk-control page as HTTP 200 |
//! | `stall` | ms, one hour | the kit, before the work |
//! | `stall_body` | `bytes[,ms]`: half, one hour | the kit, inside a body |
//! | `cut` | bytes that still pass: half | the kit, connection dropped inside a body |
//! | `slow` | bytes per second, 65536 | the kit, inside a body |
//! | `drop_answer` | - | the kit: the work is done, the connection dropped |
//! | `errno` | the provider's code | the kit, with the simulator's way to write it |
//! | `corrupt` | - | the kit: a bit flips in a download or in what an upload stores |
//! | `lag` | ms, 20000 | the kit's [`super::Account::listed`]: newer entries are missing |
//! | `truncated_page`, `null_list`, `expire_token`, `expire_link`, `commit_fail` | | the simulator |

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// What goes wrong. The text form is snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// An HTTP status without the provider's envelope.
    Status,
    /// An error of the provider.
    Errno,
    /// No answer for a while.
    Stall,
    /// A body that stops.
    StallBody,
    /// A body whose connection breaks.
    Cut,
    /// A slow body.
    Slow,
    /// A listing page with fewer entries than asked for, though more follow.
    TruncatedPage,
    /// A listing that does not know the newest entries yet.
    Lag,
    /// The access token has just expired.
    ExpireToken,
    /// The link (download or part) has just expired.
    ExpireLink,
    /// A bit flips.
    Corrupt,
    /// The upload cannot be committed.
    CommitFail,
    /// A web page where JSON should be.
    Html,
    /// `null` where a list should be.
    NullList,
    /// The work is done, but nobody hears of it.
    DropAnswer,
}

impl FaultKind {
    /// Reads the text form.
    pub fn parse(text: &str) -> Option<FaultKind> {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
    }
}

/// A fault to inject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Operation as named in the meters, `*` for all.
    pub op: String,
    /// What goes wrong.
    pub kind: FaultKind,
    /// How many times; 0 means until the next reset.
    #[serde(default = "once")]
    pub count: u32,
    /// How many times it goes well before.
    #[serde(default)]
    pub after: u32,
    /// Depends on the kind.
    #[serde(default)]
    pub arg: String,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// One fault at the next request of `op`.
    pub fn once(op: &str, kind: FaultKind, arg: &str) -> Fault {
        Fault {
            op: op.to_owned(),
            kind,
            count: 1,
            after: 0,
            arg: arg.to_owned(),
        }
    }

    /// From now on until the next reset.
    pub fn always(op: &str, kind: FaultKind, arg: &str) -> Fault {
        Fault {
            count: 0,
            ..Fault::once(op, kind, arg)
        }
    }
}

/// The faults of an account.
#[derive(Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Adds one.
    pub fn add(&self, fault: Fault) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fault);
    }

    /// Whether `kind` strikes this request of `op`; answers its argument. Ask once per
    /// request and kind: asking counts.
    pub fn take(&self, op: &str, kind: FaultKind) -> Option<String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut struck = None;
        for (index, fault) in all.iter_mut().enumerate() {
            if fault.kind != kind || (fault.op != op && fault.op != "*") {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            let arg = fault.arg.clone();
            if fault.count == 1 {
                all.remove(index);
            } else if fault.count > 1 {
                fault.count -= 1;
            }
            struck = Some(arg);
            break;
        }
        struck
    }

    /// The same for a number: the argument, or `default` when it is no number.
    pub fn take_number(&self, op: &str, kind: FaultKind, default: u64) -> Option<u64> {
        self.take(op, kind)
            .map(|arg| arg.trim().parse().unwrap_or(default))
    }

    /// Takes all faults away.
    pub fn reset(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_waits() {
        let faults = Faults::default();
        faults.add(Fault {
            count: 2,
            after: 1,
            ..Fault::once("list", FaultKind::Errno, "7")
        });
        let struck: Vec<bool> = (0..5)
            .map(|_| faults.take("list", FaultKind::Errno).is_some())
            .collect();
        assert_eq!(struck, [false, true, true, false, false]);
        faults.add(Fault::always("*", FaultKind::Slow, "9"));
        assert_eq!(faults.take_number("x", FaultKind::Slow, 1), Some(9));
        assert_eq!(faults.take_number("y", FaultKind::Slow, 1), Some(9));
        assert_eq!(faults.take("y", FaultKind::Cut), None);
        faults.reset();
        assert_eq!(faults.take("y", FaultKind::Slow), None);
        assert_eq!(FaultKind::parse("drop_answer"), Some(FaultKind::DropAnswer));
        assert_eq!(FaultKind::parse("nonsense"), None);
    }
}
