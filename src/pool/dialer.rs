//! The one task that decides to open connections, and the tasks that open them.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until, timeout};

use super::care::Closing;
use super::connect::Connect;
use super::door;
use super::error::OpenError;
use super::shared::Shared;
use super::state::{Attempt, Dial};

/// Starts the dialer. It ends when the pool shuts down.
pub(super) fn spawn<C: Connect>(shared: &Arc<Shared<C>>) {
    shared.spawn(run(Arc::clone(shared)));
}

async fn run<C: Connect>(shared: Arc<Shared<C>>) {
    let mut watching = pin!(door::watch(&shared));
    loop {
        // Demand that arises after this look leaves a permit in `demand`, so it is never missed.
        let wake_at = match shared.with_state(|state| state.dial(Instant::now())) {
            Dial::Open(attempt) => {
                let opening = Opening { shared: Arc::clone(&shared), attempt, over: false };
                shared.spawn(open(opening));
                continue;
            }
            Dial::At(instant) => Some(instant),
            Dial::Rest => None,
        };
        let retry = async {
            match wake_at {
                Some(instant) => sleep_until(instant).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = retry => {}
            never = &mut watching, if wake_at.is_some() => match never {},
            () = shared.demand.notified() => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

async fn open<C: Connect>(mut opening: Opening<C>) {
    let shared = Arc::clone(&opening.shared);
    let attempt = opening.attempt;
    let outcome = tokio::select! {
        outcome = connect(&shared) => outcome,
        // What was begun ends with the dropped future.
        () = shared.stop.cancelled() => return,
    };
    opening.over = true;
    match outcome {
        Ok(connection) => opened(&shared, attempt, connection),
        Err(error) => failed(&shared, attempt, error),
    }
    shared.demand.notify_one();
}

async fn connect<C: Connect>(shared: &Shared<C>) -> Result<C::Connection, OpenError> {
    let (limit, primary) =
        shared.setting(|config| (config.connect_timeout, config.validation.require_primary));
    let opened = timeout(limit, shared.connector.open()).await;
    let connection =
        opened.map_err(|_elapsed| OpenError::TimedOut { limit })?.map_err(OpenError::Failed)?;
    if primary && shared.connector.is_read_only(&connection) {
        return Err(OpenError::ReadOnly);
    }
    Ok(connection)
}

fn opened<C: Connect>(shared: &Arc<Shared<C>>, attempt: Attempt, connection: C::Connection) {
    let session = shared.connector.session(&connection);
    let now = Instant::now();
    tracing::debug!(
        event = "pool.connection.opened",
        pool = %shared.name,
        session = ?session,
        reason = %attempt.reason,
        elapsed_ms = now.saturating_duration_since(attempt.began).as_millis(),
        "connection opened"
    );
    let served =
        shared.with_state(|state| state.opened(attempt, connection, session, fraction(), now));
    shared.serve(served);
}

/// Takes a connection into the pool that was opened to end a lost session, in that one's place.
pub(super) fn adopt<C: Connect>(
    shared: &Arc<Shared<C>>,
    connection: C::Connection,
    place: Closing<C>,
) {
    let primary = shared.setting(|config| config.validation.require_primary);
    if primary && shared.connector.is_read_only(&connection) {
        return;
    }
    place.replaced();
    let session = shared.connector.session(&connection);
    tracing::debug!(
        event = "pool.connection.adopted",
        pool = %shared.name,
        session = ?session,
        "the connection that ended a lost session takes its place"
    );
    let now = Instant::now();
    let served = shared.with_state(|state| state.adopted(connection, session, fraction(), now));
    shared.serve(served);
}

fn failed<C: Connect>(shared: &Arc<Shared<C>>, attempt: Attempt, error: OpenError) {
    shared.record_error(error.public_cause());
    let cause = Arc::new(error);
    let outage = shared.with_state(|state| {
        state.open_failed(attempt, Arc::clone(&cause), fraction(), Instant::now())
    });
    let retry_after = outage.retry_at.saturating_duration_since(Instant::now());
    tracing::warn!(
        event = "pool.connection.open_failed",
        pool = %shared.name,
        error = %cause,
        attempts = outage.attempts,
        retry_after_ms = retry_after.as_millis(),
        "could not open a connection"
    );
}

/// A number in `0.0..1.0` from the standard library's randomly keyed hasher: good enough to spread
/// attempts and lifetimes, and no dependency.
fn fraction() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or(0);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// Lowers the count of opening connections when an attempt is dropped unfinished.
struct Opening<C: Connect> {
    shared: Arc<Shared<C>>,
    attempt: Attempt,
    /// The attempt ended; its outcome settles the count.
    over: bool,
}

impl<C: Connect> Drop for Opening<C> {
    fn drop(&mut self) {
        if !self.over {
            self.shared.with_state(|state| state.open_abandoned(self.attempt));
        }
    }
}
