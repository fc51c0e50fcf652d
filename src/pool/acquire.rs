//! How an acquire is served: at once, or in line, and checked when that is due.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::care;
use super::connect::Connect;
use super::error::{AcquireError, CheckError};
use super::lease::Lease;
use super::line::Ticket;
use super::shared::{Outcome, Shared};
use super::slot::Borrower;
use super::state::{Patience, Refusal, Wait};

/// One acquire. How it ended is told to the log as well: its caller may be deaf.
pub(super) async fn acquire<C: Connect>(
    shared: &Arc<Shared<C>>,
    borrower: Borrower,
    limit: Option<Duration>,
) -> Result<Lease<C>, AcquireError> {
    let patience = Patience { started: Instant::now(), limit };
    let location = borrower.location;
    let waited_ms = || patience.started.elapsed().as_millis();
    match fit_lease(shared, borrower, patience).await {
        Ok(lease) => {
            tracing::trace!(
                event = "pool.acquired",
                pool = %shared.name,
                connection.id = lease.id(),
                %location,
                waited_ms = waited_ms(),
                "a connection is lent"
            );
            Ok(lease)
        }
        Err(error) => {
            tracing::debug!(
                event = "pool.acquire.failed",
                pool = %shared.name,
                %location,
                waited_ms = waited_ms(),
                error = %error,
                "no connection"
            );
            Err(*error)
        }
    }
}

/// From the first look to a lease that is fit for use.
async fn fit_lease<C: Connect>(
    shared: &Arc<Shared<C>>,
    borrower: Borrower,
    patience: Patience,
) -> Outcome<C> {
    let started = patience.started;
    let mut first = None;
    // When nothing is idle the line is joined at once; there is another look under its lock.
    if shared.has_idle() {
        #[cfg(feature = "slow-acquire")]
        super::slowness::waste();
        let measure = shared.measures();
        let taken = shared.with_state(|state| state.take(borrower.clone(), started));
        if let Some(slot) = taken.map_err(|refusal| Box::new(shared.refused(refusal)))? {
            if measure {
                shared.with_state(|state| state.measured(started.elapsed()));
            }
            if !slot.in_doubt {
                return Ok(Lease::new(Arc::clone(shared), slot));
            }
            first = Some(Lease::new(Arc::clone(shared), slot));
        }
    }
    Attempt { shared, borrower, patience }.lease(first).await
}

/// An acquire that is not served at once.
struct Attempt<'a, C: Connect> {
    shared: &'a Arc<Shared<C>>,
    borrower: Borrower,
    patience: Patience,
}

impl<C: Connect> Attempt<'_, C> {
    async fn lease(&self, first: Option<Lease<C>>) -> Outcome<C> {
        let mut found = first;
        let mut now = self.patience.started;
        let mut cause = None;
        loop {
            let lease = match found.take() {
                Some(lease) => lease,
                None => self.in_line(now).await?,
            };
            if !lease.slot().in_doubt {
                return Ok(lease);
            }
            let deadline = self.deadline();
            cause = match self.checked(lease, deadline).await {
                Ok(lease) => return Ok(lease),
                Err(Unfit::Failed(cause)) => Some(cause),
                // The check goes on in the background; it was the caller who had no more time.
                Err(Unfit::OutOfTime) => return Err(Box::new(self.out_of_time(cause))),
            };
            now = Instant::now();
            if now >= deadline {
                return Err(Box::new(self.out_of_time(cause)));
            }
        }
    }

    fn deadline(&self) -> Instant {
        let Patience { started, limit } = self.patience;
        started + limit.unwrap_or_else(|| self.shared.setting(|config| config.acquire_timeout))
    }

    /// Waits in line until served or turned away, at the deadline at the latest.
    async fn in_line(&self, now: Instant) -> Outcome<C> {
        match queue(self.shared, self.borrower.clone(), self.patience, now)? {
            Queued::Idle(lease) => Ok(lease),
            Queued::InLine(mut place) => place.served().await,
        }
    }

    /// Checks a connection that has not been proven for longer than the bypass window. One that is unfit is
    /// closed.
    async fn checked(&self, mut lease: Lease<C>, deadline: Instant) -> Result<Lease<C>, Unfit> {
        let limit = self.shared.setting(|config| config.validation.timeout);
        // In a box, so that an acquire without a check is a small future.
        let check = Box::pin(care::check(self.shared, lease.checking(), limit));
        let outcome = timeout_at(deadline, check).await.map_err(|_elapsed| Unfit::OutOfTime)?;
        self.shared.record_check();
        match outcome {
            Ok(()) => {
                lease.checked();
                let now = Instant::now();
                let waited = now.saturating_duration_since(self.patience.started);
                self.shared.with_state(|state| state.waited(waited, now));
                Ok(lease)
            }
            Err(error) => {
                let reason = care::close_reason(&error);
                care::unfit(self.shared, lease.id(), &error, reason);
                lease.reject(reason);
                Err(Unfit::Failed(error))
            }
        }
    }

    /// The limit is reached; `cause` is why the last connection was unfit, if one was.
    fn out_of_time(&self, cause: Option<CheckError>) -> AcquireError {
        let now = Instant::now();
        let started = self.patience.started;
        let waited = now.saturating_duration_since(started);
        self.shared.with_state(|state| state.gave_up(waited, now));
        match cause {
            Some(cause) => {
                let snapshot = Box::new(self.shared.snapshot());
                AcquireError::Validation { waited, cause, snapshot }
            }
            None => self.shared.refused(Refusal::TimedOut { started }),
        }
    }
}

/// Why a connection was not handed out.
enum Unfit {
    Failed(CheckError),
    OutOfTime,
}

/// Joins the line, unless a connection is idle after all.
pub(super) fn queue<C: Connect>(
    shared: &Arc<Shared<C>>,
    borrower: Borrower,
    patience: Patience,
    now: Instant,
) -> Result<Queued<'_, C>, Box<AcquireError>> {
    let (sender, receiver) = oneshot::channel();
    let waiting = shared.with_state(|state| state.wait(sender, borrower, patience, now));
    match waiting.map_err(|refusal| Box::new(shared.refused(refusal)))? {
        Wait::Idle(slot) => Ok(Queued::Idle(Lease::new(Arc::clone(shared), slot))),
        Wait::InLine { ticket, room } => {
            if room {
                shared.demand.notify_one();
            }
            Ok(Queued::InLine(Place { shared, ticket: Some(ticket), receiver }))
        }
    }
}

/// How joining the line ended.
pub(super) enum Queued<'a, C: Connect> {
    Idle(Lease<C>),
    InLine(Place<'a, C>),
}

/// Gives the place in line up when the acquire is dropped. A lease that arrived meanwhile sits in the
/// receiver and goes back to the pool with it.
pub(super) struct Place<'a, C: Connect> {
    shared: &'a Arc<Shared<C>>,
    /// `None` when there is nothing to leave any more.
    ticket: Option<Ticket>,
    receiver: oneshot::Receiver<Outcome<C>>,
}

impl<C: Connect> Place<'_, C> {
    /// Waits for the connection, or for being turned away.
    pub(super) async fn served(&mut self) -> Outcome<C> {
        let served = (&mut self.receiver).await;
        self.ticket = None;
        // The pool lets go of its waiters at its end only.
        served.unwrap_or_else(|_dropped| Err(Box::new(self.shared.refused(Refusal::Closed))))
    }
}

impl<C: Connect> Drop for Place<'_, C> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.with_state(|state| state.leave(ticket));
        }
    }
}
