//! The program that holds the benchmarks, one process for each measurement. Where memory lies differs from
//! process to process, and with it how fast code runs; so no arm of a comparison keeps its luck.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::criterion;
use super::error::GateError;
use super::proof::Figures;
use super::repository::said;
use super::screen::Reading;
use super::statistic::{mean, quantile};

/// How long a sample of one round is taken, in milliseconds.
const SAMPLE_MS: u32 = 30;

/// The share of slices that are faster than the figure that noise moves least.
pub(super) const FAST: f64 = 0.1;

/// A build's benchmarks.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    /// Steps of the injected slowdown, in a build that has one.
    slowness: Option<u32>,
}

/// A benchmark.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Benchmark {
    /// Its name, such as `pool/acquire/8`.
    pub(super) name: String,
    /// What the machine's own speed is measured with for it, such as `cpu`.
    pub(super) calibration: String,
}

#[derive(Debug, Deserialize)]
struct Slices {
    slices_ns: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct Calibration {
    median_ns: f64,
}

#[derive(Debug, Deserialize)]
struct Iterations {
    iterations: u64,
}

impl Program {
    /// A build as it is.
    pub(super) fn plain(path: &Path) -> Self {
        Self { path: path.to_owned(), slowness: None }
    }

    /// A build with the injected slowdown, of so many steps.
    pub(super) fn slowed(path: &Path, steps: u32) -> Self {
        Self { path: path.to_owned(), slowness: Some(steps) }
    }

    /// Its benchmarks.
    pub(super) fn list(&self) -> Result<Vec<Benchmark>, GateError> {
        let text = said(self.command().arg("list"))?;
        text.lines().map(|line| self.understood(line)).collect()
    }

    /// One round's sample of a benchmark.
    pub(super) fn sample(&self, benchmark: &str) -> Result<Figures, GateError> {
        let time = SAMPLE_MS.to_string();
        let Slices { slices_ns } =
            self.asked(self.command().args(["sample", benchmark, "--time-ms", &time]))?;
        match (quantile(&slices_ns, FAST), mean(&slices_ns)) {
            (Some(p10), Some(mean)) if p10 > 0.0 => Ok(Figures { p10, mean }),
            _ => Err(self.nonsense(format!("{benchmark} took no time that could be measured"))),
        }
    }

    /// How long the fixed work of a calibration takes, in nanoseconds.
    pub(super) fn calibrate(&self, calibration: &str) -> Result<f64, GateError> {
        let asked = self.asked::<Calibration>(self.command().args(["calibrate", calibration]))?;
        if asked.median_ns > 0.0 {
            Ok(asked.median_ns)
        } else {
            Err(self.nonsense(format!("the calibration {calibration} took no time")))
        }
    }

    /// A full run of a benchmark by criterion, with the calibration before and after it.
    pub(super) fn read(&self, benchmark: &Benchmark) -> Result<Reading, GateError> {
        let home =
            tempfile::tempdir().map_err(|source| GateError::io(&std::env::temp_dir(), source))?;
        let calibration_before = self.calibrate(&benchmark.calibration)?;
        let mut command = self.command();
        said(
            command
                .args(["--bench", "--exact", &benchmark.name])
                .env("CRITERION_HOME", home.path()),
        )?;
        let calibration_after = self.calibrate(&benchmark.calibration)?;
        let measured = criterion::read(home.path(), &benchmark.name)?;
        Ok(Reading {
            mean: measured.mean,
            standard_error: measured.standard_error,
            median: measured.median,
            p10: measured.p10,
            samples: measured.samples,
            calibration_before,
            calibration_after,
        })
    }

    /// Runs a benchmark under `valgrind` with these arguments, and says how many iterations it counted.
    pub(super) fn count(
        &self,
        benchmark: &str,
        valgrind: &str,
        arguments: &[String],
    ) -> Result<u64, GateError> {
        let mut command = Command::new(valgrind);
        command.args(arguments).arg(&self.path).args(self.switches()).args(["count", benchmark]);
        let text = said(&mut command)?;
        let Iterations { iterations } = self.understood(&text)?;
        Ok(iterations)
    }

    fn switches(&self) -> Vec<String> {
        self.slowness
            .map_or_else(Vec::new, |steps| vec!["--slowness".to_owned(), steps.to_string()])
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(self.switches());
        command
    }

    fn asked<T: DeserializeOwned>(&self, command: &mut Command) -> Result<T, GateError> {
        self.understood(&said(command)?)
    }

    fn understood<T: DeserializeOwned>(&self, text: &str) -> Result<T, GateError> {
        serde_json::from_str(text).map_err(|error| self.nonsense(format!("{error} in {text:?}")))
    }

    fn nonsense(&self, reason: String) -> GateError {
        GateError::NotUnderstood { what: format!("what {} says", self.path.display()), reason }
    }
}
