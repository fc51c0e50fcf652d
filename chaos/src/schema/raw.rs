//! Scenario and fault files as the YAML says it, before anything is checked across keys.

use schemars::JsonSchema;
use serde::Deserialize;

use super::amount::{Amount, AmountError, Time, Written};
use super::load::Arrivals;
use super::metric::Quantile;
use super::scalar::Mapping;
use crate::record::Phase;
use crate::report::model::Verdict;

/// A scenario: a load, faults, and promises about what happens.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Scenario")]
pub(super) struct Scenario {
    /// The version of this format.
    pub(super) schema: ScenarioVersion,
    /// The name, that of the file without its extension.
    pub(super) name: String,
    /// What it proves, in one line.
    pub(super) summary: String,
    /// The criteria that it proves, such as SC-004.
    #[serde(default)]
    #[schemars(inner(regex(pattern = r"^SC-\d{3}$")))]
    pub(super) criteria: Vec<String>,
    /// Words to choose scenarios by, such as smoke.
    #[serde(default)]
    pub(super) tags: Vec<String>,
    /// The seed of everything random. --seed comes before it.
    #[serde(default)]
    pub(super) seed: u64,
    /// Values that the file uses as ${name}. A range such as 1s..60s is drawn by each run. --set name=value
    /// comes before them.
    #[serde(default)]
    #[expect(dead_code, reason = "read before the rest, as the rest depends on it")]
    pub(super) params: Mapping,
    /// What it runs against.
    pub(super) environment: Environment,
    /// How long each phase lasts. A phase that is left out does not take place.
    pub(super) phases: Phases,
    /// The requests that are made.
    #[serde(default)]
    pub(super) load: Vec<Load>,
    /// What must hold before the faults, else the run is inconclusive, and again after the recovery.
    #[serde(default)]
    pub(super) steady_state: Vec<Promise>,
    /// What is broken, and when.
    #[serde(default)]
    pub(super) faults: Vec<Fault>,
    /// What is promised.
    pub(super) expect: Expect,
    /// Times that must not become longer than those that earlier runs have left as a baseline.
    #[serde(default)]
    pub(super) baseline: Vec<Objective>,
    /// How often it runs, and what all runs together promise; all runs must pass.
    #[serde(default)]
    pub(super) repeat: Option<Repeat>,
    /// What a run may cost.
    #[serde(default)]
    pub(super) budget: Option<Budget>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum ScenarioVersion {
    #[serde(rename = "resilience/v1")]
    V1,
}

/// What a scenario runs against: a server process, or a pool in the runner's own process.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Environment {
    /// The PostgreSQL server.
    #[serde(default)]
    pub(super) postgres: Postgres,
    /// A codebase-mcp process, spoken to over its stdin and stdout.
    pub(super) server: Option<Server>,
    /// A pool, used as a library.
    pub(super) pool: Option<Pool>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Postgres {
    /// Settings of PostgreSQL, such as `max_connections`.
    #[serde(default)]
    pub(super) settings: Mapping,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// When it starts: before the load, or with the faults already in force.
    #[serde(default)]
    pub(super) start: ServerStart,
    /// Its settings by their path, such as `pool.max_size`. `--set config.pool.max_size=5` comes before them.
    #[serde(default)]
    pub(super) config: Mapping,
}

/// When the server starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerStart {
    /// Before the load, with a repository indexed.
    #[default]
    BeforeLoad,
    /// With the faults of the beginning of the fault phase already in force.
    DuringFault,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    /// Its settings by their path, such as `pool.max_size`. `--set config.pool.max_size=5` comes before them.
    #[serde(default)]
    pub(super) config: Mapping,
}

/// How long each phase lasts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Phases {
    /// Load runs, and nothing of it counts.
    pub(super) warmup: Option<Time>,
    /// Nothing is broken.
    pub(super) steady: Option<Time>,
    /// Faults are in force. auto: until the last one is undone.
    pub(super) fault: Option<FaultPhase>,
    /// All faults are undone.
    pub(super) recovery: Option<Time>,
    /// The load has ended. Ends early when everything has come back.
    pub(super) drain: Option<Time>,
}

/// The length of the fault phase.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(untagged)]
pub(super) enum FaultPhase {
    /// A time.
    For(Time),
    /// Until the last fault is undone.
    Auto(Auto),
}

#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Auto {
    Auto,
}

