//! What all runs of a repeat say together about what each of them has measured.

use std::collections::BTreeMap;

use super::measure::measure;
use crate::record::Record;
use crate::report::model::{Assertion, Group, Report, Verdict};
use crate::schema::{Amount, OverRuns, Quantile, Scenario};

/// What a run has measured of all that is promised over runs, by metric; `None` where it came to no value,
/// such as a service that did not recover.
pub fn measured(scenario: &Scenario, record: &Record) -> BTreeMap<String, Option<f64>> {
    let value = |over: &OverRuns| measure(record, &over.promise, None).value();
    scenario.over_runs.iter().map(|over| (over.promise.metric.to_string(), value(over))).collect()
}

/// What became of every promise over these runs.
pub fn over_runs(promises: &[OverRuns], runs: &[Report]) -> Vec<Assertion> {
    promises.iter().map(|over| judged(over, runs)).collect()
}

fn judged(over: &OverRuns, runs: &[Report]) -> Assertion {
    let (silent, telling): (Vec<&Report>, Vec<&Report>) =
        runs.iter().partition(|run| !matches!(run.verdict, Verdict::Pass | Verdict::Fail));
    let values: Vec<(f64, &Report)> =
        telling.into_iter().map(|run| (value(over, run), run)).collect();
    let mut sorted: Vec<f64> = values.iter().map(|(value, _)| *value).collect();
    sorted.sort_by(f64::total_cmp);
    let (verdict, because) = if !silent.is_empty() {
        let which = silent.iter().map(|run| format!("{} ({})", seed(run), run.verdict.as_str()));
        (Verdict::Inconclusive, Some(format!("nothing is known of {}", joined(which))))
    } else if (sorted.len() as u64) < over.needed() {
        let (quantile, needed, runs) = (over.quantile, over.needed(), sorted.len());
        let because = format!("{quantile} over runs needs {needed} of them, and there are {runs}");
        (Verdict::Inconclusive, Some(because))
    } else {
        hold(over, &sorted, &values)
    };
    Assertion {
        group: Group::Repeat,
        text: over.to_string(),
        verdict,
        actual: figures(over, &sorted),
        samples: None,
        because,
        note: over.promise.note.clone(),
    }
}

/// What it has measured; infinitely bad if that is nothing.
fn value(over: &OverRuns, run: &Report) -> f64 {
    let measured = run.measured.get(&over.promise.metric.to_string());
    measured.copied().flatten().unwrap_or(f64::INFINITY)
}

fn hold(over: &OverRuns, sorted: &[f64], values: &[(f64, &Report)]) -> (Verdict, Option<String>) {
    let holds = |value: f64| over.promise.relation.holds(value, over.promise.limit.value);
    let Some(found) = nearest_rank(sorted, over.quantile) else {
        return (Verdict::Inconclusive, Some("there was no run".to_owned()));
    };
    if holds(found) {
        return (Verdict::Pass, None);
    }
    let beyond = values.iter().filter(|(value, _)| !holds(*value));
    let which =
        joined(beyond.map(|(value, run)| format!("{} ({})", seed(run), shown(over, *value))));
    (Verdict::Fail, Some(format!("it is {}; beyond the limit are {which}", shown(over, found))))
}

/// The quantile with its neighbours; the quantile itself only where there are runs enough for it.
fn figures(over: &OverRuns, sorted: &[f64]) -> Option<String> {
    let runs = sorted.len();
    let enough = runs as u64 >= over.needed() && over.quantile != Quantile::Max;
    let at = |quantile| nearest_rank(sorted, quantile).map(|value| shown(over, value));
    let (median, maximum) = (at(Quantile::MEDIAN)?, at(Quantile::Max)?);
    let own = at(over.quantile).filter(|_| enough && over.quantile != Quantile::MEDIAN);
    let own = own.map(|value| format!("{} {value}, ", over.quantile)).unwrap_or_default();
    let plural = if runs == 1 { "" } else { "s" };
    Some(format!("{own}median {median}, maximum {maximum} of {runs} run{plural}"))
}

/// The smallest value that as many runs as the quantile says do not exceed.
fn nearest_rank(sorted: &[f64], quantile: Quantile) -> Option<f64> {
    let rank = match quantile {
        Quantile::Permille(permille) => (sorted.len() * usize::from(permille)).div_ceil(1000),
        Quantile::Max => sorted.len(),
    };
    sorted.get(rank.max(1) - 1).copied()
}

