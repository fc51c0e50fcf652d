//! The measurements of the gate's last run: of its report, what the trend needs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::super::model::{Measurement, SCHEMA};
use super::history::{Row, RowError};
use crate::report::number::whole;

/// Why the gate's report could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no report.
    #[error(
        "there is no report of a gate at {}; run `scenarios gate` first, or name one with --report",
        path.display()
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no report of a gate.
    #[error("{} is no report of a gate: {source}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// It is a report of another version of this program.
    #[error(
        "{} has the schema {found:?}, and this version reads {SCHEMA:?}; run `scenarios gate` again",
        path.display()
    )]
    OtherSchema {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// A measurement is none.
    #[error("{} cannot become history: {source}; run `scenarios gate` again", path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: RowError,
    },
}

#[derive(Deserialize)]
struct Head {
    schema: String,
}

#[derive(Deserialize)]
struct Report {
    started_at: DateTime<Utc>,
    revision: String,
    class: String,
    measurements: Vec<Measurement>,
}

/// Reads the report of a gate, as rows for the history.
pub fn read(path: &Path) -> Result<Vec<Row>, RunError> {
    let text = fs::read_to_string(path).map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            RunError::Missing { path: path.to_owned() }
        } else {
            RunError::Io { path: path.to_owned(), source }
        }
    })?;
    let malformed = |source| RunError::Malformed { path: path.to_owned(), source };
    // A report of another version may have other fields: the version comes first.
    let Head { schema } = serde_json::from_str(&text).map_err(malformed)?;
    if schema != SCHEMA {
        return Err(RunError::OtherSchema { path: path.to_owned(), found: schema });
    }
    let Report { started_at, revision, class, measurements } =
        serde_json::from_str(&text).map_err(malformed)?;
    let row = |measurement| {
        let Measurement { benchmark, unit, mean, median, p10, instructions } = measurement;
        Row {
            started_at,
            revision: revision.clone(),
            class: class.clone(),
            benchmark,
            unit,
            mean,
            median,
            p10,
            instructions: instructions.map(whole),
        }
        .checked()
    };
    let rows: Result<_, _> = measurements.into_iter().map(row).collect();
    rows.map_err(|source| RunError::Unfit { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::sample;
    use super::*;

    fn report() -> Value {
        json!({
            "schema": SCHEMA,
            "started_at": "2026-11-22T03:00:11.250+01:00",
            "revision": "3f2a91c0",
            "class": "x86_64-somewhere",
            "verdict": "pass",
            "measurements": [
                { "benchmark": "pool/acquire/1", "unit": "ns", "mean": 130.0, "median": 127.5, "p10": 121.0,
                  "instructions": 1233.8, "samples": 100 },
                { "benchmark": "embed/long", "unit": "ns", "mean": 2e6, "median": 2e6, "p10": 1.9e6,
                  "instructions": null },
            ],
        })
    }

    fn read_text(text: &str) -> Result<Vec<Row>, RunError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn a_report_becomes_a_row_for_each_benchmark() {
        let rows = read_text(&report().to_string()).unwrap();
        let expected = Row {
            started_at: "2026-11-22T02:00:11.250Z".parse().unwrap(),
            revision: "3f2a91c0".to_owned(),
            class: "x86_64-somewhere".to_owned(),
            benchmark: "pool/acquire/1".to_owned(),
            unit: "ns".to_owned(),
            mean: 130.0,
            median: 127.5,
            p10: 121.0,
            instructions: Some(1_234),
        };
        assert_eq!(rows[0], expected);
        assert_eq!((rows.len(), rows[1].instructions), (2, None));
    }

    #[test]
    fn what_the_gate_writes_is_read() {
        let report = sample::report();
        let rows = read_text(&serde_json::to_string(&report).unwrap()).unwrap();
        let names: Vec<_> = rows.iter().map(|row| row.benchmark.clone()).collect();
        let measured = report.measurements.iter().map(|measured| measured.benchmark.clone());
        assert_eq!(names, measured.collect::<Vec<_>>());
        assert_eq!(rows[0].revision, report.revision);
    }

    #[test]
    fn what_is_no_report_is_refused_with_its_reason() {
        let changed = |pointer: &str, value: Value| {
            let mut report = report();
            *report.pointer_mut(pointer).unwrap() = value;
            read_text(&report.to_string()).unwrap_err().to_string()
        };
        for (error, told) in [
            (changed("/schema", json!("gate-report/v2")), "has the schema \"gate-report/v2\", and"),
            (changed("/started_at", json!("yesterday")), "is no report of a gate: "),
            (changed("/measurements/0/p10", json!(-1)), "the p10 of `pool/acquire/1` is -1"),
            (changed("/measurements/1/benchmark", json!("a\nb")), "the benchmark is \"a\\nb\""),
            (changed("/class", json!("")), "the class is \"\""),
        ] {
            assert!(error.contains(told), "{error}");
        }
        let missing = read(Path::new("nowhere/report.json")).unwrap_err();
        assert!(matches!(missing, RunError::Missing { .. }));
        assert!(missing.to_string().contains("run `scenarios gate` first"), "{missing}");
    }
}
