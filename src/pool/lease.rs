//! A connection in somebody's hands.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use tokio::time::Instant;

use super::connect::Connect;
use super::reason::CloseReason;
use super::shared::{Shared, Slot};
use super::stats::count;

/// A leased connection. Dropping it gives the connection back at once, without waiting and from any
/// thread, inside a runtime or not.
///
/// A statement that was abandoned half-way, or a transaction that was neither committed nor rolled back,
/// makes the connection unfit for the next borrower: it is closed instead, and the pool opens another.
pub struct Lease<C: Connect> {
    shared: Arc<Shared<C>>,
    /// Taken only when the lease ends.
    slot: Option<Slot<C::Connection>>,
    usage: Usage,
    location: Option<&'static Location<'static>>,
    acquired_at: Instant,
}

/// What the connection has been used for, as far as it matters to the next borrower.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// A statement was sent and its answer has not been read to the end.
    pub(super) in_flight: bool,
    /// A transaction was begun and has not ended.
    pub(super) in_transaction: bool,
    /// The driver connection was handed out.
    pub(super) untracked: bool,
    /// When a statement last came to its end, which proves that the connection works.
    pub(super) proven_at: Option<Instant>,
}

impl Usage {
    fn unfit(&self) -> Option<CloseReason> {
        if self.in_flight {
            Some(CloseReason::InFlight)
        } else if self.in_transaction {
            Some(CloseReason::InTransaction)
        } else if self.untracked {
            Some(CloseReason::Untracked)
        } else {
            None
        }
    }
}

impl<C: Connect> Lease<C> {
    pub(super) fn new(shared: &Arc<Shared<C>>, slot: Slot<C::Connection>) -> Self {
        Self {
            shared: Arc::clone(shared),
            slot: Some(slot),
            usage: Usage::default(),
            location: None,
            acquired_at: Instant::now(),
        }
    }

    pub(super) fn located(mut self, location: &'static Location<'static>) -> Self {
        self.location = Some(location);
        self
    }

    /// The connection, and the record of its use.
    pub(super) fn parts(&mut self) -> (&mut C::Connection, &mut Usage) {
        let slot = self.slot.as_mut().expect("a lease holds its connection until it ends");
        (&mut slot.connection, &mut self.usage)
    }

    pub(super) fn usage(&mut self) -> &mut Usage {
        &mut self.usage
    }

    /// Marks the connection as working at this instant.
    pub(super) fn proven(&mut self) {
        if let Some(slot) = &mut self.slot {
            slot.proven_at = Instant::now();
        }
    }

    pub(super) fn slot(&self) -> &Slot<C::Connection> {
        self.slot.as_ref().expect("a lease holds its connection until it ends")
    }

    /// Ends a lease that reached nobody, without counting it as released.
    pub(super) fn into_slot(mut self) -> Slot<C::Connection> {
        self.slot.take().expect("a lease holds its connection until it ends")
    }

    /// Ends the lease and closes its connection.
    pub(super) fn discard(mut self, reason: CloseReason) {
        if let Some(slot) = self.slot.take() {
            self.close(slot, reason);
        }
    }

    /// The number that names this connection in logs, unique within its pool.
    pub fn id(&self) -> u64 {
        self.slot().id
    }

    /// The driver connection itself, for what the pool cannot follow. The connection is closed when
    /// the lease ends, because its session state is unknown.
    pub fn untracked(&mut self) -> &mut C::Connection {
        self.usage.untracked = true;
        self.parts().0
    }

    fn close(&self, slot: Slot<C::Connection>, reason: CloseReason) {
        self.shared.with_state(super::state::State::discarded);
        self.shared.close(slot, reason);
    }
}

impl<C: Connect> Drop for Lease<C> {
    fn drop(&mut self) {
        let Some(mut slot) = self.slot.take() else { return };
        count(&self.shared.statistics.released);
        if let Some(reason) = self.usage.unfit() {
            self.close(slot, reason);
        } else {
            slot.proven_at = self.usage.proven_at.unwrap_or(slot.proven_at);
            let freed = self.shared.with_state(|state| state.released(slot));
            self.shared.settle(freed);
        }
        self.shared.drained.notify_waiters();
    }
}

impl<C: Connect> fmt::Debug for Lease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.slot.as_ref().map(|slot| slot.id))
            .field("usage", &self.usage)
            .field("location", &self.location)
            .field("held", &self.acquired_at.elapsed())
            .finish_non_exhaustive()
    }
}
