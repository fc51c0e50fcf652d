//! The benchmarks of the regression gate, all in one table, and the ways to measure one of them.
//!
//! ```sh
//! cargo bench -p chaos --bench gate                 # all of them, by criterion
//! cargo bench -p chaos --bench gate -- pool/        # those whose name contains this
//! cargo bench -p chaos --bench gate -- sample pool/acquire/1
//! ```
//!
//! What the gate calls is the binary itself: `list`, `sample`, `count` and `calibrate` write JSON, one object a
//! line, to stdout, and `--bench --exact NAME` has criterion measure one benchmark. Criterion keeps what it found in
//! `$CRITERION_HOME/<folder>/new/estimates.json`; the folder is the name with `_` for `/`, so `pool_acquire_1`.
//!
//! A benchmark belongs here if it waits for nobody: neither for another core, nor for a disk, a database or time.
//! Its input never changes with the code that it measures. A new one is a line in [`benchmark::ALL`].

mod benchmark;
mod calibration;
mod config;
mod count;
mod embed;
mod index;
mod inputs;
mod mcp;
mod pool;
mod record;
mod scenario;
mod slices;

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::benchmark::{Benchmark, named};
use crate::calibration::Calibration;

/// Measures the benchmarks of the regression gate; without a command by criterion.
#[derive(Debug, Parser)]
#[command(name = "gate")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only the benchmarks whose name contains this
    #[arg(default_value = "")]
    filter: String,
    /// Only the benchmark of this name
    #[arg(long, value_name = "NAME", value_parser = named, conflicts_with = "filter")]
    exact: Option<&'static Benchmark>,
    /// Wastes so many steps of about 1 ns in each acquire that is served at once
    #[cfg(feature = "slow-acquire")]
    #[arg(long, value_name = "STEPS", default_value_t = 0, global = true)]
    slowness: u32,
    /// What cargo says when it wants numbers and not only a test.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Names all benchmarks, each with the calibration of its class
    List,
    /// Takes slices of one benchmark and prints the nanoseconds of an iteration in each
    Sample {
        #[arg(value_name = "NAME", value_parser = named)]
        benchmark: &'static Benchmark,
        /// How long slices are taken
        #[arg(long, value_name = "MS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=60_000))]
        time_ms: u64,
    },
    /// Runs a fixed number of iterations inside the function `counted`, for callgrind
    Count {
        #[arg(value_name = "NAME", value_parser = named)]
        benchmark: &'static Benchmark,
    },
    /// Measures the machine with work that has nothing of the product in it
    Calibrate { class: Calibration },
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    #[cfg(feature = "slow-acquire")]
    codebase_mcp::pool::slowness::set_slowness(arguments.slowness);
    match arguments.command {
        None => {
            let chosen: Vec<_> = benchmark::ALL.iter().filter(|one| arguments.wants(one)).collect();
            if chosen.is_empty() {
                let filter = arguments.filter;
                return Err(
                    format!("no benchmark's name contains {filter:?}; `list` names all").into()
                );
            }
            if arguments.bench { record::measure(&chosen) } else { record::test(&chosen) }
        }
        Some(Command::List) => benchmark::ALL.iter().try_for_each(print),
        Some(Command::Sample { benchmark, time_ms }) => {
            let mut kernel = (benchmark.prepare)()?;
            print(&slices::take(&mut kernel, Duration::from_millis(time_ms)))
        }
        Some(Command::Count { benchmark }) => print(&count::count(benchmark)?),
        Some(Command::Calibrate { class }) => print(&calibration::calibrate(class)),
    }
}

impl Arguments {
    fn wants(&self, benchmark: &Benchmark) -> bool {
        match self.exact {
            Some(exact) => exact.name == benchmark.name,
            None => benchmark.name.contains(&self.filter),
        }
    }
}

/// Prints `value` as a line of JSON.
fn print(value: &impl Serialize) -> Result<(), Box<dyn Error>> {
    writeln!(io::stdout(), "{}", serde_json::to_string(value)?)?;
    Ok(())
}
