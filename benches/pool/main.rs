//! The pool beside others: one run measures all of them in turn.
//!
//! ```sh
//! ci/bench                                          # the tables, in the terminal
//! cargo bench --bench pool -- C1                    # some rows
//! cargo bench --bench pool -- --save-baseline old   # kept by criterion, and
//! cargo bench --bench pool -- --baseline old        # compared with later
//! ```
//!
//! Measurements of single cycles go through criterion. Fairness, allocations and the spike have outcomes
//! that are not times of a cycle; they are measured in plain code.
#![expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]

mod allocation;
mod cycles;
mod document;
mod fairness;
mod giving_up;
mod machine;
mod measure;
mod observation;
mod peers;
mod report;
mod server;
mod spike;
mod statements;
mod targets;

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser;
use criterion::Criterion;
use tokio::runtime::{Builder, Runtime};

use crate::document::Document;
use crate::machine::Machine;
use crate::measure::{Run, Scale};
use crate::peers::ServerPools;
use crate::report::Table;
use crate::server::Server;

/// Measures the connection pool beside others.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only the rows whose name contains this, such as `C1`; with `C1/ours` only one pool's times
    #[arg(default_value = "", conflicts_with = "write")]
    filter: String,
    /// See that everything runs; the numbers mean little
    #[arg(long, conflicts_with = "write")]
    quick: bool,
    /// Also writes the tables to this file
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Keeps the times under this name
    #[arg(long, value_name = "NAME")]
    save_baseline: Option<String>,
    /// Compares the times with those kept under this name
    #[arg(long, value_name = "NAME", conflicts_with = "save_baseline")]
    baseline: Option<String>,
    /// What cargo says when it wants numbers and not only a test.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn run(&self) -> Run {
        let criterion = Criterion::default().without_plots();
        let criterion = match (&self.save_baseline, &self.baseline) {
            (Some(name), _) => criterion.save_baseline(name.clone()),
            (None, Some(name)) => criterion.retain_baseline(name.clone(), true),
            (None, None) => criterion,
        };
        let quick = self.quick || !self.bench;
        let scale = if quick { Scale::QUICK } else { Scale::FULL };
        Run::new(scale, &self.filter, criterion)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = workers(cores)?;
    let server = Server::start(&runtime)?;
    let machine = Machine::new(runtime.block_on(server.version())?);
    let tables = tables(&mut arguments.run(), &runtime, &server)?;
    let document = Document { machine, tables }.to_string();
    // Behind criterion's lines, which it prints as it goes.
    write!(io::stdout(), "\n{document}")?;
    if let Some(file) = arguments.write {
        fs::write(file, document)?;
    }
    Ok(())
}

fn workers(count: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(count).enable_all().build()
}

/// Measures everything that is asked for.
fn tables(run: &mut Run, runtime: &Runtime, server: &Server) -> io::Result<Vec<Table>> {
    let mut no_op = cycles::measure(run, runtime);
    no_op.extend(giving_up::measure(run, runtime));
    let single = Builder::new_current_thread().enable_all().build()?;
    no_op.extend(allocation::measure(run, &single, server));
    let spike = spike::measure(run, runtime, server);

    let pools = ServerPools::new(runtime, server);
    let mut real = statements::measure(run, runtime, server, &pools);
    real.extend(fairness::measure(run, runtime, &pools));
    // One processor is left to the reader.
    let writers = workers(runtime.metrics().num_workers().saturating_sub(1).max(1))?;
    let looks = observation::measure(run, runtime, &writers, &pools);
    Ok(vec![
        Table { title: "The pool alone", text: NO_OP, rows: no_op },
        Table { title: "With a real server", text: REAL, rows: real },
        Table { title: "Looking at the pool", text: LOOKS, rows: looks },
        Table { title: "A spike", text: SPIKE, rows: spike },
    ])
}

const NO_OP: &str = "\
Per cycle of acquire and drop, over connections that do nothing. `sqlx::PgPool` connects to PostgreSQL only, so it has
no such rows; its allocations are counted with a server and include those of its driver.";

const REAL: &str = "\
Per cycle of acquire, `SELECT 1` and drop, through a Unix socket.";

const LOOKS: &str = "\
While 8 tasks acquire and drop over connections that do nothing, those of sqlx over a real server. Read are
`snapshot()` and `health()` of ours, `size()` and `num_idle()` of sqlx, `status()` of deadpool, `state()` of bb8.";

const SPIKE: &str = "\
Opening a connection takes 150 ms, with sqlx as a hook after that of a real server. With its 5 connections a pool
could be done after 20 ms.";
