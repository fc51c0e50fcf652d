//! The one task that looks after the pool as time passes.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::connect::Connect;
use super::shared::Shared;
use super::shutdown;

/// How often the pool is looked after. A tick without anything to do takes microseconds.
const TICK: Duration = Duration::from_millis(500);

/// Starts the keeper. It ends when the pool shuts down.
pub(super) fn spawn<C: Connect>(shared: &Arc<Shared<C>>) {
    shared.spawn(run(Keeping(Arc::clone(shared))));
}

async fn run<C: Connect>(keeping: Keeping<C>) {
    let shared = &keeping.0;
    let mut ticks = interval(TICK);
    // After a pause of the machine one tick is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // One timer for all who wait: whoever has the earliest deadline sets it.
        let alarm = shared.with_state(|state| state.expire(Instant::now()));
        let deadline = async {
            match alarm {
                Some(instant) => sleep_until(instant).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = ticks.tick() => shared.with_state(|state| state.tick(Instant::now(), Utc::now())),
            () = deadline => {}
            () = shared.alarm.notified() => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

/// Ends the pool with the task: when the runtime has gone, nobody is left to keep a deadline.
struct Keeping<C: Connect>(Arc<Shared<C>>);

impl<C: Connect> Drop for Keeping<C> {
    fn drop(&mut self) {
        shutdown::begin(&self.0);
    }
}
