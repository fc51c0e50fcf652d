//! What a number of samples says about a quantile.

/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.96;

/// A quantile of a sample and where that of the population lies, with 95 % certainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The sample's own quantile.
    pub estimate: f64,
    /// The upper end.
    pub high: f64,
    /// How many samples a claim about this quantile needs.
    pub needed: u64,
}

/// How many samples a claim about the quantile of `permille` needs: ten beyond it. So p95 needs 200, p99
/// 1000, p99.9 10 000.
pub fn needed_samples(permille: u16) -> u64 {
    10_000 / u64::from(1000 - permille.min(999))
}

/// The quantile of `permille` thousandths of the sorted values, with the ranks `np ± z·√(np(1-p))` around it
/// (the normal approximation of the binomial distribution of order statistics). `None` without values.
pub(super) fn quantile(sorted: &[f64], permille: u16) -> Option<Interval> {
    let n = sorted.len() as f64;
    let p = f64::from(permille) / 1000.0;
    let spread = Z * (n * p * (1.0 - p)).sqrt();
    let at = |rank: f64| sorted.get(index(rank, sorted.len())).copied();
    Some(Interval {
        low: at(n * p - spread)?,
        estimate: at(n * p)?,
        high: at(n * p + spread)?,
        needed: needed_samples(permille),
    })
}

/// The index of the value with this rank, from 1, in a list of so many.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank lies between one and a length"
)]
fn index(rank: f64, length: usize) -> usize {
    (rank.ceil().max(1.0) as usize - 1).min(length.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_samples_beyond_the_quantile_are_needed() {
        for (permille, needed) in [(500, 20), (900, 100), (950, 200), (990, 1000), (999, 10_000)] {
            assert_eq!(needed_samples(permille), needed);
        }
    }

    #[test]
    fn the_interval_holds_the_quantile_and_shrinks_with_more_samples() {
        let values = |count: usize| -> Vec<f64> {
            (1..=count).map(|rank| rank as f64 / count as f64).collect()
        };
        let few = quantile(&values(200), 950).unwrap();
        assert!((few.estimate - 0.95).abs() < 1e-9, "{few:?}");
        // 190 ± 1.96 · √9.5 = 190 ± 6.04, rounded up.
        assert!((few.low - 0.92).abs() < 1e-9 && (few.high - 0.985).abs() < 1e-9, "{few:?}");
        let many = quantile(&values(20_000), 950).unwrap();
        assert!(many.high - many.low < few.high - few.low);
        assert_eq!(quantile(&[], 950), None);
        let one = quantile(&[5.0], 950).unwrap();
        assert_eq!((one.low, one.estimate, one.high), (5.0, 5.0, 5.0));
    }
}
