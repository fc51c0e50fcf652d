//! Accepting a baseline: several runs of everything, and their middle on the shelf.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::baseline::{self, Baseline, Kind, MIN_RUNS, Shelf};
use super::builds::{Builds, Variant};
use super::error::GateError;
use super::instructions::Counter;
use super::objective::{self, Observation};
use super::program::{Benchmark, Program};
use super::run::{Options, Scenarios, Tell, class};
use super::screen::{MAX_DRIFT, Reading, Stored};
use super::statistic::{median, spread};
use super::step::Step;
use crate::schema::Scenario;

/// After so many readings in a row during which its speed changed the machine is too busy. A quiet one has such readings too:
/// 3 of 11 in one run of the gate.
const TRIES: usize = 5;

/// What was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The baseline.
    pub baseline: Baseline,
    /// The one whose place it took.
    pub before: Option<Baseline>,
    /// Where it is.
    pub path: PathBuf,
}

/// Measures the commit that is checked out and stores what it needs, in place of the rolling baseline of this
/// class of machine; with `anchor`, in place of the anchor too.
///
/// # Errors
/// If the work tree differs from the commit, if the machine is too busy, if a scenario has no values, and if
/// something cannot be built, measured or written. Then nothing is stored.
pub fn accept(
    options: &Options,
    anchor: bool,
    scenarios: Scenarios<'_>,
    tell: Tell<'_>,
) -> Result<Accepted, GateError> {
    let builds = Builds::open(&options.root, &options.cache, || tell(&Step::Waiting))?;
    let (head, tree) = (builds.repository().head()?, builds.repository().working_tree()?);
    if head.tree != tree {
        return Err(GateError::NotCommitted { head: head.id });
    }
    let class = class(&options.root, &builds)?;
    let build = builds.of(&tree, Variant::Plain, || tell(&Step::Building { what: "this tree" }))?;
    let program = Program::plain(&build.benches);
    let benchmarks = benchmarks(&program, tell)?;
    let mut objectives = BTreeMap::new();
    for scenario in scenarios.all {
        objectives.extend(objective::stored(&runs(scenario, &build.server, scenarios, tell)?));
    }
    let baseline = Baseline {
        schema: baseline::SCHEMA.to_owned(),
        class,
        kernel: kernel(),
        revision: head.id,
        tree: head.tree.0,
        accepted_at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        benchmarks,
        objectives: [(scenarios.provider.to_owned(), objectives)].into(),
    };
    let shelf = Shelf::of(&options.root);
    let before = shelf.get(&baseline.class, Kind::Rolling)?;
    let baseline = with_other_providers(baseline, before.as_ref());
    if anchor {
        shelf.put(&baseline, Kind::Anchor)?;
    }
    let path = shelf.put(&baseline, Kind::Rolling)?;
    Ok(Accepted { baseline, before, path })
}

/// Keeps what the same revision needed with other providers of PostgreSQL.
fn with_other_providers(mut baseline: Baseline, before: Option<&Baseline>) -> Baseline {
    let same = before.filter(|before| before.revision == baseline.revision);
    for (provider, objectives) in same.into_iter().flat_map(|before| &before.objectives) {
        baseline.objectives.entry(provider.clone()).or_insert_with(|| objectives.clone());
    }
    baseline
}

/// Reads all benchmarks so often, one after the other, so that the runs of each are far apart.
fn benchmarks(program: &Program, tell: Tell<'_>) -> Result<BTreeMap<String, Stored>, GateError> {
    let listed = program.list()?;
    let mut readings: Vec<(Benchmark, Vec<Reading>)> =
        listed.into_iter().map(|benchmark| (benchmark, Vec::new())).collect();
    let of = MIN_RUNS * readings.len();
    let mut at = 0;
    for _ in 0..MIN_RUNS {
        for (benchmark, readings) in &mut readings {
            at += 1;
            tell(&Step::Reading { benchmark: &benchmark.name, at, of });
            readings.push(steady(program, benchmark)?);
        }
    }
    let counter = Counter::find();
    let mut stored = BTreeMap::new();
    for (Benchmark { name, .. }, readings) in readings {
        let instructions = match &counter {
            Some(counter) => {
                tell(&Step::Counting { benchmark: &name });
                Some(counter.count(program, &name)?)
            }
            None => None,
        };
        if let Some(middle) = middle(&readings, instructions) {
            stored.insert(name, middle);
        }
    }
    Ok(stored)
}

