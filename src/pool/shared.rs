//! What every handle of a pool shares: the locked state, the numbers, and the tasks.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::care;
use super::config::Config;
use super::connect::Connect;
use super::counters::Counters;
use super::error::{AcquireError, Holders, Unavailable};
use super::events;
use super::gauges::{GaugeWord, Gauges};
use super::lease::Lease;
use super::reaper::Reaper;
use super::reason::CloseReason;
use super::slot::Slot;
use super::state::{Order, Outage, Refusal, Served, State};
use super::stats::{Snapshot, Statistics, rfc3339};

/// The time of an acquire that is served at once is measured once in so many.
const MEASURE_EVERY: u64 = 64;

/// How many holders a timeout names.
const NAMED_HOLDERS: usize = 3;

/// How a waiter is served. A lease that nobody receives gives its connection back by itself.
pub(super) type Waiter<C> = oneshot::Sender<Outcome<C>>;

/// What a waiter is told. The error is in a box, because it is larger than a lease and rarer.
pub(super) type Outcome<C> = Result<Lease<C>, Box<AcquireError>>;

pub(super) type PoolSlot<C> = Box<Slot<<C as Connect>::Connection>>;
pub(super) type PoolState<C> =
    State<<C as Connect>::Connection, <C as Connect>::Session, Waiter<C>>;
pub(super) type PoolOrder<C> =
    Order<<C as Connect>::Connection, <C as Connect>::Session, Waiter<C>>;
pub(super) type PoolServed<C> = Served<<C as Connect>::Connection, Waiter<C>>;

pub(super) struct Shared<C: Connect> {
    pub(super) name: Arc<str>,
    pub(super) connector: C,
    pub(super) reaper: Reaper<C>,
    /// Wakes the dialer.
    pub(super) demand: Notify,
    /// Has the keeper look at the deadlines of those who wait.
    pub(super) alarm: Notify,
    /// Wakes a shutdown that waits for the last connection.
    pub(super) drained: Notify,
    /// Wakes those who wait for another phase.
    pub(super) moved: Notify,
    /// Ends the dialer, attempts to connect, and the upkeep.
    pub(super) stop: CancellationToken,
    /// Whether a shutdown has told its end.
    pub(super) closed: AtomicBool,
    /// Whether acquires capture a stack trace.
    pub(super) traces: AtomicBool,
    runtime: Handle,
    tasks: TaskTracker,
    /// `min_size` in the upper half, `max_size` in the lower.
    sizes: AtomicU64,
    /// Whether a connection was idle when the state last changed.
    has_idle: AtomicBool,
    counters: Arc<Counters>,
    created_at: (Instant, DateTime<Utc>),
    hot: Hot<C>,
    last: Mutex<Last>,
}

/// What every acquire and release writes. On cache lines of its own, so that what is only read stays in every
/// core's cache.
#[repr(align(64))]
struct Hot<C: Connect> {
    gauges: GaugeWord,
    /// The one of the standard library: it spins for longer before it sleeps, and the sections are short.
    state: Mutex<PoolState<C>>,
}

/// The latest of what only people look at.
#[derive(Debug, Default)]
struct Last {
    error: Option<(String, DateTime<Utc>, Instant)>,
    check: Option<DateTime<Utc>>,
}

impl<C: Connect> Shared<C> {
    /// Must be called inside a Tokio runtime, on which the pool's tasks will run.
    pub(super) fn new(name: &str, config: Config, connector: C) -> Self {
        let now = Instant::now();
        let counters = Arc::new(Counters::new());
        let traces = AtomicBool::new(config.leaks.trace);
        let sizes = AtomicU64::new(pack(config.min_size, config.max_size));
        let state = PoolState::<C>::new(config, Arc::clone(&counters), now);
        Self {
            name: name.into(),
            connector,
            reaper: Reaper::new(),
            demand: Notify::new(),
            alarm: Notify::new(),
            drained: Notify::new(),
            moved: Notify::new(),
            stop: CancellationToken::new(),
            closed: AtomicBool::new(false),
            traces,
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            sizes,
            has_idle: AtomicBool::new(false),
            counters,
            created_at: (now, Utc::now()),
            hot: Hot { gauges: GaugeWord::new(state.gauges()), state: Mutex::new(state) },
            last: Mutex::new(Last::default()),
        }
    }

