//! The proof: two builds measured in turn on the same machine in the same minutes, and a third arm that is
//! the first one again. No clock, no I/O: rounds in, decision out.
//!
//! The bounds are those of a sign test, which takes nothing for granted but that under "no change" every
//! round is as likely to favour the one build as the other. Arms change their order from round to round, so
//! that a machine that gets slower favours neither.

use serde::{Deserialize, Serialize};

use super::statistic::{median, sign_bounds};

/// The chance of a false alarm over everything that a run proves, at a true change of exactly the limit.
const ALPHA: f64 = 0.01;

/// The error of the control's interval. It does not depend on how many benchmarks there are: it says how
/// noisy the machine is, not who is guilty.
const CONTROL_ALPHA: f64 = 0.01;

/// What one arm showed in one round, in nanoseconds an iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// The tenth percentile of its slices: what the code takes when nothing gets in its way.
    pub p10: f64,
    /// The mean over all slices.
    pub mean: f64,
}

/// One round: every arm once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// The build of the baseline.
    pub base: Figures,
    /// The same build again.
    pub control: Figures,
    /// The build in question.
    pub head: Figures,
}

/// What a proof must show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// The ratio of the means beyond which it is a regression, such as 1.10.
    limit: f64,
    /// The chance of a false alarm over all looks.
    alpha: f64,
    /// After how many rounds there is a look at what they show. Each look has an equal part of the error.
    looks: &'static [usize],
    /// Beyond this shift, in logarithms, an arm that is measured against itself shows that nothing can be said.
    max_control_shift: f64,
    /// With a wider interval, in logarithms, the same.
    max_control_width: f64,
}

impl Rules {
    /// For a benchmark, one of `suspects` that are proven in this run.
    pub fn benchmark(limit: f64, suspects: usize) -> Self {
        Self {
            limit,
            alpha: ALPHA / suspects.max(1) as f64,
            looks: &[15, 30, 60],
            max_control_shift: 0.02,
            max_control_width: 0.08,
        }
    }

    /// For an objective of a scenario, one of `suspects`. A round takes as long as three runs of the scenario, so
    /// there are few of them; and a database is never as steady as a loop: medians of runs scatter by up to 6 % on a quiet
    /// machine, so that the ratios of nine rounds lie in an interval of up to 40 % and their middle is off by a few percent.
    pub fn objective(limit: f64, suspects: usize) -> Self {
        Self {
            limit,
            alpha: ALPHA / suspects.max(1) as f64,
            looks: &[9, 12],
            max_control_shift: 0.10,
            max_control_width: 0.50,
        }
    }

    /// After how many rounds the first look is.
    pub fn first_look(&self) -> usize {
        self.looks.first().copied().unwrap_or_default()
    }
}

/// A ratio with the bounds between which it lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The median over the rounds.
    pub ratio: f64,
    /// The bound from below; 0 if there are too few rounds for one.
    pub low: f64,
    /// The bound from above; `None` if there are too few rounds for one.
    pub high: Option<f64>,
}

/// What the rounds so far show.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// How many rounds there were.
    pub rounds: usize,
    /// The ratio of the tenth percentiles, head to base.
    pub p10: Estimate,
    /// The ratio of the means.
    pub mean: Estimate,
    /// The ratio of the tenth percentiles, base to itself.
    pub control: Estimate,
    /// Whether means are too noisy here for a slowdown of the tail alone to be seen.
    pub blind_to_tail: bool,
    /// What follows.
    pub outcome: Outcome,
}

/// What a proof comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The mean is beyond the limit.
    Slower,
    /// Nothing says that it is.
    NotSlower,
    /// The machine was too noisy.
    Noisy,
    /// The estimate is beyond the limit, its lower bound is not.
    Unproven,
}

