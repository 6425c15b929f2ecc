//! One conformance suite for every provider: what a drive declares in its `Capabilities` is
//! what is observed, through the trait `Drive` only.
//!
//! | file | what is in it |
//! |---|---|
//! | `specs` | what the suite must know of each provider: names of the simulator's operations |
//! | `stage` | a drive on its stage: simulator or directory, clock, credentials, budget |
//! | `actions` | uploads and reads as a planner does them |
//! | `sample` | contents whose reading is counted |
//! | `vault` | credentials in memory, and what had been asked when they were saved |
//! | `cases` | the cases, by subject |
//! | `lost_sessions` | uploads that 123 forgot between two attempts |
//! | `shares_189` | a share of 189 read by somebody who is logged in |
//!
//! Every provider of the registry runs every case, as the test `PROVIDER::SUBJECT::CASE`. A case
//! that a drive's capabilities exclude says so on standard error, with the reason.

mod actions;
mod cases;
mod lost_sessions;
mod sample;
mod shares_189;
mod specs;
mod stage;
mod vault;

use std::fmt::Display;
use std::future::Future;
use std::io::Write as _;
use std::time::Duration;

use stage::Stage;

/// Why a case does not apply to a drive.
pub struct Skip(String);

/// How a case ends when it does not panic.
pub type Outcome = Result<(), Skip>;

/// Ends a case that does not apply.
pub fn skip(reason: impl Display) -> Outcome {
    Err(Skip(reason.to_string()))
}

/// A case that takes longer than this hangs.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs one case for one provider.
fn run<F: Future<Output = Outcome>>(key: &str, case: &str, body: impl FnOnce(Stage) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let outcome = runtime.block_on(async {
        let stage = Stage::open(key);
        if stage.caps.read_only && WRITING.contains(&case) {
            return Ok(skip("the drive is read-only, and the case writes"));
        }
        if stage.caps.upload.pulled && PARTED.contains(&case) {
            return Ok(skip(
                "the provider fetches what it wants of a content: there are no parts and no commit",
            ));
        }
        if !stage.spec.reads && READING.contains(&case) {
            return Ok(skip("the drive hands out no bytes, and the case reads"));
        }
        tokio::time::timeout(DEADLINE, body(stage)).await
    });
    match outcome {
        Ok(Ok(())) => record(key, case, "yes"),
        // Not captured by the test harness: a skipped case is never silent.
        Ok(Err(Skip(reason))) => {
            record(key, case, &reason);
            let _ = writeln!(std::io::stderr(), "skipped: {key} {case}: {reason}");
        }
        Err(_) => panic!("{key} {case} hangs"),
    }
}

/// Where the outcomes are collected for `docs/providers/conformance.md`, one line each.
const LOG: &str = "PANFUSE_CONFORMANCE_LOG";

/// Notes how a case ended, when somebody collects that.
fn record(key: &str, case: &str, outcome: &str) {
    let Some(log) = std::env::var_os(LOG) else {
        return;
    };
    let mut file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(log)
        .expect("the log of the outcomes can be written");
    // One write: other cases write to it at the same time.
    file.write_all(format!("{key}\t{case}\t{outcome}\n").as_bytes())
        .expect("the log of the outcomes can be written");
}

