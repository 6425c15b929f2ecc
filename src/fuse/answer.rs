//! Running a request to its answer.
//!
//! The kernel's FUSE_INTERRUPT does not reach us (facts/fuse.md A), and a program that waits for
//! our answer cannot die before it. So a request that takes long looks at its caller, and one
//! whose caller is being killed is answered with EINTR.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use crate::vfs::{Caller, FsError, FsResult};

/// How long an operation on names and attributes may take.
pub(super) const METADATA_DEADLINE: Duration = Duration::from_secs(90);

/// A request this young does not look at its caller.
const YOUNG: Duration = Duration::from_millis(500);

/// Between two looks at the caller.
const LOOK: Duration = Duration::from_millis(250);

/// Ends when `caller` is being killed (EINTR) or `deadline` has passed (EHOSTUNREACH, as of a
/// network file system).
async fn gives_up(caller: Caller, deadline: Option<Duration>) -> FsError {
    let began = Instant::now();
    let mut pause = YOUNG;
    loop {
        sleep(pause).await;
        pause = LOOK;
        if deadline.is_some_and(|deadline| began.elapsed() >= deadline) {
            return FsError::new(libc::EHOSTUNREACH);
        }
        if caller.is_dying() {
            return FsError::new(libc::EINTR);
        }
    }
}

/// Runs something that only asks; it is dropped when nobody waits any more.
pub(super) async fn query<T>(
    caller: Caller,
    deadline: Option<Duration>,
    work: impl Future<Output = FsResult<T>>,
) -> FsResult<T> {
    tokio::select! {
        biased;
        result = work => result,
        error = gives_up(caller, deadline) => Err(error),
    }
}

/// Runs something that changes the drive. It always runs to its end, so that memory and drive
/// agree; when the answer was given before, `late` takes what came of it.
pub(super) async fn change<T: Send + 'static>(
    caller: Caller,
    work: impl Future<Output = FsResult<T>> + Send + 'static,
    late: impl FnOnce(T) + Send + 'static,
) -> FsResult<T> {
    change_within(METADATA_DEADLINE, caller, work, late).await
}

async fn change_within<T: Send + 'static>(
    deadline: Duration,
    caller: Caller,
    work: impl Future<Output = FsResult<T>> + Send + 'static,
    late: impl FnOnce(T) + Send + 'static,
) -> FsResult<T> {
    let mut task = tokio::spawn(work);
    let error = tokio::select! {
        biased;
        done = &mut task => return done.unwrap_or_else(|_| Err(FsError::new(libc::EIO))),
        error = gives_up(caller, Some(deadline)) => error,
    };
    tokio::spawn(async move {
        if let Ok(Ok(value)) = task.await {
            late(value);
        }
    });
    Err(error)
}

/// Runs `work` here when it needs to wait for nothing, else on the runtime. `reply` gets the
/// result where it comes up. The caller must be inside the runtime's context.
pub(super) fn here_or_there<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = FsResult<T>> + Send + 'static,
    reply: impl FnOnce(FsResult<T>) + Send + 'static,
) {
    let mut work: Pin<Box<dyn Future<Output = FsResult<T>> + Send>> = Box::pin(work);
    let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
    match work.as_mut().poll(&mut nobody) {
        std::task::Poll::Ready(result) => reply(result),
        std::task::Poll::Pending => {
            runtime.spawn(async move { reply(work.await) });
        }
    }
}

/// Runs blocking work on a thread of its own, for as long as `deadline`. `None` when it hangs;
/// the thread then stays behind until the kernel lets it go.
pub(super) fn on_a_thread<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = std::sync::mpsc::sync_channel(1);
    let spawned = std::thread::Builder::new().name("mount-check".to_owned()).spawn(move || {
        let _ = done.send(work());
    });
    spawned.ok()?;
    result.recv_timeout(deadline).ok()
}

/// Waits for `condition`, asking every 20 ms, for as long as `deadline`.
pub(super) async fn until(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let asking = async {
        while !condition() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(deadline, asking).await.is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A thread id that no process has.
    const GONE: Caller = Caller { pid: u32::MAX - 1, uid: 0 };

    #[tokio::test(start_paused = true)]
    async fn a_dead_caller_ends_a_query() {
        let never = std::future::pending::<FsResult<()>>();
        assert_eq!(query(GONE, None, never).await.unwrap_err().errno, libc::EINTR);
    }

    #[tokio::test(start_paused = true)]
    async fn a_living_caller_waits_until_the_deadline() {
        let never = std::future::pending::<FsResult<()>>();
        let error = query(Caller::own(), Some(METADATA_DEADLINE), never).await.unwrap_err();
        assert_eq!(error.errno, libc::EHOSTUNREACH);
        let slow = async {
            sleep(METADATA_DEADLINE * 10).await;
            Ok(7)
        };
        assert_eq!(query(Caller::own(), None, slow).await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_change_is_told() {
        let told = Arc::new(AtomicU32::new(0));
        let late = {
            let told = told.clone();
            move |value| told.store(value, Ordering::Relaxed)
        };
        let slow = async {
            sleep(METADATA_DEADLINE * 2).await;
            Ok(7)
        };
        let error = change(Caller::own(), slow, late).await.unwrap_err();
        assert_eq!(error.errno, libc::EHOSTUNREACH);
        assert_eq!(told.load(Ordering::Relaxed), 0);
        assert!(until(METADATA_DEADLINE * 3, || told.load(Ordering::Relaxed) == 7).await);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_that_request_only() {
        let broken = async {
            assert!(std::hint::black_box(false), "on purpose");
            Ok(1)
        };
        let error = change(Caller::own(), broken, drop).await.unwrap_err();
        assert_eq!(error.errno, libc::EIO);
    }

    #[tokio::test]
    async fn what_is_ready_is_answered_at_once() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::current().id();
        let at_once = sender.clone();
        here_or_there(
            &Handle::current(),
            async { Ok(1) },
            move |result| at_once.send((result.unwrap(), std::thread::current().id())).unwrap(),
        );
        assert_eq!(receiver.try_recv().unwrap(), (1, thread));
        here_or_there(
            &Handle::current(),
            async {
                sleep(Duration::from_millis(1)).await;
                Ok(2)
            },
            move |result| sender.send((result.unwrap(), thread)).unwrap(),
        );
        assert!(receiver.try_recv().is_err());
        assert!(until(Duration::from_secs(10), || receiver.try_recv().is_ok()).await);
    }

    #[test]
    fn a_thread_that_hangs_is_left_behind() {
        assert_eq!(on_a_thread(Duration::from_secs(10), || 5), Some(5));
        let (_keep, wait) = std::sync::mpsc::channel::<()>();
        assert_eq!(on_a_thread(Duration::from_millis(20), move || wait.recv().is_ok()), None);
    }
}
