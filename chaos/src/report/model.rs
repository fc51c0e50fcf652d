//! What `report.json` says: everything that the other formats show.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::{Event, Phase};

/// The version of this model, in its field `schema`.
pub const SCHEMA: &str = "resilience-report/v1";

/// How a scenario or an assertion ended. The worst decides.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was promised holds, on enough data.
    Pass,
    /// It could not run here; the reason says what is missing.
    Skipped,
    /// Nothing can be said: too little data, the fault did not bite, the machine was too noisy.
    Inconclusive,
    /// A promise is broken.
    Fail,
    /// The runner could not do its work.
    Error,
}

/// One run of one scenario. With `repeat` there is one for each run, and one more on all of them together if
/// something is promised over runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The scenario's name.
    pub scenario: String,
    /// What it is about, in one line.
    pub summary: String,
    /// The criteria that it proves, such as `SC-004`.
    pub criteria: Vec<String>,
    /// The run's name, unique on this machine; also that of its folder.
    pub run: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// How long it took, setup and teardown included.
    pub wall_s: f64,
    /// The seed of everything random.
    pub seed: u64,
    /// The parameters that were drawn by the seed, with their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drawn: BTreeMap<String, String>,
    /// The command that runs it again just so.
    pub rerun: String,
    /// Where it ran.
    pub environment: Environment,
    /// How it ended.
    pub verdict: Verdict,
    /// Why, if that is not said by the assertions: what is missing, what the runner could not do.
    pub reason: Option<String>,
    /// Every promise and what became of it.
    pub assertions: Vec<Assertion>,
    /// When which phase was.
    pub phases: Vec<PhaseSpan>,
    /// When which fault was in force.
    pub faults: Vec<FaultSpan>,
    /// The loads.
    pub loads: Vec<LoadReport>,
    /// The pools over time, summed over all pools of the server.
    pub pool: Vec<PoolPoint>,
    /// How often what happened, by event name.
    pub event_counts: BTreeMap<String, u64>,
    /// The turning points, for the drawing and for reading: faults, phases of the pool and the like; at
    /// most [`MAX_EVENTS`].
    pub events: Vec<Event>,
    /// What was found once, by metric.
    pub facts: BTreeMap<String, f64>,
    /// What this run has measured of all that is promised over runs, by metric, in the base of its unit;
    /// `None` where it came to no value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, Option<f64>>,
    /// What this run has measured of all that is compared with a baseline, in seconds, by the objective's text, such
    /// as `reads.latency.p50 in steady`; `None` where there was too little data.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objectives: BTreeMap<String, Option<f64>>,
    /// The runs of a repeat, in a report on what they promise together; empty in that of a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Member>,
}

/// A run of a repeat, as the report on all of them has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub run: String,
    /// Its seed.
    pub seed: u64,
    /// What this seed drew.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drawn: BTreeMap<String, String>,
    /// How it ended.
    pub verdict: Verdict,
    /// What it has measured, by metric.
    pub measured: BTreeMap<String, Option<f64>>,
}

impl Report {
    /// Whether it is on all runs of a repeat, and not on one run.
    pub fn is_of_runs(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Whether the command line changed what ran: a parameter, a setting, or the server program. The command that
    /// repeats the run has it in its words.
    pub fn is_changed(&self) -> bool {
        self.rerun.split(' ').any(|word| matches!(word, "--set" | "--server"))
    }

    /// What was drawn in a line, such as `outage 23.4s, size 5`.
    pub(super) fn draws(&self) -> String {
        draws(&self.drawn)
    }
}

/// Drawn parameters in a line.
pub(super) fn draws(drawn: &BTreeMap<String, String>) -> String {
    let draws: Vec<_> = drawn.iter().map(|(name, value)| format!("{name} {value}")).collect();
    draws.join(", ")
}

/// The most events in a report; all of them are in `events.ndjson`.
pub const MAX_EVENTS: usize = 500;

/// Where a run took place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The version of the server, and the revision that it was built from where that is known.
    pub server: String,
    /// How it was built: `debug` or `release`.
    pub build: String,
    /// The PostgreSQL server's version.
    pub postgres: String,
    /// Who provided it: `url`, `container` or `process`.
    pub provider: String,
    /// Who provided the fault proxy: `bundled`, `image` or `url`.
    pub proxy: String,
    /// The operating system and its kernel.
    pub os: String,
    /// The processor.
    pub cpu: String,
    /// How many of them.
    pub cpus: usize,
    /// The machine's memory, in MiB.
    pub memory_mib: u64,
    /// The load average over the last minute when the run began; above `cpus`, others are at work.
    pub load_average: String,
}