/// Cases that write through the drive, so that a read-only one cannot run them.
const WRITING: &[&str] = &[
    "listing::a_new_file_is_listed",
    "names::awkward_directories_come_back",
    "names::awkward_files_come_back",
    "names::names_that_differ_in_case",
    "names::a_name_that_is_too_long",
    "metadata::a_profile_can_start_below",
    "reading::corrupt_bytes_are_noticed",
    "changing::mkdir_makes_a_directory",
    "changing::mkdir_refuses_a_taken_name",
    "changing::trash_takes_away",
    "changing::trash_of_a_directory",
    "changing::restore_brings_back",
    "uploads::small_files",
    "uploads::three_parts",
    "uploads::known_content_can_be_streamed",
    "uploads::a_part_sent_twice_is_one",
    "uploads::abandon_leaves_nothing",
    "uploads::abandon_twice_is_a_success",
    "uploads::hashes_are_due_as_declared",
    "uploads::an_unfinished_upload_is_not_listed",
    "uploads::a_taken_name_is_refused",
    "uploads::modification_time",
    "uploads::a_missing_parent_is_not_found",
    "uploads::parts_in_parallel",
    "uploads::a_name_taken_meanwhile_is_not_replaced",
    "uploads::a_full_account_is_told",
    "faults::a_lost_commit_answer_is_recognised",
    "faults::a_second_commit_is_a_success",
    "faults::a_failed_commit_publishes_nothing",
    "faults::a_lost_part_answer_is_survived",
    "faults::a_broken_part_is_sent_again",
    "faults::a_corrupt_part_is_not_vouched_for",
    "faults::a_web_page_is_no_answer",
];

/// Cases about sessions, parts and commits, which a drive whose provider fetches the content itself
/// does not have.
const PARTED: &[&str] = &[
    "fast::a_miss_can_be_abandoned",
    "uploads::three_parts",
    "uploads::a_part_sent_twice_is_one",
    "uploads::resume_sends_no_part_again",
    "uploads::resume_of_an_abandoned_session",
    "uploads::abandon_leaves_nothing",
    "uploads::abandon_twice_is_a_success",
    "uploads::hashes_are_due_as_declared",
    "uploads::an_unfinished_upload_is_not_listed",
    "uploads::larger_than_allowed_is_refused",
    "uploads::parts_in_parallel",
    "uploads::a_name_taken_meanwhile_is_not_replaced",
    "faults::a_lost_commit_answer_is_recognised",
    "faults::a_second_commit_is_a_success",
];

/// Cases that read the bytes of files, so that a drive that only lists cannot run them.
const READING: &[&str] = &[
    "reading::ranges",
    "reading::a_cut_is_told_and_taken_up",
    "reading::a_changed_node_is_not_mixed",
    "reading::parallel_ranges",
    "faults::a_server_error_is_retried",
    "tokens::an_expired_link_is_renewed",
    "tokens::a_link_outlived_is_renewed",
    "tokens::links_are_kept",
];

macro_rules! cases {
    ($key:literal: $($room:ident: [$($case:ident),* $(,)?])*) => {
        $(
            mod $room {
                $(
                    #[test]
                    fn $case() {
                        let name = concat!(stringify!($room), "::", stringify!($case));
                        crate::run($key, name, crate::cases::$room::$case);
                    }
                )*
            }
        )*
    };
}

