//! The events that a scenario may ask for: what the server's log, the fault proxy and the runner say.

use crate::proxy::DecisionKind;

/// Events of the server's log, by their field `event`.
const SERVER: [&str; 27] = [
    "config.needs_restart",
    "config.reload_failed",
    "config.reloaded",
    "pool.acquire.failed",
    "pool.acquired",
    "pool.clock.leapt",
    "pool.closed",
    "pool.connection.adopted",
    "pool.connection.closed",
    "pool.connection.dropped",
    "pool.connection.forced",
    "pool.connection.open_failed",
    "pool.connection.opened",
    "pool.connection.unfit",
    "pool.connections.suspected",
    "pool.database.answers",
    "pool.leak.reclaimed",
    "pool.leak.returned",
    "pool.leak.suspected",
    "pool.phase.changed",
    "pool.released",
    "pool.resized",
    "pool.session.not_ended",
    "pool.statement.silent",
    "pool.wait.long",
    "search.retried",
    "session.unread",
];

/// What the sampler and the runner see.
const RUNNER: [&str; 5] = [
    "pool.health.green",
    "pool.health.red",
    "pool.health.yellow",
    "postgres.session_terminated",
    "server.exited",
];

/// All of them, the fault proxy's decisions included.
pub(super) fn known() -> Vec<String> {
    let named = SERVER.iter().chain(&RUNNER).map(|name| (*name).to_owned());
    let decisions = DecisionKind::ALL.iter().map(|kind| format!("proxy.{}", kind.as_str()));
    let mut known: Vec<String> = named.chain(decisions).collect();
    known.sort_unstable();
    known
}
