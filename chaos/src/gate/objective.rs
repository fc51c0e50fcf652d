//! Database paths are gated as objectives of scenarios: a real server and a real PostgreSQL, with the server of
//! the build in question, then with that of the baseline. Every value hangs on who is woken when, so the
//! screen's limit is wide, and only the proof has the limit of benchmarks.

use std::collections::BTreeMap;
use std::path::Path;

use super::baseline::StoredObjective;
use super::error::GateError;
use super::proof::{Figures, Round};
use super::screen::{Finding, Screening};
use super::statistic::{median, spread};
use crate::report::model::{Report, Verdict};
use crate::schema::Scenario;

/// The least ratio that the screen takes for slower. It is as wide as the machine's own speed wanders, for which
/// no calibration is needed then.
const MIN_LIMIT: f64 = 1.5;

/// The largest: what is noisier than that is proven.
const MAX_LIMIT: f64 = 2.0;

/// So many times the scatter of the baseline's own runs, in logarithms, are noise.
const NOISE: f64 = 4.0;

/// How often a run in which the machine was too busy is made again.
const RETRIES: usize = 2;

/// Runs a scenario once with the server at a path.
pub type RunScenario<'a> = &'a dyn Fn(&Scenario, &Path) -> Result<Report, GateError>;

/// What came of a run of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Observation {
    /// Its objectives by name, in seconds.
    Values(BTreeMap<String, f64>),
    /// It cannot run here, and why.
    Skipped(String),
    /// It broke a promise or could not be judged, and why.
    Failed(String),
}

/// The name of an objective in a baseline and in a report.
pub(super) fn name(scenario: &str, objective: &str) -> String {
    format!("{scenario}: {objective}")
}

/// The names of all objectives of a scenario.
pub(super) fn names(scenario: &Scenario) -> impl Iterator<Item = String> {
    scenario.objectives.iter().map(|objective| name(&scenario.name, &objective.to_string()))
}

/// Runs the scenario, again if the machine was too busy, and takes its objectives.
pub(super) fn observe(
    scenario: &Scenario,
    server: &Path,
    run: RunScenario<'_>,
) -> Result<Observation, GateError> {
    let mut report = run(scenario, server)?;
    for _ in 0..RETRIES {
        if report.verdict == Verdict::Inconclusive {
            report = run(scenario, server)?;
        }
    }
    Ok(observed(&report))
}

fn observed(report: &Report) -> Observation {
    if report.verdict != Verdict::Pass {
        let broken = report.assertions.iter().find(|it| it.verdict != Verdict::Pass);
        let why = report.reason.clone().or_else(|| broken.map(|it| it.text.clone()));
        let why = why.unwrap_or_default();
        return if report.verdict == Verdict::Skipped {
            Observation::Skipped(why)
        } else {
            Observation::Failed(format!("the scenario ended {}: {why}", report.verdict.as_str()))
        };
    }
    let mut values = BTreeMap::new();
    for (objective, value) in &report.objectives {
        match value {
            Some(seconds) if *seconds > 0.0 => {
                values.insert(name(&report.scenario, objective), *seconds);
            }
            _ => {
                let why = format!("a run had too little data for {objective}");
                return Observation::Failed(why);
            }
        }
    }
    Observation::Values(values)
}

/// Holds what a run showed against the baseline.
pub(super) fn screen(stored: &StoredObjective, seconds: f64) -> Screening {
    let ratio = seconds / stored.seconds;
    let limit = (NOISE * stored.tau).exp().clamp(MIN_LIMIT, MAX_LIMIT);
    let finding = if ratio <= limit { Finding::Fine } else { Finding::Slower };
    Screening { ratio: Some(ratio), sigma: Some(stored.tau), finding }
}

/// The middle of several runs, by objective.
pub(super) fn stored(runs: &[BTreeMap<String, f64>]) -> BTreeMap<String, StoredObjective> {
    let names = runs.iter().flat_map(BTreeMap::keys);
    names.filter_map(|name| Some((name.clone(), middle(runs, name)?))).collect()
}

fn middle(runs: &[BTreeMap<String, f64>], name: &str) -> Option<StoredObjective> {
    let values: Vec<f64> = runs.iter().filter_map(|run| run.get(name).copied()).collect();
    let logarithms: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    Some(StoredObjective {
        seconds: median(&values)?,
        tau: spread(&logarithms)?,
        runs: values.len(),
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

    const STORED: StoredObjective = StoredObjective { seconds: 0.010, tau: 0.05, runs: 8 };

    #[test]
    fn the_limit_of_the_screen_is_wide_and_has_an_end() {
        let finding = |stored: &StoredObjective, value| screen(stored, value).finding;
        assert_eq!(finding(&STORED, 0.0149), Finding::Fine);
        assert_eq!(finding(&STORED, 0.0151), Finding::Slower);
        let noisy = StoredObjective { tau: 0.15, ..STORED };
        assert_eq!(finding(&noisy, 0.0182), Finding::Fine, "e^0.6 = 1.822");
        assert_eq!(finding(&noisy, 0.0183), Finding::Slower);
        let hopeless = StoredObjective { tau: 0.5, ..STORED };
        assert_eq!(finding(&hopeless, 0.0201), Finding::Slower);
        assert_eq!(finding(&STORED, f64::NAN), Finding::Slower);
    }

    #[test]
    fn a_baseline_is_the_middle_of_runs_and_knows_their_scatter() {
        let run = |value: f64| BTreeMap::from([("s: a".to_owned(), value)]);
        let middle = stored(&[run(1.0), run(2.0), run(4.0)])["s: a"];
        assert_eq!((middle.seconds, middle.runs), (2.0, 3));
        assert!((middle.tau - 1.4826 * 2_f64.ln()).abs() < 1e-12);
        assert!(stored(&[]).is_empty());
    }

    #[test]
    fn only_a_run_that_passed_and_has_all_values_counts() {
        let mut report = sample::report();
        report.objectives = [("a in steady".to_owned(), Some(0.5))].into();
        report.verdict = Verdict::Pass;
        let name = name(&report.scenario, "a in steady");
        assert_eq!(observed(&report), Observation::Values([(name, 0.5)].into()));

        report.objectives.insert("b".to_owned(), None);
        let too_little = "a run had too little data for b".to_owned();
        assert_eq!(observed(&report), Observation::Failed(too_little));
        report.verdict = Verdict::Skipped;
        report.reason = Some("no PostgreSQL".to_owned());
        assert_eq!(observed(&report), Observation::Skipped("no PostgreSQL".to_owned()));
        report.verdict = Verdict::Fail;
        let failed = "the scenario ended fail: no PostgreSQL".to_owned();
        assert_eq!(observed(&report), Observation::Failed(failed));
    }
}
