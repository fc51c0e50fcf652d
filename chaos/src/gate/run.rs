//! A run of the gate: build, screen, prove, count, judge.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::builds::{Build, Builds, Variant};
use super::class::Class;
use super::error::GateError;
use super::instructions::Counter;
use super::model::{self, GateReport, Measurement, Row, SCHEMA, Skipped};
use super::objective::RunScenario;
use super::program::{Benchmark, Program};
use super::repository::Commit;
use super::screen::Reading;
use super::side::{Side, sides};
use super::slowdown;
use super::step::Step;
use crate::schema::Scenario;

/// What is to be compared, and with what.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The project.
    pub root: PathBuf,
    /// Where builds are kept.
    pub cache: PathBuf,
    /// Only what has this name; if nothing has, what has this in its name.
    pub filter: String,
    /// The revision to compare with, instead of the baselines'.
    pub base: Option<String>,
    /// How many times as long an acquire is made to take, to see the gate fail.
    pub slowdown: Option<f64>,
}

/// The scenarios whose objectives are gated, and who runs them.
#[derive(Clone, Copy)]
pub struct Scenarios<'a> {
    /// Those that have objectives.
    pub all: &'a [Scenario],
    /// Who provides PostgreSQL for them.
    pub provider: &'a str,
    /// Runs one of them.
    pub run: RunScenario<'a>,
}

impl fmt::Debug for Scenarios<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.all.iter().map(|scenario| &scenario.name).collect();
        f.debug_struct("Scenarios").field("all", &names).finish_non_exhaustive()
    }
}

/// Who is told what begins.
pub type Tell<'a> = &'a dyn Fn(&Step<'_>);

/// What was read of each benchmark, and how many instructions it takes.
pub(super) type Readings = BTreeMap<String, (Reading, Option<f64>)>;

/// Runs the gate.
///
/// # Errors
/// If something cannot be built, measured or read. That something is slower is none.
pub fn run(
    options: &Options,
    scenarios: Scenarios<'_>,
    tell: Tell<'_>,
) -> Result<GateReport, GateError> {
    let started = Instant::now();
    let started_at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let builds = Builds::open(&options.root, &options.cache, || tell(&Step::Waiting))?;
    let (head, tree) = (builds.repository().head()?, builds.repository().working_tree()?);
    let class = class(&options.root, &builds)?;
    let sides = sides(options, &class, builds.repository())?;
    let variant = if options.slowdown.is_some() { Variant::Slowed } else { Variant::Plain };
    let build = builds.of(&tree, variant, || tell(&Step::Building { what: "this tree" }))?;
    let mut gate = Gate {
        filter: &options.filter,
        program: Program::plain(&build.benches),
        server: build.server.clone(),
        builds,
        counter: Counter::find(),
        scenarios,
        tell,
        skipped: Vec::new(),
        observed: BTreeMap::new(),
    };
    let mut slowdown = None;
    if let (Some(wanted), Some(side)) = (options.slowdown, sides.first()) {
        let base = gate.base(side)?;
        tell(&Step::Slowing);
        let found = slowdown::find(&Program::plain(&base.benches), &build.benches, wanted)?;
        gate.program = Program::slowed(&build.benches, found.steps);
        slowdown = Some(found);
    }
    let (rows, measurements) = gate.compare(&sides)?;
    let verdict = model::fold(&rows);
    Ok(GateReport {
        schema: SCHEMA.to_owned(),
        started_at,
        wall_s: started.elapsed().as_secs_f64(),
        changed: tree != head.tree,
        revision: head.id,
        class: class.to_string(),
        against: sides.iter().map(Side::told).collect(),
        slowdown,
        rows,
        skipped: gate.skipped,
        measurements,
        verdict,
    })
}

/// The class of this machine.
pub(super) fn class(root: &Path, builds: &Builds) -> Result<Class, GateError> {
    Class::here(root, builds.rustc()).map_err(|source| GateError::io(root, source))
}

/// What a run of the gate works with.
pub(super) struct Gate<'a> {
    pub(super) filter: &'a str,
    pub(super) program: Program,
    pub(super) server: PathBuf,
    pub(super) builds: Builds,
    pub(super) counter: Option<Counter>,
    pub(super) scenarios: Scenarios<'a>,
    pub(super) tell: Tell<'a>,
    pub(super) skipped: Vec<Skipped>,
    /// What scenarios showed, by objective, in seconds.
    pub(super) observed: BTreeMap<String, f64>,
}

impl Gate<'_> {
    fn compare(&mut self, sides: &[Side]) -> Result<(Vec<Row>, Vec<Measurement>), GateError> {
        let listed = self.program.list()?;
        let wanted = |benchmark: &&Benchmark| self.is_wanted(&benchmark.name, &listed);
        let benchmarks: Vec<Benchmark> = listed.iter().filter(wanted).cloned().collect();
        let readings = self.read(&benchmarks)?;
        let mut rows = Vec::new();
        for side in sides {
            rows.extend(self.benchmarks(side, &benchmarks, &readings)?);
        }
        for scenario in self.scenarios.all {
            rows.extend(self.objectives(scenario, sides)?);
        }
        rows.extend(self.gone(sides, &benchmarks)?);
        if rows.is_empty() && self.skipped.is_empty() {
            return Err(GateError::NothingMatches { filter: self.filter.to_owned() });
        }
        Ok((rows, measurements(&readings, &self.observed)))
    }

    /// The programs of the side to compare with.
    pub(super) fn base(&self, side: &Side) -> Result<Build, GateError> {
        let Commit { id, tree } = &side.commit;
        if !self.builds.has(tree, Variant::Plain) && !self.builds.repository().has(tree) {
            return Err(GateError::UnknownRevision { revision: id.clone() });
        }
        let what = format!("the baseline {}", short(id));
        let tell = || (self.tell)(&Step::Building { what: &what });
        self.builds.of(tree, Variant::Plain, tell)
    }

    /// Whether a name is asked for, among these benchmarks: it is the one that the filter names, or has the filter in it
    /// where it names none.
    pub(super) fn is_wanted(&self, name: &str, benchmarks: &[Benchmark]) -> bool {
        if benchmarks.iter().any(|benchmark| benchmark.name == self.filter) {
            name == self.filter
        } else {
            name.contains(self.filter)
        }
    }

    pub(super) fn skip(&mut self, what: &str, reason: &str) {
        self.skipped.push(Skipped { what: what.to_owned(), reason: reason.to_owned() });
    }
}

/// The beginning of a hash, as people write it.
pub(super) fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}

/// What is kept for the trend.
fn measurements(readings: &Readings, observed: &BTreeMap<String, f64>) -> Vec<Measurement> {
    let measurement =
        |(name, (reading, instructions)): (&String, &(Reading, Option<f64>))| Measurement {
            benchmark: name.clone(),
            unit: "ns".to_owned(),
            mean: reading.mean,
            median: reading.median,
            p10: reading.p10,
            instructions: *instructions,
        };
    // A run of a scenario has one value.
    let objective = |(name, seconds): (&String, &f64)| Measurement {
        benchmark: name.clone(),
        unit: "ns".to_owned(),
        mean: seconds * 1e9,
        median: seconds * 1e9,
        p10: seconds * 1e9,
        instructions: None,
    };
    readings.iter().map(measurement).chain(observed.iter().map(objective)).collect()
}
