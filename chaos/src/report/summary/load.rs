//! A load's requests as figures: by phase, by second, and as percentile spectra.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::record::{LoadRecord, Outcome, Phase, Sample, Span};
use crate::report::model::{Latency, LoadReport, PhaseFigures, Second, Spectrum};
use crate::report::{claim, number};
use crate::schema::{Arrivals, Load, Model};

/// The longest latency that is told apart, in microseconds; longer ones count as this. No load waits longer.
const LONGEST_US: u64 = 60_000_000;
/// Digits of a latency: an error below 0.1 % is less than any machine's noise.
const DIGITS: u8 = 3;
/// Points of a spectrum for each nine of its quantile, which is finer than a line that is drawn of them.
const POINTS_PER_NINE: u32 = 16;
/// The most nines of a spectrum, which needs a billion samples.
const MOST_NINES: u32 = 8;
/// Quantiles that people ask for; they are in every spectrum that reaches so far.
const NAMED: [f64; 7] = [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.999_99];

/// The figures of one load.
pub(super) fn report(
    measured: &LoadRecord,
    load: Option<&Load>,
    phases: &[(Phase, Span)],
) -> LoadReport {
    let mut of_phases = Vec::new();
    let mut spectra = Vec::new();
    for (phase, span) in phases {
        let tally = Tally::of(measured.samples.iter().filter(|sample| span.contains(sample.due)));
        if tally.requests() == 0 {
            continue;
        }
        spectra.extend(spectrum(*phase, &tally.ok_latency));
        of_phases.push(PhaseFigures {
            phase: *phase,
            ok: tally.ok,
            failed: tally.failed,
            dropped: tally.dropped,
            latency: quantiles(&tally.ok_latency),
            failed_latency: quantiles(&tally.failed_latency),
        });
    }
    LoadReport {
        id: measured.id.clone(),
        op: load.map_or("unknown", |load| load.op.as_str()).to_owned(),
        model: load.map_or_else(|| "unknown".to_owned(), |load| model(&load.model)),
        phases: of_phases,
        seconds: seconds(&measured.samples),
        spectra,
        errors: errors(&measured.samples),
        pacer_lag_p99_ms: pacer_lag(&measured.pacer_lag),
    }
}

/// Requests and their latencies.
struct Tally {
    ok: u64,
    failed: u64,
    dropped: u64,
    ok_latency: Histogram<u64>,
    failed_latency: Histogram<u64>,
}

impl Tally {
    fn of<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let mut tally = Self {
            ok: 0,
            failed: 0,
            dropped: 0,
            ok_latency: histogram(),
            failed_latency: histogram(),
        };
        for sample in samples {
            match sample.outcome {
                Outcome::Ok => {
                    tally.ok += 1;
                    add(&mut tally.ok_latency, sample.latency);
                }
                Outcome::Failed { .. } | Outcome::TimedOut | Outcome::Malformed { .. } => {
                    tally.failed += 1;
                    add(&mut tally.failed_latency, sample.latency);
                }
                Outcome::Dropped => tally.dropped += 1,
            }
        }
        tally
    }

    fn requests(&self) -> u64 {
        self.ok + self.failed + self.dropped
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("the bounds are in their order")
}

fn add(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LONGEST_US));
}

fn milliseconds(microseconds: u64) -> f64 {
    number::float(microseconds) / 1_000.0
}

fn quantiles(histogram: &Histogram<u64>) -> Option<Latency> {
    let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
    (!histogram.is_empty()).then(|| Latency {
        p50: at(0.5),
        p95: at(0.95),
        p99: at(0.99),
        max: milliseconds(histogram.max()),
    })
}

/// The figures of every second that had requests.
fn seconds(samples: &[Sample]) -> Vec<Second> {
    let mut by_second: BTreeMap<u64, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        by_second.entry(sample.due.as_secs()).or_default().push(sample);
    }
    let figures = by_second.into_iter().map(|(second, samples)| {
        let mut tally = Tally::of(samples);
        let sent = tally.ok_latency.add(&tally.failed_latency);
        sent.expect("both have the same bounds");
        Second {
            at_s: number::float(second),
            ok: tally.ok,
            failed: tally.failed,
            dropped: tally.dropped,
            latency: quantiles(&tally.ok_latency),
        }
    });
    figures.collect()
}

