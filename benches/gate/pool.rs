//! The connection pool, over connections that do nothing.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use codebase_mcp::pool::{CheckError, Config, Connect, Pool, Validation};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, yield_now};

use crate::benchmark::{Kernel, Prepared};

/// Connections, all of them open before anything is measured.
const SIZE: u32 = 10;

/// Cycles of acquire and drop that each task makes in one iteration.
const CYCLES: u64 = 10;

/// Looks at the pool in one iteration.
const LOOKS: u64 = 100;

/// Longer than any measurement.
const NEVER: Duration = Duration::from_mins(1);

/// A pool, and the one thread on which all of it runs.
struct Stage {
    pool: Pool<NoOp>,
    // Dropped after the pool, whose tasks run on it.
    runtime: Runtime,
}

impl Stage {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let runtime = current_thread()?;
        let pool = runtime.block_on(async {
            // The defaults, but that nothing is checked after a while, or opened for the first time.
            let validation = Validation { bypass_window: NEVER, ..Validation::default() };
            let config = Config {
                min_size: SIZE,
                max_size: SIZE,
                probe_interval: NEVER,
                validation,
                ..Config::default()
            };
            let pool = Pool::new("gate", config, NoOp)?;
            pool.ready().await?;
            Ok::<_, Box<dyn std::error::Error>>(pool)
        })?;
        Ok(Self { pool, runtime })
    }
}

/// Without a driver for I/O: nothing here has any.
fn current_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_time().build()
}

/// An iteration: each of `tasks` tasks makes [`CYCLES`] cycles of acquire and drop. One task alone does nothing
/// between them; of several, all others run once while one holds its connection, so that as many of them as there
/// are connections hold one, and the rest queue.
pub(crate) fn acquire(tasks: u32) -> Prepared {
    let Stage { pool, runtime } = Stage::new()?;
    Ok(Kernel::new(move |iterations| {
        let cycles = iterations * CYCLES;
        if tasks == 1 {
            runtime.block_on(alone(&pool, cycles));
        } else {
            runtime.block_on(together(&pool, tasks, cycles));
        }
    }))
}

async fn alone(pool: &Pool<NoOp>, cycles: u64) {
    for _ in 0..cycles {
        drop(black_box(pool.acquire().await));
    }
}

async fn together(pool: &Pool<NoOp>, tasks: u32, cycles: u64) {
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let pool = pool.clone();
        running.spawn(async move {
            for _ in 0..cycles {
                let lease = black_box(pool.acquire().await);
                yield_now().await;
                drop(lease);
            }
        });
    }
    running.join_all().await;
}

/// An iteration: [`LOOKS`] snapshots.
pub(crate) fn snapshot() -> Prepared {
    look(|pool| {
        black_box(pool.snapshot());
    })
}

/// An iteration: the pool's health, [`LOOKS`] times.
pub(crate) fn health() -> Prepared {
    look(|pool| {
        black_box(pool.health());
    })
}

fn look(look: impl Fn(&Pool<NoOp>) + 'static) -> Prepared {
    let stage = Stage::new()?;
    Ok(Kernel::repeating(move || {
        for _ in 0..LOOKS {
            look(black_box(&stage.pool));
        }
    }))
}

/// Opens connections that do nothing.
#[derive(Debug)]
struct NoOp;

impl Connect for NoOp {
    /// As large as a `PgConnection`, so that moving it costs the same.
    type Connection = u64;
    type Session = ();

    async fn open(&self) -> Result<u64, sqlx::Error> {
        Ok(0)
    }

    fn session(&self, _connection: &u64) {}

    async fn check(&self, _connection: &mut u64) -> Result<(), CheckError> {
        Ok(())
    }

    async fn reset(&self, _connection: &mut u64) -> Result<(), CheckError> {
        Ok(())
    }

    async fn close(&self, _connection: u64) {}

    async fn terminate(&self, _through: &mut u64, _lost: &[()]) -> Result<(), sqlx::Error> {
        Ok(())
    }
}
