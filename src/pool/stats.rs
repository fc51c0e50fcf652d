//! Numbers about a pool: gauges that are consistent in one load, counters, and the health they imply.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Whether the pool admits acquires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Serving.
    Running,
    /// Refusing new acquires, waiting for leases to come back.
    ShuttingDown,
    /// Over.
    Terminated,
}

/// The phase and the counts at one instant. The phase takes 2 bits, `waiting` 22 and each of the others 10,
/// so that all of them live in one atomic word and a reader never sees half of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gauges {
    pub(super) phase: Phase,
    pub(super) idle: u32,
    pub(super) in_use: u32,
    pub(super) opening: u32,
    pub(super) closing: u32,
    pub(super) waiting: u32,
}

const COUNT_BITS: u32 = 10;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const WAITING_BITS: u32 = 22;
const WAITING_MASK: u64 = (1 << WAITING_BITS) - 1;

impl Gauges {
    fn pack(self) -> u64 {
        let phase = match self.phase {
            Phase::Running => 0,
            Phase::ShuttingDown => 1,
            Phase::Terminated => 2,
        };
        let word = (phase << WAITING_BITS) | (u64::from(self.waiting) & WAITING_MASK);
        let counts = [self.idle, self.in_use, self.opening, self.closing];
        counts
            .iter()
            .fold(word, |word, &count| (word << COUNT_BITS) | (u64::from(count) & COUNT_MASK))
    }

    fn unpack(word: u64) -> Self {
        let field =
            |shift: u32, mask: u64| u32::try_from((word >> shift) & mask).unwrap_or(u32::MAX);
        let count = |position: u32| field(position * COUNT_BITS, COUNT_MASK);
        let phase = match field(4 * COUNT_BITS + WAITING_BITS, 3) {
            0 => Phase::Running,
            1 => Phase::ShuttingDown,
            _ => Phase::Terminated,
        };
        Self {
            phase,
            closing: count(0),
            opening: count(1),
            in_use: count(2),
            idle: count(3),
            waiting: field(4 * COUNT_BITS, WAITING_MASK),
        }
    }
}

/// What the pool counts, readable without its lock.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    gauges: AtomicU64,
    peak_in_use: AtomicU64,
    pub(super) acquired: AtomicU64,
    pub(super) released: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) open_failed: AtomicU64,
    pub(super) closed: AtomicU64,
}

impl Statistics {
    pub(super) fn publish(&self, gauges: Gauges) {
        self.gauges.store(gauges.pack(), Ordering::Release);
        self.peak_in_use.fetch_max(u64::from(gauges.in_use), Ordering::Relaxed);
    }

    pub(super) fn gauges(&self) -> Gauges {
        Gauges::unpack(self.gauges.load(Ordering::Acquire))
    }

    pub(super) fn peak_in_use(&self) -> u64 {
        self.peak_in_use.load(Ordering::Relaxed)
    }
}

/// Adds one to a counter.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A pool at one instant. The five connection counts belong together; each counter is exact by itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Snapshot {
    /// Whether the pool admits acquires.
    pub phase: Phase,
    /// Connections ready to be handed out.
    pub idle: u32,
    /// Connections in leases.
    pub in_use: u32,
    /// Connections being opened.
    pub opening: u32,
    /// Connections being closed, still counted against `max_size`.
    pub closing: u32,
    /// Acquires waiting in line.
    pub waiting: u32,
    /// `min_size` of the configuration.
    pub min_size: u32,
    /// `max_size` of the configuration.
    pub max_size: u32,
    /// The most connections in use at once since the pool was made.
    pub peak_in_use: u64,
    /// Leases handed out since the pool was made.
    pub acquired: u64,
    /// Leases that came back.
    pub released: u64,
    /// Acquires that gave up at their limit.
    pub timed_out: u64,
    /// Connections opened.
    pub opened: u64,
    /// Attempts to open a connection that failed.
    pub open_failed: u64,
    /// Connections closed.
    pub closed: u64,
    /// How long ago the pool was made.
    #[serde(serialize_with = "seconds")]
    pub age: Duration,
    /// The last error of opening or checking a connection, and how long ago it was.
    pub last_error: Option<LastError>,
}

/// The latest error of opening or checking a connection.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LastError {
    /// What failed.
    pub message: String,
    /// How long ago.
    #[serde(rename = "seconds_ago", serialize_with = "seconds")]
    pub ago: Duration,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// How well a pool can serve, worst rule first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Everything works, however busy the pool is.
    Healthy,
    /// It serves, but something is wrong.
    Degraded,
    /// It cannot serve.
    Unhealthy,
}

