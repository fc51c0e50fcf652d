//! The end of a pool.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::connect::Connect;
use super::error::AcquireError;
use super::reason::CloseReason;
use super::shared::Shared;
use super::state::State;

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Leases that had not come back at the limit. Their connections close when they are dropped.
    pub abandoned: u32,
    /// How long the shutdown took.
    pub elapsed: Duration,
}

/// Refuses acquires from now on, turns waiters away and closes what is idle. Leases close their
/// connections as they end.
pub(super) fn begin<C: Connect>(shared: &Arc<Shared<C>>) {
    let (waiters, idle) = shared.with_state(State::begin_shutdown);
    for waiter in waiters {
        // A waiter that has gone needs no answer.
        drop(waiter.send(Err(AcquireError::Closed)));
    }
    for slot in idle {
        shared.close(slot, CloseReason::Shutdown);
    }
    shared.demand.notify_one();
}

pub(super) async fn run<C: Connect>(shared: &Arc<Shared<C>>) -> ShutdownReport {
    let started = Instant::now();
    begin(shared);
    let deadline = started + shared.config.shutdown_timeout;
    // At the limit the report below says what is still out.
    drop(timeout_at(deadline, drained(shared)).await);
    shared.with_state(State::terminate);
    let abandoned = shared.statistics.gauges().in_use;
    let elapsed = started.elapsed();
    if abandoned > 0 {
        tracing::warn!(abandoned, elapsed_ms = elapsed.as_millis(), "pool closed while in use");
    } else {
        tracing::debug!(elapsed_ms = elapsed.as_millis(), "pool closed");
    }
    ShutdownReport { abandoned, elapsed }
}

async fn drained<C: Connect>(shared: &Shared<C>) {
    loop {
        // Interest is registered before the look, so that the last return is not missed.
        let notified = shared.drained.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if shared.with_state(|state| state.is_empty()) {
            return;
        }
        notified.await;
    }
}
