//! What a scenario promises over all runs of a repeat.

use super::super::place::Step;
use super::super::raw;
use super::super::{Figure, Metric, OverRuns, Promise};
use super::Check;
use super::promise::{Scope, cannot_be_measured, promise};
use crate::report::model::Group;

/// The most runs of one scenario.
const MAX_RUNS: u32 = 10_000;

pub(super) fn over_runs(
    check: &mut Check<'_>,
    raw: &raw::Scenario,
    scope: &Scope<'_>,
) -> Vec<OverRuns> {
    let Some(raw::Repeat { runs, expect }) = &raw.repeat else { return Vec::new() };
    let loads: Vec<&str> = raw.load.iter().map(|load| load.id.as_str()).collect();
    let mut all = Vec::new();
    for (number, raw) in expect.iter().enumerate() {
        let here = [Step::Key("repeat"), Step::Key("expect"), Step::Item(number)];
        if raw.lt.is_some() == raw.le.is_some() {
            check.rule(&here, "a promise over runs has exactly one of `lt` and `le`");
            continue;
        }
        let as_of_one = raw::Promise {
            metric: raw.metric.clone(),
            lt: raw.lt,
            le: raw.le,
            gt: None,
            ge: None,
            eq: None,
            phase: None,
            min_samples: None,
            note: raw.note.clone(),
        };
        let Some(promise) = promise(check, &here, &as_of_one, Group::Repeat, &loads) else {
            continue;
        };
        let over = OverRuns { promise, quantile: raw.quantile.into() };
        let needed = over.needed();
        let rule = if is_quantile(&over.promise.metric) {
            let rule = "each run gives a quantile of its own here; name a metric that is one value";
            Some(rule.to_owned())
        } else if u64::from(*runs) < needed {
            Some(format!(
                "{} over runs needs {needed} of them, and `runs` is {runs}",
                over.quantile
            ))
        } else {
            let Promise { metric, group, phase, .. } = &over.promise;
            cannot_be_measured(metric, *group, *phase, scope)
        };
        if let Some(rule) = rule {
            check.rule(&here, rule);
        }
        all.push(over);
    }
    all
}

/// Whether it is no single value, but a point of a distribution whose samples may be too few.
fn is_quantile(metric: &Metric) -> bool {
    let Metric::Load(_, figure) = metric else { return false };
    matches!(figure, Figure::Latency(_) | Figure::FailedLatency(_) | Figure::Age(_))
}

/// How often the scenario runs.
pub(super) fn runs(check: &mut Check<'_>, runs: u32) -> u32 {
    if runs == 0 || runs > MAX_RUNS {
        check.rule(&[Step::Key("repeat")], format!("`runs` is from 1 to {MAX_RUNS}"));
    }
    runs
}