impl FaultPhase {
    /// The time, if it is one.
    pub(super) fn time(self) -> Option<Time> {
        match self {
            Self::For(time) => Some(time),
            Self::Auto(Auto::Auto) => None,
        }
    }
}

impl<'de> Deserialize<'de> for FaultPhase {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written(|text| match text {
            "auto" => Ok(Self::Auto(Auto::Auto)),
            time => time.parse().map(Self::For),
        }))
    }
}

/// One stream of requests.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Load {
    /// Its name, with which its metrics begin.
    pub(super) id: String,
    /// What each request is.
    pub(super) op: OpName,
    /// When requests are made: at a rate whatever the answers do, or by workers that wait for them.
    pub(super) model: ModelName,
    /// Of an open load: requests a second.
    pub(super) rate: Option<Amount>,
    /// Of an open load: the distances between requests. The default is poisson.
    pub(super) arrivals: Option<Arrivals>,
    /// Of an open load: how many requests may be under way. The default is 500.
    pub(super) max_in_flight: Option<usize>,
    /// Of a closed load: how many workers.
    pub(super) workers: Option<usize>,
    /// Of a closed load: how long a worker pauses after an answer. The default is 0s.
    pub(super) think: Option<Time>,
    /// Of a closed load: how many requests there are in all. Without it, it goes on.
    pub(super) count: Option<u64>,
    /// When a caller gives up on a request. The default is 10s.
    pub(super) timeout: Option<Time>,
    /// The phases in which requests are made. The default is all but drain.
    pub(super) during: Option<Vec<Phase>>,
    /// Of search: the question.
    pub(super) query: Option<String>,
    /// Of pool.query: how long a connection is kept until it is used once more, such as 5ms or 5ms..20ms. The
    /// default is 0s, without a second use.
    pub(super) hold: Option<Range>,
    /// Of pool.cancel and pool.panic: the latest instant at which it is cancelled, or panics.
    pub(super) within: Option<Time>,
}

/// What each request of a load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum OpName {
    #[serde(rename = "search")]
    Search,
    #[serde(rename = "health")]
    Health,
    #[serde(rename = "list_tools")]
    ListTools,
    #[serde(rename = "start")]
    Start,
    #[serde(rename = "pool.acquire")]
    PoolAcquire,
    #[serde(rename = "pool.query")]
    PoolQuery,
    #[serde(rename = "pool.cancel")]
    PoolCancel,
    #[serde(rename = "pool.panic")]
    PoolPanic,
    #[serde(rename = "pool.health")]
    PoolHealth,
    #[serde(rename = "pool.snapshot")]
    PoolSnapshot,
    #[serde(rename = "pool.open")]
    PoolOpen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModelName {
    Open,
    Closed,
}

/// A time, or two with `..` between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range(pub(super) Time, pub(super) Time);

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written(|text| {
            let (from, to) = text.split_once("..").unwrap_or((text, text));
            let (from, to) = (from.parse()?, to.parse()?);
            if from > to {
                return Err(AmountError::Backwards { text: text.to_owned() });
            }
            Ok(Self(from, to))
        }))
    }
}

impl JsonSchema for Range {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Range".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A time such as 5ms, or a range such as 5ms..20ms",
            "type": "string",
        })
    }
}

/// A bound on a metric. Exactly one of lt, le, gt, ge and eq.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Promise {
    /// What is bounded, such as reads.latency.p95 or pool.leaked.
    pub(super) metric: String,
    /// Below.
    pub(super) lt: Option<Amount>,
    /// At most.
    pub(super) le: Option<Amount>,
    /// Above.
    pub(super) gt: Option<Amount>,
    /// At least.
    pub(super) ge: Option<Amount>,
    /// Exactly.
    pub(super) eq: Option<Amount>,
    /// The phase that is looked at, if not that of its group.
    #[serde(rename = "in")]
    pub(super) phase: Option<Phase>,
    /// With fewer samples nothing is said.
    pub(super) min_samples: Option<u64>,
    /// A remark for readers of the report.
    pub(super) note: Option<String>,
}

