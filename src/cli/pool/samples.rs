//! Servers and pools for the tests of what is shown.

use chrono::{DateTime, TimeDelta, Utc};

use super::Server;
use crate::control::{Client, State, Status};
use crate::pool::{Health, HealthReason, Percentiles, Phase, Snapshot, Statistics};

/// The moment of all samples.
pub(super) fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> String {
    (now() - TimeDelta::seconds(seconds)).to_rfc3339()
}

/// A server that serves an assistant.
pub(super) fn server(pid: u32, pools: Vec<Statistics>) -> Server {
    Server::Answered(Box::new(Status {
        pid,
        version: "0.1.0".to_owned(),
        started_at: now() - TimeDelta::seconds(7500),
        client: Some(Client { name: "assistant".to_owned(), version: "2.1.0".to_owned() }),
        state: State::Ready,
        error: None,
        pools,
    }))
}

/// A pool at rest.
pub(super) fn pool(name: &str) -> Statistics {
    Statistics {
        name: name.to_owned(),
        health: Health::Healthy,
        snapshot: Snapshot {
            phase: Phase::Healthy,
            reason: HealthReason::Ok,
            idle: 2,
            in_use: 0,
            opening: 0,
            checking: 0,
            closing: 0,
            waiting: 0,
            min_size: 2,
            max_size: 10,
        },
        total_connections: 2,
        idle_connections: 2,
        active_connections: 0,
        waiting_requests: 0,
        total_acquisitions: 1_234_567,
        total_releases: 1_234_567,
        avg_acquisition_time_ms: 0.03,
        peak_active_connections: 4,
        peak_wait_time_ms: 1.9,
        pool_created_at: ago(7490),
        last_health_check: Some(ago(1)),
        last_error: None,
        last_error_time: None,
        uptime_seconds: 7490.0,
        timed_out: 0,
        opened: 12,
        open_failed: 0,
        closed: [("lifetime".to_owned(), 10)].into(),
        wait: Percentiles { p50_ms: 0.02, p95_ms: 0.12, p99_ms: 1.4, max_ms: 1.9 },
        usage: Percentiles { p50_ms: 3.4, p95_ms: 48.0, p99_ms: 1204.0, max_ms: 1300.0 },
        head_waiting_ms: 0.0,
        live_leaks: 0,
        leaks: 0,
        retry_after_ms: None,
    }
}

/// A pool at its limit, in trouble.
pub(super) fn busy_pool(name: &str) -> Statistics {
    let rest = pool(name);
    let closed = [("idle_time", 2), ("lifetime", 1031), ("broken", 4)];
    Statistics {
        health: Health::Degraded,
        snapshot: Snapshot {
            phase: Phase::Degraded,
            reason: HealthReason::RecentError,
            idle: 1,
            in_use: 5,
            opening: 2,
            checking: 1,
            closing: 1,
            waiting: 12,
            ..rest.snapshot
        },
        head_waiting_ms: 1240.0,
        timed_out: 3,
        wait: Percentiles { p50_ms: 0.4, p95_ms: 240.0, p99_ms: 1100.0, max_ms: 1240.0 },
        opened: 1047,
        open_failed: 1,
        closed: closed.map(|(reason, count)| (reason.to_owned(), count)).into(),
        live_leaks: 1,
        last_error: Some("connecting failed: connection refused".to_owned()),
        last_error_time: Some(ago(12)),
        ..rest
    }
}

/// A pool without its database.
pub(super) fn dead_pool(name: &str) -> Statistics {
    let rest = pool(name);
    Statistics {
        health: Health::Unhealthy,
        snapshot: Snapshot {
            phase: Phase::Recovering,
            reason: HealthReason::NoConnections,
            idle: 0,
            ..rest.snapshot
        },
        open_failed: 9,
        last_error: Some("connecting took longer than 10000 ms".to_owned()),
        last_error_time: Some(ago(3)),
        retry_after_ms: Some(14_800.0),
        ..rest
    }
}
