//! Ends sessions on the server whose connections are lost, so that the pool's count of connections stays
//! true: a backend goes on working after its socket was dropped.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::care::Closing;
use super::connect::Connect;
use super::dialer;
use super::shared::Shared;

/// Sessions to end, and the one task that does it. It runs only while there are any, and ends all that have
/// gathered at once, so it needs one session of its own however many there are.
pub(super) struct Reaper<C: Connect>(Mutex<Queue<C>>);

struct Queue<C: Connect> {
    waiting: Vec<Lost<C>>,
    running: bool,
}

/// A session whose connection is lost. It counts as closing until it is gone or its time is up.
struct Lost<C: Connect> {
    session: C::Session,
    deadline: Instant,
    closing: Closing<C>,
}

impl<C: Connect> Reaper<C> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Queue { waiting: Vec::new(), running: false }))
    }

    /// Has a session ended. It counts as closing until it is gone or `cleanup_timeout` has passed.
    pub(super) fn end(&self, shared: &Arc<Shared<C>>, session: C::Session, closing: Closing<C>) {
        let deadline = Instant::now() + shared.setting(|config| config.cleanup_timeout);
        let idle = {
            let mut queue = self.0.lock();
            queue.waiting.push(Lost { session, deadline, closing });
            !std::mem::replace(&mut queue.running, true)
        };
        if idle {
            let (owned, reaping) = (Arc::clone(shared), Reaping(Some(Arc::clone(shared))));
            shared.spawn(async move {
                while let Some(batch) = owned.reaper.next() {
                    let left = reap(&owned, batch).await;
                    owned.reaper.0.lock().waiting.extend(left);
                }
                reaping.done();
            });
        }
    }

    fn next(&self) -> Option<Vec<Lost<C>>> {
        let mut queue = self.0.lock();
        let batch = std::mem::take(&mut queue.waiting);
        queue.running = !batch.is_empty();
        queue.running.then_some(batch)
    }
}

/// Ends a batch of sessions. Returns those that may still be there and have time left.
async fn reap<C: Connect>(shared: &Arc<Shared<C>>, mut batch: Vec<Lost<C>>) -> Vec<Lost<C>> {
    let sessions: Vec<C::Session> = batch.iter().map(|lost| lost.session.clone()).collect();
    let Some(first) = batch.iter().map(|lost| lost.deadline).min() else { return Vec::new() };
    // During an outage the dialer alone decides when the next attempt is due.
    let reachable = shared.look(|state| state.outage().is_none());
    if !reachable {
        sleep_until(first).await;
        return unexpired(batch);
    }
    match timeout_at(first, ended(shared, &sessions)).await {
        Ok(Ok(connection)) => {
            // The connection that ended them takes the place of one of them.
            if let Some(lost) = batch.pop() {
                dialer::adopt(shared, connection, lost.closing);
            }
            return Vec::new();
        }
        Ok(Err(error)) => {
            tracing::debug!(
                event = "pool.session.not_ended",
                pool = %shared.name,
                sessions = ?sessions,
                error = %error,
                "could not end lost sessions; the server ends them when it notices"
            );
            // It looks every half second, so by the limit they are gone.
            sleep_until(first).await;
        }
        Err(_elapsed) => {}
    }
    unexpired(batch)
}

fn unexpired<C: Connect>(batch: Vec<Lost<C>>) -> Vec<Lost<C>> {
    let now = Instant::now();
    batch.into_iter().filter(|lost| lost.deadline > now).collect()
}

/// Opens a connection beyond the pool's count and ends the sessions by way of it.
async fn ended<C: Connect>(
    shared: &Shared<C>,
    sessions: &[C::Session],
) -> Result<C::Connection, sqlx::Error> {
    let mut connection = shared.connector.open().await?;
    shared.connector.terminate(&mut connection, sessions).await?;
    Ok(connection)
}

/// Lets go of what is left when the task is dropped with its runtime.
struct Reaping<C: Connect>(Option<Arc<Shared<C>>>);

impl<C: Connect> Reaping<C> {
    /// The task found nothing left; by now another may be at work.
    fn done(mut self) {
        self.0 = None;
    }
}

impl<C: Connect> Drop for Reaping<C> {
    fn drop(&mut self) {
        let Some(shared) = &self.0 else { return };
        let left = {
            let mut queue = shared.reaper.0.lock();
            queue.running = false;
            std::mem::take(&mut queue.waiting)
        };
        drop(left);
    }
}
