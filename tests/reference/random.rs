//! The random runs. `PANFUSE_REFERENCE_CASES` sets how many sequences per `close` policy,
//! `PANFUSE_REFERENCE_SEED` another start.

use std::cell::RefCell;

use panfuse::vfs::Close;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::generators::sequence;
use crate::harness;

/// Operations of a sequence at most; half as many on average.
const LENGTH: usize = 60;

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn check(close: Close, start: u8) {
    let config = Config {
        cases: number("PANFUSE_REFERENCE_CASES", 20),
        max_shrink_iters: number("PANFUSE_REFERENCE_SHRINK", 60),
        failure_persistence: None,
        ..Config::default()
    };
    let mut seed = [start; 32];
    seed[..4].copy_from_slice(&number("PANFUSE_REFERENCE_SEED", 0).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let first = RefCell::new(None);
    let outcome = runner.run(&sequence(LENGTH), |ops| {
        runtime
            .block_on(harness::run(close, &ops))
            .map_err(|error| {
                if first.borrow().is_none() {
                    eprintln!("{close:?}: {error}");
                    *first.borrow_mut() = Some(error.clone());
                }
                TestCaseError::fail(error)
            })
    });
    if let Err(error) = outcome {
        panic!(
            "{error}\nfirst seen as: {}",
            first.take().unwrap_or_default()
        );
    }
}

#[test]
fn random_sequences_with_close_auto_match_the_model() {
    check(Close::Auto, 1);
}

#[test]
fn random_sequences_with_close_wait_match_the_model() {
    check(Close::Wait, 2);
}
