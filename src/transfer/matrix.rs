//! Which way a copy between two drives takes, derived from what both declare and from nothing else
//! (SPEC 3.13). What the knowledge base remembers of a file makes it cheaper, never dearer.

use serde::Serialize;

use super::plan::{Asking, cheapest};
use super::result::Phase;
use super::verify;
use crate::drive::{Capabilities, Cost, Gives, GivesWhen};
use crate::fingerprint::Kind;

/// The ways of SPEC 3.13, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The provider copies it itself.
    Copied,
    /// Fingerprints that are known suffice.
    Metadata,
    /// Fingerprints and small ranges.
    Ranges,
    /// After one full read.
    Download,
    /// The target fetches what it wants.
    Pulled,
    /// The target cannot be asked: streamed.
    Never,
    /// The target takes no file.
    Refused,
}

impl Class {
    /// As the table shows it.
    pub fn letter(self) -> &'static str {
        match self {
            Class::Copied => "C",
            Class::Metadata => "M",
            Class::Ranges => "R",
            Class::Download => "D",
            Class::Pulled => "S",
            Class::Never => "N",
            Class::Refused => "-",
        }
    }
}

/// One end of a copy.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its name: a profile, or a provider where none is meant.
    pub name: String,
    /// Whether it is one drive with itself when both ends have this name; else another account.
    pub is_profile: bool,
    /// Registry key.
    pub provider: &'static str,
    /// What it declares.
    pub capabilities: &'static Capabilities,
    /// Whether nothing is written there, by the profile's own setting.
    pub read_only: bool,
}

/// What a copy costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    /// The phase that brings the content.
    pub phase: Phase,
    /// Content bytes read from the source, the proof aside.
    pub bytes_from_source: u64,
    /// Further bytes of the content that a proof or a comparison of samples may want, at most.
    pub proof_bytes: u64,
    /// Content bytes sent to the target.
    pub bytes_to_target: u64,
    /// Calls to the source, ranges of content aside.
    pub source_calls: u32,
    /// Calls to the target, ranges and parts aside.
    pub target_calls: u32,
}

/// The way of files up to a size.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Way {
    /// Largest size in bytes; `None` when there is no limit.
    pub up_to: Option<u64>,
    /// Which.
    pub class: Class,
    /// Why.
    pub reason: String,
    /// Fingerprints the question names.
    pub asks: Vec<String>,
    /// Calls to the source for fingerprints it tells only when asked.
    pub lookups: u32,
    /// Content bytes read for the question; `None` for all of them.
    pub reads: Option<u64>,
    /// Whether samples of both sides are compared, because no hash that both sides vouch for
    /// tells that they are equal: at most 256 KiB of each.
    pub samples: bool,
    /// Whether an uploader's claim is what is asked by.
    pub claimed: bool,
    #[serde(skip)]
    common: bool,
    #[serde(skip)]
    vouched: bool,
}

/// One cell of the matrix.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// Where from.
    pub source: String,
    /// Where to.
    pub target: String,
    /// The ways by size, small ones first.
    pub ways: Vec<Way>,
    #[serde(skip)]
    ends: (&'static Capabilities, &'static Capabilities),
}

impl Cell {
    /// Derives it.
    pub fn new(source: &Side, target: &Side) -> Cell {
        let mut ways: Vec<Way> = Vec::new();
        for up_to in sizes(target.capabilities) {
            let way = way(source, target, up_to);
            match ways.last_mut() {
                Some(last) if last.is_like(&way) => *last = way,
                _ => ways.push(way),
            }
        }
        Cell {
            source: source.name.clone(),
            target: target.name.clone(),
            ways,
            ends: (source.capabilities, target.capabilities),
        }
    }

    /// The way of a file of `size` bytes; `None` when the target takes none so large.
    pub fn way(&self, size: u64) -> Option<&Way> {
        self.ways
            .iter()
            .find(|way| way.up_to.is_none_or(|most| size <= most))
    }

