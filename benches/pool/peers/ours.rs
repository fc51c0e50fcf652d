//! The pool of this crate.

use std::hint::black_box;

use codebase_mcp::pool::{CheckError, Config, Connect, Lease, Pool, Postgres};

use super::no_op::{NoOp, Nothing};
use super::{Peer, Source, Work};
use crate::server::Server;

/// With the default settings: deadlines, counters, the caller's location and checks of what has been idle
/// for longer than the bypass window.
#[derive(Debug)]
pub(crate) struct Ours<C: Connect>(Pool<C>);

impl<C: Connect> Clone for Ours<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Connect> Ours<C> {
    fn with(min_size: u32, max_size: u32, connector: C) -> Self {
        let config = Config { min_size, max_size, ..Config::default() };
        Self(Pool::new("bench", config, connector).expect("the sizes are within their bounds"))
    }

    /// Reads the pool's health.
    pub(crate) fn health(&self) {
        black_box(black_box(&self.0).health());
    }

    /// Reads the pool's counts.
    pub(crate) fn snapshot(&self) {
        black_box(black_box(&self.0).snapshot());
    }
}

impl Ours<NoOp> {
    pub(crate) fn new(min_size: u32, max_size: u32, source: NoOp) -> Self {
        Self::with(min_size, max_size, source)
    }
}

impl Ours<Postgres> {
    pub(crate) fn connected(size: u32, server: &Server) -> Self {
        Self::with(size, size, server.connector())
    }
}

impl Connect for NoOp {
    type Connection = Nothing;
    type Session = ();

    async fn open(&self) -> Result<Nothing, sqlx::Error> {
        Source::open(self).await
    }

    fn session(&self, _connection: &Nothing) {}

    async fn check(&self, _connection: &mut Nothing) -> Result<(), CheckError> {
        Ok(())
    }

    async fn reset(&self, _connection: &mut Nothing) -> Result<(), CheckError> {
        Ok(())
    }

    async fn close(&self, _connection: Nothing) {}

    async fn terminate(&self, _through: &mut Nothing, _lost: &[()]) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

impl Peer for Ours<NoOp> {
    type Lease<'a> = Lease<NoOp>;

    async fn acquire(&self) -> Lease<NoOp> {
        self.0.acquire().await.expect("a connection within the limit")
    }

    fn observe(&self) {
        self.snapshot();
    }
}

impl Peer for Ours<Postgres> {
    type Lease<'a> = Lease<Postgres>;

    async fn acquire(&self) -> Lease<Postgres> {
        self.0.acquire().await.expect("a connection within the limit")
    }

    fn observe(&self) {
        self.snapshot();
    }
}

impl Work for Lease<NoOp> {
    async fn work(&mut self) {}
}

impl Work for Lease<Postgres> {
    async fn work(&mut self) {
        sqlx::query("SELECT 1").execute(self).await.expect("the server answers");
    }
}