impl Proof {
    /// Judges these rounds. Of none at all nothing can be said.
    pub fn of(rounds: &[Round], rules: Rules) -> Self {
        let alpha = rules.alpha / rules.looks.len() as f64;
        let ratio = |of: fn(&Round) -> f64, alpha| Estimate::of(rounds.iter().map(of), alpha);
        let p10 = ratio(|round| ln_ratio(round.head.p10, round.base.p10), alpha);
        let mean = ratio(|round| ln_ratio(round.head.mean, round.base.mean), alpha);
        let control = ratio(|round| ln_ratio(round.control.p10, round.base.p10), CONTROL_ALPHA);
        let control_mean =
            ratio(|round| ln_ratio(round.control.mean, round.base.mean), CONTROL_ALPHA);
        let blind_to_tail = !control_mean.is_steady(rules);
        let outcome = if control.is_steady(rules) {
            outcome(p10, mean, blind_to_tail, rules.limit)
        } else {
            Outcome::Noisy
        };
        Self { rounds: rounds.len(), p10, mean, control, blind_to_tail, outcome }
    }

    /// After how many rounds to look again, if more of them may settle it.
    pub fn next_look(&self, rules: Rules) -> Option<usize> {
        match self.outcome {
            Outcome::Slower | Outcome::NotSlower => None,
            Outcome::Noisy | Outcome::Unproven => {
                rules.looks.iter().copied().find(|&look| look > self.rounds)
            }
        }
    }
}

fn outcome(p10: Estimate, mean: Estimate, blind_to_tail: bool, limit: f64) -> Outcome {
    // The tenth percentile survives load that no mean survives; so where it is proven, that the mean is
    // beyond the limit as well need only be its estimate.
    if mean.low > limit || (p10.low > limit && mean.ratio > limit) {
        return Outcome::Slower;
    }
    let p10_points = p10.ratio > limit && (mean.ratio > limit || blind_to_tail);
    let mean_points = mean.ratio > limit && !blind_to_tail;
    if p10_points || mean_points { Outcome::Unproven } else { Outcome::NotSlower }
}

fn ln_ratio(of: f64, to: f64) -> f64 {
    (of / to).ln()
}

impl Estimate {
    /// Of logarithms of ratios.
    fn of(logarithms: impl Iterator<Item = f64>, alpha: f64) -> Self {
        let values: Vec<f64> = logarithms.collect();
        let bounds = sign_bounds(&values, alpha);
        Self {
            // Of nothing it is beyond every limit, and unproven.
            ratio: median(&values).map_or(f64::MAX, f64::exp),
            low: bounds.map_or(0.0, |(low, _)| low.exp()),
            high: bounds.map(|(_, high)| high.exp()),
        }
    }

