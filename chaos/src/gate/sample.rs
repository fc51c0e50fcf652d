//! A baseline and reports for tests.

use super::baseline::{self, Baseline, Kind, StoredObjective};
use super::class::Class;
use super::instructions::Instructions;
use super::model::{
    Against, GateReport, Measurement, Presence, Row, SCHEMA, Skipped, Slowdown, Verdict, fold,
};
use super::proof::{Estimate, Outcome, Proof};
use super::screen::{Finding, Screening, Stored};

const REVISION: &str = "1f4afcb42ba06d0c5a9b6f7f3f1c0b9c8d7e6f50";

pub(crate) fn class() -> Class {
    Class {
        arch: "x86_64".to_owned(),
        cpu: "AMD EPYC".to_owned(),
        cores: 2,
        rustc: "1.95".to_owned(),
        profile: "0123abcd".to_owned(),
    }
}

pub(crate) fn baseline() -> Baseline {
    let stored = Stored {
        mean: 212.5,
        standard_error: 0.4,
        median: 211.0,
        p10: 208.0,
        samples: 50,
        calibration: 1000.0,
        tau: 0.006,
        runs: baseline::MIN_RUNS,
        instructions: Some(912.0),
    };
    let objective = StoredObjective { seconds: 0.012, tau: 0.05, runs: 8 };
    let objectives = [("database-paths: reads.latency.p50 in steady".to_owned(), objective)];
    Baseline {
        schema: baseline::SCHEMA.to_owned(),
        class: class(),
        kernel: "6.1.0".to_owned(),
        revision: REVISION.to_owned(),
        tree: "0b9c8d7e6f501f4afcb42ba06d0c5a9b6f7f3f1c".to_owned(),
        accepted_at: "2026-11-21T10:00:00Z".to_owned(),
        benchmarks: [("pool/acquire/1".to_owned(), stored)].into(),
        objectives: [("process".to_owned(), objectives.into())].into(),
    }
}

fn screening(ratio: f64, finding: Finding) -> Screening {
    Screening { ratio: Some(ratio), sigma: Some(0.01), finding }
}

fn proof(ratio: f64, outcome: Outcome) -> Proof {
    let estimate = |ratio: f64| Estimate { ratio, low: ratio - 0.012, high: Some(ratio + 0.015) };
    Proof {
        rounds: 15,
        p10: estimate(ratio),
        mean: estimate(ratio + 0.01),
        control: Estimate { ratio: 1.001, low: 0.93, high: Some(1.04) },
        blind_to_tail: false,
        outcome,
    }
}

/// With every kind of verdict.
pub(crate) fn report() -> GateReport {
    let row = |name: &str| Row::new(name, Some(Kind::Rolling), 1.10, Presence::Both);
    let counts = |head| Some(Instructions::of(912.0, head, 1.10));
    let rows = vec![
        Row {
            screening: Some(screening(1.21, Finding::Slower)),
            proof: Some(proof(1.204, Outcome::Slower)),
            instructions: counts(941.0),
            ..row("pool/acquire/1")
        },
        Row {
            screening: Some(screening(1.004, Finding::Fine)),
            instructions: counts(912.0),
            ..row("pool/health")
        },
        Row {
            screening: Some(screening(1.12, Finding::UnsteadyMachine)),
            proof: Some(proof(1.01, Outcome::Noisy)),
            ..row("index/chunk")
        },
        Row {
            screening: Some(screening(1.2, Finding::Slower)),
            proof: Some(proof(1.02, Outcome::NotSlower)),
            against: Some(Kind::Anchor),
            limit: 1.25,
            ..row("index/chunk")
        },
        Row::new("pool/new", Some(Kind::Rolling), 1.10, Presence::New),
        Row::new("pool/old", Some(Kind::Rolling), 1.10, Presence::Gone),
    ];
    let rows: Vec<Row> = rows.into_iter().map(Row::judged).collect();
    GateReport {
        schema: SCHEMA.to_owned(),
        started_at: "2026-11-22T10:00:00Z".to_owned(),
        wall_s: 93.4,
        revision: "a9b6f7f3f1c0b9c8d7e6f501f4afcb42ba06d0c5".to_owned(),
        changed: true,
        class: class().to_string(),
        against: vec![
            Against { kind: Some(Kind::Rolling), revision: REVISION.to_owned(), stored: true },
            Against {
                kind: Some(Kind::Anchor),
                revision: "0b9c8d7e6f501f4afcb42ba06d0c5a9b6f7f3f1c".to_owned(),
                stored: false,
            },
        ],
        slowdown: Some(Slowdown { wanted: 1.2, measured: 1.198, steps: 41 }),
        verdict: fold(&rows),
        rows,
        skipped: vec![Skipped {
            what: "database-paths".to_owned(),
            reason: "PostgreSQL is not installed".to_owned(),
        }],
        measurements: vec![Measurement {
            benchmark: "pool/acquire/1".to_owned(),
            unit: "ns".to_owned(),
            mean: 255.0,
            median: 254.0,
            p10: 250.0,
            instructions: Some(940.7),
        }],
    }
}

/// The same without what did not pass.
pub(crate) fn passed() -> GateReport {
    let mut report = report();
    report.rows.retain(|row| row.verdict == Verdict::Pass);
    report.verdict = fold(&report.rows);
    report.slowdown = None;
    report.changed = false;
    report.skipped.clear();
    report.against.truncate(1);
    report
}
