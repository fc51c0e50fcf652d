//! Where a series of measurements changes: E-divisive means with t-tests, as
//! [Hunter](https://arxiv.org/abs/2301.03034) and [Apache Otava](https://github.com/apache/otava/blob/master/docs/MATH.md)
//! find it. The same series gives the same answer, since nothing in it is random.
//!
//! 1. Split: of all ways to cut a series into `X` and a `Y` behind it, take the one whose parts differ most
//!    by the divergence Q̂ of [Matteson and James](https://arxiv.org/abs/1306.4933). If t-tests do not
//!    exclude that they are the same, there is no change; otherwise look at both sides of the cut in the same way.
//! 2. Merge: as long as a cut is not significant between its two neighbours, or is too small to matter, take
//!    out the weakest and look at its neighbours again.

use statrs::function::beta::checked_beta_reg;

/// The fewest runs that a level must last to be one: a slow night or two are none. Two would be enough for
/// Q̂, which has the mean distance within each part.
pub const MIN_RUNS: usize = 3;
/// A change that is as probable as this without any cause is none, as Otava has it. The cut is the best of
/// many, so that this is not how often noise is taken for a change: of series of 400 runs with nothing but normal
/// noise of 1 %, about what a p10 has, one in 300 has a change; with 2 %, one in sixteen.
pub const MAX_P: f64 = 0.001;
/// How much weaker a cut may be while others are still looked for, as Otava has it: what hides a change
/// on one side of it may go when the other side has been cut.
const WEAK: f64 = 10.0;
/// The smallest change that matters, as a part of the value before. When the same build is measured twice, its p10
/// differs by up to 1.2 %, also with other programs on the machine.
pub const MIN_CHANGE: f64 = 0.02;

/// A change of level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// The first value of the new level, by its position; never 0.
    pub at: usize,
    /// The mean from the change before to this one, in the unit of the values.
    pub before: f64,
    /// The mean from this change to the next one.
    pub after: f64,
    /// How probable a difference as large as this is without any cause, 0 to 1.
    pub p: f64,
}

impl ChangePoint {
    /// How much more it is than before, as a part of that: 0.1 for 10 % more. Infinite where there was
    /// nothing before.
    pub fn relative(&self) -> f64 {
        (self.after - self.before) / self.before
    }
}

/// The changes of level in a series, in its order. The values are finite. Takes time in the square of their
/// number, and as often as there are changes.
pub fn change_points(values: &[f64]) -> Vec<ChangePoint> {
    let mut cuts = Vec::new();
    split(values, 0, &mut cuts);
    cuts.sort_unstable();
    merge(values, cuts)
}

/// Adds the cuts within `values`, the first of which has the position `offset`.
fn split(values: &[f64], offset: usize, cuts: &mut Vec<usize>) {
    let Some(Candidate { at, end }) = candidate(values) else { return };
    let (before, rest) = values.split_at(at);
    let after = rest.get(..end - at).unwrap_or(rest);
    if p_value(Level::of(before), Level::of(after)) < MAX_P * WEAK {
        cuts.push(offset + at);
        split(before, offset, cuts);
        split(rest, offset + at, cuts);
    }
}

/// The `X` before the position `at` and the `Y` from there to `end` that differ most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    at: usize,
    end: usize,
}

/// With `D(a, b)` as the sum of all distances between two of the values from `a` to `b`, the distances between
/// the values before and behind a cut add up to `D(0, end) - D(0, at) - D(at, end)`. One more value adds its
/// distances to all others, so that every `D` is known in the square of the length.
fn candidate(values: &[f64]) -> Option<Candidate> {
    let mut best = (0.0, None);
    // `D(0, b)` by `b`, and `D(a, end)` by `a`.
    let (mut left, mut right) = (vec![0.0], vec![0.0; values.len()]);
    for (last, value) in values.iter().enumerate() {
        let mut distances = 0.0;
        for (other, sum) in values.iter().zip(&mut right).take(last).rev() {
            distances += (other - value).abs();
            *sum += distances;
        }
        let whole = right.first().copied().unwrap_or_default();
        left.push(whole);
        let end = last + 1;
        let sums = left.iter().zip(&right).enumerate();
        for (at, (before, after)) in sums.take((end + 1).saturating_sub(MIN_RUNS)).skip(MIN_RUNS) {
            let q = divergence((*before, at), (*after, end - at), whole - before - after);
            if q > best.0 {
                best = (q, Some(Candidate { at, end }));
            }
        }
    }
    best.1
}

