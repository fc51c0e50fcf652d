//! The delay before the next attempt to reach a database that does not answer.

use std::time::Duration;

/// The longest delay; reached at the fifth failure and kept from then on.
const MAX: Duration = Duration::from_secs(16);

/// The delay after the `failures`-th failure in a row: 1, 2, 4, 8, 16 s and then 16 s for ever, within ±10 %.
///
/// `jitter` is a random number in `0.0..1.0`; 0.5 gives the exact delay. It keeps the servers that lost
/// the same database from coming back in step.
pub(super) fn delay(failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(4);
    let exact = Duration::from_secs(1 << doublings).min(MAX);
    exact.mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_sixteen_seconds_and_stays() {
        let exact: Vec<u64> = (1..=7).map(|failures| delay(failures, 0.5).as_secs()).collect();
        assert_eq!(exact, [1, 2, 4, 8, 16, 16, 16]);
    }

    #[test]
    fn jitter_is_ten_percent_either_way() {
        assert_eq!(delay(5, 0.0), Duration::from_millis(14_400));
        assert_eq!(delay(5, 1.0), Duration::from_millis(17_600));
        assert_eq!(delay(u32::MAX, 0.5), MAX);
    }
}