    /// Whether an arm that is measured against itself shows that this machine can tell.
    fn is_steady(self, rules: Rules) -> bool {
        let width = self.high.map_or(f64::INFINITY, |high| (high / self.low).ln());
        self.ratio.ln().abs() <= rules.max_control_shift && width <= rules.max_control_width
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rounds in which the head takes `p10` and `mean` times as long; `noise` moves every value of the
    /// arms by up to that share, in a fixed pattern.
    fn rounds(count: usize, p10: f64, mean: f64, noise: f64) -> Vec<Round> {
        let moved =
            |value: f64, at: usize| value * (1.0 + noise * (((at * 37) % 21) as f64 / 10.0 - 1.0));
        (0..count)
            .map(|at| Round {
                base: Figures { p10: moved(100.0, at), mean: moved(110.0, at + 5) },
                control: Figures { p10: moved(100.0, at + 9), mean: moved(110.0, at + 2) },
                head: Figures {
                    p10: moved(100.0 * p10, at + 3),
                    mean: moved(110.0 * mean, at + 7),
                },
            })
            .collect()
    }

    fn rules() -> Rules {
        Rules::benchmark(1.10, 1)
    }

    fn proof(rounds: &[Round]) -> Proof {
        Proof::of(rounds, rules())
    }

    fn outcome_of(rounds: &[Round]) -> Outcome {
        proof(rounds).outcome
    }

    #[test]
    fn a_clear_change_is_proven_and_none_is_not() {
        assert_eq!(outcome_of(&rounds(15, 1.20, 1.20, 0.01)), Outcome::Slower);
        assert_eq!(outcome_of(&rounds(15, 1.00, 1.00, 0.01)), Outcome::NotSlower);
        assert_eq!(outcome_of(&rounds(15, 1.05, 1.05, 0.01)), Outcome::NotSlower);
        assert_eq!(outcome_of(&rounds(15, 0.50, 0.50, 0.01)), Outcome::NotSlower);
    }

    #[test]
    fn a_slowdown_of_the_tail_alone_is_seen() {
        assert_eq!(outcome_of(&rounds(15, 1.00, 1.20, 0.01)), Outcome::Slower);
    }

    #[test]
    fn a_mean_within_the_limit_is_no_regression() {
        assert_eq!(outcome_of(&rounds(15, 1.20, 1.05, 0.01)), Outcome::NotSlower);
    }

    #[test]
    fn a_noisy_control_says_nothing_whatever_the_head_shows() {
        let noisy = rounds(60, 1.20, 1.20, 0.5);
        assert_eq!(outcome_of(&noisy), Outcome::Noisy);
        assert_eq!(proof(&noisy[..15]).next_look(rules()), Some(30));
        assert_eq!(proof(&noisy).next_look(rules()), None);
        let shifted: Vec<_> = rounds(15, 1.0, 1.0, 0.0)
            .into_iter()
            .map(|round| Round { control: Figures { p10: 103.0, ..round.control }, ..round })
            .collect();
        assert_eq!(outcome_of(&shifted), Outcome::Noisy);
    }

    #[test]
    fn load_that_spoils_the_means_leaves_the_tenth_percentile() {
        let loaded = |p10: f64| -> Vec<_> {
            let quiet = rounds(15, p10, p10, 0.005);
            let spoilt = rounds(15, 1.0, p10, 0.4);
            quiet
                .into_iter()
                .zip(spoilt)
                .map(|(quiet, spoilt)| Round {
                    base: Figures { mean: spoilt.base.mean, ..quiet.base },
                    control: Figures { mean: spoilt.control.mean, ..quiet.control },
                    head: Figures { mean: spoilt.head.mean, ..quiet.head },
                })
                .collect()
        };
        let unchanged = proof(&loaded(1.0));
        assert!(unchanged.blind_to_tail);
        assert_eq!(unchanged.outcome, Outcome::NotSlower);
        assert_ne!(outcome_of(&loaded(1.3)), Outcome::NotSlower);
    }

    #[test]
    fn what_is_near_the_limit_is_looked_at_again() {
        let mut near = rounds(8, 1.15, 1.15, 0.0);
        near.extend(rounds(7, 1.05, 1.05, 0.0));
        let proof = proof(&near);
        assert_eq!(proof.outcome, Outcome::Unproven);
        assert_eq!(proof.next_look(rules()), Some(30));
    }

    #[test]
    fn no_rounds_prove_nothing() {
        let proof = proof(&[]);
        assert_eq!(proof.outcome, Outcome::Noisy);
        assert_eq!(proof.next_look(rules()), Some(rules().first_look()));
    }

    proptest! {
        /// The chance of an alarm is what is promised: with a head that is exactly at the limit, all of
        /// the rounds would have to fall on one side.
        #[test]
        fn slower_means_that_rounds_agree(
            shifts in prop::collection::vec(-0.03..0.03_f64, 15),
            factor in 0.8..1.3_f64,
        ) {
            let rounds: Vec<_> = shifts
                .iter()
                .map(|shift| {
                    let base = Figures { p10: 100.0, mean: 110.0 };
                    let times = factor * (1.0 + shift);
                    let head = Figures { p10: 100.0 * times, mean: 110.0 * times };
                    Round { base, control: base, head }
                })
                .collect();
            let beyond = rounds.iter().filter(|round| round.head.p10 > 110.0).count();
            match outcome_of(&rounds) {
                Outcome::Slower => prop_assert!(beyond >= 13, "{beyond} of 15"),
                Outcome::NotSlower => prop_assert!(beyond <= 7, "{beyond} of 15"),
                Outcome::Unproven => prop_assert!((8..=14).contains(&beyond), "{beyond} of 15"),
                Outcome::Noisy => prop_assert!(false, "the control is quiet"),
            }
        }
    }
}
