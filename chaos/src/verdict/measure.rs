//! The value of a metric in a record.

use std::collections::BTreeSet;
use std::time::Duration;

use super::interval::{Interval, quantile};
use super::recovery::{
    began_at, detection_time, first_success, healed_at, recovery_time, seen, time_to_green,
    time_to_red, told,
};
use super::window::{self, MEASURED};
use crate::record::{LoadRecord, Outcome, Phase, Record, Sample, Span};
use crate::report::model::Group;
use crate::schema::{Figure, Metric, Promise, Quantile, Relation};

/// What a record says about a metric, in the base of its unit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Measured {
    /// Nothing, which breaks every promise.
    Nothing {
        /// Why.
        why: String,
    },
    /// Nothing, because what it is about did not come to pass. That proves nothing, for or against anybody.
    Vacuous {
        /// What did not come to pass.
        why: String,
    },
    /// A value, and of how many samples.
    Value { value: f64, samples: Option<u64> },
    /// A quantile of so many samples.
    Quantile { interval: Interval, samples: u64 },
}

impl Measured {
    fn nothing(why: impl Into<String>) -> Self {
        Self::Nothing { why: why.into() }
    }

    fn of(value: Option<f64>, why: &str) -> Self {
        value.map_or_else(|| Self::nothing(why), |value| Self::Value { value, samples: None })
    }

    fn time(value: Option<Duration>, why: &str) -> Self {
        Self::of(value.map(|time| time.as_secs_f64()), why)
    }

    /// The value, if there is one; of a quantile that of the samples.
    pub(super) fn value(&self) -> Option<f64> {
        match self {
            Self::Nothing { .. } | Self::Vacuous { .. } => None,
            Self::Value { value, .. } => Some(*value),
            Self::Quantile { interval, .. } => Some(interval.estimate),
        }
    }

    /// How many samples there are, where they are known.
    pub(super) fn samples(&self) -> Option<u64> {
        match self {
            Self::Nothing { .. } | Self::Vacuous { .. } => None,
            Self::Value { samples, .. } => *samples,
            Self::Quantile { samples, .. } => Some(*samples),
        }
    }

    /// Why there are too few samples for an opinion; `None` if there are not. It takes `min_samples`, and for a quantile
    /// as many as that needs.
    pub(super) fn too_few(&self, min_samples: u64) -> Option<String> {
        let needed = match self {
            Self::Nothing { .. } | Self::Vacuous { .. } | Self::Value { .. } => min_samples,
            Self::Quantile { interval, .. } => min_samples.max(interval.needed),
        };
        let samples = self.samples().filter(|samples| *samples < needed)?;
        Some(format!("{samples} samples are too few; this needs {needed}"))
    }
}

/// The phases that a group of promises looks at, unless a promise names one.
pub(super) fn phases(group: Group) -> &'static [Phase] {
    match group {
        Group::SteadyState => &[Phase::Steady],
        Group::Always | Group::Repeat => &MEASURED,
        Group::DuringFault => &[Phase::Fault],
        Group::Eventually => &[Phase::Recovery, Phase::Drain],
        Group::Occurs | Group::Sometimes | Group::Budget => &[],
    }
}

/// Looks up the metric of `promise`, in `phase` or else where its group looks.
pub(super) fn measure(record: &Record, promise: &Promise, phase: Option<Phase>) -> Measured {
    let Promise { group, metric, relation, limit, .. } = promise;
    let beyond = |value: f64| {
        let over = value - limit.value;
        if relation.is_upper() {
            over
        } else if *relation == Relation::Equal {
            over.abs()
        } else {
            -over
        }
    };
    look_up(record, metric, *group, phase, beyond)
}

/// Looks up a metric, in `phase` or else where `group` looks; of a gauge, the value of which `badness` is largest.
pub(super) fn look_up(
    record: &Record,
    metric: &Metric,
    group: Group,
    phase: Option<Phase>,
    badness: impl Fn(f64) -> f64,
) -> Measured {
    let mut spans = window::spans(record, phase, phases(group));
    match metric {
        Metric::Fact(name) => {
            let why = match *name {
                "server.start_time" => "the server never answered `initialize` properly",
                _ => "it was not found at the end of the run",
            };
            Measured::of(record.facts.get(*name).copied(), why)
        }
        Metric::TimeToRed => {
            Measured::time(time_to_red(record, &seen(record)), "the pools never turned red")
        }
        Metric::TimeToGreen => {
            let time = time_to_green(record, &seen(record));
            Measured::time(time, "the pools did not turn green to stay so")
        }
        Metric::Gauge(name) => gauge(record, name, &spans, badness),
        Metric::Load(id, figure) => {
            let Some(load) = record.loads.iter().find(|load| load.id == *id) else {
                return Measured::nothing("the load did not run");
            };
            // After the faults, the steady state is that of the service that has come back.
            if group == Group::SteadyState && phase == Some(Phase::Recovery) {
                match recovery_time(record, load) {
                    Ok(time) => {
                        let from = healed_at(record).unwrap_or_default() + time;
                        spans = spans.iter().map(|span| Span { from, to: span.to }).collect();
                    }
                    Err(error) => return Measured::nothing(error.to_string()),
                }
            }
            // A request that the first fault overtook says nothing about the time before it.
            let gate = group == Group::SteadyState && phase == Some(Phase::Steady);
            let end = if gate { began_at(record) } else { None };
            self::load(record, load, figure, &spans, end.unwrap_or(Duration::MAX))
        }
    }
}

