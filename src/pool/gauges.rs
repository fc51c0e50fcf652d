//! The counts of a pool in one atomic word, so that a reader sees all of one instant.

use std::sync::atomic::{AtomicU64, Ordering};

use super::phase::{HealthReason, Phase};

/// The phase and the counts at one instant.
///
/// In the word they take, from the top: phase 3 bits, reason 3, waiting 16, opening 6, and idle, in use,
/// checking and closing 9 each. The bounds of the configuration (500 connections, 60 000 waiters, 32 in
/// the making) fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gauges {
    pub(super) phase: Phase,
    pub(super) reason: HealthReason,
    pub(super) idle: u32,
    pub(super) in_use: u32,
    pub(super) opening: u32,
    pub(super) checking: u32,
    pub(super) closing: u32,
    pub(super) waiting: u32,
}

/// Written in a pool's critical sections only, read by anybody.
#[derive(Debug)]
pub(super) struct GaugeWord(AtomicU64);

const COUNT: u32 = 9;
const OPENING: u32 = 6;
const WAITING: u32 = 16;
const REASON: u32 = 3;

/// The largest number of `bits` bits, to which a count is clamped rather than spill into the next field.
const fn max(bits: u32) -> u64 {
    (1 << bits) - 1
}

impl GaugeWord {
    pub(super) fn new(gauges: Gauges) -> Self {
        Self(AtomicU64::new(gauges.pack()))
    }

    #[inline]
    pub(super) fn publish(&self, gauges: Gauges) {
        self.0.store(gauges.pack(), Ordering::Release);
    }

    #[inline]
    pub(super) fn read(&self) -> Gauges {
        Gauges::unpack(self.0.load(Ordering::Acquire))
    }
}

impl Gauges {
    #[inline]
    fn pack(self) -> u64 {
        let field =
            |word: u64, count: u32, bits: u32| (word << bits) | u64::from(count).min(max(bits));
        let word = ((self.phase as u64) << REASON) | self.reason as u64;
        let word = field(word, self.waiting, WAITING);
        let word = field(word, self.opening, OPENING);
        let word = field(word, self.idle, COUNT);
        let word = field(word, self.in_use, COUNT);
        let word = field(word, self.checking, COUNT);
        field(word, self.closing, COUNT)
    }

    #[inline]
    fn unpack(word: u64) -> Self {
        let mut rest = word;
        let mut field = |bits: u32| {
            let value = rest & max(bits);
            rest >>= bits;
            u32::try_from(value).unwrap_or(u32::MAX)
        };
        let (closing, checking, in_use, idle) =
            (field(COUNT), field(COUNT), field(COUNT), field(COUNT));
        let (opening, waiting) = (field(OPENING), field(WAITING));
        let reason = HealthReason::from_index(u64::from(field(REASON)));
        let phase = Phase::from_index(rest);
        Self { phase, reason, idle, in_use, opening, checking, closing, waiting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_survive_packing_at_their_bounds() {
        use {HealthReason::*, Phase::*};
        for (phase, reason) in [(Initializing, Ok), (Degraded, Leak), (Terminated, NoConnections)] {
            for gauges in [
                Gauges {
                    phase,
                    reason,
                    idle: 0,
                    in_use: 0,
                    opening: 0,
                    checking: 0,
                    closing: 0,
                    waiting: 0,
                },
                Gauges {
                    phase,
                    reason,
                    idle: 1,
                    in_use: 2,
                    opening: 3,
                    checking: 4,
                    closing: 5,
                    waiting: 6,
                },
                Gauges {
                    phase,
                    reason,
                    idle: 511,
                    in_use: 511,
                    opening: 63,
                    checking: 511,
                    closing: 511,
                    waiting: 65_535,
                },
            ] {
                assert_eq!(Gauges::unpack(gauges.pack()), gauges);
            }
        }
    }

    #[test]
    fn a_count_beyond_its_field_spoils_no_other() {
        let gauges = Gauges {
            phase: Phase::Healthy,
            reason: HealthReason::Ok,
            idle: 0,
            in_use: 9999,
            opening: 0,
            checking: 0,
            closing: 0,
            waiting: 7,
        };
        let read = Gauges::unpack(gauges.pack());
        assert_eq!((read.in_use, read.idle, read.waiting), (511, 0, 7));
    }
}
