//! The pool's face: acquire, look, change, shut down.

use std::backtrace::Backtrace;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::acquire;
use super::config::{Config, bounds};
use super::connect::Connect;
use super::dialer;
use super::error::{AcquireError, ConfigError, StartError};
use super::keeper;
use super::lease::Lease;
use super::phase::{Health, HealthReason, Phase};
use super::shared::Shared;
use super::shutdown::{self, ShutdownReport};
use super::slot::{Borrower, Particulars};
use super::stats::{Snapshot, Statistics};

/// A pool of connections. Clones are handles of the same pool; dropping the last one closes it as
/// [`shutdown`](Self::shutdown) does, without waiting for leases.
#[derive(Debug)]
pub struct Pool<C: Connect> {
    handle: Arc<Handle<C>>,
}

/// What may differ from one acquire to the next. The default is what the configuration says.
///
/// ```
/// use std::time::Duration;
///
/// use codebase_mcp::pool::AcquireOptions;
///
/// // A long piece of work is no leak, and this caller has no time to wait.
/// let options = AcquireOptions {
///     timeout: Some(Duration::from_millis(200)),
///     leak_after: Some(Duration::from_secs(300)),
/// };
/// # assert_ne!(options, AcquireOptions::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AcquireOptions {
    /// The limit of this acquire, at most 300 s.
    pub timeout: Option<Duration>,
    /// After how long this lease counts as held for too long, when the configuration has leaks looked for. 0 s
    /// is never.
    pub leak_after: Option<Duration>,
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
    /// Makes a pool and begins to open `min_size` connections in the background. `name` is for logs and
    /// statistics.
    ///
    /// Must be called inside a Tokio runtime; the pool's tasks run on it.
    ///
    /// # Errors
    /// Every key of the configuration that is out of bounds.
    pub fn new(name: &str, config: Config, connector: C) -> Result<Self, ConfigError> {
        config.validate()?;
        let shared = Arc::new(Shared::new(name, config, connector));
        dialer::spawn(&shared);
        keeper::spawn(&shared);
        Ok(Self { handle: Arc::new(Handle(shared)) })
    }

    /// Waits until the first `min_size` connections are open.
    ///
    /// # Errors
    /// [`StartError`] after three failed attempts, or after the first one that no further attempt can mend, such
    /// as a wrong password. The pool goes on trying all the same.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn ready(&self) -> Result<(), StartError> {
        let shared = self.shared();
        loop {
            // Interest is registered before the look, so that a change in between is not missed.
            let mut moved = std::pin::pin!(shared.moved.notified());
            moved.as_mut().enable();
            let (phase, failure) = shared.look(|state| {
                let failed = state.start_failed().then(|| state.outage().cloned()).flatten();
                (state.phase(), failed)
            });
            match phase {
                Phase::Healthy | Phase::Degraded => return Ok(()),
                Phase::ShuttingDown | Phase::Terminated => {
                    let snapshot = Box::new(shared.snapshot());
                    return Err(StartError::Closed { snapshot });
                }
                Phase::Initializing | Phase::Unhealthy | Phase::Recovering => {}
            }
            if let Some(outage) = failure {
                let snapshot = Box::new(shared.snapshot());
                let (attempts, cause) = (outage.attempts, outage.cause);
                return Err(StartError::Initialization { attempts, cause, snapshot });
            }
            moved.await;
        }
    }

    /// Leases a connection within `acquire_timeout`.
    ///
    /// # Errors
    /// [`AcquireError`] when nothing became free in time, the line is full, the database does not
    /// answer, or the pool is closed.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line. A connection that was handed over in the same instant goes
    /// back to the pool; one that was being checked is checked again in the background; one that was being
    /// opened stays with the pool.
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<Lease<C>, AcquireError>> + Send {
        self.acquire_with(AcquireOptions::default())
    }

    /// As [`acquire`](Self::acquire), with a limit or a leak threshold of its own.
    #[track_caller]
    pub fn acquire_with(
        &self,
        options: AcquireOptions,
    ) -> impl Future<Output = Result<Lease<C>, AcquireError>> + Send {
        let AcquireOptions { timeout, leak_after } = options;
        let shared = self.shared();
        let traces = shared.traces.load(Ordering::Relaxed);
        let trace = traces.then(Backtrace::force_capture);
        let particular = trace.is_some() || leak_after.is_some();
        let particulars = particular.then(|| Arc::new(Particulars { leak_after, trace }));
        let borrower = Borrower { location: Location::caller(), particulars };
        let timeout = timeout.map(|limit| limit.min(*bounds::ACQUIRE_TIMEOUT.end()));
        acquire::acquire(shared, borrower, timeout)
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.shared().name
    }

    /// What opens the connections.
    pub fn connector(&self) -> &C {
        &self.shared().connector
    }

    /// The pool at this instant. Two loads, no lock, no waiting.
    pub fn snapshot(&self) -> Snapshot {
        self.shared().snapshot()
    }

    /// How well the pool can serve, and the rule that decided it. Costs as little as a snapshot and never
    /// asks the database: the pool finds out by itself.
    pub fn health(&self) -> (Health, HealthReason) {
        self.snapshot().health()
    }

    /// Everything that the pool counts and measures. Takes microseconds; never waits for the database.
    pub fn statistics(&self) -> Statistics {
        self.shared().statistics()
    }

    /// Changes the bounds of the pool at once, each from 1 to 500. Leases beyond a smaller `max_size` stay; their connections are
    /// closed as they come back, and until then no other is handed out in their place.
    ///
    /// # Errors
    /// Bounds that [`Config`] would not allow. Nothing is changed then.
    pub fn resize(&self, min_size: u32, max_size: u32) -> Result<(), ConfigError> {
        let config = Config { min_size, max_size, ..self.shared().setting(Config::clone) };
        config.validate()?;
        self.shared().with_state(|state| state.resize(min_size, max_size, Instant::now()));
        self.shared().demand.notify_one();
        Ok(())
    }

    /// Puts another configuration in force at once, for all acquires from now on and all connections from
    /// their next check, return or retirement on.
    ///
    /// # Errors
    /// Every key that is out of bounds. Nothing is changed then.
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        config.validate()?;
        self.shared().traces.store(config.leaks.trace, Ordering::Relaxed);
        self.shared().with_state(|state| state.reconfigure(config, Instant::now()));
        self.shared().demand.notify_one();
        Ok(())
    }

    /// Tries to connect at once if an outage had the pool wait for its next attempt.
    pub fn reconnect_now(&self) {
        self.shared().with_state(|state| state.retry_now(Instant::now()));
        self.shared().demand.notify_one();
    }

    /// Refuses acquires, waits for leases to come back, takes those back that did not, closes everything, and
    /// reports who was cut off. Keeps within `shutdown_timeout`; below 6 s it may take up to a second more, if the
    /// server does not answer.
    ///
    /// Calling it again, or at the same time, waits for the same end; the first caller's report names who
    /// was cut off.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the pool shutting down: nothing is admitted, and connections close as
    /// their leases end.
    pub async fn shutdown(&self) -> ShutdownReport {
        shutdown::run(self.shared()).await
    }

    fn shared(&self) -> &Arc<Shared<C>> {
        &self.handle.0
    }
}
