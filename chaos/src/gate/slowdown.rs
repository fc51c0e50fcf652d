//! How much work has to be put into the path of an acquire for it to take so many times as long: found by
//! measuring, in turn with the baseline, as the gate measures itself.

use std::path::Path;

use super::error::GateError;
use super::model::Slowdown;
use super::program::Program;
use super::statistic::median;

/// What is slowed down.
const BENCHMARK: &str = "pool/acquire/1";

/// Steps that surely cost more than the slowdowns that are asked for; more of them are tried until that is so.
const TRIAL: u32 = 400;

/// A slowdown that is off by no more than this is what was wanted.
const CLOSE: f64 = 0.01;

/// So often a better number of steps is looked for.
const TRIES: usize = 8;

/// Pairs of samples behind each ratio.
const PAIRS: usize = 9;

/// Finds how many steps make the build at `slowed` take `wanted` times as long as `base`; none if it does so by
/// itself. The first steps cost less than the later ones: a processor does them while it waits for something else.
///
/// # Errors
/// If no number of steps comes close, and if a measurement fails.
pub(super) fn find(base: &Program, slowed: &Path, wanted: f64) -> Result<Slowdown, GateError> {
    let mut known = Vec::new();
    let mut steps = 0;
    loop {
        let measured = ratio(base, &Program::slowed(slowed, steps))?;
        known.push((steps, measured));
        let best = closest(&known, wanted);
        let is_close = best.is_some_and(|(_, measured)| (measured - wanted).abs() <= CLOSE);
        let is_over = is_close || known.len() >= TRIES;
        let Some(next) = next(&known, wanted).filter(|_| !is_over) else {
            let (steps, measured) = best.unwrap_or_default();
            return accepted(Slowdown { wanted, measured, steps });
        };
        steps = next;
    }
}

/// The slowdown, if it is about the one that was wanted, or if there need not be one.
fn accepted(found: Slowdown) -> Result<Slowdown, GateError> {
    let Slowdown { wanted, measured, steps } = found;
    let by_itself = steps == 0 && measured >= wanted;
    if by_itself || (measured - wanted).abs() <= 3.0 * CLOSE {
        return Ok(found);
    }
    Err(GateError::NoSlowdown(format!(
        "{BENCHMARK} was to take {wanted:.2} times as long as the baseline; the closest was {measured:.2} times, \
         with {steps} steps of injected work"
    )))
}

/// The measured point that is closest to what is wanted.
fn closest(known: &[(u32, f64)], wanted: f64) -> Option<(u32, f64)> {
    let distance = |point: &(u32, f64)| (point.1 - wanted).abs();
    known.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// The number of steps to try next: between the two closest on both sides of what is wanted, and more than ever as
/// long as there is nothing above. `None` if there is nothing in between, or nothing below.
fn next(known: &[(u32, f64)], wanted: f64) -> Option<u32> {
    let below = known.iter().filter(|point| point.1 < wanted).max_by_key(|point| point.0)?;
    let above = known.iter().filter(|point| point.1 >= wanted && point.0 > below.0);
    let Some(above) = above.min_by_key(|point| point.0) else {
        return Some((below.0 * 2).max(TRIAL));
    };
    let share = (wanted - below.1) / (above.1 - below.1);
    let steps = f64::from(below.0) + share * f64::from(above.0 - below.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between two numbers of this type"
    )]
    let steps = steps.round() as u32;
    (below.0 + 1 < above.0).then(|| steps.clamp(below.0 + 1, above.0 - 1))
}

/// How many times as long `head` takes, by the tenth percentile.
fn ratio(base: &Program, head: &Program) -> Result<f64, GateError> {
    let mut ratios = Vec::new();
    for pair in 0..PAIRS {
        let (base, head) = if pair & 1 == 0 {
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

    /// Where a search ends if so many steps take so many times as long.
    fn search(cost: impl Fn(u32) -> f64, wanted: f64) -> Option<(u32, f64)> {
        let mut known = vec![(0, cost(0))];
        while let Some(steps) = next(&known, wanted).filter(|_| known.len() < TRIES) {
            known.push((steps, cost(steps)));
        }
        closest(&known, wanted)
    }

    #[test]
    fn steps_are_found_although_the_first_cost_nothing() {
        let hidden = |steps: u32| 1.0 + (f64::from(steps) - 20.0).max(0.0) * 0.005;
        for wanted in [1.05, 1.2, 2.0, 4.0] {
            let (_, measured) = search(hidden, wanted).unwrap();
            assert!((measured - wanted).abs() <= CLOSE, "{measured} for {wanted}");
        }
    }

    #[test]
    fn a_build_that_is_slower_by_itself_needs_no_steps() {
        assert_eq!(next(&[(0, 1.3)], 1.2), None);
        assert!(accepted(Slowdown { wanted: 1.2, measured: 1.3, steps: 0 }).is_ok());
    }

    #[test]
    fn a_slowdown_that_is_not_the_one_that_was_wanted_is_refused() {
        let found = Slowdown { wanted: 1.2, measured: 1.3, steps: 7 };
        let error = accepted(found).unwrap_err().to_string();
        assert!(error.contains("was to take 1.20 times"), "{error}");
        assert!(accepted(Slowdown { measured: 1.21, ..found }).is_ok());
    }

    #[test]
    fn neighbours_end_the_search() {
        assert_eq!(next(&[(0, 1.0), (1, 1.5)], 1.2), None);
        assert_eq!(next(&[(0, 1.0)], 1.2), Some(TRIAL));
        assert_eq!(next(&[(0, 1.0), (400, 1.1)], 1.2), Some(800));
    }
}
