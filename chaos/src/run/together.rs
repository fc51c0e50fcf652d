//! The runs of a repeat as one: what is promised over all of them, judged and written beside them.

use super::{Options, empty, rerun};
use crate::report::evidence;
use crate::report::model::{Environment, Member, Report, Verdict};
use crate::report::outcome::fold;
use crate::schema::Scenario;
use crate::verdict;

/// The verdict of all runs of a repeat together, with a folder of its own. `None` if nothing is promised over
/// runs, and of a single run, which is no repeat.
pub fn together(scenario: &Scenario, options: &Options, runs: &[Report]) -> Option<Report> {
    let first = runs.first()?;
    if scenario.over_runs.is_empty() || scenario.runs == 1 {
        return None;
    }
    let now = chrono::Utc::now();
    let (name, seed) = (&scenario.name, scenario.seed);
    let name = format!("{name}-{}-{seed}-runs", now.format("%Y%m%dT%H%M%S%3f"));
    let environment = Environment { load_average: String::new(), ..first.environment.clone() };
    let assertions = verdict::over_runs(&scenario.over_runs, runs);
    let all_skipped = runs.iter().all(|run| run.verdict == Verdict::Skipped);
    let verdict = if all_skipped {
        Verdict::Skipped
    } else {
        fold(assertions.iter().map(|assertion| assertion.verdict))
    };
    let mut report = Report {
        started_at: now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        rerun: rerun(scenario, options, &environment, scenario.runs),
        drawn: std::collections::BTreeMap::new(),
        verdict,
        reason: all_skipped.then(|| "all of its runs were skipped".to_owned()),
        assertions: if all_skipped { Vec::new() } else { assertions },
        runs: runs.iter().map(member).collect(),
        ..empty(scenario, options, &name, environment)
    };
    if !all_skipped && let Err(error) = evidence::write_report(&options.out.join(&name), &report) {
        report.verdict = Verdict::Error;
        report.reason = Some(format!("the evidence could not be written: {error}"));
    }
    Some(report)
}

fn member(run: &Report) -> Member {
    Member {
        run: run.run.clone(),
        seed: run.seed,
        drawn: run.drawn.clone(),
        verdict: run.verdict,
        measured: run.measured.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::report::{json, sample};
    use crate::run::log::Capture;
    use crate::schema::{Overrides, read};
    use crate::stack::Choice;

    const TEXT: &str = "schema: resilience/v1
name: test
summary: a test
environment: { server: {} }
phases: { steady: 2s }
load:
  - { id: reads, op: search, query: how, model: open, rate: 100/s }
expect:
  always: [{ metric: reads.failed, eq: 0 }]
repeat: { runs: 2, expect: [{ metric: reads.failed, quantile: p50, le: 1 }] }
";

    fn scenario(runs: Option<u32>) -> Scenario {
        let overrides = Overrides { runs, ..Overrides::default() };
        read(Path::new("test.yaml"), TEXT, Path::new("."), &overrides).unwrap()
    }

    fn options(out: &Path) -> Options {
        Options {
            choice: Choice::Auto,
            url: None,
            server: None,
            out: out.to_owned(),
            journals: out.to_owned(),
            keep: false,
            remark: None,
            log: Capture::default(),
            words: "test".to_owned(),
        }
    }

    fn ended(verdict: Verdict, failed: f64) -> Report {
        let measured = [("reads.failed".to_owned(), Some(failed))].into();
        Report { verdict, measured, ..sample::report() }
    }

    #[test]
    fn all_runs_have_one_verdict_and_a_folder_beside_theirs() {
        let out = tempfile::tempdir().unwrap();
        let runs = [ended(Verdict::Pass, 0.0), ended(Verdict::Pass, 5.0)];
        let report = together(&scenario(None), &options(out.path()), &runs).unwrap();
        assert_eq!((report.verdict, report.runs.len()), (Verdict::Pass, 2));
        assert_eq!(report.assertions[0].actual.as_deref(), Some("median 0, maximum 5 of 2 runs"));
        assert_eq!(json::read(&out.path().join(&report.run)).unwrap(), report);
        let again = "cargo run --bin scenarios -- test --seed 0 --provider container";
        assert_eq!(report.rerun, again);
        let more = together(&scenario(Some(3)), &options(out.path()), &runs).unwrap();
        assert!(more.rerun.contains(" --seed 0 --repeat 3 "), "{}", more.rerun);
    }

    #[test]
    fn a_run_alone_is_no_repeat_and_says_so_to_run_again() {
        let out = tempfile::tempdir().unwrap();
        let options = options(out.path());
        let run = ended(Verdict::Pass, 0.0);
        assert!(together(&scenario(Some(1)), &options, &[run]).is_none());
        let again = empty(&scenario(None), &options, "run", Environment::default()).rerun;
        assert_eq!(again, "cargo run --bin scenarios -- test --seed 0 --repeat 1");
    }

    #[test]
    fn what_could_not_run_at_all_is_skipped() {
        let out = tempfile::tempdir().unwrap();
        let (scenario, options) = (scenario(None), options(out.path()));
        let skipped = || ended(Verdict::Skipped, 0.0);
        let report = together(&scenario, &options, &[skipped(), skipped()]).unwrap();
        assert_eq!(report.verdict, Verdict::Skipped);
        let mixed = [skipped(), ended(Verdict::Pass, 0.0)];
        assert_eq!(together(&scenario, &options, &mixed).unwrap().verdict, Verdict::Inconclusive);
    }
}
