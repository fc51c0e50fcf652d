//! Durations, counted so that they can be read while they are written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets per doubling: a value is known to one part in eight.
const STEPS: u64 = 8;
/// Doublings above the first `STEPS` nanoseconds; the last bucket holds everything above 73 minutes.
const DOUBLINGS: u64 = 39;
const BUCKETS: usize = 320;
const _: () = assert!(BUCKETS as u64 == STEPS * (DOUBLINGS + 1));
const LAST: u16 = 319;
const _: () = assert!(LAST as usize == BUCKETS - 1);

/// Durations of the last one to two minutes.
///
/// One writer at a time, any number of readers: the pool writes under its lock, so a plain load and store
/// is enough and no reader ever waits; what a [`Tally`] holds is not counted yet. (A general histogram would
/// bring a lock or a queue of its own.)
#[derive(Debug)]
pub(super) struct Histogram {
    current: Box<[AtomicU64]>,
    previous: Box<[AtomicU64]>,
}

/// Typical and extreme values, in milliseconds, of the last one to two minutes; 0 when there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of the values are below it.
    pub p50_ms: f64,
    /// 95 of 100 values are below it.
    pub p95_ms: f64,
    /// 99 of 100 values are below it.
    pub p99_ms: f64,
    /// All values are below it.
    pub max_ms: f64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        let empty = || (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { current: empty(), previous: empty() }
    }

    fn count(&self, bucket: u16) {
        if let Some(count) = self.current.get(usize::from(bucket)) {
            bump(count, 1);
        }
    }

    /// Forgets what is older than the last call. For one writer at a time.
    pub(super) fn rotate(&self) {
        for (current, previous) in self.current.iter().zip(&self.previous) {
            previous.store(current.load(Ordering::Relaxed), Ordering::Relaxed);
            current.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        let both = self.current.iter().zip(&self.previous);
        let counts: Vec<u64> =
            both.map(|(a, b)| a.load(Ordering::Relaxed) + b.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let at = |hundredths: u64| {
            let rank = (total * hundredths).div_ceil(100).max(1);
            let mut seen = 0;
            let bucket = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            bucket.map_or(0.0, upper_bound_ms)
        };
        if total == 0 {
            return Percentiles::default();
        }
        Percentiles { p50_ms: at(50), p95_ms: at(95), p99_ms: at(99), max_ms: at(100) }
    }
}

/// The writer's side of a [`Histogram`]: durations that are not counted yet. The cache line of a bucket is
/// mostly in another core's cache, so it is fetched once for several.
#[derive(Debug, Default)]
pub(super) struct Tally {
    buckets: [u16; Self::CAPACITY],
    len: u16,
}

impl Tally {
    const CAPACITY: usize = 15;

    /// Takes one duration down.
    #[inline]
    pub(super) fn record(&mut self, histogram: &Histogram, nanos: u64) {
        if let Some(place) = self.buckets.get_mut(usize::from(self.len)) {
            *place = bucket_of(nanos);
            self.len += 1;
        }
        if usize::from(self.len) == Self::CAPACITY {
            self.count(histogram);
        }
    }

    /// Has everything counted that was taken down.
    pub(super) fn count(&mut self, histogram: &Histogram) {
        let taken = self.buckets.iter().take(usize::from(self.len));
        taken.for_each(|bucket| histogram.count(*bucket));
        self.len = 0;
    }
}

/// Adds to a counter that has one writer at a time: a load and a store, without a locked instruction.
#[inline]
pub(super) fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

/// Nanoseconds, without the detour over 128 bits: 584 years are enough.
#[inline]
pub(super) fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}

#[inline]
fn bucket_of(nanos: u64) -> u16 {
    let index = |bucket: u64| u16::try_from(bucket).unwrap_or(LAST).min(LAST);
    if nanos < STEPS {
        return index(nanos);
    }
    // Three bits below the leading one choose the step within the doubling.
    let doubling = u64::from(nanos.ilog2()) - 3;
    let step = (nanos >> doubling) - STEPS;
    index(STEPS * (doubling + 1) + step)
}

fn upper_bound_ms(bucket: usize) -> f64 {
    let bucket = bucket as u64;
    let nanos =
        if bucket < STEPS { bucket } else { (STEPS + bucket % STEPS + 1) << (bucket / STEPS - 1) };
    Duration::from_nanos(nanos).as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_is_known_to_one_part_in_eight(nanos in 0..3_600_000_000_000_u64) {
            let exact = Duration::from_nanos(nanos).as_secs_f64() * 1e3;
            let upper = upper_bound_ms(bucket_of(nanos).into());
            prop_assert!(upper >= exact, "{upper} for {exact}");
            prop_assert!(upper <= exact * 1.125 + 1e-6, "{upper} for {exact}");
        }
    }

    #[test]
    fn percentiles_of_a_hundred_values() {
        let (histogram, mut tally) = (Histogram::new(), Tally::default());
        assert_eq!(histogram.percentiles(), Percentiles::default());
        for ms in 1..=100 {
            tally.record(&histogram, ms * 1_000_000);
        }
        tally.count(&histogram);
        let Percentiles { p50_ms, p95_ms, p99_ms, max_ms } = histogram.percentiles();
        for (found, exact) in [(p50_ms, 50.0), (p95_ms, 95.0), (p99_ms, 99.0), (max_ms, 100.0)] {
            assert!((exact..=exact * 1.13).contains(&found), "{found} for {exact}");
        }
    }

    #[test]
    fn what_is_older_than_two_rotations_is_forgotten() {
        let histogram = Histogram::new();
        histogram.count(bucket_of(1_000_000_000));
        histogram.rotate();
        assert!(histogram.percentiles().max_ms >= 1000.0);
        histogram.rotate();
        assert_eq!(histogram.percentiles(), Percentiles::default());
    }

    #[test]
    fn the_longest_durations_share_the_last_bucket() {
        assert_eq!(bucket_of(u64::MAX), LAST);
    }
}
