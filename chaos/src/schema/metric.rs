//! The names of what can be promised about: a load's figures, the pools' gauges, facts about server,
//! PostgreSQL and proxy.

use std::fmt;

use super::amount::Unit;
use super::codes::{self, is_code};

/// What a promise is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metric {
    /// A figure of the load with this name.
    Load(String, Figure),
    /// A value of the pools or the server that was looked at again and again. A bound from above is held
    /// against the largest value, a bound from below against the smallest.
    Gauge(&'static str),
    /// A value that was found once, at the end.
    Fact(&'static str),
    /// How long after the beginning of the faults the pools could not serve any more.
    TimeToRed,
    /// How long after the end of the faults the pools could serve again, to stay so.
    TimeToGreen,
}

/// A figure of a load, over a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Figure {
    /// Requests that were due.
    Requests,
    /// Requests that succeeded.
    Ok,
    /// Requests that failed with a code or at their limit.
    Failed,
    /// Requests without an answer until their limit.
    TimedOut,
    /// Requests that were never sent, as too many were under way.
    Dropped,
    /// Answers that were no proper answers.
    Malformed,
    /// Requests that failed with this code.
    Errors(String),
    /// The part of the requests that succeeded.
    SuccessRate,
    /// Successes a second.
    Rate,
    /// A latency of successes.
    Latency(Quantile),
    /// A latency of failures.
    FailedLatency(Quantile),
    /// The largest latency of successes in terms of the median.
    MaxToMedian,
    /// The values that the operation measured itself, as times.
    Age(Quantile),
    /// Distinct values that the operation found, such as PostgreSQL sessions.
    Distinct,
    /// From the beginning of the faults to the first failure that came from the server.
    DetectionTime,
    /// From the end of the faults to the beginning of lasting service.
    RecoveryTime,
    /// From the end of the faults, or the load's first request if that was later, to the first success.
    FirstSuccess,
    /// From the beginning of the faults to the first answer that said that the pools cannot serve.
    TimeToRed,
    /// From the end of the faults to the first answer from which on all said that the pools can serve.
    TimeToGreen,
}

/// A point of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantile {
    /// So many thousandths are below.
    Permille(u16),
    /// The largest.
    Max,
}

impl Quantile {
    /// The middle.
    pub const MEDIAN: Self = Self::Permille(500);
}

/// Why a name is not a metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no metric `{name}`; {}", advice(.nearest.as_deref(), .known))]
pub struct UnknownMetric {
    /// The name.
    pub name: String,
    /// What may be meant.
    pub nearest: Option<String>,
    /// All that is known there.
    pub known: Vec<String>,
}

fn advice(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known are {}", known.join(", ")),
    }
}

/// What is looked at again and again, with its unit.
pub(super) const GAUGES: [(&str, Unit); 12] = [
    ("pool.size", Unit::Count),
    ("pool.idle", Unit::Count),
    ("pool.in_use", Unit::Count),
    ("pool.waiting", Unit::Count),
    ("pool.opening", Unit::Count),
    ("pool.closing", Unit::Count),
    ("pool.excess", Unit::Count),
    ("pool.live_leaks", Unit::Count),
    ("pool.leaks", Unit::Count),
    ("server.rss", Unit::Size),
    ("server.peak_rss", Unit::Size),
    ("server.open_files", Unit::Count),
];

/// What is found once, with its unit.
pub(super) const FACTS: [(&str, Unit); 13] = [
    ("pool.leaked", Unit::Count),
    ("pool.lost", Unit::Count),
    ("pool.capacity", Unit::Count),
    ("server.panics", Unit::Count),
    ("server.violations", Unit::Count),
    ("server.crashes", Unit::Count),
    ("server.start_time", Unit::Time),
    ("server.exit_code", Unit::Count),
    ("server.exit_time", Unit::Time),
    ("server.rss_growth", Unit::Size),
    ("postgres.sessions", Unit::Count),
    ("postgres.orphans", Unit::Count),
    ("postgres.idle_in_transaction", Unit::Count),
];

const FIGURES: [(&str, Figure); 15] = [
    ("requests", Figure::Requests),
    ("ok", Figure::Ok),
    ("failed", Figure::Failed),
    ("timed_out", Figure::TimedOut),
    ("dropped", Figure::Dropped),
    ("malformed", Figure::Malformed),
    ("success_rate", Figure::SuccessRate),
    ("rate", Figure::Rate),
    ("latency.max_to_median", Figure::MaxToMedian),
    ("distinct", Figure::Distinct),
    ("detection_time", Figure::DetectionTime),
    ("recovery_time", Figure::RecoveryTime),
    ("first_success", Figure::FirstSuccess),
    ("time_to_red", Figure::TimeToRed),
    ("time_to_green", Figure::TimeToGreen),
];

