//! What a pool counts. Written in its critical sections only, read by anybody without a lock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Histogram, Tally, bump, nanos};
use super::reason::CloseReason;

/// The mean is taken over so many blocks of acquires, and the one that is being filled. A ring of single times
/// would be exact to the last one, and eight kilobytes that move from core to core.
const BLOCKS: usize = 10;
const BLOCK: u64 = 100;

/// What every acquire and release writes comes first and has a cache line of its own, which moves from core
/// to core with the lock.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Counters {
    pub(super) acquired: Counter,
    pub(super) released: Counter,
    peak_in_use: AtomicU64,
    peak_wait_nanos: AtomicU64,
    pub(super) timed_out: Counter,
    pub(super) opened: Counter,
    pub(super) open_failed: Counter,
    pub(super) waits: Histogram,
    pub(super) uses: Histogram,
    pub(super) leaks: Counter,
    pub(super) live_leaks: Counter,
    closed: [Counter; CloseReason::ALL.len()],
}

/// A counter with one writer at a time.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub(super) fn add(&self, by: u64) {
        bump(&self.0, by);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            acquired: Counter::default(),
            released: Counter::default(),
            timed_out: Counter::default(),
            opened: Counter::default(),
            open_failed: Counter::default(),
            leaks: Counter::default(),
            live_leaks: Counter::default(),
            closed: Default::default(),
            peak_in_use: AtomicU64::new(0),
            peak_wait_nanos: AtomicU64::new(0),
            waits: Histogram::new(),
            uses: Histogram::new(),
        }
    }

    pub(super) fn count_closed(&self, reason: CloseReason) {
        if let Some(counter) = self.closed.get(reason as usize) {
            counter.add(1);
        }
    }

    pub(super) fn closed(&self) -> impl Iterator<Item = (CloseReason, u64)> {
        CloseReason::ALL.into_iter().zip(self.closed.iter().map(Counter::get))
    }

    #[inline]
    pub(super) fn observe_in_use(&self, in_use: u32) {
        raise(&self.peak_in_use, u64::from(in_use));
    }

    pub(super) fn peak_in_use(&self) -> u32 {
        u32::try_from(self.peak_in_use.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    pub(super) fn peak_wait(&self) -> Duration {
        Duration::from_nanos(self.peak_wait_nanos.load(Ordering::Relaxed))
    }
}

#[inline]
fn raise(peak: &AtomicU64, value: u64) {
    if value > peak.load(Ordering::Relaxed) {
        peak.store(value, Ordering::Relaxed);
    }
}

/// The times of acquires and leases, on their way into the counters.
#[derive(Debug, Default)]
pub(super) struct Times {
    waits: Tally,
    uses: Tally,
    /// The sum of the acquire times of the block that is being filled, in nanoseconds, and how many they are.
    sum: u64,
    len: u64,
    /// The sums of the full blocks before it, the oldest first.
    blocks: VecDeque<u64>,
}

impl Times {
    /// A lease ended after `held`.
    #[inline]
    pub(super) fn used(&mut self, counters: &Counters, held: Duration) {
        self.uses.record(&counters.uses, nanos(held));
    }

    /// An acquire was served, or gave up, after `wait`.
    #[inline]
    pub(super) fn waited(&mut self, counters: &Counters, wait: Duration) {
        let nanos = nanos(wait);
        self.waits.record(&counters.waits, nanos);
        raise(&counters.peak_wait_nanos, nanos);
        self.sum = self.sum.saturating_add(nanos);
        self.len += 1;
        if self.len == BLOCK {
            self.blocks.push_back(std::mem::take(&mut self.sum));
            self.len = 0;
            if self.blocks.len() > BLOCKS {
                self.blocks.pop_front();
            }
        }
    }

    /// The mean of the last 1000 to 1099 acquire times.
    pub(super) fn mean_wait(&self) -> Duration {
        let sum = self.blocks.iter().fold(self.sum, |sum, block| sum.saturating_add(*block));
        let count = self.len + BLOCK * self.blocks.len() as u64;
        Duration::from_nanos(sum / count.max(1))
    }

    /// Brings the histograms up to date.
    pub(super) fn settle(&mut self, counters: &Counters) {
        self.waits.count(&counters.waits);
        self.uses.count(&counters.uses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_the_last_thousand() {
        let (counters, mut times) = (Counters::new(), Times::default());
        for _ in 0..1000 {
            times.waited(&counters, Duration::from_millis(2));
        }
        assert_eq!(times.mean_wait(), Duration::from_millis(2));
        for _ in 0..500 {
            times.waited(&counters, Duration::from_millis(4));
        }
        assert_eq!(times.mean_wait(), Duration::from_millis(3));
        for _ in 0..500 {
            times.waited(&counters, Duration::from_millis(4));
        }
        assert_eq!(times.mean_wait(), Duration::from_millis(4));
        assert_eq!(counters.peak_wait(), Duration::from_millis(4));
    }
}
