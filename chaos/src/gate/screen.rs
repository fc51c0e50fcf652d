//! The screen: one run of every benchmark, held against the stored baseline. It acquits; it never convicts.
//! No clock, no I/O.
//!
//! With `m` for a mean, `c` for a calibration and `'` for the baseline, the change is
//! `l = ln(m / m') - ln(c / c')`: how much longer it takes, less how much slower the machine has become. The
//! calibration runs right before and right after the benchmark.

use serde::{Deserialize, Serialize};

/// Calibrations before and after a benchmark that are further apart say that the machine changed meanwhile.
pub(super) const MAX_DRIFT: f64 = 0.05;

/// A baseline whose own runs scatter more than this, in logarithms, acquits nobody.
const MAX_TAU: f64 = 0.03;

/// What one run of a benchmark showed, in nanoseconds an iteration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The mean.
    pub mean: f64,
    /// The standard error of the mean.
    pub standard_error: f64,
    /// The median.
    pub median: f64,
    /// The tenth percentile.
    pub p10: f64,
    /// How many samples there were.
    pub samples: usize,
    /// What the calibration took before it, in nanoseconds.
    pub calibration_before: f64,
    /// What the calibration took after it, in nanoseconds.
    pub calibration_after: f64,
}

impl Reading {
    /// The calibration's middle.
    pub fn calibration(&self) -> f64 {
        (self.calibration_before * self.calibration_after).sqrt()
    }

    /// How much the machine changed meanwhile, as a share.
    pub fn drift(&self) -> f64 {
        (self.calibration_after / self.calibration_before).ln().abs()
    }
}

/// What a baseline says of a benchmark: the middle of several runs, in nanoseconds an iteration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// The mean.
    pub mean: f64,
    /// The standard error of the mean within a run.
    pub standard_error: f64,
    /// The median.
    pub median: f64,
    /// The tenth percentile.
    pub p10: f64,
    /// How many samples a run had.
    pub samples: usize,
    /// What the calibration took, in nanoseconds.
    pub calibration: f64,
    /// How far the runs scatter, each with its own calibration taken into account, in logarithms.
    pub tau: f64,
    /// How many runs it is made of.
    pub runs: usize,
    /// How many instructions an iteration takes; `None` where nothing could count them.
    pub instructions: Option<f64>,
}

/// What the screen says of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Screening {
    /// How many times as long it takes, the machine's own change taken out; `None` without a baseline.
    pub ratio: Option<f64>,
    /// The standard error of the ratio's logarithm; `None` without a baseline.
    pub sigma: Option<f64>,
    /// What follows.
    pub finding: Finding,
}

/// Whether a benchmark must be proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It is not slower.
    Fine,
    /// It seems slower.
    Slower,
    /// The baseline's own runs scatter too much.
    UnsteadyBaseline,
    /// The machine changed during the measurement.
    UnsteadyMachine,
    /// There is no baseline of this class of machine to hold it against.
    NoBaseline,
}

impl Finding {
    /// Whether that calls for a proof.
    pub fn is_suspect(self) -> bool {
        self != Self::Fine
    }
}

impl Screening {
    /// There is nothing to hold a benchmark against.
    pub const UNKNOWN: Self = Self { ratio: None, sigma: None, finding: Finding::NoBaseline };

    /// Holds a reading against the baseline; beyond `limit`, such as 1.10, it is suspect.
    pub fn of(stored: &Stored, head: &Reading, limit: f64) -> Self {
        let machine = (head.calibration() / stored.calibration).ln();
        let change = (head.mean / stored.mean).ln() - machine;
        // Half of what the two calibrations differ by is how far their middle may be off.
        let sigma = [
            head.standard_error / head.mean,
            stored.standard_error / stored.mean,
            stored.tau,
            head.drift() / 2.0,
        ];
        let finding = if head.drift() > MAX_DRIFT {
            Finding::UnsteadyMachine
        } else if stored.tau > MAX_TAU {
            Finding::UnsteadyBaseline
        } else if change > limit.ln() {
            Finding::Slower
        } else if change.is_finite() {
            Finding::Fine
        } else {
            Finding::UnsteadyMachine
        };
        Self {
            ratio: Some(change.exp()),
            sigma: Some(sigma.iter().map(|part| part * part).sum::<f64>().sqrt()),
            finding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: Stored = Stored {
        mean: 200.0,
        standard_error: 1.0,
        median: 198.0,
        p10: 190.0,
        samples: 50,
        calibration: 1000.0,
        tau: 0.01,
        runs: 8,
        instructions: Some(900.0),
    };
    const READING: Reading = Reading {
        mean: 200.0,
        standard_error: 1.0,
        median: 198.0,
        p10: 190.0,
        samples: 50,
        calibration_before: 1000.0,
        calibration_after: 1000.0,
    };

    fn finding(stored: &Stored, head: &Reading) -> Finding {
        Screening::of(stored, head, 1.10).finding
    }

    #[test]
    fn what_is_slower_is_suspect_and_what_is_not_is_fine() {
        for (mean, expected) in [
            (100.0, Finding::Fine),
            (200.0, Finding::Fine),
            (219.0, Finding::Fine),
            (221.0, Finding::Slower),
            (f64::NAN, Finding::UnsteadyMachine),
        ] {
            assert_eq!(finding(&STORED, &Reading { mean, ..READING }), expected, "{mean}");
        }
    }

    #[test]
    fn a_slower_machine_is_no_slower_code() {
        let slow = Reading {
            mean: 300.0,
            calibration_before: 1500.0,
            calibration_after: 1500.0,
            ..READING
        };
        assert_eq!(finding(&STORED, &slow), Finding::Fine);
        let fast = Reading { calibration_before: 800.0, calibration_after: 800.0, ..READING };
        assert_eq!(finding(&STORED, &fast), Finding::Slower, "a faster machine hides nothing");
    }

    #[test]
    fn what_cannot_be_relied_on_acquits_nobody() {
        let drifted = Reading { calibration_after: 1060.0, ..READING };
        assert_eq!(finding(&STORED, &drifted), Finding::UnsteadyMachine);
        let scattered = Stored { tau: 0.031, ..STORED };
        assert_eq!(finding(&scattered, &READING), Finding::UnsteadyBaseline);
        assert!(Screening::UNKNOWN.finding.is_suspect());
    }

    #[test]
    fn the_error_has_all_of_its_parts() {
        let sigma = Screening::of(&STORED, &READING, 1.10).sigma.unwrap();
        assert!((sigma - (2.0 * 0.005_f64.powi(2) + 0.01_f64.powi(2)).sqrt()).abs() < 1e-12);
    }
}
