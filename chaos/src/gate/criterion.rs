//! The files that criterion leaves, as far as the gate needs them: `<home>/<benchmark>/new/estimates.json` and
//! `sample.json`.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::GateError;
use super::program::FAST;
use super::statistic::quantile;

/// What criterion has measured, in nanoseconds an iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    pub(super) mean: f64,
    pub(super) standard_error: f64,
    pub(super) median: f64,
    pub(super) p10: f64,
    pub(super) samples: usize,
}

#[derive(Debug, Deserialize)]
struct Estimates {
    mean: Estimate,
    median: Estimate,
}

#[derive(Debug, Deserialize)]
struct Estimate {
    point_estimate: f64,
    standard_error: f64,
}

#[derive(Debug, Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// Reads what criterion left of this benchmark in its folder `home`.
pub(super) fn read(home: &Path, benchmark: &str) -> Result<Measured, GateError> {
    // Criterion keeps to names that every file system has: a slash becomes an underscore.
    let folder = home.join(benchmark.replace('/', "_")).join("new");
    let Estimates { mean, median } = parse(&folder.join("estimates.json"))?;
    let Sample { iters, times } = parse(&folder.join("sample.json"))?;
    let each: Vec<f64> =
        times.iter().zip(&iters).map(|(time, iterations)| time / iterations).collect();
    let p10 = quantile(&each, FAST).ok_or_else(|| GateError::NotUnderstood {
        what: folder.join("sample.json").display().to_string(),
        reason: "there is no sample in it".to_owned(),
    })?;
    Ok(Measured {
        mean: mean.point_estimate,
        standard_error: mean.standard_error,
        median: median.point_estimate,
        p10,
        samples: each.len(),
    })
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T, GateError> {
    let text = fs::read_to_string(path).map_err(|source| GateError::io(path, source))?;
    serde_json::from_str(&text).map_err(|error| GateError::NotUnderstood {
        what: path.display().to_string(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As criterion 0.8.2 writes them, with the fields that the gate does not read.
    const ESTIMATES: &str = r#"{"mean":{"confidence_interval":{"confidence_level":0.95,"lower_bound":9.9,"upper_bound":10.2},"point_estimate":10.0,"standard_error":0.1},
        "median":{"confidence_interval":{"confidence_level":0.95,"lower_bound":9.8,"upper_bound":10.0},"point_estimate":9.9,"standard_error":0.2},"slope":null}"#;
    const SAMPLE: &str =
        r#"{"sampling_mode":"Flat","iters":[10.0,10.0,20.0],"times":[100.0,90.0,240.0]}"#;

    fn files(estimates: &str, sample: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("pool_acquire_8/new");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("estimates.json"), estimates).unwrap();
        fs::write(folder.join("sample.json"), sample).unwrap();
        home
    }

    #[test]
    fn what_criterion_measured_is_read() {
        let home = files(ESTIMATES, SAMPLE);
        let measured = read(home.path(), "pool/acquire/8").unwrap();
        assert_eq!((measured.mean, measured.standard_error), (10.0, 0.1));
        assert_eq!((measured.median, measured.samples), (9.9, 3));
        assert!((measured.p10 - 9.2).abs() < 1e-9, "a tenth of the way from 9 over 10 to 12");
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        let home = files(ESTIMATES, r#"{"iters":[],"times":[]}"#);
        let said = |benchmark: &str| read(home.path(), benchmark).unwrap_err().to_string();
        assert!(said("pool/acquire/8").contains("sample.json cannot be understood"));
        assert!(said("pool/other").contains("pool_other/new/estimates.json"));
        let home = files("{}", SAMPLE);
        let error = read(home.path(), "pool/acquire/8").unwrap_err().to_string();
        assert!(error.contains("missing field `mean`"), "{error}");
    }
}