/// Q̂ with α = 1: `nm / (n + m)` times twice the mean distance between the parts, less the mean distances
/// within each. A part is the sum of the distances within it, and how many values it has, two at least.
fn divergence((left, n): (f64, usize), (right, m): (f64, usize), between: f64) -> f64 {
    let (n, m) = (n as f64, m as f64);
    let within = |sum: f64, n: f64| 2.0 * sum / (n * (n - 1.0));
    n * m / (n + m) * (2.0 * between / (n * m) - within(left, n) - within(right, m))
}

/// What a t-test must know of some values.
#[derive(Debug, Clone, Copy)]
struct Level {
    count: usize,
    mean: f64,
    /// The sum of the squared distances from the mean.
    squares: f64,
}

impl Level {
    fn of(values: &[f64]) -> Self {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self { count: values.len(), mean, squares }
    }
}

/// How probable it is that two levels with equal means differ as much as these: the larger value of two t-tests,
/// two-sided. Student's has one variance for both levels, so that a short one with a few wild values borrows
/// the calm of a long one; Welch's has one for each, so that a short one whose values are close by chance
/// seems exact. 1 if one of the levels is too short to be one.
fn p_value(before: Level, after: Level) -> f64 {
    if before.count.min(after.count) < MIN_RUNS {
        return 1.0;
    }
    let (n, m) = (before.count as f64, after.count as f64);
    let difference = (after.mean - before.mean).powi(2);
    let freedom = n + m - 2.0;
    let common = (before.squares + after.squares) / freedom * (1.0 / n + 1.0 / m);
    let (of_before, of_after) = (before.squares / (n - 1.0) / n, after.squares / (m - 1.0) / m);
    let own = of_before + of_after;
    // By Welch and Satterthwaite.
    let own_freedom = own.powi(2) / (of_before.powi(2) / (n - 1.0) + of_after.powi(2) / (m - 1.0));
    two_sided(difference, common, freedom).max(two_sided(difference, own, own_freedom))
}

/// How probable it is that two means differ as much as this, squared, with this variance of the difference.
fn two_sided(difference: f64, variance: f64, freedom: f64) -> f64 {
    if variance > 0.0 {
        // P(|T| > t) = I(v / (v + t²); v / 2, 1 / 2), Abramowitz and Stegun 26.5.27.
        let x = freedom / (freedom + difference / variance);
        checked_beta_reg(freedom / 2.0, 0.5, x).unwrap_or(1.0)
    } else if difference > 0.0 {
        0.0
    } else {
        1.0
    }
}

/// What of the cuts is left after all that is weak was taken out, the weakest first: the least significant,
/// and among significant ones the smallest.
fn merge(values: &[f64], mut cuts: Vec<usize>) -> Vec<ChangePoint> {
    loop {
        let points = measured(values, &cuts);
        let by = |value: fn(&ChangePoint) -> f64| {
            move |a: &(usize, &ChangePoint), b: &(usize, &ChangePoint)| {
                value(a.1).total_cmp(&value(b.1))
            }
        };
        let all = || points.iter().enumerate();
        let unlikely = all().max_by(by(|point| point.p));
        let small = all().min_by(by(|point| point.relative().abs()));
        let insignificant = unlikely.filter(|(_, point)| point.p >= MAX_P);
        let negligible = small.filter(|(_, point)| point.relative().abs() <= MIN_CHANGE);
        match insignificant.or(negligible) {
            Some((position, _)) => drop(cuts.remove(position)),
            None => return points,
        }
    }
}

