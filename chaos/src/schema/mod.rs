//! Scenarios and faults as people write them in YAML, and as they are once everything about them has been
//! checked. Nothing starts before that.
//!
//! A file is read in four steps: parameters are drawn (`range`) and filled in (`params`), the text is parsed strictly (`raw`),
//! what the types cannot say is checked with the place of each problem (`check`), and what comes out is a
//! [`Scenario`], in which everything has its unit and nothing is optional that is needed.

mod amount;
mod check;
mod codes;
mod error;
mod events;
mod fault;
mod json;
mod load;
mod metric;
mod params;
mod place;
mod range;
mod raw;
mod scalar;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use amount::{Amount, Unit};
pub use check::{settings, variables};
pub use error::{Problem, SchemaErrors, Wrong};
pub use fault::{Fate, FaultKind, Heal, KINDS, Need, Scope};
pub use json::{fault_schema, scenario_schema};
pub use load::{Arrivals, Load, Model, Op};
pub use metric::{Figure, Metric, Quantile, all_names};
pub use place::Position;
pub use range::RangeError;
pub use raw::ServerStart;

use crate::record::Phase;
use crate::report::model::{Group, Verdict};
use crate::seed;

/// A scenario in which everything is checked.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it proves, in one line.
    pub summary: String,
    /// The criteria that it proves.
    pub criteria: Vec<String>,
    /// Words to choose it by.
    pub tags: Vec<String>,
    /// The seed of everything random.
    pub seed: u64,
    /// Its parameters as they are in force.
    pub params: BTreeMap<String, String>,
    /// From what those of them that are drawn are drawn, such as `1s..60s`.
    pub ranges: BTreeMap<String, String>,
    /// What it runs against.
    pub target: Target,
    /// Settings of PostgreSQL.
    pub postgres: BTreeMap<String, String>,
    /// The phases in their order, with their lengths.
    pub phases: Vec<(Phase, Duration)>,
    /// The loads.
    pub loads: Vec<Load>,
    /// The faults, by their beginning.
    pub faults: Vec<Fault>,
    /// Everything promised about metrics.
    pub promises: Vec<Promise>,
    /// Everything that must occur.
    pub occurrences: Vec<Occurrence>,
    /// Everything that is compared with a baseline.
    pub objectives: Vec<Objective>,
    /// The verdict to which it must come; a pass for all but tests of the runner itself.
    pub verdict: Verdict,
    /// How often it runs.
    pub runs: u32,
    /// How often it runs if the command line does not say so.
    pub own_runs: u32,
    /// Everything promised over all of its runs.
    pub over_runs: Vec<OverRuns>,
    /// The longest time of one run.
    pub budget: Option<Duration>,
    /// The text of the file, with parameters filled in.
    pub text: String,
    /// What it was read from.
    source: Arc<Source>,
}

/// What a scenario is read from, and is read from again for its next run.
#[derive(Debug, Default)]
struct Source {
    path: PathBuf,
    text: String,
    faults: PathBuf,
    overrides: Overrides,
}

/// What a scenario runs against.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A server process.
    Server {
        /// When it starts.
        start: ServerStart,
        /// Its settings by path.
        config: BTreeMap<String, String>,
    },
    /// A pool in the runner's own process.
    Pool {
        /// Its settings by path.
        config: BTreeMap<String, String>,
    },
}

/// A fault on the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Its name.
    pub id: String,
    /// What it is.
    pub kind: FaultKind,
    /// The name of its kind.
    pub kind_name: String,
    /// When it begins, from the beginning of the fault phase.
    pub at: Duration,
    /// How long it lasts, or over how long it is repeated. Zero for one that happens once.
    pub lasts: Duration,
    /// How often it happens, for one that happens at an instant.
    pub every: Option<Duration>,
    /// Who feels it, where the file of the fault says so.
    pub blast: Option<String>,
}

/// A bound on a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Promise {
    /// What kind of promise.
    pub group: Group,
    /// What is bounded.
    pub metric: Metric,
    /// How.
    pub relation: Relation,
    /// The bound.
    pub limit: Amount,
    /// The phase that is looked at, if not those of the group.
    pub phase: Option<Phase>,
    /// With fewer samples nothing is said.
    pub min_samples: u64,
    /// The author's remark.
    pub note: Option<String>,
}

/// A bound from above on a quantile of what the runs of a repeat have measured, each of them one value.
#[derive(Debug, Clone, PartialEq)]
pub struct OverRuns {
    /// The bound, and what each run measures.
    pub promise: Promise,
    /// Of which quantile over the runs.
    pub quantile: Quantile,
}

/// A time, of which less is better, that is compared with what earlier runs have measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objective {
    /// What is measured; its unit is a time.
    pub metric: Metric,
    /// The phase that is looked at; all but warm-up if none is given.
    pub phase: Option<Phase>,
    /// With fewer samples a run has no value.
    pub min_samples: u64,
}

/// How a value must be to its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Below.
    Less,
    /// At most.
    AtMost,
    /// Above.
    Greater,
    /// At least.
    AtLeast,
    /// Exactly.
    Equal,
}

/// That something happened, and not too often.
#[derive(Debug, Clone, PartialEq)]
pub struct Occurrence {
    /// Whether it is promised, or a proof that a fault was felt.
    pub group: Group,
    /// The event.
    pub event: String,
    /// Fields that it must have, with their values.
    pub fields: BTreeMap<String, String>,
    /// How often at least.
    pub min: u64,
    /// How often at most.
    pub max: Option<u64>,
    /// The phase that is looked at; all but warm-up if none is given.
    pub phase: Option<Phase>,
    /// The author's remark.
    pub note: Option<String>,
}