/// The worst value that was seen.
fn gauge(record: &Record, name: &str, spans: &[Span], badness: impl Fn(f64) -> f64) -> Measured {
    // The sampler counts memory in MiB.
    let (key, scale) = match name {
        "server.rss" => ("server.rss_mib", 1024.0 * 1024.0),
        "server.peak_rss" => ("server.peak_rss_mib", 1024.0 * 1024.0),
        name => (name.strip_prefix("pool.").unwrap_or(name), 1.0),
    };
    let seen = record.gauges.iter().filter(|look| spans.iter().any(|span| span.contains(look.at)));
    let values: Vec<f64> = seen.filter_map(|look| Some(look.values.get(key)? * scale)).collect();
    let worst = values.iter().copied().max_by(|a, b| badness(*a).total_cmp(&badness(*b)));
    match worst {
        Some(value) => Measured::Value { value, samples: Some(values.len() as u64) },
        None => Measured::nothing("it was never seen"),
    }
}

/// The figure of a load, of those requests that were due in `spans` and had ended by `end`.
fn load(
    record: &Record,
    load: &LoadRecord,
    figure: &Figure,
    spans: &[Span],
    end: Duration,
) -> Measured {
    let due = window::samples(&load.samples, spans);
    let due: Vec<&Sample> =
        due.filter(|sample| sample.due.saturating_add(sample.latency) <= end).collect();
    let total = due.len() as u64;
    let count = |is: &dyn Fn(&Outcome) -> bool| {
        let value = due.iter().filter(|sample| is(&sample.outcome)).count() as f64;
        counted(value, total)
    };
    let ok = || due.iter().filter(|sample| sample.outcome.is_ok());
    let latency = |sample: &&Sample| sample.latency.as_secs_f64();
    match figure {
        Figure::Requests => counted(total as f64, total),
        Figure::Ok => count(&Outcome::is_ok),
        Figure::Failed => count(&|end| matches!(end, Outcome::Failed { .. } | Outcome::TimedOut)),
        Figure::TimedOut => count(&|end| matches!(end, Outcome::TimedOut)),
        Figure::Dropped => count(&|end| matches!(end, Outcome::Dropped)),
        Figure::Malformed => count(&|end| matches!(end, Outcome::Malformed { .. })),
        Figure::Errors(code) => {
            count(&|end| matches!(end, Outcome::Failed { code: other } if other == code))
        }
        Figure::SuccessRate if total > 0 => counted(ok().count() as f64 / total as f64, total),
        Figure::Rate if total > 0 => {
            let seconds: f64 = spans.iter().map(|span| span.length().as_secs_f64()).sum();
            counted(ok().count() as f64 / seconds.max(f64::MIN_POSITIVE), total)
        }
        Figure::SuccessRate | Figure::Rate => Measured::nothing("no request was made"),
        Figure::Latency(quantile) => distribution(ok().map(latency).collect(), *quantile),
        Figure::FailedLatency(quantile) => {
            let failed = |sample: &&&Sample| {
                matches!(sample.outcome, Outcome::Failed { .. } | Outcome::TimedOut)
            };
            let latencies: Vec<f64> = due.iter().filter(failed).map(latency).collect();
            if total > 0 && latencies.is_empty() {
                return Measured::Vacuous { why: "no request failed".to_owned() };
            }
            distribution(latencies, *quantile)
        }
        Figure::MaxToMedian => max_to_median(ok().map(latency).collect()),
        Figure::Age(quantile) => {
            let nanoseconds = ok().filter_map(|sample| sample.value);
            distribution(nanoseconds.map(|value| value as f64 / 1e9).collect(), *quantile)
        }
        Figure::Distinct => {
            let values: BTreeSet<u64> = ok().filter_map(|sample| sample.value).collect();
            counted(values.len() as f64, total)
        }
        Figure::DetectionTime => {
            Measured::time(detection_time(record, load), "no request failed by the server's word")
        }
        Figure::RecoveryTime => match recovery_time(record, load) {
            Ok(time) => Measured::Value { value: time.as_secs_f64(), samples: Some(total) },
            Err(error) => Measured::nothing(error.to_string()),
        },
        Figure::FirstSuccess => {
            Measured::time(first_success(record, load), "no request succeeded after the faults")
        }
        Figure::TimeToRed => Measured::time(
            time_to_red(record, &told(load)),
            "no answer said that the pools cannot serve",
        ),
        Figure::TimeToGreen => Measured::time(
            time_to_green(record, &told(load)),
            "no answer after the faults said, for good, that the pools can serve",
        ),
    }
}

/// A count of requests; that there were none at all is no zero.
fn counted(value: f64, total: u64) -> Measured {
    if total == 0 {
        return Measured::nothing("no request was made");
    }
    Measured::Value { value, samples: Some(total) }
}

fn distribution(mut values: Vec<f64>, wanted: Quantile) -> Measured {
    values.sort_by(f64::total_cmp);
    let samples = values.len() as u64;
    let why = "there is no such request";
    match wanted {
        Quantile::Max => match values.last() {
            Some(max) => Measured::Value { value: *max, samples: Some(samples) },
            None => Measured::nothing(why),
        },
        Quantile::Permille(permille) => match quantile(&values, permille) {
            Some(interval) => Measured::Quantile { interval, samples },
            None => Measured::nothing(why),
        },
    }
}

fn max_to_median(mut values: Vec<f64>) -> Measured {
    values.sort_by(f64::total_cmp);
    match (values.get(values.len() / 2), values.last()) {
        (Some(median), Some(max)) if *median > 0.0 => {
            Measured::Value { value: max / median, samples: Some(values.len() as u64) }
        }
        _ => Measured::nothing("no request succeeded"),
    }
}
