//! A pool in numbers: a small snapshot for looking often, and everything for looking closely.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::gauges::Gauges;
use super::histogram::Percentiles;
use super::phase::{Health, HealthReason, Phase};

/// A pool at one instant. Phase, reason and counts are read together and belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Where the pool is in its life.
    pub phase: Phase,
    /// The rule behind the phase.
    pub reason: HealthReason,
    /// Connections ready to be handed out.
    pub idle: u32,
    /// Connections in leases.
    pub in_use: u32,
    /// Connections being opened.
    pub opening: u32,
    /// Connections being checked or reset in the background.
    pub checking: u32,
    /// Connections being closed, counted until the server's side is gone.
    pub closing: u32,
    /// Acquires waiting in line.
    pub waiting: u32,
    /// Connections that are kept open.
    pub min_size: u32,
    /// The most connections at any time.
    pub max_size: u32,
}

impl Snapshot {
    pub(super) fn new(gauges: Gauges, min_size: u32, max_size: u32) -> Self {
        let Gauges { phase, reason, idle, in_use, opening, checking, closing, waiting } = gauges;
        Self {
            phase,
            reason,
            idle,
            in_use,
            opening,
            checking,
            closing,
            waiting,
            min_size,
            max_size,
        }
    }

    /// All connections that count against `max_size`.
    pub fn total(&self) -> u32 {
        self.idle + self.in_use + self.opening + self.checking + self.closing
    }

    /// The health that the phase implies, and the rule that decided it. Being busy is no fault.
    ///
    /// ```
    /// use codebase_mcp::pool::{Health, HealthReason, Phase, Snapshot};
    ///
    /// let busy = Snapshot {
    ///     phase: Phase::Healthy,
    ///     reason: HealthReason::Ok,
    ///     idle: 0,
    ///     in_use: 10,
    ///     opening: 0,
    ///     checking: 0,
    ///     closing: 0,
    ///     waiting: 90,
    ///     min_size: 2,
    ///     max_size: 10,
    /// };
    /// assert_eq!(busy.health(), (Health::Healthy, HealthReason::Ok));
    /// assert_eq!(busy.to_string(), "10 in use, 0 idle, 0 opening, 0 checking, 0 closing of 10; 90 waiting");
    /// ```
    pub fn health(&self) -> (Health, HealthReason) {
        (self.phase.health(self.idle + self.in_use + self.checking), self.reason)
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { idle, in_use, opening, checking, closing, waiting, max_size, .. } = self;
        write!(
            f,
            "{in_use} in use, {idle} idle, {opening} opening, {checking} checking, {closing} closing of {max_size}; {waiting} waiting"
        )
    }
}

/// Everything that a pool counts and measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// The pool's name.
    pub name: String,
    /// How well it can serve.
    pub health: Health,
    /// The pool at this instant.
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// Connections, wherever they are.
    pub total_connections: u32,
    /// Connections ready to be handed out.
    pub idle_connections: u32,
    /// Connections in leases.
    pub active_connections: u32,
    /// Acquires waiting in line.
    pub waiting_requests: u32,
    /// Leases handed out since the pool was made.
    pub total_acquisitions: u64,
    /// Leases that came back.
    pub total_releases: u64,
    /// The mean time of the last thousand acquires (1000 to 1099). Of those that were served at once, one in 64 is measured
    /// and stands for the others.
    pub avg_acquisition_time_ms: f64,
    /// The most leases at once since the pool was made.
    pub peak_active_connections: u32,
    /// The longest wait since the pool was made.
    pub peak_wait_time_ms: f64,
    /// When the pool was made, in RFC 3339.
    pub pool_created_at: String,
    /// When a check last ended, in RFC 3339.
    pub last_health_check: Option<String>,
    /// The last error of opening, checking or using a connection.
    pub last_error: Option<String>,
    /// When that was, in RFC 3339.
    pub last_error_time: Option<String>,
    /// How long ago the pool was made.
    pub uptime_seconds: f64,
    /// Acquires that gave up at their limit.
    pub timed_out: u64,
    /// Connections opened.
    pub opened: u64,
    /// Attempts to open a connection that failed.
    pub open_failed: u64,
    /// Connections closed, by reason; reasons that never occurred are left out.
    pub closed: BTreeMap<String, u64>,
    /// How long acquires waited.
    pub wait: Percentiles,
    /// How long leases were held.
    pub usage: Percentiles,
    /// How long the first in line has waited.
    pub head_waiting_ms: f64,
    /// Leases that are held for longer than the leak threshold.
    pub live_leaks: u32,
    /// Leases that ever were.
    pub leaks: u64,
    /// During an outage, how long until the next attempt to connect.
    pub retry_after_ms: Option<f64>,
}

/// A moment for people and programs, to the millisecond.
pub(super) fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
