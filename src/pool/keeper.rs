//! The one task that looks after the pool as time passes.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::connect::Connect;
use super::shared::Shared;

/// How often the pool is looked after. A tick without anything to do takes microseconds.
const TICK: Duration = Duration::from_millis(500);

/// Starts the keeper. It ends when the pool shuts down.
pub(super) fn spawn<C: Connect>(shared: &Arc<Shared<C>>) {
    shared.spawn(run(Arc::clone(shared)));
}

async fn run<C: Connect>(shared: Arc<Shared<C>>) {
    let mut ticks = interval(TICK);
    // After a pause of the machine one tick is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.stop.cancelled() => return,
        }
        shared.with_state(|state| state.tick(Instant::now(), Utc::now()));
    }
}
