//! P1: `SELECT 1` through a pool of ten connections to a real server, and acquire and drop alone.
//! P2, the ceiling: tasks that own their connections, measured in turn with the pools.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cycles::{Cycles, Hold, together};
use crate::measure::{Lane, Run};
use crate::peers::{HELD, Peer, SIZE, ServerPools, Source, Work, Workload};
use crate::report::{Row, Unit, median};
use crate::server::Server;

/// The middle of the times of single cycles. The clock is read once a cycle, which counts for all alike.
#[derive(Debug, Clone, Copy)]
struct Median;

impl Workload for Median {
    type Outcome = Duration;

    fn run<P: Peer>(&self, runtime: &Runtime, pool: &P, cycles: u64) -> Duration {
        let pool = pool.clone();
        let task = async move {
            let mut times = Vec::with_capacity(usize::try_from(cycles).unwrap_or_default());
            let mut before = Instant::now();
            for _ in 0..cycles {
                drop(pool.acquire().await);
                let after = Instant::now();
                times.push((after - before).as_secs_f64());
                before = after;
            }
            Duration::from_secs_f64(median(&times) * cycles as f64)
        };
        runtime.block_on(async { runtime.spawn(task).await.expect("the task does not panic") })
    }
}

/// As many tasks as there are connections at most, each with a connection of its own.
fn held<'a>(
    runtime: &'a Runtime,
    connections: &'a [Arc<Mutex<PgConnection>>],
    tasks: u64,
) -> Lane<'a, Duration> {
    let tasks = tasks.min(connections.len() as u64);
    let run = move |cycles| {
        let mut free = connections.iter();
        runtime.block_on(together(tasks, cycles, |share| {
            let connection = Arc::clone(free.next().expect("one for each task"));
            async move {
                let mut connection = connection.lock().await;
                for () in share {
                    connection.work().await;
                }
            }
        }))
    };
    Lane { peer: HELD, run: Box::new(run) }
}

pub(crate) fn measure(
    run: &mut Run,
    runtime: &Runtime,
    server: &Server,
    pools: &ServerPools,
) -> Vec<Row> {
    let mut rows = alone(run, runtime, pools);
    let connections = runtime.block_on(async {
        let mut connections = Vec::new();
        for _ in 0..SIZE {
            let connection = server.session().open().await.expect("the server takes connections");
            connections.push(Arc::new(Mutex::new(connection)));
        }
        connections
    });
    let sets = [
        ("P1-1", "P2-1", "1 task", 1),
        ("P1-8", "P2-8", "8 tasks", 8),
        ("P1-100", "P2-100", "100 tasks", 100),
        ("P1-1000", "P2-1000", "1000 tasks", 1000),
    ];
    for (id, ceiling, label, tasks) in sets {
        if !run.wants(id) {
            continue;
        }
        let cycles = Cycles { tasks, hold: Hold::Statement };
        let mut lanes = pools.lanes(runtime, &cycles);
        lanes.push(held(runtime, &connections, tasks));
        let samples = run.timed(id, tasks * 2, lanes);
        let row = Row::new(id, label, Unit::Microseconds, samples);
        rows.push(row.relative_to(HELD, ceiling, "of the throughput of held connections"));
        rows.push(row);
    }
    rows
}

fn alone(run: &mut Run, runtime: &Runtime, pools: &ServerPools) -> Vec<Row> {
    let id = "P1-alone";
    if !run.wants(id) {
        return Vec::new();
    }
    let samples = run.timed(id, 100, pools.lanes(runtime, &Median));
    vec![Row::new(id, "acquire and drop alone, p50", Unit::Nanoseconds, samples)]
}
