//! The log of a pool's life: one event per change, each with a stable name in the field `event`.

use std::sync::Arc;

use super::connect::Connect;
use super::shared::Shared;
use super::state::{Event, Leak, Resize};

/// Writes an event of the state to the log.
pub(super) fn tell<C: Connect>(shared: &Arc<Shared<C>>, event: Event) {
    let pool = &*shared.name;
    match event {
        Event::Moved { from, to, reason, usable, max_size } => {
            let available = format!("{usable}/{max_size} connections available");
            tracing::info!(
                event = "pool.phase.changed", pool, %from, %to, %reason, available,
                "pool is {to}"
            );
        }
        Event::Suspected { connections } => tracing::info!(
            event = "pool.connections.suspected",
            pool,
            connections,
            "checking idle connections because another one failed"
        ),
        Event::ClockLeapt { by } => tracing::info!(
            event = "pool.clock.leapt",
            pool,
            by_ms = by.as_millis(),
            "the machine was asleep, or its clock was set; checking idle connections"
        ),
        Event::Leaked(leak) => leaked(shared, leak),
        Event::LeakReturned { id, location, held } => tracing::info!(
            event = "pool.leak.returned", pool, connection.id = id, %location,
            held_ms = held.as_millis(),
            "a lease that was reported as held for too long came back"
        ),
        Event::Reclaimed { id, location, held } => tracing::warn!(
            event = "pool.leak.reclaimed", pool, connection.id = id, %location,
            held_ms = held.as_millis(),
            "took back a lease that was held for too long"
        ),
        Event::Silent { id, location, silence } => tracing::warn!(
            event = "pool.statement.silent", pool, connection.id = id, %location,
            silence_ms = silence.as_millis(),
            "gave up on a statement without an answer; the server should have ended it"
        ),
        Event::LongWait { waiting, first } => tracing::warn!(
            event = "pool.wait.long",
            pool,
            waiting,
            first_ms = first.as_millis(),
            "requests wait long for a connection; raise pool.max_size or shorten the work"
        ),
        Event::Resized { min_size, max_size, from, why } => {
            resized(shared, min_size, max_size, from, why);
        }
    }
}

fn resized<C: Connect>(shared: &Shared<C>, min_size: u32, max_size: u32, from: u32, why: Resize) {
    let why = match why {
        Resize::Asked => "asked",
        Resize::HighUtilisation => "high_utilisation",
        Resize::LowUtilisation => "low_utilisation",
    };
    tracing::info!(
        event = "pool.resized",
        pool = &*shared.name,
        min_size,
        max_size,
        from,
        why,
        "pool resized"
    );
}

/// Resolving a stack trace takes tens of milliseconds, so it is not done on a task's thread.
fn leaked<C: Connect>(shared: &Arc<Shared<C>>, leak: Leak) {
    let Leak { id, location, held, warning, particulars } = leak;
    let pool = Arc::clone(&shared.name);
    let tell = move |trace: Option<String>| {
        tracing::warn!(
            event = "pool.leak.suspected", pool = &*pool, connection.id = id, %location,
            held_ms = held.as_millis(), warning, trace,
            "a lease is held for long; is it leaked?"
        );
    };
    match particulars.filter(|particulars| particulars.trace.is_some()) {
        None => tell(None),
        Some(particulars) => {
            let resolve = move || particulars.trace.as_ref().map(ToString::to_string);
            let resolving = shared.spawn_blocking(resolve);
            shared.spawn(async move { tell(resolving.await.ok().flatten()) });
        }
    }
}
