//! `sqlx::PgPool`.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::PgPool;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPoolOptions;

use super::{Peer, Shape, Work};
use crate::server::Server;

#[derive(Debug, Clone)]
pub(crate) struct Sqlx {
    pool: PgPool,
    opened: Arc<AtomicU32>,
}

impl Sqlx {
    /// With the default settings, but for `test_before_acquire`.
    pub(crate) fn new(shape: Shape, test_before_acquire: bool, server: &Server) -> Self {
        let Shape { warm, max_size, connect_takes } = shape;
        let opened = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&opened);
        let options = PgPoolOptions::new()
            .min_connections(warm)
            .max_connections(max_size)
            .test_before_acquire(test_before_acquire)
            .after_connect(move |_, _| {
                counter.fetch_add(1, Ordering::Relaxed);
                Box::pin(async move {
                    if !connect_takes.is_zero() {
                        tokio::time::sleep(connect_takes).await;
                    }
                    Ok(())
                })
            });
        Self { pool: options.connect_lazy_with(server.options()), opened }
    }

    /// How many have been opened, or will be in a moment.
    pub(crate) fn opened(&self) -> u32 {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Peer for Sqlx {
    type Lease<'a> = PoolConnection<sqlx::Postgres>;

    async fn acquire(&self) -> PoolConnection<sqlx::Postgres> {
        self.pool.acquire().await.expect("a connection within the limit")
    }

    fn observe(&self) {
        let pool = black_box(&self.pool);
        black_box((pool.size(), pool.num_idle()));
    }
}

impl Work for PoolConnection<sqlx::Postgres> {
    async fn work(&mut self) {
        (**self).work().await;
    }
}
