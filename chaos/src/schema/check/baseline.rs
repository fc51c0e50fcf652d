//! What a scenario has compared with earlier runs.

use super::super::place::Step;
use super::super::raw;
use super::super::{Objective, Unit};
use super::Check;
use super::promise::{Scope, cannot_be_measured, metric};
use crate::report::model::Group;

pub(super) fn objectives(
    check: &mut Check<'_>,
    raws: &[raw::Objective],
    scope: &Scope<'_>,
) -> Vec<Objective> {
    let loads: Vec<&str> = scope.loads.iter().map(|load| load.id.as_str()).collect();
    let mut all: Vec<Objective> = Vec::new();
    for (number, raw) in raws.iter().enumerate() {
        let here = [Step::Key("baseline"), Step::Item(number)];
        let Some(metric) = metric(check, &here, &raw.metric, &loads) else { continue };
        let (phase, min_samples) = (raw.phase, raw.min_samples.unwrap_or(1));
        let objective = Objective { metric, phase, min_samples };
        let metric = &objective.metric;
        if metric.unit() != Unit::Time {
            let rule = format!(
                "`{metric}` is no time, and only times, of which less is better, have a baseline; \
                 name one, such as `LOAD.latency.p50`"
            );
            check.rule(&[here[0], here[1], Step::Key("metric")], rule);
        } else if all.iter().any(|other| other.to_string() == objective.to_string()) {
            check.rule(&here, format!("`{objective}` is in the baseline already; remove one"));
        } else if let Some(rule) = cannot_be_measured(metric, Group::Always, phase, scope) {
            check.rule(&here, rule);
        }
        all.push(objective);
    }
    all
}
