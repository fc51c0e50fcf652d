//! The plain cycle: acquire, hold, drop. One task alone (U1), more connections than tasks (U2), more tasks
//! than connections (C1).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Barrier;
use tokio::task::{JoinSet, yield_now};
use tokio::time::Instant;

use crate::measure::Run;
use crate::peers::{NoOpPools, Peer, Shape, Work, Workload};
use crate::report::{Row, Unit};

/// Portions of a task's share of the cycles.
const PORTIONS: u64 = 32;

/// What a task does with its connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hold {
    /// Nothing.
    Not,
    /// Lets the other tasks run once. Without that, tasks on few threads hardly ever meet.
    Yield,
    /// Runs `SELECT 1`.
    Statement,
}

impl Hold {
    async fn over(self, lease: &mut impl Work) {
        match self {
            Self::Not => {}
            Self::Yield => yield_now().await,
            Self::Statement => lease.work().await,
        }
    }
}

/// Tasks that go through cycles as fast as they can; the outcome is the time of all of them together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cycles {
    pub(crate) tasks: u64,
    pub(crate) hold: Hold,
}

impl Workload for Cycles {
    type Outcome = Duration;

    fn run<P: Peer>(&self, runtime: &Runtime, pool: &P, cycles: u64) -> Duration {
        let hold = self.hold;
        runtime.block_on(together(self.tasks, cycles, |share| {
            let pool = pool.clone();
            async move {
                for () in share {
                    hold.over(&mut pool.acquire().await).await;
                }
            }
        }))
    }
}

/// One task's cycles. Tasks take them from a common stock, a few at a time, so that all have something to do
/// to the end.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    stock: Arc<AtomicI64>,
    portion: i64,
    left: i64,
}

impl Share {
    fn of(cycles: u64, tasks: u64) -> Self {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let portion = count(cycles / (tasks * PORTIONS)).max(1);
        Self { stock: Arc::new(AtomicI64::new(count(cycles))), portion, left: 0 }
    }
}

impl Iterator for Share {
    type Item = ();

    fn next(&mut self) -> Option<()> {
        if self.left == 0 {
            let stock = self.stock.fetch_sub(self.portion, Ordering::Relaxed);
            self.left = stock.clamp(0, self.portion);
        }
        let any = self.left > 0;
        self.left -= i64::from(any);
        any.then_some(())
    }
}

/// Runs `tasks` tasks that begin at the same time and share `cycles` between them, and returns the time from
/// the first one's beginning to the last one's end. The tasks read the clock themselves: the thread that
/// waits for them may be late.
pub(crate) async fn together<F>(
    tasks: u64,
    cycles: u64,
    mut task: impl FnMut(Share) -> F,
) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let gate = Arc::new(Barrier::new(usize::try_from(tasks).unwrap_or(usize::MAX)));
    let share = Share::of(cycles, tasks);
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let (work, gate) = (task(share.clone()), Arc::clone(&gate));
        running.spawn(async move {
            gate.wait().await;
            let began = Instant::now();
            work.await;
            (began, Instant::now())
        });
    }
    let times = running.join_all().await;
    let began = times.iter().map(|(began, _)| *began).min();
    let ended = times.iter().map(|(_, ended)| *ended).max();
    ended.zip(began).map_or(Duration::ZERO, |(ended, began)| ended - began)
}

pub(crate) fn measure(run: &mut Run, runtime: &Runtime) -> Vec<Row> {
    let rows = [
        ("U1", "1 task", Cycles { tasks: 1, hold: Hold::Not }),
        ("U2", "8 tasks", Cycles { tasks: 8, hold: Hold::Not }),
        ("C1-8", "8 tasks that yield", Cycles { tasks: 8, hold: Hold::Yield }),
        ("C1-100", "100 tasks that yield", Cycles { tasks: 100, hold: Hold::Yield }),
        ("C1-1000", "1000 tasks that yield", Cycles { tasks: 1000, hold: Hold::Yield }),
    ];
    let pools = NoOpPools::new(runtime, Shape::FULL);
    let wanted = rows.into_iter().filter(|(id, ..)| run.wants(id)).collect::<Vec<_>>();
    wanted
        .into_iter()
        .map(|(id, label, cycles)| {
            let samples = run.timed(id, cycles.tasks * 10, pools.lanes(runtime, &cycles));
            Row::new(id, label, Unit::Nanoseconds, samples)
        })
        .collect()
}
