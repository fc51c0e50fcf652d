//! The events that a scenario may ask for: what the server's log, the fault proxy and the runner say.

use crate::proxy::DecisionKind;

/// Events of the server's log, by their field `event`, with their other fields.
const SERVER: [(&str, &[&str]); 28] = [
    ("config.needs_restart", &["key", "running", "read"]),
    ("config.reload_failed", &["error"]),
    ("config.reloaded", &["origin", "applied"]),
    ("jobs.unfinished", &[]),
    ("pool.acquire.failed", &["location", "waited_ms", "error"]),
    ("pool.acquired", &["connection.id", "location", "waited_ms"]),
    ("pool.clock.leapt", &["by_ms"]),
    ("pool.closed", &["forced", "abandoned", "elapsed_ms"]),
    ("pool.connection.adopted", &["session"]),
    ("pool.connection.closed", &["connection.id", "reason", "statements"]),
    ("pool.connection.dropped", &["connection.id"]),
    ("pool.connection.forced", &["connection.id", "location", "held_ms"]),
    ("pool.connection.open_failed", &["error", "attempts", "retry_after_ms"]),
    ("pool.connection.opened", &["session", "reason", "elapsed_ms"]),
    ("pool.connection.unfit", &["connection.id", "reason", "error"]),
    ("pool.connections.suspected", &["connections"]),
    ("pool.database.answers", &[]),
    ("pool.leak.reclaimed", &["connection.id", "location", "held_ms"]),
    ("pool.leak.returned", &["connection.id", "location", "held_ms"]),
    ("pool.leak.suspected", &["connection.id", "location", "held_ms", "warning", "trace"]),
    ("pool.phase.changed", &["from", "to", "reason", "available"]),
    ("pool.released", &["connection.id"]),
    ("pool.resized", &["min_size", "max_size", "from", "why"]),
    ("pool.session.not_ended", &["sessions", "error"]),
    ("pool.statement.silent", &["connection.id", "location", "silence_ms"]),
    ("pool.wait.long", &["waiting", "first_ms"]),
    ("search.retried", &[]),
    ("session.unread", &[]),
];
/// What the log says with every event. Some of it is not said by a pool in the runner's own process.
const OF_LOG: [&str; 4] = ["level", "message", "target", "timestamp"];

/// Those of [`SERVER`] and [`RUNNER`] that are told also where nothing is broken.
const ORDINARY: [&str; 12] = [
    "config.needs_restart",
    "config.reload_failed",
    "config.reloaded",
    "pool.acquired",
    "pool.closed",
    "pool.connection.adopted",
    "pool.connection.closed",
    "pool.connection.opened",
    "pool.health.green",
    "pool.phase.changed",
    "pool.released",
    "pool.resized",
];

/// What the sampler and the runner see, with the fields.
const RUNNER: [(&str, &[&str]); 5] = [
    ("pool.health.green", OF_LOOK),
    ("pool.health.red", OF_LOOK),
    ("pool.health.yellow", OF_LOOK),
    ("postgres.session_terminated", &["pid"]),
    ("server.exited", &["how"]),
];
const OF_LOOK: &[&str] = &["from", "phase", "pool", "reason"];

/// What a decision of the fault proxy may have.
const OF_DECISION: [&str; 3] = ["connection", "detail", "toxic"];

/// All of them, the fault proxy's decisions included.
pub(super) fn known() -> Vec<String> {
    let named = SERVER.iter().chain(&RUNNER).map(|(name, _)| (*name).to_owned());
    let decisions = DecisionKind::ALL.iter().map(|kind| format!("proxy.{}", kind.as_str()));
    let mut known: Vec<String> = named.chain(decisions).collect();
    known.sort_unstable();
    known
}

/// The fields that a known event may have, by name.
pub(super) fn fields(event: &str) -> Vec<&'static str> {
    let of = |events: &[(&str, &'static [&'static str])]| {
        events.iter().find(|(name, _)| *name == event).map(|(_, fields)| fields.to_vec())
    };
    let mut fields = match (of(&RUNNER), of(&SERVER)) {
        (Some(fields), _) => fields,
        (None, Some(own)) => {
            let pool = event.starts_with("pool.").then_some("pool");
            own.into_iter().chain(pool).chain(OF_LOG).collect()
        }
        (None, None) => OF_DECISION.to_vec(),
    };
    fields.sort_unstable();
    fields
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
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::manual::{quoted, table};

    #[test]
    fn what_is_ordinary_is_known() {
        let known = known();
        for event in ORDINARY {
            assert!(known.iter().any(|name| name == event), "{event}");
        }
    }

    #[test]
    fn events_of_the_pool_have_the_fields_that_its_manual_names() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pool.md");
        let manual = std::fs::read_to_string(path).unwrap();
        let rows = table(&manual, "Event");
        let told =
            rows.iter().map(|row| (quoted(row[0]).next().unwrap(), quoted(row[2]).collect()));
        let told: BTreeMap<&str, Vec<&str>> = told.collect();
        let of_pool = SERVER.iter().filter(|(name, _)| name.starts_with("pool."));
        let ours: BTreeMap<_, _> = of_pool.map(|(name, fields)| (*name, fields.to_vec())).collect();
        assert_eq!(ours, told);
    }

    #[test]
    fn the_fields_of_an_event_are_its_own_and_those_of_its_teller() {
        for (event, has) in [
            ("pool.connection.closed", "reason"),
            ("pool.connection.closed", "pool"),
            ("config.reloaded", "applied"),
            ("search.retried", "message"),
            ("server.exited", "how"),
            ("pool.health.red", "from"),
            ("proxy.toxic_engaged", "toxic"),
        ] {
            assert!(fields(event).contains(&has), "{event}: {has}");
            assert!(!fields(event).contains(&"reasn"), "{event}");
        }
        assert!(!fields("search.retried").contains(&"pool"));
        assert!(!fields("server.exited").contains(&"message"));
    }
}
