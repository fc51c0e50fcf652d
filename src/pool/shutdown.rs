//! The end of a pool.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::connect::Connect;
use super::shared::Shared;
use super::state::{Held, State};

/// What is kept of the limit for taking leases back and ending their sessions: a sixth, but no more than this.
const FORCE: Duration = Duration::from_secs(5);
/// Ending a session takes a connection, so a limit shorter than this is exceeded rather than leave sessions.
const FORCE_AT_LEAST: Duration = Duration::from_secs(1);

/// How a shutdown went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Leases that had not come back at the limit and were taken back. Their statements failed, and their
    /// sessions were ended on the server.
    pub forced: Vec<Held>,
    /// Connections that could not be closed in time either. 0 unless the server does not answer.
    pub abandoned: u32,
    /// How long the shutdown took.
    pub elapsed: Duration,
}

/// Refuses acquires from now on, turns waiters away and closes what is idle. Leases close their
/// connections as they end.
pub(super) fn begin<C: Connect>(shared: &Arc<Shared<C>>) {
    shared.with_state(State::begin_shutdown);
    shared.stop.cancel();
}

pub(super) async fn run<C: Connect>(shared: &Arc<Shared<C>>) -> ShutdownReport {
    let started = Instant::now();
    begin(shared);
    let limit = shared.setting(|config| config.shutdown_timeout);
    let mut forced = Vec::new();
    let patience = limit.saturating_sub(FORCE.min(limit / 6));
    if timeout_at(started + patience, drained(shared)).await.is_err() {
        forced = shared.with_state(|state| state.force(Instant::now()));
        for held in &forced {
            tracing::warn!(
                event = "pool.connection.forced",
                pool = %shared.name,
                connection.id = held.connection,
                location = %held.location,
                held_ms = held.held.as_millis(),
                "took back a lease that outlived the shutdown's limit"
            );
        }
        // What is open after this limit is reported below.
        let end = (started + limit).max(Instant::now() + FORCE_AT_LEAST);
        drop(timeout_at(end, drained(shared)).await);
    }
    let abandoned = shared.with_state(|state| {
        state.terminate();
        state.total()
    });
    let elapsed = started.elapsed();
    if !shared.closed.swap(true, Ordering::Relaxed) {
        tracing::info!(
            event = "pool.closed",
            pool = %shared.name,
            forced = forced.len(),
            abandoned,
            elapsed_ms = elapsed.as_millis(),
            "pool closed"
        );
    }
    ShutdownReport { forced, abandoned, elapsed }
}

async fn drained<C: Connect>(shared: &Arc<Shared<C>>) {
    loop {
        // Interest is registered before the look, so that the last return is not missed.
        let mut notified = std::pin::pin!(shared.drained.notified());
        notified.as_mut().enable();
        if shared.look(State::total) == 0 {
            return;
        }
        notified.await;
    }
}
