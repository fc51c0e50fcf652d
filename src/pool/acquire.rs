//! How an acquire is served: at once, or in line, and checked when that is due.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::care;
use super::connect::Connect;
use super::error::{AcquireError, CheckError, Holders};
use super::lease::Lease;
use super::line::Ticket;
use super::shared::{PoolSlot, Shared};
use super::slot::Borrower;
use super::state::{State, Taken, Wait};

/// How many holders a timeout names.
const NAMED_HOLDERS: usize = 3;

/// One acquire, from the first look to a lease that is fit for use.
pub(super) async fn acquire<C: Connect>(
    shared: Arc<Shared<C>>,
    borrower: Borrower,
    limit: Option<Duration>,
) -> Result<Lease<C>, AcquireError> {
    let started = Instant::now();
    let (taken, fresh) = shared.with_state(|state| {
        let window = state.config().validation.bypass_window;
        (state.take(borrower.clone(), started), window)
    });
    let idle = match taken.map_err(|refusal| shared.refused(refusal))? {
        Some(Taken { slot, measure }) => {
            if started.saturating_duration_since(slot.proven_at) <= fresh {
                if measure {
                    shared.with_state(|state| state.measured(started.elapsed()));
                }
                return Ok(Lease::new(shared, slot));
            }
            Some(slot)
        }
        None => None,
    };
    let limit = limit.unwrap_or_else(|| shared.setting(|config| config.acquire_timeout));
    Attempt { shared: &shared, borrower, started, deadline: started + limit }.lease(idle).await
}

/// An acquire that is not served at once.
struct Attempt<'a, C: Connect> {
    shared: &'a Arc<Shared<C>>,
    borrower: Borrower,
    started: Instant,
    deadline: Instant,
}

impl<C: Connect> Attempt<'_, C> {
    async fn lease(&self, idle: Option<PoolSlot<C>>) -> Result<Lease<C>, AcquireError> {
        let mut idle = idle;
        loop {
            let lease = match idle {
                Some(slot) => Lease::new(Arc::clone(self.shared), slot),
                None => self.in_line().await?,
            };
            let cause = match self.checked(lease).await {
                Ok(lease) => return Ok(lease),
                Err(cause) => cause,
            };
            if Instant::now() >= self.deadline {
                return Err(self.never_fit(cause));
            }
            let now = Instant::now();
            let taken = self.shared.with_state(|state| state.take(self.borrower.clone(), now));
            idle = taken.map_err(|refusal| self.shared.refused(refusal))?.map(|taken| taken.slot);
        }
    }

    /// Waits in line until served or until the deadline.
    async fn in_line(&self) -> Result<Lease<C>, AcquireError> {
        let mut place = match queue(self.shared, self.borrower.clone())? {
            Queued::Idle(lease) => return Ok(lease),
            Queued::InLine(place) => place,
        };
        self.shared.demand.notify_one();
        if let Ok(served) = timeout_at(self.deadline, place.served()).await {
            return served;
        }
        if place.leave() {
            return Err(self.timed_out());
        }
        // Served between the deadline and leaving the line: the connection is on its way.
        place.served().await
    }

    /// Checks a connection that has not been proven for longer than the bypass window. One that is unfit is
    /// closed.
    async fn checked(&self, mut lease: Lease<C>) -> Result<Lease<C>, CheckError> {
        let (fresh, limit) = self
            .shared
            .setting(|config| (config.validation.bypass_window, config.validation.timeout));
        let now = Instant::now();
        if now.saturating_duration_since(lease.slot().proven_at) <= fresh {
            return Ok(lease);
        }
        let limit = limit.min(self.deadline.saturating_duration_since(now));
        // In a box, so that an acquire without a check is a small future.
        let check = Box::pin(care::check(self.shared, lease.checking(), limit));
        let outcome = check.await;
        self.shared.record_check();
        match outcome {
            Ok(()) => {
                lease.checked();
                let now = Instant::now();
                let waited = now.saturating_duration_since(self.started);
                self.shared.with_state(|state| state.waited(waited, now));
                Ok(lease)
            }
            Err(error) => {
                let reason = care::close_reason(&error);
                care::unfit(self.shared, lease.id(), &error, reason);
                lease.discard(reason);
                Err(error)
            }
        }
    }

    fn timed_out(&self) -> AcquireError {
        let now = Instant::now();
        let (holders, outage) = self.shared.with_state(|state| {
            state.gave_up();
            let outage = state.outage().map(|outage| outage.cause.to_string());
            (state.longest_held(now, NAMED_HOLDERS), outage)
        });
        AcquireError::TimedOut {
            waited: now.saturating_duration_since(self.started),
            snapshot: Box::new(self.shared.snapshot()),
            holders: Holders(holders),
            last_error: outage.or_else(|| self.shared.error_since(self.started)),
        }
    }

    fn never_fit(&self, cause: CheckError) -> AcquireError {
        self.shared.with_state(State::gave_up);
        let snapshot = Box::new(self.shared.snapshot());
        AcquireError::Validation { waited: self.started.elapsed(), cause, snapshot }
    }
}

/// Joins the line, unless a connection is idle after all.
pub(super) fn queue<C: Connect>(
    shared: &Arc<Shared<C>>,
    borrower: Borrower,
) -> Result<Queued<'_, C>, AcquireError> {
    let (sender, receiver) = oneshot::channel();
    let now = Instant::now();
    let waiting = shared.with_state(|state| state.wait(sender, borrower, now));
    match waiting.map_err(|refusal| shared.refused(refusal))? {
        Wait::Idle(slot) => Ok(Queued::Idle(Lease::new(Arc::clone(shared), slot))),
        Wait::InLine(ticket) => {
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
    receiver: oneshot::Receiver<Result<Lease<C>, AcquireError>>,
}

impl<C: Connect> Place<'_, C> {
    /// Waits for the connection, or for being turned away.
    pub(super) async fn served(&mut self) -> Result<Lease<C>, AcquireError> {
        let served = (&mut self.receiver).await;
        self.ticket = None;
        served.unwrap_or_else(|_dropped| {
            Err(AcquireError::Closed { snapshot: Box::new(self.shared.snapshot()) })
        })
    }

    /// False when the waiter had been served already.
    fn leave(&mut self) -> bool {
        let ticket = self.ticket.take();
        ticket.is_some_and(|ticket| self.shared.with_state(|state| state.leave(ticket)))
    }
}

impl<C: Connect> Drop for Place<'_, C> {
    fn drop(&mut self) {
        self.leave();
    }
}
