//! Database paths are gated as objectives of scenarios: a real server and a real PostgreSQL, with the server of
//! the build in question, then with that of the baseline. Every value hangs on who is woken when, so the
//! screen's limit is wide, and only the proof has the limit of benchmarks.

use std::collections::BTreeMap;
use std::path::Path;

use super::baseline::StoredObjective;
use super::error::GateError;
use super::program::Program;
use super::proof::{Figures, Round};
use super::screen::{Finding, Screening};
use super::statistic::{median, spread};
use crate::report::model::{Report, Verdict};
use crate::schema::Scenario;

/// What the machine's own speed is measured with for objectives. A round trip between threads would be closer to what
/// they do, but takes 4 or 7 µs by where the scheduler happens to put them.
const CALIBRATION: &str = "cpu";

/// The least ratio that the screen takes for slower.
const MIN_LIMIT: f64 = 1.5;

/// So many times the scatter of the baseline's own runs, in logarithms, are noise.
const NOISE: f64 = 4.0;

/// How often a run in which the machine was too busy is made again.
const RETRIES: usize = 2;

/// Runs a scenario once with the server at a path.
pub type RunScenario<'a> = &'a dyn Fn(&Scenario, &Path) -> Result<Report, GateError>;

/// What one run of a scenario showed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observed {
    /// Who provided PostgreSQL.
    pub(super) provider: String,
    /// The objectives, in seconds.
    pub(super) values: BTreeMap<String, f64>,
    /// What the calibration took around it, in nanoseconds.
    pub(super) calibration: f64,
}

/// What came of a run of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Observation {
    /// Its objectives.
    Values(Observed),
    /// It cannot run here, and why.
    Skipped(String),
    /// It broke a promise or could not be judged, and why.
    Failed(String),
}

/// The name of an objective in a baseline and in a report.
pub(super) fn name(scenario: &str, objective: &str) -> String {
    format!("{scenario}: {objective}")
}

/// Runs the scenario, again if the machine was too busy, and takes its objectives.
pub(super) fn observe(
    scenario: &Scenario,
    server: &Path,
    program: &Program,
    run: RunScenario<'_>,
) -> Result<Observation, GateError> {
    let mut left = RETRIES;
    loop {
        let before = program.calibrate(CALIBRATION)?;
        let report = run(scenario, server)?;
        let after = program.calibrate(CALIBRATION)?;
        if report.verdict == Verdict::Inconclusive && left > 0 {
            left -= 1;
            continue;
        }
        return Ok(observed(&report, (before * after).sqrt()));
    }
}

fn observed(report: &Report, calibration: f64) -> Observation {
    if report.verdict != Verdict::Pass {
        let broken = report.assertions.iter().find(|it| it.verdict != Verdict::Pass);
        let why = report.reason.clone().or_else(|| broken.map(|it| it.text.clone()));
        let why = why.unwrap_or_default();
        return match report.verdict {
            Verdict::Skipped => Observation::Skipped(why),
            verdict => {
                Observation::Failed(format!("the scenario ended {}: {why}", verdict.as_str()))
            }
        };
    }
    let values = report.objectives.iter().filter_map(|(objective, value)| {
        Some((name(&report.scenario, objective), value.filter(|it| *it > 0.0)?))
    });
    Observation::Values(Observed {
        provider: report.environment.provider.clone(),
        values: values.collect(),
        calibration,
    })
}

/// Holds what a run showed against the baseline.
pub(super) fn screen(stored: &StoredObjective, seconds: f64, calibration: f64) -> Screening {
    let change = (seconds / stored.seconds).ln() - (calibration / stored.calibration).ln();
    let limit = MIN_LIMIT.ln().max(NOISE * stored.tau);
    let finding = if change > limit { Finding::Slower } else { Finding::Fine };
    Screening { ratio: Some(change.exp()), sigma: Some(stored.tau), finding }
}

