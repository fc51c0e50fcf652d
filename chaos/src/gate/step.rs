//! What the gate is doing, for whoever waits for it.

use std::fmt;

/// What begins now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// Another gate of this user is at work.
    Waiting,
    /// Programs are built.
    Building {
        /// Of what, such as `the baseline 1f4afcb4`.
        what: &'a str,
    },
    /// The injected slowdown is measured.
    Slowing,
    /// A benchmark is read.
    Reading {
        /// Which.
        benchmark: &'a str,
        /// Its place, from 1.
        at: usize,
        /// How many there are.
        of: usize,
    },
    /// A suspect is measured in turn with the baseline.
    Proving {
        /// Which.
        name: &'a str,
        /// How many rounds there will be before the next look.
        rounds: usize,
    },
    /// Instructions are counted.
    Counting {
        /// In which benchmark.
        benchmark: &'a str,
    },
    /// A scenario runs.
    Running {
        /// Which.
        scenario: &'a str,
    },
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => f.write_str("waiting for another gate that is at work"),
            Self::Building { what } => write!(f, "building {what}"),
            Self::Slowing => f.write_str("finding the slowdown that was asked for"),
            Self::Reading { benchmark, at, of } => write!(f, "reading {benchmark} ({at} of {of})"),
            Self::Proving { name, rounds } => write!(f, "proving {name}, up to round {rounds}"),
            Self::Counting { benchmark } => write!(f, "counting instructions of {benchmark}"),
            Self::Running { scenario } => write!(f, "running the scenario {scenario}"),
        }
    }
}