/// A reading during which the machine stayed as it was.
fn steady(program: &Program, benchmark: &Benchmark) -> Result<Reading, GateError> {
    let mut drift = 0.0;
    for _ in 0..TRIES {
        let reading = program.read(benchmark)?;
        drift = reading.drift();
        if drift <= MAX_DRIFT {
            return Ok(reading);
        }
    }
    let benchmark = benchmark.name.clone();
    Err(GateError::Unsteady { benchmark, percent: drift * 100.0, tries: TRIES })
}

/// The middle of several readings. `None` of none.
fn middle(readings: &[Reading], instructions: Option<f64>) -> Option<Stored> {
    let of = |value: fn(&Reading) -> f64| -> Vec<f64> { readings.iter().map(value).collect() };
    let changes = of(|reading| (reading.mean / reading.calibration()).ln());
    Some(Stored {
        mean: median(&of(|reading| reading.mean))?,
        standard_error: median(&of(|reading| reading.standard_error))?,
        median: median(&of(|reading| reading.median))?,
        p10: median(&of(|reading| reading.p10))?,
        samples: readings.first()?.samples,
        calibration: median(&of(Reading::calibration))?,
        tau: spread(&changes)?,
        runs: readings.len(),
        instructions,
    })
}

/// So many runs of a scenario.
fn runs(
    scenario: &Scenario,
    server: &Path,
    scenarios: Scenarios<'_>,
    tell: Tell<'_>,
) -> Result<Vec<BTreeMap<String, f64>>, GateError> {
    let mut runs = Vec::new();
    while runs.len() < MIN_RUNS {
        tell(&Step::Running { scenario: &scenario.name });
        match objective::observe(scenario, server, scenarios.run)? {
            Observation::Values(values) => runs.push(values),
            Observation::Skipped(reason) | Observation::Failed(reason) => {
                let scenario = scenario.name.clone();
                return Err(GateError::NoObjectives { scenario, reason });
            }
        }
    }
    Ok(runs)
}

fn kernel() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_baseline_is_the_middle_of_its_runs_and_knows_their_scatter() {
        let reading = |mean: f64, calibration: f64| Reading {
            mean,
            standard_error: 1.0,
            median: mean - 1.0,
            p10: mean - 5.0,
            samples: 50,
            calibration_before: calibration,
            calibration_after: calibration,
        };
        let readings = [reading(100.0, 10.0), reading(200.0, 20.0), reading(150.0, 15.0)];
        let middle = middle(&readings, Some(9.0)).unwrap();
        assert_eq!((middle.mean, middle.median, middle.p10), (150.0, 149.0, 145.0));
        assert_eq!((middle.calibration, middle.runs, middle.samples), (15.0, 3, 50));
        assert!(middle.tau.abs() < 1e-9, "only the machine was different");
        assert_eq!(middle.instructions, Some(9.0));
        assert_eq!(super::middle(&[], None), None);
    }

    #[test]
    fn what_other_providers_needed_for_the_same_revision_stays() {
        let before = sample::baseline();
        let (own, other) = (BTreeMap::new(), before.objectives["process"].clone());
        let now = Baseline { objectives: [("container".to_owned(), own)].into(), ..before.clone() };
        let kept = with_other_providers(now.clone(), Some(&before));
        assert_eq!(kept.objectives["process"], other);
        assert!(kept.objectives["container"].is_empty());

        let later = Baseline { revision: "other".to_owned(), ..now };
        let kept = with_other_providers(later.clone(), Some(&before));
        assert_eq!(kept, later, "another revision has other times");
    }
}
