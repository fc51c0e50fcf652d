//! A spike: fifty requests at once meet a pool of five connections that may grow to fifty, where opening one
//! takes far longer than a request. Who lets them wait for the five is done first.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::cycles::together;
use crate::measure::Run;
use crate::peers::{NoOpPools, Peer, Shape, SqlxPools, Workload};
use crate::report::{Row, Samples, Unit};
use crate::server::Server;

const REQUESTS: u64 = 50;
const REQUEST_TAKES: Duration = Duration::from_millis(2);
const SHAPE: Shape = Shape { warm: 5, max_size: 50, connect_takes: Duration::from_millis(150) };

#[derive(Debug, Clone, Copy)]
struct Spike;

impl Workload for Spike {
    type Outcome = Duration;

    fn run<P: Peer>(&self, runtime: &Runtime, pool: &P, _cycles: u64) -> Duration {
        runtime.block_on(together(REQUESTS, REQUESTS, |_| {
            let pool = pool.clone();
            async move {
                let lease = pool.acquire().await;
                sleep(REQUEST_TAKES).await;
                drop(lease);
            }
        }))
    }
}

pub(crate) fn measure(run: &Run, runtime: &Runtime, server: &Server) -> Vec<Row> {
    if !run.wants("spike") {
        return Vec::new();
    }
    let mut times = Samples::default();
    let mut opened = Samples::default();
    for _ in 0..run.scale.repeats {
        // Afterwards the pools are larger, so each repeat has its own.
        let pools = NoOpPools::new(runtime, SHAPE);
        let sqlx = SqlxPools::new(runtime, server, SHAPE);
        let mut lanes = pools.lanes(runtime, &Spike);
        lanes.extend(sqlx.lanes(runtime, &Spike));
        for lane in &mut lanes {
            times.push(lane.peer, (lane.run)(REQUESTS).as_secs_f64() * 1e9);
        }
        for (peer, count) in pools.opened().into_iter().chain(sqlx.opened()) {
            opened.push(peer, f64::from(count));
        }
    }
    vec![
        Row::new("spike", "50 requests of 2 ms at once", Unit::Milliseconds, times),
        Row::new("spike-opened", "connections opened, 5 of them before", Unit::Count, opened),
    ]
}