const QUANTILES: [(&str, Quantile); 6] = [
    ("p50", Quantile::MEDIAN),
    ("p90", Quantile::Permille(900)),
    ("p95", Quantile::Permille(950)),
    ("p99", Quantile::Permille(990)),
    ("p999", Quantile::Permille(999)),
    ("max", Quantile::Max),
];

const TIME_TO_RED: &str = "pool.time_to_red";
const TIME_TO_GREEN: &str = "pool.time_to_green";

/// Names that no load may have, because metrics begin with them.
pub(super) const RESERVED: [&str; 5] = ["pool", "server", "postgres", "proxy", "runner"];

impl Metric {
    /// Reads a metric's name, given the names of the scenario's loads.
    pub fn parse(name: &str, loads: &[&str]) -> Result<Self, UnknownMetric> {
        if let Some((head, figure)) = name.split_once('.')
            && loads.contains(&head)
            && let Some(figure) = Figure::parse(figure)
        {
            return Ok(Self::Load(head.to_owned(), figure));
        }
        let gauge = GAUGES.iter().find(|(gauge, _)| *gauge == name);
        let fact = FACTS.iter().find(|(fact, _)| *fact == name);
        match (name, gauge, fact) {
            (TIME_TO_RED, ..) => Ok(Self::TimeToRed),
            (TIME_TO_GREEN, ..) => Ok(Self::TimeToGreen),
            (_, Some((gauge, _)), _) => Ok(Self::Gauge(gauge)),
            (_, _, Some((fact, _))) => Ok(Self::Fact(fact)),
            _ => Err(UnknownMetric::new(name, loads)),
        }
    }

    /// Whether it is about what must never be, however busy the machine and however bad the network.
    pub fn is_of_safety(&self) -> bool {
        match self {
            Self::Load(_, figure) => *figure == Figure::Malformed,
            Self::Gauge(name) | Self::Fact(name) => {
                ["pool.excess", "server.crashes", "server.panics", "server.violations"]
                    .contains(name)
            }
            Self::TimeToRed | Self::TimeToGreen => false,
        }
    }

    /// Whether it is a time that counts from the beginning or the end of the faults.
    pub fn counts_from_faults(&self) -> bool {
        matches!(
            self,
            Self::TimeToRed
                | Self::TimeToGreen
                | Self::Load(
                    _,
                    Figure::DetectionTime
                        | Figure::RecoveryTime
                        | Figure::FirstSuccess
                        | Figure::TimeToRed
                        | Figure::TimeToGreen
                )
        )
    }

    /// The load whose answers it is about, if these must be told healths.
    pub(super) fn of_healths(&self) -> Option<&str> {
        match self {
            Self::Load(load, Figure::TimeToRed | Figure::TimeToGreen) => Some(load),
            Self::Load(..)
            | Self::Gauge(_)
            | Self::Fact(_)
            | Self::TimeToRed
            | Self::TimeToGreen => None,
        }
    }

    /// What it is measured in.
    pub fn unit(&self) -> Unit {
        let listed = |name: &str| {
            let all = GAUGES.iter().chain(&FACTS);
            all.clone().find(|(known, _)| *known == name).map_or(Unit::Count, |(_, unit)| *unit)
        };
        match self {
            Self::Gauge(name) | Self::Fact(name) => listed(name),
            Self::TimeToRed | Self::TimeToGreen => Unit::Time,
            Self::Load(_, figure) => figure.unit(),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(load, figure) => write!(f, "{load}.{figure}"),
            Self::Gauge(name) | Self::Fact(name) => f.write_str(name),
            Self::TimeToRed => f.write_str(TIME_TO_RED),
            Self::TimeToGreen => f.write_str(TIME_TO_GREEN),
        }
    }
}

