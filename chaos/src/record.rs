//! What a run has measured, raw: every request, every look at the pool, every event. The verdict and
//! the report are made of this and of nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The part of a run that an instant belongs to, in their order.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Load runs, and nothing of it counts.
    Warmup,
    /// Load runs and nothing is broken; what is measured here is the measure of what follows.
    Steady,
    /// Faults are in force.
    Fault,
    /// All faults are undone and the load goes on.
    Recovery,
    /// The load has ended; what it used must come back.
    Drain,
}

impl Phase {
    /// All phases in their order.
    pub const ALL: [Self; 5] =
        [Self::Warmup, Self::Steady, Self::Fault, Self::Recovery, Self::Drain];

    /// The name, as in scenarios and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warmup => "warmup",
            Self::Steady => "steady",
            Self::Fault => "fault",
            Self::Recovery => "recovery",
            Self::Drain => "drain",
        }
    }
}

/// When a run began. Every time of a record is measured from here.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    instant: Instant,
    wall: chrono::DateTime<chrono::Utc>,
}

impl Epoch {
    /// A run that begins now.
    pub fn now() -> Self {
        Self { instant: Instant::now(), wall: chrono::Utc::now() }
    }

    /// The time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.instant.elapsed()
    }

    /// The instant at a time of the record.
    pub fn instant(&self, at: Duration) -> Instant {
        self.instant + at
    }

    /// The time of the record at an instant; zero for what came before.
    pub fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.instant)
    }

    /// When it began, by the clock on the wall.
    pub fn wall(&self) -> chrono::DateTime<chrono::Utc> {
        self.wall
    }
}

/// From when until when something was so, in the time of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first instant.
    pub from: Duration,
    /// The first instant after it.
    pub to: Duration,
}

impl Span {
    /// Whether `at` lies in it.
    pub fn contains(&self, at: Duration) -> bool {
        self.from <= at && at < self.to
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }

    /// How long both of them were at once.
    pub fn shared(&self, other: &Self) -> Duration {
        self.to.min(other.to).saturating_sub(self.from.max(other.from))
    }
}

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With the answer that was asked for.
    Ok,
    /// With an error that has a code, which tells the caller what happened.
    Failed {
        /// Such as `DATABASE_ERROR` or `pool_timeout`.
        code: String,
    },
    /// With nothing until the load's limit; the caller gave up.
    TimedOut,
    /// It was never sent, because too many were under way.
    Dropped,
    /// With something that is no proper answer: a broken message, an error without a code.
    Malformed {
        /// What it was.
        what: String,
    },
}

impl Outcome {
    /// Whether it is the answer that was asked for.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }
}

/// The value of a sample whose answer says that a pool cannot serve.
pub const UNHEALTHY: u64 = 2;

/// One request. Its latency counts from when it was due, not from when it was sent, so that a stall
/// of the load generator or of the server is not hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When it was due.
    pub due: Duration,
    /// From then until its end.
    pub latency: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// A value that the operation measured itself: the process id of the PostgreSQL session that
    /// served it, the age in nanoseconds of what was read, or the health that was told: 0 for healthy, 1 for
    /// degraded, [`UNHEALTHY`]. Which one depends on the operation.
    pub value: Option<u64>,
}

/// Everything that one load of a scenario did.
#[derive(Debug, Clone, Default)]
pub struct LoadRecord {
    /// Its name in the scenario.
    pub id: String,
    /// Its requests, in the order in which they ended.
    pub samples: Vec<Sample>,
    /// How late the pacer sent the requests of an open load, in the order of their sending.
    pub pacer_lag: Vec<Duration>,
    /// Whether it stopped early because it had the most samples that are kept.
    pub capped: bool,
}

/// The pools of the server at one instant, summed over all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauges {
    /// When.
    pub at: Duration,
    /// The values, by the metric's name without its component: `pool.size` is `size`.
    pub values: BTreeMap<String, f64>,
}

/// Who says that something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The runner itself: phases, faults and their undoing.
    Runner,
    /// The fault proxy's decisions.
    Proxy,
    /// The server's log.
    Server,
    /// The PostgreSQL server.
    Postgres,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Seconds since the run began.
    pub at_s: f64,
    /// Who says so.
    pub source: Source,
    /// What, such as `proxy.connection_cut` or `pool.phase.changed`.
    pub name: String,
    /// The rest, as it was said.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// A fault as it was carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRecord {
    /// Its name in the scenario.
    pub id: String,
    /// Its kind, such as `proxy.refuse`.
    pub kind: String,
    /// From when it was in force until it was undone.
    pub span: Span,
}

/// What a record does not have, though it happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    /// How many events are not kept, because there were too many.
    pub events: u64,
    /// When a running target could not be looked at, or its looks were not kept any more.
    pub looks: Vec<Span>,
}

/// One run of a scenario.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The phases that took place, in their order.
    pub phases: Vec<(Phase, Span)>,
    /// The faults that were carried out.
    pub faults: Vec<FaultRecord>,
    /// The loads.
    pub loads: Vec<LoadRecord>,
    /// The looks at the pools, about every 50 ms.
    pub gauges: Vec<Gauges>,
    /// What happened, by time.
    pub events: Vec<Event>,
    /// What was found once, at the end: sessions on the server, the exit code and so on, by metric.
    pub facts: BTreeMap<String, f64>,
    /// What is missing in it.
    pub lost: Lost,
}

impl Record {
    /// The span of a phase; `None` if the scenario has none or never got there.
    pub fn phase(&self, phase: Phase) -> Option<Span> {
        self.phases.iter().find(|(name, _)| *name == phase).map(|(_, span)| *span)
    }
}