/// The spectrum up to the last quantile that the number of samples supports; `None` if it supports none.
fn spectrum(phase: Phase, latency: &Histogram<u64>) -> Option<Spectrum> {
    let last = claim::highest(latency.len())?;
    let regular = (0..=MOST_NINES * POINTS_PER_NINE)
        .map(|step| 1.0 - 10_f64.powf(-f64::from(step) / f64::from(POINTS_PER_NINE)));
    let mut wanted: Vec<f64> = regular.chain(NAMED).map(rounded).collect();
    wanted.sort_by(f64::total_cmp);
    wanted.dedup();
    let supported = wanted.into_iter().filter(|quantile| *quantile <= rounded(last));
    let points = supported.map(|q| (q, milliseconds(latency.value_at_quantile(q))));
    Some(Spectrum { phase, points: points.collect() })
}

/// To twelve digits, so that a quantile is the same number however it was come by.
fn rounded(quantile: f64) -> f64 {
    (quantile * 1e12).round() / 1e12
}

fn errors(samples: &[Sample]) -> BTreeMap<String, u64> {
    let mut errors = BTreeMap::new();
    for sample in samples {
        let code = match &sample.outcome {
            Outcome::Ok => continue,
            Outcome::Failed { code } => code,
            Outcome::TimedOut => "timed_out",
            Outcome::Dropped => "dropped",
            Outcome::Malformed { .. } => "malformed",
        };
        *errors.entry(code.to_owned()).or_insert(0) += 1;
    }
    errors
}

fn pacer_lag(lags: &[Duration]) -> Option<f64> {
    let mut histogram = histogram();
    for lag in lags {
        add(&mut histogram, *lag);
    }
    quantiles(&histogram).map(|latency| latency.p99)
}

