//! A connection in somebody's hands.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use tokio::time::Instant;

use super::connect::Connect;
use super::reason::CloseReason;
use super::shared::{PoolSlot, Shared};
use super::slot::{Cut, Slot, Tether};
use super::usage::Usage;

/// Why looking into a lease cannot fail.
const HELD: &str = "a lease holds its connection until it ends";

/// A leased connection. Dropping it gives the connection back at once, without waiting and from any
/// thread, inside a runtime or not.
///
/// What the borrower leaves behind never reaches the next one. A session that was changed, or is inside a
/// transaction, is reset in the background; a connection whose statement was abandoned half-way is closed
/// and its session on the server ended.
pub struct Lease<C: Connect> {
    /// Pool and connection; taken only when the lease ends.
    held: Option<(Arc<Shared<C>>, PoolSlot<C>)>,
}

/// Follows a statement from its first poll to the end of its answer.
pub(super) struct Track<'a> {
    tether: &'a Tether,
    usage: &'a mut Usage,
    statements: &'a mut u64,
    proven_at: &'a mut Instant,
}

impl Track<'_> {
    /// The statement is being sent. Until [`answered`](Self::answered) the connection is in doubt.
    pub(super) fn sent(&mut self) {
        self.usage.sent();
        *self.statements += 1;
        self.tether.sent(Instant::now());
    }

    /// Somebody waits for the next part of the answer.
    pub(super) fn listening(&self) {
        if !self.tether.is_waiting() {
            self.tether.sent(Instant::now());
        }
    }

    /// A part of the answer came.
    pub(super) fn heard(&self) {
        self.tether.answered();
    }

    /// The answer was read to its end, so the connection works.
    pub(super) fn answered(&mut self) {
        self.usage.answered();
        *self.proven_at = Instant::now();
        self.tether.answered();
    }

    /// The pool took the connection back. What the server makes of the statement is unknown.
    pub(super) fn cut(&mut self, cut: Cut) {
        match cut {
            Cut::Silent => self.usage.unfit(CloseReason::Silent),
            // The state has let go of the connection already.
            Cut::Shutdown | Cut::Reclaimed => {}
        }
    }

    /// The session broke under the statement.
    pub(super) fn broke(&mut self) {
        self.usage.unfit(CloseReason::Broken);
    }

    pub(super) fn usage(&mut self) -> &mut Usage {
        self.usage
    }

    /// Whether the pool took the connection back; if not, the task is woken when it does.
    pub(super) fn poll_cut(&self, waker: &Waker) -> Option<Cut> {
        self.tether.poll_cut(waker)
    }
}

impl Drop for Track<'_> {
    /// Whoever lets go of a statement waits for its answer no more.
    fn drop(&mut self) {
        self.tether.answered();
    }
}

impl<C: Connect> Lease<C> {
    pub(super) fn new(shared: Arc<Shared<C>>, mut slot: PoolSlot<C>) -> Self {
        slot.usage = Usage::new();
        Self { held: Some((shared, slot)) }
    }

    /// The number that names this connection in logs, unique within its pool.
    pub fn id(&self) -> u64 {
        self.slot().id
    }

    /// The driver connection itself, for what the pool cannot follow. The connection is closed when
    /// the lease ends, because its session state is unknown.
    pub fn untracked(&mut self) -> &mut C::Connection {
        let slot = self.slot_mut();
        slot.usage.unfit(CloseReason::Untracked);
        &mut slot.connection
    }

    /// The connection, and what follows its use.
    pub(super) fn parts(&mut self) -> (&mut C::Connection, Track<'_>) {
        let Slot { connection, tether, usage, statements, proven_at, .. } = &mut **self.slot_mut();
        (connection, Track { tether, usage, statements, proven_at })
    }

    /// The connection for its check. Until [`checked`](Self::checked) it is in doubt.
    pub(super) fn checking(&mut self) -> &mut C::Connection {
        let slot = self.slot_mut();
        slot.usage.unproven();
        &mut slot.connection
    }

    /// The check succeeded.
    pub(super) fn checked(&mut self) {
        let (now, slot) = (Instant::now(), self.slot_mut());
        slot.usage = Usage::new();
        (slot.proven_at, slot.checked_at) = (now, now);
    }

    pub(super) fn usage(&mut self) -> &mut Usage {
        &mut self.slot_mut().usage
    }

    pub(super) fn slot(&self) -> &PoolSlot<C> {
        &self.held.as_ref().expect(HELD).1
    }

    fn slot_mut(&mut self) -> &mut PoolSlot<C> {
        &mut self.held.as_mut().expect(HELD).1
    }

    /// Ends a lease that reached nobody, without counting it as released.
    pub(super) fn into_parts(mut self) -> Option<(Arc<Shared<C>>, PoolSlot<C>)> {
        self.held.take()
    }

    /// Ends a lease that reached nobody, because its connection is unfit, and closes the connection.
    pub(super) fn reject(mut self, reason: CloseReason) {
        let Some((shared, slot)) = self.held.take() else { return };
        shared.with_state(|state| state.rejected(slot, reason, Instant::now()));
    }
}

impl<C: Connect> Drop for Lease<C> {
    fn drop(&mut self) {
        let Some((shared, slot)) = self.held.take() else { return };
        tracing::trace!(
            event = "pool.released",
            pool = %shared.name,
            connection.id = slot.id,
            "a connection was given back"
        );
        let fitness = slot.usage.fitness();
        let now = Instant::now();
        let served = shared.with_state(|state| state.returned(slot, fitness, now));
        shared.serve_next(served);
    }
}

impl<C: Connect> fmt::Debug for Lease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.held.as_ref().map(|(_, slot)| slot.id))
            .field("usage", &self.held.as_ref().map(|(_, slot)| &slot.usage))
            .finish_non_exhaustive()
    }
}
