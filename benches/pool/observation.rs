//! S1: what a look at the pool costs while eight tasks use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::{JoinSet, yield_now};
use tokio::time::Instant;

use crate::measure::{Lane, Run};
use crate::peers::{NoOpPools, OURS, Ours, Peer, ServerPools, Shape, Workload};
use crate::report::{Row, Unit, median};

const WRITERS: usize = 8;
/// Looks between two readings of the clock.
const BATCH: u64 = 100;

/// Times `look` while [`WRITERS`] tasks acquire and drop. The outcome is as if every look had taken as long
/// as the median one, so that it does not count when the reader's thread loses its processor.
fn looking<P: Peer>(runtime: &Runtime, pool: &P, cycles: u64, look: impl Fn(&P)) -> Duration {
    let ended = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (pool, ended) = (pool.clone(), Arc::clone(&ended));
        writers.spawn_on(
            async move {
                while !ended.load(Ordering::Relaxed) {
                    let lease = pool.acquire().await;
                    yield_now().await;
                    drop(lease);
                }
            },
            runtime.handle(),
        );
    }
    let times: Vec<_> = (0..cycles.div_ceil(BATCH))
        .map(|_| {
            let started = Instant::now();
            for _ in 0..BATCH {
                look(pool);
            }
            started.elapsed().as_secs_f64() / BATCH as f64
        })
        .collect();
    ended.store(true, Ordering::Relaxed);
    runtime.block_on(writers.join_all());
    Duration::from_secs_f64(median(&times) * cycles as f64)
}

/// What the pool's users read.
#[derive(Debug, Clone, Copy)]
struct Observe;

impl Workload for Observe {
    type Outcome = Duration;

    fn run<P: Peer>(&self, runtime: &Runtime, pool: &P, cycles: u64) -> Duration {
        looking(runtime, pool, cycles, P::observe)
    }
}

pub(crate) fn measure(
    run: &mut Run,
    runtime: &Runtime,
    writers: &Runtime,
    server: &ServerPools,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let pools = NoOpPools::new(writers, Shape::FULL);
    if run.wants("S1-counts") {
        let mut lanes = pools.lanes(writers, &Observe);
        lanes.extend(server.sqlx.lanes(runtime, &Observe));
        let samples = run.timed("S1-counts", BATCH, lanes);
        rows.push(Row::new("S1-counts", "reading the counts", Unit::Nanoseconds, samples));
    }
    if run.wants("S1-health") {
        let look = |cycles| looking(writers, pools.ours(), cycles, Ours::health);
        let lanes = vec![Lane { peer: OURS, run: Box::new(look) }];
        let samples = run.timed("S1-health", BATCH, lanes);
        rows.push(Row::new("S1-health", "reading the health", Unit::Nanoseconds, samples));
    }
    rows
}
