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

/// Those of [`SERVER`] and [`RUNNER`] that are told also where nothing is broken.
const ORDINARY: [&str; 10] = [
    "config.needs_restart",
    "config.reload_failed",
    "config.reloaded",
    "pool.acquired",
    "pool.closed",
    "pool.connection.opened",
    "pool.health.green",
    "pool.phase.changed",
    "pool.released",
    "pool.resized",
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

/// Whether it proves that a fault was felt: it is told of what a fault does, and neither of what is done to the proxy
/// nor of what happens also where nothing is broken. What fields narrow, such as a change of phase to a certain one, may
/// come of a fault alone.
pub(super) fn is_proof(event: &str, is_narrowed: bool) -> bool {
    let decision = DecisionKind::ALL
        .into_iter()
        .find(|kind| event.strip_prefix("proxy.") == Some(kind.as_str()));
    match decision {
        None => is_narrowed || !ORDINARY.contains(&event),
        Some(
            DecisionKind::ProxyCreated
            | DecisionKind::ProxyDeleted
            | DecisionKind::ListenerOpened
            | DecisionKind::AcceptFailed
            | DecisionKind::ConnectionAccepted
            | DecisionKind::ConnectionClosed
            | DecisionKind::ToxicAdded
            | DecisionKind::ToxicUpdated
            | DecisionKind::ToxicRemoved
            | DecisionKind::ProtocolOpaque,
        ) => false,
        Some(
            DecisionKind::ListenerClosed
            | DecisionKind::UpstreamFailed
            | DecisionKind::ConnectionCut
            | DecisionKind::ConnectionReset
            | DecisionKind::ConnectionBlackholed
            | DecisionKind::ConnectionHealed
            | DecisionKind::ToxicEngaged
            | DecisionKind::ErrorInjected,
        ) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ordinary_is_known() {
        let known = known();
        for event in ORDINARY {
            assert!(known.iter().any(|name| name == event), "{event}");
        }
    }
}
