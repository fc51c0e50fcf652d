//! Counting instructions: the same on every machine of an architecture, whatever else it does. Counts say nothing about
//! memory, locks or waiting, so they stand beside times and not in their place.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::error::GateError;
use super::program::Program;
use super::repository::said;

/// More instructions than this many times the baseline's are worth a word.
const WORTH_A_WORD: f64 = 1.02;

/// How instructions an iteration have changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Instructions {
    /// Of the baseline.
    pub base: f64,
    /// Of the build in question.
    pub head: f64,
    /// What follows.
    pub growth: Growth,
}

/// Whether there are more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Growth {
    /// Hardly.
    None,
    /// More than 2 %, and within the limit.
    Notable,
    /// Beyond the limit.
    BeyondLimit,
}

impl Instructions {
    /// Compares counts; beyond `limit`, such as 1.10, it is a regression.
    pub fn of(base: f64, head: f64, limit: f64) -> Self {
        let ratio = head / base;
        let growth = if ratio > limit {
            Growth::BeyondLimit
        } else if ratio > WORTH_A_WORD {
            Growth::Notable
        } else {
            Growth::None
        };
        Self { base, head, growth }
    }

    /// How many times as many there are.
    pub fn ratio(self) -> f64 {
        self.head / self.base
    }
}

/// What counts instructions: `valgrind`, if it is installed.
#[derive(Debug, Clone)]
pub struct Counter {
    valgrind: &'static str,
}

impl Counter {
    /// Looks for `valgrind`.
    pub fn find() -> Option<Self> {
        let valgrind = "valgrind";
        said(Command::new(valgrind).arg("--version")).ok()?;
        Some(Self { valgrind })
    }

    /// How many instructions an iteration of this benchmark takes.
    pub(super) fn count(&self, program: &Program, benchmark: &str) -> Result<f64, GateError> {
        let folder =
            tempfile::tempdir().map_err(|source| GateError::io(&std::env::temp_dir(), source))?;
        let out = folder.path().join("callgrind.out");
        let arguments = [
            "--tool=callgrind".to_owned(),
            // Nothing but what the benchmark repeats; preparing it costs as much as it may.
            "--collect-atstart=no".to_owned(),
            "--toggle-collect=gate::*counted*".to_owned(),
            format!("--callgrind-out-file={}", out.display()),
        ];
        let iterations = program.count(benchmark, self.valgrind, &arguments)?;
        let text = fs::read_to_string(&out).map_err(|source| GateError::io(&out, source))?;
        match total(&text) {
            Some(total) if total > 0 && iterations > 0 => Ok(total as f64 / iterations as f64),
            _ => Err(GateError::NotUnderstood {
                what: format!("what callgrind counted in {benchmark}"),
                reason: "it has counted nothing".to_owned(),
            }),
        }
    }
}

/// The sum in a file of callgrind's.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals: "))?;
    line.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_held_to_the_limit() {
        for (head, growth) in [
            (900.0, Growth::None),
            (1019.0, Growth::None),
            (1021.0, Growth::Notable),
            (1099.0, Growth::Notable),
            (1101.0, Growth::BeyondLimit),
        ] {
            assert_eq!(Instructions::of(1000.0, head, 1.10).growth, growth, "{head}");
        }
        assert_eq!(Instructions::of(1000.0, 1200.0, 1.25).growth, Growth::Notable);
    }

    #[test]
    fn the_sum_is_read() {
        assert_eq!(total("version: 1\nevents: Ir\nsummary: 12\n\ntotals: 3456\n"), Some(3456));
        assert_eq!(total("version: 1\n"), None);
        assert_eq!(total("totals: none\n"), None);
    }
}
