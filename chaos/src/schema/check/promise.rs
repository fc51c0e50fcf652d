//! What a scenario promises: metrics with bounds, and events.

use std::time::Duration;

use super::super::amount::{Amount, Unit};
use super::super::error::Wrong;
use super::super::place::Step;
use super::super::raw;
use super::super::{Metric, Occurrence, Promise, Relation, events, nearest};
use super::Check;
use crate::record::Phase;
use crate::report::model::Group;

/// What there is to promise about.
pub(super) struct Scope<'a> {
    pub(super) phases: &'a [(Phase, Duration)],
    pub(super) has_faults: bool,
    pub(super) has_server: bool,
    pub(super) loads: &'a [raw::Load],
}

pub(super) fn promises(
    check: &mut Check<'_>,
    raw: &raw::Scenario,
    scope: &Scope<'_>,
) -> Vec<Promise> {
    // Also of loads that are wrong otherwise: their names are what counts here.
    let loads: Vec<&str> = raw.load.iter().map(|load| load.id.as_str()).collect();
    let groups: [(&[Step<'_>], &[raw::Promise], Group); 4] = [
        (&[Step::Key("steady_state")], &raw.steady_state, Group::SteadyState),
        (&[Step::Key("expect"), Step::Key("always")], &raw.expect.always, Group::Always),
        (
            &[Step::Key("expect"), Step::Key("during_fault")],
            &raw.expect.during_fault,
            Group::DuringFault,
        ),
        (
            &[Step::Key("expect"), Step::Key("eventually")],
            &raw.expect.eventually,
            Group::Eventually,
        ),
    ];
    let mut promises = Vec::new();
    for (place, raws, group) in groups {
        for (number, raw) in raws.iter().enumerate() {
            let here: Vec<Step<'_>> = place.iter().copied().chain([Step::Item(number)]).collect();
            if let Some(promise) = promise(check, &here, raw, group, &loads) {
                let Promise { metric, phase, .. } = &promise;
                if let Some(rule) = cannot_be_measured(metric, group, *phase, scope) {
                    check.rule(&here, rule);
                }
                promises.push(promise);
            }
        }
    }
    promises
}

/// Why nothing will ever be known about a metric, so that what is said of it would fail after the whole run.
pub(super) fn cannot_be_measured(
    metric: &Metric,
    group: Group,
    phase: Option<Phase>,
    scope: &Scope<'_>,
) -> Option<String> {
    let planned = |wanted: Phase| scope.phases.iter().any(|(phase, _)| *phase == wanted);
    if let Some(phase) = phase.filter(|phase| !planned(*phase)) {
        return Some(format!("the scenario has no phase `{}`", phase.as_str()));
    }
    let is_silent =
        |load: &raw::Load| !matches!(load.op, raw::OpName::Health | raw::OpName::PoolHealth);
    if let Some(id) = metric.of_healths()
        && scope.loads.iter().any(|load| load.id == id && is_silent(load))
    {
        return Some(format!(
            "`{metric}` is what answers say of the health of pools; name a load of `health` or `pool.health`"
        ));
    }
    if group == Group::SteadyState {
        return match phase {
            Some(_) => {
                Some("the gate looks at `steady`, and again after recovery; remove `in`".to_owned())
            }
            None if planned(Phase::Steady) => None,
            None => Some("the gate looks at `steady`, and there is no such phase".to_owned()),
        };
    }
    let of_server = metric.to_string().starts_with("server.");
    if of_server && !scope.has_server {
        return Some(format!("`{metric}` needs an environment with a `server`"));
    }
    // Only what is in the runner's own process can be taken whole, and nobody is disturbed by that.
    if *metric == Metric::Fact("pool.capacity") && scope.has_server {
        return Some(format!("`{metric}` needs an environment with a `pool`"));
    }
    let after_drain = matches!(metric, Metric::Fact(_)) && !of_server;
    if after_drain && !planned(Phase::Drain) {
        return Some(format!("`{metric}` is looked at in the phase `drain`, and there is none"));
    }
    let elsewhere = phase.is_some_and(|phase| !(after_drain && phase == Phase::Drain));
    let at_the_end = matches!(metric, Metric::Fact(_));
    if (at_the_end || metric.counts_from_faults()) && elsewhere {
        return Some(format!("`{metric}` belongs to no phase but the one it implies; remove `in`"));
    }
    if metric.counts_from_faults() && !scope.has_faults {
        return Some(format!("`{metric}` counts from the faults, and there are none"));
    }
    None
}

/// The metric with this name, given by the item `here`.
pub(super) fn metric(
    check: &mut Check<'_>,
    here: &[Step<'_>],
    name: &str,
    loads: &[&str],
) -> Option<Metric> {
    let parsed = Metric::parse(name, loads);
    parsed.map_err(|error| check.wrong(&[here, &[Step::Key("metric")]].concat(), error)).ok()
}

pub(super) fn promise(
    check: &mut Check<'_>,
    here: &[Step<'_>],
    raw: &raw::Promise,
    group: Group,
    loads: &[&str],
) -> Option<Promise> {
    let within = |key| here.iter().copied().chain([Step::Key(key)]).collect::<Vec<_>>();
    let metric = metric(check, here, &raw.metric, loads)?;
    let bounds = [
        ("lt", Relation::Less, raw.lt),
        ("le", Relation::AtMost, raw.le),
        ("gt", Relation::Greater, raw.gt),
        ("ge", Relation::AtLeast, raw.ge),
        ("eq", Relation::Equal, raw.eq),
    ];
    let mut given = bounds.into_iter().filter_map(|(key, how, limit)| Some((key, how, limit?)));
    let (Some((key, relation, limit)), None) = (given.next(), given.next()) else {
        check.rule(here, "a promise has exactly one of `lt`, `le`, `gt`, `ge` and `eq`");
        return None;
    };
    if let Err(error) = limit.of(metric.unit()) {
        check.wrong(&within(key), error);
        return None;
    }
    if let Some(rule) = says_nothing(&metric, relation, limit) {
        check.rule(&within(key), rule);
    }
    let (min_samples, note) = (raw.min_samples.unwrap_or(1), raw.note.clone());
    Some(Promise { group, metric, relation, limit, phase: raw.phase, min_samples, note })
}

/// Why a bound says nothing about what is measured.
fn says_nothing(metric: &Metric, relation: Relation, limit: Amount) -> Option<String> {
    // A ratio is that of a largest value to a median. Nothing that is measured is below zero.
    let least = if metric.unit() == Unit::Ratio { 1.0 } else { 0.0 };
    let most = if metric.unit() == Unit::Share { 1.0 } else { f64::INFINITY };
    let [low, high] = [least, most].map(|value| relation.holds(value, limit.value));
    let (always, never) = match relation {
        Relation::Equal => (false, limit.value < least || limit.value > most),
        Relation::Less | Relation::AtMost | Relation::Greater | Relation::AtLeast => {
            (low && high, !low && !high)
        }
    };
    let bound = format!("`{metric}` is {relation} {limit}");
    if always {
        return Some(format!("every value of {bound}, so it can never fail; choose another bound"));
    }
    never.then(|| format!("no value of {bound}, so it can never hold; choose another bound"))
}

pub(super) fn occurrences(check: &mut Check<'_>, raw: &raw::Expect) -> Vec<Occurrence> {
    let known = events::known();
    let promised = raw.occurs.iter().enumerate().map(|raw| (Group::Occurs, raw));
    let proofs = raw.sometimes.iter().enumerate().map(|raw| (Group::Sometimes, raw));
    let mut occurrences = Vec::new();
    for (group, (number, raw)) in promised.chain(proofs) {
        let here = [Step::Key("expect"), Step::Key(group.as_str()), Step::Item(number)];
        if known.contains(&raw.event) {
            known_fields(check, &here, raw);
        } else {
            let nearest = nearest(&raw.event, known.iter().map(String::as_str)).map(str::to_owned);
            let known = known.clone();
            let fault = Wrong::UnknownEvent { name: raw.event.clone(), nearest, known };
            check.wrong(&[here[0], here[1], here[2], Step::Key("event")], fault);
        }
        let min = raw.least();
        if min == 0 && raw.max.is_none() {
            let rule = "`min: 0` without `max` can never fail; give another `min`, or a `max`";
            check.rule(&[here[0], here[1], here[2], Step::Key("min")], rule);
        }
        if raw.max.is_some_and(|max| max < min) {
            check.rule(&here, "`max` is below `min`");
        }
        let (event, note) = (raw.event.clone(), raw.note.clone());
        let fields = super::texts(&raw.fields);
        let (max, phase) = (raw.max, raw.phase);
        occurrences.push(Occurrence { group, event, fields, min, max, phase, note });
    }
    occurrences
}

/// A field that the event never has would make a `max` hold always.
fn known_fields(check: &mut Check<'_>, here: &[Step<'_>; 3], raw: &raw::Occurrence) {
    let known = events::fields(&raw.event);
    for name in raw.fields.keys().filter(|name| !known.contains(&name.as_str())) {
        let nearest = nearest(name, known.iter().copied()).map(str::to_owned);
        let known = known.iter().map(|name| (*name).to_owned()).collect();
        let fault = Wrong::UnknownField { name: name.clone(), nearest, known };
        check.wrong(&[here[0], here[1], here[2], Step::Key("where"), Step::Name(name)], fault);
    }
}