/// The middle of several runs, by objective. One that a run did not come to is left out.
pub(super) fn stored(runs: &[Observed]) -> BTreeMap<String, StoredObjective> {
    let names = runs.first().map(|run| run.values.keys().cloned()).into_iter().flatten();
    names.filter_map(|name| Some((name.clone(), middle(runs, &name)?))).collect()
}

fn middle(runs: &[Observed], name: &str) -> Option<StoredObjective> {
    let values: Option<Vec<f64>> = runs.iter().map(|run| run.values.get(name).copied()).collect();
    let values = values?;
    let calibrations: Vec<f64> = runs.iter().map(|run| run.calibration).collect();
    let changes: Vec<f64> = values
        .iter()
        .zip(&calibrations)
        .map(|(value, calibration)| (value / calibration).ln())
        .collect();
    Some(StoredObjective {
        seconds: median(&values)?,
        calibration: median(&calibrations)?,
        tau: spread(&changes)?,
        runs: runs.len(),
    })
}

/// One value of each arm as a round of a proof: a run has no slices, so that its percentile is its mean.
pub(super) fn round(base: f64, control: f64, head: f64) -> Round {
    let figures = |value| Figures { p10: value, mean: value };
    Round { base: figures(base), control: figures(control), head: figures(head) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    const STORED: StoredObjective =
        StoredObjective { seconds: 0.010, calibration: 20_000.0, tau: 0.05, runs: 8 };

    fn run(value: f64, calibration: f64) -> Observed {
        Observed {
            provider: "process".to_owned(),
            values: [("s: a".to_owned(), value)].into(),
            calibration,
        }
    }

    #[test]
    fn the_limit_of_the_screen_is_wide_and_wider_for_noisy_objectives() {
        let finding = |stored: &StoredObjective, value, calibration| {
            screen(stored, value, calibration).finding
        };
        assert_eq!(finding(&STORED, 0.0149, 20_000.0), Finding::Fine);
        assert_eq!(finding(&STORED, 0.0151, 20_000.0), Finding::Slower);
        assert_eq!(finding(&STORED, 0.0151, 22_000.0), Finding::Fine, "the machine is slower");
        let noisy = StoredObjective { tau: 0.2, ..STORED };
        assert_eq!(finding(&noisy, 0.0222, 20_000.0), Finding::Fine);
        assert_eq!(finding(&noisy, 0.0223, 20_000.0), Finding::Slower, "e^0.8 = 2.2255");
    }

    #[test]
    fn a_baseline_is_the_middle_of_runs_and_knows_their_scatter() {
        let runs = [run(1.0, 100.0), run(2.0, 200.0), run(3.0, 300.0)];
        let middle = stored(&runs)["s: a"];
        assert_eq!((middle.seconds, middle.calibration, middle.runs), (2.0, 200.0, 3));
        assert!(middle.tau.abs() < 1e-12, "only the machine was different");
        let lacking = Observed { values: BTreeMap::new(), ..run(1.0, 100.0) };
        assert!(stored(&[run(1.0, 100.0), lacking]).is_empty());
        assert!(stored(&[]).is_empty());
    }

    #[test]
    fn only_a_run_that_passed_has_values() {
        let mut report = sample::report();
        report.objectives = [("a in steady".to_owned(), Some(0.5)), ("b".to_owned(), None)].into();
        report.verdict = Verdict::Pass;
        let scenario = &report.scenario;
        let Observation::Values(found) = observed(&report, 1.0) else { panic!() };
        assert_eq!(found.values, [(format!("{scenario}: a in steady"), 0.5)].into());

        report.verdict = Verdict::Skipped;
        report.reason = Some("no PostgreSQL".to_owned());
        assert_eq!(observed(&report, 1.0), Observation::Skipped("no PostgreSQL".to_owned()));
        report.verdict = Verdict::Fail;
        let failed = "the scenario ended fail: no PostgreSQL".to_owned();
        assert_eq!(observed(&report, 1.0), Observation::Failed(failed));
    }
}
