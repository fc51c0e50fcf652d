//! A clock that a test moves by hand, while sockets go on working.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use tokio::time::Instant;

use super::PATIENCE;

/// How often everything may run before the clock moves. An exchange over loopback takes a handful.
const TURNS: usize = 32;
/// Longer than anything that ends at all.
const FOR_EVER: Duration = Duration::from_mins(10);

/// The stopped clock of a test's runtime, which must have one thread.
///
/// Tokio moves a paused clock by itself as soon as all tasks wait, and does not see that they wait for a
/// socket. It leaves the clock alone while a blocking task runs, so one runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Clock {
    /// How far it moves at once.
    step: Duration,
    _blocking: Sender<()>,
}

impl Clock {
    /// Stops the clock. It will move in steps of a millisecond.
    pub(crate) fn stopped() -> Self {
        Self::moving_by(Duration::from_millis(1))
    }

    /// Stops the clock. It will move in larger steps, for tests of long times.
    pub(crate) fn moving_by(step: Duration) -> Self {
        tokio::time::pause();
        let (sender, receiver) = channel::<()>();
        tokio::task::spawn_blocking(move || receiver.recv());
        Self { step, _blocking: sender }
    }

    /// Moves on by `time`. Between the steps everything runs.
    pub(crate) async fn pass(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            turns().await;
            tokio::time::advance(self.step.min(end - Instant::now())).await;
        }
        turns().await;
    }

    /// Moves on until `future` is done. Gives its output, and how much time passed on this clock.
    pub(crate) async fn time<F: Future>(&self, future: F) -> (F::Output, Duration) {
        let started = Instant::now();
        let mut future = pin!(future);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return (output, started.elapsed()),
                () = turns() => {}
            }
            assert!(started.elapsed() < FOR_EVER, "it never ends");
            tokio::time::advance(self.step).await;
        }
    }
}

/// Lets everything run for a while.
async fn turns() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

/// Waits until `condition` holds, on a clock that goes or is stopped.
#[track_caller]
pub(crate) fn soon(what: &str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        for _ in 0..PATIENCE.as_millis() {
            if condition() {
                return;
            }
            turns().await;
            // Blocks the runtime, which has had its turns, because its clock may be stopped.
            std::thread::park_timeout(Duration::from_millis(1));
        }
        panic!("{caller}: waited for {PATIENCE:?}, and not yet: {what}");
    }
}
