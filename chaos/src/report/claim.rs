//! How many samples a quantile needs before it means something.

use super::number;

/// How many samples must lie above a quantile. It makes 200 for p95, 1,000 for p99 and 10,000 for p99.9.
pub(super) const SAMPLES_ABOVE: f64 = 10.0;

/// The highest quantile that so many samples support; `None` if they support none.
pub(super) fn highest(samples: u64) -> Option<f64> {
    (samples > 0).then(|| 1.0 - SAMPLES_ABOVE / number::float(samples)).filter(|last| *last >= 0.0)
}

/// Whether so many samples support the quantile.
pub(super) fn supports(samples: u64, quantile: f64) -> bool {
    // 1 - 0.95 is a little more than 0.05, so what is measured needs some air.
    highest(samples).is_some_and(|last| quantile <= last + 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_needs_ten_times_the_samples() {
        for (quantile, needed) in [(0.5, 20), (0.95, 200), (0.99, 1_000), (0.999, 10_000)] {
            assert!(supports(needed, quantile), "{needed} are enough for {quantile}");
            assert!(!supports(needed - 1, quantile), "{} are too few for {quantile}", needed - 1);
        }
        assert_eq!(highest(0), None);
        assert_eq!(highest(9), None);
        assert_eq!(highest(10), Some(0.0));
    }
}