    /// The only way to change the state: one short critical section, after which the gauges are published and
    /// the state's orders are carried out.
    pub(super) fn with_state<T>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut PoolState<C>) -> T,
    ) -> T {
        #[cfg(test)]
        super::tests::schedule::point();
        let mut state = self.locked();
        let outcome = change(&mut state);
        state.end_when_empty();
        state.assert_invariants();
        let gauges = state.gauges();
        self.hot.gauges.publish(gauges);
        self.publish_rarely_changed(gauges, state.config());
        let orders = state.take_orders();
        drop(state);
        if !orders.is_empty() {
            self.carry_out(orders);
        }
        if !gauges.phase.admits() {
            self.drained.notify_waiters();
        }
        outcome
    }

    /// Writes only what is new, so that readers keep it in their caches.
    fn publish_rarely_changed(&self, gauges: Gauges, config: &Config) {
        let has_idle = gauges.idle > 0;
        if self.has_idle.load(Ordering::Relaxed) != has_idle {
            self.has_idle.store(has_idle, Ordering::Relaxed);
        }
        let sizes = pack(config.min_size, config.max_size);
        if self.sizes.load(Ordering::Relaxed) != sizes {
            self.sizes.store(sizes, Ordering::Relaxed);
        }
    }

    fn locked(&self) -> MutexGuard<'_, PoolState<C>> {
        // A panic under the lock is a defect of the state; the pool goes on, and shows it.
        self.hot.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state without changing it.
    pub(super) fn look<T>(&self, read: impl FnOnce(&PoolState<C>) -> T) -> T {
        read(&self.locked())
    }

    /// Reads something of the configuration in force.
    pub(super) fn setting<T>(&self, read: impl FnOnce(&Config) -> T) -> T {
        self.look(|state| read(state.config()))
    }

    /// Whether a connection was idle a moment ago.
    pub(super) fn has_idle(&self) -> bool {
        self.has_idle.load(Ordering::Relaxed)
    }

    /// Whether the next acquire that is served at once is to measure its time.
    pub(super) fn measures(&self) -> bool {
        self.counters.acquired.get().is_multiple_of(MEASURE_EVERY)
    }

    /// Hands a connection to the waiter that it was meant for, or to the next that still listens.
    pub(super) fn serve(self: &Arc<Self>, served: PoolServed<C>) {
        if served.is_some() {
            Arc::clone(self).serve_next(served);
        }
    }

    /// As [`serve`](Self::serve), with a handle to give away: the next lease takes it over, and the count of
    /// handles, which all threads share, is left alone.
    pub(super) fn serve_next(self: Arc<Self>, served: PoolServed<C>) {
        let (mut shared, mut next) = (self, served);
        while let Some((waiter, slot)) = next {
            #[cfg(test)]
            super::tests::schedule::point();
            let Err(Ok(lease)) = waiter.send(Ok(Lease::new(shared, slot))) else { return };
            let Some((handle, slot)) = lease.into_parts() else { return };
            next = handle.with_state(|state| state.undelivered(slot, Instant::now()));
            shared = handle;
        }
    }

    /// Runs a task of the pool, whatever thread this is on. After the runtime has ended the task is dropped,
    /// and its guards put the counts right.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Runs something that may take milliseconds of computing.
    pub(super) fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn_blocking_on(work, &self.runtime)
    }

    pub(super) fn record_error(&self, message: String) {
        self.last().error = Some((message, Utc::now(), Instant::now()));
    }

    pub(super) fn record_check(&self) {
        self.last().check = Some(Utc::now());
    }

    /// The last error, if it happened at `since` or later.
    pub(super) fn error_since(&self, since: Instant) -> Option<String> {
        let last = self.last();
        last.error.as_ref().filter(|(.., at)| *at >= since).map(|(message, ..)| message.clone())
    }

    pub(super) fn refused(&self, refusal: Refusal) -> AcquireError {
        let snapshot = Box::new(self.snapshot());
        match refusal {
            Refusal::Closed => AcquireError::Closed { snapshot },
            Refusal::QueueFull { limit } => AcquireError::QueueFull { limit, snapshot },
            Refusal::Outage(outage) => AcquireError::Unavailable(self.unavailable(&outage)),
            Refusal::TimedOut { started } => self.timed_out(started),
        }
    }

    fn timed_out(&self, started: Instant) -> AcquireError {
        let now = Instant::now();
        let (holders, outage) = self.look(|state| {
            let outage = state.outage().map(|outage| outage.cause.to_string());
            (state.longest_held(now, NAMED_HOLDERS), outage)
        });
        AcquireError::TimedOut {
            waited: now.saturating_duration_since(started),
            snapshot: Box::new(self.snapshot()),
            holders: Holders(holders),
            last_error: outage.or_else(|| self.error_since(started)),
        }
    }

    pub(super) fn unavailable(&self, outage: &Outage) -> Unavailable {
        Unavailable {
            cause: Arc::clone(&outage.cause),
            retry_after: outage.retry_at.saturating_duration_since(Instant::now()),
            attempts: outage.attempts,
            snapshot: Box::new(self.snapshot()),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let (min_size, max_size) = unpack(self.sizes.load(Ordering::Relaxed));
        Snapshot::new(self.hot.gauges.read(), min_size, max_size)
    }

    pub(super) fn statistics(self: &Arc<Self>) -> Statistics {
        let now = Instant::now();
        let (mean_wait, head_wait, retry_after) = self.with_state(|state| {
            let mean = state.settle();
            let retry_at = state.outage().map(|outage| outage.retry_at);
            (mean, state.head_wait(now), retry_at.map(|at| at.saturating_duration_since(now)))
        });
        let (error, check) = {
            let last = self.last();
            (last.error.as_ref().map(|(text, at, _)| (text.clone(), *at)), last.check)
        };
        let millis = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
        let snapshot = self.snapshot();
        let counters = &self.counters;
        let closed = counters.closed().filter(|(_, count)| *count > 0);
        Statistics {
            name: self.name.to_string(),
            health: snapshot.health().0,
            snapshot,
            total_connections: snapshot.total(),
            idle_connections: snapshot.idle,
            active_connections: snapshot.in_use,
            waiting_requests: snapshot.waiting,
            total_acquisitions: counters.acquired.get(),
            total_releases: counters.released.get(),
            avg_acquisition_time_ms: millis(mean_wait),
            peak_active_connections: counters.peak_in_use(),
            peak_wait_time_ms: millis(counters.peak_wait()),
            pool_created_at: rfc3339(self.created_at.1),
            last_health_check: check.map(rfc3339),
            last_error_time: error.as_ref().map(|(_, at)| rfc3339(*at)),
            last_error: error.map(|(message, _)| message),
            uptime_seconds: now.saturating_duration_since(self.created_at.0).as_secs_f64(),
            timed_out: counters.timed_out.get(),
            opened: counters.opened.get(),
            open_failed: counters.open_failed.get(),
            closed: closed.map(|(reason, count)| (reason.to_string(), count)).collect(),
            wait: counters.waits.percentiles(),
            usage: counters.uses.percentiles(),
            head_waiting_ms: millis(head_wait),
            live_leaks: u32::try_from(counters.live_leaks.get()).unwrap_or(u32::MAX),
            leaks: counters.leaks.get(),
            retry_after_ms: retry_after.map(millis),
        }
    }

    fn carry_out(self: &Arc<Self>, orders: Vec<PoolOrder<C>>) {
        for order in orders {
            match order {
                Order::Close(slot, reason) => care::close(self, slot, reason),
                Order::Care(slot, care) => care::look_after(self, slot, care),
                Order::Forget(slot) => drop(slot),
                Order::Terminate(session) => {
                    let closing = care::Closing::new(Arc::clone(self));
                    self.reaper.end(self, session, closing);
                }
                Order::Cut(tether, cut) => tether.cut(cut),
                // A waiter that has gone needs no answer.
                Order::Refuse(waiter, refusal) => {
                    drop(waiter.send(Err(Box::new(self.refused(refusal)))));
                }
                Order::Dial => {}
                Order::Arm => self.alarm.notify_one(),
                Order::Tell(event) => events::tell(self, event),
            }
        }
        self.demand.notify_one();
        self.moved.notify_waiters();
    }

    /// Counts a connection that broke in a lease, for people.
    pub(super) fn note_close(&self, id: u64, reason: CloseReason) {
        if reason == CloseReason::Broken {
            self.record_error(format!("the session of connection {id} broke while it was in use"));
        }
    }
}

fn pack(min_size: u32, max_size: u32) -> u64 {
    (u64::from(min_size) << 32) | u64::from(max_size)
}

fn unpack(sizes: u64) -> (u32, u32) {
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (half(sizes >> 32), half(sizes))
}

impl<C: Connect> fmt::Debug for Shared<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("name", &self.name)
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}
