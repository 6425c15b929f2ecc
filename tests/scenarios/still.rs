//! A runtime whose clock stands still until a test moves it: deadlines of minutes pass at once,
//! and nothing depends on how fast the machine is. The simulators have real time of their own.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

/// Hard limit of everything here, in real time.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a test with a clock that stands still.
pub fn still<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        // A runtime that is never idle does not move its clock by itself.
        let busy = tokio::spawn(async {
            loop {
                std::thread::sleep(Duration::from_micros(20));
                tokio::task::yield_now().await;
            }
        });
        let result = test.await;
        busy.abort();
        result
    })
}

/// Lets everything happen that needs no time of the clock, until it is `so`.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < LIMIT, "never: {what}");
        tokio::task::yield_now().await;
    }
}

/// The same while nothing is waited for: what would happen by itself has happened by then.
pub async fn breathe() {
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(400) {
        tokio::task::yield_now().await;
    }
}

/// Runs `work` to its end, moving the clock in steps.
pub async fn hurry<T>(what: &str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::task::yield_now() => {}
        }
        let step = Instant::now();
        while step.elapsed() < Duration::from_millis(10) {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::task::yield_now() => {}
            }
        }
        assert!(began.elapsed() < LIMIT, "never: {what}");
        tokio::time::advance(Duration::from_millis(500)).await;
    }
}