/// The rule that decided a [`Health`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthReason {
    /// No rule was broken.
    Ok,
    /// The pool is shutting down or closed.
    Closed,
    /// No usable connection at all.
    NoConnections,
    /// Fewer than half of `min_size` connections are usable.
    BelowHalf,
    /// Fewer than eight tenths of `min_size` connections are usable.
    BelowEightTenths,
    /// An error happened within the last minute.
    RecentError,
}

/// How long an error keeps a pool from being called healthy.
pub(super) const RECENT_ERROR: Duration = Duration::from_mins(1);

impl Snapshot {
    /// All connections that count against `max_size`.
    pub fn total(&self) -> u32 {
        self.idle + self.in_use + self.opening + self.closing
    }

    /// The health that these numbers imply, and the rule that decided it.
    ///
    /// Capacity is usable connections (idle or in use) over `min_size`: 0 or below 0.5 is unhealthy, below
    /// 0.8 degraded. Being busy is no fault.
    pub fn health(&self) -> (Health, HealthReason) {
        let usable = f64::from(self.idle + self.in_use);
        let capacity = usable / f64::from(self.min_size);
        let recent = self.last_error.as_ref().is_some_and(|error| error.ago < RECENT_ERROR);
        if self.phase != Phase::Running {
            (Health::Unhealthy, HealthReason::Closed)
        } else if usable == 0.0 {
            (Health::Unhealthy, HealthReason::NoConnections)
        } else if capacity < 0.5 {
            (Health::Unhealthy, HealthReason::BelowHalf)
        } else if capacity < 0.8 {
            (Health::Degraded, HealthReason::BelowEightTenths)
        } else if recent {
            (Health::Degraded, HealthReason::RecentError)
        } else {
            (Health::Healthy, HealthReason::Ok)
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { idle, in_use, opening, closing, waiting, max_size, .. } = self;
        write!(
            f,
            "{in_use} in use, {idle} idle, {opening} opening, {closing} closing of {max_size}; {waiting} waiting"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_survive_packing_at_their_bounds() {
        for phase in [Phase::Running, Phase::ShuttingDown, Phase::Terminated] {
            for gauges in [
                Gauges { phase, idle: 0, in_use: 0, opening: 0, closing: 0, waiting: 0 },
                Gauges { phase, idle: 1, in_use: 2, opening: 3, closing: 4, waiting: 5 },
                Gauges {
                    phase,
                    idle: 1023,
                    in_use: 1023,
                    opening: 1023,
                    closing: 1023,
                    waiting: 4_194_303,
                },
            ] {
                assert_eq!(Gauges::unpack(gauges.pack()), gauges);
            }
        }
    }

    fn snapshot(idle: u32, in_use: u32, min_size: u32) -> Snapshot {
        Snapshot {
            phase: Phase::Running,
            idle,
            in_use,
            opening: 0,
            closing: 0,
            waiting: 0,
            min_size,
            max_size: 10,
            peak_in_use: 0,
            acquired: 0,
            released: 0,
            timed_out: 0,
            opened: 0,
            open_failed: 0,
            closed: 0,
            age: Duration::from_secs(1),
            last_error: None,
        }
    }

    #[test]
    fn health_follows_capacity_not_load() {
        use {Health::*, HealthReason::*};
        for (idle, in_use, min_size, expected) in [
            (2, 0, 2, (Healthy, Ok)),
            (0, 10, 2, (Healthy, Ok)),
            (0, 0, 2, (Unhealthy, NoConnections)),
            (1, 1, 5, (Unhealthy, BelowHalf)),
            (2, 1, 5, (Degraded, BelowEightTenths)),
            (3, 1, 5, (Healthy, Ok)),
        ] {
            assert_eq!(snapshot(idle, in_use, min_size).health(), expected, "{idle} {in_use}");
        }
    }

    #[test]
    fn an_error_degrades_for_a_minute() {
        let mut pool = snapshot(2, 0, 2);
        let error = |ago| Some(LastError { message: "refused".into(), ago });
        pool.last_error = error(Duration::from_secs(59));
        assert_eq!(pool.health(), (Health::Degraded, HealthReason::RecentError));
        pool.last_error = error(RECENT_ERROR);
        assert_eq!(pool.health(), (Health::Healthy, HealthReason::Ok));
    }
}
