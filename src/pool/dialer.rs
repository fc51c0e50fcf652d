//! The one task that opens connections.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until, timeout};

use super::backoff;
use super::connect::Connect;
use super::error::{AcquireError, OpenError};
use super::reason::OpenReason;
use super::shared::{PoolState, Shared, Slot};
use super::state::{Dial, Outage};
use super::stats::{Phase, count};

/// Starts the dialer. It ends when the pool shuts down.
pub(super) fn spawn<C: Connect>(shared: &Arc<Shared<C>>) {
    shared.tasks.spawn(run(Arc::clone(shared)));
}

async fn run<C: Connect>(shared: Arc<Shared<C>>) {
    loop {
        // Demand that arises after this look leaves a permit in `demand`, so it is never missed.
        let (dial, phase) = shared.with_state(|state| (state.dial(Instant::now()), state.phase()));
        match dial {
            Dial::Open(reason) => {
                shared.tasks.spawn(open(Opening(Some(Arc::clone(&shared))), reason));
            }
            Dial::At(_) | Dial::Rest if phase != Phase::Running => return,
            Dial::At(instant) => tokio::select! {
                () = sleep_until(instant) => {}
                () = shared.demand.notified() => {}
            },
            Dial::Rest => shared.demand.notified().await,
        }
    }
}

async fn open<C: Connect>(opening: Opening<C>, reason: OpenReason) {
    let Some(shared) = opening.0.clone() else { return };
    let started = Instant::now();
    let limit = shared.config.connect_timeout;
    let outcome = match timeout(limit, shared.connector.open()).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(OpenError::Failed(error)),
        Err(_elapsed) => Err(OpenError::TimedOut { limit }),
    };
    opening.done();
    match outcome {
        Ok(connection) => opened(&shared, connection, reason, started),
        Err(error) => failed(&shared, error),
    }
    shared.demand.notify_one();
    shared.drained.notify_waiters();
}

fn opened<C: Connect>(
    shared: &Arc<Shared<C>>,
    connection: C::Connection,
    reason: OpenReason,
    started: Instant,
) {
    let id = shared.statistics.opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
    let now = Instant::now();
    tracing::debug!(
        connection.id = id,
        reason = %reason,
        elapsed_ms = (now - started).as_millis(),
        "connection opened"
    );
    let slot = Slot { connection, id, proven_at: now };
    let freed = shared.with_state(|state| state.opened(slot));
    shared.settle(freed);
}

fn failed<C: Connect>(shared: &Arc<Shared<C>>, error: OpenError) {
    count(&shared.statistics.open_failed);
    shared.record_error(error.to_string());
    let cause = Arc::new(error);
    let (outage, waiters) = shared.with_state(|state| {
        let attempts = state.next_failure();
        let retry_at = Instant::now() + backoff::delay(attempts, jitter());
        let outage = Outage { cause: Arc::clone(&cause), attempts, retry_at };
        (outage.clone(), state.open_failed(outage))
    });
    let unavailable = Shared::<C>::unavailable(&outage);
    tracing::warn!(
        error = %cause,
        attempts = outage.attempts,
        retry_after_ms = unavailable.retry_after.as_millis(),
        "could not open a connection"
    );
    for waiter in waiters {
        // A waiter that has gone needs no answer.
        drop(waiter.send(Err(AcquireError::Unavailable(unavailable.clone()))));
    }
}

/// A number in `0.0..1.0` from the standard library's randomly keyed hasher: good enough to spread
/// attempts, and no dependency.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or(0);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// Lowers the count of opening connections when the task is dropped with its runtime.
struct Opening<C: Connect>(Option<Arc<Shared<C>>>);

impl<C: Connect> Opening<C> {
    /// The attempt ended; its outcome settles the count.
    fn done(mut self) {
        self.0 = None;
    }
}

impl<C: Connect> Drop for Opening<C> {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.with_state(PoolState::<C>::open_abandoned);
        }
    }
}