macro_rules! suite {
    ($($module:ident = $key:literal,)*) => {
        $(
            mod $module {
                cases! { $key:
                    listing: [
                        an_empty_directory_has_one_page,
                        pages_follow_each_other,
                        a_truncated_page_loses_nothing,
                        a_null_list_is_empty,
                        a_new_file_is_listed,
                        a_missing_directory_is_not_found,
                        names_that_are_there_twice,
                    ]
                    names: [
                        awkward_directories_come_back,
                        awkward_files_come_back,
                        names_that_differ_in_case,
                        a_name_that_is_too_long,
                    ]
                    metadata: [
                        stat_is_fresh,
                        stat_of_nothing,
                        quota_counts,
                        fingerprints_are_given,
                        capabilities_are_sound,
                        a_profile_can_start_below,
                    ]
                    reading: [
                        ranges,
                        a_cut_is_told_and_taken_up,
                        corrupt_bytes_are_noticed,
                        a_changed_node_is_not_mixed,
                        parallel_ranges,
                    ]
                    changing: [
                        mkdir_makes_a_directory,
                        mkdir_refuses_a_taken_name,
                        rename_keeps_the_content,
                        rename_refuses_a_taken_name,
                        rename_and_extensions,
                        move_keeps_the_name,
                        move_refuses_a_taken_name,
                        copy_makes_another,
                        copy_refuses_a_taken_name,
                        trash_takes_away,
                        trash_of_a_directory,
                        restore_brings_back,
                    ]
                    fast: [
                        every_question_hits,
                        an_empty_file_needs_no_bytes,
                        a_miss_leaves_a_session_or_nothing,
                        a_miss_can_be_abandoned,
                        over_budget_leaves_nothing,
                        over_budget_in_the_proof_leaves_nothing,
                        a_taken_name_is_refused,
                        a_hit_teaches_the_next,
                    ]
                    uploads: [
                        small_files,
                        three_parts,
                        known_content_can_be_streamed,
                        a_part_sent_twice_is_one,
                        resume_sends_no_part_again,
                        resume_of_an_abandoned_session,
                        abandon_leaves_nothing,
                        abandon_twice_is_a_success,
                        hashes_are_due_as_declared,
                        an_unfinished_upload_is_not_listed,
                        larger_than_allowed_is_refused,
                        a_taken_name_is_refused,
                        replace_is_atomic,
                        modification_time,
                        a_missing_parent_is_not_found,
                        parts_in_parallel,
                        a_name_taken_meanwhile_is_not_replaced,
                        a_full_account_is_told,
                    ]
                    faults: [
                        a_lost_commit_answer_is_recognised,
                        a_second_commit_is_a_success,
                        a_failed_commit_publishes_nothing,
                        a_lost_part_answer_is_survived,
                        a_broken_part_is_sent_again,
                        a_corrupt_part_is_not_vouched_for,
                        a_server_error_is_retried,
                        a_throttled_call_waits,
                        an_endless_server_error_ends,
                        a_web_page_is_no_answer,
                        a_lost_answer_of_a_read_is_retried,
                    ]
                    tokens: [
                        an_expired_token_is_renewed_once,
                        a_refused_token_is_renewed_once,
                        a_pair_is_saved_before_it_is_used,
                        a_saved_pair_opens_the_drive_again,
                        tokens_that_are_always_refused_end,
                        many_callers_refresh_once,
                        an_expired_link_is_renewed,
                        a_link_outlived_is_renewed,
                        links_are_kept,
                        a_part_link_that_expired_is_renewed,
                    ]
                }
            }
        )*

        /// Keys of the providers that this suite runs.
        const KEYS: &[&str] = &[$($key),*];
    };
}

suite! {
    pan115_open = "115_open",
    pan115_cookie = "115_open/cookie",
    aliyundrive_open = "aliyundrive_open",
    pan123_open = "123_open",
    pikpak = "pikpak",
    cloud189 = "189cloud",
    cloud189_share = "189cloud/share",
    quark = "quark",
    quark_share = "quark/share",
    uc = "uc",
    uc_share = "uc/share",
    baidu_netdisk = "baidu_netdisk",
    baidu_cookie = "baidu_netdisk/cookie",
    xunlei = "xunlei",
    guangya = "guangya",
    lark_drive = "lark_drive",
    clouddrive2 = "clouddrive2",
    webdav = "webdav",
    s3 = "s3",
    local = "local",
}

/// A provider that is registered is run by the suite, and so are the share of one that has shares
/// and cookies as the other way into an account; and the other way round.
#[test]
fn every_provider_is_run() {
    let mut wanted: Vec<String> = Vec::new();
    for info in panfuse::providers::REGISTRY {
        let shares = info.auth_modes.iter().filter(|mode| mode.kind == "share");
        if shares.clone().count() < info.auth_modes.len() {
            wanted.push(info.key.to_owned());
        }
        let mut others = info.auth_modes.iter().skip(1);
        if others.any(|mode| mode.kind == "account" && mode.name == "manual_cookie") {
            wanted.push(format!("{}/cookie", info.key));
        }
        if shares.count() > 0 {
            wanted.push(format!("{}/share", info.key));
        }
    }
    let mut run = KEYS.to_vec();
    run.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(run, wanted);
    for key in run {
        let spec = specs::of(key);
        assert_eq!((spec.key, spec.share), (key, key.ends_with("/share")));
    }
}
