//! How samples are taken: pool by pool in turn, so that a machine whose speed wanders treats all alike.
//!
//! Criterion by itself measures one function after the other. It gets these samples through `iter_custom`
//! and does what it is good at: statistics, stored baselines, comparison.

use std::time::Duration;

use criterion::{Criterion, SamplingMode};

use tokio::time::Instant;

use crate::report::Samples;

/// Samples of each pool; the least that criterion takes.
pub(crate) const REPEATS: usize = 10;

/// One pool's way through a measurement, for so many cycles.
pub(crate) struct Lane<'a, T> {
    pub(crate) peer: &'static str,
    pub(crate) run: Box<dyn FnMut(u64) -> T + 'a>,
}

/// How long a run takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// The length of a timed sample.
    pub(crate) sample: Duration,
    /// The length of a sample of fairness.
    pub(crate) fairness: Duration,
    /// Repeats of what criterion does not measure.
    pub(crate) repeats: usize,
}

impl Scale {
    pub(crate) const FULL: Self =
        Self { sample: Duration::from_millis(200), fairness: Duration::from_secs(1), repeats: 5 };
    pub(crate) const QUICK: Self =
        Self { sample: Duration::from_millis(5), fairness: Duration::from_millis(100), repeats: 2 };
}

/// Runs every lane once per repeat, each time beginning with another one. Returns the outcomes of each
/// lane, in the order of repeats.
pub(crate) fn alternated<T>(
    lanes: &mut [Lane<'_, T>],
    repeats: usize,
    cycles: &[u64],
) -> Vec<(&'static str, Vec<T>)> {
    let mut outcomes: Vec<_> = lanes.iter().map(|lane| (lane.peer, Vec::new())).collect();
    let count = lanes.len();
    for repeat in 0..repeats {
        for at in (0..count).map(|position| (position + repeat) % count) {
            let (Some(lane), Some(&cycles)) = (lanes.get_mut(at), cycles.get(at)) else { continue };
            let outcome = (lane.run)(cycles);
            if let Some((_, outcomes)) = outcomes.get_mut(at) {
                outcomes.push(outcome);
            }
        }
    }
    outcomes
}

/// One run of the benchmark.
pub(crate) struct Run {
    pub(crate) scale: Scale,
    row: String,
    pool: String,
    criterion: Criterion,
}

impl Run {
    /// `filter` is a part of the names of rows; behind a slash, of pools.
    pub(crate) fn new(scale: Scale, filter: &str, criterion: Criterion) -> Self {
        let (row, pool) = filter.split_once('/').unwrap_or((filter, ""));
        // The samples are taken already; criterion has nothing to warm up or to spread over time.
        let criterion = criterion
            .sample_size(REPEATS)
            .warm_up_time(Duration::from_nanos(1))
            .measurement_time(Duration::from_millis(1));
        Self { scale, row: row.to_owned(), pool: pool.to_owned(), criterion }
    }

    /// Whether the row `id` is asked for.
    pub(crate) fn wants(&self, id: &str) -> bool {
        id.contains(&self.row)
    }

    /// Measures the time of one cycle in every lane and hands the samples to criterion. A sample has
    /// `least` cycles or more.
    pub(crate) fn timed(
        &mut self,
        id: &'static str,
        least: u64,
        mut lanes: Vec<Lane<'_, Duration>>,
    ) -> Samples {
        lanes.retain(|lane| lane.peer.contains(&self.pool));
        let sample = self.scale.sample;
        let cycles: Vec<_> = lanes.iter_mut().map(|lane| cycles_for(lane, least, sample)).collect();
        let mut samples = Samples::default();
        let times = alternated(&mut lanes, REPEATS, &cycles);
        for ((peer, times), cycles) in times.into_iter().zip(cycles) {
            for time in times {
                samples.push(peer, time.as_secs_f64() * 1e9 / cycles as f64);
            }
        }
        self.record(id, &samples);
        samples
    }

    fn record(&mut self, id: &str, samples: &Samples) {
        let mut group = self.criterion.benchmark_group(id);
        group.sampling_mode(SamplingMode::Flat);
        for (peer, samples) in samples.iter() {
            let mut samples = samples.iter().cycle();
            group.bench_function(peer, |bencher| {
                let nanoseconds = samples.next().copied().unwrap_or_default();
                bencher.iter_custom(|cycles| {
                    Duration::from_secs_f64(nanoseconds * cycles as f64 / 1e9)
                });
            });
        }
        group.finish();
    }
}

/// How many cycles take about `sample`, found by doubling.
fn cycles_for(lane: &mut Lane<'_, Duration>, least: u64, sample: Duration) -> u64 {
    let mut cycles = least;
    loop {
        let started = Instant::now();
        (lane.run)(cycles);
        let took = started.elapsed();
        if took * 4 >= sample {
            let scaled = u128::from(cycles) * sample.as_nanos() / took.as_nanos().max(1);
            return u64::try_from(scaled).unwrap_or(u64::MAX).max(least);
        }
        cycles *= 2;
    }
}