    /// What a copy of `size` bytes costs when the target has the content, or has not, and when a
    /// download link of the source is kept (`warm`) or not. `None` when it is refused.
    pub fn expect(&self, size: u64, hit: bool, warm: bool) -> Option<Expected> {
        let way = self.way(size).filter(|way| way.class != Class::Refused)?;
        let (source, target) = self.ends;
        let hit = hit || way.class == Class::Copied;
        let whole = way.reads.is_none();
        let asked = way.reads.unwrap_or(0).min(size);
        // What was sent is compared by samples where the target vouches for no hash. They come from
        // the source unless the stage has it all.
        // Of what the target fetched nobody here has read all.
        let pulled = way.class == Class::Pulled;
        let unvouched = !hit && (!vouches(target) || pulled && !way.vouched);
        let proof = asked + if unvouched { verify::sampled(size) } else { 0 };
        let phase = match way.class {
            Class::Copied => Phase::P0,
            Class::Metadata | Class::Pulled if hit => Phase::P1,
            Class::Ranges if hit => Phase::P2,
            Class::Download if hit => Phase::P3,
            _ => Phase::P4,
        };
        let sampled = if way.samples && hit {
            verify::sampled(size)
        } else {
            0
        };
        let all = if whole || !hit { size } else { 0 };
        let bytes_from_source = all + sampled;
        let link = match warm || bytes_from_source + proof == 0 {
            true => 0,
            false => source.calls.link,
        };
        // A full read ends with the question whether the source is still the same, unless a hash
        // it vouches for says so.
        let unchanged = u32::from(bytes_from_source >= size && !way.common && !pulled);
        let made = match way.class {
            Class::Copied => target.calls.copy,
            _ if hit => target.calls.hit,
            // A claim that missed is no last word: what it opened is given up, everything is read,
            // and it is asked again.
            _ if way.claimed => target.calls.upload + target.calls.hit + 1,
            _ => target.calls.upload,
        };
        let compared = if sampled > 0 { target.calls.link } else { 0 };
        Some(Expected {
            phase,
            bytes_from_source,
            proof_bytes: proof,
            bytes_to_target: if hit { 0 } else { size },
            source_calls: way.lookups + link + unchanged,
            target_calls: made + compared,
        })
    }
}

impl Way {
    fn is_like(&self, other: &Way) -> bool {
        let plain = |way: &Way| Way {
            up_to: None,
            ..way.clone()
        };
        plain(self) == plain(other)
    }
}

/// Sizes at which something changes for the target, the last one its largest.
fn sizes(target: &Capabilities) -> Vec<Option<u64>> {
    let most = target.upload.max_size;
    let mut sizes: Vec<u64> = target
        .questions
        .iter()
        .flat_map(|question| [question.max_size, question.min_size.checked_sub(1)])
        .flatten()
        .filter(|size| most.is_none_or(|most| *size < most))
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes.into_iter().map(Some).chain([most]).collect()
}

fn way(source: &Side, target: &Side, up_to: Option<u64>) -> Way {
    let (gives, takes) = (source.capabilities, target.capabilities);
    let make = |class, reason: String| Way {
        up_to,
        class,
        reason,
        asks: Vec::new(),
        lookups: 0,
        reads: Some(0),
        samples: false,
        claimed: false,
        common: false,
        vouched: false,
    };
    if takes.read_only || target.read_only {
        return make(Class::Refused, format!("{} is read-only", target.name));
    }
    let saved = source.provider == target.provider && gives.shared && takes.saves_shared;
    if saved || (target.is_profile && source.name == target.name && takes.copy) {
        let reason = match saved {
            true => format!("{} saves what is shared itself", target.provider),
            false if takes.copy_with_name => format!("{} copies it itself", target.provider),
            false => format!(
                "{} copies it itself into another directory under the same name",
                target.provider
            ),
        };
        return make(Class::Copied, reason);
    }
    // Without a limit any size that is larger than every window will do.
    let size = up_to.unwrap_or(1 << 40);
    let Some(asking) = cheapest(takes.questions, size, |kind| listed_cost(gives, kind, size))
    else {
        let trusted = told(gives, &[]);
        return Way {
            samples: !vouched(takes, &trusted),
            reads: Some(0),
            ..make(
                Class::Never,
                "it cannot be asked; the content is sent".to_owned(),
            )
        };
    };
    let looked_up: Vec<Kind> = asking
        .lacking
        .iter()
        .copied()
        .filter(|kind| gives.cost(*kind, size) == Cost::OneCall)
        .collect();
    let trusted = told(gives, &looked_up);
    let (class, reads) = match &asking {
        // What it wants as a proof it fetches, like everything else.
        Asking { full: false, .. } if takes.upload.pulled => (Class::Pulled, Some(0)),
        Asking { full: true, .. } => (Class::Download, None),
        Asking { bytes: 0, .. } => (Class::Metadata, Some(0)),
        Asking { bytes, .. } => (Class::Ranges, Some(*bytes)),
    };
    // A window hash and an uploader's claim do not vouch for the content.
    let unvouched = |kind: &Kind| kind.is_strong() && !trusted.contains(kind);
    let claimed = !asking.full && asking.question.kinds.iter().any(unvouched);
    let windows = asking.question.kinds.contains(&Kind::Cid);
    Way {
        asks: asking.question.kinds.iter().map(Kind::to_string).collect(),
        lookups: u32::try_from(looked_up.len()).unwrap_or(u32::MAX),
        reads,
        claimed: claimed && !takes.upload.pulled,
        samples: (claimed || windows) && !vouched(takes, &trusted)
            || !asking.full && !vouched_after(takes, &trusted, asking.question.kinds),
        vouched: vouched(takes, &trusted),
        common: gives
            .gives
            .iter()
            .any(|given| is_listed(given) && given.kind.is_strong() && given.origin.is_trusted()),
        ..make(class, reason(&asking, &looked_up))
    }
}