fn shown(over: &OverRuns, value: f64) -> String {
    if value.is_infinite() {
        return "∞".to_owned();
    }
    Amount::new(value, over.promise.metric.unit()).to_string()
}

fn seed(run: &Report) -> String {
    format!("seed {}", run.seed)
}

fn joined(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::report::sample;
    use crate::schema::{Overrides, read};

    const TEXT: &str = "schema: resilience/v1
name: test
summary: a test
environment: { server: {} }
phases: { steady: 2s, fault: auto, recovery: 5s }
load:
  - { id: reads, op: search, query: how, model: open, rate: 100/s }
faults:
  - { id: cut, for: 2s, kind: proxy.refuse }
expect:
  sometimes: [{ event: proxy.connection_reset }]
repeat:
  runs: 20
  expect:
    - { metric: reads.recovery_time, quantile: p95, lt: 10s, note: SC-004 }
";

    fn scenario() -> Scenario {
        read(Path::new("test.yaml"), TEXT, Path::new("."), &Overrides::default()).unwrap()
    }

    /// Runs with seeds from 1 that recovered after so many seconds.
    fn runs(times: &[Option<f64>]) -> Vec<Report> {
        let run = |(number, time): (u64, &Option<f64>)| Report {
            seed: number,
            measured: [("reads.recovery_time".to_owned(), *time)].into(),
            verdict: if time.is_some() { Verdict::Pass } else { Verdict::Fail },
            ..sample::report()
        };
        (1..).zip(times).map(run).collect()
    }

    fn told(runs: &[Report]) -> String {
        let assertion = over_runs(&scenario().over_runs, runs).remove(0);
        assert_eq!(assertion.text, "p95 over all runs: reads.recovery_time < 10s");
        let Assertion { verdict, actual, because, .. } = assertion;
        let parts = [Some(verdict.as_str().to_owned()), actual, because];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    /// Twenty runs, of which the last ones took so long.
    fn twenty(last: &[Option<f64>]) -> Vec<Report> {
        let quick = (1..=20 - last.len()).map(|rank| Some(rank as f64 / 10.0));
        runs(&quick.chain(last.iter().copied()).collect::<Vec<_>>())
    }

    #[test]
    fn the_nearest_rank_of_all_runs_decides() {
        let told_of = |last: &[Option<f64>]| told(&twenty(last));
        assert_eq!(told_of(&[]), "pass; p95 1.90s, median 1s, maximum 2s of 20 runs");
        // The second largest of twenty.
        let one = "pass; p95 1.90s, median 1s, maximum 12s of 20 runs";
        assert_eq!(told_of(&[Some(12.0)]), one);
        let two = "fail; p95 11s, median 1s, maximum 12s of 20 runs; it is 11s; beyond the limit are seed 19 (11s), seed 20 (12s)";
        assert_eq!(told_of(&[Some(11.0), Some(12.0)]), two);
    }

    #[test]
    fn a_run_without_a_value_is_worse_than_any() {
        let one = told(&twenty(&[None]));
        assert_eq!(one, "pass; p95 1.90s, median 1s, maximum ∞ of 20 runs");
        let two = told(&twenty(&[None, None]));
        assert!(two.ends_with("it is ∞; beyond the limit are seed 19 (∞), seed 20 (∞)"), "{two}");
    }

    #[test]
    fn too_few_runs_say_nothing() {
        let told = told(&runs(&[Some(0.2), Some(0.4)]));
        assert_eq!(
            told,
            "inconclusive; median 200ms, maximum 400ms of 2 runs; p95 over runs needs 20 of them, and there are 2"
        );
        assert!(self::told(&[]).starts_with("inconclusive; p95 over runs needs 20"));
    }

    #[test]
    fn a_run_that_says_nothing_leaves_the_whole_open() {
        for verdict in [Verdict::Inconclusive, Verdict::Skipped, Verdict::Error] {
            let mut runs = twenty(&[]);
            runs[4].verdict = verdict;
            let told = told(&runs);
            let end = format!("nothing is known of seed 5 ({})", verdict.as_str());
            assert!(told.starts_with("inconclusive") && told.ends_with(&end), "{told}");
        }
    }

    #[test]
    fn what_a_run_measured_is_kept_for_all_of_them() {
        let record = sample::record();
        let value = measured(&scenario(), &record)["reads.recovery_time"].unwrap();
        assert!((0.1..10.0).contains(&value), "{value}");
        let empty = measured(&scenario(), &Record::default());
        assert_eq!(empty["reads.recovery_time"], None);
    }
}
