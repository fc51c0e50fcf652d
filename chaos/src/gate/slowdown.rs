//! How much work has to be put into the path of an acquire for it to take so many times as long: found by
//! measuring, in turn with the baseline, as the gate measures itself.

use super::error::GateError;
use super::model::Slowdown;
use super::program::Program;
use super::statistic::median;

/// What is slowed down.
const BENCHMARK: &str = "pool/acquire/1";

/// Steps with which the cost of one is found.
const TRIAL: u32 = 400;

/// Pairs of samples behind each ratio.
const PAIRS: usize = 9;

/// Finds how many steps make the build at `slowed` take `wanted` times as long as `base`.
///
/// # Errors
/// If the build is slower than that already, and if a measurement fails.
pub(super) fn find(
    base: &Program,
    slowed: &std::path::Path,
    wanted: f64,
) -> Result<Slowdown, GateError> {
    let at = |steps: u32| ratio(base, &Program::slowed(slowed, steps));
    let (none, trial) = (at(0)?, at(TRIAL)?);
    let steps = needed(none, trial, wanted).ok_or_else(|| {
        GateError::NoSlowdown(format!(
            "{BENCHMARK} takes {none:.3} times as long as the baseline without any slowdown, and {trial:.3} times \
             with {TRIAL} steps of it, so none makes it {wanted:.2} times as long"
        ))
    })?;
    Ok(Slowdown { wanted, measured: at(steps)?, steps })
}

/// So many steps, if with none it is `none` times as long and with [`TRIAL`] of them `trial` times.
fn needed(none: f64, trial: f64, wanted: f64) -> Option<u32> {
    let each = (trial - none) / f64::from(TRIAL);
    let steps = ((wanted - none) / each).round();
    let possible = each > 0.0 && (0.0..1e9).contains(&steps);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a whole number in these bounds"
    )]
    possible.then_some(steps as u32)
}

/// How many times as long `head` takes, by the tenth percentile.
fn ratio(base: &Program, head: &Program) -> Result<f64, GateError> {
    let mut ratios = Vec::new();
    for pair in 0..PAIRS {
        let (base, head) = if pair % 2 == 0 {
            let base = base.sample(BENCHMARK)?;
            (base, head.sample(BENCHMARK)?)
        } else {
            let head = head.sample(BENCHMARK)?;
            (base.sample(BENCHMARK)?, head)
        };
        ratios.push(head.p10 / base.p10);
    }
    Ok(median(&ratios).unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_from_the_cost_of_one() {
        assert_eq!(needed(1.0, 3.0, 1.2), Some(40));
        assert_eq!(needed(0.9, 2.9, 1.2), Some(60), "a faster build needs more");
        assert_eq!(needed(1.3, 3.3, 1.2), None, "it is slower already");
        assert_eq!(needed(1.0, 1.0, 1.2), None, "steps cost nothing");
        assert_eq!(needed(1.0, 0.9, 1.2), None);
    }
}
