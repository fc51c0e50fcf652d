//! One connection through a proxy: its state behind a lock, and the task that moves its bytes.
//!
//! In reading order: `stage` is one toxic on one direction, `lane` a direction with its toxics in a row,
//! `core` the whole connection, all without clock and socket; `run` has the sockets.

mod core;
mod lane;
mod plan;
mod run;
mod stage;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

pub(super) use self::core::Core;
pub(super) use run::run;

use super::World;

/// A connection, for its task and for those who change its toxics.
#[derive(Debug)]
pub(super) struct Link {
    world: Arc<World>,
    proxy: Arc<str>,
    number: u64,
    core: Mutex<Core>,
    /// Somebody changed the state beside the task.
    changed: Notify,
}

impl Link {
    pub(super) fn new(world: Arc<World>, proxy: Arc<str>, number: u64) -> Self {
        let core = Core::new(world.seed, proxy.clone(), number, world.recorder.now());
        Self { world, proxy, number, core: Mutex::new(core), changed: Notify::new() }
    }

    /// Changes the connection from outside. When this returns, the change is in force: what arrives later
    /// meets it, whatever the connection's task is doing.
    pub(super) fn tell(&self, change: impl FnOnce(&mut Core, Duration)) {
        self.with(change);
        self.changed.notify_one();
    }

    /// Looks at or changes the state, lets happen what follows, and writes down what did.
    fn with<R>(&self, change: impl FnOnce(&mut Core, Duration) -> R) -> R {
        // Every change is complete before anything could panic.
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.world.recorder.now();
        let result = change(&mut core, now);
        core.settle(now);
        // Written under the lock, so that the log has a connection's decisions in their order.
        let (notes, counts) = core.take_news();
        self.world.recorder.count(&self.proxy, &counts);
        for note in notes {
            self.world.recorder.note(&self.proxy, Some(self.number), note);
        }
        result
    }
}
