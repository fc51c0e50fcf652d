//! The pools under test, behind one small trait, and the two sets of them: over connections that do
//! nothing, and over a real server.

mod bb8;
mod deadpool;
mod no_op;
mod ours;
mod sqlx;

use std::time::Duration;

use codebase_mcp::pool::Postgres;
use futures_util::future::join_all;
use tokio::runtime::Runtime;

use crate::measure::Lane;
use crate::server::{Server, Session};

pub(crate) use self::deadpool::Limits;
pub(crate) use self::no_op::NoOp;
pub(crate) use self::ours::Ours;
use self::{bb8::Bb8, deadpool::Deadpool, sqlx::Sqlx};

pub(crate) const OURS: &str = "ours";
pub(crate) const SQLX: &str = "sqlx";
pub(crate) const SQLX_UNTESTED: &str = "sqlx, untested";
pub(crate) const DEADPOOL: &str = "deadpool";
pub(crate) const DEADPOOL_LIMITED: &str = "deadpool, limits";
pub(crate) const BB8: &str = "bb8";
/// No pool at all: each task owns a connection.
pub(crate) const HELD: &str = "held";

/// In the order of the columns.
pub(crate) const ALL: [&str; 7] =
    [OURS, SQLX, SQLX_UNTESTED, DEADPOOL, DEADPOOL_LIMITED, BB8, HELD];

/// Connections of a pool, unless a row says otherwise.
pub(crate) const SIZE: u32 = 10;

/// A pool under test. Clones are handles of the same pool.
pub(crate) trait Peer: Clone + Send + Sync + 'static {
    /// A connection in the caller's hands; dropping it gives it back.
    type Lease<'a>: Work
    where
        Self: 'a;

    /// Takes a connection, waiting for one if need be.
    fn acquire(&self) -> impl Future<Output = Self::Lease<'_>> + Send;

    /// Reads the pool's counts, as its users do.
    fn observe(&self);
}

/// What can be done with a connection.
pub(crate) trait Work: Send {
    /// Runs `SELECT 1`, or nothing on a connection that does nothing.
    fn work(&mut self) -> impl Future<Output = ()> + Send;
}

/// What a pool's connections are, for the peers that take a connector.
pub(crate) trait Source: Clone + Send + Sync + 'static {
    type Connection: Work + 'static;

    fn open(&self) -> impl Future<Output = Result<Self::Connection, ::sqlx::Error>> + Send;
}

/// A measurement that works with every pool.
pub(crate) trait Workload {
    type Outcome;

    /// Runs `cycles` cycles of acquire and drop, in all.
    fn run<P: Peer>(&self, runtime: &Runtime, pool: &P, cycles: u64) -> Self::Outcome;
}

/// Takes all connections at once and gives them back, so that they are open.
pub(crate) async fn warm<P: Peer>(pool: &P, connections: u32) {
    drop(join_all((0..connections).map(|_| pool.acquire())).await);
}

fn lane<'a, P: Peer, W: Workload>(
    peer: &'static str,
    runtime: &'a Runtime,
    pool: &'a P,
    workload: &'a W,
) -> Lane<'a, W::Outcome> {
    Lane { peer, run: Box::new(move |cycles| workload.run(runtime, pool, cycles)) }
}

/// How pools are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Connections that are open before the measurement.
    pub(crate) warm: u32,
    pub(crate) max_size: u32,
    /// How long opening one takes, beside what the server takes.
    pub(crate) connect_takes: Duration,
}

impl Shape {
    /// [`SIZE`] connections, all open, quickly made.
    pub(crate) const FULL: Self =
        Self { warm: SIZE, max_size: SIZE, connect_takes: Duration::ZERO };
}

/// Pools over connections that do nothing, so that what is measured is the pool alone.
pub(crate) struct NoOpPools {
    ours: (Ours<NoOp>, NoOp),
    deadpool: (Deadpool<NoOp>, NoOp),
    deadpool_limited: (Deadpool<NoOp>, NoOp),
    bb8: (Bb8<NoOp>, NoOp),
}

