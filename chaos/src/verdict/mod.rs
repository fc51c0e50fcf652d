//! From what was measured and what was promised to a verdict. No clock, no I/O: the same record and the
//! same scenario give the same verdict, always.
//!
//! # What must stay true
//!
//! - No data is a failure, never a pass: an empty window is broken by whoever did not fill it.
//! - Too little data, a fault that nobody felt (no request failed whose failing was to be measured) and a machine that was too slow to make the load are
//!   inconclusive.
//! - The steady state before the faults is a gate: if it does not hold, nothing is said about the rest, but for
//!   what no busy machine excuses, such as a crash.
//! - A quantile is claimed only where the number of samples supports it.

mod interval;
mod measure;
mod objective;
mod recovery;
mod repeat;
mod window;

use std::time::Duration;

pub use interval::{Interval, needed_samples};
pub use objective::objectives;
pub use recovery::{RecoveryError, detection_time, recovery_time};
pub use repeat::{measured, over_runs};

use self::measure::{Measured, measure};
use crate::record::{Event, Outcome, Phase, Record, Span};
use crate::report::model::{Assertion, Group, Verdict};
use crate::schema::{Amount, Figure, Metric, Model, Occurrence, Promise, Scenario, Unit};

/// How much of a limit the pacer may use up before a broken promise says more about this machine than about
/// the server.
const PACER_SHARE: f64 = 0.1;

/// What became of every promise of `scenario`, in the order of the file: the gate first.
pub fn judge(scenario: &Scenario, record: &Record, wall: Duration) -> Vec<Assertion> {
    let mut assertions: Vec<Assertion> = Vec::new();
    for promise in &scenario.promises {
        if promise.group == Group::SteadyState {
            let before = promised(scenario, record, promise, Some(Phase::Steady));
            assertions.push(gate(before));
            if !scenario.faults.is_empty() && goes_on(scenario, promise) {
                assertions.push(promised(scenario, record, promise, Some(Phase::Recovery)));
            }
        } else {
            assertions.push(promised(scenario, record, promise, promise.phase));
        }
    }
    assertions.extend(scenario.occurrences.iter().map(|wanted| occurred(record, wanted)));
    assertions.extend(scenario.budget.map(|budget| in_budget(budget, wall)));
    assertions
}

/// Whether what a promise is about goes on in the recovery phase.
fn goes_on(scenario: &Scenario, promise: &Promise) -> bool {
    let planned = scenario.phases.iter().any(|(phase, _)| *phase == Phase::Recovery);
    let loaded = match &promise.metric {
        Metric::Load(id, _) => scenario
            .loads
            .iter()
            .any(|load| load.id == *id && load.during.contains(&Phase::Recovery)),
        Metric::Gauge(_) | Metric::Fact(_) | Metric::TimeToRed | Metric::TimeToGreen => true,
    };
    planned && loaded
}

/// The verdict on a run: that of its worst assertion, but little is said about a system that was not steady
/// to begin with, and a scenario that tests the runner must come to the verdict that it names.
pub fn verdict(scenario: &Scenario, assertions: &[Assertion]) -> (Verdict, Option<String>) {
    // Only before the faults it is a gate: what they broke is broken, however little came after them.
    let is_gate = |assertion: &&Assertion| {
        let text = |promise: &Promise| at(promise, Some(Phase::Steady)) == assertion.text;
        assertion.verdict == Verdict::Inconclusive
            && assertion.group == Group::SteadyState
            && scenario.promises.iter().any(text)
    };
    let is_unsafe = |assertion: &&Assertion| {
        let text = |promise: &&Promise| at(promise, promise.phase) == assertion.text;
        let promise = scenario.promises.iter().find(text);
        assertion.verdict == Verdict::Fail && promise.is_some_and(|it| it.metric.is_of_safety())
    };
    let gate = assertions.iter().find(is_gate);
    let broken = assertions.iter().find(is_unsafe);
    let worst = assertions.iter().map(|assertion| assertion.verdict).max();
    let (verdict, reason) = match (gate, worst) {
        (Some(_), _) if broken.is_some() => (Verdict::Fail, None),
        (Some(gate), _) => {
            let reason = format!("there was no steady state before the faults: {}", gate.text);
            (Verdict::Inconclusive, Some(reason))
        }
        (None, Some(worst)) => (worst, None),
        (None, None) => (Verdict::Inconclusive, Some("nothing was promised".to_owned())),
    };
    if scenario.verdict == Verdict::Pass {
        return (verdict, reason);
    }
    // What was too few or too slow to tell is no proof that the runner notices a fault without effect.
    let unfelt =
        |it: &Assertion| it.verdict != Verdict::Inconclusive || it.group == Group::Sometimes;
    if verdict == Verdict::Inconclusive && (gate.is_some() || !assertions.iter().all(unfelt)) {
        return (verdict, reason);
    }
    if verdict == scenario.verdict {
        let reason = format!("it ended {}, as it must", name(verdict));
        return (Verdict::Pass, Some(reason));
    }
    let reason = format!("it must end {}, and ended {}", name(scenario.verdict), name(verdict));
    (Verdict::Fail, Some(reason))
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "passed",
        Verdict::Skipped => "skipped",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Fail => "failed",
        Verdict::Error => "with an error",
    }
}

