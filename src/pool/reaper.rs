//! Ends sessions on the server whose connections are lost, so that the pool's count of connections stays
//! true: a backend goes on working after its socket was dropped.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::care::Closing;
use super::connect::Connect;
use super::shared::Shared;

/// Sessions to end, and the one task that does it. It runs only while there are any, and ends all that have
/// gathered at once, so it needs one session of its own however many there are.
pub(super) struct Reaper<C: Connect>(Mutex<Queue<C>>);

struct Queue<C: Connect> {
    waiting: Vec<(C::Session, Closing<C>)>,
    running: bool,
}

impl<C: Connect> Reaper<C> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Queue { waiting: Vec::new(), running: false }))
    }

    /// Has a session ended. It counts as closing until it is gone or `cleanup_timeout` has passed.
    pub(super) fn end(&self, shared: &Arc<Shared<C>>, session: C::Session, closing: Closing<C>) {
        let idle = {
            let mut queue = self.0.lock();
            queue.waiting.push((session, closing));
            !std::mem::replace(&mut queue.running, true)
        };
        if idle {
            let (owned, reaping) = (Arc::clone(shared), Reaping(Some(Arc::clone(shared))));
            shared.spawn(async move {
                while let Some(batch) = owned.reaper.next() {
                    reap(&owned, batch).await;
                }
                reaping.done();
            });
        }
    }

    fn next(&self) -> Option<Vec<(C::Session, Closing<C>)>> {
        let mut queue = self.0.lock();
        let batch = std::mem::take(&mut queue.waiting);
        queue.running = !batch.is_empty();
        queue.running.then_some(batch)
    }
}

async fn reap<C: Connect>(shared: &Arc<Shared<C>>, batch: Vec<(C::Session, Closing<C>)>) {
    let (sessions, closing): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let deadline = Instant::now() + shared.setting(|config| config.cleanup_timeout);
    let ended = timeout_at(deadline, shared.connector.terminate(&sessions)).await;
    if let Ok(Err(error)) = ended {
        tracing::debug!(
            event = "pool.session.not_ended",
            pool = %shared.name,
            sessions = ?sessions,
            error = %error,
            "could not end lost sessions; the server ends them when it notices"
        );
        // It looks every half second, so by the limit they are gone.
        sleep_until(deadline).await;
    }
    drop(closing);
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
