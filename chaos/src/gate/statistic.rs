//! The few statistics that the gate decides by.

/// Turns a median absolute deviation into the standard deviation of a normal distribution: `1 / Φ⁻¹(3/4)`.
const MAD_TO_SIGMA: f64 = 1.4826;

/// The values in ascending order.
pub(super) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The value below which the share `q`, from 0 to 1, of the values lies, between neighbours by straight line
/// (Hyndman and Fan's type 7). `None` of no values.
pub(super) fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let sorted = sorted(values);
    let last = sorted.len().checked_sub(1)?;
    let at = q.clamp(0.0, 1.0) * last as f64;
    let below = floor(at).min(last);
    let (low, high) = (sorted.get(below)?, sorted.get((below + 1).min(last))?);
    Some(low + (high - low) * (at - below as f64))
}

/// The middle value. `None` of no values.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The mean. `None` of no values.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// How far the values scatter round their median, as a standard deviation that a few outliers do not move:
/// 1.4826 times the median of the absolute deviations. `None` of no values.
pub(super) fn spread(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    let deviations: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    Some(MAD_TO_SIGMA * median(&deviations)?)
}

/// The bounds between which the true median of a difference lies, each with an error of `alpha` at most: the
/// `k`-th smallest and the `k`-th largest value, with the largest `k` for which
/// `P(Bin(n, 1/2) ≤ k - 1) ≤ alpha` (the sign test turned round). It takes nothing for granted about how the
/// values are distributed. `None` if there are too few values for any bound.
pub(super) fn sign_bounds(values: &[f64], alpha: f64) -> Option<(f64, f64)> {
    let sorted = sorted(values);
    let k = sign_rank(sorted.len(), alpha)?;
    Some((*sorted.get(k - 1)?, *sorted.get(sorted.len() - k)?))
}

/// The largest `k` for which `P(Bin(n, 1/2) ≤ k - 1) ≤ alpha`; `None` if there is none from 1 on.
fn sign_rank(n: usize, alpha: f64) -> Option<usize> {
    // For up to some hundreds of values 2^-n and all of the terms are ordinary numbers.
    let mut term = 0.5_f64.powi(i32::try_from(n).ok()?);
    let mut sum = 0.0;
    let mut k = 0;
    while k < n {
        sum += term;
        if sum > alpha {
            break;
        }
        term *= (n - k) as f64 / (k + 1) as f64;
        k += 1;
    }
    (k > 0).then_some(k)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index of a slice, which is never negative"
)]
fn floor(value: f64) -> usize {
    value.floor() as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_are_those_of_the_binomial_distribution() {
        // Exact values; the second column is the first of which the tail is no more than that.
        for (n, at_01, at_001) in [(11, 2, 1), (15, 3, 2), (21, 5, 4), (30, 9, 7), (60, 21, 18)] {
            assert_eq!(sign_rank(n, 0.01), Some(at_01), "{n}");
            assert_eq!(sign_rank(n, 0.001), Some(at_001), "{n}");
        }
        assert_eq!(sign_rank(7, 0.01), Some(1));
        assert_eq!(sign_rank(6, 0.01), None);
        assert_eq!(sign_rank(0, 0.01), None);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(median(&values), Some(2.5));
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&values, 1.0), Some(4.0));
        assert_eq!(quantile(&[7.0], 0.1), Some(7.0));
        assert_eq!(median(&[]), None);
        assert_eq!(mean(&values), Some(2.5));
        assert_eq!(spread(&[1.0, 1.0, 1.0, 100.0]), Some(0.0));
        assert!((spread(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap() - 1.4826).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn bounds_hold_the_median(values in prop::collection::vec(-1e3..1e3_f64, 7..80)) {
            let (low, high) = sign_bounds(&values, 0.01).unwrap();
            let middle = median(&values).unwrap();
            prop_assert!(low <= middle && middle <= high);
            let (lower, higher) = sign_bounds(&values, 0.01 / 3.0).unwrap_or((low, high));
            prop_assert!(lower <= low && high <= higher, "a smaller error needs wider bounds");
        }
    }
}