/// A gate that does not hold says nothing about the server under fault.
fn gate(mut assertion: Assertion) -> Assertion {
    if assertion.verdict == Verdict::Fail {
        assertion.verdict = Verdict::Inconclusive;
        let because = assertion.because.unwrap_or_default();
        assertion.because =
            Some(format!("{because}; without a steady state, faults prove nothing"));
    }
    assertion
}

/// The text of a promise about this phase.
fn at(promise: &Promise, phase: Option<Phase>) -> String {
    Promise { phase, ..promise.clone() }.to_string()
}

fn promised(
    scenario: &Scenario,
    record: &Record,
    promise: &Promise,
    phase: Option<Phase>,
) -> Assertion {
    let text = at(promise, phase);
    let measured = measure(record, promise, phase);
    let (mut verdict, mut because) = hold(promise, &measured);
    if verdict == Verdict::Fail
        && let Some(reason) = slow_pacer(scenario, record, promise, &measured)
    {
        (verdict, because) = (Verdict::Inconclusive, Some(reason));
    }
    if verdict == Verdict::Pass
        && let Some(reason) = missing(record, &promise.metric, promise.group, phase)
    {
        (verdict, because) = (Verdict::Inconclusive, Some(reason));
    }
    let unit = promise.metric.unit();
    Assertion {
        group: promise.group,
        text,
        verdict,
        actual: measured.value().map(|value| Amount::new(value, unit).to_string()),
        samples: measured.samples(),
        because,
        note: promise.note.clone(),
    }
}

/// Holds what was measured against the limit.
fn hold(promise: &Promise, measured: &Measured) -> (Verdict, Option<String>) {
    let limit = promise.limit.value;
    let holds = |value| promise.relation.holds(value, limit);
    let shown = |value| Amount::new(value, promise.metric.unit()).to_string();
    if let Some(why) = measured.too_few(promise.min_samples) {
        return (Verdict::Inconclusive, Some(why));
    }
    match measured {
        Measured::Nothing { why } => (Verdict::Fail, Some(why.clone())),
        Measured::Vacuous { why } => (
            Verdict::Inconclusive,
            Some(format!("{why}; so nothing proves that the fault was felt")),
        ),
        Measured::Value { value, .. } if holds(*value) => (Verdict::Pass, None),
        Measured::Value { value, .. } => (Verdict::Fail, Some(format!("it is {}", shown(*value)))),
        Measured::Quantile { interval, .. } => {
            let Interval { low, estimate, high, .. } = *interval;
            let between = format!("it lies between {} and {} (95 %)", shown(low), shown(high));
            if holds(low) && holds(high) {
                (Verdict::Pass, None)
            } else if !holds(low) && !holds(high) {
                (Verdict::Fail, Some(format!("it is {}", shown(estimate))))
            } else {
                (Verdict::Inconclusive, Some(between))
            }
        }
    }
}

/// What is not in the record and might have made a metric another one.
fn missing(record: &Record, metric: &Metric, group: Group, phase: Option<Phase>) -> Option<String> {
    match metric {
        Metric::Load(id, _) => {
            let stopped = record.loads.iter().any(|load| load.id == *id && load.capped);
            let why = "the load stopped early, as it had made the most requests that are kept";
            stopped.then(|| why.to_owned())
        }
        Metric::Gauge(_) => {
            let spans = window::spans(record, phase, measure::phases(group));
            let looks = &record.lost.looks;
            let shared = |span: &Span| looks.iter().map(|look| look.shared(span)).sum::<Duration>();
            let unseen: Duration = spans.iter().map(shared).sum();
            let all: Duration = spans.iter().map(Span::length).sum();
            (2 * unseen > all).then(|| {
                let [unseen, all] =
                    [unseen, all].map(|time| Amount::new(time.as_secs_f64(), Unit::Time));
                format!("nothing could be seen for {unseen} of {all}")
            })
        }
        Metric::Fact(_) | Metric::TimeToRed | Metric::TimeToGreen => None,
    }
}

