//! What a pool counts. Written in its critical sections only, read by anybody without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Histogram, bump, nanos};
use super::reason::CloseReason;

/// Over how many acquires the mean time is taken.
const WINDOW: usize = 1000;

#[derive(Debug)]
pub(super) struct Counters {
    pub(super) acquired: Counter,
    pub(super) released: Counter,
    pub(super) timed_out: Counter,
    pub(super) opened: Counter,
    pub(super) open_failed: Counter,
    pub(super) leaks: Counter,
    pub(super) live_leaks: Counter,
    closed: [Counter; CloseReason::ALL.len()],
    peak_in_use: AtomicU64,
    peak_wait_nanos: AtomicU64,
    /// The sum of the last thousand acquire times, in nanoseconds.
    recent_wait_nanos: AtomicU64,
    pub(super) waits: Histogram,
    pub(super) uses: Histogram,
}

/// A counter with one writer at a time.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, by: u64) {
        bump(&self.0, by);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

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
            recent_wait_nanos: AtomicU64::new(0),
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

    pub(super) fn observe_in_use(&self, in_use: u32) {
        raise(&self.peak_in_use, u64::from(in_use));
    }

    pub(super) fn peak_in_use(&self) -> u32 {
        u32::try_from(self.peak_in_use.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    pub(super) fn peak_wait(&self) -> Duration {
        Duration::from_nanos(self.peak_wait_nanos.load(Ordering::Relaxed))
    }

    /// The mean of the last thousand acquire times.
    pub(super) fn mean_wait(&self) -> Duration {
        let recent = self.acquired.get().clamp(1, WINDOW as u64);
        Duration::from_nanos(self.recent_wait_nanos.load(Ordering::Relaxed) / recent)
    }
}

fn raise(peak: &AtomicU64, value: u64) {
    if value > peak.load(Ordering::Relaxed) {
        peak.store(value, Ordering::Relaxed);
    }
}

/// The acquire times from which peaks and the rolling mean are made.
#[derive(Debug)]
pub(super) struct WaitTimes {
    /// A ring of the last acquire times, in nanoseconds.
    ring: Vec<u64>,
    next: usize,
    sum: u64,
}

impl WaitTimes {
    pub(super) fn new() -> Self {
        Self { ring: Vec::with_capacity(WINDOW), next: 0, sum: 0 }
    }

    pub(super) fn record(&mut self, counters: &Counters, wait: Duration) {
        let nanos = nanos(wait);
        counters.waits.record(wait);
        raise(&counters.peak_wait_nanos, nanos);
        self.sum = self.sum.saturating_add(nanos);
        if let Some(oldest) = self.ring.get_mut(self.next) {
            self.sum = self.sum.saturating_sub(std::mem::replace(oldest, nanos));
        } else {
            self.ring.push(nanos);
        }
        self.next = if self.next + 1 == WINDOW { 0 } else { self.next + 1 };
        counters.recent_wait_nanos.store(self.sum, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_the_last_thousand() {
        let (counters, mut times) = (Counters::new(), WaitTimes::new());
        for _ in 0..1000 {
            counters.acquired.add(1);
            times.record(&counters, Duration::from_millis(2));
        }
        assert_eq!(counters.mean_wait(), Duration::from_millis(2));
        for _ in 0..500 {
            times.record(&counters, Duration::from_millis(4));
        }
        assert_eq!(counters.mean_wait(), Duration::from_millis(3));
        for _ in 0..500 {
            times.record(&counters, Duration::from_millis(4));
        }
        assert_eq!(counters.mean_wait(), Duration::from_millis(4));
        assert_eq!(counters.peak_wait(), Duration::from_millis(4));
    }
}