impl Figure {
    fn parse(name: &str) -> Option<Self> {
        let quantile = |name: &str| {
            QUANTILES.iter().find(|(known, _)| *known == name).map(|(_, quantile)| *quantile)
        };
        if let Some((_, figure)) = FIGURES.iter().find(|(known, _)| *known == name) {
            return Some(figure.clone());
        }
        let (head, tail) = name.rsplit_once('.')?;
        match head {
            "latency" => quantile(tail).map(Self::Latency),
            "failed.latency" => quantile(tail).map(Self::FailedLatency),
            "age" => quantile(tail).map(Self::Age),
            "errors" if is_code(tail) => Some(Self::Errors(tail.to_owned())),
            _ => None,
        }
    }

    fn unit(&self) -> Unit {
        match self {
            Self::Requests
            | Self::Ok
            | Self::Failed
            | Self::TimedOut
            | Self::Dropped
            | Self::Malformed
            | Self::Errors(_)
            | Self::Distinct => Unit::Count,
            Self::SuccessRate => Unit::Share,
            Self::Rate => Unit::Rate,
            Self::MaxToMedian => Unit::Ratio,
            Self::Latency(_)
            | Self::FailedLatency(_)
            | Self::Age(_)
            | Self::DetectionTime
            | Self::RecoveryTime
            | Self::FirstSuccess
            | Self::TimeToRed
            | Self::TimeToGreen => Unit::Time,
        }
    }

    /// All names, but for the errors whose codes are of PostgreSQL, JSON-RPC or the system.
    fn names() -> impl Iterator<Item = String> {
        let quantiles = ["latency", "failed.latency", "age"].into_iter().flat_map(|head| {
            QUANTILES.iter().map(move |(quantile, _)| format!("{head}.{quantile}"))
        });
        let named = FIGURES.iter().map(|(name, _)| (*name).to_owned());
        let errors = codes::named().map(|code| format!("errors.{code}"));
        named.chain(quantiles).chain(errors)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(quantile) => write!(f, "latency.{quantile}"),
            Self::FailedLatency(quantile) => write!(f, "failed.latency.{quantile}"),
            Self::Age(quantile) => write!(f, "age.{quantile}"),
            Self::Errors(code) => write!(f, "errors.{code}"),
            Self::Requests
            | Self::Ok
            | Self::Failed
            | Self::TimedOut
            | Self::Dropped
            | Self::Malformed
            | Self::SuccessRate
            | Self::Rate
            | Self::MaxToMedian
            | Self::Distinct
            | Self::DetectionTime
            | Self::RecoveryTime
            | Self::FirstSuccess
            | Self::TimeToRed
            | Self::TimeToGreen => {
                let named = FIGURES.iter().find(|(_, known)| known == self);
                f.write_str(named.map_or("", |(name, _)| name))
            }
        }
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = QUANTILES.iter().find(|(_, known)| known == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

/// Every metric's name, with `LOAD` for the name of a load.
pub fn all_names() -> Vec<String> {
    let figures = Figure::names().map(|figure| format!("LOAD.{figure}"));
    let listed = GAUGES.iter().chain(&FACTS).map(|(name, _)| (*name).to_owned());
    let times = [TIME_TO_RED, TIME_TO_GREEN].map(str::to_owned);
    figures.chain(listed).chain(times).collect()
}

impl UnknownMetric {
    fn new(name: &str, loads: &[&str]) -> Self {
        let of_loads = loads
            .iter()
            .flat_map(|load| Figure::names().map(move |figure| format!("{load}.{figure}")));
        let listed = GAUGES.iter().chain(&FACTS).map(|(name, _)| (*name).to_owned());
        let times = [TIME_TO_RED, TIME_TO_GREEN].map(str::to_owned);
        let known: Vec<String> = of_loads.chain(listed).chain(times).collect();
        let nearest = super::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        Self { name: name.to_owned(), nearest, known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_and_written_the_same() {
        for name in all_names() {
            let name = name.replace("LOAD", "reads");
            assert_eq!(Metric::parse(&name, &["reads"]).unwrap().to_string(), name);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        for (name, nearest) in [
            ("reads.latency.p59", "reads.latency.p95"),
            ("read.ok", "reads.ok"),
            ("pool.sizes", "pool.size"),
            ("server.panic", "server.panics"),
            ("reads.errors.pool_timout", "reads.errors.pool_timeout"),
        ] {
            let error = Metric::parse(name, &["reads"]).unwrap_err();
            let told = format!("there is no metric `{name}`; did you mean `{nearest}`?");
            assert_eq!(error.to_string(), told);
        }
        let error = Metric::parse("weather", &[]).unwrap_err().to_string();
        assert!(error.contains("known are pool.size, pool.idle"), "{error}");
    }
}