/// Why a broken promise about a load may be this machine's fault; `None` if it is not: requests were sent late by more
/// than a part of what the promise allows.
fn slow_pacer(
    scenario: &Scenario,
    record: &Record,
    promise: &Promise,
    measured: &Measured,
) -> Option<String> {
    let Metric::Load(id, figure) = &promise.metric else { return None };
    let load = scenario.loads.iter().find(|load| load.id == *id)?;
    let Model::Open { .. } = load.model else { return None };
    let made = record.loads.iter().find(|load| load.id == *id)?;
    let patience = load.timeout.as_secs_f64() * PACER_SHARE;
    let most = match (figure, promise.limit.unit) {
        // Who is sent late is late in a bucket.
        (Figure::RecoveryTime, _) => {
            recovery::tolerated(record, made).map_or(patience, |time| time.as_secs_f64())
        }
        (_, Unit::Time) => promise.limit.value.max(measured.value()?) * PACER_SHARE,
        // A caller who gives up counts as a failure, and one that was late has waited for less.
        (Figure::Ok | Figure::Failed | Figure::TimedOut | Figure::SuccessRate, _)
            if made.samples.iter().any(|sample| sample.outcome == Outcome::TimedOut) =>
        {
            patience
        }
        _ => return None,
    };
    let mut lags: Vec<f64> = made.pacer_lag.iter().map(Duration::as_secs_f64).collect();
    lags.sort_by(f64::total_cmp);
    let lag = *lags.get(lags.len().saturating_sub(1) * 99 / 100)?;
    (lag > most).then(|| {
        let [lag, most] = [lag, most].map(|time| Amount::new(time, Unit::Time));
        format!(
            "this machine was too busy to say: one request in a hundred was sent {lag} late or more, and this bears {most}"
        )
    })
}

fn occurred(record: &Record, wanted: &Occurrence) -> Assertion {
    let spans = window::spans(record, wanted.phase, &window::MEASURED);
    let inside =
        |at: f64| spans.iter().any(|span| span.contains(Duration::from_secs_f64(at.max(0.0))));
    let has = |event: &Event, (name, value): (&String, &String)| match event.fields.get(name) {
        Some(serde_json::Value::String(text)) => text == value,
        Some(other) => *value == format!("{other}"),
        None => false,
    };
    let matching = record.events.iter().filter(|event| {
        event.name == wanted.event && wanted.fields.iter().all(|field| has(event, field))
    });
    let count = matching.filter(|event| inside(event.at_s)).count() as u64;
    let proof = wanted.group == Group::Sometimes;
    let (verdict, because) = if count < wanted.min && proof {
        let because =
            format!("it occurred {count} times; so nothing proves that the fault was felt");
        (Verdict::Inconclusive, Some(because))
    } else if record.lost.events > 0
        && (count < wanted.min || wanted.max.is_some_and(|max| count <= max))
    {
        let because = format!("{} events were too many to be kept", record.lost.events);
        (Verdict::Inconclusive, Some(because))
    } else if count < wanted.min || wanted.max.is_some_and(|max| count > max) {
        (Verdict::Fail, Some(format!("it occurred {count} times")))
    } else {
        (Verdict::Pass, None)
    };
    Assertion {
        group: wanted.group,
        text: wanted.to_string(),
        verdict,
        actual: Some(count.to_string()),
        samples: None,
        because,
        note: wanted.note.clone(),
    }
}

fn in_budget(budget: Duration, wall: Duration) -> Assertion {
    let shown = |time: Duration| Amount::new(time.as_secs_f64(), Unit::Time).to_string();
    let within = wall <= budget;
    Assertion {
        group: Group::Budget,
        text: format!("the whole run ≤ {}", shown(budget)),
        verdict: if within { Verdict::Pass } else { Verdict::Fail },
        actual: Some(shown(wall)),
        samples: None,
        because: (!within).then(|| "setting up, running and tearing down took longer".to_owned()),
        note: None,
    }
}

#[cfg(test)]
mod tests;
