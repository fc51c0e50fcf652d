//! The pool's face: acquire, look, shut down.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::config::Config;
use super::connect::Connect;
use super::dialer;
use super::error::{AcquireError, CheckError};
use super::lease::Lease;
use super::reason::CloseReason;
use super::shared::{Shared, Slot};
use super::shutdown::{self, ShutdownReport};
use super::state::{Limits, Refusal, State, Ticket, Wait};
use super::stats::{Snapshot, count};

/// A pool of connections. Clones are handles of the same pool; dropping the last one closes it as
/// [`shutdown`](Self::shutdown) does, without waiting for leases.
#[derive(Debug)]
pub struct Pool<C: Connect> {
    handle: Arc<Handle<C>>,
}

/// What all handles share. The pool's own tasks and leases hold the inside only.
#[derive(Debug)]
struct Handle<C: Connect>(Arc<Shared<C>>);

impl<C: Connect> Drop for Handle<C> {
    fn drop(&mut self) {
        shutdown::begin(&self.0);
    }
}

impl<C: Connect> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle) }
    }
}

impl<C: Connect> Pool<C> {
    /// Makes a pool and begins to open `min_size` connections in the background.
    ///
    /// Must be called inside a Tokio runtime; the pool's tasks run on it.
    pub fn new(config: Config, connector: C) -> Self {
        let limits = Limits {
            min_size: config.min_size,
            max_size: config.max_size,
            max_waiting: config.max_waiting,
            max_parallel_connects: config.max_parallel_connects,
        };
        let shared = Arc::new(Shared::new(config, connector, State::new(limits)));
        dialer::spawn(&shared);
        Self { handle: Arc::new(Handle(shared)) }
    }

    /// Leases a connection within `acquire_timeout`.
    ///
    /// # Errors
    /// [`AcquireError`] when nothing became free in time, the line is full, the database does not
    /// answer, or the pool is closed.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line. A connection that was handed over in the same instant goes
    /// back to the pool; one that was being checked is closed; one that was being opened stays with the
    /// pool.
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<Lease<C>, AcquireError>> + Send + use<C> {
        let location = Location::caller();
        let shared = Arc::clone(&self.handle.0);
        async move { Ok(acquire(&shared).await?.located(location)) }
    }

    /// The pool at this instant. Costs a few loads; never waits for the database.
    pub fn snapshot(&self) -> Snapshot {
        self.handle.0.snapshot()
    }

    /// Tries to connect at once if an outage had the pool wait for its next attempt.
    pub fn reconnect_now(&self) {
        self.handle.0.with_state(|state| state.retry_at(Instant::now()));
        self.handle.0.demand.notify_one();
    }

    /// Refuses acquires, waits up to `shutdown_timeout` for leases to come back, closes everything that
    /// came back, and reports what did not.
    ///
    /// Calling it again, or at the same time, waits for the same end.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the pool shutting down: nothing is admitted, and connections close as
    /// their leases end.
    pub async fn shutdown(&self) -> ShutdownReport {
        shutdown::run(&self.handle.0).await
    }
}

async fn acquire<C: Connect>(shared: &Arc<Shared<C>>) -> Result<Lease<C>, AcquireError> {
    let started = Instant::now();
    let deadline = started + shared.config.acquire_timeout;
    loop {
        let idle = shared.with_state(State::take).map_err(|refusal| refused::<C>(refusal))?;
        let lease = match idle {
            Some(slot) => lend(shared, slot),
            None => in_line(shared, started, deadline).await?,
        };
        if let Some(lease) = checked(shared, lease, deadline).await {
            return Ok(lease);
        }
        if Instant::now() >= deadline {
            return Err(timed_out(shared, started));
        }
    }
}

fn timed_out<C: Connect>(shared: &Shared<C>, started: Instant) -> AcquireError {
    count(&shared.statistics.timed_out);
    AcquireError::TimedOut { waited: started.elapsed(), snapshot: Box::new(shared.snapshot()) }
}

fn lend<C: Connect>(shared: &Arc<Shared<C>>, slot: Slot<C::Connection>) -> Lease<C> {
    count(&shared.statistics.acquired);
    Lease::new(shared, slot)
}

/// Waits in line until served or until the deadline.
async fn in_line<C: Connect>(
    shared: &Arc<Shared<C>>,
    started: Instant,
    deadline: Instant,
) -> Result<Lease<C>, AcquireError> {
    let (sender, receiver) = oneshot::channel();
    let waiting = shared.with_state(|state| state.wait(sender));
    let ticket = match waiting.map_err(|refusal| refused::<C>(refusal))? {
        Wait::Idle(slot) => return Ok(lend(shared, slot)),
        Wait::InLine(ticket) => ticket,
    };
    let mut place = Place { shared, ticket, receiver };
    shared.demand.notify_one();
    let closed = |_: oneshot::error::RecvError| AcquireError::Closed;
    if let Ok(served) = timeout_at(deadline, &mut place.receiver).await {
        return served.map_err(closed)?;
    }
    if !shared.with_state(|state| state.leave(ticket)) {
        // Served between the deadline and leaving the line: the connection is on its way.
        return (&mut place.receiver).await.map_err(closed)?;
    }
    Err(timed_out(shared, started))
}

/// Gives the place in line up when the acquire is dropped. A lease that arrived meanwhile sits in the
/// receiver and goes back to the pool with it.
struct Place<'a, C: Connect> {
    shared: &'a Arc<Shared<C>>,
    ticket: Ticket,
    receiver: oneshot::Receiver<Result<Lease<C>, AcquireError>>,
}

impl<C: Connect> Drop for Place<'_, C> {
    fn drop(&mut self) {
        self.shared.with_state(|state| state.leave(self.ticket));
    }
}

/// Checks a connection that has been idle for longer than the bypass window. `None` when it was unfit
/// and has been closed.
async fn checked<C: Connect>(
    shared: &Arc<Shared<C>>,
    mut lease: Lease<C>,
    deadline: Instant,
) -> Option<Lease<C>> {
    let validation = &shared.config.validation;
    if lease.slot().proven_at.elapsed() <= validation.bypass_window {
        return Some(lease);
    }
    let limit = validation.timeout.min(deadline.saturating_duration_since(Instant::now()));
    let (connection, usage) = lease.parts();
    usage.in_flight = true;
    let outcome = timeout(limit, shared.connector.check(connection))
        .await
        .unwrap_or(Err(CheckError::TimedOut { limit }));
    match outcome {
        Ok(()) => {
            lease.usage().in_flight = false;
            lease.proven();
            Some(lease)
        }
        Err(error) => {
            tracing::warn!(connection.id = lease.id(), error = %error, "connection failed its check");
            shared.record_error(error.to_string());
            lease.discard(CloseReason::FailedCheck);
            None
        }
    }
}

fn refused<C: Connect>(refusal: Refusal) -> AcquireError {
    match refusal {
        Refusal::Closed => AcquireError::Closed,
        Refusal::QueueFull { limit } => AcquireError::QueueFull { limit },
        Refusal::Outage(outage) => AcquireError::Unavailable(Shared::<C>::unavailable(&outage)),
    }
}