/// `open, 200/s, poisson` or `closed, 20 workers, think 10 ms, 5,000 requests`.
fn model(model: &Model) -> String {
    match model {
        Model::Open { rate, arrivals, max_in_flight: _ } => {
            let arrivals = match arrivals {
                Arrivals::Constant => "constant",
                Arrivals::Poisson => "poisson",
            };
            format!("open, {}/s, {arrivals}", number::plain(*rate))
        }
        Model::Closed { workers, think, count } => {
            let workers = u64::try_from(*workers).unwrap_or(u64::MAX);
            let mut text = format!("closed, {}", number::counted(workers, "worker"));
            if !think.is_zero() {
                text.push_str(", think ");
                text.push_str(&number::latency(think.as_secs_f64() * 1_000.0));
            }
            if let Some(count) = count {
                text.push_str(", ");
                text.push_str(&number::counted(*count, "request"));
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(due_ms: u64, latency_us: u64, outcome: Outcome) -> Sample {
        Sample {
            due: Duration::from_millis(due_ms),
            latency: Duration::from_micros(latency_us),
            outcome,
            value: None,
        }
    }

    fn span(from_ms: u64, to_ms: u64) -> Span {
        Span { from: Duration::from_millis(from_ms), to: Duration::from_millis(to_ms) }
    }

    #[test]
    fn a_request_belongs_to_the_phase_in_which_it_was_due() {
        let phases = [
            (Phase::Steady, span(0, 1_000)),
            (Phase::Fault, span(1_000, 2_000)),
            (Phase::Drain, span(2_000, 3_000)),
        ];
        let measured = LoadRecord {
            capped: false,
            id: "reads".to_owned(),
            samples: vec![
                sample(1_200, 40, Outcome::Failed { code: "NO_DATABASE".to_owned() }),
                sample(1_300, 90, Outcome::Malformed { what: "half a line".to_owned() }),
                // Due in the steady phase, answered long after it.
                sample(999, 3_000_000, Outcome::Ok),
                sample(1_000, 2_000_000, Outcome::TimedOut),
                sample(1_500, 0, Outcome::Dropped),
            ],
            pacer_lag: Vec::new(),
        };
        let report = report(&measured, None, &phases);
        let counts: Vec<_> =
            report.phases.iter().map(|f| (f.phase, f.ok, f.failed, f.dropped)).collect();
        assert_eq!(counts, [(Phase::Steady, 1, 0, 0), (Phase::Fault, 0, 3, 1)]);
        assert!(report.phases[1].latency.is_none(), "no request of the fault succeeded");
        let seconds: Vec<_> = report.seconds.iter().map(|s| (s.at_s, s.ok, s.failed)).collect();
        assert_eq!(seconds, [(0.0, 1, 0), (1.0, 0, 3)]);
        let errors: Vec<_> = report.errors.iter().map(|(code, n)| (code.as_str(), *n)).collect();
        assert_eq!(
            errors,
            [("NO_DATABASE", 1), ("dropped", 1), ("malformed", 1), ("timed_out", 1)]
        );
        assert_eq!(report.pacer_lag_p99_ms, None);
        assert_eq!(report.model, "unknown");
    }

    #[test]
    fn what_is_longer_than_the_longest_counts_as_that() {
        let tally = Tally::of(&[sample(0, u64::MAX / 2_000, Outcome::Ok)]);
        let latency = quantiles(&tally.ok_latency).unwrap();
        assert!((latency.max - 60_000.0).abs() < 100.0, "{latency:?}");
    }

    #[test]
    fn a_spectrum_ends_where_its_samples_do() {
        let last = |count: u64| {
            let samples: Vec<_> = (0..count).map(|i| sample(0, 1_000 + i, Outcome::Ok)).collect();
            let tally = Tally::of(&samples);
            spectrum(Phase::Steady, &tally.ok_latency).map(|s| s.points.last().unwrap().0)
        };
        let table = [
            (0, None),
            (9, None),
            (10, Some(0.0)),
            (200, Some(0.95)),
            (1_000, Some(0.99)),
            (10_000, Some(0.999)),
        ];
        for (count, quantile) in table {
            assert_eq!(last(count), quantile, "{count} samples");
        }
    }

    #[test]
    fn models_read_well() {
        let closed = |think, count| Model::Closed { workers: 20, think, count };
        let open = Model::Open { rate: 200.0, arrivals: Arrivals::Poisson, max_in_flight: 9 };
        assert_eq!(model(&open), "open, 200/s, poisson");
        assert_eq!(model(&closed(Duration::ZERO, None)), "closed, 20 workers");
        assert_eq!(
            model(&closed(Duration::from_millis(10), Some(5_000))),
            "closed, 20 workers, think 10.0 ms, 5,000 requests"
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_quantiles_rise(
            latencies in prop::collection::vec((0_u64..9_000, 1_u64..70_000_000, 0_u8..5), 0..400)
        ) {
            let samples: Vec<_> = latencies
                .iter()
                .map(|&(due, latency, kind)| {
                    let outcome = match kind {
                        0 => Outcome::Failed { code: "X".to_owned() },
                        1 => Outcome::TimedOut,
                        2 => Outcome::Dropped,
                        _ => Outcome::Ok,
                    };
                    sample(due, latency, outcome)
                })
                .collect();
            let measured = LoadRecord { id: "a".to_owned(), samples, pacer_lag: Vec::new(), capped: false };
            let phases = [(Phase::Steady, span(0, 5_000)), (Phase::Fault, span(5_000, 9_000))];
            let report = report(&measured, None, &phases);
            let in_phases: u64 = report.phases.iter().map(|f| f.ok + f.failed + f.dropped).sum();
            let in_seconds: u64 = report.seconds.iter().map(|s| s.ok + s.failed + s.dropped).sum();
            prop_assert_eq!(in_phases, u64::try_from(latencies.len()).unwrap());
            prop_assert_eq!(in_seconds, in_phases);
            for latency in report.phases.iter().filter_map(|figures| figures.latency) {
                prop_assert!(latency.p50 <= latency.p95);
                prop_assert!(latency.p95 <= latency.p99);
                prop_assert!(latency.p99 <= latency.max);
            }
            for spectrum in &report.spectra {
                for pair in spectrum.points.windows(2) {
                    prop_assert!(pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
                }
            }
        }
    }
}