impl NoOpPools {
    /// Each pool has a connector of its own, which counts.
    pub(crate) fn new(runtime: &Runtime, shape: Shape) -> Self {
        runtime.block_on(async {
            let source = || NoOp::new(shape.connect_takes);
            let sources = [source(), source(), source(), source()];
            let [first, second, third, fourth] = sources.clone();
            let max_size = shape.max_size;
            let ours = Ours::new(shape.warm, max_size, first);
            let deadpool = Deadpool::new(max_size, Limits::None, second);
            let deadpool_limited = Deadpool::new(max_size, Limits::All, third);
            let bb8 = Bb8::new(max_size, fourth);
            warm(&ours, shape.warm).await;
            warm(&deadpool, shape.warm).await;
            warm(&deadpool_limited, shape.warm).await;
            warm(&bb8, shape.warm).await;
            let [first, second, third, fourth] = sources;
            Self {
                ours: (ours, first),
                deadpool: (deadpool, second),
                deadpool_limited: (deadpool_limited, third),
                bb8: (bb8, fourth),
            }
        })
    }

    pub(crate) fn lanes<'a, W: Workload>(
        &'a self,
        runtime: &'a Runtime,
        workload: &'a W,
    ) -> Vec<Lane<'a, W::Outcome>> {
        vec![
            lane(OURS, runtime, &self.ours.0, workload),
            lane(DEADPOOL, runtime, &self.deadpool.0, workload),
            lane(DEADPOOL_LIMITED, runtime, &self.deadpool_limited.0, workload),
            lane(BB8, runtime, &self.bb8.0, workload),
        ]
    }

    /// How many connections each pool has begun to open so far.
    pub(crate) fn opened(&self) -> [(&'static str, u32); 4] {
        [
            (OURS, self.ours.1.opened()),
            (DEADPOOL, self.deadpool.1.opened()),
            (DEADPOOL_LIMITED, self.deadpool_limited.1.opened()),
            (BB8, self.bb8.1.opened()),
        ]
    }

    /// The pool that this benchmark is about.
    pub(crate) fn ours(&self) -> &Ours<NoOp> {
        &self.ours.0
    }
}

/// `sqlx::PgPool` as it comes, and without its check at acquire. It connects to PostgreSQL only.
pub(crate) struct SqlxPools {
    tested: Sqlx,
    untested: Sqlx,
}

impl SqlxPools {
    pub(crate) fn new(runtime: &Runtime, server: &Server, shape: Shape) -> Self {
        runtime.block_on(async {
            let tested = Sqlx::new(shape, true, server);
            let untested = Sqlx::new(shape, false, server);
            warm(&tested, shape.warm).await;
            warm(&untested, shape.warm).await;
            Self { tested, untested }
        })
    }

    pub(crate) fn lanes<'a, W: Workload>(
        &'a self,
        runtime: &'a Runtime,
        workload: &'a W,
    ) -> Vec<Lane<'a, W::Outcome>> {
        vec![
            lane(SQLX, runtime, &self.tested, workload),
            lane(SQLX_UNTESTED, runtime, &self.untested, workload),
        ]
    }

    /// How many connections each pool has opened so far, or nearly so.
    pub(crate) fn opened(&self) -> [(&'static str, u32); 2] {
        [(SQLX, self.tested.opened()), (SQLX_UNTESTED, self.untested.opened())]
    }
}

/// Every pool, with [`SIZE`] open connections to a real server.
pub(crate) struct ServerPools {
    ours: Ours<Postgres>,
    deadpool: Deadpool<Session>,
    deadpool_limited: Deadpool<Session>,
    bb8: Bb8<Session>,
    pub(crate) sqlx: SqlxPools,
}

impl ServerPools {
    pub(crate) fn new(runtime: &Runtime, server: &Server) -> Self {
        let sqlx = SqlxPools::new(runtime, server, Shape::FULL);
        runtime.block_on(async {
            let pools = Self {
                ours: Ours::connected(SIZE, server),
                deadpool: Deadpool::new(SIZE, Limits::None, server.session()),
                deadpool_limited: Deadpool::new(SIZE, Limits::All, server.session()),
                bb8: Bb8::new(SIZE, server.session()),
                sqlx,
            };
            warm(&pools.ours, SIZE).await;
            warm(&pools.deadpool, SIZE).await;
            warm(&pools.deadpool_limited, SIZE).await;
            warm(&pools.bb8, SIZE).await;
            pools
        })
    }

    pub(crate) fn lanes<'a, W: Workload>(
        &'a self,
        runtime: &'a Runtime,
        workload: &'a W,
    ) -> Vec<Lane<'a, W::Outcome>> {
        let mut lanes = vec![
            lane(OURS, runtime, &self.ours, workload),
            lane(DEADPOOL, runtime, &self.deadpool, workload),
            lane(DEADPOOL_LIMITED, runtime, &self.deadpool_limited, workload),
            lane(BB8, runtime, &self.bb8, workload),
        ];
        lanes.extend(self.sqlx.lanes(runtime, workload));
        lanes
    }
}
