//! F1: a hundred tasks over ten connections to a real server, all as greedy as they can be. Fair is a pool
//! that gives each of them as many connections as any other.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::measure::{Run, alternated};
use crate::peers::{Peer, ServerPools, Work, Workload};
use crate::report::{Row, Samples, Unit};

const TASKS: usize = 100;

#[derive(Debug, Clone, Copy)]
struct Greedy {
    /// How long the tasks go on.
    lasts: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Shares {
    /// The cycles of the task with the fewest over those of the one with the most.
    evenness: f64,
    worst_wait: Duration,
}

impl Workload for Greedy {
    type Outcome = Shares;

    fn run<P: Peer>(&self, runtime: &Runtime, pool: &P, _cycles: u64) -> Shares {
        runtime.block_on(async {
            let gate = Arc::new(Barrier::new(TASKS));
            let mut running = JoinSet::new();
            for _ in 0..TASKS {
                running.spawn(greedy(pool.clone(), Arc::clone(&gate), self.lasts));
            }
            let all = running.join_all().await;
            let most = all.iter().map(|(cycles, _)| *cycles).max().unwrap_or_default();
            let fewest = all.iter().map(|(cycles, _)| *cycles).min().unwrap_or_default();
            let worst_wait = all.iter().map(|(_, wait)| *wait).max().unwrap_or_default();
            Shares { evenness: f64::from(fewest) / f64::from(most), worst_wait }
        })
    }
}

/// The cycles of one task, and its longest wait. A wait that lasts to the end counts.
async fn greedy<P: Peer>(pool: P, gate: Arc<Barrier>, lasts: Duration) -> (u32, Duration) {
    gate.wait().await;
    let end = Instant::now() + lasts;
    let (mut cycles, mut worst) = (0, Duration::ZERO);
    loop {
        let asked = Instant::now();
        if asked >= end {
            return (cycles, worst);
        }
        let mut lease = pool.acquire().await;
        worst = worst.max(asked.elapsed());
        lease.work().await;
        cycles += 1;
    }
}

pub(crate) fn measure(run: &Run, runtime: &Runtime, pools: &ServerPools) -> Vec<Row> {
    if !run.wants("F1") {
        return Vec::new();
    }
    let greedy = Greedy { lasts: run.scale.fairness };
    let mut lanes = pools.lanes(runtime, &greedy);
    let cycles = vec![0; lanes.len()];
    let outcomes = alternated(&mut lanes, run.scale.repeats, &cycles);
    let pick = |pick: fn(&Shares) -> f64| {
        let mut samples = Samples::default();
        for (peer, outcomes) in &outcomes {
            for outcome in outcomes {
                samples.push(peer, pick(outcome));
            }
        }
        samples
    };
    vec![
        Row::new("F1", "fewest acquires of a task / most", Unit::Ratio, pick(|s| s.evenness)),
        Row::new(
            "F1-wait",
            "worst wait",
            Unit::Milliseconds,
            pick(|s| s.worst_wait.as_secs_f64() * 1e9),
        ),
    ]
}
