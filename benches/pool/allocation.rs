//! A1: how often a cycle of acquire and drop asks the allocator, and for how much.

use tokio::runtime::Runtime;

use crate::measure::{Run, alternated};
use crate::peers::{NoOpPools, Peer, Shape, SqlxPools, Workload};
use crate::report::{Row, Samples, Unit};
use crate::server::Server;

const CYCLES: u64 = 1000;

/// Counts on the calling thread, so the runtime must have no other.
#[derive(Debug, Clone, Copy)]
struct Allocations;

impl Workload for Allocations {
    /// Allocations, and their bytes.
    type Outcome = (f64, f64);

    fn run<P: Peer>(&self, runtime: &Runtime, pool: &P, cycles: u64) -> (f64, f64) {
        let info = allocation_counter::measure(|| {
            runtime.block_on(async {
                for _ in 0..cycles {
                    drop(pool.acquire().await);
                }
            });
        });
        (info.count_total as f64 / cycles as f64, info.bytes_total as f64 / cycles as f64)
    }
}

pub(crate) fn measure(run: &Run, single: &Runtime, server: &Server) -> Vec<Row> {
    if !run.wants("A1") {
        return Vec::new();
    }
    let pools = NoOpPools::new(single, Shape::FULL);
    let connected = SqlxPools::new(single, server, Shape::FULL);
    let mut lanes = pools.lanes(single, &Allocations);
    lanes.extend(connected.lanes(single, &Allocations));
    let cycles = vec![CYCLES; lanes.len()];
    let outcomes = alternated(&mut lanes, run.scale.repeats, &cycles);
    let pick = |pick: fn(&(f64, f64)) -> f64| {
        let mut samples = Samples::default();
        for (peer, outcomes) in &outcomes {
            for outcome in outcomes {
                samples.push(peer, pick(outcome));
            }
        }
        samples
    };
    vec![
        Row::new("A1", "allocations", Unit::Count, pick(|(count, _)| *count)),
        Row::new("A1-bytes", "bytes", Unit::Count, pick(|(_, bytes)| *bytes)),
    ]
}
