//! What happens to connections in the background: checks, resets, farewells. Each half-done step has a
//! guard, so the counts are right also when the runtime drops the task.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::connect::Connect;
use super::error::CheckError;
use super::reason::{CloseReason, Farewell};
use super::shared::{PoolSlot, PoolState, Shared};
use super::state::Care;

/// Checks or resets a connection that is counted as checking, then gives it back to the state.
pub(super) fn look_after<C: Connect>(shared: &Arc<Shared<C>>, slot: PoolSlot<C>, care: Care) {
    let checking = Checking(Some(Arc::clone(shared)));
    shared.spawn(async move {
        let Some(shared) = checking.0.clone() else { return };
        let mut slot = slot;
        let began = Instant::now();
        let outcome = cared_for(&shared, &mut slot, care).await;
        checking.done();
        shared.record_check();
        let served = shared.with_state(|state| state.cared(slot, outcome, began, Instant::now()));
        shared.serve(served);
    });
}

async fn cared_for<C: Connect>(
    shared: &Arc<Shared<C>>,
    slot: &mut PoolSlot<C>,
    care: Care,
) -> Result<(), CloseReason> {
    let outcome = match care {
        Care::Probe => {
            let limit = shared.setting(|config| config.validation.timeout);
            check(shared, &mut slot.connection, limit).await
        }
        Care::Reset => {
            let limit = shared.setting(|config| config.cleanup_timeout);
            let reset = timeout(limit, shared.connector.reset(&mut slot.connection)).await;
            let reset = reset.unwrap_or(Err(CheckError::TimedOut { limit }));
            reset.and_then(|()| may_write(shared, &slot.connection))
        }
    };
    outcome.map_err(|error| {
        let reason = match (&error, care) {
            // The server is there and refused; that says nothing about other sessions.
            (CheckError::Failed(refused), Care::Reset) if refused.as_database_error().is_some() => {
                CloseReason::ResetFailed
            }
            _ => close_reason(&error),
        };
        unfit(shared, slot.id, &error, reason);
        reason
    })
}

/// One check within `limit`, with the rule about servers that only read.
pub(super) async fn check<C: Connect>(
    shared: &Shared<C>,
    connection: &mut C::Connection,
    limit: Duration,
) -> Result<(), CheckError> {
    let checked = timeout(limit, shared.connector.check(connection)).await;
    checked.unwrap_or(Err(CheckError::TimedOut { limit }))?;
    may_write(shared, connection)
}

/// The rule about servers that only read.
fn may_write<C: Connect>(shared: &Shared<C>, connection: &C::Connection) -> Result<(), CheckError> {
    let writable = !shared.connector.is_read_only(connection);
    if writable || !shared.setting(|config| config.validation.require_primary) {
        return Ok(());
    }
    Err(CheckError::ReadOnly)
}

/// Why a connection that failed its check is closed.
pub(super) fn close_reason(error: &CheckError) -> CloseReason {
    match error {
        CheckError::TimedOut { .. } => CloseReason::CheckTimedOut,
        CheckError::InTransaction => CloseReason::InTransaction,
        CheckError::Failed(_) | CheckError::ReadOnly => CloseReason::CheckFailed,
    }
}

/// Tells that a connection failed its check or reset.
pub(super) fn unfit<C: Connect>(
    shared: &Shared<C>,
    id: u64,
    error: &CheckError,
    reason: CloseReason,
) {
    tracing::warn!(
        event = "pool.connection.unfit",
        pool = %shared.name,
        connection.id = id,
        reason = %reason,
        error = %error,
        "a connection is unfit and will be replaced"
    );
    shared.record_error(error.public());
}

/// Closes a connection that is counted as closing, within `cleanup_timeout`.
pub(super) fn close<C: Connect>(shared: &Arc<Shared<C>>, slot: PoolSlot<C>, reason: CloseReason) {
    tracing::debug!(
        event = "pool.connection.closed",
        pool = %shared.name,
        connection.id = slot.id,
        reason = %reason,
        statements = slot.statements,
        "connection closed"
    );
    shared.note_close(slot.id, reason);
    let closing = Closing::new(Arc::clone(shared));
    match reason.farewell() {
        Farewell::Drop => drop(slot),
        Farewell::Terminate => {
            let session = shared.connector.session(&slot.connection);
            drop(slot);
            shared.reaper.end(shared, session, closing);
        }
        Farewell::Polite => shared.spawn(async move {
            let shared = &closing.shared;
            let limit = shared.setting(|config| config.cleanup_timeout);
            let goodbye = shared.connector.close(slot.connection);
            if timeout(limit, goodbye).await.is_err() {
                tracing::debug!(
                    event = "pool.connection.dropped",
                    pool = %shared.name,
                    connection.id = slot.id,
                    "dropped a connection that would not close"
                );
            }
        }),
    }
}

/// Lowers the count of closing connections.
pub(super) struct Closing<C: Connect> {
    shared: Arc<Shared<C>>,
    /// Another connection has taken its place in the counts.
    replaced: bool,
}

impl<C: Connect> Closing<C> {
    pub(super) fn new(shared: Arc<Shared<C>>) -> Self {
        Self { shared, replaced: false }
    }

    /// The count was settled together with another connection.
    pub(super) fn replaced(mut self) {
        self.replaced = true;
    }
}

impl<C: Connect> Drop for Closing<C> {
    fn drop(&mut self) {
        if !self.replaced {
            self.shared.with_state(PoolState::<C>::closed);
            self.shared.demand.notify_one();
        }
    }
}

/// Lowers the count of connections being checked when the task is dropped with its runtime.
struct Checking<C: Connect>(Option<Arc<Shared<C>>>);

impl<C: Connect> Checking<C> {
    /// The care ended; its outcome settles the count.
    fn done(mut self) {
        self.0 = None;
    }
}

impl<C: Connect> Drop for Checking<C> {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.with_state(PoolState::<C>::care_abandoned);
        }
    }
}
