//! What a benchmark is, and the table of all of them.

use std::error::Error;
use std::fmt;
use std::hint::black_box;

use chaos::schema::nearest;
use serde::Serialize;

use crate::calibration::Calibration;
use crate::{config, embed, index, mcp, pool, scenario};

/// Work that is measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Benchmark {
    /// `part/what` or `part/what/variant`. What was measured is kept under this name, so it stays.
    pub(crate) name: &'static str,
    /// What tells how fast the machine is at work of this sort.
    pub(crate) calibration: Calibration,
    /// Iterations whose instructions are counted: some millions of instructions, so that what the runtime does
    /// now and then does not show.
    #[serde(skip)]
    pub(crate) counted: u64,
    /// Does whatever does not belong to an iteration.
    #[serde(skip)]
    pub(crate) prepare: fn() -> Prepared,
}

/// A kernel, or why there is none.
pub(crate) type Prepared = Result<Kernel, Box<dyn Error>>;

/// Everything that an iteration needs, and the iteration itself: 50 ns to 1 ms of work that leaves nothing behind.
pub(crate) struct Kernel(Box<dyn FnMut(u64)>);

impl Kernel {
    /// `run` does as many iterations as it is told.
    pub(crate) fn new(run: impl FnMut(u64) + 'static) -> Self {
        Self(Box::new(run))
    }

    /// An iteration is one call of `once`.
    pub(crate) fn repeating<T>(mut once: impl FnMut() -> T + 'static) -> Self {
        Self::new(move |iterations| {
            for _ in 0..iterations {
                drop(black_box(once()));
            }
        })
    }

    pub(crate) fn run(&mut self, iterations: u64) {
        (self.0)(black_box(iterations));
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").finish_non_exhaustive()
    }
}

/// All benchmarks that can fail the gate.
pub(crate) const ALL: &[Benchmark] = &[
    Benchmark {
        name: "pool/acquire/1",
        calibration: Calibration::Cpu,
        counted: 1000,
        prepare: || pool::acquire(1),
    },
    Benchmark {
        name: "pool/acquire/8",
        calibration: Calibration::Cpu,
        counted: 100,
        prepare: || pool::acquire(8),
    },
    Benchmark {
        name: "pool/acquire/100",
        calibration: Calibration::Cpu,
        counted: 10,
        prepare: || pool::acquire(100),
    },
    Benchmark {
        name: "pool/snapshot",
        calibration: Calibration::Cpu,
        counted: 1000,
        prepare: pool::snapshot,
    },
    Benchmark {
        name: "pool/health",
        calibration: Calibration::Cpu,
        counted: 1000,
        prepare: pool::health,
    },
    Benchmark {
        name: "config/parse",
        calibration: Calibration::Memory,
        counted: 10,
        prepare: config::parse,
    },
    Benchmark {
        name: "index/chunk",
        calibration: Calibration::Memory,
        counted: 4,
        prepare: || Ok(index::chunk()),
    },
    Benchmark {
        name: "embed/embed",
        calibration: Calibration::Memory,
        counted: 20,
        prepare: embed::embed,
    },
    Benchmark {
        name: "embed/tokenize",
        calibration: Calibration::Memory,
        counted: 20,
        prepare: || Ok(embed::tokenize()),
    },
    Benchmark {
        name: "mcp/encode",
        calibration: Calibration::Memory,
        counted: 100,
        prepare: mcp::encode,
    },
    Benchmark {
        name: "scenario/compile",
        calibration: Calibration::Memory,
        counted: 4,
        prepare: scenario::compile,
    },
];

/// The benchmark of this name.
pub(crate) fn named(name: &str) -> Result<&'static Benchmark, String> {
    let names = || ALL.iter().map(|benchmark| benchmark.name);
    ALL.iter().find(|benchmark| benchmark.name == name).ok_or_else(|| {
        match nearest(name, names()) {
            Some(near) => format!("there is no such benchmark; did you mean `{near}`?"),
            None => "there is no such benchmark; `list` names all".to_owned(),
        }
    })
}