/// An event, and how often.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Occurrence {
    /// The event, such as `proxy.connection_cut`.
    pub(super) event: String,
    /// Fields that it must have, with their values, such as reason: abandoned.
    #[serde(default, rename = "where")]
    pub(super) fields: Mapping,
    /// How often at least. The default is 1, and 0 where there is a max.
    pub(super) min: Option<u64>,
    /// How often at most.
    pub(super) max: Option<u64>,
    /// The phase that is looked at. The default is all but warmup.
    #[serde(rename = "in")]
    pub(super) phase: Option<Phase>,
    /// A remark for readers of the report.
    pub(super) note: Option<String>,
}

impl Occurrence {
    /// How often at least.
    pub(super) fn least(&self) -> u64 {
        self.min.unwrap_or(u64::from(self.max.is_none()))
    }
}

/// A fault on the timeline.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// Its name.
    pub(super) id: String,
    /// When it begins, from the beginning of the fault phase. The default is 0s.
    pub(super) at: Option<Time>,
    /// How long it lasts. Not for a fault that happens at one instant.
    #[serde(rename = "for")]
    pub(super) lasts: Option<Time>,
    /// How often it happens, for a fault that happens at one instant. The default is once.
    pub(super) every: Option<Time>,
    /// What it is, such as proxy.refuse.
    pub(super) kind: Option<String>,
    /// The name of a fault file instead of a kind.
    #[serde(rename = "use")]
    pub(super) file: Option<String>,
    /// The parameters of its kind.
    #[serde(default)]
    pub(super) with: Mapping,
}

/// What is promised.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// What holds in every phase but warmup.
    #[serde(default)]
    pub(super) always: Vec<Promise>,
    /// What holds while faults are in force.
    #[serde(default)]
    pub(super) during_fault: Vec<Promise>,
    /// What has come about at the end.
    #[serde(default)]
    pub(super) eventually: Vec<Promise>,
    /// Events that must occur; else the promise is broken.
    #[serde(default)]
    pub(super) occurs: Vec<Occurrence>,
    /// Events that must occur; else the run proves nothing.
    #[serde(default)]
    pub(super) sometimes: Vec<Occurrence>,
    /// Of a scenario that tests the runner itself: the verdict to which it must come.
    pub(super) verdict: Option<Verdict>,
}

/// A time, of which less is better, that each run measures.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Objective {
    /// The time, such as reads.latency.p50 or `server.start_time`.
    pub(super) metric: String,
    /// The phase that is looked at. The default is all but warmup.
    #[serde(rename = "in")]
    pub(super) phase: Option<Phase>,
    /// With fewer samples a run has no value.
    pub(super) min_samples: Option<u64>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Repeat {
    /// How many runs.
    pub(super) runs: u32,
    /// What is promised over all runs.
    #[serde(default)]
    pub(super) expect: Vec<OverRuns>,
}

/// A bound on a quantile of what the runs have measured. Exactly one of lt and le.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OverRuns {
    /// What each run measures as one value, such as `reads.recovery_time`.
    pub(super) metric: String,
    /// Of which quantile over the runs, by the nearest rank. p50 needs 2 runs, p90 10, p95 20, p99 100, p999
    /// 1000.
    pub(super) quantile: QuantileName,
    /// Below.
    pub(super) lt: Option<Amount>,
    /// At most.
    pub(super) le: Option<Amount>,
    /// A remark for readers of the report.
    pub(super) note: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum QuantileName {
    P50,
    P90,
    P95,
    P99,
    P999,
    Max,
}

impl From<QuantileName> for Quantile {
    fn from(name: QuantileName) -> Self {
        match name {
            QuantileName::P50 => Self::MEDIAN,
            QuantileName::P90 => Self::Permille(900),
            QuantileName::P95 => Self::Permille(950),
            QuantileName::P99 => Self::Permille(990),
            QuantileName::P999 => Self::Permille(999),
            QuantileName::Max => Self::Max,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Budget {
    /// The longest time that one run may take, setup and teardown included.
    pub(super) wall: Time,
}

/// A named fault, for use in scenarios.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Fault")]
pub(super) struct FaultFile {
    /// The version of this format.
    pub(super) schema: FaultVersion,
    /// The name, that of the file without its extension.
    pub(super) name: String,
    /// What happens in the real world that looks like this.
    pub(super) summary: String,
    /// What it is, such as proxy.blackhole.
    pub(super) kind: String,
    /// The parameters of its kind; a scenario may give others.
    #[serde(default)]
    pub(super) with: Mapping,
    /// Who feels it.
    pub(super) blast: String,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum FaultVersion {
    #[serde(rename = "fault/v1")]
    V1,
}
