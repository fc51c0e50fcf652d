//! C2: a thousand tasks over ten connections, of whose acquires three in ten are dropped half-way. None of
//! them may cost a connection.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::runtime::Runtime;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::cycles::together;
use crate::measure::Run;
use crate::peers::{self, NoOpPools, Peer, SIZE, Shape, Workload};
use crate::report::{Row, Samples, Unit};

const ID: &str = "C2";
const TASKS: u64 = 1000;

/// Cycles of which three in ten wait no longer than it takes the others to run once.
#[derive(Debug, Clone, Copy)]
struct GivingUp;

impl Workload for GivingUp {
    type Outcome = Duration;

    fn run<P: Peer>(&self, runtime: &Runtime, pool: &P, cycles: u64) -> Duration {
        runtime.block_on(together(TASKS, cycles, |share| {
            let pool = pool.clone();
            async move {
                for ((), number) in share.zip(0..) {
                    cycle(&pool, number % 10 < 3).await;
                }
            }
        }))
    }
}

async fn cycle<P: Peer>(pool: &P, gives_up: bool) {
    let patience = async { if gives_up { yield_now().await } else { pending().await } };
    let (acquiring, patience) = (pin!(pool.acquire()), pin!(patience));
    if let Either::Left((lease, _)) = select(acquiring, patience).await {
        yield_now().await;
        drop(lease);
    }
}

/// Whether all connections can be had at once.
#[derive(Debug, Clone, Copy)]
struct Complete;

impl Workload for Complete {
    type Outcome = bool;

    fn run<P: Peer>(&self, runtime: &Runtime, pool: &P, _cycles: u64) -> bool {
        let all = async { timeout(Duration::from_secs(5), peers::warm(pool, SIZE)).await };
        runtime.block_on(all).is_ok()
    }
}

/// # Panics
/// If our pool has lost a connection.
pub(crate) fn measure(run: &mut Run, runtime: &Runtime) -> Vec<Row> {
    if !run.wants(ID) {
        return Vec::new();
    }
    let pools = NoOpPools::new(runtime, Shape::FULL);
    let samples = run.timed(ID, TASKS * 10, pools.lanes(runtime, &GivingUp));
    let mut lost = Samples::default();
    for (mut lane, (peer, opened)) in
        pools.lanes(runtime, &Complete).into_iter().zip(pools.opened())
    {
        let replaced = f64::from(opened - SIZE);
        lost.push(peer, if (lane.run)(0) { replaced } else { f64::INFINITY });
    }
    let ours = lost.of(peers::OURS);
    assert_eq!(ours, Some(&[0.0][..]), "connections lost to acquires that were dropped");
    vec![
        Row::new(ID, "1000 tasks, 30 % give up", Unit::Nanoseconds, samples),
        Row::new("C2-lost", "connections lost to them", Unit::Count, lost),
    ]
}