/// What learning a fingerprint costs where listings tell all that is declared.
fn listed_cost(gives: &Capabilities, kind: Kind, size: u64) -> Cost {
    let mut given = gives.gives.iter().filter(|given| given.kind == kind);
    match given.any(is_listed) {
        true => Cost::Known,
        false => gives.cost(kind, size),
    }
}

/// Strong kinds of the content that the source vouches for, listed or looked up.
fn told(gives: &Capabilities, looked_up: &[Kind]) -> Vec<Kind> {
    let given = gives.gives.iter().filter(|given| {
        given.kind.is_strong()
            && given.origin.is_trusted()
            && (is_listed(given) || looked_up.contains(&given.kind))
    });
    given.map(|given| given.kind).collect()
}

/// Whether listings tell it. What they tell of some files only is taken as told: where it is not, the
/// way is the one of a file without it.
fn is_listed(given: &Gives) -> bool {
    matches!(given.when, GivesWhen::AtList | GivesWhen::Sometimes)
}

/// Whether the target tells some hash of its files that it computed.
fn vouches(takes: &Capabilities) -> bool {
    let mut gives = takes.gives.iter();
    gives.any(|given| given.origin.is_trusted() && given.kind.is_strong())
}

/// Whether the target tells one of these of its new file, having computed it.
fn vouched(takes: &Capabilities, trusted: &[Kind]) -> bool {
    takes
        .gives
        .iter()
        .any(|given| given.origin.is_trusted() && trusted.contains(&given.kind))
}

/// The same after a hit: the provider found the content by the very hashes of the question.
fn vouched_after(takes: &Capabilities, trusted: &[Kind], asked: &[Kind]) -> bool {
    vouched(takes, trusted) || asked.iter().any(|kind| trusted.contains(kind))
}

fn reason(asking: &Asking, looked_up: &[Kind]) -> String {
    let names = |kinds: &[Kind]| {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        names.join(" and ")
    };
    let lacking: Vec<Kind> = asking
        .lacking
        .iter()
        .copied()
        .filter(|kind| !looked_up.contains(kind))
        .collect();
    let asked = names(asking.question.kinds);
    let call = match looked_up {
        [] => String::new(),
        kinds => format!("; one call tells {}", names(kinds)),
    };
    if asking.full {
        let (lacking, take) = (
            names(&lacking),
            if lacking.len() == 1 { "takes" } else { "take" },
        );
        return format!("asked by {asked}; {lacking} {take} one full read{call}");
    }
    match asking.bytes {
        0 => format!("asked by {asked}{call}"),
        bytes if bytes % 1024 == 0 => {
            let kib = bytes / 1024;
            format!("asked by {asked} and at most {kib} KiB of the content{call}")
        }
        bytes => format!("asked by {asked} and at most {bytes} bytes of the content{call}"),
    }
}