/// Each cut between its neighbours.
fn measured(values: &[f64], cuts: &[usize]) -> Vec<ChangePoint> {
    let mut points = Vec::with_capacity(cuts.len());
    let mut rest = values;
    let mut before: Option<(usize, Level)> = None;
    let ends = cuts.iter().copied().chain([values.len()]);
    let mut from = 0;
    for end in ends {
        let (level, behind) = rest.split_at(end - from);
        let level = Level::of(level);
        if let Some((at, before)) = before {
            let p = p_value(before, level);
            points.push(ChangePoint { at, before: before.mean, after: level.mean, p });
        }
        before = Some((end, level));
        (rest, from) = (behind, end);
    }
    points
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Levels with lengths, each value with noise of this standard deviation, as part of the level.
    fn noisy(seed: u64, levels: &[(f64, usize)], deviation: f64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || -> f64 {
            // The sum of twelve even draws has the variance 1, and is nearly normal.
            (0..12).map(|_| random.random_range(-0.5..0.5)).sum()
        };
        let values = levels.iter().flat_map(|&(level, length)| [level].repeat(length));
        values.map(|level| level * (1.0 + deviation * normal())).collect()
    }

    fn positions(values: &[f64]) -> Vec<usize> {
        change_points(values).iter().map(|point| point.at).collect()
    }

    /// Of so many series, in how many these changes are found within a position, and no others.
    fn found(series: u64, levels: &[(f64, usize)]) -> usize {
        let mut expected: Vec<usize> = Vec::new();
        for (_, length) in &levels[..levels.len() - 1] {
            expected.push(expected.last().unwrap_or(&0) + length);
        }
        let is_found = |seed: &u64| {
            let positions = positions(&noisy(*seed, levels, 0.02));
            positions.len() == expected.len()
                && positions.iter().zip(&expected).all(|(at, expected)| at.abs_diff(*expected) <= 1)
        };
        (0..series).filter(is_found).count()
    }

    #[test]
    fn noise_alone_hardly_ever_changes() {
        for (most, series, length, deviation) in
            [(2, 300, 60, 0.01), (2, 60, 400, 0.01), (9, 300, 60, 0.02)]
        {
            let is_changed =
                |seed: &u64| !positions(&noisy(*seed, &[(100.0, length)], deviation)).is_empty();
            let changed = (0..series).filter(is_changed).count();
            assert!(changed <= most, "{changed} of {series} with {length} runs");
        }
    }

    #[test]
    fn steps_are_found_where_they_are() {
        for (least, levels) in [
            // A step, its beginning, and the way back.
            (97, &[(100.0, 10), (110.0, 10)][..]),
            (95, &[(100.0, 40), (110.0, 7)][..]),
            (95, &[(100.0, 25), (112.0, 6), (100.0, 29)][..]),
            (95, &[(100.0, 20), (110.0, 20), (99.0, 20)][..]),
        ] {
            let found = found(100, levels);
            assert!(found >= least, "{found} of 100: {levels:?}");
        }
    }

    #[test]
    fn a_change_says_between_what_it_is() {
        let values = [[100.0].repeat(10), [103.0].repeat(5), [101.0].repeat(3)].concat();
        let expected = ChangePoint { at: 10, before: 100.0, after: 103.0, p: 0.0 };
        assert_eq!(change_points(&values[..15]), [expected]);
        // The way back is 1.94 %, which is too little, so that both levels become one.
        let points = change_points(&values);
        assert_eq!(points.len(), 1, "{points:?}");
        assert!((points[0].after - 102.25).abs() < 1e-9, "{points:?}");
        assert!((points[0].relative() - 0.0225).abs() < 1e-9);
    }

    #[test]
    fn one_slow_night_or_two_are_no_level() {
        for nights in 1..MIN_RUNS {
            let values = noisy(1, &[(100.0, 20), (150.0, nights)], 0.01);
            assert!(positions(&values).is_empty());
        }
        assert_eq!(positions(&noisy(1, &[(100.0, 20), (150.0, MIN_RUNS)], 0.01)), [20]);
    }

    #[test]
    fn significance_is_that_of_both_t_tests() {
        // The larger one of SciPy's two tests for independent samples: that of Student's test in the
        // second row, of Welch's in the others.
        for (left, right, expected) in [
            (
                &[100.0, 101.0, 99.0, 100.0][..],
                &[110.0, 111.0, 109.0, 112.0][..],
                3.312_269_095_523_571e-5,
            ),
            (&[1.0, 2.0, 3.0, 4.0, 5.0], &[2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 0.190_118_113_213_032_82),
            (&[10.1, 9.9, 10.0], &[10.4, 10.2, 9.8], 0.535_457_500_766_442_2),
            (
                &[100.0, 101.0, 99.0, 100.0, 101.0, 99.0, 100.0, 100.0],
                &[100.0, 150.0, 150.0],
                0.183_472_897_257_817_9,
            ),
        ] {
            let p = p_value(Level::of(left), Level::of(right));
            assert!((p / expected - 1.0).abs() < 1e-9, "{p} instead of {expected}");
        }
        let level = |mean| Level { count: 5, mean, squares: 0.0 };
        assert!(p_value(level(1.0), level(2.0)) < f64::MIN_POSITIVE);
        assert!(p_value(level(1.0), level(1.0)) > 0.9);
    }

    /// Q̂ as it is written.
    fn divergence_by_definition(x: &[f64], y: &[f64]) -> f64 {
        let within = |part: &[f64]| {
            let pairs = (0..part.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
            let distances: Vec<f64> = pairs.map(|(a, b)| (part[a] - part[b]).abs()).collect();
            distances.iter().sum::<f64>() / distances.len() as f64
        };
        let (n, m) = (x.len() as f64, y.len() as f64);
        let between: f64 = x.iter().flat_map(|a| y.iter().map(move |b| (a - b).abs())).sum();
        n * m / (n + m) * (2.0 / (n * m) * between - within(x) - within(y))
    }

    proptest! {
        #[test]
        fn the_candidate_is_the_best_by_definition(values in prop::collection::vec(0.0_f64..10.0, 6..16)) {
            let cuts = (0..=values.len()).flat_map(|end| (0..end).map(move |at| (at, end)));
            let long_enough = cuts.filter(|(at, end)| *at >= MIN_RUNS && end - at >= MIN_RUNS);
            let best = long_enough
                .map(|(at, end)| divergence_by_definition(&values[..at], &values[at..end]))
                .fold(0.0, f64::max);
            match candidate(&values) {
                Some(Candidate { at, end }) => {
                    let found = divergence_by_definition(&values[..at], &values[at..end]);
                    prop_assert!((found - best).abs() < 1e-9, "{found}, {best}");
                }
                None => prop_assert!(best < 1e-9, "{best}"),
            }
        }

        #[test]
        fn a_step_beyond_the_noise_is_found(
            noise in prop::collection::vec(-0.02_f64..0.02, 20),
            up in any::<bool>(),
        ) {
            let level = |at| if (at < 10) == up { 100.0 } else { 110.0 };
            let values: Vec<_> =
                noise.iter().enumerate().map(|(at, noise)| level(at) * (1.0 + noise)).collect();
            let points = change_points(&values);
            // Within a level even such noise may have a step of a little more than the smallest one.
            let step = points.iter().find(|point| point.at.abs_diff(10) <= 1);
            prop_assert!(step.is_some_and(|step| (step.relative() > 0.0) == up), "{points:?}");
        }

        #[test]
        fn what_stays_within_the_smallest_change_is_constant(
            noise in prop::collection::vec(0.0_f64..MIN_CHANGE, 0..120),
        ) {
            let values: Vec<_> = noise.iter().map(|noise| 5.0 + 5.0 * noise).collect();
            prop_assert!(positions(&values).is_empty());
        }

        #[test]
        fn the_unit_does_not_matter(
            values in prop::collection::vec(1.0_f64..2.0, 0..60),
            power in -30_i32..30,
        ) {
            // By a power of two, so that no digit is lost.
            let scale = 2.0_f64.powi(power);
            let scaled: Vec<_> = values.iter().map(|value| value * scale).collect();
            let back = change_points(&scaled).into_iter().map(|point| ChangePoint {
                before: point.before / scale,
                after: point.after / scale,
                ..point
            });
            prop_assert_eq!(change_points(&values), back.collect::<Vec<_>>());
        }

        #[test]
        fn any_series_has_an_answer(
            values in prop::collection::vec(prop_oneof![Just(0.0), -1e12_f64..1e12, 0.0_f64..1e-9], 0..40),
        ) {
            let points = change_points(&values);
            let mut ends: Vec<_> = points.iter().map(|point| point.at).collect();
            ends.insert(0, 0);
            ends.push(values.len());
            let shortest = ends.windows(2).map(|pair| pair[1] - pair[0]).min();
            prop_assert!(points.is_empty() || shortest >= Some(MIN_RUNS), "{points:?}");
            for ChangePoint { at, before, after, p } in points {
                prop_assert!(at > 0 && at < values.len());
                prop_assert!(before.is_finite() && after.is_finite());
                prop_assert!((0.0..MAX_P).contains(&p));
            }
        }
    }
}