/// What a promise was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// The gate before the fault, and again after it.
    SteadyState,
    /// It holds all the time.
    Always,
    /// It holds while faults are in force.
    DuringFault,
    /// It comes about.
    Eventually,
    /// It occurs, as promised.
    Occurs,
    /// It occurs, which proves that the fault was felt.
    Sometimes,
    /// The budget of time.
    Budget,
    /// It holds over all runs of a repeat.
    Repeat,
}

impl Group {
    /// Its key in a scenario file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SteadyState => "steady_state",
            Self::Always => "always",
            Self::DuringFault => "during_fault",
            Self::Eventually => "eventually",
            Self::Occurs => "occurs",
            Self::Sometimes => "sometimes",
            Self::Budget => "budget",
            Self::Repeat => "repeat",
        }
    }
}

/// One promise and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assertion {
    /// What kind of promise.
    pub group: Group,
    /// The promise as it was written, such as `reads.latency.p95 < 10ms in steady`.
    pub text: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was measured, with its unit, such as `3.2ms`; `None` without data.
    pub actual: Option<String>,
    /// How much was measured, such as the number of samples.
    pub samples: Option<u64>,
    /// Why it is not a pass, or how sure the pass is; one sentence.
    pub because: Option<String>,
    /// The author's remark.
    pub note: Option<String>,
}

/// When a phase was, in seconds since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PhaseSpan {
    /// Which.
    pub phase: Phase,
    /// Its beginning.
    pub from_s: f64,
    /// Its end.
    pub to_s: f64,
}

/// When a fault was in force, in seconds since the run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultSpan {
    /// Its name in the scenario.
    pub id: String,
    /// Its kind, such as `proxy.refuse`.
    pub kind: String,
    /// Its beginning.
    pub from_s: f64,
    /// Its end.
    pub to_s: f64,
}

/// What one load did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Its name in the scenario.
    pub id: String,
    /// The operation.
    pub op: String,
    /// Its model, such as `open, 200/s, poisson`.
    pub model: String,
    /// Figures by phase, only of phases with requests.
    pub phases: Vec<PhaseFigures>,
    /// Figures by second since the run began, only of seconds with requests.
    pub seconds: Vec<Second>,
    /// The percentiles of the latency of successes, by phase, for the spectrum: from 0 up to the last one
    /// that the number of samples supports.
    pub spectra: Vec<Spectrum>,
    /// How often which error, by code; `timed_out`, `dropped` and `malformed` among them.
    pub errors: BTreeMap<String, u64>,
    /// The 99th percentile of the pacer's delay, in milliseconds; `None` for a closed load.
    pub pacer_lag_p99_ms: Option<f64>,
}

/// A load in one phase. Latencies in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseFigures {
    /// Which.
    pub phase: Phase,
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed, timeouts included.
    pub failed: u64,
    /// Requests that were never sent.
    pub dropped: u64,
    /// Latency of successes.
    pub latency: Option<Latency>,
    /// Latency of failures, which ought to be short.
    pub failed_latency: Option<Latency>,
}

/// Quantiles of a latency, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of them were faster.
    pub p50: f64,
    /// 95 % of them.
    pub p95: f64,
    /// 99 % of them.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

/// A load in one second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Its beginning, in seconds since the run began.
    pub at_s: f64,
    /// Requests due in it that succeeded.
    pub ok: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were never sent.
    pub dropped: u64,
    /// Latency of all of its requests that were sent.
    pub latency: Option<Latency>,
}

/// The percentile spectrum of a load in a phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spectrum {
    /// Which phase.
    pub phase: Phase,
    /// Quantile from 0 to 1 and latency in milliseconds, both rising.
    pub points: Vec<(f64, f64)>,
}

/// The pools at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PoolPoint {
    /// When, in seconds since the run began.
    pub at_s: f64,
    /// Connections, wherever they are.
    pub size: u32,
    /// Idle ones.
    pub idle: u32,
    /// Requests waiting for one.
    pub waiting: u32,
}
