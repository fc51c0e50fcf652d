//! What every handle of a pool shares: the locked state, the numbers, and the tasks.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::config::Config;
use super::connect::Connect;
use super::error::{AcquireError, Unavailable};
use super::lease::Lease;
use super::reason::CloseReason;
use super::state::{Freed, Outage, State};
use super::stats::{LastError, Snapshot, Statistics, count};

/// A connection with what the pool knows about it.
#[derive(Debug)]
pub(super) struct Slot<T> {
    pub(super) connection: T,
    /// Names the connection in logs; unique within a pool.
    pub(super) id: u64,
    /// When it was last known to work.
    pub(super) proven_at: Instant,
}

/// How a waiter is served. A lease that nobody receives gives its connection back by itself.
pub(super) type Waiter<C> = oneshot::Sender<Result<Lease<C>, AcquireError>>;

pub(super) type PoolState<C> = State<Slot<<C as Connect>::Connection>, Waiter<C>>;

pub(super) struct Shared<C: Connect> {
    pub(super) config: Config,
    pub(super) connector: C,
    pub(super) statistics: Statistics,
    /// Wakes the dialer.
    pub(super) demand: Notify,
    /// Wakes a shutdown that waits for the last connection.
    pub(super) drained: Notify,
    /// The tasks that open and close connections.
    pub(super) tasks: TaskTracker,
    pub(super) created_at: Instant,
    runtime: Handle,
    state: Mutex<PoolState<C>>,
    last_error: Mutex<Option<(String, Instant)>>,
}

impl<C: Connect> Shared<C> {
    pub(super) fn new(config: Config, connector: C, state: PoolState<C>) -> Self {
        Self {
            config,
            connector,
            statistics: Statistics::default(),
            demand: Notify::new(),
            drained: Notify::new(),
            tasks: TaskTracker::new(),
            created_at: Instant::now(),
            runtime: Handle::current(),
            state: Mutex::new(state),
            last_error: Mutex::new(None),
        }
    }

    /// The only way to the state: one short critical section, after which the gauges are published.
    pub(super) fn with_state<T>(&self, change: impl FnOnce(&mut PoolState<C>) -> T) -> T {
        let mut state = self.state.lock();
        let outcome = change(&mut state);
        state.assert_invariants();
        self.statistics.publish(state.gauges());
        outcome
    }

    /// Acts on a decision about a free connection: serves the next waiter that still listens, keeps it,
    /// or closes it.
    pub(super) fn settle(self: &Arc<Self>, freed: Freed<Slot<C::Connection>, Waiter<C>>) {
        let mut freed = freed;
        loop {
            freed = match freed {
                Freed::Kept => return,
                Freed::Close(slot) => return self.close(slot, CloseReason::Shutdown),
                Freed::Serve(waiter, slot) => match waiter.send(Ok(Lease::new(self, slot))) {
                    Ok(()) => return count(&self.statistics.acquired),
                    Err(Ok(lease)) => {
                        let slot = lease.into_slot();
                        self.with_state(|state| state.released(slot))
                    }
                    Err(Err(_)) => return,
                },
            };
        }
    }

    /// Closes a connection that is counted as closing, in the background and within `cleanup_timeout`.
    pub(super) fn close(self: &Arc<Self>, slot: Slot<C::Connection>, reason: CloseReason) {
        tracing::debug!(connection.id = slot.id, reason = %reason, "connection closed");
        count(&self.statistics.closed);
        let closing = Closing(Arc::clone(self));
        let polite = matches!(reason, CloseReason::Shutdown);
        let task = async move {
            let Closing(shared) = &closing;
            if polite {
                let goodbye = shared.connector.close(slot.connection);
                if timeout(shared.config.cleanup_timeout, goodbye).await.is_err() {
                    tracing::debug!(
                        connection.id = slot.id,
                        "dropped a connection that would not close"
                    );
                }
            } else {
                drop(slot);
            }
        };
        self.tasks.spawn_on(task, &self.runtime);
    }

    pub(super) fn record_error(&self, message: String) {
        *self.last_error.lock() = Some((message, Instant::now()));
    }

    pub(super) fn unavailable(outage: &Outage) -> Unavailable {
        Unavailable {
            cause: Arc::clone(&outage.cause),
            retry_after: outage.retry_at.saturating_duration_since(Instant::now()),
            attempts: outage.attempts,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let last_error = self
            .last_error
            .lock()
            .as_ref()
            .map(|(message, at)| LastError { message: message.clone(), ago: at.elapsed() });
        let gauges = self.statistics.gauges();
        let read = |counter: &std::sync::atomic::AtomicU64| {
            counter.load(std::sync::atomic::Ordering::Relaxed)
        };
        Snapshot {
            phase: gauges.phase,
            idle: gauges.idle,
            in_use: gauges.in_use,
            opening: gauges.opening,
            closing: gauges.closing,
            waiting: gauges.waiting,
            min_size: self.config.min_size,
            max_size: self.config.max_size,
            peak_in_use: self.statistics.peak_in_use(),
            acquired: read(&self.statistics.acquired),
            released: read(&self.statistics.released),
            timed_out: read(&self.statistics.timed_out),
            opened: read(&self.statistics.opened),
            open_failed: read(&self.statistics.open_failed),
            closed: read(&self.statistics.closed),
            age: self.created_at.elapsed(),
            last_error,
        }
    }
}

impl<C: Connect> fmt::Debug for Shared<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("gauges", &self.statistics.gauges()).finish_non_exhaustive()
    }
}

/// Lowers the count of closing connections, also when the task that closes is dropped with its runtime.
struct Closing<C: Connect>(Arc<Shared<C>>);

impl<C: Connect> Drop for Closing<C> {
    fn drop(&mut self) {
        self.0.with_state(PoolState::<C>::closed);
        self.0.demand.notify_one();
        self.0.drained.notify_waiters();
    }
}