/// What the command line changes about a scenario.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Parameters by name.
    pub params: BTreeMap<String, String>,
    /// Settings of the server or the pool by path.
    pub config: BTreeMap<String, String>,
    /// The seed.
    pub seed: Option<u64>,
    /// How often it runs.
    pub runs: Option<u32>,
}

/// Checks the text of a scenario as if it were the file `path`.
pub fn read(
    path: &Path,
    text: &str,
    faults: &Path,
    overrides: &Overrides,
) -> Result<Scenario, SchemaErrors> {
    check::scenario(path, text, faults, overrides)
}

impl Scenario {
    /// Reads and checks the scenario at `path`; named faults are looked for in `faults`.
    pub fn open(path: &Path, faults: &Path, overrides: &Overrides) -> Result<Self, SchemaErrors> {
        let text = fs::read_to_string(path)
            .map_err(|error| SchemaErrors::one(path, Problem::whole(Wrong::Unreadable(error))))?;
        read(path, &text, faults, overrides)
    }

    /// Its run with this number, from 0: with the seed of that run, and with what this seed draws. With that
    /// seed, the first run is the same.
    ///
    /// # Errors
    /// None with what has been read, but that a file of a fault may have changed since.
    pub fn of_run(&self, number: u32) -> Result<Self, SchemaErrors> {
        let seed = seed::of_run(self.seed, number);
        if self.ranges.is_empty() {
            return Ok(Self { seed, ..self.clone() });
        }
        let Source { path, text, faults, overrides } = &*self.source;
        read(path, text, faults, &Overrides { seed: Some(seed), ..overrides.clone() })
    }

    /// The parameters that were drawn, with their values.
    pub fn drawn(&self) -> BTreeMap<String, String> {
        let is_drawn = |(name, _): &(&String, &String)| self.ranges.contains_key(*name);
        let drawn = self.params.iter().filter(is_drawn);
        drawn.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// How long all phases are together.
    pub fn length(&self) -> Duration {
        self.phases.iter().map(|(_, length)| *length).sum()
    }

    /// What must be there for its faults.
    pub fn needs(&self) -> Vec<Need> {
        let mut needs: Vec<Need> = Vec::new();
        for need in self.faults.iter().map(|fault| fault.kind.need()) {
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
        needs
    }
}

/// A fault file, checked: its name, what it looks like in the world, its kind, and who feels it.
#[derive(Debug, Clone)]
pub struct FaultFile {
    /// Its name.
    pub name: String,
    /// What happens in the real world that looks like this.
    pub summary: String,
    /// The name of its kind.
    pub kind: String,
    /// Who feels it.
    pub blast: String,
    with: scalar::Mapping,
}

impl FaultFile {
    /// Reads and checks the fault at `path`.
    pub fn open(path: &Path) -> Result<Self, SchemaErrors> {
        let text = fs::read_to_string(path)
            .map_err(|error| SchemaErrors::one(path, Problem::whole(Wrong::Unreadable(error))))?;
        check::fault_file(path, &text)
    }
}

/// The files in `folder` that end in `.yaml`, by name.
pub fn yaml_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl Relation {
    /// Whether `value` is so to `limit`.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::AtMost => value <= limit,
            Self::Greater => value > limit,
            Self::AtLeast => value >= limit,
            // Shares and times come out of divisions.
            Self::Equal => (value - limit).abs() <= limit.abs() * 1e-9,
        }
    }

    /// Whether it bounds from above.
    pub fn is_upper(self) -> bool {
        matches!(self, Self::Less | Self::AtMost)
    }
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::AtMost => "≤",
            Self::Greater => ">",
            Self::AtLeast => "≥",
            Self::Equal => "=",
        })
    }
}

impl std::fmt::Display for Promise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.metric, self.relation, self.limit)?;
        inside(self.phase, f)
    }
}

impl std::fmt::Display for Objective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.metric)?;
        inside(self.phase, f)
    }
}

/// The phase of something, if it has one.
fn inside(phase: Option<Phase>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    match phase {
        Some(phase) => write!(f, " in {}", phase.as_str()),
        None => Ok(()),
    }
}

impl OverRuns {
    /// How many runs it needs: so many that the quantile is not simply the largest value.
    pub fn needed(&self) -> u64 {
        match self.quantile {
            Quantile::Permille(permille) => 1000_u64.div_ceil(u64::from(1000 - permille.min(999))),
            Quantile::Max => 1,
        }
    }
}

impl std::fmt::Display for OverRuns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} over all runs: {}", self.quantile, self.promise)
    }
}

impl std::fmt::Display for Occurrence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.event)?;
        for (name, value) in &self.fields {
            write!(f, " with {name} {value}")?;
        }
        match (self.min, self.max) {
            (min, Some(max)) if min == max => write!(f, " = {min}")?,
            (0, Some(max)) => write!(f, " ≤ {max}")?,
            (min, None) => write!(f, " ≥ {min}")?,
            (min, Some(max)) => write!(f, " {min} to {max}")?,
        }
        inside(self.phase, f)
    }
}

/// How alike two names must be, from 0 to 1, for one to be taken for the other.
const ALIKE: f64 = 0.7;

/// The name among `known` that may be meant by `name`.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|other| (strsim::jaro_winkler(name, other), other));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(score, _)| *score >= ALIKE).map(|(_, other)| other)
}

#[cfg(test)]
mod tests;
