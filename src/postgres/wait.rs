//! Bounded waiting on a blocking thread.

use std::time::Duration;

use tokio::time::Instant;

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(10);

/// The moment at which waiting ends, and the limit it was made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    pub(super) limit: Duration,
}

impl Deadline {
    pub(super) fn after(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit }
    }

    pub(super) fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Waits a moment; false once the deadline has passed.
    pub(super) fn pause(self) -> bool {
        let remaining = self.remaining();
        sleep(POLL.min(remaining));
        !remaining.is_zero()
    }
}

/// Blocks this thread, which must not be one that runs async tasks.
#[expect(
    clippy::disallowed_methods,
    reason = "called on the runtime's blocking threads and in the keeper, which has no runtime"
)]
pub(super) fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}
