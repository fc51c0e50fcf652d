//! When the requests of an open load are due: known before the first of them is sent.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::schema::Arrivals;

/// The times of arrival, from the beginning of a period of load, without end. They depend on nothing but the
/// arguments of [`new`](Self::new). A rate that is no positive number has no arrivals.
#[derive(Debug, Clone)]
pub struct Schedule {
    arrivals: Arrivals,
    rate: f64,
    rng: ChaCha8Rng,
    /// What has passed at the next arrival, in means of the distance between two arrivals.
    passed: f64,
}

impl Schedule {
    /// Arrivals at `rate` a second. Each `period` of a load has times of its own from the same `seed`.
    pub fn new(arrivals: Arrivals, rate: f64, seed: u64, period: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // The streams from the lowest number on belong to the requests.
        rng.set_stream(u64::MAX - period);
        let mut schedule = Self { arrivals, rate, rng, passed: 0.0 };
        if arrivals == Arrivals::Poisson {
            schedule.step();
        }
        schedule
    }

    fn step(&mut self) {
        self.passed += match self.arrivals {
            Arrivals::Constant => 1.0,
            Arrivals::Poisson => -(-self.rng.random::<f64>()).ln_1p(),
        };
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.rate.is_nan() || self.rate <= 0.0 {
            return None;
        }
        let at = Duration::try_from_secs_f64(self.passed / self.rate).ok()?;
        self.step();
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arrivals() -> impl Strategy<Value = Arrivals> {
        prop_oneof![Just(Arrivals::Constant), Just(Arrivals::Poisson)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_mean_rate_is_the_rate(kind in arrivals(), rate in 0.1..50_000.0, seed: u64) {
            const COUNT: u32 = 10_000;
            let last = Schedule::new(kind, rate, seed, 0).nth(COUNT as usize).unwrap();
            let mean = last.as_secs_f64() * rate / f64::from(COUNT);
            // A mean of 10 000 exponential distances has a deviation of 1 %.
            prop_assert!((mean - 1.0).abs() < 0.07, "{mean}");
        }

        #[test]
        fn times_only_grow(kind in arrivals(), rate in 0.1..50_000.0, seed: u64, period in 0..9u64) {
            let times: Vec<_> = Schedule::new(kind, rate, seed, period).take(500).collect();
            prop_assert!(times.is_sorted());
        }

        #[test]
        fn the_same_seed_gives_the_same_times(kind in arrivals(), rate in 0.1..50_000.0, seed: u64) {
            let of = |seed, period| {
                Schedule::new(kind, rate, seed, period).take(100).collect::<Vec<_>>()
            };
            prop_assert_eq!(of(seed, 0), of(seed, 0));
            let drawn = kind == Arrivals::Poisson;
            prop_assert_eq!(of(seed, 0) != of(seed ^ 1, 0), drawn);
            prop_assert_eq!(of(seed, 0) != of(seed, 1), drawn);
        }
    }

    #[test]
    fn constant_arrivals_do_not_drift() {
        let mut times = Schedule::new(Arrivals::Constant, 3.0, 1, 0);
        assert_eq!(times.next(), Some(Duration::ZERO));
        assert_eq!(times.nth(299_999_999 / 100), Some(Duration::from_secs(1_000_000)));
    }

    #[test]
    fn a_rate_that_is_none_has_no_arrivals() {
        for rate in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            for kind in [Arrivals::Constant, Arrivals::Poisson] {
                assert_eq!(Schedule::new(kind, rate, 1, 0).next(), None, "{rate}");
            }
        }
    }
}
