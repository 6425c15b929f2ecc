//! What a copy would do, from capabilities and known fingerprints alone: no side effects.

use serde::Serialize;

use super::result::Phase;
use crate::content::{ContentRef, Volume};
use crate::drive::{Content, Cost, Question};
use crate::fingerprint::{Kind, Origin};

/// Strategy names of SPEC 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// A copy at the provider.
    ProviderCopy,
    /// Asked first; no content is sent when the target has it.
    FastUpload,
    /// Read once, then asked, then uploaded when the target does not have it.
    DownloadUpload,
    /// Larger than the threshold: waits for a person.
    PendingManual,
}

/// The plan for one file towards one drive.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Bytes.
    pub size: u64,
    /// What would be done first.
    pub strategy: Strategy,
    /// The first phase that can be decided.
    pub phase: Phase,
    /// Stable code of the reason.
    pub reason_code: &'static str,
    /// The reason in words.
    pub reason: String,
    /// Fingerprints that are known, by name.
    pub available_fast_inputs: Vec<String>,
    /// Fingerprints the cheapest question still lacks.
    pub missing_fast_inputs: Vec<String>,
    /// Most content bytes read from the source before the target answers.
    pub bytes_to_ask: u64,
}

/// Plans a copy of `content` to `target`. `name` and `parent` matter for copies at one provider.
pub fn plan(
    content: &ContentRef,
    target: &Volume,
    name: &str,
    same_directory: bool,
    threshold: Option<u64>,
) -> Plan {
    let size = content.size();
    let capabilities = target.capabilities();
    let known = content.known();
    let available: Vec<String> = known
        .iter()
        .filter(|(_, k)| k.origin > Origin::UserClaim)
        .map(|(k, _)| k.to_string())
        .collect();
    let make = |strategy, phase, code, reason: String, missing: Vec<Kind>, bytes| Plan {
        size,
        strategy,
        phase,
        reason_code: code,
        reason,
        available_fast_inputs: available.clone(),
        missing_fast_inputs: missing.iter().map(Kind::to_string).collect(),
        bytes_to_ask: bytes,
    };
    if let ContentRef::Remote(remote) = content
        && remote.volume().name == target.name
        && capabilities.copy
        && (capabilities.copy_with_name || (remote.node().name == name && !same_directory))
    {
        let reason = format!("{} copies it itself", target.provider);
        return make(
            Strategy::ProviderCopy,
            Phase::P0,
            "provider_copy",
            reason,
            vec![],
            0,
        );
    }
    let best = cheapest(capabilities.questions, size, |kind| content.cost(kind));
    match best {
        Some(Asking {
            lacking,
            bytes,
            full: false,
            ..
        }) => {
            let phase = if bytes == 0 { Phase::P1 } else { Phase::P2 };
            let reason = if bytes == 0 {
                "all fingerprints the target asks for are known".to_owned()
            } else {
                format!("the target can be asked after reading at most {bytes} bytes")
            };
            make(
                Strategy::FastUpload,
                phase,
                "fast_hash_ready",
                reason,
                lacking,
                bytes,
            )
        }
        _ if threshold.is_some_and(|limit| size > limit) => {
            let reason = "the content must be read and is above the threshold".to_owned();
            let code = "fallback_available_but_deferred";
            make(Strategy::PendingManual, Phase::P3, code, reason, vec![], 0)
        }
        Some(Asking { lacking, .. }) => {
            let reason = "the content must be read once before the target can be asked".to_owned();
            let code = "target_hash_not_supported";
            make(
                Strategy::DownloadUpload,
                Phase::P3,
                code,
                reason,
                lacking,
                size,
            )
        }
        None => {
            let reason = "the target has no fast upload".to_owned();
            let code = "target_no_fast_capability";
            make(Strategy::DownloadUpload, Phase::P4, code, reason, vec![], 0)
        }
    }
}

/// What the cheapest question of a drive costs.
pub(super) struct Asking {
    /// The question.
    pub question: &'static Question,
    /// Fingerprints of it that are not known.
    pub lacking: Vec<Kind>,
    /// Most content bytes that are read before it can be answered.
    pub bytes: u64,
    /// Whether that is all of the content.
    pub full: bool,
}

/// The question that reads the least; of equal ones the first, as the drive asks them.
pub(super) fn cheapest(
    questions: &'static [Question],
    size: u64,
    cost: impl Fn(Kind) -> Cost,
) -> Option<Asking> {
    let open = questions.iter().filter(|question| question.takes(size));
    let askings = open.map(|question| {
        let lacking: Vec<Kind> = question
            .kinds
            .iter()
            .copied()
            .filter(|kind| cost(*kind) != Cost::Known)
            .collect();
        let reading = lacking.iter().map(|kind| match cost(*kind) {
            Cost::Known | Cost::OneCall => 0,
            Cost::SmallRanges(bytes) | Cost::FullRead(bytes) => bytes,
        });
        let bytes = reading.max().unwrap_or(0);
        let full = lacking
            .iter()
            .any(|kind| matches!(cost(*kind), Cost::FullRead(_)));
        Asking {
            question,
            lacking,
            bytes: bytes.max(question.range_bytes.min(size)),
            full,
        }
    });
    askings.min_by_key(|asking| (asking.full, asking.bytes))
}
