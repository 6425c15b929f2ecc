//! Tests of the budget, on a paused clock.

use super::*;

fn limit(per_second: f64, burst: u32, concurrency: usize) -> ClassLimit {
    ClassLimit {
        class: "api",
        per_second,
        burst,
        concurrency,
    }
}

fn in_flight(budget: &Budget) -> (usize, usize) {
    let load = budget.load()[0];
    (load.in_flight, load.waiting)
}

/// Lets every spawned task run until it waits.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn burst_first_then_the_rate() {
    let budget = Budget::new(&[limit(2.0, 3, 0)]);
    let start = Instant::now();
    for _ in 0..3 {
        drop(budget.acquire("api", Priority::Interactive).await);
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    for _ in 0..4 {
        drop(budget.acquire("api", Priority::Interactive).await);
    }
    // Virtual time: four tokens at two per second, and at most 5 % of jitter.
    let passed = start.elapsed().as_millis();
    assert!((2000..=2110).contains(&passed), "{passed}");
    // A long pause fills the bucket to the burst, not beyond.
    tokio::time::sleep(Duration::from_secs(100)).await;
    let start = Instant::now();
    for _ in 0..4 {
        drop(budget.acquire("api", Priority::Interactive).await);
    }
    assert!(start.elapsed().as_millis() >= 499);
}

#[tokio::test(start_paused = true)]
async fn slots_are_held_until_the_permit_is_dropped() {
    let budget = Budget::new(&[limit(0.0, 1, 2)]);
    let one = budget.acquire("api", Priority::Interactive).await;
    let _two = budget.acquire("api", Priority::Interactive).await;
    let third = tokio::spawn({
        let budget = budget.clone();
        async move { budget.acquire("api", Priority::Interactive).await }
    });
    settle().await;
    assert_eq!(in_flight(&budget), (2, 1));
    assert!(!third.is_finished());
    drop(one);
    let permit = third.await.unwrap();
    assert_eq!(in_flight(&budget), (2, 0));
    drop(permit);
    assert_eq!(in_flight(&budget), (1, 0));
}

async fn order(budget: &Arc<Budget>, waiters: &[(Priority, u32)]) -> Vec<u32> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for &(priority, name) in waiters {
        let budget = budget.clone();
        let sender = sender.clone();
        tokio::spawn(async move {
            let permit = budget.acquire("api", priority).await;
            sender.send(name).unwrap();
            drop(permit);
        });
        settle().await;
    }
    drop(sender);
    let mut seen = Vec::new();
    while let Some(name) = receiver.recv().await {
        seen.push(name);
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn priority_goes_before_arrival() {
    let budget = Budget::new(&[limit(5.0, 1, 0)]);
    drop(budget.acquire("api", Priority::Interactive).await);
    let seen = order(
        &budget,
        &[
            (Priority::Background, 1),
            (Priority::Copy, 2),
            (Priority::Scan, 3),
            (Priority::Interactive, 4),
            (Priority::Copy, 5),
            (Priority::Interactive, 6),
        ],
    )
    .await;
    assert_eq!(seen, [4, 6, 2, 5, 3, 1]);
}

#[tokio::test(start_paused = true)]
async fn background_is_never_starved() {
    let budget = Budget::new(&[limit(1.0, 1, 0)]);
    drop(budget.acquire("api", Priority::Interactive).await);
    let background = tokio::spawn({
        let budget = budget.clone();
        async move { budget.acquire("api", Priority::Background).await }
    });
    settle().await;
    // Two users who come back at once would keep the queue full forever.
    for _ in 0..2 {
        let budget = budget.clone();
        tokio::spawn(async move {
            loop {
                drop(budget.acquire("api", Priority::Interactive).await);
            }
        });
    }
    tokio::time::timeout(Duration::from_secs(200), background)
        .await
        .expect("served within four climbs")
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_loses_nothing() {
    let budget = Budget::new(&[limit(10.0, 1, 1)]);
    let held = budget.acquire("api", Priority::Interactive).await;
    let spawn = |priority| {
        let budget = budget.clone();
        tokio::spawn(async move { budget.acquire("api", priority).await })
    };
    let first = spawn(Priority::Interactive);
    settle().await;
    let second = spawn(Priority::Copy);
    settle().await;
    first.abort();
    settle().await;
    assert_eq!(in_flight(&budget), (1, 1));
    drop(held);
    let permit = tokio::time::timeout(Duration::from_secs(5), second)
        .await
        .expect("the next one is woken")
        .unwrap();
    drop(permit);
    // Dropped after it was woken but before it ran: the wake-up must travel on.
    let held = budget.acquire("api", Priority::Interactive).await;
    let first = spawn(Priority::Interactive);
    settle().await;
    let second = spawn(Priority::Interactive);
    settle().await;
    drop(held);
    first.abort();
    tokio::time::timeout(Duration::from_secs(5), second)
        .await
        .expect("the next one is woken")
        .unwrap();
    assert_eq!(in_flight(&budget), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_scan_leaves_one_slot_for_users() {
    let budget = Budget::new(&[limit(0.0, 1, 3)]);
    let _one = budget.acquire("api", Priority::Scan).await;
    let _two = budget.acquire("api", Priority::Background).await;
    let scan = tokio::time::timeout(
        Duration::from_secs(5),
        budget.acquire("api", Priority::Scan),
    );
    assert!(scan.await.is_err());
    let user = budget.acquire("api", Priority::Copy).await;
    drop(user);
    assert_eq!(in_flight(&budget), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn unnamed_classes_share_other_and_classes_do_not_disturb_each_other() {
    let other = ClassLimit {
        class: "other",
        per_second: 0.0,
        burst: 1,
        concurrency: 1,
    };
    let budget = Budget::new(&[limit(0.0, 1, 1), other]);
    let _api = budget.acquire("api", Priority::Copy).await;
    let _unnamed = budget.acquire("never heard of", Priority::Copy).await;
    let wait = tokio::time::timeout(
        Duration::from_secs(1),
        budget.acquire("other", Priority::Copy),
    );
    assert!(wait.await.is_err());
    let free = Budget::new(&[]);
    let _many = [
        free.acquire("a", Priority::Copy).await,
        free.acquire("b", Priority::Copy).await,
    ];
    assert_eq!(free.load()[0].in_flight, 2);
}

#[tokio::test(start_paused = true)]
async fn a_hold_delays_everybody_in_the_class_and_is_bounded() {
    let budget = Budget::new(&[limit(0.0, 1, 0)]);
    budget.hold("api", Duration::from_secs(7));
    budget.hold("api", Duration::from_secs(2));
    let start = Instant::now();
    drop(budget.acquire("api", Priority::Interactive).await);
    assert_eq!(start.elapsed().as_secs(), 7);
    budget.hold("api", Duration::from_secs(3600));
    drop(budget.acquire("api", Priority::Interactive).await);
    assert_eq!(start.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn priority_is_the_tasks() {
    assert_eq!(current_priority(), Priority::Interactive);
    with_priority(Priority::Scan, async {
        assert_eq!(current_priority(), Priority::Scan);
    })
    .await;
}
